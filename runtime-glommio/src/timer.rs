//! A timer on a shard.

use std::pin::Pin;
use std::task::{Context, Poll};

use iscsicore::Instant;
use iscsicore_runtime::clock;

/// A timer, made when it is first set.
#[derive(Debug)]
pub struct Timer(Option<glommio::timer::Timer>);

impl iscsicore_runtime::Timer for Timer {
    fn new() -> Self {
        Timer(None)
    }

    fn set(&mut self, at: Instant) {
        let time = at.saturating_since(clock::now());
        match &mut self.0 {
            Some(timer) => timer.reset(time),
            None => self.0 = Some(glommio::timer::Timer::new(time)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(timer) => Pin::new(timer).poll(cx).map(|_| ()),
            None => Poll::Pending,
        }
    }
}
