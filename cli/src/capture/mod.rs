//! `iscsictl capture`: a relay that records iSCSI connections as a file that Wireshark opens.

mod pcapng;
mod relay;
mod tcp;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use iscsicore_tokio::client::{DEFAULT_PORT, Url};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::failure::{Failure, Kind};
use crate::output::{Report, complain};
use crate::{Context, connect, units};
use pcapng::Pcapng;
use relay::{Frame, Passed, Relay};

/// Record iSCSI connections for Wireshark
///
/// It listens, passes every connection on to PORTAL, and writes what passes to FILE (pcapng). Any initiator can be recorded
/// by giving it the address that is told in place of the portal's. With a PROGRAM, that is run and ends the recording; in its
/// arguments {} stands for the address.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  iscsictl capture --to 10.0.0.7 -o info.pcapng -- iscsictl info iscsi://{}/iqn.2026-01.com.example:disk0/0
  iscsictl capture --to 10.0.0.7 --listen 0.0.0.0:3260 -o all.pcapng

A target that sends initiators elsewhere (redirects, addresses in discovery) takes them past the relay. CHAP \
secrets are not in the file, but what is in it allows to guess at weak ones.")]
pub(crate) struct Args {
    /// The portal to pass connections on to
    #[arg(long, value_name = "PORTAL", value_parser = connect::portal)]
    to: Url,

    /// Listen here; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: std::net::SocketAddr,

    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Write the target's port as it is; else it is written as 3260, by which Wireshark knows iSCSI
    #[arg(long)]
    keep_port: bool,

    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = units::time_above_0, conflicts_with = "program")]
    time: Option<Duration>,

    /// Run this, and end with it and its exit code
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

#[derive(Serialize)]
struct Listening {
    #[serde(rename = "type")]
    kind: &'static str,
    address: String,
    to: String,
}

impl Report for Listening {
    fn human(&self) -> String {
        format!("listening on {}, passing on to {}; Ctrl-C ends", self.address, self.to)
    }
}

#[derive(Serialize)]
struct Recorded {
    #[serde(rename = "type")]
    kind: &'static str,
    file: String,
    connections: u64,
    packets: u64,
    bytes_from_initiator: u64,
    bytes_from_target: u64,
}

impl Report for Recorded {
    fn human(&self) -> String {
        format!(
            "recorded {} packets of {} connections in {}: {} from the initiator, {} from the target",
            self.packets,
            self.connections,
            self.file,
            units::human(self.bytes_from_initiator),
            units::human(self.bytes_from_target)
        )
    }
}

/// How long connections of a program that has ended are waited for.
const LAST_BYTES: Duration = Duration::from_millis(500);

/// Frames that may wait for the file, in bundles.
const BACKLOG: usize = 64;

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let place = args.output.display().to_string();
    let file = File::create(&args.output)
        .map_err(|error| Failure::operation(format!("cannot create it: {error}")).at(&place))?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Failure::operation(format!("cannot listen: {error}")).at(args.listen.to_string()))?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let to = args.to.address();
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let description = format!("relay to {to}");
    let writer = tokio::task::spawn_blocking(move || write(file, &description, receiver));
    let passed = Arc::new(Passed::default());
    let complaint = |problem: String| context.out.note(&problem);
    let port = (!args.keep_port).then_some(DEFAULT_PORT);
    let relay = Relay { target: to.clone(), port, frames: sender, passed: passed.clone() };
    let relay = relay.run(listener, complaint);
    let address = address.to_string();
    if args.program.is_empty() {
        let kind = "listening";
        context.out.report(&Listening { kind, address: address.clone(), to })?;
    }
    let ended = tokio::select! {
        () = relay => Ok(()),
        ended = wait(&args, &address, &passed, context) => ended,
    };
    // The relay is gone, and with it all senders: the writer ends when it has written the rest.
    let written = writer.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
    let packets =
        written.map_err(|error| Failure::operation(format!("cannot write it: {error}")).at(&place))?;
    let recorded = Recorded {
        kind: "recorded",
        file: place,
        connections: passed.connections.load(Ordering::Relaxed),
        packets,
        bytes_from_initiator: passed.from_initiator.load(Ordering::Relaxed),
        bytes_from_target: passed.from_target.load(Ordering::Relaxed),
    };
    if args.program.is_empty() {
        context.out.report(&recorded)?;
    } else {
        // Standard output belongs to the program.
        complain(&format!("iscsictl: {}", recorded.human()));
    }
    ended
}

/// Waits for the end of the recording.
async fn wait(args: &Args, address: &str, passed: &Passed, context: &Context) -> Result<(), Failure> {
    let time = async {
        match args.time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    if args.program.is_empty() {
        tokio::select! {
            () = time => {}
            // Being asked to end is how a recording ends.
            _ = context.interrupt.requested() => {}
        }
        return Ok(());
    }
    let code = run_program(&args.program, address, context).await?;
    // What its connections have sent last may still be on its way through the relay.
    let until = tokio::time::Instant::now() + LAST_BYTES;
    while passed.open.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if code == 0 { Ok(()) } else { Err(Failure::new(Kind::Child(code), "the program failed")) }
}

/// Runs the program to its end; its exit code.
async fn run_program(program: &[OsString], address: &str, context: &Context) -> Result<u8, Failure> {
    let mut words = program.iter().map(|word| substitute(word, address));
    let name = words.next().unwrap_or_default();
    // A user that types iscsictl means this one.
    let this = std::env::current_exe().ok().filter(|_| Path::new(&name) == Path::new("iscsictl"));
    let shown = name.to_string_lossy().into_owned();
    let mut child = tokio::process::Command::new(this.map_or(name, PathBuf::into_os_string))
        .args(words)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::operation(format!("cannot be run: {error}")).at(shown.clone()))?;
    let mut patience = std::pin::pin!(async {
        // A terminal has sent the signal to the program, too; give it time to end.
        context.interrupt.requested().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    });
    let status = tokio::select! {
        status = child.wait() => status,
        () = &mut patience => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let status = status.map_err(|error| Failure::operation(format!("was lost: {error}")).at(shown))?;
    Ok(status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1)))
}

fn substitute(word: &OsString, address: &str) -> OsString {
    match word.to_str() {
        Some(text) => text.replace("{}", address).into(),
        None => word.clone(),
    }
}

/// Writes frames until there are no more; how many there were.
fn write(file: File, interface: &str, mut frames: mpsc::Receiver<Vec<Frame>>) -> io::Result<u64> {
    let mut file = Pcapng::begin(BufWriter::with_capacity(1 << 20, file), interface)?;
    file.flush()?;
    let mut count = 0;
    while let Some(bundle) = frames.blocking_recv() {
        for frame in bundle {
            file.frame(frame.time, &frame.bytes)?;
            count += 1;
        }
        // A recording that is killed keeps what was seen.
        if frames.is_empty() {
            file.flush()?;
        }
    }
    file.flush()?;
    Ok(count)
}
