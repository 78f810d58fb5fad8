//! A session that a hostile target is let loose on, and what has to be true of it afterwards.

use core::ops::Range;
use core::time::Duration;

use iscsicore::DataList;
use iscsicore::initiator::{Command, Outcome, Sink};
use iscsicore::link::TaskId;
use iscsicore::login::DigestOffer;
use iscsicore::scsi::Status;
use iscsicore::wire::{DataIn, DataSn, R2t, Residual, ScsiCommand, ScsiResponse};

use super::Script;
use crate::pair_support::Setup;
use crate::pair_support::commands::{is_good, pattern, plain, test_unit_ready};

pub const READ: u32 = 4096;
pub const WRITE: u32 = 6144;
pub const SEGMENT: u32 = 1024;
pub const MAX_BURST: u32 = 2048;

/// A session with a read and a write under way, of which nothing has moved.
pub struct Bench {
    pub script: Script,
    pub read: (TaskId, ScsiCommand),
    pub write: (TaskId, ScsiCommand),
}

pub fn setup() -> Setup {
    let mut setup = Setup::default().both(|offer| {
        (offer.first_burst, offer.max_burst) = (512, MAX_BURST);
        (offer.initial_r2t, offer.immediate_data) = (true, false);
        offer.max_outstanding_r2t = 2;
        offer.header_digest = DigestOffer::NoneOnly;
        offer.data_digest = DigestOffer::NoneOnly;
    });
    setup.near.max_segment = SEGMENT;
    setup
}

fn read_command(sink: Sink) -> Command {
    Command { data_in: READ, sink, timeout: Some(Duration::from_secs(20)), ..plain(&[0xc1, 1]) }
}

fn write_command() -> Command {
    let data_out = DataList::from(pattern(WRITE as usize));
    Command { data_out, timeout: Some(Duration::from_secs(20)), ..plain(&[0xc1, 2]) }
}

impl Bench {
    pub fn new(sink: Sink) -> Self {
        let mut script = Script::with(&setup());
        let read = script.submit(read_command(sink));
        let write = script.submit(write_command());
        Bench { script, read, write }
    }

    /// The next piece of the read.
    pub fn piece(&mut self, number: u32) {
        let header = self.script.data_in(self.read.1.itt, number, number * SEGMENT);
        let data = &pattern(READ as usize)[(number * SEGMENT) as usize..][..SEGMENT as usize];
        self.script.send_with(DataIn { final_: number % 2 == 1, ..header }, data);
    }

    pub fn r2t(&self, number: u32) -> R2t {
        self.script.r2t(self.write.1.itt, number, number * MAX_BURST, MAX_BURST)
    }

    /// Goes on as if nothing had happened, as far as the connection lasts, with these pieces of the read, these R2Ts, and
    /// the answers to none, one or both commands.
    pub fn carry_on(&mut self, pieces: Range<u32>, r2ts: Range<u32>, answers: Range<usize>) {
        for number in pieces {
            if !self.script.near.is_over() {
                self.piece(number);
            }
        }
        for number in r2ts {
            if !self.script.near.is_over() {
                let r2t = self.r2t(number);
                self.script.send(r2t);
                self.script.sent();
            }
        }
        for itt in &[self.read.1.itt, self.write.1.itt][answers] {
            let itt = *itt;
            if !self.script.near.is_over() {
                let good = self.script.good(itt);
                let data_sn = if itt == self.read.1.itt { READ / SEGMENT } else { 0 };
                self.script.send(ScsiResponse { exp_data_sn: DataSn(data_sn), ..good });
            }
        }
    }

    /// What is true of every end: each command has ended or will, and a read that succeeded brought what was sent.
    pub fn assert_honest(&mut self, sink: Sink) {
        self.script.sent();
        self.script.later(Duration::from_secs(300));
        for task in [self.read.0, self.write.0] {
            let done = self.script.near.done.remove(&task).expect("every command ends");
            let Outcome::Answered(answer) = &done.outcome else { continue };
            if answer.status != Status::GOOD || answer.residual != Residual::None || task == self.write.0 {
                continue;
            }
            assert_eq!(answer.received, READ);
            let got = if sink == Sink::Collect { answer.data.to_bytes().to_vec() } else { done.memory };
            assert!(got == pattern(READ as usize), "a wrong answer");
        }
        self.assert_usable();
    }

    /// All commands have ended, or end in time, and nothing waits for ever.
    pub fn assert_ended(&mut self) {
        self.script.later(Duration::from_secs(70_000));
        for task in [self.read.0, self.write.0] {
            let done = self.script.near.done.remove(&task).expect("every command ends");
            if let Outcome::Answered(answer) = &done.outcome
                && task == self.read.0
                && is_good(&done.outcome)
            {
                assert!(answer.data.to_bytes()[..] == pattern(READ as usize)[..], "a wrong answer");
            }
        }
    }

    /// After whatever has happened, another login makes the session work.
    pub fn assert_usable(&mut self) {
        self.script.near.drain();
        if self.script.near.is_over() {
            self.script.near.errors.clear();
            self.script.log_in(&setup());
        }
        let (task, command) = self.script.submit(test_unit_ready());
        let good = self.script.good(command.itt);
        self.script.send(good);
        assert!(is_good(&self.script.outcome(task).expect("an answer")));
    }
}

/// Does `hostile` to a session, which must end its connection with an error.
#[track_caller]
pub fn refused(hostile: impl Fn(&mut Bench)) {
    for sink in [Sink::Collect, Sink::Slots] {
        let mut bench = Bench::new(sink);
        hostile(&mut bench);
        bench.script.assert_refused();
        bench.assert_honest(sink);
    }
}

/// Does `hostile` to a session, which takes no notice: both commands end well.
#[track_caller]
pub fn ignored(hostile: impl Fn(&mut Bench)) {
    for sink in [Sink::Collect, Sink::Slots] {
        let mut bench = Bench::new(sink);
        hostile(&mut bench);
        bench.carry_on(0..READ / SEGMENT, 0..WRITE / MAX_BURST, 0..2);
        bench.script.assert_up();
        for task in [bench.read.0, bench.write.0] {
            let outcome = bench.script.outcome(task).expect("an answer");
            assert!(is_good(&outcome), "{outcome:?}");
        }
        bench.assert_honest(sink);
    }
}

/// Does `hostile` to a session, which may take it either way.
pub fn harmless(hostile: impl Fn(&mut Bench)) {
    for sink in [Sink::Collect, Sink::Slots] {
        let mut bench = Bench::new(sink);
        hostile(&mut bench);
        bench.carry_on(0..READ / SEGMENT, 0..WRITE / MAX_BURST, 0..2);
        bench.assert_honest(sink);
    }
}

/// A Data-In for the read with these fields, and this much payload.
pub fn data_in(bench: &mut Bench, data_sn: u32, offset: u32, len: u32) {
    let header = bench.script.data_in(bench.read.1.itt, data_sn, offset);
    bench.script.send_with(header, &vec![7; len as usize]);
}
