//! Names of nodes in configuration and in login: one table for both, and what can be configured can log in.

mod login_support;

use std::net::SocketAddr;

use iscsicore::login::{Admission, Hello};
use iscsicore::node::{Initiators, IscsiName, Node, NodeConfig, Portal, PortalGroup, Refusal, TargetConfig};
use login_support::*;
use proptest::prelude::*;

/// Who may be called so.
#[derive(Clone, Copy, PartialEq, Debug)]
enum For {
    /// A node of this end, and peers.
    All,
    /// Peers only: it breaks rules without confusing anybody.
    Peers,
    Nobody,
}
use For::{All, Nobody, Peers};

const TABLE: [(&str, For); 55] = [
    ("iqn.2001-04.com.example", All),
    ("iqn.2001-04.com.example:storage:diskarrays-sn-a8675309", All),
    ("iqn.2001-04.com.example:storage.tape1.sys1.xyz", All),
    ("iqn.1993-08.org.debian:01:3e35ac1d7b9", All),
    ("IQN.2001-04.com.Example:Host", All),
    ("iqn.2001-04.com.example:É", All),
    ("iqn.2001-12.com.example:bücher", All),
    ("iqn.2001-12.com.example:\u{915}\u{94d}\u{937}", All),
    ("eui.02004567A425678D", All),
    ("eui.02004567a425678d", All),
    ("naa.52004567BA64678D", All),
    ("naa.62004567BA64678D0123456789ABCDEF", All),
    ("iqn.2008-11.org.linux-kvm:My_VM", Peers),
    ("iqn.2001-04.com.example:host~x", Peers),
    ("iqn.2001-04.com.example:a/b", Peers),
    ("iqn.2001-04.com.example:a=b", Peers),
    ("iqn.2001-04.com..example", Peers),
    ("iqn.2001-04.:x", Peers),
    ("iqn.2001-04.", Peers),
    ("iqn.2001-4.com.example", Peers),
    ("iqn.2001-13.com.example", Peers),
    ("iqn.com.example:host", Peers),
    ("iqn.", Peers),
    ("iqn", Peers),
    ("fqn.com.example", Peers),
    ("tester", Peers),
    ("All", Peers),
    ("0x74", Peers),
    ("eui.02004567A425678", Peers),
    ("eui.02004567A425678DD", Peers),
    ("eui.02004567A425678G", Peers),
    ("naa.52004567BA64678", Peers),
    ("naa.52004567BA64678D00", Peers),
    ("naa.", Peers),
    ("", Nobody),
    ("iqn.2001-04.com.example disk", Nobody),
    (" tester", Nobody),
    ("iqn.2001-04.com.example:a,b", Nobody),
    ("iqn.2001-04.com.example:a\n", Nobody),
    ("iqn.2001-04.com.example:\u{7f}", Nobody),
    ("iqn.2001-04.com.example:\u{85}", Nobody),
    ("iqn.2001-04.com.example:\u{a0}", Nobody),
    ("iqn.2001-04.com.example:\u{ad}", Nobody),
    ("iqn.2001-04.com.example:\u{200b}", Nobody),
    ("iqn.2001-04.com.example:\u{202e}", Nobody),
    ("iqn.2001-04.com.example:\u{2066}", Nobody),
    ("iqn.2001-04.com.example:\u{3000}", Nobody),
    ("iqn.2001-04.com.example:\u{3002}", Nobody),
    ("iqn.2001-04.com.example:\u{e000}", Nobody),
    ("iqn.2001-04.com.example:\u{1fffe}", Nobody),
    ("iqn.2001-04.com.example:\u{e0001}", Nobody),
    ("None", Nobody),
    ("Reject", Nobody),
    ("irrelevant", Nobody),
    ("NotUnderstood", Nobody),
];

const DISK: &str = "iqn.2024-01.com.example:disk";
const HOST: &str = "iqn.2024-01.com.example:host";

// Goal: configuration and login agree about every name. Method: each name of the table is configured as an initiator that
// may use a target and as a target, as far as that is allowed, and logs in or is logged in to.
// covers: 7143-6.2-12
#[test]
fn what_can_be_configured_can_log_in() {
    for (name, who) in TABLE {
        assert_eq!(IscsiName::parse(name).is_ok(), who == All, "{name:?}");
        assert_eq!(IscsiName::received(name).is_ok(), who != Nobody, "{name:?}");
        assert_eq!(logs_in(name), who != Nobody, "{name:?}");
        if let Ok(own) = IscsiName::parse(name) {
            for spelt in [name, own.as_str(), &own.as_str().to_uppercase()] {
                let found = admit(own.clone(), Initiators::Any, &introduce(HOST, spelt).unwrap());
                assert!(found.is_ok(), "{spelt:?}: {found:?}");
            }
        }
    }
}

#[test]
fn names_that_are_none_have_the_status_of_their_key() {
    for (name, _) in TABLE.iter().filter(|(name, who)| *who == Nobody && !name.is_empty()) {
        assert_eq!(introduce(name, DISK), Err(0x0200), "{name:?}");
        assert_eq!(introduce(HOST, name), Err(0x0203), "{name:?}");
    }
}

// Goal: however an initiator writes its name, it is known by one. Method: the hello of one that shouts.
#[test]
fn a_login_tells_names_in_lower_case() {
    let hello = introduce(&HOST.to_uppercase(), &DISK.to_uppercase()).unwrap();
    assert_eq!((hello.initiator.as_str(), hello.target.as_deref()), (HOST, Some(DISK)));
}

proptest! {
    /// The same for names that nobody thought of, around the longest too.
    #[test]
    fn rules_and_logins_agree_about_any_name(
        name in prop_oneof!["[^\0]{1,40}", "[ -~]{1,12}", "iqn\\.[a-zA-Z0-9.:_~-]{216,222}", "\\PC{1,8}"]
    ) {
        prop_assert_eq!(logs_in(&name), IscsiName::received(&name).is_ok());
        prop_assert!(IscsiName::parse(&name).is_err() || IscsiName::received(&name).is_ok());
    }
}

/// Whether an initiator of that name can use a target whose rule names it.
fn logs_in(name: &str) -> bool {
    let Ok(hello) = introduce(name, DISK) else { return false };
    let Ok(rule) = IscsiName::received(name) else { return false };
    admit(IscsiName::parse(DISK).unwrap(), [rule].into_iter().collect(), &hello).is_ok()
}

/// Sends a first request; gives its hello, or the status that it was refused with.
fn introduce(initiator: &str, target: &str) -> Result<Hello, u16> {
    let mut c = Conversation::new(open());
    let text = format!("InitiatorName={initiator}\0TargetName={target}\0");
    let status = c.ask_raw(OPERATIONAL, text.as_bytes()).header.status.0;
    assert_eq!(status == 0, c.hello.is_some());
    c.hello.ok_or(status)
}

fn admit(name: IscsiName, initiators: Initiators, hello: &Hello) -> Result<Admission, Refusal> {
    let local: SocketAddr = "192.0.2.1:3260".parse().unwrap();
    let mut target = TargetConfig::new(name);
    target.access.initiators = initiators;
    target.groups.push(PortalGroup { tag: 1, portals: vec![Portal::new(local)] });
    let mut config = NodeConfig::default();
    config.targets = vec![target];
    Node::new(config).unwrap().admit(hello, local)
}
