//! What no ordinary initiator does on demand: a login anew over a session that is there, and a reset that others
//! feel. The PDUs are made by hand, over real connections. The server on tokio, which `custom_backend` runs, is held
//! to the same.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Buf;
use iscsicore::link::{Pdu, Placement, Receiver, Transmitter, Want};
use iscsicore::wire::{
    Bhs, Cid, CmdSn, DataSn, Isid, Itt, LoginRequest, LoginResponse, Lun, Opcode, ScsiCommand, ScsiResponse,
    Stage, StatSn, TaskAttribute, TaskManagementFunction, TaskManagementRequest, TaskManagementResponse,
    TaskManagementResult, Tsih,
};
use iscsicore::{DataList, Limits};
use support::Program;

const PROGRAMS: [&str; 3] = [
    env!("CARGO_BIN_EXE_target_std"),
    env!("CARGO_BIN_EXE_target_smol"),
    env!("CARGO_BIN_EXE_custom_backend"),
];

/// One connection of an initiator that sends a request and waits for the answer.
struct Initiator {
    stream: TcpStream,
    rx: Receiver,
    cmd_sn: u32,
    tsih: Tsih,
}

impl Initiator {
    /// Opens a session.
    fn log_in(program: &Program, isid: u8) -> Self {
        Initiator::log_in_to(program, isid, Tsih::NEW, 1)
    }

    /// Opens a connection of the session that has the handle `tsih`, if there is one.
    fn log_in_to(program: &Program, isid: u8, tsih: Tsih, cmd_sn: u32) -> Self {
        let stream = TcpStream::connect(program.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut initiator = Initiator { stream, rx: Receiver::new(&Limits::default()), cmd_sn, tsih };
        let request = LoginRequest {
            transit: true,
            continued: false,
            csg: Stage::LoginOperationalNegotiation,
            nsg: Some(Stage::FullFeature),
            version_max: 0,
            version_min: 0,
            isid: Isid([0x80, 0, 0, 0, 0, isid]),
            tsih,
            itt: Itt(0),
            cid: Cid(1),
            cmd_sn: CmdSn(cmd_sn),
            exp_stat_sn: StatSn(0),
        };
        // A key of leading connections.
        let retain = if tsih == Tsih::NEW { "DefaultTime2Retain=0\0" } else { "" };
        let target = program.target();
        let text = format!("InitiatorName=iqn.2001-04.com.example:me\0TargetName={target}\0{retain}");
        initiator.send(request.emit(), text.into_bytes());
        let answer = initiator
            .receive(Opcode::LoginResponse)
            .unwrap_or_else(|| panic!("{}: no answer to the login", program.target()));
        let answer = LoginResponse::parse(&answer.bhs).unwrap();
        assert_eq!(answer.status.0, 0);
        initiator.tsih = answer.tsih;
        initiator
    }

    fn send(&mut self, bhs: Bhs, data: Vec<u8>) {
        let mut tx = Transmitter::new();
        tx.push(bhs, DataList::from(data));
        self.stream.write_all(&tx.copy_to_bytes(tx.remaining())).unwrap();
    }

    /// The next PDU, which must be of that kind; `None` when the target closes the connection.
    fn receive(&mut self, opcode: Opcode) -> Option<Pdu> {
        loop {
            if let Some(pdu) = self.rx.next_pdu(|_| Placement::Stage).unwrap() {
                assert_eq!(pdu.bhs.opcode(), opcode);
                return Some(pdu);
            }
            let Want::Read { staging, .. } = self.rx.want() else { panic!("no place for bytes") };
            let len = self.stream.read(staging).unwrap();
            if len == 0 {
                return None;
            }
            self.rx.advance(&[], len).unwrap();
        }
    }

    /// The sense key and code of the answer to TEST UNIT READY; zeros for GOOD.
    fn test_unit_ready(&mut self) -> (u8, u8, u8) {
        let command = ScsiCommand {
            immediate: false,
            final_: true,
            read: false,
            write: false,
            attribute: TaskAttribute::Simple,
            priority: 0,
            lun: Lun(0),
            itt: Itt(self.cmd_sn),
            expected_len: 0,
            cmd_sn: CmdSn(self.cmd_sn),
            exp_stat_sn: StatSn(0),
            cdb: [0; 16],
        };
        self.cmd_sn += 1;
        self.send(command.emit(), Vec::new());
        let answer = self.receive(Opcode::ScsiResponse).expect("an answer to the command");
        match ScsiResponse::parse(&answer.bhs).unwrap().status {
            0 => (0, 0, 0),
            _ => (answer.data[4] & 0xf, answer.data[14], answer.data[15]),
        }
    }

    /// Takes the unit attentions that wait.
    fn settle(&mut self) {
        let taken = (0..5).find(|_| self.test_unit_ready() == (0, 0, 0));
        assert!(taken.is_some(), "unit attentions without end");
    }

    fn reset_unit(&mut self) -> TaskManagementResult {
        let request = TaskManagementRequest {
            immediate: true,
            function: TaskManagementFunction::LogicalUnitReset,
            lun: Lun(0),
            itt: Itt(0x200),
            referenced_itt: Itt::RESERVED,
            cmd_sn: CmdSn(self.cmd_sn),
            exp_stat_sn: StatSn(0),
            ref_cmd_sn: CmdSn(0),
            exp_data_sn: DataSn(0),
        };
        self.send(request.emit(), Vec::new());
        let answer = self.receive(Opcode::TaskManagementResponse).expect("an answer to the function");
        TaskManagementResponse::parse(&answer.bhs).unwrap().result
    }
}

// Goal: a login with the ISID of a session that is there replaces it, and touches no other.
#[test]
fn a_login_with_the_same_isid_replaces_the_session() {
    for path in PROGRAMS {
        let mut program = Program::start(path, &[]);
        let (mut old, mut bystander) = (Initiator::log_in(&program, 1), Initiator::log_in(&program, 2));
        old.settle();
        bystander.settle();
        for _ in 0..3 {
            let mut new = Initiator::log_in(&program, 1);
            assert_eq!(old.receive(Opcode::Reject), None, "{path}: the old connection is closed");
            // 29/07: I_T NEXUS LOSS OCCURRED.
            assert_eq!(new.test_unit_ready(), (6, 0x29, 7), "{path}");
            old = new;
        }
        assert_eq!(bystander.test_unit_ready(), (0, 0, 0), "{path}");
        program.assert_alive();
    }
}

// Goal: a login with the handle of the session replaces its connection; the nexus does not notice.
#[test]
fn a_login_to_the_session_replaces_its_connection() {
    for path in PROGRAMS {
        let program = Program::start(path, &[]);
        let mut old = Initiator::log_in(&program, 1);
        old.settle();
        let mut new = Initiator::log_in_to(&program, 1, old.tsih, old.cmd_sn);
        assert_eq!(old.receive(Opcode::Reject), None, "{path}: the old connection is closed");
        assert_eq!(new.tsih, old.tsih, "{path}");
        assert_eq!(new.test_unit_ready(), (0, 0, 0), "{path}");
    }
}

#[test]
fn a_reset_of_the_unit_is_felt_by_the_other_session() {
    for path in PROGRAMS {
        let program = Program::start(path, &[]);
        let (mut one, mut other) = (Initiator::log_in(&program, 1), Initiator::log_in(&program, 2));
        one.settle();
        other.settle();
        assert_eq!(one.reset_unit(), TaskManagementResult::Complete, "{path}");
        // 29/03: BUS DEVICE RESET FUNCTION OCCURRED.
        assert_eq!(other.test_unit_ready(), (6, 0x29, 3), "{path}");
        assert_eq!(other.test_unit_ready(), (0, 0, 0), "{path}");
        assert_eq!(one.test_unit_ready(), (6, 0x29, 3), "{path}");
    }
}

// Goal: two sessions that reset the unit at the same time do not wait for each other for ever.
#[test]
fn resets_from_two_sessions_at_once_all_end() {
    for path in PROGRAMS {
        let program = Program::start(path, &[]);
        let mut initiators = [1, 2].map(|isid| Initiator::log_in(&program, isid));
        std::thread::scope(|scope| {
            for initiator in &mut initiators {
                scope.spawn(|| {
                    for _ in 0..20 {
                        assert_eq!(initiator.reset_unit(), TaskManagementResult::Complete);
                    }
                });
            }
        });
    }
}
