//! One command, from its first poll to its end.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use iscsicore::initiator::{Answer, Cause, Command, Outcome, RefusedWhy};
use iscsicore::scsi::{Cdb, Sense, Status};
use iscsicore::wire::Lun;

use super::error::{Place, ScsiError, SessionEnded};
use super::state::{Shared, Status as SessionStatus};
use super::waiters::Key;
use super::{ClientError, Result};

/// A command under way. Dropped before its end it is aborted, and no memory of the caller is at risk: a buffer was handed
/// over, and is dropped as well.
#[must_use]
pub(super) struct Running<'a> {
    shared: &'a Shared,
    step: Step,
}

enum Step {
    /// Not polled yet.
    New(Command, BytesMut),
    Waiting(Key),
    Over,
}

impl Future for Running<'_> {
    type Output = (Result<Outcome, RefusedWhy>, BytesMut);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::New(command, buffer) => match self.shared.start(command, buffer, cx) {
                Ok(key) => {
                    self.step = Step::Waiting(key);
                    Poll::Pending
                }
                Err((why, buffer)) => Poll::Ready((Err(why), buffer)),
            },
            Step::Waiting(key) => match self.shared.finish(key, cx) {
                Some(done) => Poll::Ready(done),
                None => {
                    self.step = Step::Waiting(key);
                    Poll::Pending
                }
            },
            Step::Over => Poll::Pending,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Step::Waiting(key) = self.step {
            self.shared.cancel(key);
        }
    }
}

impl Shared {
    /// Has a command carried out, with `buffer` as the memory of [`Sink::Slots`](iscsicore::initiator::Sink::Slots).
    /// An answer with any status is an answer.
    pub(super) async fn run(
        self: &Arc<Self>,
        mut command: Command,
        buffer: BytesMut,
    ) -> (Result<Answer>, BytesMut) {
        command.timeout = command.timeout.or(self.command_timeout);
        let (lun, cdb) = (command.lun, command.cdb.clone());
        let running = Running { shared: self, step: Step::New(command, buffer) };
        let (outcome, buffer) = running.await;
        let place = || self.place(Some(lun), cdb.name());
        let answer = match outcome {
            Ok(Outcome::Answered(answer)) => Ok(answer),
            Ok(Outcome::NotSent(Cause::SessionEnded)) | Err(RefusedWhy::NotTaken) => Err(self.ended()),
            Ok(Outcome::NotSent(cause)) => Err(ClientError::NotSent { place: place(), cause }),
            Ok(Outcome::Unknown(cause)) => Err(ClientError::Unknown { place: place(), cause }),
            Ok(_) => Err(ClientError::Aborted(place())),
            Err(why) => Err(ClientError::misuse(format!("{}: {why}", place()))),
        };
        (answer, buffer)
    }

    /// The same, and only GOOD is good.
    pub(super) async fn run_good(
        self: &Arc<Self>,
        command: Command,
        buffer: BytesMut,
    ) -> (Result<Answer>, BytesMut) {
        let (lun, cdb) = (command.lun, command.cdb.clone());
        let (answer, buffer) = self.run(command, buffer).await;
        (answer.and_then(|answer| self.good(lun, &cdb, answer)), buffer)
    }

    /// Takes an answer with status GOOD.
    pub(super) fn good(&self, lun: Lun, cdb: &Cdb, answer: Answer) -> Result<Answer> {
        if matches!(answer.status, Status::GOOD | Status::CONDITION_MET) {
            return Ok(answer);
        }
        Err(ClientError::Scsi(Box::new(ScsiError {
            place: self.place(Some(lun), cdb.name()),
            status: answer.status,
            sense: Sense::decode(&answer.sense),
            raw_sense: answer.sense,
        })))
    }

    /// What is said of an answer that is none.
    pub(super) fn bad_answer(&self, lun: Lun, cdb: &Cdb, problem: impl Into<String>) -> ClientError {
        ClientError::Answer { place: self.place(Some(lun), cdb.name()), problem: problem.into() }
    }

    pub(super) fn place(&self, lun: Option<Lun>, command: Cow<'static, str>) -> Place {
        Place { command, lun, target: Arc::clone(&self.target) }
    }

    /// Why nothing can be asked any more.
    pub(super) fn ended(&self) -> ClientError {
        let why = match &*self.status.borrow() {
            SessionStatus::Over(why) => why.clone(),
            _ => None,
        };
        ClientError::Ended(Box::new(SessionEnded { target: Arc::clone(&self.target), why }))
    }
}
