//! Operations on back ends that answer now, later, or with a failure.

use super::*;
use iscsicore::DataList;
use iscsicore::disk::Allocation;

use crate::backend::{Call, Fault, Kind, MediumError, MemoryBackend, Scripted};

const SIZE: u64 = 4 << 20;

fn start(backend: &Arc<dyn Backend>, op: Op) -> Reply<Outcome> {
    submit(&"disk-1".into(), backend, op)
}

async fn run(backend: &Arc<dyn Backend>, op: Op) -> Outcome {
    start(backend, op).wait().await
}

fn read(offset: u64, len: u32) -> Op {
    Op::Read { offset, len }
}

fn memory() -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::new(SIZE))
}

fn failure(outcome: Outcome) -> IoError {
    let Outcome::Failed(error) = outcome else { panic!("it did not fail") };
    error
}

fn data(outcome: Outcome) -> Vec<u8> {
    let Outcome::Data(data) = outcome else { panic!("no data") };
    data.to_bytes().to_vec()
}

/// A back end with the required methods alone, which answers later.
struct Plain(MemoryBackend);

impl Backend for Plain {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        let disk = self.0.clone();
        Reply::later(async move { disk.read(offset, len).wait().await })
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        let disk = self.0.clone();
        Reply::later(async move { disk.write(offset, data, fua).wait().await })
    }

    fn flush(&self) -> IoReply<()> {
        Reply::later(async { Ok(()) })
    }
}

#[tokio::test]
async fn memory_answers_at_once() {
    let disk = memory();
    let write = Op::Write { offset: 512, data: vec![7; 512].into(), fua: false };
    assert!(matches!(start(&disk, write), Reply::Now(Outcome::Done)));
    let Reply::Now(outcome) = start(&disk, read(0, 1536)) else { panic!("later") };
    assert_eq!(data(outcome), [[0; 512], [7; 512], [0; 512]].concat());
    assert!(matches!(start(&disk, Op::Flush), Reply::Now(Outcome::Done)));
    let unmap = Op::Unmap { ranges: vec![(0, 512), (512, 512)] };
    assert!(matches!(start(&disk, unmap), Reply::Now(Outcome::Done)));
    assert_eq!(data(run(&disk, read(0, 1536)).await), [0; 1536]);
}

#[tokio::test]
async fn nothing_beyond_the_end_reaches_the_back_end() {
    let scripted = Arc::new(Scripted::new(memory()));
    let disk: Arc<dyn Backend> = scripted.clone();
    for (offset, len) in [(SIZE, 1), (SIZE - 1, 2), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
        let ops = [
            Op::Read { offset, len: len.min(100) as u32 },
            Op::Write { offset, data: vec![0; len.min(100) as usize].into(), fua: true },
            Op::Unmap { ranges: vec![(0, 512), (offset, len)] },
            Op::WriteZeroes { offset, len, may_unmap: true },
            Op::Extents { offset, len, most: 1 },
        ];
        for op in ops {
            assert!(matches!(failure(run(&disk, op).await), IoError::Other));
        }
    }
    assert_eq!(scripted.calls(), []);
}

#[tokio::test]
async fn zeroes_are_written_as_data_where_the_back_end_has_no_better_way() {
    let disk: Arc<dyn Backend> = Arc::new(Plain(MemoryBackend::new(SIZE)));
    run(&disk, Op::Write { offset: 0, data: vec![1; SIZE as usize].into(), fua: false }).await;
    let zeroes = Op::WriteZeroes { offset: 512, len: SIZE - 1024, may_unmap: true };
    assert!(matches!(run(&disk, zeroes).await, Outcome::Done));
    let all = data(run(&disk, read(0, SIZE as u32)).await);
    assert!(all[..512].iter().chain(&all[SIZE as usize - 512..]).all(|b| *b == 1));
    assert!(all[512..SIZE as usize - 512].iter().all(|b| *b == 0));
}

#[tokio::test]
async fn unmap_that_is_not_offered_is_unsupported_and_changes_nothing() {
    let disk: Arc<dyn Backend> = Arc::new(Plain(MemoryBackend::new(SIZE)));
    run(&disk, Op::Write { offset: 0, data: vec![1; 512].into(), fua: false }).await;
    let outcome = run(&disk, Op::Unmap { ranges: vec![(0, 512)] }).await;
    assert!(matches!(failure(outcome), IoError::Unsupported));
    assert_eq!(data(run(&disk, read(0, 512)).await), [1; 512]);
}

#[tokio::test]
async fn unmap_of_several_ranges_ends_at_the_first_failure() {
    let scripted = Arc::new(Scripted::new(memory()));
    let disk: Arc<dyn Backend> = scripted.clone();
    scripted.next(Kind::Unmap, Fault::Delay(std::time::Duration::ZERO));
    scripted.next(Kind::Unmap, Fault::Fail(io::ErrorKind::StorageFull));
    let outcome = run(&disk, Op::Unmap { ranges: vec![(0, 512), (512, 512), (1024, 512)] }).await;
    assert!(matches!(failure(outcome), IoError::NoSpace));
    let call = |offset| Call { kind: Kind::Unmap, offset, len: 512, fua: false };
    assert_eq!(scripted.calls(), [call(0), call(512)]);
}

#[tokio::test]
async fn a_read_of_another_length_is_a_failure() {
    struct Short;
    impl Backend for Short {
        fn size(&self) -> u64 {
            SIZE
        }
        fn read(&self, _: u64, len: usize) -> IoReply<DataList> {
            Reply::now(Ok(vec![0; len - 1].into()))
        }
        fn write(&self, _: u64, _: DataList, _: bool) -> IoReply<()> {
            Reply::unsupported()
        }
        fn flush(&self) -> IoReply<()> {
            Reply::unsupported()
        }
    }
    let disk: Arc<dyn Backend> = Arc::new(Short);
    assert!(matches!(failure(run(&disk, read(0, 512)).await), IoError::Other));
}

#[tokio::test]
async fn extents_are_asked_for_and_failures_told() {
    let scripted = Arc::new(Scripted::new(memory()));
    let disk: Arc<dyn Backend> = scripted.clone();
    let extents = || Op::Extents { offset: 65536, len: SIZE - 65536, most: 1 };
    run(&disk, Op::Write { offset: 65536, data: vec![1; 512].into(), fua: false }).await;
    let Outcome::Extents(found) = run(&disk, extents()).await else { panic!("no extents") };
    assert_eq!(found, [(65536, Allocation::Mapped)]);
    assert_eq!(scripted.calls()[1].kind, Kind::Extents);
    scripted.next(Kind::Extents, Fault::Medium(65536));
    assert!(matches!(failure(run(&disk, extents()).await), IoError::Medium { offset: 65536 }));
    // A back end that does not know its holes has none.
    let plain: Arc<dyn Backend> = Arc::new(Plain(MemoryBackend::new(SIZE)));
    let Outcome::Extents(found) = run(&plain, extents()).await else { panic!("no extents") };
    assert_eq!(found, [(SIZE - 65536, Allocation::Mapped)]);
}

#[test]
fn errors_are_told_apart() {
    let at = |error: io::Error| classify(&error, Some(4096));
    assert!(matches!(at(io::ErrorKind::StorageFull.into()), IoError::NoSpace));
    assert!(matches!(at(io::ErrorKind::QuotaExceeded.into()), IoError::NoSpace));
    assert!(matches!(at(io::ErrorKind::ReadOnlyFilesystem.into()), IoError::ReadOnly));
    assert!(matches!(at(io::ErrorKind::Unsupported.into()), IoError::Unsupported));
    assert!(matches!(at(io::ErrorKind::TimedOut.into()), IoError::Other));
    assert!(matches!(at(io::ErrorKind::UnexpectedEof.into()), IoError::Medium { offset: 4096 }));
    assert!(matches!(at(MediumError { offset: 5120 }.into()), IoError::Medium { offset: 5120 }));
    let eio = io::Error::from_raw_os_error(MEDIUM_ERRORS[0]);
    assert!(matches!(classify(&eio, Some(512)), IoError::Medium { offset: 512 }));
    // Where a flush failed is not known, and nothing is made up.
    assert!(matches!(classify(&eio, None), IoError::Other));
}
