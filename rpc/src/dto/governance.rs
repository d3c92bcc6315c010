//! Governance messages and the governors.

use super::{BlockRef, HaltInForce, Hash, HexBytes, Number, PublicKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A governor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Governor {
    /// Position by which signatures name it.
    pub position: u16,
    /// Its key.
    pub public_key: PublicKey,
}

/// A governance message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GovernanceSummary {
    /// Id of the message.
    pub id: Hash,
    /// Its sequence number.
    pub sequence: Number,
    /// `halt`, `resume` or `rotate_keys`.
    pub action: String,
    /// Why, in the governors' words.
    pub reason: Option<String>,
}

/// A resume message that is being carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResumeInProgress {
    /// The message.
    pub message: GovernanceSummary,
    /// The era that it ends.
    pub era: Number,
    /// The block on which the next era is built.
    pub block: BlockRef,
    /// The state root after that block.
    pub state_root: Hash,
    /// Validators with older software stay out.
    pub minimum_version: String,
}

/// The governors, and what they have ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GovernanceState {
    /// Id of the chain, which is part of what is signed.
    pub chain_id: Hash,
    /// The governors in office.
    pub governors: Vec<Governor>,
    /// How many of them have to sign.
    pub threshold: u16,
    /// Sequence number of the last message that took effect on the chain; 0: none.
    pub sequence_on_chain: Number,
    /// The highest that was accepted here.
    pub sequence_accepted: Number,
    /// The sequence number for the next message.
    pub sequence_next: Number,
    /// Messages that the chain has not recorded yet.
    pub waiting: Vec<GovernanceSummary>,
    /// The halt that governance has ordered.
    pub halt: Option<HaltInForce>,
    /// The resume that is being carried out.
    pub resume: Option<ResumeInProgress>,
    /// The longest that a halt may last, in milliseconds.
    pub halt_max_ms: Number,
}

/// A governance message with its signatures in its canonical encoding, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct GovernanceBytes(pub HexBytes);
