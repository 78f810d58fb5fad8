//! `iscsictl ping`.

use std::time::Duration;

use bytes::Bytes;
use iscsicore_tokio::Client;
use iscsicore_tokio::client::Url;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::Context;
use crate::connect::{Session, UnitUrl, failed, log_out, portal};
use crate::failure::{Failure, Kind};
use crate::output::Report;
use crate::units;

/// Measure round trips
///
/// To the target of a URL: NOP-Out and its answer. To a PORTAL alone, where no target is named: a whole discovery, from the
/// connection to the logout.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The target, or the portal
    #[arg(value_name = "URL|PORTAL", value_parser = portal)]
    to: Url,

    /// How many
    #[arg(long, short, value_name = "NUMBER", default_value_t = 4)]
    count: u64,

    /// Payload in bytes, as far as one PDU carries it
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "64")]
    size: u64,

    /// Time from one to the next
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "1s")]
    interval: Duration,

    #[command(flatten)]
    session: Session,
}

#[derive(Serialize)]
struct Reply {
    #[serde(rename = "type")]
    kind: &'static str,
    seq: u64,
    microseconds: Option<f64>,
    error: Option<String>,
}

impl Report for Reply {
    fn human(&self) -> String {
        match (self.microseconds, &self.error) {
            (Some(us), _) => format!("{}: {}", self.seq, milliseconds(us)),
            (None, error) => format!("{}: {}", self.seq, error.as_deref().unwrap_or("no answer")),
        }
    }
}

#[derive(Serialize)]
struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    to: String,
    what: &'static str,
    sent: u64,
    answered: u64,
    min_us: Option<f64>,
    mean_us: Option<f64>,
    max_us: Option<f64>,
}

impl Report for Summary {
    fn human(&self) -> String {
        let mut text = format!("{}: {} of {} answered ({})", self.to, self.answered, self.sent, self.what);
        if let (Some(min), Some(mean), Some(max)) = (self.min_us, self.mean_us, self.max_us) {
            let [min, mean, max] = [min, mean, max].map(milliseconds);
            text += &format!(", min {min}, mean {mean}, max {max}");
        }
        text
    }
}

fn milliseconds(us: f64) -> String {
    format!("{:.3} ms", us / 1e3)
}

fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

enum Via<'a> {
    Session(&'a Client, Bytes),
    Discovery(&'a Session, &'a Url),
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if args.to.target.is_none() {
        return pings(&args, &Via::Discovery(&args.session, &args.to), context).await;
    }
    let client = args.session.connect_unprobed(&UnitUrl(args.to.clone()), &context.interrupt).await?;
    // What a PDU does not hold is left out by the client; this bounds our own memory.
    let size =
        usize::try_from(args.size).unwrap_or(usize::MAX).min(client.parameters().peer_max_segment as usize);
    let done = pings(&args, &Via::Session(&client, vec![0x55; size].into()), context).await;
    log_out(client).await;
    done
}

async fn pings(args: &Args, via: &Via<'_>, context: &Context) -> Result<(), Failure> {
    let (mut times, mut sent, mut last) = (Vec::new(), 0, None);
    let begun = Instant::now();
    let mut ended = Ok(());
    while sent < args.count {
        let due = begun + args.interval.saturating_mul(u32::try_from(sent).unwrap_or(u32::MAX));
        let answer = context.interrupt.cuts(async {
            sleep_until(due).await;
            Ok(once(via, context).await)
        });
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(interrupted) => {
                ended = Err(interrupted);
                break;
            }
        };
        sent += 1;
        let over = matches!(&answer, Err(failure) if failure.kind == Kind::Connection)
            && matches!(via, Via::Session(..));
        let (microseconds, error) = match answer {
            Ok(time) => (Some(micros(time)), None),
            Err(failure) => (None, Some(last.insert(failure).what.clone())),
        };
        times.extend(microseconds);
        context.out.report(&Reply { kind: "reply", seq: sent, microseconds, error })?;
        if let Some(failure) = last.take_if(|_| over) {
            ended = Err(failure.at(args.to.to_string()));
            break;
        }
    }
    let (what, to) = match via {
        Via::Session(..) => ("NOP-Out", args.to.to_string()),
        Via::Discovery(..) => ("discovery", args.to.address()),
    };
    let answered = times.len() as u64;
    let mean = (answered > 0).then(|| (times.iter().sum::<f64>() / answered as f64 * 10.0).round() / 10.0);
    context.out.report(&Summary {
        kind: "summary",
        to,
        what,
        sent,
        answered,
        min_us: times.iter().copied().reduce(f64::min),
        mean_us: mean,
        max_us: times.iter().copied().reduce(f64::max),
    })?;
    ended?;
    // One answer that is missing among others is what a ping is for; none at all is a failure.
    match last {
        Some(failure) if answered == 0 => Err(failure.at(args.to.to_string())),
        _ => Ok(()),
    }
}

async fn once(via: &Via<'_>, context: &Context) -> Result<Duration, Failure> {
    match via {
        Via::Session(client, data) => client.ping(data.clone()).await.map_err(|error| failed(&error)),
        Via::Discovery(session, url) => {
            let begun = Instant::now();
            session.discover(url, &context.interrupt).await?;
            Ok(begun.elapsed())
        }
    }
}
