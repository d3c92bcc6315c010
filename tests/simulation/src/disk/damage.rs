//! Stored records that do not read any more.
//!
//! A flipped bit breaks the checksum of what it hits, so the node's store answers with an error and never with something
//! else than was written. A record that is written again is whole again.

use holdfast_ledger::StateError;
use holdfast_types::{BlockId, Era, Height, VertexRef};
use std::collections::BTreeSet;

/// Kinds of records that a flipped bit may hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Block,
    Vertex,
    /// A value of the state.
    Value,
    Certificate,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Block, Self::Vertex, Self::Value, Self::Certificate];
}

/// One stored record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stored {
    /// Of the applied branch.
    Block(Height),
    Vertex(Era, VertexRef),
    Value(Vec<u8>),
    Certificate(Height, BlockId),
}

/// The records that do not read.
#[derive(Clone, Debug, Default)]
pub(super) struct Damage {
    unreadable: BTreeSet<Stored>,
}

impl Damage {
    pub(super) fn is_none(&self) -> bool {
        self.unreadable.is_empty()
    }

    pub(super) fn hit(&mut self, stored: Stored) {
        self.unreadable.insert(stored);
    }

    /// The record is gone, or written again.
    pub(super) fn forget(&mut self, stored: impl FnOnce() -> Stored) {
        if !self.is_none() {
            self.unreadable.remove(&stored());
        }
    }

    /// Reads a record.
    pub(super) fn check(&self, stored: impl FnOnce() -> Stored) -> Result<(), StateError> {
        if self.is_none() {
            return Ok(());
        }
        let stored = stored();
        if self.unreadable.contains(&stored) {
            return Err(StateError {
                reason: format!("{stored:?} does not match its checksum"),
            });
        }
        Ok(())
    }
}
