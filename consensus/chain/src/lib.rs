//! The chain: what commits become.
//!
//! Rules of this crate (DESIGN §2 to §5):
//!
//! * C1. Each commit of the DAG becomes one block on top of the head. Its time is
//!   max(parent + 1 ms, median timestamp of the commit).
//! * C2. The transactions of a block are those of the executing vertices of the sub-DAG, in their order. Whether one
//!   takes effect is the ledger's decision, so the block of a commit follows from the commit and the state alone.
//! * C3. A committed attestation supports the block that it names if that is the block of this chain at its height. It
//!   raises `last_supported_block_num` of its author; LIB follows in the ledger.
//! * C4. Evidence in a committed vertex is executed if it verifies against the committee of its era; otherwise it is left
//!   out. Either is a function of the chain.
//! * C5. The block that ends an era names the next committee. Commits of the old era after it are void.
//! * C6. A certificate is q attestations for one block. A block is final once it or a descendant is certified.
//! * C7. A block from a peer is applied if it continues the head, its certificate (or that of a descendant it is hashed
//!   into) verifies, and executing it gives exactly its header. If it gives another, this node's state is wrong: fatal.
//! * C8. Fork choice is in [`forks`].

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::panic,
        clippy::let_underscore_must_use
    )
)]

pub mod certificates;
pub mod chain;
pub mod forks;
pub mod serve;
pub mod store;
pub mod sync;

pub use certificates::{CertificateCollector, Collected};
pub use chain::{Chain, ChainError, ExecutedBlock, ExecutedTransaction, Step, genesis_batch};
pub use store::{AppliedBlock, ChainBatch, ChainStore};
pub use sync::{RangeError, last_commits, verify_range};
