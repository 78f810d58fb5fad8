//! Carries out on a back end what a disk asks for.

use std::io;
use std::sync::Arc;

use iscsicore::DataList;
use iscsicore::disk::{IoError, Op, Outcome};

use crate::backend::{Backend, IoReply, Reply, Zeroes, out_of_space, within, zero_bytes};

/// Starts `op` on `backend`.
///
/// Every range is checked against the size of the back end first. Unmap goes to a back end only when its
/// [`Info`](crate::backend::Info) offers it; zeroes that the back end cannot write by itself are written as
/// data. What goes wrong is logged here, in more detail than an [`Outcome`] carries.
///
/// A reply that comes later is to be waited for, whatever becomes of the command: an operation on the way may
/// take effect after its future was dropped.
pub fn submit(backend: &Arc<dyn Backend>, op: Op) -> Reply<Outcome> {
    match op {
        Op::Read { offset, len } => read(backend, offset, len),
        Op::Write { offset, data, fua } => {
            let len = data.len() as u64;
            if !fits(backend, offset, len) {
                return failed(IoError::Other);
            }
            conclude(backend.write(offset, data, fua), "write", Some(offset))
        }
        Op::Flush => conclude(backend.flush(), "flush", None),
        Op::Unmap { ranges } => unmap(backend, ranges),
        Op::WriteZeroes { offset, len, may_unmap } => {
            let how = if may_unmap { Zeroes::MayUnmap } else { Zeroes::KeepAllocated };
            write_zeroes(backend, offset, len, how)
        }
    }
}

fn read(backend: &Arc<dyn Backend>, offset: u64, len: u32) -> Reply<Outcome> {
    if !fits(backend, offset, len.into()) {
        return failed(IoError::Other);
    }
    let convert = move |result: io::Result<DataList>| match result {
        Ok(data) if data.len() as u64 == u64::from(len) => Outcome::Data(data),
        Ok(data) => {
            tracing::error!(
                offset,
                len,
                got = data.len(),
                "the back end read another length than it was asked for"
            );
            Outcome::Failed(IoError::Other)
        }
        Err(error) => Outcome::Failed(report(&error, "read", Some(offset))),
    };
    backend.read(offset, len as usize).map(convert)
}

fn unmap(backend: &Arc<dyn Backend>, ranges: Vec<(u64, u64)>) -> Reply<Outcome> {
    if backend.info().unmap.is_none() {
        return failed(IoError::Unsupported);
    }
    if !ranges.iter().all(|(offset, len)| fits(backend, *offset, *len)) {
        return failed(IoError::Other);
    }
    let mut ranges = ranges.into_iter();
    while let Some((offset, len)) = ranges.next() {
        match backend.unmap(offset, len) {
            Reply::Now(Ok(())) => {}
            Reply::Now(Err(error)) => return failed(report(&error, "unmap", Some(offset))),
            Reply::Later(first) => {
                let backend = Arc::clone(backend);
                return Reply::later(async move {
                    let mut result = first.await;
                    let mut at = offset;
                    while let (Ok(()), Some((offset, len))) = (&result, ranges.next()) {
                        at = offset;
                        result = backend.unmap(offset, len).wait().await;
                    }
                    outcome(result, "unmap", Some(at))
                });
            }
        }
    }
    Reply::now(Outcome::Done)
}

fn write_zeroes(backend: &Arc<dyn Backend>, offset: u64, len: u64, how: Zeroes) -> Reply<Outcome> {
    if !fits(backend, offset, len) {
        return failed(IoError::Other);
    }
    let started = match backend.write_zeroes(offset, len, how) {
        Reply::Now(result) if !is_unsupported(&result) => {
            return Reply::now(outcome(result, "write zeroes", Some(offset)));
        }
        other => other,
    };
    let backend = Arc::clone(backend);
    Reply::later(async move {
        let mut result = started.wait().await;
        if is_unsupported(&result) {
            result = write_as_data(&backend, offset, len).await;
        }
        outcome(result, "write zeroes", Some(offset))
    })
}

/// Writes zeroes piece by piece.
async fn write_as_data(backend: &Arc<dyn Backend>, offset: u64, len: u64) -> io::Result<()> {
    let (mut at, end) = (offset, offset + len);
    while at < end {
        let data = zero_bytes(end - at);
        let written = data.len() as u64;
        backend.write(at, data, false).wait().await?;
        at += written;
        // Writes to memory are done at once: others of this thread want their turn too.
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn fits(backend: &Arc<dyn Backend>, offset: u64, len: u64) -> bool {
    let size = backend.size();
    let fits = within(size, offset, len);
    if !fits {
        tracing::error!(offset, len, size, "an operation reaches beyond the end of the back end");
    }
    fits
}

fn conclude(reply: IoReply<()>, doing: &'static str, offset: Option<u64>) -> Reply<Outcome> {
    reply.map(move |result| outcome(result, doing, offset))
}

fn outcome(result: io::Result<()>, doing: &'static str, offset: Option<u64>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::Failed(report(&error, doing, offset)),
    }
}

fn failed(error: IoError) -> Reply<Outcome> {
    Reply::now(Outcome::Failed(error))
}

fn is_unsupported(result: &io::Result<()>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::Unsupported)
}

fn report(error: &io::Error, doing: &'static str, offset: Option<u64>) -> IoError {
    tracing::warn!(offset, %error, "the back end failed to {doing}");
    classify(error, offset)
}

/// What an initiator is told of an error.
fn classify(error: &io::Error, offset: Option<u64>) -> IoError {
    use io::ErrorKind::{InvalidData, ReadOnlyFilesystem, UnexpectedEof, Unsupported};
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<crate::backend::MediumError>());
    if let Some(medium) = known {
        return IoError::Medium { offset: medium.offset };
    }
    let medium = matches!(error.kind(), InvalidData | UnexpectedEof)
        || error.raw_os_error().is_some_and(|code| MEDIUM_ERRORS.contains(&code));
    match (error.kind(), offset) {
        _ if out_of_space(error) => IoError::NoSpace,
        (ReadOnlyFilesystem, _) => IoError::ReadOnly,
        (Unsupported, _) => IoError::Unsupported,
        (_, Some(offset)) if medium => IoError::Medium { offset },
        _ => IoError::Other,
    }
}

/// EIO; and ENODATA, EBADMSG, EILSEQ and EUCLEAN, by which block layer and file systems tell of bad data.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MEDIUM_ERRORS: &[i32] = &[5, 61, 74, 84, 117];
/// EIO.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const MEDIUM_ERRORS: &[i32] = &[5];
/// ERROR_CRC and ERROR_IO_DEVICE.
#[cfg(not(unix))]
const MEDIUM_ERRORS: &[i32] = &[23, 1117];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Call, Fault, Kind, MediumError, MemoryBackend, Scripted};

    const SIZE: u64 = 4 << 20;

    async fn run(backend: &Arc<dyn Backend>, op: Op) -> Outcome {
        submit(backend, op).wait().await
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
        assert!(matches!(submit(&disk, write), Reply::Now(Outcome::Done)));
        let Reply::Now(outcome) = submit(&disk, read(0, 1536)) else { panic!("later") };
        assert_eq!(data(outcome), [[0; 512], [7; 512], [0; 512]].concat());
        assert!(matches!(submit(&disk, Op::Flush), Reply::Now(Outcome::Done)));
        let unmap = Op::Unmap { ranges: vec![(0, 512), (512, 512)] };
        assert!(matches!(submit(&disk, unmap), Reply::Now(Outcome::Done)));
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
}
