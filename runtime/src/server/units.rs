//! The logical units of a server: the state that SCSI shares between sessions, and the storage.

mod shared;

use std::sync::Arc;

use iscsicore::disk::LogicalUnit;
use iscsicore::node::UnitId;
use iscsicore::serve::Units;

use crate::backend::Backend;
use shared::{Changes, Shared};

/// What [`shared`] is built on.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

impl Changes for LogicalUnit {
    fn changes(&self) -> u64 {
        LogicalUnit::changes(self)
    }
}

/// A logical unit and its storage.
pub(super) struct Unit {
    state: Shared<LogicalUnit>,
    /// The serial number, for the log.
    pub(super) label: Arc<str>,
    pub(super) backend: Arc<dyn Backend>,
}

/// All units, by the index that their [`UnitId`] is.
pub(super) struct UnitTable(Vec<Unit>);

impl UnitTable {
    pub(super) fn new(units: Vec<(LogicalUnit, Arc<dyn Backend>)>) -> Self {
        let unit = |(state, backend): (LogicalUnit, _)| {
            let label = state.config().serial.as_str().into();
            Unit { state: Shared::new(state), label, backend }
        };
        UnitTable(units.into_iter().map(unit).collect())
    }

    pub(super) fn get(&self, id: UnitId) -> Option<&Unit> {
        self.0.get(id.0 as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.0.iter()
    }
}

impl Units for &UnitTable {
    fn with_unit<R>(&self, unit: UnitId, f: impl FnOnce(&mut LogicalUnit) -> R) -> Option<R> {
        // The lock is held for the decision about one command, never for its I/O.
        Some(self.get(unit)?.state.change(f))
    }

    #[inline]
    fn version(&self, unit: UnitId) -> Option<u64> {
        Some(self.get(unit)?.state.version())
    }
}

#[cfg(test)]
mod tests {
    use iscsicore::disk::{BlockSize, UnitConfig};

    use super::*;

    /// What was changed until a panic in the core is told, and the unit goes on being served.
    #[test]
    fn a_panic_does_not_hide_a_change() {
        let cell = Shared::new(LogicalUnit::new(UnitConfig::new("serial-1", BlockSize::B512, 8)));
        let before = cell.version();
        let panics = || {
            cell.change(|unit| {
                unit.resize(9);
                std::panic::resume_unwind(Box::new("in the core"));
            })
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert!(cell.version() > before);
        assert_eq!(cell.change(|unit| (unit.blocks(), unit.changes())), (9, cell.version()));
    }
}
