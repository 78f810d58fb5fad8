//! The initiator: an I_T nexus that outlives its connections.

mod buffers;
mod event;
mod options;
mod outcome;
mod requests;
mod show;
mod state;
#[cfg(test)]
mod tests;

use core::ffi::{c_char, c_int};

use iscsicore::{Instant, TransportError};

use crate::boundary::guard;
use crate::handle::{Handle, Opaque, free_if, lock, opaque};
use crate::limits::{ISCSICORE_NEVER, iscsicore_parameters};
use crate::link::{iscsicore_receiver, iscsicore_transmitter};
use crate::payload::iscsicore_iovec;
use crate::pointer::{out, out_handle, room, seed, text};
use crate::status::{Failure, iscsicore_status};

pub use event::*;
pub use options::*;
pub use outcome::{iscsicore_cause, iscsicore_completed_event, iscsicore_flush_coverage, iscsicore_outcome};
pub use requests::*;

pub(crate) use buffers::Buffer;
pub(crate) use options::read as read_initiator_options;
pub(crate) use state::NexusState;

/// The initiator's half of everything between a program and one target: it asks for connections, logs in on them, follows
/// redirects, and when a connection is lost dials and logs in again; commands that had no answer are sent again where that
/// is safe. There is no I/O in it.
///
/// The contract: after any call, take iscsicore_nexus_next_event until it gives NULL, call iscsicore_nexus_transmit, and set
/// a timer for iscsicore_nexus_timeout. The order does not matter, and too often is harmless. That a transmitter was
/// emptied counts as a call: transmit and receive once more. Never wait for the socket or the time while an event has not been
/// taken: also transmit, receive, advance and lost may bring some.
///
/// Every command ends with one ISCSICORE_NEXUS_EVENT_KIND_COMPLETED, unless it is cancelled. Commands that are outstanding
/// together have no order.
///
/// Threads: any, one call at a time.
pub struct iscsicore_nexus(Handle<NexusState>);
opaque!(iscsicore_nexus, NexusState);

/// How a connection was lost.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_loss {
    /// The target closed it.
    Closed = 0,
    /// Reading or writing failed.
    Failed = 1,
}

/// Begins. The first event asks to dial. `seed` are 32 bytes of the system's random generator, of no other use.
///
/// Ownership: the caller's, until iscsicore_nexus_free. `options` are copied.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a name, an alias, secrets, an offer or a limit that cannot be,
/// ISCSICORE_STATUS_INVALID_SIZE for the size of `options`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_new(
    options: *const iscsicore_initiator_options,
    seed_: *const u8,
    now: u64,
    nexus: *mut *mut iscsicore_nexus,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, seed) = unsafe { (out_handle(nexus)?, seed(seed_)?) };
        // SAFETY: as above.
        let (config, seed) = unsafe { read_initiator_options(options, seed) }?;
        place.set(iscsicore_nexus::boxed(NexusState::new(config, seed, Instant::from_nanos(now))));
        Ok(())
    })
}

/// Ends a nexus without a word to the target. Commands end without an event: their buffers are the caller's again, and payload
/// that was lent to them is given back as soon as no transmitter holds it any more. NULL is taken.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE for the nexus of an iscsicore_simple.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_free(nexus: *mut iscsicore_nexus) -> iscsicore_status {
    guard(|| {
        let own = |nexus: &NexusState| match nexus.held {
            false => Ok(()),
            true => Err(Failure::state("the nexus belongs to a simple connection, which frees it")),
        };
        // SAFETY: the rules at the head of the header.
        unsafe { free_if(nexus, own) }
    })
}

/// Gives the next event in `*event`; NULL when there is none. It lives until the next call of this function on this nexus.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_next_event(
    nexus: *mut iscsicore_nexus,
    event: *mut *const iscsicore_nexus_event,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, place) = unsafe { (lock(nexus)?, out(event, "event")?) };
        place.set(nexus.next_event());
        Ok(())
    })
}

/// Tells that the transport that ISCSICORE_NEXUS_EVENT_KIND_DIAL asked for is open. It begins with a new receiver and a new
/// transmitter. Nothing happens when it is wanted no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_connected(
    nexus: *mut iscsicore_nexus,
    now: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(nexus) }?.nexus.connected(Instant::from_nanos(now));
        Ok(())
    })
}

/// Tells that no transport could be opened; `why` in words for people, which are put behind the address. Nothing happens when it is wanted no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_dial_failed(
    nexus: *mut iscsicore_nexus,
    now: u64,
    why: *const c_char,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, why) = unsafe { (lock(nexus)?, text(why, "why")?) };
        nexus.nexus.dial_failed(Instant::from_nanos(now), why.to_owned());
        Ok(())
    })
}

/// Says where the next bytes of the connection are to be read, as `*count` slices for readv: payload that belongs into the
/// buffer of a command goes straight there, what follows it into memory of the library. Read, then call
/// iscsicore_nexus_advance. `*count` is 0 when the nexus is to take what has arrived first (iscsicore_nexus_receive), and
/// at most `capacity` and 2.
///
/// The slices hold until the next call on the nexus or on the receiver, but for those that only ask (iscsicore_nexus_timeout,
/// iscsicore_nexus_is_up and the like): finish the read before. A read that goes on after
/// ISCSICORE_NEXUS_EVENT_KIND_COMPLETED was taken would write into a buffer that is the program's again.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a capacity of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_want(
    nexus: *mut iscsicore_nexus,
    receiver: *mut iscsicore_receiver,
    slices: *mut iscsicore_iovec,
    capacity: usize,
    count: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, mut receiver, count) =
            unsafe { (lock(nexus)?, lock(receiver)?, out(count, "count")?) };
        // SAFETY: as above.
        let slices = unsafe { room(slices, capacity.min(2), "slices") }?;
        if slices.is_empty() {
            return Err(Failure::invalid("room for no slice"));
        }
        count.set(nexus.want(&mut receiver, slices));
        Ok(())
    })
}

/// Tells that `len` bytes were read to where iscsicore_nexus_want said: the slices filled in their order.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for more than there was room for; nothing changes.
/// ISCSICORE_STATUS_PEER_ERROR when the receiver has failed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_advance(
    nexus: *mut iscsicore_nexus,
    receiver: *mut iscsicore_receiver,
    len: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, mut receiver) = unsafe { (lock(nexus)?, lock(receiver)?) };
        nexus.advance(&mut receiver, len)
    })
}

/// Takes the PDUs that the receiver has whole.
///
/// Errors: ISCSICORE_STATUS_PEER_ERROR when the target broke the protocol. Events tell the same: the caller may go on as
/// after ISCSICORE_STATUS_OK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_receive(
    nexus: *mut iscsicore_nexus,
    now: u64,
    receiver: *mut iscsicore_receiver,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, mut receiver) = unsafe { (lock(nexus)?, lock(receiver)?) };
        Ok(nexus.nexus.receive(Instant::from_nanos(now), &mut receiver)?)
    })
}

/// Moves what is to be sent into the transmitter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_transmit(
    nexus: *mut iscsicore_nexus,
    now: u64,
    transmitter: *mut iscsicore_transmitter,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut nexus, mut transmitter) = unsafe { (lock(nexus)?, lock(transmitter)?) };
        nexus.nexus.transmit(Instant::from_nanos(now), &mut transmitter);
        Ok(())
    })
}

/// Tells that the connection is gone; `why` is an iscsicore_loss. Close the socket and free both halves: no
/// ISCSICORE_NEXUS_EVENT_KIND_HANG_UP follows. Nothing happens when the connection was hung up before.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_lost(
    nexus: *mut iscsicore_nexus,
    now: u64,
    why: c_int,
) -> iscsicore_status {
    guard(|| {
        let loss = match why {
            0 => TransportError::Closed,
            1 => TransportError::Failed,
            _ => return Err(Failure::invalid(format!("{why} is no iscsicore_loss"))),
        };
        // SAFETY: the rules at the head of the header.
        unsafe { lock(nexus) }?.nexus.lost(Instant::from_nanos(now), loss);
        Ok(())
    })
}

/// Tells when iscsicore_nexus_handle_timeout is to be called; ISCSICORE_NEVER when not at all. Any other call may change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_timeout(
    nexus: *mut iscsicore_nexus,
    at: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (nexus, at) = unsafe { (lock(nexus)?, out(at, "at")?) };
        at.set(nexus.nexus.poll_timeout().map_or(ISCSICORE_NEVER, Instant::as_nanos));
        Ok(())
    })
}

/// Acts on the time that has passed; harmless when nothing is due.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_handle_timeout(
    nexus: *mut iscsicore_nexus,
    now: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(nexus) }?.nexus.handle_timeout(Instant::from_nanos(now));
        Ok(())
    })
}

/// Drops the connection, if there is one, and dials again at once, without any pause. Nothing happens during a logout.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_reconnect(
    nexus: *mut iscsicore_nexus,
    now: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(nexus) }?.nexus.reconnect(Instant::from_nanos(now));
        Ok(())
    })
}

/// Waits for the commands that were taken, logs out, ends: ISCSICORE_NEXUS_EVENT_KIND_ENDED follows. Without a connection it
/// ends at once, and so it does when the connection is lost meanwhile: commands that still wait end with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_logout(nexus: *mut iscsicore_nexus, now: u64) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(nexus) }?.nexus.logout(Instant::from_nanos(now));
        Ok(())
    })
}

/// Ends now, without a word to the target; every command ends before ISCSICORE_NEXUS_EVENT_KIND_ENDED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_end(nexus: *mut iscsicore_nexus, now: u64) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(nexus) }?.nexus.end(Instant::from_nanos(now));
        Ok(())
    })
}

/// Tells whether a session is up, so that commands are sent at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_is_up(
    nexus: *mut iscsicore_nexus,
    up: *mut bool,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (nexus, up) = unsafe { (lock(nexus)?, out(up, "up")?) };
        up.set(nexus.nexus.is_up());
        Ok(())
    })
}

/// Tells how many commands could be sent at once: the room in the target's command window. 0 without a connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_window(
    nexus: *mut iscsicore_nexus,
    window: *mut u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (nexus, window) = unsafe { (lock(nexus)?, out(window, "window")?) };
        window.set(nexus.nexus.window());
        Ok(())
    })
}

/// Tells how many commands and other requests have not ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_outstanding(
    nexus: *mut iscsicore_nexus,
    count: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (nexus, count) = unsafe { (lock(nexus)?, out(count, "count")?) };
        count.set(nexus.nexus.outstanding());
        Ok(())
    })
}

/// Tells what the last login agreed on.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE before the first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_nexus_parameters(
    nexus: *mut iscsicore_nexus,
    parameters: *mut iscsicore_parameters,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (nexus, place) = unsafe { (lock(nexus)?, out(parameters, "parameters")?) };
        let agreed = nexus.nexus.parameters().ok_or_else(|| Failure::state("there was no login yet"))?;
        place.set(agreed.into());
        Ok(())
    })
}
