//! The state of a connection at the target: the standard diagram of RFC 7143 section 8.1.4.

use thiserror::Error;

/// A connection was told of something that cannot happen in its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{event:?} cannot happen in state {state:?}")]
pub struct IllegalTransition {
    /// The state, which stays as it was.
    pub state: ConnState,
    /// What was told.
    pub event: ConnEvent,
}

/// States of a target's connection, named as in RFC 7143 section 8.1.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnState {
    /// S1: no connection.
    Free,
    /// S3: transport connection established, waiting for the login.
    XptUp,
    /// S4: the login is under way.
    InLogin,
    /// S5: full-feature phase.
    LoggedIn,
    /// S6: a logout is being carried out.
    InLogout,
    /// S7: the initiator was asked to log out.
    LogoutRequested,
    /// S8: the connection failed; its tasks are being ended.
    CleanupWait,
}

/// What moves a target's connection from state to state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnEvent {
    /// A transport connection was accepted.
    TransportUp,
    /// The first Login Request arrived.
    FirstLogin,
    /// The login succeeded.
    LoginDone,
    /// The login failed, timed out, or its transport was lost.
    LoginFailed,
    /// A Logout Request that closes this connection arrived.
    LogoutReceived,
    /// The Logout Response was sent, or the session was closed by another connection.
    LogoutDone,
    /// The initiator was asked to log out.
    AskedForLogout,
    /// It was asked once more.
    AskedAgain,
    /// The transport was lost, or the connection was dropped on an error.
    TransportLost,
    /// The tasks of a failed connection have ended.
    CleanupDone,
}

macro_rules! transitions {
    ($($t:literal $from:ident $event:ident => $to:ident;)*) => {
        /// Every legal transition: the number that the RFC gives it, and from, by what, to where.
        pub(crate) const TABLE: &[(&str, ConnState, ConnEvent, ConnState)] =
            &[$(($t, ConnState::$from, ConnEvent::$event, ConnState::$to)),*];
    };
}

transitions! {
    "T3"  Free            TransportUp    => XptUp;
    "T4"  XptUp           FirstLogin     => InLogin;
    "T6"  XptUp           LoginFailed    => Free;
    "T5"  InLogin         LoginDone      => LoggedIn;
    "T7"  InLogin         LoginFailed    => Free;
    "T8"  LoggedIn        LogoutDone     => Free;
    "T9"  LoggedIn        LogoutReceived => InLogout;
    "T11" LoggedIn        AskedForLogout => LogoutRequested;
    "T15" LoggedIn        TransportLost  => CleanupWait;
    "T13" InLogout        LogoutDone     => Free;
    "T17" InLogout        TransportLost  => CleanupWait;
    "T10" LogoutRequested LogoutReceived => InLogout;
    "T12" LogoutRequested AskedAgain     => LogoutRequested;
    "T16" LogoutRequested TransportLost  => CleanupWait;
    "T18" LogoutRequested LogoutDone     => Free;
    "M1"  CleanupWait     CleanupDone    => Free;
}

impl ConnState {
    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the diagram has no such arrow.
    pub fn after(self, event: ConnEvent) -> Result<ConnState, IllegalTransition> {
        TABLE
            .iter()
            .find(|(_, from, by, _)| *from == self && *by == event)
            .map(|(.., to)| *to)
            .ok_or(IllegalTransition { state: self, event })
    }

    /// Whether the connection is in the full-feature phase (S5, S6, S7).
    pub const fn is_full_feature(self) -> bool {
        matches!(self, ConnState::LoggedIn | ConnState::InLogout | ConnState::LogoutRequested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConnState::*;

    const STATES: [ConnState; 7] = [Free, XptUp, InLogin, LoggedIn, InLogout, LogoutRequested, CleanupWait];

    /// The matrix of section 8.1.4, row by row (from), column by column (to); "-" where there is no arrow.
    const MATRIX: [[&str; 7]; 6] = [
        ["-", "T3", "-", "-", "-", "-", "-"],
        ["T6", "-", "T4", "-", "-", "-", "-"],
        ["T7", "-", "-", "T5", "-", "-", "-"],
        ["T8", "-", "-", "-", "T9", "T11", "T15"],
        ["T13", "-", "-", "-", "-", "-", "T17"],
        ["T18", "-", "-", "-", "T10", "T12", "T16"],
    ];

    #[test]
    fn the_table_is_the_matrix_of_the_rfc() {
        for (from, row) in STATES.iter().zip(MATRIX) {
            for (to, want) in STATES.iter().zip(row) {
                let found: Vec<_> =
                    TABLE.iter().filter(|(_, f, _, t)| f == from && t == to).map(|(n, ..)| *n).collect();
                let want: &[&str] = if want == "-" { &[] } else { &[want] };
                assert_eq!(found, want, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn what_the_table_does_not_list_is_an_error_and_changes_nothing() {
        let err = Free.after(ConnEvent::LogoutReceived).unwrap_err();
        assert_eq!(err, IllegalTransition { state: Free, event: ConnEvent::LogoutReceived });
        assert!(LoggedIn.after(ConnEvent::TransportUp).is_err());
    }
}
