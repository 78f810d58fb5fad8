//! A whole target server: `iscsicore::simple::Host` for C.

pub mod accounts;
pub mod config;
pub mod control;
pub mod job;
pub mod session;

pub(crate) mod check;

use core::ffi::{c_char, c_void};
use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use iscsicore::disk::LogicalUnit;
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::simple::{Host, LinkId};
use iscsicore::{Instant, Limits};

use crate::boundary::guard;
use crate::handle::{Handle, Opaque, free_if, lock, opaque};
use crate::limits::ISCSICORE_NEVER;
use crate::link::{iscsicore_receiver, iscsicore_transmitter};
use crate::pointer::{self, Context, out, out_handle};
use crate::status::{Failure, iscsicore_status};

use config::{HostConfig, iscsicore_host_config};
use job::Jobs;
use session::SessionView;

/// A whole target server: all sessions, the logical units, and the rules who may log in. Sockets, storage and time are the
/// program's.
///
/// For every connection that it accepts the program makes a receiver, a transmitter and, with iscsicore_host_connect, a link.
/// Bytes that arrive go into the receiver and then, by iscsicore_host_receive, to the host. After any call on the host: call
/// iscsicore_host_transmit and write what the transmitter has; carry out the jobs that iscsicore_host_next_job tells; serve
/// the links that iscsicore_host_next_wake tells; set a timer for iscsicore_host_timeout. The order does not matter, and too
/// often is harmless. That a transmitter was emptied counts as a call: transmit and receive once more, because the host takes
/// no more requests while too much waits to be sent. When iscsicore_host_is_closing says so, or the transport breaks, flush
/// what there is, close the socket and call iscsicore_host_lost.
///
/// Threads: any, one call at a time. Jobs may be carried out on other threads, and finished on any.
pub struct iscsicore_host(Handle<HostState>);
opaque!(iscsicore_host, HostState);

/// A server, what C has of it, and what C was shown.
pub(crate) struct HostState {
    host: Host,
    jobs: Jobs,
    /// The connections that were not lost, and what the program knows each by.
    links: BTreeMap<LinkId, Context>,
    session: Option<Box<SessionView>>,
    units: usize,
    limits: Limits,
    /// Held by every simple connection: while there is one, the host cannot be freed.
    alive: Arc<()>,
}

impl HostState {
    fn new(config: &HostConfig) -> Result<Self, Failure> {
        let node = check::node(&config.node, config.units.len())?;
        check::units(&config.units)?;
        let units: Vec<_> = config.units.iter().cloned().map(LogicalUnit::new).collect();
        let count = units.len();
        let host = Host::new(node, units, config.limits.clone(), config.of_all.clone());
        Ok(HostState {
            host,
            jobs: Jobs::default(),
            links: BTreeMap::new(),
            session: None,
            units: count,
            limits: config.limits.clone(),
            alive: Arc::new(()),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What a simple connection holds for as long as it needs the host.
    pub(crate) fn alive(&self) -> Arc<()> {
        self.alive.clone()
    }

    /// A link that was connected and not lost.
    fn link(&self, bits: u64) -> Result<LinkId, Failure> {
        let link = LinkId::from_bits(bits);
        if self.links.contains_key(&link) {
            Ok(link)
        } else {
            Err(Failure::unknown("there is no such connection: it was lost, or never was"))
        }
    }

    pub(crate) fn connect(&mut self, now: u64, local: SocketAddr, seed: [u8; 32]) -> Result<u64, Failure> {
        let link = self.host.connect(Instant::from_nanos(now), local, seed);
        let link = link.map_err(|refusal| Failure::new(iscsicore_status::Refused, refusal.why))?;
        self.links.insert(link, Context::default());
        Ok(link.to_bits())
    }

    pub(crate) fn receive(&mut self, now: u64, link: u64, rx: &mut Receiver) -> Result<(), Failure> {
        let link = self.link(link)?;
        Ok(self.host.receive(Instant::from_nanos(now), link, rx)?)
    }

    pub(crate) fn transmit(&mut self, now: u64, link: u64, tx: &mut Transmitter) -> Result<(), Failure> {
        let link = self.link(link)?;
        self.host.transmit(Instant::from_nanos(now), link, tx);
        Ok(())
    }

    pub(crate) fn is_closing(&self, link: u64) -> Result<bool, Failure> {
        Ok(self.host.is_closing(self.link(link)?))
    }

    pub(crate) fn lost(&mut self, now: u64, link: u64) -> Result<(), Failure> {
        let link = self.link(link)?;
        self.links.remove(&link);
        self.host.lost(Instant::from_nanos(now), link);
        Ok(())
    }

    pub(crate) fn timeout(&self) -> u64 {
        self.host.poll_timeout().map_or(ISCSICORE_NEVER, Instant::as_nanos)
    }

    pub(crate) fn handle_timeout(&mut self, now: u64) {
        self.host.handle_timeout(Instant::from_nanos(now));
    }
}

/// Makes a server without connections of a configuration, which stays the caller's and may be changed and used again: a host
/// keeps what it said at the time.
///
/// Ownership: the caller's, until iscsicore_host_free.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when the configuration contradicts itself; iscsicore_error_message names the
/// first problem.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_new(
    config: *const iscsicore_host_config,
    host: *mut *mut iscsicore_host,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (place, config) = unsafe { (out_handle(host)?, lock(config)?) };
        place.set(iscsicore_host::boxed(HostState::new(&config)?));
        Ok(())
    })
}

/// Ends a server at once, with all its sessions; what jobs name is gone, so finish them first. Payload that was lent and not
/// yet transmitted is released; what a transmitter holds, when that is freed. NULL is taken.
///
/// Errors: ISCSICORE_STATUS_WRONG_STATE while it has connections of iscsicore_simple_target; nothing is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_free(host: *mut iscsicore_host) -> iscsicore_status {
    guard(|| {
        let unused = |host: &HostState| match Arc::strong_count(&host.alive) {
            1 => Ok(()),
            _ => Err(Failure::state("the host has simple connections: free them first")),
        };
        // SAFETY: the rules at the head of the header.
        unsafe { free_if(host, unused) }
    })
}

/// Takes a connection that was accepted, and tells its link: a number that is never used again, and never 0.
///
/// `local_address` is the address that the initiator reached, as getsockname and iscsicore_address_text give it:
/// "192.0.2.1:3260", "[2001:db8::1]:3260". It decides the portal group: at an address that is no portal of a target, that target is not
/// found. `seed` is 32 bytes that nobody can predict, such as
/// getrandom gives, and of no other use.
///
/// Errors: ISCSICORE_STATUS_REFUSED when too many connections are logging in: close this one.
/// ISCSICORE_STATUS_INVALID_ARGUMENT for an address that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_connect(
    host: *mut iscsicore_host,
    now: u64,
    local_address: *const c_char,
    seed: *const u8,
    link: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut host, place) = unsafe { (lock(host)?, out(link, "link")?) };
        // SAFETY: as above.
        let (local, seed) = unsafe { (check::address(local_address)?, pointer::seed(seed)?) };
        place.set(host.connect(now, local, seed)?);
        Ok(())
    })
}

/// Takes the PDUs that the receiver of a connection has whole. Call it when bytes have arrived, when the transmitter was
/// emptied, and when iscsicore_host_next_wake tells the link.
///
/// Errors: ISCSICORE_STATUS_PEER_ERROR when the initiator broke the protocol or its login failed: transmit, for what it is
/// told is queued, and go on until iscsicore_host_is_closing says yes. ISCSICORE_STATUS_UNKNOWN when there is no such
/// connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_receive(
    host: *mut iscsicore_host,
    now: u64,
    link: u64,
    receiver: *mut iscsicore_receiver,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut host, mut receiver) = unsafe { (lock(host)?, lock(receiver)?) };
        host.receive(now, link, &mut receiver)
    })
}

/// Moves what is to be sent on a connection into its transmitter. Call it again when the transmitter was emptied.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_transmit(
    host: *mut iscsicore_host,
    now: u64,
    link: u64,
    transmitter: *mut iscsicore_transmitter,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut host, mut transmitter) = unsafe { (lock(host)?, lock(transmitter)?) };
        host.transmit(now, link, &mut transmitter)
    })
}

/// Tells whether nothing more will be said on a connection: after one more iscsicore_host_transmit write what the transmitter
/// has, close the socket and call iscsicore_host_lost. To close a socket with bytes unread resets it, and the initiator may lose the
/// last answer: shut down its writing side, and read for a moment what still comes, first.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_is_closing(
    host: *mut iscsicore_host,
    link: u64,
    closing: *mut bool,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (host, place) = unsafe { (lock(host)?, out(closing, "closing")?) };
        place.set(host.is_closing(link)?);
        Ok(())
    })
}

/// Tells that the transport of a connection is gone, whoever closed it. Its link is no more.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_lost(
    host: *mut iscsicore_host,
    now: u64,
    link: u64,
) -> iscsicore_status {
    // SAFETY: the rules at the head of the header.
    guard(|| unsafe { lock(host) }?.lost(now, link))
}

/// Tells a connection for which something happened that it did not bring about itself, or 0 when there is none now: receive
/// and transmit on it. A program that does so regularly for all connections need not ask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_next_wake(
    host: *mut iscsicore_host,
    link: *mut u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut host, place) = unsafe { (lock(host)?, out(link, "link")?) };
        place.set(host.host.poll_wake().map_or(0, LinkId::to_bits));
        Ok(())
    })
}

/// Keeps a pointer of the program's for a connection: a way from the link that iscsicore_host_next_wake tells to the program's own
/// struct. The library does nothing with it.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_set_context(
    host: *mut iscsicore_host,
    link: u64,
    context: *mut c_void,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let mut host = unsafe { lock(host) }?;
        let link = host.link(link)?;
        host.links.insert(link, Context(context));
        Ok(())
    })
}

/// Gives what iscsicore_host_set_context kept for a connection; NULL when nothing was.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_context(
    host: *mut iscsicore_host,
    link: u64,
    context: *mut *mut c_void,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (host, place) = unsafe { (lock(host)?, out(context, "context")?) };
        let link = host.link(link)?;
        place.set(host.links.get(&link).copied().unwrap_or_default().0);
        Ok(())
    })
}

/// Tells when iscsicore_host_handle_timeout is to be called, in nanoseconds, or ISCSICORE_NEVER. Any other call may change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_timeout(host: *mut iscsicore_host, at: *mut u64) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (host, place) = unsafe { (lock(host)?, out(at, "at")?) };
        place.set(host.timeout());
        Ok(())
    })
}

/// Acts on the time that has passed. Harmless when nothing is due.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_handle_timeout(
    host: *mut iscsicore_host,
    now: u64,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        unsafe { lock(host) }?.handle_timeout(now);
        Ok(())
    })
}
