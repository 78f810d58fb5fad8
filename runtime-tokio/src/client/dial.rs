//! From `host:port` to a connection, over whichever of its addresses answers first (RFC 8305).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;

/// A connection under way. What went wrong comes in words for people.
pub(super) type Dial = Pin<Box<dyn Future<Output = Result<TcpStream, String>> + Send>>;

/// Time that one address has before the next is tried beside it (RFC 8305 section 8).
const HEAD_START: Duration = Duration::from_millis(250);

/// Begins to connect.
pub(super) fn dial(address: String) -> Dial {
    Box::pin(async move {
        let found = resolve(&address).await?;
        let stream = race(interleave(found), TcpStream::connect).await?;
        // Commands are small and somebody waits for each; an error here would come again with the first write.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    })
}

/// All addresses of `host:port`, an IPv6 address in brackets.
async fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = address.rsplit_once(':').ok_or("the address has no port")?;
    let port: u16 = port.parse().map_err(|_| format!("the port {port:?} is none"))?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<_> = found.map_err(|e| format!("the name {host} cannot be resolved: {e}"))?.collect();
    if found.is_empty() { Err(format!("the name {host} has no address")) } else { Ok(found) }
}

/// Puts the families in turns, that of the first address first: when one of them leads nowhere, the other is near.
fn interleave(found: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut out = VecDeque::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => return out,
            (a, b) => out.extend(a.into_iter().chain(b)),
        }
    }
}

/// Tries one address after another, each with a head start, and takes the first that succeeds. One that fails makes
/// way at once.
async fn race<T, F: Future<Output = io::Result<T>>>(
    mut addresses: VecDeque<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, String> {
    let several = addresses.len() > 1;
    let mut attempts = FuturesUnordered::new();
    let mut failures: Vec<String> = Vec::new();
    loop {
        if let Some(address) = addresses.pop_front() {
            let attempt = connect(address);
            attempts.push(async move { (address, attempt.await) });
        } else if attempts.is_empty() {
            return Err(failures.join(", "));
        }
        let pause = tokio::time::sleep(HEAD_START);
        tokio::select! {
            ended = attempts.next(), if !attempts.is_empty() => match ended {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((address, Err(error))) => {
                    failures.push(if several { format!("{address}: {error}") } else { error.to_string() });
                }
                None => {}
            },
            () = pause, if !addresses.is_empty() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"].map(at).to_vec();
        assert_eq!(interleave(found), ["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"].map(at));
        assert!(interleave(Vec::new()).is_empty());
    }

    // Goal: an address that swallows everything costs its head start, one that refuses costs nothing. Method: paused time.
    #[tokio::test(start_paused = true)]
    async fn dead_addresses_do_not_hold_up_the_living() {
        let addresses = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"].map(at);
        let began = tokio::time::Instant::now();
        let connect = async |address: SocketAddr| match address.ip().to_string().as_str() {
            "192.0.2.1" => std::future::pending().await,
            "192.0.2.2" => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(address),
        };
        let connected = race(addresses.into(), connect).await;
        assert_eq!(connected, Ok(addresses[2]));
        assert_eq!(began.elapsed(), HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_each_is_told() {
        let connect = async |_| -> io::Result<()> { Err(io::ErrorKind::ConnectionRefused.into()) };
        let error = race(["1.0.0.1:1", "[::1]:2"].map(at).into(), connect).await.unwrap_err();
        assert_eq!(error, "1.0.0.1:1: connection refused, [::1]:2: connection refused");
        let error = race([at("1.0.0.1:1")].into(), connect).await.unwrap_err();
        assert_eq!(error, "connection refused");
    }

    #[tokio::test]
    async fn addresses_are_resolved_with_and_without_brackets() {
        assert_eq!(resolve("[::1]:3260").await, Ok(vec![at("[::1]:3260")]));
        assert_eq!(resolve("127.0.0.1:1").await, Ok(vec![at("127.0.0.1:1")]));
        assert!(resolve("127.0.0.1:x").await.unwrap_err().contains("port"));
        assert!(resolve("no port").await.is_err());
    }
}
