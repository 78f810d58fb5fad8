//! A small target over blocking sockets, a thread a connection: well-behaved on its own, and made to do anything by a script
//! that sees each PDU first. Headers are written byte by byte, so that wrong ones can be.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) const NAME: &str = "iqn.2026-01.dev.iscsicore.test:fake";
pub(crate) const BLOCK: usize = 512;
pub(crate) const BLOCKS: u64 = 4096;
/// ITT and TTT that stand for none.
pub(crate) const NONE: u32 = u32::MAX;

pub(crate) mod op {
    pub(crate) const NOP_OUT: u8 = 0x00;
    pub(crate) const COMMAND: u8 = 0x01;
    pub(crate) const MANAGEMENT: u8 = 0x02;
    pub(crate) const LOGIN: u8 = 0x03;
    pub(crate) const TEXT: u8 = 0x04;
    pub(crate) const DATA_OUT: u8 = 0x05;
    pub(crate) const LOGOUT: u8 = 0x06;
    pub(crate) const NOP_IN: u8 = 0x20;
    pub(crate) const RESPONSE: u8 = 0x21;
    pub(crate) const MANAGEMENT_RESPONSE: u8 = 0x22;
    pub(crate) const LOGIN_RESPONSE: u8 = 0x23;
    pub(crate) const TEXT_RESPONSE: u8 = 0x24;
    pub(crate) const DATA_IN: u8 = 0x25;
    pub(crate) const LOGOUT_RESPONSE: u8 = 0x26;
    pub(crate) const R2T: u8 = 0x31;
    pub(crate) const ASYNC: u8 = 0x32;
    pub(crate) const REJECT: u8 = 0x3F;
}

/// What a script says of a PDU that it has seen.
pub(crate) enum Flow {
    /// Answer it as a good target does.
    Normal,
    /// It was dealt with.
    Done,
    /// Close the connection.
    Close,
}

/// A PDU from the initiator.
pub(crate) struct Request {
    pub(crate) header: [u8; 48],
    pub(crate) data: Vec<u8>,
}

impl Request {
    pub(crate) fn opcode(&self) -> u8 {
        self.header[0] & 0x3F
    }

    pub(crate) fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.header[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn itt(&self) -> u32 {
        self.word(16)
    }

    /// Whether it is a READ command.
    pub(crate) fn is_read(&self) -> bool {
        self.opcode() == op::COMMAND && self.header[32] == 0x28
    }

    /// Whether it is a WRITE command.
    pub(crate) fn is_write(&self) -> bool {
        self.opcode() == op::COMMAND && self.header[32] == 0x2A
    }
}

/// What block `lba` holds.
pub(crate) fn content(lba: u64) -> Vec<u8> {
    vec![(lba as u8).wrapping_mul(31) ^ 0x5A; BLOCK]
}

/// One connection.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    /// Which connection of the target it is, from 0.
    pub(crate) number: usize,
    pub(crate) stat_sn: u32,
    pub(crate) exp_cmd_sn: u32,
}

impl Conn {
    /// A header; for an answer with status, [`Conn::status`] is to be called after it.
    pub(crate) fn header(&self, opcode: u8, flags: u8, itt: u32) -> [u8; 48] {
        let mut header = [0; 48];
        (header[0], header[1]) = (opcode, flags);
        put(&mut header, 16, itt);
        put(&mut header, 20, NONE);
        put(&mut header, 24, self.stat_sn);
        put(&mut header, 28, self.exp_cmd_sn);
        put(&mut header, 32, self.exp_cmd_sn.wrapping_add(31));
        header
    }

    /// Sends a PDU as it is, with the true length of its data.
    pub(crate) fn send(&mut self, mut header: [u8; 48], data: &[u8]) {
        header[5..8].copy_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
        let mut bytes = header.to_vec();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.send_bytes(&bytes);
    }

    /// Sends a PDU that carries a status.
    pub(crate) fn send_status(&mut self, header: [u8; 48], data: &[u8]) {
        self.send(header, data);
        self.stat_sn = self.stat_sn.wrapping_add(1);
    }

    /// The initiator may have gone: what that means shows when reading.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next PDU; `None` at the end of the connection.
    pub(crate) fn receive(&mut self) -> Option<Request> {
        let mut header = [0; 48];
        self.stream.read_exact(&mut header).ok()?;
        let len = u32::from_be_bytes([0, header[5], header[6], header[7]]) as usize;
        let mut data = vec![0; usize::from(header[4]) * 4 + len.next_multiple_of(4)];
        self.stream.read_exact(&mut data).ok()?;
        data.drain(..usize::from(header[4]) * 4);
        data.truncate(len);
        let request = Request { header, data };
        let immediate = header[0] & 0x40 != 0;
        if !immediate && !matches!(request.opcode(), op::DATA_OUT | op::LOGIN) {
            self.exp_cmd_sn = request.word(24).wrapping_add(1);
        }
        Some(request)
    }

    /// A SCSI Response: GOOD, or CHECK CONDITION with this sense data.
    pub(crate) fn respond(&mut self, itt: u32, sense: &[u8]) {
        let mut header = self.header(op::RESPONSE, 0x80, itt);
        let mut data = Vec::new();
        if !sense.is_empty() {
            header[3] = 2;
            data.extend((sense.len() as u16).to_be_bytes());
            data.extend(sense);
        }
        put(&mut header, 20, 0);
        self.send_status(header, &data);
    }

    /// The whole payload of a command with its status, which is GOOD.
    pub(crate) fn data_in(&mut self, request: &Request, data: &[u8]) {
        let wanted = request.word(20) as usize;
        let data = &data[..data.len().min(wanted)];
        let mut header = self.header(op::DATA_IN, 0x81, request.itt());
        if data.len() < wanted {
            header[1] |= 2;
            put(&mut header, 44, (wanted - data.len()) as u32);
        }
        self.send_status(header, data);
    }

    /// Answers as a good target does; `false` when the connection is to be closed.
    pub(crate) fn answer(&mut self, request: &Request) -> bool {
        let itt = request.itt();
        match request.opcode() {
            op::LOGIN => self.log_in(request),
            op::COMMAND => self.carry_out(request),
            // The last of what its R2T asked for, which is everything; commands may come between.
            op::DATA_OUT if request.header[1] & 0x80 != 0 => self.respond(itt, &[]),
            op::NOP_OUT if itt == NONE => {}
            op::NOP_OUT => {
                let header = self.header(op::NOP_IN, 0x80, itt);
                self.send_status(header, &request.data);
            }
            op::MANAGEMENT => {
                let mut header = self.header(op::MANAGEMENT_RESPONSE, 0x80, itt);
                put(&mut header, 20, 0);
                self.send_status(header, &[]);
            }
            op::TEXT => {
                let header = self.header(op::TEXT_RESPONSE, 0x80, itt);
                self.send_status(header, format!("TargetName={NAME}\0").as_bytes());
            }
            op::LOGOUT => {
                let mut header = self.header(op::LOGOUT_RESPONSE, 0x80, itt);
                put(&mut header, 20, 0);
                self.send_status(header, &[]);
                return false;
            }
            _ => {}
        }
        true
    }

    /// Agrees to what is asked, each key with the value that keeps things simple.
    fn log_in(&mut self, request: &Request) {
        self.exp_cmd_sn = request.word(24);
        let mut text = Vec::new();
        for pair in request.data.split(|b| *b == 0) {
            let key = pair.split(|b| *b == b'=').next().unwrap();
            let value = match std::str::from_utf8(key).unwrap() {
                "InitiatorName" | "" => continue,
                "AuthMethod" | "HeaderDigest" | "DataDigest" => "None",
                "TargetName" => {
                    text.extend(b"TargetPortalGroupTag=1\0");
                    continue;
                }
                "SessionType" | "InitiatorAlias" => continue,
                "MaxConnections" | "MaxOutstandingR2T" => "1",
                "InitialR2T" | "DataPDUInOrder" | "DataSequenceInOrder" => "Yes",
                "ImmediateData" => "No",
                "MaxRecvDataSegmentLength" | "FirstBurstLength" => "65536",
                "MaxBurstLength" => "262144",
                "DefaultTime2Wait" | "DefaultTime2Retain" | "ErrorRecoveryLevel" => "0",
                _ => "NotUnderstood",
            };
            text.extend([key, b"=", value.as_bytes(), b"\0"].concat());
        }
        let header = self.login_response(request, request.header[1] & 0x8F);
        self.send_status(header, &text);
    }

    /// A Login Response with these flags and a success.
    pub(crate) fn login_response(&self, request: &Request, flags: u8) -> [u8; 48] {
        let mut header = self.header(op::LOGIN_RESPONSE, flags, request.itt());
        header[8..14].copy_from_slice(&request.header[8..14]);
        if flags & 0x83 == 0x83 {
            header[14..16].copy_from_slice(&7_u16.to_be_bytes());
        }
        put(&mut header, 20, 0);
        header
    }

    fn carry_out(&mut self, request: &Request) {
        let cdb = &request.header[32..48];
        let lba = u64::from(u32::from_be_bytes(cdb[2..6].try_into().unwrap()));
        let blocks = u64::from(u16::from_be_bytes([cdb[7], cdb[8]]));
        match cdb[0] {
            0x00 | 0x35 => self.respond(request.itt(), &[]),
            0x12 if cdb[1] & 1 == 0 => {
                let mut data = [0; 36];
                (data[2], data[3], data[4]) = (6, 2, 31);
                data[8..].copy_from_slice(b"TEST    FAKE            1   ");
                self.data_in(request, &data);
            }
            0x12 if cdb[2] == 0 => self.data_in(request, &[0, 0, 0, 1, 0]),
            0x9E => {
                let mut data = [0; 32];
                data[..8].copy_from_slice(&(BLOCKS - 1).to_be_bytes());
                data[8..12].copy_from_slice(&(BLOCK as u32).to_be_bytes());
                self.data_in(request, &data);
            }
            0x28 => {
                let data: Vec<u8> = (lba..lba + blocks).flat_map(content).collect();
                self.data_in(request, &data);
            }
            0x2A => {
                let mut header = self.header(op::R2T, 0x80, request.itt());
                put(&mut header, 20, 0x77);
                put(&mut header, 44, request.word(20));
                self.send(header, &[]);
            }
            // INVALID COMMAND OPERATION CODE
            _ => self.respond(request.itt(), &[0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0]),
        }
    }
}

/// Writes a number into a header.
pub(crate) fn put(header: &mut [u8; 48], at: usize, value: u32) {
    header[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// A target that listens until it is dropped.
pub(crate) struct FakeTarget {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl FakeTarget {
    /// Starts; `script` sees each PDU of each connection first.
    pub(crate) fn start(script: impl Fn(&mut Conn, &Request) -> Flow + Send + Sync + 'static) -> Self {
        let script = Arc::new(script);
        Self::raw(move |mut conn| {
            while let Some(request) = conn.receive() {
                match script(&mut conn, &request) {
                    Flow::Normal if conn.answer(&request) => {}
                    Flow::Done => {}
                    Flow::Normal | Flow::Close => return,
                }
            }
        })
    }

    /// Starts with something else to do for each connection.
    pub(crate) fn raw(serve: impl Fn(Conn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ended, serve) = (Arc::clone(&connections), Arc::clone(&over), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                // A script that nobody answers must not outlive the test for long.
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
                let number = count.fetch_add(1, Ordering::Relaxed);
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(Conn { stream, number, stat_sn: 100, exp_cmd_sn: 0 }));
            }
        });
        FakeTarget { address, connections, over }
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The URL of its logical unit.
    pub(crate) fn url(&self) -> String {
        format!("iscsi://{}/{NAME}/0", self.address)
    }
}

impl Drop for FakeTarget {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}
