//! iSCSI names: their form, RFC 7143 section 4.2.7, and their characters, RFC 3722 section 6.
//!
//! Names are read by two rules and no more. This end's own names are read by [`IscsiName::parse`]. What peers call
//! themselves and their target, and what access rules write about peers, is read by [`IscsiName::received`], so that
//! a rule that could be written is a rule that a login can meet.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// The longest iSCSI name, in bytes of UTF-8 (RFC 7143 section 4.2.7.2).
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
    /// A constant of negotiation, which can be no other value (RFC 7143 section 6.2).
    #[error("it is a word that negotiation reserves: None, Reject, Irrelevant or NotUnderstood")]
    Reserved,
}

impl IscsiName {
    /// Checks a name that somebody gives to a node of this end: characters, type, date, naming authority, length.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 7143 section 4.2.7 that it breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let name = lower(name)?;
        check_characters(&name, is_name_character)?;
        match name.split_at_checked(4) {
            Some(("iqn.", rest)) => check_iqn(rest)?,
            Some(("eui.", rest)) if !is_hex(rest, &[16]) => {
                return Err(NameError::Digits("eui. is not followed by 16 hexadecimal digits"));
            }
            Some(("naa.", rest)) if !is_hex(rest, &[16, 32]) => {
                return Err(NameError::Digits("naa. is not followed by 16 or 32 hexadecimal digits"));
            }
            Some(("eui." | "naa.", _)) => {}
            _ => return Err(NameError::Type),
        }
        Ok(IscsiName(name))
    }

    /// Takes a name as a peer sends it, or as an access rule writes it.
    ///
    /// Initiators in the field have names that break the rules (an underscore from a host name, no date, no type at
    /// all) and identify themselves well enough, so here only what could confuse is refused: an empty or overlong
    /// name, white space, commas, control characters, characters that RFC 3722 prohibits because they do not show,
    /// and the constants of negotiation.
    ///
    /// # Errors
    ///
    /// [`NameError::Empty`], [`NameError::TooLong`], [`NameError::Character`] or [`NameError::Reserved`].
    pub fn received(name: &str) -> Result<Self, NameError> {
        let name = lower(name)?;
        check_characters(&name, |c| c != ',' && is_shown(c))?;
        match RESERVED.contains(&name.as_str()) {
            true => Err(NameError::Reserved),
            false => Ok(IscsiName(name)),
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

impl From<IscsiName> for String {
    fn from(name: IscsiName) -> String {
        name.0
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

fn check_characters(name: &str, is_allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    match name.chars().find(|&c| !is_allowed(c)) {
        Some(bad) => Err(NameError::Character(bad)),
        None => Ok(()),
    }
}

/// What RFC 3722 section 6 leaves of lower case: '.', '-' and ':' are all the ASCII punctuation there is.
fn is_name_character(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':') } else { is_shown(c) }
}

fn is_shown(c: char) -> bool {
    !(c.is_whitespace() || c.is_control() || is_prohibited(c))
}

/// Tables B.1 (characters that are mapped to nothing) and C.1.2 to C.9 of RFC 3454 as far as white space and controls
/// do not cover them, characters of later versions of Unicode that would stand in these tables, and U+3002.
fn is_prohibited(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{0340}' | '\u{0341}' | '\u{06dd}' | '\u{070f}' | '\u{1806}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2ff0}'..='\u{2ffb}' | '\u{3002}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..)
        || (u32::from(c) & 0xfffe) == 0xfffe
}

fn check_iqn(rest: &str) -> Result<(), NameError> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'.', ..] = rest.as_bytes() else { return Err(NameError::Date) };
    let is_month = matches!((m1, m2), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'2'));
    if !is_month || ![y1, y2, y3, y4].iter().all(|digit| digit.is_ascii_digit()) {
        return Err(NameError::Date);
    }
    let authority = rest.get(8..).and_then(|after| after.split(':').next()).unwrap_or_default();
    match authority.split('.').any(str::is_empty) {
        true => Err(NameError::Authority),
        false => Ok(()),
    }
}

fn is_hex(digits: &str, lengths: &[usize]) -> bool {
    lengths.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The constants of RFC 7143 section 6.2, folded as names are.
const RESERVED: [&str; 4] = ["none", "reject", "irrelevant", "notunderstood"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_names_its_own_error() {
        for (bad, why) in [
            ("", NameError::Empty),
            ("disk0", NameError::Type),
            ("iq", NameError::Type),
            ("iqn.", NameError::Date),
            ("iqn.2001-4.com.example", NameError::Date),
            ("iqn.2001-13.com.example", NameError::Date),
            ("iqn.2001-00.com.example", NameError::Date),
            ("iqn.20a1-04.com.example", NameError::Date),
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
            assert_eq!(IscsiName::parse(bad), Err(why), "{bad:?}");
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("iqn.a b", NameError::Character(' ')),
            ("iqn.a,b", NameError::Character(',')),
            ("iqn.a\n", NameError::Character('\n')),
            ("iqn.\u{7f}", NameError::Character('\u{7f}')),
            ("Reject", NameError::Reserved),
        ] {
            assert_eq!(IscsiName::received(bad), Err(why), "{bad:?}");
        }
    }

    // Goal: of ASCII exactly the characters of RFC 3722 section 1 are names' own; peers may use all that shows, save the
    // comma, which ends an item of a list. Method: each of the 128.
    #[test]
    fn ascii_characters() {
        for c in (0..0x80u8).map(char::from) {
            let name = format!("iqn.2001-04.com.example:{c}");
            let own = c.is_ascii_alphanumeric() || "-.:".contains(c);
            assert_eq!(IscsiName::parse(&name).is_ok(), own, "{name:?}");
            assert_eq!(IscsiName::received(&name).is_ok(), c.is_ascii_graphic() && c != ',', "{name:?}");
        }
    }

    // Goal: names fold once and for all, and whatever is a name of this end may also come from a peer. Method: every
    // character there is.
    #[test]
    fn a_name_reads_the_same_again_and_own_names_are_names_of_peers() {
        for c in char::MIN..=char::MAX {
            let name = format!("iqn.2001-04.com.example:{c}");
            let (own, peer) = (IscsiName::parse(&name), IscsiName::received(&name));
            if let Ok(own) = &own {
                assert_eq!(IscsiName::parse(own.as_str()).as_ref(), Ok(own), "{name:?}");
                assert_eq!(peer.as_ref(), Ok(own), "{name:?}");
            }
            if let Ok(peer) = &peer {
                assert_eq!(IscsiName::received(peer.as_str()).as_ref(), Ok(peer), "{name:?}");
            }
        }
    }

    // Goal: what an operator types in upper case names the same node. Method: both spellings, both entrances.
    // covers: 7143-4.2.7.1-6
    #[test]
    fn upper_case_is_mapped_to_lower_case() {
        for (typed, want) in [
            ("IQN.2001-04.COM.Example:Disk", "iqn.2001-04.com.example:disk"),
            ("eui.02004567A425678D", "eui.02004567a425678d"),
            ("iqn.2001-04.org.example:\u{dc}", "iqn.2001-04.org.example:\u{fc}"),
        ] {
            assert_eq!(IscsiName::parse(typed).map(String::from).as_deref(), Ok(want));
            assert_eq!(IscsiName::received(typed).map(String::from).as_deref(), Ok(want));
        }
    }

    // covers: 7143-4.2.7.1-3
    #[test]
    fn names_of_223_bytes_are_taken_and_longer_ones_are_not() {
        let longest = format!("iqn.2001-04.com.example:{:x<199}", "");
        let longer = format!("{longest}x");
        // U+0130 becomes three bytes where it had two.
        let grows = format!("iqn.2001-04.com.example:{}\u{130}", "x".repeat(197));
        assert_eq!((longest.len(), grows.len()), (MAX_NAME_LEN, MAX_NAME_LEN));
        for read in [IscsiName::parse, IscsiName::received] {
            assert_eq!(read(&longest).map(String::from).as_deref(), Ok(&longest[..]));
            assert_eq!(read(&longer), Err(NameError::TooLong(224)));
            assert_eq!(read(&grows), Err(NameError::TooLong(224)));
        }
    }
}
