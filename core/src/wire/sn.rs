//! Sequence numbers: distinct types with the serial arithmetic of RFC 1982, SERIAL_BITS = 32.

use core::fmt;

macro_rules! serial {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Comparison is serial (RFC 7143 section 4.2.2.1), so there is no `Ord`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub u32);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                $name(self.0.wrapping_add(1))
            }

            /// The number `n` after this one.
            #[must_use]
            pub const fn plus(self, n: u32) -> Self {
                $name(self.0.wrapping_add(n))
            }

            /// How far `self` lies behind or ahead of `other`: negative behind, positive ahead.
            pub const fn distance_from(self, other: Self) -> i32 {
                self.0.wrapping_sub(other.0) as i32
            }

            /// Whether `self` comes before `other`.
            pub const fn is_before(self, other: Self) -> bool {
                self.distance_from(other) < 0
            }

            /// Whether `self` comes after `other`.
            pub const fn is_after(self, other: Self) -> bool {
                self.distance_from(other) > 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

serial! {
    /// Command sequence number, one series a session.
    CmdSn
}
serial! {
    /// Status sequence number, one series a connection.
    StatSn
}
serial! {
    /// Data sequence number, one series a data sequence or read command.
    DataSn
}
serial! {
    /// R2T sequence number, one series a command.
    R2tSn
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u32; 9] =
        [0, 1, 2, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fffe, 0xffff_ffff];

    // covers: 7143-4.2.2.1-10
    #[test]
    fn order_is_serial_around_every_edge() {
        for base in EDGES {
            for ahead in [1, 2, 1000, 0x7fff_ffff] {
                let (a, b) = (CmdSn(base), CmdSn(base).plus(ahead));
                assert!(a.is_before(b) && b.is_after(a), "{a:?} {b:?}");
                assert!(!b.is_before(a) && !a.is_after(b), "{a:?} {b:?}");
            }
            assert!(!CmdSn(base).is_before(CmdSn(base)) && !CmdSn(base).is_after(CmdSn(base)));
        }
        assert_eq!(StatSn(u32::MAX).next(), StatSn(0));
        assert_eq!(DataSn(1).distance_from(DataSn(u32::MAX)), 2);
    }
}
