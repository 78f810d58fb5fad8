//! `key=value` pairs, each followed by a NUL.

use core::iter::FusedIterator;

use super::TextError;

/// Longest key, in bytes (RFC 7143 section 6.1).
pub const MAX_KEY: usize = 63;
/// Longest value that is not an encoded binary one, in bytes; each item of a list may have as many (section 6.1).
pub const MAX_VALUE: usize = 255;
/// Longest text of a binary value in hexadecimal digits or base64, in bytes. The largest that any key of the RFC
/// takes is CHAP's: 1024 bytes, hence 2050 of text (section 12.1.3).
pub const MAX_ENCODED_VALUE: usize = 8192;

/// Whether `key` is one by its form: 1 to 63 letters, digits and `.-+@_`, the first a capital letter (section 6.1).
///
/// A `#` may stand in the second place behind an `X`, as in `X#NodeArchitecture` (section 13.26). One key of
/// RFC 7144 (section 7.1.1) begins with a small letter.
#[must_use]
pub fn is_key(key: &[u8]) -> bool {
    if key == b"iSCSIProtocolLevel" {
        return true;
    }
    let [first, rest @ ..] = key else { return false };
    let rest = if *first == b'X' { rest.strip_prefix(b"#").unwrap_or(rest) } else { rest };
    key.len() <= MAX_KEY
        && first.is_ascii_uppercase()
        && rest.iter().all(|b| b.is_ascii_alphanumeric() || b".-+@_".contains(b))
}

/// Iterator over the pairs of one logical text data segment, in order. It ends after the first error.
///
/// NUL bytes beyond those that end pairs are skipped: some peers count their padding into the length.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// Reads `text`, which must be whole: all that the C bit joins.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Self {
        Pairs { rest: text }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a str, &'a str), TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.rest.iter().position(|b| *b != 0)?;
        let text = self.rest.get(start..)?;
        let (pair, rest) = match text.iter().position(|b| *b == 0) {
            Some(end) => (split_pair(&text[..end]), &text[end + 1..]),
            None => (Err(unterminated(text)), &[][..]),
        };
        self.rest = if pair.is_ok() { rest } else { &[] };
        Some(pair)
    }
}

impl FusedIterator for Pairs<'_> {}

fn split_pair(pair: &[u8]) -> Result<(&str, &str), TextError> {
    let equals = pair.iter().position(|b| *b == b'=').ok_or(TextError::NoValue)?;
    let (key, value) = (&pair[..equals], &pair[equals + 1..]);
    if !is_key(key) {
        return Err(TextError::BadKey);
    }
    if !fits(value) {
        return Err(TextError::ValueTooLong);
    }
    let key = str::from_utf8(key).map_err(|_| TextError::BadKey)?;
    let value = str::from_utf8(value).map_err(|_| TextError::NotUtf8)?;
    Ok((key, value))
}

/// Whether each item of the value is within the limit for its form.
fn fits(value: &[u8]) -> bool {
    value.split(|b| *b == b',').all(|item| match item {
        [b'0', b'x' | b'X' | b'b' | b'B', ..] => item.len() <= MAX_ENCODED_VALUE,
        _ => item.len() <= MAX_VALUE,
    })
}

/// Text without a NUL may lack more than that.
fn unterminated(text: &[u8]) -> TextError {
    match split_pair(text) {
        Ok(_) => TextError::NotTerminated,
        Err(error) => error,
    }
}
