//! What a step of the chain hands out.

use crate::forks::ForkDatabase;
use crate::store::{AppliedBlock, ChainBatch};
use holdfast_ledger::keys::{AccountKey, EmergencyKey, GovernorsKey, PropertiesKey, StateKey};
use holdfast_ledger::objects::StateObject;
use holdfast_ledger::{EmergencyClock, StateChanges};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{
    AccountName, Attestation, AttestationBody, Block, BlockId, CommitRecord, EraContext,
    FailureCode, Hash32, Height, Parameters, ReceiptStatus, SignedTransaction, TimestampMs,
    TransactionId,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a block says of one of its transactions, for the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutedTransaction {
    pub id: TransactionId,
    pub sender: AccountName,
    pub nonce: u64,
    /// The account's nonce moved past this one.
    pub nonce_consumed: bool,
}

/// What the consensus half learns of an executed block.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// What this validator may attest.
    pub attestation: AttestationBody,
    pub timestamp: TimestampMs,
    pub commit: Option<CommitRecord>,
    pub transactions: Vec<ExecutedTransaction>,
    pub lib: Height,
    /// Live time of the block.
    pub live_time: TimestampMs,
    /// Sequence number of the governance message that the block has executed.
    pub governance_sequence: Option<u64>,
    /// Offences whose evidence is in the block, by slot key.
    pub evidence: Vec<Hash32>,
    /// Set if this block ended its era.
    pub next_era: Option<Arc<EraContext>>,
    /// The blocks up to this one that end an emergency and that no certificate covers.
    pub open_ends: Vec<BlockId>,
    /// When emergency blocks can follow.
    pub emergency: EmergencyClock,
    /// Committed attestations that name another block at a height of this chain.
    pub contradictions: Vec<Attestation>,
}

/// A branch that was to be the best and did not execute. It is rejected from this block on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedBranch {
    pub block: BlockId,
    pub reason: String,
}

/// One step of the chain: write `batch`, then tell the consensus half.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub batch: ChainBatch,
    pub executed: Vec<ExecutedBlock>,
    /// Transactions of the blocks that `batch` takes back whose nonce is unused now, in the order in which they were
    /// executed. Their signatures are to be checked before they are proposed again: a block from a peer proves its
    /// transactions, not their signatures.
    pub returned: Vec<SignedTransaction>,
    pub rejected: Vec<RejectedBranch>,
}

impl Step {
    /// The last block that stays, if the step takes blocks back.
    #[must_use]
    pub fn common_ancestor(&self) -> Option<Height> {
        let lowest = self.batch.pop.last();
        lowest.map(|(height, _)| height.previous())
    }
}

/// A step in the making.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) step: Step,
    /// Blocks of the fork database that no batch has stored yet.
    pub(super) fresh: BTreeMap<BlockId, Block>,
}

impl Work {
    /// The step, if there is anything in it. What is still in the fork database and was not applied is to be kept.
    pub(super) fn finish(self, forks: &ForkDatabase) -> Option<Step> {
        let Self { mut step, fresh } = self;
        let batch = &mut step.batch;
        for (id, block) in fresh {
            let applied = batch.apply.iter().any(|applied| applied.id == id);
            if forks.contains(&id) && !applied {
                batch.insert_forks.push((id, block));
            }
        }
        let is_empty = batch.is_empty() && step.rejected.is_empty();
        (!is_empty).then_some(step)
    }

    /// Blocks left the fork database.
    pub(super) fn drop_forks(&mut self, dropped: Vec<(Height, BlockId)>) {
        let stored = dropped
            .into_iter()
            .filter(|(_, id)| !self.fresh.contains_key(id));
        self.step.batch.remove_forks.extend(stored);
    }

    /// A block came (again).
    pub(super) fn keep_fork(&mut self, id: BlockId, block: Block) {
        let removed = &mut self.step.batch.remove_forks;
        removed.retain(|(_, removed)| *removed != id);
        self.fresh.insert(id, block);
    }
}

pub(super) fn executed_transactions(applied: &AppliedBlock) -> Vec<ExecutedTransaction> {
    applied
        .block
        .body
        .transactions
        .iter()
        .zip(&applied.transaction_ids)
        .zip(&applied.receipts)
        .map(|((transaction, id), receipt)| ExecutedTransaction {
            id: *id,
            sender: transaction.body.sender,
            nonce: transaction.body.nonce,
            nonce_consumed: match receipt.status {
                // A nonce that is too low was used before.
                ReceiptStatus::Success | ReceiptStatus::Failed(FailureCode::NonceTooLow) => true,
                // It did nothing, though a later transaction of the block may have used the same nonce.
                ReceiptStatus::Failed(FailureCode::NonceTooHigh) => {
                    mutant::is_on(Mutant::NonceTooHighIsUsed)
                }
                ReceiptStatus::Failed(_) => nonce_after(&applied.changes, &transaction.body.sender)
                    .is_some_and(|nonce| nonce > transaction.body.nonce),
            },
        })
        .collect()
}

/// Live time of a block: every block changes the dynamic properties.
pub(super) fn live_time_after(changes: &StateChanges) -> TimestampMs {
    let properties = object_after(changes, &PropertiesKey());
    properties.map_or(TimestampMs::ZERO, |properties| {
        properties.live_time(properties.timestamp)
    })
}

/// When emergency blocks can come after a block; `before` is what held before it.
pub(super) fn emergency_after(
    changes: &StateChanges,
    before: EmergencyClock,
    parameters: &Parameters,
) -> EmergencyClock {
    let Some(properties) = object_after(changes, &PropertiesKey()) else {
        return before;
    };
    let record = object_after(changes, &EmergencyKey());
    // Only a block that resumes within an emergency leaves it as it is.
    EmergencyClock::of(&properties, record.as_ref(), parameters).unwrap_or(before)
}

/// Sequence number of the last governance message, if the block has executed one.
pub(super) fn governance_after(changes: &StateChanges) -> Option<u64> {
    object_after(changes, &GovernorsKey()).map(|governors| governors.sequence)
}

/// Nonce of an account after a block, if the block changed the account. Whether a failed transaction used up its nonce is
/// the ledger's decision, so it is read off what the ledger did.
pub(super) fn nonce_after(changes: &StateChanges, name: &AccountName) -> Option<u64> {
    object_after(changes, &AccountKey(*name)).map(|account| account.nonce)
}

/// An object after a block, if the block changed it and it exists.
fn object_after<K: StateKey>(changes: &StateChanges, key: &K) -> Option<K::Object> {
    let key = key.bytes();
    let position = changes
        .values
        .binary_search_by(|(changed, _)| changed.cmp(&key))
        .ok()?;
    let value = changes.values.get(position)?.1.as_ref()?;
    K::Object::decode(value).ok()
}
