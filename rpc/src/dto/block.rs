//! Blocks, their origin in a commit, and certificates.

use super::{AccountName, Committee, Finality, Hash, Number, Signature, Transaction};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A block by height and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockRef {
    /// Height of the block; the genesis block has height 0.
    pub height: Number,
    /// Id of the block.
    pub id: Hash,
}

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSelector {
    /// The newest block that this node has executed.
    Head,
    /// The last irreversible block, as the chain itself records it.
    Lib,
    /// The newest block with a certificate.
    Certified,
    /// The block at this height on this node's best branch.
    Height(u64),
    /// The block of this id.
    Id(Hash),
}

impl Serialize for BlockSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Head => serializer.serialize_str("head"),
            Self::Lib => serializer.serialize_str("lib"),
            Self::Certified => serializer.serialize_str("certified"),
            Self::Height(height) => Number(*height).serialize(serializer),
            Self::Id(id) => id.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BlockSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SelectorVisitor;
        impl Visitor<'_> for SelectorVisitor {
            type Value = BlockSelector;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "\"head\", \"lib\", \"certified\", a height, or a block id of 64 hexadecimal digits",
                )
            }

            fn visit_u64<E: de::Error>(self, height: u64) -> Result<BlockSelector, E> {
                Ok(BlockSelector::Height(height))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BlockSelector, E> {
                const ID_DIGITS: usize = 64;
                let selector = match text {
                    "head" => Some(BlockSelector::Head),
                    "lib" => Some(BlockSelector::Lib),
                    "certified" => Some(BlockSelector::Certified),
                    _ if text.len() == ID_DIGITS => text.parse().ok().map(BlockSelector::Id),
                    _ => serde_json::from_value::<Number>(text.into())
                        .ok()
                        .map(|height| BlockSelector::Height(height.get())),
                };
                selector.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(SelectorVisitor)
    }
}

impl JsonSchema for BlockSelector {
    fn schema_name() -> Cow<'static, str> {
        "BlockSelector".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Which block is meant: `head` (the newest executed), `lib` (the last irreversible block as the chain records it), `certified` (the newest with a certificate), a height, or a block id.",
            "oneOf": [
                { "type": "string", "enum": ["head", "lib", "certified"] },
                generator.subschema_for::<Number>(),
                generator.subschema_for::<Hash>(),
            ],
        })
    }
}

/// How much of a block is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockDetail {
    /// Everything.
    #[default]
    Full,
    /// Transaction ids in place of the transactions: `transactions` is null.
    Ids,
}

/// Where a block comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BlockOrigin {
    /// Block 0.
    Genesis,
    /// A commit of the DAG.
    Dag {
        /// Number of the commit in its era, from 1.
        commit_index: Number,
        /// Digest of the commit.
        commit_digest: Hash,
        /// Round of the committed leader.
        leader_round: Number,
        /// Position of the leader in the committee of the era.
        leader: u16,
    },
    /// A message of governance that resumed the halted chain.
    Resumed {
        /// Id of the message.
        message: Hash,
    },
    /// Emergency consensus.
    Emergency {
        /// Number of the slot.
        slot: Number,
        /// Account of the producer.
        producer: AccountName,
    },
    /// The validators ended a lockdown by vote.
    Recovered,
}

/// What is hashed to the block id, and the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockHeader {
    /// Height of the block; the genesis block has height 0.
    pub height: Number,
    /// Id of the block.
    pub id: Hash,
    /// Id of the block before; all zero in the genesis block.
    pub parent: Hash,
    /// Number of the era in which the block was made.
    pub era: Number,
    /// Block time, in milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: Number,
    /// Where the block comes from.
    pub origin: BlockOrigin,
    /// Merkle root over the transactions: of each its id and its signature.
    pub transactions_root: Hash,
    /// Merkle root over the receipts and the block's own events.
    pub events_root: Hash,
    /// Hash of supports, evidence, governance message and era end.
    pub system_root: Hash,
    /// Root of the state after this block.
    pub state_root: Hash,
    /// Hash of the next committee, in the last block of an era.
    pub next_committee_hash: Option<Hash>,
}

/// A vertex that the commit of a block contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitVertex {
    /// Round of the vertex.
    pub round: Number,
    /// Position of its author in the committee of the era.
    pub author: u16,
    /// Digest of the vertex.
    pub digest: Hash,
}

/// A validator's highest supported block as this block raised it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Support {
    /// Position in the committee of the era.
    pub authority: u16,
    /// The highest block that the validator has attested.
    pub height: Number,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Block {
    /// The header.
    pub header: BlockHeader,
    /// How final it is: `committed`, `emergency` or `irreversible`; null: it is not on this node's best branch.
    pub finality: Option<Finality>,
    /// Number of transactions.
    pub transaction_count: u32,
    /// Ids of the transactions in their order.
    pub transaction_ids: Vec<Hash>,
    /// The transactions in their order; null if only ids were asked for.
    pub transactions: Option<Vec<Transaction>>,
    /// The vertices of the commit in their total order (round, author, digest).
    pub commit_vertices: Vec<CommitVertex>,
    /// Supports that this block raised, by authority.
    pub supports: Vec<Support>,
    /// Number of pieces of evidence in the block.
    pub evidence_count: u32,
    /// The committee of the next era, in the last block of an era.
    pub next_committee: Option<Committee>,
}

/// A block as subscribers see it: without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockSummary {
    /// The header.
    pub header: BlockHeader,
    /// Number of transactions.
    pub transaction_count: u32,
}

/// One signature of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateSignature {
    /// Position of the signer in the committee of the era.
    pub authority: u16,
    /// The ed25519 signature over the attestation.
    pub signature: Signature,
}

/// Attestations of a quorum for one block: portable proof of its finality.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Era whose committee signed.
    pub era: Number,
    /// Height of the certified block.
    pub height: Number,
    /// Id of the certified block.
    pub block_id: Hash,
    /// Digest of the commit that became the block.
    pub commit_digest: Hash,
    /// Root of the state after the block.
    pub state_root: Hash,
    /// Signatures of at least a quorum, by authority.
    pub signatures: Vec<CertificateSignature>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_in_every_form() {
        let id = Hash::new([7; 32]);
        for (json, selector) in [
            ("\"head\"".to_owned(), BlockSelector::Head),
            ("\"lib\"".to_owned(), BlockSelector::Lib),
            ("\"certified\"".to_owned(), BlockSelector::Certified),
            ("12".to_owned(), BlockSelector::Height(12)),
            (
                "\"9007199254740993\"".to_owned(),
                BlockSelector::Height(9_007_199_254_740_993),
            ),
            (format!("\"{id}\""), BlockSelector::Id(id)),
        ] {
            assert_eq!(
                serde_json::from_str::<BlockSelector>(&json).unwrap(),
                selector
            );
            assert_eq!(serde_json::to_string(&selector).unwrap(), json);
        }
        for json in ["\"latest\"", "-1", "1.5", "[]", "\"\""] {
            let error = serde_json::from_str::<BlockSelector>(json)
                .unwrap_err()
                .to_string();
            assert!(error.contains("\"certified\", a height"), "{error}");
        }
    }
}
