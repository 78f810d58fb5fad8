//! An initiator whose commands others may abort and whose connection others may close: nothing of that fails the test,
//! only silence does.
#![allow(dead_code, reason = "each test program uses a part")]

use std::time::{Duration, Instant};

use iscsicore::link::{Placement, Want};
use iscsicore::wire::{DataIn, Itt, Opcode, R2t, ScsiResponse};

use super::initiator::{Login, Raw, Session};

/// Silence about a command after which the target is asked whether it was aborted.
const ASK_AFTER: Duration = Duration::from_millis(40);

/// Silence of the whole target that fails the test.
const HANGS: Duration = Duration::from_secs(20);

/// How a command ended.
#[derive(Debug)]
pub(crate) enum End {
    /// With this status and this data.
    Status(u8, Vec<u8>),
    /// Without a word: somebody reset the unit.
    Aborted,
    /// With the connection.
    Lost,
}

enum Next {
    Pdu(iscsicore::link::Pdu),
    Silence,
    Closed,
}

impl Raw {
    /// Waits for the answer to a login request that was sent; none when the connection was closed instead.
    pub(crate) fn finish_login_if_open(self, login: &Login) -> Option<Session> {
        // The answer stays in the receiver's hands until the login is finished: look for bytes, take none.
        match self.stream.peek(&mut [0]) {
            Ok(0) => None,
            Ok(_) => Session::finish_login(self, login).ok(),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(e) => panic!("the server neither answers a login nor closes: {e}"),
        }
    }
}

impl Session {
    /// Waits for the response to a task management function; false when the connection ended instead.
    pub(crate) fn outlast_management(&mut self, itt: Itt) -> bool {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < HANGS, "the server neither answers nor closes");
            match self.next_within(ASK_AFTER) {
                Next::Pdu(pdu) if pdu.bhs.itt() == itt => return true,
                Next::Closed => return false,
                _ => {}
            }
        }
    }

    /// Waits for the end of a command, whatever end that is.
    pub(crate) fn outlast(&mut self, itt: Itt) -> End {
        let (mut data, mut probes) = (Vec::new(), Vec::new());
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < HANGS, "the server neither answers nor closes");
            let pdu = match self.next_within(ASK_AFTER) {
                Next::Pdu(pdu) => pdu,
                Next::Closed => return End::Lost,
                // A command that comes after an aborted one is told so by a unit attention. It may itself be aborted.
                Next::Silence => {
                    probes.push(self.start_in_if_open(0));
                    continue;
                }
            };
            match pdu.bhs.opcode() {
                Opcode::ScsiResponse if probes.contains(&pdu.bhs.itt()) => {
                    if ScsiResponse::parse(&pdu.bhs).unwrap().status != 0 {
                        return End::Aborted;
                    }
                }
                _ if pdu.bhs.itt() != itt => {}
                Opcode::R2t if self.outgoing.contains_key(&itt) => {
                    self.serve(&R2t::parse(&pdu.bhs).unwrap());
                }
                Opcode::DataIn => {
                    let head = DataIn::parse(&pdu.bhs).unwrap();
                    assert_eq!(head.offset as usize, data.len(), "data in order");
                    data.extend_from_slice(&pdu.data);
                    if let Some(status) = head.status {
                        return End::Status(status, data);
                    }
                }
                Opcode::ScsiResponse => {
                    self.outgoing.remove(&itt);
                    return End::Status(ScsiResponse::parse(&pdu.bhs).unwrap().status, data);
                }
                other => panic!("{other:?} for a command: {pdu:?}"),
            }
        }
    }

    /// The next PDU, within `time` if there is to be one.
    fn next_within(&mut self, time: Duration) -> Next {
        self.raw.stream.set_read_timeout(Some(time)).unwrap();
        loop {
            if let Some(pdu) = self.raw.rx.next_pdu(|_| Placement::Stage).expect("the server sends PDUs") {
                self.note(&pdu);
                return Next::Pdu(pdu);
            }
            let Want::Read { staging, .. } = self.raw.rx.want() else { continue };
            match std::io::Read::read(&mut self.raw.stream, staging) {
                Ok(0) => return Next::Closed,
                Ok(n) => self.raw.rx.advance(&[], n).unwrap(),
                Err(e)
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                {
                    return Next::Silence;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Next::Closed,
            }
        }
    }
}
