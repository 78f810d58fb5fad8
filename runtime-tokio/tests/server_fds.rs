//! A part of the suite of `runtime/suite`. A process of its own, as the limit is the process's.
#![cfg(target_os = "linux")]

#[path = "support/platform.rs"]
mod platform;
#[path = "../../runtime/suite/support/mod.rs"]
mod support;

#[path = "../../runtime/suite/fds.rs"]
mod fds;
