//! The disk as its callers see it: commands in, operations on a store in memory, replies out.

mod blocks;
mod fuzz;
mod information;
mod itl_nexus;
mod lba_status;
mod modes;
mod provisioning;
mod rig;
mod states;
mod supported;
mod verify;
mod views;
