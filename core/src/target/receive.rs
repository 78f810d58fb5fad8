//! PDUs from the initiator: order, judgement, and to whom they go.

use bytes::Bytes;

use crate::link::{Pdu, Placement, Receiver, SegmentDigest};
use crate::login::SessionType;
use crate::session::{Arrival, ConnId, ConnState};
use crate::wire::{
    Bhs, CmdSn, DataSn, Itt, LogoutRequest, NopIn, NopOut, Opcode, Reject, RejectReason, ScsiCommand,
    TaskManagementRequest, TextRequest, Ttt, additional_headers,
};
use crate::{Instant, PeerError};

use super::event::EndReason;
use super::output::Numbering;
use super::{LATER, Target, bytes_of};

/// A request that arrived before an earlier one.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) conn: ConnId,
    pub(super) request: Request,
}

/// A request that has a place in the order of commands.
#[derive(Debug)]
pub(super) enum Request {
    Scsi { command: ScsiCommand, ahs: Bytes, data: Bytes },
    TaskManagement(TaskManagementRequest),
    Text { request: TextRequest, data: Bytes },
    Logout(LogoutRequest),
    Nop { ping: NopOut, data: Bytes },
}

impl Request {
    fn parse(pdu: &Pdu) -> Result<Option<Request>, crate::FrameError> {
        let (bhs, data) = (&pdu.bhs, pdu.data.clone());
        Ok(Some(match bhs.opcode() {
            Opcode::ScsiCommand => {
                additional_headers(&pdu.ahs).try_for_each(|h| h.map(drop))?;
                Request::Scsi { command: ScsiCommand::parse(bhs)?, ahs: pdu.ahs.clone(), data }
            }
            Opcode::TaskManagementRequest => Request::TaskManagement(TaskManagementRequest::parse(bhs)?),
            Opcode::TextRequest => Request::Text { request: TextRequest::parse(bhs)?, data },
            Opcode::LogoutRequest => Request::Logout(LogoutRequest::parse(bhs)?),
            Opcode::NopOut => Request::Nop { ping: NopOut::parse(bhs)?, data },
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
                Err(error) => return Err(self.fail(now, error.into())),
            };
            if let Some(conn) = self.conn(id) {
                conn.last_heard = now;
                if self.is_discovery() {
                    // There is no ping to answer: whatever arrives ends the silence.
                    if let Some(conn) = self.conn(id) {
                        conn.ping = None;
                    }
                }
            }
            self.on_pdu(now, id, pdu).map_err(|error| self.fail(now, error))?;
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
    fn fail(&mut self, now: Instant, error: PeerError) -> PeerError {
        self.end_session(now, EndReason::ProtocolError);
        error
    }

    fn on_pdu(&mut self, now: Instant, id: ConnId, pdu: Pdu) -> Result<(), PeerError> {
        if pdu.digest == SegmentDigest::Bad {
            self.counters.digest_errors += 1;
            if pdu.bhs.opcode() == Opcode::DataOut {
                return self.on_data_out(id, &pdu);
            }
            // RFC 7143 section 7.8: the PDU is dropped; its CmdSN counts as not received (section 7.3).
            self.reject(id, RejectReason::DataDigestError, &pdu.bhs);
            return Ok(());
        }
        if self.is_discovery() && !matches!(pdu.bhs.opcode(), Opcode::TextRequest | Opcode::LogoutRequest) {
            // RFC 7143 section 4.3.
            self.reject(id, RejectReason::ProtocolError, &pdu.bhs);
            return Ok(());
        }
        match pdu.bhs.opcode() {
            Opcode::DataOut => return self.on_data_out(id, &pdu),
            Opcode::SnackRequest => self.reject(id, RejectReason::SnackReject, &pdu.bhs),
            Opcode::LoginRequest => self.reject(id, RejectReason::ProtocolError, &pdu.bhs),
            _ => match Request::parse(&pdu) {
                Ok(Some(request)) => self.on_request(now, id, &pdu.bhs, request),
                Ok(None) => self.reject(id, RejectReason::CommandNotSupported, &pdu.bhs),
                Err(_) => self.reject(id, RejectReason::InvalidPduField, &pdu.bhs),
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
        match arrival {
            _ if immediate => self.deliver(now, id, request, bhs),
            Arrival::Early => self.window.keep(bhs.cmd_sn(), Held { conn: id, request }),
            _ => {
                self.window.advance();
                self.deliver(now, id, request, bhs);
                while let Some(held) = self.window.next_ready() {
                    let bhs = Bhs::new(Opcode::NopOut);
                    self.deliver(now, held.conn, held.request, &bhs);
                }
            }
        }
        self.release_management(now);
    }

    /// What makes a request impossible before it is counted as received.
    fn screen(&mut self, id: ConnId, request: &Request, immediate: bool) -> Result<(), RejectReason> {
        let in_logout = self.conn(id).is_none_or(|c| c.state == ConnState::InLogout);
        if in_logout {
            return Err(RejectReason::WaitingForLogout);
        }
        let itt = match request {
            Request::Scsi { command, .. } => {
                // RFC 7143 section 11.3.1.
                if !command.write && !command.final_
                    || !command.read && !command.write && command.expected_len != 0
                {
                    return Err(RejectReason::InvalidPduField);
                }
                command.itt
            }
            Request::TaskManagement(request) => request.itt,
            Request::Logout(request) => request.itt,
            // Text requests of one exchange share a tag; a ping is answered at once.
            Request::Text { request, .. } => {
                return if request.itt.is_reserved() { Err(RejectReason::InvalidPduField) } else { Ok(()) };
            }
            Request::Nop { ping, .. } => {
                return match ping.itt.is_reserved() && !immediate {
                    // RFC 7143 section 11.18.1.
                    true => Err(RejectReason::InvalidPduField),
                    false => Ok(()),
                };
            }
        };
        if itt.is_reserved() {
            return Err(RejectReason::InvalidPduField);
        }
        self.forget_abandoned(itt);
        let held = |h: &Held| match &h.request {
            Request::Scsi { command, .. } => command.itt == itt,
            Request::TaskManagement(request) => request.itt == itt,
            _ => false,
        };
        if self.tasks.find(itt).is_some() || self.window.find_early(held).is_some() {
            return Err(RejectReason::TaskInProgress);
        }
        if immediate && self.immediate >= self.limits.immediate_requests {
            return Err(RejectReason::TooManyImmediateCommands);
        }
        Ok(())
    }

    fn deliver(&mut self, now: Instant, id: ConnId, request: Request, bhs: &Bhs) {
        match request {
            Request::Scsi { command, ahs, data } => self.on_scsi_command(id, command, &ahs, data),
            Request::TaskManagement(request) => self.on_task_management(now, id, &request),
            Request::Logout(request) => self.on_logout(now, id, &request),
            Request::Text { request, data } => {
                if !request.immediate {
                    self.window.open();
                }
                self.on_text(id, &request, &data, bhs);
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
            lun: ping.lun,
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

    /// A tag of a task that was aborted and only waits for payload that may never come is free to be used again.
    fn forget_abandoned(&mut self, itt: Itt) {
        if let Some(task) = self.tasks.find(itt) {
            self.end_if_abandoned(task);
        }
    }
}
