//! One session of a target, for programs that have device servers of their own.

use core::mem;
use core::time::Duration;

use iscsicore::session::ConnId;
use iscsicore::target::{Incoming, Target};
use iscsicore::wire::Cid;
use iscsicore::{Instant, TransportError};

use crate::boundary::guard;
use crate::handle::{Handle, Opaque, free, lock, opaque};
use crate::limits::{ISCSICORE_NEVER, iscsicore_limits, iscsicore_parameters, limits as read_limits};
use crate::link::{iscsicore_receiver, iscsicore_transmitter};
use crate::pointer::{out, out_handle, seed as read_seed};
use crate::status::{Failure, iscsicore_status};

pub mod admission;
pub mod command;
pub mod counters;
pub mod event;
pub mod kept;
pub mod login;
pub mod management;
pub mod send_targets;

mod screen;

use counters::iscsicore_counters;
use event::{iscsicore_end_reason, iscsicore_target_event};
use screen::Screen;

/// One session with an initiator, from the connection that was accepted to the end of its last command. It is for programs
/// that answer SCSI commands themselves (a tape, a disk of their own kind); a server of disks is iscsicore_host.
///
/// The contract: after any call on it take iscsicore_target_next_event until there is none, call
/// iscsicore_target_transmit, and re-arm a timer for iscsicore_target_timeout. The order does not matter, and too often is
/// harmless. When bytes have arrived, and whenever the transmitter was emptied or a login was answered, call
/// iscsicore_target_receive.
///
/// It begins as a login. ISCSICORE_TARGET_EVENT_KIND_LOGIN says who wants in: answer with iscsicore_target_admit,
/// iscsicore_target_refuse or iscsicore_target_redirect. ISCSICORE_TARGET_EVENT_KIND_READY says that all is agreed and
/// proved: answer with iscsicore_target_establish (a new session), iscsicore_target_reinstate (it takes the place of the
/// connection of another session) or iscsicore_target_refuse. From then on it is a session, and commands come.
///
/// A function that belongs to a session answers ISCSICORE_STATUS_WRONG_STATE during the login, and the other way round; and every one
/// but iscsicore_target_free does for a login that iscsicore_target_reinstate has taken.
///
/// Threads: any, one call at a time.
pub struct iscsicore_target(Handle<State>);
opaque!(iscsicore_target, State);

/// What is behind the handle.
pub(crate) struct State {
    phase: Phase,
    /// The event that C is shown; its memory does not move.
    screen: Box<Screen>,
    /// The counters that C is shown.
    counters: Box<iscsicore_counters>,
}

enum Phase {
    Login(Box<Login>),
    Session(Box<Session>),
    /// The login went to another handle.
    Spent,
}

/// A login, and what has been told of its end.
struct Login {
    incoming: Incoming,
    /// Why it ended, unless the login itself knows better.
    end: Option<iscsicore_end_reason>,
    /// The transport is gone.
    lost: bool,
    close_told: bool,
    end_told: bool,
}

struct Session {
    target: Target,
    conn: ConnId,
    cid: Cid,
}

impl State {
    fn session(&mut self) -> Result<&mut Session, Failure> {
        match &mut self.phase {
            Phase::Session(session) => Ok(session),
            Phase::Login(_) => Err(Failure::state("there is no session yet: the login is not complete")),
            Phase::Spent => Err(spent()),
        }
    }

    fn login(&mut self) -> Result<&mut Login, Failure> {
        match &mut self.phase {
            Phase::Login(login) if login.lost => Err(Failure::state("the connection of the login is gone")),
            Phase::Login(login) => Ok(login),
            Phase::Session(_) => Err(Failure::state("the login is over: there is a session")),
            Phase::Spent => Err(spent()),
        }
    }

    /// The login to make a session of.
    fn ready_login(&mut self) -> Result<&mut Login, Failure> {
        let login = self.login()?;
        if login.incoming.is_ready() {
            Ok(login)
        } else {
            Err(Failure::state("the login is not complete: wait for ISCSICORE_TARGET_EVENT_KIND_READY"))
        }
    }

    /// Takes the login out of the handle, if it is one.
    fn take_login(&mut self) -> Result<Incoming, Failure> {
        match mem::replace(&mut self.phase, Phase::Spent) {
            Phase::Login(login) => Ok(login.incoming),
            other => {
                self.phase = other;
                Err(spent())
            }
        }
    }
}

fn spent() -> Failure {
    Failure::state("this login was handed to iscsicore_target_reinstate: free the handle")
}

/// Begins with a connection that was accepted. `limits` may be NULL; the receiver has the same ones. `seed` is 32 bytes from
/// the system's source of randomness, of no other use: challenges come from it.
///
/// Ownership: the caller's, until iscsicore_target_free.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a limit out of its range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_new(
    limits: *const iscsicore_limits,
    seed: *const u8,
    now: u64,
    target: *mut *mut iscsicore_target,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, limits, seed) = unsafe { (out_handle(target)?, read_limits(limits)?, read_seed(seed)?) };
        let incoming = Incoming::new(limits, seed, Instant::from_nanos(now));
        let login = Login { incoming, end: None, lost: false, close_told: false, end_told: false };
        place.set(iscsicore_target::boxed(State {
            phase: Phase::Login(Box::new(login)),
            screen: Box::default(),
            counters: Box::default(),
        }));
        Ok(())
    })
}

/// Ends a session or a login at once, with all that it holds; nothing more is said to the initiator. NULL is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_free(target: *mut iscsicore_target) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { free(target) })
}

/// Takes the PDUs that the receiver has whole. A login stops at the event that it wants an answer to: call again then.
///
/// Errors: ISCSICORE_STATUS_PEER_ERROR when the initiator broke the protocol or its login failed or was refused: events tell
/// the end; transmit and write what there is, then close. ISCSICORE_STATUS_WRONG_STATE when a login was lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_receive(
    target: *mut iscsicore_target,
    now: u64,
    receiver: *mut iscsicore_receiver,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, mut receiver) = unsafe { (lock(target)?, lock(receiver)?) };
        let now = Instant::from_nanos(now);
        match &mut state.phase {
            Phase::Session(session) => session.target.receive(now, session.conn, &mut receiver)?,
            _ => state.login()?.incoming.receive(now, &mut receiver)?,
        }
        Ok(())
    })
}

/// Moves what is to be sent into the transmitter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_transmit(
    target: *mut iscsicore_target,
    now: u64,
    transmitter: *mut iscsicore_transmitter,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, mut transmitter) = unsafe { (lock(target)?, lock(transmitter)?) };
        let now = Instant::from_nanos(now);
        match &mut state.phase {
            Phase::Session(session) => session.target.transmit(now, session.conn, &mut transmitter),
            Phase::Login(login) => login.incoming.transmit(now, &mut transmitter),
            Phase::Spent => return Err(spent()),
        }
        Ok(())
    })
}

/// Tells that the connection is gone. A session whose login agreed on DefaultTime2Retain waits for so long to be reinstated;
/// any other ends. Commands that the caller has are told by ISCSICORE_TARGET_EVENT_KIND_ABORT, and
/// ISCSICORE_TARGET_EVENT_KIND_ENDED comes when they have ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_lost(target: *mut iscsicore_target, now: u64) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(target) }?;
        match &mut state.phase {
            Phase::Session(session) => {
                session.target.lost(Instant::from_nanos(now), session.conn, TransportError::Closed);
            }
            Phase::Login(login) => {
                login.lost = true;
                login.end.get_or_insert(iscsicore_end_reason::ConnectionLost);
            }
            Phase::Spent => return Err(spent()),
        }
        Ok(())
    })
}

/// Tells when iscsicore_target_handle_timeout is to be called; ISCSICORE_NEVER when it need not be. Any other call may
/// change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_timeout(
    target: *mut iscsicore_target,
    at: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (state, place) = unsafe { (lock(target)?, out(at, "at")?) };
        let at = match &state.phase {
            Phase::Session(session) => session.target.poll_timeout(),
            Phase::Login(login) if login.is_over() => None,
            Phase::Login(login) => login.incoming.poll_timeout(),
            Phase::Spent => return Err(spent()),
        };
        place.set(at.map_or(ISCSICORE_NEVER, Instant::as_nanos));
        Ok(())
    })
}

/// Acts on the time that has passed; harmless when nothing is due.
///
/// Errors: ISCSICORE_STATUS_PEER_ERROR when a login has taken too long; events tell its end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_handle_timeout(
    target: *mut iscsicore_target,
    now: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(target) }?;
        let now = Instant::from_nanos(now);
        match &mut state.phase {
            Phase::Session(session) => session.target.handle_timeout(now),
            Phase::Login(login) if login.is_over() => {}
            Phase::Login(login) => {
                if let Err(error) = login.incoming.handle_timeout(now) {
                    login.end.get_or_insert(iscsicore_end_reason::TimedOut);
                    return Err(error.into());
                }
            }
            Phase::Spent => return Err(spent()),
        }
        Ok(())
    })
}

/// Shows what is to be acted on next; `*event` is NULL when there is nothing.
///
/// Ownership: the library's. The event and all that it points to live until the next call of this function with this target,
/// or until it is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_next_event(
    target: *mut iscsicore_target,
    event: *mut *const iscsicore_target_event,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, place) = unsafe { (lock(target)?, out(event, "event")?) };
        let State { phase, screen, .. } = &mut *state;
        screen.clear();
        let shown = match phase {
            Phase::Login(login) => screen.of_login(login),
            Phase::Session(session) => screen.of_session(session),
            Phase::Spent => return Err(spent()),
        };
        place.set(shown);
        Ok(())
    })
}

/// Asks the initiator to log out within `within` nanoseconds, of which it is told the whole seconds; after that the session
/// ends. A discovery session ends at once.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE during the login.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_request_logout(
    target: *mut iscsicore_target,
    now: u64,
    within: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(target) }?;
        let session = state.session()?;
        session.target.request_logout(Instant::from_nanos(now), Duration::from_nanos(within));
        Ok(())
    })
}

/// Ends the session: its commands are aborted, its connection is to be closed, and ISCSICORE_TARGET_EVENT_KIND_ENDED comes
/// when the caller has ended the commands that it still has.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE during the login, which is refused or freed instead.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_terminate(
    target: *mut iscsicore_target,
    now: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(target) }?.session()?.target.terminate(Instant::from_nanos(now));
        Ok(())
    })
}

/// Tells what the login agreed on: from ISCSICORE_TARGET_EVENT_KIND_READY on.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_parameters(
    target: *mut iscsicore_target,
    parameters: *mut iscsicore_parameters,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, place) = unsafe { (lock(target)?, out(parameters, "parameters")?) };
        let agreed = match &mut state.phase {
            Phase::Session(session) => session.target.parameters().into(),
            _ => match state.ready_login()?.incoming.parameters() {
                Some(agreed) => agreed.into(),
                None => return Err(Failure::state("nothing is agreed on yet")),
            },
        };
        place.set(agreed);
        Ok(())
    })
}

/// Tells how many commands and other requests of the initiator have not been answered; 0 during the login.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_outstanding(
    target: *mut iscsicore_target,
    count: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (state, place) = unsafe { (lock(target)?, out(count, "count")?) };
        place.set(match &state.phase {
            Phase::Session(session) => session.target.outstanding(),
            Phase::Login(_) => 0,
            Phase::Spent => return Err(spent()),
        });
        Ok(())
    })
}
