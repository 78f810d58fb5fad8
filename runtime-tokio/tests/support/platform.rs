//! The runtime under test, for the suite that all of them pass.

pub(crate) use iscsicore_tokio::server::Builder;
pub(crate) use iscsicore_tokio::{Server, backend};

/// Asks for so many shards: this runtime counts as one, whatever threads it has.
#[allow(dead_code, reason = "each test program uses a part")]
pub(crate) fn set_shards(_: &mut Builder, _: usize) {}

/// Descriptors that every shard leaves behind when it ends.
#[allow(dead_code, reason = "each test program uses a part")]
pub(crate) const DESCRIPTORS_LEFT: usize = 0;
