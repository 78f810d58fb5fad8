//! Bytes to values and back: the PDUs of RFC 7143 section 11, one file each, and text keys. Nothing here has state.
//!
//! [`Bhs`] is a view over the 48 bytes of a basic header segment; each PDU type is a checked value with
//! `parse(&Bhs) -> Result<Self, FrameError>` and `emit(&self) -> Bhs`. Codes that the RFC does not define survive
//! as `Unknown`. Data segments are not part of these types: they travel beside the header.
//!
//! Reserved bits, and bits that are always 1, are ignored on receipt and written as the RFC says. A field that is
//! reserved in some forms of a PDU reads as zero, or as the reserved tag, in those. What the RFC forbids within one
//! header is an error of `parse`; what it forbids between PDUs is the session's affair.
//!
//! ```
//! use iscsicore::wire::{Bhs, CmdSn, Itt, Lun, NopOut, Opcode, StatSn, Ttt};
//!
//! let ping = NopOut {
//!     immediate: true,
//!     lun: Lun::ZERO,
//!     itt: Itt(7),
//!     ttt: Ttt::RESERVED,
//!     cmd_sn: CmdSn(1),
//!     exp_stat_sn: StatSn(1),
//! };
//! let header: Bhs = ping.emit();
//! assert_eq!(header.opcode(), Opcode::NopOut);
//! assert_eq!(NopOut::parse(&header), Ok(ping));
//! ```

mod ahs;
mod async_message;
mod bhs;
mod codes;
mod data_in;
mod data_out;
mod fields;
mod ids;
mod login;
mod logout;
mod nop;
mod pdu;
mod r2t;
mod reject;
mod scsi_command;
mod scsi_response;
mod sn;
mod snack;
mod task_management;
mod text_pdu;

pub mod text;

pub use ahs::{AdditionalHeader, AdditionalHeaders, additional_headers};
pub use async_message::{AsyncEvent, AsyncMessage};
pub use bhs::{BHS_LEN, Bhs, Opcode};
pub use data_in::DataIn;
pub use data_out::DataOut;
pub use ids::{Cid, Isid, Itt, Lun, Tsih, Ttt};
pub use login::{LoginRequest, LoginResponse, LoginStatus, Stage};
pub use logout::{LogoutReason, LogoutRequest, LogoutResponse, LogoutResult};
pub use nop::{NopIn, NopOut};
pub use pdu::{InitiatorPdu, TargetPdu};
pub use r2t::R2t;
pub use reject::{Reject, RejectReason};
pub use scsi_command::{ScsiCommand, TaskAttribute};
pub use scsi_response::{Residual, ScsiResponse};
pub use sn::{CmdSn, DataSn, R2tSn, StatSn};
pub use snack::{SnackKind, SnackRequest};
pub use task_management::{
    TaskManagementFunction, TaskManagementRequest, TaskManagementResponse, TaskManagementResult,
};
pub use text_pdu::{TextRequest, TextResponse};
