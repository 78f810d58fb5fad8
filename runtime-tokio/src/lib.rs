//! iSCSI on tokio, both ends of it: targets and initiators over the protocol core [`iscsicore`].
//!
//! [`Client`] is the initiator: it reads and writes a logical unit of a target, any number of commands at once, and comes
//! back by itself when the connection is lost. [`discover`] asks a portal for its targets. See [`client`].
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = iscsicore_tokio::Client::connect("iscsi://192.0.2.1/iqn.2026-01.com.example:disk/0").await?;
//! let block = disk.read(0, 1).await?;
//! # let _ = block;
//! # Ok(())
//! # }
//! ```
//!
//! [`Server`] serves disks: a builder, a listener, a session for each initiator, a graceful end. [`backend`] holds the
//! trait that storage implements and the back ends that come with the crate; [`submit`] carries out what a disk asks
//! for, for servers of another make.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use iscsicore_tokio::{Server, backend::MemoryBackend};
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = Server::builder();
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

pub mod client;
pub mod server;

mod clock;

pub use client::{Client, discover};
/// The protocol core, whose types stand in this interface.
pub use iscsicore;
pub use iscsicore_runtime::{backend, submit};
pub use server::Server;
