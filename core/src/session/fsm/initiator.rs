//! The state of a connection at the initiator: RFC 7143 section 8.1.3, and the cleanup of section 8.2.
//!
//! An initiator whose session has one connection cleans up by another login (CSM-I in section 8.2): the states after
//! [`InitiatorConnState::CleanupWait`] are those of the connection that was lost, while its successor starts in
//! [`InitiatorConnState::Free`].

use super::transitions;

/// States of an initiator's connection, named as in RFC 7143 sections 8.1.1 and 8.2.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitiatorConnState {
    /// S1, R3: no connection.
    Free,
    /// S2: a transport connection was asked for.
    XptWait,
    /// S4: the login is under way.
    InLogin,
    /// S5: full-feature phase.
    LoggedIn,
    /// S6: a Logout Request was sent.
    InLogout,
    /// S7: the target has asked for a logout, which was not sent yet.
    LogoutRequested,
    /// S8, R1: the connection failed; its tasks have not ended.
    CleanupWait,
    /// R2: a login that takes its place is under way.
    InCleanup,
}

/// What moves an initiator's connection from state to state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitiatorConnEvent {
    /// A transport connection was asked for.
    ConnectRequested,
    /// There will be none: it timed out, was reset, or is not wanted any more.
    ConnectFailed,
    /// The transport connection is established; the login starts.
    TransportUp,
    /// The final Login Response arrived, with Status-Class 0.
    LoginDone,
    /// The login was refused, timed out, lost its transport, or is not wanted any more.
    LoginFailed,
    /// A Logout Request that closes this connection was sent on it.
    LogoutSent,
    /// A Logout Response that closes this connection arrived, on it or on another one of the session.
    LogoutDone,
    /// The Logout Response says that the logout failed, or none came in time.
    LogoutFailed,
    /// The target asked for a logout, by an Asynchronous Message.
    AskedToLogOut,
    /// The transport was lost, was given up, or the target dropped the connection, or all of them, by an Asynchronous
    /// Message.
    TransportLost,
    /// The login of the connection that takes its place was sent.
    ReinstatementSent,
    /// That login has failed.
    ReinstatementFailed,
    /// The tasks of a failed connection have ended: its place was taken, its session closed, or its time is over.
    CleanupDone,
}

transitions! { InitiatorConnState by InitiatorConnEvent {
    "T1"  Free            ConnectRequested    => XptWait;
    "T2"  XptWait         ConnectFailed       => Free;
    "T4"  XptWait         TransportUp         => InLogin;
    "T5"  InLogin         LoginDone           => LoggedIn;
    "T7"  InLogin         LoginFailed         => Free;
    "T8"  LoggedIn        LogoutDone          => Free;
    "T9"  LoggedIn        LogoutSent          => InLogout;
    "T11" LoggedIn        AskedToLogOut       => LogoutRequested;
    "T15" LoggedIn        TransportLost       => CleanupWait;
    "T13" InLogout        LogoutDone          => Free;
    "T14" InLogout        AskedToLogOut       => InLogout;
    "T17" InLogout        LogoutFailed        => CleanupWait;
    "T17" InLogout        TransportLost       => CleanupWait;
    "T10" LogoutRequested LogoutSent          => InLogout;
    "T12" LogoutRequested AskedToLogOut       => LogoutRequested;
    "T16" LogoutRequested TransportLost       => CleanupWait;
    "T18" LogoutRequested LogoutDone          => Free;
    "M1"  CleanupWait     CleanupDone         => Free;
    "M2"  CleanupWait     ReinstatementSent   => InCleanup;
    "M3"  InCleanup       ReinstatementFailed => CleanupWait;
    "M4"  InCleanup       CleanupDone         => Free;
} }

impl InitiatorConnState {
    /// Whether the connection is in the full-feature phase (S5, S6, S7).
    pub const fn is_full_feature(self) -> bool {
        matches!(
            self,
            InitiatorConnState::LoggedIn | InitiatorConnState::InLogout | InitiatorConnState::LogoutRequested
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_matrix;
    use super::*;
    use InitiatorConnState::*;

    #[test]
    fn the_table_is_the_matrix_of_section_8_1_3_and_that_of_section_8_2() {
        let states = [Free, XptWait, InLogin, LoggedIn, InLogout, LogoutRequested, CleanupWait, InCleanup];
        let matrix: [&[&str]; 8] = [
            &["-", "T1", "-", "-", "-", "-", "-", "-"],
            &["T2", "-", "T4", "-", "-", "-", "-", "-"],
            &["T7", "-", "-", "T5", "-", "-", "-", "-"],
            &["T8", "-", "-", "-", "T9", "T11", "T15", "-"],
            &["T13", "-", "-", "-", "T14", "-", "T17", "-"],
            &["T18", "-", "-", "-", "T10", "T12", "T16", "-"],
            &["M1", "-", "-", "-", "-", "-", "-", "M2"],
            &["M4", "-", "-", "-", "-", "-", "M3", "-"],
        ];
        assert_matrix(TABLE, &states, &matrix);
    }

    #[test]
    fn the_full_feature_phase_is_what_a_successful_login_leads_to() {
        let full = [LoggedIn, InLogout, LogoutRequested];
        for (_, _, _, to) in TABLE {
            assert_eq!(to.is_full_feature(), full.contains(to), "{to:?}");
        }
    }
}
