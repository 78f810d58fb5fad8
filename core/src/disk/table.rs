//! The commands: one row each. Dispatch, checks of reserved bits, and REPORT SUPPORTED OPERATION CODES read it.

use super::luns::REPORT_LUNS_USAGE;
use super::{LogicalUnit, NexusId, Provisioning, Request, Step, View};
use crate::scsi::opcode::*;
use crate::scsi::{Cdb, Sense};

/// What begins a command without a change to what the nexuses share.
type Reading = fn(&View, &Request<'_>) -> Result<Step, Sense>;
/// What begins a command that may change it.
pub(super) type Changing = fn(&mut LogicalUnit, NexusId, &Request<'_>) -> Result<Step, Sense>;

/// What begins a command, by what it does to what the nexuses share.
///
/// A handler that reads is given no more than a [`View`], so that the compiler holds it to that.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// It reads it.
    Reads(Reading),
    /// It may change it, or takes a unit attention: only the unit itself can begin the command.
    Changes(Changing),
}

/// One command.
pub(super) struct Row {
    pub(super) opcode: u8,
    /// SERVICE ACTION in the low five bits of byte 1, for operation codes that have them.
    pub(super) service_action: Option<u8>,
    /// CDB USAGE DATA (SPC-4 clause 6.35.3): a one in every bit that is looked at. As long as the CDB.
    pub(super) usage: &'static [u8],
    pub(super) access: Access,
    pub(super) attention: OnAttention,
    pub(super) exists: Exists,
    /// RECOMMENDED COMMAND TIMEOUT, in seconds.
    pub(super) timeout: u32,
    pub(super) handler: Handler,
    /// Ones where the first 16 bytes of the CDB must be zero.
    forbidden: u128,
}

/// What a command needs of the medium.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Nothing.
    None,
    /// A unit that is ready.
    Read,
    /// A unit that is ready and not write protected.
    Write,
}

/// What a pending unit attention does to a command (SPC-4 clause 5.8.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OnAttention {
    /// The command ends with it.
    Report,
    /// The command is carried out.
    Pass,
}

/// On which units there is a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exists {
    Always,
    WhenThin,
    WhenFull,
}

impl Row {
    const fn reads(access: Access, usage: &'static [u8], handler: Reading) -> Self {
        Row::new(access, usage, Handler::Reads(handler))
    }

    const fn changes(access: Access, usage: &'static [u8], handler: Changing) -> Self {
        Row::new(access, usage, Handler::Changes(handler))
    }

    const fn new(access: Access, usage: &'static [u8], handler: Handler) -> Self {
        let timeout = match access {
            Access::None => 10,
            _ => 60,
        };
        Row {
            opcode: usage[0],
            service_action: None,
            usage,
            access,
            attention: OnAttention::Report,
            exists: Exists::Always,
            timeout,
            handler,
            forbidden: forbidden(usage, 0),
        }
    }

    const fn service_action(mut self, action: u8) -> Self {
        self.service_action = Some(action);
        self.forbidden = forbidden(self.usage, 0x1f);
        self
    }

    const fn passes_attention(mut self) -> Self {
        self.attention = OnAttention::Pass;
        self
    }

    const fn exists(mut self, exists: Exists) -> Self {
        self.exists = exists;
        self
    }

    const fn timeout(mut self, seconds: u32) -> Self {
        self.timeout = seconds;
        self
    }

    /// Whether a unit of this provisioning has the command.
    pub(super) fn is_on(&self, provisioning: Provisioning) -> bool {
        match self.exists {
            Exists::Always => true,
            Exists::WhenThin => provisioning == Provisioning::Thin,
            Exists::WhenFull => provisioning == Provisioning::Full,
        }
    }

    /// The first bit, as byte and bit number, that is set and reserved.
    #[inline]
    pub(super) fn forbidden_bit(&self, cdb: &Cdb) -> Option<(u16, u8)> {
        position(u128::from_be_bytes(*cdb.first()) & self.forbidden)
    }
}

/// The rows for `opcode` in the order of their service actions; none for operation codes that are unknown.
#[inline]
pub(super) fn rows(opcode: u8) -> &'static [Row] {
    let (first, count) = INDEX[usize::from(opcode)];
    TABLE.get(usize::from(first)..usize::from(first) + usize::from(count)).unwrap_or(&[])
}

/// All rows, by operation code.
pub(super) fn all() -> &'static [Row] {
    &TABLE
}

/// The first bit that is set in `cdb` and not in `usage`, for commands that no row dispatches.
pub(super) fn first_forbidden_bit(cdb: &Cdb, usage: &[u8]) -> Option<(u16, u8)> {
    position(u128::from_be_bytes(*cdb.first()) & forbidden(usage, 0))
}

fn position(wrong: u128) -> Option<(u16, u8)> {
    let at = wrong.leading_zeros() as u16;
    (wrong != 0).then_some((at / 8, 7 - (at % 8) as u8))
}

/// Ones for the bits of a 16 byte CDB that `usage` does not have. Byte 0 and what `action` marks in byte 1 chose the
/// row; bytes behind the end of the CDB are not part of it.
const fn forbidden(usage: &[u8], action: u8) -> u128 {
    let mut bytes = [0u8; 16];
    let mut i = 1;
    while i < usage.len() && i < 16 {
        bytes[i] = !usage[i];
        i += 1;
    }
    bytes[1] &= !action;
    u128::from_be_bytes(bytes)
}

/// First row and number of rows for every operation code.
static INDEX: [(u8, u8); 256] = {
    let mut index = [(0u8, 0u8); 256];
    let mut i = 0;
    while i < TABLE.len() {
        let entry = &mut index[TABLE[i].opcode as usize];
        if entry.1 == 0 {
            entry.0 = i as u8;
        }
        entry.1 += 1;
        i += 1;
    }
    index
};

use Access::{None as Any, Read, Write};
type V = View;
type U = LogicalUnit;
const FF: u8 = 0xff;

#[rustfmt::skip]
static TABLE: [Row; 36] = [
    Row::reads(Read, &[TEST_UNIT_READY, 0, 0, 0, 0, 0], V::test_unit_ready).timeout(10),
    Row::changes(Any, &[REQUEST_SENSE, 0x01, 0, 0, FF, 0], U::request_sense).passes_attention(),
    Row::reads(Read, &[READ_6, 0x1f, FF, FF, FF, 0], V::read),
    Row::reads(Write, &[WRITE_6, 0x1f, FF, FF, FF, 0], V::write),
    Row::reads(Any, &[INQUIRY, 0x01, FF, FF, FF, 0], V::inquiry).passes_attention(),
    Row::changes(Any, &[MODE_SELECT_6, 0x10, 0, 0, FF, 0], U::mode_select),
    Row::reads(Any, &[MODE_SENSE_6, 0x08, FF, FF, FF, 0], V::mode_sense),
    Row::changes(Any, &[START_STOP_UNIT, 0x01, 0, 0, 0xf5, 0], U::start_stop_unit).timeout(60),
    Row::reads(Any, &[PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0x01, 0], V::prevent_allow),
    Row::reads(Any, &[READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0], V::read_capacity_10),
    Row::reads(Read, &[READ_10, 0x18, FF, FF, FF, FF, 0, FF, FF, 0], V::read),
    Row::reads(Write, &[WRITE_10, 0x18, FF, FF, FF, FF, 0, FF, FF, 0], V::write),
    Row::reads(Write, &[WRITE_AND_VERIFY_10, 0x12, FF, FF, FF, FF, 0, FF, FF, 0], V::write_and_verify),
    Row::reads(Read, &[VERIFY_10, 0x16, FF, FF, FF, FF, 0, FF, FF, 0], V::verify),
    Row::reads(Read, &[SYNCHRONIZE_CACHE_10, 0x02, FF, FF, FF, FF, 0, FF, FF, 0], V::synchronize_cache),
    Row::reads(Write, &[WRITE_SAME_10, 0x08, FF, FF, FF, FF, 0, FF, FF, 0], V::write_same).exists(Exists::WhenThin),
    Row::reads(Write, &[WRITE_SAME_10, 0, FF, FF, FF, FF, 0, FF, FF, 0], V::write_same).exists(Exists::WhenFull),
    Row::reads(Write, &[UNMAP, 0, 0, 0, 0, 0, 0, FF, FF, 0], V::unmap).exists(Exists::WhenThin),
    Row::changes(Any, &[MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, FF, FF, 0], U::mode_select),
    Row::reads(Any, &[MODE_SENSE_10, 0x18, FF, FF, 0, 0, 0, FF, FF, 0], V::mode_sense),
    Row::reads(Read, &[READ_16, 0x18, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::read),
    Row::reads(Write, &[WRITE_16, 0x18, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::write),
    Row::reads(Write, &[WRITE_AND_VERIFY_16, 0x12, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::write_and_verify),
    Row::reads(Read, &[VERIFY_16, 0x16, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::verify),
    Row::reads(Read, &[SYNCHRONIZE_CACHE_16, 0x02, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::synchronize_cache),
    Row::reads(Write, &[WRITE_SAME_16, 0x09, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::write_same).exists(Exists::WhenThin),
    Row::reads(Write, &[WRITE_SAME_16, 0x01, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::write_same).exists(Exists::WhenFull),
    Row::reads(Any, &[SERVICE_ACTION_IN_16, SA_READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0, FF, FF, FF, FF, 0, 0], V::read_capacity_16)
        .service_action(SA_READ_CAPACITY_16),
    Row::reads(Read, &[SERVICE_ACTION_IN_16, SA_GET_LBA_STATUS, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::get_lba_status)
        .service_action(SA_GET_LBA_STATUS).exists(Exists::WhenThin),
    Row::changes(Any, &REPORT_LUNS_USAGE, U::report_luns).passes_attention(),
    Row::reads(Any, &[MAINTENANCE_IN, SA_REPORT_SUPPORTED_OPERATION_CODES, 0x87, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::report_opcodes)
        .service_action(SA_REPORT_SUPPORTED_OPERATION_CODES),
    Row::reads(Any, &[MAINTENANCE_IN, SA_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, 0x80, 0, 0, 0, FF, FF, FF, FF, 0, 0], V::report_task_functions)
        .service_action(SA_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS),
    Row::reads(Read, &[READ_12, 0x18, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::read),
    Row::reads(Write, &[WRITE_12, 0x18, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::write),
    Row::reads(Write, &[WRITE_AND_VERIFY_12, 0x12, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::write_and_verify),
    Row::reads(Read, &[VERIFY_12, 0x16, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], V::verify),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_as_long_as_their_group_says() {
        assert!(TABLE.is_sorted_by_key(|row| (row.opcode, row.service_action)));
        for row in &TABLE {
            assert_eq!(Some(row.usage.len()), cdb_len(row.opcode), "{:02x}", row.opcode);
            assert_eq!(row.usage.last(), Some(&0), "no bit of CONTROL is carried out");
            if let Some(action) = row.service_action {
                assert_eq!(row.usage[1] & 0x1f, action);
            }
        }
        assert_eq!((0..=255).map(|code| rows(code).len()).sum::<usize>(), TABLE.len());
    }

    #[test]
    fn forbidden_bits_are_found_at_their_place() {
        let row = &rows(READ_10)[0];
        for byte in 0..16u16 {
            for bit in 0..8u8 {
                let mut bytes = [0; 16];
                bytes[usize::from(byte)] |= 1 << bit;
                let used = byte == 0 || byte >= 10 || row.usage[usize::from(byte)] >> bit & 1 == 1;
                assert_eq!(row.forbidden_bit(&Cdb::new(bytes)), (!used).then_some((byte, bit)));
            }
        }
    }
}
