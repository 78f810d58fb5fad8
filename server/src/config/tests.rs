//! Configurations, good and bad, and exactly what is said about them.

use std::fs;

use clap::Parser;
use iscsicore::node::{IscsiName, UnitId};
use tempfile::TempDir;

use super::*;
use crate::banner;

/// A target without mistakes; the tables under test come before or after it.
const TARGET: &str = "[[target]]\nname = \"iqn.2026-01.com.example:t\"\n";
const LUN: &str = "[[target.lun]]\nnumber = 0\nmemory = true\nsize = \"1M\"\n";

// Goal: every mistake is named with its line, column, key and remedy. Method: one file for each, and the exact message.
#[test]
fn each_mistake_has_its_message() {
    for (text, want) in [
        ("[server]\nlog = 3\n", "2:7: server.log: is an integer, not a string; put it in quotes"),
        ("[server]\nlgo = \"info\"\n", "2:1: server.lgo: is not a known key; did you mean `log`?"),
        (
            "[server]\ncolour = 1\n",
            "2:1: server.colour: is not a known key; the keys here are data_dir, log, log_format",
        ),
        (
            "[server]\nlog_format = \"xml\"\n",
            "2:14: server.log_format: \"xml\" is not a choice; write \"text\" or \"json\"",
        ),
        ("[sever]\n", "1:2: sever: is not a known key; did you mean `server`?"),
        ("server = 1\n", "1:10: server: is an integer, not a table; write [server]"),
        ("[portal]\naddress = \"::\"\n", "1:1: portal: is not a list of tables; write [[portal]]"),
        (
            "[[portal]]\ngroup = 1\n",
            "1:1: portal.address: is missing; write an IP address such as 0.0.0.0:3260",
        ),
        (
            "[[portal]]\naddress = \"localhost\"\n",
            "2:11: portal.address: \"localhost\" is not an address; write an IP address such as 0.0.0.0, 192.0.2.1:3260 or [::1]:3260",
        ),
        (
            "[[portal]]\naddress = \"127.0.0.1\"\ngroup = 65536\n",
            "3:9: portal.group: 65536 is out of range; write 0 to 65535",
        ),
        (
            "[[portal]]\naddress = \"127.0.0.1\"\n[[portal]]\naddress = \"127.0.0.1:3260\"\n",
            "4:11: portal.address: there is a portal 127.0.0.1:3260 already; remove one",
        ),
        (
            "[[portal]]\nname = \"a\"\naddress = \"127.0.0.1\"\n[[portal]]\nname = \"a\"\naddress = \"127.0.0.2\"\n",
            "4:1: portal.name: there is a portal named \"a\" already; rename one",
        ),
        ("[limits]\nsessions = 0\n", "2:12: limits.sessions: 0 is out of range; write 1 to 65535"),
        (
            "[limits]\nlogin_timeout = 1.5\n",
            "2:17: limits.login_timeout: is a number with a fraction, not a number; write digits without quotes",
        ),
        (
            "[discovery.chap]\n",
            "1:1: discovery.chap.accounts: is missing; write accounts = [{ name = \"..\", secret_file = \"..\" }]",
        ),
        (
            "[discovery.chap]\naccounts = []\n",
            "2:12: discovery.chap.accounts: has no account, so nobody could log in; write accounts = [{ name = \"..\", secret_file = \"..\" }]",
        ),
    ] {
        assert_eq!(errors(&format!("{text}{TARGET}{LUN}")), [format!("iscsicored.toml:{want}")], "{text}");
    }
}

#[test]
fn each_mistake_in_a_target_has_its_message() {
    for (text, want) in [
        ("alais = \"x\"\n", "3:1: target.alais: is not a known key; did you mean `alias`?"),
        (
            "alias = \"\"\n",
            "3:9: target.alias: must have 1 to 255 bytes and no control characters; shorten it or leave it out",
        ),
        (
            "portals = [\"front\"]\n",
            "3:12: target.portals: there is no portal \"front\"; the portals are 127.0.0.1:3260",
        ),
        ("portals = \"front\"\n", "3:11: target.portals: is a string, not a list; put it in [ ]"),
        (
            "[target.access]\ninitiators = [\"a b\"]\n",
            "4:15: target.access.initiators: \"a b\" is not an iSCSI name: the character ' ' is not allowed; letters, digits, '-', '.' and ':' are",
        ),
        (
            "[target.access]\ninitiators = []\n",
            "4:14: target.access.initiators: lets nobody in; write initiator names, or leave it out to let everybody in",
        ),
        (
            "[target.chap]\naccounts = [{ name = \"u\", secret = \"short\" }]\n",
            "4:36: target.chap.accounts.secret: the secret has 5 bytes, and less than 12 can be guessed by whoever listens (RFC 7143 section 9.2.1); use a longer one, or write allow_weak_secrets = true beside accounts",
        ),
        (
            "[target.chap]\naccounts = [{ name = \"u\" }]\n",
            "4:13: target.chap.accounts.secret: is missing; write secret = \"..\" or secret_file = \"PATH\"",
        ),
        (
            "[target.chap]\naccounts = [{ name = \"u\", secret = \"\" }]\n",
            "4:36: target.chap.accounts.secret: the secret is empty; use at least 12 random bytes",
        ),
        (
            "[target.chap]\naccounts = [{ name = \"u\", secret = \"long enough one\", secret_file = \"f\" }]\n",
            "4:69: target.chap.accounts.secret_file: stands beside secret; keep one of them",
        ),
        (
            "[target.chap]\naccounts = [{ name = \"u\", secret = \"long enough one\" }, { name = \"u\", secret = \"long enough two\" }]\n",
            "4:57: target.chap.accounts.name: there is an account \"u\" already; merge them",
        ),
        (
            "[target.parameters]\nmax_burst_length = \"1G\"\n",
            "4:20: target.parameters.max_burst_length: 1073741824 is out of range; write 512 to 16777215 bytes",
        ),
        (
            "[target.parameters]\nmax_burst_length = \"64K\"\n",
            "3:1: target.parameters.first_burst_length: 262144 exceeds max_burst_length, 65536; lower it",
        ),
        (
            "[target.parameters]\nheader_digest = \"crc\"\n",
            "4:17: target.parameters.header_digest: \"crc\" is not a choice; write \"none\" or \"prefer-none\" or \"prefer-crc32c\" or \"crc32c\"",
        ),
    ] {
        assert_eq!(errors(&format!("{TARGET}{text}{LUN}")), [format!("iscsicored.toml:{want}")], "{text}");
    }
    for (text, want) in [
        ("[[target]]\n", "1:1: target.name: is missing; write a name such as iqn.2026-01.com.example:disk0"),
        (
            "[[target]]\nname = \"disk\"\n",
            "2:8: target.name: \"disk\" is not an iSCSI name: it does not begin with iqn., eui. or naa.; write one such as iqn.2026-01.com.example:disk0",
        ),
    ] {
        assert_eq!(errors(&format!("{text}{LUN}")), [format!("iscsicored.toml:{want}")], "{text}");
    }
    let twice = errors(&format!("{TARGET}{LUN}{TARGET}{LUN}"));
    assert_eq!(
        twice,
        ["iscsicored.toml:8:8: target.name: there is a target iqn.2026-01.com.example:t already; rename one"]
    );
    assert_eq!(
        errors(TARGET),
        ["iscsicored.toml:1:1: target.lun: is missing; write [[target.lun]] with number and path"]
    );
    assert_eq!(
        errors(""),
        [
            "iscsicored.toml:1:1: target: there is none, so nothing would be served; write [[target]] with name and [[target.lun]]"
        ]
    );
}

#[test]
fn each_mistake_in_a_lun_has_its_message() {
    let lun = |rest: &str| format!("{TARGET}[[target.lun]]\nnumber = 0\n{rest}\n");
    for (text, want) in [
        (
            lun("memory = true\nsize = \"10X\""),
            "6:8: target.lun.size: \"10X\" is not a size; write bytes or a number with K, M, G or T",
        ),
        (
            lun("memory = true\nsize = -1"),
            "6:8: target.lun.size: -1 is not a size; write bytes or a number with K, M, G or T",
        ),
        (
            lun("memory = true\nsize = 1000"),
            "6:8: target.lun.size: 1000 bytes are not a whole number of blocks of 512; write a multiple",
        ),
        (lun("memory = true"), "3:1: target.lun.size: is missing; a disk in memory needs one"),
        (
            lun("memory = 1\nsize = 512\npath = \"f\""),
            "5:10: target.lun.memory: is an integer, not a boolean; write true or false",
        ),
        (
            lun("memory = true\nsize = 512\npath = \"f\""),
            "7:8: target.lun.path: stands beside memory = true; keep one of them",
        ),
        (lun("size = 512"), "3:1: target.lun.path: is missing; write path = \"FILE\" or memory = true"),
        (
            lun("path = \"none.img\""),
            "5:8: target.lun.path: none.img does not exist; write a size to have it created",
        ),
        (
            lun("path = \"no/where.img\"\nsize = 512"),
            "5:8: target.lun.path: the directory no of no/where.img does not exist; create it",
        ),
        (lun("path = \".\""), "5:8: target.lun.path: . is a directory; name a file or a block device"),
        (
            lun("path = \"Cargo.toml\"\nsize = 512"),
            "6:8: target.lun.size: 512 bytes is not the size of the file, LEN bytes; leave size out, or change the file itself (truncate -s 512)",
        ),
        (
            lun("memory = true\nsize = 4096\nblock_size = 1024"),
            "7:14: target.lun.block_size: 1024 is not supported; write 512 or 4096",
        ),
        (
            lun("memory = true\nsize = 4096\nserial = \"\u{e4}\""),
            "7:10: target.lun.serial: \"\u{e4}\" does not fit; write 1 to 64 printable ASCII characters",
        ),
        (
            lun("memory = true\nsize = 4096\nvendor = \"TOO LONG A NAME\""),
            "7:10: target.lun.vendor: \"TOO LONG A NAME\" does not fit; write 1 to 8 printable ASCII characters",
        ),
        (
            lun("memory = true\nsize = 4096\nnaa = \"9000\""),
            "7:7: target.lun.naa: \"9000\" is not an NAA identifier; write 16 hexadecimal digits that begin with 2, 3 or 5, or 32 that begin with 6",
        ),
        (
            lun("memory = true\nsize = 4096\nreadonly = true"),
            "7:1: target.lun.readonly: is not a known key; did you mean `read_only`?",
        ),
        (
            format!("{TARGET}[[target.lun]]\nnumber = 16384\nmemory = true\nsize = 512\n"),
            "4:10: target.lun.number: 16384 is out of range; write 0 to 16383",
        ),
        (
            format!("{TARGET}[[target.lun]]\nmemory = true\nsize = 512\n"),
            "3:1: target.lun.number: is missing; write 0 for the first LUN",
        ),
        (
            format!("{TARGET}{LUN}{LUN}serial = \"a\"\nnaa = \"3000000000000001\"\n"),
            "7:1: target.lun.number: there is a LUN 0 already; write another number",
        ),
        (
            lun(
                "memory = true\nsize = 512\nserial = \"a\"\n[[target.lun]]\nnumber = 1\nmemory = true\nsize = 512\nserial = \"a\"",
            ),
            "8:1: target.lun.serial: \"a\" belongs to another disk; write a different one",
        ),
        (
            lun("path = \"f\"\nsize = 512\n[[target.lun]]\nnumber = 1\npath = \"./f\"\nsize = 1024"),
            "10:8: target.lun.size: is not what another LUN says of the same disk; make them equal",
        ),
    ] {
        let len = fs::metadata("Cargo.toml").unwrap().len().to_string();
        assert_eq!(errors(&text), [format!("iscsicored.toml:{}", want.replace("LEN", &len))], "{text}");
    }
}

#[test]
fn broken_syntax_is_named_where_it_breaks() {
    assert_eq!(
        errors("[server]\nlog = \"info\"\nlog = \"warn\"\n"),
        ["iscsicored.toml:3:1: not TOML: duplicate key; correct the syntax here"]
    );
    assert!(errors("[server\n")[0].starts_with("iscsicored.toml:1:8: not TOML: "));
}

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
        ["iscsicored.toml: the secret of CHAP account \"u\" is also that of the target's own account \"t\""]
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
    let shown = format!("{config:?}{}", banner::banner(&config));
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
    assert_eq!(config.units[0].serial, crate::identity::serial("iqn.2026-01.com.example:t", 0));
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
        "[server]\nlog = \"debug\"\nlog_format = \"json\"\ndata_dir = \"d\"\n[limits]\nsessions = 7\nqueue_depth = 9\nping_interval = 0\n{TARGET}\
         [target.parameters]\nmax_burst_length = \"2M\"\nfirst_burst_length = 512\nmax_recv_data_segment_length = \"64K\"\nmax_outstanding_r2t = 3\ninitial_r2t = true\nimmediate_data = false\ndata_digest = \"none\"\n{LUN}"
    );
    let config = good(&text);
    assert_eq!((config.limits.sessions, config.session.queue_depth), (7, 9));
    assert_eq!(config.session.ping_interval, std::time::Duration::ZERO);
    assert_eq!(config.log, Log { format: LogFormat::Json, filter: "debug".into() });
    assert_eq!(config.data_dir, PathBuf::from("d"));
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
        banner::banner(&config),
        format!(
            "iscsicored {}\n
target iqn.2026-01.dev.iscsicore:disk0
  portal 127.0.0.1:3260 group 1
  open to every initiator, no authentication
  LUN 0: iscsicored-data/disk0.img, 1 GiB, blocks of 512, serial bd1353012b1d8b05, naa.360D2C53D40CC567, read-write
discovery: open

try it:
  iscsi-ls -s iscsi://127.0.0.1:3260
  qemu-img info iscsi://127.0.0.1:3260/iqn.2026-01.dev.iscsicore:disk0/0
  iscsiadm -m discovery -t sendtargets -p 127.0.0.1:3260
  iscsiadm -m node -T iqn.2026-01.dev.iscsicore:disk0 -p 127.0.0.1:3260 --login
",
            env!("CARGO_PKG_VERSION")
        )
    );
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
    assert!(loaded.warnings[0].to_string().starts_with("command line: warning: target iqn.2026-01.dev"));
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
