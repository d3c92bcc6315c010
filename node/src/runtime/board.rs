//! Where the node stands, for everybody who asks: written by the threads that know, read without waiting for them.

use super::halted::HaltPicture;
use super::risk::RiskPicture;
use holdfast_chain::serve::branch_rank;
use holdfast_chain::{Chain, ChainStore};
use holdfast_ledger::StateError;
use holdfast_replica::admission::context_of_era;
use holdfast_replica::{Now, Production, Replica};
use holdfast_storage::Storage;
use holdfast_types::wire::BranchRank;
use holdfast_types::{BlockId, Era, EraContext, Height, Round, TimestampMs};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

/// One consistent picture. Heights of different sources may be a block apart: the threads do not wait for each other.
#[derive(Clone, Debug)]
pub struct Standing {
    pub head: Height,
    pub head_id: BlockId,
    pub head_timestamp: TimestampMs,
    /// Last irreversible block.
    pub lib: Height,
    pub certified: Height,
    pub certified_id: BlockId,
    /// The head stands on emergency blocks that nobody has certified.
    pub is_provisional: bool,
    /// What counts of the own branch before its length.
    pub rank: BranchRank,
    /// An emergency block came that stands on none that is here.
    pub is_forked: bool,
    /// Reversible blocks of all branches.
    pub fork_blocks: usize,
    /// The era that runs, or ran last.
    pub context: Arc<EraContext>,
    pub between_eras: bool,
    pub round: Round,
    /// Vertices that 2f + 1 vertices name, in the last round where that can be known.
    pub certified_vertices: usize,
    /// Vertices that wait for missing ancestors.
    pub vertices_pending: usize,
    /// Authors with a vertex in the last complete round.
    pub active_committee: usize,
    /// When the last block was applied here; until there is one, when the process began.
    pub head_changed_at: Instant,
    /// Whether a block was applied since the process began.
    pub has_moved: bool,
    /// When LIB moved last.
    pub lib_changed_at: Instant,
    pub mempool_transactions: usize,
    pub mempool_bytes: usize,
    /// Certified height of the best peer, while this node catches up.
    pub sync_target: Option<Height>,
    /// How fast it does, in the last range.
    pub sync_blocks_per_second: f64,
    /// This clock minus the median of the committee's, when enough members have answered last.
    pub clock_skew_seconds: f64,
    /// Why this node does not sign, if it has a key and does not.
    pub signing_stopped: Option<String>,
    /// What this node does as a producer in an emergency.
    pub production: Production,
    /// Halts, and what is known of them.
    pub halts: Arc<HaltPicture>,
    /// What this node worries about.
    pub risk: Arc<RiskPicture>,
}

impl Standing {
    /// Where a node stands that has just read its store.
    pub fn first(
        storage: &Storage,
        chain: &Chain,
        replica: &Replica,
        now: Now,
    ) -> Result<Self, StateError> {
        let (head, head_id) = chain.head();
        let certified = chain.certified();
        let halts = HaltPicture::of(replica, now, None);
        Ok(Self {
            head,
            head_id,
            head_timestamp: chain.head_timestamp(),
            lib: chain.irreversible(),
            certified,
            certified_id: storage.block_id_at(certified)?.unwrap_or_default(),
            is_provisional: chain.is_provisional(storage).map_err(|error| StateError {
                reason: error.to_string(),
            })?,
            rank: branch_rank(storage)?,
            is_forked: false,
            fork_blocks: chain.forks().len(),
            context: Arc::clone(chain.era()),
            between_eras: true,
            round: Round::ZERO,
            certified_vertices: 0,
            vertices_pending: 0,
            active_committee: 0,
            head_changed_at: Instant::now(),
            has_moved: false,
            lib_changed_at: Instant::now(),
            mempool_transactions: 0,
            mempool_bytes: 0,
            sync_target: None,
            sync_blocks_per_second: 0.0,
            clock_skew_seconds: 0.0,
            signing_stopped: None,
            production: replica.production().clone(),
            halts: Arc::new(halts),
            risk: Arc::new(RiskPicture::first()),
        })
    }
}

/// The era with this number as its statements are verified, if it is known here; mostly it is the one that runs.
#[must_use]
pub fn era_of(running: &Arc<EraContext>, storage: &Storage, era: Era) -> Option<Arc<EraContext>> {
    // A store that does not read stops the node elsewhere.
    context_of_era(storage, running, era).ok().flatten()
}

/// Shared, cheap to clone.
#[derive(Clone, Debug)]
pub struct Board {
    standing: Arc<RwLock<Standing>>,
}

impl Board {
    #[must_use]
    pub fn new(standing: Standing) -> Self {
        Self {
            standing: Arc::new(RwLock::new(standing)),
        }
    }

    /// A copy of the present picture.
    #[must_use]
    pub fn read(&self) -> Standing {
        self.standing
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The halts of the present picture.
    #[must_use]
    pub fn halts(&self) -> Arc<HaltPicture> {
        let standing = self.standing.read();
        Arc::clone(&standing.unwrap_or_else(PoisonError::into_inner).halts)
    }

    /// Changes the picture. `change` does no more than assign.
    pub fn update(&self, change: impl FnOnce(&mut Standing)) {
        change(
            &mut self
                .standing
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
