//! Sizes as people write them.

use std::fmt;

/// Reads a size in bytes: a number, or a number with K, M, G or T for powers of 1024 (`KiB`, `MiB`, .. are read alike).
pub(crate) fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KIB" => 10,
        "M" | "MIB" => 20,
        "G" | "GIB" => 30,
        "T" | "TIB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A number of bytes that prints in the greatest unit that divides it.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 >= 1 << shift && self.0.trailing_zeros() >= shift {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, want) in [
            ("512", Some(512)),
            ("0", Some(0)),
            ("4K", Some(4096)),
            ("1m", Some(1 << 20)),
            ("10G", Some(10 << 30)),
            ("10GiB", Some(10 << 30)),
            ("2T", Some(2 << 40)),
            ("", None),
            ("G", None),
            ("10X", None),
            ("-1", None),
            ("+1", None),
            ("1.5G", None),
            ("10 G", None),
            ("16777216T", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse(text), want, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_written() {
        for (size, want) in [
            (0, "0 bytes"),
            (512, "512 bytes"),
            (4096, "4 KiB"),
            (1 << 30, "1 GiB"),
            (1536 << 20, "1536 MiB"),
            (3 << 40, "3 TiB"),
        ] {
            assert_eq!(Size(size).to_string(), want);
        }
    }
}
