//! A nexus, the targets that it can dial, and the wires between them: in memory, on a virtual clock.

#![allow(dead_code, unused_imports, reason = "each test uses its part")]

mod commands;
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, Bytes};
use iscsicore::initiator::{Command, Event, LoginRequestConfig, Outcome};
use iscsicore::link::{Placement, Receiver, TaskId, Transmitter};
use iscsicore::login::Offer;
use iscsicore::nexus::{Nexus, NexusConfig, NexusEnd, NexusEvent, ReconnectPolicy};
use iscsicore::node::{Access, IscsiName};
use iscsicore::simple::LinkId;
use iscsicore::wire::{
    BHS_LEN, Bhs, CmdSn, Isid, LoginRequest, LoginResponse, LoginStatus, Opcode, Stage, StatSn, Tsih,
};
use iscsicore::{DataList, Instant, Limits, TransportError};

pub(crate) use commands::{flush, pattern, read, test_unit_ready, write, write_once};
pub(crate) use server::{Accept, Server};

pub(crate) const TARGET: &str = "iqn.2001-04.com.example:disk";
pub(crate) const OTHER: &str = "iqn.2001-04.com.example:other";
pub(crate) const HOME: &str = "home:3260";
pub(crate) const ISID: Isid = Isid([0x80, 1, 2, 3, 4, 5]);
pub(crate) const BLOCK: usize = 512;
const LOCAL: &str = "192.0.2.1:3260";

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The other end of the connection.
enum Peer {
    Host {
        id: LinkId,
        rx: Receiver,
        tx: Transmitter,
        deliveries: Option<usize>,
        turn: Option<(LoginStatus, String)>,
    },
    Answer {
        rx: Receiver,
        status: LoginStatus,
        text: String,
    },
    Mute,
}

struct Wire {
    rx: Receiver,
    tx: Transmitter,
    address: String,
    peer: Peer,
    /// Reads the login along.
    tap: Option<Receiver>,
}

/// A Login Request as the target saw it.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) at: Instant,
    pub(crate) address: String,
    pub(crate) isid: Isid,
    pub(crate) tsih: Tsih,
    pub(crate) stage: Stage,
    pub(crate) text: String,
}

/// A dial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Dial {
    pub(crate) at: Instant,
    pub(crate) address: String,
    pub(crate) attempt: u32,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) nexus: Nexus,
    pub(crate) servers: BTreeMap<String, Server>,
    wire: Option<Wire>,
    /// A dial of which nothing is heard.
    dialing: bool,
    /// Whether nothing that the target says or does reaches the nexus.
    pub(crate) deaf: bool,
    /// Whether the target does not learn that connections are closed.
    pub(crate) half_open: bool,
    pub(crate) dials: Vec<Dial>,
    pub(crate) logins: Vec<Login>,
    pub(crate) told: Vec<(Instant, NexusEvent)>,
    pub(crate) outcomes: BTreeMap<TaskId, Outcome>,
    connections: u8,
}

pub(crate) fn config() -> NexusConfig {
    NexusConfig {
        address: HOME.into(),
        login: LoginRequestConfig {
            initiator: IscsiName::parse("iqn.2001-04.com.example:me").unwrap(),
            initiator_alias: None,
            target: Some(IscsiName::parse(TARGET).unwrap()),
            isid: ISID,
            credentials: None,
            offer: Offer::default(),
        },
        reconnect: ReconnectPolicy::default(),
        limits: Limits::default(),
    }
}

/// The configuration with another policy.
pub(crate) fn with(change: impl FnOnce(&mut ReconnectPolicy)) -> NexusConfig {
    let mut config = config();
    change(&mut config.reconnect);
    config
}

impl World {
    /// Nothing has been dialed yet: there may be servers to be added, and scripts to be written.
    pub(crate) fn new(config: NexusConfig) -> Self {
        World::seeded(config, [7; 32])
    }

    pub(crate) fn seeded(config: NexusConfig, seed: [u8; 32]) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let home = Server::new(Access::default(), Offer::default());
        World {
            now,
            nexus: Nexus::new(config, seed, now),
            servers: BTreeMap::from([(HOME.to_owned(), home)]),
            wire: None,
            dialing: false,
            deaf: false,
            half_open: false,
            dials: Vec::new(),
            logins: Vec::new(),
            told: Vec::new(),
            outcomes: BTreeMap::new(),
            connections: 0,
        }
    }

    /// Up, at the first attempt.
    pub(crate) fn up(config: NexusConfig) -> Self {
        let mut world = World::new(config);
        world.settle();
        assert!(world.nexus.is_up(), "{:?}", world.told);
        world
    }

    /// Up, and the unit attention that every new session meets has been met.
    pub(crate) fn ready(config: NexusConfig) -> Self {
        let mut world = World::up(config);
        let task = world.submit(test_unit_ready());
        assert_eq!(world.answer(task).0, 0);
        world
    }

    pub(crate) fn home(&mut self) -> &mut Server {
        self.servers.get_mut(HOME).unwrap()
    }

    pub(crate) fn script(&mut self, accepts: impl IntoIterator<Item = Accept>) {
        self.home().script.extend(accepts);
    }

    /// Adds a server with a script.
    pub(crate) fn add(&mut self, address: &str, accepts: impl IntoIterator<Item = Accept>) {
        let mut server = Server::new(Access::default(), Offer::default());
        server.script.extend(accepts);
        self.servers.insert(address.into(), server);
    }

    /// Lets everything happen that happens without time going by.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut busy = false;
            while let Some(event) = self.nexus.poll_event() {
                busy = true;
                self.act(event);
            }
            busy |= self.carry();
            let now = self.now;
            for server in self.servers.values_mut() {
                busy |= server.work(now);
                while server.host.poll_wake().is_some() {}
            }
            if !busy {
                return;
            }
        }
        panic!("no end of it: {:?}", self.told.last());
    }

    /// Lets time go by.
    pub(crate) fn run(&mut self, time: Duration) {
        self.run_to(self.now + time);
    }

    pub(crate) fn run_to(&mut self, end: Instant) {
        self.settle();
        for _ in 0..100_000 {
            let hosts = self.servers.values().filter_map(|server| server.host.poll_timeout());
            let next = hosts.chain(self.nexus.poll_timeout()).min();
            let Some(at) = next.filter(|at| *at <= end) else {
                self.now = end;
                return self.tick();
            };
            self.now = self.now.max(at);
            self.tick();
        }
        panic!("timers without end");
    }

    fn tick(&mut self) {
        self.nexus.handle_timeout(self.now);
        for server in self.servers.values_mut() {
            server.host.handle_timeout(self.now);
        }
        self.settle();
    }

    fn act(&mut self, event: NexusEvent) {
        assert!(!self.has_ended(), "nothing follows the end: {event:?}");
        match &event {
            NexusEvent::Dial { address, attempt } => self.dial(address.clone(), *attempt),
            NexusEvent::HangUp => {
                assert!(self.dialing || self.wire.is_some(), "there is nothing to hang up");
                self.hang_up();
            }
            NexusEvent::Session(Event::Completed { task, outcome }) => {
                assert!(self.outcomes.insert(*task, outcome.clone()).is_none(), "{task:?} ends twice");
            }
            NexusEvent::Session(Event::Down { .. } | Event::Ended) => panic!("not for the caller: {event:?}"),
            NexusEvent::Ended(_) => assert!(!self.dialing && self.wire.is_none(), "a transport is left"),
            _ => {}
        }
        self.told.push((self.now, event));
    }

    fn dial(&mut self, address: String, attempt: u32) {
        assert!(!self.dialing && self.wire.is_none(), "hang up before you dial");
        self.dials.push(Dial { at: self.now, address: address.clone(), attempt });
        let accept = match self.servers.get_mut(&address) {
            Some(server) => server.next_accept(),
            None => Accept::Refuse,
        };
        self.establish(address, accept);
    }

    /// Ends a dial of which nothing was heard.
    pub(crate) fn pick_up(&mut self, accept: Accept) {
        assert!(core::mem::take(&mut self.dialing), "there is no dial");
        let address = self.dials.last().unwrap().address.clone();
        self.establish(address, accept);
        self.settle();
    }

    fn establish(&mut self, address: String, accept: Accept) {
        let limits = Limits::default();
        let (rx, tx) = (Receiver::new(&limits), Transmitter::new());
        self.connections += 1;
        let mut serve = |deliveries| {
            let host = &mut self.servers.get_mut(&address).unwrap().host;
            let id = host.connect(self.now, LOCAL.parse().unwrap(), [self.connections; 32]).unwrap();
            Peer::Host { id, rx: Receiver::new(&limits), tx: Transmitter::new(), deliveries, turn: None }
        };
        let peer = match accept {
            Accept::Serve | Accept::ServeBy(_) => serve(None),
            Accept::Cut(deliveries) => serve(Some(deliveries)),
            Accept::Turn(deliveries, status, text) => {
                let mut peer = serve(Some(deliveries));
                if let Peer::Host { turn, .. } = &mut peer {
                    *turn = Some((status, text));
                }
                peer
            }
            Accept::Refuse => return self.nexus.dial_failed(self.now, "connection refused".into()),
            Accept::Hang => {
                self.dialing = true;
                return;
            }
            Accept::Mute => Peer::Mute,
            Accept::Answer(status, text) => Peer::Answer { rx: Receiver::new(&limits), status, text },
        };
        self.wire = Some(Wire { rx, tx, address, peer, tap: Some(Receiver::new(&limits)) });
        self.nexus.connected(self.now);
    }

    /// The target's end learns that the connection is closed.
    fn hang_up(&mut self) {
        self.dialing = false;
        if let Some(Wire { address, peer: Peer::Host { id, .. }, .. }) = self.wire.take()
            && let Some(server) = self.servers.get_mut(&address)
            && !self.half_open
        {
            server.host.lost(self.now, id);
        }
    }

    /// Cuts the wire: both ends learn it.
    pub(crate) fn cut(&mut self) {
        self.lose();
        self.settle();
    }

    fn lose(&mut self) {
        self.nexus.lost(self.now, TransportError::Closed);
        if let Some(Wire { address, peer: Peer::Host { id, .. }, .. }) = &self.wire
            && let Some(server) = self.servers.get_mut(address)
            && !self.half_open
        {
            server.host.lost(self.now, *id);
        }
        // What the nexus still says on it is not heard.
        if let Some(wire) = &mut self.wire {
            wire.peer = Peer::Mute;
        }
    }

    /// Takes bytes from one end to the other. Whether there were any.
    fn carry(&mut self) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        self.nexus.transmit(self.now, &mut wire.tx);
        let bytes = wire.tx.copy_to_bytes(wire.tx.remaining());
        let mut busy = !bytes.is_empty();
        if busy {
            self.logins.extend(read_along(wire, &bytes, self.now));
        }
        let (mut answer, mut closing) = (Bytes::new(), false);
        match &mut wire.peer {
            Peer::Mute => {}
            Peer::Answer { rx, status, text } => {
                rx.push(bytes).unwrap();
                if let Ok(Some(pdu)) = rx.next_pdu(|_| Placement::Stage) {
                    answer = refusal(&LoginRequest::parse(&pdu.bhs).unwrap(), *status, text);
                    closing = true;
                }
            }
            Peer::Host { deliveries: Some(0), turn: None, .. } if busy => {
                self.lose();
                return true;
            }
            Peer::Host { deliveries: Some(0), turn: Some((status, text)), .. } if busy => {
                let bhs = Bhs(bytes[..BHS_LEN].try_into().unwrap());
                answer = refusal(&LoginRequest::parse(&bhs).unwrap(), *status, text);
                closing = true;
            }
            Peer::Host { id, rx, tx, deliveries, .. } => {
                if let Some(left) = deliveries.as_mut().filter(|_| busy) {
                    *left -= 1;
                }
                let host = &mut self.servers.get_mut(&wire.address).unwrap().host;
                if busy {
                    rx.push(bytes).unwrap();
                }
                // What is wrong with a login is answered to it.
                let _ = host.receive(self.now, *id, rx);
                host.transmit(self.now, *id, tx);
                answer = tx.copy_to_bytes(tx.remaining());
                closing = host.is_closing(*id);
            }
        }
        if !answer.is_empty() && !self.deaf {
            busy = true;
            wire.rx.push(answer).unwrap();
        }
        // What is wrong is told as an event, too.
        let _ = self.nexus.receive(self.now, &mut wire.rx);
        if closing && !self.deaf {
            busy = true;
            self.lose();
        }
        busy
    }

    pub(crate) fn submit(&mut self, command: Command) -> TaskId {
        let task = self.nexus.submit(self.now, command).expect("a command is taken");
        self.settle();
        task
    }

    /// The status and the data of a command that was answered.
    pub(crate) fn answer(&self, task: TaskId) -> (u8, Vec<u8>) {
        match self.outcomes.get(&task) {
            Some(Outcome::Answered(answer)) => (answer.status.0, answer.data.to_bytes().to_vec()),
            other => panic!("no answer to {task:?}: {other:?}"),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.end().is_some()
    }

    pub(crate) fn end(&self) -> Option<&NexusEnd> {
        match self.told.last() {
            Some((_, NexusEvent::Ended(end))) => Some(end),
            _ => None,
        }
    }

    /// How often it came up.
    pub(crate) fn ups(&self) -> usize {
        self.told.iter().filter(|(_, event)| matches!(event, NexusEvent::Up { .. })).count()
    }

    /// The times from one dial to the next.
    pub(crate) fn pauses(&self) -> Vec<Duration> {
        self.dials.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
    }
}

/// The Login Requests in bytes that go to the target.
fn read_along(wire: &mut Wire, bytes: &Bytes, now: Instant) -> Vec<Login> {
    let mut logins = Vec::new();
    let Some(tap) = &mut wire.tap else { return logins };
    tap.push(bytes.clone()).unwrap();
    while let Ok(Some(pdu)) = tap.next_pdu(|_| Placement::Stage) {
        if pdu.bhs.opcode() != Opcode::LoginRequest {
            // From here on there may be digests.
            wire.tap = None;
            break;
        }
        let LoginRequest { isid, tsih, csg: stage, .. } = LoginRequest::parse(&pdu.bhs).unwrap();
        let text = String::from_utf8(pdu.data.to_vec()).unwrap();
        logins.push(Login { at: now, address: wire.address.clone(), isid, tsih, stage, text });
    }
    logins
}

/// A Login Response that ends the login.
fn refusal(request: &LoginRequest, status: LoginStatus, text: &str) -> Bytes {
    let response = LoginResponse {
        transit: false,
        continued: false,
        csg: request.csg,
        nsg: None,
        version_max: 0,
        version_active: 0,
        isid: request.isid,
        tsih: Tsih(0),
        itt: request.itt,
        stat_sn: StatSn(1),
        exp_cmd_sn: request.cmd_sn,
        max_cmd_sn: CmdSn(request.cmd_sn.0),
        status,
    };
    let mut tx = Transmitter::new();
    tx.push(response.emit(), DataList::from(text.as_bytes().to_vec()));
    tx.copy_to_bytes(tx.remaining())
}
