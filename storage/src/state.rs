//! The state between memory and disk.
//!
//! A block changes thousands of values and tree nodes, and most of them change again a few blocks later. So a block's
//! changes are logged as one row (the journal) and kept in memory (the overlay); every few blocks the overlay, by
//! then the sum of many blocks, goes to the column families `state` and `state_tree`. Both are parts of the same
//! atomic batches as the blocks themselves, so after a crash the journal above `state_flushed` makes the overlay again.

mod cache;
mod overlay;
mod stale;

pub(crate) use overlay::Overlay;
pub(crate) use stale::StaleNodes;
