//! MODE SENSE and MODE SELECT.

use iscsicore::disk::*;

use crate::rig::*;

const PAGE_01: &[u8] = &[0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const PAGE_02: &[u8] = &[0x02, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const PAGE_08: &[u8] = &[0x08, 0x12, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const PAGE_0A: &[u8] = &[0x0a, 0x0a, 2, 0x10, 0, 0, 0, 0, 0, 0, 0, 0];
const PAGE_1C: &[u8] = &[0x1c, 0x0a, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn sense_6(flags: u8, page: u8, subpage: u8, allocation: u8) -> [u8; 6] {
    [0x1a, flags, page, subpage, allocation, 0]
}

fn sense_10(flags: u8, page: u8, allocation: u16) -> [u8; 10] {
    let [high, low] = allocation.to_be_bytes();
    [0x5a, flags, page, 0, 0, 0, 0, high, low, 0]
}

/// MODE SELECT (6) of these pages, without a block descriptor.
fn select(rig: &mut Rig, pages: &[u8]) -> Reply {
    let list = [&[0, 0, 0, 0][..], pages].concat();
    rig.put(&[0x15, 0x10, 0, 0, list.len() as u8, 0], &list)
}

fn caching(wce: u8) -> Vec<u8> {
    let mut page = PAGE_08.to_vec();
    page[2] = wce << 2;
    page
}

fn control(d_sense: u8, swp: u8) -> Vec<u8> {
    let mut page = PAGE_0A.to_vec();
    page[2] |= d_sense << 2;
    page[4] |= swp << 3;
    page
}

#[test]
fn all_pages_with_every_header() {
    let mut rig = Rig::new();
    let pages = [PAGE_01, PAGE_02, PAGE_08, PAGE_0A, PAGE_1C].concat();
    let short = [0, 0, 0x03, 0xe8, 0, 0, 2, 0];
    let long = [0, 0, 0, 0, 0, 0, 0x03, 0xe8, 0, 0, 0, 0, 0, 0, 2, 0];
    let total = pages.len() as u8;
    assert_eq!(total, 72);
    for subpage in [0, 0xff] {
        let got = data(&rig.get(&sense_6(0, 0x3f, subpage, 255)));
        assert_eq!(got, [&[total + 11, 0, 0x10, 8][..], &short, &pages].concat());
    }
    let got = data(&rig.get(&sense_6(8, 0x3f, 0, 255)));
    assert_eq!(got, [&[total + 3, 0, 0x10, 0][..], &pages].concat());
    let got = data(&rig.get(&sense_10(0, 0x3f, 1000)));
    assert_eq!(got, [&[0, total + 14, 0, 0x10, 0, 0, 0, 8][..], &short, &pages].concat());
    let got = data(&rig.get(&sense_10(0x10, 0x3f, 1000)));
    assert_eq!(got, [&[0, total + 22, 0, 0x10, 1, 0, 0, 16][..], &long, &pages].concat());
    let got = data(&rig.get(&sense_10(0x18, 0x3f, 1000)));
    assert_eq!(got, [&[0, total + 6, 0, 0x10, 0, 0, 0, 0][..], &pages].concat());
    for allocation in 0..=100u8 {
        let reply = rig.get(&sense_6(0, 0x3f, 0, allocation));
        assert_eq!(data(&reply).len(), usize::from(allocation).min(84));
        let reply = rig.get(&sense_10(0, 0x3f, u16::from(allocation)));
        assert_eq!(data(&reply).len(), usize::from(allocation).min(88));
    }
}

#[test]
fn page_controls() {
    let mut rig = Rig::with(|c| c.write_cache = false);
    assert_good(&select(&mut rig, &caching(1)));
    let mut page = |pc: u8, code: u8| data(&rig.get(&sense_6(8, pc << 6 | code, 0, 255)))[4..].to_vec();
    assert_eq!(page(0, 0x08), PAGE_08);
    assert_eq!(page(1, 0x08), PAGE_08, "WCE alone is changeable");
    assert_eq!(page(2, 0x08), caching(0));
    assert_eq!(page(1, 0x0a), [0x0a, 0x0a, 4, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(page(1, 0x01), PAGE_01);
    assert_eq!(page(1, 0x1c), [0x1c, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let reply = rig.get(&sense_6(8, 0xc0 | 0x08, 0, 255));
    assert_eq!(sense(&reply), (5, 0x3900));
    assert_eq!(field(&reply), (0xcf, 2));
}

#[test]
fn pages_that_are_not_there() {
    let mut rig = Rig::new();
    for code in (0..0x3f).filter(|code| ![1, 2, 8, 0x0a, 0x1c].contains(code)) {
        assert_cdb_field(&rig.get(&sense_6(0, code, 0, 255)), 2, Some(5));
    }
    assert_cdb_field(&rig.get(&sense_6(0, 0x0a, 1, 255)), 3, None);
    assert_cdb_field(&rig.get(&sense_6(0x10, 0x0a, 0, 255)), 1, Some(4));
}

#[test]
fn a_block_count_beyond_32_bits() {
    let mut rig = Rig::with(|c| c.blocks = 1 << 33);
    assert_eq!(data(&rig.get(&sense_6(0, 1, 0, 255)))[4..12], [0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0]);
    assert_eq!(data(&rig.get(&sense_10(0x10, 1, 255)))[8..16], (1u64 << 33).to_be_bytes());
}

#[test]
fn write_cache_off_flushes_and_makes_writes_go_through() {
    let mut rig = Rig::new();
    assert_good(&select(&mut rig, &caching(0)));
    assert_eq!(rig.ops, [Op::Flush]);
    assert_good(&select(&mut rig, &control(1, 0)));
    assert_good(&select(&mut rig, &[caching(0), control(0, 0)].concat()));
    assert!(rig.ops.is_empty(), "it was off, and a page that does not come is kept");
    assert_good(&rig.put(&block_cdb(0x2a, 0, 0, 1), &[1; 512]));
    assert!(matches!(rig.ops[0], Op::Write { fua: true, .. }));
    assert_good(&select(&mut rig, &caching(1)));
    assert!(rig.ops.is_empty());
    assert_good(&rig.put(&block_cdb(0x2a, 0, 0, 1), &[1; 512]));
    assert!(matches!(rig.ops[0], Op::Write { fua: false, .. }));
}

#[test]
fn d_sense_chooses_the_format_of_sense_data() {
    let mut rig = Rig::new();
    assert_good(&select(&mut rig, &control(1, 0)));
    let reply = rig.get(&[0x12, 0, 0x80, 0, 255, 0]);
    let want = [0x72, 5, 0x24, 0, 0, 0, 0, 8, 2, 6, 0, 0, 0xc0, 0, 2, 0];
    assert_eq!(reply.response.sense.unwrap()[..], want);
    assert_good(&select(&mut rig, &control(0, 0)));
    assert_cdb_field(&rig.get(&[0x12, 0, 0x80, 0, 255, 0]), 2, None);
}

#[test]
fn swp_protects() {
    let mut rig = Rig::new();
    assert_good(&select(&mut rig, &control(0, 1)));
    assert_eq!(sense(&rig.put(&block_cdb(0x2a, 0, 0, 1), &[1; 512])), (7, 0x2702));
    assert_eq!(data(&rig.get(&sense_6(8, 0x3f, 0, 255)))[2], 0x90);
    assert_good(&select(&mut rig, &control(0, 0)));
    assert_good(&rig.put(&block_cdb(0x2a, 0, 0, 1), &[1; 512]));
}

#[test]
fn the_other_nexuses_learn_of_a_change_and_only_of_a_change() {
    let mut rig = Rig::new();
    assert_good(&select(&mut rig, &caching(1)));
    assert_good(&rig.run_as(OTHER, &[0; 6], 0, &[]));
    assert_good(&select(&mut rig, &caching(0)));
    assert_good(&rig.get(&[0; 6]));
    assert_eq!(sense(&rig.run_as(OTHER, &[0; 6], 0, &[])), (6, 0x2a01));
    assert_good(&rig.run_as(OTHER, &[0; 6], 0, &[]));
}

/// What MODE SENSE returned may be sent back as it is, in all forms.
#[test]
fn what_was_sensed_can_be_selected() {
    let mut rig = Rig::new();
    for (flags, allocation) in [(0, 255), (8, 255)] {
        let mut list = data(&rig.get(&sense_6(flags, 0x3f, 0, allocation)));
        list[0] = 0;
        assert_good(&rig.put(&[0x15, 0x10, 0, 0, list.len() as u8, 0], &list));
    }
    for flags in [0, 8, 0x10] {
        let mut list = data(&rig.get(&sense_10(flags, 0x3f, 255)));
        list[1] = 0;
        assert_good(&rig.put(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, list.len() as u8, 0], &list));
    }
    assert_good(&rig.put(&[0x15, 0x10, 0, 0, 0, 0], &[]));
    assert_good(&rig.put(&[0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]));
}

/// Any single bit that is not changeable and not as it was is refused where it stands, and nothing is changed.
#[test]
fn every_constant_bit_is_held() {
    let mut rig = Rig::new();
    for page in [PAGE_01, PAGE_02, PAGE_08, PAGE_0A, PAGE_1C] {
        for at in 2..page.len() {
            for bit in 0..8u8 {
                let changeable = matches!((page[0], at, bit), (8, 2, 2) | (0x0a, 2, 2) | (0x0a, 4, 3));
                if changeable {
                    continue;
                }
                let mut bad = page.to_vec();
                bad[at] ^= 1 << bit;
                // A valid change before the bad page must not be taken over.
                let reply = select(&mut rig, &[&caching(0), &bad[..]].concat());
                assert_list_field(&reply, (4 + 20 + at) as u16, Some(bit));
                assert!(rig.unit.modes().write_cache);
            }
        }
    }
}

#[test]
fn bad_parameter_lists() {
    let mut rig = Rig::new();
    let mut put = |cdb_flags: u8, list: &[u8]| rig.put(&[0x15, cdb_flags, 0, 0, list.len() as u8, 0], list);
    assert_cdb_field(&put(0x00, &[0; 4]), 1, Some(4));
    assert_cdb_field(&put(0x11, &[0; 4]), 1, Some(0));
    for short in 1..4 {
        assert_eq!(sense(&put(0x10, &vec![0; short])), (5, 0x1a00));
    }
    assert_list_field(&put(0x10, &[0, 1, 0, 0]), 1, None);
    assert_list_field(&put(0x10, &[0, 0, 0x01, 0]), 2, None);
    assert_list_field(&put(0x10, &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 2]), 3, None);
    assert_eq!(sense(&put(0x10, &[0, 0, 0, 8, 0, 0, 0, 0])), (5, 0x1a00));
    assert_list_field(&put(0x10, &[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 2, 0]), 4, None);
    assert_list_field(&put(0x10, &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 4, 0]), 10, None);
    for count in [[0; 4], [0xff; 4], [0, 0, 0x03, 0xe8]] {
        let list = [&[0, 0, 0, 8][..], &count, &[0, 0, 2, 0]].concat();
        assert_good(&put(0x10, &list));
    }
    assert_list_field(&put(0x10, &[0, 0, 0, 0, 0x03, 0x16]), 4, Some(5));
    assert_list_field(&put(0x10, &[0, 0, 0, 0, 0x4a, 0x01, 0, 0x1c]), 4, Some(6));
    assert_list_field(&put(0x10, &[0, 0, 0, 0, 0x0a, 0x0b]), 5, None);
    assert_eq!(sense(&put(0x10, &[0, 0, 0, 0, 0x0a])), (5, 0x1a00));
    let whole = [&[0; 4], PAGE_0A].concat();
    for cut in 5..whole.len() {
        assert_eq!(sense(&put(0x10, &whole[..cut])), (5, 0x1a00), "{cut}");
    }
    // The CDB says more than arrives.
    assert_eq!(sense(&rig.put(&[0x15, 0x10, 0, 0, 16, 0], &whole[..15])), (5, 0x1a00));
}

#[test]
fn bad_parameter_lists_of_ten() {
    let mut rig = Rig::new();
    let mut put = |list: &[u8]| rig.put(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, list.len() as u8, 0], list);
    assert_eq!(sense(&put(&[0; 7])), (5, 0x1a00));
    assert_list_field(&put(&[0, 0, 1, 0, 0, 0, 0, 0]), 2, None);
    assert_list_field(&put(&[0, 0, 0, 2, 0, 0, 0, 0]), 3, None);
    assert_list_field(&put(&[0, 0, 0, 0, 2, 0, 0, 0]), 4, None);
    assert_list_field(&put(&[0, 0, 0, 0, 1, 0, 0, 8]), 6, None);
    assert_list_field(&put(&[0, 0, 0, 0, 0, 0, 1, 8]), 6, None);
    let long = [&[0, 0, 0, 0, 1, 0, 0, 16][..], &[0; 15], &[1]].concat();
    assert_list_field(&put(&long), 8 + 8 + 6, None);
}
