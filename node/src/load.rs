//! The load generator: signed transfers between known accounts, sent over JSON-RPC, followed until they are irreversible.
//!
//! - [`sender`]: lanes that sign, send in batches and keep a rate;
//! - [`tracker`]: what was submitted, what became irreversible, and how long it took;
//! - [`patience`]: what it does while a node does not answer;
//! - [`running`]: lanes and follower together, beside whoever started them;
//! - [`cluster`]: the processes under load, killed and started one by one;
//! - [`usage`]: what a process takes of the machine.

pub mod cluster;
mod latency_counts;
pub mod patience;
pub mod running;
pub mod sender;
pub mod tracker;
pub mod usage;

pub use cluster::Cluster;
pub use patience::WhenDown;
pub use running::RunningLoad;
pub use sender::{Lane, LoadPlan, Pace};
pub use tracker::{Latencies, Tracker};
