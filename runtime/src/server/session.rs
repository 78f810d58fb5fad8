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
use iscsicore::serve::{Handled, Service, Ticket, Work};
use iscsicore::session::ConnId;
use iscsicore::target::{AbortId, AbortScope, EndReason, Event, Incoming, Target};
use iscsicore::wire::{Cid, TaskManagementResult};
use iscsicore::{Instant, Limits, TransportError};
use tokio::sync::oneshot;

use super::hub::{Control, Place};
use super::inbox::Inbox;
use super::transport::{FLUSH_TIME, Parcel, Read, Transport};
use crate::backend::Reply;
use crate::{Runtime, Timer, clock, submit};

/// Rounds of work after which a session lets others have the thread.
const ROUNDS: usize = 32;
/// Time after which it does, although there have not been so many.
const TURN: Duration = Duration::from_millis(1);

/// Something that the session waits for beside its connection.
pub(super) enum Finished {
    Io(Ticket, Outcome),
    Management(TaskId, TaskManagementResult),
    ColdReset(TaskId),
}

type Pending = FuturesUnordered<Pin<Box<dyn Future<Output = Finished> + Send>>>;

/// A connection of the session.
pub(super) struct Link<R: Runtime> {
    id: ConnId,
    cid: Cid,
    transport: Transport<R>,
    pub(super) peer: SocketAddr,
    /// The peer sends no more.
    ended: bool,
    /// The core has nothing more to say: flush until then, and close.
    closing: Option<Instant>,
    /// Nothing is read or written before the tasks of this abort have ended.
    pub(super) held: Option<AbortId>,
}

impl<R: Runtime> Link<R> {
    /// A connection whose login is complete.
    pub(super) fn new(
        (id, cid): (ConnId, Cid),
        mut transport: Transport<R>,
        peer: SocketAddr,
        limits: &Limits,
    ) -> Self {
        transport.share_buffers(limits.read_buffer);
        Link { id, cid, transport, peer, ended: false, closing: None, held: None }
    }
}

/// One session. The order of the last fields is that of the end: work that was not waited for (after a panic), the
/// place among the sessions, and then the word to those who wait.
pub(super) struct Session<R: Runtime> {
    pub(super) target: Target,
    pub(super) service: Service,
    pub(super) local: SocketAddr,
    pub(super) link: Option<Link<R>>,
    /// A target cold reset ends the session after this abort.
    pub(super) end_after: Option<AbortId>,
    /// The initiator has been asked to log out.
    leaving: bool,
    timer: R::Timer,
    armed: Option<Instant>,
    pub(super) pending: Pending,
    /// Answers to other sessions that wait for tasks of this one to end.
    pub(super) aborts: Vec<(AbortId, Arc<oneshot::Sender<()>>)>,
    pub(super) place: Place<R>,
    control: Inbox<Control<R>>,
    /// Dropped when the session has ended.
    done: Vec<oneshot::Sender<()>>,
}

impl<R: Runtime> Session<R> {
    pub(super) fn new(
        place: Place<R>,
        target: Target,
        service: Service,
        link: Link<R>,
        local: SocketAddr,
        control: Inbox<Control<R>>,
    ) -> Self {
        Session {
            target,
            service,
            local,
            link: Some(link),
            control,
            end_after: None,
            leaving: false,
            timer: R::Timer::new(),
            armed: None,
            pending: Pending::new(),
            aborts: Vec::new(),
            place,
            done: Vec::new(),
        }
    }

    /// Runs until nothing of the session is left.
    pub(super) async fn run(mut self: Box<Self>) -> EndReason {
        let stopping = *self.place.hub.stopping.borrow();
        if let Some(within) = stopping {
            // The server stopped while this login was on its way.
            self.ask_to_leave(clock::now(), within);
        }
        let reason = std::future::poll_fn(|cx| self.poll(cx)).await;
        if let Some(link) = self.link.take() {
            self.place.hub.finish(link.transport);
        }
        reason
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        let began = clock::now();
        for _ in 0..ROUNDS {
            let now = clock::now();
            if now.saturating_since(began) > TURN {
                break;
            }
            let mut progress =
                self.poll_control(now, cx) | self.poll_pending(now, cx) | self.poll_timer(now, cx);
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
        while let Poll::Ready(control) = self.control.poll_next(cx) {
            progress = true;
            match control {
                Control::Reinstate(connection) => self.reinstate(now, *connection),
                Control::Terminate { done } => {
                    self.done.retain(|done| !done.is_closed());
                    self.done.push(done);
                    self.target.terminate(now);
                    // Whoever waits must not wait for a peer that does not read.
                    self.drop_link(now);
                }
                Control::AbortTasks { unit, done } => self.abort_tasks(now, unit, None, done),
                Control::Shutdown { within } => self.ask_to_leave(now, within),
                Control::Report(reply) => {
                    let _ = reply.send(self.report());
                }
            }
        }
        progress
    }

    /// Asks the initiator to log out, because the server stops. A session that began meanwhile learns of that twice.
    fn ask_to_leave(&mut self, now: Instant, within: Duration) {
        if !std::mem::replace(&mut self.leaving, true) {
            self.target.request_logout(now, within);
        }
    }

    fn poll_pending(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Poll::Ready(Some(finished)) = self.pending.poll_next_unpin(cx) {
            progress = true;
            match finished {
                Finished::Io(ticket, outcome) => self.io_done(ticket, outcome),
                Finished::Management(request, result) => self.management_done(request, result),
                Finished::ColdReset(request) => self.cold_reset_done(now, request),
            }
        }
        progress
    }

    fn poll_timer(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        if self.armed.is_none() || self.timer.poll(cx).is_pending() {
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
        self.timer.set(deadline);
        self.timer.poll(cx).is_ready()
    }

    fn poll_read(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let reads = |l: &&mut Link<R>| !l.ended && l.closing.is_none() && l.held.is_none();
        let Some(link) = self.link.as_mut().filter(reads) else { return false };
        match link.transport.poll_read(cx) {
            Poll::Pending | Poll::Ready(Ok(Read::Full)) => false,
            Poll::Ready(Ok(Read::Some)) => true,
            Poll::Ready(Ok(Read::End)) => {
                link.ended = true;
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
        let Some(link) = self.link.as_mut().filter(|l| l.held.is_none()) else { return false };
        let before = link.transport.tx.queued();
        self.target.transmit(now, link.id, &mut link.transport.tx);
        let had = link.transport.tx.queued();
        let written = link.transport.poll_write(cx);
        if let Poll::Ready(Err(error)) = &written {
            tracing::debug!(%error, "writing failed");
        }
        // A peer that sends no more gets what was answered at once, and is lost then.
        let over = link.ended || link.closing.is_some() && written.is_ready();
        if over || matches!(written, Poll::Ready(Err(_))) {
            self.drop_link(now);
            return true;
        }
        // The core holds commands back by what it last saw waiting here: show it what is left.
        self.target.transmit(now, link.id, &mut link.transport.tx);
        had > before || link.transport.tx.queued() != had
    }

    fn handle_pdus(&mut self, now: Instant) {
        let Some(link) = self.link.as_mut().filter(|l| l.held.is_none()) else { return };
        if let Err(error) = self.target.receive(now, link.id, &mut link.transport.rx) {
            tracing::warn!(peer = %link.peer, initiator = ?self.target.hello().initiator, %error, "session ended");
        }
    }

    fn handle_events(&mut self, now: Instant) -> Option<EndReason> {
        while let Some(event) = self.target.poll_event() {
            match self.service.handle(&mut self.target, &&self.place.hub.units, event) {
                Handled::Done => {}
                Handled::Work(work) => self.carry_out(work),
                Handled::Other(Event::Ended(reason)) => return Some(reason),
                Handled::Other(event) => self.handle_other(now, event),
            }
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
            Event::TaskManagement(request) => self.task_management(now, request),
            Event::TasksAborted(id) => self.tasks_aborted(now, id),
            _ => {}
        }
    }

    /// Starts work and, while the storage answers at once, goes on with what the command asks for next.
    fn carry_out(&mut self, work: Work) {
        let mut next = Some(work);
        while let Some(Work { unit, op, ticket }) = next.take() {
            let Some(unit) = self.place.hub.units.get(unit) else {
                next = self.finish(ticket, Outcome::Failed(iscsicore::disk::IoError::Other));
                continue;
            };
            match submit(&unit.label, &unit.backend, op) {
                Reply::Now(outcome) => next = self.finish(ticket, outcome),
                Reply::Later(future) => {
                    self.pending.push(Box::pin(async move { Finished::Io(ticket, future.await) }));
                }
            }
        }
    }

    fn finish(&mut self, ticket: Ticket, outcome: Outcome) -> Option<Work> {
        self.service.finish(&mut self.target, &&self.place.hub.units, ticket, outcome)
    }

    fn io_done(&mut self, ticket: Ticket, outcome: Outcome) {
        if let Some(work) = self.finish(ticket, outcome) {
            self.carry_out(work);
        }
    }

    /// Puts a connection in the place of the one that there is. The tasks of the old one are being aborted; the new
    /// one is not heard, nor its login answered, before storage has let go of them: a write of the old connection
    /// must not land on top of one of the new.
    fn reinstate(&mut self, now: Instant, (incoming, parcel): (Incoming, Parcel<R>)) {
        let Ok(transport) = Transport::attach(parcel) else { return };
        let (Ok(peer), Some(cid)) = (transport.peer(), incoming.hello().map(|h| h.cid)) else { return };
        let busy = self.target.outstanding() > 0;
        let id = match self.target.reinstate(incoming, now) {
            Ok(id) => id,
            Err(error) => return tracing::debug!(%error, "a connection came too late to reinstate another"),
        };
        if busy {
            self.service.tasks_terminated(&&self.place.hub.units);
        }
        let held = Some(self.target.abort_tasks(now, AbortScope::All));
        let link = Link { held, ..Link::new((id, cid), transport, peer, &self.place.hub.limits) };
        if let Some(old) = self.link.replace(link) {
            self.target.lost(now, old.id, TransportError::Closed);
            self.place.hub.close(old.transport);
        }
    }

    fn drop_link(&mut self, now: Instant) {
        if let Some(link) = self.link.take() {
            self.target.lost(now, link.id, TransportError::Closed);
            // A session that is retained takes a connection with any CID then.
            self.place.hub.sessions().remove_connection(self.place.id, link.cid);
            self.place.hub.close(link.transport);
        }
    }
}
