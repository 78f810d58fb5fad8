//! A target that breaks the rules for payload and status, one at a time. Whatever it does costs an error at most: no panic, no
//! loop, and never an answer that is not true.
#![allow(missing_docs)]

mod initiator_support;
mod pair_support;

use initiator_support::bench::{Bench, MAX_BURST, READ, SEGMENT, WRITE, data_in, harmless, ignored, refused};
use iscsicore::initiator::{Outcome, Sink};
use iscsicore::scsi::Status;
use iscsicore::wire::{DataSn, Itt, Lun, R2t, R2tSn, Residual, ScsiResponse, StatSn, Ttt};
use pair_support::commands::{answer, is_good};

#[test]
fn the_conversation_without_any_harm_ends_well() {
    ignored(|_| {});
}

#[test]
fn data_in_with_lying_places() {
    refused(|b| data_in(b, 0, READ, 1));
    refused(|b| data_in(b, 0, READ - 1, 2));
    refused(|b| data_in(b, 0, u32::MAX, 1));
    refused(|b| data_in(b, 0, u32::MAX - 511, 512));
    // A gap, and an overlap.
    refused(|b| data_in(b, 0, 4, 512));
    refused(|b| {
        b.piece(0);
        data_in(b, 1, SEGMENT - 1, 512);
    });
    // Longer than this end takes.
    refused(|b| data_in(b, 0, 0, SEGMENT + 1));
    // For the command that writes.
    refused(|b| {
        let header = b.script.data_in(b.write.1.itt, 0, 0);
        b.script.send_with(header, &[7; 512]);
    });
    // A NOP-In of the target's own with data.
    refused(|b| {
        let ping = b.script.ping(5);
        b.script.send_with(ping, b"data");
    });
    // For nobody.
    for itt in [0x7777_0000, 0x0000_7777, Itt::RESERVED.0] {
        harmless(|b| {
            let header = b.script.data_in(Itt(itt), 0, 0);
            b.script.send_with(header, &[7; 512]);
        });
    }
}

#[test]
fn data_in_with_lying_numbers() {
    // One is missing, one comes too soon, the count starts elsewhere.
    refused(|b| {
        b.piece(0);
        data_in(b, 2, SEGMENT, SEGMENT);
    });
    refused(|b| data_in(b, 1, 0, SEGMENT));
    refused(|b| data_in(b, u32::MAX, 0, SEGMENT));
    // Twice the same, with other bytes: whichever is taken, it is not taken twice.
    harmless(|b| {
        b.piece(0);
        data_in(b, 0, 0, SEGMENT);
        b.carry_on(1..4, 0..3, 0..2);
    });
}

// covers: 7143-7.9-3
#[test]
fn status_that_does_not_fit_the_payload() {
    // GOOD in the middle, in a PDU of its own and in a Data-In.
    refused(|b| {
        b.piece(0);
        let good = b.script.good(b.read.1.itt);
        b.script.send(ScsiResponse { exp_data_sn: DataSn(1), ..good });
    });
    refused(|b| {
        let header = b.script.last_data_in(b.read.1.itt, 0, 0);
        b.script.send_with(header, &[7; 512]);
    });
    // GOOD with a residual that does not explain what is missing, or that cannot be.
    for residual in [Residual::Underflow(1), Residual::Underflow(READ + 1), Residual::Overflow(1)] {
        refused(move |b| {
            b.piece(0);
            let good = b.script.good(b.read.1.itt);
            b.script.send(ScsiResponse { residual, exp_data_sn: DataSn(1), ..good });
        });
    }
    // A gap in StatSN: a status was lost.
    refused(|b| {
        b.script.next_status();
        let response = b.script.good(b.write.1.itt);
        b.script.send(ScsiResponse { status: Status::BUSY.0, ..response });
    });
    // A status that came before.
    refused(|b| {
        let response = b.script.good(b.write.1.itt);
        let stat_sn = StatSn(response.stat_sn.0.wrapping_sub(1));
        b.script.send(ScsiResponse { status: Status::BUSY.0, stat_sn, ..response });
    });
    // Flags that exclude each other, and status without the F bit.
    refused(|b| {
        let mut bhs = b.script.good(b.read.1.itt).emit();
        bhs.0[1] |= 0x06;
        b.script.send_raw(bhs, &[]);
    });
    refused(|b| {
        let mut bhs = b.script.last_data_in(b.read.1.itt, 0, 0).emit();
        bhs.0[1] &= 0x7f;
        b.script.send_raw(bhs, &[7; 512]);
    });
}

#[test]
fn good_for_a_write_whose_payload_was_not_asked_for() {
    // Nothing of it has left, or a part: that it was written whole cannot be true.
    for r2ts in 0..WRITE / MAX_BURST {
        let mut bench = Bench::new(Sink::Collect);
        bench.carry_on(0..0, 0..r2ts, 0..0);
        let good = bench.script.good(bench.write.1.itt);
        bench.script.send(good);
        let outcome = bench.script.outcome(bench.write.0);
        assert!(!outcome.as_ref().is_some_and(is_good), "{outcome:?}");
        bench.assert_honest(Sink::Collect);
    }
    // A target that says what it did not take may be believed.
    let mut bench = Bench::new(Sink::Collect);
    bench.carry_on(0..0, 0..1, 0..0);
    let good = bench.script.good(bench.write.1.itt);
    bench.script.send(ScsiResponse { residual: Residual::Underflow(WRITE - MAX_BURST), ..good });
    assert!(is_good(&bench.script.outcome(bench.write.0).expect("an answer")));
}

#[test]
fn two_answers_to_a_command_and_answers_to_none() {
    let mut bench = Bench::new(Sink::Collect);
    bench.carry_on(0..4, 0..3, 0..2);
    let first = bench.script.outcome(bench.read.0).expect("an answer");
    let again = bench.script.good(bench.read.1.itt);
    bench.script.send(ScsiResponse { status: Status::BUSY.0, ..again });
    assert_eq!(bench.script.outcome(bench.read.0), Some(first), "the first answer stands");
    bench.assert_honest(Sink::Collect);

    // Payload after the answer.
    harmless(|b| {
        b.carry_on(0..4, 0..3, 0..2);
        data_in(b, 4, 0, 512);
        data_in(b, 0, 0, 512);
    });
    for itt in [0x7777_0000, 0x0000_7777, Itt::RESERVED.0] {
        harmless(|b| {
            let good = b.script.good(Itt(itt));
            b.script.send(good);
        });
    }
}

#[test]
fn sense_that_is_longer_than_its_segment() {
    for (len, data) in [(18u16, 0usize), (18, 17), (u16::MAX, 4), (1, 0)] {
        let mut bench = Bench::new(Sink::Collect);
        let response = bench.script.good(bench.read.1.itt);
        let segment = [&len.to_be_bytes()[..], &vec![0x70; data]].concat();
        let status = Status::CHECK_CONDITION.0;
        bench.script.send_with(ScsiResponse { status, ..response }, &segment);
        if let Some(Outcome::Answered(answer)) = bench.script.outcome(bench.read.0) {
            assert_eq!(answer.status, Status::CHECK_CONDITION);
            assert!(answer.sense.len() <= data, "sense that was not sent");
        }
        bench.assert_honest(Sink::Collect);
    }
    // A segment too short for the length, and none at all, are CHECK CONDITION without sense.
    for data in [&[][..], &[0]] {
        let mut bench = Bench::new(Sink::Collect);
        let response = bench.script.good(bench.read.1.itt);
        bench.script.send_with(ScsiResponse { status: 2, ..response }, data);
        if let Some(outcome) = bench.script.outcome(bench.read.0) {
            assert!(!is_good(&outcome), "{outcome:?}");
        }
        bench.assert_honest(Sink::Collect);
    }
}

#[test]
fn r2ts_for_what_is_not_to_be_had() {
    let change = |change: fn(&mut R2t)| {
        refused(move |b| {
            let mut r2t = b.r2t(0);
            change(&mut r2t);
            b.script.send(r2t);
            // Nothing leaves that was asked for wrongly.
            let sent = b.script.near.take(b.script.now);
            assert!(sent.is_empty(), "{sent:?}");
        });
    };
    change(|r2t| r2t.offset = WRITE);
    change(|r2t| r2t.offset = WRITE - 1);
    change(|r2t| r2t.offset = u32::MAX);
    change(|r2t| r2t.offset = 512);
    change(|r2t| r2t.len = core::num::NonZeroU32::new(MAX_BURST + 1).expect("not zero"));
    change(|r2t| r2t.len = core::num::NonZeroU32::MAX);
    change(|r2t| r2t.r2t_sn = R2tSn(1));
    change(|r2t| r2t.r2t_sn = R2tSn(u32::MAX));
    // No bytes, and the reserved tag.
    for (at, word) in [(44, 0u32), (20, u32::MAX)] {
        refused(move |b| {
            let mut bhs = b.r2t(0).emit();
            bhs.0[at..at + 4].copy_from_slice(&word.to_be_bytes());
            b.script.send_raw(bhs, &[]);
        });
    }
    // For the command that reads, and for nobody.
    refused(|b| {
        let r2t = b.script.r2t(b.read.1.itt, 0, 0, 512);
        b.script.send(r2t);
    });
    harmless(|b| {
        let r2t = b.script.r2t(Itt(0x7777_0000), 0, 0, 512);
        b.script.send(r2t);
    });
    // With a data segment.
    refused(|b| {
        let bhs = b.r2t(0).emit();
        b.script.send_raw(bhs, &[1, 2, 3, 4]);
    });
}

#[test]
fn r2ts_too_many_twice_and_overlapping() {
    // Three outstanding, where two were agreed on. The initiator has had no chance to answer.
    refused(|b| {
        let bytes: Vec<u8> = (0..3).flat_map(|n| b.script.encode(b.r2t(n).emit(), &[])).collect();
        b.script.give(&bytes.into());
    });
    refused(|b| {
        let first = b.r2t(0);
        b.script.send(first);
        b.script.send(R2t { r2t_sn: R2tSn(1), ttt: Ttt(9), ..first });
    });
    // The same once more: it is not answered twice.
    for sink in [Sink::Collect, Sink::Slots] {
        let mut bench = Bench::new(sink);
        let r2t = bench.r2t(0);
        bench.script.send(r2t);
        bench.script.send(r2t);
        let bytes: usize = bench.script.sent().iter().map(|sent| sent.data.len()).sum();
        assert!(bytes <= MAX_BURST as usize, "{bytes} bytes for one R2T");
        bench.assert_honest(sink);
    }
}

#[test]
fn r2ts_with_another_lun_get_the_command_s_data_or_none() {
    harmless(|b| {
        let r2t = b.r2t(0);
        b.script.send(R2t { lun: Lun(0x0005_0000_0000_0000), ..r2t });
        for sent in b.script.sent() {
            assert_eq!(sent.data_out().itt, b.write.1.itt);
        }
        b.carry_on(0..4, 1..3, 0..2);
    });
}

#[test]
fn an_answer_by_lies_about_the_iscsi_response_is_no_success() {
    for response in [1, 2, 0x7f, 0x80, 0xff] {
        let mut bench = Bench::new(Sink::Collect);
        let good = bench.script.good(bench.read.1.itt);
        bench.script.send(ScsiResponse { response, ..good });
        if let Some(outcome) = bench.script.outcome(bench.read.0) {
            assert!(!is_good(&outcome), "{outcome:?}");
            assert!(!matches!(&outcome, Outcome::Answered(_)) || answer(&outcome).received == 0);
        }
        bench.assert_honest(Sink::Collect);
    }
}
