//! Serving: from a checked configuration to a running server, and to its end.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use iscsicore::disk::{BlockSize, Provisioning, UnitConfig};
use iscsicore_tokio::Server;
use iscsicore_tokio::backend::{Access, Backend, FileOptions, MemoryBackend, OpenError};
use iscsicore_tokio::server::StartError;
use thiserror::Error;

use crate::banner;
use crate::config::{Backing, Config, Unit};

/// Why the server ended before it was asked to, or not well.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The system gave no runtime, or no way to be told of signals.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The directory of the disks cannot be made.
    #[error("cannot create the directory {}: {why}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A disk cannot be opened.
    #[error(transparent)]
    Disk(#[from] OpenError),
    /// The server cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Acknowledged data may not have reached its disk.
    #[error("a disk failed to write its data back: {0}")]
    Flush(std::io::Error),
    /// A second signal came while sessions were being ended.
    #[error(
        "ended by a second signal: data that was acknowledged but not flushed may not have reached its disk"
    )]
    Hurried,
}

/// Serves until the process is asked to end (SIGINT, SIGTERM), then lets the initiators log out and flushes.
///
/// # Errors
///
/// What kept the server from starting, or a disk from being flushed.
pub(crate) fn run(config: Config) -> Result<(), Error> {
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|why| Error::DataDir { path: config.data_dir.clone(), why })?;
    tokio::runtime::Runtime::new()?.block_on(serve(config))
}

async fn serve(mut config: Config) -> Result<(), Error> {
    let mut asked_to_end = Signals::new()?;
    let mut builder = Server::builder();
    for unit in &config.units {
        let backend = open(unit)?;
        builder.unit(describe(unit, backend.size()), backend);
    }
    builder.node(config.node.clone()).limits(config.session.clone()).node_limits(config.limits.clone());
    let server = builder.serve_on(&config.portals).await?;
    // The greeting names the ports that the system chose.
    config.node.targets.clone_from(&server.node().targets);
    let greeting = banner::banner(&config);
    let addresses: Vec<_> = server.addresses().iter().map(ToString::to_string).collect();
    // Scripts wait for the last line. One that has closed this end's output is no reason to end.
    let _ = write!(std::io::stdout(), "{greeting}\nlistening on {}\n", addresses.join(" "));
    tracing::info!(?addresses, "serving");
    asked_to_end.wait().await;
    tracing::info!("ending");
    let errors = tokio::select! {
        errors = server.shutdown() => errors,
        () = asked_to_end.wait() => return Err(Error::Hurried),
    };
    match errors.into_iter().next() {
        Some(error) => Err(Error::Flush(error)),
        None => Ok(()),
    }
}

fn open(unit: &Unit) -> Result<Arc<dyn Backend>, OpenError> {
    match &unit.backing {
        Backing::Memory => Ok(Arc::new(MemoryBackend::new(unit.size.unwrap_or_default()))),
        Backing::File(path) => {
            let access = if unit.read_only { Access::ReadOnly } else { Access::ReadWrite };
            let options = FileOptions::new().access(access);
            let options = unit.size.iter().fold(options, |options, size| options.size(*size));
            Ok(Arc::new(options.open(path)?))
        }
    }
}

fn describe(unit: &Unit, bytes: u64) -> UnitConfig {
    let block_size = if unit.block_size == 4096 { BlockSize::B4096 } else { BlockSize::B512 };
    let mut config = UnitConfig::new(&unit.serial, block_size, bytes / u64::from(unit.block_size));
    config.naa = unit.naa;
    config.read_only = unit.read_only;
    config.provisioning = if unit.thin { Provisioning::Thin } else { Provisioning::Full };
    if let Some(vendor) = &unit.vendor {
        config.vendor.clone_from(vendor);
    }
    if let Some(product) = &unit.product {
        config.product.clone_from(product);
    }
    config
}

/// The signals that ask a process to end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signal that asks a process to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals)
    }

    async fn wait(&mut self) {
        // Without a way to be told, serve on.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_described_as_configured() {
        let unit = Unit {
            backing: Backing::Memory,
            size: Some(1 << 20),
            block_size: 4096,
            read_only: true,
            thin: false,
            serial: "s".into(),
            naa: crate::identity::naa("t", 0),
            vendor: Some("V".into()),
            product: None,
        };
        let config = describe(&unit, open(&unit).unwrap().size());
        assert_eq!((config.blocks, config.block_size), (256, BlockSize::B4096));
        assert!(config.read_only && config.provisioning == Provisioning::Full);
        assert_eq!((config.vendor.as_str(), config.naa), ("V", unit.naa));
        assert_eq!(config.product, UnitConfig::new("s", BlockSize::B4096, 1).product);
    }
}
