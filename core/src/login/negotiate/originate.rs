//! What this end proposes, and what it makes of the answers.

use super::super::keys::{BooleanFunction, KEYS, Key, Kind, Since, Use, constants};
use super::super::offer::{DigestOffer, Parameters};
use super::super::{Failure, Pair, SessionType};
use super::{Leading, Negotiation, Progress, clamped, in_range, yes_or_no};
use crate::wire::text::parse_boolean;

/// The most of a peer's value that is repeated in the words of a failure, in characters.
const QUOTED: usize = 64;

impl Negotiation {
    /// The originator's opening: every key that may be negotiated in this session, and what this end declares.
    ///
    /// Every key is sent, even where the default is wanted: there are targets that fail without (QNAP, LIO), or take
    /// other defaults than those of the RFC (OpenSolaris). Only keys that RFC 3720 did not have stay away while
    /// their default is wanted, because old targets do not know them. In a discovery session keys that mean nothing
    /// there are left out, and digests are not offered unless this end insists: nothing is gained by them there, and
    /// there are targets that do not expect them.
    pub fn offers(&mut self) -> Vec<Pair> {
        self.originator = true;
        self.proposed = true;
        if self.session_type == SessionType::Discovery {
            self.offer.header_digest = without_digest(self.offer.header_digest);
            self.offer.data_digest = without_digest(self.offer.data_digest);
        }
        let mut out = self.declarations();
        for (row, key) in KEYS.iter().enumerate() {
            let not_here = key.use_ == Use::LeadingOnly && self.leading == Leading::No;
            let not_needed = key.since == Since::Later && self.wants_default(key);
            if !(not_here || not_needed || self.is_irrelevant(key)) {
                out.extend(self.propose(row, key));
            }
        }
        out
    }

    /// What this end proposes itself, once: keys that nobody has sent, and whose defaults it cannot accept.
    pub fn proposals(&mut self) -> Vec<Pair> {
        if core::mem::replace(&mut self.proposed, true) {
            return Vec::new();
        }
        let mut out = Vec::new();
        for (row, key) in KEYS.iter().enumerate() {
            if self.progress(row) == Progress::Open && !self.is_acceptable(key, &self.parameters) {
                out.extend(self.propose(row, key));
            }
        }
        out
    }

    /// Proposes one key, if it is of a kind that is negotiated.
    fn propose(&mut self, row: usize, key: &Key) -> Option<Pair> {
        let (value, progress) = match &key.kind {
            Kind::Boolean { function, wish, store, .. } => {
                let wish = wish(&self.offer);
                let determined = wish == dominant(*function);
                if determined {
                    store(&mut self.parameters, wish);
                }
                let progress = if determined { Progress::Determined } else { Progress::Proposed };
                (yes_or_no(wish).to_owned(), progress)
            }
            Kind::Number { .. } => (self.number_proposed(row).to_string(), Progress::Proposed),
            Kind::List { choices, wish, .. } => {
                let words = wish(&self.offer).iter().filter_map(|index| choices.get(*index).copied());
                (words.collect::<Vec<_>>().join(","), Progress::Proposed)
            }
            _ => return None,
        };
        self.set(row, progress);
        Some((key.name.to_owned(), value))
    }

    /// What this end proposes for the number in this row: its wish, within the range of the key and the bounds that its
    /// other wishes set.
    fn number_proposed(&self, row: usize) -> u32 {
        let mut wishes = Parameters::default();
        let mut proposed = 0;
        for key in KEYS.iter().take(row + 1) {
            if let Kind::Number { range, wish, bound, store, .. } = &key.kind {
                proposed = clamped(wish(&self.offer), range).min(bound(&wishes));
                store(&mut wishes, proposed);
            }
        }
        proposed
    }

    /// Whether the default is what this end likes best.
    fn wants_default(&self, key: &Key) -> bool {
        let default = Parameters::default();
        match &key.kind {
            Kind::Boolean { wish, read, .. } => wish(&self.offer) == read(&default),
            Kind::Number { range, wish, read, .. } => clamped(wish(&self.offer), range) == read(&default),
            Kind::List { wish, read, .. } => wish(&self.offer).first() == Some(&read(&default)),
            _ => true,
        }
    }

    /// Checks that all proposals which need an answer have one.
    pub(crate) fn expect_answers(&self) -> Result<(), Failure> {
        let open = KEYS.iter().zip(self.rows).find(|(_, progress)| *progress == Progress::Proposed);
        open.map_or(Ok(()), |(key, _)| {
            Err(Failure::initiator(format!("{} was proposed and not answered", key.name)))
        })
    }

    /// What holds for the keys that the target left unanswered: for a Boolean the value that restricts this end, for
    /// everything else the default. It suits a target that took the default, and one that took the offer.
    pub(super) fn settle_unanswered(&self, out: &mut Parameters) {
        for (key, progress) in KEYS.iter().zip(self.rows) {
            if let (Progress::Proposed, Kind::Boolean { function, store, .. }) = (progress, &key.kind) {
                store(out, dominant(*function));
            }
        }
    }

    /// Takes the peer's answer to a proposal of this end.
    pub(super) fn take_answer(&mut self, row: usize, key: &Key, value: &str) -> Result<(), Failure> {
        let wrong = || {
            let shown: String = value.chars().take(QUOTED).flat_map(char::escape_debug).collect();
            Failure::initiator(format!("{}={shown} answers nothing that was offered", key.name))
        };
        let determined = self.progress(row) == Progress::Determined;
        self.set(row, Progress::Settled);
        match (&key.kind, value) {
            (_, constants::REJECT | constants::IRRELEVANT) if self.originator || !determined => {
                self.set(row, Progress::Closed);
            }
            // Not what was offered, but clear enough: tgt without checksums says so to "CRC32C". What it means for this end
            // shows in the end.
            (Kind::List { choices, wish, .. }, constants::NONE)
                if self.originator && !offers_none(choices, wish(&self.offer)) =>
            {
                self.set(row, Progress::Closed);
            }
            (_, constants::NOT_UNDERSTOOD) if self.originator && key.since == Since::Later => {
                self.set(row, Progress::Closed);
            }
            (Kind::Boolean { store, .. }, _) => {
                let answer = parse_boolean(value).ok();
                let answer = answer.filter(|answer| self.can_be_answered(key, *answer)).ok_or_else(wrong)?;
                store(&mut self.parameters, answer);
            }
            (Kind::Number { range, function, store, .. }, _) => {
                let proposed = self.number_proposed(row);
                let answer =
                    in_range(value, range).filter(|answer| function.apply(*answer, proposed) == *answer);
                store(&mut self.parameters, answer.ok_or_else(wrong)?);
            }
            (Kind::List { choices, wish, store, .. }, _) => {
                let answer = wish(&self.offer).iter().find(|index| choices.get(**index) == Some(&value));
                store(&mut self.parameters, *answer.ok_or_else(wrong)?);
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// Whether the function of a Boolean can give `answer` for what this end wants.
    fn can_be_answered(&self, key: &Key, answer: bool) -> bool {
        match &key.kind {
            Kind::Boolean { function, wish, .. } => function.apply(answer, wish(&self.offer)) == answer,
            _ => false,
        }
    }
}

/// The value that prevails whatever the other end says; it is also the one that asks less of both.
const fn dominant(function: BooleanFunction) -> bool {
    matches!(function, BooleanFunction::Or)
}

const fn without_digest(offer: DigestOffer) -> DigestOffer {
    match offer {
        DigestOffer::Crc32cOnly => DigestOffer::Crc32cOnly,
        _ => DigestOffer::NoneOnly,
    }
}

/// Whether "None" is among the words that this end accepts.
fn offers_none(choices: &[&str], wish: &[usize]) -> bool {
    wish.iter().any(|index| choices.get(*index) == Some(&constants::NONE))
}
