//! Time: deadlines of commands and requests, pauses of busy targets, pings, the logout that a target wants.

use crate::Instant;
use crate::link::TaskId;
use crate::login::SessionType;

use super::Initiator;
use super::command::{Cause, Outcome};
use super::event::{DownReason, Event};
use super::task::{Body, Phase};

use bytes::Bytes;

impl Initiator {
    /// Notes that something is due at `deadline`: [`Initiator::next_deadline`] is never later than the first of them.
    pub(super) fn note_deadline(&mut self, deadline: Option<Instant>) {
        self.next_deadline = self.next_deadline.into_iter().chain(deadline).min();
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let pauses = self.paused.iter().map(|(until, _)| *until);
        let logout = self.conn.as_ref().filter(|c| !c.logout_sent).and_then(|c| c.logout_by);
        pauses.chain(self.next_deadline).chain(logout).chain(self.ping_at()).min()
    }

    /// When the silent target is to be pinged.
    fn ping_at(&self) -> Option<Instant> {
        let interval = self.limits.ping_interval;
        let conn = self.conn.as_ref()?;
        // A discovery session knows no NOP-Out (RFC 7143 section 4.3).
        let wanted = !interval.is_zero()
            && self.session_type == SessionType::Normal
            && conn.ping.is_none()
            && !conn.logout_sent;
        wanted.then(|| conn.last_heard + interval)
    }

    pub(super) fn act_on_time(&mut self, now: Instant) {
        self.resume_paused(now);
        if self.next_deadline.is_some_and(|at| at <= now) {
            self.act_on_deadlines(now);
        }
        if self.ping_at().is_some_and(|at| at <= now) {
            let task = self.push_ping(now + self.limits.ping_timeout, Bytes::new(), false);
            if let Some(conn) = &mut self.conn {
                conn.ping = Some(task);
            }
        }
        if self.conn.as_ref().is_some_and(|conn| conn.logout_by.is_some_and(|by| by <= now)) {
            self.log_out_when_idle(now);
        }
    }

    fn resume_paused(&mut self, now: Instant) {
        if self.paused.iter().all(|(until, _)| *until > now) {
            return;
        }
        let (due, rest) = core::mem::take(&mut self.paused).into_iter().partition(|(until, _)| *until <= now);
        self.paused = rest;
        let due: Vec<(Instant, TaskId)> = due;
        for (_, id) in due.into_iter().rev() {
            if let Some(scsi) = self.tasks.scsi_mut(id).filter(|scsi| scsi.phase == Phase::Paused) {
                scsi.phase = Phase::Waiting;
                self.waiting.push_front(id);
            }
        }
    }

    fn act_on_deadlines(&mut self, now: Instant) {
        self.next_deadline = None;
        let due: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.deadline.is_some_and(|at| at <= now))
            .map(|(id, _)| id)
            .collect();
        for id in due {
            self.time_out(now, id);
        }
        let first = self.tasks.iter().filter_map(|(_, task)| task.deadline).min();
        self.note_deadline(first);
    }

    /// The time of a task is over.
    fn time_out(&mut self, now: Instant, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.deadline = None;
        match &mut task.body {
            Body::Scsi(scsi) if scsi.phase == Phase::Sent => {
                if scsi.silent {
                    // It could not be aborted, and still is with the target.
                    self.connection_down(DownReason::Unresponsive);
                    return;
                }
                // The caller is told at once; what the target makes of it is for nobody any more.
                scsi.silent = true;
                let aborting = core::mem::replace(&mut scsi.aborting, true);
                let outcome = Outcome::Unknown(Cause::TimedOut);
                self.tasks.hold(id);
                self.events.push_back(Event::Completed { task: id, outcome });
                if !aborting {
                    self.send_abort(now, id);
                }
            }
            Body::Scsi(scsi) => {
                let outcome = match scsi.doubtful {
                    true => Outcome::Unknown(Cause::TimedOut),
                    false => Outcome::NotSent(Cause::TimedOut),
                };
                self.finish(id, outcome);
            }
            Body::Ping { asked: false } => {
                // Whatever came since is a sign of life: the ping itself may wait behind payload.
                let heard = self.conn.as_ref().map(|conn| conn.last_heard + self.limits.ping_timeout);
                match heard.filter(|until| *until > now) {
                    Some(until) => {
                        if let Some(task) = self.tasks.get_mut(id) {
                            task.deadline = Some(until);
                        }
                        self.note_deadline(Some(until));
                    }
                    None => self.connection_down(DownReason::Silent),
                }
            }
            Body::Ping { asked: true } => self.fail_request(id, Cause::TimedOut),
            Body::Management { .. } | Body::Text { .. } => {
                self.fail_request(id, Cause::TimedOut);
                self.connection_down(DownReason::Unresponsive);
            }
            Body::Logout => {
                let asked = self.conn.as_ref().is_some_and(|c| c.logout_by.is_some());
                self.connection_down(if asked {
                    DownReason::AskedByTarget
                } else {
                    DownReason::Unresponsive
                });
            }
        }
    }

    /// Ends a request that is no command.
    pub(super) fn fail_request(&mut self, id: TaskId, cause: Cause) {
        if self.tasks.scsi(id).is_some() {
            return;
        }
        let Some(task) = self.tasks.remove(id) else { return };
        let event = match task.body {
            Body::Management { victim: None, .. } => {
                Event::TaskManagementDone { request: id, result: Err(cause) }
            }
            Body::Text { asked: true } => Event::Targets { request: id, result: Err(cause) },
            Body::Ping { asked: true } => Event::Pong { request: id, result: Err(cause) },
            _ => return self.forget_text(id),
        };
        self.events.push_back(event);
        self.forget_text(id);
    }

    fn forget_text(&mut self, id: TaskId) {
        if let Some(conn) = self.conn.as_mut().filter(|conn| conn.text.as_ref().is_some_and(|q| q.task == id))
        {
            conn.text = None;
        }
    }
}
