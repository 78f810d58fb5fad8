//! Tables of codes: one line a code makes an enum, both conversions and the name for logs.

/// Defines an enum of one-byte codes whose undefined values survive as `Unknown`.
macro_rules! codes {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$variant_meta:meta])* $code:literal $variant:ident $text:literal),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $(
                #[doc = concat!("Code ", $code, ": ", $text, ".")]
                $(#[$variant_meta])*
                $variant,
            )*
            /// A code that neither RFC 7143 nor RFC 7144 defines, as it came. Receiving it is a protocol
            /// error (RFC 7143 section 11); which answer it gets depends on the PDU.
            Unknown(u8),
        }

        impl $name {
            /// The meaning of a code on the wire.
            #[must_use]
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $($code => $name::$variant,)*
                    other => $name::Unknown(other),
                }
            }

            /// The code on the wire.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self {
                    $($name::$variant => $code,)*
                    $name::Unknown(code) => code,
                }
            }

            /// Whether the code is a defined one.
            #[must_use]
            pub const fn is_defined(self) -> bool {
                !matches!(self, $name::Unknown(_))
            }
        }

        impl core::fmt::Display for $name {
            /// The name that the RFC uses, or the number of an undefined code.
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $($name::$variant => f.write_str($text),)*
                    $name::Unknown(code) => write!(f, "undefined code {code:#04x}"),
                }
            }
        }
    };
}

pub(super) use codes;
