//! The iSCSI protocol (RFC 7143, with the updates of RFC 7144) and a SCSI disk, as one pure state machine.
//!
//! Nothing here does I/O, reads a clock, starts a thread or takes a lock: bytes, time and a seed come in as arguments,
//! bytes, events and a deadline go out. An *adapter* binds that to sockets and storage; `iscsicore-tokio` is one, `iscsicore-glommio`
//! another.
//!
//! # Where to start
//!
//! - A program with one owner for everything, or one lock: [`simple::Host`] is a whole server in one value, with logins,
//!   sessions and resets over all of them. Bytes go in and out, and jobs for the storage.
//! - Many threads, or rules of your own: [`target::Target`] is one session, [`serve::Service`] carries its commands out
//!   on [`disk::LogicalUnit`]s, and [`node`] decides who may log in where. The loop below is the smallest use of them.
//! - tokio: the crate `iscsicore-tokio` has it all, down to the storage. glommio: `iscsicore-glommio` has the server.
//!
//! # The contract
//!
//! A connection begins as a [`target::Incoming`]; when its login is complete it becomes a [`target::Target`], which is
//! driven like this: **after any call on it, drain `poll_event`, `transmit` every connection, and re-arm a timer for
//! `poll_timeout`. The order does not matter, and doing it too often is harmless.** That a transmitter was emptied
//! counts as a call: a session that waited for room goes on with the next `transmit` and `receive`.
//!
//! The bytes of a connection go through two halves that know no protocol state: [`link::Receiver`] says where the
//! next read may land, [`link::Transmitter`] is a [`bytes::Buf`] to be written.
//!
//! # The whole loop
//!
//! One connection of a disk in memory, on a blocking socket, with nothing but this crate:
//!
//! ```no_run
//! use std::cell::RefCell;
//! use std::io::{Read, Write};
//! use bytes::{Buf, Bytes};
//! use iscsicore::disk::{Allocation, AttachReason, BlockSize, LogicalUnit, NexusId, Op, Outcome, UnitConfig};
//! use iscsicore::link::{Receiver, Transmitter, Want};
//! use iscsicore::login::{Admission, Authentication, Offer};
//! use iscsicore::node::{LunMap, UnitAccess, UnitId};
//! use iscsicore::serve::{Handled, Service, Units};
//! use iscsicore::target::{Event, Incoming, IncomingEvent, Target};
//! use iscsicore::wire::{TaskManagementResult, Tsih};
//! use iscsicore::{DataList, Instant, Limits};
//!
//! struct OneUnit(RefCell<LogicalUnit>);
//! impl Units for OneUnit {
//!     fn with_unit<R>(&self, _: UnitId, f: impl FnOnce(&mut LogicalUnit) -> R) -> Option<R> {
//!         Some(f(&mut self.0.borrow_mut()))
//!     }
//! }
//!
//! fn carry_out(disk: &mut [u8], op: Op) -> Outcome {
//!     match op {
//!         Op::Read { offset, len } => {
//!             let bytes = &disk[offset as usize..][..len as usize];
//!             Outcome::Data(DataList::from(Bytes::copy_from_slice(bytes)))
//!         }
//!         Op::Write { offset, data, .. } => {
//!             disk[offset as usize..][..data.len()].copy_from_slice(&data.to_bytes());
//!             Outcome::Done
//!         }
//!         Op::WriteZeroes { offset, len, .. } => {
//!             disk[offset as usize..][..len as usize].fill(0);
//!             Outcome::Done
//!         }
//!         Op::Flush | Op::Unmap { .. } => Outcome::Done,
//!         Op::Extents { len, .. } => Outcome::Extents(vec![(len, Allocation::Mapped)]),
//!     }
//! }
//!
//! /// Reads once; whether there was anything to read.
//! fn read(stream: &mut impl Read, rx: &mut Receiver) -> Result<bool, Box<dyn std::error::Error>> {
//!     let Want::Read { staging, .. } = rx.want() else { return Ok(true) };
//!     let len = stream.read(staging)?;
//!     rx.advance(&[], len)?;
//!     Ok(len > 0)
//! }
//!
//! fn write(stream: &mut impl Write, tx: &mut Transmitter) -> std::io::Result<()> {
//!     while tx.has_remaining() {
//!         let len = stream.write(tx.chunk())?;
//!         tx.advance(len);
//!     }
//!     Ok(())
//! }
//!
//! fn serve(
//!     mut stream: impl Read + Write,
//!     clock: impl Fn() -> Instant,
//!     seed: [u8; 32],
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let limits = Limits::default();
//!     let (mut rx, mut tx) = (Receiver::new(&limits), Transmitter::new());
//!
//!     // The login: who may do what is decided at Hello, which session it becomes at Ready.
//!     let mut incoming = Incoming::new(limits, seed, clock());
//!     loop {
//!         incoming.receive(clock(), &mut rx)?;
//!         match incoming.poll_event() {
//!             Some(IncomingEvent::Hello(_)) => incoming.admit(Admission {
//!                 authentication: Authentication::None,
//!                 offer: Offer::default(),
//!                 portal_group_tag: Some(1),
//!                 target_alias: None,
//!             })?,
//!             Some(IncomingEvent::Ready) => break,
//!             None if incoming.is_closing() => return Ok(()),
//!             None => {
//!                 incoming.transmit(clock(), &mut tx);
//!                 write(&mut stream, &mut tx)?;
//!                 if !read(&mut stream, &mut rx)? {
//!                     return Ok(());
//!                 }
//!             }
//!         }
//!     }
//!
//!     // The session.
//!     let mut disk = vec![0; 16 << 20];
//!     let config = UnitConfig::new("serial-0", BlockSize::B512, disk.len() as u64 / 512);
//!     let unit = OneUnit(RefCell::new(LogicalUnit::new(config)));
//!     unit.0.borrow_mut().attach(NexusId(1), AttachReason::New);
//!     let mut luns = LunMap::new();
//!     luns.insert(0, UnitId(0), UnitAccess::ReadWrite)?;
//!     let mut service = Service::new(NexusId(1), luns);
//!     let (mut target, conn) = Target::new(incoming, Tsih(1), clock())?;
//!     loop {
//!         let received = target.receive(clock(), conn, &mut rx);
//!         while let Some(event) = target.poll_event() {
//!             match service.handle(&mut target, &unit, event) {
//!                 Handled::Done => {}
//!                 Handled::Work(work) => {
//!                     let mut next = Some(work);
//!                     while let Some(work) = next {
//!                         let outcome = carry_out(&mut disk, work.op);
//!                         next = service.finish(&mut target, &unit, work.ticket, outcome);
//!                     }
//!                 }
//!                 // A server with several sessions resets units and aborts over all of them: see `simple::Host`.
//!                 Handled::Other(Event::TaskManagement(tmf)) => {
//!                     target.answer_task_management(tmf.request, TaskManagementResult::NotSupported)?;
//!                 }
//!                 Handled::Other(Event::SendTargets { request, .. }) => {
//!                     target.answer_send_targets(request, &[])?;
//!                 }
//!                 Handled::Other(Event::Close(_) | Event::Ended(_)) => {
//!                     target.transmit(clock(), conn, &mut tx);
//!                     return Ok(write(&mut stream, &mut tx)?);
//!                 }
//!                 Handled::Other(_) => {}
//!             }
//!         }
//!         target.transmit(clock(), conn, &mut tx);
//!         write(&mut stream, &mut tx)?;
//!         // Only now: the answer to what was wrong has been sent.
//!         received?;
//!         // A real adapter waits for the socket and for `poll_timeout` together.
//!         if target.poll_timeout().is_some_and(|at| at <= clock()) {
//!             target.handle_timeout(clock());
//!         }
//!         if !read(&mut stream, &mut rx)? {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```
//!
//! # Errors
//!
//! An error names the guilty: [`Misuse`] the caller, [`PeerError`] the peer (the answer to it, where there is one, is
//! queued: flush, then close), [`TransportError`] the wire, as the adapter saw it. Bytes from a peer never make this
//! crate panic, loop, or hold more than [`Limits`] allows.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

pub mod disk;
pub mod error;
pub mod initiator;
pub mod limits;
pub mod link;
pub mod login;
pub mod nexus;
pub mod node;
pub mod scsi;
pub mod serve;
pub mod session;
pub mod simple;
pub mod target;
pub mod time;
pub mod wire;

mod data;

pub use data::DataList;
pub use error::{FrameError, Misuse, PeerError, TransportError};
pub use limits::Limits;
pub use time::Instant;
