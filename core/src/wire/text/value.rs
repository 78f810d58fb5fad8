//! Types of values that are not binary: numbers, ranges, Yes and No, lists (RFC 7143 section 6.1).

use core::ops::RangeInclusive;

use super::TextError;

/// A number within `range`: decimal without leading zeroes, or hexadecimal behind `0x` or `0X`.
///
/// # Errors
/// [`TextError::BadValue`] for anything else, a number outside of `range` included.
pub fn parse_number(value: &str, range: RangeInclusive<u64>) -> Result<u64, TextError> {
    let number = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
        None if is_decimal(value) => value.parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if range.contains(&number) => Ok(number),
        Some(_) => Err(TextError::BadValue("a number within its range")),
        None => Err(TextError::BadValue("a number")),
    }
}

/// Two numbers within `range` that a tilde separates, the first not above the second.
///
/// # Errors
/// [`TextError::BadValue`] for anything else.
pub fn parse_range(value: &str, range: RangeInclusive<u64>) -> Result<RangeInclusive<u64>, TextError> {
    let (low, high) = value.split_once('~').ok_or(TextError::BadValue("a range"))?;
    let (low, high) = (parse_number(low, range.clone())?, parse_number(high, range)?);
    if low > high {
        return Err(TextError::BadValue("a range that ascends"));
    }
    Ok(low..=high)
}

/// `Yes` or `No`.
///
/// # Errors
/// [`TextError::BadValue`] for anything else, other capitals included.
pub fn parse_boolean(value: &str) -> Result<bool, TextError> {
    match value {
        "Yes" => Ok(true),
        "No" => Ok(false),
        _ => Err(TextError::BadValue("Yes or No")),
    }
}

/// The items of a list, in order. An empty value has one empty item.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',')
}

fn is_decimal(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit()) && (value == "0" || !value.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: RangeInclusive<u64> = 0..=u64::MAX;

    // covers: 7143-6.1-3
    #[test]
    fn numbers_are_decimal_or_hexadecimal_below_two_to_the_64() {
        for (value, number) in [
            ("0", 0),
            ("8192", 8192),
            ("0x0", 0),
            ("0X00fF", 255),
            ("18446744073709551615", u64::MAX),
            ("0xffffffffffffffff", u64::MAX),
            ("0x0000000000000000000000001", 1),
        ] {
            assert_eq!(parse_number(value, ALL), Ok(number), "{value}");
        }
        for value in [
            "",
            "0x",
            "00",
            "01",
            "-1",
            "+1",
            "0x+1",
            "1 ",
            " 1",
            "1_0",
            "1.0",
            "0b1",
            "ff",
            "x1",
            "0x1g",
            "18446744073709551616",
            "0x10000000000000000",
            "١",
        ] {
            assert_eq!(parse_number(value, ALL), Err(TextError::BadValue("a number")), "{value}");
        }
    }

    #[test]
    fn the_range_of_a_number_includes_its_ends() {
        let range = 512..=0xff_ffff;
        assert_eq!(parse_number("512", range.clone()), Ok(512));
        assert_eq!(parse_number("0xffffff", range.clone()), Ok(0xff_ffff));
        for value in ["511", "16777216"] {
            assert_eq!(
                parse_number(value, range.clone()),
                Err(TextError::BadValue("a number within its range"))
            );
        }
    }

    #[test]
    fn ranges_ascend() {
        assert_eq!(parse_range("1~0x10", ALL), Ok(1..=16));
        assert_eq!(parse_range("7~7", ALL), Ok(7..=7));
        for value in ["2~1", "1", "~", "1~", "~1", "1~2~3", "1-2"] {
            assert!(parse_range(value, ALL).is_err(), "{value}");
        }
        assert!(parse_range("1~9", 1..=8).is_err());
    }

    #[test]
    fn booleans_are_spelt_exactly() {
        assert_eq!((parse_boolean("Yes"), parse_boolean("No")), (Ok(true), Ok(false)));
        for value in ["", "yes", "YES", "no", "Yes ", "Yes,No", "1"] {
            assert_eq!(parse_boolean(value), Err(TextError::BadValue("Yes or No")), "{value}");
        }
    }

    #[test]
    fn lists_keep_order_and_empty_items() {
        assert_eq!(list("CRC32C,None").collect::<Vec<_>>(), ["CRC32C", "None"]);
        assert_eq!(list("").collect::<Vec<_>>(), [""]);
        assert_eq!(list(",a,").collect::<Vec<_>>(), ["", "a", ""]);
    }
}
