//! Text Requests in the full-feature phase: SendTargets and the few keys that may still be negotiated.
//!
//! RFC 7143 sections 6.4, 11.10, 11.11 and appendix C. One exchange a connection at a time.

use bytes::Bytes;

use crate::link::TaskId;
use crate::login::FullFeatureNegotiation;
use crate::session::{ConnId, SendTargets, TargetRecord};
use crate::wire::text::{IscsiName, Pairs, TextBuffer, TextWriter};
use crate::wire::{Bhs, CmdSn, Itt, RejectReason, TextRequest, TextResponse, Ttt};
use crate::{DataList, Misuse};

use super::event::Event;
use super::output::Numbering;
use super::task::{Body, Place, Task};
use super::{LATER, NO_LUN, Target, bytes_of};

const SEND_TARGETS: &str = "SendTargets";

/// A sequence of Text Requests of one task, and what is left of the answer.
#[derive(Debug)]
pub(super) struct TextExchange {
    itt: Itt,
    /// Names the exchange in the next request, once an answer has asked for one.
    ttt: Ttt,
    /// The text of requests joined by the C bit.
    received: TextBuffer,
    negotiation: FullFeatureNegotiation,
    /// What of the answer has not been sent.
    unsent: Bytes,
    /// Whether the initiator has nothing more to say after this group.
    last_word: bool,
    /// The caller was asked for targets; what else is answered waits with it.
    asked: Option<TextWriter>,
    /// Whether a group of keys was answered.
    served: bool,
}

impl TextExchange {
    pub(super) fn itt(&self) -> Itt {
        self.itt
    }
}

impl Target {
    /// A Text Request whose turn has come. `bhs` is its header, for a reject. Returns whether the request waits for
    /// the caller.
    pub(super) fn on_text(&mut self, id: ConnId, request: &TextRequest, data: &[u8], bhs: &Bhs) -> bool {
        if self.conn(id).is_some_and(|c| c.text.as_ref().is_some_and(|t| t.asked.is_some())) {
            // One Text Request at a time (RFC 7143 section 11.10). The one that is being answered is none the worse.
            self.reject(id, RejectReason::ProtocolError, bhs);
            return false;
        }
        self.take_text(id, request, data).unwrap_or_else(|reason| {
            if let Some(conn) = self.conn(id) {
                // RFC 7143 section 7.12: nothing of a failed negotiation takes effect.
                conn.text = None;
            }
            self.reject(id, reason, bhs);
            false
        })
    }

    fn take_text(&mut self, id: ConnId, request: &TextRequest, data: &[u8]) -> Result<bool, RejectReason> {
        let discovery = self.is_discovery();
        let exchange = self.exchange_of(id, request)?;
        exchange.received.push(data).map_err(|_| RejectReason::ProtocolError)?;
        exchange.last_word = request.final_;
        if request.continued {
            if !exchange.unsent.is_empty() {
                return Err(RejectReason::ProtocolError);
            }
            self.send_text(id, TextWriter::new());
            return Ok(false);
        }
        if !exchange.unsent.is_empty() {
            // While an answer is being continued there is nothing to say (RFC 7143 section 6.2).
            if !exchange.received.is_empty() {
                return Err(RejectReason::ProtocolError);
            }
            self.send_unsent(id);
            return Ok(false);
        }
        let text = exchange.received.take();
        let pairs: Vec<_> =
            Pairs::parse(&text).collect::<Result<_, _>>().map_err(|_| RejectReason::ProtocolError)?;
        if discovery && !exchange.served && !pairs.iter().any(|(key, _)| *key == SEND_TARGETS) {
            // RFC 7143 section 4.3.
            return Err(RejectReason::ProtocolError);
        }
        exchange.served = true;
        let answers = exchange.negotiation.answer(&pairs).map_err(|_| RejectReason::ProtocolError)?;
        let mut writer = TextWriter::new();
        answers.iter().for_each(|(key, value)| writer.pair(key, value));
        match pairs.iter().find(|(key, _)| *key == SEND_TARGETS) {
            Some((_, which)) => Ok(self.on_send_targets(id, request, which, writer)),
            None => {
                self.send_text(id, writer);
                Ok(false)
            }
        }
    }

    /// The exchange that a request belongs to: the one under way, or a new one.
    fn exchange_of(&mut self, id: ConnId, request: &TextRequest) -> Result<&mut TextExchange, RejectReason> {
        let fresh = TextExchange {
            itt: request.itt,
            ttt: Ttt::RESERVED,
            received: TextBuffer::new(self.limits.text_bytes),
            negotiation: FullFeatureNegotiation::new(&self.parameters, self.limits.text_answer_bytes),
            unsent: Bytes::new(),
            last_word: false,
            asked: None,
            served: false,
        };
        let conn = self.conns.iter_mut().find(|c| c.id == id).ok_or(RejectReason::ProtocolError)?;
        match &conn.text {
            Some(exchange) if request.ttt == exchange.ttt && request.itt == exchange.itt => {}
            // The initiator may start anew (RFC 7143 section 6.4).
            _ if request.ttt.is_reserved() => conn.text = Some(fresh),
            _ => return Err(RejectReason::InvalidPduField),
        }
        conn.text.as_mut().ok_or(RejectReason::ProtocolError)
    }

    /// Asks the caller, or refuses; returns which.
    fn on_send_targets(
        &mut self,
        id: ConnId,
        request: &TextRequest,
        which: &str,
        mut writer: TextWriter,
    ) -> bool {
        let own = self.hello.target.as_deref();
        let is_own = |name| IscsiName::received(name).is_ok_and(|name| own == Some(name.as_str()));
        let which = match which {
            "All" if self.is_discovery() => SendTargets::All,
            "" if !self.is_discovery() => SendTargets::Current,
            name if !name.is_empty() && name != "All" && (self.is_discovery() || is_own(name)) => {
                SendTargets::Named(name.to_owned())
            }
            // RFC 7143 appendix C: All belongs to discovery sessions, an empty value to the others, and a session
            // with one target learns of no other.
            _ => {
                writer.pair(SEND_TARGETS, "Reject");
                self.send_text(id, writer);
                return false;
            }
        };
        let task = self.tasks.insert(Task {
            conn: id,
            itt: request.itt,
            lun: NO_LUN,
            cmd_sn: request.cmd_sn,
            place: if request.immediate { Place::None } else { Place::Window },
            body: Body::SendTargets,
        });
        if let Some(exchange) = self.conn(id).and_then(|c| c.text.as_mut()) {
            exchange.asked = Some(writer);
        }
        self.events.push_back(Event::SendTargets { request: task, which });
        true
    }

    pub(super) fn finish_send_targets(
        &mut self,
        request: TaskId,
        targets: &[TargetRecord],
    ) -> Result<(), Misuse> {
        let (conn, place) = match self.tasks.get(request) {
            Some(Task { body: Body::SendTargets, conn, place, .. }) => (*conn, *place),
            _ => return Err(Misuse::UnknownTask),
        };
        self.tasks.remove(request);
        self.leave(place);
        let limit = self.limits.text_answer_bytes;
        let exchange = self.conn(conn).and_then(|c| c.text.as_mut());
        let Some(mut writer) = exchange.and_then(|e| e.asked.take()) else { return Ok(()) };
        for target in targets {
            if writer.len() > limit {
                break;
            }
            writer.pair("TargetName", &target.name);
            for at in &target.addresses {
                writer.pair("TargetAddress", &format!("{},{}", at.address, at.portal_group_tag));
            }
        }
        self.send_text(conn, writer);
        Ok(())
    }

    fn send_text(&mut self, id: ConnId, text: TextWriter) {
        if let Some(exchange) = self.conn(id).and_then(|c| c.text.as_mut()) {
            exchange.unsent = text.finish().into();
            self.send_unsent(id);
        }
    }

    /// Sends as much of the answer as one PDU holds; the initiator asks for the rest.
    fn send_unsent(&mut self, id: ConnId) {
        let ttt = self.new_ttt();
        let Some(conn) = self.conn(id) else { return };
        let max = conn.peer_max_segment as usize;
        let Some(exchange) = conn.text.as_mut() else { return };
        let piece = exchange.unsent.split_to(exchange.unsent.len().min(max));
        let continued = !exchange.unsent.is_empty();
        let final_ = !continued && exchange.last_word;
        exchange.ttt = if final_ { Ttt::RESERVED } else { ttt };
        let response = TextResponse {
            final_,
            continued,
            lun: NO_LUN,
            itt: exchange.itt,
            ttt: exchange.ttt,
            stat_sn: LATER,
            exp_cmd_sn: CmdSn(0),
            max_cmd_sn: CmdSn(0),
        };
        let finished = if final_ { conn.text.take() } else { None };
        let data = if piece.is_empty() { DataList::new() } else { bytes_of(piece) };
        conn.output.push(response.emit(), data, Numbering::Advance);
        if let Some(exchange) = finished {
            let parameters = exchange.negotiation.finish();
            conn.peer_max_segment = parameters.peer_max_segment;
            self.parameters = parameters;
        }
    }
}
