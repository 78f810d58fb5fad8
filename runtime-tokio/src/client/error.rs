//! What can go wrong, in words that say what, where, and what to try.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use iscsicore::Misuse;
use iscsicore::initiator::Cause;
use iscsicore::nexus::{AttemptError, NexusEnd};
use iscsicore::scsi::{Sense, Status};
use iscsicore::wire::Lun;
use thiserror::Error;

use super::identity::UnitChanged;
use super::url::UrlError;

/// Why something that was asked of a [`Client`](super::Client) did not come to pass.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is none.
    #[error("{0}")]
    Url(#[from] UrlError),
    /// What the builder, a file or the environment says cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// There is no session with the target.
    #[error("{0}")]
    Connect(Box<ConnectError>),
    /// The target has no such logical unit.
    #[error("{0}")]
    NoSuchLun(Box<NoSuchLun>),
    /// The target carried the command out, or refused to, with a status other than GOOD.
    #[error("{0}")]
    Scsi(Box<ScsiError>),
    /// The command was certainly not carried out.
    #[error("{place} was not carried out: {}; it can be sent again", words(*cause, detail.as_deref()))]
    NotSent {
        /// What.
        place: Place,
        /// Why.
        cause: Cause,
        /// What is behind that: why the session has ended, or what was wrong with the connection.
        detail: Option<Arc<str>>,
    },
    /// The command was sent, and nobody knows whether it was carried out, wholly or in part.
    #[error("{place} has an unknown outcome: {}; read back what it was to change", words(*cause, detail.as_deref()))]
    Unknown {
        /// What.
        place: Place,
        /// Why.
        cause: Cause,
        /// What is behind that: why the session has ended, or what was wrong with the connection.
        detail: Option<Arc<str>>,
    },
    /// The command was aborted by a reset or by another handle; it may have been carried out in part.
    #[error("{0} was aborted by a task management function; it may have been carried out in part")]
    Aborted(Place),
    /// The target answered, but with something that is no answer to the question.
    #[error("{place} was answered wrongly: {problem}")]
    Answer {
        /// To what.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// The logical unit is another disk than the one that this handle was made for; nothing was sent.
    #[error("{0}; connect anew, or take a handle with `with_lun`, if this is the disk that is wanted")]
    UnitChanged(Arc<UnitChanged>),
    /// The session has ended, so that nothing can be asked of it.
    #[error("{0}")]
    Ended(Box<SessionEnded>),
    /// The call makes no sense; nothing was sent.
    #[error("{0}")]
    Misuse(String),
}

impl ClientError {
    /// The sense data with which the target refused, if that is what happened.
    #[must_use]
    pub fn sense(&self) -> Option<&Sense> {
        match self {
            ClientError::Scsi(error) => error.sense.as_ref(),
            _ => None,
        }
    }

    /// The status with which the target answered, if that is what happened.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            ClientError::Scsi(error) => Some(error.status),
            _ => None,
        }
    }

    #[must_use]
    pub(super) fn misuse(problem: impl Into<String>) -> Self {
        ClientError::Misuse(problem.into())
    }
}

impl From<Misuse> for ClientError {
    fn from(misuse: Misuse) -> Self {
        ClientError::Misuse(misuse.to_string())
    }
}

/// A command and where it went.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Place {
    /// The command, as the standards call it.
    pub command: Cow<'static, str>,
    /// The logical unit; `None` for what concerns the session.
    pub lun: Option<Lun>,
    /// The target.
    pub target: Arc<str>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command)?;
        if let Some(lun) = self.lun {
            write!(f, " to {}", named(lun))?;
        }
        write!(f, " of {}", self.target)
    }
}

/// Why there is no session.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConnectError {
    /// The target; the portal for discovery.
    pub target: Arc<str>,
    /// What happened.
    pub why: AttemptError,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no session with {}: {}", self.target, self.why)?;
        match &self.why {
            AttemptError::Dial { .. } => {
                f.write_str("; check the address, that a target listens there, and firewalls between")
            }
            AttemptError::TimedOut { .. } => {
                f.write_str("; check that the host is up and that no firewall drops the port")
            }
            AttemptError::Lost { .. } => f.write_str("; the log of the target may say why"),
            AttemptError::RedirectLoop { .. } => f.write_str("; mend the redirection at the target"),
            _ => Ok(()),
        }
    }
}

/// A logical unit that is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NoSuchLun {
    /// Which.
    pub lun: u16,
    /// Where.
    pub target: Arc<str>,
    /// Those that there are, if the target told.
    pub present: Vec<u16>,
}

impl fmt::Display for NoSuchLun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no LUN {}", self.target, self.lun)?;
        if self.present.is_empty() {
            return f.write_str("; check what it maps for this initiator name");
        }
        let some: Vec<String> = self.present.iter().take(16).map(u16::to_string).collect();
        let more = if self.present.len() > some.len() { ", .." } else { "" };
        write!(f, "; it has {}{more}", some.join(", "))
    }
}

/// What a target answered in place of GOOD.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ScsiError {
    /// To what.
    pub place: Place,
    /// SCSI status.
    pub status: Status,
    /// Sense data, decoded.
    pub sense: Option<Sense>,
    /// Sense data, as sent.
    pub raw_sense: Bytes,
}

impl fmt::Display for ScsiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: ", self.place)?;
        match &self.sense {
            Some(sense) => write!(f, "{sense}")?,
            None => write!(f, "{}", self.status)?,
        }
        match self.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl ScsiError {
    /// What to try.
    fn remedy(&self) -> Option<&'static str> {
        match self.status {
            Status::RESERVATION_CONFLICT => {
                return Some("another initiator holds a reservation, or this one is not registered");
            }
            Status::BUSY | Status::TASK_SET_FULL => return Some("the target is overloaded; try again later"),
            _ => {}
        }
        let sense = self.sense.as_ref()?;
        match (sense.key.code(), sense.additional.code) {
            (5, 0x20) => Some("the target does not carry this command out"),
            (5, 0x21) => Some("the range ends behind the last block"),
            (5, 0x25) => Some("the LUN has gone; see `report_luns`"),
            (7, 0x27) => match sense.additional.qualifier {
                7 => Some("the storage behind the unit is full"),
                _ => Some("the unit is write-protected"),
            },
            (3, _) => Some("the medium has lost these blocks; writing them again may mend it"),
            (2, _) => Some("the unit is not ready; try again later, or start it"),
            _ => None,
        }
    }
}

/// How a session ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SessionEnded {
    /// With what target.
    pub target: Arc<str>,
    /// Why; `None` when it is being logged out, or the runtime that drove it is gone.
    pub why: Option<NexusEnd>,
}

impl fmt::Display for SessionEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session with {} has ended: {}", self.target, self.reason())?;
        match self.why {
            Some(NexusEnd::LoggedOut | NexusEnd::Wanted) => f.write_str("; connect again to go on"),
            _ => Ok(()),
        }
    }
}

impl SessionEnded {
    /// Why, in words.
    pub(super) fn reason(&self) -> String {
        match &self.why {
            Some(end) => ending(end),
            None => "it is being logged out, or the runtime that drove it is gone".to_owned(),
        }
    }
}

/// Why a session is over, in words.
pub(super) fn ending(end: &NexusEnd) -> String {
    match end {
        NexusEnd::LoggedOut => "it was logged out".to_owned(),
        NexusEnd::Wanted => "it was ended here".to_owned(),
        NexusEnd::Failed(why) => why.to_string(),
        NexusEnd::Lost(why) => {
            format!("{}, and it was not to be dialed again", super::events::interruption(why))
        }
        // One that the core has learned since.
        other => format!("{other:?}"),
    }
}

/// A logical unit as people call it.
pub(super) fn named(lun: Lun) -> String {
    if lun.is_well_known() { lun.to_string() } else { format!("LUN {lun}") }
}

/// A cause in words.
fn words(cause: Cause, detail: Option<&str>) -> String {
    match cause {
        Cause::ConnectionLost => with("the connection was lost", ": ", detail),
        Cause::TimedOut => {
            let what = "its time was over (see `ClientBuilder::command_timeout`)";
            with(what, ", and there was no connection: ", detail)
        }
        Cause::Rejected(reason) => format!("the target rejected it ({reason})"),
        Cause::TargetFailure(code) => format!("the target failed with iSCSI response {code:#04x}"),
        Cause::Refused => "the target refuses it".to_owned(),
        Cause::BadAnswer => "the answer to it broke the protocol".to_owned(),
        Cause::Wanted => "it was aborted here".to_owned(),
        Cause::SessionEnded => with("the session has ended", ": ", detail),
        // One that the core has learned since.
        other => format!("{other:?}"),
    }
}

fn with(what: &str, between: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => [what, between, detail].concat(),
        None => what.to_owned(),
    }
}

/// A time that people read.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
