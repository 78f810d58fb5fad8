//! REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, SPC-4 clauses 6.35 and 6.36.

use super::table::{self, Row};
use super::{Reply, Request, Step, View};
use crate::scsi::{FieldPointer, Sense};

impl View {
    /// REPORT SUPPORTED OPERATION CODES.
    pub(super) fn report_opcodes(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let cdb = request.cdb;
        let timeouts = cdb.byte(2) & 0x80 != 0;
        let (opcode, action) = (cdb.byte(3), cdb.u16_at(4));
        let has_actions = table::rows(opcode).iter().any(|row| row.service_action.is_some());
        let refuse = |byte| Err(Sense::invalid_field_in_cdb(FieldPointer::cdb(byte)));
        let data = match cdb.byte(2) & 0x07 {
            0 => self.all_commands(timeouts),
            1 if has_actions => return refuse(3),
            1 => one_command(self.find_row(opcode, 0), timeouts),
            2 if !has_actions && !table::rows(opcode).is_empty() => return refuse(3),
            2 | 3 => one_command(self.find_row(opcode, action), timeouts),
            _ => return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(2, 2))),
        };
        Ok(Step::Done(Reply::parameters(data, cdb.u32_at(6), request.data_in)))
    }

    /// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS: the basic form, or with REPD the extended one without timeouts.
    pub(super) fn report_task_functions(&self, request: &Request<'_>) -> Result<Step, Sense> {
        let allocation = request.cdb.u32_at(6);
        // SPC-4 clause 6.36.1: less than the basic form is no room at all.
        if allocation < 4 {
            return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb(6)));
        }
        let mut data = self.config().task_functions.bits().to_vec();
        data.extend([0, 0]);
        if request.cdb.byte(2) & 0x80 != 0 {
            data.resize(16, 0);
            data[3] = 12;
        }
        Ok(Step::Done(Reply::parameters(data, allocation, request.data_in)))
    }

    /// The row for an operation code and, where it has them, a service action; `action` is zero where it has none.
    fn find_row(&self, opcode: u8, action: u16) -> Option<&'static Row> {
        let provisioning = self.config().provisioning;
        table::rows(opcode)
            .iter()
            .find(|row| row.is_on(provisioning) && u16::from(row.service_action.unwrap_or(0)) == action)
    }

    fn all_commands(&self, timeouts: bool) -> Vec<u8> {
        let mut out = vec![0; 4];
        for row in table::all().iter().filter(|row| row.is_on(self.config().provisioning)) {
            let flags = u8::from(timeouts) << 1 | u8::from(row.service_action.is_some());
            let [high, low] = cdb_length(row);
            out.extend([row.opcode, 0, 0, row.service_action.unwrap_or(0), 0, flags, high, low]);
            if timeouts {
                out.extend(timeouts_descriptor(row));
            }
        }
        // A table of at most 256 rows of 20 bytes.
        let len = (out.len() - 4) as u32;
        out[..4].copy_from_slice(&len.to_be_bytes());
        out
    }
}

fn one_command(row: Option<&Row>, timeouts: bool) -> Vec<u8> {
    let Some(row) = row else {
        return vec![0, 0x01, 0, 0]; // SUPPORT 001b: not supported
    };
    let [high, low] = cdb_length(row);
    let mut out = vec![0, u8::from(timeouts) << 7 | 0x03, high, low]; // SUPPORT 011b: as the standard says
    out.extend(row.usage);
    if timeouts {
        out.extend(timeouts_descriptor(row));
    }
    out
}

fn cdb_length(row: &Row) -> [u8; 2] {
    (row.usage.len() as u16).to_be_bytes()
}

/// The command timeouts descriptor: no nominal time, and when an initiator should give up.
fn timeouts_descriptor(row: &Row) -> [u8; 12] {
    let mut out = [0; 12];
    out[1] = 10;
    out[8..].copy_from_slice(&row.timeout.to_be_bytes());
    out
}
