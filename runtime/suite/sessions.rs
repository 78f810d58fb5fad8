//! How sessions and connections begin anew, and how they end.

use std::time::{Duration, Instant};

use crate::platform::backend::{Backend, Kind};
use iscsicore::wire::{AsyncEvent, AsyncMessage, LoginStatus, Opcode, Tsih};

use crate::support::initiator::{Login, Raw, Session};
use crate::support::serving::{Serving, TARGET, WHILE};

/// Sends a login and leaves its answer for later.
fn start_login(serving: &Serving, login: &Login) -> Raw {
    let mut raw = Raw::connect(serving.address);
    let (bhs, text) = login.request();
    raw.send(bhs, text);
    raw
}

fn is_unanswered(raw: &mut Raw) -> bool {
    raw.receive_within(WHILE).is_none()
}

#[test]
fn a_session_is_reinstated_once_nothing_of_the_old_one_is_left() {
    let serving = Serving::new();
    let mut old = serving.login("again");
    let gate = serving.hold(Kind::Write, 0);
    old.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let login = Login::to(TARGET, "again");
    let mut raw = start_login(&serving, &login);
    assert!(is_unanswered(&mut raw), "the old session's write is in the storage");
    assert!(old.next_pdu().is_none(), "the old connection is closed without a word");
    gate.open();
    let mut new = Session::finish_login(raw, &login).unwrap();
    assert!(new.tsih != Tsih::NEW && new.tsih != old.tsih);
    assert_eq!(new.test_unit_ready(0).sense, Some((6, 0x29, 7)), "I_T NEXUS LOSS OCCURRED");
    new.write(0, 0, &[2; 512]);
    std::thread::sleep(WHILE);
    assert_eq!(serving.bytes(0, 512), [2; 512], "the old write came before");
    assert_eq!(serving.session_count(), 1);
}

/// While a login waits for the old session to end, its initiator loses patience and tries again, several times.
#[test]
fn a_reinstatement_is_itself_reinstated() {
    let serving = Serving::new();
    let mut old = serving.login("impatient");
    let gate = serving.hold(Kind::Write, 0);
    old.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let login = Login::to(TARGET, "impatient");
    let mut tries: Vec<Raw> = Vec::new();
    for _ in 0..5 {
        let mut raw = start_login(&serving, &login);
        let early = raw.receive_within(WHILE);
        assert!(early.is_none(), "the write is still in the storage: {early:?}");
        tries.push(raw);
    }
    let last = tries.pop().unwrap();
    for mut raw in tries {
        assert!(raw.receive().is_none(), "a login that was overtaken is closed");
    }
    gate.open();
    let mut new = Session::finish_login(last, &login).unwrap();
    new.clear_attention(0);
    new.write(0, 0, &[2; 512]);
    std::thread::sleep(WHILE);
    assert_eq!(serving.bytes(0, 512), [2; 512]);
    assert_eq!(serving.session_count(), 1);
}

#[test]
fn many_logins_of_one_name_at_once_leave_one_session() {
    let serving = Serving::new();
    let address = serving.address;
    for _ in 0..5 {
        let logins: Vec<_> = (0..16)
            .map(|_| std::thread::spawn(move || Session::login_only(address, &Login::to(TARGET, "crowd"))))
            .collect();
        let mut sessions: Vec<_> = logins.into_iter().filter_map(|l| l.join().ok()).flatten().collect();
        serving.wait_for_sessions(1);
        // Exactly one of them is alive, and the unit knows its nexus: a reset's unit attention reaches it.
        let mut other = serving.login("resetter");
        let reset = other.start_management(
            iscsicore::wire::TaskManagementFunction::LogicalUnitReset,
            0,
            iscsicore::wire::Itt::RESERVED,
        );
        other.management_result(reset);
        let mut alive = 0;
        for session in &mut sessions {
            let itt = session.start_in_if_open(0);
            if let Some(pdu) = session.next_pdu() {
                assert_eq!((pdu.bhs.itt(), pdu.bhs.0[3]), (itt, 2), "a unit attention waits");
                alive += 1;
            }
        }
        assert_eq!(alive, 1);
        drop(sessions);
        other.logout();
        serving.wait_for_sessions(0);
    }
}

// covers: 7143-11.14.5-1
#[test]
fn a_connection_is_reinstated_once_the_tasks_of_the_old_one_have_ended() {
    let serving = Serving::new();
    let mut old = serving.login("reconnect");
    let gate = serving.hold(Kind::Write, 0);
    old.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let login = Login::to(TARGET, "reconnect").rejoin(&old);
    let mut raw = start_login(&serving, &login);
    assert!(is_unanswered(&mut raw), "a write of the old connection must not land on one of the new");
    assert!(old.next_pdu().is_none());
    gate.open();
    let mut new = Session::finish_login(raw, &login).unwrap();
    assert_eq!(new.tsih, old.tsih);
    assert_eq!(
        new.test_unit_ready(0).sense,
        Some((6, 0x47, 0x7f)),
        "COMMANDS CLEARED BY ISCSI PROTOCOL EVENT"
    );
    assert_eq!(new.test_unit_ready(0).sense, None, "once");
    new.write(0, 0, &[2; 512]);
    std::thread::sleep(WHILE);
    assert_eq!(serving.bytes(0, 512), [2; 512]);
    assert_eq!(serving.session_count(), 1);
    new.logout();
}

// covers: 7143-11.12.6-4
#[test]
fn a_login_for_a_session_that_is_not_there_is_refused() {
    let serving = Serving::new();
    let session = serving.login("tsih");
    let login = Login::to(TARGET, "tsih").rejoin(&session);
    let login = Login { tsih: Tsih(session.tsih.0 ^ 0x55), ..login };
    let refused = Session::login_only(serving.address, &login);
    assert_eq!(refused.err(), Some(LoginStatus::SESSION_DOES_NOT_EXIST));
    let other = Login::to(TARGET, "somebody-else").rejoin(&session);
    let refused = Session::login_only(serving.address, &other);
    assert_eq!(refused.err(), Some(LoginStatus::SESSION_DOES_NOT_EXIST));
}

// covers: 7143-11.14-4 7143-11.15-1
#[test]
fn logout_is_answered_when_the_tasks_have_ended() {
    let serving = Serving::new();
    let mut session = serving.login("logout");
    let gate = serving.hold(Kind::Write, 0);
    let write = session.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let logout = session.start_logout();
    assert!(session.is_silent_about(logout, WHILE), "a write is in the storage");
    gate.open();
    let mut answers = Vec::new();
    while let Some(pdu) = session.next_pdu() {
        answers.push((pdu.bhs.itt(), pdu.bhs.opcode()));
    }
    assert_eq!(answers, [(logout, Opcode::LogoutResponse)], "the write is terminated, not answered");
    assert!(!answers.iter().any(|(itt, _)| *itt == write));
    serving.wait_for_sessions(0);
}

#[test]
fn a_lost_connection_ends_its_session_when_its_storage_is_done() {
    let serving = Serving::new();
    let mut session = serving.login("lost");
    let gate = serving.hold(Kind::Write, 0);
    session.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    drop(session);
    std::thread::sleep(WHILE);
    assert_eq!(serving.session_count(), 1, "its write is in the storage");
    let mut bystander = serving.login("bystander");
    bystander.write(0, 8, &[8; 512]);
    gate.open();
    serving.wait_for_sessions(1);
    assert_eq!(serving.bytes(0, 512), [1; 512], "what storage had begun is whole");
    // The same name comes back as if nothing had been.
    let mut again = Session::login_only(serving.address, &Login::to(TARGET, "lost")).unwrap();
    assert_eq!(again.test_unit_ready(0).sense, Some((6, 0x29, 0)));
}

/// A session with Time2Retain outlives its connection and is taken up with another CID.
#[test]
fn a_session_that_is_retained_is_taken_up_again() {
    let serving = Serving::with_offer(|offer| offer.time2retain = 20);
    let login = Login::to(TARGET, "retained").key("DefaultTime2Retain", "10").key("DefaultTime2Wait", "0");
    let mut session = Session::login(serving.address, &login);
    session.write(0, 0, &[1; 512]);
    let (tsih, again) = (session.tsih, login.rejoin(&session));
    drop(session);
    std::thread::sleep(WHILE);
    assert_eq!(serving.session_count(), 1);
    let again = Login { cid: iscsicore::wire::Cid(5), ..again };
    let mut session = Session::login_only(serving.address, &again).unwrap();
    session.clear_attention(0);
    assert_eq!((session.tsih, session.read(0, 0, 1)), (tsih, vec![1; 512]));
}

#[test]
fn what_is_answered_at_once_reaches_a_peer_that_sends_no_more() {
    let serving = Serving::new();
    let mut session = serving.login("half-closed");
    let read = session.start_read(0, 0, 8);
    session.raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
    // The connection counts as lost when its end is read; what came with the end is served all the same.
    let mut opcodes = Vec::new();
    while let Some(pdu) = session.next_pdu() {
        assert_eq!(pdu.bhs.itt(), read);
        opcodes.push(pdu.bhs.opcode());
    }
    assert!(opcodes.iter().all(|o| *o == Opcode::DataIn));
    serving.wait_for_sessions(0);
}

/// Reads until the target asks for a logout, and returns the seconds that it grants.
fn asked_to_log_out(session: &mut Session) -> u16 {
    loop {
        let pdu = session.next_pdu().expect("an Asynchronous Message");
        if pdu.bhs.opcode() == Opcode::AsyncMessage {
            let message = AsyncMessage::parse(&pdu.bhs).unwrap();
            assert_eq!(message.event, AsyncEvent::LogoutRequested);
            return message.parameter3;
        }
    }
}

#[test]
fn shutdown_asks_for_logouts_flushes_and_returns_as_soon_as_all_are_gone() {
    let mut serving = Serving::new();
    let mut session = serving.login("polite");
    session.write(0, 0, &[1; 512]);
    let initiator = std::thread::spawn(move || {
        assert!(asked_to_log_out(&mut session) > 0);
        // What is under way may be finished first.
        session.write(0, 1, &[2; 512]);
        session.logout();
    });
    let began = Instant::now();
    let errors = serving.shutdown(Duration::from_secs(20));
    assert!(errors.is_empty(), "{errors:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    initiator.join().unwrap();
    assert_eq!(serving.bytes(0, 1024), [[1; 512], [2; 512]].concat());
    let last = serving.disk.calls().pop().unwrap();
    assert_eq!(last.kind, Kind::Flush);
    assert!(std::net::TcpStream::connect(serving.address).is_err(), "nobody listens any more");
}

#[test]
fn shutdown_ends_sessions_that_do_not_log_out_and_logins_under_way() {
    let mut serving = Serving::new();
    let mut deaf = serving.login("deaf");
    deaf.write(0, 0, &[1; 512]);
    let mut half_open = Raw::connect(serving.address);
    std::thread::sleep(WHILE);
    let began = Instant::now();
    let errors = serving.shutdown(Duration::from_millis(300));
    assert!(errors.is_empty(), "{errors:?}");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    while deaf.next_pdu().is_some() {}
    assert!(half_open.receive().is_none());
    assert_eq!(serving.bytes(0, 512), [1; 512]);
}

/// The write is acknowledged by the storage only after the grace: shutdown waits for it, then flushes.
#[test]
fn shutdown_waits_for_the_storage_and_flushes_after_it() {
    let mut serving = Serving::new();
    let mut session = serving.login("slow-storage");
    let gate = serving.hold(Kind::Write, 0);
    session.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let opener = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        gate.open();
    });
    let errors = serving.shutdown(Duration::from_millis(50));
    assert!(errors.is_empty(), "{errors:?}");
    opener.join().unwrap();
    assert_eq!(serving.bytes(0, 512), [1; 512]);
    let kinds: Vec<_> = serving.disk.calls().iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [Kind::Write, Kind::Flush]);
}

#[test]
fn shutdown_reports_a_flush_that_fails() {
    let mut serving = Serving::new();
    serving.disk.next(Kind::Flush, crate::platform::backend::Fault::Fail(std::io::ErrorKind::StorageFull));
    let errors = serving.shutdown(Duration::ZERO);
    assert_eq!(
        errors.iter().map(std::io::Error::kind).collect::<Vec<_>>(),
        [std::io::ErrorKind::StorageFull]
    );
}

/// A back end that panics takes its session down, and that session alone; its name can log in again.
#[test]
fn a_panic_ends_one_session_and_gives_its_place_up() {
    struct Panics(crate::platform::backend::MemoryBackend);
    impl Backend for Panics {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn read(&self, _: u64, _: usize) -> crate::platform::backend::IoReply<iscsicore::DataList> {
            panic!("a defect, on purpose")
        }
        fn write(&self, o: u64, d: iscsicore::DataList, f: bool) -> crate::platform::backend::IoReply<()> {
            self.0.write(o, d, f)
        }
        fn flush(&self) -> crate::platform::backend::IoReply<()> {
            self.0.flush()
        }
    }
    const OTHER: &str = "iqn.2026-01.dev.iscsicore.test:panics";
    let serving = Serving::with(|b| {
        let memory = crate::platform::backend::MemoryBackend::new(1 << 20);
        let unit = b.disk("panics", std::sync::Arc::new(Panics(memory)));
        b.target(OTHER, &[unit]).unwrap();
    });
    let mut bystander = serving.login("bystander");
    let login = Login::to(OTHER, "victim");
    for _ in 0..3 {
        let mut session = Session::login(serving.address, &login);
        session.start_read(0, 0, 1);
        assert!(session.next_pdu().is_none());
        bystander.write(0, 0, &[1; 512]);
    }
    serving.wait_for_sessions(1);
    assert_eq!(bystander.read(0, 0, 1), [1; 512]);
}
