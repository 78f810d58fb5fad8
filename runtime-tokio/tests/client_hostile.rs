//! Targets that lie, over real sockets. Each act costs the connection or an error, never wrong data, a hang or a panic, and
//! the same client is served by a target that behaves again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use iscsicore::Limits;
use iscsicore::initiator::Cause;
use iscsicore::nexus::ReconnectPolicy;
use iscsicore_tokio::Client;
use iscsicore_tokio::client::{ClientBuilder, ClientError, discover};

#[path = "support/fake_target.rs"]
mod fake_target;

use fake_target::{BLOCK, Conn, FakeTarget, Flow, NAME, NONE, Request, content, op, put};

/// Time for a login and for a command.
const TIME: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(3);

fn builder(target: &FakeTarget) -> ClientBuilder {
    let mut policy = ReconnectPolicy::default();
    policy.first_pause = Duration::from_millis(5);
    policy.longest_pause = Duration::from_millis(20);
    policy.attempt_timeout = TIME;
    let mut limits = Limits::default();
    limits.ping_interval = Duration::from_millis(200);
    limits.ping_timeout = Duration::from_millis(300);
    limits.ping_grace = Duration::from_millis(300);
    limits.login_timeout = TIME;
    let builder = Client::builder().without_environment().url(&target.url()).unwrap();
    builder.reconnect(policy).limits(limits).command_timeout(Some(TIME))
}

/// What an act of the target has to lead to.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Costs {
    /// The connection and the command that was answered like this: sent again, it might be answered like this for ever.
    Command,
    /// The connection; the command is sent again on the next one.
    Connection,
    /// Nothing at all.
    Nothing,
}

/// Has the target do something at the first READ of its first connection, before it answers, or instead, and asserts what it
/// costs. Whatever it is, the client then reads the right data and writes.
async fn act(what: &str, costs: Costs, deed: impl Fn(&mut Conn, &Request) -> Flow + Send + Sync + 'static) {
    let acted = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&acted);
    let target = FakeTarget::start(move |conn, request| {
        let first = conn.number == 0 && request.is_read() && !done.swap(true, Ordering::Relaxed);
        if first { deed(conn, request) } else { Flow::Normal }
    });
    let client = builder(&target).connect().await.unwrap();
    let began = Instant::now();
    let wanted: Vec<u8> = (40..56).flat_map(content).collect();
    match (client.read(40, 16).await, costs) {
        (Ok(data), Costs::Connection | Costs::Nothing) => assert!(data == wanted, "{what}: wrong data"),
        (Err(ClientError::Unknown { cause: Cause::BadAnswer, .. }), Costs::Command) => {}
        (outcome, _) => panic!("{what}: {outcome:?}"),
    }
    let data = client.read(40, 16).await.unwrap_or_else(|error| panic!("{what}, then a read: {error}"));
    assert!(data == wanted, "{what}, then: wrong data");
    assert!(acted.load(Ordering::Relaxed), "{what}: the act was not played");
    assert!(began.elapsed() < TIME, "{what}: it took {:?}", began.elapsed());
    let lost = client.stats().disconnects;
    assert_eq!(lost, u64::from(costs != Costs::Nothing), "{what}: connections lost");
    client
        .write(40, vec![1; 3 * BLOCK])
        .await
        .unwrap_or_else(|error| panic!("{what}, then a write: {error}"));
    client.logout().await.unwrap_or_else(|error| panic!("{what}, at the logout: {error}"));
}

/// A Data-In PDU of `len` bytes at `offset`, without status.
fn piece(conn: &mut Conn, request: &Request, number: u32, offset: u32, len: usize) {
    let mut header = conn.header(op::DATA_IN, 0, request.itt());
    put(&mut header, 24, 0);
    put(&mut header, 36, number);
    put(&mut header, 40, offset);
    conn.send(header, &vec![0xEE; len]);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_in_that_cannot_be() {
    use Costs::{Command, Connection};
    // Flow::Done: the command is not answered; whoever takes the PDU for good would wait for the rest.
    act("data beyond what was asked for", Command, |conn, request| {
        piece(conn, request, 0, 8192 - 512, 1024);
        Flow::Done
    })
    .await;
    act("data at an offset that overflows", Command, |conn, request| {
        piece(conn, request, 0, u32::MAX - 511, 512);
        Flow::Done
    })
    .await;
    act("a segment longer than was declared", Connection, |conn, request| {
        let mut header = conn.header(op::DATA_IN, 0, request.itt());
        header[5..8].copy_from_slice(&[0xFF; 3]);
        conn.send_bytes(&header);
        conn.send_bytes(&[0xEE; 4096]);
        Flow::Done
    })
    .await;
    act("data for a task that is not there", Connection, |conn, request| {
        let mut header = conn.header(op::DATA_IN, 0, request.itt() ^ 0x5555);
        put(&mut header, 24, 0);
        conn.send(header, &[0xEE; 512]);
        Flow::Normal
    })
    .await;
    act("data for no task", Connection, |conn, _| {
        let mut header = conn.header(op::DATA_IN, 0, NONE);
        put(&mut header, 24, 0);
        conn.send(header, &[0xEE; 512]);
        Flow::Normal
    })
    .await;
    act("a DataSN left out", Command, |conn, request| {
        piece(conn, request, 1, 0, 512);
        Flow::Done
    })
    .await;
    act("a DataSN twice", Command, |conn, request| {
        piece(conn, request, 0, 0, 512);
        piece(conn, request, 0, 512, 512);
        Flow::Done
    })
    .await;
    act("the same place twice", Command, |conn, request| {
        piece(conn, request, 0, 0, 512);
        piece(conn, request, 1, 0, 512);
        Flow::Done
    })
    .await;
    act("additional header segments of 1020 bytes", Connection, |conn, request| {
        let mut header = conn.header(op::DATA_IN, 0, request.itt());
        header[4] = 0xFF;
        conn.send_bytes(&header);
        conn.send_bytes(&[0xEE; 1020]);
        Flow::Done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_that_cannot_be() {
    use Costs::{Command, Connection};
    act("GOOD without the data and without a residual", Command, |conn, request| {
        conn.respond(request.itt(), &[]);
        Flow::Done
    })
    .await;
    act("GOOD in a Data-In that is too short", Command, |conn, request| {
        let header = conn.header(op::DATA_IN, 0x81, request.itt());
        conn.send_status(header, &[0xEE; 512]);
        Flow::Done
    })
    .await;
    act("sense data longer than its segment", Command, |conn, request| {
        let mut header = conn.header(op::RESPONSE, 0x80, request.itt());
        header[3] = 2;
        conn.send_status(header, &[0xFF, 0xFF, 0x70, 0, 5, 0]);
        Flow::Done
    })
    .await;
    act("a StatSN far ahead", Connection, |conn, request| {
        conn.stat_sn = conn.stat_sn.wrapping_add(1 << 30);
        conn.data_in(request, &[0xEE; 8192]);
        Flow::Done
    })
    .await;
    act("an answer to a command that was never sent", Connection, |conn, request| {
        conn.respond(request.itt() ^ 0x0100, &[]);
        Flow::Normal
    })
    .await;
    act("an answer twice", Connection, |conn, request| {
        let data: Vec<u8> = (40..56).flat_map(content).collect();
        conn.data_in(request, &data);
        conn.data_in(request, &data);
        Flow::Done
    })
    .await;
    act("an R2T for a READ", Command, |conn, request| {
        let mut header = conn.header(op::R2T, 0x80, request.itt());
        put(&mut header, 20, 1);
        put(&mut header, 44, 512);
        conn.send(header, &[]);
        Flow::Done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pdus_that_nobody_asked_for() {
    use Costs::{Connection, Nothing};
    for (what, opcode) in [
        ("an opcode of initiators", 0x01),
        ("a reserved opcode", 0x2F),
        ("a Login Response", op::LOGIN_RESPONSE),
        ("a Text Response", op::TEXT_RESPONSE),
        ("a Task Management Response", op::MANAGEMENT_RESPONSE),
        ("a Logout Response", op::LOGOUT_RESPONSE),
    ] {
        act(what, Connection, move |conn, _| {
            let mut header = conn.header(opcode, 0x80, 0x1234_5678);
            put(&mut header, 20, 0);
            conn.send_status(header, &[]);
            Flow::Done
        })
        .await;
    }
    act("bytes that are no PDU", Connection, |conn, _| {
        conn.send_bytes(&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4096\r\n\r\n".repeat(40));
        Flow::Done
    })
    .await;
    act("an answer to a ping that was not sent", Nothing, |conn, _| {
        // A ping whose caller has given up may be answered late: this cannot be told from one.
        let header = conn.header(op::NOP_IN, 0x80, 0x1234_5678);
        conn.send_status(header, b"late");
        Flow::Normal
    })
    .await;
    act("a ping", Nothing, |conn, _| {
        let mut header = conn.header(op::NOP_IN, 0x80, NONE);
        put(&mut header, 20, 0x42);
        conn.send(header, &[]);
        let answer = conn.receive().expect("a ping is answered");
        assert_eq!((answer.opcode(), answer.itt(), answer.word(20)), (op::NOP_OUT, NONE, 0x42));
        Flow::Normal
    })
    .await;
    // RFC 7143 section 11.19: a ping has no data.
    act("a ping with data", Connection, |conn, _| {
        let mut header = conn.header(op::NOP_IN, 0x80, NONE);
        put(&mut header, 20, 0x42);
        conn.send(header, b"alive?");
        Flow::Done
    })
    .await;
    act("an Asynchronous Message of a vendor", Nothing, |conn, _| {
        let mut header = conn.header(op::ASYNC, 0x80, NONE);
        header[36] = 255;
        conn.send_status(header, &[0; 64]);
        Flow::Normal
    })
    .await;
    act("an Asynchronous Message that ends the session", Connection, |conn, _| {
        let mut header = conn.header(op::ASYNC, 0x80, NONE);
        header[36] = 3;
        conn.send_status(header, &[]);
        Flow::Done
    })
    .await;
}

/// An R2T for bytes that the command does not have must not bring out other memory.
#[tokio::test(flavor = "multi_thread")]
async fn r2ts_that_ask_for_too_much() {
    for (what, offset, len) in [
        ("beyond the end", 1024, 1024),
        ("far beyond the end", 0xFFFF_FE00, 512),
        ("more than a burst", 0, 0xFFFF_FF00),
    ] {
        let target = FakeTarget::start(move |conn, request| {
            if conn.number > 0 || !request.is_write() {
                return Flow::Normal;
            }
            let mut header = conn.header(op::R2T, 0x80, request.itt());
            put(&mut header, 20, 1);
            put(&mut header, 40, offset);
            put(&mut header, 44, len);
            conn.send(header, &[]);
            let next = conn.receive();
            assert!(next.is_none_or(|pdu| pdu.opcode() != op::DATA_OUT), "{what}: the client sends data");
            Flow::Close
        });
        let client = builder(&target).connect().await.unwrap();
        match client.write(7, vec![3; 3 * BLOCK]).await {
            Err(ClientError::Unknown { cause: Cause::BadAnswer, .. }) => {}
            outcome => panic!("{what}: {outcome:?}"),
        }
        client.write(7, vec![3; 3 * BLOCK]).await.unwrap_or_else(|error| panic!("{what}, then: {error}"));
        assert_eq!((client.stats().disconnects, target.connections()), (1, 2), "{what}");
        client.logout().await.unwrap();
    }
}

/// The error of a login that must fail within its time.
async fn refused(what: &str, target: &FakeTarget) -> String {
    let began = Instant::now();
    let outcome = tokio::time::timeout(TIME + SLACK, builder(target).connect()).await;
    let error = outcome.unwrap_or_else(|_| panic!("{what}: the login does not end")).map(drop).unwrap_err();
    assert!(began.elapsed() < TIME + SLACK, "{what}: it took {:?}", began.elapsed());
    assert!(matches!(error, ClientError::Connect(_) | ClientError::Ended(_)), "{what}: {error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_lead_nowhere() {
    let says_nothing = FakeTarget::raw(|mut conn| while conn.receive().is_some() {});
    let words = refused("a target that says nothing", &says_nothing).await;
    assert!(words.contains("longer") || words.contains("time"), "{words}");

    let hangs_up = FakeTarget::raw(drop);
    refused("a target that hangs up", &hangs_up).await;

    let never_ends = FakeTarget::raw(|mut conn| {
        while let Some(request) = conn.receive() {
            let header = conn.login_response(&request, request.header[1] & 0x0C);
            conn.send_status(header, &[]);
        }
    });
    refused("a login that never ends", &never_ends).await;

    let drips = FakeTarget::raw(|mut conn| {
        let Some(request) = conn.receive() else { return };
        let header = conn.login_response(&request, 0x81);
        for byte in header.into_iter().cycle().take(2000) {
            conn.send_bytes(&[byte]);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    refused("an answer that drips", &drips).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_lie() {
    let says = |bytes: Vec<u8>| {
        FakeTarget::raw(move |mut conn| {
            conn.receive();
            conn.send_bytes(&bytes);
            while conn.receive().is_some() {}
        })
    };
    refused("no iSCSI", &says(b"SSH-2.0-OpenSSH_9.2\r\n".repeat(10))).await;
    refused("zeros", &says(vec![0; 4096])).await;
    refused("ones", &says(vec![0xFF; 4096])).await;
    let mut header = [0; 48];
    (header[0], header[1]) = (op::LOGIN_RESPONSE, 0x81);
    header[5..8].copy_from_slice(&[0xFF; 3]);
    refused("a segment of 16 MiB", &says([&header[..], &[b'x'; 65536]].concat())).await;

    let answers = |flags: u8, text: &'static [u8]| {
        FakeTarget::raw(move |mut conn| {
            while let Some(request) = conn.receive() {
                let header = conn.login_response(&request, flags);
                conn.send_status(header, text);
            }
        })
    };
    refused("a stage that was not asked for", &answers(0x8C, b"")).await;
    refused("a value that was not offered", &answers(0x81, b"AuthMethod=KRB5\0")).await;
    refused("text that is no pair", &answers(0x81, b"AuthMethod\0\0\0=\0=None\0")).await;
    refused("a key twice", &answers(0x81, b"AuthMethod=None\0AuthMethod=None\0")).await;
    refused("full feature at once", &answers(0x83, b"")).await;

    let wrong_tag = FakeTarget::raw(|mut conn| {
        while let Some(request) = conn.receive() {
            let mut header = conn.login_response(&request, 0x81);
            put(&mut header, 16, request.itt() ^ 1);
            conn.send_status(header, b"AuthMethod=None\0");
        }
    });
    refused("another task tag", &wrong_tag).await;
}

/// Text without end, in a login and in discovery.
#[tokio::test(flavor = "multi_thread")]
async fn giant_text() {
    let login = FakeTarget::raw(|mut conn| {
        while let Some(request) = conn.receive() {
            // C bit: more follows.
            let header = conn.login_response(&request, 0x40);
            conn.send_status(header, &[b'X'; 8192]);
        }
    });
    refused("a login text that never ends", &login).await;

    let discovery = FakeTarget::start(|conn, request| {
        if request.opcode() != op::TEXT {
            return Flow::Normal;
        }
        let mut header = conn.header(op::TEXT_RESPONSE, 0x40, request.itt());
        put(&mut header, 20, 0x99);
        let name = format!("TargetName={NAME}\0");
        conn.send_status(header, name.repeat(8192 / name.len()).as_bytes());
        Flow::Done
    });
    let options = builder(&discovery);
    let portal = discovery.address.to_string();
    let asked = discover(&portal, options);
    let outcome = tokio::time::timeout(TIME + SLACK, asked).await.expect("a list without end ends");
    outcome.map(drop).unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_in_a_circle() {
    let redirect = |to: Arc<std::sync::Mutex<String>>| {
        FakeTarget::raw(move |mut conn| {
            let Some(request) = conn.receive() else { return };
            let mut header = conn.login_response(&request, 0);
            header[36..38].copy_from_slice(&0x0101_u16.to_be_bytes());
            let text = format!("TargetAddress={}\0", to.lock().unwrap());
            conn.send_status(header, text.as_bytes());
        })
    };
    let (one, other) = (Arc::default(), Arc::default());
    let (first, second) = (redirect(Arc::clone(&one)), redirect(Arc::clone(&other)));
    *one.lock().unwrap() = second.address.to_string();
    *other.lock().unwrap() = first.address.to_string();
    let words = refused("redirects in a circle", &first).await;
    assert!(words.contains("redirect"), "{words}");
    assert!(first.connections() + second.connections() < 64);

    *one.lock().unwrap() = "not an address".to_owned();
    refused("a redirect to nowhere", &first).await;
}

/// Data that comes byte by byte is no sign of death, and its command ends when its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_drips_ends_with_the_time_of_its_command() {
    let target = FakeTarget::start(|conn, request| {
        if conn.number > 0 || !request.is_read() {
            return Flow::Normal;
        }
        let mut header = conn.header(op::DATA_IN, 0x81, request.itt());
        header[5..8].copy_from_slice(&[0, 0x20, 0]);
        conn.send_bytes(&header);
        for _ in 0..8192 {
            conn.send_bytes(&[0xEE]);
            std::thread::sleep(Duration::from_millis(20));
        }
        Flow::Close
    });
    let client = builder(&target).connect().await.unwrap();
    let began = Instant::now();
    let outcome = client.read(40, 16).await;
    let took = began.elapsed();
    // Either its time ends it, or the pings that are not answered end the connection, and it is read from the next.
    match outcome {
        Ok(data) => assert_eq!(data, (40..56).flat_map(content).collect::<Vec<u8>>()),
        Err(ClientError::Unknown { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    assert!(took < TIME + SLACK, "{took:?}");
    let data = client.read(8, 1).await.unwrap();
    assert_eq!(data, content(8));
    client.logout().await.unwrap();
}
