//! One command, from its first poll to its end.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use iscsicore::initiator::{Answer, Cause, Command, Outcome, RefusedWhy};
use iscsicore::scsi::{Cdb, Sense, SenseKey, Status};
use iscsicore::wire::{Lun, Residual};

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
            Ok(Outcome::NotSent(cause)) => Err(self.not_sent(place(), cause)),
            Ok(Outcome::Unknown(cause)) => Err(self.unknown(place(), cause)),
            Ok(_) => Err(ClientError::Aborted(place())),
            Err(why) => Err(ClientError::misuse(format!("{}: {why}", place()))),
        };
        (answer, buffer)
    }

    /// The same, and only GOOD is good: with all of the payload taken.
    pub(super) async fn run_good(
        self: &Arc<Self>,
        command: Command,
        buffer: BytesMut,
    ) -> (Result<Answer>, BytesMut) {
        let (lun, cdb, sent) = (command.lun, command.cdb.clone(), command.data_out.len());
        let (answer, buffer) = self.run(command, buffer).await;
        (answer.and_then(|answer| self.good(lun, &cdb, sent, answer)), buffer)
    }

    /// Takes an answer with status GOOD to a command that had `sent` bytes to send.
    fn good(&self, lun: Lun, cdb: &Cdb, sent: usize, answer: Answer) -> Result<Answer> {
        let sent = if carries_blocks(cdb) { sent } else { 0 };
        // A recovered error is a success that the unit has something to tell of.
        let recovered = Sense::decode(&answer.sense)
            .is_some_and(|sense| sense.key == SenseKey::RecoveredError && !sense.deferred);
        if matches!(answer.status, Status::GOOD | Status::CONDITION_MET) || recovered {
            return match answer.residual {
                Residual::Underflow(less) if sent > 0 => {
                    let taken = sent.saturating_sub(less as usize);
                    Err(self.bad_answer(lun, cdb, format!("the target took only {taken} of {sent} bytes")))
                }
                Residual::Overflow(more) if sent > 0 => {
                    let problem =
                        format!("the target wanted {more} bytes more than the {sent} that there were");
                    Err(self.bad_answer(lun, cdb, problem))
                }
                _ => Ok(answer),
            };
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

    /// What is said of something that was certainly not carried out.
    pub(super) fn not_sent(&self, place: Place, cause: Cause) -> ClientError {
        ClientError::NotSent { place, cause, detail: self.detail(cause) }
    }

    /// What is said of something that was sent, and had no answer.
    pub(super) fn unknown(&self, place: Place, cause: Cause) -> ClientError {
        ClientError::Unknown { place, cause, detail: self.detail(cause) }
    }

    /// What is behind a cause: the reason of the end, or what is wrong with the connection now.
    fn detail(&self, cause: Cause) -> Option<Arc<str>> {
        match cause {
            Cause::SessionEnded => Some(self.end().reason().into()),
            Cause::TimedOut | Cause::ConnectionLost => self.lock().trouble.clone(),
            _ => None,
        }
    }

    /// Why nothing can be asked any more.
    pub(super) fn ended(&self) -> ClientError {
        ClientError::Ended(Box::new(self.end()))
    }

    fn end(&self) -> SessionEnded {
        let why = match &*self.status.borrow() {
            SessionStatus::Over(why) => why.clone(),
            _ => None,
        };
        SessionEnded { target: Arc::clone(&self.target), why }
    }
}

/// Whether the payload of a command is blocks, all of which must have been taken when it succeeded. Of parameter lists some
/// targets say nonsense: tgt counts that of UNMAP as left over, and carries the command out.
fn carries_blocks(cdb: &Cdb) -> bool {
    use iscsicore::scsi::opcode as op;
    let blocks = [
        op::WRITE_6,
        op::WRITE_10,
        op::WRITE_12,
        op::WRITE_16,
        op::WRITE_AND_VERIFY_10,
        op::WRITE_AND_VERIFY_12,
        op::WRITE_AND_VERIFY_16,
        op::WRITE_SAME_10,
        op::WRITE_SAME_16,
        op::COMPARE_AND_WRITE,
    ];
    blocks.contains(&cdb.opcode())
}
