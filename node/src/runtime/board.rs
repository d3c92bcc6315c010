//! Where the node stands, for everybody who asks: written by the threads that know, read without waiting for them.

use super::halted::HaltPicture;
use holdfast_types::{BlockId, EraContext, Height, Round, TimestampMs};
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
    /// Reversible blocks of all branches.
    pub fork_blocks: usize,
    /// The era that runs, or ran last.
    pub context: Arc<EraContext>,
    pub between_eras: bool,
    pub round: Round,
    /// Vertices that 2f + 1 vertices name, in the last round where that can be known.
    pub certified_vertices: usize,
    /// Authors with a vertex in the last complete round.
    pub active_committee: usize,
    /// When the last block was applied here.
    pub head_changed_at: Instant,
    /// When LIB moved last.
    pub lib_changed_at: Instant,
    pub mempool_transactions: usize,
    pub mempool_bytes: usize,
    /// Certified height of the best peer, while this node catches up.
    pub sync_target: Option<Height>,
    /// How fast it does, in the last range.
    pub sync_blocks_per_second: f64,
    /// When the core thread was seen at work last.
    pub core_seen_at: Instant,
    /// Why this node does not sign, if it has a key and does not.
    pub signing_stopped: Option<String>,
    /// Halts, and what is known of them.
    pub halts: Arc<HaltPicture>,
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
