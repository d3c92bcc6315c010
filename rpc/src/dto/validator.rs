//! Validators and committees.

use super::{AccountName, Amount, Hash, Number, PublicKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A registered validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Validator {
    /// Account that registered it.
    pub account: AccountName,
    /// Key that signs vertices and attestations; null: disabled.
    pub signing_key: Option<PublicKey>,
    /// Key of the account.
    pub owner_key: PublicKey,
    /// Stake.
    pub stake: Amount,
    /// Where its operator says who they are.
    pub url: String,
    /// Block time of its registration, in milliseconds since the Unix epoch.
    pub registered_at_ms: Number,
    /// Until this live time, in milliseconds, it is in no committee; null: not jailed.
    pub jailed_until_ms: Option<Number>,
    /// The highest block that it has attested, as the chain records it.
    pub last_supported_block: Number,
    /// Whether it is a member of the running committee.
    pub in_committee: bool,
    /// Its position in the running committee.
    pub authority: Option<u16>,
}

/// What kind of consensus an era runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommitteeKind {
    /// The DAG.
    Dag,
    /// Emergency consensus.
    Emergency,
}

/// A member of a committee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitteeMember {
    /// Position in the committee.
    pub authority: u16,
    /// Account of the validator.
    pub account: AccountName,
    /// Its signing key in this era.
    pub signing_key: PublicKey,
}

/// The validators of one era, with equal votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Committee {
    /// Number of the era.
    pub era: Number,
    /// What the era runs.
    pub kind: CommitteeKind,
    /// Id of the block that the era builds on.
    pub anchor: Hash,
    /// The members, by authority.
    pub members: Vec<CommitteeMember>,
    /// Signatures that a certificate needs: n − f.
    pub quorum: u16,
    /// Faulty members that the era survives: f = ⌊(n − 1) / 3⌋.
    pub max_faulty: u16,
    /// References of the next round that certify a vertex: 2f + 1.
    pub certified_threshold: u16,
}
