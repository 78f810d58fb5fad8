//! The decoders of answers, called as C would call them, with good, short and hostile input.

use std::ffi::{CStr, c_char};
use std::ptr;

use iscsicore::scsi::vpd::{Association, BlockLimits, Designator, page};
use iscsicore::scsi::{
    AdditionalSense, FieldPointer, Sense, SenseFormat, SenseKey, StandardInquiry, Status as Scsi,
};
use iscsicore_ffi::scsi::*;
use iscsicore_ffi::status::iscsicore_status as Status;

fn zeroed<T: Copy>() -> T {
    // SAFETY: numbers.
    unsafe { std::mem::zeroed() }
}

/// A result, from a function that writes it to a place.
#[track_caller]
fn got<T: Copy>(read: impl FnOnce(*mut T) -> Status) -> T {
    let mut place = zeroed();
    assert_eq!(read(&mut place), Status::Ok);
    place
}

/// A text, from a function that writes it into a buffer.
fn text(write: impl Fn(*mut c_char, usize, *mut usize) -> Status) -> Result<String, Status> {
    let (mut buffer, mut len) = ([0x55 as c_char; 700], 0);
    match write(buffer.as_mut_ptr(), 700, &mut len) {
        Status::Ok => {}
        status => return Err(status),
    }
    // SAFETY: a NUL is there, as the next line sees.
    let text = unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_str().unwrap().to_owned();
    assert_eq!(text.len(), len);
    // It needs exactly so much room, and touches nothing where it has less.
    let mut small = [0x55 as c_char; 700];
    assert_eq!(write(small.as_mut_ptr(), len, &mut len), Status::BufferTooSmall);
    assert!(small.iter().all(|byte| *byte == 0x55));
    assert_eq!(write(small.as_mut_ptr(), len + 1, &mut len), Status::Ok);
    assert_eq!(write(ptr::null_mut(), len + 1, &mut len), Status::NullPointer);
    assert_eq!(write(small.as_mut_ptr(), len + 1, ptr::null_mut()), Status::NullPointer);
    Ok(text)
}

/// Bytes that look like nothing, and like much.
fn hostile() -> Vec<Vec<u8>> {
    let mut all = vec![vec![], vec![0; 300], vec![0xff; 300]];
    for first in [0x00, 0x70, 0x71, 0x72, 0x73, 0xf0, 0xf2, 0x80, 0x83, 0xb0] {
        for filler in [0x00, 0x0d, 0x7f, 0x80, 0xff] {
            let mut bytes = vec![filler; 255];
            (bytes[0], bytes[1]) = (first, first);
            all.extend((0..40).chain([254]).map(|len| bytes[..len].to_vec()));
            bytes[0] = 0;
            all.extend((0..40).chain([254]).map(|len| bytes[..len].to_vec()));
        }
    }
    all
}

#[test]
fn sense_data_are_read_and_written() {
    let sense = Sense {
        information: Some(0x1_2345_6789),
        command_specific: Some(7),
        field: Some(FieldPointer::data_bit(0x1234, 5)),
        incorrect_length: true,
        deferred: true,
        ..Sense::new(SenseKey::IllegalRequest, AdditionalSense::INVALID_FIELD_IN_PARAMETER_LIST)
    };
    for (number, format) in [(0, SenseFormat::Fixed), (1, SenseFormat::Descriptor)] {
        let bytes = sense.encode(format);
        // SAFETY: as C would.
        let read = got(|place| unsafe { iscsicore_sense_decode(bytes.as_ptr(), bytes.len(), place) });
        assert_eq!((read.key, read.asc, read.ascq), (5, 0x26, 0));
        assert_eq!((read.has_field, read.field_byte, read.field_in_data), (1, 0x1234, 1));
        assert_eq!((read.has_field_bit, read.field_bit, read.deferred), (1, 5, 1));
        assert_eq!((read.has_command_specific, read.command_specific), (1, 7));
        // 33 bits do not fit into the fixed format.
        let information = if number == 1 { (1, 0x1_2345_6789) } else { (0, 0) };
        assert_eq!((read.has_information, read.information), information);
        let (mut again, mut len) = ([0; 64], 0);
        // SAFETY: as C would.
        unsafe {
            let status = iscsicore_sense_encode(&read, number, again.as_mut_ptr(), 64, &mut len);
            assert_eq!(status, Status::Ok);
            assert_eq!(again[..len], bytes[..]);
            let status = iscsicore_sense_encode(&read, number, again.as_mut_ptr(), len - 1, &mut len);
            assert_eq!((status, len), (Status::BufferTooSmall, bytes.len()));
        }
        // SAFETY: as C would.
        let words = text(|b, c, l| unsafe { iscsicore_sense_text(bytes.as_ptr(), bytes.len(), b, c, l) });
        assert_eq!(words, Ok(Sense::decode(&bytes).unwrap().to_string()));
    }
    let progress = iscsicore_sense { key: 2, asc: 4, ascq: 4, has_progress: 1, progress: 0x8000, ..zeroed() };
    let (mut bytes, mut len) = ([0; 64], 0);
    // SAFETY: as C would.
    unsafe {
        assert_eq!(iscsicore_sense_encode(&progress, 0, bytes.as_mut_ptr(), 64, &mut len), Status::Ok);
        assert_eq!(got(|place| iscsicore_sense_decode(bytes.as_ptr(), len, place)), progress);
        for bad in [iscsicore_sense { key: 16, ..zeroed() }, iscsicore_sense { field_bit: 8, ..zeroed() }] {
            let status = iscsicore_sense_encode(&bad, 0, bytes.as_mut_ptr(), 64, &mut len);
            assert_eq!(status, Status::InvalidArgument);
        }
        let status = iscsicore_sense_encode(ptr::null(), 0, bytes.as_mut_ptr(), 64, &mut len);
        assert_eq!(status, Status::NullPointer);
    }
}

#[test]
fn hostile_sense_data_are_read_as_the_core_reads_them() {
    for bytes in hostile() {
        let want = Sense::decode(&bytes);
        let mut sense = zeroed();
        // SAFETY: as C would.
        let status = unsafe { iscsicore_sense_decode(bytes.as_ptr(), bytes.len(), &mut sense) };
        assert_eq!(status == Status::Ok, want.is_some(), "{bytes:02x?}");
        let Some(want) = want else {
            assert_eq!((status, sense), (Status::InvalidArgument, zeroed()));
            continue;
        };
        assert_eq!(sense, want.into());
        // SAFETY: as C would.
        let words = text(|b, c, l| unsafe { iscsicore_sense_text(bytes.as_ptr(), bytes.len(), b, c, l) });
        assert!(words.unwrap().len() < 512);
    }
}

#[test]
fn capacities() {
    let mut long = [0; 32];
    long[..16].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0x03, 0x13, 0xc0, 0x07]);
    // SAFETY: as C would.
    unsafe {
        let read = got(|place| iscsicore_capacity_decode(long.as_ptr(), 32, 1, place));
        let want = iscsicore_capacity {
            blocks: (1 << 32) + 1,
            block_size: 512,
            physical_block_size: 4096,
            lowest_aligned: 7,
            thin: true,
            read_zeroes: true,
            protection: 2,
        };
        assert_eq!(read, want);
        let short = [0, 0x1f, 0xff, 0xff, 0, 0, 2, 0];
        let read = got(|place| iscsicore_capacity_decode(short.as_ptr(), 8, 0, place));
        assert_eq!((read.blocks, read.block_size, read.thin), (0x20_0000, 512, false));
        let mut place = read;
        for (is_16, least) in [(0, 8), (1, 12)] {
            for len in 0..least {
                let status = iscsicore_capacity_decode(long.as_ptr(), len, is_16, &mut place);
                assert_eq!(status, Status::InvalidArgument);
            }
            let status = iscsicore_capacity_decode([0; 32].as_ptr(), 32, is_16, &mut place);
            assert_eq!(status, Status::InvalidArgument, "blocks of no bytes");
        }
        assert_eq!(place, read, "a failure writes nothing");
        assert_eq!(iscsicore_capacity_decode(ptr::null(), 8, 0, &mut place), Status::NullPointer);
        assert_eq!(iscsicore_capacity_decode(short.as_ptr(), 8, 0, ptr::null_mut()), Status::NullPointer);
        let read = got(|place| iscsicore_capacity_decode([0xff; 32].as_ptr(), 32, 1, place));
        assert_eq!((read.blocks, read.block_size), (u64::MAX, u32::MAX));
    }
}

fn chars(text: &[c_char]) -> &str {
    // SAFETY: a NUL is within, as the texts of the library have it.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap()
}

#[test]
fn inquiry_data() {
    let disk = StandardInquiry {
        peripheral: 0,
        vendor: *b"VENDOR  ",
        product: *b"a product of 16!",
        revision: *b"1\x07 \xff",
    };
    let bytes = disk.encode();
    // SAFETY: as C would.
    unsafe {
        let read = got(|place| iscsicore_inquiry_decode(bytes.as_ptr(), bytes.len(), place));
        assert_eq!((read.device_type, read.version, read.response_data_format), (0, 6, 2));
        assert!(read.command_queuing && !read.removable);
        assert_eq!(chars(&read.vendor), "VENDOR");
        assert_eq!(chars(&read.product), "a product of 16!");
        assert_eq!(chars(&read.revision), "1? ?");
        for len in 0..5 {
            let mut place = read;
            let status = iscsicore_inquiry_decode(bytes.as_ptr(), len, &mut place);
            assert_eq!((status, place), (Status::InvalidArgument, read));
        }
        for len in 5..bytes.len() {
            let part = got(|place| iscsicore_inquiry_decode(bytes.as_ptr(), len, place));
            assert_eq!(chars(&part.vendor).is_empty(), len <= 8);
        }
        let full = [0xff; 300];
        let read = got(|place| iscsicore_inquiry_decode(full.as_ptr(), 300, place));
        assert_eq!((chars(&read.vendor), chars(&read.revision)), ("????????", "????"));
    }
}

#[test]
fn lists() {
    let luns: Vec<u8> =
        [&[0, 0, 0, 24, 0, 0, 0, 0][..], &[0; 8], &[0, 1, 0, 0, 0, 0, 0, 0], &[1; 4]].concat();
    let (mut out, mut count) = ([9u64; 2], 0);
    // SAFETY: as C would.
    unsafe {
        let decode = |len, room, out: *mut u64, count: *mut usize| {
            iscsicore_luns_decode(luns.as_ptr(), len, out, room, count)
        };
        assert_eq!(decode(28, 2, out.as_mut_ptr(), &mut count), Status::Ok);
        assert_eq!((out, count), ([0, 1 << 48], 2), "what is cut off is left out");
        out = [9; 2];
        assert_eq!(decode(28, 1, out.as_mut_ptr(), &mut count), Status::BufferTooSmall);
        assert_eq!((out, count), ([9; 2], 2));
        assert_eq!(decode(8, 0, ptr::null_mut(), &mut count), Status::Ok);
        assert_eq!(count, 0);
        assert_eq!(decode(28, 2, ptr::null_mut(), &mut count), Status::NullPointer);
        for len in 0..8 {
            assert_eq!(decode(len, 2, out.as_mut_ptr(), &mut count), Status::InvalidArgument);
        }

        let status: Vec<u8> = [
            &[0, 0, 0, 36, 0, 0, 0, 0][..],
            &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 3, 1, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 3, 0, 0, 0],
        ]
        .concat();
        let mut runs: [iscsicore_lba_status; 2] = zeroed();
        let decoded =
            iscsicore_lba_status_decode(status.as_ptr(), status.len(), runs.as_mut_ptr(), 2, &mut count);
        assert_eq!((decoded, count), (Status::Ok, 2));
        let run = |lba, blocks, status| iscsicore_lba_status { lba, blocks, status };
        assert_eq!(runs, [run(5, 3, 1), run(8, 1, 3)]);

        let keys: Vec<u8> = [&[0, 0, 0, 7, 0, 0, 0, 8][..], &[0xab; 8]].concat();
        let mut generation = 0;
        let decoded =
            iscsicore_pr_keys_decode(keys.as_ptr(), 16, &mut generation, out.as_mut_ptr(), 2, &mut count);
        assert_eq!((decoded, generation, count, out[0]), (Status::Ok, 7, 1, 0xabab_abab_abab_abab));

        let mut held: Vec<u8> = [&[0, 0, 0, 7, 0, 0, 0, 16][..], &[0; 16]].concat();
        (held[15], held[21]) = (0x44, 5);
        let read = got(|place| iscsicore_pr_reservation_decode(held.as_ptr(), 24, place));
        assert_eq!((read.held, read.key, read.generation, read.reservation_type), (true, 0x44, 7, 5));
        let read = got(|place| iscsicore_pr_reservation_decode([0; 8].as_ptr(), 8, place));
        assert_eq!((read.held, read.key), (false, 0));
        let mut place = read;
        for len in 0..20 {
            let status = iscsicore_pr_reservation_decode(held.as_ptr(), len, &mut place);
            assert_eq!(status, Status::InvalidArgument, "{len}");
        }
    }
}

#[test]
fn pages() {
    let mut names = Vec::new();
    Designator::Naa(&[0x60, 1, 2, 3, 4, 5, 6, 7]).emit(Association::LogicalUnit, &mut names);
    Designator::NameString("iqn.a:b,t,0x0001").emit(Association::TargetPort, &mut names);
    let names = page(0x83, &names);
    // SAFETY: as C would.
    unsafe {
        let mut found = zeroed::<iscsicore_designator>();
        let mut name = |at, bytes: &[u8]| {
            let place = &raw mut found;
            let name = text(|b, c, l| {
                iscsicore_vpd_designator_decode(bytes.as_ptr(), bytes.len(), at, place, b, c, l)
            });
            (name, *place)
        };
        let (first, what) = name(0, &names);
        assert_eq!(first.unwrap(), "naa.6001020304050607");
        assert_eq!((what.association, what.designator_type, what.code_set, what.protocol), (0, 3, 1, -1));
        let (second, what) = name(1, &names);
        assert_eq!(second.unwrap(), "iqn.a:b,t,0x0001");
        assert_eq!((what.association, what.designator_type, what.code_set, what.protocol), (1, 8, 3, 5));
        assert_eq!(name(2, &names).0, Err(Status::Unknown));
        assert_eq!(name(0, &names[..10]).0, Err(Status::Unknown));
        assert_eq!(name(0, &names[..3]).0, Err(Status::InvalidArgument));

        let serial = page(0x80, b"  serial-1 ");
        let words = text(|b, c, l| iscsicore_vpd_serial_decode(serial.as_ptr(), serial.len(), b, c, l));
        assert_eq!(words.unwrap(), "serial-1");
        let words = text(|b, c, l| iscsicore_vpd_serial_decode(names.as_ptr(), names.len(), b, c, l));
        assert_eq!(words, Err(Status::InvalidArgument));
        let (mut codes, mut len) = ([0; 8], 0);
        let supported = page(0, &[0, 0x80, 0x83]);
        let status = iscsicore_vpd_pages_decode(supported.as_ptr(), 7, codes.as_mut_ptr(), 8, &mut len);
        assert_eq!((status, &codes[..len]), (Status::Ok, &[0, 0x80, 0x83][..]));

        let mut limits =
            BlockLimits { max_transfer: 1000, unmap_alignment: Some(3), ..BlockLimits::default() };
        (limits.max_compare_and_write, limits.max_write_same) = (9, 1 << 40);
        let bytes = limits.encode();
        let read = got(|place| iscsicore_vpd_block_limits_decode(bytes.as_ptr(), bytes.len(), place));
        assert_eq!((read.max_transfer, read.max_compare_and_write), (1000, 9));
        assert_eq!((read.max_write_same, read.has_unmap_alignment, read.unmap_alignment), (1 << 40, true, 3));
        let bytes = page(0xb1, &[0x1c, 0x20, 0, 3, 0x02]);
        let read =
            got(|place| iscsicore_vpd_block_characteristics_decode(bytes.as_ptr(), bytes.len(), place));
        assert_eq!((read.rotation_rate, read.form_factor, read.fua_behaviour), (7200, 3, true));
        let bytes = page(0xb2, &[1, 0xe6, 0x12, 5]);
        let read = got(|place| iscsicore_vpd_provisioning_decode(bytes.as_ptr(), bytes.len(), place));
        assert!(read.unmap && read.write_same_16 && read.write_same_10 && read.anchor);
        assert_eq!((read.read_zeroes, read.provisioning_type, read.minimum_percentage), (1, 2, 2));
        let bytes = page(0x86, &[0, 0x07, 0x01, 0, 0, 0, 0, 90, 0, 252]);
        let read = got(|place| iscsicore_vpd_extended_inquiry_decode(bytes.as_ptr(), bytes.len(), place));
        assert!(read.simple && read.head_of_queue && read.volatile_cache && !read.non_volatile_cache);
        assert_eq!(read.max_sense_len, 252);
    }
}

// Goal: no page makes a decoder fail in another way than it says, or write more than it says.
#[test]
fn hostile_pages() {
    for mut bytes in hostile() {
        for code in [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2] {
            if let Some(byte) = bytes.get_mut(1) {
                *byte = code;
            }
            let (at, len) = (bytes.as_ptr(), bytes.len());
            let mut count = 0;
            // SAFETY: as C would.
            let answers = unsafe {
                [
                    iscsicore_vpd_pages_decode(at, len, [0; 300].as_mut_ptr(), 300, &mut count),
                    iscsicore_vpd_block_limits_decode(at, len, &mut zeroed()),
                    iscsicore_vpd_block_characteristics_decode(at, len, &mut zeroed()),
                    iscsicore_vpd_provisioning_decode(at, len, &mut zeroed()),
                    iscsicore_vpd_extended_inquiry_decode(at, len, &mut zeroed()),
                ]
            };
            for (page, status) in [0x00, 0xb0, 0xb1, 0xb2, 0x86].into_iter().zip(answers) {
                let want = if len >= 4 && page == code { Status::Ok } else { Status::InvalidArgument };
                assert_eq!(status, want, "{page:02x} {bytes:02x?}");
            }
            for index in 0..300 {
                // SAFETY: as C would.
                let name = text(|b, c, l| unsafe {
                    iscsicore_vpd_designator_decode(at, len, index, &mut zeroed(), b, c, l)
                });
                match name {
                    Ok(name) => assert!(name.len() < 640, "{}", name.len()),
                    Err(status) => {
                        assert!(matches!(status, Status::Unknown | Status::InvalidArgument));
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn names() {
    for status in 0..=255 {
        // SAFETY: a string that lives for ever.
        let name = unsafe { CStr::from_ptr(iscsicore_scsi_status_text(status)) }.to_str().unwrap();
        assert_eq!(name, Scsi(status as u8).name().unwrap_or("unknown status"));
    }
    // SAFETY: as C would.
    unsafe {
        assert_eq!(CStr::from_ptr(iscsicore_scsi_status_text(-1)), c"unknown status");
        let name = |cdb: &[u8]| text(|b, c, l| iscsicore_cdb_name(cdb.as_ptr(), cdb.len(), b, c, l));
        assert_eq!(name(&[0x28]).unwrap(), "READ(10)");
        assert_eq!(name(&[0x5f, 0]).unwrap(), "PERSISTENT RESERVE OUT (REGISTER)");
        for opcode in 0..=255 {
            for action in 0..32 {
                assert!(name(&[opcode, action]).unwrap().len() < 128);
            }
        }
        assert_eq!(name(&[]), Err(Status::InvalidArgument));
        assert_eq!(name(&[0; 261]), Err(Status::InvalidArgument));
    }
}
