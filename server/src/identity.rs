//! Serial numbers and NAA names of logical units that were given none.
//!
//! They are computed from the target's name and the LUN and nothing else. So they survive a restart, a reordered
//! configuration and a data file that moved, and two servers differ as long as their targets do. Where one disk is
//! reached in several ways, the first of them in the file gives the identity. Who puts another disk behind the same
//! target and LUN should configure a serial number, or initiators may take the new disk for the old one.

use iscsicore::disk::Naa;
use sha2::{Digest, Sha256};

/// Reads an NAA identifier from hexadecimal digits, with or without `0x` or `naa.` in front.
///
/// The formats are 2, 3 and 5 with 16 digits and 6 with 32 (SPC-4 clause 7.8.6.6).
pub(crate) fn parse_naa(text: &str) -> Option<Naa> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.strip_prefix("0x").or(lower.strip_prefix("naa.")).unwrap_or(&lower);
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    Naa::from_bytes(&bytes)
}

/// The serial number of the unit behind `lun` of `target`: 16 hexadecimal digits.
pub(crate) fn serial(target: &str, lun: u16) -> String {
    digest("serial", target, lun).iter().map(|b| format!("{b:02x}")).collect()
}

/// The NAA name of the unit behind `lun` of `target`.
pub(crate) fn naa(target: &str, lun: u16) -> Naa {
    Naa::locally_assigned(&seed("naa", target, lun))
}

fn digest(purpose: &str, target: &str, lun: u16) -> [u8; 8] {
    let digest = Sha256::digest(seed(purpose, target, lun).as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    first
}

fn seed(purpose: &str, target: &str, lun: u16) -> String {
    format!("iscsicored\0{purpose}\0{target}\0{lun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: &str = "iqn.2026-01.dev.iscsicore:disk0";

    // The values are part of what the server promises: a change makes every initiator see a new disk.
    #[test]
    fn identities_are_these_for_ever() {
        assert_eq!(serial(DISK, 0), "bd1353012b1d8b05");
        assert_eq!(naa(DISK, 0).name_string().to_lowercase(), "naa.360d2c53d40cc567");
    }

    #[test]
    fn identities_differ_by_target_and_lun() {
        let all = [(DISK, 0), (DISK, 1), ("iqn.2026-01.dev.iscsicore:disk1", 0)];
        let serials: std::collections::BTreeSet<_> = all.iter().map(|(t, l)| serial(t, *l)).collect();
        let naas: std::collections::BTreeSet<_> = all.iter().map(|(t, l)| naa(t, *l).name_string()).collect();
        assert_eq!((serials.len(), naas.len()), (3, 3));
    }

    #[test]
    fn naa_names_are_read_in_every_format() {
        for good in ["5001405f00000001", "0x3001405F00000001", "naa.60014051234567890123456789abcdef"] {
            let digits = good.to_ascii_lowercase().replace("0x", "").replace("naa.", "");
            assert_eq!(
                parse_naa(good).map(|n| n.name_string().to_lowercase()),
                Some(format!("naa.{digits}"))
            );
        }
        for bad in [
            "",
            "5",
            "5001405f0000000",
            "5001405f00000001ff",
            "6001405f00000001",
            "1001405f00000001",
            "500140xx00000001",
        ] {
            assert_eq!(parse_naa(bad), None, "{bad:?}");
        }
    }
}
