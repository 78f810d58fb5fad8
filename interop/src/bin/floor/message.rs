//! Messages: 48 bytes that say what they are, and data that follows from the request's number.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Bytes of a header.
pub(crate) const HEADER: usize = 48;

const MAGIC: [u8; 4] = *b"echo";

/// Where the data of two numbers begins differs, and the step is not a power of two.
const STEPS: u64 = 509;

/// The beginning of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Whether the request is a write.
    pub(crate) write: bool,
    /// Whether this is an answer.
    pub(crate) answer: bool,
    /// Of the request, counted on its connection.
    pub(crate) number: u64,
}

impl Header {
    fn parse(bytes: &[u8; HEADER]) -> io::Result<Self> {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[8..16]);
        let header = Header {
            write: bytes[4] & 1 != 0,
            answer: bytes[4] & 2 != 0,
            number: u64::from_be_bytes(number),
        };
        if header.emit() == *bytes { Ok(header) } else { Err(wrong("a header", None)) }
    }

    fn emit(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = u8::from(self.write) | u8::from(self.answer) << 1;
        bytes[8..16].copy_from_slice(&self.number.to_be_bytes());
        // The number once more, so that shifted bytes are no header.
        bytes[40..].copy_from_slice(&(!self.number).to_be_bytes());
        bytes
    }

    /// Data goes one way: with a write's request, or with a read's answer.
    fn has_data(self) -> bool {
        self.write != self.answer
    }
}

fn wrong(what: &str, number: Option<u64>) -> io::Error {
    let of = number.map(|n| format!(" of request {n}")).unwrap_or_default();
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}{of} is not what was sent"))
}

/// The data of every request: a part of the same bytes, which begins elsewhere for each number.
#[derive(Debug)]
pub(crate) struct Pattern {
    bytes: Vec<u8>,
    size: usize,
}

impl Pattern {
    pub(crate) fn new(size: u32) -> Arc<Self> {
        let size = size as usize;
        let mut word = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::new();
        while bytes.len() < size + 8 * STEPS as usize {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        Arc::new(Pattern { bytes, size })
    }

    fn of(&self, number: u64) -> &[u8] {
        let from = (number % STEPS) as usize * 8;
        &self.bytes[from..from + self.size]
    }
}

/// What comes in, put together and checked.
pub(crate) struct Inbox {
    pattern: Arc<Pattern>,
    check: u64,
    header: [u8; HEADER],
    /// Bytes of `header` that are there.
    have: usize,
    /// The message whose data is coming, and how much of it is there.
    under_way: Option<(Header, usize)>,
    /// Messages whose data was compared as a whole.
    pub(crate) checked: u64,
}

impl Inbox {
    pub(crate) fn new(pattern: Arc<Pattern>, check: u64) -> Self {
        Inbox { pattern, check, header: [0; HEADER], have: 0, under_way: None, checked: 0 }
    }

    /// Bytes that are missing of the header or of the data, whichever is coming.
    pub(crate) fn missing(&self) -> usize {
        self.under_way.map_or(HEADER - self.have, |(_, have)| self.pattern.size - have)
    }

    /// Whether nothing of a message is there.
    pub(crate) fn is_between(&self) -> bool {
        self.have == 0 && self.under_way.is_none()
    }

    /// Takes bytes, and tells each message that is complete with them.
    ///
    /// # Errors
    /// Bytes that are not what was sent, and what `complete` complains about.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        mut complete: impl FnMut(Header) -> io::Result<()>,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(self.missing().min(bytes.len()));
            bytes = rest;
            if let Some((header, have)) = self.under_way {
                self.compare(header, have, part)?;
                if have + part.len() < self.pattern.size {
                    self.under_way = Some((header, have + part.len()));
                } else {
                    self.under_way = None;
                    complete(header)?;
                }
                continue;
            }
            self.header[self.have..self.have + part.len()].copy_from_slice(part);
            self.have += part.len();
            if self.have == HEADER {
                self.have = 0;
                let header = Header::parse(&self.header)?;
                if header.has_data() {
                    self.under_way = Some((header, 0));
                } else {
                    complete(header)?;
                }
            }
        }
        Ok(())
    }

    fn compare(&mut self, header: Header, from: usize, part: &[u8]) -> io::Result<()> {
        let wanted = &self.pattern.of(header.number)[from..from + part.len()];
        let same = if header.number.is_multiple_of(self.check) {
            self.checked += u64::from(from == 0);
            part == wanted
        } else {
            let (first, last) = (8usize.saturating_sub(from).min(part.len()), self.pattern.size - 8);
            let last = last.saturating_sub(from).min(part.len());
            part[..first] == wanted[..first] && part[last..] == wanted[last..]
        };
        if same { Ok(()) } else { Err(wrong("data", Some(header.number))) }
    }
}

/// What goes out.
pub(crate) struct Outbox {
    pattern: Arc<Pattern>,
    queue: VecDeque<([u8; HEADER], Option<u64>)>,
    /// Bytes of the first message that are gone.
    gone: usize,
}

impl Outbox {
    pub(crate) fn new(pattern: Arc<Pattern>) -> Self {
        Outbox { pattern, queue: VecDeque::new(), gone: 0 }
    }

    pub(crate) fn push(&mut self, header: Header) {
        self.queue.push_back((header.emit(), header.has_data().then_some(header.number)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Fills `slices` with what goes out next, of no more than `messages` messages; how many slices there are.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], messages: usize) -> usize {
        let (mut count, mut skip) = (0, self.gone);
        for (header, number) in self.queue.iter().take(messages.min(slices.len() / 2)) {
            let data = number.map_or(&[][..], |number| self.pattern.of(number));
            for part in [&header[..], data] {
                let cut = skip.min(part.len());
                skip -= cut;
                let part = &part[cut..];
                if !part.is_empty() {
                    slices[count] = IoSlice::new(part);
                    count += 1;
                }
            }
        }
        count
    }

    /// So many bytes are gone.
    pub(crate) fn advance(&mut self, written: usize) {
        self.gone += written;
        while let Some((_, number)) = self.queue.front() {
            let len = HEADER + if number.is_some() { self.pattern.size } else { 0 };
            if self.gone < len {
                break;
            }
            self.gone -= len;
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = 64;

    fn bytes_of(headers: &[Header]) -> Vec<u8> {
        let mut outbox = Outbox::new(Pattern::new(SIZE));
        headers.iter().for_each(|header| outbox.push(*header));
        drain(&mut outbox, usize::MAX)
    }

    /// Everything that goes out, in writes of at most `portion` bytes.
    fn drain(outbox: &mut Outbox, portion: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = outbox.slices(&mut slices, usize::MAX);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            let written = bytes.len().min(portion);
            all.extend_from_slice(&bytes[..written]);
            outbox.advance(written);
        }
        all
    }

    fn headers() -> Vec<Header> {
        [(false, false), (true, false), (false, true), (true, true), (true, false)]
            .into_iter()
            .enumerate()
            .map(|(at, (write, answer))| Header { write, answer, number: at as u64 * 7 })
            .collect()
    }

    // Goal: messages arrive as they were sent, however the stream is cut on either side.
    #[test]
    fn messages_survive_every_cut() {
        let sent = headers();
        let whole = bytes_of(&sent);
        assert_eq!(whole.len(), 5 * HEADER + 3 * SIZE as usize);
        for portion in 1..=whole.len() {
            let mut outbox = Outbox::new(Pattern::new(SIZE));
            sent.iter().for_each(|header| outbox.push(*header));
            assert_eq!(drain(&mut outbox, portion), whole);
            let mut inbox = Inbox::new(Pattern::new(SIZE), 1);
            let mut got = Vec::new();
            for part in whole.chunks(portion) {
                inbox
                    .take(part, |header| {
                        got.push(header);
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(got, sent);
            assert!(inbox.is_between());
            assert_eq!(inbox.checked, 3);
        }
    }

    // Goal: one wrong byte anywhere is noticed; without the whole comparison, in the first and last eight bytes of data.
    #[test]
    fn a_wrong_byte_is_noticed() {
        let header = Header { write: true, answer: false, number: 3 };
        let whole = bytes_of(&[header]);
        for (check, portion) in [(1, 200), (2, 200), (1, 5), (2, 5)] {
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x10;
                let mut inbox = Inbox::new(Pattern::new(SIZE), check);
                let result: io::Result<()> =
                    bytes.chunks(portion).try_for_each(|part| inbox.take(part, |_| Ok(())));
                let looked_at = check == 1 || at < HEADER + 8 || at >= whole.len() - 8;
                assert_eq!(result.is_err(), looked_at, "byte {at}");
            }
        }
    }

    // Goal: the data of another request is noticed.
    #[test]
    fn the_data_of_another_request_is_noticed() {
        let of = |number| bytes_of(&[Header { write: true, answer: false, number }]);
        let mixed = [&of(3)[..HEADER], &of(4)[HEADER..]].concat();
        for check in [1, 2] {
            assert!(Inbox::new(Pattern::new(SIZE), check).take(&mixed, |_| Ok(())).is_err());
        }
    }
}
