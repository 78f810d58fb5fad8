//! Serving: from a checked configuration to a running server, and to its end.

pub(crate) mod disks;
mod ending;

use std::path::PathBuf;
use std::sync::Arc;

use iscsicore_runtime::Runtime;
use iscsicore_runtime::backend::Backend;
use iscsicore_runtime::server::{Server, StartError};
use iscsicore_tokio::server::Tokio;
use thiserror::Error;
use tokio::runtime::Builder;

use crate::config::Config;
use crate::runtime::{self, Chosen, Started};
use crate::{banner, check, output};
use disks::FileError;
use ending::Signals;

/// Why the server ended before it was asked to, or not well.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The system gave no runtime, or no way to be told of signals.
    #[error("cannot start: {why}; {}", check::threads_remedy(why))]
    System {
        /// What it said.
        #[from]
        why: std::io::Error,
    },
    /// The runtime that was asked for cannot run here.
    #[error("{0}")]
    Runtime(String),
    /// The directory of the disks cannot be made.
    #[error("cannot create the directory {}: {why}; {}", path.display(), check::creation_remedy(why))]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A disk cannot be opened.
    #[error("{lun}: {why}")]
    Disk {
        /// The LUN that it is behind.
        lun: String,
        /// The reason.
        why: FileError,
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
    /// The runtime does not start.
    #[error("cannot start the server's threads: {why}; {}", check::threads_remedy(why))]
    Threads {
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
            StartError::Runtime(why) => Error::Threads { why },
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
    let (chosen, started) = runtime::choose(&config.runtime).map_err(Error::Runtime)?;
    if let Some(warning) = chosen.warning() {
        tracing::warn!("{warning}");
    }
    if !config.data_dir.as_os_str().is_empty() {
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|why| Error::DataDir { path: config.data_dir.clone(), why })?;
    }
    let backends = disks::open_all(&mut config, &chosen.runtime)?;
    match started {
        Started::Tokio => {
            let main = Builder::new_multi_thread().enable_all().build()?;
            run_on::<Tokio>(main, None, config, &chosen, &backends)?;
        }
        #[cfg(target_os = "linux")]
        Started::Glommio(shards) => {
            // The shards are threads of their own: this one waits for signals, and for the end.
            let main = Builder::new_current_thread().enable_all().build()?;
            run_on(main, Some(shards), config, &chosen, &backends)?;
        }
    }
    tracing::info!(disks = backends.len(), "all disks flushed, ended");
    Ok(())
}

/// Serves on one runtime, from the start to the flush: on one that was started already, or on `main`, which otherwise only
/// waits.
fn run_on<R: Runtime>(
    main: tokio::runtime::Runtime,
    started: Option<R>,
    config: Config,
    chosen: &Chosen,
    backends: &[Arc<dyn Backend>],
) -> Result<(), Error> {
    let ended = main.block_on(async {
        let signals = Signals::new()?;
        let server = start(started, &config, backends).await?;
        Ok(serve(server, signals, config, chosen).await)
    });
    let errors = match ended {
        Ok(Ok(errors)) => {
            main.shutdown_background();
            errors
        }
        Ok(Err(cut_short)) => ending::in_a_hurry(main, cut_short, backends),
        Err(error) => {
            main.shutdown_background();
            return Err(error);
        }
    };
    match errors.into_iter().next() {
        Some(error) => Err(Error::Flush(error)),
        None => Ok(()),
    }
}

async fn start<R: Runtime>(
    started: Option<R>,
    config: &Config,
    backends: &[Arc<dyn Backend>],
) -> Result<Server<R>, Error> {
    let mut builder = Server::builder();
    for (unit, backend) in config.units.iter().zip(backends) {
        builder.unit(disks::describe(unit, backend.size()), Arc::clone(backend));
    }
    if let Some(runtime) = started {
        builder.on(runtime);
    }
    builder.node(config.node.clone()).limits(config.session.clone()).node_limits(config.limits.clone());
    Ok(builder.serve_on(&config.portals).await?)
}

/// Serves to the end; returns what went wrong then, or what is left when it was cut short.
async fn serve<R: Runtime>(
    server: Server<R>,
    mut signals: Signals,
    mut config: Config,
    chosen: &Chosen,
) -> Result<Vec<std::io::Error>, ending::CutShort> {
    // The greeting names the ports that the system chose.
    config.node.targets.clone_from(&server.node().targets);
    let greeting = banner::banner(&config, chosen);
    let addresses: Vec<_> = server.addresses().iter().map(ToString::to_string).collect();
    let addresses = addresses.join(" ");
    // Scripts wait for the last line. A full or closed output is no reason to end.
    let _ = output::print(&format!("{greeting}\nlistening on {addresses}\n"));
    let name = chosen.runtime.name();
    match chosen.runtime.shards() {
        Some(shards) => tracing::info!(runtime = %name, shards, %addresses, "serving"),
        None => tracing::info!(runtime = %name, %addresses, "serving"),
    }
    signals.wait().await;
    tracing::info!("ending");
    ending::end(server, async || signals.wait().await).await
}
