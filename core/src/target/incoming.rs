//! A connection until it is part of a session: the login phase, target side (RFC 7143 sections 4.2.4 and 6.3).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::link::{Pdu, Placement, Receiver, Transmitter};
use crate::login::stage::Stages;
use crate::login::{
    Admission, Authentication, Entropy, Failure, Hello, Leading, Pair, Parameters, Responder,
};
use crate::wire::text::{Pairs, TextWriter};
use crate::wire::{Bhs, LoginRequest, LoginResponse, LoginStatus, Opcode, Stage, StatSn, Tsih};
use crate::{DataList, Instant, Limits, Misuse, PeerError};

mod fields;
#[cfg(test)]
mod tests;

pub(crate) use fields::Established;
use fields::Login;

/// The one version of the protocol (RFC 7143 section 11.12.4).
const VERSION: u8 = 0;

/// What a login needs from whoever knows targets and sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IncomingEvent {
    /// Somebody wants to log in: answer with [`Incoming::admit`], [`Incoming::refuse`] or [`Incoming::redirect`].
    Hello(Hello),
    /// The login is complete but for its last answer: make a [`Target`](super::Target) of the connection, or
    /// refuse it.
    Ready,
}

/// For how long a target has moved to the address that an initiator is sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    /// The initiator should ask here again next time.
    Temporarily,
    /// The initiator should ask there from now on.
    Permanently,
}

/// One connection from its start to the end of its login.
///
/// Feed it with [`receive`](Self::receive); after any call drain [`poll_event`](Self::poll_event),
/// [`transmit`](Self::transmit), and re-arm [`poll_timeout`](Self::poll_timeout). When
/// [`is_closing`](Self::is_closing), write what is queued and close the connection.
///
/// ```
/// use iscsicore::link::{Receiver, Transmitter};
/// use iscsicore::target::{Incoming, IncomingEvent};
/// use iscsicore::wire::LoginStatus;
/// use iscsicore::{Instant, Limits};
///
/// let (now, limits) = (Instant::ZERO, Limits::default());
/// let (mut rx, mut tx) = (Receiver::new(&limits), Transmitter::new());
/// let seed = [0x5a; 32]; // 32 bytes from the system's generator
/// let mut incoming = Incoming::new(limits, seed, now);
/// // Whenever bytes have arrived in `rx`:
/// incoming.receive(now, &mut rx)?;
/// while let Some(event) = incoming.poll_event() {
///     match event {
///         IncomingEvent::Hello(_) => incoming.refuse(LoginStatus::NOT_FOUND, "there are no targets here")?,
///         IncomingEvent::Ready => {} // make a session of it
///     }
/// }
/// incoming.transmit(now, &mut tx); // and write what `tx` holds
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Incoming {
    limits: Limits,
    deadline: Instant,
    phase: Phase,
    event: Option<IncomingEvent>,
    outbox: VecDeque<(LoginResponse, Bytes)>,
    /// Moves into the responder when the login is admitted.
    entropy: Option<Entropy>,
    stat_sn: StatSn,
    /// What all requests of the login have in common, from the first.
    login: Option<Login>,
    stages: Stages,
    requests: u32,
    /// Text of the group that is being received.
    text: Vec<u8>,
    /// Text of the answer that is being sent, as far as it has not been.
    unsent: Bytes,
    hello: Option<Hello>,
    responder: Option<Responder>,
    parameters: Option<Parameters>,
    portal_group_tag: Option<u16>,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Phase {
    /// The next request is due.
    Reading,
    /// The first group of pairs is complete, and waits for its terms.
    Hello(Request),
    /// The last answer waits for the session that it belongs to.
    Ready(Box<LoginResponse>, Bytes),
    /// The login has failed.
    Closing,
}

/// What a request asks for beside its text.
#[derive(Clone, Copy, Debug)]
struct Request {
    csg: Stage,
    next: Option<Stage>,
}

impl Incoming {
    /// Starts with a connection that was just accepted.
    ///
    /// `seed` must be unpredictable and of no other use: challenges come from it.
    pub fn new(limits: Limits, seed: [u8; 32], now: Instant) -> Self {
        let mut entropy = Entropy::new(seed);
        Incoming {
            deadline: now + limits.login_timeout,
            limits,
            phase: Phase::Reading,
            event: None,
            outbox: VecDeque::new(),
            stat_sn: StatSn(entropy.word()),
            entropy: Some(entropy),
            login: None,
            stages: Stages::default(),
            requests: 0,
            text: Vec::new(),
            unsent: Bytes::new(),
            hello: None,
            responder: None,
            parameters: None,
            portal_group_tag: None,
            failure: None,
        }
    }

    /// Takes the PDUs that `rx` has, until one raises an event that is to be answered.
    ///
    /// # Errors
    ///
    /// The peer is to blame, and the connection is to be closed; a login response that says why is queued if the
    /// login had begun.
    pub fn receive(&mut self, _now: Instant, rx: &mut Receiver) -> Result<(), PeerError> {
        while matches!(self.phase, Phase::Reading) {
            match rx.next_pdu(|_| Placement::Stage) {
                Ok(Some(pdu)) => self.take(&pdu)?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.fail(Failure::new(LoginStatus::INITIATOR_ERROR, error.to_string()));
                    return Err(PeerError::Frame(error));
                }
            }
        }
        self.outcome()
    }

    /// Queues what is to be sent.
    pub fn transmit(&mut self, _now: Instant, tx: &mut Transmitter) {
        while let Some((response, text)) = self.outbox.pop_front() {
            tx.push(response.emit(), DataList::from(text));
        }
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<IncomingEvent> {
        self.event.take()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    /// Ends a login that takes too long.
    ///
    /// # Errors
    ///
    /// The time is up: close the connection.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerError> {
        if now < self.deadline {
            return Ok(());
        }
        self.close();
        Err(PeerError::TimedOut("the login"))
    }

    /// Lets the login go on, on the terms given. Answers [`IncomingEvent::Hello`].
    ///
    /// What the initiator asked for may fail those terms at once: then [`is_closing`](Self::is_closing).
    ///
    /// # Errors
    ///
    /// No login waits for this, the terms contradict RFC 7143 section 9.2.1, or they offer what the target role does not
    /// carry out. Nothing has changed.
    pub fn admit(&mut self, admission: Admission) -> Result<(), Misuse> {
        let (Phase::Hello(request), Some(hello), Some(login)) = (&self.phase, &self.hello, &self.login)
        else {
            return Err(Misuse::WrongState("no login waits to be admitted"));
        };
        if let Authentication::Chap(policy) = &admission.authentication {
            policy.check()?;
        }
        admission.offer.check_carried_out()?;
        let Some(entropy) = self.entropy.take() else {
            return Err(Misuse::WrongState("the login was admitted before"));
        };
        let request = *request;
        let leading = if login.tsih == Tsih::NEW { Leading::Yes } else { Leading::No };
        self.portal_group_tag = admission.portal_group_tag;
        let answer_limit = self.limits.text_answer_bytes;
        let responder = Responder::new(admission, hello.session_type, leading, entropy, answer_limit);
        self.responder = Some(responder);
        self.event = None;
        self.phase = Phase::Reading;
        if let Err(failure) = self.answer_group(request) {
            self.fail(failure);
        }
        Ok(())
    }

    /// Refuses the login. Answers [`IncomingEvent::Hello`] or [`IncomingEvent::Ready`]; `why` is for the log.
    ///
    /// # Errors
    ///
    /// No login waits for an answer, or the status is no refusal. Nothing has changed.
    pub fn refuse(&mut self, status: LoginStatus, why: &str) -> Result<(), Misuse> {
        self.expect_waiting()?;
        if status.is_success() || status.is_redirection() {
            return Err(Misuse::InvalidArgument("a status that refuses nothing"));
        }
        self.fail(Failure::new(status, why));
        Ok(())
    }

    /// Sends the initiator to another address: `host`, `host:port`, or the same with an IPv6 address in brackets.
    /// Answers [`IncomingEvent::Hello`] or [`IncomingEvent::Ready`].
    ///
    /// # Errors
    ///
    /// No login waits for an answer, or the address is empty, too long, or has a portal group tag, which RFC 7143
    /// section 13.8 forbids here. Nothing has changed.
    pub fn redirect(&mut self, moved: Moved, address: &str) -> Result<(), Misuse> {
        self.expect_waiting()?;
        let printable = address.bytes().all(|b| b.is_ascii_graphic());
        if address.is_empty() || address.len() > 255 || !printable || address.contains(',') {
            return Err(Misuse::InvalidArgument("the address to redirect to"));
        }
        let status = match moved {
            Moved::Temporarily => LoginStatus::MOVED_TEMPORARILY,
            Moved::Permanently => LoginStatus::MOVED_PERMANENTLY,
        };
        let text = encode(&[("TargetAddress".to_owned(), address.to_owned())]);
        self.reject(Failure::new(status, format!("redirected to {address}")), text);
        Ok(())
    }

    /// Who logs in; known from [`IncomingEvent::Hello`] on.
    pub const fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// What was agreed on; known from [`IncomingEvent::Ready`] on.
    pub const fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref()
    }

    /// The CHAP name that the initiator proved.
    pub fn user(&self) -> Option<&str> {
        self.responder.as_ref().and_then(Responder::user)
    }

    /// Why the login failed or was refused, if it was.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Whether the connection is to be closed once what is queued has been sent.
    pub const fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }

    /// Whether the login is complete but for its last answer, so that a session can take the connection over.
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready(..))
    }

    /// Hands the connection to its session, which has the handle `tsih` and sends the final response.
    ///
    /// # Errors
    ///
    /// The login is not complete (see [`is_ready`](Self::is_ready)), or `tsih` is the reserved value 0 or differs
    /// from the handle that the initiator presented.
    pub(crate) fn finish(self, tsih: Tsih) -> Result<Established, Misuse> {
        const TOO_SOON: Misuse = Misuse::WrongState("the login is not complete");
        let user = self.user().map(str::to_owned);
        let login = self.login.ok_or(TOO_SOON)?;
        let (Phase::Ready(response, text), Some(hello), Some(parameters)) =
            (self.phase, self.hello, self.parameters)
        else {
            return Err(TOO_SOON);
        };
        if tsih == Tsih::NEW || login.tsih != Tsih::NEW && login.tsih != tsih {
            return Err(Misuse::InvalidArgument("a TSIH that cannot be this session's"));
        }
        Ok(Established {
            hello,
            parameters,
            next_stat_sn: response.stat_sn.next(),
            response: LoginResponse { tsih, ..*response },
            text,
            exp_cmd_sn: login.cmd_sn,
            user,
            portal_group_tag: self.portal_group_tag,
            limits: self.limits,
        })
    }

    fn expect_waiting(&self) -> Result<(), Misuse> {
        match self.phase {
            Phase::Hello(_) | Phase::Ready(..) => Ok(()),
            _ => Err(Misuse::WrongState("no login waits for an answer")),
        }
    }

    fn take(&mut self, pdu: &Pdu) -> Result<(), PeerError> {
        if pdu.bhs.opcode() != Opcode::LoginRequest && self.login.is_none() {
            self.close();
            return Err(PeerError::Protocol("a PDU before the login"));
        }
        if let Err(failure) = self.take_request(&pdu.bhs, &pdu.data) {
            self.fail(failure);
        }
        self.outcome()
    }

    fn take_request(&mut self, bhs: &Bhs, data: &[u8]) -> Result<(), Failure> {
        if bhs.opcode() != Opcode::LoginRequest {
            return Err(Failure::new(
                LoginStatus::INVALID_DURING_LOGIN,
                format!("{} during login", bhs.opcode().name()),
            ));
        }
        let fields = Login::read(bhs);
        let login = *self.login.get_or_insert(fields);
        login.expect_same(&fields)?;
        self.requests += 1;
        if self.requests > self.limits.login_pdus {
            return Err(initiator_error("the login takes too many requests"));
        }
        if fields.version_min > VERSION {
            return Err(Failure::new(LoginStatus::UNSUPPORTED_VERSION, "no version in common"));
        }
        if !bhs.is_immediate() {
            return Err(initiator_error("a Login Request without the I bit"));
        }
        let header = LoginRequest::parse(bhs).map_err(|error| initiator_error(&error.to_string()))?;
        self.stages.request(header.csg, header.nsg)?;
        let request = Request { csg: header.csg, next: header.nsg };
        if !self.unsent.is_empty() {
            if header.continued || !data.is_empty() {
                return Err(initiator_error("text while an answer is being continued"));
            }
            return self.send_piece(request);
        }
        if self.text.len() + data.len() > self.limits.login_text_bytes {
            return Err(initiator_error("too much text"));
        }
        self.text.extend_from_slice(data);
        if header.continued {
            self.send(request, Step::Stay, Bytes::new());
            return Ok(());
        }
        match self.responder {
            Some(_) => self.answer_group(request),
            None => self.greet(login, request),
        }
    }

    /// The first group of pairs is complete: asks for the terms of the login.
    fn greet(&mut self, login: Login, request: Request) -> Result<(), Failure> {
        let pairs = parse(&self.text)?;
        let hello = crate::login::read_hello(&pairs, login.isid, login.tsih, login.cid)?;
        self.hello = Some(hello.clone());
        self.event = Some(IncomingEvent::Hello(hello));
        self.phase = Phase::Hello(request);
        Ok(())
    }

    /// Answers the group of pairs in `text`.
    fn answer_group(&mut self, request: Request) -> Result<(), Failure> {
        let text = core::mem::take(&mut self.text);
        let pairs = parse(&text)?;
        let Some(responder) = &mut self.responder else { return Ok(()) };
        let answers = responder.answer(request.csg, request.next, &pairs)?;
        if let (Some(hello), Some(alias)) = (&mut self.hello, responder.initiator_alias()) {
            hello.initiator_alias = Some(alias.to_owned());
        }
        self.unsent = encode(&answers);
        self.send_piece(request)
    }

    /// Sends as much of the answer as one response holds; with the last of it, goes to the next stage if both ends
    /// are ready.
    fn send_piece(&mut self, request: Request) -> Result<(), Failure> {
        let Some(responder) = &self.responder else { return Ok(()) };
        // The default holds during login (RFC 7143 section 6.3), but an initiator that declared less may mean it.
        let room = responder.peer_max_segment().min(Parameters::default().peer_max_segment) as usize;
        if self.unsent.len() > room {
            let piece = self.unsent.split_to(room);
            self.send(request, Step::Continue, piece);
            return Ok(());
        }
        let next = match request.next {
            Some(next) if responder.may_leave(request.csg)? => next,
            _ => {
                let text = core::mem::take(&mut self.unsent);
                self.send(request, Step::Stay, text);
                return Ok(());
            }
        };
        // Operational keys are negotiated in their own stage: before it there is nothing to agree on.
        let parameters = if next == Stage::FullFeature { Some(responder.parameters()?) } else { None };
        let text = core::mem::take(&mut self.unsent);
        self.stages.advance(next);
        if let Some(parameters) = parameters {
            if let Some(response) = self.response(request, Step::Go(next)) {
                self.parameters = Some(parameters);
                self.phase = Phase::Ready(Box::new(response), text);
                self.event = Some(IncomingEvent::Ready);
            }
        } else {
            self.send(request, Step::Go(next), text);
        }
        Ok(())
    }

    fn send(&mut self, request: Request, step: Step, text: Bytes) {
        if let Some(response) = self.response(request, step) {
            self.outbox.push_back((response, text));
        }
    }

    /// A response of status "success", with the next StatSN.
    fn response(&mut self, request: Request, step: Step) -> Option<LoginResponse> {
        let login = self.login?;
        let stat_sn = self.stat_sn;
        self.stat_sn = stat_sn.next();
        let nsg = match step {
            Step::Go(next) => Some(next),
            Step::Stay | Step::Continue => None,
        };
        Some(LoginResponse {
            transit: nsg.is_some(),
            continued: matches!(step, Step::Continue),
            csg: request.csg,
            nsg,
            version_max: VERSION,
            version_active: VERSION,
            isid: login.isid,
            tsih: login.tsih,
            itt: login.itt,
            stat_sn,
            exp_cmd_sn: login.cmd_sn,
            max_cmd_sn: login.cmd_sn.plus(self.limits.queue_depth.saturating_sub(1)),
            status: LoginStatus::SUCCESS,
        })
    }

    fn fail(&mut self, failure: Failure) {
        self.reject(failure, Bytes::new());
    }

    /// Queues a response that ends the login, if it had begun, and remembers why.
    fn reject(&mut self, failure: Failure, text: Bytes) {
        let request = Request { csg: Stage::SecurityNegotiation, next: None };
        if let Some(response) = self.response(request, Step::Stay) {
            self.outbox.push_back((LoginResponse { status: failure.status, ..response }, text));
        }
        self.failure = Some(failure);
        self.close();
    }

    fn close(&mut self) {
        self.phase = Phase::Closing;
        self.event = None;
        self.text = Vec::new();
        self.unsent = Bytes::new();
        self.responder = None;
    }

    /// The failure of the login, as an error.
    fn outcome(&self) -> Result<(), PeerError> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(PeerError::Login { status: failure.status.0, why: failure.why.clone() }),
        }
    }
}

/// What a response does with the stage and the text.
#[derive(Clone, Copy)]
enum Step {
    Stay,
    Continue,
    Go(Stage),
}

fn parse(text: &[u8]) -> Result<Vec<(&str, &str)>, Failure> {
    Pairs::parse(text).collect::<Result<_, _>>().map_err(|error| initiator_error(&error.to_string()))
}

fn encode(pairs: &[Pair]) -> Bytes {
    let mut writer = TextWriter::new();
    for (key, value) in pairs {
        writer.pair(key, value);
    }
    Bytes::from(writer.finish())
}

fn initiator_error(why: &str) -> Failure {
    Failure::new(LoginStatus::INITIATOR_ERROR, why)
}
