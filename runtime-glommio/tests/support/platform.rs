//! The runtime under test, for the suite that all of them pass.

pub(crate) use iscsicore_glommio::{Builder, Server, backend};
