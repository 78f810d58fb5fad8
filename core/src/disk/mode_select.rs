//! MODE SELECT, SPC-4 clauses 6.9 and 6.10: the whole parameter list is checked before anything changes.

use super::nexus::Attention;
use super::step::Stage;
use super::{LogicalUnit, NexusId, Op, Reply, Request, Step, View};
use crate::DataList;
use crate::scsi::mode::Modes;
use crate::scsi::{AdditionalSense, FieldPointer, Sense, opcode};

/// A parameter list that is awaited.
#[derive(Clone, Copy, Debug)]
pub(super) struct SelectTask {
    header: Header,
}

/// The mode parameter header of the CDB's length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Header {
    Six,
    Ten,
}

const LENGTH_ERROR: Sense = Sense::illegal(AdditionalSense::PARAMETER_LIST_LENGTH_ERROR);

impl LogicalUnit {
    /// MODE SELECT (6) and (10).
    pub(super) fn mode_select(&mut self, nexus: NexusId, request: &Request<'_>) -> Result<Step, Sense> {
        let cdb = request.cdb;
        let (header, len) = match cdb.opcode() {
            opcode::MODE_SELECT_10 => (Header::Ten, u32::from(cdb.u16_at(7))),
            _ => (Header::Six, u32::from(cdb.byte(4))),
        };
        if len == 0 {
            return Ok(Step::Done(Reply::good(0)));
        }
        // Without PF the pages would be in a format of ours, and we have none.
        if cdb.byte(1) & 0x10 == 0 {
            return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(1, 4)));
        }
        Ok(self.sight(nexus).need_data(len, Stage::SelectData(SelectTask { header })))
    }

    /// Checks the parameter list and takes it over. Turning the write cache off brings what it holds to the medium.
    pub(super) fn mode_data(
        &mut self,
        nexus: NexusId,
        asked: u32,
        task: SelectTask,
        data: &DataList,
    ) -> Result<Step, Sense> {
        if data.len() < usize::try_from(asked).unwrap_or(usize::MAX) {
            return Err(LENGTH_ERROR);
        }
        let old = *self.modes();
        let new = self.sight(nexus).parse_mode_list(task.header, &data.to_bytes())?;
        if new != old {
            self.set_modes(new);
            self.establish_for_others(nexus, Attention::ModeParametersChanged);
        }
        if old.write_cache && !new.write_cache {
            return Ok(self.sight(nexus).io(Op::Flush, asked, Stage::Flush));
        }
        Ok(Step::Done(Reply::good(asked)))
    }
}

impl View {
    fn parse_mode_list(&self, header: Header, list: &[u8]) -> Result<Modes, Sense> {
        let (len, medium_at) = match header {
            Header::Six => (4, 1),
            Header::Ten => (8, 2),
        };
        let (head, rest) = list.split_at_checked(len).ok_or(LENGTH_ERROR)?;
        let field = |at: usize| head.get(at).copied().unwrap_or(0);
        if field(medium_at) != 0 {
            return Err(invalid(medium_at));
        }
        // WP and DPOFUA may come back as MODE SENSE gave them (SBC-3 clause 6.5.1); they are not for changing.
        if field(medium_at + 1) & !0x90 != 0 {
            return Err(invalid(medium_at + 1));
        }
        let (descriptor_len, long_lba) = match header {
            Header::Six => (usize::from(field(3)), false),
            Header::Ten => (usize::from(field(6)) << 8 | usize::from(field(7)), field(4) & 1 == 1),
        };
        if header == Header::Ten && field(4) & !1 != 0 {
            return Err(invalid(4));
        }
        let descriptor_at = len;
        let (descriptor, mut pages) = match descriptor_len {
            0 => (&[][..], rest),
            8 if !long_lba => rest.split_at_checked(8).ok_or(LENGTH_ERROR)?,
            16 if long_lba => rest.split_at_checked(16).ok_or(LENGTH_ERROR)?,
            _ => return Err(invalid(if header == Header::Six { 3 } else { 6 })),
        };
        self.check_block_descriptor(descriptor, descriptor_at)?;
        let mut at = descriptor_at + descriptor_len;
        let mut modes = *self.modes();
        while !pages.is_empty() {
            let page_len = modes.check_page(pages, at)?;
            let (page, more) = pages.split_at_checked(page_len).ok_or(LENGTH_ERROR)?;
            modes = modes.with_page(page);
            pages = more;
            at += page_len;
        }
        Ok(modes)
    }

    /// The block descriptor may repeat what is so: capacity (or zero, or all ones) and block length.
    fn check_block_descriptor(&self, descriptor: &[u8], at: usize) -> Result<(), Sense> {
        let (short, long) = (self.short_block_descriptor(), self.long_block_descriptor());
        let (current, count_len) = match descriptor.len() {
            0 => return Ok(()),
            8 => (&short[..], 4),
            _ => (&long[..], 8),
        };
        let ((count, length), (own_count, own_length)) =
            (descriptor.split_at(count_len), current.split_at(count_len));
        let unchanged =
            count == own_count || count.iter().all(|&b| b == 0) || count.iter().all(|&b| b == 0xff);
        if !unchanged {
            return Err(invalid(at));
        }
        match length.iter().zip(own_length).position(|(a, b)| a != b) {
            Some(i) => Err(invalid(at + count_len + i)),
            None => Ok(()),
        }
    }
}

impl Modes {
    /// The length of the page at the start of `list`, which stands at byte `at` of the parameter list, after a check
    /// that it changes nothing but what can be changed.
    fn check_page(&self, list: &[u8], at: usize) -> Result<usize, Sense> {
        let code = list.first().copied().unwrap_or(0);
        // PS is reserved here; some initiators return it as they got it. SPF would announce a subpage.
        if code & 0x40 != 0 {
            return Err(invalid_bit(at, 6));
        }
        let (current, mask) = match (self.page(code & 0x3f), Modes::changeable(code & 0x3f)) {
            (Some(current), Some(mask)) => (current, mask),
            _ => return Err(invalid_bit(at, 5)),
        };
        let (current, mask) = (current.as_bytes(), mask.as_bytes());
        let length = list.get(1).ok_or(LENGTH_ERROR)?;
        if current.get(1) != Some(length) {
            return Err(invalid(at + 1));
        }
        let page = list.get(..current.len()).ok_or(LENGTH_ERROR)?;
        for (i, ((new, old), mask)) in page.iter().zip(current).zip(mask).enumerate().skip(2) {
            let wrong = (new ^ old) & !mask;
            if wrong != 0 {
                return Err(invalid_bit(at + i, 7 - wrong.leading_zeros() as u8));
            }
        }
        Ok(current.len())
    }
}

fn invalid(at: usize) -> Sense {
    Sense::invalid_field_in_parameter_list(FieldPointer::data(at as u16))
}

fn invalid_bit(at: usize, bit: u8) -> Sense {
    Sense::invalid_field_in_parameter_list(FieldPointer::data_bit(at as u16, bit))
}
