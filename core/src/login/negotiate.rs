//! Operational negotiation: received pairs and an [`Offer`] make answers and [`Parameters`].

use core::ops::RangeInclusive;

use super::intake::Item;
use super::keys::{IfSilent, InDiscovery, KEYS, Key, Kind, Use, constants};
use super::offer::{Offer, Parameters};
use super::{Failure, Pair, SessionType};
use crate::wire::text::{list, parse_boolean, parse_number};

mod originate;

/// Whether a login is the first of its session, so that session-wide keys may be negotiated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leading {
    /// It makes the session.
    Yes,
    /// It adds a connection.
    No,
}

/// The operational stage of one login, as either end goes through it.
///
/// The responder answers what it is sent ([`answer`](Self::answer)) and may propose what is missing
/// ([`proposals`](Self::proposals)); the originator proposes everything first ([`offers`](Self::offers)).
#[derive(Clone, Debug)]
pub struct Negotiation {
    offer: Offer,
    session_type: SessionType,
    parameters: Parameters,
    leading: Leading,
    rows: [Progress; KEYS.len()],
    /// Whether this end has looked for keys to propose.
    proposed: bool,
    /// Whether this end has made the offers.
    originator: bool,
}

/// How far the negotiation of one key has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// Nobody has sent it.
    Open,
    /// This end proposed it, and must have an answer.
    Proposed,
    /// This end proposed it, and its value is the result whatever the answer, which may be left out.
    Determined,
    /// Both ends know the result.
    Settled,
    /// It was answered, but not with a value.
    Closed,
}

impl Negotiation {
    /// Starts from the defaults of RFC 7143 section 13.
    ///
    /// Numbers of the offer outside the range of their key are moved to its nearest end.
    pub fn new(offer: Offer, session_type: SessionType, leading: Leading) -> Self {
        let error_recovery_level = match session_type {
            SessionType::Normal => offer.error_recovery_level,
            SessionType::Discovery => 0,
        };
        let offer = Offer { error_recovery_level, ..offer };
        let rows = [Progress::Open; KEYS.len()];
        let parameters = Parameters::default();
        Negotiation { offer, session_type, leading, parameters, rows, proposed: false, originator: false }
    }

    /// What has been agreed on so far.
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Answers the negotiated keys among `pairs` in their order, each according to its row; others are skipped.
    ///
    /// # Errors
    ///
    /// A declared value is out of its range: a declaration cannot be answered with "Reject".
    pub fn answer(&mut self, pairs: &[(&str, &str)]) -> Result<Vec<Pair>, Failure> {
        let items: Vec<_> =
            pairs.iter().map(|(name, value)| Item { key: super::keys::find(name), name, value }).collect();
        self.answer_items(&items)
    }

    pub(crate) fn answer_items(&mut self, items: &[Item<'_>]) -> Result<Vec<Pair>, Failure> {
        let mut arrivals: [Option<(usize, &str)>; KEYS.len()] = [None; KEYS.len()];
        let mut answers: Vec<(usize, Pair)> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match item.key {
                Some((row, _)) => {
                    if let Some(arrival) = arrivals.get_mut(row) {
                        *arrival = Some((at, item.value));
                    }
                }
                None => answers.push((at, (item.name.to_owned(), constants::NOT_UNDERSTOOD.to_owned()))),
            }
        }
        // In table order, so that the bounds between keys hold whatever the order of arrival.
        for (row, (key, arrival)) in KEYS.iter().zip(arrivals).enumerate() {
            let Some((at, value)) = arrival else { continue };
            if let Some(answer) = self.answer_one(row, key, value)? {
                answers.push((at, (key.name.to_owned(), answer)));
            }
        }
        answers.sort_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// What this end declares for itself, once, in its first answer of the stage.
    pub fn declarations(&mut self) -> Vec<Pair> {
        let mut out = Vec::new();
        for key in &KEYS {
            if let Kind::DeclaredNumber { range, wish, store_local, .. } = &key.kind {
                let value = clamped(wish(&self.offer), range);
                store_local(&mut self.parameters, value);
                out.push((key.name.to_owned(), value.to_string()));
            }
        }
        out
    }

    /// Checks the rules between keys (RFC 7143 sections 13.14 and 13.19) and gives the result.
    ///
    /// A key that the peer left out keeps its default, cut to what the others allow. An originator cuts answers that
    /// contradict each other as well: it may always send less.
    ///
    /// # Errors
    ///
    /// Results that the peer was already told break a rule, or one that this end did not offer is left.
    pub fn finish(&self) -> Result<Parameters, Failure> {
        let mut out = self.parameters.clone();
        if self.originator {
            self.settle_unanswered(&mut out);
        }
        for (row, key) in KEYS.iter().enumerate() {
            let Kind::Number { bound, read, store, .. } = &key.kind else { continue };
            let bound = bound(&out);
            if read(&out) > bound {
                if self.progress(row) == Progress::Settled && !self.originator {
                    return Err(Failure::initiator(format!(
                        "{} contradicts what was negotiated after it",
                        key.name
                    )));
                }
                store(&mut out, bound);
            }
        }
        let unacceptable = KEYS.iter().find(|key| !self.is_acceptable(key, &out));
        unacceptable
            .map_or(Ok(out), |key| Err(Failure::initiator(format!("{} has no acceptable result", key.name))))
    }

    /// Whether this end proposed the key in this row.
    pub(crate) fn is_proposed(&self, row: usize) -> bool {
        matches!(self.progress(row), Progress::Proposed | Progress::Determined)
    }

    /// Whether the present result of a key is within what this end offers.
    fn is_acceptable(&self, key: &Key, parameters: &Parameters) -> bool {
        let not_here = key.use_ == Use::LeadingOnly && self.leading == Leading::No;
        if not_here || key.if_silent == IfSilent::TakeDefault || self.is_irrelevant(key) {
            return true;
        }
        match &key.kind {
            Kind::Boolean { function, wish, read, .. } => {
                function.apply(read(parameters), wish(&self.offer)) == read(parameters)
            }
            Kind::Number { range, function, wish, read, .. } => {
                function.apply(read(parameters), clamped(wish(&self.offer), range)) == read(parameters)
            }
            Kind::List { wish, read, .. } => wish(&self.offer).contains(&read(parameters)),
            _ => true,
        }
    }

    fn is_irrelevant(&self, key: &Key) -> bool {
        key.in_discovery == InDiscovery::Irrelevant && self.session_type == SessionType::Discovery
    }

    fn progress(&self, row: usize) -> Progress {
        self.rows.get(row).copied().unwrap_or(Progress::Open)
    }

    fn set(&mut self, row: usize, progress: Progress) {
        if let Some(present) = self.rows.get_mut(row) {
            *present = progress;
        }
    }

    fn answer_one(&mut self, row: usize, key: &Key, value: &str) -> Result<Option<String>, Failure> {
        if matches!(self.progress(row), Progress::Proposed | Progress::Determined) {
            self.take_answer(row, key, value)?;
            return Ok(None);
        }
        if self.is_irrelevant(key) {
            self.set(row, Progress::Closed);
            return Ok(Some(constants::IRRELEVANT.to_owned()));
        }
        let answer = match &key.kind {
            Kind::Boolean { function, wish, store, .. } => parse_boolean(value).ok().map(|proposed| {
                let result = function.apply(proposed, wish(&self.offer));
                store(&mut self.parameters, result);
                yes_or_no(result).to_owned()
            }),
            Kind::Number { range, function, wish, bound, store, .. } => {
                in_range(value, range).map(|proposed| {
                    let wish = clamped(wish(&self.offer), range);
                    let result = function.apply(proposed, wish).min(bound(&self.parameters));
                    store(&mut self.parameters, result);
                    result.to_string()
                })
            }
            Kind::List { choices, wish, store, .. } => pick(value, choices, wish(&self.offer)).map(|index| {
                store(&mut self.parameters, index);
                choices.get(index).copied().unwrap_or(constants::NONE).to_owned()
            }),
            Kind::DeclaredNumber { range, store_peer, .. } => {
                let declared = in_range(value, range)
                    .ok_or_else(|| Failure::initiator(format!("{} is out of its range", key.name)))?;
                store_peer(&mut self.parameters, declared);
                return Ok(None);
            }
            Kind::Obsolete => None,
            Kind::Declared { .. } | Kind::Authentication | Kind::Question => return Ok(None),
        };
        self.set(row, if answer.is_some() { Progress::Settled } else { Progress::Closed });
        Ok(Some(answer.unwrap_or_else(|| constants::REJECT.to_owned())))
    }
}

fn clamped(value: u32, range: &RangeInclusive<u32>) -> u32 {
    value.clamp(*range.start(), *range.end())
}

const fn yes_or_no(value: bool) -> &'static str {
    if value { "Yes" } else { "No" }
}

/// The number in `text`, if it is one of `range`.
pub(crate) fn in_range(text: &str, range: &RangeInclusive<u32>) -> Option<u32> {
    let range = u64::from(*range.start())..=u64::from(*range.end());
    parse_number(text, range).ok().and_then(|n| u32::try_from(n).ok())
}

/// The first entry of a proposed list that is acceptable, as an index into `choices`.
fn pick(proposed: &str, choices: &[&str], acceptable: &[usize]) -> Option<usize> {
    list(proposed)
        .filter_map(|entry| choices.iter().position(|choice| *choice == entry))
        .find(|index| acceptable.contains(index))
}
