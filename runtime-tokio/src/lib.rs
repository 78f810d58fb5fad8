//! iSCSI targets on tokio: storage back ends over the protocol core `iscsicore`.
//!
//! [`backend`] holds the trait that storage implements and the back ends that come with the crate; [`submit`]
//! carries out what the disk asks for.

pub mod backend;

mod submit;

pub use submit::submit;
