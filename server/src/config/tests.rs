//! Configurations, good and bad, and exactly what is said about them.

use std::fs;

use clap::Parser;
use iscsicore::node::{IscsiName, UnitId};
use tempfile::TempDir;

use super::*;
use crate::banner;
use crate::runtime::{Chosen, Runtime};

mod luns;
mod mistakes;

/// A target without mistakes; the tables under test come before or after it.
const TARGET: &str = "[[target]]\nname = \"iqn.2026-01.com.example:t\"\n";
const LUN: &str = "[[target.lun]]\nnumber = 0\nmemory = true\nsize = \"1M\"\n";

// Goal: one run finds all mistakes, in the order of the file. Method: four in different tables.
#[test]
fn all_mistakes_are_reported_together() {
    let text = format!(
        "[server]\nlog = 1\n[limits]\nsessions = 0\n{TARGET}alais = 1\n[[target.lun]]\nnumber = 0\nmemory = true\nsize = \"1Q\"\n"
    );
    let lines: Vec<String> =
        errors(&text).iter().map(|e| e.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "iscsicored.toml:2:7 server.log",
            "iscsicored.toml:4:12 limits.sessions",
            "iscsicored.toml:7:1 target.alais",
            "iscsicored.toml:11:8 target.lun.size"
        ]
    );
}

#[test]
fn a_secret_for_both_directions_is_a_mistake() {
    let chap = "[target.chap]\naccounts = [{ name = \"u\", secret = \"the same secret\" }]\nmutual = { name = \"t\", secret = \"the same secret\" }\n";
    assert_eq!(
        errors(&format!("{TARGET}{chap}{LUN}")),
        [
            "iscsicored.toml:5:33: target.chap.mutual.secret: the secret of CHAP account \"u\" is also that of the target's own account \"t\"; write a different secret here"
        ]
    );
    // The place is that of the secret, not of a namesake with another one, and in discovery too.
    let other = "[[target]]\nname = \"iqn.2026-01.com.example:u\"\n[target.chap]\naccounts = [{ name = \"v\", secret = \"one more secret\" }]\nmutual = { name = \"t\", secret = \"no shared secret\" }\n";
    let discovery = "[discovery.chap]\naccounts = [{ name = \"u\", secret = \"the own secret\" }]\n";
    let own = chap.replace("\"t\", secret = \"the same", "\"t\", secret = \"the own");
    let said = errors(&format!("{other}{LUN}{TARGET}{own}{LUN}{discovery}"));
    assert!(
        said.len() == 1
            && said[0].starts_with("iscsicored.toml:14:33: target.chap.mutual.secret: the secret of CHAP"),
        "{said:?}"
    );
}

#[test]
fn what_is_unwise_is_a_warning() {
    let open = format!("[[portal]]\naddress = \"0.0.0.0\"\n{TARGET}{LUN}");
    assert_eq!(
        warnings(&open),
        [
            "iscsicored.toml:3:1: warning: target iqn.2026-01.com.example:t can be read and overwritten by everybody who reaches 0.0.0.0:3260; configure [target.chap] or [target.access], or listen on 127.0.0.1"
        ]
    );
    let names = "[target.access]\ninitiators = [\"iqn.2008-11.org.linux-kvm:my_vm\"]\n";
    assert_eq!(
        warnings(&format!("[[portal]]\naddress = \"0.0.0.0\"\n{TARGET}{names}{LUN}")),
        [
            "iscsicored.toml:6:15: warning: target.access.initiators: \"iqn.2008-11.org.linux-kvm:my_vm\" is not a proper iSCSI name: the character '_' is not allowed; letters, digits, '-', '.' and ':' are"
        ]
    );
    let weak =
        "[target.chap]\nallow_weak_secrets = true\naccounts = [{ name = \"u\", secret = \"short\" }]\n";
    let said = warnings(&format!("{TARGET}{weak}{LUN}"));
    assert!(
        said.len() == 1 && said[0].contains("warning: target.chap.accounts.secret: the secret has 5 bytes"),
        "{said:?}"
    );
    assert_eq!(warnings(&format!("{TARGET}{LUN}")), [""; 0], "loopback alone");
}

// Goal: secrets come from files without their line end, and files that others can read are noticed.
#[cfg(unix)]
#[test]
fn secrets_come_from_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let (secret, config) = (dir.path().join("secret"), dir.path().join("iscsicored.toml"));
    fs::write(&secret, "secret of a file\r\n").unwrap();
    let chap = "[target.chap]\naccounts = [{ name = \"u\", secret_file = \"secret\" }]\n";
    fs::write(&config, format!("{TARGET}{chap}{LUN}")).unwrap();
    let read = |mode: u32| {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let loaded =
            load(&Args::parse_from(["iscsicored".as_ref(), "--config".as_ref(), config.as_os_str()]));
        (loaded.config.unwrap(), loaded.warnings)
    };
    let (private, warnings) = read(0o600);
    assert!(warnings.is_empty(), "{warnings:?}");
    let chap = private.node.targets[0].access.chap.as_ref().unwrap();
    assert!(chap.accounts[0].account.secret == iscsicore::login::Secret::new("secret of a file"));
    let (_, warnings) = read(0o644);
    let want = format!(
        "{0}:4:41: warning: target.chap.accounts.secret_file: everybody on this machine can read {1}; run chmod 600 {1}",
        config.display(),
        secret.display()
    );
    assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [want]);
    fs::remove_file(&secret).unwrap();
    let loaded = load(&Args::parse_from(["iscsicored".as_ref(), "--config".as_ref(), config.as_os_str()]));
    assert!(loaded.config.unwrap_err()[0].to_string().contains("secret cannot be read: "));
}

#[test]
fn secrets_never_show() {
    let chap = "[target.chap]\naccounts = [{ name = \"alice\", secret = \"unspeakable secret\" }]\nmutual = { name = \"t\", secret = \"unutterable secret\" }\n";
    let config = good(&format!("{TARGET}{chap}{LUN}"));
    let shown = format!("{config:?}{}", greeting(&config));
    assert!(shown.contains("alice") && !shown.contains("unspeakable") && !shown.contains("unutterable"));
}

#[test]
fn one_file_is_one_unit_however_often_it_is_served() {
    let lun = |number: u16, path: &str, rest: &str| {
        format!("[[target.lun]]\nnumber = {number}\npath = \"{path}\"\nsize = 512\n{rest}")
    };
    let second = "[[target]]\nname = \"iqn.2026-01.com.example:u\"\n";
    let text = [
        TARGET,
        &lun(0, "f", "read_only = true\n"),
        second,
        &lun(5, "./f", ""),
        &lun(6, "g", "read_only = true\n"),
    ]
    .concat();
    let config = good(&text);
    assert_eq!(config.units.len(), 2);
    let unit = |target: usize, lun: u64| {
        config.node.targets[target].luns.get(iscsicore::wire::Lun(lun << 48)).unwrap().unit
    };
    assert_eq!((unit(0, 0), unit(1, 5), unit(1, 6)), (UnitId(0), UnitId(0), UnitId(1)));
    assert!(!config.units[0].read_only && config.units[1].read_only, "writable where any LUN is");
    assert_eq!(config.units[0].serial, None, "to be assigned");
}

#[test]
fn luns_for_some_initiators_join_or_hide_those_for_all() {
    let more = "[[target.lun]]\nnumber = 1\nmemory = true\nsize = 1024\n\
        [[target.lun]]\nnumber = 1\nmemory = true\nsize = 2048\nserial = \"own\"\nnaa = \"3000000000000001\"\ninitiators = [\"iqn.2026-01.com.example:h\"]\n";
    let config = good(&format!("{TARGET}{LUN}{more}"));
    let target = &config.node.targets[0];
    let units =
        |map: &LunMap| map.iter().map(|(lun, m)| (lun.number().unwrap(), m.unit.0)).collect::<Vec<_>>();
    assert_eq!(units(&target.luns), [(0, 0), (1, 1)]);
    let own = &target.luns_for[&IscsiName::parse("iqn.2026-01.com.example:h").unwrap()];
    assert_eq!(units(own), [(0, 0), (1, 2)]);
}

#[test]
fn portals_form_groups_and_targets_choose_among_them() {
    let portals =
        "[[portal]]\nname = \"a\"\naddress = \"127.0.0.1\"\n[[portal]]\naddress = \"[::1]:861\"\ngroup = 7\n";
    let config = good(&format!("{portals}{TARGET}portals = [\"[::1]:861\", \"a\", \"a\"]\n{LUN}"));
    let groups = &config.node.targets[0].groups;
    let of = |tag, address: &str| PortalGroup::new(tag, [address.parse().unwrap()]);
    assert_eq!(groups, &[of(1, "127.0.0.1:3260"), of(7, "[::1]:861")]);
    assert_eq!(config.portals.len(), 2);
    let one = good(&format!("{portals}{TARGET}portals = [\"a\"]\n{LUN}"));
    assert_eq!(one.node.targets[0].groups, [of(1, "127.0.0.1:3260")]);
}

#[test]
fn numbers_reach_where_they_belong() {
    let text = format!(
        "[server]\nlog = \"debug\"\nlog_format = \"json\"\ndata_dir = \"d\"\nruntime = \"glommio\"\nshards = 1\npinned = false\n[limits]\nsessions = 7\nqueue_depth = 9\nping_interval = 0\n{TARGET}\
         [target.parameters]\nmax_burst_length = \"2M\"\nfirst_burst_length = 512\nmax_recv_data_segment_length = \"64K\"\nmax_outstanding_r2t = 3\ninitial_r2t = true\nimmediate_data = false\ndata_digest = \"none\"\n{LUN}"
    );
    let config = good(&text);
    assert_eq!((config.limits.sessions, config.session.queue_depth), (7, 9));
    assert_eq!(config.session.ping_interval, std::time::Duration::ZERO);
    assert_eq!(config.log, Log { format: LogFormat::Json, filter: "debug".into() });
    assert_eq!(config.data_dir, PathBuf::from("d"));
    let runtime = RuntimeConfig { choice: Choice::Glommio, shards: NonZeroUsize::new(1), pinned: false };
    assert_eq!(config.runtime, runtime);
    let offer = &config.node.targets[0].offer;
    assert_eq!((offer.max_burst, offer.first_burst, offer.max_segment), (2 << 20, 512, 65536));
    assert_eq!((offer.max_outstanding_r2t, offer.initial_r2t, offer.immediate_data), (3, true, false));
    assert_eq!(offer.data_digest, iscsicore::login::DigestOffer::NoneOnly);
}

#[test]
fn without_arguments_a_disk_is_served_to_this_machine() {
    let loaded = load(&Args::parse_from(["iscsicored"]));
    assert!(loaded.warnings.is_empty());
    let config = loaded.config.unwrap();
    assert_eq!(config.portals, ["127.0.0.1:3260".parse().unwrap()]);
    assert_eq!(config.units[0].backing, Backing::File("iscsicored-data/disk0.img".into()));
    assert_eq!(config.units[0].size, Some(1 << 30));
    assert_eq!(
        greeting(&config),
        format!(
            "iscsicored {}\n
target iqn.2026-01.dev.iscsicore:disk0
  portal 127.0.0.1:3260 group 1
  open to every initiator, no authentication
  LUN 0: iscsicored-data/disk0.img, 1 GiB, blocks of 512, serial and naa to be assigned at first start, read-write
discovery: open
runtime: tokio

try it:
  iscsi-ls -s iscsi://127.0.0.1:3260
  iscsictl info iscsi://127.0.0.1:3260/iqn.2026-01.dev.iscsicore:disk0/0
  qemu-img info iscsi://127.0.0.1:3260/iqn.2026-01.dev.iscsicore:disk0/0
  iscsiadm -m discovery -t sendtargets -p 127.0.0.1:3260
  iscsiadm -m node -T iqn.2026-01.dev.iscsicore:disk0 -p 127.0.0.1:3260 --login
",
            env!("CARGO_PKG_VERSION")
        )
    );
}

// Goal: the commands to try pass the rules of the target. Method: rules on names, on accounts, and on both.
#[test]
fn what_to_try_names_an_initiator_that_may() {
    let tried = |rules: &str| {
        let banner = greeting(&good(&format!("{TARGET}{rules}{LUN}")));
        banner.split_once("try it:\n").unwrap().1.to_owned()
    };
    let access =
        "[target.access]\ninitiators = [\"iqn.2026-01.com.example:a\", \"iqn.2026-01.com.example:b\"]\n";
    let t = "iqn.2026-01.com.example:t";
    assert_eq!(
        tried(access),
        format!(
            "  iscsi-ls -i iqn.2026-01.com.example:a -s iscsi://127.0.0.1:3260
  iscsictl info --initiator-name iqn.2026-01.com.example:a iscsi://127.0.0.1:3260/{t}/0
  qemu-img info --image-opts driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=127.0.0.1:3260,file.target={t},file.lun=0,file.initiator-name=iqn.2026-01.com.example:a
  # iscsiadm: /etc/iscsi/initiatorname.iscsi must say InitiatorName=iqn.2026-01.com.example:a
  iscsiadm -m discovery -t sendtargets -p 127.0.0.1:3260
  iscsiadm -m node -T {t} -p 127.0.0.1:3260 --login
"
        )
    );
    let account = |more: &str| {
        format!("[target.chap]\naccounts = [{{ name = \"u\", secret = \"long enough one\"{more} }}]\n")
    };
    let with_chap = tried(&account(""));
    assert!(with_chap.contains("USERNAME=u ") && with_chap.contains("node.session.auth."), "{with_chap}");
    assert!(!with_chap.contains(" -i ") && !with_chap.contains("initiator-name"), "{with_chap}");
    let both = tried(&format!("{access}{}", account(", initiators = [\"iqn.2026-01.com.example:b\"]")));
    assert!(
        both.contains("-ls -i iqn.2026-01.com.example:b ")
            && both.contains("--object \"secret,id=chap,data=$LIBISCSI_CHAP_PASSWORD\"")
            && both.contains("name=iqn.2026-01.com.example:b,file.user=u,file.password-secret=chap\n"),
        "{both}"
    );
}

// Goal: a filter that would silence the log by a slip is a mistake. Method: words, alone and among good ones.
#[test]
fn a_word_in_the_log_filter_is_a_level() {
    for good in [
        "info",
        "WARN",
        "off",
        "info,iscsicore=debug",
        "iscsicore=debug",
        "info,iscsicored::run=off",
        "[a{b}]=info,warn",
        "iscsicored[a],warn",
    ] {
        assert_eq!(check_filter(good), Ok(()), "{good}");
    }
    for (bad, word) in [
        ("loud", "loud"),
        ("info,loud", "loud"),
        ("iscsicore=debug,inof", "inof"),
        ("iscsicore", "iscsicore"),
    ] {
        let want = format!(
            "{word:?} is not a level; write error, warn, info, debug or trace, or a filter such as info,iscsicore=debug"
        );
        assert_eq!(check_filter(bad), Err(want));
    }
    assert!(check_filter("iscsicore=loud").unwrap_err().contains("is not a log filter"));
}

#[test]
fn disks_of_the_command_line_become_luns() {
    let line = [
        "iscsicored",
        "--disk",
        "memory:1M",
        "--disk",
        "memory:2M",
        "--listen",
        "192.0.2.1",
        "--log",
        "warn",
    ];
    let loaded = load(&Args::parse_from(line));
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "command line: warning: target iqn.2026-01.dev.iscsicore:disk0 can be read and overwritten by everybody who reaches 192.0.2.1:3260; use --config FILE with [target.chap] or [target.access], or listen on 127.0.0.1"
    );
    let config = loaded.config.unwrap();
    assert_eq!(config.node.targets[0].luns.len(), 2);
    assert_eq!(config.units.iter().map(|u| u.size).collect::<Vec<_>>(), [Some(1 << 20), Some(2 << 20)]);
    assert_eq!(config.log.filter, "warn");
    let bad = load(&Args::parse_from(["iscsicored", "--disk", "none.img"])).config.unwrap_err();
    assert_eq!(
        bad[0].to_string(),
        "command line: --disk: none.img does not exist; write a size to have it created"
    );
}

// Goal: the command line has the last word, and its mistakes are found all at once.
#[test]
fn the_command_line_overrides_runtime_and_log() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("f.toml");
    fs::write(&path, format!("[server]\nruntime = \"glommio\"\nshards = 1\n{TARGET}{LUN}")).unwrap();
    let with = |more: &[&str]| {
        load(&Args::parse_from([&["iscsicored", "--config", path.to_str().unwrap()], more].concat()))
    };
    let runtime = |more: &[&str]| {
        let runtime = with(more).config.unwrap().runtime;
        (runtime.choice, runtime.shards.map(NonZeroUsize::get))
    };
    assert_eq!(runtime(&[]), (Choice::Glommio, Some(1)));
    assert_eq!(runtime(&["--shards", "7", "--runtime", "auto"]), (Choice::Auto, Some(7)));
    // The file's number of shards is of no use to tokio, and in nobody's way.
    assert_eq!(runtime(&["--runtime", "tokio"]), (Choice::Tokio, Some(1)));
    let errors = with(&["--runtime", "tokio", "--shards", "2", "--log", "loud"]).config.unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("command line: --log: \"loud\" is not a level"), "{errors:?}");
    assert_eq!(
        errors[1],
        "command line: --shards: tokio has no shards; leave it out, or write --runtime glommio or auto"
    );
    let many = with(&["--shards", "1024"]).warnings;
    assert!(many[0].to_string().starts_with("command line: warning: --shards: 1024 shards on "), "{many:?}");
}

/// Each text, made a file, has one mistake, and this is said about it.
fn expect(file: impl Fn(&str) -> String, mistakes: &[(&str, &str)]) {
    let len = fs::metadata("Cargo.toml").unwrap().len().to_string();
    for (text, want) in mistakes {
        let want = format!("iscsicored.toml:{}", want.replace("LEN", &len));
        assert_eq!(errors(&file(text)), [want], "{text}");
    }
}

fn greeting(config: &Config) -> String {
    banner::banner(config, &Chosen { runtime: Runtime::Tokio, why_not_glommio: None })
}

fn loaded(text: &str) -> Loaded {
    file::load(Path::new("iscsicored.toml"), text)
}

fn good(text: &str) -> Config {
    loaded(text).config.unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"))
}

fn errors(text: &str) -> Vec<String> {
    loaded(text).config.map_or_else(|e| e.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

fn warnings(text: &str) -> Vec<String> {
    loaded(text).warnings.iter().map(ToString::to_string).collect()
}
