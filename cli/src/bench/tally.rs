//! Counts and latencies.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What operations of one kind have done.
#[derive(Clone)]
pub(crate) struct Tally {
    bytes: u64,
    nanos: Histogram<u64>,
}

/// The figures of one kind of operation.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) operations: u64,
    pub(crate) bytes: u64,
    pub(crate) iops: f64,
    pub(crate) mib_per_s: f64,
    pub(crate) latency_us: Latency,
}

/// Times from the request to its answer, in microseconds.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Latency {
    pub(crate) min: f64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

/// The longest time that is told apart.
const LONGEST: Duration = Duration::from_secs(3600);

impl Tally {
    pub(crate) fn new() -> Option<Self> {
        // Three decimal digits of each time.
        Histogram::new_with_max(LONGEST.as_nanos() as u64, 3).ok().map(|nanos| Tally { bytes: 0, nanos })
    }

    pub(crate) fn count(&mut self, bytes: u64, time: Duration) {
        self.bytes += bytes;
        self.nanos.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    pub(crate) fn operations(&self) -> u64 {
        self.nanos.len()
    }

    /// Adds what another one has counted.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.bytes += other.bytes;
        // It has the same bounds.
        let _ = self.nanos.add(&other.nanos);
    }

    /// The figures over `time`; `None` when nothing was done.
    pub(crate) fn figures(&self, time: Duration) -> Option<Figures> {
        if self.nanos.is_empty() {
            return None;
        }
        let seconds = time.as_secs_f64().max(1e-9);
        let at = |quantile| rounded(self.nanos.value_at_quantile(quantile) as f64 / 1e3);
        Some(Figures {
            operations: self.nanos.len(),
            bytes: self.bytes,
            iops: rounded(self.nanos.len() as f64 / seconds),
            mib_per_s: rounded(self.bytes as f64 / seconds / f64::from(1 << 20)),
            latency_us: Latency {
                min: rounded(self.nanos.min() as f64 / 1e3),
                mean: rounded(self.nanos.mean() / 1e3),
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p99_9: at(0.999),
                max: rounded(self.nanos.max() as f64 / 1e3),
            },
        })
    }
}

/// With one decimal: more is noise.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_known_times() {
        let mut tally = Tally::new().unwrap();
        assert!(tally.figures(Duration::from_secs(1)).is_none());
        (1..=1000).for_each(|micros| tally.count(4096, Duration::from_micros(micros)));
        let mut all = Tally::new().unwrap();
        all.add(&tally);
        let figures = all.figures(Duration::from_secs(2)).unwrap();
        assert_eq!((figures.operations, figures.bytes, figures.iops), (1000, 4_096_000, 500.0));
        assert_eq!(figures.mib_per_s, 2.0);
        let near =
            |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 0.002, "{found} {wanted}");
        let latency = figures.latency_us;
        near(latency.p50, 500.0);
        near(latency.p99, 990.0);
        near(latency.p99_9, 999.0);
        near(latency.max, 1000.0);
        near(latency.mean, 500.5);
    }
}
