//! Stages of a login and the ways between them (RFC 7143 section 6.3).

use super::Failure;
use crate::wire::{LoginStatus, Stage};

/// Every transition that is allowed; `None` is the start of a login.
pub const TRANSITIONS: [(Option<Stage>, Stage); 5] = [
    (None, Stage::SecurityNegotiation),
    (None, Stage::LoginOperationalNegotiation),
    (Some(Stage::SecurityNegotiation), Stage::LoginOperationalNegotiation),
    (Some(Stage::SecurityNegotiation), Stage::FullFeature),
    (Some(Stage::LoginOperationalNegotiation), Stage::FullFeature),
];

/// Whether a login may go from one stage (`None`: the start) to another.
pub fn is_allowed(from: Option<Stage>, to: Stage) -> bool {
    TRANSITIONS.contains(&(from, to))
}

/// Where a login stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stages {
    current: Option<Stage>,
}

impl Stages {
    /// The stage that is being negotiated; `None` before the first request.
    pub const fn current(self) -> Option<Stage> {
        self.current
    }

    /// Checks the stage fields of a request and enters its stage if it is the first.
    ///
    /// `next` is the stage that the request asks to go to, `None` when its T bit is 0.
    ///
    /// # Errors
    ///
    /// The request starts in, stays in, or asks for a stage that it cannot.
    pub fn request(&mut self, csg: Stage, next: Option<Stage>) -> Result<(), Failure> {
        match self.current {
            None if is_allowed(None, csg) => {}
            Some(current) if current == csg => {}
            None => return Err(invalid("a login cannot start in the full-feature phase")),
            Some(_) => return Err(invalid("CSG is not the stage that the login is in")),
        }
        if next.is_some_and(|next| !is_allowed(Some(csg), next)) {
            return Err(invalid("NSG cannot follow CSG"));
        }
        self.current = Some(csg);
        Ok(())
    }

    /// Goes to the stage that both ends agreed on.
    pub fn advance(&mut self, to: Stage) {
        self.current = Some(to);
    }
}

fn invalid(why: &'static str) -> Failure {
    Failure::new(LoginStatus::INITIATOR_ERROR, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stage::*;

    const STAGES: [Stage; 3] = [SecurityNegotiation, LoginOperationalNegotiation, FullFeature];

    // covers: 7143-6.3-5 7143-6.3-6
    #[test]
    fn the_whole_matrix() {
        let matrix: Vec<String> =
            [None, Some(SecurityNegotiation), Some(LoginOperationalNegotiation), Some(FullFeature)]
                .iter()
                .map(|from| STAGES.iter().map(|to| if is_allowed(*from, *to) { 'y' } else { 'n' }).collect())
                .collect();
        assert_eq!(matrix, ["yyn", "nyy", "nny", "nnn"]);
    }

    #[test]
    fn requests_are_held_to_the_stage_agreed() {
        for first in STAGES {
            for second in STAGES {
                let mut stages = Stages::default();
                assert_eq!(stages.request(first, None).is_ok(), first != FullFeature);
                if first != FullFeature {
                    assert_eq!(stages.request(second, None).is_ok(), first == second, "{first:?} {second:?}");
                    let jump = stages.request(first, Some(second));
                    assert_eq!(jump.is_ok(), second > first);
                }
            }
        }
    }

    #[test]
    fn a_refused_request_changes_nothing() {
        let mut stages = Stages::default();
        assert!(stages.request(FullFeature, None).is_err());
        assert!(stages.request(SecurityNegotiation, Some(SecurityNegotiation)).is_err());
        assert_eq!(stages.current(), None);
        stages.request(SecurityNegotiation, Some(FullFeature)).unwrap();
        stages.advance(LoginOperationalNegotiation);
        assert_eq!(stages.current(), Some(LoginOperationalNegotiation));
    }
}
