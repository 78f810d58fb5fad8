//! What is checked of a configuration beyond the form of its parts.

use core::ffi::{c_char, c_int};
use core::net::SocketAddr;
use std::collections::BTreeMap;

use iscsicore::disk::UnitConfig;
use iscsicore::login::ChapAlgorithm;
use iscsicore::node::{ConfigError, LunMap, Node, NodeConfig, UnitId};

use super::config::ISCSICORE_DISCOVERY;
use crate::pointer::text;
use crate::status::Failure;

/// The number of something that is added when there are `count` already. The greatest number means discovery.
pub(super) fn number(count: usize) -> Result<u32, Failure> {
    let number = u32::try_from(count).ok().filter(|number| *number < ISCSICORE_DISCOVERY);
    number.ok_or_else(|| Failure::invalid("there are 2^32 - 1 of them already"))
}

pub(super) fn config_error(error: ConfigError) -> Failure {
    Failure::invalid(error.to_string())
}

/// An address with its port.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn address(pointer: *const c_char) -> Result<SocketAddr, Failure> {
    // SAFETY: the caller's promise.
    let address = unsafe { text(pointer, "the address") }?;
    address.parse().map_err(|_| {
        let form = "write 192.0.2.1:3260 or [2001:db8::1]:3260";
        Failure::invalid(format!("{address:?} is no address with a port; {form}"))
    })
}

pub(super) fn algorithms(given: &[c_int]) -> Result<Vec<ChapAlgorithm>, Failure> {
    if given.is_empty() {
        return Err(Failure::invalid("CHAP without an algorithm"));
    }
    let mut algorithms = Vec::new();
    for number in given {
        let known = u64::try_from(*number).ok().and_then(ChapAlgorithm::from_code);
        let known =
            known.ok_or_else(|| Failure::invalid(format!("{number} is no iscsicore_chap_algorithm")))?;
        if algorithms.contains(&known) {
            return Err(Failure::invalid(format!("algorithm {number} is there twice")));
        }
        algorithms.push(known);
    }
    Ok(algorithms)
}

/// A node of what was gathered; LUNs name units below `units`.
pub(super) fn node(config: &NodeConfig, units: usize) -> Result<Node, Failure> {
    let node = Node::new(config.clone()).map_err(config_error)?;
    for target in &node.config().targets {
        for luns in core::iter::once(&target.luns).chain(target.luns_for.values()) {
            if let Some((lun, unit)) = missing(luns, units) {
                let message = format!(
                    "LUN {lun} of target {} stands for unit {}, but there are {units} units",
                    target.name, unit.0
                );
                return Err(Failure::invalid(message));
            }
        }
    }
    Ok(node)
}

fn missing(luns: &LunMap, units: usize) -> Option<(u16, UnitId)> {
    let mut mapped = luns.iter().map(|(lun, mapped)| (lun.number().unwrap_or_default(), mapped.unit));
    mapped.find(|(_, unit)| usize::try_from(unit.0).map_or(true, |index| index >= units))
}

/// Initiators take two disks with one name for two ways to one disk.
pub(super) fn units(units: &[UnitConfig]) -> Result<(), Failure> {
    let (mut serials, mut identifiers) = (BTreeMap::new(), BTreeMap::new());
    for (at, unit) in units.iter().enumerate() {
        let serial = serials.insert(&unit.serial, at).map(|other| (other, "serial number"));
        let naa = identifiers.insert(unit.naa.as_bytes(), at).map(|other| (other, "NAA identifier"));
        if let Some((other, what)) = serial.or(naa) {
            let message = format!("units {other} and {at} have one {what}: initiators would mix them up");
            return Err(Failure::invalid(message));
        }
    }
    Ok(())
}
