//! The runtime under test, for the suite that all of them pass.

pub(crate) use iscsicore_glommio::{Builder, Server, backend};

/// Asks for so many shards.
#[allow(dead_code, reason = "each test program uses a part")]
pub(crate) fn set_shards(builder: &mut Builder, count: usize) {
    builder.runtime(iscsicore_glommio::Shards::new(count));
}

/// Descriptors that every shard leaves behind when it ends: glommio 0.9 never closes the eventfd of an executor that has
/// run.
#[allow(dead_code, reason = "each test program uses a part")]
pub(crate) const DESCRIPTORS_LEFT: usize = 1;
