//! The session of a target, called as C calls it, with an initiator of the core at the other end.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every call of a C function is one: the tests are the callers"
)]

use std::ptr::{null, null_mut};

use bytes::{Buf, Bytes};
use iscsicore::initiator::{Answer, Command, Event, Outcome, Transient};
use iscsicore::nexus::{NexusEnd, NexusEvent};
use iscsicore::scsi::{Cdb, Status as ScsiStatus};
use iscsicore::session::SendTargets;
use iscsicore::wire::{Lun, TaskManagementFunction, TaskManagementResult};
use iscsicore_ffi::codes::*;
use iscsicore_ffi::limits::iscsicore_parameters;
use iscsicore_ffi::lun::{iscsicore_lun, iscsicore_lun_number};
use iscsicore_ffi::status::iscsicore_status as Status;
use iscsicore_ffi::target::command::*;
use iscsicore_ffi::target::counters::*;
use iscsicore_ffi::target::event::iscsicore_end_reason as Reason;
use iscsicore_ffi::target::kept::*;
use iscsicore_ffi::target::login::*;
use iscsicore_ffi::target::management::*;
use iscsicore_ffi::target::send_targets::*;
use iscsicore_ffi::target::*;

#[path = "target/disk.rs"]
mod disk;
#[path = "target/logins.rs"]
mod logins;
#[path = "target/misuse.rs"]
mod misuse;
#[path = "target/reinstatement.rs"]
mod reinstatement;
#[path = "target/talk.rs"]
mod talk;

use talk::{Lent, Near, OK, SECOND, Seen, TARGET, Talk, c, config};

const CHECK_CONDITION: u8 = 2;
const SENSE: [u8; 18] = [0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0];

fn read(len: u32) -> Command {
    let mut command = Command::new(Lun(3 << 48), Cdb::new([0x28; 16]));
    command.data_in = len;
    command
}

fn write(data: &[u8]) -> Command {
    let mut command = Command::new(Lun(3 << 48), Cdb::new([0x2a; 16]));
    command.data_out = Bytes::copy_from_slice(data).into();
    command
}

/// The only command that has ended at the initiator since the last call.
fn outcome(talk: &mut Talk) -> Outcome {
    let told = std::mem::take(&mut talk.told);
    let mut ended = told.into_iter().filter_map(|event| match event {
        NexusEvent::Session(Event::Completed { outcome, .. }) => Some(outcome),
        _ => None,
    });
    let first = ended.next().expect("a command that has ended");
    assert!(ended.next().is_none());
    first
}

fn answer(talk: &mut Talk) -> Answer {
    match outcome(talk) {
        Outcome::Answered(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn submit(talk: &mut Talk, command: Command) -> iscsicore::link::TaskId {
    let now = talk.instant();
    talk.far.submit(now, command).expect("room for a command")
}

/// Ends with GOOD.
fn complete(talk: &Talk, task: u64, transfer_len: u32) -> Status {
    unsafe { iscsicore_target_complete(talk.near.target, task, 0, null(), 0, transfer_len) }
}

#[test]
fn reads_are_answered_with_lent_payload_given_back_once() {
    let mut talk = Talk::established();
    submit(&mut talk, read(40_000));
    let seen = talk.run();
    let [Seen::Command { task, lun, cdb, attribute, lens }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(
        (*lun, &cdb[..], *attribute, *lens),
        (3 << 48, &[0x28; 16][..], iscsicore_task_attribute::Simple, (40_000, 0))
    );
    let bytes: Vec<u8> = (0..40_000u32).map(|at| (at / 7) as u8).collect();
    let (mut first, mut last) = (Lent::new(&bytes[..9_000]), Lent::new(&bytes[9_000..30_000]));
    let target = talk.near.target;
    unsafe {
        assert_eq!(iscsicore_target_send_data(target, *task, &first.payload()), OK);
        let (data, none) = (last.payload(), null());
        let bad = iscsicore_target_complete_with(target, *task, &data, CHECK_CONDITION, none, 0, 0);
        assert_eq!(bad, Status::InvalidArgument, "no sense data");
        let bad = iscsicore_target_complete_with(target, *task, &data, 0, SENSE.as_ptr(), 18, 0);
        assert_eq!(bad, Status::InvalidArgument, "sense data with GOOD");
        let unknown = iscsicore_target_complete_with(target, *task + 1, &data, 0, none, 0, 0);
        assert_eq!((unknown, *last.given_back), (Status::Unknown, 0));
        let done = iscsicore_target_complete_with(target, *task, &data, 0, none, 0, 30_000);
        assert_eq!((done, *first.given_back, *last.given_back), (OK, 0, 0));
        let again = iscsicore_target_complete_with(target, *task, &data, 0, none, 0, 0);
        assert_eq!((again, *last.given_back), (Status::Unknown, 0), "the command has ended");
    }
    assert_eq!(talk.run(), []);
    assert_eq!((*first.given_back, *last.given_back), (1, 1), "once it was written");
    let answer = answer(&mut talk);
    assert_eq!((answer.data.to_bytes(), answer.received), (Bytes::copy_from_slice(&bytes[..30_000]), 30_000));
    assert_eq!(answer.residual, iscsicore::wire::Residual::Underflow(10_000));
}

#[test]
fn writes_bring_their_payload_which_can_be_kept() {
    let mut talk = Talk::established();
    let bytes: Vec<u8> = (0..600_000u32).map(|at| (at / 3) as u8).collect();
    submit(&mut talk, write(&bytes));
    let task = talk.one_command();
    let target = talk.near.target;
    let mut kept = null_mut();
    unsafe {
        assert_eq!(iscsicore_target_keep_data(target, &mut kept), Status::WrongState);
        assert_eq!(iscsicore_target_accept(target, task, 600_000), OK);
        assert_eq!(iscsicore_target_accept(target, task, 600_000), Status::WrongState);
    }
    assert_eq!(talk.run(), [Seen::Data { task, data: bytes.clone() }]);
    assert_eq!(complete(&talk, task, 600_000), OK);
    talk.run();
    assert_eq!(answer(&mut talk).status, ScsiStatus::GOOD);

    submit(&mut talk, write(&bytes[..5000]));
    let task = talk.one_command();
    unsafe {
        assert_eq!(iscsicore_target_accept(target, task, 5000), OK);
        let mut event = null();
        assert_eq!(iscsicore_target_next_event(target, &mut event), OK);
        let shown = (*event).u.data;
        assert_eq!(shown.task, task);
        assert_eq!(iscsicore_target_keep_data(target, &mut kept), OK);
        let mut twice = null_mut();
        assert_eq!(iscsicore_target_keep_data(target, &mut twice), Status::WrongState);
        assert!(twice.is_null() && !kept.is_null());
        assert_eq!(complete(&talk, task, 5000), OK);
        talk.run();
        drop(talk);
        assert_eq!(talk::gather(shown.data, shown.data_count), bytes[..5000]);
        assert_eq!(iscsicore_kept_data_free(kept), OK);
        assert_eq!(iscsicore_kept_data_free(null_mut()), OK);
    }
}

#[test]
fn sense_data_and_counters_arrive() {
    let mut talk = Talk::established();
    let mut command = read(512);
    command.transient = Transient::Deliver;
    submit(&mut talk, command);
    let task = talk.one_command();
    let (target, mut count) = (talk.near.target, 0);
    unsafe {
        assert_eq!(iscsicore_target_outstanding(target, &mut count), OK);
        assert_eq!(count, 1);
        let failed = iscsicore_target_complete(target, task, CHECK_CONDITION, SENSE.as_ptr(), 253, 0);
        assert_eq!(failed, Status::InvalidArgument);
        let failed = iscsicore_target_complete(target, task, CHECK_CONDITION, null(), 18, 0);
        assert_eq!(failed, Status::NullPointer);
        let done = iscsicore_target_complete(target, task, CHECK_CONDITION, SENSE.as_ptr(), 18, 0);
        assert_eq!(done, OK);
        assert_eq!(iscsicore_target_notify_sense(target, 3 << 48, null(), 0), Status::InvalidArgument);
        assert_eq!(iscsicore_target_notify_sense(target, 3 << 48, SENSE.as_ptr(), 18), OK);
        talk.run();
        let mut counters = null();
        assert_eq!(iscsicore_target_counters(target, &mut counters), OK);
        assert_eq!(((*counters).commands, (*counters).bytes_in, (*counters).rejects), (1, 0, 0));
        assert_eq!(iscsicore_target_outstanding(target, &mut count), OK);
        assert_eq!(count, 0);
    }
    let notified = talk.told.iter().any(|event| match event {
        NexusEvent::Session(Event::Async { data, .. }) => data[..] == [&[0, 18][..], &SENSE].concat(),
        _ => false,
    });
    assert!(notified);
    let answer = answer(&mut talk);
    assert_eq!((answer.status, &answer.sense[..]), (ScsiStatus::CHECK_CONDITION, &SENSE[..]));
}

#[test]
fn aborts_wait_for_commands_that_run_and_not_for_others() {
    let mut talk = Talk::established();
    let running = submit(&mut talk, read(512));
    let task = talk.one_command();
    let now = talk.instant();
    talk.far.abort(now, running).expect("a command to abort");
    assert_eq!(talk.run(), [Seen::Abort { task }]);
    assert!(!talk.told.iter().any(|event| matches!(event, NexusEvent::Session(Event::Completed { .. }))));
    let mut lent = Lent::new(&[1; 512]);
    unsafe {
        let done = iscsicore_target_complete_with(talk.near.target, task, &lent.payload(), 0, null(), 0, 512);
        assert_eq!((done, *lent.given_back), (OK, 1), "dropped, and given back");
    }
    assert_eq!(complete(&talk, task, 0), Status::Unknown);
    talk.run();
    assert_eq!(outcome(&mut talk), Outcome::Aborted);

    let collecting = submit(&mut talk, write(&[1; 500_000]));
    let task = talk.one_command();
    assert_eq!(unsafe { iscsicore_target_accept(talk.near.target, task, 500_000) }, OK);
    talk.far.abort(now, collecting).expect("a command to abort");
    assert_eq!(talk.run(), [Seen::Abort { task }]);
    assert_eq!(outcome(&mut talk), Outcome::Aborted);
    assert_eq!(complete(&talk, task, 0), Status::Unknown, "it has ended by itself");
}

#[test]
fn task_management_waits_for_tasks_and_for_its_answer() {
    let mut talk = Talk::established();
    submit(&mut talk, read(512));
    let task = talk.one_command();
    let now = talk.instant();
    let function = TaskManagementFunction::LogicalUnitReset;
    talk.far.task_management(now, function, Lun(3 << 48)).expect("a connection");
    let seen = talk.run();
    let [Seen::Abort { task: aborted }, Seen::Management { request, function, lun }] = &seen[..] else {
        panic!("{seen:?}")
    };
    let reset = iscsicore_task_management_function::LogicalUnitReset;
    assert_eq!((*aborted, *function, *lun), (task, reset, 3 << 48));
    let target = talk.near.target;
    unsafe {
        for bad in [-1, 8, 256] {
            let answer = iscsicore_target_answer_task_management(target, *request, bad);
            assert_eq!(answer, Status::InvalidArgument);
        }
        assert_eq!(iscsicore_target_answer_task_management(target, task, 0), Status::Unknown);
        assert_eq!(iscsicore_target_answer_task_management(target, *request, 0), OK);
        talk.run();
        let done = |talk: &Talk| {
            talk.told.iter().find_map(|event| match event {
                NexusEvent::Session(Event::TaskManagementDone { result, .. }) => Some(*result),
                _ => None,
            })
        };
        assert_eq!(done(&talk), None, "a command runs still");
        assert_eq!(complete(&talk, task, 0), OK);
        talk.run();
        assert_eq!(done(&talk), Some(Ok(TaskManagementResult::Complete)));
        assert_eq!(iscsicore_target_answer_task_management(target, *request, 0), Status::Unknown);
    }
}

#[test]
fn tasks_are_aborted_for_others() {
    let mut talk = Talk::established();
    submit(&mut talk, read(512));
    let task = talk.one_command();
    let (target, mut aborts) = (talk.near.target, [0; 3]);
    unsafe {
        let bad = iscsicore_target_abort_tasks(target, 0, 3, 0, 0, &mut aborts[0]);
        assert_eq!(bad, Status::InvalidArgument);
        assert_eq!(iscsicore_target_abort_tasks(target, 0, 0, 0, 0, null_mut()), Status::NullPointer);
        // Another unit: nothing to wait for.
        assert_eq!(iscsicore_target_abort_tasks(target, 0, 1, 4 << 48, 0, &mut aborts[0]), OK);
        assert_eq!(talk.near.events(), [Seen::TasksAborted { abort: aborts[0] }]);
        assert_eq!(iscsicore_target_abort_tasks(target, 0, 1, 3 << 48, 0, &mut aborts[1]), OK);
        assert_eq!(talk.near.events(), [Seen::Abort { task }]);
        assert_eq!(complete(&talk, task, 0), OK);
        assert_eq!(talk.near.events(), [Seen::TasksAborted { abort: aborts[1] }]);
        assert_eq!(iscsicore_target_abort_tasks(target, 0, 0, 0, 0, &mut aborts[2]), OK);
        assert_eq!(talk.near.events(), [Seen::TasksAborted { abort: aborts[2] }]);
    }
    assert!(aborts[0] != 0 && aborts[0] != aborts[1] && aborts[1] != aborts[2]);
}

#[test]
fn discovery_is_answered() {
    let mut talk = Talk::logged_in(config(None));
    let now = talk.instant();
    talk.far.send_targets(now, SendTargets::All).expect("a connection");
    let seen = talk.run();
    let [Seen::SendTargets { request, which, target: None }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(*which, iscsicore_send_targets::All);
    let (name, here, bad) = (c("iqn.2001-04.com.example:b"), c("192.0.2.1:3260"), c("not a name"));
    let address = iscsicore_target_address { address: here.as_ptr(), portal_group_tag: 2 };
    let with = iscsicore_target_record { name: name.as_ptr(), addresses: &address, address_count: 1 };
    let without = iscsicore_target_record { name: name.as_ptr(), addresses: null(), address_count: 0 };
    let target = talk.near.target;
    let answer = |record| unsafe { iscsicore_target_answer_send_targets(target, *request, &record, 1) };
    assert_eq!(answer(iscsicore_target_record { name: bad.as_ptr(), ..without }), Status::InvalidArgument);
    assert_eq!(answer(iscsicore_target_record { name: null(), ..without }), Status::NullPointer);
    let worse = iscsicore_target_address { address: bad.as_ptr(), portal_group_tag: 2 };
    assert_eq!(answer(iscsicore_target_record { addresses: &worse, ..with }), Status::InvalidArgument);
    let both = [with, without];
    unsafe {
        assert_eq!(iscsicore_target_answer_send_targets(target, *request, both.as_ptr(), 2), OK);
        assert_eq!(iscsicore_target_answer_send_targets(target, *request, null(), 0), Status::Unknown);
    }
    talk.run();
    let told = talk.told.iter().find_map(|event| match event {
        NexusEvent::Session(Event::Targets { result, .. }) => Some(result.clone().expect("an answer")),
        _ => None,
    });
    let told = told.expect("an answer");
    assert_eq!(told.len(), 2);
    assert_eq!(
        (told[0].name.as_str(), told[0].addresses[0].portal_group_tag),
        ("iqn.2001-04.com.example:b", 2)
    );
    assert_eq!(told[0].addresses[0].address, "192.0.2.1:3260");
    assert!(told[1].addresses.is_empty());
}

#[test]
fn sessions_end_as_either_side_wants() {
    let ended = |reason| Seen::Ended { reason, status: 0, text: None };
    let mut talk = Talk::established();
    let now = talk.instant();
    talk.far.logout(now);
    assert_eq!(talk.run(), [Seen::Close, ended(Reason::LoggedOut)]);
    assert!(matches!(talk.told.last(), Some(NexusEvent::Ended(NexusEnd::LoggedOut))));
    assert_eq!(unsafe { iscsicore_target_lost(talk.near.target, talk.now) }, OK);
    assert_eq!(talk.near.event(), None);

    let mut talk = Talk::established();
    assert_eq!(unsafe { iscsicore_target_request_logout(talk.near.target, 0, 5 * SECOND) }, OK);
    let seen = talk.run();
    assert_eq!(seen, [Seen::Close, ended(Reason::LoggedOut)], "the initiator does as it is asked");

    let mut talk = Talk::established();
    submit(&mut talk, read(512));
    let task = talk.one_command();
    assert_eq!(unsafe { iscsicore_target_terminate(talk.near.target, 0) }, OK);
    assert_eq!(talk.run(), [Seen::Abort { task }, Seen::Close]);
    assert_eq!(complete(&talk, task, 0), OK);
    assert_eq!(talk.near.events(), [ended(Reason::Terminated)]);

    let talk = Talk::established();
    assert_eq!(unsafe { iscsicore_target_lost(talk.near.target, talk.now) }, OK);
    assert!(talk.near.events().contains(&ended(Reason::ConnectionLost)));
}
