//! Additional sense codes and their qualifiers by standard name (SPC-4 annex E.2).

use core::fmt;

use super::additional_sense_names::NAMES;

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
        }

        #[cfg(test)]
        const CONSTANTS: &[(&str, AdditionalSense)] = &[$((stringify!($name), AdditionalSense::$name)),*];
    };
}

codes! {
    NO_ADDITIONAL_SENSE_INFORMATION = 0x00 / 0x00;
    LOGICAL_UNIT_IS_IN_PROCESS_OF_BECOMING_READY = 0x04 / 0x01;
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
    INQUIRY_DATA_HAS_CHANGED = 0x3f / 0x03;
    REPORTED_LUNS_DATA_HAS_CHANGED = 0x3f / 0x0e;
    INTERNAL_TARGET_FAILURE = 0x44 / 0x00;
    SOME_COMMANDS_CLEARED_BY_ISCSI_PROTOCOL_EVENT = 0x47 / 0x7f;
    INVALID_MESSAGE_ERROR = 0x49 / 0x00;
}

impl AdditionalSense {
    /// The standard's text for this value, if it is one of the usual ones.
    ///
    /// Where the qualifier is a number of the unit's own (40h/NN, 4Dh/NN, 70h/NN), the text is that of the whole range.
    pub fn name(self) -> Option<&'static str> {
        match (self.code, self.qualifier) {
            (0x40, 0x80..) => return Some("DIAGNOSTIC FAILURE ON COMPONENT"),
            (0x4d, _) => return Some("TAGGED OVERLAPPED COMMANDS"),
            (0x70, _) => return Some("DECOMPRESSION EXCEPTION SHORT ALGORITHM ID"),
            _ => {}
        }
        let value = u16::from_be_bytes([self.code, self.qualifier]);
        NAMES.binary_search_by_key(&value, |&(value, _)| value).ok().map(|at| NAMES[at].1)
    }
}

impl fmt::Debug for AdditionalSense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{:02x}/{:02x} {name}", self.code, self.qualifier),
            None => write!(f, "{:02x}/{:02x}", self.code, self.qualifier),
        }
    }
}

impl fmt::Display for AdditionalSense {
    /// The standard's text, or for an unusual value its numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "ADDITIONAL SENSE {:02X}h/{:02X}h", self.code, self.qualifier),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A constant is spelt as its text, but for what Rust does not allow in a name.
    #[test]
    fn constants_are_spelt_as_the_standard_spells_them() {
        for (constant, value) in CONSTANTS {
            let text = value.name().unwrap_or_else(|| panic!("{constant} has no text"));
            let words: String =
                text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
            assert_eq!(words.split_whitespace().collect::<Vec<_>>().join("_"), *constant);
        }
    }

    #[test]
    fn the_table_is_sorted_and_has_no_value_twice() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn unusual_values_show_their_numbers() {
        let text = |code, qualifier| AdditionalSense { code, qualifier }.to_string();
        assert_eq!(text(0x29, 0x00), "POWER ON, RESET, OR BUS DEVICE RESET OCCURRED");
        assert_eq!(text(0x40, 0x91), "DIAGNOSTIC FAILURE ON COMPONENT");
        assert_eq!(text(0x40, 0x01), "ADDITIONAL SENSE 40h/01h");
        assert_eq!(text(0xff, 0xa0), "ADDITIONAL SENSE FFh/A0h");
    }
}
