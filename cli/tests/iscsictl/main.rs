//! The program as its users start it, against a server in this process.
#![cfg(unix)]

mod bench;
mod capture;
mod copy;
mod copy_interrupted;
mod copy_outage;
mod copy_refused;
mod io;
mod reservations;
mod session;
mod support;
mod watch;
