//! `iscsictl scsi`.

use std::path::PathBuf;

use iscsicore::DataList;
use iscsicore::initiator::{Answer, Command, Repeat, Sink, Transient, commands};
use iscsicore::scsi::{Cdb, Sense, SenseKey, Status};
use iscsicore::wire::{Lun, Residual, TaskAttribute};
use iscsicore_tokio::Client;
use serde::Serialize;

use crate::Context;
use crate::connect::{Session, UnitUrl, failed, unit_url};
use crate::failure::{Failure, Kind};
use crate::hexdump::hexdump;
use crate::output::Report;
use crate::units;

/// Send a SCSI command that you spell out, and show what comes back
///
/// It is sent once, even when the unit is busy. Unit attention conditions that meet the new session are taken before with TEST
/// UNIT READY, so that they do not take the place of the answer.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  iscsictl scsi URL 120000006000 --in 96                   INQUIRY
  iscsictl scsi URL '9e 10 00000000 00000000 00000020 00 00' --in 32   READ CAPACITY(16)
  iscsictl scsi URL 350000000000000000 00                  SYNCHRONIZE CACHE(10)")]
pub(crate) struct Args {
    /// The logical unit
    #[arg(value_name = "URL", value_parser = unit_url)]
    url: UnitUrl,

    /// The command descriptor block in hexadecimal
    #[arg(value_name = "CDB-HEX", required = true, num_args = 1..)]
    cdb: Vec<String>,

    /// The most bytes that it may send back
    #[arg(long = "in", value_name = "SIZE", value_parser = units::size, default_value = "0")]
    data_in: u64,

    /// File with the data to send with it
    #[arg(long = "out", value_name = "FILE")]
    data_out: Option<PathBuf>,

    /// Write what comes back to this file [default: a hex dump on standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Do not send TEST UNIT READY before
    #[arg(long)]
    alone: bool,

    #[command(flatten)]
    session: Session,
}

/// Unit attention conditions that may wait for a new session; a target that has more of them has them for ever.
const MOST_ATTENTIONS: u32 = 8;

#[derive(Serialize)]
struct Answered {
    status: u8,
    status_name: String,
    sense: Option<SenseText>,
    received_bytes: u32,
    residual: Option<Left>,
    data_hex: String,
    #[serde(skip)]
    data: Vec<u8>,
    #[serde(skip)]
    saved: bool,
    /// What --in said, for a command that sends nothing.
    #[serde(skip)]
    asked: Option<u64>,
}

/// How much less or more the target moved, or would have, than was expected.
#[derive(Clone, Copy, Serialize)]
struct Left {
    kind: &'static str,
    bytes: u32,
}

#[derive(Serialize)]
struct SenseText {
    text: String,
    key: u8,
    asc: u8,
    ascq: u8,
    hex: String,
}

impl Left {
    fn of(residual: Residual) -> Option<Self> {
        match residual {
            Residual::None => None,
            Residual::Underflow(bytes) => Some(Left { kind: "underflow", bytes }),
            Residual::Overflow(bytes) => Some(Left { kind: "overflow", bytes }),
        }
    }

    /// `asked` is what --in said, where that is what was too little.
    fn human(self, asked: Option<u64>) -> String {
        let Left { kind, bytes } = self;
        let what = if kind == "overflow" { "more were to be moved" } else { "less were moved than expected" };
        let remedy = match asked {
            Some(asked) if kind == "overflow" => {
                format!("; add --in {} for all of it", asked + u64::from(bytes))
            }
            _ => String::new(),
        };
        format!("residual {kind}: {bytes} bytes {what}{remedy}")
    }
}

impl Report for Answered {
    fn human(&self) -> String {
        let mut text = self.status_name.clone();
        if let Some(sense) = &self.sense {
            text += &format!("\n{}\nsense {}", sense.text, sense.hex);
        }
        if let Some(left) = self.residual {
            text += &format!("\n{}", left.human(self.asked));
        }
        if !self.data.is_empty() {
            text += &format!("\n{} bytes", self.data.len());
            if !self.saved {
                text += &format!("\n{}", hexdump(&self.data));
            }
        }
        text
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let command = command(&args)?;
    let session = &args.session;
    let answer = session.with_unprobed(&args.url, &context.interrupt, async |client| {
        if !args.alone {
            take_attentions(client).await?;
        }
        let command = Command { lun: client.wire_lun(), ..command };
        client.command(command).await.map_err(|error| failed(&error))
    });
    let place = args.url.0.to_string();
    let answer = answer.await?;
    let report = report(&answer, &args);
    if let Some(path) = &args.output {
        std::fs::write(path, &report.data).map_err(|error| {
            Failure::operation(format!("cannot write it: {error}")).at(path.display().to_string())
        })?;
    }
    context.out.report(&report)?;
    match answer.status {
        Status::GOOD | Status::CONDITION_MET => Ok(()),
        status => {
            let kind = if status == Status::RESERVATION_CONFLICT { Kind::Reserved } else { Kind::Operation };
            let what = report.sense.map_or(report.status_name, |sense| sense.text);
            Err(Failure::new(kind, format!("the command failed: {what}")).at(place))
        }
    }
}

async fn take_attentions(client: &Client) -> Result<(), Failure> {
    let ask = Command { transient: Transient::Deliver, ..commands::test_unit_ready(client.wire_lun()) };
    for _ in 0..MOST_ATTENTIONS {
        let answer = client.command(ask.clone()).await.map_err(|error| failed(&error))?;
        if Sense::decode(&answer.sense).is_none_or(|sense| sense.key != SenseKey::UnitAttention) {
            break;
        }
    }
    Ok(())
}

fn command(args: &Args) -> Result<Command, Failure> {
    let bytes = units::hex(&args.cdb.join(" ")).map_err(Failure::usage)?;
    let wrong = "a command descriptor block has 6 to 260 bytes";
    if bytes.len() < 6 {
        return Err(Failure::usage(format!("{wrong}, and this one {}", bytes.len())));
    }
    let cdb = Cdb::from_slice(&bytes).ok_or_else(|| Failure::usage(wrong))?;
    if let Some(len) = cdb.stated_len()
        && len != bytes.len()
    {
        return Err(Failure::usage(format!(
            "operation code {:02x}h begins a command of {len} bytes, and this one has {}",
            bytes[0],
            bytes.len()
        )));
    }
    let data_out = match &args.data_out {
        None => DataList::new(),
        Some(path) => std::fs::read(path)
            .map_err(|error| {
                Failure::operation(format!("cannot read it: {error}")).at(path.display().to_string())
            })?
            .into(),
    };
    let data_in = u32::try_from(args.data_in).ok().filter(|len| *len <= 256 << 20);
    Ok(Command {
        lun: Lun::ZERO,
        cdb,
        attribute: TaskAttribute::Simple,
        priority: 0,
        data_out,
        data_in: data_in.ok_or_else(|| Failure::usage("--in is more than 256M"))?,
        sink: Sink::Collect,
        repeat: Repeat::Never,
        transient: Transient::Deliver,
        timeout: Some(args.session.timeout()),
    })
}

fn report(answer: &Answer, args: &Args) -> Answered {
    let saved = args.output.is_some();
    let data = answer.data.to_bytes().to_vec();
    let sense = Sense::decode(&answer.sense).map(|sense| SenseText {
        text: sense.to_string(),
        key: sense.key.code(),
        asc: sense.additional.code,
        ascq: sense.additional.qualifier,
        hex: units::to_hex(&answer.sense),
    });
    Answered {
        status: answer.status.0,
        status_name: answer.status.to_string(),
        sense,
        received_bytes: answer.received,
        residual: Left::of(answer.residual),
        data_hex: if saved { String::new() } else { units::to_hex(&data) },
        data,
        saved,
        asked: args.data_out.is_none().then_some(args.data_in),
    }
}
