//! An initiator in memory for the login tests: it writes requests byte by byte, and reads the answers.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use bytes::{Buf, Bytes};
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::login::{Account, Admission, Authentication, ChapPolicy, Hello, Offer, Secret};
use iscsicore::target::{Incoming, IncomingEvent};
use iscsicore::wire::{
    BHS_LEN, Bhs, Cid, CmdSn, Isid, Itt, LoginRequest, LoginResponse, Stage, StatSn, Tsih,
};
use iscsicore::{Instant, Limits, PeerError};

pub const SECURITY: Stage = Stage::SecurityNegotiation;
pub const OPERATIONAL: Stage = Stage::LoginOperationalNegotiation;
pub const FULL: Stage = Stage::FullFeature;

pub const NAMES: &str = "InitiatorName=iqn.2024-01.com.example:host TargetName=iqn.2024-01.com.example:disk";
pub const INITIATOR_SECRET: &str = "initiator secret 1";
pub const TARGET_SECRET: &str = "target secret 2";

/// What came back for a request.
#[derive(Debug, Clone)]
pub struct Reply {
    pub header: LoginResponse,
    /// The pairs, separated by one space.
    pub text: String,
    pub data_len: usize,
}

/// A connection, and what its initiator puts into the fields that do not change.
pub struct Conversation {
    pub incoming: Incoming,
    pub template: LoginRequest,
    pub admission: Option<Admission>,
    pub hello: Option<Hello>,
    pub ready: bool,
    pub error: Option<PeerError>,
    rx: Receiver,
    tx: Transmitter,
}

pub fn open() -> Admission {
    Admission {
        authentication: Authentication::None,
        offer: Offer::default(),
        portal_group_tag: Some(1),
        target_alias: None,
    }
}

pub fn account(name: &str, secret: &str) -> Account {
    Account { name: name.into(), secret: Secret::new(secret) }
}

pub fn chap() -> Admission {
    let policy =
        ChapPolicy::new(vec![account("somebody else", "another secret"), account("host", INITIATOR_SECRET)]);
    Admission { authentication: Authentication::Chap(policy), ..open() }
}

pub fn mutual() -> Admission {
    let mut policy = ChapPolicy::new(vec![account("host", INITIATOR_SECRET)]);
    policy.mutual = Some(account("disk", TARGET_SECRET));
    Admission { authentication: Authentication::Chap(policy), ..open() }
}

impl Conversation {
    pub fn new(admission: Admission) -> Self {
        Self::with_limits(admission, Limits::default())
    }

    pub fn with_limits(admission: Admission, limits: Limits) -> Self {
        let template = LoginRequest {
            transit: false,
            continued: false,
            csg: OPERATIONAL,
            nsg: None,
            version_max: 0,
            version_min: 0,
            isid: Isid([0x40, 0, 1, 0x37, 0, 0]),
            tsih: Tsih(0),
            itt: Itt(77),
            cid: Cid(3),
            cmd_sn: CmdSn(123),
            exp_stat_sn: StatSn(0),
        };
        let rx = Receiver::new(&limits);
        Conversation {
            incoming: Incoming::new(limits, [7; 32], Instant::ZERO),
            template,
            admission: Some(admission),
            hello: None,
            ready: false,
            error: None,
            rx,
            tx: Transmitter::new(),
        }
    }

    /// Sends pairs separated by spaces, in stage `csg`, asking for `nsg`; gives the one reply.
    pub fn ask(&mut self, csg: Stage, nsg: impl Into<Option<Stage>>, text: &str) -> Reply {
        self.replies(csg, nsg, text).pop().expect("a reply")
    }

    pub fn replies(&mut self, csg: Stage, nsg: impl Into<Option<Stage>>, text: &str) -> Vec<Reply> {
        let nsg = nsg.into();
        let request = LoginRequest { transit: nsg.is_some(), csg, nsg, ..self.template };
        self.exchange(request.emit(), &encode(text))
    }

    /// Sends a piece of text with the C bit.
    pub fn ask_continued(&mut self, csg: Stage, data: &[u8]) -> Reply {
        let request = LoginRequest { continued: true, csg, ..self.template };
        self.exchange(request.emit(), data).pop().expect("a reply")
    }

    pub fn ask_raw(&mut self, csg: Stage, data: &[u8]) -> Reply {
        let request = LoginRequest { csg, ..self.template };
        self.exchange(request.emit(), data).pop().expect("a reply")
    }

    /// Sends a PDU as it is, answers Hello with the admission, and collects what comes back.
    pub fn exchange(&mut self, mut bhs: Bhs, data: &[u8]) -> Vec<Reply> {
        bhs.set_data_segment_len(data.len() as u32);
        let mut bytes = bhs.0.to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.feed(bytes)
    }

    pub fn feed(&mut self, bytes: Vec<u8>) -> Vec<Reply> {
        if let Err(error) = self.rx.push(Bytes::from(bytes)) {
            self.error = Some(error.into());
        }
        self.pump();
        self.drain()
    }

    fn pump(&mut self) {
        if let Err(error) = self.incoming.receive(Instant::ZERO, &mut self.rx) {
            self.error = Some(error);
        }
        while let Some(event) = self.incoming.poll_event() {
            match event {
                IncomingEvent::Hello(hello) => {
                    self.hello = Some(hello);
                    if let Some(admission) = self.admission.take() {
                        self.incoming.admit(admission).expect("terms that can be given");
                    }
                }
                IncomingEvent::Ready => self.ready = true,
            }
        }
    }

    pub fn drain(&mut self) -> Vec<Reply> {
        self.incoming.transmit(Instant::ZERO, &mut self.tx);
        let mut bytes = self.tx.copy_to_bytes(self.tx.remaining());
        let mut replies = Vec::new();
        while bytes.has_remaining() {
            let mut bhs = Bhs([0; BHS_LEN]);
            bytes.copy_to_slice(&mut bhs.0);
            let len = bhs.data_segment_len() as usize;
            let data = bytes.split_to(len);
            bytes.advance(len.next_multiple_of(4) - len);
            let header = LoginResponse::parse(&bhs).expect("a login response");
            let text =
                String::from_utf8(data.to_vec()).expect("UTF-8").replace('\0', " ").trim_end().to_owned();
            replies.push(Reply { header, text, data_len: len });
        }
        replies
    }

    /// The status of the reply to a first request in the operational stage, after the names.
    pub fn status_of(mut self, text: &str) -> u16 {
        self.ask(OPERATIONAL, None, &format!("{NAMES} {text}")).header.status.0
    }

    pub fn assert_failed(&self, status: u16) {
        assert!(self.incoming.is_closing(), "the connection is to be closed");
        assert!(!self.ready);
        match &self.error {
            // `admit` reports through `failure`.
            Some(PeerError::Login { status: s, .. }) => assert_eq!(*s, status),
            None => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(
            self.incoming.failure().map(|f| f.status.0),
            Some(status),
            "{:?}",
            self.incoming.failure()
        );
    }
}

/// `a=b c=d` as text of a PDU.
pub fn encode(text: &str) -> Vec<u8> {
    text.split_whitespace().flat_map(|pair| [pair.as_bytes(), &[0]].concat()).collect()
}

pub fn pairs(text: &str) -> Vec<(&str, &str)> {
    text.split_whitespace().filter_map(|pair| pair.split_once('=')).collect()
}

pub fn joined(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
}
