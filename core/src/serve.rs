//! The commands of one session, carried out on logical units: everything between the events of a
//! [`Target`] and block operations. Written with the public API of the other modules alone.
//!
//! Hand every [`Event`] to [`Service::handle`]. It answers by itself what needs no storage, and returns a [`Work`]
//! for what does; carry that out and hand the outcome to [`Service::finish`], which may ask for more.

mod itl_nexus;

use crate::disk::{
    self, AttachReason, LogicalUnit, NexusAccess, NexusId, Op, Outcome, Reply, Request, Resume, Step,
    TargetPort,
};
use crate::link::TaskId;
use crate::node::{self, IscsiName, LunMap, MappedUnit, UnitAccess, UnitId};
use crate::scsi::{Cdb, Response};
use crate::target::{Command, Event, Target};
use crate::wire::Lun;
use crate::{DataList, Misuse};

pub use itl_nexus::ItlNexus;

/// Where the logical units of a server are, and how one call at a time gets at one of them.
pub trait Units {
    /// Calls `f` with the unit of that id; `None` when there is none.
    fn with_unit<R>(&self, unit: UnitId, f: impl FnOnce(&mut LogicalUnit) -> R) -> Option<R>;

    /// What [`LogicalUnit::changes`] of that unit is, without waiting for it; `None` if that cannot be told. With it
    /// most commands are decided by [views](crate::disk::View) and do not come to [`with_unit`](Self::with_unit).
    ///
    /// Whoever tells it promises this: once a call of `with_unit` that changed the unit has returned, its number or a
    /// later one is told to everybody who can know that it has. An id must not come to mean another unit.
    #[inline]
    fn version(&self, _unit: UnitId) -> Option<u64> {
        None
    }
}

/// What is to be done on the storage of a logical unit.
#[derive(Debug)]
#[must_use = "a command waits until its work has been carried out"]
pub struct Work {
    /// Whose storage.
    pub unit: UnitId,
    /// What.
    pub op: Op,
    /// To be given back with the outcome.
    pub ticket: Ticket,
}

/// A command that waits for storage.
#[derive(Debug)]
pub struct Ticket {
    task: TaskId,
    /// Where its LUN stands in the service.
    place: usize,
    step: disk::Task,
}

impl Ticket {
    /// The command.
    pub const fn task(&self) -> TaskId {
        self.task
    }
}

/// What became of an event.
#[derive(Debug)]
pub enum Handled {
    /// It has been dealt with.
    Done,
    /// Storage is needed.
    Work(Work),
    /// It is none of a disk's business: connections, sessions, discovery, task management.
    Other(Event),
}

/// Serves the commands of one session.
#[derive(Debug)]
pub struct Service {
    nexus: NexusId,
    luns: LunMap,
    /// The LUNs' numbers, ascending, and the ways to their units. A *place* is an index into it.
    places: Vec<(u16, ItlNexus)>,
    /// Commands that wait for payload, by the index of their task.
    waiting: Vec<Option<Ticket>>,
    /// Commands that were aborted while storage had them, by the index of their task. Marks of tasks that have ended
    /// stay until the index is used again; the generation in the id keeps them from meaning another task.
    aborted: Vec<Option<TaskId>>,
}

/// Makes the nexus of a session known to the units that it sees, with the name of the target port that it comes
/// through (RFC 7143 section 4.4.2). What it may do to them is a matter of the LUN that each command comes by.
pub fn attach(units: &impl Units, luns: &LunMap, nexus: NexusId, reason: AttachReason, target: &Target) {
    let port = port_of(target);
    for (_, mapped) in luns.iter() {
        units.with_unit(mapped.unit, |unit| {
            unit.attach(nexus, reason);
            if let Some(port) = &port {
                unit.set_port(nexus, port.clone());
            }
        });
    }
}

/// The port as INQUIRY names it; none in a discovery session without a target.
fn port_of(target: &Target) -> Option<TargetPort> {
    let name = IscsiName::received(target.hello().target.as_deref()?).ok()?;
    let port = node::TargetPort { name, tag: target.portal_group_tag()? };
    Some(TargetPort { name: port.to_string(), relative_id: port.tag.max(1) })
}

/// Has the units that a nexus sees forget it.
pub fn detach(units: &impl Units, luns: &LunMap, nexus: NexusId) {
    for (_, mapped) in luns.iter() {
        units.with_unit(mapped.unit, |unit| unit.detach(nexus));
    }
}

fn access(mapped: MappedUnit) -> NexusAccess {
    match mapped.access {
        UnitAccess::ReadWrite => NexusAccess::ReadWrite,
        UnitAccess::ReadOnly => NexusAccess::ReadOnly,
    }
}

impl Service {
    /// Serves the units that `luns` maps, to the initiator that `nexus` names.
    pub fn new(nexus: NexusId, luns: LunMap) -> Self {
        let place = |(lun, mapped): (Lun, _)| Some((lun.number()?, ItlNexus::new(nexus, mapped)));
        let places = luns.iter().filter_map(place).collect();
        Service { nexus, luns, places, waiting: Vec::new(), aborted: Vec::new() }
    }

    /// Tells the units that commands of the initiator were ended by the protocol, when its connection was
    /// reinstated while some ran (RFC 7143 section 11.14.5).
    pub fn tasks_terminated(&self, units: &impl Units) {
        for (_, mapped) in self.luns.iter() {
            units.with_unit(mapped.unit, |unit| unit.tasks_terminated(self.nexus));
        }
    }

    /// The nexus that commands come from.
    pub fn nexus(&self) -> NexusId {
        self.nexus
    }

    /// The logical units that the initiator sees.
    pub fn luns(&self) -> &LunMap {
        &self.luns
    }

    /// Acts on an event of `target`.
    pub fn handle(&mut self, target: &mut Target, units: &impl Units, event: Event) -> Handled {
        match event {
            Event::Command(command) => self.start(target, units, &command),
            Event::Data { task, data } => self.data_arrived(target, units, task, data),
            Event::Abort { task } => {
                if self.take_waiting(task).is_none() {
                    put(&mut self.aborted, task, task);
                }
                Handled::Done
            }
            other => Handled::Other(other),
        }
    }

    /// Goes on with a command whose work has been carried out. One that was aborted meanwhile ends here, so that a
    /// command of many steps stops at the next of them.
    pub fn finish(
        &mut self,
        target: &mut Target,
        units: &impl Units,
        ticket: Ticket,
        outcome: Outcome,
    ) -> Option<Work> {
        if take(&mut self.aborted, ticket.task, |aborted| *aborted).is_some() {
            let _: Result<(), Misuse> = target.complete(ticket.task, Response::good(), 0);
            return None;
        }
        self.resume(target, units, ticket, Resume::Io(outcome))
    }

    fn start(&mut self, target: &mut Target, units: &impl Units, command: &Command) -> Handled {
        let request = Request {
            cdb: &command.cdb,
            data_in: command.data_in,
            data_out: command.data_out,
            attribute: command.attribute,
        };
        let task = command.task;
        let place = self.place(command.lun);
        if command.cdb.opcode() == REPORT_LUNS {
            let luns: Vec<Lun> = self.luns.iter().map(|(lun, _)| lun).collect();
            // The unit, where there is one, learns that its initiator has asked.
            if let Some((_, itl)) = place.and_then(|place| self.places.get(place)) {
                units.with_unit(itl.unit(), |unit| unit.luns_reported(self.nexus));
            }
            answer(target, task, disk::report_luns(&command.cdb, &luns));
            return Handled::Done;
        }
        let step =
            place.and_then(|place| Some((place, self.places.get_mut(place)?.1.start(units, &request)?)));
        match step {
            Some((place, step)) => self.act(target, task, place, step).map_or(Handled::Done, Handled::Work),
            None => {
                answer(target, task, disk::absent_unit(&command.cdb));
                Handled::Done
            }
        }
    }

    fn data_arrived(
        &mut self,
        target: &mut Target,
        units: &impl Units,
        task: TaskId,
        data: DataList,
    ) -> Handled {
        let Some(waiting) = self.take_waiting(task) else { return Handled::Done };
        self.resume(target, units, waiting, Resume::Data(data)).map_or(Handled::Done, Handled::Work)
    }

    fn resume(
        &mut self,
        target: &mut Target,
        units: &impl Units,
        Ticket { task, place, step }: Ticket,
        with: Resume,
    ) -> Option<Work> {
        let step = self.places.get_mut(place).and_then(|(_, itl)| itl.resume(units, step, with));
        match step {
            Some(step) => self.act(target, task, place, step),
            None => {
                // The unit went away while its command ran.
                answer(target, task, disk::absent_unit(&Cdb::default()));
                None
            }
        }
    }

    fn act(&mut self, target: &mut Target, task: TaskId, place: usize, step: Step) -> Option<Work> {
        match step {
            Step::Done(reply) => {
                answer(target, task, reply);
                None
            }
            Step::NeedData { len, task: step } => {
                put(&mut self.waiting, task, Ticket { task, place, step });
                if target.accept(task, len).is_err() {
                    self.take_waiting(task);
                }
                None
            }
            Step::Io { op, task: step } => {
                let unit = self.places.get(place)?.1.unit();
                Some(Work { unit, op, ticket: Ticket { task, place, step } })
            }
        }
    }

    /// Where a LUN stands. They mostly count up from zero without a gap, and each stands at its number then.
    #[inline]
    fn place(&self, lun: Lun) -> Option<usize> {
        let number = lun.number()?;
        let at = usize::from(number);
        match self.places.get(at) {
            Some((found, _)) if *found == number => Some(at),
            _ => self.places.binary_search_by_key(&number, |(number, _)| *number).ok(),
        }
    }

    fn take_waiting(&mut self, task: TaskId) -> Option<Ticket> {
        take(&mut self.waiting, task, Ticket::task)
    }
}

/// Keeps `value` in the place of `task`.
fn put<T>(places: &mut Vec<Option<T>>, task: TaskId, value: T) {
    let index = task.index();
    if places.len() <= index {
        places.resize_with(index + 1, || None);
    }
    places[index] = Some(value);
}

/// Takes what the place of `task` holds, if it is of this very task.
fn take<T>(places: &mut [Option<T>], task: TaskId, owner: impl Fn(&T) -> TaskId) -> Option<T> {
    places.get_mut(task.index())?.take_if(|value| owner(value) == task)
}

/// REPORT LUNS speaks of the target, not of one unit (SPC-4 clause 6.33).
const REPORT_LUNS: u8 = 0xa0;

fn answer(target: &mut Target, task: TaskId, reply: Reply) {
    // A task that has ended in the meantime, with its connection say, takes no answer.
    let _: Result<(), Misuse> = target.complete_with(task, reply.data, reply.response, reply.transfer_len);
}
