//! A part of the suite of `runtime/suite`. A process of its own, as descriptors and threads are what is counted.
#![cfg(target_os = "linux")]

#[path = "support/platform.rs"]
mod platform;
#[path = "../../runtime/suite/support/mod.rs"]
mod support;

#[path = "../../runtime/suite/drops.rs"]
mod drops;
