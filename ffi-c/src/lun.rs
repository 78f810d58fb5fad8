//! Logical unit numbers.

use iscsicore::wire::Lun;

use crate::boundary::guard;
use crate::pointer::out;
use crate::status::{Failure, iscsicore_status};

/// Makes the eight bytes of a LUN, as one number in the order of the wire, of a plain number: 0 to 16383. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for numbers from 16384 on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_lun(number: u16, lun: *mut u64) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let place = unsafe { out(lun, "lun") }?;
        let lun = Lun::from_number(number)
            .ok_or_else(|| Failure::invalid(format!("{number} is no number of a LUN: 0 to 16383")))?;
        place.set(lun.0);
        Ok(())
    })
}

/// Tells the plain number of a LUN. Initiators write small numbers in two ways, which name the same unit: compare what this
/// function says, not the LUNs. Any thread.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a LUN that is no plain number: of several levels, or well known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_lun_number(lun: u64, number: *mut u16) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let place = unsafe { out(number, "number") }?;
        let number = Lun(lun)
            .number()
            .ok_or_else(|| Failure::invalid(format!("LUN {} is no plain number", Lun(lun))))?;
        place.set(number);
        Ok(())
    })
}
