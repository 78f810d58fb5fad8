//! Checks of received pairs that need no more than the table: who, when, how often (RFC 7143 sections 6.2 and 6.3).

use std::collections::{BTreeMap, BTreeSet};

use super::Failure;
use super::keys::{self, KEYS, Key, Kind, Party, Stages, Use, constants, names};
use super::negotiate::Leading;
use crate::wire::Stage;

/// The longest value of a key without a rule of its own, in bytes (RFC 7143 section 6.1).
const MAX_VALUE: usize = 255;

/// Keys without a row that one negotiation may bring: each costs an answer and a place in memory.
const MAX_UNKNOWN: usize = 256;

/// A pair that passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// The row and its index, or `None` for a key that no document here defines.
    pub(crate) key: Option<(usize, &'static Key)>,
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
}

/// What libiscsi, and so QEMU, says again in each stage.
const REPEATED: [&str; 3] = [names::INITIATOR_NAME, names::TARGET_NAME, names::SESSION_TYPE];

/// What may be said more than once, with any value (RFC 7143 section 6.3).
const MANY: [&str; 1] = [names::TARGET_ADDRESS];

/// Which keys were received so far in a negotiation that allows each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The rows that were received, with the values of those in [`REPEATED`].
    rows: BTreeMap<usize, Option<String>>,
    unknown: BTreeSet<String>,
}

/// Whether a key says anything new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum News {
    First,
    /// The same name once more.
    Repeated,
}

impl Seen {
    /// Notes that a key was received.
    ///
    /// # Errors
    ///
    /// It was received before, and is not the same declaration again; or there are too many that nobody knows.
    pub(crate) fn note(&mut self, item: &Item<'_>) -> Result<News, Failure> {
        let new = match item.key {
            Some((_, key)) if MANY.contains(&key.name) => return Ok(News::First),
            Some((row, key)) => {
                let declared = REPEATED.contains(&key.name).then(|| item.value.to_owned());
                if declared.is_some() && self.rows.get(&row) == Some(&declared) {
                    return Ok(News::Repeated);
                }
                self.rows.insert(row, declared).is_none()
            }
            None if self.unknown.len() == MAX_UNKNOWN => {
                return Err(Failure::initiator("too many unknown keys"));
            }
            None => self.unknown.insert(item.name.to_owned()),
        };
        if new { Ok(News::First) } else { Err(Failure::initiator(format!("{} was sent twice", item.name))) }
    }
}

/// Looks up a pair and checks what holds in every phase.
pub(crate) fn identify<'a>(name: &'a str, value: &'a str, sender: Party) -> Result<Item<'a>, Failure> {
    let key = keys::find(name);
    let max_len = match key.map(|(_, k)| &k.kind) {
        // Binary values are bounded by their own readers, in bytes of what they encode.
        Some(Kind::Authentication) => usize::MAX,
        Some(Kind::Declared { max_len }) => *max_len,
        // Vendors may put anything here, and it is not looked at.
        None => usize::MAX,
        Some(_) => MAX_VALUE,
    };
    if value.len() > max_len {
        return Err(Failure::initiator(format!("the value of {name} is too long")));
    }
    if key.is_some_and(|(_, row)| !row.senders.include(sender)) {
        return Err(Failure::initiator(format!("{name} is not for this end to send")));
    }
    Ok(Item { key, name, value })
}

/// Refuses the constants that can only be answers, for a key that this end did not propose.
pub(crate) fn expect_proposal(item: &Item<'_>) -> Result<(), Failure> {
    let answer = [constants::REJECT, constants::IRRELEVANT, constants::NOT_UNDERSTOOD].contains(&item.value);
    if answer && item.key.is_some() {
        return Err(Failure::initiator(format!("{}={} answers nothing", item.name, item.value)));
    }
    Ok(())
}

/// Checks the pairs of one complete group of a login against the table, and notes them in `seen`.
pub(crate) fn login_items<'a>(
    pairs: &[(&'a str, &'a str)],
    stage: Stage,
    leading: Leading,
    sender: Party,
    seen: &mut Seen,
    is_proposed: impl Fn(usize) -> bool,
) -> Result<Vec<Item<'a>>, Failure> {
    let mut items = Vec::with_capacity(pairs.len().min(KEYS.len()));
    for (name, value) in pairs {
        let item = identify(name, value, sender)?;
        if let Some((_, key)) = item.key {
            let in_stage = match key.stages {
                Stages::Any => true,
                Stages::Security => stage == Stage::SecurityNegotiation,
                Stages::Operational => stage == Stage::LoginOperationalNegotiation,
            };
            if !in_stage || key.use_ == Use::FullFeatureOnly {
                return Err(Failure::initiator(format!("{name} does not belong in this stage")));
            }
            // A later connection may repeat what type of session it joins; it may negotiate nothing.
            let declared = matches!(key.kind, Kind::Declared { .. });
            if key.use_ == Use::LeadingOnly && leading == Leading::No && !declared {
                return Err(Failure::initiator(format!("{name} belongs in a session's first login only")));
            }
        }
        if !item.key.is_some_and(|(row, _)| is_proposed(row)) {
            expect_proposal(&item)?;
        }
        match seen.note(&item)? {
            News::First => items.push(item),
            News::Repeated if pairs.iter().filter(|(n, _)| n == name).count() > 1 => {
                return Err(Failure::initiator(format!("{name} was sent twice")));
            }
            News::Repeated => {}
        }
    }
    Ok(items)
}
