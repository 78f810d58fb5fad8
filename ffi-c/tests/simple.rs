//! Both roles by simple connections, called as C would, in one process.
#![allow(clippy::undocumented_unsafe_blocks, reason = "every call gets what lives until the end of its test")]

mod support;

use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};

use iscsicore_ffi::command::*;
use iscsicore_ffi::host::iscsicore_host_free;
use iscsicore_ffi::limits::iscsicore_offer;
use iscsicore_ffi::nexus::*;
use iscsicore_ffi::op::iscsicore_op_kind as Op;
use iscsicore_ffi::payload::{iscsicore_gather, iscsicore_iovec, iscsicore_payload};
use iscsicore_ffi::simple::iscsicore_simple_event_kind as Kind;
use iscsicore_ffi::simple::*;
use support::*;

/// A simple connection, freed at its end.
struct Simple(*mut iscsicore_simple);

impl Drop for Simple {
    fn drop(&mut self) {
        ok(unsafe { iscsicore_simple_free(self.0) });
    }
}

impl Simple {
    fn of(server: &Server) -> Self {
        let mut simple = null_mut();
        ok(unsafe {
            iscsicore_simple_target(
                server.host,
                server.now,
                LOCAL.as_ptr(),
                [3u8; 32].as_ptr(),
                &raw mut simple,
            )
        });
        Simple(simple)
    }

    fn initiator() -> Self {
        Simple::initiator_with(0)
    }

    /// One that wants this, an iscsicore_digest, for both digests.
    fn initiator_with(digest: i32) -> Self {
        let mut options: iscsicore_initiator_options = unsafe { core::mem::zeroed() };
        options.size = size_of_val(&options);
        options.address = LOCAL.as_ptr();
        options.initiator = c"iqn.2001-04.com.example:me".as_ptr();
        options.target = c"iqn.2001-04.com.example:disk".as_ptr();
        let mut offer: iscsicore_offer = unsafe { core::mem::zeroed() };
        (offer.size, offer.header_digest, offer.data_digest) = (size_of_val(&offer), digest, digest);
        options.offer = &raw const offer;
        let mut simple = null_mut();
        ok(unsafe {
            iscsicore_simple_initiator(&raw const options, [5u8; 32].as_ptr(), SECOND, &raw mut simple)
        });
        Simple(simple)
    }

    fn take(&self, most: usize) -> Vec<u8> {
        let (mut bytes, mut len) = (vec![0; most], 0);
        ok(unsafe { iscsicore_simple_take(self.0, SECOND, bytes.as_mut_ptr().cast(), most, &raw mut len) });
        bytes.truncate(len);
        bytes
    }

    fn feed(&self, bytes: &[u8]) -> Status {
        unsafe { iscsicore_simple_feed(self.0, SECOND, bytes.as_ptr().cast(), bytes.len()) }
    }

    fn event(&self) -> Option<&'static iscsicore_simple_event> {
        let mut event = null();
        ok(unsafe { iscsicore_simple_next_event(self.0, &raw mut event) });
        unsafe { event.as_ref() }
    }

    fn nexus(&self) -> *mut iscsicore_nexus {
        let mut nexus = null_mut();
        ok(unsafe { iscsicore_simple_nexus(self.0, &raw mut nexus) });
        nexus
    }

    fn submit(&self, command: *mut iscsicore_command) -> u64 {
        let mut task = 0;
        ok(unsafe { iscsicore_nexus_submit(self.nexus(), SECOND, command, &raw mut task) });
        ok(unsafe { iscsicore_command_free(command) });
        task
    }
}

/// What the ends have told.
#[derive(Default)]
struct Told {
    kinds: Vec<iscsicore_nexus_event_kind>,
    statuses: Vec<u8>,
    data: Vec<u8>,
    contexts: Vec<usize>,
    /// The target's end, the initiator's.
    closed: (bool, bool),
}

/// Passes bytes on, `most` at a time, and does jobs, until nothing happens any more.
fn run(server: &mut Server, target: &Simple, initiator: &Simple, most: usize) -> Told {
    let mut told = Told::default();
    loop {
        let mut quiet = true;
        for (from, to) in [(initiator, target), (target, initiator)] {
            let bytes = from.take(most);
            quiet &= bytes.is_empty();
            if !bytes.is_empty() {
                ok(to.feed(&bytes));
            }
        }
        while let Some(event) = target.event() {
            quiet = false;
            match event.kind {
                Kind::Job => server.carry_out(unsafe { &*event.job }),
                Kind::Close => told.closed.0 = true,
                Kind::Nexus => panic!("an event of an initiator"),
            }
        }
        while let Some(event) = initiator.event() {
            quiet = false;
            match event.kind {
                Kind::Nexus => told.note(unsafe { &*event.nexus }),
                Kind::Close => told.closed.1 = true,
                Kind::Job => panic!("an event of a target"),
            }
        }
        if quiet {
            return told;
        }
    }
}

impl Told {
    fn note(&mut self, event: &iscsicore_nexus_event) {
        self.kinds.push(event.kind);
        if event.kind == iscsicore_nexus_event_kind::Completed {
            let completed = unsafe { event.u.completed };
            self.statuses.push(completed.status);
            self.contexts.push(completed.context as usize);
            let (slices, count) = (completed.data, completed.data_count);
            let mut len = 0;
            let short = unsafe { iscsicore_gather(slices, count, null_mut(), 0, &raw mut len) };
            assert_eq!(short, if len > 0 { Status::BufferTooSmall } else { Status::Ok });
            let start = self.data.len();
            self.data.resize(start + len, 0);
            let room = self.data[start..].as_mut_ptr().cast();
            ok(unsafe { iscsicore_gather(slices, count, room, len, &raw mut len) });
        }
    }
}

fn write_command(lba: u64, data: &[u8]) -> *mut iscsicore_command {
    let slice = iscsicore_iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let (slices, mut command) = ([slice], null_mut());
    let payload = iscsicore_payload { slices: slices.as_ptr(), count: 1, release: None, context: null_mut() };
    ok(unsafe { iscsicore_command_write(0, lba, &raw const payload, 512, &raw mut command) });
    command
}

fn read_command(lba: u64, blocks: u32) -> *mut iscsicore_command {
    let mut command = null_mut();
    ok(unsafe { iscsicore_command_read(0, lba, blocks, 512, &raw mut command) });
    command
}

// Goal: a newcomer's program: log in, write, read what was written, log out, with buffers of any size.
#[test]
fn what_is_written_is_read_however_the_bytes_are_cut() {
    for most in [1 << 20, 4096, 100, 7] {
        let mut server = Server::new(&Config::simple());
        let (target, initiator) = (Simple::of(&server), Simple::initiator());
        let told = run(&mut server, &target, &initiator, most);
        assert_eq!(told.kinds, [iscsicore_nexus_event_kind::Up]);

        let data: Vec<u8> = (0..64 * 512).map(|at: u32| (at * 7 % 251) as u8).collect();
        initiator.submit(write_command(3, &data));
        let told = run(&mut server, &target, &initiator, most);
        assert_eq!(told.statuses, [0]);
        assert_eq!(server.disk[3 * 512..67 * 512], data);

        initiator.submit(read_command(3, 64));
        let told = run(&mut server, &target, &initiator, most);
        assert_eq!((told.statuses, told.data), (vec![0], data.clone()));

        // The same into a buffer of the program.
        let mut buffer = vec![0u8; data.len()];
        let command = read_command(3, 64);
        ok(unsafe { iscsicore_command_set_buffer(command, buffer.as_mut_ptr().cast(), buffer.len()) });
        ok(unsafe { iscsicore_command_set_context(command, buffer.as_mut_ptr().cast()) });
        initiator.submit(command);
        let told = run(&mut server, &target, &initiator, most);
        assert_eq!((told.statuses, told.data.len()), (vec![0], 0));
        assert_eq!(told.contexts, [buffer.as_ptr() as usize]);
        assert_eq!(buffer, data);
        assert_eq!(server.seen.iter().filter(|op| **op == Op::Read).count(), 2);

        ok(unsafe { iscsicore_nexus_logout(initiator.nexus(), SECOND) });
        let told = run(&mut server, &target, &initiator, most);
        assert_eq!(told.kinds.last(), Some(&iscsicore_nexus_event_kind::Ended));
        assert_eq!(told.closed, (true, true));
        fails(target.feed(b"more"), Status::WrongState, "over");
    }
}

// Goal: a connection that is lost ends the session of the target, and the commands of the initiator.
#[test]
fn a_lost_connection_ends_both_ends() {
    let mut server = Server::new(&Config::simple());
    let (target, initiator) = (Simple::of(&server), Simple::initiator());
    run(&mut server, &target, &initiator, 4096);
    initiator.submit(read_command(0, 1));
    for end in [&target, &initiator] {
        ok(unsafe { iscsicore_simple_lost(end.0, SECOND) });
    }
    let told = run(&mut server, &target, &initiator, 4096);
    use iscsicore_nexus_event_kind as K;
    assert_eq!(told.kinds, [K::Down, K::Completed, K::Ended]);
    assert_eq!(told.closed, (true, true));
}

// Goal: the host is there for as long as its connections are, and the nexus of a connection is the connection's.
#[test]
fn owners_are_not_freed_too_early() {
    let server = Server::new(&Config::simple());
    let (target, initiator) = (Simple::of(&server), Simple::initiator());
    let freed = unsafe { iscsicore_host_free(server.host) };
    fails(freed, Status::WrongState, "simple connections");
    let freed = unsafe { iscsicore_nexus_free(initiator.nexus()) };
    fails(freed, Status::WrongState, "simple connection");
    let mut nexus = null_mut();
    let none = unsafe { iscsicore_simple_nexus(target.0, &raw mut nexus) };
    fails(none, Status::WrongState, "no nexus");
}

// Goal: when the socket is gone, CLOSE follows, whatever had not been taken.
#[test]
fn what_was_not_taken_does_not_keep_a_lost_connection() {
    let mut server = Server::new(&Config::simple());
    let (target, initiator) = (Simple::of(&server), Simple::initiator());
    run(&mut server, &target, &initiator, 4096);
    initiator.submit(read_command(0, 1));
    assert_eq!(initiator.take(10).len(), 10, "a part of the command");
    for end in [&target, &initiator] {
        ok(unsafe { iscsicore_simple_lost(end.0, SECOND) });
        assert!(end.take(4096).is_empty());
        let kinds: Vec<_> = core::iter::from_fn(|| end.event()).map(|event| event.kind).collect();
        assert_eq!(kinds.last(), Some(&Kind::Close));
    }
}

// Goal: a call that finds the nexus busy has changed nothing, and can be made again. Method: another thread asks the nexus all the time.
#[test]
fn a_busy_nexus_loses_no_bytes() {
    let mut server = Server::new(&Config::simple());
    let (target, initiator) = (Simple::of(&server), Simple::initiator());
    run(&mut server, &target, &initiator, 4096);
    let (nexus, stop) = (initiator.nexus() as usize, AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Also when an assertion fails.
        let _stop = Stop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut up = false;
                let asked = unsafe { iscsicore_nexus_is_up(nexus as *mut iscsicore_nexus, &raw mut up) };
                assert!(matches!(asked, Status::Ok | Status::Busy));
            }
        });
        for _ in 0..50 {
            let task = until_free(|| {
                let (command, mut task) = (read_command(0, 128), 0);
                let status =
                    unsafe { iscsicore_nexus_submit(nexus as *mut _, SECOND, command, &raw mut task) };
                ok(unsafe { iscsicore_command_free(command) });
                (status, task)
            });
            let mut ended = None;
            while ended.is_none() {
                let (mut bytes, mut len) = (vec![0u8; 3000], 0);
                until_free(|| {
                    let place = bytes.as_mut_ptr().cast();
                    (unsafe { iscsicore_simple_take(initiator.0, SECOND, place, 3000, &raw mut len) }, ())
                });
                ok(target.feed(&bytes[..len]));
                while let Some(event) = target.event() {
                    server.carry_out(unsafe { &*event.job });
                }
                let answer = target.take(3000);
                until_free(|| (initiator.feed(&answer), ()));
                let mut event = null();
                until_free(|| (unsafe { iscsicore_simple_next_event(initiator.0, &raw mut event) }, ()));
                let told = unsafe { event.as_ref() }.map(|event| unsafe { *event.nexus });
                let end = told.filter(|told| told.kind == iscsicore_nexus_event_kind::Completed);
                ended = end.map(|end| unsafe { end.u.completed.task });
            }
            assert_eq!(ended, Some(task));
        }
    });
}

/// Ends the other thread.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls again while a handle is busy.
fn until_free<T>(mut call: impl FnMut() -> (Status, T)) -> T {
    loop {
        match call() {
            (Status::Busy, _) => std::thread::yield_now(),
            (status, value) => {
                ok(status);
                return value;
            }
        }
    }
}

// Goal: a command that is cancelled after its end, of which nobody has been told, is told to nobody.
#[test]
fn no_event_tells_of_a_cancelled_command() {
    let mut server = Server::new(&Config::simple());
    let (target, initiator) = (Simple::of(&server), Simple::initiator());
    run(&mut server, &target, &initiator, 4096);
    // The first command meets the unit attention.
    initiator.submit(read_command(0, 1));
    run(&mut server, &target, &initiator, 4096);
    let task = initiator.submit(read_command(0, 1));
    ok(target.feed(&initiator.take(4096)));
    while let Some(event) = target.event() {
        server.carry_out(unsafe { &*event.job });
    }
    ok(initiator.feed(&target.take(4096)));
    ok(unsafe { iscsicore_nexus_cancel(initiator.nexus(), SECOND, task) });
    assert!(initiator.event().is_none());
    initiator.submit(read_command(0, 1));
    assert_eq!(run(&mut server, &target, &initiator, 4096).statuses, [0], "the session goes on");
}

// Goal: a peer that breaks the protocol is told so, and closed.
#[test]
fn nonsense_closes_the_connection() {
    let server = Server::new(&Config::simple());
    let target = Simple::of(&server);
    fails(target.feed(&[0xff; 48]), Status::PeerError, "");
    while !target.take(64).is_empty() {}
    assert_eq!(target.event().map(|event| event.kind), Some(Kind::Close));
    assert!(target.event().is_none(), "it is said once");
}

// Goal: a session that does not listen is not fed for ever. Method: pings, whose answers nobody takes.
#[test]
fn what_is_not_listened_to_is_refused() {
    let mut server = Server::new(&Config::simple());
    let (target, initiator) = (Simple::of(&server), Simple::initiator_with(1));
    run(&mut server, &target, &initiator, 4096);
    // NOP-Out, immediate, that asks for an answer with its 4096 bytes.
    let mut ping = vec![0x40, 0x80, 0, 0, 0, 0, 16, 0];
    ping.resize(16, 0);
    ping.extend([0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    ping.resize(48 + 4096, 0);
    let many = ping.repeat(16);
    let refused = (0..1000).map(|_| target.feed(&many)).find(|status| *status != Status::Ok);
    assert_eq!(refused, Some(Status::QueueFull), "{}", message());
    let mut taken = 0;
    loop {
        let len = target.take(1 << 20).len();
        taken += len;
        if len == 0 {
            break;
        }
    }
    assert!(taken > 4 << 20, "{taken} bytes of answers");
    ok(target.feed(&many));
}

// Goal: time goes through to what is inside.
#[test]
fn a_login_that_takes_too_long_is_closed() {
    let server = Server::new(&Config::simple());
    let (target, initiator) = (Simple::of(&server), Simple::initiator());
    for end in [&target, &initiator] {
        let mut at = 0;
        ok(unsafe { iscsicore_simple_timeout(end.0, &raw mut at) });
        assert!(at > SECOND && at <= 31 * SECOND, "{at}");
        ok(unsafe { iscsicore_simple_handle_timeout(end.0, at) });
        while !end.take(4096).is_empty() {}
        let events: Vec<_> = core::iter::from_fn(|| end.event()).map(|event| event.kind).collect();
        assert_eq!(events.last(), Some(&Kind::Close));
    }
}
