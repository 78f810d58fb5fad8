//! What sessions of different shards do to each other: reinstatement and task management.

use std::time::Duration;

use crate::platform::backend::{Gate, Kind};
use iscsicore::wire::{Itt, Opcode, TaskManagementFunction as Function, TaskManagementResult as Answer};

use crate::support::initiator::{Login, Session};
use crate::support::pipelined::{self, Pipelined};
use crate::support::serving::{Serving, TARGET, WHILE};

const SHARDS: usize = 3;
const BLOCK: u64 = 512;

/// Starts writes of ones at every eighth block from `lba` on, and holds them in the storage.
fn held_writes(serving: &Serving, session: &mut Session, lba: u64, count: u64) -> Vec<(Itt, Gate)> {
    let held = (0..count).map(|n| {
        let gate = serving.hold(Kind::Write, (lba + 8 * n) * BLOCK);
        let itt = session.start_write(0, lba + 8 * n, &[1; 512]);
        serving.reached(&gate);
        (itt, gate)
    });
    held.collect()
}

/// Writes of twos over what `held_writes` writes.
fn writes_over(lba: u64, count: u64) -> Vec<(u64, Vec<u8>)> {
    (0..count).map(|n| (lba + 8 * n, vec![2; 512])).collect()
}

fn assert_twos(serving: &Serving, lba: u64, count: u64) {
    for n in 0..count {
        let bytes = serving.bytes((lba + 8 * n) * BLOCK, 512);
        assert_eq!(bytes, [2; 512], "a write of the old one landed on one of the new");
    }
}

/// The old session's writes are in the storage when its successor logs in, whose own writes to the same blocks come in
/// one segment with the login. All of the old ones land before any of the new.
#[test]
fn a_session_is_reinstated_from_another_shard() {
    let serving = Serving::on_shards(SHARDS, |_| {});
    let mut moved = 0;
    for round in 0..6u64 {
        let (count, lba) = (1 + round, 1000 * round);
        let mut old = serving.login("across");
        let from = serving.shard_of(&old);
        let held = held_writes(&serving, &mut old, lba, count);
        let login = Login::to(TARGET, "across");
        let mut sent = Pipelined::send(serving.address, login, round % 2 == 1, &writes_over(lba, count));
        assert!(old.next_pdu().is_none(), "the old connection is closed without a word");
        // The last gate is opened after the login was watched for a while; another one each time.
        let last = round as usize % held.len();
        held.iter().enumerate().filter(|(n, _)| *n != last).for_each(|(_, (_, gate))| gate.open());
        assert!(sent.raw.receive_within(WHILE).is_none(), "a write of the old session is in the storage");
        held[last].1.open();
        let mut new = sent.finish().unwrap();
        assert_eq!(new.finish(pipelined::READY).sense, Some((6, 0x29, 7)), "I_T NEXUS LOSS OCCURRED");
        (0..count).for_each(|n| assert_eq!(new.finish(pipelined::write(n as u32)).status, 0));
        moved += usize::from(serving.shard_of(&new) != from);
        std::thread::sleep(Duration::from_millis(20));
        assert_twos(&serving, lba, count);
        assert_eq!(serving.loads().iter().sum::<usize>(), 1);
        new.logout();
        serving.wait_for_sessions(0);
    }
    // The old session counts until it has ended, so that its successor gets another shard.
    assert_eq!(moved, if serving.shards() > 1 { 6 } else { 0 });
}

/// The same for a connection: the login comes in on the shard that the kernel chose, and joins the session on its own.
#[test]
fn a_connection_is_reinstated_from_another_shard() {
    let serving = Serving::on_shards(SHARDS, |_| {});
    let mut session = serving.login("rejoined");
    let home = serving.shard_of(&session);
    for round in 0..10u64 {
        let (count, lba) = (1 + round % 4, 1000 * round);
        let held = held_writes(&serving, &mut session, lba, count);
        let login = Login::to(TARGET, "rejoined").rejoin(&session);
        let mut sent = Pipelined::send(serving.address, login, false, &writes_over(lba, count));
        assert!(session.next_pdu().is_none(), "the old connection is closed without a word");
        let last = round as usize % held.len();
        held.iter().enumerate().filter(|(n, _)| *n != last).for_each(|(_, (_, gate))| gate.open());
        assert!(sent.raw.receive_within(WHILE / 3).is_none(), "a write of the old one is in the storage");
        held[last].1.open();
        let tsih = session.tsih;
        session = sent.finish().unwrap();
        assert_eq!(session.tsih, tsih);
        assert_eq!(
            session.finish(pipelined::READY).sense,
            Some((6, 0x47, 0x7f)),
            "COMMANDS CLEARED BY ISCSI PROTOCOL EVENT"
        );
        (0..count).for_each(|n| assert_eq!(session.finish(pipelined::write(n as u32)).status, 0));
        std::thread::sleep(Duration::from_millis(20));
        assert_twos(&serving, lba, count);
        assert_eq!(serving.shard_of(&session), home);
        assert_eq!(serving.session_count(), 1);
    }
}

/// One session a shard, and one more that has nothing running.
struct Everywhere {
    serving: Serving,
    asker: Session,
    others: Vec<Session>,
    idle: Session,
}

impl Everywhere {
    fn new() -> Self {
        let serving = Serving::on_shards(SHARDS, |_| {});
        let asker = serving.login("asker");
        let others: Vec<_> = (1..SHARDS).map(|n| serving.login(&format!("other-{n}"))).collect();
        let idle = serving.login("idle");
        if serving.shards() > 1 {
            assert!(others.iter().all(|other| serving.shard_of(other) != serving.shard_of(&asker)));
        }
        Everywhere { serving, asker, others, idle }
    }

    /// Asks for a function while commands of all but one session are in the storage; returns what was held.
    fn ask(&mut self, function: Function) -> (Itt, Vec<(Itt, Gate)>) {
        let mut held = Vec::new();
        for (n, other) in (1..).zip(&mut self.others) {
            held.extend(held_writes(&self.serving, other, 1000 * n, 2));
        }
        (self.asker.start_management(function, 0, Itt::RESERVED), held)
    }

    /// Opens one gate after the other; there is an answer after the last, and not before.
    fn answers_last(&mut self, request: Itt, held: &[(Itt, Gate)]) {
        for (_, gate) in held {
            assert!(self.asker.is_silent_about(request, WHILE / 3), "a write is in the storage");
            gate.open();
        }
        assert_eq!(self.asker.management_result(request), Answer::Complete);
    }
}

#[test]
fn functions_for_the_unit_reach_the_sessions_of_every_shard_and_tell_each_once() {
    let mut all = Everywhere::new();
    let functions = [
        (Function::LogicalUnitReset, (6, 0x29, 3), 1),
        (Function::ClearTaskSet, (6, 0x2f, 0), 0),
        (Function::TargetWarmReset, (6, 0x29, 2), 1),
    ];
    for (function, attention, own) in functions.into_iter().cycle().take(9) {
        let (request, held) = all.ask(function);
        all.answers_last(request, &held);
        // Whatever was aborted has landed by now: nothing lands on this.
        for (session, (_, lba)) in all.others.iter_mut().zip([(1, 1000), (2, 2000)]) {
            assert_eq!(session.test_unit_ready(0).sense, Some(attention), "{function:?}");
            assert_eq!(session.test_unit_ready(0).sense, None, "once, after {function:?}");
            session.write(0, lba, &[2; 512]);
            session.write(0, lba + 8, &[2; 512]);
        }
        assert_eq!(all.idle.test_unit_ready(0).sense, Some(attention), "{function:?}");
        assert_eq!(all.idle.test_unit_ready(0).sense, None, "once, after {function:?}");
        let attentions = (0..3).filter(|_| all.asker.test_unit_ready(0).sense.is_some()).count();
        assert_eq!(attentions, own, "{function:?}");
        std::thread::sleep(Duration::from_millis(20));
        assert_twos(&all.serving, 1000, 2);
        assert_twos(&all.serving, 2000, 2);
        for (session, pair) in all.others.iter_mut().zip(held.chunks(2)) {
            for (itt, _) in pair {
                assert!(
                    session.is_silent_about(*itt, Duration::from_millis(2)),
                    "an aborted task is not answered"
                );
            }
        }
    }
}

#[test]
fn a_cold_reset_ends_the_sessions_of_every_shard() {
    for _ in 0..3 {
        let mut all = Everywhere::new();
        let (request, held) = all.ask(Function::TargetColdReset);
        all.answers_last(request, &held);
        let Everywhere { serving, mut asker, mut others, mut idle } = all;
        for session in others.iter_mut().chain([&mut asker, &mut idle]) {
            // Nothing but how far the command window reaches now.
            while let Some(pdu) = session.next_pdu() {
                assert_eq!((pdu.bhs.opcode(), pdu.bhs.itt()), (Opcode::NopIn, Itt::RESERVED), "{pdu:?}");
            }
        }
        serving.wait_for_sessions(0);
        assert!(serving.loads().iter().all(|load| *load == 0));
        // Every name can come back, to any shard, and is told of the reset.
        for name in ["asker", "other-1", "other-2", "idle"] {
            let mut again = Session::login_only(serving.address, &Login::to(TARGET, name)).unwrap();
            assert_eq!(again.test_unit_ready(0).sense.map(|s| (s.0, s.1)), Some((6, 0x29)));
            again.clear_attention(0);
            again.write(0, 0, &[3; 512]);
        }
    }
}

/// All sessions reset the unit at the same moment, again and again: each is answered, and nobody waits for another
/// that waits for it.
#[test]
fn resets_from_every_shard_at_once_are_all_answered() {
    let serving = Serving::on_shards(SHARDS, |_| {});
    let mut sessions: Vec<_> = (0..6).map(|n| serving.login(&format!("mutual-{n}"))).collect();
    for round in 0..30 {
        let held: Vec<_> =
            sessions.iter_mut().zip(0..).map(|(s, n)| held_writes(&serving, s, 100 * n, 1)).collect();
        let function = [Function::LogicalUnitReset, Function::TargetWarmReset][round % 2];
        let asked: Vec<_> =
            sessions.iter_mut().map(|s| s.start_management(function, 0, Itt::RESERVED)).collect();
        held.iter().flatten().for_each(|(_, gate)| gate.open());
        for (session, itt) in sessions.iter_mut().zip(asked) {
            assert_eq!(session.management_result(itt), Answer::Complete);
        }
        sessions.iter_mut().for_each(|s| s.clear_attention(0));
    }
}
