//! The state of a connection at the target: RFC 7143 section 8.1.4, and section 8.2 as far as a target sees it.

use super::transitions;

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

transitions! { ConnState by ConnEvent {
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
} }

impl ConnState {
    /// Whether the connection is in the full-feature phase (S5, S6, S7).
    pub const fn is_full_feature(self) -> bool {
        matches!(self, ConnState::LoggedIn | ConnState::InLogout | ConnState::LogoutRequested)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_matrix;
    use super::*;
    use ConnState::*;

    #[test]
    fn the_table_is_the_matrix_of_section_8_1_4_and_transition_m1() {
        let states = [Free, XptUp, InLogin, LoggedIn, InLogout, LogoutRequested, CleanupWait];
        let matrix: [&[&str]; 7] = [
            &["-", "T3", "-", "-", "-", "-", "-"],
            &["T6", "-", "T4", "-", "-", "-", "-"],
            &["T7", "-", "-", "T5", "-", "-", "-"],
            &["T8", "-", "-", "-", "T9", "T11", "T15"],
            &["T13", "-", "-", "-", "-", "-", "T17"],
            &["T18", "-", "-", "-", "T10", "T12", "T16"],
            &["M1", "-", "-", "-", "-", "-", "-"],
        ];
        assert_matrix(TABLE, &states, &matrix);
    }
}
