//! What the initiators have in common, and no loop is concerned with: the command line, names, answers.

use std::error::Error;

use iscsicore::Limits;
use iscsicore::initiator::{Answer, LoginRequestConfig, Outcome};
use iscsicore::login::Offer;
use iscsicore::nexus::{NexusConfig, NexusEvent, ReconnectPolicy};
use iscsicore::scsi::{Sense, Status};
use iscsicore::wire::text::IscsiName;
use iscsicore::wire::{Isid, Lun};

use crate::seed;

/// The name that the initiators log in by.
pub const INITIATOR: &str = "iqn.2026-01.dev.iscsicore:example-initiator";

/// The logical unit that a command line names: `HOST:PORT TARGET LUN`.
#[derive(Debug)]
pub struct Aim {
    /// `HOST:PORT`.
    pub address: String,
    /// The name of the target.
    pub target: IscsiName,
    /// The logical unit.
    pub lun: Lun,
}

impl Aim {
    /// Takes the first three arguments. `usage` is what to say when they are not there.
    ///
    /// # Errors
    /// An argument is missing or malformed.
    pub fn from_args(args: &mut impl Iterator<Item = String>, usage: &str) -> Result<Self, Box<dyn Error>> {
        let mut next = || args.next().ok_or_else(|| format!("usage: {usage}"));
        let (address, target, lun) = (next()?, next()?, next()?);
        let target = IscsiName::parse(&target).map_err(|why| format!("{target}: {why}"))?;
        let number = lun.parse().map_err(|why| format!("LUN {lun}: {why}"))?;
        let lun = Lun::from_number(number).ok_or_else(|| format!("LUN {lun}: the greatest is 16383"))?;
        Ok(Aim { address, target, lun })
    }

    /// The nexus to the target: it reconnects by itself, and gives up after a minute without a connection.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn config(&self) -> Result<NexusConfig, Box<dyn Error>> {
        let mut reconnect = ReconnectPolicy::default();
        reconnect.give_up_after = Some(std::time::Duration::from_secs(60));
        let login = LoginRequestConfig {
            initiator: IscsiName::parse(INITIATOR)?,
            initiator_alias: None,
            target: Some(self.target.clone()),
            isid: isid()?,
            credentials: None,
            offer: Offer::default(),
        };
        Ok(NexusConfig { address: self.address.clone(), login, reconnect, limits: Limits::default() })
    }
}

/// Tells this session from others of the same initiator, all through its life. Type 2, "random" (RFC 7143 section
/// 11.12.5): two programs that run at the same time are not to take each other's sessions.
fn isid() -> Result<Isid, Box<dyn Error>> {
    let [a, b, c, d, e, ..] = seed()?;
    Ok(Isid([0x80, a, b, c, d, e]))
}

/// The answer of a command that has succeeded.
///
/// # Errors
/// It has not, and why.
pub fn success(what: &str, outcome: Outcome) -> Result<Answer, Box<dyn Error>> {
    match outcome {
        Outcome::Answered(answer) if answer.status == Status::GOOD => Ok(answer),
        Outcome::Answered(answer) => match Sense::decode(&answer.sense) {
            Some(sense) => Err(format!("{what}: {}: {sense}", answer.status).into()),
            None => Err(format!("{what}: {}", answer.status).into()),
        },
        other => Err(format!("{what}: {other:?}").into()),
    }
}

/// What people may want to know about connections. The program needs not care.
pub fn report(event: &NexusEvent) {
    match event {
        NexusEvent::Up { again: true, address } => eprintln!("connected to {address} again"),
        NexusEvent::Down { why, retry_at: Some(_) } => eprintln!("connection lost ({why:?}), trying again"),
        NexusEvent::AttemptFailed { why, .. } => eprintln!("{why}; trying again"),
        _ => {}
    }
}

/// `len` bytes as they are written at `offset` of a disk: each eight of them depend on where they are, and on `salt`.
pub fn pattern(offset: u64, len: usize, salt: u64) -> Vec<u8> {
    let words = (offset / 8..).map(|at| (at ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
    let mut bytes: Vec<u8> = words.take(len.div_ceil(8)).flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}
