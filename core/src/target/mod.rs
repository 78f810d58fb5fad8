//! The target role: one session with an initiator, RFC 7143.
//!
//! A transport connection is an [`Incoming`] until its login is complete; then it becomes a [`Target`], or joins one.
//! The target knows SCSI commands as opaque CDBs with lengths: what they mean is the caller's business (see
//! [`disk`](crate::disk)).

mod connection;
mod data_in;
mod data_out;
mod event;
mod incoming;
mod management;
mod output;
mod receive;
mod scsi_command;
mod task;
mod text;
mod timers;

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;

use crate::link::{Receiver, TaskId, Transmitter};
use crate::login::{Hello, Parameters};
use crate::session::{CommandWindow, ConnId};
use crate::wire::{Lun, StatSn, TaskManagementResult, Tsih, Ttt};
use crate::{DataList, Instant, Limits, Misuse, PeerError, TransportError, scsi};

use connection::Conn;
use management::Wait;
use receive::Held;
use task::{Completion, Phase, Tasks};

pub use crate::session::{SendTargets, TargetAddress, TargetRecord};
pub use event::{AbortId, AbortScope, Command, Counters, EndReason, Event, Notice, TaskManagement};
pub use incoming::{Incoming, IncomingEvent, Moved};

/// A session with one initiator, from the end of its login to the end of its last task.
///
/// *The contract:* after any call, drain [`poll_event`](Self::poll_event), [`transmit`](Self::transmit) every
/// connection, and re-arm a timer for [`poll_timeout`](Self::poll_timeout). The order does not matter, and too often
/// is harmless. After a transmitter was emptied, call [`transmit`](Self::transmit) and
/// [`receive`](Self::receive) again: a session that waited for room goes on there.
#[derive(Debug)]
pub struct Target {
    hello: Hello,
    user: Option<String>,
    tsih: Tsih,
    portal_group_tag: Option<u16>,
    parameters: Parameters,
    limits: Limits,
    conns: Vec<Conn>,
    next_conn: u32,
    window: CommandWindow<Held>,
    immediate_commands: u32,
    immediate_management: u32,
    tasks: Tasks,
    /// Commands to be handed out, in order.
    ready: VecDeque<TaskId>,
    events: VecDeque<Event>,
    waits: Vec<Wait>,
    /// Task management requests that wait for earlier commands.
    delayed: Vec<TaskId>,
    next_abort: u32,
    /// Commands that wait for room in the budget for solicited data.
    solicit: VecDeque<TaskId>,
    solicited: usize,
    /// Bytes that the commands with the caller may yet send.
    promised_in: u64,
    next_ttt: Ttt,
    /// While there is no connection: until when the session waits for one.
    retained_until: Option<Instant>,
    ending: Option<EndReason>,
    ended: bool,
    counters: Counters,
}

impl Target {
    /// Makes a session of a connection whose login is complete but for the last answer, which is queued.
    ///
    /// `tsih` is the handle of the new session: not zero, and of no other session.
    ///
    /// # Errors
    /// [`Misuse`] when the login is not complete.
    pub fn new(incoming: Incoming, tsih: Tsih, now: Instant) -> Result<(Target, ConnId), Misuse> {
        let established = incoming.finish(tsih)?;
        let limits = established.limits.clone();
        let mut target = Target {
            hello: established.hello.clone(),
            user: established.user.clone(),
            tsih,
            portal_group_tag: established.portal_group_tag,
            parameters: established.parameters.clone(),
            conns: Vec::new(),
            next_conn: 0,
            window: CommandWindow::new(established.exp_cmd_sn, limits.queue_depth),
            immediate_commands: 0,
            immediate_management: 0,
            tasks: Tasks::default(),
            ready: VecDeque::new(),
            events: VecDeque::new(),
            waits: Vec::new(),
            delayed: Vec::new(),
            next_abort: 0,
            solicit: VecDeque::new(),
            solicited: 0,
            promised_in: 0,
            next_ttt: Ttt(0),
            retained_until: None,
            ending: None,
            ended: false,
            counters: Counters::default(),
            limits,
        };
        let conn = target.add_connection(established, now);
        Ok((target, conn))
    }

    /// Who the initiator is, as its login said.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The CHAP name that the initiator authenticated as, if it did.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The handle of the session.
    pub fn tsih(&self) -> Tsih {
        self.tsih
    }

    /// The tag of the portal group that the session came in by.
    pub fn portal_group_tag(&self) -> Option<u16> {
        self.portal_group_tag
    }

    /// What the login negotiated.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Counts since the session began.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Commands and other requests that have not been answered.
    pub fn outstanding(&self) -> usize {
        self.tasks.len()
    }

    /// Whether the session is over but for its last tasks and words: it takes no connection any more.
    pub fn is_over(&self) -> bool {
        self.ending.is_some()
    }

    /// The connections that are up.
    pub fn connections(&self) -> impl Iterator<Item = ConnId> {
        self.conns.iter().filter(|c| !c.closing).map(|c| c.id)
    }

    /// Asks for the payload of `task`: its first `len` bytes, or fewer when the initiator has fewer.
    ///
    /// [`Event::Data`] brings it. `len` is what the CDB asks for.
    ///
    /// # Errors
    /// [`Misuse`] when the task is not the caller's, or has been asked already.
    pub fn accept(&mut self, task: TaskId, len: u32) -> Result<(), Misuse> {
        let (scsi, ..) = self.tasks.scsi_mut(task)?;
        if scsi.aborted {
            // Nothing will come; the caller has an abort event waiting and has nothing running.
            self.drop_task(task);
            return Ok(());
        }
        if !scsi.is_with_caller() {
            return Err(Misuse::WrongState("accept: the task is not the caller's at the moment"));
        }
        if scsi.incoming.want(len) {
            return Err(Misuse::WrongState("accept: the task's payload was asked for already"));
        }
        scsi.phase = Phase::Collecting;
        self.advance_collection(task);
        Ok(())
    }

    /// Sends payload to the initiator. Pieces are sent in the order of the calls; what exceeds the Expected Data
    /// Transfer Length is counted and not sent.
    ///
    /// # Errors
    /// [`Misuse`] when the task is not the caller's.
    pub fn send_data(&mut self, task: TaskId, data: DataList) -> Result<(), Misuse> {
        self.queue_data_in(task, data)
    }

    /// Ends a command. `transfer_len` is the number of bytes that it would have moved had the initiator's expectation
    /// been right: the residual count follows from it (zero for a command that failed before moving data). Of a
    /// bidirectional command it counts the write part; the read part is what was sent.
    ///
    /// Where the initiator broke the rules for the payload of the command, GOOD becomes the CHECK CONDITION that
    /// RFC 7143 section 11.4.7.2 lists for that.
    ///
    /// # Errors
    /// [`Misuse`] when the task has ended or is not the caller's, or when CHECK CONDITION lacks its sense data.
    pub fn complete(
        &mut self,
        task: TaskId,
        response: scsi::Response,
        transfer_len: u32,
    ) -> Result<(), Misuse> {
        let (scsi, ..) = self.tasks.scsi_mut(task)?;
        if scsi.aborted {
            self.drop_task(task);
            return Ok(());
        }
        if !matches!(scsi.phase, Phase::WithCaller | Phase::Collecting) {
            return Err(Misuse::WrongState("complete: the task is not the caller's at the moment"));
        }
        if response.status == scsi::Status::CHECK_CONDITION && response.sense.is_none() {
            return Err(Misuse::InvalidArgument("CHECK CONDITION without sense data"));
        }
        scsi.phase = Phase::Finished;
        scsi.incoming.discard();
        let completion = Completion { response, transfer_len };
        if scsi.incoming.is_quiet() {
            self.respond(task, completion);
        } else {
            scsi.completion = Some(completion);
        }
        Ok(())
    }

    /// [Sends](Self::send_data) the last payload of a command and [ends](Self::complete) it. Payload that fits one PDU
    /// goes out with the status at once.
    ///
    /// # Errors
    /// [`Misuse`] where one of the two would fail.
    pub fn complete_with(
        &mut self,
        task: TaskId,
        data: DataList,
        response: scsi::Response,
        transfer_len: u32,
    ) -> Result<(), Misuse> {
        if !data.is_empty() {
            let alone =
                if response.is_good() { self.send_alone(task, data, transfer_len) } else { Err(data) };
            let Err(data) = alone else { return Ok(()) };
            self.send_data(task, data)?;
        }
        self.complete(task, response, transfer_len)
    }

    /// Answers an [`Event::TaskManagement`]. The response leaves once the aborted tasks have ended, too.
    ///
    /// # Errors
    /// [`Misuse`] when there is no such request.
    pub fn answer_task_management(
        &mut self,
        request: TaskId,
        result: TaskManagementResult,
    ) -> Result<(), Misuse> {
        self.store_management_answer(request, result)
    }

    /// Answers an [`Event::SendTargets`] with the targets that the initiator may use.
    ///
    /// # Errors
    /// [`Misuse`] when there is no such request.
    pub fn answer_send_targets(&mut self, request: TaskId, targets: &[TargetRecord]) -> Result<(), Misuse> {
        self.finish_send_targets(request, targets)
    }

    /// Aborts tasks without an answer to them, on behalf of another session or of an administrator.
    ///
    /// [`Event::TasksAborted`] tells when they have ended.
    pub fn abort_tasks(&mut self, now: Instant, scope: AbortScope) -> AbortId {
        self.abort_for_other(now, scope)
    }

    /// Sends an unasked message, if there is a connection to send it on.
    pub fn notify(&mut self, notice: &Notice) {
        self.send_notice(notice);
    }

    /// Asks the initiator to log out; it is told the whole seconds of `within`, after which the session is ended.
    pub fn request_logout(&mut self, now: Instant, within: Duration) {
        self.ask_for_logout(now, within);
    }

    /// Ends the session now: its tasks are aborted and its connections closed. [`Event::Ended`] follows.
    pub fn terminate(&mut self, _now: Instant) {
        self.end_session(EndReason::Terminated);
    }

    /// Lets a connection take the place of the one that this session has or had (RFC 7143 section 6.3.4): the
    /// tasks of the old one are ended, and its transport is to be closed.
    ///
    /// # Errors
    /// [`Misuse`] when the session is over, or the login not complete; the transport is to be closed then.
    pub fn reinstate(&mut self, incoming: Incoming, now: Instant) -> Result<ConnId, Misuse> {
        if self.ending.is_some() || !incoming.is_ready() {
            return Err(Misuse::WrongState("reinstate: the session is over, or the login is not complete"));
        }
        let cid = match incoming.hello() {
            Some(hello) if hello.tsih == self.tsih => hello.cid,
            _ => return Err(Misuse::InvalidArgument("reinstate: a login that is not for this session")),
        };
        if self.conns.iter().any(|c| !c.closing && c.cid != cid) {
            return Err(Misuse::InvalidArgument("reinstate: another connection of the session is up"));
        }
        let established = incoming.finish(self.tsih)?;
        let old: Vec<_> = self.connections().collect();
        for conn in old {
            self.drop_connection(conn);
            if let Some(conn) = self.conn(conn) {
                conn.output.clear();
                conn.login_response = None;
            }
        }
        self.retained_until = None;
        // What belongs to the session stays; a connection brings its own digests and segment lengths.
        let (own, new) = (&mut self.parameters, &established.parameters);
        own.header_digest = new.header_digest;
        own.data_digest = new.data_digest;
        own.local_max_segment = new.local_max_segment;
        own.peer_max_segment = new.peer_max_segment;
        Ok(self.add_connection(established, now))
    }

    /// Takes the PDUs that `rx` has whole.
    ///
    /// # Errors
    /// [`PeerError`] when the initiator broke the protocol beyond repair: the session is ending. Flush what there
    /// is to send, then close.
    pub fn receive(&mut self, now: Instant, conn: ConnId, rx: &mut Receiver) -> Result<(), PeerError> {
        self.receive_pdus(now, conn, rx)
    }

    /// Moves what is to be sent on `conn` into `tx`.
    pub fn transmit(&mut self, now: Instant, conn: ConnId, tx: &mut Transmitter) {
        self.transmit_on(now, conn, tx);
    }

    /// Tells that the transport of `conn` is gone.
    pub fn lost(&mut self, now: Instant, conn: ConnId, _why: TransportError) {
        self.connection_lost(now, conn);
    }

    /// What the caller has to act on next.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if let Some(command) = self.next_command() {
            return Some(Event::Command(command));
        }
        if let Some(conn) = self.conns.iter_mut().find(|c| c.closing && !c.close_told && c.is_sent()) {
            conn.close_told = true;
            return Some(Event::Close(conn.id));
        }
        self.poll_ended()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. Any other call may change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timeout()
    }

    /// Acts on the time that has passed; harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.act_on_time(now);
    }

    fn new_ttt(&mut self) -> Ttt {
        let ttt = self.next_ttt;
        self.next_ttt = Ttt(ttt.0.wrapping_add(1));
        if self.next_ttt.is_reserved() {
            self.next_ttt = Ttt(0);
        }
        ttt
    }

    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|c| c.id == id)
    }

    fn first_open(&mut self) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|c| !c.closing)
    }
}

/// The counters of a PDU are filled in when it leaves; until then they are zero.
const LATER: StatSn = StatSn(0);

/// An empty LUN field.
const NO_LUN: Lun = Lun(0);

fn bytes_of(data: Bytes) -> DataList {
    DataList::from(data)
}
