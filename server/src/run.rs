//! Serving: from a checked configuration to a running server, and to its end.

mod ending;

use std::path::PathBuf;
use std::sync::Arc;

use iscsicore::disk::{BlockSize, Naa, Provisioning, UnitConfig};
use iscsicore_tokio::Server;
use iscsicore_tokio::backend::{Access, Backend, FileOptions, MemoryBackend, OpenError};
use iscsicore_tokio::server::StartError;
use thiserror::Error;

use crate::config::{Backing, Config, Unit, rest};
use crate::identity::{self, Identity};
use crate::{banner, check, output};
use ending::Signals;

/// Why the server ended before it was asked to, or not well.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The system gave no runtime, or no way to be told of signals.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The directory of the disks cannot be made.
    #[error("cannot create the directory {}: {why}; {}", path.display(), check::creation_remedy(why))]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A disk cannot be opened.
    #[error("{lun}: {why}; {}", check::disk_remedy(why))]
    Disk {
        /// The LUN that it is behind.
        lun: String,
        /// What the system said.
        why: OpenError,
    },
    /// A disk cannot be served for another reason, which says what to do.
    #[error("{lun}: {why}")]
    Lun {
        /// The LUN.
        lun: String,
        /// The reason.
        why: String,
    },
    /// A portal cannot be opened.
    #[error("portal {address}: cannot listen: {why}; {}", check::portal_remedy(why))]
    Portal {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        why: std::io::Error,
    },
    /// The server cannot start.
    #[error(transparent)]
    Start(StartError),
    /// Acknowledged data may not have reached its disk.
    #[error("a disk failed to write its data back: {0}")]
    Flush(std::io::Error),
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Listen { address, why } => Error::Portal { address, why },
            other => Error::Start(other),
        }
    }
}

/// Serves until the process is asked to end (SIGINT, SIGTERM, SIGHUP), then lets the initiators log out and flushes.
/// Signals that come some seconds later cut the former short, and never the latter.
///
/// # Errors
///
/// What kept the server from starting, or a disk from being flushed.
pub(crate) fn run(mut config: Config) -> Result<(), Error> {
    if !config.data_dir.as_os_str().is_empty() {
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|why| Error::DataDir { path: config.data_dir.clone(), why })?;
    }
    let backends = open_all(&mut config)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(serve(config, &backends));
    let errors = match ended {
        Ok(Some(errors)) => {
            runtime.shutdown_background();
            errors
        }
        Ok(None) => ending::in_a_hurry(runtime, &backends),
        Err(error) => {
            runtime.shutdown_background();
            return Err(error);
        }
    };
    if let Some(error) = errors.into_iter().next() {
        return Err(Error::Flush(error));
    }
    tracing::info!(disks = backends.len(), "all disks flushed, ended");
    Ok(())
}

/// Serves to the end; returns what went wrong then, or nothing when it was cut short.
async fn serve(
    mut config: Config,
    backends: &[Arc<dyn Backend>],
) -> Result<Option<Vec<std::io::Error>>, Error> {
    let mut signals = Signals::new()?;
    let mut builder = Server::builder();
    for (unit, backend) in config.units.iter().zip(backends) {
        builder.unit(describe(unit, backend.size()), Arc::clone(backend));
    }
    builder.node(config.node.clone()).limits(config.session.clone()).node_limits(config.limits.clone());
    let server = builder.serve_on(&config.portals).await?;
    // The greeting names the ports that the system chose.
    config.node.targets.clone_from(&server.node().targets);
    let greeting = banner::banner(&config);
    let addresses: Vec<_> = server.addresses().iter().map(ToString::to_string).collect();
    // Scripts wait for the last line. A full or closed output is no reason to end.
    let _ = output::print(&format!("{greeting}\nlistening on {}\n", addresses.join(" ")));
    tracing::info!(addresses = %addresses.join(" "), "serving");
    signals.wait().await;
    tracing::info!("ending");
    Ok(ending::end(server, async || signals.wait().await).await)
}

/// Opens the disks, and with them in hand settles who they are.
fn open_all(config: &mut Config) -> Result<Vec<Arc<dyn Backend>>, Error> {
    let names = check::unit_names(config);
    let mut backends = Vec::new();
    for (unit, lun) in config.units.iter_mut().zip(&names) {
        let backend = open(unit, lun)?;
        if unit.size.is_none()
            && let Backing::File(path) = &unit.backing
            && !path.is_file()
            && let Some(note) = rest(backend.size(), unit.block_size)
        {
            tracing::warn!("{lun}: {note}");
        }
        identify(unit, lun)?;
        backends.push(backend);
    }
    check_identities(config, &names)?;
    Ok(backends)
}

fn identify(unit: &mut Unit, lun: &str) -> Result<(), Error> {
    if unit.serial.is_some() && unit.naa.is_some() {
        return Ok(());
    }
    let settled = identity::settle(&unit.backing).map_err(|why| Error::Lun { lun: lun.to_owned(), why })?;
    if let Some(warning) = settled.warning {
        tracing::warn!("{lun}: {warning}");
    }
    let Identity { serial, naa } = settled.identity;
    unit.serial.get_or_insert(serial);
    unit.naa.get_or_insert(naa);
    Ok(())
}

/// What was assigned just now was not there when the configuration was checked.
fn check_identities(config: &Config, names: &[String]) -> Result<(), Error> {
    let (mut serials, mut naas) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
    for (unit, lun) in config.units.iter().zip(names) {
        let other = serials
            .insert(unit.serial.as_deref(), lun)
            .or(naas.insert(unit.naa.as_ref().map(Naa::as_bytes), lun));
        if let Some(other) = other {
            let why = format!("it has the identity of {other}; configure another serial and naa");
            return Err(Error::Lun { lun: lun.clone(), why });
        }
    }
    Ok(())
}

fn open(unit: &Unit, lun: &str) -> Result<Arc<dyn Backend>, Error> {
    match &unit.backing {
        Backing::Memory => {
            let disk = MemoryBackend::try_new(unit.size.unwrap_or_default()).map_err(|why| Error::Lun {
                lun: lun.to_owned(),
                why: format!("{why}; write a smaller size, or serve a file"),
            })?;
            Ok(Arc::new(disk))
        }
        Backing::File(path) => {
            let options = FileOptions::new().access(access(unit));
            let options = unit.size.iter().fold(options, |options, size| options.size(*size));
            let disk = options.open(path).map_err(|why| Error::Disk { lun: lun.to_owned(), why })?;
            Ok(Arc::new(disk))
        }
    }
}

/// How the file of a unit is opened.
pub(crate) fn access(unit: &Unit) -> Access {
    if unit.read_only { Access::ReadOnly } else { Access::ReadWrite }
}

fn describe(unit: &Unit, bytes: u64) -> UnitConfig {
    let block_size = if unit.block_size == 4096 { BlockSize::B4096 } else { BlockSize::B512 };
    let serial = unit.serial.as_deref().unwrap_or_default();
    let mut config = UnitConfig::new(serial, block_size, bytes / u64::from(unit.block_size));
    config.naa = unit.naa.unwrap_or(config.naa);
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
            serial: Some("s".into()),
            naa: Some(Naa::locally_assigned("t")),
            vendor: Some("V".into()),
            product: None,
        };
        let config = describe(&unit, open(&unit, "LUN 0").unwrap().size());
        assert_eq!((config.blocks, config.block_size), (256, BlockSize::B4096));
        assert!(config.read_only && config.provisioning == Provisioning::Full);
        assert_eq!((config.vendor.as_str(), config.naa), ("V", Naa::locally_assigned("t")));
        assert_eq!(config.product, UnitConfig::new("s", BlockSize::B4096, 1).product);
    }

    // Goal: an error at the start names the LUN and says what to do.
    #[test]
    fn errors_name_the_lun_and_a_remedy() {
        use clap::Parser;
        let load = |line: &[&str]| {
            let args = crate::cli::Args::parse_from([&["iscsicored"], line].concat());
            crate::config::load(&args).config.unwrap()
        };
        let mut config = load(&["--disk", "memory:512", "--disk", "memory:512"]);
        config.units[1].backing = Backing::File("/dev/null".into());
        let said = open_all(&mut config).err().unwrap().to_string();
        assert!(said.starts_with("LUN 1 of iqn.2026-01.dev.iscsicore:disk0: /dev/null is neither"), "{said}");
        assert!(said.ends_with("; name a regular file or a block device"), "{said}");

        let mut config = load(&["--disk", "memory:512", "--disk", "memory:512"]);
        config.units[1].serial = Some("given".into());
        config.units[0].serial = Some("given".into());
        let said = open_all(&mut config).err().unwrap().to_string();
        assert!(said.contains("it has the identity of LUN 0 of"), "{said}");
    }
}
