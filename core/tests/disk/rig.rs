//! A logical unit with a store in memory that carries its operations out and holds it to its promises.

use bytes::Bytes;
use iscsicore::DataList;
use iscsicore::disk::*;
use iscsicore::scsi::{Cdb, Status};
use iscsicore::wire::TaskAttribute;

pub(crate) const ME: NexusId = NexusId(1);
pub(crate) const OTHER: NexusId = NexusId(2);

/// The number of blocks of the small unit that most tests use.
pub(crate) const BLOCKS: u64 = 1000;

pub(crate) struct Rig {
    pub(crate) unit: LogicalUnit,
    /// Grows as it is written; what lies behind reads as zeros.
    pub(crate) store: Vec<u8>,
    /// The operations of the last command.
    pub(crate) ops: Vec<Op>,
    /// The failure of the operation with this number, counted from zero in a command.
    pub(crate) fail: Option<(usize, IoError)>,
    /// Whether the store knows how to make zeros.
    pub(crate) makes_zeroes: bool,
    /// What the store tells when it is asked for extents.
    pub(crate) extents: Vec<(u64, Allocation)>,
    /// Whether views are asked before the unit is.
    pub(crate) by_views: bool,
}

impl Rig {
    /// A thin unit of [`BLOCKS`] blocks of 512 bytes, with pieces of 4096 bytes; nothing waits for its two nexuses.
    pub(crate) fn new() -> Self {
        Rig::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut UnitConfig)) -> Self {
        let mut config = UnitConfig::new("serial-7", BlockSize::B512, BLOCKS);
        config.provisioning = Provisioning::Thin;
        config.chunk = 4096;
        config.max_transfer = 256 * 512;
        config.max_unmap_blocks = 500;
        config.max_unmap_descriptors = 4;
        config.max_write_same_blocks = 300;
        change(&mut config);
        let mut unit = LogicalUnit::new(config);
        for nexus in [ME, OTHER] {
            unit.attach(nexus, AttachReason::New);
        }
        let mut rig = Rig {
            unit,
            store: Vec::new(),
            ops: Vec::new(),
            fail: None,
            makes_zeroes: true,
            extents: Vec::new(),
            by_views: false,
        };
        for nexus in [ME, OTHER] {
            assert_eq!(sense(&rig.run_as(nexus, &[0; 6], 0, &[])), (6, 0x2900));
        }
        rig
    }

    /// Runs a command without data-out of a nexus that takes everything.
    pub(crate) fn get(&mut self, cdb: &[u8]) -> Reply {
        self.run_as(ME, cdb, u32::MAX, &[])
    }

    /// Runs a command with data-out.
    pub(crate) fn put(&mut self, cdb: &[u8], data: &[u8]) -> Reply {
        self.run_as(ME, cdb, 0, data)
    }

    pub(crate) fn run_as(&mut self, nexus: NexusId, cdb: &[u8], data_in: u32, data_out: &[u8]) -> Reply {
        let cdb = Cdb::from_slice(cdb).unwrap();
        let request =
            Request { cdb: &cdb, data_in, data_out: data_out.len() as u32, attribute: TaskAttribute::Simple };
        self.ops.clear();
        let mut step = self.start(nexus, &request);
        let mut asked = None;
        for _ in 0..20_000 {
            step = match step {
                Step::Done(reply) => {
                    assert!(reply.data.len() <= data_in as usize);
                    assert_eq!(
                        reply.response.sense.is_some(),
                        reply.response.status == Status::CHECK_CONDITION
                    );
                    if let Some(len) = asked {
                        assert_eq!(reply.transfer_len, len, "a residual of data-out");
                    }
                    return reply;
                }
                Step::NeedData { len, task } => {
                    assert!(asked.is_none() && len > 0 && self.ops.is_empty());
                    asked = Some(len);
                    let arrived = &data_out[..data_out.len().min(len as usize)];
                    // In three pieces, cut at odd places.
                    let (a, b) = arrived.split_at(arrived.len() / 3);
                    let (b, c) = b.split_at(b.len() / 2);
                    let data = [a, b, c].into_iter().map(Bytes::copy_from_slice).collect();
                    self.resume(nexus, task, Resume::Data(data))
                }
                Step::Io { op, task } => {
                    let outcome = self.carry_out(&op);
                    self.ops.push(op);
                    self.resume(nexus, task, Resume::Io(outcome))
                }
            };
        }
        panic!("{cdb:?} does not come to an end");
    }

    fn start(&mut self, nexus: NexusId, request: &Request<'_>) -> Step {
        let view = self.unit.view(nexus).filter(|_| self.by_views);
        let seen = view.and_then(|view| view.start(request));
        seen.unwrap_or_else(|| self.unit.start(nexus, request))
    }

    fn resume(&mut self, nexus: NexusId, task: Task, with: Resume) -> Step {
        let Some(view) = self.unit.view(nexus).filter(|_| self.by_views) else {
            return self.unit.resume(task, with);
        };
        view.resume(task, with).unwrap_or_else(|(task, with)| self.unit.resume(task, with))
    }

    fn carry_out(&mut self, op: &Op) -> Outcome {
        let capacity = self.unit.blocks() * u64::from(self.unit.config().block_size.bytes());
        let block = u64::from(self.unit.config().block_size.bytes());
        let check = |offset: u64, len: u64| {
            assert!(len > 0 && offset.is_multiple_of(block) && len.is_multiple_of(block), "{op:?}");
            assert!(offset.checked_add(len).unwrap() <= capacity, "{op:?} beyond {capacity}");
        };
        if let Some((at, error)) = self.fail
            && at == self.ops.len()
        {
            return Outcome::Failed(error);
        }
        match op {
            Op::Read { offset, len } => {
                check(*offset, u64::from(*len));
                return Outcome::Data(self.bytes(*offset, *len as usize).into());
            }
            Op::Write { offset, data, .. } => {
                check(*offset, data.len() as u64);
                self.fill(*offset, &data.to_bytes());
            }
            Op::WriteZeroes { offset, len, .. } => {
                check(*offset, *len);
                if !self.makes_zeroes {
                    return Outcome::Failed(IoError::Unsupported);
                }
                self.zero(*offset, *len);
            }
            Op::Unmap { ranges } => {
                assert!(!ranges.is_empty());
                for &(offset, len) in ranges {
                    check(offset, len);
                    self.zero(offset, len);
                }
            }
            Op::Extents { offset, len, most } => {
                check(*offset, *len);
                assert!(*most > 0, "{op:?}");
                return Outcome::Extents(self.extents.clone());
            }
            Op::Flush => {}
        }
        Outcome::Done
    }

    /// What the store holds.
    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let offset = usize::try_from(offset).unwrap();
        let mut out = self.store.get(offset..).unwrap_or(&[]).to_vec();
        out.resize(len, 0);
        out
    }

    pub(crate) fn fill(&mut self, offset: u64, data: &[u8]) {
        let offset = usize::try_from(offset).unwrap();
        assert!(offset < 1 << 28, "a store in memory");
        if self.store.len() < offset + data.len() {
            self.store.resize(offset + data.len(), 0);
        }
        self.store[offset..offset + data.len()].copy_from_slice(data);
    }

    fn zero(&mut self, offset: u64, len: u64) {
        let start = self.store.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
        let end = self.store.len().min(usize::try_from(offset + len).unwrap_or(usize::MAX));
        self.store[start..end].fill(0);
    }
}

/// Sense key and additional sense code of a reply in fixed format; zeros for GOOD.
pub(crate) fn sense(reply: &Reply) -> (u8, u16) {
    match &reply.response.sense {
        None => (0, 0),
        Some(sense) => {
            assert_eq!((sense[0] & 0x7f, sense.len()), (0x70, 18), "fixed format");
            (sense[2], u16::from_be_bytes([sense[12], sense[13]]))
        }
    }
}

/// INFORMATION of a reply in fixed format, if it is valid.
pub(crate) fn information(reply: &Reply) -> Option<u32> {
    let sense = reply.response.sense.as_ref()?;
    (sense[0] & 0x80 != 0).then(|| u32::from_be_bytes(sense[3..7].try_into().unwrap()))
}

/// The three bytes of the field pointer of a reply in fixed format: SKSV, C/D, BPV and bit; then the byte.
pub(crate) fn field(reply: &Reply) -> (u8, u16) {
    let sense = reply.response.sense.as_ref().unwrap();
    (sense[15], u16::from_be_bytes([sense[16], sense[17]]))
}

/// INVALID FIELD IN CDB, with the field pointer at this byte and bit.
#[track_caller]
pub(crate) fn assert_cdb_field(reply: &Reply, byte: u16, bit: Option<u8>) {
    assert_eq!(sense(reply), (5, 0x2400));
    assert_eq!(field(reply), (0xc0 | bit.map_or(0, |b| 8 | b), byte));
}

/// INVALID FIELD IN PARAMETER LIST, with the field pointer at this byte and bit.
#[track_caller]
pub(crate) fn assert_list_field(reply: &Reply, byte: u16, bit: Option<u8>) {
    assert_eq!(sense(reply), (5, 0x2600));
    assert_eq!(field(reply), (0x80 | bit.map_or(0, |b| 8 | b), byte));
}

#[track_caller]
pub(crate) fn assert_good(reply: &Reply) {
    assert_eq!(sense(reply), (0, 0));
    assert_eq!(reply.response.status, Status::GOOD);
}

pub(crate) fn data(reply: &Reply) -> Vec<u8> {
    assert_good(reply);
    reply.data.to_bytes().to_vec()
}

/// A CDB of the common layout with the given flags in byte 1.
pub(crate) fn block_cdb(opcode: u8, flags: u8, lba: u64, count: u32) -> Vec<u8> {
    let lba32 = (lba as u32).to_be_bytes();
    let count_bytes = count.to_be_bytes();
    let mut cdb = vec![opcode, flags];
    match opcode >> 5 {
        0 => {
            cdb[1] |= lba32[1] & 0x1f;
            cdb.extend([lba32[2], lba32[3], count as u8, 0]);
        }
        1 | 2 => {
            cdb.extend(lba32);
            cdb.extend([0, count_bytes[2], count_bytes[3], 0]);
        }
        4 => {
            cdb.extend(lba.to_be_bytes());
            cdb.extend(count_bytes);
            cdb.extend([0, 0]);
        }
        5 => {
            cdb.extend(lba32);
            cdb.extend(count_bytes);
            cdb.extend([0, 0]);
        }
        _ => panic!("{opcode:02x}"),
    }
    cdb
}

/// Bytes that differ from block to block and within a block.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ 0x5a) as u8).collect()
}

pub(crate) fn list(bytes: &[u8]) -> DataList {
    Bytes::copy_from_slice(bytes).into()
}
