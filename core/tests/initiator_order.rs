//! A target that sends Data-In and R2Ts in every order that DataPDUInOrder and DataSequenceInOrder allow, and in orders
//! that they do not.
#![allow(missing_docs)]

mod initiator_support;
mod pair_support;

use initiator_support::Script;
use iscsicore::DataList;
use iscsicore::initiator::{Command, Outcome, Sink};
use iscsicore::wire::{DataIn, DataSn, Lun, R2t, Residual, ScsiResponse};
use pair_support::commands::{answer, is_good, plain};
use pair_support::{Chance, Feed, Setup};

const SEGMENT: u32 = 512;
const MAX_BURST: u32 = 1536;
/// The unit that is written to.
const UNIT: Lun = Lun(0x0003_0000_0000_0000);

/// DataPDUInOrder and DataSequenceInOrder.
#[derive(Clone, Copy, Debug)]
struct Order {
    pdu: bool,
    sequence: bool,
}

const ORDERS: [Order; 4] = [
    Order { pdu: true, sequence: true },
    Order { pdu: true, sequence: false },
    Order { pdu: false, sequence: true },
    Order { pdu: false, sequence: false },
];

fn log_in(order: Order, feed: Feed) -> Script {
    let mut setup = Setup { feed, ..Setup::default() }.both(|offer| {
        (offer.max_burst, offer.first_burst) = (MAX_BURST, 512);
        (offer.initial_r2t, offer.immediate_data) = (true, false);
        offer.max_outstanding_r2t = 16;
        (offer.data_pdu_in_order, offer.data_sequence_in_order) = (order.pdu, order.sequence);
    });
    setup.near.max_segment = SEGMENT;
    let script = Script::with(&setup);
    assert_eq!(script.agreed.data_pdu_in_order, order.pdu);
    assert_eq!(script.agreed.data_sequence_in_order, order.sequence);
    script
}

fn shuffle<T>(list: &mut [T], chance: &mut Chance) {
    for at in (1..list.len()).rev() {
        list.swap(at, chance.below(at + 1));
    }
}

/// Cuts `len` bytes from `start` on into pieces: offset and length of each.
fn pieces(start: u32, len: u32, most: u32) -> Vec<(u32, u32)> {
    (0..len.div_ceil(most)).map(|n| (start + n * most, most.min(len - n * most))).collect()
}

/// Sends the payload of a read in an order of its own; the F bit is in the last PDU of each sequence.
fn send_shuffled(
    script: &mut Script,
    command: DataIn,
    data: &[u8],
    order: Order,
    chance: &mut Chance,
) -> u32 {
    let mut sequences = pieces(0, data.len() as u32, MAX_BURST);
    if !order.sequence {
        shuffle(&mut sequences, chance);
    }
    let mut data_sn = 0;
    for (start, len) in sequences {
        let mut pdus = pieces(start, len, SEGMENT);
        if !order.pdu {
            shuffle(&mut pdus, chance);
        }
        for (index, (offset, len)) in pdus.iter().enumerate() {
            let pdu = DataIn {
                final_: index + 1 == pdus.len(),
                data_sn: DataSn(data_sn),
                offset: *offset,
                ..command
            };
            script.send_with(pdu, &data[*offset as usize..][..*len as usize]);
            data_sn += 1;
        }
    }
    data_sn
}

fn read_command(len: u32, sink: Sink) -> Command {
    Command { data_in: len, sink, ..plain(&[0xc1]) }
}

#[test]
fn data_in_arrives_whole_in_every_order_that_was_agreed_on() {
    for (round, order) in ORDERS.iter().copied().cycle().take(160).enumerate() {
        let mut chance = Chance::new(round as u64);
        let sink = if round % 8 < 4 { Sink::Slots } else { Sink::Collect };
        let feed = if sink == Sink::Collect { chance.pick(&[Feed::Owned, Feed::Lent]) } else { Feed::Lent };
        let mut script = log_in(order, feed);
        let len = chance.pick(&[1, 511, 512, 513, 1536, 1537, 4000, 6144, 7001]);
        let data = chance.bytes(len as usize);
        let (task, command) = script.submit(read_command(len, sink));
        let first = script.data_in(command.itt, 0, 0);
        let pdus = send_shuffled(&mut script, first, &data, order, &mut chance);
        assert_eq!(script.outcome(task), None, "no status has come");
        let good = script.good(command.itt);
        script.send(ScsiResponse { exp_data_sn: DataSn(pdus), ..good });
        script.assert_up();
        let done = script.near.done.remove(&task).expect("a command that ended");
        let answer = answer(&done.outcome);
        assert!(is_good(&done.outcome) && answer.residual == Residual::None, "{order:?}: {answer:?}");
        assert_eq!(answer.received, len);
        let got = if sink == Sink::Collect { answer.data.to_bytes().to_vec() } else { done.memory };
        assert!(got == data, "{order:?}, {len} bytes: not what was sent");
    }
}

#[test]
fn data_in_out_of_the_agreed_order_ends_the_connection() {
    // PDUs of one sequence, and sequences, each starting with what should come second.
    for offset in [SEGMENT, MAX_BURST] {
        let mut script = log_in(Order { pdu: true, sequence: true }, Feed::Lent);
        let (task, command) = script.submit(read_command(2 * MAX_BURST, Sink::Collect));
        let pdu = script.data_in(command.itt, 0, offset);
        script.send_with(DataIn { final_: false, ..pdu }, &[0; SEGMENT as usize]);
        script.assert_refused();
        assert!(!matches!(script.outcome(task), Some(Outcome::Answered(_))));
    }
}

/// Takes the answers to R2Ts for these pieces, in that order, and puts them together.
fn take_answers(
    script: &mut Script,
    itt: iscsicore::wire::Itt,
    wanted: &[(u32, (u32, u32))],
    into: &mut [u8],
) {
    let sent = script.sent();
    let mut sent = sent.iter();
    for (r2t_sn, (offset, len)) in wanted {
        let mut at = *offset;
        for data_sn in 0.. {
            let pdu = sent.next().expect("all that was asked for");
            let header = pdu.data_out();
            assert_eq!((header.itt, header.ttt.0, header.offset), (itt, 0x1000 + r2t_sn, at));
            assert_eq!(header.lun, UNIT);
            assert_eq!(header.data_sn, DataSn(data_sn));
            into[at as usize..][..pdu.data.len()].copy_from_slice(&pdu.data);
            at += pdu.data.len() as u32;
            assert!(at <= offset + len, "more than was asked for");
            assert_eq!(header.final_, at == offset + len, "the F bit ends the answer");
            if header.final_ {
                break;
            }
        }
    }
    assert!(sent.next().is_none());
}

// covers: 7143-11.8-3 7143-11.8-4 7143-11.8-6 7143-11.8-7 7143-4.2.5.2-6 7143-11.7.4-2
#[test]
fn r2ts_are_answered_in_their_order_wherever_they_point() {
    for (round, order) in ORDERS.iter().copied().cycle().take(80).enumerate() {
        let mut chance = Chance::new(1000 + round as u64);
        let mut script = log_in(order, Feed::Lent);
        let len = chance.pick(&[1, 512, 1536, 1537, 6000, 9216]);
        let data = chance.bytes(len as usize);
        let command = Command { data_out: DataList::from(data.clone()), lun: UNIT, ..plain(&[0xc1]) };
        let (task, command) = script.submit(command);
        let mut r2ts = pieces(0, len, MAX_BURST);
        if !order.sequence {
            shuffle(&mut r2ts, &mut chance);
        }
        let mut got = vec![0; len as usize];
        let numbered: Vec<(u32, (u32, u32))> = (0..).zip(r2ts).collect();
        // As many at a time as chance wants; they are outstanding together.
        let mut rest = &numbered[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + chance.below(rest.len()));
            for (r2t_sn, (offset, len)) in now {
                let r2t = script.r2t(command.itt, *r2t_sn, *offset, *len);
                script.send(R2t { lun: command.lun, ..r2t });
            }
            take_answers(&mut script, command.itt, now, &mut got);
            rest = later;
        }
        let good = script.good(command.itt);
        script.send(good);
        script.assert_up();
        assert!(is_good(&script.outcome(task).expect("a command that ended")));
        assert!(got == data, "{order:?}: what the target put together is not what was written");
    }
}

#[test]
fn an_r2t_out_of_the_agreed_order_ends_the_connection() {
    let mut script = log_in(Order { pdu: false, sequence: true }, Feed::Lent);
    let command = Command { data_out: DataList::from(vec![1; 2 * MAX_BURST as usize]), ..plain(&[0xc1]) };
    let (task, command) = script.submit(command);
    let r2t = script.r2t(command.itt, 0, MAX_BURST, MAX_BURST);
    script.send(r2t);
    script.assert_refused();
    assert!(!matches!(script.outcome(task), Some(Outcome::Answered(_))));
}

#[test]
fn data_in_for_bytes_that_have_arrived_ends_the_connection() {
    for (offset, len) in [(0, 512), (511, 1), (256, 512), (1023, 512), (512, 512)] {
        let mut script = log_in(Order { pdu: false, sequence: false }, Feed::Lent);
        let (task, command) = script.submit(read_command(4 * SEGMENT, Sink::Slots));
        for (sn, at) in [(0, 0), (1, 2 * SEGMENT)] {
            let pdu = script.data_in(command.itt, sn, at);
            script.send_with(DataIn { final_: false, ..pdu }, &[1; SEGMENT as usize]);
        }
        script.assert_up();
        let pdu = script.data_in(command.itt, 2, offset);
        script.send_with(DataIn { final_: false, ..pdu }, &vec![2; len]);
        // Only the gap is free.
        match offset == SEGMENT {
            true => script.assert_up(),
            false => script.assert_refused(),
        }
        assert!(!matches!(script.outcome(task), Some(Outcome::Answered(_))));
    }
}

#[test]
fn r2ts_that_overlap_end_the_connection() {
    for offset in [0, 1, MAX_BURST - 1] {
        let mut script = log_in(Order { pdu: true, sequence: false }, Feed::Lent);
        let data_out = DataList::from(vec![1; 2 * MAX_BURST as usize]);
        let (task, command) = script.submit(Command { data_out, ..plain(&[0xc1]) });
        for (sn, at) in [(0, 0), (1, offset)] {
            let r2t = script.r2t(command.itt, sn, at, MAX_BURST);
            script.send(r2t);
            script.sent();
        }
        if !script.near.is_over() {
            let good = script.good(command.itt);
            script.send(good);
        }
        script.assert_refused();
        assert!(!matches!(script.outcome(task), Some(Outcome::Answered(_))), "part of it never left");
    }
}
