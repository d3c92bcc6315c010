//! The chain as a state machine: commits, blocks of peers and certificates in; batches for the store out.
//!
//! Every input goes the same way: what is new enters the fork database, and if the best branch is not the applied one, or
//! goes on above it, the way there is executed on a view of the store and handed out as one step.

mod assembly;
mod certificates;
mod emergency;
mod error;
mod judging;
mod offered;
mod ordering;
mod position;
mod ranges;
mod resume;
mod step;
mod switching;
mod unwinding;

#[cfg(any(test, feature = "test-utils"))]
pub mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub(crate) use assembly::events_root;
pub use emergency::{EmergencyProposal, Producers, ProductionTurn};
pub use error::{ChainError, OfferRefusal, ProductionRefusal, ResumeRefusal};
pub(crate) use position::era_after;
pub use step::{ExecutedBlock, ExecutedTransaction, RejectedBranch, Step};

use crate::forks::{ForkConfig, ForkDatabase, ForkEntry, Inserted, TieBreak};
use crate::store::{AppliedBlock, ChainBatch, ChainStore};
use assembly::BlockMaker;
use certificates::Awaiting;
use holdfast_ledger::{EmergencyClock, StateChanges, UndoRecord};
use holdfast_types::{
    Block, BlockId, ChainId, Era, EraContext, Height, Parameters, SignatureScheme, TimestampMs,
};
use position::Position;
use std::sync::Arc;
use unwinding::{CommittedUpTo, Outranking};

/// Most blocks without their parent, and most certificates of blocks that are not here: as many as come while the blocks
/// between are fetched.
pub const UNLINKED_MAX: usize = 256;
/// How far above the head a block without its parent may be: twice what a peer sends at once.
pub const UNLINKED_GAP_MAX: u64 = 1024;

/// The applied branch at its head, and the branches beside it.
#[derive(Clone, Debug)]
pub struct Chain {
    maker: BlockMaker,
    position: Position,
    forks: ForkDatabase,
    awaiting: Awaiting,
    /// Because of what blocks of an emergency are being taken back (rule C16).
    outranking: Option<Outranking>,
    /// How far the own DAG has committed since this process began (rule C16).
    committed: Option<CommittedUpTo>,
    /// The era in which the members have frozen the chain, as this process has heard (rule U11).
    locked: Option<Era>,
    /// The end of an emergency for which this validator has voted.
    held: Option<BlockId>,
    /// Blocks that the store keeps for a fork database that has no place for them.
    leftovers: Vec<(Height, BlockId)>,
}

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
        start_eras: vec![era],
        ..ChainBatch::default()
    }
}

impl Chain {
    /// The chain as the store has it. Whether its head is the best block is for [`Chain::choose`] to say.
    pub fn open<S: ChainStore + ?Sized>(
        store: &S,
        id: ChainId,
        parameters: Arc<Parameters>,
        scheme: Arc<dyn SignatureScheme>,
    ) -> Result<Self, ChainError> {
        let position = Position::read(store, &id, &parameters)?;
        let config = ForkConfig {
            blocks_max: usize::try_from(parameters.fork_db_max).unwrap_or(usize::MAX),
            unlinked_max: UNLINKED_MAX,
            unlinked_gap_max: UNLINKED_GAP_MAX,
        };
        let root = position.irreversible;
        let root = store
            .block_id_at(root)?
            .zip(store.block_at(root)?)
            .ok_or_else(|| ChainError::incomplete(format!("its irreversible block {root}")))?;
        let root = ForkEntry::of(root.0, &root.1.header);
        let mut chain = Self {
            forks: ForkDatabase::new(root, config, tie_break_of(&position)),
            position,
            maker: BlockMaker {
                chain: id,
                parameters,
                scheme,
            },
            awaiting: Awaiting::new(UNLINKED_MAX),
            outranking: None,
            committed: None,
            locked: None,
            held: None,
            leftovers: Vec::new(),
        };
        chain.plant(store)?;
        Ok(chain)
    }

    /// Fills the fork database from the store.
    fn plant<S: ChainStore + ?Sized>(&mut self, store: &S) -> Result<(), ChainError> {
        let mut entries: Vec<ForkEntry> = store
            .fork_blocks()?
            .iter()
            .map(|(id, block)| ForkEntry::of(*id, &block.header))
            .collect();
        entries.sort_unstable_by_key(|entry| (entry.height, entry.id));
        for entry in entries {
            if !matches!(self.forks.insert(entry), Inserted::Linked { .. }) {
                self.leftovers.push((entry.height, entry.id));
            }
        }
        for certificate in store.certificates_above(self.forks.root().0)? {
            let body = &certificate.body;
            // A block that is not here is awaited with its certificate.
            self.forks.certify(body.height, body.block);
        }
        let head = self.position.head;
        if !self.forks.contains(&head.1) {
            return Err(ChainError::incomplete(format!(
                "a branch from the last irreversible block to the head {}",
                head.0
            )));
        }
        self.forks.set_head(head.1)?;
        Ok(())
    }

    #[must_use]
    pub const fn head(&self) -> (Height, BlockId) {
        self.position.head
    }

    #[must_use]
    pub const fn head_timestamp(&self) -> TimestampMs {
        self.position.head_timestamp
    }

    /// When emergency blocks can follow the head.
    #[must_use]
    pub const fn emergency_clock(&self) -> EmergencyClock {
        self.position.emergency
    }

    /// The era of the next block.
    #[must_use]
    pub const fn era(&self) -> &Arc<EraContext> {
        &self.position.era
    }

    /// Whether the head stands on emergency blocks that nobody has certified (rule C16).
    pub fn is_provisional<S: ChainStore + ?Sized>(&self, store: &S) -> Result<bool, ChainError> {
        Ok(self.provisional_from(store)?.is_some())
    }

    #[must_use]
    pub const fn certified(&self) -> Height {
        self.position.certified
    }

    /// The blocks of the applied branch that end an emergency and that no certificate covers.
    #[must_use]
    pub fn open_ends(&self) -> Vec<BlockId> {
        self.position.open_ends()
    }

    #[must_use]
    pub const fn irreversible(&self) -> Height {
        self.position.irreversible
    }

    /// The reversible blocks of all branches.
    #[must_use]
    pub const fn forks(&self) -> &ForkDatabase {
        &self.forks
    }
}

/// Rule K4: the rivals of an emergency block are emergency blocks, also of the last one, after which the DAG runs.
const fn tie_break_of(position: &Position) -> TieBreak {
    if position.is_emergency_head {
        TieBreak::LowerId
    } else {
        TieBreak::KeepHead
    }
}
