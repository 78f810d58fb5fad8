//! The command line of the programs, and what follows from it: one disk, which is LUN 0 of one target.

use std::error::Error;
use std::net::SocketAddr;

use iscsicore::Limits;
use iscsicore::disk::{BlockSize, LogicalUnit, UnitConfig};
use iscsicore::node::{
    IscsiName, Node, NodeConfig, NodeLimits, PortalGroup, TargetConfig, UnitAccess, UnitId,
};
use iscsicore::simple::Host;

use crate::TARGET;
use crate::storage::Storage;

/// The size of the disk in memory that is served without `--disk`.
const DEFAULT_SIZE: u64 = 64 << 20;

/// What the command line asks for.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What to serve.
    pub storage: Storage,
}

impl Options {
    /// Reads the command line of this process.
    ///
    /// # Errors
    /// An argument is unknown or malformed, or the file cannot be opened.
    pub fn from_args() -> Result<Options, Box<dyn Error>> {
        let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut storage = None;
        let mut args = std::env::args().skip(1);
        while let Some(option) = args.next() {
            let value = args.next().ok_or_else(|| format!("{option}: a value is missing"))?;
            match option.as_str() {
                "--listen" => listen = value.parse().map_err(|why| format!("--listen {value}: {why}"))?,
                "--disk" => {
                    let (file, size) = value.rsplit_once(':').ok_or("--disk FILE:SIZE")?;
                    let size = parse_size(size).ok_or_else(|| format!("--disk: {size:?} is not a size"))?;
                    let opened = Storage::file(file, size).map_err(|why| format!("--disk {file}: {why}"))?;
                    storage = Some(opened);
                }
                _ => return Err(format!("{option}: unknown; [--listen ADDR:PORT] [--disk FILE:SIZE]").into()),
            }
        }
        Ok(Options { listen, storage: storage.unwrap_or_else(|| Storage::memory(DEFAULT_SIZE)) })
    }

    /// The server as the core has it. `bound` is the address of the listener, which SendTargets reports.
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn host(&self, bound: SocketAddr) -> Result<Host, Box<dyn Error>> {
        // The unit is what initiators see of the disk: its geometry, names, caches. It holds no data.
        let block = BlockSize::B512;
        let blocks = self.storage.size() / u64::from(block.bytes());
        let unit = LogicalUnit::new(UnitConfig::new("example-disk-0", block, blocks));

        // Unit 0, our only one, is LUN 0 for everybody, at one address.
        let mut target = TargetConfig::new(IscsiName::parse(TARGET)?);
        target.luns.insert(0, UnitId(0), UnitAccess::ReadWrite)?;
        target.groups.push(PortalGroup::new(1, [bound]));
        let mut config = NodeConfig::default();
        config.targets.push(target);
        Ok(Host::new(Node::new(config)?, vec![unit], Limits::default(), NodeLimits::default()))
    }
}

/// Reads `4096`, `512K`, `64M`, `2G`: whole blocks only, and at least one.
fn parse_size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 10),
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        _ => (text, 0),
    };
    let size = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    (size >= 512 && size % 512 == 0).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4096"), Some(4096));
        assert_eq!(parse_size("3K"), Some(3 << 10));
        assert_eq!(parse_size("64M"), Some(64 << 20));
        assert_eq!(parse_size("2G"), Some(2 << 30));
        for wrong in ["", "M", "0", "513", "-1", "1.5G", "64MB", "99999999999G"] {
            assert_eq!(parse_size(wrong), None, "{wrong:?}");
        }
    }
}
