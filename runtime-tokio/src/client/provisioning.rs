//! What disks do beside reading and writing: giving blocks back, filling them, comparing them.

use bytes::Bytes;
use iscsicore::DataList;
use iscsicore::initiator::commands::{self, Deallocate};
use iscsicore::scsi::{LbaStatus, Sense, SenseKey, Status, decode_lba_status};

use super::io::{pieces, side_by_side};
use super::{Client, ClientError, Result};

/// What came of a COMPARE AND WRITE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompareResult {
    /// The blocks were as expected, and are now as wanted.
    Written,
    /// They were not, and have not changed.
    Different {
        /// The first byte that differs, counted from the first block, if the target told.
        offset: Option<u64>,
    },
}

/// Descriptors in one UNMAP where the unit does not say how many it takes.
const DESCRIPTORS: usize = 256;

/// Blocks in one WRITE SAME where the unit does not say how many it takes, in bytes.
const SAME_BYTES: u64 = 64 << 20;

impl Client {
    /// Gives back the storage of ranges of blocks, each a first block and how many. What they read as afterwards is the
    /// unit's choice, unless [`Capacity::read_zeroes`](super::Capacity::read_zeroes) says that it is zeros.
    ///
    /// # Errors
    /// [`ClientError`]. Some of the ranges may have been unmapped.
    pub async fn unmap(&self, ranges: &[(u64, u32)]) -> Result<()> {
        let limits = self.disk()?.block_limits();
        let commands = unmap_commands(ranges, limits.max_unmap_blocks, limits.max_unmap_descriptors);
        let job = async |ranges: Vec<(u64, u32)>| self.good(commands::unmap(self.unit.wire, &ranges)?).await;
        side_by_side(commands, job, Result::is_err).await.first_error()
    }

    /// Writes one block over and over, to `blocks` blocks from `lba` on: WRITE SAME(16).
    ///
    /// # Errors
    /// [`ClientError`]. Some of the blocks may have been written.
    pub async fn write_same(&self, lba: u64, blocks: u64, block: Bytes) -> Result<()> {
        let size = self.disk()?.block_size();
        if block.len() != size as usize {
            return Err(ClientError::misuse(format!(
                "{} bytes are not one block of {size} bytes",
                block.len()
            )));
        }
        self.fill(lba, blocks, block, Deallocate::No).await
    }

    /// Makes `blocks` blocks from `lba` on read as zeros, as cheaply as the unit can: by giving them back where that means
    /// zeros, else with WRITE SAME, and by writing zeros where the unit does not know that.
    ///
    /// # Errors
    /// [`ClientError`]. Some of the blocks may have been written.
    pub async fn write_zeroes(&self, lba: u64, blocks: u64) -> Result<()> {
        let size = self.disk()?.block_size();
        let gives_zeroes = self.capacity().is_some_and(|c| c.thin && c.read_zeroes);
        let deallocate = if gives_zeroes { Deallocate::Allowed } else { Deallocate::No };
        match self.fill(lba, blocks, Bytes::from(vec![0; size as usize]), deallocate).await {
            Err(error) if does_not_know(&error) => self.send_zeroes(lba, blocks).await,
            done => done,
        }
    }

    /// Writes `wanted` to the blocks from `lba` on if they hold `expected`, in one step: COMPARE AND WRITE.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Unknown`] when the connection was lost before the answer: it is never sent twice.
    pub async fn compare_and_write(
        &self,
        lba: u64,
        expected: impl Into<DataList>,
        wanted: impl Into<DataList>,
    ) -> Result<CompareResult> {
        let (mut data, wanted) = (expected.into(), wanted.into());
        let size = self.disk()?.block_size() as usize;
        if data.len() != wanted.len() || data.is_empty() || !data.len().is_multiple_of(size) {
            return Err(ClientError::misuse(format!(
                "{} bytes to compare and {} to write are not equally many whole blocks of {size} bytes",
                data.len(),
                wanted.len()
            )));
        }
        let blocks = u8::try_from(data.len() / size)
            .map_err(|_| ClientError::misuse("COMPARE AND WRITE takes at most 255 blocks"))?;
        data.append(wanted);
        let command = commands::compare_and_write(self.unit.wire, lba, data, blocks)?;
        match self.good(command).await {
            Ok(_) => Ok(CompareResult::Written),
            Err(error) => match error.sense() {
                Some(Sense { key: SenseKey::Miscompare, information, .. }) => {
                    Ok(CompareResult::Different { offset: *information })
                }
                _ => Err(error),
            },
        }
    }

    /// What storage the blocks from `lba` on have: GET LBA STATUS. The runs follow one another and may end before the last
    /// block; ask again from there.
    ///
    /// # Errors
    /// [`ClientError`]; many targets do not carry the command out.
    pub async fn get_lba_status(&self, lba: u64) -> Result<Vec<LbaStatus>> {
        const ALLOCATION: u32 = 8 + 16 * 256;
        self.disk()?;
        let command = commands::get_lba_status(self.unit.wire, lba, ALLOCATION)?;
        let cdb = command.cdb.clone();
        let answer = self.good(command).await?;
        let list = decode_lba_status(&answer.data.to_bytes());
        let short = || self.session.shared.bad_answer(self.unit.wire, &cdb, "it is too short");
        list.map(|list| list.entries).ok_or_else(short)
    }

    async fn fill(&self, lba: u64, blocks: u64, block: Bytes, deallocate: Deallocate) -> Result<()> {
        let most = match self.block_limits().max_write_same {
            0 => SAME_BYTES / block.len() as u64,
            most => most,
        };
        let lun = self.unit.wire;
        let job = async |(lba, blocks)| {
            self.good(commands::write_same(lun, lba, blocks, block.clone(), deallocate)?).await
        };
        side_by_side(pieces(lba, blocks, most)?, job, Result::is_err).await.first_error()
    }

    async fn send_zeroes(&self, lba: u64, blocks: u64) -> Result<()> {
        let most = self.unit.max_transfer();
        let zeroes = Bytes::from(vec![0; most as usize * self.block_size() as usize]);
        let job = async |(lba, blocks): (u64, u32)| {
            self.write(lba, zeroes.slice(..blocks as usize * self.block_size() as usize)).await
        };
        side_by_side(pieces(lba, blocks, most.into())?, job, Result::is_err).await.first_error()
    }
}

/// Whether the unit does not carry the command out at all, or not in this form.
fn does_not_know(error: &ClientError) -> bool {
    error.status() == Some(Status::CHECK_CONDITION)
        && error
            .sense()
            .is_some_and(|s| s.key == SenseKey::IllegalRequest && matches!(s.additional.code, 0x20 | 0x24))
}

/// Sorts ranges into commands that exceed neither the blocks nor the descriptors that a unit takes; 0 where it says
/// nothing.
fn unmap_commands(ranges: &[(u64, u32)], most_blocks: u32, most_descriptors: u32) -> Vec<Vec<(u64, u32)>> {
    let most_blocks = if most_blocks == 0 { u32::MAX } else { most_blocks };
    let most_descriptors = match most_descriptors {
        0 => DESCRIPTORS,
        most => (most as usize).min(DESCRIPTORS),
    };
    let mut commands = Vec::new();
    let (mut command, mut room) = (Vec::new(), most_blocks);
    for (lba, blocks) in ranges {
        let (mut lba, mut left) = (*lba, *blocks);
        while left > 0 {
            let len = left.min(room);
            command.push((lba, len));
            (lba, left, room) = (lba.saturating_add(len.into()), left - len, room - len);
            if room == 0 || command.len() == most_descriptors {
                commands.push(std::mem::take(&mut command));
                room = most_blocks;
            }
        }
    }
    if !command.is_empty() {
        commands.push(command);
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmap_commands_keep_within_both_limits() {
        let ranges = [(0, 5), (100, 0), (10, 3), (20, 12)];
        assert_eq!(unmap_commands(&ranges, 0, 0), [vec![(0, 5), (10, 3), (20, 12)]]);
        assert_eq!(unmap_commands(&ranges, 8, 0), [vec![(0, 5), (10, 3)], vec![(20, 8)], vec![(28, 4)]]);
        assert_eq!(unmap_commands(&ranges, 0, 2), [vec![(0, 5), (10, 3)], vec![(20, 12)]]);
        assert_eq!(
            unmap_commands(&ranges, 6, 1),
            [vec![(0, 5)], vec![(10, 3)], vec![(20, 6)], vec![(26, 6)]]
        );
        assert!(unmap_commands(&[(7, 0)], 1, 1).is_empty());
    }
}
