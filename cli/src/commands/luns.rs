//! `iscsictl luns`.

use iscsicore_tokio::Client;
use serde::Serialize;

use crate::Context;
use crate::connect::{Session, UnitUrl, failed, unit_url};
use crate::failure::Failure;
use crate::output::{Report, table};
use crate::units;

/// List the logical units of a target
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The logical unit
    #[arg(value_name = "URL", value_parser = unit_url)]
    url: UnitUrl,

    #[command(flatten)]
    session: Session,
}

#[derive(Serialize)]
struct Luns {
    target: String,
    luns: Vec<Unit>,
}

#[derive(Serialize)]
struct Unit {
    lun: u16,
    device_type: Option<String>,
    vendor: Option<String>,
    product: Option<String>,
    blocks: Option<u64>,
    block_size: Option<u32>,
    bytes: Option<u64>,
    error: Option<String>,
}

impl Report for Luns {
    fn human(&self) -> String {
        let line = |unit: &Unit| {
            let words = [&unit.vendor, &unit.product].into_iter().flatten().cloned().collect::<Vec<_>>();
            vec![
                unit.lun.to_string(),
                unit.bytes.map_or(String::new(), units::human),
                unit.block_size.map_or(String::new(), |size| size.to_string()),
                unit.error.clone().or(unit.device_type.clone()).unwrap_or_default(),
                words.join(" "),
            ]
        };
        let lines: Vec<_> = self.luns.iter().map(line).collect();
        if lines.is_empty() {
            return format!("{} has no logical unit for this initiator", self.target);
        }
        table(&["LUN", "SIZE", "BLOCK", "TYPE", "PRODUCT"], &lines)
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let session = &args.session;
    let luns = session.with_unprobed(&args.url, &context.interrupt, list).await?;
    context.out.report(&luns)
}

async fn list(client: &Client) -> Result<Luns, Failure> {
    let mut luns = Vec::new();
    for lun in client.report_luns().await.map_err(|error| failed(&error))? {
        // Units behind other units are of no use here.
        if let Some(number) = lun.number() {
            luns.push(describe(client, number).await);
        }
    }
    luns.sort_by_key(|unit| unit.lun);
    Ok(Luns { target: client.target().to_owned(), luns })
}

/// What is known of a unit; one that does not answer must not hide the others.
async fn describe(client: &Client, lun: u16) -> Unit {
    let mut unit = Unit {
        lun,
        device_type: None,
        vendor: None,
        product: None,
        blocks: None,
        block_size: None,
        bytes: None,
        error: None,
    };
    if let Err(error) = fill(client, &mut unit).await {
        unit.error = Some(failed(&error).what);
    }
    unit
}

async fn fill(client: &Client, unit: &mut Unit) -> iscsicore_tokio::client::Result<()> {
    let client = client.with_lun(unit.lun).await?;
    let inquiry = client.inquiry().await?;
    unit.device_type = Some(inquiry.device_type.to_string());
    unit.vendor = Some(inquiry.vendor);
    unit.product = Some(inquiry.product);
    if inquiry.device_type == iscsicore_tokio::client::DeviceType::DISK
        && let Some(capacity) = client.refresh_capacity().await?
    {
        unit.blocks = Some(capacity.blocks);
        unit.block_size = Some(capacity.block_size);
        unit.bytes = u64::try_from(capacity.bytes()).ok();
    }
    Ok(())
}
