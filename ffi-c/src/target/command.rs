//! SCSI commands of a session.

use bytes::Bytes;
use iscsicore::link::TaskId;
use iscsicore::scsi::{Response, Status};
use iscsicore::target::Notice;
use iscsicore::wire::Lun;

use super::iscsicore_target;
use crate::boundary::guard;
use crate::handle::lock;
use crate::payload::{self, iscsicore_payload};
use crate::pointer::slice;
use crate::status::{Failure, iscsicore_status};

/// The most sense data that a command can have (SPC-4 clause 4.5).
const MAX_SENSE: usize = 252;

/// Asks for the payload of a command: its first `len` bytes, or fewer when the initiator has fewer. `len` is what the CDB
/// asks for. ISCSICORE_TARGET_EVENT_KIND_DATA brings it, unless the command is aborted first.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when the command has ended; ISCSICORE_STATUS_WRONG_STATE when it was asked already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_accept(
    target: *mut iscsicore_target,
    task: u64,
    len: u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut state = unsafe { lock(target) }?;
        Ok(state.session()?.target.accept(TaskId::from_bits(task), len)?)
    })
}

/// Sends payload to the initiator. What was sent in several calls arrives in the order of the calls; what is more than the
/// initiator takes is counted and not sent. The last of it is better handed to iscsicore_target_complete_with.
///
/// Ownership: lent payload is given back when it was written to the connection, or the command was aborted.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when the command has ended; ISCSICORE_STATUS_WRONG_STATE while its own payload is waited
/// for. Nothing was lent, then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_send_data(
    target: *mut iscsicore_target,
    task: u64,
    data: *const iscsicore_payload,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, payload) = unsafe { (lock(target)?, payload::read(data)?) };
        state.session()?.target.send_data(TaskId::from_bits(task), payload.data())?;
        payload.keep();
        Ok(())
    })
}

/// Ends a command. `status` is the SCSI status, and `sense` the sense data: with CHECK CONDITION (0x02), and only with that.
/// `transfer_len` is the number of bytes that the command would have moved had the initiator's expectation been right, which
/// tells the initiator the residual count: 0 for a command that failed before it moved any. Of a bidirectional command it
/// counts what was received.
///
/// Where the initiator broke the rules for the payload of the command, GOOD becomes CHECK CONDITION (RFC 7143 section
/// 11.4.7.2). What a command that was aborted is ended with is dropped.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when the command has ended; ISCSICORE_STATUS_INVALID_ARGUMENT when sense data is
/// missing, or there where it cannot be, or has more than 252 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_complete(
    target: *mut iscsicore_target,
    task: u64,
    status: u8,
    sense: *const u8,
    sense_len: usize,
    transfer_len: u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, response) = unsafe { (lock(target)?, response(status, sense, sense_len)?) };
        Ok(state.session()?.target.complete(TaskId::from_bits(task), response, transfer_len)?)
    })
}

/// Sends the last payload of a command, as iscsicore_target_send_data does, and ends it, as iscsicore_target_complete does.
/// Payload that fits one PDU takes the status along. `data` may be NULL.
///
/// Errors: those of both functions. Nothing was lent, then, and the command has not ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_complete_with(
    target: *mut iscsicore_target,
    task: u64,
    data: *const iscsicore_payload,
    status: u8,
    sense: *const u8,
    sense_len: usize,
    transfer_len: u32,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, payload, response) =
            unsafe { (lock(target)?, payload::read(data)?, response(status, sense, sense_len)?) };
        let task = TaskId::from_bits(task);
        // Once the data is taken the command is the caller's, and the response is sound: nothing can fail half done.
        state.session()?.target.complete_with(task, payload.data(), response, transfer_len)?;
        payload.keep();
        Ok(())
    })
}

/// Sends sense data about a logical unit that no command asked for: an Asynchronous Message of event 0 (RFC 7143 section
/// 11.9). Discovery sessions are not told.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE during the login; ISCSICORE_STATUS_INVALID_ARGUMENT for no sense data, or more than
/// 252 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_target_notify_sense(
    target: *mut iscsicore_target,
    lun: u64,
    sense: *const u8,
    sense_len: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut state, sense) = unsafe { (lock(target)?, sense_data(sense, sense_len)?) };
        let Some(sense) = sense else { return Err(Failure::invalid("there is no sense data to tell")) };
        state.session()?.target.notify(&Notice::Scsi { lun: Lun(lun), sense });
        Ok(())
    })
}

/// # Safety
/// `sense` is NULL or has `len` bytes.
unsafe fn response(status: u8, sense: *const u8, len: usize) -> Result<Response, Failure> {
    // SAFETY: the caller's promise.
    let response = Response { status: Status(status), sense: unsafe { sense_data(sense, len) }? };
    match (response.status == Status::CHECK_CONDITION, response.sense.is_some()) {
        (true, false) => Err(Failure::invalid("CHECK CONDITION without sense data")),
        (false, true) => Err(Failure::invalid(format!("sense data with status {}", response.status))),
        _ => Ok(response),
    }
}

/// # Safety
/// As for [`response`].
unsafe fn sense_data(sense: *const u8, len: usize) -> Result<Option<Bytes>, Failure> {
    if len > MAX_SENSE {
        return Err(Failure::invalid(format!("sense data of {len} bytes; it can have up to {MAX_SENSE}")));
    }
    // SAFETY: the caller's promise.
    let sense = unsafe { slice(sense, len, "sense") }?;
    Ok((!sense.is_empty()).then(|| Bytes::copy_from_slice(sense)))
}
