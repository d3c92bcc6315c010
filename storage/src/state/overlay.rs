//! What the state column families do not hold yet, and a cache of what they do.

use super::cache::Cache;
use crate::column_family::ColumnFamily;
use crate::database::{Batch, Database};
use crate::error::StorageError;
use holdfast_ledger::{StateChanges, StateError, StateStore};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an overlay entry costs besides its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// Keys with what they hold; none: nothing.
type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The state above its column families: values, and the pages of the tree over them.
#[derive(Debug)]
pub(crate) struct Overlay {
    values: Layer,
    nodes: Layer,
}

impl Overlay {
    /// An empty overlay whose caches hold `cache_bytes` together.
    pub(crate) fn new(cache_bytes: usize) -> Self {
        Self {
            values: Layer::new(ColumnFamily::State, cache_bytes / 2),
            nodes: Layer::new(ColumnFamily::StateTree, cache_bytes / 2),
        }
    }

    /// Upper estimate of the bytes that the next flush writes.
    pub(crate) const fn dirty_bytes(&self) -> usize {
        self.values.dirty_bytes + self.nodes.dirty_bytes
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        lock(&self.values.cache).bytes() + lock(&self.nodes.cache).bytes()
    }

    /// The state, for reading.
    pub(crate) const fn state<'a>(&'a self, database: &'a Database) -> State<'a> {
        State {
            overlay: self,
            database,
        }
    }

    /// Takes the changes of a block.
    pub(crate) fn apply(&mut self, changes: StateChanges) {
        self.values.change(changes.values);
        self.nodes.change(changes.tree_nodes);
    }

    /// Writes everything dirty to its column family. The batch must be written, or the store is lost.
    pub(crate) fn flush(&mut self, batch: &mut Batch<'_>) {
        self.values.flush(batch);
        self.nodes.flush(batch);
    }
}

/// The state as execution reads it.
#[derive(Clone, Copy)]
pub(crate) struct State<'a> {
    overlay: &'a Overlay,
    database: &'a Database,
}

impl StateStore for State<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.overlay.values.get(self.database, key)?)
    }

    fn values(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        Ok(self.overlay.values.get_many(self.database, keys)?)
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.overlay.nodes.get(self.database, key)?)
    }
}

/// One column family with what it does not hold yet.
///
/// Lookups go to the dirty entries, then to the cache, then to the column family. A cache entry may be outdated only
/// while a dirty entry of its key lies above it; flushing replaces it.
#[derive(Debug)]
struct Layer {
    family: ColumnFamily,
    dirty: HashMap<Vec<u8>, Option<Vec<u8>>>,
    dirty_bytes: usize,
    cache: Mutex<Cache<Option<Vec<u8>>>>,
}

impl Layer {
    fn new(family: ColumnFamily, cache_bytes: usize) -> Self {
        Self {
            family,
            dirty: HashMap::new(),
            dirty_bytes: 0,
            cache: Mutex::new(Cache::new(cache_bytes)),
        }
    }

    fn get(&self, database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(value) = self.dirty.get(key) {
            return Ok(value.clone());
        }
        let mut cache = lock(&self.cache);
        if let Some(value) = cache.get(key) {
            return Ok(value.clone());
        }
        let value = database.read(self.family, key)?.map(|bytes| bytes.to_vec());
        cache.insert(key.to_vec(), value.clone());
        Ok(value)
    }

    /// Values of many keys; those that are not in memory are read at once.
    fn get_many(
        &self,
        database: &Database,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
        let mut cache = lock(&self.cache);
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(keys.len());
        for (position, key) in keys.iter().enumerate() {
            let value = match self.dirty.get(key) {
                Some(value) => Some(value),
                None => cache.get(key),
            };
            if value.is_none() {
                missing.push(position);
            }
            found.push(value.cloned().flatten());
        }
        let missing_keys = missing.iter().map(|&position| keys[position].as_slice());
        let read = database.read_many(self.family, missing_keys)?;
        for (position, value) in missing.into_iter().zip(read) {
            cache.insert(keys[position].clone(), value.clone());
            found[position] = value;
        }
        Ok(found)
    }

    fn change(&mut self, changes: Changes) {
        for (key, value) in changes {
            let key_bytes = key.len();
            self.dirty_bytes +=
                key_bytes + value.as_ref().map_or(0, Vec::len) + ENTRY_OVERHEAD_BYTES;
            if let Some(before) = self.dirty.insert(key, value) {
                let before_bytes = before.map_or(0, |before| before.len());
                self.dirty_bytes -= key_bytes + before_bytes + ENTRY_OVERHEAD_BYTES;
            }
        }
    }

    fn flush(&mut self, batch: &mut Batch<'_>) {
        let cache = self.cache.get_mut();
        let cache = cache.unwrap_or_else(PoisonError::into_inner);
        let mut entries: Changes = self.dirty.drain().collect();
        // In the order of the keys: the database inserts neighbours much faster than scattered keys.
        entries.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        for (key, value) in entries {
            match &value {
                Some(value) => batch.put(self.family, &key, value),
                None => batch.delete(self.family, &key),
            }
            cache.insert(key, value);
        }
        self.dirty_bytes = 0;
    }
}

/// A cache is usable whatever the thread that held it was doing: each of its operations leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
