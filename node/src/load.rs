//! The load generator: signed transfers between known accounts, sent over JSON-RPC, followed until they are irreversible.
//!
//! - [`sender`]: lanes that sign, send in batches and keep a rate;
//! - [`tracker`]: what was submitted, what became irreversible, and how long it took.

pub mod sender;
pub mod tracker;

pub use sender::{Lane, LoadPlan, Pace};
pub use tracker::{Latencies, Tracker};
