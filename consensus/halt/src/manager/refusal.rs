//! Why the manager does nothing.

use crate::lockdown::LockdownRefusal;
use holdfast_types::governance::GovernanceError;
use holdfast_types::{Era, TimestampMs};

/// Why an input does nothing. Each is an answer to who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HaltRefusal {
    #[error("the proof is of era {proof}, this node runs era {running}")]
    OtherEra { proof: Era, running: Era },
    #[error("this event is known")]
    Known,
    #[error("{0}")]
    Governance(#[from] GovernanceError),
    #[error("a halt of governance is in force until {until} ms: resume first")]
    InForce { until: TimestampMs },
    #[error(
        "a second halt needs an epoch of progress after the first: {missing_ms} ms of live time are missing"
    )]
    TooSoon { missing_ms: u64 },
    #[error("a resume message with sequence number {sequence} is being carried out")]
    Resuming { sequence: u64 },
    #[error("the message ends era {era}, which is over: this node runs era {running}")]
    EraIsOver { era: Era, running: Era },
    #[error(transparent)]
    Lockdown(LockdownRefusal),
}

impl HaltRefusal {
    /// Stable name for RPC.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OtherEra { .. } => "other_era",
            Self::Known => "known",
            Self::Governance(error) => error.name(),
            Self::InForce { .. } => "halt_in_force",
            Self::TooSoon { .. } => "too_soon",
            Self::Resuming { .. } => "resuming",
            Self::EraIsOver { .. } => "era_is_over",
            Self::Lockdown(refusal) => refusal.name(),
        }
    }
}
