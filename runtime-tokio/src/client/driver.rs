//! The driver of one session: moves bytes and time between a connection, the core, and those who wait.
//!
//! One task a session. At each wake it drains the socket, lets the core handle every PDU, and writes what came of it
//! in one gathered write: per wake, not per PDU. The lock is taken once for that, and never while the socket reads
//! or writes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use iscsicore::initiator;
use iscsicore::nexus::{NexusEnd, NexusEvent};
use iscsicore::{Instant, Limits, TransportError};
use tokio::time::Sleep;

use super::dial::{Dial, dial};
use super::events::Event;
use super::link::{Holding, Link, Read};
use super::state::{Reply, Shared, State, Status};
use super::unit;
use crate::clock;

/// Rounds of work after which a session lets others have the thread.
const ROUNDS: usize = 32;

/// Reads after which the core gets to see what came.
const READS: usize = 16;

/// Bytes of the target's data that an event keeps.
const MOST_TOLD: usize = 1024;

pub(super) struct Driver {
    shared: Arc<Shared>,
    limits: Limits,
    link: Option<Link>,
    dial: Option<Dial>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    holding: Option<Holding>,
    scrap: Vec<u8>,
    /// Reading has stopped until the core takes PDUs.
    full: bool,
    /// Those whose commands have ended, to be woken when the lock is free.
    wakers: Vec<Waker>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, limits: Limits) -> Self {
        Driver {
            shared,
            limits,
            link: None,
            dial: None,
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(3600))),
            armed: None,
            holding: None,
            scrap: Vec::new(),
            full: false,
            wakers: Vec::new(),
        }
    }

    fn poll_dial(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Poll::Ready(dialed)) = self.dial.as_mut().map(|d| d.as_mut().poll(cx)) else { return false };
        self.dial = None;
        let now = clock::now();
        let mut state = self.shared.lock();
        match dialed {
            Ok(stream) => {
                self.link = Some(Link::new(stream, &self.limits));
                state.nexus.connected(now);
            }
            Err(why) => state.nexus.dial_failed(now, why),
        }
        true
    }

    /// Reads until the socket is empty or the core has to look. Whether anything came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        for _ in 0..READS {
            let Some(link) = &mut self.link else { return progress };
            if let Some(slot) = link.slot()
                && self.holding.as_ref().is_none_or(|h| h.task != slot.task)
            {
                let mut state = self.shared.lock();
                give_back(&mut state, self.holding.take());
                let memory = state.waiters.of_task(slot.task).map(|w| std::mem::take(&mut w.buffer));
                self.holding = Some(Holding { task: slot.task, memory });
            }
            match link.poll_read(cx, self.holding.as_mut(), &mut self.scrap) {
                Poll::Pending => return progress,
                Poll::Ready(Ok(Read::Full)) => {
                    self.full = true;
                    return progress;
                }
                Poll::Ready(Ok(Read::Some)) => progress = true,
                Poll::Ready(Ok(Read::Drained)) => return true,
                Poll::Ready(Ok(Read::End)) => {
                    self.lost(None);
                    return true;
                }
                Poll::Ready(Err(error)) => {
                    self.lost(Some(&error));
                    return true;
                }
            }
        }
        progress
    }

    /// Writes what is queued. Whether all of it is gone, so that the core may have more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(link) = self.link.as_mut().filter(|l| l.tx.queued() > 0) else { return false };
        match link.poll_write(cx) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                self.lost(Some(&error));
                true
            }
        }
    }

    /// The connection is gone.
    fn lost(&mut self, error: Option<&io::Error>) {
        if let Some(error) = error {
            tracing::debug!(target = %self.shared.target, %error, "the connection failed");
        }
        // What came before the end still counts.
        let now = clock::now();
        let mut state = self.shared.lock();
        give_back(&mut state, self.holding.take());
        if let Some(mut link) = self.link.take() {
            let _ = state.nexus.receive(now, &mut link.rx);
            let why = if error.is_some() { TransportError::Failed } else { TransportError::Closed };
            state.nexus.lost(now, why);
        }
    }

    /// Lets the core work, under the lock. When there is nothing to do, and `idle` says that there was nothing before
    /// either, whoever hands in the next command wakes the driver. Returns whether there was anything, and the next
    /// deadline; `None` when the session is over.
    fn work(&mut self, cx: &Context<'_>, idle: bool) -> Option<(bool, Option<Instant>)> {
        let now = clock::now();
        let Driver { shared, link, dial, wakers, .. } = self;
        let mut state = shared.lock();
        let mut progress = false;
        give_back(&mut state, self.holding.take());
        if state.nexus.poll_timeout().is_some_and(|at| at <= now) {
            state.nexus.handle_timeout(now);
        }
        if let Some(link) = link {
            // What is wrong with it is told as an event, too.
            let _ = state.nexus.receive(now, &mut link.rx);
            // Then there is more to read, and nobody has asked the socket to tell.
            progress = std::mem::take(&mut self.full) && !link.is_full();
        }
        let mut over = None;
        while let Some(event) = state.nexus.poll_event() {
            progress = true;
            let mut sockets = Sockets { link, dial };
            if let Some(end) = handle(shared, &mut state, &mut sockets, now, event, wakers) {
                over = Some(end);
            }
        }
        state.expire_queue(now, wakers);
        if let Some(link) = link {
            let before = link.tx.queued();
            state.nexus.transmit(now, &mut link.tx);
            progress |= link.tx.queued() != before;
        }
        let deadline = state.nexus.poll_timeout().into_iter().chain(state.queue_deadline).min();
        let is_over = over.is_some();
        if is_over {
            shared.over(&mut state, over, wakers);
        } else if idle && !progress {
            state.driver = Some(cx.waker().clone());
        }
        drop(state);
        wakers.drain(..).for_each(Waker::wake);
        (!is_over).then_some((progress, deadline))
    }

    /// Sets the timer. A later deadline than the armed one is left to the next time that the timer fires, which
    /// spares a busy session a change of the timer for every command. Returns whether the deadline has passed.
    fn rearm_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> bool {
        if self.armed.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            self.armed = None;
        }
        let Some(deadline) = deadline else { return false };
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return false;
        }
        self.armed = Some(deadline);
        self.timer.as_mut().reset(clock::to_tokio(deadline));
        let due = self.timer.as_mut().poll(cx).is_ready();
        if due {
            self.armed = None;
        }
        due
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let came = self.poll_dial(cx) | self.poll_read(cx);
            let Some((progress, deadline)) = self.work(cx, !came) else { return Poll::Ready(()) };
            let wrote = self.poll_write(cx);
            if !came && !progress && !wrote && !self.rearm_timer(cx, deadline) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Driver {
    /// The session is over by now, or the runtime is being shut down: then whoever waits must not wait for ever.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        give_back(&mut state, self.holding.take());
        if !matches!(*self.shared.status.borrow(), Status::Over(_)) {
            let mut wakers = std::mem::take(&mut self.wakers);
            self.shared.over(&mut state, None, &mut wakers);
            drop(state);
            wakers.drain(..).for_each(Waker::wake);
        }
    }
}

/// What the nexus opens and closes.
struct Sockets<'a> {
    link: &'a mut Option<Link>,
    dial: &'a mut Option<Dial>,
}

/// Returns the memory of a task to its waiter. Without one it is dropped here: nobody waits for it any more.
fn give_back(state: &mut State, holding: Option<Holding>) {
    if let Some(Holding { task, memory: Some(memory) }) = holding
        && let Some(waiter) = state.waiters.of_task(task)
    {
        waiter.buffer = memory;
    }
}

/// Acts on an event of the nexus. Returns how it ended, if it did.
fn handle(
    shared: &Arc<Shared>,
    state: &mut State,
    sockets: &mut Sockets<'_>,
    now: Instant,
    event: NexusEvent,
    wakers: &mut Vec<Waker>,
) -> Option<NexusEnd> {
    match event {
        NexusEvent::Session(event) => session_event(shared, state, now, event, wakers),
        NexusEvent::Dial { address, .. } => *sockets.dial = Some(dial(address)),
        NexusEvent::HangUp => {
            // What was not written yet must not reach the target behind the back of the next connection.
            (*sockets.dial, *sockets.link) = (None, None);
        }
        NexusEvent::Up { again, address } => {
            state.address.clone_from(&address);
            state.trouble = None;
            shared.status.send_replace(Status::Up);
            if again {
                state.stats.reconnects += 1;
                shared.tell(Event::Reconnected { address });
                unit::refresh_all(shared);
            }
        }
        NexusEvent::Down { why, retry_at } => {
            state.stats.disconnects += 1;
            state.trouble = Some(super::events::interruption(&why).into());
            unit::suspend_all(shared);
            shared.tell(Event::Disconnected { why, retry_at: retry_at.map(clock::to_std) });
        }
        NexusEvent::AttemptFailed { why, retry_at } => {
            state.stats.failed_attempts += 1;
            state.trouble = Some(why.to_string().into());
            shared.tell(Event::AttemptFailed { why, retry_at: clock::to_std(retry_at) });
        }
        NexusEvent::Redirected(redirect) => shared.tell(Event::Redirected(redirect)),
        NexusEvent::Ended(end) => return Some(end),
        _ => {}
    }
    None
}

fn session_event(
    shared: &Arc<Shared>,
    state: &mut State,
    now: Instant,
    event: initiator::Event,
    wakers: &mut Vec<Waker>,
) {
    use initiator::Event as E;
    match event {
        E::Completed { task, outcome } => state.completed(now, task, outcome, wakers),
        E::DataIn { task, offset, data } => state.data_in(task, offset, &data),
        E::RoomAgain => state.refill(now, wakers),
        E::TaskManagementDone { request, result } => state.answer(request, Reply::Management(result)),
        E::Targets { request, result } => state.answer(request, Reply::Targets(result)),
        E::Pong { request, result } => state.answer(request, Reply::Pong(result)),
        E::UnitAttention { lun, sense } => {
            state.stats.unit_attentions += 1;
            unit::attention(shared, lun, &sense);
            shared.tell(Event::UnitAttention { lun, sense: short(&sense) });
        }
        E::Async { message, data } => {
            unit::asynchronous(shared, &message, &data);
            shared.tell(Event::AsyncMessage { message, data: short(&data) });
        }
        E::Rejected { reason, .. } => shared.tell(Event::Rejected { reason }),
        _ => {}
    }
}

/// A copy of what a target tells unasked, cut to what one event may hold: events wait for those who listen.
fn short(data: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&data[..data.len().min(MOST_TOLD)])
}
