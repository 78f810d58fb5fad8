//! Signals that end the program: noticed once, acted on in order; a second one ends it at once.

use std::process;

use tokio::sync::watch;

use crate::failure::{Failure, Kind};

/// Whether the program was asked to end. Clones tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<Option<Kind>>);

impl Interrupt {
    /// Listens for signals from now on.
    ///
    /// # Errors
    /// The system lets nobody listen.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (sender, receiver) = watch::channel(None);
        let mut signals = Signals::new()?;
        tokio::spawn(async move {
            let kind = signals.next().await;
            sender.send_replace(Some(kind));
            let kind = signals.next().await;
            // Whoever asks twice does not want to wait for a logout.
            process::exit(i32::from(kind.code()));
        });
        Ok(Interrupt(receiver))
    }

    /// One that comes when the caller sends it.
    #[cfg(test)]
    pub(crate) fn by_hand() -> (watch::Sender<Option<Kind>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Interrupt(receiver))
    }

    /// Whether the program was asked to end.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until the program is asked to end; the failure that this makes of the command.
    pub(crate) async fn requested(&self) -> Failure {
        let mut receiver = self.0.clone();
        let kind = match receiver.wait_for(Option::is_some).await {
            Ok(kind) => kind.unwrap_or(Kind::Interrupted),
            // The listener lives as long as the runtime.
            Err(_) => std::future::pending().await,
        };
        Failure::new(kind, if kind == Kind::Terminated { "ended by a signal" } else { "interrupted" })
    }

    /// The result of `work`, or the failure when the program is asked to end before; `work` is dropped then.
    ///
    /// # Errors
    /// Those of `work`, and the interruption.
    pub(crate) async fn cuts<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            interrupted = self.requested() => Err(interrupted),
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Kind {
        tokio::select! {
            _ = self.interrupt.recv() => Kind::Interrupted,
            _ = self.terminate.recv() => Kind::Terminated,
            _ = self.hangup.recv() => Kind::Terminated,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals)
    }

    async fn next(&mut self) -> Kind {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Kind::Interrupted,
            Err(_) => std::future::pending().await,
        }
    }
}
