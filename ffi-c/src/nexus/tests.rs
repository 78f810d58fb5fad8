//! Events that a target brings about seldom, as C is shown them.

use std::ffi::{CStr, c_char};

use bytes::Bytes;
use iscsicore::initiator::{Answer, Cause, DownReason, Event, FlushCoverage, Outcome, Redirect};
use iscsicore::link::TaskId;
use iscsicore::nexus::{NexusEnd, NexusEvent};
use iscsicore::node::IscsiName;
use iscsicore::scsi::Status;
use iscsicore::session::{TargetAddress, TargetRecord};
use iscsicore::wire::{
    AsyncEvent, AsyncMessage, Bhs, CmdSn, Lun, Opcode, RejectReason, Residual, StatSn, TaskManagementResult,
};
use iscsicore::{DataList, PeerError, TransportError};

use super::show::ShownEvent;
use super::*;
use crate::limits::ISCSICORE_NEVER;
use crate::pointer::Context;

const TASK: TaskId = TaskId::from_bits(5 << 32 | 3);

fn text(pointer: *const c_char) -> String {
    // SAFETY: a string of the event that is shown.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
}

fn bytes(pointer: *const u8, len: usize) -> Vec<u8> {
    // SAFETY: bytes of the event that is shown.
    unsafe { core::slice::from_raw_parts(pointer, len) }.to_vec()
}

#[track_caller]
fn shown(
    shown: &mut ShownEvent,
    event: NexusEvent,
    kind: iscsicore_nexus_event_kind,
) -> iscsicore_nexus_event_body {
    // SAFETY: it lives until the next one is shown.
    let event = unsafe { *shown.show(event, Context::default()).unwrap() };
    assert_eq!(event.kind, kind);
    event.u
}

fn ended(outcome: Outcome) -> NexusEvent {
    NexusEvent::Session(Event::Completed { task: TASK, outcome })
}

#[test]
fn outcomes_and_their_causes() {
    use iscsicore_cause as C;
    use iscsicore_outcome as O;
    let show = &mut ShownEvent::default();
    let answer = Answer {
        status: Status::CHECK_CONDITION,
        status_qualifier: 77,
        sense: Bytes::from_static(b"\x70\0\x05"),
        data: [Bytes::from_static(b"ab"), Bytes::from_static(b"c")].into_iter().collect::<DataList>(),
        received: 3,
        residual: Residual::Overflow(9),
        read_residual: Residual::Underflow(u32::MAX),
        coverage: FlushCoverage::OnlySinceReconnect,
    };
    let u = shown(show, ended(Outcome::Answered(answer)), iscsicore_nexus_event_kind::Completed);
    // SAFETY: the kind says so.
    let c = unsafe { u.completed };
    assert_eq!((c.task, c.outcome, c.cause), (5 << 32 | 3, O::Answered, C::None));
    assert_eq!((c.status, c.status_qualifier, c.received), (2, 77, 3));
    assert_eq!((c.residual, c.read_residual), (9, -i64::from(u32::MAX)));
    assert_eq!(c.coverage, iscsicore_flush_coverage::OnlySinceReconnect);
    assert_eq!(bytes(c.sense, c.sense_len), b"\x70\0\x05");
    // SAFETY: so many are shown.
    let slices = unsafe { core::slice::from_raw_parts(c.data, c.data_count) };
    let data: Vec<u8> = slices.iter().flat_map(|piece| bytes(piece.iov_base.cast(), piece.iov_len)).collect();
    assert_eq!((&data[..], slices.len()), (&b"abc"[..], 2));

    for (outcome, want) in [
        (Outcome::NotSent(Cause::Rejected(RejectReason::TaskInProgress)), (O::NotSent, C::Rejected, 7)),
        (Outcome::Unknown(Cause::TargetFailure(0x81)), (O::Unknown, C::TargetFailure, 0x81)),
        (Outcome::Unknown(Cause::BadAnswer), (O::Unknown, C::BadAnswer, 0)),
        (Outcome::NotSent(Cause::Wanted), (O::NotSent, C::Wanted, 0)),
        (Outcome::Aborted, (O::Aborted, C::None, 0)),
    ] {
        let u = shown(show, ended(outcome), iscsicore_nexus_event_kind::Completed);
        // SAFETY: the kind says so.
        let c = unsafe { u.completed };
        assert_eq!((c.outcome, c.cause, c.detail), want);
        assert!(c.sense.is_null() && c.data.is_null() && c.sense_len + c.data_count == 0);
    }
    let done = Event::TaskManagementDone { request: TASK, result: Ok(TaskManagementResult::Rejected) };
    let u = shown(show, NexusEvent::Session(done), iscsicore_nexus_event_kind::TaskManagementDone);
    // SAFETY: the kind says so.
    let done = unsafe { u.task_management_done };
    assert_eq!((done.request, done.cause, done.result), (5 << 32 | 3, C::None, 255));
    let refused = Event::Targets { request: TASK, result: Err(Cause::Refused) };
    let u = shown(show, NexusEvent::Session(refused), iscsicore_nexus_event_kind::Targets);
    // SAFETY: the kind says so.
    let targets = unsafe { u.targets };
    assert_eq!((targets.cause, targets.target_count), (C::Refused, 0));
    assert!(targets.targets.is_null());
}

#[test]
fn messages_of_the_target() {
    let show = &mut ShownEvent::default();
    let message = AsyncMessage {
        event: AsyncEvent::Vendor(250),
        vendor_code: 4,
        lun: Lun(1 << 48),
        stat_sn: StatSn(1),
        exp_cmd_sn: CmdSn(1),
        max_cmd_sn: CmdSn(1),
        parameter1: 11,
        parameter2: 12,
        parameter3: 13,
    };
    let event = Event::Async { message, data: Bytes::from_static(b"vendor data") };
    let u = shown(show, NexusEvent::Session(event), iscsicore_nexus_event_kind::AsyncMessage);
    // SAFETY: the kind says so.
    let m = unsafe { u.async_message };
    assert_eq!((m.lun, m.event, m.vendor_code), (1 << 48, 250, 4));
    assert_eq!((m.parameter1, m.parameter2, m.parameter3), (11, 12, 13));
    assert_eq!(bytes(m.data, m.data_len), b"vendor data");

    let header = Bhs::new(Opcode::TextRequest);
    for header in [Some(header), None] {
        let event = Event::Rejected { reason: RejectReason::ProtocolError, header };
        let u = shown(show, NexusEvent::Session(event), iscsicore_nexus_event_kind::Rejected);
        // SAFETY: the kind says so.
        let rejected = unsafe { u.rejected };
        assert_eq!((rejected.reason, &text(rejected.text)[..]), (4, "protocol error"));
        let sent_back = (!rejected.header.is_null()).then(|| bytes(rejected.header, 48));
        assert_eq!(sent_back, header.map(|header| header.0.to_vec()));
    }
    let target = IscsiName::parse("iqn.2001-04.com.example:b").unwrap();
    for target in [Some(target), None] {
        let address = "b:1".to_owned();
        let redirect =
            Redirect { address, portal_group_tag: None, target: target.clone(), permanent: target.is_some() };
        let u = shown(show, NexusEvent::Redirected(redirect), iscsicore_nexus_event_kind::Redirected);
        // SAFETY: the kind says so.
        let redirected = unsafe { u.redirected };
        assert_eq!((&text(redirected.address)[..], redirected.permanent), ("b:1", target.is_some()));
        let name = (!redirected.target.is_null()).then(|| text(redirected.target));
        assert_eq!(name.as_deref(), target.as_ref().map(IscsiName::as_str));
    }
}

#[test]
fn records_point_to_their_own_addresses() {
    let record = |name: &str, tags: &[u16]| TargetRecord {
        name: name.into(),
        addresses: tags
            .iter()
            .map(|&tag| TargetAddress { address: format!("{name}:{tag}"), portal_group_tag: tag })
            .collect(),
    };
    let records = vec![record("a", &[1, 2]), record("b", &[]), record("c", &[3])];
    let event = Event::Targets { request: TASK, result: Ok(records.clone()) };
    let show = &mut ShownEvent::default();
    let u = shown(show, NexusEvent::Session(event), iscsicore_nexus_event_kind::Targets);
    // SAFETY: the kind says so.
    let targets = unsafe { u.targets };
    let mut read = Vec::new();
    for at in 0..targets.target_count {
        // SAFETY: so many are shown.
        let target = unsafe { *targets.targets.add(at) };
        let addresses = (0..target.address_count).map(|at| {
            // SAFETY: as above.
            let address = unsafe { *target.addresses.add(at) };
            TargetAddress { address: text(address.address), portal_group_tag: address.portal_group_tag }
        });
        read.push(TargetRecord { name: text(target.name), addresses: addresses.collect() });
    }
    assert_eq!(read, records);
}

#[test]
fn words_for_every_reason() {
    use iscsicore_down_reason as R;
    let show = &mut ShownEvent::default();
    for (why, reason, words) in [
        (DownReason::Lost(TransportError::Failed), R::Lost, "the connection failed"),
        (
            DownReason::Peer(PeerError::Protocol("a NUL\0inside")),
            R::Peer,
            "the target broke the protocol: protocol error: a NUL?inside",
        ),
        (DownReason::Silent, R::Silent, "the target fell silent"),
        (
            DownReason::Unresponsive,
            R::Unresponsive,
            "the target did not answer a task management function, a text request or a logout",
        ),
        (DownReason::AskedByTarget, R::AskedByTarget, "the target asked for it"),
        (DownReason::LoggedOut, R::LoggedOut, "it was logged out"),
        (DownReason::Wanted, R::Wanted, "it was wanted here"),
    ] {
        let event = NexusEvent::Down { why: why.clone(), retry_at: None };
        let u = shown(show, event, iscsicore_nexus_event_kind::Down);
        // SAFETY: the kind says so.
        let down = unsafe { u.down };
        assert_eq!((down.reason, &text(down.text)[..], down.retry_at), (reason, words, ISCSICORE_NEVER));
        let u = shown(show, NexusEvent::Ended(NexusEnd::Lost(why)), iscsicore_nexus_event_kind::Ended);
        // SAFETY: the kind says so.
        let ended = unsafe { u.ended };
        assert_eq!((ended.reason, &text(ended.text)[..]), (iscsicore_nexus_end_reason::Lost, words));
    }
}
