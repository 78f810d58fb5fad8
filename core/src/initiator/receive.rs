//! PDUs of the target: counters, then each to its place.

use crate::link::{Pdu, Placement, Receiver, SegmentDigest, TaskId};
use crate::session::ConnId;
use crate::wire::{CmdSn, StatSn, TargetPdu};
use crate::{FrameError, Instant, PeerError};

use super::Initiator;
use super::command::{Cause, Outcome};
use super::data_in::place;
use super::event::DownReason;

/// Answers that may wait for the transmitter before reading stops: a target that asks faster than it reads gets
/// no more than these.
const MAX_URGENT: usize = 64;

/// What the target did wrong, and with which command: that one is not repeated.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: PeerError,
    pub(super) task: Option<TaskId>,
}

impl Fault {
    pub(super) fn protocol(why: &'static str) -> Fault {
        Fault { error: PeerError::Protocol(why), task: None }
    }

    pub(super) fn of(task: TaskId, error: PeerError) -> Fault {
        Fault { error, task: Some(task) }
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Fault {
        Fault { error: error.into(), task: None }
    }
}

impl Initiator {
    pub(super) fn receive_pdus(
        &mut self,
        now: Instant,
        id: ConnId,
        rx: &mut Receiver,
    ) -> Result<(), PeerError> {
        let Some(conn) = self.conn.as_mut().filter(|conn| conn.id == id) else { return Ok(()) };
        if let Some((max_segment, header, data)) = conn.receiver_setup.take() {
            rx.set_max_segment(max_segment);
            rx.set_digests(header, data);
            rx.set_read_buffer(self.limits.read_buffer);
        }
        // Taking a PDU may end the connection.
        while self.conn.as_ref().is_some_and(|conn| conn.id == id && conn.urgent.len() < MAX_URGENT) {
            let (tasks, in_order, least) = (&self.tasks, self.in_order, self.limits.slot_bytes);
            let taken = match rx.next_pdu(|bhs| -> Placement { place(tasks, in_order, least, bhs) }) {
                Ok(None) => return Ok(()),
                Ok(Some(pdu)) => self.take(now, pdu),
                Err(error) => Err(Fault::from(error)),
            };
            taken.map_err(|fault| self.fail(fault))?;
        }
        Ok(())
    }

    /// The target broke the protocol: the connection is over, and so is the command that it did it with.
    fn fail(&mut self, fault: Fault) -> PeerError {
        if let Some(task) = fault.task {
            self.finish(task, Outcome::Unknown(Cause::BadAnswer));
        }
        self.connection_down(DownReason::Peer(fault.error.clone()));
        fault.error
    }

    fn take(&mut self, now: Instant, pdu: Pdu) -> Result<(), Fault> {
        let header = TargetPdu::parse(&pdu.bhs)?;
        if pdu.digest == SegmentDigest::Bad {
            // RFC 7143 section 7.8: at this error recovery level, by recovery of the session.
            let error = PeerError::DataDigest { pdu: pdu.bhs.opcode().name() };
            return Err(Fault { error, task: None });
        }
        if let Some(conn) = &mut self.conn {
            conn.last_heard = now;
        }
        let Pdu { data, placed, .. } = pdu;
        match header {
            TargetPdu::DataIn(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                if p.status.is_some() {
                    self.note_status(p.stat_sn)?;
                }
                if let Some(task) = self.on_data_in(&p, data, placed)? {
                    self.on_data_in_status(now, task, &p)?;
                }
            }
            TargetPdu::ScsiResponse(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                self.note_status(p.stat_sn)?;
                self.on_response(now, &p, &data)?;
            }
            TargetPdu::R2t(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                self.on_r2t(&p)?;
            }
            TargetPdu::NopIn(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                if !p.itt.is_reserved() {
                    self.note_status(p.stat_sn)?;
                }
                self.on_nop_in(&p, data)?;
            }
            TargetPdu::TaskManagementResponse(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                self.note_status(p.stat_sn)?;
                self.on_task_management_response(now, &p)?;
            }
            TargetPdu::TextResponse(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                self.note_status(p.stat_sn)?;
                self.on_text_response(now, &p, &data)?;
            }
            TargetPdu::LogoutResponse(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                self.note_status(p.stat_sn)?;
                self.on_logout_response(&p)?;
            }
            TargetPdu::AsyncMessage(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                self.note_status(p.stat_sn)?;
                self.on_async_message(now, p, data)?;
            }
            TargetPdu::Reject(p) => {
                self.note_window(p.exp_cmd_sn, p.max_cmd_sn);
                self.note_status(p.stat_sn)?;
                self.on_reject(now, &p, &data)?;
            }
            TargetPdu::LoginResponse(_) => {
                return Err(Fault::protocol("Login Response in the full-feature phase"));
            }
        }
        Ok(())
    }

    /// ExpCmdSN and MaxCmdSN, RFC 7143 section 4.2.2.1: what contradicts itself is ignored, and neither goes back.
    fn note_window(&mut self, exp_cmd_sn: CmdSn, max_cmd_sn: CmdSn) {
        if max_cmd_sn.distance_from(exp_cmd_sn) < -1 {
            return;
        }
        if exp_cmd_sn.is_after(self.exp_cmd_sn) {
            self.exp_cmd_sn = exp_cmd_sn;
        }
        if max_cmd_sn.is_after(self.max_cmd_sn) {
            self.max_cmd_sn = max_cmd_sn;
        }
    }

    /// StatSN of a PDU that uses one up. A gap means that a status was lost, which error recovery level 0 meets with a
    /// new session (RFC 7143 section 7.9).
    fn note_status(&mut self, stat_sn: StatSn) -> Result<(), Fault> {
        let Some(conn) = &mut self.conn else { return Ok(()) };
        if stat_sn != conn.exp_stat_sn {
            return Err(Fault::protocol("StatSN is not the next one"));
        }
        conn.exp_stat_sn = stat_sn.next();
        Ok(())
    }
}
