//! Lockdown: who has voted to freeze the chain, how everybody stands, and who has voted to go on.

use super::{AccountName, BlockRef, Hash, Number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the chain is between a vote to freeze it and its going on, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockdownPhase {
    /// Nobody has voted.
    Normal,
    /// Somebody has voted, and not enough have.
    Voting,
    /// Frozen.
    Locked,
    /// Enough have voted to go on, and the next era has not begun.
    Recovering,
}

impl LockdownPhase {
    /// The word that JSON and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Voting => "voting",
            Self::Locked => "locked",
            Self::Recovering => "recovering",
        }
    }
}

/// A vote to freeze the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LockdownVote {
    /// Position of the voter in the committee.
    pub authority: u16,
    /// Account of the voter.
    pub account: Option<AccountName>,
    /// `operator` or `risk`.
    pub trigger: String,
    /// In the voter's words.
    pub reason: String,
    /// When it was cast by the voter's clock, in milliseconds since 1970.
    pub at_ms: Number,
}

/// A vote to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryVote {
    /// Position of the voter in the committee.
    pub authority: u16,
    /// Account of the voter.
    pub account: Option<AccountName>,
    /// `prevote` or `precommit`.
    pub step: String,
    /// Votes of a later attempt replace those of an earlier one.
    pub attempt: u32,
    /// The block to go on from.
    pub block: BlockRef,
    /// The resume message of governance to carry out, if the vote is for one.
    pub resume: Option<Hash>,
    /// When it was cast by the voter's clock, in milliseconds since 1970.
    pub at_ms: Number,
}

/// How a frozen validator stands, as it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineReport {
    /// Position of the validator in the committee.
    pub authority: u16,
    /// Its account.
    pub account: Option<AccountName>,
    /// Its head.
    pub head: BlockRef,
    /// State after its head.
    pub state_root: Hash,
    /// The highest height for which it has a certificate.
    pub certified: Number,
    /// The highest height that it has attested in this era.
    pub attested: Number,
    /// Transactions that wait there.
    pub pending: Number,
    /// Merkle root of their ids.
    pub pending_root: Hash,
    /// In what it differs from the highest head that is reported: `behind`, `other_block`, `other_state`; none: in nothing.
    pub differs: Option<String>,
    /// When it said so by its own clock, in milliseconds since 1970.
    pub at_ms: Number,
}

/// Answer of `lockdown_getPending`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingTransactions {
    /// How many wait on this node.
    pub count: Number,
    /// Merkle root of their ids, as a report has it.
    pub root: Hash,
    /// Their ids, rising.
    pub transaction_ids: Vec<Hash>,
}

/// Everything about the lockdown of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LockdownStatus {
    /// Where it stands.
    pub phase: LockdownPhase,
    /// The era whose members vote. Its end ends a lockdown.
    pub era: Number,
    /// How many they are; none vote in an emergency.
    pub members: u16,
    /// How many votes freeze the chain.
    pub quorum: u16,
    /// How many votes let go on.
    pub recovery_quorum: u16,
    /// This node has a cluster secret: without one it neither votes nor hears votes.
    pub has_secret: bool,
    /// The secret is being changed: two are valid.
    pub is_secret_changing: bool,
    /// Messages since the start of this node that were tagged with another secret.
    pub messages_refused: Number,
    /// Votes to freeze the chain, those that have frozen it if it is.
    pub votes: Vec<LockdownVote>,
    /// How many are missing until the chain is frozen.
    pub votes_missing: u16,
    /// Since when this node knows that the chain is frozen, in milliseconds since 1970.
    pub locked_since_ms: Option<Number>,
    /// This validator votes to go on.
    pub wants_recovery: bool,
    /// The last votes to go on, of both steps.
    pub recovery_votes: Vec<RecoveryVote>,
    /// The block on which a quorum of prevotes has agreed last.
    pub agreed: Option<BlockRef>,
    /// The block from which the chain goes on: a quorum has confirmed it.
    pub confirmed: Option<BlockRef>,
    /// How the members stand.
    pub reports: Vec<QuarantineReport>,
    /// What to do next.
    pub next_command: String,
    /// What to read.
    pub runbook: String,
}
