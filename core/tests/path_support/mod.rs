//! The way of a command through the core, driven as an adapter drives it: bytes in, a disk whose storage answers from
//! what was prepared, bytes out. What is not the core's (making requests, copying bytes, looking at answers) is done in
//! functions of its own, so that it can be left out of a count.
#![allow(dead_code, unreachable_pub)]

use std::cell::{Cell, RefCell};
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use iscsicore::disk::{AttachReason, BlockSize, LogicalUnit, NexusId, Op, Outcome, Step, UnitConfig};
use iscsicore::link::{BufferPool, Want};
use iscsicore::node::{LunMap, UnitAccess, UnitId};
use iscsicore::serve::{Handled, Service, Ticket, Units, Work};
use iscsicore::wire::{Bhs, DataOut, DataSn, Itt, Lun, Opcode, ScsiCommand, StatSn, TaskAttribute, Ttt};
use iscsicore::{DataList, Limits};

use crate::support::{Session, Setup};

/// Bytes of every command.
pub const LEN: usize = 4096;

/// What the commands are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// READ (10); the answer is one Data-In with status.
    Read,
    /// WRITE (10) with all of its data in the command PDU.
    WriteImmediate,
    /// WRITE (10) whose data an R2T asks for.
    WriteSolicited,
}

/// When the storage answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// At once.
    Now,
    /// In the next round: payload is held until then.
    Later,
}

/// One session with commands running through it.
pub struct Path {
    session: Session,
    service: Service,
    unit: OneUnit,
    pool: BufferPool,
    load: Load,
    storage: Storage,
    depth: usize,
    digests: bool,
    /// What every read finds.
    block: Bytes,
    /// Work that storage has not answered.
    pending: Vec<(Ticket, Op)>,
    /// Requests on their way to the target.
    requests: Vec<u8>,
    /// What the target has sent in this round.
    answers: Vec<u8>,
    itt: u32,
    /// Commands that have ended with GOOD.
    pub completed: usize,
}

/// The unit, and how often it has changed: what lets commands be decided without it.
struct OneUnit {
    unit: RefCell<LogicalUnit>,
    version: Cell<u64>,
}

impl Units for OneUnit {
    fn with_unit<R>(&self, _: UnitId, f: impl FnOnce(&mut LogicalUnit) -> R) -> Option<R> {
        let mut unit = self.unit.borrow_mut();
        let result = f(&mut unit);
        self.version.set(unit.changes());
        Some(result)
    }

    fn version(&self, _: UnitId) -> Option<u64> {
        Some(self.version.get())
    }
}

impl Path {
    pub fn new(load: Load, storage: Storage, depth: usize, digests: bool) -> Path {
        let setup = Setup::default().limits(|limits| limits.queue_depth = 128);
        let mut session = if digests { setup.digests() } else { setup }.connect();
        let nexus = NexusId(1);
        let mut unit = LogicalUnit::new(UnitConfig::new("path", BlockSize::B512, 1 << 20));
        unit.attach(nexus, AttachReason::New);
        let mut luns = LunMap::new();
        luns.insert(0, UnitId(0), UnitAccess::ReadWrite).expect("a LUN");
        let size = Limits::default().read_buffer;
        session.rx.set_read_buffer(size);
        let mut path = Path {
            session,
            service: Service::new(nexus, luns),
            unit: OneUnit { version: Cell::new(unit.changes()), unit: RefCell::new(unit) },
            pool: BufferPool::new(size, 8),
            load,
            storage,
            depth,
            digests,
            block: (0..LEN).map(|i| (i * 7 + i / 256) as u8).collect::<Vec<_>>().into(),
            pending: Vec::with_capacity(256),
            requests: Vec::with_capacity(1 << 20),
            answers: Vec::with_capacity(1 << 20),
            itt: 0,
            completed: 0,
        };
        // The unit attention of a new nexus.
        path.session.events();
        let first = path.unit.with_unit(UnitId(0), |unit| unit.start(nexus, &test_unit_ready()));
        assert!(matches!(first, Some(Step::Done(_))));
        path
    }

    /// Sends `depth` commands, and goes on until all have been answered.
    pub fn round(&mut self) {
        let end = self.completed + self.depth;
        self.make_requests();
        let mut wakes = 0;
        while self.completed < end {
            self.wake();
            self.take_answers();
            wakes += 1;
            assert!(wakes < 16, "{} of {} commands were answered", self.completed, end);
        }
    }

    /// One turn of an adapter: read, handle, carry out, write.
    fn wake(&mut self) {
        if !self.pending.is_empty() {
            self.measured_path_finish();
        }
        let mut at = 0;
        loop {
            let read = self.measured_read(at);
            if read == 0 {
                break;
            }
            at += read;
            self.measured_path_handle();
        }
        self.requests.clear();
        self.measured_idle();
        self.measured_path_transmit();
        self.measured_write();
    }

    /// Answers of the storage to what was begun in an earlier round.
    #[inline(never)]
    fn measured_path_finish(&mut self) {
        while let Some((ticket, op)) = self.pending.pop() {
            let outcome = unmeasured_path_storage(&self.block, op);
            let next = self.service.finish(&mut self.session.target, &self.unit, ticket, outcome);
            assert!(next.is_none(), "one operation a command");
        }
    }

    /// Reads once; 0 when there is nothing to read.
    #[inline(never)]
    fn measured_read(&mut self, at: usize) -> usize {
        let Session { rx, .. } = &mut self.session;
        self.pool.lend(rx);
        let Want::Read { slot: None, staging } = rx.want() else { return 0 };
        let len = unmeasured_copy(&self.requests[at..], staging);
        rx.advance(&[], len).expect("an account that is right");
        len
    }

    /// From the receiver to the output of the session.
    #[inline(never)]
    fn measured_path_handle(&mut self) {
        let Session { target, conn, rx, now, .. } = &mut self.session;
        target.receive(*now, *conn, rx).expect("requests that are right");
        while let Some(event) = target.poll_event() {
            match self.service.handle(target, &self.unit, event) {
                Handled::Done => {}
                Handled::Work(Work { op, ticket, .. }) if self.storage == Storage::Now => {
                    let outcome = unmeasured_path_storage(&self.block, op);
                    let next = self.service.finish(target, &self.unit, ticket, outcome);
                    assert!(next.is_none(), "one operation a command");
                }
                Handled::Work(Work { op, ticket, .. }) => self.pending.push((ticket, op)),
                Handled::Other(other) => panic!("{other:?}"),
            }
        }
    }

    /// The socket has nothing more.
    #[inline(never)]
    fn measured_idle(&mut self) {
        let Session { target, conn, rx, now, .. } = &mut self.session;
        target.receive(*now, *conn, rx).expect("nothing");
        assert!(target.poll_event().is_none());
        self.pool.take_back(rx);
        assert!(target.poll_timeout().is_some());
    }

    /// From there to the slices of the transmitter.
    #[inline(never)]
    fn measured_path_transmit(&mut self) {
        let Session { target, conn, tx, now, .. } = &mut self.session;
        target.transmit(*now, *conn, tx);
    }

    #[inline(never)]
    fn measured_write(&mut self) {
        let Session { target, conn, tx, now, .. } = &mut self.session;
        while tx.has_remaining() {
            let mut slices = unmeasured_slices();
            let count = tx.chunks_vectored(&mut slices);
            let len = unmeasured_send(&mut self.answers, &slices[..count]);
            tx.advance(len);
        }
        target.transmit(*now, *conn, tx);
    }

    fn make_requests(&mut self) {
        for _ in 0..self.depth {
            self.itt = self.itt.wrapping_add(1) & 0xffff;
            let read = self.load == Load::Read;
            let mut cdb = [0; 16];
            cdb[0] = if read { 0x28 } else { 0x2a };
            cdb[5] = (self.itt & 0x1f) as u8;
            cdb[8] = (LEN / 512) as u8;
            let command = ScsiCommand {
                immediate: false,
                final_: true,
                read,
                write: !read,
                attribute: TaskAttribute::Simple,
                priority: 0,
                lun: Lun::ZERO,
                itt: Itt(self.itt),
                expected_len: LEN as u32,
                cmd_sn: self.session.cmd_sn,
                exp_stat_sn: StatSn(0),
                cdb,
            };
            self.session.cmd_sn = self.session.cmd_sn.next();
            let data = if self.load == Load::WriteImmediate { self.block.clone() } else { Bytes::new() };
            self.request(command.emit(), data);
        }
    }

    /// Puts a PDU among the requests.
    fn request(&mut self, bhs: Bhs, data: Bytes) {
        let encoder = &mut self.session.encoder;
        encoder.push(bhs, DataList::from(data));
        while encoder.has_remaining() {
            let len = encoder.chunk().len();
            self.requests.extend_from_slice(encoder.chunk());
            encoder.advance(len);
        }
    }

    /// Counts commands that are answered well, and answers R2Ts.
    fn take_answers(&mut self) {
        let answers = core::mem::take(&mut self.answers);
        let mut rest = &answers[..];
        let (header_digest, data_digest) = if self.digests { (4, 4) } else { (0, 0) };
        while let Some(head) = rest.first_chunk::<48>() {
            let bhs = Bhs(*head);
            let len = bhs.data_segment_len() as usize;
            let data = &rest[48 + header_digest..][..len];
            match bhs.opcode() {
                Opcode::DataIn => {
                    assert!(self.load == Load::Read && head[1] == 0x81 && head[3] == 0 && data == self.block);
                    self.completed += 1;
                }
                Opcode::ScsiResponse => {
                    assert!(self.load != Load::Read && head[2..4] == [0, 0] && len == 0, "{bhs:?}");
                    self.completed += 1;
                }
                Opcode::R2t => self.answer_r2t(&bhs),
                other => panic!("{other:?}"),
            }
            rest = &rest[48 + header_digest + len + if len > 0 { data_digest } else { 0 }..];
        }
        assert!(rest.is_empty());
        self.answers = answers;
        self.answers.clear();
    }

    fn answer_r2t(&mut self, r2t: &Bhs) {
        assert_eq!(self.load, Load::WriteSolicited);
        let word = |at: usize| u32::from_be_bytes([r2t.0[at], r2t.0[at + 1], r2t.0[at + 2], r2t.0[at + 3]]);
        let pdu = DataOut {
            final_: true,
            lun: r2t.lun(),
            itt: r2t.itt(),
            ttt: Ttt(word(20)),
            exp_stat_sn: StatSn(0),
            data_sn: DataSn(0),
            offset: word(40),
        };
        self.request(pdu.emit(), self.block.clone());
    }
}

fn test_unit_ready() -> iscsicore::disk::Request<'static> {
    static CDB: iscsicore::scsi::Cdb = iscsicore::scsi::Cdb::new([0; 16]);
    iscsicore::disk::Request { cdb: &CDB, data_in: 0, data_out: 0, attribute: TaskAttribute::Simple }
}

/// What the storage of the disk answers: reads find what was prepared, writes are as they should be.
#[inline(never)]
fn unmeasured_path_storage(block: &Bytes, op: Op) -> Outcome {
    match op {
        Op::Read { len, .. } => {
            assert_eq!(len as usize, LEN);
            Outcome::Data(DataList::from(block.clone()))
        }
        Op::Write { data, .. } => {
            check(block, &data);
            Outcome::Done
        }
        other => panic!("{other:?}"),
    }
}

fn check(block: &Bytes, data: &DataList) {
    let mut at = 0;
    for chunk in data.chunks() {
        assert!(chunk == &block[at..at + chunk.len()], "the payload is what was sent");
        at += chunk.len();
    }
    assert_eq!(at, LEN);
}

/// What the socket does.
#[inline(never)]
fn unmeasured_copy(from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    to[..len].copy_from_slice(&from[..len]);
    len
}

#[inline(never)]
fn unmeasured_slices<'a>() -> [IoSlice<'a>; 128] {
    [IoSlice::new(&[]); 128]
}

/// What the socket does.
#[inline(never)]
fn unmeasured_send(to: &mut Vec<u8>, slices: &[IoSlice<'_>]) -> usize {
    let before = to.len();
    slices.iter().for_each(|slice| to.extend_from_slice(slice));
    to.len() - before
}
