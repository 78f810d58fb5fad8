//! The initiator role: one session with a target, RFC 7143.
//!
//! A transport connection is an [`Outgoing`] until its login is complete; then it is attached to an [`Initiator`], which
//! keeps its commands when a connection is lost and sends them again on the next one. Who dials, when, and when to give up
//! is decided by [`nexus::Nexus`](crate::nexus::Nexus), which owns both.

pub mod commands;

mod command;
mod connection;
mod data_in;
mod data_out;
mod durability;
mod event;
mod management;
mod messages;
mod outgoing;
mod output;
mod ranges;
mod receive;
mod response;
mod task;
mod text;
mod timers;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::link::{Receiver, TaskId, Transmitter};
use crate::login::{Parameters, SessionType};
use crate::session::{ConnId, SendTargets};
use crate::wire::{CmdSn, Lun, TaskManagementFunction, Tsih};
use crate::{Instant, Limits, Misuse, PeerError, TransportError};

use connection::Conn;
use durability::Durability;
use event::DownReason as Why;
use outgoing::Attached;
use task::{Body, MAX_TASKS, Scsi, Task, Tasks};

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

/// What the caller wants of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Serve,
    /// To end when all commands have, with a logout.
    Logout,
    /// To end now.
    End,
}

/// A session with one target, over one connection after another.
///
/// *The contract:* after any call, drain [`poll_event`](Self::poll_event), [`transmit`](Self::transmit) the connection,
/// and re-arm a timer for [`poll_timeout`](Self::poll_timeout). The order does not matter, and too often is
/// harmless. After a transmitter was emptied, call [`transmit`](Self::transmit) and
/// [`receive`](Self::receive) again: a session that waited for room goes on there.
///
/// A connection that is lost takes no command with it: those that may be repeated ([`Repeat::Safe`]) are sent again on the
/// next connection, the others end with [`Outcome::Unknown`]. The new login must carry the InitiatorName, ISID and
/// TargetName of the old one, and arrive at the same portal group: then the target has ended all that was under way
/// there before the new session starts (RFC 7143 section 6.3.5), and a repeated write cannot be overtaken by its own
/// first attempt. Where it arrives elsewhere, as after a redirect, writes that were sent before end with
/// [`Outcome::Unknown`].
#[derive(Debug)]
pub struct Initiator {
    limits: Limits,
    conn: Option<Conn>,
    next_conn: u32,
    /// What the last login has come to.
    login: Option<Attached>,
    session_type: SessionType,
    /// Whether all Data-In of a command comes in the order of its offsets.
    in_order: bool,
    /// The number of the next command.
    cmd_sn: CmdSn,
    exp_cmd_sn: CmdSn,
    max_cmd_sn: CmdSn,
    tasks: Tasks,
    /// SCSI commands among the tasks.
    commands: usize,
    /// Commands that have not been sent, in order.
    waiting: VecDeque<TaskId>,
    paused: Vec<(Instant, TaskId)>,
    events: VecDeque<Event>,
    /// A command was refused for want of room.
    refused: bool,
    wish: Wish,
    ended: bool,
    /// Not later than the first deadline of a task.
    next_deadline: Option<Instant>,
    durability: Durability,
}

impl Initiator {
    /// A session without a connection. Commands may be submitted already.
    pub fn new(limits: Limits) -> Self {
        Initiator {
            limits,
            conn: None,
            next_conn: 0,
            login: None,
            session_type: SessionType::Normal,
            in_order: true,
            cmd_sn: CmdSn(0),
            exp_cmd_sn: CmdSn(0),
            max_cmd_sn: CmdSn(0),
            tasks: Tasks::default(),
            commands: 0,
            waiting: VecDeque::new(),
            paused: Vec::new(),
            events: VecDeque::new(),
            refused: false,
            wish: Wish::Serve,
            ended: false,
            next_deadline: None,
            durability: Durability::default(),
        }
    }

    /// Takes a connection whose login is complete. Commands that wait, or that the loss of the last connection left
    /// unanswered and that may be repeated, are sent on it in their order.
    ///
    /// # Errors
    /// [`Misuse`] when the login is not complete, or a connection is up, or the session has ended.
    pub fn attach(&mut self, outgoing: Outgoing, now: Instant) -> Result<ConnId, Misuse> {
        self.take_connection(outgoing, now)
    }

    /// What the last login negotiated; `None` before the first.
    pub fn parameters(&self) -> Option<&Parameters> {
        self.login.as_ref().map(|login| &login.parameters)
    }

    /// The handle of the session, as the target chose it at the last login.
    pub fn tsih(&self) -> Option<Tsih> {
        self.login.as_ref().map(|login| login.tsih)
    }

    /// The tag of the portal group that the last login came in by, as far as it was told.
    pub fn portal_group_tag(&self) -> Option<u16> {
        self.login.as_ref()?.portal_group_tag
    }

    /// TargetAlias, as told in the last login.
    pub fn target_alias(&self) -> Option<&str> {
        self.login.as_ref()?.target_alias.as_deref()
    }

    /// Commands that could be sent at once: the room in the target's command window. 0 without a connection.
    pub fn window(&self) -> u32 {
        self.credit()
    }

    /// Commands and other requests that have not ended.
    pub fn outstanding(&self) -> usize {
        self.tasks.len()
    }

    /// Takes a command. It leaves when its turn comes and the target's command window is open;
    /// [`Event::Completed`] tells its end. As many are taken as `Limits::queue_depth` says, with or without a
    /// connection.
    ///
    /// # Errors
    /// [`Refused`] with the command.
    pub fn submit(&mut self, now: Instant, command: Command) -> Result<TaskId, Refused> {
        let too_long = command.data_out.len() > u32::MAX as usize;
        let why = if self.wish != Wish::Serve || self.ended || self.session_type == SessionType::Discovery {
            RefusedWhy::NotTaken
        } else if too_long {
            RefusedWhy::Invalid("more payload than Expected Data Transfer Length can say")
        } else if self.commands >= self.depth() {
            self.refused = true;
            RefusedWhy::QueueFull
        } else {
            let deadline = command.timeout.map(|timeout| now + timeout);
            let id = self.tasks.insert(Task { deadline, body: Body::Scsi(Scsi::new(command)) });
            self.note_deadline(deadline);
            self.commands += 1;
            self.waiting.push_back(id);
            return Ok(id);
        };
        Err(Refused { command: Box::new(command), why })
    }

    /// Aborts a command: with ABORT TASK if it was sent. [`Event::Completed`] tells how it ended.
    ///
    /// # Errors
    /// [`Misuse`] when there is no such command.
    pub fn abort(&mut self, now: Instant, task: TaskId) -> Result<(), Misuse> {
        self.abort_command(now, task, false)
    }

    /// Aborts a command whose end nobody waits for: no event tells of it. Nothing happens when it has ended.
    pub fn cancel(&mut self, now: Instant, task: TaskId) {
        // That it has ended is no error here.
        let _ = self.abort_command(now, task, true);
    }

    /// Sends a task management function, ahead of waiting commands. [`Event::TaskManagementDone`] brings the answer. Commands
    /// that the function has ended at the target end here, too; while a reset is under way no command is sent.
    ///
    /// ABORT TASK is [`abort`](Self::abort); TASK REASSIGN needs ErrorRecoveryLevel 2, and what RFC 7144 adds needs
    /// iSCSIProtocolLevel 2.
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection, when too many requests are open, or for functions that name a task.
    pub fn task_management(
        &mut self,
        now: Instant,
        function: TaskManagementFunction,
        lun: Lun,
    ) -> Result<TaskId, Misuse> {
        self.request_management(now, function, lun)
    }

    /// Asks for targets; [`Event::Targets`] brings them. One question at a time.
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection, or a question is open.
    pub fn send_targets(&mut self, now: Instant, which: SendTargets) -> Result<TaskId, Misuse> {
        self.ask_for_targets(now, &which)
    }

    /// Sends a NOP-Out that asks for an answer; `data` comes back with it, as much as one PDU holds.
    ///
    /// # Errors
    /// [`Misuse`] when there is no connection, or too many requests are open.
    pub fn ping(&mut self, now: Instant, data: Bytes) -> Result<TaskId, Misuse> {
        self.send_ping(now, data)
    }

    /// Takes no more commands, waits for those that were taken, then logs out. [`Event::Ended`] follows; at once when
    /// there is no connection.
    pub fn logout(&mut self, now: Instant) {
        if self.ended || self.wish != Wish::Serve {
            return;
        }
        self.wish = Wish::Logout;
        match self.conn {
            Some(_) => self.log_out_when_idle(now),
            None => self.end_session(),
        }
    }

    /// Gives up the connection, to log in anew: [`Event::Down`] follows.
    pub fn drop_connection(&mut self, _now: Instant) {
        self.connection_down(Why::Wanted);
    }

    /// Ends the session without a word to the target: every command ends, [`Event::Down`] and [`Event::Ended`] follow.
    pub fn end(&mut self, _now: Instant) {
        self.wish = Wish::End;
        self.end_session();
    }

    /// Takes the PDUs that `rx` has whole.
    ///
    /// # Errors
    /// [`PeerError`] when the target broke the protocol: the connection is over, [`Event::Down`] tells the rest.
    pub fn receive(&mut self, now: Instant, conn: ConnId, rx: &mut Receiver) -> Result<(), PeerError> {
        let result = self.receive_pdus(now, conn, rx);
        self.log_out_if_wanted(now);
        result
    }

    /// Moves what is to be sent on `conn` into `tx`.
    pub fn transmit(&mut self, now: Instant, conn: ConnId, tx: &mut Transmitter) {
        self.log_out_if_wanted(now);
        self.transmit_on(conn, tx);
    }

    /// Tells that the transport of `conn` is gone.
    pub fn lost(&mut self, _now: Instant, conn: ConnId, why: TransportError) {
        let Some(conn) = self.conn.as_ref().filter(|c| c.id == conn) else { return };
        // A target may close before its Logout Response was read: nothing was left to be lost.
        let said_goodbye = self.wish == Wish::Logout && conn.logout_sent && self.commands == 0;
        self.connection_down(if said_goodbye { Why::LoggedOut } else { Why::Lost(why) });
    }

    /// What the caller may act on next.
    ///
    /// The index of a [`TaskId`] is not used again before the event that tells the task's end was taken here.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.next_event();
        if let Some(event) = &event {
            self.release(event);
        }
        event
    }

    /// [`poll_event`](Self::poll_event) for somebody who passes the event on later, and then calls
    /// [`release`](Self::release).
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The caller has taken `event`.
    pub(crate) fn release(&mut self, event: &Event) {
        if let Event::Completed { task, .. } = event {
            self.tasks.release(*task);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. Any other call may change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timeout()
    }

    /// Acts on the time that has passed; harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.act_on_time(now);
        self.log_out_if_wanted(now);
    }

    /// The protocol level of the session: 2 has what RFC 7144 adds.
    fn protocol_level(&self) -> u16 {
        self.parameters().map_or(1, |parameters| parameters.protocol_level)
    }

    /// Commands that are taken at most.
    fn depth(&self) -> usize {
        (self.limits.queue_depth as usize).clamp(1, MAX_TASKS / 2)
    }

    /// Refuses a request when it could not be sent, or when too many are open.
    fn check_requests(&self, why: &'static str) -> Result<(), Misuse> {
        // Each command may have an ABORT TASK under way, which is not to keep the caller's requests out.
        let open = self.tasks.len() - self.commands;
        let most = self.limits.immediate_requests.max(1) as usize + self.commands;
        let is_up = self.conn.as_ref().is_some_and(|conn| !conn.logout_sent);
        match is_up && open < most {
            true => Ok(()),
            false => Err(Misuse::WrongState(why)),
        }
    }

    fn log_out_if_wanted(&mut self, now: Instant) {
        if self.wish == Wish::Logout || self.conn.as_ref().is_some_and(|conn| conn.logout_by.is_some()) {
            self.log_out_when_idle(now);
        }
    }
}
