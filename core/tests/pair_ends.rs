//! How commands end between both roles: residuals, sense data, statuses without sense, bidirectional commands.
#![allow(missing_docs)]

mod pair_support;

use iscsicore::initiator::{Answer, Command, Outcome, Sink};
use iscsicore::scsi::Status;
use iscsicore::wire::Residual;
use pair_support::commands::{BLOCK, Scripted, answer, is_good, pattern, plain, read, rw10, scripted};
use pair_support::near::UNTOUCHED;
use pair_support::{Cut, Pair, Setup};

fn pairs() -> impl Iterator<Item = (Pair, Sink)> {
    [Sink::Collect, Sink::Slots].into_iter().flat_map(|sink| {
        [Cut::Whole, Cut::UpTo(60)].map(|cut| {
            let mut setup = Setup { cut, ..Setup::default() };
            (setup.near.max_segment, setup.near.max_burst, setup.near.first_burst) = (512, 1024, 512);
            (setup.ready(), sink)
        })
    })
}

/// Carries out, and gives the answer and what arrived.
fn run(pair: &mut Pair, command: Command) -> (Answer, Vec<u8>) {
    let sink = command.sink;
    let task = pair.submit(command);
    let done = pair.finish(&[task]).remove(0);
    let answer = answer(&done.outcome).clone();
    let received = match sink {
        Sink::Collect => answer.data.to_bytes().to_vec(),
        Sink::Slots => done.memory,
    };
    (answer, received)
}

#[test]
fn less_than_was_expected_is_an_underflow() {
    for (mut pair, sink) in pairs() {
        for (expected, sent) in [(1, 0), (512, 511), (2000, 1), (2000, 1024), (5000, 4999)] {
            let what = Scripted { send: sent, moved: sent, ..Scripted::default() };
            let (answer, received) = run(&mut pair, Command { sink, ..scripted(what, Vec::new(), expected) });
            assert_eq!((answer.status, answer.received), (Status::GOOD, sent));
            assert_eq!(answer.residual, Residual::Underflow(expected - sent));
            assert!(received[..sent as usize] == pattern(sent as usize)[..]);
            if sink == Sink::Slots {
                assert!(
                    received[sent as usize..].iter().all(|byte| *byte == UNTOUCHED),
                    "what did not arrive"
                );
            } else {
                assert_eq!(received.len(), sent as usize);
            }
        }
        pair.assert_sound();
    }
}

#[test]
fn more_than_was_expected_is_an_overflow_and_cut() {
    for (mut pair, sink) in pairs() {
        for (expected, sent) in [(1, 2), (511, 512), (512, 4000), (1025, 1026)] {
            let what = Scripted { send: sent, moved: sent, ..Scripted::default() };
            let (answer, received) = run(&mut pair, Command { sink, ..scripted(what, Vec::new(), expected) });
            assert_eq!((answer.status, answer.received), (Status::GOOD, expected));
            assert_eq!(answer.residual, Residual::Overflow(sent - expected));
            assert!(received == pattern(sent as usize)[..expected as usize]);
        }
        // The disk's own: one block asked for, room for half of it.
        let command = Command { data_in: 256, sink, ..plain(&rw10(0x28, 0, 1)) };
        let (answer, received) = run(&mut pair, command);
        assert_eq!((answer.received, answer.residual), (256, Residual::Overflow(256)));
        assert!(received == pair.far.disks[0][..256]);
        pair.assert_sound();
    }
}

#[test]
fn payload_that_the_target_takes_only_in_part_is_a_residual() {
    for (mut pair, _) in pairs() {
        for (offered, taken) in [(512, 100), (2000, 1), (3000, 2999), (1024, 1024)] {
            let data = pattern(offered);
            let what = Scripted { take: taken, moved: taken, ..Scripted::default() };
            let (answer, _) = run(&mut pair, scripted(what, data.clone(), 0));
            let less = offered as u32 - taken;
            let residual = if less > 0 { Residual::Underflow(less) } else { Residual::None };
            assert_eq!((answer.status, answer.residual), (Status::GOOD, residual));
            let got = pair.far.taken.pop().expect("payload").to_bytes();
            assert!(got[..] == data[..taken as usize]);
        }
        pair.assert_sound();
    }
}

#[test]
fn payload_that_is_missing_is_an_overflow() {
    for (mut pair, _) in pairs() {
        let what = Scripted { take: 4000, moved: 4000, ..Scripted::default() };
        let (answer, _) = run(&mut pair, scripted(what, pattern(1000), 0));
        assert_eq!(answer.residual, Residual::Overflow(3000));
        assert!(pair.far.taken.pop().expect("payload").to_bytes()[..] == pattern(1000)[..]);
        pair.assert_sound();
    }
}

// covers: 7143-10.2-1
#[test]
fn check_condition_brings_its_sense_data() {
    for (mut pair, sink) in pairs() {
        for sent in [0, 600] {
            let status = Status::CHECK_CONDITION.0;
            let what = Scripted { send: sent, moved: sent, status, ..Scripted::default() };
            let (answer, received) = run(&mut pair, Command { sink, ..scripted(what, Vec::new(), 2000) });
            assert_eq!((answer.status, answer.received), (Status::CHECK_CONDITION, sent));
            assert_eq!(answer.sense[..], pair_support::far::SENSE.encode_fixed()[..]);
            assert!(received[..sent as usize] == pattern(sent as usize)[..]);
        }
        // The disk's own: beyond the last block.
        let (answer, _) = run(&mut pair, read(100_000, 1, sink));
        assert_eq!(answer.status, Status::CHECK_CONDITION);
        assert_eq!((answer.sense[2] & 0xf, answer.sense[12], answer.sense[13]), (5, 0x21, 0));
        assert_eq!(answer.residual, Residual::Underflow(BLOCK as u32));
        pair.assert_sound();
    }
}

#[test]
fn statuses_without_sense_are_delivered_as_they_are() {
    for (mut pair, sink) in pairs() {
        for status in [Status::BUSY, Status::TASK_SET_FULL, Status::RESERVATION_CONFLICT] {
            let what = Scripted { status: status.0, ..Scripted::default() };
            let (answer, _) = run(&mut pair, Command { sink, ..scripted(what, Vec::new(), 100) });
            assert_eq!((answer.status, answer.received, answer.sense.len()), (status, 0, 0));
            assert_eq!(answer.residual, Residual::Underflow(100));
        }
        pair.assert_sound();
    }
}

// covers: 7143-11.7-1
#[test]
fn status_good_comes_with_the_last_payload_or_after_it() {
    use iscsicore::wire::TargetPdu;
    use pair_support::Seen;
    for (mut pair, sink) in pairs() {
        let what = Scripted { send: 1200, moved: 1200, ..Scripted::default() };
        let (answer, received) = run(&mut pair, Command { sink, ..scripted(what, Vec::new(), 1200) });
        assert!(answer.status == Status::GOOD && received == pattern(1200));
        let with_status =
            |seen: &Seen| matches!(seen, Seen::In(TargetPdu::DataIn(d), _) if d.status == Some(0));
        assert_eq!(pair.monitor().seen.iter().filter(|seen| with_status(seen)).count(), 1);
    }
}

#[test]
fn bidirectional_commands_move_payload_both_ways() {
    for (mut pair, sink) in pairs() {
        for (out, back, expected) in
            [(1, 1, 1), (512, 512, 512), (3000, 2000, 2000), (3000, 100, 2000), (700, 900, 512)]
        {
            let data = pattern(out);
            let what = Scripted { take: out as u32, send: back, moved: out as u32, status: 0 };
            let (answer, received) =
                run(&mut pair, Command { sink, ..scripted(what, data.clone(), expected) });
            let arrived = back.min(expected);
            assert_eq!((answer.status, answer.received), (Status::GOOD, arrived));
            assert!(received[..arrived as usize] == pattern(back as usize)[..arrived as usize]);
            assert_eq!(answer.residual, Residual::None, "of the write part");
            let read_residual = Residual::between(back.into(), expected);
            assert_eq!(answer.read_residual, read_residual, "{out} {back} {expected}");
            assert!(pair.far.taken.pop().expect("payload").to_bytes()[..] == data[..]);
        }
        pair.assert_sound();
    }
}

#[test]
fn a_command_without_payload_has_none() {
    for (mut pair, sink) in pairs() {
        let what = Scripted { send: 100, moved: 100, ..Scripted::default() };
        let (answer, received) = run(&mut pair, Command { sink, ..scripted(what, Vec::new(), 0) });
        assert_eq!((answer.received, received.len()), (0, 0));
        assert_eq!(answer.residual, Residual::Overflow(100));
        let outcome = pair.execute(plain(&rw10(0x28, 0, 0)));
        assert!(
            is_good(&outcome) && matches!(&outcome, Outcome::Answered(a) if a.residual == Residual::None)
        );
        pair.assert_sound();
    }
}
