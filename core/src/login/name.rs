//! iSCSI names, RFC 7143 section 4.2.7.

use crate::wire::text::MAX_NAME;

/// Whether a peer may call itself, or its target, by this name.
///
/// This is wider than [`validate_name`](crate::wire::text::validate_name), by which names are configured: initiators
/// in the field are named after virtual machines and hosts, with capitals, underscores and no date. Length, type
/// designator, the digits of `eui.` and `naa.` names and the absence of spaces and controls are checked.
pub(super) fn is_acceptable_name(name: &str) -> bool {
    if name.len() > MAX_NAME {
        return false;
    }
    let Some((designator, rest)) = name.split_once('.') else { return false };
    let is_hex =
        |lengths: &[usize]| lengths.contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_hexdigit());
    match designator {
        "iqn" => !rest.is_empty() && rest.chars().all(is_name_char),
        "eui" => is_hex(&[16]),
        "naa" => is_hex(&[16, 32]),
        _ => false,
    }
}

fn is_name_char(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_')
    } else {
        !c.is_control() && !c.is_whitespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: 7143-4.2.7.1-3
    #[test]
    fn names_are_checked_for_form_and_length() {
        let longest = format!("iqn.2024-01.com.example:{}", "a".repeat(MAX_NAME - 24));
        assert_eq!(longest.len(), 223);
        let good = [
            "iqn.2001-04.com.example:storage:disk-1",
            "iqn.2001-04.com.Example:Host",
            "eui.02004567A425678D",
            "naa.52004567BA64678D",
            "naa.62004567BA64678D0123456789ABCDEF",
            "iqn.2001-04.org.example:größe",
            &longest,
        ];
        for name in good {
            assert!(is_acceptable_name(name), "{name}");
        }
        let too_long = format!("{longest}a");
        let bad = [
            "",
            "iqn",
            "iqn.",
            "x",
            "fqn.com.example",
            "iqn.2001-04.com.example disk",
            "iqn.2001-04.com.example/1",
            "iqn.2001-04.com.example\u{7f}",
            "iqn.2001\u{3000}x",
            "iqn.a,b",
            "eui.02004567A425678",
            "eui.02004567A425678Z",
            "naa.52004567BA64678",
            "None",
            "Reject",
            &too_long,
        ];
        for name in bad {
            assert!(!is_acceptable_name(name), "{name:?}");
        }
    }
}
