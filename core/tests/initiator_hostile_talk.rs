//! A target that breaks the rules for everything but payload: windows, pings, rejects, messages, answers to nothing. Whatever
//! it does costs an error at most: no panic, no loop, no memory without bound.
#![allow(missing_docs)]

mod initiator_support;
mod pair_support;

use initiator_support::Script;
use initiator_support::bench::{Bench, harmless, refused, setup};
use iscsicore::initiator::{Event, Sink};
use iscsicore::scsi::Status;
use iscsicore::wire::{
    AsyncEvent, Bhs, CmdSn, Isid, Itt, LoginResponse, LoginStatus, LogoutResult, Lun, NopIn, Opcode,
    RejectReason, ScsiResponse, Stage, TaskManagementResult, Tsih, Ttt,
};
use pair_support::commands::{answer, test_unit_ready};
use pair_support::{Feed, Setup};

#[test]
fn windows_that_go_back_or_contradict_themselves_are_ignored() {
    let before = Bench::new(Sink::Collect).script.near.initiator.window();
    for (exp, max) in [(0i64, -2i64), (0, -1_000), (-10, 20), (0, i64::from(u32::MAX / 2)), (5, 2)] {
        let mut bench = Bench::new(Sink::Collect);
        let (e, m) = (bench.script.exp_cmd_sn, bench.script.max_cmd_sn);
        let nop = NopIn {
            exp_cmd_sn: CmdSn((i64::from(e.0) + exp) as u32),
            max_cmd_sn: match max {
                -2 => CmdSn(e.0.wrapping_sub(2)),
                20 => m,
                max => CmdSn((i64::from(m.0) + max) as u32),
            },
            ..bench.script.ping(u32::MAX)
        };
        bench.script.send(nop);
        bench.script.assert_up();
        assert!(bench.script.near.initiator.window() >= before, "a window does not shrink");
        bench.carry_on(0..4, 0..3, 0..2);
        bench.script.assert_up();
        bench.assert_honest(Sink::Collect);
    }
}

#[test]
fn a_window_that_is_wide_open_lets_out_no_more_than_the_queue_takes() {
    let mut script = Script::with(&setup());
    script.max_cmd_sn = CmdSn(script.exp_cmd_sn.0.wrapping_add(i32::MAX as u32));
    let nop = script.ping(u32::MAX);
    script.send(nop);
    let mut taken = 0;
    while script.near.initiator.submit(script.now, test_unit_ready()).is_ok() {
        taken += 1;
        assert!(taken <= 100_000, "a queue without end");
    }
    assert_eq!(script.sent().len(), taken);
}

#[test]
fn a_flood_of_pings_costs_no_memory() {
    for feed in [Feed::Owned, Feed::Lent] {
        let mut script = Script::with(&Setup { feed, ..setup() });
        let flood: Vec<u8> = (0..20_000).flat_map(|n| script.encode(script.ping(n).emit(), &[])).collect();
        script.give(&flood.into());
        // The target does not read: what waits for it is little.
        let waiting = script.near.take(script.now).len();
        assert!(waiting <= 48 * 1000, "{waiting} bytes of answers");
        // When it does read, every ping is answered, in order.
        let mut answered = waiting / 48;
        loop {
            script.give(&bytes::Bytes::new());
            match script.near.take(script.now).len() / 48 {
                0 => break,
                n => answered += n,
            }
        }
        assert!(answered == 20_000 || script.near.is_over(), "{answered} answers");
    }
}

// covers: 7143-11.18-1 7143-11.18-2 7143-11.18-3 7143-11.18.2-3 7143-11.18.1-1 7143-11.18.1-2
#[test]
fn pings_are_answered_with_their_tag_and_lun() {
    let mut script = Script::with(&setup());
    let ping = NopIn { lun: Lun(0x0003_0000_0000_0000), ..script.ping(0x1234_5678) };
    script.send(ping);
    let answer = script.sent_one().nop_out();
    assert_eq!((answer.ttt, answer.lun, answer.itt), (ping.ttt, ping.lun, Itt::RESERVED));
    assert!(answer.immediate);
    // One that asks for nothing gets nothing.
    let nop = script.ping(u32::MAX);
    script.send(nop);
    script.quiet();
    script.assert_up();
}

#[test]
fn rejects_of_anything() {
    // Headers that are cut short, of nothing, of PDUs that were never sent, and of those that were.
    for reason in (0..=16).chain(250..=255u8) {
        let reason = RejectReason::from_code(reason);
        for len in [0, 1, 47, 48, 52] {
            harmless(|b| {
                let header = Bhs([0xff; 48]);
                let data = [&header.0[..], &[0; 4]].concat();
                let reject = b.script.reject(reason);
                b.script.send_with(reject, &data[..len]);
            });
        }
        if reason.code() > 13 && reason.code() < 255 {
            continue;
        }
        for opcode in [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x21, 0x25, 0x3f] {
            harmless(|b| {
                let mut header = b.write.1.emit();
                header.0[0] = opcode;
                let reject = b.script.reject(reason);
                b.script.send_with(reject, &header.0);
                b.script.sent();
            });
        }
    }
}

#[test]
fn asynchronous_messages_of_every_code_with_lying_sense() {
    for code in 0..=255u8 {
        for segment in [&[][..], &[0], &[0, 18], &[0xff, 0xff, 0x70], &[0, 2, 0x70, 0, 1, 2, 3]] {
            for parameters in [(0, 0, 0), (u16::MAX, u16::MAX, u16::MAX)] {
                let mut bench = Bench::new(Sink::Collect);
                let mut message = bench.script.message(AsyncEvent::from_code(code));
                (message.parameter1, message.parameter2, message.parameter3) = parameters;
                bench.script.send_with(message, segment);
                bench.script.sent();
                bench.carry_on(0..4, 0..3, 0..2);
                bench.script.sent();
                bench.assert_ended();
            }
        }
    }
}

#[test]
fn pdus_that_do_not_belong_in_the_full_feature_phase() {
    refused(|b| {
        let stat_sn = b.script.next_status();
        b.script.send(LoginResponse {
            transit: true,
            continued: false,
            csg: Stage::LoginOperationalNegotiation,
            nsg: Some(Stage::FullFeature),
            version_max: 0,
            version_active: 0,
            isid: Isid([0x80, 0, 0, 0, 0, 1]),
            tsih: Tsih(1),
            itt: Itt(0),
            stat_sn,
            exp_cmd_sn: CmdSn(0),
            max_cmd_sn: CmdSn(0),
            status: LoginStatus::SUCCESS,
        });
    });
    // Opcodes that nobody has defined, and those of initiators.
    for opcode in (0..64u8).filter(|code| !is_target_opcode(*code)) {
        refused(move |b| {
            let mut bhs = b.script.good(b.read.1.itt).emit();
            bhs.0[0] = opcode;
            b.script.send_raw(bhs, &[]);
        });
    }
}

fn is_target_opcode(code: u8) -> bool {
    let target = [
        Opcode::NopIn,
        Opcode::ScsiResponse,
        Opcode::TaskManagementResponse,
        Opcode::LoginResponse,
        Opcode::TextResponse,
        Opcode::DataIn,
        Opcode::LogoutResponse,
        Opcode::R2t,
        Opcode::AsyncMessage,
        Opcode::Reject,
    ];
    let bhs = Bhs([code; 48]);
    target.contains(&bhs.opcode())
}

#[test]
fn a_nop_in_that_is_an_answer_and_a_question_at_once_is_a_format_error() {
    refused(|b| {
        let nop = b.script.ping(5);
        let stat_sn = b.script.next_status();
        b.script.send(NopIn { itt: Itt(0x7777_0000), stat_sn, ..nop });
    });
}

#[test]
fn check_condition_without_sense_is_delivered_as_it_is() {
    // Section 7.7 calls it a format error; istgt does it all the time.
    let mut bench = Bench::new(Sink::Collect);
    let response = bench.script.good(bench.read.1.itt);
    bench.script.send(ScsiResponse { status: Status::CHECK_CONDITION.0, ..response });
    bench.script.assert_up();
    let outcome = bench.script.outcome(bench.read.0).expect("an answer");
    assert_eq!((answer(&outcome).status, answer(&outcome).sense.len()), (Status::CHECK_CONDITION, 0));
    bench.assert_honest(Sink::Collect);
}

#[test]
fn answers_to_questions_that_were_not_asked() {
    for itt in [0u32, 0x7777_0000, Itt::RESERVED.0] {
        harmless(|b| {
            let response = b.script.management_response(Itt(itt), TaskManagementResult::Complete);
            b.script.send(response);
        });
        harmless(|b| {
            let response = b.script.logout_response(Itt(itt), LogoutResult::Closed);
            b.script.send(response);
            let ended = b.script.events().iter().any(|e| matches!(e, Event::Ended));
            assert!(!ended, "a session that nobody wanted to end");
        });
        harmless(|b| {
            let response = b.script.text_response(Itt(itt), Ttt::RESERVED);
            b.script.send_with(response, b"SendTargets=All\0");
        });
        harmless(|b| {
            let pong = NopIn { itt: Itt(itt), ..b.script.ping(u32::MAX) };
            let pong = NopIn { stat_sn: b.script.next_status(), ..pong };
            b.script.send_with(pong, b"pong");
        });
    }
    // Answers of one kind to questions of another: the commands' own tags.
    for result in [TaskManagementResult::Complete, TaskManagementResult::Rejected] {
        harmless(|b| {
            let response = b.script.management_response(b.read.1.itt, result);
            b.script.send(response);
        });
    }
    harmless(|b| {
        let response = b.script.logout_response(b.read.1.itt, LogoutResult::Closed);
        b.script.send(response);
    });
    harmless(|b| {
        let response = b.script.text_response(b.write.1.itt, Ttt(4));
        b.script.send(response);
    });
}
