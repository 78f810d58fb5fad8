//! Crowds of connections that come at once, because the server was held up.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use iscsicore::DataList;
use iscsicore::node::NodeLimits;

use crate::platform::backend::{Backend, IoReply, MemoryBackend};
use crate::support::initiator::{Login, Raw, Session};
use crate::support::serving::{Serving, TARGET};

const OTHER: &str = "iqn.2026-01.dev.iscsicore.test:blocks";
/// Reads of it block.
const BLOCK: u64 = 8;

/// Storage that blocks the thread of its caller, which a back end must not do, and a page fault or the scheduler may.
struct Blocks {
    memory: MemoryBackend,
    blocked: mpsc::Sender<()>,
    held: Arc<Mutex<()>>,
}

impl Backend for Blocks {
    fn size(&self) -> u64 {
        self.memory.size()
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        if offset == BLOCK * 512 {
            self.blocked.send(()).unwrap();
            drop(self.held.lock().unwrap_or_else(PoisonError::into_inner));
        }
        self.memory.read(offset, len)
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        self.memory.write(offset, data, fua)
    }

    fn flush(&self) -> IoReply<()> {
        self.memory.flush()
    }
}

/// Peers that came and have gone again take no place of those that may log in, however many wait to be accepted: a login
/// that comes behind them is answered. Where the shard is one thread, all of them wait; where other threads help, perhaps.
#[test]
fn a_crowd_that_has_gone_again_does_not_keep_a_login_out() {
    let mut node_limits = NodeLimits::default();
    node_limits.connections_in_login = 100;
    let (blocked, is_blocked) = mpsc::channel();
    let held = Arc::new(Mutex::new(()));
    let storage = Blocks { memory: MemoryBackend::new(1 << 20), blocked, held: held.clone() };
    let serving = Serving::on_shards(1, |b| {
        b.node_limits(node_limits);
        let unit = b.disk("blocks", Arc::new(storage));
        b.target(OTHER, &[unit]).unwrap();
    });
    let mut session = Session::login(serving.address, &Login::to(OTHER, "blocked"));
    let hold = held.lock().unwrap();
    let read = session.start_read(0, BLOCK, 1);
    is_blocked.recv_timeout(Duration::from_secs(10)).expect("the thread is blocked");
    for _ in 0..120 {
        Raw::connect(serving.address).send_bytes(&[0x43; 4]);
    }
    let late = Login::to(TARGET, "late");
    let mut raw = Raw::connect(serving.address);
    let (bhs, text) = late.request();
    raw.send(bhs, text);
    drop(hold);
    let mut late = Session::finish_login(raw, &late).expect("the login succeeds");
    late.clear_attention(0);
    late.write(0, 0, &[7; 512]);
    assert_eq!(late.read(0, 0, 1), [7; 512]);
    assert_eq!(session.finish(read).status, 0);
}
