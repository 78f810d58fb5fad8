//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::config::{Disk, parse_address};
use crate::runtime::{Choice, MOST_SHARDS};
use crate::size;

/// An iSCSI target server.
///
/// Without arguments it serves one disk of 1 GiB, the file ./iscsicored-data/disk0.img, to this machine, as target
/// iqn.2026-01.dev.iscsicore:disk0 on 127.0.0.1:3260.
#[derive(Parser, Debug, PartialEq, Eq)]
#[command(version, about, after_long_help = EXAMPLES, after_help = "Use --help for examples, signals and exit codes.")]
pub(crate) struct Args {
    /// Serve what this TOML file says
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Check the configuration, the disks and the addresses, say what would be served, and exit. Nothing is created
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Listen here; may be repeated. An IPv6 address with a port needs brackets [default: 127.0.0.1:3260]
    #[arg(long, short, value_name = "ADDR[:PORT]", value_parser = parse_address, conflicts_with = "config")]
    pub(crate) listen: Vec<SocketAddr>,

    /// Serve this file, block device, or memory:SIZE as the next LUN; may be repeated. With a size (K, M, G, T) a file
    /// that is not there is created, without taking the space. Initiators know a file's disk by PATH.id, made beside it.
    /// With direct: before the path it goes past the page cache (O_DIRECT), on glommio only
    #[arg(long, short, value_name = "PATH[:SIZE]", value_parser = disk, conflicts_with = "config")]
    pub(crate) disk: Vec<Disk>,

    /// What the server runs on [default: auto, or what the file says]
    #[arg(long, value_enum, value_name = "RUNTIME")]
    pub(crate) runtime: Option<Choice>,

    /// How many shards glommio has: threads, each with the sessions that it serves, on cores of their own while there are
    /// as many [default: one a core, or what the file says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_SHARDS)))]
    pub(crate) shards: Option<u16>,

    /// How log lines look [default: text, or what the file says]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// What is logged: error, warn, info, debug, trace, or a filter such as info,iscsicore=debug [default: info, or what the
    /// file says]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  iscsicored
      a disk to play with, on this machine only
  iscsicored --disk disk.img:10G
      a new file of 10 GiB (it takes space as it is written)
  iscsicored --disk /dev/vg0/data --disk memory:512M --listen 0.0.0.0
      a block device as LUN 0 and memory as LUN 1, to the whole network
  iscsicored --disk direct:/dev/nvme0n1 --runtime glommio --shards 4
      a block device without the page cache, on four cores
  iscsicored --config /etc/iscsicored.toml --check-config
      is this file right, and what would it serve?

Signals:
  SIGINT, SIGTERM and SIGHUP end the server: initiators are asked to log out, and the disks are flushed. A configuration
  is not read again while it runs; to change it, start the server anew.

Exit codes:
  0  ended as asked (SIGINT, SIGTERM, SIGHUP; --help, --version; a good --check-config)
  1  failed while starting or running
  2  wrong usage or wrong configuration, or --check-config found what a start would fail of";

fn disk(text: &str) -> Result<Disk, String> {
    if text == "memory" {
        return Err("write the size of the memory disk too, such as memory:512M".to_owned());
    }
    if let Some(size) = text.strip_prefix("memory:") {
        let size = size::parse(size).ok_or_else(|| not_a_size(size))?;
        return Ok(Disk { size: Some(size), ..Disk::default() });
    }
    let (text, direct) = match text.strip_prefix("direct:") {
        Some("memory") => {
            return Err("a disk in memory has no cache to go past; leave direct: out".to_owned());
        }
        Some(rest) if rest.starts_with("memory:") => {
            return Err("a disk in memory has no cache to go past; leave direct: out".to_owned());
        }
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (path, size) = match text.rsplit_once(':') {
        // Whatever begins with a digit is meant as a size; anything else belongs to the path.
        Some((path, size)) if size.starts_with(|c: char| c.is_ascii_digit()) => {
            (path, Some(size::parse(size).ok_or_else(|| not_a_size(size))?))
        }
        _ => (text, None),
    };
    if path.is_empty() {
        return Err("write the path of a file or block device".to_owned());
    }
    Ok(Disk { path: Some(path.into()), size, direct })
}

fn not_a_size(text: &str) -> String {
    format!("{text:?} is not a size; write bytes or a number with K, M, G or T")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &[&str]) -> Result<Args, String> {
        Args::try_parse_from([&["iscsicored"], line].concat()).map_err(|e| e.to_string())
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn addresses_come_with_and_without_port() {
        let line = [
            "--listen",
            "0.0.0.0",
            "--listen",
            "[::1]:860",
            "-l",
            "::",
            "-l",
            "[::2]",
            "-l",
            "192.0.2.1:3261",
        ];
        let want = ["0.0.0.0:3260", "[::1]:860", "[::]:3260", "[::2]:3260", "192.0.2.1:3261"].map(at);
        assert_eq!(args(&line).unwrap().listen, want);
        for bad in ["localhost", "1.2.3", "::1:70000:", "0.0.0.0:99999", ""] {
            assert!(args(&["--listen", bad]).unwrap_err().contains("write an IP address"), "{bad}");
        }
    }

    #[test]
    fn disks_come_with_and_without_size() {
        let disk = |text: &str| args(&["--disk", text]).map(|a| a.disk[0].clone());
        let file = |path: &str, size| Ok(Disk { path: Some(path.into()), size, direct: false });
        assert_eq!(disk("disk.img:10G"), file("disk.img", Some(10 << 30)));
        assert_eq!(disk("/dev/sdb"), file("/dev/sdb", None));
        assert_eq!(disk("a:b"), file("a:b", None));
        assert_eq!(disk("memory:1M"), Ok(Disk { size: Some(1 << 20), ..Disk::default() }));
        let direct = |path: &str, size| Ok(Disk { path: Some(path.into()), size, direct: true });
        assert_eq!(disk("direct:/dev/sdb"), direct("/dev/sdb", None));
        assert_eq!(disk("direct:disk.img:10G"), direct("disk.img", Some(10 << 30)));
        assert_eq!(disk("./direct:x"), file("./direct:x", None));
        for bad in ["direct:memory", "direct:memory:1M"] {
            assert!(disk(bad).unwrap_err().contains("no cache to go past; leave direct: out"), "{bad}");
        }
        assert!(disk("direct:").unwrap_err().contains("write the path"));
        assert!(disk("disk.img:10X").unwrap_err().contains("\"10X\" is not a size; write bytes or"));
        assert!(disk("memory:lots").unwrap_err().contains("\"lots\" is not a size"));
        assert!(disk("memory").unwrap_err().contains("such as memory:512M"));
        assert!(disk(":1G").unwrap_err().contains("write the path"));
    }

    #[test]
    fn a_file_and_disks_of_the_command_line_exclude_each_other() {
        for other in [["--disk", "a"], ["--listen", "0.0.0.0"]] {
            let line = [&["--config", "f.toml"][..], &other].concat();
            assert!(args(&line).unwrap_err().contains("cannot be used with"));
        }
    }

    #[test]
    fn the_rest() {
        let all =
            args(&["-c", "f.toml", "--check-config", "--log", "debug", "--log-format", "json"]).unwrap();
        assert_eq!(all.config, Some("f.toml".into()));
        assert!(all.check_config);
        assert_eq!((all.log.as_deref(), all.log_format), (Some("debug"), Some(LogFormat::Json)));
        let all = args(&["--runtime", "glommio", "--shards", "4"]).unwrap();
        assert_eq!((all.runtime, all.shards), (Some(Choice::Glommio), Some(4)));
        for bad in [["--runtime", "smol"], ["--shards", "0"], ["--shards", "1025"], ["--shards", "all"]] {
            assert!(args(&bad).is_err(), "{bad:?}");
        }
        assert!(args(&["--log-format", "xml"]).is_err());
        assert!(args(&["disk.img"]).is_err());
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
