//! The shards of a server: threads, one a core, each with an executor.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc as std_mpsc};
use std::task::Poll;
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
        if let Err(why) = crate::available::io_uring() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let (cores, running) = (cores(), Arc::new(Running::default()));
        let mut shards = Glommio { inboxes: Vec::new(), running };
        for index in 0..config.count() {
            let (config, cores, counted) = (config.clone(), cores.clone(), shards.running.enter());
            let (inbox, messages) = mpsc::unbounded_channel();
            let (mailbox, bell) = Mailbox::new()?;
            let (started, outcome) = std_mpsc::sync_channel(1);
            thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                let _counted = counted;
                match config.executor(index, &cores) {
                    Ok(executor) => {
                        let _ = started.send(Ok(()));
                        HERE.set(index);
                        executor.run(wake::deliver(mailbox, bell, run(messages)));
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            })?;
            // From here on dropping `shards` stops what has started.
            shards.inboxes.push(inbox);
            outcome.recv().unwrap_or_else(|_| Err(io::Error::other("a shard failed as it started")))?;
        }
        Ok(shards)
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
    if let Some(job) = Woken::new(job, Some(handle)) {
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
        yield_now().await;
    }
    // glommio's files have to be closed on their own shard.
    files.close().await;
}

/// Lets the other tasks of the shard run.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Three times this has to fit the 8 MiB that RLIMIT_MEMLOCK commonly is, for every shard.
const IO_MEMORY: usize = 512 << 10;
/// How long tasks that keep waking each other may keep a shard from looking for what else has happened. Short times are
/// dangerous, see [`wake`], and not needed: a job that yields lets the shard look.
const LOOK_UP: Duration = Duration::from_secs(1);
/// Requests that a shard hands to the kernel at a time.
const RING_DEPTH: usize = 256;
/// How long jobs may take to end once they have been told to.
const END_TIME: Duration = Duration::from_secs(5);
