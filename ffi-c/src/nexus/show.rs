//! From the core's events to those that C is shown.

use core::ffi::c_char;
use core::ptr::{self, NonNull};
use std::ffi::CString;

use bytes::Bytes;
use iscsicore::Instant;
use iscsicore::initiator::{Answer, Cause, DownReason, Event, Outcome, Redirect};
use iscsicore::link::TaskId;
use iscsicore::nexus::{AttemptError, NexusEnd, NexusEvent};
use iscsicore::session::TargetRecord;
use iscsicore::wire::AsyncMessage;

use super::event::*;
use super::outcome::{
    cause, iscsicore_cause, iscsicore_completed_event, iscsicore_flush_coverage, iscsicore_outcome, residual,
};
use crate::codes::{iscsicore_target_address, iscsicore_target_record};
use crate::limits::ISCSICORE_NEVER;
use crate::payload::Shown;
use crate::pointer::Context;
use crate::status::text_without_nul;

use iscsicore_nexus_event_kind as Kind;

/// The event that C is shown, and what its pointers name.
#[derive(Debug, Default)]
pub(crate) struct ShownEvent {
    event: Place,
    texts: Vec<CString>,
    bytes: Bytes,
    data: Shown,
    targets: Vec<iscsicore_target_record>,
    addresses: Vec<iscsicore_target_address>,
}

// SAFETY: the pointers are into other fields, which may go anywhere.
unsafe impl Send for ShownEvent {}

/// Memory that stays where it is, and that nothing of Rust's refers to while C reads it.
#[derive(Debug)]
struct Place(NonNull<iscsicore_nexus_event>);

impl Default for Place {
    fn default() -> Self {
        let dial = iscsicore_dial_event { address: ptr::null(), attempt: 0 };
        let none = iscsicore_nexus_event { kind: Kind::Dial, u: iscsicore_nexus_event_body { dial } };
        Place(NonNull::from(Box::leak(Box::new(none))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: it was a box, and C's time to look at it is over.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

type Body = iscsicore_nexus_event_body;

impl ShownEvent {
    /// Shows `event` in place of the one before; `None` for one that C is not told.
    pub(crate) fn show(
        &mut self,
        event: NexusEvent,
        context: Context,
    ) -> Option<*const iscsicore_nexus_event> {
        self.clear();
        let (kind, mut u) = self.convert(event)?;
        if kind == iscsicore_nexus_event_kind::Completed {
            u.completed.context = context.0;
        }
        // SAFETY: the place is this value's own.
        unsafe { self.event.0.as_ptr().write(iscsicore_nexus_event { kind, u }) };
        Some(self.event.0.as_ptr().cast_const())
    }

    /// Lets go of what the event before held: slices of read buffers, say.
    pub(crate) fn clear(&mut self) {
        self.texts.clear();
        self.bytes = Bytes::new();
        self.data.replace(Default::default());
        self.targets.clear();
        self.addresses.clear();
    }

    fn text(&mut self, text: &str) -> *const c_char {
        let text = text_without_nul(text);
        let pointer = text.as_ptr();
        self.texts.push(text);
        pointer
    }

    fn bytes(&mut self, bytes: Bytes) -> (*const u8, usize) {
        self.bytes = bytes;
        if self.bytes.is_empty() { (ptr::null(), 0) } else { (self.bytes.as_ptr(), self.bytes.len()) }
    }

    fn convert(&mut self, event: NexusEvent) -> Option<(Kind, Body)> {
        Some(match event {
            NexusEvent::Dial { address, attempt } => {
                let dial = iscsicore_dial_event { address: self.text(&address), attempt };
                (Kind::Dial, Body { dial })
            }
            NexusEvent::HangUp => plain(Kind::HangUp),
            NexusEvent::Up { again, address } => {
                (Kind::Up, Body { up: iscsicore_up_event { address: self.text(&address), again } })
            }
            NexusEvent::Down { why, retry_at } => {
                let text = self.text(&interruption(&why));
                let retry_at = retry_at.map_or(ISCSICORE_NEVER, Instant::as_nanos);
                let down = iscsicore_down_event { reason: down_reason(&why), text, retry_at };
                (Kind::Down, Body { down })
            }
            NexusEvent::AttemptFailed { why, retry_at } => {
                let attempt_failed = iscsicore_attempt_failed_event {
                    text: self.text(&why.to_string()),
                    retry_at: retry_at.as_nanos(),
                    login_status: login_status(&why),
                };
                (Kind::AttemptFailed, Body { attempt_failed })
            }
            NexusEvent::Redirected(redirect) => (Kind::Redirected, self.redirected(redirect)),
            NexusEvent::Session(event) => return self.session(event),
            NexusEvent::Ended(end) => (Kind::Ended, self.ended(&end)),
            _ => return None,
        })
    }

    fn session(&mut self, event: Event) -> Option<(Kind, Body)> {
        Some(match event {
            Event::Completed { task, outcome } => (Kind::Completed, self.completed(task, outcome)),
            Event::TaskManagementDone { request, result } => {
                let (cause, detail) = why_not(&result);
                let result = result.map_or(0, |result| result.code());
                let request = request.to_bits();
                let task_management_done =
                    iscsicore_task_management_done_event { request, cause, detail, result };
                (Kind::TaskManagementDone, Body { task_management_done })
            }
            Event::Targets { request, result } => (Kind::Targets, self.targets(request, result)),
            Event::Pong { request, result } => {
                let (cause, detail) = why_not(&result);
                let (data, data_len) = self.bytes(result.unwrap_or_default());
                let request = request.to_bits();
                let pong = iscsicore_pong_event { request, cause, detail, data, data_len };
                (Kind::Pong, Body { pong })
            }
            Event::RoomAgain => plain(Kind::RoomAgain),
            Event::UnitAttention { lun, sense } => {
                let (sense, sense_len) = self.bytes(sense);
                let unit_attention = iscsicore_unit_attention_event { lun: lun.0, sense, sense_len };
                (Kind::UnitAttention, Body { unit_attention })
            }
            Event::Async { message, data } => (Kind::AsyncMessage, self.async_message(&message, data)),
            Event::Rejected { reason, header } => {
                let header = header.map_or_else(Bytes::new, |header| Bytes::copy_from_slice(&header.0));
                let text = self.text(&reason.to_string());
                let (header, _) = self.bytes(header);
                let rejected = iscsicore_rejected_event { reason: reason.code(), text, header };
                (Kind::Rejected, Body { rejected })
            }
            // Payload is in its place already; `Down` and `Ended` are told by the nexus.
            _ => return None,
        })
    }

    fn completed(&mut self, task: TaskId, outcome: Outcome) -> Body {
        let mut completed = iscsicore_completed_event {
            task: task.to_bits(),
            context: ptr::null_mut(),
            outcome: iscsicore_outcome::Unknown,
            cause: iscsicore_cause::None,
            detail: 0,
            status: 0,
            status_qualifier: 0,
            coverage: iscsicore_flush_coverage::All,
            received: 0,
            sense: ptr::null(),
            sense_len: 0,
            data: ptr::null(),
            data_count: 0,
            data_len: 0,
            residual: 0,
            read_residual: 0,
        };
        match outcome {
            Outcome::Answered(answer) => self.answered(&mut completed, answer),
            Outcome::NotSent(why) => {
                completed.outcome = iscsicore_outcome::NotSent;
                (completed.cause, completed.detail) = cause(why);
            }
            Outcome::Unknown(why) => (completed.cause, completed.detail) = cause(why),
            Outcome::Aborted => completed.outcome = iscsicore_outcome::Aborted,
            _ => completed.cause = iscsicore_cause::Other,
        }
        Body { completed }
    }

    fn answered(&mut self, completed: &mut iscsicore_completed_event, answer: Answer) {
        completed.outcome = iscsicore_outcome::Answered;
        completed.status = answer.status.0;
        completed.status_qualifier = answer.status_qualifier;
        completed.coverage = answer.coverage.into();
        completed.received = answer.received;
        completed.residual = residual(answer.residual);
        completed.read_residual = residual(answer.read_residual);
        (completed.sense, completed.sense_len) = self.bytes(answer.sense);
        completed.data_len = answer.data.len();
        self.data.replace(answer.data);
        (completed.data, completed.data_count) = (self.data.as_ptr(), self.data.count());
    }

    fn redirected(&mut self, redirect: Redirect) -> Body {
        let redirected = iscsicore_redirected_event {
            address: self.text(&redirect.address),
            target: redirect.target.map_or(ptr::null(), |name| self.text(name.as_str())),
            permanent: redirect.permanent,
        };
        Body { redirected }
    }

    fn targets(&mut self, request: TaskId, result: Result<Vec<TargetRecord>, Cause>) -> Body {
        let (cause, detail) = why_not(&result);
        let records = result.unwrap_or_default();
        // All of them before any is pointed to.
        for at in records.iter().flat_map(|record| &record.addresses) {
            let address = self.text(&at.address);
            let portal_group_tag = at.portal_group_tag;
            self.addresses.push(iscsicore_target_address { address, portal_group_tag });
        }
        let mut taken = 0;
        for record in &records {
            let name = self.text(&record.name);
            let address_count = record.addresses.len();
            let addresses = match address_count {
                0 => ptr::null(),
                // `taken` stands before addresses that were pushed above.
                _ => self.addresses[taken..].as_ptr(),
            };
            taken += address_count;
            self.targets.push(iscsicore_target_record { name, addresses, address_count });
        }
        let targets = if self.targets.is_empty() { ptr::null() } else { self.targets.as_ptr() };
        let target_count = self.targets.len();
        let request = request.to_bits();
        Body { targets: iscsicore_targets_event { request, cause, detail, targets, target_count } }
    }

    fn async_message(&mut self, message: &AsyncMessage, data: Bytes) -> Body {
        let (data, data_len) = self.bytes(data);
        let async_message = iscsicore_async_message_event {
            lun: message.lun.0,
            event: message.event.code(),
            vendor_code: message.vendor_code,
            parameter1: message.parameter1,
            parameter2: message.parameter2,
            parameter3: message.parameter3,
            data,
            data_len,
        };
        Body { async_message }
    }

    fn ended(&mut self, end: &NexusEnd) -> Body {
        use iscsicore_nexus_end_reason as R;
        let (reason, login_status, words) = match end {
            NexusEnd::LoggedOut => (R::LoggedOut, 0, "it was logged out".to_owned()),
            NexusEnd::Failed(why) => (R::Failed, login_status(why), why.to_string()),
            NexusEnd::Lost(why) => (R::Lost, 0, interruption(why)),
            NexusEnd::Wanted => (R::Wanted, 0, "it was ended here".to_owned()),
            other => (R::Other, 0, format!("{other:?}")),
        };
        Body { ended: iscsicore_ended_event { reason, login_status, text: self.text(&words) } }
    }
}

/// An event that says nothing but its kind.
fn plain(kind: Kind) -> (Kind, Body) {
    let dial = iscsicore_dial_event { address: ptr::null(), attempt: 0 };
    (kind, Body { dial })
}

fn why_not<T>(result: &Result<T, Cause>) -> (iscsicore_cause, u8) {
    result.as_ref().err().map_or((iscsicore_cause::None, 0), |why| cause(*why))
}

fn login_status(why: &AttemptError) -> u16 {
    match why {
        AttemptError::Login { failure, .. } => failure.status.map_or(0, |status| status.0),
        _ => 0,
    }
}

fn down_reason(why: &DownReason) -> iscsicore_down_reason {
    use iscsicore_down_reason as R;
    match why {
        DownReason::Lost(_) => R::Lost,
        DownReason::Peer(_) => R::Peer,
        DownReason::Silent => R::Silent,
        DownReason::Unresponsive => R::Unresponsive,
        DownReason::AskedByTarget => R::AskedByTarget,
        DownReason::LoggedOut => R::LoggedOut,
        DownReason::Wanted => R::Wanted,
        _ => R::Other,
    }
}

/// Why a connection is gone, in words.
fn interruption(why: &DownReason) -> String {
    match why {
        DownReason::Lost(error) => error.to_string(),
        DownReason::Peer(error) => format!("the target broke the protocol: {error}"),
        DownReason::Silent => "the target fell silent".to_owned(),
        DownReason::Unresponsive => {
            "the target did not answer a task management function, a text request or a logout".to_owned()
        }
        DownReason::AskedByTarget => "the target asked for it".to_owned(),
        DownReason::LoggedOut => "it was logged out".to_owned(),
        DownReason::Wanted => "it was wanted here".to_owned(),
        other => format!("{other:?}"),
    }
}
