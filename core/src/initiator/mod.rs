//! The initiator role: one session with a target, RFC 7143.
//!
//! A transport connection is an [`Outgoing`] until its login is complete; then it is attached to an [`Initiator`], which
//! keeps its commands when a connection is lost and sends them again on the next one. Who dials, when, and when to give up
//! is decided by [`nexus::Nexus`](crate::nexus::Nexus), which owns both.

pub mod commands;

mod command;
mod event;
mod outgoing;

use bytes::Bytes;

use crate::link::{Receiver, TaskId, Transmitter};
use crate::login::Parameters;
use crate::session::{ConnId, SendTargets};
use crate::wire::{Lun, TaskManagementFunction, Tsih};
use crate::{Instant, Limits, Misuse, PeerError, TransportError};

pub use command::{Answer, Cause, Command, FlushCoverage, Outcome, Repeat, Sink, Transient};
pub use event::{DownReason, Event};
pub use outgoing::{Credentials, LoginFailure, LoginRequestConfig, Outgoing, OutgoingEvent, Redirect};

/// A command that was not taken, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// As it was handed in.
    pub command: Box<Command>,
    /// Why.
    pub why: RefusedWhy,
}

/// Why a command was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedWhy {
    /// As many commands as `Limits::queue_depth` allows are outstanding; [`Event::RoomAgain`] says when to try again.
    #[error("as many commands as the queue takes are outstanding")]
    QueueFull,
    /// The session has ended, is being logged out, or is a discovery session.
    #[error("the session takes no commands: it has ended, is being logged out, or is a discovery session")]
    NotTaken,
    /// Something in the command cannot be.
    #[error("invalid command: {0}")]
    Invalid(&'static str),
}

/// A session with one target, over one connection after another.
#[derive(Debug)]
pub struct Initiator {}

impl Initiator {
    /// A session without a connection. Commands may be submitted already.
    pub fn new(_limits: Limits) -> Self {
        todo!()
    }

    /// Takes a connection whose login is complete. Commands that wait, or that the loss of the last connection left
    /// unanswered and that may be repeated, are sent on it in their order.
    ///
    /// # Errors
    /// [`Misuse`] when the login is not complete, or a connection is up, or the session has ended.
    pub fn attach(&mut self, _outgoing: Outgoing, _now: Instant) -> Result<ConnId, Misuse> {
        todo!()
    }

    /// What the last login negotiated; `None` before the first.
    pub fn parameters(&self) -> Option<&Parameters> {
        todo!()
    }

    /// The handle of the session, as the target chose it at the last login.
    pub fn tsih(&self) -> Option<Tsih> {
        todo!()
    }

    /// Commands that could be sent at once: the room in the target's command window. 0 without a connection.
    pub fn window(&self) -> u32 {
        todo!()
    }

    /// Commands and other requests that have not ended.
    pub fn outstanding(&self) -> usize {
        todo!()
    }

    /// Takes a command. It leaves when its turn comes and the target's command window is open;
    /// [`Event::Completed`] tells its end.
    ///
    /// # Errors
    /// [`Refused`] with the command.
    pub fn submit(&mut self, _now: Instant, _command: Command) -> Result<TaskId, Refused> {
        todo!()
    }

    /// Aborts a command: with ABORT TASK if it was sent. [`Event::Completed`] tells how it ended.
    ///
    /// # Errors
    /// [`Misuse`] when there is no such command.
    pub fn abort(&mut self, _now: Instant, _task: TaskId) -> Result<(), Misuse> {
        todo!()
    }

    /// Aborts a command whose end nobody waits for: no event tells of it. Nothing happens when it has ended.
    pub fn cancel(&mut self, _now: Instant, _task: TaskId) {
        todo!()
    }

    /// Sends a task management function, at once and ahead of waiting commands.
    /// [`Event::TaskManagementDone`] brings the answer. Commands that the function has ended at the target end here, too.
    ///
    /// ABORT TASK is [`abort`](Self::abort); TASK REASSIGN needs ErrorRecoveryLevel 2.
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection, or for those two.
    pub fn task_management(
        &mut self,
        _now: Instant,
        _function: TaskManagementFunction,
        _lun: Lun,
    ) -> Result<TaskId, Misuse> {
        todo!()
    }

    /// Asks for targets; [`Event::Targets`] brings them. One question at a time.
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection, or a question is open.
    pub fn send_targets(&mut self, _now: Instant, _which: SendTargets) -> Result<TaskId, Misuse> {
        todo!()
    }

    /// Sends a NOP-Out that asks for an answer; `data` comes back with it, as much as one PDU holds.
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection.
    pub fn ping(&mut self, _now: Instant, _data: Bytes) -> Result<TaskId, Misuse> {
        todo!()
    }

    /// Takes no more commands, waits for those that were taken, then logs out. [`Event::Ended`] follows.
    pub fn logout(&mut self, _now: Instant) {
        todo!()
    }

    /// Gives up the connection, to log in anew: [`Event::Down`] follows.
    pub fn drop_connection(&mut self, _now: Instant) {
        todo!()
    }

    /// Ends the session without a word to the target: every command ends, [`Event::Down`] and [`Event::Ended`] follow.
    pub fn end(&mut self, _now: Instant) {
        todo!()
    }

    /// Takes the PDUs that `rx` has whole.
    ///
    /// # Errors
    /// [`PeerError`] when the target broke the protocol: the connection is over, [`Event::Down`] tells the rest.
    pub fn receive(&mut self, _now: Instant, _conn: ConnId, _rx: &mut Receiver) -> Result<(), PeerError> {
        todo!()
    }

    /// Moves what is to be sent on `conn` into `tx`.
    pub fn transmit(&mut self, _now: Instant, _conn: ConnId, _tx: &mut Transmitter) {
        todo!()
    }

    /// Tells that the transport of `conn` is gone.
    pub fn lost(&mut self, _now: Instant, _conn: ConnId, _why: TransportError) {
        todo!()
    }

    /// What the caller may act on next.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. Any other call may change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Acts on the time that has passed; harmless when nothing is due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }
}
