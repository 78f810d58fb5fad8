//! What a unit is, and how large.

use core::ffi::{c_char, c_int};

use iscsicore::scsi::{Capacity, Inquiry};

use super::{none, text_array};
use crate::boundary::guard;
use crate::pointer::{flag, out, slice};
use crate::status::iscsicore_status;

/// The size of a logical unit, and how its blocks are kept.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_capacity {
    /// Logical blocks. 2^32 from READ CAPACITY(10) says that it could not tell: ask READ CAPACITY(16).
    pub blocks: u64,
    /// Bytes of a logical block; never 0.
    pub block_size: u32,
    /// Bytes of a physical block.
    pub physical_block_size: u32,
    /// The first logical block that begins a physical one.
    pub lowest_aligned: u16,
    /// LBPME: logical blocks may be unmapped.
    pub thin: bool,
    /// LBPRZ: unmapped blocks read as zeros.
    pub read_zeroes: bool,
    /// The type of protection information in use: 1 to 3, or 0.
    pub protection: u8,
}

/// What standard INQUIRY data say. Texts end with NUL, have no padding, and `?` for what is not printable ASCII.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_inquiry {
    /// PERIPHERAL QUALIFIER: 0 when a unit is there, 1 when one could be, 3 when none can be.
    pub peripheral_qualifier: u8,
    /// PERIPHERAL DEVICE TYPE: 0 for a disk, 1 for a tape, 1Fh for none.
    pub device_type: u8,
    /// VERSION: 6 for SPC-4, 7 for SPC-5, 0 for no standard.
    pub version: u8,
    /// RESPONSE DATA FORMAT: 2.
    pub response_data_format: u8,
    /// TPGS: bit 0 for implicit, bit 1 for explicit asymmetric access.
    pub tpgs: u8,
    /// RMB: the medium can be taken out.
    pub removable: bool,
    /// HISUP: LUNs are assigned hierarchically.
    pub hierarchical: bool,
    /// 3PC: third-party copies.
    pub third_party_copy: bool,
    /// PROTECT: protection information.
    pub protect: bool,
    /// MULTIP: several target ports.
    pub multi_port: bool,
    /// CMDQUE: several commands at a time.
    pub command_queuing: bool,
    /// T10 VENDOR IDENTIFICATION.
    pub vendor: [c_char; 9],
    /// PRODUCT IDENTIFICATION.
    pub product: [c_char; 17],
    /// PRODUCT REVISION LEVEL.
    pub revision: [c_char; 5],
}

/// Reads the answer to READ CAPACITY(10), or with `is_16` not 0 to READ CAPACITY(16). Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when it is too short, or has blocks of no bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_capacity_decode(
    bytes: *const u8,
    len: usize,
    is_16: c_int,
    capacity: *mut iscsicore_capacity,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, place) = unsafe { (slice(bytes, len, "bytes")?, out(capacity, "capacity")?) };
        let decoded = if flag(is_16) { Capacity::decode_16(bytes) } else { Capacity::decode_10(bytes) };
        let decoded = decoded.ok_or_else(|| none("this is no answer to READ CAPACITY"))?;
        place.set(iscsicore_capacity {
            blocks: decoded.blocks,
            block_size: decoded.block_size,
            physical_block_size: decoded.physical_block_size,
            lowest_aligned: decoded.lowest_aligned,
            thin: decoded.thin,
            read_zeroes: decoded.read_zeroes,
            protection: decoded.protection,
        });
        Ok(())
    })
}

/// Reads standard INQUIRY data. What they are too short for is 0 or empty. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 5 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_inquiry_decode(
    bytes: *const u8,
    len: usize,
    inquiry: *mut iscsicore_inquiry,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, place) = unsafe { (slice(bytes, len, "bytes")?, out(inquiry, "inquiry")?) };
        let decoded = Inquiry::decode(bytes).ok_or_else(|| none("these are no INQUIRY data"))?;
        place.set(iscsicore_inquiry {
            peripheral_qualifier: decoded.peripheral_qualifier,
            device_type: decoded.device_type.0,
            version: decoded.version,
            response_data_format: decoded.response_data_format,
            tpgs: decoded.tpgs,
            removable: decoded.removable,
            hierarchical: decoded.hierarchical,
            third_party_copy: decoded.third_party_copy,
            protect: decoded.protect,
            multi_port: decoded.multi_port,
            command_queuing: decoded.command_queuing,
            vendor: text_array(&decoded.vendor),
            product: text_array(&decoded.product),
            revision: text_array(&decoded.revision),
        });
        Ok(())
    })
}
