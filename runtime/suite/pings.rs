//! Keep-alive of sessions that have nothing to do: the timers of many sessions, set again and again.

use std::time::{Duration, Instant};

use iscsicore::Limits;
use iscsicore::wire::{Bhs, Opcode};

use crate::support::initiator::Session;
use crate::support::serving::Serving;

const INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_millis(600);
const SESSIONS: usize = 40;

fn serving() -> Serving {
    let mut limits = Limits::default();
    limits.ping_interval = INTERVAL;
    limits.ping_timeout = TIMEOUT;
    limits.ping_grace = TIMEOUT;
    Serving::on_shards(3, |b| {
        b.limits(limits);
    })
}

/// The answer to a ping: the tag of the target comes back.
fn pong(session: &Session, ping: &Bhs) -> Bhs {
    let mut bhs = Bhs::new(Opcode::NopOut);
    bhs.set_immediate();
    bhs.0[1] = 0x80;
    bhs.0[8..16].copy_from_slice(&ping.0[8..16]);
    bhs.0[16..20].fill(0xff);
    bhs.0[20..24].copy_from_slice(&ping.0[20..24]);
    bhs.0[24..28].copy_from_slice(&session.cmd_sn.0.to_be_bytes());
    bhs.0[28..32].copy_from_slice(&session.exp_stat_sn.0.to_be_bytes());
    bhs
}

/// Waits for a ping, which must not come before the target has heard nothing for the interval: it has heard something
/// after `spoke`.
fn pinged(session: &mut Session, spoke: Instant) -> (Bhs, Duration) {
    loop {
        let pdu = session.next_pdu().expect("the session lives");
        if pdu.bhs.opcode() == Opcode::NopIn && pdu.bhs.0[20..24] != [0xff; 4] {
            let after = spoke.elapsed();
            assert!(after >= INTERVAL, "a ping after {after:?}");
            return (pdu.bhs, after);
        }
    }
}

#[test]
fn idle_sessions_that_answer_are_pinged_and_kept() {
    let serving = serving();
    let mut sessions: Vec<_> = (0..SESSIONS).map(|n| serving.login(&format!("idle-{n}"))).collect();
    std::thread::scope(|scope| {
        for session in &mut sessions {
            scope.spawn(move || {
                let began = Instant::now();
                // The first ping may wait already.
                let mut spoke = began - INTERVAL;
                for _ in 0..12 {
                    let (ping, _) = pinged(session, spoke);
                    let answer = pong(session, &ping);
                    spoke = Instant::now();
                    session.raw.send(answer, iscsicore::DataList::new());
                }
                let took = began.elapsed();
                assert!(took < INTERVAL * 12 * 3, "twelve pings took {took:?}");
            });
        }
    });
    assert_eq!(serving.session_count(), SESSIONS);
    sessions.iter_mut().for_each(|session| session.write(0, 0, &[1; 512]));
}

#[test]
fn a_session_that_is_never_idle_is_not_pinged() {
    let serving = serving();
    let mut session = serving.login("busy");
    let (began, mut spoke) = (Instant::now(), Instant::now());
    while began.elapsed() < INTERVAL * 5 {
        spoke = Instant::now();
        session.read(0, 0, 1);
    }
    assert!(session.unclaimed.iter().all(|pdu| pdu.bhs.opcode() != Opcode::NopIn));
    // And is, as soon as it rests.
    let (_, after) = pinged(&mut session, spoke);
    assert!(after < INTERVAL * 6, "{after:?}");
}

#[test]
fn sessions_that_answer_no_ping_are_given_up_in_time() {
    let serving = serving();
    let mut silent: Vec<_> = (0..SESSIONS).map(|n| serving.login(&format!("silent-{n}"))).collect();
    let began = Instant::now();
    let mut talking = serving.login("talking");
    while serving.session_count() > 1 {
        talking.write(0, 0, &[1; 512]);
        let took = began.elapsed();
        assert!(took < (INTERVAL + TIMEOUT) * 4, "{} sessions after {took:?}", serving.session_count());
    }
    assert!(began.elapsed() + Duration::from_millis(50) >= TIMEOUT, "{:?}", began.elapsed());
    for session in &mut silent {
        while session.next_pdu().is_some() {}
    }
    talking.logout();
}
