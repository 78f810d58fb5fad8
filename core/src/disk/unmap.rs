//! UNMAP, SBC-3 clause 5.25.

use super::blocks::out_of_range;
use super::step::Stage;
use super::{Op, Reply, Request, Step, View};
use crate::DataList;
use crate::scsi::{AdditionalSense, FieldPointer, Sense};

const LENGTH_ERROR: Sense = Sense::illegal(AdditionalSense::PARAMETER_LIST_LENGTH_ERROR);
const HEADER_LEN: usize = 8;
const DESCRIPTOR_LEN: usize = 16;

impl View {
    /// UNMAP.
    pub(super) fn unmap(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let len = u32::from(request.cdb.u16_at(7));
        match usize::from(request.cdb.u16_at(7)) {
            0 => Ok(Step::Done(Reply::good(0))),
            n if n < HEADER_LEN => Err(LENGTH_ERROR.at(FieldPointer::cdb(7))),
            _ => Ok(self.need_data(len, Stage::UnmapData)),
        }
    }

    /// Checks the parameter list, all of it before anything is unmapped.
    pub(super) fn unmap_data(&self, asked: u32, data: &DataList) -> Result<Step, Sense> {
        let ranges = self.parse_unmap(&data.to_bytes())?;
        if ranges.is_empty() {
            return Ok(Step::Done(Reply::good(asked)));
        }
        Ok(self.io(Op::Unmap { ranges }, asked, Stage::Unmap))
    }

    fn parse_unmap(&self, list: &[u8]) -> Result<Vec<(u64, u64)>, Sense> {
        let (header, rest) = list.split_first_chunk::<HEADER_LEN>().ok_or(LENGTH_ERROR)?;
        let [_, _, high, low, ..] = *header;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let descriptors = rest.get(..len).ok_or(LENGTH_ERROR)?;
        // An incomplete descriptor at the end is ignored.
        let (descriptors, _) = descriptors.as_chunks::<DESCRIPTOR_LEN>();
        if descriptors.len() > usize::from(self.config().max_unmap_descriptors) {
            return Err(Sense::invalid_field_in_parameter_list(FieldPointer::data(2)));
        }
        let mut ranges = Vec::with_capacity(descriptors.len());
        let mut total = 0u64;
        for (i, descriptor) in descriptors.iter().enumerate() {
            let [a, b, c, d, e, f, g, h, i0, i1, i2, i3, ..] = *descriptor;
            let lba = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            let count = u64::from(u32::from_be_bytes([i0, i1, i2, i3]));
            total += count;
            if total > u64::from(self.config().max_unmap_blocks) {
                let at = HEADER_LEN + DESCRIPTOR_LEN * i + 8;
                return Err(Sense::invalid_field_in_parameter_list(FieldPointer::data(at as u16)));
            }
            if count != 0 {
                self.check_range(lba, count)?;
                ranges.push((self.offset(lba), self.offset(count)));
            } else if lba > self.blocks() {
                return Err(out_of_range(lba));
            }
        }
        Ok(ranges)
    }
}
