//! A decoder that others wrote reads our frames: a session with every opcode, as a capture file, through `tshark`.
//!
//! Without `tshark` the test says loudly that it was skipped; with `ISCSICORE_REQUIRE_PEERS=1` it fails instead.

// The tool that judges is another program; the core itself is not asked to reach it.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::io::Write;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;

use bytes::Buf;
use iscsicore::DataList;
use iscsicore::link::Transmitter;
use iscsicore::wire::*;

const ITT: Itt = Itt(0x1000_0001);
const LUN: Lun = Lun(0x0001_0000_0000_0000);
const CMD: CmdSn = CmdSn(100);
const MAX: CmdSn = CmdSn(131);
const STAT: StatSn = StatSn(500);

/// Each opcode both ways, without digests, with each one alone, and with both: `tshark` finds the opcodes that were
/// sent in their order, marks nothing as malformed, raises no warning or error, and agrees with each digest.
// covers: 7143-11.2-1 7143-11.2-2 7143-11.2-3 7143-13.1-2 7143-13.1-4
#[test]
fn tshark_decodes_a_whole_session() {
    for (header, data) in [(false, false), (true, false), (false, true), (true, true)] {
        let capture = session(header, data);
        let name = format!("session-{}-{}.pcap", u8::from(header), u8::from(data));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, &capture.file).unwrap();
        let Some(lines) = tshark(&path) else { return };

        let mut opcodes: Vec<u8> = Vec::new();
        let (mut header_digests, mut data_digests) = (0, 0);
        for line in &lines {
            assert!(line.malformed.is_empty(), "malformed: {line:?}");
            assert!(line.severities.iter().all(|s| *s < WARNING), "expert information: {line:?}");
            opcodes.extend(&line.opcodes);
            header_digests += line.header_digests;
            data_digests += line.data_digests;
        }
        assert_eq!(opcodes, capture.opcodes, "digests {header} {data}");
        assert_eq!((header_digests, data_digests), (capture.header_digests, capture.data_digests));
        assert_eq!((header_digests > 0, data_digests > 0), (header, data));
        assert_verdicts(&path, capture.header_digests + capture.data_digests);
    }
}

/// The other way round: `tshark` sees a wrong digest, so its agreement above means something.
#[test]
fn tshark_notices_a_wrong_digest() {
    let mut capture = session(true, true);
    let last = capture.file.len() - 1;
    capture.file[last] ^= 1;
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("damaged.pcap");
    std::fs::write(&path, &capture.file).unwrap();
    let Some(text) = run_tshark(&path, &["-V", "-O", "iscsi"]) else { return };
    assert_eq!(digest_verdicts(&text).iter().filter(|good| !**good).count(), 1);
}

/// What `tshark` says about one packet.
#[derive(Debug)]
struct Line {
    opcodes: Vec<u8>,
    header_digests: usize,
    data_digests: usize,
    severities: Vec<u32>,
    malformed: String,
}

const WARNING: u32 = 0x0060_0000;

fn tshark(path: &Path) -> Option<Vec<Line>> {
    let fields = [
        "iscsi.opcode",
        "iscsi.headerdigest32",
        "iscsi.datadigest32",
        "_ws.expert.severity",
        "_ws.malformed",
    ];
    let mut args = vec!["-T", "fields", "-E", "separator=;", "-E", "occurrence=a", "-E", "aggregator=,"];
    fields.iter().for_each(|field| args.extend(["-e", field]));
    let text = run_tshark(path, &args)?;
    Some(text.lines().map(parse_line).collect())
}

fn parse_line(line: &str) -> Line {
    let columns: Vec<&str> = line.split(';').collect();
    assert_eq!(columns.len(), 5, "unexpected output: {line}");
    let numbers = |column: usize| {
        columns[column].split(',').filter(|s| !s.is_empty()).map(|s| match s.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).unwrap(),
            None => s.parse().unwrap(),
        })
    };
    Line {
        opcodes: numbers(0).map(|code| code as u8).collect(),
        header_digests: numbers(1).count(),
        data_digests: numbers(2).count(),
        severities: numbers(3).collect(),
        malformed: columns[4].to_owned(),
    }
}

fn assert_verdicts(path: &Path, count: usize) {
    let Some(text) = run_tshark(path, &["-V", "-O", "iscsi"]) else { return };
    let verdicts = digest_verdicts(&text);
    assert_eq!(verdicts.len(), count);
    assert!(verdicts.iter().all(|good| *good), "tshark disagrees with a digest");
}

/// One entry for each digest that the detailed output judges: whether it is right.
fn digest_verdicts(text: &str) -> Vec<bool> {
    text.lines()
        .filter(|line| {
            line.trim_start().starts_with("HeaderDigest:") || line.trim_start().starts_with("DataDigest:")
        })
        .map(|line| line.contains("(Good"))
        .collect()
}

/// Runs `tshark` over a capture; `None` when it is not installed and need not be.
fn run_tshark(path: &Path, args: &[&str]) -> Option<String> {
    let result = Command::new("tshark").arg("-n").arg("-r").arg(path).args(args).output();
    let output = match result {
        Ok(output) => output,
        Err(error) if std::env::var_os("ISCSICORE_REQUIRE_PEERS").is_some_and(|v| v == "1") => {
            panic!("tshark cannot be run: {error}")
        }
        Err(error) => {
            // Straight to the stream: what a passing test prints with a macro is swallowed.
            let skipped = "SKIPPED: no foreign decoder has seen these frames, tshark cannot be run";
            let mut stream = std::io::stderr();
            writeln!(stream, "{skipped}: {error}").unwrap();
            return None;
        }
    };
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A capture file in the making, and what must be found in it.
struct Capture {
    file: Vec<u8>,
    seq: [u32; 2],
    tx: Transmitter,
    digests: (bool, bool),
    opcodes: Vec<u8>,
    header_digests: usize,
    data_digests: usize,
}

#[derive(Clone, Copy)]
enum Sender {
    Initiator = 0,
    Target = 1,
}

const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;

impl Capture {
    fn new() -> Self {
        // The classic format, version 2.4, link type Ethernet.
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, 1] {
            file.extend(word.to_le_bytes());
        }
        let mut capture = Capture {
            file,
            seq: [1000, 2000],
            tx: Transmitter::new(),
            digests: (false, false),
            opcodes: Vec::new(),
            header_digests: 0,
            data_digests: 0,
        };
        capture.packet(Sender::Initiator, SYN, &[]);
        capture.packet(Sender::Target, SYN | ACK, &[]);
        capture.packet(Sender::Initiator, ACK, &[]);
        capture
    }

    fn set_digests(&mut self, header: bool, data: bool) {
        self.tx.set_digests(header, data);
        self.digests = (header, data);
    }

    fn send(&mut self, from: Sender, bhs: Bhs, data: &[u8]) {
        self.send_with_ahs(from, bhs, &[], data);
    }

    fn send_with_ahs(&mut self, from: Sender, bhs: Bhs, ahs: &[u8], data: &[u8]) {
        self.opcodes.push(bhs.opcode().code());
        self.header_digests += usize::from(self.digests.0);
        self.data_digests += usize::from(self.digests.1 && !data.is_empty());
        self.tx.push_with_ahs(bhs, ahs, DataList::from(data.to_vec()));
        let len = self.tx.remaining();
        let bytes = self.tx.copy_to_bytes(len);
        self.packet(from, PUSH | ACK, &bytes);
    }

    /// One TCP segment in IPv4 in Ethernet. Checksums are left 0: `tshark` does not look at them by default.
    fn packet(&mut self, from: Sender, flags: u8, payload: &[u8]) {
        let (me, peer) = (from as usize, 1 - from as usize);
        let ports = [50_000u16, 3260];
        let mut frame = vec![2, 0, 0, 0, 0, peer as u8, 2, 0, 0, 0, 0, me as u8, 0x08, 0x00];
        frame.extend([0x45, 0]);
        frame.extend(((40 + payload.len()) as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend([10, 0, 0, me as u8 + 1, 10, 0, 0, peer as u8 + 1]);
        frame.extend(ports[me].to_be_bytes());
        frame.extend(ports[peer].to_be_bytes());
        frame.extend(self.seq[me].to_be_bytes());
        frame.extend(if flags & ACK != 0 { self.seq[peer] } else { 0 }.to_be_bytes());
        frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(payload);
        self.seq[me] += payload.len() as u32 + u32::from(flags & SYN != 0);
        for word in
            [1_700_000_000, self.file.len() as u32 % 1_000_000, frame.len() as u32, frame.len() as u32]
        {
            self.file.extend(word.to_le_bytes());
        }
        self.file.extend(frame);
    }
}

/// Login, every kind of request and answer once, logout.
fn session(header: bool, data: bool) -> Capture {
    let mut capture = Capture::new();
    login(&mut capture, header, data);
    capture.set_digests(header, data);
    text(&mut capture);
    read(&mut capture);
    write(&mut capture);
    failed_command(&mut capture);
    long_cdb(&mut capture);
    pings(&mut capture);
    management(&mut capture);
    recovery(&mut capture);
    logout(&mut capture);
    capture
}

fn login(capture: &mut Capture, header: bool, data: bool) {
    let value = |on| if on { "CRC32C" } else { "None" };
    let digests = format!("HeaderDigest={}\0DataDigest={}\0", value(header), value(data));
    let names = "InitiatorName=iqn.2026-11.invalid.example:host\0SessionType=Normal\0\
                 TargetName=iqn.2026-11.invalid.example:disk\0";
    let (isid, full) = (Isid([0x80, 0, 0, 1, 0, 0]), Some(Stage::FullFeature));
    let csg = Stage::LoginOperationalNegotiation;
    let request = LoginRequest {
        transit: true,
        continued: false,
        csg,
        nsg: full,
        version_max: 0,
        version_min: 0,
        isid,
        tsih: Tsih(0),
        itt: ITT,
        cid: Cid(1),
        cmd_sn: CMD,
        exp_stat_sn: StatSn(0),
    };
    capture.send(Sender::Initiator, request.emit(), format!("{names}{digests}").as_bytes());
    let response = LoginResponse {
        transit: true,
        continued: false,
        csg,
        nsg: full,
        version_max: 0,
        version_active: 0,
        isid,
        tsih: Tsih(7),
        itt: ITT,
        stat_sn: STAT,
        exp_cmd_sn: CMD,
        max_cmd_sn: MAX,
        status: LoginStatus::SUCCESS,
    };
    capture.send(Sender::Target, response.emit(), format!("TargetPortalGroupTag=1\0{digests}").as_bytes());
}

fn text(capture: &mut Capture) {
    let request = TextRequest {
        immediate: false,
        final_: true,
        continued: false,
        lun: Lun(0),
        itt: ITT,
        ttt: Ttt::RESERVED,
        cmd_sn: CMD,
        exp_stat_sn: STAT,
    };
    capture.send(Sender::Initiator, request.emit(), b"SendTargets=\0");
    let response = TextResponse {
        final_: true,
        continued: false,
        lun: Lun(0),
        itt: ITT,
        ttt: Ttt::RESERVED,
        stat_sn: STAT,
        exp_cmd_sn: CMD,
        max_cmd_sn: MAX,
    };
    let targets = b"TargetName=iqn.2026-11.invalid.example:disk\0TargetAddress=10.0.0.2:3260,1\0";
    capture.send(Sender::Target, response.emit(), targets);
}

fn command(read: bool, write: bool, expected_len: u32, cdb: &[u8]) -> ScsiCommand {
    let mut bytes = [0; 16];
    bytes[..cdb.len()].copy_from_slice(cdb);
    ScsiCommand {
        immediate: false,
        final_: true,
        read,
        write,
        attribute: TaskAttribute::Simple,
        priority: 0,
        lun: LUN,
        itt: ITT,
        expected_len,
        cmd_sn: CMD,
        exp_stat_sn: STAT,
        cdb: bytes,
    }
}

fn response(status: u8, residual: Residual) -> ScsiResponse {
    ScsiResponse {
        response: 0,
        status,
        residual,
        bidi_read_residual: Residual::None,
        itt: ITT,
        snack_tag: 0,
        stat_sn: STAT,
        exp_cmd_sn: CMD,
        max_cmd_sn: MAX,
        exp_data_sn: DataSn(0),
        status_qualifier: 0,
    }
}

/// READ (10) of two blocks, in two Data-Ins, the last with the status.
fn read(capture: &mut Capture) {
    let cdb = [0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    capture.send(Sender::Initiator, command(true, false, 1024, &cdb).emit(), &[]);
    for (sn, offset, last) in [(0, 0, false), (1, 512, true)] {
        let data_in = DataIn {
            final_: last,
            acknowledge: false,
            status: last.then_some(0),
            residual: Residual::None,
            lun: LUN,
            itt: ITT,
            ttt: Ttt::RESERVED,
            stat_sn: STAT,
            exp_cmd_sn: CMD,
            max_cmd_sn: MAX,
            data_sn: DataSn(sn),
            offset,
        };
        capture.send(Sender::Target, data_in.emit(), &[0x5a; 512]);
    }
}

/// WRITE (10) of three blocks: one immediate, two asked for.
fn write(capture: &mut Capture) {
    let cdb = [0x2a, 0, 0, 0, 0, 8, 0, 0, 3, 0];
    capture.send(Sender::Initiator, command(false, true, 1536, &cdb).emit(), &[1; 512]);
    let r2t = R2t {
        lun: LUN,
        itt: ITT,
        ttt: Ttt(9),
        stat_sn: STAT,
        exp_cmd_sn: CMD,
        max_cmd_sn: MAX,
        r2t_sn: R2tSn(0),
        offset: 512,
        len: NonZeroU32::new(1024).unwrap(),
    };
    capture.send(Sender::Target, r2t.emit(), &[]);
    for (sn, offset) in [(0, 512), (1, 1024)] {
        let data_out = DataOut {
            final_: sn == 1,
            lun: LUN,
            itt: ITT,
            ttt: Ttt(9),
            exp_stat_sn: STAT,
            data_sn: DataSn(sn),
            offset,
        };
        capture.send(Sender::Initiator, data_out.emit(), &[2; 512]);
    }
    capture.send(Sender::Target, response(0, Residual::None).emit(), &[]);
}

/// TEST UNIT READY that ends with CHECK CONDITION: sense length, fixed sense of a unit attention.
fn failed_command(capture: &mut Capture) {
    capture.send(Sender::Initiator, command(false, false, 0, &[0]).emit(), &[]);
    let sense = [0, 18, 0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0, 0, 0, 0, 0];
    capture.send(Sender::Target, response(2, Residual::None).emit(), &sense);
}

/// READ (32): its CDB reaches into an additional header segment.
fn long_cdb(capture: &mut Capture) {
    let mut cdb = [0u8; 32];
    (cdb[0], cdb[7], cdb[9], cdb[31]) = (0x7f, 0x18, 0x09, 1);
    let mut ahs = Vec::new();
    AdditionalHeader::ExtendedCdb(&cdb[16..]).emit(&mut ahs);
    capture.send_with_ahs(Sender::Initiator, command(true, false, 512, &cdb[..16]).emit(), &ahs, &[]);
    capture.send(Sender::Target, response(0, Residual::Underflow(512)).emit(), &[]);
}

fn pings(capture: &mut Capture) {
    let out =
        NopOut { immediate: true, lun: Lun(0), itt: ITT, ttt: Ttt::RESERVED, cmd_sn: CMD, exp_stat_sn: STAT };
    capture.send(Sender::Initiator, out.emit(), b"hello");
    let back =
        NopIn { lun: Lun(0), itt: ITT, ttt: Ttt::RESERVED, stat_sn: STAT, exp_cmd_sn: CMD, max_cmd_sn: MAX };
    capture.send(Sender::Target, back.emit(), b"hello");
    capture.send(Sender::Target, NopIn { itt: Itt::RESERVED, ttt: Ttt(3), ..back }.emit(), &[]);
    capture.send(Sender::Initiator, NopOut { itt: Itt::RESERVED, ttt: Ttt(3), ..out }.emit(), &[]);
}

fn management(capture: &mut Capture) {
    let request = TaskManagementRequest {
        immediate: true,
        function: TaskManagementFunction::AbortTask,
        lun: LUN,
        itt: Itt(ITT.0 + 1),
        referenced_itt: ITT,
        cmd_sn: CMD,
        exp_stat_sn: STAT,
        ref_cmd_sn: CMD,
        exp_data_sn: DataSn(0),
    };
    capture.send(Sender::Initiator, request.emit(), &[]);
    let response = TaskManagementResponse {
        result: TaskManagementResult::Complete,
        additional: [0; 3],
        itt: Itt(ITT.0 + 1),
        stat_sn: STAT,
        exp_cmd_sn: CMD,
        max_cmd_sn: MAX,
    };
    capture.send(Sender::Target, response.emit(), &[]);
}

/// A SNACK, the Reject that it gets, and an Asynchronous Message.
fn recovery(capture: &mut Capture) {
    let snack = SnackRequest {
        kind: SnackKind::Status,
        lun: Lun(0),
        itt: Itt::RESERVED,
        ttt: Ttt::RESERVED,
        exp_stat_sn: STAT,
        beg_run: STAT.0,
        run_length: 1,
    };
    capture.send(Sender::Initiator, snack.emit(), &[]);
    let reject = Reject {
        reason: RejectReason::SnackReject,
        stat_sn: STAT,
        exp_cmd_sn: CMD,
        max_cmd_sn: MAX,
        data_sn: DataSn(0),
    };
    capture.send(Sender::Target, reject.emit(), &snack.emit().0);
    // The header inside the Reject is decoded too. tshark takes the data digest behind it, which covers exactly
    // that header, for the header digest of it, and shows it only when header digests are in use.
    capture.opcodes.push(Opcode::SnackRequest.code());
    let (header, data) = capture.digests;
    capture.data_digests -= usize::from(data);
    capture.header_digests += usize::from(header && data);
    let message = AsyncMessage {
        event: AsyncEvent::LogoutRequested,
        vendor_code: 0,
        lun: Lun(0),
        stat_sn: STAT,
        exp_cmd_sn: CMD,
        max_cmd_sn: MAX,
        parameter1: 0,
        parameter2: 0,
        parameter3: 10,
    };
    capture.send(Sender::Target, message.emit(), &[]);
}

fn logout(capture: &mut Capture) {
    let request = LogoutRequest {
        immediate: true,
        reason: LogoutReason::CloseSession,
        itt: ITT,
        cid: Cid(1),
        cmd_sn: CMD,
        exp_stat_sn: STAT,
    };
    capture.send(Sender::Initiator, request.emit(), &[]);
    let response = LogoutResponse {
        result: LogoutResult::Closed,
        itt: ITT,
        stat_sn: STAT,
        exp_cmd_sn: CMD,
        max_cmd_sn: MAX,
        time2wait: 2,
        time2retain: 20,
    };
    capture.send(Sender::Target, response.emit(), &[]);
}
