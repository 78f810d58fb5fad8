//! What C is shown of a command.

use core::ptr::null;

use bytes::Bytes;
use iscsicore::disk::Reply;

use crate::op::{ShownOp, iscsicore_op};
use crate::payload::{Shown, iscsicore_iovec};

/// What is to be done next for a command.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_step_kind {
    /// The command has ended: deliver `reply`, then free it. The data of the reply may be lent on, to
    /// iscsicore_target_complete_with, say, with a `release` that frees the command: then nothing is copied.
    Done = 1,
    /// The command has `need` bytes of data: fetch as many of them as the initiator sends, then call
    /// iscsicore_unit_resume_data.
    NeedData = 2,
    /// Carry out `op` on the storage, then call iscsicore_unit_resume, or iscsicore_unit_resume_read after a read that
    /// succeeded, or iscsicore_unit_resume_extents after extents were told.
    Io = 3,
}

/// How a command ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_reply {
    /// The SCSI status.
    pub status: u8,
    /// Bytes that the command moved, or would have: what iscsicore_target_complete takes.
    pub transfer_len: u32,
    /// Sense data, with CHECK CONDITION; else NULL.
    pub sense: *const u8,
    /// How many bytes of it.
    pub sense_len: usize,
    /// Data for the initiator: `data_count` slices; NULL when there is none.
    pub data: *const iscsicore_iovec,
    /// How many slices.
    pub data_count: usize,
    /// How many bytes in all.
    pub data_len: usize,
}

/// What is to be done next for a command.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_step {
    /// What.
    pub kind: iscsicore_step_kind,
    /// With ISCSICORE_STEP_KIND_NEED_DATA the number of bytes that the CDB asks for, which may be more or less than the
    /// initiator is ready to send; else 0.
    pub need: u32,
    /// With ISCSICORE_STEP_KIND_IO the operation; else NULL.
    pub op: *const iscsicore_op,
    /// With ISCSICORE_STEP_KIND_DONE the reply; else NULL.
    pub reply: *const iscsicore_reply,
}

// SAFETY: what the pointers name is in the box of the same command.
unsafe impl Send for iscsicore_step {}

/// A reply as C is shown it, and what keeps its memory alive.
#[derive(Debug)]
pub(super) struct ShownReply {
    reply: iscsicore_reply,
    _sense: Option<Bytes>,
    _data: Shown,
}

// SAFETY: the pointers are into the other fields.
unsafe impl Send for ShownReply {}

impl ShownReply {
    fn new(reply: Reply) -> Self {
        let data_len = reply.data.len();
        let data = Shown::new(reply.data);
        let sense = reply.response.sense;
        let bytes = sense.as_deref().filter(|sense| !sense.is_empty());
        ShownReply {
            reply: iscsicore_reply {
                status: reply.response.status.0,
                transfer_len: reply.transfer_len,
                sense: bytes.map_or(null(), <[u8]>::as_ptr),
                sense_len: bytes.map_or(0, <[u8]>::len),
                data: data.as_ptr(),
                data_count: data.count(),
                data_len,
            },
            _sense: sense,
            _data: data,
        }
    }
}

/// What a command wants, and the memory of it.
pub(super) enum Wanted {
    Nothing,
    Data,
    Io(Box<ShownOp>),
    Done(Box<ShownReply>),
}

impl Wanted {
    pub(super) fn io(op: iscsicore::disk::Op) -> Self {
        Wanted::Io(Box::new(ShownOp::new(op)))
    }

    pub(super) fn done(reply: Reply) -> Self {
        Wanted::Done(Box::new(ShownReply::new(reply)))
    }

    /// As C is shown it; `None` when there is nothing any more.
    pub(super) fn step(&self, need: u32) -> Option<iscsicore_step> {
        use iscsicore_step_kind as K;
        let step = |kind, op, reply| Some(iscsicore_step { kind, need, op, reply });
        match self {
            Wanted::Nothing => None,
            Wanted::Data => step(K::NeedData, null(), null()),
            Wanted::Io(shown) => step(K::Io, &raw const shown.op, null()),
            Wanted::Done(shown) => step(K::Done, null(), &raw const shown.reply),
        }
    }
}
