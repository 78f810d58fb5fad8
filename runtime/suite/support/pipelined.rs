//! Logins whose first commands follow in the same segment, before they are answered.
#![allow(dead_code, reason = "each test program uses a part")]

use std::net::SocketAddr;

use bytes::Buf;
use iscsicore::DataList;
use iscsicore::wire::{CmdSn, Itt, LoginStatus, Lun, ScsiCommand, StatSn, TaskAttribute};

use super::initiator::{Login, Raw, Session, write16};

/// A TEST UNIT READY, which takes the unit attention.
pub(crate) const READY: Itt = Itt(0x4000);

/// A login that has been sent, together with a TEST UNIT READY and writes.
pub(crate) struct Pipelined {
    pub(crate) raw: Raw,
    login: Login,
    writes: u32,
}

impl Pipelined {
    /// Sends it all at once. With `digests` the login asks for both, and the commands have them already.
    pub(crate) fn send(address: SocketAddr, login: Login, digests: bool, writes: &[(u64, Vec<u8>)]) -> Self {
        let login = match digests {
            true => login.key("HeaderDigest", "CRC32C").key("DataDigest", "CRC32C"),
            false => login,
        };
        let mut raw = Raw::connect(address);
        let (bhs, text) = login.request();
        raw.tx.push(bhs, text.into());
        raw.tx.set_digests(digests, digests);
        raw.tx.push(command(READY, login.cmd_sn, &[0; 16], 0).emit(), DataList::new());
        for (n, (lba, data)) in (1..).zip(writes) {
            let cdb = write16(*lba, data.len() as u32 / 512);
            let cmd_sn = CmdSn(login.cmd_sn.0.wrapping_add(n));
            raw.tx.push(command(write(n - 1), cmd_sn, &cdb, data.len()).emit(), data.clone().into());
        }
        let mut bytes = vec![0; raw.tx.remaining()];
        raw.tx.copy_to_slice(&mut bytes);
        raw.send_bytes(&bytes);
        Pipelined { raw, login, writes: writes.len() as u32 }
    }

    /// Waits for the answer to the login. Those to the commands are still to come.
    pub(crate) fn finish(self) -> Result<Session, LoginStatus> {
        let mut session = Session::finish_login(self.raw, &self.login)?;
        session.cmd_sn = CmdSn(self.login.cmd_sn.0.wrapping_add(1 + self.writes));
        Ok(session)
    }
}

/// The tag of the write with this index.
pub(crate) fn write(index: u32) -> Itt {
    Itt(READY.0 + 1 + index)
}

fn command(itt: Itt, cmd_sn: CmdSn, cdb: &[u8; 16], len: usize) -> ScsiCommand {
    ScsiCommand {
        immediate: false,
        final_: true,
        read: false,
        write: len > 0,
        attribute: TaskAttribute::Simple,
        priority: 0,
        lun: Lun(0),
        itt,
        expected_len: len as u32,
        cmd_sn,
        exp_stat_sn: StatSn(0),
        cdb: *cdb,
    }
}
