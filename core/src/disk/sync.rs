//! SYNCHRONIZE CACHE, SBC-3 clauses 5.22 and 5.23.

use super::blocks::Extent;
use super::step::Stage;
use super::{Op, Request, Step, View};
use crate::scsi::Sense;

impl View {
    /// SYNCHRONIZE CACHE (10), (16): everything is flushed, whatever the range; a count of zero means to the end.
    ///
    /// With IMMED the answer may come early, and does not.
    pub(super) fn synchronize_cache(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let extent = Extent::of(request.cdb);
        self.check_range(extent.lba, u64::from(extent.count))?;
        Ok(self.io(Op::Flush, 0, Stage::Flush))
    }
}
