//! A target that a test plays PDU by PDU, against the real initiator. The login is left to the target role.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod bench;

use core::num::NonZeroU32;
use core::time::Duration;

use bytes::{Buf, Bytes};
use iscsicore::initiator::{Command, DownReason, Event, LoginRequestConfig, Outcome};
use iscsicore::link::{Placement, Receiver, TaskId, Transmitter};
use iscsicore::login::Parameters;
use iscsicore::wire::text::IscsiName;
use iscsicore::wire::{
    AsyncEvent, AsyncMessage, Bhs, CmdSn, DataIn, DataOut, DataSn, InitiatorPdu, Isid, Itt, LogoutRequest,
    LogoutResponse, LogoutResult, Lun, NopIn, NopOut, R2t, R2tSn, Reject, RejectReason, Residual,
    ScsiCommand, ScsiResponse, StatSn, TargetPdu, TaskManagementRequest, TaskManagementResponse,
    TaskManagementResult, TextRequest, TextResponse, Ttt,
};
use iscsicore::{DataList, Instant, Limits};

use crate::pair_support::{Far, INITIATOR, Near, Setup, TARGET};

/// What the initiator sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub pdu: InitiatorPdu,
    pub data: Bytes,
}

pub struct Script {
    pub near: Near,
    pub now: Instant,
    pub agreed: Parameters,
    /// The StatSN of the next status.
    pub stat_sn: StatSn,
    pub exp_cmd_sn: CmdSn,
    pub max_cmd_sn: CmdSn,
    decoder: Receiver,
    encoder: Transmitter,
    logins: u8,
}

impl Script {
    pub fn new() -> Self {
        Script::with(&Setup::default())
    }

    /// Logs in as `setup` says. The window is as wide as the target's queue.
    pub fn with(setup: &Setup) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let near = Near::new(setup.near_limits.clone(), setup.feed);
        let wide = {
            let mut limits = Limits::default();
            limits.login_segment = 1 << 24;
            limits
        };
        let mut script = Script {
            near,
            now,
            agreed: Parameters::default(),
            stat_sn: StatSn(0),
            exp_cmd_sn: CmdSn(0),
            max_cmd_sn: CmdSn(0),
            decoder: Receiver::new(&wide),
            encoder: Transmitter::new(),
            logins: 0,
        };
        script.log_in(setup);
        script
    }

    /// Opens a connection, in place of the last one.
    pub fn log_in(&mut self, setup: &Setup) {
        let mut far = Far::new(setup.far.clone(), setup.far_limits.clone(), 8, setup.seed);
        let name = |text| IscsiName::parse(text).expect("a name");
        let config = LoginRequestConfig {
            initiator: name(INITIATOR),
            initiator_alias: None,
            target: (!setup.discovery).then(|| name(TARGET)),
            isid: Isid([0x80, 0, 0, 0, 0, 1]),
            credentials: None,
            offer: setup.near.clone(),
        };
        far.connect(self.now);
        self.logins += 1;
        self.near.log_in(config, [self.logins; 32], self.now);
        let mut answers = Receiver::new(&setup.near_limits);
        while self.near.conn.is_none() {
            let requests = self.near.take(self.now);
            assert!(!requests.is_empty(), "a login that goes on");
            far.give(self.now, requests);
            let bytes = far.take(self.now);
            answers.push(bytes.clone()).expect("a stream of PDUs");
            while let Some(pdu) = answers.next_pdu(|_| Placement::Stage).expect("a stream of PDUs") {
                let Ok(TargetPdu::LoginResponse(answer)) = TargetPdu::parse(&pdu.bhs) else { continue };
                self.stat_sn = answer.stat_sn.next();
                (self.exp_cmd_sn, self.max_cmd_sn) = (answer.exp_cmd_sn, answer.max_cmd_sn);
            }
            self.near.give(self.now, &bytes);
        }
        self.agreed = far.target().parameters().clone();
        let (header, data) = (self.agreed.header_digest, self.agreed.data_digest);
        let mut wide = Limits::default();
        wide.login_segment = 1 << 24;
        (self.decoder, self.encoder) = (Receiver::new(&wide), Transmitter::new());
        self.decoder.set_digests(header, data);
        self.encoder.set_digests(header, data);
    }

    /// What the initiator has sent since the last call. CmdSN is kept track of.
    pub fn sent(&mut self) -> Vec<Sent> {
        let bytes = self.near.take(self.now);
        self.decoder.push(bytes).expect("a stream of PDUs");
        let mut sent = Vec::new();
        while let Some(pdu) = self.decoder.next_pdu(|_| Placement::Stage).expect("a stream of PDUs") {
            let parsed = InitiatorPdu::parse(&pdu.bhs).expect("a PDU of an initiator");
            let numbered = match &parsed {
                InitiatorPdu::ScsiCommand(c) if !c.immediate => Some(c.cmd_sn),
                InitiatorPdu::TaskManagementRequest(r) if !r.immediate => Some(r.cmd_sn),
                InitiatorPdu::TextRequest(r) if !r.immediate => Some(r.cmd_sn),
                InitiatorPdu::LogoutRequest(r) if !r.immediate => Some(r.cmd_sn),
                InitiatorPdu::NopOut(r) if !r.immediate => Some(r.cmd_sn),
                _ => None,
            };
            if let Some(sn) = numbered {
                assert_eq!(sn, self.exp_cmd_sn, "{parsed}");
                self.exp_cmd_sn = sn.next();
                self.max_cmd_sn = self.max_cmd_sn.next();
            }
            sent.push(Sent { pdu: parsed, data: pdu.data });
        }
        sent
    }

    /// The one PDU that the initiator has sent.
    pub fn sent_one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub fn quiet(&mut self) {
        let sent = self.sent();
        assert!(sent.is_empty(), "{sent:?}");
    }

    /// Submits a command and takes its PDU; unsolicited Data-Out PDUs come with the next [`sent`](Self::sent).
    pub fn submit(&mut self, command: Command) -> (TaskId, ScsiCommand) {
        let task = self.near.submit(self.now, command);
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        (task, sent.remove(0).command())
    }

    /// The next StatSN.
    pub fn next_status(&mut self) -> StatSn {
        let sn = self.stat_sn;
        self.stat_sn = sn.next();
        sn
    }

    /// Sends a PDU with a data segment.
    pub fn send_with(&mut self, pdu: impl Into<TargetPdu>, data: &[u8]) {
        self.send_raw(pdu.into().emit(), data);
    }

    pub fn send(&mut self, pdu: impl Into<TargetPdu>) {
        self.send_with(pdu, &[]);
    }

    pub fn send_raw(&mut self, bhs: Bhs, data: &[u8]) {
        let bytes = self.encode(bhs, data);
        self.give(&bytes);
    }

    /// A PDU as bytes, with the digests that were agreed on.
    pub fn encode(&mut self, bhs: Bhs, data: &[u8]) -> Bytes {
        self.encoder.push(bhs, DataList::from(data.to_vec()));
        let len = self.encoder.remaining();
        self.encoder.copy_to_bytes(len)
    }

    pub fn give(&mut self, bytes: &Bytes) {
        self.near.give(self.now, bytes);
    }

    pub fn later(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(next) = self.near.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let before = self.near.poll_timeout();
            self.near.handle_timeout(self.now);
            assert!(self.near.poll_timeout() != before, "a deadline that is not acted on");
        }
        self.now = end;
        self.near.handle_timeout(end);
    }

    pub fn near_limits(&self) -> &Limits {
        self.near.limits()
    }

    /// How a command ended, if it has.
    pub fn outcome(&mut self, task: TaskId) -> Option<Outcome> {
        self.near.drain();
        self.near.done.get(&task).map(|done| done.outcome.clone())
    }

    /// The connection ended because of what the target did.
    #[track_caller]
    pub fn assert_refused(&mut self) {
        self.near.drain();
        assert!(matches!(self.near.down, Some(DownReason::Peer(_))), "{:?}", self.near.down);
        assert_eq!(self.near.errors.len(), 1, "{:?}", self.near.errors);
    }

    #[track_caller]
    pub fn assert_up(&mut self) {
        self.near.drain();
        assert_eq!(self.near.down, None);
        assert!(self.near.errors.is_empty(), "{:?}", self.near.errors);
    }

    pub fn events(&mut self) -> Vec<Event> {
        self.near.drain();
        std::mem::take(&mut self.near.events)
    }

    /// GOOD for a command.
    pub fn good(&mut self, itt: Itt) -> ScsiResponse {
        ScsiResponse {
            response: ScsiResponse::COMPLETED,
            status: 0,
            residual: Residual::None,
            bidi_read_residual: Residual::None,
            itt,
            snack_tag: 0,
            stat_sn: self.next_status(),
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
            exp_data_sn: DataSn(0),
            status_qualifier: 0,
        }
    }

    /// Payload without status, the last of its sequence.
    pub fn data_in(&self, itt: Itt, data_sn: u32, offset: u32) -> DataIn {
        DataIn {
            final_: true,
            acknowledge: false,
            status: None,
            residual: Residual::None,
            lun: Lun::ZERO,
            itt,
            ttt: Ttt::RESERVED,
            stat_sn: StatSn(0),
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
            data_sn: DataSn(data_sn),
            offset,
        }
    }

    /// Payload with status GOOD.
    pub fn last_data_in(&mut self, itt: Itt, data_sn: u32, offset: u32) -> DataIn {
        let stat_sn = self.next_status();
        DataIn { status: Some(0), stat_sn, ..self.data_in(itt, data_sn, offset) }
    }

    pub fn r2t(&self, itt: Itt, r2t_sn: u32, offset: u32, len: u32) -> R2t {
        R2t {
            lun: Lun::ZERO,
            itt,
            ttt: Ttt(0x1000 + r2t_sn),
            stat_sn: self.stat_sn,
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
            r2t_sn: R2tSn(r2t_sn),
            offset,
            len: NonZeroU32::new(len).expect("bytes to ask for"),
        }
    }

    /// A NOP-In that asks for an answer.
    pub fn ping(&self, ttt: u32) -> NopIn {
        NopIn {
            lun: Lun::ZERO,
            itt: Itt::RESERVED,
            ttt: Ttt(ttt),
            stat_sn: self.stat_sn,
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
        }
    }

    /// The answer to a ping of the initiator.
    pub fn pong(&mut self, to: &NopOut) -> NopIn {
        NopIn { lun: to.lun, itt: to.itt, stat_sn: self.next_status(), ..self.ping(Ttt::RESERVED.0) }
    }

    pub fn reject(&mut self, reason: RejectReason) -> Reject {
        Reject {
            reason,
            stat_sn: self.next_status(),
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
            data_sn: DataSn(0),
        }
    }

    pub fn message(&mut self, event: AsyncEvent) -> AsyncMessage {
        AsyncMessage {
            event,
            vendor_code: 0,
            lun: Lun::ZERO,
            stat_sn: self.next_status(),
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
            parameter1: 0,
            parameter2: 0,
            parameter3: 0,
        }
    }

    pub fn management_response(&mut self, itt: Itt, result: TaskManagementResult) -> TaskManagementResponse {
        TaskManagementResponse {
            result,
            additional: [0; 3],
            itt,
            stat_sn: self.next_status(),
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
        }
    }

    pub fn logout_response(&mut self, itt: Itt, result: LogoutResult) -> LogoutResponse {
        LogoutResponse {
            result,
            itt,
            stat_sn: self.next_status(),
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
            time2wait: 0,
            time2retain: 0,
        }
    }

    pub fn text_response(&mut self, itt: Itt, ttt: Ttt) -> TextResponse {
        TextResponse {
            final_: ttt.is_reserved(),
            continued: false,
            lun: Lun::ZERO,
            itt,
            ttt,
            stat_sn: self.next_status(),
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
        }
    }
}

macro_rules! kinds {
    ($($name:ident: $variant:ident($type:ty);)*) => {
        impl Sent {
            $(#[track_caller]
            pub fn $name(&self) -> $type {
                match self.pdu {
                    InitiatorPdu::$variant(pdu) => pdu,
                    other => panic!(concat!("a ", stringify!($variant), ": {}"), other),
                }
            })*
        }
    };
}

kinds! {
    command: ScsiCommand(ScsiCommand);
    data_out: DataOut(DataOut);
    management: TaskManagementRequest(TaskManagementRequest);
    text: TextRequest(TextRequest);
    logout: LogoutRequest(LogoutRequest);
    nop_out: NopOut(NopOut);
}
