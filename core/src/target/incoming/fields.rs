//! What all requests of a login have in common, and what is left of a login when it is over.

use bytes::Bytes;

use crate::Limits;
use crate::login::{Failure, Hello, Parameters};
use crate::wire::{Bhs, Cid, CmdSn, Isid, Itt, LoginResponse, StatSn, Tsih};

/// The fields that must not change from request to request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Login {
    pub(super) version_max: u8,
    pub(super) version_min: u8,
    pub(super) isid: Isid,
    pub(super) tsih: Tsih,
    pub(super) itt: Itt,
    pub(super) cid: Cid,
    pub(super) cmd_sn: CmdSn,
}

impl Login {
    /// Reads the fields raw, so that even a request that is otherwise unreadable can be answered.
    pub(super) fn read(bhs: &Bhs) -> Self {
        let b = &bhs.0;
        Login {
            version_max: b[2],
            version_min: b[3],
            isid: Isid([b[8], b[9], b[10], b[11], b[12], b[13]]),
            tsih: Tsih(u16::from_be_bytes([b[14], b[15]])),
            itt: bhs.itt(),
            cid: Cid(u16::from_be_bytes([b[20], b[21]])),
            cmd_sn: CmdSn(u32::from_be_bytes([b[24], b[25], b[26], b[27]])),
        }
    }

    pub(super) fn expect_same(&self, later: &Login) -> Result<(), Failure> {
        let changed = [
            ("Version-max", self.version_max != later.version_max),
            ("Version-min", self.version_min != later.version_min),
            ("ISID", self.isid != later.isid),
            ("TSIH", self.tsih != later.tsih),
            ("Initiator Task Tag", self.itt != later.itt),
            ("CID", self.cid != later.cid),
            // In a session that is at work other connections advance it.
            ("CmdSN", self.tsih == Tsih::NEW && self.cmd_sn != later.cmd_sn),
        ];
        match changed.iter().find(|(_, changed)| *changed) {
            None => Ok(()),
            Some((field, _)) => Err(Failure::initiator(format!("{field} changed during login"))),
        }
    }
}

/// All that a session needs to take over a connection whose login is complete.
#[derive(Debug)]
pub(crate) struct Established {
    /// Who logged in, and where to.
    pub(crate) hello: Hello,
    /// What was agreed on. Session-wide values mean something only if the login was the first of its session.
    pub(crate) parameters: Parameters,
    /// The final response, not yet sent. A session that the connection joins puts its own counters in.
    pub(crate) response: LoginResponse,
    /// The text of the final response.
    pub(crate) text: Bytes,
    /// The StatSN after that of the final response.
    pub(crate) next_stat_sn: StatSn,
    /// The first CmdSN of a new session.
    pub(crate) exp_cmd_sn: CmdSn,
    /// The CHAP name that the initiator proved.
    pub(crate) user: Option<String>,
    /// The portal group that the connection came in by.
    pub(crate) portal_group_tag: Option<u16>,
    /// As given at the start.
    pub(crate) limits: Limits,
}
