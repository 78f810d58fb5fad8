//! The end of a server whose sessions are on several shards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::platform::backend::Kind;
use iscsicore::link::Pdu;
use iscsicore::wire::{AsyncEvent, AsyncMessage, Opcode};

use crate::support::initiator::{Raw, Session};
use crate::support::serving::Serving;

const SHARDS: usize = 3;
const GRACE: Duration = Duration::from_secs(20);

fn asks_for_logout(pdu: &Pdu) -> bool {
    pdu.bhs.opcode() == Opcode::AsyncMessage
        && AsyncMessage::parse(&pdu.bhs).unwrap().event == AsyncEvent::LogoutRequested
}

/// Takes what has come beside the answers to commands, and tells how often a logout was asked for.
fn requests_so_far(session: &mut Session) -> usize {
    let unclaimed = std::mem::take(&mut session.unclaimed);
    let (asked, others) = unclaimed.into_iter().partition::<Vec<_>, _>(asks_for_logout);
    session.unclaimed = others.into();
    asked.len()
}

#[test]
fn every_session_of_every_shard_is_asked_to_log_out_once() {
    let mut serving = Serving::on_shards(SHARDS, |_| {});
    let mut sessions: Vec<_> = (0..12).map(|n| serving.login(&format!("asked-{n}"))).collect();
    sessions.iter_mut().for_each(|s| s.write(0, 0, &[1; 512]));
    let initiators: Vec<_> = sessions
        .into_iter()
        .map(|mut session| {
            std::thread::spawn(move || {
                while !asks_for_logout(&session.next_pdu().expect("a request first")) {}
                session.write(0, 1, &[2; 512]);
                let logout = session.start_logout();
                session.next_for(logout);
                assert_eq!(requests_so_far(&mut session), 0, "asked twice");
                let _ = session.raw.stream.shutdown(std::net::Shutdown::Write);
                assert!(session.raw.drain().is_empty());
            })
        })
        .collect();
    let began = Instant::now();
    assert!(serving.shutdown(GRACE).is_empty());
    assert!(began.elapsed() < GRACE / 4, "{:?}", began.elapsed());
    initiators.into_iter().for_each(|i| i.join().unwrap());
}

/// Writes one block after the other until the connection ends, or, when it is polite, until it is asked to log out;
/// returns how many were acknowledged.
fn writes_until_the_end(mut session: Session, number: u64, polite: bool) -> u64 {
    let mut acknowledged = 0u64;
    loop {
        let data = (acknowledged + 1).to_be_bytes().repeat(64);
        let itt = session.start_write(0, number * 1000 + acknowledged % 1000, &data);
        loop {
            let Some(pdu) = session.next_pdu() else { return acknowledged };
            match pdu.bhs.opcode() {
                _ if asks_for_logout(&pdu) => session.unclaimed.push_back(pdu),
                Opcode::ScsiResponse if pdu.bhs.itt() == itt => {
                    assert_eq!(pdu.bhs.0[3], 0);
                    break;
                }
                Opcode::NopIn => {}
                other => panic!("{other:?}: {pdu:?}"),
            }
        }
        acknowledged += 1;
        if polite && requests_so_far(&mut session) > 0 {
            session.logout();
            return acknowledged;
        }
    }
}

fn ends_under_load(polite: bool, grace: Duration) {
    let mut serving = Serving::on_shards(SHARDS, |_| {});
    let working = AtomicUsize::new(0);
    let acknowledged: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|n| {
                let (session, working) = (serving.login(&format!("writer-{n}")), &working);
                scope.spawn(move || {
                    working.fetch_add(1, Ordering::Relaxed);
                    writes_until_the_end(session, n, polite)
                })
            })
            .collect();
        while working.load(Ordering::Relaxed) < 6 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(200));
        let began = Instant::now();
        assert!(serving.shutdown(grace).is_empty());
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        writers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    // What was acknowledged is there, and was flushed after it was written.
    for (number, count) in (0..).zip(acknowledged) {
        assert!(count > 0);
        let last = (count - 1) % 1000;
        let bytes = serving.bytes((number * 1000 + last) * 512, 8);
        assert_eq!(bytes, count.to_be_bytes(), "writer {number}");
    }
    let last = serving.disk.calls().pop().unwrap();
    assert_eq!(last.kind, Kind::Flush);
}

#[test]
fn sessions_at_work_finish_and_log_out() {
    ends_under_load(true, GRACE);
}

#[test]
fn sessions_that_go_on_working_are_ended_after_the_grace() {
    ends_under_load(false, Duration::from_millis(300));
}

/// Logins that come in while the server stops are either refused a connection or closed; none keeps the server.
#[test]
fn logins_during_the_end_do_not_hold_it_up() {
    let mut serving = Serving::on_shards(SHARDS, |_| {});
    let address = serving.address;
    let held = serving.login("held");
    std::thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || {
                let login = crate::support::initiator::Login::to(
                    crate::support::serving::TARGET,
                    &format!("late-{n}"),
                );
                // Until nobody listens any more.
                while let Ok(stream) = std::net::TcpStream::connect(address) {
                    drop(stream);
                    let Ok(mut raw) = std::panic::catch_unwind(|| Raw::connect(address)) else { return };
                    let (bhs, text) = login.request();
                    raw.send(bhs, text);
                    drop(raw.finish_login_if_open(&login));
                }
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        assert!(serving.shutdown(Duration::from_millis(200)).is_empty());
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    });
    drop(held);
}

/// Storage that never answers is reported, and then the end comes. It takes the half minute that storage is given.
#[test]
#[ignore = "half a minute"]
fn storage_that_hangs_is_reported() {
    let mut serving = Serving::on_shards(SHARDS, |_| {});
    let mut session = serving.login("hangs");
    let gate = serving.hold(Kind::Write, 0);
    session.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let began = Instant::now();
    let errors = serving.shutdown(Duration::ZERO);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].kind(), std::io::ErrorKind::TimedOut);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(40), "{took:?}");
    assert!(session.next_pdu().is_none());
}
