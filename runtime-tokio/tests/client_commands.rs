//! Typed commands, what they put into a CDB and what they make of an answer.

#[path = "support/puppet.rs"]
mod puppet;
#[path = "support/target.rs"]
mod target;

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use iscsicore::initiator::Command;
use iscsicore::initiator::commands;
use iscsicore::scsi::reservation::ReservationType;
use iscsicore::scsi::{Cdb, ProvisioningStatus, Sense, SenseKey, Status, mode, vpd};
use iscsicore::wire::{Lun, TaskManagementFunction, TaskManagementResult};
use iscsicore_tokio::Client;
use iscsicore_tokio::client::{ClientError, CompareResult};

use puppet::{Puppet, Reply, Seen, check, good};
use target::{BLOCK, SIZE, Target, pattern, within};

/// Commands of one kind, with what they sent.
type Log = Arc<Mutex<Vec<(Cdb, Vec<u8>)>>>;

async fn connect(puppet: &Puppet) -> Client {
    let connecting = Client::builder().without_environment().url(&puppet.url()).unwrap().connect();
    within("connected", connecting).await.unwrap()
}

/// A puppet that answers commands of one operation code, and keeps what it saw of them.
fn answering(opcode: u8, mut reply: impl FnMut(&Seen) -> Reply + Send + 'static) -> (Puppet, Log) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let puppet = Puppet::new(move |command| {
        (command.cdb.opcode() == opcode).then(|| {
            log.lock().unwrap().push((command.cdb.clone(), command.data.clone()));
            reply(command)
        })
    });
    (puppet, seen)
}

#[tokio::test]
async fn questions_about_the_unit() {
    let target = Target::new().await;
    let disk = target.connect().await;
    let inquiry = disk.inquiry().await.unwrap();
    assert!(inquiry.is_present());
    assert_eq!(disk.device_type(), Some(inquiry.device_type));
    let pages = disk.vpd(vpd::SUPPORTED_PAGES).await.unwrap();
    let pages = vpd::decode_supported_pages(&pages).unwrap().to_vec();
    assert!(pages.contains(&vpd::BLOCK_LIMITS));
    let serial = disk.vpd(vpd::UNIT_SERIAL_NUMBER).await.unwrap();
    assert_eq!(vpd::decode_serial(&serial).as_deref(), Some("test-0"));
    let limits = vpd::BlockLimits::decode(&disk.vpd(vpd::BLOCK_LIMITS).await.unwrap()).unwrap();
    assert_eq!(limits, disk.block_limits());
    let capacity = disk.capacity().unwrap();
    assert_eq!((capacity.blocks, capacity.block_size), (SIZE / 512, 512));
    assert!(capacity.thin && capacity.read_zeroes);
    assert_eq!(disk.refresh_capacity().await.unwrap(), Some(capacity));
    assert_eq!(disk.report_luns().await.unwrap(), [Lun::ZERO]);
    let caching = disk.mode_sense(0x08, 0).await.unwrap();
    let modes = mode::ModeData::decode_10(&caching).unwrap();
    assert!(modes.page(0x08, 0).is_some());
    disk.test_unit_ready().await.unwrap();
    let error = disk.vpd(0xff).await.unwrap_err();
    assert_eq!(error.sense().map(|s| s.key), Some(SenseKey::IllegalRequest));
}

#[tokio::test]
async fn space_is_given_back_filled_and_told() {
    let target = Target::new().await;
    let disk = target.connect().await;
    disk.write_from(0, &pattern(0, 64, 1)).await.unwrap();

    disk.unmap(&[(8, 8), (32, 8)]).await.unwrap();
    let mut want = pattern(0, 64, 1);
    want[8 * BLOCK..16 * BLOCK].fill(0);
    want[32 * BLOCK..40 * BLOCK].fill(0);
    assert_eq!(disk.read(0, 64).await.unwrap(), want);

    let block = Bytes::from(pattern(5, 1, 9));
    disk.write_same(16, 4, block.clone()).await.unwrap();
    for at in 16..20 {
        want[at * BLOCK..][..BLOCK].copy_from_slice(&block);
    }
    disk.write_zeroes(60, 4).await.unwrap();
    want[60 * BLOCK..].fill(0);
    assert_eq!(disk.read(0, 64).await.unwrap(), want);
    disk.verify(0, 64).await.unwrap();

    // The whole disk, in as many commands as it takes.
    disk.write_zeroes(0, disk.blocks()).await.unwrap();
    assert_eq!(target.bytes(0, 64 * BLOCK).await, vec![0; 64 * BLOCK]);
    disk.write_from(1024, &pattern(0, 1024, 1)).await.unwrap();
    let runs = disk.get_lba_status(0).await.unwrap();
    assert_eq!((runs[0].lba, runs[0].status), (0, ProvisioningStatus::Deallocated));
    assert_eq!((runs[1].lba, runs[1].blocks, runs[1].status), (1024, 1024, ProvisioningStatus::Mapped));
}

#[tokio::test]
async fn zeros_are_written_where_the_unit_knows_nothing_better() {
    let (puppet, seen) = answering(0x2a, |_| good());
    let disk = connect(&puppet).await;
    // READ CAPACITY says nothing of provisioning, and WRITE SAME is refused.
    disk.write_zeroes(3, 5).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0.u32_at(2), seen[0].0.u16_at(7)), (3, 5));
    assert_eq!(seen[0].1, vec![0; 5 * BLOCK]);
}

#[tokio::test]
async fn writes_with_and_without_fua() {
    let (puppet, seen) = answering(0x2a, |_| good());
    let disk = connect(&puppet).await;
    disk.write_from(1, &[1; BLOCK]).await.unwrap();
    disk.write_fua(2, vec![2; 2 * BLOCK]).await.unwrap();
    let seen = seen.lock().unwrap();
    let fields: Vec<_> = seen.iter().map(|(cdb, _)| (cdb.byte(1), cdb.u32_at(2), cdb.u16_at(7))).collect();
    assert_eq!(fields, [(0, 1, 1), (0x08, 2, 2)]);
}

#[tokio::test]
async fn compare_and_write() {
    let mut held = vec![1; BLOCK];
    let (puppet, seen) = answering(0x89, move |command| {
        let (expected, wanted) = command.data.split_at(BLOCK);
        match expected.iter().zip(&held).position(|(a, b)| a != b) {
            None => {
                held = wanted.to_vec();
                good()
            }
            Some(at) => {
                let mut sense = Sense::new(
                    SenseKey::Miscompare,
                    iscsicore::scsi::AdditionalSense::MISCOMPARE_DURING_VERIFY_OPERATION,
                );
                sense.information = Some(at as u64);
                Reply::Check(sense)
            }
        }
    });
    let disk = connect(&puppet).await;
    let (one, two) = (vec![1; BLOCK], vec![2; BLOCK]);
    let done = disk.compare_and_write(9, one.clone(), two.clone()).await.unwrap();
    assert_eq!(done, CompareResult::Written);
    let mut expected = two.clone();
    expected[300] = 7;
    let done = disk.compare_and_write(9, expected, one.clone()).await.unwrap();
    assert_eq!(done, CompareResult::Different { offset: Some(300) });
    let (cdb, data) = seen.lock().unwrap()[0].clone();
    assert_eq!((cdb.u64_at(2), cdb.byte(13)), (9, 1));
    assert_eq!(data[..], [one.clone(), two].concat());
    for (expected, wanted) in [(0, 0), (512, 1024), (100, 100), (256 * 512, 256 * 512)] {
        let error = disk.compare_and_write(0, vec![0; expected], vec![0; wanted]).await.unwrap_err();
        assert!(matches!(error, ClientError::Misuse(_)), "{error}");
    }
}

#[tokio::test]
async fn reservations_out() {
    let (puppet, seen) = answering(0x5f, |command| match command.cdb.service_action() {
        1 => Reply::Status(Status::RESERVATION_CONFLICT),
        _ => good(),
    });
    let disk = connect(&puppet).await;
    let kind = ReservationType::WriteExclusiveRegistrantsOnly;
    disk.pr_register(0, 0xab).await.unwrap();
    let error = disk.pr_reserve(0xab, kind).await.unwrap_err();
    assert_eq!(error.status(), Some(Status::RESERVATION_CONFLICT));
    assert!(error.to_string().contains("PERSISTENT RESERVE OUT (RESERVE) to LUN 0"), "{error}");
    assert!(error.to_string().contains("another initiator holds a reservation"), "{error}");
    disk.pr_release(0xab, kind).await.unwrap();
    disk.pr_preempt(0xab, 0xcd, kind).await.unwrap();
    disk.pr_register_and_ignore(0xef).await.unwrap();
    disk.pr_clear(0xef).await.unwrap();
    let seen = seen.lock().unwrap();
    let actions: Vec<u8> = seen.iter().map(|(cdb, _)| cdb.service_action()).collect();
    assert_eq!(actions, [0, 1, 2, 4, 6, 3]);
    let keys = |list: &[u8]| {
        [
            u64::from_be_bytes(list[..8].try_into().unwrap()),
            u64::from_be_bytes(list[8..16].try_into().unwrap()),
        ]
    };
    assert_eq!(keys(&seen[0].1), [0, 0xab]);
    assert_eq!(keys(&seen[3].1), [0xab, 0xcd]);
    assert_eq!(seen[1].0.byte(2), kind.code());
}

#[tokio::test]
async fn reservations_in() {
    let (puppet, _) = answering(0x5e, |command| match command.cdb.service_action() {
        0 => Reply::Good([&[0, 0, 0, 3, 0, 0, 0, 16][..], &1u64.to_be_bytes(), &2u64.to_be_bytes()].concat()),
        1 => Reply::Good(
            [&[0, 0, 0, 3, 0, 0, 0, 16][..], &2u64.to_be_bytes(), &[0, 0, 0, 0, 0, 5, 0, 0]].concat(),
        ),
        2 => Reply::Good(vec![0, 8, 0x11, 0x81, 0xea, 1, 0, 0]),
        _ => Reply::Good(vec![0, 0, 0, 3]),
    });
    let disk = connect(&puppet).await;
    let keys = disk.pr_keys().await.unwrap();
    assert_eq!((keys.generation, &keys.keys[..]), (3, &[1, 2][..]));
    let held = disk.pr_reservation().await.unwrap().held.unwrap();
    assert_eq!((held.key, held.kind), (2, Ok(ReservationType::WriteExclusiveRegistrantsOnly)));
    assert!(disk.pr_capabilities().await.unwrap().persist_active);
    let error = disk.pr_full_status().await.unwrap_err();
    assert!(matches!(error, ClientError::Answer { .. }), "{error}");
    assert!(error.to_string().contains("READ FULL STATUS"), "{error}");
}

#[tokio::test]
async fn raw_commands_bring_their_answer_whatever_it_is() {
    let target = Target::new().await;
    let disk = target.connect().await;
    let mut command = Command::new(disk.wire_lun(), Cdb::new(*b"\x12\0\0\0\x24\0\0\0\0\0\0\0\0\0\0\0"));
    command.data_in = 36;
    let answer = disk.command(command).await.unwrap();
    assert_eq!((answer.status, answer.data.len()), (Status::GOOD, 36));
    let unknown = Command::new(disk.wire_lun(), Cdb::new([0xc1; 16]));
    let answer = disk.command(unknown).await.unwrap();
    assert_eq!(answer.status, Status::CHECK_CONDITION);
    assert_eq!(Sense::decode(&answer.sense).unwrap().additional.code, 0x20);
    // Payload of a read comes in the answer even if the command wanted slots.
    disk.write_from(0, &pattern(0, 64, 3)).await.unwrap();
    let mut read = commands::read(disk.wire_lun(), 0, 64, 512).unwrap();
    read.sink = iscsicore::initiator::Sink::Slots;
    assert_eq!(disk.command(read).await.unwrap().data.to_bytes(), pattern(0, 64, 3));
}

#[tokio::test]
async fn errors_of_the_target_say_what_where_and_what_to_try() {
    let target = Target::new().await;
    let disk = target.connect().await;
    let error = disk.read(disk.blocks(), 1).await.unwrap_err();
    let text = error.to_string();
    for part in
        ["READ", "LUN 0", target::TARGET, "LOGICAL BLOCK ADDRESS OUT OF RANGE", "behind the last block"]
    {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
    assert_eq!(disk.read(u64::MAX, 1).await.unwrap_err().sense().map(|s| s.additional.code), Some(0x21));

    let (puppet, _) = answering(0x2a, |_| check(SenseKey::DataProtect, 0x27, 0));
    let error = connect(&puppet).await.write_from(0, &[0; BLOCK]).await.unwrap_err();
    assert!(error.to_string().contains("write-protected"), "{error}");
    let (puppet, _) = answering(0x28, |_| Reply::Good(vec![1; 100]));
    let error = connect(&puppet).await.read(0, 1).await.unwrap_err();
    assert!(error.to_string().contains("100 bytes came in place of 512"), "{error}");
    let (puppet, _) = answering(0x28, |_| Reply::Good(vec![1; 30_000]));
    let disk = connect(&puppet).await;
    let (done, buffer) = disk.read_buf(0, BytesMut::zeroed(64 * BLOCK)).await;
    for error in [disk.read(0, 64).await.unwrap_err(), done.unwrap_err()] {
        assert!(error.to_string().contains("30000 bytes came in place of 32768"), "{error}");
    }
    assert_eq!(buffer.len(), 64 * BLOCK);
}

#[tokio::test]
async fn misuse_is_told_before_anything_is_sent() {
    let target = Target::new().await;
    let disk = target.connect().await;
    let before = target.disk.calls().len();
    for (error, part) in [
        (disk.write_from(0, &[0; 100]).await.unwrap_err(), "100 bytes are not whole blocks of 512"),
        (disk.read_into(0, &mut [0; 513]).await.unwrap_err(), "513 bytes are not whole blocks"),
        (disk.write_same(0, 1, Bytes::from_static(b"x")).await.unwrap_err(), "not one block"),
        (disk.verify(u64::MAX, 2).await.unwrap_err(), "behind the last address"),
        (disk.with_lun(16384).await.unwrap_err(), "LUN 16384"),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // Nothing to do is no error.
    disk.write_from(0, &[]).await.unwrap();
    disk.read_into(0, &mut []).await.unwrap();
    assert!(disk.read(0, 0).await.unwrap().is_empty());
    disk.unmap(&[]).await.unwrap();
    disk.verify(0, 0).await.unwrap();
    assert_eq!(target.disk.calls().len(), before);
}

#[tokio::test]
async fn what_is_no_disk_can_be_talked_to_but_not_read() {
    let (puppet, _) = answering(0x12, |_| {
        let mut data = vec![0; 36];
        data[0] = 0x0c;
        Reply::Good(data)
    });
    let controller = connect(&puppet).await;
    assert_eq!((controller.block_size(), controller.blocks(), controller.capacity()), (0, 0, None));
    assert_eq!(controller.report_luns().await.unwrap(), [Lun::ZERO]);
    let error = controller.read(0, 1).await.unwrap_err();
    assert!(error.to_string().contains("is no disk but: storage array controller"), "{error}");

    let target = Target::new().await;
    let unprobed = target.builder().lun(9).unprobed().connect().await.unwrap();
    assert_eq!(unprobed.report_luns().await.unwrap(), [Lun::ZERO]);
    assert!(unprobed.read(0, 1).await.unwrap_err().to_string().contains("was not asked"));
}

#[tokio::test]
async fn a_disk_that_knows_only_the_short_read_capacity() {
    let puppet = Puppet::new(|command| match command.cdb.opcode() {
        0x9e => Some(check(SenseKey::IllegalRequest, 0x20, 0)),
        0x25 => Some(Reply::Good(vec![0, 0, 0, 99, 0, 0, 16, 0])),
        _ => None,
    });
    let disk = connect(&puppet).await;
    assert_eq!((disk.blocks(), disk.block_size()), (100, 4096));
}

#[tokio::test]
async fn resets() {
    let puppet = Puppet::new(|_| None);
    let disk = connect(&puppet).await;
    within("reset", disk.reset_lun()).await.unwrap();
    assert_eq!(puppet.asked(), [(TaskManagementFunction::LogicalUnitReset, Lun::ZERO)]);
    puppet.answers_management_with(TaskManagementResult::NotSupported);
    let error = within("reset", disk.reset_lun()).await.unwrap_err();
    assert!(error.to_string().contains("LOGICAL UNIT RESET to LUN 0"), "{error}");
    assert!(error.to_string().contains("refuses"), "{error}");
}

#[tokio::test]
async fn pings_come_back() {
    let target = Target::new().await;
    let disk = target.connect().await;
    for len in [0, 1, 100, 4096] {
        let data = Bytes::from(vec![7; len]);
        assert!(within("pong", disk.ping(data)).await.unwrap() > std::time::Duration::ZERO);
    }
}
