//! Text of Login and Text PDUs: `key=value` pairs, the types of their values, and how text is cut into PDUs.
//! RFC 7143 sections 6.1 and 4.2.7.
//!
//! Nothing here knows what a key means; the table of login keys does.

mod binary;
mod buffer;
mod name;
mod pairs;
mod value;

use thiserror::Error;

pub use binary::{MAX_BINARY, decode_base64, decode_hex, encode_base64, encode_hex, parse_binary};
pub use buffer::{Pieces, TextBuffer, TextWriter, pieces};
pub use name::{IscsiName, MAX_NAME_LEN, NameError};
pub use pairs::{MAX_ENCODED_VALUE, MAX_KEY, MAX_VALUE, Pairs, is_key};
pub use value::{list, parse_boolean, parse_number, parse_range};

/// What is wrong with text of the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TextError {
    /// A pair without `=`.
    #[error("a key without a value")]
    NoValue,
    /// The last pair lacks the NUL that ends it.
    #[error("text that does not end in NUL")]
    NotTerminated,
    /// A key that is empty, longer than 63 bytes, does not begin with a capital letter, or has a byte that keys cannot
    /// have.
    #[error("not a key")]
    BadKey,
    /// A value longer than 255 bytes that is no encoded binary value, or longer than 8192 bytes if it is one.
    #[error("a value that is too long")]
    ValueTooLong,
    /// A value that is not UTF-8.
    #[error("a value that is not UTF-8")]
    NotUtf8,
    /// More text than this end takes.
    #[error("more than {max} bytes of text")]
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// A value that is not of the type that its key demands.
    #[error("not {0}")]
    BadValue(&'static str),
}
