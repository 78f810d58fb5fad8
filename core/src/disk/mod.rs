//! A SCSI disk without storage: the device server of SPC-4 and SBC-3 as a pure state machine.
//!
//! [`LogicalUnit::start`] takes a command of one I_T nexus and says in a [`Step`] what is to be done: deliver a
//! [`Reply`], fetch the command's data, or carry out an [`Op`] on the storage. The caller does it and comes back with
//! [`LogicalUnit::resume`] and the [`Task`] until the step is [`Step::Done`]. Every chain of steps is finite, every
//! operation is bounded, lies within the capacity, and stands in bytes.
//!
//! Checks come in this order, and what joins later (reservations, asymmetric access) has its place in it: operation
//! code known, unit attention, *conflict*, bits outside the CDB usage map, ready, write protection, then the fields.

mod blocks;
mod capacity;
mod config;
mod inquiry;
mod luns;
mod mode_select;
mod mode_sense;
mod nexus;
mod power;
mod read_write;
mod step;
mod supported;
mod sync;
mod table;
mod unit;
mod unmap;
mod verify;
mod write_same;

pub use config::{BlockSize, Naa, Provisioning, TargetPort, TaskFunctions, UnitConfig};
pub use luns::{absent_unit, report_luns};
pub use nexus::{AttachReason, NexusId, ResetCause};
pub use step::{IoError, Op, Outcome, Reply, Request, Resume, Step, Task};
pub use unit::LogicalUnit;
