//! Read buffers that are lent and taken back: the PDUs are the same whenever that happens, payload that is held is never
//! written over, and a connection that waits holds no buffer.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use proptest::prelude::*;

use super::pool::ReadBuffer;
use super::{BufferPool, Pdu, Placement, Receiver, SegmentDigest, Transmitter, Want};
use crate::wire::{Bhs, Opcode};
use crate::{DataList, Limits};

const SIZE: usize = 16 * 1024;

/// What an adapter may do between two reads of a connection.
#[derive(Clone, Copy, Debug)]
enum Between {
    /// Nothing: the receiver keeps its buffer.
    Keep,
    /// Takes the buffer back and lends nothing.
    Drop,
    /// Takes the buffer back, scribbles over it, and lends it again.
    Lend,
    /// Lends another buffer of this many bytes, whether or not one is needed.
    Offer(usize),
    /// Asks whether a buffer is needed and does not act on the answer.
    Ask,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Any PDUs, any cuts, anything done with the buffer at any cut: the same PDUs come out. All of them are held
    /// to the end, so that a byte written over would show.
    #[test]
    fn buffers_may_come_and_go_at_any_cut(
        lens in prop::collection::vec(lens(), 1..12),
        steps in prop::collection::vec((1usize..30_000, between()), 1..60),
        digests in any::<(bool, bool)>(),
    ) {
        let stream = stream(&lens, 1, digests);
        let mut rx = receiver(digests);
        let (mut at, mut pdus) = (0, Vec::new());
        for (len, between) in steps.iter().cycle() {
            if at == stream.len() {
                break;
            }
            interfere(&mut rx, *between);
            let Want::Read { slot: None, staging } = rx.want() else { panic!("nothing waits") };
            let n = staging.len().min(*len).min(stream.len() - at);
            staging[..n].copy_from_slice(&stream[at..at + n]);
            rx.advance(&[], n).unwrap();
            at += n;
            interfere(&mut rx, *between);
            while let Some(pdu) = rx.next_pdu(|_| Placement::Stage).unwrap() {
                pdus.push(pdu);
                interfere(&mut rx, *between);
            }
        }
        prop_assert_eq!(pdus.len(), lens.len());
        for (i, (pdu, len)) in pdus.iter().zip(&lens).enumerate() {
            check(pdu, *len, 1, i, digests);
        }
    }

    /// Several connections, one pool: payload is held for as long as any storage might, and the few buffers go
    /// from one connection to the next.
    #[test]
    fn connections_share_a_pool(
        lens in prop::collection::vec(prop::collection::vec(lens(), 1..8), 1..5),
        reads in prop::collection::vec((any::<prop::sample::Index>(), 1usize..20_000), 1..80),
        hold in 0usize..12,
        keep in 0usize..5,
    ) {
        let mut pool = BufferPool::new(SIZE, keep);
        let mut held = VecDeque::new();
        let mut conns: Vec<_> = (0..lens.len())
            .map(|c| (receiver((false, true)), stream(&lens[c], c, (false, true)), 0, 0))
            .collect();
        for (which, len) in reads.iter().cycle() {
            if conns.iter().all(|(_, stream, at, _)| *at == stream.len()) {
                break;
            }
            let c = which.index(conns.len());
            // Whoever was chosen has nothing more to say: then the next one reads, so that all come to an end.
            let c = (c..c + conns.len()).map(|c| c % conns.len()).find(|c| conns[*c].2 < conns[*c].1.len());
            let c = c.unwrap();
            let (rx, stream, at, seen) = &mut conns[c];
            pool.lend(rx);
            let Want::Read { slot: None, staging } = rx.want() else { panic!("nothing waits") };
            let n = staging.len().min(*len).min(stream.len() - *at);
            staging[..n].copy_from_slice(&stream[*at..*at + n]);
            rx.advance(&[], n).unwrap();
            *at += n;
            while let Some(pdu) = rx.next_pdu(|_| Placement::Stage).unwrap() {
                held.push_back((c, *seen, pdu));
                *seen += 1;
            }
            pool.take_back(rx);
            prop_assert!(pool.len() <= keep);
            while held.len() > hold {
                let (c, i, pdu) = held.pop_front().unwrap();
                check(&pdu, lens[c][i], c, i, (false, true));
            }
        }
        for (c, i, pdu) in held {
            check(&pdu, lens[c][i], c, i, (false, true));
        }
        for (c, (rx, _, _, seen)) in conns.iter().enumerate() {
            prop_assert_eq!((*seen, rx.buffered()), (lens[c].len(), 0));
        }
    }
}

/// A connection without anything under way has no buffer; one in the middle of a PDU keeps the one that it is in.
#[test]
fn an_idle_connection_holds_no_buffer() {
    let stream = stream(&[5000, 0], 0, (false, false));
    let mut rx = receiver((false, false));
    assert!(rx.release().is_none(), "there is none before the first read");
    for cut in 0..=stream.len() {
        for part in [&stream[..cut], &stream[cut..]] {
            read(&mut rx, part);
            while rx.next_pdu(|_| Placement::Stage).unwrap().is_some() {}
            let between_pdus = rx.buffered() == 0;
            assert_eq!(rx.release().is_some(), between_pdus && !part.is_empty(), "cut at {cut}");
        }
        assert!(rx.buffered() == 0 && rx.release().is_none());
    }
}

/// A header whose segment is still to come: the buffer that was made for the segment stays.
#[test]
fn a_segment_under_way_keeps_its_buffer() {
    let len = SIZE + 4;
    let stream = stream(&[len], 0, (false, false));
    let mut rx = receiver((false, false));
    read(&mut rx, &stream[..48]);
    assert_eq!(rx.next_pdu(|_| Placement::Stage), Ok(None));
    assert!(rx.release().is_none());
    assert!(rx.needs_buffer().is_some_and(|least| least > SIZE), "the segment does not fit");
    assert_eq!(length(rx.lend(BytesMut::zeroed(SIZE))), Some(SIZE), "too short");
    let long = BytesMut::zeroed(2 * SIZE);
    let place = long.as_ptr_range();
    assert!(rx.lend(long).is_some(), "the one before");
    assert!(rx.needs_buffer().is_none() && rx.release().is_none());
    read(&mut rx, &stream[48..]);
    let pdu = rx.next_pdu(|_| Placement::Stage).unwrap().unwrap();
    assert!(place.contains(&pdu.data.as_ptr()), "read to where it is handed out");
    check(&pdu, len, 0, 0, (false, false));
}

/// The part behind a payload is lent on while the payload is held, and the buffer is whole again once it is dropped.
#[test]
fn a_used_up_buffer_waits_for_its_payload() {
    let lens = [5000; 12];
    let stream = stream(&lens, 0, (false, false));
    let mut pool = BufferPool::new(SIZE, 4);
    let (mut places, mut held) = (Vec::new(), VecDeque::new());
    let (mut rx, mut at) = (receiver((false, false)), 0);
    for i in 0..lens.len() {
        pool.lend(&mut rx);
        read(&mut rx, &stream[at..at + 5048]);
        at += 5048;
        let pdu = rx.next_pdu(|_| Placement::Stage).unwrap().unwrap();
        pool.take_back(&mut rx);
        places.push(pdu.data.as_ptr());
        held.push_back((i, pdu));
        if held.len() > 3 {
            let (i, pdu) = held.pop_front().unwrap();
            check(&pdu, 5000, 0, i, (false, false));
        }
    }
    // The first buffer is given up after one payload, as that is held; from then on two payloads fit each buffer
    // of 16384 bytes, and what is left is too little for the next read. With three held, that is one buffer for
    // the first, and three that are used over and over.
    let mut distinct = places.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() <= 1 + 3 * 2, "{} places", distinct.len());
    assert!(pool.len() <= 4, "{} buffers", pool.len());
}

/// Payload that is dropped before the next read leaves the buffer as it was: the next is read to the same place.
#[test]
fn payload_that_is_not_held_leaves_the_buffer_whole() {
    let stream = stream(&[5000; 40], 0, (false, false));
    let (mut rx, mut places) = (receiver((false, false)), Vec::new());
    for (i, pdu) in stream.chunks(5048).enumerate() {
        read(&mut rx, pdu);
        let pdu = rx.next_pdu(|_| Placement::Stage).unwrap().unwrap();
        check(&pdu, 5000, 0, i, (false, false));
        places.push(pdu.data.as_ptr());
    }
    places.dedup();
    assert_eq!(places.len(), 1);
}

/// A buffer made for one long segment, or for the login, does not become one of those that are shared.
#[test]
fn buffers_of_other_sizes_are_not_taken_back() {
    let stream = stream(&[4 * SIZE, 0], 0, (false, false));
    let mut rx = receiver((false, false));
    let mut pool = BufferPool::new(SIZE, 4);
    let mut rest = &stream[..];
    while !rest.is_empty() {
        pool.lend(&mut rx);
        let Want::Read { staging, .. } = rx.want() else { panic!("nothing waits") };
        let n = rest.len().min(staging.len());
        rest.copy_to_slice(&mut staging[..n]);
        rx.advance(&[], n).unwrap();
        while rx.next_pdu(|_| Placement::Stage).unwrap().is_some() {}
    }
    let shared = pool.len();
    pool.take_back(&mut rx);
    assert_eq!(pool.len(), shared, "the long one is dropped");

    let mut rx = receiver((false, false));
    assert!(matches!(rx.want(), Want::Read { .. }));
    rx.set_read_buffer(4 * SIZE);
    assert!(rx.release().is_none(), "the small one is dropped");
    let Want::Read { staging, .. } = rx.want() else { panic!("nothing waits") };
    assert_eq!(staging.len(), 4 * SIZE);
}

/// What is lent is not asked for twice, and a receiver that failed asks for nothing.
#[test]
fn a_buffer_that_is_not_needed_comes_back() {
    let mut rx = receiver((false, false));
    assert_eq!(rx.needs_buffer(), Some(4096));
    assert_eq!(length(rx.lend(BytesMut::zeroed(4095))), Some(4095), "too short to read into");
    assert_eq!(length(rx.lend(BytesMut::with_capacity(SIZE))), Some(0), "capacity is not length");
    assert!(rx.lend(BytesMut::zeroed(4096)).is_none());
    assert_eq!(rx.needs_buffer(), None);
    assert_eq!(length(rx.lend(BytesMut::zeroed(SIZE))), Some(SIZE));
    let Want::Read { staging, .. } = rx.want() else { panic!("nothing waits") };
    assert_eq!(staging.len(), 4096);

    let mut failed = receiver((false, false));
    failed.push(Bytes::from_static(&[0xff; 48])).unwrap();
    assert!(failed.next_pdu(|_| Placement::Stage).is_err());
    assert_eq!(failed.needs_buffer(), None);
}

fn length(buffer: Option<ReadBuffer>) -> Option<usize> {
    buffer.map(|buffer| match buffer {
        ReadBuffer::Open(buffer) => buffer.len(),
        ReadBuffer::Frozen(buffer) => buffer.len(),
    })
}

fn interfere(rx: &mut Receiver, between: Between) {
    match between {
        Between::Keep => {}
        Between::Drop => drop(rx.release()),
        Between::Lend => {
            if let Some(ReadBuffer::Open(mut buffer)) = rx.release() {
                buffer.fill(0xee);
                drop(rx.lend(buffer));
            }
        }
        Between::Offer(len) => {
            let mut buffer = BytesMut::zeroed(len);
            buffer.fill(0xdd);
            drop(rx.lend(buffer));
        }
        Between::Ask => {
            let _ = rx.needs_buffer();
        }
    }
}

fn receiver(digests: (bool, bool)) -> Receiver {
    let mut rx = Receiver::new(&Limits { read_buffer: SIZE, ..Limits::default() });
    rx.set_digests(digests.0, digests.1);
    rx.set_max_segment(1 << 18);
    rx
}

/// Reads all of `bytes`, without taking PDUs.
fn read(rx: &mut Receiver, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let Want::Read { staging, .. } = rx.want() else { panic!("a PDU waits") };
        let n = bytes.len().min(staging.len());
        bytes.copy_to_slice(&mut staging[..n]);
        rx.advance(&[], n).unwrap();
    }
}

fn lens() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0usize), 3 => 1usize..600, 4 => 500usize..9000, 1 => 9000usize..70_000]
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        Just(Between::Keep),
        Just(Between::Drop),
        Just(Between::Lend),
        (0usize..80_000).prop_map(Between::Offer),
        Just(Between::Ask),
    ]
}

/// What the `i`th payload of connection `c` consists of.
fn payload(len: usize, c: usize, i: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251 + 31 * i + 101 * c) as u8).collect()
}

fn stream(lens: &[usize], c: usize, digests: (bool, bool)) -> Vec<u8> {
    let mut tx = Transmitter::new();
    tx.set_digests(digests.0, digests.1);
    for (i, len) in lens.iter().enumerate() {
        tx.push(Bhs::new(Opcode::DataOut), DataList::from(payload(*len, c, i)));
    }
    let len = tx.remaining();
    tx.copy_to_bytes(len).to_vec()
}

fn check(pdu: &Pdu, len: usize, c: usize, i: usize, digests: (bool, bool)) {
    assert!(pdu.data == payload(len, c, i), "payload {i} of connection {c} is not what was sent");
    let digest = if digests.1 && len > 0 { SegmentDigest::Good } else { SegmentDigest::NotUsed };
    assert_eq!(pdu.digest, digest);
}
