//! One connection in the place of another.

use super::*;

/// A login that names a session.
fn login_to(tsih: u16, cid: u16) -> Bytes {
    use iscsicore::wire::{Cid, CmdSn, Isid, Itt, LoginRequest, Stage, StatSn, Tsih};
    let request = LoginRequest {
        transit: true,
        continued: false,
        csg: Stage::LoginOperationalNegotiation,
        nsg: Some(Stage::FullFeature),
        version_max: 0,
        version_min: 0,
        isid: Isid([0x80, 1, 2, 3, 4, 5]),
        tsih: Tsih(tsih),
        itt: Itt(1),
        cid: Cid(cid),
        cmd_sn: CmdSn(1),
        exp_stat_sn: StatSn(0),
    };
    let text =
        format!("InitiatorName=iqn.2001-04.com.example:initiator\0TargetName={TARGET}\0SessionType=Normal\0");
    let mut tx = iscsicore::link::Transmitter::new();
    tx.push(request.emit(), text.into_bytes().into());
    tx.copy_to_bytes(tx.remaining())
}

/// A login that is ready to join session `tsih`.
fn ready_to_join(tsih: u16) -> Near {
    let near = Near::new(0);
    assert_eq!(near.exchange(0, login_to(tsih, 0)).0, OK);
    assert!(matches!(near.event(), Some(Seen::Login { tsih: named, .. }) if named == tsih));
    assert_eq!(near.admit(|_| ()), OK);
    assert_eq!(near.exchange(0, Bytes::new()).0, OK);
    assert!(matches!(near.event(), Some(Seen::Ready { .. })));
    near
}

#[test]
fn a_connection_takes_the_place_of_another_and_its_login_is_spent() {
    let mut talk = Talk::established();
    submit(&mut talk, read(512));
    let task = talk.one_command();
    let session = talk.near.target;

    let stranger = ready_to_join(9);
    let early = Near::new(0);
    unsafe {
        let other = iscsicore_target_reinstate(session, 0, stranger.target);
        assert_eq!(other, Status::InvalidArgument, "another session");
        assert_eq!(iscsicore_target_refuse(stranger.target, 0x020a, null()), OK, "it waits on");
        assert_eq!(iscsicore_target_reinstate(session, 0, early.target), Status::WrongState);
        assert_eq!(iscsicore_target_reinstate(session, 0, session), Status::Busy);
        assert_eq!(iscsicore_target_reinstate(session, 0, null_mut()), Status::NullPointer);
        assert_eq!(iscsicore_target_reinstate(early.target, 0, stranger.target), Status::WrongState);
    }

    let mut login = ready_to_join(1);
    assert_eq!(unsafe { iscsicore_target_reinstate(session, 0, login.target) }, OK);
    assert_eq!(talk.near.events(), [Seen::Abort { task }]);
    assert_spent(&login);
    // The session goes on with the halves of the new connection.
    std::mem::swap(&mut talk.near.rx, &mut login.rx);
    std::mem::swap(&mut talk.near.tx, &mut login.tx);
    let answer = talk.near.sent(0);
    assert_eq!((answer[0] & 0x3f, &answer[36..38]), (0x23, &[0, 0][..]), "a login response of success");
    assert_eq!(answer[14..16], [0, 1], "its tsih");
    assert_eq!(complete(&talk, task, 0), OK);
    assert_eq!(talk.near.event(), None, "the session lives");
    let mut count = 1;
    assert_eq!(unsafe { iscsicore_target_outstanding(session, &mut count) }, OK);
    assert_eq!(count, 0);

    // Once the session is over nothing can join it.
    assert_eq!(unsafe { iscsicore_target_terminate(session, 0) }, OK);
    let late = ready_to_join(1);
    assert_eq!(unsafe { iscsicore_target_reinstate(session, 0, late.target) }, Status::WrongState);
    // It waits still, to be told so.
    let unavailable = iscsicore_login_status::ServiceUnavailable as core::ffi::c_int;
    assert_eq!(unsafe { iscsicore_target_refuse(late.target, unavailable, c"gone".as_ptr()) }, OK);
}

// Goal: a session that was lost waits as long as was agreed, and goes on with another connection. Method: lose the transport,
// then log in to the session; in a second run let the time pass.
#[test]
fn a_session_that_was_lost_waits_for_a_connection() {
    for in_time in [true, false] {
        let mut login = config(Some(TARGET));
        login.offer.time2retain = 20;
        let mut talk = Talk::new(login);
        talk.run();
        let mut offer: iscsicore_ffi::limits::iscsicore_offer = unsafe { std::mem::zeroed() };
        (offer.size, offer.time2retain) = (size_of_val(&offer), 10);
        assert_eq!(talk.near.admit(|terms| terms.offer = &offer), OK);
        talk.run();
        let (session, mut at) = (talk.near.target, 0);
        unsafe {
            assert_eq!(iscsicore_target_establish(session, 0, 1), OK);
            talk.run();
            assert_eq!(iscsicore_target_lost(session, 0), OK);
            assert_eq!(talk.near.event(), None, "it waits");
            assert_eq!(iscsicore_target_timeout(session, &mut at), OK);
            assert_eq!(at, 10 * talk::SECOND);
            if in_time {
                let other = ready_to_join(1);
                assert_eq!(iscsicore_target_reinstate(session, 5 * talk::SECOND, other.target), OK);
            }
            assert_eq!(iscsicore_target_handle_timeout(session, at), OK);
        }
        let ended = Seen::Ended { reason: Reason::ConnectionLost, status: 0, text: None };
        assert_eq!(talk.near.events().contains(&ended), !in_time);
    }
}

fn assert_spent(login: &Near) {
    let (target, mut number, mut size, mut event, mut counters) = (login.target, 0, 0, null(), null());
    let mut parameters = iscsicore_parameters::default();
    let all = unsafe {
        [
            iscsicore_target_receive(target, 0, login.rx),
            iscsicore_target_transmit(target, 0, login.tx),
            iscsicore_target_lost(target, 0),
            iscsicore_target_timeout(target, &mut number),
            iscsicore_target_handle_timeout(target, 0),
            iscsicore_target_next_event(target, &mut event),
            login.admit(|_| ()),
            iscsicore_target_refuse(target, 0x0300, null()),
            iscsicore_target_redirect(target, 0, c("192.0.2.9").as_ptr()),
            iscsicore_target_establish(target, 0, 1),
            iscsicore_target_terminate(target, 0),
            iscsicore_target_request_logout(target, 0, 0),
            iscsicore_target_parameters(target, &mut parameters),
            iscsicore_target_counters(target, &mut counters),
            iscsicore_target_outstanding(target, &mut size),
            iscsicore_target_accept(target, 1, 1),
            iscsicore_target_abort_tasks(target, 0, 0, 0, 0, &mut number),
        ]
    };
    assert!(all.iter().all(|status| *status == Status::WrongState), "{all:?}");
}
