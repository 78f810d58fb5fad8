//! The payload of one command on its way in: unsolicited first, then what R2Ts ask for.
//!
//! RFC 7143 sections 4.2.5.2, 11.7 and 11.8. Knows the sequence of one task; who may ask for how much at a time is
//! the session's business.

use core::num::NonZeroU32;

use bytes::Bytes;

use crate::DataList;
use crate::login::Parameters;
use crate::wire::{DataOut, DataSn, R2tSn, Ttt};

/// What is wrong with a data PDU. The task fails with it once the initiator has finished sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DataFault {
    /// Data that was not asked for.
    Unexpected,
    /// More, less, or elsewhere than announced.
    IncorrectAmount,
    /// A PDU that failed its digest, or a gap in DataSN that implies one.
    Crc,
}

/// A run of Data-Out PDUs: the unsolicited one, or the answer to an R2T.
#[derive(Debug)]
struct Sequence {
    /// Reserved for the unsolicited sequence.
    ttt: Ttt,
    start: u32,
    /// End of the range that it may fill.
    end: u32,
    received: u32,
    next_offset: u32,
    next_data_sn: DataSn,
}

/// An R2T to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) ttt: Ttt,
    pub(super) r2t_sn: R2tSn,
    pub(super) offset: u32,
    pub(super) len: NonZeroU32,
}

/// The payload of one command.
#[derive(Debug)]
pub(super) struct DataOutState {
    /// What the initiator said it would send in all.
    expected: u32,
    /// What the command wants of it, once that is known.
    wanted: Option<u32>,
    /// The bytes from 0 on that are here without a gap.
    prefix: DataList,
    /// What arrived ahead of a gap, sorted by offset.
    ahead: Vec<(u32, Bytes)>,
    open: Vec<Sequence>,
    /// End of what has been asked for or announced.
    requested: u32,
    next_r2t_sn: R2tSn,
    fault: Option<DataFault>,
}

impl DataOutState {
    /// Starts with the payload that the command carried. `more` says that unsolicited Data-Out PDUs follow (F=0).
    pub(super) fn new(expected: u32, immediate: Bytes, more: bool, parameters: &Parameters) -> Self {
        let first_burst = parameters.first_burst.min(expected);
        let len = immediate.len() as u32;
        let fault = if len > expected || len > parameters.first_burst {
            Some(DataFault::IncorrectAmount)
        } else if (len > 0 && !parameters.immediate_data) || (more && parameters.initial_r2t) {
            Some(DataFault::Unexpected)
        } else {
            None
        };
        let mut state = DataOutState {
            expected,
            wanted: None,
            prefix: if fault.is_none() { immediate.into() } else { DataList::new() },
            ahead: Vec::new(),
            open: Vec::new(),
            requested: len,
            next_r2t_sn: R2tSn(0),
            fault,
        };
        if more {
            let end = if fault.is_none() { first_burst.max(len) } else { u32::MAX };
            state.open.push(Sequence {
                ttt: Ttt::RESERVED,
                start: len,
                end,
                received: 0,
                next_offset: len,
                next_data_sn: DataSn(0),
            });
            state.requested = first_burst.max(len);
        }
        state
    }

    /// Asks for the first `len` bytes, as far as the initiator has them.
    pub(super) fn want(&mut self, len: u32) {
        self.wanted = Some(len.min(self.expected));
    }

    /// Bytes that are still to be asked for by R2T; zero until it is known that no unsolicited data is on its way.
    pub(super) fn to_request(&self) -> u32 {
        if self.open.iter().any(|s| s.ttt.is_reserved()) || self.fault.is_some() {
            return 0;
        }
        self.wanted.unwrap_or(0).saturating_sub(self.requested)
    }

    /// The next R2T, of at most `max_burst` bytes, if `max_outstanding` allows one more.
    pub(super) fn request(&mut self, ttt: Ttt, max_burst: u32, max_outstanding: u16) -> Option<Request> {
        if self.open.len() >= usize::from(max_outstanding) {
            return None;
        }
        let len = NonZeroU32::new(self.to_request().min(max_burst))?;
        let offset = self.requested;
        self.requested += len.get();
        self.open.push(Sequence {
            ttt,
            start: offset,
            end: self.requested,
            received: 0,
            next_offset: offset,
            next_data_sn: DataSn(0),
        });
        let r2t_sn = self.next_r2t_sn;
        self.next_r2t_sn = r2t_sn.next();
        Some(Request { ttt, r2t_sn, offset, len })
    }

    /// Whether an R2T of this tag, or the unsolicited sequence, is being answered.
    pub(super) fn is_open(&self, ttt: Ttt) -> bool {
        self.open.iter().any(|s| s.ttt == ttt)
    }

    /// Whether the initiator owes nothing more.
    pub(super) fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// Forgets what the initiator owes: its connection is gone, or it was given up on.
    pub(super) fn silence(&mut self) {
        self.open.clear();
    }

    /// Drops what has arrived: nobody wants it any more.
    pub(super) fn discard(&mut self) {
        self.prefix = DataList::new();
        self.ahead.clear();
        self.fault.get_or_insert(DataFault::Unexpected);
    }

    /// What went wrong, if anything did.
    pub(super) fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// Number of R2Ts sent: what a SCSI Response reports as ExpDataSN for a write.
    pub(super) fn r2t_count(&self) -> DataSn {
        DataSn(self.next_r2t_sn.0)
    }

    /// Whether all that was wanted is here and nothing more is on its way.
    pub(super) fn is_complete(&self) -> bool {
        self.is_quiet() && self.wanted.is_some_and(|w| self.prefix.len() as u64 >= u64::from(w))
    }

    /// Takes the payload, cut to what was wanted.
    pub(super) fn take(&mut self) -> DataList {
        let mut data = core::mem::take(&mut self.prefix);
        data.truncate(self.wanted.unwrap_or(0) as usize);
        data
    }

    /// Takes one PDU. `data` is `None` when its digest was wrong, in which case `len` says how long it was.
    ///
    /// Returns the fault that this PDU shows; later ones of the same task are still taken, and dropped.
    pub(super) fn receive(
        &mut self,
        pdu: &DataOut,
        data: Option<Bytes>,
        len: u32,
        in_order: bool,
    ) -> Result<(), DataFault> {
        let Some(at) = self.open.iter().position(|s| s.ttt == pdu.ttt) else {
            self.fault.get_or_insert(DataFault::Unexpected);
            return Err(DataFault::Unexpected);
        };
        let sequence = &mut self.open[at];
        let verdict = sequence.check(pdu, len, in_order).and(match data {
            Some(_) => Ok(()),
            None => Err(DataFault::Crc),
        });
        sequence.next_data_sn = pdu.data_sn.next();
        sequence.next_offset = pdu.offset.saturating_add(len);
        sequence.received = sequence.received.saturating_add(len);
        let (unsolicited, short) = (pdu.ttt.is_reserved(), sequence.received < sequence.end - sequence.start);
        if pdu.final_ {
            self.open.remove(at);
        }
        let verdict = match verdict {
            // An R2T is answered in full. Less unsolicited data than FirstBurstLength breaks section 4.2.5.2, but
            // does no harm: the rest is asked for.
            Ok(()) if pdu.final_ && short && !unsolicited => Err(DataFault::IncorrectAmount),
            other => other,
        };
        if let Err(fault) = verdict {
            self.fault.get_or_insert(fault);
            return Err(fault);
        }
        if let Some(data) = data.filter(|d| self.fault.is_none() && !d.is_empty()) {
            self.place(pdu.offset, data)?;
        }
        if unsolicited && pdu.final_ {
            self.end_unsolicited()?;
        }
        Ok(())
    }

    /// What the unsolicited data did not bring is asked for, as long as it left no hole.
    fn end_unsolicited(&mut self) -> Result<(), DataFault> {
        if !self.ahead.is_empty() {
            self.fault.get_or_insert(DataFault::IncorrectAmount);
            return Err(DataFault::IncorrectAmount);
        }
        if self.fault.is_none() {
            self.requested = self.prefix.len() as u32;
        }
        Ok(())
    }

    /// Adds checked payload; what overlaps payload that is here already is a fault.
    fn place(&mut self, offset: u32, data: Bytes) -> Result<(), DataFault> {
        let end = offset as usize + data.len();
        let at = self.ahead.partition_point(|(have, _)| *have < offset);
        let after_previous = match at.checked_sub(1).and_then(|i| self.ahead.get(i)) {
            Some((have, bytes)) => *have as usize + bytes.len() <= offset as usize,
            None => offset as usize >= self.prefix.len(),
        };
        let before_next = self.ahead.get(at).is_none_or(|(have, _)| end <= *have as usize);
        if !after_previous || !before_next {
            self.fault.get_or_insert(DataFault::IncorrectAmount);
            return Err(DataFault::IncorrectAmount);
        }
        if offset as usize > self.prefix.len() {
            self.ahead.insert(at, (offset, data));
            return Ok(());
        }
        self.prefix.push(data);
        let ready = self.ahead.iter().scan(self.prefix.len(), |end, (offset, bytes)| {
            (*offset as usize == *end).then(|| *end += bytes.len())
        });
        let ready = ready.count();
        for (_, bytes) in self.ahead.drain(..ready) {
            self.prefix.push(bytes);
        }
        Ok(())
    }
}

impl Sequence {
    fn check(&self, pdu: &DataOut, len: u32, in_order: bool) -> Result<(), DataFault> {
        if pdu.data_sn != self.next_data_sn {
            return Err(DataFault::Crc);
        }
        let end = u64::from(pdu.offset) + u64::from(len);
        if pdu.offset < self.start || end > u64::from(self.end) {
            return Err(DataFault::IncorrectAmount);
        }
        if in_order && pdu.offset != self.next_offset {
            return Err(DataFault::IncorrectAmount);
        }
        Ok(())
    }
}
