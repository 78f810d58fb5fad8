//! Blocks that say which block they are and which version of it, so that whoever reads them finds out what is wrong.

use std::fmt;

/// What every block begins with.
const MAGIC: [u8; 8] = *b"iscsictl";
/// Magic, LBA, generation, seed.
const HEADER: usize = 32;

/// What is wrong with a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wrong {
    pub(crate) lba: u64,
    pub(crate) why: Why,
}

/// What a block holds in place of what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// Nothing but zeroes.
    Zeroes,
    /// Something that this run has never written.
    Foreign,
    /// What belongs to another block.
    OtherBlock { lba: u64 },
    /// What this block held at another time.
    OtherGeneration { found: u64, wanted: u64 },
    /// The right beginning, and from this byte on something else.
    Corrupt { byte: usize },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} holds ", self.lba)?;
        match &self.why {
            Why::Zeroes => f.write_str("zeroes"),
            Why::Foreign => f.write_str("data that this run has not written"),
            Why::OtherBlock { lba } => write!(f, "the data of block {lba}"),
            Why::OtherGeneration { found, wanted } if found < wanted => {
                write!(f, "old data: write {found} where write {wanted} was acknowledged")
            }
            Why::OtherGeneration { found, wanted } => {
                write!(f, "write {found}, which was not acknowledged before write {wanted}")
            }
            Why::Corrupt { byte } => write!(f, "corrupt data from its byte {byte} on"),
        }
    }
}

/// Fills `data` with the blocks from `lba` on, in their version `generation`.
pub(crate) fn fill(data: &mut [u8], block_size: usize, lba: u64, generation: u64, seed: u64) {
    for (number, block) in data.chunks_mut(block_size).enumerate() {
        let lba = lba + number as u64;
        let (header, body) = block.split_at_mut(HEADER);
        header.copy_from_slice(&header_of(lba, generation, seed));
        let mut words = Words::new(lba, generation, seed);
        for chunk in body.chunks_mut(8) {
            let word = words.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Checks that `data` is what [`fill`] made; the first block that is not.
pub(crate) fn check(
    data: &[u8],
    block_size: usize,
    lba: u64,
    generation: u64,
    seed: u64,
) -> Result<(), Wrong> {
    for (number, block) in data.chunks(block_size).enumerate() {
        let lba = lba + number as u64;
        check_block(block, lba, generation, seed).map_err(|why| Wrong { lba, why })?;
    }
    Ok(())
}

fn check_block(block: &[u8], lba: u64, generation: u64, seed: u64) -> Result<(), Why> {
    let (header, body) = block.split_at(HEADER);
    if *header != header_of(lba, generation, seed) {
        let word = |at: usize| header[at..at + 8].try_into().map_or(0, u64::from_be_bytes);
        return Err(if block.iter().all(|byte| *byte == 0) {
            Why::Zeroes
        } else if header[..8] != MAGIC || word(24) != seed {
            Why::Foreign
        } else if word(8) != lba {
            Why::OtherBlock { lba: word(8) }
        } else {
            Why::OtherGeneration { found: word(16), wanted: generation }
        });
    }
    let mut words = Words::new(lba, generation, seed);
    for (number, chunk) in body.chunks(8).enumerate() {
        let word = words.next().to_le_bytes();
        if *chunk != word[..chunk.len()] {
            let differs = chunk.iter().zip(&word).position(|(a, b)| a != b).unwrap_or(0);
            return Err(Why::Corrupt { byte: HEADER + number * 8 + differs });
        }
    }
    Ok(())
}

fn header_of(lba: u64, generation: u64, seed: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&lba.to_be_bytes());
    header[16..24].copy_from_slice(&generation.to_be_bytes());
    header[24..].copy_from_slice(&seed.to_be_bytes());
    header
}

/// Numbers that look random and follow from what they begin with (xorshift64*).
pub(crate) struct Words(u64);

impl Words {
    fn new(lba: u64, generation: u64, seed: u64) -> Self {
        Words::from_seed(lba ^ generation.rotate_left(32) ^ seed.rotate_left(17))
    }

    pub(crate) fn from_seed(seed: u64) -> Self {
        // Seeds that differ in a bit give numbers that differ in half of theirs (splitmix64).
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Words((z ^ (z >> 31)) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_told_from_everything_else() {
        let mut data = vec![0; 1024];
        let wrong = |data: &[u8]| check(data, 512, 10, 3, 99).map_err(|wrong| (wrong.lba, wrong.why));
        assert_eq!(wrong(&data), Err((10, Why::Zeroes)));
        fill(&mut data, 512, 10, 3, 99);
        assert_eq!(wrong(&data), Ok(()));
        for byte in [32, 100, 511] {
            let mut bad = data.clone();
            bad[512 + byte] ^= 0x10;
            assert_eq!(wrong(&bad), Err((11, Why::Corrupt { byte })));
        }
        let mut bad = data.clone();
        bad.rotate_left(512);
        assert_eq!(wrong(&bad), Err((10, Why::OtherBlock { lba: 11 })));
        fill(&mut bad, 512, 10, 2, 99);
        assert_eq!(wrong(&bad), Err((10, Why::OtherGeneration { found: 2, wanted: 3 })));
        fill(&mut bad, 512, 10, 3, 98);
        assert_eq!(wrong(&bad), Err((10, Why::Foreign)));
        let said = Wrong { lba: 10, why: Why::OtherGeneration { found: 2, wanted: 3 } }.to_string();
        assert_eq!(said, "block 10 holds old data: write 2 where write 3 was acknowledged");
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_everything() {
        let mut words = Words::from_seed(1);
        let mut seen = [false; 7];
        (0..1000).for_each(|_| seen[words.below(7) as usize] = true);
        assert_eq!(seen, [true; 7]);
    }
}
