//! VERIFY and the second half of WRITE AND VERIFY, SBC-3 clauses 5.24 to 5.26 and 5.33 to 5.35.

use super::blocks::Extent;
use super::read_write::Check;
use super::step::{Stage, first_difference};
use super::{Op, Reply, Request, Step, View};
use crate::DataList;
use crate::scsi::{AdditionalSense, FieldPointer, Sense, SenseKey};

/// A range that is read in pieces and checked.
#[derive(Clone, Debug)]
pub(super) struct VerifyTask {
    /// Where the range begins, in bytes.
    start: u64,
    /// Bytes of the range.
    len: u64,
    /// Bytes of the range that are checked.
    done: u64,
    expect: Expect,
}

/// What the medium is to hold.
#[derive(Clone, Debug)]
enum Expect {
    /// Anything that can be read.
    Readable,
    /// These bytes.
    Bytes(DataList),
    /// The one block given, again and again, as a list of its copies.
    Repeated(DataList),
    /// Data to come: BYTCHK 01b.
    AwaitBytes,
    /// A block to come: BYTCHK 11b.
    AwaitBlock,
}

impl VerifyTask {
    pub(super) fn after_write(start: u64, check: Check, data: &DataList) -> Self {
        let expect = match check {
            Check::Readable => Expect::Readable,
            Check::Equal => Expect::Bytes(data.clone()),
        };
        VerifyTask { start, len: data.len() as u64, done: 0, expect }
    }
}

impl View {
    /// VERIFY (10), (12), (16).
    pub(super) fn verify(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let extent = Extent::of(request.cdb);
        let (expect, blocks_of_data) = match request.cdb.byte(1) >> 1 & 3 {
            0 => (Expect::Readable, 0),
            1 => (Expect::AwaitBytes, extent.count),
            3 => (Expect::AwaitBlock, 1),
            _ => return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(1, 2))),
        };
        self.check_transfer(extent)?;
        if extent.count == 0 {
            return Ok(Step::Done(Reply::good(0)));
        }
        let len = u64::from(self.transfer_bytes(extent.count));
        let task = Box::new(VerifyTask { start: self.offset(extent.lba), len, done: 0, expect });
        if blocks_of_data == 0 {
            return Ok(self.verify_piece(0, task));
        }
        let len = self.transfer_bytes(blocks_of_data);
        Ok(self.need_data(len, Stage::VerifyData(task)))
    }

    /// Starts the comparison with what arrived: with BYTCHK 01b the whole blocks of it.
    pub(super) fn verify_data(
        &self,
        asked: u32,
        mut task: Box<VerifyTask>,
        mut data: DataList,
    ) -> Result<Step, Sense> {
        let block = usize::try_from(self.config().block_size.bytes()).unwrap_or(512);
        task.expect = match task.expect {
            Expect::AwaitBlock => {
                if data.len() < block {
                    return Err(Sense::illegal(AdditionalSense::INVALID_FIELD_IN_CDB));
                }
                data.truncate(block);
                let one = data.to_bytes();
                let copies = self.piece_len(task.len) / block;
                Expect::Repeated((0..copies).map(|_| one.clone()).collect())
            }
            _ => {
                let len = data.len() / block * block;
                data.truncate(len);
                task.len = task.len.min(len as u64);
                Expect::Bytes(data)
            }
        };
        if task.len == 0 {
            return Ok(Step::Done(Reply::good(asked)));
        }
        Ok(self.verify_piece(asked, task))
    }

    pub(super) fn verify_piece(&self, asked: u32, task: Box<VerifyTask>) -> Step {
        let len = self.piece_len(task.len - task.done);
        let op = Op::Read { offset: task.start + task.done, len: u32::try_from(len).unwrap_or(u32::MAX) };
        self.io(op, asked, Stage::Verify(task))
    }

    /// Takes what was read of one piece, and goes on.
    pub(super) fn verified(
        &self,
        asked: u32,
        mut task: Box<VerifyTask>,
        data: &DataList,
    ) -> Result<Step, Sense> {
        let at = usize::try_from(task.done).unwrap_or(usize::MAX);
        let difference = match &task.expect {
            Expect::Bytes(all) => first_difference(&all.slice(at, data.len()), data),
            Expect::Repeated(pattern) => first_difference(pattern, data),
            Expect::Readable | Expect::AwaitBytes | Expect::AwaitBlock => None,
        };
        if let Some(i) = difference {
            let miscompare = AdditionalSense::MISCOMPARE_DURING_VERIFY_OPERATION;
            return Err(Sense::new(SenseKey::Miscompare, miscompare).with_information(task.done + i as u64));
        }
        task.done += data.len() as u64;
        if task.done >= task.len {
            return Ok(Step::Done(Reply::good(asked)));
        }
        Ok(self.verify_piece(asked, task))
    }
}

impl View {
    /// Offset and length of the piece that is being read.
    pub(super) fn verify_place(&self, task: &VerifyTask) -> (u64, u64) {
        (task.start + task.done, self.piece_len(task.len - task.done) as u64)
    }
}
