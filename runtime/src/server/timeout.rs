//! A bound on the time that something may take.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use iscsicore::Instant;

use crate::{Runtime, Timer, clock};

/// What `work` ends with, or nothing when it has not ended at `deadline`.
pub(super) async fn until<R: Runtime, T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut timer = R::Timer::new();
    timer.set(deadline);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}

/// The same for a length of time.
pub(super) async fn within<R: Runtime, T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    until::<R, T>(clock::now() + time, work).await
}

/// What `work` ends with, or nothing when `stop` ends before it.
pub(super) async fn unless<T>(stop: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut stop, mut work) = (pin!(stop), pin!(work));
    poll_fn(|cx| match stop.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}
