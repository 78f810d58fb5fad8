//! Wake-ups of the jobs of a shard.
//!
//! glommio 0.9 can lose them. When anything is in its latency ring before the first task of a round has run (its own
//! preemption timer after a pause of the thread, or the word of another thread that it has already acted upon), it runs
//! nothing and goes to sleep, whatever tasks are ready. So other threads do not use its wakers here: they leave the
//! number of the job in a [`Mailbox`], and ring a bell that the shard waits for as for any other socket. A job that wakes
//! itself goes the same way, because its turn comes again only after the shard has looked for what else has happened:
//! that is what it yields for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::AbortHandle;
use rustix::net::{SendFlags, send};

use crate::Stream;

/// The jobs of a shard that were woken and are to be told.
#[derive(Debug)]
pub(crate) struct Mailbox {
    woken: Mutex<Vec<u64>>,
    bell: UnixStream,
}

impl Mailbox {
    /// A mailbox, and the end of the bell that belongs to the shard.
    pub(crate) fn new() -> io::Result<(Arc<Self>, OwnedFd)> {
        let (bell, heard) = UnixStream::pair()?;
        Ok((Arc::new(Mailbox { woken: Mutex::default(), bell }), heard.into()))
    }

    fn leave(&self, job: u64) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.push(job);
        if woken.len() == 1 {
            drop(woken);
            // It fails when the shard has ended, and then nothing is left to be woken.
            let _ = send(&self.bell, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The waker of one job, for any thread.
struct JobWaker {
    job: u64,
    mailbox: Arc<Mailbox>,
}

impl Wake for JobWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let here = |jobs: &RefCell<Jobs>| {
            let jobs = jobs.borrow();
            jobs.mailbox.as_ref().is_some_and(|own| Arc::ptr_eq(own, &self.mailbox))
                && jobs.polled.get() != Some(self.job)
        };
        if JOBS.try_with(here).unwrap_or(false) {
            wake_here(self.job);
        } else {
            self.mailbox.leave(self.job);
        }
    }
}

thread_local! {
    static JOBS: RefCell<Jobs> = RefCell::default();
}

/// What runs on this shard.
#[derive(Default)]
struct Jobs {
    mailbox: Option<Arc<Mailbox>>,
    /// The job that is being polled.
    polled: Cell<Option<u64>>,
    next: u64,
    running: BTreeMap<u64, Running>,
    ending: bool,
}

#[derive(Default)]
struct Running {
    /// As glommio wakes it, from this thread.
    waker: Option<Waker>,
    abort: Option<AbortHandle>,
}

fn wake_here(job: u64) {
    let waker = JOBS.with_borrow(|jobs| jobs.running.get(&job)?.waker.clone());
    waker.into_iter().for_each(Waker::wake);
}

/// Whether no job is left but the one that asks.
pub(crate) fn is_alone() -> bool {
    JOBS.with_borrow(|jobs| jobs.running.len() <= 1)
}

/// Tells all jobs to end, and takes no more.
pub(crate) fn end_all() {
    let handles: Vec<_> = JOBS.with_borrow_mut(|jobs| {
        jobs.ending = true;
        jobs.running.values().filter_map(|job| job.abort.clone()).collect()
    });
    handles.iter().for_each(AbortHandle::abort);
}

/// A job that is woken as this module says. It is listed as long as it exists.
pub(crate) struct Woken<F> {
    job: u64,
    waker: Waker,
    future: Pin<Box<F>>,
}

impl<F: Future> Woken<F> {
    /// # Errors
    /// Gives the future back where no mailbox is, or the shard is ending.
    pub(crate) fn new(future: F, abort: Option<AbortHandle>) -> Result<Self, F> {
        let listed = JOBS.with_borrow_mut(|jobs| {
            let mailbox = jobs.mailbox.clone().filter(|_| !jobs.ending)?;
            let job = jobs.next;
            jobs.next += 1;
            jobs.running.insert(job, Running { waker: None, abort });
            Some((job, Waker::from(Arc::new(JobWaker { job, mailbox }))))
        });
        match listed {
            Some((job, waker)) => Ok(Woken { job, waker, future: Box::pin(future) }),
            None => Err(future),
        }
    }
}

impl<F: Future> Future for Woken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let job = self.job;
        let before = JOBS.with_borrow_mut(|jobs| {
            if let Some(running) = jobs.running.get_mut(&job) {
                let known = running.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
                running.waker = if known { running.waker.take() } else { Some(cx.waker().clone()) };
            }
            jobs.polled.replace(Some(job))
        });
        let _polled = Polled(before);
        let this = &mut *self;
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

impl<F> Drop for Woken<F> {
    fn drop(&mut self) {
        // The list is gone when the thread ends.
        let _ = JOBS.try_with(|jobs| jobs.borrow_mut().running.remove(&self.job));
    }
}

/// Says that a job is not polled any more, also when it panics.
struct Polled(Option<u64>);

impl Drop for Polled {
    fn drop(&mut self) {
        let _ = JOBS.try_with(|jobs| jobs.borrow().polled.set(self.0));
    }
}

/// The main task of a shard: `main`, and whoever is woken by way of the mailbox meanwhile.
pub(crate) async fn deliver(mailbox: Arc<Mailbox>, heard: OwnedFd, main: impl Future<Output = ()>) {
    JOBS.with_borrow_mut(|jobs| jobs.mailbox = Some(Arc::clone(&mailbox)));
    let mut bell = Stream::adopt(heard);
    let Ok(mut main) = Woken::new(main, None) else { return };
    std::future::poll_fn(|cx| {
        let mut rung = [0; 64];
        while let Poll::Ready(Ok(1..)) = iscsicore_runtime::Stream::poll_read(&mut bell, cx, &mut rung) {
            mailbox.take().into_iter().for_each(wake_here);
        }
        Pin::new(&mut main).poll(cx)
    })
    .await
}
