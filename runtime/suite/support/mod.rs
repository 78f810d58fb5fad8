//! What the suite needs.

pub(crate) mod initiator;
pub(crate) mod serving;
