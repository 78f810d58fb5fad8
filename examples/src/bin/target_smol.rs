//! An iSCSI target on smol: `target_smol [--listen ADDRESS:PORT] [--disk FILE:SIZE]`.
//!
//! One thread runs a task for each connection, so the core needs no lock: it is a [`Host`] in a [`RefCell`]. Blocking
//! file I/O goes to smol's pool of threads, and many commands of a connection are in the works at the same time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use iscsicore::Limits;
use iscsicore::link::{Receiver, Transmitter, Want};
use iscsicore::simple::{Host, Job, LinkId};
use iscsicore_examples::options::Options;
use iscsicore_examples::storage::Storage;
use iscsicore_examples::{TARGET, now, seed};
use smol::channel::{self, Receiver as Wakes, Sender as Waker};
use smol::future::{self, FutureExt};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, Timer};

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Rc::new(LocalExecutor::new());
    smol::block_on(executor.run(listen(&executor)))
}

async fn listen(executor: &Rc<LocalExecutor<'static>>) -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let host = RefCell::new(options.host(address)?);
    let storage = Arc::new(options.storage);
    let server = Rc::new(Server { host, storage, wakers: RefCell::default(), executor: executor.clone() });
    println!("iscsi://{address}/{TARGET}/0");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let server = server.clone();
                let serve = async move {
                    match server.serve(stream).await {
                        Ok(()) => eprintln!("{peer}: closed"),
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                };
                executor.spawn(serve).detach();
                // While more keep coming, accepting them never waits: what has come gets its turn between.
                smol::future::yield_now().await;
            }
            Err(error) => {
                // Out of file descriptors, say: to try again at once would not help.
                eprintln!("cannot take a connection: {error}");
                Timer::after(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What all tasks share. A borrow of the host never lasts over an `await`.
struct Server {
    host: RefCell<Host>,
    storage: Arc<Storage>,
    /// How to wake the task of a connection.
    wakers: RefCell<BTreeMap<LinkId, Waker<()>>>,
    executor: Rc<LocalExecutor<'static>>,
}

impl Server {
    /// Serves a connection from its start to its end.
    async fn serve(self: Rc<Self>, stream: TcpStream) -> Result<(), Box<dyn Error>> {
        // Answers are gathered before they are written, so there is nothing to wait for.
        stream.set_nodelay(true)?;
        let (local, seed) = (stream.local_addr()?, seed()?);
        // The host counts connections that have not logged in, and takes only so many.
        let link = self.host.borrow_mut().connect(now(), local, seed).map_err(|refusal| refusal.why)?;
        let (waker, wakes) = channel::bounded(1);
        self.wakers.borrow_mut().insert(link, waker);
        let result = self.clone().run(link, stream.clone(), wakes).await;
        self.wakers.borrow_mut().remove(&link);
        self.host.borrow_mut().lost(now(), link);
        self.after_a_call();
        close(stream).await;
        result
    }

    /// The loop of a connection. This is how the core is driven: hand it what has arrived and the time, take what it
    /// wants to send, do the jobs that it has. None of this has to be in a certain order.
    async fn run(
        self: Rc<Self>,
        link: LinkId,
        stream: TcpStream,
        wakes: Wakes<()>,
    ) -> Result<(), Box<dyn Error>> {
        let (mut input, mut output) = (stream.clone(), stream);
        let (mut rx, mut tx) = (Receiver::new(&Limits::default()), Transmitter::new());
        loop {
            let (received, closing) = {
                let mut host = self.host.borrow_mut();
                host.handle_timeout(now());
                // Where the transmitter was emptied there is room: the core may have waited for it.
                host.transmit(now(), link, &mut tx);
                let received = host.receive(now(), link, &mut rx);
                host.transmit(now(), link, &mut tx);
                (received, host.is_closing(link))
            };
            self.after_a_call();
            if closing || received.is_err() {
                // When the peer has made a mistake, this tells it which.
                flush(&mut output, &mut tx).or(patience()).await?;
                return Ok(received?);
            }

            // Whichever happens first. Each of these can be dropped without losing anything.
            let deadline = self.host.borrow().poll_timeout();
            let happened = write(&mut output, &mut tx).or(read(&mut input, &mut rx));
            let happened = happened.or(async { Ok(wakes.recv().await.is_ok()) });
            let happened = happened.or(async {
                match deadline {
                    Some(deadline) => drop(Timer::after(deadline.saturating_since(now())).await),
                    None => future::pending().await,
                }
                Ok(true)
            });
            if !happened.await? {
                return Ok(());
            }
        }
    }

    /// What is due after a call on the host: start the jobs that it has, and wake the connections that it names.
    fn after_a_call(self: &Rc<Self>) {
        while let Some(job) = self.poll_job() {
            let server = self.clone();
            let work = async move {
                let Job { op, receipt, .. } = job;
                let storage = server.storage.clone();
                let outcome = smol::unblock(move || storage.carry_out(op)).await;
                server.host.borrow_mut().finish(now(), receipt, outcome);
                server.after_a_call();
            };
            self.executor.spawn(work).detach();
        }
        while let Some(link) = self.poll_wake() {
            if let Some(waker) = self.wakers.borrow().get(&link) {
                // A full channel means that the task will wake anyway.
                let _ = waker.try_send(());
            }
        }
    }

    fn poll_job(&self) -> Option<Job> {
        self.host.borrow_mut().poll_job()
    }

    fn poll_wake(&self) -> Option<LinkId> {
        self.host.borrow_mut().poll_wake()
    }
}

/// Reads once. Returns whether the peer may send more.
async fn read(stream: &mut TcpStream, rx: &mut Receiver) -> io::Result<bool> {
    // The receiver has a place for bytes unless the core has PDUs to take first, which it does when there is room:
    // after a write, or when it wakes us.
    let Want::Read { staging, .. } = rx.want() else { return future::pending().await };
    let len = stream.read(staging).await?;
    if len > 0 {
        rx.advance(&[], len).map_err(io::Error::other)?;
    }
    Ok(len > 0)
}

/// Writes once: headers and payload go to the system from where they lie.
async fn write(stream: &mut TcpStream, tx: &mut Transmitter) -> io::Result<bool> {
    if !tx.has_remaining() {
        return future::pending().await;
    }
    let mut slices = [IoSlice::new(&[]); 64];
    let count = tx.chunks_vectored(&mut slices);
    match stream.write_vectored(&slices[..count]).await? {
        0 => Err(ErrorKind::WriteZero.into()),
        len => {
            tx.advance(len);
            Ok(true)
        }
    }
}

/// Writes all that there is.
async fn flush(stream: &mut TcpStream, tx: &mut Transmitter) -> io::Result<()> {
    while tx.has_remaining() {
        write(stream, tx).await?;
    }
    Ok(())
}

/// Ends the stream, and takes what the peer still sends for a moment: to close a socket with bytes unread resets the
/// connection, and the peer might lose our last answer.
async fn close(mut stream: TcpStream) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let drain = async {
        while stream.read(&mut [0; 4096]).await? > 0 {}
        Ok(())
    };
    let _ = drain.or(patience()).await;
}

/// How long a peer that is to go may take.
async fn patience() -> io::Result<()> {
    Timer::after(Duration::from_secs(1)).await;
    Err(ErrorKind::TimedOut.into())
}
