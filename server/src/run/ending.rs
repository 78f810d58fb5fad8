//! The end: signals, and what a second one may cut short.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use iscsicore_tokio::Server;
use iscsicore_tokio::backend::Backend;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Ends a server well. `again` waits for a further signal: one that comes before [`PATIENCE`] is over means what the
/// first one did (`timeout` sends two, a terminal sends one and its shell another), a later one ends this at once.
///
/// Returns what went wrong; nothing when it was cut short, and then the back ends are still to be flushed.
pub(super) async fn end(server: Server, mut again: impl AsyncFnMut()) -> Option<Vec<io::Error>> {
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
        errors = server.shutdown() => Some(errors),
        () = hurry => None,
    }
}

/// Stops everything that runs, without regard for initiators, and then flushes: after that nothing is acknowledged any
/// more, and what was is on stable storage. That takes a quarter of a minute at most, and no signal ends it sooner.
pub(super) fn in_a_hurry(runtime: Runtime, backends: &[Arc<dyn Backend>]) -> Vec<io::Error> {
    tracing::warn!("cut short by another signal; initiators are cut off, and the disks flushed");
    runtime.shutdown_timeout(STOP_TIME);
    let runtime = match runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![error],
    };
    let errors = runtime.block_on(flush(backends));
    // A flush that hangs is not waited for any longer.
    runtime.shutdown_background();
    errors
}

async fn flush(backends: &[Arc<dyn Backend>]) -> Vec<io::Error> {
    let mut flushes = JoinSet::new();
    for backend in backends {
        let backend = Arc::clone(backend);
        flushes.spawn(async move {
            timeout(FLUSH_TIME, backend.flush().wait()).await.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the flush of a disk did not end"))
            })
        });
    }
    let results = flushes.join_all().await;
    results.into_iter().filter_map(Result::err).collect()
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
/// How long operations that run may take to end before the flush does not wait for them.
const STOP_TIME: Duration = Duration::from_secs(5);
/// How long a flush may take when there is a hurry.
const FLUSH_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use iscsicore_tokio::backend::{Fault, Gate, Kind, MemoryBackend, Scripted};
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
        assert!(ended.await.unwrap().is_some_and(|errors| errors.is_empty()));
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
                () = later => None,
            };
            (disk, ended)
        });
        assert!(ended.is_none(), "the flush of the clean end hangs");
        assert_eq!(disk.calls().len(), 1);
        let failing = Arc::new(Scripted::new(Arc::new(MemoryBackend::new(512))));
        failing.next(Kind::Flush, Fault::Fail(io::ErrorKind::StorageFull));
        let errors = in_a_hurry(runtime, &[Arc::clone(&disk) as Arc<dyn Backend>, failing]);
        assert_eq!(disk.calls().iter().filter(|call| call.kind == Kind::Flush).count(), 2);
        assert_eq!(errors.iter().map(io::Error::kind).collect::<Vec<_>>(), [io::ErrorKind::StorageFull]);
    }
}
