//! Which parts of a piece of data are zero.

use std::ops::Range;

/// A run of bytes that are all zero, or of grains of which none is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) range: Range<usize>,
    pub(crate) zero: bool,
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(data: &[u8]) -> bool {
    let mut chunks = data.chunks_exact(64);
    // Without a branch in each chunk the compiler makes vector code of it.
    chunks.by_ref().all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
        && chunks.remainder().iter().all(|byte| *byte == 0)
}

/// Cuts `data` into runs of zero and other grains of `grain` bytes; the last grain may be shorter.
pub(crate) fn runs(data: &[u8], grain: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (number, piece) in data.chunks(grain).enumerate() {
        let (start, zero) = (number * grain, is_zero(piece));
        match runs.last_mut() {
            Some(last) if last.zero == zero => last.range.end = start + piece.len(),
            _ => runs.push(Run { range: start..start + piece.len(), zero }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_anywhere_makes_a_grain_data() {
        for at in [0, 1, 63, 64, 99] {
            let mut data = [0; 100];
            assert!(is_zero(&data));
            data[at] = 0x80;
            assert!(!is_zero(&data), "{at}");
        }
        assert!(is_zero(&[]));
    }

    #[test]
    fn runs_cover_everything_once() {
        let mut data = vec![0; 50];
        data[12] = 1;
        data[29] = 1;
        let run = |range, zero| Run { range, zero };
        assert_eq!(runs(&data, 10), [run(0..10, true), run(10..30, false), run(30..50, true)]);
        data[49] = 1;
        assert_eq!(runs(&data, 20), [run(0..50, false)]);
        assert_eq!(runs(&[], 10), []);
    }
}
