//! The connection that a session has: how it comes, what it knows, how it goes.

use std::collections::VecDeque;

use crate::link::TaskId;
use crate::session::{ConnId, InitiatorConnEvent, InitiatorConnState};
use crate::wire::text::TextBuffer;
use crate::wire::{Bhs, Cid, CmdSn, LogoutReason, LogoutRequest, Lun, StatSn, Ttt};
use crate::{DataList, Instant, Misuse};

use super::command::{Cause, Outcome, Repeat};
use super::data_in::is_ordered;
use super::data_out::Sequence;
use super::durability::changes_data;
use super::event::{DownReason, Event};
use super::outgoing::{Attached, Outgoing};
use super::task::{Body, Phase, Task, tag};
use super::{Initiator, Wish};

/// One connection of a session.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) cid: Cid,
    pub(super) state: InitiatorConnState,
    pub(super) exp_stat_sn: StatSn,
    pub(super) peer_max_segment: u32,
    /// Segment limit and digests of the two halves, until they have been told.
    pub(super) receiver_setup: Option<(u32, bool, bool)>,
    pub(super) transmitter_setup: Option<(bool, bool)>,
    /// Requests and answers that pass commands and payload by.
    pub(super) urgent: VecDeque<(Bhs, DataList)>,
    pub(super) sequences: VecDeque<Sequence>,
    pub(super) last_heard: Instant,
    /// The ping of this end, while it is not answered.
    pub(super) ping: Option<TaskId>,
    pub(super) text: Option<Question>,
    /// Time2Wait and Time2Retain as the target said last, if it said.
    pub(super) times: Option<(u16, u16)>,
    /// Until when the target wants a logout.
    pub(super) logout_by: Option<Instant>,
    /// The Logout Request was sent.
    pub(super) logout_sent: bool,
}

/// A Text exchange.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) task: TaskId,
    pub(super) ttt: Ttt,
    pub(super) lun: Lun,
    pub(super) answer: TextBuffer,
    /// Responses taken so far.
    pub(super) rounds: usize,
}

impl Conn {
    fn new(id: ConnId, attached: &Attached, now: Instant) -> Self {
        let parameters = &attached.parameters;
        let digests = (parameters.header_digest, parameters.data_digest);
        Conn {
            id,
            cid: attached.cid,
            state: InitiatorConnState::LoggedIn,
            exp_stat_sn: attached.exp_stat_sn,
            peer_max_segment: parameters.peer_max_segment,
            receiver_setup: Some((parameters.local_max_segment, digests.0, digests.1)),
            transmitter_setup: Some(digests),
            urgent: VecDeque::new(),
            sequences: VecDeque::new(),
            last_heard: now,
            ping: None,
            text: None,
            times: None,
            logout_by: None,
            logout_sent: false,
        }
    }

    /// Moves along the state diagram. What the diagram does not allow is a defect of ours, and leaves the state.
    pub(super) fn step(&mut self, event: InitiatorConnEvent) {
        match self.state.after(event) {
            Ok(state) => self.state = state,
            Err(error) => debug_assert!(false, "{error}"),
        }
    }

    pub(super) fn push(&mut self, bhs: Bhs, data: DataList) {
        self.urgent.push_back((bhs, data));
    }
}

impl Initiator {
    pub(super) fn take_connection(&mut self, outgoing: Outgoing, now: Instant) -> Result<ConnId, Misuse> {
        if self.ended {
            return Err(Misuse::WrongState("attach: the session has ended"));
        }
        if self.conn.is_some() {
            return Err(Misuse::WrongState("attach: a connection is up"));
        }
        let attached = outgoing.finish();
        let attached = attached.ok_or(Misuse::WrongState("attach: the login is not complete"))?;
        let id = ConnId(self.next_conn);
        self.next_conn = self.next_conn.wrapping_add(1);
        self.conn = Some(Conn::new(id, &attached, now));
        self.in_order = is_ordered(&attached.parameters);
        self.session_type = attached.session_type;
        self.cmd_sn = attached.cmd_sn;
        self.exp_cmd_sn = attached.cmd_sn;
        self.max_cmd_sn = attached.max_cmd_sn;
        let elsewhere = self.login.as_ref().is_some_and(|old| {
            old.target != attached.target || old.portal_group_tag != attached.portal_group_tag
        });
        self.login = Some(attached);
        if elsewhere {
            self.give_up_doubtful_writes();
        }
        if self.wish == Wish::Logout {
            self.log_out_when_idle(now);
        }
        Ok(id)
    }

    /// The new session did not take the place of the old one: it is with another target, or another portal group of it
    /// (RFC 7143 section 6.3.5). The old one may still be at work on writes that it was sent, so they are not repeated.
    fn give_up_doubtful_writes(&mut self) {
        let doubtful = |task: &Task| match &task.body {
            Body::Scsi(scsi) => scsi.doubtful && changes_data(&scsi.command),
            _ => false,
        };
        let ids: Vec<TaskId> = self.tasks.iter().filter(|(_, t)| doubtful(t)).map(|(id, _)| id).collect();
        for id in ids {
            self.finish(id, Outcome::Unknown(Cause::ConnectionLost));
        }
    }

    /// The connection is over. Commands that may be repeated go back into the queue, in their order and ahead of what waits.
    pub(super) fn connection_down(&mut self, why: DownReason) {
        let Some(mut conn) = self.conn.take() else { return };
        if conn.state.is_full_feature() {
            conn.step(match why {
                DownReason::LoggedOut => InitiatorConnEvent::LogoutDone,
                _ => InitiatorConnEvent::TransportLost,
            });
        }
        let logged_out = why == DownReason::LoggedOut;
        self.durability.interrupted();
        let ids: Vec<TaskId> = self.tasks.iter().map(|(id, _)| id).collect();
        let mut again = Vec::new();
        for id in ids {
            match self.tasks.get(id).map(|task| &task.body) {
                Some(Body::Scsi(scsi)) if scsi.phase == Phase::Sent => {
                    if scsi.silent || scsi.aborting || scsi.command.repeat == Repeat::Never {
                        self.finish(id, Outcome::Unknown(Cause::ConnectionLost));
                    } else {
                        again.push((scsi.cmd_sn, id));
                    }
                }
                Some(Body::Scsi(_)) | None => {}
                Some(_) => self.fail_request(id, Cause::ConnectionLost),
            }
        }
        again.sort_by(|(a, _), (b, _)| a.distance_from(*b).cmp(&0));
        for (_, id) in again.into_iter().rev() {
            if let Some(scsi) = self.tasks.scsi_mut(id) {
                scsi.start_over();
                scsi.doubtful = true;
                scsi.phase = Phase::Waiting;
                self.waiting.push_front(id);
            }
        }
        let negotiated = match &self.login {
            // After a logout there is nothing to wait for, or to come back to.
            Some(login) if !logged_out => (login.parameters.time2wait, login.parameters.time2retain),
            _ => (0, 0),
        };
        let (time2wait, time2retain) = conn.times.unwrap_or(negotiated);
        self.events.push_back(Event::Down { conn: conn.id, why, time2wait, time2retain });
        if self.wish != Wish::Serve {
            self.end_session();
        }
    }

    /// Ends everything.
    pub(super) fn end_session(&mut self) {
        if core::mem::replace(&mut self.ended, true) {
            return;
        }
        self.connection_down(DownReason::Wanted);
        let ids: Vec<TaskId> = self.tasks.iter().map(|(id, _)| id).collect();
        for id in ids {
            match self.tasks.scsi(id) {
                Some(scsi) if scsi.doubtful => self.finish(id, Outcome::Unknown(Cause::SessionEnded)),
                Some(_) => self.finish(id, Outcome::NotSent(Cause::SessionEnded)),
                None => self.fail_request(id, Cause::SessionEnded),
            }
        }
        self.waiting.clear();
        self.paused.clear();
        self.events.push_back(Event::Ended);
    }

    /// Sends the Logout Request once no command is with the target: or now, when the time for it is over.
    pub(super) fn log_out_when_idle(&mut self, now: Instant) {
        let all = self.wish == Wish::Logout;
        let busy = self.tasks.iter().any(|(_, task)| match &task.body {
            Body::Scsi(scsi) => all || scsi.phase == Phase::Sent,
            Body::Management { .. } | Body::Text { .. } => true,
            Body::Ping { .. } | Body::Logout => false,
        });
        let Some(conn) = &mut self.conn else { return };
        let wanted = all || conn.logout_by.is_some();
        let due = conn.logout_by.is_some_and(|by| by <= now);
        if !wanted || conn.logout_sent || (busy && !due) {
            return;
        }
        conn.logout_sent = true;
        conn.step(InitiatorConnEvent::LogoutSent);
        let deadline = Some(now + self.limits.management_timeout);
        let task = self.tasks.insert(Task { deadline, body: Body::Logout });
        self.note_deadline(deadline);
        let Some(conn) = &mut self.conn else { return };
        let request = LogoutRequest {
            immediate: true,
            reason: LogoutReason::CloseSession,
            itt: tag(task),
            cid: conn.cid,
            cmd_sn: CmdSn(0),
            exp_stat_sn: StatSn(0),
        };
        conn.push(request.emit(), DataList::new());
    }
}
