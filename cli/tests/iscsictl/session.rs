//! Sessions, what is told about them, and how their errors look.

use std::time::{Duration, Instant};

use iscsicore::login::{Account, ChapAlgorithm, Secret};
use iscsicore::node::{ChapAccount, ChapRules, Initiators};

use serde_json::Value;

use crate::support::{Rig, SIZE, TARGET, command, finish, run};

#[test]
fn discovery_lists_targets_and_portals() {
    let rig = Rig::new();
    let said = run(&["discover", &rig.portal()]).ok();
    assert_eq!(said.text(), format!("{TARGET}\n  {},1\n", rig.portal()));
    let json = run(&["discover", &rig.portal(), "--json"]).ok().json();
    assert_eq!(json["portal"], rig.portal());
    assert_eq!(json["targets"][0]["name"], TARGET);
    assert_eq!(json["targets"][0]["portals"][0]["address"], rig.portal());
    assert_eq!(json["targets"][0]["portals"][0]["group"], 1);
}

#[test]
fn info_tells_of_unit_and_session() {
    let rig = Rig::new();
    let json = run(&["--json", "info", &rig.url(0), "--header-digest", "crc32c"]).ok().json();
    assert_eq!(json["target"], TARGET);
    assert_eq!((&json["lun"], &json["serial"]), (&0.into(), &"first".into()));
    assert_eq!(json["capacity"]["bytes"], SIZE);
    assert_eq!(json["capacity"]["block_size"], 512);
    assert_eq!(json["provisioning"]["thin"], true);
    assert_eq!(json["write_protected"], false);
    assert_eq!(
        (&json["session"]["HeaderDigest"], &json["session"]["DataDigest"]),
        (&"CRC32C".into(), &"None".into())
    );
    assert!(json["session"]["MaxBurstLength"].as_u64().unwrap() >= 512);
    assert_eq!(json["session"]["DataPDUInOrder"], true);
    assert_eq!(json["session"]["DataSequenceInOrder"], true);
    assert_eq!(json["session"]["TargetPortalGroupTag"], 1);
    assert!(json["session"]["TSIH"].as_u64().unwrap() > 0);
    let given = run(&["--json", "info", &rig.url(0), "--isid", "80aabbccdd01"]).ok().json();
    assert_eq!(
        (&given["session"]["ISID"], &given["session"]["TargetAlias"]),
        (&"80aabbccdd01".into(), &Value::Null)
    );
    assert!(
        json["names"].as_array().unwrap().iter().any(|name| name["name"].as_str().unwrap().contains("naa."))
    );
    let text = run(&["info", &rig.url(1)]).ok().text();
    for part in
        ["serial                    second\n", "32 MiB (65536 blocks of 512 bytes", "InitialR2T", "\nISID  "]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn luns_are_listed_with_their_sizes() {
    let rig = Rig::new();
    // Without a LUN, and with one that is not there: the target is what counts.
    for url in [format!("iscsi://{}/{TARGET}", rig.portal()), rig.url(7)] {
        let json = run(&["luns", &url, "--json"]).ok().json();
        let luns: Vec<_> =
            json["luns"].as_array().unwrap().iter().map(|l| (&l["lun"], &l["bytes"])).collect();
        assert_eq!(luns, [(&0.into(), &SIZE.into()), (&1.into(), &SIZE.into())]);
    }
    let text = run(&["luns", &rig.url(0)]).ok().text();
    assert!(text.starts_with("LUN  SIZE    BLOCK  TYPE  PRODUCT\n0    32 MiB  512    disk  "), "{text}");
}

#[test]
fn pings_are_counted() {
    let rig = Rig::new();
    let arguments = ["--json", "--count", "3", "--interval", "1ms"];
    for (to, what) in [(rig.url(0), "NOP-Out"), (rig.portal(), "discovery")] {
        let lines = run(&[&["ping", &to], &arguments[..]].concat()).ok().lines();
        assert_eq!(lines.len(), 4);
        assert_eq!((&lines[2]["type"], &lines[2]["seq"]), (&"reply".into(), &3.into()));
        assert!(lines[0]["microseconds"].as_f64().unwrap() > 0.0);
        let summary = &lines[3];
        assert_eq!(
            (&summary["what"], &summary["sent"], &summary["answered"]),
            (&what.into(), &3.into(), &3.into())
        );
    }
    assert_eq!(rig.sessions_left(), 0);
}

// Goal: each kind of failure has its exit code, and says what, where and what to try, in one line or as JSON.
#[test]
fn failures_have_codes_places_and_remedies() {
    let rig = Rig::new();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wrong_target = format!("iscsi://{}/iqn.2026-01.dev.iscsicore.test:none/0", rig.portal());
    let refused = format!("iscsi://{nowhere}/{TARGET}/0");
    for (arguments, code, kind, part) in [
        (&["info", &refused][..], 3, "connection", "cannot connect"),
        (&["discover", &nowhere.to_string()], 3, "connection", "cannot connect"),
        (&["info", &wrong_target], 3, "connection", "0x0203"),
        (&["info", &rig.url(9)], 1, "operation", "has no LUN 9"),
        (&["info", "nonsense"], 2, "usage", "iscsi://"),
        (&["info", "iscsi://host"], 2, "usage", "no target"),
        (&["info"], 2, "usage", "<URL>"),
        (&["read", &rig.url(0), "--offset", "1X"], 2, "usage", "1X"),
        (&["nonsense"], 2, "usage", "nonsense"),
        (&["keys", &rig.url(0)], 1, "operation", "INVALID COMMAND OPERATION CODE"),
    ] {
        let said = run(arguments).code(code);
        assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
        assert!(said.stderr.starts_with("iscsictl: ") && said.stderr.contains(part), "{}", said.stderr);
        assert!(said.stdout.is_empty());
        let error = run(&[arguments, &["--json"]].concat()).code(code).error();
        assert_eq!((&error["kind"], &error["code"]), (&kind.into(), &code.into()));
        assert!(error["what"].as_str().unwrap().contains(part), "{error}");
        assert!(error["try"].is_string(), "{error}");
    }
    assert_eq!(run(&["--help"]).ok().text().matches("\n  3    no session").count(), 1);
    for arguments in [&["--version"][..], &["copy", "--help"], &["help", "bench"]] {
        assert!(run(arguments).ok().stderr.is_empty());
    }
    assert_eq!(rig.sessions_left(), 0, "failures log out as well");
}

// Goal: a session that is lost for good ends what needs it, at once or after the time that was given.
#[test]
fn a_session_that_is_lost_ends_the_command() {
    for (how_long, least) in [("0", 0), ("700ms", 500)] {
        let mut rig = Rig::new();
        let url = rig.url(0);
        let mut children = Vec::new();
        for arguments in [
            &["bench", &url, "--time", "1h"][..],
            &["ping", &url, "--count", "1000000", "--interval", "10ms"],
            &["resize-watch", &url, "--interval", "50ms"],
        ] {
            children.push(command(&[arguments, &["--reconnect-for", how_long]].concat()).spawn().unwrap());
        }
        while rig.runtime.block_on(rig.server.as_ref().unwrap().sessions()).len() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        rig.runtime.block_on(rig.server.take().unwrap().shutdown_within(Duration::ZERO));
        for (at, child) in children.into_iter().enumerate() {
            let said = finish(child).code(3);
            assert!(said.stderr.contains(&url) && said.stderr.lines().count() >= 1, "{}", said.stderr);
            // Not only that it ended: how.
            let dialed_in_vain = at == 0 && least > 0;
            assert!(!dialed_in_vain || said.stderr.contains("ended: cannot connect to"), "{}", said.stderr);
            assert!(begun.elapsed() >= Duration::from_millis(least), "{:?}", begun.elapsed());
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

fn with_chap() -> Rig {
    Rig::with(|target| {
        let account =
            |name: &str, secret: &str| Account { name: name.to_owned(), secret: Secret::new(secret) };
        target.access.chap = Some(ChapRules {
            accounts: vec![ChapAccount {
                account: account("alice", "a secret of 96 bits"),
                initiators: Initiators::Any,
            }],
            mutual: Some(account("target", "another one of 96 bits")),
            algorithms: ChapAlgorithm::ALL.to_vec(),
        });
    })
}

// Goal: secrets come from files, the environment and URLs, and are never said again.
#[test]
fn secrets_are_used_and_never_shown() {
    let rig = with_chap();
    let (own, wrong, targets) = (rig.path("own"), rig.path("wrong"), rig.path("targets"));
    for (path, secret) in [
        (&own, "a secret of 96 bits\n"),
        (&wrong, "hidden hidden hidden"),
        (&targets, "another one of 96 bits"),
    ] {
        std::fs::write(path, secret).unwrap();
    }
    let url = rig.url(0);
    let ping = ["ping", &url, "--count", "1", "--user", "alice"];
    let mutual = ["--target-user", "target", "--target-password-file"];
    run(&[&ping[..], &["--password-file", &own]].concat()).ok();
    run(&[&ping[..], &["--password-file", &own], &mutual, &[&targets]].concat()).ok();
    run(&[&ping[..], &["--password-file", &own], &mutual, &[&wrong]].concat()).code(3);
    finish(command(&ping).env("ISCSICORE_PASSWORD", "a secret of 96 bits").spawn().unwrap()).ok();
    finish(command(&ping).env("ISCSICORE_PASSWORD_FILE", &own).spawn().unwrap()).ok();
    finish(
        command(&["ping", &url, "--count", "1"])
            .env("ISCSICORE_PASSWORD", "a secret of 96 bits")
            .env("ISCSICORE_USER", "alice")
            .spawn()
            .unwrap(),
    )
    .ok();
    let in_url = url.replace("iscsi://", "iscsi://alice%a secret of 96 bits@");
    let said = run(&["ping", &in_url, "--count", "1"]).ok();
    assert!(!said.text().contains("secret of"), "{}", said.text());

    for arguments in [
        &[&ping[..], &["--password-file", &wrong]].concat()[..],
        &["ping", &url.replace("iscsi://", "iscsi://alice%hidden hidden hidden@"), "--count", "1"],
        &["copy", &url.replace("iscsi://", "iscsi://alice%hidden hidden hidden@"), &rig.path("copy")],
    ] {
        let said = run(arguments).code(3);
        assert!(!said.stderr.contains("hidden") && !said.text().contains("hidden"), "{}", said.stderr);
        assert!(said.stderr.contains("0x0201"), "{}", said.stderr);
    }
    let said = run(&["ping", &url, "--password-file", &own]).code(2);
    assert!(said.stderr.contains("add --user"), "{}", said.stderr);
    let said = run(&[&ping[..], &["--password-file", &rig.path("none")]].concat()).code(2);
    assert!(said.stderr.contains("cannot read the secret"), "{}", said.stderr);
}

#[test]
fn completions_are_made_for_each_shell() {
    for (shell, part) in
        [("bash", "complete -F"), ("zsh", "#compdef iscsictl"), ("fish", "complete -c iscsictl")]
    {
        let text = run(&["completions", shell]).ok().text();
        assert!(text.contains(part) && text.contains("resize-watch"), "{shell}");
    }
}
