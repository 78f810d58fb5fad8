//! The files that a shard has open.
//!
//! glommio's files belong to the executor that opened them: each shard opens its own, when it first needs it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use tokio::sync::{Notify, OnceCell, oneshot};

use super::handle::Handle;
use super::{IoReply, OpenFile, Reply};
use crate::wake::Woken;

thread_local! {
    static HERE: RefCell<Option<Rc<Table>>> = const { RefCell::new(None) };
}

/// The files of the glommio executor of this thread. While it exists, back ends use the executor's io_uring for what is
/// asked on this thread; without it they use threads.
#[derive(Debug)]
#[must_use = "files are used as long as this exists"]
pub struct Files(Rc<Table>);

#[derive(Debug, Default)]
struct Table {
    slots: RefCell<Vec<Rc<Slot>>>,
    /// Operations on their way.
    busy: Cell<usize>,
    idle: Notify,
}

/// One file on this shard.
#[derive(Debug)]
struct Slot {
    file: Weak<OpenFile>,
    /// None inside: it could not be opened here.
    handle: OnceCell<Option<Rc<Handle>>>,
}

impl Files {
    /// Lets back ends use the glommio executor that runs the caller.
    ///
    /// # Panics
    /// Outside of a glommio executor.
    pub fn enter() -> Self {
        let _ = glommio::executor().id();
        let table = HERE.with_borrow_mut(|here| Rc::clone(here.insert(Rc::default())));
        Files(table)
    }

    /// Waits for the operations that are on their way and closes the files.
    ///
    /// To be called before the executor ends: it does not wait for tasks, and closes no file afterwards.
    pub async fn close(self) {
        leave(&self.0);
        while self.0.busy.get() > 0 {
            self.0.idle.notified().await;
        }
        for slot in self.0.slots.take() {
            if let Some(slot) = Rc::into_inner(slot) {
                close(slot).await;
            }
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        leave(&self.0);
    }
}

fn leave(table: &Rc<Table>) {
    // The thread may be ending.
    let _ = HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        if here.as_ref().is_some_and(|here| Rc::ptr_eq(here, table)) {
            *here = None;
        }
    });
}

async fn close(slot: Slot) {
    if let Some(handle) = slot.handle.into_inner().flatten().and_then(Rc::into_inner) {
        handle.close().await;
    }
}

/// Counts an operation.
struct Busy(Rc<Table>);

impl Busy {
    fn new(table: Rc<Table>) -> Self {
        table.busy.set(table.busy.get() + 1);
        Busy(table)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
        if self.0.busy.get() == 0 {
            self.0.idle.notify_one();
        }
    }
}

/// The shard that this thread is.
pub(super) struct Shard(Rc<Table>);

impl Shard {
    pub(super) fn here() -> Option<Self> {
        HERE.with_borrow(Clone::clone).map(Shard)
    }

    /// Starts `work` with the handle of `file` on this shard, or with none when `how`, which opens it, has failed.
    ///
    /// The work is a task of its own, which runs to its end whether or not somebody waits for the reply: so what the
    /// kernel is doing with its buffers, and what it locks, does not depend on who is interested. (glommio never drops a
    /// task that nobody holds.)
    pub(super) fn run<T, F>(
        self,
        file: &Arc<OpenFile>,
        how: fn(Arc<OpenFile>) -> Opening,
        work: impl FnOnce(Option<Rc<Handle>>) -> F + 'static,
    ) -> IoReply<T>
    where
        T: Send + 'static,
        F: Future<Output = io::Result<T>> + 'static,
    {
        let (slot, busy) = (self.0.slot(file), Busy::new(self.0));
        let file = Arc::clone(file);
        let (answer, reply) = oneshot::channel();
        start(async move {
            // A panic in here would end the executor, and with it everything on the shard.
            let work = AssertUnwindSafe(async {
                let handle = slot.handle.get_or_init(|| open(&file, how)).await.clone();
                work(handle).await
            });
            let done =
                work.catch_unwind().await.unwrap_or_else(|_| Err(io::Error::other("the operation panicked")));
            // Closing waits until nobody is busy, and then wants to be the only owner.
            drop((slot, file));
            let _ = answer.send(done);
            drop(busy);
        });
        let ended = || io::Error::other("the shard ended before the operation did");
        Reply::later(async move { reply.await.unwrap_or_else(|_| Err(ended())) })
    }
}

/// Starts a task of this shard that may wait for other threads: a lock that another shard has, a thread of the pool. So it
/// is woken by way of the mailbox where there is one, which is on every shard of a server.
fn start(work: impl Future<Output = ()> + 'static) {
    match Woken::new(work, None) {
        Ok(work) => glommio::spawn_local(work).detach(),
        Err(work) => glommio::spawn_local(work).detach(),
    };
}

/// The opening of a file.
pub(super) type Opening = Pin<Box<dyn Future<Output = io::Result<Handle>>>>;

async fn open(file: &Arc<OpenFile>, how: fn(Arc<OpenFile>) -> Opening) -> Option<Rc<Handle>> {
    match how(Arc::clone(file)).await {
        Ok(handle) => Some(Rc::new(handle)),
        Err(error) => {
            let path = file.path().display();
            tracing::warn!(%path, %error, "io_uring cannot be used for this file, threads are");
            None
        }
    }
}

impl Table {
    /// The slot of `file`. A new one takes the opportunity to close files that no back end has any more.
    fn slot(&self, file: &Arc<OpenFile>) -> Rc<Slot> {
        let mut slots = self.slots.borrow_mut();
        let same = |slot: &&Rc<Slot>| std::ptr::eq(slot.file.as_ptr(), Arc::as_ptr(file));
        // A weak reference keeps the address from being given to another file.
        if let Some(slot) = slots.iter().find(same) {
            return Rc::clone(slot);
        }
        let (kept, gone) = slots.drain(..).partition(|slot| slot.file.strong_count() > 0);
        *slots = kept;
        for slot in Vec::into_iter(gone).filter_map(Rc::into_inner) {
            glommio::spawn_local(close(slot)).detach();
        }
        let slot = Rc::new(Slot { file: Arc::downgrade(file), handle: OnceCell::new() });
        slots.push(Rc::clone(&slot));
        slot
    }
}
