//! Trying what starting would do, without doing it, and what to do when the system refuses.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use iscsicore::node::{IscsiName, TargetConfig};
use iscsicore_runtime::backend::OpenError;

use crate::config::{Backing, Config, Unit};
use crate::machine;
use crate::run::disks::{self, FileError};
use crate::runtime::Runtime;
use crate::size::Size;

/// What a start would meet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// What it would fail of.
    pub(crate) errors: Vec<String>,
    /// What may be in order, or become so.
    pub(crate) warnings: Vec<String>,
}

/// Tries the disks, as they would be opened on `runtime`, and the portals. Creates and changes nothing; a disk that is
/// free is locked for a moment.
pub(crate) fn check(config: &Config, runtime: Option<&Runtime>) -> Findings {
    let mut found = Findings::default();
    check_data_dir(config, &mut found);
    for (unit, name) in config.units.iter().zip(unit_names(config)) {
        check_unit(unit, &name, &config.data_dir, runtime, &mut found);
    }
    check_portals(&config.portals, &mut found);
    check_lists(config, &mut found);
    found
}

/// How to call each unit: by the first LUN that leads to it.
pub(crate) fn unit_names(config: &Config) -> Vec<String> {
    let mut names = vec![None; config.units.len()];
    for target in &config.node.targets {
        for (lun, mapped) in
            std::iter::once(&target.luns).chain(target.luns_for.values()).flat_map(|l| l.iter())
        {
            if let Some(name) = names.get_mut(mapped.unit.0 as usize) {
                let number = lun.number().unwrap_or_default();
                name.get_or_insert_with(|| format!("LUN {number} of {}", target.name));
            }
        }
    }
    names.into_iter().map(|name| name.unwrap_or_else(|| "a LUN that nobody sees".to_owned())).collect()
}

/// What to do about a disk that cannot be opened.
pub(crate) fn disk_remedy(error: &OpenError) -> &'static str {
    match error {
        OpenError::InUse { .. } => "end the other server, or unmount it",
        OpenError::NotStorage { .. } => "name a regular file or a block device",
        OpenError::Io { source, doing: "create", .. } => creation_remedy(source),
        OpenError::Io { source, .. } => path_remedy(source),
        // These say it themselves.
        _ => "correct the size",
    }
}

/// What to do about a portal that cannot be listened on.
pub(crate) fn portal_remedy(error: &io::Error) -> &'static str {
    if let Some(remedy) = limits_remedy(error) {
        return remedy;
    }
    match error.kind() {
        io::ErrorKind::AddrInUse => "end the program that listens there, or choose another port",
        io::ErrorKind::AddrNotAvailable => {
            "it is no address of this machine: write one that is, or 0.0.0.0 or [::] for all"
        }
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 on, or run with the right to use this one"
        }
        _ => "choose another address",
    }
}

/// What to do about a file or directory that cannot be made.
pub(crate) fn creation_remedy(error: &io::Error) -> &'static str {
    if let Some(remedy) = limits_remedy(error) {
        return remedy;
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "choose a place where this user may create files, or give it permission"
        }
        io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written, or mount this one so",
        _ => "correct the path, or mend what is there",
    }
}

/// What to do when the system does not say no to what is asked for, but to more of it.
fn limits_remedy(error: &io::Error) -> Option<&'static str> {
    // EMFILE; other systems than Unix have no such limit.
    (cfg!(unix) && error.raw_os_error() == Some(24))
        .then_some("raise the limit of open files (ulimit -n, LimitNOFILE= of systemd)")
}

/// What to do when threads cannot be started.
pub(crate) fn threads_remedy(error: &io::Error) -> &'static str {
    limits_remedy(error).unwrap_or("look at the limits of this process (ulimit -a)")
}

fn path_remedy(error: &io::Error) -> &'static str {
    if let Some(remedy) = limits_remedy(error) {
        return remedy;
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "give this user permission, or write read_only = true in a configuration file if it only lacks that to write"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount it writable, or write read_only = true in a configuration file"
        }
        io::ErrorKind::NotFound => "create it, or correct the path",
        _ => "correct the path, or mend what is there",
    }
}

fn check_data_dir(config: &Config, found: &mut Findings) {
    let directory = &config.data_dir;
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return;
    }
    if let Err(error) = can_create_in(directory) {
        found.errors.push(format!(
            "cannot create the directory {}: {error}; {}",
            directory.display(),
            creation_remedy(&error)
        ));
    }
}

fn check_unit(unit: &Unit, name: &str, data_dir: &Path, runtime: Option<&Runtime>, found: &mut Findings) {
    let Backing::File(path) = &unit.backing else { return };
    let runtime = match runtime {
        Some(runtime) => runtime,
        // Who cannot have the runtime that was asked for has been told so.
        None if unit.direct => return,
        None => &Runtime::Tokio,
    };
    if !path.exists() {
        let parent = path.parent().unwrap_or(Path::new(""));
        if unit.read_only {
            found.errors.push(format!(
                "{name}: {} does not exist, and a disk that is only read is not created; create it, or drop read_only",
                path.display()
            ));
        } else if (parent != data_dir || parent.as_os_str().is_empty() || parent.is_dir())
            // Otherwise it has been said of the directory already.
            && let Err(error) = can_create_in(parent)
        {
            let remedy = creation_remedy(&error);
            found.errors.push(format!("{name}: cannot create {}: {error}; {remedy}", path.display()));
        }
        return;
    }
    match disks::open_file(path, disks::options(unit), unit.direct, runtime) {
        Ok(_) => {}
        // An empty file gets its size at the start.
        Err(FileError::Open { why: OpenError::Empty { .. } }) if unit.size.is_some() && !unit.read_only => {}
        Err(error @ FileError::Open { why: OpenError::InUse { .. } }) => found
            .warnings
            .push(format!("{name}: {error}, unless it is the server that this configuration is for")),
        Err(error) => found.errors.push(format!("{name}: {error}")),
    }
}

/// Whether the nearest directory that exists on the way to `path` lets files be made in it.
fn can_create_in(path: &Path) -> io::Result<()> {
    let nearest = path.ancestors().find(|p| p.as_os_str().is_empty() || p.exists()).unwrap_or(Path::new(""));
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    if !nearest.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    machine::check_writable_dir(nearest)
}

fn check_portals(portals: &[SocketAddr], found: &mut Findings) {
    let mut bound: Vec<(SocketAddr, socket2::Socket)> = Vec::new();
    for address in portals {
        match bind(*address) {
            Ok(socket) => bound.push((*address, socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                match bound.iter().find(|(other, _)| overlap(*other, *address)) {
                    Some((other, _)) => found.errors.push(format!(
                        "portal {address}: cannot listen: portal {other} has this address and port too; remove one"
                    )),
                    None => found.warnings.push(format!(
                        "portal {address}: cannot listen: {error}; {}, unless it is the server that this configuration \
                         is for",
                        portal_remedy(&error)
                    )),
                }
            }
            Err(error) => {
                let remedy = portal_remedy(&error);
                found.errors.push(format!("portal {address}: cannot listen: {error}; {remedy}"));
            }
        }
    }
}

/// Whether one socket alone can have either address.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let one_is_all = a.ip().is_unspecified() || b.ip().is_unspecified() || a.ip() == b.ip();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && one_is_all
}

/// Takes an address as the server does.
fn bind(address: SocketAddr) -> io::Result<socket2::Socket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    // Without this, several sockets could have one address.
    socket.listen(1)?;
    Ok(socket)
}

/// Initiators read the list of targets into memory, and some of them not much of it.
fn check_lists(config: &Config, found: &mut Findings) {
    let (to_all, to_some) = list_sizes(&config.node.targets);
    let most =
        to_some.into_iter().map(|(name, more)| (to_all + more, Some(name))).max_by_key(|(size, _)| *size);
    let (size, who) = most.unwrap_or((to_all, None));
    if size > MOST_LIST {
        let who = if to_all > MOST_LIST { None } else { who };
        let who = who.map_or_else(|| "every initiator".to_owned(), ToString::to_string);
        found.warnings.push(format!(
            "discovery tells {who} of {} of targets and addresses, and some initiators do not take more than {}; let \
             each initiator see fewer targets with [target.access], or spread them over several servers or portals \
             (portals = [..] of a target shortens its entry)",
            Size(size.next_multiple_of(1024)),
            Size(MOST_LIST)
        ));
    }
}

/// The bytes of SendTargets text for everybody, and those that single initiators get beside them.
fn list_sizes(targets: &[TargetConfig]) -> (u64, BTreeMap<&IscsiName, u64>) {
    use iscsicore::node::Initiators;
    let (mut to_all, mut to_some) = (0, BTreeMap::new());
    for target in targets {
        let size = entry_size(target);
        match &target.access.initiators {
            Initiators::Any => to_all += size,
            Initiators::Only(names) => {
                for name in names {
                    *to_some.entry(name).or_default() += size;
                }
            }
        }
    }
    (to_all, to_some)
}

/// The bytes of a target's entry, as if every portal were reported (RFC 7143 appendix C).
fn entry_size(target: &TargetConfig) -> u64 {
    let name = "TargetName=\0".len() + target.name.to_string().len();
    let addresses = target.groups.iter().flat_map(|g| g.portals.iter().map(move |p| (g.tag, p)));
    let addresses = addresses.map(|(tag, portal)| {
        let address = portal.announce.clone().unwrap_or_else(|| portal.address.to_string());
        format!("TargetAddress={address},{tag}\0").len()
    });
    (name + addresses.sum::<usize>()) as u64
}

/// The bytes of targets and addresses that initiators are known to take.
const MOST_LIST: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use clap::Parser;
    use iscsicore_runtime::backend::FileOptions;

    fn config(line: &[&str]) -> Config {
        crate::config::load(&Args::parse_from([&["iscsicored"], line].concat())).config.unwrap()
    }

    fn checked(line: &[&str]) -> Findings {
        check(&config(line), Some(&Runtime::Tokio))
    }

    #[test]
    fn a_disk_in_use_is_a_warning_with_its_lun_and_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        let other = FileOptions::new().size(512).open(&path).unwrap();
        let line = ["--listen", "127.0.0.1:0", "--disk", "memory:512", "--disk", path.to_str().unwrap()];
        let found = checked(&line);
        assert_eq!((found.errors.len(), found.warnings.len()), (0, 1));
        assert!(found.warnings[0].starts_with("LUN 1 of iqn.2026-01.dev.iscsicore:disk0: "), "{found:?}");
        assert!(found.warnings[0].contains("in use") && found.warnings[0].contains("end the other server"));
        drop(other);
        assert_eq!(checked(&line), Findings::default());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_storage_is_an_error() {
        let found = checked(&["--listen", "127.0.0.1:0", "--disk", "/dev/null"]);
        assert_eq!(
            found.errors,
            [
                "LUN 0 of iqn.2026-01.dev.iscsicore:disk0: /dev/null is neither a regular file nor a block device; name \
                 a regular file or a block device"
            ]
        );
    }

    // Goal: a check creates nothing. Method: a disk and its directory that a start would make.
    #[test]
    fn nothing_is_created() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&["--listen", "127.0.0.1:0"]);
        config.data_dir = dir.path().join("data");
        config.units[0].backing = Backing::File(dir.path().join("data/disk0.img"));
        config.units[0].size = Some(512);
        assert_eq!(check(&config, Some(&Runtime::Tokio)), Findings::default());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        std::fs::write(dir.path().join("data"), "in the way").unwrap();
        let errors = check(&config, Some(&Runtime::Tokio)).errors;
        assert!(errors[0].starts_with("cannot create the directory "), "{errors:?}");
        config.data_dir = dir.path().to_owned();
        config.units[0].backing = Backing::File(dir.path().join("none.img"));
        config.units[0].read_only = true;
        assert!(check(&config, Some(&Runtime::Tokio)).errors[0].contains("create it, or drop read_only"));
    }

    #[test]
    fn portals_are_tried() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().to_string();
        let found = checked(&["--listen", &taken, "--disk", "memory:512"]);
        assert_eq!((found.errors.len(), found.warnings.len()), (0, 1), "{found:?}");
        assert!(found.warnings[0].starts_with(&format!("portal {taken}: cannot listen: ")), "{found:?}");
        assert!(found.warnings[0].contains("choose another port"));

        let found = checked(&["--listen", "192.0.2.1:0", "--disk", "memory:512"]);
        assert!(found.errors[0].starts_with("portal 192.0.2.1:0: cannot listen: "), "{found:?}");
        assert!(found.errors[0].contains("it is no address of this machine"));

        drop(listener);
        let all = taken.replace("127.0.0.1", "0.0.0.0");
        let found = checked(&["--listen", &all, "--listen", &taken, "--disk", "memory:512"]);
        assert!(
            found.errors[0].contains(&format!("portal {all} has this address and port too")),
            "{found:?}"
        );
    }

    #[test]
    fn permissions_have_remedies() {
        for (kind, remedy) in [
            (io::ErrorKind::PermissionDenied, "give this user permission"),
            (io::ErrorKind::ReadOnlyFilesystem, "read_only = true"),
            (io::ErrorKind::NotFound, "create it"),
        ] {
            let error = OpenError::Io { path: "f".into(), doing: "open", source: kind.into() };
            assert!(disk_remedy(&error).contains(remedy), "{kind}");
        }
        let error = OpenError::Io {
            path: "f".into(),
            doing: "create",
            source: io::ErrorKind::PermissionDenied.into(),
        };
        assert!(disk_remedy(&error).contains("choose a place"));
        assert!(portal_remedy(&io::ErrorKind::PermissionDenied.into()).contains("port from 1024 on"));
        if cfg!(unix) {
            let full = || io::Error::from_raw_os_error(24);
            let error = OpenError::Io { path: "f".into(), doing: "open", source: full() };
            assert!(
                disk_remedy(&error).contains("ulimit -n") && portal_remedy(&full()).contains("ulimit -n")
            );
        }
    }

    // Goal: the list of targets is measured for those who see most of it. Method: just below and above the limit, open
    // to all and to one.
    #[test]
    fn long_lists_of_targets_are_noticed() {
        use iscsicore::node::Initiators;
        let mut config = config(&["--listen", "127.0.0.1:0", "--disk", "memory:512"]);
        let one = config.node.targets[0].clone();
        // TargetName=<31>, TargetAddress=127.0.0.1:0,1 and their ends.
        assert_eq!(entry_size(&one), 43 + 28);
        let fit = (MOST_LIST / entry_size(&one)) as usize;
        config.node.targets = vec![one.clone(); fit];
        assert_eq!(check(&config, Some(&Runtime::Tokio)).warnings, [""; 0]);
        config.node.targets.push(one);
        let warnings = check(&config, Some(&Runtime::Tokio)).warnings;
        assert!(
            warnings[0].starts_with("discovery tells every initiator of 257 KiB of targets"),
            "{warnings:?}"
        );
        assert!(warnings[0].contains("with [target.access]"));

        let name = IscsiName::parse("iqn.2026-01.com.example:h").unwrap();
        for target in &mut config.node.targets {
            target.access.initiators = Initiators::Only([name.clone()].into());
        }
        assert!(
            check(&config, Some(&Runtime::Tokio)).warnings[0]
                .starts_with("discovery tells iqn.2026-01.com.example:h of 257 KiB")
        );
    }
}
