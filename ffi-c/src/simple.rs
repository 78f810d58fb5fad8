//! A connection in one handle: bytes go in and out by copies, and events say the rest.

use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use iscsicore::Instant;
use iscsicore::link::{Receiver, Transmitter, Want};

use crate::boundary::guard;
use crate::handle::{Handle, Locked, Opaque, free, lock, opaque};
use crate::host::job::iscsicore_job;
use crate::host::{self, HostState, iscsicore_host};
use crate::limits::ISCSICORE_NEVER;
use crate::nexus::{
    NexusState, iscsicore_initiator_options, iscsicore_nexus, iscsicore_nexus_event,
    iscsicore_nexus_event_kind, read_initiator_options,
};
use crate::payload::iscsicore_iovec;
use crate::pointer::{out, out_handle, raw_room, seed, slice};
use crate::status::{Failure, iscsicore_status};

/// One connection, target or initiator, in one handle: the way in for those who begin. Hand it what the socket gave
/// (iscsicore_simple_feed), write to the socket what it gives (iscsicore_simple_take), act on what it tells
/// (iscsicore_simple_next_event), in this order: take until there is nothing to be sent, then events until there is none, then, if
/// there was neither, wait for the socket and for iscsicore_simple_timeout. It copies all bytes once; programs that want to spare that use receivers and transmitters
/// with iscsicore_host or iscsicore_nexus, which are what is inside.
///
/// Threads: any, one call at a time; a call of a target's connection uses its host, too, and one of an initiator's its nexus.
pub struct iscsicore_simple(Handle<SimpleState>);
opaque!(iscsicore_simple, SimpleState);

/// What an event of a simple connection is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_simple_event_kind {
    /// Of a target: `job` is to be carried out, then finished by iscsicore_host_finish, _finish_read or _finish_extents.
    /// It may belong to another connection of the same host: transmit on all of them now and then.
    Job = 1,
    /// Of an initiator: `nexus` is an event of its iscsicore_nexus, none of DIAL and HANG_UP.
    Nexus = 2,
    /// Nothing more is to be said: close the socket and free the connection.
    Close = 3,
}

/// An event of a simple connection.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_simple_event {
    /// What it is.
    pub kind: iscsicore_simple_event_kind,
    /// ISCSICORE_SIMPLE_EVENT_KIND_JOB: what is to be done. It lives until it is finished. Else NULL.
    pub job: *const iscsicore_job,
    /// ISCSICORE_SIMPLE_EVENT_KIND_NEXUS: what is told. It lives as long as this event. Else NULL.
    pub nexus: *const iscsicore_nexus_event,
}

/// A connection with its halves.
pub(crate) struct SimpleState {
    rx: Receiver,
    tx: Transmitter,
    /// Fed, and not taken by the session yet: it does not listen while too much waits to be sent or to be done.
    unread: Bytes,
    role: Role,
    /// The latest time that was told.
    now: u64,
    /// Whether the transport is gone, or is to be closed.
    over: bool,
    close_told: bool,
    event: iscsicore_simple_event,
}

enum Role {
    /// The host is not freed before: it counts those who hold `_alive`.
    Target { host: *mut iscsicore_host, link: u64, _alive: Arc<()> },
    /// The nexus is this connection's own.
    Initiator { nexus: *mut iscsicore_nexus },
}

// SAFETY: what the pointers lead to is used under the lock of its handle alone.
unsafe impl Send for SimpleState {}

/// What is inside, for the time of one call: taken before anything changes, so that a call which finds it busy has changed nothing.
enum Inside {
    Host(Locked<'static, HostState>, u64),
    Nexus(Locked<'static, NexusState>),
}

impl Role {
    fn lock(&self) -> Result<Inside, Failure> {
        Ok(match self {
            // SAFETY: a host is not freed while it has simple connections.
            Role::Target { host, link, .. } => Inside::Host(unsafe { lock(*host) }?, *link),
            // SAFETY: it is freed with its connection, and by nobody else.
            Role::Initiator { nexus } => Inside::Nexus(unsafe { lock(*nexus) }?),
        })
    }
}

impl Inside {
    fn receive(&mut self, now: u64, rx: &mut Receiver) -> Result<(), Failure> {
        match self {
            Inside::Host(host, link) => host.receive(now, *link, rx),
            Inside::Nexus(nexus) => Ok(nexus.nexus.receive(Instant::from_nanos(now), rx)?),
        }
    }

    fn transmit(&mut self, now: u64, tx: &mut Transmitter) -> Result<(), Failure> {
        match self {
            Inside::Host(host, link) => host.transmit(now, *link, tx)?,
            Inside::Nexus(nexus) => nexus.nexus.transmit(Instant::from_nanos(now), tx),
        }
        Ok(())
    }

    /// Puts as much of `bytes` as is wanted where it is wanted; returns how much that was.
    fn read(&mut self, rx: &mut Receiver, bytes: &[u8]) -> Result<usize, Failure> {
        if let Inside::Nexus(nexus) = self {
            return read_into_buffers(nexus, rx, bytes);
        }
        let Want::Read { staging, .. } = rx.want() else { return Ok(0) };
        let len = staging.len().min(bytes.len());
        staging[..len].copy_from_slice(&bytes[..len]);
        rx.advance(&[], len)?;
        Ok(len)
    }

    fn lost(&mut self, now: u64) -> Result<(), Failure> {
        match self {
            Inside::Host(host, link) => host.lost(now, *link),
            Inside::Nexus(nexus) => {
                nexus.nexus.lost(Instant::from_nanos(now), iscsicore::TransportError::Closed);
                Ok(())
            }
        }
    }

    fn next_job(&mut self) -> *const iscsicore_job {
        match self {
            Inside::Host(host, _) => host.next_job(),
            Inside::Nexus(_) => core::ptr::null(),
        }
    }
}

fn read_into_buffers(nexus: &mut NexusState, rx: &mut Receiver, bytes: &[u8]) -> Result<usize, Failure> {
    let mut places = [iscsicore_iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; 2];
    let count = nexus.want(rx, &mut places);
    let mut copied = 0;
    for place in &places[..count] {
        let len = place.iov_len.min(bytes.len() - copied);
        // SAFETY: the place has that room, in a buffer that the program has lent or in the receiver.
        unsafe { place.iov_base.cast::<u8>().copy_from(bytes[copied..].as_ptr(), len) };
        copied += len;
    }
    if copied > 0 {
        nexus.advance(rx, copied)?;
    }
    Ok(copied)
}

impl SimpleState {
    fn new(role: Role, rx: Receiver, now: u64) -> Self {
        let event = iscsicore_simple_event {
            kind: iscsicore_simple_event_kind::Close,
            job: core::ptr::null(),
            nexus: core::ptr::null(),
        };
        let tx = Transmitter::new();
        SimpleState { rx, tx, unread: Bytes::new(), role, now, over: false, close_told: false, event }
    }

    /// Lets the session take what has arrived, as far as it listens; returns how much of `bytes` that took.
    fn pump(&mut self, inside: &mut Inside, bytes: &[u8]) -> Result<usize, Failure> {
        let mut taken = 0;
        loop {
            inside.receive(self.now, &mut self.rx)?;
            let len = inside.read(&mut self.rx, &bytes[taken..])?;
            taken += len;
            if len == 0 {
                return Ok(taken);
            }
        }
    }

    /// Goes on with what was fed before. A failure is of the peer: nothing that it sent matters any more.
    fn pump_unread(&mut self, inside: &mut Inside) -> Result<(), Failure> {
        if self.over {
            return Ok(());
        }
        let unread = core::mem::take(&mut self.unread);
        let taken = self.pump(inside, &unread)?;
        self.unread = unread.slice(taken..);
        Ok(())
    }

    fn feed(&mut self, inside: &mut Inside, bytes: &[u8]) -> Result<(), Failure> {
        if self.over {
            return Err(Failure::state("the connection is over"));
        }
        self.pump_unread(inside)?;
        if !self.unread.is_empty() {
            let why =
                "what was fed before has not been taken: take what is to be sent, and finish jobs, first";
            return Err(Failure::new(iscsicore_status::QueueFull, why));
        }
        let taken = self.pump(inside, bytes)?;
        self.unread = Bytes::copy_from_slice(&bytes[taken..]);
        Ok(())
    }

    fn take(&mut self, inside: &mut Inside, buffer: &mut [MaybeUninit<u8>]) -> Result<usize, Failure> {
        let mut len = 0;
        while len < buffer.len() {
            if !self.tx.has_remaining() {
                // A transmitter that was emptied lets the session go on. If the peer has done wrong, events tell.
                let _ = self.pump_unread(inside);
                self.transmit(inside)?;
                if !self.tx.has_remaining() {
                    break;
                }
            }
            let chunk = self.tx.chunk();
            let part = chunk.len().min(buffer.len() - len);
            for (place, byte) in buffer[len..len + part].iter_mut().zip(&chunk[..part]) {
                place.write(*byte);
            }
            self.tx.advance(part);
            len += part;
        }
        Ok(len)
    }

    fn transmit(&mut self, inside: &mut Inside) -> Result<(), Failure> {
        if self.over { Ok(()) } else { inside.transmit(self.now, &mut self.tx) }
    }

    fn next_event(&mut self, inside: &mut Inside) -> Result<*const iscsicore_simple_event, Failure> {
        use iscsicore_simple_event_kind as K;
        (self.event.job, self.event.nexus) = (core::ptr::null(), core::ptr::null());
        let job = inside.next_job();
        let told = if job.is_null() { self.next_of_nexus(inside) } else { core::ptr::null() };
        let kind = if !job.is_null() {
            K::Job
        } else if !told.is_null() {
            K::Nexus
        } else if !self.close_told && self.is_closing(inside)? {
            // Nothing is left that the transport would be needed for.
            self.lost(inside)?;
            self.close_told = true;
            K::Close
        } else {
            return Ok(core::ptr::null());
        };
        self.event = iscsicore_simple_event { kind, job, nexus: told };
        Ok(&raw const self.event)
    }

    /// The next event of the nexus that is not about transports: this connection is the only one.
    fn next_of_nexus(&mut self, inside: &mut Inside) -> *const iscsicore_nexus_event {
        use iscsicore_nexus_event_kind as K;
        let Inside::Nexus(nexus) = inside else { return core::ptr::null() };
        loop {
            let event = nexus.next_event();
            // SAFETY: it lives until the next call.
            match unsafe { event.as_ref() }.map(|event| event.kind) {
                Some(K::Dial) => {
                    let why = "a simple connection is not opened again, or elsewhere".to_owned();
                    nexus.nexus.dial_failed(Instant::from_nanos(self.now), why);
                }
                Some(K::HangUp) => self.over = true,
                _ => return event,
            }
        }
    }

    /// Whether the last word has been said and taken.
    fn is_closing(&mut self, inside: &mut Inside) -> Result<bool, Failure> {
        if !self.over {
            let Inside::Host(host, link) = inside else { return Ok(false) };
            if !host.is_closing(*link)? {
                return Ok(false);
            }
            self.transmit(inside)?;
        }
        Ok(!self.tx.has_remaining())
    }

    fn lost(&mut self, inside: &mut Inside) -> Result<(), Failure> {
        if !self.over {
            inside.lost(self.now)?;
            self.over = true;
        }
        Ok(())
    }

    /// The transport is gone: nothing of what waits in the halves matters.
    fn cut(&mut self, inside: &mut Inside) -> Result<(), Failure> {
        self.lost(inside)?;
        self.tx = Transmitter::new();
        self.unread = Bytes::new();
        Ok(())
    }
}

impl Drop for SimpleState {
    fn drop(&mut self) {
        match &self.role {
            // A host that another thread is using right now keeps the session until its pings tell that nobody is there.
            Role::Target { .. } => {
                let _ = self.role.lock().and_then(|mut inside| self.lost(&mut inside));
            }
            Role::Initiator { nexus } => {
                // SAFETY: it was made with this connection, and only this frees it. One that is in use is leaked.
                let _ = unsafe { free(*nexus) };
            }
        }
    }
}

/// Takes a connection that a server accepted. The arguments are those of iscsicore_host_connect; the host cannot be freed
/// before its connections.
///
/// Ownership: the caller's, until iscsicore_simple_free.
///
/// Errors: ISCSICORE_STATUS_REFUSED when too many connections are logging in: close this one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_target(
    host: *mut iscsicore_host,
    now: u64,
    local_address: *const c_char,
    seed_: *const u8,
    simple: *mut *mut iscsicore_simple,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, seed) = unsafe { (out_handle(simple)?, seed(seed_)?) };
        // SAFETY: as above.
        let (mut state, local) = unsafe { (lock(host)?, host::check::address(local_address)?) };
        let link = state.connect(now, local, seed)?;
        let rx = Receiver::new(state.limits());
        let role = Role::Target { host, link, _alive: state.alive() };
        place.set(iscsicore_simple::boxed(SimpleState::new(role, rx, now)));
        Ok(())
    })
}

/// Takes a connection that the program has opened to a target, to log in there. The arguments are those of
/// iscsicore_nexus_new; `address` is only used in messages, and a connection that is lost is not opened again.
///
/// Ownership: the caller's, until iscsicore_simple_free.
///
/// Errors: as of iscsicore_nexus_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_initiator(
    options: *const iscsicore_initiator_options,
    seed_: *const u8,
    now: u64,
    simple: *mut *mut iscsicore_simple,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, seed) = unsafe { (out_handle(simple)?, seed(seed_)?) };
        // SAFETY: as above.
        let (mut config, seed) = unsafe { read_initiator_options(options, seed) }?;
        config.reconnect.enabled = false;
        let rx = Receiver::new(&config.limits);
        let mut nexus = NexusState::new(config, seed, Instant::from_nanos(now));
        nexus.held = true;
        // It begins with the wish for a connection, which is there.
        nexus.next_event();
        nexus.nexus.connected(Instant::from_nanos(now));
        let role = Role::Initiator { nexus: iscsicore_nexus::boxed(nexus) };
        place.set(iscsicore_simple::boxed(SimpleState::new(role, rx, now)));
        Ok(())
    })
}

/// Ends a connection. To the session it is lost, unless it was logged out. NULL is taken.
///
/// Errors: ISCSICORE_STATUS_BUSY while its host or nexus is in use; nothing is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_free(simple: *mut iscsicore_simple) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        if let Ok(state) = unsafe { lock(simple) } {
            let used = state.role.lock().map(drop);
            // One that met a bug is no reason to keep the connection.
            used.or_else(
                |failure| if failure.status == iscsicore_status::Busy { Err(failure) } else { Ok(()) },
            )?;
        }
        // SAFETY: as above.
        unsafe { free(simple) }
    })
}

/// Gives the nexus of an initiator's connection, for iscsicore_nexus_submit and the like. It belongs to the connection: do not
/// free it, and take its events by iscsicore_simple_next_event.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE for the connection of a target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_nexus(
    simple: *mut iscsicore_simple,
    nexus: *mut *mut iscsicore_nexus,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (simple, place) = unsafe { (lock(simple)?, out_handle(nexus)?) };
        let Role::Initiator { nexus } = &simple.role else {
            return Err(Failure::state("the connection of a target has no nexus"));
        };
        place.set(*nexus);
        Ok(())
    })
}

/// Hands over bytes that the socket gave. All of them are taken, also what the session does not listen to yet.
///
/// Errors: ISCSICORE_STATUS_PEER_ERROR when the peer broke the protocol or its login failed: go on taking, what it is told is
/// queued, until ISCSICORE_SIMPLE_EVENT_KIND_CLOSE. ISCSICORE_STATUS_QUEUE_FULL while what was fed before has not been
/// listened to: keep the bytes, take what is to be sent, finish jobs, then feed them again; nothing was taken. That does not
/// happen to those who take, and finish all jobs, before they feed. ISCSICORE_STATUS_WRONG_STATE when the connection is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_feed(
    simple: *mut iscsicore_simple,
    now: u64,
    bytes: *const c_void,
    len: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut simple, bytes) = unsafe { (lock(simple)?, slice(bytes.cast::<u8>(), len, "bytes")?) };
        let mut inside = simple.role.lock()?;
        simple.now = now;
        simple.feed(&mut inside, bytes)
    })
}

/// Copies what is to be sent into `buffer`, at most `capacity` bytes, and tells in `*len` how many that are: 0 when there is
/// nothing now. What was taken must be sent, all of it, in order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_take(
    simple: *mut iscsicore_simple,
    now: u64,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut simple, place) = unsafe { (lock(simple)?, out(len, "len")?) };
        // SAFETY: as above.
        let buffer = unsafe { raw_room(buffer.cast(), capacity, "buffer") }?;
        let mut inside = simple.role.lock()?;
        simple.now = now;
        place.set(simple.take(&mut inside, buffer)?);
        Ok(())
    })
}

/// Gives the next event in `*event`; NULL when there is none. It lives until the next call of this function on this connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_next_event(
    simple: *mut iscsicore_simple,
    event: *mut *const iscsicore_simple_event,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut simple, place) = unsafe { (lock(simple)?, out(event, "event")?) };
        let mut inside = simple.role.lock()?;
        place.set(simple.next_event(&mut inside)?);
        Ok(())
    })
}

/// Tells that the socket is closed or broken. Events of an initiator tell what became of its commands, and
/// ISCSICORE_SIMPLE_EVENT_KIND_CLOSE follows. What had not been taken is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_lost(simple: *mut iscsicore_simple, now: u64) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut simple = unsafe { lock(simple) }?;
        let mut inside = simple.role.lock()?;
        simple.now = now;
        simple.cut(&mut inside)
    })
}

/// Tells when iscsicore_simple_handle_timeout is to be called; ISCSICORE_NEVER when not at all. Any other call may change it.
/// For a target it is the time of its host, the same for all connections.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_timeout(
    simple: *mut iscsicore_simple,
    at: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (simple, place) = unsafe { (lock(simple)?, out(at, "at")?) };
        place.set(match simple.role.lock()? {
            Inside::Host(host, _) => host.timeout(),
            Inside::Nexus(nexus) => nexus.nexus.poll_timeout().map_or(ISCSICORE_NEVER, Instant::as_nanos),
        });
        Ok(())
    })
}

/// Acts on the time that has passed; harmless when nothing is due.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_simple_handle_timeout(
    simple: *mut iscsicore_simple,
    now: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut simple = unsafe { lock(simple) }?;
        let inside = simple.role.lock()?;
        simple.now = now;
        match inside {
            Inside::Host(mut host, _) => host.handle_timeout(now),
            Inside::Nexus(mut nexus) => nexus.nexus.handle_timeout(Instant::from_nanos(now)),
        }
        Ok(())
    })
}
