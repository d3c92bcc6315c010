//! Where the chain and the node stand.

use super::{BlockRef, Hash, Number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of the chain as this node sees it, in one word; also in the header `x-holdfast-chain-state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChainState {
    /// The node starts and does not know yet.
    Starting,
    /// The node catches up.
    Syncing,
    /// Blocks are made and this node has them.
    Running,
    /// No commit for longer than the stall timeout.
    Stalled,
    /// A halt is in force.
    Halted,
    /// The validators have locked the chain.
    Lockdown,
    /// Emergency consensus makes the blocks.
    Emergency,
}

impl ChainState {
    /// The word that JSON and the reply header use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Syncing => "syncing",
            Self::Running => "running",
            Self::Stalled => "stalled",
            Self::Halted => "halted",
            Self::Lockdown => "lockdown",
            Self::Emergency => "emergency",
        }
    }
}

/// The newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// Height of the block.
    pub height: Number,
    /// Id of the block.
    pub id: Hash,
    /// Block time, in milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: Number,
}

/// How catching up goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Syncing {
    /// The highest certified block that peers have shown.
    pub target_height: Number,
    /// Blocks applied per second, averaged over the last minute.
    pub blocks_per_second: f64,
}

/// A halt in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HaltStatus {
    /// The mode: `soft_stall`, `hard_halt`, `emergency_halt`, `lockdown`, `emergency_consensus`, `partial_halt`.
    pub kind: String,
    /// Since when, in milliseconds since 1970-01-01 UTC.
    pub since_ms: Number,
    /// Why, in words.
    pub reason: String,
}

/// The queue of transactions that are not in a block yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MempoolStatus {
    /// Transactions queued on this node.
    pub transactions: Number,
    /// Their size, in bytes.
    pub bytes: Number,
}

/// Where the chain and this node stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Name of the chain, from the genesis document.
    pub chain_name: String,
    /// Id of the chain.
    pub chain_id: Hash,
    /// The state of the chain in one word.
    pub state: ChainState,
    /// The newest block that this node has executed.
    pub head: Head,
    /// The last irreversible block as the chain records it.
    pub lib: BlockRef,
    /// The newest block with a certificate: what is final.
    pub certified: BlockRef,
    /// Number of the running era.
    pub era: Number,
    /// Number of the running epoch.
    pub epoch: Number,
    /// The newest round of the DAG in this era.
    pub round: Number,
    /// Members of the running committee.
    pub committee_size: u16,
    /// Members whose vertices this node has seen in the last rounds.
    pub active_committee: u16,
    /// Null when caught up.
    pub syncing: Option<Syncing>,
    /// Halts in force; empty when none.
    pub halts: Vec<HaltStatus>,
    /// Time since the last commit, in seconds.
    pub seconds_since_commit: f64,
    /// Time since LIB last moved, in seconds.
    pub seconds_since_lib: f64,
    /// The queue of this node.
    pub mempool: MempoolStatus,
    /// Peers connected.
    pub peer_count: u32,
}
