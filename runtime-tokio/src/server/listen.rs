//! Accepting connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::hub::Hub;
use super::login;
use crate::seed::seed;

/// Pause after an accept that failed for want of file descriptors or memory: trying at once would only burn the CPU.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds a listener. SO_REUSEADDR lets a server start again at once on the port that it had.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the server stops, then waits for the connections that were accepted.
pub(super) async fn run(hub: Arc<Hub>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(hub.stopped());
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match prepare(&stream).and_then(|()| seed()) {
                    Ok(seed) => {
                        connections.spawn(login::run(hub.clone(), stream, peer, seed));
                    }
                    Err(error) => tracing::warn!(%peer, %error, "connection dropped"),
                },
                // That connection is gone; the next one is not.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// No delay: answers are gathered before they are written. Keep-alive finds peers whose host has gone.
fn prepare(stream: &tokio::net::TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_interval(Duration::from_secs(20)).with_retries(3);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
