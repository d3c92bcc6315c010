//! Figures for operators, and copies of the store.

use crate::column_family::ColumnFamily;
use crate::error::StorageError;
use crate::storage::Storage;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties;
use std::path::Path;

/// Figures of one column family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFamilyMetrics {
    pub name: &'static str,
    /// Live table files in bytes.
    pub files_bytes: u64,
    /// Write buffers in bytes.
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
    /// Changed state in memory that is in the journal but not in its column families yet.
    pub unflushed_state_bytes: u64,
    /// Cached state values and tree nodes.
    pub state_cache_bytes: u64,
    /// Whether writes are delayed or stopped because compaction cannot follow.
    pub writes_stalled: bool,
}

/// Space of the file system that holds the store, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    pub available: u64,
    pub total: u64,
}

impl Storage {
    /// Figures for the metrics page.
    pub fn metrics(&self) -> Result<StorageMetrics, StorageError> {
        let mut families = Vec::with_capacity(ColumnFamily::ALL.len());
        let mut table_readers_bytes = 0;
        for family in ColumnFamily::ALL {
            families.push(ColumnFamilyMetrics {
                name: family.name(),
                files_bytes: self.figure(family, properties::LIVE_SST_FILES_SIZE)?,
                memtables_bytes: self.figure(family, properties::CUR_SIZE_ALL_MEM_TABLES)?,
                keys_estimate: self.figure(family, properties::ESTIMATE_NUM_KEYS)?,
                level0_files: self.figure(family, &properties::num_files_at_level(0))?,
                pending_compaction_bytes: self
                    .figure(family, properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
            });
            table_readers_bytes += self.figure(family, properties::ESTIMATE_TABLE_READERS_MEM)?;
        }
        let stopped = self.figure(ColumnFamily::Meta, properties::IS_WRITE_STOPPED)?;
        let delayed = self.figure(ColumnFamily::Meta, properties::ACTUAL_DELAYED_WRITE_RATE)?;
        let view = self.view();
        let overlay = &view.chain().overlay;
        Ok(StorageMetrics {
            families,
            block_cache_bytes: self.database.block_cache_bytes() as u64,
            table_readers_bytes,
            unflushed_state_bytes: overlay.dirty_bytes() as u64,
            state_cache_bytes: overlay.cache_bytes() as u64,
            writes_stalled: stopped > 0 || delayed > 0,
        })
    }

    fn figure(
        &self,
        family: ColumnFamily,
        property: &rocksdb::properties::PropName,
    ) -> Result<u64, StorageError> {
        let handle = self.database.family(family);
        let value = self.database.raw().property_int_value_cf(handle, property);
        value
            .map(|value| value.unwrap_or(0))
            .map_err(|error| StorageError::of_database("reading a figure", &error))
    }

    /// Space of the file system that holds the store.
    pub fn disk_space(&self) -> Result<DiskSpace, StorageError> {
        let statistics = fs4::statvfs(&self.path).map_err(|error| StorageError::Database {
            operation: "asking for free space",
            reason: error.to_string(),
        })?;
        Ok(DiskSpace {
            available: statistics.available_space(),
            total: statistics.total_space(),
        })
    }

    /// Writes a consistent copy of the store into the new directory `path`; files are linked where the file system
    /// allows it. The copy opens like the store itself.
    pub fn checkpoint(&self, path: &Path) -> Result<(), StorageError> {
        let failed = |error| StorageError::of_database("writing a checkpoint", &error);
        // No batch is half applied while the view is held.
        let _view = self.view();
        let checkpoint = Checkpoint::new(self.database.raw()).map_err(failed)?;
        checkpoint.create_checkpoint(path).map_err(failed)
    }
}
