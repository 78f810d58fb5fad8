//! Calls that are wrong: a status each, and nothing changes.

use std::ffi::c_void;

use iscsicore_ffi::target::event::iscsicore_target_event;

use super::*;

#[test]
fn no_pointer_is_followed_that_is_null() {
    let (near, mut number, mut size) = (Near::new(0), 0, 0);
    let (target, no_target) = (near.target, null_mut());
    let (mut event, mut counters, mut kept) = (null(), null(), null_mut());
    let mut parameters = iscsicore_parameters::default();
    let all = unsafe {
        [
            iscsicore_target_new(null(), null(), 0, &mut { null_mut() }),
            iscsicore_target_new(null(), [0; 32].as_ptr(), 0, null_mut()),
            iscsicore_target_receive(no_target, 0, near.rx),
            iscsicore_target_receive(target, 0, null_mut()),
            iscsicore_target_transmit(no_target, 0, near.tx),
            iscsicore_target_transmit(target, 0, null_mut()),
            iscsicore_target_lost(no_target, 0),
            iscsicore_target_timeout(no_target, &mut number),
            iscsicore_target_timeout(target, null_mut()),
            iscsicore_target_handle_timeout(no_target, 0),
            iscsicore_target_next_event(no_target, &mut event),
            iscsicore_target_next_event(target, null_mut()),
            iscsicore_target_request_logout(no_target, 0, 0),
            iscsicore_target_terminate(no_target, 0),
            iscsicore_target_parameters(no_target, &mut parameters),
            iscsicore_target_parameters(target, null_mut()),
            iscsicore_target_outstanding(no_target, &mut size),
            iscsicore_target_outstanding(target, null_mut()),
            iscsicore_target_counters(no_target, &mut counters),
            iscsicore_target_counters(target, null_mut()),
            iscsicore_target_admit(no_target, null()),
            iscsicore_target_refuse(no_target, 0x0300, null()),
            iscsicore_target_redirect(no_target, 0, null()),
            iscsicore_target_establish(no_target, 0, 1),
            iscsicore_target_reinstate(no_target, 0, target),
            iscsicore_target_accept(no_target, 1, 1),
            iscsicore_target_send_data(no_target, 1, null()),
            iscsicore_target_complete(no_target, 1, 0, null(), 0, 0),
            iscsicore_target_complete_with(no_target, 1, null(), 0, null(), 0, 0),
            iscsicore_target_notify_sense(no_target, 0, SENSE.as_ptr(), 18),
            iscsicore_target_answer_task_management(no_target, 1, 0),
            iscsicore_target_answer_send_targets(no_target, 1, null(), 0),
            iscsicore_target_answer_send_targets(target, 1, null(), 1),
            iscsicore_target_abort_tasks(no_target, 0, 0, 0, 0, &mut number),
            iscsicore_target_keep_data(no_target, &mut kept),
            iscsicore_target_keep_data(target, null_mut()),
            iscsicore_lun(0, null_mut()),
            iscsicore_lun_number(0, null_mut()),
        ]
    };
    assert!(all.iter().all(|status| *status == Status::NullPointer), "{all:?}");
    assert_eq!(unsafe { iscsicore_target_free(null_mut()) }, OK);
}

#[test]
fn a_login_is_no_session_and_a_session_no_login() {
    let (near, mut abort, mut counters) = (Near::new(0), 0, null());
    let (target, lent) = (near.target, &mut Lent::new(b"payload"));
    let of_session = |target| unsafe {
        [
            iscsicore_target_accept(target, 1, 1),
            iscsicore_target_complete(target, 1, 0, null(), 0, 0),
            iscsicore_target_answer_task_management(target, 1, 0),
            iscsicore_target_answer_send_targets(target, 1, null(), 0),
        ]
    };
    assert_eq!(of_session(target), [Status::WrongState; 4]);
    unsafe {
        assert_eq!(iscsicore_target_terminate(target, 0), Status::WrongState);
        assert_eq!(iscsicore_target_request_logout(target, 0, 0), Status::WrongState);
        assert_eq!(iscsicore_target_counters(target, &mut counters), Status::WrongState);
        assert_eq!(iscsicore_target_abort_tasks(target, 0, 0, 0, 0, &mut abort), Status::WrongState);
        assert_eq!(iscsicore_target_notify_sense(target, 0, SENSE.as_ptr(), 18), Status::WrongState);
        assert_eq!(iscsicore_target_send_data(target, 1, &lent.payload()), Status::WrongState);
        assert_eq!(*lent.given_back, 0, "nothing was lent");
    }
    let talk = Talk::established();
    let target = talk.near.target;
    assert_eq!(of_session(target), [Status::Unknown; 4]);
    assert_eq!(talk.near.admit(|_| ()), Status::WrongState);
    unsafe {
        assert_eq!(iscsicore_target_refuse(target, 0x0300, null()), Status::WrongState);
        assert_eq!(iscsicore_target_redirect(target, 0, c("192.0.2.9").as_ptr()), Status::WrongState);
        for task in [0, 1, u64::MAX] {
            let sent = iscsicore_target_send_data(target, task, &lent.payload());
            assert_eq!((sent, *lent.given_back), (Status::Unknown, 0));
        }
    }
}

/// What a callback that calls back was answered.
struct CallsBack {
    target: *mut iscsicore_target,
    answers: Vec<Status>,
}

unsafe extern "C" fn call_back(context: *mut c_void) {
    let context = unsafe { &mut *context.cast::<CallsBack>() };
    let mut event: *const iscsicore_target_event = null();
    let answer = unsafe { iscsicore_target_next_event(context.target, &mut event) };
    context.answers.push(answer);
}

#[test]
fn a_release_that_calls_back_finds_the_target_busy() {
    let mut talk = Talk::established();
    submit(&mut talk, read(4096));
    let task = talk.one_command();
    let mut context = CallsBack { target: talk.near.target, answers: Vec::new() };
    let mut lent = Lent::new(&[1; 1024]);
    let mut payload = lent.payload();
    payload.release = Some(call_back);
    payload.context = (&raw mut context).cast();
    unsafe { assert_eq!(iscsicore_target_send_data(talk.near.target, task, &payload), OK) };
    // Never transmitted: the target gives it back when it is freed.
    drop(talk);
    assert_eq!(context.answers, [Status::Busy]);
}

#[test]
fn luns_are_numbers_of_14_bits_in_two_encodings() {
    let (mut lun, mut number) = (0, 0);
    unsafe {
        for (plain, written) in [(0, 0), (255, 0xff << 48), (256, 0x4100 << 48), (16383, 0x7fff << 48)] {
            assert_eq!(iscsicore_lun(plain, &mut lun), OK);
            assert_eq!(lun, written);
            assert_eq!(iscsicore_lun_number(lun, &mut number), OK);
            assert_eq!(number, plain);
        }
        assert_eq!(iscsicore_lun_number(0x4005 << 48, &mut number), OK);
        assert_eq!(number, 5);
        assert_eq!(iscsicore_lun(16384, &mut lun), Status::InvalidArgument);
        for other in [1, 0xc101 << 48, 0x0105 << 48] {
            assert_eq!(iscsicore_lun_number(other, &mut number), Status::InvalidArgument);
        }
    }
}
