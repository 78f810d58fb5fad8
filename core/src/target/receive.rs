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
    /// A SCSI command, which is a task already.
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
        let mut heard = false;
        while self.may_receive(id) {
            let mut taken = rx.next_pdu(|_| Placement::Stage);
            let pdu = match &mut taken {
                Ok(Some(pdu)) => pdu,
                Ok(None) => break,
                Err(error) => return Err(self.fail((*error).into())),
            };
            if !heard {
                heard = true;
                self.note_life(now, id);
            }
            self.on_pdu(now, id, pdu).map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    fn note_life(&mut self, now: Instant, id: ConnId) {
        let discovery = self.is_discovery();
        let Some(conn) = self.conn(id) else { return };
        conn.last_heard = now;
        if discovery {
            // There is no ping to answer: whatever arrives ends the silence.
            conn.ping = None;
        }
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
    fn on_pdu(&mut self, now: Instant, id: ConnId, pdu: &mut Pdu) -> Result<(), PeerError> {
        self.judge_pdu(now, id, pdu).map_err(|error| {
            self.reject(id, RejectReason::InvalidPduField, &pdu.bhs);
            error.into()
        })
    }

    #[inline]
    fn judge_pdu(&mut self, now: Instant, id: ConnId, pdu: &mut Pdu) -> Result<(), FrameError> {
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
            Opcode::ScsiCommand => self.on_scsi_command(now, id, pdu)?,
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
        let arrival = self.arrival(bhs);
        if arrival == Arrival::Ignore {
            return;
        }
        if let Err(reason) = self.screen(id, &request, bhs.is_immediate()) {
            self.reject(id, reason, bhs);
            return;
        }
        if arrival == Arrival::Early {
            self.window.keep(bhs.cmd_sn(), Held { conn: id, bhs: *bhs, request });
            return;
        }
        if !bhs.is_immediate() {
            self.window.advance();
        }
        self.deliver(now, id, request, bhs);
        self.deliver_held(now);
    }

    /// The same for a SCSI command, which becomes a task as soon as it is here, whether or not its turn has come.
    #[inline]
    fn on_scsi_command(&mut self, now: Instant, id: ConnId, pdu: &mut Pdu) -> Result<(), FrameError> {
        let new = NewCommand::parse(pdu)?;
        let (immediate, cmd_sn) = (new.pdu.immediate, new.pdu.cmd_sn);
        let arrival = self.arrival(&pdu.bhs);
        if arrival == Arrival::Ignore {
            return Ok(());
        }
        if let Err(reason) = self.screen_command(id, &new) {
            self.reject(id, reason, &pdu.bhs);
            return Ok(());
        }
        if arrival == Arrival::Early {
            let request = Request::Admitted(self.admit_scsi(id, new, Phase::Early));
            self.window.keep(cmd_sn, Held { conn: id, bhs: pdu.bhs, request });
            return Ok(());
        }
        if !immediate {
            self.window.advance();
        }
        let task = self.admit_scsi(id, new, Phase::Queued);
        self.queue_command(task);
        self.deliver_held(now);
        Ok(())
    }

    fn arrival(&self, bhs: &Bhs) -> Arrival {
        if bhs.is_immediate() { Arrival::Deliver } else { self.window.judge(bhs.cmd_sn()) }
    }

    /// What waited for the request that was delivered. An immediate ABORT TASK may have filled a gap, too.
    #[inline]
    fn deliver_held(&mut self, now: Instant) {
        while let Some(held) = self.window.next_ready() {
            self.deliver(now, held.conn, held.request, &held.bhs);
        }
        self.release_management(now);
    }

    /// What makes a SCSI command impossible before it is counted as received.
    #[inline]
    fn screen_command(&mut self, id: ConnId, new: &NewCommand) -> Result<(), RejectReason> {
        self.screen_connection(id)?;
        if new.has_reserved_code() {
            // RFC 7143 section 11.
            return Err(RejectReason::ProtocolError);
        }
        let itt = new.pdu.itt;
        if self.has_request(itt) || self.is_text_tag(id, itt) {
            return Err(RejectReason::TaskInProgress);
        }
        // Counted apart from management, so that there is always room for a request to abort the others.
        if new.pdu.immediate && self.immediate_commands >= self.limits.immediate_requests.max(1) {
            return Err(RejectReason::TooManyImmediateCommands);
        }
        Ok(())
    }

    /// The same for other requests.
    fn screen(&mut self, id: ConnId, request: &Request, immediate: bool) -> Result<(), RejectReason> {
        self.screen_connection(id)?;
        let itt = match request {
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
        if self.has_request(itt) || !matches!(request, Request::Nop { .. }) && self.is_text_tag(id, itt) {
            return Err(RejectReason::TaskInProgress);
        }
        let full = self.immediate_management >= self.limits.immediate_requests.max(1);
        if immediate && full && matches!(request, Request::TaskManagement(_)) {
            return Err(RejectReason::TooManyImmediateCommands);
        }
        Ok(())
    }

    fn screen_connection(&mut self, id: ConnId) -> Result<(), RejectReason> {
        match self.conn(id) {
            Some(conn) if conn.state != ConnState::InLogout => Ok(()),
            _ => Err(RejectReason::WaitingForLogout),
        }
    }

    pub(super) fn is_text_tag(&mut self, id: ConnId, itt: Itt) -> bool {
        self.conn(id).is_some_and(|c| c.text.as_ref().is_some_and(|text| text.itt() == itt))
    }

    fn deliver(&mut self, now: Instant, id: ConnId, request: Request, bhs: &Bhs) {
        match request {
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
    #[inline]
    fn has_request(&mut self, itt: Itt) -> bool {
        if let Some(task) = self.tasks.find(itt) {
            self.end_if_abandoned(task);
            if self.tasks.get(task).is_some() {
                return true;
            }
        }
        self.window.find_early(|held| held.itt() == Some(itt)).is_some()
    }
}
