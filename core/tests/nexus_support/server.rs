//! A target at an address, with its disk.

use std::collections::VecDeque;

use bytes::Bytes;
use iscsicore::Instant;
use iscsicore::Limits;
use iscsicore::disk::{BlockSize, LogicalUnit, Op, Outcome as Io, UnitConfig};
use iscsicore::login::Offer;
use iscsicore::node::{
    Access, IscsiName, Node, NodeConfig, NodeLimits, PortalGroup, TargetConfig, UnitAccess, UnitId,
};
use iscsicore::simple::{Host, Job};
use iscsicore::wire::LoginStatus;

use super::{BLOCK, LOCAL, OTHER, TARGET};

const BLOCKS: u64 = 2048;

/// What becomes of a dial.
#[derive(Clone, Debug, Default)]
pub(crate) enum Accept {
    /// The host takes the connection.
    #[default]
    Serve,
    /// The host takes it, by these rules from now on.
    ServeBy(Access),
    /// The host takes it, and after so many deliveries of bytes the wire is cut.
    Cut(usize),
    /// The host takes it, and after so many deliveries the next request is answered with this status and text.
    Turn(usize, LoginStatus, String),
    /// There is no connection.
    Refuse,
    /// Nothing is heard of it.
    Hang,
    /// There is a connection on which nobody answers.
    Mute,
    /// The first request is answered with this status and text.
    Answer(LoginStatus, String),
}

/// A target at an address.
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) disk: Vec<u8>,
    /// What becomes of the next dials; after them all are served.
    pub(crate) script: VecDeque<Accept>,
    /// Whether the storage stands still.
    pub(crate) hold: bool,
    held: VecDeque<Job>,
    /// Writes that were carried out, as offset and length.
    pub(crate) writes: Vec<(u64, usize)>,
    pub(crate) flushes: usize,
    access: Access,
    offer: Offer,
}

fn host(access: &Access, offer: &Offer) -> Host {
    let unit = LogicalUnit::new(UnitConfig::new("serial-1", BlockSize::B512, BLOCKS));
    Host::new(node(access, offer), vec![unit], Limits::default(), NodeLimits::default())
}

fn node(access: &Access, offer: &Offer) -> Node {
    let mut config = NodeConfig::default();
    for name in [TARGET, OTHER] {
        let mut target = TargetConfig::new(IscsiName::parse(name).unwrap());
        target.groups.push(PortalGroup::new(1, [LOCAL.parse().unwrap()]));
        target.luns.insert(0, UnitId(0), UnitAccess::ReadWrite).unwrap();
        target.access = access.clone();
        target.offer = offer.clone();
        config.targets.push(target);
    }
    Node::new(config).unwrap()
}

impl Server {
    pub(crate) fn new(access: Access, offer: Offer) -> Self {
        Server {
            host: host(&access, &offer),
            disk: vec![0; BLOCKS as usize * BLOCK],
            script: VecDeque::new(),
            hold: false,
            held: VecDeque::new(),
            writes: Vec::new(),
            flushes: 0,
            access,
            offer,
        }
    }

    pub(super) fn next_accept(&mut self) -> Accept {
        let accept = self.script.pop_front().unwrap_or_default();
        if let Accept::ServeBy(access) = &accept {
            self.access = access.clone();
            *self.host.node_mut() = node(&self.access, &self.offer);
        }
        accept
    }

    /// Forgets every session, as a process that is started again does. What the wire does is up to the caller.
    pub(crate) fn restart(&mut self) {
        self.host = host(&self.access, &self.offer);
        self.held.clear();
    }

    /// Does the jobs that there are, and those that were held.
    pub(super) fn work(&mut self, now: Instant) -> bool {
        while let Some(job) = self.host.poll_job() {
            self.held.push_back(job);
        }
        let mut busy = false;
        while !self.hold
            && let Some(Job { op, receipt, .. }) = self.held.pop_front()
        {
            let outcome = self.carry_out(op);
            self.host.finish(now, receipt, outcome);
            while let Some(job) = self.host.poll_job() {
                self.held.push_back(job);
            }
            busy = true;
        }
        busy
    }

    fn carry_out(&mut self, op: Op) -> Io {
        match op {
            Op::Read { offset, len } => {
                Io::Data(Bytes::copy_from_slice(&self.disk[offset as usize..][..len as usize]).into())
            }
            Op::Write { offset, data, .. } => {
                self.writes.push((offset, data.len()));
                self.disk[offset as usize..][..data.len()].copy_from_slice(&data.to_bytes());
                Io::Done
            }
            Op::Flush => {
                self.flushes += 1;
                Io::Done
            }
            other => panic!("no test causes {other:?}"),
        }
    }
}
