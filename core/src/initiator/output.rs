//! What leaves: requests, commands in the order of CmdSN as far as the target's window is open, payload.

use bytes::Bytes;

use crate::DataList;
use crate::link::{TaskId, Transmitter};
use crate::session::ConnId;
use crate::wire::{AdditionalHeader, DataSn, Lun, ScsiCommand, Ttt};

use super::Initiator;
use super::data_out::Sequence;
use super::task::{Phase, tag};

/// Bytes in the transmitter above which nothing is added: more would only wait there, and could not be held back
/// any more when a command is aborted.
const ENOUGH: usize = 512 * 1024;

impl Initiator {
    pub(super) fn transmit_on(&mut self, id: ConnId, tx: &mut Transmitter) {
        let Some(conn) = self.conn.as_mut().filter(|conn| conn.id == id) else { return };
        if let Some((header, data)) = conn.transmitter_setup.take() {
            tx.set_digests(header, data);
        }
        while tx.queued() < ENOUGH && (self.send_urgent(tx) || self.send_command(tx) || self.send_data(tx)) {}
    }

    fn send_urgent(&mut self, tx: &mut Transmitter) -> bool {
        let Some(conn) = &mut self.conn else { return false };
        let Some((mut bhs, data)) = conn.urgent.pop_front() else { return false };
        // All of them are immediate: they carry the next CmdSN and do not use it up.
        bhs.put_request_sns(self.cmd_sn, conn.exp_stat_sn);
        tx.push(bhs, data);
        true
    }

    /// Room in the target's command window.
    pub(super) fn credit(&self) -> u32 {
        match &self.conn {
            Some(_) => (self.max_cmd_sn.distance_from(self.cmd_sn).saturating_add(1)).max(0) as u32,
            None => 0,
        }
    }

    /// Sends the first command that waits; whether there was one and it may leave.
    fn send_command(&mut self, tx: &mut Transmitter) -> bool {
        let Some(id) = self.waiting.front().copied() else { return false };
        if self.credit() == 0
            || self.tasks.is_resetting()
            || self.conn.as_ref().is_none_or(|c| c.logout_by.is_some() || c.logout_sent)
        {
            return false;
        }
        self.waiting.pop_front();
        self.emit_command(id, tx);
        true
    }

    fn emit_command(&mut self, id: TaskId, tx: &mut Transmitter) {
        let Some((conn, login)) = self.conn.as_mut().zip(self.login.as_ref()) else { return };
        let Some(scsi) = self.tasks.scsi_mut(id).filter(|s| s.phase == Phase::Waiting) else { return };
        let parameters = &login.parameters;
        let total = scsi.command.data_out.len() as u32;
        let first_burst = total.min(parameters.first_burst);
        let immediate = match parameters.immediate_data {
            true => first_burst.min(conn.peer_max_segment),
            false => 0,
        };
        let unsolicited = if parameters.initial_r2t { immediate } else { first_burst };
        scsi.phase = Phase::Sent;
        scsi.cmd_sn = self.cmd_sn;
        scsi.covers = self.durability.covers(scsi.command.lun);
        scsi.outgoing.begin(immediate, unsolicited);
        self.cmd_sn = self.cmd_sn.next();
        let command = &scsi.command;
        let header = ScsiCommand {
            immediate: false,
            final_: unsolicited == immediate,
            read: command.data_in > 0,
            write: total > 0,
            attribute: command.attribute,
            // RFC 7144 section 5.1.1.
            priority: if parameters.protocol_level < 2 { 0 } else { command.priority },
            lun: command.lun,
            itt: tag(id),
            expected_len: if total > 0 { total } else { command.data_in },
            cmd_sn: scsi.cmd_sn,
            exp_stat_sn: conn.exp_stat_sn,
            cdb: *command.cdb.first(),
        };
        let bidirectional = total > 0 && command.data_in > 0;
        let ahs = additional(command.cdb.rest(), bidirectional.then_some(command.data_in));
        let data = match immediate {
            0 => DataList::new(),
            len => command.data_out.slice(0, len as usize),
        };
        tx.push_with_ahs(header.emit(), &ahs, data);
        if unsolicited > immediate {
            conn.sequences.push_back(Sequence {
                task: id,
                ttt: Ttt::RESERVED,
                lun: Lun::ZERO,
                next: immediate,
                end: unsolicited,
                data_sn: DataSn(0),
            });
        }
    }
}

fn additional(rest: &Bytes, bidi_read_len: Option<u32>) -> Vec<u8> {
    let mut out = Vec::new();
    if !rest.is_empty() {
        AdditionalHeader::ExtendedCdb(rest).emit(&mut out);
    }
    if let Some(len) = bidi_read_len {
        AdditionalHeader::BidiReadLen(len).emit(&mut out);
    }
    out
}
