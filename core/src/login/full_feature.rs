//! Keys in Text Requests of the full-feature phase (RFC 7143 section 6.4), SendTargets aside.

use thiserror::Error;

use super::Pair;
use super::intake::{Seen, expect_proposal, identify};
use super::keys::{Kind, Party, Use, constants};
use super::negotiate::in_range;
use super::offer::Parameters;

/// Why a Text Request is answered with a Reject PDU, of reason "protocol error", instead of text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct TextRefusal(pub String);

/// One negotiation: the Text Requests of one task, on the target's side.
///
/// What it changes takes effect when the whole sequence has ended: [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct FullFeatureNegotiation {
    parameters: Parameters,
    seen: Seen,
    answer_left: usize,
}

impl FullFeatureNegotiation {
    /// Starts from what holds now; all answers together grow to `answer_limit` bytes at most.
    pub fn new(parameters: &Parameters, answer_limit: usize) -> Self {
        FullFeatureNegotiation {
            parameters: parameters.clone(),
            seen: Seen::default(),
            answer_left: answer_limit,
        }
    }

    /// Answers one complete group of pairs.
    ///
    /// SendTargets is passed over, for whoever knows the targets. Negotiated keys whose time is the login are
    /// answered with "Reject", which leaves them as they are.
    ///
    /// # Errors
    ///
    /// A key came twice, from the wrong end, or declares what can only be declared during login; or the answer
    /// would be too long. The negotiation is over, and nothing has changed.
    pub fn answer(&mut self, pairs: &[(&str, &str)]) -> Result<Vec<Pair>, TextRefusal> {
        let mut answers = Vec::new();
        for (name, value) in pairs {
            let item = identify(name, value, Party::Initiator).map_err(|failure| TextRefusal(failure.why))?;
            expect_proposal(&item).map_err(|failure| TextRefusal(failure.why))?;
            self.seen.note(&item).map_err(|failure| TextRefusal(failure.why))?;
            let answer = match item.key.map(|(_, key)| (&key.kind, key.use_)) {
                None => Some(constants::NOT_UNDERSTOOD),
                Some((Kind::DeclaredNumber { range, store_peer, .. }, Use::All)) => {
                    let declared = in_range(value, range)
                        .ok_or_else(|| TextRefusal(format!("{name} is out of its range")))?;
                    store_peer(&mut self.parameters, declared);
                    None
                }
                Some((Kind::Question, _) | (Kind::Declared { .. }, Use::All)) => None,
                Some((Kind::Declared { .. } | Kind::DeclaredNumber { .. } | Kind::Authentication, _)) => {
                    return Err(TextRefusal(format!("{name} can only be sent during login")));
                }
                Some((
                    Kind::Boolean { .. } | Kind::Number { .. } | Kind::List { .. } | Kind::Obsolete,
                    _,
                )) => Some(constants::REJECT),
            };
            if let Some(answer) = answer {
                let size = name.len() + answer.len() + 2;
                self.answer_left = self
                    .answer_left
                    .checked_sub(size)
                    .ok_or_else(|| TextRefusal("the answer would be too long".to_owned()))?;
                answers.push(((*name).to_owned(), answer.to_owned()));
            }
        }
        Ok(answers)
    }

    /// Ends the negotiation: what holds from now on.
    pub fn finish(self) -> Parameters {
        self.parameters
    }
}
