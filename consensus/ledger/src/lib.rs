//! Deterministic execution.

pub mod state;

pub use state::{StateChanges, StateError, StateStore, UndoRecord};
