//! The payload of one command on its way in: unsolicited first, then what R2Ts ask for.
//!
//! RFC 7143 sections 4.2.5.2, 11.7 and 11.8. Knows the sequence of one task; who may ask for how much at a time is
//! the session's business.

use core::num::NonZeroU32;
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::DataList;
use crate::login::Parameters;
use crate::wire::{DataOut, DataSn, Ttt};

/// What is wrong with a data PDU. The task fails with it once the initiator has finished sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DataFault {
    /// Data that was not asked for.
    Unexpected,
    /// More, less, or elsewhere than announced.
    IncorrectAmount,
    /// A PDU that failed its digest, or a gap in DataSN that implies one.
    Crc,
    /// The initiator asked for something to be sent again, which was refused.
    SnackRejected,
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
    pub(super) offset: u32,
    pub(super) len: NonZeroU32,
}

/// The payload of one command.
#[derive(Debug, Default)]
pub(super) struct DataOutState {
    /// What the initiator said it would send in all.
    expected: u32,
    /// What the command wants of it, once that is known.
    wanted: Option<u32>,
    /// The bytes from 0 on that are here without a gap.
    prefix: Assembly,
    /// What arrived ahead of a gap, by offset; `None` while nothing ever has.
    ahead: Option<BTreeMap<u32, Bytes>>,
    /// Whether what arrives is dropped: nobody wants it any more.
    unwanted: bool,
    open: Vec<Sequence>,
    /// End of what has been asked for or announced.
    requested: u32,
    fault: Option<DataFault>,
}

/// Pieces that arrived one after the other. Small ones are copied together: a list entry and an allocation for each,
/// or a receive buffer held by each, would cost many times what they carry.
#[derive(Debug, Default)]
struct Assembly {
    list: DataList,
    small: Vec<u8>,
}

/// Pieces below this many bytes are copied.
const SMALL: usize = 4096;

/// Bytes of small pieces that are put into one slice.
const SMALL_BLOCK: usize = 64 * 1024;

/// Pieces ahead of a gap that are taken whatever their size; beyond this they must be of 512 bytes on average, the
/// least that MaxRecvDataSegmentLength can be.
const MOST_PIECES: usize = 4096;

impl DataOutState {
    /// Starts again, for another command, with the payload that it carried; that of the one before has been
    /// [dropped](Self::discard). `more` says that unsolicited Data-Out PDUs follow (F=0).
    #[inline]
    pub(super) fn begin(&mut self, expected: u32, immediate: Bytes, more: bool, parameters: &Parameters) {
        let len = immediate.len() as u32;
        self.fault = if len > expected || len > parameters.first_burst {
            Some(DataFault::IncorrectAmount)
        } else if (len > 0 && !parameters.immediate_data) || (more && parameters.initial_r2t) {
            Some(DataFault::Unexpected)
        } else {
            None
        };
        self.expected = expected;
        self.wanted = None;
        self.unwanted = false;
        self.requested = len;
        self.open.clear();
        debug_assert!(self.prefix.len() == 0 && self.ahead.is_none());
        if self.fault.is_none() && len > 0 {
            self.prefix.list = immediate.into();
        }
        if more {
            let announced = parameters.first_burst.min(expected).max(len);
            let end = if self.fault.is_none() { announced } else { u32::MAX };
            self.open.push(Sequence {
                ttt: Ttt::RESERVED,
                start: len,
                end,
                received: 0,
                next_offset: len,
                next_data_sn: DataSn(0),
            });
            self.requested = announced;
        }
    }

    /// Asks for the first `len` bytes, as far as the initiator has them. Returns whether that had been done before,
    /// in which case nothing changes.
    #[inline]
    pub(super) fn want(&mut self, len: u32) -> bool {
        let again = self.wanted.is_some();
        self.wanted.get_or_insert(len.min(self.expected));
        again
    }

    /// Bytes that are still to be asked for by R2T; zero until it is known that no unsolicited data is on its way.
    pub(super) fn to_request(&self) -> u32 {
        if self.open.iter().any(|s| s.ttt.is_reserved()) || self.unwanted {
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
        Some(Request { ttt, offset, len })
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

    /// Drops what has arrived and what will: nobody wants it any more.
    #[inline]
    pub(super) fn discard(&mut self) {
        self.unwanted = true;
        if self.prefix.len() > 0 {
            self.prefix = Assembly::default();
        }
        if self.ahead.is_some() {
            self.ahead = None;
        }
    }

    /// The payload cannot be used; the first fault stays the one that is told.
    pub(super) fn fail(&mut self, fault: DataFault) -> DataFault {
        self.discard();
        *self.fault.get_or_insert(fault)
    }

    /// What went wrong, if anything did.
    pub(super) fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// Whether all that was wanted is here and nothing more is on its way.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        self.is_quiet() && self.wanted.is_some_and(|w| self.prefix.len() as u64 >= u64::from(w))
    }

    /// Takes the payload, cut to what was wanted.
    #[inline]
    pub(super) fn take(&mut self) -> DataList {
        let mut data = core::mem::take(&mut self.prefix).finish();
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
            return Err(self.fail(DataFault::Unexpected));
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
            return Err(self.fail(fault));
        }
        if let Some(data) = data.filter(|d| !self.unwanted && !d.is_empty()) {
            self.place(pdu.offset, data)?;
        }
        if unsolicited && pdu.final_ {
            self.end_unsolicited()?;
        }
        Ok(())
    }

    /// What the unsolicited data did not bring is asked for, as long as it left no hole.
    fn end_unsolicited(&mut self) -> Result<(), DataFault> {
        if self.ahead.as_ref().is_some_and(|ahead| !ahead.is_empty()) {
            return Err(self.fail(DataFault::IncorrectAmount));
        }
        if !self.unwanted {
            self.requested = self.prefix.len() as u32;
        }
        Ok(())
    }

    /// Adds checked payload; what overlaps payload that is here already is a fault.
    fn place(&mut self, offset: u32, data: Bytes) -> Result<(), DataFault> {
        let here = self.prefix.len();
        let (start, end) = (offset as usize, offset as usize + data.len());
        let Some(ahead) = &mut self.ahead else {
            if start < here {
                return Err(self.fail(DataFault::IncorrectAmount));
            }
            if start > here {
                self.ahead = Some(BTreeMap::from([(offset, data)]));
            } else {
                self.prefix.push(data, self.expected);
            }
            return Ok(());
        };
        let after_previous = match ahead.range(..offset).next_back() {
            Some((have, bytes)) => *have as usize + bytes.len() <= start,
            None => start >= here,
        };
        let before_next = ahead.range(offset..).next().is_none_or(|(have, _)| end <= *have as usize);
        if !after_previous || !before_next {
            return Err(self.fail(DataFault::IncorrectAmount));
        }
        if start > here {
            if ahead.len() > MOST_PIECES + self.expected as usize / 512 {
                return Err(self.fail(DataFault::IncorrectAmount));
            }
            ahead.insert(offset, data);
            return Ok(());
        }
        self.prefix.push(data, self.expected);
        while let Some(next) = ahead.first_entry() {
            if *next.key() as usize != self.prefix.len() {
                break;
            }
            let data = next.remove();
            self.prefix.push(data, self.expected);
        }
        Ok(())
    }
}

impl Assembly {
    fn len(&self) -> usize {
        self.list.len() + self.small.len()
    }

    fn push(&mut self, bytes: Bytes, expected: u32) {
        if bytes.len() >= SMALL || bytes.len() == expected as usize {
            self.seal();
            self.list.push(bytes);
            return;
        }
        self.small.extend_from_slice(&bytes);
        if self.small.len() >= SMALL_BLOCK {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.list.push(core::mem::take(&mut self.small).into());
        }
    }

    fn finish(mut self) -> DataList {
        self.seal();
        self.list
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
