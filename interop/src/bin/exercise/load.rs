//! Many commands at a time, over the whole unit or many units, with every block verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Outcome;
use crate::model::{Model, Random, Range};

/// The longest transfer of the load, in bytes; one in sixteen is up to four times as long.
const LONG: u64 = 128 << 10;

/// When a load is over.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// When so many times the bytes of a unit were written to each.
    Generations(u64),
    /// At a moment.
    Time(Instant),
    /// When the connection has come back so many times.
    Reconnects(u64),
}

/// What a load has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) commands: u64,
    pub(crate) bytes: u64,
    /// The longest that one command took.
    pub(crate) longest: Duration,
}

#[derive(Default)]
struct Counters {
    commands: AtomicU64,
    bytes: AtomicU64,
    written: AtomicU64,
    longest: AtomicU64,
    failed: AtomicBool,
}

/// Keeps `depth` commands in flight on each unit until the end that was set, then verifies every block.
pub(crate) async fn run(
    models: &[Arc<Model>],
    depth: usize,
    until: Until,
    random: &mut Random,
) -> Outcome<Done> {
    let counters = Arc::new(Counters::default());
    let mut workers = JoinSet::new();
    for model in models {
        for _ in 0..depth {
            let random = Random::new(random.next(), 0);
            workers.spawn(worker(Arc::clone(model), Arc::clone(&counters), until, models.len(), random));
        }
    }
    let mut first = Ok(());
    while let Some(ended) = workers.join_next().await {
        let outcome = ended.expect("workers do not panic");
        if first.is_ok() {
            first = outcome;
        }
    }
    first?;
    for model in models {
        model.client.flush().await?;
        model.verify_whole(&format!("the sweep after the load of depth {depth}")).await?;
    }
    Ok(Done {
        commands: counters.commands.load(Ordering::Relaxed),
        bytes: counters.bytes.load(Ordering::Relaxed),
        longest: Duration::from_micros(counters.longest.load(Ordering::Relaxed)),
    })
}

async fn worker(
    model: Arc<Model>,
    counters: Arc<Counters>,
    until: Until,
    units: usize,
    mut random: Random,
) -> Outcome {
    let size = model.blocks * model.block as u64 * units as u64;
    loop {
        let over = match until {
            Until::Generations(n) => counters.written.load(Ordering::Relaxed) >= n * size,
            Until::Time(at) => Instant::now() >= at,
            Until::Reconnects(n) => model.client.stats().reconnects >= n,
        };
        if over || counters.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let most = if random.below(16) == 0 { 4 * LONG } else { LONG };
        let range = model.range(&mut random, most / model.block as u64);
        if !model.claim(range) {
            tokio::task::yield_now().await;
            continue;
        }
        let began = Instant::now();
        let outcome = one(&model, range, &counters, &mut random).await;
        model.release(range);
        counters.longest.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        counters.commands.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(range.blocks * model.block as u64, Ordering::Relaxed);
        if outcome.is_err() {
            counters.failed.store(true, Ordering::Relaxed);
            return outcome;
        }
    }
}

/// A write, a read, or now and then a flush.
async fn one(model: &Model, range: Range, counters: &Counters, random: &mut Random) -> Outcome {
    match random.below(32) {
        0 => {
            model.client.flush().await?;
        }
        1..16 => {
            let data = model.client.read(range.lba, range.blocks as u32).await?;
            model.verify(range, &data, "a read under load")?;
        }
        _ => {
            let (generation, data) = model.fresh(range);
            counters.written.fetch_add(data.len() as u64, Ordering::Relaxed);
            model.client.write(range.lba, data).await?;
            model.wrote(range, generation);
        }
    }
    Ok(())
}
