//! Login Request and Login Response, RFC 7143 sections 11.12 and 11.13.

use super::{Cid, CmdSn, Isid, Itt, StatSn, Tsih};

/// Stages of a login: the CSG and NSG fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// 0
    SecurityNegotiation,
    /// 1
    LoginOperationalNegotiation,
    /// 3
    FullFeature,
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
    pub const fn is_success(self) -> bool {
        self.0 >> 8 == 0
    }
}

/// One step of a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginRequest {
    ///
    pub transit: bool,
    ///
    pub continued: bool,
    ///
    pub csg: Stage,
    ///
    pub nsg: Option<Stage>,
    ///
    pub version_max: u8,
    ///
    pub version_min: u8,
    ///
    pub isid: Isid,
    ///
    pub tsih: Tsih,
    ///
    pub itt: Itt,
    ///
    pub cid: Cid,
    ///
    pub cmd_sn: CmdSn,
    ///
    pub exp_stat_sn: StatSn,
}

/// The answer to one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginResponse {
    ///
    pub transit: bool,
    ///
    pub continued: bool,
    ///
    pub csg: Stage,
    ///
    pub nsg: Option<Stage>,
    ///
    pub version_max: u8,
    ///
    pub version_active: u8,
    ///
    pub isid: Isid,
    ///
    pub tsih: Tsih,
    ///
    pub itt: Itt,
    ///
    pub stat_sn: StatSn,
    ///
    pub exp_cmd_sn: CmdSn,
    ///
    pub max_cmd_sn: CmdSn,
    ///
    pub status: LoginStatus,
}
