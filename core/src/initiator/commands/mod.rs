//! The usual SCSI commands, ready to be sent: SPC-4 and SBC-3, with what SPC-5 and SBC-4 added to them.
//!
//! Constructors that can be given nonsense return [`Misuse`]: no blocks, data that are not whole blocks, more than a CDB
//! can say. The others return the [`Command`]. The commands of this module are sent again after a passing
//! condition ([`Transient::Retry`]); [`Repeat`] follows from what each of them does. They have no timeout and collect
//! what they receive; set [`Command::timeout`] and [`Command::sink`] as you like.
//!
//! Whatever the module has no constructor for is built with [`Command::new`]. Answers are read with the decoders in
//! [`crate::scsi`].
//!
//! ```
//! use iscsicore::initiator::commands;
//! use iscsicore::wire::Lun;
//!
//! let read = commands::read(Lun::ZERO, 2048, 8, 512)?;
//! assert_eq!(read.name(), "READ(10)");
//! assert_eq!(read.data_in, 4096);
//! # Ok::<(), iscsicore::Misuse>(())
//! ```

mod blocks;
mod information;
mod modes;
mod provisioning;
mod reservation;

use std::borrow::Cow;

use super::{Command, Repeat, Transient};
use crate::scsi::{Cdb, opcode};
use crate::wire::Lun;
use crate::{DataList, Misuse};

pub use blocks::{
    Access, compare_and_write, compare_and_write_with, flush, flush_range, read, read_with, verify,
    verify_data, write, write_with,
};
pub use information::{
    inquiry, read_capacity_10, read_capacity_16, report_luns, report_opcode_support,
    report_supported_opcodes, request_sense, test_unit_ready, vpd,
};
pub use modes::{
    PageControl, Save, StartStop, mode_select_6, mode_select_10, mode_sense_6, mode_sense_6_with,
    mode_sense_10, mode_sense_10_with, start_stop,
};
pub use provisioning::{Deallocate, get_lba_status, unmap, write_same, write_zeroes};
pub use reservation::{
    PrOut, RegisterOptions, pr_in_capabilities, pr_in_full_status, pr_in_keys, pr_in_reservation, pr_out,
    release_6, reserve_6,
};

impl Command {
    /// What people call it: `READ(10)`, `PERSISTENT RESERVE OUT (REGISTER)`.
    pub fn name(&self) -> Cow<'static, str> {
        self.cdb.name()
    }

    /// Bytes that the whole answer to this query has, as its beginning says; `None` where it is too short to say so, or the
    /// command is none that [`with_room_for`](Self::with_room_for) changes.
    pub fn stated_len(&self, answer: &[u8]) -> Option<u32> {
        let (at, width, header) = match self.cdb.opcode() {
            opcode::INQUIRY if self.cdb.byte(1) & 1 == 1 => (2, 2, 4),
            opcode::MODE_SENSE_10 => (0, 2, 2),
            opcode::PERSISTENT_RESERVE_IN if self.cdb.service_action() == 2 => (0, 2, 0),
            opcode::PERSISTENT_RESERVE_IN => (4, 4, 8),
            opcode::REPORT_LUNS => (0, 4, 8),
            _ => return None,
        };
        let field = answer.get(at..at + width)?;
        let stated = field.iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte));
        Some(stated.saturating_add(header))
    }

    /// The same query with room for an answer of `len` bytes, or of as many as the field for it can say: for an answer that
    /// told to be longer than what was asked for at first, which is little. Commands without an ALLOCATION LENGTH stay
    /// as they are.
    #[must_use]
    pub fn with_room_for(mut self, len: u32) -> Self {
        let (at, width) = match self.cdb.opcode() {
            opcode::INQUIRY => (3, 2),
            opcode::MODE_SENSE_10 | opcode::PERSISTENT_RESERVE_IN => (7, 2),
            opcode::REPORT_LUNS | opcode::MAINTENANCE_IN => (6, 4),
            _ => return self,
        };
        let len = if width == 2 { len.min(u16::MAX.into()) } else { len };
        let mut first = *self.cdb.first();
        first[at..at + width].copy_from_slice(&len.to_be_bytes()[4 - width..]);
        self.cdb = Cdb::new(first);
        self.data_in = len;
        self
    }
}

/// The longest answer that is asked for where the unit says how long it is. istgt 0.4 never answers a command other than READ
/// that asks for more.
const ANSWER: u16 = 8192;

/// A command that asks for at most `data_in` bytes and changes nothing.
fn query(lun: Lun, cdb: Cdb, data_in: u32) -> Command {
    Command { data_in, repeat: Repeat::Safe, transient: Transient::Retry, ..Command::new(lun, cdb) }
}

/// A command that changes something, and sends `data_out` for it.
fn change(lun: Lun, cdb: Cdb, data_out: DataList, repeat: Repeat) -> Command {
    Command { data_out, repeat, transient: Transient::Retry, ..Command::new(lun, cdb) }
}

/// A CDB of zeros, but for the fields given: where each begins, and its bytes.
fn cdb(opcode: u8, fields: &[(usize, &[u8])]) -> Cdb {
    let mut bytes = [0; 16];
    bytes[0] = opcode;
    for &(at, field) in fields {
        bytes[at..at + field.len()].copy_from_slice(field);
    }
    Cdb::new(bytes)
}

/// A CDB of the layout that commands on a range of blocks share: flags in byte 1, then address and count, of ten bytes
/// when they fit and `short` is there, else of sixteen.
fn range_cdb(short: Option<u8>, long: u8, flags: u8, lba: u64, blocks: u32) -> Cdb {
    match (short, u32::try_from(lba), u16::try_from(blocks)) {
        (Some(opcode), Ok(lba), Ok(blocks)) => {
            cdb(opcode, &[(1, &[flags]), (2, &lba.to_be_bytes()), (7, &blocks.to_be_bytes())])
        }
        _ => cdb(long, &[(1, &[flags]), (2, &lba.to_be_bytes()), (10, &blocks.to_be_bytes())]),
    }
}

/// The blocks that `data` are.
fn blocks_of(data: &DataList, block_size: u32) -> Result<u32, Misuse> {
    let size = usize::try_from(block_size).unwrap_or(usize::MAX);
    if size == 0 || data.is_empty() || !data.len().is_multiple_of(size) {
        return Err(Misuse::InvalidArgument("the data are not one or more whole blocks"));
    }
    if u32::try_from(data.len()).is_err() {
        return Err(Misuse::InvalidArgument("the data are more than a command can carry: 2^32 - 1 bytes"));
    }
    // Not more than the bytes, which fit.
    Ok((data.len() / size) as u32)
}

fn some_blocks(blocks: u32) -> Result<(), Misuse> {
    match blocks {
        0 => Err(Misuse::InvalidArgument("no blocks")),
        _ => Ok(()),
    }
}
