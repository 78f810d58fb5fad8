//! Core's initiator at the other end of a server of the C functions.

use core::time::Duration;

use bytes::{Buf, Bytes};
use iscsicore::initiator::{Answer, Command, Credentials, Event, LoginRequestConfig, Outcome, commands};
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::login::Offer;
use iscsicore::nexus::{AttemptError, Nexus, NexusConfig, NexusEnd, NexusEvent, ReconnectPolicy};
use iscsicore::node::IscsiName;
use iscsicore::scsi;
use iscsicore::target::TargetRecord;
use iscsicore::wire::{Isid, Lun};
use iscsicore::{Instant, Limits, TransportError};

use super::{INITIATOR, SECOND, Server, Status, TARGET, Wire, message, ok};

/// Core's initiator, and its connection.
pub(crate) struct Client {
    pub(crate) nexus: Nexus,
    rx: Receiver,
    tx: Transmitter,
    pub(crate) wire: Option<Wire>,
    pub(crate) done: Vec<Outcome>,
    pub(crate) attentions: Vec<Bytes>,
    pub(crate) targets: Vec<TargetRecord>,
    pub(crate) end: Option<NexusEnd>,
}

impl Client {
    pub(crate) fn new(credentials: Option<Credentials>) -> Self {
        Client::of(INITIATOR, credentials)
    }

    pub(crate) fn of(initiator: &str, credentials: Option<Credentials>) -> Self {
        Client::to(Some(TARGET), initiator, credentials)
    }

    pub(crate) fn discovering(credentials: Option<Credentials>) -> Self {
        Client::to(None, INITIATOR, credentials)
    }

    fn to(target: Option<&str>, initiator: &str, credentials: Option<Credentials>) -> Self {
        let login = LoginRequestConfig {
            initiator: IscsiName::parse(initiator).unwrap(),
            initiator_alias: Some("me".into()),
            target: target.map(|name| IscsiName::parse(name).unwrap()),
            isid: Isid([0x80, 1, 2, 3, 4, 5]),
            credentials,
            offer: Offer::default(),
        };
        let mut reconnect = ReconnectPolicy::default();
        reconnect.enabled = false;
        let limits = Limits::default();
        let (rx, tx) = (Receiver::new(&limits), Transmitter::new());
        let config = NexusConfig { address: "192.0.2.1:3260".into(), login, reconnect, limits };
        let nexus = Nexus::new(config, [9; 32], Instant::from_nanos(SECOND));
        let (done, attentions, targets) = (Vec::new(), Vec::new(), Vec::new());
        Client { nexus, rx, tx, wire: None, done, attentions, targets, end: None }
    }

    /// A client that has logged in, and met the unit attention with which every nexus begins.
    pub(crate) fn up(server: &mut Server) -> Self {
        let mut client = Client::new(None);
        client.run(server);
        assert!(client.nexus.is_up(), "{:?}", client.end);
        assert_eq!(client.ask(server, commands::test_unit_ready(Lun(0))).status, scsi::Status::GOOD);
        client
    }

    /// Takes the events of the nexus.
    pub(crate) fn listen(&mut self, server: &Server) -> bool {
        let now = Instant::from_nanos(server.now);
        let mut any = false;
        while let Some(event) = self.nexus.poll_event() {
            any = true;
            match event {
                NexusEvent::Dial { .. } => match Wire::new(server) {
                    Ok(wire) => {
                        self.wire = Some(wire);
                        self.nexus.connected(now);
                    }
                    Err(status) => self.nexus.dial_failed(now, format!("{status:?}")),
                },
                NexusEvent::HangUp => {
                    if let Some(wire) = self.wire.take() {
                        ok(wire.lost(server));
                    }
                }
                NexusEvent::Session(Event::Completed { outcome, .. }) => self.done.push(outcome),
                NexusEvent::Session(Event::UnitAttention { sense, .. }) => self.attentions.push(sense),
                NexusEvent::Session(Event::Targets { result, .. }) => self.targets = result.unwrap(),
                NexusEvent::Ended(end) => self.end = Some(end),
                _ => {}
            }
        }
        any
    }

    /// Moves what the nexus says to the host.
    pub(crate) fn say(&mut self, server: &Server) -> bool {
        let now = Instant::from_nanos(server.now);
        self.nexus.transmit(now, &mut self.tx);
        let bytes = self.tx.copy_to_bytes(self.tx.remaining());
        let Some(wire) = &self.wire else { return false };
        wire.push(&bytes);
        let status = wire.receive(server);
        assert!(matches!(status, Status::Ok | Status::PeerError), "{status:?}: {}", message());
        !bytes.is_empty()
    }

    /// Moves what the host says to the nexus.
    pub(crate) fn hear(&mut self, server: &Server) -> bool {
        let now = Instant::from_nanos(server.now);
        let Some(wire) = &self.wire else { return false };
        wire.transmit(server);
        let bytes = wire.take(usize::MAX);
        let any = !bytes.is_empty();
        self.take(server, bytes);
        if let Some(wire) = self.wire.take_if(|wire| wire.is_closing(server)) {
            ok(wire.lost(server));
            self.nexus.lost(now, TransportError::Closed);
        }
        any
    }

    pub(crate) fn take(&mut self, server: &Server, bytes: Vec<u8>) {
        self.rx.push(bytes.into()).unwrap();
        let _ = self.nexus.receive(Instant::from_nanos(server.now), &mut self.rx);
    }

    /// Goes on until nothing happens any more.
    pub(crate) fn run(&mut self, server: &mut Server) {
        for _ in 0..1000 {
            let happened = [self.listen(server), self.say(server), server.work(), self.hear(server)];
            if happened == [false; 4] {
                return;
            }
        }
        panic!("it never ends");
    }

    pub(crate) fn submit(&mut self, server: &Server, mut command: Command) {
        command.timeout = Some(Duration::from_secs(60));
        self.nexus.submit(Instant::from_nanos(server.now), command).unwrap();
    }

    /// The status with which the target refused the login.
    pub(crate) fn refusal(&self) -> Option<u16> {
        match &self.end {
            Some(NexusEnd::Failed(AttemptError::Login { failure, .. })) => Some(failure.status?.0),
            _ => None,
        }
    }

    /// Runs a command to its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, server: &mut Server, command: Command) -> Answer {
        self.submit(server, command);
        self.run(server);
        match self.done.pop() {
            Some(Outcome::Answered(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }
}
