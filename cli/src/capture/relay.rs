//! A relay between initiators and a target that records what it passes on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::tcp::{Connection, End, From};

/// Frames on their way to the file.
pub(crate) type Frames = mpsc::Sender<Vec<Frame>>;

/// One frame and when it was seen, since the beginning of 1970.
pub(crate) struct Frame {
    pub(crate) time: Duration,
    pub(crate) bytes: Vec<u8>,
}

/// What has passed.
#[derive(Default, Debug)]
pub(crate) struct Passed {
    pub(crate) connections: AtomicU64,
    /// Connections that have not ended.
    pub(crate) open: AtomicU64,
    pub(crate) from_initiator: AtomicU64,
    pub(crate) from_target: AtomicU64,
}

/// Bytes that are read at a time.
const READ: usize = 256 * 1024;

/// What the connections of a relay share.
#[derive(Clone)]
pub(crate) struct Relay {
    /// Where to, `host:port`.
    pub(crate) target: String,
    /// The port to write in place of the target's.
    pub(crate) port: Option<u16>,
    pub(crate) frames: Frames,
    pub(crate) passed: Arc<Passed>,
}

impl Relay {
    /// Passes connections of `listener` on until it is dropped. What could not be done is told to `complain`.
    pub(crate) async fn run(self, listener: TcpListener, complain: impl Fn(String)) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        self.passed.connections.fetch_add(1, Ordering::Relaxed);
                        self.passed.open.fetch_add(1, Ordering::Relaxed);
                        connections.spawn(self.clone().connect(stream, peer));
                    }
                    // Out of file descriptors, most likely: a pause lets connections end.
                    Err(error) => {
                        complain(format!("cannot take a connection: {error}"));
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(done) = connections.join_next() => {
                    self.passed.open.fetch_sub(1, Ordering::Relaxed);
                    if let Ok(Err(problem)) = done {
                        complain(problem);
                    }
                }
            }
        }
    }

    async fn connect(self, initiator: TcpStream, peer: SocketAddr) -> Result<(), String> {
        let target = &self.target;
        let upstream =
            TcpStream::connect(target).await.map_err(|e| format!("cannot connect to {target}: {e}"))?;
        let lost = |error| format!("the connection to {target} was lost: {error}");
        let mut address = upstream.peer_addr().map_err(lost)?;
        address.set_port(self.port.unwrap_or(address.port()));
        let _ = initiator.set_nodelay(true);
        let _ = upstream.set_nodelay(true);
        let (connection, handshake) = Connection::open(peer, address);
        let recorder = Recorder { connection: Mutex::new(connection), frames: self.frames };
        recorder.send(handshake).await;
        let (from_initiator, to_initiator) = initiator.into_split();
        let (from_target, to_target) = upstream.into_split();
        tokio::join!(
            pass(&recorder, From::Initiator, from_initiator, to_target, &self.passed.from_initiator),
            pass(&recorder, From::Target, from_target, to_initiator, &self.passed.from_target),
        );
        Ok(())
    }
}

/// Passes one direction on to its end.
async fn pass(
    recorder: &Recorder,
    from: From,
    mut source: OwnedReadHalf,
    mut sink: OwnedWriteHalf,
    count: &AtomicU64,
) {
    let mut buffer = vec![0; READ];
    let how = loop {
        match source.read(&mut buffer).await {
            Ok(0) => break End::Fin,
            Ok(len) => {
                count.fetch_add(len as u64, Ordering::Relaxed);
                // Before it is passed on, so that no answer stands before its question.
                recorder.data(from, &buffer[..len]).await;
                if sink.write_all(&buffer[..len]).await.is_err() {
                    break End::Reset;
                }
            }
            Err(_) => break End::Reset,
        }
    };
    recorder.close(from, how).await;
    let _ = sink.shutdown().await;
}

struct Recorder {
    connection: Mutex<Connection>,
    frames: Frames,
}

impl Recorder {
    async fn data(&self, from: From, payload: &[u8]) {
        // Held until the frames are handed over: their order is that of their numbers.
        let mut connection = self.connection.lock().await;
        let frames = connection.data(from, payload);
        self.send(frames).await;
    }

    async fn close(&self, from: From, how: End) {
        let mut connection = self.connection.lock().await;
        let frame = connection.close(from, how);
        self.send(vec![frame]).await;
    }

    async fn send(&self, frames: Vec<Vec<u8>>) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let frames = frames.into_iter().map(|bytes| Frame { time, bytes }).collect();
        // Without a file there is nothing to record, and whoever writes it tells why.
        let _ = self.frames.send(frames).await;
    }
}
