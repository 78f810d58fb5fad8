//! The command window between both roles: small queues, numbers that wrap around, storage that answers in any order.
#![allow(missing_docs)]

mod pair_support;

use core::time::Duration;

use iscsicore::initiator::{Event, RefusedWhy, Sink};
use iscsicore::wire::{CmdSn, InitiatorPdu};
use pair_support::commands::{BLOCK, answer, is_good, read, test_unit_ready, write};
use pair_support::{Chance, Cut, Pair, Seen, Setup};

/// With this seed the first CmdSN of a login lies 48 numbers before the wrap-around.
const WRAPPING_SEED: u64 = 22_770_376;
const FIRST_CMD_SN: u32 = 0xffff_ffd0;

fn wrapping() -> Setup {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&WRAPPING_SEED.to_be_bytes());
    Setup { login_seed: Some(seed), ..Setup::default() }
}

/// CmdSN and I bit of what was numbered, in the order of the wire.
fn numbers(pair: &mut Pair) -> Vec<(CmdSn, bool)> {
    let number = |seen: &Seen| match seen {
        Seen::Out(InitiatorPdu::ScsiCommand(c), _) => Some((c.cmd_sn, c.immediate)),
        Seen::Out(InitiatorPdu::TaskManagementRequest(r), _) => Some((r.cmd_sn, r.immediate)),
        Seen::Out(InitiatorPdu::NopOut(nop), _) => Some((nop.cmd_sn, nop.immediate)),
        Seen::Out(InitiatorPdu::TextRequest(r), _) => Some((r.cmd_sn, r.immediate)),
        _ => None,
    };
    pair.monitor().seen.iter().filter_map(number).collect()
}

/// Writes blocks with many commands at once, and reads them back in the same way.
fn write_and_read(pair: &mut Pair, commands: u32, sink: Sink, chance: &mut Chance) {
    let blocks: Vec<Vec<u8>> = (0..commands).map(|_| chance.bytes(BLOCK * 2)).collect();
    let tasks: Vec<_> = (0..).zip(&blocks).map(|(n, data)| pair.submit(write(n * 2, data.clone()))).collect();
    assert!(pair.finish(&tasks).iter().all(|done| is_good(&done.outcome)));
    let tasks: Vec<_> = (0..commands).map(|n| pair.submit(read(n * 2, 2, sink))).collect();
    for (done, data) in pair.finish(&tasks).iter().zip(&blocks) {
        let got = match sink {
            Sink::Collect => answer(&done.outcome).data.to_bytes().to_vec(),
            Sink::Slots => done.memory.clone(),
        };
        assert!(got == *data, "what was read is not what was written");
    }
    pair.assert_sound();
}

#[test]
fn more_commands_than_the_target_takes_at_a_time() {
    for (round, depth) in [1, 2, 3, 5, 64].into_iter().enumerate() {
        for sink in [Sink::Collect, Sink::Slots] {
            let mut chance = Chance::new(round as u64);
            let setup = Setup {
                delay: Duration::from_millis(5),
                cut: chance.pick(&[Cut::Whole, Cut::UpTo(300)]),
                seed: round as u64,
                ..Setup::default()
            };
            let mut pair = setup.queue_depth(depth).ready();
            write_and_read(&mut pair, 60, sink, &mut chance);
            // The onlooker has seen that no CmdSN ran beyond MaxCmdSN.
            assert_eq!(pair.near.initiator.window(), depth);
        }
    }
}

// covers: 7143-4.2.2.1-3 7143-4.2.2.1-13 7143-10.6-1
#[test]
fn numbers_wrap_around() {
    for depth in [1, 7, 128] {
        let mut pair = wrapping().queue_depth(depth).ready();
        write_and_read(&mut pair, 60, Sink::Collect, &mut Chance::new(u64::from(depth)));
        let numbers = numbers(&mut pair);
        // The first one is that of the login.
        assert_eq!(numbers[0].0, CmdSn(FIRST_CMD_SN));
        for (n, (sn, immediate)) in numbers.iter().enumerate() {
            assert_eq!((*sn, *immediate), (CmdSn(FIRST_CMD_SN).plus(n as u32), false));
        }
        assert!(numbers.len() > 0x30 + 10, "the numbers have wrapped around");
    }
}

// covers: 7143-4.2.2.1-1 7143-4.2.2.1-2
#[test]
fn immediate_requests_use_no_number_up_around_the_wrap() {
    let mut pair = wrapping().queue_depth(4).ready();
    for _ in 0..60 {
        let task = pair.submit(test_unit_ready());
        pair.near.initiator.ping(pair.now, bytes::Bytes::new()).expect("a connection");
        pair.finish(&[task]);
        pair.run();
    }
    let mut next = CmdSn(FIRST_CMD_SN);
    for (sn, immediate) in numbers(&mut pair) {
        assert_eq!(sn, next);
        next = if immediate { next } else { next.next() };
    }
    assert!(next.0 < 100, "the numbers have wrapped around: {next:?}");
    let pongs = pair.events().iter().filter(|e| matches!(e, Event::Pong { result: Ok(_), .. })).count();
    assert_eq!(pongs, 60);
    pair.assert_sound();
}

#[test]
fn a_window_that_is_shut_opens_with_the_answers() {
    let mut pair = Setup::default().queue_depth(3).ready();
    pair.far.stalled = true;
    let tasks: Vec<_> = (0..8).map(|n| pair.submit(read(n, 1, Sink::Collect))).collect();
    pair.run();
    assert_eq!((pair.monitor().outstanding(), pair.near.initiator.window()), (3, 0));
    assert_eq!(pair.near.initiator.outstanding(), 8);
    // A ping passes by.
    pair.near.initiator.ping(pair.now, bytes::Bytes::from_static(b"x")).expect("a connection");
    pair.run();
    assert!(matches!(pair.events()[..], [Event::Pong { result: Ok(_), .. }]));
    pair.far.stalled = false;
    assert!(pair.finish(&tasks).iter().all(|done| is_good(&done.outcome)));
    assert_eq!((pair.monitor().outstanding(), pair.near.initiator.window()), (0, 3));
    pair.assert_sound();
}

#[test]
fn the_initiator_s_own_queue_gives_back_what_it_does_not_take() {
    let mut setup = Setup::default();
    setup.near_limits.queue_depth = 5;
    let mut pair = setup.ready();
    pair.far.stalled = true;
    let tasks: Vec<_> = (0..5).map(|n| pair.submit(read(n, 1, Sink::Collect))).collect();
    let refused = pair.near.initiator.submit(pair.now, read(9, 1, Sink::Collect)).expect_err("a full queue");
    assert_eq!(refused.why, RefusedWhy::QueueFull);
    assert_eq!(refused.command.data_in, 512);
    pair.far.stalled = false;
    assert!(pair.finish(&tasks).iter().all(|done| is_good(&done.outcome)));
    let told = pair.events().iter().filter(|e| matches!(e, Event::RoomAgain)).count();
    assert_eq!(told, 1, "once, since it refused once");
    let again = pair.submit(*refused.command);
    assert!(is_good(&pair.finish(&[again])[0].outcome));
}

#[test]
fn commands_may_be_submitted_before_there_is_a_connection() {
    let mut pair = Setup::default().ready();
    pair.cut_connection();
    assert_eq!(pair.near.initiator.window(), 0);
    let tasks: Vec<_> = (0..4).map(|n| pair.submit(write(n, vec![n as u8 + 1; BLOCK]))).collect();
    pair.events();
    pair.log_in();
    // The first meets the attention that tells of the lost nexus; it is delivered, as asked for.
    let done = pair.finish(&tasks);
    assert!(!is_good(&done[0].outcome) && done[1..].iter().all(|done| is_good(&done.outcome)));
    for n in 1..4 {
        assert_eq!(pair.far.disks[0][n * BLOCK..][..BLOCK], [n as u8 + 1; BLOCK]);
    }
    pair.assert_sound();
}
