//! Persistent reservations (SPC-4 clauses 6.15 and 6.16), and the reservations of SPC-2.

use super::{ANSWER, cdb, change, query};
use crate::initiator::{Command, Repeat};
use crate::scsi::opcode;
use crate::scsi::reservation::{ReservationType, TransportId};
use crate::wire::Lun;
use crate::{DataList, Misuse};

/// PERSISTENT RESERVE IN (READ KEYS). [`Keys::decode`](crate::scsi::reservation::Keys::decode) reads the answer.
pub fn pr_in_keys(lun: Lun) -> Command {
    pr_in(lun, 0)
}

/// PERSISTENT RESERVE IN (READ RESERVATION).
/// [`Reservation::decode`](crate::scsi::reservation::Reservation::decode) reads the answer.
pub fn pr_in_reservation(lun: Lun) -> Command {
    pr_in(lun, 1)
}

/// PERSISTENT RESERVE IN (REPORT CAPABILITIES).
/// [`Capabilities::decode`](crate::scsi::reservation::Capabilities::decode) reads the answer.
pub fn pr_in_capabilities(lun: Lun) -> Command {
    pr_in(lun, 2)
}

/// PERSISTENT RESERVE IN (READ FULL STATUS).
/// [`FullStatus::decode`](crate::scsi::reservation::FullStatus::decode) reads the answer.
pub fn pr_in_full_status(lun: Lun) -> Command {
    pr_in(lun, 3)
}

fn pr_in(lun: Lun, service_action: u8) -> Command {
    let fields: [(usize, &[u8]); 2] = [(1, &[service_action]), (7, &ANSWER.to_be_bytes())];
    query(lun, cdb(opcode::PERSISTENT_RESERVE_IN, &fields), u32::from(ANSWER))
}

/// A service action of PERSISTENT RESERVE OUT. `key` is always the one that the sending nexus is registered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PrOut {
    /// REGISTER: registers with `new`, or takes the registration back when that is zero.
    Register {
        /// The key so far; zero for a nexus that is not registered.
        key: u64,
        /// The key from now on.
        new: u64,
        /// For how long, and for whom.
        options: RegisterOptions,
    },
    /// REGISTER AND IGNORE EXISTING KEY: the same, whatever the key so far.
    RegisterAndIgnore {
        /// The key from now on.
        new: u64,
        /// For how long, and for whom; initiators cannot be named.
        options: RegisterOptions,
    },
    /// RESERVE.
    Reserve {
        /// The key.
        key: u64,
        /// The type.
        kind: ReservationType,
    },
    /// RELEASE.
    Release {
        /// The key.
        key: u64,
        /// The type that the reservation has.
        kind: ReservationType,
    },
    /// CLEAR: takes the reservation and all registrations away.
    Clear {
        /// The key.
        key: u64,
    },
    /// PREEMPT: takes the registrations with `victim` away, and the reservation if one of them holds it.
    Preempt {
        /// The key.
        key: u64,
        /// The key to be removed; zero for those of all others, when all registrants hold the reservation.
        victim: u64,
        /// The type of the reservation that takes the place of the old one.
        kind: ReservationType,
    },
    /// PREEMPT AND ABORT: the same, and aborts the commands of the nexuses that lost their registration.
    PreemptAndAbort {
        /// The key.
        key: u64,
        /// The key to be removed.
        victim: u64,
        /// The type of the reservation that takes the place of the old one.
        kind: ReservationType,
    },
    /// REGISTER AND MOVE: registers another initiator port and gives it the reservation.
    RegisterAndMove {
        /// The key.
        key: u64,
        /// The key that the other port is registered with.
        new: u64,
        /// UNREG: the registration of the sender ends.
        unregister: bool,
        /// APTPL: registrations and reservation outlast a loss of power.
        aptpl: bool,
        /// RELATIVE TARGET PORT IDENTIFIER of the other nexus.
        target_port: u16,
        /// The other initiator port.
        initiator: TransportId,
    },
    /// REPLACE LOST RESERVATION: starts anew after the unit has lost its reservations.
    ReplaceLost {
        /// The key from now on.
        new: u64,
        /// The type.
        kind: ReservationType,
        /// APTPL: registrations and reservation outlast a loss of power.
        aptpl: bool,
    },
}

/// For how long a registration holds, and for whom.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegisterOptions {
    /// APTPL: registrations and reservation outlast a loss of power.
    pub aptpl: bool,
    /// ALL_TG_PT: it is for every target port of the unit.
    pub all_target_ports: bool,
    /// SPEC_I_PT: these initiator ports are registered as well. Empty for the sender alone.
    pub initiators: Vec<TransportId>,
}

/// PERSISTENT RESERVE OUT (SPC-4 clause 6.16). Its outcome is unknown when the connection is lost: READ FULL STATUS
/// tells what came of it.
///
/// # Errors
/// [`Misuse::InvalidArgument`] for an initiator port whose name is longer than an iSCSI name may be, too many of them, or
/// any with REGISTER AND IGNORE EXISTING KEY, which takes none.
pub fn pr_out(lun: Lun, action: &PrOut) -> Result<Command, Misuse> {
    let list = parameter_list(action)?;
    let (service_action, kind) = codes(action);
    // SCOPE 0: the logical unit.
    let scope_and_type = kind.map_or(0, ReservationType::code);
    let len = u32::try_from(list.len()).map_err(|_| Misuse::InvalidArgument("too many initiator ports"))?;
    let fields: [(usize, &[u8]); 2] = [(1, &[service_action, scope_and_type]), (5, &len.to_be_bytes())];
    Ok(change(lun, cdb(opcode::PERSISTENT_RESERVE_OUT, &fields), list.into(), Repeat::Never))
}

/// SERVICE ACTION, and TYPE where it matters.
const fn codes(action: &PrOut) -> (u8, Option<ReservationType>) {
    match action {
        PrOut::Register { .. } => (0, None),
        PrOut::Reserve { kind, .. } => (1, Some(*kind)),
        PrOut::Release { kind, .. } => (2, Some(*kind)),
        PrOut::Clear { .. } => (3, None),
        PrOut::Preempt { kind, .. } => (4, Some(*kind)),
        PrOut::PreemptAndAbort { kind, .. } => (5, Some(*kind)),
        PrOut::RegisterAndIgnore { .. } => (6, None),
        PrOut::RegisterAndMove { .. } => (7, None),
        PrOut::ReplaceLost { kind, .. } => (8, Some(*kind)),
    }
}

fn parameter_list(action: &PrOut) -> Result<Vec<u8>, Misuse> {
    let none = RegisterOptions::default();
    let (key, new, options) = match action {
        PrOut::RegisterAndMove { key, new, unregister, aptpl, target_port, initiator } => {
            let id = transport_id(initiator)?;
            // A form of its own.
            let mut list = keys(*key, *new);
            list.extend([0, u8::from(*unregister) << 1 | u8::from(*aptpl)]);
            list.extend(target_port.to_be_bytes());
            list.extend((id.len() as u32).to_be_bytes());
            list.extend(id);
            return Ok(list);
        }
        PrOut::RegisterAndIgnore { options, .. } if !options.initiators.is_empty() => {
            return Err(Misuse::InvalidArgument("REGISTER AND IGNORE EXISTING KEY names no initiator ports"));
        }
        PrOut::Register { key, new, options } => (*key, *new, options),
        PrOut::RegisterAndIgnore { new, options } => (0, *new, options),
        PrOut::Reserve { key, .. } | PrOut::Release { key, .. } | PrOut::Clear { key } => (*key, 0, &none),
        PrOut::Preempt { key, victim, .. } | PrOut::PreemptAndAbort { key, victim, .. } => {
            (*key, *victim, &none)
        }
        PrOut::ReplaceLost { new, aptpl, .. } => {
            (0, *new, &RegisterOptions { aptpl: *aptpl, ..RegisterOptions::default() })
        }
    };
    let mut list = keys(key, new);
    list.extend([0; 4]);
    let spec_i_pt = !options.initiators.is_empty();
    list.push(u8::from(spec_i_pt) << 3 | u8::from(options.all_target_ports) << 2 | u8::from(options.aptpl));
    list.extend([0; 3]);
    if spec_i_pt {
        let mut ids = Vec::new();
        for initiator in &options.initiators {
            ids.extend(transport_id(initiator)?);
        }
        list.extend(u32::try_from(ids.len()).unwrap_or(u32::MAX).to_be_bytes());
        list.extend(ids);
    }
    Ok(list)
}

/// RESERVATION KEY and SERVICE ACTION RESERVATION KEY.
fn keys(key: u64, new: u64) -> Vec<u8> {
    [key.to_be_bytes(), new.to_be_bytes()].concat()
}

fn transport_id(initiator: &TransportId) -> Result<Vec<u8>, Misuse> {
    /// The longest iSCSI name (RFC 7143 section 4.2.7.1), what marks the ISID, and its digits.
    const LONGEST: usize = 4 + 223 + 5 + 12 + 4;
    let fits = match initiator {
        TransportId::Iscsi { name, isid } => name.len() <= 223 && isid.as_ref().is_none_or(|i| i.len() <= 12),
        TransportId::Other(bytes) => bytes.len() <= LONGEST,
    };
    match fits {
        true => Ok(initiator.encode()),
        false => Err(Misuse::InvalidArgument("the name of an initiator port is too long")),
    }
}

/// RESERVE(6) of SPC-2: the unit is for this nexus alone, until it releases it or is lost.
pub fn reserve_6(lun: Lun) -> Command {
    change(lun, cdb(opcode::RESERVE_6, &[]), DataList::new(), Repeat::Never)
}

/// RELEASE(6) of SPC-2.
pub fn release_6(lun: Lun) -> Command {
    change(lun, cdb(opcode::RELEASE_6, &[]), DataList::new(), Repeat::Never)
}
