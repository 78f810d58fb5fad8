//! Every key that is defined, one row each: RFC 7143 sections 12 and 13, RFC 7144 section 7.
//!
//! The rows say all that differs between keys, so that the code that negotiates has no cases of its own. A row
//! reads from an [`Offer`] what this end wants, and writes into [`Parameters`] what came of it.

use core::ops::RangeInclusive;

use super::offer::{DigestOffer, Offer, Parameters, TaskReporting};

/// One of the two ends of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// It opened the connection.
    Initiator,
    /// It answers.
    Target,
}

/// Who may send a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Senders {
    /// The initiator alone.
    Initiator,
    /// The target alone.
    Target,
    /// Either.
    Both,
}

impl Senders {
    /// Whether `party` is among them.
    pub fn include(self, party: Party) -> bool {
        match self {
            Senders::Initiator => party == Party::Initiator,
            Senders::Target => party == Party::Target,
            Senders::Both => true,
        }
    }
}

/// When a key may be sent, as RFC 7143 section 13 abbreviates it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// IO: only during login.
    InitializeOnly,
    /// LO: only during the login of a session's first connection.
    LeadingOnly,
    /// ALL: during login and in the full-feature phase.
    All,
    /// FFPO: only in the full-feature phase.
    FullFeatureOnly,
}

/// In which stages of a login a key may be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stages {
    /// SecurityNegotiation only.
    Security,
    /// LoginOperationalNegotiation only.
    Operational,
    /// Either ("Any-Stage").
    Any,
}

/// What a key's value holds for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// SW: the session.
    Session,
    /// CO: the connection.
    Connection,
}

/// Whether a key means anything in a Discovery session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InDiscovery {
    /// It is used.
    Used,
    /// It is answered with "Irrelevant".
    Irrelevant,
}

/// What this end does about a negotiated key that its peer leaves out, and whose default it does not want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IfSilent {
    /// It proposes the key itself, and fails the login if the result is not within what it offers.
    Propose,
    /// It takes the default: what it offers is a preference.
    TakeDefault,
}

/// Which RFC brought a key, and so whether every target knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// RFC 3720: an originator always sends it, for there are targets that fail without, and "NotUnderstood" is no
    /// answer to it.
    Rfc3720,
    /// A later one: an originator sends it when it wants anything but the default, and "NotUnderstood" leaves that.
    Later,
}

/// How the result of a Boolean negotiation is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BooleanFunction {
    /// Yes only if both ends say Yes.
    And,
    /// Yes if either end says Yes.
    Or,
}

impl BooleanFunction {
    /// The result of what the two ends want.
    pub const fn apply(self, a: bool, b: bool) -> bool {
        match self {
            BooleanFunction::And => a && b,
            BooleanFunction::Or => a || b,
        }
    }
}

/// How the result of a numerical negotiation is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberFunction {
    /// The smaller.
    Minimum,
    /// The larger.
    Maximum,
}

impl NumberFunction {
    /// The result of what the two ends want.
    pub fn apply(self, a: u32, b: u32) -> u32 {
        match self {
            NumberFunction::Minimum => a.min(b),
            NumberFunction::Maximum => a.max(b),
        }
    }
}

/// The type of a key's value, and how its result is found.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Yes or No, negotiated.
    Boolean {
        /// The result function.
        function: BooleanFunction,
        /// What this end wants.
        wish: fn(&Offer) -> bool,
        /// The present result.
        read: fn(&Parameters) -> bool,
        /// Where the result goes.
        store: fn(&mut Parameters, bool),
    },
    /// A number, negotiated.
    Number {
        /// The values that are admissible.
        range: RangeInclusive<u32>,
        /// The result function.
        function: NumberFunction,
        /// What this end wants.
        wish: fn(&Offer) -> u32,
        /// A bound that other keys set; rows come after the rows that they depend on.
        bound: fn(&Parameters) -> u32,
        /// The present result.
        read: fn(&Parameters) -> u32,
        /// Where the result goes.
        store: fn(&mut Parameters, u32),
    },
    /// One of several words, negotiated from a list.
    List {
        /// The words.
        choices: &'static [&'static str],
        /// Those that this end accepts, as indices, the preferred one first.
        wish: fn(&Offer) -> &'static [usize],
        /// The present result, an index.
        read: fn(&Parameters) -> usize,
        /// Where the result, an index, goes.
        store: fn(&mut Parameters, usize),
    },
    /// A number that each end declares for itself.
    DeclaredNumber {
        /// The values that are admissible.
        range: RangeInclusive<u32>,
        /// What this end declares.
        wish: fn(&Offer) -> u32,
        /// Where this end's value goes.
        store_local: fn(&mut Parameters, u32),
        /// Where the peer's value goes.
        store_peer: fn(&mut Parameters, u32),
    },
    /// Text that one end declares; the code that owns the key reads it.
    Declared {
        /// The longest value, in bytes.
        max_len: usize,
    },
    /// A key of an authentication exchange.
    Authentication,
    /// SendTargets: a question, answered by whoever knows the targets.
    Question,
    /// Obsolete: answered with "Reject" (RFC 7143 section 13.25).
    Obsolete,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// As sent.
    pub name: &'static str,
    /// When it may be sent.
    pub use_: Use,
    /// In which stages of a login.
    pub stages: Stages,
    /// Who may send it.
    pub senders: Senders,
    /// What its value holds for.
    pub scope: Scope,
    /// Whether it means anything in a Discovery session.
    pub in_discovery: InDiscovery,
    /// What this end does when the peer leaves the key out.
    pub if_silent: IfSilent,
    /// How old the key is.
    pub since: Since,
    /// The type of its value.
    pub kind: Kind,
}

/// The row of the key of this name, and its index in [`KEYS`].
pub fn find(name: &str) -> Option<(usize, &'static Key)> {
    KEYS.iter().enumerate().find(|(_, key)| key.name == name)
}

/// Names of keys that have code of their own.
pub mod names {
    #![allow(missing_docs, reason = "each constant is its own name")]
    pub const AUTH_METHOD: &str = "AuthMethod";
    pub const CHAP_A: &str = "CHAP_A";
    pub const CHAP_I: &str = "CHAP_I";
    pub const CHAP_C: &str = "CHAP_C";
    pub const CHAP_N: &str = "CHAP_N";
    pub const CHAP_R: &str = "CHAP_R";
    pub const INITIATOR_NAME: &str = "InitiatorName";
    pub const INITIATOR_ALIAS: &str = "InitiatorAlias";
    pub const TARGET_NAME: &str = "TargetName";
    pub const TARGET_ALIAS: &str = "TargetAlias";
    pub const TARGET_ADDRESS: &str = "TargetAddress";
    pub const TARGET_PORTAL_GROUP_TAG: &str = "TargetPortalGroupTag";
    pub const SESSION_TYPE: &str = "SessionType";
    pub const SEND_TARGETS: &str = "SendTargets";
}

/// The constants that answers may be, and that proposals may not (RFC 7143 section 6.2).
pub mod constants {
    #![allow(missing_docs, reason = "each constant is its own name")]
    pub const NONE: &str = "None";
    pub const REJECT: &str = "Reject";
    pub const IRRELEVANT: &str = "Irrelevant";
    pub const NOT_UNDERSTOOD: &str = "NotUnderstood";
}

const DIGESTS: &[&str] = &[constants::NONE, "CRC32C"];
const REPORTING: &[&str] = &["RFC3720", "ResponseFence", "FastAbort"];
const SEGMENT: RangeInclusive<u32> = 512..=0xff_ffff;
const COUNT: RangeInclusive<u32> = 1..=65_535;
const SECONDS: RangeInclusive<u32> = 0..=3600;

/// All rows. A row that depends on others comes after them.
pub static KEYS: [Key; 35] = [
    security(names::AUTH_METHOD),
    security(names::CHAP_A),
    security(names::CHAP_I),
    security(names::CHAP_C),
    security(names::CHAP_N),
    security(names::CHAP_R),
    declared(names::INITIATOR_NAME, Use::InitializeOnly, Stages::Any, Senders::Initiator, 223),
    declared(names::INITIATOR_ALIAS, Use::All, Stages::Any, Senders::Initiator, 255),
    // Targets send it too, in answers to SendTargets, which are no negotiation.
    declared(names::TARGET_NAME, Use::InitializeOnly, Stages::Any, Senders::Initiator, 223),
    declared(names::TARGET_ALIAS, Use::All, Stages::Any, Senders::Target, 255),
    declared(names::TARGET_ADDRESS, Use::All, Stages::Any, Senders::Target, 255),
    declared(names::TARGET_PORTAL_GROUP_TAG, Use::InitializeOnly, Stages::Any, Senders::Target, 255),
    declared(names::SESSION_TYPE, Use::LeadingOnly, Stages::Any, Senders::Initiator, 255),
    declared("X#NodeArchitecture", Use::LeadingOnly, Stages::Operational, Senders::Both, 255),
    Key {
        use_: Use::FullFeatureOnly,
        kind: Kind::Question,
        ..obsolete(names::SEND_TARGETS, Senders::Initiator)
    },
    digest(
        "HeaderDigest",
        |o| digest_wish(o.header_digest),
        |p| p.header_digest.into(),
        |p, i| p.header_digest = i == 1,
    ),
    digest(
        "DataDigest",
        |o| digest_wish(o.data_digest),
        |p| p.data_digest.into(),
        |p, i| p.data_digest = i == 1,
    ),
    Key {
        use_: Use::All,
        scope: Scope::Connection,
        kind: Kind::DeclaredNumber {
            range: SEGMENT,
            wish: |o| o.max_segment,
            store_local: |p, v| p.local_max_segment = v,
            store_peer: |p, v| p.peer_max_segment = v,
        },
        ..obsolete("MaxRecvDataSegmentLength", Senders::Both)
    },
    number(
        "MaxConnections",
        COUNT,
        |o| o.max_connections.into(),
        |p| p.max_connections.into(),
        |p, v| p.max_connections = v as u16,
    ),
    boolean(
        "InitialR2T",
        BooleanFunction::Or,
        |o| o.initial_r2t,
        |p| p.initial_r2t,
        |p, v| p.initial_r2t = v,
    ),
    boolean(
        "ImmediateData",
        BooleanFunction::And,
        |o| o.immediate_data,
        |p| p.immediate_data,
        |p, v| p.immediate_data = v,
    ),
    number("MaxBurstLength", SEGMENT, |o| o.max_burst, |p| p.max_burst, |p, v| p.max_burst = v),
    Key {
        kind: Kind::Number {
            range: SEGMENT,
            function: NumberFunction::Minimum,
            wish: |o| o.first_burst,
            bound: |p| p.max_burst,
            read: |p| p.first_burst,
            store: |p, v| p.first_burst = v,
        },
        ..leading("FirstBurstLength")
    },
    Key {
        in_discovery: InDiscovery::Used,
        if_silent: IfSilent::TakeDefault,
        kind: Kind::Number {
            range: SECONDS,
            function: NumberFunction::Maximum,
            wish: |o| o.time2wait.into(),
            bound: unbounded,
            read: |p| p.time2wait.into(),
            store: |p, v| p.time2wait = v as u16,
        },
        ..leading("DefaultTime2Wait")
    },
    Key {
        in_discovery: InDiscovery::Used,
        if_silent: IfSilent::TakeDefault,
        ..number(
            "DefaultTime2Retain",
            SECONDS,
            |o| o.time2retain.into(),
            |p| p.time2retain.into(),
            |p, v| p.time2retain = v as u16,
        )
    },
    boolean(
        "DataPDUInOrder",
        BooleanFunction::Or,
        |o| o.data_pdu_in_order,
        |p| p.data_pdu_in_order,
        |p, v| p.data_pdu_in_order = v,
    ),
    boolean(
        "DataSequenceInOrder",
        BooleanFunction::Or,
        |o| o.data_sequence_in_order,
        |p| p.data_sequence_in_order,
        |p, v| p.data_sequence_in_order = v,
    ),
    Key {
        // Level 0 is required in Discovery sessions, and the answer says so.
        in_discovery: InDiscovery::Used,
        ..number(
            "ErrorRecoveryLevel",
            0..=2,
            |o| o.error_recovery_level.into(),
            |p| p.error_recovery_level.into(),
            |p, v| p.error_recovery_level = v as u8,
        )
    },
    Key {
        kind: Kind::Number {
            range: COUNT,
            function: NumberFunction::Minimum,
            wish: |o| o.max_outstanding_r2t.into(),
            // RFC 7143 section 13.19.
            bound: |p| if p.error_recovery_level > 0 && p.data_sequence_in_order { 1 } else { u32::MAX },
            read: |p| p.max_outstanding_r2t.into(),
            store: |p, v| p.max_outstanding_r2t = v as u16,
        },
        ..leading("MaxOutstandingR2T")
    },
    Key {
        since: Since::Later,
        kind: Kind::List {
            choices: REPORTING,
            wish: |o| reporting_wish(o.task_reporting),
            read: |p| p.task_reporting as usize,
            store: |p, i| p.task_reporting = reporting(i),
        },
        ..leading("TaskReporting")
    },
    Key {
        since: Since::Later,
        ..number(
            "iSCSIProtocolLevel",
            0..=31,
            |o| o.protocol_level.into(),
            |p| p.protocol_level.into(),
            |p, v| p.protocol_level = v as u16,
        )
    },
    obsolete("IFMarker", Senders::Both),
    obsolete("OFMarker", Senders::Both),
    obsolete("IFMarkInt", Senders::Both),
    obsolete("OFMarkInt", Senders::Both),
];

const fn unbounded(_: &Parameters) -> u32 {
    u32::MAX
}

const fn obsolete(name: &'static str, senders: Senders) -> Key {
    Key {
        name,
        use_: Use::InitializeOnly,
        stages: Stages::Operational,
        senders,
        scope: Scope::Connection,
        in_discovery: InDiscovery::Used,
        if_silent: IfSilent::Propose,
        since: Since::Rfc3720,
        kind: Kind::Obsolete,
    }
}

const fn leading(name: &'static str) -> Key {
    Key {
        use_: Use::LeadingOnly,
        scope: Scope::Session,
        in_discovery: InDiscovery::Irrelevant,
        ..obsolete(name, Senders::Both)
    }
}

const fn security(name: &'static str) -> Key {
    Key { stages: Stages::Security, kind: Kind::Authentication, ..obsolete(name, Senders::Both) }
}

const fn declared(name: &'static str, use_: Use, stages: Stages, senders: Senders, max_len: usize) -> Key {
    Key { use_, stages, scope: Scope::Session, kind: Kind::Declared { max_len }, ..obsolete(name, senders) }
}

const fn boolean(
    name: &'static str,
    function: BooleanFunction,
    wish: fn(&Offer) -> bool,
    read: fn(&Parameters) -> bool,
    store: fn(&mut Parameters, bool),
) -> Key {
    Key { kind: Kind::Boolean { function, wish, read, store }, ..leading(name) }
}

/// All numerical keys but one take the minimum, and most depend on no other.
const fn number(
    name: &'static str,
    range: RangeInclusive<u32>,
    wish: fn(&Offer) -> u32,
    read: fn(&Parameters) -> u32,
    store: fn(&mut Parameters, u32),
) -> Key {
    let function = NumberFunction::Minimum;
    Key { kind: Kind::Number { range, function, wish, bound: unbounded, read, store }, ..leading(name) }
}

const fn digest(
    name: &'static str,
    wish: fn(&Offer) -> &'static [usize],
    read: fn(&Parameters) -> usize,
    store: fn(&mut Parameters, usize),
) -> Key {
    Key { kind: Kind::List { choices: DIGESTS, wish, read, store }, ..obsolete(name, Senders::Both) }
}

const fn digest_wish(offer: DigestOffer) -> &'static [usize] {
    match offer {
        DigestOffer::NoneOnly => &[0],
        DigestOffer::PreferNone => &[0, 1],
        DigestOffer::PreferCrc32c => &[1, 0],
        DigestOffer::Crc32cOnly => &[1],
    }
}

const fn reporting_wish(most: TaskReporting) -> &'static [usize] {
    match most {
        TaskReporting::Rfc3720 => &[0],
        TaskReporting::ResponseFence => &[1, 0],
        TaskReporting::FastAbort => &[2, 1, 0],
    }
}

const fn reporting(index: usize) -> TaskReporting {
    match index {
        2 => TaskReporting::FastAbort,
        1 => TaskReporting::ResponseFence,
        _ => TaskReporting::Rfc3720,
    }
}
