//! iSCSI names, RFC 7143 section 4.2.7.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// The longest iSCSI name, in bytes of UTF-8 (RFC 7143 section 4.2.7.1).
pub const MAX_NAME_LEN: usize = 223;

/// The name of an iSCSI node, in lower case, so that equal names are equal bytes.
///
/// Upper-case letters are mapped to lower case (RFC 3722); compatibility forms of other scripts are not unified,
/// so a name that has any must be given in Normalization Form KC.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IscsiName(String);

/// Why a string is not an iSCSI name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It exceeds [`MAX_NAME_LEN`].
    #[error("it has {0} bytes; the most is {MAX_NAME_LEN}")]
    TooLong(usize),
    /// It does not begin with a type designator.
    #[error("it does not begin with iqn., eui. or naa.")]
    Type,
    /// A character that names do not have.
    #[error("the character {0:?} is not allowed; letters, digits, '-', '.' and ':' are")]
    Character(char),
    /// An iqn. name without year and month.
    #[error("iqn. is not followed by a date such as 2026-01 and a dot")]
    Date,
    /// An iqn. name without a naming authority.
    #[error("the date is not followed by a reversed domain name such as com.example")]
    Authority,
    /// An eui. or naa. name with a wrong number of digits, or something else than digits.
    #[error("{0}")]
    Digits(&'static str),
}

impl IscsiName {
    /// Checks a name that somebody configured: type, date, naming authority, characters, length.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 7143 section 4.2.7 that it breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let name = lower(name)?;
        if let Some(bad) = name.chars().find(|&c| !is_name_character(c)) {
            return Err(NameError::Character(bad));
        }
        match name.get(..4) {
            Some("iqn.") => check_iqn(&name[4..])?,
            Some("eui.") if !is_hex(&name[4..], &[16]) => {
                return Err(NameError::Digits("eui. is not followed by 16 hexadecimal digits"));
            }
            Some("naa.") if !is_hex(&name[4..], &[16, 32]) => {
                return Err(NameError::Digits("naa. is not followed by 16 or 32 hexadecimal digits"));
            }
            Some("eui." | "naa.") => {}
            _ => return Err(NameError::Type),
        }
        Ok(IscsiName(name))
    }

    /// Takes a name as a peer sent it, or as an access rule writes it.
    ///
    /// Initiators in the field have names that break the rules (an underscore from a host name, say) and identify
    /// themselves well enough, so here only what could confuse is refused: an empty or overlong name, white space,
    /// control characters.
    ///
    /// # Errors
    ///
    /// [`NameError::Empty`], [`NameError::TooLong`] or [`NameError::Character`].
    pub fn received(name: &str) -> Result<Self, NameError> {
        let name = lower(name)?;
        match name.chars().find(|c| c.is_whitespace() || c.is_control()) {
            Some(bad) => Err(NameError::Character(bad)),
            None => Ok(IscsiName(name)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IscsiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IscsiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IscsiName({})", self.0.escape_debug())
    }
}

impl FromStr for IscsiName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<Self, NameError> {
        IscsiName::parse(name)
    }
}

fn lower(name: &str) -> Result<String, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    // Before the mapping too: it may lengthen the name, and the work must stay bounded.
    if name.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong(name.len()));
    }
    let name: String = name.chars().flat_map(char::to_lowercase).collect();
    if name.len() > MAX_NAME_LEN { Err(NameError::TooLong(name.len())) } else { Ok(name) }
}

fn is_name_character(c: char) -> bool {
    // '.', '-' and ':' are all the punctuation there is (RFC 3722 section 1).
    matches!(c, '-' | '.' | ':') || c.is_alphanumeric()
}

fn check_iqn(rest: &str) -> Result<(), NameError> {
    let bytes = rest.as_bytes();
    let digits = |range: core::ops::Range<usize>| {
        bytes
            .get(range)
            .filter(|d| d.iter().all(u8::is_ascii_digit))
            .and_then(|d| core::str::from_utf8(d).ok())
    };
    let month = digits(5..7).and_then(|m| m.parse::<u8>().ok());
    let dated = digits(0..4).is_some()
        && bytes.get(4) == Some(&b'-')
        && matches!(month, Some(1..=12))
        && bytes.get(7) == Some(&b'.');
    if !dated {
        return Err(NameError::Date);
    }
    let after = rest.get(8..).unwrap_or_default();
    let authority = after.split(':').next().unwrap_or_default();
    if authority.split('.').any(str::is_empty) {
        return Err(NameError::Authority);
    }
    Ok(())
}

fn is_hex(digits: &str, lengths: &[usize]) -> bool {
    lengths.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(s: &str) -> Result<String, NameError> {
        IscsiName::parse(s).map(|n| n.to_string())
    }

    #[test]
    fn the_three_types_are_taken() {
        for good in [
            "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
            "iqn.2001-04.com.example",
            "eui.02004567a425678d",
            "naa.52004567ba64678d",
            "naa.62004567ba64678d0123456789abcdef",
            "iqn.2001-04.org.example:b\u{fc}cher",
        ] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn each_rule_names_its_own_error() {
        for (bad, why) in [
            ("", NameError::Empty),
            ("disk0", NameError::Type),
            ("iq", NameError::Type),
            ("iqn.2001-4.com.example", NameError::Date),
            ("iqn.2001-13.com.example", NameError::Date),
            ("iqn.2001-00.com.example", NameError::Date),
            ("iqn.2001-04", NameError::Date),
            ("iqn.2001-04.", NameError::Authority),
            ("iqn.2001-04.com..example", NameError::Authority),
            ("iqn.2001-04.:disk", NameError::Authority),
            ("iqn.2001-04.com.example:a b", NameError::Character(' ')),
            ("iqn.2001-04.com.example:a_b", NameError::Character('_')),
            ("iqn.2001-04.com.example:a,b", NameError::Character(',')),
            ("iqn.2001-04.com.example:a\0", NameError::Character('\0')),
            ("eui.0200", NameError::Digits("eui. is not followed by 16 hexadecimal digits")),
            ("eui.02004567a425678g", NameError::Digits("eui. is not followed by 16 hexadecimal digits")),
            ("naa.52004567ba64678", NameError::Digits("naa. is not followed by 16 or 32 hexadecimal digits")),
        ] {
            assert_eq!(name(bad), Err(why), "{bad:?}");
        }
    }

    // Goal: what an operator types in upper case names the same node. Method: both spellings, both entrances.
    // covers: 7143-4.2.7.1-6
    #[test]
    fn upper_case_is_mapped_to_lower_case() {
        let want = "iqn.2001-04.com.example:disk";
        assert_eq!(name("IQN.2001-04.COM.Example:Disk").as_deref(), Ok(want));
        let received = IscsiName::received("iqn.2001-04.com.example:DISK").map(|n| n.to_string());
        assert_eq!(received.as_deref(), Ok(want));
        assert_eq!(name("eui.02004567A425678D").as_deref(), Ok("eui.02004567a425678d"));
        assert_eq!(name("iqn.2001-04.org.example:\u{dc}").as_deref(), Ok("iqn.2001-04.org.example:\u{fc}"));
    }

    // covers: 7143-4.2.7.1-3
    #[test]
    fn names_of_223_bytes_are_taken_and_longer_ones_are_not() {
        let longest = format!("iqn.2001-04.com.example:{:x<199}", "");
        assert_eq!(longest.len(), MAX_NAME_LEN);
        assert_eq!(name(&longest).as_deref(), Ok(&longest[..]));
        assert_eq!(IscsiName::received(&longest).map(|n| n.to_string()).as_deref(), Ok(&longest[..]));
        let longer = format!("{longest}x");
        assert_eq!(name(&longer), Err(NameError::TooLong(224)));
        assert_eq!(IscsiName::received(&longer), Err(NameError::TooLong(224)));
    }

    #[test]
    fn the_length_counts_after_the_mapping() {
        // U+0130 becomes three bytes where it had two.
        let grows = format!("iqn.2001-04.com.example:{}\u{130}", "x".repeat(197));
        assert_eq!(grows.len(), MAX_NAME_LEN);
        assert_eq!(IscsiName::received(&grows), Err(NameError::TooLong(224)));
    }

    #[test]
    fn peers_may_have_names_that_break_the_rules_but_not_confusing_ones() {
        assert!(IscsiName::received("iqn.1991-05.com.microsoft:my_host").is_ok());
        assert!(IscsiName::received("tester").is_ok());
        assert_eq!(IscsiName::received(""), Err(NameError::Empty));
        assert_eq!(IscsiName::received("iqn.a b"), Err(NameError::Character(' ')));
        assert_eq!(IscsiName::received("iqn.a\n"), Err(NameError::Character('\n')));
        assert_eq!(IscsiName::received("iqn.\u{7f}"), Err(NameError::Character('\u{7f}')));
    }
}
