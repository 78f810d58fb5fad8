//! Both roles together, over every combination of the keys that change how payload travels: all bytes arrive, and an
//! onlooker on the wire finds every PDU within what was agreed on.
#![allow(missing_docs)]

mod pair_support;

use core::time::Duration;

use iscsicore::initiator::Sink;
use iscsicore::login::{DigestOffer, Offer};
use iscsicore::wire::Residual;
use pair_support::commands::{BLOCK, Scripted, answer, is_good, pattern, read, scripted, write};
use pair_support::{Chance, Cut, Feed, Pair, Setup};

/// FirstBurstLength and MaxBurstLength: the least, equal, multiples, odd, and larger than any transfer here.
const BURSTS: [(u32, u32); 6] =
    [(512, 512), (512, 1024), (1024, 1024), (777, 1533), (1500, 4096), (65_536, 262_144)];
/// MaxRecvDataSegmentLength of the initiator and of the target.
const SEGMENTS: [(u32, u32); 4] = [(512, 1500), (1500, 512), (8192, 8192), (262_144, 262_144)];
const OUTSTANDING_R2TS: [u16; 3] = [1, 2, 16];

/// One combination.
#[derive(Clone, Copy, Debug)]
struct Keys {
    initial_r2t: bool,
    immediate_data: bool,
    bursts: (u32, u32),
    segments: (u32, u32),
    header_digest: bool,
    data_digest: bool,
    outstanding_r2ts: u16,
    pdu_in_order: bool,
    sequence_in_order: bool,
    sink: Sink,
}

impl Keys {
    fn of(self, offer: &mut Offer) {
        let digest = |on| if on { DigestOffer::Crc32cOnly } else { DigestOffer::NoneOnly };
        offer.initial_r2t = self.initial_r2t;
        offer.immediate_data = self.immediate_data;
        (offer.first_burst, offer.max_burst) = self.bursts;
        offer.header_digest = digest(self.header_digest);
        offer.data_digest = digest(self.data_digest);
        offer.max_outstanding_r2t = self.outstanding_r2ts;
        offer.data_pdu_in_order = self.pdu_in_order;
        offer.data_sequence_in_order = self.sequence_in_order;
    }

    fn connect(self, seed: u64, cut: Cut, feed: Feed) -> Pair {
        let mut setup =
            Setup { seed, cut, feed, blocks: 128, ..Setup::default() }.both(|offer| self.of(offer));
        (setup.near.max_segment, setup.far.max_segment) = self.segments;
        setup.ready()
    }

    /// What the login must have made of the offers.
    fn assert_agreed(self, pair: &mut Pair) {
        let near = pair.near.initiator.parameters().expect("a login").clone();
        let far = pair.far.target().parameters().clone();
        assert_eq!((near.local_max_segment, near.peer_max_segment), self.segments);
        assert_eq!((far.peer_max_segment, far.local_max_segment), self.segments);
        for agreed in [near, far] {
            assert_eq!((agreed.initial_r2t, agreed.immediate_data), (self.initial_r2t, self.immediate_data));
            assert_eq!((agreed.first_burst, agreed.max_burst), self.bursts);
            assert_eq!((agreed.header_digest, agreed.data_digest), (self.header_digest, self.data_digest));
            assert_eq!(agreed.max_outstanding_r2t, self.outstanding_r2ts);
            assert_eq!(agreed.data_pdu_in_order, self.pdu_in_order);
            assert_eq!(agreed.data_sequence_in_order, self.sequence_in_order);
        }
    }
}

/// All combinations with these two keys.
fn combinations(initial_r2t: bool, immediate_data: bool) -> Vec<Keys> {
    let both = [false, true];
    let mut all = Vec::new();
    for bursts in BURSTS {
        for segments in SEGMENTS {
            for outstanding_r2ts in OUTSTANDING_R2TS {
                for (header_digest, data_digest) in both.into_iter().flat_map(|h| both.map(|d| (h, d))) {
                    for (pdu, sequence) in both.into_iter().flat_map(|p| both.map(|s| (p, s))) {
                        all.extend([Sink::Collect, Sink::Slots].map(|sink| Keys {
                            initial_r2t,
                            immediate_data,
                            bursts,
                            segments,
                            header_digest,
                            data_digest,
                            outstanding_r2ts,
                            pdu_in_order: pdu,
                            sequence_in_order: sequence,
                            sink,
                        }));
                    }
                }
            }
        }
    }
    all
}

/// Lengths around every boundary that `keys` set, as far as they are worth their time.
fn lengths(keys: &Keys) -> Vec<u32> {
    let (first, max) = keys.bursts;
    let mut lengths = vec![0, 1, 511, 513];
    for edge in [first, max, first + max, 2 * max, keys.segments.0, keys.segments.1] {
        lengths.extend([edge - 1, edge, edge + 1]);
    }
    lengths.retain(|len| *len <= MOST);
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// The longest transfer.
const MOST: u32 = 4500;

/// Writes and reads blocks of a disk: several commands at once, each of another length.
fn blocks(pair: &mut Pair, keys: &Keys, chance: &mut Chance) {
    let (mut lba, mut written, mut tasks) = (0, Vec::new(), Vec::new());
    let mut counts: Vec<u32> = vec![0, 1];
    for edge in [keys.bursts.0, keys.bursts.1, 2 * keys.bursts.1].map(|edge| edge.min(MOST)) {
        counts.push(edge / BLOCK as u32 + chance.below(2) as u32);
    }
    for count in counts {
        let data = chance.bytes(count as usize * BLOCK);
        tasks.push(pair.submit(write(lba, data.clone())));
        written.push((lba, count, data));
        lba += count;
    }
    for done in pair.finish(&tasks) {
        assert!(is_good(&done.outcome), "{:?}", done.outcome);
        assert_eq!(answer(&done.outcome).residual, Residual::None);
    }
    let tasks: Vec<_> =
        written.iter().map(|(lba, count, _)| pair.submit(read(*lba, *count as u16, keys.sink))).collect();
    for (done, (lba, _, data)) in pair.finish(&tasks).into_iter().zip(&written) {
        let answer = answer(&done.outcome);
        assert!(is_good(&done.outcome), "{answer:?}");
        assert_eq!((answer.received as usize, answer.residual), (data.len(), Residual::None));
        let got = match keys.sink {
            Sink::Collect => answer.data.to_bytes().to_vec(),
            Sink::Slots => done.memory,
        };
        assert!(got == *data, "what was read is not what was written");
        assert!(pair.far.disks[0][*lba as usize * BLOCK..][..data.len()] == data[..], "what is on the disk");
    }
}

/// Moves payload whose length is no multiple of anything, both ways.
fn bytes(pair: &mut Pair, keys: &Keys, chance: &mut Chance) {
    let lengths = lengths(keys);
    let chosen: Vec<u32> = (0..4).map(|_| chance.pick(&lengths)).collect();
    let mut tasks = Vec::new();
    for &len in &chosen {
        let data = chance.bytes(len as usize);
        let what = Scripted { take: len, moved: len, ..Scripted::default() };
        tasks.push((pair.submit(scripted(what, data.clone(), 0)), Some(data)));
        let what = Scripted { send: len, moved: len, ..Scripted::default() };
        let mut command = scripted(what, Vec::new(), len);
        command.sink = keys.sink;
        tasks.push((pair.submit(command), None));
    }
    let ids: Vec<_> = tasks.iter().map(|(id, _)| *id).collect();
    let done = pair.finish(&ids);
    let mut taken: Vec<Vec<u8>> =
        std::mem::take(&mut pair.far.taken).iter().map(|data| data.to_bytes().to_vec()).collect();
    let mut sent: Vec<Vec<u8>> =
        tasks.into_iter().filter_map(|(_, data)| data.filter(|data| !data.is_empty())).collect();
    taken.sort();
    sent.sort();
    assert!(taken == sent, "what the target took is not what was sent");
    for (index, done) in done.iter().enumerate() {
        let (answer, len) = (answer(&done.outcome), chosen[index / 2] as usize);
        assert!(is_good(&done.outcome), "{answer:?}");
        assert_eq!(answer.residual, Residual::None);
        if index % 2 == 1 {
            let got = match keys.sink {
                Sink::Collect => answer.data.to_bytes().to_vec(),
                Sink::Slots => done.memory.clone(),
            };
            assert!(answer.received as usize == len && got == pattern(len), "{len} bytes that were sent");
        }
    }
}

/// Runs the combinations; returns the most R2Ts of a task that were outstanding at a time.
fn run(combinations: Vec<Keys>) -> usize {
    let (mut most, mut placed) = (0, 0);
    for (index, keys) in combinations.into_iter().enumerate() {
        let mut chance = Chance::new(index as u64);
        let cut = match chance.below(8) {
            0 => Cut::UpTo(97),
            1 | 2 => Cut::UpTo(1500),
            3 | 4 => Cut::UpTo(9000),
            _ => Cut::Whole,
        };
        let feed = match keys.sink {
            Sink::Collect => chance.pick(&[Feed::Owned, Feed::Lent]),
            Sink::Slots => Feed::Lent,
        };
        let mut context = Context(Some((index, keys, cut)));
        let mut pair = keys.connect(index as u64, cut, feed);
        pair.far.delay = chance.pick(&[Duration::ZERO, Duration::from_millis(5)]);
        keys.assert_agreed(&mut pair);
        blocks(&mut pair, &keys, &mut chance);
        bytes(&mut pair, &keys, &mut chance);
        pair.assert_sound();
        assert_eq!(pair.monitor().outstanding(), 0);
        most = most.max(pair.monitor().most_r2ts);
        placed += pair.near.placed;
        context.0 = None;
    }
    assert!(placed > 0, "no byte went straight to its place");
    most
}

/// Tells which combination failed, unless it is taken out before.
struct Context(Option<(usize, Keys, Cut)>);

impl Drop for Context {
    fn drop(&mut self) {
        if let Some((index, keys, cut)) = self.0 {
            eprintln!("combination {index}: {keys:?}, {cut:?}");
        }
    }
}

// covers: 7143-4.2.5.2-6 7143-11.8-3 7143-11.8-4 7143-11.8-6 7143-11.8-7
// covers: 7143-4.2.2.1-8
#[test]
fn payload_that_is_asked_for_with_immediate_data() {
    assert!(run(combinations(true, true)) >= 2, "R2Ts were outstanding together");
}

#[test]
fn payload_that_is_asked_for_alone() {
    assert!(run(combinations(true, false)) >= 2, "R2Ts were outstanding together");
}

// covers: 7143-4.2.5.2-5 7143-4.2.5.2-10 7143-4.2.5.2-11 7143-11.3.4-3 7143-13.12-1
#[test]
fn payload_that_is_unsolicited_with_immediate_data() {
    assert!(run(combinations(false, true)) >= 2, "R2Ts were outstanding together");
}

// covers: 7143-13.11-2
#[test]
fn payload_that_is_unsolicited_in_pdus_of_its_own() {
    assert!(run(combinations(false, false)) >= 2, "R2Ts were outstanding together");
}

#[test]
fn bytes_that_arrive_one_by_one() {
    // One combination of each kind is enough: where a PDU is cut does not depend on the keys.
    let combinations = combinations(false, true);
    for (index, sink) in [(0, Sink::Collect), (60, Sink::Slots), (300, Sink::Slots), (500, Sink::Collect)] {
        let keys = Keys { sink, ..combinations[index] };
        let mut pair = keys.connect(9, Cut::Every(1), Feed::Lent);
        blocks(&mut pair, &keys, &mut Chance::new(9));
        pair.assert_sound();
    }
}
