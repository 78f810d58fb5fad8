//! MODE SENSE, SPC-4 clauses 6.11 and 6.12.

use super::{Reply, Request, Step, View};
use crate::scsi::mode::{self, ModePage, Modes};
use crate::scsi::{AdditionalSense, FieldPointer, Sense, opcode};

impl View {
    /// MODE SENSE (6) and (10).
    pub(super) fn mode_sense(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let cdb = request.cdb;
        let long = cdb.opcode() == opcode::MODE_SENSE_10;
        let pages = self.mode_pages(cdb.byte(2), cdb.byte(3))?;
        let descriptor = match (cdb.byte(1) & 0x08 != 0, long && cdb.byte(1) & 0x10 != 0) {
            (true, _) => Vec::new(),
            (false, false) => self.short_block_descriptor().to_vec(),
            (false, true) => self.long_block_descriptor().to_vec(),
        };
        let rest = descriptor.len() + pages.len();
        let specific = self.device_specific();
        let mut data = match long {
            // MODE DATA LENGTH does not count itself. All pages together stay far below 255 bytes.
            false => vec![(3 + rest) as u8, 0, specific, descriptor.len() as u8],
            true => {
                let long_lba = u8::from(descriptor.len() == 16);
                vec![0, (6 + rest) as u8, 0, specific, long_lba, 0, 0, descriptor.len() as u8]
            }
        };
        data.extend(descriptor);
        data.extend(pages);
        let allocation = if long { u32::from(cdb.u16_at(7)) } else { u32::from(cdb.byte(4)) };
        Ok(Step::Done(Reply::parameters(data, allocation, request.data_in)))
    }

    /// The pages that PC, PAGE CODE and SUBPAGE CODE ask for.
    fn mode_pages(&self, pc_and_page: u8, subpage: u8) -> Result<Vec<u8>, Sense> {
        let defaults = self.config().default_modes();
        let page: &dyn Fn(u8) -> Option<ModePage> = match pc_and_page >> 6 {
            0 => &|code| self.modes().page(code),
            1 => &Modes::changeable,
            2 => &|code| defaults.page(code),
            _ => {
                let sense = Sense::illegal(AdditionalSense::SAVING_PARAMETERS_NOT_SUPPORTED);
                return Err(sense.at(FieldPointer::cdb_bit(2, 7)));
            }
        };
        // No page has subpages, so that "all subpages" are the pages themselves.
        if subpage != 0 && subpage != mode::ALL_SUBPAGES {
            return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb(3)));
        }
        let code = pc_and_page & 0x3f;
        if code == mode::ALL_PAGES {
            return Ok(mode::PAGES
                .iter()
                .filter_map(|&c| page(c))
                .flat_map(|p| p.as_bytes().to_vec())
                .collect());
        }
        let page = page(code).ok_or(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(2, 5)))?;
        Ok(page.as_bytes().to_vec())
    }

    /// DEVICE-SPECIFIC PARAMETER (SBC-3 clause 6.5.1): WP and DPOFUA.
    fn device_specific(&self) -> u8 {
        u8::from(self.check_writeable().is_err()) << 7 | 0x10
    }

    /// The short LBA mode parameter block descriptor (SBC-3 clause 6.5.2.2).
    pub(super) fn short_block_descriptor(&self) -> [u8; 8] {
        let mut out = [0; 8];
        out[..4].copy_from_slice(&u32::try_from(self.blocks()).unwrap_or(u32::MAX).to_be_bytes());
        out[4..].copy_from_slice(&self.config().block_size.bytes().to_be_bytes());
        out
    }

    /// The long LBA mode parameter block descriptor (SBC-3 clause 6.5.2.3).
    pub(super) fn long_block_descriptor(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.blocks().to_be_bytes());
        out[12..].copy_from_slice(&self.config().block_size.bytes().to_be_bytes());
        out
    }
}
