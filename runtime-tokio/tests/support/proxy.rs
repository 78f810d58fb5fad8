//! A relay between an initiator and a target that hurts the connection at moments that a seed decides. It follows the PDUs,
//! so that it can leave logins alone and tell headers from data.
#![allow(dead_code, reason = "each test program uses a part")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Both ends are closed at once; what was on its way is lost.
    Cut,
    /// One PDU arrives in part, and the connection is closed after it.
    Truncate,
    /// Nothing passes any more in this direction; the connection stays open for [`LATE`].
    Stall,
    /// The same, but what was held back is delivered in the end, to an end that has long logged in anew.
    Late,
    /// Nothing passes for a moment; then all goes on as if nothing had been.
    Pause,
    /// Up to 32 neighbouring bits of a header are changed.
    SpoilHeader,
    /// Up to 32 neighbouring bits of a data segment are changed.
    SpoilData,
}

/// How long [`Fault::Stall`] and [`Fault::Late`] hold a connection.
pub(crate) const LATE: Duration = Duration::from_millis(350);
const MOMENT: Duration = Duration::from_millis(15);

/// Faults to be dealt out, in turn, and what is known of them.
#[derive(Default)]
struct Plan {
    faults: Vec<Fault>,
    random: Mutex<Random>,
    /// The most bytes that a connection carries in the full-feature phase before its fault.
    most: u64,
    done: Mutex<Vec<Fault>>,
    dealt: AtomicU64,
    at_rest: AtomicBool,
    connections: AtomicU64,
}

impl Plan {
    fn next(&self) -> Option<Fault> {
        if self.at_rest.load(Ordering::Relaxed) || self.faults.is_empty() {
            return None;
        }
        let number = self.dealt.fetch_add(1, Ordering::Relaxed) as usize;
        Some(self.faults[number % self.faults.len()])
    }
}

/// A small generator of numbers that look random (splitmix64).
#[derive(Clone, Default)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    plan: Arc<Plan>,
    /// Whether bytes pass at all; `false` holds everything.
    open: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Relays to `target`. Each connection meets one of `faults` within `most` bytes after its login. `digests`:
    /// whether PDUs carry both digests after the login.
    pub(crate) async fn start(
        target: SocketAddr,
        seed: u64,
        faults: &[Fault],
        most: u64,
        digests: bool,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan =
            Plan { faults: faults.to_vec(), random: Mutex::new(Random(seed)), most, ..Plan::default() };
        let plan = Arc::new(plan);
        let (open, opened) = watch::channel(true);
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&plan), opened, digests));
        Proxy { address, plan, open, accepting }
    }

    /// The faults that have happened.
    pub(crate) fn done(&self) -> Vec<Fault> {
        self.plan.done.lock().unwrap().clone()
    }

    /// Makes no more faults on connections that begin from now on.
    pub(crate) fn rest(&self) {
        self.plan.at_rest.store(true, Ordering::Relaxed);
    }

    /// Connections that were taken.
    pub(crate) fn connections(&self) -> u64 {
        self.plan.connections.load(Ordering::Relaxed)
    }

    /// Lets nothing pass, in no direction, on connections old and new; or everything again.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    plan: Arc<Plan>,
    open: watch::Receiver<bool>,
    digests: bool,
) {
    let mut relays = tokio::task::JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        plan.connections.fetch_add(1, Ordering::Relaxed);
        let (plan, open) = (Arc::clone(&plan), open.clone());
        relays.spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else { return };
            relay(near, far, plan, open, digests).await;
        });
        while relays.try_join_next().is_some() {}
    }
}

/// Carries one connection to its end.
async fn relay(near: TcpStream, far: TcpStream, plan: Arc<Plan>, open: watch::Receiver<bool>, digests: bool) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let mut random = Random(plan.random.lock().unwrap().next());
    // Data-In flows one way and Data-Out the other: both ways get their share.
    let up = random.below(2) == 0;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let way = |from, to, hurt: bool, random: &mut Random| {
        let mut way = Way {
            from,
            to,
            digests,
            fault: None,
            carried: 0,
            random: Random(random.next()),
            plan: Arc::clone(&plan),
            open: open.clone(),
        };
        if hurt {
            way.arm();
        }
        way
    };
    let up_way = way(near_in, far_out, up, &mut random);
    let down_way = way(far_in, near_out, !up, &mut random);
    // Whichever way ends first ends the connection: both sockets are closed when this returns.
    tokio::select! {
        _ = up_way.carry() => {}
        _ = down_way.carry() => {}
    }
}

/// One direction of a connection.
struct Way {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    digests: bool,
    /// What happens, and after how many bytes more of the full-feature phase.
    fault: Option<(Fault, u64)>,
    carried: u64,
    random: Random,
    plan: Arc<Plan>,
    open: watch::Receiver<bool>,
}

/// A PDU as it stands on the wire.
struct Pdu {
    bytes: Vec<u8>,
    /// Where the data segment begins; the end when there is none.
    data: usize,
    login: bool,
}

impl Way {
    /// Decides what happens next.
    fn arm(&mut self) {
        let after = self.random.below(self.plan.most);
        self.fault = self.plan.next().map(|fault| (fault, after));
        self.carried = 0;
    }

    /// Carries PDU after PDU; returns when the connection is to be closed.
    async fn carry(mut self) -> std::io::Result<()> {
        loop {
            let mut pdu = self.read().await?;
            let _ = self.open.wait_for(|open| *open).await;
            let due = !pdu.login && self.fault.is_some_and(|(_, after)| self.carried >= after);
            let (Some((fault, _)), true) = (self.fault, due && self.fits(&pdu)) else {
                self.carried += if pdu.login { 0 } else { pdu.bytes.len() as u64 };
                self.to.write_all(&pdu.bytes).await?;
                continue;
            };
            self.plan.done.lock().unwrap().push(fault);
            match fault {
                Fault::Cut => return Ok(()),
                Fault::Truncate => {
                    let len = 1 + self.random.below(pdu.bytes.len() as u64 - 1) as usize;
                    self.to.write_all(&pdu.bytes[..len]).await?;
                    return self.to.shutdown().await;
                }
                Fault::Stall => {
                    tokio::time::sleep(LATE).await;
                    return Ok(());
                }
                Fault::Late => tokio::time::sleep(LATE).await,
                Fault::Pause => tokio::time::sleep(MOMENT).await,
                Fault::SpoilHeader => self.spoil(&mut pdu.bytes[..48]),
                Fault::SpoilData => self.spoil(&mut pdu.bytes[pdu.data..]),
            }
            self.to.write_all(&pdu.bytes).await?;
            // A connection that lives through this one gets another.
            self.arm();
        }
    }

    /// Whether the fault can be done to this PDU.
    fn fits(&self, pdu: &Pdu) -> bool {
        self.fault.is_some_and(|(fault, _)| fault != Fault::SpoilData || pdu.data < pdu.bytes.len())
    }

    /// Changes bits within a run of at most 32: CRC32C notices every such change.
    fn spoil(&mut self, bytes: &mut [u8]) {
        let at = self.random.below(bytes.len() as u64 - 3) as usize;
        let change = (self.random.next() as u32 | 1).to_be_bytes();
        bytes[at..at + 4].iter_mut().zip(change).for_each(|(byte, change)| *byte ^= change);
    }

    /// The next PDU, whole.
    async fn read(&mut self) -> std::io::Result<Pdu> {
        let mut bytes = vec![0; 48];
        self.from.read_exact(&mut bytes).await?;
        let login = matches!(bytes[0] & 0x3F, 0x03 | 0x23);
        let digest = if self.digests && !login { 4 } else { 0 };
        let segment = u32::from_be_bytes([0, bytes[5], bytes[6], bytes[7]]) as usize;
        let data = 48 + usize::from(bytes[4]) * 4 + digest;
        let end = data + if segment > 0 { segment.next_multiple_of(4) + digest } else { 0 };
        bytes.resize(end, 0);
        self.from.read_exact(&mut bytes[48..]).await?;
        Ok(Pdu { bytes, data, login })
    }
}
