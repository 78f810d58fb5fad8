//! The commands that an initiator sends, byte by byte as SPC and SBC lay them out.

use bytes::Bytes;
use iscsicore::initiator::commands::{
    self as c, Access, Deallocate, PageControl, PrOut, RegisterOptions, Save, StartStop,
};
use iscsicore::initiator::{Command, Repeat, Sink, Transient};
use iscsicore::scsi::reservation::{ReservationType, TransportId};
use iscsicore::scsi::{Cdb, SenseFormat};
use iscsicore::wire::{Lun, TaskAttribute};
use iscsicore::{DataList, Misuse};

const LUN: Lun = Lun(3 << 48);

/// The CDB, padded with zeros; bytes of data-out and data-in; what it is called; whether it may be repeated.
#[track_caller]
fn check(command: &Command, cdb: &[u8], data_out: usize, data_in: u32, name: &str, repeat: Repeat) {
    assert_eq!(command.cdb, Cdb::from_slice(cdb).unwrap(), "{name}");
    assert_eq!((command.data_out.len(), command.data_in), (data_out, data_in), "{name}");
    assert_eq!((&*command.name(), command.repeat), (name, repeat));
    assert_eq!((command.lun, command.transient), (LUN, Transient::Retry), "{name}");
    assert_eq!((command.attribute, command.priority), (TaskAttribute::Simple, 0), "{name}");
    assert_eq!((command.sink, command.timeout), (Sink::Collect, None), "{name}");
    // No command of a shorter group has anything in the bytes that its CDB does not have.
    let len = command.cdb.stated_len().unwrap();
    assert!(command.cdb.first()[len..].iter().all(|&b| b == 0), "{name}");
}

#[track_caller]
fn refused(result: Result<Command, Misuse>) {
    assert!(matches!(result, Err(Misuse::InvalidArgument(_))), "{result:?}");
}

fn block(blocks: usize) -> Vec<u8> {
    vec![0x5a; 512 * blocks]
}

/// A raw command does nothing of its own accord.
#[test]
fn raw() {
    let raw = Command::new(LUN, Cdb::from_slice(&[0xc0, 1]).unwrap());
    assert_eq!((raw.repeat, raw.transient), (Repeat::Never, Transient::Deliver));
    assert_eq!((raw.data_in, raw.data_out.len(), &*raw.name()), (0, 0, "operation code C0h"));
}

#[test]
fn read_and_write() {
    let read = c::read(LUN, 0x0102_0304, 0x0506, 512).unwrap();
    check(&read, &[0x28, 0, 1, 2, 3, 4, 0, 5, 6], 0, 0x0506 * 512, "READ(10)", Repeat::Safe);
    let all = Access { fua: true, dpo: true };
    let read = c::read_with(LUN, 1, 1, 4096, all).unwrap();
    check(&read, &[0x28, 0x18, 0, 0, 0, 1, 0, 0, 1], 0, 4096, "READ(10)", Repeat::Safe);
    let write = c::write(LUN, 2, block(3), 512).unwrap();
    check(&write, &[0x2a, 0, 0, 0, 0, 2, 0, 0, 3], 1536, 0, "WRITE(10)", Repeat::Safe);
    let write = c::write_with(LUN, 1 << 32, block(2), 1024, Access::FUA).unwrap();
    let cdb = [0x8a, 0x08, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    check(&write, &cdb, 1024, 0, "WRITE(16)", Repeat::Safe);
}

/// Ten bytes are used exactly as far as they go.
#[test]
fn the_edge_between_ten_and_sixteen_bytes() {
    let name = |lba, blocks| c::read(LUN, lba, blocks, 1).unwrap().name().into_owned();
    assert_eq!(name(0xffff_ffff, 0xffff), "READ(10)");
    assert_eq!(name(0x1_0000_0000, 1), "READ(16)");
    assert_eq!(name(0, 0x1_0000), "READ(16)");
    let long = c::read(LUN, 0x0102_0304_0506_0708, 0x0001_0203, 1).unwrap();
    let cdb = [0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3];
    check(&long, &cdb, 0, 0x0001_0203, "READ(16)", Repeat::Safe);
}

#[test]
fn nonsense_on_blocks_is_refused() {
    refused(c::read(LUN, 0, 0, 512));
    refused(c::read(LUN, 0, 1, 0));
    refused(c::read(LUN, 0, 0x80_0000, 512));
    assert!(c::read(LUN, 0, 0x7f_ffff, 512).is_ok());
    refused(c::write(LUN, 0, DataList::new(), 512));
    refused(c::write(LUN, 0, block(1), 0));
    refused(c::write(LUN, 0, block(1), 1024));
    refused(c::write(LUN, 0, vec![0; 513], 512));
    refused(c::verify(LUN, 0, 0));
    refused(c::verify_data(LUN, 0, vec![0; 511], 512));
    refused(c::compare_and_write(LUN, 0, block(2), 0));
    refused(c::compare_and_write(LUN, 0, vec![0; 1023], 1));
    refused(c::compare_and_write(LUN, 0, DataList::new(), 1));
}

/// More than 2^32 - 1 bytes: one slice many times, so that it takes no memory.
#[test]
fn data_of_four_gibibytes_are_refused() {
    let piece = Bytes::from(vec![0; 1 << 20]);
    let data: DataList = (0..4096).map(|_| piece.clone()).collect();
    refused(c::write(LUN, 0, data.clone(), 1 << 20));
    refused(c::compare_and_write(LUN, 0, data.clone(), 128));
    assert!(c::write(LUN, 0, data.slice(0, (1 << 32) - 512), 512).is_ok());
}

#[test]
fn flush_and_verify() {
    check(&c::flush(LUN), &[0x35], 0, 0, "SYNCHRONIZE CACHE(10)", Repeat::Safe);
    let range = c::flush_range(LUN, 0x11, 0x22);
    check(&range, &[0x35, 0, 0, 0, 0, 0x11, 0, 0, 0x22], 0, 0, "SYNCHRONIZE CACHE(10)", Repeat::Safe);
    let far = c::flush_range(LUN, 1 << 40, 0);
    check(&far, &[0x91, 0, 0, 0, 1], 0, 0, "SYNCHRONIZE CACHE(16)", Repeat::Safe);
    let verify = c::verify(LUN, 7, 8).unwrap();
    check(&verify, &[0x2f, 0, 0, 0, 0, 7, 0, 0, 8], 0, 0, "VERIFY(10)", Repeat::Safe);
    let verify = c::verify(LUN, 7, 0x1_0000).unwrap();
    check(&verify, &[0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 0, 0], 0, 0, "VERIFY(16)", Repeat::Safe);
    let data = c::verify_data(LUN, 7, block(2), 512).unwrap();
    check(&data, &[0x2f, 0x02, 0, 0, 0, 7, 0, 0, 2], 1024, 0, "VERIFY(10)", Repeat::Safe);
}

#[test]
fn compare_and_write() {
    let caw = c::compare_and_write(LUN, 0x0102, block(4), 2).unwrap();
    let mut cdb = [0x89, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2];
    check(&caw, &cdb, 2048, 0, "COMPARE AND WRITE", Repeat::Never);
    cdb[1] = 0x08;
    let caw = c::compare_and_write_with(LUN, 0x0102, block(4), 2, Access::FUA).unwrap();
    check(&caw, &cdb, 2048, 0, "COMPARE AND WRITE", Repeat::Never);
}

#[test]
fn unmap() {
    let unmap = c::unmap(LUN, &[(0x0102, 3), (1 << 33, u32::MAX)]).unwrap();
    check(&unmap, &[0x42, 0, 0, 0, 0, 0, 0, 0, 40], 40, 0, "UNMAP", Repeat::Safe);
    let list = [
        &[0, 38, 0, 32, 0, 0, 0, 0][..],
        &[0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 0],
        &[0, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ];
    assert_eq!(&unmap.data_out.to_bytes()[..], &list.concat()[..]);
    refused(c::unmap(LUN, &[]));
    refused(c::unmap(LUN, &[(0, 1); 4096]));
    assert_eq!(c::unmap(LUN, &[(0, 1); 4095]).unwrap().data_out.len(), 65528);
}

#[test]
fn write_same() {
    let same = |lba, blocks, how| c::write_same(LUN, lba, blocks, block(1).into(), how);
    let cdb = [0x41, 0, 0, 0, 0, 5, 0, 0, 6];
    check(&same(5, 6, Deallocate::No).unwrap(), &cdb, 512, 0, "WRITE SAME(10)", Repeat::Safe);
    let mut cdb = [0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6];
    check(&same(5, 6, Deallocate::Allowed).unwrap(), &cdb, 512, 0, "WRITE SAME(16)", Repeat::Safe);
    cdb[1] = 0x18;
    check(&same(5, 6, Deallocate::Anchored).unwrap(), &cdb, 512, 0, "WRITE SAME(16)", Repeat::Safe);
    assert_eq!(same(1 << 32, 6, Deallocate::No).unwrap().name(), "WRITE SAME(16)");
    cdb[1] = 0x09;
    let zeroes = c::write_zeroes(LUN, 5, 6, Deallocate::Allowed).unwrap();
    check(&zeroes, &cdb, 0, 0, "WRITE SAME(16)", Repeat::Safe);
    refused(same(5, 0, Deallocate::No));
    refused(c::write_same(LUN, 0, 1, Bytes::new(), Deallocate::No));
    refused(c::write_zeroes(LUN, 0, 0, Deallocate::No));
}

#[test]
fn questions() {
    let check = |command: Command, cdb: &[u8], data_in, name: &str| {
        check(&command, cdb, 0, data_in, name, Repeat::Safe)
    };
    let status = c::get_lba_status(LUN, 0x0102, 0x0304).unwrap();
    check(status, &[0x9e, 0x12, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4], 0x0304, "GET LBA STATUS");
    refused(c::get_lba_status(LUN, 0, 23));
    check(c::test_unit_ready(LUN), &[0], 0, "TEST UNIT READY");
    check(c::request_sense(LUN, SenseFormat::Fixed), &[3, 0, 0, 0, 252], 252, "REQUEST SENSE");
    check(c::request_sense(LUN, SenseFormat::Descriptor), &[3, 1, 0, 0, 252], 252, "REQUEST SENSE");
    check(c::inquiry(LUN), &[0x12, 0, 0, 0, 252], 252, "INQUIRY");
    check(c::vpd(LUN, 0xb0), &[0x12, 1, 0xb0, 0x20, 0], 8192, "INQUIRY");
    check(c::read_capacity_10(LUN), &[0x25], 8, "READ CAPACITY(10)");
    let cdb = [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32];
    check(c::read_capacity_16(LUN), &cdb, 32, "READ CAPACITY(16)");
    let cdb = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0];
    check(c::report_luns(LUN), &cdb, 8192, "REPORT LUNS");
    let name = "REPORT SUPPORTED OPERATION CODES";
    check(c::report_supported_opcodes(LUN), &[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x20, 0], 8192, name);
    let one = c::report_opcode_support(LUN, 0x28, None);
    check(one, &[0xa3, 0x0c, 1, 0x28, 0, 0, 0, 0, 0x20, 0], 8192, name);
    let one = c::report_opcode_support(LUN, 0x9e, Some(0x10));
    check(one, &[0xa3, 0x0c, 2, 0x9e, 0, 0x10, 0, 0, 0x20, 0], 8192, name);
    for (at, name) in
        ["READ KEYS", "READ RESERVATION", "REPORT CAPABILITIES", "READ FULL STATUS"].iter().enumerate()
    {
        let command =
            [c::pr_in_keys, c::pr_in_reservation, c::pr_in_capabilities, c::pr_in_full_status][at](LUN);
        let name = format!("PERSISTENT RESERVE IN ({name})");
        check(command, &[0x5e, at as u8, 0, 0, 0, 0, 0, 0x20, 0], 8192, &name);
    }
}

#[test]
fn answers_say_how_long_they_are() {
    assert_eq!(c::report_luns(LUN).stated_len(&[0, 2, 0, 0, 0, 0, 0, 0]), Some(0x2_0008));
    assert_eq!(c::vpd(LUN, 0x83).stated_len(&[0, 0x83, 0x30, 0]), Some(0x3004));
    assert_eq!(c::mode_sense_10(LUN, 0x3f, 0).stated_len(&[1, 0, 0]), Some(0x102));
    assert_eq!(c::pr_in_keys(LUN).stated_len(&[0, 0, 0, 9, 0, 0, 0x40, 0]), Some(0x4008));
    assert_eq!(c::pr_in_capabilities(LUN).stated_len(&[0, 8, 0, 0]), Some(8));
    assert_eq!(c::pr_in_keys(LUN).stated_len(&[0, 0, 0, 9]), None, "too short to say");
    assert_eq!(c::inquiry(LUN).stated_len(&[0; 36]), None);
    assert_eq!(c::report_luns(LUN).stated_len(&[0xff; 4]), Some(u32::MAX));
}

#[test]
fn a_query_can_ask_for_more() {
    let more = c::report_luns(LUN).with_room_for(131_080);
    assert_eq!((more.data_in, more.cdb.u32_at(6)), (131_080, 131_080));
    let keys = c::pr_in_keys(LUN).with_room_for(100_000);
    assert_eq!((keys.data_in, keys.cdb.u16_at(7)), (65_535, 65_535), "as much as the field can say");
    let page = c::vpd(LUN, 0x83).with_room_for(20_000);
    assert_eq!((page.data_in, page.cdb.u16_at(3)), (20_000, 20_000));
    let codes = c::report_supported_opcodes(LUN).with_room_for(9000);
    assert_eq!((codes.data_in, codes.cdb.u32_at(6)), (9000, 9000));
    assert_eq!(c::test_unit_ready(LUN).with_room_for(9000).data_in, 0);
}

#[test]
fn modes_and_power() {
    let (safe, never) = (Repeat::Safe, Repeat::Never);
    check(&c::mode_sense_6(LUN, 8, 1), &[0x1a, 0, 8, 1, 255], 0, 255, "MODE SENSE(6)", safe);
    let sense = c::mode_sense_6_with(LUN, 0x3f, 0, PageControl::Changeable);
    check(&sense, &[0x1a, 0, 0x7f, 0, 255], 0, 255, "MODE SENSE(6)", safe);
    let cdb = [0x5a, 0, 0x0a, 0xff, 0, 0, 0, 0x20, 0];
    check(&c::mode_sense_10(LUN, 0x0a, 0xff), &cdb, 0, 8192, "MODE SENSE(10)", safe);
    for (control, byte) in [(PageControl::Default, 0x88), (PageControl::Saved, 0xc8)] {
        assert_eq!(c::mode_sense_10_with(LUN, 8, 0, control).cdb.byte(2), byte);
    }
    let page = [0x88, 2, 4, 0];
    let select = c::mode_select_6(LUN, &page, Save::No).unwrap();
    check(&select, &[0x15, 0x10, 0, 0, 8], 8, 0, "MODE SELECT(6)", never);
    assert_eq!(&select.data_out.to_bytes()[..], [0, 0, 0, 0, 0x08, 2, 4, 0]);
    let select = c::mode_select_10(LUN, &page, Save::Yes).unwrap();
    check(&select, &[0x55, 0x11, 0, 0, 0, 0, 0, 0, 12], 12, 0, "MODE SELECT(10)", never);
    assert_eq!(&select.data_out.to_bytes()[..], [0, 0, 0, 0, 0, 0, 0, 0, 0x08, 2, 4, 0]);
    assert!(c::mode_select_10(LUN, &[0x4a, 5, 0, 1, 9], Save::No).is_ok());
    for wrong in [&[][..], &[8], &[8, 2, 4], &[8, 2, 4, 0, 0], &[0x4a, 5, 0], &[0x4a, 5, 0, 2, 9]] {
        refused(c::mode_select_6(LUN, wrong, Save::No));
        refused(c::mode_select_10(LUN, wrong, Save::No));
    }
    let long = [&[0x08, 255][..], &[0; 255]].concat();
    refused(c::mode_select_6(LUN, &long, Save::No));
    assert!(c::mode_select_10(LUN, &long, Save::No).is_ok());
    let power = [(StartStop::Start, 1), (StartStop::Stop, 0), (StartStop::Load, 3), (StartStop::Eject, 2)];
    for (to, bits) in power {
        check(&c::start_stop(LUN, to), &[0x1b, 0, 0, 0, bits], 0, 0, "START STOP UNIT", never);
    }
    check(&c::reserve_6(LUN), &[0x16], 0, 0, "RESERVE(6)", never);
    check(&c::release_6(LUN), &[0x17], 0, 0, "RELEASE(6)", never);
}

/// Service action, TYPE, the two keys and the flags of every service action.
#[test]
fn persistent_reserve_out() {
    let kind = ReservationType::WriteExclusiveRegistrantsOnly;
    let options = RegisterOptions { aptpl: true, all_target_ports: true, initiators: vec![] };
    let cases = [
        (PrOut::Register { key: 1, new: 2, options: options.clone() }, [0, 0, 1, 2, 0x05], "REGISTER"),
        (PrOut::Reserve { key: 1, kind }, [1, 5, 1, 0, 0], "RESERVE"),
        (PrOut::Release { key: 1, kind }, [2, 5, 1, 0, 0], "RELEASE"),
        (PrOut::Clear { key: 1 }, [3, 0, 1, 0, 0], "CLEAR"),
        (PrOut::Preempt { key: 1, victim: 2, kind }, [4, 5, 1, 2, 0], "PREEMPT"),
        (PrOut::PreemptAndAbort { key: 1, victim: 2, kind }, [5, 5, 1, 2, 0], "PREEMPT AND ABORT"),
        (
            PrOut::RegisterAndIgnore { new: 2, options },
            [6, 0, 0, 2, 0x05],
            "REGISTER AND IGNORE EXISTING KEY",
        ),
        (PrOut::ReplaceLost { new: 2, kind, aptpl: true }, [8, 5, 0, 2, 0x01], "REPLACE LOST RESERVATION"),
    ];
    for (action, [service_action, scope_and_type, key, new, flags], name) in cases {
        let command = c::pr_out(LUN, &action).unwrap();
        let name = format!("PERSISTENT RESERVE OUT ({name})");
        let cdb = [0x5f, service_action, scope_and_type, 0, 0, 0, 0, 0, 24];
        check(&command, &cdb, 24, 0, &name, Repeat::Never);
        let mut list = [0; 24];
        (list[7], list[15], list[20]) = (key, new, flags);
        assert_eq!(&command.data_out.to_bytes()[..], list, "{name}");
    }
}

#[test]
fn persistent_reserve_out_with_initiator_ports() {
    let port = TransportId::Iscsi { name: "iqn.a".into(), isid: Some("0123456789ab".into()) };
    let id = b"\x45\0\0\x18iqn.a,i,0x0123456789ab\0\0";
    let options =
        RegisterOptions { initiators: vec![port.clone(), port.clone()], ..RegisterOptions::default() };
    let action = PrOut::Register { key: 1, new: 2, options: options.clone() };
    let command = c::pr_out(LUN, &action).unwrap();
    let name = "PERSISTENT RESERVE OUT (REGISTER)";
    check(&command, &[0x5f, 0, 0, 0, 0, 0, 0, 0, 84], 84, 0, name, Repeat::Never);
    let list = command.data_out.to_bytes();
    assert_eq!((list[20], &list[24..28]), (0x08, &[0, 0, 0, 56][..]));
    assert_eq!((&list[28..56], &list[56..]), (&id[..], &id[..]));
    refused(c::pr_out(LUN, &PrOut::RegisterAndIgnore { new: 2, options }));

    let action = |initiator| PrOut::RegisterAndMove {
        key: 1,
        new: 2,
        unregister: true,
        aptpl: true,
        target_port: 0x0102,
        initiator,
    };
    let command = c::pr_out(LUN, &action(port)).unwrap();
    let name = "PERSISTENT RESERVE OUT (REGISTER AND MOVE)";
    check(&command, &[0x5f, 7, 0, 0, 0, 0, 0, 0, 52], 52, 0, name, Repeat::Never);
    let list = command.data_out.to_bytes();
    assert_eq!(list[..24], [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x03, 1, 2, 0, 0, 0, 28]);
    assert_eq!(&list[24..], id);
    refused(c::pr_out(LUN, &action(TransportId::Iscsi { name: "n".repeat(224), isid: None })));
    refused(c::pr_out(LUN, &action(TransportId::Other(vec![0; 300]))));
}
