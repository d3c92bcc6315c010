//! The state between memory and disk.
//!
//! A block changes thousands of values and pages of the tree, and most of them change again a few blocks later. So a
//! block's new values are logged as one row (the journal), and values and pages are kept in memory (the overlay); every few blocks the overlay, by
//! then the sum of many blocks, goes to the column families `state` and `state_tree`. Both are parts of the same
//! atomic batches as the blocks themselves, so after a crash the journal above `state_flushed` makes the overlay again.

mod cache;
mod overlay;

pub(crate) use overlay::{Overlay, State};
