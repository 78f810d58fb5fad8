//! What a caller asks of the session behind a [`Nexus`], and may know of it.

use bytes::Bytes;

use super::Nexus;
use super::phase::Phase;
#[cfg(doc)]
use crate::initiator::Initiator;
use crate::initiator::{Command, Refused};
use crate::link::TaskId;
use crate::login::Parameters;
use crate::session::SendTargets;
use crate::wire::{Lun, TaskManagementFunction, Tsih};
use crate::{Instant, Misuse};

impl Nexus {
    /// Takes a command, connected or not; see [`Initiator::submit`].
    ///
    /// # Errors
    /// [`Refused`] with the command.
    pub fn submit(&mut self, now: Instant, command: Command) -> Result<TaskId, Refused> {
        let submitted = self.initiator.submit(now, command);
        self.settle(now);
        submitted
    }

    /// See [`Initiator::abort`].
    ///
    /// # Errors
    /// [`Misuse`] when there is no such command.
    pub fn abort(&mut self, now: Instant, task: TaskId) -> Result<(), Misuse> {
        let aborted = self.initiator.abort(now, task);
        self.settle(now);
        aborted
    }

    /// See [`Initiator::cancel`].
    pub fn cancel(&mut self, now: Instant, task: TaskId) {
        self.initiator.cancel(now, task);
        self.settle(now);
    }

    /// See [`Initiator::task_management`].
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection.
    pub fn task_management(
        &mut self,
        now: Instant,
        function: TaskManagementFunction,
        lun: Lun,
    ) -> Result<TaskId, Misuse> {
        let request = self.initiator.task_management(now, function, lun);
        self.settle(now);
        request
    }

    /// See [`Initiator::send_targets`].
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection, or a question is open.
    pub fn send_targets(&mut self, now: Instant, which: SendTargets) -> Result<TaskId, Misuse> {
        let request = self.initiator.send_targets(now, which);
        self.settle(now);
        request
    }

    /// See [`Initiator::ping`].
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection.
    pub fn ping(&mut self, now: Instant, data: Bytes) -> Result<TaskId, Misuse> {
        let request = self.initiator.ping(now, data);
        self.settle(now);
        request
    }

    /// What the last login negotiated; `None` before the first.
    pub fn parameters(&self) -> Option<&Parameters> {
        self.initiator.parameters()
    }

    /// The handle of the session, as the target chose it at the last login.
    pub fn tsih(&self) -> Option<Tsih> {
        self.initiator.tsih()
    }

    /// The tag of the portal group that the last login came in by, as far as it was told.
    pub fn portal_group_tag(&self) -> Option<u16> {
        self.initiator.portal_group_tag()
    }

    /// TargetAlias, as told in the last login.
    pub fn target_alias(&self) -> Option<&str> {
        self.initiator.target_alias()
    }

    /// Where the connection leads, `host:port`; without one, where the attempt is, or the last one was.
    pub fn address(&self) -> &str {
        &self.route.here().address
    }

    /// Whether a session is up, and takes commands to be sent at once.
    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up { .. })
    }

    /// Commands that could be sent at once: see [`Initiator::window`].
    pub fn window(&self) -> u32 {
        self.initiator.window()
    }

    /// Commands and other requests that have not ended.
    pub fn outstanding(&self) -> usize {
        self.initiator.outstanding()
    }
}
