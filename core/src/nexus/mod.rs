//! An I_T nexus that outlives its sessions: who dials, when again, and what becomes of commands meanwhile.
//!
//! A [`Nexus`] is the initiator's half of everything between a program and one target: it asks for transports
//! ([`NexusEvent::Dial`]), logs in on them, follows redirects, and when a connection is lost waits, dials and logs in again
//! with the same ISID, so that the new session takes the place of the old one (RFC 7143 section 6.3.5). Commands that
//! had no answer are sent again where that is safe. There is no I/O in it.
//!
//! *The contract:* after any call, drain [`poll_event`](Nexus::poll_event), [`transmit`](Nexus::transmit), and re-arm
//! a timer for [`poll_timeout`](Nexus::poll_timeout). The order does not matter, and too often is harmless. That a
//! transmitter was emptied counts as a call: a session that waited for room goes on with the next `transmit` and
//! [`receive`](Nexus::receive).
//!
//! # What is guaranteed
//!
//! - *Every command ends*, with one [`Event::Completed`](crate::initiator::Event::Completed): it is answered, its time
//!   ([`Command::timeout`](crate::initiator::Command::timeout)) is over, or the nexus ends. Time runs while there is
//!   no connection, too. A command without a time, on a nexus that never gives up, waits for as long as it takes.
//! - *Commands are repeated only where that is safe.* When a connection is lost, those that were never sent wait for the
//!   next one. Those that were sent are sent again, ahead of them and from the beginning, if they are
//!   [`Repeat::Safe`](crate::initiator::Repeat::Safe); the target has ended them with the old session by then, so the
//!   first attempt cannot overtake the second. The others end with
//!   [`Outcome::Unknown`](crate::initiator::Outcome::Unknown): they were carried out, or not, or in part.
//!   [`Outcome::NotSent`](crate::initiator::Outcome::NotSent) says that a command was certainly not. Writes that were sent
//!   end so, too, when the next login arrives at another target or portal group (a redirect, say): that does not end
//!   what the old session had under way.
//! - *Commands that are outstanding together have no order.* A repeated one may be carried out a second time after others
//!   that were sent with it, and so may one that met a unit attention or a busy target. Submit what must come
//!   second when the first has been answered.
//! - *A flush speaks of what the target still has.* Writes that were acknowledged, and not flushed, before a connection
//!   was lost may be gone with the cache of a target that restarted. A flush that succeeds after that says so:
//!   [`FlushCoverage::OnlySinceReconnect`](crate::initiator::FlushCoverage::OnlySinceReconnect). With
//!   [`All`](crate::initiator::FlushCoverage::All), every write that was acknowledged before it was sent is on stable
//!   storage, but for those about which an earlier flush has said otherwise: it is said once.
//! - *The logical units tell that the nexus was lost*, with a unit attention; the session takes it, repeats the command
//!   that met it where that is allowed, and tells [`Event::UnitAttention`](crate::initiator::Event::UnitAttention).
//!   Reservations that are not persistent are gone.
//! - *What cannot get better ends the nexus*: proofs or names that the target refuses, a target that was removed. What may
//!   pass is tried again as [`ReconnectPolicy`] says. A redirect leads elsewhere for one attempt; a permanent one for
//!   good, once a login there has succeeded.
//!
//! # The whole loop
//!
//! Reads the first block of a disk, on a blocking socket, with nothing but this crate:
//!
//! ```no_run
//! use std::io::{ErrorKind, Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//! use bytes::Buf;
//! use iscsicore::Instant;
//! use iscsicore::initiator::{Command, Event, Outcome};
//! use iscsicore::link::{Receiver, Transmitter, Want};
//! use iscsicore::nexus::{Nexus, NexusConfig, NexusEnd, NexusEvent};
//! use iscsicore::TransportError;
//!
//! const LONG: Duration = Duration::from_secs(3600);
//!
//! struct Link {
//!     stream: TcpStream,
//!     rx: Receiver,
//!     tx: Transmitter,
//! }
//!
//! impl Link {
//!     /// Writes all that there is, then reads once, for `patience` at most.
//!     fn exchange(&mut self, patience: Duration) -> Result<(), TransportError> {
//!         while self.tx.has_remaining() {
//!             let len = self.stream.write(self.tx.chunk()).map_err(|_| TransportError::Failed)?;
//!             self.tx.advance(len);
//!         }
//!         // A command whose `Sink` is `Slots` would be read to its place here; none is used.
//!         let Want::Read { staging, .. } = self.rx.want() else { return Ok(()) };
//!         // Zero would mean to wait for ever.
//!         let patience = patience.max(Duration::from_millis(1));
//!         self.stream.set_read_timeout(Some(patience)).map_err(|_| TransportError::Failed)?;
//!         match self.stream.read(staging) {
//!             Ok(0) => Err(TransportError::Closed),
//!             Ok(len) => self.rx.advance(&[], len).map_err(|_| TransportError::Failed),
//!             Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
//!             Err(_) => Err(TransportError::Failed),
//!         }
//!     }
//! }
//!
//! fn run(
//!     config: NexusConfig,
//!     read_a_block: Command,
//!     clock: impl Fn() -> Instant,
//!     seed: [u8; 32],
//! ) -> Result<Option<Outcome>, Box<dyn std::error::Error>> {
//!     let limits = config.limits.clone();
//!     let mut nexus = Nexus::new(config, seed, clock());
//!     // Connected or not: it waits.
//!     nexus.submit(clock(), read_a_block)?;
//!     let (mut link, mut outcome): (Option<Link>, _) = (None, None);
//!     loop {
//!         while let Some(event) = nexus.poll_event() {
//!             match event {
//!                 NexusEvent::Dial { address, .. } => match TcpStream::connect(&address) {
//!                     Ok(stream) => {
//!                         let (rx, tx) = (Receiver::new(&limits), Transmitter::new());
//!                         link = Some(Link { stream, rx, tx });
//!                         nexus.connected(clock());
//!                     }
//!                     Err(error) => nexus.dial_failed(clock(), error.to_string()),
//!                 },
//!                 NexusEvent::HangUp => link = None,
//!                 NexusEvent::Session(Event::Completed { outcome: how, .. }) => {
//!                     outcome = Some(how);
//!                     nexus.logout(clock());
//!                 }
//!                 NexusEvent::Ended(NexusEnd::Failed(why)) => return Err(why.into()),
//!                 NexusEvent::Ended(_) => return Ok(outcome),
//!                 _ => {}
//!             }
//!         }
//!         let patience = nexus.poll_timeout().map_or(LONG, |at| at.saturating_since(clock()).min(LONG));
//!         match &mut link {
//!             Some(link) => {
//!                 nexus.transmit(clock(), &mut link.tx);
//!                 // The caller may lose a `PeerError`: `NexusEvent::Down` tells it, too.
//!                 match link.exchange(patience) {
//!                     Ok(()) => drop(nexus.receive(clock(), &mut link.rx)),
//!                     Err(why) => nexus.lost(clock(), why),
//!                 }
//!             }
//!             None => std::thread::sleep(patience),
//!         }
//!         nexus.handle_timeout(clock());
//!     }
//! }
//! ```

mod attempt;
mod backoff;
mod event;
mod phase;
mod policy;
mod requests;
mod route;

use std::collections::VecDeque;

use crate::initiator::Initiator;
use crate::link::{Receiver, Transmitter};
use crate::login::Entropy;
use crate::{Instant, PeerError, TransportError};

pub use event::{AttemptError, Interruption, NexusEnd, NexusEvent};
pub use policy::{NexusConfig, ReconnectPolicy};

use backoff::Backoff;
use phase::Phase;
use route::{Place, Route};

/// The initiator's half of an I_T nexus. See the [module](self).
///
/// There is one transport at a time, or one dial. Calls about a transport that was hung up, or is about to be,
/// do nothing; nor does any call once [`NexusEvent::Ended`] is due. So a caller needs not know whether what it has
/// to tell is still of interest, as long as it takes events in their order and keeps the answers of dials that it
/// was told to stop.
#[derive(Debug)]
pub struct Nexus {
    config: NexusConfig,
    initiator: Initiator,
    entropy: Entropy,
    events: VecDeque<NexusEvent>,
    /// How many of `events` are `Dial`: while there are any, no answer can be meant for the last one.
    dials_untold: u32,
    phase: Phase,
    /// Where attempts begin: as configured, or where permanent redirects have led.
    home: Place,
    /// Of the attempt that is under way, or of the last one.
    route: Route,
    /// Whether the target has shown that it takes CHAP algorithm 7 for another.
    without_sha256: bool,
    backoff: Backoff,
    /// Since there was a connection, or since the beginning.
    attempts: u32,
    last_failure: Option<AttemptError>,
    /// Since when there has been no connection.
    down_since: Instant,
    been_up: bool,
    /// Whether a command was answered on the connection that is up, or was.
    progress: bool,
    /// Whether the connection is dropped because the caller wants another one.
    forced: bool,
}

impl Nexus {
    /// Begins; the first event asks to dial. `seed` must be unpredictable and of no other use.
    pub fn new(config: NexusConfig, seed: [u8; 32], now: Instant) -> Self {
        let home = Place { address: config.address.clone(), target: config.login.target.clone() };
        let mut nexus = Nexus {
            initiator: Initiator::new(config.limits.clone()),
            config,
            entropy: Entropy::new(seed),
            events: VecDeque::new(),
            dials_untold: 0,
            phase: Phase::Waiting { until: now },
            route: Route::from(home.clone(), false),
            home,
            without_sha256: false,
            backoff: Backoff::default(),
            attempts: 0,
            last_failure: None,
            down_since: now,
            been_up: false,
            progress: false,
            forced: false,
        };
        nexus.attempt_at(now, now);
        nexus
    }

    /// A transport is up. It begins with a new receiver and transmitter.
    pub fn connected(&mut self, now: Instant) {
        if self.dials_untold == 0 {
            self.log_in(now);
        }
    }

    /// No transport could be opened; `why` in words for people.
    pub fn dial_failed(&mut self, now: Instant, why: String) {
        if self.dials_untold == 0 && matches!(self.phase, Phase::Dialing { .. }) {
            let address = self.address().to_owned();
            self.attempt_failed(now, AttemptError::Dial { address, why });
        }
    }

    /// Takes the PDUs that `rx` has whole. What was wrong with them is told as an event, too.
    ///
    /// # Errors
    /// [`PeerError`] when the target broke the protocol: [`NexusEvent::HangUp`] follows.
    pub fn receive(&mut self, now: Instant, rx: &mut Receiver) -> Result<(), PeerError> {
        self.receive_login(now, rx)?;
        let Some(conn) = self.phase.conn() else { return Ok(()) };
        let received = self.initiator.receive(now, conn, rx);
        self.settle(now);
        received
    }

    /// Moves what is to be sent into `tx`.
    pub fn transmit(&mut self, now: Instant, tx: &mut Transmitter) {
        match &mut self.phase {
            Phase::LoggingIn { outgoing, .. } => outgoing.transmit(now, tx),
            Phase::Up { conn, .. } | Phase::LoggingOut { conn } => {
                self.initiator.transmit(now, *conn, tx);
                self.settle(now);
            }
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Ended => {}
        }
    }

    /// Tells that the transport is gone.
    pub fn lost(&mut self, now: Instant, why: TransportError) {
        if let Some(conn) = self.phase.conn() {
            self.initiator.lost(now, conn, why);
            self.settle(now);
        } else if matches!(self.phase, Phase::LoggingIn { .. }) {
            self.hang_up();
            let address = self.address().to_owned();
            self.attempt_failed(now, AttemptError::Lost { address, why });
        }
    }

    /// What the caller has to act on next.
    pub fn poll_event(&mut self) -> Option<NexusEvent> {
        let event = self.events.pop_front();
        match &event {
            Some(NexusEvent::Dial { .. }) => self.dials_untold -= 1,
            Some(NexusEvent::Session(event)) => self.initiator.release(event),
            _ => {}
        }
        event
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. Any other call may change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let give_up = self.gives_up_at().filter(|_| self.phase.is_connecting());
        [self.phase.timeout(), give_up, self.initiator.poll_timeout()].into_iter().flatten().min()
    }

    /// Acts on the time that has passed; harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.initiator.handle_timeout(now);
        self.settle(now);
        self.phase_timeout(now);
    }

    /// Drops the connection, if there is one, and dials again at once: neither Time2Wait nor a pause is waited for, an
    /// attempt that is under way starts anew, and pauses start from the shortest again. Nothing happens during a
    /// logout.
    pub fn reconnect(&mut self, now: Instant) {
        match self.phase {
            Phase::Up { .. } => {
                self.forced = true;
                self.initiator.drop_connection(now);
                self.settle(now);
            }
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::LoggingIn { .. } => {
                if self.phase.has_transport() {
                    self.hang_up();
                }
                self.backoff.reset();
                self.attempts = 0;
                self.attempt_at(now, now);
            }
            Phase::LoggingOut { .. } | Phase::Ended => {}
        }
    }

    /// Waits for the commands that were taken, logs out, ends. Without a connection it ends at once, and so it does
    /// when the connection is lost meanwhile: commands that still wait end with it.
    pub fn logout(&mut self, now: Instant) {
        match self.phase {
            Phase::Up { conn, .. } => {
                self.phase = Phase::LoggingOut { conn };
                self.initiator.logout(now);
                self.settle(now);
            }
            Phase::LoggingOut { .. } | Phase::Ended => {}
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::LoggingIn { .. } => {
                self.finish(now, NexusEnd::Wanted);
            }
        }
    }

    /// Ends now, without a word to the target; commands without an answer end with it.
    pub fn end(&mut self, now: Instant) {
        self.finish(now, NexusEnd::Wanted);
    }
}
