//! Carries out on a back end what a disk asks for.

use std::io;
use std::sync::Arc;
use std::task::Poll;

use iscsicore::disk::{IoError, Op, Outcome};

use crate::backend::{Backend, IoReply, Reply, Zeroes, out_of_space, within, zero_bytes};

/// Starts `op` on `backend`, the storage of `unit`: its serial number or whatever else says in the log which disk
/// it is.
///
/// Every range is checked against the size of the back end first. Unmap goes to a back end only when its
/// [`Info`](crate::backend::Info) offers it; zeroes that the back end cannot write by itself are written as
/// data. What goes wrong is logged here, in more detail than an [`Outcome`] carries.
///
/// A reply that comes later is to be waited for, whatever becomes of the command: an operation on the way may
/// take effect after its future was dropped.
pub fn submit(unit: &Arc<str>, backend: &Arc<dyn Backend>, op: Op) -> Reply<Outcome> {
    Disk { unit, backend }.submit(op)
}

/// A back end and what it is called in the log.
#[derive(Clone, Copy)]
struct Disk<'a> {
    unit: &'a Arc<str>,
    backend: &'a Arc<dyn Backend>,
}

impl Disk<'_> {
    fn submit(self, op: Op) -> Reply<Outcome> {
        match op {
            Op::Read { offset, len } => self.read(offset, len),
            Op::Write { offset, data, fua } => {
                let len = data.len() as u64;
                if !self.fits(offset, len) {
                    return failed(IoError::Other);
                }
                self.conclude(self.backend.write(offset, data, fua), "write", Some(offset))
            }
            Op::Flush => self.conclude(self.backend.flush(), "flush", None),
            Op::Unmap { ranges } => self.unmap(ranges),
            Op::WriteZeroes { offset, len, may_unmap } => {
                let how = if may_unmap { Zeroes::MayUnmap } else { Zeroes::KeepAllocated };
                self.write_zeroes(offset, len, how)
            }
            Op::Extents { offset, len, most } => self.extents(offset, len, most),
        }
    }

    fn read(self, offset: u64, len: u32) -> Reply<Outcome> {
        if !self.fits(offset, len.into()) {
            return failed(IoError::Other);
        }
        self.finish(self.backend.read(offset, len as usize), move |unit, result| match result {
            Ok(data) if data.len() as u64 == u64::from(len) => Outcome::Data(data),
            Ok(data) => {
                tracing::error!(
                    unit,
                    offset,
                    len,
                    got = data.len(),
                    "the back end read another length than it was asked for"
                );
                Outcome::Failed(IoError::Other)
            }
            Err(error) => Outcome::Failed(report(unit, &error, "read", Some(offset))),
        })
    }

    fn unmap(self, ranges: Vec<(u64, u64)>) -> Reply<Outcome> {
        if self.backend.info().unmap.is_none() {
            return failed(IoError::Unsupported);
        }
        if !ranges.iter().all(|(offset, len)| self.fits(*offset, *len)) {
            return failed(IoError::Other);
        }
        let mut ranges = ranges.into_iter();
        while let Some((offset, len)) = ranges.next() {
            match self.backend.unmap(offset, len) {
                Reply::Now(Ok(())) => {}
                Reply::Now(Err(error)) => return failed(report(self.unit, &error, "unmap", Some(offset))),
                Reply::Later(first) => {
                    let (unit, backend) = (Arc::clone(self.unit), Arc::clone(self.backend));
                    return Reply::later(async move {
                        let mut result = first.await;
                        let mut at = offset;
                        while let (Ok(()), Some((offset, len))) = (&result, ranges.next()) {
                            at = offset;
                            result = backend.unmap(offset, len).wait().await;
                        }
                        outcome(&unit, result, "unmap", Some(at))
                    });
                }
            }
        }
        Reply::now(Outcome::Done)
    }

    fn write_zeroes(self, offset: u64, len: u64, how: Zeroes) -> Reply<Outcome> {
        if !self.fits(offset, len) {
            return failed(IoError::Other);
        }
        let started = match self.backend.write_zeroes(offset, len, how) {
            Reply::Now(result) if !is_unsupported(&result) => {
                return Reply::now(outcome(self.unit, result, "write zeroes", Some(offset)));
            }
            other => other,
        };
        let (unit, backend) = (Arc::clone(self.unit), Arc::clone(self.backend));
        Reply::later(async move {
            let mut result = started.wait().await;
            if is_unsupported(&result) {
                result = write_as_data(&backend, offset, len).await;
            }
            outcome(&unit, result, "write zeroes", Some(offset))
        })
    }

    fn extents(self, offset: u64, len: u64, most: u32) -> Reply<Outcome> {
        if !self.fits(offset, len) {
            return failed(IoError::Other);
        }
        let found = self.backend.extents(offset, len, most as usize);
        self.finish(found, move |unit, result| match result {
            Ok(extents) => Outcome::Extents(extents),
            Err(error) => Outcome::Failed(report(unit, &error, "tell the extents", Some(offset))),
        })
    }

    fn fits(self, offset: u64, len: u64) -> bool {
        let size = self.backend.size();
        let fits = within(size, offset, len);
        if !fits {
            let unit = &**self.unit;
            tracing::error!(unit, offset, len, size, "an operation reaches beyond the end of the back end");
        }
        fits
    }

    fn conclude(self, reply: IoReply<()>, doing: &'static str, offset: Option<u64>) -> Reply<Outcome> {
        self.finish(reply, move |unit, result| outcome(unit, result, doing, offset))
    }

    /// Converts a reply, with the name of the unit at hand.
    fn finish<T: 'static>(
        self,
        reply: IoReply<T>,
        convert: impl FnOnce(&str, io::Result<T>) -> Outcome + Send + 'static,
    ) -> Reply<Outcome> {
        match reply {
            Reply::Now(result) => Reply::now(convert(self.unit, result)),
            Reply::Later(future) => {
                let unit = Arc::clone(self.unit);
                Reply::later(async move { convert(&unit, future.await) })
            }
        }
    }
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
        yield_now().await;
    }
    Ok(())
}

/// Lets other tasks of the thread run first.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

fn outcome(unit: &str, result: io::Result<()>, doing: &'static str, offset: Option<u64>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::Failed(report(unit, &error, doing, offset)),
    }
}

fn failed(error: IoError) -> Reply<Outcome> {
    Reply::now(Outcome::Failed(error))
}

fn is_unsupported(result: &io::Result<()>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::Unsupported)
}

fn report(unit: &str, error: &io::Error, doing: &'static str, offset: Option<u64>) -> IoError {
    tracing::warn!(unit, offset, %error, "the back end failed to {doing}");
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
mod tests;
