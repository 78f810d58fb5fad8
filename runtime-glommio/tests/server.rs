//! The suite of `runtime/suite`, which every runtime passes.
#![cfg(target_os = "linux")]

#[path = "support/platform.rs"]
mod platform;
#[path = "../../runtime/suite/support/mod.rs"]
mod support;

#[path = "../../runtime/suite/crowds.rs"]
mod crowds;
#[path = "../../runtime/suite/hostile_load.rs"]
mod hostile_load;
#[path = "../../runtime/suite/hostile_login.rs"]
mod hostile_login;
#[path = "../../runtime/suite/hostile_pdus.rs"]
mod hostile_pdus;
#[path = "../../runtime/suite/hostile_scsi.rs"]
mod hostile_scsi;
#[path = "../../runtime/suite/io.rs"]
mod io;
#[path = "../../runtime/suite/management.rs"]
mod management;
#[path = "../../runtime/suite/sessions.rs"]
mod sessions;
