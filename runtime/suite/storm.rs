//! Sessions that log in and out, reinstate each other, lose their connections, reset units and abort, all at once on
//! several shards: whatever is read is what was written, and nothing hangs.

use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::platform::backend::{Fault, Kind};
use iscsicore::wire::{Itt, TaskManagementFunction as Function};

use crate::support::initiator::{Login, Raw, Session};
use crate::support::patient::End;
use crate::support::seeded::Seeded;
use crate::support::serving::{Serving, TARGET};

const WORKERS: u64 = 10;
const ROUNDS: u64 = 80;
/// All of it takes a few seconds; this is the sign of something that hangs.
const BOUND: Duration = Duration::from_secs(30);
/// Blocks that belong to a worker.
const REGION: u64 = 64;

/// One initiator. Every other worker shares its name with a neighbour, and so each of the two ends the other's session by
/// logging in.
struct Worker {
    number: u64,
    address: std::net::SocketAddr,
    random: Seeded,
    session: Option<Session>,
    /// What each block of the region may hold: what was written last, and what may have been.
    blocks: Vec<Vec<u8>>,
    writes: u8,
}

impl Worker {
    fn login(&self) -> Login {
        let name = if self.number % 4 < 2 { self.number / 2 * 2 } else { self.number };
        Login::to(TARGET, &format!("storm-{name}"))
    }

    /// The session, after a login if there is none. Logins fail when another one of the same name overtakes them.
    fn session(&mut self) -> &mut Session {
        while self.session.is_none() {
            let login = self.login();
            let mut raw = Raw::connect(self.address);
            let (bhs, text) = login.request();
            raw.send(bhs, text);
            // The end of the connection instead of an answer is an answer.
            self.session = raw.finish_login_if_open(&login);
        }
        self.session.as_mut().unwrap()
    }

    /// One command after the other until one of its kind has ended with a status.
    fn command(
        &mut self,
        start: impl Fn(&mut Session) -> Itt,
        mut may_have_been: impl FnMut(&mut Self),
    ) -> Vec<u8> {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < BOUND, "a command that never succeeds");
            let session = self.session();
            let itt = start(session);
            match session.outlast(itt) {
                End::Status(0, data) => return data,
                // A unit attention, or the storage's refusal: nothing was done.
                End::Status(..) => {}
                End::Aborted => may_have_been(self),
                End::Lost => {
                    self.session = None;
                    may_have_been(self);
                }
            }
        }
    }

    fn write(&mut self, block: u64, blocks: u64) {
        self.writes = self.writes.wrapping_add(1);
        let (value, lba) = (self.writes, self.number * REGION + block);
        let range = block as usize..(block + blocks) as usize;
        let started = range.clone();
        let data = vec![value; 512 * blocks as usize];
        self.command(
            |session| session.start_write(0, lba, &data),
            |worker| worker.blocks[started.clone()].iter_mut().for_each(|known| known.push(value)),
        );
        self.blocks[range].iter_mut().for_each(|known| *known = vec![value]);
    }

    fn read(&mut self, block: u64, blocks: u64) {
        let lba = self.number * REGION + block;
        let data = self.command(|session| session.start_read(0, lba, blocks as u32), |_| {});
        for (n, bytes) in data.chunks(512).enumerate() {
            let known = &mut self.blocks[block as usize + n];
            let value = bytes[0];
            assert!(bytes.iter().all(|b| *b == value), "a block that is torn");
            assert!(known.contains(&value), "block {} holds {value}, not one of {known:?}", block + n as u64);
            // A write that was cut off has landed by the time of its successor, or never does.
            *known = vec![value];
        }
    }

    fn round(&mut self) {
        let (block, blocks) = (self.random.below(REGION - 8), 1 + self.random.below(8));
        match self.random.below(20) {
            0 => self.reset(Function::LogicalUnitReset),
            1 => self.reset([Function::ClearTaskSet, Function::AbortTaskSet][self.number as usize % 2]),
            2 if self.number == 0 => self.reset(Function::TargetColdReset),
            2 => self.reset(Function::TargetWarmReset),
            3 | 4 => self.cut_off(block, blocks),
            5 | 6 => self.session = None,
            7 => {
                if let Some(mut session) = self.session.take() {
                    session.start_logout();
                    let _ = session.raw.stream.shutdown(Shutdown::Write);
                }
            }
            8..=13 => self.write(block, blocks),
            _ => self.read(block, blocks),
        }
    }

    /// Asks for a function of task management and, now and then, does not wait for the answer.
    fn reset(&mut self, function: Function) {
        let patient = self.random.below(4) > 0;
        let session = self.session();
        let itt = session.start_management(function, 0, Itt::RESERVED);
        if patient && !session.outlast_management(itt) {
            self.session = None;
        }
    }

    /// Loses the connection in the middle of a write.
    fn cut_off(&mut self, block: u64, blocks: u64) {
        self.writes = self.writes.wrapping_add(1);
        let (value, lba) = (self.writes, self.number * REGION + block);
        let pause = Duration::from_micros(self.random.below(300));
        let session = self.session();
        session.start_write(0, lba, &vec![value; 512 * blocks as usize]);
        std::thread::sleep(pause);
        self.session = None;
        let range = block as usize..(block + blocks) as usize;
        self.blocks[range].iter_mut().for_each(|known| known.push(value));
        // What the lost session began may still land on what another one writes: only a login of the same name waits
        // for it.
        self.session();
    }
}

fn storm(seed: u64, shards: usize) {
    let serving = Serving::on_shards(shards, |_| {});
    for n in 0..400 {
        let kind = [Kind::Write, Kind::Read][n % 2];
        serving.disk.next(kind, Fault::Delay(Duration::from_micros(50 * (n as u64 % 40))));
    }
    let (began, done) = (Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..WORKERS {
            let (address, done) = (serving.address, &done);
            scope.spawn(move || {
                let random = Seeded::new(seed * WORKERS + number);
                let blocks = vec![vec![0]; REGION as usize];
                let mut worker = Worker { number, address, random, session: None, blocks, writes: 0 };
                for _ in 0..ROUNDS {
                    worker.round();
                }
                worker.read(0, REGION);
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), WORKERS as usize);
    assert!(began.elapsed() < BOUND, "seed {seed} took {:?}", began.elapsed());
    serving.wait_for_sessions(0);
    assert!(serving.loads().iter().all(|load| *load == 0));
    let mut after = serving.login("after");
    after.write(0, 0, &[1; 512]);
}

#[test]
fn a_storm_on_four_shards() {
    storm(1, 4);
}

#[test]
fn a_storm_on_two_shards() {
    storm(2, 2);
}
