//! GET LBA STATUS, SBC-3 clause 5.4.

use super::step::Stage;
use super::{Allocation, Op, Reply, Request, Step, View};
use crate::scsi::Sense;

/// A question for extents that is being answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatusTask {
    lba: u64,
    /// Blocks that were asked about.
    count: u64,
    /// LBA status descriptors that there is room for.
    most: u32,
    allocation: u32,
    data_in: u32,
}

impl View {
    /// GET LBA STATUS: asks storage for as many extents as there is room for descriptors.
    pub(super) fn get_lba_status(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let lba = request.cdb.u64_at(2);
        self.check_range(lba, 1)?;
        let allocation = request.cdb.u32_at(10);
        // There is always one descriptor; where it does not fit, PARAMETER DATA LENGTH tells of it all the same.
        let most = (allocation.saturating_sub(HEADER_LEN) / DESCRIPTOR_LEN).clamp(1, MAX_DESCRIPTORS);
        let count = (self.blocks() - lba).min(u64::from(most) * MAX_COUNT);
        let task = StatusTask { lba, count, most, allocation, data_in: request.data_in };
        let op = Op::Extents { offset: self.offset(lba), len: self.offset(count), most };
        Ok(self.io(op, 0, Stage::LbaStatus(Box::new(task))))
    }

    /// Turns what storage told into descriptors.
    pub(super) fn lba_status(&self, task: StatusTask, extents: &[(u64, Allocation)]) -> Result<Step, Sense> {
        // Again, because the capacity may have shrunk since.
        self.check_range(task.lba, 1)?;
        let count = task.count.min(self.blocks() - task.lba);
        let mut descriptors = Vec::new();
        let (mut lba, mut written) = (task.lba, 0);
        for (mut left, allocation) in self.runs_of_blocks(extents, count) {
            // A run of more blocks than a descriptor can count takes several.
            while left > 0 && written < task.most {
                let count = left.min(MAX_COUNT);
                descriptors.extend(lba.to_be_bytes());
                descriptors.extend((count as u32).to_be_bytes());
                descriptors.extend([provisioning_status(allocation), 0, 0, 0]);
                (lba, left, written) = (lba + count, left - count, written + 1);
            }
        }
        // PARAMETER DATA LENGTH counts what follows it: four reserved bytes and the descriptors.
        let len = HEADER_LEN - 4 + written * DESCRIPTOR_LEN;
        let mut data = [len.to_be_bytes(), [0; 4]].concat();
        data.append(&mut descriptors);
        Ok(Step::Done(Reply::parameters(data, task.allocation, task.data_in)))
    }

    /// Runs of blocks, of which neighbours differ, out of runs of bytes. Only a block that has no storage at all is
    /// deallocated. There is always a run; all `count` blocks may be in it.
    fn runs_of_blocks(&self, extents: &[(u64, Allocation)], count: u64) -> Vec<(u64, Allocation)> {
        let shift = self.config().block_size.shift();
        let limit = count << shift;
        let mut runs: Vec<(u64, Allocation)> = Vec::new();
        let (mut byte, mut block) = (0u64, 0);
        for &(len, allocation) in extents.iter().filter(|(len, _)| *len > 0) {
            byte = byte.saturating_add(len).min(limit);
            let end = match allocation {
                Allocation::Mapped => byte.div_ceil(1 << shift),
                Allocation::Deallocated => byte >> shift,
            };
            if end <= block {
                continue; // Not a block of its own: what comes next, or what was before, has it.
            }
            match runs.last_mut() {
                Some(last) if last.1 == allocation => last.0 += end - block,
                _ => runs.push((end - block, allocation)),
            }
            block = end;
        }
        if runs.is_empty() {
            // Nothing is known, or of a part of the first block only.
            runs.push((if byte == 0 { count } else { 1 }, Allocation::Mapped));
        }
        runs
    }
}

const fn provisioning_status(allocation: Allocation) -> u8 {
    match allocation {
        Allocation::Mapped => 0,
        Allocation::Deallocated => 1,
    }
}

const HEADER_LEN: u32 = 8;
const DESCRIPTOR_LEN: u32 = 16;
/// The most blocks that a descriptor can count.
const MAX_COUNT: u64 = u32::MAX as u64;
/// The most descriptors of one answer: what follows takes another command.
const MAX_DESCRIPTORS: u32 = 256;
