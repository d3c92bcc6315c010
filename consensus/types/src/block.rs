//! Blocks and the commits that they come from.

use crate::account::AccountName;
use crate::committee::{Committee, EraKind};
use crate::crypto::{PublicKey, Signature, SignatureCheck, Signer, SigningHash};
use crate::evidence::Evidence;
use crate::governance::GovernanceMessage;
use crate::hash::{Hash32, Purpose};
use crate::ids::{
    AuthorityIndex, BlockId, ChainId, CommitDigest, Era, Height, Round, StateRoot, TimestampMs,
    TransactionId,
};
use crate::merkle::merkle_root;
use crate::transaction::SignedTransaction;
use crate::vertex::VertexRef;
use borsh::{BorshDeserialize, BorshSerialize};

/// The decision to order a leader with its causal history.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitRecord {
    pub era: Era,
    /// Number of the commit in its era, from 1.
    pub index: u64,
    pub leader: VertexRef,
    /// Digest of the commit before; for the first of an era the all-zero digest.
    pub previous: CommitDigest,
    /// Median timestamp of the leader's parents of the previous round.
    pub timestamp: TimestampMs,
    /// The sub-DAG in its total order (round, author, digest).
    pub vertices: Vec<CommittedVertex>,
}

/// A vertex as a commit names it. With the timestamp, a node that has only the commits computes the same block times as
/// one that has the vertices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommittedVertex {
    pub reference: VertexRef,
    pub timestamp: TimestampMs,
}

impl CommitRecord {
    #[must_use]
    pub fn digest(&self, chain: &ChainId) -> CommitDigest {
        CommitDigest::new(Purpose::COMMIT.hash_on_chain(chain, self))
    }
}

/// Where a block comes from. The position in this list is the tag byte: new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum BlockOrigin {
    /// Block 0.
    Genesis,
    /// A commit of the DAG.
    Dag {
        commit: CommitDigest,
        commit_index: u64,
        leader_round: Round,
        leader: AuthorityIndex,
    },
    /// The resume message of governance with this id: the first block after a halt, and the last of its era.
    Resumed { message: Hash32 },
    /// Emergency consensus (document 002): the producer of a slot, with its signature.
    Emergency {
        slot: u64,
        producer: AccountName,
        signature: Signature,
    },
    /// The validators have ended the lockdown of the era (document 000): the first block after it, and the last of its era. It
    /// carries nothing: which of them have voted differs from node to node, and a quorum certifies it.
    Recovered,
}

impl BlockOrigin {
    /// Who has produced an emergency block.
    #[must_use]
    pub const fn producer(&self) -> Option<AccountName> {
        match self {
            Self::Emergency { producer, .. } => Some(*producer),
            Self::Genesis | Self::Dag { .. } | Self::Resumed { .. } | Self::Recovered => None,
        }
    }

    /// The commit that the block comes of, if it comes of one.
    #[must_use]
    pub const fn commit(&self) -> Option<CommitDigest> {
        match self {
            Self::Dag { commit, .. } => Some(*commit),
            Self::Genesis | Self::Resumed { .. } | Self::Emergency { .. } | Self::Recovered => None,
        }
    }
}

/// What is hashed to the block id.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockHeader {
    pub height: Height,
    pub parent: BlockId,
    pub era: Era,
    pub timestamp: TimestampMs,
    pub origin: BlockOrigin,
    /// Merkle root over the transactions: of each its id and its signature.
    pub transactions_root: Hash32,
    /// Merkle root over the hashes of the receipts and of the block's own events.
    pub events_root: Hash32,
    /// Hash of supports, evidence, governance message and era end.
    pub system_root: Hash32,
    /// State after this block.
    pub state_root: StateRoot,
    /// Hash of the next committee, in the last block of an era.
    pub next_committee: Option<Hash32>,
}

impl Block {
    /// Era of the block that follows.
    #[must_use]
    pub const fn next_era(&self) -> Era {
        match self.body.era_end {
            Some(_) => self.header.era.next(),
            None => self.header.era,
        }
    }
}

impl BlockHeader {
    #[must_use]
    pub fn id(&self, chain: &ChainId) -> BlockId {
        BlockId::new(Purpose::BLOCK.hash_on_chain(chain, self))
    }

    /// What the producer of an emergency block signs: the header with all zeros for the signature. None for other blocks.
    #[must_use]
    pub fn emergency_signing_hash(&self, chain: &ChainId) -> Option<SigningHash> {
        let BlockOrigin::Emergency { slot, producer, .. } = self.origin else {
            return None;
        };
        let unsigned = Self {
            origin: BlockOrigin::Emergency {
                slot,
                producer,
                signature: Signature::new([0; 64]),
            },
            ..self.clone()
        };
        let hash = Purpose::EMERGENCY_BLOCK.hash_on_chain(chain, &unsigned);
        Some(SigningHash::new(hash))
    }

    /// The check that the holder of `key` has produced this emergency block; none for other blocks.
    #[must_use]
    pub fn emergency_check(&self, chain: &ChainId, key: PublicKey) -> Option<SignatureCheck> {
        let BlockOrigin::Emergency { signature, .. } = self.origin else {
            return None;
        };
        let message = self.emergency_signing_hash(chain)?;
        Some(SignatureCheck {
            key,
            message,
            signature,
        })
    }

    /// Puts the producer's signature into an emergency block; other blocks stay as they are.
    pub fn sign_emergency(&mut self, chain: &ChainId, signer: &dyn Signer) {
        let hash = self.emergency_signing_hash(chain);
        if let (Some(hash), BlockOrigin::Emergency { signature, .. }) = (hash, &mut self.origin) {
            *signature = signer.sign(&hash);
        }
    }
}

/// A validator's `last_supported_block_num` as this block raised it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Support {
    pub authority: AuthorityIndex,
    pub height: Height,
}

/// The era after this block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EraEnd {
    pub next_kind: EraKind,
    pub committee: Committee,
}

/// What is executed: enough to replay the block without the DAG.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockBody {
    /// The commit; none in a block that comes of none.
    pub commit: Option<CommitRecord>,
    pub transactions: Vec<SignedTransaction>,
    /// Sorted by authority.
    pub supports: Vec<Support>,
    pub evidence: Vec<Evidence>,
    /// Takes effect before the transactions; none or one.
    pub governance: Option<GovernanceMessage>,
    pub era_end: Option<EraEnd>,
}

/// Merkle root over transactions with their ids. Of each it covers the signature too, which the id does not: a certificate
/// then proves every byte of a body.
#[must_use]
pub fn transactions_root<'a>(
    transactions: impl IntoIterator<Item = (&'a TransactionId, &'a SignedTransaction)>,
) -> Hash32 {
    let leaf = |(id, transaction): (&TransactionId, &SignedTransaction)| {
        let mut hasher = Purpose::BLOCK_TRANSACTION.hasher();
        hasher.update(id.as_bytes());
        hasher.update(transaction.signature.as_bytes());
        *hasher.finalize().as_bytes()
    };
    let leaves: Vec<Hash32> = transactions.into_iter().map(leaf).collect();
    merkle_root(&leaves)
}

impl BlockBody {
    /// Whether there is nothing in it but the end of its era.
    #[must_use]
    pub const fn carries_nothing(&self) -> bool {
        self.commit.is_none()
            && self.governance.is_none()
            && self.transactions.is_empty()
            && self.supports.is_empty()
            && self.evidence.is_empty()
    }

    /// Hash for [`BlockHeader::system_root`].
    #[must_use]
    pub fn system_root(&self) -> Hash32 {
        Purpose::BLOCK_SYSTEM.hash_encoded(&(
            &self.supports,
            &self.evidence,
            &self.governance,
            &self.era_end,
        ))
    }
}

/// A block as sent and stored.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    pub header: BlockHeader,
    pub body: BlockBody,
}
