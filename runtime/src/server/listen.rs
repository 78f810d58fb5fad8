//! Accepting connections.

use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::hub::{Alive, Hub};
use super::job::Kind;
use super::timeout::{unless, within};
use crate::{Listener, Runtime, seed};

/// Pause after an accept that failed for want of file descriptors or memory: trying at once would only burn the CPU.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are accepted before all else gets its turn.
///
/// While more keep coming, accepting them never has to wait, and on a runtime that does not interrupt its tasks nothing else
/// would happen. And those that have come must be looked at before the next do: a peer that has gone again counts as logging
/// in until its end is read, and a crowd of such takes the place of a login that is meant.
const BATCH: usize = 16;

/// Binds `count` sockets to one address, one a shard; the kernel spreads connections over them. Port 0 lets the system
/// choose; all get the same port.
///
/// SO_REUSEADDR lets a server start again at once on the port that it had. Several sockets need SO_REUSEPORT, which
/// would also let another server of the same user have the port: one without it asks for the address first, and is
/// refused when somebody else has it.
fn bind(address: SocketAddr, count: usize) -> std::io::Result<Vec<TcpListener>> {
    let probe = bind_one(address, false)?;
    if count == 1 {
        return Ok(vec![probe]);
    }
    let address = probe.local_addr()?;
    drop(probe);
    (0..count).map(|_| bind_one(address, true)).collect()
}

/// The same, and again for a while when the address is in use: after a server with io_uring was killed, its sockets live on until
/// the kernel has taken its rings apart, and one that is started in its place at once must not fail of that.
pub(super) async fn bind_patiently(address: SocketAddr, count: usize) -> std::io::Result<Vec<TcpListener>> {
    for _ in 0..TRIES {
        match bind(address, count) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                blocking::unblock(|| std::thread::sleep(BETWEEN_TRIES)).await;
            }
            bound => return bound,
        }
    }
    bind(address, count)
}

/// How often, and at what pauses, an address is asked for that is in use.
const TRIES: u32 = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

fn bind_one(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuse_port(shared)?;
    #[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos")))))]
    let _ = shared;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Accepts until the server stops.
pub(super) async fn run<R: Runtime>(hub: Arc<Hub<R>>, socket: TcpListener, alive: Alive) {
    let listener = match R::Listener::new(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a shard cannot listen"),
    };
    unless(hub.stopped(), async {
        for count in (1..=BATCH).cycle() {
            if count == BATCH {
                turn().await;
            }
            match listener.accept().await {
                Ok(stream) => match seed() {
                    Ok(seed) => {
                        let (hub, alive) = (Arc::clone(&hub), alive.another());
                        let connection = Kind::Connection { hub: Arc::clone(&hub), stream, seed, alive };
                        hub.spawn(connection);
                    }
                    Err(error) => tracing::warn!(%error, "connection dropped"),
                },
                // That connection is gone; the next one is not.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    within::<R, ()>(PAUSE, std::future::pending()).await;
                }
            }
        }
    })
    .await
    .unwrap_or(())
}

/// Lets whatever is ready have the thread, and the runtime look for what has happened.
async fn turn() {
    let mut had = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut had, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
