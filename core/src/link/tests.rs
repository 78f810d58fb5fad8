//! What only the inside can show: slots (a `TaskId` comes from a session) and how much memory is held.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::*;
use crate::wire::{Bhs, Opcode};
use crate::{DataList, FrameError, Limits};

const TASK: TaskId = TaskId { index: 3, generation: 9 };
const OFFSET: u64 = 0x1_0000_0000;

/// Every length of payload that had arrived before the place was named, every digest setting, reads of several sizes:
/// prefix and placed bytes make the payload, and the next PDU is where it belongs.
#[test]
fn slots_with_every_prefix_length() {
    let payload: Vec<u8> = (0..=150u8).collect();
    for digests in [(false, false), (true, false), (false, true), (true, true)] {
        let stream = two_pdus(&payload, digests);
        let header = 48 + if digests.0 { 4 } else { 0 };
        for prefix in 0..payload.len() {
            for step in [1, 7, 64, 4096] {
                let mut rx = receiver(digests);
                rx.push(Bytes::copy_from_slice(&stream[..header + prefix])).unwrap();
                let mut asked = 0;
                let result = rx.next_pdu(|bhs| {
                    asked += 1;
                    assert_eq!(bhs.data_segment_len(), 151);
                    Placement::Slot(Slot { task: TASK, offset: OFFSET, len: 151 })
                });
                assert_eq!((result, asked), (Ok(None), 1));
                let (memory, pdu) = read_all(&mut rx, &stream[header + prefix..], step);
                assert_eq!(
                    (&pdu.data[..], pdu.placed as usize),
                    (&payload[..prefix], payload.len() - prefix)
                );
                assert_eq!(memory, payload[prefix..]);
                assert_eq!(pdu.digest, verdict(digests));
                let next = rx.next_pdu(unasked).unwrap().unwrap();
                assert_eq!((next.bhs.opcode(), rx.buffered()), (Opcode::NopOut, 0));
            }
        }
    }
}

/// Payload that is whole needs no place, also when padding and digest are still on the way.
#[test]
fn a_place_is_asked_for_only_when_payload_is_missing() {
    let stream = two_pdus(&[7; 9], (true, true));
    for arrived in [0, 40, 51, 52 + 9, 52 + 11, 52 + 15] {
        let mut rx = receiver((true, true));
        rx.push(Bytes::copy_from_slice(&stream[..arrived])).unwrap();
        assert_eq!(rx.next_pdu(unasked), Ok(None), "{arrived} bytes");
        rx.push(Bytes::copy_from_slice(&stream[arrived..52 + 16])).unwrap();
        assert_eq!(rx.next_pdu(unasked).unwrap().unwrap().data, [7; 9][..]);
    }
}

/// The digest covers the bytes that went into the slot: damage there is seen.
#[test]
fn damage_to_placed_bytes_is_noticed() {
    let stream = two_pdus(&[5; 100], (false, true));
    for byte in 48..48 + 104 {
        let mut bad = stream.clone();
        bad[byte] ^= 1;
        let mut rx = receiver((false, true));
        rx.push(Bytes::copy_from_slice(&bad[..58])).unwrap();
        rx.next_pdu(|_| Placement::Slot(Slot { task: TASK, offset: 0, len: 100 })).unwrap();
        let (_, pdu) = read_all(&mut rx, &bad[58..], 4096);
        assert_eq!(pdu.digest, SegmentDigest::Bad, "byte {byte}");
        assert!(rx.next_pdu(unasked).unwrap().is_some());
    }
}

/// A header that fails its digest is never shown to whoever names places.
#[test]
fn no_place_is_asked_for_by_a_damaged_header() {
    let mut stream = two_pdus(&[5; 100], (true, false));
    stream[20] ^= 1;
    let mut rx = receiver((true, false));
    rx.push(Bytes::copy_from_slice(&stream[..60])).unwrap();
    assert!(matches!(rx.next_pdu(unasked), Err(FrameError::HeaderDigest { .. })));
}

/// While a slot is open only its bytes may come, and no more than it takes.
#[test]
fn misuse_of_an_open_slot_is_refused() {
    let stream = two_pdus(&[5; 100], (false, false));
    let open = || {
        let mut rx = receiver((false, false));
        rx.push(Bytes::copy_from_slice(&stream[..50])).unwrap();
        rx.next_pdu(|_| Placement::Slot(Slot { task: TASK, offset: 0, len: 100 })).unwrap();
        assert!(matches!(rx.want(), Want::Read { slot: Some(Slot { len: 98, .. }), .. }));
        rx
    };
    for (placed, staged) in [(99, 0), (97, 1), (0, 1)] {
        let mut rx = open();
        let error = rx.advance(&[0; 99][..placed], staged).unwrap_err();
        assert!(matches!(error, FrameError::Accounting(_)));
        assert_eq!(rx.next_pdu(unasked), Err(error));
    }
    assert_eq!(open().advance(&[0; 98], 1), Ok(()));
    let mut rx = open();
    let error = rx.push(Bytes::from_static(b"x")).unwrap_err();
    assert!(matches!(error, FrameError::Accounting(_)));
    assert_eq!(rx.next_pdu(unasked), Err(error));
    let mut rx = receiver((false, false));
    rx.push(Bytes::copy_from_slice(&stream[..50])).unwrap();
    let short = rx.next_pdu(|_| Placement::Slot(Slot { task: TASK, offset: 0, len: 99 }));
    assert!(matches!(short, Err(FrameError::Accounting(_))));
}

/// Segments of all sizes up to the largest, read in the largest reads offered: what is held stays within one buffer,
/// and a segment that does not fit a read buffer is moved at most by the little that was there.
#[test]
fn memory_is_bounded_by_the_segment_and_the_read_buffer() {
    let limits = Limits::default();
    let max = 1 << 18;
    let mut rx = Receiver::new(&limits);
    rx.set_max_segment(max);
    let mut tx = Transmitter::new();
    for len in [0, 48, 4096, 65536, 100_000, 1 << 17, (1 << 18) - 1, 1 << 18, 512, 1 << 18, 20, 0] {
        tx.push(Bhs::new(Opcode::DataOut), DataList::from(vec![0; len]));
        tx.push(Bhs::new(Opcode::NopOut), DataList::new());
    }
    let bound = limits.read_buffer.max(max as usize + 8192);
    let mut taken = 0;
    while tx.has_remaining() {
        let Want::Read { slot: None, staging } = rx.want() else { panic!("nothing waits") };
        let n = staging.len().min(tx.remaining());
        tx.copy_to_slice(&mut staging[..n]);
        rx.advance(&[], n).unwrap();
        assert!(rx.footprint() <= bound, "{} bytes held", rx.footprint());
        while rx.next_pdu(|_| Placement::Stage).unwrap().is_some() {
            taken += 1;
        }
        assert!(rx.footprint() <= bound, "{} bytes held", rx.footprint());
    }
    assert_eq!((taken, rx.buffered()), (24, 0));
}

/// A header that announces more than is allowed makes this end allocate nothing.
#[test]
fn an_announcement_beyond_the_limit_allocates_nothing() {
    let mut bhs = Bhs::new(Opcode::LoginRequest);
    bhs.set_data_segment_len(0xff_ffff);
    let mut rx = Receiver::new(&Limits::default());
    rx.push(Bytes::copy_from_slice(&bhs.0)).unwrap();
    assert!(rx.next_pdu(unasked).is_err());
    assert_eq!(rx.footprint(), 48, "nothing but the header itself");
}

/// A stream pushed a byte at a time is not kept as an allocation for each byte.
#[test]
fn single_bytes_are_joined() {
    let limits = Limits::default();
    let mut rx = receiver((false, false));
    let mut bhs = Bhs::new(Opcode::DataOut);
    bhs.set_data_segment_len(30_000);
    rx.push(Bytes::copy_from_slice(&bhs.0)).unwrap();
    for _ in 0..29_999 {
        rx.push(Bytes::from_static(&[1])).unwrap();
        assert!(rx.pieces() <= 64);
    }
    assert_eq!(rx.next_pdu(|_| Placement::Stage), Ok(None));
    assert!(rx.footprint() <= limits.read_buffer + 30_000);
    rx.push(Bytes::from_static(&[1])).unwrap();
    assert_eq!(rx.next_pdu(unasked).unwrap().unwrap().data, vec![1; 30_000]);
}

/// A segment pushed in pieces is put together as they come: the pieces are not held until the last one is there.
#[test]
fn pieces_of_a_segment_join_it_at_once() {
    let payload: Vec<u8> = (0..20_000u32).map(|i| (i / 7) as u8).collect();
    let stream = two_pdus(&payload, (false, true));
    let mut rx = receiver((false, true));
    let mut pieces = stream.chunks(1500).map(Bytes::copy_from_slice);
    rx.push(pieces.next().unwrap()).unwrap();
    assert_eq!(rx.next_pdu(|_| Placement::Stage), Ok(None));
    for piece in pieces {
        assert_eq!(rx.pieces(), 0);
        rx.push(piece).unwrap();
    }
    let pdu = rx.next_pdu(unasked).unwrap().unwrap();
    assert_eq!((&pdu.data[..], pdu.digest), (&payload[..], SegmentDigest::Good));
    assert_eq!(rx.next_pdu(unasked).unwrap().unwrap().bhs.opcode(), Opcode::NopOut);
}

/// Requests without payload, thousands of them, go through the first buffer: it is neither renewed nor cut.
#[test]
fn headers_alone_leave_the_buffer_where_it_is() {
    let mut rx = receiver((false, false));
    let mut place = None;
    for _ in 0..2000 {
        let Want::Read { staging, .. } = rx.want() else { panic!("nothing waits") };
        let here = (staging.as_ptr(), staging.len());
        assert_eq!(*place.get_or_insert(here), here);
        for header in staging.chunks_exact_mut(48).take(5) {
            header.copy_from_slice(&Bhs::new(Opcode::NopOut).0);
        }
        rx.advance(&[], 5 * 48).unwrap();
        for _ in 0..5 {
            assert!(rx.next_pdu(unasked).unwrap().is_some());
        }
    }
}

/// Writes whose payload is dropped before the buffer is used up: it is used again, not allocated again. Payload that
/// is still held when that happens keeps its bytes.
#[test]
fn a_buffer_is_used_again_when_nobody_holds_it() {
    let mut tx = Transmitter::new();
    let mut held: VecDeque<(u8, Bytes)> = VecDeque::new();
    for hold in [0, 40] {
        let mut rx = receiver((false, false));
        for round in 0..400u32 {
            tx.push(Bhs::new(Opcode::DataOut), vec![round as u8; 4096].into());
            while tx.has_remaining() {
                let Want::Read { staging, .. } = rx.want() else { panic!("nothing waits") };
                let n = staging.len().min(tx.remaining());
                tx.copy_to_slice(&mut staging[..n]);
                rx.advance(&[], n).unwrap();
                while let Some(pdu) = rx.next_pdu(|_| Placement::Stage).unwrap() {
                    held.push_back((round as u8, pdu.data));
                }
            }
            while held.len() > hold {
                let (value, data) = held.pop_front().unwrap();
                assert!(data.len() == 4096 && data.iter().all(|b| *b == value));
            }
        }
        assert_eq!(rx.allocations() == 1, hold == 0, "{} buffers while holding {hold}", rx.allocations());
    }
}

fn unasked(_: &Bhs) -> Placement {
    panic!("asked for a place")
}

fn receiver(digests: (bool, bool)) -> Receiver {
    let mut rx = Receiver::new(&Limits::default());
    rx.set_digests(digests.0, digests.1);
    rx.set_max_segment(1 << 18);
    rx
}

fn verdict(digests: (bool, bool)) -> SegmentDigest {
    if digests.1 { SegmentDigest::Good } else { SegmentDigest::NotUsed }
}

/// A Data-Out with `payload`, and a NOP-Out.
fn two_pdus(payload: &[u8], digests: (bool, bool)) -> Vec<u8> {
    let mut tx = Transmitter::new();
    tx.set_digests(digests.0, digests.1);
    tx.push(Bhs::new(Opcode::DataOut), payload.to_vec().into());
    tx.push(Bhs::new(Opcode::NopOut), DataList::new());
    let len = tx.remaining();
    tx.copy_to_bytes(len).to_vec()
}

/// Reads all of `stream`, at most `step` bytes at a time, into the slot while there is one; the slot's bytes and
/// the first PDU come back.
fn read_all(rx: &mut Receiver, mut stream: &[u8], step: usize) -> (Vec<u8>, Pdu) {
    let (mut memory, mut first) = (Vec::new(), None);
    let start = match rx.want() {
        Want::Read { slot: Some(slot), .. } => slot,
        other => panic!("{other:?}"),
    };
    while !stream.is_empty() {
        let Want::Read { slot, staging } = rx.want() else {
            first = first.or(rx.next_pdu(unasked).unwrap());
            continue;
        };
        let n = step.min(stream.len());
        let place = slot.map_or(0, |slot| {
            assert_eq!(slot.task, TASK);
            assert_eq!(slot.offset, start.offset + memory.len() as u64);
            assert_eq!(slot.len as usize, start.len as usize - memory.len());
            n.min(slot.len as usize)
        });
        let (placed, staged) = stream[..n].split_at(place);
        memory.extend(placed);
        staging[..staged.len()].copy_from_slice(staged);
        rx.advance(placed, staged.len()).unwrap();
        stream = &stream[n..];
    }
    let first = first.or_else(|| rx.next_pdu(unasked).unwrap());
    (memory, first.expect("the stream held a PDU"))
}
