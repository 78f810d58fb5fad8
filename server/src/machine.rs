//! What the machine says of itself.

use std::fs;
use std::io;
use std::path::Path;

/// The id that distinguishes this machine from all others, if it has one.
pub(crate) fn id() -> Option<String> {
    let id = fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    (!id.is_empty() && id != "uninitialized").then(|| id.to_owned())
}

/// The bytes of memory that there are, as far as the system tells.
pub(crate) fn memory() -> Option<u64> {
    total_of(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether the process was started to outlive its terminal (nohup), and so must not end with it.
#[cfg(unix)]
pub(crate) fn ignores_hangup() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| hangup_in(&status))
}

#[cfg(unix)]
fn hangup_in(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

/// What a block device calls itself, if it does: the same after the next boot, under whatever name.
#[cfg(target_os = "linux")]
pub(crate) fn device_id(path: &Path) -> Option<String> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let metadata = fs::metadata(path).ok().filter(|m| m.file_type().is_block_device())?;
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    id_in(&fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?)
}

/// Devices have no ids here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn device_id(_path: &Path) -> Option<String> {
    None
}

/// The id in a device's directory of sysfs; that of a partition is its number on its disk's.
#[cfg(target_os = "linux")]
fn id_in(directory: &Path) -> Option<String> {
    let word = |name: &str| {
        let text = fs::read_to_string(directory.join(name)).ok()?;
        Some(text.trim().to_owned()).filter(|word| !word.is_empty())
    };
    if let Some(number) = word("partition") {
        return Some(format!("{}\0{number}", id_in(directory.parent()?)?));
    }
    // Not "serial": that is whatever somebody wrote there, often the same for all disks of a kind.
    ["dm/uuid", "md/uuid", "wwid", "device/wwid"]
        .into_iter()
        .find_map(|name| Some(format!("{name}\0{}", word(name)?)))
}

/// Whether files can be made in a directory, without making one.
#[cfg(unix)]
pub(crate) fn check_writable_dir(directory: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    Ok(accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Permissions are not read on this platform.
#[cfg(not(unix))]
pub(crate) fn check_writable_dir(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the names in a directory durable.
#[cfg(unix)]
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Directories cannot be synced on this platform.
#[cfg(not(unix))]
pub(crate) fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        assert_eq!(total_of("MemTotal:       24684084 kB\nMemFree: 1 kB\n"), Some(24_684_084 << 10));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_hangup_that_is_ignored_is_noticed() {
        assert!(hangup_in("SigBlk:\t0\nSigIgn:\t0000000000000001\n"));
        assert!(!hangup_in("SigIgn:\t0000000000001000\n") && !hangup_in(""));
    }

    // Goal: a device keeps its id under another kernel name, and partitions differ. Method: a copy of sysfs's layout.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_known_by_its_own_id() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("dm-3/dm/uuid", "LVM-abc\n");
        put("nvme0n1/wwid", "eui.1\n");
        put("nvme0n1/nvme0n1p2/partition", "2\n");
        put("vda/serial", "virtual\n");
        put("dm-4/dm/uuid", "\n");
        let id = |name: &str| id_in(&dir.path().join(name));
        assert_eq!(id("dm-3").unwrap(), "dm/uuid\0LVM-abc");
        assert_eq!(id("nvme0n1/nvme0n1p2").unwrap(), "wwid\0eui.1\x002");
        assert_eq!((id("vda"), id("dm-4")), (None, None));
    }
}
