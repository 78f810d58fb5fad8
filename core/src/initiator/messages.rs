//! NOP-In, Logout Response, Asynchronous Message and Reject: RFC 7143 sections 11.19, 11.15, 11.9 and 11.17.

use bytes::Bytes;

use crate::link::TaskId;
use crate::session::InitiatorConnEvent;
use crate::wire::text::TextWriter;
use crate::wire::{
    AsyncEvent, AsyncMessage, BHS_LEN, Bhs, CmdSn, Itt, LogoutResponse, LogoutResult, Lun, NopIn, NopOut,
    Opcode, Reject, RejectReason, StatSn, Ttt,
};
use crate::{DataList, Instant, Misuse};

use super::Initiator;
use super::command::{Cause, Outcome};
use super::event::{DownReason, Event};
use super::receive::Fault;
use super::task::{Body, Phase, Task, tag};

impl Initiator {
    pub(super) fn send_ping(&mut self, now: Instant, data: Bytes) -> Result<TaskId, Misuse> {
        self.check_requests("ping: no connection, or too many requests are open")?;
        let max = self.conn.as_ref().map_or(0, |conn| conn.peer_max_segment as usize);
        Ok(self.push_ping(now + self.limits.ping_timeout, data.slice(..data.len().min(max)), true))
    }

    pub(super) fn push_ping(&mut self, deadline: Instant, data: Bytes, asked: bool) -> TaskId {
        let task = self.tasks.insert(Task { deadline: Some(deadline), body: Body::Ping { asked } });
        self.note_deadline(Some(deadline));
        if let Some(conn) = &mut self.conn {
            let nop = nop_out(tag(task), Ttt::RESERVED, Lun::ZERO);
            conn.push(nop, DataList::from(data));
        }
        task
    }

    pub(super) fn on_nop_in(&mut self, pdu: &NopIn, data: Bytes) -> Result<(), Fault> {
        if !pdu.ttt.is_reserved() {
            if let Some(conn) = &mut self.conn {
                conn.push(nop_out(Itt::RESERVED, pdu.ttt, pdu.lun), DataList::new());
            }
            return Ok(());
        }
        if pdu.itt.is_reserved() {
            return Ok(());
        }
        let Some(task) = self.tasks.find(pdu.itt) else {
            // The answer to a ping that was given up.
            return Ok(());
        };
        let Some(Body::Ping { asked }) = self.tasks.get(task).map(|t| &t.body) else {
            return Err(Fault::protocol("NOP-In for a task that is no ping"));
        };
        if *asked {
            self.events.push_back(Event::Pong { request: task, result: Ok(data) });
        }
        self.tasks.remove(task);
        if let Some(conn) = self.conn.as_mut().filter(|conn| conn.ping == Some(task)) {
            conn.ping = None;
        }
        Ok(())
    }

    pub(super) fn on_logout_response(&mut self, pdu: &LogoutResponse) -> Result<(), Fault> {
        let task = self.tasks.find(pdu.itt);
        let task = task.filter(|id| matches!(self.tasks.get(*id).map(|t| &t.body), Some(Body::Logout)));
        let task = task.ok_or(Fault::protocol("Logout Response without a request"))?;
        self.tasks.remove(task);
        if let Some(conn) = &mut self.conn {
            conn.times = Some((pdu.time2wait, pdu.time2retain));
        }
        let why = match (self.conn.as_ref().is_some_and(|c| c.logout_by.is_some()), pdu.result) {
            (true, _) => DownReason::AskedByTarget,
            (false, LogoutResult::Closed) => DownReason::LoggedOut,
            (false, _) => DownReason::Unresponsive,
        };
        self.connection_down(why);
        Ok(())
    }

    pub(super) fn on_async_message(
        &mut self,
        now: Instant,
        message: AsyncMessage,
        data: Bytes,
    ) -> Result<(), Fault> {
        let sense = match message.event {
            AsyncEvent::Scsi => async_sense(&data)?,
            _ => Bytes::new(),
        };
        self.events.push_back(Event::Async { message, data });
        let times = (message.parameter2, message.parameter3);
        match message.event {
            AsyncEvent::Scsi if !sense.is_empty() => {
                self.events.push_back(Event::UnitAttention { lun: message.lun, sense });
            }
            AsyncEvent::LogoutRequested => self.target_wants_logout(now, message.parameter3),
            AsyncEvent::ConnectionDropped if self.is_own_cid(message.parameter1) => self.target_drops(times),
            AsyncEvent::SessionDropped => self.target_drops(times),
            // An empty request will do; one that is under way is answer enough.
            AsyncEvent::NegotiationRequested if self.may_begin_text() => {
                self.begin_text(now, TextWriter::new(), false);
            }
            _ => {}
        }
        Ok(())
    }

    fn is_own_cid(&self, cid: u16) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.cid.0 == cid)
    }

    fn may_begin_text(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.text.is_none() && !conn.logout_sent)
    }

    fn target_wants_logout(&mut self, now: Instant, seconds: u16) {
        let Some(conn) = &mut self.conn else { return };
        conn.step(InitiatorConnEvent::AskedToLogOut);
        let by = now + core::time::Duration::from_secs(seconds.into());
        conn.logout_by.get_or_insert(by);
        self.log_out_when_idle(now);
    }

    fn target_drops(&mut self, times: (u16, u16)) {
        if let Some(conn) = &mut self.conn {
            conn.times = Some(times);
        }
        self.connection_down(DownReason::AskedByTarget);
    }

    /// A PDU of this end was not accepted (RFC 7143 section 7.3). The target goes on with a task unless it was the
    /// request itself that it refused.
    pub(super) fn on_reject(&mut self, now: Instant, pdu: &Reject, data: &[u8]) -> Result<(), Fault> {
        let header = data.first_chunk::<BHS_LEN>().map(|bytes| Bhs(*bytes));
        let task = header.and_then(|bhs| self.tasks.find(bhs.itt()));
        let Some((bhs, task)) = header.zip(task) else {
            self.events.push_back(Event::Rejected { reason: pdu.reason, header });
            return Ok(());
        };
        match (bhs.opcode(), self.tasks.get(task).map(|t| &t.body)) {
            (Opcode::ScsiCommand, Some(Body::Scsi(scsi))) if scsi.phase == Phase::Sent => {
                let (cmd_sn, again) = (scsi.cmd_sn, pdu.reason == RejectReason::WaitingForLogout);
                if pdu.reason == RejectReason::DataDigestError {
                    // What was damaged on the way is sent again with everything else, in a new session.
                    return Err(Fault::protocol("the target found a command damaged"));
                }
                if again {
                    // The session is about to be logged out: nothing follows that a gap could hold up.
                    self.send_again(task);
                } else {
                    self.plug(now, task, cmd_sn);
                    self.finish(task, Outcome::NotSent(Cause::Rejected(pdu.reason)));
                }
            }
            (Opcode::TaskManagementRequest, Some(Body::Management { victim, .. })) => {
                match *victim {
                    Some(victim) if self.tasks.scsi(victim).is_some() => {
                        self.tasks.remove(task);
                        self.abort_refused(now, victim);
                    }
                    // It was to fill a gap in CmdSN, which now holds up everything.
                    Some(_) => return Err(Fault::protocol("the target rejects an abort that fills a gap")),
                    None => self.fail_request(task, Cause::Rejected(pdu.reason)),
                }
            }
            (Opcode::TextRequest | Opcode::NopOut, Some(Body::Text { .. } | Body::Ping { .. })) => {
                self.fail_request(task, Cause::Rejected(pdu.reason));
            }
            _ => self.events.push_back(Event::Rejected { reason: pdu.reason, header }),
        }
        Ok(())
    }
}

fn nop_out(itt: Itt, ttt: Ttt, lun: Lun) -> Bhs {
    NopOut { immediate: true, lun, itt, ttt, cmd_sn: CmdSn(0), exp_stat_sn: StatSn(0) }.emit()
}

/// Sense data of a SCSI event, behind its length (RFC 7143 section 11.9.4).
fn async_sense(data: &Bytes) -> Result<Bytes, Fault> {
    let Some(len) = data.first_chunk::<2>() else { return Ok(Bytes::new()) };
    let end = 2 + usize::from(u16::from_be_bytes(*len));
    if end > data.len() {
        return Err(Fault::protocol("an Asynchronous Message with sense data longer than its segment"));
    }
    Ok(data.slice(2..end))
}
