//! What files and block devices do beyond the common suite: opening, locks, holes, full and failing media.
#![cfg(unix)]

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use iscsicore::disk::Allocation;
use iscsicore_runtime::backend::{Access, Backend, FileBackend, FileOptions, OpenError, Zeroes};

#[path = "support/extents.rs"]
mod extents;
mod support;
use extents::extents;
use support::{Loop, Tmpfs, error, filled, read, skip};

const MIB: u64 = 1 << 20;

fn allocated(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

#[tokio::test]
async fn a_file_is_made_sparse_and_kept_when_it_exists() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let disk = FileBackend::create(&path, 64 * MIB).unwrap();
    assert_eq!(disk.size(), 64 * MIB);
    assert!(allocated(&path) < MIB);
    disk.write(MIB, filled(3, 4096), true).wait().await.unwrap();
    drop(disk);
    for options in [FileOptions::new().size(64 * MIB), FileOptions::new()] {
        assert_eq!(read(&options.open(&path).unwrap(), MIB, 4096).await, [3; 4096]);
    }
}

#[test]
fn another_size_is_refused_with_the_remedy_and_the_file_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    std::fs::write(&path, [9; 4096]).unwrap();
    let error = FileBackend::create(&path, 8192).unwrap_err();
    assert!(matches!(error, OpenError::OtherSize { found: 4096, wanted: 8192, .. }));
    assert!(error.to_string().contains("truncate -s 8192"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), [9; 4096]);
}

#[test]
fn an_empty_file_counts_as_not_made_yet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    std::fs::write(&path, []).unwrap();
    assert!(matches!(FileBackend::open(&path), Err(OpenError::Empty { .. })));
    assert_eq!(FileBackend::create(&path, MIB).unwrap().size(), MIB);
}

#[test]
fn what_cannot_be_a_disk_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let error = FileBackend::open(&missing).unwrap_err();
    assert!(matches!(&error, OpenError::Io { source, .. } if source.kind() == ErrorKind::NotFound));
    assert!(error.to_string().contains("missing"), "{error}");
    for other in [directory.path(), Path::new("/dev/null")] {
        assert!(matches!(FileBackend::open(other), Err(OpenError::NotStorage { .. })), "{other:?}");
    }
    let read_only = FileOptions::new().size(MIB).access(Access::ReadOnly);
    assert!(read_only.open(&missing).is_err());
    assert!(!missing.exists(), "read-only access makes no file");
    assert!(FileBackend::create(&missing, u64::MAX).is_err());
    assert!(!missing.exists(), "a file that cannot get its size does not stay behind");
}

#[test]
fn one_writer_or_many_readers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let writer = FileBackend::create(&path, MIB).unwrap();
    for second in
        [FileBackend::open(&path), FileBackend::open_read_only(&path), FileBackend::create(&path, MIB)]
    {
        let error = second.unwrap_err();
        assert!(matches!(error, OpenError::InUse { .. }));
        assert!(error.to_string().contains("in use"), "{error}");
    }
    drop(writer);
    let readers = [FileBackend::open_read_only(&path).unwrap(), FileBackend::open_read_only(&path).unwrap()];
    assert!(matches!(FileBackend::open(&path), Err(OpenError::InUse { .. })));
    drop(readers);
    FileBackend::open(&path).unwrap();
}

#[tokio::test]
async fn a_read_only_disk_reads_and_refuses_to_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    std::fs::write(&path, [5; 8192]).unwrap();
    let disk = FileBackend::open_read_only(&path).unwrap();
    assert!(disk.info().read_only && disk.info().unmap.is_none());
    assert_eq!(read(&disk, 4096, 4096).await, [5; 4096]);
    for fua in [false, true] {
        let kind = error(disk.write(0, filled(1, 512), fua)).await.kind();
        assert_eq!(kind, ErrorKind::ReadOnlyFilesystem);
    }
    assert_eq!(error(disk.unmap(0, 512)).await.kind(), ErrorKind::ReadOnlyFilesystem);
    let zeroed = disk.write_zeroes(0, 512, Zeroes::MayUnmap);
    assert_eq!(error(zeroed).await.kind(), ErrorKind::ReadOnlyFilesystem);
    disk.flush().wait().await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), [5; 8192]);
}

#[tokio::test]
async fn a_file_that_somebody_cut_short_is_an_error_and_not_zeroes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let disk = FileBackend::create(&path, MIB).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(6144).unwrap();
    assert_eq!(error(disk.read(4096, 4096)).await.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(read(&disk, 4096, 2048).await, [0; 2048]);
    // The lost part is no hole, or nobody would read it and see the error.
    let rest = extents(&disk, 0, MIB, 1).await;
    assert_eq!(rest.last(), Some(&(6144..MIB, Allocation::Mapped)), "{rest:?}");
    assert_eq!(extents(&disk, 8192, MIB - 8192, 1).await, [(8192..MIB, Allocation::Mapped)]);
}

#[tokio::test]
async fn unmap_gives_space_back_and_kept_zeroes_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let disk = FileBackend::create(&path, 8 * MIB).unwrap();
    if disk.info().unmap.is_none() {
        return skip("holes on the file system of temporary files");
    }
    disk.write(0, filled(1, 8 << 20), false).wait().await.unwrap();
    disk.flush().wait().await.unwrap();
    let full = allocated(&path);
    assert!(full >= 8 * MIB);
    disk.write_zeroes(0, 4 * MIB, Zeroes::KeepAllocated).wait().await.unwrap();
    assert!(allocated(&path) >= 8 * MIB);
    disk.unmap(0, 4 * MIB).wait().await.unwrap();
    disk.write_zeroes(4 * MIB, 2 * MIB, Zeroes::MayUnmap).wait().await.unwrap();
    assert!(allocated(&path) <= full - 6 * MIB + 65536, "{} of {full}", allocated(&path));
    assert_eq!(read(&disk, 6 * MIB - 512, 1024).await, [[0; 512], [1; 512]].concat());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 8 * MIB);
}

/// The holes of a file need not lie where blocks do, nor stay while they are looked for.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extents_of_a_file_that_changes() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FileBackend::create(directory.path().join("disk"), 8 * MIB).unwrap();
    if disk.info().unmap.is_none() {
        return skip("holes on the file system of temporary files");
    }
    // The last MiB is written once and stays.
    disk.write(7 * MIB, filled(1, 1 << 20), false).wait().await.unwrap();
    let changing = disk.clone();
    let changes = tokio::spawn(async move {
        for round in 0..300u64 {
            let at = round % 7 * MIB;
            changing.write(at, filled(1, 256 << 10), false).wait().await.unwrap();
            changing.unmap(at, 128 << 10).wait().await.unwrap();
        }
    });
    for _ in 0..300 {
        let all = disk.extents(0, 8 * MIB, 100).wait().await.unwrap();
        assert!(all.iter().map(|(len, _)| len).sum::<u64>() <= 8 * MIB);
        let tail = disk.extents(7 * MIB, MIB, 3).wait().await.unwrap();
        assert_eq!(tail, [(MIB, Allocation::Mapped)]);
    }
    changes.await.unwrap();
    let want = (0..7).flat_map(|i| {
        let at = i * MIB;
        let hole = if i == 0 { at..at + MIB / 8 } else { at - MIB + MIB / 4..at + MIB / 8 };
        [(hole, Allocation::Deallocated), (at + MIB / 8..at + MIB / 4, Allocation::Mapped)]
    });
    let rest =
        [(6 * MIB + MIB / 4..7 * MIB, Allocation::Deallocated), (7 * MIB..8 * MIB, Allocation::Mapped)];
    assert_eq!(extents(&disk, 0, 8 * MIB, 5).await, want.chain(rest).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_read_only_file_tells_its_extents_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let disk = FileBackend::create(&path, 4 * MIB).unwrap();
    disk.write(MIB, filled(1, 1 << 20), true).wait().await.unwrap();
    let writable = extents(&disk, 0, 4 * MIB, 4).await;
    assert!(writable.iter().any(|e| e.0.contains(&MIB) && e.1 == Allocation::Mapped));
    drop(disk);
    let disk = FileBackend::open_read_only(&path).unwrap();
    assert_eq!(extents(&disk, 0, 4 * MIB, 4).await, writable);
}

#[tokio::test]
async fn a_full_file_system_is_told_and_survived() {
    let Some(small) = Tmpfs::new(2 * MIB) else { return };
    let disk = FileBackend::create(small.path().join("disk"), 16 * MIB).unwrap();
    for fua in [false, true] {
        let kind = error(disk.write(0, filled(1, 4 << 20), fua)).await.kind();
        assert_eq!(kind, ErrorKind::StorageFull, "fua {fua}");
    }
    let zeroed = disk.write_zeroes(0, 4 * MIB, Zeroes::KeepAllocated);
    assert_eq!(error(zeroed).await.kind(), ErrorKind::StorageFull);
    // Nothing that was acknowledged is lost, so flushing goes on to work; and so does writing where there is
    // space.
    disk.flush().wait().await.unwrap();
    disk.unmap(0, 16 * MIB).wait().await.unwrap();
    disk.write(8 * MIB, filled(2, 1 << 20), true).wait().await.unwrap();
    assert_eq!(read(&disk, 8 * MIB, 1 << 20).await, [2; 1 << 20]);
}

/// A device that takes writes into its cache and cannot keep them: an image that grows on a full file system.
#[tokio::test]
async fn after_a_failed_flush_no_flush_succeeds_again() {
    let Some(small) = Tmpfs::new(MIB) else { return };
    let Some(device) = Loop::new(&small.path().join("image"), 16 * MIB, 512) else { return };
    let disk = FileBackend::open(&device.path).unwrap();
    disk.flush().wait().await.unwrap();
    disk.write(0, filled(1, 8 << 20), false).wait().await.unwrap();
    let first = error(disk.flush()).await;
    assert!(first.raw_os_error().is_some(), "the kernel's own error comes first: {first}");
    for _ in 0..2 {
        let again = error(disk.flush()).await;
        assert!(again.to_string().contains("earlier flush"), "{again}");
    }
    assert!(error(disk.write(0, filled(1, 512), true)).await.to_string().contains("earlier flush"));
    disk.read(0, 512).wait().await.unwrap();
    drop(disk);
    FileBackend::open(&device.path).unwrap().flush().wait().await.unwrap();
}

#[tokio::test]
async fn a_durable_write_that_fails_is_remembered_too() {
    let Some(small) = Tmpfs::new(MIB) else { return };
    let Some(device) = Loop::new(&small.path().join("image"), 16 * MIB, 512) else { return };
    let disk = FileBackend::open(&device.path).unwrap();
    error(disk.write(0, filled(1, 8 << 20), true)).await;
    assert!(error(disk.flush()).await.to_string().contains("earlier flush"));
}

/// Blocks of 4096 below and ranges of 512 above: the ends of a range are written, its middle is punched.
#[tokio::test]
async fn a_block_device_is_claimed_measured_and_punched() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let Some(device) = Loop::new(&image, 8 * MIB, 4096) else { return };
    let disk = FileBackend::open(&device.path).unwrap();
    assert_eq!(disk.size(), 8 * MIB);
    assert!(matches!(FileBackend::open(&device.path), Err(OpenError::InUse { .. })));
    let other_size = FileOptions::new().size(MIB).access(Access::ReadOnly).open(&device.path);
    assert!(matches!(other_size, Err(OpenError::InUse { .. })), "a reader does not get past a writer");

    assert!(disk.info().unmap.is_some_and(|granularity| granularity >= 4096), "{:?}", disk.info());
    disk.write(0, filled(1, 8 << 20), true).wait().await.unwrap();
    disk.flush().wait().await.unwrap();
    let full = allocated(&image);
    disk.unmap(512, 4 * MIB).wait().await.unwrap();
    disk.flush().wait().await.unwrap();
    assert!(allocated(&image) <= full - 4 * MIB + 65536, "{} of {full}", allocated(&image));
    disk.write_zeroes(5 * MIB - 1024, MIB + 2048, Zeroes::KeepAllocated).wait().await.unwrap();
    disk.unmap(7 * MIB + 512, 1024).wait().await.unwrap();

    let mut model = vec![1; 8 << 20];
    for (from, len) in [(512, 4 * MIB), (5 * MIB - 1024, MIB + 2048), (7 * MIB + 512, 1024)] {
        model[from as usize..(from + len) as usize].fill(0);
    }
    assert!(read(&disk, 0, 8 << 20).await == model);
    disk.flush().wait().await.unwrap();
    drop(disk);
    assert!(std::fs::read(&image).unwrap() == model);
}

#[cfg(target_os = "linux")]
mod page_cache {
    use super::*;
    use iscsicore_runtime::backend::Reply;
    use rustix::fs::{Advice, fadvise};
    use std::io::IoSliceMut;

    #[tokio::test]
    async fn a_cached_read_is_answered_at_once_and_any_other_is_right_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        let disk = FileBackend::create(&path, 4 * MIB).unwrap();
        let model: Vec<u8> = (0..4u32 << 20).map(|i| (i / 512 % 251) as u8).collect();
        disk.write(0, model.clone().into(), true).wait().await.unwrap();

        let file = std::fs::File::open(&path).unwrap();
        let mut room = [0; 4096];
        let nowait = rustix::io::ReadWriteFlags::NOWAIT;
        if rustix::io::preadv2(&file, &mut [IoSliceMut::new(&mut room)], 0, nowait) == Ok(4096) {
            assert!(matches!(disk.read(0, 4096), Reply::Now(Ok(_))));
        } else {
            skip("reads from the page cache (the file system does not know RWF_NOWAIT)");
        }
        // Nothing is in the cache, then every other 128 KiB, then everything.
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let mut later = 0;
        for offset in (0..4 * MIB - (192 << 10)).step_by(256 << 10) {
            let reply = disk.read(offset, 192 << 10);
            later += usize::from(matches!(reply, Reply::Later(_)));
            let data = reply.wait().await.unwrap().to_bytes();
            assert!(data == model[offset as usize..][..192 << 10], "at {offset}");
            fadvise(&file, offset + (64 << 10), std::num::NonZero::new(64 << 10), Advice::DontNeed).unwrap();
            assert!(read(&disk, offset, 192 << 10).await == model[offset as usize..][..192 << 10]);
        }
        assert!(later > 0, "a read that is not in the cache is not done on the reactor");
    }
}
