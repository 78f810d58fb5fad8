//! The end: signals, and what a second one may cut short.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use iscsicore_runtime::Runtime;
use iscsicore_runtime::backend::Backend;
use iscsicore_runtime::server::Server;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Ends a server well. `again` waits for a further signal: one that comes before [`PATIENCE`] is over means what the
/// first one did (`timeout` sends two, a terminal sends one and its shell another), a later one ends this at once.
///
/// Returns what went wrong.
///
/// # Errors
/// It was cut short, and the back ends are still to be flushed: see [`in_a_hurry`].
pub(super) async fn end<R: Runtime>(
    server: Server<R>,
    mut again: impl AsyncFnMut(),
) -> Result<Vec<io::Error>, CutShort> {
    let ended = server.ended();
    let patient_until = Instant::now() + PATIENCE;
    let hurry = async {
        loop {
            again().await;
            if Instant::now() >= patient_until {
                break;
            }
            tracing::info!("ending already; a signal in a few seconds' time will cut it short");
        }
    };
    tokio::select! {
        biased;
        errors = server.shutdown() => Ok(errors),
        // The server is dropped with its end, and its tasks with it.
        () = hurry => Err(CutShort(Box::pin(ended))),
    }
}

/// What is left of a server that was dropped: done when nothing of it runs any more.
pub(super) struct CutShort(Pin<Box<dyn Future<Output = ()> + Send>>);

/// Waits until nothing runs any more that could acknowledge, without regard for initiators, and then flushes: what was
/// acknowledged is on stable storage then. That takes a quarter of a minute at most, and no signal ends it sooner.
///
/// `main` is ended first. Its timers do not tick while a task holds one of its threads, and neither do those of shards:
/// the bounds here need a runtime of their own. The storage's threads belong to neither, and need none. What those are
/// still doing is not waited for: nobody was told that it is done.
pub(super) fn in_a_hurry(
    main: runtime::Runtime,
    cut_short: CutShort,
    backends: &[Arc<dyn Backend>],
) -> Vec<io::Error> {
    tracing::warn!("cut short by another signal; initiators are cut off, and the disks flushed");
    main.shutdown_background();
    let runtime = match runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![error],
    };
    let errors = runtime.block_on(async {
        let mut errors = Vec::new();
        if timeout(STOP_TIME, cut_short.0).await.is_err() {
            errors.push(timed_out("sessions did not end, and may have acknowledged what was not flushed"));
        }
        errors.extend(flush(backends).await);
        errors
    });
    // A flush that hangs is not waited for any longer.
    runtime.shutdown_background();
    errors
}

async fn flush(backends: &[Arc<dyn Backend>]) -> Vec<io::Error> {
    let mut flushes = JoinSet::new();
    for backend in backends {
        let backend = Arc::clone(backend);
        flushes.spawn(async move {
            let flushed = timeout(FLUSH_TIME, backend.flush().wait()).await;
            flushed.unwrap_or_else(|_| Err(timed_out("the flush of a disk did not end")))
        });
    }
    let results = flushes.join_all().await;
    results.into_iter().filter_map(Result::err).collect()
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// The signals that ask a process to end.
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// None when the process was started to outlive its terminal.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = (!crate::machine::ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        })
    }

    pub(super) async fn wait(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// The signal that asks a process to end.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Signals)
    }

    pub(super) async fn wait(&mut self) {
        // Without a way to be told, serve on.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How long further signals are taken for echoes of the first.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long sessions may take to end before the flush does not wait for them. They wait for nothing: it is a matter of
/// milliseconds, unless one has been in a call of the system for so long.
const STOP_TIME: Duration = Duration::from_secs(5);
/// How long a flush may take when there is a hurry.
const FLUSH_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use iscsicore_runtime::backend::{Fault, Gate, Kind, MemoryBackend, Scripted};
    use iscsicore_tokio::Server;
    use std::task::Poll;
    use tokio::sync::mpsc;

    /// A server whose one disk holds its first flush at the gate.
    async fn server() -> (Server, Arc<Scripted>, Gate) {
        let disk = Arc::new(Scripted::new(Arc::new(MemoryBackend::new(1 << 20))));
        let gate = Gate::new();
        disk.next(Kind::Flush, Fault::Hold(gate.clone()));
        let mut builder = Server::builder();
        let unit = builder.disk("s", Arc::clone(&disk) as Arc<dyn Backend>);
        builder.target("iqn.2026-01.com.example:t", &[unit]).unwrap();
        (builder.serve("127.0.0.1:0".parse().unwrap()).await.unwrap(), disk, gate)
    }

    // Goal: a signal soon after the first changes nothing. Method: several, and a flush that ends after them.
    #[tokio::test(start_paused = true)]
    async fn signals_soon_after_the_first_are_ignored() {
        let (server, _, gate) = server().await;
        let (send, mut signals) = mpsc::unbounded_channel();
        let ended = tokio::spawn(end(server, async move || signals.recv().await.unwrap()));
        gate.reached(1).await;
        for _ in 0..4 {
            send.send(()).unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(!ended.is_finished());
        gate.open();
        assert!(ended.await.unwrap().is_ok_and(|errors| errors.is_empty()));
    }

    // Goal: what is left of a dropped server is waited for, and comes to an end. Method: a server with a listener; the
    // test hangs when that is counted for ever.
    async fn ends_when_dropped<R: Runtime>() {
        let mut builder = iscsicore_runtime::server::Server::<R>::builder();
        let unit = builder.disk("s", Arc::new(MemoryBackend::new(1 << 20)));
        builder.target("iqn.2026-01.com.example:t", &[unit]).unwrap();
        let server = builder.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut ended = Box::pin(server.ended());
        assert!(std::future::poll_fn(|cx| Poll::Ready(ended.as_mut().poll(cx).is_pending())).await);
        drop(server);
        ended.await;
    }

    #[tokio::test]
    async fn a_dropped_server_ends_on_tokio() {
        ends_when_dropped::<iscsicore_tokio::server::Tokio>().await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_dropped_server_ends_on_glommio() {
        if iscsicore_glommio::available(&iscsicore_glommio::Shards::default()).is_ok() {
            ends_when_dropped::<iscsicore_glommio::Glommio>().await;
        }
    }

    // Goal: a later signal cuts the end short, and the disks are flushed all the same.
    #[test]
    fn a_hurried_end_still_flushes() {
        let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (disk, ended) = runtime.block_on(async {
            let (server, disk, _gate) = server().await;
            let (send, mut signals) = mpsc::unbounded_channel();
            let later = async move {
                tokio::time::sleep(PATIENCE).await;
                send.send(()).unwrap();
                std::future::pending::<()>().await;
            };
            let ended = tokio::select! {
                ended = end(server, async move || signals.recv().await.unwrap()) => ended,
                () = later => unreachable!("it sends one signal, and waits"),
            };
            (disk, ended)
        });
        let Err(cut_short) = ended else { panic!("the flush of the clean end hangs") };
        assert_eq!(disk.calls().len(), 1);
        let failing = Arc::new(Scripted::new(Arc::new(MemoryBackend::new(512))));
        failing.next(Kind::Flush, Fault::Fail(io::ErrorKind::StorageFull));
        let errors = in_a_hurry(runtime, cut_short, &[Arc::clone(&disk) as Arc<dyn Backend>, failing]);
        assert_eq!(disk.calls().iter().filter(|call| call.kind == Kind::Flush).count(), 2);
        assert_eq!(errors.iter().map(io::Error::kind).collect::<Vec<_>>(), [io::ErrorKind::StorageFull]);
    }
}
