//! The core's clock: nanoseconds since the first look at it.

use std::sync::LazyLock;
use std::time::Instant as StdInstant;

use iscsicore::Instant;

static ORIGIN: LazyLock<StdInstant> = LazyLock::new(StdInstant::now);

/// The present.
pub fn now() -> Instant {
    let since = ORIGIN.elapsed();
    Instant::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// `at` on the clock of the standard library.
pub fn to_std(at: Instant) -> StdInstant {
    let since = std::time::Duration::from_nanos(at.as_nanos());
    ORIGIN.checked_add(since).unwrap_or_else(StdInstant::now)
}
