//! Connections that are lost, come back, or do not; and targets that have news.

#[path = "support/puppet.rs"]
mod puppet;
#[path = "support/target.rs"]
mod target;

use std::time::Duration;

use bytes::Bytes;
use iscsicore::initiator::Cause;
use iscsicore::nexus::{NexusEnd, ReconnectPolicy};
use iscsicore::scsi::{AdditionalSense, Sense, SenseFormat, SenseKey};
use iscsicore::target::Notice;
use iscsicore::wire::{AsyncEvent, Lun};
use iscsicore_tokio::backend::Kind;
use iscsicore_tokio::client::{Client, ClientBuilder, ClientError, Event, Events, FlushCoverage};
use tokio::task::JoinSet;

use puppet::{Puppet, Reply, check, good};
use target::{BLOCK, Target, pattern, within};

fn builder(puppet: &Puppet) -> ClientBuilder {
    Client::builder().without_environment().url(&puppet.url()).unwrap()
}

async fn connect(puppet: &Puppet) -> Client {
    within("connected", builder(puppet).connect()).await.unwrap()
}

/// Dials again quickly.
fn eager() -> ReconnectPolicy {
    let mut policy = ReconnectPolicy::default();
    (policy.first_pause, policy.longest_pause) = (Duration::from_millis(5), Duration::from_millis(20));
    policy
}

/// Waits for an event of a kind; those before it are returned as well.
async fn wait_for(events: &mut Events, what: &str, is_it: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    within(what, async {
        while let Some(event) = events.next().await {
            seen.push(event);
            if is_it(&seen[seen.len() - 1]) {
                return;
            }
        }
        panic!("{what}: the events have ended");
    })
    .await;
    seen
}

// Goal: all that was acknowledged is there, and nobody notices more than a pause, however often the server goes away.
// Method: tasks that write and verify blocks of their own all the time, over four lives of a server on one port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_restarted_under_load() {
    let mut target = Target::new().await;
    let disk = target.builder().reconnect(eager()).connect().await.unwrap();
    let mut events = disk.events();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut tasks = JoinSet::new();
    for task in 0..16u64 {
        let (disk, stopped) = (disk.clone(), stopped.clone());
        tasks.spawn(async move {
            let mut round = 0;
            while !*stopped.borrow() {
                round += 1;
                let (lba, blocks) = (task * 1024, 1 + (round * 37 % 300) as usize);
                let data = pattern(lba, blocks, round);
                disk.write_from(lba, &data).await.unwrap();
                assert_eq!(disk.read(lba, blocks as u32).await.unwrap(), data, "task {task}, round {round}");
            }
            round
        });
    }
    for life in 1..=3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (address, memory) = target.stop().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        target = Target::serve(address, memory, |_, _| {}).await;
        let seen = wait_for(&mut events, "connected again", |e| matches!(e, Event::Reconnected { .. })).await;
        let down = seen.iter().position(|e| matches!(e, Event::Disconnected { retry_at: Some(_), .. }));
        assert!(down.is_some_and(|at| at + 1 < seen.len()), "life {life}: {seen:?}");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send_replace(true);
    let mut rounds = 0;
    while let Some(ended) = within("the tasks end", tasks.join_next()).await {
        rounds += ended.unwrap();
    }
    let stats = disk.stats();
    assert!(stats.reconnects >= 3 && stats.disconnects >= stats.reconnects, "{stats:?}");
    assert!(stats.failed_attempts >= 1 && stats.unanswered == 0 && rounds > 16, "{rounds} rounds, {stats:?}");
    assert!(disk.is_connected());
    disk.logout().await.unwrap();
}

#[tokio::test]
async fn a_flush_after_a_reconnect_says_what_it_covers() {
    let target = Target::new().await;
    let disk = target.builder().reconnect(eager()).connect().await.unwrap();
    disk.write_from(0, &[1; BLOCK]).await.unwrap();
    let mut events = disk.events();
    disk.reconnect();
    wait_for(&mut events, "connected again", |e| matches!(e, Event::Reconnected { .. })).await;
    assert_eq!(disk.flush().await.unwrap(), FlushCoverage::OnlySinceReconnect);
    disk.write_from(0, &[2; BLOCK]).await.unwrap();
    assert_eq!(disk.flush().await.unwrap(), FlushCoverage::All);
}

#[tokio::test]
async fn what_may_be_repeated_is_and_what_may_not_has_an_unknown_outcome() {
    let mut cuts = 3;
    let puppet = Puppet::new(move |command| match command.cdb.opcode() {
        0x28 | 0x2a | 0x89 if cuts > 0 => {
            cuts -= 1;
            Some(Reply::Cut)
        }
        0x28 => Some(Reply::Good(vec![5; BLOCK])),
        0x2a | 0x89 => Some(good()),
        _ => None,
    });
    let disk = within("connected", builder(&puppet).reconnect(eager()).connect()).await.unwrap();
    assert_eq!(within("read", disk.read(0, 1)).await.unwrap(), vec![5; BLOCK]);
    assert_eq!(puppet.logins(), 4, "cut three times");

    let mut cuts = 1;
    let puppet = Puppet::new(move |command| match command.cdb.opcode() {
        0x89 if cuts > 0 => {
            cuts -= 1;
            Some(Reply::Cut)
        }
        0x89 => Some(good()),
        _ => None,
    });
    let disk = within("connected", builder(&puppet).reconnect(eager()).connect()).await.unwrap();
    let swap = || disk.compare_and_write(0, vec![0; BLOCK], vec![1; BLOCK]);
    let error = within("ends", swap()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unknown { cause: Cause::ConnectionLost, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("COMPARE AND WRITE to LUN 0") && text.contains("read back"), "{text}");
    within("the client goes on", swap()).await.unwrap();
}

#[tokio::test]
async fn a_slow_disk_costs_a_command_its_time_and_others_nothing() {
    let target = Target::new().await;
    let connecting = target.builder().command_timeout(Some(Duration::from_millis(150)));
    let disk = connecting.connect().await.unwrap();
    disk.write_from(8, &[3; BLOCK]).await.unwrap();
    for (kind, offset) in [(Kind::Read, 0), (Kind::Write, 512), (Kind::Flush, 0)] {
        let gate = target.hold(kind, offset);
        let command = async {
            match kind {
                Kind::Read => disk.read(0, 1).await.map(drop),
                Kind::Write => disk.write_from(1, &[9; BLOCK]).await,
                _ => disk.flush().await.map(drop),
            }
        };
        let error = within("its time is over", command).await.unwrap_err();
        assert!(matches!(error, ClientError::Unknown { cause: Cause::TimedOut, .. }), "{error}");
        assert!(error.to_string().contains("its time was over"), "{error}");
        assert_eq!(disk.read(8, 1).await.unwrap(), vec![3; BLOCK], "others are served meanwhile");
        gate.open();
    }
    // Large reads go into buffers of their own; these were given back too.
    let gate = target.hold(Kind::Read, 0);
    let (done, buffer) = within("ends", disk.read_buf(0, bytes::BytesMut::zeroed(1 << 20))).await;
    assert!(matches!(done, Err(ClientError::Unknown { .. })) && buffer.len() == 1 << 20);
    gate.open();
    assert_eq!(within("goes on", disk.read(0, 2048)).await.unwrap().len(), 1 << 20);
    assert_eq!((disk.stats().unanswered, disk.stats().disconnects), (4, 0));
}

#[tokio::test]
async fn a_disk_that_fails_is_an_error_of_the_medium() {
    let target = Target::new().await;
    let disk = target.connect().await;
    target.disk.next(Kind::Read, iscsicore_tokio::backend::Fault::Medium(1024));
    let error = disk.read(0, 8).await.unwrap_err();
    let sense = error.sense().unwrap();
    assert_eq!((sense.key, sense.information), (SenseKey::MediumError, Some(2)));
    assert!(error.to_string().contains("medium"), "{error}");
    disk.read(0, 8).await.unwrap();
}

#[tokio::test]
async fn without_a_target_commands_end_when_their_time_is_over() {
    let target = Target::new().await;
    let connecting = target.builder().reconnect(eager()).command_timeout(Some(Duration::from_millis(150)));
    let mut limits = iscsicore::Limits::default();
    limits.queue_depth = 4;
    let disk = connecting.limits(limits).connect().await.unwrap();
    let mut events = disk.events();
    let (address, memory) = target.stop().await;
    wait_for(&mut events, "disconnected", |e| matches!(e, Event::Disconnected { .. })).await;
    assert!(!disk.is_connected());
    // More than the session takes: those that wait outside have no more time than the others.
    let reads = (0..16).map(|lba| disk.read(lba, 1));
    for read in within("they end", futures_util::future::join_all(reads)).await {
        let error = read.unwrap_err();
        assert!(matches!(error, ClientError::NotSent { cause: Cause::TimedOut, .. }), "{error}");
    }
    for error in [disk.ping(Bytes::new()).await.unwrap_err(), disk.reset_lun().await.unwrap_err()] {
        assert!(matches!(error, ClientError::NotSent { cause: Cause::ConnectionLost, .. }), "{error}");
    }
    let failed = wait_for(&mut events, "an attempt", |e| matches!(e, Event::AttemptFailed { .. })).await;
    assert!(failed[failed.len() - 1].to_string().contains("refused"), "{failed:?}");

    let _target = Target::serve(address, memory, |_, _| {}).await;
    wait_for(&mut events, "connected again", |e| matches!(e, Event::Reconnected { .. })).await;
    disk.read(0, 1).await.unwrap();
}

#[tokio::test]
async fn giving_up_ends_everything_with_an_error() {
    for (patience, enabled) in [(Some(Duration::from_millis(100)), true), (None, false)] {
        let target = Target::new().await;
        let mut policy = eager();
        (policy.give_up_after, policy.enabled) = (patience, enabled);
        let disk = target.builder().reconnect(policy).connect().await.unwrap();
        let mut events = disk.events();
        let gate = target.hold(Kind::Read, 0);
        let reader = tokio::spawn({
            let disk = disk.clone();
            async move { disk.read(0, 1).await }
        });
        within("held", gate.reached(1)).await;
        let stopping = tokio::spawn(target.stop());
        let seen = wait_for(&mut events, "the end", |e| matches!(e, Event::Ended(_))).await;
        match (&seen[seen.len() - 1], enabled) {
            (Event::Ended(NexusEnd::Failed(_)), true) | (Event::Ended(NexusEnd::Lost(_)), false) => {}
            (other, _) => panic!("{other:?}"),
        }
        assert!(events.next().await.is_none(), "nothing follows");
        assert!(disk.events().next().await.is_none(), "nor for those who come late");
        let error = within("the read ends", reader).await.unwrap().unwrap_err();
        assert!(matches!(error, ClientError::Unknown { .. }), "{error}");
        let error = disk.read(0, 1).await.unwrap_err();
        assert!(matches!(error, ClientError::Ended(_)), "{error}");
        assert!(error.to_string().contains("has ended"), "{error}");
        gate.open();
        within("stopped", stopping).await.unwrap();
    }
}

#[tokio::test]
async fn a_target_that_is_not_there_yet_can_be_waited_for() {
    let (address, memory) = Target::new().await.stop().await;
    let mut policy = eager();
    policy.persist_at_first = true;
    let url = format!("iscsi://{address}/{}/0", target::TARGET);
    let connecting = Client::builder().without_environment().url(&url).unwrap().reconnect(policy).connect();
    let connecting = tokio::spawn(connecting);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _target = Target::serve(address, memory, |_, _| {}).await;
    within("connected", connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_disk_that_grows_is_seen_to() {
    let mut news = None;
    let (send, receive) = std::sync::mpsc::channel::<Sense>();
    let puppet = Puppet::new(move |command| {
        news = news.or_else(|| receive.try_recv().ok());
        (command.cdb.opcode() == 0).then(|| news.take().map_or_else(good, Reply::Check))
    });
    let attention = |additional| Sense::new(SenseKey::UnitAttention, additional);
    let disk = connect(&puppet).await;
    let mut events = disk.events();
    assert_eq!(disk.blocks(), 2048);

    puppet.resize(4096);
    send.send(attention(AdditionalSense::CAPACITY_DATA_HAS_CHANGED)).unwrap();
    disk.test_unit_ready().await.unwrap();
    let seen = wait_for(&mut events, "another size", |e| matches!(e, Event::CapacityChanged { .. })).await;
    assert!(matches!(seen[0], Event::UnitAttention { lun: Lun::ZERO, .. }), "{seen:?}");
    assert!(seen[0].to_string().contains("CAPACITY DATA HAS CHANGED"), "{}", seen[0]);
    assert!(matches!(seen[1], Event::CapacityChanged { lun: 0, capacity } if capacity.blocks == 4096));
    assert_eq!((disk.blocks(), disk.stats().unit_attentions), (4096, 1));

    send.send(attention(AdditionalSense { code: 0x3f, qualifier: 0x0e })).unwrap();
    disk.test_unit_ready().await.unwrap();
    wait_for(&mut events, "other units", |e| matches!(e, Event::LunsChanged)).await;

    // The same as an asynchronous event.
    puppet.resize(8192);
    let sense = attention(AdditionalSense::CAPACITY_DATA_HAS_CHANGED).encode(SenseFormat::Fixed);
    puppet.notify(Notice::Scsi { lun: Lun::ZERO, sense });
    disk.test_unit_ready().await.unwrap();
    let seen = wait_for(&mut events, "another size", |e| matches!(e, Event::CapacityChanged { .. })).await;
    let is_scsi =
        |e: &Event| matches!(e, Event::AsyncMessage { message, .. } if message.event == AsyncEvent::Scsi);
    assert!(seen.iter().any(is_scsi), "{seen:?}");
    assert_eq!(disk.blocks(), 8192);

    // One that could not be told: the target was away.
    puppet.resize(100);
    disk.reconnect();
    wait_for(&mut events, "another size", |e| matches!(e, Event::CapacityChanged { .. })).await;
    assert_eq!(disk.blocks(), 100);
}

#[tokio::test]
async fn whoever_is_too_slow_for_the_events_is_told_so() {
    let mut turn = 0;
    let puppet = Puppet::new(move |command| {
        turn += u32::from(command.cdb.opcode() == 0);
        (command.cdb.opcode() == 0 && turn % 2 == 1).then(|| check(SenseKey::UnitAttention, 0x29, 0))
    });
    let disk = connect(&puppet).await;
    let mut events = disk.events();
    for _ in 0..400 {
        disk.test_unit_ready().await.unwrap();
    }
    let Some(Event::Lagged { missed }) = events.try_next() else { panic!("nothing was missed") };
    let mut seen = 0;
    while events.try_next().is_some() {
        seen += 1;
    }
    assert_eq!(missed + seen, 400);
    assert_eq!(disk.stats().unit_attentions, 400);
}

#[tokio::test]
async fn a_connection_can_be_made_anew_at_will() {
    let target = Target::new().await;
    let disk = target.connect().await;
    let mut events = disk.events();
    for round in 1..=5 {
        disk.reconnect();
        wait_for(&mut events, "connected again", |e| matches!(e, Event::Reconnected { .. })).await;
        disk.read(0, 1).await.unwrap();
        assert_eq!(disk.stats().reconnects, round);
    }
    target.wait_for_sessions(1).await;
}
