//! Additional sense codes and their qualifiers by standard name (SPC-4 annex E.2).

use core::fmt;

/// ADDITIONAL SENSE CODE and ADDITIONAL SENSE CODE QUALIFIER.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AdditionalSense {
    /// ADDITIONAL SENSE CODE.
    pub code: u8,
    /// ADDITIONAL SENSE CODE QUALIFIER.
    pub qualifier: u8,
}

macro_rules! codes {
    ($($name:ident = $code:literal / $qualifier:literal;)*) => {
        impl AdditionalSense {
            $(
                #[doc = concat!(stringify!($code), "/", stringify!($qualifier), ", by its standard name.")]
                pub const $name: AdditionalSense = AdditionalSense { code: $code, qualifier: $qualifier };
            )*

            /// The name of the constant for this value, if there is one.
            pub const fn name(self) -> Option<&'static str> {
                match (self.code, self.qualifier) {
                    $(($code, $qualifier) => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    NO_ADDITIONAL_SENSE_INFORMATION = 0x00 / 0x00;
    LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED = 0x04 / 0x02;
    WRITE_ERROR = 0x0c / 0x00;
    UNRECOVERED_READ_ERROR = 0x11 / 0x00;
    PARAMETER_LIST_LENGTH_ERROR = 0x1a / 0x00;
    MISCOMPARE_DURING_VERIFY_OPERATION = 0x1d / 0x00;
    INVALID_COMMAND_OPERATION_CODE = 0x20 / 0x00;
    LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE = 0x21 / 0x00;
    INVALID_FIELD_IN_CDB = 0x24 / 0x00;
    LOGICAL_UNIT_NOT_SUPPORTED = 0x25 / 0x00;
    INVALID_FIELD_IN_PARAMETER_LIST = 0x26 / 0x00;
    WRITE_PROTECTED = 0x27 / 0x00;
    LOGICAL_UNIT_SOFTWARE_WRITE_PROTECTED = 0x27 / 0x02;
    SPACE_ALLOCATION_FAILED_WRITE_PROTECT = 0x27 / 0x07;
    POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED = 0x29 / 0x00;
    POWER_ON_OCCURRED = 0x29 / 0x01;
    SCSI_BUS_RESET_OCCURRED = 0x29 / 0x02;
    BUS_DEVICE_RESET_FUNCTION_OCCURRED = 0x29 / 0x03;
    I_T_NEXUS_LOSS_OCCURRED = 0x29 / 0x07;
    MODE_PARAMETERS_CHANGED = 0x2a / 0x01;
    CAPACITY_DATA_HAS_CHANGED = 0x2a / 0x09;
    COMMANDS_CLEARED_BY_ANOTHER_INITIATOR = 0x2f / 0x00;
    SAVING_PARAMETERS_NOT_SUPPORTED = 0x39 / 0x00;
    REPORTED_LUNS_DATA_HAS_CHANGED = 0x3f / 0x0e;
    INTERNAL_TARGET_FAILURE = 0x44 / 0x00;
    SOME_COMMANDS_CLEARED_BY_ISCSI_PROTOCOL_EVENT = 0x47 / 0x7f;
    INVALID_MESSAGE_ERROR = 0x49 / 0x00;
}

impl fmt::Debug for AdditionalSense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{:02x}/{:02x} {name}", self.code, self.qualifier),
            None => write!(f, "{:02x}/{:02x}", self.code, self.qualifier),
        }
    }
}
