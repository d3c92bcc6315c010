//! What became of what the fork database was told.

use holdfast_types::{BlockId, Height};

/// What became of a block that was inserted. `dropped` are blocks that left the fork database for it: the store may
/// delete them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is in the tree.
    Linked {
        /// Blocks that waited for it and are in the tree now too, every block after its parent.
        also: Vec<BlockId>,
        dropped: Vec<(Height, BlockId)>,
    },
    /// It waits for its parent.
    Unlinked { dropped: Option<(Height, BlockId)> },
    /// It is here already.
    Known,
    /// It is at or below the root, or on a branch that left the chain there: never of use.
    BelowRoot,
    /// It was rejected, or stands on a rejected block, or does not fit its parent's height and era.
    Rejected { dropped: Vec<(Height, BlockId)> },
    /// There is no room, and what is here is of more use.
    Full,
    /// Its parent is not here and it is `gap` blocks above the head.
    TooFar { gap: u64 },
}

/// What became of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certified {
    /// The fork choice obeys it.
    Counts,
    /// Its block is not here: it counts from when the block is in the tree.
    AwaitsBlock,
    /// Its block is void.
    Void,
    /// Its block is at or below the root's height.
    BelowRoot,
    /// Its block was rejected here: the state or the software of this node is wrong, it must stop.
    Rejected,
}

/// What became of a governance rollback or hard fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voiding {
    /// The fork choice obeys it.
    Applied,
    /// It is obeyed from when its anchor is in the tree.
    AwaitsAnchor,
    /// The anchor is below the root, or beside it: the tree must be rebuilt on a root that is not above it.
    BelowRoot,
    /// One of the same or a later era is in force.
    Outdated,
}
