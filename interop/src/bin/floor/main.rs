//! The floor under a server's costs: a bare echo with the message sizes of iSCSI and nothing behind it.
//!
//! A request is 48 bytes, of a write with its data behind them; the answer is 48 bytes, of a read with its data behind
//! them. `serve` answers on a runtime as a good server would: it reads what the socket has, and answers it all with one
//! gathered write. `load` keeps requests under way as the iSCSI clients do. Both check what they get.
//!
//! Each prints one JSON object. Exit status: 0 all is well, 1 wrong data or a failure, 2 a wrong command line.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;

mod client;
mod message;
mod server;

/// A bare echo of the message sizes of iSCSI, to compare servers with
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve some connections, and end with the last of them
    Serve(Serve),
    /// Load a server that `serve` started
    Load(Load),
}

#[derive(Args)]
struct Serve {
    /// What answers
    #[arg(long, value_enum, default_value_t = Kind::Std)]
    runtime: Kind,
    /// Connections to wait for
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Threads of the runtime; std has one for each connection [default: tokio one for each core, glommio 1]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: Option<u16>,
    /// Bytes read at once
    #[arg(long, default_value_t = 128 << 10, value_parser = clap::value_parser!(u32).range(64..=16 << 20))]
    buffer: u32,
    #[command(flatten)]
    data: Data,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Kind {
    /// A blocking thread for each connection
    Std,
    Tokio,
    /// io_uring, on Linux
    Glommio,
}

#[derive(Args, Clone, Copy, Debug)]
struct Data {
    /// Bytes of data of each request
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(16..=16 << 20))]
    size: u32,
    /// Compare the whole data of every so many messages; of the others the first and the last eight bytes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    check: u64,
}

#[derive(Args)]
struct Load {
    address: SocketAddr,
    /// Send data instead of asking for it
    #[arg(long)]
    write: bool,
    /// Requests under way on each connection
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    depth: u16,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// How requests leave, and answers are read
    #[arg(long, value_enum, default_value_t = Batching::Gathered)]
    batching: Batching,
    /// How long
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    #[command(flatten)]
    data: Data,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Batching {
    /// One write for each request, one read for each header and each piece of data, as libiscsi does
    Each,
    /// One gathered write for all new requests, large reads, as iscsictl does
    Gathered,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=3600.0).contains(&number) { Ok(number) } else { Err("from 0.01 to 3600".to_owned()) }
}

/// CPU time that this process has used, in its own code and in the kernel's for it.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn main() -> ExitCode {
    let done = match Options::parse().verb {
        Verb::Serve(options) => server::serve(&options).map(|(operations, cpu)| {
            json!({ "runtime": format!("{:?}", options.runtime).to_lowercase(), "operations": operations,
                    "cpu_seconds": cpu.as_secs_f64() })
        }),
        Verb::Load(options) => client::load(&options).map(|loaded| {
            let seconds = loaded.time.as_secs_f64();
            json!({ "operations": loaded.operations, "seconds": seconds, "iops": loaded.operations as f64 / seconds,
                    "mb_s": loaded.operations as f64 * f64::from(options.data.size) / seconds / 1e6,
                    "cpu_seconds": loaded.cpu.as_secs_f64(), "checked_whole": loaded.checked })
        }),
    };
    match done {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}
