//! An iSCSI initiator on smol: `initiator_smol HOST:PORT TARGET LUN MIB` fills the first MiB of a logical unit, whose
//! data are lost, and reads them back, with many commands under way at the same time.
//!
//! One thread: tasks that submit commands and wait for their outcomes, and one that drives the connection. What they share
//! is a [`Nexus`] in a [`RefCell`]. A connection that is lost is dialed again, and commands that had no answer are
//! sent again, without a line about it here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, ErrorKind, IoSlice};
use std::process::ExitCode;
use std::rc::Rc;

use bytes::Buf;
use iscsicore::initiator::{Answer, Command, Event, FlushCoverage, Outcome, commands};
use iscsicore::link::{Receiver, TaskId, Transmitter, Want};
use iscsicore::nexus::{Nexus, NexusConfig, NexusEnd, NexusEvent};
use iscsicore::scsi::Capacity;
use iscsicore::{Limits, TransportError};
use iscsicore_examples::initiator::{Aim, pattern, report, success};
use iscsicore_examples::{now, seed};
use smol::channel::{self, Receiver as Wakes, Sender};
use smol::future::{self, Boxed, FutureExt};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use smol::{LocalExecutor, Timer};

const USAGE: &str = "initiator_smol HOST:PORT TARGET LUN MIB (its data are lost!)";

/// Bytes in one command.
const CHUNK: usize = 64 * 1024;

/// Commands under way at the same time.
const DEPTH: u64 = 16;

fn main() -> ExitCode {
    let Err(why) = run() else { return ExitCode::SUCCESS };
    eprintln!("{why}");
    ExitCode::FAILURE
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let aim = Aim::from_args(&mut args, USAGE)?;
    let mib: u64 = args.next().ok_or(USAGE)?.parse().map_err(|why| format!("MIB: {why}"))?;
    let executor = Rc::new(LocalExecutor::new());
    let (wake, wakes) = channel::bounded(1);
    let client = Rc::new(Client::new(aim.config()?, wake)?);
    let driver = executor.spawn(drive(client.clone(), wakes));
    smol::block_on(executor.run(async {
        // Whatever fails for a command, how the nexus ended tells more.
        let result = work(&executor, &client, &aim, mib << 20).await;
        client.log_out();
        match driver.await {
            NexusEnd::Failed(why) => Err(why.into()),
            NexusEnd::LoggedOut => result,
            other => result.and(Err(format!("the session has ended: {other:?}").into())),
        }
    }))
}

/// Writes, flushes, reads and compares.
async fn work(
    executor: &LocalExecutor<'static>,
    client: &Rc<Client>,
    aim: &Aim,
    len: u64,
) -> Result<(), Box<dyn Error>> {
    let lun = aim.lun;
    let answer = client.run(commands::read_capacity_16(lun)).await?;
    let capacity = Capacity::decode_16(&answer.data.to_bytes()).ok_or("READ CAPACITY(16): malformed")?;
    let block = capacity.block_size;
    if len / u64::from(block) > capacity.blocks {
        return Err(format!("the logical unit has {} blocks of {block} bytes", capacity.blocks).into());
    }
    each_chunk(executor, client, len, move |client, offset| async move {
        let data = pattern(offset, CHUNK, 0);
        client.run(commands::write(lun, offset / u64::from(block), data, block)?).await.map(drop)
    })
    .await?;
    // When the connection was lost meanwhile, the target may have forgotten what it had acknowledged before. The data are
    // read back in any case, so it is enough to say so.
    if client.run(commands::flush(lun)).await?.coverage != FlushCoverage::All {
        eprintln!("the connection was lost since the last flush");
    }
    each_chunk(executor, client, len, move |client, offset| async move {
        let read = commands::read(lun, offset / u64::from(block), CHUNK as u32 / block, block)?;
        match client.run(read).await?.data.to_bytes() == pattern(offset, CHUNK, 0) {
            true => Ok(()),
            false => Err(format!("the data at {offset} are not what was written").into()),
        }
    })
    .await?;
    println!("{len} bytes written, read and compared");
    Ok(())
}

/// Does something for every chunk, for several at a time.
async fn each_chunk<F, T>(
    executor: &LocalExecutor<'static>,
    client: &Rc<Client>,
    len: u64,
    work: F,
) -> Result<(), Box<dyn Error>>
where
    F: Fn(Rc<Client>, u64) -> T + Clone + 'static,
    T: Future<Output = Result<(), Box<dyn Error>>>,
{
    let workers: Vec<_> = (0..DEPTH)
        .map(|first| {
            let (client, work) = (client.clone(), work.clone());
            executor.spawn(async move {
                for chunk in (first..len / CHUNK as u64).step_by(DEPTH as usize) {
                    work(client.clone(), chunk * CHUNK as u64).await?;
                }
                Ok::<(), Box<dyn Error>>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await?;
    }
    Ok(())
}

/// What tasks share. A borrow never lasts over an `await`.
struct Client {
    nexus: RefCell<Nexus>,
    limits: Limits,
    /// Who waits for which command.
    waiting: RefCell<BTreeMap<TaskId, Sender<Outcome>>>,
    /// Wakes the driver.
    wake: Sender<()>,
}

impl Client {
    fn new(config: NexusConfig, wake: Sender<()>) -> io::Result<Self> {
        let limits = config.limits.clone();
        let nexus = RefCell::new(Nexus::new(config, seed()?, now()));
        Ok(Client { nexus, limits, waiting: RefCell::default(), wake })
    }

    /// Runs a command; whether there is a connection does not matter.
    async fn run(&self, command: Command) -> Result<Answer, Box<dyn Error>> {
        let name = command.name().into_owned();
        let (sender, receiver) = channel::bounded(1);
        let task = self.nexus.borrow_mut().submit(now(), command)?;
        self.waiting.borrow_mut().insert(task, sender);
        self.wake();
        success(&name, receiver.recv().await?)
    }

    fn log_out(&self) {
        self.nexus.borrow_mut().logout(now());
        self.wake();
    }

    fn wake(&self) {
        // A full channel means that the driver will wake anyway.
        let _ = self.wake.try_send(());
    }

    /// Tells the nexus what has arrived, and the time.
    fn call(&self, link: Option<&mut Link>) {
        let mut nexus = self.nexus.borrow_mut();
        nexus.handle_timeout(now());
        if let Some(link) = link {
            // Where the transmitter was emptied there is room: the core may have waited for it.
            nexus.transmit(now(), &mut link.tx);
            // What the target has done wrong comes as an event, too.
            let _ = nexus.receive(now(), &mut link.rx);
            nexus.transmit(now(), &mut link.tx);
        }
    }

    fn poll_event(&self) -> Option<NexusEvent> {
        self.nexus.borrow_mut().poll_event()
    }
}

/// What the nexus has of the outside.
#[derive(Default)]
struct Outside {
    dialing: Option<Boxed<io::Result<TcpStream>>>,
    link: Option<Link>,
}

/// A socket, and the halves of the core that belong to it.
struct Link {
    stream: TcpStream,
    rx: Receiver,
    tx: Transmitter,
}

/// What a wait has ended with.
enum Happened {
    Dialed(io::Result<TcpStream>),
    /// Bytes were read or written.
    Moved(Result<(), TransportError>),
    /// It is time, or somebody has called.
    Woken,
}

/// Drives the nexus to its end. This is how it is done: act on its events, take what it wants to send, hand it what has
/// arrived, tell it the time. None of this has to be in a certain order.
async fn drive(client: Rc<Client>, wakes: Wakes<()>) -> NexusEnd {
    let mut outside = Outside::default();
    loop {
        client.call(outside.link.as_mut());
        while let Some(event) = client.poll_event() {
            report(&event);
            match event {
                NexusEvent::Dial { address, .. } => {
                    outside.dialing = Some(TcpStream::connect(address).boxed());
                }
                NexusEvent::HangUp => outside = Outside::default(),
                NexusEvent::Session(Event::Completed { task, outcome }) => {
                    if let Some(waiting) = client.waiting.borrow_mut().remove(&task) {
                        // Nobody may wait any more.
                        let _ = waiting.try_send(outcome);
                    }
                }
                NexusEvent::Ended(end) => return end,
                _ => {}
            }
        }
        let deadline = client.nexus.borrow().poll_timeout();
        let woken = async {
            let _ = wakes.recv().await;
            Happened::Woken
        };
        let timer = async {
            match deadline {
                Some(at) => drop(Timer::after(at.saturating_since(now())).await),
                None => future::pending().await,
            }
            Happened::Woken
        };
        // Whichever happens first. Each of these can be dropped without losing anything.
        let happened = outside.wait().or(woken).or(timer).await;
        let mut nexus = client.nexus.borrow_mut();
        match happened {
            Happened::Woken | Happened::Moved(Ok(())) => {}
            Happened::Dialed(Ok(stream)) => {
                let (rx, tx) = (Receiver::new(&client.limits), Transmitter::new());
                outside.link = Some(Link { stream, rx, tx });
                nexus.connected(now());
            }
            Happened::Dialed(Err(why)) => nexus.dial_failed(now(), why.to_string()),
            Happened::Moved(Err(why)) => nexus.lost(now(), why),
        }
    }
}

impl Outside {
    async fn wait(&mut self) -> Happened {
        if let Some(dialing) = &mut self.dialing {
            let dialed = dialing.await;
            self.dialing = None;
            return Happened::Dialed(dialed);
        }
        let Some(Link { stream, rx, tx }) = &mut self.link else { return future::pending().await };
        let mut input = stream.clone();
        let moved = write(stream, tx).or(read(&mut input, rx)).await;
        Happened::Moved(moved.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => TransportError::Closed,
            _ => TransportError::Failed,
        }))
    }
}

/// Reads once.
async fn read(stream: &mut TcpStream, rx: &mut Receiver) -> io::Result<()> {
    // The receiver has a place for bytes unless the core has PDUs to take first, which it does when there is room:
    // after a write.
    let Want::Read { staging, .. } = rx.want() else { return future::pending().await };
    match stream.read(staging).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        len => rx.advance(&[], len).map_err(io::Error::other),
    }
}

/// Writes once: headers and payload go to the system from where they lie.
async fn write(stream: &mut TcpStream, tx: &mut Transmitter) -> io::Result<()> {
    if !tx.has_remaining() {
        return future::pending().await;
    }
    let mut slices = [IoSlice::new(&[]); 64];
    let count = tx.chunks_vectored(&mut slices);
    match stream.write_vectored(&slices[..count]).await? {
        0 => Err(ErrorKind::WriteZero.into()),
        len => {
            tx.advance(len);
            Ok(())
        }
    }
}
