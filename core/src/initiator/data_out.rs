//! SCSI Data-Out, RFC 7143 section 11.7, and the R2Ts that ask for it, section 11.8.

use crate::PeerError;
use crate::link::{TaskId, Transmitter};
use crate::wire::{DataOut, DataSn, Lun, R2t, Ttt};

use super::Initiator;
use super::ranges::Ranges;
use super::receive::Fault;
use super::task::{Phase, tag};

/// Payload that a command has yet to send.
#[derive(Debug, Default)]
pub(super) struct DataOutState {
    /// Bytes that left with the command or will leave unasked: where R2Ts begin when sequences come in order.
    unsolicited: u32,
    /// Bytes that R2Ts have asked for.
    solicited: u32,
    /// R2Ts whose data has not left.
    outstanding: u16,
    /// Bytes that have left.
    pub(super) sent: u32,
    /// What R2Ts have asked for, when they come in any order.
    asked: Ranges,
}

impl DataOutState {
    /// The command leaves with `immediate` bytes, and `unsolicited` in all need not be asked for.
    pub(super) fn begin(&mut self, immediate: u32, unsolicited: u32) {
        *self = DataOutState { unsolicited, sent: immediate, ..DataOutState::default() };
    }
}

/// A run of Data-Out PDUs: what is left unasked for, or what one R2T asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    pub(super) task: TaskId,
    pub(super) ttt: Ttt,
    pub(super) lun: Lun,
    pub(super) next: u32,
    pub(super) end: u32,
    pub(super) data_sn: DataSn,
}

impl Initiator {
    pub(super) fn on_r2t(&mut self, r2t: &R2t) -> Result<(), Fault> {
        let task = self.tasks.find(r2t.itt);
        let task = task.ok_or(Fault::protocol("R2T for a task that is not there"))?;
        let parameters = self.login.as_ref().map(|login| &login.parameters);
        let Some((scsi, parameters)) = self.tasks.scsi_mut(task).zip(parameters) else {
            return Err(Fault::protocol("R2T for a task that is no SCSI command"));
        };
        let guilty = |why| Err(Fault::of(task, PeerError::Protocol(why)));
        let total = scsi.command.data_out.len() as u32;
        let (offset, len) = (r2t.offset, r2t.len.get());
        let out = &mut scsi.outgoing;
        if scsi.phase != Phase::Sent {
            return guilty("R2T for a command that was not sent");
        }
        if r2t.r2t_sn.0 != scsi.next_sn {
            return guilty("R2TSN is not the next one");
        }
        if offset.checked_add(len).is_none_or(|end| end > total) {
            return guilty("R2T beyond the end of the payload");
        }
        if len > parameters.max_burst {
            return guilty("R2T for more than MaxBurstLength");
        }
        if out.outstanding >= parameters.max_outstanding_r2t {
            return guilty("more R2Ts at a time than MaxOutstandingR2T");
        }
        if parameters.data_sequence_in_order && offset != out.unsolicited + out.solicited {
            return guilty("R2T at another Buffer Offset than the next");
        }
        if !parameters.data_sequence_in_order {
            let end = offset + len;
            if offset < out.unsolicited || out.asked.overlaps(offset, end) {
                return guilty("R2T for bytes that were sent, or asked for, already");
            }
            if !out.asked.add(offset, end) {
                return guilty("R2Ts in too many pieces out of order");
            }
        }
        out.solicited += len;
        out.outstanding += 1;
        scsi.next_sn = scsi.next_sn.wrapping_add(1);
        let sequence = Sequence {
            task,
            ttt: r2t.ttt,
            lun: r2t.lun,
            next: offset,
            end: offset + len,
            data_sn: DataSn(0),
        };
        if let Some(conn) = &mut self.conn {
            conn.sequences.push_back(sequence);
        }
        Ok(())
    }

    /// Sends the next Data-Out PDU; whether there was one.
    ///
    /// Sequences leave in the order in which they were asked for, each as a whole: unsolicited data so keeps the order
    /// of its commands.
    pub(super) fn send_data(&mut self, tx: &mut Transmitter) -> bool {
        let Some(conn) = &mut self.conn else { return false };
        let Some(sequence) = conn.sequences.front_mut() else { return false };
        let scsi = match self.tasks.scsi_mut(sequence.task) {
            Some(scsi) if scsi.phase == Phase::Sent => scsi,
            _ => {
                // The command has ended since.
                conn.sequences.pop_front();
                return true;
            }
        };
        let len = (sequence.end - sequence.next).min(conn.peer_max_segment);
        let last = sequence.next + len == sequence.end;
        let header = DataOut {
            final_: last,
            lun: sequence.lun,
            itt: tag(sequence.task),
            ttt: sequence.ttt,
            exp_stat_sn: conn.exp_stat_sn,
            data_sn: sequence.data_sn,
            offset: sequence.next,
        };
        let data = scsi.command.data_out.slice(sequence.next as usize, len as usize);
        tx.push(header.emit(), data);
        scsi.outgoing.sent += len;
        sequence.next += len;
        sequence.data_sn = sequence.data_sn.next();
        if last {
            if !sequence.ttt.is_reserved() {
                scsi.outgoing.outstanding -= 1;
            }
            conn.sequences.pop_front();
        }
        true
    }
}
