//! What SendTargets asks for and brings: RFC 7143 appendix C.

/// Which targets an initiator asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SendTargets {
    /// All that it may use.
    All,
    /// The one of this name.
    Named(String),
    /// The one of this session.
    Current,
}

/// One target in the answer to a [`SendTargets`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetRecord {
    /// The iSCSI name.
    pub name: String,
    /// Where it can be reached; empty when it is where the question was asked.
    pub addresses: Vec<TargetAddress>,
}

/// A network portal of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetAddress {
    /// `host:port`, an IPv6 address in brackets.
    pub address: String,
    /// The portal group that it belongs to.
    pub portal_group_tag: u16,
}
