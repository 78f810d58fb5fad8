//! Asynchronous Message, RFC 7143 section 11.9.

use core::fmt;

use super::fields::{Counters, Segments};
use super::{Bhs, CmdSn, Itt, Lun, Opcode, StatSn};
use crate::FrameError;

/// Events of RFC 7143 section 11.9.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AsyncEvent {
    /// Code 0: a SCSI event; sense data in the data segment.
    Scsi,
    /// Code 1: the initiator is to log out this connection within Parameter3 seconds.
    LogoutRequested,
    /// Code 2: the target drops the connection whose CID is Parameter1; Time2Wait and Time2Retain, in seconds, are
    /// Parameter2 and Parameter3.
    ConnectionDropped,
    /// Code 3: the target drops all connections of the session; Time2Wait and Time2Retain, in seconds, are Parameter2
    /// and Parameter3.
    SessionDropped,
    /// Code 4: the initiator is to send a Text Request on this connection within Parameter3 seconds.
    NegotiationRequested,
    /// Code 5: all tasks on the logical unit were terminated.
    TasksTerminated,
    /// Codes 248 to 255: vendor specific, with a vendor code.
    Vendor(u8),
    /// A code that the RFC does not define, as it came.
    Unknown(u8),
}

impl AsyncEvent {
    /// The meaning of a code on the wire.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => AsyncEvent::Scsi,
            1 => AsyncEvent::LogoutRequested,
            2 => AsyncEvent::ConnectionDropped,
            3 => AsyncEvent::SessionDropped,
            4 => AsyncEvent::NegotiationRequested,
            5 => AsyncEvent::TasksTerminated,
            248..=255 => AsyncEvent::Vendor(code),
            _ => AsyncEvent::Unknown(code),
        }
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            AsyncEvent::Scsi => 0,
            AsyncEvent::LogoutRequested => 1,
            AsyncEvent::ConnectionDropped => 2,
            AsyncEvent::SessionDropped => 3,
            AsyncEvent::NegotiationRequested => 4,
            AsyncEvent::TasksTerminated => 5,
            AsyncEvent::Vendor(code) | AsyncEvent::Unknown(code) => code,
        }
    }
}

impl fmt::Display for AsyncEvent {
    /// What the event says, or its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsyncEvent::Scsi => f.write_str("SCSI event"),
            AsyncEvent::LogoutRequested => f.write_str("logout requested"),
            AsyncEvent::ConnectionDropped => f.write_str("connection dropped"),
            AsyncEvent::SessionDropped => f.write_str("session dropped"),
            AsyncEvent::NegotiationRequested => f.write_str("negotiation requested"),
            AsyncEvent::TasksTerminated => f.write_str("tasks terminated"),
            AsyncEvent::Vendor(code) => write!(f, "vendor event {code}"),
            AsyncEvent::Unknown(code) => write!(f, "undefined event {code}"),
        }
    }
}

/// Something that the target tells unasked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AsyncMessage {
    /// What happened.
    pub event: AsyncEvent,
    /// Details of a vendor's event; zero with any other.
    pub vendor_code: u8,
    /// The logical unit, for `Scsi` and `TasksTerminated`.
    pub lun: Lun,
    /// The number of this message on its connection.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
    /// See [`AsyncEvent`].
    pub parameter1: u16,
    /// See [`AsyncEvent`].
    pub parameter2: u16,
    /// See [`AsyncEvent`].
    pub parameter3: u16,
}

impl AsyncMessage {
    /// Reads an Asynchronous Message.
    ///
    /// # Errors
    /// Another opcode, or additional headers.
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::AsyncMessage, Segments::Data)?;
        let event = AsyncEvent::from_code(bhs.0[36]);
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        Ok(AsyncMessage {
            event,
            vendor_code: if matches!(event, AsyncEvent::Vendor(_)) { bhs.0[37] } else { 0 },
            lun: bhs.lun(),
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
            parameter1: bhs.get_u16(38),
            parameter2: bhs.get_u16(40),
            parameter3: bhs.get_u16(42),
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::with_final(Opcode::AsyncMessage, true);
        bhs.put_lun(self.lun);
        bhs.put_itt(Itt::RESERVED);
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs.0[36] = self.event.code();
        if matches!(self.event, AsyncEvent::Vendor(_)) {
            bhs.0[37] = self.vendor_code;
        }
        bhs.put_u16(38, self.parameter1);
        bhs.put_u16(40, self.parameter2);
        bhs.put_u16(42, self.parameter3);
        bhs
    }
}

impl fmt::Display for AsyncMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Asynchronous Message: {} {:?} parameters={},{},{} stat_sn={}",
            self.event, self.lun, self.parameter1, self.parameter2, self.parameter3, self.stat_sn.0
        )
    }
}
