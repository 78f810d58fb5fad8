//! Logical units: what stands behind them, and under which identity.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use iscsicore::disk::Naa;
use iscsicore::node::UnitId;
use iscsicore_runtime::backend::MemoryBackend;

use crate::identity::{self, Settled};
use crate::size::Size;

/// A disk as the command line names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    /// A file or block device; none means memory.
    pub(crate) path: Option<PathBuf>,
    /// In bytes.
    pub(crate) size: Option<u64>,
    /// Whether its data goes past the page cache.
    pub(crate) direct: bool,
}

/// A logical unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Where its data is.
    pub(crate) backing: Backing,
    /// Bytes. A file that is not there is created with them; one that is there has them. None means whatever the
    /// file or block device has.
    pub(crate) size: Option<u64>,
    /// Whether the data goes past the page cache.
    pub(crate) direct: bool,
    /// Bytes in a logical block: 512 or 4096.
    pub(crate) block_size: u32,
    /// Whether no LUN allows writes.
    pub(crate) read_only: bool,
    /// Whether blocks can be given back.
    pub(crate) thin: bool,
    /// Unit serial number; none until the first start assigns one.
    pub(crate) serial: Option<String>,
    /// NAA identifier; likewise.
    pub(crate) naa: Option<Naa>,
    /// T10 vendor identification; none means the server's own.
    pub(crate) vendor: Option<String>,
    /// Product identification; none means the server's own.
    pub(crate) product: Option<String>,
}

/// Where the data of a unit is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Backing {
    /// In a file or on a block device.
    File(PathBuf),
    /// In memory; lost at the end.
    Memory,
}

/// What a LUN asks of its unit.
#[derive(Clone, Debug)]
pub(crate) struct UnitSpec {
    pub(super) disk: Disk,
    pub(super) block_size: u32,
    pub(super) read_only: bool,
    pub(super) thin: bool,
    pub(super) serial: Option<String>,
    pub(super) naa: Option<Naa>,
    pub(super) vendor: Option<String>,
    pub(super) product: Option<String>,
}

/// What is wrong with a unit, and which of its keys is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnitProblem {
    pub(super) key: &'static str,
    pub(super) message: String,
}

/// The units so far.
#[derive(Debug, Default)]
pub(crate) struct Units {
    units: Vec<Unit>,
    by_path: BTreeMap<PathBuf, usize>,
    /// Whose serial that is, as an index.
    serials: BTreeMap<String, usize>,
    /// Likewise.
    naas: BTreeMap<Vec<u8>, usize>,
    /// Bytes of all disks in memory.
    memory: u64,
    notes: Vec<UnitProblem>,
}

impl UnitSpec {
    /// A unit with nothing but a disk.
    pub(super) fn new(disk: Disk) -> Self {
        UnitSpec {
            disk,
            block_size: 512,
            read_only: false,
            thin: true,
            serial: None,
            naa: None,
            vendor: None,
            product: None,
        }
    }
}

impl Units {
    /// Adds a unit, or finds the one that serves the same file already: two units over one file would know nothing
    /// of each other's reservations.
    pub(super) fn add(&mut self, spec: UnitSpec, data_dir: &Path) -> Result<UnitId, UnitProblem> {
        self.check(&spec, data_dir)?;
        let identity = spec.disk.path.as_deref().map(real_path);
        if let Some(&index) = identity.as_ref().and_then(|path| self.by_path.get(path)) {
            return self.share(index, &spec);
        }
        let backing = spec.disk.path.clone().map_or(Backing::Memory, Backing::File);
        let (serial, naa) = self.identify(&spec, &backing)?;
        self.note_rest(&spec);
        if backing == Backing::Memory {
            self.memory += spec.disk.size.unwrap_or_default();
        }
        let index = self.units.len();
        self.by_path.extend(identity.map(|path| (path, index)));
        self.units.push(Unit {
            backing,
            size: spec.disk.size,
            direct: spec.disk.direct,
            block_size: spec.block_size,
            read_only: spec.read_only,
            thin: spec.thin,
            serial,
            naa,
            vendor: spec.vendor,
            product: spec.product,
        });
        Ok(unit_id(index))
    }

    /// What is wrong with a unit in itself.
    pub(super) fn check(&self, spec: &UnitSpec, data_dir: &Path) -> Result<(), UnitProblem> {
        check_size(spec, data_dir)?;
        let Some(size) = spec.disk.size.filter(|_| spec.disk.path.is_none()) else { return Ok(()) };
        let most = Size(MemoryBackend::MAX_SIZE);
        if size > most.0 {
            let message = format!("{} exceeds what a disk in memory can have, {most}", Size(size));
            return Err(problem("size", format!("{message}; write less, or serve a file")));
        }
        if self.memory + size > most.0 {
            let message = format!("the disks in memory exceed together what they can have, {most}");
            return Err(problem("size", format!("{message}; write less, or serve a file")));
        }
        Ok(())
    }

    /// What is unwise about the units that were added since this was asked last.
    pub(super) fn take_notes(&mut self) -> Vec<UnitProblem> {
        std::mem::take(&mut self.notes)
    }

    /// What people know a unit by.
    pub(super) fn name(&self, index: u32) -> String {
        match self.units.get(index as usize).map(|unit| &unit.backing) {
            Some(Backing::File(path)) => path.display().to_string(),
            _ => "a disk in memory".to_owned(),
        }
    }

    /// The units, by their ids.
    pub(super) fn into_vec(self) -> Vec<Unit> {
        self.units
    }

    /// The identity that was configured or is kept with the disk, if that is nobody else's.
    fn identify(
        &mut self,
        spec: &UnitSpec,
        backing: &Backing,
    ) -> Result<(Option<String>, Option<Naa>), UnitProblem> {
        let (mut serial, mut naa) = (spec.serial.clone(), spec.naa);
        if serial.is_none() || naa.is_none() {
            let kept = identity::look(backing).map_err(|message| problem("path", message))?;
            if let Some(Settled { identity, warning }) = kept {
                let warning = warning.or_else(|| of_a_former_disk(backing));
                self.notes.extend(warning.map(|message| problem("path", message)));
                serial.get_or_insert(identity.serial);
                naa.get_or_insert(identity.naa);
            }
        }
        let same_serial =
            serial.as_ref().and_then(|serial| Some((format!("{serial:?}"), self.serials.get(serial)?)));
        let same_naa = naa.and_then(|naa| Some((identity::naa_name(&naa), self.naas.get(naa.as_bytes())?)));
        for (key, configured, taken) in
            [("serial", spec.serial.is_some(), same_serial), ("naa", spec.naa.is_some(), same_naa)]
        {
            let Some((taken, &owner)) = taken else { continue };
            return Err(match backing {
                Backing::File(path) if !configured => problem("path", self.twins(path, owner, key, &taken)),
                _ => problem(key, format!("{taken} belongs to another disk; write a different one")),
            });
        }
        let index = self.units.len();
        self.serials.extend(serial.clone().map(|serial| (serial, index)));
        self.naas.extend(naa.map(|naa| (naa.as_bytes().to_vec(), index)));
        Ok((serial, naa))
    }

    /// Two disks show one identity, and nothing tells which of them it was made for: deleting that of the original would
    /// take the disk from the initiators that know it.
    fn twins(&self, path: &Path, owner: usize, key: &str, value: &str) -> String {
        let this = path.display();
        let other = match self.units.get(owner).map(|unit| &unit.backing) {
            Some(Backing::File(other)) => other,
            _ => {
                return format!(
                    "{this} and a disk in memory have the same {key}, {value}; configure another there"
                );
            }
        };
        let said = format!("{} and {this} have the same {key}, {value}", other.display());
        // A file that says something else than the configuration is not to blame.
        let is_kept = |path: &Path| {
            let kept =
                identity::look(&Backing::File(path.to_owned())).ok().flatten().map(|kept| kept.identity);
            let same = kept.is_some_and(|kept| {
                [format!("{:?}", kept.serial), identity::naa_name(&kept.naa)].contains(&value.to_owned())
            });
            same && identity::file_for(path).exists()
        };
        if is_kept(other) && is_kept(path) {
            format!("{said}; delete the .id beside whichever is the copy, never that of the original")
        } else {
            format!("{said}; configure another serial and naa for whichever is the copy")
        }
    }

    /// Bytes at the end that make no block are not served.
    fn note_rest(&mut self, spec: &UnitSpec) {
        let Some(path) = spec.disk.path.as_ref().filter(|_| spec.disk.size.is_none()) else { return };
        let len = fs::metadata(path).ok().filter(|m| m.is_file()).map_or(0, |m| m.len());
        if let Some(message) = rest(len, spec.block_size) {
            self.notes.push(problem("path", message));
        }
    }

    fn share(&mut self, index: usize, spec: &UnitSpec) -> Result<UnitId, UnitProblem> {
        let unit = &mut self.units[index];
        let differs = [
            ("size", spec.disk.size != unit.size),
            ("direct", spec.disk.direct != unit.direct),
            ("block_size", spec.block_size != unit.block_size),
            ("thin", spec.thin != unit.thin),
            ("serial", spec.serial.is_some() && spec.serial != unit.serial),
            ("naa", spec.naa.is_some() && spec.naa != unit.naa),
            ("vendor", spec.vendor.is_some() && spec.vendor != unit.vendor),
            ("product", spec.product.is_some() && spec.product != unit.product),
        ];
        if let Some((key, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            let message = "is not what another LUN says of the same disk; make them equal";
            return Err(problem(key, message));
        }
        unit.read_only &= spec.read_only;
        Ok(unit_id(index))
    }
}

/// Says so when a disk that is still to be made has an identity already.
fn of_a_former_disk(backing: &Backing) -> Option<String> {
    let Backing::File(path) = backing else { return None };
    let new = fs::metadata(path).map_or(true, |found| found.is_file() && found.len() == 0);
    new.then(|| {
        let (path, file) = (path.display(), identity::file_for(path));
        format!(
            "{path} is still to be made, but has the identity of a former disk; delete {} unless initiators are to take \
             the new disk for that one",
            file.display()
        )
    })
}

/// Says which of `len` bytes are not served, being less than a block.
pub(crate) fn rest(len: u64, block_size: u32) -> Option<String> {
    let rest = len % u64::from(block_size);
    (rest != 0).then(|| {
        format!(
            "the last {rest} of {len} bytes are not served, because they make no whole block of {block_size}; \
             make the size a multiple, with zeroes at the end if need be"
        )
    })
}

fn unit_id(index: usize) -> UnitId {
    UnitId(u32::try_from(index).unwrap_or(u32::MAX))
}

fn problem(key: &'static str, message: impl Into<String>) -> UnitProblem {
    UnitProblem { key, message: message.into() }
}

/// The file that a path leads to; the path made absolute when there is none yet.
fn real_path(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    fs::canonicalize(path).unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !parent.as_os_str().is_empty() => {
            fs::canonicalize(parent).map_or_else(|_| absolute(), |parent| parent.join(name))
        }
        _ => absolute(),
    })
}

fn check_size(spec: &UnitSpec, data_dir: &Path) -> Result<(), UnitProblem> {
    let block = u64::from(spec.block_size);
    if let Some(size) = spec.disk.size.filter(|size| *size == 0 || size % block != 0) {
        let message = format!("{size} bytes are not a whole number of blocks of {block}; write a multiple");
        return Err(problem("size", message));
    }
    let Some(path) = &spec.disk.path else {
        return match spec.disk.size {
            Some(_) => Ok(()),
            None => Err(problem("size", "is missing; a disk in memory needs one")),
        };
    };
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(problem("path", format!("{shown} is a directory; name a file or a block device")))
        }
        Ok(found) if found.is_file() => check_file(spec, found.len()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(problem("path", format!("{shown} cannot be used: {error}")))
        }
        Err(_) if spec.disk.size.is_none() => {
            Err(problem("path", format!("{shown} does not exist; write a size to have it created")))
        }
        Err(_) => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if parent.is_dir() || parent == data_dir {
                return Ok(());
            }
            let message = format!("the directory {} of {shown} does not exist; create it", parent.display());
            Err(problem("path", message))
        }
    }
}

fn check_file(spec: &UnitSpec, len: u64) -> Result<(), UnitProblem> {
    match spec.disk.size {
        // An empty file counts as one that is still to be made.
        Some(size) if size != len && len != 0 => {
            let problem_is = format!("{} is not the size of the file, {}", Size(size), Size(len));
            let remedy = if size > len {
                format!("leave size out, or make the file itself longer (truncate -s {size})")
            } else {
                "shrinking would destroy data; leave size out".to_owned()
            };
            Err(problem("size", format!("{problem_is}; {remedy}")))
        }
        None if len < u64::from(spec.block_size) => {
            Err(problem("path", "the file is smaller than a block; write a size, or name another file"))
        }
        _ => Ok(()),
    }
}
