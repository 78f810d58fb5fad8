//! A scripted target in memory for the tests of the initiator's login: it reads requests, and answers byte by byte.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use bytes::{Buf, Bytes};
use iscsicore::initiator::{Credentials, LoginFailure, LoginRequestConfig, Outgoing, OutgoingEvent};
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::login::chap::response;
use iscsicore::login::{Account, ChapAlgorithm, Offer, Secret};
use iscsicore::wire::text::{IscsiName, encode_hex, parse_binary};
use iscsicore::wire::{
    BHS_LEN, Bhs, CmdSn, Isid, LoginRequest, LoginResponse, LoginStatus, Stage, StatSn, Tsih,
};
use iscsicore::{Instant, Limits, PeerError};

pub const SECURITY: Stage = Stage::SecurityNegotiation;
pub const OPERATIONAL: Stage = Stage::LoginOperationalNegotiation;
pub const FULL: Stage = Stage::FullFeature;

pub const HOST: &str = "iqn.2024-01.com.example:host";
pub const DISK: &str = "iqn.2024-01.com.example:disk";
pub const OWN_SECRET: &str = "initiator secret 1";
pub const TARGET_SECRET: &str = "target secret 2";

/// The offers of a normal session with `Offer::default()`.
pub const OFFERS: &str = "MaxRecvDataSegmentLength=262144 HeaderDigest=CRC32C,None DataDigest=CRC32C,None \
    MaxConnections=1 InitialR2T=No ImmediateData=Yes MaxBurstLength=1048576 FirstBurstLength=262144 \
    DefaultTime2Wait=0 DefaultTime2Retain=0 DataPDUInOrder=Yes DataSequenceInOrder=Yes ErrorRecoveryLevel=0 \
    MaxOutstandingR2T=16";

/// Answers to them that change something in every key.
pub const ANSWERS: &str = "MaxRecvDataSegmentLength=65536 HeaderDigest=None DataDigest=CRC32C MaxConnections=1 \
    InitialR2T=Yes ImmediateData=No MaxBurstLength=524288 FirstBurstLength=131072 DefaultTime2Wait=3 \
    DefaultTime2Retain=0 DataPDUInOrder=Yes DataSequenceInOrder=Yes ErrorRecoveryLevel=0 MaxOutstandingR2T=2";

pub const SEED: [u8; 32] = [9; 32];

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub header: LoginRequest,
    pub bhs: Bhs,
    /// The pairs, separated by one space.
    pub text: String,
    pub data: Vec<u8>,
}

impl Asked {
    /// Stage, stage asked for, text.
    pub fn says(&self) -> (Stage, Option<Stage>, &str) {
        (self.header.csg, self.header.nsg, &self.text)
    }
}

/// A connection, and what its target puts into the numbers of its responses.
pub struct Talk {
    pub outgoing: Outgoing,
    pub stat_sn: StatSn,
    pub last: Option<Asked>,
    pub error: Option<PeerError>,
    rx: Receiver,
    tx: Transmitter,
}

pub fn name(name: &str) -> IscsiName {
    IscsiName::parse(name).expect("a name")
}

pub fn account(name: &str, secret: &str) -> Account {
    Account { name: name.into(), secret: Secret::new(secret) }
}

pub fn config() -> LoginRequestConfig {
    LoginRequestConfig {
        initiator: name(HOST),
        initiator_alias: None,
        target: Some(name(DISK)),
        isid: Isid([0x40, 0, 1, 0x37, 0, 5]),
        credentials: None,
        offer: Offer::default(),
    }
}

pub fn discovery() -> LoginRequestConfig {
    LoginRequestConfig { target: None, ..config() }
}

pub fn chap() -> LoginRequestConfig {
    LoginRequestConfig { credentials: Some(Credentials::new(account("host", OWN_SECRET))), ..config() }
}

pub fn mutual() -> LoginRequestConfig {
    let credentials = Credentials {
        target: Some(account("disk", TARGET_SECRET)),
        ..Credentials::new(account("host", OWN_SECRET))
    };
    LoginRequestConfig { credentials: Some(credentials), ..config() }
}

impl Talk {
    pub fn new(config: LoginRequestConfig) -> Self {
        Self::with_limits(config, Limits::default())
    }

    pub fn with_limits(config: LoginRequestConfig, limits: Limits) -> Self {
        let rx = Receiver::new(&limits);
        Talk {
            outgoing: Outgoing::new(config, limits, SEED, Instant::ZERO),
            stat_sn: StatSn(u32::MAX),
            last: None,
            error: None,
            rx,
            tx: Transmitter::new(),
        }
    }

    /// A login that has come to the operational stage; its offers were read.
    pub fn operational(config: LoginRequestConfig) -> Self {
        Self::operational_with(config, Limits::default())
    }

    pub fn operational_with(config: LoginRequestConfig, limits: Limits) -> Self {
        let mut talk = Self::with_limits(config, limits);
        talk.asked();
        talk.answer(OPERATIONAL, "TargetPortalGroupTag=1 AuthMethod=None");
        talk.asked();
        talk
    }

    /// The next request; there must be exactly one.
    pub fn asked(&mut self) -> Asked {
        self.ask().expect("a request")
    }

    pub fn ask(&mut self) -> Option<Asked> {
        self.outgoing.transmit(Instant::ZERO, &mut self.tx);
        let mut bytes = self.tx.copy_to_bytes(self.tx.remaining());
        if bytes.is_empty() {
            return None;
        }
        let mut bhs = Bhs([0; BHS_LEN]);
        bytes.copy_to_slice(&mut bhs.0);
        let len = bhs.data_segment_len() as usize;
        let data = bytes.split_to(len).to_vec();
        bytes.advance(len.next_multiple_of(4) - len);
        assert!(bytes.is_empty(), "one request at a time");
        let header = LoginRequest::parse(&bhs).expect("a login request");
        let text = String::from_utf8_lossy(&data).replace('\0', " ").trim_end().to_owned();
        self.last = Some(Asked { header, bhs, text, data });
        self.last.clone()
    }

    /// The response that is right for the last request, with the next StatSN; stays in the stage.
    pub fn response(&mut self) -> LoginResponse {
        let asked = self.last.as_ref().expect("a request").header;
        self.stat_sn = self.stat_sn.next();
        LoginResponse {
            transit: false,
            continued: false,
            csg: asked.csg,
            nsg: None,
            version_max: 0,
            version_active: 0,
            isid: asked.isid,
            tsih: Tsih(0),
            itt: asked.itt,
            stat_sn: self.stat_sn,
            exp_cmd_sn: asked.cmd_sn,
            max_cmd_sn: asked.cmd_sn.plus(31),
            status: LoginStatus::SUCCESS,
        }
    }

    /// Answers with pairs that spaces separate, going to `next` unless it is `None`.
    pub fn answer(&mut self, next: impl Into<Option<Stage>>, text: &str) {
        let next = next.into();
        self.answer_with(text, |response| {
            (response.transit, response.nsg) = (next.is_some(), next);
            if next == Some(FULL) {
                response.tsih = Tsih(0x1234);
            }
        });
    }

    /// Answers with a response that `change` has had its hands on.
    pub fn answer_with(&mut self, text: &str, change: impl FnOnce(&mut LoginResponse)) {
        let mut response = self.response();
        change(&mut response);
        self.push(response.emit(), &encode(text));
    }

    /// Refuses the login.
    pub fn refuse(&mut self, status: LoginStatus, text: &str) {
        self.answer_with(text, |response| response.status = status);
    }

    pub fn push(&mut self, bhs: Bhs, data: &[u8]) {
        self.feed(pdu(bhs, data));
    }

    pub fn feed(&mut self, bytes: Vec<u8>) {
        if let Err(error) = self.rx.push(Bytes::from(bytes)) {
            self.error = Some(error.into());
        }
        if let Err(error) = self.outgoing.receive(Instant::ZERO, &mut self.rx) {
            self.error = Some(error);
        }
    }

    /// The login has failed, nothing more is sent, and the connection is to be closed: why.
    pub fn failed(&mut self) -> LoginFailure {
        assert!(self.ask().is_none(), "nothing is sent after a failure");
        assert!(!self.outgoing.is_ready());
        assert_eq!(self.outgoing.poll_timeout(), None);
        match self.outgoing.poll_event() {
            Some(OutgoingEvent::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// It has failed because the target broke the protocol, in words that have `part`.
    #[track_caller]
    pub fn broken(&mut self, part: &str) {
        let failure = self.failed();
        assert!(failure.why.contains(part), "{failure}");
        assert!(!failure.passing);
        match self.error.take() {
            Some(PeerError::Login { why, .. }) => assert_eq!(why, failure.why),
            Some(PeerError::Frame(_)) => {}
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn ready(&mut self) {
        assert_eq!(self.outgoing.poll_event(), Some(OutgoingEvent::Ready));
        assert!(self.outgoing.is_ready() && self.error.is_none());
    }
}

pub fn pdu(mut bhs: Bhs, data: &[u8]) -> Vec<u8> {
    bhs.set_data_segment_len(data.len() as u32);
    let mut bytes = bhs.0.to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `a=b c=d` as text of a PDU.
pub fn encode(text: &str) -> Vec<u8> {
    text.split_whitespace().flat_map(|pair| [pair.as_bytes(), &[0]].concat()).collect()
}

/// `text` with the pair of one key replaced by `pair`, or left out where that is empty.
pub fn with(text: &str, key: &str, pair: &str) -> String {
    let of_key = |p: &&str| p.split('=').next() == Some(key);
    assert_eq!(text.split_whitespace().filter(of_key).count(), 1, "{key}");
    let pairs = text.split_whitespace().map(|p| if of_key(&p) { pair } else { p });
    pairs.filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The value of a key in a text.
pub fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_whitespace().filter_map(|p| p.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v)
}

/// The CmdSN that `SEED` brings.
pub fn first_cmd_sn() -> CmdSn {
    CmdSn(iscsicore::login::Entropy::new(SEED).word())
}

/// What a target that has `secret` answers to the challenge in `text`.
pub fn chap_proof(algorithm: u64, text: &str, secret: &str) -> String {
    let identifier = value(text, "CHAP_I").and_then(|i| i.parse().ok()).expect("CHAP_I");
    let challenge = parse_binary(value(text, "CHAP_C").expect("CHAP_C"), 1024).expect("a challenge");
    let algorithm = ChapAlgorithm::from_code(algorithm).expect("an algorithm");
    encode_hex(&response(algorithm, identifier, &Secret::new(secret), &challenge))
}
