//! Every PDU as fixed bytes, both ways, from one table: twelve words a header, as the figures of RFC 7143 section 11
//! and RFC 7144 draw them. Beside each stands which of its bits a receiver has to ignore.

use core::num::NonZeroU32;

use iscsicore::FrameError;
use iscsicore::wire::*;
use proptest::prelude::*;

/// A PDU of either direction.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Pdu {
    I(InitiatorPdu),
    T(TargetPdu),
}

impl Pdu {
    fn parse(bhs: &Bhs) -> Result<Pdu, FrameError> {
        match bhs.opcode_code() & 0x20 {
            0 => InitiatorPdu::parse(bhs).map(Pdu::I),
            _ => TargetPdu::parse(bhs).map(Pdu::T),
        }
    }

    fn emit(&self) -> Bhs {
        match self {
            Pdu::I(pdu) => pdu.emit(),
            Pdu::T(pdu) => pdu.emit(),
        }
    }
}

trait OpcodeCode {
    fn opcode_code(&self) -> u8;
}

impl OpcodeCode for Bhs {
    fn opcode_code(&self) -> u8 {
        self.opcode().code()
    }
}

struct Row {
    what: &'static str,
    words: [u32; 12],
    /// Bits that the receiver ignores: reserved ones (0 in `words`), and constants that the sender must set.
    ignored: [u32; 12],
    pdu: Pdu,
}

const ALL: u32 = 0xffff_ffff;
const LUN: Lun = Lun(0x0005_0000_0000_0000);
const ITT: Itt = Itt(0x1112_1314);
const TTT: Ttt = Ttt(0x1516_1718);
const CMD_SN: CmdSn = CmdSn(0x2122_2324);
const EXP_STAT_SN: StatSn = StatSn(0x3132_3334);
const STAT_SN: StatSn = StatSn(0x4142_4344);
const EXP_CMD_SN: CmdSn = CmdSn(0x5152_5354);
const MAX_CMD_SN: CmdSn = CmdSn(0x6162_6364);

fn i(pdu: impl Into<InitiatorPdu>) -> Pdu {
    Pdu::I(pdu.into())
}

fn t(pdu: impl Into<TargetPdu>) -> Pdu {
    Pdu::T(pdu.into())
}

fn bytes(words: &[u32; 12]) -> [u8; 48] {
    let mut bytes = [0; 48];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

fn rows() -> Vec<Row> {
    [
        initiator_rows(),
        task_management_rows(),
        login_request_rows(),
        text_and_logout_request_rows(),
        target_rows(),
        scsi_response_rows(),
        target_data_rows(),
        login_and_text_response_rows(),
        target_control_rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[rustfmt::skip]
fn initiator_rows() -> Vec<Row> {
    let cdb = [0x28, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let read = ScsiCommand {
        immediate: false, final_: true, read: true, write: false, attribute: TaskAttribute::Simple, priority: 0,
        lun: LUN, itt: ITT, expected_len: 0x0001_0000, cmd_sn: CMD_SN, exp_stat_sn: EXP_STAT_SN, cdb,
    };
    let write = ScsiCommand {
        immediate: true, final_: false, read: false, write: true, attribute: TaskAttribute::HeadOfQueue, priority: 0xa,
        ..read
    };
    let nop_out = NopOut {
        immediate: false, lun: Lun::ZERO, itt: ITT, ttt: Ttt::RESERVED, cmd_sn: CMD_SN, exp_stat_sn: EXP_STAT_SN,
    };
    vec![
        Row {
            what: "NOP-Out as ping",
            words: [0x0080_0000, 0, 0, 0, 0x1112_1314, ALL, 0x2122_2324, 0x3132_3334, 0, 0, 0, 0],
            ignored: [0x80ff_ffff, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(nop_out),
        },
        Row {
            what: "NOP-Out as answer",
            words: [0x4080_0000, 0, 0x0005_0000, 0, ALL, 0x1516_1718, 0x2122_2324, 0x3132_3334, 0, 0, 0, 0],
            ignored: [0x80ff_ffff, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(NopOut { immediate: true, lun: LUN, itt: Itt::RESERVED, ttt: TTT, ..nop_out }),
        },
        Row {
            what: "SCSI Command that reads",
            words: [0x01c1_0000, 0, 0x0005_0000, 0, 0x1112_1314, 0x0001_0000, 0x2122_2324, 0x3132_3334,
                    0x2801_0203, 0x0405_0607, 0x0809_0a0b, 0x0c0d_0e0f],
            ignored: [0x8018_0fff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            pdu: i(read),
        },
        Row {
            what: "SCSI Command that writes, with priority, immediate, unsolicited data to follow",
            words: [0x4123_a000, 0, 0x0005_0000, 0, 0x1112_1314, 0x0001_0000, 0x2122_2324, 0x3132_3334,
                    0x2801_0203, 0x0405_0607, 0x0809_0a0b, 0x0c0d_0e0f],
            ignored: [0x8018_0fff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            pdu: i(write),
        },
        Row {
            what: "SCSI Data-Out, solicited",
            words: [0x0580_0000, 0, 0x0005_0000, 0, 0x1112_1314, 0x1516_1718, 0, 0x3132_3334, 0, 7, 0x8192_a3b4, 0],
            ignored: [0xc07f_ffff, 0, 0, 0, 0, 0, ALL, 0, ALL, 0, 0, ALL],
            pdu: i(DataOut {
                final_: true, lun: LUN, itt: ITT, ttt: TTT, exp_stat_sn: EXP_STAT_SN, data_sn: DataSn(7),
                offset: 0x8192_a3b4,
            }),
        },
        Row {
            what: "SNACK for data",
            words: [0x1080_0000, 0, 0x0005_0000, 0, 0x1112_1314, ALL, 0, 0x3132_3334, 0, 0, 3, 0x0102_0304],
            ignored: [0xc0f0_ffff, 0, 0, 0, 0, 0, ALL, 0, ALL, ALL, 0, 0],
            pdu: i(SnackRequest {
                kind: SnackKind::DataOrR2t, lun: LUN, itt: ITT, ttt: Ttt::RESERVED, exp_stat_sn: EXP_STAT_SN,
                beg_run: 3, run_length: 0x0102_0304,
            }),
        },
        Row {
            what: "SNACK as DataACK",
            words: [0x1082_0000, 0, 0x0005_0000, 0, ALL, 0x1516_1718, 0, 0x3132_3334, 0, 0, 3, 0],
            ignored: [0xc0f0_ffff, 0, 0, 0, 0, 0, ALL, 0, ALL, ALL, 0, 0],
            pdu: i(SnackRequest {
                kind: SnackKind::DataAck, lun: LUN, itt: Itt::RESERVED, ttt: TTT, exp_stat_sn: EXP_STAT_SN,
                beg_run: 3, run_length: 0,
            }),
        },
    ]
}

#[rustfmt::skip]
fn task_management_rows() -> Vec<Row> {
    let tmf = TaskManagementRequest {
        immediate: true, function: TaskManagementFunction::AbortTask, lun: LUN, itt: ITT,
        referenced_itt: Itt(0x7172_7374), cmd_sn: CMD_SN, exp_stat_sn: EXP_STAT_SN, ref_cmd_sn: CmdSn(0x2122_2320),
        exp_data_sn: DataSn(0),
    };
    vec![
        Row {
            what: "ABORT TASK",
            words: [0x4281_0000, 0, 0x0005_0000, 0, 0x1112_1314, 0x7172_7374, 0x2122_2324, 0x3132_3334, 0x2122_2320,
                    0, 0, 0],
            ignored: [0x8080_ffff, 0, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL],
            pdu: i(tmf),
        },
        Row {
            what: "LOGICAL UNIT RESET",
            words: [0x0285_0000, 0, 0x0005_0000, 0, 0x1112_1314, ALL, 0x2122_2324, 0x3132_3334, 0, 0, 0, 0],
            ignored: [0x8080_ffff, 0, 0, 0, 0, ALL, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(TaskManagementRequest {
                immediate: false, function: TaskManagementFunction::LogicalUnitReset, referenced_itt: Itt::RESERVED,
                ref_cmd_sn: CmdSn(0), ..tmf
            }),
        },
        Row {
            what: "TASK REASSIGN",
            words: [0x4288_0000, 0, 0, 0, 0x1112_1314, 0x7172_7374, 0x2122_2324, 0x3132_3334, 0, 9, 0, 0],
            ignored: [0x8080_ffff, 0, ALL, ALL, 0, 0, 0, 0, ALL, 0, ALL, ALL],
            pdu: i(TaskManagementRequest {
                function: TaskManagementFunction::TaskReassign, lun: Lun::ZERO, ref_cmd_sn: CmdSn(0),
                exp_data_sn: DataSn(9), ..tmf
            }),
        },
    ]
}

#[rustfmt::skip]
fn login_request_rows() -> Vec<Row> {
    let login = LoginRequest {
        transit: true, continued: false, csg: Stage::LoginOperationalNegotiation, nsg: Some(Stage::FullFeature),
        version_max: 2, version_min: 1, isid: Isid([0x80, 1, 2, 3, 4, 5]), tsih: Tsih(0x0607), itt: ITT,
        cid: Cid(0x0809), cmd_sn: CMD_SN, exp_stat_sn: EXP_STAT_SN,
    };
    vec![
        Row {
            what: "Login Request, transit",
            words: [0x4387_0201, 0, 0x8001_0203, 0x0405_0607, 0x1112_1314, 0x0809_0000, 0x2122_2324, 0x3132_3334,
                    0, 0, 0, 0],
            ignored: [0xc030_0000, 0, 0, 0, 0, 0x0000_ffff, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(login),
        },
        Row {
            what: "Login Request, continued",
            words: [0x4344_0201, 0, 0x8001_0203, 0x0405_0607, 0x1112_1314, 0x0809_0000, 0x2122_2324, 0x3132_3334,
                    0, 0, 0, 0],
            ignored: [0xc033_0000, 0, 0, 0, 0, 0x0000_ffff, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(LoginRequest { transit: false, continued: true, nsg: None, ..login }),
        },
    ]
}

#[rustfmt::skip]
fn text_and_logout_request_rows() -> Vec<Row> {
    let text = TextRequest {
        immediate: false, final_: true, continued: false, lun: Lun::ZERO, itt: ITT, ttt: Ttt::RESERVED, cmd_sn: CMD_SN,
        exp_stat_sn: EXP_STAT_SN,
    };
    vec![
        Row {
            what: "Text Request, final",
            words: [0x0480_0000, 0, 0, 0, 0x1112_1314, ALL, 0x2122_2324, 0x3132_3334, 0, 0, 0, 0],
            ignored: [0x803f_ffff, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(text),
        },
        Row {
            what: "Text Request, continued, immediate",
            words: [0x4440_0000, 0, 0x0005_0000, 0, 0x1112_1314, 0x1516_1718, 0x2122_2324, 0x3132_3334, 0, 0, 0, 0],
            ignored: [0x803f_ffff, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(TextRequest { immediate: true, final_: false, continued: true, lun: LUN, ttt: TTT, ..text }),
        },
        Row {
            what: "Logout Request for a connection",
            words: [0x4681_0000, 0, 0, 0, 0x1112_1314, 0x0809_0000, 0x2122_2324, 0x3132_3334, 0, 0, 0, 0],
            ignored: [0x8080_ffff, 0, ALL, ALL, 0, 0x0000_ffff, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(LogoutRequest {
                immediate: true, reason: LogoutReason::CloseConnection, itt: ITT, cid: Cid(0x0809), cmd_sn: CMD_SN,
                exp_stat_sn: EXP_STAT_SN,
            }),
        },
        Row {
            what: "Logout Request for the session",
            words: [0x0680_0000, 0, 0, 0, 0x1112_1314, 0, 0x2122_2324, 0x3132_3334, 0, 0, 0, 0],
            ignored: [0x8080_ffff, 0, ALL, ALL, 0, ALL, 0, 0, ALL, ALL, ALL, ALL],
            pdu: i(LogoutRequest {
                immediate: false, reason: LogoutReason::CloseSession, itt: ITT, cid: Cid(0), cmd_sn: CMD_SN,
                exp_stat_sn: EXP_STAT_SN,
            }),
        },
    ]
}

#[rustfmt::skip]
fn target_rows() -> Vec<Row> {
    let nop_in = NopIn {
        lun: LUN, itt: Itt::RESERVED, ttt: TTT, stat_sn: STAT_SN, exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN,
    };
    vec![
        Row {
            what: "NOP-In as ping",
            words: [0x2080_0000, 0, 0x0005_0000, 0, ALL, 0x1516_1718, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0, 0, 0],
            ignored: [0xc0ff_ffff, 0, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL],
            pdu: t(nop_in),
        },
        Row {
            what: "NOP-In as answer",
            words: [0x2080_0000, 0, 0, 0, 0x1112_1314, ALL, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0, 0, 0],
            ignored: [0xc0ff_ffff, 0, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL],
            pdu: t(NopIn { lun: Lun::ZERO, itt: ITT, ttt: Ttt::RESERVED, ..nop_in }),
        },
        Row {
            what: "Task Management Function Response, complete",
            words: [0x2280_0000, 0, 0, 0, 0x1112_1314, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0, 0, 0],
            ignored: [0xc0ff_00ff, 0, ALL, ALL, 0, ALL, 0, 0, 0, ALL, ALL, ALL],
            pdu: t(TaskManagementResponse {
                result: TaskManagementResult::Complete, additional: [0; 3], itt: ITT, stat_sn: STAT_SN,
                exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN,
            }),
        },
        Row {
            what: "Task Management Function Response, succeeded",
            words: [0x2280_0700, 0, 0x0102_0300, 0, 0x1112_1314, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0, 0, 0],
            ignored: [0xc0ff_00ff, 0, 0x0000_00ff, ALL, 0, ALL, 0, 0, 0, ALL, ALL, ALL],
            pdu: t(TaskManagementResponse {
                result: TaskManagementResult::Succeeded, additional: [1, 2, 3], itt: ITT, stat_sn: STAT_SN,
                exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN,
            }),
        },
        Row {
            what: "R2T",
            words: [0x3180_0000, 0, 0x0005_0000, 0, 0x1112_1314, 0x1516_1718, 0x4142_4344, 0x5152_5354, 0x6162_6364,
                    2, 0x0002_0000, 0x0001_0001],
            ignored: [0xc0ff_ffff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            pdu: t(R2t {
                lun: LUN, itt: ITT, ttt: TTT, stat_sn: STAT_SN, exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN,
                r2t_sn: R2tSn(2), offset: 0x0002_0000, len: NonZeroU32::new(0x0001_0001).unwrap(),
            }),
        },
    ]
}

#[rustfmt::skip]
fn scsi_response_rows() -> Vec<Row> {
    let response = ScsiResponse {
        response: 0, status: 2, residual: Residual::Underflow(0x0102_0304), bidi_read_residual: Residual::None,
        itt: ITT, snack_tag: 0x9192_9394, stat_sn: STAT_SN, exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN,
        exp_data_sn: DataSn(6), status_qualifier: 0x4001,
    };
    vec![
        Row {
            what: "SCSI Response with CHECK CONDITION and underflow",
            words: [0x2182_0002, 0, 0x4001_0000, 0, 0x1112_1314, 0x9192_9394, 0x4142_4344, 0x5152_5354, 0x6162_6364,
                    6, 0, 0x0102_0304],
            ignored: [0xc0e1_0000, 0, 0x0000_ffff, ALL, 0, 0, 0, 0, 0, 0, ALL, 0],
            pdu: t(response),
        },
        Row {
            what: "SCSI Response of a bidirectional command, overflow of both parts",
            words: [0x2194_0000, 0, 0, 0, 0x1112_1314, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364, 6, 5, 0x0102_0304],
            ignored: [0xc0e1_0000, 0, 0x0000_ffff, ALL, 0, 0, 0, 0, 0, 0, 0, 0],
            pdu: t(ScsiResponse {
                status: 0, residual: Residual::Overflow(0x0102_0304), bidi_read_residual: Residual::Overflow(5),
                snack_tag: 0, status_qualifier: 0, ..response
            }),
        },
        Row {
            what: "SCSI Response of target failure",
            words: [0x2180_8100, 0, 0, 0, 0x1112_1314, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0, 0, 0],
            ignored: [0xc0ff_00ff, 0, ALL, ALL, 0, 0, 0, 0, 0, ALL, ALL, ALL],
            pdu: t(ScsiResponse {
                response: 0x81, status: 0, residual: Residual::None, snack_tag: 0, exp_data_sn: DataSn(0),
                status_qualifier: 0, ..response
            }),
        },
    ]
}

#[rustfmt::skip]
fn target_data_rows() -> Vec<Row> {
    let data_in = DataIn {
        final_: false, acknowledge: false, status: None, residual: Residual::None, lun: Lun::ZERO, itt: ITT,
        ttt: Ttt::RESERVED, stat_sn: StatSn(0), exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN, data_sn: DataSn(4),
        offset: 0x0003_0000,
    };
    vec![
        Row {
            what: "SCSI Data-In",
            words: [0x2500_0000, 0, 0, 0, 0x1112_1314, ALL, 0, 0x5152_5354, 0x6162_6364, 4, 0x0003_0000, 0],
            ignored: [0xc03e_ffff, 0, ALL, ALL, 0, ALL, ALL, 0, 0, 0, 0, ALL],
            pdu: t(data_in),
        },
        Row {
            what: "SCSI Data-In that asks for a DataACK",
            words: [0x25c0_0000, 0, 0x0005_0000, 0, 0x1112_1314, 0x1516_1718, 0, 0x5152_5354, 0x6162_6364, 4,
                    0x0003_0000, 0],
            ignored: [0xc03e_ffff, 0, 0, 0, 0, 0, ALL, 0, 0, 0, 0, ALL],
            pdu: t(DataIn { final_: true, acknowledge: true, lun: LUN, ttt: TTT, ..data_in }),
        },
        Row {
            what: "SCSI Data-In with status and underflow",
            words: [0x2583_0000, 0, 0, 0, 0x1112_1314, ALL, 0x4142_4344, 0x5152_5354, 0x6162_6364, 4, 0x0003_0000,
                    0x0102_0304],
            ignored: [0xc038_ff00, 0, ALL, ALL, 0, ALL, 0, 0, 0, 0, 0, 0],
            pdu: t(DataIn {
                final_: true, status: Some(0), residual: Residual::Underflow(0x0102_0304), stat_sn: STAT_SN, ..data_in
            }),
        },
    ]
}

#[rustfmt::skip]
fn login_and_text_response_rows() -> Vec<Row> {
    let login = LoginResponse {
        transit: true, continued: false, csg: Stage::SecurityNegotiation,
        nsg: Some(Stage::LoginOperationalNegotiation), version_max: 2, version_active: 1,
        isid: Isid([0x80, 1, 2, 3, 4, 5]), tsih: Tsih(0x0607), itt: ITT, stat_sn: STAT_SN, exp_cmd_sn: EXP_CMD_SN,
        max_cmd_sn: MAX_CMD_SN, status: LoginStatus::SUCCESS,
    };
    let text = TextResponse {
        final_: true, continued: false, lun: Lun::ZERO, itt: ITT, ttt: Ttt::RESERVED, stat_sn: STAT_SN,
        exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN,
    };
    vec![
        Row {
            what: "Login Response, transit",
            words: [0x2381_0201, 0, 0x8001_0203, 0x0405_0607, 0x1112_1314, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364,
                    0, 0, 0],
            ignored: [0xc030_0000, 0, 0, 0, 0, ALL, 0, 0, 0, 0x0000_ffff, ALL, ALL],
            pdu: t(login),
        },
        Row {
            what: "Login Response that refuses",
            words: [0x2304_0201, 0, 0x8001_0203, 0x0405_0607, 0x1112_1314, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364,
                    0x0201_0000, 0, 0],
            ignored: [0xc033_0000, 0, 0, 0, 0, ALL, 0, 0, 0, 0x0000_ffff, ALL, ALL],
            pdu: t(LoginResponse {
                transit: false, csg: Stage::LoginOperationalNegotiation, nsg: None,
                status: LoginStatus::AUTHENTICATION_FAILURE, ..login
            }),
        },
        Row {
            what: "Text Response, final",
            words: [0x2480_0000, 0, 0, 0, 0x1112_1314, ALL, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0, 0, 0],
            ignored: [0xc03f_ffff, 0, 0, 0, 0, ALL, 0, 0, 0, ALL, ALL, ALL],
            pdu: t(text),
        },
        Row {
            what: "Text Response, continued",
            words: [0x2440_0000, 0, 0x0005_0000, 0, 0x1112_1314, 0x1516_1718, 0x4142_4344, 0x5152_5354, 0x6162_6364,
                    0, 0, 0],
            ignored: [0xc03f_ffff, 0, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL],
            pdu: t(TextResponse { final_: false, continued: true, lun: LUN, ttt: TTT, ..text }),
        },
    ]
}

#[rustfmt::skip]
fn target_control_rows() -> Vec<Row> {
    let message = AsyncMessage {
        event: AsyncEvent::ConnectionDropped, vendor_code: 0, lun: Lun::ZERO, stat_sn: STAT_SN,
        exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN, parameter1: 0x0809, parameter2: 0x0a0b, parameter3: 0x0c0d,
    };
    vec![
        Row {
            what: "Logout Response",
            words: [0x2680_0200, 0, 0, 0, 0x1112_1314, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0, 0x0102_0304, 0],
            ignored: [0xc0ff_00ff, 0, ALL, ALL, 0, ALL, 0, 0, 0, ALL, 0, ALL],
            pdu: t(LogoutResponse {
                result: LogoutResult::RecoveryNotSupported, itt: ITT, stat_sn: STAT_SN, exp_cmd_sn: EXP_CMD_SN,
                max_cmd_sn: MAX_CMD_SN, time2wait: 0x0102, time2retain: 0x0304,
            }),
        },
        Row {
            what: "Asynchronous Message, connection dropped",
            words: [0x3280_0000, 0, 0, 0, ALL, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0x0200_0809, 0x0a0b_0c0d, 0],
            ignored: [0xc0ff_ffff, 0, 0, 0, ALL, ALL, 0, 0, 0, 0x00ff_0000, 0, ALL],
            pdu: t(message),
        },
        Row {
            what: "Asynchronous Message of a vendor",
            words: [0x3280_0000, 0, 0x0005_0000, 0, ALL, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0xf8aa_0809,
                    0x0a0b_0c0d, 0],
            ignored: [0xc0ff_ffff, 0, 0, 0, ALL, ALL, 0, 0, 0, 0, 0, ALL],
            pdu: t(AsyncMessage { event: AsyncEvent::Vendor(0xf8), vendor_code: 0xaa, lun: LUN, ..message }),
        },
        Row {
            what: "Reject",
            words: [0x3f80_0400, 0, 0, 0, ALL, 0, 0x4142_4344, 0x5152_5354, 0x6162_6364, 0x0102_0304, 0, 0],
            ignored: [0xc0ff_00ff, 0, ALL, ALL, ALL, ALL, 0, 0, 0, 0, ALL, ALL],
            pdu: t(Reject {
                reason: RejectReason::ProtocolError, stat_sn: STAT_SN, exp_cmd_sn: EXP_CMD_SN, max_cmd_sn: MAX_CMD_SN,
                data_sn: DataSn(0x0102_0304),
            }),
        },
    ]
}

// covers: 7143-11-1
#[test]
fn bytes_match_the_figures_both_ways() {
    for row in rows() {
        let fixed = bytes(&row.words);
        assert_eq!(row.pdu.emit(), Bhs(fixed), "emit {}", row.what);
        assert_eq!(Pdu::parse(&Bhs(fixed)), Ok(row.pdu), "parse {}", row.what);
    }
}

#[test]
fn the_table_has_every_opcode() {
    let mut opcodes: Vec<u8> = rows().iter().map(|row| row.pdu.emit().opcode_code()).collect();
    opcodes.sort_unstable();
    opcodes.dedup();
    assert_eq!(opcodes, OPCODES);
}

/// Each bit of each header either is ignored, as the table says, or matters: it changes the value, or makes an error.
// covers: 7143-11-2
#[test]
fn of_every_bit_it_is_known_whether_it_matters() {
    for row in rows() {
        let ignored = bytes(&row.ignored);
        for bit in (0..384).filter(|bit| !matches!(bit / 8, 4..=7)) {
            let (at, mask) = (bit / 8, 0x80u8 >> (bit % 8));
            let mut changed = bytes(&row.words);
            changed[at] ^= mask;
            let same = Pdu::parse(&Bhs(changed)) == Ok(row.pdu);
            assert_eq!(same, ignored[at] & mask != 0, "{}: byte {at}, mask {mask:#04x}", row.what);
        }
        let mut all = bytes(&row.words);
        all.iter_mut().zip(ignored).for_each(|(byte, mask)| *byte |= mask);
        assert_eq!(Pdu::parse(&Bhs(all)), Ok(row.pdu), "{}: all at once", row.what);
    }
}

// covers: 7143-11.2.1.2-1
#[test]
fn neither_side_takes_opcodes_of_the_other() {
    for code in 0..64u8 {
        let mut bhs = Bhs([0xff; 48]);
        bhs.0[0] = code;
        let is_opcode_error = |error: FrameError| matches!(error, FrameError::Field { field: "Opcode", .. });
        let defined = OPCODES.contains(&code);
        assert_eq!(
            InitiatorPdu::parse(&bhs).is_err_and(is_opcode_error),
            !defined || code & 0x20 != 0,
            "{code:#x}"
        );
        assert_eq!(
            TargetPdu::parse(&bhs).is_err_and(is_opcode_error),
            !defined || code & 0x20 == 0,
            "{code:#x}"
        );
    }
    for row in rows() {
        let from_target = row.pdu.emit().opcode_code() & 0x20 != 0;
        assert_eq!(from_target, matches!(row.pdu, Pdu::T(_)), "{}", row.what);
    }
}

#[test]
fn every_parser_names_the_opcode_that_it_wanted() {
    for row in rows() {
        let bhs = row.pdu.emit();
        let want = bhs.opcode_code();
        if want != Opcode::R2t.code() {
            assert_eq!(R2t::parse(&bhs), Err(FrameError::Opcode { got: want, want: 0x31 }), "{}", row.what);
        }
        if want != Opcode::NopOut.code() {
            assert_eq!(NopOut::parse(&bhs), Err(FrameError::Opcode { got: want, want: 0 }), "{}", row.what);
        }
    }
}

#[test]
fn one_line_for_the_log_names_the_pdu() {
    for row in rows() {
        let (line, opcode) = match row.pdu {
            Pdu::I(pdu) => (pdu.to_string(), pdu.opcode()),
            Pdu::T(pdu) => (pdu.to_string(), pdu.opcode()),
        };
        assert!(line.starts_with(opcode.name()) && !line.contains('\n'), "{}: {line}", row.what);
    }
}

proptest! {
    #[test]
    fn parsing_is_total(bytes in prop::array::uniform32(any::<u8>()), rest in prop::array::uniform16(any::<u8>())) {
        let mut all = [0; 48];
        all[..32].copy_from_slice(&bytes);
        all[32..].copy_from_slice(&rest);
        for opcode in 0..=255u8 {
            all[0] = opcode;
            let _ = (InitiatorPdu::parse(&Bhs(all)), TargetPdu::parse(&Bhs(all)));
        }
    }

    /// Whatever parses is a valid value, and every valid value can come out of parsing: so this is all of them.
    #[test]
    fn what_was_parsed_is_written_so_that_it_reads_the_same(words in prop::array::uniform12(word())) {
        let mut all = bytes(&words);
        all[4..8].fill(0);
        for opcode in OPCODES {
            all[0] = all[0] & 0xc0 | opcode;
            if let Ok(pdu) = Pdu::parse(&Bhs(all)) {
                prop_assert_eq!(Pdu::parse(&pdu.emit()), Ok(pdu));
            }
        }
    }
}

/// Words in which reserved tags, zeroes and single flags are as likely as anything.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(ALL), (0..32u32).prop_map(|bit| 1 << bit), any::<u32>(), any::<u32>()]
}

const OPCODES: [u8; 18] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x31, 0x32,
    0x3f,
];
