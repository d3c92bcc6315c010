//! The state in memory, for tests and simulations.

use crate::state::{StateChanges, StateError, StateStore, UndoRecord};
use std::collections::BTreeMap;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A [`StateStore`] in memory. Equal states compare equal, tree included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    values: Map,
    tree_nodes: Map,
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
        write(&mut self.values, &changes.values);
        write(&mut self.tree_nodes, &changes.tree_nodes);
    }

    /// Takes the last applied block back.
    pub fn undo(&mut self, undo: &UndoRecord) -> Result<(), StateError> {
        let changes = undo.clone().changes(self)?;
        self.apply(&changes);
        Ok(())
    }

    /// All keys and values, in order.
    pub fn values_sorted(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.values.iter()
    }

    /// All pages of the tree, in the order of their keys.
    pub fn tree_nodes_sorted(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.tree_nodes.iter()
    }
}

fn write(map: &mut Map, changes: &[(Vec<u8>, Option<Vec<u8>>)]) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
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
