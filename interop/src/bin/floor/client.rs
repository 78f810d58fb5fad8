//! The load: a thread for each connection, which keeps requests under way.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::message::{Header, Inbox, Outbox, Pattern};
use super::{Batching, Load, cpu_time};

/// Bytes read at once with [`Batching::Gathered`].
const BUFFER: usize = 256 << 10;

/// What came of it.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) operations: u64,
    pub(crate) time: Duration,
    pub(crate) cpu: Duration,
    /// Answers whose data was compared as a whole.
    pub(crate) checked: u64,
}

/// Loads the server.
///
/// # Errors
/// The first connection that failed, or got what was not sent.
pub(crate) fn load(options: &Load) -> io::Result<Loaded> {
    let streams: Vec<TcpStream> =
        (0..options.connections).map(|_| TcpStream::connect(options.address)).collect::<io::Result<_>>()?;
    let (begun, cpu) = (Instant::now(), cpu_time());
    let until = begun + Duration::from_secs_f64(options.seconds);
    let mut all = thread::scope(|scope| {
        let each: Vec<_> = streams
            .into_iter()
            .map(|stream| scope.spawn(move || Connection::new(stream, options)?.run(until)))
            .collect();
        each.into_iter().try_fold(Loaded::default(), |mut sum, thread| {
            let one = thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
            sum.operations += one.operations;
            sum.checked += one.checked;
            io::Result::Ok(sum)
        })
    })?;
    (all.time, all.cpu) = (begun.elapsed(), cpu_time().saturating_sub(cpu));
    Ok(all)
}

struct Connection<'a> {
    stream: TcpStream,
    options: &'a Load,
    inbox: Inbox,
    outbox: Outbox,
    buffer: Vec<u8>,
    sent: u64,
    answered: u64,
}

impl<'a> Connection<'a> {
    fn new(stream: TcpStream, options: &'a Load) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let pattern = Pattern::new(options.data.size);
        Ok(Connection {
            stream,
            options,
            inbox: Inbox::new(pattern.clone(), options.data.check),
            outbox: Outbox::new(pattern),
            buffer: vec![0; BUFFER],
            sent: 0,
            answered: 0,
        })
    }

    fn run(mut self, until: Instant) -> io::Result<Loaded> {
        loop {
            let go_on = Instant::now() < until;
            while go_on && self.sent - self.answered < u64::from(self.options.depth) {
                self.outbox.push(Header { write: self.options.write, answer: false, number: self.sent });
                self.sent += 1;
            }
            self.write()?;
            if self.sent == self.answered {
                let (operations, checked) = (self.answered, self.inbox.checked);
                return Ok(Loaded { operations, checked, ..Loaded::default() });
            }
            let mut wanted = PollFlags::IN;
            wanted.set(PollFlags::OUT, !self.outbox.is_empty());
            poll(&mut [PollFd::new(&self.stream, wanted)], None)?;
            self.read()?;
        }
    }

    /// Reads until the socket has no more for now.
    fn read(&mut self) -> io::Result<()> {
        loop {
            let room = match self.options.batching {
                Batching::Each => self.inbox.missing().min(BUFFER),
                Batching::Gathered => BUFFER,
            };
            let count = match self.stream.read(&mut self.buffer[..room]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let (sent, answered, write) = (self.sent, &mut self.answered, self.options.write);
            self.inbox.take(&self.buffer[..count], |header| {
                let wanted = Header { write, answer: true, number: *answered };
                if header != wanted || *answered == sent {
                    return Err(io::Error::other(format!("{header:?} where {wanted:?} was due")));
                }
                *answered += 1;
                Ok(())
            })?;
            if count < room || self.sent == self.answered {
                return Ok(());
            }
        }
    }

    /// Writes until nothing is left or the socket takes no more.
    fn write(&mut self) -> io::Result<()> {
        let messages = if self.options.batching == Batching::Each { 1 } else { usize::MAX };
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 128];
            let count = self.outbox.slices(&mut slices, messages);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(written) => self.outbox.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
