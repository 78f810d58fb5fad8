//! A connection until it is part of a session: the login phase, initiator side (RFC 7143 sections 4.2.4 and 6.3).

use bytes::Bytes;

use crate::link::{Pdu, Placement, Receiver, Transmitter};
use crate::login::{
    ChapClient, Entropy, GiveUp, Identity, Parameters, Progress, Request, Requester, SessionType, Trouble,
};
use crate::wire::text::{IscsiName, Pairs, Pieces, TextBuffer, TextWriter, pieces};
use crate::wire::{Cid, CmdSn, Itt, LoginRequest, LoginResponse, LoginStatus, Stage, StatSn, Tsih};
use crate::{DataList, Instant, Limits, PeerError};

pub(crate) mod address;
mod config;
mod failure;
mod response;
#[cfg(test)]
mod tests;

use address::read_redirect;
pub use config::{Credentials, LoginRequestConfig};
pub use failure::LoginFailure;
use failure::Proofs;
use response::{Asked, Login, Sequence, expect_login_response};

/// The one version of the protocol (RFC 7143 section 11.12.4).
const VERSION: u8 = 0;

/// The only connection of its session.
const CID: Cid = Cid(0);

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

/// What a completed login hands to the session.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) tsih: Tsih,
    pub(crate) cid: Cid,
    pub(crate) session_type: SessionType,
    pub(crate) parameters: Parameters,
    pub(crate) portal_group_tag: Option<u16>,
    pub(crate) target: Option<IscsiName>,
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
///
/// Security comes first, always, even if only to agree on none; every operational key is offered in the stage after it.
///
/// ```
/// use iscsicore::initiator::{LoginRequestConfig, Outgoing, OutgoingEvent};
/// use iscsicore::link::{Receiver, Transmitter};
/// use iscsicore::login::Offer;
/// use iscsicore::wire::Isid;
/// use iscsicore::{Instant, Limits};
///
/// let config = LoginRequestConfig {
///     initiator: "iqn.2026-01.com.example:host".parse()?,
///     initiator_alias: None,
///     target: Some("iqn.2026-01.com.example:disk".parse()?),
///     isid: Isid([0x80, 0, 0, 0, 0, 1]),
///     credentials: None,
///     offer: Offer::default(),
/// };
/// let (now, limits) = (Instant::ZERO, Limits::default());
/// let (mut rx, mut tx) = (Receiver::new(&limits), Transmitter::new());
/// let seed = [0x5a; 32]; // 32 bytes from the system's generator
/// let mut outgoing = Outgoing::new(config, limits, seed, now);
/// outgoing.transmit(now, &mut tx); // and write what `tx` holds
/// // Whenever bytes have arrived in `rx`:
/// outgoing.receive(now, &mut rx)?;
/// match outgoing.poll_event() {
///     Some(OutgoingEvent::Ready) => {} // make a session of it
///     Some(OutgoingEvent::Redirected(redirect)) => println!("log in at {}", redirect.address),
///     Some(OutgoingEvent::Failed(failure)) => println!("{failure}"),
///     Some(_) | None => {} // go on
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Outgoing {
    limits: Limits,
    deadline: Instant,
    phase: Phase,
    event: Option<OutgoingEvent>,
    /// What is asked for in the stage under way; a request that only carries on text repeats it.
    next: Option<Stage>,
    requester: Requester,
    proofs: Proofs,
    session_type: SessionType,
    target: Option<IscsiName>,
    login: Login,
    sequence: Sequence,
    responses: u32,
    /// Text of the group that is being received.
    text: TextBuffer,
    /// Text of the group that is being sent, as far as it has not been.
    unsent: Option<Pieces>,
    /// The request that waits for `transmit`.
    outbox: Option<(LoginRequest, Bytes)>,
}

#[derive(Debug)]
enum Phase {
    /// The next response is due.
    Waiting,
    /// The login is complete.
    Ready(Box<Attached>),
    /// It has failed, or goes on elsewhere; with what is to be said about the target.
    Over(Option<PeerError>),
}

impl Outgoing {
    /// Starts on a transport that was just connected; the first request is ready to be transmitted.
    ///
    /// `seed` must be unpredictable and of no other use: challenges come from it. A configuration that
    /// [`check`](LoginRequestConfig::check) refuses fails at once, with nothing sent.
    pub fn new(config: LoginRequestConfig, limits: Limits, seed: [u8; 32], now: Instant) -> Self {
        let refused = config.check().err();
        let mut entropy = Entropy::new(seed);
        let cmd_sn = CmdSn(entropy.word());
        let proofs = Proofs::of(config.credentials.as_ref());
        let (client, or_none) = match config.credentials.map(Credentials::into_client) {
            Some((client, or_none)) => (Some(client), or_none),
            None => (None::<ChapClient>, false),
        };
        let identity = Identity {
            initiator: config.initiator,
            initiator_alias: config.initiator_alias,
            target: config.target.clone(),
        };
        let session_type = identity.session_type();
        let requester = Requester::new(identity, client, or_none, config.offer, entropy);
        let request = requester.begin();
        let mut outgoing = Outgoing {
            deadline: now + limits.login_timeout,
            text: TextBuffer::new(limits.login_text_bytes),
            limits,
            phase: Phase::Waiting,
            event: None,
            next: None,
            requester,
            proofs,
            session_type,
            target: config.target,
            login: Login { isid: config.isid, itt: Itt(0), cmd_sn },
            sequence: Sequence::default(),
            responses: 0,
            unsent: None,
            outbox: None,
        };
        match refused {
            Some(why) => outgoing.end(OutgoingEvent::Failed(LoginFailure::misuse(why.to_string())), None),
            None => outgoing.ask(request),
        }
        outgoing
    }

    /// Takes the PDUs that `rx` has whole. Those that follow the end of a login are left to the session.
    ///
    /// # Errors
    /// [`PeerError`] when the target broke the protocol; [`OutgoingEvent::Failed`] says the same.
    pub fn receive(&mut self, _now: Instant, rx: &mut Receiver) -> Result<(), PeerError> {
        while matches!(self.phase, Phase::Waiting) {
            match rx.next_pdu(|_| Placement::Stage) {
                Ok(Some(pdu)) => {
                    if let Err(why) = self.take(&pdu) {
                        self.broken(why);
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    let failure = LoginFailure::protocol(error.to_string());
                    self.end(OutgoingEvent::Failed(failure), Some(PeerError::Frame(error)));
                }
            }
        }
        match &self.phase {
            Phase::Over(Some(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Moves what is to be sent into `tx`.
    pub fn transmit(&mut self, _now: Instant, tx: &mut Transmitter) {
        if let Some((request, text)) = self.outbox.take() {
            tx.push(request.emit(), DataList::from(text));
        }
    }

    /// What the login has come to; nothing more follows.
    pub fn poll_event(&mut self) -> Option<OutgoingEvent> {
        self.event.take()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        matches!(self.phase, Phase::Waiting).then_some(self.deadline)
    }

    /// Acts on the time that has passed; harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            let failure = OutgoingEvent::Failed(LoginFailure::timed_out());
            self.end(failure, Some(PeerError::TimedOut("the login")));
        }
    }

    /// Whether the login is complete, so that a session can take the connection over.
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready(_))
    }

    /// What was agreed on, once [`OutgoingEvent::Ready`] was told.
    pub const fn parameters(&self) -> Option<&Parameters> {
        match &self.phase {
            Phase::Ready(attached) => Some(&attached.parameters),
            _ => None,
        }
    }

    /// What the session is made of, once [`OutgoingEvent::Ready`] was told.
    pub(crate) fn finish(self) -> Option<Attached> {
        match self.phase {
            Phase::Ready(attached) => Some(*attached),
            _ => None,
        }
    }

    fn take(&mut self, pdu: &Pdu) -> Result<(), GiveUp> {
        expect_login_response(&pdu.bhs).map_err(protocol)?;
        let status = LoginStatus(u16::from_be_bytes([pdu.bhs.0[36], pdu.bhs.0[37]]));
        if !status.is_success() {
            // Nothing else in such a response can be relied on: stages and numbers are reserved.
            self.refused(status, &pdu.data);
            return Ok(());
        }
        if self.outbox.is_some() {
            return Err(protocol("the target answers a request that was not sent yet"));
        }
        self.responses += 1;
        if self.responses > self.limits.login_pdus {
            return Err(protocol("the login takes too many responses"));
        }
        let response = LoginResponse::parse(&pdu.bhs).map_err(|error| protocol(error.to_string()))?;
        let asked = Asked { csg: self.requester.stage(), next: self.asked() };
        self.sequence.check(&response, self.login, asked).map_err(protocol)?;
        if self.is_sending() {
            // The answer to a request with the C bit (RFC 7143 section 6.2).
            if response.continued || !pdu.data.is_empty() {
                return Err(protocol("the target answers text that is not complete"));
            }
            self.send_piece();
            return Ok(());
        }
        self.text.push(&pdu.data).map_err(|error| protocol(error.to_string()))?;
        if response.continued {
            self.send(Bytes::new(), false);
            return Ok(());
        }
        let text = self.text.take();
        let pairs: Vec<_> = Pairs::parse(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| protocol(format!("the text of the response: {error}")))?;
        match self.requester.answer(response.nsg, &pairs)? {
            Progress::Ask(request) => self.ask(request),
            Progress::Done(parameters) => self.complete(*parameters, &response),
        }
        Ok(())
    }

    /// Starts to send a group of pairs.
    fn ask(&mut self, request: Request) {
        let mut writer = TextWriter::new();
        for (key, value) in &request.pairs {
            writer.pair(key, value);
        }
        // The default holds during login (RFC 7143 section 6.3), but a target that declared less may mean it.
        let room = self.requester.peer_max_segment().min(Parameters::default().peer_max_segment);
        self.next = request.next;
        self.unsent = Some(pieces(Bytes::from(writer.finish()), room as usize));
        self.send_piece();
    }

    fn send_piece(&mut self) {
        if let Some(piece) = self.unsent.as_mut().and_then(Iterator::next) {
            self.send(piece, self.is_sending());
        }
    }

    /// Whether text is left after the piece that was sent last.
    fn is_sending(&self) -> bool {
        self.unsent.as_ref().is_some_and(|pieces| !pieces.is_done())
    }

    /// The stage that the request under way asks for: none while its text goes on.
    fn asked(&self) -> Option<Stage> {
        self.next.filter(|_| !self.is_sending())
    }

    fn send(&mut self, text: Bytes, continued: bool) {
        let nsg = self.next.filter(|_| !continued);
        let request = LoginRequest {
            transit: nsg.is_some(),
            continued,
            csg: self.requester.stage(),
            nsg,
            version_max: VERSION,
            version_min: VERSION,
            isid: self.login.isid,
            tsih: Tsih::NEW,
            itt: self.login.itt,
            cid: CID,
            cmd_sn: self.login.cmd_sn,
            exp_stat_sn: self.sequence.exp_stat_sn(),
        };
        self.outbox = Some((request, text));
    }

    fn complete(&mut self, parameters: Parameters, response: &LoginResponse) {
        self.phase = Phase::Ready(Box::new(Attached {
            tsih: response.tsih,
            cid: CID,
            session_type: self.session_type,
            parameters,
            portal_group_tag: self.requester.portal_group_tag(),
            target: self.target.clone(),
            target_alias: self.requester.target_alias().map(str::to_owned),
            cmd_sn: self.login.cmd_sn,
            max_cmd_sn: response.max_cmd_sn,
            exp_stat_sn: self.sequence.exp_stat_sn(),
        }));
        self.event = Some(OutgoingEvent::Ready);
    }

    /// The target ends the login.
    fn refused(&mut self, status: LoginStatus, text: &[u8]) {
        if !status.is_redirection() {
            let failure = LoginFailure::refused(status, self.proofs, self.requester.algorithm());
            return self.end(OutgoingEvent::Failed(failure), None);
        }
        match read_redirect(status, text, self.target.as_ref()) {
            Ok(redirect) => self.end(OutgoingEvent::Redirected(redirect), None),
            Err(why) => {
                let why = format!("the target redirects the login, but {why}");
                let failure = LoginFailure { status: Some(status), ..LoginFailure::protocol(why.clone()) };
                self.end(OutgoingEvent::Failed(failure), Some(PeerError::Login { status: status.0, why }));
            }
        }
    }

    /// This end gives up.
    fn broken(&mut self, why: GiveUp) {
        // Not to agree breaks no rule.
        let error = (why.trouble == Trouble::Protocol)
            .then(|| PeerError::Login { status: LoginStatus::TARGET_ERROR.0, why: why.why.clone() });
        let failure = LoginFailure::gave_up(why, self.proofs, self.requester.algorithm());
        self.end(OutgoingEvent::Failed(failure), error);
    }

    fn end(&mut self, event: OutgoingEvent, error: Option<PeerError>) {
        self.phase = Phase::Over(error);
        self.event = Some(event);
        self.outbox = None;
        self.unsent = None;
        let _ = self.text.take();
    }
}

fn protocol(why: impl Into<String>) -> GiveUp {
    GiveUp { trouble: Trouble::Protocol, why: why.into() }
}
