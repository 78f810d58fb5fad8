//! Text across PDUs: pieces joined on the way in, pairs written and cut on the way out.

use core::iter::FusedIterator;

use bytes::Bytes;

use super::TextError;

/// Joins the data segments that the C bit holds together into one text, under a limit.
#[derive(Debug)]
pub struct TextBuffer {
    text: Vec<u8>,
    max: usize,
}

impl TextBuffer {
    /// An empty buffer that takes at most `max` bytes of one text.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        TextBuffer { text: Vec::new(), max }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`TextError::TooLong`] where it would exceed the limit; the buffer is empty afterwards.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), TextError> {
        if piece.len() > self.max - self.text.len() {
            self.text = Vec::new();
            return Err(TextError::TooLong { max: self.max });
        }
        self.text.extend_from_slice(piece);
        Ok(())
    }

    /// Hands out the whole text and starts anew. To be called after the piece whose C bit is clear.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.text)
    }

    /// Whether no text has begun.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// Writes pairs, each with the NUL that ends it.
///
/// Keys and values come from this end, which must not give them NULs or, in keys, `=`; where a key of the peer is to
/// be repeated, [`Pairs`](super::Pairs) has checked it.
#[derive(Clone, Debug, Default)]
pub struct TextWriter {
    text: Vec<u8>,
}

impl TextWriter {
    /// A writer of an empty text.
    #[must_use]
    pub const fn new() -> Self {
        TextWriter { text: Vec::new() }
    }

    /// Appends `key=value`. A value ends at its first NUL, should it have one.
    pub fn pair(&mut self, key: &str, value: &str) {
        debug_assert!(super::is_key(key.as_bytes()), "{key:?} is not a key");
        let value = value.split('\0').next().unwrap_or_default();
        self.text.reserve(key.len() + value.len() + 2);
        self.text.extend_from_slice(key.as_bytes());
        self.text.push(b'=');
        self.text.extend_from_slice(value.as_bytes());
        self.text.push(0);
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.text
    }
}

/// Cuts `text` into data segments of at most `max` bytes (at least 1 is taken), without copying. Pairs may span
/// segments (RFC 7143 section 6.1), so cuts fall where the segments are full. An empty text is one empty segment.
#[must_use]
pub fn pieces(text: Bytes, max: usize) -> Pieces {
    Pieces { rest: Some(text), max: max.max(1) }
}

/// Iterator over the data segments of a text; see [`pieces`].
#[derive(Clone, Debug)]
pub struct Pieces {
    rest: Option<Bytes>,
    max: usize,
}

impl Pieces {
    /// Whether the last segment was handed out: the C bit of a PDU is set where this is still false after its
    /// segment.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.rest.is_none()
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut piece = self.rest.take()?;
        if piece.len() > self.max {
            self.rest = Some(piece.split_off(self.max));
        }
        Some(piece)
    }
}

impl FusedIterator for Pieces {}
