//! A connection until it is part of a session: the login phase, initiator side (RFC 7143 sections 4.2.4 and 6.3).

use crate::link::{Receiver, Transmitter};
use crate::login::{Account, ChapAlgorithm, Offer, Parameters, SessionType};
use crate::wire::text::IscsiName;
use crate::wire::{Cid, CmdSn, Isid, LoginStatus, StatSn, Tsih};
use crate::{Instant, Limits, PeerError};

/// Who logs in, where to, and on what terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginRequestConfig {
    /// InitiatorName.
    pub initiator: IscsiName,
    /// InitiatorAlias.
    pub initiator_alias: Option<String>,
    /// TargetName; `None` makes a discovery session.
    pub target: Option<IscsiName>,
    /// The initiator's part of the session's name. The same one again takes the place of the old session
    /// (RFC 7143 section 6.3.5).
    pub isid: Isid,
    /// How this end proves who it is, and the target who it is.
    pub credentials: Option<Credentials>,
    /// What this end wants for every operational key.
    pub offer: Offer,
}

/// CHAP, from the initiator's side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// What this end proves.
    pub account: Account,
    /// What the target must prove; `None` when it need not.
    pub target: Option<Account>,
    /// The algorithms offered, the preferred one first.
    pub algorithms: Vec<ChapAlgorithm>,
    /// Whether a target that wants no authentication is taken as well. Always refused when the target must prove itself.
    pub allow_none: bool,
}

/// What a login has come to.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OutgoingEvent {
    /// The login is complete: [`Initiator::attach`](super::Initiator::attach).
    Ready,
    /// The target is elsewhere: close the connection and log in there.
    Redirected(Redirect),
    /// The login has failed: close the connection.
    Failed(LoginFailure),
}

/// Where a target has moved to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// `host:port`; the port is always there.
    pub address: String,
    /// The portal group tag, if it was told.
    pub portal_group_tag: Option<u16>,
    /// The name to ask for there, when it is another one.
    pub target: Option<IscsiName>,
    /// Whether to go there from now on, or only this time.
    pub permanent: bool,
}

/// Why a login failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginFailure {
    /// As sent by the target; `None` when this end gave up.
    pub status: Option<LoginStatus>,
    /// What is wrong.
    pub why: String,
    /// What to try.
    pub remedy: &'static str,
    /// Whether the same login may succeed later.
    pub passing: bool,
    /// The CHAP algorithm that had been chosen, when authentication failed.
    pub algorithm: Option<ChapAlgorithm>,
}

impl core::fmt::Display for LoginFailure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.status {
            Some(status) => write!(f, "login status {:#06x}: {}; {}", status.0, self.why, self.remedy),
            None => write!(f, "{}; {}", self.why, self.remedy),
        }
    }
}

/// What a completed login hands to the session.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) tsih: Tsih,
    pub(crate) cid: Cid,
    pub(crate) session_type: SessionType,
    pub(crate) parameters: Parameters,
    pub(crate) portal_group_tag: Option<u16>,
    pub(crate) target_alias: Option<String>,
    /// The next CmdSN to use.
    pub(crate) cmd_sn: CmdSn,
    /// MaxCmdSN as the target said last.
    pub(crate) max_cmd_sn: CmdSn,
    /// The StatSN that the next status carries.
    pub(crate) exp_stat_sn: StatSn,
}

/// One connection from its start to the end of its login, initiator side.
///
/// After any call drain [`poll_event`](Self::poll_event), [`transmit`](Self::transmit), and re-arm a timer for
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Outgoing {}

impl Outgoing {
    /// Starts on a transport that was just connected; the first request is ready to be transmitted.
    ///
    /// `seed` must be unpredictable and of no other use: challenges come from it.
    pub fn new(_config: LoginRequestConfig, _limits: Limits, _seed: [u8; 32], _now: Instant) -> Self {
        todo!()
    }

    /// Takes the PDUs that `rx` has whole.
    ///
    /// # Errors
    /// [`PeerError`] when the target broke the protocol; [`OutgoingEvent::Failed`] says the same.
    pub fn receive(&mut self, _now: Instant, _rx: &mut Receiver) -> Result<(), PeerError> {
        todo!()
    }

    /// Moves what is to be sent into `tx`.
    pub fn transmit(&mut self, _now: Instant, _tx: &mut Transmitter) {
        todo!()
    }

    /// What the login has come to; nothing more follows.
    pub fn poll_event(&mut self) -> Option<OutgoingEvent> {
        todo!()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Acts on the time that has passed; harmless when nothing is due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    /// What the session is made of, once [`OutgoingEvent::Ready`] was told.
    pub(crate) fn finish(self) -> Option<Attached> {
        todo!()
    }
}
