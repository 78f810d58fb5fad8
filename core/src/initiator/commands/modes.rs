//! Mode parameters and power.

use super::{ANSWER, cdb, change, query};
use crate::initiator::{Command, Repeat};
use crate::scsi::opcode;
use crate::wire::Lun;
use crate::{DataList, Misuse};

/// Which values of a mode page are asked for (PC, SPC-4 clause 6.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PageControl {
    /// Those in force.
    #[default]
    Current,
    /// A one in every bit that MODE SELECT can change.
    Changeable,
    /// Those that the unit starts with.
    Default,
    /// Those that were saved.
    Saved,
}

impl PageControl {
    const fn with_page(self, page: u8) -> u8 {
        let control = match self {
            PageControl::Current => 0,
            PageControl::Changeable => 1,
            PageControl::Default => 2,
            PageControl::Saved => 3,
        };
        control << 6 | page & 0x3f
    }
}

/// Whether MODE SELECT is to keep the values for the time after the unit was off (SP).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Save {
    /// They hold until then.
    #[default]
    No,
    /// They are saved.
    Yes,
}

/// MODE SENSE(6) (SPC-4 clause 6.11). [`ModeData::decode_6`](crate::scsi::mode::ModeData::decode_6) reads the answer.
pub fn mode_sense_6(lun: Lun, page: u8, subpage: u8) -> Command {
    mode_sense_6_with(lun, page, subpage, PageControl::Current)
}

/// [`mode_sense_6`] of other values than those in force.
pub fn mode_sense_6_with(lun: Lun, page: u8, subpage: u8, control: PageControl) -> Command {
    let fields: [(usize, &[u8]); 1] = [(2, &[control.with_page(page), subpage, u8::MAX])];
    query(lun, cdb(opcode::MODE_SENSE_6, &fields), u32::from(u8::MAX))
}

/// MODE SENSE(10) (SPC-4 clause 6.12). [`ModeData::decode_10`](crate::scsi::mode::ModeData::decode_10) reads the answer.
pub fn mode_sense_10(lun: Lun, page: u8, subpage: u8) -> Command {
    mode_sense_10_with(lun, page, subpage, PageControl::Current)
}

/// [`mode_sense_10`] of other values than those in force.
pub fn mode_sense_10_with(lun: Lun, page: u8, subpage: u8, control: PageControl) -> Command {
    let fields: [(usize, &[u8]); 2] = [(2, &[control.with_page(page), subpage]), (7, &ANSWER.to_be_bytes())];
    query(lun, cdb(opcode::MODE_SENSE_10, &fields), u32::from(ANSWER))
}

/// MODE SELECT(6) (SPC-4 clause 6.9) of one page, header included, as MODE SENSE returned it and the caller changed it.
/// PS, which is reserved here, is cleared.
///
/// # Errors
/// [`Misuse::InvalidArgument`] when `page` is not a whole page, or too long for this command.
pub fn mode_select_6(lun: Lun, page: &[u8], save: Save) -> Result<Command, Misuse> {
    let list = parameter_list(4, page)?;
    let len = u8::try_from(list.len()).map_err(|_| TOO_LONG)?;
    let fields: [(usize, &[u8]); 2] = [(1, &[select_flags(save)]), (4, &[len])];
    Ok(change(lun, cdb(opcode::MODE_SELECT_6, &fields), list.into(), Repeat::Never))
}

/// MODE SELECT(10) (SPC-4 clause 6.10), else as [`mode_select_6`].
///
/// # Errors
/// As [`mode_select_6`].
pub fn mode_select_10(lun: Lun, page: &[u8], save: Save) -> Result<Command, Misuse> {
    let list = parameter_list(8, page)?;
    let len = u16::try_from(list.len()).map_err(|_| TOO_LONG)?;
    let fields: [(usize, &[u8]); 2] = [(1, &[select_flags(save)]), (7, &len.to_be_bytes())];
    Ok(change(lun, cdb(opcode::MODE_SELECT_10, &fields), list.into(), Repeat::Never))
}

const TOO_LONG: Misuse = Misuse::InvalidArgument("the mode page is too long for the command");

/// A mode parameter header of zeros, without block descriptors, and the page.
fn parameter_list(header: usize, page: &[u8]) -> Result<Vec<u8>, Misuse> {
    let whole = match *page {
        [first, _, high, low, ..] if first & 0x40 != 0 => {
            Some(4 + usize::from(u16::from_be_bytes([high, low])))
        }
        [first, len, ..] if first & 0x40 == 0 => Some(2 + usize::from(len)),
        _ => None,
    };
    if whole != Some(page.len()) {
        return Err(Misuse::InvalidArgument("the mode page is not as long as its header says"));
    }
    let mut list = vec![0; header];
    list.extend(page);
    list[header] &= 0x7f;
    Ok(list)
}

const fn select_flags(save: Save) -> u8 {
    const PF: u8 = 0x10;
    match save {
        Save::No => PF,
        Save::Yes => PF | 0x01,
    }
}

/// What START STOP UNIT is to bring about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartStop {
    /// START: the unit takes commands on its blocks.
    Start,
    /// It does not; its caches are flushed first.
    Stop,
    /// LOEJ and START: the medium is loaded.
    Load,
    /// LOEJ: the medium is ejected.
    Eject,
}

/// START STOP UNIT (SBC-3); the answer comes when it is done.
pub fn start_stop(lun: Lun, to: StartStop) -> Command {
    let bits = match to {
        StartStop::Start => 0x01,
        StartStop::Stop => 0x00,
        StartStop::Load => 0x03,
        StartStop::Eject => 0x02,
    };
    change(lun, cdb(opcode::START_STOP_UNIT, &[(4, &[bits])]), DataList::new(), Repeat::Never)
}
