//! Where emergency consensus stands, for whoever looks at it. Nothing here decides about a block.

use super::producing::{ExitProgress, exit_progress};
use super::schedule::{self, of_round, round_of};
use super::{EmergencyClock, LedgerError};
use crate::overlay::Overlay;
use crate::state::StateStore;
use holdfast_types::{AccountName, ChainId, Height, Parameters, TimestampMs};

/// What the state says of emergency consensus at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmergencyStanding {
    pub clock: EmergencyClock,
    /// From when on a stall counts (E2); none: this state knows of no stall yet.
    pub stall_clock: Option<TimestampMs>,
    /// Block that activated the emergency, or the last one; 0: there was none.
    pub start_block: Height,
    /// The round that runs, while an emergency is active.
    pub round: Option<EmergencyRound>,
}

/// A round of an emergency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmergencyRound {
    pub number: u64,
    /// The slot that runs.
    pub slot: u64,
    /// Slot of the last block.
    pub last_slot: u64,
    /// Whose the slots of the round are, from its first on (E5).
    pub schedule: Vec<AccountName>,
    pub exit: ExitProgress,
    /// Blocks of the last ones by their producers, the newest last: what E9 looks at.
    pub recent: Vec<AccountName>,
}

/// Where a chain is between a stall and the end of an emergency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmergencyPhase {
    /// No emergency can begin on this state: it was imported without a stall clock, or lacks the hardfork.
    Unavailable,
    /// A halt forbids emergency blocks, whatever the time.
    Blocked,
    /// The chain moves, or has not stood still for long.
    Idle,
    /// Three quarters of the timeout have passed: 45 of 60 minutes.
    Armed,
    /// The timeout has passed, and no master has made the first block.
    Due,
    /// Emergency blocks are made.
    Active,
    /// The exit condition holds: the first block of the next round ends the emergency, if it still holds then.
    ExitPending,
    /// The last block of the emergency is made, and the validators have not certified it yet.
    Certifying,
}

impl EmergencyPhase {
    pub const ALL: [Self; 8] = [
        Self::Unavailable,
        Self::Blocked,
        Self::Idle,
        Self::Armed,
        Self::Due,
        Self::Active,
        Self::ExitPending,
        Self::Certifying,
    ];

    /// Stable name for RPC and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Blocked => "blocked",
            Self::Idle => "idle",
            Self::Armed => "armed",
            Self::Due => "due",
            Self::Active => "active",
            Self::ExitPending => "exit_pending",
            Self::Certifying => "certifying",
        }
    }
}

/// What a node knows besides the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmergencyView {
    /// Its wall clock.
    pub at: TimestampMs,
    /// A halt forbids emergency blocks.
    pub is_forbidden: bool,
    /// The head stands on emergency blocks that nobody has certified.
    pub is_provisional: bool,
}

impl EmergencyStanding {
    /// The phase at a time.
    #[must_use]
    pub fn phase(&self, view: EmergencyView, parameters: &Parameters) -> EmergencyPhase {
        if view.is_forbidden {
            return EmergencyPhase::Blocked;
        }
        if let Some(round) = &self.round {
            return if round.exit.is_met() {
                EmergencyPhase::ExitPending
            } else {
                EmergencyPhase::Active
            };
        }
        if view.is_provisional {
            return EmergencyPhase::Certifying;
        }
        let Some(slot_zero) = self.clock.slot_zero else {
            return EmergencyPhase::Unavailable;
        };
        let left_ms = slot_zero.since(view.at);
        if left_ms == 0 {
            EmergencyPhase::Due
        } else if left_ms <= parameters.emergency.timeout_ms.div_euclid(4) {
            EmergencyPhase::Armed
        } else {
            EmergencyPhase::Idle
        }
    }
}

/// Where emergency consensus stands on the state in `store`, at `at` of the wall clock. A round that has no block yet is
/// shown as its first block would have it.
pub fn emergency_standing<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
    chain: &ChainId,
    at: TimestampMs,
) -> Result<EmergencyStanding, LedgerError> {
    let mut overlay = Overlay::next(store)?;
    let record = if overlay.properties.emergency_consensus_active {
        Some(schedule::record(&mut overlay, parameters)?)
    } else {
        None
    };
    let clock = EmergencyClock::of(&overlay.properties, record.as_ref(), parameters);
    let mut standing = EmergencyStanding {
        clock: clock.unwrap_or_default(),
        stall_clock: overlay.properties.stall_clock,
        start_block: overlay.properties.emergency_consensus_start_block,
        round: None,
    };
    let Some(record) = record else {
        return Ok(standing);
    };
    let passed_ms = at.since(record.slot_zero);
    let interval_ms = parameters.emergency.block_interval_ms;
    let slot = passed_ms.checked_div(interval_ms).unwrap_or_default();
    // A clock that is behind sees the slot of the last block.
    let slot = slot.max(record.last_slot);
    let number = round_of(slot, parameters);
    let schedule = of_round(&mut overlay, parameters, chain, &record, number)?;
    let live_time = overlay.properties.live_time(overlay.properties.timestamp);
    let (_, exit) = exit_progress(
        &mut overlay,
        parameters,
        live_time,
        &schedule,
        &record.recent,
    )?;
    standing.round = Some(EmergencyRound {
        number,
        slot,
        last_slot: record.last_slot,
        schedule,
        exit,
        recent: record.recent,
    });
    Ok(standing)
}
