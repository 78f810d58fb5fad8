//! The client over connections that are cut, stalled, truncated and spoiled at moments that a seed decides, under a load of
//! reads and writes. With reconnection all data arrives and verifies, and no command takes longer than its time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use iscsicore::Limits;
use iscsicore::initiator::{Cause, Repeat, commands};
use iscsicore::login::{DigestOffer, Offer};
use iscsicore::nexus::ReconnectPolicy;
use iscsicore::node::{IscsiName, TargetConfig, UnitAccess};
use iscsicore::scsi::Status;
use iscsicore_tokio::backend::MemoryBackend;
use iscsicore_tokio::client::{ClientError, Event, FlushCoverage};
use iscsicore_tokio::{Client, Server};

#[path = "support/proxy.rs"]
mod proxy;

use proxy::{Fault, Proxy, Random};

const TARGET: &str = "iqn.2026-01.dev.iscsicore.test:faulty";
const BLOCKS: u64 = 8192;
const BLOCK: usize = 512;
/// Time that a command has. None may take longer, whatever happens; all of them take far less while reconnection works.
const TIME: Duration = Duration::from_secs(15);
/// What a loaded machine may add to a time before somebody notices.
const SLACK: Duration = Duration::from_secs(2);
const WORKERS: usize = 12;

fn digests(on: bool) -> DigestOffer {
    if on { DigestOffer::Crc32cOnly } else { DigestOffer::NoneOnly }
}

/// What both ends offer: sessions that may be resumed at once, with PDUs and bursts that leave much to go wrong.
fn offer(with_digests: bool) -> Offer {
    let mut offer = Offer::default();
    (offer.header_digest, offer.data_digest) = (digests(with_digests), digests(with_digests));
    (offer.time2wait, offer.time2retain) = (0, 0);
    (offer.first_burst, offer.max_burst, offer.max_segment) = (8192, 32768, 8192);
    offer
}

async fn serve(offer: Offer) -> (Server, SocketAddr) {
    let mut builder = Server::builder();
    let unit = builder.disk("faulty-0", Arc::new(MemoryBackend::new(BLOCKS * BLOCK as u64)));
    let mut target = TargetConfig::new(IscsiName::parse(TARGET).unwrap());
    target.luns.insert(0, unit, UnitAccess::ReadWrite).unwrap();
    target.offer = offer;
    builder.target_config(target);
    let server = builder.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.addresses()[0];
    (server, address)
}

async fn connect(address: SocketAddr, offer: Offer, time: Duration) -> Client {
    let mut limits = Limits::default();
    limits.ping_interval = Duration::from_millis(60);
    limits.ping_timeout = Duration::from_millis(120);
    limits.ping_grace = Duration::from_millis(120);
    let mut policy = ReconnectPolicy::default();
    policy.first_pause = Duration::from_millis(5);
    policy.longest_pause = Duration::from_millis(50);
    policy.attempt_timeout = Duration::from_millis(500);
    let url = format!("iscsi://{address}/{TARGET}/0");
    let builder = Client::builder().url(&url).unwrap().offer(offer).limits(limits);
    builder.reconnect(policy).command_timeout(Some(time)).connect().await.unwrap()
}

/// What every block holds: the number of the write that it was written by last.
struct Model {
    blocks: Mutex<Vec<(u64, bool)>>,
    numbers: AtomicU64,
    over: AtomicBool,
    longest: Mutex<Duration>,
}

fn content(first: u64, blocks: u64, number: u64) -> Bytes {
    let mut data = Vec::with_capacity(blocks as usize * BLOCK);
    for lba in first..first + blocks {
        let mut random = Random(lba << 32 ^ number);
        data.extend((0..BLOCK / 8).flat_map(|_| random.next().to_be_bytes()));
    }
    data.into()
}

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Model {
            blocks: Mutex::new(vec![(0, false); BLOCKS as usize]),
            numbers: AtomicU64::new(1),
            over: AtomicBool::new(false),
            longest: Mutex::default(),
        })
    }

    /// Takes a range that nobody else works on.
    fn claim(&self, random: &mut Random) -> Option<std::ops::Range<usize>> {
        let most = 1 << random.below(8);
        let len = 1 + random.below(most) as usize;
        let first = random.below(BLOCKS - len as u64 + 1) as usize;
        let range = first..first + len;
        let mut blocks = self.blocks.lock().unwrap();
        let free = blocks[range.clone()].iter().all(|(_, busy)| !busy);
        if free {
            blocks[range.clone()].iter_mut().for_each(|(_, busy)| *busy = true);
        }
        free.then_some(range)
    }

    fn release(&self, range: std::ops::Range<usize>, written: Option<u64>) {
        for (number, busy) in &mut self.blocks.lock().unwrap()[range] {
            *number = written.unwrap_or(*number);
            *busy = false;
        }
    }

    fn verify(&self, range: std::ops::Range<usize>, data: &[u8]) {
        assert_eq!(data.len(), range.len() * BLOCK);
        let numbers: Vec<u64> = self.blocks.lock().unwrap()[range.clone()].iter().map(|b| b.0).collect();
        for ((lba, number), found) in range.zip(numbers).zip(data.chunks(BLOCK)) {
            match number {
                0 => assert!(found.iter().all(|b| *b == 0), "LBA {lba} was never written"),
                n => assert!(content(lba as u64, 1, n) == found, "LBA {lba} does not hold write {n}"),
            }
        }
    }

    async fn work(self: Arc<Self>, client: Client, mut random: Random) {
        while !self.over.load(Ordering::Relaxed) {
            let Some(range) = self.claim(&mut random) else {
                tokio::task::yield_now().await;
                continue;
            };
            let (lba, blocks) = (range.start as u64, range.len() as u64);
            let began = Instant::now();
            let mut written = None;
            if random.below(2) == 0 {
                let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                client.write(lba, content(lba, blocks, number)).await.unwrap();
                written = Some(number);
            } else {
                let data = client.read(lba, blocks as u32).await.unwrap();
                self.verify(range.clone(), &data);
            }
            let took = began.elapsed();
            assert!(took < TIME + SLACK, "a command took {took:?}");
            let mut longest = self.longest.lock().unwrap();
            *longest = took.max(*longest);
            drop(longest);
            self.release(range, written);
        }
    }

    /// Loads the client until `enough` says so, then verifies the whole disk.
    async fn run(self: Arc<Self>, client: &Client, seed: u64, enough: impl Fn() -> bool) {
        let mut workers = tokio::task::JoinSet::new();
        for n in 0..WORKERS as u64 {
            workers.spawn(Arc::clone(&self).work(client.clone(), Random(seed << 8 | n)));
        }
        while !enough() {
            tokio::select! {
                ended = workers.join_next() => match ended.unwrap() {
                    Ok(()) => unreachable!("workers go on until they are told to end"),
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = workers.join_next().await {
            ended.unwrap();
        }
    }

    async fn verify_all(&self, client: &Client) {
        for first in (0..BLOCKS as usize).step_by(1024) {
            let data = client.read(first as u64, 1024).await.unwrap();
            self.verify(first..first + 1024, &data);
        }
    }
}

/// Loads a client through so many faults of these kinds, in turn; then everything that was written is there, also for a
/// client that comes by another way.
async fn survive(seed: u64, faults: &[Fault], times: usize, with_digests: bool) {
    let (server, address) = serve(offer(with_digests)).await;
    let proxy = Proxy::start(address, seed, faults, 300_000, with_digests).await;
    let client = connect(proxy.address, offer(with_digests), TIME).await;
    let model = Model::new();
    let limit = Instant::now() + Duration::from_secs(60);
    let enough = || {
        assert!(Instant::now() < limit, "only {} faults of {times} in a minute", proxy.done().len());
        proxy.done().len() >= times
    };
    Arc::clone(&model).run(&client, seed, enough).await;
    proxy.rest();
    model.verify_all(&client).await;
    let done = proxy.done();
    for fault in faults {
        assert!(done.contains(fault), "{fault:?} never happened: {done:?}");
    }
    let lasting = done.iter().filter(|f| **f != Fault::Pause).count() as u64;
    let stats = client.stats();
    // What comes late from a stalled way may end a connection that was given up already.
    assert!(stats.reconnects >= lasting / 2, "{} reconnects after {lasting} faults", stats.reconnects);
    client.logout().await.unwrap();
    let direct = connect(address, offer(with_digests), TIME).await;
    model.verify_all(&direct).await;
    direct.logout().await.unwrap();
    server.shutdown().await;
}

// Several connections die in each of these, in the middle of whatever was under way.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_survives_connections_that_are_cut_and_truncated() {
    survive(1, &[Fault::Cut, Fault::Truncate], 240, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_survives_spoiled_headers_and_data() {
    survive(2, &[Fault::SpoilHeader, Fault::SpoilData], 120, true).await;
}

/// Bytes of a connection that was given up reach the target after the next one is up: none of them may count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_survives_connections_that_stall_for_good_or_come_back_late() {
    survive(3, &[Fault::Stall, Fault::Late, Fault::Pause], 30, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_survives_all_faults_in_turn() {
    use Fault::{Cut, Late, Pause, SpoilData, SpoilHeader, Stall, Truncate};
    survive(
        4,
        &[Cut, SpoilHeader, Truncate, SpoilData, Cut, Stall, SpoilData, Late, Truncate, Pause],
        80,
        true,
    )
    .await;
}

/// What happened to a write that must not be repeated.
#[derive(Default, Debug)]
struct Tally {
    answered: u32,
    unknown: u32,
    not_sent: u32,
}

/// A write that may not be repeated ends with "unknown" where its connection is lost, and only there. What is said is
/// true: an answered one is on the disk, one that was not sent is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_must_not_be_repeated_says_what_is_known() {
    let (server, address) = serve(offer(false)).await;
    let proxy = Proxy::start(address, 5, &[Fault::Cut, Fault::Truncate], 40_000, false).await;
    let client = connect(proxy.address, offer(false), TIME).await;
    let mut tally = Tally::default();
    let mut held = [0_u64; 16];
    for number in 1.. {
        if proxy.done().len() >= 40 && tally.unknown >= 5 {
            break;
        }
        assert!(number < 20_000, "{tally:?}");
        let (at, blocks) = (number as usize % 16, 4);
        let (lba, data) = (at as u64 * blocks, content(at as u64 * blocks, blocks, number));
        let mut command = commands::write(client.wire_lun(), lba, data, BLOCK as u32).unwrap();
        command.repeat = Repeat::Never;
        let before = held[at];
        let outcome = client.command(command).await;
        let found = client.read(lba, blocks as u32).await.unwrap();
        let is =
            |n: u64| if n == 0 { found.iter().all(|b| *b == 0) } else { found == content(lba, blocks, n) };
        match outcome {
            Ok(answer) => {
                assert_eq!(answer.status, Status::GOOD);
                tally.answered += 1;
                assert!(is(number), "write {number} was answered and is not there");
            }
            Err(ClientError::Unknown { cause: Cause::ConnectionLost, .. }) => {
                tally.unknown += 1;
                assert!(is(number) || is(before), "write {number} has left something else");
            }
            Err(ClientError::NotSent { cause: Cause::ConnectionLost, .. }) => {
                tally.not_sent += 1;
                assert!(is(before), "write {number} was not sent and is there");
            }
            Err(other) => panic!("{other}"),
        }
        held[at] = if is(number) { number } else { before };
    }
    assert!(tally.answered > 20, "{tally:?}");
    proxy.rest();
    client.logout().await.unwrap();
    server.shutdown().await;
}

/// Without an answer from anybody, commands end when their time is over, not much later; afterwards the same client
/// works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_outlives_its_time_while_nothing_passes() {
    const SHORT: Duration = Duration::from_millis(400);
    let (server, address) = serve(offer(false)).await;
    let proxy = Proxy::start(address, 6, &[], 0, false).await;
    let client = connect(proxy.address, offer(false), SHORT).await;
    client.write(0, content(0, 8, 1)).await.unwrap();
    for round in 0..3 {
        proxy.set_open(false);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200_u64 {
            let client = client.clone();
            tasks.spawn(async move {
                let began = Instant::now();
                let outcome = match n % 3 {
                    0 => client.read(0, 8).await.map(drop),
                    1 => client.write(8, content(8, 300, n)).await,
                    _ => client.flush().await.map(drop),
                };
                (outcome, began.elapsed())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            let (outcome, took) = ended.unwrap();
            let timed_out = matches!(
                outcome,
                Err(ClientError::Unknown { cause: Cause::TimedOut, .. }
                    | ClientError::NotSent { cause: Cause::TimedOut, .. })
            );
            assert!(timed_out, "round {round}: {outcome:?}");
            assert!(took >= SHORT && took < SHORT + SLACK, "round {round}: {took:?}");
        }
        proxy.set_open(true);
        recovered(&client).await;
    }
    client.logout().await.unwrap();
    server.shutdown().await;
}

/// Waits until the client serves again; commands may still be refused for want of time meanwhile.
async fn recovered(client: &Client) {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        match client.read(0, 8).await {
            Ok(data) => return assert_eq!(data, content(0, 8, 1)),
            Err(error) => assert!(Instant::now() < limit, "{error}"),
        }
    }
}

/// A flush says whether it covers all that was acknowledged: not what was acknowledged before the connection was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_after_a_reconnect_says_what_it_covers() {
    let (server, address) = serve(offer(false)).await;
    let proxy = Proxy::start(address, 7, &[], 0, false).await;
    let client = connect(proxy.address, offer(false), TIME).await;
    client.write(0, content(0, 8, 1)).await.unwrap();
    assert_eq!(client.flush().await.unwrap(), FlushCoverage::All);
    client.write(8, content(8, 8, 1)).await.unwrap();
    let mut events = client.events();
    client.reconnect();
    while !matches!(events.next().await.unwrap(), Event::Reconnected { .. }) {}
    assert_eq!(client.flush().await.unwrap(), FlushCoverage::OnlySinceReconnect);
    client.write(8, content(8, 8, 2)).await.unwrap();
    assert_eq!(client.flush().await.unwrap(), FlushCoverage::All);
    assert_eq!(proxy.connections(), 2);
    client.logout().await.unwrap();
    server.shutdown().await;
}
