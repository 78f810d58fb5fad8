//! iSCSI names: their form, RFC 7143 section 4.2.7, and their characters, RFC 3722 section 6.

use super::TextError;

/// Longest iSCSI name, in bytes of UTF-8 (section 4.2.7.2).
pub const MAX_NAME: usize = 223;

/// Checks an iSCSI name: `iqn.` with a date and a domain, `eui.` with 16 hexadecimal digits, or `naa.` with 16 or 32.
///
/// Names compare byte for byte, so this folds no case: capitals are refused in `iqn.` names, where section 4.2.7.1
/// prohibits them, and taken as digits of the other two. Unicode normalization is not checked.
///
/// # Errors
/// [`TextError::ValueTooLong`] for more than 223 bytes, [`TextError::BadValue`] for anything else.
pub fn validate_name(name: &str) -> Result<(), TextError> {
    if name.len() > MAX_NAME {
        return Err(TextError::ValueTooLong);
    }
    match name.split_at_checked(4) {
        Some(("iqn.", rest)) => {
            is_qualified(rest).then_some(()).ok_or(TextError::BadValue("a valid iqn. name"))
        }
        Some(("eui.", rest)) => {
            is_hex(rest, &[16]).then_some(()).ok_or(TextError::BadValue("a valid eui. name"))
        }
        Some(("naa.", rest)) => {
            is_hex(rest, &[16, 32]).then_some(()).ok_or(TextError::BadValue("a valid naa. name"))
        }
        _ => Err(TextError::BadValue("an iSCSI name")),
    }
}

/// Checks a name that a peer presents as its own: one of the three types, at most 223 bytes, nothing that could not
/// be shown or would end a value.
///
/// Names in the field break the finer rules of [`validate_name`], with capitals and underscores taken from host and
/// machine names, and are nevertheless the names under which their owners are known.
///
/// # Errors
/// [`TextError::ValueTooLong`] for more than 223 bytes, [`TextError::BadValue`] for anything else.
pub fn validate_peer_name(name: &str) -> Result<(), TextError> {
    if name.len() > MAX_NAME {
        return Err(TextError::ValueTooLong);
    }
    let is_typed =
        ["iqn.", "eui.", "naa."].iter().any(|kind| name.len() > kind.len() && name.starts_with(kind));
    let is_shown = |c: char| !(c.is_whitespace() || c.is_control() || c == ',');
    match is_typed && name.chars().all(is_shown) {
        true => Ok(()),
        false => Err(TextError::BadValue("an iSCSI name")),
    }
}

/// `yyyy-mm.` and a reversed domain name, then anything behind an optional colon.
fn is_qualified(rest: &str) -> bool {
    let [y1, y2, y3, y4, b'-', m1, m2, b'.', ..] = rest.as_bytes() else { return false };
    let digits = [y1, y2, y3, y4, m1, m2];
    let month = match (m1, m2) {
        (b'0', m) => *m != b'0',
        (b'1', m) => (b'0'..=b'2').contains(m),
        _ => false,
    };
    let Some(authority_and_more) = rest.get(8..) else { return false };
    let authority = authority_and_more.split(':').next().unwrap_or_default();
    digits.iter().all(|d| d.is_ascii_digit())
        && month
        && authority.split('.').all(|label| !label.is_empty())
        && authority_and_more.chars().all(is_allowed)
}

fn is_hex(rest: &str, lens: &[usize]) -> bool {
    lens.contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What RFC 3722 section 6 leaves of Unicode: no capitals, spaces, controls, surrogates, private or special
/// characters; of ASCII lower-case letters, digits, dash, dot and colon.
fn is_allowed(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | ':');
    }
    let folds = c.to_lowercase().ne(core::iter::once(c));
    !(folds || c.is_whitespace() || c.is_control() || is_prohibited(c))
}

/// Tables C.1.2 to C.9 of RFC 3454 as far as the properties above do not cover them, and U+3002.
fn is_prohibited(c: char) -> bool {
    matches!(c,
        '\u{0340}' | '\u{0341}' | '\u{06dd}' | '\u{070f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2063}' | '\u{206a}'..='\u{206f}' | '\u{2ff0}'..='\u{2ffb}'
        | '\u{3002}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}' | '\u{f0000}'..='\u{10ffff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_rfc_pass() {
        for name in [
            "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
            "iqn.2001-04.com.example",
            "iqn.2001-04.com.example:storage.tape1.sys1.xyz",
            "iqn.1993-08.org.debian:01:3e35ac1d7b9",
            "iqn.2001-12.com.example:ünïcode",
            "eui.02004567A425678D",
            "eui.02004567a425678d",
            "naa.52004567BA64678D",
            "naa.62004567BA64678D0123456789ABCDEF",
        ] {
            assert_eq!(validate_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn other_names_do_not() {
        for name in [
            "",
            "iqn",
            "iqn.",
            "disk0",
            "IQN.2001-04.com.example",
            "iqn.2001-4.com.example",
            "iqn.2001-00.com.example",
            "iqn.2001-13.com.example",
            "iqn.20a1-04.com.example",
            "iqn.2001-04.",
            "iqn.2001-04",
            "iqn.2001-04.com..example",
            "iqn.2001-04.:x",
            "iqn.2001-04.com.Example",
            "iqn.2001-04.com.example:a b",
            "iqn.2001-04.com.example:a/b",
            "iqn.2001-04.com.example:a_b",
            "iqn.2001-04.com.example:a,b",
            "iqn.2001-04.com.example:\u{3002}",
            "iqn.2001-04.com.example:\u{a0}",
            "iqn.2001-04.com.example:\u{200b}",
            "iqn.2001-04.com.example:\u{e000}",
            "iqn.2001-04.com.example:É",
            "iqn.2001-04.com.example:\u{1c5}",
            "iqn.2001-04.com.example:\u{1fffe}",
            "eui.02004567A425678",
            "eui.02004567A425678DD",
            "eui.02004567A425678G",
            "naa.52004567BA64678",
            "naa.52004567BA64678D00",
            "naa.",
        ] {
            assert!(matches!(validate_name(name), Err(TextError::BadValue(_))), "{name}");
        }
    }

    #[test]
    fn of_peers_names_with_capitals_and_underscores_pass_too() {
        for name in ["iqn.2008-11.org.linux-kvm:Build_VM", "iqn.2001-04.com.example", "eui.02004567A425678D"]
        {
            assert_eq!(validate_peer_name(name), Ok(()), "{name}");
        }
        for name in
            ["", "iqn.", "disk0", "IQN.2001-04.a", "iqn.2001-04.a b", "iqn.2001-04.a\n", "iqn.2001-04.a,b"]
        {
            assert!(matches!(validate_peer_name(name), Err(TextError::BadValue(_))), "{name}");
        }
    }

    // covers: 7143-4.2.7.1-3
    #[test]
    fn a_name_has_at_most_223_bytes() {
        let name = format!("iqn.2001-04.com.example:{}", "x".repeat(MAX_NAME - 24));
        assert_eq!((name.len(), validate_name(&name), validate_peer_name(&name)), (223, Ok(()), Ok(())));
        let name = name + "x";
        assert_eq!(validate_name(&name), Err(TextError::ValueTooLong));
        assert_eq!(validate_peer_name(&name), Err(TextError::ValueTooLong));
    }

    #[test]
    fn of_ascii_only_lower_case_digits_and_three_marks_pass() {
        for c in 0..0x80u8 {
            let name = format!("iqn.2001-04.com.example:{}", char::from(c));
            let allowed = b"abcdefghijklmnopqrstuvwxyz0123456789-.:".contains(&c);
            assert_eq!(validate_name(&name).is_ok(), allowed, "{name:?}");
        }
    }
}
