//! What waits to be sent on one connection. Sequence numbers are given out when a PDU leaves, so that they are current.

use std::collections::VecDeque;

use crate::DataList;
use crate::link::Transmitter;
use crate::wire::{Bhs, CmdSn, StatSn};

/// How a PDU carries StatSN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Numbering {
    /// It carries the next StatSN and uses it up: everything with status.
    Advance,
    /// It carries the next StatSN without using it up: R2T, and NOP-In that is no answer.
    Show,
    /// The field is reserved: Data-In without status.
    Blank,
}

/// The queue of one connection.
#[derive(Debug)]
pub(super) struct Output {
    queue: VecDeque<(Bhs, DataList, Numbering)>,
    /// Payload bytes in the queue, with a share for each header.
    bytes: usize,
    stat_sn: StatSn,
}

/// What one queued PDU counts for beside its payload.
const OVERHEAD: usize = 128;

impl Output {
    pub(super) fn new(stat_sn: StatSn) -> Self {
        Output { queue: VecDeque::new(), bytes: 0, stat_sn }
    }

    #[inline]
    pub(super) fn push(&mut self, bhs: Bhs, data: DataList, numbering: Numbering) {
        self.bytes += data.len() + OVERHEAD;
        self.queue.push_back((bhs, data, numbering));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    /// Moves all PDUs into `tx`, with ExpCmdSN and MaxCmdSN as they are now.
    pub(super) fn transmit(&mut self, tx: &mut Transmitter, exp_cmd_sn: CmdSn, max_cmd_sn: CmdSn) {
        while let Some((mut bhs, data, numbering)) = self.queue.pop_front() {
            self.bytes -= data.len() + OVERHEAD;
            bhs.set_counters(
                if numbering == Numbering::Blank { StatSn(0) } else { self.stat_sn },
                exp_cmd_sn,
                max_cmd_sn,
            );
            if numbering == Numbering::Advance {
                self.stat_sn = self.stat_sn.next();
            }
            tx.push(bhs, data);
        }
    }
}
