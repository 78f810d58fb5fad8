//! What the initiator does when something goes wrong between it and the target: lost connections and PDUs, time that runs
//! out.
#![allow(missing_docs)]

mod initiator_support;
mod pair_support;

use core::time::Duration;

use bytes::BytesMut;
use initiator_support::Script;
use iscsicore::DataList;
use iscsicore::initiator::{Cause, Command, DownReason, Event, Outcome, Repeat, Sink};
use iscsicore::login::DigestOffer;
use iscsicore::wire::{
    AsyncEvent, AsyncMessage, Bhs, DataIn, DataSn, R2t, R2tSn, ScsiResponse, StatSn, TaskManagementResult,
};
use pair_support::commands::{is_good, pattern, plain, test_unit_ready};
use pair_support::{Feed, Setup};

fn script() -> Script {
    Script::new()
}

/// A write whose payload is asked for, a read, both not to be repeated.
fn write_command() -> Command {
    Command { data_out: DataList::from(pattern(4096)), ..plain(&[0xc1, 1]) }
}

fn read_command() -> Command {
    Command { data_in: 4096, ..plain(&[0xc1, 2]) }
}

fn solicited() -> Setup {
    Setup::default().both(|o| (o.initial_r2t, o.immediate_data) = (true, false))
}

// covers: 7143-4.2.5.1-3
#[test]
fn payload_does_not_leave_on_another_connection_than_its_command() {
    let setup = Setup::default().both(|o| (o.initial_r2t, o.immediate_data) = (true, false));
    let mut script = Script::with(&setup);
    let write = Command { data_out: DataList::from(pattern(1024)), repeat: Repeat::Safe, ..plain(&[0xc1]) };
    let (task, command) = script.submit(write);
    let r2t = script.r2t(command.itt, 0, 0, 1024);
    script.send(r2t);
    // The payload was asked for, and the connection is lost before it has left.
    script.near.lose(script.now);
    script.log_in(&setup);
    let again = script.sent_one().command();
    assert_eq!((again.cdb, again.expected_len), (command.cdb, 1024));
    let r2t = script.r2t(again.itt, 0, 0, 1024);
    script.send(r2t);
    assert_eq!(script.sent_one().data[..], pattern(1024));
    let good = script.good(again.itt);
    script.send(good);
    assert!(is_good(&script.outcome(task).expect("an answer")));
}

// covers: 7143-7.1.4.3-3 7143-7.14-4
#[test]
fn a_connection_that_the_target_drops_is_lost_with_the_times_that_it_tells() {
    for event in [AsyncEvent::SessionDropped, AsyncEvent::ConnectionDropped] {
        let mut script = script();
        let (task, _) = script.submit(test_unit_ready());
        let message = script.message(event);
        // Of a CID that is not this one's nothing is lost.
        if event == AsyncEvent::ConnectionDropped {
            script.send(AsyncMessage { parameter1: 999, parameter2: 1, parameter3: 2, ..message });
            script.assert_up();
            script.events();
        }
        let message = if event == AsyncEvent::ConnectionDropped { script.message(event) } else { message };
        script.send(AsyncMessage { parameter1: 0, parameter2: 7, parameter3: 9, ..message });
        assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::ConnectionLost)));
        let events = script.events();
        assert!(
            events.iter().any(|e| matches!(
                e,
                Event::Down { why: DownReason::AskedByTarget, time2wait: 7, time2retain: 9, .. }
            )),
            "{events:?}"
        );
    }
}

#[test]
fn commands_that_may_be_repeated_are_sent_again_in_their_order_after_a_loss() {
    let mut script = script();
    let command = |n, repeat| Command { repeat, ..plain(&[0, 0, 0, 0, n]) };
    let safe: Vec<_> = (0..3).map(|n| script.submit(command(n, Repeat::Safe)).0).collect();
    let (never, _) = script.submit(command(9, Repeat::Never));
    script.near.lose(script.now);
    assert_eq!(script.outcome(never), Some(Outcome::Unknown(Cause::ConnectionLost)));
    script.log_in(&Setup::default());
    let sent = script.sent();
    assert_eq!(sent.iter().map(|s| s.command().cdb[4]).collect::<Vec<_>>(), [0, 1, 2]);
    for (task, sent) in safe.iter().zip(&sent) {
        let good = script.good(sent.command().itt);
        script.send(good);
        assert!(is_good(&script.outcome(*task).expect("an answer")), "the same task");
    }
}

#[test]
fn a_target_that_answers_no_abort_loses_the_connection() {
    let mut script = script();
    let (task, _) = script.submit(Command { timeout: Some(Duration::from_secs(1)), ..test_unit_ready() });
    script.later(Duration::from_secs(1));
    assert!(matches!(script.outcome(task), Some(Outcome::Unknown(Cause::TimedOut))));
    script.sent();
    script.later(script.near_limits().management_timeout + Duration::from_secs(1));
    script.near.drain();
    assert_eq!(script.near.down, Some(DownReason::Unresponsive));
}

// covers: 7143-7.11-2
#[test]
fn a_command_whose_time_is_over_ends_and_is_aborted_behind_it() {
    let mut script = script();
    let (task, command) =
        script.submit(Command { timeout: Some(Duration::from_secs(5)), ..test_unit_ready() });
    script.later(Duration::from_millis(4_999));
    assert_eq!(script.outcome(task), None);
    script.quiet();
    script.later(Duration::from_millis(1));
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::TimedOut)));
    let abort = script.sent_one().management();
    assert_eq!((abort.referenced_itt, abort.ref_cmd_sn), (command.itt, command.cmd_sn));
    let done = script.management_response(abort.itt, TaskManagementResult::Complete);
    script.send(done);
    script.assert_up();
    script.later(Duration::from_secs(20));
    script.assert_up();
}

// covers: 7143-4.2.2.2-2 7143-7.9-3
#[test]
fn a_lost_status_ends_the_connection_however_many_are_missing() {
    for gap in [1, 2, 1000, i32::MAX as u32, 1 << 31, u32::MAX] {
        let mut script = script();
        let (task, command) = script.submit(test_unit_ready());
        let good = script.good(command.itt);
        script.send(ScsiResponse { stat_sn: StatSn(good.stat_sn.0.wrapping_add(gap)), ..good });
        script.assert_refused();
        assert!(!matches!(script.outcome(task), Some(Outcome::Answered(_))));
    }
}

// Not claimed: 7143-7.9-1. ExpDataSN of a SCSI Response is not looked at, so that what it implies shows in missing payload
// only, and with another status than GOOD not at all.
#[test]
fn a_lost_data_in_or_r2t_ends_its_command_with_an_error() {
    let mut script = Script::with(&solicited());
    let (task, command) = script.submit(read_command());
    let header = script.data_in(command.itt, 0, 0);
    script.send_with(DataIn { final_: false, ..header }, &[0; 512]);
    let header = script.data_in(command.itt, 2, 1024);
    script.send_with(header, &[0; 512]);
    script.assert_refused();
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::BadAnswer)));

    // One that had no payload: only DataSN tells.
    let mut script = Script::with(&solicited());
    let (task, command) = script.submit(read_command());
    let header = script.data_in(command.itt, 0, 0);
    script.send_with(DataIn { final_: false, ..header }, &[0; 512]);
    let header = script.data_in(command.itt, 2, 512);
    script.send_with(header, &[0; 512]);
    script.assert_refused();
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::BadAnswer)));

    let mut script = Script::with(&solicited());
    let (task, command) = script.submit(write_command());
    let r2t = script.r2t(command.itt, 0, 0, 1024);
    script.send(R2t { r2t_sn: R2tSn(1), ..r2t });
    script.assert_refused();
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::BadAnswer)));

    // An answer that counts more Data-In than have come, and less payload.
    let mut script = Script::with(&solicited());
    let (task, command) = script.submit(read_command());
    let good = script.good(command.itt);
    script.send(ScsiResponse { exp_data_sn: DataSn(8), ..good });
    script.assert_refused();
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::BadAnswer)));
}

/// Sends a PDU with a byte of its data segment damaged, digests being in use.
fn send_damaged(script: &mut Script, bhs: Bhs, data: &[u8]) {
    let bytes = script.encode(bhs, data);
    let mut bytes = BytesMut::from(&bytes[..]);
    bytes[48 + 4] ^= 1;
    script.give(&bytes.freeze());
}

// covers: 7143-7.8-5 7143-7.8-6 7143-7.8-10 7143-7.8-11 7143-7.8-12
#[test]
fn damaged_payload_makes_its_whole_pdu_count_as_lost() {
    let setup = solicited().both(|o| {
        (o.header_digest, o.data_digest) = (DigestOffer::Crc32cOnly, DigestOffer::Crc32cOnly);
    });
    // Payload, with a status that its header tells.
    let mut script = Script::with(&setup);
    let (task, command) = script.submit(read_command());
    let header = script.last_data_in(command.itt, 0, 0).emit();
    send_damaged(&mut script, header, &pattern(4096));
    script.assert_refused();
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::ConnectionLost)));
    // A response with sense: what its header tells is not believed either.
    let mut script = Script::with(&setup);
    let (task, command) = script.submit(test_unit_ready());
    let response = script.good(command.itt);
    send_damaged(&mut script, ScsiResponse { status: 2, ..response }.emit(), &[0, 2, 0x70, 0]);
    script.assert_refused();
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::ConnectionLost)));
    // A message: it is as if it had never come.
    let mut script = Script::with(&setup);
    let message = script.message(AsyncEvent::Scsi).emit();
    send_damaged(&mut script, message, &[0, 2, 0x70, 0]);
    script.assert_refused();
    let events = script.events();
    assert!(matches!(events[..], [Event::Down { .. }]), "{events:?}");
}

#[test]
fn payload_that_is_on_its_way_to_memory_when_time_is_over_goes_nowhere() {
    let setup = Setup { feed: Feed::Lent, ..Setup::default() };
    let mut script = Script::with(&setup);
    let timeout = Some(Duration::from_secs(2));
    let (task, command) = script.submit(Command { timeout, sink: Sink::Slots, ..read_command() });
    let header = script.last_data_in(command.itt, 0, 0);
    let bytes = script.encode(header.emit(), &pattern(4096));
    // The header and half of the payload: the rest has a place in the memory of the command.
    script.give(&bytes.slice(..60));
    script.give(&bytes.slice(60..2000));
    assert!(script.near.placed > 0);
    script.later(Duration::from_secs(2));
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::TimedOut)));
    let abort = script.sent_one().management();
    // The memory is the caller's again; what still comes is dropped, and the stream goes on behind it.
    script.give(&bytes.slice(2000..));
    let none = script.management_response(abort.itt, TaskManagementResult::TaskDoesNotExist);
    script.send(none);
    script.assert_up();
    let (task, command) = script.submit(test_unit_ready());
    let good = script.good(command.itt);
    script.send(good);
    assert!(is_good(&script.outcome(task).expect("an answer")));
}

// covers: 7143-7.2.1-1
#[test]
fn a_command_that_takes_its_time_is_not_sent_twice() {
    let mut setup = Setup::default();
    setup.near_limits.ping_interval = Duration::ZERO;
    let mut script = Script::with(&setup);
    let (task, command) = script.submit(Command { repeat: Repeat::Safe, ..test_unit_ready() });
    for _ in 0..100 {
        script.later(Duration::from_secs(3600));
        script.quiet();
    }
    let good = script.good(command.itt);
    script.send(good);
    assert!(is_good(&script.outcome(task).expect("an answer")));
}

// covers: 7143-11.5.1-10
#[test]
fn an_abort_is_sent_where_its_command_went_last() {
    let mut script = script();
    let (task, before) = script.submit(Command { repeat: Repeat::Safe, ..test_unit_ready() });
    script.near.lose(script.now);
    script.log_in(&Setup::default());
    let again = script.sent_one().command();
    script.near.initiator.abort(script.now, task).expect("a command");
    let abort = script.sent_one().management();
    assert_eq!((abort.referenced_itt, abort.ref_cmd_sn), (again.itt, again.cmd_sn));
    assert_ne!(again.cmd_sn, before.cmd_sn, "another login, other numbers");
    let done = script.management_response(abort.itt, TaskManagementResult::Complete);
    script.send(done);
    assert_eq!(script.outcome(task), Some(Outcome::Aborted));
}

// An ABORT TASK that the loss keeps from leaving does not leave on the next connection either.
// covers: 7143-11.5.1-10
#[test]
fn an_abort_that_a_loss_overtakes_leaves_the_outcome_open() {
    for has_left in [true, false] {
        let mut script = script();
        let (task, _) = script.submit(Command { repeat: Repeat::Safe, ..test_unit_ready() });
        script.near.initiator.abort(script.now, task).expect("a command");
        if has_left {
            script.sent();
        }
        script.near.lose(script.now);
        assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::ConnectionLost)));
        script.log_in(&Setup::default());
        script.quiet();
    }
}
