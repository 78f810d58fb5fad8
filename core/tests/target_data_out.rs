//! Payload to the target: every way in which it may come, and what is wrong with it.

mod support;

use iscsicore::target::Event;
use iscsicore::wire::{DataOut, DataSn, RejectReason, Residual, StatSn, TargetPdu, Ttt};
use support::app::{self, App};
use support::flow::{Cut, sequence};
use support::{Session, Setup};

const UNEXPECTED: (u8, u8, u8) = (0x0b, 0x0c, 0x0c);
const INCORRECT_AMOUNT: (u8, u8, u8) = (0x0b, 0x0c, 0x0d);

fn yes(on: bool) -> &'static str {
    if on { "Yes" } else { "No" }
}

/// Every combination of the parameters that shape a write, with payloads of many lengths.
// covers: 7143-4.2.5.2-1 7143-4.2.2.4-1 7143-11.8-9 7143-11.8.4-1 7143-11.8.5-1 7143-11.8.1-1 7143-11.4.8-1 7143-13.19-1
#[test]
fn every_combination_of_parameters_brings_the_payload_whole() {
    let mut writes = 0;
    for bits in 0..16 {
        let (initial_r2t, immediate, in_order, digests) =
            (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0, bits & 8 > 0);
        for (first, burst) in [(512, 512), (1024, 4096), (4096, 4096), (1500, 7777)] {
            for segment in [512, 1000, 8192] {
                for outstanding in [1, 3] {
                    let mut setup = Setup::default()
                        .offer(|o| {
                            o.data_pdu_in_order = false;
                            o.max_segment = segment;
                            o.max_outstanding_r2t = 8;
                        })
                        .key("InitialR2T", yes(initial_r2t))
                        .key("ImmediateData", yes(immediate))
                        .key("DataPDUInOrder", yes(in_order))
                        .key("FirstBurstLength", first)
                        .key("MaxBurstLength", burst)
                        .key("MaxOutstandingR2T", outstanding);
                    if digests {
                        setup = setup.digests();
                    }
                    let mut s = setup.connect();
                    for len in [1, 511, 512, 513, 1024, 1500, 4096, 5000, 20_001] {
                        one_write(&mut s, len, burst, outstanding);
                        writes += 1;
                    }
                }
            }
        }
    }
    assert_eq!(writes, 16 * 4 * 3 * 2 * 9);
}

fn one_write(s: &mut Session, len: usize, burst: u32, outstanding: usize) {
    let mut app = App::default();
    let payload = app::pattern(len);
    let cut = Cut::greedy(s, len);
    let write = s.start_write(&payload, &cut);
    let seen = s.run_write(&mut app, &write, &payload, &cut);
    assert_eq!(app.written[0].1.to_bytes(), payload, "{cut:?}");
    let response = seen.response.unwrap();
    assert_eq!((response.scsi().status, response.scsi().residual), (0, Residual::None));
    assert_eq!(response.scsi().exp_data_sn, DataSn(0), "no Data-In was sent");
    assert!(seen.most_outstanding <= outstanding);
    // R2Ts ask, in order and without overlap, for what did not come by itself.
    let mut at = cut.unsolicited.unwrap_or(cut.immediate) as u32;
    for (n, r2t) in seen.r2ts.iter().enumerate() {
        assert_eq!((r2t.r2t_sn.0, r2t.offset), (n as u32, at));
        assert!(r2t.len.get() <= burst && !r2t.ttt.is_reserved());
        at += r2t.len.get();
    }
    assert_eq!(at as usize, len);
}

#[test]
fn r2ts_of_many_writes_are_answered_in_any_interleaving() {
    let setup = Setup::default().key("MaxBurstLength", 2048).key("FirstBurstLength", 512);
    let mut s = setup.key("ImmediateData", "No").connect();
    let mut app = App::default();
    let payload = app::pattern(6000);
    let writes: Vec<_> = (0..8).map(|_| s.start_write(&payload, &Cut::solicited(1024))).collect();
    app.serve(&mut s);
    let mut responses = 0;
    while responses < 8 {
        let mut pdus = Vec::new();
        for answer in s.answers() {
            match answer.pdu {
                TargetPdu::R2t(r2t) => {
                    let write = writes.iter().find(|w| w.itt == r2t.itt).unwrap();
                    let (start, end) = (r2t.offset as usize, (r2t.offset + r2t.len.get()) as usize);
                    pdus.push(sequence(write, r2t.ttt, start, end, &Cut::solicited(700)));
                }
                _ => responses += 1,
            }
        }
        let rounds = pdus.iter().map(Vec::len).max().unwrap_or(0);
        for n in 0..rounds {
            pdus.iter().filter_map(|p| p.get(n)).for_each(|p| s.data_out(&[*p], &payload));
        }
        app.serve(&mut s);
    }
    assert!(app.written.iter().all(|(_, data)| data.to_bytes() == payload));
}

#[test]
fn payload_without_bytes_is_taken() {
    let mut s = Setup::default().key("InitialR2T", "No").connect();
    let mut app = App::default();
    let payload = app::pattern(1000);
    let mut write = s.write(1000);
    write.final_ = false;
    s.send_with(write, &payload[..500]);
    app.serve(&mut s);
    // An empty PDU, and then the rest.
    let mut pdu = sequence(&write, Ttt::RESERVED, 500, 1000, &Cut::solicited(500))[0].0;
    pdu.final_ = false;
    s.data_out(&[(pdu, 0)], &payload);
    (pdu.final_, pdu.data_sn) = (true, DataSn(1));
    s.data_out(&[(pdu, 500)], &payload);
    app.serve(&mut s);
    assert_eq!(app.written[0].1.to_bytes(), payload);
}

// covers: 7143-11.7.7-1
#[test]
fn a_data_segment_of_length_zero_may_end_a_sequence() {
    let mut s = Setup::default().key("InitialR2T", "No").connect();
    let mut app = App::default();
    let payload = app::pattern(1000);
    let mut write = s.write(1000);
    write.final_ = false;
    s.send_with(write, &payload[..500]);
    let mut pdu = sequence(&write, Ttt::RESERVED, 500, 1000, &Cut::solicited(500))[0].0;
    pdu.final_ = false;
    s.data_out(&[(pdu, 500)], &payload);
    app.serve(&mut s);
    assert!(app.written.is_empty(), "the sequence is not over");
    (pdu.final_, pdu.data_sn, pdu.offset) = (true, DataSn(1), 1000);
    s.data_out(&[(pdu, 0)], &payload);
    app.serve(&mut s);
    assert_eq!(app.written[0].1.to_bytes(), payload);
    assert_eq!(s.answer().scsi().status, 0);
}

#[test]
fn less_unsolicited_data_than_allowed_is_made_up_for_by_r2t() {
    let mut s = Setup::default().key("InitialR2T", "No").key("FirstBurstLength", 4096).connect();
    let mut app = App::default();
    let payload = app::pattern(10_000);
    let cut = Cut { immediate: 100, unsolicited: Some(1000), segment: 512, shuffled: false };
    let write = s.start_write(&payload, &cut);
    let seen = s.run_write(&mut app, &write, &payload, &cut);
    assert_eq!(seen.r2ts[0].offset, 1000);
    assert_eq!(app.written[0].1.to_bytes(), payload);
}

#[test]
fn only_what_the_command_wants_is_asked_for() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    let payload = app::pattern(5000);
    let mut write = s.write(5000);
    write.cdb = app::cdb(app::WRITE, 3000);
    s.send_with(write, &payload[..1000]);
    let seen = s.run_write(&mut app, &write, &payload, &Cut::solicited(8192));
    assert_eq!((seen.r2ts[0].offset, seen.r2ts[0].len.get()), (1000, 2000));
    assert_eq!(app.written[0].1.to_bytes(), payload[..3000]);
    assert_eq!(seen.response.unwrap().scsi().residual, Residual::Underflow(2000));
}

/// A failed write: what is sent for it, and the sense data that comes of it.
struct Wrong {
    what: &'static str,
    initial_r2t: bool,
    immediate_data: bool,
    immediate: usize,
    final_: bool,
    /// Final, DataSN, offset, length of unsolicited PDUs.
    pdus: &'static [(bool, u32, usize, usize)],
    sense: (u8, u8, u8),
}

// covers: 7143-13.11-1 7143-11.17.1-5 7143-11.8-1
#[test]
fn wrong_unsolicited_data_ends_the_command_once_all_of_it_is_here() {
    let cases = [
        Wrong {
            what: "immediate data where there is none",
            initial_r2t: false,
            immediate_data: false,
            immediate: 100,
            final_: true,
            pdus: &[],
            sense: UNEXPECTED,
        },
        Wrong {
            what: "immediate data where no data may come unsolicited",
            initial_r2t: true,
            immediate_data: false,
            immediate: 100,
            final_: true,
            pdus: &[],
            sense: UNEXPECTED,
        },
        Wrong {
            what: "Data-Out where no data may come unsolicited",
            initial_r2t: true,
            immediate_data: false,
            immediate: 0,
            final_: false,
            pdus: &[(true, 0, 0, 100)],
            sense: UNEXPECTED,
        },
        Wrong {
            what: "Data-Out where R2T is needed",
            initial_r2t: true,
            immediate_data: true,
            immediate: 100,
            final_: false,
            pdus: &[(true, 0, 100, 100)],
            sense: UNEXPECTED,
        },
        Wrong {
            what: "Data-Out where the command said that none follows",
            initial_r2t: false,
            immediate_data: true,
            immediate: 100,
            final_: true,
            pdus: &[(true, 0, 100, 100)],
            sense: UNEXPECTED,
        },
        Wrong {
            what: "more immediate data than the first burst",
            initial_r2t: false,
            immediate_data: true,
            immediate: 1025,
            final_: true,
            pdus: &[],
            sense: INCORRECT_AMOUNT,
        },
        Wrong {
            what: "more than the first burst",
            initial_r2t: false,
            immediate_data: true,
            immediate: 100,
            final_: false,
            pdus: &[(false, 0, 100, 500), (true, 1, 600, 500)],
            sense: INCORRECT_AMOUNT,
        },
        Wrong {
            what: "a hole",
            initial_r2t: false,
            immediate_data: true,
            immediate: 100,
            final_: false,
            pdus: &[(true, 0, 200, 824)],
            sense: INCORRECT_AMOUNT,
        },
        Wrong {
            what: "an overlap",
            initial_r2t: false,
            immediate_data: true,
            immediate: 100,
            final_: false,
            pdus: &[(true, 0, 50, 974)],
            sense: INCORRECT_AMOUNT,
        },
        Wrong {
            what: "a DataSN left out",
            initial_r2t: false,
            immediate_data: true,
            immediate: 100,
            final_: false,
            pdus: &[(false, 0, 100, 400), (true, 2, 500, 524)],
            sense: (0x0b, 0x47, 0x05),
        },
    ];
    for case in cases {
        let mut s = Setup::default()
            .key("FirstBurstLength", 1024)
            .key("InitialR2T", yes(case.initial_r2t))
            .key("ImmediateData", yes(case.immediate_data))
            .connect();
        let mut app = App::default();
        let payload = app::pattern(4096);
        let mut write = s.write(4096);
        write.final_ = case.final_;
        s.send_with(write, &payload[..case.immediate]);
        for (n, (final_, data_sn, offset, len)) in case.pdus.iter().enumerate() {
            if n > 0 {
                app.serve(&mut s);
                s.quiet();
            }
            let pdu = DataOut {
                final_: *final_,
                lun: write.lun,
                itt: write.itt,
                ttt: Ttt::RESERVED,
                exp_stat_sn: StatSn(0),
                data_sn: DataSn(*data_sn),
                offset: *offset as u32,
            };
            s.data_out(&[(pdu, *len)], &payload);
        }
        app.serve(&mut s);
        let answers = s.answers();
        let last = answers.last().expect(case.what);
        assert_eq!(last.sense(), case.sense, "{}", case.what);
        assert!(app.written.is_empty(), "{}: the caller gets no such payload", case.what);
        assert_eq!(app.aborted.len(), 1, "{}: the caller is told to forget it", case.what);
        assert_eq!(s.target.outstanding(), 0);
    }
}

// covers: 7143-11.4.2-1
#[test]
fn an_error_waits_for_the_end_of_the_payload() {
    let mut s = Setup::default().key("InitialR2T", "No").key("FirstBurstLength", 4096).connect();
    let payload = app::pattern(4096);
    let mut write = s.write(4096);
    write.final_ = false;
    s.send(write);
    let Some(Event::Command(command)) = s.target.poll_event() else { panic!("a command") };
    let busy = iscsicore::scsi::Response::with_status(iscsicore::scsi::Status::BUSY);
    s.target.complete(command.task, busy, 0).unwrap();
    for pdu in sequence(&write, Ttt::RESERVED, 0, 4096, &Cut::solicited(1024)) {
        s.quiet();
        s.data_out(&[pdu], &payload);
    }
    assert_eq!(s.answer().scsi().status, 0x08);
    s.no_events();
}

/// A write of 4096 bytes without unsolicited data, as far as its first R2T, which is for 2048 bytes.
fn solicited(s: &mut Session, app: &mut App) -> (iscsicore::wire::ScsiCommand, iscsicore::wire::R2t) {
    let write = s.write(4096);
    s.send(write);
    app.serve(s);
    match s.answers().remove(0).pdu {
        TargetPdu::R2t(r2t) => (write, r2t),
        other => panic!("an R2T: {other:?}"),
    }
}

// covers: 7143-4.2.5.2-9
#[test]
fn wrong_solicited_data_ends_the_command_once_all_of_it_is_here() {
    type Pdus = &'static [(bool, u32, usize, usize)];
    let cases: [(&str, Pdus, (u8, u8, u8)); 6] = [
        ("less than asked for", &[(true, 0, 0, 2000)], INCORRECT_AMOUNT),
        ("more than asked for", &[(true, 0, 0, 2052)], INCORRECT_AMOUNT),
        ("elsewhere", &[(true, 0, 4, 2044)], INCORRECT_AMOUNT),
        ("out of order", &[(false, 0, 1024, 1024), (true, 1, 0, 1024)], INCORRECT_AMOUNT),
        ("twice", &[(false, 0, 0, 1024), (true, 1, 0, 1024)], INCORRECT_AMOUNT),
        ("a DataSN again", &[(false, 0, 0, 1024), (true, 0, 1024, 1024)], (0x0b, 0x47, 0x05)),
    ];
    for (what, pdus, sense) in cases {
        let mut s = Setup::default().key("MaxBurstLength", 2048).key("FirstBurstLength", 512).connect();
        let mut app = App::default();
        let (write, r2t) = solicited(&mut s, &mut app);
        assert_eq!((r2t.offset, r2t.len.get()), (0, 2048));
        for (final_, data_sn, offset, len) in pdus {
            let pdu = DataOut {
                final_: *final_,
                lun: write.lun,
                itt: write.itt,
                ttt: r2t.ttt,
                exp_stat_sn: StatSn(0),
                data_sn: DataSn(*data_sn),
                offset: *offset as u32,
            };
            s.quiet();
            s.data_out(&[(pdu, *len)], &app::pattern(8192));
        }
        app.serve(&mut s);
        assert_eq!(s.answer().sense(), sense, "{what}");
        assert!(app.written.is_empty());
    }
}

// covers: 7143-11.17.1-4
#[test]
fn a_tag_that_was_never_given_is_refused_and_the_task_fails() {
    let mut s = Setup::default().key("MaxBurstLength", 2048).key("FirstBurstLength", 512).connect();
    let mut app = App::default();
    let (write, r2t) = solicited(&mut s, &mut app);
    let mut pdu = sequence(&write, r2t.ttt, 0, 512, &Cut::solicited(512))[0].0;
    pdu.ttt = Ttt(r2t.ttt.0 + 77);
    s.data_out(&[(pdu, 512)], &app::pattern(512));
    let mut sent = pdu.emit();
    sent.set_data_segment_len(512);
    s.answer().assert_reject(RejectReason::InvalidPduField, &sent);
    // The open R2T is waited for, and no other is sent.
    let pdus = sequence(&write, r2t.ttt, 0, 2048, &Cut::solicited(1024));
    s.data_out(&pdus[..1], &app::pattern(2048));
    s.quiet();
    s.data_out(&pdus[1..], &app::pattern(2048));
    assert_eq!(s.answer().sense(), UNEXPECTED);
}

// covers: 7143-4.2.5.3-1
#[test]
fn the_lun_beside_a_tag_must_be_that_of_the_task() {
    let mut s = Setup::default().key("MaxBurstLength", 2048).key("FirstBurstLength", 512).connect();
    let mut app = App::default();
    let (write, r2t) = solicited(&mut s, &mut app);
    let mut pdus = sequence(&write, r2t.ttt, 0, 2048, &Cut::solicited(2048));
    pdus[0].0.lun = iscsicore::wire::Lun::from_number(1).unwrap();
    s.data_out(&pdus, &app::pattern(2048));
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::InvalidPduField));
    pdus[0].0.lun = write.lun;
    s.data_out(&pdus, &app::pattern(2048));
    assert_eq!(s.answer().sense(), UNEXPECTED);
}

// covers: 7143-10.7-2
#[test]
fn data_for_no_task_is_dropped_without_a_word() {
    let mut s = Setup::default().connect();
    let write = s.write(100);
    let pdus = sequence(&write, Ttt(5), 0, 100, &Cut::solicited(100));
    for _ in 0..1000 {
        s.data_out(&pdus, &app::pattern(100));
    }
    s.quiet();
    s.no_events();
}

#[test]
fn solicited_data_stays_within_its_budget_and_every_write_gets_its_turn() {
    let mut s = Setup::default()
        .limits(|l| (l.solicited_bytes, l.queue_depth) = (100_000, 32))
        .key("ImmediateData", "No")
        .key("MaxBurstLength", 65536)
        .connect();
    let mut app = App::default();
    let payload = app::pattern(40_000);
    let cut = Cut::solicited(40_000);
    let writes: Vec<_> = (0..20).map(|_| s.start_write(&payload, &cut)).collect();
    app.serve(&mut s);
    let (mut responses, mut order, mut rounds) = (0, Vec::new(), 0);
    while responses < 20 {
        rounds += 1;
        assert!(rounds < 100, "the writes came to a halt");
        let mut asked = Vec::new();
        for answer in s.answers() {
            match answer.pdu {
                TargetPdu::R2t(r2t) => asked.push(r2t),
                _ => responses += 1,
            }
        }
        assert!(asked.iter().map(|r| r.len.get()).sum::<u32>() <= 100_000);
        for r2t in asked {
            let write = writes.iter().find(|w| w.itt == r2t.itt).unwrap();
            order.push(write.itt);
            s.data_out(&sequence(write, r2t.ttt, 0, 40_000, &cut), &payload);
        }
        app.serve(&mut s);
    }
    assert_eq!(order, writes.iter().map(|w| w.itt).collect::<Vec<_>>(), "first come, first served");
    assert!(app.written.iter().all(|(_, data)| data.to_bytes() == payload));
}

#[test]
fn a_small_write_does_not_overtake_a_large_one_that_waits_for_room() {
    let mut s = Setup::default().limits(|l| l.solicited_bytes = 100_000).key("ImmediateData", "No").connect();
    let mut app = App::default();
    let payload = app::pattern(60_000);
    let cut = Cut::solicited(60_000);
    let writes: Vec<_> = [60_000, 60_000, 1000].map(|len| s.start_write(&payload[..len], &cut)).to_vec();
    app.serve(&mut s);
    let mut order = Vec::new();
    while order.len() < 3 {
        for answer in s.answers() {
            let TargetPdu::R2t(r2t) = answer.pdu else { continue };
            order.push(r2t.itt);
            let write = writes.iter().find(|w| w.itt == r2t.itt).unwrap();
            s.data_out(&sequence(write, r2t.ttt, 0, r2t.len.get() as usize, &cut), &payload);
        }
        app.serve(&mut s);
    }
    assert_eq!(order, writes.iter().map(|w| w.itt).collect::<Vec<_>>());
}

#[test]
fn a_write_larger_than_the_budget_is_served_alone() {
    let mut s = Setup::default().limits(|l| l.solicited_bytes = 1000).connect();
    let mut app = App::default();
    let payload = app::pattern(100_000);
    let cut = Cut::solicited(65536);
    let (small, large) = (s.start_write(&payload[..2000], &cut), s.start_write(&payload, &cut));
    app.serve(&mut s);
    let first: Vec<_> = s.answers();
    assert!(matches!(first[..], [support::Answer { pdu: TargetPdu::R2t(r), .. }] if r.itt == small.itt));
    let TargetPdu::R2t(r2t) = first[0].pdu else { unreachable!() };
    s.data_out(&sequence(&small, r2t.ttt, 0, 2000, &cut), &payload);
    app.serve(&mut s);
    let second = s.answers();
    let TargetPdu::R2t(r2t) = second[1].pdu else { panic!("an R2T: {second:?}") };
    assert_eq!(r2t.itt, large.itt);
    s.data_out(&sequence(&large, r2t.ttt, 0, 100_000, &cut), &payload);
    s.run_write(&mut app, &large, &payload, &cut);
    assert_eq!(app.written[1].1.to_bytes(), payload);
}

#[test]
fn a_payload_of_single_bytes_is_kept_in_few_pieces() {
    for in_order in ["Yes", "No"] {
        let setup = Setup::default().offer(|o| o.data_pdu_in_order = false).key("DataPDUInOrder", in_order);
        let mut s = setup.connect();
        let mut app = App::default();
        let payload = app::pattern(3000);
        let cut = Cut { segment: 1, shuffled: in_order == "No", ..Cut::solicited(1) };
        let write = s.start_write(&payload, &cut);
        s.run_write(&mut app, &write, &payload, &cut);
        assert_eq!(app.written[0].1.to_bytes(), payload);
        assert_eq!(app.written[0].1.chunks().count(), 1);
    }
}

#[test]
fn pieces_that_overlap_what_lies_ahead_are_a_fault() {
    let setup = Setup::default().offer(|o| o.data_pdu_in_order = false).key("DataPDUInOrder", "No");
    let mut s = setup.key("MaxBurstLength", 2048).key("FirstBurstLength", 512).connect();
    let mut app = App::default();
    let (write, r2t) = solicited(&mut s, &mut app);
    let mut pdu = sequence(&write, r2t.ttt, 1024, 2048, &Cut::solicited(1024))[0].0;
    pdu.final_ = false;
    s.data_out(&[(pdu, 1024)], &app::pattern(2048));
    (pdu.final_, pdu.data_sn, pdu.offset) = (true, DataSn(1), 0);
    s.data_out(&[(pdu, 1500)], &app::pattern(2048));
    assert_eq!(s.answer().sense(), INCORRECT_AMOUNT);
}
