//! What both roles share: state tables and the command window.

mod discovery;
mod fsm;
mod window;

use core::fmt;

pub use discovery::{SendTargets, TargetAddress, TargetRecord};
pub use fsm::{ConnEvent, ConnState, IllegalTransition, InitiatorConnEvent, InitiatorConnState};
pub use window::{Arrival, CommandWindow};

/// Names a connection of a session, as long as the session lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(crate) u32);

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({})", self.0)
    }
}
