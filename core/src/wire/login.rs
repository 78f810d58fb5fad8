//! Login Request and Login Response, RFC 7143 sections 11.12 and 11.13.

use core::fmt;

use super::fields::{Counters, Segments, bad};
use super::{Bhs, Cid, CmdSn, Isid, Itt, Opcode, StatSn, Tsih};
use crate::FrameError;

/// Stages of a login: the CSG and NSG fields, RFC 7143 section 11.12.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Code 0: the two ends authenticate each other.
    SecurityNegotiation,
    /// Code 1: the two ends agree on operational parameters.
    LoginOperationalNegotiation,
    /// Code 3: the login is over.
    FullFeature,
}

impl Stage {
    /// The stage of a code on the wire; `None` for the reserved code 2 and for more than two bits.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Stage> {
        match code {
            0 => Some(Stage::SecurityNegotiation),
            1 => Some(Stage::LoginOperationalNegotiation),
            3 => Some(Stage::FullFeature),
            _ => None,
        }
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Stage::SecurityNegotiation => 0,
            Stage::LoginOperationalNegotiation => 1,
            Stage::FullFeature => 3,
        }
    }
}

impl fmt::Display for Stage {
    /// The name that the RFC uses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::SecurityNegotiation => "SecurityNegotiation",
            Stage::LoginOperationalNegotiation => "LoginOperationalNegotiation",
            Stage::FullFeature => "FullFeaturePhase",
        })
    }
}

/// Status-Class (high byte) and Status-Detail (low byte) of a Login Response, RFC 7143 section 11.13.5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginStatus(pub u16);

impl LoginStatus {
    /// The login proceeds.
    pub const SUCCESS: Self = Self(0x0000);
    /// Try another address, for now.
    pub const MOVED_TEMPORARILY: Self = Self(0x0101);
    /// Try another address from now on.
    pub const MOVED_PERMANENTLY: Self = Self(0x0102);
    /// Miscellaneous initiator error.
    pub const INITIATOR_ERROR: Self = Self(0x0200);
    /// The initiator could not be authenticated.
    pub const AUTHENTICATION_FAILURE: Self = Self(0x0201);
    /// The initiator may not use this target.
    pub const AUTHORIZATION_FAILURE: Self = Self(0x0202);
    /// There is no such target here.
    pub const NOT_FOUND: Self = Self(0x0203);
    /// The target is gone for good.
    pub const TARGET_REMOVED: Self = Self(0x0204);
    /// No version in common.
    pub const UNSUPPORTED_VERSION: Self = Self(0x0205);
    /// The session takes no more connections.
    pub const TOO_MANY_CONNECTIONS: Self = Self(0x0206);
    /// A key that must be there is not.
    pub const MISSING_PARAMETER: Self = Self(0x0207);
    /// This connection cannot be part of that session.
    pub const CANT_INCLUDE_IN_SESSION: Self = Self(0x0208);
    /// This type of session is not carried out.
    pub const SESSION_TYPE_NOT_SUPPORTED: Self = Self(0x0209);
    /// There is no session of that handle.
    pub const SESSION_DOES_NOT_EXIST: Self = Self(0x020a);
    /// The request does not fit the state of the login.
    pub const INVALID_DURING_LOGIN: Self = Self(0x020b);
    /// The target failed.
    pub const TARGET_ERROR: Self = Self(0x0300);
    /// The target cannot serve now: try again later.
    pub const SERVICE_UNAVAILABLE: Self = Self(0x0301);
    /// The target lacks the resources for this session.
    pub const OUT_OF_RESOURCES: Self = Self(0x0302);

    /// Whether the status is of the success class.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.class() == 0
    }

    /// Whether the status is of the redirection class.
    #[must_use]
    pub const fn is_redirection(self) -> bool {
        self.class() == 1
    }

    /// Status-Class.
    #[must_use]
    pub const fn class(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Status-Detail.
    #[must_use]
    pub const fn detail(self) -> u8 {
        self.0 as u8
    }
}

/// One step of a login. The text travels in the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginRequest {
    /// The T bit: the initiator is ready for the next stage. Excludes `continued`.
    pub transit: bool,
    /// The C bit: the text goes on in the next request.
    pub continued: bool,
    /// The stage that the login is in.
    pub csg: Stage,
    /// The stage to go to; present where `transit` is.
    pub nsg: Option<Stage>,
    /// The highest version that the initiator supports.
    pub version_max: u8,
    /// The lowest version that the initiator supports.
    pub version_min: u8,
    /// The initiator's part of the name of the session.
    pub isid: Isid,
    /// The session to join; zero for a new one.
    pub tsih: Tsih,
    /// The name of the login; never reserved, the same in all its steps.
    pub itt: Itt,
    /// The name of the connection within its session.
    pub cid: Cid,
    /// The first CmdSN of a new session, or the next one of a session that is joined.
    pub cmd_sn: CmdSn,
    /// Acknowledges all statuses before it; of no meaning in the first request of a connection.
    pub exp_stat_sn: StatSn,
}

impl LoginRequest {
    /// Reads a Login Request.
    ///
    /// # Errors
    /// Another opcode, additional headers, a reserved Initiator Task Tag, a reserved stage (section 11.12.3), or
    /// C and T together (11.12.2).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::LoginRequest, Segments::Data)?;
        let (csg, nsg) = parse_stages(bhs)?;
        Ok(LoginRequest {
            transit: bhs.flag(TRANSIT),
            continued: bhs.flag(CONTINUE),
            csg,
            nsg,
            version_max: bhs.0[2],
            version_min: bhs.0[3],
            isid: isid(bhs),
            tsih: Tsih(bhs.get_u16(14)),
            itt: bhs.task_itt()?,
            cid: Cid(bhs.get_u16(20)),
            cmd_sn: bhs.cmd_sn(),
            exp_stat_sn: bhs.exp_stat_sn(),
        })
    }

    /// Writes the header, which is always immediate; `continued` prevails over `transit`.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::new(Opcode::LoginRequest);
        bhs.set_immediate();
        bhs.0[1] = stage_byte(self.transit, self.continued, self.csg, self.nsg);
        bhs.0[2] = self.version_max;
        bhs.0[3] = self.version_min;
        bhs.0[8..14].copy_from_slice(&self.isid.0);
        bhs.put_u16(14, self.tsih.0);
        bhs.put_itt(self.itt);
        bhs.put_u16(20, self.cid.0);
        bhs.put_request_sns(self.cmd_sn, self.exp_stat_sn);
        bhs
    }
}

impl fmt::Display for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login Request itt={:#x} isid={} tsih={:#x}", self.itt.0, self.isid, self.tsih.0)?;
        write!(f, " cid={} {}", self.cid.0, self.csg)?;
        if let Some(nsg) = self.nsg {
            write!(f, "->{nsg}")?;
        }
        write!(f, "{} cmd_sn={}", if self.continued { " continued" } else { "" }, self.cmd_sn.0)
    }
}

/// The answer to one step of a login. The text travels in the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginResponse {
    /// The T bit: the target goes on to the next stage. Excludes `continued`.
    pub transit: bool,
    /// The C bit: the text goes on in the next response.
    pub continued: bool,
    /// The stage that the login is in.
    pub csg: Stage,
    /// The stage to go to; present where `transit` is.
    pub nsg: Option<Stage>,
    /// The highest version that the target supports.
    pub version_max: u8,
    /// The version in use, or the lowest that the target supports if it has none in common with the initiator.
    pub version_active: u8,
    /// The initiator's part of the name of the session, as in the request.
    pub isid: Isid,
    /// The session, as in the request; in the last answer of a login that began a session, its new handle.
    pub tsih: Tsih,
    /// The login.
    pub itt: Itt,
    /// The number of this status on its connection.
    pub stat_sn: StatSn,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: CmdSn,
    /// The last CmdSN that the target accepts.
    pub max_cmd_sn: CmdSn,
    /// What became of the step.
    pub status: LoginStatus,
}

impl LoginResponse {
    /// Reads a Login Response.
    ///
    /// # Errors
    /// Another opcode, additional headers, a reserved stage (section 11.12.3), or C and T together (11.13.7).
    pub fn parse(bhs: &Bhs) -> Result<Self, FrameError> {
        bhs.expect(Opcode::LoginResponse, Segments::Data)?;
        let (csg, nsg) = parse_stages(bhs)?;
        let Counters { stat_sn, exp_cmd_sn, max_cmd_sn } = bhs.counters();
        Ok(LoginResponse {
            transit: bhs.flag(TRANSIT),
            continued: bhs.flag(CONTINUE),
            csg,
            nsg,
            version_max: bhs.0[2],
            version_active: bhs.0[3],
            isid: isid(bhs),
            tsih: Tsih(bhs.get_u16(14)),
            itt: bhs.itt(),
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
            status: LoginStatus(bhs.get_u16(36)),
        })
    }

    /// Writes the header; `continued` prevails over `transit`.
    #[must_use]
    pub fn emit(&self) -> Bhs {
        let mut bhs = Bhs::new(Opcode::LoginResponse);
        bhs.0[1] = stage_byte(self.transit, self.continued, self.csg, self.nsg);
        bhs.0[2] = self.version_max;
        bhs.0[3] = self.version_active;
        bhs.0[8..14].copy_from_slice(&self.isid.0);
        bhs.put_u16(14, self.tsih.0);
        bhs.put_itt(self.itt);
        bhs.set_counters(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn);
        bhs.put_u16(36, self.status.0);
        bhs
    }
}

impl fmt::Display for LoginResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login Response itt={:#x} tsih={:#x} {}", self.itt.0, self.tsih.0, self.csg)?;
        if let Some(nsg) = self.nsg {
            write!(f, "->{nsg}")?;
        }
        write!(
            f,
            "{} status={:#06x} stat_sn={} window={}..={}",
            if self.continued { " continued" } else { "" },
            self.status.0,
            self.stat_sn.0,
            self.exp_cmd_sn.0,
            self.max_cmd_sn.0
        )
    }
}

/// CSG and, with the T bit, NSG; without it NSG is reserved.
fn parse_stages(bhs: &Bhs) -> Result<(Stage, Option<Stage>), FrameError> {
    let transit = bhs.flag(TRANSIT);
    if transit && bhs.flag(CONTINUE) {
        return Err(bad("C and T", "text that is continued cannot end a stage"));
    }
    let Some(csg) = Stage::from_code(bhs.0[1] >> 2 & 3) else {
        return Err(bad("CSG", "2 is reserved"));
    };
    let nsg = match transit {
        true => Some(Stage::from_code(bhs.0[1] & 3).ok_or(bad("NSG", "2 is reserved"))?),
        false => None,
    };
    Ok((csg, nsg))
}

fn stage_byte(transit: bool, continued: bool, csg: Stage, nsg: Option<Stage>) -> u8 {
    let flags = match nsg {
        _ if continued => CONTINUE,
        Some(nsg) if transit => TRANSIT | nsg.code(),
        _ => 0,
    };
    flags | csg.code() << 2
}

fn isid(bhs: &Bhs) -> Isid {
    Isid(core::array::from_fn(|i| bhs.0[8 + i]))
}

const TRANSIT: u8 = 0x80;
const CONTINUE: u8 = 0x40;
