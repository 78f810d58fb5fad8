//! Which shard a session lives on, and how a connection gets there.

use crate::support::initiator::{Login, Session};
use crate::support::pipelined::{self, Pipelined};
use crate::support::serving::{Serving, TARGET};

const SHARDS: usize = 3;

fn is_even(loads: &[usize]) -> bool {
    loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1
}

#[test]
fn sessions_are_spread_evenly_and_give_their_places_up() {
    let serving = Serving::on_shards(SHARDS, |_| {});
    let mut sessions = Vec::new();
    for n in 0..24 {
        sessions.push(serving.login(&format!("spread-{n}")));
        let loads = serving.loads();
        assert!(is_even(&loads), "{loads:?} after {} logins", n + 1);
    }
    // One shard loses all of its sessions, some by a logout and some by a lost connection; it gets the next ones.
    let emptied = serving.shard_of(&sessions[7]);
    let (gone, mut left): (Vec<_>, Vec<_>) =
        sessions.into_iter().partition(|session| serving.shard_of(session) == emptied);
    let count = gone.len();
    for (n, mut session) in gone.into_iter().enumerate() {
        if n % 2 == 0 {
            session.logout();
        }
    }
    serving.wait_for_sessions(24 - count);
    assert_eq!(serving.loads()[emptied], 0);
    for n in 0..count {
        let session = serving.login(&format!("next-{n}"));
        assert_eq!(serving.shard_of(&session), emptied);
        left.push(session);
    }
    let loads = serving.loads();
    assert!(is_even(&loads), "{loads:?}");
    // Where they are makes no difference to what they do.
    for (n, session) in left.iter_mut().enumerate() {
        session.write(0, 8 * n as u64, &[n as u8; 4096]);
    }
    for (n, session) in left.iter_mut().rev().enumerate() {
        assert_eq!(session.read(0, 8 * (23 - n as u64), 8), [23 - n as u8; 4096]);
    }
}

#[test]
fn logins_at_the_same_moment_are_spread_evenly() {
    let serving = Serving::on_shards(SHARDS, |_| {});
    let address = serving.address;
    for round in 0..4 {
        let logins: Vec<_> = (0..15)
            .map(|n| {
                let login = Login::to(TARGET, &format!("crowd-{round}-{n}"));
                std::thread::spawn(move || Session::login(address, &login))
            })
            .collect();
        let sessions: Vec<_> = logins.into_iter().map(|l| l.join().unwrap()).collect();
        let loads = serving.loads();
        assert!(loads.iter().sum::<usize>() == 15 && is_even(&loads), "{loads:?}");
        drop(sessions);
        serving.wait_for_sessions(0);
    }
}

/// What stands behind the last login request in the same segment travels with the connection, byte for byte: some of
/// it in the receiver, some still in the socket.
#[test]
fn commands_behind_a_login_travel_with_it() {
    let serving = Serving::on_shards(SHARDS, |_| {});
    let mut sessions = Vec::new();
    for round in 0..24u64 {
        let digests = round % 2 == 1;
        // From one that fits the login's buffer together with the login to some that do not.
        let writes: Vec<_> = (0..1 + round % 12)
            .map(|n| (round * 1000 + n * 8, vec![(round * 16 + n) as u8; 4096 - 512 * (round as usize % 3)]))
            .collect();
        let login = Login::to(TARGET, &format!("pipelined-{round}"));
        let sent = Pipelined::send(serving.address, login, digests, &writes);
        let mut session = sent.finish().unwrap();
        let ready = session.finish(pipelined::READY);
        assert_eq!(ready.sense.map(|s| (s.0, s.1)), Some((6, 0x29)), "the unit attention of a new nexus");
        for (index, (lba, data)) in (0..).zip(&writes) {
            let done = session.finish(pipelined::write(index));
            assert_eq!((done.status, done.sense), (0, None), "write {index} of round {round}");
            assert!(session.read(0, *lba, data.len() as u32 / 512) == *data, "round {round}, write {index}");
        }
        sessions.push(session);
    }
    assert!(is_even(&serving.loads()));
}
