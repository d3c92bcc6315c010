//! The state in memory, for tests and simulations.

use crate::block::BlockOutcome;
use crate::state::{StateChanges, StateError, StateStore, UndoRecord};
use std::collections::{BTreeMap, BTreeSet};

/// A [`StateStore`] in memory. Equal states compare equal, tree included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    tree_nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    stale: BTreeSet<Vec<u8>>,
}

impl MemoryState {
    /// The state after genesis.
    #[must_use]
    pub fn from_genesis(changes: &StateChanges) -> Self {
        let mut state = Self::default();
        state.apply(changes);
        state
    }

    /// Writes what a block changes.
    pub fn apply(&mut self, changes: &StateChanges) {
        for (key, value) in &changes.values {
            match value {
                Some(value) => self.values.insert(key.clone(), value.clone()),
                None => self.values.remove(key),
            };
        }
        self.tree_nodes.extend(changes.tree_nodes.iter().cloned());
        self.stale.extend(changes.stale_tree_nodes.iter().cloned());
    }

    /// Takes the last applied block back.
    pub fn undo(&mut self, undo: &UndoRecord) {
        for (key, value) in &undo.values {
            match value {
                Some(value) => self.values.insert(key.clone(), value.clone()),
                None => self.values.remove(key),
            };
        }
        for key in &undo.tree_nodes {
            self.tree_nodes.remove(key);
        }
        for key in &undo.stale_tree_nodes {
            self.stale.remove(key);
        }
    }

    /// Writes what a block changes, for good: stale nodes go at once.
    pub fn apply_and_prune(&mut self, outcome: &BlockOutcome) {
        self.apply(&outcome.changes);
        self.prune();
    }

    /// Forgets stale nodes: no block that was applied before can be taken back any more.
    pub fn prune(&mut self) {
        for key in std::mem::take(&mut self.stale) {
            self.tree_nodes.remove(&key);
        }
    }

    /// All keys and values, in order.
    pub fn values_sorted(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.values.iter()
    }

    /// Number of tree nodes kept, stale ones included.
    #[must_use]
    pub fn tree_node_count(&self) -> usize {
        self.tree_nodes.len()
    }
}

impl StateStore for MemoryState {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.values.get(key).cloned())
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.tree_nodes.get(key).cloned())
    }
}
