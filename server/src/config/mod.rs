//! What to serve: from a TOML file, from the command line, or built in.
//!
//! Loading finds all mistakes that it can, not only the first, and says for each where it is and what to write.

mod chap;
mod diagnostic;
mod file;
mod reader;
mod target;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use iscsicore::Limits;
use iscsicore::node::{
    ConfigError, Initiators, IscsiName, LunMap, NodeConfig, NodeLimits, PortalGroup, TargetConfig, UnitAccess,
};

use tracing_subscriber::filter::LevelFilter;

pub(crate) use diagnostic::Diagnostic;
pub(crate) use unit::{Backing, Disk, Unit, rest};

use crate::cli::{Args, LogFormat};
use crate::machine;
use crate::runtime::{self, Choice, RuntimeConfig};
use crate::size::Size;
use diagnostic::Diagnostics;
use unit::{UnitSpec, Units};

/// The port of iSCSI (RFC 7143 section 14).
pub(crate) const DEFAULT_PORT: u16 = 3260;
/// The target that is served when no file names one.
pub(crate) const DEFAULT_TARGET: &str = "iqn.2026-01.dev.iscsicore:disk0";
const DEFAULT_DATA_DIR: &str = "iscsicored-data";
const DEFAULT_DISK: &str = "disk0.img";
const DEFAULT_SIZE: u64 = 1 << 30;
/// What to write in place of a log filter that cannot be read.
const LOG_REMEDY: &str = "write error, warn, info, debug or trace, or a filter such as info,iscsicore=debug";

/// Everything that the server needs to know, checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// Targets, LUN maps, access rules.
    pub(crate) node: NodeConfig,
    /// The logical units; a [`UnitId`](iscsicore::node::UnitId) is an index here.
    pub(crate) units: Vec<Unit>,
    /// Where to listen; every portal of every target is among them.
    pub(crate) portals: Vec<SocketAddr>,
    /// A directory to create before files are, if it is not there; empty means the current one.
    pub(crate) data_dir: PathBuf,
    /// How many sessions.
    pub(crate) limits: NodeLimits,
    /// How much each of them may hold.
    pub(crate) session: Limits,
    /// What it runs on.
    pub(crate) runtime: RuntimeConfig,
    /// What is logged.
    pub(crate) log: Log,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// How lines look.
    pub(crate) format: LogFormat,
    /// Levels, in the syntax of tracing's `EnvFilter`.
    pub(crate) filter: String,
}

/// What came of loading.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration; with mistakes there is none.
    pub(crate) config: Result<Config, Vec<Diagnostic>>,
    /// What is allowed but unwise.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// Loads what the command line asks for.
pub(crate) fn load(args: &Args) -> Loaded {
    let mut loaded = match &args.config {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => file::load(path, &text),
            Err(error) => {
                let mut d = Diagnostics::new(path.display().to_string(), "");
                d.error_anywhere(
                    "",
                    format!("cannot be read: {error}; --config takes the path of a TOML file"),
                );
                finish(None, d)
            }
        },
        None => from_command_line(args),
    };
    override_with(args, &mut loaded);
    loaded
}

/// The command line has the last word about the log and the runtime.
fn override_with(args: &Args, loaded: &mut Loaded) {
    let Ok(config) = &mut loaded.config else { return };
    let mut d = Diagnostics::new("command line", "");
    if let Some(format) = args.log_format {
        config.log.format = format;
    }
    if let Some(filter) = &args.log {
        match check_filter(filter) {
            Ok(()) => config.log.filter.clone_from(filter),
            Err(problem) => d.error_anywhere("--log", problem),
        }
    }
    override_runtime(args, &mut config.runtime, &mut d);
    let (errors, warnings) = d.into_parts();
    loaded.warnings.extend(warnings);
    if !errors.is_empty() {
        loaded.config = Err(errors);
    }
}

fn override_runtime(args: &Args, config: &mut RuntimeConfig, d: &mut Diagnostics) {
    if let Some(choice) = args.runtime {
        config.choice = choice;
    }
    let Some(shards) = args.shards else { return };
    if config.choice == Choice::Tokio {
        d.error_anywhere("--shards", "tokio has no shards; leave it out, or write --runtime glommio or auto");
    }
    config.shards = NonZeroUsize::new(shards.into());
    if let Some(warning) = runtime::too_many_shards(shards.into(), runtime::cores()) {
        d.warn(None, "--shards", warning);
    }
}

fn from_command_line(args: &Args) -> Loaded {
    let mut d = Diagnostics::new("command line", "");
    let mut units = Units::default();
    let mut data_dir = PathBuf::new();
    let mut disks = args.disk.clone();
    if disks.is_empty() {
        data_dir = PathBuf::from(DEFAULT_DATA_DIR);
        disks.push(Disk { path: Some(data_dir.join(DEFAULT_DISK)), size: Some(DEFAULT_SIZE), direct: false });
        // The operator may have resized it since; then it is served as it is.
        if std::fs::metadata(data_dir.join(DEFAULT_DISK)).is_ok_and(|m| m.len() != 0) {
            disks[0].size = None;
        }
    }
    let portals = match args.listen.as_slice() {
        [] => vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT)],
        given => given.to_vec(),
    };
    let mut luns = LunMap::new();
    for (number, disk) in (0u16..).zip(disks) {
        let mapped = units
            .add(UnitSpec::new(disk), &data_dir)
            .map_err(|problem| problem.message)
            .and_then(|unit| luns.insert(number, unit, UnitAccess::ReadWrite).map_err(|e| e.to_string()));
        if let Err(problem) = mapped {
            d.error_anywhere("--disk", problem);
        }
        for note in units.take_notes() {
            d.warn(None, "--disk", format!("LUN {number}: {}", note.message));
        }
    }
    let mut node = NodeConfig::default();
    if let Ok(name) = IscsiName::parse(DEFAULT_TARGET) {
        let mut target = TargetConfig::new(name);
        target.luns = luns;
        target.groups = vec![PortalGroup::new(1, portals.iter().copied())];
        node.targets.push(target);
    }
    if let Some(target) = node.targets.first() {
        warn_if_open(target, None, &mut d);
        warn_if_twice(target, &units, None, &mut d);
    }
    let config = Config {
        node,
        units: units.into_vec(),
        portals,
        data_dir,
        limits: NodeLimits::default(),
        session: Limits::default(),
        runtime: RuntimeConfig::default(),
        log: Log::default(),
    };
    finish(Some(config), d)
}

/// The last check, over everything, and the result.
fn finish(config: Option<Config>, mut d: Diagnostics) -> Loaded {
    if let Some(config) = config.as_ref().filter(|_| !d.has_errors()) {
        for problem in config.node.problems() {
            match &problem {
                ConfigError::SharedSecret { initiator, target } => {
                    d.shared_secret(initiator, target, &problem.to_string());
                }
                _ => d.error_anywhere("", problem.to_string()),
            }
        }
        warn_of_memory(config, machine::memory(), &mut d);
    }
    let (errors, warnings) = d.into_parts();
    let config = config.filter(|_| errors.is_empty()).ok_or(errors);
    Loaded { config, warnings }
}

/// Disks in memory take it as they are written, and when there is no more the system ends the server.
fn warn_of_memory(config: &Config, there_is: Option<u64>, d: &mut Diagnostics) {
    let in_memory = config.units.iter().filter(|unit| unit.backing == Backing::Memory);
    let total: u64 = in_memory.filter_map(|unit| unit.size).sum();
    if let Some(there_is) = there_is.filter(|there_is| total > *there_is) {
        let message = format!(
            "the disks in memory have {}, but this machine has {}; make them smaller, or serve files",
            Size(total),
            // To the last byte it would be hard to read.
            Size(there_is >> 20 << 20)
        );
        d.warn(None, "", message);
    }
}

/// A disk under two numbers of one target is two disks to many an initiator, which then overwrite each other's data.
fn warn_if_twice(
    target: &TargetConfig,
    units: &Units,
    span: Option<&std::ops::Range<usize>>,
    d: &mut Diagnostics,
) {
    let mut said = BTreeSet::new();
    for luns in std::iter::once(&target.luns).chain(target.luns_for.values()) {
        let mut by_unit: BTreeMap<u32, (Vec<u16>, bool)> = BTreeMap::new();
        for (lun, mapped) in luns.iter() {
            let (numbers, written) = by_unit.entry(mapped.unit.0).or_default();
            numbers.extend(lun.number());
            *written |= mapped.access == UnitAccess::ReadWrite;
        }
        by_unit.retain(|_, (numbers, written)| numbers.len() > 1 && *written);
        for (unit, (numbers, _)) in by_unit {
            if !said.insert((unit, numbers.clone())) {
                continue;
            }
            let numbers: Vec<_> = numbers.iter().map(|number| format!("LUN {number}")).collect();
            let message = format!(
                "{} is {} of target {}; an initiator that takes them for several disks destroys the data, so keep one",
                units.name(unit),
                numbers.join(" and "),
                target.name
            );
            d.warn(span, "", message);
        }
    }
}

/// Whoever reaches an open target can read and overwrite it.
fn warn_if_open(target: &TargetConfig, span: Option<&std::ops::Range<usize>>, d: &mut Diagnostics) {
    if target.access.chap.is_some() || target.access.initiators != Initiators::Any {
        return;
    }
    let mut portals = target.groups.iter().flat_map(|g| &g.portals);
    if let Some(portal) = portals.find(|p| !p.address.ip().to_canonical().is_loopback()) {
        let (name, address) = (&target.name, portal.address);
        let remedy = match span {
            Some(_) => "configure [target.chap] or [target.access]",
            None => "use --config FILE with [target.chap] or [target.access]",
        };
        d.warn(
            span,
            "",
            format!(
                "target {name} can be read and overwritten by everybody who reaches {address}; \
                 {remedy}, or listen on 127.0.0.1"
            ),
        );
    }
}

/// Reads an address to listen on, with or without port.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, DEFAULT_PORT));
    }
    text.parse().map_err(|_| "write an IP address such as 0.0.0.0, 192.0.2.1:3260 or [::1]:3260")
}

/// Whether the log filter can be read, and lets through what its writer meant.
fn check_filter(filter: &str) -> Result<(), String> {
    // To the library a word that is no level is a module, and with nothing else in the filter all others are silent.
    let is_wrong = |part: &str| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err();
    if let Some(word) = filter.split(',').map(str::trim).find(|part| is_wrong(part)) {
        return Err(format!("{word:?} is not a level; {LOG_REMEDY}"));
    }
    match tracing_subscriber::EnvFilter::try_new(filter) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{filter:?} is not a log filter ({error}); {LOG_REMEDY}")),
    }
}

/// The directory that relative paths in `file` start from; empty means the current one.
fn directory_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_owned)
}

#[cfg(test)]
mod tests;
