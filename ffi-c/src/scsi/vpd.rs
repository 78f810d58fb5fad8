//! Vital product data pages.

use core::ffi::{c_char, c_int};

use iscsicore::scsi::vpd::{
    self, Association, BlockDeviceCharacteristics, BlockLimits, Designator, ExtendedInquiry,
    LogicalBlockProvisioning, Rotation,
};

use super::{fill_text, none};
use crate::boundary::guard;
use crate::pointer::{fill, out, slice};
use crate::status::{Failure, iscsicore_status};

/// A name in the Device Identification page (83h).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_designator {
    /// ASSOCIATION: 0 for the logical unit, 1 for the target port, 2 for the target device.
    pub association: u8,
    /// DESIGNATOR TYPE: 1 for T10 vendor, 2 for EUI-64, 3 for NAA, 4 for a relative target port, 8 for a name string.
    pub designator_type: u8,
    /// CODE SET: 1 for binary, 2 for ASCII, 3 for UTF-8.
    pub code_set: u8,
    /// PROTOCOL IDENTIFIER, 5 for iSCSI; -1 when it is not told.
    pub protocol: c_int,
}

/// The Block Limits page (B0h). 0 is not told, unless said otherwise.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_block_limits {
    /// MAXIMUM WRITE SAME LENGTH, in blocks.
    pub max_write_same: u64,
    /// MAXIMUM TRANSFER LENGTH, in blocks.
    pub max_transfer: u32,
    /// OPTIMAL TRANSFER LENGTH, in blocks.
    pub optimal_transfer: u32,
    /// MAXIMUM PREFETCH LENGTH, in blocks.
    pub max_prefetch: u32,
    /// MAXIMUM UNMAP LBA COUNT; 0: no UNMAP.
    pub max_unmap_blocks: u32,
    /// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT; 0: no UNMAP.
    pub max_unmap_descriptors: u32,
    /// OPTIMAL UNMAP GRANULARITY, in blocks.
    pub unmap_granularity: u32,
    /// UNMAP GRANULARITY ALIGNMENT, in blocks, if `has_unmap_alignment`.
    pub unmap_alignment: u32,
    /// MAXIMUM ATOMIC TRANSFER LENGTH, in blocks.
    pub atomic_max_transfer: u32,
    /// ATOMIC ALIGNMENT, in blocks.
    pub atomic_alignment: u32,
    /// ATOMIC TRANSFER LENGTH GRANULARITY, in blocks.
    pub atomic_granularity: u32,
    /// MAXIMUM ATOMIC TRANSFER LENGTH WITH ATOMIC BOUNDARY, in blocks.
    pub atomic_max_transfer_with_boundary: u32,
    /// MAXIMUM ATOMIC BOUNDARY SIZE, in blocks.
    pub atomic_max_boundary: u32,
    /// OPTIMAL TRANSFER LENGTH GRANULARITY, in blocks.
    pub optimal_granularity: u16,
    /// MAXIMUM COMPARE AND WRITE LENGTH, in blocks; 0: no COMPARE AND WRITE.
    pub max_compare_and_write: u8,
    /// UGAVALID: whether `unmap_alignment` is told.
    pub has_unmap_alignment: bool,
    /// WSNZ: whether WRITE SAME takes no block count of zero.
    pub write_same_non_zero: bool,
}

/// The Block Device Characteristics page (B1h).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_block_characteristics {
    /// MEDIUM ROTATION RATE: 0 when it is not told, 1 when nothing rotates, else turns a minute.
    pub rotation_rate: u16,
    /// PRODUCT TYPE; 0 when it is not told.
    pub product_type: u8,
    /// NOMINAL FORM FACTOR: 1 for 5.25 inch, 2 for 3.5, 3 for 2.5, 4 for 1.8, 5 for less; else not told.
    pub form_factor: u8,
    /// ZONED: 1 for host aware, 2 for device managed.
    pub zoned: u8,
    /// FUAB: SYNCHRONIZE CACHE and FUA mean what SBC-3 says, not what SBC-2 says.
    pub fua_behaviour: bool,
    /// VBULS: unmapped blocks can be compared with data.
    pub verifies_unmapped: bool,
}

/// The Logical Block Provisioning page (B2h).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_provisioning {
    /// PROVISIONING TYPE: 1 for resource provisioned, 2 for thin; else not told.
    pub provisioning_type: u8,
    /// THRESHOLD EXPONENT; 0 without thresholds.
    pub threshold_exponent: u8,
    /// LBPRZ: what unmapped blocks read as: 0 for nothing certain, 1 for zeros, 2 for the initialization pattern.
    pub read_zeroes: u8,
    /// MINIMUM PERCENTAGE.
    pub minimum_percentage: u8,
    /// THRESHOLD PERCENTAGE.
    pub threshold_percentage: u8,
    /// LBPU: UNMAP.
    pub unmap: bool,
    /// LBPWS: WRITE SAME(16) with UNMAP.
    pub write_same_16: bool,
    /// LBPWS10: WRITE SAME(10) with UNMAP.
    pub write_same_10: bool,
    /// ANC_SUP: blocks can be anchored.
    pub anchor: bool,
}

/// What the Extended INQUIRY Data page (86h) says that a disk's user may want to know.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct iscsicore_extended_inquiry {
    /// EXTENDED SELF-TEST COMPLETION MINUTES.
    pub self_test_minutes: u16,
    /// MAXIMUM SUPPORTED SENSE DATA LENGTH; 0 when it is not told.
    pub max_sense_len: u8,
    /// SIMPSUP: simple task attributes.
    pub simple: bool,
    /// ORDSUP: ordered task attributes.
    pub ordered: bool,
    /// HEADSUP: head of queue task attributes.
    pub head_of_queue: bool,
    /// V_SUP: there is a volatile cache.
    pub volatile_cache: bool,
    /// NV_SUP: there is a non-volatile cache.
    pub non_volatile_cache: bool,
    /// WU_SUP: WRITE LONG can mark blocks as unrecoverable.
    pub write_uncorrectable: bool,
    /// LUICLR: unit attentions of a LUN inventory change are cleared for the whole nexus.
    pub lun_attention_cleared: bool,
}

const ANOTHER: &str = "this is another page, or none";

/// Copies the codes in the Supported VPD Pages page (00h). `*len` is their number, whether they fit or not. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_vpd_pages_decode(
    bytes: *const u8,
    bytes_len: usize,
    pages: *mut u8,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let bytes = unsafe { slice(bytes, bytes_len, "bytes") }?;
        let codes = vpd::decode_supported_pages(bytes).ok_or_else(|| none(ANOTHER))?;
        // SAFETY: as above.
        unsafe { fill(codes, pages, capacity, len) }
    })
}

/// Writes the serial number in the Unit Serial Number page (80h), without padding, into `buffer`, and a NUL behind it. `*len`
/// is the length without the NUL, whether it fits or not. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_vpd_serial_decode(
    bytes: *const u8,
    bytes_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let bytes = unsafe { slice(bytes, bytes_len, "bytes") }?;
        let serial = vpd::decode_serial(bytes).ok_or_else(|| none(ANOTHER))?;
        // SAFETY: as above.
        unsafe { fill_text(&serial, buffer, capacity, len) }
    })
}

/// Tells the name at `index`, from 0 on, in the Device Identification page (83h): what it names, and the name as text, such as
/// "naa.600140500000000000000001", in `buffer` with a NUL behind it. `*len` is the length without the NUL, whether it fits
/// or not; 640 bytes are always enough. Any thread.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there are no more, ISCSICORE_STATUS_INVALID_ARGUMENT for another page,
/// ISCSICORE_STATUS_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_vpd_designator_decode(
    bytes: *const u8,
    bytes_len: usize,
    index: usize,
    designator: *mut iscsicore_designator,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, place) = unsafe { (slice(bytes, bytes_len, "bytes")?, out(designator, "designator")?) };
        let all = vpd::decode_designations(bytes).ok_or_else(|| none(ANOTHER))?;
        let found = all.get(index).ok_or_else(|| {
            Failure::unknown(format!(
                "there are {} names on the page, none has the number {index}",
                all.len()
            ))
        })?;
        // SAFETY: as above.
        unsafe { fill_text(&found.designator.to_string(), buffer, capacity, len) }?;
        place.set(iscsicore_designator {
            association: match found.association {
                Association::LogicalUnit => 0,
                Association::TargetPort => 1,
                Association::TargetDevice => 2,
                Association::Reserved => 3,
            },
            designator_type: designator_type(&found.designator),
            code_set: found.code_set,
            protocol: found.protocol.map_or(-1, c_int::from),
        });
        Ok(())
    })
}

/// DESIGNATOR TYPE, as on the wire.
fn designator_type(designator: &Designator<'_>) -> u8 {
    match designator {
        Designator::VendorSpecific(_) => 0,
        Designator::T10Vendor { .. } => 1,
        Designator::Eui64(_) => 2,
        Designator::Naa(_) => 3,
        Designator::RelativeTargetPort(_) => 4,
        Designator::TargetPortGroup(_) => 5,
        Designator::LogicalUnitGroup(_) => 6,
        Designator::Md5(_) => 7,
        Designator::NameString(_) => 8,
        Designator::ProtocolSpecific(_) => 9,
        Designator::Uuid(_) => 10,
        Designator::Other { kind, .. } => *kind,
        // A type that the core has learned since: a reserved code.
        _ => 15,
    }
}

/// Reads the Block Limits page (B0h). What it is too short for is not told. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_vpd_block_limits_decode(
    bytes: *const u8,
    len: usize,
    limits: *mut iscsicore_block_limits,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, place) = unsafe { (slice(bytes, len, "bytes")?, out(limits, "limits")?) };
        let page = BlockLimits::decode(bytes).ok_or_else(|| none(ANOTHER))?;
        place.set(iscsicore_block_limits {
            max_write_same: page.max_write_same,
            max_transfer: page.max_transfer,
            optimal_transfer: page.optimal_transfer,
            max_prefetch: page.max_prefetch,
            max_unmap_blocks: page.max_unmap_blocks,
            max_unmap_descriptors: page.max_unmap_descriptors,
            unmap_granularity: page.unmap_granularity,
            unmap_alignment: page.unmap_alignment.unwrap_or(0),
            atomic_max_transfer: page.atomic.max_transfer,
            atomic_alignment: page.atomic.alignment,
            atomic_granularity: page.atomic.granularity,
            atomic_max_transfer_with_boundary: page.atomic.max_transfer_with_boundary,
            atomic_max_boundary: page.atomic.max_boundary,
            optimal_granularity: page.optimal_granularity,
            max_compare_and_write: page.max_compare_and_write,
            has_unmap_alignment: page.unmap_alignment.is_some(),
            write_same_non_zero: page.write_same_non_zero,
        });
        Ok(())
    })
}

/// Reads the Block Device Characteristics page (B1h). Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_vpd_block_characteristics_decode(
    bytes: *const u8,
    len: usize,
    characteristics: *mut iscsicore_block_characteristics,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, place) =
            unsafe { (slice(bytes, len, "bytes")?, out(characteristics, "characteristics")?) };
        let page = BlockDeviceCharacteristics::decode(bytes).ok_or_else(|| none(ANOTHER))?;
        place.set(iscsicore_block_characteristics {
            rotation_rate: match page.rotation {
                Rotation::None => 1,
                Rotation::Rpm(rate) | Rotation::Other(rate) => rate,
                _ => 0,
            },
            product_type: page.product_type,
            form_factor: page.form_factor,
            zoned: page.zoned,
            fua_behaviour: page.fua_behaviour,
            verifies_unmapped: page.verifies_unmapped,
        });
        Ok(())
    })
}

/// Reads the Logical Block Provisioning page (B2h). Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_vpd_provisioning_decode(
    bytes: *const u8,
    len: usize,
    provisioning: *mut iscsicore_provisioning,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, place) = unsafe { (slice(bytes, len, "bytes")?, out(provisioning, "provisioning")?) };
        let page = LogicalBlockProvisioning::decode(bytes).ok_or_else(|| none(ANOTHER))?;
        place.set(iscsicore_provisioning {
            provisioning_type: page.provisioning_type,
            threshold_exponent: page.threshold_exponent,
            read_zeroes: page.read_zeroes,
            minimum_percentage: page.minimum_percentage,
            threshold_percentage: page.threshold_percentage,
            unmap: page.unmap,
            write_same_16: page.write_same_16,
            write_same_10: page.write_same_10,
            anchor: page.anchor,
        });
        Ok(())
    })
}

/// Reads the Extended INQUIRY Data page (86h). Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_vpd_extended_inquiry_decode(
    bytes: *const u8,
    len: usize,
    inquiry: *mut iscsicore_extended_inquiry,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (bytes, place) = unsafe { (slice(bytes, len, "bytes")?, out(inquiry, "inquiry")?) };
        let page = ExtendedInquiry::decode(bytes).ok_or_else(|| none(ANOTHER))?;
        place.set(iscsicore_extended_inquiry {
            self_test_minutes: page.self_test_minutes,
            max_sense_len: page.max_sense_len,
            simple: page.simple,
            ordered: page.ordered,
            head_of_queue: page.head_of_queue,
            volatile_cache: page.volatile_cache,
            non_volatile_cache: page.non_volatile_cache,
            write_uncorrectable: page.write_uncorrectable,
            lun_attention_cleared: page.lun_attention_cleared,
        });
        Ok(())
    })
}
