//! What this end wants for each operational key, and what came of it.

use crate::Misuse;

/// Digests that this end uses, for HeaderDigest or DataDigest (RFC 7143 section 13.1).
///
/// A responder follows the preference of its peer among what is allowed here; the order matters to an originator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DigestOffer {
    /// No digest.
    NoneOnly,
    /// Either, rather none.
    PreferNone,
    /// Either, rather CRC32C.
    #[default]
    PreferCrc32c,
    /// CRC32C, or no connection.
    Crc32cOnly,
}

/// How the target reports tasks that others aborted (RFC 7143 section 13.23). Each value includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum TaskReporting {
    /// As RFC 3720 has it.
    #[default]
    Rfc3720,
    /// With the response fence.
    ResponseFence,
    /// With fast completion of multi-task aborts.
    FastAbort,
}

/// What this end wants, or accepts at most, for every operational key of RFC 7143 section 13.
///
/// The default is what a target can carry out in any session: digests if the peer likes them, unsolicited data,
/// one connection, error recovery level 0.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Offer {
    /// HeaderDigest.
    pub header_digest: DigestOffer,
    /// DataDigest.
    pub data_digest: DigestOffer,
    /// MaxConnections, 1 to 65535.
    pub max_connections: u16,
    /// InitialR2T: whether this end insists on an R2T before any Data-Out.
    pub initial_r2t: bool,
    /// ImmediateData: whether this end allows data in command PDUs.
    pub immediate_data: bool,
    /// MaxRecvDataSegmentLength that this end declares, in bytes, 512 to 2**24 - 1.
    pub max_segment: u32,
    /// MaxBurstLength, in bytes, 512 to 2**24 - 1.
    pub max_burst: u32,
    /// FirstBurstLength, in bytes, 512 to 2**24 - 1.
    pub first_burst: u32,
    /// DefaultTime2Wait, in seconds, 0 to 3600: the least that this end wants.
    pub time2wait: u16,
    /// DefaultTime2Retain, in seconds, 0 to 3600: the most that this end grants.
    pub time2retain: u16,
    /// MaxOutstandingR2T, 1 to 65535.
    pub max_outstanding_r2t: u16,
    /// DataPDUInOrder: whether this end insists on order.
    pub data_pdu_in_order: bool,
    /// DataSequenceInOrder: whether this end insists on order.
    pub data_sequence_in_order: bool,
    /// ErrorRecoveryLevel, 0 to 2.
    pub error_recovery_level: u8,
    /// iSCSIProtocolLevel, 0 to 31 (RFC 7144 section 7.1.1): 1 claims RFC 7143, 2 RFC 7144 as well.
    pub protocol_level: u16,
    /// TaskReporting: the most that this end carries out.
    pub task_reporting: TaskReporting,
}

impl Offer {
    /// Refuses to offer what the target role does not carry out: several connections, error recovery above level 0,
    /// response fences and fast aborts, RFC 7144. Negotiation itself knows all of them.
    pub(crate) fn check_carried_out(&self) -> Result<(), Misuse> {
        let refused = if self.max_connections > 1 {
            "Offer: MaxConnections above 1 is not carried out"
        } else if self.error_recovery_level > 0 {
            "Offer: ErrorRecoveryLevel above 0 is not carried out"
        } else if self.task_reporting != TaskReporting::Rfc3720 {
            "Offer: TaskReporting other than RFC3720 is not carried out"
        } else if self.protocol_level > 1 {
            "Offer: iSCSIProtocolLevel above 1 is not carried out"
        } else {
            return Ok(());
        };
        Err(Misuse::InvalidArgument(refused))
    }
}

impl Default for Offer {
    fn default() -> Self {
        Offer {
            header_digest: DigestOffer::PreferCrc32c,
            data_digest: DigestOffer::PreferCrc32c,
            max_connections: 1,
            initial_r2t: false,
            immediate_data: true,
            max_segment: 262_144,
            max_burst: 1 << 20,
            first_burst: 262_144,
            time2wait: 0,
            time2retain: 0,
            max_outstanding_r2t: 16,
            data_pdu_in_order: true,
            data_sequence_in_order: true,
            error_recovery_level: 0,
            protocol_level: 1,
            task_reporting: TaskReporting::Rfc3720,
        }
    }
}

/// What a login agreed on: the operational parameters of a session and of one connection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Parameters {
    /// Whether headers carry a CRC32C.
    pub header_digest: bool,
    /// Whether data segments carry a CRC32C.
    pub data_digest: bool,
    /// Connections that the session may have.
    pub max_connections: u16,
    /// Whether every Data-Out beyond immediate data waits for an R2T.
    pub initial_r2t: bool,
    /// Whether command PDUs may carry data.
    pub immediate_data: bool,
    /// The longest data segment that the peer may send to this end, in bytes.
    pub local_max_segment: u32,
    /// The longest data segment that this end may send to the peer, in bytes.
    pub peer_max_segment: u32,
    /// The longest Data-In or solicited Data-Out sequence, in bytes.
    pub max_burst: u32,
    /// The most unsolicited data of one command, in bytes.
    pub first_burst: u32,
    /// Seconds to wait before a lost connection is resumed.
    pub time2wait: u16,
    /// Seconds after that during which tasks can be reassigned.
    pub time2retain: u16,
    /// R2Ts of one task that may be outstanding.
    pub max_outstanding_r2t: u16,
    /// Whether PDUs within a sequence come in order.
    pub data_pdu_in_order: bool,
    /// Whether sequences come in order.
    pub data_sequence_in_order: bool,
    /// The error recovery level.
    pub error_recovery_level: u8,
    /// The protocol level: 2 turns on what RFC 7144 adds.
    pub protocol_level: u16,
    /// How the target reports tasks that others aborted.
    pub task_reporting: TaskReporting,
}

impl Default for Parameters {
    /// The values that hold when nothing is negotiated (RFC 7143 section 13).
    fn default() -> Self {
        Parameters {
            header_digest: false,
            data_digest: false,
            max_connections: 1,
            initial_r2t: true,
            immediate_data: true,
            local_max_segment: 8192,
            peer_max_segment: 8192,
            max_burst: 262_144,
            first_burst: 65_536,
            time2wait: 2,
            time2retain: 20,
            max_outstanding_r2t: 1,
            data_pdu_in_order: true,
            data_sequence_in_order: true,
            error_recovery_level: 0,
            protocol_level: 1,
            task_reporting: TaskReporting::Rfc3720,
        }
    }
}
