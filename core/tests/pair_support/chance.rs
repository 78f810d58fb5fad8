//! Choices drawn from a seed, and how a stream of bytes is cut by them.

/// A small generator (splitmix64): the same seed, the same choices.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out
    }
}

/// How much of what waits arrives at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// All.
    Whole,
    /// So many bytes.
    Every(usize),
    /// Any number from 1 to this.
    UpTo(usize),
}

impl Cut {
    pub fn len(self, waiting: usize, chance: &mut Chance) -> usize {
        match self {
            Cut::Whole => waiting,
            Cut::Every(n) => waiting.min(n),
            Cut::UpTo(n) => waiting.min(1 + chance.below(n)),
        }
    }
}
