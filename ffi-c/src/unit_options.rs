//! What a logical unit is, as C says it.

use core::ffi::{c_char, c_int};

use iscsicore::disk::{BlockSize, Naa, Provisioning, TaskFunctions, UnitConfig};

use crate::limits::choice;
use crate::options::{self, Options, end_of};
use crate::pointer::{flag, optional_text, slice, text};
use crate::status::Failure;

/// Task management functions, for `task_functions` of iscsicore_unit_options: combine them with `|`. The numbers are those of
/// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 section 6.36).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_task_function {
    /// I_T NEXUS RESET.
    NexusReset = 0x0001,
    /// QUERY TASK SET.
    QueryTaskSet = 0x0002,
    /// QUERY ASYNCHRONOUS EVENT.
    QueryAsynchronousEvent = 0x0004,
    /// QUERY TASK.
    QueryTask = 0x0400,
    /// LOGICAL UNIT RESET.
    LogicalUnitReset = 0x0800,
    /// CLEAR TASK SET.
    ClearTaskSet = 0x1000,
    /// ABORT TASK SET.
    AbortTaskSet = 0x4000,
    /// ABORT TASK.
    AbortTask = 0x8000,
}

/// What a logical unit, a disk, is. Set `size` to sizeof(iscsicore_unit_options), `serial` and `blocks`; every other field
/// that is 0 has its default. Strings and bytes are copied. A value out of its range is refused, not adjusted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_unit_options {
    /// sizeof(iscsicore_unit_options).
    pub size: usize,
    /// Unit serial number, 1 to 64 printable ASCII characters; there is no default. It must stay the same for the life of
    /// the unit, and no other unit may have it: initiators tell disks apart by it.
    pub serial: *const c_char,
    /// Vendor, up to 8 printable ASCII characters. Default: "ISCSICOR".
    pub vendor: *const c_char,
    /// Product, up to 16 printable ASCII characters. Default: "VIRTUAL DISK".
    pub product: *const c_char,
    /// Product revision, up to 4 printable ASCII characters. Default: "0001".
    pub revision: *const c_char,
    /// NAA identifier: 8 bytes of type 2h, 3h or 5h, or 16 bytes of type 6h. Default: a locally assigned one (3h), made of
    /// `serial`, the same for the same serial always.
    pub naa: *const u8,
    /// How many bytes `naa` has; 0 for the default.
    pub naa_len: usize,
    /// The capacity in logical blocks, 1 to 2^63 bytes in all; there is no default.
    pub blocks: u64,
    /// Bytes in a logical block: 512 or 4096. Default: 512.
    pub block_size: u32,
    /// Bytes in a physical block, which initiators align to: a power of two, from `block_size` to 2^15 times that. Default:
    /// 4096.
    pub physical_block_size: u32,
    /// Not zero: commands that write are refused, whoever sends them.
    pub read_only: c_int,
    /// Not zero: the unit is thinly provisioned. Initiators may give up blocks (ISCSICORE_OP_KIND_UNMAP), which then read
    /// as zeros.
    pub thin: c_int,
    /// An iscsicore_choice: whether a write may be reported done before it is on stable storage, until a flush or a write
    /// with `fua`. Default: yes.
    pub write_cache: c_int,
    /// Most bytes that one command may move, 64 KiB to 1 GiB, in whole blocks. Default: 32 MiB.
    pub max_transfer: u32,
    /// Most bytes of one operation on the storage of a command that is carried out in many (verifying, comparing, writing
    /// the same block again and again), 4 KiB to 64 MiB, in whole blocks. Default: 1 MiB.
    pub chunk: u32,
    /// Most blocks that one UNMAP may give up. Default: 2^20.
    pub max_unmap_blocks: u32,
    /// Most ranges in one UNMAP, 1 to 4095. Default: 256.
    pub max_unmap_descriptors: u32,
    /// The number of blocks in which it makes sense to give up space. Default: as many as 4096 bytes have.
    pub unmap_granularity: u32,
    /// Most blocks of one WRITE SAME. Default: as many as 32 MiB have.
    pub max_write_same_blocks: u32,
    /// The task management functions that work, iscsicore_task_function combined, for initiators that ask. Default: ABORT
    /// TASK, ABORT TASK SET, CLEAR TASK SET and LOGICAL UNIT RESET, which is right for an iscsicore_host.
    pub task_functions: u32,
    /// Not used; 0.
    pub reserved: u32,
    /// Not used; 0.
    pub reserved2: u32,
}

// SAFETY: numbers and pointers alone.
unsafe impl Options for iscsicore_unit_options {
    const NAME: &'static str = "iscsicore_unit_options";
    const FIRST_SIZE: usize = end_of!(Self, reserved2);
}

const _: () = assert!(end_of!(iscsicore_unit_options, reserved2) == size_of::<iscsicore_unit_options>());

/// Reads what a unit is.
///
/// # Safety
/// `pointer` is NULL or options as the header describes them.
pub(crate) unsafe fn read(pointer: *const iscsicore_unit_options) -> Result<UnitConfig, Failure> {
    // SAFETY: the caller's promise.
    let given = unsafe { options::read(pointer) }?;
    if given.reserved != 0 || given.reserved2 != 0 {
        return Err(Failure::invalid("iscsicore_unit_options: reserved is not 0"));
    }
    let block_size = match given.block_size {
        0 | 512 => BlockSize::B512,
        4096 => BlockSize::B4096,
        other => return Err(Failure::invalid(format!("block_size is {other}; it can be 512 or 4096"))),
    };
    let most = (1 << 63) >> block_size.shift();
    if !(1..=most).contains(&given.blocks) {
        let message = format!("blocks is {}; it can be 1 to {most}", given.blocks);
        return Err(Failure::invalid(message));
    }
    // SAFETY: the caller's promise.
    let serial = unsafe { text(given.serial, "serial") }?;
    if serial.is_empty() {
        return Err(Failure::invalid("serial is empty"));
    }
    let mut config = UnitConfig::new(field(serial, "serial", 64)?, block_size, given.blocks);
    // SAFETY: the caller's promise.
    unsafe { names(&mut config, &given) }?;
    config.read_only = flag(given.read_only);
    config.provisioning = if flag(given.thin) { Provisioning::Thin } else { Provisioning::Full };
    config.write_cache = choice(given.write_cache, "write_cache", config.write_cache)?;
    numbers(&mut config, &given)?;
    Ok(config)
}

/// # Safety
/// The pointers are NULL or as the header describes them.
unsafe fn names(config: &mut UnitConfig, given: &iscsicore_unit_options) -> Result<(), Failure> {
    for (place, pointer, what, most) in [
        (&mut config.vendor, given.vendor, "vendor", 8),
        (&mut config.product, given.product, "product", 16),
        (&mut config.revision, given.revision, "revision", 4),
    ] {
        // SAFETY: the caller's promise.
        if let Some(given) = unsafe { optional_text(pointer, what) }? {
            *place = field(given, what, most)?.into();
        }
    }
    // SAFETY: the caller's promise.
    let naa = unsafe { slice(given.naa, given.naa_len, "naa") }?;
    if !naa.is_empty() {
        config.naa = Naa::from_bytes(naa).ok_or_else(|| {
            Failure::invalid("naa is none: 8 bytes that begin with 2h, 3h or 5h, or 16 that begin with 6h")
        })?;
    }
    Ok(())
}

/// What the bytes of a field of ASCII characters may be.
fn field<'a>(text: &'a str, what: &'static str, most: usize) -> Result<&'a str, Failure> {
    if text.len() > most || text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        let message = format!("{what} is {text:?}; it can be up to {most} printable ASCII characters");
        return Err(Failure::invalid(message));
    }
    Ok(text)
}

fn numbers(config: &mut UnitConfig, given: &iscsicore_unit_options) -> Result<(), Failure> {
    let block = config.block_size.bytes();
    if given.physical_block_size != 0 {
        let (size, most) = (given.physical_block_size, block << 15);
        if !size.is_power_of_two() || !(block..=most).contains(&size) {
            let message =
                format!("physical_block_size is {size}; it can be a power of two from {block} to {most}");
            return Err(Failure::invalid(message));
        }
        // Of a ratio of at most 2^15.
        config.physical_block_exponent = (size / block).trailing_zeros() as u8;
    }
    let many = 1..=u32::MAX;
    ranged(&mut config.max_transfer, given.max_transfer, "max_transfer", 64 << 10..=1 << 30, block)?;
    ranged(&mut config.chunk, given.chunk, "chunk", 4096..=64 << 20, block)?;
    ranged(&mut config.max_unmap_blocks, given.max_unmap_blocks, "max_unmap_blocks", many.clone(), 1)?;
    ranged(&mut config.unmap_granularity, given.unmap_granularity, "unmap_granularity", many.clone(), 1)?;
    let same = "max_write_same_blocks";
    ranged(&mut config.max_write_same_blocks, given.max_write_same_blocks, same, many, 1)?;
    let mut descriptors = u32::from(config.max_unmap_descriptors);
    ranged(&mut descriptors, given.max_unmap_descriptors, "max_unmap_descriptors", 1..=4095, 1)?;
    // At most 4095.
    config.max_unmap_descriptors = descriptors as u16;
    if given.task_functions != 0 {
        config.task_functions = task_functions(given.task_functions)?;
    }
    Ok(())
}

fn ranged(
    place: &mut u32,
    value: u32,
    what: &'static str,
    range: core::ops::RangeInclusive<u32>,
    unit: u32,
) -> Result<(), Failure> {
    if value == 0 {
        return Ok(());
    }
    if !range.contains(&value) || !value.is_multiple_of(unit) {
        let (least, most) = (range.start(), range.end());
        let whole = if unit == 1 { String::new() } else { format!(", a multiple of {unit}") };
        let message = format!("{what} is {value}; it can be {least} to {most}{whole}");
        return Err(Failure::invalid(message));
    }
    *place = value;
    Ok(())
}

fn task_functions(bits: u32) -> Result<TaskFunctions, Failure> {
    use iscsicore_task_function as F;
    let mut left = bits;
    let mut functions = TaskFunctions::NONE;
    for (flag, function) in [
        (F::NexusReset, TaskFunctions::I_T_NEXUS_RESET),
        (F::QueryTaskSet, TaskFunctions::QUERY_TASK_SET),
        (F::QueryAsynchronousEvent, TaskFunctions::QUERY_ASYNCHRONOUS_EVENT),
        (F::QueryTask, TaskFunctions::QUERY_TASK),
        (F::LogicalUnitReset, TaskFunctions::LOGICAL_UNIT_RESET),
        (F::ClearTaskSet, TaskFunctions::CLEAR_TASK_SET),
        (F::AbortTaskSet, TaskFunctions::ABORT_TASK_SET),
        (F::AbortTask, TaskFunctions::ABORT_TASK),
    ] {
        if left & flag as u32 != 0 {
            left &= !(flag as u32);
            functions = functions.and(function);
        }
    }
    if left != 0 {
        let message = format!("task_functions has {left:#x}, which is no iscsicore_task_function");
        return Err(Failure::invalid(message));
    }
    Ok(functions)
}
