//! The states of a connection, RFC 7143 sections 8.1 and 8.2: one table per role, one engine for both.

mod initiator;
mod target;

use core::fmt::Debug;

use thiserror::Error;

pub use initiator::{InitiatorConnEvent, InitiatorConnState};
pub use target::{ConnEvent, ConnState};

/// A connection was told of something that cannot happen in its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{event:?} cannot happen in state {state:?}")]
pub struct IllegalTransition<S: Debug = ConnState, E: Debug = ConnEvent> {
    /// The state, which stays as it was.
    pub state: S,
    /// What was told.
    pub event: E,
}

/// An arrow of a diagram: the number that the RFC gives it, and from, by what, to where.
type Arrow<S, E> = (&'static str, S, E, S);

/// The state after `event`, by the only arrow that leaves `state` with it.
fn after<S, E>(table: &[Arrow<S, E>], state: S, event: E) -> Result<S, IllegalTransition<S, E>>
where
    S: Copy + PartialEq + Debug,
    E: Copy + PartialEq + Debug,
{
    table
        .iter()
        .find(|(_, from, by, _)| *from == state && *by == event)
        .map(|(.., to)| *to)
        .ok_or(IllegalTransition { state, event })
}

/// The table of a role, `number state event => state` a row, and the method that walks it.
macro_rules! transitions {
    ($state:ident by $event_type:ident { $($t:literal $from:ident $event:ident => $to:ident;)* }) => {
        const TABLE: &[super::Arrow<$state, $event_type>] =
            &[$(($t, $state::$from, $event_type::$event, $state::$to)),*];

        impl $state {
            /// The state after `event`.
            ///
            /// # Errors
            /// [`IllegalTransition`](super::IllegalTransition) when the diagram has no such arrow.
            pub fn after(
                self,
                event: $event_type,
            ) -> Result<$state, super::IllegalTransition<$state, $event_type>> {
                super::after(TABLE, self, event)
            }
        }
    };
}
use transitions;

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares a table with a matrix of the RFC: a row for each state that is left, a column for each that is entered,
    /// in the order of `states`; "-" where there is no arrow, several numbers separated by spaces.
    pub(super) fn assert_matrix<S, E>(table: &[Arrow<S, E>], states: &[S], matrix: &[&[&str]])
    where
        S: Copy + PartialEq + Debug,
        E: Copy + PartialEq + Debug,
    {
        assert_eq!(states.len(), matrix.len(), "a row for each state");
        for (from, row) in states.iter().zip(matrix) {
            assert_eq!(states.len(), row.len(), "a column for each state");
            for (to, want) in states.iter().zip(*row) {
                let mut found: Vec<_> =
                    table.iter().filter(|(_, f, _, t)| f == from && t == to).map(|(n, ..)| *n).collect();
                found.dedup();
                let want: Vec<&str> = want.split(' ').filter(|n| *n != "-").collect();
                assert_eq!(found, want, "{from:?} to {to:?}");
            }
        }
        for (number, from, by, _) in table {
            assert!(states.contains(from), "{number} leaves a state of the diagram");
            let ways = table.iter().filter(|(_, f, b, _)| f == from && b == by).count();
            assert_eq!(ways, 1, "{by:?} in {from:?} leads to one state");
        }
    }

    #[test]
    fn what_a_table_does_not_list_is_an_error_and_changes_nothing() {
        let err = ConnState::Free.after(ConnEvent::LogoutReceived).unwrap_err();
        assert_eq!(err, IllegalTransition { state: ConnState::Free, event: ConnEvent::LogoutReceived });
        assert!(ConnState::LoggedIn.after(ConnEvent::TransportUp).is_err());

        let err = InitiatorConnState::Free.after(InitiatorConnEvent::LoginDone).unwrap_err();
        assert_eq!(err.to_string(), "LoginDone cannot happen in state Free");
    }
}
