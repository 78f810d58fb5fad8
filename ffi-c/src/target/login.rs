//! Answers to a login, and what it becomes.

use core::ffi::{c_char, c_int};

use iscsicore::target::{Moved, Target};
use iscsicore::wire::{LoginStatus, Tsih};
use iscsicore::{Instant, TransportError};

use super::admission::{self, iscsicore_admission};
use super::{Login, Phase, Session, iscsicore_target};
use crate::boundary::guard;
use crate::handle::lock;
use crate::pointer::{flag, optional_text, text};
use crate::status::{Failure, iscsicore_status};

/// What a target tells an initiator whose login does not succeed: Status-Class and Status-Detail (RFC 7143 section 11.13.5).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_login_status {
    /// Try another address, for now.
    MovedTemporarily = 0x0101,
    /// Try another address from now on.
    MovedPermanently = 0x0102,
    /// The initiator made a mistake that has no status of its own.
    InitiatorError = 0x0200,
    /// The initiator did not prove who it is.
    AuthenticationFailure = 0x0201,
    /// The initiator may not use this target.
    AuthorizationFailure = 0x0202,
    /// There is no such target here.
    NotFound = 0x0203,
    /// The target is gone for good.
    TargetRemoved = 0x0204,
    /// No version in common.
    UnsupportedVersion = 0x0205,
    /// The session takes no more connections.
    TooManyConnections = 0x0206,
    /// Something that must be said was not.
    MissingParameter = 0x0207,
    /// This connection cannot be part of that session.
    CantIncludeInSession = 0x0208,
    /// There are no sessions of this type here.
    SessionTypeNotSupported = 0x0209,
    /// There is no such session.
    SessionDoesNotExist = 0x020a,
    /// The request does not fit the state of the login.
    InvalidDuringLogin = 0x020b,
    /// The target failed.
    TargetError = 0x0300,
    /// The target cannot serve now: try again later.
    ServiceUnavailable = 0x0301,
    /// The target has no room for the session.
    OutOfResources = 0x0302,
}

impl Login {
    pub(super) fn is_over(&self) -> bool {
        self.lost || self.incoming.is_closing()
    }
}

/// Lets the login go on, on these terms. Answers ISCSICORE_TARGET_EVENT_KIND_LOGIN. Then call iscsicore_target_receive and
/// iscsicore_target_transmit. What the initiator asked for may fail the terms at once: events tell that.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE when no login waits for this; ISCSICORE_STATUS_INVALID_ARGUMENT for terms that
/// contradict themselves, an empty secret, or one secret for both directions. The login waits still, then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_admit(
    target: *mut iscsicore_target,
    admission: *const iscsicore_admission,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(target) }?;
        let login = state.login()?;
        let Some(hello) = login.incoming.hello() else {
            return Err(Failure::state("no login waits to be admitted"));
        };
        // SAFETY: the rules at the head of the header.
        let admission = unsafe { admission::read(admission, hello) }?;
        Ok(login.incoming.admit(admission)?)
    })
}

/// Refuses the login. Answers ISCSICORE_TARGET_EVENT_KIND_LOGIN or ISCSICORE_TARGET_EVENT_KIND_READY. `status` is an
/// iscsicore_login_status from 0x0200 on, which the initiator is told; `why`, which may be NULL, comes with
/// ISCSICORE_TARGET_EVENT_KIND_ENDED, for the log.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE when no login waits for an answer; ISCSICORE_STATUS_INVALID_ARGUMENT for a status
/// that refuses nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_refuse(
    target: *mut iscsicore_target,
    status: c_int,
    why: *const c_char,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, why) = unsafe { (lock(target)?, optional_text(why, "why")?) };
        let login = state.login()?;
        // Classes 2 and 3: the initiator or the target is to blame. A status of no name is the program's business.
        let status = match u16::try_from(status) {
            Ok(status @ 0x0200..=0x03ff) => LoginStatus(status),
            _ => return Err(Failure::invalid(format!("{status:#x} is no login status that refuses"))),
        };
        Ok(login.incoming.refuse(status, why.unwrap_or("refused by the program"))?)
    })
}

/// Sends the initiator to another address: "host", "host:port", or the same with an IPv6 address in brackets; for good when
/// `permanent` is not 0. Answers ISCSICORE_TARGET_EVENT_KIND_LOGIN or ISCSICORE_TARGET_EVENT_KIND_READY.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE when no login waits for an answer; ISCSICORE_STATUS_INVALID_ARGUMENT for what is no
/// address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_redirect(
    target: *mut iscsicore_target,
    permanent: c_int,
    address: *const c_char,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, text) = unsafe { (lock(target)?, text(address, "address")?) };
        let moved = if flag(permanent) { Moved::Permanently } else { Moved::Temporarily };
        Ok(state.login()?.incoming.redirect(moved, check_address(text)?)?)
    })
}

/// Makes a new session of the login, with the handle `tsih`: not 0, and of no other session of this target. Answers
/// ISCSICORE_TARGET_EVENT_KIND_READY. Then call iscsicore_target_receive and iscsicore_target_transmit with the same halves.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE when the login is not complete; ISCSICORE_STATUS_INVALID_ARGUMENT when `tsih` is 0,
/// or not that of the session that the initiator wants to join. The login waits still, then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_establish(
    target: *mut iscsicore_target,
    now: u64,
    tsih: u16,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(target) }?;
        let (asked, cid) = asked_for(state.ready_login()?)?;
        if tsih == 0 || asked != 0 && asked != tsih {
            let message =
                format!("tsih is {tsih}; it cannot be 0, nor another than the initiator named: {asked}");
            return Err(Failure::invalid(message));
        }
        let incoming = state.take_login()?;
        // Nothing that was checked above can fail now.
        let (target, conn) = Target::new(incoming, Tsih(tsih), Instant::from_nanos(now))?;
        state.phase = Phase::Session(Box::new(Session { target, conn, cid }));
        Ok(())
    })
}

/// Lets the connection of `login` take the place of the one that `target` has or had (RFC 7143 section 6.3.4), when the
/// login named the `tsih` of that session. Commands of the old connection are ended, and told by
/// ISCSICORE_TARGET_EVENT_KIND_ABORT. Answers ISCSICORE_TARGET_EVENT_KIND_READY of `login`.
///
/// From then on `target` is used with the halves of the new connection: close the old one, and free its halves. `login` is
/// empty: every call but iscsicore_target_free answers ISCSICORE_STATUS_WRONG_STATE.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE when the login is not complete, or the session is over, and
/// ISCSICORE_STATUS_INVALID_ARGUMENT when the login is for another session, or another connection of that is up: the login
/// waits still, to be refused, say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_reinstate(
    target: *mut iscsicore_target,
    now: u64,
    login: *mut iscsicore_target,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, mut login) = unsafe { (lock(target)?, lock(login)?) };
        let session = state.session()?;
        if session.target.is_over() {
            return Err(Failure::state("the session is over"));
        }
        let (tsih, cid) = asked_for(login.ready_login()?)?;
        if Tsih(tsih) != session.target.tsih() {
            return Err(Failure::invalid("the login is not for this session: another tsih"));
        }
        let is_up = session.target.connections().next().is_some();
        if is_up && cid != session.cid {
            return Err(Failure::invalid("another connection of the session is up"));
        }
        let now = Instant::from_nanos(now);
        let conn = session.target.reinstate(login.take_login()?, now)?;
        let old = core::mem::replace(&mut session.conn, conn);
        session.cid = cid;
        // The session has another connection by now, so it does not end for this.
        session.target.lost(now, old, TransportError::Closed);
        Ok(())
    })
}

/// The session and the connection that a login asks for.
fn asked_for(login: &Login) -> Result<(u16, iscsicore::wire::Cid), Failure> {
    let hello = login.incoming.hello().ok_or_else(|| Failure::state("the login is not complete"))?;
    Ok((hello.tsih.0, hello.cid))
}

/// What can be an address in an answer: no portal group tag belongs to it, which would follow a comma.
pub(super) fn check_address(text: &str) -> Result<&str, Failure> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if (1..=255).contains(&text.len()) && printable {
        Ok(text)
    } else {
        Err(Failure::invalid(format!("{text:?} is no address: host:port, an IPv6 address in brackets")))
    }
}
