//! Mistakes outside of LUNs, one for each message.

use super::*;

// Goal: every mistake is named with its line, column, key and remedy. Method: one file for each, and the exact message.
#[test]
fn each_mistake_outside_of_targets_has_its_message() {
    expect(
        |text| format!("{text}{TARGET}{LUN}"),
        &[
            ("[server]\nlog = 3\n", "2:7: server.log: is an integer, not a string; put it in quotes"),
            (
                "[server]\nlog = \"loud\"\n",
                "2:7: server.log: \"loud\" is not a level; write error, warn, info, debug or trace, or a filter such as info,iscsicore=debug",
            ),
            ("[server]\nlgo = \"info\"\n", "2:1: server.lgo: is not a known key; did you mean `log`?"),
            (
                "[server]\ncolour = 1\n",
                "2:1: server.colour: is not a known key; the keys here are runtime, shards, pinned, data_dir, log, log_format",
            ),
            (
                "[server]\nlog_format = \"xml\"\n",
                "2:14: server.log_format: \"xml\" is not a choice; write \"text\" or \"json\"",
            ),
            (
                "[server]\nruntime = \"smol\"\n",
                "2:11: server.runtime: \"smol\" is not a choice; write \"auto\" or \"glommio\" or \"tokio\"",
            ),
            ("[server]\nshards = 0\n", "2:10: server.shards: 0 is out of range; write 1 to 1024"),
            (
                "[server]\nshards = \"all\"\n",
                "2:10: server.shards: is a string, not a number; write digits without quotes",
            ),
            (
                "[server]\npinned = 1\n",
                "2:10: server.pinned: is an integer, not a boolean; write true or false",
            ),
            (
                "[server]\nshards = 1\nruntime = \"tokio\"\n",
                "2:10: server.shards: tokio has no shards; leave it out, or write runtime = \"glommio\" or \"auto\"",
            ),
            (
                "[server]\nruntime = \"tokio\"\npinned = true\n",
                "3:10: server.pinned: tokio has no shards; leave it out, or write runtime = \"glommio\" or \"auto\"",
            ),
            ("[sever]\n", "1:2: sever: is not a known key; did you mean `server`?"),
            ("server = 1\n", "1:10: server: is an integer, not a table; write [server]"),
            ("[portal]\naddress = \"::\"\n", "1:1: portal: is not a list of tables; write [[portal]]"),
        ],
    );
}

#[test]
fn each_mistake_in_a_portal_has_its_message() {
    expect(
        |text| format!("{text}{TARGET}{LUN}"),
        &[
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
        ],
    );
}

#[test]
fn each_mistake_in_limits_and_discovery_has_its_message() {
    expect(
        |text| format!("{text}{TARGET}{LUN}"),
        &[
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
        ],
    );
}

#[test]
fn each_mistake_in_a_target_has_its_message() {
    expect(
        |text| format!("{TARGET}{text}{LUN}"),
        &[
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
                "[target.access]\ninitiators = [\"iqn.2026-01.com.example:*\"]\n",
                "4:15: target.access.initiators: \"iqn.2026-01.com.example:*\": there are no wildcards in names; list each name",
            ),
            (
                "[target.access]\ninitiators = []\n",
                "4:14: target.access.initiators: lets nobody in; write initiator names, or leave it out to let everybody in",
            ),
        ],
    );
}

#[test]
fn each_mistake_in_an_account_has_its_message() {
    expect(
        |text| format!("{TARGET}{text}{LUN}"),
        &[
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
        ],
    );
}

#[test]
fn each_mistake_in_parameters_has_its_message() {
    expect(
        |text| format!("{TARGET}{text}{LUN}"),
        &[
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
        ],
    );
}

#[test]
fn each_mistake_in_names_and_numbers_of_targets_has_its_message() {
    expect(
        |text| format!("{text}{LUN}"),
        &[
            (
                "[[target]]\n",
                "1:1: target.name: is missing; write a name such as iqn.2026-01.com.example:disk0",
            ),
            (
                "[[target]]\nname = \"disk\"\n",
                "2:8: target.name: \"disk\" is not an iSCSI name: it does not begin with iqn., eui. or naa.; write one such as iqn.2026-01.com.example:disk0",
            ),
        ],
    );
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
fn broken_syntax_is_named_where_it_breaks() {
    assert_eq!(
        errors("[server]\nlog = \"info\"\nlog = \"warn\"\n"),
        ["iscsicored.toml:3:1: not TOML: duplicate key; correct the syntax here"]
    );
    assert!(errors("[server\n")[0].starts_with("iscsicored.toml:1:8: not TOML: "));
}
