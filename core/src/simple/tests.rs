use bytes::{Buf, Bytes};

use super::*;
use crate::DataList;
use crate::disk::{BlockSize, UnitConfig};
use crate::link::{Pdu, Placement};
use crate::node::{IscsiName, NodeConfig, PortalGroup, TargetConfig, UnitAccess};
use crate::wire::{
    Bhs, Cid, CmdSn, DataIn, DataSn, Isid, Itt, LoginRequest, LoginResponse, LogoutReason, LogoutRequest,
    Lun, Opcode, Residual, ScsiCommand, ScsiResponse, Stage, StatSn, TaskAttribute, TaskManagementFunction,
    TaskManagementRequest, TaskManagementResponse, TaskManagementResult, Tsih,
};

const HERE: &str = "192.0.2.1:3260";
const TARGET: &str = "iqn.2001-04.com.example:disk";
const NOW: Instant = Instant::from_nanos(1_000_000_000);

fn host() -> Host {
    host_with_luns(&[0])
}

/// One unit behind these LUNs.
fn host_with_luns(luns: &[u16]) -> Host {
    let mut target = TargetConfig::new(IscsiName::parse(TARGET).unwrap());
    target.groups.push(PortalGroup::new(1, [HERE.parse().unwrap()]));
    for lun in luns {
        target.luns.insert(*lun, UnitId(0), UnitAccess::ReadWrite).unwrap();
    }
    let mut config = NodeConfig::default();
    config.targets.push(target);
    let unit = LogicalUnit::new(UnitConfig::new("serial-1", BlockSize::B512, 2048));
    Host::new(Node::new(config).unwrap(), vec![unit], Limits::default(), NodeLimits::default())
}

/// An initiator's connection, and the halves of both ends.
struct Peer {
    link: LinkId,
    rx: Receiver,
    tx: Transmitter,
    own_rx: Receiver,
    cmd_sn: u32,
}

impl Peer {
    fn connect(host: &mut Host) -> Self {
        let link = host.connect(NOW, HERE.parse().unwrap(), [7; 32]).unwrap();
        let limits = Limits::default();
        let (rx, own_rx) = (Receiver::new(&limits), Receiver::new(&limits));
        Peer { link, rx, tx: Transmitter::new(), own_rx, cmd_sn: 1 }
    }

    fn say(&mut self, host: &mut Host, bhs: Bhs, text: &str) -> Result<(), PeerError> {
        let mut out = Transmitter::new();
        out.push(bhs, DataList::from(text.as_bytes().to_vec()));
        self.rx.push(out.copy_to_bytes(out.remaining())).unwrap();
        host.receive(NOW, self.link, &mut self.rx)
    }

    fn hear(&mut self, host: &mut Host) -> Vec<Pdu> {
        host.transmit(NOW, self.link, &mut self.tx);
        let bytes: Bytes = self.tx.copy_to_bytes(self.tx.remaining());
        self.own_rx.push(bytes).unwrap();
        core::iter::from_fn(|| self.own_rx.next_pdu(|_| Placement::Stage).unwrap()).collect()
    }

    /// Sends all that a login needs in one request.
    fn ask_to_log_in(
        &mut self,
        host: &mut Host,
        isid: u8,
        tsih: Tsih,
        target: &str,
    ) -> Result<(), PeerError> {
        let request = LoginRequest {
            transit: true,
            continued: false,
            csg: Stage::LoginOperationalNegotiation,
            nsg: Some(Stage::FullFeature),
            version_max: 0,
            version_min: 0,
            isid: Isid([0x80, 0, 0, 0, 0, isid]),
            tsih,
            itt: Itt(0),
            cid: Cid(1),
            cmd_sn: CmdSn(self.cmd_sn),
            exp_stat_sn: StatSn(0),
        };
        // A key of leading connections.
        let retain = if tsih == Tsih::NEW { "DefaultTime2Retain=0\0" } else { "" };
        let text = format!("InitiatorName=iqn.2001-04.com.example:me\0TargetName={target}\0{retain}");
        self.say(host, request.emit(), &text)
    }

    fn log_in(host: &mut Host, isid: u8) -> Self {
        let mut peer = Peer::connect(host);
        peer.ask_to_log_in(host, isid, Tsih::NEW, TARGET).unwrap();
        assert_eq!(peer.login_status(host), Some(0));
        peer
    }

    fn login_status(&mut self, host: &mut Host) -> Option<u16> {
        let pdu = self.hear(host).into_iter().next()?;
        Some(LoginResponse::parse(&pdu.bhs).unwrap().status.0)
    }

    /// Sends a command without data, or that reads `len` bytes.
    fn command(&mut self, host: &mut Host, itt: u32, cdb: &[u8], len: u32) {
        self.command_to(host, Lun(0), itt, cdb, len);
    }

    fn command_to(&mut self, host: &mut Host, lun: Lun, itt: u32, cdb: &[u8], len: u32) {
        let mut whole = [0; 16];
        whole[..cdb.len()].copy_from_slice(cdb);
        let command = ScsiCommand {
            immediate: false,
            final_: true,
            read: len > 0,
            write: false,
            attribute: TaskAttribute::Simple,
            priority: 0,
            lun,
            itt: Itt(itt),
            expected_len: len,
            cmd_sn: CmdSn(self.cmd_sn),
            exp_stat_sn: StatSn(0),
            cdb: whole,
        };
        self.cmd_sn += 1;
        self.say(host, command.emit(), "").unwrap();
    }

    /// The sense key and code of the answer to TEST UNIT READY; zeros for GOOD.
    fn test_unit_ready(&mut self, host: &mut Host) -> (u8, u8, u8) {
        self.command(host, 0x100 + self.cmd_sn, &[0; 6], 0);
        let pdus = self.hear(host);
        let answer = pdus.iter().find(|p| p.bhs.opcode() == Opcode::ScsiResponse).expect("an answer");
        match ScsiResponse::parse(&answer.bhs).unwrap().status {
            0 => (0, 0, 0),
            _ => (answer.data[4] & 0xf, answer.data[14], answer.data[15]),
        }
    }

    /// The length of the payload that came with status GOOD, and its residual.
    fn data_in(&mut self, host: &mut Host) -> (usize, Residual) {
        let pdus = self.hear(host);
        let [pdu] = &pdus[..] else { panic!("one PDU: {pdus:?}") };
        let header = DataIn::parse(&pdu.bhs).unwrap();
        assert_eq!(header.status, Some(0));
        (pdu.data.len(), header.residual)
    }

    /// Takes the unit attentions that wait.
    fn settle_attentions(&mut self, host: &mut Host) {
        for _ in 0..5 {
            if self.test_unit_ready(host) == (0, 0, 0) {
                return;
            }
        }
        panic!("unit attentions without end");
    }

    fn manage(&mut self, host: &mut Host, function: TaskManagementFunction, lun: Lun) {
        let request = TaskManagementRequest {
            immediate: true,
            function,
            lun,
            itt: Itt(0x200),
            referenced_itt: Itt::RESERVED,
            cmd_sn: CmdSn(self.cmd_sn),
            exp_stat_sn: StatSn(0),
            ref_cmd_sn: CmdSn(0),
            exp_data_sn: DataSn(0),
        };
        self.say(host, request.emit(), "").unwrap();
    }

    fn management_result(&mut self, host: &mut Host) -> Option<TaskManagementResult> {
        let pdus = self.hear(host);
        let answer = pdus.iter().find(|p| p.bhs.opcode() == Opcode::TaskManagementResponse)?;
        Some(TaskManagementResponse::parse(&answer.bhs).unwrap().result)
    }
}

/// READ (10) of one block.
const READ: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];

fn block() -> Outcome {
    Outcome::Data(vec![1; 512].into())
}

fn wakes(host: &mut Host) -> Vec<LinkId> {
    core::iter::from_fn(|| host.poll_wake()).collect()
}

#[test]
fn a_command_becomes_a_job_and_its_answer_leaves_with_the_outcome() {
    let mut host = host();
    let mut peer = Peer::log_in(&mut host, 1);
    peer.settle_attentions(&mut host);
    peer.command(&mut host, 1, &READ, 512);
    let job = host.poll_job().expect("a read");
    assert_eq!((job.unit, &job.op), (UnitId(0), &Op::Read { offset: 0, len: 512 }));
    assert!(host.poll_job().is_none());
    assert!(peer.hear(&mut host).is_empty());
    wakes(&mut host);
    host.finish(NOW, job.receipt, block());
    assert_eq!(wakes(&mut host), [peer.link]);
    assert_eq!(&peer.hear(&mut host)[0].data[..], [1; 512]);
}

#[test]
fn a_login_that_is_refused_is_told_why_and_leaves_nothing() {
    let mut host = host();
    let mut peer = Peer::connect(&mut host);
    let refused = peer.ask_to_log_in(&mut host, 1, Tsih::NEW, "iqn.2001-04.com.example:other");
    assert!(matches!(refused, Err(PeerError::Login { status: 0x0203, .. })), "{refused:?}");
    assert_eq!(peer.login_status(&mut host), Some(0x0203));
    assert!(host.is_closing(peer.link));
    host.lost(NOW, peer.link);
    assert_eq!((host.links.len(), host.registry.len()), (0, 0));
}

#[test]
fn a_login_that_takes_too_long_is_closed() {
    let mut host = host();
    let peer = Peer::connect(&mut host);
    let deadline = host.poll_timeout().expect("a login has a limit of time");
    host.handle_timeout(NOW);
    assert!(!host.is_closing(peer.link));
    host.handle_timeout(deadline);
    assert!(host.is_closing(peer.link));
    assert_eq!(wakes(&mut host), [peer.link]);
    assert_eq!(host.poll_timeout(), None);
}

// Goal: a session that replaces another begins when nothing of the old one can touch the medium any more.
// Method: the old one has a read under way, and a third login replaces the second while it waits.
// covers: 7143-6.3.5-1 7143-7.15-2
#[test]
fn a_session_begins_anew_when_the_last_job_of_the_old_one_is_done() {
    let mut host = host();
    let mut old = Peer::log_in(&mut host, 1);
    old.settle_attentions(&mut host);
    old.command(&mut host, 1, &READ, 512);
    let job = host.poll_job().expect("a read");

    let mut second = Peer::connect(&mut host);
    second.ask_to_log_in(&mut host, 1, Tsih::NEW, TARGET).unwrap();
    assert_eq!(second.login_status(&mut host), None, "the old session still works");
    assert!(host.is_closing(old.link));
    host.lost(NOW, old.link);
    let mut third = Peer::connect(&mut host);
    third.ask_to_log_in(&mut host, 1, Tsih::NEW, TARGET).unwrap();
    assert_eq!(third.login_status(&mut host), None);
    assert!(host.is_closing(second.link));
    host.lost(NOW, second.link);

    wakes(&mut host);
    host.finish(NOW, job.receipt, block());
    assert_eq!(wakes(&mut host), [third.link]);
    assert_eq!(third.login_status(&mut host), Some(0));
    assert_eq!((host.live.len(), host.registry.len(), host.links.len()), (1, 1, 1));
    // 29/07: I_T NEXUS LOSS OCCURRED.
    assert_eq!(third.test_unit_ready(&mut host), (6, 0x29, 7));
}

#[test]
fn a_connection_is_reinstated_within_its_session() {
    let mut host = host();
    let mut old = Peer::log_in(&mut host, 1);
    old.settle_attentions(&mut host);
    let tsih = host.session(old.link).unwrap().tsih();
    let mut new = Peer::connect(&mut host);
    new.cmd_sn = old.cmd_sn;
    new.ask_to_log_in(&mut host, 1, tsih, TARGET).unwrap();
    assert_eq!(new.login_status(&mut host), Some(0));
    assert!(host.is_closing(old.link));
    host.lost(NOW, old.link);
    assert_eq!(host.session(new.link).map(Target::tsih), Some(tsih));
    assert_eq!(new.test_unit_ready(&mut host), (0, 0, 0), "the nexus has lost nothing");
}

// Goal: a reset is answered when the tasks of the other sessions have ended, and everybody learns of it.
// Method: the other session has a read under way.
// covers: 7143-11.5.1-4 7143-11.5.1-12
#[test]
fn a_reset_of_the_unit_reaches_the_other_sessions() {
    let mut host = host();
    let (mut one, mut other) = (Peer::log_in(&mut host, 1), Peer::log_in(&mut host, 2));
    one.settle_attentions(&mut host);
    other.settle_attentions(&mut host);
    other.command(&mut host, 1, &READ, 512);
    let job = host.poll_job().expect("a read");

    one.manage(&mut host, TaskManagementFunction::LogicalUnitReset, Lun(0));
    assert_eq!(one.management_result(&mut host), None, "the read has not ended");
    wakes(&mut host);
    host.finish(NOW, job.receipt, block());
    assert!(wakes(&mut host).contains(&one.link));
    assert_eq!(one.management_result(&mut host), Some(TaskManagementResult::Complete));
    let answered = other.hear(&mut host).iter().any(|pdu| pdu.bhs.opcode() == Opcode::ScsiResponse);
    assert!(!answered, "an aborted task has no answer");
    for peer in [&mut one, &mut other] {
        // 29/03: BUS DEVICE RESET FUNCTION OCCURRED.
        assert_eq!(peer.test_unit_ready(&mut host), (6, 0x29, 3));
    }
    assert!(host.resets.is_empty());
}

// Goal: the task set is the unit's, whichever LUN a task came by: a function does not end before it. Method: one unit behind
// two LUNs, a read by the one and functions by the other.
#[test]
fn a_function_waits_for_tasks_by_other_luns_of_its_unit() {
    for function in [TaskManagementFunction::LogicalUnitReset, TaskManagementFunction::AbortTaskSet] {
        let mut host = host_with_luns(&[0, 5]);
        let mut peer = Peer::log_in(&mut host, 1);
        peer.settle_attentions(&mut host);
        peer.command_to(&mut host, Lun(5 << 48), 1, &READ, 512);
        let job = host.poll_job().expect("a read");
        peer.manage(&mut host, function, Lun(0));
        assert_eq!(peer.management_result(&mut host), None, "{function:?}: the read has not ended");
        host.finish(NOW, job.receipt, block());
        let pdus = peer.hear(&mut host);
        let opcodes: Vec<_> = pdus.iter().map(|pdu| pdu.bhs.opcode()).collect();
        assert_eq!(opcodes, [Opcode::TaskManagementResponse], "{function:?}");
    }
}

// Goal: data that the command itself cuts off is no residual; what the initiator expected beyond it is. Method: REPORT LUNS
// (16 bytes here) and INQUIRY (96 bytes), with allocation lengths and expected lengths below, at and above what there is.
// covers: 7143-11.4.5.3-1 7143-11.4.5.3-2 7143-11.4.5.3-3
#[test]
fn what_the_allocation_length_cuts_off_is_no_overflow() {
    let mut host = host();
    let mut peer = Peer::log_in(&mut host, 1);
    peer.settle_attentions(&mut host);
    for (allocation, expected, sent, residual) in [
        (16, 16, 16, Residual::None),
        (16, 20, 16, Residual::Underflow(4)),
        (64, 64, 16, Residual::Underflow(48)),
        (64, 12, 12, Residual::Overflow(4)),
    ] {
        peer.command(&mut host, 7, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, allocation], expected);
        assert_eq!(peer.data_in(&mut host), (sent, residual), "REPORT LUNS {allocation} {expected}");
    }
    for (allocation, expected, sent, residual) in [
        (36, 36, 36, Residual::None),
        (36, 255, 36, Residual::Underflow(219)),
        (255, 255, 96, Residual::Underflow(159)),
        (255, 36, 36, Residual::Overflow(60)),
    ] {
        peer.command(&mut host, 7, &[0x12, 0, 0, 0, allocation], expected);
        assert_eq!(peer.data_in(&mut host), (sent, residual), "INQUIRY {allocation} {expected}");
    }
}

#[test]
fn functions_on_sets_of_tasks_are_answered() {
    let mut host = host();
    let (mut one, mut other) = (Peer::log_in(&mut host, 1), Peer::log_in(&mut host, 2));
    one.settle_attentions(&mut host);
    other.settle_attentions(&mut host);
    other.command(&mut host, 1, &READ, 512);
    let job = host.poll_job().expect("a read");
    one.manage(&mut host, TaskManagementFunction::AbortTaskSet, Lun(0));
    assert_eq!(one.management_result(&mut host), Some(TaskManagementResult::Complete));
    one.manage(&mut host, TaskManagementFunction::LogicalUnitReset, Lun(9 << 48));
    assert_eq!(one.management_result(&mut host), Some(TaskManagementResult::LunDoesNotExist));
    one.manage(&mut host, TaskManagementFunction::ClearTaskSet, Lun(0));
    assert_eq!(one.management_result(&mut host), None);
    host.finish(NOW, job.receipt, block());
    assert_eq!(one.management_result(&mut host), Some(TaskManagementResult::Complete));
    assert_eq!(one.test_unit_ready(&mut host), (0, 0, 0));
    // 2F/00: COMMANDS CLEARED BY ANOTHER INITIATOR.
    assert_eq!(other.test_unit_ready(&mut host), (6, 0x2f, 0));
}

#[test]
fn a_reset_waits_for_a_session_that_ends_and_no_longer() {
    let mut host = host();
    let (mut one, mut other) = (Peer::log_in(&mut host, 1), Peer::log_in(&mut host, 2));
    one.settle_attentions(&mut host);
    other.settle_attentions(&mut host);
    other.command(&mut host, 1, &READ, 512);
    let job = host.poll_job().expect("a read");
    one.manage(&mut host, TaskManagementFunction::LogicalUnitReset, Lun(0));
    host.lost(NOW, other.link);
    let mut again = Peer::connect(&mut host);
    again.ask_to_log_in(&mut host, 2, Tsih::NEW, TARGET).unwrap();
    assert_eq!(one.management_result(&mut host), None, "its read can still touch the medium");
    host.finish(NOW, job.receipt, block());
    assert_eq!(one.management_result(&mut host), Some(TaskManagementResult::Complete));
    assert_eq!(again.login_status(&mut host), Some(0));
    assert_eq!((host.live.len(), host.resets.len()), (2, 0));
}

// covers: 7143-11.5.1-15
#[test]
fn a_cold_reset_ends_all_sessions_after_its_answer() {
    let mut host = host();
    let (mut one, other) = (Peer::log_in(&mut host, 1), Peer::log_in(&mut host, 2));
    one.manage(&mut host, TaskManagementFunction::TargetColdReset, Lun(0));
    assert_eq!(one.management_result(&mut host), Some(TaskManagementResult::Complete));
    for link in [one.link, other.link] {
        host.transmit(NOW, link, &mut Transmitter::new());
        assert!(host.is_closing(link));
        host.lost(NOW, link);
    }
    assert_eq!((host.live.len(), host.registry.len()), (0, 0));
}

#[test]
fn a_logout_closes_the_connection_and_the_session() {
    let mut host = host();
    let mut peer = Peer::log_in(&mut host, 1);
    let logout = LogoutRequest {
        immediate: true,
        reason: LogoutReason::CloseSession,
        itt: Itt(5),
        cid: Cid(0),
        cmd_sn: CmdSn(1),
        exp_stat_sn: StatSn(0),
    };
    peer.say(&mut host, logout.emit(), "").unwrap();
    assert!(!host.is_closing(peer.link), "the answer has yet to be sent");
    assert_eq!(peer.hear(&mut host)[0].bhs.opcode(), Opcode::LogoutResponse);
    assert!(host.is_closing(peer.link));
    assert_eq!(host.sessions().count(), 0);
    host.lost(NOW, peer.link);
    assert!(host.links.is_empty());
}

#[test]
fn a_waiting_login_whose_connection_is_lost_gives_its_seat_back() {
    let mut host = host();
    let mut old = Peer::log_in(&mut host, 1);
    old.settle_attentions(&mut host);
    old.command(&mut host, 1, &READ, 512);
    let job = host.poll_job().expect("a read");
    let mut new = Peer::connect(&mut host);
    new.ask_to_log_in(&mut host, 1, Tsih::NEW, TARGET).unwrap();
    host.lost(NOW, new.link);
    host.lost(NOW, old.link);
    host.finish(NOW, job.receipt, block());
    assert_eq!((host.live.len(), host.registry.len(), host.links.len()), (0, 0, 0));
    // 29/00: to the unit, the initiator is new.
    let mut peer = Peer::log_in(&mut host, 1);
    assert_eq!(peer.test_unit_ready(&mut host).0, 6);
    peer.settle_attentions(&mut host);
}

#[test]
fn all_are_asked_to_log_out() {
    let mut host = host();
    let mut peer = Peer::log_in(&mut host, 1);
    wakes(&mut host);
    host.request_logout(NOW, core::time::Duration::from_secs(10));
    assert_eq!(wakes(&mut host), [peer.link]);
    assert_eq!(peer.hear(&mut host)[0].bhs.opcode(), Opcode::AsyncMessage);
    let deadline = host.poll_timeout().expect("they have a limit of time");
    host.handle_timeout(deadline);
    peer.hear(&mut host);
    assert!(host.is_closing(peer.link));
    assert_eq!(host.sessions().count(), 0);
}
