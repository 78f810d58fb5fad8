//! Payload on its way out, and whose it is.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use iscsicore_ffi::command::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::payload::iscsicore_payload;
use iscsicore_ffi::status::iscsicore_status as Status;

use crate::world::*;

unsafe extern "C" fn count(context: *mut c_void) {
    // SAFETY: the context is a counter that outlives the loan.
    unsafe { &*context.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
}

fn write_command(lba: u64, payload: &iscsicore_payload) -> Result<*mut iscsicore_command, Status> {
    let mut command = ptr::dangling_mut();
    // SAFETY: as C would.
    match unsafe { iscsicore_command_write(0, lba, payload, BLOCK as u32, &mut command) } {
        Status::Ok => Ok(command),
        status => {
            assert!(command.is_null());
            Err(status)
        }
    }
}

// Goal: lent payload is the library's until the answer has come and the command was freed, and is given back once.
#[test]
fn lent_payload_is_given_back_once_and_after_the_answer() {
    let released = AtomicUsize::new(0);
    let given_back = || released.load(Ordering::Relaxed);
    let data: Vec<u8> = (0..700 * BLOCK).map(|at| (at / 5) as u8).collect();
    let (front, back) = data.split_at(1000);
    let slices = [iovec(front), iovec(&[]), iovec(back)];
    let context = (&raw const released).cast_mut().cast();
    let payload = iscsicore_payload { release: Some(count), context, ..copied(&slices) };
    let mut world = World::up(&mut Options::new());
    let command = write_command(20, &payload).unwrap();
    world.hold = true;
    let task = world.submit(command);
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_free(command)) };
    world.run();
    assert_eq!(given_back(), 0, "the target has not answered");
    world.hold = false;
    world.run();
    assert_eq!(world.end_of(task).status, 0);
    assert!(world.disk[20 * BLOCK..][..data.len()] == data);
    drop(world);
    assert_eq!(given_back(), 1);
}

#[test]
fn a_command_can_be_submitted_again_and_keeps_its_loan() {
    let released = AtomicUsize::new(0);
    let data = vec![0x42; 4 * BLOCK];
    let slices = [iovec(&data)];
    let context = (&raw const released).cast_mut().cast();
    let payload = iscsicore_payload { release: Some(count), context, ..copied(&slices) };
    let mut world = World::up(&mut Options::new());
    let command = write_command(0, &payload).unwrap();
    for _ in 0..3 {
        world.disk[..4 * BLOCK].fill(0);
        let task = world.submit(command);
        world.run();
        assert_eq!(world.end_of(task).status, 0);
        assert!(world.disk[..4 * BLOCK] == data);
    }
    assert_eq!(released.load(Ordering::Relaxed), 0);
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_free(command)) };
    world.run();
    assert_eq!(released.load(Ordering::Relaxed), 1);
}

#[test]
fn nothing_is_lent_by_a_call_that_fails() {
    let released = AtomicUsize::new(0);
    let data = vec![0; 100];
    let slices = [iovec(&data)];
    let context = (&raw const released).cast_mut().cast();
    let payload = iscsicore_payload { release: Some(count), context, ..copied(&slices) };
    assert_eq!(write_command(0, &payload), Err(Status::InvalidArgument), "no whole block");
    let mut world = World::new(&mut Options::new());
    let mut request = 5;
    // SAFETY: as C would.
    unsafe {
        assert_eq!(iscsicore_nexus_ping(world.nexus, 0, &payload, &mut request), Status::WrongState);
    }
    assert_eq!((released.load(Ordering::Relaxed), request), (0, 5));
    world.run();
}

struct Caller {
    nexus: *mut iscsicore_nexus,
    answer: Option<Status>,
}

unsafe extern "C" fn call_back(context: *mut c_void) {
    // SAFETY: the context is a caller that outlives the loan.
    let caller = unsafe { &mut *context.cast::<Caller>() };
    // SAFETY: as C might.
    caller.answer = Some(unsafe { iscsicore_nexus_end(caller.nexus, 0) });
}

#[test]
fn a_release_that_calls_back_finds_the_nexus_busy() {
    let data = vec![0x44; BLOCK];
    let slices = [iovec(&data)];
    let mut world = World::up(&mut Options::new());
    let mut caller = Caller { nexus: world.nexus, answer: None };
    let context = (&raw mut caller).cast();
    let payload = iscsicore_payload { release: Some(call_back), context, ..copied(&slices) };
    assert_eq!(world.done(write_command(5, &payload).unwrap()).status, 0);
    assert_eq!(caller.answer, Some(Status::Busy));
    assert_eq!(world.done(read_command(5, 1)).data, data, "nothing has ended");
}

#[test]
fn copied_payload_may_change_after_the_call() {
    let mut data = vec![0x11; BLOCK];
    let command = write_command(5, &copied(&[iovec(&data)])).unwrap();
    data.fill(0x22);
    let mut world = World::up(&mut Options::new());
    assert_eq!(world.done(command).status, 0);
    assert!(world.disk[5 * BLOCK..][..BLOCK].iter().all(|byte| *byte == 0x11));
}

#[test]
fn an_end_without_an_answer_gives_back_as_well() {
    let released = AtomicUsize::new(0);
    let data = vec![0x33; 300 * BLOCK];
    let slices = [iovec(&data)];
    let context = (&raw const released).cast_mut().cast();
    let payload = iscsicore_payload { release: Some(count), context, ..copied(&slices) };
    let mut world = World::up(&mut Options::new());
    world.hold = true;
    let command = write_command(5, &payload).unwrap();
    let task = world.submit(command);
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_free(command)) };
    world.run();
    // SAFETY: as C would.
    unsafe { ok(iscsicore_nexus_end(world.nexus, world.now)) };
    world.run();
    let end = world.end_of(task);
    assert_eq!(
        (end.outcome, end.cause),
        (iscsicore_outcome::Unknown, iscsicore_cause::SessionEnded),
        "it was sent"
    );
    assert!(matches!(
        world.told.back(),
        Some(Told::Ended { reason: iscsicore_nexus_end_reason::Wanted, .. })
    ));
    drop(world);
    assert_eq!(released.load(Ordering::Relaxed), 1);
}
