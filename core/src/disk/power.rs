//! TEST UNIT READY, START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL.

use super::step::Stage;
use super::{LogicalUnit, NexusId, Op, Reply, Request, Step, View};
use crate::scsi::{FieldPointer, Sense};

impl View {
    /// TEST UNIT READY (SPC-4 clause 6.47): the checks before every command have said it all.
    pub(super) fn test_unit_ready(&self, _: &Request<'_>) -> Result<Step, Sense> {
        Ok(Step::Done(Reply::good(0)))
    }

    /// PREVENT ALLOW MEDIUM REMOVAL (SPC-4 clause 6.16): the medium cannot be removed, so both wishes are fulfilled.
    pub(super) fn prevent_allow(&self, _: &Request<'_>) -> Result<Step, Sense> {
        Ok(Step::Done(Reply::good(0)))
    }
}

impl LogicalUnit {
    /// START STOP UNIT (SBC-3 clause 5.20). A stop flushes first, unless NO_FLUSH says otherwise.
    ///
    /// The power conditions are START_VALID and ACTIVE; the medium cannot be loaded or ejected.
    pub(super) fn start_stop_unit(&mut self, nexus: NexusId, request: &Request<'_>) -> Result<Step, Sense> {
        let byte = request.cdb.byte(4);
        let (condition, no_flush, start) = (byte >> 4, byte & 0x04 != 0, byte & 0x01 != 0);
        match (condition, start) {
            (0, false) if no_flush => self.set_stopped(true),
            (0, false) => return Ok(self.sight(nexus).io(Op::Flush, 0, Stage::FlushThenStop)),
            (0, true) | (1, _) => self.set_stopped(false),
            _ => return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(4, 7))),
        }
        Ok(Step::Done(Reply::good(0)))
    }
}
