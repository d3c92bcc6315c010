//! What a node keeps on disk: one RocksDB for chain, state, vertices and mempool, and the sign guard beside the key.
//!
//! * [`Storage`] opens the database and implements `ChainStore` and `StateStore`; [`Storage::apply`] writes one step
//!   of the chain in one atomic batch, [`Storage::commit_records`] makes what consensus wants durable.
//! * [`SignGuardFile`] is the small synced file that remembers what the key has signed.
//! * [`RecordWriter`] puts the two in the only right order: guard, records, sync; then the caller may send.

mod error;
mod guard;
mod options;
mod storage;
mod writer;

pub use error::{OpenError, StorageError};
pub use guard::{GuardError, SignGuardFile};
pub use options::{CreateMode, StorageOptions, WalDamage};
pub use storage::{
    CheckReport, ColumnFamilyMetrics, DiskSpace, ReadView, ReceiptLookup, Storage, StorageMetrics,
};
pub use writer::RecordWriter;
