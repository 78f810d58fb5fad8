//! INQUIRY, VPD pages, READ CAPACITY, REQUEST SENSE, REPORT LUNS, and LUNs without a unit, byte by byte.

use iscsicore::disk::*;
use iscsicore::scsi::Cdb;
use iscsicore::wire::Lun;

use crate::rig::*;

const INQUIRY: [u8; 6] = [0x12, 0, 0, 0xff, 0xff, 0];

fn vpd(page: u8) -> [u8; 6] {
    [0x12, 1, page, 0xff, 0xff, 0]
}

/// `head`, then zeros up to `len`.
fn padded(head: &[u8], len: usize) -> Vec<u8> {
    let mut out = head.to_vec();
    out.resize(len, 0);
    out
}

#[test]
fn standard_inquiry() {
    let mut want = padded(b"\x00\x00\x06\x12\x5b\x00\x00\x02ISCSICORVIRTUAL DISK    0001", 58);
    want.extend([0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0, 0, 0]);
    assert_eq!(data(&Rig::new().get(&INQUIRY)), padded(&want, 96));
}

#[test]
fn allocation_lengths_cut_and_residuals_count_what_is_left() {
    let mut rig = Rig::new();
    let whole = data(&rig.get(&INQUIRY));
    for allocation in 0..=100u16 {
        let mut cdb = INQUIRY;
        cdb[3..5].copy_from_slice(&allocation.to_be_bytes());
        let reply = rig.get(&cdb);
        let len = usize::from(allocation).min(96);
        assert_eq!(data(&reply), whole[..len]);
        assert_eq!(reply.transfer_len as usize, len);
        let reply = rig.run_as(ME, &cdb, 5, &[]);
        assert_eq!(data(&reply), whole[..len.min(5)]);
        assert_eq!(reply.transfer_len as usize, len);
    }
}

#[test]
fn inquiry_refuses_what_it_does_not_have() {
    let mut rig = Rig::new();
    assert_cdb_field(&rig.get(&[0x12, 0, 0x80, 0, 255, 0]), 2, None);
    assert_cdb_field(&rig.get(&[0x12, 2, 0, 0, 255, 0]), 1, Some(1));
    assert_cdb_field(&rig.get(&[0x12, 1, 0, 0, 255, 0x04]), 5, Some(2));
    let pages = data(&rig.get(&vpd(0)))[4..].to_vec();
    for page in 0..=255 {
        let reply = rig.get(&vpd(page));
        if pages.contains(&page) {
            let data = data(&reply);
            assert_eq!(data[..2], [0, page]);
            assert_eq!(usize::from(u16::from_be_bytes([data[2], data[3]])), data.len() - 4);
        } else {
            assert_cdb_field(&reply, 2, None);
        }
    }
}

#[test]
fn vpd_pages() {
    let mut rig = Rig::with(|c| {
        c.naa = Naa::from_bytes(&[0x30, 1, 2, 3, 4, 5, 6, 7]).unwrap();
    });
    let port = TargetPort { name: "iqn.2026-01.x:y,t,0x0001".into(), relative_id: 1 };
    rig.unit.set_port(ME, port);
    assert_eq!(data(&rig.get(&vpd(0x00))), [0, 0, 0, 7, 0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2]);
    assert_eq!(data(&rig.get(&vpd(0x80))), b"\x00\x80\x00\x08serial-7");
    let names = [
        &[0x01, 0x03, 0, 8, 0x30, 1, 2, 3, 4, 5, 6, 7][..],
        b"\x02\x01\x00\x20ISCSICORVIRTUAL DISK    serial-7",
        b"\x03\x08\x00\x18naa.3001020304050607\0\0\0\0",
        &[0x51, 0x94, 0, 4, 0, 0, 0, 1],
        b"\x53\x98\x00\x1ciqn.2026-01.x:y,t,0x0001\0\0\0\0",
    ]
    .concat();
    let mut want = vec![0, 0x83, 0, names.len() as u8];
    want.extend(names);
    assert_eq!(data(&rig.get(&vpd(0x83))), want);
    assert_eq!(data(&rig.get(&vpd(0x86))), padded(&[0, 0x86, 0, 0x3c, 0, 0x01, 0x01], 64));
    let limits = [
        &[0, 0xb0, 0, 0x3c, 0x01, 0, 0, 8][..],
        &[0, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0, 0],
        &[0, 0, 0x01, 0xf4, 0, 0, 0, 4, 0, 0, 0, 8, 0x80, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0x01, 0x2c],
    ]
    .concat();
    assert_eq!(data(&rig.get(&vpd(0xb0))), padded(&limits, 64));
    assert_eq!(data(&rig.get(&vpd(0xb1))), padded(&[0, 0xb1, 0, 0x3c, 0, 1], 64));
    assert_eq!(data(&rig.get(&vpd(0xb2))), [0, 0xb2, 0, 4, 0, 0xe4, 2, 0]);
}

#[test]
fn a_fully_provisioned_unit_without_a_cache_says_so() {
    let mut rig = Rig::with(|c| {
        c.provisioning = Provisioning::Full;
        c.write_cache = false;
    });
    assert_eq!(data(&rig.get(&vpd(0xb2))), [0, 0xb2, 0, 4, 0, 0, 0, 0]);
    assert_eq!(data(&rig.get(&vpd(0xb0)))[20..36], [0; 16], "no UNMAP limits");
    assert_eq!(data(&rig.get(&vpd(0x86)))[6], 0, "V_SUP");
    assert_eq!(data(&rig.get(&CAPACITY_16))[14], 0, "LBPME, LBPRZ");
}

const CAPACITY_16: [u8; 16] = [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0];

#[test]
fn read_capacity() {
    let mut rig = Rig::new();
    assert_eq!(data(&rig.get(&padded(&[0x25], 10))), [0, 0, 0x03, 0xe7, 0, 0, 2, 0]);
    let head = [0, 0, 0, 0, 0, 0, 0x03, 0xe7, 0, 0, 2, 0, 0, 3, 0xc0, 0];
    assert_eq!(data(&rig.get(&CAPACITY_16)), padded(&head, 32));
    for allocation in 0..40 {
        let mut cdb = CAPACITY_16;
        cdb[13] = allocation;
        assert_eq!(data(&rig.get(&cdb)), padded(&head, 32)[..usize::from(allocation).min(32)]);
    }
    let cases = [
        (1u64 << 32, [0xff; 4]),
        ((1 << 32) - 1, [0xff, 0xff, 0xff, 0xfe]),
        (1 << 40, [0xff; 4]),
        (1, [0; 4]),
    ];
    for (blocks, last) in cases {
        let mut rig = Rig::with(|c| c.blocks = blocks);
        assert_eq!(data(&rig.get(&padded(&[0x25], 10)))[..4], last);
        assert_eq!(data(&rig.get(&CAPACITY_16))[..8], (blocks - 1).to_be_bytes());
    }
    let mut rig = Rig::with(|c| {
        c.block_size = BlockSize::B4096;
        c.physical_block_exponent = 0;
    });
    assert_eq!(data(&rig.get(&CAPACITY_16))[8..14], [0, 0, 0x10, 0, 0, 0]);
}

#[test]
fn read_capacity_refuses_an_address_and_pmi() {
    let mut rig = Rig::new();
    assert_cdb_field(&rig.get(&[0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0]), 5, Some(0));
    assert_cdb_field(&rig.get(&[0x25, 0, 0, 0, 0, 0, 0, 0, 1, 0]), 8, Some(0));
    let mut cdb = CAPACITY_16;
    cdb[14] = 1;
    assert_cdb_field(&rig.get(&cdb), 14, Some(0));
    cdb = CAPACITY_16;
    for action in (0..32).filter(|&action| action != 0x10 && action != 0x12) {
        cdb[1] = action;
        assert_cdb_field(&rig.get(&cdb), 1, Some(4));
    }
}

#[test]
fn request_sense_has_both_formats() {
    let mut rig = Rig::new();
    assert_eq!(data(&rig.get(&[3, 0, 0, 0, 252, 0])), padded(&[0x70, 0, 0, 0, 0, 0, 0, 10], 18));
    assert_eq!(data(&rig.get(&[3, 1, 0, 0, 252, 0])), [0x72, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(data(&rig.get(&[3, 0, 0, 0, 4, 0])), [0x70, 0, 0, 0]);
    assert_cdb_field(&rig.get(&[3, 2, 0, 0, 252, 0]), 1, Some(1));
}

fn report(select: u8, allocation: u32, luns: &[Lun]) -> Reply {
    let mut cdb = [0; 12];
    cdb[0] = 0xa0;
    cdb[2] = select;
    cdb[6..10].copy_from_slice(&allocation.to_be_bytes());
    report_luns(&Cdb::from_slice(&cdb).unwrap(), luns)
}

#[test]
fn report_luns_lists_what_there_is() {
    let luns = [Lun::from_number(0).unwrap(), Lun::from_number(5).unwrap(), Lun::from_number(300).unwrap()];
    let want =
        [&[0, 0, 0, 24, 0, 0, 0, 0][..], &[0; 8], &[0, 5, 0, 0, 0, 0, 0, 0], &[0x41, 0x2c, 0, 0, 0, 0, 0, 0]]
            .concat();
    for select in [0, 2] {
        assert_eq!(data(&report(select, 4096, &luns)), want);
        assert_eq!(data(&report(select, 16, &luns)), want[..16], "the length is that of the whole list");
        // Truncation by the allocation length is no residual (RFC 7143 section 11.4.5.3).
        assert_eq!(report(select, 16, &luns).transfer_len, 16);
        assert_eq!(report(select, 4096, &luns).transfer_len, 32);
    }
    for select in [1, 0x10, 0x11, 0x12] {
        assert_eq!(data(&report(select, 16, &luns)), [0; 8]);
    }
    assert_cdb_field(&report(3, 16, &luns), 2, None);
    assert_cdb_field(&report(0, 15, &luns), 6, None);
    let cdb = Cdb::from_slice(&[0xa0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0]).unwrap();
    assert_cdb_field(&report_luns(&cdb, &luns), 3, Some(0));
    let mut rig = Rig::new();
    assert_eq!(data(&rig.get(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])), padded(&[0, 0, 0, 8], 16));
}

#[test]
fn a_lun_without_a_unit() {
    let absent = |cdb: &[u8]| absent_unit(&Cdb::from_slice(cdb).unwrap());
    let inquiry = data(&absent(&INQUIRY));
    assert_eq!(inquiry[..8], [0x7f, 0, 6, 0x12, 0x5b, 0, 0, 2]);
    assert_eq!(inquiry.len(), 96);
    assert_eq!(data(&absent(&vpd(0))), [0x7f, 0, 0, 1, 0]);
    assert_cdb_field(&absent(&vpd(0x83)), 2, None);
    assert_eq!(data(&absent(&[3, 0, 0, 0, 252, 0]))[..14], [0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x25, 0]);
    assert_eq!(data(&absent(&[3, 1, 0, 0, 252, 0])), [0x72, 5, 0x25, 0, 0, 0, 0, 0]);
    for opcode in (0..=255).filter(|opcode| ![0x12, 0x03].contains(opcode)) {
        assert_eq!(sense(&absent(&[opcode, 0, 0, 0, 0, 0])), (5, 0x2500));
    }
}

#[test]
fn everything_else_is_an_unknown_operation_code() {
    let mut rig = Rig::new();
    let known = [
        0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x35, 0x41, 0x42,
        0x55, 0x5a, 0x88, 0x8a, 0x8e, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xae, 0xaf,
    ];
    for opcode in 0..=255u8 {
        let unknown = sense(&rig.get(&[opcode, 0, 0, 0, 0, 0])) == (5, 0x2000);
        assert_eq!(unknown, !known.contains(&opcode), "{opcode:02x}");
    }
}
