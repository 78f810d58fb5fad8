//! `iscsictl discover`.

use iscsicore_tokio::client::Url;
use serde::Serialize;

use crate::Context;
use crate::connect::{Session, portal};
use crate::failure::Failure;
use crate::output::Report;

/// List the targets of a portal
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The portal
    #[arg(value_name = "PORTAL", value_parser = portal)]
    portal: Url,

    #[command(flatten)]
    session: Session,
}

#[derive(Serialize)]
struct Discovered {
    portal: String,
    targets: Vec<Target>,
}

#[derive(Serialize)]
struct Target {
    name: String,
    portals: Vec<Portal>,
}

#[derive(Serialize)]
struct Portal {
    address: String,
    group: u16,
}

impl Report for Discovered {
    fn human(&self) -> String {
        if self.targets.is_empty() {
            return format!("{} has no target for this initiator", self.portal);
        }
        let mut lines = Vec::new();
        for target in &self.targets {
            lines.push(target.name.clone());
            lines.extend(target.portals.iter().map(|p| format!("  {},{}", p.address, p.group)));
            if target.portals.is_empty() {
                lines.push(format!("  {}", self.portal));
            }
        }
        lines.join("\n")
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let targets = args.session.discover(&args.portal, &context.interrupt).await?;
    let targets = targets.into_iter().map(|target| Target {
        name: target.name,
        portals: target
            .addresses
            .into_iter()
            .map(|address| Portal { address: address.address, group: address.portal_group_tag })
            .collect(),
    });
    context.out.report(&Discovered { portal: args.portal.address(), targets: targets.collect() })
}
