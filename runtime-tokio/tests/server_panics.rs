//! A part of the suite of `runtime/suite`. A process of its own, as descriptors and memory are what is measured.
#![cfg(target_os = "linux")]

#[path = "support/platform.rs"]
mod platform;
#[path = "../../runtime/suite/support/mod.rs"]
mod support;

#[path = "../../runtime/suite/panics.rs"]
mod panics;
