//! What a server serves, said step by step.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use iscsicore::Limits;
use iscsicore::disk::{BlockSize, LogicalUnit, Provisioning, TaskFunctions, UnitConfig};
use iscsicore::node::{
    ConfigError, IscsiName, LunMap, NameError, Node, NodeConfig, NodeLimits, PortalGroup, Sessions,
    TargetConfig, UnitAccess, UnitId,
};
use thiserror::Error;
use tokio::sync::watch;

use super::hub::Hub;
use super::job::Away;
use super::units::UnitTable;
use super::{Server, listen};
use crate::Runtime;
use crate::backend::{Backend, Info};

/// Why a server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A name is no iSCSI name.
    #[error("{name:?} is not an iSCSI name: {why}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        why: std::io::Error,
    },
    /// The runtime does not start.
    #[error("cannot start the server's threads: {0}")]
    Runtime(std::io::Error),
}

/// Describes a [`Server`]: disks, targets, limits. [`serve`](Self::serve) starts it.
pub struct Builder<R: Runtime> {
    runtime: R::Config,
    started: Option<R>,
    units: Vec<(UnitConfig, Arc<dyn Backend>)>,
    node: NodeConfig,
    limits: Limits,
    node_limits: NodeLimits,
}

impl<R: Runtime> Builder<R> {
    pub(super) fn new() -> Self {
        Builder {
            runtime: R::Config::default(),
            started: None,
            units: Vec::new(),
            node: NodeConfig::default(),
            limits: Limits::default(),
            node_limits: NodeLimits::default(),
        }
    }

    /// Adds a disk of 512-byte blocks over `backend`. Its serial number, and the unique name that follows from it, are
    /// to stay the same for as long as the data does: initiators know the disk by them.
    pub fn disk(&mut self, serial: &str, backend: Arc<dyn Backend>) -> UnitId {
        let blocks = backend.size() / u64::from(BlockSize::B512.bytes());
        let mut config = UnitConfig::new(serial, BlockSize::B512, blocks);
        config.provisioning = Provisioning::Thin;
        self.unit(config, backend)
    }

    /// Adds a disk as `config` describes it, as far as the back end can carry that out: a read-only back end makes a
    /// read-only disk, and provisioning is thin only where the back end gives space back.
    pub fn unit(&mut self, mut config: UnitConfig, backend: Arc<dyn Backend>) -> UnitId {
        let info = backend.info();
        fit(&mut config, &info);
        self.units.push((config, backend));
        UnitId(self.units.len() as u32 - 1)
    }

    /// Adds a target that everybody may use, with the units as LUN 0, 1, and so on.
    ///
    /// # Errors
    /// The name is none, or there are more units than LUNs.
    pub fn target(&mut self, name: &str, units: &[UnitId]) -> Result<&mut Self, StartError> {
        let name = IscsiName::parse(name).map_err(|why| StartError::Name { name: name.to_owned(), why })?;
        let mut target = TargetConfig::new(name);
        let mut luns = LunMap::new();
        for (number, unit) in units.iter().enumerate() {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            luns.insert(number, *unit, UnitAccess::ReadWrite)?;
        }
        target.luns = luns;
        Ok(self.target_config(target))
    }

    /// Adds a target. One without portal groups gets the addresses that the server is started with.
    pub fn target_config(&mut self, target: TargetConfig) -> &mut Self {
        self.node.targets.push(target);
        self
    }

    /// Takes a whole configuration: its targets in place of those so far, its rules for discovery. Its unit ids are
    /// those that [`unit`](Self::unit) returned.
    pub fn node(&mut self, node: NodeConfig) -> &mut Self {
        self.node = node;
        self
    }

    /// Changes how discovery works.
    pub fn discovery(&mut self, discovery: iscsicore::node::Discovery) -> &mut Self {
        self.node.discovery = discovery;
        self
    }

    /// Says how the runtime is set up.
    pub fn runtime(&mut self, config: R::Config) -> &mut Self {
        self.runtime = config;
        self
    }

    /// Takes a runtime that has been started, in place of starting one.
    pub fn on(&mut self, runtime: R) -> &mut Self {
        self.started = Some(runtime);
        self
    }

    /// Sets the bounds of each session.
    pub fn limits(&mut self, limits: Limits) -> &mut Self {
        self.limits = limits;
        self
    }

    /// Sets the bounds over all sessions.
    pub fn node_limits(&mut self, limits: NodeLimits) -> &mut Self {
        self.node_limits = limits;
        self
    }

    /// Starts the server on one address; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn serve(self, address: SocketAddr) -> Result<Server<R>, StartError> {
        self.serve_on(&[address]).await
    }

    /// Starts the server on the addresses given, beside those of the portal groups.
    ///
    /// # Errors
    /// [`StartError`]; nothing is listening then.
    pub async fn serve_on(mut self, addresses: &[SocketAddr]) -> Result<Server<R>, StartError> {
        let grouped = self.node.targets.iter().flat_map(|t| &t.groups).flat_map(|g| &g.portals);
        let mut wanted: Vec<SocketAddr> = addresses.to_vec();
        wanted.extend(grouped.map(|p| p.address));
        wanted.sort();
        wanted.dedup();
        let runtime = match self.started.take() {
            Some(runtime) => runtime,
            None => R::start(std::mem::take(&mut self.runtime)).map_err(StartError::Runtime)?,
        };
        let mut listeners = BTreeMap::new();
        for address in wanted {
            let sockets = listen::bind_patiently(address, runtime.shards()).await.and_then(|sockets| {
                let bound = sockets.first().map_or(Ok(address), TcpListener::local_addr)?;
                Ok((bound, sockets))
            });
            listeners.insert(address, sockets.map_err(|why| StartError::Listen { address, why })?);
        }
        let default: Vec<_> =
            addresses.iter().filter_map(|a| listeners.get(a)).map(|(bound, _)| *bound).collect();
        for target in &mut self.node.targets {
            if target.groups.is_empty() {
                target.groups.push(PortalGroup::new(1, default.iter().copied()));
            }
            for portal in target.groups.iter_mut().flat_map(|g| &mut g.portals) {
                if let Some((bound, _)) = listeners.get(&portal.address) {
                    portal.address = *bound;
                }
            }
        }
        Ok(self.start(runtime, listeners.into_values().collect())?)
    }

    fn start(
        mut self,
        runtime: R,
        listeners: Vec<(SocketAddr, Vec<TcpListener>)>,
    ) -> Result<Server<R>, ConfigError> {
        let units =
            self.units.into_iter().map(|(config, backend)| (LogicalUnit::new(config), backend)).collect();
        let node = Node::new(self.node)?;
        // A list of targets is as long as the configuration makes it, and must not be cut.
        self.limits.text_answer_bytes = self.limits.text_answer_bytes.max(longest_list(&node));
        let loads = (0..runtime.shards()).map(|_| AtomicUsize::new(0)).collect();
        let hub = Arc::new(Hub {
            runtime,
            node,
            units: UnitTable::new(units),
            limits: self.limits,
            sessions: Mutex::new(Sessions::new(self.node_limits)),
            peers: Mutex::default(),
            stopping: watch::Sender::new(None),
            loads,
            living: Arc::default(),
            closing: Arc::default(),
        });
        let mut addresses = Vec::new();
        for (address, sockets) in listeners {
            addresses.push(address);
            for (shard, socket) in sockets.into_iter().enumerate() {
                let alive = hub.living.enter();
                hub.dispatch(shard, Away::Listen { hub: Arc::clone(&hub), socket, alive });
            }
        }
        Ok(Server { hub, addresses })
    }
}

/// The most bytes that an answer to SendTargets can have.
fn longest_list(node: &Node) -> usize {
    const RECORD: usize = "TargetName=".len() + 224;
    const ADDRESS: usize = "TargetAddress=[]:65535,65535".len() + 256;
    let portals = |target: &TargetConfig| target.groups.iter().map(|g| g.portals.len()).sum::<usize>();
    node.config().targets.iter().map(|target| RECORD + ADDRESS * portals(target)).sum()
}

/// Takes out of `config` what the back end does not carry out.
fn fit(config: &mut UnitConfig, info: &Info) {
    config.read_only |= info.read_only;
    config.write_cache &= info.volatile_cache;
    match info.unmap {
        None => config.provisioning = Provisioning::Full,
        Some(granularity) => {
            config.unmap_granularity = (granularity / config.block_size.bytes()).max(1);
        }
    }
    config.task_functions = TaskFunctions::ABORT_TASK
        .and(TaskFunctions::ABORT_TASK_SET)
        .and(TaskFunctions::CLEAR_TASK_SET)
        .and(TaskFunctions::LOGICAL_UNIT_RESET);
}
