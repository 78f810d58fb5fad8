//! A logical unit as an end of a copy.

use bytes::{Bytes, BytesMut};
use iscsicore::scsi::ProvisioningStatus;
use iscsicore::scsi::vpd::{self, Association, Designator};
use iscsicore_tokio::Client;
use iscsicore_tokio::client::{ClientError, Events, FlushCoverage};

use crate::connect::{check_disk, failed};
use crate::failure::Failure;
use crate::units;

use super::end::{Covered, Extent};

/// A logical unit, counted in bytes.
pub(crate) struct Unit {
    client: Client,
}

impl Unit {
    pub(crate) fn new(client: Client) -> Self {
        Unit { client }
    }

    pub(crate) fn into_client(self) -> Client {
        self.client
    }

    /// What happens to its session from now on.
    pub(crate) fn events(&self) -> Events {
        self.client.events()
    }

    /// That it is a disk.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        check_disk(&self.client)
    }

    pub(crate) fn block_size(&self) -> u32 {
        self.client.block_size()
    }

    pub(crate) fn size(&self) -> u64 {
        self.client.blocks().saturating_mul(u64::from(self.block_size()))
    }

    /// By what the unit is known again, whatever portal leads to it.
    ///
    /// Its name alone would not do: some targets, such as tgt, give the same one to units of different servers.
    pub(crate) async fn id(&self) -> String {
        format!("{}, LUN {} of {}", self.name().await, self.client.lun(), self.client.target())
    }

    /// Whether both are the same unit, reached in the same way.
    pub(crate) fn is_same_as(&self, other: &Unit) -> bool {
        let place =
            |unit: &Unit| (unit.client.target_address(), unit.client.target().to_owned(), unit.client.lun());
        place(self) == place(other)
    }

    /// The name of the unit, else its serial number.
    async fn name(&self) -> String {
        if let Ok(page) = self.client.vpd(vpd::DEVICE_IDENTIFICATION).await
            && let Some(name) = vpd::decode_designations(&page).and_then(|all| best_name(&all))
        {
            return name;
        }
        let serial = self.client.vpd(vpd::UNIT_SERIAL_NUMBER).await.ok();
        let serial = serial.and_then(|page| vpd::decode_serial(&page)).filter(|serial| !serial.is_empty());
        match (self.client.inquiry().await, serial) {
            (Ok(inquiry), Some(serial)) => {
                format!("unit {} {} serial {serial}", inquiry.vendor, inquiry.product)
            }
            _ => "unnamed".to_owned(),
        }
    }

    pub(crate) async fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        let (lba, blocks) = self.blocks(offset, len as u64);
        // A chunk has fewer blocks than that.
        let data = self.client.read(lba, blocks as u32).await.map_err(|error| broken(&error))?;
        Ok(data.slice(..len))
    }

    pub(crate) async fn write(&self, offset: u64, data: Bytes) -> Result<(), Failure> {
        let (lba, blocks) = self.blocks(offset, data.len() as u64);
        let len = blocks as usize * self.block_size() as usize;
        let data = if len == data.len() {
            data
        } else {
            // The end of a source that does not end with a block.
            let mut padded = BytesMut::zeroed(len);
            padded[..data.len()].copy_from_slice(&data);
            padded.freeze()
        };
        self.client.write(lba, data).await.map_err(|error| broken(&error))
    }

    /// WRITE SAME rather than UNMAP: the latter may leave out what it likes, and old data with it.
    pub(crate) async fn zero(&self, offset: u64, len: u64) -> Result<(), Failure> {
        let (lba, blocks) = self.blocks(offset, len);
        self.client.write_zeroes(lba, blocks).await.map_err(|error| broken(&error))
    }

    pub(crate) async fn flush(&self) -> Result<Covered, Failure> {
        match self.client.flush().await.map_err(|error| broken(&error))? {
            FlushCoverage::All => Ok(Covered::All),
            _ => Ok(Covered::Some),
        }
    }

    /// What is known of the bytes from `offset` on.
    pub(crate) async fn extents(&self, offset: u64) -> Result<Vec<Extent>, Failure> {
        let nothing = vec![Extent { end: self.size(), hole: false }];
        // Without this bit, blocks without storage may read as anything.
        if !self.client.capacity().is_some_and(|capacity| capacity.thin && capacity.read_zeroes) {
            return Ok(nothing);
        }
        let block_size = u64::from(self.block_size());
        let Ok(runs) = self.client.get_lba_status(offset / block_size).await else { return Ok(nothing) };
        let mut extents: Vec<Extent> = Vec::new();
        let mut at = offset / block_size;
        for run in runs {
            // A gap would be something that nobody has told of.
            if run.lba > at {
                break;
            }
            let end = run.lba.saturating_add(u64::from(run.blocks)).min(self.client.blocks());
            if end <= at {
                continue;
            }
            at = end;
            let hole = matches!(run.status, ProvisioningStatus::Deallocated | ProvisioningStatus::Anchored);
            extents.push(Extent { end: end * block_size, hole });
        }
        Ok(if extents.is_empty() { nothing } else { extents })
    }

    /// The blocks that hold a range of bytes which begins with a block.
    fn blocks(&self, offset: u64, len: u64) -> (u64, u64) {
        let block_size = u64::from(self.block_size());
        (offset / block_size, len.div_ceil(block_size))
    }
}

/// What a client says, as a failure of a copy: a chunk that was not answered for is copied again in any case, so that nobody
/// needs to find out what became of it.
fn broken(error: &ClientError) -> Failure {
    let failure = failed(error);
    let (ClientError::Unknown { .. } | ClientError::NotSent { .. }) = error else { return failure };
    let text = error
        .to_string()
        .replace("`ClientBuilder::command_timeout`", "--timeout")
        .replace(" has an unknown outcome", " was not answered")
        .replace("; read back what it was to change", "")
        .replace("; it can be sent again", "");
    let (what, remedy) = match text.split_once("; ") {
        Some((what, remedy)) => (what.to_owned(), Some(remedy.to_owned())),
        None => (text, None),
    };
    Failure { what, remedy, ..failure }
}

/// The name of the logical unit that is most certainly unique in the world.
fn best_name(all: &[vpd::Designation<'_>]) -> Option<String> {
    let names = all.iter().filter(|name| name.association == Association::LogicalUnit);
    let rank = |designator: &Designator<'_>| match designator {
        Designator::Naa(id) => Some((0, format!("naa.{}", units::to_hex(id)))),
        Designator::Eui64(id) => Some((1, format!("eui.{}", units::to_hex(id)))),
        Designator::Uuid(id) => Some((2, format!("uuid.{}", units::to_hex(*id)))),
        Designator::NameString(name) => Some((3, format!("name {name}"))),
        Designator::T10Vendor { vendor, specific } => {
            Some((4, format!("t10.{}{}", units::to_hex(vendor), units::to_hex(specific))))
        }
        _ => None,
    };
    names.filter_map(|name| rank(&name.designator)).min().map(|(_, name)| name)
}
