//! The tasks of a session: a slab whose ids name a slot and a generation of it.

use crate::DataList;
use crate::Misuse;
use crate::link::TaskId;
use crate::scsi::{self, Cdb};
use crate::session::ConnId;
use crate::wire::{CmdSn, Itt, Lun, TaskAttribute, TaskManagementFunction};

use super::data_out::DataOutState;

/// Something that the initiator has asked for and that has not been answered.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) conn: ConnId,
    pub(super) itt: Itt,
    pub(super) lun: Lun,
    pub(super) cmd_sn: CmdSn,
    pub(super) place: Place,
    pub(super) body: Body,
}

/// What the end of a task makes room in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The command window.
    Window,
    /// The immediate requests that are no task management.
    Immediate,
    /// The immediate task management requests.
    ImmediateManagement,
    /// Nothing: it is not counted, or its room was given back already.
    None,
}

#[derive(Debug)]
pub(super) enum Body {
    Scsi(Box<Scsi>),
    Management { function: TaskManagementFunction, answer: Option<crate::wire::TaskManagementResult> },
    SendTargets,
    Logout,
}

/// Who has a SCSI command at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    /// It arrived before a command of a lower number.
    #[default]
    Early,
    /// It waits to be handed to the caller.
    Queued,
    /// The caller has it.
    WithCaller,
    /// The caller waits for payload.
    Collecting,
    /// The caller has ended it; the initiator is still sending.
    Finished,
    /// It was aborted while the caller did not have it, or the caller has ended it since.
    Dropped,
}

/// A SCSI command. It is used again for another when it has ended: see [`Tasks::blank`].
#[derive(Debug, Default)]
pub(super) struct Scsi {
    pub(super) phase: Phase,
    pub(super) aborted: bool,
    /// Whether the caller has been given it.
    pub(super) handed_out: bool,
    pub(super) attribute: TaskAttribute,
    pub(super) cdb: Cdb,
    pub(super) expected_in: u32,
    pub(super) expected_out: u32,
    pub(super) incoming: DataOutState,
    /// Bytes charged against the budget for solicited data.
    pub(super) charged: usize,
    pub(super) outgoing: DataInState,
    /// DataSN or R2TSN of the next PDU that goes out; a bidirectional command has one series for both.
    pub(super) next_sn: u32,
    /// Whether the initiator set both R and W.
    pub(super) bidirectional: bool,
    /// How it ended, while the initiator is still sending.
    pub(super) completion: Option<Completion>,
}

/// Payload on its way out.
#[derive(Debug, Default)]
pub(super) struct DataInState {
    /// Bytes offered by the caller, sent or not.
    pub(super) offered: u64,
    /// Bytes put into PDUs.
    pub(super) sent: u32,
    /// Bytes of the sequence under way.
    pub(super) burst: u32,
    /// What is not in a PDU yet: what more comes joins it, and the status may travel with the last of it.
    pub(super) pending: DataList,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub(super) struct Completion {
    pub(super) response: scsi::Response,
    pub(super) transfer_len: u32,
}

impl DataInState {
    /// Starts again, for another command.
    pub(super) fn begin(&mut self) {
        (self.offered, self.sent, self.burst) = (0, 0, 0);
    }
}

impl Scsi {
    /// Whether the caller may still act on it.
    pub(super) fn is_with_caller(&self) -> bool {
        self.phase == Phase::WithCaller
    }

    /// Whether nothing of it is left to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.aborted && matches!(self.phase, Phase::Dropped) && self.incoming.is_quiet()
    }
}

/// See [`Tasks::hints`].
#[derive(Debug)]
struct Hints([Hint; HINTS]);

#[derive(Clone, Copy, Debug, Default)]
struct Hint {
    count: u32,
    last: u32,
}

/// Twice the usual queue depth of initiators, or more.
const HINTS: usize = 128;

impl Default for Hints {
    fn default() -> Self {
        Hints([Hint::default(); HINTS])
    }
}

impl Hints {
    fn of(&mut self, itt: Itt) -> &mut Hint {
        &mut self.0[itt.0 as usize % HINTS]
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    task: Option<Task>,
}

/// All tasks of a session.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The tags of the slots, reserved where free: dense, so that finding one is a scan over a few cache lines.
    tags: Vec<Itt>,
    /// How many tags there are with each value of the low bits, and the slot of the last. Initiators count tags up, or
    /// use few of them again and again: as a rule this says at once where a tag is, or that there is none.
    hints: Hints,
    management: usize,
    /// SCSI commands that have ended, to be used again. There are never more than slots.
    #[allow(clippy::vec_box, reason = "they go in and out of tasks as they are")]
    blank: Vec<Box<Scsi>>,
}

impl Tasks {
    #[inline]
    pub(super) fn insert(&mut self, task: Task) -> TaskId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.tags.push(Itt::RESERVED);
            self.slots.len() as u32 - 1
        });
        self.management += usize::from(matches!(task.body, Body::Management { .. }));
        let slot = &mut self.slots[index as usize];
        self.tags[index as usize] = task.itt;
        let hint = self.hints.of(task.itt);
        (hint.count, hint.last) = (hint.count + 1, index);
        slot.task = Some(task);
        TaskId { index, generation: slot.generation }
    }

    #[inline]
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Task> {
        let slot = self.slots.get_mut(id.index()).filter(|s| s.generation == id.generation)?;
        let task = slot.task.take()?;
        self.free(id, task.itt);
        self.management -= usize::from(matches!(task.body, Body::Management { .. }));
        Some(task)
    }

    /// The same for a SCSI command; any other task stays.
    #[inline]
    pub(super) fn remove_scsi(&mut self, id: TaskId) -> Option<(Place, Box<Scsi>)> {
        let slot = self.slots.get_mut(id.index()).filter(|s| s.generation == id.generation)?;
        let is_scsi = |task: &mut Task| matches!(task.body, Body::Scsi(_));
        let Task { itt, place, body: Body::Scsi(scsi), .. } = slot.task.take_if(is_scsi)? else {
            return None;
        };
        self.free(id, itt);
        Some((place, scsi))
    }

    /// Makes the slot of a task that was taken out of it one for another.
    #[inline]
    fn free(&mut self, id: TaskId, itt: Itt) {
        let slot = &mut self.slots[id.index()];
        slot.generation = slot.generation.wrapping_add(1);
        self.tags[id.index()] = Itt::RESERVED;
        self.hints.of(itt).count -= 1;
        self.free.push(id.index);
    }

    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.slots.get(id.index()).filter(|s| s.generation == id.generation)?.task.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.slots.get_mut(id.index()).filter(|s| s.generation == id.generation)?.task.as_mut()
    }

    /// The SCSI command `id`, or why there is none.
    #[inline]
    pub(super) fn scsi_mut(&mut self, id: TaskId) -> Result<(&mut Scsi, ConnId, Itt, Lun), Misuse> {
        match self.get_mut(id) {
            Some(Task { body: Body::Scsi(scsi), conn, itt, lun, .. }) => Ok((scsi, *conn, *itt, *lun)),
            _ => Err(Misuse::UnknownTask),
        }
    }

    #[inline]
    pub(super) fn find(&mut self, itt: Itt) -> Option<TaskId> {
        if itt.is_reserved() {
            return None;
        }
        let hint = *self.hints.of(itt);
        if hint.count == 0 {
            return None;
        }
        let index = match self.tags.get(hint.last as usize) {
            Some(tag) if *tag == itt => hint.last as usize,
            _ => self.tags.iter().position(|t| *t == itt)?,
        };
        Some(TaskId { index: index as u32, generation: self.slots[index].generation })
    }

    /// A command to be filled in: one that has ended, where there is one, so that none is allocated for each.
    #[inline]
    pub(super) fn blank(&mut self) -> Box<Scsi> {
        self.blank.pop().unwrap_or_default()
    }

    /// Keeps a command that has ended, without what it held.
    #[inline]
    pub(super) fn recycle(&mut self, mut scsi: Box<Scsi>) {
        scsi.incoming.discard();
        if !scsi.outgoing.pending.is_empty() {
            scsi.outgoing.pending = DataList::new();
        }
        self.blank.push(scsi);
    }

    /// Gives memory back that a busy session needed, when nothing is going on.
    pub(super) fn shrink(&mut self) {
        self.blank = Vec::new();
    }

    /// How many task management requests are among them.
    pub(super) fn management(&self) -> usize {
        self.management
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let id = TaskId { index: index as u32, generation: slot.generation };
            slot.task.as_ref().map(|t| (id, t))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(itt: u32) -> Task {
        Task {
            conn: ConnId(0),
            itt: Itt(itt),
            lun: Lun(0),
            cmd_sn: CmdSn(0),
            place: Place::Window,
            body: Body::Logout,
        }
    }

    #[test]
    fn an_id_of_an_ended_task_names_nothing() {
        let mut tasks = Tasks::default();
        let a = tasks.insert(task(1));
        assert!(tasks.remove(a).is_some());
        let b = tasks.insert(task(2));
        assert_eq!(a.index(), b.index(), "the slot is used again");
        assert!(tasks.get(a).is_none() && tasks.remove(a).is_none());
        assert_eq!(tasks.find(Itt(2)), Some(b));
        assert_eq!(tasks.find(Itt(1)), None);
        assert_eq!(tasks.len(), 1);
    }
}
