//! Operational negotiation: received pairs and an [`Offer`] make answers and [`Parameters`].

use super::intake::Item;
use super::keys::{InDiscovery, KEYS, Key, Kind, constants};
use super::offer::{Offer, Parameters};
use super::{Failure, Pair, SessionType};
use crate::wire::text::{list, parse_boolean, parse_number};

/// Whether a login is the first of its session, so that session-wide keys may be negotiated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leading {
    /// It makes the session.
    Yes,
    /// It adds a connection.
    No,
}

/// The responder's side of the operational stage of one login.
#[derive(Clone, Debug)]
pub struct Negotiation {
    offer: Offer,
    session_type: SessionType,
    parameters: Parameters,
    /// By row: what has a result that the peer knows.
    settled: [bool; KEYS.len()],
}

impl Negotiation {
    /// Starts from the defaults of RFC 7143 section 13.
    ///
    /// Numbers of the offer outside the range of their key are moved to its nearest end.
    pub fn new(offer: Offer, session_type: SessionType) -> Self {
        let error_recovery_level = match session_type {
            SessionType::Normal => offer.error_recovery_level,
            SessionType::Discovery => 0,
        };
        let offer = Offer { error_recovery_level, ..offer };
        Negotiation { offer, session_type, parameters: Parameters::default(), settled: [false; KEYS.len()] }
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
                let value = wish(&self.offer).clamp(*range.start(), *range.end());
                store_local(&mut self.parameters, value);
                out.push((key.name.to_owned(), value.to_string()));
            }
        }
        out
    }

    /// Checks the rules between keys (RFC 7143 sections 13.14 and 13.19) and gives the result.
    ///
    /// A key that the peer left out keeps its default, cut to what the others allow.
    ///
    /// # Errors
    ///
    /// Results that the peer was already told break a rule.
    pub fn finish(&self) -> Result<Parameters, Failure> {
        let mut out = self.parameters.clone();
        for (row, key) in KEYS.iter().enumerate() {
            let Kind::Number { bound, read, store, .. } = &key.kind else { continue };
            let bound = bound(&out);
            if read(&out) > bound {
                if self.settled.get(row).copied().unwrap_or(false) {
                    return Err(Failure::initiator(format!(
                        "{} contradicts what was negotiated after it",
                        key.name
                    )));
                }
                store(&mut out, bound);
            }
        }
        Ok(out)
    }

    fn answer_one(&mut self, row: usize, key: &Key, value: &str) -> Result<Option<String>, Failure> {
        if key.in_discovery == InDiscovery::Irrelevant && self.session_type == SessionType::Discovery {
            return Ok(Some(constants::IRRELEVANT.to_owned()));
        }
        let answer = match &key.kind {
            Kind::Boolean { function, wish, store } => parse_boolean(value).ok().map(|proposed| {
                let result = function.apply(proposed, wish(&self.offer));
                store(&mut self.parameters, result);
                if result { "Yes" } else { "No" }.to_owned()
            }),
            Kind::Number { range, function, wish, bound, store, .. } => {
                in_range(value, range).map(|proposed| {
                    let wish = wish(&self.offer).clamp(*range.start(), *range.end());
                    let result = function.apply(proposed, wish).min(bound(&self.parameters));
                    store(&mut self.parameters, result);
                    result.to_string()
                })
            }
            Kind::List { choices, wish, store } => pick(value, choices, wish(&self.offer)).map(|index| {
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
        if let (Some(_), Some(settled)) = (&answer, self.settled.get_mut(row)) {
            *settled = true;
        }
        Ok(Some(answer.unwrap_or_else(|| constants::REJECT.to_owned())))
    }
}

/// The number in `text`, if it is one of `range`.
pub(crate) fn in_range(text: &str, range: &core::ops::RangeInclusive<u32>) -> Option<u32> {
    let range = u64::from(*range.start())..=u64::from(*range.end());
    parse_number(text, range).ok().and_then(|n| u32::try_from(n).ok())
}

/// The first entry of a proposed list that is acceptable, as an index into `choices`.
fn pick(proposed: &str, choices: &[&str], acceptable: &[usize]) -> Option<usize> {
    list(proposed)
        .filter_map(|entry| choices.iter().position(|choice| *choice == entry))
        .find(|index| acceptable.contains(index))
}
