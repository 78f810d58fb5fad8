//! The initiator of libiscsicore, called as C would call it, with a target in memory at the other end.

mod world;

mod connections;
mod reading;
mod requests;
mod writing;
