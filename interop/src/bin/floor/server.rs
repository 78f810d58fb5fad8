//! The echo, on a runtime each: what the socket has is read, and answered with one gathered write.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::message::{Header, Inbox, Outbox, Pattern};
use super::{Kind, Serve, cpu_time};

#[cfg(target_os = "linux")]
mod glommio;
mod tokio;

/// Bytes of the send buffer, before the kernel doubles them.
const LOCAL_SEND_BUFFER: usize = 512 << 10;

/// Slices handed to one gathered write.
const SLICES: usize = 128;

/// Serves as many connections as were asked for. Returns the requests answered, and the CPU time they took.
///
/// # Errors
/// The first connection that failed, or got what was not sent.
pub(crate) fn serve(options: &Serve) -> io::Result<(u64, Duration)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", json!({ "address": listener.local_addr()?.to_string() }));
    let mut connections = Vec::new();
    for _ in 0..options.connections {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        // As our server does for a peer on its machine.
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, LOCAL_SEND_BUFFER)?;
        connections.push((stream, Echo::new(options)));
    }
    let begun = cpu_time();
    let operations = match options.runtime {
        Kind::Std => on_threads(connections),
        Kind::Tokio => tokio::serve(connections, options.shards),
        #[cfg(target_os = "linux")]
        Kind::Glommio => glommio::serve(connections, options.shards.unwrap_or(1)),
        #[cfg(not(target_os = "linux"))]
        Kind::Glommio => Err(io::ErrorKind::Unsupported.into()),
    }?;
    Ok((operations, cpu_time().saturating_sub(begun)))
}

type Connections = Vec<(TcpStream, Echo)>;

/// One connection without its socket.
struct Echo {
    inbox: Inbox,
    outbox: Outbox,
    buffer: Vec<u8>,
    answered: u64,
}

impl Echo {
    fn new(options: &Serve) -> Self {
        let pattern: Arc<Pattern> = Pattern::new(options.data.size);
        Echo {
            inbox: Inbox::new(pattern.clone(), options.data.check),
            outbox: Outbox::new(pattern),
            buffer: vec![0; options.buffer as usize],
            answered: 0,
        }
    }

    /// Takes what was read into `buffer`. Returns whether there will be more.
    fn received(&mut self, count: usize) -> io::Result<bool> {
        if count == 0 {
            return if self.inbox.is_between() {
                Ok(false)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        let (outbox, answered) = (&mut self.outbox, &mut self.answered);
        self.inbox.take(&self.buffer[..count], |header| {
            if header.answer || header.number != *answered {
                return Err(io::Error::other(format!("{header:?} where request {answered} was due")));
            }
            *answered += 1;
            outbox.push(Header { answer: true, ..header });
            Ok(())
        })?;
        Ok(true)
    }

    /// One gathered write, by a call that takes slices.
    fn write(&mut self, write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.outbox.slices(&mut slices, usize::MAX);
        let written = write(&slices[..count])?;
        self.outbox.advance(written);
        Ok(())
    }
}

/// Blocking threads: what a runtime has to be measured by.
fn on_threads(connections: Connections) -> io::Result<u64> {
    let threads: Vec<_> = connections
        .into_iter()
        .map(|(mut stream, mut echo)| {
            thread::spawn(move || {
                loop {
                    let count = stream.read(&mut echo.buffer)?;
                    if !echo.received(count)? {
                        return io::Result::Ok(echo.answered);
                    }
                    while !echo.outbox.is_empty() {
                        echo.write(|slices| stream.write_vectored(slices))?;
                    }
                }
            })
        })
        .collect();
    threads.into_iter().map(|t| t.join().map_err(|_| io::Error::other("a thread panicked"))?).sum()
}
