//! A SCSI disk without storage: the device server of SPC-4 and SBC-3 as a pure state machine.
//!
//! [`LogicalUnit::start`] takes a command of one I_T nexus and says in a [`Step`] what is to be done: deliver a
//! [`Reply`], fetch the command's data, or carry out an [`Op`] on the storage. The caller does it and comes back with
//! [`LogicalUnit::resume`] and the [`Task`] until the step is [`Step::Done`]. Every chain of steps is finite, every
//! operation is bounded, lies within the capacity, and stands in bytes.
//!
//! ```
//! use bytes::Bytes;
//! use iscsicore::disk::*;
//! use iscsicore::scsi::Cdb;
//! use iscsicore::wire::TaskAttribute;
//!
//! /// Runs one command on a disk whose blocks are in memory.
//! fn run(unit: &mut LogicalUnit, blocks: &mut [u8], nexus: NexusId, request: &Request<'_>, data_out: &[u8]) -> Reply {
//!     let mut step = unit.start(nexus, request);
//!     loop {
//!         step = match step {
//!             Step::Done(reply) => return reply,
//!             Step::NeedData { len, task } => {
//!                 let data = &data_out[..data_out.len().min(len as usize)];
//!                 unit.resume(task, Resume::Data(Bytes::copy_from_slice(data).into()))
//!             }
//!             Step::Io { op, task } => {
//!                 let outcome = match op {
//!                     Op::Read { offset, len } => {
//!                         let at = offset as usize;
//!                         Outcome::Data(Bytes::copy_from_slice(&blocks[at..at + len as usize]).into())
//!                     }
//!                     Op::Write { offset, data, .. } => {
//!                         let at = offset as usize;
//!                         blocks[at..at + data.len()].copy_from_slice(&data.to_bytes());
//!                         Outcome::Done
//!                     }
//!                     Op::Flush => Outcome::Done,
//!                     _ => Outcome::Failed(IoError::Unsupported),
//!                 };
//!                 unit.resume(task, Resume::Io(outcome))
//!             }
//!         }
//!     }
//! }
//!
//! let mut unit = LogicalUnit::new(UnitConfig::new("disk-1", BlockSize::B512, 8));
//! let (me, mut blocks) = (NexusId(1), vec![0; 8 * 512]);
//! let write = Cdb::from_slice(&[0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0]).unwrap();
//! let request = Request { cdb: &write, data_in: 0, data_out: 512, attribute: TaskAttribute::Simple };
//! assert!(run(&mut unit, &mut blocks, me, &request, &[7; 512]).response.is_good());
//! assert_eq!(blocks[3 * 512..4 * 512], [7; 512]);
//! ```
//!
//! Almost every command leaves alone what the nexuses share. Such a command can be decided by a [`View`] just as well,
//! an immutable copy of what one nexus sees: a server of many threads keeps the unit behind a lock, and takes that only
//! for the others. The reasoning why no command sees too old a state stands at the head of the view's source.
//!
//! Checks come in this order, and what joins later (reservations, asymmetric access) has its place in it: operation
//! code known, unit attention, *conflict*, bits outside the CDB usage map, ready, write protection, then the fields.

// References that can be shared between threads are all that the core takes from `sync`.
extern crate alloc;

mod blocks;
mod capacity;
mod config;
mod inquiry;
mod lba_status;
mod luns;
mod mode_select;
mod mode_sense;
mod nexus;
mod power;
mod read_write;
mod resume;
mod step;
mod supported;
mod sync;
mod table;
mod unit;
mod unmap;
mod verify;
mod view;
mod write_same;

pub use config::{BlockSize, Naa, Provisioning, TargetPort, TaskFunctions, UnitConfig};
pub use luns::{absent_unit, report_luns};
pub use nexus::{AttachReason, NexusAccess, NexusId, ResetCause};
pub use step::{Allocation, IoError, Op, Outcome, Reply, Request, Resume, Step, Task};
pub use unit::LogicalUnit;
pub use view::View;
