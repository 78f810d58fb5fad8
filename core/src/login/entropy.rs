//! Unpredictable bytes from a seed that the caller supplies.

use core::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// A generator of unpredictable bytes: SHA-256 over a secret seed and a counter.
///
/// It is as good as its seed: 32 bytes from the system's generator, never used twice.
pub struct Entropy {
    seed: [u8; 32],
    counter: u64,
}

impl Entropy {
    /// Starts from `seed`.
    pub const fn new(seed: [u8; 32]) -> Self {
        Entropy { seed, counter: 0 }
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.counter.to_be_bytes());
            self.counter += 1;
            for (to, from) in chunk.iter_mut().zip(hash.finalize()) {
                *to = from;
            }
        }
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let mut out = [0];
        self.fill(&mut out);
        out[0]
    }

    /// Four bytes, as a number.
    pub fn word(&mut self) -> u32 {
        let mut out = [0; 4];
        self.fill(&mut out);
        u32::from_be_bytes(out)
    }
}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_the_seed_and_do_not_repeat() {
        let draw = |seed: u8| {
            let mut e = Entropy::new([seed; 32]);
            let mut out = [[0u8; 40]; 3];
            out.iter_mut().for_each(|o| e.fill(o));
            out
        };
        assert_eq!(draw(1), draw(1));
        let (a, b) = (draw(1), draw(2));
        for (i, x) in a.iter().enumerate() {
            assert!(b.iter().all(|y| x != y));
            assert!(a.iter().skip(i + 1).all(|y| x != y));
            assert_ne!(x[..20], x[20..]);
        }
    }

    #[test]
    fn the_seed_is_not_printed() {
        assert_eq!(format!("{:?}", Entropy::new([7; 32])), "Entropy { .. }");
    }
}
