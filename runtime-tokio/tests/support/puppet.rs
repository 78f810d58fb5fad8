//! A target that answers commands as a test says: for what the server of this crate has not, or would never say.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant as StdInstant;

use bytes::{Buf, Bytes};
use iscsicore::link::{Receiver, TaskId, Transmitter, Want};
use iscsicore::login::{Admission, Authentication, Offer};
use iscsicore::scsi::{AdditionalSense, Cdb, Response, Sense, SenseFormat, SenseKey, Status};
use iscsicore::session::ConnId;
use iscsicore::target::{Command, Event, Incoming, IncomingEvent, Notice, Target};
use iscsicore::wire::{Lun, TaskManagementFunction, TaskManagementResult, Tsih};
use iscsicore::{DataList, Instant, Limits};

/// What is answered.
pub(crate) enum Reply {
    /// GOOD, with data.
    Good(Vec<u8>),
    /// CHECK CONDITION.
    Check(Sense),
    /// Another status.
    Status(Status),
    /// Nothing: the connection is cut.
    Cut,
}

/// GOOD without data.
pub(crate) fn good() -> Reply {
    Reply::Good(Vec::new())
}

/// CHECK CONDITION with a key and an additional sense code.
pub(crate) fn check(key: SenseKey, code: u8, qualifier: u8) -> Reply {
    Reply::Check(Sense::new(key, AdditionalSense { code, qualifier }))
}

/// A command with what it sent.
pub(crate) struct Seen {
    pub(crate) cdb: Cdb,
    pub(crate) lun: Lun,
    pub(crate) data: Vec<u8>,
}

type Script = dyn FnMut(&Seen) -> Option<Reply> + Send;

pub(crate) struct Puppet {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    script: Box<Script>,
    management: TaskManagementResult,
    /// Told with the next answer.
    notices: Vec<Notice>,
    /// Task management functions asked for.
    asked: Vec<(TaskManagementFunction, Lun)>,
    logins: u32,
    blocks: u64,
}

impl Puppet {
    /// Answers as `script` says; what it returns `None` for, as a disk of 2048 blocks of 512 bytes would.
    pub(crate) fn new(script: impl FnMut(&Seen) -> Option<Reply> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            script: Box::new(script),
            management: TaskManagementResult::Complete,
            notices: Vec::new(),
            asked: Vec::new(),
            logins: 0,
            blocks: 2048,
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let began = StdInstant::now();
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state, began));
            }
        });
        Puppet { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("iscsi://{}/iqn.2026-01.dev.iscsicore.test:puppet/0", self.address)
    }

    pub(crate) fn answers_management_with(&self, result: TaskManagementResult) {
        self.state.lock().unwrap().management = result;
    }

    pub(crate) fn notify(&self, notice: Notice) {
        self.state.lock().unwrap().notices.push(notice);
    }

    pub(crate) fn resize(&self, blocks: u64) {
        self.state.lock().unwrap().blocks = blocks;
    }

    pub(crate) fn asked(&self) -> Vec<(TaskManagementFunction, Lun)> {
        self.state.lock().unwrap().asked.clone()
    }

    pub(crate) fn logins(&self) -> u32 {
        self.state.lock().unwrap().logins
    }
}

/// One connection. Errors end it.
struct Connection<'a> {
    stream: TcpStream,
    rx: Receiver,
    tx: Transmitter,
    began: StdInstant,
    state: &'a Mutex<State>,
    /// Commands whose payload is on its way.
    waiting: Vec<(TaskId, Command)>,
}

fn serve(stream: TcpStream, state: &Mutex<State>, began: StdInstant) {
    let (rx, tx) = (Receiver::new(&Limits::default()), Transmitter::new());
    let mut connection = Connection { stream, rx, tx, began, state, waiting: Vec::new() };
    if let Some((mut target, conn)) = connection.login() {
        while connection.step(&mut target, conn) && connection.read() {}
    }
}

impl Connection<'_> {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.began.elapsed().as_nanos() as u64)
    }

    fn read(&mut self) -> bool {
        let Want::Read { staging, .. } = self.rx.want() else { return true };
        match self.stream.read(staging) {
            Ok(len) if len > 0 => self.rx.advance(&[], len).is_ok(),
            _ => false,
        }
    }

    fn write(&mut self) {
        while self.tx.has_remaining() {
            let Ok(len) = self.stream.write(self.tx.chunk()) else { return };
            self.tx.advance(len);
        }
    }

    fn login(&mut self) -> Option<(Target, ConnId)> {
        let mut incoming = Incoming::new(Limits::default(), [7; 32], self.now());
        loop {
            incoming.receive(self.now(), &mut self.rx).ok()?;
            match incoming.poll_event() {
                Some(IncomingEvent::Hello(_)) => {
                    let admission = Admission {
                        authentication: Authentication::None,
                        offer: Offer::default(),
                        portal_group_tag: Some(1),
                        target_alias: None,
                    };
                    incoming.admit(admission).ok()?;
                }
                Some(IncomingEvent::Ready) => break,
                None => {
                    incoming.transmit(self.now(), &mut self.tx);
                    self.write();
                    if !self.read() {
                        return None;
                    }
                }
            }
        }
        self.state.lock().unwrap().logins += 1;
        Target::new(incoming, Tsih(1), self.now()).ok()
    }

    /// Handles what has come; whether the connection goes on.
    fn step(&mut self, target: &mut Target, conn: ConnId) -> bool {
        if target.receive(self.now(), conn, &mut self.rx).is_err() {
            return false;
        }
        while let Some(event) = target.poll_event() {
            let goes_on = match event {
                Event::Command(command) if command.data_out > 0 => {
                    let (task, len) = (command.task, command.data_out);
                    self.waiting.push((task, command));
                    target.accept(task, len).is_ok()
                }
                Event::Command(command) => self.answer(target, &command, Vec::new()),
                Event::Data { task, data } => {
                    let at = self.waiting.iter().position(|(t, _)| *t == task).unwrap();
                    let (_, command) = self.waiting.swap_remove(at);
                    self.answer(target, &command, data.to_bytes().to_vec())
                }
                Event::TaskManagement(request) => {
                    let mut state = self.state.lock().unwrap();
                    state.asked.push((request.function, request.lun));
                    target.answer_task_management(request.request, state.management).is_ok()
                }
                Event::Close(_) | Event::Ended(_) => false,
                _ => true,
            };
            for notice in self.state.lock().unwrap().notices.drain(..) {
                target.notify(&notice);
            }
            target.transmit(self.now(), conn, &mut self.tx);
            self.write();
            if !goes_on {
                return false;
            }
        }
        target.transmit(self.now(), conn, &mut self.tx);
        self.write();
        true
    }

    fn answer(&mut self, target: &mut Target, command: &Command, data: Vec<u8>) -> bool {
        let seen = Seen { cdb: command.cdb.clone(), lun: command.lun, data };
        let mut state = self.state.lock().unwrap();
        let reply = (state.script)(&seen).unwrap_or_else(|| usual(&seen, state.blocks));
        let transfer = command.data_out.max(command.data_in);
        let (response, transfer) = match reply {
            Reply::Good(bytes) if command.data_in > 0 => {
                let len = bytes.len().min(command.data_in as usize);
                let data = DataList::from(Bytes::from(bytes).slice(..len));
                target.send_data(command.task, data).unwrap();
                (Response::good(), len as u32)
            }
            Reply::Good(_) => (Response::good(), transfer),
            Reply::Check(sense) => {
                let sense = Some(sense.encode(SenseFormat::Fixed));
                (Response { status: Status::CHECK_CONDITION, sense }, 0)
            }
            Reply::Status(status) => (Response { status, sense: None }, 0),
            Reply::Cut => return false,
        };
        target.complete(command.task, response, transfer).is_ok()
    }
}

/// What a disk answers to those who only want to know what it is.
fn usual(seen: &Seen, blocks: u64) -> Reply {
    match (seen.cdb.opcode(), seen.cdb.byte(1), seen.cdb.byte(2)) {
        (0x00, ..) => good(),
        (0x12, 0, _) => {
            let mut data = [0; 36];
            data[2..5].copy_from_slice(&[6, 2, 31]);
            data[8..36].copy_from_slice(b"TEST    PUPPET          0001");
            Reply::Good(data.to_vec())
        }
        (0x12, 1, 0x00) => Reply::Good(vec![0, 0, 0, 1, 0]),
        (0x9e, 0x10, _) => {
            let mut data = [0; 32];
            data[..8].copy_from_slice(&(blocks - 1).to_be_bytes());
            data[8..12].copy_from_slice(&512u32.to_be_bytes());
            Reply::Good(data.to_vec())
        }
        (0xa0, ..) => Reply::Good(vec![0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        _ => check(SenseKey::IllegalRequest, 0x20, 0),
    }
}
