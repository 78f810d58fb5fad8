//! Payload to the initiator, and the status that ends a command. RFC 7143 sections 11.4 and 11.7.

use bytes::{BufMut, Bytes, BytesMut};

use crate::link::TaskId;
use crate::scsi::{AdditionalSense, Response, Sense, SenseFormat, SenseKey, Status};
use crate::wire::{CmdSn, DataIn, DataSn, Itt, Residual, ScsiResponse, Ttt};
use crate::{DataList, Misuse};

use super::connection::Conn;
use super::data_out::DataFault;
use super::output::Numbering;
use super::task::{Completion, Phase, Scsi};
use super::{LATER, NO_LUN, Target, bytes_of};

impl Target {
    /// Cuts payload into PDUs. What does not fill one waits for more, or for the status.
    #[inline]
    pub(super) fn queue_data_in(&mut self, task: TaskId, mut data: DataList) -> Result<(), Misuse> {
        let max_burst = self.parameters.max_burst;
        let (scsi, conn, itt, _) = self.tasks.scsi_mut(task)?;
        if scsi.aborted {
            return Ok(());
        }
        if !scsi.is_with_caller() {
            return Err(Misuse::WrongState("send_data: the task is not the caller's at the moment"));
        }
        let Some(conn) = self.conns.iter_mut().find(|c| c.id == conn) else { return Ok(()) };
        let out = &mut scsi.outgoing;
        out.offered += data.len() as u64;
        data.truncate((scsi.expected_in - out.sent) as usize - out.pending.len());
        self.counters.bytes_in += data.len() as u64;
        out.pending.append(data);
        send_full_pdus(scsi, conn, itt, max_burst);
        Ok(())
    }

    /// Answers a command with one PDU, of payload and GOOD, and ends it: what nearly every read comes to. Gives the
    /// payload back where it takes more than that.
    #[inline]
    pub(super) fn send_alone(
        &mut self,
        task: TaskId,
        data: DataList,
        transfer_len: u32,
    ) -> Result<(), DataList> {
        let max_burst = self.parameters.max_burst;
        let Ok((scsi, conn, itt, _)) = self.tasks.scsi_mut(task) else { return Err(data) };
        let Some(conn) = self.conns.iter_mut().find(|c| c.id == conn) else { return Err(data) };
        let most = scsi.expected_in.min(conn.peer_max_segment & !3).min(max_burst);
        let simple = scsi.is_with_caller() && !scsi.aborted && !scsi.bidirectional;
        let untouched =
            scsi.outgoing.offered == 0 && scsi.incoming.is_quiet() && scsi.incoming.fault().is_none();
        if !simple || !untouched || data.len() > most as usize {
            return Err(data);
        }
        self.counters.bytes_in += data.len() as u64;
        scsi.outgoing.offered = data.len() as u64;
        let mut pdu = next_data_in(scsi, itt, data.len());
        pdu.final_ = true;
        pdu.status = Some(Status::GOOD.0);
        pdu.residual = residuals(scsi, transfer_len).0;
        conn.output.push(pdu.emit(), data, Numbering::Advance);
        self.end_scsi(task);
        self.settle();
        Ok(())
    }

    /// Answers a command that the caller has ended, unless the initiator is still sending payload for it: its tag
    /// must not become free before that (RFC 7143 section 11.17.1).
    pub(super) fn finish_if_quiet(&mut self, task: TaskId) {
        let Ok((scsi, ..)) = self.tasks.scsi_mut(task) else { return };
        if scsi.phase != Phase::Finished || !scsi.incoming.is_quiet() {
            return;
        }
        if let Some(completion) = scsi.completion.take() {
            self.respond(task, completion);
        }
    }

    /// Sends what is left of the payload, and the status, and ends the task.
    #[inline]
    pub(super) fn respond(&mut self, task: TaskId, completion: Completion) {
        let max_burst = self.parameters.max_burst;
        let Ok((scsi, conn, itt, _)) = self.tasks.scsi_mut(task) else { return };
        let (residual, bidi_read_residual) = residuals(scsi, completion.transfer_len);
        let mut response = completion.response;
        if let (Some(fault), Status::GOOD) = (scsi.incoming.fault(), response.status) {
            // What the initiator did wrong is told even where its payload was not needed.
            response = fault_response(fault);
        }
        if let Some(conn) = self.conns.iter_mut().find(|c| c.id == conn) {
            // The initiator may have declared a smaller segment since.
            send_full_pdus(scsi, conn, itt, max_burst);
            let payload = core::mem::take(&mut scsi.outgoing.pending);
            let with_status = response.status == Status::GOOD && !scsi.bidirectional;
            if !payload.is_empty() {
                let mut pdu = next_data_in(scsi, itt, payload.len());
                pdu.final_ = true;
                if with_status {
                    pdu.status = Some(response.status.0);
                    pdu.residual = residual;
                }
                let numbering = if with_status { Numbering::Advance } else { Numbering::Blank };
                conn.output.push(pdu.emit(), payload, numbering);
                if with_status {
                    self.end_scsi(task);
                    return self.settle();
                }
            }
            let pdu = ScsiResponse {
                response: ScsiResponse::COMPLETED,
                status: response.status.0,
                residual,
                bidi_read_residual,
                itt,
                snack_tag: 0,
                stat_sn: LATER,
                exp_cmd_sn: CmdSn(0),
                max_cmd_sn: CmdSn(0),
                // R2Ts count only beside Data-In (RFC 7143 section 11.4.8).
                exp_data_sn: DataSn(if scsi.outgoing.sent > 0 { scsi.next_sn } else { 0 }),
                status_qualifier: 0,
            };
            conn.output.push(pdu.emit(), sense_segment(&response.sense), Numbering::Advance);
        }
        self.end_scsi(task);
        self.settle();
    }
}

/// Sends what fills PDUs, and keeps the rest, so that the last PDU is never sent without need.
#[inline]
fn send_full_pdus(scsi: &mut Scsi, conn: &mut Conn, itt: Itt, max_burst: u32) {
    // Whole words, as RFC 7143 section 11.7.7 wants them where the F bit is clear.
    let segment = conn.peer_max_segment & !3;
    loop {
        let room = max_burst - scsi.outgoing.burst;
        let len = segment.min(room) as usize;
        if scsi.outgoing.pending.len() <= len {
            return;
        }
        let payload = scsi.outgoing.pending.split_to(len);
        let mut pdu = next_data_in(scsi, itt, len);
        if scsi.outgoing.burst == max_burst {
            pdu.final_ = true;
            scsi.outgoing.burst = 0;
        }
        conn.output.push(pdu.emit(), payload, Numbering::Blank);
    }
}

/// The next PDU of `len` bytes, in the middle of its sequence.
#[inline]
fn next_data_in(scsi: &mut Scsi, itt: Itt, len: usize) -> DataIn {
    let pdu = DataIn {
        final_: false,
        acknowledge: false,
        status: None,
        residual: Residual::None,
        lun: NO_LUN,
        itt,
        ttt: Ttt::RESERVED,
        stat_sn: LATER,
        exp_cmd_sn: CmdSn(0),
        max_cmd_sn: CmdSn(0),
        data_sn: DataSn(scsi.next_sn),
        offset: scsi.outgoing.sent,
    };
    scsi.next_sn = scsi.next_sn.wrapping_add(1);
    scsi.outgoing.sent += len as u32;
    scsi.outgoing.burst += len as u32;
    pdu
}

/// The status that RFC 7143 section 11.4.7.2 lists for what went wrong.
pub(super) fn fault_response(fault: DataFault) -> Response {
    let (code, qualifier) = match fault {
        DataFault::Crc => (0x47, 0x05),
        DataFault::Unexpected => (0x0c, 0x0c),
        DataFault::IncorrectAmount => (0x0c, 0x0d),
        DataFault::SnackRejected => (0x11, 0x13),
    };
    let sense = Sense::new(SenseKey::AbortedCommand, AdditionalSense { code, qualifier });
    Response::check_condition(&sense, SenseFormat::Fixed)
}

/// What the initiator expected against what the command would have moved, RFC 7143 section 11.4.5.2: of the command
/// or of its write part, and of the read part of a bidirectional one.
fn residuals(scsi: &Scsi, transfer_len: u32) -> (Residual, Residual) {
    let (moved, offered) = (u64::from(transfer_len), scsi.outgoing.offered);
    if scsi.bidirectional {
        return (Residual::between(moved, scsi.expected_out), Residual::between(offered, scsi.expected_in));
    }
    let expected = scsi.expected_in.max(scsi.expected_out);
    (Residual::between(moved.max(offered), expected), Residual::None)
}

/// Sense data as a data segment: its length, then itself (RFC 7143 section 11.4.7).
fn sense_segment(sense: &Option<Bytes>) -> DataList {
    let Some(sense) = sense else { return DataList::new() };
    let mut data = BytesMut::with_capacity(2 + sense.len());
    data.put_u16(sense.len() as u16);
    data.put_slice(sense);
    bytes_of(data.freeze())
}
