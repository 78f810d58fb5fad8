//! A logical unit: what its I_T nexuses share, and every change to it.

use std::collections::BTreeMap;

use super::alloc::sync::Arc;
use super::nexus::{Attention, Nexus};
use super::resume::{INTERNAL_FAILURE, cut};
use super::step::Stage;
use super::view::State;
use super::{
    AttachReason, NexusAccess, NexusId, Outcome, Reply, Request, ResetCause, Resume, Step, TargetPort, Task,
    UnitConfig, View,
};
use crate::scsi::mode::Modes;
use crate::scsi::{Response, Sense};

/// A SCSI disk, apart from its blocks.
#[derive(Debug)]
pub struct LogicalUnit {
    /// Copied before it is changed while there are views of it.
    state: Arc<State>,
    nexuses: BTreeMap<NexusId, Nexus>,
    changes: u64,
}

impl LogicalUnit {
    /// A unit that nobody is attached to. Numbers of `config` outside their range are brought into it.
    pub fn new(config: UnitConfig) -> Self {
        let config = config.clamped();
        let state = State { modes: config.default_modes(), config, stopped: false };
        LogicalUnit { state: Arc::new(state), nexuses: BTreeMap::new(), changes: 0 }
    }

    /// What the unit is.
    pub fn config(&self) -> &UnitConfig {
        &self.state.config
    }

    /// Logical blocks.
    #[inline]
    pub fn blocks(&self) -> u64 {
        self.state.config.blocks
    }

    /// What MODE SELECT has set.
    #[inline]
    pub fn modes(&self) -> &Modes {
        &self.state.modes
    }

    /// Whether START STOP UNIT has stopped the unit.
    pub fn is_stopped(&self) -> bool {
        self.state.stopped
    }

    /// What decides the commands of `nexus` as long as [`changes`](Self::changes) does not grow; `None` while a unit
    /// attention waits for it, so that its next command comes here.
    pub fn view(&self, nexus: NexusId) -> Option<View> {
        (!self.has_attention(nexus)).then(|| self.sight(nexus))
    }

    /// A number that grows with everything that makes a view stale, and never shrinks.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Makes a nexus known, with the unit attention that `reason` calls for.
    pub fn attach(&mut self, nexus: NexusId, reason: AttachReason) {
        let attention = match reason {
            AttachReason::New => Attention::PowerOnOrReset,
            AttachReason::Relogin => Attention::NexusLoss,
        };
        self.nexuses.entry(nexus).or_default();
        self.establish(nexus, attention);
    }

    /// Says what an attached nexus may do; everything, if nothing is said.
    pub fn set_access(&mut self, nexus: NexusId, access: NexusAccess) {
        if let Some(nexus) = self.nexuses.get_mut(&nexus)
            && nexus.access != access
        {
            nexus.access = access;
            self.changes += 1;
        }
    }

    /// Says through which target port an attached nexus comes: INQUIRY tells it in the Device Identification page.
    pub fn set_port(&mut self, nexus: NexusId, port: TargetPort) {
        if let Some(nexus) = self.nexuses.get_mut(&nexus) {
            nexus.port = Some(Arc::new(port));
            self.changes += 1;
        }
    }

    /// Forgets a nexus and what waits for it.
    pub fn detach(&mut self, nexus: NexusId) {
        if self.nexuses.remove(&nexus).is_some() {
            self.changes += 1;
        }
    }

    /// Resets the unit: mode parameters go back to their defaults, the unit is started, and every nexus learns of it.
    ///
    /// The caller ends the tasks; a task of before the reset must not be resumed.
    pub fn reset(&mut self, cause: ResetCause) {
        let state = self.state_mut();
        state.modes = state.config.default_modes();
        state.stopped = false;
        self.establish_for_all(cause.into());
    }

    /// Tells nexus `of` that `by` cleared its tasks; nothing when both are the same.
    pub fn tasks_cleared(&mut self, by: NexusId, of: NexusId) {
        if by != of {
            self.establish(of, Attention::CommandsCleared);
        }
    }

    /// Tells `nexus` that its transport ended tasks of it without being asked (RFC 7143 section 11.14.5): 47/7F.
    pub fn tasks_terminated(&mut self, nexus: NexusId) {
        self.establish(nexus, Attention::ClearedByProtocol);
    }

    /// Changes the capacity and tells every nexus, if it is another one. Tasks that run are held to the new one.
    pub fn resize(&mut self, blocks: u64) {
        let blocks = self.config().clamped_blocks(blocks);
        if blocks != self.blocks() {
            self.state_mut().config.blocks = blocks;
            self.establish_for_all(Attention::CapacityChanged);
        }
    }

    /// Tells `nexus` that REPORT LUNS has another answer for it now.
    pub fn luns_changed(&mut self, nexus: NexusId) {
        self.establish(nexus, Attention::LunsChanged);
    }

    /// Takes back [`luns_changed`](Self::luns_changed): `nexus` has asked by itself (SPC-4 clause 6.33).
    pub fn luns_reported(&mut self, nexus: NexusId) {
        if let Some(nexus) = self.nexuses.get_mut(&nexus) {
            nexus.waiting.clear(Attention::LunsChanged);
        }
    }

    /// Takes a command of `nexus`. REPORT LUNS is the caller's, with [`report_luns`](super::report_luns).
    pub fn start(&mut self, nexus: NexusId, request: &Request<'_>) -> Step {
        let view = self.sight(nexus);
        self.start_by(view, request)
    }

    /// [`start`](Self::start) for a command that came by a LUN with an access of its own, which counts in the place of
    /// what [`set_access`](Self::set_access) said.
    pub fn start_with(&mut self, nexus: NexusId, access: NexusAccess, request: &Request<'_>) -> Step {
        let view = self.sight(nexus).with_access(access);
        self.start_by(view, request)
    }

    fn start_by(&mut self, view: View, request: &Request<'_>) -> Step {
        let nexus = view.nexus;
        if self.has_attention(nexus)
            && view.reports_attention(request)
            && let Some(attention) = self.take_attention(nexus)
        {
            return view.fail(&attention.sense(), 0);
        }
        // From here on the unit decides as a view does.
        match view.decide(request) {
            Ok(step) => step,
            Err(handler) => {
                drop(view);
                let step = handler(self, nexus, request);
                step.unwrap_or_else(|sense| self.sight(nexus).fail(&sense, 0))
            }
        }
    }

    /// Goes on with a command whose data arrived, or whose operation was carried out.
    ///
    /// Data behind the length that was asked for is ignored. A resumption that does not fit the step that it answers
    /// ends the command with HARDWARE ERROR, INTERNAL TARGET FAILURE.
    pub fn resume(&mut self, task: Task, with: Resume) -> Step {
        match self.sight(task.nexus).resume(task, with) {
            Ok(step) => step,
            Err((Task { nexus, transfer_len, stage }, with)) => {
                let step = self.resume_change(nexus, transfer_len, stage, with);
                step.unwrap_or_else(|sense| self.sight(nexus).fail(&sense, transfer_len))
            }
        }
    }

    /// Goes on with a command in one of the stages that [`Stage::changes_unit`] names.
    fn resume_change(
        &mut self,
        nexus: NexusId,
        asked: u32,
        stage: Stage,
        with: Resume,
    ) -> Result<Step, Sense> {
        match (stage, with) {
            (Stage::SelectData(task), Resume::Data(mut data)) => {
                cut(&mut data, asked);
                self.mode_data(nexus, asked, task, &data)
            }
            (Stage::FlushThenStop, Resume::Io(Outcome::Done)) => {
                self.set_stopped(true);
                Ok(Step::Done(Reply::good(0)))
            }
            (Stage::FlushThenStop, Resume::Io(Outcome::Failed(error))) => {
                Err(self.sight(nexus).write_fault(error))
            }
            _ => Err(INTERNAL_FAILURE),
        }
    }

    /// CHECK CONDITION in the unit's sense format, for commands that end outside of it, such as aborted ones.
    pub fn check_condition(&self, sense: &Sense) -> Response {
        Response::check_condition(sense, self.sight(NexusId(0)).sense_format())
    }

    /// What `nexus` sees apart from unit attentions. One that is not attached may do what the unit allows.
    pub(super) fn sight(&self, nexus: NexusId) -> View {
        let known = self.nexuses.get(&nexus);
        View {
            state: Arc::clone(&self.state),
            nexus,
            access: known.map(|known| known.access).unwrap_or_default(),
            port: known.and_then(|known| known.port.clone()),
        }
    }

    /// What all nexuses share, to be changed: every view is stale from here on.
    fn state_mut(&mut self) -> &mut State {
        self.changes += 1;
        Arc::make_mut(&mut self.state)
    }

    fn has_attention(&self, nexus: NexusId) -> bool {
        self.nexuses.get(&nexus).is_some_and(|nexus| !nexus.waiting.is_empty())
    }

    pub(super) fn take_attention(&mut self, nexus: NexusId) -> Option<Attention> {
        self.nexuses.get_mut(&nexus)?.waiting.take()
    }

    fn establish(&mut self, nexus: NexusId, attention: Attention) {
        self.establish_where(|id| id == nexus, attention);
    }

    pub(super) fn establish_for_others(&mut self, nexus: NexusId, attention: Attention) {
        self.establish_where(|id| id != nexus, attention);
    }

    fn establish_for_all(&mut self, attention: Attention) {
        self.establish_where(|_| true, attention);
    }

    /// Has `attention` wait for the nexuses that `wanted` picks, whose views are stale then.
    fn establish_where(&mut self, wanted: impl Fn(NexusId) -> bool, attention: Attention) {
        for (_, nexus) in self.nexuses.iter_mut().filter(|(id, _)| wanted(**id)) {
            nexus.waiting.establish(attention);
            self.changes += 1;
        }
    }

    pub(super) fn set_modes(&mut self, modes: Modes) {
        self.state_mut().modes = modes;
    }

    pub(super) fn set_stopped(&mut self, stopped: bool) {
        if self.state.stopped != stopped {
            self.state_mut().stopped = stopped;
        }
    }
}
