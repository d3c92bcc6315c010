//! The open store.

use crate::error::{OpenError, StorageError};
use crate::options::StorageOptions;
use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_ledger::{StateError, StateStore, UndoRecord};
use holdfast_replica::Record;
use holdfast_types::{
    Block, BlockId, Certificate, ChainId, CommitDigest, Era, EraContext, Event, Height, Receipt,
    Round, SignedVertexHeader, TransactionId, VerifiedTransaction, VerifiedVertex, VertexRef,
};
use std::path::Path;

/// Where a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptLookup {
    pub height: Height,
    /// Position in the block.
    pub index: u32,
    pub receipt: Receipt,
}

/// Figures of one column family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFamilyMetrics {
    pub name: &'static str,
    /// Live table files in bytes.
    pub files_bytes: u64,
    pub memtables_bytes: u64,
    pub keys_estimate: u64,
    pub level0_files: u64,
    pub pending_compaction_bytes: u64,
}

/// Figures of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageMetrics {
    pub families: Vec<ColumnFamilyMetrics>,
    pub block_cache_bytes: u64,
    /// Memory that open table files take besides the block cache.
    pub table_readers_bytes: u64,
    /// State that is in the log but not in its own column families yet.
    pub unflushed_state_bytes: u64,
    pub state_cache_bytes: u64,
    /// Whether writes are delayed or stopped because compaction cannot follow.
    pub write_stalled: bool,
}

/// Space of the file system that holds the store, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    pub available: u64,
    pub total: u64,
}

/// What [`Storage::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub blocks_checked: u64,
    pub undo_records_checked: u64,
    pub certificates_checked: u64,
    pub transactions_checked: u64,
    pub state_values_checked: u64,
    pub tree_nodes_checked: u64,
    /// One sentence each; empty: the store is sound.
    pub problems: Vec<String>,
}

/// The store. Shared by reference: one thread applies, one commits records, any number read.
#[derive(Debug)]
pub struct Storage {}

/// A consistent view: head, state and indexes of one complete batch. Applying waits while a view is held, so hold it
/// for single answers only; and do not call [`Storage`] itself while holding one.
#[derive(Debug)]
pub struct ReadView<'a> {
    _storage: &'a Storage,
}

impl Storage {
    /// Opens the store of `chain` in the directory `path`, exclusively.
    pub fn open(
        _path: &Path,
        _options: StorageOptions,
        _chain: ChainId,
    ) -> Result<Self, OpenError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Applies one step of the chain: all of it or nothing. It is in the write-ahead log when this returns, so it
    /// survives the death of the process; the next sync makes it survive the death of the machine.
    pub fn apply(&self, _batch: ChainBatch) -> Result<(), StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Writes records in one batch; synced if one of them must be. Guard records belong to
    /// [`crate::RecordWriter`], which calls this, and are skipped here.
    pub fn commit_records(&self, _records: &[Record]) -> Result<(), StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Makes everything written so far survive the death of the machine.
    pub fn sync(&self) -> Result<(), StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// A consistent view for several reads.
    #[must_use]
    pub fn view(&self) -> ReadView<'_> {
        unimplemented!("bodies follow the signatures")
    }

    /// Stored vertices of `era` above `round`, in the order (round, author, digest).
    pub fn vertices_above(
        &self,
        _era: Era,
        _round: Round,
    ) -> Result<Vec<VerifiedVertex>, StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// One stored vertex.
    pub fn vertex(
        &self,
        _era: Era,
        _reference: &VertexRef,
    ) -> Result<Option<VerifiedVertex>, StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// The last vertex that this validator signed in `era`; none if there is none, or if it was pruned.
    pub fn last_own_vertex(&self, _era: Era) -> Result<Option<VerifiedVertex>, StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Signed header of the last own vertex in `era`; it outlives the pruning of the vertex.
    pub fn last_own_header(&self, _era: Era) -> Result<Option<SignedVertexHeader>, StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// The mempool in the order of arrival.
    pub fn mempool(&self) -> Result<Vec<VerifiedTransaction>, StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Figures for the metrics page.
    pub fn metrics(&self) -> Result<StorageMetrics, StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Space of the file system that holds the store.
    pub fn disk_space(&self) -> Result<DiskSpace, StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Writes a consistent copy of the store into the new directory `path`; files are linked where possible.
    pub fn checkpoint(&self, _path: &Path) -> Result<(), StorageError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Reads everything and says what does not fit together. Takes as long as the store is large.
    pub fn check(&self) -> Result<CheckReport, StorageError> {
        unimplemented!("bodies follow the signatures")
    }
}

impl ReadView<'_> {
    /// Receipt of a transaction: of its first inclusion on the applied branch.
    pub fn receipt(&self, _id: &TransactionId) -> Result<Option<ReceiptLookup>, StateError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Events of the block itself at `height`.
    pub fn block_events_at(&self, _height: Height) -> Result<Option<Vec<Event>>, StateError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Blocks of the applied branch from `from` on, with their ids: at most `count`, and no more once their encoded
    /// length together passes `bytes_max`.
    pub fn blocks_from(
        &self,
        _from: Height,
        _count: usize,
        _bytes_max: usize,
    ) -> Result<Vec<(BlockId, Block)>, StateError> {
        unimplemented!("bodies follow the signatures")
    }

    /// The lowest block that is still stored; above 0 in a pruned store.
    pub fn lowest_block(&self) -> Result<Height, StateError> {
        unimplemented!("bodies follow the signatures")
    }
}

macro_rules! chain_store_signatures {
    ($store:ty) => {
        impl StateStore for $store {
            fn value(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn tree_node(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
                unimplemented!("bodies follow the signatures")
            }
        }

        impl ChainStore for $store {
            fn head(&self) -> Result<Option<(Height, BlockId)>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn irreversible_height(&self) -> Result<Height, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn certified_height(&self) -> Result<Height, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn block_at(&self, _height: Height) -> Result<Option<Block>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn block_id_at(&self, _height: Height) -> Result<Option<BlockId>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn block(&self, _id: &BlockId) -> Result<Option<Block>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn fork_blocks(&self) -> Result<Vec<(BlockId, Block)>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn undo(&self, _height: Height) -> Result<Option<UndoRecord>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn certificate(&self, _height: Height) -> Result<Option<Certificate>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn certificate_at_or_above(
                &self,
                _height: Height,
            ) -> Result<Option<Certificate>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn era(&self, _era: Era) -> Result<Option<EraContext>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn latest_era(&self) -> Result<Option<EraContext>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn commit_digest_at(
                &self,
                _height: Height,
            ) -> Result<Option<CommitDigest>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn transaction_place(
                &self,
                _id: &TransactionId,
            ) -> Result<Option<(Height, u32)>, StateError> {
                unimplemented!("bodies follow the signatures")
            }

            fn receipts_at(&self, _height: Height) -> Result<Option<Vec<Receipt>>, StateError> {
                unimplemented!("bodies follow the signatures")
            }
        }
    };
}

chain_store_signatures!(Storage);
chain_store_signatures!(ReadView<'_>);
