//! A server to test, over a disk in memory that can be looked into and whose operations can be held.
#![allow(dead_code, reason = "each test program uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::platform::Builder;
use crate::platform::Server;
use crate::platform::backend::{Backend, Fault, Gate, Kind, MemoryBackend, Scripted};
use iscsicore::login::Offer;
use iscsicore::node::{IscsiName, TargetConfig, UnitAccess};
use iscsicore_runtime::Runtime as _;
use tokio::runtime::Runtime;

use super::initiator::{Login, Session};

pub(crate) const TARGET: &str = "iqn.2026-01.dev.iscsicore.test:disk";
pub(crate) const SIZE: u64 = 64 << 20;
/// How long silence is watched where an answer would be wrong.
pub(crate) const WHILE: Duration = Duration::from_millis(150);

pub(crate) struct Serving {
    pub(crate) runtime: Runtime,
    pub(crate) server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) memory: MemoryBackend,
    pub(crate) disk: Arc<Scripted>,
}

impl Serving {
    /// One target with one disk.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with another offer of the target for the negotiation.
    pub(crate) fn with_offer(change: impl FnOnce(&mut Offer)) -> Self {
        let mut offer = Offer::default();
        change(&mut offer);
        Self::start(offer, |_| {})
    }

    pub(crate) fn with(more: impl FnOnce(&mut Builder)) -> Self {
        Self::start(Offer::default(), more)
    }

    /// The same on so many shards, where the runtime has any to choose.
    pub(crate) fn on_shards(count: usize, more: impl FnOnce(&mut Builder)) -> Self {
        Self::with(|builder| {
            crate::platform::set_shards(builder, count);
            more(builder);
        })
    }

    fn start(offer: Offer, more: impl FnOnce(&mut Builder)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let memory = MemoryBackend::new(SIZE);
        let disk = Arc::new(Scripted::new(Arc::new(memory.clone())));
        let mut builder = Server::builder();
        let unit = builder.disk("test-0", disk.clone());
        let mut target = TargetConfig::new(IscsiName::parse(TARGET).unwrap());
        target.luns.insert(0, unit, UnitAccess::ReadWrite).unwrap();
        target.offer = offer;
        builder.target_config(target);
        more(&mut builder);
        let server = runtime.block_on(builder.serve("127.0.0.1:0".parse().unwrap())).unwrap();
        let address = server.addresses()[0];
        Serving { runtime, server: Some(server), address, memory, disk }
    }

    /// A session of the initiator called `name` with the one target.
    pub(crate) fn login(&self, name: &str) -> Session {
        Session::login(self.address, &Login::to(TARGET, name))
    }

    /// Holds the next operation of this kind at a byte of the disk.
    pub(crate) fn hold(&self, kind: Kind, offset: u64) -> Gate {
        let gate = Gate::new();
        self.disk.next_at(kind, offset, Fault::Hold(gate.clone()));
        gate
    }

    /// Waits until an operation is at the gate.
    pub(crate) fn reached(&self, gate: &Gate) {
        let reached = async { tokio::time::timeout(Duration::from_secs(10), gate.reached(1)).await };
        self.runtime.block_on(reached).expect("the operation starts");
    }

    /// What the disk holds, past the server.
    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        self.runtime.block_on(self.memory.read(offset, len).wait()).unwrap().to_bytes().to_vec()
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn session_count(&self) -> usize {
        self.runtime.block_on(self.server().sessions()).len()
    }

    pub(crate) fn shards(&self) -> usize {
        self.server().runtime().shards()
    }

    /// The number of sessions on each shard.
    pub(crate) fn loads(&self) -> Vec<usize> {
        let mut loads = vec![0; self.shards()];
        let reports = self.runtime.block_on(self.server().sessions());
        reports.iter().for_each(|report| loads[report.shard] += 1);
        loads
    }

    /// The shard of a session, by its end of the connection.
    pub(crate) fn shard_of(&self, session: &Session) -> usize {
        let local = session.raw.stream.local_addr().unwrap();
        let reports = self.runtime.block_on(self.server().sessions());
        reports.iter().find(|r| r.connections.contains(&local)).expect("the session is there").shard
    }

    /// Waits until so many sessions are left.
    pub(crate) fn wait_for_sessions(&self, count: usize) {
        for _ in 0..1000 {
            if self.session_count() == count {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{} sessions instead of {count}", self.session_count());
    }

    pub(crate) fn shutdown(&mut self, grace: Duration) -> Vec<std::io::Error> {
        let server = self.server.take().unwrap();
        self.runtime.block_on(server.shutdown_within(grace))
    }
}

/// A session that minds its own business while others misbehave.
pub(crate) struct Bystander {
    session: Session,
    round: u8,
}

impl Bystander {
    pub(crate) fn new(serving: &Serving) -> Self {
        Bystander { session: serving.login("bystander"), round: 0 }
    }

    /// Fails when the server does not serve: a write, its read, and a login from elsewhere.
    pub(crate) fn is_served(&mut self, serving: &Serving) {
        self.is_served_here();
        let mut another = serving.login("another");
        assert_eq!(another.read(0, 100, 1), [self.round; 512]);
        another.logout();
    }

    /// Takes the unit attentions that others have caused.
    pub(crate) fn session_ready(&mut self) {
        self.session.clear_attention(0);
    }

    /// The same without a new login.
    pub(crate) fn is_served_here(&mut self) {
        self.round += 1;
        self.session.write(0, 100, &[self.round; 512]);
        assert_eq!(self.session.read(0, 100, 1), [self.round; 512]);
        self.session.nop();
    }
}
