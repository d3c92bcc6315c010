//! Stores in temporary directories.

use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_halt::{HaltState, JournalEntry};
use holdfast_ledger::{StateError, StateStore, UndoRecord};
use holdfast_replica::Record;
use holdfast_storage::{CreateMode, Storage, StorageOptions};
use holdfast_store_contract::{ContractStore, Harness};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{
    Block, BlockId, Certificate, CommitDigest, EndVotes, Era, EraContext, Evidence, Height,
    Receipt, Round, SignedVertexHeader, TransactionId, VerifiedTransaction, VerifiedVertex,
    VertexRef,
};
use std::ops::Range;
use std::path::Path;
use tempfile::TempDir;

/// Opens or creates the store of the test chain.
pub fn open(path: &Path) -> Storage {
    Storage::open(path, options(), CHAIN).unwrap()
}

/// Small caches, so that tests see what happens when they are full.
pub fn options() -> StorageOptions {
    StorageOptions {
        create: CreateMode::IfMissing,
        cache_bytes: 64 << 10,
        ..StorageOptions::default()
    }
}

/// Asserts that the store is sound.
pub fn assert_sound(storage: &Storage) {
    let report = storage.check().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

pub struct RocksHarness;

/// A store that owns its directory.
pub struct TestStore {
    storage: Storage,
    directory: TempDir,
    options: StorageOptions,
}

impl Harness for RocksHarness {
    type Store = TestStore;

    fn create(&self, prune_blocks: Option<u64>) -> TestStore {
        let directory = tempfile::tempdir().unwrap();
        let options = StorageOptions {
            prune_blocks,
            ..options()
        };
        TestStore {
            storage: Storage::open(directory.path(), options, CHAIN).unwrap(),
            directory,
            options,
        }
    }

    fn restart(&self, store: TestStore) -> TestStore {
        assert_sound(&store.storage);
        let TestStore {
            storage,
            directory,
            options,
        } = store;
        drop(storage);
        TestStore {
            storage: Storage::open(directory.path(), options, CHAIN).unwrap(),
            directory,
            options,
        }
    }
}

impl ContractStore for TestStore {
    fn apply(&mut self, batch: ChainBatch) -> Result<(), String> {
        self.storage.apply(batch).map_err(|error| error.to_string())
    }

    fn commit_records(&mut self, records: &[Record]) -> Result<(), String> {
        self.storage
            .commit_records(records)
            .map_err(|error| error.to_string())
    }

    fn vertex_references(&self, era: Era, rounds: Range<Round>) -> Vec<VertexRef> {
        self.storage.vertex_references(era, rounds).unwrap()
    }

    fn vertices_above(&self, era: Era, round: Round) -> Vec<VerifiedVertex> {
        self.storage.vertices_above(era, round).unwrap()
    }

    fn vertex(&self, era: Era, reference: &VertexRef) -> Option<VerifiedVertex> {
        self.storage.vertex(era, reference).unwrap()
    }

    fn last_own_vertex(&self, era: Era) -> Option<VerifiedVertex> {
        self.storage.last_own_vertex(era).unwrap()
    }

    fn last_own_header(&self, era: Era) -> Option<SignedVertexHeader> {
        self.storage.last_own_header(era).unwrap()
    }

    fn mempool(&self) -> Vec<VerifiedTransaction> {
        self.storage.mempool().unwrap()
    }

    fn halt_state(&self) -> HaltState {
        self.storage.halt_state().unwrap()
    }

    fn halt_journal(&self, first: u64, limit: usize) -> Vec<JournalEntry> {
        self.storage.halt_journal(first, limit).unwrap()
    }

    fn evidence(&self) -> Vec<Evidence> {
        self.storage.evidence().unwrap()
    }
}

impl StateStore for TestStore {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.storage.value(key)
    }

    fn values(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        self.storage.values(keys)
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.storage.tree_node(key)
    }
}

macro_rules! delegate {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $method(&self, $($argument: $type),*) -> Result<$result, StateError> {
            self.storage.$method($($argument),*)
        })*
    };
}

impl ChainStore for TestStore {
    delegate! {
        head() -> Option<(Height, BlockId)>;
        irreversible_height() -> Height;
        certified_height() -> Height;
        block_at(height: Height) -> Option<Block>;
        block_id_at(height: Height) -> Option<BlockId>;
        block(id: &BlockId) -> Option<Block>;
        fork_blocks() -> Vec<(BlockId, Block)>;
        undo(height: Height) -> Option<UndoRecord>;
        certificate(height: Height) -> Option<Certificate>;
        certificate_at_or_above(height: Height) -> Option<Certificate>;
        certificates_above(height: Height) -> Vec<Certificate>;
        end_votes() -> Option<EndVotes>;
        era(era: Era) -> Option<EraContext>;
        latest_era() -> Option<EraContext>;
        commit_digest_at(height: Height) -> Option<CommitDigest>;
        transaction_place(id: &TransactionId) -> Option<(Height, u32)>;
        receipts_at(height: Height) -> Option<Vec<Receipt>>;
    }
}
