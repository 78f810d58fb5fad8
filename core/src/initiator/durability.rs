//! Which acknowledged writes a flush covers. A target may acknowledge a write that only its volatile cache has; until a
//! flush has succeeded, a target that restarts has lost it, and nobody tells.

use crate::scsi::opcode;
use crate::wire::Lun;

use super::command::{Command, FlushCoverage};

/// What is known of each logical unit that was written to.
#[derive(Debug, Default)]
pub(super) struct Durability {
    units: Vec<Unit>,
}

#[derive(Debug)]
struct Unit {
    lun: Lun,
    /// Writes that were acknowledged.
    acknowledged: u64,
    /// How many of them a flush has covered.
    flushed: u64,
    /// How many of them had been acknowledged when the connection was lost last.
    exposed: u64,
}

/// What a command is to durability.
enum Class {
    Write,
    Flush,
    Other,
}

impl Durability {
    /// Writes that were acknowledged so far: what a flush that is sent now covers.
    pub(super) fn acknowledged(&self, lun: Lun) -> u64 {
        self.units.iter().find(|unit| unit.lun == lun).map_or(0, |unit| unit.acknowledged)
    }

    /// The connection was lost.
    pub(super) fn interrupted(&mut self) {
        for unit in &mut self.units {
            if unit.acknowledged > unit.flushed {
                unit.exposed = unit.acknowledged;
            }
        }
    }

    /// A command was answered. `covers` is what [`acknowledged`](Self::acknowledged) was when it was sent.
    pub(super) fn ended(&mut self, command: &Command, covers: u64, good: bool) -> FlushCoverage {
        let class = classify(command);
        if !good || matches!(class, Class::Other) {
            return FlushCoverage::All;
        }
        let at = match self.units.iter().position(|unit| unit.lun == command.lun) {
            Some(at) => at,
            None => {
                self.units.push(Unit { lun: command.lun, acknowledged: 0, flushed: 0, exposed: 0 });
                self.units.len() - 1
            }
        };
        let unit = &mut self.units[at];
        if let Class::Write = class {
            unit.acknowledged += 1;
            return FlushCoverage::All;
        }
        let coverage = match unit.exposed > unit.flushed {
            true => FlushCoverage::OnlySinceReconnect,
            false => FlushCoverage::All,
        };
        unit.flushed = unit.flushed.max(covers);
        coverage
    }
}

/// FUA writes and WRITE AND VERIFY are on stable storage when they are acknowledged, but it does no harm to count them.
/// A flush of a part covers a part: it says nothing of the rest.
fn classify(command: &Command) -> Class {
    let cdb = &command.cdb;
    match cdb.opcode() {
        opcode::SYNCHRONIZE_CACHE_10 if cdb.u32_at(2) == 0 && cdb.u16_at(7) == 0 => Class::Flush,
        opcode::SYNCHRONIZE_CACHE_16 if cdb.u64_at(2) == 0 && cdb.u32_at(10) == 0 => Class::Flush,
        opcode::SYNCHRONIZE_CACHE_10 | opcode::SYNCHRONIZE_CACHE_16 => Class::Other,
        opcode::UNMAP => Class::Write,
        // A write of another kind is at worst one that no flush was needed for.
        _ if !command.data_out.is_empty() => Class::Write,
        // WRITE SAME without data.
        opcode::WRITE_SAME_16 => Class::Write,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataList;
    use crate::scsi::Cdb;

    fn command(opcode: u8, data: &[u8]) -> Command {
        let mut cdb = [0; 16];
        cdb[0] = opcode;
        let mut command = Command::new(Lun::ZERO, Cdb::new(cdb));
        command.data_out = DataList::from(data.to_vec());
        command
    }

    #[test]
    fn a_flush_covers_what_was_acknowledged_before_it_was_sent_and_since_the_last_loss() {
        let (write, flush) = (command(opcode::WRITE_16, &[1]), command(opcode::SYNCHRONIZE_CACHE_10, &[]));
        let mut d = Durability::default();
        let sent = |d: &Durability| d.acknowledged(Lun::ZERO);
        d.ended(&write, 0, true);
        let covers = sent(&d);
        assert_eq!(d.ended(&flush, covers, true), FlushCoverage::All);
        d.interrupted();
        let covers = sent(&d);
        assert_eq!(d.ended(&flush, covers, true), FlushCoverage::All, "nothing was unflushed");
        // A write that is acknowledged while the flush is under way is not covered by it.
        let covers = sent(&d);
        d.ended(&write, 0, true);
        assert_eq!(d.ended(&flush, covers, true), FlushCoverage::All);
        d.interrupted();
        let covers = sent(&d);
        assert_eq!(d.ended(&flush, covers, false), FlushCoverage::All, "a flush that failed says nothing");
        assert_eq!(d.ended(&flush, covers, true), FlushCoverage::OnlySinceReconnect);
        let covers = sent(&d);
        assert_eq!(d.ended(&flush, covers, true), FlushCoverage::All, "told once");
    }
}
