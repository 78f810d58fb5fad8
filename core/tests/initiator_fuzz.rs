//! Conversations that a target makes up as it goes: PDUs of every kind whose fields are near the truth, in any order and cut
//! anywhere. Nothing of what they say can be checked, but that everything ends, once, and that the session works afterwards.
#![allow(missing_docs)]

mod initiator_support;
mod pair_support;

use core::time::Duration;

use initiator_support::Script;
use initiator_support::bench::{Bench, setup};
use iscsicore::initiator::{Repeat, Sink, Transient};
use iscsicore::session::SendTargets;
use iscsicore::wire::{
    AsyncEvent, Bhs, DataIn, DataSn, Itt, LogoutResult, NopIn, R2t, R2tSn, RejectReason, Residual,
    ScsiResponse, StatSn, TaskManagementFunction, TaskManagementResult, TextResponse, Ttt,
};
use pair_support::commands::test_unit_ready;
use pair_support::{Chance, Cut, Feed, Setup};

/// A tag of a task that is there, or not.
fn tag(bench: &Bench, chance: &mut Chance) -> Itt {
    let known = [bench.read.1.itt, bench.write.1.itt, Itt::RESERVED, Itt(2), Itt(3), Itt(4)];
    match chance.below(8) {
        7 => Itt(chance.next() as u32),
        n => known[n % known.len()],
    }
}

/// A number that is likely to be the right one.
fn near(right: u32, chance: &mut Chance) -> u32 {
    match chance.below(6) {
        0 => right.wrapping_add(1),
        1 => chance.next() as u32,
        _ => right,
    }
}

/// A PDU of the target, and its data segment.
fn invent(bench: &mut Bench, turn: u32, chance: &mut Chance) -> (Bhs, Vec<u8>) {
    let itt = tag(bench, chance);
    let len = chance.pick(&[0, 1, 48, 512, 1024]);
    let data = chance.bytes(len);
    let script: &mut Script = &mut bench.script;
    let right = script.stat_sn;
    let bhs = match chance.below(11) {
        0 | 1 => {
            let (sn, offset) = (near(turn % 4, chance), near(turn % 4 * 1024, chance));
            let status = chance.pick(&[None, None, Some(0)]);
            DataIn { status, data_sn: DataSn(sn), offset, stat_sn: right, ..script.data_in(itt, 0, 0) }.emit()
        }
        2 | 3 => {
            let len = chance.pick(&[1, 512, 2048, 4096]);
            let r2t = script.r2t(itt, 0, near(turn % 3 * 2048, chance), len);
            R2t { r2t_sn: R2tSn(near(turn % 3, chance)), ..r2t }.emit()
        }
        4 => {
            let residual = chance.pick(&[Residual::None, Residual::Underflow(4096), Residual::Overflow(1)]);
            let status = chance.pick(&[0, 2, 8, 0x18, 0x28, 0xff]);
            ScsiResponse { status, residual, ..script.good(itt) }.emit()
        }
        5 => NopIn { itt, ..script.ping(near(u32::MAX, chance)) }.emit(),
        6 => script.reject(RejectReason::from_code(chance.below(16) as u8)).emit(),
        7 => script.message(AsyncEvent::from_code(chance.pick(&[0, 0, 4, 5, 77, 250]))).emit(),
        8 => script.management_response(itt, TaskManagementResult::from_code(chance.below(9) as u8)).emit(),
        9 => {
            let ttt = Ttt(near(u32::MAX, chance));
            let continued = chance.below(3) == 0;
            TextResponse { continued, final_: !continued, ..script.text_response(itt, ttt) }.emit()
        }
        _ => script.logout_response(itt, LogoutResult::Closed).emit(),
    };
    // Mostly the numbers go on as they should; sometimes a bit is turned over.
    if chance.below(4) > 0 {
        script.stat_sn = StatSn(near(right.0.wrapping_add(1), chance));
    }
    let mut bhs = bhs;
    if chance.below(5) == 0 {
        let bit = chance.below(48 * 8);
        bhs.0[bit / 8] ^= 1 << (bit % 8);
    }
    (bhs, data)
}

fn play(seed: u64) {
    let mut chance = Chance::new(seed);
    let sink = chance.pick(&[Sink::Collect, Sink::Slots]);
    let mut bench = Bench::new(sink);
    let patient = iscsicore::initiator::Command {
        repeat: Repeat::Safe,
        transient: Transient::Retry,
        timeout: Some(Duration::from_secs(30)),
        ..test_unit_ready()
    };
    let more: Vec<_> = (0..3).map(|_| bench.script.near.submit(bench.script.now, patient.clone())).collect();
    let now = bench.script.now;
    let initiator = &mut bench.script.near.initiator;
    initiator.send_targets(now, SendTargets::All).expect("a connection");
    let function = TaskManagementFunction::AbortTaskSet;
    initiator.task_management(now, function, patient.lun).expect("a connection");
    for turn in 0..40 {
        if bench.script.near.is_over() {
            break;
        }
        let (bhs, data) = invent(&mut bench, turn, &mut chance);
        let mut bytes = bench.script.encode(bhs, &data);
        while !bytes.is_empty() {
            let piece = bytes.split_to(Cut::UpTo(600).len(bytes.len(), &mut chance));
            bench.script.give(&piece);
        }
        // The target does not always read.
        if chance.below(3) > 0 {
            let _ = bench.script.near.take(bench.script.now);
        }
        if chance.below(20) == 0 {
            bench.script.later(Duration::from_secs(5));
        }
    }
    bench.script.later(Duration::from_secs(70_000));
    if !bench.script.near.is_over() {
        bench.script.near.lose(bench.script.now);
    }
    bench.script.later(Duration::from_secs(70_000));
    for task in [bench.read.0, bench.write.0].into_iter().chain(more) {
        assert!(bench.script.near.done.contains_key(&task), "seed {seed}: {task} has not ended");
    }
    assert_eq!(bench.script.near.initiator.outstanding(), 0, "seed {seed}");
    bench.script.near.errors.clear();
    bench.script.log_in(&Setup { feed: Feed::Lent, ..setup() });
    let (task, command) = bench.script.submit(test_unit_ready());
    let good = bench.script.good(command.itt);
    bench.script.send(good);
    assert!(bench.script.outcome(task).is_some(), "seed {seed}: the session works no more");
}

#[test]
fn whatever_a_target_makes_up_everything_ends() {
    (0..1500).for_each(play);
}
