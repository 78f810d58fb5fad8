//! The same target server twice: by the C functions, and by the Rust functions behind them.

use core::ffi::{c_char, c_void};
use core::hint::black_box;
use std::io::IoSlice;

use bytes::Buf as _;
use iscsicore::disk::{BlockSize, LogicalUnit, Op, Outcome, UnitConfig};
use iscsicore::link::{Receiver, Transmitter, Want};
use iscsicore::node::{
    IscsiName, Node, NodeConfig, NodeLimits, PortalGroup, TargetConfig, UnitAccess, UnitId,
};
use iscsicore::simple::{Host, LinkId};
use iscsicore::{Instant, Limits};
use iscsicore_ffi::host::config::*;
use iscsicore_ffi::host::job::*;
use iscsicore_ffi::host::*;
use iscsicore_ffi::link::*;
use iscsicore_ffi::op::iscsicore_op_kind;
use iscsicore_ffi::payload::{iscsicore_iovec, iscsicore_payload};
use iscsicore_ffi::status::iscsicore_status;
use iscsicore_ffi::unit_options::iscsicore_unit_options;

pub(crate) const NOW: Instant = Instant::from_nanos(1_000_000_000);
pub(crate) const ADDRESS: &str = "127.0.0.1:3260";
pub(crate) const TARGET: &str = "iqn.2025-01.org.example:disk";
const BLOCKS: u64 = 8192;

/// A target server without a socket.
pub(crate) trait End {
    /// Takes bytes as if they had been read, does what they ask for, and transmits.
    fn feed(&mut self, bytes: &[u8]);
    /// What it has to say.
    fn answers(&mut self) -> Vec<u8>;
    /// As if that were written: how much it was.
    fn discard(&mut self) -> usize;
}

pub(crate) struct InRust {
    host: Host,
    link: LinkId,
    rx: Receiver,
    tx: Transmitter,
}

impl InRust {
    pub(crate) fn new() -> Self {
        let address = ADDRESS.parse().expect("an address");
        let mut target = TargetConfig::new(IscsiName::parse(TARGET).expect("a name"));
        target.groups.push(PortalGroup::new(1, [address]));
        target.luns.insert(0, UnitId(0), UnitAccess::ReadWrite).expect("a free LUN");
        let mut config = NodeConfig::default();
        config.targets.push(target);
        let unit = LogicalUnit::new(UnitConfig::new("serial", BlockSize::B512, BLOCKS));
        let limits = Limits::default();
        let node = Node::new(config).expect("a configuration");
        let mut host = Host::new(node, vec![unit], limits.clone(), NodeLimits::default());
        let link = host.connect(NOW, address, [1; 32]).expect("the first connection");
        InRust { host, link, rx: Receiver::new(&limits), tx: Transmitter::new() }
    }
}

impl End for InRust {
    fn feed(&mut self, bytes: &[u8]) {
        let Want::Read { staging, .. } = self.rx.want() else { panic!("it does not listen") };
        staging[..bytes.len()].copy_from_slice(bytes);
        self.rx.advance(&[], bytes.len()).expect("whole PDUs");
        self.host.receive(NOW, self.link, &mut self.rx).expect("a peer that keeps to the protocol");
        while let Some(job) = self.host.poll_job() {
            let Op::Read { len, .. } = job.op else { panic!("nothing but reads") };
            let outcome = Outcome::Data(vec![0; len as usize].into());
            self.host.finish(NOW, job.receipt, outcome);
        }
        self.host.transmit(NOW, self.link, &mut self.tx);
    }

    fn answers(&mut self) -> Vec<u8> {
        self.tx.copy_to_bytes(self.tx.remaining()).to_vec()
    }

    fn discard(&mut self) -> usize {
        let mut written = 0;
        loop {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.tx.chunks_vectored(&mut slices);
            if count == 0 {
                return written;
            }
            let len = black_box(&slices[..count]).iter().map(|slice| slice.len()).sum();
            self.tx.advance(len);
            written += len;
        }
    }
}

type Plain<H, T> = unsafe extern "C" fn(*mut H, *mut T) -> iscsicore_status;

/// The functions as a program has them that is linked with a shared library.
#[derive(Clone, Copy)]
struct Functions {
    want: unsafe extern "C" fn(*mut iscsicore_receiver, *mut *mut u8, *mut usize) -> iscsicore_status,
    advance: unsafe extern "C" fn(*mut iscsicore_receiver, usize) -> iscsicore_status,
    receive: unsafe extern "C" fn(*mut iscsicore_host, u64, u64, *mut iscsicore_receiver) -> iscsicore_status,
    next_job: Plain<iscsicore_host, *const iscsicore_job>,
    finish_read:
        unsafe extern "C" fn(*mut iscsicore_host, u64, u64, *const iscsicore_payload) -> iscsicore_status,
    transmit:
        unsafe extern "C" fn(*mut iscsicore_host, u64, u64, *mut iscsicore_transmitter) -> iscsicore_status,
    slices: unsafe extern "C" fn(
        *mut iscsicore_transmitter,
        *mut iscsicore_iovec,
        usize,
        *mut usize,
    ) -> iscsicore_status,
    written: unsafe extern "C" fn(*mut iscsicore_transmitter, usize) -> iscsicore_status,
    queued: Plain<iscsicore_transmitter, usize>,
    timeout: Plain<iscsicore_host, u64>,
    next_wake: Plain<iscsicore_host, u64>,
    is_closing: unsafe extern "C" fn(*mut iscsicore_host, u64, *mut bool) -> iscsicore_status,
}

const FUNCTIONS: Functions = Functions {
    want: iscsicore_receiver_want,
    advance: iscsicore_receiver_advance,
    receive: iscsicore_host_receive,
    next_job: iscsicore_host_next_job,
    finish_read: iscsicore_host_finish_read,
    transmit: iscsicore_host_transmit,
    slices: iscsicore_transmitter_slices,
    written: iscsicore_transmitter_advance,
    queued: iscsicore_transmitter_queued,
    timeout: iscsicore_host_timeout,
    next_wake: iscsicore_host_next_wake,
    is_closing: iscsicore_host_is_closing,
};

/// What is called, and how.
type Call = (&'static str, fn(&mut InC));

pub(crate) struct InC {
    functions: Functions,
    host: *mut iscsicore_host,
    link: u64,
    rx: *mut iscsicore_receiver,
    tx: *mut iscsicore_transmitter,
}

fn ok(status: iscsicore_status) {
    assert_eq!(status, iscsicore_status::Ok);
}

fn text(words: &str) -> std::ffi::CString {
    std::ffi::CString::new(words).expect("no NUL")
}

unsafe extern "C" fn release(context: *mut c_void) {
    // SAFETY: it is what `feed` lent, once.
    unsafe { libc::free(context) }
}

impl InC {
    pub(crate) fn new() -> Self {
        let (mut config, mut host, mut link) = (core::ptr::null_mut(), core::ptr::null_mut(), 0);
        let (mut rx, mut tx, mut unit, mut target) = (core::ptr::null_mut(), core::ptr::null_mut(), 0, 0);
        let (name, address, serial) = (text(TARGET), text(ADDRESS), text("serial"));
        // SAFETY: numbers and pointers, for which zero is a value.
        let mut disk: iscsicore_unit_options = unsafe { core::mem::zeroed() };
        (disk.size, disk.serial, disk.blocks) =
            (size_of::<iscsicore_unit_options>(), serial.as_ptr(), BLOCKS);
        let none: *const c_char = core::ptr::null();
        // SAFETY: the handles are those that the functions gave, and strings live until the end.
        unsafe {
            ok(iscsicore_host_config_new(&mut config));
            ok(iscsicore_host_config_add_unit(config, &disk, &mut unit));
            ok(iscsicore_host_config_add_target(config, name.as_ptr(), none, &mut target));
            ok(iscsicore_host_config_add_portal(config, target, 1, address.as_ptr(), none));
            ok(iscsicore_host_config_add_lun(config, target, none, 0, unit, 0));
            ok(iscsicore_host_new(config, &mut host));
            ok(iscsicore_host_config_free(config));
            ok(iscsicore_host_connect(host, NOW.as_nanos(), address.as_ptr(), [1; 32].as_ptr(), &mut link));
            ok(iscsicore_receiver_new(core::ptr::null(), &mut rx));
            ok(iscsicore_transmitter_new(&mut tx));
        }
        InC { functions: black_box(FUNCTIONS), host, link, rx, tx }
    }

    /// Calls to be timed one by one: they change nothing.
    pub(crate) fn calls(&self) -> [Call; 6] {
        // SAFETY: in all of them the handles are those of `self`, and places are on the stack.
        [
            ("iscsicore_transmitter_queued", |c| unsafe { ok((c.functions.queued)(c.tx, &mut 0)) }),
            ("iscsicore_transmitter_queued of NULL: a failure", |c| unsafe {
                let status = (c.functions.queued)(core::ptr::null_mut(), &mut 0);
                assert_eq!(status, iscsicore_status::NullPointer);
            }),
            ("iscsicore_host_next_job, none", |c| unsafe {
                ok((c.functions.next_job)(c.host, &mut core::ptr::null()));
            }),
            ("iscsicore_host_next_wake, none", |c| unsafe { ok((c.functions.next_wake)(c.host, &mut 0)) }),
            ("iscsicore_host_timeout", |c| unsafe { ok((c.functions.timeout)(c.host, &mut 0)) }),
            ("iscsicore_host_is_closing", |c| unsafe {
                ok((c.functions.is_closing)(c.host, c.link, &mut false));
            }),
        ]
    }

    fn slices(&mut self, mut each: impl FnMut(&[u8])) {
        let mut slices = [iscsicore_iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; 64];
        loop {
            let (mut count, mut len) = (0, 0);
            // SAFETY: the place has room for so many.
            ok(unsafe { (self.functions.slices)(self.tx, slices.as_mut_ptr(), slices.len(), &mut count) });
            if count == 0 {
                return;
            }
            for slice in black_box(&slices[..count]) {
                len += slice.iov_len;
                // SAFETY: the slices live until the next call on the transmitter.
                each(unsafe { core::slice::from_raw_parts(slice.iov_base.cast(), slice.iov_len) });
            }
            // SAFETY: the handle is the one that was made.
            ok(unsafe { (self.functions.written)(self.tx, len) });
        }
    }
}

impl End for InC {
    fn feed(&mut self, bytes: &[u8]) {
        let (f, now) = (self.functions, NOW.as_nanos());
        let (mut memory, mut room, mut job) = (core::ptr::null_mut(), 0, core::ptr::null());
        // SAFETY: the handles are those that were made; memory is written where there is room, jobs are read before they
        // are finished, and what is lent is freed by `release`.
        unsafe {
            ok((f.want)(self.rx, &mut memory, &mut room));
            assert!(bytes.len() <= room);
            memory.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            ok((f.advance)(self.rx, bytes.len()));
            ok((f.receive)(self.host, now, self.link, self.rx));
            loop {
                ok((f.next_job)(self.host, &mut job));
                let Some(asked) = job.as_ref() else { break };
                assert_eq!(asked.op.kind, iscsicore_op_kind::Read);
                let len = asked.op.len as usize;
                let context = libc::calloc(1, len);
                let slices = iscsicore_iovec { iov_base: context, iov_len: len };
                let data = iscsicore_payload { slices: &slices, count: 1, release: Some(release), context };
                ok((f.finish_read)(self.host, now, asked.id, &data));
            }
            ok((f.transmit)(self.host, now, self.link, self.tx));
        }
    }

    fn answers(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        self.slices(|bytes| whole.extend_from_slice(bytes));
        whole
    }

    fn discard(&mut self) -> usize {
        let mut len = 0;
        self.slices(|bytes| len += bytes.len());
        len
    }
}

impl Drop for InC {
    fn drop(&mut self) {
        // SAFETY: nobody uses them any more.
        unsafe {
            ok(iscsicore_host_free(self.host));
            ok(iscsicore_receiver_free(self.rx));
            ok(iscsicore_transmitter_free(self.tx));
        }
    }
}
