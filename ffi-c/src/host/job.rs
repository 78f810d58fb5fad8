//! Jobs: what a host has to be done on the storage, and the table of those that C has.

use core::ffi::c_int;

use iscsicore::Instant;
use iscsicore::disk::{Op, Outcome};
use iscsicore::simple::{Job, Receipt};

use super::{HostState, iscsicore_host};
use crate::boundary::guard;
use crate::handle::lock;
use crate::op::{self, ShownOp, iscsicore_extent, iscsicore_op, iscsicore_op_kind};
use crate::payload::{self, iscsicore_payload};
use crate::pointer::out;
use crate::status::{Failure, iscsicore_status};

/// Something to be done on the storage of a unit.
///
/// It is the library's and lives, unchanged, until it is finished or its host is freed; any thread may read it and what its
/// pointers name meanwhile, also while the host is used.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_job {
    /// To be given to one of the functions iscsicore_host_finish.., once; never 0.
    pub id: u64,
    /// Whose storage: the number that iscsicore_host_config_add_unit told.
    pub unit: u32,
    /// What is to be done.
    pub op: iscsicore_op,
}

/// The jobs that C has, by their ids. The place of a job that is finished is used again, with another id.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place {
    /// The upper half of the id; never zero.
    generation: u32,
    /// Only while there is a job.
    receipt: Option<Receipt>,
    /// In a box because C has its address while the table grows. It is kept for the next job.
    shown: Box<Exhibit>,
}

/// What C sees, and what its pointers name.
#[derive(Debug)]
struct Exhibit {
    job: iscsicore_job,
    shown: ShownOp,
}

// SAFETY: the pointers in `job` are those of `shown`, which is `Send`.
unsafe impl Send for Exhibit {}

impl Exhibit {
    fn new() -> Self {
        let shown = ShownOp::new(Op::Flush);
        Exhibit { job: iscsicore_job { id: 0, unit: 0, op: shown.op }, shown }
    }

    /// Shows a job, in the memory that there is.
    fn replace(&mut self, id: u64, unit: u32, op: Op) {
        self.shown.replace(op);
        self.job = iscsicore_job { id, unit, op: self.shown.op };
    }
}

impl Jobs {
    /// Keeps a job; the address of what C sees of it holds until it is taken.
    fn insert(&mut self, job: Job) -> *const iscsicore_job {
        let Job { unit, op, receipt } = job;
        let index = self.free.pop().unwrap_or_else(|| {
            let shown = Box::new(Exhibit::new());
            self.places.push(Place { generation: 1, receipt: None, shown });
            // One for each command that is outstanding: sessions times queue depth.
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        let id = (u64::from(place.generation) << 32) | u64::from(index);
        place.shown.replace(id, unit.0, op);
        place.receipt = Some(receipt);
        &raw const place.shown.job
    }

    fn index(&self, id: u64) -> Result<usize, Failure> {
        let (generation, index) = ((id >> 32) as u32, id as u32 as usize);
        let place = self.places.get(index);
        let there = place.is_some_and(|place| place.generation == generation && place.receipt.is_some());
        if there {
            Ok(index)
        } else {
            Err(Failure::unknown("there is no such job: it was finished, or never was"))
        }
    }

    /// What a job asks for.
    fn op(&self, id: u64) -> Result<&iscsicore_op, Failure> {
        Ok(&self.places[self.index(id)?].shown.job.op)
    }

    /// Ends a job; what its pointers named is gone.
    fn take(&mut self, id: u64) -> Result<Receipt, Failure> {
        let index = self.index(id)?;
        let place = &mut self.places[index];
        let receipt = place.receipt.take().ok_or_else(|| Failure::unknown("there is no such job"))?;
        place.shown.replace(0, 0, Op::Flush);
        place.generation = place.generation.checked_add(1).unwrap_or(1);
        self.free.push(index as u32);
        Ok(receipt)
    }
}

/// Tells the next job, or NULL when there is none now. Jobs may be done in any order, at the same time, on any thread; every
/// one is to be finished, whatever becomes of its connection: its command, and the end of its session, wait for it.
///
/// When finished, its command may go on with another job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_next_job(
    host: *mut iscsicore_host,
    job: *mut *const iscsicore_job,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut host, place) = unsafe { (lock(host)?, out(job, "job")?) };
        place.set(host.next_job());
        Ok(())
    })
}

/// Finishes a job without data: any that failed, and any that is done but ISCSICORE_OP_KIND_READ and
/// ISCSICORE_OP_KIND_EXTENTS. `io` is an iscsicore_io; `at` is the offset in bytes at which the medium failed, with
/// ISCSICORE_IO_MEDIUM_ERROR.
///
/// A write is done when its data can no longer change under it: the library gives the memory up in this call.
///
/// Errors, after which the job is as it was: ISCSICORE_STATUS_UNKNOWN for a job that was finished.
/// ISCSICORE_STATUS_INVALID_ARGUMENT for an `io` that is none, or does not fit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_finish(
    host: *mut iscsicore_host,
    now: u64,
    job: u64,
    io: c_int,
    at: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut host = unsafe { lock(host) }?;
        let outcome = op::outcome(io, at, host.jobs.op(job)?)?;
        host.finish(now, job, outcome)
    })
}

/// Finishes ISCSICORE_OP_KIND_READ with the bytes that were read, exactly as many as `len` said. Lent memory is used until it
/// has been transmitted, and then released, possibly long after this call; it is released, too, when the connection ends.
///
/// Errors, after which the job is as it was and nothing was lent: ISCSICORE_STATUS_UNKNOWN for a job that was finished.
/// ISCSICORE_STATUS_INVALID_ARGUMENT for a wrong number of bytes, or a job that reads nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_finish_read(
    host: *mut iscsicore_host,
    now: u64,
    job: u64,
    data: *const iscsicore_payload,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut host = unsafe { lock(host) }?;
        let asked = host.jobs.op(job)?;
        if asked.kind != iscsicore_op_kind::Read {
            return Err(Failure::invalid("the operation is not ISCSICORE_OP_KIND_READ"));
        }
        // SAFETY: as above.
        let data = unsafe { payload::read(data) }?;
        if data.len() as u64 != asked.len {
            let message = format!("{} bytes for a read of {}", data.len(), asked.len);
            return Err(Failure::invalid(message));
        }
        host.finish(now, job, Outcome::Data(data.keep()))
    })
}

/// Finishes ISCSICORE_OP_KIND_EXTENTS with consecutive extents from the offset of the operation on. They may end before its
/// range does; none at all says that everything is mapped.
///
/// Errors, after which the job is as it was: ISCSICORE_STATUS_UNKNOWN for a job that was finished.
/// ISCSICORE_STATUS_INVALID_ARGUMENT for a job that asks for no extents.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_finish_extents(
    host: *mut iscsicore_host,
    now: u64,
    job: u64,
    extents: *const iscsicore_extent,
    count: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut host = unsafe { lock(host) }?;
        let asked = host.jobs.op(job)?;
        // SAFETY: as above.
        let outcome = unsafe { op::extents(extents, count, asked) }?;
        host.finish(now, job, outcome)
    })
}

impl HostState {
    /// The next job, as C sees it; NULL for none.
    pub(crate) fn next_job(&mut self) -> *const iscsicore_job {
        self.host.poll_job().map_or(core::ptr::null(), |job| self.jobs.insert(job))
    }

    fn finish(&mut self, now: u64, job: u64, outcome: Outcome) -> Result<(), Failure> {
        let receipt = self.jobs.take(job)?;
        self.host.finish(Instant::from_nanos(now), receipt, outcome);
        Ok(())
    }
}
