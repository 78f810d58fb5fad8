//! The TOML file: its top level.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use iscsicore::Limits;
use iscsicore::node::{NodeConfig, NodeLimits, Portal};
use toml::de::DeTable;

use super::diagnostic::Diagnostics;
use super::reader::Section;
use super::target::{self, Context};
use super::unit::Units;
use super::{Config, DEFAULT_PORT, Loaded, Log, chap, check_filter, directory_of, finish, parse_address};
use crate::cli::LogFormat;
use crate::runtime::{self, Choice, RuntimeConfig};

/// A portal, and the name that targets use for it.
pub(super) struct NamedPortal {
    pub(super) name: Option<String>,
    pub(super) group: u16,
    pub(super) portal: Portal,
}

/// Reads a configuration out of `text`, which `path` has.
pub(super) fn load(path: &Path, text: &str) -> Loaded {
    let mut d = Diagnostics::new(path.display().to_string(), text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        // A parser that has lost its way reports several mistakes where there is one.
        let message = error.message().trim().replace('\n', ", ");
        d.error(&error.span().unwrap_or(0..0), "", format!("not TOML: {message}; correct the syntax here"));
    }
    if !errors.is_empty() {
        return finish(None, d);
    }
    let mut root = Section::root(&document);
    let base = directory_of(path);
    let exposed = chap::is_exposed(path);

    let (mut log, mut runtime) = (Log::default(), RuntimeConfig::default());
    let mut data_dir = base.clone();
    if let Some(mut server) = root.section("server", &mut d) {
        read_runtime(&mut server, &mut runtime, &mut d);
        read_server(server, &base, &mut data_dir, &mut log, &mut d);
    }
    let portals = read_portals(&mut root, &mut d);
    let (mut limits, mut session) = (NodeLimits::default(), Limits::default());
    if let Some(section) = root.section("limits", &mut d) {
        read_limits(section, &mut limits, &mut session, &mut d);
    }
    let mut node = NodeConfig::default();
    if let Some(mut discovery) = root.section("discovery", &mut d) {
        node.discovery.chap =
            discovery.section("chap", &mut d).map(|c| chap::read(c, &base, exposed, &mut d));
        discovery.finish(&mut d);
    }
    let mut units = Units::default();
    let context = Context { base: &base, data_dir: &data_dir, exposed, portals: &portals };
    for section in root.sections("target", &mut d) {
        if let Some(target) = target::read(section, &context, &mut units, &node.targets, &mut d) {
            node.targets.push(target);
        }
    }
    if node.targets.is_empty() && !d.has_errors() {
        d.error(
            &(0..0),
            "target",
            "there is none, so nothing would be served; write [[target]] with name and [[target.lun]]",
        );
    }
    root.finish(&mut d);
    let portals = portals.into_iter().map(|p| p.portal.address).collect();
    let config = Config { node, units: units.into_vec(), portals, data_dir, limits, session, runtime, log };
    finish(Some(config), d)
}

/// Which runtime, and the shards of glommio.
fn read_runtime(server: &mut Section<'_>, runtime: &mut RuntimeConfig, d: &mut Diagnostics) {
    let choices = [("auto", Choice::Auto), ("glommio", Choice::Glommio), ("tokio", Choice::Tokio)];
    if let Some(choice) = server.get("runtime").and_then(|v| v.choice(&choices, d)) {
        runtime.choice = choice;
    }
    let (shards, pinned) = (server.get("shards"), server.get("pinned"));
    if let Some(value) = &shards {
        let count = value.integer(1..=runtime::MOST_SHARDS, d);
        runtime.shards = count.and_then(|count| NonZeroUsize::new(count.into()));
        let warning = count.and_then(|count| runtime::too_many_shards(count.into(), runtime::cores()));
        if let Some(warning) = warning {
            d.warn(Some(&value.span), &value.path, warning);
        }
    }
    if let Some(choice) = pinned.as_ref().and_then(|v| v.boolean(d)) {
        runtime.pinned = choice;
    }
    if runtime.choice == Choice::Tokio {
        for value in [shards, pinned].into_iter().flatten() {
            value.wrong("tokio has no shards; leave it out, or write runtime = \"glommio\" or \"auto\"", d);
        }
    }
}

fn read_server(
    mut server: Section<'_>,
    base: &Path,
    data_dir: &mut std::path::PathBuf,
    log: &mut Log,
    d: &mut Diagnostics,
) {
    if let Some(dir) = server.get("data_dir").and_then(|v| v.string(d)) {
        *data_dir = base.join(dir);
    }
    if let Some(value) = server.get("log")
        && let Some(filter) = value.string(d)
    {
        match check_filter(filter) {
            Ok(()) => log.filter = filter.to_owned(),
            Err(problem) => value.wrong(problem, d),
        }
    }
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    if let Some(format) = server.get("log_format").and_then(|v| v.choice(&formats, d)) {
        log.format = format;
    }
    server.finish(d);
}

fn read_portals(root: &mut Section<'_>, d: &mut Diagnostics) -> Vec<NamedPortal> {
    let mut portals: Vec<NamedPortal> = Vec::new();
    for mut section in root.sections("portal", d) {
        let name = section.get("name").and_then(|v| v.string(d)).map(str::to_owned);
        let group = section.get("group").and_then(|v| v.integer(0..=u16::MAX, d)).unwrap_or(1);
        let announce = section.get("announce").and_then(|v| v.string(d)).map(str::to_owned);
        let address = section.required("address", "write an IP address such as 0.0.0.0:3260", d);
        let key = section.key("name");
        let span = section.span.clone();
        section.finish(d);
        let Some(value) = address else { continue };
        let Some(text) = value.string(d) else { continue };
        let address = match parse_address(text) {
            Ok(address) => address,
            Err(remedy) => {
                value.wrong(format!("{text:?} is not an address; {remedy}"), d);
                continue;
            }
        };
        if portals.iter().any(|p| p.portal.address == address) {
            value.wrong(format!("there is a portal {address} already; remove one"), d);
            continue;
        }
        if name.is_some() && portals.iter().any(|p| p.name == name) {
            d.error(
                &span,
                &key,
                format!("there is a portal named {:?} already; rename one", name.unwrap_or_default()),
            );
            continue;
        }
        portals.push(NamedPortal { name, group, portal: Portal { address, announce } });
    }
    if portals.is_empty() {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);
        portals.push(NamedPortal { name: None, group: 1, portal: Portal::new(address) });
    }
    portals
}

fn read_limits(mut section: Section<'_>, node: &mut NodeLimits, session: &mut Limits, d: &mut Diagnostics) {
    let counts: [(&'static str, &mut usize); 4] = [
        ("sessions", &mut node.sessions),
        ("sessions_per_initiator", &mut node.sessions_per_initiator),
        ("discovery_sessions", &mut node.discovery_sessions),
        ("connections_in_login", &mut node.connections_in_login),
    ];
    for (key, limit) in counts {
        if let Some(number) = section.get(key).and_then(|v| v.integer(1..=65_535, d)) {
            *limit = number;
        }
    }
    if let Some(depth) = section.get("queue_depth").and_then(|v| v.integer(1..=4096, d)) {
        session.queue_depth = depth;
    }
    let times: [(&'static str, &mut Duration, u64); 3] = [
        ("login_timeout", &mut session.login_timeout, 1),
        ("ping_interval", &mut session.ping_interval, 0),
        ("ping_timeout", &mut session.ping_timeout, 1),
    ];
    for (key, limit, least) in times {
        if let Some(seconds) = section.get(key).and_then(|v| v.integer(least..=86_400, d)) {
            *limit = Duration::from_secs(seconds);
        }
    }
    section.finish(d);
}
