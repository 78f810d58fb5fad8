//! SendTargets: what is asked for, and the answer. RFC 7143 appendix C.

use iscsicore::link::TaskId;
use iscsicore::node::IscsiName;
use iscsicore::target::{SendTargets, TargetAddress, TargetRecord};

use super::iscsicore_target;
use super::login::check_address;
use crate::boundary::guard;
use crate::codes::{iscsicore_target_address, iscsicore_target_record};
use crate::handle::lock;
use crate::pointer::{slice, text};
use crate::status::{Failure, iscsicore_status};

/// Which targets are asked for.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_send_targets {
    /// All that the initiator may use.
    All = 0,
    /// One, by its name.
    Named = 1,
    /// The one of this session.
    Current = 2,
}

pub(super) fn which_to_c(which: &SendTargets) -> (iscsicore_send_targets, Option<&str>) {
    match which {
        SendTargets::All => (iscsicore_send_targets::All, None),
        SendTargets::Named(name) => (iscsicore_send_targets::Named, Some(name)),
        SendTargets::Current => (iscsicore_send_targets::Current, None),
    }
}

/// # Safety
/// `records` is NULL or has `count` of them, as the header describes them.
unsafe fn records(
    records: *const iscsicore_target_record,
    count: usize,
) -> Result<Vec<TargetRecord>, Failure> {
    // SAFETY: the caller's promise.
    let records = unsafe { slice(records, count, "targets") }?;
    let read = |record: &iscsicore_target_record| {
        // SAFETY: the caller's promise.
        let (name, addresses) = unsafe {
            (text(record.name, "name")?, slice(record.addresses, record.address_count, "addresses")?)
        };
        let name = IscsiName::parse(name)
            .map_err(|why| Failure::invalid(format!("name {name:?} is not an iSCSI name: {why}")))?;
        let read = |place: &iscsicore_target_address| {
            // SAFETY: the caller's promise.
            let text = unsafe { text(place.address, "address") }?;
            let portal_group_tag = place.portal_group_tag;
            Ok(TargetAddress { address: check_address(text)?.to_owned(), portal_group_tag })
        };
        let addresses = addresses.iter().map(read).collect::<Result<_, Failure>>()?;
        Ok(TargetRecord { name: name.as_str().to_owned(), addresses })
    };
    records.iter().map(read).collect()
}

/// Answers ISCSICORE_TARGET_EVENT_KIND_SEND_TARGETS with `count` targets, which may be none. They are copied.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such request any more; ISCSICORE_STATUS_INVALID_ARGUMENT for what is no
/// iSCSI name, or no address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_answer_send_targets(
    target: *mut iscsicore_target,
    request: u64,
    targets: *const iscsicore_target_record,
    count: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, targets) = unsafe { (lock(target)?, records(targets, count)?) };
        state.session()?.target.answer_send_targets(TaskId::from_bits(request), &targets)?;
        Ok(())
    })
}
