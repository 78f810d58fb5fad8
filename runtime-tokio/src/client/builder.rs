//! Who connects, where to, and on what terms.

use std::path::Path;
use std::time::Duration;

use iscsicore::Limits;
use iscsicore::initiator::{Credentials, LoginRequestConfig};
use iscsicore::login::{Account, ChapAlgorithm, DigestOffer, Offer, Secret};
use iscsicore::nexus::{NexusConfig, ReconnectPolicy};
use iscsicore::wire::Isid;
use iscsicore::wire::text::IscsiName;

use super::secrets::{self, Partial};
use super::session::Opening;
use super::url::{Url, UrlError};
use super::{Client, ClientError, Result};

/// Describes a [`Client`], step by step; [`connect`](Self::connect) makes it.
///
/// ```no_run
/// use std::time::Duration;
/// use iscsicore::login::DigestOffer;
/// use iscsicore_tokio::Client;
///
/// # async fn f() -> Result<(), iscsicore_tokio::client::ClientError> {
/// let disk = Client::builder()
///     .portal("192.0.2.1")?
///     .target("iqn.2026-01.com.example:disk")?
///     .lun(3)
///     .credentials("me", "twelve bytes or more")
///     .data_digest(DigestOffer::Crc32cOnly)
///     .command_timeout(Some(Duration::from_secs(30)))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    address: Option<String>,
    target: Option<IscsiName>,
    lun: Option<u16>,
    own: Partial,
    targets: Partial,
    algorithms: Vec<ChapAlgorithm>,
    environment: bool,
    initiator: Option<IscsiName>,
    alias: Option<String>,
    isid: Option<Isid>,
    offer: Offer,
    limits: Limits,
    reconnect: ReconnectPolicy,
    command_timeout: Option<Duration>,
    probe: bool,
}

/// The time of a command, where nothing else is said: as long as Linux waits for a connection to come back.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

impl ClientBuilder {
    pub(super) fn new() -> Self {
        let mut offer = Offer::default();
        // Like other initiators: where the network is not trusted, ask for them.
        (offer.header_digest, offer.data_digest) = (DigestOffer::PreferNone, DigestOffer::PreferNone);
        ClientBuilder {
            address: None,
            target: None,
            lun: None,
            own: Partial::default(),
            targets: Partial::default(),
            algorithms: ChapAlgorithm::ALL.to_vec(),
            environment: true,
            initiator: None,
            alias: None,
            isid: None,
            offer,
            limits: Limits::default(),
            reconnect: ReconnectPolicy::default(),
            command_timeout: Some(COMMAND_TIMEOUT),
            probe: true,
        }
    }

    /// Takes everything that a [`Url`] says; what it does not say stays as it is.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub fn url(self, url: &str) -> Result<Self> {
        Ok(self.location(Url::parse(url)?))
    }

    /// Takes a portal: `host[:port]`, or a URL.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub fn portal(self, portal: &str) -> Result<Self> {
        Ok(self.location(Url::parse_portal(portal)?))
    }

    /// Takes a URL that was read already.
    pub fn location(mut self, url: Url) -> Self {
        self.address = Some(url.address());
        self.target = url.target.or(self.target);
        self.lun = url.lun.or(self.lun);
        self.own = Partial { user: url.user.or(self.own.user), secret: url.secret.or(self.own.secret) };
        let (user, secret) = (url.target_user, url.target_secret);
        self.targets = Partial { user: user.or(self.targets.user), secret: secret.or(self.targets.secret) };
        self.offer.header_digest = url.header_digest.unwrap_or(self.offer.header_digest);
        self.offer.data_digest = url.data_digest.unwrap_or(self.offer.data_digest);
        match url.algorithm {
            Some(algorithm) => self.algorithms(&[algorithm]),
            None => self,
        }
    }

    /// Names the target.
    ///
    /// # Errors
    /// [`ClientError::Url`] when it is no iSCSI name.
    pub fn target(mut self, name: &str) -> Result<Self> {
        let target = IscsiName::received(name);
        self.target = Some(target.map_err(|why| UrlError::Target { name: name.to_owned(), why })?);
        Ok(self)
    }

    /// Chooses the logical unit; 0 when nothing is said.
    pub fn lun(mut self, lun: u16) -> Self {
        self.lun = Some(lun);
        self
    }

    /// The name and the secret that this end proves with CHAP.
    pub fn credentials(mut self, user: &str, secret: impl Into<Vec<u8>>) -> Self {
        self.own = Partial { user: Some(user.to_owned()), secret: Some(Secret::new(secret)) };
        self
    }

    /// The same with the secret in a file, without the end of its line.
    ///
    /// # Errors
    /// [`ClientError::Configuration`] when it cannot be read or is empty.
    pub fn credentials_file(mut self, user: &str, path: &Path) -> Result<Self> {
        let secret = Some(secrets::read(path, "credentials_file")?);
        self.own = Partial { user: Some(user.to_owned()), secret };
        Ok(self)
    }

    /// The name and the secret that the target must prove (mutual CHAP).
    pub fn mutual(mut self, user: &str, secret: impl Into<Vec<u8>>) -> Self {
        self.targets = Partial { user: Some(user.to_owned()), secret: Some(Secret::new(secret)) };
        self
    }

    /// The algorithms that CHAP may use, the preferred one first. All of them when nothing is said.
    pub fn algorithms(mut self, algorithms: &[ChapAlgorithm]) -> Self {
        self.algorithms = algorithms.to_vec();
        self
    }

    /// Leaves the environment alone: what is not said here is not there.
    pub fn without_environment(mut self) -> Self {
        self.environment = false;
        self
    }

    /// The name of this initiator. Without it, one is made of the name of the host.
    ///
    /// # Errors
    /// [`ClientError::Configuration`] when it is no iSCSI name.
    pub fn initiator_name(mut self, name: &str) -> Result<Self> {
        let bad = |why| {
            ClientError::Configuration(format!("the initiator name {name:?} is not an iSCSI name: {why}"))
        };
        self.initiator = Some(IscsiName::parse(name).map_err(bad)?);
        Ok(self)
    }

    /// A name for people, which targets show in their lists.
    pub fn alias(mut self, alias: &str) -> Self {
        self.alias = Some(alias.to_owned());
        self
    }

    /// The initiator's part of the session's name. Two sessions of one initiator name with one target need two; the same one
    /// again takes the place of the first session. Without it, a random one is made.
    pub fn isid(mut self, isid: Isid) -> Self {
        self.isid = Some(isid);
        self
    }

    /// What this end wants for every operational key.
    pub fn offer(mut self, offer: Offer) -> Self {
        self.offer = offer;
        self
    }

    /// Whether headers shall carry a CRC32C. Rather not when nothing is said.
    pub fn header_digest(mut self, digest: DigestOffer) -> Self {
        self.offer.header_digest = digest;
        self
    }

    /// Whether payload shall carry a CRC32C. Rather not when nothing is said.
    pub fn data_digest(mut self, digest: DigestOffer) -> Self {
        self.offer.data_digest = digest;
        self
    }

    /// Bounds of the session. `queue_depth` is how many commands are handed to the session at one time; more wait their
    /// turn.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// When to dial again, and when to give up.
    pub fn reconnect(mut self, policy: ReconnectPolicy) -> Self {
        self.reconnect = policy;
        self
    }

    /// The time that a command has, reconnects included: two minutes when nothing is said, `None` for as long as it takes.
    pub fn command_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// Sends no command of its own: the logical unit is not asked whether it is there, nor for its size. Methods that count
    /// in blocks cannot be used then; raw commands and `report_luns` can.
    pub fn unprobed(mut self) -> Self {
        self.probe = false;
        self
    }

    /// Connects, logs in, and asks the logical unit what it is.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(self) -> Result<Client> {
        let target = self.target.clone().ok_or(UrlError::NoTarget)?;
        let (lun, probe) = (self.lun.unwrap_or(0), self.probe);
        let timeout = self.command_timeout;
        let opening = Opening::new(self.config(Some(target.clone()))?, target.as_str(), timeout)?;
        let session = opening.session(probe).await?;
        let unit = session.unit(lun).await?;
        Ok(Client { session, unit })
    }

    pub(super) fn open_discovery(mut self) -> Result<Opening> {
        // Payload is text, and some targets fail over digests here.
        (self.offer.header_digest, self.offer.data_digest) = (DigestOffer::NoneOnly, DigestOffer::NoneOnly);
        self.reconnect.enabled = false;
        let timeout = self.command_timeout;
        let config = self.config(None)?;
        let portal = format!("the portal {}", config.address);
        Opening::new(config, &portal, timeout)
    }

    fn config(self, target: Option<IscsiName>) -> Result<NexusConfig> {
        let address = self.address.clone().ok_or_else(|| {
            ClientError::Configuration("where the target is was not said: set a URL or a portal".to_owned())
        })?;
        let credentials = self.complete_credentials()?;
        let login = LoginRequestConfig {
            initiator: match self.initiator {
                Some(name) => name,
                None => default_name()?,
            },
            initiator_alias: self.alias,
            target,
            isid: match self.isid {
                Some(isid) => isid,
                None => random_isid()?,
            },
            credentials,
            offer: self.offer,
        };
        Ok(NexusConfig { address, login, reconnect: self.reconnect, limits: self.limits })
    }

    /// CHAP, as said here or in the environment; `None` without it.
    fn complete_credentials(&self) -> Result<Option<Credentials>> {
        let environment = |name: &str| self.environment.then(|| std::env::var_os(name)).flatten();
        let own = secrets::complete(self.own.clone(), &secrets::INITIATOR, &environment)?;
        let targets = secrets::complete(self.targets.clone(), &secrets::TARGET, &environment)?;
        let bad = |problem: String| Err(ClientError::Configuration(problem));
        let account = match own {
            Partial { user: Some(name), secret: Some(secret) } => Account { name, secret },
            Partial { user: Some(name), secret: None } => {
                return bad(format!(
                    "there is no secret for the CHAP name {name:?}; set ISCSICORE_PASSWORD or ISCSICORE_PASSWORD_FILE"
                ));
            }
            Partial { user: None, .. } if targets.user.is_some() => {
                return bad("the target is to prove itself, but this end has no CHAP name".to_owned());
            }
            Partial { user: None, .. } => return Ok(None),
        };
        let target = match targets {
            Partial { user: Some(name), secret: Some(secret) } => Some(Account { name, secret }),
            Partial { user: Some(name), secret: None } => {
                return bad(format!(
                    "there is no secret for the target's CHAP name {name:?}; set ISCSICORE_TARGET_PASSWORD or ISCSICORE_TARGET_PASSWORD_FILE"
                ));
            }
            Partial { user: None, secret: Some(_) } => {
                return bad("there is a secret of the target, but no target_user".to_owned());
            }
            Partial { user: None, secret: None } => None,
        };
        if target.as_ref().is_some_and(|t| t.secret == account.secret) {
            // RFC 7143 section 9.2.1
            return bad("the secrets of the two directions of CHAP must differ".to_owned());
        }
        if self.algorithms.is_empty() {
            return bad("CHAP needs at least one algorithm".to_owned());
        }
        Ok(Some(Credentials { account, target, algorithms: self.algorithms.clone(), allow_none: true }))
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let seed = iscsicore_runtime::seed().map_err(|error| {
        ClientError::Configuration(format!("the system gives no random numbers: {error}"))
    })?;
    Ok(std::array::from_fn(|i| seed[i % seed.len()]))
}

/// An ISID of type 10b: three random bytes, and a qualifier, random as well (RFC 7143 section 11.12.5).
fn random_isid() -> Result<Isid> {
    let [a, b, c, d, e] = random()?;
    Ok(Isid([0x80, a, b, c, d, e]))
}

/// A name made of that of the host, or of random numbers where there is none.
fn default_name() -> Result<IscsiName> {
    let host = host_name().map(|host| name_part(&host)).filter(|host| !host.is_empty());
    let host = match host {
        Some(host) => host,
        None => random::<6>()?.iter().map(|b| format!("{b:02x}")).collect(),
    };
    let name = format!("iqn.2026-01.dev.iscsicore:{host}");
    IscsiName::parse(&name).map_err(|why| ClientError::Configuration(format!("{name}: {why}")))
}

fn host_name() -> Option<String> {
    let read = |path| std::fs::read_to_string(path).ok().filter(|name| !name.trim().is_empty());
    read("/proc/sys/kernel/hostname")
        .or_else(|| read("/etc/hostname"))
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
}

/// What of a host's name may stand in an iSCSI name; the rest becomes dashes.
fn name_part(host: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let part: String = host.trim().chars().take(64).map(|c| if allowed(c) { c } else { '-' }).collect();
    part.trim_matches(['.', '-']).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_become_parts_of_iscsi_names() {
        assert_eq!(name_part("Host_7.example\n"), "host-7.example");
        assert_eq!(name_part("\u{fc}ber..\n"), "ber");
        assert_eq!(name_part(" \n"), "");
        assert!(default_name().unwrap().as_str().starts_with("iqn.2026-01.dev.iscsicore:"));
    }

    #[test]
    fn random_isids_have_their_type_and_differ() {
        let (one, other) = (random_isid().unwrap(), random_isid().unwrap());
        assert_eq!(one.0[0], 0x80);
        assert_ne!(one, other);
    }

    fn problem(builder: ClientBuilder) -> String {
        builder.without_environment().complete_credentials().unwrap_err().to_string()
    }

    #[test]
    fn credentials_that_cannot_work_are_refused() {
        let builder = Client::builder;
        let at = |url: &str| builder().url(url).unwrap();
        assert!(problem(at("iscsi://me@h")).contains("no secret for the CHAP name \"me\""));
        assert!(problem(at("iscsi://h?target_user=t&target_password=x")).contains("this end has no"));
        assert!(problem(at("iscsi://me%x@h?target_user=t")).contains("target's CHAP name \"t\""));
        assert!(problem(at("iscsi://me%x@h?target_password=t")).contains("no target_user"));
        assert!(problem(builder().credentials("a", "same").mutual("b", "same")).contains("must differ"));
        assert!(problem(builder().credentials("a", "b").algorithms(&[])).contains("algorithm"));
        assert_eq!(builder().without_environment().complete_credentials().unwrap(), None);
        let full = builder().credentials("a", "b").mutual("c", "d").without_environment();
        assert!(full.complete_credentials().unwrap().unwrap().target.is_some());
    }
}
