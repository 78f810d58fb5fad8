//! What becomes of commands while connections come and go.

mod nexus_support;

use std::time::Duration;

use iscsicore::Instant;
use iscsicore::initiator::{
    Cause, Command, DownReason, Event, FlushCoverage, Outcome, RefusedWhy, Repeat, Transient,
};
use iscsicore::link::TaskId;
use iscsicore::nexus::NexusEvent;
use iscsicore::wire::LoginStatus;

use nexus_support::{
    Accept, BLOCK, World, config, flush, ms, pattern, read, test_unit_ready, write, write_once,
};

fn attentions(world: &World) -> Vec<&[u8]> {
    world
        .told
        .iter()
        .filter_map(|(_, event)| match event {
            NexusEvent::Session(Event::UnitAttention { sense, .. }) => Some(&sense[..]),
            _ => None,
        })
        .collect()
}

fn completed_at(world: &World, task: TaskId) -> Option<Instant> {
    world.told.iter().find_map(|(at, event)| match event {
        NexusEvent::Session(Event::Completed { task: t, .. }) if *t == task => Some(*at),
        _ => None,
    })
}

fn coverage(world: &World, task: TaskId) -> FlushCoverage {
    match &world.outcomes[&task] {
        Outcome::Answered(answer) if answer.status.0 == 0 => answer.coverage,
        other => panic!("{other:?}"),
    }
}

fn timed(timeout: Duration, command: Command) -> Command {
    Command { timeout: Some(timeout), ..command }
}

// Goal: reads and writes whose answers were lost are done again, and the caller sees nothing of it. Method: sixty-four commands
// under way when the connection is lost: before the target got to them, and after it had carried them out.
#[test]
fn reads_and_writes_without_an_answer_are_repeated() {
    for carried_out in [false, true] {
        let mut world = World::up(config());
        let old = pattern(7, 64);
        world.home().disk[..64 * BLOCK].copy_from_slice(&old);
        world.home().hold = !carried_out;
        world.deaf = true;
        let tasks: Vec<(TaskId, TaskId)> = (0..32u32)
            .map(|i| (world.submit(read(i, 1)), world.submit(write(100 + i, &pattern(i as u8, 1)))))
            .collect();
        assert_eq!(world.home().writes.len(), if carried_out { 32 } else { 0 });
        assert!(world.outcomes.is_empty());
        world.deaf = false;
        world.cut();
        world.home().hold = false;
        world.run(ms(1000));
        for (i, (read, write)) in tasks.into_iter().enumerate() {
            assert_eq!(world.answer(read), (0, old[i * BLOCK..][..BLOCK].to_vec()));
            assert_eq!(world.answer(write).0, 0);
            assert_eq!(world.home().disk[(100 + i) * BLOCK..][..BLOCK], pattern(i as u8, 1));
        }
        assert_eq!((world.ups(), world.nexus.outstanding()), (2, 0));
    }
}

// Goal: a command that must not be done twice is not, and its caller learns that nobody knows. Method: it is carried out, and
// its answer is lost.
#[test]
fn a_command_that_must_not_be_repeated_has_an_unknown_outcome() {
    let mut world = World::ready(config());
    world.deaf = true;
    let task = world.submit(write_once(3, &pattern(1, 1)));
    assert_eq!(world.home().writes.len(), 1);
    world.deaf = false;
    world.cut();
    assert_eq!(world.outcomes[&task], Outcome::Unknown(Cause::ConnectionLost));
    world.run(ms(1000));
    assert!(world.nexus.is_up());
    assert_eq!(world.home().writes.len(), 1);
}

#[test]
fn a_command_that_was_not_sent_waits_whatever_it_is() {
    let mut world = World::up(config());
    world.run(ms(20_000));
    world.script([Accept::Refuse]);
    world.cut();
    let task = world.submit(write_once(3, &pattern(1, 1)));
    assert!(world.outcomes.is_empty());
    world.run(ms(1000));
    assert_eq!(world.answer(task).0, 0);
    assert_eq!(world.home().writes, [(3 * BLOCK as u64, BLOCK)]);
}

#[test]
fn commands_may_be_submitted_before_the_first_connection() {
    let mut world = World::new(config());
    let tasks: Vec<TaskId> =
        (0..50).map(|i| world.nexus.submit(world.now, write(i, &pattern(i as u8, 1))).unwrap()).collect();
    assert_eq!(world.nexus.outstanding(), 50);
    world.settle();
    for (i, task) in tasks.into_iter().enumerate() {
        assert_eq!(world.answer(task).0, 0);
        assert_eq!(world.home().disk[i * BLOCK..][..BLOCK], pattern(i as u8, 1));
    }
}

// Goal: the unit attention that follows a lost nexus does not fail a command, and is told. Method: the first command after a loss
// that the target has noticed, and after one that it has not, so that the login itself ends the old session; then a raw command.
#[test]
fn the_unit_attention_of_a_lost_nexus_is_taken_and_told() {
    // POWER ON, RESET, OR BUS DEVICE RESET OCCURRED for a nexus that is new; I_T NEXUS LOSS OCCURRED.
    for (half_open, code) in [(false, 0), (true, 7)] {
        let mut world = World::ready(config());
        world.half_open = half_open;
        let before = attentions(&world).len();
        world.cut();
        let task = world.submit(read(0, 1));
        assert_eq!(world.answer(task).0, 0);
        let told = attentions(&world)[before..].to_vec();
        assert!(matches!(told[..], [s] if (s[2] & 0xf, s[12], s[13]) == (6, 0x29, code)), "{told:?}");
        assert_eq!(world.home().host.sessions().count(), 1);
    }

    let mut world = World::ready(config());
    world.cut();
    let raw = Command { transient: Transient::Deliver, repeat: Repeat::Never, ..test_unit_ready() };
    let task = world.submit(raw);
    let Outcome::Answered(answer) = &world.outcomes[&task] else { panic!("{:?}", world.outcomes[&task]) };
    assert_eq!((answer.status.0, answer.sense[2] & 0xf, answer.sense[12]), (2, 6, 0x29));
}

#[test]
fn a_flush_says_which_writes_it_covers() {
    let mut world = World::up(config());
    let task = world.submit(write(0, &pattern(1, 4)));
    assert_eq!(world.answer(task).0, 0);
    let task = world.submit(flush());
    assert_eq!(coverage(&world, task), FlushCoverage::All);

    // Acknowledged, flushed, lost: nothing is in doubt.
    world.cut();
    let task = world.submit(flush());
    assert_eq!(coverage(&world, task), FlushCoverage::All);

    // Acknowledged, lost, flushed: the target may have forgotten.
    world.submit(write(4, &pattern(2, 4)));
    world.run(ms(20_000));
    world.home().restart();
    world.cut();
    world.submit(write(8, &pattern(3, 4)));
    let task = world.submit(flush());
    assert_eq!(coverage(&world, task), FlushCoverage::OnlySinceReconnect);
    world.submit(write(4, &pattern(2, 4)));
    let task = world.submit(flush());
    assert_eq!(coverage(&world, task), FlushCoverage::All);
}

#[test]
fn a_write_and_a_flush_that_were_repeated_cover_all() {
    let mut world = World::up(config());
    world.deaf = true;
    world.submit(write(0, &pattern(1, 4)));
    world.deaf = false;
    world.cut();
    let task = world.submit(flush());
    assert_eq!(coverage(&world, task), FlushCoverage::All, "the write was acknowledged after the loss");
}

// Goal: the time of a command runs while there is no connection, to the nanosecond. Method: commands that were never sent, that were
// sent and lost, and that have time enough.
#[test]
fn deadlines_hold_without_a_connection() {
    let mut world = World::up(config());
    world.run(ms(20_000));
    world.deaf = true;
    let sent = world.submit(timed(ms(3000), write(0, &pattern(1, 1))));
    world.deaf = false;
    world.script([Accept::Hang]);
    world.cut();
    let lost = world.now;
    let waiting = world.submit(timed(ms(2000), read(0, 1)));
    let patient = world.submit(timed(ms(60_000), read(0, 1)));
    assert_eq!(world.nexus.poll_timeout(), Some(lost + ms(2000)));

    world.run(Duration::from_secs(30));
    assert_eq!(completed_at(&world, waiting), Some(lost + ms(2000)));
    assert_eq!(world.outcomes[&waiting], Outcome::NotSent(Cause::TimedOut));
    assert_eq!(completed_at(&world, sent), Some(lost + ms(3000)));
    assert_eq!(world.outcomes[&sent], Outcome::Unknown(Cause::TimedOut));
    assert_eq!(world.answer(patient).0, 0);
    assert_eq!(completed_at(&world, patient), Some(world.dials[2].at), "as soon as there is a connection");
}

#[test]
fn commands_may_be_taken_back_without_a_connection() {
    let mut world = World::up(config());
    world.run(ms(20_000));
    world.script([Accept::Hang]);
    world.cut();
    let (dropped, aborted, kept) = (
        world.submit(write(0, &pattern(1, 1))),
        world.submit(write(1, &pattern(1, 1))),
        world.submit(read(0, 1)),
    );
    world.nexus.cancel(world.now, dropped);
    world.nexus.abort(world.now, aborted).unwrap();
    world.run(Duration::from_secs(30));
    assert_eq!(world.answer(kept).0, 0);
    assert!(!world.outcomes.contains_key(&dropped));
    assert!(matches!(world.outcomes[&aborted], Outcome::Aborted | Outcome::NotSent(_)));
    assert!(world.home().writes.is_empty());
}

#[test]
fn the_queue_is_bounded_without_a_connection_and_tells_when_it_has_room() {
    let mut world = World::up(config());
    world.script([Accept::Hang]);
    world.cut();
    let depth = iscsicore::Limits::default().queue_depth as usize;
    for _ in 0..depth {
        world.submit(read(0, 1));
    }
    let refused = world.nexus.submit(world.now, read(7, 1)).unwrap_err();
    assert_eq!((refused.why, refused.command.data_in), (RefusedWhy::QueueFull, 512));
    world.run(Duration::from_secs(30));
    assert_eq!(world.outcomes.len(), depth);
    let room = world.told.iter().filter(|(_, e)| matches!(e, NexusEvent::Session(Event::RoomAgain))).count();
    assert_eq!(room, 1);
}

// Goal: a target that falls silent is left, and its commands are done by its successor. Method: nothing that it says arrives.
#[test]
fn a_silent_target_is_left() {
    let mut world = World::up(config());
    world.deaf = true;
    let task = world.submit(write(0, &pattern(5, 1)));
    let began = world.now;
    while world.dials.len() == 1 {
        world.run(Duration::from_secs(1));
    }
    assert!(world.now - began <= Duration::from_secs(61));
    world.deaf = false;
    world.run(Duration::from_secs(60));
    assert_eq!(world.answer(task).0, 0);
    assert!(world.told.iter().any(|(_, e)| matches!(e, NexusEvent::Down { why: DownReason::Silent, .. })));
}

// Goal: a target that asks for a logout gets it, and nothing is lost. Method: it asks while commands are under way, and is there
// again at once.
#[test]
fn a_logout_that_the_target_asks_for_is_followed_by_another_login() {
    let mut world = World::up(config());
    world.home().hold = true;
    let tasks: Vec<TaskId> = (0..20).map(|i| world.submit(write(i, &pattern(i as u8, 1)))).collect();
    let now = world.now;
    world.home().host.request_logout(now, Duration::from_secs(10));
    world.settle();
    let late = world.submit(read(0, 1));
    world.run(ms(2000));
    assert_eq!(world.ups(), 1, "commands are under way");
    world.home().hold = false;
    // Long before the target loses patience.
    world.settle();
    assert!(world.nexus.is_up(), "{:?}", world.told);
    for (i, task) in tasks.into_iter().enumerate() {
        assert_eq!(world.answer(task).0, 0);
        assert_eq!(world.home().disk[i * BLOCK..][..BLOCK], pattern(i as u8, 1));
    }
    assert_eq!(world.answer(late), (0, pattern(0, 1)));
    assert_eq!(world.home().writes.len(), 20, "nothing had to be repeated");
    let down = |(_, e): &&(Instant, NexusEvent)| {
        matches!(e, NexusEvent::Down { why: DownReason::AskedByTarget, .. })
    };
    assert_eq!((world.told.iter().filter(down).count(), world.ups()), (1, 2));
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn mishap(dice: &mut Dice) -> Accept {
    match dice.below(8) {
        0 => Accept::Refuse,
        1 => Accept::Hang,
        2 => Accept::Mute,
        3 => Accept::Answer(LoginStatus::SERVICE_UNAVAILABLE, String::new()),
        4 => Accept::Answer(LoginStatus::NOT_FOUND, String::new()),
        n => Accept::Cut(dice.below(4 * n) as usize),
    }
}

/// Writes to blocks of its own, over and over.
#[derive(Default)]
struct Writer {
    task: Option<TaskId>,
    round: u8,
    data: Vec<u8>,
    deadline: Instant,
    acknowledged: usize,
}

impl Writer {
    /// Looks at the outcome of a write.
    fn check(&mut self, world: &mut World, lba: usize) {
        let Some(task) = self.task.filter(|task| world.outcomes.contains_key(task)) else { return };
        self.task = None;
        match &world.outcomes[&task] {
            Outcome::Answered(answer) => {
                assert_eq!(answer.status.0, 0);
                assert_eq!(world.home().disk[lba * BLOCK..][..2 * BLOCK], self.data[..]);
                self.acknowledged += 1;
            }
            Outcome::NotSent(Cause::TimedOut) | Outcome::Unknown(Cause::TimedOut) => {
                assert_eq!(completed_at(world, task), Some(self.deadline));
            }
            other => panic!("{other:?}"),
        }
    }

    fn write(&mut self, world: &mut World, lba: usize, timeout: Duration) {
        self.round = self.round.wrapping_add(1);
        self.data = pattern(self.round.wrapping_mul(31).wrapping_add(lba as u8), 2);
        self.deadline = world.now + timeout;
        let command = timed(timeout, write(lba as u32, &self.data));
        self.task = Some(world.nexus.submit(world.now, command).unwrap());
    }
}

fn disturb(world: &mut World, dice: &mut Dice) {
    for _ in 0..dice.below(3) {
        world.script([mishap(dice)]);
    }
    world.half_open = dice.below(4) == 0;
    match dice.below(4) {
        0 => world.nexus.reconnect(world.now),
        1 => {
            world.home().restart();
            world.cut();
        }
        _ => world.cut(),
    }
}

// Goal: whatever happens to connections, every command ends once and in time, and what was acknowledged is there. Method: a
// hundred stories of twenty mishaps, with sixteen writers, half of them in a hurry; each writes again as soon as it has an answer.
#[test]
fn storms_lose_nothing_and_hang_nothing() {
    let mut acknowledged = 0;
    for seed in 0..100u8 {
        let mut dice = Dice(u64::from(seed) + 1);
        let mut config = config();
        config.reconnect.attempt_timeout = Duration::from_secs(2);
        let mut world = World::seeded(config, [seed; 32]);
        world.settle();
        let mut writers: Vec<Writer> = (0..16).map(|_| Writer::default()).collect();
        let mut mishaps = 0;
        while mishaps < 20 || writers.iter().any(|writer| writer.task.is_some()) {
            for (i, writer) in writers.iter_mut().enumerate() {
                writer.check(&mut world, 2 * i);
                if writer.task.is_none() && mishaps < 20 {
                    let timeout = if i % 2 == 0 { ms(1000) } else { ms(600_000) };
                    writer.write(&mut world, 2 * i, timeout);
                }
            }
            if mishaps < 20 && dice.below(4) == 0 {
                mishaps += 1;
                disturb(&mut world, &mut dice);
            }
            world.run(ms(dice.below(400)));
            assert!(world.now < Instant::ZERO + Duration::from_secs(3600), "seed {seed} hangs");
        }
        let patient = writers.iter().skip(1).step_by(2);
        assert!(patient.clone().all(|writer| writer.acknowledged > 0), "seed {seed}");
        acknowledged += writers.iter().map(|writer| writer.acknowledged).sum::<usize>();
    }
    assert!(acknowledged > 50_000, "{acknowledged}");
}
