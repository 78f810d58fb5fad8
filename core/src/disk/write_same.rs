//! WRITE SAME, SBC-3 clauses 5.40 and 5.41.

use bytes::{Bytes, BytesMut};

use super::blocks::Extent;
use super::step::Stage;
use super::{IoError, Op, Outcome, Request, Step, View};
use crate::DataList;
use crate::scsi::{AdditionalSense, FieldPointer, Sense, opcode};

/// Bytes of one [`Op::WriteZeroes`]: storage does these without moving data, yet not in no time.
const ZEROES_PIECE: u64 = 64 << 20;

/// A range that is filled in pieces.
#[derive(Clone, Debug)]
pub(super) struct WriteSameTask {
    /// Where the rest begins, in bytes.
    offset: u64,
    /// Bytes of the rest.
    left: u64,
    /// Bytes of the operation that runs.
    piece: u64,
    may_unmap: bool,
    fua: bool,
    /// Whether zeros were made without a write.
    zeroed: bool,
    fill: Fill,
}

#[derive(Clone, Debug)]
enum Fill {
    /// Zeros, by the operation for that.
    Zeroes,
    /// Copies of the block, as many as one operation takes.
    Pattern(Bytes),
}

impl View {
    /// WRITE SAME (10) and (16).
    pub(super) fn write_same(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let extent = Extent::of(request.cdb);
        let flags = request.cdb.byte(1);
        self.check_range(extent.lba, u64::from(extent.count))?;
        // WSNZ is advertised: a count of zero does not mean "to the end".
        if extent.count == 0 || extent.count > self.config().max_write_same_blocks {
            return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb(extent.count_at)));
        }
        let task = Box::new(WriteSameTask {
            offset: self.offset(extent.lba),
            left: self.offset(u64::from(extent.count)),
            piece: 0,
            may_unmap: flags & 0x08 != 0,
            fua: !self.modes().write_cache,
            zeroed: false,
            fill: Fill::Zeroes,
        });
        if request.cdb.opcode() == opcode::WRITE_SAME_16 && flags & 0x01 != 0 {
            return Ok(self.write_same_piece(0, task));
        }
        let len = self.transfer_bytes(1);
        if request.data_out > len {
            // The initiator has another idea of the block than this unit: better refused than filled with a part.
            return Err(Sense::illegal(AdditionalSense::INVALID_FIELD_IN_CDB));
        }
        Ok(self.need_data(len, Stage::WriteSameData(task)))
    }

    /// Starts with the block that arrived.
    pub(super) fn write_same_data(
        &self,
        asked: u32,
        mut task: Box<WriteSameTask>,
        data: &DataList,
    ) -> Result<Step, Sense> {
        let block = usize::try_from(asked).unwrap_or(512);
        if data.len() < block {
            // There is no block to repeat. No field of the CDB is to blame alone.
            return Err(Sense::illegal(AdditionalSense::INVALID_FIELD_IN_CDB));
        }
        let block = data.slice(0, block).to_bytes();
        if block.iter().any(|&b| b != 0) {
            task.fill = Fill::Pattern(repeat(&block, self.piece_len(task.left)));
        }
        Ok(self.write_same_piece(asked, task))
    }

    fn write_same_piece(&self, asked: u32, mut task: Box<WriteSameTask>) -> Step {
        let op = match &task.fill {
            Fill::Zeroes => {
                task.piece = task.left.min(ZEROES_PIECE);
                Op::WriteZeroes { offset: task.offset, len: task.piece, may_unmap: task.may_unmap }
            }
            Fill::Pattern(pattern) => {
                task.piece = task.left.min(pattern.len() as u64);
                let data = pattern.slice(..usize::try_from(task.piece).unwrap_or(pattern.len()));
                Op::Write { offset: task.offset, data: data.into(), fua: task.fua }
            }
        };
        self.io(op, asked, Stage::WriteSame(task))
    }

    /// Goes on after one piece. Storage that cannot make zeros gets them written.
    pub(super) fn wrote_same(
        &self,
        asked: u32,
        mut task: Box<WriteSameTask>,
        outcome: &Outcome,
    ) -> Result<Step, Sense> {
        match (outcome, &task.fill) {
            (Outcome::Failed(IoError::Unsupported), Fill::Zeroes) => {
                task.fill = Fill::Pattern(BytesMut::zeroed(self.piece_len(task.left)).freeze());
            }
            (Outcome::Failed(error), _) => return Err(self.write_fault(*error)),
            _ => {
                task.zeroed |= matches!(task.fill, Fill::Zeroes);
                task.offset += task.piece;
                task.left -= task.piece;
            }
        }
        if task.left > 0 {
            return Ok(self.write_same_piece(asked, task));
        }
        // Zeros that were made without a write may sit in a cache that WCE = 0 promises not to be there.
        Ok(self.written(asked, task.fua && !task.zeroed))
    }
}

fn repeat(block: &Bytes, len: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(len);
    while out.len() + block.len() <= len {
        out.extend_from_slice(block);
    }
    out.freeze()
}
