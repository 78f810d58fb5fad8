//! Connecting: what must be right for it, and what is said when it is not.

#[path = "support/target.rs"]
mod target;

use std::net::SocketAddr;
use std::time::Duration;

use iscsicore::login::{Account, ChapAlgorithm, DigestOffer, Secret};
use iscsicore::nexus::{AttemptError, ReconnectPolicy};
use iscsicore::node::{ChapAccount, ChapRules, Initiators, TargetConfig};
use iscsicore::wire::LoginStatus;
use iscsicore_tokio::client::{ClientBuilder, ClientError};
use iscsicore_tokio::{Client, discover};

use target::{TARGET, Target, within};

/// An address where nothing listens.
async fn nowhere() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn builder(address: SocketAddr, target: &str) -> ClientBuilder {
    Client::builder().without_environment().url(&format!("iscsi://{address}/{target}/0")).unwrap()
}

fn assert_says(error: &ClientError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[tokio::test]
async fn where_nothing_listens() {
    let address = nowhere().await;
    let error = within("refused", builder(address, TARGET).connect()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Connect(e) if matches!(e.why, AttemptError::Dial { .. })));
    assert_says(&error, &[TARGET, &address.to_string(), "refused", "check the address"]);
}

#[tokio::test]
async fn where_a_name_has_no_address() {
    let connecting = Client::builder().url("iscsi://name.invalid:1/iqn.2026-01.com.example:x/0").unwrap();
    let error = within("resolved", connecting.connect()).await.unwrap_err();
    assert_says(&error, &["name.invalid", "cannot be resolved"]);
}

#[tokio::test]
async fn where_somebody_listens_and_says_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut policy = ReconnectPolicy::default();
    policy.attempt_timeout = Duration::from_millis(200);
    let connecting = builder(listener.local_addr().unwrap(), TARGET).reconnect(policy);
    let error = within("the attempt ends", connecting.connect()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Connect(e) if matches!(e.why, AttemptError::TimedOut { .. })));
    assert_says(&error, &["longer than 0.2 s", "firewall"]);
}

#[tokio::test]
async fn where_somebody_hangs_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let error = within("the attempt ends", builder(address, TARGET).connect()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Connect(e) if matches!(e.why, AttemptError::Lost { .. })));
    assert_says(&error, &["lost during the login", &address.to_string()]);
}

#[tokio::test]
async fn an_unknown_target() {
    let target = Target::new().await;
    let connecting = builder(target.address, "iqn.2026-01.dev.iscsicore.test:other");
    let error = within("refused", connecting.connect()).await.unwrap_err();
    let ClientError::Connect(connect) = &error else { panic!("{error}") };
    let AttemptError::Login { failure, .. } = &connect.why else { panic!("{error}") };
    assert_eq!(failure.status, Some(LoginStatus::NOT_FOUND));
    assert_says(&error, &["iqn.2026-01.dev.iscsicore.test:other", "0x0203"]);
}

#[tokio::test]
async fn a_unit_that_is_not_there() {
    let target = Target::new().await;
    let error = within("refused", target.builder().lun(7).connect()).await.unwrap_err();
    let ClientError::NoSuchLun(missing) = &error else { panic!("{error}") };
    assert_eq!((missing.lun, &missing.present[..]), (7, &[0][..]));
    assert_says(&error, &[TARGET, "has no LUN 7; it has 0"]);
    // The session of the attempt is not left behind.
    target.wait_for_sessions(0).await;
}

#[tokio::test]
async fn a_url_without_target() {
    let target = Target::new().await;
    let error = Client::connect(&format!("iscsi://{}", target.address)).await.unwrap_err();
    assert_says(&error, &["names no target", "discover"]);
    let error = Client::connect("http://x").await.unwrap_err();
    assert_says(&error, &["iscsi://"]);
    let error = Client::builder().target(TARGET).unwrap().connect().await.unwrap_err();
    assert_says(&error, &["set a URL or a portal"]);
}

#[tokio::test]
async fn a_name_with_several_addresses() {
    // localhost is ::1 on many machines, where the server does not listen.
    let target = Target::new().await;
    let url = format!("iscsi://localhost:{}/{TARGET}/0", target.address.port());
    let connecting = Client::builder().without_environment().url(&url).unwrap().connect();
    let disk = within("connected", connecting).await.unwrap();
    assert_eq!(disk.read(0, 1).await.unwrap().len(), 512);
}

#[tokio::test]
async fn over_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    let memory = iscsicore_tokio::backend::MemoryBackend::new(target::SIZE);
    let target = Target::serve("[::1]:0".parse().unwrap(), memory, |_, _| {}).await;
    let disk = within("connected", target.connect()).await;
    assert_eq!(disk.target_address(), format!("[::1]:{}", target.address.port()));
    disk.test_unit_ready().await.unwrap();
    let found = discover(&disk.target_address(), Client::builder().without_environment()).await.unwrap();
    assert_eq!(found[0].addresses[0].address, disk.target_address());
}

/// A target that demands CHAP of `me`, and proves itself as `it`.
async fn guarded() -> Target {
    Target::with(|_, target: &mut TargetConfig| {
        let account = |name: &str, secret: &str| Account { name: name.into(), secret: Secret::new(secret) };
        let user =
            ChapAccount { account: account("me", "secret of the initiator"), initiators: Initiators::Any };
        target.access.chap = Some(ChapRules {
            accounts: vec![user],
            mutual: Some(account("it", "secret of the target")),
            algorithms: ChapAlgorithm::ALL.to_vec(),
        });
    })
    .await
}

#[tokio::test]
async fn chap_one_way_and_both_ways() {
    let target = guarded().await;
    let right = || target.builder().credentials("me", "secret of the initiator");
    let disk = within("one way", right().connect()).await.unwrap();
    disk.test_unit_ready().await.unwrap();
    disk.logout().await.unwrap();

    let mutual = right().mutual("it", "secret of the target").connect();
    within("both ways", mutual).await.unwrap().test_unit_ready().await.unwrap();

    let url = format!(
        "iscsi://me%secret of the initiator@{}/{TARGET}/0?target_user=it&target_password=secret of the target&auth=md5",
        target.address
    );
    let from_url = Client::builder().without_environment().url(&url).unwrap().connect();
    within("from a URL", from_url).await.unwrap().test_unit_ready().await.unwrap();

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "secret of the initiator\n").unwrap();
    let from_file = target.builder().credentials_file("me", &file).unwrap().connect();
    within("from a file", from_file).await.unwrap().test_unit_ready().await.unwrap();
}

#[tokio::test]
async fn chap_that_fails() {
    let target = guarded().await;
    let wrong = target.builder().credentials("me", "secret that is wrong").connect();
    let error = within("refused", wrong).await.unwrap_err();
    let ClientError::Connect(connect) = &error else { panic!("{error}") };
    let AttemptError::Login { failure, .. } = &connect.why else { panic!("{error}") };
    assert_eq!(failure.status, Some(LoginStatus::AUTHENTICATION_FAILURE));
    assert!(!error.to_string().contains("secret that is wrong"), "{error}");

    let none = within("refused", target.builder().connect()).await.unwrap_err();
    assert!(matches!(none, ClientError::Connect(_)), "{none}");

    let right = target.builder().credentials("me", "secret of the initiator");
    let impostor = right.mutual("it", "what the target does not know").connect();
    let error = within("refused", impostor).await.unwrap_err();
    let ClientError::Connect(connect) = &error else { panic!("{error}") };
    let AttemptError::Login { failure, .. } = &connect.why else { panic!("{error}") };
    assert_eq!(failure.status, None, "this end gave up: {failure}");
    target.wait_for_sessions(0).await;
}

#[tokio::test]
async fn digests_as_asked_for() {
    let target = Target::new().await;
    for (header, data) in [(true, true), (true, false), (false, true), (false, false)] {
        let offer = |on| if on { DigestOffer::Crc32cOnly } else { DigestOffer::NoneOnly };
        let connecting = target.builder().header_digest(offer(header)).data_digest(offer(data)).connect();
        let disk = within("connected", connecting).await.unwrap();
        let parameters = disk.parameters();
        assert_eq!((parameters.header_digest, parameters.data_digest), (header, data));
        let data = target::pattern(0, 600, 1);
        disk.write_from(0, &data).await.unwrap();
        assert_eq!(disk.read(0, 600).await.unwrap(), data);
    }
    // Without a word about it, they are not used.
    let disk = within("connected", target.connect()).await;
    assert!(!disk.parameters().header_digest && !disk.parameters().data_digest);
}

#[tokio::test]
async fn names_of_this_end() {
    let target = Target::new().await;
    let named = target.builder().initiator_name("iqn.2026-01.com.example:me").unwrap().alias("my machine");
    let _first = within("connected", named.connect()).await.unwrap();
    let _second = within("connected", target.connect()).await;
    let sessions = target.server.as_ref().unwrap().sessions().await;
    let mut names: Vec<&str> = sessions.iter().map(|s| s.initiator.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names[0], "iqn.2026-01.com.example:me");
    assert!(names[1].starts_with("iqn.2026-01.dev.iscsicore:"), "{names:?}");
    let bad = target.builder().initiator_name("me").map(|_| ()).unwrap_err();
    assert_says(&bad, &["the initiator name \"me\""]);
}

#[tokio::test]
async fn discovery() {
    let target = Target::with(|builder, _| {
        for n in 0..100 {
            builder.target(&format!("iqn.2026-01.dev.iscsicore.test:other-{n}"), &[]).unwrap();
        }
    })
    .await;
    let options = Client::builder().without_environment();
    let found = discover(&target.address.to_string(), options.clone()).await.unwrap();
    assert_eq!(found.len(), 101);
    let disk = found.iter().find(|t| t.name == TARGET).unwrap();
    assert_eq!(disk.addresses[0].address, target.address.to_string());
    target.wait_for_sessions(0).await;

    let error = discover(&nowhere().await.to_string(), options.clone()).await.unwrap_err();
    assert_says(&error, &["the portal 127.0.0.1", "refused"]);
    let error = discover("ho st", options).await.unwrap_err();
    assert_says(&error, &["the host"]);
}

#[tokio::test]
async fn connecting_can_be_given_up() {
    let target = Target::new().await;
    for micros in [0, 50, 200, 500, 1000, 2000] {
        let connecting = target.builder().connect();
        let _ = tokio::time::timeout(Duration::from_micros(micros), connecting).await;
    }
    target.wait_for_sessions(0).await;
}
