//! What a node keeps on disk: one RocksDB for chain, state, vertices, mempool and halts, and the sign guard beside the key.
//!
//! * [`Storage`] opens the database and implements `ChainStore` and `StateStore`; [`Storage::apply`] writes one step
//!   of the chain in one atomic batch, [`Storage::commit_records`] makes what consensus wants durable.
//! * [`SignGuardFile`] is the small synced file that remembers what the key has signed.
//! * [`RecordWriter`] puts the two in the only right order: records, sync, guard; then the caller may send.
//!
//! Every error after opening is fatal, and the first failed write latches: nothing is written or read after it that
//! could make the node act on what is not stored.

mod apply;
mod chain_state;
mod check;
mod column_family;
mod copy;
mod database;
mod error;
mod guard;
mod halts;
mod keys;
mod lock;
mod metrics;
mod open;
mod options;
mod records;
mod rows;
mod snapshot;
mod state;
mod storage;
mod view;
mod wal;
mod writer;

#[cfg(test)]
mod conformance;

pub use check::CheckReport;
pub use error::{OpenError, StorageError};
pub use guard::{GuardError, SignGuardFile};
pub use metrics::{ColumnFamilyMetrics, DiskSpace, StorageMetrics};
pub use options::{CreateMode, StorageOptions, WalDamage};
pub use rows::FORMAT_VERSION;
pub use snapshot::{
    Exported, Imported, Manifest, SnapshotChain, SnapshotError, import_snapshot, read_manifest,
};
pub use storage::Storage;
pub use view::{ReadView, ReceiptLookup};
pub use writer::RecordWriter;
