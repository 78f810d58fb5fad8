//! The target's end: the target role, its service, and two disks in memory whose answers take their time.

use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use iscsicore::disk::{
    Allocation, AttachReason, BlockSize, LogicalUnit, NexusId, Op, Outcome, ResetCause, UnitConfig,
};
use iscsicore::link::{Receiver, TaskId, Transmitter};
use iscsicore::login::{Admission, Authentication, Offer};
use iscsicore::node::{LunMap, UnitAccess, UnitId};
use iscsicore::scsi::{AdditionalSense, Response, Sense, SenseFormat, SenseKey, Status};
use iscsicore::serve::{self, Handled, Service, Units, Work};
use iscsicore::session::{ConnId, TargetRecord};
use iscsicore::target::{Command, EndReason, Event, Incoming, IncomingEvent, Target, TaskManagement};
use iscsicore::wire::{TaskManagementFunction as Function, TaskManagementResult, Tsih};
use iscsicore::{DataList, Instant, Limits, PeerError, TransportError};

use super::chance::Chance;
use super::commands::{BLOCK, pattern};

/// The operation code of the command that the tests script; see [`super::commands::scripted`].
pub const SCRIPTED: u8 = 0xc1;
/// Logical units, numbered from 0.
pub const UNITS: u16 = 2;

struct Disks(Vec<RefCell<LogicalUnit>>);

impl Units for Disks {
    fn with_unit<R>(&self, unit: UnitId, f: impl FnOnce(&mut LogicalUnit) -> R) -> Option<R> {
        self.0.get(unit.0 as usize).map(|unit| f(&mut unit.borrow_mut()))
    }
}

enum Place {
    Closed,
    Login(Box<Incoming>),
    Session(Box<Target>, ConnId),
}

pub struct Far {
    pub disks: Vec<Vec<u8>>,
    /// While set, the storage does nothing.
    pub stalled: bool,
    /// Answers to task management other than carrying it out.
    pub management: Option<TaskManagementResult>,
    /// What SendTargets brings.
    pub records: Vec<TargetRecord>,
    /// Payload that scripted commands took.
    pub taken: Vec<DataList>,
    pub errors: Vec<PeerError>,
    pub ended: Option<EndReason>,
    /// Everything was said on the connection, and it is to be closed.
    pub closing: bool,
    /// The most that the storage takes its time for an operation.
    pub delay: Duration,
    offer: Offer,
    limits: Limits,
    place: Place,
    units: Disks,
    service: Service,
    jobs: Vec<(Instant, Work)>,
    scripted: BTreeMap<TaskId, Command>,
    rx: Receiver,
    tx: Transmitter,
    chance: Chance,
    sessions: u16,
    /// A cold reset ends the session once everything is answered.
    ends_when_idle: bool,
}

impl Far {
    pub fn new(offer: Offer, limits: Limits, blocks: u64, seed: u64) -> Self {
        let unit = |n| LogicalUnit::new(UnitConfig::new(&format!("serial-{n}"), BlockSize::B512, blocks));
        let mut luns = LunMap::new();
        (0..UNITS).for_each(|n| luns.insert(n, UnitId(n.into()), UnitAccess::ReadWrite).expect("a free LUN"));
        Far {
            disks: (0..UNITS).map(|_| vec![0; blocks as usize * BLOCK]).collect(),
            stalled: false,
            management: None,
            records: Vec::new(),
            taken: Vec::new(),
            errors: Vec::new(),
            ended: None,
            closing: false,
            delay: Duration::ZERO,
            rx: Receiver::new(&limits),
            tx: Transmitter::new(),
            offer,
            limits,
            place: Place::Closed,
            units: Disks((0..UNITS).map(|n| RefCell::new(unit(n))).collect()),
            service: Service::new(NexusId(1), luns),
            jobs: Vec::new(),
            scripted: BTreeMap::new(),
            chance: Chance::new(seed),
            sessions: 0,
            ends_when_idle: false,
        }
    }

    /// A transport was connected. A session that is still there ends first, with the storage's work for it.
    pub fn connect(&mut self, now: Instant) {
        if let Place::Session(target, _) = &mut self.place {
            target.terminate(now);
            for (_, work) in std::mem::take(&mut self.jobs) {
                self.carry_out(work);
            }
            self.act(now);
        }
        self.scripted.clear();
        (self.rx, self.tx) = (Receiver::new(&self.limits), Transmitter::new());
        (self.closing, self.ended) = (false, None);
        let mut seed = [0; 32];
        seed.copy_from_slice(&self.chance.bytes(32));
        self.place = Place::Login(Box::new(Incoming::new(self.limits.clone(), seed, now)));
    }

    /// The session; there must be one.
    pub fn target(&mut self) -> &mut Target {
        match &mut self.place {
            Place::Session(target, _) => target,
            _ => panic!("no session"),
        }
    }

    pub fn unit(&self, lun: u16) -> &RefCell<LogicalUnit> {
        &self.units.0[usize::from(lun)]
    }

    /// Operations that wait for the storage.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    pub fn give(&mut self, now: Instant, bytes: Bytes) {
        self.rx.push(bytes).expect("a receiver that goes on");
        self.receive(now);
    }

    fn receive(&mut self, now: Instant) {
        if let Place::Login(incoming) = &mut self.place {
            incoming.receive(now, &mut self.rx).expect("a login that the target takes");
            while let Some(event) = incoming.poll_event() {
                match event {
                    IncomingEvent::Hello(_) => incoming
                        .admit(Admission {
                            authentication: Authentication::None,
                            offer: self.offer.clone(),
                            portal_group_tag: Some(1),
                            target_alias: None,
                        })
                        .expect("terms that can be given"),
                    IncomingEvent::Ready => return self.open(now),
                }
            }
        }
        if let Place::Session(target, conn) = &mut self.place
            && let Err(error) = target.receive(now, *conn, &mut self.rx)
        {
            self.errors.push(error);
        }
        self.act(now);
    }

    /// Makes a session of a login that is complete.
    fn open(&mut self, now: Instant) {
        let Place::Login(incoming) = std::mem::replace(&mut self.place, Place::Closed) else { return };
        let reason = if self.sessions == 0 { AttachReason::New } else { AttachReason::Relogin };
        self.sessions += 1;
        let (target, conn) = Target::new(*incoming, Tsih(self.sessions), now).expect("a complete login");
        serve::attach(&self.units, self.service.luns(), self.service.nexus(), reason, &target);
        self.place = Place::Session(Box::new(target), conn);
        self.receive(now);
    }

    pub fn take(&mut self, now: Instant) -> Bytes {
        match &mut self.place {
            Place::Closed => {}
            Place::Login(incoming) => incoming.transmit(now, &mut self.tx),
            Place::Session(target, conn) => target.transmit(now, *conn, &mut self.tx),
        }
        let bytes = self.tx.copy_to_bytes(self.tx.remaining());
        // A transmitter that was emptied lets the session go on.
        self.receive(now);
        bytes
    }

    /// Lets the storage do what is due, in any order; whether there was anything.
    pub fn work(&mut self, now: Instant) -> bool {
        let mut worked = false;
        while !self.stalled {
            let due: Vec<usize> = (0..self.jobs.len()).filter(|&i| self.jobs[i].0 <= now).collect();
            if due.is_empty() {
                break;
            }
            let (_, work) = self.jobs.swap_remove(self.chance.pick(&due));
            worked = true;
            if let Some(next) = self.carry_out(work) {
                self.jobs.push((now, next));
            }
            self.act(now);
        }
        worked
    }

    fn carry_out(&mut self, work: Work) -> Option<Work> {
        let outcome = perform(&mut self.disks[work.unit.0 as usize], work.op);
        match &mut self.place {
            Place::Session(target, _) => self.service.finish(target, &self.units, work.ticket, outcome),
            _ => None,
        }
    }

    fn act(&mut self, now: Instant) {
        loop {
            let Place::Session(target, _) = &mut self.place else { return };
            let Some(event) = target.poll_event() else {
                if self.ends_when_idle && target.outstanding() == 0 {
                    self.ends_when_idle = false;
                    target.terminate(now);
                    continue;
                }
                return;
            };
            let Some(event) = self.scripted_event(event) else { continue };
            let Place::Session(target, _) = &mut self.place else { return };
            match self.service.handle(target, &self.units, event) {
                Handled::Done => {}
                Handled::Work(work) => {
                    let pause = match self.delay.as_nanos() as u64 {
                        0 => 0,
                        most => self.chance.next() % most,
                    };
                    self.jobs.push((now + Duration::from_nanos(pause), work));
                }
                Handled::Other(Event::TaskManagement(request)) => self.manage(request),
                Handled::Other(Event::SendTargets { request, .. }) => {
                    target.answer_send_targets(request, &self.records).expect("a question that is open");
                }
                Handled::Other(Event::Close(_)) => self.closing = true,
                Handled::Other(Event::Ended(why)) => {
                    (self.ended, self.closing) = (Some(why), true);
                    self.place = Place::Closed;
                }
                Handled::Other(_) => {}
            }
        }
    }

    /// Carries a function out on the units; the target aborts the tasks of the session itself.
    fn manage(&mut self, request: TaskManagement) {
        if let Some(answer) = self.management {
            let target = self.target();
            target.answer_task_management(request.request, answer).expect("a request that is open");
            return;
        }
        let cause = match request.function {
            Function::LogicalUnitReset => Some(ResetCause::LogicalUnit),
            Function::TargetWarmReset => Some(ResetCause::Target),
            Function::TargetColdReset => Some(ResetCause::PowerOn),
            _ => None,
        };
        let of_target = matches!(request.function, Function::TargetWarmReset | Function::TargetColdReset);
        for (lun, mapped) in self.service.luns().iter() {
            if let Some(cause) = cause.filter(|_| of_target || lun == request.lun) {
                self.units.with_unit(mapped.unit, |unit| unit.reset(cause));
            }
        }
        let known = of_target || self.service.luns().get(request.lun).is_some();
        let answer = match known {
            true => TaskManagementResult::Complete,
            false => TaskManagementResult::LunDoesNotExist,
        };
        self.ends_when_idle |= request.function == Function::TargetColdReset;
        self.target().answer_task_management(request.request, answer).expect("a request that is open");
    }

    /// Deals with what belongs to scripted commands.
    fn scripted_event(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Command(command) if command.cdb.opcode() == SCRIPTED => {
                let (task, take) = (command.task, command.cdb.u32_at(6));
                self.scripted.insert(task, command);
                match take {
                    0 => self.finish_scripted(task),
                    take => self.target().accept(task, take).expect("a task that is the application's"),
                }
                None
            }
            Event::Data { task, data } if self.scripted.contains_key(&task) => {
                self.taken.push(data);
                self.finish_scripted(task);
                None
            }
            Event::Abort { task } if self.scripted.remove(&task).is_some() => None,
            event => Some(event),
        }
    }

    fn finish_scripted(&mut self, task: TaskId) {
        let Some(command) = self.scripted.remove(&task) else { return };
        let (send, moved) = (command.cdb.u32_at(2), command.cdb.u32_at(10));
        let response = match Status(command.cdb.byte(1)) {
            Status::CHECK_CONDITION => Response::check_condition(&SENSE, SenseFormat::Fixed),
            status => Response::with_status(status),
        };
        let target = self.target();
        if send > 0 {
            let data = DataList::from(pattern(send as usize));
            target.send_data(task, data).expect("a task that is the application's");
        }
        target.complete(task, response, moved).expect("a task that is the application's");
    }

    pub fn lose(&mut self, now: Instant) {
        if let Place::Session(target, conn) = &mut self.place {
            let conn = *conn;
            target.lost(now, conn, TransportError::Closed);
        }
        self.act(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let session = match &self.place {
            Place::Closed => None,
            Place::Login(incoming) => incoming.poll_timeout(),
            Place::Session(target, _) => target.poll_timeout(),
        };
        let jobs = self.jobs.iter().map(|(due, _)| *due).filter(|_| !self.stalled);
        session.into_iter().chain(jobs).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Place::Session(target, _) = &mut self.place {
            target.handle_timeout(now);
        }
        self.act(now);
    }
}

/// The sense data of a scripted CHECK CONDITION.
pub const SENSE: Sense = Sense::new(SenseKey::HardwareError, AdditionalSense::INTERNAL_TARGET_FAILURE);

fn perform(disk: &mut [u8], op: Op) -> Outcome {
    match op {
        Op::Read { offset, len } => {
            let bytes = &disk[offset as usize..][..len as usize];
            Outcome::Data(DataList::from(Bytes::copy_from_slice(bytes)))
        }
        Op::Write { offset, data, .. } => {
            let mut at = offset as usize;
            for chunk in data.chunks() {
                disk[at..at + chunk.len()].copy_from_slice(chunk);
                at += chunk.len();
            }
            Outcome::Done
        }
        Op::WriteZeroes { offset, len, .. } => {
            disk[offset as usize..][..len as usize].fill(0);
            Outcome::Done
        }
        Op::Flush | Op::Unmap { .. } => Outcome::Done,
        Op::Extents { len, .. } => Outcome::Extents(vec![(len, Allocation::Mapped)]),
    }
}
