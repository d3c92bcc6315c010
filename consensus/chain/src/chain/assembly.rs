//! Blocks from what is to be executed.

use super::error::ChainError;
use super::position::Position;
use crate::store::{AppliedBlock, ChainStore};
use holdfast_ledger::{BlockInput, BlockOutcome, ResumeInput};
use holdfast_types::block::transactions_root;
use holdfast_types::hash::Purpose;
use holdfast_types::merkle::merkle_root;
use holdfast_types::{
    AccountName, Block, BlockBody, BlockHeader, BlockOrigin, ChainId, CommitDigest, CommitRecord,
    Event, Evidence, GovernanceMessage, Hash32, Height, Parameters, Receipt, ResumeOrder,
    Signature, SignatureScheme, Support, TimestampMs, TransactionId, VerifiedTransaction,
};
use std::sync::Arc;

/// What makes a block.
#[derive(Debug)]
pub(super) enum Source {
    Commit {
        record: CommitRecord,
        digest: CommitDigest,
        /// Verified, and no resume.
        governance: Option<GovernanceMessage>,
    },
    /// What lets a halted chain go on: a message of governance is verified.
    Resume(ResumeOrder),
    /// Who may produce in the slot that begins at the timestamp.
    Emergency {
        slot: u64,
        timestamp: TimestampMs,
        producer: AccountName,
        /// All zeros as long as there is none.
        signature: Signature,
        /// Verified, and no resume.
        governance: Option<GovernanceMessage>,
    },
}

/// What a commit, a block of a peer or governance brings to execution.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) source: Source,
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
        let next_ms = position.head_timestamp.next();
        let (chain, height, era) = (self.chain, position.head.0.next(), position.era.era);
        let committee = &position.era.committee;
        let evidence = &draft.evidence;
        let (timestamp, governance) = match &draft.source {
            Source::Commit {
                record, governance, ..
            } => (record.timestamp.max(next_ms), governance.as_ref()),
            // No clock is agreed on while the chain is halted.
            Source::Resume(order) => (next_ms, order.message()),
            Source::Emergency {
                timestamp,
                governance,
                ..
            } => (*timestamp, governance.as_ref()),
        };
        let input = BlockInput {
            chain,
            height,
            era,
            timestamp,
            committee,
            transactions: &draft.transactions,
            supports: &draft.supports,
            evidence,
            governance,
        };
        let parameters = &self.parameters;
        let outcome = match &draft.source {
            Source::Commit { .. } => holdfast_ledger::execute_block(store, parameters, &input)?,
            Source::Resume(order) => {
                let message = order.message();
                let input = ResumeInput {
                    chain,
                    height,
                    era,
                    timestamp,
                    committee,
                    message,
                    evidence,
                };
                holdfast_ledger::execute_resume(store, parameters, &input)?
            }
            Source::Emergency { producer, .. } => {
                holdfast_ledger::execute_emergency(store, parameters, &input, *producer)?
            }
        };
        Ok(self.assemble(position, draft, outcome, timestamp))
    }

    /// Executes a block that others have made: the result must be that block. What of it does not hold here is left out, so
    /// that the result is another.
    pub(super) fn replay<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        block: &Block,
    ) -> Result<(AppliedBlock, Height), ChainError> {
        let height = block.header.height;
        if let BlockOrigin::Emergency { .. } = block.header.origin {
            let draft = self.emergency_draft(store, position, block)?;
            let (applied, lib) = self.execute(store, position, draft)?;
            compare_headers(&block.header, &applied.block.header)?;
            return Ok((applied, lib));
        }
        let draft = match (&block.body.commit, &block.body.governance) {
            (Some(commit), _) => self.redraft(store, position, commit.clone(), block)?,
            (None, Some(message)) => {
                let order = ResumeOrder::Governance(message.clone());
                if let Err(refusal) = self.check_resume(store, position, &order)? {
                    return Err(ChainError::Diverged {
                        height,
                        field: "resume",
                        expected: format!("{:?}", block.header.origin),
                        actual: refusal.to_string(),
                    });
                }
                self.resume_draft(store, position, order)?
            }
            // What it is built on is the head: a quorum has certified that it goes on there, or this node was told so.
            (None, None) if block.header.origin == BlockOrigin::Recovered => {
                let order = self.recovery_on(store, position)?;
                self.resume_draft(store, position, order)?
            }
            (None, None) => {
                return Err(ChainError::Diverged {
                    height,
                    field: "commit",
                    expected: "none".to_owned(),
                    actual: "one".to_owned(),
                });
            }
        };
        let (applied, lib) = self.execute(store, position, draft)?;
        compare_headers(&block.header, &applied.block.header)?;
        Ok((applied, lib))
    }

    /// The draft of a block that came of a commit.
    fn redraft<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        commit: CommitRecord,
        block: &Block,
    ) -> Result<Draft, ChainError> {
        if (commit.index.saturating_sub(1), commit.previous) != position.last_commit {
            return Err(ChainError::CommitFork {
                era: commit.era.0,
                index: commit.index,
                expected: position.last_commit.1,
                actual: commit.previous,
            });
        }
        let body = &block.body;
        let governance = body.governance.iter().collect();
        Ok(Draft {
            source: Source::Commit {
                digest: commit.digest(&self.chain),
                record: commit,
                governance: self.first_valid_message(store, governance)?,
            },
            transactions: self.transactions_of(body),
            supports: body.supports.clone(),
            evidence: self.valid_evidence(store, position, body.evidence.clone())?,
        })
    }

    /// The transactions of a block, whose signatures were verified before, or which a quorum stands for.
    pub(super) fn transactions_of(&self, body: &BlockBody) -> Vec<VerifiedTransaction> {
        let transactions = body.transactions.iter();
        let trusted = transactions.map(|transaction| {
            VerifiedTransaction::trust(transaction.body.id(&self.chain), transaction.clone())
        });
        trusted.collect()
    }

    /// Where a block comes from, and what of that stands in its body.
    fn origin(
        &self,
        source: Source,
    ) -> (BlockOrigin, Option<CommitRecord>, Option<GovernanceMessage>) {
        match source {
            Source::Commit {
                record,
                digest,
                governance,
            } => {
                let origin = BlockOrigin::Dag {
                    commit: digest,
                    commit_index: record.index,
                    leader_round: record.leader.round,
                    leader: record.leader.author,
                };
                (origin, Some(record), governance)
            }
            Source::Resume(order) => {
                let origin = order.origin(&self.chain);
                let message = match order {
                    ResumeOrder::Governance(message) => Some(message),
                    ResumeOrder::Recovery { .. } => None,
                };
                (origin, None, message)
            }
            Source::Emergency {
                slot,
                producer,
                signature,
                governance,
                ..
            } => {
                let origin = BlockOrigin::Emergency {
                    slot,
                    producer,
                    signature,
                };
                (origin, None, governance)
            }
        }
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
        let (origin, commit, governance) = self.origin(draft.source);
        let body = BlockBody {
            commit,
            transactions: draft
                .transactions
                .into_iter()
                .map(VerifiedTransaction::into_transaction)
                .collect(),
            supports: draft.supports,
            evidence: draft.evidence.into_iter().map(|(item, _)| item).collect(),
            governance,
            era_end: outcome.era_end,
        };
        let header = BlockHeader {
            height: position.head.0.next(),
            parent: position.head.1,
            era: position.era.era,
            timestamp,
            origin,
            transactions_root: transactions_root(transaction_ids.iter().zip(&body.transactions)),
            events_root: events_root(&outcome.receipts, &outcome.events),
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

/// Root over the receipts of a block and over its own events.
pub(crate) fn events_root(receipts: &[Receipt], events: &[Event]) -> Hash32 {
    let events_hash = Purpose::RECEIPT.hash_encoded(events);
    let hashes: Vec<_> = receipts
        .iter()
        .map(Receipt::hash)
        .chain([events_hash])
        .collect();
    merkle_root(&hashes)
}

fn compare_headers(expected: &BlockHeader, actual: &BlockHeader) -> Result<(), ChainError> {
    if expected == actual {
        return Ok(());
    }
    let fields: [(&'static str, String, String); 6] = [
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
            "system root",
            format!("{:02x?}", expected.system_root),
            format!("{:02x?}", actual.system_root),
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
