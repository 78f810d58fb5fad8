//! PDUs from the initiator: order, judgement, and to whom they go.

use bytes::Bytes;

use crate::link::{Pdu, Placement, Receiver, SegmentDigest, TaskId};
use crate::login::SessionType;
use crate::session::{Arrival, ConnId, ConnState};
use crate::wire::{
    Bhs, CmdSn, DataSn, Itt, LogoutReason, LogoutRequest, NopIn, NopOut, Opcode, Reject, RejectReason,
    TaskManagementRequest, TextRequest, Ttt,
};
use crate::{FrameError, Instant, PeerError};

use super::event::EndReason;
use super::output::Numbering;
use super::scsi_command::NewCommand;
use super::task::Phase;
use super::{LATER, NO_LUN, Target, bytes_of};

/// A request that arrived before one of a lower number.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) conn: ConnId,
    bhs: Bhs,
    request: Request,
}

impl Held {
    /// The tag of a request that is no SCSI command: those exist as tasks already.
    pub(super) fn itt(&self) -> Option<Itt> {
        match &self.request {
            Request::Admitted(_) => None,
            _ => Some(self.bhs.itt()),
        }
    }
}

/// A request that has a place in the order of commands.
#[derive(Debug)]
enum Request {
    Scsi(NewCommand),
    /// A SCSI command that is a task already.
    Admitted(TaskId),
    TaskManagement(TaskManagementRequest),
    Text {
        request: TextRequest,
        data: Bytes,
    },
    Logout(LogoutRequest),
    Nop {
        ping: NopOut,
        data: Bytes,
    },
}

impl Request {
    fn parse(pdu: &Pdu) -> Result<Option<Request>, FrameError> {
        let bhs = &pdu.bhs;
        Ok(Some(match bhs.opcode() {
            Opcode::ScsiCommand => Request::Scsi(NewCommand::parse(pdu)?),
            Opcode::TaskManagementRequest => Request::TaskManagement(TaskManagementRequest::parse(bhs)?),
            Opcode::TextRequest => {
                Request::Text { request: TextRequest::parse(bhs)?, data: pdu.data.clone() }
            }
            Opcode::LogoutRequest => Request::Logout(LogoutRequest::parse(bhs)?),
            Opcode::NopOut => Request::Nop { ping: NopOut::parse(bhs)?, data: pdu.data.clone() },
            _ => return Ok(None),
        }))
    }
}

impl Target {
    pub(super) fn is_discovery(&self) -> bool {
        self.hello.session_type == SessionType::Discovery
    }

    pub(super) fn receive_pdus(
        &mut self,
        now: Instant,
        id: ConnId,
        rx: &mut Receiver,
    ) -> Result<(), PeerError> {
        if let Some((max_segment, header, data)) = self.conn(id).and_then(|c| c.receiver_setup.take()) {
            rx.set_max_segment(max_segment);
            rx.set_digests(header, data);
        }
        while self.may_receive(id) {
            let pdu = match rx.next_pdu(|_| Placement::Stage) {
                Ok(Some(pdu)) => pdu,
                Ok(None) => break,
                Err(error) => return Err(self.fail(error.into())),
            };
            let discovery = self.is_discovery();
            if let Some(conn) = self.conn(id) {
                conn.last_heard = now;
                if discovery {
                    // There is no ping to answer: whatever arrives ends the silence.
                    conn.ping = None;
                }
            }
            self.on_pdu(now, id, &pdu).map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// A peer that does not read its answers is not listened to until it does.
    fn may_receive(&self, id: ConnId) -> bool {
        self.conns.iter().any(|c| {
            c.id == id && !c.closing && c.output.bytes() + c.backlog <= 2 * self.limits.transmit_bytes
        })
    }

    /// The peer broke the protocol: RFC 7143 section 7.7 ends the session.
    fn fail(&mut self, error: PeerError) -> PeerError {
        self.end_session(EndReason::ProtocolError);
        error
    }

    /// A format error is told in a Reject and ends the session (RFC 7143 section 7.7).
    fn on_pdu(&mut self, now: Instant, id: ConnId, pdu: &Pdu) -> Result<(), PeerError> {
        self.judge_pdu(now, id, pdu).map_err(|error| {
            self.reject(id, RejectReason::InvalidPduField, &pdu.bhs);
            error.into()
        })
    }

    fn judge_pdu(&mut self, now: Instant, id: ConnId, pdu: &Pdu) -> Result<(), FrameError> {
        let opcode = pdu.bhs.opcode();
        if self.is_discovery() && !matches!(opcode, Opcode::TextRequest | Opcode::LogoutRequest) {
            // RFC 7143 section 4.3.
            self.reject(id, RejectReason::ProtocolError, &pdu.bhs);
            return Ok(());
        }
        if pdu.digest == SegmentDigest::Bad {
            self.counters.digest_errors += 1;
            if opcode == Opcode::DataOut {
                return self.on_data_out(id, pdu);
            }
            // RFC 7143 section 7.8: the PDU is dropped; its CmdSN counts as not received (section 7.3).
            self.reject(id, RejectReason::DataDigestError, &pdu.bhs);
            return Ok(());
        }
        match opcode {
            Opcode::DataOut => self.on_data_out(id, pdu)?,
            Opcode::SnackRequest => self.on_snack(id, &pdu.bhs)?,
            Opcode::LoginRequest => self.reject(id, RejectReason::ProtocolError, &pdu.bhs),
            _ => match Request::parse(pdu)? {
                Some(request) => self.on_request(now, id, &pdu.bhs, request),
                None => self.reject(id, RejectReason::CommandNotSupported, &pdu.bhs),
            },
        }
        Ok(())
    }

    /// RFC 7143 section 4.2.2.1: immediate requests now, the others in the order of CmdSN.
    fn on_request(&mut self, now: Instant, id: ConnId, bhs: &Bhs, request: Request) {
        let immediate = bhs.is_immediate();
        let arrival = if immediate { Arrival::Deliver } else { self.window.judge(bhs.cmd_sn()) };
        if arrival == Arrival::Ignore {
            return;
        }
        if let Err(reason) = self.screen(id, &request, immediate) {
            self.reject(id, reason, bhs);
            return;
        }
        if arrival == Arrival::Early {
            let request = match request {
                Request::Scsi(new) => Request::Admitted(self.admit_scsi(id, new, Phase::Early)),
                other => other,
            };
            self.window.keep(bhs.cmd_sn(), Held { conn: id, bhs: *bhs, request });
            return;
        }
        if !immediate {
            self.window.advance();
        }
        self.deliver(now, id, request, bhs);
        // An immediate ABORT TASK may have filled a gap, too.
        while let Some(held) = self.window.next_ready() {
            self.deliver(now, held.conn, held.request, &held.bhs);
        }
        self.release_management(now);
    }

    /// What makes a request impossible before it is counted as received.
    fn screen(&mut self, id: ConnId, request: &Request, immediate: bool) -> Result<(), RejectReason> {
        if self.conn(id).is_none_or(|c| c.state == ConnState::InLogout) {
            return Err(RejectReason::WaitingForLogout);
        }
        let itt = match request {
            // RFC 7143 section 11.
            Request::Scsi(new) if new.has_reserved_code() => return Err(RejectReason::ProtocolError),
            Request::Scsi(new) => new.pdu.itt,
            Request::TaskManagement(request) => request.itt,
            Request::Logout(request) => {
                // RFC 7143 sections 11 and 4.3.
                let reserved = matches!(request.reason, LogoutReason::Unknown(_));
                if reserved || self.is_discovery() && request.reason != LogoutReason::CloseSession {
                    return Err(RejectReason::ProtocolError);
                }
                request.itt
            }
            // Requests of one exchange share a tag.
            Request::Text { request, .. } if self.is_text_tag(id, request.itt) => return Ok(()),
            Request::Text { request, .. } => request.itt,
            Request::Nop { ping, .. } => ping.itt,
            Request::Admitted(_) => return Ok(()),
        };
        let in_use = self.has_task(itt)
            || self.window.find_early(|held| held.itt() == Some(itt)).is_some()
            || !matches!(request, Request::Nop { .. }) && self.is_text_tag(id, itt);
        if in_use {
            return Err(RejectReason::TaskInProgress);
        }
        // Counted apart, so that there is always room for a request to abort the others.
        let (have, most) = match request {
            Request::Scsi(_) => (self.immediate_commands, self.limits.immediate_requests.max(1)),
            Request::TaskManagement(_) => (self.immediate_management, self.limits.immediate_requests.max(1)),
            _ => return Ok(()),
        };
        if immediate && have >= most {
            return Err(RejectReason::TooManyImmediateCommands);
        }
        Ok(())
    }

    pub(super) fn is_text_tag(&mut self, id: ConnId, itt: Itt) -> bool {
        self.conn(id).is_some_and(|c| c.text.as_ref().is_some_and(|text| text.itt() == itt))
    }

    fn deliver(&mut self, now: Instant, id: ConnId, request: Request, bhs: &Bhs) {
        match request {
            Request::Scsi(new) => {
                let task = self.admit_scsi(id, new, Phase::Queued);
                self.queue_command(task);
            }
            Request::Admitted(task) => self.queue_command(task),
            Request::TaskManagement(request) => self.on_task_management(now, id, &request),
            Request::Logout(request) => self.on_logout(now, id, &request),
            Request::Text { request, data } => {
                let waits = self.on_text(id, &request, &data, bhs);
                if !request.immediate && !waits {
                    self.window.open();
                }
            }
            Request::Nop { ping, data } => {
                if !ping.immediate {
                    self.window.open();
                }
                self.on_nop(id, &ping, data);
            }
        }
    }

    fn on_nop(&mut self, id: ConnId, ping: &NopOut, data: Bytes) {
        let Some(conn) = self.conn(id) else { return };
        if !ping.ttt.is_reserved() && conn.ping.is_some_and(|p| p.ttt == ping.ttt) {
            conn.ping = None;
            conn.answers_pings = true;
        }
        if ping.itt.is_reserved() {
            return;
        }
        let len = data.len().min(conn.peer_max_segment as usize);
        let bhs = NopIn {
            lun: NO_LUN,
            itt: ping.itt,
            ttt: Ttt::RESERVED,
            stat_sn: LATER,
            exp_cmd_sn: CmdSn(0),
            max_cmd_sn: CmdSn(0),
        };
        conn.output.push(bhs.emit(), bytes_of(data.slice(..len)), Numbering::Advance);
    }

    /// Answers a PDU that is not accepted with its own header, RFC 7143 section 11.17.
    pub(super) fn reject(&mut self, id: ConnId, reason: RejectReason, header: &Bhs) {
        self.counters.rejects += 1;
        let Some(conn) = self.conn(id) else { return };
        let bhs =
            Reject { reason, stat_sn: LATER, exp_cmd_sn: CmdSn(0), max_cmd_sn: CmdSn(0), data_sn: DataSn(0) };
        let header = Bytes::copy_from_slice(&header.0);
        conn.output.push(bhs.emit(), bytes_of(header), Numbering::Advance);
    }

    /// Whether a tag is in use. That of a task that was aborted and only waits for payload that may never come is free
    /// to be used again.
    fn has_task(&mut self, itt: Itt) -> bool {
        let Some(task) = self.tasks.find(itt) else { return false };
        self.end_if_abandoned(task);
        self.tasks.get(task).is_some()
    }
}
