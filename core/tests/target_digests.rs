//! Damaged PDUs, with digests in use.

mod support;

use iscsicore::target::{EndReason, Event};
use iscsicore::wire::{DataSn, Itt, RejectReason, SnackKind, SnackRequest, StatSn, TargetPdu, Ttt};
use iscsicore::{FrameError, PeerError};
use support::app::{self, App};
use support::flow::{Cut, sequence};
use support::{Session, Setup};

const CRC: (u8, u8, u8) = (0x0b, 0x47, 0x05);

fn with_digests() -> Session {
    Setup::default()
        .digests()
        .key("MaxBurstLength", 2048)
        .key("FirstBurstLength", 2048)
        .key("InitialR2T", "No")
        .connect()
}

// covers: 7143-7.8-2 7143-7.3-2
#[test]
fn a_damaged_command_counts_as_not_received_and_can_be_sent_again() {
    let mut s = with_digests();
    let mut app = App::default();
    let payload = app::pattern(100);
    let write = s.write(100);
    s.send_damaged(write, &payload);
    let mut header = write.emit();
    header.set_data_segment_len(100);
    s.answer().assert_reject(RejectReason::DataDigestError, &header);
    assert_eq!(s.exp_cmd_sn, write.cmd_sn);
    s.no_events();
    let next = s.plain();
    s.send(next);
    s.no_events();
    s.send_with(write, &payload);
    app.serve(&mut s);
    assert_eq!((app.written[0].1.to_bytes(), app.commands.len()), (payload, 2));
    assert_eq!(s.target.counters().digest_errors, 1);
}

// covers: 7143-7.8-3 7143-7.8-4
#[test]
fn damaged_payload_fails_the_task_once_all_of_it_is_here() {
    for unsolicited in [true, false] {
        for damaged in 0..4 {
            let mut s = with_digests();
            let mut app = App::default();
            let payload = app::pattern(2048);
            let mut write = s.write(2048);
            write.final_ = !unsolicited;
            s.send(write);
            app.serve(&mut s);
            let ttt = match unsolicited {
                true => Ttt::RESERVED,
                false => match s.answer().pdu {
                    TargetPdu::R2t(r2t) => r2t.ttt,
                    other => panic!("an R2T: {other:?}"),
                },
            };
            let pdus = sequence(&write, ttt, 0, 2048, &Cut::solicited(512));
            for (n, (pdu, len)) in pdus.iter().enumerate() {
                let data = &payload[pdu.offset as usize..][..*len];
                s.quiet();
                if n == damaged {
                    s.send_damaged(*pdu, data);
                    let answers = s.answers();
                    let mut header = pdu.emit();
                    header.set_data_segment_len(512);
                    answers[0].assert_reject(RejectReason::DataDigestError, &header);
                    if n == 3 {
                        assert_eq!(answers[1].sense(), CRC);
                    } else {
                        assert_eq!(answers.len(), 1);
                    }
                } else {
                    s.send_with(*pdu, data);
                }
            }
            if damaged < 3 {
                assert_eq!(s.answer().sense(), CRC);
            }
            app.serve(&mut s);
            assert_eq!((app.written.len(), app.aborted.len(), s.target.outstanding()), (0, 1, 0));
        }
    }
}

// covers: 7143-7.9-2
#[test]
fn a_hole_in_data_sn_is_a_digest_error() {
    let mut s = with_digests();
    let mut app = App::default();
    let mut write = s.write(2048);
    write.final_ = false;
    s.send(write);
    app.serve(&mut s);
    let pdus = sequence(&write, Ttt::RESERVED, 0, 2048, &Cut::solicited(512));
    s.data_out(&[pdus[0], pdus[2]], &app::pattern(2048));
    s.quiet();
    s.data_out(&pdus[3..], &app::pattern(2048));
    assert_eq!(s.answer().sense(), CRC);
}

#[test]
fn damaged_text_and_pings_are_rejected() {
    let mut s = with_digests();
    let (nop, text) = (s.nop(true), s.text());
    s.send_damaged(nop, b"ping");
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::DataDigestError));
    s.send_damaged(text, b"SendTargets=\0");
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::DataDigestError));
    s.no_events();
    assert_eq!(s.exp_cmd_sn, text.cmd_sn);
}

#[test]
fn damaged_payload_for_no_task_is_rejected_all_the_same() {
    let mut s = with_digests();
    let write = s.write(512);
    let pdus = sequence(&write, Ttt(7), 0, 512, &Cut::solicited(512));
    s.send_damaged(pdus[0].0, &app::pattern(512));
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::DataDigestError));
}

// covers: 7143-7.8-1
#[test]
fn a_damaged_header_ends_the_connection() {
    let mut s = with_digests();
    let plain = s.plain();
    s.encoder.push(plain.emit(), Default::default());
    let mut bytes = support::drain(&mut s.encoder).to_vec();
    bytes[40] ^= 0x10;
    s.rx.push(bytes.into()).unwrap();
    assert!(matches!(s.receive(), Err(PeerError::Frame(FrameError::HeaderDigest { .. }))));
    s.quiet();
    assert!(matches!(s.events()[..], [Event::Close(_), Event::Ended(EndReason::ProtocolError)]));
}

#[test]
fn a_segment_that_is_too_long_ends_the_session() {
    let mut s = Setup::default().connect();
    let nop = s.nop(true);
    let error = s.try_send(nop.emit(), &[], &[0; 65537]).unwrap_err();
    assert!(matches!(error, PeerError::Frame(FrameError::SegmentTooLong { .. })));
    s.quiet();
    assert!(matches!(s.events()[..], [Event::Close(_), Event::Ended(EndReason::ProtocolError)]));
}

fn snack(kind: SnackKind, itt: Itt) -> SnackRequest {
    SnackRequest {
        kind,
        lun: Default::default(),
        itt,
        ttt: Ttt::RESERVED,
        exp_stat_sn: StatSn(0),
        beg_run: 0,
        run_length: 0,
    }
}

// covers: 7143-7.8-7 7143-7.8-8
#[test]
fn a_snack_is_refused_and_the_task_fails() {
    let mut s = with_digests();
    let read = s.read(100_000);
    s.send(read);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    s.target.send_data(command.task, app::pattern(50_000).into()).unwrap();
    assert_eq!(s.answers().len(), 24);
    let request = snack(SnackKind::DataOrR2t, read.itt);
    s.send(request);
    s.answer().assert_reject(RejectReason::SnackReject, &request.emit());
    s.target.send_data(command.task, app::pattern(50_000).into()).unwrap();
    s.target.complete(command.task, iscsicore::scsi::Response::good(), 100_000).unwrap();
    assert_eq!(s.answers().last().unwrap().sense(), (0x0b, 0x11, 0x13));
    // One for statuses concerns no task; nor does one for a task that has ended.
    for request in [snack(SnackKind::Status, Itt::RESERVED), snack(SnackKind::DataOrR2t, read.itt)] {
        s.send(request);
        s.answer().assert_reject(RejectReason::SnackReject, &request.emit());
    }
}

// covers: 7143-13.1-2
#[test]
fn digests_are_counted_and_nothing_else_changes() {
    let mut s = with_digests();
    let mut app = App::default();
    let payload = app::pattern(9999);
    let cut = Cut::greedy(&s, 9999);
    let write = s.start_write(&payload, &cut);
    let seen = s.run_write(&mut app, &write, &payload, &cut);
    assert_eq!(seen.response.unwrap().scsi().exp_data_sn, DataSn(0));
    assert_eq!((s.target.counters().digest_errors, s.target.counters().rejects), (0, 0));
}
