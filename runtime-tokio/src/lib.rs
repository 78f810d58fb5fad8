//! iSCSI targets on tokio: storage back ends over the protocol core `iscsicore`.
//!
//! [`backend`] holds the trait that storage implements and the back ends that come with the crate; [`submit`]
//! carries out what the disk asks for.

pub mod backend;
pub mod server;

mod clock;
mod seed;
mod submit;

pub use server::Server;
pub use submit::submit;
