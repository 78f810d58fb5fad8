//! Answers that do not come from a logical unit: REPORT LUNS (SPC-4 clause 6.33), and commands to LUNs without one.

use super::table::first_forbidden_bit;
use super::{LogicalUnit, NexusId, Reply, Request, Step};
use crate::scsi::{AdditionalSense, Cdb, FieldPointer, Sense, SenseFormat, StandardInquiry, opcode};
use crate::wire::Lun;

/// CDB usage map of REPORT LUNS.
pub(super) const REPORT_LUNS_USAGE: [u8; 12] = [0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0];

/// The answer to REPORT LUNS on a nexus that sees `luns`, for any LUN that the command was sent to.
///
/// Once it is delivered, [`LogicalUnit::luns_reported`] tells the units of that nexus.
pub fn report_luns(cdb: &Cdb, luns: &[Lun]) -> Reply {
    match luns_data(cdb, luns) {
        Ok(data) => Reply::parameters(data, cdb.u32_at(6), u32::MAX),
        Err(sense) => Reply::check_condition(&sense, SenseFormat::Fixed, 0),
    }
}

fn luns_data(cdb: &Cdb, luns: &[Lun]) -> Result<Vec<u8>, Sense> {
    if let Some((byte, bit)) = first_forbidden_bit(cdb, &REPORT_LUNS_USAGE) {
        return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(byte, bit)));
    }
    let luns = match cdb.byte(2) {
        // All that the initiator may address, and all without or with well known units: there are none of those.
        0x00 | 0x02 => luns,
        // Well known logical units; administrative and subsidiary ones.
        0x01 | 0x10..=0x12 => &[],
        _ => return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb(2))),
    };
    if cdb.u32_at(6) < 16 {
        return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb(6)));
    }
    let mut data = Vec::with_capacity(8 + 8 * luns.len());
    data.extend(u32::try_from(8 * luns.len()).unwrap_or(!7).to_be_bytes());
    data.extend([0; 4]);
    data.extend(luns.iter().flat_map(|lun| lun.0.to_be_bytes()));
    Ok(data)
}

/// The answer to a command for a LUN behind which there is no unit (SPC-4 clause 6.6.2, SAM-5 clause 5.11).
///
/// REPORT LUNS is answered for such a LUN too, with [`report_luns`].
pub fn absent_unit(cdb: &Cdb) -> Reply {
    const ABSENT: Sense = Sense::illegal(AdditionalSense::LOGICAL_UNIT_NOT_SUPPORTED);
    match cdb.opcode() {
        // Of the VPD pages there is the list of pages alone, and it names itself.
        opcode::INQUIRY if cdb.byte(2) != 0 => {
            let sense = Sense::invalid_field_in_cdb(FieldPointer::cdb(2));
            Reply::check_condition(&sense, SenseFormat::Fixed, 0)
        }
        opcode::INQUIRY if cdb.byte(1) & 1 == 1 => {
            let page = vec![StandardInquiry::ABSENT, 0, 0, 1, 0];
            Reply::parameters(page, u32::from(cdb.u16_at(3)), u32::MAX)
        }
        opcode::INQUIRY => {
            let data = StandardInquiry {
                peripheral: StandardInquiry::ABSENT,
                vendor: [b' '; 8],
                product: [b' '; 16],
                revision: [b' '; 4],
            };
            Reply::parameters(data.encode().to_vec(), u32::from(cdb.u16_at(3)), u32::MAX)
        }
        opcode::REQUEST_SENSE => {
            let format = if cdb.byte(1) & 1 == 0 { SenseFormat::Fixed } else { SenseFormat::Descriptor };
            Reply::parameters(ABSENT.encode(format).to_vec(), u32::from(cdb.byte(4)), u32::MAX)
        }
        _ => Reply::check_condition(&ABSENT, SenseFormat::Fixed, 0),
    }
}

impl LogicalUnit {
    /// REPORT LUNS that the caller has not answered with [`report_luns`]: a unit by itself is LUN 0.
    pub(super) fn report_luns(&mut self, nexus: NexusId, request: &Request<'_>) -> Result<Step, Sense> {
        let data = luns_data(request.cdb, &[Lun::ZERO])?;
        self.luns_reported(nexus);
        Ok(Step::Done(Reply::parameters(data, request.cdb.u32_at(6), request.data_in)))
    }
}
