//! Eras, blocks, fork choice, LIB.

pub mod store;

pub use store::{AppliedBlock, ChainBatch, ChainStore};
