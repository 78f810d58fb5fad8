//! Tags and identifiers that PDUs carry.

use core::fmt;

macro_rules! tag {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The value that means "no tag": 0xffffffff.
            pub const RESERVED: $name = $name(0xffff_ffff);

            /// Whether this is the value that means "no tag".
            pub const fn is_reserved(self) -> bool {
                self.0 == 0xffff_ffff
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#010x})"), self.0)
            }
        }
    };
}

tag! {
    /// Initiator Task Tag: names a task within its session (RFC 7143 section 11.2.1.8).
    Itt
}
tag! {
    /// Target Transfer Tag: names what the target waits for.
    Ttt
}

/// The part of a session's name that the initiator chooses (RFC 7143 section 11.12.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isid(pub [u8; 6]);

impl fmt::Debug for Isid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Isid({self})")
    }
}

impl fmt::Display for Isid {
    /// Twelve hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Target Session Identifying Handle; zero asks for a new session (RFC 7143 section 11.12.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tsih(pub u16);

impl Tsih {
    /// The handle in a login that asks for a new session.
    pub const NEW: Tsih = Tsih(0);
}

/// Connection ID within a session (RFC 7143 section 11.12.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cid(pub u16);

/// A logical unit number as eight bytes on the wire (SAM-5 clause 4.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lun(pub u64);

impl Lun {
    /// LUN 0.
    pub const ZERO: Lun = Lun(0);

    /// The single-level encoding of `number`: peripheral addressing below 256, flat addressing above.
    ///
    /// `None` for numbers of 16384 and more, which a single level cannot carry.
    pub const fn from_number(number: u16) -> Option<Lun> {
        match number {
            0..=0xff => Some(Lun((number as u64) << 48)),
            0x100..=0x3fff => Some(Lun((0x4000 | number as u64) << 48)),
            _ => None,
        }
    }

    /// The number that a single-level LUN names, in either encoding; `None` for anything else.
    pub const fn number(self) -> Option<u16> {
        if self.0 & 0x0000_ffff_ffff_ffff != 0 {
            return None;
        }
        let top = (self.0 >> 48) as u16;
        match top >> 14 {
            0 if top < 0x100 => Some(top),
            1 => Some(top & 0x3fff),
            _ => None,
        }
    }
}

impl Lun {
    /// Whether this is a well known logical unit: extended addressing, method 1 (SAM-5 clause 4.7.12).
    pub const fn is_well_known(self) -> bool {
        self.0 >> 56 == 0xc1 && self.0 & 0x0000_ffff_ffff_ffff == 0
    }
}

impl fmt::Display for Lun {
    /// The number of a single-level LUN; `W-LUN 01h` for a well known logical unit; else all eight bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(n) => write!(f, "{n}"),
            None if self.is_well_known() => write!(f, "W-LUN {:02X}h", self.0 >> 48 & 0xff),
            None => write!(f, "{:#018x}", self.0),
        }
    }
}

impl fmt::Debug for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(n) => write!(f, "Lun({n})"),
            None => write!(f, "Lun({:#018x})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luns_read_back_in_both_encodings() {
        for n in 0..0x4000 {
            assert_eq!(Lun::from_number(n).and_then(Lun::number), Some(n));
        }
        assert_eq!(Lun::from_number(0x4000), None);
        // Flat addressing of a small number is valid too (ESXi and Windows differ here).
        assert_eq!(Lun(0x4005 << 48).number(), Some(5));
        assert_eq!(Lun(0x0105 << 48).number(), None, "a bus number other than 0");
        assert_eq!(Lun(0xc101 << 48).number(), None, "a well-known logical unit");
        assert_eq!(Lun(1).number(), None);
    }

    #[test]
    fn luns_as_people_read_them() {
        assert_eq!(Lun(5 << 48).to_string(), "5");
        assert_eq!(Lun(0x4105 << 48).to_string(), "261");
        assert_eq!(Lun(0xc101 << 48).to_string(), "W-LUN 01h");
        assert_eq!(Lun(0xd200_0100 << 32).to_string(), "0xd200010000000000");
        assert!(!Lun(0xc101 << 48 | 1).is_well_known());
    }
}
