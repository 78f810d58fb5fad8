//! What a session has asked for and what has not ended: a slab whose ids stay the same over connections.

use crate::Instant;
use crate::link::TaskId;
use crate::wire::{CmdSn, Itt, Lun, TaskManagementFunction};

use super::command::Command;
use super::data_in::DataInState;
use super::data_out::DataOutState;
use super::durability::Covers;

/// The index takes the lower half of an Initiator Task Tag, so no more tasks than this.
pub(super) const MAX_TASKS: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Task {
    /// When it is given up.
    pub(super) deadline: Option<Instant>,
    pub(super) body: Body,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all tasks are SCSI commands")]
pub(super) enum Body {
    Scsi(Scsi),
    /// A task management function; `victim` is the command of an ABORT TASK, which nobody awaits by itself.
    Management {
        function: TaskManagementFunction,
        lun: Lun,
        victim: Option<TaskId>,
        /// The first CmdSN that is used after it.
        cmd_sn: CmdSn,
    },
    /// A Text Request. Without anybody who asked, it answers the target's wish to negotiate.
    Text {
        asked: bool,
    },
    /// A ping of the caller, or of this end itself.
    Ping {
        asked: bool,
    },
    Logout,
}

impl Body {
    /// Whether the target may end commands for it that are sent before its answer has come, or may not: no other
    /// command is sent meanwhile.
    pub(super) fn is_reset(&self) -> bool {
        use TaskManagementFunction::*;
        matches!(
            self,
            Body::Management {
                function: LogicalUnitReset | TargetWarmReset | TargetColdReset | ITNexusReset,
                ..
            }
        )
    }
}

/// Where a command is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// In the queue, for the first time or again.
    Waiting,
    /// Kept back for a while: the target was busy.
    Paused,
    /// With the target.
    Sent,
}

#[derive(Debug)]
pub(super) struct Scsi {
    pub(super) command: Command,
    pub(super) phase: Phase,
    pub(super) cmd_sn: CmdSn,
    /// Whether it was sent on a connection that was lost before the answer.
    pub(super) doubtful: bool,
    /// Nobody waits for its end any more: cancelled, or its time was over.
    pub(super) silent: bool,
    /// Whether the caller wants it aborted.
    pub(super) aborting: bool,
    /// How often the target has put it off, and how often it has aborted it.
    pub(super) put_off: u32,
    pub(super) aborted: u32,
    /// What it covers, for a flush.
    pub(super) covers: Covers,
    /// The number that the next R2T or Data-In carries: a bidirectional command has one series for both.
    pub(super) next_sn: u32,
    pub(super) incoming: DataInState,
    pub(super) outgoing: DataOutState,
}

impl Scsi {
    pub(super) fn new(command: Command) -> Self {
        Scsi {
            command,
            phase: Phase::Waiting,
            cmd_sn: CmdSn(0),
            doubtful: false,
            silent: false,
            aborting: false,
            put_off: 0,
            aborted: 0,
            covers: Covers::default(),
            next_sn: 0,
            incoming: DataInState::default(),
            outgoing: DataOutState::default(),
        }
    }

    /// Forgets what an earlier attempt has moved.
    pub(super) fn start_over(&mut self) {
        self.next_sn = 0;
        self.incoming = DataInState::default();
        self.outgoing = DataOutState::default();
    }
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    task: Option<Task>,
    /// An event tells of the end of the task, and was not taken yet.
    held: bool,
}

/// All tasks of a session.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Resets that have not been answered.
    resets: usize,
    /// Tasks that are there.
    len: usize,
}

impl Tasks {
    /// Whether a reset waits for its answer.
    pub(super) fn is_resetting(&self) -> bool {
        self.resets > 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, task: Task) -> TaskId {
        let index = self.free.pop().unwrap_or_else(|| {
            // Not 0: tshark takes a NOP-Out whose tag is 0 for something else.
            self.places.push(Place { generation: 1, ..Place::default() });
            self.places.len() as u32 - 1
        });
        self.resets += usize::from(task.body.is_reset());
        self.len += 1;
        let place = &mut self.places[index as usize];
        place.task = Some(task);
        TaskId { index, generation: place.generation }
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<Task> {
        let place = self.places.get_mut(id.index()).filter(|p| p.generation == id.generation)?;
        let task = place.task.take()?;
        place.generation = place.generation.wrapping_add(1);
        if !place.held {
            self.free.push(id.index);
        }
        self.len -= 1;
        self.resets -= usize::from(task.body.is_reset());
        Some(task)
    }

    /// Keeps the index of a task from being used again before [`release`](Self::release): an event tells of its end, and
    /// callers may keep tables by index.
    pub(super) fn hold(&mut self, id: TaskId) {
        if let Some(place) = self.places.get_mut(id.index()) {
            place.held = true;
        }
    }

    /// The event was taken.
    pub(super) fn release(&mut self, id: TaskId) {
        let Some(place) = self.places.get_mut(id.index()) else { return };
        if core::mem::replace(&mut place.held, false) && place.task.is_none() {
            self.free.push(id.index);
        }
    }

    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.places.get(id.index()).filter(|p| p.generation == id.generation)?.task.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.places.get_mut(id.index()).filter(|p| p.generation == id.generation)?.task.as_mut()
    }

    pub(super) fn scsi(&self, id: TaskId) -> Option<&Scsi> {
        match &self.get(id)?.body {
            Body::Scsi(scsi) => Some(scsi),
            _ => None,
        }
    }

    pub(super) fn scsi_mut(&mut self, id: TaskId) -> Option<&mut Scsi> {
        match &mut self.get_mut(id)?.body {
            Body::Scsi(scsi) => Some(scsi),
            _ => None,
        }
    }

    /// The task that a tag of the target names.
    pub(super) fn find(&self, itt: Itt) -> Option<TaskId> {
        let index = itt.0 & 0xffff;
        let place = self.places.get(index as usize)?;
        let id = TaskId { index, generation: place.generation };
        (place.task.is_some() && tag(id) == itt).then_some(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let id = TaskId { index: index as u32, generation: place.generation };
            place.task.as_ref().map(|task| (id, task))
        })
    }
}

/// The Initiator Task Tag of a task: never the reserved one, and not the same again soon.
pub(super) const fn tag(id: TaskId) -> Itt {
    Itt((id.generation & 0x7fff) << 16 | (id.index & 0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping() -> Task {
        Task { deadline: None, body: Body::Ping { asked: true } }
    }

    // covers: 7143-11.2.1.8-1
    #[test]
    fn a_tag_names_one_task_and_dies_with_it() {
        let mut tasks = Tasks::default();
        let (a, b) = (tasks.insert(ping()), tasks.insert(ping()));
        assert_eq!((tasks.find(tag(a)), tasks.find(tag(b))), (Some(a), Some(b)));
        assert!(tasks.remove(a).is_some() && tasks.remove(a).is_none());
        assert_eq!(tasks.find(tag(a)), None);
        let c = tasks.insert(ping());
        assert_eq!(c.index(), a.index());
        assert_ne!(tag(c), tag(a));
        assert_eq!((tasks.find(tag(a)), tasks.get(a).is_none(), tasks.len()), (None, true, 2));
    }

    #[test]
    fn an_index_is_not_used_again_before_the_end_of_its_task_was_taken() {
        let mut tasks = Tasks::default();
        let a = tasks.insert(ping());
        tasks.hold(a);
        tasks.remove(a);
        let b = tasks.insert(ping());
        assert_ne!(b.index(), a.index());
        tasks.release(a);
        assert_eq!(tasks.insert(ping()).index(), a.index());
        // A task whose end was told may still be there.
        tasks.hold(b);
        tasks.release(b);
        assert_ne!(tasks.insert(ping()).index(), b.index());
        tasks.remove(b);
        assert_eq!((tasks.insert(ping()).index(), tasks.len()), (b.index(), 3));
    }

    // covers: 7143-11.2.1.8-2
    #[test]
    fn no_tag_is_the_reserved_one() {
        for generation in [0, 1, 0x7fff, 0xffff, u32::MAX] {
            assert!(!tag(TaskId { index: 0xffff, generation }).is_reserved());
        }
    }
}
