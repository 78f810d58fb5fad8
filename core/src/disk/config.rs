//! What a logical unit is.

use sha2::{Digest, Sha256};

use crate::scsi::ascii_field;
use crate::scsi::mode::Modes;

/// Bytes in a logical block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum BlockSize {
    /// 512 bytes.
    #[default]
    B512,
    /// 4096 bytes.
    B4096,
}

impl BlockSize {
    /// The size in bytes.
    pub const fn bytes(self) -> u32 {
        1 << self.shift()
    }

    /// The binary logarithm of the size.
    pub const fn shift(self) -> u32 {
        match self {
            BlockSize::B512 => 9,
            BlockSize::B4096 => 12,
        }
    }
}

/// Whether blocks can be without storage.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Provisioning {
    /// Every block has storage; there is no UNMAP.
    #[default]
    Full,
    /// Blocks get storage when they are written and may give it up; without it they read as zeros (LBPRZ).
    Thin,
}

/// An NAA identifier (SPC-4 clause 7.8.6.6), the name by which initiators recognise a unit on all its paths.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Naa {
    bytes: [u8; 16],
    len: u8,
}

impl Naa {
    /// A locally assigned identifier (NAA 3h) made of the first 60 bits of the SHA-256 of `name`.
    ///
    /// Types 2h, 5h and 6h begin with a company identifier of the IEEE, which only its owner may use; 3h is the type
    /// for everybody else. The same name yields the same identifier always: a unit keeps its identity as long as its
    /// configuration calls it the same.
    pub fn locally_assigned(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut bytes = [0; 16];
        for (slot, byte) in bytes.iter_mut().zip(digest.iter()).take(8) {
            *slot = *byte;
        }
        bytes[0] = 0x30 | (bytes[0] & 0x0f);
        Naa { bytes, len: 8 }
    }

    /// An identifier that was assigned elsewhere: 8 bytes of NAA 2h, 3h or 5h, or 16 of 6h; `None` for anything else.
    pub fn from_bytes(id: &[u8]) -> Option<Self> {
        match (id.first()? >> 4, id.len()) {
            (2 | 3 | 5, 8) | (6, 16) => {}
            _ => return None,
        }
        let mut bytes = [0; 16];
        bytes[..id.len()].copy_from_slice(id);
        Some(Naa { bytes, len: id.len() as u8 })
    }

    /// The 8 or 16 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len).min(16)]
    }

    /// The SCSI name string of the identifier: `naa.` and its hexadecimal digits.
    pub fn name_string(&self) -> String {
        let digits = self.as_bytes().iter().flat_map(|b| [b >> 4, b & 0xf]);
        let hex = digits.filter_map(|d| char::from_digit(u32::from(d), 16)).map(|c| c.to_ascii_uppercase());
        "naa.".chars().chain(hex).collect()
    }
}

/// The target port through which a unit is reached, for the Device Identification page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetPort {
    /// The SCSI name of the port: target name, `,t,0x`, and the portal group tag in four digits
    /// (RFC 7143 section 4.4.2, SPC-4 clause 7.5).
    pub name: String,
    /// RELATIVE TARGET PORT IDENTIFIER, from 1 on.
    pub relative_id: u16,
}

/// Task management functions that the transport carries out, for REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TaskFunctions(u16);

impl TaskFunctions {
    /// None.
    pub const NONE: TaskFunctions = TaskFunctions(0);
    /// ABORT TASK.
    pub const ABORT_TASK: TaskFunctions = TaskFunctions(0x8000);
    /// ABORT TASK SET.
    pub const ABORT_TASK_SET: TaskFunctions = TaskFunctions(0x4000);
    /// CLEAR TASK SET.
    pub const CLEAR_TASK_SET: TaskFunctions = TaskFunctions(0x1000);
    /// LOGICAL UNIT RESET.
    pub const LOGICAL_UNIT_RESET: TaskFunctions = TaskFunctions(0x0800);
    /// QUERY TASK.
    pub const QUERY_TASK: TaskFunctions = TaskFunctions(0x0400);
    /// QUERY ASYNCHRONOUS EVENT.
    pub const QUERY_ASYNCHRONOUS_EVENT: TaskFunctions = TaskFunctions(0x0004);
    /// QUERY TASK SET.
    pub const QUERY_TASK_SET: TaskFunctions = TaskFunctions(0x0002);
    /// I_T NEXUS RESET.
    pub const I_T_NEXUS_RESET: TaskFunctions = TaskFunctions(0x0001);

    /// These functions and `others`.
    #[must_use]
    pub const fn and(self, others: TaskFunctions) -> Self {
        TaskFunctions(self.0 | others.0)
    }

    /// Bytes 0 and 1 of the parameter data (SPC-4 clause 6.36).
    pub(super) const fn bits(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

impl Default for TaskFunctions {
    /// ABORT TASK, ABORT TASK SET, CLEAR TASK SET and LOGICAL UNIT RESET.
    fn default() -> Self {
        TaskFunctions::ABORT_TASK
            .and(TaskFunctions::ABORT_TASK_SET)
            .and(TaskFunctions::CLEAR_TASK_SET)
            .and(TaskFunctions::LOGICAL_UNIT_RESET)
    }
}

/// What a logical unit is and what it may be asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnitConfig {
    /// T10 VENDOR IDENTIFICATION; eight ASCII characters are used.
    pub vendor: String,
    /// PRODUCT IDENTIFICATION; 16 ASCII characters are used.
    pub product: String,
    /// PRODUCT REVISION LEVEL; four ASCII characters are used.
    pub revision: String,
    /// Unit serial number; 64 ASCII characters are used. It must stay the same for the life of the unit.
    pub serial: String,
    /// The NAA identifier.
    pub naa: Naa,
    /// Bytes in a logical block.
    pub block_size: BlockSize,
    /// A physical block is two to this power logical blocks (0 to 15).
    pub physical_block_exponent: u8,
    /// Logical blocks. Zero counts as one; what exceeds 2^63 bytes is cut.
    pub blocks: u64,
    /// Whether writing commands are refused.
    pub read_only: bool,
    /// Whether there is UNMAP.
    pub provisioning: Provisioning,
    /// Whether GOOD may come before the medium has the data: WCE until MODE SELECT changes it.
    pub write_cache: bool,
    /// MAXIMUM TRANSFER LENGTH in bytes, 64 KiB to 1 GiB.
    pub max_transfer: u32,
    /// Bytes of one operation of a command in many steps, 4 KiB to 64 MiB.
    pub chunk: u32,
    /// MAXIMUM UNMAP LBA COUNT, in blocks.
    pub max_unmap_blocks: u32,
    /// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT.
    pub max_unmap_descriptors: u16,
    /// OPTIMAL UNMAP GRANULARITY, in blocks.
    pub unmap_granularity: u32,
    /// MAXIMUM WRITE SAME LENGTH, in blocks, at least one.
    pub max_write_same_blocks: u32,
    /// Task management functions that work.
    pub task_functions: TaskFunctions,
}

impl UnitConfig {
    /// A writeable unit of `blocks` blocks, fully provisioned and with a write cache; `serial` names it, and its NAA
    /// identifier is made of that.
    pub fn new(serial: &str, block_size: BlockSize, blocks: u64) -> Self {
        UnitConfig {
            vendor: "ISCSICOR".into(),
            product: "VIRTUAL DISK".into(),
            revision: "0001".into(),
            serial: serial.into(),
            naa: Naa::locally_assigned(serial),
            block_size,
            physical_block_exponent: match block_size {
                BlockSize::B512 => 3,
                BlockSize::B4096 => 0,
            },
            blocks,
            read_only: false,
            provisioning: Provisioning::Full,
            write_cache: true,
            max_transfer: 32 << 20,
            chunk: 1 << 20,
            max_unmap_blocks: 1 << 20,
            max_unmap_descriptors: 256,
            unmap_granularity: 4096 >> block_size.shift(),
            max_write_same_blocks: (32 << 20) >> block_size.shift(),
            task_functions: TaskFunctions::default(),
        }
    }

    /// The same with every number brought into its range.
    pub(super) fn clamped(mut self) -> Self {
        self.blocks = self.clamped_blocks(self.blocks);
        self.physical_block_exponent = self.physical_block_exponent.min(15);
        let block = self.block_size.bytes();
        self.max_transfer = self.max_transfer.clamp(64 << 10, 1 << 30) / block * block;
        self.chunk = self.chunk.clamp(4096, 64 << 20) / block * block;
        self.max_unmap_blocks = self.max_unmap_blocks.max(1);
        self.max_unmap_descriptors = self.max_unmap_descriptors.clamp(1, 4095);
        self.max_write_same_blocks = self.max_write_same_blocks.max(1);
        self.serial.truncate(self.serial.char_indices().nth(64).map_or(self.serial.len(), |(at, _)| at));
        self
    }

    pub(super) fn clamped_blocks(&self, blocks: u64) -> u64 {
        blocks.clamp(1, (1 << 63) >> self.block_size.shift())
    }

    pub(super) fn vendor_field(&self) -> [u8; 8] {
        ascii_field(&self.vendor)
    }

    pub(super) fn default_modes(&self) -> Modes {
        Modes { write_cache: self.write_cache, ..Modes::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_stable_and_of_type_3() {
        let naa = Naa::locally_assigned("disk0");
        assert_eq!(naa, Naa::locally_assigned("disk0"));
        assert_ne!(naa, Naa::locally_assigned("disk1"));
        // The first 60 bits of SHA-256("abc"), whose digest begins ba7816bf 8f01cfea.
        assert_eq!(Naa::locally_assigned("abc").as_bytes(), [0x3a, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]);
        assert_eq!(Naa::locally_assigned("abc").name_string(), "naa.3A7816BF8F01CFEA");
    }

    #[test]
    fn foreign_identifiers_are_checked() {
        assert!(Naa::from_bytes(&[0x60; 16]).is_some());
        assert!(Naa::from_bytes(&[0x50; 8]).is_some());
        for bad in [&[0x60; 8][..], &[0x50; 16], &[0x10; 8], &[], &[0x30; 7]] {
            assert_eq!(Naa::from_bytes(bad), None);
        }
    }

    #[test]
    fn numbers_are_brought_into_range() {
        let mut config = UnitConfig::new(&"\u{e9}".repeat(100), BlockSize::B4096, u64::MAX);
        config.max_transfer = 0;
        config.chunk = 5000;
        let config = config.clamped();
        assert_eq!((config.blocks, config.max_transfer, config.chunk), (1 << 51, 65536, 4096));
        assert_eq!(config.serial.chars().count(), 64);
        assert_eq!(UnitConfig::new("", BlockSize::B512, 0).clamped().blocks, 1);
    }
}
