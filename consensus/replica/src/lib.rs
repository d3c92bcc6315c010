//! The composition.

pub mod record;

pub use record::{Record, SignGuardRecord};
