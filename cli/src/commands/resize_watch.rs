//! `iscsictl resize-watch`.

use std::time::Duration;

use iscsicore_tokio::Client;
use iscsicore_tokio::client::{Capacity, Event, Events};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::Context;
use crate::connect::{Session, UnitUrl, check_disk, failed, log_out, unit_url};
use crate::failure::{Failure, Kind};
use crate::output::Report;
use crate::units;

/// Tell the size of a disk, and each change of it
///
/// Targets tell of a change with a unit attention condition or an asynchronous message; the disk is asked now and then as well.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The logical unit
    #[arg(value_name = "URL", value_parser = unit_url)]
    url: UnitUrl,

    /// How often to ask
    #[arg(long, value_name = "TIME", value_parser = units::time_above_0, default_value = "5s")]
    interval: Duration,

    /// End after so many changes
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,

    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = units::time_above_0)]
    time: Option<Duration>,

    #[command(flatten)]
    session: Session,
}

#[derive(Serialize)]
struct Size {
    #[serde(rename = "type")]
    kind: &'static str,
    blocks: u64,
    block_size: u32,
    bytes: u64,
    previous_bytes: Option<u64>,
}

impl Report for Size {
    fn human(&self) -> String {
        let now =
            format!("{} ({} blocks of {} bytes)", units::human(self.bytes), self.blocks, self.block_size);
        match self.previous_bytes {
            Some(before) => format!("{now}, was {}", units::human(before)),
            None => now,
        }
    }
}

/// The size as it was told last.
struct Told {
    capacity: Capacity,
    changes: u64,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = args.session.connect(&args.url, &context.interrupt).await?;
    let watched = async {
        let until = async {
            match args.time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = watch(&args, &client, context) => ended,
            () = until => Ok(()),
        }
    };
    let done = context.interrupt.cuts(watched).await;
    log_out(client).await;
    done.map_err(|failure| match failure.kind {
        Kind::Closed | Kind::Interrupted | Kind::Terminated => failure,
        _ => failure.at(args.url.0.to_string()),
    })
}

async fn watch(args: &Args, client: &Client, context: &Context) -> Result<(), Failure> {
    check_disk(client)?;
    let mut events = client.events();
    let Some(capacity) = client.refresh_capacity().await.map_err(|error| failed(&error))? else {
        return Err(Failure::operation("the disk does not tell its size"));
    };
    let mut told = Told { capacity, changes: 0 };
    tell("capacity", capacity, None, context)?;
    while args.count.is_none_or(|count| told.changes < count) {
        let due = Instant::now() + args.interval;
        let capacity = tokio::select! {
            capacity = changed(&mut events, client.lun(), context) => capacity?,
            () = sleep_until(due) => client.refresh_capacity().await.map_err(|error| failed(&error))?,
        };
        let Some(capacity) = capacity else { continue };
        if (capacity.blocks, capacity.block_size) != (told.capacity.blocks, told.capacity.block_size) {
            tell("change", capacity, Some(told.capacity), context)?;
            told = Told { capacity, changes: told.changes + 1 };
        }
    }
    Ok(())
}

/// Waits for the target to tell of another size.
async fn changed(events: &mut Events, lun: u16, context: &Context) -> Result<Option<Capacity>, Failure> {
    loop {
        match events.next().await {
            Some(Event::CapacityChanged { lun: changed, capacity }) if changed == lun => {
                return Ok(Some(capacity));
            }
            Some(
                event @ (Event::Disconnected { .. }
                | Event::AttemptFailed { .. }
                | Event::Redirected(_)
                | Event::Reconnected { .. }),
            ) => {
                context.out.note(&event.to_string());
            }
            Some(event @ Event::UnitChanged(_)) => return Err(Failure::operation(event.to_string())),
            Some(event @ Event::Ended(_)) => return Err(Failure::new(Kind::Connection, event.to_string())),
            None => return Err(Failure::new(Kind::Connection, "the session has ended")),
            Some(_) => {}
        }
    }
}

fn tell(
    kind: &'static str,
    now: Capacity,
    before: Option<Capacity>,
    context: &Context,
) -> Result<(), Failure> {
    let bytes = |capacity: Capacity| u64::try_from(capacity.bytes()).unwrap_or(u64::MAX);
    context.out.report(&Size {
        kind,
        blocks: now.blocks,
        block_size: now.block_size,
        bytes: bytes(now),
        previous_bytes: before.map(bytes),
    })
}
