//! A server of the C functions, called as C would, and core's own initiator at the other end, in memory.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

pub(crate) mod client;

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::ffi::CString;
use std::sync::Arc;

use iscsicore_ffi::host::config::*;
use iscsicore_ffi::host::job::*;
use iscsicore_ffi::host::*;
use iscsicore_ffi::link::*;
use iscsicore_ffi::op::*;
use iscsicore_ffi::payload::{iscsicore_iovec, iscsicore_payload};
use iscsicore_ffi::status::iscsicore_error_message;
use iscsicore_ffi::unit_options::iscsicore_unit_options;

pub(crate) use client::Client;
pub(crate) use iscsicore_ffi::status::iscsicore_status as Status;

pub(crate) const TARGET: &str = "iqn.2001-04.com.example:disk";
pub(crate) const INITIATOR: &str = "iqn.2001-04.com.example:me";
pub(crate) const LOCAL: &CStr = c"192.0.2.1:3260";
pub(crate) const BLOCKS: u64 = 256;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Panics unless a call succeeded.
#[track_caller]
pub(crate) fn ok(status: Status) {
    assert_eq!(status, Status::Ok, "{}", message());
}

/// Why the last call that failed did so.
pub(crate) fn message() -> String {
    // SAFETY: a string until the next call that fails.
    unsafe { CStr::from_ptr(iscsicore_error_message()) }.to_str().unwrap().to_owned()
}

/// Asserts how a call failed, and that its words have `words` in them.
#[track_caller]
pub(crate) fn fails(status: Status, expected: Status, words: &str) {
    assert_eq!(status, expected);
    assert!(message().contains(words), "{:?} has no {words:?}", message());
}

/// Options of a unit that set what must be set.
pub(crate) fn unit_options(serial: &CStr) -> iscsicore_unit_options {
    // SAFETY: numbers and pointers, all of which may be zero.
    let mut options: iscsicore_unit_options = unsafe { core::mem::zeroed() };
    options.size = size_of::<iscsicore_unit_options>();
    options.serial = serial.as_ptr();
    options.blocks = BLOCKS;
    options
}

/// A configuration of the C functions.
pub(crate) struct Config(pub(crate) *mut iscsicore_host_config);

impl Config {
    pub(crate) fn new() -> Self {
        let mut config = null_mut();
        // SAFETY: a place for it.
        ok(unsafe { iscsicore_host_config_new(&raw mut config) });
        Config(config)
    }

    /// One target with one unit as LUN 0.
    pub(crate) fn simple() -> Self {
        let config = Config::new();
        assert_eq!(config.unit(&unit_options(c"serial-1")), 0);
        assert_eq!(config.target(TARGET), 0);
        ok(config.portal(0, 1, LOCAL));
        ok(config.lun(0, 0, 0));
        config
    }

    pub(crate) fn unit(&self, options: &iscsicore_unit_options) -> u32 {
        let mut unit = u32::MAX;
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_host_config_add_unit(self.0, options, &raw mut unit) });
        unit
    }

    pub(crate) fn target(&self, name: &str) -> u32 {
        let name = CString::new(name).unwrap();
        let mut target = u32::MAX;
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_host_config_add_target(self.0, name.as_ptr(), null(), &raw mut target) });
        target
    }

    pub(crate) fn portal(&self, target: u32, tag: u16, address: &CStr) -> Status {
        // SAFETY: all of it lives.
        unsafe { iscsicore_host_config_add_portal(self.0, target, tag, address.as_ptr(), null()) }
    }

    pub(crate) fn lun(&self, target: u32, lun: u16, unit: u32) -> Status {
        self.lun_for(target, None, lun, unit, 0)
    }

    pub(crate) fn lun_for(
        &self,
        target: u32,
        initiator: Option<&CStr>,
        lun: u16,
        unit: u32,
        access: c_int,
    ) -> Status {
        let initiator = initiator.map_or(null(), CStr::as_ptr);
        // SAFETY: all of it lives.
        unsafe { iscsicore_host_config_add_lun(self.0, target, initiator, lun, unit, access) }
    }

    /// Makes a host; `None` for NULL.
    pub(crate) fn host(&self) -> (Status, *mut iscsicore_host) {
        let mut host = core::ptr::dangling_mut();
        // SAFETY: the configuration lives, and a place for the host.
        let status = unsafe { iscsicore_host_new(self.0, &raw mut host) };
        (status, host)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: not used any more.
        ok(unsafe { iscsicore_host_config_free(self.0) });
    }
}

/// Memory that is lent, and counts when it is given back.
struct Loan {
    data: Vec<u8>,
    released: Arc<AtomicUsize>,
}

unsafe extern "C" fn release(context: *mut c_void) {
    // SAFETY: `lend` made it, and this is called once.
    let loan = unsafe { Box::from_raw(context.cast::<Loan>()) };
    loan.released.fetch_add(1, Ordering::Relaxed);
}

/// A host, its disk, and a counter of loans that have come back.
pub(crate) struct Server {
    pub(crate) host: *mut iscsicore_host,
    pub(crate) now: u64,
    pub(crate) disk: Vec<u8>,
    pub(crate) seen: Vec<iscsicore_op_kind>,
    /// What becomes of every job, if it is not carried out.
    pub(crate) failure: Option<(c_int, u64)>,
    pub(crate) lent: usize,
    released: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn new(config: &Config) -> Self {
        let (status, host) = config.host();
        ok(status);
        Server {
            host,
            now: SECOND,
            disk: vec![0; (BLOCKS * 512) as usize],
            seen: Vec::new(),
            failure: None,
            lent: 0,
            released: Arc::default(),
        }
    }

    pub(crate) fn released(&self) -> usize {
        self.released.load(Ordering::Relaxed)
    }

    /// The next job, as C sees it.
    pub(crate) fn next_job(&self) -> Option<&'static iscsicore_job> {
        let mut job = core::ptr::dangling();
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_host_next_job(self.host, &raw mut job) });
        // SAFETY: NULL, or a job until it is finished; tests look at none after that.
        unsafe { job.as_ref() }
    }

    pub(crate) fn finish(&self, job: u64, io: c_int, at: u64) -> Status {
        // SAFETY: the host lives.
        unsafe { iscsicore_host_finish(self.host, self.now, job, io, at) }
    }

    /// Finishes a read with `data`, lent in two slices.
    pub(crate) fn finish_read(&mut self, job: u64, data: Vec<u8>) -> Status {
        let loan = Box::into_raw(Box::new(Loan { data, released: self.released.clone() }));
        // SAFETY: it was made just now.
        let data = unsafe { &mut (*loan).data };
        let third = data.len() / 3;
        let (first, second) = data.split_at_mut(third);
        let slices = [first, second]
            .map(|part| iscsicore_iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() });
        let payload = iscsicore_payload {
            slices: slices.as_ptr(),
            count: slices.len(),
            release: Some(release),
            context: loan.cast(),
        };
        // SAFETY: the memory lives until `release`.
        let status = unsafe { iscsicore_host_finish_read(self.host, self.now, job, &payload) };
        match status {
            Status::Ok => self.lent += 1,
            // SAFETY: it was not taken, so it is still ours.
            _ => drop(unsafe { Box::from_raw(loan) }),
        }
        status
    }

    /// Carries out all jobs that there are.
    pub(crate) fn work(&mut self) -> bool {
        let mut any = false;
        while let Some(job) = self.next_job() {
            any = true;
            self.carry_out(job);
        }
        any
    }

    pub(crate) fn carry_out(&mut self, job: &iscsicore_job) {
        let op = &job.op;
        self.seen.push(op.kind);
        if let Some((io, at)) = self.failure {
            return ok(self.finish(job.id, io, at));
        }
        let range = op.offset as usize..(op.offset + op.len) as usize;
        match op.kind {
            iscsicore_op_kind::Read => {
                let data = self.disk[range].to_vec();
                return ok(self.finish_read(job.id, data));
            }
            iscsicore_op_kind::Write => {
                // SAFETY: `data_count` slices, until the job is finished.
                let slices = unsafe { core::slice::from_raw_parts(op.data, op.data_count) };
                let bytes = slices.iter().flat_map(|slice| {
                    // SAFETY: as above.
                    unsafe { core::slice::from_raw_parts(slice.iov_base.cast::<u8>(), slice.iov_len) }
                });
                let bytes: Vec<u8> = bytes.copied().collect();
                self.disk[range].copy_from_slice(&bytes);
            }
            iscsicore_op_kind::WriteZeroes => self.disk[range].fill(0),
            _ => {}
        }
        ok(self.finish(job.id, iscsicore_io::Done as c_int, 0));
    }

    pub(crate) fn timeout(&self) -> u64 {
        let mut at = 0;
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_host_timeout(self.host, &raw mut at) });
        at
    }

    pub(crate) fn session_count(&self) -> usize {
        let mut count = usize::MAX;
        // SAFETY: all of it lives.
        ok(unsafe { session::iscsicore_host_session_count(self.host, &raw mut count) });
        count
    }

    pub(crate) fn next_wake(&self) -> u64 {
        let mut link = u64::MAX;
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_host_next_wake(self.host, &raw mut link) });
        link
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: not used any more.
        ok(unsafe { iscsicore_host_free(self.host) });
    }
}

/// The server's side of a connection.
pub(crate) struct Wire {
    pub(crate) link: u64,
    pub(crate) rx: *mut iscsicore_receiver,
    pub(crate) tx: *mut iscsicore_transmitter,
}

impl Wire {
    pub(crate) fn new(server: &Server) -> Result<Self, Status> {
        let mut link = 0;
        let (host, seed) = (server.host, [7u8; 32]);
        // SAFETY: all of it lives.
        let status =
            unsafe { iscsicore_host_connect(host, server.now, LOCAL.as_ptr(), seed.as_ptr(), &raw mut link) };
        if status != Status::Ok {
            return Err(status);
        }
        let (mut rx, mut tx) = (null_mut(), null_mut());
        // SAFETY: places for them.
        ok(unsafe { iscsicore_receiver_new(null(), &raw mut rx) });
        // SAFETY: as above.
        ok(unsafe { iscsicore_transmitter_new(&raw mut tx) });
        Ok(Wire { link, rx, tx })
    }

    pub(crate) fn receive(&self, server: &Server) -> Status {
        // SAFETY: all of it lives.
        unsafe { iscsicore_host_receive(server.host, server.now, self.link, self.rx) }
    }

    pub(crate) fn push(&self, bytes: &[u8]) {
        let slice = iscsicore_iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let payload = iscsicore_payload { slices: &slice, count: 1, release: None, context: null_mut() };
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_receiver_push(self.rx, &payload) });
    }

    pub(crate) fn transmit(&self, server: &Server) {
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_host_transmit(server.host, server.now, self.link, self.tx) });
    }

    /// Takes up to `most` bytes from the transmitter.
    pub(crate) fn take(&self, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        let mut slices = [iscsicore_iovec { iov_base: null_mut(), iov_len: 0 }; 8];
        loop {
            let mut count = 0;
            // SAFETY: all of it lives.
            ok(unsafe {
                iscsicore_transmitter_slices(self.tx, slices.as_mut_ptr(), slices.len(), &raw mut count)
            });
            let before = taken.len();
            for slice in &slices[..count] {
                // SAFETY: until the next call on the transmitter.
                let bytes = unsafe { core::slice::from_raw_parts(slice.iov_base.cast(), slice.iov_len) };
                taken.extend_from_slice(&bytes[..bytes.len().min(most - taken.len())]);
            }
            let len = taken.len() - before;
            // SAFETY: it lives.
            ok(unsafe { iscsicore_transmitter_advance(self.tx, len) });
            if len == 0 {
                return taken;
            }
        }
    }

    pub(crate) fn is_closing(&self, server: &Server) -> bool {
        let mut closing = false;
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_host_is_closing(server.host, self.link, &raw mut closing) });
        closing
    }

    pub(crate) fn lost(&self, server: &Server) -> Status {
        // SAFETY: the host lives.
        unsafe { iscsicore_host_lost(server.host, server.now, self.link) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // SAFETY: not used any more.
        ok(unsafe { iscsicore_receiver_free(self.rx) });
        // SAFETY: as above.
        ok(unsafe { iscsicore_transmitter_free(self.tx) });
    }
}

/// A string of C, or `None` for NULL.
pub(crate) fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: NULL or a string that lives.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned())
}
