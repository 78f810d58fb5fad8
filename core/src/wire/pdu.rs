//! Any PDU of one direction.

use core::fmt;

use super::fields::bad;
use super::{
    AsyncMessage, Bhs, DataIn, DataOut, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, NopIn,
    NopOut, Opcode, R2t, Reject, ScsiCommand, ScsiResponse, SnackRequest, TaskManagementRequest,
    TaskManagementResponse, TextRequest, TextResponse,
};
use crate::FrameError;

macro_rules! direction {
    ($(#[$meta:meta])* $name:ident, $problem:literal, $($variant:ident($text:literal)),* $(,)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name {
            $(#[doc = $text] $variant($variant),)*
        }

        impl $name {
            /// Reads a PDU of this direction.
            ///
            /// # Errors
            /// An opcode that is undefined or of the other direction (RFC 7143 section 11.2.1.2), and whatever the
            /// parser of the PDU refuses.
            pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
                match bhs.opcode() {
                    $(Opcode::$variant => $variant::parse(bhs).map($name::$variant),)*
                    _ => Err(bad("Opcode", $problem)),
                }
            }

            /// Writes the header.
            #[must_use]
            pub fn emit(&self) -> Bhs {
                match self {
                    $($name::$variant(pdu) => pdu.emit(),)*
                }
            }

            /// What the PDU is.
            #[must_use]
            pub const fn opcode(&self) -> Opcode {
                match self {
                    $($name::$variant(_) => Opcode::$variant,)*
                }
            }
        }

        impl fmt::Display for $name {
            /// One line for a log.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant(pdu) => pdu.fmt(f),)*
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(pdu: $variant) -> Self {
                $name::$variant(pdu)
            }
        })*
    };
}

direction! {
    /// A PDU that initiators send.
    InitiatorPdu, "not one that initiators send",
    NopOut("NOP-Out."),
    ScsiCommand("SCSI Command."),
    TaskManagementRequest("Task Management Function Request."),
    LoginRequest("Login Request."),
    TextRequest("Text Request."),
    DataOut("SCSI Data-Out."),
    LogoutRequest("Logout Request."),
    SnackRequest("SNACK Request."),
}

direction! {
    /// A PDU that targets send.
    TargetPdu, "not one that targets send",
    NopIn("NOP-In."),
    ScsiResponse("SCSI Response."),
    TaskManagementResponse("Task Management Function Response."),
    LoginResponse("Login Response."),
    TextResponse("Text Response."),
    DataIn("SCSI Data-In."),
    LogoutResponse("Logout Response."),
    R2t("R2T."),
    AsyncMessage("Asynchronous Message."),
    Reject("Reject."),
}
