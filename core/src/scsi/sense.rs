//! Sense data, SPC-4 clause 4.5: what went wrong, and where.

use bytes::Bytes;

use super::AdditionalSense;

/// SENSE KEY (SPC-4 clause 4.5.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SenseKey {
    /// 0h.
    NoSense,
    /// 1h.
    RecoveredError,
    /// 2h.
    NotReady,
    /// 3h.
    MediumError,
    /// 4h.
    HardwareError,
    /// 5h.
    IllegalRequest,
    /// 6h.
    UnitAttention,
    /// 7h.
    DataProtect,
    /// Bh.
    AbortedCommand,
    /// Eh.
    Miscompare,
    /// Any other, as its number.
    Other(u8),
}

impl SenseKey {
    /// The four bits on the wire.
    pub const fn code(self) -> u8 {
        match self {
            SenseKey::NoSense => 0x0,
            SenseKey::RecoveredError => 0x1,
            SenseKey::NotReady => 0x2,
            SenseKey::MediumError => 0x3,
            SenseKey::HardwareError => 0x4,
            SenseKey::IllegalRequest => 0x5,
            SenseKey::UnitAttention => 0x6,
            SenseKey::DataProtect => 0x7,
            SenseKey::AbortedCommand => 0xb,
            SenseKey::Miscompare => 0xe,
            SenseKey::Other(code) => code & 0xf,
        }
    }

    /// The key of the low four bits of `code`.
    pub const fn from_code(code: u8) -> Self {
        match code & 0xf {
            0x0 => SenseKey::NoSense,
            0x1 => SenseKey::RecoveredError,
            0x2 => SenseKey::NotReady,
            0x3 => SenseKey::MediumError,
            0x4 => SenseKey::HardwareError,
            0x5 => SenseKey::IllegalRequest,
            0x6 => SenseKey::UnitAttention,
            0x7 => SenseKey::DataProtect,
            0xb => SenseKey::AbortedCommand,
            0xe => SenseKey::Miscompare,
            other => SenseKey::Other(other),
        }
    }
}

/// Which bytes a field pointer counts (the C/D bit).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FieldPointerIn {
    /// The CDB.
    Cdb,
    /// The parameter list.
    Data,
}

/// Sense key specific data of ILLEGAL REQUEST: the field in error (SPC-4 clause 4.5.2.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FieldPointer {
    /// Where the field stands.
    pub within: FieldPointerIn,
    /// Its first byte.
    pub byte: u16,
    /// Its most significant bit, 7 to 0; absent when the field starts with its byte.
    pub bit: Option<u8>,
}

impl FieldPointer {
    /// The field that starts with byte `byte` of the CDB.
    pub const fn cdb(byte: u16) -> Self {
        FieldPointer { within: FieldPointerIn::Cdb, byte, bit: None }
    }

    /// The field whose most significant bit is `bit` of byte `byte` of the CDB.
    pub const fn cdb_bit(byte: u16, bit: u8) -> Self {
        FieldPointer { within: FieldPointerIn::Cdb, byte, bit: Some(bit & 7) }
    }

    /// The field that starts with byte `byte` of the parameter list.
    pub const fn data(byte: u16) -> Self {
        FieldPointer { within: FieldPointerIn::Data, byte, bit: None }
    }

    /// The field whose most significant bit is `bit` of byte `byte` of the parameter list.
    pub const fn data_bit(byte: u16, bit: u8) -> Self {
        FieldPointer { within: FieldPointerIn::Data, byte, bit: Some(bit & 7) }
    }

    const fn encode(self) -> [u8; 3] {
        let place = match self.within {
            FieldPointerIn::Cdb => 0x40,
            FieldPointerIn::Data => 0,
        };
        let bit = match self.bit {
            Some(bit) => 0x08 | bit,
            None => 0,
        };
        let [high, low] = self.byte.to_be_bytes();
        [0x80 | place | bit, high, low]
    }
}

/// How sense data is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SenseFormat {
    /// Fixed format, response code 70h, 18 bytes (SPC-4 clause 4.5.3).
    #[default]
    Fixed,
    /// Descriptor format, response code 72h (SPC-4 clause 4.5.2).
    Descriptor,
}

/// Sense data before it is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Sense {
    /// SENSE KEY.
    pub key: SenseKey,
    /// ADDITIONAL SENSE CODE and its qualifier.
    pub additional: AdditionalSense,
    /// INFORMATION: for medium errors and addresses out of range a logical block address.
    pub information: Option<u64>,
    /// COMMAND-SPECIFIC INFORMATION.
    pub command_specific: Option<u64>,
    /// The field in error.
    pub field: Option<FieldPointer>,
    /// How far an operation has come that the command has to wait for, in 65536ths (SPC-4 clause 4.5.2.4.4).
    pub progress: Option<u16>,
    /// ILI: a block is not as long as the command, READ LONG or WRITE LONG, says.
    pub incorrect_length: bool,
    /// Whether this is about an earlier command that was answered already, not about this one (SPC-4 clause 4.5.5).
    pub deferred: bool,
}

impl Sense {
    /// Sense data with a key and an additional sense code alone.
    pub const fn new(key: SenseKey, additional: AdditionalSense) -> Self {
        Sense {
            key,
            additional,
            information: None,
            command_specific: None,
            field: None,
            progress: None,
            incorrect_length: false,
            deferred: false,
        }
    }

    /// ILLEGAL REQUEST with `additional`.
    pub const fn illegal(additional: AdditionalSense) -> Self {
        Sense::new(SenseKey::IllegalRequest, additional)
    }

    /// ILLEGAL REQUEST, INVALID FIELD IN CDB, for the field at `field`.
    pub const fn invalid_field_in_cdb(field: FieldPointer) -> Self {
        Sense::illegal(AdditionalSense::INVALID_FIELD_IN_CDB).at(field)
    }

    /// ILLEGAL REQUEST, INVALID FIELD IN PARAMETER LIST, for the field at `field`.
    pub const fn invalid_field_in_parameter_list(field: FieldPointer) -> Self {
        Sense::illegal(AdditionalSense::INVALID_FIELD_IN_PARAMETER_LIST).at(field)
    }

    /// The same with INFORMATION set.
    pub const fn with_information(mut self, information: u64) -> Self {
        self.information = Some(information);
        self
    }

    /// The same with COMMAND-SPECIFIC INFORMATION set.
    pub const fn with_command_specific(mut self, information: u64) -> Self {
        self.command_specific = Some(information);
        self
    }

    /// The same with a field pointer.
    pub const fn at(mut self, field: FieldPointer) -> Self {
        self.field = Some(field);
        self
    }

    /// The bytes in `format`, as autosense and REQUEST SENSE carry them.
    #[must_use]
    pub fn encode(&self, format: SenseFormat) -> Bytes {
        match format {
            SenseFormat::Fixed => Bytes::copy_from_slice(&self.encode_fixed()),
            SenseFormat::Descriptor => self.encode_descriptor(),
        }
    }

    /// Fixed format. INFORMATION that needs more than 32 bits is left out with VALID clear (SPC-4 clause 4.5.3).
    #[must_use]
    pub fn encode_fixed(&self) -> [u8; 18] {
        let mut out = [0; 18];
        out[0] = 0x70 | u8::from(self.deferred);
        if let Some(information) = self.information.and_then(|i| u32::try_from(i).ok()) {
            out[0] |= 0x80;
            out[3..7].copy_from_slice(&information.to_be_bytes());
        }
        out[2] = self.key.code() | u8::from(self.incorrect_length) << 5;
        out[7] = 10;
        if let Some(specific) = self.command_specific.and_then(|i| u32::try_from(i).ok()) {
            out[8..12].copy_from_slice(&specific.to_be_bytes());
        }
        out[12] = self.additional.code;
        out[13] = self.additional.qualifier;
        if let Some(specific) = self.key_specific() {
            out[15..18].copy_from_slice(&specific);
        }
        out
    }

    /// SENSE KEY SPECIFIC with SKSV.
    fn key_specific(&self) -> Option<[u8; 3]> {
        match (self.field, self.progress) {
            (Some(field), _) => Some(field.encode()),
            (None, Some(progress)) => {
                let [high, low] = progress.to_be_bytes();
                Some([0x80, high, low])
            }
            (None, None) => None,
        }
    }

    fn encode_descriptor(&self) -> Bytes {
        let code = 0x72 | u8::from(self.deferred);
        let mut out =
            vec![code, self.key.code(), self.additional.code, self.additional.qualifier, 0, 0, 0, 0];
        if let Some(information) = self.information {
            out.extend([0x00, 0x0a, 0x80, 0]);
            out.extend(information.to_be_bytes());
        }
        if let Some(specific) = self.command_specific {
            out.extend([0x01, 0x0a, 0, 0]);
            out.extend(specific.to_be_bytes());
        }
        if let Some(specific) = self.key_specific() {
            out.extend([0x02, 0x06, 0, 0]);
            out.extend(specific);
            out.push(0);
        }
        if self.incorrect_length {
            out.extend([0x05, 0x02, 0, 0x20]);
        }
        // At most 12 + 12 + 8 + 4 bytes follow the header.
        out[7] = (out.len() - 8) as u8;
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Sense = Sense {
        key: SenseKey::IllegalRequest,
        additional: AdditionalSense::INVALID_FIELD_IN_CDB,
        information: Some(0x0102_0304),
        command_specific: Some(0x0506_0708),
        field: Some(FieldPointer::cdb_bit(0x0a0b, 6)),
        ..Sense::new(SenseKey::IllegalRequest, AdditionalSense::INVALID_FIELD_IN_CDB)
    };

    #[test]
    fn fixed_format_bytes() {
        assert_eq!(
            FULL.encode_fixed(),
            [0xf0, 0, 5, 1, 2, 3, 4, 10, 5, 6, 7, 8, 0x24, 0, 0, 0xce, 0x0a, 0x0b]
        );
        let plain = Sense::new(SenseKey::UnitAttention, AdditionalSense::CAPACITY_DATA_HAS_CHANGED);
        assert_eq!(plain.encode_fixed(), [0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 9, 0, 0, 0, 0]);
    }

    #[test]
    fn descriptor_format_bytes() {
        let want = [
            &[0x72, 5, 0x24, 0, 0, 0, 0, 32][..],
            &[0, 0x0a, 0x80, 0, 0, 0, 0, 0, 1, 2, 3, 4],
            &[1, 0x0a, 0, 0, 0, 0, 0, 0, 5, 6, 7, 8],
            &[2, 6, 0, 0, 0xce, 0x0a, 0x0b, 0],
        ]
        .concat();
        assert_eq!(&FULL.encode(SenseFormat::Descriptor)[..], &want[..]);
        let plain = Sense::new(SenseKey::Miscompare, AdditionalSense::MISCOMPARE_DURING_VERIFY_OPERATION);
        assert_eq!(&plain.encode(SenseFormat::Descriptor)[..], &[0x72, 0xe, 0x1d, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn fixed_format_drops_information_that_does_not_fit() {
        let sense =
            Sense::illegal(AdditionalSense::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE).with_information(1 << 32);
        assert_eq!(sense.encode_fixed()[..7], [0x70, 0, 5, 0, 0, 0, 0]);
        assert_eq!(sense.encode(SenseFormat::Descriptor)[12..20], [0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn pointers_into_the_parameter_list_clear_the_c_d_bit() {
        let sense = Sense::invalid_field_in_parameter_list(FieldPointer::data(4));
        assert_eq!(sense.encode_fixed()[12..], [0x26, 0, 0, 0x80, 0, 4]);
    }
}
