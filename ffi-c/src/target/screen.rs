//! The event that C is shown, and what keeps alive what it points to.

use core::ffi::c_char;
use core::ptr::null;
use std::ffi::CString;

use iscsicore::login::{Hello, SessionType};
use iscsicore::scsi::{Cdb, MAX_CDB_LEN};
use iscsicore::target::{AbortId, Command, EndReason, Event, IncomingEvent, TaskManagement};
use iscsicore::wire::TaskAttribute;

use super::event::*;
use super::management::function_to_c;
use super::send_targets::which_to_c;
use super::{Login, Session};
use crate::codes::iscsicore_task_attribute;
use crate::payload::Shown;
use crate::status::{Failure, text_without_nul};

use iscsicore_target_event_body as U;
use iscsicore_target_event_kind as Kind;

/// Holds one event. It stays in a box, so that C may keep a pointer to it.
pub(super) struct Screen {
    event: iscsicore_target_event,
    texts: Vec<CString>,
    cdb: [u8; MAX_CDB_LEN],
    data: Shown,
    /// Whether `data` is what the event shows.
    shows_data: bool,
}

// SAFETY: the pointers of the event are into the other fields, or NULL.
unsafe impl Send for Screen {}

impl Default for Screen {
    fn default() -> Self {
        let ended = iscsicore_target_ended_event {
            reason: iscsicore_end_reason::Other,
            login_status: 0,
            text: null(),
        };
        Screen {
            event: iscsicore_target_event { kind: Kind::Close, u: U { ended } },
            texts: Vec::new(),
            cdb: [0; MAX_CDB_LEN],
            data: Shown::default(),
            shows_data: false,
        }
    }
}

impl Screen {
    /// Lets go of what the last event pointed to.
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.shows_data = false;
        if self.data.count() > 0 {
            self.data = Shown::default();
        }
    }

    /// Takes the payload that is shown. Its memory stays where it is.
    pub(super) fn take_data(&mut self) -> Result<Shown, Failure> {
        if !core::mem::take(&mut self.shows_data) {
            return Err(Failure::state("the last event has shown no payload, or that was kept already"));
        }
        Ok(core::mem::take(&mut self.data))
    }

    /// The next event of a login, or NULL.
    pub(super) fn of_login(&mut self, login: &mut Login) -> *const iscsicore_target_event {
        match login.incoming.poll_event().filter(|_| !login.lost) {
            Some(IncomingEvent::Hello(hello)) => return self.hello(&hello),
            Some(IncomingEvent::Ready) => {
                let user = self.optional_text(login.incoming.user());
                return self.show(Kind::Ready, U { ready: iscsicore_target_ready_event { user } });
            }
            None => {}
        }
        if !login.is_over() || login.end_told {
            return null();
        }
        if !login.lost && !login.close_told {
            login.close_told = true;
            return self.close();
        }
        login.end_told = true;
        let ended = match login.incoming.failure() {
            Some(failure) => iscsicore_target_ended_event {
                reason: iscsicore_end_reason::LoginFailed,
                login_status: failure.status.0,
                text: self.text(&failure.why),
            },
            None => iscsicore_target_ended_event {
                reason: login.end.unwrap_or(iscsicore_end_reason::ProtocolError),
                login_status: 0,
                text: null(),
            },
        };
        self.show(Kind::Ended, U { ended })
    }

    /// The next event of a session, or NULL.
    pub(super) fn of_session(&mut self, session: &mut Session) -> *const iscsicore_target_event {
        while let Some(event) = session.target.poll_event() {
            match event {
                Event::Command(command) => return self.command(&command),
                Event::Data { task, data } => {
                    let data_len = data.len();
                    self.data.replace(data);
                    self.shows_data = true;
                    let (data, data_count) = (self.data.as_ptr(), self.data.count());
                    let data =
                        iscsicore_target_data_event { task: task.to_bits(), data, data_count, data_len };
                    return self.show(Kind::Data, U { data });
                }
                Event::Abort { task } => {
                    let abort = iscsicore_target_abort_event { task: task.to_bits() };
                    return self.show(Kind::Abort, U { abort });
                }
                Event::TaskManagement(TaskManagement { request, function, lun }) => {
                    let task_management = iscsicore_target_task_management_event {
                        request: request.to_bits(),
                        function: function_to_c(function),
                        lun: lun.0,
                    };
                    return self.show(Kind::TaskManagement, U { task_management });
                }
                Event::SendTargets { request, which } => {
                    let (which, target) = which_to_c(&which);
                    let target = self.optional_text(target);
                    let send_targets =
                        iscsicore_target_send_targets_event { request: request.to_bits(), which, target };
                    return self.show(Kind::SendTargets, U { send_targets });
                }
                Event::TasksAborted(abort) => {
                    let tasks_aborted = iscsicore_target_tasks_aborted_event { abort: abort_to_c(abort) };
                    return self.show(Kind::TasksAborted, U { tasks_aborted });
                }
                Event::Close(conn) if conn == session.conn => return self.close(),
                Event::Ended(reason) => {
                    let reason = reason_to_c(reason);
                    let ended = iscsicore_target_ended_event { reason, login_status: 0, text: null() };
                    return self.show(Kind::Ended, U { ended });
                }
                // The connection before this one: its end was told to the session when it was replaced.
                _ => {}
            }
        }
        null()
    }

    fn hello(&mut self, hello: &Hello) -> *const iscsicore_target_event {
        let login = iscsicore_target_login_event {
            initiator: self.text(&hello.initiator),
            initiator_alias: self.optional_text(hello.initiator_alias.as_deref()),
            target: self.optional_text(hello.target.as_deref()),
            discovery: hello.session_type == SessionType::Discovery,
            isid: hello.isid.0,
            tsih: hello.tsih.0,
            cid: hello.cid.0,
        };
        self.show(Kind::Login, U { login })
    }

    fn command(&mut self, command: &Command) -> *const iscsicore_target_event {
        let cdb_len = self.keep_cdb(&command.cdb);
        let command = iscsicore_target_command_event {
            task: command.task.to_bits(),
            lun: command.lun.0,
            cdb: self.cdb.as_ptr(),
            cdb_len,
            attribute: attribute_to_c(command.attribute),
            data_in: command.data_in,
            data_out: command.data_out,
        };
        self.show(Kind::Command, U { command })
    }

    fn keep_cdb(&mut self, cdb: &Cdb) -> usize {
        let (first, rest) = self.cdb.split_at_mut(16);
        first.copy_from_slice(cdb.first());
        let more = cdb.rest();
        if !more.is_empty() {
            // A CDB has at most MAX_CDB_LEN bytes.
            rest[..more.len()].copy_from_slice(more);
        }
        16 + more.len()
    }

    /// An event with nothing to say but its kind.
    fn close(&mut self) -> *const iscsicore_target_event {
        let ended = iscsicore_target_ended_event {
            reason: iscsicore_end_reason::Other,
            login_status: 0,
            text: null(),
        };
        self.show(Kind::Close, U { ended })
    }

    fn show(&mut self, kind: Kind, u: U) -> *const iscsicore_target_event {
        self.event = iscsicore_target_event { kind, u };
        &raw const self.event
    }

    fn text(&mut self, text: &str) -> *const c_char {
        let text = text_without_nul(text);
        // The characters do not move when the list grows.
        let start = text.as_ptr();
        self.texts.push(text);
        start
    }

    fn optional_text(&mut self, text: Option<&str>) -> *const c_char {
        text.map_or(null(), |text| self.text(text))
    }
}

/// An abort as C names it: never 0.
pub(super) fn abort_to_c(abort: AbortId) -> u64 {
    u64::from(abort.to_bits()) + 1
}

fn attribute_to_c(attribute: TaskAttribute) -> iscsicore_task_attribute {
    use iscsicore_task_attribute as C;
    match attribute {
        TaskAttribute::Untagged => C::Untagged,
        TaskAttribute::Simple => C::Simple,
        TaskAttribute::Ordered => C::Ordered,
        TaskAttribute::HeadOfQueue => C::HeadOfQueue,
        TaskAttribute::Aca => C::Aca,
        _ => C::Unknown,
    }
}

fn reason_to_c(reason: EndReason) -> iscsicore_end_reason {
    use iscsicore_end_reason as C;
    match reason {
        EndReason::LoggedOut => C::LoggedOut,
        EndReason::ConnectionLost => C::ConnectionLost,
        EndReason::ProtocolError => C::ProtocolError,
        EndReason::TimedOut => C::TimedOut,
        EndReason::Terminated => C::Terminated,
        _ => C::Other,
    }
}
