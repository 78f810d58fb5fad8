//! How commands end: SCSI Response (RFC 7143 section 11.4), status in Data-In, and everything that is no answer.

use core::time::Duration;

use bytes::Bytes;

use crate::link::TaskId;
use crate::scsi::{Sense, SenseKey, Status};
use crate::wire::{DataIn, Residual, ScsiResponse};
use crate::{DataList, FrameError, Instant, PeerError};

use super::Initiator;
use super::command::{Answer, Cause, FlushCoverage, Outcome, Repeat, Sink, Transient};
use super::event::Event;
use super::receive::Fault;
use super::task::{Body, Phase, Scsi};

/// How often a command without a timeout is put off before its caller gets to know.
const MAX_PUT_OFF: u32 = 100;

/// How often a command is sent again that the target has aborted, a damaged payload (0Bh/47h) being the usual reason.
const MAX_ABORTED: u32 = 5;

/// The first pause before a busy target is asked again; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a target says of the end of a command.
struct Said<'a> {
    status: u8,
    qualifier: u16,
    residual: Residual,
    read_residual: Residual,
    sense: &'a [u8],
}

impl Initiator {
    /// The status that came with the last Data-In of a command.
    pub(super) fn on_data_in_status(
        &mut self,
        now: Instant,
        task: TaskId,
        pdu: &DataIn,
    ) -> Result<(), Fault> {
        let said = Said {
            status: pdu.status.unwrap_or_default(),
            qualifier: 0,
            residual: pdu.residual,
            read_residual: Residual::None,
            sense: &[],
        };
        self.answered(now, task, &said)
    }

    pub(super) fn on_response(
        &mut self,
        now: Instant,
        pdu: &ScsiResponse,
        data: &Bytes,
    ) -> Result<(), Fault> {
        let task = self.tasks.find(pdu.itt);
        let task = task.ok_or(Fault::protocol("SCSI Response for a task that is not there"))?;
        let Some(scsi) = self.tasks.scsi(task) else {
            return Err(Fault::protocol("SCSI Response for a task that is no SCSI command"));
        };
        if scsi.phase != Phase::Sent {
            let error = PeerError::Protocol("SCSI Response for a command that was not sent");
            return Err(Fault::of(task, error));
        }
        if pdu.response != ScsiResponse::COMPLETED {
            self.finish(task, Outcome::Unknown(Cause::TargetFailure(pdu.response)));
            return Ok(());
        }
        let sense = sense_of(data).map_err(|error| Fault::of(task, error))?;
        let said = Said {
            status: pdu.status,
            // RFC 7144 section 5.2.1.
            qualifier: if self.protocol_level() < 2 { 0 } else { pdu.status_qualifier },
            residual: pdu.residual,
            read_residual: pdu.bidi_read_residual,
            sense,
        };
        self.answered(now, task, &said)
    }

    fn answered(&mut self, now: Instant, task: TaskId, said: &Said<'_>) -> Result<(), Fault> {
        let Some(scsi) = self.tasks.scsi_mut(task) else { return Ok(()) };
        let status = Status(said.status);
        let sense = Sense::decode(said.sense).filter(|s| status == Status::CHECK_CONDITION && !s.deferred);
        let recovered = sense.as_ref().is_some_and(|s| s.key == SenseKey::RecoveredError);
        let succeeded = matches!(status, Status::GOOD | Status::CONDITION_MET) || recovered;
        if succeeded {
            check_complete(scsi, said).map_err(|why| Fault::of(task, PeerError::Protocol(why)))?;
        }
        if !scsi.silent && !scsi.aborting && self.put_off(now, task, status, sense.as_ref(), said.sense) {
            return Ok(());
        }
        let Some(scsi) = self.tasks.scsi_mut(task) else { return Ok(()) };
        let data = match scsi.command.sink {
            Sink::Collect => scsi.incoming.take_data(),
            Sink::Slots => DataList::new(),
        };
        // What nobody is told of is covered by nothing, and tells nothing.
        let coverage = match succeeded && !scsi.silent {
            true => self.durability.succeeded(&scsi.command, scsi.covers),
            false => FlushCoverage::All,
        };
        let answer = Answer {
            status,
            status_qualifier: said.qualifier,
            sense: Bytes::copy_from_slice(said.sense),
            data,
            received: scsi.incoming.received,
            residual: said.residual,
            read_residual: said.read_residual,
            coverage,
        };
        self.finish(task, Outcome::Answered(answer));
        Ok(())
    }

    /// Puts a command back that the target did not carry out for a passing reason; whether it did.
    fn put_off(
        &mut self,
        now: Instant,
        task: TaskId,
        status: Status,
        sense: Option<&Sense>,
        raw: &[u8],
    ) -> bool {
        let Some(scsi) = self.tasks.scsi_mut(task) else { return false };
        if scsi.command.transient == Transient::Deliver || scsi.put_off >= MAX_PUT_OFF {
            return false;
        }
        let attention = sense.is_some_and(is_passing_attention);
        let busy = [Status::BUSY, Status::TASK_SET_FULL].contains(&status);
        let aborted = scsi.command.repeat == Repeat::Safe
            && scsi.aborted < MAX_ABORTED
            && sense.is_some_and(|s| s.key == SenseKey::AbortedCommand);
        if !attention && !aborted && !busy && !sense.is_some_and(is_getting_ready) {
            return false;
        }
        scsi.put_off += 1;
        if aborted {
            // Some of it may have been done.
            (scsi.aborted, scsi.doubtful) = (scsi.aborted + 1, true);
        }
        let (lun, put_off) = (scsi.command.lun, scsi.put_off);
        if attention {
            self.send_again(task);
            self.events.push_back(Event::UnitAttention { lun, sense: Bytes::copy_from_slice(raw) });
        } else {
            self.call_back(task, Phase::Paused);
            let pause = FIRST_PAUSE.saturating_mul(1 << (put_off - 1).min(10)).min(LONGEST_PAUSE);
            self.paused.push((now + pause, task));
        }
        true
    }

    /// Puts a command back that is with the target, to be sent ahead of what waits.
    pub(super) fn send_again(&mut self, task: TaskId) {
        self.call_back(task, Phase::Waiting);
        self.waiting.push_front(task);
    }

    /// Forgets an attempt, and the payload of it that has not left.
    fn call_back(&mut self, task: TaskId, phase: Phase) {
        if let Some(scsi) = self.tasks.scsi_mut(task) {
            scsi.start_over();
            scsi.phase = phase;
        }
        if let Some(conn) = &mut self.conn {
            conn.sequences.retain(|sequence| sequence.task != task);
        }
    }

    /// Ends a command.
    pub(super) fn finish(&mut self, id: TaskId, outcome: Outcome) {
        let Some(silent) = self.tasks.scsi(id).map(|scsi| scsi.silent) else { return };
        if !silent {
            self.tasks.hold(id);
        }
        let Some(task) = self.tasks.remove(id) else { return };
        let Body::Scsi(scsi) = task.body else { return };
        match scsi.phase {
            Phase::Sent => {}
            Phase::Waiting => self.waiting.retain(|waiting| *waiting != id),
            Phase::Paused => self.paused.retain(|(_, paused)| *paused != id),
        }
        if !silent {
            self.events.push_back(Event::Completed { task: id, outcome });
        }
        self.commands -= 1;
        if self.refused && self.commands < self.depth() && !self.ended {
            self.refused = false;
            self.events.push_back(Event::RoomAgain);
        }
    }
}

/// Of GOOD status everything must have been moved that the target does not say to have left.
fn check_complete(scsi: &Scsi, said: &Said<'_>) -> Result<(), &'static str> {
    let total = scsi.command.data_out.len() as u32;
    let left = if let Residual::Underflow(less) = said.residual { less } else { 0 };
    if scsi.outgoing.sent < total.saturating_sub(left) {
        return Err("GOOD status for a write whose payload was not taken");
    }
    let bidirectional = scsi.command.data_in > 0 && !scsi.command.data_out.is_empty();
    let residual = if bidirectional { said.read_residual } else { said.residual };
    let expected = match residual {
        _ if scsi.command.data_in == 0 => 0,
        Residual::None | Residual::Overflow(_) => scsi.command.data_in,
        Residual::Underflow(less) => {
            scsi.command.data_in.checked_sub(less).ok_or("a residual count larger than what was asked for")?
        }
    };
    if scsi.incoming.received != expected || !scsi.incoming.is_contiguous() {
        return Err("GOOD status, and payload missing");
    }
    Ok(())
}

/// The sense data behind its length.
fn sense_of(data: &[u8]) -> Result<&[u8], PeerError> {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return Ok(&[]) };
    rest.get(..usize::from(u16::from_be_bytes(*len))).ok_or(PeerError::Frame(FrameError::Field {
        field: "SenseLength",
        problem: "longer than the data segment",
    }))
}

/// Whether sense data tells of a unit attention that says no more than that something has happened: power on, reset or I_T
/// nexus loss (29h), changed parameters (2Ah), a provisioning threshold (38h), changed operating conditions (3Fh), a
/// failure that is predicted (5Dh). Others, such as a changed medium or lost reservations, are for the caller.
fn is_passing_attention(sense: &Sense) -> bool {
    if sense.deferred || sense.key != SenseKey::UnitAttention {
        return false;
    }
    match (sense.additional.code, sense.additional.qualifier) {
        // Reservations preempted or released, registrations preempted: somebody else has taken over.
        (0x2a, 0x03..=0x05) => false,
        (0x29 | 0x2a | 0x38 | 0x3f | 0x5d, _) => true,
        _ => false,
    }
}

/// Whether the unit will be ready without anybody's doing: it is becoming so, or changes its access state.
fn is_getting_ready(sense: &Sense) -> bool {
    let additional = (sense.additional.code, sense.additional.qualifier);
    sense.key == SenseKey::NotReady && !sense.deferred && [(0x04, 0x01), (0x04, 0x0a)].contains(&additional)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sense_is_cut_where_its_length_says() {
        assert_eq!(sense_of(&[]), Ok(&[][..]));
        assert_eq!(sense_of(&[0]), Ok(&[][..]));
        assert_eq!(sense_of(&[0, 2, 7, 8, 9]), Ok(&[7, 8][..]));
        assert!(sense_of(&[0, 4, 7, 8, 9]).is_err());
    }

    #[test]
    fn only_attentions_that_explain_themselves_are_passing() {
        let is_passing_attention =
            |sense: &[u8]| Sense::decode(sense).is_some_and(|s| is_passing_attention(&s));
        let fixed = |key, asc, ascq| {
            let mut sense = [0; 18];
            (sense[0], sense[2], sense[7], sense[12], sense[13]) = (0x70, key, 10, asc, ascq);
            sense
        };
        assert!(is_passing_attention(&fixed(6, 0x29, 7)));
        assert!(is_passing_attention(&[0x72, 6, 0x2a, 9, 0, 0, 0, 0]));
        assert!(!is_passing_attention(&fixed(6, 0x2a, 3)), "reservations preempted");
        assert!(!is_passing_attention(&fixed(6, 0x28, 0)), "medium may have changed");
        assert!(!is_passing_attention(&fixed(5, 0x29, 0)), "another sense key");
        assert!(!is_passing_attention(&fixed(6, 0x29, 0)[..12]), "too short");
        assert!(!is_passing_attention(&[]));
        assert!(!is_passing_attention(&[0x73, 6, 0x29, 0, 0, 0, 0, 0]), "of an earlier command");
    }
}
