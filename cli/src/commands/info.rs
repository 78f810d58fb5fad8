//! `iscsictl info`.

use iscsicore::login::Parameters;
use iscsicore::scsi::mode::{self, CachingPage, ModeData};
use iscsicore::scsi::vpd::{self, BlockDeviceCharacteristics, BlockLimits, LogicalBlockProvisioning};
use iscsicore_tokio::Client;
use serde::Serialize;

use crate::Context;
use crate::connect::{Session, UnitUrl, failed, unit_url};
use crate::failure::Failure;
use crate::output::{Report, rows};
use crate::units;

/// Tell everything about a logical unit and the session with it
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The logical unit
    #[arg(value_name = "URL", value_parser = unit_url)]
    url: UnitUrl,

    #[command(flatten)]
    session: Session,
}

#[derive(Serialize)]
struct Info {
    target: String,
    address: String,
    lun: u16,
    vendor: String,
    product: String,
    revision: String,
    device_type: String,
    standard: Option<String>,
    serial: Option<String>,
    names: Vec<Name>,
    vpd_pages: Vec<u8>,
    capacity: Option<Size>,
    write_protected: Option<bool>,
    write_cache: Option<bool>,
    medium: Option<String>,
    provisioning: Option<Provisioning>,
    limits: Option<Limits>,
    session: Keys,
}

/// A name of the unit, its port or its device.
#[derive(Serialize)]
struct Name {
    of: String,
    name: String,
}

#[derive(Serialize)]
struct Size {
    blocks: u64,
    block_size: u32,
    bytes: u64,
    physical_block_size: u32,
}

#[derive(Serialize)]
struct Provisioning {
    thin: bool,
    reads_zeroes: bool,
    unmap: bool,
    write_same_unmap: bool,
}

/// In blocks; 0 where the unit sets no limit.
#[derive(Serialize)]
struct Limits {
    max_transfer_blocks: u32,
    optimal_transfer_blocks: u32,
    max_unmap_blocks: u32,
    max_write_same_blocks: u64,
    max_compare_and_write_blocks: u8,
}

/// What was negotiated, by the names of the keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    header_digest: &'static str,
    data_digest: &'static str,
    #[serde(rename = "InitialR2T")]
    initial_r2t: bool,
    immediate_data: bool,
    #[serde(rename = "MaxRecvDataSegmentLength_initiator")]
    initiator_segment: u32,
    #[serde(rename = "MaxRecvDataSegmentLength_target")]
    target_segment: u32,
    max_burst_length: u32,
    first_burst_length: u32,
    #[serde(rename = "MaxOutstandingR2T")]
    max_outstanding_r2t: u16,
    #[serde(rename = "DefaultTime2Wait")]
    time2wait: u16,
    #[serde(rename = "DefaultTime2Retain")]
    time2retain: u16,
    #[serde(rename = "ErrorRecoveryLevel")]
    recovery_level: u8,
    #[serde(rename = "DataPDUInOrder")]
    pdus_in_order: bool,
    #[serde(rename = "DataSequenceInOrder")]
    sequences_in_order: bool,
    #[serde(rename = "ISID")]
    isid: String,
    #[serde(rename = "TSIH")]
    tsih: Option<u16>,
    target_alias: Option<String>,
    target_portal_group_tag: Option<u16>,
}

impl Keys {
    fn of(client: &Client) -> Self {
        let keys: Parameters = client.parameters();
        let digest = |on| if on { "CRC32C" } else { "None" };
        Keys {
            header_digest: digest(keys.header_digest),
            data_digest: digest(keys.data_digest),
            initial_r2t: keys.initial_r2t,
            immediate_data: keys.immediate_data,
            initiator_segment: keys.local_max_segment,
            target_segment: keys.peer_max_segment,
            max_burst_length: keys.max_burst,
            first_burst_length: keys.first_burst,
            max_outstanding_r2t: keys.max_outstanding_r2t,
            time2wait: keys.time2wait,
            time2retain: keys.time2retain,
            recovery_level: keys.error_recovery_level,
            pdus_in_order: keys.data_pdu_in_order,
            sequences_in_order: keys.data_sequence_in_order,
            isid: client.isid().to_string(),
            tsih: client.tsih().map(|tsih| tsih.0),
            target_alias: client.target_alias(),
            target_portal_group_tag: client.portal_group_tag(),
        }
    }
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

impl Report for Info {
    fn human(&self) -> String {
        let mut lines = vec![
            ("target", self.target.clone()),
            ("address", self.address.clone()),
            ("LUN", self.lun.to_string()),
            ("product", [&*self.vendor, &self.product, &self.revision].join(" ")),
            ("type", self.device_type.clone()),
        ];
        lines.extend(self.standard.clone().map(|standard| ("standard", standard)));
        lines.extend(self.serial.clone().map(|serial| ("serial", serial)));
        lines.extend(self.names.iter().map(|name| ("name", format!("{} ({})", name.name, name.of))));
        if let Some(size) = &self.capacity {
            let blocks =
                format!("{} ({} blocks of {} bytes", units::human(size.bytes), size.blocks, size.block_size);
            let physical = match size.physical_block_size {
                physical if physical != size.block_size => format!(", physically {physical})"),
                _ => ")".to_owned(),
            };
            lines.push(("capacity", blocks + &physical));
        }
        lines.extend(self.write_protected.map(|on| ("write-protected", yes_no(on))));
        lines.extend(self.write_cache.map(|on| ("write cache", yes_no(on))));
        lines.extend(self.medium.clone().map(|medium| ("medium", medium)));
        lines.extend(self.provisioning.as_ref().map(|p| ("provisioning", p.human())));
        lines.extend(self.limits.as_ref().map(|l| ("limits", l.human())));
        lines.push((
            "VPD pages",
            self.vpd_pages.iter().map(|p| format!("{p:02x}")).collect::<Vec<_>>().join(" "),
        ));
        lines.extend(self.session.rows());
        rows(lines)
    }
}

impl Provisioning {
    fn human(&self) -> String {
        let kind = if self.thin { "thin" } else { "full" };
        let can = [
            (self.unmap, "UNMAP"),
            (self.write_same_unmap, "WRITE SAME unmaps"),
            (self.reads_zeroes, "unmapped blocks read as zeroes"),
        ];
        let can = can.iter().filter(|(can, _)| *can).map(|(_, what)| *what);
        std::iter::once(kind).chain(can).collect::<Vec<_>>().join(", ")
    }
}

impl Limits {
    fn human(&self) -> String {
        let limits = [
            ("transfer", u64::from(self.max_transfer_blocks)),
            ("UNMAP", u64::from(self.max_unmap_blocks)),
            ("WRITE SAME", self.max_write_same_blocks),
            ("COMPARE AND WRITE", u64::from(self.max_compare_and_write_blocks)),
        ];
        let told =
            limits.iter().filter(|(_, limit)| *limit > 0).map(|(what, limit)| format!("{what} {limit}"));
        let told = told.collect::<Vec<_>>().join(", ");
        if told.is_empty() { "none told".to_owned() } else { format!("{told} (blocks)") }
    }
}

impl Keys {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let yes = |on: bool| if on { "Yes" } else { "No" }.to_owned();
        let mut rows = vec![
            ("HeaderDigest", self.header_digest.to_owned()),
            ("DataDigest", self.data_digest.to_owned()),
            ("InitialR2T", yes(self.initial_r2t)),
            ("ImmediateData", yes(self.immediate_data)),
            (
                "MaxRecvDataSegmentLength",
                format!("{} (initiator), {} (target)", self.initiator_segment, self.target_segment),
            ),
            ("MaxBurstLength", self.max_burst_length.to_string()),
            ("FirstBurstLength", self.first_burst_length.to_string()),
            ("MaxOutstandingR2T", self.max_outstanding_r2t.to_string()),
            ("DefaultTime2Wait", self.time2wait.to_string()),
            ("DefaultTime2Retain", self.time2retain.to_string()),
            ("ErrorRecoveryLevel", self.recovery_level.to_string()),
            ("DataPDUInOrder", yes(self.pdus_in_order)),
            ("DataSequenceInOrder", yes(self.sequences_in_order)),
            ("ISID", self.isid.clone()),
        ];
        rows.extend(self.tsih.map(|tsih| ("TSIH", tsih.to_string())));
        rows.extend(self.target_alias.clone().map(|alias| ("TargetAlias", alias)));
        rows.extend(self.target_portal_group_tag.map(|tag| ("TargetPortalGroupTag", tag.to_string())));
        rows
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let info = args.session.with(&args.url, &context.interrupt, ask).await;
    context.out.report(&info?)
}

async fn ask(client: &Client) -> Result<Info, Failure> {
    let inquiry = client.inquiry().await.map_err(|error| failed(&error))?;
    let pages = page(client, vpd::SUPPORTED_PAGES, &[vpd::SUPPORTED_PAGES]).await;
    let pages = pages.as_deref().and_then(vpd::decode_supported_pages).unwrap_or_default().to_vec();
    let serial = page(client, vpd::UNIT_SERIAL_NUMBER, &pages).await;
    let names = page(client, vpd::DEVICE_IDENTIFICATION, &pages).await;
    let names = names.as_deref().and_then(vpd::decode_designations).unwrap_or_default();
    let limits = page(client, vpd::BLOCK_LIMITS, &pages).await;
    let medium = page(client, vpd::BLOCK_DEVICE_CHARACTERISTICS, &pages).await;
    let provisioning = page(client, vpd::LOGICAL_BLOCK_PROVISIONING, &pages).await;
    let provisioning = provisioning.as_deref().and_then(LogicalBlockProvisioning::decode).unwrap_or_default();
    let modes = client.mode_sense(mode::CACHING, 0).await.ok();
    let modes = modes.as_deref().and_then(ModeData::decode_10);
    let caching = modes.as_ref().and_then(|modes| modes.page(mode::CACHING, 0)).and_then(CachingPage::decode);
    let capacity = client.capacity();
    let medium = medium.as_deref().and_then(BlockDeviceCharacteristics::decode);
    Ok(Info {
        target: client.target().to_owned(),
        address: client.target_address(),
        lun: client.lun(),
        standard: inquiry.version_name().map(str::to_owned),
        device_type: inquiry.device_type.to_string(),
        vendor: inquiry.vendor,
        product: inquiry.product,
        revision: inquiry.revision,
        serial: serial.as_deref().and_then(vpd::decode_serial),
        names: names
            .iter()
            .map(|name| Name { of: name.association.to_string(), name: name.designator.to_string() })
            .collect(),
        vpd_pages: pages,
        capacity: capacity.map(|capacity| Size {
            blocks: capacity.blocks,
            block_size: capacity.block_size,
            bytes: u64::try_from(capacity.bytes()).unwrap_or(u64::MAX),
            physical_block_size: capacity.physical_block_size,
        }),
        write_protected: modes.as_ref().map(|modes| modes.write_protected),
        write_cache: caching.map(|caching| caching.write_cache),
        medium: medium.map(|medium| medium.rotation.to_string()),
        provisioning: capacity.map(|capacity| Provisioning {
            thin: capacity.thin,
            reads_zeroes: capacity.read_zeroes,
            unmap: provisioning.unmap,
            write_same_unmap: provisioning.write_same_16,
        }),
        limits: limits.as_deref().and_then(BlockLimits::decode).map(|limits| Limits {
            max_transfer_blocks: limits.max_transfer,
            optimal_transfer_blocks: limits.optimal_transfer,
            max_unmap_blocks: limits.max_unmap_blocks,
            max_write_same_blocks: limits.max_write_same,
            max_compare_and_write_blocks: limits.max_compare_and_write,
        }),
        session: Keys::of(client),
    })
}

/// A page of vital product data, if the unit has named it.
async fn page(client: &Client, page: u8, named: &[u8]) -> Option<bytes::Bytes> {
    if named.contains(&page) { client.vpd(page).await.ok() } else { None }
}
