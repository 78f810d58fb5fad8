//! A nexus, the buffers of its commands, and the event that C is shown.

use iscsicore::initiator::{Event, Refused, RefusedWhy};
use iscsicore::link::{Receiver, TaskId, Want};
use iscsicore::nexus::{Nexus, NexusConfig, NexusEvent};
use iscsicore::{Instant, Misuse};

use super::buffers::Buffers;
use super::event::iscsicore_nexus_event;
use super::show::ShownEvent;
use crate::command::CommandState;
use crate::payload::{iscsicore_iovec, piece};
use crate::pointer::Context;
use crate::status::{Failure, iscsicore_status};

/// What an iscsicore_nexus is.
#[derive(Debug)]
pub(crate) struct NexusState {
    pub(crate) nexus: Nexus,
    /// Whether it is a discovery session.
    pub(crate) discovery: bool,
    /// Whether it belongs to a simple connection, which frees it.
    pub(crate) held: bool,
    buffers: Buffers,
    shown: ShownEvent,
}

impl NexusState {
    pub(crate) fn new(config: NexusConfig, seed: [u8; 32], now: Instant) -> Self {
        let discovery = config.login.target.is_none();
        let nexus = Nexus::new(config, seed, now);
        NexusState {
            nexus,
            discovery,
            held: false,
            buffers: Buffers::default(),
            shown: ShownEvent::default(),
        }
    }

    /// The next event that C is told; the one before is gone. NULL when there is none.
    pub(crate) fn next_event(&mut self) -> *const iscsicore_nexus_event {
        while let Some(event) = self.nexus.poll_event() {
            let mut context = Context::default();
            match &event {
                NexusEvent::Session(Event::DataIn { task, offset, data }) => {
                    self.buffers.copy(*task, *offset, data);
                    continue;
                }
                NexusEvent::Session(Event::Completed { task, .. }) => match self.buffers.remove(*task) {
                    Some(kept) => context = kept,
                    // It ended before it was cancelled, and that had not been told.
                    None => continue,
                },
                _ => {}
            }
            if let Some(shown) = self.shown.show(event, context) {
                return shown;
            }
        }
        self.shown.clear();
        core::ptr::null()
    }

    pub(crate) fn submit(&mut self, now: Instant, command: &CommandState) -> Result<TaskId, Failure> {
        if self.discovery {
            return Err(Failure::state("a discovery session takes no commands"));
        }
        command.check()?;
        let task = self.nexus.submit(now, command.command.clone()).map_err(refused)?;
        self.buffers.insert(task, command.buffer, command.context);
        Ok(task)
    }

    /// No event tells of the end: the buffer is the program's again at once.
    pub(crate) fn cancel(&mut self, now: Instant, task: TaskId) {
        self.nexus.cancel(now, task);
        self.buffers.remove(task);
    }

    pub(crate) fn abort(&mut self, now: Instant, task: TaskId) -> Result<(), Misuse> {
        self.nexus.abort(now, task)
    }

    /// Where the next bytes are to be read: how many of `slices`, one at least, were filled in.
    pub(crate) fn want(&mut self, rx: &mut Receiver, slices: &mut [iscsicore_iovec]) -> usize {
        let Want::Read { slot, staging } = rx.want() else { return 0 };
        let Some(slot) = slot else {
            slices[0] = piece(staging);
            return 1;
        };
        let place = self.buffers.destination(slot);
        slices[0] = iscsicore_iovec { iov_base: place.base.as_ptr().cast(), iov_len: place.len };
        // What follows the slot can be read only where all of the slot can.
        if place.len < slot.len as usize || slices.len() < 2 {
            return 1;
        }
        slices[1] = piece(staging);
        2
    }

    /// `len` bytes were read to where [`want`](Self::want) said.
    ///
    /// That is asked again here, which changes nothing: nobody's word has to be taken for where the bytes are.
    pub(crate) fn advance(&mut self, rx: &mut Receiver, len: usize) -> Result<(), Failure> {
        let (slot, room) = match rx.want() {
            Want::Answer => (None, 0),
            Want::Read { slot, staging } => (slot, staging.len()),
        };
        let place = slot.map(|slot| (self.buffers.destination(slot), slot.len as usize));
        let most = match place {
            Some((place, whole)) if place.len < whole => place.len,
            Some((place, _)) => place.len + room,
            None => room,
        };
        if len > most {
            return Err(Failure::invalid(format!("{len} bytes read where {most} were wanted")));
        }
        let placed = match &place {
            Some((place, _)) => {
                // SAFETY: a range of a buffer whose command has not ended, or of the bin.
                unsafe { core::slice::from_raw_parts(place.base.as_ptr(), len.min(place.len)) }
            }
            None => &[],
        };
        Ok(rx.advance(placed, len - placed.len())?)
    }
}

fn refused(refused: Refused) -> Failure {
    let status = match refused.why {
        RefusedWhy::QueueFull => iscsicore_status::QueueFull,
        RefusedWhy::NotTaken => iscsicore_status::WrongState,
        _ => iscsicore_status::InvalidArgument,
    };
    Failure::new(status, refused.to_string())
}
