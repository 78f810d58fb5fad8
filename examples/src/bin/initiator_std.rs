//! An iSCSI initiator on a blocking socket: `initiator_std HOST:PORT TARGET LUN BLOCKS [FILE]` copies the first blocks of a
//! logical unit to a file, or to the standard output.
//!
//! The core does no I/O: a [`Nexus`] says when to dial and when to hang up, and takes and gives bytes. This program has
//! one thread, which waits for the socket and for the time in one call, a read with a time limit. A connection that is
//! lost is dialed again, and commands that had no answer are sent again, without a line about it here.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use bytes::Buf;
use iscsicore::initiator::{Command, Event, Outcome, commands};
use iscsicore::link::{Receiver, TaskId, Transmitter, Want};
use iscsicore::nexus::{Nexus, NexusConfig, NexusEnd, NexusEvent};
use iscsicore::scsi::Capacity;
use iscsicore::wire::Lun;
use iscsicore::{Limits, TransportError};
use iscsicore_examples::initiator::{Aim, report, success};
use iscsicore_examples::{now, seed};

const USAGE: &str = "initiator_std HOST:PORT TARGET LUN BLOCKS [FILE]";

/// How long one call to the system may wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Blocks in one command.
const CHUNK: u64 = 512;

/// Commands under way: while one of them is on its way, the target works on the next.
const DEPTH: usize = 4;

fn main() -> ExitCode {
    let Err(why) = run() else { return ExitCode::SUCCESS };
    eprintln!("{why}");
    ExitCode::FAILURE
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let aim = Aim::from_args(&mut args, USAGE)?;
    let blocks = args.next().ok_or(USAGE)?.parse().map_err(|why| format!("BLOCKS: {why}"))?;
    let mut output: Box<dyn Write> = match args.next() {
        Some(file) => Box::new(File::create(&file).map_err(|why| format!("{file}: {why}"))?),
        None => Box::new(io::stdout().lock()),
    };
    let mut client = Client::new(aim.config()?)?;
    let result = copy(&mut client, aim.lun, blocks, &mut output);
    // Whatever failed for a command, how the nexus ended tells more.
    client.log_out().and(result)
}

fn copy(client: &mut Client, lun: Lun, blocks: u64, output: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let task = client.submit(commands::read_capacity_16(lun))?;
    let capacity = success("READ CAPACITY(16)", client.wait(task)?)?;
    let capacity = Capacity::decode_16(&capacity.data.to_bytes()).ok_or("READ CAPACITY(16): malformed")?;
    if blocks > capacity.blocks {
        return Err(format!("the logical unit has {} blocks", capacity.blocks).into());
    }
    let mut chunks = (0..blocks).step_by(CHUNK as usize).map(|lba| (lba, CHUNK.min(blocks - lba) as u32));
    let mut under_way = VecDeque::new();
    loop {
        while under_way.len() < DEPTH
            && let Some((lba, blocks)) = chunks.next()
        {
            under_way.push_back(client.submit(commands::read(lun, lba, blocks, capacity.block_size)?)?);
        }
        // They may end in any order; they are written in theirs.
        let Some(task) = under_way.pop_front() else { break };
        let answer = success("READ", client.wait(task)?)?;
        answer.data.chunks().try_for_each(|chunk| output.write_all(chunk))?;
    }
    Ok(output.flush()?)
}

/// A nexus, and the connection that it has at present.
struct Client {
    nexus: Nexus,
    limits: Limits,
    link: Option<Link>,
    outcomes: BTreeMap<TaskId, Outcome>,
    end: Option<NexusEnd>,
}

impl Client {
    fn new(config: NexusConfig) -> io::Result<Self> {
        let limits = config.limits.clone();
        let nexus = Nexus::new(config, seed()?, now());
        Ok(Client { nexus, limits, link: None, outcomes: BTreeMap::new(), end: None })
    }

    /// Takes a command; whether there is a connection does not matter.
    fn submit(&mut self, command: Command) -> Result<TaskId, Box<dyn Error>> {
        Ok(self.nexus.submit(now(), command)?)
    }

    /// Turns the loop until a command has ended.
    fn wait(&mut self, task: TaskId) -> Result<Outcome, Box<dyn Error>> {
        loop {
            if let Some(outcome) = self.outcomes.remove(&task) {
                return Ok(outcome);
            }
            self.check()?;
            self.turn();
        }
    }

    fn log_out(&mut self) -> Result<(), Box<dyn Error>> {
        self.nexus.logout(now());
        while self.end.is_none() {
            self.turn();
        }
        self.check()
    }

    /// Whether the nexus is well, or has ended well.
    fn check(&self) -> Result<(), Box<dyn Error>> {
        match &self.end {
            None | Some(NexusEnd::LoggedOut) => Ok(()),
            Some(NexusEnd::Failed(why)) => Err(why.clone().into()),
            Some(other) => Err(format!("the session has ended: {other:?}").into()),
        }
    }

    /// This is how the core is driven: act on its events, take what it wants to send, hand it what has arrived, tell it
    /// the time. None of this has to be in a certain order.
    fn turn(&mut self) {
        if let Some(event) = self.nexus.poll_event() {
            // There may be more, and it may be what is waited for: nothing is to block now.
            return self.act(event);
        }
        let until = self.nexus.poll_timeout();
        let patience = until.map_or(PATIENCE, |until| until.saturating_since(now()).min(PATIENCE));
        match &mut self.link {
            Some(link) => {
                self.nexus.transmit(now(), &mut link.tx);
                match link.exchange(patience) {
                    // What the target has done wrong comes as an event, too.
                    Ok(()) => drop(self.nexus.receive(now(), &mut link.rx)),
                    Err(why) => self.nexus.lost(now(), why),
                }
            }
            None if self.end.is_none() => thread::sleep(patience),
            None => {}
        }
        self.nexus.handle_timeout(now());
    }

    fn act(&mut self, event: NexusEvent) {
        report(&event);
        match event {
            NexusEvent::Dial { address, .. } => match dial(&address) {
                Ok(stream) => {
                    let (rx, tx) = (Receiver::new(&self.limits), Transmitter::new());
                    self.link = Some(Link { stream, rx, tx });
                    self.nexus.connected(now());
                }
                Err(why) => self.nexus.dial_failed(now(), why.to_string()),
            },
            NexusEvent::HangUp => self.link = None,
            NexusEvent::Session(Event::Completed { task, outcome }) => {
                self.outcomes.insert(task, outcome);
            }
            NexusEvent::Ended(end) => self.end = Some(end),
            _ => {}
        }
    }
}

/// Tries the addresses of a host, one after the other.
fn dial(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                // What is sent together is gathered before, so there is nothing to wait for.
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(why) => failure = why,
        }
    }
    Err(failure)
}

/// A socket, and the halves of the core that belong to it.
struct Link {
    stream: TcpStream,
    rx: Receiver,
    tx: Transmitter,
}

impl Link {
    /// Writes what there is, or else reads once, for `patience` at most.
    fn exchange(&mut self, patience: Duration) -> Result<(), TransportError> {
        if self.tx.has_remaining() {
            // An empty transmitter may be filled again, so that is looked at before the target is waited for.
            return self.write().map_err(|_| TransportError::Failed);
        }
        // The receiver has a place for bytes unless it has PDUs that are to be taken first.
        let Want::Read { staging, .. } = self.rx.want() else { return Ok(()) };
        // A limit of zero would be none.
        let patience = patience.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(patience)).map_err(|_| TransportError::Failed)?;
        match self.stream.read(staging) {
            Ok(0) => Err(TransportError::Closed),
            Ok(len) => self.rx.advance(&[], len).map_err(|_| TransportError::Failed),
            Err(error) if is_pause(&error) => Ok(()),
            Err(_) => Err(TransportError::Failed),
        }
    }

    /// Headers and payload go to the system from where they lie.
    fn write(&mut self) -> io::Result<()> {
        while self.tx.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.tx.chunks_vectored(&mut slices);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.tx.advance(len),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether a read ended because nothing came.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
