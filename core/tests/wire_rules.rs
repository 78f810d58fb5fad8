//! What the parsers refuse, one valid header changed at a time, and what the emitters enforce; the tables of codes.

use core::num::NonZeroU32;

use iscsicore::FrameError;
use iscsicore::wire::*;

/// A header of zeroes but for the opcode, the leading bit of byte 1, and valid tags.
fn header(opcode: Opcode) -> [u8; 48] {
    let mut bytes = Bhs::new(opcode).0;
    bytes[1] = 0x80;
    bytes[16..24].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
    match opcode {
        Opcode::ScsiCommand => bytes[20..24].fill(0),
        Opcode::NopIn | Opcode::SnackRequest => bytes[20..24].fill(0xff),
        Opcode::R2t => bytes[47] = 1,
        _ => {}
    }
    bytes
}

fn changed(opcode: Opcode, changes: &[(usize, &[u8])]) -> Bhs {
    let mut bytes = header(opcode);
    for (at, with) in changes {
        bytes[*at..at + with.len()].copy_from_slice(with);
    }
    Bhs(bytes)
}

/// The field that a parser of either direction complains of; `None` where it takes the header.
fn complaint(bhs: &Bhs) -> Option<&'static str> {
    let error = match bhs.opcode().code() & 0x20 {
        0 => InitiatorPdu::parse(bhs).err(),
        _ => TargetPdu::parse(bhs).err(),
    };
    error.map(|error| match error {
        FrameError::Field { field, .. } => field,
        other => panic!("{other}"),
    })
}

const TAG: &[u8] = &[0xff; 4];

const ALL: [Opcode; 18] = [
    Opcode::NopOut,
    Opcode::ScsiCommand,
    Opcode::TaskManagementRequest,
    Opcode::LoginRequest,
    Opcode::TextRequest,
    Opcode::DataOut,
    Opcode::LogoutRequest,
    Opcode::SnackRequest,
    Opcode::NopIn,
    Opcode::ScsiResponse,
    Opcode::TaskManagementResponse,
    Opcode::LoginResponse,
    Opcode::TextResponse,
    Opcode::DataIn,
    Opcode::LogoutResponse,
    Opcode::R2t,
    Opcode::AsyncMessage,
    Opcode::Reject,
];

// covers: 7143-11.2.1.5-1
#[test]
fn additional_headers_belong_to_scsi_commands() {
    for opcode in ALL {
        assert_eq!(complaint(&changed(opcode, &[])), None, "{opcode:?}");
        let expected = (opcode != Opcode::ScsiCommand).then_some("TotalAHSLength");
        assert_eq!(complaint(&changed(opcode, &[(4, &[1])])), expected, "{opcode:?}");
    }
}

// covers: 7143-11.5.2-1 7143-11.6.2-1 7143-11.8.1-1 7143-11.14.2-1 7143-11.15.2-1
#[test]
fn some_pdus_have_no_data() {
    for opcode in ALL {
        let without = matches!(
            opcode,
            Opcode::TaskManagementRequest
                | Opcode::TaskManagementResponse
                | Opcode::R2t
                | Opcode::LogoutRequest
                | Opcode::LogoutResponse
        );
        let expected = without.then_some("DataSegmentLength");
        for len in [[0, 0, 1], [0x80, 0, 0]] {
            assert_eq!(complaint(&changed(opcode, &[(5, &len)])), expected, "{opcode:?}");
        }
    }
}

#[test]
fn no_task_has_the_reserved_tag() {
    for opcode in [
        Opcode::ScsiCommand,
        Opcode::TaskManagementRequest,
        Opcode::LoginRequest,
        Opcode::TextRequest,
        Opcode::DataOut,
        Opcode::LogoutRequest,
    ] {
        assert_eq!(complaint(&changed(opcode, &[(16, TAG)])), Some("Initiator Task Tag"), "{opcode:?}");
    }
}

// covers: 7143-11.3.1-1
#[test]
fn a_command_without_final_writes() {
    for (flags, expected) in
        [(0x00u8, Some("F")), (0x40, Some("F")), (0x20, None), (0x80, None), (0xa0, None)]
    {
        // Data is expected that has not come along, so that no other rule asks for the F bit.
        let len: &[u8] = if flags & 0x60 == 0 { &[0; 4] } else { &[0, 0, 1, 0] };
        assert_eq!(
            complaint(&changed(Opcode::ScsiCommand, &[(1, &[flags]), (20, len)])),
            expected,
            "{flags:#x}"
        );
    }
}

// covers: 7143-11.3.1-2
#[test]
fn a_length_takes_a_direction_and_a_direction_no_length() {
    let command =
        |flags: u8, len: u8| complaint(&changed(Opcode::ScsiCommand, &[(1, &[flags]), (23, &[len])]));
    assert_eq!(command(0x80, 1), Some("R and W"));
    for (flags, len) in [(0x80, 0), (0xc0, 0), (0xa0, 0), (0xc0, 1), (0xa0, 1)] {
        assert_eq!(command(flags, len), None, "{flags:#x} {len}");
    }
}

// covers: 7143-11.3.4-1
#[test]
fn both_directions_take_an_additional_header() {
    assert_eq!(complaint(&changed(Opcode::ScsiCommand, &[(1, &[0xe0])])), Some("TotalAHSLength"));
    assert_eq!(complaint(&changed(Opcode::ScsiCommand, &[(1, &[0xe0]), (4, &[2])])), None);
}

// covers: 7143-11.3.4-2
#[test]
fn a_command_with_all_its_data_is_final() {
    let command =
        |flags: u8| complaint(&changed(Opcode::ScsiCommand, &[(1, &[flags]), (6, &[2, 0]), (22, &[2, 0])]));
    assert_eq!(command(0x20), Some("F"));
    assert_eq!(command(0xa0), None);
}

// covers: 7143-11.4.1-1 7143-11.4.3-1 7143-11.4.8-1
#[test]
fn in_other_responses_than_completed_status_and_flags_do_not_exist() {
    let noise = changed(Opcode::ScsiResponse, &[(1, &[0xff, 0x01, 0x02]), (36, &[0xff; 12])]);
    let response = ScsiResponse::parse(&noise).unwrap();
    assert_eq!((response.response, response.status), (ScsiResponse::TARGET_FAILURE, 0));
    assert_eq!((response.residual, response.bidi_read_residual), (Residual::None, Residual::None));
    let full = ScsiResponse {
        status: 2,
        residual: Residual::Overflow(1),
        bidi_read_residual: Residual::Underflow(1),
        exp_data_sn: DataSn(3),
        ..response
    };
    let bytes = full.emit().0;
    assert_eq!((bytes[1], bytes[2], bytes[3]), (0x80, 1, 0));
    assert_eq!(bytes[36..], [0; 12]);
}

// covers: 7143-11.4.5.1-1 7143-11.4.5.1-2 7143-11.4.6-1
#[test]
fn a_residual_count_goes_with_its_flag_and_is_ignored_without() {
    use Residual::{None as Exact, Overflow, Underflow};
    let counts: &[u8] = &[0, 0, 0, 7, 0, 0, 0, 9];
    for (flags, bidi, residual) in [
        (0x80u8, Exact, Exact),
        (0x82, Exact, Underflow(9)),
        (0x84, Exact, Overflow(9)),
        (0x88, Underflow(7), Exact),
        (0x90, Overflow(7), Exact),
        (0x94, Overflow(7), Overflow(9)),
        (0x8a, Underflow(7), Underflow(9)),
    ] {
        let response =
            ScsiResponse::parse(&changed(Opcode::ScsiResponse, &[(1, &[flags]), (40, counts)])).unwrap();
        assert_eq!((response.bidi_read_residual, response.residual), (bidi, residual), "{flags:#x}");
        let bytes = response.emit().0;
        assert_eq!(bytes[1], flags);
        assert_eq!(bytes[40..44], if bidi == Exact { [0; 4] } else { [0, 0, 0, 7] });
        assert_eq!(bytes[44..48], if residual == Exact { [0; 4] } else { [0, 0, 0, 9] });
    }
    for flags in [0x86, 0x98, 0x9e] {
        assert_eq!(
            complaint(&changed(Opcode::ScsiResponse, &[(1, &[flags])])),
            Some("O and U"),
            "{flags:#x}"
        );
    }
    assert_eq!(complaint(&changed(Opcode::DataIn, &[(1, &[0x87])])), Some("O and U"));
    assert_eq!(
        complaint(&changed(Opcode::DataIn, &[(1, &[0x86])])),
        None,
        "the flags mean nothing without S"
    );
}

#[test]
fn exp_data_sn_of_a_failed_command_is_zero() {
    let response = ScsiResponse::parse(&changed(Opcode::ScsiResponse, &[(2, &[1]), (39, &[5])])).unwrap();
    assert_eq!(response.exp_data_sn, DataSn(0));
    let response = ScsiResponse::parse(&changed(Opcode::ScsiResponse, &[(39, &[5])])).unwrap();
    assert_eq!(response.exp_data_sn, DataSn(5));
}

// covers: 7143-11.5.1-19
#[test]
fn task_reassign_is_immediate() {
    assert_eq!(complaint(&changed(Opcode::TaskManagementRequest, &[(1, &[0x88])])), Some("I"));
    let request = changed(Opcode::TaskManagementRequest, &[(0, &[0x42, 0x88])]);
    let request = TaskManagementRequest::parse(&request).unwrap();
    assert!(TaskManagementRequest { immediate: false, ..request }.emit().is_immediate());
}

// covers: 7143-11.5.4-1 7144-6.3.2-1
#[test]
fn only_functions_that_name_a_task_carry_its_tag() {
    for code in 1..=12u8 {
        let bhs = changed(Opcode::TaskManagementRequest, &[(0, &[0x42, 0x80 | code])]);
        let request = TaskManagementRequest::parse(&bhs).unwrap();
        let expected = if [1, 8, 9].contains(&code) { Itt(2) } else { Itt::RESERVED };
        assert_eq!(request.referenced_itt, expected, "function {code}");
        let careless = TaskManagementRequest { referenced_itt: Itt(2), ..request };
        assert_eq!(careless.emit().0[20..24], expected.0.to_be_bytes(), "function {code}");
    }
}

// covers: 7143-11.7.3-1
#[test]
fn data_in_carries_no_status_that_comes_with_sense() {
    for status in 0..=255u8 {
        let expected = (![0x00, 0x04, 0x10, 0x14].contains(&status)).then_some("Status");
        assert_eq!(
            complaint(&changed(Opcode::DataIn, &[(1, &[0x81]), (3, &[status])])),
            expected,
            "{status:#x}"
        );
    }
}

// covers: 7143-11.7.3-3
#[test]
fn data_in_with_status_is_final() {
    assert_eq!(complaint(&changed(Opcode::DataIn, &[(1, &[0x01])])), Some("F"));
    let data_in = DataIn::parse(&changed(Opcode::DataIn, &[(1, &[0x81])])).unwrap();
    assert!(DataIn { final_: false, ..data_in }.emit().is_final());
}

// covers: 7143-11.7.4-1
#[test]
fn data_in_that_wants_an_acknowledgement_names_itself() {
    assert_eq!(complaint(&changed(Opcode::DataIn, &[(1, &[0x40]), (20, TAG)])), Some("Target Transfer Tag"));
    assert_eq!(complaint(&changed(Opcode::DataIn, &[(1, &[0x40])])), None);
    let plain = DataIn::parse(&changed(Opcode::DataIn, &[(8, &[9; 8])])).unwrap();
    assert_eq!((plain.ttt, plain.lun), (Ttt::RESERVED, Lun::ZERO));
    let careless = DataIn { ttt: Ttt(3), lun: Lun(4), ..plain }.emit();
    assert_eq!((&careless.0[8..16], &careless.0[20..24]), (&[0; 8][..], TAG));
}

#[test]
fn an_r2t_asks_for_something() {
    assert_eq!(complaint(&changed(Opcode::R2t, &[(44, &[0; 4])])), Some("Desired Data Transfer Length"));
    let r2t = R2t::parse(&changed(Opcode::R2t, &[(44, TAG)])).unwrap();
    assert_eq!(r2t.len, NonZeroU32::MAX);
}

// covers: 7143-11.8.5-1
#[test]
fn an_r2t_has_a_tag() {
    assert_eq!(complaint(&changed(Opcode::R2t, &[(20, TAG)])), Some("Target Transfer Tag"));
}

// covers: 7143-11.10.2-1 7143-11.11.2-1 7143-11.12.2-1 7143-11.13.7-1 7143-6.2-1
#[test]
fn text_that_goes_on_is_not_final() {
    for (opcode, field) in [
        (Opcode::TextRequest, "C and F"),
        (Opcode::TextResponse, "C and F"),
        (Opcode::LoginRequest, "C and T"),
        (Opcode::LoginResponse, "C and T"),
    ] {
        assert_eq!(complaint(&changed(opcode, &[(1, &[0xc0])])), Some(field), "{opcode:?}");
        assert_eq!(complaint(&changed(opcode, &[(1, &[0x40])])), None, "{opcode:?}");
    }
    let request = TextRequest::parse(&changed(Opcode::TextRequest, &[])).unwrap();
    assert_eq!(TextRequest { continued: true, ..request }.emit().0[1], 0x40);
    let response = TextResponse::parse(&changed(Opcode::TextResponse, &[])).unwrap();
    assert_eq!(TextResponse { continued: true, ..response }.emit().0[1], 0x40);
    let request = LoginRequest::parse(&changed(Opcode::LoginRequest, &[(1, &[0x87])])).unwrap();
    assert_eq!(LoginRequest { continued: true, ..request }.emit().0[1], 0x44);
    let response = LoginResponse::parse(&changed(Opcode::LoginResponse, &[(1, &[0x87])])).unwrap();
    assert_eq!(LoginResponse { continued: true, ..response }.emit().0[1], 0x44);
}

// covers: 7143-11.10.4-1 7143-11.10.4-2 7143-11.11.1-2 7143-11.11.1-3
#[test]
fn a_text_response_has_a_tag_exactly_where_it_is_not_final() {
    let open = changed(Opcode::TextResponse, &[(1, &[0])]);
    assert_eq!(TextResponse::parse(&open).map(|response| response.ttt), Ok(Ttt(2)));
    assert_eq!(
        complaint(&changed(Opcode::TextResponse, &[(1, &[0]), (20, TAG)])),
        Some("Target Transfer Tag")
    );
    let last = TextResponse::parse(&changed(Opcode::TextResponse, &[])).unwrap();
    assert_eq!(last.ttt, Ttt::RESERVED, "the tag of a final response is ignored");
    assert_eq!(TextResponse { ttt: Ttt(9), ..last }.emit().0[20..24], [0xff; 4]);
}

#[test]
fn every_pair_of_stages_reads_or_names_the_reserved_one() {
    for opcode in [Opcode::LoginRequest, Opcode::LoginResponse] {
        for byte in 0..16u8 {
            let (csg, nsg) = (byte >> 2, byte & 3);
            let with_transit = match (csg, nsg) {
                (2, _) => Some("CSG"),
                (_, 2) => Some("NSG"),
                _ => None,
            };
            assert_eq!(complaint(&changed(opcode, &[(1, &[0x80 | byte])])), with_transit, "{byte:#x}");
            assert_eq!(
                complaint(&changed(opcode, &[(1, &[byte])])),
                (csg == 2).then_some("CSG"),
                "{byte:#x}"
            );
        }
    }
}

/// Type, tags, BegRun and RunLength, and what is wrong with them.
// covers: 7143-11.16.4-1 7143-11.16.5-4 7143-11.16.6-1 7143-11.16.7-1
#[test]
fn the_type_of_a_snack_fixes_its_tags_and_runs() {
    const SECOND: &str = "Target Transfer Tag or SNACK Tag";
    let (none, one) = (u32::MAX, 1);
    for (kind, itt, ttt, beg_run, run_length, expected) in [
        (0u8, one, none, 5, 6, None),
        (0, none, none, 5, 6, Some("Initiator Task Tag")),
        (0, one, one, 5, 6, Some(SECOND)),
        (1, none, none, 5, 6, None),
        (1, one, none, 5, 6, Some("Initiator Task Tag")),
        (1, none, one, 5, 6, Some(SECOND)),
        (2, none, one, 5, 0, None),
        (2, one, one, 5, 0, Some("Initiator Task Tag")),
        (2, none, none, 5, 0, Some(SECOND)),
        (2, none, one, 5, 6, Some("RunLength")),
        (3, one, one, 0, 0, None),
        (3, none, one, 0, 0, Some("Initiator Task Tag")),
        (3, one, none, 0, 0, Some(SECOND)),
        (3, one, 0, 0, 0, Some("SNACK Tag")),
        (3, one, one, 5, 0, Some("BegRun")),
        (3, one, one, 0, 6, Some("RunLength")),
    ] {
        let bhs = changed(
            Opcode::SnackRequest,
            &[
                (1, &[0x80 | kind]),
                (16, &u32::to_be_bytes(itt)),
                (20, &u32::to_be_bytes(ttt)),
                (40, &u32::to_be_bytes(beg_run)),
                (44, &u32::to_be_bytes(run_length)),
            ],
        );
        assert_eq!(complaint(&bhs), expected, "type {kind} {itt:#x} {ttt:#x} {beg_run} {run_length}");
    }
}

#[test]
fn a_careless_snack_is_written_as_its_type_demands() {
    for kind in [SnackKind::DataOrR2t, SnackKind::Status, SnackKind::DataAck, SnackKind::RData] {
        let careless = SnackRequest {
            kind,
            lun: Lun(1),
            itt: Itt(1),
            ttt: Ttt(1),
            exp_stat_sn: StatSn(1),
            beg_run: 1,
            run_length: 1,
        };
        assert_eq!(complaint(&careless.emit()), None, "{kind}");
    }
}

// covers: 7143-11.19-3 7143-11.19-5
#[test]
fn a_nop_in_answers_or_asks_but_not_both() {
    let nop_in = |changes: &[(usize, &[u8])]| complaint(&changed(Opcode::NopIn, changes));
    assert_eq!(nop_in(&[(7, &[9])]), None, "an answer echoes data");
    assert_eq!(nop_in(&[(20, &[0, 0, 0, 1])]), Some("Target Transfer Tag"));
    assert_eq!(nop_in(&[(16, TAG), (20, &[0, 0, 0, 1])]), None);
    assert_eq!(nop_in(&[(16, TAG)]), None);
    assert_eq!(nop_in(&[(16, TAG), (7, &[9])]), Some("DataSegmentLength"));
}

// covers: 7143-11.18.1-4
#[test]
fn a_nop_out_that_wants_no_answer_is_immediate() {
    assert_eq!(complaint(&changed(Opcode::NopOut, &[(16, TAG)])), Some("I"));
    let nop_out = NopOut::parse(&changed(Opcode::NopOut, &[(0, &[0x40]), (16, TAG)])).unwrap();
    assert!(NopOut { immediate: false, ..nop_out }.emit().is_immediate());
}

/// The defined codes of each table, by hand; every other code survives as it came.
macro_rules! table {
    ($name:ident: $($code:literal => $variant:ident),* $(,)?) => {
        let defined = [$(($code, $name::$variant)),*];
        for code in 0..=255u8 {
            let value = $name::from_code(code);
            assert_eq!(value.code(), code);
            match defined.iter().find(|(defined, _)| *defined == code) {
                Some((_, variant)) => assert_eq!((value, value.is_defined()), (*variant, true)),
                None => assert_eq!((value, value.is_defined()), ($name::Unknown(code), false)),
            }
        }
    };
}

#[test]
fn every_code_of_every_table() {
    table!(TaskAttribute: 0 => Untagged, 1 => Simple, 2 => Ordered, 3 => HeadOfQueue, 4 => Aca);
    table!(TaskManagementFunction: 1 => AbortTask, 2 => AbortTaskSet, 3 => ClearAca, 4 => ClearTaskSet,
        5 => LogicalUnitReset, 6 => TargetWarmReset, 7 => TargetColdReset, 8 => TaskReassign, 9 => QueryTask,
        10 => QueryTaskSet, 11 => ITNexusReset, 12 => QueryAsynchronousEvent);
    table!(TaskManagementResult: 0 => Complete, 1 => TaskDoesNotExist, 2 => LunDoesNotExist, 3 => TaskStillAllegiant,
        4 => TaskAllegianceReassignmentNotSupported, 5 => NotSupported, 6 => AuthorizationFailed, 7 => Succeeded,
        255 => Rejected);
    table!(LogoutReason: 0 => CloseSession, 1 => CloseConnection, 2 => RemoveConnectionForRecovery);
    table!(LogoutResult: 0 => Closed, 1 => CidNotFound, 2 => RecoveryNotSupported, 3 => CleanupFailed);
    table!(SnackKind: 0 => DataOrR2t, 1 => Status, 2 => DataAck, 3 => RData);
    for code in 0..=255u8 {
        let event = AsyncEvent::from_code(code);
        assert_eq!(event.code(), code);
        assert_eq!(matches!(event, AsyncEvent::Vendor(_)), code >= 248);
        assert_eq!(matches!(event, AsyncEvent::Unknown(_)), (6..248).contains(&code));
    }
    for code in 0..=255u8 {
        let stage = Stage::from_code(code);
        assert_eq!(stage.map(Stage::code), [0, 1, 3].contains(&code).then_some(code));
    }
}

// covers: 7143-11.17.1-2
#[test]
fn negotiation_reset_is_no_reason_to_reject() {
    table!(RejectReason: 2 => DataDigestError, 3 => SnackReject, 4 => ProtocolError, 5 => CommandNotSupported,
        6 => TooManyImmediateCommands, 7 => TaskInProgress, 8 => InvalidDataAck, 9 => InvalidPduField,
        10 => LongOperationReject, 12 => WaitingForLogout);
}
