//! Commands and other requests: their ends, their names, and their bounds.

use std::ffi::c_int;
use std::ptr;

use iscsicore_ffi::codes::*;
use iscsicore_ffi::command::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::payload::iscsicore_iovec;
use iscsicore_ffi::status::iscsicore_status as Status;

use crate::world::*;

#[test]
fn discovery_tells_targets_and_takes_no_commands() {
    let mut options = Options::new();
    options.options.target = ptr::null();
    let mut world = World::up(&mut options);
    let mut request = 0;
    // SAFETY: as C would.
    unsafe { ok(iscsicore_nexus_send_targets(world.nexus, world.now, ptr::null(), &mut request)) };
    let mut other = 0;
    // SAFETY: as C would.
    unsafe {
        let again = iscsicore_nexus_send_targets(world.nexus, world.now, ptr::null(), &mut other);
        assert_eq!((again, other), (Status::WrongState, 0), "one question at a time");
    }
    world.run();
    let want = vec![(TARGET.to_owned(), vec![("192.0.2.1:3260".to_owned(), 1)])];
    let cause = iscsicore_cause::None;
    assert!(world.told.contains(&Told::Targets { request, cause, targets: want }), "{:?}", world.told);
    let command = read_command(0, 1);
    assert_eq!(world.try_submit(command), Err(Status::WrongState));
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_command_free(command));
        let status = iscsicore_nexus_send_targets(world.nexus, world.now, c"a\x01b".as_ptr(), &mut request);
        assert_eq!(status, Status::InvalidArgument);
        ok(iscsicore_nexus_send_targets(
            world.nexus,
            world.now,
            c"iqn.2001-04.com.example:no".as_ptr(),
            &mut request,
        ));
    }
    world.run();
    assert!(world.told.contains(&Told::Targets { request, cause, targets: vec![] }), "{:?}", world.told);
}

#[test]
fn a_normal_session_may_ask_for_its_own_target() {
    let mut world = World::up(&mut Options::new());
    let mut request = 0;
    // SAFETY: as C would.
    unsafe { ok(iscsicore_nexus_send_targets(world.nexus, world.now, ptr::null(), &mut request)) };
    world.run();
    let told = world.take(|told| matches!(told, Told::Targets { .. })).unwrap();
    let Told::Targets { request: answered, targets, .. } = told else { unreachable!() };
    assert_eq!((answered, &targets[0].0[..], targets.len()), (request, TARGET, 1));
}

#[test]
fn a_ping_brings_its_payload_back() {
    let mut world = World::up(&mut Options::new());
    let slices = [iovec(b"is there "), iovec(b"anybody")];
    let mut requests = [0; 2];
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_nexus_ping(world.nexus, world.now, &copied(&slices), &mut requests[0]));
        ok(iscsicore_nexus_ping(world.nexus, world.now, ptr::null(), &mut requests[1]));
    }
    world.run();
    let cause = iscsicore_cause::None;
    let pong = |request, data: &[u8]| Told::Pong { request, cause, data: data.to_vec() };
    assert!(world.told.contains(&pong(requests[0], b"is there anybody")), "{:?}", world.told);
    assert!(world.told.contains(&pong(requests[1], b"")));
}

#[test]
fn an_aborted_command_ends_once_and_its_name_is_stale() {
    let mut world = World::up(&mut Options::new());
    assert_eq!(world.done(read_command(0, 1)).status, 0);
    world.hold = true;
    let command = read_command(0, 4);
    let (sent, task) = (world.submit(command), world.submit(command));
    world.run();
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_command_free(command));
        ok(iscsicore_nexus_abort(world.nexus, world.now, task));
    }
    // The storage answers the other one.
    world.run();
    world.hold = false;
    world.run();
    assert_eq!(world.end_of(sent).status, 0);
    assert_eq!(world.end_of(task).outcome, iscsicore_outcome::Aborted);
    for stale in [0, task, sent, u64::MAX, 1, task + (1 << 32)] {
        // SAFETY: as C would.
        unsafe {
            assert_eq!(iscsicore_nexus_abort(world.nexus, world.now, stale), Status::Unknown);
            ok(iscsicore_nexus_cancel(world.nexus, world.now, stale));
        }
    }
    assert_eq!(world.outstanding(), 0);
}

#[test]
fn task_management_is_answered() {
    let mut world = World::up(&mut Options::new());
    assert_eq!(world.done(read_command(0, 1)).status, 0);
    world.hold = true;
    let command = read_command(0, 4);
    let task = world.submit(command);
    world.run();
    let mut request = 0;
    let reset = iscsicore_task_management_function::LogicalUnitReset as c_int;
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_command_free(command));
        ok(iscsicore_nexus_task_management(world.nexus, world.now, reset, 0, &mut request));
    }
    world.run();
    world.hold = false;
    world.run();
    let (cause, result) = (iscsicore_cause::None, iscsicore_task_management_result::Complete as u8);
    assert!(world.told.contains(&Told::TaskManagementDone { request, cause, result }), "{:?}", world.told);
    assert_eq!(world.end_of(task).outcome, iscsicore_outcome::Aborted);
    // The unit tells of it; the read that meets the condition is sent again.
    assert_eq!(world.done(read_command(0, 1)).status, 0);
    let attention = world.take(
        |told| matches!(told, Told::UnitAttention { lun: 0, sense } if sense[2] == 6 && sense[12] == 0x29),
    );
    assert!(attention.is_some(), "{:?}", world.told);
    // SAFETY: as C would.
    unsafe {
        for bad in [-1, 0, 13, 255, 256 + 5] {
            let status = iscsicore_nexus_task_management(world.nexus, world.now, bad, 0, &mut request);
            assert_eq!(status, Status::InvalidArgument, "{bad}");
        }
        // Those that name a task.
        for bad in [1, 8, 9] {
            let status = iscsicore_nexus_task_management(world.nexus, world.now, bad, 0, &mut request);
            assert_ne!(status, Status::Ok, "{bad}");
        }
    }
}

#[test]
fn a_full_queue_says_so_and_when_there_is_room_again() {
    let mut options = Options::new();
    options.limits.queue_depth = 2;
    let mut world = World::up(&mut options);
    world.hold = true;
    let command = read_command(0, 1);
    let tasks = [world.submit(command), world.submit(command)];
    assert_eq!(world.try_submit(command), Err(Status::QueueFull));
    world.run();
    assert!(world.take(|told| *told == Told::RoomAgain).is_none());
    world.hold = false;
    world.run();
    assert!(world.take(|told| *told == Told::RoomAgain).is_some());
    for task in tasks {
        assert_eq!(world.end_of(task).status, 0);
    }
    assert_eq!(world.done(command).status, 0);
}

#[test]
fn sense_data_come_with_the_answer() {
    let mut world = World::up(&mut Options::new());
    let end = world.done(read_command(BLOCKS as u64, 1));
    assert_eq!((end.outcome, end.status), (iscsicore_outcome::Answered, 2));
    assert_eq!((end.sense[2], end.sense[12], end.residual), (5, 0x21, -(BLOCK as i64)));
}

#[test]
fn a_command_has_its_time() {
    let mut world = World::up(&mut Options::new());
    world.hold = true;
    let command = read_command(0, 1);
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_set_timeout(command, 5_000_000_000)) };
    let (task, begun) = (world.submit(command), world.now);
    world.run();
    while world.now < begun + 5_000_000_000 {
        assert!(world.take(|told| matches!(told, Told::Completed(_))).is_none());
        world.wait();
    }
    let end = world.end_of(task);
    assert_eq!((end.outcome, end.cause), (iscsicore_outcome::Unknown, iscsicore_cause::TimedOut));
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_free(command)) };
}

#[test]
fn requests_need_a_connection() {
    let world = World::new(&mut Options::new());
    let mut request = 3;
    // SAFETY: as C would.
    unsafe {
        let status = iscsicore_nexus_task_management(world.nexus, 0, 5, 0, &mut request);
        assert_eq!(status, Status::WrongState);
        let status = iscsicore_nexus_send_targets(world.nexus, 0, ptr::null(), &mut request);
        assert_eq!(status, Status::WrongState);
    }
    assert_eq!(request, 3);
}

#[test]
fn null_is_told_and_changes_nothing() {
    let mut world = World::up(&mut Options::new());
    let wire = world.wire.as_ref().unwrap();
    let (nexus, rx, tx) = (world.nexus, wire.rx, wire.tx);
    let none = ptr::null_mut();
    let command = read_command(0, 1);
    let (mut number, mut count) = (0, 0);
    let mut slices: [iscsicore_iovec; 2] = zeroed();
    // SAFETY: as C would, with the pointers that it has forgotten.
    let answers = unsafe {
        [
            iscsicore_nexus_new(ptr::null(), [0; 32].as_ptr(), 0, &mut ptr::null_mut()),
            iscsicore_nexus_next_event(none, &mut ptr::null()),
            iscsicore_nexus_next_event(nexus, ptr::null_mut()),
            iscsicore_nexus_connected(none, 0),
            iscsicore_nexus_dial_failed(nexus, 0, ptr::null()),
            iscsicore_nexus_want(nexus, ptr::null_mut(), slices.as_mut_ptr(), 2, &mut count),
            iscsicore_nexus_want(nexus, rx, slices.as_mut_ptr(), 2, ptr::null_mut()),
            iscsicore_nexus_advance(none, rx, 0),
            iscsicore_nexus_advance(nexus, ptr::null_mut(), 0),
            iscsicore_nexus_receive(nexus, 0, ptr::null_mut()),
            iscsicore_nexus_transmit(none, 0, tx),
            iscsicore_nexus_transmit(nexus, 0, ptr::null_mut()),
            iscsicore_nexus_lost(none, 0, 0),
            iscsicore_nexus_timeout(nexus, ptr::null_mut()),
            iscsicore_nexus_handle_timeout(none, 0),
            iscsicore_nexus_reconnect(none, 0),
            iscsicore_nexus_logout(none, 0),
            iscsicore_nexus_end(none, 0),
            iscsicore_nexus_is_up(nexus, ptr::null_mut()),
            iscsicore_nexus_window(nexus, ptr::null_mut()),
            iscsicore_nexus_outstanding(nexus, ptr::null_mut()),
            iscsicore_nexus_parameters(nexus, ptr::null_mut()),
            iscsicore_nexus_submit(nexus, 0, ptr::null(), &mut number),
            iscsicore_nexus_submit(nexus, 0, command, ptr::null_mut()),
            iscsicore_nexus_submit(none, 0, command, &mut number),
            iscsicore_nexus_abort(none, 0, 1),
            iscsicore_nexus_cancel(none, 0, 1),
            iscsicore_nexus_task_management(nexus, 0, 5, 0, ptr::null_mut()),
            iscsicore_nexus_send_targets(nexus, 0, ptr::null(), ptr::null_mut()),
            iscsicore_nexus_ping(nexus, 0, ptr::null(), ptr::null_mut()),
        ]
    };
    for (at, status) in answers.into_iter().enumerate() {
        assert_eq!(status, Status::NullPointer, "call {at}");
    }
    assert_eq!(world.outstanding(), 0);
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_nexus_free(ptr::null_mut()));
        ok(iscsicore_command_free(ptr::null_mut()));
    }
    assert_eq!(world.done(command).status, 0, "it is as good as before");
}
