//! The loop. See [`super`].

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use bytes::Buf as _;
use clap::Parser;
use iscsicore::disk::{BlockSize, LogicalUnit, Provisioning, UnitConfig};
use iscsicore::link::{BufferPool, Receiver, Transmitter, Want};
use iscsicore::node::{
    IscsiName, Node, NodeConfig, NodeLimits, PortalGroup, TargetConfig, UnitAccess, UnitId,
};
use iscsicore::simple::{Host, LinkId};
use iscsicore::{Instant, Limits};
use rustix::event::{Timespec, epoll};

use super::memory::Disk;

/// A target on epoll with a disk in memory, to compare the target in C with
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0: one that the system chooses
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The name of the target
    #[arg(long, default_value = "iqn.2026-01.dev.iscsicore:example-rust")]
    target: String,
    /// The disk: memory:BYTES
    #[arg(long, value_parser = disk_size, default_value = "memory:67108864")]
    disk: u64,
}

fn disk_size(words: &str) -> Result<u64, String> {
    let size = words.strip_prefix("memory:").and_then(|size| size.parse().ok());
    size.filter(|size| *size >= 4096 && size % 512 == 0).ok_or_else(|| "memory:BYTES, in whole blocks".into())
}

/// What epoll tells for the listener; links are never 0.
const LISTENER: u64 = 0;

struct Connection {
    stream: TcpStream,
    interest: epoll::EventFlags,
    /// The socket takes no more for now.
    blocked: bool,
    /// Nothing more is to be said: what there is to write goes out, then it is closed.
    leaving: bool,
    rx: Receiver,
    tx: Transmitter,
}

struct Server {
    inner: Inner,
    listener: TcpListener,
    connections: BTreeMap<LinkId, Connection>,
}

/// What all connections share.
struct Inner {
    host: Host,
    pool: BufferPool,
    disk: Disk,
    epoll: rustix::fd::OwnedFd,
}

fn now() -> Instant {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// How the turn of a connection ended.
#[derive(PartialEq, Eq)]
enum After {
    GoOn,
    Close,
}

impl Server {
    fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut target = TargetConfig::new(IscsiName::parse(&options.target)?);
        target.groups.push(PortalGroup::new(1, [address]));
        target.luns.insert(0, UnitId(0), UnitAccess::ReadWrite)?;
        let mut config = NodeConfig::default();
        config.targets.push(target);
        let mut unit = UnitConfig::new("rust-0", BlockSize::B512, options.disk / 512);
        unit.provisioning = Provisioning::Thin;
        let units = vec![LogicalUnit::new(unit)];
        let limits = Limits::default();
        let pool = BufferPool::new(limits.read_buffer, 16);
        let host = Host::new(Node::new(config)?, units, limits, NodeLimits::default());
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        println!("iscsi://{address}/{}/0", options.target);
        let disk = Disk::new(options.disk)?;
        Ok(Server { inner: Inner { host, pool, disk, epoll }, listener, connections: BTreeMap::new() })
    }

    /// Does something with a connection, and ends it where that leads to its end.
    fn with(
        &mut self,
        link: LinkId,
        act: impl FnOnce(&mut Inner, LinkId, &mut Connection) -> io::Result<After>,
    ) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let ended = match act(&mut self.inner, link, connection) {
            Ok(After::GoOn) => return,
            Ok(After::Close) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            eprintln!("{error}");
        }
        self.inner.host.lost(now(), link);
        self.connections.remove(&link);
    }

    /// Does jobs, and turns the connections for which something happened that they did not bring about.
    fn settle(&mut self) {
        loop {
            self.inner.do_jobs();
            let Some(link) = self.inner.host.poll_wake() else { return };
            self.with(link, Inner::turn);
        }
    }

    fn accept_all(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let mut seed = [0; 32];
            std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
            let Ok(link) = self.inner.host.connect(now(), stream.local_addr()?, seed) else { continue };
            let interest = epoll::EventFlags::IN;
            epoll::add(&self.inner.epoll, &stream, epoll::EventData::new_u64(link.to_bits()), interest)?;
            let (rx, tx) = (Receiver::new(&Limits::default()), Transmitter::new());
            let connection = Connection { stream, interest, blocked: false, leaving: false, rx, tx };
            self.connections.insert(link, connection);
        }
    }

    /// What is due after events, or because of the time. Tells for how long to wait.
    fn catch_up(&mut self) -> Option<Timespec> {
        let present = now();
        if self.inner.host.poll_timeout().is_some_and(|at| at <= present) {
            self.inner.host.handle_timeout(present);
        }
        self.settle();
        let left = self.inner.host.poll_timeout()?.as_nanos().saturating_sub(now().as_nanos());
        Some(Timespec { tv_sec: (left / 1_000_000_000) as i64, tv_nsec: (left % 1_000_000_000) as i64 })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        loop {
            let wait = self.catch_up();
            events.clear();
            match epoll::wait(&self.inner.epoll, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for epoll::Event { data, flags } in events.drain(..) {
                match data.u64() {
                    LISTENER => self.accept_all()?,
                    link => self.with(LinkId::from_bits(link), |inner, link, connection| {
                        inner.serve(link, connection, flags)
                    }),
                }
            }
        }
    }
}

impl Inner {
    /// Does the jobs that there are. To finish one may bring about the next.
    fn do_jobs(&mut self) {
        while let Some(job) = self.host.poll_job() {
            let outcome = self.disk.carry_out(&job.op);
            self.host.finish(now(), job.receipt, outcome);
        }
    }

    fn look_for(&self, link: LinkId, connection: &mut Connection, interest: epoll::EventFlags) {
        let data = epoll::EventData::new_u64(link.to_bits());
        if connection.interest != interest
            && epoll::modify(&self.epoll, &connection.stream, data, interest).is_ok()
        {
            connection.interest = interest;
        }
    }

    /// One turn of a connection: the host takes what has arrived, and what it has to say is written.
    fn turn(&mut self, link: LinkId, connection: &mut Connection) -> io::Result<After> {
        let received = loop {
            let received = self.host.receive(now(), link, &mut connection.rx);
            if let Err(error) = &received {
                eprintln!("{error}");
            }
            self.do_jobs();
            self.host.transmit(now(), link, &mut connection.tx);
            let room = connection.write_some()? && !connection.blocked;
            if !room || received.is_err() || connection.leaving {
                break received;
            }
        };
        self.pool.take_back(&mut connection.rx);
        connection.leaving |= received.is_err() || self.host.is_closing(link);
        if connection.leaving {
            self.host.transmit(now(), link, &mut connection.tx);
            connection.write_some()?;
        }
        if connection.leaving && !connection.blocked {
            return Ok(After::Close);
        }
        let out = if connection.blocked { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
        self.look_for(link, connection, epoll::EventFlags::IN | out);
        Ok(After::GoOn)
    }

    fn serve(
        &mut self,
        link: LinkId,
        connection: &mut Connection,
        flags: epoll::EventFlags,
    ) -> io::Result<After> {
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            self.pool.lend(&mut connection.rx);
            if !connection.read_some()? && !flags.contains(epoll::EventFlags::OUT) {
                // The host is to make room first: the next turn looks again.
                self.look_for(link, connection, epoll::EventFlags::OUT);
                return Ok(After::GoOn);
            }
        }
        self.turn(link, connection)
    }
}

impl Connection {
    /// Writes what there is, until nothing is left or the socket takes no more. Tells whether anything was written.
    fn write_some(&mut self) -> io::Result<bool> {
        self.blocked = false;
        let mut wrote = false;
        loop {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.tx.chunks_vectored(&mut slices);
            if count == 0 {
                return Ok(wrote);
            }
            match self.stream.write_vectored(&slices[..count]) {
                Ok(written) => {
                    self.tx.advance(written);
                    wrote = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(wrote);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes what has arrived. Tells whether the receiver took anything.
    fn read_some(&mut self) -> io::Result<bool> {
        let Want::Read { staging, .. } = self.rx.want() else { return Ok(false) };
        match self.stream.read(staging) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed")),
            Ok(len) => self.rx.advance(&[], len).map(|()| true).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    Server::new(&Options::parse())?.run()?;
    Ok(())
}
