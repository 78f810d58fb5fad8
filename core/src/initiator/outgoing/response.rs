//! The fields of Login Responses, held against the requests (RFC 7143 sections 11.13 and 6.3).

use crate::login::stage;
use crate::wire::{Bhs, CmdSn, Isid, Itt, LoginResponse, Opcode, Stage, StatSn, Tsih};

use super::VERSION;

/// What all requests of a login have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login {
    pub(super) isid: Isid,
    pub(super) itt: Itt,
    pub(super) cmd_sn: CmdSn,
}

/// The stages that a request named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) csg: Stage,
    pub(super) next: Option<Stage>,
}

/// What responses must carry on from the ones before.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Sequence {
    /// The StatSN that the next response carries; `None` before the first, which sets it.
    next_stat_sn: Option<StatSn>,
}

impl Sequence {
    /// Acknowledges all responses so far; 0 before the first, where the field means nothing.
    pub(super) fn exp_stat_sn(self) -> StatSn {
        self.next_stat_sn.unwrap_or(StatSn(0))
    }

    /// Checks a response of status class 0.
    ///
    /// TSIH is not looked at before the final response: some targets tell it early.
    pub(super) fn check(
        &mut self,
        response: &LoginResponse,
        login: Login,
        asked: Asked,
    ) -> Result<(), &'static str> {
        if response.itt != login.itt {
            return Err("the Initiator Task Tag of the response is not that of the login");
        }
        if response.isid != login.isid {
            return Err("the ISID of the response is not that of the login");
        }
        // What later responses say about versions counts for nothing (sections 11.13.1 and 11.13.2).
        let first = self.next_stat_sn.is_none();
        if first && response.version_active != VERSION {
            return Err("the target goes on with a version that was not offered");
        }
        if self.next_stat_sn.is_some_and(|expected| response.stat_sn != expected) {
            return Err("the StatSN of the response does not follow the one before");
        }
        self.next_stat_sn = Some(response.stat_sn.next());
        if response.csg != asked.csg {
            return Err("the response is of another stage than the request");
        }
        match (response.nsg, asked.next) {
            (None, _) => {}
            (Some(_), None) => return Err("the target ends a stage that the initiator did not end"),
            (Some(nsg), Some(next)) if nsg > next || !stage::is_allowed(Some(asked.csg), nsg) => {
                return Err("the target goes to a stage that was not asked for");
            }
            (Some(Stage::FullFeature), Some(_)) => check_final(response, login)?,
            (Some(_), Some(_)) => {}
        }
        Ok(())
    }
}

/// What only the last response must have right.
fn check_final(response: &LoginResponse, login: Login) -> Result<(), &'static str> {
    if response.tsih == Tsih::NEW {
        return Err("the final response has no TSIH");
    }
    if response.exp_cmd_sn != login.cmd_sn {
        return Err("the target does not expect the CmdSN that the login announced");
    }
    // One less than ExpCmdSN is a window that is shut for now (section 4.2.2.1).
    if response.max_cmd_sn.distance_from(response.exp_cmd_sn) < -1 {
        return Err("MaxCmdSN lies before ExpCmdSN");
    }
    Ok(())
}

/// Checks that a PDU is a Login Response.
pub(super) fn expect_login_response(bhs: &Bhs) -> Result<(), String> {
    match bhs.opcode() {
        Opcode::LoginResponse => Ok(()),
        // Reason 0Bh among them: the negotiation has failed (section 11.17.1).
        Opcode::Reject => Err(format!("the target rejects a Login Request with reason {:#04x}", bhs.0[2])),
        other => Err(format!("{} during login", other.name())),
    }
}
