//! Where a logical unit is, in one line: the URL that libiscsi made common.

use std::fmt::{self, Write};
use std::net::Ipv6Addr;
use std::str::FromStr;

use iscsicore::login::{ChapAlgorithm, DigestOffer, Secret};
use iscsicore::wire::Lun;
use iscsicore::wire::text::{IscsiName, NameError};
use thiserror::Error;

/// The port of iSCSI portals (RFC 7143 section 4.2.7.1).
pub const DEFAULT_PORT: u16 = 3260;

/// `iscsi://[user[%secret]@]host[:port][/target[/lun]][?option=value[&option=value]]`.
///
/// - `host` is a name, an IPv4 address, or an IPv6 address in brackets; the port is 3260 when it is left out.
/// - `target` is an iSCSI name; escapes such as `%3A` are decoded in it. Without it the URL names a portal, which is
///   what discovery takes.
/// - `lun` is a decimal number; where a unit is needed, it is 0 when it is left out.
/// - The secret is taken as it stands, without decoding. It ends at the last `@` before the target's name, so that it may
///   hold any other character. It shows in the list of processes: the environment or a file is a better place for it, see
///   [`connect`](super::Client::connect).
/// - Options: `header_digest` and `data_digest` (`crc32c` or `none`), `auth` (`md5`, `sha1`, `sha-256`, `sha3-256`: the
///   only algorithm that CHAP may use), `target_user` and `target_password` (what the target must prove).
///
/// Neither `Display` nor `Debug` shows a secret.
///
/// ```
/// use iscsicore_tokio::client::Url;
///
/// let url: Url = "iscsi://me%hidden@[2001:db8::1]/iqn.2026-01.com.example:disk/3".parse()?;
/// assert_eq!(url.address(), "[2001:db8::1]:3260");
/// assert_eq!(url.lun, Some(3));
/// assert_eq!(url.to_string(), "iscsi://me%..@[2001:db8::1]:3260/iqn.2026-01.com.example:disk/3");
/// # Ok::<(), iscsicore_tokio::client::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Url {
    /// The name that CHAP gives.
    pub user: Option<String>,
    /// The secret that CHAP proves.
    pub secret: Option<Secret>,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The target; absent where a portal alone is named.
    pub target: Option<IscsiName>,
    /// The logical unit.
    pub lun: Option<u16>,
    /// Option `header_digest`.
    pub header_digest: Option<DigestOffer>,
    /// Option `data_digest`.
    pub data_digest: Option<DigestOffer>,
    /// Option `auth`.
    pub algorithm: Option<ChapAlgorithm>,
    /// Option `target_user`.
    pub target_user: Option<String>,
    /// Option `target_password`.
    pub target_secret: Option<Secret>,
}

/// Why a string is no iSCSI URL. No message repeats a secret.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It begins with something else.
    #[error("an iSCSI URL begins with iscsi://, as in iscsi://host/iqn.2026-01.com.example:disk/0")]
    Scheme,
    /// iSER, which needs RDMA.
    #[error("iSER is not supported; use iscsi://")]
    Iser,
    /// No host.
    #[error("the host is missing; write iscsi://host[:port]/target/lun")]
    NoHost,
    /// A host that is none.
    #[error("the host {0:?} is not one: {1}")]
    Host(String, &'static str),
    /// A port that is none.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// A target name that is none.
    #[error("the target {name:?} is not an iSCSI name: {why}")]
    Target {
        /// As it stands in the URL.
        name: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// `%` without two hexadecimal digits in a target's name.
    #[error("the target {0:?} has a % that two hexadecimal digits do not follow")]
    Escape(String),
    /// A LUN that is none.
    #[error("the LUN {0:?} is not a decimal number from 0 to 16383")]
    Lun(String),
    /// Something after the LUN.
    #[error("{0:?} follows the LUN; a URL ends there, or goes on with ?option=value")]
    AfterLun(String),
    /// An option that there is not.
    #[error(
        "there is no option {0:?}; there are header_digest, data_digest, auth, target_user and target_password"
    )]
    UnknownOption(String),
    /// An option with a value that it does not take.
    #[error("the option {option} takes {takes}")]
    OptionValue {
        /// Which.
        option: &'static str,
        /// Its values.
        takes: &'static str,
    },
    /// The URL names no target, and one is needed.
    #[error("the URL names no target; append /iqn..../lun (`discover` lists the targets of a portal)")]
    NoTarget,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`UrlError`], which names the part that is wrong.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        match url.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => Self::parse_rest(rest),
            _ if url.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("iser://")) => Err(UrlError::Iser),
            _ => Err(UrlError::Scheme),
        }
    }

    /// Reads a portal: a URL, or `host[:port]` alone. A target in it is kept.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse_portal(portal: &str) -> Result<Self, UrlError> {
        if portal.contains("://") { Self::parse(portal) } else { Self::parse_rest(portal) }
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn parse_rest(rest: &str) -> Result<Self, UrlError> {
        // A secret may hold slashes; the name of a target begins with one of these.
        let name_at = TYPES.iter().filter_map(|t| find_ignoring_case(rest, t)).min();
        let authority_end = name_at.or_else(|| first_slash(rest)).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let (userinfo, portal) = match authority.rsplit_once('@') {
            Some((userinfo, portal)) => (Some(userinfo), portal),
            None => (None, authority),
        };
        let (portal, options) = split_options(portal);
        let (path, options) = if path.is_empty() { (path, options) } else { split_options(path) };
        let (host, port) = parse_portal(portal)?;
        let (target, lun) = parse_path(path)?;
        let (user, secret) = match userinfo.map(|u| u.split_once('%').unwrap_or((u, ""))) {
            Some((user, "")) => (Some(user.to_owned()), None),
            Some((user, secret)) => (Some(user.to_owned()), Some(Secret::new(secret))),
            None => (None, None),
        };
        let mut url = Url {
            user: user.filter(|u| !u.is_empty()),
            secret,
            host,
            port,
            target,
            lun,
            header_digest: None,
            data_digest: None,
            algorithm: None,
            target_user: None,
            target_secret: None,
        };
        for option in options.unwrap_or_default().split('&').filter(|o| !o.is_empty()) {
            url.set_option(option)?;
        }
        Ok(url)
    }

    fn set_option(&mut self, option: &str) -> Result<(), UrlError> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "header_digest" => self.header_digest = Some(digest("header_digest", value)?),
            "data_digest" => self.data_digest = Some(digest("data_digest", value)?),
            "auth" => self.algorithm = Some(algorithm(value)?),
            "target_user" => self.target_user = Some(value.to_owned()),
            "target_password" => self.target_secret = Some(Secret::new(value)),
            "iser" => return Err(UrlError::Iser),
            other => return Err(UrlError::UnknownOption(other.to_owned())),
        }
        Ok(())
    }
}

impl FromStr for Url {
    type Err = UrlError;
    fn from_str(url: &str) -> Result<Self, UrlError> {
        Url::parse(url)
    }
}

impl fmt::Display for Url {
    /// The URL without its secrets and options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(user) = &self.user {
            write!(f, "{user}{}@", if self.secret.is_some() { "%.." } else { "" })?;
        }
        f.write_str(&self.address())?;
        for c in self.target.iter().flat_map(|t| ["/", t.as_str()]).flat_map(str::chars).enumerate() {
            match c {
                (1.., '%' | '/' | '?') => write!(f, "%{:02x}", u32::from(c.1))?,
                (_, c) => f.write_char(c)?,
            }
        }
        self.lun.map_or(Ok(()), |lun| write!(f, "/{lun}"))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

const SCHEME: &str = "iscsi://";

/// How names of targets begin.
const TYPES: [&str; 3] = ["/iqn.", "/eui.", "/naa."];

fn find_ignoring_case(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|w| w.eq_ignore_ascii_case(what.as_bytes()))
}

/// The slash that ends the authority of a URL whose target has an unusual name. A host has no `%`: what has one before
/// the first slash is a name and a secret with slashes in it, which go on to the `@`.
fn first_slash(rest: &str) -> Option<usize> {
    let first = rest.find('/')?;
    let head = &rest[..first];
    let begin = match rest.find('@') {
        Some(at) if at > first && head.contains('%') && !head.starts_with('[') => at,
        _ => first,
    };
    rest[begin..].find('/').map(|at| begin + at)
}

fn split_options(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(before, options)| (before, Some(options)))
}

fn parse_portal(portal: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = if let Some(rest) = portal.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| UrlError::Host(portal.to_owned(), "the bracket is not closed"))?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(UrlError::Host(portal.to_owned(), "something follows the bracket")),
        }
    } else {
        match portal.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(UrlError::Host(portal.to_owned(), "an IPv6 address stands in brackets"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (portal, None),
        }
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if portal.starts_with('[') {
        // A zone may follow the address of a link.
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(UrlError::Host(address.to_owned(), "in brackets there stands an IPv6 address"));
        }
    } else if let Some((before, _)) = host.split_once('%') {
        // What follows is a secret, most likely: it is not repeated.
        return Err(UrlError::Host(before.to_owned(), "a % follows; a name and a secret end with @"));
    }
    if host.contains(['[', ']', '@', '/']) {
        return Err(UrlError::Host(host.to_owned(), "a character in it belongs elsewhere"));
    }
    if host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(UrlError::Host(host.to_owned(), "it has white space or control characters"));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().ok().filter(|p| *p != 0).ok_or_else(|| UrlError::Port(port.to_owned()))?,
    };
    Ok((host.to_owned(), port))
}

fn parse_path(path: &str) -> Result<(Option<IscsiName>, Option<u16>), UrlError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok((None, None));
    }
    let (name, lun) = path.split_once('/').map_or((path, None), |(name, lun)| (name, Some(lun)));
    let decoded = decode(name).ok_or_else(|| UrlError::Escape(name.to_owned()))?;
    let target =
        IscsiName::received(&decoded).map_err(|why| UrlError::Target { name: name.to_owned(), why })?;
    let lun = match lun {
        None | Some("") => None,
        Some(lun) => {
            let (lun, after) = lun.split_once('/').unwrap_or((lun, ""));
            if !after.is_empty() {
                return Err(UrlError::AfterLun(after.to_owned()));
            }
            let plain = lun.bytes().all(|b| b.is_ascii_digit());
            let number = lun.parse().ok().filter(|n| plain && Lun::from_number(*n).is_some());
            Some(number.ok_or_else(|| UrlError::Lun(lun.to_owned()))?)
        }
    };
    Ok((Some(target), lun))
}

/// Replaces `%` and two hexadecimal digits by the byte that they mean.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).ok()
}

fn digest(option: &'static str, value: &str) -> Result<DigestOffer, UrlError> {
    match value.to_ascii_lowercase().as_str() {
        "crc32c" => Ok(DigestOffer::Crc32cOnly),
        "none" => Ok(DigestOffer::NoneOnly),
        _ => Err(UrlError::OptionValue { option, takes: "crc32c or none" }),
    }
}

fn algorithm(value: &str) -> Result<ChapAlgorithm, UrlError> {
    match value.to_ascii_lowercase().as_str() {
        "md5" => Ok(ChapAlgorithm::Md5),
        "sha1" | "sha-1" => Ok(ChapAlgorithm::Sha1),
        "sha256" | "sha-256" => Ok(ChapAlgorithm::Sha256),
        "sha3-256" => Ok(ChapAlgorithm::Sha3_256),
        _ => Err(UrlError::OptionValue { option: "auth", takes: "md5, sha1, sha-256 or sha3-256" }),
    }
}
