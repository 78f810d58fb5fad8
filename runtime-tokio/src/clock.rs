//! The core's clock beside tokio's.

use iscsicore::Instant;
pub(crate) use iscsicore_runtime::clock::{now, to_std};

/// `at` on tokio's clock.
pub(crate) fn to_tokio(at: Instant) -> tokio::time::Instant {
    let wait = at.saturating_since(now());
    tokio::time::Instant::now() + wait
}
