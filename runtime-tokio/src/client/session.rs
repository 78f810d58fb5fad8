//! What concerns the session as a whole.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use iscsicore::initiator::Cause;
use iscsicore::login::Parameters;
use iscsicore::nexus::{Nexus, NexusConfig, NexusEnd};
use iscsicore::wire::{Isid, TaskManagementFunction, TaskManagementResult, Tsih};
use tokio::sync::oneshot;

use super::driver::Driver;
use super::error::ConnectError;
use super::state::{Reply, Shared, Status};
use super::unit::Unit;
use super::{Client, ClientError, Events, Result, Stats};

/// The handles of a session hold this: when the last one goes, the session is logged out.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    /// What the first login negotiated.
    parameters: Parameters,
    /// Whether units are asked what they are.
    pub(super) probe: bool,
}

/// A session that is not up yet, or is for discovery. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Opening(Option<Arc<Shared>>);

impl Opening {
    /// Begins to connect. `target` is for errors.
    pub(super) fn new(config: NexusConfig, target: &str, command_timeout: Option<Duration>) -> Result<Self> {
        let seed = iscsicore_runtime::seed().map_err(|error| {
            ClientError::Configuration(format!("the system gives no random numbers: {error}"))
        })?;
        let (address, limits) = (config.address.clone(), config.limits.clone());
        let isid = config.login.isid;
        let nexus = Nexus::new(config, seed, crate::clock::now());
        let shared = Arc::new(Shared::new(nexus, address, target.into(), isid, command_timeout));
        tokio::spawn(Driver::new(Arc::clone(&shared), limits));
        Ok(Opening(Some(shared)))
    }

    /// Waits until the session is up.
    pub(super) async fn up(&self) -> Result<&Arc<Shared>> {
        let Some(shared) = &self.0 else { return Err(ClientError::misuse("the session was handed over")) };
        let mut status = shared.status.subscribe();
        // The sender lives in `shared`.
        let _ = status.wait_for(|s| !matches!(s, Status::Beginning)).await;
        match &*status.borrow() {
            Status::Over(Some(NexusEnd::Failed(why))) => {
                let target = Arc::clone(&shared.target);
                Err(ClientError::Connect(Box::new(ConnectError { target, why: why.clone() })))
            }
            Status::Over(_) => Err(shared.ended()),
            Status::Up | Status::Beginning => Ok(shared),
        }
    }

    /// Hands the session over to handles.
    pub(super) async fn session(mut self, probe: bool) -> Result<Arc<Session>> {
        let shared = self.up().await?;
        let parameters = shared.lock().nexus.parameters().cloned();
        let parameters = parameters.ok_or_else(|| shared.ended())?;
        match self.0.take() {
            Some(shared) => Ok(Arc::new(Session { shared, parameters, probe })),
            None => Err(ClientError::misuse("the session was handed over")),
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.act(Nexus::logout);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.act(Nexus::logout);
    }
}

impl Session {
    /// What is shared by handles on this logical unit.
    pub(super) async fn unit(&self, lun: u16) -> Result<Arc<Unit>> {
        let units = || self.shared.units.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has become another disk stays with the handles that it has.
        let known = |units: &[Arc<Unit>]| {
            units.iter().find(|u| u.lun == lun && u.standing.check().is_ok()).map(Arc::clone)
        };
        if let Some(unit) = known(&units()) {
            return Ok(unit);
        }
        let unit = Unit::new(lun).ok_or_else(|| {
            ClientError::misuse(format!("LUN {lun} is more than one level can carry (0 to 16383)"))
        })?;
        if self.probe {
            unit.probe(&self.shared).await?;
        }
        let mut units = units();
        // Somebody else may have asked meanwhile.
        if let Some(unit) = known(&units) {
            return Ok(unit);
        }
        units.retain(|u| u.lun != lun);
        let unit = Arc::new(unit);
        units.push(Arc::clone(&unit));
        Ok(unit)
    }
}

impl Shared {
    /// Waits for the answer to something that is no command.
    pub(super) async fn reply(
        &self,
        what: &'static str,
        receiver: oneshot::Receiver<Reply>,
    ) -> Result<Reply> {
        let reply = match self.command_timeout {
            None => receiver.await,
            Some(limit) => match tokio::time::timeout(limit, receiver).await {
                Ok(reply) => reply,
                Err(_) => return Err(self.unknown(self.place(None, what.into()), Cause::TimedOut)),
            },
        };
        // The sender goes only when the session does.
        reply.map_err(|_| self.ended())
    }

    /// What is said of a request that needs a connection where there is none.
    pub(super) fn unconnected(&self, what: &'static str) -> ClientError {
        if matches!(*self.status.borrow(), Status::Over(_)) {
            return self.ended();
        }
        self.not_sent(self.place(None, what.into()), Cause::ConnectionLost)
    }
}

impl Client {
    /// What the last login negotiated.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        let now = self.session.shared.lock().nexus.parameters().cloned();
        now.unwrap_or_else(|| self.session.parameters.clone())
    }

    /// The name of the target.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.session.shared.target
    }

    /// Where the target is, `host:port`: as configured, or where redirects have led.
    #[must_use]
    pub fn target_address(&self) -> String {
        self.session.shared.lock().address.clone()
    }

    /// The initiator's part of the session's name.
    #[must_use]
    pub fn isid(&self) -> Isid {
        self.session.shared.isid
    }

    /// The target's handle of the session, as the last login brought it.
    #[must_use]
    pub fn tsih(&self) -> Option<Tsih> {
        self.session.shared.lock().nexus.tsih()
    }

    /// The portal group that the last login came in by, if the target told.
    #[must_use]
    pub fn portal_group_tag(&self) -> Option<u16> {
        self.session.shared.lock().nexus.portal_group_tag()
    }

    /// The target's name for people, if it told one.
    #[must_use]
    pub fn target_alias(&self) -> Option<String> {
        self.session.shared.lock().nexus.target_alias().map(str::to_owned)
    }

    /// Whether the session is up now. Commands may be sent either way.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.session.shared.lock().nexus.is_up()
    }

    /// What happens to the session from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        let shared = &self.session.shared;
        let receiver = shared.events.subscribe();
        // After the subscription: an end between the two is seen by either.
        let over = matches!(*shared.status.borrow(), Status::Over(_));
        Events::new(receiver, over)
    }

    /// Counts over all handles of the session.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.session.shared.stats()
    }

    /// Sends `data` and waits for it to come back, past all commands: the time that takes.
    ///
    /// As much of `data` is sent as one PDU holds.
    ///
    /// # Errors
    /// [`ClientError::NotSent`] when there is no connection now.
    pub async fn ping(&self, data: Bytes) -> Result<Duration> {
        const WHAT: &str = "NOP-Out";
        let shared = &self.session.shared;
        let began = Instant::now();
        let asked = shared.request(|nexus, now| nexus.ping(now, data.clone()));
        let reply = shared.reply(WHAT, asked.map_err(|_| shared.unconnected(WHAT))?).await?;
        let took = began.elapsed();
        match reply {
            Reply::Pong(Ok(back)) if data.starts_with(&back) => Ok(took),
            Reply::Pong(Err(cause)) => Err(shared.unknown(shared.place(None, WHAT.into()), cause)),
            _ => Err(ClientError::Answer {
                place: shared.place(None, WHAT.into()),
                problem: "other bytes came back".to_owned(),
            }),
        }
    }

    /// Resets the logical unit: LOGICAL UNIT RESET. All commands on it end, those of other initiators as well.
    ///
    /// # Errors
    /// [`ClientError::Answer`] when the target refuses, [`ClientError::NotSent`] when there is no connection now.
    pub async fn reset_lun(&self) -> Result<()> {
        const WHAT: &str = "LOGICAL UNIT RESET";
        let shared = &self.session.shared;
        self.unit.standing.check()?;
        let function = TaskManagementFunction::LogicalUnitReset;
        let asked = shared.request(|nexus, now| nexus.task_management(now, function, self.unit.wire));
        let reply = shared.reply(WHAT, asked.map_err(|_| shared.unconnected(WHAT))?).await?;
        match reply {
            Reply::Management(Ok(TaskManagementResult::Complete)) => Ok(()),
            Reply::Management(Err(cause)) => {
                Err(shared.unknown(shared.place(Some(self.unit.wire), WHAT.into()), cause))
            }
            refused => Err(ClientError::Answer {
                place: shared.place(Some(self.unit.wire), WHAT.into()),
                problem: match refused {
                    Reply::Management(Ok(result)) => format!("the target refuses it: {result}"),
                    _ => "it was taken for another request".to_owned(),
                },
            }),
        }
    }

    /// Drops the connection, if there is one, and dials again at once: pauses start from the shortest again.
    pub fn reconnect(&self) {
        self.session.shared.act(Nexus::reconnect);
    }

    /// Logs the session out, for all its handles: takes no more commands, waits for those under way, and says goodbye.
    ///
    /// # Errors
    /// [`ClientError::Ended`] when the session ended in another way.
    pub async fn logout(self) -> Result<()> {
        let shared = &self.session.shared;
        let mut status = shared.status.subscribe();
        shared.act(Nexus::logout);
        // The sender lives in `shared`.
        let _ = status.wait_for(|s| matches!(s, Status::Over(_))).await;
        match &*status.borrow() {
            Status::Over(Some(NexusEnd::LoggedOut | NexusEnd::Wanted)) => Ok(()),
            _ => Err(shared.ended()),
        }
    }
}
