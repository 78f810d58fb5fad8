//! The echo on glommio, whose sockets cannot write gathered: that is done on a second handle, and glommio only waits.

use std::io::{self, IoSlice, Write as _};
use std::net::TcpStream;

use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::{LocalExecutorBuilder, Placement};

use super::{Connections, Echo};

/// Memory for io_uring of each executor: glommio locks three times as much, and 8 MiB may be locked by default.
const IO_MEMORY: usize = 1 << 20;

pub(super) fn serve(connections: Connections, shards: u16) -> io::Result<u64> {
    let mut dealt: Vec<Connections> = (0..shards).map(|_| Vec::new()).collect();
    for (number, connection) in connections.into_iter().enumerate() {
        dealt[number % usize::from(shards)].push(connection);
    }
    let threads: Vec<_> = dealt
        .into_iter()
        .map(|share| {
            LocalExecutorBuilder::new(Placement::Unbound)
                .io_memory(IO_MEMORY)
                .spawn(move || shard(share))
                .map_err(other)
        })
        .collect::<io::Result<_>>()?;
    threads.into_iter().map(|thread| thread.join().map_err(other)?).sum()
}

async fn shard(connections: Connections) -> io::Result<u64> {
    let tasks: Vec<_> = connections.into_iter().map(|(s, echo)| glommio::spawn_local(run(s, echo))).collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await?;
    }
    Ok(sum)
}

async fn run(stream: TcpStream, mut echo: Echo) -> io::Result<u64> {
    stream.set_nonblocking(true)?;
    let mut direct = stream.try_clone()?;
    let mut waiting = glommio::net::TcpStream::from(socket2_of_glommio::Socket::from(stream));
    loop {
        let count = waiting.read(&mut echo.buffer).await?;
        if !echo.received(count)? {
            return Ok(echo.answered);
        }
        while !echo.outbox.is_empty() {
            match echo.write(|slices| direct.write_vectored(slices)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Sends one slice as soon as the socket takes something again.
                    let mut first = [IoSlice::new(&[]); 2];
                    echo.outbox.slices(&mut first, 1);
                    let written = waiting.write(&first[0]).await?;
                    echo.outbox.advance(written);
                }
                done => done?,
            }
        }
    }
}

/// glommio's errors as text: they cannot be sent to another thread.
fn other(error: glommio::GlommioError<()>) -> io::Error {
    io::Error::other(error.to_string())
}
