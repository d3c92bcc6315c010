//! What the state column families do not hold yet, and a cache of what they do.

use super::cache::Cache;
use crate::column_family::ColumnFamily;
use crate::database::{Batch, Database};
use crate::error::StorageError;
use holdfast_ledger::StateChanges;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, OccupiedEntry, VacantEntry};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an overlay entry costs besides its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// A tree node that differs from its column family.
#[derive(Debug)]
struct DirtyNode {
    /// None: the node is gone.
    content: Option<Vec<u8>>,
    /// The column family may hold the key, so that going means deleting it there.
    stored: bool,
}

/// The state above its column families.
///
/// Lookups go to the dirty entries, then to the cache, then to the column family. A cache entry may be outdated only
/// while a dirty entry of its key lies above it; flushing replaces it.
#[derive(Debug)]
pub(crate) struct Overlay {
    values: HashMap<Vec<u8>, Option<Vec<u8>>>,
    nodes: HashMap<Vec<u8>, DirtyNode>,
    dirty_bytes: usize,
    cached_values: Mutex<Cache<Option<Vec<u8>>>>,
    cached_nodes: Mutex<Cache<Vec<u8>>>,
}

impl Overlay {
    /// An empty overlay whose caches hold `cache_bytes` together.
    pub(crate) fn new(cache_bytes: usize) -> Self {
        Self {
            values: HashMap::new(),
            nodes: HashMap::new(),
            dirty_bytes: 0,
            cached_values: Mutex::new(Cache::new(cache_bytes / 2)),
            cached_nodes: Mutex::new(Cache::new(cache_bytes / 2)),
        }
    }

    /// Upper estimate of the bytes that the next flush writes.
    pub(crate) const fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        lock(&self.cached_values).bytes() + lock(&self.cached_nodes).bytes()
    }

    pub(crate) fn value(
        &self,
        database: &Database,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(value) = self.values.get(key) {
            return Ok(value.clone());
        }
        let mut cache = lock(&self.cached_values);
        if let Some(value) = cache.get(key) {
            return Ok(value.clone());
        }
        let value = database
            .read(ColumnFamily::State, key)?
            .map(|bytes| bytes.to_vec());
        cache.insert(key.to_vec(), value.clone());
        Ok(value)
    }

    /// Values of many keys; those that are not in memory are read at once.
    pub(crate) fn values(
        &self,
        database: &Database,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
        let mut cache = lock(&self.cached_values);
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(keys.len());
        for (position, key) in keys.iter().enumerate() {
            let value = match self.values.get(key) {
                Some(value) => Some(value),
                None => cache.get(key),
            };
            if value.is_none() {
                missing.push(position);
            }
            found.push(value.cloned().flatten());
        }
        let missing_keys = missing.iter().map(|&position| keys[position].as_slice());
        let read = database.read_many(ColumnFamily::State, missing_keys)?;
        for (position, value) in missing.into_iter().zip(read) {
            cache.insert(keys[position].clone(), value.clone());
            found[position] = value;
        }
        Ok(found)
    }

    /// A live tree node.
    pub(crate) fn node(
        &self,
        database: &Database,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(node) = self.nodes.get(key) {
            return Ok(node.content.clone());
        }
        let mut cache = lock(&self.cached_nodes);
        if let Some(content) = cache.get(key) {
            return Ok(Some(content.clone()));
        }
        let content = database
            .read(ColumnFamily::StateTree, key)?
            .map(|bytes| bytes.to_vec());
        if let Some(content) = &content {
            cache.insert(key.to_vec(), content.clone());
        }
        Ok(content)
    }

    /// Takes the changes of a block.
    pub(crate) fn apply(&mut self, changes: StateChanges) {
        for key in changes.stale_tree_nodes {
            self.remove_node(key);
        }
        self.insert(changes.values, changes.tree_nodes);
    }

    /// Takes values and new nodes of a block.
    pub(crate) fn insert(
        &mut self,
        values: Vec<(Vec<u8>, Option<Vec<u8>>)>,
        nodes: Vec<(Vec<u8>, Vec<u8>)>,
    ) {
        for (key, content) in nodes {
            self.insert_node(key, content);
        }
        for (key, value) in values {
            self.set_value(key, value);
        }
    }

    /// Removes a live node; gives back its content.
    pub(crate) fn take_node(
        &mut self,
        database: &Database,
        key: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let entry = match self.nodes.entry(key) {
            Entry::Occupied(entry) => return Ok(remove_dirty(entry, &mut self.dirty_bytes)),
            Entry::Vacant(entry) => entry,
        };
        let cached = self.cached_nodes.get_mut();
        let cached = cached.unwrap_or_else(PoisonError::into_inner);
        let content = match cached.remove(entry.key()) {
            Some(content) => Some(content),
            None => database
                .read(ColumnFamily::StateTree, entry.key())?
                .map(|bytes| bytes.to_vec()),
        };
        insert_gone(entry, &mut self.dirty_bytes);
        Ok(content)
    }

    pub(crate) fn set_value(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let key_bytes = key.len();
        self.dirty_bytes += key_bytes + value.as_ref().map_or(0, Vec::len) + ENTRY_OVERHEAD_BYTES;
        if let Some(before) = self.values.insert(key, value) {
            let before_bytes = before.map_or(0, |before| before.len());
            self.dirty_bytes -= key_bytes + before_bytes + ENTRY_OVERHEAD_BYTES;
        }
    }

    pub(crate) fn insert_node(&mut self, key: Vec<u8>, content: Vec<u8>) {
        self.dirty_bytes += content.len();
        match self.nodes.entry(key) {
            Entry::Occupied(mut entry) => {
                let before = entry.get_mut().content.replace(content);
                self.dirty_bytes -= before.map_or(0, |before| before.len());
            }
            Entry::Vacant(entry) => {
                self.dirty_bytes += entry.key().len() + ENTRY_OVERHEAD_BYTES;
                // Node keys name the block that made the node, so a key that is not dirty is new.
                entry.insert(DirtyNode {
                    content: Some(content),
                    stored: false,
                });
            }
        }
    }

    pub(crate) fn remove_node(&mut self, key: Vec<u8>) {
        match self.nodes.entry(key) {
            Entry::Occupied(entry) => {
                remove_dirty(entry, &mut self.dirty_bytes);
            }
            Entry::Vacant(entry) => insert_gone(entry, &mut self.dirty_bytes),
        }
    }

    /// Writes everything dirty to its column family. The batch must be written, or the store is lost.
    pub(crate) fn flush(&mut self, batch: &mut Batch<'_>) {
        let cached_values = self.cached_values.get_mut();
        let cached_values = cached_values.unwrap_or_else(PoisonError::into_inner);
        for (key, value) in sorted(self.values.drain()) {
            match &value {
                Some(value) => batch.put(ColumnFamily::State, &key, value),
                None => batch.delete(ColumnFamily::State, &key),
            }
            cached_values.insert(key, value);
        }
        let cached_nodes = self.cached_nodes.get_mut();
        let cached_nodes = cached_nodes.unwrap_or_else(PoisonError::into_inner);
        for (key, node) in sorted(self.nodes.drain()) {
            if let Some(content) = node.content {
                batch.put(ColumnFamily::StateTree, &key, &content);
                cached_nodes.insert(key, content);
            } else {
                batch.delete(ColumnFamily::StateTree, &key);
                cached_nodes.remove(&key);
            }
        }
        self.dirty_bytes = 0;
    }
}

/// Entries in the order of their keys: the database inserts neighbours much faster than scattered keys.
fn sorted<V>(entries: impl Iterator<Item = (Vec<u8>, V)>) -> Vec<(Vec<u8>, V)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    entries
}

/// Removes a dirty node; gives back its content.
fn remove_dirty(
    mut entry: OccupiedEntry<'_, Vec<u8>, DirtyNode>,
    dirty_bytes: &mut usize,
) -> Option<Vec<u8>> {
    let content = entry.get_mut().content.take();
    *dirty_bytes -= content.as_ref().map_or(0, Vec::len);
    if !entry.get().stored {
        let (key, _) = entry.remove_entry();
        *dirty_bytes -= key.len() + ENTRY_OVERHEAD_BYTES;
    }
    content
}

/// Notes that a node of the column family is gone.
fn insert_gone(entry: VacantEntry<'_, Vec<u8>, DirtyNode>, dirty_bytes: &mut usize) {
    *dirty_bytes += entry.key().len() + ENTRY_OVERHEAD_BYTES;
    entry.insert(DirtyNode {
        content: None,
        stored: true,
    });
}

/// A cache is usable whatever the thread that held it was doing: each of its operations leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
