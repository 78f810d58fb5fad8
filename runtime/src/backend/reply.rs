//! An answer that is there at once or comes later.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::FutureExt;

/// The answer of a back end: a value, or the future of one.
///
/// An answer that needs no waiting costs no allocation, no wake-up and no change of thread.
#[must_use = "the operation of a later reply makes no progress unless it is waited for"]
pub enum Reply<R> {
    /// The answer.
    Now(R),
    /// The answer comes when this future is done. It makes no progress unless it is polled.
    Later(Pin<Box<dyn Future<Output = R> + Send>>),
}

/// The answer of an operation that can fail.
pub type IoReply<T> = Reply<io::Result<T>>;

impl<R> Reply<R> {
    /// The answer is here.
    pub fn now(answer: R) -> Self {
        Reply::Now(answer)
    }

    /// The answer is what `future` ends with.
    pub fn later(future: impl Future<Output = R> + Send + 'static) -> Self {
        Reply::Later(Box::pin(future))
    }

    /// Waits for the answer.
    pub async fn wait(self) -> R {
        match self {
            Reply::Now(answer) => answer,
            Reply::Later(future) => future.await,
        }
    }

    /// The answer that `convert` makes of this one.
    pub fn map<S>(self, convert: impl FnOnce(R) -> S + Send + 'static) -> Reply<S>
    where
        R: 'static,
    {
        match self {
            Reply::Now(answer) => Reply::Now(convert(answer)),
            Reply::Later(future) => Reply::later(async move { convert(future.await) }),
        }
    }
}

impl<T: Send + 'static> IoReply<T> {
    /// Runs `work`, which may block, on threads that are there for it; it starts when the reply is first polled.
    ///
    /// Once it runs, it runs to its end, whether or not somebody waits. The reply is an error when `work`
    /// panics. It works on every executor.
    pub fn blocking(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Self {
        Reply::later(run_blocking(work))
    }
}

impl<T> IoReply<T> {
    /// The error [`io::ErrorKind::Unsupported`].
    pub fn unsupported() -> Self {
        Reply::Now(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// Runs `work` on a thread of the pool that the process has for what blocks.
pub(super) async fn run_blocking<T, W>(work: W) -> io::Result<T>
where
    T: Send + 'static,
    W: FnOnce() -> io::Result<T> + Send + 'static,
{
    // Dropping the task would cancel work that has not begun; once begun, it runs to its end.
    let done = AssertUnwindSafe(blocking::unblock(work)).catch_unwind().await;
    done.unwrap_or_else(|_| Err(io::Error::other("the work panicked")))
}

impl<R: std::fmt::Debug> std::fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Reply::Later(_) => f.write_str("Later(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blocking_work_runs_off_the_reactor_and_its_panic_is_an_error() {
        let reactor = std::thread::current().id();
        let worker = Reply::blocking(|| Ok(std::thread::current().id())).wait().await.unwrap();
        assert_ne!(worker, reactor);
        let broken: IoReply<()> = Reply::blocking(|| panic!("broken on purpose"));
        assert!(broken.wait().await.is_err());
    }

    #[test]
    fn blocking_work_needs_no_runtime() {
        let Reply::Later(mut future) = Reply::blocking(|| Ok(7)) else {
            panic!("blocking work is never there")
        };
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let answer = loop {
            if let std::task::Poll::Ready(answer) = future.as_mut().poll(&mut context) {
                break answer;
            }
            std::thread::yield_now();
        };
        assert_eq!(answer.unwrap(), 7);
    }

    #[tokio::test]
    async fn an_answer_is_converted_now_or_later() {
        assert!(matches!(Reply::now(3).map(|n| n + 1), Reply::Now(4)));
        assert_eq!(Reply::later(async { 3 }).map(|n| n + 1).wait().await, 4);
    }
}
