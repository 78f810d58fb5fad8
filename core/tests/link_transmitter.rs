//! The transmitter's bytes are the concatenation of its PDUs, however they are written out.

mod link_support;

use std::io::IoSlice;

use bytes::{Buf, Bytes};
use iscsicore::link::{Placement, Receiver, SegmentDigest, Transmitter};
use iscsicore::wire::{Bhs, Opcode};
use iscsicore::{DataList, Limits};
use link_support::naive_crc;
use proptest::prelude::*;

/// What one PDU is made of: a tag, additional header segments, slices of payload.
#[derive(Clone, Debug)]
struct Sample {
    tag: u32,
    ahs: Vec<u8>,
    data: Vec<Vec<u8>>,
}

/// The Read (10) command of RFC 7143 appendix A.4 with its digest, and a segment whose padded digest is known.
// covers: 7143-13.1-2 7143-13.1-4
#[test]
fn golden_frames_with_digests() {
    let mut bhs = [0u8; 48];
    bhs[..2].copy_from_slice(&[0x01, 0xc0]);
    bhs[16..33].copy_from_slice(&[0x14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28]);
    bhs[40] = 0x02;
    let mut tx = Transmitter::new();
    tx.set_digests(true, true);
    tx.push(Bhs(bhs), DataList::new());
    let bytes = drain(&mut tx);
    assert_eq!(bytes[..48], bhs);
    assert_eq!(bytes[48..], [0x56, 0x3a, 0x96, 0xd9]);

    // 32 bytes of zeroes, three of which are padding.
    tx.set_digests(false, true);
    tx.push(Bhs::new(Opcode::DataOut), DataList::from(vec![0; 29]));
    let bytes = drain(&mut tx);
    assert_eq!(bytes[..8], [0x05, 0, 0, 0, 0, 0, 0, 29]);
    assert_eq!(bytes[48..80], [0; 32]);
    assert_eq!(bytes[80..], [0xaa, 0x36, 0x91, 0x8a]);
}

/// Lengths left over from an earlier use of the header do not travel.
// covers: 7143-11.2.1.5-1 7143-11.2.1.6-1
#[test]
fn lengths_say_what_is_there() {
    let mut stale = Bhs::new(Opcode::ScsiResponse);
    stale.set_data_segment_len(77);
    stale.set_total_ahs_len(12);
    let mut tx = Transmitter::new();
    tx.push(stale, DataList::new());
    assert_eq!(drain(&mut tx)[4..8], [0; 4]);
    tx.push_with_ahs(stale, &[1; 8], DataList::from(vec![0; 0x01_0203]));
    assert_eq!(tx.queued(), 48 + 8 + 0x01_0204);
    assert_eq!(drain(&mut tx)[4..8], [2, 1, 2, 3]);
}

/// Segments end at whole words, with zeroes.
// covers: 7143-11.1-1 7143-11.2-4 7143-13.1-3
#[test]
fn padding_is_zero_and_to_the_next_word() {
    for header in [false, true] {
        for data in [false, true] {
            for len in 0..9usize {
                let mut tx = Transmitter::new();
                tx.set_digests(header, data);
                tx.push_with_ahs(Bhs::new(Opcode::ScsiCommand), &vec![0xff; len], vec![0xff; len].into());
                let bytes = drain(&mut tx);
                let (whole, pad) = (len.next_multiple_of(4), len.next_multiple_of(4) - len);
                let at = 48 + whole + if header { 4 } else { 0 };
                assert_eq!(usize::from(bytes[4]) * 4, whole);
                assert_eq!(bytes[48 + len..48 + whole], vec![0; pad]);
                assert_eq!(bytes[at + len..at + whole], vec![0; pad]);
                let digest = if data && len > 0 { 4 } else { 0 };
                assert_eq!(bytes.len(), at + whole + digest);
            }
        }
    }
}

/// Payload goes out from the memory it came in.
#[test]
fn payload_is_not_copied() {
    let payload = Bytes::from(vec![3; 4096]);
    let mut tx = Transmitter::new();
    tx.push(Bhs::new(Opcode::DataIn), payload.clone().into());
    tx.advance(48);
    assert_eq!(tx.chunk().as_ptr(), payload.as_ptr());
    assert_eq!(tx.chunk().len(), 4096);
}

/// A switch of digests counts for what is pushed after it, also while earlier PDUs wait.
// covers: 7143-13.1-2
#[test]
fn digests_count_from_the_next_push() {
    let mut tx = Transmitter::new();
    tx.push(Bhs::new(Opcode::LoginResponse), vec![1; 4].into());
    tx.set_digests(true, true);
    tx.push(Bhs::new(Opcode::NopIn), vec![1; 4].into());
    assert_eq!(tx.queued(), (48 + 4) + (48 + 4 + 4 + 4));
}

#[test]
#[should_panic(expected = "data segment")]
fn a_segment_that_cannot_be_announced_is_not_sent() {
    Transmitter::new().push(Bhs::new(Opcode::DataIn), vec![0; 1 << 24].into());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Bytes taken by random partial writes equal the frames; gathered and single chunks agree at each step.
    #[test]
    fn any_partial_writes_give_the_concatenation(
        samples in prop::collection::vec(samples(), 0..10),
        steps in prop::collection::vec((1usize..300, 1usize..8), 1..40),
        header in any::<bool>(), data in any::<bool>(),
    ) {
        let mut tx = Transmitter::new();
        tx.set_digests(header, data);
        let mut want = Vec::new();
        for sample in &samples {
            send(&mut tx, sample);
            want.extend(frame(sample, header, data));
            prop_assert_eq!(tx.queued(), want.len());
        }
        let mut got = Vec::new();
        for (count, slices) in steps.iter().cycle() {
            if !tx.has_remaining() {
                break;
            }
            let mut room = vec![IoSlice::new(&[]); *slices];
            let filled = tx.chunks_vectored(&mut room);
            prop_assert!(filled > 0 && filled <= *slices);
            prop_assert!(room[..filled].iter().all(|s| !s.is_empty()));
            prop_assert_eq!(&room[0][..], tx.chunk());
            let gathered: Vec<u8> = room[..filled].iter().flat_map(|s| s.iter().copied()).collect();
            let n = (*count).min(gathered.len());
            got.extend_from_slice(&gathered[..n]);
            tx.advance(n);
            prop_assert_eq!(tx.remaining(), want.len() - got.len());
        }
        prop_assert_eq!(got, want);
        prop_assert_eq!(tx.chunks_vectored(&mut [IoSlice::new(&[])]), 0);
        prop_assert!(tx.chunk().is_empty());
    }

    /// What one end sends, the other end sees.
    #[test]
    fn the_receiver_reads_what_was_written(
        samples in prop::collection::vec(samples(), 0..10), header in any::<bool>(), data in any::<bool>(),
    ) {
        let mut tx = Transmitter::new();
        tx.set_digests(header, data);
        let mut rx = Receiver::new(&Limits::default());
        rx.set_digests(header, data);
        samples.iter().for_each(|sample| send(&mut tx, sample));
        rx.push(drain(&mut tx).into()).unwrap();
        for sample in &samples {
            let pdu = rx.next_pdu(|_| Placement::Stage).unwrap().unwrap();
            prop_assert_eq!(pdu.bhs.itt().0, sample.tag);
            prop_assert_eq!(&pdu.ahs[..], &sample.ahs[..]);
            let payload = sample.data.concat();
            prop_assert_eq!(&pdu.data[..], &payload[..]);
            let verdict = if data && !payload.is_empty() { SegmentDigest::Good } else { SegmentDigest::NotUsed };
            prop_assert_eq!(pdu.digest, verdict);
        }
        prop_assert_eq!(rx.buffered(), 0);
    }
}

fn samples() -> impl Strategy<Value = Sample> {
    let bytes = |len| prop::collection::vec(any::<u8>(), len);
    let ahs = prop_oneof![3 => Just(vec![]), 1 => bytes(1..66).prop_map(|b: Vec<u8>| b.repeat(4))];
    (any::<u32>(), ahs, prop::collection::vec(bytes(0..200), 0..4)).prop_map(|(tag, ahs, data)| Sample {
        tag,
        ahs,
        data,
    })
}

fn header(sample: &Sample) -> Bhs {
    let mut bhs = Bhs::new(Opcode::ScsiCommand);
    bhs.0[16..20].copy_from_slice(&sample.tag.to_be_bytes());
    bhs
}

fn send(tx: &mut Transmitter, sample: &Sample) {
    let data: DataList = sample.data.iter().cloned().map(Bytes::from).collect();
    if sample.ahs.is_empty() {
        tx.push(header(sample), data);
    } else {
        tx.push_with_ahs(header(sample), &sample.ahs, data);
    }
}

/// The frame of `sample`, made without the code under test.
fn frame(sample: &Sample, header_digest: bool, data_digest: bool) -> Vec<u8> {
    let data = sample.data.concat();
    let mut out = header(sample).0.to_vec();
    out[4] = (sample.ahs.len() / 4) as u8;
    out[5..8].copy_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
    out.extend(&sample.ahs);
    if header_digest {
        out.extend(naive_crc(&out));
    }
    let start = out.len();
    out.extend(&data);
    out.resize(start + data.len().next_multiple_of(4), 0);
    if data_digest && !data.is_empty() {
        out.extend(naive_crc(&out[start..]));
    }
    out
}

fn drain(tx: &mut Transmitter) -> Vec<u8> {
    let len = tx.remaining();
    tx.copy_to_bytes(len).to_vec()
}
