//! SCSI commands: arrival, payload from the initiator, hand-over to the caller.

use bytes::Bytes;

use crate::link::{Pdu, SegmentDigest, TaskId};
use crate::scsi::{Cdb, MAX_CDB_LEN};
use crate::session::ConnId;
use crate::wire::{
    AdditionalHeader, Bhs, CmdSn, DataOut, R2t, R2tSn, RejectReason, ScsiCommand, SnackKind, SnackRequest,
    TaskAttribute, additional_headers,
};
use crate::{DataList, FrameError};

use super::data_in::fault_response;
use super::data_out::DataFault;
use super::event::{Command, Event};
use super::output::Numbering;
use super::task::{Body, Completion, Phase, Place, Task};
use super::{LATER, Target};

impl Target {
    /// Takes a SCSI command in. It exists from its arrival on, even if its turn has not come: Data-Out may follow.
    #[inline]
    pub(super) fn admit_scsi(&mut self, conn: ConnId, new: NewCommand, phase: Phase) -> TaskId {
        let NewCommand { pdu, additional, data } = new;
        let (cdb, bidi_read) = match additional {
            None => (Cdb::new(pdu.cdb), 0),
            Some(headers) => (
                Cdb::with_rest(pdu.cdb, headers.extended).unwrap_or_default(),
                headers.bidi_read.unwrap_or(0),
            ),
        };
        self.counters.commands += 1;
        self.counters.bytes_out += data.len() as u64;
        let mut scsi = self.tasks.blank();
        scsi.phase = phase;
        scsi.aborted = false;
        scsi.handed_out = false;
        scsi.attribute = pdu.attribute;
        scsi.cdb = cdb;
        scsi.expected_out = if pdu.write { pdu.expected_len } else { 0 };
        scsi.expected_in = match (pdu.read, pdu.write) {
            (true, false) => pdu.expected_len,
            (true, true) => bidi_read,
            _ => 0,
        };
        scsi.incoming.begin(scsi.expected_out, data, !pdu.final_, &self.parameters);
        scsi.charged = 0;
        scsi.outgoing.begin();
        scsi.next_sn = 0;
        scsi.bidirectional = pdu.read && pdu.write;
        scsi.completion = None;
        if pdu.immediate {
            self.immediate_commands += 1;
        }
        self.tasks.insert(Task {
            conn,
            itt: pdu.itt,
            lun: pdu.lun,
            cmd_sn: pdu.cmd_sn,
            place: if pdu.immediate { Place::Immediate } else { Place::Window },
            body: Body::Scsi(scsi),
        })
    }

    /// The turn of a command has come.
    #[inline]
    pub(super) fn queue_command(&mut self, task: TaskId) {
        match self.tasks.scsi_mut(task) {
            Ok((scsi, ..)) if !scsi.aborted => scsi.phase = Phase::Queued,
            _ => return,
        }
        self.ready.push_back(task);
    }

    /// Hands out the next command, unless its payload would not fit beside what waits to be sent already.
    #[inline]
    pub(super) fn next_command(&mut self) -> Option<Command> {
        let task = *self.ready.front()?;
        let waiting: usize = self.conns.iter().map(|c| c.output.bytes() + c.backlog).sum();
        let busy = waiting as u64 + self.promised_in;
        let limit = self.limits.transmit_bytes as u64;
        let Ok((scsi, _, _, lun)) = self.tasks.scsi_mut(task) else {
            debug_assert!(false, "a task that has ended is still to be handed out");
            self.ready.pop_front();
            return None;
        };
        let promise = u64::from(scsi.expected_in);
        if promise > 0 && busy > 0 && busy + promise > limit {
            return None;
        }
        self.ready.pop_front();
        scsi.phase = Phase::WithCaller;
        scsi.handed_out = true;
        self.promised_in += promise;
        Some(Command {
            task,
            lun,
            cdb: core::mem::take(&mut scsi.cdb),
            attribute: scsi.attribute,
            data_in: scsi.expected_in,
            data_out: scsi.expected_out,
        })
    }

    pub(super) fn on_data_out(&mut self, conn: ConnId, pdu: &mut Pdu) -> Result<(), FrameError> {
        let header = DataOut::parse(&pdu.bhs)?;
        if pdu.digest == SegmentDigest::Bad {
            self.reject(conn, RejectReason::DataDigestError, &pdu.bhs);
        }
        let in_order = self.parameters.data_pdu_in_order;
        let found = self.tasks.find(header.itt);
        let Some((task, Ok((scsi, task_conn, _, lun)))) = found.map(|t| (t, self.tasks.scsi_mut(t))) else {
            // Payload for a task that was aborted may still be on its way: discarded without a word (RFC 7143
            // section 10.7).
            return Ok(());
        };
        let known = task_conn == conn && scsi.incoming.is_open(header.ttt);
        // The LUN stands in a Data-Out only beside a tag of ours (RFC 7143 section 11.7.4).
        let right_lun = header.ttt.is_reserved() || header.lun == lun;
        if !known || !right_lun {
            if scsi.aborted {
                return Ok(());
            }
            if task_conn == conn {
                scsi.incoming.fail(DataFault::Unexpected);
            }
            self.reject(conn, RejectReason::InvalidPduField, &pdu.bhs);
            self.advance_collection(task);
            return Ok(());
        }
        let len = pdu.bhs.data_segment_len();
        let data = (pdu.digest != SegmentDigest::Bad).then(|| core::mem::take(&mut pdu.data));
        // What is wrong with the payload ends the task once the initiator has sent all of it.
        let _ = scsi.incoming.receive(&header, data, len, in_order);
        self.counters.bytes_out += u64::from(len);
        self.advance_collection(task);
        Ok(())
    }

    /// Nothing is ever sent again here (error recovery level 0). A task that misses data cannot succeed then
    /// (RFC 7143 section 7.8).
    pub(super) fn on_snack(&mut self, conn: ConnId, bhs: &Bhs) -> Result<(), FrameError> {
        let snack = SnackRequest::parse(bhs)?;
        let reason = match snack.kind {
            SnackKind::Unknown(_) => RejectReason::ProtocolError,
            _ => RejectReason::SnackReject,
        };
        self.reject(conn, reason, bhs);
        if !matches!(snack.kind, SnackKind::DataOrR2t | SnackKind::RData) {
            return Ok(());
        }
        if let Some(task) = self.tasks.find(snack.itt) {
            if let Ok((scsi, ..)) = self.tasks.scsi_mut(task) {
                scsi.incoming.fail(DataFault::SnackRejected);
            }
            self.advance_collection(task);
        }
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
            Phase::Early | Phase::Queued | Phase::WithCaller => {}
        }
    }

    /// The payload is unusable: the caller is told to forget the task, the initiator gets the status that
    /// RFC 7143 section 11.4.7.2 lists.
    fn fail_collection(&mut self, task: TaskId) {
        let Ok((scsi, ..)) = self.tasks.scsi_mut(task) else { return };
        let response = fault_response(scsi.incoming.fault().unwrap_or(DataFault::Unexpected));
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
            if waits_its_turn || (self.solicited > 0 && self.solicited.saturating_add(amount) > limit) {
                if !self.solicit.contains(&task) {
                    self.solicit.push_back(task);
                }
                return;
            }
            scsi.charged = amount;
            self.solicited = self.solicited.saturating_add(amount);
        }
        self.send_r2ts(task);
    }

    fn send_r2ts(&mut self, task: TaskId) {
        let (max_burst, max_r2t) = (self.parameters.max_burst, self.parameters.max_outstanding_r2t);
        loop {
            let ttt = self.new_ttt();
            let Ok((scsi, conn, itt, lun)) = self.tasks.scsi_mut(task) else { return };
            let Some(request) = scsi.incoming.request(ttt, max_burst, max_r2t) else { return };
            let r2t_sn = R2tSn(scsi.next_sn);
            scsi.next_sn = scsi.next_sn.wrapping_add(1);
            let bhs = R2t {
                lun,
                itt,
                ttt: request.ttt,
                stat_sn: LATER,
                exp_cmd_sn: CmdSn(0),
                max_cmd_sn: CmdSn(0),
                r2t_sn,
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
        self.solicited = self.solicited.saturating_sub(charged);
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
        match self.tasks.scsi_mut(task) {
            Ok((scsi, ..)) if scsi.aborted && scsi.phase == Phase::Dropped => scsi.incoming.silence(),
            _ => return,
        }
        self.end_if_over(task);
    }

    /// Takes a SCSI task out of the books.
    #[inline]
    pub(super) fn end_scsi(&mut self, id: TaskId) {
        let Some((place, scsi)) = self.tasks.remove_scsi(id) else { return };
        self.leave(place);
        if scsi.handed_out {
            self.promised_in -= u64::from(scsi.expected_in);
        }
        let charged = scsi.charged;
        self.tasks.recycle(scsi);
        if !self.solicit.is_empty() {
            self.solicit.retain(|t| *t != id);
        }
        if charged > 0 {
            self.release_charge(charged);
        }
        self.task_ended(id);
    }

    /// Makes room for another request: one that had `place` has ended.
    #[inline]
    pub(super) fn leave(&mut self, place: Place) {
        match place {
            Place::Window => self.window.open(),
            Place::Immediate => self.immediate_commands -= 1,
            Place::ImmediateManagement => self.immediate_management -= 1,
            Place::None => {}
        }
    }

    /// Marks a SCSI task as aborted and tells the caller, where it has to know.
    pub(super) fn abort_task(&mut self, id: TaskId) {
        let Some(Task { body: Body::Scsi(scsi), cmd_sn, place, .. }) = self.tasks.get_mut(id) else { return };
        if scsi.aborted {
            return;
        }
        scsi.aborted = true;
        scsi.outgoing.pending = DataList::new();
        scsi.incoming.discard();
        match scsi.phase {
            Phase::Early => {
                // Its number counts as received, and makes room when its turn comes.
                scsi.phase = Phase::Dropped;
                *place = Place::None;
                self.window.void(*cmd_sn);
            }
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
    }
}

/// A SCSI Command as it arrived.
#[derive(Debug)]
pub(super) struct NewCommand {
    pub(super) pdu: ScsiCommand,
    additional: Option<Box<Additional>>,
    data: Bytes,
}

impl NewCommand {
    /// Takes the data of the PDU along, unless there is an error.
    pub(super) fn parse(pdu: &mut Pdu) -> Result<Self, FrameError> {
        let command = ScsiCommand::parse(&pdu.bhs)?;
        let mut additional = None;
        if !pdu.ahs.is_empty() {
            let headers = Additional::parse(&pdu.ahs)?;
            if command.read && command.write && headers.bidi_read.is_none() {
                return Err(FrameError::MalformedAhs("a bidirectional command without its read length"));
            }
            additional = Some(Box::new(headers));
        }
        Ok(NewCommand { pdu: command, additional, data: core::mem::take(&mut pdu.data) })
    }

    /// Whether a field has a code that is reserved: a protocol error (RFC 7143 section 11).
    pub(super) fn has_reserved_code(&self) -> bool {
        self.additional.as_ref().is_some_and(|headers| headers.unknown)
            || matches!(self.pdu.attribute, TaskAttribute::Unknown(_))
    }
}

/// What additional header segments carry.
#[derive(Debug, Default)]
struct Additional {
    /// The bytes of the CDB from the 17th on.
    extended: Bytes,
    bidi_read: Option<u32>,
    /// Whether there is a header of a kind that RFC 7143 reserves.
    unknown: bool,
}

impl Additional {
    fn parse(ahs: &[u8]) -> Result<Self, FrameError> {
        let mut all = Additional::default();
        for header in additional_headers(ahs) {
            match header? {
                AdditionalHeader::ExtendedCdb(rest) => all.extended = Bytes::copy_from_slice(rest),
                AdditionalHeader::BidiReadLen(len) => all.bidi_read = Some(len),
                AdditionalHeader::Unknown { .. } => all.unknown = true,
            }
        }
        if all.extended.len() > MAX_CDB_LEN - 16 {
            return Err(FrameError::MalformedAhs("an extended CDB of more than 260 bytes"));
        }
        Ok(all)
    }
}
