//! The bytes of the input, as what is needed of them.

use core::cell::Cell;
use core::ffi::c_int;

/// Numbers at which code tends to be wrong.
const EDGES: [u64; 20] = [
    0,
    1,
    2,
    511,
    512,
    4096,
    0x7fff,
    0xffff,
    0x1_0000,
    0xff_ffff,
    0x100_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    (1 << 55) - 1,
    1 << 62,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

pub struct Input {
    bytes: Vec<u8>,
    at: Cell<usize>,
}

impl Input {
    pub fn new(bytes: &[u8]) -> Self {
        Input { bytes: bytes.to_vec(), at: Cell::new(0) }
    }

    pub fn is_empty(&self) -> bool {
        self.at.get() >= self.bytes.len()
    }

    /// The next byte; 0 when there is none, which stands for the usual everywhere.
    pub fn byte(&self) -> u8 {
        let at = self.at.get();
        self.at.set(at + 1);
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Up to `most` bytes.
    pub fn take(&self, most: usize) -> Vec<u8> {
        let at = self.at.get().min(self.bytes.len());
        let end = at.saturating_add(most).min(self.bytes.len());
        self.at.set(end);
        self.bytes[at..end].to_vec()
    }

    /// True for one byte of `of`, and never when no bytes are left.
    pub fn seldom(&self, of: u8) -> bool {
        self.byte() % of == of - 1
    }

    pub fn below(&self, bound: usize) -> usize {
        if bound <= 1 { 0 } else { usize::from(self.byte()) % bound }
    }

    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(self.take(8)) {
            *to = from;
        }
        u64::from_le_bytes(bytes)
    }

    /// Mostly a small number, now and then one at an edge or any.
    pub fn number(&self) -> u64 {
        match self.byte() {
            small @ 0..160 => small.into(),
            160..224 => self.pick(&EDGES),
            224..240 => self.pick(&EDGES).wrapping_sub(u64::from(self.byte())),
            _ => self.u64(),
        }
    }

    /// 0 three times of four, which is the default of all options.
    pub fn option(&self) -> u64 {
        if self.byte() < 192 { 0 } else { self.number() }
    }

    /// The value of an enum, or none.
    pub fn int(&self) -> c_int {
        match self.byte() {
            small @ 0..208 => c_int::from(small % 16),
            208..240 => self.pick(&[-1, c_int::MIN, c_int::MAX, 255, 256, 0x0200, 0x0301, 0x10000]),
            _ => self.u64() as c_int,
        }
    }

    /// A yes or no in an options struct, or none.
    pub fn choice(&self) -> c_int {
        match self.byte() {
            0..192 => 0,
            192..250 => c_int::from(self.byte() % 3),
            _ => self.int(),
        }
    }
}
