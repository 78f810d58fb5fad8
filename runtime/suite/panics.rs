//! Storage that panics, in every way that it can: each time one session ends, and nothing stays behind. A process of
//! its own, as descriptors and memory are the process's.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use iscsicore::DataList;

use crate::platform::backend::{Backend, IoReply, MemoryBackend, Reply};
use crate::support::initiator::{Login, Session};
use crate::support::process;
use crate::support::serving::{Serving, TARGET};

const OTHER: &str = "iqn.2026-01.dev.iscsicore.test:panics";
const SHARDS: usize = 2;

/// Panics where a test asks for it: by the block that is read or written.
struct Panics(MemoryBackend);

/// In the call.
const AT_ONCE: u64 = 8;
/// When the reply is first polled.
const WHEN_POLLED: u64 = 16;
/// When the reply is polled after another thread has woken it.
const WHEN_WOKEN: u64 = 24;
/// In the conversion of a reply that is there.
const IN_ANOTHER_THREAD: u64 = 32;

fn defect() -> ! {
    panic!("a defect, on purpose")
}

fn reply<T: Send + 'static>(offset: u64, sound: IoReply<T>) -> IoReply<T> {
    match offset / 512 {
        AT_ONCE => defect(),
        WHEN_POLLED => Reply::later(async { defect() }),
        WHEN_WOKEN => Reply::later(async {
            let mut woken = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut woken, true) {
                    defect()
                }
                let waker = cx.waker().clone();
                std::thread::spawn(move || waker.wake());
                Poll::Pending
            })
            .await
        }),
        IN_ANOTHER_THREAD => Reply::blocking(|| defect()),
        _ => sound,
    }
}

impl Backend for Panics {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        reply(offset, self.0.read(offset, len))
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        reply(offset, self.0.write(offset, data, fua))
    }

    fn flush(&self) -> IoReply<()> {
        defect()
    }
}

/// Keeps the panics that are meant out of the output.
fn expect_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let on_purpose =
            info.payload().downcast_ref::<&str>().is_some_and(|text| text.contains("on purpose"));
        if !on_purpose {
            hook(info);
        }
    }));
}

/// Logs in, has the storage panic once with other commands in flight, and sees the session end.
fn panic_once(serving: &Serving, round: u64) {
    let mut victim = Session::login(serving.address, &Login::to(OTHER, &format!("victim-{}", round % 3)));
    victim.write(0, 100, &[1; 512]);
    let lba = [AT_ONCE, WHEN_POLLED, WHEN_WOKEN][round as usize % 3];
    match round % 7 {
        0 => victim.start_in(0, &[0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0),
        n if n % 2 == 0 => victim.start_write(0, lba, &[2; 512]),
        _ => victim.start_read(0, lba, 1),
    };
    for n in 0..round % 4 {
        victim.start_in_if_open(0);
        victim.raw.send_bytes(&[n as u8; 7]);
    }
    while let Some(pdu) = victim.next_pdu() {
        assert_ne!(pdu.bhs.0[3], 0xff, "a status from nowhere: {pdu:?}");
    }
}

#[test]
fn panics_end_one_session_each_and_leave_nothing_behind() {
    expect_panics();
    let mut serving = Serving::on_shards(SHARDS, |b| {
        let unit = b.disk("panics", Arc::new(Panics(MemoryBackend::new(1 << 20))));
        b.target(OTHER, &[unit]).unwrap();
    });
    // One on each shard.
    let mut bystanders: Vec<_> = (0..SHARDS).map(|n| serving.login(&format!("bystander-{n}"))).collect();
    let before_loads = serving.loads();
    let (mut descriptors, mut resident) = (0, 0);
    for round in 0..300u64 {
        panic_once(&serving, round);
        for (n, bystander) in bystanders.iter_mut().enumerate() {
            let data = [round as u8 ^ n as u8; 512];
            bystander.write(0, 200 + n as u64, &data);
            assert_eq!(bystander.read(0, 200 + n as u64, 1), data);
        }
        serving.wait_for_sessions(SHARDS);
        assert_eq!(serving.loads(), before_loads);
        if round == 60 {
            std::thread::sleep(Duration::from_millis(100));
            (descriptors, resident) = (process::descriptors(), process::resident());
        }
    }
    let left = process::settles(process::descriptors, descriptors);
    assert!(left <= descriptors, "{left} descriptors after many panics, {descriptors} after few");
    let grown = process::resident().saturating_sub(resident);
    assert!(grown < 4 << 10, "{grown} KiB more after 240 panics");

    // A panic where the reply only says so is an error of that command.
    let mut session = Session::login(serving.address, &Login::to(OTHER, "victim-0"));
    let failed = session.start_read(0, IN_ANOTHER_THREAD, 1);
    assert_eq!(session.finish(failed).status, 2);
    session.write(0, 100, &[1; 512]);
    // A flush that panics as the server stops is reported; the other disk is flushed all the same.
    let errors = serving.shutdown(Duration::ZERO);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].to_string().contains("panicked"), "{errors:?}");
    let flushes =
        serving.disk.calls().iter().filter(|c| c.kind == crate::platform::backend::Kind::Flush).count();
    assert_eq!(flushes, 1, "of {TARGET}");
}
