//! An I_T nexus that outlives its sessions: who dials, when again, and what becomes of commands meanwhile.
//!
//! A [`Nexus`] is the initiator's half of everything between a program and one target: it asks for transports
//! ([`NexusEvent::Dial`]), logs in on them, follows redirects, and when a connection is lost waits, dials and logs in again
//! with the same ISID, so that the new session takes the place of the old one (RFC 7143 section 6.3.5). Commands that
//! had no answer are sent again where that is safe. There is no I/O in it.
//!
//! *The contract:* after any call, drain [`poll_event`](Nexus::poll_event), [`transmit`](Nexus::transmit), and re-arm
//! a timer for [`poll_timeout`](Nexus::poll_timeout). The order does not matter, and too often is harmless.

use core::time::Duration;

use bytes::Bytes;

use crate::initiator::{Command, DownReason, Event, LoginFailure, LoginRequestConfig, Refused};
use crate::link::{Receiver, TaskId, Transmitter};
use crate::login::Parameters;
use crate::session::SendTargets;
use crate::wire::{Lun, TaskManagementFunction, Tsih};
use crate::{Instant, Limits, Misuse, PeerError, TransportError};

/// What a nexus is to.
#[derive(Clone, Debug)]
pub struct NexusConfig {
    /// Where the target is, `host:port`.
    pub address: String,
    /// Who logs in, and on what terms.
    pub login: LoginRequestConfig,
    /// When to dial again, and when to give up.
    pub reconnect: ReconnectPolicy,
    /// Bounds.
    pub limits: Limits,
}

/// When to dial again, and when to give up.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ReconnectPolicy {
    /// Pause before the second attempt (the first follows a loss at once, or after Time2Wait); doubles from there on.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Time for one attempt, from [`NexusEvent::Dial`] to the end of the login.
    pub attempt_timeout: Duration,
    /// Time without a connection after which the nexus ends; `None` never gives up. Commands have their own times.
    pub give_up_after: Option<Duration>,
    /// Whether the very first connection is tried again, too, when it fails.
    pub persist_at_first: bool,
    /// Whether "target not found" is a passing condition once the nexus has been up: a target that restarts says it.
    pub wait_for_missing_target: bool,
    /// Whether to dial again at all.
    pub enabled: bool,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        ReconnectPolicy {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(15),
            give_up_after: None,
            persist_at_first: false,
            wait_for_missing_target: true,
            enabled: true,
        }
    }
}

/// Something that the caller of a [`Nexus`] has to act on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NexusEvent {
    /// Open a transport to `address` (`host:port`), then call [`Nexus::connected`] or [`Nexus::dial_failed`]. A dial
    /// under way is to be dropped.
    Dial {
        /// Where to.
        address: String,
        /// 1 for the first attempt after the nexus was up, or began.
        attempt: u32,
    },
    /// Flush the transmitter, then close the transport (or stop dialing) and drop both halves of the connection. Bytes
    /// that still arrive are of no interest. Nothing needs to be told back.
    HangUp,
    /// Logged in.
    Up {
        /// Whether it is not the first time.
        again: bool,
        /// Where to, in the end.
        address: String,
    },
    /// The connection is gone; the nexus dials again at `retry_at`, if at all.
    Down {
        /// Why.
        why: Interruption,
        /// When it dials again; `None` when it does not.
        retry_at: Option<Instant>,
    },
    /// An attempt to get a connection back has failed; another one follows.
    AttemptFailed {
        /// Why.
        why: AttemptError,
        /// When it dials again.
        retry_at: Instant,
    },
    /// What the session has to tell. [`Event::Down`] and [`Event::Ended`] are not among it.
    Session(Event),
    /// The nexus is over; every command has ended before. Nothing follows.
    Ended(NexusEnd),
}

/// Why a connection that was up is gone.
pub type Interruption = DownReason;

/// Why an attempt to connect failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No transport.
    #[error("cannot connect to {address}: {why}")]
    Dial {
        /// Where to.
        address: String,
        /// In the words of the adapter.
        why: String,
    },
    /// The login failed.
    #[error("cannot log in at {address}: {failure}")]
    Login {
        /// Where.
        address: String,
        /// How.
        failure: LoginFailure,
    },
    /// The transport was lost during the login.
    #[error("the connection to {address} was lost during the login: {why}")]
    Lost {
        /// Where.
        address: String,
        /// How.
        why: TransportError,
    },
    /// The attempt took too long.
    #[error("connecting to {address} took longer than {}", HumanTime(*.limit))]
    TimedOut {
        /// Where.
        address: String,
        /// The time allowed.
        limit: Duration,
    },
    /// The target sent us on too often, or in a circle.
    #[error("redirected {hops} times, last to {address}")]
    RedirectLoop {
        /// Where to, last.
        address: String,
        /// How often.
        hops: u32,
    },
}

/// Why a nexus is over.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NexusEnd {
    /// It was logged out.
    LoggedOut,
    /// The first connection failed, or one that will not succeed later either, or time was over.
    Failed(AttemptError),
    /// The connection was lost, and the policy says not to dial again.
    Lost(Interruption),
    /// [`Nexus::end`] was called.
    Wanted,
}

struct HumanTime(Duration);
impl core::fmt::Display for HumanTime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

/// The initiator's half of an I_T nexus.
#[derive(Debug)]
pub struct Nexus {}

impl Nexus {
    /// Begins; the first event asks to dial. `seed` must be unpredictable and of no other use.
    pub fn new(_config: NexusConfig, _seed: [u8; 32], _now: Instant) -> Self {
        todo!()
    }

    /// A transport is up. It begins with a new receiver and transmitter.
    pub fn connected(&mut self, _now: Instant) {
        todo!()
    }

    /// No transport could be opened; `why` in words for people.
    pub fn dial_failed(&mut self, _now: Instant, _why: String) {
        todo!()
    }

    /// Takes the PDUs that `rx` has whole. What was wrong with them is told as an event, too.
    ///
    /// # Errors
    /// [`PeerError`] when the target broke the protocol: [`NexusEvent::HangUp`] follows.
    pub fn receive(&mut self, _now: Instant, _rx: &mut Receiver) -> Result<(), PeerError> {
        todo!()
    }

    /// Moves what is to be sent into `tx`.
    pub fn transmit(&mut self, _now: Instant, _tx: &mut Transmitter) {
        todo!()
    }

    /// Tells that the transport is gone.
    pub fn lost(&mut self, _now: Instant, _why: TransportError) {
        todo!()
    }

    /// What the caller has to act on next.
    pub fn poll_event(&mut self) -> Option<NexusEvent> {
        todo!()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. Any other call may change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Acts on the time that has passed; harmless when nothing is due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    /// Takes a command, connected or not; see [`Initiator::submit`](crate::initiator::Initiator::submit).
    ///
    /// # Errors
    /// [`Refused`] with the command.
    pub fn submit(&mut self, _now: Instant, _command: Command) -> Result<TaskId, Refused> {
        todo!()
    }

    /// See [`Initiator::abort`](crate::initiator::Initiator::abort).
    ///
    /// # Errors
    /// [`Misuse`] when there is no such command.
    pub fn abort(&mut self, _now: Instant, _task: TaskId) -> Result<(), Misuse> {
        todo!()
    }

    /// See [`Initiator::cancel`](crate::initiator::Initiator::cancel).
    pub fn cancel(&mut self, _now: Instant, _task: TaskId) {
        todo!()
    }

    /// See [`Initiator::task_management`](crate::initiator::Initiator::task_management).
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection.
    pub fn task_management(
        &mut self,
        _now: Instant,
        _function: TaskManagementFunction,
        _lun: Lun,
    ) -> Result<TaskId, Misuse> {
        todo!()
    }

    /// See [`Initiator::send_targets`](crate::initiator::Initiator::send_targets).
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection, or a question is open.
    pub fn send_targets(&mut self, _now: Instant, _which: SendTargets) -> Result<TaskId, Misuse> {
        todo!()
    }

    /// See [`Initiator::ping`](crate::initiator::Initiator::ping).
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection.
    pub fn ping(&mut self, _now: Instant, _data: Bytes) -> Result<TaskId, Misuse> {
        todo!()
    }

    /// Drops the connection, if there is one, and dials again at once; pauses start from the shortest again.
    pub fn reconnect(&mut self, _now: Instant) {
        todo!()
    }

    /// Waits for the commands that were taken, logs out, ends. Without a connection it ends at once.
    pub fn logout(&mut self, _now: Instant) {
        todo!()
    }

    /// Ends now; commands without an answer end with it.
    pub fn end(&mut self, _now: Instant) {
        todo!()
    }

    /// What the last login negotiated; `None` before the first.
    pub fn parameters(&self) -> Option<&Parameters> {
        todo!()
    }

    /// The handle of the session.
    pub fn tsih(&self) -> Option<Tsih> {
        todo!()
    }

    /// Whether a session is up.
    pub fn is_up(&self) -> bool {
        todo!()
    }

    /// Commands and other requests that have not ended.
    pub fn outstanding(&self) -> usize {
        todo!()
    }
}
