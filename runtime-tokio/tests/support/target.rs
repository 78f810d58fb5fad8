//! A target for the client to talk to, in this process, over a disk in memory that can be looked into and held.
#![allow(dead_code, reason = "each test program uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use iscsicore::node::{IscsiName, TargetConfig, UnitAccess};
use iscsicore_tokio::backend::{Backend, Fault, Gate, Kind, MemoryBackend, Scripted};
use iscsicore_tokio::client::{Client, ClientBuilder, Result};
use iscsicore_tokio::server::{Builder, Server};

pub(crate) const TARGET: &str = "iqn.2026-01.dev.iscsicore.test:disk";
pub(crate) const SIZE: u64 = 64 << 20;
pub(crate) const BLOCK: usize = 512;
/// Longer than anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Target {
    pub(crate) server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) memory: MemoryBackend,
    pub(crate) disk: Arc<Scripted>,
}

impl Target {
    /// One target with one disk, LUN 0.
    pub(crate) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    /// The same with changes to the target or with more of them.
    pub(crate) async fn with(change: impl FnOnce(&mut Builder, &mut TargetConfig)) -> Self {
        let memory = MemoryBackend::new(SIZE);
        Self::serve("127.0.0.1:0".parse().unwrap(), memory, change).await
    }

    /// The same over a disk that was there before, at an address.
    pub(crate) async fn serve(
        at: SocketAddr,
        memory: MemoryBackend,
        change: impl FnOnce(&mut Builder, &mut TargetConfig),
    ) -> Self {
        let disk = Arc::new(Scripted::new(Arc::new(memory.clone())));
        let mut builder = Server::builder();
        let unit = builder.disk("test-0", disk.clone());
        let mut target = TargetConfig::new(IscsiName::parse(TARGET).unwrap());
        target.luns.insert(0, unit, UnitAccess::ReadWrite).unwrap();
        change(&mut builder, &mut target);
        builder.target_config(target);
        let server = builder.serve(at).await.unwrap();
        let address = server.addresses()[0];
        Target { server: Some(server), address, memory, disk }
    }

    pub(crate) fn url(&self, lun: u16) -> String {
        format!("iscsi://{}/{TARGET}/{lun}", self.address)
    }

    /// Says where, and nothing else.
    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder().without_environment().url(&self.url(0)).unwrap()
    }

    pub(crate) async fn connect(&self) -> Client {
        self.try_connect().await.unwrap()
    }

    pub(crate) async fn try_connect(&self) -> Result<Client> {
        self.builder().connect().await
    }

    /// Holds the next operation of this kind at a byte of the disk.
    pub(crate) fn hold(&self, kind: Kind, offset: u64) -> Gate {
        let gate = Gate::new();
        self.disk.next_at(kind, offset, Fault::Hold(gate.clone()));
        gate
    }

    /// What the disk holds, past the server.
    pub(crate) async fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        self.memory.read(offset, len).wait().await.unwrap().to_bytes().to_vec()
    }

    pub(crate) async fn sessions(&self) -> usize {
        self.server.as_ref().unwrap().sessions().await.len()
    }

    /// Waits until so many sessions are left.
    pub(crate) async fn wait_for_sessions(&self, count: usize) {
        let all = async {
            while self.sessions().await != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("sessions come and go", all).await;
    }

    /// Stops the server, without a word to the initiators, and gives the address and the disk for another one.
    pub(crate) async fn stop(mut self) -> (SocketAddr, MemoryBackend) {
        if let Some(server) = self.server.take() {
            server.shutdown_within(Duration::ZERO).await;
        }
        (self.address, self.memory.clone())
    }
}

/// Bytes that tell which block they are, and which round they were written in.
pub(crate) fn pattern(lba: u64, blocks: usize, round: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(blocks * BLOCK);
    for block in 0..blocks as u64 {
        let seed = (lba + block).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ round.rotate_left(40);
        for word in 0..BLOCK as u64 / 8 {
            out.extend(seed.wrapping_add(word.wrapping_mul(0xBF58_476D_1CE4_E5B9)).to_be_bytes());
        }
    }
    out
}

/// Fails the test when it takes too long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: it takes too long"),
    }
}
