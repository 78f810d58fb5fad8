//! The iSCSI protocol (RFC 7143, RFC 7144) and a SCSI disk, as one pure state machine.
#![forbid(unsafe_code)]

pub mod disk;
pub mod error;
pub mod limits;
pub mod link;
pub mod login;
pub mod node;
pub mod scsi;
pub mod serve;
pub mod session;
pub mod target;
pub mod time;
pub mod wire;

mod data;

pub use data::DataList;
pub use error::{FrameError, Misuse, PeerError, TransportError};
pub use limits::Limits;
pub use time::Instant;
