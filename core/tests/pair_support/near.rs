//! The initiator's end: the role under test, its halves, and an adapter that lends or hands over bytes.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use iscsicore::initiator::LoginRequestConfig;
use iscsicore::initiator::{Command, DownReason, Event, Initiator, Outcome, Outgoing, OutgoingEvent, Sink};
use iscsicore::link::{Receiver, TaskId, Transmitter, Want};
use iscsicore::session::ConnId;
use iscsicore::{Instant, Limits, PeerError, TransportError};

/// How bytes get into the receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feed {
    /// [`Receiver::push`].
    Owned,
    /// [`Receiver::want`] and [`Receiver::advance`]; the only way that slots are filled.
    Lent,
}

/// How a command ended, and what its memory held then.
#[derive(Clone, Debug)]
pub struct Done {
    pub outcome: Outcome,
    /// For [`Sink::Slots`]; what was not written is [`UNTOUCHED`].
    pub memory: Vec<u8>,
}

/// What memory of a task is filled with before anything arrives.
pub const UNTOUCHED: u8 = 0xee;

pub struct Near {
    pub initiator: Initiator,
    pub conn: Option<ConnId>,
    pub done: BTreeMap<TaskId, Done>,
    /// All events but [`Event::Completed`] and [`Event::DataIn`].
    pub events: Vec<Event>,
    pub errors: Vec<PeerError>,
    /// Why the connection ended, until there is another one.
    pub down: Option<DownReason>,
    /// Bytes that reads of slots brought straight to their place.
    pub placed: usize,
    outgoing: Option<Outgoing>,
    memory: BTreeMap<TaskId, Vec<u8>>,
    rx: Receiver,
    tx: Transmitter,
    feed: Feed,
    limits: Limits,
    /// Bytes that arrived while the session did not want any.
    held: Bytes,
}

impl Near {
    pub fn new(limits: Limits, feed: Feed) -> Self {
        Near {
            initiator: Initiator::new(limits.clone()),
            conn: None,
            done: BTreeMap::new(),
            events: Vec::new(),
            errors: Vec::new(),
            down: None,
            placed: 0,
            outgoing: None,
            memory: BTreeMap::new(),
            rx: Receiver::new(&limits),
            tx: Transmitter::new(),
            feed,
            limits,
            held: Bytes::new(),
        }
    }

    /// Starts a login on a new transport.
    pub fn log_in(&mut self, config: LoginRequestConfig, seed: [u8; 32], now: Instant) {
        self.outgoing = Some(Outgoing::new(config, self.limits.clone(), seed, now));
        (self.rx, self.tx) = (Receiver::new(&self.limits), Transmitter::new());
        (self.conn, self.down, self.held) = (None, None, Bytes::new());
    }

    /// Submits a command that must be taken.
    pub fn submit(&mut self, now: Instant, command: Command) -> TaskId {
        let memory = match command.sink {
            Sink::Slots => vec![UNTOUCHED; command.data_in as usize],
            Sink::Collect => Vec::new(),
        };
        let task = self.initiator.submit(now, command).expect("a command that is taken");
        assert!(self.memory.insert(task, memory).is_none(), "{task} is in use");
        task
    }

    /// All that there is to send.
    pub fn take(&mut self, now: Instant) -> Bytes {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.transmit(now, &mut self.tx);
        } else if let Some(conn) = self.conn {
            self.initiator.transmit(now, conn, &mut self.tx);
        }
        let bytes = self.tx.copy_to_bytes(self.tx.remaining());
        self.drain();
        bytes
    }

    /// Bytes from the target; what the session does not want at the moment waits for the next call.
    pub fn give(&mut self, now: Instant, bytes: &Bytes) {
        let mut bytes =
            if self.held.is_empty() { bytes.clone() } else { [&self.held[..], &bytes[..]].concat().into() };
        self.held = Bytes::new();
        if self.feed == Feed::Owned && !bytes.is_empty() {
            self.rx.push(bytes).expect("a receiver without slots");
            return self.receive(now);
        }
        self.receive(now);
        while !bytes.is_empty() && !self.is_over() {
            match self.read(&bytes) {
                0 => {
                    self.held = bytes;
                    return;
                }
                n => bytes.advance(n),
            }
            self.receive(now);
        }
    }

    /// One read of an adapter: how many bytes it took.
    fn read(&mut self, bytes: &Bytes) -> usize {
        let Want::Read { slot, staging } = self.rx.want() else { return 0 };
        let missing = slot.map_or(0, |slot| slot.len as usize);
        let placed = missing.min(bytes.len());
        let staged = if placed == missing { staging.len().min(bytes.len() - placed) } else { 0 };
        staging[..staged].copy_from_slice(&bytes[placed..placed + staged]);
        if let Some(slot) = slot {
            // A task that has ended has no memory any more: its bytes are read and dropped.
            if let Some(memory) = self.memory.get_mut(&slot.task) {
                let at = usize::try_from(slot.offset).expect("an offset of memory");
                assert!(at + missing <= memory.len(), "a slot beyond the memory of its task: {slot:?}");
                memory[at..at + placed].copy_from_slice(&bytes[..placed]);
                self.placed += placed;
            }
        }
        self.rx.advance(&bytes[..placed], staged).expect("as much as was wanted");
        placed + staged
    }

    fn receive(&mut self, now: Instant) {
        if let Some(outgoing) = &mut self.outgoing {
            if let Err(error) = outgoing.receive(now, &mut self.rx) {
                self.errors.push(error);
            }
            self.drain_login(now);
        }
        if let Some(conn) = self.conn.filter(|_| !self.is_over())
            && let Err(error) = self.initiator.receive(now, conn, &mut self.rx)
        {
            self.errors.push(error);
        }
        self.drain();
    }

    fn drain_login(&mut self, now: Instant) {
        let Some(event) = self.outgoing.as_mut().and_then(Outgoing::poll_event) else { return };
        let outgoing = self.outgoing.take().expect("the login that told");
        assert_eq!(event, OutgoingEvent::Ready);
        self.conn = Some(self.initiator.attach(outgoing, now).expect("a session that takes a connection"));
    }

    pub fn drain(&mut self) {
        while let Some(event) = self.initiator.poll_event() {
            match event {
                Event::Completed { task, outcome } => {
                    let memory = self.memory.remove(&task).expect("a task that was submitted, ended once");
                    self.done.insert(task, Done { outcome, memory });
                }
                Event::DataIn { task, offset, data } => {
                    let memory = self.memory.get_mut(&task).expect("a task that has not ended");
                    memory[offset as usize..][..data.len()].copy_from_slice(&data);
                }
                event => {
                    if let Event::Down { why, .. } = &event {
                        self.down = Some(why.clone());
                    }
                    self.events.push(event);
                }
            }
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the connection is over.
    pub fn is_over(&self) -> bool {
        self.down.is_some()
    }

    pub fn lose(&mut self, now: Instant) {
        if let Some(conn) = self.conn.take().filter(|_| self.down.is_none()) {
            self.initiator.lost(now, conn, TransportError::Closed);
        }
        self.drain();
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.outgoing {
            Some(outgoing) => outgoing.poll_timeout(),
            None => self.initiator.poll_timeout(),
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.handle_timeout(now);
            self.drain_login(now);
        }
        self.initiator.handle_timeout(now);
        self.drain();
    }

    /// Bytes that arrived and were not made sense of yet.
    pub fn buffered(&self) -> usize {
        self.rx.buffered() + self.held.len()
    }
}
