//! What an onlooker on the wire can hold against the initiator: every PDU is parsed once more, and checked against the
//! rules that the login agreed on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use iscsicore::Limits;
use iscsicore::link::{Pdu, Placement, Receiver, SegmentDigest};
use iscsicore::login::Parameters;
use iscsicore::wire::{
    CmdSn, DataOut, InitiatorPdu, Itt, Lun, NopIn, NopOut, R2t, ScsiCommand, StatSn, TargetPdu, Ttt,
};

/// A PDU that passed by.
#[derive(Clone, Debug)]
pub enum Seen {
    Out(InitiatorPdu, Bytes),
    In(TargetPdu, Bytes),
}

/// An R2T that was not answered completely.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    ttt: Ttt,
    lun: Lun,
    /// Where the next byte is to come from.
    at: u32,
    end: u32,
    data_sn: u32,
}

#[derive(Debug)]
struct Task {
    command: ScsiCommand,
    /// Unsolicited bytes sent, and whether more are owed.
    unsolicited: u32,
    owes: bool,
    data_sn: u32,
    r2ts: VecDeque<Wanted>,
    /// Bytes of Data-In.
    received: u32,
    /// DataSN of the next Data-In, R2TSN of the next R2T: a bidirectional command has one count for both.
    next_sn: u32,
}

pub struct Monitor {
    /// All that passed by.
    pub seen: Vec<Seen>,
    /// The most R2Ts of one task that were outstanding at a time.
    pub most_r2ts: usize,
    agreed: Parameters,
    out: Receiver,
    into: Receiver,
    tasks: BTreeMap<u32, Task>,
    /// Tags of commands that the target has answered. Data that was under way for them is no offence.
    ended: BTreeSet<u32>,
    /// Tasks that owe unsolicited data, in the order of their commands.
    owing: VecDeque<u32>,
    cmd_sn: Option<CmdSn>,
    max_cmd_sn: Option<CmdSn>,
    /// The StatSN after the last one that the initiator was told.
    stat_sn: Option<StatSn>,
    exp_stat_sn: Option<StatSn>,
    pings: Vec<NopIn>,
    strict_data_in: bool,
}

impl Monitor {
    /// Watches a connection whose login has just ended; `agreed` is what the target has of it.
    pub fn new(agreed: &Parameters) -> Self {
        let mut limits = Limits::default();
        limits.login_segment = 1 << 24;
        let receiver = || {
            let mut rx = Receiver::new(&limits);
            rx.set_digests(agreed.header_digest, agreed.data_digest);
            rx
        };
        Monitor {
            seen: Vec::new(),
            most_r2ts: 0,
            out: receiver(),
            into: receiver(),
            agreed: agreed.clone(),
            tasks: BTreeMap::new(),
            ended: BTreeSet::new(),
            owing: VecDeque::new(),
            cmd_sn: None,
            max_cmd_sn: None,
            stat_sn: None,
            exp_stat_sn: None,
            pings: Vec::new(),
            strict_data_in: true,
        }
    }

    /// For a target that sends Data-In in an order of its own.
    pub fn any_order_of_data_in(&mut self) {
        self.strict_data_in = false;
    }

    /// Commands that the target has not answered.
    pub fn outstanding(&self) -> usize {
        self.tasks.len()
    }

    /// PDUs of the initiator since the last call.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// Bytes that the initiator sends.
    pub fn outbound(&mut self, bytes: &Bytes) {
        self.out.push(bytes.clone()).expect("a stream that goes on");
        while let Some(pdu) = self.out.next_pdu(|_| Placement::Stage).expect("PDUs with good digests") {
            self.check_digest(&pdu);
            assert!(
                pdu.data.len() <= self.agreed.local_max_segment as usize,
                "{} bytes in a PDU to a target that takes {}",
                pdu.data.len(),
                self.agreed.local_max_segment
            );
            let parsed = InitiatorPdu::parse(&pdu.bhs).expect("a PDU of an initiator");
            self.check_out(&parsed, &pdu.data);
            self.seen.push(Seen::Out(parsed, pdu.data));
        }
    }

    /// Bytes that reach the initiator.
    pub fn inbound(&mut self, bytes: &Bytes) {
        self.into.push(bytes.clone()).expect("a stream that goes on");
        while let Some(pdu) = self.into.next_pdu(|_| Placement::Stage).expect("PDUs with good digests") {
            self.check_digest(&pdu);
            assert!(pdu.data.len() <= self.agreed.peer_max_segment as usize, "{} bytes", pdu.data.len());
            let parsed = TargetPdu::parse(&pdu.bhs).expect("a PDU of a target");
            self.check_in(&parsed, &pdu);
            self.seen.push(Seen::In(parsed, pdu.data));
        }
    }

    fn check_digest(&self, pdu: &Pdu) {
        let used = self.agreed.data_digest && !pdu.data.is_empty();
        assert_eq!(pdu.digest, if used { SegmentDigest::Good } else { SegmentDigest::NotUsed });
    }

    fn check_out(&mut self, pdu: &InitiatorPdu, data: &Bytes) {
        match pdu {
            InitiatorPdu::ScsiCommand(c) => {
                self.numbered(c.immediate, c.cmd_sn, c.exp_stat_sn);
                self.command(c, data);
            }
            InitiatorPdu::DataOut(d) => {
                self.acknowledged(d.exp_stat_sn);
                self.data_out(d, data.len() as u32);
            }
            InitiatorPdu::TaskManagementRequest(r) => self.numbered(r.immediate, r.cmd_sn, r.exp_stat_sn),
            InitiatorPdu::TextRequest(r) => self.numbered(r.immediate, r.cmd_sn, r.exp_stat_sn),
            InitiatorPdu::LogoutRequest(r) => self.numbered(r.immediate, r.cmd_sn, r.exp_stat_sn),
            InitiatorPdu::NopOut(nop) => {
                self.numbered(nop.immediate, nop.cmd_sn, nop.exp_stat_sn);
                self.nop_out(nop);
            }
            other => panic!("not in the full-feature phase, not at this error recovery level: {other}"),
        }
    }

    /// CmdSN counts what is not immediate, and stays within the window; ExpStatSN does not run ahead or back.
    fn numbered(&mut self, immediate: bool, sn: CmdSn, exp_stat_sn: StatSn) {
        let expected = *self.cmd_sn.get_or_insert(sn);
        assert_eq!(sn, expected, "CmdSN");
        if !immediate {
            assert!(
                self.max_cmd_sn.is_none_or(|max| !sn.is_after(max)),
                "{sn:?} beyond {:?}",
                self.max_cmd_sn
            );
            self.cmd_sn = Some(sn.next());
        }
        self.acknowledged(exp_stat_sn);
    }

    fn acknowledged(&mut self, sn: StatSn) {
        assert!(self.stat_sn.is_none_or(|next| !sn.is_after(next)), "{sn:?} acknowledges what never came");
        assert!(self.exp_stat_sn.is_none_or(|before| !sn.is_before(before)), "{sn:?} takes back");
        self.exp_stat_sn = Some(sn);
    }

    fn command(&mut self, command: &ScsiCommand, data: &Bytes) {
        let (agreed, len) = (&self.agreed, data.len() as u32);
        let most = agreed.first_burst.min(command.expected_len);
        assert!(!command.itt.is_reserved());
        if !command.write {
            assert!(command.final_ && len == 0, "payload of a command that writes nothing: {command}");
        }
        assert!(len == 0 || agreed.immediate_data, "immediate data: {command}");
        assert!(len <= most, "{len} bytes of immediate data where {most} are allowed");
        assert!(command.final_ || !agreed.initial_r2t, "unsolicited data: {command}");
        assert!(command.final_ || len < most, "nothing is left for unsolicited PDUs: {command}");
        if !command.final_ {
            self.owing.push_back(command.itt.0);
        }
        self.ended.remove(&command.itt.0);
        let task = Task {
            command: *command,
            unsolicited: len,
            owes: !command.final_,
            data_sn: 0,
            r2ts: VecDeque::new(),
            received: 0,
            next_sn: 0,
        };
        assert!(self.tasks.insert(command.itt.0, task).is_none(), "{:?} is in use", command.itt);
    }

    fn data_out(&mut self, data: &DataOut, len: u32) {
        let agreed = &self.agreed;
        let Some(task) = self.tasks.get_mut(&data.itt.0) else {
            assert!(self.ended.contains(&data.itt.0), "Data-Out of no command: {data}");
            self.owing.retain(|itt| *itt != data.itt.0);
            return;
        };
        if data.ttt.is_reserved() {
            assert!(task.owes, "unsolicited data that was not announced: {data}");
            assert_eq!(self.owing.front(), Some(&data.itt.0), "unsolicited data in the order of commands");
            assert_eq!((data.data_sn.0, data.offset), (task.data_sn, task.unsolicited), "{data}");
            task.data_sn += 1;
            task.unsolicited += len;
            let most = agreed.first_burst.min(task.command.expected_len);
            assert!(
                task.unsolicited <= most,
                "{} unsolicited bytes where {most} are allowed",
                task.unsolicited
            );
            assert_eq!(
                data.final_,
                task.unsolicited == most,
                "all unsolicited data, and the F bit at its end"
            );
            if data.final_ {
                task.owes = false;
                self.owing.pop_front();
            }
            return;
        }
        let wanted = task.r2ts.front_mut().unwrap_or_else(|| panic!("an answer to no R2T: {data}"));
        assert_eq!((data.ttt, data.lun), (wanted.ttt, wanted.lun), "R2Ts in their order");
        assert_eq!((data.data_sn.0, data.offset), (wanted.data_sn, wanted.at), "{data}");
        wanted.data_sn += 1;
        wanted.at += len;
        assert!(wanted.at <= wanted.end, "more than the R2T asked for: {data}");
        assert_eq!(data.final_, wanted.at == wanted.end, "the F bit ends the sequence: {data}");
        if data.final_ {
            task.r2ts.pop_front();
        }
    }

    fn nop_out(&mut self, nop: &NopOut) {
        if nop.ttt.is_reserved() {
            assert!(nop.immediate || !nop.itt.is_reserved());
            return;
        }
        // RFC 7143 section 11.18: the answer to a ping names it, has its LUN, and asks for nothing.
        let at = self.pings.iter().position(|ping| ping.ttt == nop.ttt).expect("the answer to a ping");
        let ping = self.pings.remove(at);
        assert_eq!((nop.itt, nop.lun), (Itt::RESERVED, ping.lun));
        assert!(nop.immediate, "a NOP-Out without a task is immediate");
    }

    fn check_in(&mut self, pdu: &TargetPdu, raw: &Pdu) {
        let word = |at: usize| u32::from_be_bytes(raw.bhs.0[at..at + 4].try_into().expect("four bytes"));
        let (stat_sn, expected, max) = (StatSn(word(24)), CmdSn(word(28)), CmdSn(word(32)));
        if max.distance_from(expected) >= -1 && self.max_cmd_sn.is_none_or(|before| max.is_after(before)) {
            self.max_cmd_sn = Some(max);
        }
        match pdu {
            TargetPdu::R2t(r2t) => return self.r2t(r2t),
            TargetPdu::DataIn(data) => {
                let len = raw.data.len() as u32;
                let task = self.tasks.get_mut(&data.itt.0).expect("Data-In of a command");
                if self.strict_data_in {
                    assert_eq!((data.data_sn.0, data.offset), (task.next_sn, task.received), "{data}");
                }
                task.next_sn += 1;
                task.received += len;
                if data.status.is_none() {
                    return;
                }
                self.end(data.itt);
            }
            TargetPdu::ScsiResponse(response) => self.end(response.itt),
            TargetPdu::NopIn(nop) => {
                if !nop.ttt.is_reserved() {
                    self.pings.push(*nop);
                }
                if nop.itt.is_reserved() {
                    return;
                }
            }
            _ => {}
        }
        self.stat_sn = Some(stat_sn.next());
    }

    fn end(&mut self, itt: Itt) {
        self.tasks.remove(&itt.0);
        self.ended.insert(itt.0);
        self.owing.retain(|owing| *owing != itt.0);
    }

    fn r2t(&mut self, r2t: &R2t) {
        let len = r2t.len.get();
        assert!(len <= self.agreed.max_burst, "an R2T for {len} bytes");
        let Some(task) = self.tasks.get_mut(&r2t.itt.0) else { return };
        assert_eq!(r2t.r2t_sn.0, task.next_sn, "{r2t}");
        task.next_sn += 1;
        let end = r2t.offset + len;
        task.r2ts.push_back(Wanted { ttt: r2t.ttt, lun: r2t.lun, at: r2t.offset, end, data_sn: 0 });
        self.most_r2ts = self.most_r2ts.max(task.r2ts.len());
        assert!(task.r2ts.len() <= usize::from(self.agreed.max_outstanding_r2t), "R2Ts outstanding");
    }
}
