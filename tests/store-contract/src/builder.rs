//! Blocks with plausible changes: the state is a set of counters, the tree a set of slots whose nodes are replaced.

use holdfast_chain::{AppliedBlock, ChainBatch};
use holdfast_ledger::{StateChanges, StateError, StateStore, UndoRecord, tree};
use holdfast_types::attestation::AttestationBody;
use holdfast_types::test_util::{CHAIN, Sampler, committee, key_pair};
use holdfast_types::{
    AccountName, Action, AuthorityIndex, Block, BlockBody, BlockHeader, BlockId, BlockOrigin,
    Certificate, CommitDigest, EndVotes, Era, EraContext, EraKind, Event, FailureCode, Height,
    Receipt, ReceiptStatus, Round, Signature, Signer, StateRoot, TimestampMs, TransactionBody,
    VerifiedTransaction,
};
use std::collections::BTreeMap;

/// State keys in use.
const KEYS: u32 = 40;

/// Makes one block after the other. A clone builds another branch from the same block.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// Tells the blocks of this branch from those of another at the same height.
    branch: u64,
    head: Option<(Height, BlockId)>,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Pages of the tree over the values.
    nodes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The state key number `number`.
#[must_use]
pub fn key_of(number: u32) -> Vec<u8> {
    format!("key/{number:03}").into_bytes()
}

/// A signed transaction; different numbers give different ones.
///
/// # Panics
/// Never: the names obey the rule.
#[must_use]
pub fn transaction(number: u64) -> VerifiedTransaction {
    let signer = key_pair(7);
    let name = |text: &str| AccountName::new(text).expect("the name obeys the rule");
    let body = TransactionBody {
        sender: name("alice"),
        public_key: signer.public_key(),
        nonce: number,
        fee_max: 10,
        expires_at: None,
        action: Action::Transfer {
            to: name("bob"),
            amount: number,
            memo: Vec::new(),
        },
    };
    let id = body.id(&CHAIN);
    VerifiedTransaction::trust(id, body.sign(&CHAIN, &signer))
}

impl Builder {
    /// The head that the built blocks lead to.
    #[must_use]
    pub const fn head(&self) -> Option<(Height, BlockId)> {
        self.head
    }

    /// The state after the head.
    #[must_use]
    pub const fn values(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.values
    }

    /// Keys of the pages of the state tree.
    pub fn live_nodes(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.nodes.keys()
    }

    /// From here on the blocks are of another branch.
    #[must_use]
    pub fn branch(&self, branch: u64) -> Self {
        Self {
            branch,
            ..self.clone()
        }
    }

    /// The branch that the next block is of.
    #[must_use]
    pub const fn branch_number(&self) -> u64 {
        self.branch
    }

    /// The next block, with these transactions; the same branch, height and transactions give the same block.
    pub fn block(&mut self, transactions: &[VerifiedTransaction]) -> AppliedBlock {
        let height = self.head.map_or(Height::ZERO, |(height, _)| height.next());
        let mut sampler = Sampler::new(&format!("contract branch {}", self.branch), height.0);
        let (changes, undo) = self.change(&mut sampler);
        let receipts = receipts(transactions);
        let origin = if height == Height::ZERO {
            BlockOrigin::Genesis
        } else {
            BlockOrigin::Dag {
                commit: CommitDigest::new(sampler.bytes()),
                commit_index: height.0,
                leader_round: Round(height.0 * 3),
                leader: AuthorityIndex(1),
            }
        };
        let header = BlockHeader {
            height,
            parent: self.head.map_or_else(BlockId::default, |(_, id)| id),
            era: Era(1),
            timestamp: TimestampMs(1_000 + height.0),
            origin,
            transactions_root: sampler.bytes(),
            events_root: sampler.bytes(),
            system_root: sampler.bytes(),
            state_root: StateRoot::new(sampler.bytes()),
            next_committee: None,
        };
        let id = header.id(&CHAIN);
        self.head = Some((height, id));
        AppliedBlock {
            id,
            block: Block {
                header,
                body: BlockBody {
                    transactions: transactions
                        .iter()
                        .map(|transaction| transaction.transaction().clone())
                        .collect(),
                    ..BlockBody::default()
                },
            },
            transaction_ids: transactions.iter().map(VerifiedTransaction::id).collect(),
            receipts,
            events: vec![Event::IrreversibleAdvanced { height }],
            changes,
            undo,
        }
    }

    /// `count` blocks without transactions.
    pub fn blocks(&mut self, count: usize) -> Vec<AppliedBlock> {
        (0..count).map(|_| self.block(&[])).collect()
    }

    /// The batch that begins the chain.
    pub fn genesis(&mut self) -> ChainBatch {
        let block = self.block(&[]);
        let start_eras = vec![era(Era(1), Height::ZERO, block.id)];
        ChainBatch {
            apply: vec![block],
            irreversible: Some(Height::ZERO),
            start_eras,
            ..ChainBatch::default()
        }
    }

    fn change(&mut self, sampler: &mut Sampler) -> (StateChanges, UndoRecord) {
        let mut undo = UndoRecord::default();
        let mut changed = BTreeMap::new();
        for _ in 0..8 {
            // Every fourth change is a deletion.
            let value = match sampler.below(4) {
                0 => None,
                _ => Some(sampler.bytes::<24>().to_vec()),
            };
            changed.insert(key_of(sampler.below(KEYS)), value);
        }
        let values: Vec<_> = changed.into_iter().collect();
        let update = tree::update(self, &values).expect("the builder reads from memory");
        for (key, value) in &values {
            let before = match value {
                Some(value) => self.values.insert(key.clone(), value.clone()),
                None => self.values.remove(key),
            };
            undo.values.push((key.clone(), before));
        }
        for (key, page) in &update.nodes {
            match page {
                Some(page) => self.nodes.insert(key.clone(), page.clone()),
                None => self.nodes.remove(key),
            };
        }
        let changes = StateChanges {
            values,
            tree_nodes: update.nodes,
        };
        (changes, undo)
    }
}

impl StateStore for Builder {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.values.get(key).cloned())
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.nodes.get(key).cloned())
    }
}

fn receipts(transactions: &[VerifiedTransaction]) -> Vec<Receipt> {
    let receipt = |(position, transaction): (usize, &VerifiedTransaction)| Receipt {
        transaction: transaction.id(),
        status: if position % 3 == 2 {
            ReceiptStatus::Failed(FailureCode::NonceTooLow)
        } else {
            ReceiptStatus::Success
        },
        fee: position as u64,
        events: Vec::new(),
    };
    transactions.iter().enumerate().map(receipt).collect()
}

/// Context of an era anchored on a block.
#[must_use]
pub(super) fn era(era: Era, anchor_height: Height, anchor: BlockId) -> EraContext {
    EraContext {
        era,
        kind: EraKind::Dag,
        anchor,
        anchor_height,
        anchor_timestamp: TimestampMs(1_000 + anchor_height.0),
        committee: committee(4),
    }
}

/// Votes for a block; their signatures are made up.
pub(super) fn end_votes(height: Height, block: BlockId) -> EndVotes {
    let Certificate { body, signatures } = certificate(height, block);
    EndVotes { body, signatures }
}

/// A certificate of a block; its signatures are made up.
#[must_use]
pub(super) fn certificate(height: Height, block: BlockId) -> Certificate {
    Certificate {
        body: AttestationBody {
            era: Era(1),
            height,
            block,
            commit: CommitDigest::new([3; 32]),
            state_root: StateRoot::new([4; 32]),
        },
        signatures: (0..3)
            .map(|authority| (AuthorityIndex(authority), Signature::new([5; 64])))
            .collect(),
    }
}
