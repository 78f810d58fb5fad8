//! The disks: what stands behind them is opened, and who they are is settled.

use std::path::Path;
use std::sync::Arc;

use iscsicore::disk::{BlockSize, Naa, Provisioning, UnitConfig};
#[cfg(target_os = "linux")]
use iscsicore_glommio::backend::{Direct, Uring};
use iscsicore_runtime::backend::{Access, Backend, FileOptions, MemoryBackend, OpenError};

use super::Error;
use crate::check;
use crate::config::{Backing, Config, Unit, rest};
use crate::identity::{self, Identity};
use crate::runtime::Runtime;

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// What the system said.
    #[error("{why}; {}", check::disk_remedy(why))]
    Open {
        /// Its words.
        #[from]
        why: OpenError,
    },
    /// The runtime cannot go past the page cache.
    #[error("{0}")]
    Direct(&'static str),
}

/// Opens the disks, and with them in hand settles who they are.
pub(super) fn open_all(config: &mut Config, runtime: &Runtime) -> Result<Vec<Arc<dyn Backend>>, Error> {
    let names = check::unit_names(config);
    let mut backends = Vec::new();
    for (unit, lun) in config.units.iter_mut().zip(&names) {
        let backend = open(unit, lun, runtime)?;
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

fn open(unit: &Unit, lun: &str, runtime: &Runtime) -> Result<Arc<dyn Backend>, Error> {
    match &unit.backing {
        Backing::Memory => {
            let disk = MemoryBackend::try_new(unit.size.unwrap_or_default()).map_err(|why| Error::Lun {
                lun: lun.to_owned(),
                why: format!("{why}; write a smaller size, or serve a file"),
            })?;
            Ok(Arc::new(disk))
        }
        Backing::File(path) => {
            let options = options(unit);
            let options = unit.size.iter().fold(options, |options, size| options.size(*size));
            open_file(path, options, unit.direct, runtime)
                .map_err(|why| Error::Disk { lun: lun.to_owned(), why })
        }
    }
}

/// Opens a file by the back end that suits the runtime.
pub(crate) fn open_file(
    path: &Path,
    options: FileOptions,
    direct: bool,
    runtime: &Runtime,
) -> Result<Arc<dyn Backend>, FileError> {
    match (runtime, direct) {
        (Runtime::Tokio, false) => Ok(Arc::new(options.open(path)?)),
        (Runtime::Tokio, true) => Err(FileError::Direct(NO_DIRECT)),
        #[cfg(target_os = "linux")]
        (Runtime::Glommio(_), false) => Ok(Arc::new(options.open_with::<Uring>(path)?)),
        #[cfg(target_os = "linux")]
        (Runtime::Glommio(_), true) => Ok(Arc::new(options.open_with::<Direct>(path)?)),
    }
}

/// How the file of a unit is opened, but for its size.
pub(crate) fn options(unit: &Unit) -> FileOptions {
    FileOptions::new().access(if unit.read_only { Access::ReadOnly } else { Access::ReadWrite })
}

pub(super) fn describe(unit: &Unit, bytes: u64) -> UnitConfig {
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

/// What to do about a direct disk on a runtime that has none.
const NO_DIRECT: &str =
    "direct I/O needs glommio, and this is tokio; leave direct out, or see what --runtime glommio says";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_described_as_configured() {
        let unit = Unit {
            backing: Backing::Memory,
            size: Some(1 << 20),
            direct: false,
            block_size: 4096,
            read_only: true,
            thin: false,
            serial: Some("s".into()),
            naa: Some(Naa::locally_assigned("t")),
            vendor: Some("V".into()),
            product: None,
        };
        let config = describe(&unit, open(&unit, "LUN 0", &Runtime::Tokio).unwrap().size());
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
        let said = open_all(&mut config, &Runtime::Tokio).err().unwrap().to_string();
        assert!(said.starts_with("LUN 1 of iqn.2026-01.dev.iscsicore:disk0: /dev/null is neither"), "{said}");
        assert!(said.ends_with("; name a regular file or a block device"), "{said}");

        let mut config = load(&["--disk", "memory:512", "--disk", "memory:512"]);
        config.units[1].serial = Some("given".into());
        config.units[0].serial = Some("given".into());
        let said = open_all(&mut config, &Runtime::Tokio).err().unwrap().to_string();
        assert!(said.contains("it has the identity of LUN 0 of"), "{said}");
    }

    // Goal: a disk that was to go past the cache is never served through it instead.
    #[test]
    fn direct_disks_are_not_for_tokio() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        let opened = open_file(&path, FileOptions::new().size(4096), true, &Runtime::Tokio);
        assert!(opened.err().unwrap().to_string().starts_with("direct I/O needs glommio"));
        assert!(!path.exists());
    }
}
