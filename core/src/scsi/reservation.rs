//! Persistent reservations, SPC-4 clauses 5.13, 6.15 and 6.16.

use core::fmt;

use super::fields::Fields;

/// Who may do what while a reservation is held (TYPE, SPC-4 clause 6.15).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReservationType {
    /// 1h: only the holder writes.
    WriteExclusive,
    /// 3h: only the holder reads and writes.
    ExclusiveAccess,
    /// 5h: only registered nexuses write.
    WriteExclusiveRegistrantsOnly,
    /// 6h: only registered nexuses read and write.
    ExclusiveAccessRegistrantsOnly,
    /// 7h: only registered nexuses write, and each of them holds the reservation.
    WriteExclusiveAllRegistrants,
    /// 8h: only registered nexuses read and write, and each of them holds the reservation.
    ExclusiveAccessAllRegistrants,
}

impl ReservationType {
    /// All of them, in the order of their codes.
    pub const ALL: [ReservationType; 6] = [
        ReservationType::WriteExclusive,
        ReservationType::ExclusiveAccess,
        ReservationType::WriteExclusiveRegistrantsOnly,
        ReservationType::ExclusiveAccessRegistrantsOnly,
        ReservationType::WriteExclusiveAllRegistrants,
        ReservationType::ExclusiveAccessAllRegistrants,
    ];

    /// The four bits of TYPE.
    pub const fn code(self) -> u8 {
        match self {
            ReservationType::WriteExclusive => 1,
            ReservationType::ExclusiveAccess => 3,
            ReservationType::WriteExclusiveRegistrantsOnly => 5,
            ReservationType::ExclusiveAccessRegistrantsOnly => 6,
            ReservationType::WriteExclusiveAllRegistrants => 7,
            ReservationType::ExclusiveAccessAllRegistrants => 8,
        }
    }

    /// The type of a code; `None` for obsolete and reserved ones.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The standard's name.
    pub const fn name(self) -> &'static str {
        match self {
            ReservationType::WriteExclusive => "Write Exclusive",
            ReservationType::ExclusiveAccess => "Exclusive Access",
            ReservationType::WriteExclusiveRegistrantsOnly => "Write Exclusive - Registrants Only",
            ReservationType::ExclusiveAccessRegistrantsOnly => "Exclusive Access - Registrants Only",
            ReservationType::WriteExclusiveAllRegistrants => "Write Exclusive - All Registrants",
            ReservationType::ExclusiveAccessAllRegistrants => "Exclusive Access - All Registrants",
        }
    }
}

impl fmt::Display for ReservationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The keys that are registered, from PERSISTENT RESERVE IN (READ KEYS).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    /// PRGENERATION: counts changes of registrations.
    pub generation: u32,
    /// One for every registration that arrived; the same key may be there several times.
    pub keys: Vec<u64>,
    /// Bytes of the whole answer: more than arrived when the allocation length was too small.
    pub whole_len: u64,
}

impl Keys {
    /// The answer; `None` when it has no whole header.
    pub fn decode(data: &[u8]) -> Option<Keys> {
        let (generation, list, whole_len) = header(data)?;
        let keys = list.chunks_exact(8).map(|key| Fields(key).u64(0)).collect();
        Some(Keys { generation, keys, whole_len })
    }
}

/// The answer to PERSISTENT RESERVE IN (READ RESERVATION).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// PRGENERATION.
    pub generation: u32,
    /// The reservation that is held, if there is one.
    pub held: Option<Held>,
}

/// A reservation that is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The holder's key; zero when all registrants hold it.
    pub key: u64,
    /// TYPE; `Err` has the code of one that is obsolete or reserved.
    pub kind: Result<ReservationType, u8>,
}

impl Reservation {
    /// The answer; `None` when it has no whole header, or a reservation that is cut off.
    pub fn decode(data: &[u8]) -> Option<Reservation> {
        let (generation, held, whole_len) = header(data)?;
        let fields = Fields(held);
        let held = match held.len() {
            0 if whole_len == 8 => None,
            14.. => Some(Held { key: fields.u64(0), kind: kind(fields.byte(13)) }),
            _ => return None,
        };
        Some(Reservation { generation, held })
    }
}

/// The answer to PERSISTENT RESERVE IN (REPORT CAPABILITIES).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// RLR_C: REPLACE LOST RESERVATION is carried out.
    pub replace_lost: bool,
    /// CRH: RESERVE and RELEASE of SPC-2 are tolerated.
    pub compatible_reservation_handling: bool,
    /// SIP_C: SPEC_I_PT is taken.
    pub specify_initiator_ports: bool,
    /// ATP_C: ALL_TG_PT is taken.
    pub all_target_ports: bool,
    /// PTPL_C: reservations can be made to outlast a loss of power.
    pub persist_capable: bool,
    /// PTPL_A: they do now.
    pub persist_active: bool,
    /// ALLOW COMMANDS: which commands are let through besides those that must be.
    pub allow_commands: u8,
    /// The types that can be had; `None` when the unit does not tell (TMV clear).
    pub types: Option<Vec<ReservationType>>,
}

impl Capabilities {
    /// The answer; `None` when it is shorter than eight bytes.
    pub fn decode(data: &[u8]) -> Option<Capabilities> {
        let fields = Fields(data.get(..8)?);
        // Bit n of the mask, its first byte being the low one, stands for type n.
        let mask = u16::from_le_bytes(fields.array(4));
        let offered = |kind: &ReservationType| mask >> kind.code() & 1 == 1;
        Some(Capabilities {
            replace_lost: fields.bit(2, 7),
            compatible_reservation_handling: fields.bit(2, 4),
            specify_initiator_ports: fields.bit(2, 3),
            all_target_ports: fields.bit(2, 2),
            persist_capable: fields.bit(2, 0),
            persist_active: fields.bit(3, 0),
            allow_commands: fields.byte(3) >> 4 & 7,
            types: fields.bit(3, 7).then(|| ReservationType::ALL.into_iter().filter(offered).collect()),
        })
    }
}

/// The answer to PERSISTENT RESERVE IN (READ FULL STATUS).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FullStatus {
    /// PRGENERATION.
    pub generation: u32,
    /// The registrations that arrived whole.
    pub registrations: Vec<Registration>,
    /// Bytes of the whole answer: more than arrived when the allocation length was too small.
    pub whole_len: u64,
}

/// A registered nexus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Its key.
    pub key: u64,
    /// The reservation that it holds, if it holds one; `Err` has the code of an obsolete or reserved type.
    pub holds: Option<Result<ReservationType, u8>>,
    /// RELATIVE TARGET PORT IDENTIFIER; `None` when it is registered for all target ports (ALL_TG_PT).
    pub target_port: Option<u16>,
    /// The initiator port.
    pub initiator: TransportId,
}

impl FullStatus {
    /// The answer; `None` when it has no whole header.
    pub fn decode(data: &[u8]) -> Option<FullStatus> {
        let (generation, mut rest, whole_len) = header(data)?;
        let mut registrations = Vec::new();
        while rest.len() >= 24 {
            let fields = Fields(rest);
            let len = usize::try_from(fields.u32(20)).unwrap_or(usize::MAX);
            let Some((id, next)) = fields.from(24).split_at_checked(len) else { break };
            rest = next;
            registrations.push(Registration {
                key: fields.u64(0),
                holds: fields.bit(12, 0).then(|| kind(fields.byte(13))),
                target_port: (!fields.bit(12, 1)).then_some(fields.u16(18)),
                initiator: TransportId::decode(id),
            });
        }
        Some(FullStatus { generation, registrations, whole_len })
    }
}

/// The name of an initiator port (TransportID, SPC-4 clause 7.6.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransportId {
    /// iSCSI (clause 7.6.4.6).
    Iscsi {
        /// The iSCSI name.
        name: String,
        /// The ISID, twelve hexadecimal digits as sent; `None` stands for every port of that name.
        isid: Option<String>,
    },
    /// Of another transport, or malformed: the bytes.
    Other(Vec<u8>),
}

/// Separates name and ISID in a TransportID of iSCSI.
const ISID_MARK: &str = ",i,0x";

impl TransportId {
    fn decode(id: &[u8]) -> Self {
        Self::decode_iscsi(id).unwrap_or_else(|| TransportId::Other(id.to_vec()))
    }

    fn decode_iscsi(id: &[u8]) -> Option<Self> {
        let fields = Fields(id);
        if fields.byte(0) & 0x0f != 0x5 {
            return None;
        }
        let text = fields.part(4, usize::from(fields.u16(2)));
        let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        let text = core::str::from_utf8(&text[..end]).ok().filter(|text| !text.contains(char::is_control))?;
        let (name, isid) = match fields.byte(0) >> 6 {
            0 => (text, None),
            1 => text.split_once(ISID_MARK).map(|(name, isid)| (name, Some(isid.to_owned())))?,
            _ => return None,
        };
        Some(TransportId::Iscsi { name: name.to_owned(), isid })
    }

    /// The bytes, as parameter data carry them. Names are to be bounded before.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (format, mut text) = match self {
            TransportId::Other(bytes) => return bytes.clone(),
            TransportId::Iscsi { name, isid: None } => (0x05, name.clone()),
            TransportId::Iscsi { name, isid: Some(isid) } => (0x45, format!("{name}{ISID_MARK}{isid}")),
        };
        // Ends with one to four zeros, to a multiple of four, of 20 at least.
        let len = (text.len() / 4 * 4 + 4).max(20);
        text.extend(core::iter::repeat_n('\0', len - text.len()));
        let mut out = vec![format, 0];
        out.extend((len as u16).to_be_bytes());
        out.extend(text.into_bytes());
        out
    }
}

impl fmt::Display for TransportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportId::Iscsi { name, isid: None } => f.write_str(name),
            TransportId::Iscsi { name, isid: Some(isid) } => write!(f, "{name}{ISID_MARK}{isid}"),
            TransportId::Other(bytes) => bytes.iter().try_for_each(|b| write!(f, "{b:02x}")),
        }
    }
}

/// PRGENERATION, what ADDITIONAL LENGTH counts as far as it is there, and the bytes that there should be.
fn header(data: &[u8]) -> Option<(u32, &[u8], u64)> {
    let fields = Fields(data);
    let len = Fields(data.get(..8)?).u32(4);
    let list = fields.part(8, usize::try_from(len).unwrap_or(usize::MAX));
    Some((fields.u32(0), list, 8 + u64::from(len)))
}

/// The TYPE of a SCOPE and TYPE byte.
fn kind(scope_and_type: u8) -> Result<ReservationType, u8> {
    let code = scope_and_type & 0x0f;
    ReservationType::from_code(code).ok_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let mut data = vec![0, 0, 0, 5, 0, 0, 0, 16];
        data.extend([0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 1]);
        data.extend([0, 0, 0, 0, 0, 0, 0, 2]);
        let want = Keys { generation: 5, keys: vec![0xdead_beef_0000_0001, 2], whole_len: 24 };
        assert_eq!(Keys::decode(&data), Some(want));
        for len in 0..24 {
            let cut = Keys::decode(&data[..len]);
            assert_eq!(cut.map(|cut| cut.keys.len()), len.checked_sub(8).map(|n| n / 8));
        }
        data[4] = 0xff;
        assert_eq!(Keys::decode(&data).unwrap().keys.len(), 2);
    }

    #[test]
    fn reservation() {
        let mut data = vec![0, 0, 0, 9, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 0, 0, 0, 0, 0, 0x06, 0, 0];
        let kind = Ok(ReservationType::ExclusiveAccessRegistrantsOnly);
        let want = Reservation { generation: 9, held: Some(Held { key: 0xabcd, kind }) };
        assert_eq!(Reservation::decode(&data), Some(want));
        assert_eq!(Reservation::decode(&data[..21]), None, "cut off: not the same as none");
        data[21] = 0x02;
        assert_eq!(Reservation::decode(&data).unwrap().held.unwrap().kind, Err(2));
        let none = Reservation { generation: 9, held: None };
        assert_eq!(Reservation::decode(&[0, 0, 0, 9, 0, 0, 0, 0]), Some(none));
    }

    #[test]
    fn capabilities() {
        let all = Capabilities::decode(&[0, 8, 0x9d, 0xb1, 0xea, 0x01, 0, 0]).unwrap();
        assert_eq!(all.types, Some(ReservationType::ALL.to_vec()));
        assert!(all.replace_lost && all.compatible_reservation_handling && all.specify_initiator_ports);
        assert!(all.all_target_ports && all.persist_capable && all.persist_active);
        assert_eq!(all.allow_commands, 3);
        let some = Capabilities::decode(&[0, 8, 0, 0x80, 0x20, 0, 0, 0]).unwrap();
        assert_eq!(some.types, Some(vec![ReservationType::WriteExclusiveRegistrantsOnly]));
        assert_eq!(Capabilities::decode(&[0, 8, 0, 0, 0xff, 0xff, 0, 0]).unwrap().types, None);
        assert_eq!(Capabilities::decode(&[0, 8, 0, 0x80, 0x20, 0, 0]), None);
    }

    #[test]
    fn full_status() {
        let mut data = vec![0, 0, 0, 1, 0, 0, 0, 0];
        let iscsi = b"iqn.2001-04.org:a,i,0x80123456789a\0\0";
        data.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0x01, 0x05, 0, 0, 0, 0, 0, 1, 0, 0, 0, 40]);
        data.extend([0x45, 0, 0, 36]);
        data.extend(iscsi);
        data.extend([0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0x02, 0x00, 0, 0, 0, 0, 0, 9, 0, 0, 0, 8]);
        data.extend([0x06, 0, 0, 0, 1, 2, 3, 4]);
        data[7] = (data.len() - 8) as u8;
        let status = FullStatus::decode(&data).unwrap();
        let [first, second] = &status.registrations[..] else { panic!("{status:?}") };
        let initiator =
            TransportId::Iscsi { name: "iqn.2001-04.org:a".into(), isid: Some("80123456789a".into()) };
        assert_eq!(first.initiator, initiator);
        assert_eq!(first.initiator.to_string(), "iqn.2001-04.org:a,i,0x80123456789a");
        assert_eq!(initiator.encode(), [&[0x45, 0, 0, 36][..], iscsi].concat());
        assert_eq!((first.key, first.target_port), (7, Some(1)));
        assert_eq!(first.holds, Some(Ok(ReservationType::WriteExclusiveRegistrantsOnly)));
        assert_eq!((second.key, second.target_port, second.holds), (8, None, None));
        assert_eq!(second.initiator.to_string(), "0600000001020304");
        for len in 8..data.len() {
            let cut = FullStatus::decode(&data[..len]).unwrap();
            assert!(cut.registrations.len() < 2 && status.registrations.starts_with(&cut.registrations));
        }
        // A TransportID of 16 MiB and a bit.
        data[28] = 1;
        assert_eq!(FullStatus::decode(&data).unwrap().registrations, []);
    }

    #[test]
    fn transport_ids_of_every_length_read_back() {
        for len in 1..60 {
            for isid in [None, Some("0123456789ab".to_owned())] {
                let id = TransportId::Iscsi { name: "n".repeat(len), isid };
                let bytes = id.encode();
                assert!(bytes.len() >= 24 && bytes.len().is_multiple_of(4) && bytes.ends_with(&[0]));
                assert_eq!(TransportId::decode(&bytes), id);
            }
        }
        let other = [0x45, 0, 0, 4, b'a', b'b', 0, 0];
        assert_eq!(TransportId::decode(&other), TransportId::Other(other.to_vec()), "an ISID is missing");
        assert_eq!(TransportId::decode(&[]), TransportId::Other(vec![]));
    }
}
