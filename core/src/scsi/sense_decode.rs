//! Sense data as another end laid it out, SPC-4 clause 4.5.

use core::fmt;

use super::fields::Fields;
use super::{AdditionalSense, FieldPointer, FieldPointerIn, Sense, SenseKey};

impl Sense {
    /// Sense data as autosense or REQUEST SENSE carry them: fixed (70h, 71h) or descriptor format (72h, 73h).
    ///
    /// Lengths inside that exceed `data` are cut to it, and what is missing counts as not told. `None` when `data` end
    /// before the sense key, or have another response code.
    pub fn decode(data: &[u8]) -> Option<Sense> {
        let fields = Fields(data);
        let code = fields.byte(0) & 0x7f;
        let sense = match code {
            0x70 | 0x71 if data.len() >= 3 => decode_fixed(fields),
            0x72 | 0x73 if data.len() >= 2 => decode_descriptor(fields),
            _ => return None,
        };
        Some(Sense { deferred: code & 1 == 1, ..sense })
    }

    fn set_key_specific(&mut self, bytes: [u8; 3]) {
        let [first, high, low] = bytes;
        if first & 0x80 == 0 {
            return;
        }
        let value = u16::from_be_bytes([high, low]);
        match self.key {
            SenseKey::IllegalRequest => {
                let within = if first & 0x40 == 0 { FieldPointerIn::Data } else { FieldPointerIn::Cdb };
                let bit = (first & 0x08 != 0).then_some(first & 7);
                self.field = Some(FieldPointer { within, byte: value, bit });
            }
            SenseKey::NoSense | SenseKey::NotReady => self.progress = Some(value),
            _ => {}
        }
    }
}

fn decode_fixed(fields: Fields<'_>) -> Sense {
    // ADDITIONAL SENSE LENGTH counts what follows it; where it is missing, so is what it counts.
    let fields = Fields(fields.part(0, 8 + usize::from(fields.byte(7))));
    let additional = AdditionalSense { code: fields.byte(12), qualifier: fields.byte(13) };
    let mut sense = Sense::new(SenseKey::from_code(fields.byte(2)), additional);
    sense.incorrect_length = fields.bit(2, 5);
    if fields.bit(0, 7) && fields.0.len() >= 7 {
        sense.information = Some(u64::from(fields.u32(3)));
    }
    // There is no bit that says whether this field is there: zero means nothing.
    sense.command_specific = Some(u64::from(fields.u32(8))).filter(|&specific| specific != 0);
    if fields.0.len() >= 18 {
        sense.set_key_specific(fields.array(15));
    }
    sense
}

fn decode_descriptor(fields: Fields<'_>) -> Sense {
    let additional = AdditionalSense { code: fields.byte(2), qualifier: fields.byte(3) };
    let mut sense = Sense::new(SenseKey::from_code(fields.byte(1)), additional);
    let mut rest = fields.part(8, usize::from(fields.byte(7)));
    while let [kind, len, ..] = *rest {
        let (descriptor, next) = rest.split_at(rest.len().min(2 + usize::from(len)));
        rest = next;
        let fields = Fields(descriptor);
        match kind {
            0x00 if descriptor.len() >= 12 => {
                sense.information = fields.bit(2, 7).then_some(fields.u64(4));
            }
            0x01 if descriptor.len() >= 12 => sense.command_specific = Some(fields.u64(4)),
            0x02 if descriptor.len() >= 7 => sense.set_key_specific(fields.array(4)),
            // Block commands.
            0x05 if descriptor.len() >= 4 => sense.incorrect_length = fields.bit(3, 5),
            // Direct access block device: all of the above in one (SBC-3).
            0x0d if descriptor.len() >= 32 => {
                sense.incorrect_length = fields.bit(2, 5);
                sense.information = fields.bit(2, 7).then_some(fields.u64(8));
                sense.command_specific = Some(fields.u64(16)).filter(|&specific| specific != 0);
                sense.set_key_specific(fields.array(4));
            }
            _ => {}
        }
    }
    sense
}

impl fmt::Display for SenseKey {
    /// The standard's name, `COMPLETED` and the like also for [`SenseKey::Other`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.code() {
            0x0 => "NO SENSE",
            0x1 => "RECOVERED ERROR",
            0x2 => "NOT READY",
            0x3 => "MEDIUM ERROR",
            0x4 => "HARDWARE ERROR",
            0x5 => "ILLEGAL REQUEST",
            0x6 => "UNIT ATTENTION",
            0x7 => "DATA PROTECT",
            0x8 => "BLANK CHECK",
            0x9 => "VENDOR SPECIFIC",
            0xa => "COPY ABORTED",
            0xb => "ABORTED COMMAND",
            0xd => "VOLUME OVERFLOW",
            0xe => "MISCOMPARE",
            0xf => "COMPLETED",
            _ => "RESERVED SENSE KEY",
        })
    }
}

impl fmt::Display for FieldPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.byte)?;
        if let Some(bit) = self.bit {
            write!(f, " bit {bit}")?;
        }
        f.write_str(match self.within {
            FieldPointerIn::Cdb => " of the CDB",
            FieldPointerIn::Data => " of the parameter list",
        })
    }
}

impl fmt::Display for Sense {
    /// As people read it: `ILLEGAL REQUEST: INVALID FIELD IN CDB (5/24/00), byte 1 bit 3 of the CDB`. Key, code and
    /// qualifier in parentheses are hexadecimal; what follows is what else was told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.deferred {
            f.write_str("of an earlier command: ")?;
        }
        let AdditionalSense { code, qualifier } = self.additional;
        write!(f, "{}: {} ({:X}/{code:02X}/{qualifier:02X})", self.key, self.additional, self.key.code())?;
        if let Some(field) = self.field {
            write!(f, ", {field}")?;
        }
        if let Some(progress) = self.progress {
            write!(f, ", {}% done", u32::from(progress) * 100 / 65536)?;
        }
        if let Some(information) = self.information {
            write!(f, ", information {information}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scsi::SenseFormat;

    const RANGE: AdditionalSense = AdditionalSense::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE;

    #[test]
    fn fixed_format_by_hand() {
        let data = [0xf0, 0, 0x05, 0, 0, 0x10, 0, 10, 0, 0, 0, 0, 0x21, 0, 0, 0xc9, 0, 2];
        let want = Sense::illegal(RANGE).with_information(4096).at(FieldPointer::cdb_bit(2, 1));
        assert_eq!(Sense::decode(&data), Some(want));
        let text = "ILLEGAL REQUEST: LOGICAL BLOCK ADDRESS OUT OF RANGE (5/21/00), byte 2 bit 1 of the CDB, information 4096";
        assert_eq!(want.to_string(), text);
        assert_eq!(
            Sense::illegal(RANGE).to_string(),
            "ILLEGAL REQUEST: LOGICAL BLOCK ADDRESS OUT OF RANGE (5/21/00)"
        );
    }

    #[test]
    fn progress_deferred_and_length() {
        let data = [0x71, 0, 0x22, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x04, 0x04, 0, 0x80, 0x80, 0];
        let sense = Sense::decode(&data).unwrap();
        assert!(sense.deferred && sense.incorrect_length);
        assert_eq!((sense.progress, sense.field, sense.information), (Some(0x8000), None, None));
        let text = "of an earlier command: NOT READY: LOGICAL UNIT NOT READY, FORMAT IN PROGRESS (2/04/04), 50% done";
        assert_eq!(sense.to_string(), text);
    }

    #[test]
    fn descriptor_format_by_hand() {
        let data = [
            &[0x73, 0x0e, 0x1d, 0, 0, 0, 0, 28][..],
            &[0x80, 0, 0x00, 0x0a, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 2],
            &[0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0xff, 0xff],
        ]
        .concat();
        let sense = Sense::decode(&data).unwrap();
        assert_eq!(
            sense.to_string(),
            "of an earlier command: MISCOMPARE: MISCOMPARE DURING VERIFY OPERATION (E/1D/00), information 4294967298"
        );
        assert_eq!(sense.command_specific, Some(9));
        let mut one = vec![0x72, 0x05, 0x24, 0, 0, 0, 0, 32, 0x0d, 0x1e, 0xa0, 0, 0xcb, 0, 4, 0];
        one.extend(7u64.to_be_bytes());
        one.extend(8u64.to_be_bytes());
        one.extend([0; 8]);
        let mut want = Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(4, 3));
        want = want.with_information(7).with_command_specific(8);
        assert_eq!(Sense::decode(&one), Some(Sense { incorrect_length: true, ..want }));
    }

    #[test]
    fn both_formats_read_back() {
        let full = Sense {
            incorrect_length: true,
            deferred: true,
            ..Sense::illegal(RANGE).with_information(7).with_command_specific(9).at(FieldPointer::data(300))
        };
        let waits = Sense { progress: Some(77), ..Sense::new(SenseKey::NotReady, RANGE) };
        for sense in [full, waits, Sense::new(SenseKey::Other(0xd), RANGE)] {
            for format in [SenseFormat::Fixed, SenseFormat::Descriptor] {
                assert_eq!(Sense::decode(&sense.encode(format)), Some(sense));
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_not_told() {
        let whole =
            Sense::illegal(RANGE).with_information(7).with_command_specific(9).at(FieldPointer::data(300));
        for format in [SenseFormat::Fixed, SenseFormat::Descriptor] {
            let data = whole.encode(format);
            // The last byte of the descriptor format is reserved.
            let told = data.len() - usize::from(format == SenseFormat::Descriptor);
            for len in 0..told {
                let Some(sense) = Sense::decode(&data[..len]) else {
                    assert!(len < 3);
                    continue;
                };
                assert_eq!(sense.key, SenseKey::IllegalRequest);
                assert!(
                    sense.information.is_none_or(|i| i == 7) && sense.field.is_none_or(|f| f.byte == 300)
                );
                assert_ne!(sense, whole, "{len} bytes");
            }
        }
        assert_eq!(Sense::decode(&[0x7f; 32]), None);
        assert_eq!(Sense::decode(&[0; 32]), None);
        // ADDITIONAL SENSE LENGTH of 0 and of more than there is.
        let mut fixed = whole.encode_fixed();
        fixed[7] = 0;
        assert_eq!(
            Sense::decode(&fixed).unwrap().additional,
            AdditionalSense::NO_ADDITIONAL_SENSE_INFORMATION
        );
        fixed[7] = 0xff;
        assert_eq!(Sense::decode(&fixed), Some(whole));
    }
}
