//! The chain as a state machine: commits, certified blocks and certificates in; batches for the store out.

use crate::store::{AppliedBlock, ChainBatch, ChainStore};
use holdfast_dag::SubDag;
use holdfast_ledger::keys::{AccountKey, StateKey};
use holdfast_ledger::objects::StateObject;
use holdfast_ledger::{
    Account, BlockInput, BlockOutcome, LedgerError, StateChanges, StateError, UndoRecord,
};
use holdfast_types::hash::Purpose;
use holdfast_types::merkle::merkle_root;
use holdfast_types::{
    AccountName, Attestation, AttestationBody, AuthorityIndex, Block, BlockBody, BlockHeader,
    BlockId, BlockOrigin, Certificate, ChainId, CommitDigest, CommitRecord, EraContext, Evidence,
    FailureCode, Height, Parameters, ReceiptStatus, SignatureScheme, Support, TimestampMs,
    TransactionId, VerifiedTransaction,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Why the chain cannot go on. All of these are fatal: the store failed, or an invariant of ours is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Store(#[from] StateError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the store holds no chain; genesis was not applied")]
    NoGenesis,
    #[error("the store lacks {what}")]
    Incomplete { what: String },
    #[error(
        "commit {index} of era {era} contradicts the one that this chain has: {actual} instead of {expected}"
    )]
    CommitFork {
        era: u64,
        index: u64,
        expected: CommitDigest,
        actual: CommitDigest,
    },
    #[error(
        "executing the certified block {height} gives {field} {actual}, the certificate says {expected}: the state of this node is wrong"
    )]
    Diverged {
        height: Height,
        field: &'static str,
        expected: String,
        actual: String,
    },
}

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
    /// Set if this block ended its era.
    pub next_era: Option<Arc<EraContext>>,
    /// Committed attestations that name another block at a height of this chain.
    pub contradictions: Vec<Attestation>,
}

/// One step of the chain: write `batch`, then tell the consensus half.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub batch: ChainBatch,
    pub executed: Vec<ExecutedBlock>,
}

/// The applied branch at its head.
#[derive(Clone, Debug)]
pub struct Chain {
    id: ChainId,
    parameters: Arc<Parameters>,
    scheme: Arc<dyn SignatureScheme>,
    head: (Height, BlockId),
    head_timestamp: TimestampMs,
    /// The era of the next block.
    era: Arc<EraContext>,
    /// Index and digest of the last commit of that era.
    last_commit: (u64, CommitDigest),
    irreversible: Height,
    certified: Height,
    /// Certificates of blocks that are not executed yet.
    early_certificates: BTreeMap<Height, Certificate>,
    /// Height and time of every 64th block: finds what is older than an epoch.
    milestones: VecDeque<(Height, TimestampMs)>,
}

/// Certificates kept for blocks above the head.
const EARLY_CERTIFICATES_MAX: usize = 256;
const MILESTONE_BLOCKS: u64 = 64;

/// The batch that begins a chain.
#[must_use]
pub fn genesis_batch(
    id: BlockId,
    block: Block,
    changes: StateChanges,
    era: EraContext,
) -> ChainBatch {
    ChainBatch {
        apply: vec![AppliedBlock {
            id,
            block,
            transaction_ids: Vec::new(),
            receipts: Vec::new(),
            events: Vec::new(),
            changes,
            undo: UndoRecord::default(),
        }],
        irreversible: Some(Height::ZERO),
        start_era: Some(era),
        ..ChainBatch::default()
    }
}

impl Chain {
    /// The chain as the store has it.
    pub fn open<S: ChainStore + ?Sized>(
        store: &S,
        id: ChainId,
        parameters: Arc<Parameters>,
        scheme: Arc<dyn SignatureScheme>,
    ) -> Result<Self, ChainError> {
        let head = store.head()?.ok_or(ChainError::NoGenesis)?;
        let incomplete = |what: String| ChainError::Incomplete { what };
        let block = store
            .block_at(head.0)?
            .ok_or_else(|| incomplete(format!("its head block {}", head.0)))?;
        let era = store
            .latest_era()?
            .ok_or_else(|| incomplete("the context of its era".to_owned()))?;
        let last_commit = block
            .body
            .commit
            .as_ref()
            .filter(|commit| commit.era == era.era)
            .map(|commit| (commit.index, commit.digest(&id)))
            .unwrap_or_default();
        Ok(Self {
            id,
            parameters,
            scheme,
            head,
            head_timestamp: block.header.timestamp,
            era: Arc::new(era),
            last_commit,
            irreversible: store.irreversible_height()?,
            certified: store.certified_height()?,
            early_certificates: BTreeMap::new(),
            milestones: VecDeque::new(),
        })
    }

    #[must_use]
    pub const fn head(&self) -> (Height, BlockId) {
        self.head
    }

    #[must_use]
    pub const fn head_timestamp(&self) -> TimestampMs {
        self.head_timestamp
    }

    /// The era of the next block.
    #[must_use]
    pub const fn era(&self) -> &Arc<EraContext> {
        &self.era
    }

    #[must_use]
    pub const fn certified(&self) -> Height {
        self.certified
    }

    #[must_use]
    pub const fn irreversible(&self) -> Height {
        self.irreversible
    }

    /// Turns a commit into the next block (rules C1 to C5). None: the commit is of an era that ended, or was applied as a
    /// synced block, or lies above a gap that block sync will fill.
    pub fn order<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        sub_dag: &SubDag,
    ) -> Result<Option<Step>, ChainError> {
        let record = &sub_dag.record;
        let (last_index, last_digest) = self.last_commit;
        if record.era != self.era.era || record.index != last_index.saturating_add(1) {
            return Ok(None);
        }
        if record.previous != last_digest {
            return Err(ChainError::CommitFork {
                era: record.era.0,
                index: last_index,
                expected: last_digest,
                actual: record.previous,
            });
        }
        let mut transactions = Vec::new();
        let mut evidence = Vec::new();
        let mut attestations = Vec::new();
        for vertex in &sub_dag.vertices {
            let payload = vertex.payload();
            for (transaction, id) in payload.transactions.iter().zip(vertex.transaction_ids()) {
                transactions.push(VerifiedTransaction::trust(*id, transaction.clone()));
            }
            evidence.extend_from_slice(&payload.evidence);
            attestations.extend_from_slice(&payload.attestations);
        }
        let (supports, contradictions) = self.supports(store, &attestations)?;
        let evidence = self.valid_evidence(store, evidence)?;
        let draft = Draft {
            commit: record.clone(),
            commit_digest: sub_dag.digest,
            transactions,
            supports,
            evidence,
        };
        let mut step = self.execute(store, draft, None)?;
        for executed in &mut step.executed {
            executed.contradictions.clone_from(&contradictions);
        }
        Ok(Some(step))
    }

    /// Applies a block that a certificate proves (rule C7); it continues the head.
    pub fn replay<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        block: &Block,
    ) -> Result<Step, ChainError> {
        let height = block.header.height;
        let diverged = |field, expected: String, actual: String| ChainError::Diverged {
            height,
            field,
            expected,
            actual,
        };
        let Some(commit) = block.body.commit.clone() else {
            return Err(diverged("commit", "none".to_owned(), "one".to_owned()));
        };
        if block.header.parent != self.head.1 {
            return Err(diverged(
                "parent",
                block.header.parent.to_string(),
                self.head.1.to_string(),
            ));
        }
        if (commit.index.saturating_sub(1), commit.previous) != self.last_commit {
            return Err(ChainError::CommitFork {
                era: commit.era.0,
                index: commit.index,
                expected: self.last_commit.1,
                actual: commit.previous,
            });
        }
        let transactions = block
            .body
            .transactions
            .iter()
            .map(|transaction| {
                VerifiedTransaction::trust(transaction.body.id(&self.id), transaction.clone())
            })
            .collect();
        let evidence = self.resolve_evidence(store, block.body.evidence.clone())?;
        let draft = Draft {
            commit_digest: commit.digest(&self.id),
            commit,
            transactions,
            supports: block.body.supports.clone(),
            evidence,
        };
        self.execute(store, draft, Some(&block.header))
    }

    /// Takes note of a verified certificate. A batch comes back if it certifies a block of this chain anew.
    pub fn certify<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        certificate: Certificate,
    ) -> Result<Option<ChainBatch>, ChainError> {
        let height = certificate.body.height;
        if height > self.head.0 {
            if self.early_certificates.len() < EARLY_CERTIFICATES_MAX {
                self.early_certificates.insert(height, certificate);
            }
            return Ok(None);
        }
        let ours = store.block_id_at(height)?;
        if ours != Some(certificate.body.block) {
            return Err(ChainError::Diverged {
                height,
                field: "block id",
                expected: certificate.body.block.to_string(),
                actual: ours.map_or_else(|| "nothing".to_owned(), |id| id.to_string()),
            });
        }
        if store.certificate(height)?.is_some() {
            return Ok(None);
        }
        self.certified = self.certified.max(height);
        Ok(Some(ChainBatch {
            certificates: vec![certificate],
            ..ChainBatch::default()
        }))
    }

    /// Rule C3: per authority, the highest attested height whose block is ours.
    fn supports<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        attestations: &[Attestation],
    ) -> Result<(Vec<Support>, Vec<Attestation>), ChainError> {
        let mut highest: BTreeMap<AuthorityIndex, Height> = BTreeMap::new();
        let mut contradictions = Vec::new();
        for attestation in attestations {
            let body = &attestation.body;
            if body.height <= self.era.anchor_height || body.height > self.head.0 {
                continue;
            }
            if store.block_id_at(body.height)? == Some(body.block) {
                let height = highest.entry(attestation.author).or_default();
                *height = (*height).max(body.height);
            } else {
                contradictions.push(*attestation);
            }
        }
        let supports = highest
            .into_iter()
            .map(|(authority, height)| Support { authority, height })
            .collect();
        Ok((supports, contradictions))
    }

    /// Rule C4: each offence once, only if it verifies against the committee of its era.
    fn valid_evidence<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        evidence: Vec<Evidence>,
    ) -> Result<Vec<(Evidence, AccountName)>, ChainError> {
        let mut seen = BTreeSet::new();
        let mut distinct = Vec::new();
        for item in evidence {
            let Some(context) = store.era(item.era())? else {
                continue;
            };
            let valid = item
                .verify(&self.id, &context.committee, self.scheme.as_ref())
                .is_ok();
            if valid && seen.insert(item.slot_key()) {
                distinct.push(item);
            }
        }
        self.resolve_evidence(store, distinct)
    }

    fn resolve_evidence<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        evidence: Vec<Evidence>,
    ) -> Result<Vec<(Evidence, AccountName)>, ChainError> {
        let mut resolved = Vec::with_capacity(evidence.len());
        for item in evidence {
            let context = store.era(item.era())?;
            let member = context
                .as_ref()
                .and_then(|context| context.committee.member(item.offender()));
            if let Some(member) = member {
                resolved.push((item, member.account));
            }
        }
        Ok(resolved)
    }

    fn execute<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        draft: Draft,
        expected: Option<&BlockHeader>,
    ) -> Result<Step, ChainError> {
        let height = self.head.0.next();
        let timestamp = draft.commit.timestamp.max(self.head_timestamp.next());
        let outcome = holdfast_ledger::execute_block(
            store,
            &self.parameters,
            &BlockInput {
                chain: self.id,
                height,
                era: self.era.era,
                timestamp,
                committee: &self.era.committee,
                transactions: &draft.transactions,
                supports: &draft.supports,
                evidence: &draft.evidence,
            },
        )?;
        let (applied, outcome_lib) = self.assemble(draft, outcome, timestamp);
        if let Some(expected) = expected {
            compare_headers(expected, &applied.block.header)?;
        }
        Ok(self.advance(applied, outcome_lib))
    }

    /// The block of an execution.
    fn assemble(
        &self,
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
            .map(holdfast_types::Receipt::hash)
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
            era_end: outcome.era_end,
        };
        let header = BlockHeader {
            height: self.head.0.next(),
            parent: self.head.1,
            era: self.era.era,
            timestamp,
            origin,
            transactions_root: merkle_root(transaction_ids.iter().map(TransactionId::as_bytes)),
            events_root: merkle_root(&receipt_hashes),
            system_root: body.system_root(),
            state_root: outcome.state_root,
            next_committee: body.era_end.as_ref().map(|end| end.committee.hash()),
        };
        let applied = AppliedBlock {
            id: header.id(&self.id),
            block: Block { header, body },
            transaction_ids,
            receipts: outcome.receipts,
            events: outcome.events,
            changes: outcome.changes,
            undo: outcome.undo,
        };
        (applied, outcome.lib)
    }

    /// Makes `applied` the head.
    fn advance(&mut self, applied: AppliedBlock, lib: Height) -> Step {
        let header = &applied.block.header;
        let height = header.height;
        let timestamp = header.timestamp;
        let commit = applied.block.body.commit.clone();
        let commit_digest = match header.origin {
            BlockOrigin::Dag { commit, .. } => commit,
            BlockOrigin::Genesis => CommitDigest::default(),
        };
        let attestation = AttestationBody {
            era: header.era,
            height,
            block: applied.id,
            commit: commit_digest,
            state_root: header.state_root,
        };
        let next_era = applied.block.body.era_end.as_ref().map(|end| {
            Arc::new(EraContext {
                era: header.era.next(),
                kind: end.next_kind,
                anchor: applied.id,
                anchor_height: height,
                anchor_timestamp: timestamp,
                committee: end.committee.clone(),
            })
        });
        self.head = (height, applied.id);
        self.head_timestamp = timestamp;
        self.last_commit = commit
            .as_ref()
            .map(|commit| (commit.index, commit_digest))
            .unwrap_or_default();
        if let Some(next) = &next_era {
            self.era = Arc::clone(next);
            self.last_commit = (0, CommitDigest::default());
        }
        let irreversible = (lib > self.irreversible).then_some(lib);
        self.irreversible = self.irreversible.max(lib);
        let certificates: Vec<_> = self
            .early_certificates
            .remove(&height)
            .filter(|certificate| certificate.body == attestation)
            .into_iter()
            .collect();
        if !certificates.is_empty() {
            self.certified = height;
        }
        let executed = ExecutedBlock {
            attestation,
            timestamp,
            commit,
            transactions: executed_transactions(&applied),
            lib: self.irreversible,
            next_era: next_era.clone(),
            contradictions: Vec::new(),
        };
        Step {
            batch: ChainBatch {
                apply: vec![applied],
                irreversible,
                prune_undo_below: self.undo_horizon(height, timestamp),
                certificates,
                start_era: next_era.map(|context| EraContext::clone(&context)),
                ..ChainBatch::default()
            },
            executed: vec![executed],
        }
    }

    /// Undo records are kept for an epoch and back to the last certified and irreversible block (DESIGN §13).
    fn undo_horizon(&mut self, height: Height, timestamp: TimestampMs) -> Option<Height> {
        if !height.0.is_multiple_of(MILESTONE_BLOCKS) {
            return None;
        }
        self.milestones.push_back((height, timestamp));
        let mut horizon = None;
        while let Some((old, at)) = self.milestones.front().copied() {
            let needed = timestamp.since(at) <= self.parameters.epoch_duration_ms
                || old > self.certified
                || old > self.irreversible;
            if needed {
                break;
            }
            horizon = Some(old);
            self.milestones.pop_front();
        }
        horizon
    }
}

/// What a commit or a certified block brings to execution.
struct Draft {
    commit: CommitRecord,
    commit_digest: CommitDigest,
    transactions: Vec<VerifiedTransaction>,
    supports: Vec<Support>,
    evidence: Vec<(Evidence, AccountName)>,
}

fn executed_transactions(applied: &AppliedBlock) -> Vec<ExecutedTransaction> {
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
                ReceiptStatus::Failed(_) => nonce_after(&applied.changes, &transaction.body.sender)
                    .is_some_and(|nonce| nonce > transaction.body.nonce),
            },
        })
        .collect()
}

/// Nonce of an account after a block, if the block changed the account. Whether a failed transaction used up its nonce is
/// the ledger's decision, so it is read off what the ledger did.
fn nonce_after(changes: &StateChanges, name: &AccountName) -> Option<u64> {
    let key = AccountKey(*name).bytes();
    let position = changes
        .values
        .binary_search_by(|(changed, _)| changed.cmp(&key))
        .ok()?;
    let value = changes.values.get(position)?.1.as_ref()?;
    Account::decode(value).ok().map(|account| account.nonce)
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
