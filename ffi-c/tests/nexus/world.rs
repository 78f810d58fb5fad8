//! A nexus as C has it, a target in memory, and the wire between them.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char};
use std::ptr;

use bytes::{Buf, Bytes};
use iscsicore::disk::{BlockSize, LogicalUnit, Op, Outcome, UnitConfig};
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::login::Offer;
use iscsicore::node::{Access, IscsiName, Node, NodeConfig, NodeLimits, PortalGroup, TargetConfig};
use iscsicore::node::{UnitAccess, UnitId};
use iscsicore::simple::{Host, Job, LinkId};
use iscsicore::{DataList, Instant, Limits};
use iscsicore_ffi::command::*;
use iscsicore_ffi::limits::{iscsicore_limits, iscsicore_offer};
use iscsicore_ffi::link::*;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::payload::{iscsicore_iovec, iscsicore_payload};
use iscsicore_ffi::status::iscsicore_status as Status;

pub(crate) const TARGET: &str = "iqn.2001-04.com.example:disk";
pub(crate) const BLOCK: usize = 512;
pub(crate) const BLOCKS: usize = 8192;
const LOCAL: &str = "192.0.2.1:3260";

/// An event, taken out of the library's memory.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Told {
    Dial { address: String, attempt: u32 },
    HangUp,
    Up { address: String, again: bool },
    Down { reason: iscsicore_down_reason, text: String, retry_at: u64 },
    AttemptFailed { text: String, retry_at: u64, login_status: u16 },
    Completed(Completed),
    TaskManagementDone { request: u64, cause: iscsicore_cause, result: u8 },
    Targets { request: u64, cause: iscsicore_cause, targets: Vec<(String, Vec<(String, u16)>)> },
    Pong { request: u64, cause: iscsicore_cause, data: Vec<u8> },
    RoomAgain,
    UnitAttention { lun: u64, sense: Vec<u8> },
    Ended { reason: iscsicore_nexus_end_reason, login_status: u16, text: String },
    Other(iscsicore_nexus_event_kind),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Completed {
    pub(crate) task: u64,
    pub(crate) outcome: iscsicore_outcome,
    pub(crate) cause: iscsicore_cause,
    pub(crate) status: u8,
    pub(crate) sense: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) received: u32,
    pub(crate) residual: i64,
}

pub(crate) struct Wire {
    pub(crate) rx: *mut iscsicore_receiver,
    pub(crate) tx: *mut iscsicore_transmitter,
    link: LinkId,
    host_rx: Receiver,
    host_tx: Transmitter,
    to_nexus: Bytes,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) nexus: *mut iscsicore_nexus,
    pub(crate) wire: Option<Wire>,
    pub(crate) host: Host,
    pub(crate) disk: Vec<u8>,
    /// Bytes that one read brings at most.
    pub(crate) chunk: usize,
    /// Whether the storage stands still.
    pub(crate) hold: bool,
    /// Whether dials get nowhere.
    pub(crate) refuse: bool,
    /// Whether the wire brings nothing to the nexus.
    pub(crate) deaf: bool,
    held: VecDeque<Job>,
    /// Memory that commands were given, and how many bytes were read straight into it.
    pub(crate) buffers: Vec<(usize, usize)>,
    pub(crate) placed: usize,
    pub(crate) told: VecDeque<Told>,
    limits: iscsicore_limits,
}

pub(crate) fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null());
    // SAFETY: a string of the library's.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
}

fn bytes(pointer: *const u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    // SAFETY: bytes of the library's.
    unsafe { std::slice::from_raw_parts(pointer, len) }.to_vec()
}

/// # Safety
/// `slices` has `count` of them.
pub(crate) unsafe fn joined(slices: *const iscsicore_iovec, count: usize) -> Vec<u8> {
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    let slices = unsafe { std::slice::from_raw_parts(slices, count) };
    slices.iter().flat_map(|piece| bytes(piece.iov_base.cast(), piece.iov_len)).collect()
}

pub(crate) fn host_with(access: Access, offer: Offer) -> Host {
    let mut config = NodeConfig::default();
    let mut target = TargetConfig::new(IscsiName::parse(TARGET).unwrap());
    target.groups.push(PortalGroup::new(1, [LOCAL.parse().unwrap()]));
    target.luns.insert(0, UnitId(0), UnitAccess::ReadWrite).unwrap();
    target.access = access;
    target.offer = offer;
    config.targets.push(target);
    let unit = LogicalUnit::new(UnitConfig::new("serial-1", BlockSize::B512, BLOCKS as u64));
    Host::new(Node::new(config).unwrap(), vec![unit], Limits::default(), NodeLimits::default())
}

pub(crate) fn zeroed<T: Copy>() -> T {
    // SAFETY: options are numbers and pointers.
    unsafe { std::mem::zeroed() }
}

/// Options as a C program sets them, with the strings that they point to.
pub(crate) struct Options {
    pub(crate) options: iscsicore_initiator_options,
    pub(crate) offer: iscsicore_offer,
    pub(crate) limits: iscsicore_limits,
    strings: Vec<CString>,
}

impl Options {
    pub(crate) fn new() -> Self {
        let mut options = Options { options: zeroed(), offer: zeroed(), limits: zeroed(), strings: vec![] };
        options.options.size = size_of::<iscsicore_initiator_options>();
        options.offer.size = size_of::<iscsicore_offer>();
        options.limits.size = size_of::<iscsicore_limits>();
        options.options.address = options.string("home:3260");
        options.options.initiator = options.string("iqn.2001-04.com.example:me");
        options.options.target = options.string(TARGET);
        options
    }

    pub(crate) fn string(&mut self, text: &str) -> *const c_char {
        self.strings.push(CString::new(text).unwrap());
        self.strings.last().unwrap().as_ptr()
    }

    pub(crate) fn make(&mut self) -> Result<*mut iscsicore_nexus, Status> {
        self.options.offer = &raw const self.offer;
        self.options.limits = &raw const self.limits;
        let mut nexus = ptr::dangling_mut();
        // SAFETY: as C would.
        let status = unsafe { iscsicore_nexus_new(&self.options, [7; 32].as_ptr(), 0, &mut nexus) };
        if status == Status::Ok {
            assert!(!nexus.is_null());
            return Ok(nexus);
        }
        assert!(nexus.is_null(), "no handle comes with a failure");
        Err(status)
    }
}

impl World {
    pub(crate) fn new(options: &mut Options) -> Self {
        World::with_host(options, host_with(Access::default(), Offer::default()))
    }

    pub(crate) fn with_host(options: &mut Options, host: Host) -> Self {
        World {
            now: 1_000_000_000,
            nexus: options.make().unwrap(),
            wire: None,
            host,
            disk: (0..BLOCK * BLOCKS).map(|at| (at / BLOCK) as u8 ^ (at as u8).wrapping_mul(3)).collect(),
            chunk: usize::MAX,
            hold: false,
            refuse: false,
            deaf: false,
            held: VecDeque::new(),
            buffers: Vec::new(),
            placed: 0,
            told: VecDeque::new(),
            limits: options.limits,
        }
    }

    /// Logged in.
    pub(crate) fn up(options: &mut Options) -> Self {
        let mut world = World::new(options);
        world.run();
        assert!(world.take(|told| matches!(told, Told::Up { again: false, .. })).is_some());
        world
    }

    /// Until nothing happens any more.
    pub(crate) fn run(&mut self) {
        while self.step() {}
    }

    /// Lets time pass up to the next deadline.
    pub(crate) fn wait(&mut self) {
        let mut at = 0;
        // SAFETY: as C would.
        unsafe { ok(iscsicore_nexus_timeout(self.nexus, &mut at)) };
        self.now = self.now.max(at);
        // SAFETY: as C would.
        unsafe { ok(iscsicore_nexus_handle_timeout(self.nexus, self.now)) };
        self.run();
    }

    fn step(&mut self) -> bool {
        let mut busy = self.events();
        if let Some(mut wire) = self.wire.take() {
            busy |= self.exchange(&mut wire);
            self.wire = Some(wire);
        }
        busy
    }

    fn exchange(&mut self, wire: &mut Wire) -> bool {
        let now = Instant::from_nanos(self.now);
        // SAFETY: as C would.
        unsafe { ok(iscsicore_nexus_transmit(self.nexus, self.now, wire.tx)) };
        let sent = write_all(wire.tx);
        let mut busy = !sent.is_empty();
        wire.host_rx.push(sent.into()).unwrap();
        let _ = self.host.receive(now, wire.link, &mut wire.host_rx);
        self.work(now);
        self.host.transmit(now, wire.link, &mut wire.host_tx);
        if wire.host_tx.has_remaining() {
            let new = wire.host_tx.copy_to_bytes(wire.host_tx.remaining());
            wire.to_nexus = [&wire.to_nexus[..], &new[..]].concat().into();
            busy = true;
        }
        if !self.deaf && !wire.to_nexus.is_empty() {
            busy |= self.read(wire);
        }
        busy
    }

    /// One readv, and what follows it. Whether anything was read.
    pub(crate) fn read(&mut self, wire: &mut Wire) -> bool {
        let mut slices: [iscsicore_iovec; 2] = zeroed();
        let mut count = 9;
        // SAFETY: as C would.
        unsafe { ok(iscsicore_nexus_want(self.nexus, wire.rx, slices.as_mut_ptr(), 2, &mut count)) };
        let mut done = 0;
        for slice in &slices[..count] {
            let len = slice.iov_len.min(wire.to_nexus.len()).min(self.chunk - done);
            let at = slice.iov_base as usize;
            // SAFETY: the library has said to.
            unsafe { slice.iov_base.cast::<u8>().copy_from(wire.to_nexus.as_ptr(), len) };
            wire.to_nexus.advance(len);
            done += len;
            if self.buffers.iter().any(|(base, size)| (*base..base + size).contains(&at)) {
                self.placed += len;
            }
            if len < slice.iov_len {
                break;
            }
        }
        // SAFETY: as C would.
        unsafe {
            ok(iscsicore_nexus_advance(self.nexus, wire.rx, done));
            let status = iscsicore_nexus_receive(self.nexus, self.now, wire.rx);
            assert!([Status::Ok, Status::PeerError].contains(&status));
        }
        done > 0
    }

    fn work(&mut self, now: Instant) {
        while let Some(job) = self.host.poll_job() {
            self.held.push_back(job);
        }
        while !self.hold
            && let Some(Job { op, receipt, .. }) = self.held.pop_front()
        {
            let outcome = self.carry_out(op);
            self.host.finish(now, receipt, outcome);
            while let Some(job) = self.host.poll_job() {
                self.held.push_back(job);
            }
        }
    }

    fn carry_out(&mut self, op: Op) -> Outcome {
        match op {
            Op::Read { offset, len } => {
                let bytes = &self.disk[offset as usize..][..len as usize];
                Outcome::Data(DataList::from(Bytes::copy_from_slice(bytes)))
            }
            Op::Write { offset, data, .. } => {
                self.disk[offset as usize..][..data.len()].copy_from_slice(&data.to_bytes());
                Outcome::Done
            }
            Op::WriteZeroes { offset, len, .. } => {
                self.disk[offset as usize..][..len as usize].fill(0);
                Outcome::Done
            }
            _ => Outcome::Done,
        }
    }

    fn events(&mut self) -> bool {
        let mut busy = false;
        while let Some(told) = self.next_event() {
            busy = true;
            match &told {
                Told::Dial { .. } if self.refuse => {
                    // SAFETY: as C would.
                    unsafe {
                        ok(iscsicore_nexus_dial_failed(self.nexus, self.now, c"connection refused".as_ptr()));
                    }
                }
                Told::Dial { .. } => self.connect(),
                Told::HangUp => self.cut(),
                _ => {}
            }
            self.told.push_back(told);
        }
        busy
    }

    fn connect(&mut self) {
        assert!(self.wire.is_none(), "one transport at a time");
        let now = Instant::from_nanos(self.now);
        let link = self.host.connect(now, LOCAL.parse().unwrap(), [self.told.len() as u8; 32]).unwrap();
        let (mut rx, mut tx) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: as C would.
        unsafe {
            ok(iscsicore_receiver_new(&self.limits, &mut rx));
            ok(iscsicore_transmitter_new(&mut tx));
            ok(iscsicore_nexus_connected(self.nexus, self.now));
        }
        let (host_rx, host_tx) = (Receiver::new(&Limits::default()), Transmitter::new());
        self.wire = Some(Wire { rx, tx, link, host_rx, host_tx, to_nexus: Bytes::new() });
    }

    /// Closes the transport; the nexus is not told.
    pub(crate) fn cut(&mut self) {
        if let Some(wire) = self.wire.take() {
            self.host.lost(Instant::from_nanos(self.now), wire.link);
            free_halves(wire.rx, wire.tx);
        }
    }

    /// The connection is lost, and the nexus learns of it.
    pub(crate) fn lose(&mut self) {
        self.cut();
        // SAFETY: as C would.
        unsafe { ok(iscsicore_nexus_lost(self.nexus, self.now, 0)) };
    }

    pub(crate) fn next_event(&mut self) -> Option<Told> {
        let mut event = ptr::dangling();
        // SAFETY: as C would.
        unsafe {
            ok(iscsicore_nexus_next_event(self.nexus, &mut event));
            (!event.is_null()).then(|| told(&*event))
        }
    }

    /// The first event of a kind, taken.
    pub(crate) fn take(&mut self, wanted: impl Fn(&Told) -> bool) -> Option<Told> {
        let at = self.told.iter().position(wanted)?;
        self.told.remove(at)
    }

    /// The end of a command, which must have been told, once.
    pub(crate) fn end_of(&mut self, task: u64) -> Completed {
        let is = |told: &Told| matches!(told, Told::Completed(c) if c.task == task);
        let Some(Told::Completed(completed)) = self.take(is) else {
            panic!("{task:x} has not ended: {:?}", self.told);
        };
        assert!(self.take(is).is_none());
        completed
    }

    pub(crate) fn try_submit(&mut self, command: *const iscsicore_command) -> Result<u64, Status> {
        let mut task = 0;
        // SAFETY: as C would.
        match unsafe { iscsicore_nexus_submit(self.nexus, self.now, command, &mut task) } {
            Status::Ok => Ok(task),
            status => Err(status),
        }
    }

    pub(crate) fn submit(&mut self, command: *const iscsicore_command) -> u64 {
        let task = self.try_submit(command).unwrap();
        assert_ne!(task, 0);
        task
    }

    /// Submits, frees the command, and runs.
    pub(crate) fn done(&mut self, command: *mut iscsicore_command) -> Completed {
        let task = self.submit(command);
        // SAFETY: as C would.
        unsafe { ok(iscsicore_command_free(command)) };
        self.run();
        self.end_of(task)
    }

    pub(crate) fn outstanding(&self) -> usize {
        let mut count = 99;
        // SAFETY: as C would.
        unsafe { ok(iscsicore_nexus_outstanding(self.nexus, &mut count)) };
        count
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.cut();
        // SAFETY: as C would.
        unsafe { ok(iscsicore_nexus_free(self.nexus)) };
    }
}

pub(crate) fn free_halves(rx: *mut iscsicore_receiver, tx: *mut iscsicore_transmitter) {
    // SAFETY: as C would.
    unsafe {
        ok(iscsicore_receiver_free(rx));
        ok(iscsicore_transmitter_free(tx));
    }
}

#[track_caller]
pub(crate) fn ok(status: Status) {
    assert_eq!(status, Status::Ok, "{}", text(iscsicore_ffi::status::iscsicore_error_message()));
}

fn write_all(tx: *mut iscsicore_transmitter) -> Vec<u8> {
    let mut sent = Vec::new();
    loop {
        let mut slices: [iscsicore_iovec; 8] = zeroed();
        let mut count = 0;
        // SAFETY: as C would.
        unsafe {
            ok(iscsicore_transmitter_slices(tx, slices.as_mut_ptr(), 8, &mut count));
            let piece = joined(slices.as_ptr(), count);
            if piece.is_empty() {
                return sent;
            }
            ok(iscsicore_transmitter_advance(tx, piece.len()));
            sent.extend(piece);
        }
    }
}

/// # Safety
/// `event` came from the library.
unsafe fn told(event: &iscsicore_nexus_event) -> Told {
    use iscsicore_nexus_event_kind as K;
    // SAFETY: the kind says which of them it is.
    unsafe {
        match event.kind {
            K::Dial => Told::Dial { address: text(event.u.dial.address), attempt: event.u.dial.attempt },
            K::HangUp => Told::HangUp,
            K::Up => Told::Up { address: text(event.u.up.address), again: event.u.up.again },
            K::Down => {
                let down = event.u.down;
                Told::Down { reason: down.reason, text: text(down.text), retry_at: down.retry_at }
            }
            K::AttemptFailed => {
                let f = event.u.attempt_failed;
                Told::AttemptFailed { text: text(f.text), retry_at: f.retry_at, login_status: f.login_status }
            }
            K::Completed => {
                let c = event.u.completed;
                Told::Completed(Completed {
                    task: c.task,
                    outcome: c.outcome,
                    cause: c.cause,
                    status: c.status,
                    sense: bytes(c.sense, c.sense_len),
                    data: joined(c.data, c.data_count),
                    received: c.received,
                    residual: c.residual,
                })
            }
            K::TaskManagementDone => {
                let done = event.u.task_management_done;
                Told::TaskManagementDone { request: done.request, cause: done.cause, result: done.result }
            }
            K::Targets => targets(&event.u.targets),
            K::Pong => {
                let pong = event.u.pong;
                let data = bytes(pong.data, pong.data_len);
                Told::Pong { request: pong.request, cause: pong.cause, data }
            }
            K::RoomAgain => Told::RoomAgain,
            K::UnitAttention => {
                let ua = event.u.unit_attention;
                Told::UnitAttention { lun: ua.lun, sense: bytes(ua.sense, ua.sense_len) }
            }
            K::Ended => {
                let end = event.u.ended;
                Told::Ended { reason: end.reason, login_status: end.login_status, text: text(end.text) }
            }
            other => Told::Other(other),
        }
    }
}

/// # Safety
/// As for [`told`].
unsafe fn targets(event: &iscsicore_targets_event) -> Told {
    let mut targets = Vec::new();
    for at in 0..event.target_count {
        // SAFETY: the caller's promise.
        unsafe {
            let target = *event.targets.add(at);
            let address = |at| {
                let address = *target.addresses.add(at);
                (text(address.address), address.portal_group_tag)
            };
            targets.push((text(target.name), (0..target.address_count).map(address).collect()));
        }
    }
    Told::Targets { request: event.request, cause: event.cause, targets }
}

pub(crate) fn read_command(lba: u64, blocks: u32) -> *mut iscsicore_command {
    let mut command = ptr::null_mut();
    // SAFETY: as C would.
    unsafe { ok(iscsicore_command_read(0, lba, blocks, BLOCK as u32, &mut command)) };
    command
}

/// Payload that is copied.
pub(crate) fn copied(slices: &[iscsicore_iovec]) -> iscsicore_payload {
    iscsicore_payload {
        slices: slices.as_ptr(),
        count: slices.len(),
        release: None,
        context: ptr::null_mut(),
    }
}

pub(crate) fn iovec(bytes: &[u8]) -> iscsicore_iovec {
    iscsicore_iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}
