//! A part of the suite of `runtime/suite`: what sessions of several shards have to do with each other.
#![cfg(target_os = "linux")]

#[path = "support/platform.rs"]
mod platform;
#[path = "../../runtime/suite/support/mod.rs"]
mod support;

#[path = "../../runtime/suite/across.rs"]
mod across;
#[path = "../../runtime/suite/ends.rs"]
mod ends;
#[path = "../../runtime/suite/pings.rs"]
mod pings;
#[path = "../../runtime/suite/placement.rs"]
mod placement;
#[path = "../../runtime/suite/storm.rs"]
mod storm;
#[path = "../../runtime/suite/wakes.rs"]
mod wakes;
