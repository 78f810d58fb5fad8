//! Storage: everything of `iscsicore_runtime::backend`, and files through io_uring.
//!
//! [`UringFile`] works through the page cache: what that has is answered at once, and what it lacks is read by io_uring.
//! [`DirectFile`] goes past it (`O_DIRECT`). Both are opened with [`FileOptions`], have the semantics of [`FileBackend`]
//! and can be used from any thread; only on a shard do they use its io_uring, elsewhere threads.
//!
//! ```no_run
//! use iscsicore_glommio::backend::{Direct, DirectFile, FileOptions, Uring, UringFile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cached: UringFile = FileOptions::new().size(64 << 20).open_with::<Uring>("cached.img")?;
//! // A file system without direct I/O says so here.
//! let direct: DirectFile = FileOptions::new().size(64 << 20).open_with::<Direct>("direct.img")?;
//! # Ok(())
//! # }
//! ```
//!
//! An executor of glommio is a shard while its [`Files`] exist.

mod aligned;
mod direct;
mod handle;
mod shard;
mod stripes;
mod uring;

pub use iscsicore_runtime::backend::*;

pub use direct::Direct;
pub use shard::Files;
pub use uring::Uring;

/// A disk in a file or on a block device, through the page cache and io_uring. See [`Uring`].
pub type UringFile = FileBackend<Uring>;

/// A disk in a file or on a block device, past the page cache (`O_DIRECT`). See [`Direct`].
pub type DirectFile = FileBackend<Direct>;
