//! Commands, and data that tell where they belong.

use iscsicore::DataList;
use iscsicore::initiator::{Command, Repeat, Sink, Transient};
use iscsicore::scsi::Cdb;
use iscsicore::wire::{Lun, TaskAttribute};

use super::BLOCK;

/// `len` blocks that differ from those of another seed.
pub(crate) fn pattern(seed: u8, blocks: usize) -> Vec<u8> {
    (0..blocks * BLOCK).map(|i| (i / BLOCK) as u8 ^ (i as u8).wrapping_mul(seed) ^ seed).collect()
}

fn command(cdb: &[u8]) -> Command {
    Command {
        lun: Lun(0),
        cdb: Cdb::from_slice(cdb).unwrap(),
        attribute: TaskAttribute::Simple,
        priority: 0,
        data_out: DataList::default(),
        data_in: 0,
        sink: Sink::Collect,
        repeat: Repeat::Safe,
        transient: Transient::Retry,
        timeout: None,
    }
}

fn ten(opcode: u8, lba: u32, blocks: u16) -> [u8; 10] {
    let mut cdb = [0; 10];
    cdb[0] = opcode;
    cdb[2..6].copy_from_slice(&lba.to_be_bytes());
    cdb[7..9].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

pub(crate) fn read(lba: u32, blocks: u16) -> Command {
    Command { data_in: u32::from(blocks) * BLOCK as u32, ..command(&ten(0x28, lba, blocks)) }
}

pub(crate) fn write(lba: u32, data: &[u8]) -> Command {
    let blocks = (data.len() / BLOCK) as u16;
    Command { data_out: DataList::from(data.to_vec()), ..command(&ten(0x2a, lba, blocks)) }
}

/// A write that is not to be repeated, as COMPARE AND WRITE is not.
pub(crate) fn write_once(lba: u32, data: &[u8]) -> Command {
    Command { repeat: Repeat::Never, ..write(lba, data) }
}

pub(crate) fn flush() -> Command {
    command(&ten(0x35, 0, 0))
}

pub(crate) fn test_unit_ready() -> Command {
    command(&[0; 6])
}
