//! The running node: threads, channels, and the order of effects.
//!
//! ```text
//! network ──events──> traffic ──jobs──> verification pool ──inputs──> core thread (replica)
//!    ^                                        ^                        │   │ persist, then send
//!    └───────────────messages─────────────────┼────────────────────────┘   │ commits, certificates
//! rpc ──submissions───────────────────────────┘                            v
//!    ^───────────── board, feed, store <──────────────── execution thread (chain) ──executed──> core thread
//! ```
//!
//! - [`core_thread`]: owns the replica; the only place where "durable before sent" happens;
//! - [`execution`]: owns the chain; executes, writes, tells;
//! - [`verification`]: decodes and verifies what others send;
//! - [`halted`]: halts, evidence and governance, as they come and as they are shown;
//! - `cluster`: what the members of a cluster say about a lockdown, and the secret that they share;
//! - [`traffic`], [`peers`], [`serve`], [`sync`]: the network's side;
//! - [`board`], [`backend`], [`facts`]: what RPC, metrics and logs show;
//! - [`risk`]: what the node worries about; [`alerts`]: whom it tells;
//! - [`sabotage`]: faults that a drill asks for;
//! - [`mod@start`], `listeners`: how it is put together; [`failures`]: how it ends.

pub mod alerts;
pub mod backend;
pub mod board;
mod cluster;
pub mod core_thread;
pub mod execution;
pub mod facts;
pub mod failures;
pub mod halted;
mod key_keeper;
mod listeners;
pub mod peers;
pub mod risk;
pub mod sabotage;
pub mod serve;
mod skew;
pub mod start;
pub mod sync;
pub mod traffic;
pub mod verification;

pub use cluster::Cluster;
pub use key_keeper::Farewell;
pub use start::{KeyPast, NodeParts, RunningNode, start};
