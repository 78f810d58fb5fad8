//! URLs: every form, and errors that name the part.

use iscsicore::login::{ChapAlgorithm, DigestOffer, Secret};
use iscsicore_tokio::client::{Url, UrlError};

const NAME: &str = "iqn.2026-01.com.example:disk";

#[test]
fn a_url_names_host_target_and_unit() {
    for (url, address, target, lun) in [
        ("iscsi://host/iqn.2026-01.com.example:disk/0", "host:3260", Some(NAME), Some(0)),
        ("iscsi://host:1/iqn.2026-01.com.example:disk/16383", "host:1", Some(NAME), Some(16383)),
        ("ISCSI://192.0.2.1/IQN.2026-01.com.example:Disk/7", "192.0.2.1:3260", Some(NAME), Some(7)),
        ("iscsi://[2001:db8::1]/iqn.2026-01.com.example%3Adisk/1", "[2001:db8::1]:3260", Some(NAME), Some(1)),
        ("iscsi://[::1]:65535/iqn.2026-01.com.example:disk", "[::1]:65535", Some(NAME), None),
        ("iscsi://[fe80::1%2]/iqn.2026-01.com.example:disk", "[fe80::1%2]:3260", Some(NAME), None),
        ("iscsi://host/iqn.2026-01.com.example:disk/", "host:3260", Some(NAME), None),
        ("iscsi://host/eui.02004567a425678d/2", "host:3260", Some("eui.02004567a425678d"), Some(2)),
        ("iscsi://host/unusual/2", "host:3260", Some("unusual"), Some(2)),
        ("iscsi://host/un@usual%2f%25%3f/2", "host:3260", Some("un@usual/%?"), Some(2)),
        ("iscsi://host", "host:3260", None, None),
        ("iscsi://host:9/", "host:9", None, None),
    ] {
        let read = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(read.address(), address, "{url}");
        assert_eq!(read.target.as_ref().map(|t| t.as_str()), target, "{url}");
        assert_eq!(read.lun, lun, "{url}");
        assert_eq!((&read.user, &read.secret), (&None, &None), "{url}");
        // What is shown can be read again.
        assert_eq!(Url::parse(&read.to_string()).as_ref(), Ok(&read), "{url}");
    }
}

#[test]
fn names_and_secrets_are_taken_as_they_stand() {
    for (userinfo, user, secret) in [
        ("me", "me", None),
        ("me%", "me", None),
        ("me%secret", "me", Some("secret")),
        ("me%a/b@c:d%41%", "me", Some("a/b@c:d%41%")),
        ("iqn.2026-01.com.example:me%s?x=y", "iqn.2026-01.com.example:me", Some("s?x=y")),
    ] {
        let url = format!("iscsi://{userinfo}@host:5/{NAME}/0");
        let read = Url::parse(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(read.user.as_deref(), Some(user), "{url}");
        assert_eq!(read.secret, secret.map(Secret::new), "{url}");
        assert_eq!((read.address(), read.lun), ("host:5".to_owned(), Some(0)), "{url}");
    }
    for portal in ["iscsi://me%x@host", "iscsi://me%x/y@host", "iscsi://me%x/y@host/unusual/0"] {
        assert_eq!(Url::parse(portal).unwrap().address(), "host:3260", "{portal}");
    }
}

#[test]
fn options_follow_a_question_mark() {
    let url = format!(
        "iscsi://host/{NAME}/0?header_digest=CRC32C&data_digest=none&auth=sha-256&target_user=t&target_password=p=q"
    );
    let read = Url::parse(&url).unwrap();
    assert_eq!(read.header_digest, Some(DigestOffer::Crc32cOnly));
    assert_eq!(read.data_digest, Some(DigestOffer::NoneOnly));
    assert_eq!(read.algorithm, Some(ChapAlgorithm::Sha256));
    assert_eq!(read.target_user.as_deref(), Some("t"));
    assert_eq!(read.target_secret, Some(Secret::new("p=q")));
    assert_eq!(Url::parse("iscsi://host?auth=md5").unwrap().algorithm, Some(ChapAlgorithm::Md5));
    assert_eq!(Url::parse("iscsi://host/?").unwrap().header_digest, None);
}

#[test]
fn secrets_are_not_shown() {
    let url = format!("iscsi://me%hidden@host/{NAME}/0?target_user=t&target_password=hidden");
    let read = Url::parse(&url).unwrap();
    assert_eq!(read.to_string(), format!("iscsi://me%..@host:3260/{NAME}/0"));
    assert!(!format!("{read:?}").contains("hidden"));
    let builder = iscsicore_tokio::Client::builder().location(read);
    assert!(!format!("{builder:?}").contains("hidden"));
    for bad in [
        "iscsi://me%hidden@/iqn.2026-01.com.example:disk/0",
        "iscsi://me%hidden@host:x/iqn.2026-01.com.example:disk/0",
        "iscsi://me%hidden@host/iqn.2026-01.com.example:disk/x",
        "iscsi://host/iqn.2026-01.com.example:disk/0?target_password=hidden&header_digest=md5",
        "iscsx://me%hidden@host",
        "iscsi://me%hidden",
        "iscsi://me%hidden/iqn.2026-01.com.example:disk/0",
    ] {
        let error = Url::parse(bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }
}

#[test]
fn errors_name_the_part() {
    for (url, part) in [
        ("http://host", "begins with iscsi://"),
        ("host", "begins with iscsi://"),
        ("", "begins with iscsi://"),
        ("iser://host/iqn.2026-01.com.example:disk/0", "iSER"),
        ("iscsi://host/iqn.2026-01.com.example:disk/0?iser", "iSER"),
        ("iscsi://", "the host is missing"),
        ("iscsi:///iqn.2026-01.com.example:disk/0", "the host is missing"),
        ("iscsi://[::1/iqn.2026-01.com.example:disk/0", "the bracket is not closed"),
        ("iscsi://[::1]x/iqn.2026-01.com.example:disk/0", "something follows the bracket"),
        ("iscsi://::1/iqn.2026-01.com.example:disk/0", "stands in brackets"),
        ("iscsi://me%hidden/iqn.2026-01.com.example:disk/0", "the host \"me\" is not one: a % follows"),
        ("iscsi://[192.0.2.1]/iqn.2026-01.com.example:disk/0", "in brackets there stands an IPv6 address"),
        ("iscsi://a]b/iqn.2026-01.com.example:disk/0", "belongs elsewhere"),
        ("iscsi://ho st/iqn.2026-01.com.example:disk/0", "white space"),
        ("iscsi://host:0/iqn.2026-01.com.example:disk/0", "the port \"0\""),
        ("iscsi://host:65536/iqn.2026-01.com.example:disk/0", "the port \"65536\""),
        ("iscsi://host:/iqn.2026-01.com.example:disk/0", "the port \"\""),
        ("iscsi://host/iqn.2026-01.com.example:a,b/0", "the target \"iqn.2026-01.com.example:a,b\""),
        ("iscsi://host/iqn.2026-01.com.example%3/0", "two hexadecimal digits"),
        ("iscsi://host/iqn.2026-01.com.example%ff/0", "two hexadecimal digits"),
        ("iscsi://host/iqn.2026-01.com.example:disk/-1", "the LUN \"-1\""),
        ("iscsi://host/iqn.2026-01.com.example:disk/+1", "the LUN \"+1\""),
        ("iscsi://host/iqn.2026-01.com.example:disk/0x1", "the LUN \"0x1\""),
        ("iscsi://host/iqn.2026-01.com.example:disk/16384", "the LUN \"16384\""),
        ("iscsi://host/iqn.2026-01.com.example:disk/0/1", "\"1\" follows the LUN"),
        ("iscsi://host?header_digest=md5", "header_digest takes crc32c or none"),
        ("iscsi://host?auth=sha512", "auth takes md5"),
        ("iscsi://host?unknown=1", "no option \"unknown\""),
    ] {
        let error = Url::parse(url).map(|u| u.to_string()).unwrap_err().to_string();
        assert!(error.contains(part), "{url}: {error}");
    }
}

#[test]
fn a_portal_needs_no_scheme() {
    assert_eq!(Url::parse_portal("host:5").unwrap().address(), "host:5");
    assert_eq!(Url::parse_portal("[::1]").unwrap().address(), "[::1]:3260");
    assert_eq!(Url::parse_portal("iscsi://me@host").unwrap().user.as_deref(), Some("me"));
    assert_eq!(Url::parse_portal("").unwrap_err(), UrlError::NoHost);
}

// Goal: no input panics, and what is read can be shown and read again. Method: strings made of what URLs are made of.
#[test]
fn any_string_is_read_or_refused() {
    const PIECES: [&str; 22] = [
        "iscsi://",
        "iser://",
        "host",
        ":",
        "3260",
        "/",
        "iqn.2026-01.com.example:disk",
        "/eui.02004567a425678d",
        "@",
        "%",
        "%41",
        "%3a",
        "[",
        "]",
        "::1",
        "?",
        "&",
        "=",
        "header_digest=none",
        "\u{fc}\u{20ac}",
        "0",
        " ",
    ];
    let (mut seed, mut read) = (1u64, 0);
    for _ in 0..50_000 {
        let mut url = String::from(if seed % 3 == 0 { "" } else { "iscsi://" });
        for _ in 0..=seed >> 60 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            url.push_str(PIECES[(seed >> 33) as usize % PIECES.len()]);
        }
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        if let Ok(one) = Url::parse(&url) {
            read += 1;
            if one.user.is_none() {
                let again =
                    Url::parse(&one.to_string()).map(|again| (again.address(), again.target, again.lun));
                assert_eq!(again, Ok((one.address(), one.target, one.lun)), "{url}");
            }
        }
    }
    assert!(read > 100, "{read}");
}
