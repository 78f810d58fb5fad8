//! The shards of a server: threads, one a core, each with an executor.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::abortable;
use glommio::{CpuSet, LocalExecutor, LocalExecutorBuilder, Placement};
use iscsicore_runtime::{Errand, Job, Runtime};
use tokio::sync::mpsc;

use crate::backend::Files;
use crate::wake::{self, Mailbox, Woken};
use crate::{Listener, Stream, Timer};

/// How the shards of a server are set up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shards {
    /// How many; none means one for each core that the process may use.
    pub count: Option<NonZeroUsize>,
    /// Whether each stays on a core of its own. Without that, the scheduler moves them.
    pub pinned: bool,
    /// Bytes of memory that each registers with io_uring, for direct I/O. It takes them three times, once a ring, and
    /// all of that has to fit RLIMIT_MEMLOCK; what does not is used without being registered, at some cost.
    pub io_memory: usize,
    /// How long an idle shard looks for work before it sleeps. That shortens waits and burns CPU.
    pub spin: Duration,
}

impl Default for Shards {
    fn default() -> Self {
        Shards { count: None, pinned: true, io_memory: IO_MEMORY, spin: Duration::ZERO }
    }
}

impl Shards {
    /// So many shards.
    pub fn new(count: usize) -> Self {
        Shards { count: NonZeroUsize::new(count), ..Shards::default() }
    }

    /// Takes less memory for direct I/O where RLIMIT_MEMLOCK does not allow as much; never less than it takes to start.
    #[must_use]
    pub fn within_memlock(self) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { return self };
        Shards { io_memory: fitting(self.io_memory, limit / self.count()), ..self }
    }

    /// The bytes that all of them lock: what they register, once a ring, and the rings.
    pub(crate) fn locked_memory(&self) -> usize {
        self.count() * RINGS * (self.io_memory + RING_MEMORY)
    }

    /// How many there will be: one a core, when nothing else was said.
    pub fn count(&self) -> usize {
        self.count.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }

    /// An executor for shard `index`, on the calling thread.
    pub(crate) fn executor(&self, index: usize, cores: &[usize]) -> io::Result<LocalExecutor> {
        let placement = match cores {
            [] => Placement::Unbound,
            cores if self.pinned => Placement::Fixed(cores[index % cores.len()]),
            _ => Placement::Unbound,
        };
        let builder = LocalExecutorBuilder::new(placement)
            .name("shard")
            .io_memory(self.io_memory)
            .ring_depth(RING_DEPTH)
            .preempt_timer(LOOK_UP)
            .spin_before_park(self.spin);
        builder.make().map_err(io::Error::from)
    }
}

/// The memory for direct I/O, at most `wanted`, of a shard that may lock `limit` bytes.
fn fitting(wanted: usize, limit: usize) -> usize {
    let most = (limit / RINGS).saturating_sub(RING_MEMORY);
    wanted.min(most - most % LEAST_IO_MEMORY).max(LEAST_IO_MEMORY.min(wanted))
}

/// The cores that this process may use, as the system numbers them.
fn cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).ok();
    let online = CpuSet::online().ok().into_iter().flatten().map(|location| location.cpu);
    let mut cores: Vec<_> = online.filter(|cpu| allowed.is_none_or(|set| set.is_set(*cpu))).collect();
    cores.sort_unstable();
    cores
}

/// The shards of a running server.
#[derive(Debug)]
pub struct Glommio {
    inboxes: Vec<mpsc::UnboundedSender<Message>>,
    running: Arc<Running>,
}

/// What comes to a shard from elsewhere.
enum Message {
    Errand(Errand<Glommio>),
    Stop,
}

/// The number of shards that have not ended.
#[derive(Debug, Default)]
struct Running {
    count: Mutex<usize>,
    changed: Condvar,
}

/// Counts a shard, for as long as its executor exists.
struct Counted(Arc<Running>);

impl Running {
    fn enter(self: &Arc<Self>) -> Counted {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Counted(Arc::clone(self))
    }

    fn wait(&self, time: Duration) -> bool {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(count, time, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}

impl Runtime for Glommio {
    type Config = Shards;
    type Stream = Stream;
    type Listener = Listener;
    type Timer = Timer;

    fn start(config: Shards) -> io::Result<Self> {
        Glommio::launch(config)
            .map_err(|error| io::Error::new(error.kind(), crate::available::refusal(error)))
    }

    fn shards(&self) -> usize {
        self.inboxes.len()
    }

    fn here(&self) -> usize {
        HERE.get()
    }

    fn spawn(&self, job: Job<Self>) {
        spawn(job);
    }

    fn dispatch(&self, shard: usize, errand: Errand<Self>) {
        // A shard that has ended drops it, and with it whoever waits for it learns of that.
        let _ = self.inboxes[shard].send(Message::Errand(errand));
    }

    fn abandon(&self) {
        for inbox in &self.inboxes {
            let _ = inbox.send(Message::Stop);
        }
    }
}

impl Glommio {
    /// Starts the shards; what goes wrong is as the system said it.
    pub(crate) fn launch(config: Shards) -> io::Result<Self> {
        crate::available::io_uring()?;
        let (cores, running) = (cores(), Arc::new(Running::default()));
        let mut shards = Glommio { inboxes: Vec::new(), running };
        for index in 0..config.count() {
            let (config, cores, counted) = (config.clone(), cores.clone(), shards.running.enter());
            let (inbox, messages) = mpsc::unbounded_channel();
            let (mailbox, bell) = Mailbox::new()?;
            let (started, outcome) = std_mpsc::sync_channel(1);
            let spawned = thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                let _counted = counted;
                match caught(|| config.executor(index, &cores)) {
                    Ok(executor) => {
                        let _ = started.send(Ok(()));
                        HERE.set(index);
                        executor.run(wake::deliver(mailbox, bell, run(messages)));
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            });
            let outcome = spawned.and_then(|_| {
                outcome.recv().unwrap_or_else(|_| Err(io::Error::other("a shard failed as it started")))
            });
            if let Err(error) = outcome {
                // Whoever tries something else then needs the descriptors and the memory of those that did start.
                shards.abandon();
                shards.end().wait(END_TIME);
                return Err(error);
            }
            shards.inboxes.push(inbox);
        }
        Ok(shards)
    }

    /// A way to learn of the end of the shards that outlives the server.
    pub fn end(&self) -> End {
        End(Arc::clone(&self.running))
    }
}

/// The end of the shards of a server.
#[derive(Clone, Debug)]
pub struct End(Arc<Running>);

impl End {
    /// Waits until every shard has ended, after the server was dropped; for so long at most. Whether they have.
    ///
    /// Not to be called on a shard.
    pub fn wait(&self, time: Duration) -> bool {
        self.0.wait(time)
    }
}

impl Drop for Glommio {
    fn drop(&mut self) {
        self.abandon();
    }
}

thread_local! {
    /// The number of this shard.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Runs a job on this shard.
///
/// A task that nobody holds is never dropped by glommio, not even with its executor: descriptors and memory would leak.
/// So each can be told to end, and a shard ends after its jobs.
fn spawn(job: Job<Glommio>) {
    let (job, handle) = abortable(job.run());
    if let Ok(job) = Woken::new(job, Some(handle)) {
        glommio::spawn_local(async move {
            let _ = job.await;
        })
        .detach();
    }
}

/// What a shard does itself.
async fn run(mut messages: mpsc::UnboundedReceiver<Message>) {
    let files = Files::enter();
    while let Some(message) = messages.recv().await {
        match message {
            Message::Errand(errand) => spawn(errand.into_job()),
            Message::Stop => break,
        }
    }
    messages.close();
    // Dropping the receiver would miss what is on its way at that moment, and its senders live for as long as the server.
    while messages.recv().await.is_some() {}
    wake::end_all();
    let since = Instant::now();
    while !wake::is_alone() && since.elapsed() < END_TIME {
        glommio::timer::sleep(LOOK_AGAIN).await;
    }
    // glommio's files have to be closed on their own shard. One whose device hangs is left to the end of the process.
    let limit = glommio::timer::Timer::new(END_TIME);
    let _ = futures_util::future::select(Box::pin(files.close()), limit).await;
}

/// Turns a panic into an error: glommio panics over some of what the system refuses.
fn caught<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(start)).unwrap_or_else(|panic| {
        let said =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(io::Error::other(format!("glommio panicked: {}", said.unwrap_or_default())))
    })
}

/// Three times this has to fit the 8 MiB that RLIMIT_MEMLOCK commonly is, for every shard.
const IO_MEMORY: usize = 512 << 10;
/// How long tasks that keep waking each other may keep a shard from looking for what else has happened. Short times are
/// dangerous, see [`wake`], and not needed: a job that yields lets the shard look.
const LOOK_UP: Duration = Duration::from_secs(1);
/// glommio takes no less.
const LEAST_IO_MEMORY: usize = 64 << 10;
/// What the kernel locks for a ring of this depth itself, with room to spare.
const RING_MEMORY: usize = 40 << 10;
/// The rings of an executor.
const RINGS: usize = 3;
/// Requests that a shard hands to the kernel at a time.
const RING_DEPTH: usize = 256;
/// How often a shard that ends looks whether its jobs have.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long jobs may take to end once they have been told to.
const END_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_for_direct_io_is_what_may_be_locked() {
        for (limit, want) in [
            (0, 64 << 10),
            (64 << 10, 64 << 10),
            (512 << 10, 128 << 10),
            (1 << 20, 256 << 10),
            (8 << 20, IO_MEMORY),
            (usize::MAX, IO_MEMORY),
        ] {
            assert_eq!(fitting(IO_MEMORY, limit), want, "{limit}");
        }
        assert_eq!(fitting(4096, 0), 4096);
    }
}
