//! Configurations of a target server through the C functions: what is taken, what is refused and in which words, and what
//! it means at the login.

mod support;

use core::ffi::{CStr, c_char, c_int};
use core::ptr::{null, null_mut};

use iscsicore::Instant;
use iscsicore::initiator::{Credentials, commands};
use iscsicore::login::{Account, ChapAlgorithm, Secret};
use iscsicore::scsi;
use iscsicore::target::SendTargets;
use iscsicore::wire::Lun;
use iscsicore_ffi::address::iscsicore_address_text;
use iscsicore_ffi::host::accounts::*;
use iscsicore_ffi::host::config::*;
use iscsicore_ffi::host::control::*;
use iscsicore_ffi::host::session::*;
use iscsicore_ffi::limits::{iscsicore_limits, iscsicore_offer};
use iscsicore_ffi::unit_options::{iscsicore_task_function, iscsicore_unit_options};
use support::{
    Client, Config, INITIATOR, LOCAL, SECOND, Server, Status, TARGET, Wire, fails, ok, text, unit_options,
};

const SECRET: &[u8] = b"secret of initiator";
const OWN: &[u8] = b"secret of the target";

fn account(config: &Config, of: u32, name: &CStr, secret: &[u8], initiator: Option<&CStr>) -> Status {
    let initiator = initiator.map_or(null(), CStr::as_ptr);
    // SAFETY: all of it lives.
    unsafe {
        iscsicore_host_config_add_account(
            config.0,
            of,
            name.as_ptr(),
            secret.as_ptr(),
            secret.len(),
            initiator,
        )
    }
}

fn mutual(config: &Config, of: u32, name: &CStr, secret: &[u8]) -> Status {
    // SAFETY: all of it lives.
    unsafe { iscsicore_host_config_set_mutual(config.0, of, name.as_ptr(), secret.as_ptr(), secret.len()) }
}

fn algorithms(config: &Config, of: u32, algorithms: &[c_int]) -> Status {
    // SAFETY: all of it lives.
    unsafe { iscsicore_host_config_set_chap_algorithms(config.0, of, algorithms.as_ptr(), algorithms.len()) }
}

fn credentials(name: &str, secret: &[u8]) -> Credentials {
    Credentials::new(Account { name: name.into(), secret: Secret::new(secret) })
}

/// Whether a login succeeds, or the status with which it was refused, if this end did not give it up.
fn login(
    server: &mut Server,
    initiator: &str,
    credentials: Option<Credentials>,
) -> Result<Client, Option<u16>> {
    let mut client = Client::of(initiator, credentials);
    client.run(server);
    if client.nexus.is_up() { Ok(client) } else { Err(client.refusal()) }
}

#[track_caller]
fn refused(config: &Config, words: &str) {
    let (status, host) = config.host();
    fails(status, Status::InvalidArgument, words);
    assert!(host.is_null());
}

// Goal: contradictions are told by iscsicore_host_new, in words, and a configuration stays usable.
#[test]
fn contradictions_are_told() {
    let config = Config::new();
    let unit = |serial| config.unit(&unit_options(serial));
    unit(c"serial-1");
    config.target(TARGET);
    refused(&config, "target iqn.2001-04.com.example:disk has no portal");
    ok(config.portal(0, 1, LOCAL));
    ok(config.lun(0, 3, 1));
    refused(&config, "LUN 3 of target iqn.2001-04.com.example:disk stands for unit 1, but there are 1 units");
    unit(c"serial-2");
    let server = Server::new(&config);
    ok(config.portal(0, 2, LOCAL));
    refused(&config, "has portal 192.0.2.1:3260 twice");
    assert_eq!(server.session_count(), 0, "the host does not know of it");

    let config = Config::simple();
    config.target(TARGET);
    ok(config.portal(1, 1, LOCAL));
    refused(&config, "target iqn.2001-04.com.example:disk is defined twice");

    let config = Config::simple();
    // SAFETY: all of it lives.
    ok(unsafe {
        let (address, announce) = (c"192.0.2.1:3261".as_ptr(), c"no port".as_ptr());
        iscsicore_host_config_add_portal(config.0, 0, 1, address, announce)
    });
    refused(&config, "\"no port\" cannot be announced as an address; write host:port");

    let config = Config::simple();
    config.unit(&unit_options(c"serial-1"));
    refused(&config, "units 0 and 1 have one serial number");

    let config = Config::simple();
    for serial in [c"serial-2", c"serial-3"] {
        let naa = [0x51, 2, 3, 4, 5, 6, 7, 8];
        let mut options = unit_options(serial);
        (options.naa, options.naa_len) = (naa.as_ptr(), naa.len());
        config.unit(&options);
    }
    refused(&config, "units 1 and 2 have one NAA identifier");
}

// Goal: what is wrong by itself is refused at once, and nothing has changed then.
#[test]
fn malformed_parts_are_refused_at_once() {
    let config = Config::simple();
    let wrong = Status::InvalidArgument;
    let target = |name: *const c_char| {
        let mut target = 77;
        // SAFETY: all of it lives.
        unsafe { iscsicore_host_config_add_target(config.0, name, null(), &raw mut target) }
    };
    fails(target(c"disk".as_ptr()), wrong, "\"disk\" is no iSCSI name");
    fails(target(c"\xff".as_ptr()), wrong, "name is not UTF-8");
    fails(target(null()), Status::NullPointer, "name is NULL");
    for address in [c"192.0.2.1", c"localhost:3260", c"", c"192.0.2.1:70000"] {
        fails(config.portal(0, 1, address), wrong, "is no address with a port");
    }
    ok(config.portal(0, 1, c"[2001:db8::1]:3260"));
    fails(config.portal(1, 1, LOCAL), Status::Unknown, "there is no target 1 in this configuration");
    fails(config.portal(ISCSICORE_DISCOVERY, 1, LOCAL), Status::Unknown, "there is no target");
    fails(config.lun(0, 0, 0), wrong, "LUN 0 is mapped twice");
    fails(config.lun(0, 16384, 0), wrong, "LUN 16384 is out of range");
    fails(config.lun_for(0, None, 1, 0, 2), wrong, "access is 2, which is no iscsicore_access");
    fails(config.lun_for(0, Some(c"a b"), 1, 0, 0), wrong, "has no iSCSI name");
    fails(config.lun(9, 1, 0), Status::Unknown, "there is no target 9");
    fails(account(&config, 9, c"user", SECRET, None), Status::Unknown, "there is no target 9");
    fails(mutual(&config, 9, c"user", SECRET), Status::Unknown, "there is no target 9");
    fails(algorithms(&config, 9, &[5]), Status::Unknown, "there is no target 9");
    fails(algorithms(&config, 0, &[]), wrong, "CHAP without an algorithm");
    fails(algorithms(&config, 0, &[5, 9]), wrong, "9 is no iscsicore_chap_algorithm");
    fails(algorithms(&config, 0, &[-1]), wrong, "-1 is no iscsicore_chap_algorithm");
    fails(algorithms(&config, 0, &[7, 7]), wrong, "algorithm 7 is there twice");
    // SAFETY: all of it lives.
    unsafe {
        let limits = iscsicore_node_limits {
            size: size_of::<iscsicore_node_limits>(),
            sessions: 65536,
            sessions_per_initiator: 0,
            discovery_sessions: 0,
            connections_in_login: 0,
        };
        let status = iscsicore_host_config_set_node_limits(config.0, &limits);
        fails(status, wrong, "sessions is 65536; it can be 1 to 65535");
        let small = iscsicore_node_limits { size: 8, ..limits };
        let status = iscsicore_host_config_set_node_limits(config.0, &small);
        fails(status, Status::InvalidSize, "set it to sizeof(iscsicore_node_limits)");
        let status = iscsicore_host_config_allow_initiator(config.0, 0, c"".as_ptr());
        fails(status, wrong, "has no iSCSI name");
        fails(iscsicore_host_config_set_offer(config.0, 7, null()), Status::Unknown, "there is no target 7");
    }
    // None of it has left anything behind: everybody still gets in, without CHAP.
    let mut server = Server::new(&config);
    assert!(login(&mut server, INITIATOR, None).is_ok());
}

#[test]
fn null_is_a_status() {
    let (config, n) = (Config::simple(), Status::NullPointer);
    let name = c"iqn.2001-04.com.example:other".as_ptr();
    let mut number = 0;
    // SAFETY: NULL or alive, all of it.
    unsafe {
        assert_eq!(iscsicore_host_config_new(null_mut()), n);
        assert_eq!(iscsicore_host_config_free(null_mut()), Status::Ok);
        assert_eq!(iscsicore_host_config_set_limits(null_mut(), null()), n);
        assert_eq!(iscsicore_host_config_set_limits(config.0, null()), Status::Ok);
        assert_eq!(iscsicore_host_config_set_node_limits(null_mut(), null()), n);
        assert_eq!(iscsicore_host_config_set_node_limits(config.0, null()), Status::Ok);
        assert_eq!(iscsicore_host_config_add_unit(config.0, null(), &raw mut number), n);
        assert_eq!(iscsicore_host_config_add_unit(config.0, &unit_options(c"s"), null_mut()), n);
        assert_eq!(iscsicore_host_config_add_target(config.0, name, null(), null_mut()), n);
        assert_eq!(iscsicore_host_config_add_portal(config.0, 0, 1, null(), null()), n);
        assert_eq!(iscsicore_host_config_add_lun(null_mut(), 0, null(), 0, 0, 0), n);
        assert_eq!(iscsicore_host_config_allow_initiator(config.0, 0, null()), n);
        assert_eq!(iscsicore_host_config_add_account(config.0, 0, null(), null(), 0, null()), n);
        assert_eq!(iscsicore_host_config_add_account(config.0, 0, name, null(), 5, null()), n);
        assert_eq!(iscsicore_host_config_set_mutual(config.0, 0, null(), null(), 0), n);
        assert_eq!(iscsicore_host_config_set_chap_algorithms(config.0, 0, null(), 3), n);
        assert_eq!(iscsicore_host_config_set_offer(config.0, 0, null()), Status::Ok);
        assert_eq!(iscsicore_host_config_set_offer(config.0, ISCSICORE_DISCOVERY, null()), Status::Ok);
    }
    // The second unit was not added.
    ok(config.lun(0, 1, 1));
    refused(&config, "there are 1 units");
}

// Goal: every field of a unit's options is checked, and named when it is wrong.
#[test]
fn options_of_a_unit_are_checked() {
    type Change = fn(&mut iscsicore_unit_options);
    let cases: [(Change, &str); 20] = [
        (|o| o.serial = c"".as_ptr(), "serial is empty"),
        (|o| o.serial = c"caf\xc3\xa9".as_ptr(), "printable ASCII"),
        (|o| o.vendor = c"nine char".as_ptr(), "vendor is \"nine char\"; it can be up to 8"),
        (|o| o.product = c"seventeen letters".as_ptr(), "product is"),
        (|o| o.revision = c"12345".as_ptr(), "revision is"),
        (|o| (o.naa, o.naa_len) = ([0x60; 8].as_ptr(), 8), "naa is none"),
        (|o| o.blocks = 0, "blocks is 0; it can be 1 to 18014398509481984"),
        (|o| o.blocks = (1 << 54) + 1, "blocks is 18014398509481985"),
        (|o| (o.blocks, o.block_size) = ((1 << 51) + 1, 4096), "it can be 1 to 2251799813685248"),
        (|o| o.block_size = 520, "block_size is 520; it can be 512 or 4096"),
        (|o| o.physical_block_size = 256, "a power of two from 512 to 16777216"),
        (|o| o.physical_block_size = 1536, "physical_block_size is 1536"),
        (|o| o.write_cache = 3, "write_cache is 3"),
        (|o| o.max_transfer = 65535, "max_transfer is 65535"),
        (|o| o.max_transfer = 65536 + 1, "a multiple of 512"),
        (|o| o.chunk = 128 << 20, "chunk is"),
        (|o| o.max_unmap_descriptors = 4096, "max_unmap_descriptors is 4096; it can be 1 to 4095"),
        (|o| o.task_functions = 0x2000, "task_functions has 0x2000"),
        (|o| o.reserved = 1, "reserved is not 0"),
        (|o| o.block_size = u32::MAX, "block_size"),
    ];
    let config = Config::new();
    let mut number = 99;
    for (change, words) in cases {
        let mut options = unit_options(c"serial-1");
        change(&mut options);
        // SAFETY: all of it lives.
        let status = unsafe { iscsicore_host_config_add_unit(config.0, &options, &raw mut number) };
        fails(status, Status::InvalidArgument, words);
    }
    let mut options = unit_options(c"serial-1");
    options.serial = null();
    // SAFETY: all of it lives.
    let status = unsafe { iscsicore_host_config_add_unit(config.0, &options, &raw mut number) };
    fails(status, Status::NullPointer, "serial is NULL");
    options.size -= 1;
    // SAFETY: all of it lives.
    let status = unsafe { iscsicore_host_config_add_unit(config.0, &options, &raw mut number) };
    fails(status, Status::InvalidSize, "set it to sizeof(iscsicore_unit_options)");
    assert_eq!((number, config.unit(&unit_options(c"serial-1"))), (99, 0));
}

// Goal: what the options say is what the initiator sees.
#[test]
fn options_of_a_unit_reach_the_initiator() {
    let naa = [0x60u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut options = unit_options(c"serial-1");
    (options.vendor, options.product, options.revision) = (c"ACME".as_ptr(), c"DISK".as_ptr(), c"2".as_ptr());
    (options.naa, options.naa_len) = (naa.as_ptr(), naa.len());
    (options.block_size, options.physical_block_size) = (4096, 32768);
    (options.thin, options.write_cache) = (1, 2);
    (options.max_transfer, options.max_unmap_blocks) = (1 << 20, 64);
    (options.max_unmap_descriptors, options.unmap_granularity) = (5, 4);
    options.max_write_same_blocks = 99;
    options.task_functions = iscsicore_task_function::AbortTask as u32;
    let config = Config::new();
    config.unit(&options);
    config.target(TARGET);
    ok(config.portal(0, 1, LOCAL));
    ok(config.lun(0, 0, 0));
    let mut server = Server::new(&config);
    let mut client = Client::up(&mut server);
    let mut ask = |command| client.ask(&mut server, command).data.to_bytes();
    let lun = Lun(0);
    let inquiry = ask(commands::inquiry(lun));
    assert_eq!(&inquiry[8..36], b"ACME    DISK            2   ");
    assert_eq!(&ask(commands::vpd(lun, 0x80))[4..], b"serial-1");
    let names = ask(commands::vpd(lun, 0x83));
    assert!(names.windows(naa.len()).any(|part| part == naa));
    let capacity = ask(commands::read_capacity_16(lun));
    assert_eq!(capacity[8..12], 4096u32.to_be_bytes());
    assert_eq!((capacity[13] & 0xf, capacity[14] & 0x80), (3, 0x80), "eight blocks, thin");
    let limits = ask(commands::vpd(lun, 0xb0));
    let number = |at: usize| u32::from_be_bytes(limits[at..at + 4].try_into().unwrap());
    assert_eq!([8, 20, 24, 28].map(number), [256, 64, 5, 4]);
    assert_eq!(limits[36..44], 99u64.to_be_bytes());
    let caching = ask(commands::mode_sense_6(lun, 8, 0));
    assert_eq!(caching[4 + usize::from(caching[3]) + 2] & 4, 0, "WCE");
}

// Goal: CHAP at a target: the right secret and no other, and whom an account belongs to.
#[test]
fn accounts_decide_who_logs_in() {
    let config = Config::simple();
    let (me, you) = (c"iqn.2001-04.com.example:me", c"iqn.2001-04.com.example:you");
    ok(account(&config, 0, c"user", SECRET, Some(me)));
    ok(account(&config, 0, c"user", SECRET, Some(you)));
    ok(account(&config, 0, c"all", b"another secret", None));
    ok(mutual(&config, 0, c"disk", OWN));
    let mut server = Server::new(&config);
    let server = &mut server;
    let client = login(server, INITIATOR, Some(credentials("user", SECRET))).expect("the right secret");
    let link = client.wire.as_ref().unwrap().link;
    let mut session = null();
    // SAFETY: all of it lives.
    ok(unsafe { iscsicore_host_session(server.host, link, &raw mut session) });
    // SAFETY: there is one, until the next call of the function.
    assert_eq!(text(unsafe { &*session }.user).as_deref(), Some("user"));

    let wrong = |result: Result<Client, _>| assert_eq!(result.err(), Some(Some(0x0201)));
    wrong(login(server, INITIATOR, Some(credentials("user", b"another secret"))));
    wrong(login(server, INITIATOR, Some(credentials("nobody", SECRET))));
    wrong(login(server, INITIATOR, None));
    let they = "iqn.2001-04.com.example:they";
    wrong(login(server, they, Some(credentials("user", SECRET))));
    assert!(login(server, you.to_str().unwrap(), Some(credentials("user", SECRET))).is_ok());
    assert!(login(server, they, Some(credentials("all", b"another secret"))).is_ok());

    // The target proves itself, too.
    let mut both = credentials("user", SECRET);
    both.target = Some(Account { name: "disk".into(), secret: Secret::new(OWN) });
    assert!(login(server, INITIATOR, Some(both.clone())).is_ok());
    both.target = Some(Account { name: "disk".into(), secret: Secret::new("not its secret") });
    assert!(login(server, INITIATOR, Some(both)).is_err());
}

#[test]
fn only_the_algorithms_that_were_set_are_taken() {
    let config = Config::simple();
    ok(account(&config, 0, c"user", SECRET, None));
    ok(algorithms(&config, 0, &[iscsicore_chap_algorithm::Sha256 as c_int]));
    let mut server = Server::new(&config);
    for (algorithm, fits) in [(ChapAlgorithm::Sha256, true), (ChapAlgorithm::Md5, false)] {
        let mut credentials = credentials("user", SECRET);
        credentials.algorithms = vec![algorithm];
        let result = login(&mut server, INITIATOR, Some(credentials));
        assert_eq!(result.is_ok(), fits, "{algorithm:?}: {:?}", result.err());
    }
}

#[test]
fn accounts_that_make_no_sense_are_told() {
    let config = Config::simple();
    ok(mutual(&config, 0, c"disk", OWN));
    refused(&config, "demands CHAP and has no account");
    ok(account(&config, 0, c"user", SECRET, None));
    assert_eq!(Server::new(&config).session_count(), 0);
    ok(account(&config, ISCSICORE_DISCOVERY, c"user", OWN, None));
    refused(&config, "the secret of CHAP account \"user\" is also that of the target's own account \"disk\"");

    let config = Config::simple();
    ok(account(&config, 0, c"user", SECRET, None));
    ok(account(&config, 0, c"user", b"something else", None));
    refused(&config, "has two CHAP accounts named \"user\"");

    let config = Config::simple();
    ok(account(&config, ISCSICORE_DISCOVERY, c"user", b"", None));
    refused(&config, "discovery: CHAP account \"user\": its secret is empty");
}

// Goal: discovery has accounts of its own, and tells what a portal announces.
#[test]
fn discovery_has_rules_of_its_own() {
    let config = Config::simple();
    ok(account(&config, ISCSICORE_DISCOVERY, c"finder", SECRET, None));
    // SAFETY: all of it lives.
    ok(unsafe {
        let (address, announce) = (c"0.0.0.0:860".as_ptr(), c"san.example.com:860".as_ptr());
        iscsicore_host_config_add_portal(config.0, 0, 2, address, announce)
    });
    let mut server = Server::new(&config);
    let mut refused = Client::discovering(None);
    refused.run(&mut server);
    assert_eq!(refused.refusal(), Some(0x0201));
    assert!(login(&mut server, INITIATOR, None).is_ok(), "the target itself asks for nothing");

    let mut client = Client::discovering(Some(credentials("finder", SECRET)));
    client.run(&mut server);
    assert_eq!(server.session_count(), 2);
    let link = client.wire.as_ref().unwrap().link;
    let mut session = null();
    // SAFETY: all of it lives.
    ok(unsafe { iscsicore_host_session(server.host, link, &raw mut session) });
    // SAFETY: there is one, until the next call of the function.
    let session = unsafe { &*session };
    assert_eq!((session.discovery, text(session.target)), (true, None));
    client.nexus.send_targets(Instant::from_nanos(server.now), SendTargets::All).unwrap();
    client.run(&mut server);
    let [record] = &client.targets[..] else { panic!("{:?}", client.targets) };
    assert_eq!(record.name, TARGET);
    let addresses = record.addresses.iter().map(|at| (at.address.as_str(), at.portal_group_tag));
    assert_eq!(addresses.collect::<Vec<_>>(), [("192.0.2.1:3260", 1), ("san.example.com:860", 2)]);
}

#[test]
fn only_initiators_that_are_allowed_log_in() {
    let config = Config::simple();
    let allow = |name: &CStr| {
        // SAFETY: all of it lives.
        ok(unsafe { iscsicore_host_config_allow_initiator(config.0, 0, name.as_ptr()) });
    };
    allow(c"iqn.2001-04.com.example:me");
    allow(c"iqn.2001-04.com.example:you");
    let mut server = Server::new(&config);
    assert!(login(&mut server, INITIATOR, None).is_ok());
    assert!(login(&mut server, "iqn.2001-04.com.example:you", None).is_ok());
    let refused = login(&mut server, "iqn.2001-04.com.example:they", None).err();
    assert_eq!(refused, Some(Some(0x0202)));
}

// Goal: limits and offers reach the sessions.
#[test]
fn limits_and_offers_count() {
    let config = Config::simple();
    // SAFETY: numbers, all of which may be zero.
    let mut limits: iscsicore_limits = unsafe { core::mem::zeroed() };
    (limits.size, limits.login_timeout) = (size_of::<iscsicore_limits>(), 3 * SECOND);
    // SAFETY: as above.
    let mut offer: iscsicore_offer = unsafe { core::mem::zeroed() };
    (offer.size, offer.max_burst, offer.first_burst) = (size_of::<iscsicore_offer>(), 65536, 4096);
    let of_all = iscsicore_node_limits {
        size: size_of::<iscsicore_node_limits>(),
        sessions: 0,
        sessions_per_initiator: 0,
        discovery_sessions: 0,
        connections_in_login: 1,
    };
    // SAFETY: all of it lives.
    unsafe {
        ok(iscsicore_host_config_set_limits(config.0, &limits));
        ok(iscsicore_host_config_set_node_limits(config.0, &of_all));
        ok(iscsicore_host_config_set_offer(config.0, 0, &offer));
    }
    let mut server = Server::new(&config);
    let idle = Wire::new(&server).unwrap();
    assert_eq!(server.timeout(), server.now + 3 * SECOND);
    assert_eq!(Wire::new(&server).err(), Some(Status::Refused));
    assert!(support::message().contains("logging in"), "{}", support::message());
    ok(idle.lost(&server));
    let client = login(&mut server, INITIATOR, None).unwrap();
    let agreed = client.nexus.parameters().unwrap();
    assert_eq!((agreed.max_burst, agreed.first_burst), (65536, 4096));
}

// Goal: other rules for logins to come; sessions stay, and so does what was said of the service of a target.
#[test]
fn a_host_is_given_other_rules() {
    let mut server = Server::new(&Config::simple());
    let mut client = Client::up(&mut server);
    let other = Config::new();
    other.target(TARGET);
    ok(other.portal(0, 1, LOCAL));
    ok(other.lun(0, 7, 0));
    let reconfigure = |host, config: &Config| {
        // SAFETY: all of it lives.
        unsafe { iscsicore_host_reconfigure(host, config.0) }
    };
    ok(reconfigure(server.host, &other));
    let luns = |server: &mut Server, client: &mut Client| {
        let data = client.ask(server, commands::report_luns(Lun(0))).data.to_bytes();
        data[8..].chunks(8).map(|lun| lun[1]).collect::<Vec<_>>()
    };
    assert_eq!(luns(&mut server, &mut client), [0]);
    let mut you = login(&mut server, "iqn.2001-04.com.example:you", None).unwrap();
    assert_eq!(luns(&mut server, &mut you), [7]);

    ok(other.lun(0, 8, 1));
    let status = reconfigure(server.host, &other);
    fails(status, Status::InvalidArgument, "LUN 8 of target iqn.2001-04.com.example:disk stands for unit 1");

    // SAFETY: all of it lives.
    ok(unsafe {
        let name = c"iqn.2001-04.com.example:disk".as_ptr();
        iscsicore_host_set_service(server.host, name, iscsicore_service::Removed as c_int)
    });
    ok(reconfigure(server.host, &Config::simple()));
    let refused = login(&mut server, "iqn.2001-04.com.example:they", None).err();
    assert_eq!(refused, Some(Some(0x0204)));
    let answer = client.ask(&mut server, commands::read(Lun(0), 0, 1, 512).unwrap());
    assert_eq!(answer.status, scsi::Status::GOOD, "it is there as before");
}

// Goal: what getsockname gives becomes what iscsicore_host_connect takes.
#[test]
fn addresses_become_text() {
    let as_text = |address: &[u8], capacity: usize| {
        let (mut buffer, mut len) = ([1 as c_char; 80], 0);
        let status = {
            // SAFETY: all of it lives.
            unsafe {
                let (address, address_len) = (address.as_ptr().cast(), address.len());
                iscsicore_address_text(address, address_len, buffer.as_mut_ptr(), capacity, &raw mut len)
            }
        };
        let result = (status == Status::Ok).then(|| text(buffer.as_ptr()).unwrap());
        (status, result, len, buffer[0])
    };
    let bytes_of = |storage: *const u8, len: usize| {
        // SAFETY: it has so many bytes, all of them initialised.
        unsafe { core::slice::from_raw_parts(storage, len) }.to_vec()
    };
    // SAFETY: numbers, all of which may be zero.
    let mut v4: libc::sockaddr_in = unsafe { core::mem::zeroed() };
    v4.sin_family = libc::AF_INET as libc::sa_family_t;
    (v4.sin_port, v4.sin_addr.s_addr) = (3260u16.to_be(), u32::from_ne_bytes([192, 0, 2, 1]));
    let v4 = bytes_of((&raw const v4).cast(), size_of_val(&v4));
    // SAFETY: as above.
    let mut v6: libc::sockaddr_in6 = unsafe { core::mem::zeroed() };
    v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    (v6.sin6_port, v6.sin6_addr.s6_addr[0], v6.sin6_addr.s6_addr[15]) = (860u16.to_be(), 0xfe, 1);
    v6.sin6_scope_id = 3;
    let v6 = bytes_of((&raw const v6).cast(), size_of_val(&v6));

    assert_eq!(as_text(&v4, 80), (Status::Ok, Some("192.0.2.1:3260".into()), 14, b'1' as c_char));
    assert_eq!(as_text(&v4, 15).1.as_deref(), Some("192.0.2.1:3260"));
    assert_eq!(as_text(&v4, 14), (Status::BufferTooSmall, None, 14, 1));
    assert_eq!(as_text(&v6, 80).1.as_deref(), Some("[fe00::1%3]:860"));
    // Not aligned, and with room behind it, as in a sockaddr_storage.
    let mut odd = [0; 129];
    odd[1..1 + v6.len()].copy_from_slice(&v6);
    assert_eq!(as_text(&odd[1..], 80).1.as_deref(), Some("[fe00::1%3]:860"));
    for bad in [&v4[..15], &v6[..27], &v4[..1], &[], &[0; 128]] {
        let (status, ..) = as_text(bad, 80);
        assert_eq!(status, Status::InvalidArgument, "{}", support::message());
    }
    // SAFETY: NULL.
    let status = unsafe { iscsicore_address_text(null(), 0, null_mut(), 0, null_mut()) };
    assert_eq!(status, Status::NullPointer);
}
