//! Where the applied branch ends, and what the next block continues.

use super::assembly::BlockMaker;
use super::error::ChainError;
use super::step::{
    ExecutedBlock, emergency_after, executed_transactions, governance_after, live_time_after,
};
use crate::serve::uncertified_ends;
use crate::store::{AppliedBlock, ChainStore};
use holdfast_ledger::{EmergencyClock, emergency_clock};
use holdfast_types::{
    AttestationBody, Block, BlockHeader, BlockId, BlockOrigin, ChainId, CommitDigest, Era,
    EraContext, EraKind, Evidence, Height, Parameters, TimestampMs,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Undo records go in steps of so many blocks.
pub(super) const MILESTONE_BLOCKS: u64 = 64;

/// The head of a branch and what follows from it.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) head: (Height, BlockId),
    pub(super) head_timestamp: TimestampMs,
    /// The head comes of emergency consensus.
    pub(super) is_emergency_head: bool,
    /// The era of the next block.
    pub(super) era: Arc<EraContext>,
    /// Anchor of the era before: attestations of what lies above can be judged (rule C4).
    pub(super) judged_above: Height,
    /// Index and digest of the last commit of that era.
    pub(super) last_commit: (u64, CommitDigest),
    pub(super) irreversible: Height,
    pub(super) certified: Height,
    /// When emergency blocks can come.
    pub(super) emergency: EmergencyClock,
    /// Blocks that end an emergency, as far as they are above what is certified.
    ends: Vec<(Height, BlockId)>,
    /// Height and time of every 64th block: finds what is older than an epoch.
    milestones: VecDeque<(Height, TimestampMs)>,
}

/// Index and digest of the commit of an era that a block came of; (0, nothing) if it came of none, as before the first one.
pub(super) fn last_commit_of(block: &Block, era: Era, chain: &ChainId) -> (u64, CommitDigest) {
    let commit = block.body.commit.as_ref();
    commit
        .filter(|commit| commit.era == era)
        .map(|commit| (commit.index, commit.digest(chain)))
        .unwrap_or_default()
}

impl Position {
    /// The position of the branch that the store has applied.
    pub(super) fn read<S: ChainStore + ?Sized>(
        store: &S,
        chain: &ChainId,
        parameters: &Parameters,
    ) -> Result<Self, ChainError> {
        let head = store.head()?.ok_or(ChainError::NoGenesis)?;
        let block = store
            .block_at(head.0)?
            .ok_or_else(|| ChainError::incomplete(format!("its head block {}", head.0)))?;
        let era = store
            .latest_era()?
            .ok_or_else(|| ChainError::incomplete("the context of its era"))?;
        let before = store.era(era.era.previous())?;
        let judged_above = before.filter(|before| before.era < era.era);
        let judged_above = judged_above.map_or(Height::ZERO, |before| before.anchor_height);
        let last_commit = last_commit_of(&block, era.era, chain);
        let certified = store.certified_height()?;
        let ends = uncertified_ends(store, era.clone(), certified)?;
        Ok(Self {
            head,
            head_timestamp: block.header.timestamp,
            is_emergency_head: is_emergency(&block.header),
            era: Arc::new(era),
            judged_above,
            last_commit,
            irreversible: store.irreversible_height()?,
            certified,
            emergency: emergency_clock(store, parameters)?,
            ends,
            milestones: VecDeque::new(),
        })
    }

    /// The position of a view of the same chain in which blocks are taken back. What was irreversible stays so.
    pub(super) fn back_on<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        maker: &BlockMaker,
    ) -> Result<Self, ChainError> {
        let mut position = Self::read(store, &maker.chain, &maker.parameters)?;
        position.irreversible = self.irreversible;
        position.milestones.clone_from(&self.milestones);
        let milestones = &mut position.milestones;
        milestones.retain(|(height, _)| *height <= position.head.0);
        Ok(position)
    }

    /// Makes `applied` the head. Also says below which height undo records may go.
    pub(super) fn advance(
        &mut self,
        applied: &AppliedBlock,
        lib: Height,
        parameters: &Parameters,
    ) -> (ExecutedBlock, Option<Height>) {
        let header = &applied.block.header;
        let commit = applied.block.body.commit.clone();
        let attestation = AttestationBody::of_block(applied.id, header);
        let next_era = era_after(&applied.id, &applied.block).map(Arc::new);
        self.head = (header.height, applied.id);
        self.head_timestamp = header.timestamp;
        self.is_emergency_head = is_emergency(header);
        self.last_commit = commit
            .as_ref()
            .map(|commit| (commit.index, attestation.commit))
            .unwrap_or_default();
        if let Some(next) = &next_era {
            if self.era.kind == EraKind::Emergency && next.kind == EraKind::Dag {
                let certified = self.certified;
                self.ends.retain(|(height, _)| *height > certified);
                self.ends.push(self.head);
            }
            self.judged_above = self.era.anchor_height;
            self.era = Arc::clone(next);
            self.last_commit = (0, CommitDigest::default());
        }
        self.irreversible = self.irreversible.max(lib);
        self.emergency = emergency_after(&applied.changes, self.emergency, parameters);
        let executed = ExecutedBlock {
            attestation,
            timestamp: header.timestamp,
            commit,
            transactions: executed_transactions(applied),
            lib: self.irreversible,
            live_time: live_time_after(&applied.changes),
            governance_sequence: governance_after(&applied.changes),
            evidence: applied
                .block
                .body
                .evidence
                .iter()
                .map(Evidence::slot_key)
                .collect(),
            open_ends: self.open_ends(),
            next_era,
            emergency: self.emergency,
            contradictions: Vec::new(),
        };
        (executed, self.undo_horizon(parameters))
    }

    /// The blocks of this branch that end an emergency and that no certificate covers.
    pub(super) fn open_ends(&self) -> Vec<BlockId> {
        let open = self.ends.iter();
        let open = open.filter(|(height, _)| *height > self.certified);
        open.map(|(_, id)| *id).collect()
    }

    /// Undo records are kept for an epoch and back to the last certified and irreversible block (DESIGN §13). As long as one
    /// is kept, so is its block: those of the last two eras are, because every node has to judge attestations of them.
    fn undo_horizon(&mut self, parameters: &Parameters) -> Option<Height> {
        let (height, timestamp) = (self.head.0, self.head_timestamp);
        if !height.0.is_multiple_of(MILESTONE_BLOCKS) {
            return None;
        }
        self.milestones.push_back((height, timestamp));
        if self.era.anchor_height > self.irreversible {
            // The end of an era may be taken back, and then the eras to be judged are older.
            return None;
        }
        let mut horizon = None;
        while let Some((old, at)) = self.milestones.front().copied() {
            let needed = timestamp.since(at) <= parameters.epoch_duration_ms
                || old > self.certified
                || old > self.irreversible
                || old > self.judged_above;
            if needed {
                break;
            }
            horizon = Some(old);
            self.milestones.pop_front();
        }
        horizon
    }
}

const fn is_emergency(header: &BlockHeader) -> bool {
    matches!(header.origin, BlockOrigin::Emergency { .. })
}

/// The era that begins on this block, if it ends one.
pub(crate) fn era_after(id: &BlockId, block: &Block) -> Option<EraContext> {
    let header = &block.header;
    let end = block.body.era_end.as_ref()?;
    Some(EraContext {
        era: header.era.next(),
        kind: end.next_kind,
        anchor: *id,
        anchor_height: header.height,
        anchor_timestamp: header.timestamp,
        committee: end.committee.clone(),
    })
}
