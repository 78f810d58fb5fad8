//! Addresses that targets tell: TargetAddress (RFC 7143 section 13.8), and the redirects that carry it.

use core::net::Ipv6Addr;

use super::Redirect;
use crate::login::keys::names;
use crate::wire::LoginStatus;
use crate::wire::text::{IscsiName, Pairs, parse_number};

/// The port where none is told (RFC 7143 section 14).
const DEFAULT_PORT: u16 = 3260;

/// The longest DNS name, in bytes.
const MAX_HOST: usize = 253;

/// Reads `domainname[:port][,portal-group-tag]`. The address has always a port.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn parse_target_address(value: &str) -> Result<(String, Option<u16>), &'static str> {
    let (address, tag) = match value.split_once(',') {
        Some((address, tag)) => (address, Some(number(tag).ok_or("its portal group tag is not a number")?)),
        None => (value, None),
    };
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']').ok_or("a bracket is not closed")?;
            ip.parse::<Ipv6Addr>().map_err(|_| "what is in brackets is no IPv6 address")?;
            let port = match port {
                "" => None,
                port => {
                    Some(port.strip_prefix(':').ok_or("something else than a port follows the brackets")?)
                }
            };
            (format!("[{ip}]"), port)
        }
        None => {
            let (host, port) = address.split_once(':').map_or((address, None), |(h, p)| (h, Some(p)));
            if !is_host(host) {
                return Err("it has no host name");
            }
            (host.to_owned(), port)
        }
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => number(port).filter(|port| *port != 0).ok_or("its port is not a number")?,
    };
    Ok((format!("{host}:{port}"), tag))
}

/// Reads the text of a response with a status of class 1. `asked` is the target that the login was for.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read_redirect(
    status: LoginStatus,
    text: &[u8],
    asked: Option<&IscsiName>,
) -> Result<Redirect, String> {
    let pairs: Vec<_> = Pairs::parse(text).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let values =
        |name: &'static str| pairs.iter().filter(move |(key, _)| *key == name).map(|(_, value)| *value);
    let permanent = match status {
        LoginStatus::MOVED_TEMPORARILY => false,
        LoginStatus::MOVED_PERMANENTLY => true,
        _ => return Err("it is of no kind that is known".to_owned()),
    };
    // There may be several: the first that can be read will do.
    let mut wrong = "it tells no TargetAddress";
    let mut addresses = values(names::TARGET_ADDRESS)
        .filter_map(|value| parse_target_address(value).map_err(|why| wrong = why).ok());
    let Some((address, portal_group_tag)) = addresses.next() else {
        drop(addresses);
        return Err(format!("its TargetAddress cannot be read: {wrong}"));
    };
    let told = values(names::TARGET_NAME).next().map(IscsiName::received).transpose();
    let told = told.map_err(|why| format!("its TargetName is not an iSCSI name: {why}"))?;
    // In a discovery session there is no target to replace.
    let target = told.filter(|told| asked.is_some_and(|asked| asked != told));
    Ok(Redirect { address, portal_group_tag, target, permanent })
}

fn number(text: &str) -> Option<u16> {
    parse_number(text, 0..=0xffff).ok().and_then(|number| u16::try_from(number).ok())
}

/// Names and IPv4 addresses; nothing that could mean something else to whoever resolves it.
fn is_host(host: &str) -> bool {
    (1..=MAX_HOST).contains(&host.len())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The examples of RFC 7143 section 13.8 among them.
    #[test]
    fn addresses_that_are() {
        for (value, address, tag) in [
            ("10.0.0.1:5003,1", "10.0.0.1:5003", Some(1)),
            ("[1080:0:0:0:8:800:200C:417A],65", "[1080:0:0:0:8:800:200C:417A]:3260", Some(65)),
            ("[1080::8:800:200C:417A]:5003,1", "[1080::8:800:200C:417A]:5003", Some(1)),
            ("computingcenter.example.com,23", "computingcenter.example.com:3260", Some(23)),
            ("10.0.0.1", "10.0.0.1:3260", None),
            ("host:0x0cbc,0x10", "host:3260", Some(16)),
            ("my_host-1:65535,65535", "my_host-1:65535", Some(65535)),
        ] {
            assert_eq!(parse_target_address(value), Ok((address.to_owned(), tag)), "{value}");
        }
    }

    #[test]
    fn addresses_that_are_not() {
        let long = "a".repeat(254);
        for value in [
            "",
            ",1",
            ":3260",
            "host:",
            "host:0",
            "host:65536",
            "host:port",
            "host:1:2",
            "host,",
            "host,x",
            "host,65536",
            "host,1,2",
            "2001:db8::1",
            "[2001:db8::1",
            "[host]:1",
            "[]",
            "[fe80::1%eth0]:3260",
            "[::1]3260",
            "[::1]:",
            "ho st",
            "host/path",
            "user@host",
            "h\u{f6}st",
            "host\n",
            &long,
        ] {
            assert!(parse_target_address(value).is_err(), "{value:?}");
        }
    }
}
