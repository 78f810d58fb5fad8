//! Payload on its way in: collected, or into buffers of the program's.

use std::ffi::c_int;
use std::ptr;

use iscsicore_ffi::command::*;
use iscsicore_ffi::link::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::payload::iscsicore_iovec;
use iscsicore_ffi::status::iscsicore_status as Status;

use crate::world::*;

/// A buffer that guards surround.
struct Guarded(Vec<u8>);

const GUARD: usize = 64;

impl Guarded {
    fn new(len: usize) -> Self {
        Guarded(vec![0xa5; len + 2 * GUARD])
    }

    fn give_to(&mut self, world: &mut World, command: *mut iscsicore_command) {
        let len = self.0.len() - 2 * GUARD;
        let base = self.0[GUARD..].as_mut_ptr();
        world.buffers.push((base as usize, len));
        // SAFETY: as C would.
        unsafe { ok(iscsicore_command_set_buffer(command, base.cast(), len)) };
    }

    #[track_caller]
    fn holds(&self, want: &[u8]) {
        let (front, rest) = self.0.split_at(GUARD);
        let (middle, back) = rest.split_at(rest.len() - GUARD);
        assert!(front.iter().chain(back).all(|byte| *byte == 0xa5), "bytes beyond the buffer");
        assert!(middle == want, "the buffer holds other bytes");
    }
}

const NO_DIGEST: c_int = 1;
const DIGEST: c_int = 4;

// Goal: what is read is in the buffer, and most of it was read straight there. Method: segments of several lengths, with
// and without digests, on wires that bring much or little at a time.
#[test]
fn payload_lands_in_the_buffer_without_a_copy() {
    for (digest, segment) in
        [(NO_DIGEST, 8192), (DIGEST, 8192), (NO_DIGEST, 65_536), (DIGEST, 65_536), (DIGEST, 262_144)]
    {
        for chunk in [1460, 4096, 100_000] {
            let mut options = Options::new();
            (options.offer.header_digest, options.offer.data_digest) = (digest, digest);
            options.offer.max_segment = segment;
            options.limits.slot_bytes = 4096;
            let mut world = World::up(&mut options);
            world.chunk = chunk;
            let len = 600 * BLOCK;
            let mut buffer = Guarded::new(len);
            let command = read_command(7, 600);
            buffer.give_to(&mut world, command);
            let end = world.done(command);
            assert_eq!((end.outcome, end.status, end.received), (iscsicore_outcome::Answered, 0, len as u32));
            assert!(end.data.is_empty());
            buffer.holds(&world.disk[7 * BLOCK..][..len]);
            // What arrives together with a header is copied. A wire that brings whole segments leaves no room for slots.
            let least = if chunk < segment as usize { len / 3 } else { 0 };
            assert!(world.placed > least, "{digest} {segment} {chunk}: {} of {len} bytes", world.placed);
        }
    }
}

#[test]
fn short_segments_are_copied_into_the_buffer() {
    let mut world = World::up(&mut Options::new());
    let mut buffer = Guarded::new(8 * BLOCK);
    let command = read_command(3, 8);
    buffer.give_to(&mut world, command);
    assert_eq!(world.done(command).received, 4096);
    buffer.holds(&world.disk[3 * BLOCK..][..8 * BLOCK]);
    assert_eq!(world.placed, 0);
}

#[test]
fn without_a_buffer_payload_is_collected() {
    let mut world = World::up(&mut Options::new());
    let end = world.done(read_command(100, 300));
    assert_eq!((end.status, end.received as usize), (0, 300 * BLOCK));
    assert!(end.data == world.disk[100 * BLOCK..][..300 * BLOCK]);
}

#[test]
fn a_buffer_has_room_for_all_that_may_come() {
    let mut world = World::up(&mut Options::new());
    let command = read_command(0, 2);
    let mut memory = vec![0u8; 1023];
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_command_set_buffer(command, memory.as_mut_ptr().cast(), 1023));
        assert_eq!(world.try_submit(command), Err(Status::InvalidArgument));
        assert_eq!(iscsicore_command_set_buffer(command, ptr::null_mut(), 5), Status::NullPointer);
        let beyond = isize::MAX as usize + 1;
        assert_eq!(
            iscsicore_command_set_buffer(command, memory.as_mut_ptr().cast(), beyond),
            Status::InvalidArgument
        );
        // Without one again.
        ok(iscsicore_command_set_buffer(command, ptr::null_mut(), 0));
    }
    assert_eq!(world.done(command).data.len(), 1024);
    assert_eq!(world.outstanding(), 0);
}

/// A world in which a long segment for `buffer` is under way, in part.
fn under_way(buffer: &mut Guarded, digest: c_int) -> (World, u64) {
    let mut options = Options::new();
    (options.offer.header_digest, options.offer.data_digest) = (digest, digest);
    let mut world = World::up(&mut options);
    // It meets the unit attention of a new nexus.
    assert_eq!(world.done(read_command(0, 1)).status, 0);
    let command = read_command(0, 400);
    buffer.give_to(&mut world, command);
    let task = world.submit(command);
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_free(command)) };
    world.deaf = true;
    world.run();
    world.chunk = 2000;
    let mut wire = world.wire.take().unwrap();
    while world.placed == 0 {
        assert!(world.read(&mut wire));
    }
    world.wire = Some(wire);
    (world, task)
}

/// Whether the next bytes go into the buffer, and how many slices there are.
fn next_is_placed(world: &mut World) -> (bool, usize, usize) {
    let mut slices: [iscsicore_iovec; 2] = zeroed();
    let mut count = 0;
    let rx = world.wire.as_ref().unwrap().rx;
    // SAFETY: as C would.
    unsafe { ok(iscsicore_nexus_want(world.nexus, rx, slices.as_mut_ptr(), 2, &mut count)) };
    let at = slices[0].iov_base as usize;
    let placed = world.buffers.iter().any(|(base, size)| (*base..base + size).contains(&at));
    (placed, count, slices[0].iov_len)
}

// Goal: a buffer that is the program's again is never written to, nor is the connection lost for it. Method: the command is
// cancelled in the middle of a segment, with and without digests, and the memory is filled with other bytes.
#[test]
fn after_a_cancel_the_rest_of_a_segment_goes_into_a_bin() {
    for digest in [NO_DIGEST, DIGEST] {
        let mut buffer = Guarded::new(400 * BLOCK);
        let (mut world, task) = under_way(&mut buffer, digest);
        assert!(next_is_placed(&mut world).0);
        // SAFETY: as C would.
        unsafe { ok(iscsicore_nexus_cancel(world.nexus, world.now, task)) };
        buffer.0[GUARD..GUARD + 400 * BLOCK].fill(0x77);
        let (placed, count, len) = next_is_placed(&mut world);
        assert!(!placed && count == 1 && len == 64 * 1024, "{placed} {count} {len}");
        world.deaf = false;
        world.placed = 0;
        world.run();
        assert_eq!(world.placed, 0);
        assert_eq!(world.take(|told| matches!(told, Told::Down { .. })), None);
        assert_eq!(world.outstanding(), 0);
        buffer.holds(&[0x77; 400 * BLOCK]);
        assert!(world.take(|told| matches!(told, Told::Completed(_))).is_none(), "nobody waits for its end");
        // The connection goes on.
        assert_eq!(world.done(read_command(1, 1)).status, 0);
    }
}

#[test]
fn more_than_was_wanted_cannot_be_told() {
    let mut buffer = Guarded::new(400 * BLOCK);
    let (mut world, task) = under_way(&mut buffer, DIGEST);
    let rx = world.wire.as_ref().unwrap().rx;
    // SAFETY: as C would.
    unsafe {
        assert_eq!(iscsicore_nexus_advance(world.nexus, rx, usize::MAX), Status::InvalidArgument);
        let (placed, _, len) = next_is_placed(&mut world);
        assert!(placed);
        assert_eq!(iscsicore_nexus_advance(world.nexus, rx, len + 513), Status::InvalidArgument);
        // The bin has less room than the slot.
        ok(iscsicore_nexus_cancel(world.nexus, world.now, task));
        assert_eq!(iscsicore_nexus_advance(world.nexus, rx, 64 * 1024 + 1), Status::InvalidArgument);
        // The other functions of the receiver do not know where the bytes belong.
        let (mut memory, mut room) = (ptr::null_mut(), 0);
        assert_eq!(iscsicore_receiver_want(rx, &mut memory, &mut room), Status::WrongState);
    }
}

// Goal: a receiver that was to be dropped, and is used on, does no harm to memory. Method: the receiver of a lost connection,
// in the middle of a segment, is offered to the nexus after the command was answered on the next connection, and while a
// command with a shorter buffer has taken its place.
#[test]
fn a_receiver_of_an_old_connection_gets_the_bin() {
    let mut buffer = Guarded::new(400 * BLOCK);
    let (mut world, task) = under_way(&mut buffer, DIGEST);
    let old = world.wire.as_ref().unwrap().rx;
    let mut fresh = ptr::null_mut();
    // SAFETY: as C would; `cut` frees the new receiver in place of the old one.
    unsafe { ok(iscsicore_receiver_new(ptr::null(), &mut fresh)) };
    world.wire.as_mut().unwrap().rx = fresh;
    world.lose();
    world.deaf = false;
    world.run();
    assert!(world.take(|told| matches!(told, Told::Up { again: true, .. })).is_some());
    assert_eq!(world.end_of(task).status, 0);
    buffer.holds(&world.disk[..400 * BLOCK]);
    world.buffers.clear();

    let mut short = Guarded::new(BLOCK);
    let command = read_command(9, 1);
    short.give_to(&mut world, command);
    world.hold = true;
    let other = world.submit(command);
    world.run();
    let mut slices: [iscsicore_iovec; 2] = zeroed();
    let mut count = 0;
    // SAFETY: as C would, but for the receiver, which is not the one of this connection.
    unsafe {
        ok(iscsicore_nexus_want(world.nexus, old, slices.as_mut_ptr(), 2, &mut count));
        assert_eq!((count, slices[0].iov_len), (1, 64 * 1024));
        slices[0].iov_base.cast::<u8>().write_bytes(0x11, slices[0].iov_len);
        ok(iscsicore_nexus_advance(world.nexus, old, slices[0].iov_len));
        ok(iscsicore_receiver_free(old));
    }
    short.holds(&[0xa5; BLOCK]);
    world.hold = false;
    world.run();
    assert_eq!(world.end_of(other).status, 0);
    short.holds(&world.disk[9 * BLOCK..][..BLOCK]);
    buffer.holds(&world.disk[..400 * BLOCK]);
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_free(command)) };
}

#[test]
fn one_slice_at_a_time_does_as_well() {
    let mut buffer = Guarded::new(400 * BLOCK);
    let (world, _) = under_way(&mut buffer, NO_DIGEST);
    let rx = world.wire.as_ref().unwrap().rx;
    let mut slice: iscsicore_iovec = zeroed();
    let mut count = 0;
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_nexus_want(world.nexus, rx, &mut slice, 1, &mut count));
        assert_eq!(count, 1);
        assert_eq!(iscsicore_nexus_want(world.nexus, rx, &mut slice, 0, &mut count), Status::InvalidArgument);
        assert_eq!(
            iscsicore_nexus_want(world.nexus, rx, ptr::null_mut(), 2, &mut count),
            Status::NullPointer
        );
    }
}

// Goal: a receiver of another nexus, whose tasks have the same names, does no harm to memory. Method: it wants to place more
// than the buffer of that name holds, and a part that lies behind its end.
#[test]
fn a_receiver_of_another_nexus_stays_within_the_buffer_or_gets_the_bin() {
    let mut long = Guarded::new(400 * BLOCK);
    let (other, name) = under_way(&mut long, NO_DIGEST);
    let foreign = other.wire.as_ref().unwrap().rx;
    for blocks in [1, 399] {
        let mut short = Guarded::new(blocks * BLOCK);
        let mut world = World::up(&mut Options::new());
        assert_eq!(world.done(read_command(0, 1)).status, 0);
        let command = read_command(0, blocks as u32);
        short.give_to(&mut world, command);
        assert_eq!(world.submit(command), name, "the same name");
        let mut slices: [iscsicore_iovec; 2] = zeroed();
        let mut count = 0;
        // SAFETY: as C would, but for the receiver, which is not one of this nexus.
        unsafe {
            ok(iscsicore_nexus_want(world.nexus, foreign, slices.as_mut_ptr(), 2, &mut count));
            let (at, len) = (slices[0].iov_base as usize, slices[0].iov_len);
            let (base, size) = world.buffers[0];
            assert!(!(base..base + size).contains(&at), "more than the buffer has is missing");
            assert_eq!((count, len), (1, 64 * 1024));
            slices[0].iov_base.cast::<u8>().write_bytes(0x11, len);
            ok(iscsicore_command_free(command));
        }
        short.holds(&vec![0xa5; blocks * BLOCK]);
    }
}
