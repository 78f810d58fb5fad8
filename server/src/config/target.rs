//! `[[target]]` in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use iscsicore::disk::Naa;
use iscsicore::login::{DigestOffer, Offer};
use iscsicore::node::{IscsiName, LunMap, MappedUnit, PortalGroup, TargetConfig, UnitAccess};

use super::diagnostic::Diagnostics;
use super::file::NamedPortal;
use super::reader::{Section, Value};
use super::unit::{Disk, UnitProblem, UnitSpec, Units};
use super::{chap, warn_if_open, warn_if_twice};
use crate::identity;

/// What all targets of a file share.
pub(super) struct Context<'a> {
    pub(super) base: &'a Path,
    pub(super) data_dir: &'a Path,
    pub(super) exposed: bool,
    pub(super) portals: &'a [NamedPortal],
}

/// A LUN, and the initiators that alone see it; none means all.
struct LunEntry {
    number: u16,
    unit: MappedUnit,
    only: Option<BTreeSet<IscsiName>>,
}

const DIGESTS: [(&str, DigestOffer); 4] = [
    ("none", DigestOffer::NoneOnly),
    ("prefer-none", DigestOffer::PreferNone),
    ("prefer-crc32c", DigestOffer::PreferCrc32c),
    ("crc32c", DigestOffer::Crc32cOnly),
];

/// Reads one target.
pub(super) fn read(
    mut section: Section<'_>,
    context: &Context<'_>,
    units: &mut Units,
    before: &[TargetConfig],
    d: &mut Diagnostics,
) -> Option<TargetConfig> {
    let remedy = "write a name such as iqn.2026-01.com.example:disk0";
    let named = section.required("name", remedy, d);
    let name = named.as_ref().and_then(|value| target_name(value, before, d));
    // The rest is read even so: it may have mistakes of its own.
    let mut target =
        TargetConfig::new(name.clone().or_else(|| IscsiName::parse(super::DEFAULT_TARGET).ok())?);
    if let Some(value) = section.get("alias") {
        target.alias = value.string(d).map(str::to_owned);
        if target
            .alias
            .as_ref()
            .is_some_and(|a| a.is_empty() || a.len() > 255 || a.chars().any(char::is_control))
        {
            value.wrong("must have 1 to 255 bytes and no control characters; shorten it or leave it out", d);
        }
    }
    target.groups = groups(section.get("portals"), context.portals, d);
    if let Some(mut access) = section.section("access", d) {
        if let Some(value) = access.get("initiators") {
            target.access.initiators = chap::initiators(&value, d);
        }
        access.finish(d);
    }
    if let Some(accounts) = section.section("chap", d) {
        target.access.chap = Some(chap::read(accounts, context.base, context.exposed, d));
    }
    if let Some(parameters) = section.section("parameters", d) {
        read_parameters(parameters, &mut target.offer, d);
    }
    read_luns(&mut section, &mut target, context, units, d);
    warn_if_open(&target, Some(&section.span), d);
    warn_if_twice(&target, units, Some(&section.span), d);
    section.finish(d);
    name.map(|_| target)
}

fn target_name(value: &Value<'_>, before: &[TargetConfig], d: &mut Diagnostics) -> Option<IscsiName> {
    let text = value.string(d)?;
    match IscsiName::parse(text) {
        Err(why) => {
            let message = format!(
                "{text:?} is not an iSCSI name: {why}; write one such as iqn.2026-01.com.example:disk0"
            );
            value.wrong(message, d);
            None
        }
        Ok(name) if before.iter().any(|t| t.name == name) => {
            value.wrong(format!("there is a target {name} already; rename one"), d);
            None
        }
        Ok(name) => Some(name),
    }
}

/// The portal groups of a target: of all portals, or of those that it names.
fn groups(chosen: Option<Value<'_>>, portals: &[NamedPortal], d: &mut Diagnostics) -> Vec<PortalGroup> {
    let mut groups: BTreeMap<u16, PortalGroup> = BTreeMap::new();
    let mut add = |p: &NamedPortal| {
        let group = groups.entry(p.group).or_insert_with(|| PortalGroup::new(p.group, []));
        if !group.portals.contains(&p.portal) {
            group.portals.push(p.portal.clone());
        }
    };
    match chosen {
        None => portals.iter().for_each(add),
        Some(value) => {
            let empty = "is empty, so the target could not be reached; name portals, or leave it out for all";
            for item in value.items(empty, d) {
                let Some(text) = item.string(d) else { continue };
                let address = super::parse_address(text).ok();
                let is_meant =
                    |p: &&NamedPortal| p.name.as_deref() == Some(text) || Some(p.portal.address) == address;
                match portals.iter().find(is_meant) {
                    Some(portal) => add(portal),
                    None => item.wrong(format!("there is no portal {text:?}; {}", known(portals)), d),
                }
            }
        }
    }
    groups.into_values().collect()
}

fn known(portals: &[NamedPortal]) -> String {
    let name = |p: &NamedPortal| p.name.clone().unwrap_or_else(|| p.portal.address.to_string());
    let names: Vec<_> = portals.iter().map(name).collect();
    format!("the portals are {}", names.join(", "))
}

fn read_luns(
    section: &mut Section<'_>,
    target: &mut TargetConfig,
    context: &Context<'_>,
    units: &mut Units,
    d: &mut Diagnostics,
) {
    let sections = section.sections("lun", d);
    if sections.is_empty() {
        d.error(&section.span, &section.key("lun"), "is missing; write [[target.lun]] with number and path");
    }
    let mut entries: Vec<LunEntry> = Vec::new();
    let mut by_number: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for lun in sections {
        let span = lun.span.clone();
        let key = lun.key("number");
        let Some(entry) = read_lun(lun, context, units, d) else { continue };
        let alike = by_number.entry(entry.number).or_default();
        if alike.iter().any(|&other| overlap(&entries[other], &entry)) {
            d.error(&span, &key, format!("there is a LUN {} already; write another number", entry.number));
            continue;
        }
        alike.push(entries.len());
        entries.push(entry);
    }
    let names: BTreeSet<&IscsiName> = entries.iter().filter_map(|e| e.only.as_ref()).flatten().collect();
    target.luns = map_for(&entries, None);
    target.luns_for = names.into_iter().map(|name| (name.clone(), map_for(&entries, Some(name)))).collect();
}

/// Two LUNs of one number can stand side by side when one is for all and the other for some, or for others.
fn overlap(a: &LunEntry, b: &LunEntry) -> bool {
    match (&a.only, &b.only) {
        (None, None) => true,
        (Some(a), Some(b)) => !a.is_disjoint(b),
        _ => false,
    }
}

/// What an initiator sees: the LUNs of its own, and those of all whose numbers are not among them.
fn map_for(entries: &[LunEntry], initiator: Option<&IscsiName>) -> LunMap {
    let mut map = LunMap::new();
    let own =
        entries.iter().filter(|e| initiator.is_some_and(|i| e.only.as_ref().is_some_and(|o| o.contains(i))));
    let of_all = entries.iter().filter(|e| e.only.is_none());
    for entry in own.chain(of_all) {
        // A number that is taken by a LUN of the initiator's own hides the one of all.
        let _ = map.insert(entry.number, entry.unit.unit, entry.unit.access);
    }
    map
}

fn read_lun(
    mut lun: Section<'_>,
    context: &Context<'_>,
    units: &mut Units,
    d: &mut Diagnostics,
) -> Option<LunEntry> {
    let number =
        lun.required("number", "write 0 for the first LUN", d).and_then(|v| v.integer(0..=16_383, d));
    let (disk, spans) = read_disk(&mut lun, context, d);
    let mut faulty = disk.is_none();
    let disk = disk.unwrap_or_default();
    let mut spec = UnitSpec::new(disk);
    if let Some(value) = lun.get("block_size") {
        match value.integer(1..=u32::MAX, d) {
            Some(size @ (512 | 4096)) => spec.block_size = size,
            Some(other) => value.wrong(format!("{other} is not supported; write 512 or 4096"), d),
            None => faulty = true,
        }
    }
    spec.read_only = lun.get("read_only").and_then(|v| v.boolean(d)).unwrap_or(false);
    spec.thin = lun.get("thin").and_then(|v| v.boolean(d)).unwrap_or(true);
    spec.serial = lun.get("serial").and_then(|v| ascii(&v, 64, d));
    spec.vendor = lun.get("vendor").and_then(|v| ascii(&v, 8, d));
    spec.product = lun.get("product").and_then(|v| ascii(&v, 16, d));
    spec.naa = lun.get("naa").and_then(|v| read_naa(&v, d));
    let only = lun.get("initiators").map(|value| {
        let empty = "shows the LUN to nobody; write initiator names, or leave it out to show it to all";
        value.items(empty, d).iter().filter_map(|item| chap::initiator(item, d)).collect()
    });
    let whole = lun.span.clone();
    let prefix = lun.path.clone();
    lun.finish(d);
    if faulty {
        return None;
    }
    let access = if spec.read_only { UnitAccess::ReadOnly } else { UnitAccess::ReadWrite };
    let place = |problem: &UnitProblem| {
        let at = spans.iter().find(|(key, _)| *key == problem.key).map_or(&whole, |(_, span)| span);
        (at.clone(), format!("{prefix}.{}", problem.key))
    };
    // A LUN without a number is none, and takes no identity from others.
    let added = match number {
        Some(number) => units.add(spec, context.data_dir).map(|unit| Some((number, unit))),
        None => units.check(&spec, context.data_dir).map(|()| None),
    };
    for note in units.take_notes() {
        let (span, key) = place(&note);
        d.warn(Some(&span), &key, note.message);
    }
    match added {
        Ok(found) => found.map(|(number, unit)| LunEntry { number, unit: MappedUnit { unit, access }, only }),
        Err(problem) => {
            let (span, key) = place(&problem);
            d.error(&span, &key, problem.message);
            None
        }
    }
}

/// Where the keys of a disk stand.
type Spans = Vec<(&'static str, Range<usize>)>;

/// The file or memory of a LUN, unless one of its keys is wrong.
fn read_disk(lun: &mut Section<'_>, context: &Context<'_>, d: &mut Diagnostics) -> (Option<Disk>, Spans) {
    let (path, memory, size) = (lun.get("path"), lun.get("memory"), lun.get("size"));
    let bytes = size.as_ref().map(|v| v.size(d));
    let in_memory = memory.as_ref().and_then(|v| v.boolean(d)).unwrap_or(false);
    let text = path.as_ref().and_then(|v| v.string(d));
    let direct = lun.get("direct");
    let bypasses = direct.as_ref().and_then(|v| v.boolean(d)).unwrap_or(false);
    if let Some(value) = direct.as_ref().filter(|_| bypasses && in_memory) {
        value.wrong("a disk in memory has no cache to go past; leave it out", d);
    }
    match (&path, in_memory) {
        (Some(value), true) => value.wrong("stands beside memory = true; keep one of them", d),
        (None, false) => {
            d.error(&lun.span, &lun.key("path"), "is missing; write path = \"FILE\" or memory = true")
        }
        _ => {}
    }
    let faulty = path.is_some() == in_memory || path.is_some() != text.is_some() || bytes == Some(None);
    let spans = [("path", &path), ("size", &size), ("direct", &direct)];
    let spans =
        spans.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?.span.clone()))).collect();
    let disk = Disk { path: text.map(|p| context.data_dir.join(p)), size: bytes.flatten(), direct: bypasses };
    ((!faulty).then_some(disk), spans)
}

fn ascii(value: &Value<'_>, most: usize, d: &mut Diagnostics) -> Option<String> {
    let text = value.string(d)?;
    let fits = text.len() <= most && identity::is_serial(text);
    if !fits {
        value.wrong(format!("{text:?} does not fit; write 1 to {most} printable ASCII characters"), d);
    }
    fits.then(|| text.to_owned())
}

fn read_naa(value: &Value<'_>, d: &mut Diagnostics) -> Option<Naa> {
    let text = value.string(d)?;
    let naa = identity::parse_naa(text);
    if naa.is_none() {
        let remedy = "write 16 hexadecimal digits that begin with 2, 3 or 5, or 32 that begin with 6";
        value.wrong(format!("{text:?} is not an NAA identifier; {remedy}"), d);
    }
    naa
}

/// `[target.parameters]`: what is offered in negotiation.
fn read_parameters(mut section: Section<'_>, offer: &mut Offer, d: &mut Diagnostics) {
    let sizes: [(&'static str, &mut u32); 3] = [
        ("max_burst_length", &mut offer.max_burst),
        ("first_burst_length", &mut offer.first_burst),
        ("max_recv_data_segment_length", &mut offer.max_segment),
    ];
    for (key, parameter) in sizes {
        let Some(value) = section.get(key) else { continue };
        let Some(size) = value.size(d) else { continue };
        match u32::try_from(size) {
            Ok(size @ 512..=0xff_ffff) => *parameter = size,
            _ => value.wrong(format!("{size} is out of range; write 512 to 16777215 bytes"), d),
        }
    }
    if offer.first_burst > offer.max_burst {
        let message =
            format!("{} exceeds max_burst_length, {}; lower it", offer.first_burst, offer.max_burst);
        d.error(&section.span, &section.key("first_burst_length"), message);
    }
    if let Some(number) = section.get("max_outstanding_r2t").and_then(|v| v.integer(1..=65_535, d)) {
        offer.max_outstanding_r2t = number;
    }
    let flags = [("initial_r2t", &mut offer.initial_r2t), ("immediate_data", &mut offer.immediate_data)];
    for (key, flag) in flags {
        if let Some(value) = section.get(key).and_then(|v| v.boolean(d)) {
            *flag = value;
        }
    }
    let digests = [("header_digest", &mut offer.header_digest), ("data_digest", &mut offer.data_digest)];
    for (key, digest) in digests {
        if let Some(value) = section.get(key).and_then(|v| v.choice(&DIGESTS, d)) {
            *digest = value;
        }
    }
    section.finish(d);
}
