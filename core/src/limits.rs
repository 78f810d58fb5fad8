//! The bound of every queue and buffer, in one place.

use core::time::Duration;

/// Bounds on what one connection or session may hold, and for how long.
///
/// Nothing that a peer sends makes the core hold more than these allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of text (keys and values, over all PDUs joined by the C bit) that one step of a login may take from a
    /// peer. It has not authenticated, so this is what a connection costs at most before that.
    pub login_text_bytes: usize,
    /// The same for one Text exchange of a session.
    pub text_bytes: usize,
    /// Bytes of text that one answer may grow to.
    pub text_answer_bytes: usize,
    /// Login Requests that one connection may send before it must be in the full-feature phase.
    pub login_pdus: u32,
    /// Time from the start of a connection to the end of its login.
    pub login_timeout: Duration,
    /// Largest data segment taken before the login is complete, in bytes (RFC 7143 section 13.12: 8192).
    pub login_segment: u32,
    /// Commands of one session that may be outstanding: MaxCmdSN follows it.
    pub queue_depth: u32,
    /// Immediate requests beyond the command window that one session may have outstanding: so many commands, and so
    /// many task management functions, which a flood of commands must not keep out.
    pub immediate_requests: u32,
    /// Bytes of solicited Data-Out that R2Ts of one session may have asked for at one time. A single
    /// command larger than this is served alone.
    pub solicited_bytes: usize,
    /// Bytes of Data-In and other answers that may wait for a connection; commands are held back above it.
    pub transmit_bytes: usize,
    /// Bytes of extended CDB and other additional header segments in one PDU.
    pub ahs_bytes: usize,
    /// Bytes of one read buffer.
    pub read_buffer: usize,
    /// Data segments of at least this many bytes may be read straight into the memory that they are for. Shorter ones
    /// arrive by the dozen with one read of the socket, and copying one costs less than a read of its own.
    pub slot_bytes: u32,
    /// Silence after which the peer is pinged; zero turns pings off.
    pub ping_interval: Duration,
    /// Time that the peer has to show life after a ping.
    pub ping_timeout: Duration,
    /// Time that a peer which has never answered a ping has (RFC 7143 asks for an answer, but iPXE and some others
    /// cannot give one).
    pub ping_grace: Duration,
    /// Time that a target has to answer a task management function, a text request or a logout.
    pub management_timeout: Duration,
    /// Time that an abort waits for the payload which the initiator still owes to the aborted tasks.
    pub abort_data_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            login_text_bytes: 16 * 1024,
            text_bytes: 64 * 1024,
            text_answer_bytes: 256 * 1024,
            login_pdus: 64,
            login_timeout: Duration::from_secs(15),
            login_segment: 8192,
            queue_depth: 128,
            immediate_requests: 16,
            solicited_bytes: 16 << 20,
            transmit_bytes: 8 << 20,
            ahs_bytes: 260,
            read_buffer: 128 * 1024,
            slot_bytes: 32 * 1024,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(30),
            ping_grace: Duration::from_secs(600),
            management_timeout: Duration::from_secs(10),
            abort_data_timeout: Duration::from_secs(3),
        }
    }
}
