//! What the server says about itself: the targets, their LUNs, and commands to try.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use iscsicore::node::{ChapAccount, ChapRules, Initiators, IscsiName, LunMap, TargetConfig, UnitAccess};

use crate::config::{Backing, Config, Unit};
use crate::identity;
use crate::runtime::Chosen;
use crate::size::Size;

/// Lists what is served and on what, as `--check-config` prints it.
pub(crate) fn summary(config: &Config, on: &Chosen) -> String {
    let mut out = String::new();
    for target in &config.node.targets {
        describe_target(config, target, &mut out);
    }
    let discovery = match &config.node.discovery.chap {
        Some(chap) => format!("CHAP as {}", users(chap)),
        None => "open".to_owned(),
    };
    let _ = writeln!(out, "discovery: {discovery}\nruntime: {on}");
    out
}

/// Greets whoever started the server: the summary, and commands to try for the first target.
pub(crate) fn banner(config: &Config, on: &Chosen) -> String {
    let mut out = format!("iscsicored {}\n\n{}", env!("CARGO_PKG_VERSION"), summary(config, on));
    let Some(target) = config.node.targets.first() else { return out };
    let Some(portal) = target.groups.iter().flat_map(|g| &g.portals).next() else { return out };
    let at = connectable(portal.address);
    let name = &target.name;
    let (account, initiator) = allowed(target);
    out.push_str("\ntry it:\n");
    if let Some(account) = account {
        let user = quoted(&account.account.name);
        let _ = writeln!(out, "  export LIBISCSI_CHAP_USERNAME={user} LIBISCSI_CHAP_PASSWORD=..");
    }
    let who = initiator.map_or_else(String::new, |initiator| format!("-i {} ", quoted(initiator.as_str())));
    let _ = writeln!(out, "  iscsi-ls {who}-s iscsi://{at}");
    if let Some(lun) = first_lun(target, initiator) {
        let option = initiator.map_or_else(String::new, |initiator| {
            format!("--initiator-name {} ", quoted(initiator.as_str()))
        });
        let _ = writeln!(out, "  iscsictl info {option}iscsi://{at}/{name}/{lun}");
    }
    let _ = match (first_lun(target, initiator), initiator) {
        (None, _) => Ok(()),
        (Some(lun), None) => writeln!(out, "  qemu-img info iscsi://{at}/{name}/{lun}"),
        (Some(lun), Some(initiator)) => {
            let mut options = format!(
                "driver=raw,file.driver=iscsi,file.transport=tcp,file.portal={at},file.target={name},file.lun={lun},\
                 file.initiator-name={initiator}"
            );
            let mut object = "";
            if let Some(account) = account {
                // A URL takes the account from the environment, options do not.
                let user = account.account.name.replace(',', ",,");
                let _ = write!(options, ",file.user={user},file.password-secret=chap");
                object = "--object \"secret,id=chap,data=$LIBISCSI_CHAP_PASSWORD\" ";
            }
            writeln!(out, "  qemu-img info {object}--image-opts {}", quoted(&options))
        }
    };
    if let Some(initiator) = initiator {
        let _ =
            writeln!(out, "  # iscsiadm: /etc/iscsi/initiatorname.iscsi must say InitiatorName={initiator}");
    }
    let _ = writeln!(out, "  iscsiadm -m discovery -t sendtargets -p {at}");
    if account.is_some() {
        out.push_str(
            "  # iscsiadm: CHAP is set with -o update -n node.session.auth.{authmethod,username,password} -v ..\n",
        );
    }
    let _ = writeln!(out, "  iscsiadm -m node -T {name} -p {at} --login");
    out
}

/// An account that opens a target, and the name of an initiator that may use it; none when any may.
fn allowed(target: &TargetConfig) -> (Option<&ChapAccount>, Option<&IscsiName>) {
    let accounts = target.access.chap.iter().flat_map(|chap| &chap.accounts);
    let mut pairs = accounts.flat_map(|account| {
        let names: Vec<_> = match (&target.access.initiators, &account.initiators) {
            (Initiators::Any, Initiators::Any) => vec![None],
            (Initiators::Only(names), Initiators::Any) | (Initiators::Any, Initiators::Only(names)) => {
                names.iter().map(Some).collect()
            }
            (Initiators::Only(all), Initiators::Only(own)) => all.intersection(own).map(Some).collect(),
        };
        names.into_iter().map(move |name| (Some(account), name))
    });
    pairs.next().unwrap_or_else(|| {
        let account = target.access.chap.as_ref().and_then(|chap| chap.accounts.first());
        let name = match &target.access.initiators {
            Initiators::Any => None,
            Initiators::Only(names) => names.first(),
        };
        (account, name)
    })
}

fn describe_target(config: &Config, target: &TargetConfig, out: &mut String) {
    let _ = write!(out, "target {}", target.name);
    if let Some(alias) = &target.alias {
        let _ = write!(out, " ({alias})");
    }
    out.push('\n');
    for group in &target.groups {
        for portal in &group.portals {
            let _ = write!(out, "  portal {} group {}", portal.address, group.tag);
            let _ = match &portal.announce {
                Some(announce) => writeln!(out, ", announced as {announce}"),
                None => writeln!(out),
            };
        }
    }
    let who = match &target.access.initiators {
        Initiators::Any => "every initiator".to_owned(),
        Initiators::Only(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let how = match &target.access.chap {
        None => "no authentication".to_owned(),
        Some(chap) => {
            format!("CHAP as {}{}", users(chap), if chap.mutual.is_some() { ", mutual" } else { "" })
        }
    };
    let _ = writeln!(out, "  open to {who}, {how}");
    describe_luns(config, &target.luns, None, out);
    for (initiator, luns) in &target.luns_for {
        let _ = writeln!(out, "  for {initiator}:");
        describe_luns(config, luns, Some("  "), out);
    }
}

fn describe_luns(config: &Config, luns: &LunMap, indent: Option<&str>, out: &mut String) {
    for (lun, mapped) in luns.iter() {
        let Some(unit) = config.units.get(mapped.unit.0 as usize) else { continue };
        let access = if mapped.access == UnitAccess::ReadOnly { "read-only" } else { "read-write" };
        let number = lun.number().unwrap_or_default();
        let _ =
            writeln!(out, "  {}LUN {number}: {}, {access}", indent.unwrap_or_default(), describe_unit(unit));
    }
}

fn describe_unit(unit: &Unit) -> String {
    let place = match &unit.backing {
        Backing::File(path) => path.display().to_string(),
        Backing::Memory => "memory".to_owned(),
    };
    // Without a size in the configuration the file's own is served; a block device's is not known before it is open.
    let size = unit.size.or_else(|| match &unit.backing {
        Backing::File(path) => std::fs::metadata(path).ok().filter(|m| m.is_file()).map(|m| m.len()),
        Backing::Memory => None,
    });
    let size = size.map_or_else(|| "size of the device".to_owned(), |size| Size(size).to_string());
    let direct = if unit.direct { "direct, " } else { "" };
    format!("{place}, {size}, {direct}blocks of {}, {}", unit.block_size, describe_identity(unit))
}

fn describe_identity(unit: &Unit) -> String {
    let later = match &unit.backing {
        Backing::File(_) => "to be assigned at first start",
        Backing::Memory => "new at each start",
    };
    match (&unit.serial, unit.naa.as_ref().map(identity::naa_name)) {
        (Some(serial), Some(naa)) => format!("serial {serial}, {naa}"),
        (Some(serial), None) => format!("serial {serial}, naa {later}"),
        (None, Some(naa)) => format!("serial {later}, {naa}"),
        (None, None) => format!("serial and naa {later}"),
    }
}

fn users(chap: &ChapRules) -> String {
    chap.accounts.iter().map(|a| a.account.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The first LUN that an initiator sees.
fn first_lun(target: &TargetConfig, initiator: Option<&IscsiName>) -> Option<u16> {
    let luns = initiator.and_then(|name| target.luns_for.get(name)).unwrap_or(&target.luns);
    luns.iter().next().and_then(|(lun, _)| lun.number())
}

/// An address to connect to on this machine.
fn connectable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@,=/".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("alice"), "alice");
        assert_eq!(quoted("al ice"), "'al ice'");
        assert_eq!(quoted("$al"), "'$al'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn wildcards_are_reached_over_loopback() {
        for (from, to) in
            [("0.0.0.0:860", "127.0.0.1:860"), ("[::]:3260", "[::1]:3260"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(connectable(from.parse().unwrap()).to_string(), to);
        }
    }
}
