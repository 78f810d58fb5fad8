//! Sessions that do nothing: what they hold, and that they cost no work. One test, so that nothing else runs in its
//! process.

use std::io::Write;
use std::time::{Duration, Instant};

use iscsicore::node::NodeLimits;

use crate::support::serving::Serving;

const SESSIONS: usize = 1000;
/// KiB of resident memory that an idle session may cost beyond the first.
const PER_SESSION: usize = 24;

/// Resident size in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Processor time of all threads so far. What the clock ticks of 10 ms do not show is there in nanoseconds.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = tasks.flatten().filter_map(|task| {
        let line = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

#[test]
fn a_thousand_idle_sessions_cost_little() {
    let mut limits = NodeLimits::default();
    limits.sessions = SESSIONS + 16;
    let serving = Serving::with(|builder| {
        builder.node_limits(limits);
    });
    // A session that has done its work, and whose initiator's end is nothing but a socket.
    let idle = |name: String| {
        let mut session = serving.login(&name);
        session.write(0, 100, &[7; 4096]);
        session.write(0, 4096, &vec![8; 1 << 20]);
        assert_eq!(session.read(0, 4096, 512), vec![8; 512 * 512]);
        session.raw.stream.try_clone().unwrap()
    };
    let mut held: Vec<_> = (0..8).map(|n| idle(format!("first-{n}"))).collect();
    let before = resident();
    held.extend((0..SESSIONS).map(|n| idle(format!("idle-{n}"))));
    std::thread::sleep(Duration::from_millis(500));
    let each = resident().saturating_sub(before) / SESSIONS;
    assert_eq!(serving.session_count(), held.len());

    let (work, since) = (processor_time(), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let busy = (processor_time() - work).as_secs_f64() / since.elapsed().as_secs_f64();
    let _ = writeln!(
        std::io::stderr(),
        "{SESSIONS} idle sessions: {each} KiB each, of at most {PER_SESSION}; {:.3} % of a core",
        busy * 100.0
    );
    assert!(each <= PER_SESSION, "an idle session holds {each} KiB, of at most {PER_SESSION}");
    assert!(busy < 0.005, "idle sessions take {:.2} % of a core", busy * 100.0);
}
