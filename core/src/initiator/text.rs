//! Text exchanges: SendTargets (RFC 7143 appendix C), and the Text Request that a target may ask for.

use crate::link::TaskId;
use crate::session::{SendTargets, TargetAddress, TargetRecord};
use crate::wire::text::{IscsiName, Pairs, TextBuffer, TextWriter, parse_number};
use crate::wire::{CmdSn, Lun, StatSn, TextRequest, TextResponse, Ttt};
use crate::{DataList, Instant, Misuse, PeerError};

use super::Initiator;
use super::command::Cause;
use super::connection::Question;
use super::event::Event;
use super::outgoing::address::parse_target_address;
use super::receive::Fault;
use super::task::{Body, Task, tag};

/// Responses beyond those that the text limit explains: a target may send empty ones, but not for ever.
const SPARE_ROUNDS: usize = 16;

/// The least that a Text Response brings when it is not the last: what any initiator takes.
const LEAST_SEGMENT: usize = 512;

impl Initiator {
    pub(super) fn ask_for_targets(&mut self, now: Instant, which: &SendTargets) -> Result<TaskId, Misuse> {
        self.check_requests("send_targets: no connection, or too many requests are open")?;
        if self.conn.as_ref().is_some_and(|conn| conn.text.is_some()) {
            return Err(Misuse::WrongState("send_targets: a question is open"));
        }
        let value = match which {
            SendTargets::All => "All",
            // Nothing else may get into the request with it, and it must fit into one PDU.
            SendTargets::Named(name) if IscsiName::received(name).is_err() => {
                return Err(Misuse::InvalidArgument("send_targets: not the name of a target"));
            }
            SendTargets::Named(name) => name,
            SendTargets::Current => "",
        };
        let mut writer = TextWriter::new();
        writer.pair("SendTargets", value);
        Ok(self.begin_text(now, writer, true))
    }

    /// Starts an exchange. `asked` tells that the caller waits for it.
    pub(super) fn begin_text(&mut self, now: Instant, text: TextWriter, asked: bool) -> TaskId {
        let deadline = Some(now + self.limits.management_timeout);
        let task = self.tasks.insert(Task { deadline, body: Body::Text { asked } });
        self.note_deadline(deadline);
        let max = self.limits.text_answer_bytes;
        if let Some(conn) = &mut self.conn {
            let answer = TextBuffer::new(max);
            conn.text = Some(Question { task, ttt: Ttt::RESERVED, lun: Lun::ZERO, answer, rounds: 0 });
        }
        self.send_text(text);
        task
    }

    fn send_text(&mut self, text: TextWriter) {
        let Some(conn) = &mut self.conn else { return };
        let Some(question) = &conn.text else { return };
        let request = TextRequest {
            immediate: true,
            final_: true,
            continued: false,
            lun: question.lun,
            itt: tag(question.task),
            ttt: question.ttt,
            cmd_sn: CmdSn(0),
            exp_stat_sn: StatSn(0),
        };
        let text = if text.is_empty() { DataList::new() } else { DataList::from(text.finish()) };
        conn.push(request.emit(), text);
    }

    pub(super) fn on_text_response(
        &mut self,
        now: Instant,
        pdu: &TextResponse,
        data: &[u8],
    ) -> Result<(), Fault> {
        let most_rounds = self.limits.text_answer_bytes / LEAST_SEGMENT + SPARE_ROUNDS;
        let Some(conn) = &mut self.conn else { return Ok(()) };
        let Some(question) = conn.text.as_mut().filter(|q| tag(q.task) == pdu.itt) else {
            return Err(Fault::protocol("Text Response for a task that is not there"));
        };
        let too_much = Fault { error: PeerError::Limit("a text answer beyond Limits"), task: None };
        question.rounds += 1;
        if question.rounds > most_rounds || question.answer.push(data).is_err() {
            return Err(too_much);
        }
        let task = question.task;
        if !pdu.final_ {
            if pdu.ttt.is_reserved() {
                return Err(Fault::protocol(
                    "Text Response that is not the last, without a tag to go on with",
                ));
            }
            (question.ttt, question.lun) = (pdu.ttt, pdu.lun);
            let deadline = Some(now + self.limits.management_timeout);
            if let Some(task) = self.tasks.get_mut(task) {
                task.deadline = deadline;
            }
            self.note_deadline(deadline);
            self.send_text(TextWriter::new());
            return Ok(());
        }
        let text = question.answer.take();
        conn.text = None;
        let asked = self.tasks.remove(task);
        let pairs: Result<Vec<_>, _> = Pairs::parse(&text).collect();
        let pairs = pairs.map_err(|_| Fault::protocol("a text answer that is no list of key=value"))?;
        self.take_declarations(&pairs)?;
        if let Some(Task { body: Body::Text { asked: true }, .. }) = asked {
            self.events.push_back(Event::Targets { request: task, result: records(&pairs) });
        }
        Ok(())
    }

    /// The one key that a target may declare anew in the full-feature phase (RFC 7143 section 13.12).
    fn take_declarations(&mut self, pairs: &[(&str, &str)]) -> Result<(), Fault> {
        let Some((_, value)) = pairs.iter().find(|(key, _)| *key == "MaxRecvDataSegmentLength") else {
            return Ok(());
        };
        let value = parse_number(value, 512..=0xff_ffff)
            .map_err(|_| Fault::protocol("MaxRecvDataSegmentLength is out of its range"))?;
        if let Some((conn, login)) = self.conn.as_mut().zip(self.login.as_mut()) {
            conn.peer_max_segment = value as u32;
            login.parameters.peer_max_segment = value as u32;
        }
        Ok(())
    }
}

/// The targets that an answer names. What is no name, or no address, is passed over.
fn records(pairs: &[(&str, &str)]) -> Result<Vec<TargetRecord>, Cause> {
    let mut out: Vec<TargetRecord> = Vec::new();
    let mut named = false;
    for (key, value) in pairs {
        match *key {
            "TargetName" => {
                let name = IscsiName::received(value);
                named = name.is_ok();
                out.extend(name.ok().map(|name| TargetRecord { name: name.into(), addresses: Vec::new() }));
            }
            "TargetAddress" if named => {
                let read = parse_target_address(value).ok();
                // Targets with one portal group leave its tag out: it is 1.
                let address =
                    read.map(|(address, tag)| TargetAddress { address, portal_group_tag: tag.unwrap_or(1) });
                if let Some(record) = out.last_mut() {
                    record.addresses.extend(address);
                }
            }
            "SendTargets" if ["Reject", "NotUnderstood", "Irrelevant"].contains(value) => {
                return Err(Cause::Refused);
            }
            _ => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_belong_to_the_name_before_them() {
        let pairs = [
            ("TargetAddress", "stray:1,1"),
            ("TargetName", "iqn.2026-01.dev.iscsicore:a"),
            ("TargetAddress", "one:1,1"),
            ("TargetAddress", "no address,1"),
            ("TargetAddress", "[fe80::2]"),
            ("TargetName", "not a name"),
            ("TargetAddress", "lost:1,1"),
            ("TargetName", "iqn.2026-01.dev.iscsicore:b"),
        ];
        let records = records(&pairs).unwrap();
        let shape: Vec<_> = records.iter().map(|r| (r.name.as_str(), r.addresses.len())).collect();
        assert_eq!(shape, [("iqn.2026-01.dev.iscsicore:a", 2), ("iqn.2026-01.dev.iscsicore:b", 0)]);
        let last = &records[0].addresses[1];
        assert_eq!((last.address.as_str(), last.portal_group_tag), ("[fe80::2]:3260", 1));
        assert_eq!(super::records(&[("SendTargets", "Reject")]), Err(Cause::Refused));
    }
}
