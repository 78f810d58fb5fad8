//! An iSCSI target on blocking threads: `target_std [--listen ADDRESS:PORT] [--disk FILE:SIZE]`.
//!
//! The core is a value that does no I/O, so the program decides where it lives: here it is a [`Host`] under one lock,
//! and each connection has a thread, which owns the socket and its two halves of the core, [`Receiver`] and
//! [`Transmitter`]. The lock is held while the core decides. Sockets and the disk are waited for without it.

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{iter, thread};

use bytes::Buf;
use iscsicore::Limits;
use iscsicore::link::{Receiver, Transmitter, Want};
use iscsicore::simple::{Host, Job, LinkId};
use iscsicore_examples::options::Options;
use iscsicore_examples::storage::Storage;
use iscsicore_examples::{TARGET, now, seed};

/// No read lasts longer: a thread that blocks in one cannot be told that there is something to do. Nearly always its
/// own connection gives it something to do. The exceptions are timers, and resets that come from other sessions.
const TICK: Duration = Duration::from_millis(100);

/// How long a peer may leave unread what is written to it.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    let listener = TcpListener::bind(options.listen)?;
    let address = listener.local_addr()?;
    let host = Mutex::new(options.host(address)?);
    let server = Arc::new(Server { host, storage: options.storage });
    println!("iscsi://{address}/{TARGET}/0");
    for stream in listener.incoming() {
        let server = server.clone();
        let started = stream.and_then(|stream| {
            let peer = stream.peer_addr()?;
            let name = peer.to_string();
            thread::Builder::new().name(name).spawn(move || match server.serve(stream) {
                Ok(()) => eprintln!("{peer}: closed"),
                Err(error) => eprintln!("{peer}: {error}"),
            })
        });
        if let Err(error) = started {
            // Out of file descriptors or threads, say: to try again at once would not help.
            eprintln!("cannot take a connection: {error}");
            thread::sleep(TICK);
        }
    }
    Ok(())
}

/// What all threads share.
struct Server {
    host: Mutex<Host>,
    storage: Storage,
}

impl Server {
    fn host(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a connection from its start to its end.
    fn serve(&self, stream: TcpStream) -> Result<(), Box<dyn Error>> {
        // Answers are gathered before they are written, so there is nothing to wait for.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (local, seed) = (stream.local_addr()?, seed()?);
        let mut wire = Wire { stream, rx: Receiver::new(&Limits::default()), tx: Transmitter::new() };
        // The host counts connections that have not logged in, and takes only so many.
        let link = self.host().connect(now(), local, seed).map_err(|refusal| refusal.why)?;
        let result = self.run(link, &mut wire);
        self.host().lost(now(), link);
        // The session may have lost more with its connection than this thread can see.
        self.work();
        wire.close();
        result
    }

    /// The loop of a connection. This is how the core is driven: hand it what has arrived and the time, take what it
    /// wants to send, do the jobs that it has. None of this has to be in a certain order.
    fn run(&self, link: LinkId, wire: &mut Wire) -> Result<(), Box<dyn Error>> {
        loop {
            let mut host = self.host();
            let received = host.receive(now(), link, &mut wire.rx);
            host.handle_timeout(now());
            host.transmit(now(), link, &mut wire.tx);
            let closing = host.is_closing(link);
            drop(host);

            // Whatever many commands have brought about leaves in few writes. When the peer has made a mistake, this
            // tells it which.
            let busy = wire.tx.has_remaining();
            wire.write()?;
            received?;
            if closing {
                return Ok(());
            }
            // Finished jobs and an empty transmitter make room in the core: look again before waiting for the peer.
            if !self.work() && !busy && !wire.read()? {
                return Ok(());
            }
        }
    }

    /// Does the jobs that there are, and blocks while the storage does. Returns whether there were any.
    fn work(&self) -> bool {
        let jobs: Vec<Job> = iter::from_fn({
            let mut host = self.host();
            move || host.poll_job()
        })
        .collect();
        let any = !jobs.is_empty();
        for Job { op, receipt, .. } in jobs {
            let outcome = self.storage.carry_out(op);
            self.host().finish(now(), receipt, outcome);
        }
        any
    }
}

/// A socket, and the halves of the core that belong to it. These know PDUs, and nothing of sessions.
struct Wire {
    stream: TcpStream,
    rx: Receiver,
    tx: Transmitter,
}

impl Wire {
    /// Reads once, for a [`TICK`] at most. Returns whether the peer may send more.
    fn read(&mut self) -> io::Result<bool> {
        // The receiver has a place for bytes unless the core has PDUs to take first.
        let Want::Read { staging, .. } = self.rx.want() else { return Ok(true) };
        match self.stream.read(staging) {
            Ok(0) => Ok(false),
            Ok(len) => self.rx.advance(&[], len).map(|()| true).map_err(io::Error::other),
            Err(error) if is_pause(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Writes all that there is: headers and payload go to the system from where they lie.
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

    /// Ends the stream, and takes what the peer still sends for a moment: to close a socket with bytes unread resets
    /// the connection, and the peer might lose our last answer.
    fn close(mut self) {
        let end = now() + PATIENCE / 10;
        let mut open = self.stream.shutdown(Shutdown::Write).is_ok();
        while open && now() < end {
            open = match self.stream.read(&mut [0; 4096]) {
                Ok(len) => len > 0,
                Err(error) => is_pause(&error),
            };
        }
    }
}

/// Whether a read ended because nothing came.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
