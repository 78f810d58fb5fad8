//! Both roles in memory, joined by two streams of bytes that are cut by a seed, on a clock that jumps.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod chance;
pub mod commands;
pub mod far;
pub mod monitor;
pub mod near;

use core::time::Duration;
use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use iscsicore::initiator::{Command, Event, LoginRequestConfig, Outcome};
use iscsicore::link::TaskId;
use iscsicore::login::Offer;
use iscsicore::wire::Isid;
use iscsicore::wire::text::IscsiName;
use iscsicore::{Instant, Limits};

pub use chance::{Chance, Cut};
pub use far::Far;
#[allow(unused_imports, reason = "each test file uses its part")]
pub use monitor::{Monitor, Seen};
pub use near::{Done, Feed, Near};

pub const INITIATOR: &str = "iqn.2026-11.example:initiator";
pub const TARGET: &str = "iqn.2026-11.example:target";

/// What a pair is to be like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What the initiator offers, and what the target does.
    pub near: Offer,
    pub far: Offer,
    pub near_limits: Limits,
    pub far_limits: Limits,
    pub feed: Feed,
    pub cut: Cut,
    pub seed: u64,
    pub discovery: bool,
    /// Of each disk.
    pub blocks: u64,
    /// The most that the storage takes its time.
    pub delay: Duration,
    /// What the initiator draws its numbers from at its logins.
    pub login_seed: Option<[u8; 32]>,
}

/// Payload of any length goes straight to its place: what is special about it is to be met by small commands, too.
fn small_slots() -> Limits {
    let mut limits = Limits::default();
    limits.slot_bytes = 1;
    limits
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            near: Offer::default(),
            far: Offer::default(),
            near_limits: small_slots(),
            far_limits: Limits::default(),
            feed: Feed::Lent,
            cut: Cut::Whole,
            seed: 1,
            discovery: false,
            blocks: 256,
            delay: Duration::ZERO,
            login_seed: None,
        }
    }
}

impl Setup {
    /// Changes what both ends offer.
    pub fn both(mut self, change: impl Fn(&mut Offer)) -> Self {
        change(&mut self.near);
        change(&mut self.far);
        self
    }

    pub fn queue_depth(mut self, of_target: u32) -> Self {
        self.far_limits.queue_depth = of_target;
        self
    }

    /// Connects, with the attentions that greet a new initiator still there.
    pub fn connect(self) -> Pair {
        Pair::connect(self)
    }

    /// Connects, and takes the attentions of both units.
    pub fn ready(self) -> Pair {
        let mut pair = Pair::connect(self);
        pair.settle();
        pair
    }
}

pub struct Pair {
    pub now: Instant,
    pub near: Near,
    pub far: Far,
    /// The watch on the connection; none before the login is complete.
    pub monitor: Option<Monitor>,
    /// While set, nothing that the target sends arrives.
    pub deaf: bool,
    to_far: Stream,
    to_near: Stream,
    setup: Setup,
    chance: Chance,
    logins: u8,
}

/// One direction of a connection.
#[derive(Default)]
struct Stream {
    waiting: BytesMut,
}

impl Stream {
    /// What arrives next.
    fn deliver(&mut self, cut: Cut, chance: &mut Chance) -> Bytes {
        let len = cut.len(self.waiting.len(), chance);
        self.waiting.split_to(len).freeze()
    }
}

/// Steps that a test may take; more is a loop.
const MOST_STEPS: usize = 2_000_000;
/// Times that the clock may jump while something is waited for.
const MOST_JUMPS: usize = 10_000;

impl Pair {
    fn connect(setup: Setup) -> Pair {
        let mut far = Far::new(setup.far.clone(), setup.far_limits.clone(), setup.blocks, setup.seed);
        far.delay = setup.delay;
        let mut pair = Pair {
            now: Instant::from_nanos(1_000_000_000),
            near: Near::new(setup.near_limits.clone(), setup.feed),
            far,
            monitor: None,
            deaf: false,
            to_far: Stream::default(),
            to_near: Stream::default(),
            chance: Chance::new(setup.seed),
            setup,
            logins: 0,
        };
        pair.log_in();
        pair
    }

    /// Opens a connection, in place of the last one, and logs in with the same names.
    pub fn log_in(&mut self) {
        let name = |text| IscsiName::parse(text).expect("a name");
        let config = LoginRequestConfig {
            initiator: name(INITIATOR),
            initiator_alias: None,
            target: (!self.setup.discovery).then(|| name(TARGET)),
            isid: Isid([0x80, 0, 0, 0, 0, 1]),
            credentials: None,
            offer: self.setup.near.clone(),
        };
        (self.to_far, self.to_near, self.monitor) = (Stream::default(), Stream::default(), None);
        self.logins += 1;
        self.far.connect(self.now);
        let seed = self.setup.login_seed.unwrap_or([self.logins; 32]);
        self.near.log_in(config, seed, self.now);
        self.run_until("the login", |pair| pair.near.conn.is_some());
    }

    /// Moves bytes once in each direction, and lets the storage work; whether anything happened.
    pub fn step(&mut self) -> bool {
        let sent = self.near.take(self.now);
        if let Some(monitor) = &mut self.monitor {
            monitor.outbound(&sent);
        }
        self.to_far.waiting.extend_from_slice(&sent);
        let arrived = self.to_far.deliver(self.setup.cut, &mut self.chance);
        let mut moved = !sent.is_empty() || !arrived.is_empty();
        self.far.give(self.now, arrived);
        moved |= self.far.work(self.now);

        let sent = self.far.take(self.now);
        self.to_near.waiting.extend_from_slice(&sent);
        moved |= !sent.is_empty();
        if !self.deaf {
            let arrived = self.to_near.deliver(self.setup.cut, &mut self.chance);
            moved |= !arrived.is_empty();
            self.arrive(&arrived);
        }
        self.hang_up();
        moved
    }

    fn arrive(&mut self, bytes: &Bytes) {
        if let Some(monitor) = &mut self.monitor {
            monitor.inbound(bytes);
        }
        self.near.give(self.now, bytes);
        if self.monitor.is_none() && self.near.conn.is_some() {
            self.monitor = Some(Monitor::new(self.far.target().parameters()));
        }
    }

    /// Closes the transport once an end wants that and all was delivered.
    fn hang_up(&mut self) {
        if self.far.closing && self.to_near.waiting.is_empty() && self.near.conn.is_some() {
            self.near.lose(self.now);
        }
        if self.near.is_over() && self.to_far.waiting.is_empty() && self.near.conn.take().is_some() {
            self.far.lose(self.now);
        }
    }

    /// Goes on until nothing moves any more at this point in time.
    pub fn run(&mut self) {
        for _ in 0..MOST_STEPS {
            if !self.step() {
                return;
            }
        }
        panic!("an exchange without end");
    }

    /// Goes on, over time, until `done`.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&mut Pair) -> bool) {
        let (mut steps, mut jumps) = (0, 0);
        while !done(self) {
            steps += 1;
            assert!(steps < MOST_STEPS, "an exchange without end while waiting for {what}");
            if !self.step() && !done(self) {
                jumps += 1;
                assert!(jumps < MOST_JUMPS, "time passes without {what}");
                assert!(self.jump(), "nothing will happen any more; waiting for {what}");
            }
        }
    }

    /// Sets the clock to the next deadline; whether there is one.
    pub fn jump(&mut self) -> bool {
        let next = self.near.poll_timeout().into_iter().chain(self.far.poll_timeout()).min();
        let Some(next) = next else { return false };
        self.at(next);
        true
    }

    /// Lets time pass, deadline by deadline.
    pub fn later(&mut self, by: Duration) {
        let end = self.now + by;
        self.run();
        while let Some(next) = self.near.poll_timeout().into_iter().chain(self.far.poll_timeout()).min() {
            if next > end {
                break;
            }
            self.at(next);
            self.run();
        }
        self.at(end);
        self.run();
    }

    fn at(&mut self, time: Instant) {
        self.now = self.now.max(time);
        self.near.handle_timeout(self.now);
        self.far.handle_timeout(self.now);
    }

    /// Breaks the connection.
    pub fn cut_connection(&mut self) {
        self.near.lose(self.now);
        self.far.lose(self.now);
        (self.to_far, self.to_near, self.monitor) = (Stream::default(), Stream::default(), None);
    }

    pub fn submit(&mut self, command: Command) -> TaskId {
        self.near.submit(self.now, command)
    }

    /// Carries commands out together.
    pub fn finish(&mut self, tasks: &[TaskId]) -> Vec<Done> {
        let wanted: BTreeSet<TaskId> = tasks.iter().copied().collect();
        self.run_until("commands to end", |pair| wanted.iter().all(|task| pair.near.done.contains_key(task)));
        tasks.iter().map(|task| self.near.done.remove(task).expect("a command that ended")).collect()
    }

    /// Carries one command out.
    pub fn execute(&mut self, command: Command) -> Outcome {
        let task = self.submit(command);
        self.finish(&[task]).remove(0).outcome
    }

    /// Takes the unit attentions that wait.
    pub fn settle(&mut self) {
        for lun in 0..far::UNITS {
            let lun = iscsicore::wire::Lun::from_number(lun).expect("a small number");
            let attentions = (0..8).take_while(|_| {
                let ready = Command { lun, ..commands::test_unit_ready() };
                !commands::is_good(&self.execute(ready))
            });
            assert!(attentions.count() < 8, "attentions without end");
        }
    }

    pub fn monitor(&mut self) -> &mut Monitor {
        self.monitor.as_mut().expect("a session")
    }

    /// Events that are waiting, but for those of commands.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.near.events)
    }

    /// Nothing went wrong, as far as either end or the onlooker has noticed.
    pub fn assert_sound(&self) {
        assert_eq!((&self.near.errors, &self.far.errors), (&Vec::new(), &Vec::new()));
        assert_eq!(self.near.down, None);
        assert_eq!(self.near.buffered(), 0, "bytes that nobody took");
    }
}
