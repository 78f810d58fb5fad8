//! The commands: one row each. Dispatch, checks of reserved bits, and REPORT SUPPORTED OPERATION CODES read it.

use super::luns::REPORT_LUNS_USAGE;
use super::{LogicalUnit, NexusId, Provisioning, Request, Step};
use crate::scsi::opcode::*;
use crate::scsi::{Cdb, Sense};

/// What carries a command out.
pub(super) type Handler = fn(&mut LogicalUnit, NexusId, &Request<'_>) -> Result<Step, Sense>;

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
type U = LogicalUnit;
const FF: u8 = 0xff;

#[rustfmt::skip]
static TABLE: [Row; 36] = [
    Row::new(Read, &[TEST_UNIT_READY, 0, 0, 0, 0, 0], U::test_unit_ready).timeout(10),
    Row::new(Any, &[REQUEST_SENSE, 0x01, 0, 0, FF, 0], U::request_sense).passes_attention(),
    Row::new(Read, &[READ_6, 0x1f, FF, FF, FF, 0], U::read),
    Row::new(Write, &[WRITE_6, 0x1f, FF, FF, FF, 0], U::write),
    Row::new(Any, &[INQUIRY, 0x01, FF, FF, FF, 0], U::inquiry).passes_attention(),
    Row::new(Any, &[MODE_SELECT_6, 0x10, 0, 0, FF, 0], U::mode_select),
    Row::new(Any, &[MODE_SENSE_6, 0x08, FF, FF, FF, 0], U::mode_sense),
    Row::new(Any, &[START_STOP_UNIT, 0x01, 0, 0, 0xf5, 0], U::start_stop_unit).timeout(60),
    Row::new(Any, &[PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0x01, 0], U::prevent_allow),
    Row::new(Any, &[READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0], U::read_capacity_10),
    Row::new(Read, &[READ_10, 0x18, FF, FF, FF, FF, 0, FF, FF, 0], U::read),
    Row::new(Write, &[WRITE_10, 0x18, FF, FF, FF, FF, 0, FF, FF, 0], U::write),
    Row::new(Write, &[WRITE_AND_VERIFY_10, 0x12, FF, FF, FF, FF, 0, FF, FF, 0], U::write_and_verify),
    Row::new(Read, &[VERIFY_10, 0x16, FF, FF, FF, FF, 0, FF, FF, 0], U::verify),
    Row::new(Read, &[SYNCHRONIZE_CACHE_10, 0x02, FF, FF, FF, FF, 0, FF, FF, 0], U::synchronize_cache),
    Row::new(Write, &[WRITE_SAME_10, 0x08, FF, FF, FF, FF, 0, FF, FF, 0], U::write_same).exists(Exists::WhenThin),
    Row::new(Write, &[WRITE_SAME_10, 0, FF, FF, FF, FF, 0, FF, FF, 0], U::write_same).exists(Exists::WhenFull),
    Row::new(Write, &[UNMAP, 0, 0, 0, 0, 0, 0, FF, FF, 0], U::unmap).exists(Exists::WhenThin),
    Row::new(Any, &[MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, FF, FF, 0], U::mode_select),
    Row::new(Any, &[MODE_SENSE_10, 0x18, FF, FF, 0, 0, 0, FF, FF, 0], U::mode_sense),
    Row::new(Read, &[READ_16, 0x18, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::read),
    Row::new(Write, &[WRITE_16, 0x18, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::write),
    Row::new(Write, &[WRITE_AND_VERIFY_16, 0x12, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::write_and_verify),
    Row::new(Read, &[VERIFY_16, 0x16, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::verify),
    Row::new(Read, &[SYNCHRONIZE_CACHE_16, 0x02, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::synchronize_cache),
    Row::new(Write, &[WRITE_SAME_16, 0x09, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::write_same).exists(Exists::WhenThin),
    Row::new(Write, &[WRITE_SAME_16, 0x01, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::write_same).exists(Exists::WhenFull),
    Row::new(Any, &[SERVICE_ACTION_IN_16, SA_READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0, FF, FF, FF, FF, 0, 0], U::read_capacity_16)
        .service_action(SA_READ_CAPACITY_16),
    Row::new(Read, &[SERVICE_ACTION_IN_16, SA_GET_LBA_STATUS, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::get_lba_status)
        .service_action(SA_GET_LBA_STATUS).exists(Exists::WhenThin),
    Row::new(Any, &REPORT_LUNS_USAGE, U::report_luns).passes_attention(),
    Row::new(Any, &[MAINTENANCE_IN, SA_REPORT_SUPPORTED_OPERATION_CODES, 0x87, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::report_opcodes)
        .service_action(SA_REPORT_SUPPORTED_OPERATION_CODES),
    Row::new(Any, &[MAINTENANCE_IN, SA_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, 0x80, 0, 0, 0, FF, FF, FF, FF, 0, 0], U::report_task_functions)
        .service_action(SA_REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS),
    Row::new(Read, &[READ_12, 0x18, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::read),
    Row::new(Write, &[WRITE_12, 0x18, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::write),
    Row::new(Write, &[WRITE_AND_VERIFY_12, 0x12, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::write_and_verify),
    Row::new(Read, &[VERIFY_12, 0x16, FF, FF, FF, FF, FF, FF, FF, FF, 0, 0], U::verify),
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
