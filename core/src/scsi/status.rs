//! SCSI status codes, SAM-5 clause 5.3.1.

use core::fmt;

/// How a command ended. Codes without a constant here survive as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

impl Status {
    /// The command was carried out.
    pub const GOOD: Status = Status(0x00);
    /// Sense data says what happened.
    pub const CHECK_CONDITION: Status = Status(0x02);
    /// A condition that the command asked for was met.
    pub const CONDITION_MET: Status = Status(0x04);
    /// The logical unit cannot take the command now.
    pub const BUSY: Status = Status(0x08);
    /// A reservation of another I_T nexus is in the way.
    pub const RESERVATION_CONFLICT: Status = Status(0x18);
    /// The task set has no room.
    pub const TASK_SET_FULL: Status = Status(0x28);
    /// An auto contingent allegiance is in the way.
    pub const ACA_ACTIVE: Status = Status(0x30);
    /// The command was aborted by another I_T nexus (TAS bit).
    pub const TASK_ABORTED: Status = Status(0x40);

    /// The standard's name of the code, if it has one.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Status::GOOD => "GOOD",
            Status::CHECK_CONDITION => "CHECK CONDITION",
            Status::CONDITION_MET => "CONDITION MET",
            Status::BUSY => "BUSY",
            Status::RESERVATION_CONFLICT => "RESERVATION CONFLICT",
            Status::TASK_SET_FULL => "TASK SET FULL",
            Status::ACA_ACTIVE => "ACA ACTIVE",
            Status::TASK_ABORTED => "TASK ABORTED",
            _ => return None,
        })
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Status({:#04x})", self.0),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_have_names_and_unknown_ones_show_their_number() {
        assert_eq!(Status(0x18).to_string(), "RESERVATION CONFLICT");
        assert_eq!(Status(0x77).to_string(), "Status(0x77)");
    }
}
