//! Both roles on one another: the initiator's commands, carried out by the disk of this crate, and its answers decoded.
//! And every decoder on bytes that nobody in his right mind would send.

// The rig has more than this file needs.
#[allow(dead_code)]
#[path = "disk/rig.rs"]
mod rig;

use bytes::Bytes;
use iscsicore::disk::{Allocation, Provisioning, Reply, report_luns};
use iscsicore::initiator::{Command, commands as c};
use iscsicore::scsi::mode::{self, BlockDescriptor, CachingPage, ControlPage, ModeData};
use iscsicore::scsi::reservation::{Capabilities, FullStatus, Keys, Reservation};
use iscsicore::scsi::vpd::{self, Association, Designator};
use iscsicore::scsi::*;
use iscsicore::wire::Lun;
use proptest::prelude::*;
use rig::{BLOCKS, ME, Rig, data, pattern};

const LUN: Lun = Lun::ZERO;

/// Hands `command` to the unit as a transport would.
fn run(rig: &mut Rig, command: &Command) -> Reply {
    let reply = rig.run_as(ME, command.cdb.first(), command.data_in, &command.data_out.to_bytes());
    assert!(reply.data.len() <= command.data_in as usize);
    reply
}

/// The payload of a query that succeeds.
fn ask(rig: &mut Rig, command: &Command) -> Vec<u8> {
    data(&run(rig, command))
}

fn sense(reply: &Reply) -> Sense {
    Sense::decode(reply.response.sense.as_ref().unwrap()).unwrap()
}

#[test]
fn inquiry() {
    let inquiry = Inquiry::decode(&ask(&mut Rig::new(), &c::inquiry(LUN))).unwrap();
    assert!(inquiry.is_present() && inquiry.command_queuing && !inquiry.removable);
    assert_eq!((inquiry.device_type, inquiry.version_name()), (DeviceType::DISK, Some("SPC-4")));
    assert_eq!(inquiry.version_descriptors, [0x00a0, 0x0460, 0x04c0]);
    assert!(!inquiry.vendor.is_empty() && !inquiry.vendor.ends_with(' '));
}

#[test]
fn vital_product_data() {
    let rig = &mut Rig::new();
    let pages = ask(rig, &c::vpd(LUN, vpd::SUPPORTED_PAGES));
    assert_eq!(vpd::decode_supported_pages(&pages), Some(&[0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2][..]));
    let serial = ask(rig, &c::vpd(LUN, vpd::UNIT_SERIAL_NUMBER));
    assert_eq!(vpd::decode_serial(&serial).as_deref(), Some("serial-7"));

    let identification = ask(rig, &c::vpd(LUN, vpd::DEVICE_IDENTIFICATION));
    let names = vpd::decode_designations(&identification).unwrap();
    assert!(names.iter().all(|name| name.association == Association::LogicalUnit));
    let naa = names[0].designator;
    assert!(matches!(naa, Designator::Naa(id) if id.len() == 8 || id.len() == 16), "{naa:?}");
    assert!(
        matches!(names[1].designator, Designator::T10Vendor { specific, .. } if specific.ends_with(b"serial-7"))
    );
    assert_eq!(names[2].designator.to_string().to_lowercase(), naa.to_string());

    let extended = ask(rig, &c::vpd(LUN, vpd::EXTENDED_INQUIRY));
    assert!(vpd::ExtendedInquiry::decode(&extended).unwrap().simple);
    let limits = vpd::BlockLimits::decode(&ask(rig, &c::vpd(LUN, vpd::BLOCK_LIMITS))).unwrap();
    assert_eq!((limits.max_transfer, limits.optimal_transfer), (256, 8));
    assert_eq!((limits.max_unmap_blocks, limits.max_unmap_descriptors, limits.max_write_same), (500, 4, 300));
    assert!(limits.write_same_non_zero && limits.unmap_alignment == Some(0));
    let page = ask(rig, &c::vpd(LUN, vpd::BLOCK_DEVICE_CHARACTERISTICS));
    assert_eq!(vpd::BlockDeviceCharacteristics::decode(&page).unwrap().rotation, vpd::Rotation::None);
    let page = ask(rig, &c::vpd(LUN, vpd::LOGICAL_BLOCK_PROVISIONING));
    let provisioning = vpd::LogicalBlockProvisioning::decode(&page).unwrap();
    assert!(provisioning.is_thin() && provisioning.reads_zeroes() && !provisioning.anchor);
    assert!(provisioning.unmap && provisioning.write_same_16 && provisioning.write_same_10);
}

#[test]
fn capacity() {
    let thin = &mut Rig::with(|config| config.physical_block_exponent = 3);
    let ten = Capacity::decode_10(&ask(thin, &c::read_capacity_10(LUN))).unwrap();
    assert_eq!((ten.blocks, ten.block_size, ten.thin), (BLOCKS, 512, false));
    let sixteen = Capacity::decode_16(&ask(thin, &c::read_capacity_16(LUN))).unwrap();
    assert_eq!((sixteen.blocks, sixteen.block_size, sixteen.physical_block_size), (BLOCKS, 512, 4096));
    assert!(sixteen.thin && sixteen.read_zeroes && sixteen.protection == 0);

    let large = &mut Rig::with(|config| {
        config.blocks = 1 << 40;
        config.provisioning = Provisioning::Full;
    });
    assert_eq!(Capacity::decode_10(&ask(large, &c::read_capacity_10(LUN))).unwrap().blocks, Capacity::ASK_16);
    let capacity = Capacity::decode_16(&ask(large, &c::read_capacity_16(LUN))).unwrap();
    assert_eq!((capacity.blocks, capacity.thin), (1 << 40, false));
}

#[test]
fn luns() {
    let luns: Vec<Lun> = [0, 7, 300].into_iter().filter_map(Lun::from_number).collect();
    let list = decode_luns(&data(&report_luns(&c::report_luns(LUN).cdb, &luns))).unwrap();
    assert_eq!((list.entries, list.complete), (luns, true));
}

#[test]
fn lba_status() {
    let rig = &mut Rig::new();
    rig.extents = vec![(8 * 512, Allocation::Mapped), (92 * 512, Allocation::Deallocated)];
    let answer = ask(rig, &c::get_lba_status(LUN, 100, 8 + 16 * 4).unwrap());
    let list = decode_lba_status(&answer).unwrap();
    let want = [
        LbaStatus { lba: 100, blocks: 8, status: ProvisioningStatus::Mapped },
        LbaStatus { lba: 108, blocks: 92, status: ProvisioningStatus::Deallocated },
    ];
    assert_eq!((list.entries, list.complete), (want.to_vec(), true));
}

#[test]
fn supported_commands() {
    let rig = &mut Rig::new();
    let list = decode_supported_commands(&ask(rig, &c::report_supported_opcodes(LUN))).unwrap();
    assert!(list.complete && list.entries.len() > 30);
    for command in &list.entries {
        let action = command.service_action;
        let answer = ask(rig, &c::report_opcode_support(LUN, command.opcode, action));
        let support = decode_command_support(&answer).unwrap();
        assert_eq!(support.support, Support::Standard, "{command:?}");
        assert_eq!((support.usage[0], support.usage.len()), (command.opcode, usize::from(command.cdb_len)));
    }
    let answer = ask(rig, &c::report_opcode_support(LUN, 0xc0, None));
    assert_eq!(decode_command_support(&answer).unwrap().support, Support::No);
}

#[test]
fn modes_are_read_changed_and_read_again() {
    let rig = &mut Rig::with(|config| config.write_cache = true);
    let answer = ask(rig, &c::mode_sense_6(LUN, mode::ALL_PAGES, 0));
    let modes = ModeData::decode_6(&answer).unwrap();
    assert!(!modes.write_protected && modes.dpo_fua && modes.pages.len() == mode::PAGES.len());
    assert_eq!(modes.block_descriptor, Some(BlockDescriptor { blocks: BLOCKS, block_size: 512 }));
    let caching = modes.page(mode::CACHING, 0).unwrap();
    assert!(CachingPage::decode(caching).unwrap().write_cache);
    let control = modes.page(mode::CONTROL, 0).unwrap();
    let told = ControlPage::decode(control).unwrap();
    assert!(told.queue_algorithm == 1 && !told.descriptor_sense && !told.software_write_protect);

    let mut page = control.bytes.to_vec();
    page[2] |= 0x04; // D_SENSE
    page[4] |= 0x08; // SWP
    assert!(run(rig, &c::mode_select_6(LUN, &page, c::Save::No).unwrap()).response.is_good());
    let mut page = caching.bytes.to_vec();
    page[2] &= !0x04; // WCE
    assert!(run(rig, &c::mode_select_10(LUN, &page, c::Save::No).unwrap()).response.is_good());

    let answer = ask(rig, &c::mode_sense_10(LUN, mode::ALL_PAGES, 0));
    let modes = ModeData::decode_10(&answer).unwrap();
    assert!(modes.write_protected);
    assert!(!CachingPage::decode(modes.page(mode::CACHING, 0).unwrap()).unwrap().write_cache);
    let told = ControlPage::decode(modes.page(mode::CONTROL, 0).unwrap()).unwrap();
    assert!(told.descriptor_sense && told.software_write_protect);
    // Sense data come in descriptor format now.
    let sense = sense(&run(rig, &c::write(LUN, 0, pattern(512), 512).unwrap()));
    assert_eq!(sense.key, SenseKey::DataProtect);
    assert_eq!(sense.to_string(), "DATA PROTECT: LOGICAL UNIT SOFTWARE WRITE PROTECTED (7/27/02)");
}

#[test]
fn sense_data() {
    let rig = &mut Rig::new();
    let told = sense(&run(rig, &c::read(LUN, BLOCKS, 1, 512).unwrap()));
    assert_eq!((told.key, told.information), (SenseKey::IllegalRequest, Some(BLOCKS)));
    let text = "ILLEGAL REQUEST: LOGICAL BLOCK ADDRESS OUT OF RANGE (5/21/00)";
    assert!(told.to_string().starts_with(text), "{told}");
    let told = sense(&run(rig, &c::reserve_6(LUN)));
    assert_eq!(told.additional, AdditionalSense::INVALID_COMMAND_OPERATION_CODE);
    // A question for the sense of a unit without any, in both formats.
    for format in [SenseFormat::Fixed, SenseFormat::Descriptor] {
        let told = Sense::decode(&ask(rig, &c::request_sense(LUN, format))).unwrap();
        assert_eq!(told.to_string(), "NO SENSE: NO ADDITIONAL SENSE INFORMATION (0/00/00)");
    }
}

/// What the constructors make is what the disk takes: data written, compared, made the same, and unmapped.
#[test]
fn blocks() {
    let rig = &mut Rig::new();
    let bytes = pattern(4 * 512);
    let good = |rig: &mut Rig, command: &Command| {
        let reply = run(rig, command);
        assert!(reply.response.is_good(), "{}: {}", command.name(), sense(&reply));
        data(&reply)
    };
    good(rig, &c::write_with(LUN, 10, bytes.clone(), 512, c::Access::FUA).unwrap());
    assert_eq!(good(rig, &c::read(LUN, 10, 4, 512).unwrap()), bytes);
    good(rig, &c::flush(LUN));
    good(rig, &c::flush_range(LUN, 10, 4));
    good(rig, &c::verify(LUN, 10, 4).unwrap());
    good(rig, &c::verify_data(LUN, 10, bytes.clone(), 512).unwrap());
    let reply = run(rig, &c::verify_data(LUN, 11, bytes.clone(), 512).unwrap());
    assert_eq!(sense(&reply).key, SenseKey::Miscompare);
    let block = Bytes::from(pattern(512));
    good(rig, &c::write_same(LUN, 20, 3, block.clone(), c::Deallocate::No).unwrap());
    assert_eq!(good(rig, &c::read(LUN, 22, 1, 512).unwrap()), block);
    good(rig, &c::write_same(LUN, 20, 2, Bytes::from(vec![0; 512]), c::Deallocate::Allowed).unwrap());
    good(rig, &c::write_zeroes(LUN, 22, 1, c::Deallocate::No).unwrap());
    assert_eq!(good(rig, &c::read(LUN, 20, 3, 512).unwrap()), [0; 3 * 512]);
    good(rig, &c::unmap(LUN, &[(10, 1), (12, 2)]).unwrap());
    let left = good(rig, &c::read(LUN, 10, 4, 512).unwrap());
    assert_eq!(
        (&left[..512], &left[512..1024], &left[1024..]),
        (&[0; 512][..], &bytes[512..1024], &[0; 1024][..])
    );
    good(rig, &c::test_unit_ready(LUN));
    good(rig, &c::start_stop(LUN, c::StartStop::Stop));
    assert_eq!(sense(&run(rig, &c::test_unit_ready(LUN))).key, SenseKey::NotReady);
    good(rig, &c::start_stop(LUN, c::StartStop::Start));
}

/// Runs every decoder; that none of them panics is the point. What they return has no more entries than `data` has
/// room for.
fn decode_all(data: &[u8]) {
    let bounded = |entries: usize, size: usize| assert!(entries * size <= data.len());
    if let Some(sense) = Sense::decode(data) {
        assert!(!sense.to_string().is_empty());
    }
    if let Some(inquiry) = Inquiry::decode(data) {
        bounded(inquiry.vendor.len() + inquiry.product.len() + inquiry.revision.len(), 1);
        bounded(inquiry.version_descriptors.len(), 2);
        assert!(!inquiry.device_type.to_string().is_empty());
    }
    for capacity in [Capacity::decode_10(data), Capacity::decode_16(data)].into_iter().flatten() {
        assert!(capacity.block_size > 0 && capacity.blocks > 0);
        assert!(capacity.physical_block_size >= capacity.block_size && capacity.bytes() > 0);
    }
    decode_luns(data).inspect(|list| bounded(list.entries.len(), 8));
    decode_lba_status(data).inspect(|list| {
        bounded(list.entries.len(), 16);
        assert!(list.entries.iter().all(|run| run.blocks > 0));
    });
    decode_supported_commands(data).inspect(|list| bounded(list.entries.len(), 8));
    decode_command_support(data).inspect(|support| bounded(support.usage.len(), 1));
    for modes in [ModeData::decode_6(data), ModeData::decode_10(data)].into_iter().flatten() {
        bounded(modes.pages.iter().map(|page| page.bytes.len()).sum(), 1);
        bounded(modes.pages.len(), 2);
        for page in &modes.pages {
            let _ = (CachingPage::decode(page), ControlPage::decode(page));
        }
    }
    decode_vpd(data);
    Keys::decode(data).inspect(|keys| bounded(keys.keys.len(), 8));
    FullStatus::decode(data).inspect(|status| {
        bounded(status.registrations.len(), 24);
        status.registrations.iter().for_each(|r| assert!(r.initiator.to_string().len() <= 2 * data.len()));
    });
    let _ = (Reservation::decode(data), Capabilities::decode(data));
    if let Some(cdb) = Cdb::from_slice(data) {
        assert!(!cdb.name().is_empty());
    }
}

fn decode_vpd(data: &[u8]) {
    if let Some(page) = vpd::Page::decode(data) {
        assert!(page.payload.len() + 4 <= page.whole_len);
    }
    let _ = (vpd::decode_supported_pages(data), vpd::decode_serial(data));
    if let Some(names) = vpd::decode_designations(data) {
        assert!(names.len() * 4 <= data.len());
        names.iter().for_each(|name| assert!(name.designator.to_string().len() <= 3 * data.len() + 32));
    }
    let _ = (vpd::ExtendedInquiry::decode(data), vpd::BlockLimits::decode(data));
    let _ = (vpd::BlockDeviceCharacteristics::decode(data), vpd::LogicalBlockProvisioning::decode(data));
}

/// The answers of a real unit, cut at every byte, and with every byte turned into its opposite.
#[test]
fn answers_that_are_cut_or_lie() {
    let rig = &mut Rig::new();
    let mut commands: Vec<Command> =
        [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2].into_iter().map(|page| c::vpd(LUN, page)).collect();
    commands.extend([
        c::inquiry(LUN),
        c::read_capacity_10(LUN),
        c::read_capacity_16(LUN),
        c::report_luns(LUN),
        c::get_lba_status(LUN, 0, 240).unwrap(),
        c::report_supported_opcodes(LUN),
        c::report_opcode_support(LUN, 0x28, None),
        c::mode_sense_6(LUN, mode::ALL_PAGES, 0xff),
        c::mode_sense_10(LUN, mode::ALL_PAGES, 0xff),
        c::request_sense(LUN, SenseFormat::Fixed),
        c::request_sense(LUN, SenseFormat::Descriptor),
    ]);
    for command in &commands {
        let mut answer = ask(rig, command);
        for at in 0..answer.len() {
            decode_all(&answer[..at]);
            answer[at] ^= 0xff;
            decode_all(&answer);
            answer[at] ^= 0xff;
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode_all(&data);
    }

    /// Bytes whose beginnings the decoders look for, so that they get further.
    #[test]
    fn bytes_that_begin_well_are_survived(
        start in prop_oneof![
            Just(vec![0x70]), Just(vec![0x72]), Just(vec![0, 0x83, 0]), Just(vec![0, 0xb0, 0]),
            Just(vec![0, 0, 0, 1, 0, 0, 0]), Just(vec![0, 0, 0]), Just(vec![0x72, 5, 0, 0, 0, 0, 0]),
        ],
        rest in proptest::collection::vec(prop_oneof![0u8..16, any::<u8>()], 0..300),
    ) {
        decode_all(&[start, rest].concat());
    }
}
