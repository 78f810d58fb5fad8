//! Storage that answers from other threads: the thread of a session, which may be asleep, learns of it at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use iscsicore::DataList;
use tokio::sync::oneshot;

use crate::platform::backend::{Backend, IoReply, MemoryBackend, Reply};
use crate::support::initiator::{Login, Session};
use crate::support::seeded::Seeded;
use crate::support::serving::Serving;

const OTHER: &str = "iqn.2026-01.dev.iscsicore.test:elsewhere";
const ROUNDS: u64 = 1000;
/// Slower than this, with a margin for a busy machine, is no wake-up but an accident.
const PROMPT: Duration = Duration::from_millis(50);
const ACCIDENT: Duration = Duration::from_secs(1);

type Work = Box<dyn FnOnce() + Send>;

/// Answers reads from a thread of its own, after a while of some microseconds: by a channel, by a waker that was kept,
/// or from a task of another executor.
struct Elsewhere {
    memory: MemoryBackend,
    thread: Mutex<(mpsc::Sender<(Duration, Work)>, Seeded)>,
    tokio: tokio::runtime::Handle,
}

impl Elsewhere {
    fn new(tokio: tokio::runtime::Handle) -> Self {
        let (sender, work) = mpsc::channel::<(Duration, Work)>();
        std::thread::spawn(move || {
            for (after, work) in work {
                // Sleeping takes longer than most of these times.
                let began = Instant::now();
                while began.elapsed() < after {
                    std::hint::spin_loop();
                }
                work();
            }
        });
        Elsewhere { memory: MemoryBackend::new(1 << 20), thread: Mutex::new((sender, Seeded::new(7))), tokio }
    }
}

/// A future as one writes it by hand: whoever completes it wakes the waker that was left there.
#[derive(Clone, Default)]
struct ByHand(Arc<Mutex<(bool, Option<Waker>)>>);

impl ByHand {
    fn complete(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for ByHand {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Backend for Elsewhere {
    fn size(&self) -> u64 {
        self.memory.size()
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        let reply = self.memory.read(offset, len);
        let mut thread = self.thread.lock().unwrap();
        let (how, after) = (thread.1.below(3), Duration::from_micros(thread.1.below(400)));
        let (done, woken) = oneshot::channel();
        let by_hand = ByHand::default();
        match how {
            0 => thread
                .0
                .send((
                    after,
                    Box::new(move || {
                        let _ = done.send(());
                    }),
                ))
                .unwrap(),
            1 => {
                self.tokio.spawn(async move {
                    tokio::time::sleep(after).await;
                    done.send(())
                });
            }
            _ => {
                let completed = by_hand.clone();
                thread.0.send((after, Box::new(move || completed.complete()))).unwrap();
                return Reply::later(async move {
                    by_hand.await;
                    reply.wait().await
                });
            }
        }
        Reply::later(async move {
            let _ = woken.await;
            reply.wait().await
        })
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        self.memory.write(offset, data, fua)
    }

    fn flush(&self) -> IoReply<()> {
        self.memory.flush()
    }
}

fn serving() -> (Serving, tokio::runtime::Runtime) {
    let elsewhere =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let backend = Arc::new(Elsewhere::new(elsewhere.handle().clone()));
    let serving = Serving::on_shards(2, |b| {
        let unit = b.disk("elsewhere", backend);
        b.target(OTHER, &[unit]).unwrap();
    });
    (serving, elsewhere)
}

/// Reads one block after the other, each when the one before has come, so that the session is idle in between.
fn latencies(session: &mut Session, rounds: u64) -> Vec<Duration> {
    let one = |n| {
        let began = Instant::now();
        session.read(0, n % 1024, 1);
        began.elapsed()
    };
    (0..rounds).map(one).collect()
}

#[test]
fn an_answer_from_another_thread_wakes_the_session_promptly() {
    let (serving, _elsewhere) = serving();
    let address = serving.address;
    let login = move |name: String| Session::login(address, &Login::to(OTHER, &name));
    // First one session alone, whose shard sleeps whenever it waits; then several at once on each.
    let mut all = latencies(&mut login("alone".to_owned()), ROUNDS);
    let threads: Vec<_> = (0..4)
        .map(|n| std::thread::spawn(move || latencies(&mut login(format!("of-many-{n}")), ROUNDS / 4)))
        .collect();
    all.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
    all.sort();
    let (most, last) = (all[all.len() * 99 / 100], all[all.len() - 1]);
    println!("99 % of {} within {most:?}, all within {last:?}", all.len());
    assert!(most < PROMPT, "99 % within {most:?}");
    assert!(last < ACCIDENT, "the slowest took {last:?}");
}

/// Many commands in flight, answered in any order by several threads at once.
#[test]
fn no_wake_up_is_lost_among_many() {
    let (serving, _elsewhere) = serving();
    let mut session = Session::login(serving.address, &Login::to(OTHER, "many"));
    for lba in 0..128 {
        session.write(0, lba, &[lba as u8; 512]);
    }
    for _ in 0..40 {
        let reads: Vec<_> = (0..100).map(|lba| (lba, session.start_read(0, lba, 1))).collect();
        for (lba, itt) in reads {
            assert_eq!(session.finish(itt).data, [lba as u8; 512]);
        }
    }
}
