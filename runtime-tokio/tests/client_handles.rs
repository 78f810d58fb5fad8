//! Handles: their clones, their end, and the end of the session and of the runtime.

#[path = "support/target.rs"]
mod target;

use std::time::Duration;

use iscsicore::nexus::NexusEnd;
use iscsicore_tokio::backend::Kind;
use iscsicore_tokio::client::{ClientError, Event};

use target::{BLOCK, PATIENCE, TARGET, Target, within};

#[tokio::test]
async fn a_session_lives_as_long_as_its_handles() {
    let target = Target::new().await;
    let first = target.connect().await;
    let mut events = first.events();
    let second = first.clone();
    let third = second.with_lun(0).await.unwrap();
    drop(first);
    drop(second);
    third.read(0, 1).await.unwrap();
    assert_eq!(target.sessions().await, 1);
    drop(third);
    // Said properly, and told to whoever still listens.
    let last = within("the end", async {
        while !matches!(events.next().await, Some(Event::Ended(NexusEnd::LoggedOut))) {}
    });
    last.await;
    assert!(events.next().await.is_none());
    target.wait_for_sessions(0).await;
}

#[tokio::test]
async fn a_logout_waits_for_commands_and_ends_all_handles() {
    let target = Target::new().await;
    let disk = target.connect().await;
    let other = disk.clone();
    let gate = target.hold(Kind::Write, 0);
    let writer = tokio::spawn({
        let disk = disk.clone();
        async move { disk.write_from(0, &[7; BLOCK]).await }
    });
    within("held", gate.reached(1)).await;
    let mut leaving = tokio::spawn(disk.logout());
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut leaving).await.is_err(), "it waits");
    let error = other.read(0, 1).await.unwrap_err();
    assert!(matches!(error, ClientError::Ended(_)), "no more commands are taken: {error}");
    gate.open();
    within("written", writer).await.unwrap().unwrap();
    within("logged out", leaving).await.unwrap().unwrap();
    assert_eq!(target.bytes(0, BLOCK).await, [7; BLOCK]);
    let error = other.read(0, 1).await.unwrap_err();
    assert!(error.to_string().contains("it was logged out"), "{error}");
    assert!(other.ping(bytes::Bytes::new()).await.unwrap_err().to_string().contains("has ended"));
    assert!(!other.is_connected());
    other.clone().logout().await.unwrap();
    target.wait_for_sessions(0).await;
}

#[tokio::test]
async fn counts() {
    let target = Target::new().await;
    let disk = target.connect().await;
    let before = disk.stats();
    disk.write_from(0, &[1; 4 * BLOCK]).await.unwrap();
    disk.write_from(0, &[1; 64 * BLOCK]).await.unwrap();
    disk.read(0, 2).await.unwrap();
    disk.read(0, 64).await.unwrap();
    disk.read(disk.blocks(), 1).await.unwrap_err();
    let after = disk.stats();
    assert_eq!(after.answered - before.answered, 5);
    assert_eq!(after.bytes_written - before.bytes_written, 68 * 512);
    assert_eq!(after.bytes_read - before.bytes_read, 66 * 512);
    assert_eq!(after.latency.count(), after.answered);
    assert!(after.latency.mean() <= after.latency.longest() && after.latency.longest() < PATIENCE);
    assert_eq!((after.in_flight, after.unanswered, after.cancelled), (0, 0, 0));

    let gate = target.hold(Kind::Read, 0);
    let reading = disk.clone();
    let reader = tokio::spawn(async move { reading.read(0, 1).await });
    within("held", gate.reached(1)).await;
    assert_eq!(disk.stats().in_flight, 1);
    reader.abort();
    assert!(reader.await.is_err());
    assert_eq!((disk.stats().in_flight, disk.stats().cancelled), (0, 1));
    gate.open();
}

#[tokio::test]
async fn what_a_handle_tells_of_its_session() {
    let target = Target::new().await;
    let disk = target.connect().await;
    assert_eq!((disk.target(), disk.target_address()), (TARGET, target.address.to_string()));
    assert!(disk.is_connected());
    let shown = format!("{disk:?}");
    assert!(shown.contains(TARGET) && shown.contains("lun: 0"), "{shown}");
    assert!(disk.parameters().max_burst >= 512);
}

/// A runtime with threads of its own.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

// Goal: when the runtime that drives a session goes, nobody waits for ever, and nothing panics. Method: a client whose runtime
// is dropped while a command is under way, used on from another one and from none.
#[test]
fn a_client_outlives_its_runtime() {
    let (serving, driving, using) = (runtime(), runtime(), runtime());
    let target = serving.block_on(Target::new());
    let disk = driving.block_on(target.connect());
    let gate = target.hold(Kind::Read, 0);
    let reader = using.spawn({
        let disk = disk.clone();
        async move { disk.read(0, 1).await }
    });
    using.block_on(within("held", gate.reached(1)));
    let mut events = disk.events();
    driving.shutdown_background();
    let error = using.block_on(within("the read ends", reader)).unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Unknown { .. }), "{error}");
    let error = using.block_on(within("refused", disk.read(0, 1))).unwrap_err();
    assert!(error.to_string().contains("the runtime that drove it is gone"), "{error}");
    let last = using.block_on(within("told", async {
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event);
        }
        last
    }));
    assert!(matches!(last, Some(Event::Ended(_))), "{last:?}");
    gate.open();
    drop(disk);
    serving.block_on(target.wait_for_sessions(0));
}

#[test]
fn a_client_may_be_dropped_anywhere() {
    let (serving, driving) = (runtime(), runtime());
    let target = serving.block_on(Target::new());
    let disk = driving.block_on(target.connect());
    std::thread::spawn(move || drop(disk)).join().unwrap();
    serving.block_on(target.wait_for_sessions(0));
    let disk = driving.block_on(target.connect());
    drop(driving);
    drop(disk);
    serving.block_on(target.wait_for_sessions(0));
}
