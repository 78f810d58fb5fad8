//! A logical unit: what its I_T nexuses share, and the way of every command through it.

use std::collections::BTreeMap;

use super::blocks::out_of_range;
use super::nexus::{Attention, Nexus};
use super::step::{Fault, Stage};
use super::table::{self, Access, OnAttention, Row};
use super::{
    AttachReason, IoError, NexusAccess, NexusId, Op, Outcome, Reply, Request, ResetCause, Resume, Step,
    TargetPort, Task, UnitConfig,
};
use crate::DataList;
use crate::scsi::mode::Modes;
use crate::scsi::{AdditionalSense, Cdb, FieldPointer, Response, Sense, SenseFormat, SenseKey};
use crate::wire::TaskAttribute;

/// A SCSI disk, apart from its blocks.
#[derive(Debug)]
pub struct LogicalUnit {
    config: UnitConfig,
    modes: Modes,
    stopped: bool,
    nexuses: BTreeMap<NexusId, Nexus>,
}

impl LogicalUnit {
    /// A unit that nobody is attached to. Numbers of `config` outside their range are brought into it.
    pub fn new(config: UnitConfig) -> Self {
        let config = config.clamped();
        LogicalUnit { modes: config.default_modes(), config, stopped: false, nexuses: BTreeMap::new() }
    }

    /// What the unit is.
    pub fn config(&self) -> &UnitConfig {
        &self.config
    }

    /// Logical blocks.
    #[inline]
    pub fn blocks(&self) -> u64 {
        self.config.blocks
    }

    /// What MODE SELECT has set.
    #[inline]
    pub fn modes(&self) -> &Modes {
        &self.modes
    }

    /// Whether START STOP UNIT has stopped the unit.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Makes a nexus known, with the unit attention that `reason` calls for.
    pub fn attach(&mut self, nexus: NexusId, reason: AttachReason) {
        let attention = match reason {
            AttachReason::New => Attention::PowerOnOrReset,
            AttachReason::Relogin => Attention::NexusLoss,
        };
        self.nexuses.entry(nexus).or_default().waiting.establish(attention);
    }

    /// Says what an attached nexus may do; everything, if nothing is said.
    pub fn set_access(&mut self, nexus: NexusId, access: NexusAccess) {
        if let Some(nexus) = self.nexuses.get_mut(&nexus) {
            nexus.access = access;
        }
    }

    /// Says through which target port an attached nexus comes: INQUIRY tells it in the Device Identification page.
    pub fn set_port(&mut self, nexus: NexusId, port: TargetPort) {
        if let Some(nexus) = self.nexuses.get_mut(&nexus) {
            nexus.port = Some(port);
        }
    }

    /// The target port of a nexus, if it was named.
    pub(super) fn port(&self, nexus: NexusId) -> Option<&TargetPort> {
        self.nexuses.get(&nexus)?.port.as_ref()
    }

    /// Forgets a nexus and what waits for it.
    pub fn detach(&mut self, nexus: NexusId) {
        self.nexuses.remove(&nexus);
    }

    /// Resets the unit: mode parameters go back to their defaults, the unit is started, and every nexus learns of it.
    ///
    /// The caller ends the tasks; a task of before the reset must not be resumed.
    pub fn reset(&mut self, cause: ResetCause) {
        self.modes = self.config.default_modes();
        self.stopped = false;
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
        let blocks = self.config.clamped_blocks(blocks);
        if blocks != self.config.blocks {
            self.config.blocks = blocks;
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
        let step = self.admit(nexus, request).and_then(|row| (row.handler)(self, nexus, request));
        step.unwrap_or_else(|sense| self.fail(&sense, 0))
    }

    /// Goes on with a command whose data arrived, or whose operation was carried out.
    ///
    /// Data behind the length that was asked for is ignored. A resumption that does not fit the step that it answers
    /// ends the command with HARDWARE ERROR, INTERNAL TARGET FAILURE.
    pub fn resume(&mut self, task: Task, with: Resume) -> Step {
        let Task { nexus, transfer_len, stage } = task;
        let step = match with {
            Resume::Data(mut data) => {
                data.truncate(usize::try_from(transfer_len).unwrap_or(usize::MAX));
                self.resume_data(nexus, transfer_len, stage, data)
            }
            Resume::Io(outcome) => self.resume_io(nexus, transfer_len, stage, outcome),
        };
        step.unwrap_or_else(|sense| self.fail(&sense, transfer_len))
    }

    /// The checks that every command undergoes, in their order.
    #[inline]
    fn admit(&mut self, nexus: NexusId, request: &Request<'_>) -> Result<&'static Row, Sense> {
        if request.attribute == TaskAttribute::Aca {
            // NORMACA is zero: there is no auto contingent allegiance that this could belong to.
            return Err(Sense::illegal(AdditionalSense::INVALID_MESSAGE_ERROR));
        }
        let row = self.find(request.cdb);
        if row.is_ok_and(|row| row.attention == OnAttention::Pass) {
            return row.and_then(|row| self.admit_row(nexus, row, request));
        }
        match self.take_attention(nexus) {
            Some(attention) => Err(attention.sense()),
            None => row.and_then(|row| self.admit_row(nexus, row, request)),
        }
    }

    #[inline]
    fn admit_row(
        &self,
        nexus: NexusId,
        row: &'static Row,
        request: &Request<'_>,
    ) -> Result<&'static Row, Sense> {
        if let Some((byte, bit)) = row.forbidden_bit(request.cdb) {
            return Err(Sense::invalid_field_in_cdb(FieldPointer::cdb_bit(byte, bit)));
        }
        match row.access {
            Access::None => {}
            Access::Read => self.check_ready()?,
            Access::Write => {
                self.check_ready()?;
                self.check_writeable(nexus)?;
            }
        }
        Ok(row)
    }

    #[inline]
    fn find(&self, cdb: &Cdb) -> Result<&'static Row, Sense> {
        let rows = table::rows(cdb.opcode());
        let provisioning = self.config.provisioning;
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

    pub(super) fn check_ready(&self) -> Result<(), Sense> {
        const STOPPED: AdditionalSense =
            AdditionalSense::LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED;
        if self.stopped { Err(Sense::new(SenseKey::NotReady, STOPPED)) } else { Ok(()) }
    }

    /// Refuses to write, for the reason that stands above the others.
    pub(super) fn check_writeable(&self, nexus: NexusId) -> Result<(), Sense> {
        let restricted = self.nexuses.get(&nexus).is_some_and(|nexus| nexus.access == NexusAccess::ReadOnly);
        let additional = match (self.config.read_only || restricted, self.modes.software_write_protect) {
            (false, false) => return Ok(()),
            (true, _) => AdditionalSense::WRITE_PROTECTED,
            (false, true) => AdditionalSense::LOGICAL_UNIT_SOFTWARE_WRITE_PROTECTED,
        };
        Err(Sense::new(SenseKey::DataProtect, additional))
    }

    fn resume_data(
        &mut self,
        nexus: NexusId,
        asked: u32,
        stage: Stage,
        data: DataList,
    ) -> Result<Step, Sense> {
        match stage {
            Stage::WriteData(write) => Ok(self.write_data(nexus, asked, write, data)),
            Stage::VerifyData(task) => self.verify_data(nexus, asked, task, data),
            Stage::WriteSameData(task) => self.write_same_data(nexus, asked, task, &data),
            Stage::UnmapData => self.unmap_data(nexus, asked, &data),
            Stage::SelectData(task) => self.mode_data(nexus, asked, task, &data),
            _ => Err(INTERNAL_FAILURE),
        }
    }

    fn resume_io(
        &mut self,
        nexus: NexusId,
        asked: u32,
        stage: Stage,
        outcome: Outcome,
    ) -> Result<Step, Sense> {
        let outcome = match (outcome, &stage) {
            // Keeping the blocks is what UNMAP allows.
            (Outcome::Failed(IoError::Unsupported), Stage::Unmap) => Outcome::Done,
            (Outcome::Failed(IoError::Unsupported), Stage::LbaStatus(_)) => Outcome::Extents(Vec::new()),
            (outcome, Stage::WriteSame(_)) => outcome,
            (Outcome::Failed(error), stage) if stage.fault() == Fault::Read => {
                return Err(self.read_fault(error));
            }
            (Outcome::Failed(error), _) => return Err(self.write_fault(error)),
            (outcome, _) => outcome,
        };
        match (stage, outcome) {
            (Stage::Read(read), Outcome::Data(data)) => {
                self.check_length(&data, u64::from(read.len), read.offset)?;
                Ok(Self::finish_read(read, data))
            }
            (Stage::Verify(task), Outcome::Data(data)) => {
                let (offset, len) = self.verify_place(&task);
                self.check_length(&data, len, offset)?;
                self.verified(nexus, asked, task, &data)
            }
            (Stage::FlushThenRead(read), Outcome::Done) => Ok(self.start_read(nexus, read)),
            (Stage::WriteThenVerify(task), Outcome::Done) => Ok(self.verify_piece(nexus, asked, task)),
            (Stage::WriteSame(task), outcome) => self.wrote_same(nexus, asked, task, &outcome),
            (Stage::Write | Stage::Unmap | Stage::Flush, Outcome::Done) => Ok(Step::Done(Reply::good(asked))),
            (Stage::LbaStatus(task), Outcome::Extents(extents)) => self.lba_status(task, &extents),
            (Stage::FlushThenStop, Outcome::Done) => {
                self.stopped = true;
                Ok(Step::Done(Reply::good(0)))
            }
            _ => Err(INTERNAL_FAILURE),
        }
    }

    /// Less than was asked for is a medium that cannot be read from the first missing block on.
    fn check_length(&self, data: &DataList, len: u64, offset: u64) -> Result<(), Sense> {
        let got = data.len() as u64;
        if got == len {
            Ok(())
        } else {
            Err(self.read_fault(IoError::Medium { offset: offset + got.min(len) }))
        }
    }

    pub(super) fn read_fault(&self, error: IoError) -> Sense {
        match error {
            IoError::Medium { offset } => self.medium_error(AdditionalSense::UNRECOVERED_READ_ERROR, offset),
            _ => INTERNAL_FAILURE,
        }
    }

    pub(super) fn write_fault(&self, error: IoError) -> Sense {
        match error {
            IoError::Medium { offset } => self.medium_error(AdditionalSense::WRITE_ERROR, offset),
            IoError::NoSpace => {
                Sense::new(SenseKey::DataProtect, AdditionalSense::SPACE_ALLOCATION_FAILED_WRITE_PROTECT)
            }
            IoError::ReadOnly => Sense::new(SenseKey::DataProtect, AdditionalSense::WRITE_PROTECTED),
            IoError::Unsupported | IoError::Other => INTERNAL_FAILURE,
        }
    }

    fn medium_error(&self, additional: AdditionalSense, offset: u64) -> Sense {
        Sense::new(SenseKey::MediumError, additional)
            .with_information(offset >> self.config.block_size.shift())
    }

    /// The step that carries out `op`, unless the capacity has shrunk below it since the command was checked.
    #[inline]
    pub(super) fn io(&self, op: Op, nexus: NexusId, transfer_len: u32, stage: Stage) -> Step {
        let capacity = self.offset(self.blocks());
        let fits = |offset: u64, len: u64| offset.checked_add(len).is_some_and(|end| end <= capacity);
        let fits = match &op {
            Op::Read { offset, len } => fits(*offset, u64::from(*len)),
            Op::Write { offset, data, .. } => fits(*offset, data.len() as u64),
            Op::WriteZeroes { offset, len, .. } | Op::Extents { offset, len, .. } => fits(*offset, *len),
            Op::Unmap { ranges } => ranges.iter().all(|&(offset, len)| fits(offset, len)),
            Op::Flush => true,
        };
        if !fits {
            return self.fail(&out_of_range(self.blocks()), transfer_len);
        }
        Step::Io { op, task: Task { nexus, transfer_len, stage } }
    }

    #[cold]
    fn fail(&self, sense: &Sense, transfer_len: u32) -> Step {
        Step::Done(Reply::check_condition(sense, self.sense_format(), transfer_len))
    }

    fn sense_format(&self) -> SenseFormat {
        if self.modes.descriptor_sense { SenseFormat::Descriptor } else { SenseFormat::Fixed }
    }

    /// CHECK CONDITION in the unit's sense format, for commands that end outside of it, such as aborted ones.
    pub fn check_condition(&self, sense: &Sense) -> Response {
        Response::check_condition(sense, self.sense_format())
    }

    #[inline]
    pub(super) fn max_transfer_blocks(&self) -> u32 {
        self.config.max_transfer >> self.config.block_size.shift()
    }

    /// Bytes of the next operation of a command that has `left` bytes to go.
    pub(super) fn piece_len(&self, left: u64) -> usize {
        usize::try_from(left.min(u64::from(self.config.chunk))).unwrap_or(usize::MAX)
    }

    #[inline]
    pub(super) fn take_attention(&mut self, nexus: NexusId) -> Option<Attention> {
        let waiting = &mut self.nexuses.get_mut(&nexus)?.waiting;
        if waiting.is_empty() { None } else { waiting.take() }
    }

    fn establish(&mut self, nexus: NexusId, attention: Attention) {
        if let Some(nexus) = self.nexuses.get_mut(&nexus) {
            nexus.waiting.establish(attention);
        }
    }

    pub(super) fn establish_for_others(&mut self, nexus: NexusId, attention: Attention) {
        for (_, other) in self.nexuses.iter_mut().filter(|(id, _)| **id != nexus) {
            other.waiting.establish(attention);
        }
    }

    fn establish_for_all(&mut self, attention: Attention) {
        self.nexuses.values_mut().for_each(|nexus| nexus.waiting.establish(attention));
    }

    pub(super) fn set_modes(&mut self, modes: Modes) {
        self.modes = modes;
    }

    pub(super) fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }
}

const INTERNAL_FAILURE: Sense = Sense::new(SenseKey::HardwareError, AdditionalSense::INTERNAL_TARGET_FAILURE);
