//! What the tests of the program share: the program, and an initiator.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};

/// A server that is killed when a test gives up.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iscsicored")).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The runtimes that can run here, as `--runtime` takes them.
pub(crate) fn runtimes() -> impl Iterator<Item = &'static str> {
    ["tokio", "glommio"].into_iter().filter(|runtime| *runtime == "tokio" || glommio_is_there())
}

/// Whether glommio can run; where it cannot, the tests say so, and fail under ISCSICORE_REQUIRE_PEERS=1.
#[cfg(target_os = "linux")]
pub(crate) fn glommio_is_there() -> bool {
    match iscsicore_glommio::available(&iscsicore_glommio::Shards::default()) {
        Ok(()) => true,
        Err(why) => {
            skipped(&format!("glommio cannot run: {why}"));
            false
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn glommio_is_there() -> bool {
    false
}

/// Whether a program is installed.
pub(crate) fn is_installed(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !there {
        skipped(&format!("{program} is missing"));
    }
    there
}

fn skipped(why: &str) {
    assert!(std::env::var("ISCSICORE_REQUIRE_PEERS").as_deref() != Ok("1"), "{why}");
    // Past the capture of test output.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {why}");
}

/// A server in a directory of its own.
#[cfg(unix)]
pub(crate) struct Server {
    running: Running,
    pub(crate) banner: String,
    pub(crate) address: SocketAddr,
    log: std::path::PathBuf,
}

#[cfg(unix)]
impl Server {
    pub(crate) fn start(directory: &std::path::Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iscsicored"));
        command.args(arguments);
        Self::spawn(directory, command)
    }

    pub(crate) fn spawn(directory: &std::path::Path, mut command: Command) -> Self {
        let log = directory.join("log");
        command.current_dir(directory).stdout(Stdio::piped());
        let mut running = Running(command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap());
        let mut banner = String::new();
        let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("{}", std::fs::read_to_string(&log).unwrap()));
            match line.strip_prefix("listening on ") {
                Some(address) => break address.parse().unwrap(),
                None => banner += &(line + "\n"),
            }
        };
        Server { running, banner, address, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.0.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.running.0.wait().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// The least that an initiator can be: one session, one command at a time, and no ear for requests to log out.
#[cfg(unix)]
pub(crate) struct Initiator {
    stream: TcpStream,
    cmd_sn: u32,
    stat_sn: u32,
}

#[cfg(unix)]
impl Initiator {
    /// Logs in; initiators with different numbers have sessions beside each other.
    pub(crate) fn login(address: SocketAddr, number: u16) -> Self {
        let mut initiator = Initiator { stream: TcpStream::connect(address).unwrap(), cmd_sn: 1, stat_sn: 0 };
        let keys = "InitiatorName=iqn.2026-01.com.example:h\0TargetName=iqn.2026-01.dev.iscsicore:disk0\0SessionType=Normal\0";
        let mut header = [0; 48];
        header[0] = 0x43; // Login request, immediate
        header[1] = 0x87; // T, CSG operational negotiation, NSG full feature phase
        header[8] = 0x80; // ISID: random
        header[9..11].copy_from_slice(&number.to_be_bytes());
        header[24..28].copy_from_slice(&1u32.to_be_bytes());
        initiator.send(header, keys.as_bytes()).unwrap();
        let answer = initiator.receive().unwrap();
        assert_eq!((answer[0], answer[1] & 0x83, &answer[36..38]), (0x23, 0x83, &[0, 0][..]));
        initiator
    }

    /// Writes a block that begins with a number; returns when that is acknowledged.
    pub(crate) fn write(&mut self, block: u32, number: u32) -> std::io::Result<()> {
        let mut data = [0; 512];
        data[..4].copy_from_slice(&number.to_be_bytes());
        loop {
            let mut header = [0; 48];
            header[0] = 0x01;
            header[1] = 0xa1; // F, W, simple
            header[16..20].copy_from_slice(&self.cmd_sn.to_be_bytes());
            header[20..24].copy_from_slice(&512u32.to_be_bytes());
            header[24..28].copy_from_slice(&self.cmd_sn.to_be_bytes());
            header[28..32].copy_from_slice(&self.stat_sn.wrapping_add(1).to_be_bytes());
            header[32] = 0x2a; // WRITE(10)
            header[34..38].copy_from_slice(&block.to_be_bytes());
            header[40] = 1;
            self.send(header, &data)?;
            self.cmd_sn += 1;
            let answer = loop {
                let answer = self.receive()?;
                if answer[0] == 0x21 {
                    break answer;
                }
            };
            // The first command may be answered with a unit attention.
            if answer[3] == 0 {
                return Ok(());
            }
        }
    }

    fn send(&mut self, mut header: [u8; 48], data: &[u8]) -> std::io::Result<()> {
        header[5..8].copy_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
        let padding = vec![0; data.len().next_multiple_of(4) - data.len()];
        self.stream.write_all(&[&header[..], data, &padding].concat())
    }

    fn receive(&mut self) -> std::io::Result<[u8; 48]> {
        let mut header = [0; 48];
        self.stream.read_exact(&mut header)?;
        let len = u32::from_be_bytes([0, header[5], header[6], header[7]]) as usize;
        let mut data = vec![0; len.next_multiple_of(4)];
        self.stream.read_exact(&mut data)?;
        self.stat_sn = u32::from_be_bytes(header[24..28].try_into().unwrap());
        Ok(header)
    }
}
