//! Whether a logical unit is still the one that its handles were made for.
//!
//! While a session is away, another disk may come to stand behind the name of the target and the LUN: what is written to it then
//! destroys it. So when the connection is lost, new commands of handles wait until the unit was asked, on the next
//! connection, who it is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use iscsicore::initiator::Cause;
use tokio::sync::watch;

use super::state::{Shared, Status};
use super::unit::Unit;
use super::{ClientError, Result};

/// A logical unit that is another one than when its handles were made.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct UnitChanged {
    /// Which.
    pub lun: u16,
    /// Where.
    pub target: Arc<str>,
    /// What gave it away.
    pub difference: Difference,
}

/// By what a logical unit is known to be another one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Difference {
    /// The size of its blocks.
    BlockSize {
        /// Bytes of a block before.
        before: u32,
        /// Bytes of a block now.
        now: u32,
    },
    /// The unit serial number (VPD page 80h).
    SerialNumber {
        /// As it was.
        before: String,
        /// As it is; `None` when the unit says none any more.
        now: Option<String>,
    },
}

impl fmt::Display for UnitChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LUN {} of {} is another disk than before: ", self.lun, self.target)?;
        match &self.difference {
            Difference::BlockSize { before, now } => {
                write!(f, "its blocks have {now} bytes in place of {before}")
            }
            Difference::SerialNumber { before, now: Some(now) } => {
                write!(f, "its serial number is {now:?} in place of {before:?}")
            }
            Difference::SerialNumber { before, now: None } => {
                write!(f, "its serial number was {before:?}, and now it says none")
            }
        }
    }
}

/// What the handles of a unit may take for granted.
#[derive(Debug)]
pub(super) struct Standing {
    /// The same as [`View::Same`], for those in a hurry.
    sure: AtomicBool,
    now: watch::Sender<Now>,
}

#[derive(Debug)]
struct Now {
    /// Connections lost: what was found out before the last loss says nothing.
    losses: u32,
    view: View,
}

#[derive(Clone, Debug)]
enum View {
    Same,
    Unsure,
    /// For ever.
    Changed(Arc<UnitChanged>),
}

impl Standing {
    pub(super) fn new() -> Self {
        let now = watch::Sender::new(Now { losses: 0, view: View::Same });
        Standing { sure: AtomicBool::new(true), now }
    }

    /// The connection is gone: whoever comes now waits.
    pub(super) fn suspend(&self) {
        self.now.send_modify(|now| {
            now.losses = now.losses.wrapping_add(1);
            if matches!(now.view, View::Same) {
                now.view = View::Unsure;
                self.sure.store(false, Ordering::Release);
            }
        });
    }

    pub(super) fn losses(&self) -> u32 {
        self.now.borrow().losses
    }

    /// Nothing speaks against its being the same, as was found out after so many losses.
    pub(super) fn confirm(&self, losses: u32) {
        self.now.send_if_modified(|now| {
            let holds = now.losses == losses && matches!(now.view, View::Unsure);
            if holds {
                now.view = View::Same;
                self.sure.store(true, Ordering::Release);
            }
            holds
        });
    }

    /// It is another one.
    pub(super) fn condemn(&self, changed: Arc<UnitChanged>) {
        self.now.send_modify(|now| {
            now.view = View::Changed(Arc::clone(&changed));
            self.sure.store(false, Ordering::Release);
        });
    }

    /// Whether it is known to be another one.
    ///
    /// # Errors
    /// It is.
    pub(super) fn check(&self) -> Result<()> {
        match &self.now.borrow().view {
            View::Changed(changed) => Err(ClientError::UnitChanged(Arc::clone(changed))),
            View::Same | View::Unsure => Ok(()),
        }
    }
}

impl Unit {
    /// Waits until it is known whether this is the unit that handles were made for; how long that took.
    ///
    /// # Errors
    /// It is another one, the session is over, or `limit` was.
    pub(super) async fn settled(
        &self,
        shared: &Shared,
        limit: Option<Duration>,
        what: impl FnOnce() -> Cow<'static, str>,
    ) -> Result<Duration> {
        if self.standing.sure.load(Ordering::Acquire) {
            return Ok(Duration::ZERO);
        }
        // In a box: commands that need not wait are not to grow by this.
        Box::pin(self.wait(shared, limit, what())).await
    }

    async fn wait(
        &self,
        shared: &Shared,
        limit: Option<Duration>,
        what: Cow<'static, str>,
    ) -> Result<Duration> {
        let began = tokio::time::Instant::now();
        let _held = Held::new(&shared.held);
        let settled = async {
            let mut now = self.standing.now.subscribe();
            // The sender lives as long as the unit.
            let _ = now.wait_for(|now| !matches!(now.view, View::Unsure)).await;
        };
        let over = async {
            // The sender lives in `shared`.
            let _ = shared.status.subscribe().wait_for(|s| matches!(s, Status::Over(_))).await;
        };
        let late = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = settled => self.standing.check().map(|()| began.elapsed()),
            () = over => Err(shared.ended()),
            () = late => {
                shared.lock().stats.unanswered += 1;
                Err(shared.not_sent(shared.place(Some(self.wire), what), Cause::TimedOut))
            }
        }
    }
}

/// Counts one who waits.
struct Held<'a>(&'a AtomicU64);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Held(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
