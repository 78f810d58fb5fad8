//! Who waits for the end of which command.
//!
//! A slab: places are used again, so that a command costs no allocation here. Each place belongs to one future from
//! the time it asks until it has its outcome or is dropped, which is why a key needs no generation; tasks have one.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::BytesMut;
use iscsicore::Instant;
use iscsicore::initiator::{Command, Outcome, RefusedWhy};
use iscsicore::link::TaskId;

/// A place in the slab.
pub(super) type Key = u32;

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) stage: Stage,
    pub(super) waker: Option<Waker>,
    /// Where payload of a command with `Sink::Slots` goes.
    pub(super) buffer: BytesMut,
    pub(super) since: Instant,
    /// Payload that it sends, in bytes.
    pub(super) sends: u64,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Nobody's.
    Free,
    /// The session has no room for it yet.
    Queued(Box<Command>),
    /// The session has it.
    Submitted(TaskId),
    /// It has ended, or was refused: its future may take it.
    Done(Result<Outcome, RefusedWhy>),
}

#[derive(Debug, Default)]
pub(super) struct Waiters {
    slab: Vec<Waiter>,
    free: Vec<Key>,
    /// By the index of the task.
    tasks: Vec<Option<(TaskId, Key)>>,
    /// Tasks that have ended, whose index another task has already, and whose end has not been told yet. Hardly ever any.
    displaced: Vec<(TaskId, Key)>,
    /// Those in stage [`Stage::Queued`], in their order.
    pub(super) queue: VecDeque<Key>,
}

impl Waiters {
    /// Takes one in.
    pub(super) fn insert(&mut self, waiter: Waiter) -> Key {
        match self.free.pop() {
            Some(key) => {
                self.slab[key as usize] = waiter;
                key
            }
            None => {
                self.slab.push(waiter);
                (self.slab.len() - 1) as Key
            }
        }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> &mut Waiter {
        &mut self.slab[key as usize]
    }

    /// Notes which task a waiter waits for.
    pub(super) fn submitted(&mut self, key: Key, task: TaskId) {
        self.slab[key as usize].stage = Stage::Submitted(task);
        if self.tasks.len() <= task.index() {
            self.tasks.resize(task.index() + 1, None);
        }
        let before = self.tasks[task.index()].replace((task, key));
        self.displaced.extend(before);
    }

    /// Who waits for `task`.
    pub(super) fn of_task(&mut self, task: TaskId) -> Option<&mut Waiter> {
        let key = self.key_of(task)?;
        Some(&mut self.slab[key as usize])
    }

    /// Notes that the task has ended; who waited for it.
    pub(super) fn ended(&mut self, task: TaskId) -> Option<&mut Waiter> {
        let key = self.forget(task)?;
        Some(&mut self.slab[key as usize])
    }

    /// Takes one out: the place may be given to another.
    pub(super) fn remove(&mut self, key: Key) -> Waiter {
        let none = Waiter {
            stage: Stage::Free,
            waker: None,
            buffer: BytesMut::new(),
            since: Instant::ZERO,
            sends: 0,
        };
        let waiter = std::mem::replace(&mut self.slab[key as usize], none);
        match &waiter.stage {
            Stage::Queued(_) => self.queue.retain(|k| *k != key),
            Stage::Submitted(task) => {
                self.forget(*task);
            }
            Stage::Free | Stage::Done(_) => {}
        }
        self.free.push(key);
        waiter
    }

    /// Everybody who has no outcome yet.
    pub(super) fn unfinished(&mut self) -> impl Iterator<Item = &mut Waiter> {
        self.slab.iter_mut().filter(|w| matches!(w.stage, Stage::Queued(_) | Stage::Submitted(_)))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    fn key_of(&self, task: TaskId) -> Option<Key> {
        let found = match self.tasks.get(task.index()) {
            Some(Some(at)) if at.0 == task => Some(at),
            _ => self.displaced.iter().find(|at| at.0 == task),
        };
        found.map(|at| at.1)
    }

    fn forget(&mut self, task: TaskId) -> Option<Key> {
        if let Some(place) = self.tasks.get_mut(task.index())
            && let Some((_, key)) = place.take_if(|at| at.0 == task)
        {
            return Some(key);
        }
        let at = self.displaced.iter().position(|at| at.0 == task)?;
        Some(self.displaced.swap_remove(at).1)
    }
}
