//! The door between execution and whatever stores the state.
//!
//! The state is a map from byte keys to byte values, with a Merkle tree (JMT) beside it whose version is the block
//! height. Execution reads through [`StateStore`] and returns [`StateChanges`]; it never writes.

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

    /// Encoded node of the state tree under its encoded key: live ones, and those that blocks above the last
    /// irreversible one made stale, as long as these can be undone.
    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;
}

/// What a block changes, to be written in one atomic batch with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// New value of every changed key, sorted by key; none: the key is deleted.
    pub values: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// New tree nodes under their encoded keys, which no live or stale node of this branch has had.
    pub tree_nodes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Tree nodes that this block made stale: the store keeps them for as long as this block can be undone.
    pub stale_tree_nodes: Vec<Vec<u8>>,
}

/// What takes a block back, exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UndoRecord {
    /// Old value of every changed key; none: the key did not exist.
    pub values: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Keys of the tree nodes that the block added.
    pub tree_nodes: Vec<Vec<u8>>,
    /// Keys of the tree nodes that the block made stale.
    pub stale_tree_nodes: Vec<Vec<u8>>,
}
