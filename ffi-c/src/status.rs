//! How a call ended, and the words for it.

use core::ffi::{c_char, c_int};
use std::borrow::Cow;
use std::cell::UnsafeCell;
use std::ffi::CString;

use iscsicore::{FrameError, Misuse, PeerError};

/// How a call ended.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_status {
    /// As it should.
    Ok = 0,
    /// A pointer that must not be NULL is.
    NullPointer = 1,
    /// An argument is out of its range, no value of its enum, malformed, or not UTF-8.
    InvalidArgument = 2,
    /// `size` of an options struct is too small, or the struct sets a field that this version of the library does not
    /// have.
    InvalidSize = 3,
    /// The buffer for the result is too small; nothing was written into it.
    BufferTooSmall = 4,
    /// The call does not fit the state that the handle is in.
    WrongState = 5,
    /// The task, job, request, link or unit has ended, or never was.
    Unknown = 6,
    /// As many commands as the queue takes are outstanding: try again after ISCSICORE_NEXUS_EVENT_KIND_ROOM_AGAIN. Or a simple
    /// connection has not taken yet what it was fed.
    QueueFull = 7,
    /// The handle is in use: by another thread, or by the call from which a callback was called.
    Busy = 8,
    /// The peer broke the protocol, or its login failed. What it is told is queued: transmit, then close.
    PeerError = 9,
    /// The server takes no more connections now: close this one.
    Refused = 10,
    /// A bug of this library. The handle takes no more calls but the one that frees it.
    Panicked = 11,
}

impl iscsicore_status {
    /// The status of a number, if there is one.
    fn from_int(status: c_int) -> Option<Self> {
        use iscsicore_status as S;
        const ALL: [S; 12] = [
            S::Ok,
            S::NullPointer,
            S::InvalidArgument,
            S::InvalidSize,
            S::BufferTooSmall,
            S::WrongState,
            S::Unknown,
            S::QueueFull,
            S::Busy,
            S::PeerError,
            S::Refused,
            S::Panicked,
        ];
        ALL.into_iter().find(|known| *known as c_int == status)
    }

    const fn text(self) -> &'static core::ffi::CStr {
        match self {
            Self::Ok => c"success",
            Self::NullPointer => c"a pointer that must not be NULL is",
            Self::InvalidArgument => c"an argument is invalid",
            Self::InvalidSize => c"the size of an options struct is not one that this library knows",
            Self::BufferTooSmall => c"the buffer is too small",
            Self::WrongState => c"the call does not fit the state of the handle",
            Self::Unknown => c"no such task, job, request, link or unit: it has ended, or never was",
            Self::QueueFull => {
                c"as many commands as the queue takes are outstanding, or what was fed has not been taken"
            }
            Self::Busy => c"the handle is in use by another call",
            Self::PeerError => c"the peer broke the protocol, or its login failed",
            Self::Refused => c"no more connections are taken now",
            Self::Panicked => c"a bug of the library; the handle can only be freed",
        }
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: iscsicore_status,
    pub(crate) message: Cow<'static, str>,
}

impl Failure {
    pub(crate) fn new(status: iscsicore_status, message: impl Into<Cow<'static, str>>) -> Self {
        Failure { status, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Failure::new(iscsicore_status::InvalidArgument, message)
    }

    pub(crate) fn state(message: impl Into<Cow<'static, str>>) -> Self {
        Failure::new(iscsicore_status::WrongState, message)
    }

    pub(crate) fn unknown(message: impl Into<Cow<'static, str>>) -> Self {
        Failure::new(iscsicore_status::Unknown, message)
    }
}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Self {
        let status = match misuse {
            Misuse::UnknownTask | Misuse::UnknownConnection => iscsicore_status::Unknown,
            Misuse::WrongState(_) => iscsicore_status::WrongState,
            _ => iscsicore_status::InvalidArgument,
        };
        Failure::new(status, misuse.to_string())
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        Failure::new(iscsicore_status::PeerError, error.to_string())
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        let status = match error {
            FrameError::Accounting(_) => iscsicore_status::InvalidArgument,
            _ => iscsicore_status::PeerError,
        };
        Failure::new(status, error.to_string())
    }
}

/// Bytes of the words of an error, with the NUL; longer ones are cut.
const WORDS: usize = 1024;

thread_local! {
    /// In one place for as long as the thread lives: to print them in the very call whose failure writes them is a mistake that
    /// reads the wrong words, but no freed memory.
    static LAST: UnsafeCell<[u8; WORDS]> = const { UnsafeCell::new([0; WORDS]) };
}

/// Keeps the words of a failure for the thread that met it.
pub(crate) fn remember(failure: &Failure) {
    let words = &failure.message;
    let mut len = words.len().min(WORDS - 1);
    while !words.is_char_boundary(len) {
        len -= 1;
    }
    let bytes = words.as_bytes()[..len].iter().map(|byte| if *byte == 0 { b'?' } else { *byte });
    let _ = LAST.try_with(|last| {
        // SAFETY: of this thread alone, and no reference to it outlives a call.
        let last = unsafe { &mut *last.get() };
        last.iter_mut().zip(bytes.chain([0])).for_each(|(to, byte)| *to = byte);
    });
}

/// `text` as C has it; a NUL inside, which only a peer's text could hold, becomes a question mark.
pub(crate) fn text_without_nul(text: &str) -> CString {
    CString::new(text.replace('\0', "?")).unwrap_or_default()
}

/// The version of the library, such as "0.1.0". The string lives for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn iscsicore_version() -> *const c_char {
    const VERSION: &core::ffi::CStr =
        match core::ffi::CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// What a status means, in words; for a number that is none, "unknown status". The string lives for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn iscsicore_status_text(status: c_int) -> *const c_char {
    iscsicore_status::from_int(status).map_or(c"unknown status", iscsicore_status::text).as_ptr()
}

/// Why the last call of this thread that failed did so: what was wrong, and often with which value. Empty when none has
/// failed yet. The string has at most 1023 bytes. It stays until the next call of this thread that fails, which writes another one in
/// its place.
#[unsafe(no_mangle)]
pub extern "C" fn iscsicore_error_message() -> *const c_char {
    LAST.try_with(|last| last.get().cast_const().cast()).unwrap_or(c"".as_ptr())
}
