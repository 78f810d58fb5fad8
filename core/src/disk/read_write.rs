//! READ and WRITE, SBC-3 clauses 5.10 to 5.14 and 5.27 to 5.31.

use super::blocks::Extent;
use super::step::{ReadTask, Stage};
use super::verify::VerifyTask;
use super::{Op, Reply, Request, Step, View};
use crate::DataList;
use crate::scsi::Sense;

const FUA: u8 = 0x08;

/// A write whose data is awaited.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteTask {
    /// Where, in bytes.
    pub(super) offset: u64,
    pub(super) fua: bool,
    /// The check that follows, for WRITE AND VERIFY.
    pub(super) verify: Option<Check>,
}

/// What WRITE AND VERIFY does after the write (BYTCHK).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Check {
    /// Read.
    Readable,
    /// Read and compare with what was written.
    Equal,
}

impl View {
    /// READ (6), (10), (12), (16).
    ///
    /// No more is read than the initiator takes, but the reply states what the CDB asks for.
    pub(super) fn read(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let extent = Extent::of(request.cdb);
        self.check_transfer(extent)?;
        let block = self.config().block_size.bytes();
        let asked = self.transfer_bytes(extent.count);
        let deliver = asked.min(request.data_in);
        let read = ReadTask {
            offset: self.offset(extent.lba),
            len: deliver.next_multiple_of(block),
            deliver,
            asked,
        };
        if read.len == 0 {
            return Ok(Step::Done(Reply::good(asked)));
        }
        // What a volatile cache holds is not yet on the medium, and a FUA read is to see the medium (SBC-3 clause 5.11).
        if is_fua(request) && self.modes().write_cache {
            return Ok(self.io(Op::Flush, 0, Stage::FlushThenRead(read)));
        }
        Ok(self.start_read(read))
    }

    #[inline]
    pub(super) fn start_read(&self, read: ReadTask) -> Step {
        self.io(Op::Read { offset: read.offset, len: read.len }, 0, Stage::Read(read))
    }

    #[inline]
    pub(super) fn finish_read(read: ReadTask, mut data: DataList) -> Step {
        data.truncate(usize::try_from(read.deliver).unwrap_or(usize::MAX));
        Step::Done(Reply { data, ..Reply::good(read.asked) })
    }

    /// WRITE (6), (10), (12), (16).
    pub(super) fn write(&self, request: &Request<'_>) -> Result<Step, Sense> {
        self.write_and_then(request, is_fua(request), None)
    }

    /// WRITE AND VERIFY (10), (12), (16): the medium is checked, so the write goes there.
    pub(super) fn write_and_verify(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let check = if request.cdb.byte(1) & 0x02 != 0 { Check::Equal } else { Check::Readable };
        self.write_and_then(request, true, Some(check))
    }

    fn write_and_then(&self, request: &Request<'_>, fua: bool, verify: Option<Check>) -> Result<Step, Sense> {
        let extent = Extent::of(request.cdb);
        self.check_transfer(extent)?;
        if extent.count == 0 {
            return Ok(Step::Done(Reply::good(0)));
        }
        let write = WriteTask { offset: self.offset(extent.lba), fua, verify };
        let len = self.transfer_bytes(extent.count);
        Ok(self.need_data(len, Stage::WriteData(write)))
    }

    /// Writes the whole blocks of what arrived.
    pub(super) fn write_data(&self, asked: u32, write: WriteTask, mut data: DataList) -> Step {
        let block = usize::try_from(self.config().block_size.bytes()).unwrap_or(512);
        let len = data.len() / block * block;
        if len == 0 {
            return Step::Done(Reply::good(asked));
        }
        data.truncate(len);
        let fua = write.fua || !self.modes().write_cache;
        let stage = match write.verify {
            None => Stage::Write { fua },
            Some(check) => {
                Stage::WriteThenVerify(Box::new(VerifyTask::after_write(write.offset, check, &data)))
            }
        };
        self.io(Op::Write { offset: write.offset, data, fua }, asked, stage)
    }

    /// Ends a write. One that went to a cache which has been turned off meanwhile goes to the medium first.
    #[inline]
    pub(super) fn written(&self, asked: u32, fua: bool) -> Step {
        if fua || self.modes().write_cache {
            return Step::Done(Reply::good(asked));
        }
        self.io(Op::Flush, asked, Stage::Flush)
    }
}

/// FUA; a six byte CDB has none.
#[inline]
fn is_fua(request: &Request<'_>) -> bool {
    request.cdb.opcode() >> 5 != 0 && request.cdb.byte(1) & FUA != 0
}
