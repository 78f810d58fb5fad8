//! What a logical unit has to hold, block by block, and who is at work on which of them.

use std::sync::Mutex;

use bytes::{Bytes, BytesMut};
use iscsicore_tokio::Client;

use crate::{Failure, Outcome};

/// A small generator of numbers that look random (splitmix64).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Random(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// Mostly small, sometimes as large as `most`; at least 1.
    pub(crate) fn skewed(&mut self, most: u64) -> u64 {
        let bound = 1 << self.below(u64::from(most.max(1).ilog2()) + 2);
        1 + self.below(bound.min(most))
    }
}

/// A range of blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) lba: u64,
    pub(crate) blocks: u64,
}

/// The state of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Nobody has written it yet: it may hold anything.
    Anything,
    /// Zeros.
    Zeros,
    /// What [`fill`] makes of this generation.
    Generation(u32),
}

/// One logical unit as it has to be. Blocks on which a command is under way belong to that command.
pub(crate) struct Model {
    pub(crate) client: Client,
    pub(crate) block: usize,
    pub(crate) blocks: u64,
    seed: u64,
    state: Mutex<State>,
}

struct State {
    content: Vec<Content>,
    busy: Vec<bool>,
    generation: u32,
}

impl Model {
    /// A model of the unit that `client` is a handle on, whose content is not known yet.
    pub(crate) fn new(client: Client, seed: u64) -> Self {
        let (block, blocks) = (client.block_size() as usize, client.blocks());
        let state = State {
            content: vec![Content::Anything; blocks as usize],
            busy: vec![false; blocks as usize],
            generation: 0,
        };
        let seed = seed ^ u64::from(client.lun()) << 48;
        Model { client, block, blocks, seed, state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the model")
    }

    /// Takes a range for one command if nobody else has a part of it.
    pub(crate) fn claim(&self, range: Range) -> bool {
        let mut state = self.state();
        let busy = &mut state.busy[range.lba as usize..(range.lba + range.blocks) as usize];
        if busy.iter().any(|b| *b) {
            return false;
        }
        busy.fill(true);
        true
    }

    /// Gives a range back.
    pub(crate) fn release(&self, range: Range) {
        self.state().busy[range.lba as usize..(range.lba + range.blocks) as usize].fill(false);
    }

    /// Data that was never written before, for a range.
    pub(crate) fn fresh(&self, range: Range) -> (u32, Bytes) {
        let mut state = self.state();
        state.generation += 1;
        let generation = state.generation;
        drop(state);
        let mut data = BytesMut::zeroed(range.blocks as usize * self.block);
        for (lba, block) in (range.lba..).zip(data.chunks_exact_mut(self.block)) {
            fill(block, self.seed, lba, generation);
        }
        (generation, data.freeze())
    }

    /// Notes that a range holds what [`fresh`](Self::fresh) made of this generation.
    pub(crate) fn wrote(&self, range: Range, generation: u32) {
        self.note(range, Content::Generation(generation));
    }

    /// Notes that a range holds zeros.
    pub(crate) fn zeroed(&self, range: Range) {
        self.note(range, Content::Zeros);
    }

    fn note(&self, range: Range, content: Content) {
        self.state().content[range.lba as usize..(range.lba + range.blocks) as usize].fill(content);
    }

    /// Compares what was read with what has to be there.
    pub(crate) fn verify(&self, range: Range, data: &[u8], how: &str) -> Outcome {
        if data.len() != range.blocks as usize * self.block {
            return Err(Failure(format!("{how} of {range:?} brought {} bytes", data.len())));
        }
        let content: Vec<Content> = {
            let state = self.state();
            state.content[range.lba as usize..(range.lba + range.blocks) as usize].to_vec()
        };
        let mut expected = vec![0; self.block];
        for ((lba, content), found) in (range.lba..).zip(content).zip(data.chunks_exact(self.block)) {
            match content {
                Content::Anything => continue,
                Content::Zeros => expected.fill(0),
                Content::Generation(generation) => fill(&mut expected, self.seed, lba, generation),
            }
            if expected != found {
                return Err(self.mismatch(lba, content, &expected, found, how));
            }
        }
        Ok(())
    }

    fn mismatch(&self, lba: u64, content: Content, expected: &[u8], found: &[u8], how: &str) -> Failure {
        let at = expected.iter().zip(found).position(|(a, b)| a != b).unwrap_or(0);
        let wanted = match content {
            Content::Generation(n) => format!("generation {n}"),
            _ => "zeros".to_owned(),
        };
        let held = match name(found, self.seed) {
            _ if found.iter().all(|b| *b == 0) => "zeros".to_owned(),
            Some((lba, generation)) => format!("LBA {lba} of generation {generation}"),
            None => format!("{:02x?}..", &found[..16.min(found.len())]),
        };
        let lun = self.client.lun();
        Failure(format!(
            "MISMATCH: {how}, LUN {lun}, LBA {lba}, from byte {at} on: {wanted} was written, the unit holds {held}"
        ))
    }

    /// A random range of at most `most` blocks.
    pub(crate) fn range(&self, random: &mut Random, most: u64) -> Range {
        let blocks = random.skewed(most.min(self.blocks));
        Range { lba: random.below(self.blocks - blocks + 1), blocks }
    }

    /// Writes every block and verifies all of them, in large pieces.
    pub(crate) async fn fill_whole(&self) -> Outcome {
        for range in self.pieces() {
            let (generation, data) = self.fresh(range);
            self.client.write(range.lba, data).await?;
            self.wrote(range, generation);
        }
        self.verify_whole("the first reading").await
    }

    /// Reads and compares every block.
    pub(crate) async fn verify_whole(&self, how: &str) -> Outcome {
        for range in self.pieces() {
            let data = self.client.read(range.lba, range.blocks as u32).await?;
            self.verify(range, &data, how)?;
        }
        Ok(())
    }

    fn pieces(&self) -> impl Iterator<Item = Range> + use<> {
        let (blocks, step) = (self.blocks, (1 << 20) / self.block as u64);
        let starts = (0..blocks).step_by(step as usize);
        starts.map(move |lba| Range { lba, blocks: step.min(blocks - lba) })
    }
}

/// The content of a block: its name in front, random bytes behind, so that every block of every generation differs.
fn fill(block: &mut [u8], seed: u64, lba: u64, generation: u32) {
    let mut random = Random::new(seed ^ lba.rotate_left(20), u64::from(generation));
    block.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&random.next().to_be_bytes()));
    block[..8].copy_from_slice(&(seed ^ lba).to_be_bytes());
    block[8..16].copy_from_slice(&u64::from(generation).to_be_bytes());
}

/// What the name in front of a block says, if it can be one.
fn name(block: &[u8], seed: u64) -> Option<(u64, u64)> {
    let word = |at: usize| block[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b));
    let (lba, generation) = (word(0) ^ seed, word(8));
    (lba < 1 << 40 && generation <= u64::from(u32::MAX)).then_some((lba, generation))
}

#[cfg(test)]
mod tests {
    use super::{Random, fill, name};

    #[test]
    fn blocks_differ_by_place_and_generation_and_tell_their_name() {
        let made = |lba, generation| {
            let mut block = [0; 512];
            fill(&mut block, 7, lba, generation);
            block
        };
        assert_eq!(made(5, 1), made(5, 1));
        assert_ne!(made(5, 1)[16..], made(6, 1)[16..]);
        assert_ne!(made(5, 1)[16..], made(5, 2)[16..]);
        assert_eq!(name(&made(5, 2), 7), Some((5, 2)));
    }

    #[test]
    fn sizes_reach_from_one_to_the_most() {
        let mut random = Random::new(1, 1);
        let sizes: Vec<u64> = (0..10_000).map(|_| random.skewed(256)).collect();
        assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&1), Some(&256)));
        assert!(sizes.iter().filter(|n| **n < 16).count() > 3_000);
    }
}
