//! What a server is: units, targets, portals, LUNs, who may log in.

use core::ffi::{c_char, c_int};

use iscsicore::Limits;
use iscsicore::disk::UnitConfig;
use iscsicore::node::{
    IscsiName, NodeConfig, NodeLimits, Portal, PortalGroup, TargetConfig, UnitAccess, UnitId,
};

use super::check;
use crate::boundary::guard;
use crate::handle::{Handle, Locked, Opaque, free, lock, opaque};
use crate::limits::{self, iscsicore_limits, iscsicore_offer};
use crate::options::{Options, end_of, read_optional};
use crate::pointer::{optional_text, out, out_handle, text};
use crate::status::{Failure, iscsicore_status};
use crate::unit_options::{self, iscsicore_unit_options};

/// In place of the number of a target: discovery sessions that name no target.
pub const ISCSICORE_DISCOVERY: u32 = u32::MAX;

/// What a LUN allows to be done to its unit.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_access {
    /// Everything.
    ReadWrite = 0,
    /// Nothing that changes the medium.
    ReadOnly = 1,
}

/// What an iscsicore_host is made of: units, targets and rules, gathered by the functions iscsicore_host_config_.., in any
/// order but that a target is there before what belongs to it. Contradictions are told by iscsicore_host_new.
///
/// Strings and bytes are copied. Secrets are overwritten in memory when the configuration and the hosts made of it are freed.
///
/// Threads: any, one call at a time.
pub struct iscsicore_host_config(Handle<HostConfig>);
opaque!(iscsicore_host_config, HostConfig);

/// What is gathered.
#[derive(Debug, Default)]
pub(crate) struct HostConfig {
    pub(super) limits: Limits,
    pub(super) of_all: NodeLimits,
    pub(super) units: Vec<UnitConfig>,
    pub(super) node: NodeConfig,
}

impl HostConfig {
    pub(super) fn target(&mut self, number: u32) -> Result<&mut TargetConfig, Failure> {
        let target = usize::try_from(number).ok().and_then(|index| self.node.targets.get_mut(index));
        target.ok_or_else(|| Failure::unknown(format!("there is no target {number} in this configuration")))
    }
}

/// Bounds on a whole host. Set `size` to sizeof(iscsicore_node_limits); every field that is 0 has its default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_node_limits {
    /// sizeof(iscsicore_node_limits).
    pub size: usize,
    /// Sessions, 1 to 65535. Default: 1024.
    pub sessions: u32,
    /// Sessions of one initiator name. Default: 64.
    pub sessions_per_initiator: u32,
    /// Discovery sessions. Default: 128.
    pub discovery_sessions: u32,
    /// Connections that have not logged in yet. Default: 256.
    pub connections_in_login: u32,
}

// SAFETY: numbers alone.
unsafe impl Options for iscsicore_node_limits {
    const NAME: &'static str = "iscsicore_node_limits";
    const FIRST_SIZE: usize = end_of!(Self, connections_in_login);
}

const _: () =
    assert!(end_of!(iscsicore_node_limits, connections_in_login) == size_of::<iscsicore_node_limits>());

/// # Safety
/// `config` is NULL or a configuration.
pub(super) unsafe fn locked<'a>(
    config: *mut iscsicore_host_config,
) -> Result<Locked<'a, HostConfig>, Failure> {
    // SAFETY: the caller's promise.
    unsafe { lock(config) }
}

/// # Safety
/// As for [`text`].
pub(super) unsafe fn initiator_name(pointer: *const c_char) -> Result<Option<IscsiName>, Failure> {
    // SAFETY: the caller's promise.
    let Some(name) = unsafe { optional_text(pointer, "the initiator's name") }? else { return Ok(None) };
    let name = IscsiName::received(name)
        .map_err(|why| Failure::invalid(format!("initiator {name:?} has no iSCSI name: {why}")))?;
    Ok(Some(name))
}

/// Makes an empty configuration.
///
/// Ownership: the caller's, until iscsicore_host_config_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_new(
    config: *mut *mut iscsicore_host_config,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let place = unsafe { out_handle(config) }?;
        place.set(iscsicore_host_config::boxed(HostConfig::default()));
        Ok(())
    })
}

/// Ends a configuration. Hosts that were made of it stay. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_free(config: *mut iscsicore_host_config) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(config) })
}

/// Sets the bounds of every session. NULL sets the defaults, which hold without this call, too. Make the receivers of the
/// connections with the same limits.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a limit out of its range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_set_limits(
    config: *mut iscsicore_host_config,
    limits: *const iscsicore_limits,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, limits) = unsafe { (locked(config)?, limits::limits(limits)?) };
        config.limits = limits;
        Ok(())
    })
}

/// Sets the bounds of the whole host. NULL sets the defaults, which hold without this call, too.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a number out of its range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_set_node_limits(
    config: *mut iscsicore_host_config,
    limits: *const iscsicore_node_limits,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, given) = unsafe { (locked(config)?, read_optional(limits)?) };
        let mut of_all = NodeLimits::default();
        if let Some(given) = given {
            if given.sessions > 65535 {
                let message = format!("sessions is {}; it can be 1 to 65535", given.sessions);
                return Err(Failure::invalid(message));
            }
            for (place, value) in [
                (&mut of_all.sessions, given.sessions),
                (&mut of_all.sessions_per_initiator, given.sessions_per_initiator),
                (&mut of_all.discovery_sessions, given.discovery_sessions),
                (&mut of_all.connections_in_login, given.connections_in_login),
            ] {
                if value != 0 {
                    *place = usize::try_from(value).unwrap_or(usize::MAX);
                }
            }
        }
        config.of_all = of_all;
        Ok(())
    })
}

/// Adds a logical unit, a disk, and tells its number: 0 for the first, 1 for the next. iscsicore_job names units by it.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for options out of their ranges.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_add_unit(
    config: *mut iscsicore_host_config,
    options: *const iscsicore_unit_options,
    unit: *mut u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, place) = unsafe { (locked(config)?, out(unit, "unit")?) };
        // SAFETY: as above.
        let unit = unsafe { unit_options::read(options) }?;
        place.set(check::number(config.units.len())?);
        config.units.push(unit);
        Ok(())
    })
}

/// Adds a target, which everybody may use until accounts or allowed initiators are added, and tells its number: 0 for the
/// first, 1 for the next. It needs at least one portal. SendTargets reports targets in the order in which they were added.
///
/// `name` is its iSCSI name, such as "iqn.2001-04.com.example:disk". `alias`, a name for people, may be NULL.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a name that RFC 7143 section 4.2.7 does not allow.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_add_target(
    config: *mut iscsicore_host_config,
    name: *const c_char,
    alias: *const c_char,
    target: *mut u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, place) = unsafe { (locked(config)?, out(target, "target")?) };
        // SAFETY: as above.
        let (name, alias) = unsafe { (text(name, "name")?, optional_text(alias, "alias")?) };
        let parsed = IscsiName::parse(name)
            .map_err(|why| Failure::invalid(format!("{name:?} is no iSCSI name: {why}")))?;
        let mut target = TargetConfig::new(parsed);
        target.alias = alias.map(str::to_owned);
        place.set(check::number(config.node.targets.len())?);
        config.node.targets.push(target);
        Ok(())
    })
}

/// Adds an address at which a target is reachable, to its portal group `tag`.
///
/// `address` is what the listener is bound to: "192.0.2.1:3260", "[2001:db8::1]:3260". "0.0.0.0" and "[::]" stand for every
/// address of the machine, port 0 for whatever port was reached. `announce`, "host:port", is what SendTargets reports in its
/// place, where initiators see another address than the listener has; NULL reports the address itself.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_add_portal(
    config: *mut iscsicore_host_config,
    target: u32,
    tag: u16,
    address: *const c_char,
    announce: *const c_char,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut config = unsafe { locked(config) }?;
        let target = config.target(target)?;
        // SAFETY: as above.
        let (address, announce) = unsafe { (check::address(address)?, optional_text(announce, "announce")?) };
        let portal = Portal { address, announce: announce.map(str::to_owned) };
        match target.groups.iter_mut().find(|group| group.tag == tag) {
            Some(group) => group.portals.push(portal),
            None => target.groups.push(PortalGroup { tag, portals: vec![portal] }),
        }
        Ok(())
    })
}

/// Puts a unit behind a LUN of a target, the plain number 0 to 16383, with an iscsicore_access. A unit may stand behind many LUNs, of
/// many targets. ISCSICORE_ACCESS_READ_ONLY keeps those from writing who come by this LUN; `read_only` of the unit, everybody.
///
/// `initiator` NULL: for every initiator that has no LUNs of its own. With a name, this LUN is that initiator's own: of this
/// target it sees its own LUNs only. That the unit exists is checked by iscsicore_host_new.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target. ISCSICORE_STATUS_INVALID_ARGUMENT for a LUN out of range or
/// taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_add_lun(
    config: *mut iscsicore_host_config,
    target: u32,
    initiator: *const c_char,
    lun: u16,
    unit: u32,
    access: c_int,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, initiator) = unsafe { (locked(config)?, initiator_name(initiator)?) };
        let target = config.target(target)?;
        let access = match access {
            0 => UnitAccess::ReadWrite,
            1 => UnitAccess::ReadOnly,
            _ => return Err(Failure::invalid(format!("access is {access}, which is no iscsicore_access"))),
        };
        let Some(initiator) = initiator else {
            return target.luns.insert(lun, UnitId(unit), access).map_err(check::config_error);
        };
        // An initiator with a map of its own sees nothing else: a map that is still empty must not stay.
        let mut luns = target.luns_for.get(&initiator).cloned().unwrap_or_default();
        luns.insert(lun, UnitId(unit), access).map_err(check::config_error)?;
        target.luns_for.insert(initiator, luns);
        Ok(())
    })
}

/// Sets what a target negotiates, or discovery (ISCSICORE_DISCOVERY). NULL sets the defaults, which hold without this call,
/// too.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_set_offer(
    config: *mut iscsicore_host_config,
    target: u32,
    offer: *const iscsicore_offer,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, offer) = unsafe { (locked(config)?, limits::offer(offer)?) };
        match target {
            ISCSICORE_DISCOVERY => config.node.discovery.offer = offer,
            number => config.target(number)?.offer = offer,
        }
        Ok(())
    })
}
