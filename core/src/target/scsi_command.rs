//! SCSI commands: arrival, payload from the initiator, hand-over to the caller.

use bytes::Bytes;

use crate::link::{Pdu, SegmentDigest, TaskId};
use crate::scsi::Cdb;
use crate::session::ConnId;
use crate::wire::{AdditionalHeader, CmdSn, DataOut, R2t, RejectReason, ScsiCommand, additional_headers};
use crate::{Misuse, PeerError, scsi};

use super::data_out::{DataFault, DataOutState};
use super::event::{Command, Event};
use super::output::Numbering;
use super::task::{Body, Completion, DataInState, Phase, Scsi, Task};
use super::{LATER, Target};

impl Target {
    pub(super) fn on_scsi_command(&mut self, conn: ConnId, pdu: ScsiCommand, ahs: &[u8], data: Bytes) {
        self.counters.commands += 1;
        self.counters.bytes_out += data.len() as u64;
        let (extended, bidi_read) = additional(ahs);
        let expected_out = if pdu.write { pdu.expected_len } else { 0 };
        let expected_in = match (pdu.read, pdu.write) {
            (true, false) => pdu.expected_len,
            (true, true) => bidi_read,
            _ => 0,
        };
        let incoming = DataOutState::new(expected_out, data, !pdu.final_, &self.parameters);
        if pdu.immediate {
            self.immediate += 1;
        }
        let task = self.tasks.insert(Task {
            conn,
            itt: pdu.itt,
            lun: pdu.lun,
            cmd_sn: pdu.cmd_sn,
            numbered: !pdu.immediate,
            body: Body::Scsi(Box::new(Scsi {
                phase: Phase::Queued,
                aborted: false,
                command: None,
                expected_in,
                expected_out,
                incoming,
                charged: 0,
                outgoing: DataInState::default(),
                completion: None,
            })),
        });
        if let Ok((scsi, ..)) = self.tasks.scsi_mut(task) {
            scsi.command = Some(Command {
                task,
                lun: pdu.lun,
                cdb: Cdb::with_rest(pdu.cdb, extended).unwrap_or_default(),
                attribute: pdu.attribute,
                data_in: expected_in,
                data_out: expected_out,
            });
        }
        self.ready.push_back(task);
    }

    /// Hands out the next command, unless its payload would not fit beside what waits to be sent already.
    pub(super) fn next_command(&mut self) -> Option<Command> {
        let task = *self.ready.front()?;
        let waiting: usize = self.conns.iter().map(|c| c.output.bytes() + c.backlog).sum();
        let busy = waiting + self.promised_in;
        let limit = self.limits.transmit_bytes;
        let (scsi, ..) = self.tasks.scsi_mut(task).ok()?;
        let promise = scsi.expected_in as usize;
        if promise > 0 && busy > 0 && busy + promise > limit {
            return None;
        }
        self.ready.pop_front();
        scsi.phase = Phase::WithCaller;
        let command = scsi.command.take();
        self.promised_in += promise;
        command
    }

    pub(super) fn on_data_out(&mut self, conn: ConnId, pdu: &Pdu) -> Result<(), PeerError> {
        let header = match DataOut::parse(&pdu.bhs) {
            Ok(header) => header,
            Err(_) => {
                self.reject(conn, RejectReason::InvalidPduField, &pdu.bhs);
                return Ok(());
            }
        };
        if pdu.digest == SegmentDigest::Bad {
            self.reject(conn, RejectReason::DataDigestError, &pdu.bhs);
        }
        let in_order = self.parameters.data_pdu_in_order;
        let found = self.tasks.find(header.itt);
        let Some((task, Ok((scsi, task_conn, _, lun)))) = found.map(|t| (t, self.tasks.scsi_mut(t))) else {
            // Payload for a task that was ended by a reset may still be on its way: not an error to answer.
            return Ok(());
        };
        let known = task_conn == conn && scsi.incoming.is_open(header.ttt);
        // The LUN stands in a Data-Out only beside a tag of ours (RFC 7143 section 11.7.4).
        let right_lun = header.ttt.is_reserved() || header.lun == lun;
        if !known || !right_lun {
            let unexpected = task_conn == conn && !scsi.aborted && scsi.phase != Phase::Finished;
            if unexpected {
                scsi.incoming.discard();
            }
            self.reject(conn, RejectReason::InvalidPduField, &pdu.bhs);
            self.advance_collection(task);
            return Ok(());
        }
        let len = pdu.bhs.data_segment_len();
        let wanted = !scsi.aborted && scsi.phase != Phase::Finished;
        let data = (pdu.digest != SegmentDigest::Bad).then(|| pdu.data.clone());
        // What is wrong with the payload ends the task once the initiator has sent all of it.
        let _ = scsi.incoming.receive(&header, data, len, in_order);
        if !wanted {
            scsi.incoming.discard();
        }
        self.counters.bytes_out += u64::from(len);
        self.advance_collection(task);
        Ok(())
    }

    /// Goes on with a task after something about its payload has changed.
    pub(super) fn advance_collection(&mut self, task: TaskId) {
        let Ok((scsi, ..)) = self.tasks.scsi_mut(task) else { return };
        match scsi.phase {
            Phase::Collecting if scsi.incoming.fault().is_some() => {
                if scsi.incoming.is_quiet() {
                    self.fail_collection(task);
                }
            }
            Phase::Collecting if scsi.incoming.is_complete() => {
                scsi.phase = Phase::WithCaller;
                let data = scsi.incoming.take();
                self.events.push_back(Event::Data { task, data });
            }
            Phase::Collecting => self.solicit(task),
            Phase::Finished => self.finish_if_quiet(task),
            Phase::Dropped => self.end_if_over(task),
            Phase::Queued | Phase::WithCaller => {}
        }
    }

    /// The payload is unusable: the caller is told to forget the task, the initiator gets the status that
    /// RFC 7143 section 11.4.7.2 lists.
    fn fail_collection(&mut self, task: TaskId) {
        let Ok((scsi, ..)) = self.tasks.scsi_mut(task) else { return };
        let (code, qualifier) = match scsi.incoming.fault() {
            Some(DataFault::Crc) => (0x47, 0x05),
            Some(DataFault::Unexpected) => (0x0c, 0x0c),
            Some(DataFault::IncorrectAmount) | None => (0x0c, 0x0d),
        };
        let additional = scsi::AdditionalSense { code, qualifier };
        let sense = scsi::Sense::new(scsi::SenseKey::AbortedCommand, additional);
        let response = scsi::Response::check_condition(&sense, scsi::SenseFormat::Fixed);
        scsi.phase = Phase::Finished;
        scsi.completion = Some(Completion { response, transfer_len: 0 });
        self.events.push_back(Event::Abort { task });
        self.finish_if_quiet(task);
    }

    /// Asks for payload, as far as the budget of the session allows.
    fn solicit(&mut self, task: TaskId) {
        let limit = self.limits.solicited_bytes;
        let Ok((scsi, ..)) = self.tasks.scsi_mut(task) else { return };
        let amount = scsi.incoming.to_request() as usize;
        if amount == 0 {
            return;
        }
        if scsi.charged == 0 {
            let waits_its_turn = self.solicit.front().is_some_and(|t| *t != task);
            if waits_its_turn || (self.solicited > 0 && self.solicited + amount > limit) {
                if !self.solicit.contains(&task) {
                    self.solicit.push_back(task);
                }
                return;
            }
            scsi.charged = amount;
            self.solicited += amount;
        }
        self.send_r2ts(task);
    }

    fn send_r2ts(&mut self, task: TaskId) {
        let (max_burst, max_r2t) = (self.parameters.max_burst, self.parameters.max_outstanding_r2t);
        loop {
            let ttt = self.new_ttt();
            let Ok((scsi, conn, itt, lun)) = self.tasks.scsi_mut(task) else { return };
            let Some(request) = scsi.incoming.request(ttt, max_burst, max_r2t) else { return };
            let bhs = R2t {
                lun,
                itt,
                ttt: request.ttt,
                stat_sn: LATER,
                exp_cmd_sn: CmdSn(0),
                max_cmd_sn: CmdSn(0),
                r2t_sn: request.r2t_sn,
                offset: request.offset,
                len: request.len,
            };
            if let Some(conn) = self.conn(conn) {
                conn.push(bhs.emit(), Numbering::Show);
            }
        }
    }

    /// Gives back what a task was charged, and lets those that waited for it go on.
    pub(super) fn release_charge(&mut self, charged: usize) {
        self.solicited -= charged;
        while let Some(task) = self.solicit.front().copied() {
            let waiting = matches!(self.tasks.scsi_mut(task), Ok((s, ..)) if s.phase == Phase::Collecting);
            if waiting {
                let before = self.solicited;
                self.solicit(task);
                if self.solicited == before {
                    return;
                }
            }
            self.solicit.pop_front();
        }
    }

    /// The caller has nothing more to do with an aborted task.
    pub(super) fn drop_task(&mut self, task: TaskId) {
        if let Ok((scsi, ..)) = self.tasks.scsi_mut(task) {
            scsi.phase = Phase::Dropped;
            self.end_if_over(task);
        }
    }

    pub(super) fn end_if_over(&mut self, task: TaskId) {
        if matches!(self.tasks.scsi_mut(task), Ok((s, ..)) if s.is_over()) {
            self.end_scsi(task);
            self.settle();
        }
    }

    /// Ends an aborted task that waits for nothing but payload that nobody wants.
    pub(super) fn end_if_abandoned(&mut self, task: TaskId) {
        if let Ok((scsi, ..)) = self.tasks.scsi_mut(task) {
            if scsi.aborted && scsi.phase == Phase::Dropped {
                scsi.incoming.silence();
                self.end_if_over(task);
            }
        }
    }

    /// Takes a SCSI task out of the books.
    pub(super) fn end_scsi(&mut self, id: TaskId) {
        let Some(Task { numbered, body: Body::Scsi(scsi), .. }) = self.tasks.remove(id) else { return };
        if numbered {
            self.window.open();
        } else {
            self.immediate = self.immediate.saturating_sub(1);
        }
        if scsi.command.is_none() {
            self.promised_in -= scsi.expected_in as usize;
        }
        self.solicit.retain(|t| *t != id);
        if scsi.charged > 0 {
            self.release_charge(scsi.charged);
        }
        self.task_ended(id);
    }

    /// Marks a SCSI task as aborted and tells the caller, where it has to know.
    pub(super) fn abort_task(&mut self, id: TaskId) -> Result<(), Misuse> {
        let (scsi, ..) = self.tasks.scsi_mut(id)?;
        if scsi.aborted {
            return Ok(());
        }
        scsi.aborted = true;
        scsi.outgoing.last = None;
        scsi.incoming.discard();
        match scsi.phase {
            Phase::Queued => {
                scsi.phase = Phase::Dropped;
                self.ready.retain(|t| *t != id);
            }
            Phase::WithCaller => self.events.push_back(Event::Abort { task: id }),
            Phase::Collecting => {
                scsi.phase = Phase::Dropped;
                self.events.push_back(Event::Abort { task: id });
            }
            Phase::Finished => {
                scsi.phase = Phase::Dropped;
                scsi.completion = None;
            }
            Phase::Dropped => {}
        }
        Ok(())
    }
}

/// The extended CDB and the length of bidirectional input, as far as the headers carry them.
fn additional(ahs: &[u8]) -> (Bytes, u32) {
    let (mut extended, mut bidi_read) = (Bytes::new(), 0);
    for header in additional_headers(ahs).map_while(Result::ok) {
        match header {
            AdditionalHeader::ExtendedCdb(rest) => extended = Bytes::copy_from_slice(rest),
            AdditionalHeader::BidiReadLen(len) => bidi_read = len,
            AdditionalHeader::Unknown { .. } => {}
        }
    }
    (extended, bidi_read)
}
