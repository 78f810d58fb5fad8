//! Files and the shards that have them open; what can go wrong with a file.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use iscsicore_glommio::backend::{
    Access, Backend, Direct, DirectFile, FileBackend, FileOptions, OpenError, Uring, UringFile,
};

mod backend_support;
use backend_support::{Loop, Tmpfs, error, filled, off_shard, on_shard, read, scratch};

const SIZE: u64 = 1 << 20;

fn cached(path: impl AsRef<Path>) -> UringFile {
    FileOptions::new().size(SIZE).open_with::<Uring>(path).unwrap()
}

/// The tests of this file need a file system with direct I/O below the target directory.
fn direct(path: impl AsRef<Path>) -> DirectFile {
    FileOptions::new().size(SIZE).open_with::<Direct>(path).unwrap()
}

/// Forgets what the page cache has of a file.
fn forget(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// How many descriptors of this process lead to `path`.
fn descriptors(path: &Path) -> usize {
    let path = path.canonicalize().unwrap();
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    all.filter(|entry| std::fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|to| to == path)).count()
}

/// The first block of a sparse disk is a hole, which glommio's probe of the device misunderstands: operations after it
/// would fail. Each shard is a thread that has opened nothing before.
#[test]
fn a_sparse_disk_is_the_first_file_of_a_shard() {
    let directory = scratch();
    let path = directory.path().join("disk");
    let disk = direct(&path);
    on_shard(async move || {
        assert_eq!(read(&disk, 0, 8192).await, [0; 8192]);
        disk.write(4096, filled(5, 4096), false).wait().await.unwrap();
        assert_eq!(read(&disk, 4096, 4096).await, [5; 4096]);
        let stats = glommio::executor().io_stats();
        let stats = stats.all_rings();
        // By io_uring, and not by threads after it has failed.
        assert_eq!((stats.file_reads().0, stats.file_writes().0), (2, 1));
    });
    let disk = FileOptions::new().access(Access::ReadOnly).open_with::<Direct>(&path).unwrap();
    on_shard(async move || {
        assert_eq!(read(&disk, 0, 4096).await, [0; 4096]);
        assert_eq!(read(&disk, 4096, 4096).await, [5; 4096]);
        assert_eq!(glommio::executor().io_stats().all_rings().file_buffered_reads().0, 2);
        let refused = error(disk.write(0, filled(1, 4096), false)).await;
        assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);
    });
}

#[test]
fn what_the_page_cache_lacks_comes_by_io_uring() {
    let directory = scratch();
    let path = directory.path().join("disk");
    let disk = cached(&path);
    off_shard(disk.write(0, filled(3, SIZE as usize), false).wait()).unwrap();
    forget(&path);
    on_shard(async move || {
        assert_eq!(read(&disk, 4096, 4096).await, [3; 4096]);
        assert!(glommio::executor().io_stats().all_rings().file_buffered_reads().0 >= 1);
        assert!(matches!(disk.read(4096, 4096), iscsicore_glommio::backend::Reply::Now(Ok(_))));
    });
}

/// Whether the page cache has the first page of a file.
fn remembers(path: &Path) -> bool {
    let mut room = [0; 512];
    let mut rooms = [std::io::IoSliceMut::new(&mut room)];
    let file = File::open(path).unwrap();
    rustix::io::preadv2(&file, &mut rooms, 0, rustix::io::ReadWriteFlags::NOWAIT).is_ok()
}

/// glommio takes a block device for a file on tmpfs and would go through the page cache.
#[test]
fn direct_is_direct_on_devices_too() {
    let directory = scratch();
    let Some(device) = Loop::new(&directory.path().join("image"), SIZE, 512) else { return };
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let disk = FileOptions::new().access(access).open_with::<Direct>(&device.path).unwrap();
        on_shard(async move || {
            if access == Access::ReadWrite {
                disk.write(0, filled(1, 4096), false).wait().await.unwrap();
            }
            assert_eq!(read(&disk, 0, 4096).await, [1; 4096]);
        });
        assert!(!remembers(&device.path), "{access:?}");
        forget(&device.path);
    }
}

/// Direct writes leave the page cache, and thus whoever reads the file otherwise, with what they wrote.
#[test]
fn a_direct_write_is_seen_through_the_page_cache() {
    let directory = scratch();
    let path = directory.path().join("disk");
    let disk = direct(&path);
    assert_eq!(std::fs::read(&path).unwrap(), vec![0; SIZE as usize]);
    on_shard(async move || disk.write(4096, filled(9, 8192), false).wait().await.unwrap());
    let all = std::fs::read(&path).unwrap();
    assert!(all[4096..12288].iter().all(|byte| *byte == 9) && all[12288..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_shard_closes_its_files() {
    let directory = scratch();
    let path = directory.path().join("disk");
    let disk = Arc::new(cached(&path));
    let other = disk.clone();
    let seen = path.clone();
    on_shard(async move || {
        other.flush().wait().await.unwrap();
        assert_eq!(descriptors(&seen), 2);
        // On its way while the shard ends.
        drop(other.flush());
    });
    assert_eq!(descriptors(&path), 1);
    drop(disk);
    assert_eq!(descriptors(&path), 0);
}

/// A file that no back end has any more is closed when the shard opens another.
#[test]
fn a_shard_does_not_keep_what_is_gone() {
    let directory = scratch();
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    on_shard(async move || {
        for _ in 0..3 {
            for path in &paths {
                let disk = cached(path);
                disk.flush().wait().await.unwrap();
                assert_eq!(descriptors(path), 2);
            }
        }
        let last = cached(directory.path().join("c"));
        last.flush().wait().await.unwrap();
        while paths.iter().any(|path| descriptors(path) > 0) {
            glommio::timer::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
}

/// The name of the file may mean something else by the time a shard opens it.
#[test]
fn a_shard_opens_the_file_that_is_locked() {
    let directory = scratch();
    let path = directory.path().join("disk");
    let disks: [Arc<dyn Backend>; 2] =
        [Arc::new(cached(&path)), Arc::new(direct(directory.path().join("direct")))];
    for name in ["disk", "direct"] {
        std::fs::remove_file(directory.path().join(name)).unwrap();
        std::fs::write(directory.path().join(name), b"another").unwrap();
    }
    on_shard(async move || {
        for disk in disks {
            disk.write(0, filled(1, 4096), true).wait().await.unwrap();
            disk.flush().wait().await.unwrap();
            assert_eq!(read(&disk, 0, 4096).await, [1; 4096]);
        }
    });
    assert_eq!(std::fs::read(path).unwrap(), b"another");
}

#[test]
fn a_file_is_locked_however_its_bytes_move() {
    let directory = scratch();
    let path = directory.path().join("disk");
    let disk = direct(&path);
    let refused = [
        FileBackend::open(&path).err(),
        FileOptions::new().open_with::<Uring>(&path).err(),
        FileOptions::new().open_with::<Direct>(&path).err(),
    ];
    assert!(refused.iter().all(|error| matches!(error, Some(OpenError::InUse { .. }))), "{refused:?}");
    drop(disk);
    cached(&path);
}

/// Somebody cuts the file short: the error is the same whoever reads, and says where.
#[test]
fn a_file_that_was_cut_short_is_an_error() {
    let directory = scratch();
    let path = directory.path().join("disk");
    type Open = fn(&Path) -> Arc<dyn Backend>;
    let open: [Open; 3] = [
        |path| Arc::new(cached(path)),
        |path| Arc::new(direct(path)),
        |path| Arc::new(FileBackend::create(path, SIZE).unwrap()),
    ];
    for open in open {
        File::options().create(true).truncate(false).write(true).open(&path).unwrap().set_len(SIZE).unwrap();
        let disk = open(&path);
        File::options().write(true).open(&path).unwrap().set_len(8192).unwrap();
        let (shard, thread) = (disk.clone(), disk);
        let errors = [
            on_shard(async move || error(shard.read(4096, 8192)).await),
            off_shard(error(thread.read(4096, 8192))),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            assert_eq!(error.to_string(), format!("{} was cut short: it ends at 8192", path.display()));
        }
    }
}

#[test]
fn a_full_file_system_is_told() {
    let Some(small) = Tmpfs::new(256 << 10) else { return };
    for direct in [false, true] {
        let path = small.path().join("disk");
        let options = FileOptions::new().size(SIZE);
        let disk: Arc<dyn Backend> = match direct {
            true => match options.open_with::<Direct>(&path) {
                Ok(disk) => Arc::new(disk),
                Err(_) => return backend_support::skip("direct I/O on tmpfs"),
            },
            false => Arc::new(options.open_with::<Uring>(&path).unwrap()),
        };
        on_shard(async move || {
            disk.write(0, filled(1, 128 << 10), false).wait().await.unwrap();
            for (len, fua) in [(512 << 10, false), (192 << 10, false), (192 << 10, true)] {
                let full = error(disk.write(128 << 10, filled(2, len), fua)).await;
                assert_eq!(full.kind(), ErrorKind::StorageFull, "{direct} {len} {fua}: {full}");
            }
            assert_eq!(read(&disk, 0, 128 << 10).await, vec![1; 128 << 10]);
            // What was refused is not what a flush is about.
            disk.flush().wait().await.unwrap();
        });
        std::fs::remove_file(path).unwrap();
    }
}
