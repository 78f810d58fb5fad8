//! The echo on tokio, with the runtime that `iscsicored` has.

use std::future::poll_fn;
use std::io;
use std::net::TcpStream;
use std::pin::Pin;

use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::runtime::Builder;

use super::{Connections, Echo};
use crate::server::SLICES;

pub(super) fn serve(connections: Connections, threads: Option<u16>) -> io::Result<u64> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads.into());
    }
    builder.enable_io().build()?.block_on(async {
        let tasks: Vec<_> = connections.into_iter().map(|(s, echo)| tokio::spawn(run(s, echo))).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.map_err(io::Error::other)??;
        }
        Ok(sum)
    })
}

async fn run(stream: TcpStream, mut echo: Echo) -> io::Result<u64> {
    stream.set_nonblocking(true)?;
    let mut stream = tokio::net::TcpStream::from_std(stream)?;
    loop {
        let count = stream.read(&mut echo.buffer).await?;
        if !echo.received(count)? {
            return Ok(echo.answered);
        }
        while !echo.outbox.is_empty() {
            let written = poll_fn(|cx| {
                let mut slices = [io::IoSlice::new(&[]); SLICES];
                let count = echo.outbox.slices(&mut slices, usize::MAX);
                Pin::new(&mut stream).poll_write_vectored(cx, &slices[..count])
            });
            let written = written.await?;
            echo.outbox.advance(written);
        }
    }
}
