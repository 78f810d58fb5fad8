//! What the suite needs.

pub(crate) mod initiator;
pub(crate) mod patient;
pub(crate) mod pipelined;
pub(crate) mod process;
pub(crate) mod seeded;
pub(crate) mod serving;
pub(crate) mod stops;
