//! Serial numbers and NAA names of logical units that were given none.
//!
//! An initiator that sees one identity twice takes it for one disk with two paths, and writes to both; one that sees
//! the identity of a disk on another takes the data for its own. So an identity must be unique in the world and must
//! follow the data, through restarts, other orders of disks, and copies of the configuration on other hosts:
//!
//! - *A regular file* has it in a small file beside it, `<file>.id`, made at the first start from random numbers. That
//!   moves with the directory, is seen by people, needs nothing of the file system, and two servers that share the
//!   storage agree. Extended attributes get lost in copies, and a registry elsewhere knows only paths.
//! - *A file in a place that cannot be written*, and *a block device*, have it computed from the machine's id and the
//!   device's own id or, in want of one, the path.
//! - *Memory*, and what neither machine nor device knows, has a new one at each start: a new disk, which is safe.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use iscsicore::disk::Naa;
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::config::Backing;
use crate::machine;

/// What initiators know a disk by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Unit serial number.
    pub(crate) serial: String,
    /// NAA identifier.
    pub(crate) naa: Naa,
}

/// An identity, and what is unwise about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) identity: Identity,
    pub(crate) warning: Option<String>,
}

/// The identity that a disk has already; none when its first start assigns one. Creates nothing.
///
/// # Errors
///
/// There is a file for it that cannot be used, and what to do about that.
pub(crate) fn look(backing: &Backing) -> Result<Option<Settled>, String> {
    let Backing::File(path) = backing else { return Ok(None) };
    if is_device(path) {
        return of_device(path).map(Some);
    }
    let file = file_for(path);
    if let Some(identity) = read(&file)? {
        return Ok(Some(identity.into()));
    }
    match machine::check_writable_dir(directory_of(&file)) {
        Err(error) if path.exists() && is_unwritable(&error) => {
            of_path(path, &unwritable(&file, &error)).map(Some)
        }
        _ => Ok(None),
    }
}

/// The identity of a disk, assigned now when there was none. Its file or device must be open, and so locked, already.
///
/// # Errors
///
/// It can neither be read nor kept, or the system has no random numbers; and what to do about that.
pub(crate) fn settle(backing: &Backing) -> Result<Settled, String> {
    let Backing::File(path) = backing else { return Ok(random()?.into()) };
    if is_device(path) {
        return of_device(path);
    }
    let file = file_for(path);
    if let Some(identity) = read(&file)? {
        return Ok(identity.into());
    }
    match keep(&file, &random()?) {
        Ok(()) => {}
        Err(error) if is_unwritable(&error) => return of_path(path, &unwritable(&file, &error)),
        Err(error) => {
            return Err(format!(
                "the disk's identity cannot be kept in {}: {error}; make room there, or configure serial and naa",
                file.display()
            ));
        }
    }
    // Another server may have been faster; both go by what is there.
    match read(&file)? {
        Some(identity) => Ok(identity.into()),
        None => Err(format!("{} has gone as soon as it was made; start again", file.display())),
    }
}

/// Where the identity of the disk in the file `path` is kept: beside the data itself, not beside a link to it.
pub(crate) fn file_for(path: &Path) -> PathBuf {
    let mut name = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(".id");
    name.into()
}

/// Reads an NAA identifier from hexadecimal digits, with or without `0x` or `naa.` in front.
///
/// The formats are 2, 3 and 5 with 16 digits and 6 with 32 (SPC-4 clause 7.8.6.6).
pub(crate) fn parse_naa(text: &str) -> Option<Naa> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.strip_prefix("0x").or(lower.strip_prefix("naa.")).unwrap_or(&lower);
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    Naa::from_bytes(&bytes)
}

/// An NAA identifier as people read it: in the lower-case digits of the file that it is kept in.
pub(crate) fn naa_name(naa: &Naa) -> String {
    format!("naa.{}", hex(naa.as_bytes()))
}

/// Whether a text can be a serial number.
pub(crate) fn is_serial(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

impl From<Identity> for Settled {
    fn from(identity: Identity) -> Self {
        Settled { identity, warning: None }
    }
}

fn of_device(path: &Path) -> Result<Settled, String> {
    match device_key(path) {
        Some(key) => Ok(derived(&key).into()),
        None => of_path(path, "the device has no id of its own"),
    }
}

fn unwritable(file: &Path, error: &io::Error) -> String {
    format!("{} cannot be written ({error})", file.display())
}

fn of_path(path: &Path, why: &str) -> Result<Settled, String> {
    let remedy = "configure serial and naa";
    Ok(match path_key(path) {
        Some(key) => Settled {
            identity: derived(&key),
            warning: Some(format!(
                "{why}, so its identity is that of the path {} on this machine, whatever data is there; {remedy}",
                path.display()
            )),
        },
        None => Settled {
            identity: random()?,
            warning: Some(format!(
                "{why}, and the machine has no id, so it is a new disk to initiators at each start; {remedy}"
            )),
        },
    })
}

fn random() -> Result<Identity, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| format!("the system has no random numbers: {e}"))?;
    let (serial, naa) = bytes.split_at_mut(8);
    naa[0] = 0x30 | (naa[0] & 0x0f);
    let naa = Naa::from_bytes(naa).ok_or("no NAA identifier can be made")?;
    Ok(Identity { serial: hex(serial), naa })
}

fn derived(key: &str) -> Identity {
    let digest = Sha256::digest(format!("iscsicored\0serial\0{key}").as_bytes());
    Identity { serial: hex(&digest[..8]), naa: Naa::locally_assigned(&format!("iscsicored\0naa\0{key}")) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Names a block device on this machine by what the device says of itself.
fn device_key(path: &Path) -> Option<String> {
    // The machine's id is part of it because the ids of some emulated devices are the same everywhere.
    Some(format!("{}\0device\0{}", machine::id()?, machine::device_id(path)?))
}

/// Names what is at a path of this machine. A device's path is taken as it was given: names that are made to last, such
/// as those of volumes, are links to others that change from boot to boot.
fn path_key(path: &Path) -> Option<String> {
    let path = if is_device(path) { std::path::absolute(path) } else { fs::canonicalize(path) };
    Some(format!("{}\0path\0{}", machine::id()?, path.ok()?.display()))
}

/// Whether a path leads to something else than a regular file.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| !m.is_file())
}

fn is_unwritable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read(file: &Path) -> Result<Option<Identity>, String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(format!(
                "the disk's identity in {} cannot be read: {error}; mend that, or configure serial and naa",
                file.display()
            ));
        }
    };
    let identity = parse(&text).ok_or_else(|| {
        format!(
            "{} holds no serial and naa; restore it, or delete it to make the disk a new one to initiators",
            file.display()
        )
    })?;
    Ok(Some(identity))
}

fn parse(text: &str) -> Option<Identity> {
    let table = DeTable::parse(text).ok()?;
    let string = |key: &str| table.get_ref().get(key)?.get_ref().as_str().map(str::to_owned);
    let serial = string("serial").filter(|serial| is_serial(serial))?;
    Some(Identity { serial, naa: parse_naa(&string("naa")?)? })
}

/// Puts an identity on stable storage under a name that is not there yet, whole or not at all.
fn keep(file: &Path, identity: &Identity) -> io::Result<()> {
    let naa = hex(identity.naa.as_bytes());
    let text = format!(
        "# What initiators know the disk beside this file by. It belongs to the data: keep it where the disk goes, and\n\
         # delete it beside a copy, or initiators take the copy for the original.\n\
         serial = \"{}\"\nnaa = \"{naa}\"\n",
        identity.serial
    );
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(format!(".{naa}"));
    let temporary = PathBuf::from(temporary);
    let written = File::options().write(true).create_new(true).open(&temporary).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        // A link never replaces what another server has put there meanwhile, as renaming does.
        match fs::hard_link(&temporary, file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(_) => fs::rename(&temporary, file),
            Ok(()) => Ok(()),
        }
    });
    // Renamed, it is gone.
    let _ = fs::remove_file(&temporary);
    written?;
    machine::sync_directory(directory_of(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(path: &Path) -> Identity {
        settle(&Backing::File(path.to_owned())).unwrap().identity
    }

    // Goal: two disks differ, whatever they are called and wherever they are served, and each keeps its identity when it
    // is opened again, by another name, or elsewhere.
    #[test]
    fn an_identity_is_made_once_and_goes_with_the_data() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disks = [here.path().join("disk.img"), there.path().join("disk.img")];
        for disk in &disks {
            fs::write(disk, [0; 512]).unwrap();
            assert_eq!(look(&Backing::File(disk.clone())), Ok(None));
            assert!(!file_for(disk).exists(), "looking creates nothing");
        }
        let [first, second] = [settled(&disks[0]), settled(&disks[1])];
        assert!(first.serial != second.serial && first.naa != second.naa);
        assert_eq!((settled(&disks[0]), settled(&disks[1])), (first.clone(), second));
        assert_eq!(look(&Backing::File(disks[0].clone())), Ok(Some(first.clone().into())));
        let mut names: Vec<_> = fs::read_dir(here.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["disk.img", "disk.img.id"], "nothing temporary is left");

        let moved = there.path().join("moved.img");
        fs::rename(&disks[0], &moved).unwrap();
        fs::rename(file_for(&disks[0]), file_for(&moved)).unwrap();
        assert_eq!(settled(&moved), first);
        #[cfg(unix)]
        {
            let link = here.path().join("link.img");
            std::os::unix::fs::symlink(&moved, &link).unwrap();
            assert_eq!(settled(&link), first);
        }
    }

    #[test]
    fn what_is_there_first_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("disk.img.id");
        let (first, second) = (random().unwrap(), random().unwrap());
        keep(&file, &first).unwrap();
        keep(&file, &second).unwrap();
        assert_eq!(read(&file), Ok(Some(first)));
    }

    #[test]
    fn a_broken_identity_is_an_error_and_not_a_new_disk() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk.img");
        for text in ["", "serial = \"a\"\n", "serial = \"\"\nnaa = \"3000000000000001\"\n", "\u{0}"] {
            fs::write(file_for(&disk), text).unwrap();
            let backing = Backing::File(disk.clone());
            for problem in [look(&backing).unwrap_err(), settle(&backing).unwrap_err()] {
                assert!(problem.contains("holds no serial and naa; restore it, or delete it"), "{problem}");
            }
        }
    }

    // Goal: without a place for a file the identity is stable, and of this machine and path. Method: a file system of
    // the kernel's, in which not even root makes files.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_place_that_cannot_be_written_has_a_stable_identity_and_a_warning() {
        let path = Path::new("/sys/kernel/uevent_seqnum");
        if machine::id().is_none() || !path.is_file() {
            return;
        }
        let settle = || settle(&Backing::File(path.to_owned())).unwrap();
        let (first, second) = (settle(), settle());
        assert_eq!(first.identity, second.identity);
        let warning = first.warning.unwrap();
        assert!(
            warning.contains("cannot be written") && warning.contains("configure serial and naa"),
            "{warning}"
        );
        assert_ne!(derived(&path_key(Path::new("/sys/kernel")).unwrap()), first.identity);
    }

    #[test]
    fn memory_is_a_new_disk_each_time() {
        let new = || settle(&Backing::Memory).unwrap().identity;
        let (first, second) = (new(), new());
        assert!(first.serial != second.serial && first.naa != second.naa);
        assert_eq!(first.naa.as_bytes()[0] >> 4, 3);
        assert_eq!(look(&Backing::Memory), Ok(None));
    }

    // The values are part of what the server promises: a change makes every initiator see a new disk.
    #[test]
    fn derived_identities_are_these_for_ever() {
        let identity = derived("machine\0path\0/dev/vg0/data");
        assert_eq!(identity.serial, "4e40ad3b3de0f316");
        assert_eq!(naa_name(&identity.naa), "naa.3c0c815cf3e9f396");
    }

    #[test]
    fn naa_names_are_read_in_every_format() {
        for good in ["5001405f00000001", "0x3001405F00000001", "naa.60014051234567890123456789abcdef"] {
            let digits = good.to_ascii_lowercase().replace("0x", "").replace("naa.", "");
            assert_eq!(parse_naa(good).map(|naa| naa_name(&naa)), Some(format!("naa.{digits}")));
        }
        for bad in [
            "",
            "5",
            "5001405f0000000",
            "5001405f00000001ff",
            "6001405f00000001",
            "1001405f00000001",
            "500140xx00000001",
        ] {
            assert_eq!(parse_naa(bad), None, "{bad:?}");
        }
    }
}
