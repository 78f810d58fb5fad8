//! Counts of what a session did.

use std::time::Duration;

/// Counts since the session began, over all its handles. [`Client::stats`](super::Client::stats) takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Commands that were answered, with whatever status.
    pub answered: u64,
    /// Commands that ended without an answer: not sent, unknown outcome, or aborted.
    pub unanswered: u64,
    /// Commands whose future was dropped before they ended.
    pub cancelled: u64,
    /// Commands under way, or waiting to be sent.
    pub in_flight: u64,
    /// Payload received by commands that were answered, in bytes.
    pub bytes_read: u64,
    /// Payload of commands that were answered, in bytes.
    pub bytes_written: u64,
    /// Connections lost.
    pub disconnects: u64,
    /// Connections that came back.
    pub reconnects: u64,
    /// Attempts to come back that failed.
    pub failed_attempts: u64,
    /// Unit attention conditions; each of them made one command be sent again.
    pub unit_attentions: u64,
    /// Times of answered commands.
    pub latency: Latency,
}

/// How long commands took, from being handed in to their answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    sum: Duration,
    longest: Duration,
    /// Number `n` counts times below 2^n microseconds that no smaller number counts.
    buckets: [u64; BUCKETS],
}

/// The last one takes everything from about 36 minutes on.
const BUCKETS: usize = 32;

impl Latency {
    pub(super) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)] += 1;
        self.sum += time;
        self.longest = self.longest.max(time);
    }

    /// How many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their mean; zero when there are none.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let nanos = self.sum.as_nanos() / u128::from(self.count().max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The longest of them.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// A time that a share of `share` (0 to 1) of the commands did not exceed, rounded up to a power of two of
    /// microseconds; never above the longest.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                let bound =
                    if bucket == BUCKETS - 1 { self.longest } else { Duration::from_micros(1 << bucket) };
                return bound.min(self.longest);
            }
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_summary() {
        let mut latency = Latency::default();
        assert_eq!(
            (latency.count(), latency.mean(), latency.quantile(0.5)),
            (0, Duration::ZERO, Duration::ZERO)
        );
        for micros in [0, 1, 3, 100, 100, 100, 100, 100, 100, 5000] {
            latency.record(Duration::from_micros(micros));
        }
        assert_eq!(latency.count(), 10);
        assert_eq!(latency.mean(), Duration::from_nanos(560_400));
        assert_eq!(latency.quantile(0.5), Duration::from_micros(128));
        assert_eq!(latency.quantile(1.0), Duration::from_micros(5000));
        assert_eq!(latency.quantile(0.1), Duration::from_micros(1));
        latency.record(Duration::from_secs(1 << 40));
        assert_eq!(latency.quantile(1.0), Duration::from_secs(1 << 40));
    }
}
