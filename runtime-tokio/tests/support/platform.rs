//! The runtime under test, for the suite that all of them pass.

pub(crate) use iscsicore_tokio::server::Builder;
pub(crate) use iscsicore_tokio::{Server, backend};
