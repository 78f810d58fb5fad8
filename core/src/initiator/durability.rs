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
    /// It covers a part, and so says nothing of the rest.
    PartialFlush,
    Other,
}

/// What a flush will cover that is sent at this moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Covers {
    /// Writes that were acknowledged.
    acknowledged: u64,
    coverage: FlushCoverage,
}

impl Durability {
    /// What a flush covers that is sent now.
    pub(super) fn covers(&self, lun: Lun) -> Covers {
        let Some(unit) = self.units.iter().find(|unit| unit.lun == lun) else { return Covers::default() };
        let coverage = match unit.exposed > unit.flushed {
            true => FlushCoverage::OnlySinceReconnect,
            false => FlushCoverage::All,
        };
        Covers { acknowledged: unit.acknowledged, coverage }
    }

    /// The connection was lost.
    pub(super) fn interrupted(&mut self) {
        for unit in &mut self.units {
            if unit.acknowledged > unit.flushed {
                unit.exposed = unit.acknowledged;
            }
        }
    }

    /// The caller is told that a command has succeeded. `covers` is from the time when it was sent.
    pub(super) fn succeeded(&mut self, command: &Command, covers: Covers) -> FlushCoverage {
        let class = classify(command);
        if let Class::PartialFlush = class {
            return covers.coverage;
        }
        if let Class::Other = class {
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
        unit.flushed = unit.flushed.max(covers.acknowledged);
        covers.coverage
    }
}

/// Whether repeating `command` elsewhere, while its first attempt may still be under way, could undo what was written
/// between the two.
pub(super) fn changes_data(command: &Command) -> bool {
    matches!(classify(command), Class::Write)
}

/// FUA writes and WRITE AND VERIFY are on stable storage when they are acknowledged, but it does no harm to count them.
fn classify(command: &Command) -> Class {
    let cdb = &command.cdb;
    match cdb.opcode() {
        opcode::SYNCHRONIZE_CACHE_10 if cdb.u32_at(2) == 0 && cdb.u16_at(7) == 0 => Class::Flush,
        opcode::SYNCHRONIZE_CACHE_16 if cdb.u64_at(2) == 0 && cdb.u32_at(10) == 0 => Class::Flush,
        opcode::SYNCHRONIZE_CACHE_10 | opcode::SYNCHRONIZE_CACHE_16 => Class::PartialFlush,
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
        use FlushCoverage::{All, OnlySinceReconnect};
        let (write, flush) = (command(opcode::WRITE_16, &[1]), command(opcode::SYNCHRONIZE_CACHE_10, &[]));
        let mut d = Durability::default();
        let sent = |d: &Durability| d.covers(Lun::ZERO);
        d.succeeded(&write, Covers::default());
        let covers = sent(&d);
        assert_eq!(d.succeeded(&flush, covers), All);
        d.interrupted();
        let covers = sent(&d);
        assert_eq!(d.succeeded(&flush, covers), All, "nothing was unflushed");
        // A write that is acknowledged while the flush is under way is not covered by it.
        let covers = sent(&d);
        d.succeeded(&write, Covers::default());
        assert_eq!(d.succeeded(&flush, covers), All);
        d.interrupted();
        let part = sent(&d);
        let mut some = command(opcode::SYNCHRONIZE_CACHE_10, &[]);
        some.cdb = Cdb::new([opcode::SYNCHRONIZE_CACHE_10, 0, 0, 0, 0, 8, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(d.succeeded(&some, part), OnlySinceReconnect, "a part covers no more than the whole");
        // Two at a time: both tell it.
        let (one, other) = (sent(&d), sent(&d));
        assert_eq!(d.succeeded(&flush, one), OnlySinceReconnect);
        assert_eq!(d.succeeded(&flush, other), OnlySinceReconnect);
        let covers = sent(&d);
        assert_eq!(d.succeeded(&flush, covers), All, "it was told");
    }
}
