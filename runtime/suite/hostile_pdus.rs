//! Initiators that have logged in and send PDUs that they should not. Each test names the class of defect and where
//! it has bitten others; each asserts what the peer gets, and that a well-behaved session is served meanwhile and
//! afterwards.

use std::sync::Arc;
use std::time::Duration;

use crate::platform::backend::{Kind, MemoryBackend};
use iscsicore::link::Pdu;
use iscsicore::wire::{
    Bhs, CmdSn, DataOut, DataSn, Itt, Lun, Opcode, R2t, RejectReason, ScsiCommand, StatSn,
    TaskManagementFunction as Function, TaskManagementResult as Answer, Ttt,
};
use iscsicore::{DataList, Limits};

use crate::support::initiator::{Login, Session, read16, write16};
use crate::support::serving::{Bystander, Serving, TARGET, WHILE};

fn reason(pdu: &Pdu) -> RejectReason {
    iscsicore::wire::Reject::parse(&pdu.bhs).unwrap().reason
}

/// The next PDU that is a Reject.
fn rejected(session: &mut Session) -> Pdu {
    let pdu = session.next_pdu().expect("a Reject");
    assert_eq!(pdu.bhs.opcode(), Opcode::Reject, "{pdu:?}");
    assert_eq!(pdu.data.len(), 48, "the header that is rejected, and nothing else");
    pdu
}

/// Gives back the CmdSN of a request that was rejected: it does not count as received.
fn give_back(session: &mut Session) {
    session.cmd_sn = CmdSn(session.cmd_sn.0.wrapping_sub(1));
}

/// Trust in AHSLength (LIO, 2026), and a Reject that copies too much of a PDU with additional headers (SPDK,
/// 9d660f187a).
// covers: 7143-7.7-1
#[test]
fn additional_headers_that_lie_are_rejected() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    use RejectReason::{InvalidPduField as Malformed, ProtocolError as Reserved};
    let bad: [(&[u8], RejectReason); 8] = [
        (&[0, 0, 0, 0], Reserved),                // of the reserved kind 0, and empty
        (&[0, 200, 1, 0, 1, 2, 3, 4], Malformed), // longer than TotalAHSLength
        (&[0xff, 0xff, 1, 0], Malformed),         // as long as can be
        (&[0, 1, 1, 0, 0, 1, 1], Malformed),      // a second one cut off
        (&[0, 3, 2, 0, 1, 2, 0, 0], Malformed),   // a bidirectional length of two bytes
        (&[0, 5, 2, 0, 0, 0, 2, 0, 0, 5, 2, 0, 0, 0, 2, 0], Malformed), // twice
        (&[0, 1, 1, 0], Malformed),               // an extended CDB of no bytes
        (&[0, 2, 3, 0, 9, 0, 0, 0], Reserved),    // of a kind that nobody knows
    ];
    for (ahs, want) in bad {
        let mut session = serving.login("ahs");
        let command = session.command(0, &[0; 6]);
        session.raw.send_with_ahs(command.emit(), ahs, DataList::new());
        let pdu = session.next_pdu().unwrap();
        if pdu.bhs.opcode() == Opcode::Reject {
            assert_eq!((reason(&pdu), pdu.data.len()), (want, 48), "{ahs:?}");
            if want == Malformed {
                assert!(session.next_pdu().is_none(), "a format error ends the session");
            }
        } else {
            // What is well-formed but of no use may be ignored.
            assert_eq!((pdu.bhs.opcode(), pdu.bhs.itt()), (Opcode::ScsiResponse, command.itt), "{ahs:?}");
            session.nop();
        }
    }
    // On PDUs that have none.
    for opcode in [Opcode::NopOut, Opcode::TaskManagementRequest, Opcode::TextRequest, Opcode::LogoutRequest]
    {
        let mut session = serving.login("ahs");
        let mut bhs = Bhs::new(opcode);
        bhs.set_immediate();
        bhs.0[1] = 0x81;
        bhs.0[19] = 77;
        bhs.0[24..28].copy_from_slice(&session.cmd_sn.0.to_be_bytes());
        session.raw.send_with_ahs(bhs, &[0, 1, 1, 0], DataList::new());
        assert_eq!(reason(&rejected(&mut session)), RejectReason::InvalidPduField, "{opcode:?}");
        assert!(session.next_pdu().is_none(), "{opcode:?}");
    }
    bystander.is_served(&serving);
    let mut session = serving.login("ahs");
    // More of them than any request has: framing ends.
    let mut bhs = session.command(0, &[0; 6]).emit();
    bhs.set_total_ahs_len(1020);
    session.raw.send_bytes(&bhs.0);
    while session.next_pdu().is_some() {}
    bystander.is_served(&serving);
}

/// Lengths and digests: what cannot be framed ends the session (RFC 7143 section 7.7), what can is rejected (LIO,
/// 778c2ab1: the arithmetic of length, padding and digest).
// covers: 7143-7.7-1 7143-7.8-1 7143-7.8-2
#[test]
fn damaged_digests_and_long_segments() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let login = Login::to(TARGET, "digests").key("HeaderDigest", "CRC32C").key("DataDigest", "CRC32C");
    let mut session = Session::login(serving.address, &login);
    // A data digest of another's data, on PDUs of many lengths.
    for len in [1usize, 3, 4, 47, 8192] {
        let mut text = Bhs::new(Opcode::TextRequest);
        text.set_immediate();
        text.0[1] = 0x80;
        text.0[19] = 1;
        text.0[20..24].fill(0xff);
        text.0[24..28].copy_from_slice(&session.cmd_sn.0.to_be_bytes());
        session.raw.tx.push(text, vec![b'k'; len].into());
        let mut bytes = Vec::new();
        while bytes::Buf::has_remaining(&session.raw.tx) {
            bytes.push(bytes::Buf::get_u8(&mut session.raw.tx));
        }
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        session.raw.send_bytes(&bytes);
        assert_eq!(reason(&rejected(&mut session)), RejectReason::DataDigestError);
        session.nop();
    }
    bystander.is_served(&serving);
    // A header digest that does not match: nothing behind it can be trusted.
    let mut bhs = session.command(0, &[0; 6]).emit().0.to_vec();
    bhs.extend_from_slice(&[1, 2, 3, 4]);
    session.raw.send_bytes(&bhs);
    assert!(session.next_pdu().is_none());
    // A segment longer than what this end declared.
    let mut session = serving.login("long");
    let mut bhs = session.command(0, &[0; 6]).emit();
    bhs.set_data_segment_len(session.max_segment as u32 + 1);
    session.raw.send_bytes(&bhs.0);
    assert!(session.next_pdu().is_none());
    bystander.is_served(&serving);
    serving.wait_for_sessions(1);
}

/// Opcodes that an initiator does not send, or not now.
// covers: 7143-4.2.4-3 7143-4.2.4-4
#[test]
fn pdus_out_of_place_are_rejected() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    for code in 0..64u8 {
        if [0, 1, 2, 4, 5, 6].contains(&code) {
            continue;
        }
        let mut session = serving.login("opcodes");
        let mut bhs = Bhs([0; 48]);
        bhs.0[0] = 0x40 | code;
        bhs.0[1] = 0x80;
        session.raw.send(bhs, DataList::new());
        rejected(&mut session);
        if bhs.opcode() == Opcode::Unknown(code) {
            session.nop();
        }
    }
    bystander.is_served(&serving);
}

/// A discovery session carries text and a logout, and nothing else.
// covers: 7143-4.3-1 7143-4.3-2
#[test]
fn a_discovery_session_takes_no_commands() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = Session::login(serving.address, &Login::discovery("finder"));
    let command = session.command(0, &read16(0, 1));
    session.raw.send(ScsiCommand { read: true, expected_len: 512, ..command }.emit(), DataList::new());
    assert_eq!(reason(&rejected(&mut session)), RejectReason::ProtocolError);
    give_back(&mut session);
    session.start_nop(b"x");
    assert_eq!(reason(&rejected(&mut session)), RejectReason::ProtocolError);
    session.start_management(Function::TargetColdReset, 0, Itt::RESERVED);
    assert_eq!(reason(&rejected(&mut session)), RejectReason::ProtocolError);
    assert_eq!(session.send_targets("All").len(), 2);
    session.logout();
    bystander.is_served(&serving);
}

/// A Text Request with C = 1 and no data (SPDK, CVE-2021-28361), pieces without end, keys without form, and a tag
/// that is not the exchange's.
#[test]
fn text_requests_without_sense_do_no_harm() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let text = |session: &Session, flags: u8, itt: u32, ttt: u32| {
        let mut bhs = Bhs::new(Opcode::TextRequest);
        bhs.set_immediate();
        bhs.0[1] = flags;
        bhs.0[16..20].copy_from_slice(&itt.to_be_bytes());
        bhs.0[20..24].copy_from_slice(&ttt.to_be_bytes());
        bhs.0[24..28].copy_from_slice(&session.cmd_sn.0.to_be_bytes());
        bhs
    };
    const NONE: u32 = 0xffff_ffff;
    let long = [vec![b'K'; 5000], vec![0]].concat();
    let cases: Vec<(u8, u32, u32, Vec<u8>)> = vec![
        (0x40, 1, NONE, Vec::new()),
        (0xc0, 2, NONE, b"SendTargets=".to_vec()),
        (0x80, 3, 0x1234, b"SendTargets=\0".to_vec()),
        (0x80, NONE, NONE, b"SendTargets=\0".to_vec()),
        (0x80, 5, NONE, b"=\0".to_vec()),
        (0x80, 6, NONE, b"SendTargets=All\0".to_vec()),
        (0x80, 7, NONE, b"SendTargets=iqn.2026-01.not:here\0SendTargets=\0".to_vec()),
        (0x80, 8, NONE, long),
        (0x80, 9, NONE, b"MaxRecvDataSegmentLength=1\0".to_vec()),
        (0x80, 10, NONE, b"InitialR2T=Yes\0HeaderDigest=CRC32C\0".to_vec()),
        (0x80, 11, NONE, Vec::new()),
    ];
    for (flags, itt, ttt, data) in cases {
        let shown = String::from_utf8_lossy(&data[..data.len().min(30)]).into_owned();
        let mut session = serving.login("text");
        session.raw.send(text(&session, flags, itt, ttt), data);
        let pdu = session.next_pdu().expect("an answer");
        match pdu.bhs.opcode() {
            Opcode::TextResponse => session.nop(),
            other => assert_eq!((other, pdu.data.len()), (Opcode::Reject, 48), "{shown:?}"),
        }
    }
    bystander.is_served(&serving);
    let mut session = serving.login("text");
    // Pieces without end: bounded.
    let mut taken = 0;
    let mut ttt = NONE;
    loop {
        session.raw.send(text(&session, 0x40, 20, ttt), vec![b'k'; 8192]);
        let pdu = session.next_pdu().expect("an answer");
        if pdu.bhs.opcode() != Opcode::TextResponse {
            assert_eq!(pdu.bhs.opcode(), Opcode::Reject);
            break;
        }
        ttt = u32::from_be_bytes(pdu.bhs.0[20..24].try_into().unwrap());
        taken += 8192;
        assert!(taken <= Limits::default().text_bytes);
    }
    bystander.is_served(&serving);
}

/// SendTargets with very many targets (tgt 4c4372e; open-iscsi#219): the list comes whole, in pieces.
#[test]
fn ten_thousand_targets_are_listed() {
    let serving = Serving::with(|b| {
        let unit = b.disk("all", Arc::new(MemoryBackend::new(1 << 20)));
        for n in 0..10_000 {
            b.target(&format!("iqn.2026-01.dev.iscsicore.test:one-of-very-many-targets-{n:05}"), &[unit])
                .unwrap();
        }
    });
    let mut bystander = Bystander::new(&serving);
    let mut session = Session::login(serving.address, &Login::discovery("finder"));
    let pairs = session.send_targets("All");
    let names: Vec<_> = pairs.iter().filter(|(k, _)| k == "TargetName").map(|(_, v)| v).collect();
    assert_eq!(names.len(), 10_001);
    assert_eq!(pairs.len(), 2 * names.len(), "an address each");
    assert!(names.last().unwrap().ends_with("09999"));
    session.logout();
    bystander.is_served(&serving);
}

/// Immediate data longer than the transfer (`iscsi-target` 1.0.0: a slice panic and a poisoned device), more
/// unsolicited data than negotiated, and data with a command that reads.
#[test]
fn immediate_data_beyond_the_transfer_is_not_written() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("immediate");
    for (expected, blocks, sent) in
        [(512u32, 1u32, 4096usize), (0, 0, 512), (512, 8, 8192), (4096, 1, 4096), (512, 8, 512)]
    {
        let command = session.command(0, &write16(1000, blocks));
        let command = ScsiCommand { write: expected > 0, expected_len: expected, ..command };
        session.raw.send(command.emit(), vec![0xee; sent]);
        let pdu = session.next_pdu().expect("an answer");
        match pdu.bhs.opcode() {
            Opcode::Reject => give_back(&mut session),
            Opcode::ScsiResponse => assert_eq!(pdu.bhs.itt(), command.itt),
            other => panic!("{other:?}"),
        }
        session.nop();
        assert_eq!(serving.bytes((1000 + 1) * 512, 512 * 16), [0; 512 * 16], "beyond the transfer");
    }
    // FirstBurstLength is 65536.
    let command = session.command(0, &write16(1000, 256));
    let command = ScsiCommand { write: true, expected_len: 131_072, ..command };
    session.raw.send(command.emit(), vec![0xee; 131_072]);
    let done = session.next_pdu().expect("an answer");
    assert!([Opcode::Reject, Opcode::ScsiResponse, Opcode::R2t].contains(&done.bhs.opcode()), "{done:?}");
    bystander.is_served(&serving);
}

/// Starts a write of `len` bytes without any data and returns the first R2T.
fn solicited(session: &mut Session, lba: u64, len: u32) -> (Itt, R2t) {
    let command = session.command(0, &write16(lba, len / 512));
    let command = ScsiCommand { write: true, expected_len: len, ..command };
    session.raw.send(command.emit(), DataList::new());
    let pdu = session.next_for(command.itt);
    (command.itt, R2t::parse(&pdu.bhs).expect("an R2T"))
}

fn data_out(r2t: &R2t, final_: bool, data_sn: u32, offset: u32) -> DataOut {
    DataOut {
        final_,
        lun: r2t.lun,
        itt: r2t.itt,
        ttt: r2t.ttt,
        exp_stat_sn: StatSn(0),
        data_sn: DataSn(data_sn),
        offset,
    }
}

/// Data-Out at offsets, with tags and in amounts that nobody asked for: the command fails, and the disk is as it was.
#[test]
fn data_out_that_was_not_asked_for_is_not_written() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    type Change = fn(&R2t) -> (DataOut, usize);
    let changes: [Change; 7] = [
        |r| (data_out(r, true, 0, 512), 4096),           // beyond by its offset
        |r| (data_out(r, true, 0, u32::MAX - 511), 512), // offset + length overflows
        |r| (data_out(r, true, 0, 0), 8192),             // too long
        |r| (data_out(r, true, 0, 0), 512),              // ends too early
        |r| (data_out(r, true, 7, 0), 4096),             // DataSN out of order
        |r| (DataOut { ttt: Ttt(r.ttt.0 ^ 0xff00), ..data_out(r, true, 0, 0) }, 4096),
        |r| (DataOut { lun: Lun(0x0009 << 48), ..data_out(r, true, 0, 0) }, 4096),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut session = serving.login("data-out");
        let (itt, r2t) = solicited(&mut session, 2000, 4096);
        let (out, len) = change(&r2t);
        session.raw.send(out.emit(), vec![0xee; len]);
        // Where that was no answer to the R2T, the right one may still follow.
        let right = data_out(&r2t, true, 0, 0);
        session.raw.send(right.emit(), vec![0xdd; 4096]);
        let mut status = None;
        while let Some(pdu) = session.next_pdu() {
            if pdu.bhs.opcode() == Opcode::ScsiResponse && pdu.bhs.itt() == itt {
                status = Some(pdu.bhs.0[3]);
                break;
            }
            assert_eq!(pdu.bhs.opcode(), Opcode::Reject, "case {n}");
        }
        let written = serving.bytes(2000 * 512, 4096);
        assert!(status.is_some(), "case {n}: the command is answered");
        assert_eq!(written == [0xdd; 4096], status == Some(0), "case {n}");
        assert!(
            !written.contains(&0xee) || status == Some(2),
            "case {n}: nothing that was wrong counts as written"
        );
        session.write(0, 2000, &[0; 4096]);
        session.nop();
    }
    bystander.is_served(&serving);
}

/// A write in several PDUs that is aborted between two of them (SPDK 9ccf32d64e: a double free), whose rest comes all
/// the same, and whose tag is used again.
#[test]
fn a_split_write_that_is_aborted_in_the_middle() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("split");
    for round in 0..50u32 {
        let (itt, r2t) = solicited(&mut session, 3000, 16_384);
        session.raw.send(data_out(&r2t, false, 0, 0).emit(), vec![0xee; 4096]);
        let abort = session.start_management(Function::AbortTask, 0, itt);
        session.raw.send(data_out(&r2t, false, 1, 4096).emit(), vec![0xee; 4096]);
        if round % 2 == 0 {
            session.raw.send(data_out(&r2t, true, 2, 8192).emit(), vec![0xee; 8192]);
        } else {
            // The initiator stops in the middle and uses the tag for something else.
            let command = session.command(0, &[0; 6]);
            session.raw.send(ScsiCommand { itt, ..command }.emit(), DataList::new());
            assert_eq!(session.finish(itt).status, 0);
        }
        assert_eq!(session.management_result(abort), Answer::Complete);
        assert!(session.unclaimed.iter().all(|p| p.bhs.itt() != itt), "nothing about the aborted task");
    }
    assert_eq!(serving.bytes(3000 * 512, 16_384), vec![0; 16_384]);
    bystander.is_served(&serving);
}

/// Requests after a logout, and a second logout (SPDK 9c3c488e0c: a NULL pointer).
#[test]
fn requests_on_a_closing_connection() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("closing");
    let gate = serving.hold(Kind::Write, 0);
    session.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let first = session.start_logout();
    session.start_logout();
    session.start_read(0, 0, 1);
    session.start_management(Function::TargetColdReset, 0, Itt::RESERVED);
    std::thread::sleep(WHILE);
    bystander.is_served_here();
    gate.open();
    let mut logouts = 0;
    while let Some(pdu) = session.next_pdu() {
        match pdu.bhs.opcode() {
            Opcode::LogoutResponse => {
                assert_eq!(pdu.bhs.itt(), first);
                logouts += 1;
            }
            other => assert_eq!(other, Opcode::Reject),
        }
    }
    assert_eq!(logouts, 1);
    serving.wait_for_sessions(1);
    bystander.is_served(&serving);
}

/// Numbers and tags: outside the window, twice, reserved, of a task that runs.
// covers: 7143-4.2.2.1-12 7143-7.3-2
#[test]
fn numbers_and_tags_that_cannot_be() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("numbers");
    let at = session.cmd_sn;
    for sn in
        [at.0.wrapping_sub(1), at.0.wrapping_sub(1000), at.0.wrapping_add(5000), at.0.wrapping_add(1 << 31)]
    {
        let command = session.command(0, &[0; 6]);
        give_back(&mut session);
        session.raw.send(ScsiCommand { cmd_sn: CmdSn(sn), ..command }.emit(), DataList::new());
        assert!(session.is_silent_about(command.itt, Duration::from_millis(30)), "ignored without a word");
    }
    // The tag of a task that runs, and the reserved one. The number of what is rejected does not count as received.
    let gate = serving.hold(Kind::Read, 0);
    let held = session.start_read(0, 0, 1);
    serving.reached(&gate);
    let command = session.command(0, &[0; 6]);
    session.raw.send(ScsiCommand { itt: held, ..command }.emit(), DataList::new());
    assert_eq!(reason(&rejected(&mut session)), RejectReason::TaskInProgress);
    give_back(&mut session);
    let mut other = serving.login("reserved");
    let command = other.command(0, &[0; 6]);
    other.raw.send(ScsiCommand { itt: Itt::RESERVED, ..command }.emit(), DataList::new());
    rejected(&mut other);
    gate.open();
    assert_eq!(session.finish(held).status, 0);
    // A whole window of commands behind a gap: kept, bounded, and served in order when the gap is filled.
    let missing = session.command(0, &[0; 6]);
    let waiting: Vec<_> = (0..127).map(|_| session.start_in(0, &[0; 6], 0)).collect();
    session.nop();
    assert!(session.is_silent_about(waiting[0], WHILE / 3));
    session.raw.send(missing.emit(), DataList::new());
    for itt in [vec![missing.itt], waiting].concat() {
        let pdu = session.next_pdu().unwrap();
        assert_eq!((pdu.bhs.itt(), pdu.bhs.opcode()), (itt, Opcode::ScsiResponse), "in order");
    }
    bystander.is_served(&serving);
}

/// Immediate requests go past the window: they have a bound of their own.
#[test]
fn immediate_requests_beyond_their_bound_are_rejected() {
    let serving = Serving::new();
    let mut bystander = Bystander::new(&serving);
    let mut session = serving.login("immediates");
    let gate = serving.hold(Kind::Write, 0);
    session.start_write(0, 0, &[1; 512]);
    serving.reached(&gate);
    let resets: Vec<_> =
        (0..100).map(|_| session.start_management(Function::LogicalUnitReset, 0, Itt::RESERVED)).collect();
    let mut rejects = 0;
    while session.raw.receive_within(WHILE).is_some_and(|p| p.bhs.opcode() == Opcode::Reject) {
        rejects += 1;
    }
    assert_eq!(rejects, resets.len() - Limits::default().immediate_requests as usize);
    gate.open();
    for itt in &resets[..16] {
        assert_eq!(session.management_result(*itt), Answer::Complete);
    }
    let mut other = serving.login("another-witness");
    other.logout();
    let _ = &mut bystander;
    assert_eq!(session.test_unit_ready(0).sense.map(|s| s.0), Some(6));
}
