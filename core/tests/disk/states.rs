//! Unit attentions, start and stop, write protection, resets, and changes of capacity.

use iscsicore::disk::*;
use iscsicore::scsi::Cdb;
use iscsicore::wire::TaskAttribute;

use crate::rig::*;

const TUR: [u8; 6] = [0; 6];
const START: [u8; 6] = [0x1b, 0, 0, 0, 1, 0];
const STOP: [u8; 6] = [0x1b, 0, 0, 0, 0, 0];

fn tur(rig: &mut Rig, nexus: NexusId) -> (u8, u16) {
    sense(&rig.run_as(nexus, &TUR, 0, &[]))
}

#[test]
fn attaching_is_announced_once_per_nexus() {
    let mut rig = Rig::new();
    rig.unit.attach(NexusId(9), AttachReason::New);
    assert_eq!(tur(&mut rig, NexusId(9)), (6, 0x2900));
    assert_eq!(tur(&mut rig, NexusId(9)), (0, 0));
    rig.unit.attach(NexusId(9), AttachReason::Relogin);
    assert_eq!(tur(&mut rig, NexusId(9)), (6, 0x2907));
    assert_eq!(tur(&mut rig, ME), (0, 0));
    rig.unit.attach(NexusId(9), AttachReason::New);
    rig.unit.detach(NexusId(9));
    assert_eq!(tur(&mut rig, NexusId(9)), (0, 0), "nothing is left behind");
}

#[test]
fn resets_are_announced_to_all_and_restore_the_modes() {
    for (cause, code) in
        [(ResetCause::PowerOn, 0x2901), (ResetCause::Target, 0x2902), (ResetCause::LogicalUnit, 0x2903)]
    {
        let mut rig = Rig::new();
        let list = [0, 0, 0, 0, 0x0a, 0x0a, 6, 0x10, 8, 0, 0, 0, 0, 0, 0, 0];
        assert_good(&rig.put(&[0x15, 0x10, 0, 0, 16, 0], &list));
        assert_good(&rig.get(&STOP));
        rig.unit.reset(cause);
        assert_eq!(tur(&mut rig, ME), (6, code));
        assert_eq!(tur(&mut rig, OTHER), (6, code), "instead of MODE PARAMETERS CHANGED");
        assert_eq!((tur(&mut rig, ME), tur(&mut rig, OTHER)), ((0, 0), (0, 0)));
        assert!(!rig.unit.modes().software_write_protect && !rig.unit.modes().descriptor_sense);
    }
}

#[test]
fn several_attentions_come_in_order() {
    let mut rig = Rig::new();
    rig.unit.luns_changed(ME);
    rig.unit.resize(2000);
    rig.unit.resize(3000);
    rig.unit.tasks_cleared(OTHER, ME);
    rig.unit.tasks_cleared(OTHER, OTHER);
    rig.unit.tasks_terminated(ME);
    for want in [0x2f00, 0x477f, 0x2a09, 0x3f0e] {
        assert_eq!(tur(&mut rig, ME), (6, want));
    }
    assert_eq!(tur(&mut rig, ME), (0, 0));
    assert_eq!(tur(&mut rig, OTHER), (6, 0x2a09));
    assert_eq!(tur(&mut rig, OTHER), (0, 0));
}

#[test]
fn inquiry_report_luns_and_request_sense_pass_an_attention() {
    let mut rig = Rig::new();
    rig.unit.resize(2000);
    assert_good(&rig.get(&[0x12, 0, 0, 0, 96, 0]));
    assert_good(&rig.get(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]));
    assert_cdb_field(&rig.get(&[0x12, 0, 1, 0, 96, 0]), 2, None);
    assert_eq!(
        data(&rig.get(&[3, 0, 0, 0, 252, 0]))[..14],
        [0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 9]
    );
    assert_eq!(tur(&mut rig, ME), (0, 0), "REQUEST SENSE has reported it");
    assert_eq!(tur(&mut rig, OTHER), (6, 0x2a09));
    rig.unit.luns_changed(ME);
    assert_good(&rig.get(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]));
    assert_eq!(tur(&mut rig, ME), (0, 0), "REPORT LUNS has the news");
}

#[test]
fn an_attention_stands_before_every_other_error() {
    let mut rig = Rig::new();
    for cdb in [&[0xc0, 0, 0, 0, 0, 0][..], &block_cdb(0x28, 0xe0, u64::MAX, 1), &[0x9e, 0x1f]] {
        rig.unit.resize(rig.unit.blocks() + 1);
        assert_eq!(sense(&rig.get(cdb)), (6, 0x2a09));
        assert_eq!(sense(&rig.get(cdb)).0, 5);
    }
}

#[test]
fn a_stopped_unit_does_not_touch_the_medium() {
    let mut rig = Rig::new();
    assert_good(&rig.get(&STOP));
    assert_eq!(rig.ops, [Op::Flush]);
    for opcode in [
        0x08, 0x0a, 0x28, 0x2a, 0x2e, 0x2f, 0x35, 0x41, 0x88, 0x8a, 0x8e, 0x8f, 0x91, 0x93, 0xa8, 0xaa, 0xae,
        0xaf,
    ] {
        assert_eq!(sense(&rig.get(&block_cdb(opcode, 0, 0, 1))), (2, 0x0402), "{opcode:02x}");
    }
    assert_eq!(sense(&rig.get(&[0x42, 0, 0, 0, 0, 0, 0, 0, 8, 0])), (2, 0x0402));
    assert_eq!(tur(&mut rig, OTHER), (2, 0x0402));
    assert_eq!(data(&rig.get(&[3, 0, 0, 0, 252, 0]))[2], 2);
    for cdb in [[0x12, 0, 0, 0, 96, 0], [0x1a, 0, 0x3f, 0, 255, 0], [0x1e, 0, 0, 0, 1, 0]] {
        assert_good(&rig.get(&cdb));
    }
    assert_good(&rig.get(&START));
    assert_eq!(tur(&mut rig, ME), (0, 0));
}

#[test]
fn start_stop_unit_fields() {
    let mut rig = Rig::new();
    assert_good(&rig.get(&[0x1b, 1, 0, 0, 4, 0]));
    assert!(rig.ops.is_empty(), "NO_FLUSH");
    assert!(rig.unit.is_stopped());
    assert_good(&rig.get(&[0x1b, 1, 0, 0, 0x10, 0]));
    assert!(!rig.unit.is_stopped(), "ACTIVE");
    for bad in [0x02, 0x03] {
        assert_cdb_field(&rig.get(&[0x1b, 0, 0, 0, bad, 0]), 4, Some(1));
    }
    for condition in 2..16u8 {
        assert_cdb_field(&rig.get(&[0x1b, 0, 0, 0, condition << 4, 0]), 4, Some(7));
    }
    assert_cdb_field(&rig.get(&[0x1e, 0, 0, 0, 2, 0]), 4, Some(1));
    rig.fail = Some((0, IoError::Other));
    assert_eq!(sense(&rig.get(&STOP)), (4, 0x4400));
    assert!(!rig.unit.is_stopped(), "what could not be flushed is not stopped");
}

#[test]
fn a_read_only_unit_takes_no_write_of_any_kind() {
    let mut rig = Rig::with(|c| c.read_only = true);
    for opcode in [0x0a, 0x2a, 0x2e, 0x41, 0x8a, 0x8e, 0x93, 0xaa, 0xae] {
        assert_eq!(sense(&rig.put(&block_cdb(opcode, 0, 0, 1), &[0; 512])), (7, 0x2700), "{opcode:02x}");
    }
    assert_eq!(sense(&rig.put(&[0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0], &[0; 24])), (7, 0x2700));
    assert_eq!(data(&rig.get(&[0x1a, 8, 0x3f, 0, 255, 0]))[2], 0x90);
    for opcode in [0x08, 0x28, 0x2f, 0x35, 0x88, 0x8f, 0x91, 0xa8, 0xaf] {
        assert_good(&rig.get(&block_cdb(opcode, 0, 0, 1)));
    }
}

#[test]
fn one_nexus_may_be_kept_from_writing() {
    let mut rig = Rig::new();
    rig.unit.set_access(OTHER, NexusAccess::ReadOnly);
    rig.unit.reset(ResetCause::LogicalUnit);
    for (nexus, want, parameter) in [(ME, (0, 0), 0x10), (OTHER, (7, 0x2700), 0x90)] {
        assert_eq!(tur(&mut rig, nexus), (6, 0x2903));
        assert_eq!(sense(&rig.run_as(nexus, &block_cdb(0x2a, 0, 0, 1), 0, &[0; 512])), want);
        assert_eq!(data(&rig.run_as(nexus, &[0x1a, 8, 0x3f, 0, 255, 0], 255, &[]))[2], parameter);
        assert_good(&rig.run_as(nexus, &block_cdb(0x28, 0, 0, 1), 512, &[]));
    }
    rig.unit.set_access(OTHER, NexusAccess::ReadWrite);
    assert_good(&rig.run_as(OTHER, &block_cdb(0x2a, 0, 0, 1), 0, &[0; 512]));
}

#[test]
fn an_aca_task_has_no_aca_to_belong_to() {
    let mut rig = Rig::new();
    let cdb = Cdb::from_slice(&TUR).unwrap();
    let request = Request { cdb: &cdb, data_in: 0, data_out: 0, attribute: TaskAttribute::Aca };
    let Step::Done(reply) = rig.unit.start(ME, &request) else { panic!() };
    assert_eq!(sense(&reply), (5, 0x4900));
}

/// A command that was checked against a larger capacity is not carried out beyond the smaller one.
#[test]
fn shrinking_overtakes_commands_that_run() {
    let mut rig = Rig::new();
    let cdb = Cdb::from_slice(&block_cdb(0x2a, 0, 900, 8)).unwrap();
    let request = Request { cdb: &cdb, data_in: 0, data_out: 4096, attribute: TaskAttribute::Simple };
    let Step::NeedData { task, .. } = rig.unit.start(ME, &request) else { panic!() };
    rig.unit.resize(904);
    let Step::Done(reply) = rig.unit.resume(task, Resume::Data(list(&[1; 4096]))) else { panic!() };
    assert_eq!((sense(&reply), information(&reply)), ((5, 0x2100), Some(904)));
    assert_eq!(tur(&mut rig, ME), (6, 0x2a09));
    rig.unit.resize(904);
    assert_eq!(tur(&mut rig, ME), (0, 0), "the same capacity is no change");
}
