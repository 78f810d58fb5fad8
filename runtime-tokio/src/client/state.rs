//! What the handles of a session and its driver share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsicore::initiator::{Cause, Command, Outcome, Refused, RefusedWhy};
use iscsicore::link::TaskId;
use iscsicore::nexus::{Nexus, NexusEnd};
use iscsicore::session::TargetRecord;
use iscsicore::wire::{Isid, TaskManagementResult};
use iscsicore::{Instant, Misuse};
use tokio::sync::{broadcast, oneshot, watch};

use super::events::Event;
use super::stats::Stats;
use super::unit::Unit;
use super::waiters::{Key, Stage, Waiter, Waiters};
use crate::clock;

/// One session with one target.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) status: watch::Sender<Status>,
    pub(super) events: broadcast::Sender<Event>,
    /// The name of the target, or of the portal; for errors.
    pub(super) target: Arc<str>,
    pub(super) isid: Isid,
    /// The time that a command has when it says none itself.
    pub(super) command_timeout: Option<Duration>,
    /// Units that handles were made for.
    pub(super) units: Mutex<Vec<Arc<Unit>>>,
    /// Commands that wait until it is known what unit they would go to.
    pub(super) held: AtomicU64,
}

/// How far a session is.
#[derive(Clone, Debug)]
pub(super) enum Status {
    /// It never was up.
    Beginning,
    /// It was up, and will be again if it is not.
    Up,
    /// It is over; `None` when its driver was dropped.
    Over(Option<NexusEnd>),
}

/// What is guarded by the lock. It is held for moments, never across a wait.
#[derive(Debug)]
pub(super) struct State {
    pub(super) nexus: Nexus,
    pub(super) waiters: Waiters,
    /// Set while the driver sleeps.
    pub(super) driver: Option<Waker>,
    pub(super) stats: Stats,
    /// Where the target is, `host:port`.
    pub(super) address: String,
    /// When a command in the queue runs out of time; it may have left the queue since.
    pub(super) queue_deadline: Option<Instant>,
    /// While there is no connection: what happened last.
    pub(super) trouble: Option<Arc<str>>,
    requests: Vec<(TaskId, oneshot::Sender<Reply>)>,
    /// Nobody drives the nexus any more: it is not to be touched.
    over: bool,
}

/// The answer to something that is no command.
#[derive(Debug)]
pub(super) enum Reply {
    Management(Result<TaskManagementResult, Cause>),
    Targets(Result<Vec<TargetRecord>, Cause>),
    Pong(Result<Bytes, Cause>),
}

impl Shared {
    pub(super) fn new(
        nexus: Nexus,
        address: String,
        target: Arc<str>,
        isid: Isid,
        command_timeout: Option<Duration>,
    ) -> Self {
        let state = State {
            nexus,
            waiters: Waiters::default(),
            driver: None,
            stats: Stats::default(),
            address,
            queue_deadline: None,
            trouble: None,
            requests: Vec::new(),
            over: false,
        };
        Shared {
            state: Mutex::new(state),
            status: watch::Sender::new(Status::Beginning),
            events: broadcast::Sender::new(super::events::BACKLOG),
            target,
            isid,
            command_timeout,
            units: Mutex::default(),
            held: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the nexus, if it lives, and lets the driver see what came of it.
    pub(super) fn act(&self, act: impl FnOnce(&mut Nexus, Instant)) {
        let now = clock::now();
        let mut state = self.lock();
        if state.over {
            return;
        }
        act(&mut state.nexus, now);
        let driver = state.driver.take();
        drop(state);
        wake(driver);
    }

    /// Asks something that is no command.
    pub(super) fn request(
        &self,
        ask: impl FnOnce(&mut Nexus, Instant) -> Result<TaskId, Misuse>,
    ) -> Result<oneshot::Receiver<Reply>, Misuse> {
        let now = clock::now();
        let mut state = self.lock();
        if state.over {
            return Err(Misuse::WrongState("the session has ended"));
        }
        let request = ask(&mut state.nexus, now)?;
        let (sender, receiver) = oneshot::channel();
        // Those who stopped waiting need no place.
        state.requests.retain(|(_, sender)| !sender.is_closed());
        state.requests.push((request, sender));
        let driver = state.driver.take();
        drop(state);
        wake(driver);
        Ok(receiver)
    }

    /// Hands in a command.
    pub(super) fn start(
        &self,
        command: Command,
        buffer: BytesMut,
        cx: &Context<'_>,
    ) -> Result<Key, (RefusedWhy, BytesMut)> {
        let now = clock::now();
        let mut state = self.lock();
        let key = state.start(now, command, buffer, cx.waker().clone())?;
        let driver = state.driver.take();
        drop(state);
        wake(driver);
        Ok(key)
    }

    /// The outcome of a command and its memory, once it has ended.
    pub(super) fn finish(
        &self,
        key: Key,
        cx: &Context<'_>,
    ) -> Option<(Result<Outcome, RefusedWhy>, BytesMut)> {
        let mut state = self.lock();
        let waiter = state.waiters.get_mut(key);
        if !matches!(waiter.stage, Stage::Done(_)) {
            match &mut waiter.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return None;
        }
        let waiter = state.waiters.remove(key);
        drop(state);
        match waiter.stage {
            Stage::Done(outcome) => Some((outcome, waiter.buffer)),
            _ => None,
        }
    }

    /// Nobody waits for this command any more.
    pub(super) fn cancel(&self, key: Key) {
        let now = clock::now();
        let mut state = self.lock();
        let waiter = state.waiters.remove(key);
        let mut driver = None;
        if !matches!(waiter.stage, Stage::Done(_)) {
            state.stats.cancelled += 1;
        }
        if let Stage::Submitted(task) = waiter.stage
            && !state.over
        {
            state.nexus.cancel(now, task);
            driver = state.driver.take();
        }
        drop(state);
        wake(driver);
    }

    /// Tells whoever listens; nobody may.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Notes that the session is over: gives everybody an outcome, and tells. Under the lock, so that nobody sees the outcome
    /// without the reason.
    pub(super) fn over(&self, state: &mut State, end: Option<NexusEnd>, wakers: &mut Vec<Waker>) {
        state.over(wakers);
        self.status.send_replace(Status::Over(end.clone()));
        self.tell(Event::Ended(end.unwrap_or(NexusEnd::Wanted)));
    }

    /// Counts so far.
    pub(super) fn stats(&self) -> Stats {
        let state = self.lock();
        let in_flight = state.waiters.len() as u64 + self.held.load(Ordering::Relaxed);
        Stats { in_flight, ..state.stats }
    }
}

impl State {
    fn start(
        &mut self,
        now: Instant,
        command: Command,
        buffer: BytesMut,
        waker: Waker,
    ) -> Result<Key, (RefusedWhy, BytesMut)> {
        if self.over {
            return Err((RefusedWhy::NotTaken, buffer));
        }
        let sends = command.data_out.len() as u64;
        let timeout = command.timeout;
        let mut waiter = Waiter { stage: Stage::Free, waker: Some(waker), buffer, since: now, sends };
        if !self.waiters.queue.is_empty() {
            // Whoever asked first is first.
            waiter.stage = Stage::Queued(Box::new(command));
            return Ok(self.enqueue(now, waiter, timeout));
        }
        match self.nexus.submit(now, command) {
            Ok(task) => {
                let key = self.waiters.insert(waiter);
                self.waiters.submitted(key, task);
                Ok(key)
            }
            Err(Refused { command, why: RefusedWhy::QueueFull }) => {
                waiter.stage = Stage::Queued(command);
                Ok(self.enqueue(now, waiter, timeout))
            }
            Err(Refused { why, .. }) => Err((why, waiter.buffer)),
        }
    }

    fn enqueue(&mut self, now: Instant, waiter: Waiter, timeout: Option<Duration>) -> Key {
        let key = self.waiters.insert(waiter);
        self.waiters.queue.push_back(key);
        let deadline = timeout.map(|t| now + t);
        self.queue_deadline = [self.queue_deadline, deadline].into_iter().flatten().min();
        key
    }

    /// Hands in what waits for room, in its order, as far as there is room.
    pub(super) fn refill(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(key) = self.waiters.queue.pop_front() {
            let waiter = self.waiters.get_mut(key);
            let since = waiter.since;
            let Stage::Queued(command) = std::mem::replace(&mut waiter.stage, Stage::Free) else { continue };
            let whole = command.timeout;
            let mut command = *command;
            command.timeout = whole.map(|t| t.saturating_sub(now.saturating_since(since)));
            match self.nexus.submit(now, command) {
                Ok(task) => self.waiters.submitted(key, task),
                Err(Refused { mut command, why: RefusedWhy::QueueFull }) => {
                    command.timeout = whole;
                    self.waiters.get_mut(key).stage = Stage::Queued(command);
                    self.waiters.queue.push_front(key);
                    return;
                }
                Err(Refused { why, .. }) => {
                    let waiter = self.waiters.get_mut(key);
                    waiter.stage = Stage::Done(Err(why));
                    wakers.extend(waiter.waker.take());
                }
            }
        }
        self.queue_deadline = None;
    }

    /// Ends commands whose time was over before there was room for them.
    pub(super) fn expire_queue(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        if self.queue_deadline.is_none_or(|at| at > now) {
            return;
        }
        let waiters = &mut self.waiters;
        let mut next: Option<Instant> = None;
        let mut queue = std::mem::take(&mut waiters.queue);
        queue.retain(|key| {
            let waiter = waiters.get_mut(*key);
            let Stage::Queued(command) = &waiter.stage else { return false };
            let Some(deadline) = command.timeout.map(|t| waiter.since + t) else { return true };
            if deadline > now {
                next = Some(next.map_or(deadline, |n| n.min(deadline)));
                return true;
            }
            waiter.stage = Stage::Done(Ok(Outcome::NotSent(Cause::TimedOut)));
            wakers.extend(waiter.waker.take());
            false
        });
        waiters.queue = queue;
        self.queue_deadline = next;
    }

    /// Notes the end of a command.
    pub(super) fn completed(
        &mut self,
        now: Instant,
        task: TaskId,
        outcome: Outcome,
        wakers: &mut Vec<Waker>,
    ) {
        let Some(waiter) = self.waiters.ended(task) else { return };
        match &outcome {
            Outcome::Answered(answer) => {
                self.stats.answered += 1;
                self.stats.bytes_read += u64::from(answer.received);
                self.stats.bytes_written += waiter.sends;
                self.stats.latency.record(now.saturating_since(waiter.since));
            }
            _ => self.stats.unanswered += 1,
        }
        waiter.stage = Stage::Done(Ok(outcome));
        wakers.extend(waiter.waker.take());
    }

    /// Copies payload that did not arrive in a slot.
    pub(super) fn data_in(&mut self, task: TaskId, offset: u32, data: &[u8]) {
        let Some(waiter) = self.waiters.of_task(task) else { return };
        let at = offset as usize;
        if let Some(place) = at.checked_add(data.len()).and_then(|end| waiter.buffer.get_mut(at..end)) {
            place.copy_from_slice(data);
        }
    }

    /// Hands the answer of something that is no command to who asked.
    pub(super) fn answer(&mut self, request: TaskId, reply: Reply) {
        if let Some(at) = self.requests.iter().position(|(id, _)| *id == request) {
            // Whoever stopped waiting does not need it.
            let _ = self.requests.swap_remove(at).1.send(reply);
        }
    }

    /// The session is over: whatever has no outcome gets one.
    fn over(&mut self, wakers: &mut Vec<Waker>) {
        self.over = true;
        for waiter in self.waiters.unfinished() {
            let outcome = match waiter.stage {
                Stage::Submitted(_) => Outcome::Unknown(Cause::SessionEnded),
                _ => Outcome::NotSent(Cause::SessionEnded),
            };
            waiter.stage = Stage::Done(Ok(outcome));
            wakers.extend(waiter.waker.take());
        }
        self.waiters.queue.clear();
        self.requests.clear();
    }
}

fn wake(driver: Option<Waker>) {
    if let Some(waker) = driver {
        waker.wake();
    }
}
