//! How a connection comes to be, is lost, and comes back: the transitions of a [`Nexus`].

use core::mem;
use core::time::Duration;

use super::backoff::Held;
use super::event::{AttemptError, NexusEnd, NexusEvent};
use super::phase::Phase;
use super::route::Route;
use super::{Interruption, Nexus};
use crate::initiator::{DownReason, Event, LoginFailure, Outcome, Outgoing, OutgoingEvent, Redirect};
use crate::link::Receiver;
use crate::login::ChapAlgorithm;
use crate::session::ConnId;
use crate::wire::LoginStatus;
use crate::{Instant, PeerError};

impl Nexus {
    /// Makes an attempt when it is time.
    pub(super) fn attempt_at(&mut self, now: Instant, at: Instant) {
        if at > now {
            self.phase = Phase::Waiting { until: at };
            return;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.route = Route::from(self.home.clone(), self.without_sha256);
        self.dial(now + self.config.reconnect.attempt_timeout);
    }

    fn dial(&mut self, deadline: Instant) {
        let address = self.address().to_owned();
        self.events.push_back(NexusEvent::Dial { address, attempt: self.attempts });
        self.dials_untold += 1;
        self.phase = Phase::Dialing { deadline };
    }

    /// Has the caller drop the transport, or stop dialing. A dial that it has not been told of is taken back.
    pub(super) fn hang_up(&mut self) {
        if let Some(NexusEvent::Dial { .. }) = self.events.back() {
            self.events.pop_back();
            self.dials_untold -= 1;
        } else {
            self.events.push_back(NexusEvent::HangUp);
        }
    }

    /// Begins the login on the transport that was dialed for. Every login has a seed of its own.
    pub(super) fn log_in(&mut self, now: Instant) {
        let Phase::Dialing { deadline } = self.phase else { return };
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        let login = self.route.login(&self.config.login);
        let outgoing = Box::new(Outgoing::new(login, self.config.limits.clone(), seed, now));
        self.phase = Phase::LoggingIn { outgoing, deadline };
        self.login_progress(now);
    }

    pub(super) fn receive_login(&mut self, now: Instant, rx: &mut Receiver) -> Result<(), PeerError> {
        let Phase::LoggingIn { outgoing, .. } = &mut self.phase else { return Ok(()) };
        let received = outgoing.receive(now, rx);
        self.login_progress(now);
        if let (Err(error), Phase::LoggingIn { .. }) = (&received, &self.phase) {
            // Nothing else would end the attempt before its time is over.
            self.login_failed(now, own_failure(error.to_string(), true));
        }
        received
    }

    fn login_progress(&mut self, now: Instant) {
        let Phase::LoggingIn { outgoing, .. } = &mut self.phase else { return };
        match outgoing.poll_event() {
            None => {}
            Some(OutgoingEvent::Ready) => self.logged_in(now),
            Some(OutgoingEvent::Redirected(redirect)) => self.redirected(now, redirect),
            Some(OutgoingEvent::Failed(failure)) => self.login_failed(now, failure),
        }
    }

    fn logged_in(&mut self, now: Instant) {
        let phase = mem::replace(&mut self.phase, Phase::Waiting { until: now });
        let Phase::LoggingIn { outgoing, .. } = phase else { return };
        let conn = match self.initiator.attach(*outgoing, now) {
            Ok(conn) => conn,
            Err(misuse) => {
                self.hang_up();
                let failure = own_failure(misuse.to_string(), false);
                let address = self.address().to_owned();
                return self.attempt_failed(now, AttemptError::Login { address, failure });
            }
        };
        self.phase = Phase::Up { conn, since: now };
        self.progress = false;
        self.home = self.route.home().clone();
        self.without_sha256 = self.route.without_sha256;
        self.attempts = 0;
        self.last_failure = None;
        let again = mem::replace(&mut self.been_up, true);
        self.events.push_back(NexusEvent::Up { again, address: self.address().to_owned() });
        self.settle(now);
    }

    /// The attempt goes on elsewhere, and in the same time.
    fn redirected(&mut self, now: Instant, redirect: Redirect) {
        let Phase::LoggingIn { deadline, .. } = self.phase else { return };
        self.hang_up();
        match self.route.follow(redirect.clone()) {
            Ok(()) => {
                self.events.push_back(NexusEvent::Redirected(redirect));
                self.dial(deadline);
            }
            Err(error) => self.attempt_failed(now, error),
        }
    }

    fn login_failed(&mut self, now: Instant, failure: LoginFailure) {
        let Phase::LoggingIn { deadline, .. } = self.phase else { return };
        self.hang_up();
        if self.sha256_may_be_to_blame(&failure) {
            self.route.without_sha256 = true;
            return self.dial(deadline);
        }
        let address = self.address().to_owned();
        self.attempt_failed(now, AttemptError::Login { address, failure });
    }

    /// Some targets answer CHAP_A=7 and compute SHA-1 (see docs/deviations.md): they refuse the right secret, so it is
    /// proved once more by another algorithm.
    fn sha256_may_be_to_blame(&self, failure: &LoginFailure) -> bool {
        let credentials = self.config.login.credentials.as_ref();
        let refusals = [LoginStatus::AUTHENTICATION_FAILURE, LoginStatus::INITIATOR_ERROR];
        failure.status.is_some_and(|status| refusals.contains(&status))
            && failure.algorithm == Some(ChapAlgorithm::Sha256)
            && !self.route.without_sha256
            && credentials.is_some_and(|c| c.algorithms.iter().any(|a| *a != ChapAlgorithm::Sha256))
    }

    /// The transport, where there was one, has been hung up.
    pub(super) fn attempt_failed(&mut self, now: Instant, why: AttemptError) {
        let policy = &self.config.reconnect;
        let may_pass = match &why {
            AttemptError::Login { failure, .. } => policy.may_pass(failure, self.been_up),
            _ => true,
        };
        let persists = if self.been_up { policy.enabled } else { policy.persist_at_first };
        self.phase = Phase::Waiting { until: now };
        if !(may_pass && persists) {
            return self.finish(now, NexusEnd::Failed(why));
        }
        let retry_at = now + self.backoff.after_failure(policy, &mut self.entropy);
        self.last_failure = Some(why.clone());
        self.events.push_back(NexusEvent::AttemptFailed { why, retry_at });
        self.attempt_at(now, retry_at);
    }

    /// When time without a connection is over.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.config.reconnect.give_up_after.map(|time| self.down_since + time)
    }

    pub(super) fn phase_timeout(&mut self, now: Instant) {
        if self.phase.is_connecting() && self.gives_up_at().is_some_and(|at| at <= now) {
            return self.give_up(now);
        }
        match &mut self.phase {
            Phase::Waiting { until } if *until <= now => self.attempt_at(now, now),
            Phase::Dialing { deadline } if *deadline <= now => self.attempt_timed_out(now),
            Phase::LoggingIn { outgoing, deadline } => {
                let over = *deadline <= now;
                outgoing.handle_timeout(now);
                self.login_progress(now);
                if over && matches!(self.phase, Phase::LoggingIn { .. }) {
                    self.attempt_timed_out(now);
                }
            }
            _ => {}
        }
    }

    fn attempt_timed_out(&mut self, now: Instant) {
        self.hang_up();
        let limit = self.config.reconnect.attempt_timeout;
        let address = self.address().to_owned();
        self.attempt_failed(now, AttemptError::TimedOut { address, limit });
    }

    fn give_up(&mut self, now: Instant) {
        let limit = self.config.reconnect.give_up_after.unwrap_or(Duration::ZERO);
        let timed_out = AttemptError::TimedOut { address: self.address().to_owned(), limit };
        let why = self.last_failure.take().unwrap_or(timed_out);
        self.finish(now, NexusEnd::Failed(why));
    }

    /// Acts on what the session tells, and passes on the rest.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(event) = self.initiator.next_event() {
            match event {
                _ if matches!(self.phase, Phase::Ended) => {}
                Event::Down { conn, why, time2wait, .. } => self.down(now, conn, why, time2wait),
                Event::Ended => self.finish(now, NexusEnd::LoggedOut),
                other => {
                    let answered = |outcome: &Outcome| matches!(outcome, Outcome::Answered(_));
                    self.progress |= matches!(&other, Event::Completed { outcome, .. } if answered(outcome));
                    self.events.push_back(NexusEvent::Session(other));
                }
            }
        }
    }

    /// A connection that was up is gone.
    fn down(&mut self, now: Instant, conn: ConnId, why: Interruption, time2wait: u16) {
        if self.phase.conn() != Some(conn) {
            return;
        }
        self.hang_up();
        let forced = mem::take(&mut self.forced);
        let retry_at = match mem::replace(&mut self.phase, Phase::Waiting { until: now }) {
            Phase::Up { since, .. } if forced || self.config.reconnect.enabled => {
                Some(self.after_loss(now, since, forced, time2wait))
            }
            _ => None,
        };
        self.events.push_back(NexusEvent::Down { why: why.clone(), retry_at });
        self.down_since = now;
        match (retry_at, why) {
            (Some(at), _) => self.attempt_at(now, at),
            (None, DownReason::LoggedOut) => self.finish(now, NexusEnd::LoggedOut),
            (None, why) => self.finish(now, NexusEnd::Lost(why)),
        }
    }

    /// When to dial again.
    fn after_loss(&mut self, now: Instant, since: Instant, forced: bool, time2wait: u16) -> Instant {
        if forced {
            self.backoff.reset();
            return now;
        }
        let held = Held { time: now.saturating_since(since), progress: self.progress };
        let pause = self.backoff.after_loss(held, &self.config.reconnect, &mut self.entropy);
        now + pause.max(Duration::from_secs(time2wait.into()))
    }

    /// Ends every command, then the nexus.
    pub(super) fn finish(&mut self, now: Instant, end: NexusEnd) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        if self.phase.has_transport() {
            self.hang_up();
        }
        self.phase = Phase::Ended;
        self.initiator.end(now);
        while let Some(event) = self.initiator.next_event() {
            if !matches!(event, Event::Down { .. } | Event::Ended) {
                self.events.push_back(NexusEvent::Session(event));
            }
        }
        self.events.push_back(NexusEvent::Ended(end));
    }
}

/// A login that this end gave up.
fn own_failure(why: String, passing: bool) -> LoginFailure {
    let remedy = "nothing is known to help";
    LoginFailure { status: None, why, remedy, passing, algorithm: None }
}
