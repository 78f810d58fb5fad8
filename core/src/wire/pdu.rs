//! Any PDU of one direction.

/// A PDU that initiators send.
pub enum InitiatorPdu {}
/// A PDU that targets send.
pub enum TargetPdu {}
