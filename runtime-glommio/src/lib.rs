//! An iSCSI target server on glommio: one shard a core, each with its own io_uring, its own sessions and its own
//! listener. Linux only; elsewhere this crate is empty.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use iscsicore_glommio::{Server, Shards, backend::MemoryBackend};
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = Server::builder();
//! builder.runtime(Shards::new(2));
//! let unit = builder.disk("example-0", Arc::new(MemoryBackend::new(64 << 20)));
//! builder.target("iqn.2026-01.dev.iscsicore:example", &[unit])?;
//! let server = builder.serve("127.0.0.1:0".parse()?).await?;
//! println!("serving on {}", server.addresses()[0]);
//! for error in server.shutdown_within(Duration::from_secs(5)).await {
//!     eprintln!("{error}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The shards are threads of their own. The futures of this interface wait on no particular executor: whatever runs
//! them will do.
#![cfg(target_os = "linux")]

pub mod backend;

mod available;
mod shards;
mod stream;
mod timer;
mod wake;

/// The protocol core, whose types stand in this interface.
pub use iscsicore;
pub use iscsicore_runtime::server::{SessionReport, StartError};
pub use iscsicore_runtime::{server, submit};

pub use available::{Unavailable, available, start};
pub use shards::{End, Glommio, Shards};
pub use stream::{Listener, Stream};
pub use timer::Timer;

/// A server on glommio. See [`server::Server`].
pub type Server = server::Server<Glommio>;

/// Describes a [`Server`]. See [`server::Builder`].
pub type Builder = server::Builder<Glommio>;
