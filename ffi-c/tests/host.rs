//! A target server through the C functions, from login to logout, with core's own initiator at the other end.

mod support;

use core::ffi::{CStr, c_int};
use core::ptr::{null, null_mut};

use iscsicore::initiator::{Answer, Outcome, commands};
use iscsicore::scsi::{self, Sense, SenseKey};
use iscsicore::wire::Lun;
use iscsicore_ffi::host::config::iscsicore_access;
use iscsicore_ffi::host::control::*;
use iscsicore_ffi::host::job::*;
use iscsicore_ffi::host::session::*;
use iscsicore_ffi::host::*;
use iscsicore_ffi::limits::ISCSICORE_NEVER;
use iscsicore_ffi::op::*;
use support::{
    BLOCKS, Client, Config, INITIATOR, LOCAL, SECOND, Server, Status, TARGET, Wire, fails, ok, text,
    unit_options,
};

const LUN: Lun = Lun(0);

#[track_caller]
fn good(answer: &Answer) {
    assert_eq!(answer.status, scsi::Status::GOOD, "{:?}", sense(answer));
}

fn sense(answer: &Answer) -> Option<(SenseKey, u8, u8)> {
    let sense = Sense::decode(&answer.sense)?;
    Some((sense.key, sense.additional.code, sense.additional.qualifier))
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn session(server: &Server, link: u64) -> Option<&'static iscsicore_session> {
    let mut session = core::ptr::dangling();
    // SAFETY: all of it lives.
    ok(unsafe { iscsicore_host_session(server.host, link, &raw mut session) });
    // SAFETY: NULL, or until the next call of the function.
    unsafe { session.as_ref() }
}

const DONE: c_int = iscsicore_io::Done as c_int;

// Goal: the whole path of a disk through the C functions. Method: log in, write, read back, flush, log out.
#[test]
fn a_disk_is_written_read_and_flushed() {
    let mut server = Server::new(&Config::simple());
    let mut client = Client::up(&mut server);
    let data = pattern(64 * 512);
    good(&client.ask(&mut server, commands::write(LUN, 8, data.clone(), 512).unwrap()));
    assert_eq!(server.disk[8 * 512..72 * 512], data);
    let answer = client.ask(&mut server, commands::read(LUN, 8, 64, 512).unwrap());
    good(&answer);
    assert_eq!(answer.data.to_bytes(), data);
    good(&client.ask(&mut server, commands::flush(LUN)));
    let seen = &server.seen;
    use iscsicore_op_kind as K;
    assert!([K::Write, K::Read, K::Flush].iter().all(|kind| seen.contains(kind)), "{seen:?}");
    assert_eq!(server.session_count(), 1);
    client.nexus.logout(iscsicore::Instant::from_nanos(server.now));
    client.run(&mut server);
    assert_eq!((server.session_count(), client.wire.is_none()), (0, true));
    drop(client);
    assert_eq!((server.lent, server.released()), (1, 1));
}

// Goal: lent memory is given back once, and not before its last byte was written. Method: take the answer in pieces.
#[test]
fn lent_payload_comes_back_when_its_last_byte_was_transmitted() {
    let mut server = Server::new(&Config::simple());
    let mut client = Client::up(&mut server);
    server.disk = pattern(server.disk.len());
    client.submit(&server, commands::read(LUN, 0, 16, 512).unwrap());
    client.say(&server);
    assert!(server.work());
    assert_eq!((server.lent, server.released()), (1, 0));
    let wire = client.wire.as_ref().unwrap();
    wire.transmit(&server);
    assert_eq!(server.released(), 0, "the transmitter has it");
    let mut bytes = Vec::new();
    while server.released() == 0 {
        let byte = wire.take(1);
        assert_eq!(byte.len(), 1, "everything was taken, and it did not come back");
        bytes.extend(byte);
    }
    assert!(bytes.ends_with(&server.disk[..16 * 512]), "after its very last byte");
    bytes.extend(wire.take(usize::MAX));
    client.take(&server, bytes);
    client.run(&mut server);
    let Some(Outcome::Answered(answer)) = client.done.pop() else { panic!("no answer") };
    assert_eq!(answer.data.to_bytes(), server.disk[..16 * 512]);
    assert_eq!(server.released(), 1);
}

// Goal: what is lent comes back when the connection goes before it could be sent.
#[test]
fn lent_payload_comes_back_when_the_connection_is_lost() {
    let mut server = Server::new(&Config::simple());
    let mut client = Client::up(&mut server);
    client.submit(&server, commands::read(LUN, 0, 4, 512).unwrap());
    client.submit(&server, commands::read(LUN, 4, 4, 512).unwrap());
    client.say(&server);
    let (first, second) = (server.next_job().unwrap(), server.next_job().unwrap());
    server.carry_out(first);
    let wire = client.wire.take().unwrap();
    ok(wire.lost(&server));
    assert_eq!(server.session_count(), 1, "a job is under way");
    assert_eq!((second.op.kind, second.op.len), (iscsicore_op_kind::Read, 4 * 512), "it can still be read");
    server.carry_out(second);
    assert_eq!((server.lent, server.released(), server.session_count()), (2, 2, 0));
}

// Goal: a job is finished once, by the function that fits it; until then it is what it was, wherever the host is. Method:
// many jobs at once, and every mistake with each kind.
#[test]
fn a_job_is_finished_once_and_survives_mistakes() {
    let mut server = Server::new(&Config::simple());
    let mut client = Client::up(&mut server);
    let data = pattern(512);
    client.submit(&server, commands::write(LUN, 1, data.clone(), 512).unwrap());
    for lba in 0..40 {
        client.submit(&server, commands::read(LUN, lba, 1, 512).unwrap());
    }
    client.say(&server);
    let jobs: Vec<&iscsicore_job> = core::iter::from_fn(|| server.next_job()).collect();
    assert_eq!(jobs.len(), 41);
    let (write, read) = (jobs[0], jobs[1]);
    assert_eq!((write.op.kind, write.op.offset, write.op.len), (iscsicore_op_kind::Write, 512, 512));
    // SAFETY: the slices live until the job is finished.
    let slice = unsafe { *write.op.data };
    // SAFETY: as above.
    assert_eq!(unsafe { core::slice::from_raw_parts(slice.iov_base.cast::<u8>(), 512) }, data);
    let mut ids: Vec<u64> = jobs.iter().map(|job| job.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() == 41 && !ids.contains(&0));

    let wrong = Status::InvalidArgument;
    fails(server.finish(read.id, iscsicore_io::Done as c_int, 0), wrong, "a read is done with its data");
    fails(server.finish(read.id, 7, 0), wrong, "7 is no iscsicore_io");
    fails(server.finish(write.id, 0, 0), wrong, "0 is no iscsicore_io");
    fails(server.finish(write.id, -1, 0), wrong, "-1 is no iscsicore_io");
    fails(server.finish_read(read.id, vec![0; 511]), wrong, "511 bytes for a read of 512");
    fails(server.finish_read(write.id, vec![0; 512]), wrong, "is not ISCSICORE_OP_KIND_READ");
    // SAFETY: the host lives, and NULL is no extents.
    let status = unsafe { iscsicore_host_finish_extents(server.host, server.now, read.id, null(), 0) };
    fails(status, wrong, "is not ISCSICORE_OP_KIND_EXTENTS");
    assert_eq!((server.lent, server.released()), (0, 0), "nothing was lent");

    let (write_id, read_id) = (write.id, read.id);
    for job in jobs {
        server.carry_out(job);
    }
    fails(server.finish(write_id, 0, 0), Status::Unknown, "no such job");
    fails(server.finish_read(read_id, vec![0; 512]), Status::Unknown, "no such job");
    for id in [0, 1, u64::MAX, 1 << 32 | 5000] {
        fails(server.finish(id, 0, 0), Status::Unknown, "no such job");
    }
    assert_eq!((server.lent, server.released()), (40, 0));
    client.run(&mut server);
    assert_eq!((client.done.len(), server.released()), (41, 40));

    // The place is used again, with another id.
    client.submit(&server, commands::flush(LUN));
    client.say(&server);
    let flush = server.next_job().unwrap();
    assert!(!ids.contains(&flush.id));
    server.carry_out(flush);
    assert!(server.next_job().is_none());
}

// Goal: the errors of storage reach the initiator as sense data.
#[test]
fn storage_errors_become_sense_data() {
    let mut server = Server::new(&Config::simple());
    let mut client = Client::up(&mut server);
    let cases = [
        (iscsicore_io::MediumError, (SenseKey::MediumError, 0x0c)),
        (iscsicore_io::NoSpace, (SenseKey::DataProtect, 0x27)),
        (iscsicore_io::ReadOnly, (SenseKey::DataProtect, 0x27)),
        (iscsicore_io::Failed, (SenseKey::HardwareError, 0x44)),
    ];
    for (io, expected) in cases {
        server.failure = Some((io as c_int, 5 * 512));
        let answer = client.ask(&mut server, commands::write(LUN, 4, pattern(1024), 512).unwrap());
        let (key, asc, _) = sense(&answer).expect("sense data");
        assert_eq!((key, asc), expected, "{io:?}");
        if io == iscsicore_io::MediumError {
            assert_eq!(Sense::decode(&answer.sense).unwrap().information, Some(5));
        }
    }
}

// Goal: a thin unit asks for extents, and any answer is taken, however odd.
#[test]
fn a_thin_unit_asks_for_extents_and_gives_up_space() {
    let config = Config::new();
    let mut options = unit_options(c"serial-1");
    (options.thin, options.block_size) = (1, 4096);
    config.unit(&options);
    config.target(TARGET);
    ok(config.portal(0, 1, LOCAL));
    ok(config.lun(0, 0, 0));
    let mut server = Server::new(&config);
    let mut client = Client::up(&mut server);
    let odd = [(u64::MAX, 0), (u64::MAX, 1), (0, 0)].map(|(len, mapped)| iscsicore_extent { len, mapped });
    let plain = [(8192, 1), (4096, 0)].map(|(len, mapped)| iscsicore_extent { len, mapped });
    for (extents, states) in [(&odd[..], &[1u8][..]), (&plain, &[0, 1]), (&[], &[0])] {
        client.submit(&server, commands::get_lba_status(LUN, 0, 512).unwrap());
        client.say(&server);
        let job = server.next_job().unwrap();
        assert_eq!(job.op.kind, iscsicore_op_kind::Extents);
        assert!(job.op.most > 0);
        fails(server.finish(job.id, DONE, 0), Status::InvalidArgument, "extents are told by");
        // SAFETY: all of it lives.
        ok(unsafe {
            let (host, now) = (server.host, server.now);
            iscsicore_host_finish_extents(host, now, job.id, extents.as_ptr(), extents.len())
        });
        client.run(&mut server);
        let Some(Outcome::Answered(answer)) = client.done.pop() else { panic!("no answer") };
        good(&answer);
        let data = answer.data.to_bytes();
        let found: Vec<u8> = data[8..].chunks(16).map(|descriptor| descriptor[12]).collect();
        assert_eq!(found, states);
    }
    client.submit(&server, commands::unmap(LUN, &[(0, 2), (9, 1)]).unwrap());
    client.say(&server);
    let job = server.next_job().unwrap();
    assert_eq!(job.op.kind, iscsicore_op_kind::Unmap);
    // SAFETY: the ranges live until the job is finished.
    let ranges = unsafe { core::slice::from_raw_parts(job.op.ranges, job.op.range_count) };
    let ranges: Vec<_> = ranges.iter().map(|range| (range.offset, range.len)).collect();
    assert_eq!(ranges, [(0, 8192), (36864, 4096)]);
    ok(server.finish(job.id, DONE, 0));
}

// Goal: a LUN that is read-only refuses writes, also when the same unit can be written through another.
#[test]
fn a_read_only_lun_and_a_read_only_unit_refuse_writes() {
    let config = Config::simple();
    let mut options = unit_options(c"serial-2");
    options.read_only = 1;
    assert_eq!(config.unit(&options), 1);
    ok(config.lun_for(0, None, 1, 0, iscsicore_access::ReadOnly as c_int));
    ok(config.lun(0, 2, 1));
    let mut server = Server::new(&config);
    let mut client = Client::up(&mut server);
    for (lun, writable) in [(0, true), (1, false), (2, false)] {
        let lun = Lun::from_number(lun).unwrap();
        good(&client.ask(&mut server, commands::read(lun, 0, 1, 512).unwrap()));
        let answer = client.ask(&mut server, commands::write(lun, 0, pattern(512), 512).unwrap());
        let expected = (!writable).then_some((SenseKey::DataProtect, 0x27, 0x00));
        assert_eq!(sense(&answer), expected, "{lun:?}");
    }
}

// Goal: an initiator with LUNs of its own sees those alone.
#[test]
fn an_initiator_may_have_luns_of_its_own() {
    let config = Config::simple();
    config.unit(&unit_options(c"serial-2"));
    let mine = c"iqn.2001-04.com.example:me";
    ok(config.lun_for(0, Some(mine), 5, 1, 0));
    // A refusal leaves no map behind.
    let other = c"iqn.2001-04.com.example:you";
    fails(config.lun_for(0, Some(other), 16384, 1, 0), Status::InvalidArgument, "16384");
    let mut server = Server::new(&config);
    let mut luns_of = |name: &str| {
        let mut client = Client::of(name, None);
        client.run(&mut server);
        let data = client.ask(&mut server, commands::report_luns(LUN)).data.to_bytes();
        data[8..].chunks(8).map(|lun| lun[1]).collect::<Vec<_>>()
    };
    assert_eq!(luns_of(INITIATOR), [5]);
    assert_eq!(luns_of(other.to_str().unwrap()), [0]);
}

// Goal: initiators learn of another capacity.
#[test]
fn a_unit_is_resized() {
    let mut server = Server::new(&Config::simple());
    let mut client = Client::up(&mut server);
    let last_block = |answer: &Answer| {
        let data = answer.data.to_bytes();
        u64::from_be_bytes(data[..8].try_into().unwrap())
    };
    assert_eq!(last_block(&client.ask(&mut server, commands::read_capacity_16(LUN))), BLOCKS - 1);
    // SAFETY: the host lives.
    let resize = |unit, blocks| unsafe { iscsicore_host_resize(server.host, unit, blocks) };
    ok(resize(0, 100));
    fails(resize(1, 100), Status::Unknown, "there is no unit 1");
    fails(resize(0, 0), Status::InvalidArgument, "blocks is 0");
    fails(resize(0, (1 << 54) + 1), Status::InvalidArgument, "it can be 1 to 18014398509481984");
    client.attentions.clear();
    assert_eq!(last_block(&client.ask(&mut server, commands::read_capacity_16(LUN))), 99);
    let attention = Sense::decode(&client.attentions[0]).unwrap();
    assert_eq!((attention.additional.code, attention.additional.qualifier), (0x2a, 0x09));
}

// Goal: what is told of a session, before, while and after there is one.
#[test]
fn sessions_are_told_of() {
    let mut server = Server::new(&Config::simple());
    let idle = Wire::new(&server).unwrap();
    assert!(session(&server, idle.link).is_none());
    let mut client = Client::up(&mut server);
    good(&client.ask(&mut server, commands::write(LUN, 0, pattern(1024), 512).unwrap()));
    good(&client.ask(&mut server, commands::read(LUN, 0, 1, 512).unwrap()));
    let link = client.wire.as_ref().unwrap().link;
    let told = session(&server, link).unwrap();
    assert_eq!(text(told.initiator).as_deref(), Some(INITIATOR));
    assert_eq!(text(told.initiator_alias).as_deref(), Some("me"));
    assert_eq!(text(told.target).as_deref(), Some(TARGET));
    assert_eq!((text(told.user), told.discovery, told.portal_group_tag), (None, false, 1));
    assert_eq!(told.isid, [0x80, 1, 2, 3, 4, 5]);
    assert_ne!(told.tsih, 0);
    assert_eq!((told.outstanding, told.bytes_out), (0, 1024));
    assert!(told.commands >= 2 && told.bytes_in >= 512 && told.rejects == 0 && told.digest_errors == 0);
    assert!(told.parameters.immediate_data && told.parameters.peer_max_segment >= 512);
    let mut session = core::ptr::dangling();
    // SAFETY: all of it lives.
    let status = unsafe { iscsicore_host_session(server.host, link + 1, &raw mut session) };
    fails(status, Status::Unknown, "no such connection");
    ok(idle.lost(&server));
}

// Goal: a login that does not come ends, and its link is named. Method: jump to the deadline.
#[test]
fn a_silent_login_times_out() {
    let mut server = Server::new(&Config::simple());
    assert_eq!(server.timeout(), ISCSICORE_NEVER);
    let wire = Wire::new(&server).unwrap();
    assert_eq!(server.timeout(), server.now + 15 * SECOND);
    server.now += 15 * SECOND - 1;
    // SAFETY: the host lives.
    let handle = |now| ok(unsafe { iscsicore_host_handle_timeout(server.host, now) });
    handle(server.now);
    assert_eq!((wire.is_closing(&server), server.next_wake()), (false, 0));
    handle(server.now + 1);
    assert_eq!((wire.is_closing(&server), server.next_wake(), server.next_wake()), (true, wire.link, 0));
    assert_eq!(server.timeout(), ISCSICORE_NEVER);
    ok(wire.lost(&server));
    fails(wire.lost(&server), Status::Unknown, "no such connection");
    fails(wire.receive(&server), Status::Unknown, "no such connection");
    let mut closing = false;
    // SAFETY: all of it lives.
    let status = unsafe { iscsicore_host_is_closing(server.host, wire.link, &raw mut closing) };
    fails(status, Status::Unknown, "no such connection");
    // SAFETY: all of it lives.
    let status = unsafe { iscsicore_host_transmit(server.host, server.now, wire.link, wire.tx) };
    fails(status, Status::Unknown, "no such connection");
}

// Goal: a new login of the same initiator port takes the place of its old session.
#[test]
fn a_session_is_reinstated() {
    let mut server = Server::new(&Config::simple());
    let client = Client::up(&mut server);
    let old = client.wire.as_ref().unwrap().link;
    let again = Client::up(&mut server);
    assert_eq!(server.session_count(), 1);
    assert_eq!(server.next_wake(), old);
    assert!(client.wire.as_ref().unwrap().is_closing(&server));
    assert!(session(&server, old).is_none());
    assert!(session(&server, again.wire.as_ref().unwrap().link).is_some());
}

// Goal: an orderly end. Method: no more logins, and a request to log out; who does not is ended when time is up.
#[test]
fn a_server_shuts_down() {
    let mut server = Server::new(&Config::simple());
    let (mut client, silent) = (Client::up(&mut server), Wire::new(&server).unwrap());
    let set = |target: &CStr, service: c_int| {
        // SAFETY: all of it lives.
        unsafe { iscsicore_host_set_service(server.host, target.as_ptr(), service) }
    };
    let name = c"iqn.2001-04.com.example:disk";
    fails(set(c"iqn.2001-04.com.example:none", 1), Status::Unknown, "there is no target");
    fails(set(name, 3), Status::InvalidArgument, "3, which is no iscsicore_service");
    ok(set(name, iscsicore_service::Unavailable as c_int));
    let mut late = Client::of("iqn.2001-04.com.example:late", None);
    late.run(&mut server);
    assert_eq!(late.refusal(), Some(0x0301));

    // SAFETY: the host lives.
    ok(unsafe { iscsicore_host_request_logout(server.host, server.now, 5 * SECOND) });
    let link = client.wire.as_ref().unwrap().link;
    assert_eq!(server.next_wake(), link);
    client.run(&mut server);
    assert_eq!(server.session_count(), 0, "{:?}", client.end);
    ok(silent.lost(&server));
}

// Goal: who breaks the protocol is told by a status, and the link says that it is over.
#[test]
fn a_peer_that_breaks_the_protocol_ends_its_connection() {
    let server = Server::new(&Config::simple());
    let wire = Wire::new(&server).unwrap();
    wire.push(&[0xff; 48]);
    assert_eq!(wire.receive(&server), Status::PeerError);
    assert!(!support::message().is_empty());
    wire.transmit(&server);
    wire.take(usize::MAX);
    assert!(wire.is_closing(&server));
    ok(wire.lost(&server));
}

// Goal: NULL is a status for every parameter, and no handle is too wrong to be freed.
#[test]
fn null_is_a_status() {
    let server = Server::new(&Config::simple());
    let wire = Wire::new(&server).unwrap();
    let (host, link, n) = (server.host, wire.link, Status::NullPointer);
    let seed = [0u8; 32];
    let mut number = 0;
    // SAFETY: NULL or alive, all of it.
    unsafe {
        assert_eq!(iscsicore_host_free(null_mut()), Status::Ok);
        assert_eq!(iscsicore_host_new(null(), null_mut()), n);
        let mut made = core::ptr::dangling_mut();
        assert_eq!(iscsicore_host_new(null(), &raw mut made), n);
        assert!(made.is_null());
        let local = LOCAL.as_ptr();
        assert_eq!(iscsicore_host_connect(null_mut(), 0, local, seed.as_ptr(), &raw mut number), n);
        assert_eq!(iscsicore_host_connect(host, 0, null(), seed.as_ptr(), &raw mut number), n);
        assert_eq!(iscsicore_host_connect(host, 0, local, null(), &raw mut number), n);
        assert_eq!(iscsicore_host_connect(host, 0, local, seed.as_ptr(), null_mut()), n);
        let bad = c"192.0.2.1".as_ptr();
        let status = iscsicore_host_connect(host, 0, bad, seed.as_ptr(), &raw mut number);
        fails(status, Status::InvalidArgument, "is no address with a port");
        assert_eq!(iscsicore_host_receive(null_mut(), 0, link, wire.rx), n);
        assert_eq!(iscsicore_host_receive(host, 0, link, null_mut()), n);
        assert_eq!(iscsicore_host_transmit(host, 0, link, null_mut()), n);
        assert_eq!(iscsicore_host_is_closing(host, link, null_mut()), n);
        assert_eq!(iscsicore_host_lost(null_mut(), 0, link), n);
        assert_eq!(iscsicore_host_next_wake(host, null_mut()), n);
        assert_eq!(iscsicore_host_timeout(host, null_mut()), n);
        assert_eq!(iscsicore_host_handle_timeout(null_mut(), 0), n);
        assert_eq!(iscsicore_host_next_job(host, null_mut()), n);
        assert_eq!(iscsicore_host_finish(null_mut(), 0, 1, 0, 0), n);
        assert_eq!(iscsicore_host_finish_read(null_mut(), 0, 1, null()), n);
        assert_eq!(iscsicore_host_finish_extents(null_mut(), 0, 1, null(), 0), n);
        assert_eq!(iscsicore_host_session(host, link, null_mut()), n);
        assert_eq!(iscsicore_host_session_count(host, null_mut()), n);
        assert_eq!(iscsicore_host_request_logout(null_mut(), 0, 0), n);
        assert_eq!(iscsicore_host_resize(null_mut(), 0, 1), n);
        assert_eq!(iscsicore_host_set_service(host, null(), 0), n);
        assert_eq!(iscsicore_host_reconfigure(host, null()), n);
        assert_eq!(iscsicore_host_reconfigure(null_mut(), null()), n);
    }
}

// Goal: what the program keeps for a connection comes back, for as long as there is the connection.
#[test]
fn a_connection_has_a_context() {
    let server = Server::new(&Config::simple());
    let wires = [Wire::new(&server).unwrap(), Wire::new(&server).unwrap()];
    let context = |link| {
        let mut context = core::ptr::dangling_mut();
        // SAFETY: all of it lives.
        let status = unsafe { iscsicore_host_context(server.host, link, &raw mut context) };
        (status, context as usize)
    };
    assert_eq!(context(wires[0].link), (Status::Ok, 0));
    // SAFETY: a context is never looked behind.
    let set = |link, to: usize| unsafe { iscsicore_host_set_context(server.host, link, to as *mut _) };
    ok(set(wires[0].link, 7));
    ok(set(wires[1].link, 9));
    ok(set(wires[0].link, 8));
    assert_eq!((context(wires[0].link), context(wires[1].link)), ((Status::Ok, 8), (Status::Ok, 9)));
    // SAFETY: the host lives.
    ok(unsafe { iscsicore_host_lost(server.host, server.now, wires[0].link) });
    assert_eq!(context(wires[0].link).0, Status::Unknown);
    assert_eq!(set(wires[0].link, 1), Status::Unknown);
    assert_eq!(context(wires[1].link), (Status::Ok, 9));
}
