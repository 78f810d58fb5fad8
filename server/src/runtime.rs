//! Which runtime the server is on, and why.

use std::fmt;
use std::num::NonZeroUsize;

use clap::ValueEnum;
#[cfg(target_os = "linux")]
use iscsicore_glommio::{Glommio, Shards};

/// The runtime that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// glommio where io_uring and RLIMIT_MEMLOCK allow it, else tokio and a line in the log that says why.
    #[default]
    Auto,
    /// A thread a core, each with its own io_uring; on Linux.
    Glommio,
    /// A pool of threads, on every system.
    Tokio,
}

/// How the server is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeConfig {
    /// On what.
    pub(crate) choice: Choice,
    /// The number of shards; none means one a core. Of no use to tokio.
    pub(crate) shards: Option<NonZeroUsize>,
    /// Whether each shard stays on a core of its own. Likewise.
    pub(crate) pinned: bool,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        RuntimeConfig { choice: Choice::default(), shards: None, pinned: true }
    }
}

/// A runtime that can run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// tokio, with as many threads as it takes by itself.
    Tokio,
    /// glommio, with these shards.
    #[cfg(target_os = "linux")]
    Glommio(Shards),
}

/// What came of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// What the server runs on.
    pub(crate) runtime: Runtime,
    /// Why that is not glommio, where it was to be if possible, and what would help.
    pub(crate) why_not_glommio: Option<String>,
}

/// What has been started to find that out.
pub(crate) enum Started {
    /// Nothing.
    Tokio,
    /// The shards.
    #[cfg(target_os = "linux")]
    Glommio(Glommio),
}

/// Chooses, by trying: the shards are started, to be served on or to be dropped.
///
/// # Errors
///
/// What was asked for cannot run here, with the reason and what to do.
pub(crate) fn choose(config: &RuntimeConfig) -> Result<(Chosen, Started), String> {
    match config.choice {
        Choice::Tokio => Ok((Chosen { runtime: Runtime::Tokio, why_not_glommio: None }, Started::Tokio)),
        Choice::Auto => Ok(glommio(config).unwrap_or_else(|why| (fallback(why), Started::Tokio))),
        Choice::Glommio => {
            glommio(config).map_err(|why| format!("cannot run on glommio: {why}; or choose --runtime tokio"))
        }
    }
}

/// What `auto` makes of the lack of glommio.
fn fallback(why: String) -> Chosen {
    // Where nothing could be done about it, there is nothing to say.
    Chosen { runtime: Runtime::Tokio, why_not_glommio: cfg!(target_os = "linux").then_some(why) }
}

#[cfg(target_os = "linux")]
fn glommio(config: &RuntimeConfig) -> Result<(Chosen, Started), String> {
    let mut shards = Shards::default();
    (shards.count, shards.pinned) = (config.shards, config.pinned);
    let shards = shards.within_memlock();
    let started = iscsicore_glommio::start(&shards).map_err(|why| why.to_string())?;
    Ok((Chosen { runtime: Runtime::Glommio(shards), why_not_glommio: None }, Started::Glommio(started)))
}

#[cfg(not(target_os = "linux"))]
fn glommio(_config: &RuntimeConfig) -> Result<(Chosen, Started), String> {
    Err("it is built on io_uring, which only Linux has".to_owned())
}

impl Runtime {
    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Runtime::Tokio => "tokio",
            #[cfg(target_os = "linux")]
            Runtime::Glommio(_) => "glommio",
        }
    }

    /// How many shards it has, if it has shards.
    pub(crate) fn shards(&self) -> Option<usize> {
        match self {
            Runtime::Tokio => None,
            #[cfg(target_os = "linux")]
            Runtime::Glommio(shards) => Some(shards.count()),
        }
    }
}

impl Chosen {
    /// What to say in the log when the choice is not the one that was hoped for.
    pub(crate) fn warning(&self) -> Option<String> {
        let why = self.why_not_glommio.as_ref()?;
        Some(format!("running on tokio, because glommio cannot run: {why}; --runtime tokio silences this"))
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.runtime, &self.why_not_glommio) {
            (Runtime::Tokio, None) => f.write_str("tokio"),
            (Runtime::Tokio, Some(why)) => write!(f, "tokio, because glommio cannot run: {why}"),
            #[cfg(target_os = "linux")]
            (Runtime::Glommio(shards), _) => {
                let count = shards.count();
                let (plural, pinned) =
                    (if count == 1 { "" } else { "s" }, if shards.pinned { ", pinned" } else { "" });
                write!(f, "glommio, {count} shard{plural}{pinned}")
            }
        }
    }
}

/// Says so when there are more shards than cores for them.
pub(crate) fn too_many_shards(shards: usize, cores: Option<usize>) -> Option<String> {
    let cores = cores.filter(|cores| shards > *cores)?;
    Some(format!(
        "{shards} shards on {cores} cores take turns, which is slower than one a core; write {cores} or less, or leave it \
         out"
    ))
}

/// The cores that this process may use.
pub(crate) fn cores() -> Option<usize> {
    std::thread::available_parallelism().ok().map(NonZeroUsize::get)
}

/// More shards than any machine has cores for.
pub(crate) const MOST_SHARDS: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokio_is_chosen_without_a_word() {
        let (chosen, _) =
            choose(&RuntimeConfig { choice: Choice::Tokio, ..RuntimeConfig::default() }).unwrap();
        assert_eq!((chosen.to_string().as_str(), chosen.warning()), ("tokio", None));
    }

    // Goal: whoever gets tokio instead learns why. Method: what auto makes of a reason, wherever this test runs.
    #[test]
    fn a_fallback_says_why_where_something_can_be_done() {
        let chosen = fallback("it is too old; renew it".to_owned());
        assert_eq!(chosen.runtime, Runtime::Tokio);
        if cfg!(target_os = "linux") {
            assert_eq!(chosen.to_string(), "tokio, because glommio cannot run: it is too old; renew it");
            let warning = chosen.warning().unwrap();
            assert!(
                warning.starts_with("running on tokio, because glommio cannot run: it is too old"),
                "{warning}"
            );
        } else {
            assert_eq!((chosen.to_string().as_str(), chosen.warning()), ("tokio", None));
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[test]
    fn glommio_is_for_linux() {
        let said =
            choose(&RuntimeConfig { choice: Choice::Glommio, ..RuntimeConfig::default() }).err().unwrap();
        assert!(said.contains("only Linux has") && said.ends_with("choose --runtime tokio"), "{said}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn shards_are_named() {
        let mut shards = Shards::new(1);
        let said = |shards: &Shards| {
            Chosen { runtime: Runtime::Glommio(shards.clone()), why_not_glommio: None }.to_string()
        };
        assert_eq!(said(&shards), "glommio, 1 shard, pinned");
        shards = Shards::new(3);
        shards.pinned = false;
        assert_eq!(said(&shards), "glommio, 3 shards");
    }

    #[test]
    fn more_shards_than_cores_are_noticed() {
        assert_eq!((too_many_shards(2, Some(2)), too_many_shards(9, None)), (None, None));
        assert!(too_many_shards(3, Some(2)).unwrap().starts_with("3 shards on 2 cores take turns"));
    }
}
