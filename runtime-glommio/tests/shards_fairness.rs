//! A part of the suite of `runtime/suite`. A process of its own, as it measures time under load.
#![cfg(target_os = "linux")]

#[path = "support/platform.rs"]
mod platform;
#[path = "../../runtime/suite/support/mod.rs"]
mod support;

#[path = "../../runtime/suite/fairness.rs"]
mod fairness;
