//! READ CAPACITY, SBC-3 clauses 5.15 and 5.16.

use super::{Provisioning, Reply, Request, Step, View};
use crate::scsi::Sense;

impl View {
    /// READ CAPACITY (10): 2^32 - 1 when the last address does not fit.
    pub(super) fn read_capacity_10(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let last = u32::try_from(self.blocks() - 1).unwrap_or(u32::MAX);
        let data = [last.to_be_bytes(), self.config().block_size.bytes().to_be_bytes()].concat();
        Ok(Step::Done(Reply::parameters(data, 8, request.data_in)))
    }

    /// READ CAPACITY (16).
    pub(super) fn read_capacity_16(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let mut data = vec![0; 32];
        data[..8].copy_from_slice(&(self.blocks() - 1).to_be_bytes());
        data[8..12].copy_from_slice(&self.config().block_size.bytes().to_be_bytes());
        data[13] = self.config().physical_block_exponent;
        if self.config().provisioning == Provisioning::Thin {
            data[14] = 0xc0; // LBPME, LBPRZ
        }
        Ok(Step::Done(Reply::parameters(data, request.cdb.u32_at(10), request.data_in)))
    }
}
