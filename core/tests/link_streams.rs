//! The receiver must see the same PDUs however the stream is cut, and whichever way the pieces come in.

mod link_support;

use bytes::Bytes;
use iscsicore::link::{Pdu, Placement, Receiver, SegmentDigest, Want};
use iscsicore::wire::{Bhs, Opcode};
use iscsicore::{FrameError, Limits};
use link_support::naive_crc;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digests {
    header: bool,
    data: bool,
}

const DIGESTS: [Digests; 4] = [
    Digests { header: false, data: false },
    Digests { header: true, data: false },
    Digests { header: false, data: true },
    Digests { header: true, data: true },
];

/// A PDU to be, and what its padding bytes are.
#[derive(Clone, Debug)]
struct Sample {
    tag: u32,
    ahs: Vec<u8>,
    data: Vec<u8>,
    pad: u8,
}

#[derive(Clone, Copy, Debug)]
enum Feed {
    Push,
    Read,
}

/// Known bytes: a Text Request with five bytes of data, and a NOP-Out without, with all digests. The digests were
/// computed apart from this code, with a bitwise CRC in another language.
// covers: 7143-11.2-1 7143-11.2-2 7143-13.1-1 7143-13.1-2 7143-13.1-3
#[test]
fn golden_frames() {
    let mut text = [0u8; 48];
    text[..8].copy_from_slice(&[0x04, 0x80, 0, 0, 0, 0, 0, 5]);
    text[16..20].copy_from_slice(&[0, 0, 0, 7]);
    let mut nop = [0u8; 48];
    nop[..2].copy_from_slice(&[0x40, 0x80]);
    nop[16..24].copy_from_slice(&[0xff; 8]);

    let mut plain = text.to_vec();
    plain.extend(b"A=bc\0\0\0\0");
    plain.extend(nop);
    let mut guarded = text.to_vec();
    guarded.extend(TEXT_DIGEST);
    guarded.extend(b"A=bc\0\0\0\0");
    guarded.extend(DATA_DIGEST);
    guarded.extend(nop);
    guarded.extend(NOP_DIGEST);

    for (stream, digests, verdict) in
        [(plain, DIGESTS[0], SegmentDigest::NotUsed), (guarded, DIGESTS[3], SegmentDigest::Good)]
    {
        let pdus = run(&stream, &[], &[Feed::Push], digests).unwrap();
        assert_eq!(pdus.len(), 2);
        assert_eq!((pdus[0].bhs, &pdus[0].data[..], pdus[0].digest), (Bhs(text), &b"A=bc\0"[..], verdict));
        assert_eq!((pdus[1].bhs, pdus[1].data.len()), (Bhs(nop), 0));
        // A segment that is not there has no digest, whatever was agreed.
        assert_eq!(pdus[1].digest, SegmentDigest::NotUsed);
    }
}

/// Every byte position as a cut, and every byte alone, for both ways in.
// covers: 7143-11.2-3
#[test]
fn a_stream_cut_anywhere_gives_the_same_pdus() {
    let samples =
        [sample(1, 0, 0), sample(2, 8, 5), sample(3, 0, 4), sample(4, 260, 600), sample(5, 0, 1023)];
    for digests in DIGESTS {
        let stream = frames(&samples, digests);
        for feeds in [&[Feed::Push][..], &[Feed::Read], &[Feed::Push, Feed::Read], &[Feed::Read, Feed::Push]]
        {
            for cut in 0..=stream.len() {
                let pdus = run(&stream, &[cut, cut + 1], feeds, digests).unwrap();
                check(&pdus, &samples, digests);
            }
            let bytewise: Vec<usize> = (0..stream.len()).collect();
            check(&run(&stream, &bytewise, feeds, digests).unwrap(), &samples, digests);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Any PDUs, any cuts, any mixture of both ways in, segments larger than the read buffer among them.
    #[test]
    fn random_streams_at_random_cuts(
        samples in prop::collection::vec(samples(), 1..12),
        cuts in prop::collection::vec(0usize..200_000, 0..60),
        feeds in prop::collection::vec(prop_oneof![Just(Feed::Push), Just(Feed::Read)], 1..7),
        digests in (0usize..4).prop_map(|i| DIGESTS[i]),
    ) {
        let stream = frames(&samples, digests);
        let pdus = run(&stream, &cuts, &feeds, digests).unwrap();
        check(&pdus, &samples, digests);
    }

    /// Damage anywhere has the same outcome however the stream is cut: the same PDUs and verdicts, or the same error,
    /// which is never taken for the adapter's mistake.
    #[test]
    fn damaged_streams_at_random_cuts(
        samples in prop::collection::vec(samples(), 1..8),
        damage in prop::collection::vec((0.0f64..1.0, 1u8..), 1..4),
        cuts in prop::collection::vec(0usize..100_000, 0..30),
        feeds in prop::collection::vec(prop_oneof![Just(Feed::Push), Just(Feed::Read)], 1..5),
        digests in (0usize..4).prop_map(|i| DIGESTS[i]),
    ) {
        let mut stream = frames(&samples, digests);
        for (place, bits) in damage {
            let at = (place * stream.len() as f64) as usize;
            stream[at] ^= bits;
        }
        let whole = run(&stream, &[], &[Feed::Push], digests);
        prop_assert!(!matches!(whole, Err(FrameError::Accounting(_))));
        prop_assert!(run(&stream, &cuts, &feeds, digests) == whole);
    }

    /// Noise never panics, and never takes more than the limits allow to be seen as such.
    #[test]
    fn noise(bytes in prop::collection::vec(any::<u8>(), 0..4000), cut in 0usize..4000, header in any::<bool>()) {
        let digests = Digests { header, data: true };
        if let Err(failed) = run(&bytes, &[cut], &[Feed::Push, Feed::Read], digests) {
            prop_assert!(!matches!(failed, FrameError::Accounting(_)));
        }
    }
}

/// One bit of a header turned over, anywhere in what the digest covers or in the digest: the PDU never comes out.
// covers: 7143-7.8-1
#[test]
fn any_damaged_header_is_noticed_and_final() {
    let digests = DIGESTS[1];
    let stream = frames(&[sample(1, 8, 64), sample(2, 0, 0)], digests);
    for byte in 0..48 + 8 + 4 {
        for bit in 0..8 {
            let mut bad = stream.clone();
            bad[byte] ^= 1 << bit;
            let mut rx = receiver(digests);
            rx.push(bad.into()).unwrap();
            match rx.next_pdu(stage) {
                Err(FrameError::HeaderDigest { computed, received }) => assert_ne!(computed, received),
                Err(FrameError::AhsTooLong { .. }) if byte == 4 => {}
                // A longer TotalAHSLength waits for bytes that this stream does not have.
                Ok(None) if byte == 4 => continue,
                other => panic!("byte {byte} bit {bit}: {other:?}"),
            }
            let again = rx.next_pdu(stage).unwrap_err();
            assert_eq!(rx.next_pdu(stage), Err(again));
            assert_eq!(rx.push(Bytes::from_static(&[0; 48])), Err(again));
            assert_eq!(rx.advance(&[], 0), Err(again));
            assert!(matches!(rx.want(), Want::Answer));
        }
    }
}

/// Damage in the payload, the padding or the data digest is a verdict on this PDU alone; the next one is fine.
// covers: 7143-13.1-3
#[test]
fn damaged_payload_spoils_its_pdu_only() {
    let digests = DIGESTS[3];
    let samples = [sample(1, 0, 1021), sample(2, 0, 8)];
    let stream = frames(&samples, digests);
    for byte in 52..52 + 1024 + 4 {
        let mut bad = stream.clone();
        bad[byte] ^= 0x10;
        let pdus = run(&bad, &[byte], &[Feed::Read], digests).unwrap();
        assert_eq!(
            (pdus[0].digest, pdus[1].digest),
            (SegmentDigest::Bad, SegmentDigest::Good),
            "byte {byte}"
        );
        assert_eq!(&pdus[1].data[..], &samples[1].data[..]);
    }
}

/// The value of padding bytes means nothing, but the digest covers it.
// covers: 7143-13.1-3
#[test]
fn padding_of_any_value_is_accepted() {
    for digests in DIGESTS {
        for len in 1..9 {
            let samples = [Sample { pad: 0xa5, ..sample(1, 0, len) }, sample(2, 0, 0)];
            check(&run(&frames(&samples, digests), &[], &[Feed::Push], digests).unwrap(), &samples, digests);
        }
    }
}

/// Lengths that lie are refused when the header is there, before a byte of the segment is.
#[test]
fn lying_lengths_are_refused_by_the_header_alone() {
    for digests in DIGESTS {
        let mut bhs = Bhs::new(Opcode::LoginRequest);
        bhs.set_data_segment_len(0xff_ffff);
        let mut header = bhs.0.to_vec();
        header.extend(if digests.header { naive_crc(&bhs.0).to_vec() } else { vec![] });
        let mut rx = Receiver::new(&Limits::default());
        rx.set_digests(digests.header, digests.data);
        rx.push(header.into()).unwrap();
        assert!(matches!(rx.want(), Want::Answer));
        let error = FrameError::SegmentTooLong { len: 0xff_ffff, max: 8192 };
        assert_eq!(rx.next_pdu(|_| panic!("asked for a place")), Err(error));
        assert_eq!(rx.next_pdu(stage), Err(error));

        let mut bhs = Bhs::new(Opcode::ScsiCommand);
        bhs.set_total_ahs_len(1020);
        let mut rx = receiver(digests);
        rx.push(Bytes::copy_from_slice(&bhs.0)).unwrap();
        assert!(matches!(rx.want(), Want::Answer));
        assert_eq!(rx.next_pdu(stage), Err(FrameError::AhsTooLong { len: 1020, max: 260 }));
    }
}

/// The segment limit is a limit, not one less or more, and a new one counts from the next PDU on.
#[test]
fn the_segment_limit_is_exact() {
    let digests = DIGESTS[0];
    let stream = frames(&[sample(1, 0, 8192), sample(2, 0, 8193)], digests);
    let mut rx = Receiver::new(&Limits::default());
    rx.push(stream.clone().into()).unwrap();
    assert_eq!(rx.next_pdu(stage).unwrap().unwrap().data.len(), 8192);
    assert_eq!(rx.next_pdu(stage), Err(FrameError::SegmentTooLong { len: 8193, max: 8192 }));

    let mut rx = Receiver::new(&Limits::default());
    rx.push(stream.into()).unwrap();
    assert_eq!(rx.next_pdu(stage).unwrap().unwrap().data.len(), 8192);
    rx.set_max_segment(8193);
    assert_eq!(rx.next_pdu(stage).unwrap().unwrap().data.len(), 8193);
    assert_eq!(rx.buffered(), 0);
}

/// The last PDU of a login and the first with digests arrive in one piece: digests count from the second one.
// covers: 7143-13.1-2
#[test]
fn digests_take_effect_between_two_pdus() {
    let (first, second) = (sample(1, 0, 6), sample(2, 0, 6));
    let mut stream = frames(std::slice::from_ref(&first), DIGESTS[0]);
    stream.extend(frames(std::slice::from_ref(&second), DIGESTS[3]));
    let mut rx = Receiver::new(&Limits::default());
    rx.push(stream.into()).unwrap();
    assert_eq!(rx.next_pdu(stage).unwrap().unwrap().digest, SegmentDigest::NotUsed);
    rx.set_digests(true, true);
    let pdu = rx.next_pdu(stage).unwrap().unwrap();
    assert_eq!((pdu.digest, &pdu.data[..]), (SegmentDigest::Good, &second.data[..]));
    assert_eq!((rx.next_pdu(stage), rx.buffered()), (Ok(None), 0));
}

/// Reading stops when a whole PDU waits, and goes on when it was taken.
#[test]
fn a_waiting_pdu_stops_reading() {
    let stream = frames(&[sample(1, 0, 100)], DIGESTS[0]);
    let mut rx = receiver(DIGESTS[0]);
    let last = stream.len() - 1;
    read(&mut rx, &stream[..last]);
    assert!(matches!(rx.want(), Want::Read { slot: None, .. }));
    assert_eq!(rx.next_pdu(stage), Ok(None));
    assert_eq!(rx.buffered(), last);
    read(&mut rx, &stream[last..]);
    assert!(matches!(rx.want(), Want::Answer));
    assert!(rx.next_pdu(stage).unwrap().is_some());
    assert!(matches!(rx.want(), Want::Read { slot: None, .. }));
}

/// More than was offered is the adapter's mistake, and leaves nothing to go on with.
#[test]
fn wrong_accounts_are_refused() {
    let mut rx = receiver(DIGESTS[0]);
    let Want::Read { staging, .. } = rx.want() else { panic!("nothing waits") };
    let room = staging.len();
    let error = rx.advance(&[], room + 1).unwrap_err();
    assert!(matches!(error, FrameError::Accounting(_)));
    assert_eq!(rx.advance(&[], 1), Err(error));
    let mut rx = receiver(DIGESTS[0]);
    assert!(matches!(rx.advance(&[0], 0), Err(FrameError::Accounting(_))));
}

/// A data segment inside one push is the pushed memory itself.
#[test]
fn payload_is_sliced_out_of_what_was_pushed() {
    let stream = Bytes::from(frames(&[sample(1, 0, 4096), sample(2, 0, 513)], DIGESTS[3]));
    let mut rx = receiver(DIGESTS[3]);
    rx.push(stream.clone()).unwrap();
    for len in [4096, 513] {
        let data = rx.next_pdu(stage).unwrap().unwrap().data;
        assert_eq!(data.len(), len);
        assert!(stream.as_ptr_range().contains(&data.as_ptr()), "copied");
    }
}

fn stage(_: &Bhs) -> Placement {
    Placement::Stage
}

fn receiver(digests: Digests) -> Receiver {
    let mut rx = Receiver::new(&limits());
    rx.set_digests(digests.header, digests.data);
    rx.set_max_segment(1 << 18);
    rx
}

/// A small read buffer, so that its end is met often.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.read_buffer = 16 * 1024;
    limits
}

/// Feeds `stream` in the pieces that `cuts` make of it, alternating between `feeds`, and takes all PDUs.
fn run(stream: &[u8], cuts: &[usize], feeds: &[Feed], digests: Digests) -> Result<Vec<Pdu>, FrameError> {
    let mut rx = receiver(digests);
    let mut cuts: Vec<usize> = cuts.iter().map(|c| (*c).min(stream.len())).collect();
    cuts.push(stream.len());
    cuts.sort_unstable();
    let (mut at, mut pdus) = (0, Vec::new());
    for (cut, feed) in cuts.into_iter().zip(feeds.iter().cycle()) {
        match feed {
            Feed::Push => rx.push(Bytes::copy_from_slice(&stream[at..cut]))?,
            Feed::Read => {
                while at < cut {
                    at += read(&mut rx, &stream[at..cut]);
                    take(&mut rx, &mut pdus)?;
                }
            }
        }
        take(&mut rx, &mut pdus)?;
        at = cut;
    }
    Ok(pdus)
}

/// One read of as much as is wanted.
fn read(rx: &mut Receiver, bytes: &[u8]) -> usize {
    let Want::Read { slot: None, staging } = rx.want() else {
        panic!("reading stopped though nothing waits")
    };
    let n = bytes.len().min(staging.len());
    assert!(n > 0);
    staging[..n].copy_from_slice(&bytes[..n]);
    rx.advance(&[], n).unwrap();
    n
}

fn take(rx: &mut Receiver, pdus: &mut Vec<Pdu>) -> Result<(), FrameError> {
    while let Some(pdu) = rx.next_pdu(stage)? {
        pdus.push(pdu);
    }
    Ok(())
}

fn check(pdus: &[Pdu], samples: &[Sample], digests: Digests) {
    assert_eq!(pdus.len(), samples.len());
    for (pdu, sample) in pdus.iter().zip(samples) {
        assert_eq!(pdu.bhs, header(sample));
        assert_eq!(&pdu.ahs[..], &sample.ahs[..]);
        assert!(pdu.data == sample.data, "payload of {} bytes differs", sample.data.len());
        let digest = if digests.data && !sample.data.is_empty() {
            SegmentDigest::Good
        } else {
            SegmentDigest::NotUsed
        };
        assert_eq!((pdu.digest, pdu.placed), (digest, 0));
    }
}

fn sample(tag: u32, ahs: usize, data: usize) -> Sample {
    let bytes = |n: usize| (0..n as u32).map(|i| (i * 7 + i / 251).wrapping_add(tag) as u8).collect();
    Sample { tag, ahs: bytes(ahs), data: bytes(data), pad: 0 }
}

fn samples() -> impl Strategy<Value = Sample> {
    let len = prop_oneof![4 => Just(0usize), 3 => 1usize..600, 3 => 500usize..9000, 1 => 9000usize..70_000];
    (any::<u32>(), prop_oneof![4 => Just(0usize), 1 => 1usize..=65], len, any::<u8>())
        .prop_map(|(tag, words, data, pad)| Sample { pad, ..sample(tag, words * 4, data) })
}

fn header(sample: &Sample) -> Bhs {
    let mut bhs = Bhs::new(Opcode::ScsiCommand);
    bhs.0[16..20].copy_from_slice(&sample.tag.to_be_bytes());
    bhs.0[4] = (sample.ahs.len() / 4) as u8;
    bhs.0[5..8].copy_from_slice(&(sample.data.len() as u32).to_be_bytes()[1..]);
    bhs
}

/// The frames of `samples`, made without the code under test.
fn frames(samples: &[Sample], digests: Digests) -> Vec<u8> {
    let mut out = Vec::new();
    for sample in samples {
        let mut head = header(sample).0.to_vec();
        head.extend(&sample.ahs);
        if digests.header {
            head.extend(naive_crc(&head));
        }
        let mut data = sample.data.clone();
        data.resize(data.len().next_multiple_of(4), sample.pad);
        if digests.data && !data.is_empty() {
            data.extend(naive_crc(&data));
        }
        out.extend(head);
        out.extend(data);
    }
    out
}

const TEXT_DIGEST: [u8; 4] = [0x95, 0x7d, 0x6d, 0xe1];
const DATA_DIGEST: [u8; 4] = [0x66, 0xeb, 0x6c, 0xc9];
const NOP_DIGEST: [u8; 4] = [0x5a, 0xfa, 0x1e, 0x66];
