//! Sizes, places on a disk, times and hexadecimal bytes as people write them.

use std::time::Duration;

/// Reads a size in bytes: a number, or a number with K, M, G or T for powers of 1024 (`KiB`, `MiB`, .. are read alike).
///
/// # Errors
/// What to write instead.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write bytes or a number with K, M, G or T");
    let (number, unit) = split(text);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KIB" => 10,
        "M" | "MIB" => 20,
        "G" | "GIB" => 30,
        "T" | "TIB" => 40,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).ok_or_else(wrong)
}

/// A size that is not 0.
///
/// # Errors
/// What to write instead.
pub(crate) fn size_above_0(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("0 is too little".to_owned()),
        size => Ok(size),
    }
}

/// A place or a length on a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Amount {
    /// In bytes.
    Bytes(u64),
    /// In logical blocks of the disk.
    Blocks(u64),
}

impl Amount {
    /// In bytes, on a disk with blocks of `block_size`; `None` when that is no number.
    pub(crate) fn bytes(self, block_size: u32) -> Option<u64> {
        match self {
            Amount::Bytes(bytes) => Some(bytes),
            Amount::Blocks(blocks) => blocks.checked_mul(u64::from(block_size)),
        }
    }
}

/// Reads a size as [`size`] does, or a number of logical blocks: `2048blk`.
///
/// # Errors
/// What to write instead.
pub(crate) fn amount(text: &str) -> Result<Amount, String> {
    let (number, unit) = split(text);
    if matches!(unit, "blk" | "block" | "blocks") {
        let wrong = |_| format!("{text:?} is not a number of blocks; write such as 2048blk");
        return number.parse().map(Amount::Blocks).map_err(wrong);
    }
    let wrong =
        |_| format!("{text:?} is neither a size nor a number of blocks; write such as 4096, 1M or 2048blk");
    size(text).map(Amount::Bytes).map_err(wrong)
}

/// Reads a time: a number of seconds, or a number with ms, s, m or h; it may have a fraction.
///
/// # Errors
/// What to write instead.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time; write seconds, or a number with ms, s, m or h");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| wrong())
}

/// A time that is not 0.
///
/// # Errors
/// What to write instead.
pub(crate) fn time_above_0(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("0 is too short".to_owned()),
        time => Ok(time),
    }
}

/// Reads bytes in hexadecimal; blanks, colons and dashes between bytes, and 0x before them, are let pass.
///
/// # Errors
/// What is wrong.
pub(crate) fn hex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text:?} is not in hexadecimal; write two digits for each byte");
    let mut digits = Vec::new();
    for word in text.split([' ', ':', '-', '\n', '\t', ',']) {
        let word = word.strip_prefix("0x").unwrap_or(word);
        for c in word.chars() {
            digits.push(c.to_digit(16).ok_or_else(wrong)? as u8);
        }
    }
    if !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Reads a reservation key: a number, or 0x and up to 16 hexadecimal digits.
///
/// # Errors
/// What to write instead.
pub(crate) fn key(text: &str) -> Result<u64, String> {
    let read = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    read.map_err(|_| {
        format!("{text:?} is not a reservation key; write a number, or 0x and up to 16 hexadecimal digits")
    })
}

/// A number of bytes as people read it: whole units where it is one, else with one decimal.
pub(crate) fn human(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift {
            return if bytes.trailing_zeros() >= shift {
                format!("{} {unit}", bytes >> shift)
            } else {
                format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64)
            };
        }
    }
    format!("{bytes} bytes")
}

/// A number of seconds as people read it.
pub(crate) fn human_time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.1} s") }
}

/// Bytes in hexadecimal, without anything between them.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_amounts() {
        for (text, want) in [
            ("512", Some(Amount::Bytes(512))),
            ("4K", Some(Amount::Bytes(4096))),
            ("1MiB", Some(Amount::Bytes(1 << 20))),
            ("2T", Some(Amount::Bytes(2 << 40))),
            ("8blk", Some(Amount::Blocks(8))),
            ("8blocks", Some(Amount::Blocks(8))),
            ("blk", None),
            ("1.5G", None),
            ("-1", None),
            ("", None),
            ("99999999T", None),
        ] {
            assert_eq!(amount(text).ok(), want, "{text:?}");
        }
        assert_eq!(Amount::Blocks(3).bytes(4096), Some(12288));
        assert_eq!(Amount::Blocks(u64::MAX).bytes(512), None);
        assert!(size_above_0("0").is_err() && size("0").is_ok());
    }

    #[test]
    fn times() {
        for (text, want) in [
            ("5", Some(5000)),
            ("1.5s", Some(1500)),
            ("250ms", Some(250)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("", None),
            ("-1", None),
            ("5 s", None),
            ("1d", None),
            ("99999999999999999999999h", None),
        ] {
            assert_eq!(time(text).ok(), want.map(Duration::from_millis), "{text:?}");
        }
        assert!(time_above_0("0").is_err());
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(hex("12 00:00-00,ff 0x00").unwrap(), [0x12, 0, 0, 0, 0xff, 0]);
        assert_eq!(hex("9e10").unwrap(), [0x9e, 0x10]);
        assert!(hex("123").is_err() && hex("xy").is_err());
        assert_eq!(to_hex(&[1, 0xab]), "01ab");
        assert_eq!((key("0xABCdef").unwrap(), key("17").unwrap()), (0xabcdef, 17));
        assert!(key("abc").is_err());
    }

    #[test]
    fn sizes_for_people() {
        for (bytes, want) in
            [(0, "0 bytes"), (512, "512 bytes"), (4096, "4 KiB"), (1536 << 20, "1.5 GiB"), (1 << 40, "1 TiB")]
        {
            assert_eq!(human(bytes), want);
        }
        assert_eq!((human_time(0.0174), human_time(1.25)), ("17 ms".to_owned(), "1.2 s".to_owned()));
    }
}
