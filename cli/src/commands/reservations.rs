//! `iscsictl keys`, `register`, `reserve`, `release`, `clear`, `preempt`: persistent reservations.
//!
//! A registration belongs to an I_T nexus: an initiator name and an ISID. So that one command finds what another has
//! registered, these commands use an ISID that is always the same on one machine, unless --isid says another one.

use clap::ValueEnum;
use iscsicore::initiator::commands::{PrOut, RegisterOptions};
use iscsicore::scsi::reservation::{ReservationType, TransportId};
use iscsicore::wire::Isid;
use iscsicore_tokio::Client;
use serde::Serialize;

use crate::Context;
use crate::connect::{Session, UnitUrl, failed, unit_url};
use crate::failure::Failure;
use crate::output::Report;
use crate::units;

/// What all of these commands take.
#[derive(clap::Args, Debug)]
struct Common {
    /// The logical unit
    #[arg(value_name = "URL", value_parser = unit_url)]
    url: UnitUrl,

    #[command(flatten)]
    session: Session,
}

/// List reservation keys and the reservation
#[derive(clap::Args, Debug)]
pub(crate) struct KeysArgs {
    #[command(flatten)]
    common: Common,
}

/// Register a reservation key, change it, or take it back with --key 0
#[derive(clap::Args, Debug)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    common: Common,

    /// The key to register, a number or 0x and hexadecimal digits; 0 takes the registration back
    #[arg(long, value_name = "KEY", value_parser = units::key)]
    key: u64,

    /// The key so far; without it, whatever it was is replaced
    #[arg(long, value_name = "KEY", value_parser = units::key)]
    old_key: Option<u64>,

    /// Let registrations and reservations outlast a loss of power (APTPL)
    #[arg(long)]
    persist: bool,
}

/// Reserve a disk with a registered key
#[derive(clap::Args, Debug)]
pub(crate) struct ReserveArgs {
    #[command(flatten)]
    common: Common,

    /// The key that was registered
    #[arg(long, value_name = "KEY", value_parser = units::key)]
    key: u64,

    /// Who may do what
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "write-exclusive")]
    kind: Type,
}

/// Release a reservation
#[derive(clap::Args, Debug)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    common: Common,

    /// The key that was registered
    #[arg(long, value_name = "KEY", value_parser = units::key)]
    key: u64,

    /// As it was reserved [default: what the disk says]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<Type>,
}

/// Remove the reservation and all keys
#[derive(clap::Args, Debug)]
pub(crate) struct ClearArgs {
    #[command(flatten)]
    common: Common,

    /// The key that was registered
    #[arg(long, value_name = "KEY", value_parser = units::key)]
    key: u64,
}

/// Take another initiator's key and reservation away
#[derive(clap::Args, Debug)]
pub(crate) struct PreemptArgs {
    #[command(flatten)]
    common: Common,

    /// The key that was registered
    #[arg(long, value_name = "KEY", value_parser = units::key)]
    key: u64,

    /// The key to take away
    #[arg(long, value_name = "KEY", value_parser = units::key)]
    victim: u64,

    /// Who may do what afterwards
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "write-exclusive")]
    kind: Type,

    /// Abort the commands of those who had the key, too
    #[arg(long)]
    abort: bool,
}

/// Types of reservations.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Type {
    /// Only the holder writes
    #[value(alias = "we")]
    WriteExclusive,
    /// Only the holder reads and writes
    #[value(alias = "ea")]
    ExclusiveAccess,
    /// Only registered initiators write
    #[value(alias = "wero")]
    WriteExclusiveRegistrants,
    /// Only registered initiators read and write
    #[value(alias = "earo")]
    ExclusiveAccessRegistrants,
    /// Only registered initiators write, and all of them hold the reservation
    #[value(alias = "wear")]
    WriteExclusiveAll,
    /// Only registered initiators read and write, and all of them hold the reservation
    #[value(alias = "eaar")]
    ExclusiveAccessAll,
}

impl From<Type> for ReservationType {
    fn from(kind: Type) -> Self {
        match kind {
            Type::WriteExclusive => ReservationType::WriteExclusive,
            Type::ExclusiveAccess => ReservationType::ExclusiveAccess,
            Type::WriteExclusiveRegistrants => ReservationType::WriteExclusiveRegistrantsOnly,
            Type::ExclusiveAccessRegistrants => ReservationType::ExclusiveAccessRegistrantsOnly,
            Type::WriteExclusiveAll => ReservationType::WriteExclusiveAllRegistrants,
            Type::ExclusiveAccessAll => ReservationType::ExclusiveAccessAllRegistrants,
        }
    }
}

#[derive(Serialize)]
struct Keys {
    generation: u32,
    keys: Vec<String>,
    reservation: Option<Held>,
    /// `None` when the target cannot tell who has which key.
    registrations: Option<Vec<Registration>>,
}

#[derive(Serialize)]
struct Held {
    key: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize)]
struct Registration {
    key: String,
    holder: bool,
    initiator: String,
    isid: Option<String>,
}

impl Report for Keys {
    fn human(&self) -> String {
        let mut lines = vec![format!("generation {}", self.generation)];
        match &self.registrations {
            Some(registrations) => lines.extend(registrations.iter().map(|r| {
                let isid = r.isid.as_ref().map_or(String::new(), |isid| format!(" isid {isid}"));
                let holder = if r.holder { " (holder)" } else { "" };
                format!("key {} {}{isid}{holder}", r.key, r.initiator)
            })),
            None => lines.extend(self.keys.iter().map(|key| format!("key {key}"))),
        }
        if self.keys.is_empty() {
            lines.push("no key is registered".to_owned());
        }
        lines.push(match &self.reservation {
            Some(held) => format!("reserved: {}, key {}", held.kind, held.key),
            None => "not reserved".to_owned(),
        });
        lines.join("\n")
    }
}

/// What was done.
#[derive(Serialize)]
struct Done {
    done: String,
    isid: String,
}

impl Report for Done {
    fn human(&self) -> String {
        format!("{} (isid {})", self.done, self.isid)
    }
}

pub(crate) async fn keys(args: KeysArgs, context: &Context) -> Result<(), Failure> {
    let keys = args.common.work(context, list).await?;
    context.out.report(&keys)
}

async fn list(client: &Client) -> Result<Keys, Failure> {
    let keys = client.pr_keys().await.map_err(|error| failed(&error))?;
    let reservation = client.pr_reservation().await.map_err(|error| failed(&error))?;
    // Not every target carries this one out.
    let registrations = client.pr_full_status().await.ok().map(|status| {
        let all = status.registrations.into_iter().map(|registration| {
            let (initiator, isid) = match registration.initiator {
                TransportId::Iscsi { name, isid } => (name, isid),
                TransportId::Other(bytes) => unusual_port(&bytes),
            };
            Registration { key: hex(registration.key), holder: registration.holds.is_some(), initiator, isid }
        });
        all.collect()
    });
    Ok(Keys {
        generation: keys.generation,
        keys: keys.keys.iter().map(|key| hex(*key)).collect(),
        reservation: reservation.held.map(|held| Held {
            key: hex(held.key),
            kind: held.kind.map_or_else(|code| format!("type {code:X}h"), |kind| kind.to_string()),
        }),
        registrations,
    })
}

/// An initiator port that is not named as the standard says: istgt leaves the header of the name out.
fn unusual_port(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes).ok().and_then(|text| text.split_once(",i,0x")) {
        Some((name, isid))
            if !name.contains(char::is_control) && isid.chars().all(|c| c.is_ascii_hexdigit()) =>
        {
            (name.to_owned(), Some(isid.to_owned()))
        }
        _ => (units::to_hex(bytes), None),
    }
}

pub(crate) async fn register(args: RegisterArgs, context: &Context) -> Result<(), Failure> {
    let options = RegisterOptions { aptpl: args.persist, ..RegisterOptions::default() };
    let action = match args.old_key {
        Some(key) => PrOut::Register { key, new: args.key, options },
        None => PrOut::RegisterAndIgnore { new: args.key, options },
    };
    if args.key != 0 {
        return args.common.act(&action, format!("registered {}", hex(args.key)), context).await;
    }
    let done = args.common.work(context, async |client: &Client| {
        // One key is listed for each registration; GOOD is the answer whether there was one or not.
        let count = async || client.pr_keys().await.ok().map(|keys| keys.keys.len());
        let before = count().await;
        client.pr_out(&action).await.map_err(|error| failed(&error))?;
        Ok(match (before, count().await) {
            (Some(before), Some(after)) if after >= before => {
                "there was no registration of this initiator name and ISID to take back"
            }
            _ => "registration taken back",
        })
    });
    let done = done.await?.to_owned();
    context.out.report(&Done { done, isid: args.common.isid().to_string() })
}

pub(crate) async fn reserve(args: ReserveArgs, context: &Context) -> Result<(), Failure> {
    let kind = args.kind.into();
    let done = format!("reserved: {kind}, key {}", hex(args.key));
    args.common.act(&PrOut::Reserve { key: args.key, kind }, done, context).await
}

pub(crate) async fn release(args: ReleaseArgs, context: &Context) -> Result<(), Failure> {
    let done = args.common.work(context, async |client: &Client| {
        let held = client.pr_reservation().await.map_err(|error| failed(&error))?.held;
        let kind = match (args.kind, held) {
            (Some(kind), _) => kind.into(),
            (None, Some(held)) => held.kind.map_err(|code| {
                Failure::operation(format!("the reservation is of an unknown type: {code:X}h"))
                    .try_("name it with --type")
            })?,
            (None, None) => return Ok("there was no reservation".to_owned()),
        };
        let action = PrOut::Release { key: args.key, kind };
        client.pr_out(&action).await.map_err(|error| failed(&error))?;
        Ok(format!("released: {kind}, key {}", hex(args.key)))
    });
    let done = done.await?;
    context.out.report(&Done { done, isid: args.common.isid().to_string() })
}

pub(crate) async fn clear(args: ClearArgs, context: &Context) -> Result<(), Failure> {
    args.common.act(&PrOut::Clear { key: args.key }, "cleared".to_owned(), context).await
}

pub(crate) async fn preempt(args: PreemptArgs, context: &Context) -> Result<(), Failure> {
    let (key, victim, kind) = (args.key, args.victim, args.kind.into());
    let action = if args.abort {
        PrOut::PreemptAndAbort { key, victim, kind }
    } else {
        PrOut::Preempt { key, victim, kind }
    };
    args.common.act(&action, format!("preempted {}", hex(victim)), context).await
}

impl Common {
    fn isid(&self) -> Isid {
        self.session.isid.unwrap_or_else(isid_of_this_machine)
    }

    /// Sends one PERSISTENT RESERVE OUT.
    async fn act(&self, action: &PrOut, done: String, context: &Context) -> Result<(), Failure> {
        let work = async |client: &Client| client.pr_out(action).await.map_err(|error| failed(&error));
        self.work(context, work).await?;
        context.out.report(&Done { done, isid: self.isid().to_string() })
    }

    async fn work<T>(
        &self,
        context: &Context,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut session = self.session.clone();
        session.isid = Some(self.isid());
        session.with_unprobed(&self.url, &context.interrupt, work).await
    }
}

fn hex(key: u64) -> String {
    format!("{key:#018x}")
}

/// An ISID that is always the same on one machine: type 10b, and a hash of the machine's name in place of random bits.
fn isid_of_this_machine() -> Isid {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME"))
        .or_else(|_| std::env::var("COMPUTERNAME"))
        .unwrap_or_default();
    // FNV-1a.
    let hash = name.trim().bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let [a, b, c, d, e, ..] = hash.to_be_bytes();
    Isid([0x80, a, b, c, d, e])
}
