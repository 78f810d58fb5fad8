//! The connections of a session: how they join, how they end.

use crate::link::Transmitter;
use crate::session::{ConnEvent, ConnId, ConnState};
use crate::wire::{
    AsyncEvent, AsyncMessage, Bhs, Cid, CmdSn, Itt, LoginResponse, LogoutReason, LogoutResponse,
    LogoutResult, NopIn, Ttt,
};
use crate::{DataList, Instant};

use super::event::{EndReason, Event, Notice};
use super::incoming::Established;
use super::management::WaitFor;
use super::output::{Numbering, Output};
use super::task::{Body, Place, Task};
use super::text::TextExchange;
use super::{LATER, NO_LUN, Target, bytes_of};

/// One connection of a session.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) cid: Cid,
    pub(super) state: ConnState,
    pub(super) output: Output,
    /// Bytes that the transmitter held when it was last seen.
    pub(super) backlog: usize,
    /// Segment limit and digests of the two halves, until they have been told.
    pub(super) receiver_setup: Option<(u32, bool, bool)>,
    pub(super) transmitter_setup: Option<(bool, bool)>,
    /// The last Login Response, which travels under the rules of the login.
    pub(super) login_response: Option<(LoginResponse, DataList)>,
    pub(super) peer_max_segment: u32,
    /// MaxCmdSN as the initiator was told last.
    pub(super) told_max: CmdSn,
    pub(super) last_heard: Instant,
    pub(super) ping: Option<Ping>,
    pub(super) answers_pings: bool,
    pub(super) logout_deadline: Option<Instant>,
    pub(super) text: Option<TextExchange>,
    /// Nothing more is taken from it; it closes when everything has been sent.
    pub(super) closing: bool,
    pub(super) close_told: bool,
}

/// A NOP-In that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ping {
    pub(super) ttt: Ttt,
    pub(super) sent: Instant,
}

impl Conn {
    /// Moves along the state diagram. What the diagram does not allow is a defect of ours, and leaves the state.
    pub(super) fn step(&mut self, event: ConnEvent) {
        match self.state.after(event) {
            Ok(state) => self.state = state,
            Err(error) => debug_assert!(false, "{error}"),
        }
    }

    /// Stops taking from and, apart from what is queued, sending on it.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.text = None;
        self.ping = None;
    }

    /// Whether all that there is to send was handed to the transmitter.
    pub(super) fn is_sent(&self) -> bool {
        self.output.is_empty() && self.login_response.is_none()
    }

    pub(super) fn push(&mut self, bhs: Bhs, numbering: Numbering) {
        self.output.push(bhs, DataList::new(), numbering);
    }
}

impl Target {
    pub(super) fn add_connection(&mut self, established: Established, now: Instant) -> ConnId {
        let id = ConnId(self.next_conn);
        self.next_conn = self.next_conn.wrapping_add(1);
        let parameters = &established.parameters;
        self.conns.push(Conn {
            id,
            cid: established.hello.cid,
            state: ConnState::LoggedIn,
            output: Output::new(established.next_stat_sn),
            backlog: 0,
            receiver_setup: Some((
                parameters.local_max_segment,
                parameters.header_digest,
                parameters.data_digest,
            )),
            transmitter_setup: Some((parameters.header_digest, parameters.data_digest)),
            login_response: Some((established.response, bytes_of(established.text))),
            peer_max_segment: parameters.peer_max_segment,
            told_max: self.window.max(),
            last_heard: now,
            ping: None,
            answers_pings: false,
            logout_deadline: None,
            text: None,
            closing: false,
            close_told: false,
        });
        id
    }

    pub(super) fn transmit_on(&mut self, _now: Instant, id: ConnId, tx: &mut Transmitter) {
        let (expected, max) = (self.window.expected(), self.window.max());
        // A response that is being worked on will tell of the window.
        let told_soon = self.is_discovery() || self.tasks.management() > self.delayed.len();
        let Some(conn) = self.conn(id) else { return };
        if let Some((mut response, text)) = conn.login_response.take() {
            response.exp_cmd_sn = expected;
            response.max_cmd_sn = max;
            tx.push(response.emit(), text);
        }
        if let Some((header, data)) = conn.transmitter_setup.take() {
            tx.set_digests(header, data);
        }
        let told_soon = told_soon || conn.closing || conn.state == ConnState::InLogout;
        if conn.told_max != max && conn.output.is_empty() && !told_soon {
            // RFC 7143 section 11.4.11: there is nothing else that would tell.
            conn.push(nop_in(Ttt::RESERVED), Numbering::Show);
        }
        if !conn.output.is_empty() {
            conn.told_max = max;
        }
        conn.output.transmit(tx, expected, max);
        conn.backlog = tx.queued();
    }

    /// The transport is gone: nothing can be sent, and nothing owed on it will come.
    pub(super) fn connection_lost(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let (was_closing, logging_out) = (conn.closing, conn.state == ConnState::InLogout);
        conn.output.clear();
        conn.close_told = true;
        conn.close();
        if conn.state.is_full_feature() {
            conn.step(ConnEvent::TransportLost);
        }
        self.end_connection_tasks(id);
        self.conns.retain(|c| c.id != id);
        let goes_on = self.conns.iter().any(|c| !c.closing) || self.retained_until.is_some();
        if goes_on || self.ending.is_some() {
            self.settle();
            return;
        }
        let retain = self.parameters.time2retain;
        if was_closing || logging_out || retain == 0 || self.is_discovery() {
            self.end_session(EndReason::ConnectionLost);
        } else {
            // RFC 7143 section 7.5: the session stays for Time2Wait + Time2Retain, ready to be reinstated.
            let seconds = u64::from(self.parameters.time2wait) + u64::from(retain);
            self.retained_until = Some(now + core::time::Duration::from_secs(seconds));
            self.settle();
        }
    }

    /// Ends a connection from this side: its tasks are aborted and it closes once everything was sent.
    pub(super) fn drop_connection(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        if conn.state.is_full_feature() {
            conn.step(ConnEvent::TransportLost);
        }
        conn.close();
        self.end_connection_tasks(id);
        self.settle();
    }

    /// Ends what belongs to a connection. Requests whose turn has not come are discarded, their numbers awaited again
    /// (RFC 7143 section 11.14).
    fn end_connection_tasks(&mut self, id: ConnId) {
        self.window.forget(|held| held.conn == id);
        self.abort_connection_tasks(id);
        self.silence_connection(id);
    }

    /// Ends the session: every connection is dropped, every task aborted.
    pub(super) fn end_session(&mut self, reason: EndReason) {
        self.ending.get_or_insert(reason);
        self.retained_until = None;
        let open: Vec<_> = self.conns.iter().filter(|c| !c.closing).map(|c| c.id).collect();
        for id in open {
            self.drop_connection(id);
        }
        self.abort_everything();
        self.settle();
    }

    pub(super) fn poll_ended(&mut self) -> Option<Event> {
        let reason = self.ending?;
        if self.ended || self.tasks.len() > 0 || self.conns.iter().any(|c| !c.close_told) {
            return None;
        }
        self.ended = true;
        Some(Event::Ended(reason))
    }

    /// A Logout Request whose turn has come.
    pub(super) fn on_logout(&mut self, now: Instant, conn: ConnId, request: &crate::wire::LogoutRequest) {
        let Some(index) = self.conns.iter().position(|c| c.id == conn) else { return };
        let own_cid = self.conns[index].cid;
        let refusal = match request.reason {
            LogoutReason::CloseSession => None,
            LogoutReason::CloseConnection if request.cid == own_cid => None,
            LogoutReason::CloseConnection => Some(LogoutResult::CidNotFound),
            LogoutReason::RemoveConnectionForRecovery => Some(LogoutResult::RecoveryNotSupported),
            // Those are rejected on arrival.
            LogoutReason::Unknown(_) => Some(LogoutResult::CleanupFailed),
        };
        if let Some(result) = refusal {
            let response = self.logout_response(request.itt, result);
            self.conns[index].push(response, Numbering::Advance);
            if !request.immediate {
                self.window.open();
            }
            return;
        }
        self.conns[index].step(ConnEvent::LogoutReceived);
        self.conns[index].logout_deadline = None;
        self.abort_everything();
        self.end_connection_tasks(conn);
        let task = self.tasks.insert(Task {
            conn,
            itt: request.itt,
            lun: NO_LUN,
            cmd_sn: request.cmd_sn,
            place: if request.immediate { Place::None } else { Place::Window },
            body: Body::Logout,
        });
        self.wait(now, WaitFor::Logout(task), |id, _| id != task);
        self.settle();
    }

    pub(super) fn finish_logout(&mut self, task: crate::link::TaskId) {
        let Some(task) = self.tasks.remove(task) else { return };
        self.leave(task.place);
        let response = self.logout_response(task.itt, LogoutResult::Closed);
        self.ending.get_or_insert(EndReason::LoggedOut);
        if let Some(conn) = self.conn(task.conn) {
            conn.push(response, Numbering::Advance);
            conn.step(ConnEvent::LogoutDone);
            conn.close();
        }
        for conn in self.conns.iter_mut().filter(|c| !c.closing) {
            conn.close();
        }
    }

    fn logout_response(&self, itt: Itt, result: LogoutResult) -> Bhs {
        LogoutResponse {
            result,
            itt,
            stat_sn: LATER,
            exp_cmd_sn: CmdSn(0),
            max_cmd_sn: CmdSn(0),
            time2wait: self.parameters.time2wait,
            time2retain: 0,
        }
        .emit()
    }

    pub(super) fn send_notice(&mut self, notice: &Notice) {
        let (event, lun, p2, p3, data) = match notice {
            Notice::Scsi { lun, sense } => {
                let mut data = bytes::BytesMut::with_capacity(2 + sense.len());
                data.extend_from_slice(&(sense.len() as u16).to_be_bytes());
                data.extend_from_slice(sense);
                (AsyncEvent::Scsi, *lun, 0, 0, data.freeze())
            }
            Notice::SessionDropped { time2wait, time2retain } => {
                (AsyncEvent::SessionDropped, NO_LUN, *time2wait, *time2retain, bytes::Bytes::new())
            }
        };
        // A discovery session gets answers only (RFC 7143 section 7.4.3).
        if !self.is_discovery() {
            self.push_async(event, lun, (0, p2, p3), bytes_of(data));
        }
    }

    pub(super) fn ask_for_logout(&mut self, now: Instant, within: core::time::Duration) {
        if self.is_discovery() {
            self.end_session(EndReason::Terminated);
            return;
        }
        let seconds = within.as_secs().min(u64::from(u16::MAX)) as u16;
        let mut asked = false;
        for conn in self.conns.iter_mut().filter(|c| !c.closing) {
            match conn.state {
                ConnState::LoggedIn => conn.step(ConnEvent::AskedForLogout),
                ConnState::LogoutRequested => conn.step(ConnEvent::AskedAgain),
                _ => continue,
            }
            asked = true;
            conn.logout_deadline.get_or_insert(now + within);
        }
        if asked {
            self.push_async(AsyncEvent::LogoutRequested, NO_LUN, (0, 0, seconds), DataList::new());
        } else if self.conns.is_empty() {
            self.end_session(EndReason::Terminated);
        }
    }

    fn push_async(
        &mut self,
        event: AsyncEvent,
        lun: crate::wire::Lun,
        parameters: (u16, u16, u16),
        data: DataList,
    ) {
        let bhs = AsyncMessage {
            event,
            vendor_code: 0,
            lun,
            stat_sn: LATER,
            exp_cmd_sn: CmdSn(0),
            max_cmd_sn: CmdSn(0),
            parameter1: parameters.0,
            parameter2: parameters.1,
            parameter3: parameters.2,
        }
        .emit();
        if let Some(conn) = self.first_open() {
            conn.output.push(bhs, data, Numbering::Advance);
        }
    }
}

/// A NOP-In that answers nothing. It wants an answer if `ttt` is a tag.
pub(super) fn nop_in(ttt: Ttt) -> Bhs {
    NopIn { lun: NO_LUN, itt: Itt::RESERVED, ttt, stat_sn: LATER, exp_cmd_sn: CmdSn(0), max_cmd_sn: CmdSn(0) }
        .emit()
}
