//! The logical units of a server: the state that SCSI shares between sessions, and the storage.

use std::sync::{Arc, Mutex, PoisonError};

use iscsicore::disk::LogicalUnit;
use iscsicore::node::UnitId;
use iscsicore::serve::Units;

use crate::backend::Backend;

/// A logical unit and its storage.
pub(super) struct Unit {
    state: Mutex<LogicalUnit>,
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
            Unit { state: Mutex::new(state), label, backend }
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
        // The lock is held for the decision about one command, never for its I/O. A panic in the core would leave
        // a unit whose state is as good as it was before the command: going on serves the others.
        let mut state = self.get(unit)?.state.lock().unwrap_or_else(PoisonError::into_inner);
        Some(f(&mut state))
    }
}
