//! Evidence of misbehaviour.

use super::{AccountName, Hash, HexBytes, Number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Evidence that waits for a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceItem {
    /// Key of the offence: offence, era, offender and slot. Each is punished once.
    pub slot: Hash,
    /// `equivocation`, `contradictory_attestations` or `bad_state_root`.
    pub offence: String,
    /// The era in which it happened.
    pub era: Number,
    /// Position of the offender in the committee of that era.
    pub authority: u16,
    /// Account of the offender, if this node knows the era.
    pub offender: Option<AccountName>,
    /// Round, for vertices.
    pub round: Option<Number>,
    /// Height, for attestations.
    pub height: Option<Number>,
    /// The canonical encoding.
    pub encoded: HexBytes,
}

/// What became of submitted evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceFate {
    /// It is new, durable, and on its way to the others.
    Accepted,
    /// This offence waits here already.
    Known,
    /// The chain has punished this offence.
    Punished,
}

/// The answer to submitted evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceReceipt {
    /// Key of the offence.
    pub slot: Hash,
    /// What became of it.
    pub status: EvidenceFate,
}

/// Evidence in its canonical encoding, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct EvidenceBytes(pub HexBytes);
