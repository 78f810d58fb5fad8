//! What happens to a session while nobody asks.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use iscsicore::initiator::Redirect;
use iscsicore::nexus::{AttemptError, Interruption, NexusEnd};
use iscsicore::wire::{AsyncMessage, Lun, RejectReason};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::error::named;
use super::{Capacity, UnitChanged};

/// Something that happened to a session. [`Client::events`](super::Client::events) tells them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The connection is gone. Commands wait for the next one.
    Disconnected {
        /// Why.
        why: Interruption,
        /// When it is dialed again; `None` when it is not.
        retry_at: Option<Instant>,
    },
    /// An attempt to connect again has failed; another one follows.
    AttemptFailed {
        /// Why.
        why: AttemptError,
        /// When it is dialed again.
        retry_at: Instant,
    },
    /// The session is up again.
    Reconnected {
        /// Where the target is now, `host:port`.
        address: String,
    },
    /// The target sent this end elsewhere during a login, which goes on there.
    Redirected(Redirect),
    /// A logical unit in use is another disk than before: calls on its handles fail with
    /// [`ClientError::UnitChanged`](super::ClientError::UnitChanged).
    UnitChanged(Arc<UnitChanged>),
    /// A logical unit in use has another size. The handles on it know already.
    CapacityChanged {
        /// Which.
        lun: u16,
        /// What READ CAPACITY says now.
        capacity: Capacity,
    },
    /// The target has other logical units than before (unit attention 3Fh/0Eh): ask with
    /// [`report_luns`](super::Client::report_luns).
    LunsChanged,
    /// The target told of a unit attention condition. The command that met it was sent again.
    UnitAttention {
        /// The logical unit.
        lun: Lun,
        /// Sense data, as sent; [`Sense::decode`](iscsicore::scsi::Sense::decode) reads it.
        sense: Bytes,
    },
    /// The target sent an Asynchronous Message; what it means for the session has been acted on.
    AsyncMessage {
        /// The message.
        message: AsyncMessage,
        /// Its data segment, the first 1024 bytes at most.
        data: Bytes,
    },
    /// The target rejected a PDU that belongs to no command.
    Rejected {
        /// Why.
        reason: RejectReason,
    },
    /// Whoever listens was too slow: so many events were dropped before the next one.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// The session is over. Nothing follows.
    Ended(NexusEnd),
}

/// The events of a session, from the moment of [`Client::events`](super::Client::events) on.
///
/// It never holds the session up: who is too slow misses events and is told so with [`Event::Lagged`].
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    over: bool,
}

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<Event>, over: bool) -> Self {
        Events { receiver, over }
    }

    /// Waits for the next event; `None` after [`Event::Ended`]. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        let event = match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Lagged { missed }),
            Err(RecvError::Closed) => None,
        };
        self.over = matches!(event, None | Some(Event::Ended(_)));
        event
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        let event = match self.receiver.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Lagged(missed)) => Some(Event::Lagged { missed }),
            Err(_) => None,
        };
        self.over |= matches!(event, Some(Event::Ended(_)));
        event
    }
}

/// Events that a slow listener may be behind.
pub(super) const BACKLOG: usize = 256;

/// Why a connection is gone, in words.
pub(super) fn interruption(why: &Interruption) -> String {
    match why {
        Interruption::Lost(error) => error.to_string(),
        Interruption::Peer(error) => format!("the target broke the protocol: {error}"),
        Interruption::Silent => "the target fell silent".to_owned(),
        Interruption::Unresponsive => {
            "the target did not answer a task management function, a logout or a text request".to_owned()
        }
        Interruption::AskedByTarget => "the target asked for it".to_owned(),
        Interruption::LoggedOut => "it was logged out".to_owned(),
        Interruption::Wanted => "it was wanted here".to_owned(),
        // One that the core has learned since.
        other => format!("{other:?}"),
    }
}

impl std::fmt::Display for Event {
    /// The event in one line for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let in_seconds = |at: &Instant| {
            let wait = at.saturating_duration_since(Instant::now());
            super::error::seconds(wait)
        };
        match self {
            Event::Disconnected { why, retry_at: Some(at) } => {
                write!(f, "disconnected: {}; dialing again in {}", interruption(why), in_seconds(at))
            }
            Event::Disconnected { why, retry_at: None } => {
                write!(f, "disconnected: {}", interruption(why))
            }
            Event::AttemptFailed { why, retry_at } => {
                write!(f, "not connected yet: {why}; dialing again in {}", in_seconds(retry_at))
            }
            Event::Reconnected { address } => write!(f, "connected again, to {address}"),
            Event::Redirected(redirect) => {
                let how = if redirect.permanent { "for good" } else { "for now" };
                write!(f, "the target sends this end to {}, {how}", redirect.address)
            }
            Event::UnitChanged(changed) => write!(f, "{changed}"),
            Event::CapacityChanged { lun, capacity } => {
                write!(f, "LUN {lun} now has {} blocks of {} bytes", capacity.blocks, capacity.block_size)
            }
            Event::LunsChanged => f.write_str("the logical units of the target have changed"),
            Event::UnitAttention { lun, sense } => {
                write!(f, "unit attention of {}: ", named(*lun))?;
                match iscsicore::scsi::Sense::decode(sense) {
                    Some(sense) => write!(f, "{sense}"),
                    None => write!(f, "{sense:02x?}"),
                }
            }
            Event::AsyncMessage { message, .. } => write!(f, "the target says: {}", message.event),
            Event::Rejected { reason } => write!(f, "the target rejected a PDU: {reason}"),
            Event::Lagged { missed } => write!(f, "{missed} events were missed"),
            Event::Ended(end) => write!(f, "the session has ended: {}", super::error::ending(end)),
        }
    }
}
