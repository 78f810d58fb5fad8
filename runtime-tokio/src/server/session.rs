//! The driver of one session: moves bytes and time between a connection, the core, and the storage.
//!
//! One task a session. It drains the socket, lets the core handle every PDU, and writes all answers in one gathered
//! write: per wake, not per PDU.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use iscsicore::disk::Outcome;
use iscsicore::link::TaskId;
use iscsicore::node::{SessionId, UnitId};
use iscsicore::serve::{Handled, Service, Ticket, Work};
use iscsicore::session::ConnId;
use iscsicore::target::{AbortId, AbortScope, EndReason, Event, Incoming, Target};
use iscsicore::wire::TaskManagementResult;
use iscsicore::{Instant, TransportError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

use super::hub::{Control, Hub};
use super::inspect::SessionReport;
use super::transport::{Read, Transport};
use crate::backend::Reply;
use crate::{clock, submit};

/// Rounds of work after which a session lets others have the thread.
const ROUNDS: usize = 32;

/// How long a connection that is closing may take to accept what was sent last.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Something that the session waits for beside its connection.
pub(super) enum Finished {
    Io(Ticket, Outcome),
    Management(TaskId, TaskManagementResult),
    ColdReset(TaskId),
}

type Pending = FuturesUnordered<Pin<Box<dyn Future<Output = Finished> + Send>>>;

/// A connection of the session.
struct Link {
    id: ConnId,
    transport: Transport,
    peer: SocketAddr,
    /// The peer sends no more.
    ended: bool,
    /// The core has nothing more to say: flush until then, and close.
    closing: Option<Instant>,
}

pub(super) struct Session {
    pub(super) hub: Arc<Hub>,
    pub(super) id: SessionId,
    pub(super) target: Target,
    pub(super) service: Service,
    pub(super) local: SocketAddr,
    link: Option<Link>,
    control: mpsc::UnboundedReceiver<Control>,
    pub(super) pending: Pending,
    /// Answers to other sessions that wait for tasks of this one to end.
    aborts: Vec<(AbortId, Arc<oneshot::Sender<()>>)>,
    /// Dropped when the session has ended.
    done: Vec<oneshot::Sender<()>>,
    /// A target cold reset ends the session once everything is answered.
    pub(super) end_when_idle: bool,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

impl Session {
    pub(super) fn new(
        hub: Arc<Hub>,
        id: SessionId,
        (target, conn): (Target, ConnId),
        service: Service,
        (transport, peer, local): (Transport, SocketAddr, SocketAddr),
        control: mpsc::UnboundedReceiver<Control>,
    ) -> Self {
        Session {
            hub,
            id,
            target,
            service,
            local,
            link: Some(Link { id: conn, transport, peer, ended: false, closing: None }),
            control,
            pending: Pending::new(),
            aborts: Vec::new(),
            done: Vec::new(),
            end_when_idle: false,
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(3600))),
            armed: None,
        }
    }

    /// Runs until nothing of the session is left.
    pub(super) async fn run(mut self) -> EndReason {
        let reason = std::future::poll_fn(|cx| self.poll(cx)).await;
        if let Some(link) = self.link.take() {
            tokio::spawn(link.transport.close());
        }
        reason
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        for _ in 0..ROUNDS {
            let now = clock::now();
            let mut progress = self.poll_control(now, cx) | self.poll_pending(cx) | self.poll_timer(now, cx);
            progress |= self.poll_read(now, cx);
            self.handle_pdus(now);
            if let Some(reason) = self.handle_events(now) {
                return Poll::Ready(reason);
            }
            progress |= self.poll_write(now, cx);
            if !progress && !self.rearm_timer(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_control(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Poll::Ready(Some(control)) = self.control.poll_recv(cx) {
            progress = true;
            match control {
                Control::Reinstate(connection) => self.reinstate(now, *connection),
                Control::Terminate { done } => {
                    self.done.push(done);
                    self.target.terminate(now);
                }
                Control::AbortTasks { unit, done } => self.abort_tasks(now, unit, done),
                Control::Shutdown => self.target.request_logout(now),
                Control::Report(reply) => {
                    let _ = reply.send(self.report());
                }
            }
        }
        progress
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Poll::Ready(Some(finished)) = self.pending.poll_next_unpin(cx) {
            progress = true;
            match finished {
                Finished::Io(ticket, outcome) => self.io_done(ticket, outcome),
                Finished::Management(request, result) => self.management_done(request, result),
                Finished::ColdReset(request) => self.cold_reset_done(request),
            }
        }
        progress
    }

    fn poll_timer(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        if self.armed.is_none() || self.timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.armed = None;
        self.target.handle_timeout(now);
        if self.link.as_ref().is_some_and(|l| l.closing.is_some_and(|t| t <= now)) {
            self.drop_link(now);
        }
        true
    }

    /// Sets the timer. A later deadline than the armed one is left to the next time that the timer fires, which
    /// spares a busy session a change of the timer for every request. Returns whether the deadline has passed.
    fn rearm_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let closing = self.link.as_ref().and_then(|l| l.closing);
        let Some(deadline) = self.target.poll_timeout().into_iter().chain(closing).min() else {
            return false;
        };
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return false;
        }
        self.armed = Some(deadline);
        self.timer.as_mut().reset(clock::to_tokio(deadline));
        self.timer.as_mut().poll(cx).is_ready()
    }

    fn poll_read(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(link) = self.link.as_mut().filter(|l| !l.ended && l.closing.is_none()) else { return false };
        match link.transport.poll_read(cx) {
            Poll::Pending | Poll::Ready(Ok(Read::Full)) => false,
            Poll::Ready(Ok(Read::Some)) => true,
            Poll::Ready(Ok(Read::End)) => {
                link.ended = true;
                let id = link.id;
                self.handle_pdus(now);
                self.target.lost(now, id, TransportError::Closed);
                true
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "reading failed");
                self.drop_link(now);
                true
            }
        }
    }

    fn poll_write(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(link) = self.link.as_mut() else { return false };
        self.target.transmit(now, link.id, &mut link.transport.tx);
        let had = link.transport.tx.queued();
        match link.transport.poll_write(cx) {
            Poll::Ready(Ok(())) if link.closing.is_some() || link.ended => {
                self.drop_link(now);
                true
            }
            Poll::Ready(Ok(())) => had > 0,
            Poll::Pending => link.transport.tx.queued() < had,
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "writing failed");
                self.drop_link(now);
                true
            }
        }
    }

    fn handle_pdus(&mut self, now: Instant) {
        let Some(link) = self.link.as_mut() else { return };
        if let Err(error) = self.target.receive(now, link.id, &mut link.transport.rx) {
            tracing::warn!(peer = %link.peer, initiator = %self.target.hello().initiator, %error, "session ended");
        }
    }

    fn handle_events(&mut self, now: Instant) -> Option<EndReason> {
        while let Some(event) = self.target.poll_event() {
            match self.service.handle(&mut self.target, &&self.hub.units, event) {
                Handled::Done => {}
                Handled::Work(work) => self.carry_out(work),
                Handled::Other(Event::Ended(reason)) => return Some(reason),
                Handled::Other(event) => self.handle_other(now, event),
            }
        }
        if self.end_when_idle && self.target.outstanding() == 0 {
            self.end_when_idle = false;
            self.target.terminate(now);
            return self.handle_events(now);
        }
        None
    }

    fn handle_other(&mut self, now: Instant, event: Event) {
        match event {
            Event::Close(id) => {
                if let Some(link) = self.link.as_mut().filter(|l| l.id == id) {
                    link.closing = Some(now + FLUSH_TIME);
                }
            }
            Event::SendTargets { request, which } => self.send_targets(request, &which),
            Event::TaskManagement(request) => self.task_management(request),
            Event::TasksAborted(id) => self.aborts.retain(|(abort, _)| *abort != id),
            _ => {}
        }
    }

    /// Starts work and, while the storage answers at once, goes on with what the command asks for next.
    fn carry_out(&mut self, work: Work) {
        let mut next = Some(work);
        while let Some(Work { unit, op, ticket }) = next.take() {
            let Some(unit) = self.hub.units.get(unit) else {
                next = self.finish(ticket, Outcome::Failed(iscsicore::disk::IoError::Other));
                continue;
            };
            match submit(&unit.backend, op) {
                Reply::Now(outcome) => next = self.finish(ticket, outcome),
                Reply::Later(future) => {
                    self.pending.push(Box::pin(async move { Finished::Io(ticket, future.await) }));
                }
            }
        }
    }

    fn finish(&mut self, ticket: Ticket, outcome: Outcome) -> Option<Work> {
        self.service.finish(&mut self.target, &&self.hub.units, ticket, outcome)
    }

    fn io_done(&mut self, ticket: Ticket, outcome: Outcome) {
        if let Some(work) = self.finish(ticket, outcome) {
            self.carry_out(work);
        }
    }

    /// Aborts the tasks of every LUN that the unit stands behind; `done` is dropped with the last of them.
    fn abort_tasks(&mut self, now: Instant, unit: UnitId, done: oneshot::Sender<()>) {
        let done = Arc::new(done);
        let luns = self.service.luns().iter().filter(|(_, mapped)| mapped.unit == unit);
        for (lun, _) in luns {
            let id = self.target.abort_tasks(now, AbortScope::LogicalUnit(lun));
            self.aborts.push((id, done.clone()));
        }
    }

    fn reinstate(&mut self, now: Instant, (incoming, transport): (Incoming, Transport)) {
        let peer = match transport.peer() {
            Ok(peer) => peer,
            Err(_) => return,
        };
        self.drop_link(now);
        match self.target.reinstate(incoming, now) {
            Ok(id) => self.link = Some(Link { id, transport, peer, ended: false, closing: None }),
            Err(error) => tracing::debug!(%error, "a connection came too late to reinstate another"),
        }
    }

    fn drop_link(&mut self, now: Instant) {
        if let Some(link) = self.link.take() {
            self.target.lost(now, link.id, TransportError::Closed);
            tokio::spawn(link.transport.close());
        }
    }

    fn report(&self) -> SessionReport {
        let hello = self.target.hello();
        SessionReport {
            tsih: self.target.tsih().0,
            initiator: hello.initiator.clone(),
            user: self.target.user().map(str::to_owned),
            target: hello.target.clone(),
            session_type: hello.session_type,
            connections: self.link.iter().map(|l| l.peer).collect(),
            outstanding: self.target.outstanding(),
            counters: self.target.counters(),
        }
    }
}
