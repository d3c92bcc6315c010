//! The open store.

use crate::apply;
use crate::chain_state::ChainState;
use crate::database::Database;
use crate::error::StorageError;
use crate::lock::DirectoryLock;
use crate::records::MempoolIndex;
use crate::view::ReadView;
use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_ledger::{StateError, StateStore, UndoRecord};
use holdfast_types::{
    Block, BlockId, Certificate, ChainId, CommitDigest, EndVotes, Era, EraContext, Height, Receipt,
    TransactionId,
};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};

/// The store. Shared by reference: one thread applies, one commits records, any number read. Field order is drop
/// order: the database closes before the directory is unlocked.
#[derive(Debug)]
pub struct Storage {
    pub(crate) chain_id: ChainId,
    pub(crate) path: PathBuf,
    pub(crate) prune_blocks: Option<u64>,
    pub(crate) chain: RwLock<ChainState>,
    pub(crate) mempool: Mutex<MempoolIndex>,
    pub(crate) pruned_vertices: Mutex<crate::records::PrunedVertices>,
    pub(crate) withheld: Mutex<crate::records::WithheldVertices>,
    pub(crate) database: Database,
    pub(crate) _lock: DirectoryLock,
}

impl Storage {
    /// Applies one step of the chain: all of it or nothing. It is in the write-ahead log when this returns, so it
    /// survives the death of the process; the next synced write makes it survive the death of the machine.
    ///
    /// Every error is fatal: the store is neither read nor written after it.
    pub fn apply(&self, batch: ChainBatch) -> Result<(), StorageError> {
        let mut chain = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        self.database.check_alive()?;
        // If the batch fails or panics half-way, this stays and nobody reads the half-changed state.
        chain.failure = Some(apply::wrong(String::from("an earlier batch did not end")));
        let queued = self.queue_rows(&batch.requeue);
        match apply::apply(
            &self.database,
            &mut chain,
            self.prune_blocks,
            batch,
            &queued,
        ) {
            Ok(()) => {
                chain.failure = None;
                Ok(())
            }
            Err(error) => {
                let error = self.database.fail(error);
                chain.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Makes everything written so far survive the death of the machine.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.database.sync()
    }

    /// The chain that the store is of.
    #[must_use]
    pub const fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// A consistent view for several reads.
    #[must_use]
    pub fn view(&self) -> ReadView<'_> {
        // A panic while applying leaves its failure mark, which every read checks.
        let chain = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        ReadView::new(&self.database, chain)
    }
}

/// Each call is a view of its own.
impl StateStore for Storage {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.view().value(key)
    }

    fn values(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        self.view().values(keys)
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.view().tree_node(key)
    }
}

/// Each call is a view of its own.
impl ChainStore for Storage {
    fn head(&self) -> Result<Option<(Height, BlockId)>, StateError> {
        self.view().head()
    }

    fn irreversible_height(&self) -> Result<Height, StateError> {
        self.view().irreversible_height()
    }

    fn certified_height(&self) -> Result<Height, StateError> {
        self.view().certified_height()
    }

    fn block_at(&self, height: Height) -> Result<Option<Block>, StateError> {
        self.view().block_at(height)
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, StateError> {
        self.view().block_id_at(height)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StateError> {
        self.view().block(id)
    }

    fn fork_blocks(&self) -> Result<Vec<(BlockId, Block)>, StateError> {
        self.view().fork_blocks()
    }

    fn undo(&self, height: Height) -> Result<Option<UndoRecord>, StateError> {
        self.view().undo(height)
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        self.view().certificate(height)
    }

    fn certificate_at_or_above(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        self.view().certificate_at_or_above(height)
    }

    fn certificates_above(&self, height: Height) -> Result<Vec<Certificate>, StateError> {
        self.view().certificates_above(height)
    }

    fn end_votes(&self) -> Result<Option<EndVotes>, StateError> {
        self.view().end_votes()
    }

    fn era(&self, era: Era) -> Result<Option<EraContext>, StateError> {
        self.view().era(era)
    }

    fn latest_era(&self) -> Result<Option<EraContext>, StateError> {
        self.view().latest_era()
    }

    fn commit_digest_at(&self, height: Height) -> Result<Option<CommitDigest>, StateError> {
        self.view().commit_digest_at(height)
    }

    fn transaction_place(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StateError> {
        self.view().transaction_place(id)
    }

    fn receipts_at(&self, height: Height) -> Result<Option<Vec<Receipt>>, StateError> {
        self.view().receipts_at(height)
    }
}
