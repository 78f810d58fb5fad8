//! Commands in the form in which the tests send them: nothing is retried or repeated behind their backs.

use iscsicore::DataList;
use iscsicore::initiator::{Answer, Command, Outcome, Repeat, Sink, Transient};
use iscsicore::scsi::{Cdb, Status};
use iscsicore::wire::{Lun, TaskAttribute};

pub const BLOCK: usize = 512;

/// A command without data.
pub fn plain(cdb: &[u8]) -> Command {
    let mut first = [0; 16];
    first[..cdb.len()].copy_from_slice(cdb);
    Command {
        lun: Lun::ZERO,
        cdb: Cdb::new(first),
        attribute: TaskAttribute::Simple,
        priority: 0,
        data_out: DataList::new(),
        data_in: 0,
        sink: Sink::Collect,
        repeat: Repeat::Never,
        transient: Transient::Deliver,
        timeout: None,
    }
}

pub fn test_unit_ready() -> Command {
    plain(&[0; 6])
}

/// READ (10) of whole blocks, with room for exactly those.
pub fn read(lba: u32, blocks: u16, sink: Sink) -> Command {
    Command { data_in: u32::from(blocks) * BLOCK as u32, sink, ..plain(&rw10(0x28, lba, blocks)) }
}

/// WRITE (10) of whole blocks.
pub fn write(lba: u32, data: Vec<u8>) -> Command {
    assert_eq!(data.len() % BLOCK, 0);
    let blocks = (data.len() / BLOCK) as u16;
    Command { data_out: DataList::from(data), ..plain(&rw10(0x2a, lba, blocks)) }
}

pub fn rw10(opcode: u8, lba: u32, blocks: u16) -> [u8; 10] {
    let (l, n) = (lba.to_be_bytes(), blocks.to_be_bytes());
    [opcode, 0, l[0], l[1], l[2], l[3], 0, n[0], n[1], 0]
}

/// What the [scripted command](super::far) is to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scripted {
    /// Bytes to send, of [`pattern`].
    pub send: u32,
    /// Bytes to ask for.
    pub take: u32,
    /// What to report as moved; for a bidirectional command that of the write part.
    pub moved: u32,
    pub status: u8,
}

/// A vendor's command that the application of the target carries out as told.
pub fn scripted(what: Scripted, data_out: Vec<u8>, data_in: u32) -> Command {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (super::far::SCRIPTED, what.status);
    cdb[2..6].copy_from_slice(&what.send.to_be_bytes());
    cdb[6..10].copy_from_slice(&what.take.to_be_bytes());
    cdb[10..14].copy_from_slice(&what.moved.to_be_bytes());
    Command { data_out: DataList::from(data_out), data_in, ..plain(&cdb) }
}

/// Bytes that differ from place to place.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// The answer that a command ended with.
pub fn answer(outcome: &Outcome) -> &Answer {
    match outcome {
        Outcome::Answered(answer) => answer,
        other => panic!("an answer: {other:?}"),
    }
}

pub fn is_good(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Answered(answer) if answer.status == Status::GOOD)
}
