//! The door between execution and whatever stores the state.
//!
//! The state is a map from byte keys to byte values, with a Merkle tree ([`crate::tree`]) beside it that follows from it.
//! Execution reads through [`StateStore`] and returns [`StateChanges`]; it never writes.

use borsh::{BorshDeserialize, BorshSerialize};

/// The store failed or contradicts itself. Fatal: the node stops, whatever was being executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading state failed: {reason}")]
pub struct StateError {
    pub reason: String,
}

/// Read access to the state after the last applied block.
pub trait StateStore {
    /// Value of a state key.
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// Values of many keys, in their order: one call, so that a store can batch the reads.
    fn values(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        keys.iter().map(|key| self.value(key)).collect()
    }

    /// Encoded page of the state tree under its encoded path.
    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;
}

/// What a block changes, to be written in one atomic batch with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// New value of every changed key, sorted by key; none: the key is deleted.
    pub values: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Changed pages of the state tree, sorted by key; none: the page is gone. They follow from the state before and
    /// `values` ([`crate::tree::update`]).
    pub tree_nodes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What takes a block back, exactly. The tree before it follows from the old values.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UndoRecord {
    /// Old value of every changed key; none: the key did not exist.
    pub values: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl UndoRecord {
    /// What taking the block back changes, on the state that it left.
    pub fn changes<S: StateStore + ?Sized>(self, store: &S) -> Result<StateChanges, StateError> {
        let update = crate::tree::update(store, &self.values)?;
        Ok(StateChanges {
            values: self.values,
            tree_nodes: update.nodes,
        })
    }
}
