//! What iSCSI servers share, whatever runtime they are on: storage, sessions, and everything between sessions.
//!
//! A runtime brings what [`Runtime`] asks for: sockets, a timer, tasks, and one or more shards to put them on. The
//! crates `iscsicore-tokio` and `iscsicore-glommio` are two of them, and re-export what their users need from here.
//!
//! - [`backend`]: the trait that storage implements, and back ends for any runtime;
//! - [`submit`]: carries out on a back end what a disk asks for;
//! - [`server`]: a server, described step by step and then started on a runtime.

pub mod backend;
pub mod clock;
pub mod server;

mod runtime;
mod seed;
mod submit;

/// The protocol core, whose types stand in this interface.
pub use iscsicore;
pub use runtime::{Errand, Job, Listener, Runtime, Stream, Timer};
pub use seed::seed;
pub use socket2;
pub use submit::submit;
