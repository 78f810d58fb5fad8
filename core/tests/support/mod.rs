//! A scripted initiator over memory, and a small application behind the target: what the tests of the target share.
#![allow(dead_code, unreachable_pub)]

pub mod app;
pub mod flow;

use bytes::{Buf, Bytes};
use iscsicore::link::{Placement, Receiver, Transmitter};
use iscsicore::login::{Admission, Authentication, Offer, SessionType};
use iscsicore::session::ConnId;
use iscsicore::target::{Event, Incoming, IncomingEvent, Target};
use iscsicore::wire::text::TextWriter;
use iscsicore::wire::{
    Bhs, Cid, CmdSn, InitiatorPdu, Isid, Itt, LoginRequest, LogoutReason, LogoutRequest, Lun, NopOut, Reject,
    RejectReason, ScsiCommand, ScsiResponse, Stage, StatSn, TargetPdu, TaskAttribute, TaskManagementFunction,
    TaskManagementRequest, TaskManagementResponse, TextRequest, Tsih, Ttt,
};
use iscsicore::{DataList, Instant, Limits, PeerError, TransportError};

pub const TARGET: &str = "iqn.2026-11.example:target";
pub const INITIATOR: &str = "iqn.2026-11.example:initiator";
pub const FIRST_CMD_SN: CmdSn = CmdSn(u32::MAX - 2);
pub const CID: Cid = Cid(7);

/// What a session is to be like.
#[derive(Clone)]
pub struct Setup {
    pub offer: Offer,
    pub limits: Limits,
    pub keys: Vec<(&'static str, String)>,
    pub discovery: bool,
    pub cmd_sn: CmdSn,
}

impl Default for Setup {
    fn default() -> Self {
        let mut offer = Offer::default();
        offer.max_segment = 65536;
        let mut limits = Limits::default();
        limits.queue_depth = 8;
        Setup { offer, limits, keys: Vec::new(), discovery: false, cmd_sn: FIRST_CMD_SN }
    }
}

impl Setup {
    pub fn key(mut self, key: &'static str, value: impl ToString) -> Self {
        self.keys.push((key, value.to_string()));
        self
    }

    pub fn offer(mut self, change: impl FnOnce(&mut Offer)) -> Self {
        change(&mut self.offer);
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub fn discovery() -> Self {
        Setup { discovery: true, ..Setup::default() }
    }

    pub fn digests(self) -> Self {
        self.key("HeaderDigest", "CRC32C").key("DataDigest", "CRC32C")
    }

    pub fn connect(&self) -> Session {
        Session::connect(self)
    }
}

/// A PDU of the target, as the initiator has it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub pdu: TargetPdu,
    pub data: Bytes,
    pub bhs: Bhs,
}

/// One session with both ends in hand.
pub struct Session {
    pub target: Target,
    pub conn: ConnId,
    pub now: Instant,
    /// CmdSN of the next request that is not immediate.
    pub cmd_sn: CmdSn,
    /// StatSN that the next status must have.
    pub stat_sn: StatSn,
    pub exp_cmd_sn: CmdSn,
    pub max_cmd_sn: CmdSn,
    pub rx: Receiver,
    pub tx: Transmitter,
    pub encoder: Transmitter,
    pub decoder: Receiver,
    /// While set, what the target sends stays in `tx`: the initiator does not read.
    pub deaf: bool,
    /// Whether `stat_sn` was learnt from the first PDU.
    synchronized: bool,
    next_itt: u32,
    segment: usize,
}

impl Session {
    fn connect(setup: &Setup) -> Session {
        let now = Instant::from_nanos(1_000_000_000);
        let mut login = Login::new(setup, Tsih::NEW, CID, now);
        login.run(setup);
        let Login { incoming, rx, tx, encoder, decoder, .. } = login;
        let (target, conn) = Target::new(incoming, Tsih(1), now).expect("a complete login");
        let segment = target.parameters().peer_max_segment as usize;
        let mut session = Session {
            target,
            conn,
            now,
            cmd_sn: setup.cmd_sn,
            stat_sn: StatSn(0),
            synchronized: false,
            exp_cmd_sn: setup.cmd_sn,
            max_cmd_sn: setup.cmd_sn,
            rx,
            tx,
            encoder,
            decoder,
            deaf: false,
            next_itt: 1,
            segment,
        };
        session.finish_login();
        session
    }

    /// Takes the last Login Response, and what it brings into force.
    fn finish_login(&mut self) {
        self.decoder.set_max_segment(1 << 24);
        let answers = self.answers();
        let [Answer { pdu: TargetPdu::LoginResponse(last), .. }] = &answers[..] else {
            panic!("the last Login Response alone: {answers:?}")
        };
        assert_eq!((last.nsg, last.tsih), (Some(Stage::FullFeature), self.target.tsih()));
        let (header, data) = (self.target.parameters().header_digest, self.target.parameters().data_digest);
        self.encoder.set_digests(header, data);
        self.decoder.set_digests(header, data);
    }

    /// Opens another connection of the same session, in place of the old one.
    pub fn reinstate(&mut self, setup: &Setup, cid: Cid) -> Result<(), iscsicore::Misuse> {
        let mut login = Login::new(setup, self.target.tsih(), cid, self.now);
        login.cmd_sn = self.cmd_sn;
        login.run(setup);
        let conn = self.target.reinstate(login.incoming, self.now)?;
        (self.rx, self.tx, self.encoder, self.decoder) = (login.rx, login.tx, login.encoder, login.decoder);
        (self.conn, self.synchronized) = (conn, false);
        self.finish_login();
        Ok(())
    }

    /// Offers the session a connection whose login was for a new one.
    pub fn reinstate_with_a_new_session(&mut self, setup: &Setup) -> Result<ConnId, iscsicore::Misuse> {
        let mut login = Login::new(setup, Tsih::NEW, CID, self.now);
        login.run(setup);
        self.target.reinstate(login.incoming, self.now)
    }

    pub fn itt(&mut self) -> Itt {
        self.next_itt += 1;
        Itt(self.next_itt)
    }

    /// The CmdSN for a request, and the one after it.
    fn take_sn(&mut self, immediate: bool) -> CmdSn {
        let sn = self.cmd_sn;
        if !immediate {
            self.cmd_sn = sn.next();
        }
        sn
    }

    pub fn read(&mut self, expected: u32) -> ScsiCommand {
        let mut command = self.plain();
        command.read = true;
        command.expected_len = expected;
        command.cdb = app::cdb(app::READ, expected);
        command
    }

    pub fn write(&mut self, expected: u32) -> ScsiCommand {
        let mut command = self.plain();
        command.write = true;
        command.expected_len = expected;
        command.cdb = app::cdb(app::WRITE, expected);
        command
    }

    /// A command without data, numbered.
    pub fn plain(&mut self) -> ScsiCommand {
        ScsiCommand {
            immediate: false,
            final_: true,
            read: false,
            write: false,
            attribute: TaskAttribute::Simple,
            priority: 0,
            lun: Lun::ZERO,
            itt: self.itt(),
            expected_len: 0,
            cmd_sn: self.take_sn(false),
            exp_stat_sn: self.stat_sn,
            cdb: app::cdb(app::NONE, 0),
        }
    }

    /// A command without data that is immediate.
    pub fn immediate(&mut self) -> ScsiCommand {
        let mut command = self.plain();
        self.cmd_sn = command.cmd_sn;
        command.immediate = true;
        command
    }

    pub fn nop(&mut self, immediate: bool) -> NopOut {
        NopOut {
            immediate,
            lun: Lun::ZERO,
            itt: self.itt(),
            ttt: Ttt::RESERVED,
            cmd_sn: self.take_sn(immediate),
            exp_stat_sn: self.stat_sn,
        }
    }

    pub fn text(&mut self) -> TextRequest {
        TextRequest {
            immediate: false,
            final_: true,
            continued: false,
            lun: Lun::ZERO,
            itt: self.itt(),
            ttt: Ttt::RESERVED,
            cmd_sn: self.take_sn(false),
            exp_stat_sn: self.stat_sn,
        }
    }

    pub fn logout(&mut self, reason: LogoutReason) -> LogoutRequest {
        LogoutRequest {
            immediate: true,
            reason,
            itt: self.itt(),
            cid: CID,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.stat_sn,
        }
    }

    /// An immediate task management request.
    pub fn management(&mut self, function: TaskManagementFunction) -> TaskManagementRequest {
        TaskManagementRequest {
            immediate: true,
            function,
            lun: Lun::ZERO,
            itt: self.itt(),
            referenced_itt: Itt::RESERVED,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.stat_sn,
            ref_cmd_sn: CmdSn(0),
            exp_data_sn: iscsicore::wire::DataSn(0),
        }
    }

    pub fn abort_of(&mut self, command: &ScsiCommand) -> TaskManagementRequest {
        let mut request = self.management(TaskManagementFunction::AbortTask);
        request.lun = command.lun;
        request.referenced_itt = command.itt;
        request.ref_cmd_sn = command.cmd_sn;
        request
    }

    pub fn send(&mut self, pdu: impl Into<InitiatorPdu>) {
        self.send_with(pdu, &[]);
    }

    pub fn send_with(&mut self, pdu: impl Into<InitiatorPdu>, data: &[u8]) {
        self.try_send(pdu.into().emit(), &[], data).expect("a PDU that the target takes");
    }

    pub fn send_owned(&mut self, pdu: impl Into<InitiatorPdu>, data: Bytes) {
        self.encoder.push(pdu.into().emit(), DataList::from(data));
        self.feed().expect("a PDU that the target takes");
    }

    /// Sends anything at all.
    pub fn try_send(&mut self, bhs: Bhs, ahs: &[u8], data: &[u8]) -> Result<(), PeerError> {
        self.encoder.push_with_ahs(bhs, ahs, DataList::from(data.to_vec()));
        self.feed()
    }

    /// Sends a PDU whose data digest is wrong.
    pub fn send_damaged(&mut self, pdu: impl Into<InitiatorPdu>, data: &[u8]) {
        self.encoder.push(pdu.into().emit(), DataList::from(data.to_vec()));
        let mut bytes = drain(&mut self.encoder).to_vec();
        *bytes.last_mut().expect("a digest") ^= 1;
        self.rx.push(bytes.into()).expect("a receiver that goes on");
        self.receive().expect("a PDU that the target takes");
    }

    /// Moves what the initiator has to send to the target.
    pub fn feed(&mut self) -> Result<(), PeerError> {
        let bytes = drain(&mut self.encoder);
        self.rx.push(bytes).expect("a receiver that goes on");
        self.receive()
    }

    pub fn receive(&mut self) -> Result<(), PeerError> {
        self.target.receive(self.now, self.conn, &mut self.rx)
    }

    /// What the target has to say, each PDU checked for what all of them have to obey.
    pub fn answers(&mut self) -> Vec<Answer> {
        self.target.transmit(self.now, self.conn, &mut self.tx);
        if self.deaf {
            return Vec::new();
        }
        let bytes = drain(&mut self.tx);
        self.decoder.push(bytes).expect("a decoder that goes on");
        let mut answers = Vec::new();
        while let Some(pdu) = self.decoder.next_pdu(|_| Placement::Stage).expect("a stream of PDUs") {
            assert_ne!(pdu.digest, iscsicore::link::SegmentDigest::Bad);
            assert!(pdu.data.len() <= self.segment, "{} bytes of data", pdu.data.len());
            let parsed = TargetPdu::parse(&pdu.bhs).unwrap_or_else(|e| panic!("{e}: {:?}", pdu.bhs));
            self.check_counters(&parsed, &pdu.bhs);
            answers.push(Answer { pdu: parsed, data: pdu.data, bhs: pdu.bhs });
        }
        // A transmitter that was emptied lets the session go on.
        self.target.transmit(self.now, self.conn, &mut self.tx);
        answers
    }

    fn check_counters(&mut self, pdu: &TargetPdu, bhs: &Bhs) {
        let word = |at: usize| u32::from_be_bytes([bhs.0[at], bhs.0[at + 1], bhs.0[at + 2], bhs.0[at + 3]]);
        let (stat_sn, expected, max) = (StatSn(word(24)), CmdSn(word(28)), CmdSn(word(32)));
        assert!(max.distance_from(expected) >= -1, "MaxCmdSN {max:?} ExpCmdSN {expected:?}");
        assert!(!expected.is_before(self.exp_cmd_sn) && !max.is_before(self.max_cmd_sn), "{pdu:?}");
        (self.exp_cmd_sn, self.max_cmd_sn) = (expected, max);
        let advances = match pdu {
            TargetPdu::DataIn(data) if data.status.is_none() => return,
            TargetPdu::R2t(_) => false,
            TargetPdu::NopIn(nop) => !nop.itt.is_reserved(),
            _ => true,
        };
        if !self.synchronized {
            (self.stat_sn, self.synchronized) = (stat_sn, true);
        }
        assert_eq!(stat_sn, self.stat_sn, "{pdu:?}");
        if advances {
            self.stat_sn = stat_sn.next();
        }
    }

    /// The one thing that the target says.
    pub fn answer(&mut self) -> Answer {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    pub fn quiet(&mut self) {
        let answers = self.answers();
        assert!(answers.is_empty(), "{answers:?}");
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.target.poll_event()).collect()
    }

    pub fn no_events(&mut self) {
        let events = self.events();
        assert!(events.is_empty(), "{events:?}");
    }

    pub fn later(&mut self, seconds: u64) {
        self.now += std::time::Duration::from_secs(seconds);
        self.target.handle_timeout(self.now);
    }

    pub fn lose(&mut self) {
        self.target.lost(self.now, self.conn, TransportError::Closed);
    }
}

impl Answer {
    pub fn scsi(&self) -> &ScsiResponse {
        match &self.pdu {
            TargetPdu::ScsiResponse(response) => response,
            other => panic!("a SCSI Response: {other:?}"),
        }
    }

    pub fn management(&self) -> &TaskManagementResponse {
        match &self.pdu {
            TargetPdu::TaskManagementResponse(response) => response,
            other => panic!("a Task Management Response: {other:?}"),
        }
    }

    /// A Reject for `reason` of the PDU with this header.
    pub fn assert_reject(&self, reason: RejectReason, of: &Bhs) {
        match &self.pdu {
            TargetPdu::Reject(Reject { reason: told, .. }) => {
                assert_eq!(*told, reason);
                // Lengths are filled in when a PDU is sent.
                let mut header = *of;
                header.0[4..8].copy_from_slice(&self.data[4..8]);
                assert_eq!(self.data[..], header.0[..]);
            }
            other => panic!("a Reject: {other:?}"),
        }
    }

    /// Sense key, code and qualifier of a CHECK CONDITION with sense data of fixed format.
    pub fn sense(&self) -> (u8, u8, u8) {
        assert_eq!(self.scsi().status, 0x02);
        let len = usize::from(u16::from_be_bytes([self.data[0], self.data[1]]));
        assert_eq!(self.data.len(), 2 + len);
        (self.data[4] & 0x0f, self.data[14], self.data[15])
    }
}

/// All bytes that wait in a transmitter.
pub fn drain(tx: &mut Transmitter) -> Bytes {
    let len = tx.remaining();
    tx.copy_to_bytes(len)
}

/// The initiator's side of a login, and the target's until it is a session.
struct Login {
    incoming: Incoming,
    rx: Receiver,
    tx: Transmitter,
    encoder: Transmitter,
    decoder: Receiver,
    tsih: Tsih,
    cid: Cid,
    cmd_sn: CmdSn,
    now: Instant,
}

impl Login {
    fn new(setup: &Setup, tsih: Tsih, cid: Cid, now: Instant) -> Self {
        let limits = setup.limits.clone();
        Login {
            rx: Receiver::new(&limits),
            decoder: Receiver::new(&limits),
            incoming: Incoming::new(limits, [7; 32], now),
            tx: Transmitter::new(),
            encoder: Transmitter::new(),
            tsih,
            cid,
            cmd_sn: setup.cmd_sn,
            now,
        }
    }

    /// Logs in, as far as that is the business of this end.
    fn run(&mut self, setup: &Setup) {
        let mut text = TextWriter::new();
        text.pair("InitiatorName", INITIATOR);
        if setup.discovery {
            text.pair("SessionType", "Discovery");
        } else {
            text.pair("TargetName", TARGET);
            text.pair("SessionType", "Normal");
        }
        // What belongs to the session is said in its first login only.
        let leading = self.tsih == Tsih::NEW;
        let own = |key: &str| leading || key.ends_with("Digest") || key == "MaxRecvDataSegmentLength";
        setup.keys.iter().filter(|(key, _)| own(key)).for_each(|(key, value)| text.pair(key, value));
        let request = LoginRequest {
            transit: true,
            continued: false,
            csg: Stage::LoginOperationalNegotiation,
            nsg: Some(Stage::FullFeature),
            version_max: 0,
            version_min: 0,
            isid: Isid([0x80, 0, 0, 1, 2, 3]),
            tsih: self.tsih,
            itt: Itt(1),
            cid: self.cid,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: StatSn(0),
        };
        self.step(request, text.finish());
        let Some(IncomingEvent::Hello(hello)) = self.incoming.poll_event() else { panic!("no hello") };
        let discovery = hello.session_type == SessionType::Discovery;
        assert_eq!(discovery, setup.discovery);
        let admission = Admission {
            authentication: Authentication::None,
            offer: setup.offer.clone(),
            portal_group_tag: (!discovery).then_some(1),
            target_alias: None,
        };
        self.incoming.admit(admission).expect("terms that are fine");
        for _ in 0..8 {
            if let Some(IncomingEvent::Ready) = self.incoming.poll_event() {
                return;
            }
            self.incoming.transmit(self.now, &mut self.tx);
            self.decoder.push(drain(&mut self.tx)).expect("a decoder that goes on");
            let pdu = self.decoder.next_pdu(|_| Placement::Stage).expect("a PDU").expect("an answer");
            let TargetPdu::LoginResponse(response) = TargetPdu::parse(&pdu.bhs).expect("a PDU") else {
                panic!("a Login Response")
            };
            assert!(response.status.is_success(), "{:?} {:?}", response, self.incoming.failure());
            self.step(request, Vec::new());
        }
        panic!("a login without an end")
    }

    fn step(&mut self, request: LoginRequest, text: Vec<u8>) {
        self.encoder.push(request.emit(), DataList::from(text));
        self.rx.push(drain(&mut self.encoder)).expect("a receiver that goes on");
        self.incoming.receive(self.now, &mut self.rx).expect("a login that is fine");
    }
}
