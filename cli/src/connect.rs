//! Sessions: the options that every command with one takes, and what becomes of errors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use iscsicore::initiator::Cause;
use iscsicore::login::{DigestOffer, Secret};
use iscsicore::nexus::ReconnectPolicy;
use iscsicore::scsi::Status;
use iscsicore::session::TargetRecord;
use iscsicore::wire::Isid;
use iscsicore_tokio::client::{Client, ClientBuilder, ClientError, Url};

use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::units;

/// How to log in.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Session")]
pub(crate) struct Session {
    /// Name of this initiator
    #[arg(long, value_name = "IQN", env = "ISCSICORE_INITIATOR_NAME")]
    pub(crate) initiator_name: Option<String>,

    /// Name to authenticate with (CHAP) [env: ISCSICORE_USER]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// File with the secret for it [env: ISCSICORE_PASSWORD, ISCSICORE_PASSWORD_FILE]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Name that the target must authenticate with (mutual CHAP) [env: ISCSICORE_TARGET_USER]
    #[arg(long, value_name = "NAME")]
    target_user: Option<String>,

    /// File with the secret for it [env: ISCSICORE_TARGET_PASSWORD, ISCSICORE_TARGET_PASSWORD_FILE]
    #[arg(long, value_name = "FILE")]
    target_password_file: Option<PathBuf>,

    /// Checksums over headers [default: prefer-none]
    #[arg(long, value_enum, value_name = "WHICH")]
    header_digest: Option<Digest>,

    /// Checksums over data [default: prefer-none]
    #[arg(long, value_enum, value_name = "WHICH")]
    data_digest: Option<Digest>,

    /// Initiator's part of the session's name: 12 hexadecimal digits. The same one again takes the place of a session
    /// that is up; reservations belong to it
    #[arg(long, value_name = "HEX", value_parser = isid)]
    pub(crate) isid: Option<Isid>,

    /// Longest time for one attempt to connect and log in
    #[arg(long, value_name = "TIME", value_parser = units::time_above_0, default_value = "15s")]
    connect_timeout: Duration,

    /// Longest time for one SCSI command, with all its repetitions [default: 60s longer than --reconnect-for]
    #[arg(long, value_name = "TIME", value_parser = units::time_above_0)]
    timeout: Option<Duration>,

    /// Time for which a lost session is dialed again before the command fails; 0 does not dial again
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "60s")]
    reconnect_for: Duration,
}

/// Whether CRC32C is used.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Digest {
    /// No
    None,
    /// If the target insists
    PreferNone,
    /// If the target can
    PreferCrc32c,
    /// Yes, or no session
    Crc32c,
}

impl Digest {
    fn offer(self) -> DigestOffer {
        match self {
            Digest::None => DigestOffer::NoneOnly,
            Digest::PreferNone => DigestOffer::PreferNone,
            Digest::PreferCrc32c => DigestOffer::PreferCrc32c,
            Digest::Crc32c => DigestOffer::Crc32cOnly,
        }
    }
}

/// Where a logical unit is.
#[derive(Clone, Debug)]
pub(crate) struct UnitUrl(pub(crate) Url);

/// Reads the URL of a logical unit; LUN 0 when it names none.
///
/// # Errors
/// What to write instead.
pub(crate) fn unit_url(text: &str) -> Result<UnitUrl, String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.target.is_none() {
        return Err("it names no target; append /TARGET/LUN (iscsictl discover lists the targets)".to_owned());
    }
    url.lun.get_or_insert(0);
    Ok(UnitUrl(url))
}

/// Reads a portal.
///
/// # Errors
/// What to write instead.
pub(crate) fn portal(text: &str) -> Result<Url, String> {
    Url::parse_portal(text).map_err(|error| error.to_string())
}

/// What a command has beyond the time in which a session may come back: so that a session that is lost for good is told as
/// such, and not as a command that took too long.
const BEYOND_RECONNECT: Duration = Duration::from_secs(60);

impl Session {
    /// The time of one command.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or_else(|| self.reconnect_for.saturating_add(BEYOND_RECONNECT))
    }

    /// A builder with these options, for the target and unit of `url`. What the URL says goes before.
    fn builder(&self, url: &Url) -> Result<ClientBuilder, Failure> {
        let mut url = url.clone();
        url.user = url.user.or_else(|| self.user.clone());
        if let Some(path) = &self.password_file {
            if url.user.is_none() && USER_VARIABLES.iter().all(|name| std::env::var_os(name).is_none()) {
                return Err(
                    Failure::usage("there is a secret, but no name to authenticate with").try_("add --user")
                );
            }
            url.secret = Some(read_secret(path)?);
        }
        url.target_user = url.target_user.or_else(|| self.target_user.clone());
        if let Some(path) = &self.target_password_file {
            url.target_secret = Some(read_secret(path)?);
        }
        url.header_digest = url.header_digest.or(self.header_digest.map(Digest::offer));
        url.data_digest = url.data_digest.or(self.data_digest.map(Digest::offer));
        let mut builder = Client::builder().location(url).command_timeout(Some(self.timeout()));
        if let Some(name) = &self.initiator_name {
            builder = builder.initiator_name(name).map_err(|error| failed(&error))?;
        }
        if let Some(isid) = self.isid {
            builder = builder.isid(isid);
        }
        let mut reconnect = ReconnectPolicy::default();
        reconnect.attempt_timeout = self.connect_timeout;
        reconnect.enabled = !self.reconnect_for.is_zero();
        reconnect.give_up_after = Some(self.reconnect_for).filter(|time| !time.is_zero());
        Ok(builder.reconnect(reconnect))
    }

    /// Logs in, and asks the unit what it is.
    ///
    /// # Errors
    /// What kept the session from coming up, or the interruption.
    pub(crate) async fn connect(&self, url: &UnitUrl, interrupt: &Interrupt) -> Result<Client, Failure> {
        open(self.builder(&url.0)?, interrupt).await.map_err(|failure| at(failure, url.0.to_string()))
    }

    /// Logs in, and sends no command.
    ///
    /// # Errors
    /// As those of [`connect`](Self::connect).
    pub(crate) async fn connect_unprobed(
        &self,
        url: &UnitUrl,
        interrupt: &Interrupt,
    ) -> Result<Client, Failure> {
        let builder = self.builder(&url.0)?.unprobed();
        open(builder, interrupt).await.map_err(|failure| at(failure, url.0.to_string()))
    }

    /// Logs in, does `work`, and logs out, whatever came of it. `work` is dropped when the program is asked to end.
    ///
    /// # Errors
    /// Those of the login and of `work`, and the interruption.
    pub(crate) async fn with<T>(
        &self,
        url: &UnitUrl,
        interrupt: &Interrupt,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let client = self.connect(url, interrupt).await?;
        let done = interrupt.cuts(work(&client)).await;
        log_out(client).await;
        done.map_err(|failure| at(failure, url.0.to_string()))
    }

    /// The same, without a command that `work` does not send.
    ///
    /// # Errors
    /// As those of [`with`](Self::with).
    pub(crate) async fn with_unprobed<T>(
        &self,
        url: &UnitUrl,
        interrupt: &Interrupt,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let client = self.connect_unprobed(url, interrupt).await?;
        let done = interrupt.cuts(work(&client)).await;
        log_out(client).await;
        done.map_err(|failure| at(failure, url.0.to_string()))
    }

    /// Asks a portal for its targets.
    ///
    /// # Errors
    /// As those of [`connect`](Self::connect).
    pub(crate) async fn discover(
        &self,
        portal: &Url,
        interrupt: &Interrupt,
    ) -> Result<Vec<TargetRecord>, Failure> {
        let builder = self.builder(portal)?;
        let found = interrupt.cuts(async { builder.discover().await.map_err(|error| failed(&error)) }).await;
        found.map_err(|failure| at(failure, portal.address()))
    }
}

/// Where a name to authenticate with may come from beside the command line.
const USER_VARIABLES: [&str; 2] = ["ISCSICORE_USER", "LIBISCSI_CHAP_USERNAME"];

/// Adds where it was, unless it was the user who ended it.
pub(crate) fn at(failure: Failure, place: String) -> Failure {
    match failure.kind {
        Kind::Interrupted | Kind::Terminated | Kind::Closed => failure,
        _ => failure.at(place),
    }
}

async fn open(builder: ClientBuilder, interrupt: &Interrupt) -> Result<Client, Failure> {
    interrupt.cuts(async { builder.connect().await.map_err(|error| failed(&error)) }).await
}

/// How long a logout may take: then the target finds out by itself.
const LOGOUT_TIME: Duration = Duration::from_secs(1);

/// Logs out, if that is quick. That it fails is no failure of what was done before.
pub(crate) async fn log_out(client: Client) {
    let _ = tokio::time::timeout(LOGOUT_TIME, client.logout()).await;
}

/// That the unit is a disk.
///
/// # Errors
/// It is something else.
pub(crate) fn check_disk(client: &Client) -> Result<(), Failure> {
    if client.block_size() == 0 {
        let what = match client.device_type() {
            Some(device) => format!("the logical unit is no disk: {device}"),
            None => "the logical unit is no disk".to_owned(),
        };
        return Err(Failure::operation(what).try_("iscsictl luns lists what there is"));
    }
    Ok(())
}

/// Options of a URL that name a secret show it in the list of processes; a file does not.
fn read_secret(path: &Path) -> Result<Secret, Failure> {
    let place = || path.display().to_string();
    let mut bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read the secret: {error}")).at(place()))?;
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(Failure::usage("the file holds no secret").at(place()));
    }
    Ok(Secret::new(bytes))
}

fn isid(text: &str) -> Result<Isid, String> {
    let bytes = units::hex(text)?;
    bytes
        .try_into()
        .map(Isid)
        .map_err(|_| "an ISID has 12 hexadecimal digits, such as 80a1b2c30001".to_owned())
}

/// Commands that change nothing: when the answer is missing there is nothing to find out about.
const QUESTIONS: [&str; 9] = [
    "INQUIRY",
    "REPORT",
    "READ",
    "TEST UNIT READY",
    "MODE SENSE",
    "PERSISTENT RESERVE IN",
    "GET LBA STATUS",
    "NOP-Out",
    "SendTargets",
];

/// Commands that may as well be carried out twice.
const HARMLESS: [&str; 3] = ["WRITE", "SYNCHRONIZE CACHE", "UNMAP"];

/// What a client says, as a failure of a command.
pub(crate) fn failed(error: &ClientError) -> Failure {
    if let ClientError::Unknown { place, cause, detail } = error
        && QUESTIONS.iter().any(|question| place.command.starts_with(question))
    {
        let (kind, why) = match (cause, detail) {
            (Cause::TimedOut, Some(detail)) => {
                (Kind::Connection, format!("in time, and there was no connection: {detail}"))
            }
            (Cause::TimedOut, None) => (Kind::Operation, "in time".to_owned()),
            (Cause::ConnectionLost, Some(detail)) => {
                (Kind::Connection, format!("before the connection was lost: {detail}"))
            }
            (_, Some(detail)) => (Kind::Connection, format!("before the session ended: {detail}")),
            (_, None) => (Kind::Connection, "before the session ended".to_owned()),
        };
        return Failure::new(kind, format!("{place} was not answered {why}"))
            .try_("try again, perhaps with a longer --timeout; the log of the target may say why");
    }
    let kind = match error {
        ClientError::Url(_) | ClientError::Configuration(_) | ClientError::Misuse(_) => Kind::Usage,
        ClientError::Connect(_) | ClientError::Ended(_) => Kind::Connection,
        // Nothing was done, for want of a connection.
        ClientError::NotSent { cause: Cause::SessionEnded | Cause::ConnectionLost, .. }
        | ClientError::NotSent { cause: Cause::TimedOut, detail: Some(_), .. } => Kind::Connection,
        // Doing it once more does no harm, so that the session is what matters.
        ClientError::Unknown { place, cause: Cause::SessionEnded | Cause::ConnectionLost, .. }
            if HARMLESS.iter().any(|command| place.command.starts_with(command)) =>
        {
            Kind::Connection
        }
        ClientError::Scsi(scsi) if scsi.status == Status::RESERVATION_CONFLICT => Kind::Reserved,
        ClientError::Unknown { .. } => Kind::Unknown,
        _ => Kind::Operation,
    };
    // The client speaks to programmers where it names its own parts.
    let text = error
        .to_string()
        .replace("`ClientBuilder::command_timeout`", "--timeout")
        .replace("`report_luns`", "iscsictl luns")
        .replace("connect anew, or take a handle with `with_lun`, if", "run it again if");
    match text.split_once("; ") {
        Some((what, remedy)) => Failure::new(kind, what).try_(remedy),
        None => Failure::new(kind, text),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    // Goal: that a session is lost for good is found out before the command runs out of time, unless that is wanted.
    #[test]
    fn commands_outlast_the_reconnection() {
        for (arguments, seconds) in [
            (&[][..], 120),
            (&["--reconnect-for", "10m"], 660),
            (&["--reconnect-for", "0"], 60),
            (&["--timeout", "5s", "--reconnect-for", "10m"], 5),
        ] {
            let command = Session::augment_args(clap::Command::new("test")).no_binary_name(true);
            let session = Session::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
            assert_eq!(session.timeout(), Duration::from_secs(seconds), "{arguments:?}");
        }
    }
}
