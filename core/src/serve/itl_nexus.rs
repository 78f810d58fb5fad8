//! A LUN of a session: the unit behind it, and what was last seen of that.

use super::{Units, access};
use crate::disk::{self, LogicalUnit, NexusAccess, NexusId, Request, Resume, Step, View};
use crate::node::{MappedUnit, UnitId};

/// An I_T_L nexus: carries the commands of one initiator on one LUN to the unit behind it, or past it.
///
/// It keeps a [`View`] of the unit and, as long as [`Units::version`] stays what it was, decides by that. Everything
/// else goes to the unit itself, which is the occasion for a new view. Why that is correct with sessions on many
/// threads stands above `View` in its source.
///
/// A [`Service`](super::Service) has one for each LUN; those who write a service of their own may use it too.
#[derive(Clone, Debug)]
pub struct ItlNexus {
    nexus: NexusId,
    unit: UnitId,
    access: NexusAccess,
    /// What decides commands, and the version of the unit that it shows.
    seen: Option<(u64, View)>,
}

impl ItlNexus {
    /// The way of `nexus` to the unit of one of its LUNs.
    pub fn new(nexus: NexusId, mapped: MappedUnit) -> Self {
        ItlNexus { nexus, unit: mapped.unit, access: access(mapped), seen: None }
    }

    /// The unit.
    #[inline]
    pub fn unit(&self) -> UnitId {
        self.unit
    }

    /// Takes a command, as [`LogicalUnit::start`] does; `None` when there is no such unit.
    #[inline]
    pub fn start(&mut self, units: &impl Units, request: &Request<'_>) -> Option<Step> {
        if let Some(step) = self.current(units).and_then(|view| view.start(request)) {
            return Some(step);
        }
        let (nexus, access) = (self.nexus, self.access);
        self.at_unit(units, |unit| unit.start_with(nexus, access, request))
    }

    /// Goes on with a command of this nexus, as [`LogicalUnit::resume`] does; `None` when the unit is gone.
    #[inline]
    pub fn resume(&mut self, units: &impl Units, task: disk::Task, with: Resume) -> Option<Step> {
        let (task, with) = match self.current(units) {
            Some(view) => match view.resume(task, with) {
                Ok(step) => return Some(step),
                Err(back) => back,
            },
            None => (task, with),
        };
        self.at_unit(units, |unit| unit.resume(task, with))
    }

    /// The view, if it still shows the unit as it is.
    #[inline]
    fn current(&self, units: &impl Units) -> Option<&View> {
        let (version, view) = self.seen.as_ref()?;
        (units.version(self.unit)? == *version).then_some(view)
    }

    /// Asks the unit, and looks at it anew. The view and the number that it is known by come from the same call, so
    /// that no change can come between them.
    #[cold]
    fn at_unit(&mut self, units: &impl Units, ask: impl FnOnce(&mut LogicalUnit) -> Step) -> Option<Step> {
        let ItlNexus { nexus, unit, access, ref mut seen } = *self;
        let keeps = units.version(unit).is_some();
        units.with_unit(unit, |unit| {
            let step = ask(unit);
            let view = if keeps { unit.view(nexus) } else { None };
            *seen = view.map(|view| (unit.changes(), view.with_access(access)));
            step
        })
    }
}
