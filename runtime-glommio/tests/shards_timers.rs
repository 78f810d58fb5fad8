//! The timer of a shard, by itself: set again before and after it rang, to earlier and to later, by the thousand.
#![cfg(target_os = "linux")]

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use glommio::{LocalExecutorBuilder, Placement};
use iscsicore::Instant;
use iscsicore_glommio::Timer;
use iscsicore_runtime::{Timer as _, clock};

/// As late as a timer may be on a machine that has other work.
const LATE: Duration = Duration::from_millis(500);

fn on_a_shard<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) {
    let shard = std::thread::spawn(|| {
        LocalExecutorBuilder::new(Placement::Unbound).io_memory(512 << 10).make().unwrap().run(work());
    });
    shard.join().unwrap();
}

async fn rings(timer: &mut Timer) -> Instant {
    poll_fn(|cx| timer.poll(cx)).await;
    clock::now()
}

/// Waits for a timer that is to ring at `at`, and checks that it does.
async fn rings_at(timer: &mut Timer, at: Instant) {
    let rang = rings(timer).await;
    assert!(rang >= at, "{:?} early", at.saturating_since(rang));
    let late = rang.saturating_since(at);
    assert!(late < LATE, "{late:?} late");
}

fn is_silent(timer: &mut Timer) -> impl Future<Output = bool> {
    poll_fn(|cx| Poll::Ready(timer.poll(cx).is_pending()))
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_timer_rings_when_it_was_set_for_last() {
    on_a_shard(|| async {
        let mut timer = Timer::new();
        assert!(is_silent(&mut timer).await, "nothing was set");
        for round in 0..30 {
            // After it rang: again.
            let at = clock::now() + millis(3);
            timer.set(at);
            rings_at(&mut timer, at).await;
            // To later, while somebody waits and while nobody does.
            let begun = clock::now();
            timer.set(begun + millis(2));
            if round % 2 == 0 {
                assert!(is_silent(&mut timer).await || clock::now() >= begun + millis(2));
            }
            let at = begun + millis(12);
            timer.set(at);
            rings_at(&mut timer, at).await;
            // To earlier.
            timer.set(clock::now() + Duration::from_secs(3600));
            if round % 3 == 0 {
                assert!(is_silent(&mut timer).await);
            }
            let at = clock::now() + millis(2);
            timer.set(at);
            rings_at(&mut timer, at).await;
        }
    });
}

#[test]
fn a_time_that_has_passed_rings_at_once_and_ringing_does_not_wear_off() {
    on_a_shard(|| async {
        let mut timer = Timer::new();
        let at = clock::now();
        timer.set(at);
        rings_at(&mut timer, at).await;
        assert!(!is_silent(&mut timer).await, "it has rung, and was not set again");
        timer.set(clock::now() + Duration::from_secs(3600));
        assert!(is_silent(&mut timer).await);
        timer.set(Instant::from_nanos(0));
        assert!(!is_silent(&mut timer).await);
    });
}

/// A task that waits for a timer is woken by it alone, also after the timer was set anew behind the waiting task's back.
#[test]
fn thousands_of_timers_ring_in_time_and_never_early() {
    on_a_shard(|| async {
        let one = |n: u64| async move {
            let mut timer = Timer::new();
            for round in 0..5 {
                let at = clock::now() + millis(1 + (n * 7919 + round * 104_729) % 200);
                // Each is first set to something else, and waited for.
                timer.set(at + millis(n % 3 * 50));
                assert!(is_silent(&mut timer).await);
                timer.set(at);
                let rang = rings(&mut timer).await;
                assert!(rang >= at, "{:?} early", at.saturating_since(rang));
                let late = rang.saturating_since(at);
                assert!(late < LATE * 2, "{late:?} late");
            }
        };
        join_all((0..3000).map(one)).await;
    });
}

#[test]
fn timers_that_are_dropped_do_not_ring() {
    on_a_shard(|| async {
        let began = clock::now();
        for _ in 0..1000 {
            let mut timer = Timer::new();
            timer.set(clock::now() + millis(50));
            assert!(is_silent(&mut timer).await);
        }
        // Nothing is left that would wake this task before its own time.
        let mut polls = 0;
        let mut timer = Timer::new();
        let at = began + millis(200);
        timer.set(at);
        poll_fn(|cx| {
            polls += 1;
            timer.poll(cx)
        })
        .await;
        assert!(polls <= 3, "{polls} polls");
    });
}
