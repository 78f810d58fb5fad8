//! Buffers of the program's, into which commands read.

use core::ptr::NonNull;

use iscsicore::link::{Slot, TaskId};

use crate::pointer::Context;

/// Bytes for a slot whose task has no buffer any more go here, so many at a time.
const BIN: usize = 64 * 1024;

/// Memory of the program's that is written to until the command with it has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the header says that any thread that uses the nexus writes there.
unsafe impl Send for Buffer {}

impl Buffer {
    pub(crate) fn new(base: NonNull<u8>, len: usize) -> Self {
        Buffer { base, len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The part at `offset`, if all of it lies within the buffer.
    fn part(&self, offset: u64, len: usize) -> Option<NonNull<u8>> {
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(len)?;
        if end > self.len {
            return None;
        }
        // SAFETY: it lies within the buffer, which whoever made this value vouches for.
        Some(unsafe { self.base.add(offset) })
    }
}

/// Where the payload of a slot is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination {
    pub(crate) base: NonNull<u8>,
    /// Less than the slot when it is the bin and the slot is longer.
    pub(crate) len: usize,
}

/// What is kept of a command until its end.
#[derive(Clone, Copy, Debug)]
struct Entry {
    task: TaskId,
    buffer: Option<Buffer>,
    context: Context,
}

/// The buffers and contexts of the commands that have not ended.
///
/// Nothing here is reached but through the name of a task and a range that lies within what was registered for it: a
/// receiver of another connection, or of another nexus, gets the bin.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// By the index of the task. The core does not use an index again before the end of its task was told.
    table: Vec<Option<Entry>>,
    bin: Vec<u8>,
}

impl Buffers {
    pub(crate) fn insert(&mut self, task: TaskId, buffer: Option<Buffer>, context: Context) {
        if self.table.len() <= task.index() {
            self.table.resize(task.index() + 1, None);
        }
        self.table[task.index()] = Some(Entry { task, buffer, context });
    }

    /// The buffer is the program's again. Returns what the program knows the command by; `None` for one that it cancelled.
    pub(crate) fn remove(&mut self, task: TaskId) -> Option<Context> {
        let place = self.table.get_mut(task.index())?;
        place.take_if(|entry| entry.task == task).map(|entry| entry.context)
    }

    fn find(&self, task: TaskId) -> Option<Buffer> {
        let entry = (*self.table.get(task.index())?)?;
        entry.buffer.filter(|_| entry.task == task)
    }

    pub(crate) fn destination(&mut self, slot: Slot) -> Destination {
        let len = slot.len as usize;
        if let Some(base) = self.find(slot.task).and_then(|buffer| buffer.part(slot.offset, len)) {
            return Destination { base, len };
        }
        self.bin.resize(BIN, 0);
        // Never NULL: it has a length.
        let base = NonNull::new(self.bin.as_mut_ptr()).unwrap_or(NonNull::dangling());
        Destination { base, len: len.min(BIN) }
    }

    /// Payload that did not arrive in a slot goes to its place. What has no place any more is dropped.
    pub(crate) fn copy(&self, task: TaskId, offset: u32, data: &[u8]) {
        let Some(place) = self.find(task).and_then(|buffer| buffer.part(offset.into(), data.len())) else {
            return;
        };
        // SAFETY: the part lies within the buffer of a command that has not ended. It may overlap the data if the program
        // has given memory that it was shown.
        unsafe { place.as_ptr().copy_from(data.as_ptr(), data.len()) };
    }
}
