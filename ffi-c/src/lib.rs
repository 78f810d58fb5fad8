//! `libiscsicore`: the C ABI of `iscsicore`.
//!
//! What C programmers read is `include/iscsicore.h`, which is generated from the documentation here; what is written for
//! them stands there. This page is for those who change the code.
//!
//! - *A function* is `pub unsafe extern "C" fn` with `#[unsafe(no_mangle)]`, takes handles and values first and pointers
//!   for results last, and returns `status::iscsicore_status`. Its body is one call of `boundary::guard`, which turns a
//!   panic into a status and keeps the words of an error for `iscsicore_error_message`.
//! - *A handle* is a struct with one `handle::Handle` in it. `handle::lock` checks the pointer and takes the handle for
//!   the time of the call: a second thread, or a callback that calls back, gets a status.
//! - *A pointer* is read by the functions of `pointer`, a struct of options by `options::read`, payload by
//!   `payload`. Nothing else dereferences what C gave.
//! - *An enum* that C hands in is an `int`, one that it gets is a `#[repr(C)]` enum.
//! - Names of types are those of C, hence the lower case.
#![allow(rustdoc::broken_intra_doc_links, reason = "comments are plain text, as the header has them")]
#![allow(non_camel_case_types, reason = "the names are those that C programs use")]
#![allow(clippy::missing_safety_doc, reason = "the rules for all functions stand at the head of the header")]

pub mod address;
pub mod allocator;
pub mod codes;
pub mod command;
pub mod host;
pub mod limits;
pub mod link;
pub mod lun;
pub mod nexus;
pub mod op;
pub mod payload;
pub mod scsi;
pub mod simple;
pub mod status;
pub mod target;
pub mod unit;
pub mod unit_options;

mod boundary;
mod handle;
mod options;
mod pointer;
