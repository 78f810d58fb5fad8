//! `bench`.

use iscsicore_tokio::backend::Kind;

use crate::support::{Rig, run};

#[test]
fn reads_are_measured_and_write_nothing() {
    let rig = Rig::new();
    let json = run(&["bench", &rig.url(0), "--time", "200ms", "--size", "8K", "--json"]).ok().json();
    let reads = &json["reads"];
    let operations = reads["operations"].as_u64().unwrap();
    assert!(operations > 0 && json["writes"].is_null());
    assert_eq!(reads["bytes"].as_u64().unwrap(), operations * 8192);
    let latency = |name: &str| reads["latency_us"][name].as_f64().unwrap();
    let names = ["min", "p50", "p90", "p99", "p99.9", "max"];
    assert!(names.windows(2).all(|w| latency(w[0]) <= latency(w[1])), "{reads}");
    assert!(json["cpu_us_per_io"].as_f64().unwrap() > 0.0);
    assert!(rig.disk.calls().iter().all(|call| call.kind == Kind::Read));
    let text = run(&["bench", &rig.url(0), "--time", "100ms", "--sequential", "--depth", "4"]).ok().text();
    assert!(text.contains("4 KiB sequential, depth 4") && text.contains("p99.9 us"), "{text}");
}

#[test]
fn writing_must_be_allowed() {
    let rig = Rig::new();
    for arguments in [&["--rw", "50"][..], &["--verify"]] {
        run(&[&["bench", &rig.url(0), "--time", "100ms"], arguments].concat()).code(2);
    }
    assert!(rig.disk.calls().is_empty());
    let said = run(&["bench", &rig.url(0), "--size", "1000"]).code(2);
    assert!(said.stderr.contains("not a multiple of the block size of 512"), "{}", said.stderr);
    run(&["bench", &rig.url(0), "--range", "30M:4M"]).code(2);
}

#[test]
fn only_the_range_is_written() {
    let rig = Rig::new();
    let arguments =
        ["--time", "200ms", "--rw", "30", "--write", "--range", "1M:1M", "--size", "16K", "--json"];
    let json = run(&[&["bench", &rig.url(0)], &arguments[..]].concat()).ok().json();
    assert!(
        json["writes"]["operations"].as_u64().unwrap() > 0
            && json["reads"]["operations"].as_u64().unwrap() > 0
    );
    assert_eq!((&json["range_offset"], &json["range_bytes"]), (&(1 << 20).into(), &(1 << 20).into()));
    let outside =
        |call: &iscsicore_tokio::backend::Call| call.offset < 1 << 20 || call.offset + call.len > 2 << 20;
    assert!(!rig.disk.calls().iter().any(outside));
}

// Goal: data is checked, and a block that the disk loses is found and named. Method: the same load on a good disk, and on one
// that forgets a block behind the server's back.
#[test]
fn verification_finds_a_block_that_was_lost() {
    let rig = Rig::new();
    let arguments =
        ["--time", "300ms", "--rw", "50", "--write", "--verify", "--range", "256K", "--seed", "7", "--json"];
    let url = rig.url(0);
    let arguments = [&["bench", &url], &arguments[..]].concat();
    let json = run(&arguments).ok().json();
    let operations = |kind: &str| json[kind]["operations"].as_u64().unwrap();
    let share = operations("reads") * 100 / (operations("reads") + operations("writes"));
    assert!((35..=60).contains(&share), "{share} % reads");
    assert!(json["verify"]["reads_checked"].as_u64().unwrap() >= 64, "at least once each in the end");
    assert_eq!((&json["verify"]["blocks_wrong"], &json["seed"]), (&0.into(), &7.into()));

    let child = crate::support::command(&arguments).spawn().unwrap();
    // Until the load has begun, and after that for as long as it lasts.
    while !rig.disk.calls().iter().skip(1).any(|call| call.kind == Kind::Write) {
        std::thread::yield_now();
    }
    let spoil = std::sync::atomic::AtomicBool::new(true);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            while spoil.load(std::sync::atomic::Ordering::Relaxed) {
                rig.put(10 * 512, vec![0; 512]);
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        let said = crate::support::finish(child);
        spoil.store(false, std::sync::atomic::Ordering::Relaxed);
        said
    });
    let said = said.code(4);
    assert!(said.json()["verify"]["blocks_wrong"].as_u64().unwrap() > 0);
    assert_eq!(said.json()["verify"]["first_wrong"], "block 10 holds zeroes");
    assert_eq!(said.error()["kind"], "mismatch");
}
