//! What one I_T nexus sees of a logical unit, enough to decide most commands without the unit itself.
//!
//! # Many threads, one unit
//!
//! A unit is one value; a server that runs its sessions on many threads keeps it behind a lock. Almost no command
//! changes what the nexuses share, so almost none has to take that lock: a [`View`] is an immutable copy of what a
//! command of one nexus is decided by, together with [`LogicalUnit::changes`] of the moment that it was taken. Beside
//! the lock stands that number, stored before the lock is given back whenever it has grown (the *version*). A command
//! loads the version: if it is the number of the view, the view decides; if not, or if the view declines, the command
//! takes the lock, and the session a new view with it.
//!
//! Views know two kinds of handlers, and the type of each row of the command table says which it has: those that
//! read, which are functions of a view alone, and those that change, which are functions of the unit. The unit begins
//! a command with the same [`View::start`], once it has seen to unit attentions, so that there is one implementation
//! of everything and no command whose answer depends on who was asked.
//!
//! # Why this is correct
//!
//! *The order between commands.* SAM asks for an order between nexuses only where a command is sent after the status
//! of another was received; commands that overlap in time may take effect in either order. A change is complete under
//! the lock, the version is stored before the lock is given back, and only then can a status tell of the change. The
//! way of that status to an initiator, and of its next command to whatever thread, passes through the transport's
//! queues, each of which orders what was done before a hand-over ahead of what is done after it. So the load of the
//! later command finds the version of the change or a later one, never an older one. A load that still finds the old
//! version belongs to a command that overlaps with the change, and is ordered before it: at the moment of that load
//! the change had not been told to anybody.
//!
//! *Between the load and the storage.* The decision is that of the moment of the load, as it was that of the moment
//! when the lock was held; the operation on the storage comes later in either case, and a lock that ends with the
//! decision would not hold back a change meanwhile. What the standards want of this window:
//! - *Capacity*: no operation goes beyond the capacity of the moment at which it is asked for. So every resumption
//!   checks the version again, and [`View::io`] each operation against the capacity that it finds. An operation that
//!   storage has already been given may still run when [`LogicalUnit::resize`] returns: whoever takes blocks away for
//!   good waits for what is under way.
//! - *Write cache*: a write begun while WCE was one, which ends after a MODE SELECT has set it to zero, finds the new
//!   mode when it is resumed, and flushes before its GOOD. One that ended before is covered by the flush of that MODE
//!   SELECT, which follows the change.
//! - *Write protection, stop, reservations*: they are checked when a command begins, and bind no command that has
//!   begun (SPC-4 says so of reservations, in its overview of them). Whoever needs the others gone aborts them; see
//!   below.
//!
//! *Unit attentions.* A nexus for which one waits gets no view, and establishing one makes the views of before stale:
//! from then on its commands reach the unit, where exactly one of them takes the condition, under the lock. A command
//! whose load came before is older than the condition and need not report it. Taking a condition makes no view stale,
//! for there is none that knew of it.
//!
//! *One nexus.* The commands of a nexus are decided by one session in the order in which they arrived, and a session
//! sees its own changes: by the unit itself or by a later load of the version on the same thread. A session that takes
//! the place of another begins without views.
//!
//! *Task management.* A reset first has every session of the unit abort its commands, waits until all have said that
//! nothing of them is left, and then calls [`LogicalUnit::reset`]. An order to abort reaches a session as a message.
//! Commands that the session has begun by then are aborted, whatever view they were decided by; whatever it begins
//! after the reset finds the reset's version. A command that a session begins in between, after its abort and before
//! the reset, overlaps with the reset, and is served as one that came before it and was quick.
//!
//! # What joins later
//!
//! A persistent reservation is another thing that a view is a copy of: whether its nexus may read, and whether it may
//! write, found out once in [`LogicalUnit::view`]. PERSISTENT RESERVE OUT becomes a handler that changes. Its PREEMPT may
//! rely on this: once its status has been told, no command of a preempted nexus that arrives later is let through.
//! Commands that were let through earlier may still run, which the standard allows. PREEMPT AND ABORT must not allow it,
//! and therefore changes the unit *first* and has the sessions abort *then*, before it answers: a command that a
//! session began before that message is aborted by it, and one that it begins after it finds the new version,
//! because the message was sent after the version was stored. No other wait for readers of old views is needed.
//! Asymmetric access states are told the same way, with a change for every nexus.

use super::alloc::sync::Arc;
use super::step::Stage;
use super::table::{self, Access, Changing, Handler, OnAttention, Row};
use super::{NexusAccess, NexusId, Reply, Request, Resume, Step, TargetPort, Task, UnitConfig};
use crate::scsi::mode::Modes;
use crate::scsi::{AdditionalSense, Cdb, FieldPointer, Sense, SenseFormat, SenseKey};
use crate::wire::TaskAttribute;

#[cfg(doc)]
use super::LogicalUnit;

/// What is the same for every nexus.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) config: UnitConfig,
    pub(super) modes: Modes,
    pub(super) stopped: bool,
}

/// A logical unit as one nexus sees it at one moment: decides, without the unit, the commands that leave alone what
/// the nexuses share.
///
/// It is valid as long as [`LogicalUnit::changes`] has not grown since it was taken; a stale view decides as the unit
/// would have then. Taking one copies no more than two references.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) state: Arc<State>,
    pub(super) nexus: NexusId,
    pub(super) access: NexusAccess,
    /// The target's end of the nexus, where the caller has named it.
    pub(super) port: Option<Arc<TargetPort>>,
}

impl View {
    /// The same with `access` in the place of what [`LogicalUnit::set_access`] said, for commands that come by a LUN
    /// with an access of its own.
    #[must_use]
    pub fn with_access(self, access: NexusAccess) -> Self {
        View { access, ..self }
    }

    /// Takes a command of the view's nexus; `None` when it has to go to [`LogicalUnit::start`].
    #[inline]
    pub fn start(&self, request: &Request<'_>) -> Option<Step> {
        self.decide(request).ok()
    }

    /// Goes on with a command of the view's nexus, as [`LogicalUnit::resume`] does.
    ///
    /// # Errors
    /// The arguments, when the command has to go on there.
    #[inline]
    pub fn resume(&self, task: Task, with: Resume) -> Result<Step, (Task, Resume)> {
        if task.stage.changes_unit() || task.nexus != self.nexus {
            return Err((task, with));
        }
        Ok(self.go_on(task.transfer_len, task.stage, with))
    }

    /// Begins a command for which no unit attention waits. The error is who has to do it on the unit.
    #[inline]
    pub(super) fn decide(&self, request: &Request<'_>) -> Result<Step, Changing> {
        let step = match self.admit(request).map(|row| row.handler) {
            Ok(Handler::Reads(handler)) => handler(self, request),
            Ok(Handler::Changes(handler)) => return Err(handler),
            Err(sense) => Err(sense),
        };
        Ok(step.unwrap_or_else(|sense| self.fail(&sense, 0)))
    }

    /// Whether a unit attention that waits is to be reported in the place of this command (SPC-4 clause 5.8.7).
    pub(super) fn reports_attention(&self, request: &Request<'_>) -> bool {
        let passes = self.find(request.cdb).is_ok_and(|row| row.attention == OnAttention::Pass);
        check_attribute(request).is_ok() && !passes
    }

    /// The checks that every command undergoes, in their order.
    #[inline]
    fn admit(&self, request: &Request<'_>) -> Result<&'static Row, Sense> {
        check_attribute(request)?;
        let row = self.find(request.cdb)?;
        if let Some((byte, bit)) = row.forbidden_bit(request.cdb) {
            return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(byte, bit)));
        }
        match row.access {
            Access::None => {}
            Access::Read => self.check_ready()?,
            Access::Write => {
                self.check_ready()?;
                self.check_writeable()?;
            }
        }
        Ok(row)
    }

    #[inline]
    fn find(&self, cdb: &Cdb) -> Result<&'static Row, Sense> {
        let rows = table::rows(cdb.opcode());
        let provisioning = self.config().provisioning;
        let fits = |row: &&Row| row.service_action.is_none_or(|action| action == cdb.service_action());
        match rows.iter().filter(|row| row.is_on(provisioning)).find(fits) {
            Some(row) => Ok(row),
            // The operation code is known, its service action is not.
            None if rows.iter().any(|row| row.service_action.is_some()) => {
                Err(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(1, 4)))
            }
            None => {
                let sense = Sense::illegal(AdditionalSense::INVALID_COMMAND_OPERATION_CODE);
                Err(sense.at(FieldPointer::cdb(0)))
            }
        }
    }

    #[inline]
    pub(super) fn check_ready(&self) -> Result<(), Sense> {
        const STOPPED: AdditionalSense =
            AdditionalSense::LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED;
        if self.state.stopped { Err(Sense::new(SenseKey::NotReady, STOPPED)) } else { Ok(()) }
    }

    /// Refuses to write, for the reason that stands above the others.
    #[inline]
    pub(super) fn check_writeable(&self) -> Result<(), Sense> {
        let protected = self.config().read_only || self.access == NexusAccess::ReadOnly;
        let additional = match (protected, self.modes().software_write_protect) {
            (false, false) => return Ok(()),
            (true, _) => AdditionalSense::WRITE_PROTECTED,
            (false, true) => AdditionalSense::LOGICAL_UNIT_SOFTWARE_WRITE_PROTECTED,
        };
        Err(Sense::new(SenseKey::DataProtect, additional))
    }

    #[inline]
    pub(super) fn config(&self) -> &UnitConfig {
        &self.state.config
    }

    #[inline]
    pub(super) fn blocks(&self) -> u64 {
        self.state.config.blocks
    }

    #[inline]
    pub(super) fn modes(&self) -> &Modes {
        &self.state.modes
    }

    pub(super) fn port(&self) -> Option<&TargetPort> {
        self.port.as_deref()
    }

    pub(super) fn sense_format(&self) -> SenseFormat {
        if self.modes().descriptor_sense { SenseFormat::Descriptor } else { SenseFormat::Fixed }
    }

    /// The step that fetches the data of a command.
    #[inline]
    pub(super) fn need_data(&self, len: u32, stage: Stage) -> Step {
        Step::NeedData { len, task: Task { nexus: self.nexus, transfer_len: len, stage } }
    }

    #[cold]
    pub(super) fn fail(&self, sense: &Sense, transfer_len: u32) -> Step {
        Step::Done(Reply::check_condition(sense, self.sense_format(), transfer_len))
    }
}

#[inline]
fn check_attribute(request: &Request<'_>) -> Result<(), Sense> {
    match request.attribute {
        // NORMACA is zero: there is no auto contingent allegiance that this could belong to.
        TaskAttribute::Aca => Err(Sense::illegal(AdditionalSense::INVALID_MESSAGE_ERROR)),
        _ => Ok(()),
    }
}
