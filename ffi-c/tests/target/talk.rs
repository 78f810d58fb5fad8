//! A target as C uses it, and an initiator of the core at the other end of a connection in memory.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

use bytes::{Buf, Bytes};
use iscsicore::initiator::LoginRequestConfig;
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::login::Offer;
use iscsicore::nexus::{Nexus, NexusConfig, NexusEvent, ReconnectPolicy};
use iscsicore::node::IscsiName;
use iscsicore::wire::Isid;
use iscsicore::{Instant, Limits};
use iscsicore_ffi::codes::{iscsicore_task_attribute, iscsicore_task_management_function as Function};
use iscsicore_ffi::link::*;
use iscsicore_ffi::payload::{iscsicore_iovec, iscsicore_payload, iscsicore_release};
use iscsicore_ffi::status::iscsicore_status as Status;
use iscsicore_ffi::target::admission::iscsicore_admission;
use iscsicore_ffi::target::event::*;
use iscsicore_ffi::target::login::*;
use iscsicore_ffi::target::send_targets::iscsicore_send_targets as Which;
use iscsicore_ffi::target::*;

pub(crate) const OK: Status = Status::Ok;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// An event, copied out of the memory of the library.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Seen {
    Login { initiator: String, target: Option<String>, discovery: bool, tsih: u16 },
    Ready { user: Option<String> },
    Command { task: u64, lun: u64, cdb: Vec<u8>, attribute: iscsicore_task_attribute, lens: (u32, u32) },
    Data { task: u64, data: Vec<u8> },
    Abort { task: u64 },
    Management { request: u64, function: Function, lun: u64 },
    SendTargets { request: u64, which: Which, target: Option<String> },
    TasksAborted { abort: u64 },
    Close,
    Ended { reason: iscsicore_end_reason, status: u16, text: Option<String> },
}

/// The target's end.
pub(crate) struct Near {
    pub(crate) target: *mut iscsicore_target,
    pub(crate) rx: *mut iscsicore_receiver,
    pub(crate) tx: *mut iscsicore_transmitter,
}

impl Drop for Near {
    fn drop(&mut self) {
        unsafe {
            assert_eq!(iscsicore_target_free(self.target), OK);
            assert_eq!(iscsicore_receiver_free(self.rx), OK);
            assert_eq!(iscsicore_transmitter_free(self.tx), OK);
        }
    }
}

impl Near {
    pub(crate) fn new(now: u64) -> Near {
        let mut near = Near { target: null_mut(), rx: null_mut(), tx: null_mut() };
        unsafe {
            assert_eq!(iscsicore_target_new(null(), [7; 32].as_ptr(), now, &mut near.target), OK);
            assert_eq!(iscsicore_receiver_new(null(), &mut near.rx), OK);
            assert_eq!(iscsicore_transmitter_new(&mut near.tx), OK);
        }
        near
    }

    /// The next event.
    pub(crate) fn event(&self) -> Option<Seen> {
        let mut event = null();
        unsafe {
            assert_eq!(iscsicore_target_next_event(self.target, &mut event), OK);
            event.as_ref().map(|event| seen(event))
        }
    }

    pub(crate) fn events(&self) -> Vec<Seen> {
        std::iter::from_fn(|| self.event()).collect()
    }

    /// What a login with the terms of `change` is answered with.
    pub(crate) fn admit(&self, change: impl FnOnce(&mut iscsicore_admission)) -> Status {
        let mut terms: iscsicore_admission = unsafe { std::mem::zeroed() };
        terms.size = size_of::<iscsicore_admission>();
        change(&mut terms);
        unsafe { iscsicore_target_admit(self.target, &terms) }
    }

    /// Takes bytes from the far end, and gives what there is for it.
    pub(crate) fn exchange(&self, now: u64, from_far: Bytes) -> (Status, Bytes) {
        let received = unsafe {
            if !from_far.is_empty() {
                let pushed = iscsicore_receiver_push(self.rx, &Lent::copied(&from_far).payload());
                assert_eq!(pushed, OK);
            }
            iscsicore_target_receive(self.target, now, self.rx)
        };
        (received, self.sent(now))
    }

    /// What there is for the far end.
    pub(crate) fn sent(&self, now: u64) -> Bytes {
        let mut all = Vec::new();
        unsafe {
            assert_eq!(iscsicore_target_transmit(self.target, now, self.tx), OK);
            let (mut slices, mut count) = ([iscsicore_iovec { iov_base: null_mut(), iov_len: 0 }; 16], 0);
            loop {
                assert_eq!(iscsicore_transmitter_slices(self.tx, slices.as_mut_ptr(), 16, &mut count), OK);
                if count == 0 {
                    return all.into();
                }
                let bytes = gather(slices.as_ptr(), count);
                assert_eq!(iscsicore_transmitter_advance(self.tx, bytes.len()), OK);
                all.extend(bytes);
            }
        }
    }
}

/// Both ends, and the time.
pub(crate) struct Talk {
    pub(crate) now: u64,
    pub(crate) near: Near,
    pub(crate) far: Nexus,
    rx: Receiver,
    tx: Transmitter,
    /// What the target told since it was asked last.
    seen: Vec<Seen>,
    /// What the initiator told.
    pub(crate) told: Vec<NexusEvent>,
    /// What the last call of iscsicore_target_receive answered.
    pub(crate) received: Status,
}

pub(crate) fn config(target: Option<&str>) -> LoginRequestConfig {
    let name = |name| IscsiName::parse(name).expect("a name");
    LoginRequestConfig {
        initiator: name("iqn.2001-04.com.example:initiator"),
        initiator_alias: Some("the initiator".into()),
        target: target.map(name),
        isid: Isid([0x80, 1, 2, 3, 4, 5]),
        credentials: None,
        offer: Offer::default(),
    }
}

pub(crate) const TARGET: &str = "iqn.2001-04.com.example:tape";

impl Talk {
    pub(crate) fn new(login: LoginRequestConfig) -> Talk {
        let mut reconnect = ReconnectPolicy::default();
        reconnect.enabled = false;
        let limits = Limits::default();
        let address = "192.0.2.1:3260".into();
        let config = NexusConfig { address, login, reconnect, limits: limits.clone() };
        let mut far = Nexus::new(config, [9; 32], Instant::ZERO);
        assert!(matches!(far.poll_event(), Some(NexusEvent::Dial { .. })));
        far.connected(Instant::ZERO);
        let (rx, tx) = (Receiver::new(&limits), Transmitter::new());
        let (near, seen, told) = (Near::new(0), Vec::new(), Vec::new());
        Talk { now: 0, near, far, rx, tx, seen, told, received: OK }
    }

    /// A session of a normal login without CHAP.
    pub(crate) fn established() -> Talk {
        Talk::logged_in(config(Some(TARGET)))
    }

    pub(crate) fn logged_in(login: LoginRequestConfig) -> Talk {
        let mut talk = Talk::new(login);
        assert!(matches!(talk.run()[..], [Seen::Login { .. }]));
        assert_eq!(talk.near.admit(|_| ()), OK);
        assert!(matches!(talk.run()[..], [Seen::Ready { user: None }]));
        assert_eq!(unsafe { iscsicore_target_establish(talk.near.target, talk.now, 1) }, OK);
        assert_eq!(talk.run(), []);
        assert!(talk.far.is_up());
        talk
    }

    pub(crate) fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// Moves bytes until neither end has any, and tells what the target wants.
    pub(crate) fn run(&mut self) -> Vec<Seen> {
        loop {
            let moved = self.turn();
            self.seen.extend(self.near.events());
            if !moved {
                return std::mem::take(&mut self.seen);
            }
        }
    }

    /// Moves bytes until neither end has any, and leaves the events of the target where they are.
    pub(crate) fn bytes(&mut self) {
        while self.turn() {}
    }

    /// Moves the bytes that there are; tells whether there were any.
    fn turn(&mut self) -> bool {
        let now = self.instant();
        self.far.transmit(now, &mut self.tx);
        let to_near = self.tx.copy_to_bytes(self.tx.remaining());
        let (received, to_far) = self.near.exchange(self.now, to_near.clone());
        if self.received == OK {
            self.received = received;
        }
        if to_near.is_empty() && to_far.is_empty() {
            return false;
        }
        self.rx.push(to_far).expect("room for bytes");
        // What is wrong is told by an event, too.
        let _ = self.far.receive(now, &mut self.rx);
        self.told.extend(std::iter::from_fn(|| self.far.poll_event()));
        true
    }

    /// The task of the one command that the target was given.
    pub(crate) fn one_command(&mut self) -> u64 {
        match self.run()[..] {
            [Seen::Command { task, .. }] => task,
            ref other => panic!("{other:?}"),
        }
    }
}

/// Memory that is lent, and how often it was given back.
pub(crate) struct Lent {
    /// What the slices name.
    _bytes: Vec<u8>,
    slices: Vec<iscsicore_iovec>,
    pub(crate) given_back: Box<u32>,
    release: iscsicore_release,
}

unsafe extern "C" fn count(context: *mut c_void) {
    unsafe { *context.cast::<u32>() += 1 };
}

impl Lent {
    /// `bytes` in two pieces.
    pub(crate) fn new(bytes: &[u8]) -> Lent {
        let mut lent = Lent::copied(bytes);
        lent.release = Some(count);
        lent
    }

    pub(crate) fn copied(bytes: &[u8]) -> Lent {
        let bytes = bytes.to_vec();
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        let piece = |piece: &[u8]| iscsicore_iovec {
            iov_base: piece.as_ptr().cast_mut().cast(),
            iov_len: piece.len(),
        };
        let slices = vec![piece(head), piece(tail)];
        Lent { _bytes: bytes, slices, given_back: Box::new(0), release: None }
    }

    pub(crate) fn payload(&mut self) -> iscsicore_payload {
        iscsicore_payload {
            slices: self.slices.as_ptr(),
            count: self.slices.len(),
            release: self.release,
            context: (&raw mut *self.given_back).cast(),
        }
    }
}

pub(crate) fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

pub(crate) unsafe fn gather(slices: *const iscsicore_iovec, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for at in 0..count {
        unsafe {
            let slice = *slices.add(at);
            bytes.extend_from_slice(std::slice::from_raw_parts(slice.iov_base.cast::<u8>(), slice.iov_len));
        }
    }
    bytes
}

unsafe fn text(text: *const c_char) -> Option<String> {
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().expect("UTF-8").to_owned())
}

unsafe fn seen(event: &iscsicore_target_event) -> Seen {
    use iscsicore_target_event_kind as Kind;
    unsafe {
        match event.kind {
            Kind::Login => {
                let login = event.u.login;
                assert_eq!((login.isid, login.cid), ([0x80, 1, 2, 3, 4, 5], 0));
                let alias = text(login.initiator_alias);
                assert!(alias.is_none_or(|alias| alias == "the initiator"));
                Seen::Login {
                    initiator: text(login.initiator).expect("a name"),
                    target: text(login.target),
                    discovery: login.discovery,
                    tsih: login.tsih,
                }
            }
            Kind::Ready => Seen::Ready { user: text(event.u.ready.user) },
            Kind::Command => {
                let command = event.u.command;
                Seen::Command {
                    task: command.task,
                    lun: command.lun,
                    cdb: std::slice::from_raw_parts(command.cdb, command.cdb_len).to_vec(),
                    attribute: command.attribute,
                    lens: (command.data_in, command.data_out),
                }
            }
            Kind::Data => {
                let shown = event.u.data;
                let data = gather(shown.data, shown.data_count);
                assert_eq!(data.len(), shown.data_len);
                Seen::Data { task: shown.task, data }
            }
            Kind::Abort => Seen::Abort { task: event.u.abort.task },
            Kind::TaskManagement => {
                let management = event.u.task_management;
                let (request, function, lun) = (management.request, management.function, management.lun);
                Seen::Management { request, function, lun }
            }
            Kind::SendTargets => {
                let asked = event.u.send_targets;
                Seen::SendTargets { request: asked.request, which: asked.which, target: text(asked.target) }
            }
            Kind::TasksAborted => Seen::TasksAborted { abort: event.u.tasks_aborted.abort },
            Kind::Close => Seen::Close,
            Kind::Ended => {
                let ended = event.u.ended;
                Seen::Ended { reason: ended.reason, status: ended.login_status, text: text(ended.text) }
            }
        }
    }
}
