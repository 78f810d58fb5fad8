//! Calls that are wrong: a status each, and nothing changes.

use super::*;

// Goal: a command goes on with the unit that took it, and not beyond a reset of that. Method: resume it with another unit of the
// same kind, then, after a reset, with its own.
#[test]
fn a_command_belongs_to_its_unit_until_that_is_reset() {
    let (unit, other) = (Unit::attached("one"), Unit::attached("two"));
    let read = unit.start(NEXUS, &cdb_10(READ_10, 0, 1), 512, 0);
    let write = unit.start(NEXUS, &cdb_10(WRITE_10, 0, 1), 0, 512);
    let mut lent = Lent::new(vec![0; 512]);
    let all = |unit: &Unit, lent: &mut Lent| unsafe {
        [
            iscsicore_unit_resume(unit.0, read.0, Io::Failed as c_int, 0),
            iscsicore_unit_resume_read(unit.0, read.0, &lent.payload()),
            iscsicore_unit_resume_extents(unit.0, read.0, null(), 0),
            iscsicore_unit_resume_data(unit.0, write.0, &lent.payload()),
        ]
    };
    assert_eq!(all(&other, &mut lent), [Status::InvalidArgument; 4]);
    assert_eq!(unsafe { iscsicore_unit_reset(unit.0, 3) }, OK);
    assert_eq!(all(&unit, &mut lent), [Status::WrongState; 4]);
    assert_eq!(*lent.given_back, 0);
    // What the steps show is there still.
    assert_eq!((read.op().len, write.need()), (512, 512));
    drop(unit);
    assert_eq!(read.op().len, 512, "even without the unit");
}

#[test]
fn arguments_out_of_range_are_refused() {
    let unit = Unit::attached("range");
    let (invalid, mut command) = (Status::InvalidArgument, null_mut());
    let cdb = [0u8; 261];
    let start = |len, attribute, command| unsafe {
        iscsicore_unit_start(unit.0, NEXUS, cdb.as_ptr(), len, attribute, 0, 0, command)
    };
    for (len, attribute) in [(0, 1), (261, 1), (6, -1), (6, 5), (6, 256)] {
        assert_eq!(start(len, attribute, &mut command), invalid, "{len} {attribute}");
        assert!(command.is_null());
    }
    for attribute in [0, 1, 2, 3, 4, 255] {
        assert_eq!(start(6, attribute, &mut command), OK);
        let (status, sense) = Disk(command).reply();
        assert_eq!((status, sense.get(12)), if attribute == 4 { (2, Some(&0x49)) } else { (0, None) });
    }
    let (long, name) = (CString::new("n".repeat(241)), CString::new("name"));
    let (long, name) = (long.expect("no NUL"), name.expect("no NUL"));
    unsafe {
        assert_eq!(iscsicore_unit_set_port(unit.0, NEXUS, long.as_ptr(), 1), invalid);
        assert_eq!(iscsicore_unit_set_port(unit.0, NEXUS, name.as_ptr(), 0), invalid);
        assert_eq!(iscsicore_unit_set_port(unit.0, 99, name.as_ptr(), 1), Status::Unknown);
        for bad in [-1, 2] {
            assert_eq!(iscsicore_unit_set_access(unit.0, NEXUS, bad), invalid);
        }
        for bad in [0, 4, -1] {
            assert_eq!(iscsicore_unit_reset(unit.0, bad), invalid);
        }
        for bad in [0, (1 << 54) + 1] {
            assert_eq!(iscsicore_unit_resize(unit.0, bad), invalid);
        }
        assert_eq!(iscsicore_unit_set_access(unit.0, 99, 0), Status::Unknown);
        assert_eq!(iscsicore_unit_tasks_terminated(unit.0, 99), Status::Unknown);
        assert_eq!(iscsicore_unit_luns_changed(unit.0, 99, 0), Status::Unknown);
        let luns = vec![0; 16385];
        let many =
            iscsicore_disk_command_report_luns(cdb.as_ptr(), 12, luns.as_ptr(), luns.len(), &mut command);
        assert_eq!(many, invalid);
        assert_eq!(iscsicore_disk_command_report_luns(cdb.as_ptr(), 0, null(), 0, &mut command), invalid);
        assert_eq!(iscsicore_disk_command_absent_unit(cdb.as_ptr(), 261, &mut command), invalid);
    }
    assert!(command.is_null());
    assert_eq!(unit.attention(NEXUS), None, "nothing has changed");
}

#[test]
fn no_pointer_is_followed_that_is_null() {
    let unit = Unit::attached("null");
    let read = unit.start(NEXUS, &cdb_10(READ_10, 0, 1), 512, 0);
    let (mut blocks, mut command, mut step) = (0, null_mut(), null());
    let (none, no_command, cdb) = (null_mut(), null_mut(), [0u8; 6].as_ptr());
    let all = unsafe {
        [
            iscsicore_unit_new(null(), &mut { null_mut() }),
            iscsicore_unit_new(&zeroed(), null_mut()),
            iscsicore_unit_attach(none, 0, 0),
            iscsicore_unit_detach(none, 0),
            iscsicore_unit_set_access(none, 0, 0),
            iscsicore_unit_set_port(none, 0, c"name".as_ptr(), 1),
            iscsicore_unit_set_port(unit.0, NEXUS, null(), 1),
            iscsicore_unit_reset(none, 1),
            iscsicore_unit_resize(none, 1),
            iscsicore_unit_blocks(none, &mut blocks, null_mut()),
            iscsicore_unit_blocks(unit.0, null_mut(), null_mut()),
            iscsicore_unit_tasks_cleared(none, 0, 1),
            iscsicore_unit_tasks_terminated(none, 0),
            iscsicore_unit_luns_changed(none, 0, 0),
            iscsicore_unit_start(none, 0, cdb, 6, 1, 0, 0, &mut command),
            iscsicore_unit_start(unit.0, 0, null(), 6, 1, 0, 0, &mut command),
            iscsicore_unit_start(unit.0, 0, cdb, 6, 1, 0, 0, null_mut()),
            iscsicore_disk_command_step(no_command, &mut step),
            iscsicore_disk_command_step(read.0, null_mut()),
            iscsicore_unit_resume(none, read.0, 0, 0),
            iscsicore_unit_resume(unit.0, no_command, 0, 0),
            iscsicore_unit_resume_read(none, read.0, null()),
            iscsicore_unit_resume_read(unit.0, no_command, null()),
            iscsicore_unit_resume_extents(none, read.0, null(), 0),
            iscsicore_unit_resume_extents(unit.0, no_command, null(), 0),
            iscsicore_unit_resume_data(none, read.0, null()),
            iscsicore_unit_resume_data(unit.0, no_command, null()),
            iscsicore_disk_command_report_luns(null(), 12, null(), 0, &mut command),
            iscsicore_disk_command_report_luns(cdb, 6, null(), 1, &mut command),
            iscsicore_disk_command_report_luns(cdb, 6, null(), 0, null_mut()),
            iscsicore_disk_command_absent_unit(null(), 6, &mut command),
            iscsicore_disk_command_absent_unit(cdb, 6, null_mut()),
        ]
    };
    assert!(all.iter().all(|status| *status == Status::NullPointer), "{all:?}");
    assert_eq!(unsafe { iscsicore_unit_free(null_mut()) }, OK);
    assert_eq!(unsafe { iscsicore_disk_command_free(null_mut()) }, OK);
    assert_eq!(unsafe { iscsicore_unit_resume_read(unit.0, read.0, null()) }, Status::InvalidArgument);
}
