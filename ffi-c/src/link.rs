//! The two halves of a connection: bytes to PDUs and back.

use std::io::IoSlice;

use bytes::Buf;
use iscsicore::link::{BufferPool, Receiver, Transmitter, Want};

use crate::boundary::guard;
use crate::handle::{Handle, Opaque, free, lock, opaque};
use crate::limits::{iscsicore_limits, limits as read_limits};
use crate::payload::{self, iscsicore_iovec, iscsicore_payload, piece};
use crate::pointer::{out, out_handle, room};
use crate::status::{Failure, iscsicore_status};

/// The inbound half of one connection: it frames bytes into PDUs and verifies digests, and knows no protocol state.
///
/// Threads: any, one call at a time. It may be read into on one thread while the session is used by another, except during
/// the calls that take both.
pub struct iscsicore_receiver(Handle<Receiver>);
opaque!(iscsicore_receiver, Receiver);

/// The outbound half of one connection: PDUs that wait to be written. Payload lies in it where it was, uncopied.
///
/// Threads: any, one call at a time.
pub struct iscsicore_transmitter(Handle<Transmitter>);
opaque!(iscsicore_transmitter, Transmitter);

/// Read buffers that the connections of one thread share, so that an idle connection has none.
///
/// Threads: any, one call at a time.
pub struct iscsicore_buffer_pool(Handle<BufferPool>);
opaque!(iscsicore_buffer_pool, BufferPool);

/// Makes a receiver for a connection that begins. `limits` are to be those of its host, nexus or target; NULL, where these have the
/// defaults.
///
/// Ownership: the caller's, until iscsicore_receiver_free.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a limit out of its range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_receiver_new(
    limits: *const iscsicore_limits,
    receiver: *mut *mut iscsicore_receiver,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, limits) = unsafe { (out_handle(receiver)?, read_limits(limits)?) };
        place.set(iscsicore_receiver::boxed(Receiver::new(&limits)));
        Ok(())
    })
}

/// Ends a receiver. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_receiver_free(receiver: *mut iscsicore_receiver) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(receiver) })
}

const ELSEWHERE: &str = "payload belongs into the buffer of a command: use iscsicore_nexus_want";

/// Says where the next bytes of the connection are to be read: `*memory` has room for `*len` of them, until the next call on
/// this receiver. Read, then call iscsicore_receiver_advance.
///
/// `*len` is 0 when the session is to take what has arrived first: reading stops. Ask again after it has received, after the
/// transmitter was emptied, or a job was finished.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE while payload belongs into the buffer of a command; iscsicore_nexus_want says
/// where.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_receiver_want(
    receiver: *mut iscsicore_receiver,
    memory: *mut *mut u8,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut receiver, memory, len) =
            unsafe { (lock(receiver)?, out(memory, "memory")?, out(len, "len")?) };
        match receiver.want() {
            Want::Answer => {
                memory.set(core::ptr::null_mut());
                len.set(0);
            }
            Want::Read { slot: Some(_), .. } => {
                return Err(Failure::state(ELSEWHERE));
            }
            Want::Read { staging, .. } => {
                len.set(staging.len());
                memory.set(staging.as_mut_ptr());
            }
        }
        Ok(())
    })
}

/// Tells that `len` bytes were read to where iscsicore_receiver_want said.
///
/// Errors, after which nothing has changed: ISCSICORE_STATUS_INVALID_ARGUMENT for more than there was room for;
/// ISCSICORE_STATUS_WRONG_STATE while payload belongs into the buffer of a command.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_receiver_advance(
    receiver: *mut iscsicore_receiver,
    len: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut receiver = unsafe { lock(receiver) }?;
        // To ask again changes nothing.
        let room = match receiver.want() {
            Want::Answer => 0,
            Want::Read { slot: Some(_), .. } => return Err(Failure::state(ELSEWHERE)),
            Want::Read { staging, .. } => staging.len(),
        };
        if len > room {
            return Err(Failure::invalid(format!("{len} bytes read where {room} were wanted")));
        }
        if len > 0 {
            receiver.advance(&[], len)?;
        }
        Ok(())
    })
}

/// Hands over bytes of the connection that are in memory already, in place of a read: lent, or copied. PDUs are sliced out of
/// lent memory. It does not stop: ask iscsicore_receiver_want whether to go on.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT while payload belongs into the buffer of a command, which ends the
/// connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_receiver_push(
    receiver: *mut iscsicore_receiver,
    bytes: *const iscsicore_payload,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut receiver, payload) = unsafe { (lock(receiver)?, payload::read(bytes)?) };
        for chunk in payload.data() {
            receiver.push(chunk)?;
        }
        payload.keep();
        Ok(())
    })
}

/// Tells how many bytes have arrived that belong to no PDU taken yet. When the peer closes the connection and this is not 0,
/// it did so in the middle of a PDU.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_receiver_buffered(
    receiver: *mut iscsicore_receiver,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (receiver, len) = unsafe { (lock(receiver)?, out(len, "len")?) };
        len.set(receiver.buffered());
        Ok(())
    })
}

/// Makes a transmitter for a connection that begins.
///
/// Ownership: the caller's, until iscsicore_transmitter_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_transmitter_new(
    transmitter: *mut *mut iscsicore_transmitter,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let place = unsafe { out_handle(transmitter) }?;
        place.set(iscsicore_transmitter::boxed(Transmitter::new()));
        Ok(())
    })
}

/// Ends a transmitter, with what it still holds; payload that was lent to it is given back. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_transmitter_free(
    transmitter: *mut iscsicore_transmitter,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(transmitter) })
}

/// Shows what is to be written next, as `*count` slices for writev, at most `capacity` and 64: `*count` is 0 when there is
/// nothing. The slices live until the next call on this transmitter. After the write, call iscsicore_transmitter_advance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_transmitter_slices(
    transmitter: *mut iscsicore_transmitter,
    slices: *mut iscsicore_iovec,
    capacity: usize,
    count: *mut usize,
) -> iscsicore_status {
    const MOST: usize = 64;
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (transmitter, place) = unsafe { (lock(transmitter)?, out(count, "count")?) };
        // SAFETY: as above.
        let slices = unsafe { room(slices, capacity.min(MOST), "slices") }?;
        let mut found = [IoSlice::new(&[]); MOST];
        let written = transmitter.chunks_vectored(&mut found[..slices.len()]);
        for (slice, bytes) in slices.iter_mut().zip(&found[..written]) {
            *slice = piece(bytes);
        }
        place.set(written);
        Ok(())
    })
}

/// Tells that `len` bytes of what iscsicore_transmitter_slices showed were written. That a transmitter was emptied counts as
/// a call on its session: transmit and receive once more.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for more than is queued; nothing changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_transmitter_advance(
    transmitter: *mut iscsicore_transmitter,
    len: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut transmitter = unsafe { lock(transmitter) }?;
        if len > transmitter.queued() {
            return Err(Failure::invalid(format!("{len} bytes written of {} queued", transmitter.queued())));
        }
        transmitter.advance(len);
        Ok(())
    })
}

/// Tells how many bytes wait to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_transmitter_queued(
    transmitter: *mut iscsicore_transmitter,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (transmitter, len) = unsafe { (lock(transmitter)?, out(len, "len")?) };
        len.set(transmitter.queued());
        Ok(())
    })
}

/// Makes an empty pool of read buffers of `buffer_size` bytes (the `read_buffer` of the limits; 0: the default), which holds on
/// to at most `keep` of them.
///
/// Ownership: the caller's, until iscsicore_buffer_pool_free.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT unless buffers have 4096 bytes to 64 MiB and `keep` is at most 65536.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_buffer_pool_new(
    buffer_size: usize,
    keep: usize,
    pool: *mut *mut iscsicore_buffer_pool,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let place = unsafe { out_handle(pool) }?;
        let size = if buffer_size == 0 { iscsicore::Limits::default().read_buffer } else { buffer_size };
        if !(4096..=64 << 20).contains(&size) || keep > 65536 {
            return Err(Failure::invalid("buffers have 4096 bytes to 64 MiB, and a pool keeps up to 65536"));
        }
        place.set(iscsicore_buffer_pool::boxed(BufferPool::new(size, keep)));
        Ok(())
    })
}

/// Ends a pool. Buffers that receivers have stay with them. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_buffer_pool_free(pool: *mut iscsicore_buffer_pool) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(pool) })
}

/// Gives a receiver a buffer, if its next read needs one: before every iscsicore_receiver_want.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_buffer_pool_lend(
    pool: *mut iscsicore_buffer_pool,
    receiver: *mut iscsicore_receiver,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut pool, mut receiver) = unsafe { (lock(pool)?, lock(receiver)?) };
        pool.lend(&mut receiver);
        Ok(())
    })
}

/// Takes the buffer of a receiver back, if it can do without: after a read that found nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_buffer_pool_take_back(
    pool: *mut iscsicore_buffer_pool,
    receiver: *mut iscsicore_receiver,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut pool, mut receiver) = unsafe { (lock(pool)?, lock(receiver)?) };
        pool.take_back(&mut receiver);
        Ok(())
    })
}
