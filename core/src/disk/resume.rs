//! How a command that a view has begun goes on: data and outcomes of operations, and the sense of what failed.

use super::blocks::out_of_range;
use super::step::{Fault, Stage};
use super::{IoError, Op, Outcome, Reply, Resume, Step, Task, View};
use crate::DataList;
use crate::scsi::{AdditionalSense, Sense, SenseKey};

pub(super) const INTERNAL_FAILURE: Sense =
    Sense::new(SenseKey::HardwareError, AdditionalSense::INTERNAL_TARGET_FAILURE);

impl View {
    /// Goes on with a command in a stage that changes nothing of what the nexuses share.
    #[inline]
    pub(super) fn go_on(&self, asked: u32, stage: Stage, with: Resume) -> Step {
        match (stage, with) {
            // What nearly every command comes to, before all that may also be.
            (Stage::Read(read), Resume::Io(Outcome::Data(data)))
                if data.len() as u64 == u64::from(read.len) =>
            {
                Self::finish_read(read, data)
            }
            (Stage::Write { fua }, Resume::Io(Outcome::Done)) => self.written(asked, fua),
            (Stage::WriteData(write), Resume::Data(mut data)) => {
                cut(&mut data, asked);
                self.write_data(asked, write, data)
            }
            (stage, with) => {
                let step = match with {
                    Resume::Data(data) => self.resume_data(asked, stage, data),
                    Resume::Io(outcome) => self.resume_io(asked, stage, outcome),
                };
                step.unwrap_or_else(|sense| self.fail(&sense, asked))
            }
        }
    }

    fn resume_data(&self, asked: u32, stage: Stage, mut data: DataList) -> Result<Step, Sense> {
        cut(&mut data, asked);
        match stage {
            Stage::VerifyData(task) => self.verify_data(asked, task, data),
            Stage::WriteSameData(task) => self.write_same_data(asked, task, &data),
            Stage::UnmapData => self.unmap_data(asked, &data),
            _ => Err(INTERNAL_FAILURE),
        }
    }

    fn resume_io(&self, asked: u32, stage: Stage, outcome: Outcome) -> Result<Step, Sense> {
        let outcome = match (outcome, &stage) {
            // Keeping the blocks is what UNMAP allows.
            (Outcome::Failed(IoError::Unsupported), Stage::Unmap) => Outcome::Done,
            (Outcome::Failed(IoError::Unsupported), Stage::LbaStatus(_)) => Outcome::Extents(Vec::new()),
            (outcome, Stage::WriteSame(_)) => outcome,
            (Outcome::Failed(error), stage) if stage.fault() == Fault::Read => {
                return Err(self.read_fault(error));
            }
            (Outcome::Failed(error), _) => return Err(self.write_fault(error)),
            (outcome, _) => outcome,
        };
        match (stage, outcome) {
            // Of another length than was asked for, or it would not have come here.
            (Stage::Read(read), Outcome::Data(data)) => Err(self
                .check_length(&data, u64::from(read.len), read.offset)
                .err()
                .unwrap_or(INTERNAL_FAILURE)),
            (Stage::Verify(task), Outcome::Data(data)) => {
                let (offset, len) = self.verify_place(&task);
                self.check_length(&data, len, offset)?;
                self.verified(asked, task, &data)
            }
            (Stage::FlushThenRead(read), Outcome::Done) => Ok(self.start_read(read)),
            (Stage::WriteThenVerify(task), Outcome::Done) => Ok(self.verify_piece(asked, task)),
            (Stage::WriteSame(task), outcome) => self.wrote_same(asked, task, &outcome),
            (Stage::Unmap | Stage::Flush, Outcome::Done) => Ok(Step::Done(Reply::good(asked))),
            (Stage::LbaStatus(task), Outcome::Extents(extents)) => self.lba_status(*task, &extents),
            _ => Err(INTERNAL_FAILURE),
        }
    }

    /// Less than was asked for is a medium that cannot be read from the first missing block on.
    fn check_length(&self, data: &DataList, len: u64, offset: u64) -> Result<(), Sense> {
        let got = data.len() as u64;
        if got == len {
            Ok(())
        } else {
            Err(self.read_fault(IoError::Medium { offset: offset + got.min(len) }))
        }
    }

    fn read_fault(&self, error: IoError) -> Sense {
        match error {
            IoError::Medium { offset } => self.medium_error(AdditionalSense::UNRECOVERED_READ_ERROR, offset),
            _ => INTERNAL_FAILURE,
        }
    }

    pub(super) fn write_fault(&self, error: IoError) -> Sense {
        match error {
            IoError::Medium { offset } => self.medium_error(AdditionalSense::WRITE_ERROR, offset),
            IoError::NoSpace => {
                Sense::new(SenseKey::DataProtect, AdditionalSense::SPACE_ALLOCATION_FAILED_WRITE_PROTECT)
            }
            IoError::ReadOnly => Sense::new(SenseKey::DataProtect, AdditionalSense::WRITE_PROTECTED),
            IoError::Unsupported | IoError::Other => INTERNAL_FAILURE,
        }
    }

    fn medium_error(&self, additional: AdditionalSense, offset: u64) -> Sense {
        Sense::new(SenseKey::MediumError, additional)
            .with_information(offset >> self.config().block_size.shift())
    }

    /// The step that carries out `op`, unless the capacity has shrunk below it since the command was checked.
    #[inline]
    pub(super) fn io(&self, op: Op, transfer_len: u32, stage: Stage) -> Step {
        let capacity = self.offset(self.blocks());
        let fits = |offset: u64, len: u64| offset.checked_add(len).is_some_and(|end| end <= capacity);
        let fits = match &op {
            Op::Read { offset, len } => fits(*offset, u64::from(*len)),
            Op::Write { offset, data, .. } => fits(*offset, data.len() as u64),
            Op::WriteZeroes { offset, len, .. } | Op::Extents { offset, len, .. } => fits(*offset, *len),
            Op::Unmap { ranges } => ranges.iter().all(|&(offset, len)| fits(offset, len)),
            Op::Flush => true,
        };
        if !fits {
            return self.fail(&out_of_range(self.blocks()), transfer_len);
        }
        Step::Io { op, task: Task { nexus: self.nexus, transfer_len, stage } }
    }

    #[inline]
    pub(super) fn max_transfer_blocks(&self) -> u32 {
        self.config().max_transfer >> self.config().block_size.shift()
    }

    /// Bytes of the next operation of a command that has `left` bytes to go.
    pub(super) fn piece_len(&self, left: u64) -> usize {
        usize::try_from(left.min(u64::from(self.config().chunk))).unwrap_or(usize::MAX)
    }
}

/// Data behind the length that was asked for is not looked at.
#[inline]
pub(super) fn cut(data: &mut DataList, asked: u32) {
    data.truncate(usize::try_from(asked).unwrap_or(usize::MAX));
}
