//! Changes to a host that runs.

use core::ffi::{c_char, c_int};
use core::time::Duration;

use iscsicore::Instant;
use iscsicore::node::{Service, UnitId};

use super::config::{HostConfig, iscsicore_host_config};
use super::{HostState, check, iscsicore_host};
use crate::boundary::guard;
use crate::handle::lock;
use crate::pointer::text;
use crate::status::{Failure, iscsicore_status};

/// Whether a target takes logins.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_service {
    /// It does.
    Online = 0,
    /// Not now (maintenance, shutdown): initiators are told to try again later.
    Unavailable = 1,
    /// Never again: initiators are told to forget it.
    Removed = 2,
}

impl HostState {
    /// Takes the rules of another configuration; what was said of the service of targets stays.
    fn reconfigure(&mut self, config: &HostConfig) -> Result<(), Failure> {
        let mut node = check::node(&config.node, self.units)?;
        for old in &self.host.node_mut().config().targets {
            node.set_service(old.name.as_str(), old.service);
        }
        *self.host.node_mut() = node;
        Ok(())
    }
}

/// Puts the targets and rules of another configuration in the place of those that the host has, for logins to come. Sessions
/// stay as they are, with the LUNs that they have, and so does what iscsicore_host_set_service said of targets that stay.
/// LUNs name the units that the host was made with; the units and limits of this configuration are not looked at.
///
/// Errors: as of iscsicore_host_new; nothing changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_reconfigure(
    host: *mut iscsicore_host,
    config: *const iscsicore_host_config,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut host, config) = unsafe { (lock(host)?, lock(config)?) };
        host.reconfigure(&config)
    })
}

/// Asks all initiators to log out, before a shutdown, say; sessions that have not ended after `within` nanoseconds are ended
/// then. Initiators may log in again: see iscsicore_host_set_service.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_request_logout(
    host: *mut iscsicore_host,
    now: u64,
    within: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut host = unsafe { lock(host) }?;
        host.host.request_logout(Instant::from_nanos(now), Duration::from_nanos(within));
        Ok(())
    })
}

/// Changes the capacity of a unit, in logical blocks, and tells all its initiators. Storage that grows is there before this
/// call; jobs of before a unit shrank may still name what was cut off.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such unit. ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, or more than
/// 2^63 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_resize(
    host: *mut iscsicore_host,
    unit: u32,
    blocks: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut host = unsafe { lock(host) }?;
        let there = host.host.unit_mut(UnitId(unit));
        let there = there.ok_or_else(|| Failure::unknown(format!("there is no unit {unit}")))?;
        let most = (1 << 63) >> there.config().block_size.shift();
        if !(1..=most).contains(&blocks) {
            return Err(Failure::invalid(format!("blocks is {blocks}; it can be 1 to {most}")));
        }
        there.resize(blocks);
        Ok(())
    })
}

/// Lets a target take logins, or stop taking them: `service` is an iscsicore_service. Sessions that are there are not touched.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_set_service(
    host: *mut iscsicore_host,
    target: *const c_char,
    service: c_int,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut host, target) = unsafe { (lock(host)?, text(target, "target")?) };
        let service = match service {
            0 => Service::Online,
            1 => Service::Unavailable,
            2 => Service::Removed,
            _ => {
                let message = format!("service is {service}, which is no iscsicore_service");
                return Err(Failure::invalid(message));
            }
        };
        if host.host.node_mut().set_service(target, service) {
            Ok(())
        } else {
            Err(Failure::unknown(format!("there is no target {target:?}")))
        }
    })
}
