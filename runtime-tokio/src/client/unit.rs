//! What the handles on one logical unit share: its size and its limits, kept up to date.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsicore::initiator::{Cause, Command, commands};
use iscsicore::scsi::vpd::{self, BlockLimits};
use iscsicore::scsi::{Capacity, Cdb, DeviceType, Inquiry, Sense, Status};
use iscsicore::wire::{AsyncEvent, AsyncMessage, Lun};

use super::error::NoSuchLun;
use super::events::Event;
use super::identity::{Difference, Standing, UnitChanged};
use super::state::Shared;
use super::{ClientError, Result};

/// A logical unit that handles were made for.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) lun: u16,
    pub(super) wire: Lun,
    /// Bytes of a block; 0 for what is no disk, or was not asked.
    block_size: AtomicU32,
    blocks: AtomicU64,
    /// The most blocks that one command may move.
    max_transfer: AtomicU32,
    facts: Mutex<Facts>,
    /// Reasons to ask for the capacity that have not been followed.
    stale: AtomicU32,
    pub(super) standing: Standing,
}

#[derive(Clone, Debug, Default)]
struct Facts {
    capacity: Option<Capacity>,
    device: Option<DeviceType>,
    limits: BlockLimits,
    /// The unit serial number, if it has one.
    serial: Option<String>,
}

/// The longest command where the unit sets no limit, in bytes.
const DEFAULT_TRANSFER: u32 = 1 << 20;

/// The longest command in any case, in bytes: longer ones gain nothing, and hold up others.
const LONGEST_TRANSFER: u32 = 16 << 20;

/// The longest block, in bytes: a read of one block takes so much memory, and the target says how long it is.
const LONGEST_BLOCK: u32 = 1 << 20;

/// Between two questions when the first one was not answered.
const PAUSE: Duration = Duration::from_millis(100);

impl Unit {
    pub(super) fn new(lun: u16) -> Option<Self> {
        Some(Unit {
            lun,
            wire: Lun::from_number(lun)?,
            block_size: AtomicU32::new(0),
            blocks: AtomicU64::new(0),
            max_transfer: AtomicU32::new(0),
            facts: Mutex::default(),
            stale: AtomicU32::new(0),
            standing: Standing::new(),
        })
    }

    pub(super) fn block_size(&self) -> u32 {
        self.block_size.load(Ordering::Relaxed)
    }

    pub(super) fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Relaxed)
    }

    /// The most blocks that one command may move; never zero.
    pub(super) fn max_transfer(&self) -> u32 {
        self.max_transfer.load(Ordering::Relaxed).max(1)
    }

    pub(super) fn capacity(&self) -> Option<Capacity> {
        self.facts().capacity
    }

    pub(super) fn device(&self) -> Option<DeviceType> {
        self.facts().device
    }

    pub(super) fn limits(&self) -> BlockLimits {
        self.facts().limits
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a capacity; whether it is another one than before.
    fn set_capacity(&self, capacity: Capacity) -> bool {
        let mut facts = self.facts();
        let changed = facts.capacity != Some(capacity);
        facts.capacity = Some(capacity);
        let most = match facts.limits.max_transfer {
            0 => DEFAULT_TRANSFER / capacity.block_size,
            most => most.min(LONGEST_TRANSFER / capacity.block_size),
        };
        self.max_transfer.store(most, Ordering::Relaxed);
        self.blocks.store(capacity.blocks, Ordering::Relaxed);
        self.block_size.store(capacity.block_size, Ordering::Relaxed);
        changed
    }

    /// Asks what the unit is: whether it is there, and for a disk its limits and its size.
    pub(super) async fn probe(&self, shared: &Arc<Shared>) -> Result<()> {
        let inquiry = match inquiry(shared, self.wire).await {
            Ok(inquiry) if inquiry.is_present() => inquiry,
            Ok(_) => return Err(self.missing(shared).await),
            // LOGICAL UNIT NOT SUPPORTED
            Err(error) if is_sense(&error, 0x25, 0) => return Err(self.missing(shared).await),
            Err(error) => return Err(error),
        };
        self.facts().device = Some(inquiry.device_type);
        if !is_block_device(inquiry.device_type) {
            return Ok(());
        }
        // Old devices take amiss to be asked for a page that they have not named.
        let pages = page(shared, self.wire, vpd::SUPPORTED_PAGES).await.unwrap_or_default();
        let named = |page| vpd::decode_supported_pages(&pages).is_some_and(|p| p.contains(&page));
        if named(vpd::UNIT_SERIAL_NUMBER) {
            let serial = serial(shared, self.wire).await.unwrap_or_default();
            self.facts().serial = serial;
        }
        if named(vpd::BLOCK_LIMITS)
            && let Ok(data) = page(shared, self.wire, vpd::BLOCK_LIMITS).await
        {
            let limits = BlockLimits::decode(&data).unwrap_or_default();
            self.facts().limits = limits;
        }
        self.refresh(shared).await.map(drop)
    }

    /// Asks for the size, and takes whatever it is; whether it has changed.
    pub(super) async fn refresh(&self, shared: &Arc<Shared>) -> Result<bool> {
        let (capacity, cdb) = read_capacity(shared, self.wire).await?;
        if capacity.block_size > LONGEST_BLOCK {
            let size = capacity.block_size;
            let problem =
                format!("it has blocks of {size} bytes, and more than {LONGEST_BLOCK} cannot be used");
            return Err(shared.bad_answer(self.wire, &cdb, problem));
        }
        Ok(self.set_capacity(capacity))
    }

    /// Asks whether it is still the same disk, and for its size. Returns how it differs; else whether the size has changed.
    async fn check(&self, shared: &Arc<Shared>) -> Result<Result<bool, Difference>> {
        let (before, block_size) = (self.facts().serial.clone(), self.block_size());
        if let Some(before) = before {
            let now = match serial(shared, self.wire).await {
                // It has no such page any more.
                Err(error) if is_unknown(&error) => None,
                asked => asked?,
            };
            if now.as_ref() != Some(&before) {
                return Ok(Err(Difference::SerialNumber { before, now }));
            }
        }
        let (capacity, _) = read_capacity(shared, self.wire).await?;
        if capacity.block_size != block_size {
            return Ok(Err(Difference::BlockSize { before: block_size, now: capacity.block_size }));
        }
        Ok(Ok(self.set_capacity(capacity)))
    }

    async fn missing(&self, shared: &Arc<Shared>) -> ClientError {
        let luns = report_luns(shared).await.unwrap_or_default();
        let present = luns.into_iter().filter_map(Lun::number).collect();
        ClientError::NoSuchLun(Box::new(NoSuchLun {
            lun: self.lun,
            target: Arc::clone(&shared.target),
            present,
        }))
    }
}

/// Types of devices that READ CAPACITY and reads by block address fit.
fn is_block_device(device: DeviceType) -> bool {
    matches!(device.0, 0x00 | 0x04 | 0x05 | 0x07 | 0x0e | 0x14)
}

/// Whether the unit does not know the command, or not in this form: INVALID COMMAND OPERATION CODE, INVALID FIELD IN CDB.
fn is_unknown(error: &ClientError) -> bool {
    is_sense(error, 0x20, 0) || is_sense(error, 0x24, 0)
}

/// Whether the target refused with this additional sense.
fn is_sense(error: &ClientError, code: u8, qualifier: u8) -> bool {
    error.sense().is_some_and(|s| (s.additional.code, s.additional.qualifier) == (code, qualifier))
}

/// The longest answer to a query that is asked for.
const MOST: u32 = 1 << 20;

/// The data that a query brings; a longer answer than there was room for is asked for once more, whole.
pub(super) async fn data(shared: &Arc<Shared>, command: Command) -> Result<Bytes> {
    let (answer, _) = shared.run_good(command.clone(), BytesMut::new()).await;
    let first = answer?.data.to_bytes();
    let stated = command.stated_len(&first).unwrap_or_default().min(MOST);
    if stated <= command.data_in || first.len() < command.data_in as usize {
        return Ok(first);
    }
    let (answer, _) = shared.run_good(command.with_room_for(stated), BytesMut::new()).await;
    Ok(answer?.data.to_bytes())
}

pub(super) async fn inquiry(shared: &Arc<Shared>, lun: Lun) -> Result<Inquiry> {
    let command = commands::inquiry(lun);
    let cdb = command.cdb.clone();
    let data = data(shared, command).await?;
    Inquiry::decode(&data).ok_or_else(|| shared.bad_answer(lun, &cdb, "it is too short"))
}

pub(super) async fn page(shared: &Arc<Shared>, lun: Lun, page: u8) -> Result<Bytes> {
    data(shared, commands::vpd(lun, page)).await
}

pub(super) async fn report_luns(shared: &Arc<Shared>) -> Result<Vec<Lun>> {
    let command = commands::report_luns(Lun::ZERO);
    let cdb = command.cdb.clone();
    let data = data(shared, command).await?;
    let list = iscsicore::scsi::decode_luns(&data);
    list.map(|l| l.entries).ok_or_else(|| shared.bad_answer(Lun::ZERO, &cdb, "it is too short"))
}

/// The unit serial number; `None` when it is blank.
async fn serial(shared: &Arc<Shared>, lun: Lun) -> Result<Option<String>> {
    let mut serial =
        vpd::decode_serial(&page(shared, lun, vpd::UNIT_SERIAL_NUMBER).await?).unwrap_or_default();
    // More is no serial number, and events keep it.
    if serial.len() > 255 {
        serial = serial.chars().take(63).collect();
    }
    Ok(Some(serial).filter(|serial| !serial.is_empty()))
}

/// The size, and the command that has told.
async fn read_capacity(shared: &Arc<Shared>, lun: Lun) -> Result<(Capacity, Cdb)> {
    let command = commands::read_capacity_16(lun);
    let cdb = command.cdb.clone();
    let bad = |cdb| shared.bad_answer(lun, cdb, "it is too short, or has blocks of no bytes");
    match data(shared, command).await {
        Ok(data) => Capacity::decode_16(&data).ok_or_else(|| bad(&cdb)).map(|capacity| (capacity, cdb)),
        // INVALID COMMAND OPERATION CODE, INVALID FIELD IN CDB: it knows the short form only.
        Err(error) if is_unknown(&error) => {
            let command = commands::read_capacity_10(lun);
            let cdb = command.cdb.clone();
            let capacity = Capacity::decode_10(&data(shared, command).await?).ok_or_else(|| bad(&cdb));
            capacity.map(|capacity| (capacity, cdb))
        }
        Err(error) => Err(error),
    }
}

/// Looks at a unit attention condition, which may say that something known here is out of date.
pub(super) fn attention(shared: &Arc<Shared>, lun: Lun, sense: &[u8]) {
    let Some(sense) = Sense::decode(sense) else { return };
    match (sense.additional.code, sense.additional.qualifier) {
        // CAPACITY DATA HAS CHANGED; a reset or another medium may hide it.
        (0x2a, 0x09) | (0x28 | 0x29, _) => {
            // The target may write the number in another encoding.
            let is_meant = |unit: &&Arc<Unit>| unit.wire == lun || lun.number() == Some(unit.lun);
            units(shared).iter().filter(is_meant).for_each(|unit| refresh(shared, unit));
        }
        // REPORTED LUNS DATA HAS CHANGED
        (0x3f, 0x0e) => shared.tell(Event::LunsChanged),
        _ => {}
    }
}

/// The same for sense data in an Asynchronous Message (RFC 7143 section 11.9.4): its length comes first.
pub(super) fn asynchronous(shared: &Arc<Shared>, message: &AsyncMessage, data: &[u8]) {
    if message.event != AsyncEvent::Scsi {
        return;
    }
    if let Some((len, sense)) = data.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(sense.len());
        attention(shared, message.lun, &sense[..len]);
    }
}

/// The connection is gone: nobody knows what the next one leads to.
pub(super) fn suspend_all(shared: &Arc<Shared>) {
    let units = units(shared);
    units.iter().filter(|unit| unit.capacity().is_some()).for_each(|unit| unit.standing.suspend());
}

/// The sizes may have changed while the target could not tell, or the units themselves.
pub(super) fn refresh_all(shared: &Arc<Shared>) {
    units(shared).iter().for_each(|unit| refresh(shared, unit));
}

fn units(shared: &Shared) -> Vec<Arc<Unit>> {
    shared.units.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Asks a disk whether it is the same, and for its size, in a task of its own, and tells when something has changed. What
/// comes up meanwhile makes it ask again, once.
fn refresh(shared: &Arc<Shared>, unit: &Arc<Unit>) {
    if unit.capacity().is_none() || unit.stale.fetch_add(1, Ordering::AcqRel) > 0 {
        return;
    }
    let (shared, unit) = (Arc::clone(shared), Arc::clone(unit));
    tokio::spawn(async move {
        loop {
            let (reasons, losses) = (unit.stale.load(Ordering::Acquire), unit.standing.losses());
            match unit.check(&shared).await {
                Ok(Ok(changed)) => {
                    if let Some(capacity) = unit.capacity().filter(|_| changed) {
                        shared.tell(Event::CapacityChanged { lun: unit.lun, capacity });
                    }
                }
                Ok(Err(difference)) => return condemn(&shared, &unit, difference),
                Err(ClientError::Ended(_)) => return,
                Err(error) if is_passing(&error) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                // It cannot be asked; nor may it be what somebody wants to use it for.
                Err(_) => {}
            }
            unit.standing.confirm(losses);
            let done = unit.stale.compare_exchange(reasons, 0, Ordering::AcqRel, Ordering::Acquire);
            if done.is_ok() {
                return;
            }
        }
    });
}

/// The unit is another one. It is not asked again: `stale` stays as it is.
fn condemn(shared: &Shared, unit: &Unit, difference: Difference) {
    let changed = Arc::new(UnitChanged { lun: unit.lun, target: Arc::clone(&shared.target), difference });
    unit.standing.condemn(Arc::clone(&changed));
    shared.tell(Event::UnitChanged(changed));
}

/// Whether there was no answer, or one that says to ask again later.
fn is_passing(error: &ClientError) -> bool {
    let passes = |cause| matches!(cause, Cause::ConnectionLost | Cause::TimedOut | Cause::SessionEnded);
    match error {
        ClientError::Scsi(error) => matches!(error.status, Status::BUSY | Status::TASK_SET_FULL),
        ClientError::NotSent { cause, .. } | ClientError::Unknown { cause, .. } => passes(*cause),
        ClientError::Aborted(_) => true,
        _ => false,
    }
}
