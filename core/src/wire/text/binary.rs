//! Binary values as hexadecimal digits or base64 (RFC 7143 section 6.1, RFC 4648 section 4).

use super::TextError;

/// Largest binary value that any key of the RFC takes, in bytes: that of CHAP (section 12.1.3).
pub const MAX_BINARY: usize = 1024;

/// A binary value of at most `max` bytes: `0x` or `0X` and hexadecimal digits, or `0b` or `0B` and base64.
///
/// # Errors
/// [`TextError::BadValue`] for anything else, [`TextError::ValueTooLong`] for more than `max` bytes. Decimal numbers
/// have no length of their own and are not taken.
pub fn parse_binary(value: &str, max: usize) -> Result<Vec<u8>, TextError> {
    match value.as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => decode_hex(digits, max),
        [b'0', b'b' | b'B', text @ ..] => decode_base64(text, max),
        _ => Err(TextError::BadValue("a binary value")),
    }
}

/// The bytes of one or more hexadecimal digits, at most `max` of them. Of an odd number of digits the first makes a
/// byte alone: n digits are (n + 1) / 2 bytes.
///
/// # Errors
/// [`TextError::BadValue`] for anything but digits, [`TextError::ValueTooLong`] for more than `max` bytes.
pub fn decode_hex(digits: &[u8], max: usize) -> Result<Vec<u8>, TextError> {
    if digits.is_empty() {
        return Err(NOT_HEX);
    }
    if digits.len().div_ceil(2) > max {
        return Err(TextError::ValueTooLong);
    }
    let (alone, pairs) = digits.split_at(digits.len() % 2);
    let mut bytes = Vec::with_capacity(digits.len().div_ceil(2));
    for digit in alone {
        bytes.push(hex_digit(*digit)?);
    }
    for pair in pairs.chunks_exact(2) {
        if let &[high, low] = pair {
            bytes.push(hex_digit(high)? << 4 | hex_digit(low)?);
        }
    }
    Ok(bytes)
}

/// `0x` and two lower-case hexadecimal digits a byte.
#[must_use]
pub fn encode_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("0x");
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0xf));
    }
    text
}

/// The bytes of base64 with its padding, at most `max` of them.
///
/// # Errors
/// [`TextError::BadValue`] where characters, padding or left-over bits are not what RFC 4648 section 4 writes,
/// [`TextError::ValueTooLong`] for more than `max` bytes.
pub fn decode_base64(text: &[u8], max: usize) -> Result<Vec<u8>, TextError> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return Err(NOT_BASE64);
    }
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    if padding > 2 {
        return Err(NOT_BASE64);
    }
    let len = text.len() / 4 * 3 - padding;
    if len > max {
        return Err(TextError::ValueTooLong);
    }
    let mut bytes = Vec::with_capacity(len);
    let (mut bits, mut count) = (0u32, 0);
    for c in text.iter().take(text.len() - padding) {
        bits = bits << 6 | u32::from(base64_digit(*c)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
        bits &= 0xff;
    }
    // Bits that fill no byte are zero in what an encoder writes; others would give one value two spellings.
    if bits & ((1 << count) - 1) != 0 {
        return Err(NOT_BASE64);
    }
    Ok(bytes)
}

/// `0b` and base64 with padding.
#[must_use]
pub fn encode_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len().div_ceil(3) * 4);
    text.push_str("0b");
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = BASE64.get((bits >> (18 - 6 * i) & 0x3f) as usize).copied();
            text.push(if i <= chunk.len() { char::from(digit.unwrap_or(b'=')) } else { '=' });
        }
    }
    text
}

fn hex_digit(c: u8) -> Result<u8, TextError> {
    match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        b'A'..=b'F' => Ok(c - b'A' + 10),
        _ => Err(NOT_HEX),
    }
}

fn base64_digit(c: u8) -> Result<u8, TextError> {
    match c {
        b'A'..=b'Z' => Ok(c - b'A'),
        b'a'..=b'z' => Ok(c - b'a' + 26),
        b'0'..=b'9' => Ok(c - b'0' + 52),
        b'+' => Ok(62),
        b'/' => Ok(63),
        _ => Err(NOT_BASE64),
    }
}

const NOT_HEX: TextError = TextError::BadValue("a hexadecimal constant");
const NOT_BASE64: TextError = TextError::BadValue("a base64 constant");
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    // covers: 7143-6.1-3
    #[test]
    fn hexadecimal_takes_odd_counts_and_both_cases() {
        for (text, bytes) in [
            ("0x0", &[0u8][..]),
            ("0X1", &[1]),
            ("0x123", &[1, 0x23]),
            ("0xaBcD", &[0xab, 0xcd]),
            ("0x00000", &[0, 0, 0]),
        ] {
            assert_eq!(parse_binary(text, 16).as_deref(), Ok(bytes), "{text}");
        }
        for text in [
            "0x",
            "0xg",
            "0x1g",
            "0x12 ",
            "0x0x1",
            "x1",
            "",
            "0",
            "10",
            "340282366920938463463374607431768211455",
            "0y11",
        ] {
            assert!(matches!(parse_binary(text, 16), Err(TextError::BadValue(_))), "{text}");
        }
    }

    // The vectors of RFC 4648 section 10.
    #[test]
    fn base64_matches_its_rfc() {
        for (bytes, text) in [
            ("f", "0bZg=="),
            ("fo", "0bZm8="),
            ("foo", "0bZm9v"),
            ("foob", "0bZm9vYg=="),
            ("fooba", "0bZm9vYmE="),
            ("foobar", "0bZm9vYmFy"),
        ] {
            assert_eq!(encode_base64(bytes.as_bytes()), text);
            assert_eq!(parse_binary(text, 6).as_deref(), Ok(bytes.as_bytes()));
            assert_eq!(parse_binary(&text.replacen('b', "B", 1), 6).as_deref(), Ok(bytes.as_bytes()));
        }
        assert_eq!(encode_base64(&[0xfb, 0xff, 0xbf]), "0b+/+/");
        assert_eq!(parse_binary("0b+/+/", 3), Ok(vec![0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn malformed_base64_is_refused() {
        for text in [
            "0b",
            "0bZ",
            "0bZg",
            "0bZg=",
            "0bZ===",
            "0b====",
            "0bZg==Zg==",
            "0bZm9-",
            "0bZ g=",
            "0bZh==",
            "0bZm9=",
        ] {
            assert_eq!(parse_binary(text, 64), Err(NOT_BASE64), "{text}");
        }
    }

    #[test]
    fn the_bound_counts_decoded_bytes() {
        assert_eq!(parse_binary("0x112233", 3).map(|b| b.len()), Ok(3));
        assert_eq!(parse_binary("0x11223", 2), Err(TextError::ValueTooLong));
        assert_eq!(parse_binary("0bZm9v", 3).map(|b| b.len()), Ok(3));
        assert_eq!(parse_binary("0bZm9v", 2), Err(TextError::ValueTooLong));
        assert_eq!(parse_binary("0bZm8=", 2).map(|b| b.len()), Ok(2));
    }

    #[test]
    fn every_byte_and_length_reads_back() {
        let all: Vec<u8> = (0..=255).collect();
        for len in 1..=all.len() {
            assert_eq!(parse_binary(&encode_hex(&all[..len]), 256).as_deref(), Ok(&all[..len]));
            assert_eq!(parse_binary(&encode_base64(&all[..len]), 256).as_deref(), Ok(&all[..len]));
        }
        for c in 0..=255u8 {
            assert_eq!(decode_hex(&[c, c], 1).is_ok(), c.is_ascii_hexdigit());
            let digit = c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
            assert_eq!(decode_base64(&[b'A', c, c, c], 3).is_ok(), digit, "{c:#x}");
        }
    }
}
