//! What commands are called (SPC-4 annex E, SBC-3 clause 5).

use std::borrow::Cow;

use super::{Cdb, opcode};

impl Cdb {
    /// The standard's name of the command, with its service action where it has one: `READ(10)`,
    /// `PERSISTENT RESERVE OUT (REGISTER)`. Unknown ones are named by their numbers.
    pub fn name(&self) -> Cow<'static, str> {
        let code = self.opcode();
        let action = match code {
            opcode::VARIABLE_LENGTH_CDB => self.u16_at(8),
            _ => u16::from(self.service_action()),
        };
        if let Some(name) = with_action(code, action) {
            return Cow::Borrowed(name);
        }
        match family(code) {
            Some(family) => Cow::Owned(format!("{family} (service action {action:02X}h)")),
            None => match plain(code) {
                Some(name) => Cow::Borrowed(name),
                None => Cow::Owned(format!("operation code {code:02X}h")),
            },
        }
    }
}

/// Commands whose CDBs have a service action.
const fn family(code: u8) -> Option<&'static str> {
    Some(match code {
        opcode::PERSISTENT_RESERVE_IN => "PERSISTENT RESERVE IN",
        opcode::PERSISTENT_RESERVE_OUT => "PERSISTENT RESERVE OUT",
        opcode::SERVICE_ACTION_IN_16 => "SERVICE ACTION IN(16)",
        0x9f => "SERVICE ACTION OUT(16)",
        0xab => "SERVICE ACTION IN(12)",
        0xa9 => "SERVICE ACTION OUT(12)",
        opcode::MAINTENANCE_IN => "MAINTENANCE IN",
        0xa4 => "MAINTENANCE OUT",
        0x83 => "THIRD-PARTY COPY OUT",
        0x84 => "THIRD-PARTY COPY IN",
        0x48 => "SANITIZE",
        0x7f => "VARIABLE LENGTH CDB",
        _ => return None,
    })
}

const fn with_action(code: u8, action: u16) -> Option<&'static str> {
    Some(match (code, action) {
        (0x48, 0x01) => "SANITIZE (OVERWRITE)",
        (0x48, 0x02) => "SANITIZE (BLOCK ERASE)",
        (0x48, 0x03) => "SANITIZE (CRYPTOGRAPHIC ERASE)",
        (0x48, 0x1f) => "SANITIZE (EXIT FAILURE MODE)",
        (0x5e, 0x00) => "PERSISTENT RESERVE IN (READ KEYS)",
        (0x5e, 0x01) => "PERSISTENT RESERVE IN (READ RESERVATION)",
        (0x5e, 0x02) => "PERSISTENT RESERVE IN (REPORT CAPABILITIES)",
        (0x5e, 0x03) => "PERSISTENT RESERVE IN (READ FULL STATUS)",
        (0x5f, 0x00) => "PERSISTENT RESERVE OUT (REGISTER)",
        (0x5f, 0x01) => "PERSISTENT RESERVE OUT (RESERVE)",
        (0x5f, 0x02) => "PERSISTENT RESERVE OUT (RELEASE)",
        (0x5f, 0x03) => "PERSISTENT RESERVE OUT (CLEAR)",
        (0x5f, 0x04) => "PERSISTENT RESERVE OUT (PREEMPT)",
        (0x5f, 0x05) => "PERSISTENT RESERVE OUT (PREEMPT AND ABORT)",
        (0x5f, 0x06) => "PERSISTENT RESERVE OUT (REGISTER AND IGNORE EXISTING KEY)",
        (0x5f, 0x07) => "PERSISTENT RESERVE OUT (REGISTER AND MOVE)",
        (0x5f, 0x08) => "PERSISTENT RESERVE OUT (REPLACE LOST RESERVATION)",
        (0x7f, 0x0009) => "READ(32)",
        (0x7f, 0x000a) => "VERIFY(32)",
        (0x7f, 0x000b) => "WRITE(32)",
        (0x7f, 0x000c) => "WRITE AND VERIFY(32)",
        (0x7f, 0x000d) => "WRITE SAME(32)",
        (0x83, 0x00) => "EXTENDED COPY(LID1)",
        (0x83, 0x01) => "EXTENDED COPY(LID4)",
        (0x83, 0x10) => "POPULATE TOKEN",
        (0x83, 0x11) => "WRITE USING TOKEN",
        (0x84, 0x03) => "RECEIVE COPY OPERATING PARAMETERS",
        (0x84, 0x07) => "RECEIVE ROD TOKEN INFORMATION",
        (0x9e, 0x10) => "READ CAPACITY(16)",
        (0x9e, 0x11) => "READ LONG(16)",
        (0x9e, 0x12) => "GET LBA STATUS",
        (0x9e, 0x13) => "REPORT REFERRALS",
        (0x9f, 0x11) => "WRITE LONG(16)",
        (0xa3, 0x05) => "REPORT IDENTIFYING INFORMATION",
        (0xa3, 0x0a) => "REPORT TARGET PORT GROUPS",
        (0xa3, 0x0b) => "REPORT ALIASES",
        (0xa3, 0x0c) => "REPORT SUPPORTED OPERATION CODES",
        (0xa3, 0x0d) => "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
        (0xa3, 0x0e) => "REPORT PRIORITY",
        (0xa3, 0x0f) => "REPORT TIMESTAMP",
        (0xa4, 0x06) => "SET IDENTIFYING INFORMATION",
        (0xa4, 0x0a) => "SET TARGET PORT GROUPS",
        (0xa4, 0x0f) => "SET TIMESTAMP",
        _ => return None,
    })
}

const fn plain(code: u8) -> Option<&'static str> {
    Some(match code {
        opcode::TEST_UNIT_READY => "TEST UNIT READY",
        opcode::REQUEST_SENSE => "REQUEST SENSE",
        0x04 => "FORMAT UNIT",
        0x07 => "REASSIGN BLOCKS",
        opcode::READ_6 => "READ(6)",
        opcode::WRITE_6 => "WRITE(6)",
        opcode::INQUIRY => "INQUIRY",
        opcode::MODE_SELECT_6 => "MODE SELECT(6)",
        opcode::RESERVE_6 => "RESERVE(6)",
        opcode::RELEASE_6 => "RELEASE(6)",
        opcode::MODE_SENSE_6 => "MODE SENSE(6)",
        opcode::START_STOP_UNIT => "START STOP UNIT",
        0x1c => "RECEIVE DIAGNOSTIC RESULTS",
        0x1d => "SEND DIAGNOSTIC",
        opcode::PREVENT_ALLOW_MEDIUM_REMOVAL => "PREVENT ALLOW MEDIUM REMOVAL",
        opcode::READ_CAPACITY_10 => "READ CAPACITY(10)",
        opcode::READ_10 => "READ(10)",
        opcode::WRITE_10 => "WRITE(10)",
        opcode::WRITE_AND_VERIFY_10 => "WRITE AND VERIFY(10)",
        opcode::VERIFY_10 => "VERIFY(10)",
        0x34 => "PRE-FETCH(10)",
        opcode::SYNCHRONIZE_CACHE_10 => "SYNCHRONIZE CACHE(10)",
        0x37 => "READ DEFECT DATA(10)",
        0x3b => "WRITE BUFFER",
        0x3c => "READ BUFFER",
        0x3e => "READ LONG(10)",
        0x3f => "WRITE LONG(10)",
        opcode::WRITE_SAME_10 => "WRITE SAME(10)",
        opcode::UNMAP => "UNMAP",
        0x4c => "LOG SELECT",
        0x4d => "LOG SENSE",
        opcode::MODE_SELECT_10 => "MODE SELECT(10)",
        0x56 => "RESERVE(10)",
        0x57 => "RELEASE(10)",
        opcode::MODE_SENSE_10 => "MODE SENSE(10)",
        opcode::EXTENDED_CDB => "EXTENDED CDB",
        0x85 => "ATA PASS-THROUGH(16)",
        opcode::READ_16 => "READ(16)",
        opcode::COMPARE_AND_WRITE => "COMPARE AND WRITE",
        opcode::WRITE_16 => "WRITE(16)",
        0x8b => "ORWRITE(16)",
        opcode::WRITE_AND_VERIFY_16 => "WRITE AND VERIFY(16)",
        opcode::VERIFY_16 => "VERIFY(16)",
        0x90 => "PRE-FETCH(16)",
        opcode::SYNCHRONIZE_CACHE_16 => "SYNCHRONIZE CACHE(16)",
        opcode::WRITE_SAME_16 => "WRITE SAME(16)",
        0x9c => "WRITE ATOMIC(16)",
        opcode::REPORT_LUNS => "REPORT LUNS",
        0xa1 => "ATA PASS-THROUGH(12)",
        0xa2 => "SECURITY PROTOCOL IN",
        opcode::READ_12 => "READ(12)",
        opcode::WRITE_12 => "WRITE(12)",
        opcode::WRITE_AND_VERIFY_12 => "WRITE AND VERIFY(12)",
        opcode::VERIFY_12 => "VERIFY(12)",
        0xb5 => "SECURITY PROTOCOL OUT",
        0xb7 => "READ DEFECT DATA(12)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_named_as_the_standards_name_them() {
        let name = |bytes: &[u8]| Cdb::from_slice(bytes).unwrap().name();
        assert_eq!(name(&[0x28, 0xff]), "READ(10)");
        assert_eq!(name(&[0x5f, 0x06]), "PERSISTENT RESERVE OUT (REGISTER AND IGNORE EXISTING KEY)");
        assert_eq!(name(&[0x5f, 0x1e]), "PERSISTENT RESERVE OUT (service action 1Eh)");
        assert_eq!(name(&[0x9e, 0x10]), "READ CAPACITY(16)");
        assert_eq!(name(&[0x7f, 0, 0, 0, 0, 0, 0, 24, 0, 0x0b]), "WRITE(32)");
        assert_eq!(name(&[0xc1]), "operation code C1h");
    }

    #[test]
    fn no_code_is_both_plain_and_a_family() {
        for code in 0..=u8::MAX {
            assert!(plain(code).is_none() || family(code).is_none(), "{code:02x}");
            for action in 0..0x20 {
                assert!(with_action(code, action).is_none() || family(code).is_some(), "{code:02x}");
            }
        }
    }
}
