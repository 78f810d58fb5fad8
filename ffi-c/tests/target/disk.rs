//! A session and a logical unit together, as a program of its own would have them: no payload is copied between the two.

use std::ffi::c_void;

use iscsicore::initiator::commands;
use iscsicore_ffi::op::iscsicore_op_kind as OpKind;
use iscsicore_ffi::payload::{iscsicore_iovec, iscsicore_payload};
use iscsicore_ffi::target::event::iscsicore_target_event_kind as Kind;
use iscsicore_ffi::unit::command::*;
use iscsicore_ffi::unit::resume::*;
use iscsicore_ffi::unit::*;
use iscsicore_ffi::unit_options::iscsicore_unit_options;

use super::*;

const NEXUS: u64 = 1;

/// A disk of 64 KiB.
struct Disk {
    unit: *mut iscsicore_unit,
    blocks: Vec<u8>,
    /// Commands that wait for payload.
    waiting: Vec<(u64, *mut iscsicore_disk_command)>,
}

impl Drop for Disk {
    fn drop(&mut self) {
        assert!(self.waiting.is_empty());
        assert_eq!(unsafe { iscsicore_unit_free(self.unit) }, OK);
    }
}

unsafe extern "C" fn free_command(command: *mut c_void) {
    assert_eq!(unsafe { iscsicore_disk_command_free(command.cast()) }, OK);
}

unsafe extern "C" fn free_kept(kept: *mut c_void) {
    assert_eq!(unsafe { iscsicore_kept_data_free(kept.cast()) }, OK);
}

impl Disk {
    fn new() -> Disk {
        let mut unit = null_mut();
        unsafe {
            let mut options: iscsicore_unit_options = std::mem::zeroed();
            options.size = size_of::<iscsicore_unit_options>();
            (options.serial, options.blocks) = (c"together".as_ptr(), 128);
            assert_eq!(iscsicore_unit_new(&options, &mut unit), OK);
            assert_eq!(iscsicore_unit_attach(unit, NEXUS, 0), OK);
        }
        Disk { unit, blocks: vec![0; 65536], waiting: Vec::new() }
    }

    /// Acts on every event of the target.
    unsafe fn serve(&mut self, target: *mut iscsicore_target) {
        let mut event = null();
        unsafe {
            loop {
                assert_eq!(iscsicore_target_next_event(target, &mut event), OK);
                let Some(event) = event.as_ref() else { return };
                match event.kind {
                    Kind::Command => {
                        let (asked, mut command) = (event.u.command, null_mut());
                        let (cdb, len) = (asked.cdb, asked.cdb_len);
                        let (attribute, data_in) = (asked.attribute as i32, asked.data_in);
                        let started = iscsicore_unit_start(
                            self.unit,
                            NEXUS,
                            cdb,
                            len,
                            attribute,
                            data_in,
                            asked.data_out,
                            &mut command,
                        );
                        assert_eq!(started, OK);
                        self.act(target, asked.task, command);
                    }
                    Kind::Data => {
                        let (shown, mut kept) = (event.u.data, null_mut());
                        let at = self.waiting.iter().position(|(task, _)| *task == shown.task);
                        let (task, command) = self.waiting.remove(at.expect("a command that waits"));
                        assert_eq!(iscsicore_target_keep_data(target, &mut kept), OK);
                        let data = iscsicore_payload {
                            slices: shown.data,
                            count: shown.data_count,
                            release: Some(free_kept),
                            context: kept.cast(),
                        };
                        assert_eq!(iscsicore_unit_resume_data(self.unit, command, &data), OK);
                        self.act(target, task, command);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Carries a command on until it is done, or waits for payload.
    unsafe fn act(&mut self, target: *mut iscsicore_target, task: u64, command: *mut iscsicore_disk_command) {
        unsafe {
            loop {
                let mut step = null();
                assert_eq!(iscsicore_disk_command_step(command, &mut step), OK);
                match (*step).kind {
                    iscsicore_step_kind::Done => return self.deliver(target, task, command, &*(*step).reply),
                    iscsicore_step_kind::NeedData => {
                        self.waiting.push((task, command));
                        assert_eq!(iscsicore_target_accept(target, task, (*step).need), OK);
                        return;
                    }
                    iscsicore_step_kind::Io => {
                        let op = &*(*step).op;
                        let place = op.offset as usize..(op.offset + op.len) as usize;
                        let resumed = match op.kind {
                            OpKind::Read => {
                                let bytes = &self.blocks[place];
                                let base = bytes.as_ptr().cast_mut().cast();
                                let slice = iscsicore_iovec { iov_base: base, iov_len: bytes.len() };
                                let (slices, context) = (&raw const slice, null_mut());
                                let data = iscsicore_payload { slices, count: 1, release: None, context };
                                iscsicore_unit_resume_read(self.unit, command, &data)
                            }
                            _ => {
                                self.blocks[place].copy_from_slice(&talk::gather(op.data, op.data_count));
                                iscsicore_unit_resume(
                                    self.unit,
                                    command,
                                    iscsicore_ffi::op::iscsicore_io::Done as i32,
                                    0,
                                )
                            }
                        };
                        assert_eq!(resumed, OK);
                    }
                }
            }
        }
    }

    /// The data of the reply is the command's: it is lent on, and the command freed when it was sent.
    unsafe fn deliver(
        &self,
        target: *mut iscsicore_target,
        task: u64,
        command: *mut iscsicore_disk_command,
        reply: &iscsicore_reply,
    ) {
        let data = iscsicore_payload {
            slices: reply.data,
            count: reply.data_count,
            release: Some(free_command),
            context: command.cast(),
        };
        let (sense, len, moved) = (reply.sense, reply.sense_len, reply.transfer_len);
        let done =
            unsafe { iscsicore_target_complete_with(target, task, &data, reply.status, sense, len, moved) };
        assert_eq!(done, OK);
    }
}

#[test]
fn a_session_and_a_unit_are_a_disk() {
    let (mut talk, mut disk) = (Talk::established(), Disk::new());
    let bytes: Vec<u8> = (0..20_000u32 / 512 * 512).map(|at| (at / 5) as u8).collect();
    let (lun, blocks) = (Lun(0), bytes.len() as u32 / 512);
    let mut first = commands::write(lun, 7, bytes.clone(), 512).expect("a command");
    first.transient = Transient::Deliver;
    let write = commands::write(lun, 7, bytes.clone(), 512).expect("a command");
    let read = commands::read(lun, 7, blocks, 512).expect("a command");
    let mut answers = Vec::new();
    for command in [first, write, read] {
        submit(&mut talk, command);
        for _ in 0..4 {
            talk.bytes();
            unsafe { disk.serve(talk.near.target) };
        }
        answers.push(answer(&mut talk));
    }
    assert_eq!((answers[0].status, answers[0].sense[12]), (ScsiStatus::CHECK_CONDITION, 0x29), "reset");
    assert_eq!(answers[1].status, ScsiStatus::GOOD);
    assert_eq!(disk.blocks[7 * 512..][..bytes.len()], bytes[..]);
    assert_eq!(answers[2].data.to_bytes(), bytes);
}
