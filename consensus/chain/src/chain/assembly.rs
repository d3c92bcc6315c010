//! Blocks from what is to be executed.

use super::error::ChainError;
use super::position::Position;
use crate::store::{AppliedBlock, ChainStore};
use holdfast_ledger::{BlockInput, BlockOutcome};
use holdfast_types::block::transactions_root;
use holdfast_types::hash::Purpose;
use holdfast_types::merkle::merkle_root;
use holdfast_types::{
    AccountName, Block, BlockBody, BlockHeader, BlockOrigin, ChainId, CommitDigest, CommitRecord,
    Era, EraContext, Evidence, Height, Parameters, Receipt, SignatureScheme, Support, TimestampMs,
    TransactionId, VerifiedTransaction,
};
use std::sync::Arc;

/// What a commit or a block of a peer brings to execution.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) commit: CommitRecord,
    pub(super) commit_digest: CommitDigest,
    pub(super) transactions: Vec<VerifiedTransaction>,
    pub(super) supports: Vec<Support>,
    pub(super) evidence: Vec<(Evidence, AccountName)>,
}

/// Executes drafts into blocks. Where they stand is told with each.
#[derive(Clone, Debug)]
pub(super) struct BlockMaker {
    pub(super) chain: ChainId,
    pub(super) parameters: Arc<Parameters>,
    pub(super) scheme: Arc<dyn SignatureScheme>,
}

impl BlockMaker {
    /// The next block, and LIB after it.
    pub(super) fn execute<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        draft: Draft,
    ) -> Result<(AppliedBlock, Height), ChainError> {
        let timestamp = draft.commit.timestamp.max(position.head_timestamp.next());
        let outcome = holdfast_ledger::execute_block(
            store,
            &self.parameters,
            &BlockInput {
                chain: self.chain,
                height: position.head.0.next(),
                era: position.era.era,
                timestamp,
                committee: &position.era.committee,
                transactions: &draft.transactions,
                supports: &draft.supports,
                evidence: &draft.evidence,
                governance: None,
            },
        )?;
        Ok(self.assemble(position, draft, outcome, timestamp))
    }

    /// Executes a block that others have made: the result must be that block.
    pub(super) fn replay<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        block: &Block,
    ) -> Result<(AppliedBlock, Height), ChainError> {
        let height = block.header.height;
        let Some(commit) = block.body.commit.clone() else {
            return Err(ChainError::Diverged {
                height,
                field: "commit",
                expected: "none".to_owned(),
                actual: "one".to_owned(),
            });
        };
        if (commit.index.saturating_sub(1), commit.previous) != position.last_commit {
            return Err(ChainError::CommitFork {
                era: commit.era.0,
                index: commit.index,
                expected: position.last_commit.1,
                actual: commit.previous,
            });
        }
        let transactions = block
            .body
            .transactions
            .iter()
            .map(|transaction| {
                VerifiedTransaction::trust(transaction.body.id(&self.chain), transaction.clone())
            })
            .collect();
        let evidence = self.resolve_evidence(store, position, block.body.evidence.clone())?;
        let draft = Draft {
            commit_digest: commit.digest(&self.chain),
            commit,
            transactions,
            supports: block.body.supports.clone(),
            evidence,
        };
        let (applied, lib) = self.execute(store, position, draft)?;
        compare_headers(&block.header, &applied.block.header)?;
        Ok((applied, lib))
    }

    /// The context of an era of this branch. The store also keeps those of branches that were taken back.
    pub(super) fn era<S: ChainStore + ?Sized>(
        store: &S,
        position: &Position,
        era: Era,
    ) -> Result<Option<EraContext>, ChainError> {
        if era >= position.era.era {
            let running = (era == position.era.era).then(|| EraContext::clone(&position.era));
            return Ok(running);
        }
        Ok(store.era(era)?)
    }

    /// Evidence with the accounts of the offenders; without what names no member of its era.
    pub(super) fn resolve_evidence<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        evidence: Vec<Evidence>,
    ) -> Result<Vec<(Evidence, AccountName)>, ChainError> {
        let mut resolved = Vec::with_capacity(evidence.len());
        for item in evidence {
            let context = Self::era(store, position, item.era())?;
            let member = context
                .as_ref()
                .and_then(|context| context.committee.member(item.offender()));
            if let Some(member) = member {
                resolved.push((item, member.account));
            }
        }
        Ok(resolved)
    }

    /// The block of an execution.
    fn assemble(
        &self,
        position: &Position,
        draft: Draft,
        outcome: BlockOutcome,
        timestamp: TimestampMs,
    ) -> (AppliedBlock, Height) {
        let transaction_ids: Vec<TransactionId> = draft
            .transactions
            .iter()
            .map(VerifiedTransaction::id)
            .collect();
        let events_hash = Purpose::RECEIPT.hash_encoded(&outcome.events);
        let receipt_hashes: Vec<_> = outcome
            .receipts
            .iter()
            .map(Receipt::hash)
            .chain([events_hash])
            .collect();
        let origin = BlockOrigin::Dag {
            commit: draft.commit_digest,
            commit_index: draft.commit.index,
            leader_round: draft.commit.leader.round,
            leader: draft.commit.leader.author,
        };
        let body = BlockBody {
            commit: Some(draft.commit),
            transactions: draft
                .transactions
                .into_iter()
                .map(VerifiedTransaction::into_transaction)
                .collect(),
            supports: draft.supports,
            evidence: draft.evidence.into_iter().map(|(item, _)| item).collect(),
            governance: None,
            era_end: outcome.era_end,
        };
        let header = BlockHeader {
            height: position.head.0.next(),
            parent: position.head.1,
            era: position.era.era,
            timestamp,
            origin,
            transactions_root: transactions_root(transaction_ids.iter().zip(&body.transactions)),
            events_root: merkle_root(&receipt_hashes),
            system_root: body.system_root(),
            state_root: outcome.state_root,
            next_committee: body.era_end.as_ref().map(|end| end.committee.hash()),
        };
        let applied = AppliedBlock {
            id: header.id(&self.chain),
            block: Block { header, body },
            transaction_ids,
            receipts: outcome.receipts,
            events: outcome.events,
            changes: outcome.changes,
            undo: outcome.undo,
        };
        (applied, outcome.lib)
    }
}

fn compare_headers(expected: &BlockHeader, actual: &BlockHeader) -> Result<(), ChainError> {
    if expected == actual {
        return Ok(());
    }
    let fields: [(&'static str, String, String); 5] = [
        (
            "state root",
            expected.state_root.to_string(),
            actual.state_root.to_string(),
        ),
        (
            "events root",
            format!("{:02x?}", expected.events_root),
            format!("{:02x?}", actual.events_root),
        ),
        (
            "transactions root",
            format!("{:02x?}", expected.transactions_root),
            format!("{:02x?}", actual.transactions_root),
        ),
        (
            "timestamp",
            expected.timestamp.to_string(),
            actual.timestamp.to_string(),
        ),
        ("header", format!("{expected:?}"), format!("{actual:?}")),
    ];
    let height = expected.height;
    for (field, expected, actual) in fields {
        if expected != actual {
            return Err(ChainError::Diverged {
                height,
                field,
                expected,
                actual,
            });
        }
    }
    Ok(())
}
