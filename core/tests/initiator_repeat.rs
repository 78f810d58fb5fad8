//! Commands that are sent more than once, and flushes around that: nothing of a first attempt is left in the second, and nobody
//! is told more than is known.
#![allow(missing_docs, reason = "a test")]

mod initiator_support;
mod pair_support;

use core::time::Duration;

use initiator_support::Script;
use iscsicore::DataList;
use iscsicore::initiator::{Answer, Cause, Command, FlushCoverage, Outcome, Repeat, Transient, commands};
use iscsicore::link::TaskId;
use iscsicore::scsi::Cdb;
use iscsicore::wire::{InitiatorPdu, Lun, RejectReason, Residual, ScsiResponse, TaskManagementResult};
use pair_support::Setup;
use pair_support::commands::pattern;

fn sense(key: u8, code: u8, qualifier: u8) -> Vec<u8> {
    let mut segment = vec![0; 20];
    (segment[1], segment[2], segment[4], segment[9]) = (18, 0x70, key, 10);
    (segment[14], segment[15]) = (code, qualifier);
    segment
}

fn write() -> Command {
    commands::write(Lun::ZERO, 0, DataList::from(vec![7; 512]), 512).unwrap()
}

/// Has the target say GOOD to a command, and gives the answer.
fn good(script: &mut Script, command: Command) -> Answer {
    let (task, sent) = script.submit(command);
    let response = script.good(sent.itt);
    script.send(response);
    answer(script, task)
}

fn answer(script: &mut Script, task: TaskId) -> Answer {
    match script.outcome(task) {
        Some(Outcome::Answered(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

/// Has the target refuse a command with sense data; what the initiator sends then.
fn refused(script: &mut Script, task: &iscsicore::wire::ScsiCommand, sense: &[u8]) {
    let response = ScsiResponse { status: 2, ..script.good(task.itt) };
    script.send_with(response, sense);
}

#[test]
fn the_second_attempt_begins_with_its_own_payload() {
    let setup = Setup::default().both(|o| {
        (o.initial_r2t, o.immediate_data) = (false, false);
        (o.first_burst, o.max_burst) = (2 << 20, 2 << 20);
    });
    let mut script = Script::with(&setup);
    let data = DataList::from(vec![7; 2 << 20]);
    script.near.submit(script.now, commands::write(Lun::ZERO, 0, data, 512).unwrap());
    let sent = script.sent();
    let itt = sent[0].command().itt;
    // Only a part has left when the target answers.
    assert!(sent.len() > 1);
    let early = ScsiResponse { status: 2, residual: Residual::Underflow(2 << 20), ..script.good(itt) };
    script.send_with(early, &sense(6, 0x29, 0));
    let sent = script.sent();
    let InitiatorPdu::ScsiCommand(_) = sent[0].pdu else { panic!("{}", sent[0].pdu) };
    let InitiatorPdu::DataOut(first) = sent[1].pdu else { panic!("{}", sent[1].pdu) };
    assert_eq!((first.offset, first.data_sn.0), (0, 0));
}

#[test]
fn a_flush_that_nobody_saw_tells_nothing() {
    let mut script = Script::new();
    good(&mut script, write());
    script.near.lose(script.now);
    script.log_in(&Setup::default());
    let timeout = Some(Duration::from_secs(1));
    let (task, sent) = script.submit(Command { timeout, ..commands::flush(Lun::ZERO) });
    script.later(Duration::from_secs(1));
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::TimedOut)));
    let abort = script.sent_one().management();
    let late = script.good(sent.itt);
    script.send(late);
    let none = script.management_response(abort.itt, TaskManagementResult::TaskDoesNotExist);
    script.send(none);
    let coverage = good(&mut script, commands::flush(Lun::ZERO)).coverage;
    assert_eq!(coverage, FlushCoverage::OnlySinceReconnect);
    assert_eq!(good(&mut script, commands::flush(Lun::ZERO)).coverage, FlushCoverage::All);
}

#[test]
fn two_flushes_at_a_time_tell_the_same() {
    let mut script = Script::new();
    good(&mut script, write());
    script.near.lose(script.now);
    script.log_in(&Setup::default());
    let flushes: Vec<_> = (0..2).map(|_| script.submit(commands::flush(Lun::ZERO))).collect();
    for (task, sent) in flushes {
        let response = script.good(sent.itt);
        script.send(response);
        assert_eq!(answer(&mut script, task).coverage, FlushCoverage::OnlySinceReconnect);
    }
}

#[test]
fn what_the_target_aborted_may_have_been_done_in_part() {
    let mut script = Script::new();
    let timeout = Some(Duration::from_millis(5));
    let (task, sent) = script.submit(Command { timeout, ..write() });
    refused(&mut script, &sent, &sense(0xb, 0x47, 3));
    script.later(Duration::from_millis(6));
    assert_eq!(script.outcome(task), Some(Outcome::Unknown(Cause::TimedOut)));
}

#[test]
fn a_unit_that_gets_ready_is_waited_for_and_one_that_does_not_is_told_of() {
    for (key, code, qualifier) in [(2, 0x04, 0x01), (2, 0x04, 0x0a), (6, 0x38, 0x07), (6, 0x5d, 0)] {
        let mut script = Script::new();
        let (task, sent) = script.submit(write());
        refused(&mut script, &sent, &sense(key, code, qualifier));
        script.later(Duration::from_millis(10));
        let again = script.sent_one().command();
        let response = script.good(again.itt);
        script.send(response);
        assert!(answer(&mut script, task).sense.is_empty(), "{key}/{code:02x}/{qualifier:02x}");
    }
    for (key, code, qualifier) in [(2, 0x04, 0x02), (2, 0x3a, 0), (6, 0x28, 0), (6, 0x2a, 0x03)] {
        let mut script = Script::new();
        let (task, sent) = script.submit(write());
        refused(&mut script, &sent, &sense(key, code, qualifier));
        assert!(!answer(&mut script, task).sense.is_empty(), "{key}/{code:02x}/{qualifier:02x}");
    }
}

// A recovered error is a success with something to tell: the write counts among those that a flush has to cover.
#[test]
fn a_recovered_error_is_a_success() {
    let mut script = Script::new();
    let (task, sent) = script.submit(write());
    refused(&mut script, &sent, &sense(1, 0x17, 0x01));
    assert!(!answer(&mut script, task).sense.is_empty());
    script.near.lose(script.now);
    script.log_in(&Setup::default());
    let coverage = good(&mut script, commands::flush(Lun::ZERO)).coverage;
    assert_eq!(coverage, FlushCoverage::OnlySinceReconnect);
}

#[test]
fn payload_is_a_sign_of_life() {
    let mut script = Script::new();
    let read = Command {
        repeat: Repeat::Safe,
        transient: Transient::Retry,
        ..Command::new(Lun::ZERO, Cdb::new([0x28; 16]))
    };
    let (_, sent) = script.submit(Command { data_in: 1 << 20, ..read });
    script.later(Duration::from_secs(30));
    script.sent_one().nop_out();
    for n in 0..12 {
        script.later(Duration::from_secs(3));
        let data = script.data_in(sent.itt, n, n * 512);
        script.send_with(data, &pattern(512));
    }
    script.assert_up();
    // Silence is still silence.
    script.later(Duration::from_secs(30));
    assert!(script.near.down.is_some());
}

#[test]
fn a_rejected_abort_costs_others_nothing() {
    let mut script = Script::new();
    let timeout = Some(Duration::from_secs(1));
    let (late, _) = script.submit(Command { timeout, ..Command::new(Lun::ZERO, Cdb::new([0; 16])) });
    let (other, sent) = script.submit(Command::new(Lun::ZERO, Cdb::new([0xc1; 16])));
    script.later(Duration::from_secs(1));
    assert_eq!(script.outcome(late), Some(Outcome::Unknown(Cause::TimedOut)));
    let abort = script.sent_one().management();
    let reject = script.reject(RejectReason::TooManyImmediateCommands);
    script.send_with(reject, &abort.emit().0);
    script.assert_up();
    let response = script.good(sent.itt);
    script.send(response);
    answer(&mut script, other);
    // What could not be aborted, and nobody waits for, does not stay for ever.
    script.later(Duration::from_secs(10));
    assert!(script.near.down.is_some());
}

// covers: 7144-6.3-1 7144-5.1.1-1 7144-5.2.1-2
#[test]
fn what_rfc_7144_adds_needs_its_protocol_level() {
    use iscsicore::wire::TaskManagementFunction as F;
    let mut script = Script::new();
    for function in [F::QueryTaskSet, F::QueryAsynchronousEvent, F::ITNexusReset] {
        let asked = script.near.initiator.task_management(script.now, function, Lun::ZERO);
        assert!(asked.is_err(), "{function:?}");
    }
    assert!(script.sent().is_empty());
    let (task, sent) = script.submit(Command { priority: 5, ..Command::new(Lun::ZERO, Cdb::new([0; 16])) });
    assert_eq!(sent.priority, 0);
    let busy = ScsiResponse { status: 0x08, status_qualifier: 0x4001, ..script.good(sent.itt) };
    script.send(busy);
    assert_eq!(answer(&mut script, task).status_qualifier, 0);
}
