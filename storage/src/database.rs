//! RocksDB behind typed families, with a latch: after the first failed write nothing is written any more.

use crate::column_family::ColumnFamily;
use crate::error::StorageError;
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::codec;
use rocksdb::{Cache, DB, DBPinnableSlice, Direction, IteratorMode, WriteBatch, WriteOptions};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How far a write has come when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// In the write-ahead log: survives the death of the process.
    Logged,
    /// On the device, with everything written before: survives the death of the machine.
    Synced,
}

/// The open database.
pub(crate) struct Database {
    db: DB,
    block_cache: Cache,
    failure: OnceLock<StorageError>,
    /// Length of the last batch: what the next one reserves.
    batch_bytes: AtomicUsize,
}

/// Key and value of a scanned row.
pub(crate) type Entry = (Box<[u8]>, Box<[u8]>);

impl Database {
    pub(crate) const fn new(db: DB, block_cache: Cache) -> Self {
        Self {
            db,
            block_cache,
            failure: OnceLock::new(),
            batch_bytes: AtomicUsize::new(0),
        }
    }

    pub(crate) const fn raw(&self) -> &DB {
        &self.db
    }

    pub(crate) fn block_cache_bytes(&self) -> usize {
        self.block_cache.get_usage()
    }

    pub(crate) fn family(&self, family: ColumnFamily) -> &rocksdb::ColumnFamily {
        self.db
            .cf_handle(family.name())
            .expect("every family was opened with the database")
    }

    /// The stored bytes under `key`.
    pub(crate) fn read(
        &self,
        family: ColumnFamily,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, StorageError> {
        self.db
            .get_pinned_cf(self.family(family), key)
            .map_err(|error| StorageError::of_database("reading", &error))
    }

    /// The stored bytes under many keys, in their order.
    pub(crate) fn read_many<'k>(
        &self,
        family: ColumnFamily,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
        self.db
            .batched_multi_get_cf(self.family(family), keys, false)
            .into_iter()
            .map(|value| {
                value
                    .map(|value| value.map(|bytes| bytes.to_vec()))
                    .map_err(|error| StorageError::of_database("reading", &error))
            })
            .collect()
    }

    /// The decoded row under `key`.
    pub(crate) fn row<T: BorshDeserialize>(
        &self,
        family: ColumnFamily,
        key: &[u8],
    ) -> Result<Option<T>, StorageError> {
        self.read(family, key)?
            .map(|bytes| decode(family, &bytes))
            .transpose()
    }

    /// Rows from `from` on, in the order of their keys or against it.
    pub(crate) fn scan(
        &self,
        family: ColumnFamily,
        from: &[u8],
        direction: Direction,
    ) -> impl Iterator<Item = Result<Entry, StorageError>> + '_ {
        self.db
            .iterator_cf(self.family(family), IteratorMode::From(from, direction))
            .map(|entry| entry.map_err(|error| StorageError::of_database("scanning", &error)))
    }

    /// All rows of a family.
    pub(crate) fn scan_all(
        &self,
        family: ColumnFamily,
    ) -> impl Iterator<Item = Result<Entry, StorageError>> + '_ {
        self.scan(family, &[], Direction::Forward)
    }

    /// A batch of a few rows.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            database: self,
            inner: WriteBatch::default(),
        }
    }

    /// A batch that is likely as large as the last one made here.
    pub(crate) fn large_batch(&self) -> Batch<'_> {
        let bytes = self.batch_bytes.load(Ordering::Relaxed);
        Batch {
            database: self,
            inner: WriteBatch::with_capacity_bytes(bytes),
        }
    }

    pub(crate) fn note_large_batch(&self, batch: &Batch<'_>) {
        let bytes = batch.inner.size_in_bytes();
        self.batch_bytes.store(bytes + bytes / 8, Ordering::Relaxed);
    }

    /// Writes all of `batch` or nothing. The first failure is kept: what was not written must not be built upon.
    pub(crate) fn write(
        &self,
        batch: Batch<'_>,
        durability: Durability,
    ) -> Result<(), StorageError> {
        self.check_alive()?;
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        self.db
            .write_opt(batch.inner, &options)
            .map_err(|error| self.fail(StorageError::of_database("writing a batch", &error)))
    }

    /// Syncs everything written so far.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.check_alive()?;
        self.db.flush_wal(true).map_err(|error| {
            self.fail(StorageError::of_database(
                "syncing the write-ahead log",
                &error,
            ))
        })
    }

    /// The first failure, if there was one.
    pub(crate) fn check_alive(&self) -> Result<(), StorageError> {
        self.failure
            .get()
            .map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Keeps `error` unless another one came first; gives back the one that is kept.
    pub(crate) fn fail(&self, error: StorageError) -> StorageError {
        let kept = self.failure.get_or_init(|| {
            tracing::error!(%error, "storage failed: nothing is written any more");
            error
        });
        kept.clone()
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Database")
            .field("path", &self.db.path())
            .field("failure", &self.failure.get())
            .finish()
    }
}

/// Decodes a row that this store wrote; a failure is damage.
pub(crate) fn decode<T: BorshDeserialize>(
    family: ColumnFamily,
    bytes: &[u8],
) -> Result<T, StorageError> {
    codec::decode(family.name(), bytes, usize::MAX)
        .map_err(|error| StorageError::damaged("reading a row", error.to_string()))
}

/// A write batch across families.
pub(crate) struct Batch<'a> {
    database: &'a Database,
    inner: WriteBatch,
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, family: ColumnFamily, key: &[u8], value: &[u8]) {
        self.inner.put_cf(self.database.family(family), key, value);
    }

    pub(crate) fn put_row<T: BorshSerialize + ?Sized>(
        &mut self,
        family: ColumnFamily,
        key: &[u8],
        row: &T,
    ) {
        self.put(family, key, &codec::encode(row));
    }

    pub(crate) fn merge(&mut self, family: ColumnFamily, key: &[u8], operand: &[u8]) {
        self.inner
            .merge_cf(self.database.family(family), key, operand);
    }

    pub(crate) fn delete(&mut self, family: ColumnFamily, key: &[u8]) {
        self.inner.delete_cf(self.database.family(family), key);
    }

    /// Deletes the keys from `from` to before `to`.
    pub(crate) fn delete_range(&mut self, family: ColumnFamily, from: &[u8], to: &[u8]) {
        self.inner
            .delete_range_cf(self.database.family(family), from, to);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }
}
