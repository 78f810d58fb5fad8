//! The end of a server.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use tokio::sync::oneshot;

use super::hub::{Control, Hub};
use super::timeout::within;
use super::transport::LINGER;
use crate::Runtime;

/// How long a stop waits for storage that does not answer.
const STORAGE_TIME: Duration = Duration::from_secs(30);

/// Ends every session, flushes every back end, and returns what went wrong.
pub(super) async fn stop<R: Runtime>(hub: &Arc<Hub<R>>, grace: Duration) -> Vec<io::Error> {
    // Sessions that begin after this see it for themselves.
    hub.stopping.send_replace(Some(grace));
    for peer in hub.peers().values() {
        peer.control.send(Control::Shutdown { within: grace });
    }
    let mut errors = Vec::new();
    if within::<R, _>(grace, hub.living.none()).await.is_none() {
        for peer in hub.peers().values() {
            let (done, _) = oneshot::channel();
            peer.control.send(Control::Terminate { done });
        }
        if within::<R, _>(STORAGE_TIME, hub.living.none()).await.is_none() {
            errors.push(timed_out("operations of ended sessions did not end"));
        }
    }
    let units = hub.units.iter().enumerate();
    let flushes = units.map(|(index, unit)| async move {
        // A panic of one must not keep the others from being flushed.
        let flush = AssertUnwindSafe(async { unit.backend.flush().wait().await }).catch_unwind();
        match within::<R, _>(STORAGE_TIME, flush).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other(format!("the flush of unit {index} panicked"))),
            None => Err(timed_out(&format!("the flush of unit {index} did not end"))),
        }
    });
    errors.extend(join_all(flushes).await.into_iter().filter_map(Result::err));
    // Peers get their last answers, if they take them.
    let _ = within::<R, _>(LINGER, hub.closing.none()).await;
    errors
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
