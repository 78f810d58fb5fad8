//! A small initiator over a blocking socket: it can be well-behaved, and made to say anything.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Buf, Bytes};
use iscsicore::link::{Pdu, Placement, Receiver, Transmitter, Want};
use iscsicore::wire::text::{Pairs, TextWriter};
use iscsicore::wire::{
    Bhs, Cid, CmdSn, DataIn, DataOut, DataSn, Isid, Itt, LoginRequest, LoginResponse, LoginStatus,
    LogoutReason, LogoutRequest, Lun, NopOut, Opcode, R2t, Residual, ScsiCommand, ScsiResponse, Stage,
    StatSn, TaskAttribute, TaskManagementFunction, TaskManagementRequest, TaskManagementResponse,
    TaskManagementResult, TextRequest, TextResponse, Tsih, Ttt,
};
use iscsicore::{DataList, Limits};

/// Longer than anything that a server may take over an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// PDUs over a socket, without any sense of what is allowed.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    pub(crate) rx: Receiver,
    pub(crate) tx: Transmitter,
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut rx = Receiver::new(&Limits::default());
        rx.set_max_segment(1 << 23);
        Raw { stream, rx, tx: Transmitter::new() }
    }

    /// Sends a PDU; DataSegmentLength and padding are those of `data`.
    pub(crate) fn send(&mut self, bhs: Bhs, data: impl Into<DataList>) {
        self.tx.push(bhs, data.into());
        self.flush();
    }

    pub(crate) fn send_with_ahs(&mut self, bhs: Bhs, ahs: &[u8], data: impl Into<DataList>) {
        self.tx.push_with_ahs(bhs, ahs, data.into());
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        while self.tx.has_remaining() {
            let n = match self.stream.write(self.tx.chunk()) {
                // That the server has closed the connection is for whoever reads to see.
                Err(e) if matches!(e.kind(), BrokenPipe | ConnectionReset) => self.tx.remaining(),
                written => written.expect("the server takes no more"),
            };
            self.tx.advance(n);
        }
    }

    /// Sends bytes as they are; what the server thinks of them shows later.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next PDU; `None` when the server has closed the connection. Silence is a failed test.
    pub(crate) fn receive(&mut self) -> Option<Pdu> {
        loop {
            if let Some(pdu) = self.rx.next_pdu(|_| Placement::Stage).expect("the server sends PDUs") {
                return Some(pdu);
            }
            let Want::Read { staging, .. } = self.rx.want() else { continue };
            match self.stream.read(staging) {
                Ok(0) => return None,
                Ok(n) => self.rx.advance(&[], n).unwrap(),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => panic!("the server neither answers nor closes: {e}"),
            }
        }
    }

    /// The next PDU if one comes within `time`.
    pub(crate) fn receive_within(&mut self, time: Duration) -> Option<Pdu> {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut out = self.rx.next_pdu(|_| Placement::Stage).unwrap();
        while out.is_none() {
            let Want::Read { staging, .. } = self.rx.want() else { break };
            match self.stream.read(staging) {
                Ok(n) if n > 0 => self.rx.advance(&[], n).unwrap(),
                _ => break,
            }
            out = self.rx.next_pdu(|_| Placement::Stage).unwrap();
        }
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        out
    }

    /// Takes whatever still comes, up to the end of the connection, which must come.
    pub(crate) fn drain(&mut self) -> Vec<Pdu> {
        std::iter::from_fn(|| self.receive()).collect()
    }
}

/// What a login says.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) initiator: String,
    pub(crate) target: Option<String>,
    pub(crate) isid: Isid,
    pub(crate) tsih: Tsih,
    pub(crate) cid: Cid,
    pub(crate) cmd_sn: CmdSn,
    pub(crate) keys: Vec<(&'static str, String)>,
}

impl Login {
    /// A normal login of the initiator called `name`.
    pub(crate) fn to(target: &str, name: &str) -> Self {
        let initiator = format!("iqn.2026-01.dev.iscsicore.test:{name}");
        let isid = Isid([0x80, 0, 0, 0, 0, 1]);
        let keys = vec![
            ("InitialR2T", "No".to_owned()),
            ("ImmediateData", "Yes".to_owned()),
            ("MaxRecvDataSegmentLength", "262144".to_owned()),
            ("FirstBurstLength", "65536".to_owned()),
            ("DefaultTime2Retain", "0".to_owned()),
        ];
        let target = Some(target.to_owned());
        Login { initiator, target, isid, tsih: Tsih::NEW, cid: Cid(0), cmd_sn: CmdSn(1), keys }
    }

    pub(crate) fn discovery(name: &str) -> Self {
        Login { target: None, keys: Vec::new(), ..Login::to("", name) }
    }

    /// A login to reinstate the connection of a session; what belongs to the session is not negotiated anew.
    pub(crate) fn rejoin(&self, session: &Session) -> Self {
        Login { tsih: session.tsih, cmd_sn: session.cmd_sn, keys: Vec::new(), ..self.clone() }
    }

    pub(crate) fn isid(self, last: u8) -> Self {
        Login { isid: Isid([0x80, 0, 0, 0, 0, last]), ..self }
    }

    pub(crate) fn key(mut self, key: &'static str, value: &str) -> Self {
        self.keys.retain(|(k, _)| *k != key);
        self.keys.push((key, value.to_owned()));
        self
    }

    /// The one request that this login is made with.
    pub(crate) fn request(&self) -> (Bhs, Vec<u8>) {
        let mut text = TextWriter::new();
        text.pair("InitiatorName", &self.initiator);
        match &self.target {
            Some(target) => text.pair("TargetName", target),
            None => text.pair("SessionType", "Discovery"),
        }
        for (key, value) in &self.keys {
            text.pair(key, value);
        }
        (self.header(), text.finish())
    }

    pub(crate) fn header(&self) -> Bhs {
        let request = LoginRequest {
            transit: true,
            continued: false,
            csg: Stage::LoginOperationalNegotiation,
            nsg: Some(Stage::FullFeature),
            version_max: 0,
            version_min: 0,
            isid: self.isid,
            tsih: self.tsih,
            itt: Itt(0x7000),
            cid: self.cid,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: StatSn(0),
        };
        request.emit()
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: u8,
    pub(crate) data: Vec<u8>,
    /// Sense key, additional sense code and its qualifier.
    pub(crate) sense: Option<(u8, u8, u8)>,
    pub(crate) residual: Residual,
}

/// A full-feature session of one connection.
pub(crate) struct Session {
    pub(crate) raw: Raw,
    pub(crate) tsih: Tsih,
    pub(crate) cmd_sn: CmdSn,
    pub(crate) max_cmd_sn: CmdSn,
    pub(crate) exp_stat_sn: StatSn,
    next_itt: u32,
    /// PDUs that came while another one was waited for.
    pub(crate) unclaimed: VecDeque<Pdu>,
    /// What R2Ts may ask for.
    pub(crate) outgoing: BTreeMap<Itt, Bytes>,
    collected: BTreeMap<Itt, Vec<u8>>,
    /// The most that the target takes in one PDU.
    pub(crate) max_segment: usize,
}

impl Session {
    /// Logs in, and takes the unit attention of a new nexus.
    pub(crate) fn login(address: SocketAddr, login: &Login) -> Self {
        let mut session = Session::login_only(address, login).unwrap_or_else(|s| panic!("login: {s:?}"));
        if login.target.is_some() {
            let luns: Vec<u16> = session.report_luns();
            luns.into_iter().for_each(|lun| session.clear_attention(lun));
        }
        session
    }

    pub(crate) fn login_only(address: SocketAddr, login: &Login) -> Result<Self, LoginStatus> {
        let mut raw = Raw::connect(address);
        let (bhs, text) = login.request();
        raw.send(bhs, text);
        Session::finish_login(raw, login)
    }

    /// Waits for the answer to a login request that was sent.
    pub(crate) fn finish_login(mut raw: Raw, login: &Login) -> Result<Self, LoginStatus> {
        let mut max_segment = 8192;
        let (mut header, mut data) = (false, false);
        let response = loop {
            let pdu = raw.receive().expect("a login is answered");
            let response = LoginResponse::parse(&pdu.bhs).unwrap();
            if !response.status.is_success() {
                return Err(response.status);
            }
            for (key, value) in Pairs::parse(&pdu.data).map(Result::unwrap) {
                match key {
                    "MaxRecvDataSegmentLength" => max_segment = value.parse().unwrap(),
                    "HeaderDigest" => header = value == "CRC32C",
                    "DataDigest" => data = value == "CRC32C",
                    _ => {}
                }
            }
            if response.nsg == Some(Stage::FullFeature) {
                break response;
            }
            raw.send(login.header(), DataList::new());
        };
        raw.rx.set_digests(header, data);
        raw.tx.set_digests(header, data);
        Ok(Session {
            raw,
            tsih: response.tsih,
            cmd_sn: login.cmd_sn,
            max_cmd_sn: response.max_cmd_sn,
            exp_stat_sn: response.stat_sn.next(),
            next_itt: 1,
            unclaimed: VecDeque::new(),
            outgoing: BTreeMap::new(),
            collected: BTreeMap::new(),
            max_segment,
        })
    }

    pub(crate) fn new_itt(&mut self) -> Itt {
        self.next_itt += 1;
        Itt(self.next_itt)
    }

    fn take_cmd_sn(&mut self) -> CmdSn {
        let sn = self.cmd_sn;
        self.cmd_sn = sn.next();
        sn
    }

    /// A command that is to be sent; it has used up a CmdSN.
    pub(crate) fn command(&mut self, lun: u16, cdb: &[u8]) -> ScsiCommand {
        let mut padded = [0; 16];
        padded[..cdb.len()].copy_from_slice(cdb);
        ScsiCommand {
            immediate: false,
            final_: true,
            read: false,
            write: false,
            attribute: TaskAttribute::Simple,
            priority: 0,
            lun: Lun::from_number(lun).unwrap(),
            itt: self.new_itt(),
            expected_len: 0,
            cmd_sn: self.take_cmd_sn(),
            exp_stat_sn: self.exp_stat_sn,
            cdb: padded,
        }
    }

    /// Sends a command that reads up to `len` bytes.
    pub(crate) fn start_in(&mut self, lun: u16, cdb: &[u8], len: u32) -> Itt {
        let command = self.command(lun, cdb);
        let command = ScsiCommand { read: len > 0, expected_len: len, ..command };
        self.raw.send(command.emit(), DataList::new());
        command.itt
    }

    /// Sends a TEST UNIT READY although the target may have closed the connection.
    pub(crate) fn start_in_if_open(&mut self, lun: u16) -> Itt {
        let command = self.command(lun, &[0; 6]);
        self.raw.send_bytes(&command.emit().0);
        command.itt
    }

    /// Sends a command with data: as much as fits with the command, the rest when it is asked for.
    pub(crate) fn start_out(&mut self, lun: u16, cdb: &[u8], data: &[u8]) -> Itt {
        let command = self.command(lun, cdb);
        let command = ScsiCommand { write: true, expected_len: data.len() as u32, ..command };
        let now = data.len().min(self.max_segment).min(65536);
        self.outgoing.insert(command.itt, Bytes::copy_from_slice(data));
        self.raw.send(command.emit(), data[..now].to_vec());
        command.itt
    }

    pub(crate) fn start_read(&mut self, lun: u16, lba: u64, blocks: u32) -> Itt {
        self.start_in(lun, &read16(lba, blocks), blocks * 512)
    }

    pub(crate) fn start_write(&mut self, lun: u16, lba: u64, data: &[u8]) -> Itt {
        self.start_out(lun, &write16(lba, data.len() as u32 / 512), data)
    }

    pub(crate) fn read(&mut self, lun: u16, lba: u64, blocks: u32) -> Vec<u8> {
        let itt = self.start_read(lun, lba, blocks);
        let done = self.finish(itt);
        assert_eq!((done.status, done.sense), (0, None));
        assert_eq!(done.data.len(), blocks as usize * 512);
        done.data
    }

    pub(crate) fn write(&mut self, lun: u16, lba: u64, data: &[u8]) {
        let itt = self.start_write(lun, lba, data);
        let done = self.finish(itt);
        assert_eq!((done.status, done.sense), (0, None));
    }

    pub(crate) fn test_unit_ready(&mut self, lun: u16) -> Done {
        let itt = self.start_in(lun, &[0; 6], 0);
        self.finish(itt)
    }

    /// Takes every unit attention that waits.
    pub(crate) fn clear_attention(&mut self, lun: u16) {
        while self.test_unit_ready(lun).sense.is_some_and(|(key, ..)| key == 6) {}
    }

    pub(crate) fn report_luns(&mut self) -> Vec<u16> {
        let itt = self.start_in(0, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0], 4096);
        let done = self.finish(itt);
        assert_eq!(done.status, 0);
        done.data[8..].chunks(8).map(|c| u16::from_be_bytes([c[0], c[1]]) & 0x3fff).collect()
    }

    /// Waits for the end of a command and serves its R2Ts meanwhile.
    pub(crate) fn finish(&mut self, itt: Itt) -> Done {
        loop {
            let pdu = self.next_for(itt);
            match pdu.bhs.opcode() {
                Opcode::R2t => self.serve(&R2t::parse(&pdu.bhs).unwrap()),
                Opcode::DataIn => {
                    let head = DataIn::parse(&pdu.bhs).unwrap();
                    let data = self.collected.entry(itt).or_default();
                    assert_eq!(head.offset as usize, data.len(), "data in order");
                    data.extend_from_slice(&pdu.data);
                    if let Some(status) = head.status {
                        let data = self.collected.remove(&itt).unwrap_or_default();
                        return Done { status, data, sense: None, residual: head.residual };
                    }
                }
                Opcode::ScsiResponse => {
                    let response = ScsiResponse::parse(&pdu.bhs).unwrap();
                    let data = self.collected.remove(&itt).unwrap_or_default();
                    self.outgoing.remove(&itt);
                    let sense =
                        pdu.data.get(2..).filter(|s| s.len() >= 14).map(|s| (s[2] & 15, s[12], s[13]));
                    return Done { status: response.status, data, sense, residual: response.residual };
                }
                other => panic!("{other:?} for a command: {pdu:?}"),
            }
        }
    }

    /// Sends what an R2T asks for.
    pub(crate) fn serve(&mut self, r2t: &R2t) {
        let data = self.outgoing[&r2t.itt].clone();
        let (mut at, end) = (r2t.offset as usize, (r2t.offset + r2t.len.get()) as usize);
        let mut data_sn = DataSn(0);
        while at < end {
            let to = end.min(at + self.max_segment);
            let out = DataOut {
                final_: to == end,
                lun: r2t.lun,
                itt: r2t.itt,
                ttt: r2t.ttt,
                exp_stat_sn: self.exp_stat_sn,
                data_sn,
                offset: at as u32,
            };
            self.raw.send(out.emit(), DataList::from(data.slice(at..to)));
            data_sn = data_sn.next();
            at = to;
        }
    }

    /// The next PDU that carries this tag.
    pub(crate) fn next_for(&mut self, itt: Itt) -> Pdu {
        if let Some(at) = self.unclaimed.iter().position(|p| p.bhs.itt() == itt) {
            return self.unclaimed.remove(at).unwrap();
        }
        loop {
            let pdu = self.next_pdu().expect("the connection lives");
            if pdu.bhs.itt() == itt {
                return pdu;
            }
            self.unclaimed.push_back(pdu);
        }
    }

    /// The next PDU of any kind; `None` at the end of the connection.
    pub(crate) fn next_pdu(&mut self) -> Option<Pdu> {
        let pdu = self.raw.receive()?;
        self.note(&pdu);
        Some(pdu)
    }

    /// Whether nothing with this tag has come, nor comes within `time`.
    pub(crate) fn is_silent_about(&mut self, itt: Itt, time: Duration) -> bool {
        let until = std::time::Instant::now() + time;
        loop {
            if self.unclaimed.iter().any(|p| p.bhs.itt() == itt) {
                return false;
            }
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return true;
            }
            if let Some(pdu) = self.raw.receive_within(left.max(Duration::from_millis(1))) {
                self.note(&pdu);
                self.unclaimed.push_back(pdu);
            }
        }
    }

    pub(crate) fn note(&mut self, pdu: &Pdu) {
        let word = |at: usize| u32::from_be_bytes(pdu.bhs.0[at..at + 4].try_into().unwrap());
        // StatSN stands in all of them but Data-In without status.
        if pdu.bhs.opcode() != Opcode::DataIn || pdu.bhs.0[1] & 1 != 0 {
            self.exp_stat_sn = StatSn(word(24)).next();
        }
        self.max_cmd_sn = CmdSn(word(32));
    }

    /// Sends a task management request, immediately.
    pub(crate) fn start_management(
        &mut self,
        function: TaskManagementFunction,
        lun: u16,
        referenced: Itt,
    ) -> Itt {
        let request = TaskManagementRequest {
            immediate: true,
            function,
            lun: Lun::from_number(lun).unwrap(),
            itt: self.new_itt(),
            referenced_itt: referenced,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.exp_stat_sn,
            ref_cmd_sn: CmdSn(self.cmd_sn.0.wrapping_sub(1)),
            exp_data_sn: DataSn(0),
        };
        self.raw.send(request.emit(), DataList::new());
        request.itt
    }

    pub(crate) fn management_result(&mut self, itt: Itt) -> TaskManagementResult {
        TaskManagementResponse::parse(&self.next_for(itt).bhs).unwrap().result
    }

    /// Pings the target and checks what comes back.
    pub(crate) fn nop(&mut self) {
        let itt = self.start_nop(b"are you there?");
        assert_eq!(&self.next_for(itt).data[..], b"are you there?");
    }

    pub(crate) fn start_nop(&mut self, data: &'static [u8]) -> Itt {
        let ping = NopOut {
            immediate: true,
            lun: Lun(0),
            itt: self.new_itt(),
            ttt: Ttt::RESERVED,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.exp_stat_sn,
        };
        self.raw.send(ping.emit(), Bytes::from_static(data));
        ping.itt
    }

    /// Asks for targets; all pieces of the answer, joined.
    pub(crate) fn send_targets(&mut self, which: &str) -> Vec<(String, String)> {
        let (itt, mut ttt, mut text) = (self.new_itt(), Ttt::RESERVED, Vec::new());
        let mut data = format!("SendTargets={which}\0").into_bytes();
        loop {
            let request = TextRequest {
                immediate: false,
                final_: true,
                continued: false,
                lun: Lun(0),
                itt,
                ttt,
                cmd_sn: self.take_cmd_sn(),
                exp_stat_sn: self.exp_stat_sn,
            };
            self.raw.send(request.emit(), std::mem::take(&mut data));
            let pdu = self.next_for(itt);
            let response = TextResponse::parse(&pdu.bhs).unwrap();
            text.extend_from_slice(&pdu.data);
            if response.final_ {
                break;
            }
            ttt = response.ttt;
        }
        let pairs = Pairs::parse(&text).map(Result::unwrap);
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    pub(crate) fn start_logout(&mut self) -> Itt {
        let request = LogoutRequest {
            immediate: false,
            reason: LogoutReason::CloseSession,
            itt: self.new_itt(),
            cid: Cid(0),
            cmd_sn: self.take_cmd_sn(),
            exp_stat_sn: self.exp_stat_sn,
        };
        self.raw.send(request.emit(), DataList::new());
        request.itt
    }

    /// Logs out; the target answers and closes.
    pub(crate) fn logout(&mut self) {
        let itt = self.start_logout();
        let pdu = self.next_for(itt);
        assert_eq!((pdu.bhs.opcode(), pdu.bhs.0[2]), (Opcode::LogoutResponse, 0));
        let _ = self.raw.stream.shutdown(Shutdown::Write);
        while self.next_pdu().is_some() {}
    }
}

pub(crate) fn read16(lba: u64, blocks: u32) -> [u8; 16] {
    cdb16(0x88, lba, blocks)
}

pub(crate) fn write16(lba: u64, blocks: u32) -> [u8; 16] {
    cdb16(0x8a, lba, blocks)
}

fn cdb16(opcode: u8, lba: u64, blocks: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = opcode;
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}
