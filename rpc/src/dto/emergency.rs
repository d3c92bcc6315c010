//! Emergency consensus: where it stands, whose slots they are, what is missing for its end.

use super::{AccountName, BlockRef, Number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the chain is between a stall and the end of an emergency, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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
    /// Emergency blocks are made: all of it is provisional.
    Active,
    /// The exit condition holds: the first block of the next round ends the emergency, if it still holds then.
    ExitPending,
    /// The last block of the emergency is made, and the validators have not certified it yet.
    Certifying,
}

impl EmergencyPhase {
    /// The word that JSON and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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

/// What a node is in an emergency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmergencyRole {
    /// It has the emergency key, and makes blocks for the committee account.
    Master,
    /// It has not; as a validator it makes blocks in its own slots.
    Follower,
}

/// A slot of the running round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmergencySlot {
    /// Number of the slot.
    pub slot: Number,
    /// When it begins, in milliseconds since 1970-01-01 UTC.
    pub begins_ms: Number,
    /// Whose it is: a validator, or the committee account.
    pub holder: AccountName,
    /// False for the committee account.
    pub is_validator: bool,
}

/// The round that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmergencyRound {
    /// Number of the round, from 0.
    pub number: Number,
    /// The slot that runs, by the clock of this node.
    pub slot: Number,
    /// Slot of the last block.
    pub last_block_slot: Number,
    /// Its slots in their order.
    pub slots: Vec<EmergencySlot>,
}

/// What is missing for the end. It comes with the first block of a round on which both hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmergencyExit {
    /// Validators that hold slots.
    pub slots_held: u16,
    /// As many must.
    pub slots_needed: u16,
    /// Those of them that have produced among the last blocks, by account.
    pub producing: Vec<AccountName>,
    /// As many must.
    pub producing_needed: u16,
    /// Last blocks that are looked at.
    pub blocks: u32,
}

/// How far a validator has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReturnState {
    /// It has no signing key on the chain: its validator guard, or its operator, has yet to give it back.
    NoKey,
    /// It is jailed and gets no slot.
    Jailed,
    /// It has its key, and gets a slot with the next round, if there is one for it.
    NoSlot,
    /// It holds a slot, and has made none of the last blocks.
    Silent,
    /// It makes blocks.
    Producing,
}

/// A validator with the stake for a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReturningValidator {
    /// Its account.
    pub account: AccountName,
    /// How far it has come back.
    pub state: ReturnState,
    /// True for the validator of this node.
    pub is_this_node: bool,
}

/// Everything about emergency consensus of one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmergencyStatus {
    /// In one word.
    pub phase: EmergencyPhase,
    /// What this node is.
    pub role: EmergencyRole,
    /// From when on a stall counts, in milliseconds since 1970-01-01 UTC; null: this state knows of no stall yet.
    pub stall_clock_ms: Option<Number>,
    /// Time since then, in seconds.
    pub stalled_seconds: Option<f64>,
    /// How long a stall lasts before an emergency can begin, in milliseconds.
    pub timeout_ms: Number,
    /// Time until one can begin if nothing becomes irreversible, in seconds; 0: it can; null: one is active, or none can.
    pub seconds_to_activation: Option<f64>,
    /// Block that activated the emergency, or the last one; null: there was none.
    pub start_block: Option<Number>,
    /// Length of a slot, in milliseconds.
    pub block_interval_ms: Number,
    /// The round that runs, while an emergency is active.
    pub round: Option<EmergencyRound>,
    /// What is missing for the end, while an emergency is active.
    pub exit: Option<EmergencyExit>,
    /// The validators that can come back, by account, while an emergency is active.
    pub validators: Vec<ReturningValidator>,
    /// Why the last turn of this node as a producer led to no block; null: it led to one, or there was none.
    pub refusal: Option<String>,
    /// This node has the emergency key, and slots pass without a block.
    pub producer_overdue: bool,
    /// The newest block that this node has executed.
    pub head: BlockRef,
    /// The last irreversible block as the chain records it; in an emergency it is provisional.
    pub lib: BlockRef,
    /// The newest block with a certificate: what is final.
    pub certified: BlockRef,
    /// The head stands on emergency blocks that no certificate covers: a certificate can take them back.
    pub is_provisional: bool,
    /// Reversible blocks of all branches that this node keeps.
    pub fork_blocks: u32,
    /// What an operator does next.
    pub next_command: String,
    /// Where it is explained.
    pub runbook: String,
}
