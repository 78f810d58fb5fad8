//! Sessions of one unit in a cell that loom watches, and what they tell each other.

use std::sync::OnceLock;

use iscsicore::disk::{AttachReason, BlockSize, LogicalUnit, NexusId, Request, Resume, Step, UnitConfig};
use iscsicore::node::{MappedUnit, UnitAccess, UnitId};
use iscsicore::scsi::Cdb;
use iscsicore::serve::{ItlNexus, Units};
use iscsicore::wire::TaskAttribute;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};

use crate::shared::{Changes, Shared};

impl Changes for LogicalUnit {
    fn changes(&self) -> u64 {
        LogicalUnit::changes(self)
    }
}

/// Calls `model` once for each order of its threads in which at most [`PREEMPTIONS`] times one is interrupted that could
/// have gone on. For models of three threads that take minutes without that bound.
pub(crate) fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

pub(crate) const PREEMPTIONS: usize = 3;
pub(crate) const BLOCKS: u64 = 64;

/// What the models put a unit into: the cell of the server, or a wrong one.
pub(crate) trait Cell: Send + Sync + 'static {
    fn new(unit: LogicalUnit) -> Self;
    fn version(&self) -> u64;
    fn change<R>(&self, f: impl FnOnce(&mut LogicalUnit) -> R) -> R;
}

impl Cell for Shared<LogicalUnit> {
    fn new(unit: LogicalUnit) -> Self {
        Shared::new(unit)
    }

    fn version(&self) -> u64 {
        self.version()
    }

    fn change<R>(&self, f: impl FnOnce(&mut LogicalUnit) -> R) -> R {
        self.change(f)
    }
}

pub(crate) struct One<C>(pub(crate) C);

impl<C: Cell> Units for One<C> {
    fn with_unit<R>(&self, _: UnitId, f: impl FnOnce(&mut LogicalUnit) -> R) -> Option<R> {
        Some(self.0.change(f))
    }

    fn version(&self, _: UnitId) -> Option<u64> {
        Some(self.0.version())
    }
}

/// How a command began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Good,
    /// It was let through, to data or to storage.
    LetThrough,
    /// CHECK CONDITION with this sense key and additional sense code.
    Sense(u8, u16),
}

pub(crate) const MODES_CHANGED: Said = Said::Sense(6, 0x2a01);
pub(crate) const CAPACITY_CHANGED: Said = Said::Sense(6, 0x2a09);
pub(crate) const LUNS_CHANGED: Said = Said::Sense(6, 0x3f0e);
pub(crate) const CLEARED: Said = Said::Sense(6, 0x2f00);
pub(crate) const RESET: Said = Said::Sense(6, 0x2903);
pub(crate) const PROTECTED: Said = Said::Sense(7, 0x2702);
pub(crate) const STOPPED: Said = Said::Sense(2, 0x0402);
pub(crate) const OUT_OF_RANGE: Said = Said::Sense(5, 0x2100);

pub(crate) fn said(step: &Step) -> Said {
    let Step::Done(reply) = step else { return Said::LetThrough };
    reply.response.sense.as_ref().map_or(Said::Good, |sense| {
        assert_eq!(sense[0] & 0x7f, 0x70, "fixed format");
        Said::Sense(sense[2], u16::from_be_bytes([sense[12], sense[13]]))
    })
}

pub(crate) fn request(cdb: &Cdb) -> Request<'_> {
    Request { cdb, data_in: 512, data_out: 512, attribute: TaskAttribute::Simple }
}

/// A session's one LUN.
pub(crate) struct Session<C> {
    pub(crate) units: Arc<One<C>>,
    pub(crate) itl: ItlNexus,
}

impl<C: Cell> Session<C> {
    pub(crate) fn start(&mut self, cdb: &[u8]) -> Step {
        let cdb = Cdb::from_slice(cdb).expect("a CDB");
        self.itl.start(&*self.units, &request(&cdb)).expect("a unit")
    }

    pub(crate) fn run(&mut self, cdb: &[u8]) -> Said {
        said(&self.start(cdb))
    }

    /// Sets software write protection with MODE SELECT.
    pub(crate) fn protect(&mut self) -> Said {
        let list = [0, 0, 0, 0, 0x0a, 0x0a, 2, 0x10, 8, 0, 0, 0, 0, 0, 0, 0];
        let Step::NeedData { task, .. } = self.start(&[0x15, 0x10, 0, 0, 16, 0]) else { panic!("no data") };
        let data = Resume::Data(bytes::Bytes::copy_from_slice(&list).into());
        said(&self.itl.resume(&*self.units, task, data).expect("a unit"))
    }
}

/// A unit of several sessions, each of which has seen it as it is: no attention waits, and a view is there.
pub(crate) fn sessions<C: Cell, const N: usize>() -> [Session<C>; N] {
    static CONFIG: OnceLock<UnitConfig> = OnceLock::new();
    let config = CONFIG.get_or_init(|| UnitConfig::new("serial-1", BlockSize::B512, BLOCKS));
    let mut unit = LogicalUnit::new(config.clone());
    (0..N).for_each(|n| unit.attach(NexusId(n as u64), AttachReason::New));
    let units = Arc::new(One(C::new(unit)));
    std::array::from_fn(|n| {
        let mapped = MappedUnit { unit: UnitId(0), access: UnitAccess::ReadWrite };
        let mut session = Session { units: units.clone(), itl: ItlNexus::new(NexusId(n as u64), mapped) };
        assert_eq!(session.run(&TEST_UNIT_READY), Said::Sense(6, 0x2900));
        assert_eq!(session.run(&TEST_UNIT_READY), Said::Good);
        session
    })
}

pub(crate) const TEST_UNIT_READY: [u8; 6] = [0; 6];
/// WRITE (6) of the last block.
pub(crate) const WRITE: [u8; 6] = [0x0a, 0, 0, BLOCKS as u8 - 1, 1, 0];
/// START STOP UNIT: stop, with NO_FLUSH.
pub(crate) const STOP: [u8; 6] = [0x1b, 0, 0, 0, 4, 0];

/// A status that was sent, or something else that a thread tells.
#[derive(Clone)]
pub(crate) struct Told(Arc<AtomicBool>);

impl Told {
    pub(crate) fn new() -> Self {
        Told(Arc::new(AtomicBool::new(false)))
    }

    pub(crate) fn tell(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_known(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
