//! SCSI Data-In, RFC 7143 section 11.7: where it goes, and whether it is what was asked for.

use bytes::{Bytes, BytesMut};

use crate::link::{Placement, Slot, TaskId};
use crate::login::Parameters;
use crate::wire::{Bhs, DataIn, Opcode};
use crate::{DataList, PeerError};

use super::Initiator;
use super::command::Sink;
use super::event::Event;
use super::ranges::Ranges;
use super::receive::Fault;
use super::task::{Phase, Scsi, Tasks};

/// A piece of an answer of at least this many bytes is handed out as it is, and keeps the read buffer around it
/// alive; smaller ones are copied together.
const KEEP: usize = 16 * 1024;

/// Payload that has arrived of one command.
#[derive(Debug, Default)]
pub(super) struct DataInState {
    /// Bytes, however ordered.
    pub(super) received: u32,
    /// What has arrived, when order is not agreed on.
    ranges: Ranges,
    collector: Collector,
}

impl DataInState {
    /// Whether `offset..offset + len` may arrive now.
    fn check(&self, offset: u32, len: u32, expected: u32, in_order: bool) -> Result<(), &'static str> {
        let end = offset.checked_add(len).filter(|end| *end <= expected);
        let end = end.ok_or("Data-In beyond the end of what was asked for")?;
        if in_order {
            return match offset == self.received {
                true => Ok(()),
                false => Err("Data-In at another Buffer Offset than the next"),
            };
        }
        match self.ranges.overlaps(offset, end) {
            true => Err("Data-In for bytes that have arrived already"),
            false => Ok(()),
        }
    }

    fn note(&mut self, offset: u32, len: u32, in_order: bool) -> Result<(), &'static str> {
        self.received += len;
        match in_order || self.ranges.add(offset, offset + len) {
            true => Ok(()),
            false => Err("Data-In in too many pieces out of order"),
        }
    }

    /// Whether what has arrived is the first part of the whole, without a gap.
    pub(super) fn is_contiguous(&self) -> bool {
        self.ranges.is_start(self.received)
    }

    pub(super) fn take_data(&mut self) -> DataList {
        core::mem::take(&mut self.collector).finish(self.received as usize)
    }
}

/// Puts the pieces of an answer together.
#[derive(Debug, Default)]
struct Collector {
    list: DataList,
    /// Small pieces after `list`.
    tail: BytesMut,
    /// All of it, from the first piece on that came out of order.
    scattered: Option<BytesMut>,
}

impl Collector {
    fn add(&mut self, offset: u32, data: Bytes, expected: u32) {
        let (offset, expected) = (offset as usize, expected as usize);
        if self.scattered.is_none() && offset == self.list.len() + self.tail.len() {
            if data.len() >= KEEP || data.len() == expected {
                self.list.push(core::mem::take(&mut self.tail).freeze());
                self.list.push(data);
            } else {
                self.tail.extend_from_slice(&data);
            }
            return;
        }
        let so_far = (&mut self.list, &mut self.tail);
        let scattered = self.scattered.get_or_insert_with(|| {
            let mut all = BytesMut::zeroed(expected);
            let mut at = 0;
            so_far.0.push(core::mem::take(so_far.1).freeze());
            for chunk in core::mem::take(so_far.0).chunks() {
                all[at..at + chunk.len()].copy_from_slice(chunk);
                at += chunk.len();
            }
            all
        });
        // The range was checked against `expected` before.
        scattered[offset..offset + data.len()].copy_from_slice(&data);
    }

    fn finish(mut self, received: usize) -> DataList {
        match self.scattered {
            Some(mut all) => {
                all.truncate(received);
                DataList::from(all.freeze())
            }
            None => {
                self.list.push(self.tail.freeze());
                self.list
            }
        }
    }
}

/// Whether the two keys make every Data-In of a command come in the order of its offsets.
pub(super) const fn is_ordered(parameters: &Parameters) -> bool {
    parameters.data_pdu_in_order && parameters.data_sequence_in_order
}

/// Where the payload of a PDU shall go whose header has arrived: into the command's memory, if all that its header
/// says is as it must be. Segments below `least` bytes are staged.
pub(super) fn place(tasks: &Tasks, in_order: bool, least: u32, bhs: &Bhs) -> Placement {
    let slot = || -> Option<Slot> {
        if bhs.opcode() != Opcode::DataIn {
            return None;
        }
        if bhs.data_segment_len() < least {
            return None;
        }
        let pdu = DataIn::parse(bhs).ok()?;
        let task = tasks.find(pdu.itt)?;
        let scsi = tasks.scsi(task).filter(|scsi| scsi.command.sink == Sink::Slots && !scsi.silent)?;
        check(scsi, &pdu, bhs.data_segment_len(), in_order).ok()?;
        Some(Slot { task, offset: pdu.offset.into(), len: bhs.data_segment_len() })
    };
    slot().map_or(Placement::Stage, Placement::Slot)
}

fn check(scsi: &Scsi, pdu: &DataIn, len: u32, in_order: bool) -> Result<(), &'static str> {
    if scsi.phase != Phase::Sent {
        return Err("Data-In for a command that was not sent");
    }
    if scsi.command.data_in == 0 {
        return Err("Data-In for a command that reads nothing");
    }
    if pdu.data_sn.0 != scsi.next_sn {
        return Err("DataSN is not the next one");
    }
    scsi.incoming.check(pdu.offset, len, scsi.command.data_in, in_order)
}

impl Initiator {
    pub(super) fn on_data_in(
        &mut self,
        pdu: &DataIn,
        data: Bytes,
        placed: u32,
    ) -> Result<Option<TaskId>, Fault> {
        let task = self.tasks.find(pdu.itt);
        let task = task.ok_or(Fault::protocol("Data-In for a task that is not there"))?;
        let in_order = self.in_order;
        let Some(scsi) = self.tasks.scsi_mut(task) else {
            return Err(Fault::protocol("Data-In for a task that is no SCSI command"));
        };
        let guilty = |why| Fault::of(task, PeerError::Protocol(why));
        let len = data.len() as u32 + placed;
        check(scsi, pdu, len, in_order).map_err(guilty)?;
        scsi.next_sn = scsi.next_sn.wrapping_add(1);
        scsi.incoming.note(pdu.offset, len, in_order).map_err(guilty)?;
        if !scsi.silent && !data.is_empty() {
            match scsi.command.sink {
                Sink::Collect => scsi.incoming.collector.add(pdu.offset, data, scsi.command.data_in),
                Sink::Slots => self.events.push_back(Event::DataIn { task, offset: pdu.offset, data }),
            }
        }
        Ok(pdu.status.is_some().then_some(task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_order_pieces_make_the_whole_in_every_order() {
        let whole: Vec<u8> = (0..12).collect();
        for code in 0..256u32 {
            let order: Vec<u32> = (0..4).map(|i| code >> (2 * i) & 3).collect();
            if (0..4).any(|n| !order.contains(&n)) {
                continue;
            }
            let mut state = DataInState::default();
            for (count, n) in order.iter().enumerate() {
                let (offset, bytes) = (n * 3, Bytes::copy_from_slice(&whole[*n as usize * 3..][..3]));
                state.check(offset, 3, 12, false).unwrap();
                state.note(offset, 3, false).unwrap();
                state.collector.add(offset, bytes, 12);
                assert!(state.check(offset + 2, 1, 12, false).is_err(), "again");
                assert_eq!(state.is_contiguous(), order[..=count].iter().all(|n| *n as usize <= count));
            }
            assert_eq!(state.take_data().to_bytes(), whole);
        }
    }

    #[test]
    fn nothing_beyond_the_end_or_before_its_turn() {
        let state = DataInState::default();
        assert!(state.check(0, 10, 10, true).is_ok());
        assert!(state.check(0, 11, 10, true).is_err());
        assert!(state.check(u32::MAX, 2, 10, false).is_err());
        assert!(state.check(4, 4, 10, true).is_err());
        assert!(state.check(4, 4, 10, false).is_ok());
    }

    #[test]
    fn large_pieces_are_kept_and_small_ones_joined() {
        let mut collector = Collector::default();
        let total = (KEEP + 8) as u32;
        collector.add(0, Bytes::from_static(&[1; 4]), total);
        collector.add(4, Bytes::from(vec![2; KEEP]), total);
        collector.add(4 + KEEP as u32, Bytes::from_static(&[3; 4]), total);
        let list = collector.finish(total as usize);
        assert_eq!(list.chunks().map(Bytes::len).collect::<Vec<_>>(), [4, KEEP, 4]);
    }
}
