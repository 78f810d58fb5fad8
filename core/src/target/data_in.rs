//! Payload to the initiator, and the status that ends a command. RFC 7143 sections 11.4 and 11.7.

use bytes::{BufMut, Bytes, BytesMut};

use crate::DataList;
use crate::link::TaskId;
use crate::scsi::Status;
use crate::wire::{CmdSn, DataIn, DataSn, Residual, ScsiResponse, Ttt};

use super::output::Numbering;
use super::task::{Completion, Phase, Scsi};
use super::{LATER, NO_LUN, Target, bytes_of};

impl Target {
    /// Cuts payload into PDUs. The last one is held back: the status may travel in it.
    pub(super) fn queue_data_in(&mut self, task: TaskId, data: DataList) {
        let max_burst = self.parameters.max_burst;
        let Ok((scsi, conn, itt, _)) = self.tasks.scsi_mut(task) else { return };
        let Some(conn) = self.conns.iter_mut().find(|c| c.id == conn) else { return };
        let out = &mut scsi.outgoing;
        out.offered += data.len() as u64;
        let room = (scsi.expected_in - out.sent) as usize;
        let total = data.len().min(room);
        let mut at = 0;
        while at < total {
            let burst_room = (max_burst - out.burst) as usize;
            let len = (total - at).min(conn.peer_max_segment as usize).min(burst_room);
            if let Some((last, payload)) = out.last.take() {
                conn.output.push(last.emit(), payload, Numbering::Blank);
            }
            let piece = if at == 0 && len == data.len() { data.clone() } else { data.slice(at, len) };
            out.burst += len as u32;
            let ends_sequence = out.burst == max_burst;
            let pdu = DataIn {
                final_: ends_sequence,
                acknowledge: false,
                status: None,
                residual: Residual::None,
                lun: NO_LUN,
                itt,
                ttt: Ttt::RESERVED,
                stat_sn: LATER,
                exp_cmd_sn: CmdSn(0),
                max_cmd_sn: CmdSn(0),
                data_sn: out.data_sn,
                offset: out.sent,
            };
            if ends_sequence {
                out.burst = 0;
            }
            out.data_sn = out.data_sn.next();
            out.sent += len as u32;
            out.last = Some((pdu, piece));
            at += len;
        }
        self.counters.bytes_in += total as u64;
    }

    /// Answers a command that the caller has ended, unless the initiator is still sending payload for it: its tag
    /// must not become free before that (RFC 7143 section 11.17.1).
    pub(super) fn finish_if_quiet(&mut self, task: TaskId) {
        let Ok((scsi, conn, itt, _)) = self.tasks.scsi_mut(task) else { return };
        if scsi.phase != Phase::Finished || !scsi.incoming.is_quiet() {
            return;
        }
        let Some(completion) = scsi.completion.take() else { return };
        let residual = residual(scsi, &completion);
        let last = scsi.outgoing.last.take();
        let exp_data_sn = scsi.outgoing.data_sn;
        let r2ts = scsi.incoming.r2t_count();
        let bidirectional = scsi.expected_in > 0 && scsi.expected_out > 0;
        let Completion { response, .. } = completion;
        if let Some(conn) = self.conns.iter_mut().find(|c| c.id == conn) {
            let collapse = response.status == Status::GOOD && !bidirectional;
            match last {
                Some((mut pdu, payload)) if collapse => {
                    pdu.final_ = true;
                    pdu.status = Some(response.status.0);
                    pdu.residual = residual;
                    conn.output.push(pdu.emit(), payload, Numbering::Advance);
                }
                last => {
                    if let Some((mut pdu, payload)) = last {
                        pdu.final_ = true;
                        conn.output.push(pdu.emit(), payload, Numbering::Blank);
                    }
                    let pdu = ScsiResponse {
                        response: 0,
                        status: response.status.0,
                        residual,
                        bidi_read_residual: Residual::None,
                        itt,
                        snack_tag: 0,
                        stat_sn: LATER,
                        exp_cmd_sn: CmdSn(0),
                        max_cmd_sn: CmdSn(0),
                        exp_data_sn: DataSn(exp_data_sn.0.wrapping_add(r2ts.0)),
                        status_qualifier: 0,
                    };
                    conn.output.push(pdu.emit(), sense_segment(&response.sense), Numbering::Advance);
                }
            }
        }
        self.end_scsi(task);
        self.settle();
    }
}

/// What the initiator expected against what the command would have moved, RFC 7143 section 11.4.5.2.
fn residual(scsi: &Scsi, completion: &Completion) -> Residual {
    let expected = if scsi.expected_in > 0 { scsi.expected_in } else { scsi.expected_out };
    let moved = u64::from(completion.transfer_len).max(scsi.outgoing.offered);
    let moved = u32::try_from(moved).unwrap_or(u32::MAX);
    match moved.cmp(&expected) {
        core::cmp::Ordering::Less => Residual::Underflow(expected - moved),
        core::cmp::Ordering::Equal => Residual::None,
        core::cmp::Ordering::Greater => Residual::Overflow(moved - expected),
    }
}

/// Sense data as a data segment: its length, then itself (RFC 7143 section 11.4.7).
fn sense_segment(sense: &Option<Bytes>) -> DataList {
    let Some(sense) = sense else { return DataList::new() };
    let mut data = BytesMut::with_capacity(2 + sense.len());
    data.put_u16(sense.len() as u16);
    data.put_slice(sense);
    bytes_of(data.freeze())
}
