//! The way of commands from a LUN to its unit: past the unit where a view decides, and to it where it must be.

use std::cell::{Cell, RefCell};

use iscsicore::disk::*;
use iscsicore::node::{MappedUnit, UnitAccess, UnitId};
use iscsicore::scsi::Cdb;
use iscsicore::serve::{ItlNexus, Units};
use iscsicore::wire::TaskAttribute;

use crate::rig::{ME, OTHER, block_cdb, list, sense};

/// One unit, which counts how often it was asked; it tells its version if it is to.
struct One {
    unit: RefCell<Option<LogicalUnit>>,
    asked: Cell<usize>,
    tells: bool,
}

impl Units for One {
    fn with_unit<R>(&self, _: UnitId, f: impl FnOnce(&mut LogicalUnit) -> R) -> Option<R> {
        self.asked.set(self.asked.get() + 1);
        self.unit.borrow_mut().as_mut().map(f)
    }

    fn version(&self, _: UnitId) -> Option<u64> {
        self.unit.borrow().as_ref().filter(|_| self.tells).map(LogicalUnit::changes)
    }
}

impl One {
    fn new(tells: bool) -> Self {
        let mut config = UnitConfig::new("serial-7", BlockSize::B512, 1000);
        config.provisioning = Provisioning::Thin;
        let mut unit = LogicalUnit::new(config);
        [ME, OTHER].into_iter().for_each(|nexus| unit.attach(nexus, AttachReason::New));
        One { unit: RefCell::new(Some(unit)), asked: Cell::new(0), tells }
    }

    fn change(&self, f: impl FnOnce(&mut LogicalUnit)) {
        self.unit.borrow_mut().as_mut().map(f).expect("a unit");
    }

    /// How often the unit was asked since the last time.
    fn asked(&self) -> usize {
        self.asked.replace(0)
    }
}

fn itl(nexus: NexusId, access: UnitAccess) -> ItlNexus {
    ItlNexus::new(nexus, MappedUnit { unit: UnitId(0), access })
}

/// Runs a command whose operations succeed without doing anything, with as many zeros as it wants.
fn run(itl: &mut ItlNexus, units: &One, cdb: &[u8]) -> Reply {
    let cdb = Cdb::from_slice(cdb).unwrap();
    let request = Request { cdb: &cdb, data_in: 512, data_out: 512, attribute: TaskAttribute::Simple };
    let mut step = itl.start(units, &request).expect("a unit");
    loop {
        let (task, with) = match step {
            Step::Done(reply) => return reply,
            Step::NeedData { len, task } => (task, Resume::Data(list(&vec![0; len as usize]))),
            Step::Io { op, task } => match op {
                Op::Read { len, .. } => (task, Resume::Io(Outcome::Data(list(&vec![0; len as usize])))),
                _ => (task, Resume::Io(Outcome::Done)),
            },
        };
        step = itl.resume(units, task, with).expect("a unit");
    }
}

const TUR: [u8; 6] = [0; 6];
const STOP: [u8; 6] = [0x1b, 0, 0, 0, 0, 0];

#[test]
fn once_seen_a_unit_is_not_asked_again() {
    let units = One::new(true);
    let mut me = itl(ME, UnitAccess::ReadWrite);
    assert_eq!(sense(&run(&mut me, &units, &TUR)), (6, 0x2900));
    assert_eq!(units.asked(), 1);
    let commands = [
        TUR.to_vec(),
        block_cdb(0x28, 0, 5, 1),
        block_cdb(0x28, 8, 5, 1),
        block_cdb(0x2a, 0, 5, 1),
        block_cdb(0x8e, 2, 5, 1),
        block_cdb(0x2f, 2, 5, 1),
        block_cdb(0x35, 0, 5, 1),
        block_cdb(0x41, 0, 5, 1),
        vec![0x42, 0, 0, 0, 0, 0, 0, 0, 8, 0],
        block_cdb(0x9e, 0x12, 5, 24),
        vec![0x12, 0, 0, 0, 96, 0],
        vec![0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x1a, 0, 0x3f, 0, 255, 0],
        vec![0xff; 6],
    ];
    for cdb in commands {
        let _: Reply = run(&mut me, &units, &cdb);
        assert_eq!(units.asked(), 0, "{cdb:02x?}");
    }
    assert_eq!(sense(&run(&mut me, &units, &[3, 0, 0, 0, 18, 0])), (0, 0));
    assert_eq!(units.asked(), 1, "REQUEST SENSE may take an attention");
}

#[test]
fn what_another_nexus_changes_is_seen_by_the_next_command() {
    let units = One::new(true);
    let (mut me, mut other) = (itl(ME, UnitAccess::ReadWrite), itl(OTHER, UnitAccess::ReadWrite));
    for nexus in [&mut me, &mut other] {
        assert_eq!(sense(&run(nexus, &units, &TUR)), (6, 0x2900));
        assert_eq!(sense(&run(nexus, &units, &TUR)), (0, 0));
    }
    assert_eq!(sense(&run(&mut other, &units, &STOP)), (0, 0));
    assert_eq!(sense(&run(&mut me, &units, &block_cdb(0x28, 0, 0, 1))), (2, 0x0402));
    assert_eq!(sense(&run(&mut other, &units, &[0x1b, 0, 0, 0, 1, 0])), (0, 0));
    assert_eq!(sense(&run(&mut me, &units, &block_cdb(0x28, 0, 0, 1))), (0, 0));
    units.change(|unit| unit.resize(10));
    for nexus in [&mut me, &mut other] {
        assert_eq!(sense(&run(nexus, &units, &block_cdb(0x28, 0, 10, 1))), (6, 0x2a09));
        assert_eq!(sense(&run(nexus, &units, &block_cdb(0x28, 0, 10, 1))), (5, 0x2100));
    }
    units.asked();
    let _: Reply = run(&mut me, &units, &TUR);
    assert_eq!(units.asked(), 0, "and is known from then on");
}

/// The capacity shrinks while a command waits for its data: what was seen when it began does not count any more.
#[test]
fn a_command_that_goes_on_sees_the_newest_capacity() {
    let units = One::new(true);
    let mut me = itl(ME, UnitAccess::ReadWrite);
    let _: Reply = run(&mut me, &units, &TUR);
    let cdb = Cdb::from_slice(&block_cdb(0x2a, 0, 900, 1)).unwrap();
    let request = Request { cdb: &cdb, data_in: 0, data_out: 512, attribute: TaskAttribute::Simple };
    let Some(Step::NeedData { task, .. }) = me.start(&units, &request) else { panic!() };
    units.change(|unit| unit.resize(900));
    let Some(Step::Done(reply)) = me.resume(&units, task, Resume::Data(list(&[0; 512]))) else { panic!() };
    assert_eq!(sense(&reply), (5, 0x2100));
    assert_eq!(sense(&run(&mut me, &units, &TUR)), (6, 0x2a09), "the attention waits for the next command");
}

/// Two LUNs of one initiator lead to the same unit; one of them is for reading.
#[test]
fn each_lun_has_its_own_access() {
    for tells in [true, false] {
        let units = One::new(tells);
        let (mut whole, mut reading) = (itl(ME, UnitAccess::ReadWrite), itl(ME, UnitAccess::ReadOnly));
        assert_eq!(sense(&run(&mut reading, &units, &block_cdb(0x2a, 0, 0, 1))), (6, 0x2900));
        let before = units.unit.borrow().as_ref().map(LogicalUnit::changes);
        for _ in 0..3 {
            assert_eq!(sense(&run(&mut whole, &units, &block_cdb(0x2a, 0, 0, 1))), (0, 0));
            assert_eq!(sense(&run(&mut reading, &units, &block_cdb(0x2a, 0, 0, 1))), (7, 0x2700));
            assert_eq!(run(&mut whole, &units, &[0x1a, 8, 8, 0, 255, 0]).data.to_bytes()[2], 0x10);
            assert_eq!(run(&mut reading, &units, &[0x1a, 8, 8, 0, 255, 0]).data.to_bytes()[2], 0x90);
        }
        assert_eq!(
            units.unit.borrow().as_ref().map(LogicalUnit::changes),
            before,
            "by turns, without a change"
        );
    }
}

#[test]
fn without_a_version_every_step_asks_the_unit() {
    let units = One::new(false);
    let mut me = itl(ME, UnitAccess::ReadWrite);
    assert_eq!(sense(&run(&mut me, &units, &TUR)), (6, 0x2900));
    units.asked();
    assert_eq!(sense(&run(&mut me, &units, &block_cdb(0x28, 0, 0, 1))), (0, 0));
    assert_eq!(units.asked(), 2, "its start and its end");
}

#[test]
fn a_unit_that_is_gone_is_not_served_from_memory() {
    let units = One::new(true);
    let mut me = itl(ME, UnitAccess::ReadWrite);
    let _: Reply = run(&mut me, &units, &TUR);
    let cdb = Cdb::from_slice(&block_cdb(0x28, 0, 0, 1)).unwrap();
    let request = Request { cdb: &cdb, data_in: 512, data_out: 0, attribute: TaskAttribute::Simple };
    let Some(Step::Io { task, .. }) = me.start(&units, &request) else { panic!() };
    units.unit.take();
    assert!(me.resume(&units, task, Resume::Io(Outcome::Done)).is_none());
    assert!(me.start(&units, &request).is_none());
}
