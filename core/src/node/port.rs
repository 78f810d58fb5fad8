//! SCSI ports and the I_T nexus between two of them, RFC 7143 section 4.4.2.

use core::fmt;

use sha2::{Digest, Sha256};

use super::IscsiName;
use crate::disk::NexusId;
use crate::wire::Isid;

/// A SCSI initiator port: an initiator node and the ISID that it chose for a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InitiatorPort {
    /// The initiator node.
    pub name: IscsiName,
    /// Which of its ports.
    pub isid: Isid,
}

/// A SCSI target port: a portal group of a target node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetPort {
    /// The target node.
    pub name: IscsiName,
    /// Target Portal Group Tag.
    pub tag: u16,
}

/// The relationship of an initiator port and a target port; a normal session carries exactly one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nexus {
    /// The initiator's end.
    pub initiator: InitiatorPort,
    /// The target's end.
    pub target: TargetPort,
}

impl InitiatorPort {
    /// The SCSI port name as it stands in SCSI parameter data, with its terminating null.
    pub fn parameter_name(&self) -> Vec<u8> {
        format!("{self}\0").into_bytes()
    }
}

impl TargetPort {
    /// The SCSI port name as it stands in SCSI parameter data, with its terminating null.
    pub fn parameter_name(&self) -> Vec<u8> {
        format!("{self}\0").into_bytes()
    }
}

impl Nexus {
    /// The number that the disk knows this nexus by.
    ///
    /// It is computed from the names of both ports and nothing else, so the same nexus has the same number for
    /// ever, after a restart too, and nothing needs to be remembered. Two nexuses share a number with a probability of
    /// 2^-64; [`Sessions`](super::Sessions) does not let both be there at one time.
    pub fn id(&self) -> NexusId {
        // The null between the names keeps two different pairs from reading the same: no name has one.
        let digest = Sha256::digest(format!("{}\0{}", self.initiator, self.target).as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        NexusId(u64::from_be_bytes(first))
    }
}

impl fmt::Display for InitiatorPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},i,0x{}", self.name, self.isid)
    }
}

impl fmt::Display for TargetPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},t,0x{:04x}", self.name, self.tag)
    }
}

impl fmt::Display for Nexus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.initiator, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(s: &str) -> IscsiName {
        IscsiName::parse(s).unwrap()
    }

    fn nexus(initiator: &str, isid: [u8; 6], target: &str, tag: u16) -> Nexus {
        Nexus {
            initiator: InitiatorPort { name: name(initiator), isid: Isid(isid) },
            target: TargetPort { name: name(target), tag },
        }
    }

    // Goal: the encoding of port names, byte for byte. Method: both kinds, with digits that need leading zeros.
    // covers: 7143-4.4.2-3
    #[test]
    fn port_names_in_parameter_data() {
        let n = nexus(
            "iqn.2001-04.com.example:i",
            [0x00, 0x02, 0x3d, 0, 0, 0x0a],
            "iqn.2001-04.com.example:t",
            1,
        );
        assert_eq!(n.initiator.parameter_name(), b"iqn.2001-04.com.example:i,i,0x00023d00000a\0");
        assert_eq!(n.target.parameter_name(), b"iqn.2001-04.com.example:t,t,0x0001\0");
    }

    #[test]
    fn the_number_of_a_nexus_depends_on_all_of_it_and_on_nothing_else() {
        let (a, b) = ("iqn.2001-04.com.example:a", "iqn.2001-04.com.example:b");
        let one = nexus(a, [1; 6], b, 1);
        // A fixed value (SHA-256 of both names, computed elsewhere): registrations may be stored under it.
        assert_eq!(one.id(), NexusId(0xeda4_4110_1c89_0a02));
        for other in
            [nexus(a, [2; 6], b, 1), nexus(a, [1; 6], b, 2), nexus(b, [1; 6], b, 1), nexus(a, [1; 6], a, 1)]
        {
            assert_ne!(one.id(), other.id(), "{other}");
        }
    }
}
