//! I_T nexuses and the unit attentions that wait for each, SAM-5 clause 5.14.

use super::TargetPort;
use super::alloc::sync::Arc;
use crate::scsi::{AdditionalSense, Sense, SenseKey};

/// An I_T nexus, named by the caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NexusId(pub u64);

/// What a nexus may do with a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NexusAccess {
    /// Everything that the unit allows.
    #[default]
    ReadWrite,
    /// The unit is write protected for this nexus.
    ReadOnly,
}

/// What a unit keeps of a nexus.
#[derive(Clone, Debug, Default)]
pub(super) struct Nexus {
    pub(super) waiting: Attentions,
    pub(super) access: NexusAccess,
    /// The target's end of the nexus, where the caller has named it.
    pub(super) port: Option<Arc<TargetPort>>,
}

/// Why a nexus comes into being.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttachReason {
    /// The unit has not seen this initiator port before: 29/00.
    New,
    /// The initiator port logs in again after its session was lost: 29/07, I_T NEXUS LOSS OCCURRED.
    Relogin,
}

/// Why a unit is reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetCause {
    /// Power on, TARGET COLD RESET: 29/01.
    PowerOn,
    /// TARGET WARM RESET: 29/02.
    Target,
    /// LOGICAL UNIT RESET: 29/03.
    LogicalUnit,
}

/// A unit attention condition. The order is the order of reporting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Attention {
    PowerOn,
    PowerOnOrReset,
    TargetReset,
    UnitReset,
    NexusLoss,
    CommandsCleared,
    ClearedByProtocol,
    ModeParametersChanged,
    CapacityChanged,
    LunsChanged,
}

impl Attention {
    const ALL: [Attention; 10] = [
        Attention::PowerOn,
        Attention::PowerOnOrReset,
        Attention::TargetReset,
        Attention::UnitReset,
        Attention::NexusLoss,
        Attention::CommandsCleared,
        Attention::ClearedByProtocol,
        Attention::ModeParametersChanged,
        Attention::CapacityChanged,
        Attention::LunsChanged,
    ];

    pub(super) const fn sense(self) -> Sense {
        let additional = match self {
            Attention::PowerOn => AdditionalSense::POWER_ON_OCCURRED,
            Attention::PowerOnOrReset => AdditionalSense::POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED,
            Attention::TargetReset => AdditionalSense::SCSI_BUS_RESET_OCCURRED,
            Attention::UnitReset => AdditionalSense::BUS_DEVICE_RESET_FUNCTION_OCCURRED,
            Attention::NexusLoss => AdditionalSense::I_T_NEXUS_LOSS_OCCURRED,
            Attention::CommandsCleared => AdditionalSense::COMMANDS_CLEARED_BY_ANOTHER_INITIATOR,
            Attention::ClearedByProtocol => AdditionalSense::SOME_COMMANDS_CLEARED_BY_ISCSI_PROTOCOL_EVENT,
            Attention::ModeParametersChanged => AdditionalSense::MODE_PARAMETERS_CHANGED,
            Attention::CapacityChanged => AdditionalSense::CAPACITY_DATA_HAS_CHANGED,
            Attention::LunsChanged => AdditionalSense::REPORTED_LUNS_DATA_HAS_CHANGED,
        };
        Sense::new(SenseKey::UnitAttention, additional)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }

    const fn is_reset(self) -> bool {
        matches!(
            self,
            Attention::PowerOn | Attention::PowerOnOrReset | Attention::TargetReset | Attention::UnitReset
        )
    }
}

impl From<ResetCause> for Attention {
    fn from(cause: ResetCause) -> Self {
        match cause {
            ResetCause::PowerOn => Attention::PowerOn,
            ResetCause::Target => Attention::TargetReset,
            ResetCause::LogicalUnit => Attention::UnitReset,
        }
    }
}

/// The unit attentions that wait for one nexus: each at most once, so that the queue is bounded by its kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Attentions(u16);

impl Attentions {
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds `attention`. A reset makes everything that waits obsolete, except a reset of a higher kind, which in turn
    /// makes `attention` obsolete.
    pub(super) fn establish(&mut self, attention: Attention) {
        if attention.is_reset() {
            let higher = self.0 & (attention.bit() - 1);
            self.0 = if higher == 0 { attention.bit() } else { higher };
        } else {
            self.0 |= attention.bit();
        }
    }

    pub(super) fn clear(&mut self, attention: Attention) {
        self.0 &= !attention.bit();
    }

    /// Takes the one to report next.
    pub(super) fn take(&mut self) -> Option<Attention> {
        let next = Attention::ALL.get(usize::try_from(self.0.trailing_zeros()).ok()?).copied()?;
        self.clear(next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_follows_the_kind_and_each_waits_once() {
        let mut waiting = Attentions::default();
        for attention in Attention::ALL.into_iter().rev().filter(|a| !a.is_reset()) {
            waiting.establish(attention);
            waiting.establish(attention);
        }
        for want in &Attention::ALL[4..] {
            assert_eq!(waiting.take(), Some(*want));
        }
        assert_eq!(waiting.take(), None);
    }

    #[test]
    fn every_kind_stands_at_the_place_of_its_number() {
        for (i, attention) in Attention::ALL.into_iter().enumerate() {
            assert_eq!(attention as usize, i);
        }
    }

    #[test]
    fn a_reset_makes_the_rest_obsolete() {
        let mut waiting = Attentions::default();
        waiting.establish(Attention::CapacityChanged);
        waiting.establish(Attention::UnitReset);
        assert_eq!(waiting, Attentions(Attention::UnitReset.bit()));
        waiting.establish(Attention::PowerOn);
        waiting.establish(Attention::UnitReset);
        assert_eq!(waiting.take(), Some(Attention::PowerOn));
        assert!(waiting.is_empty());
    }
}
