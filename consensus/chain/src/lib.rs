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
//!   out. Either is a function of the chain. A bad state root holds if the block of that height is of the running era or the
//!   one before, came of the commit that the attestation names, and is not what it says: those blocks every node keeps.
//! * C5. The block that ends an era names the next committee. Commits of the old era after it are void.
//! * C6. A certificate is q attestations for one block. A block is final once it or a descendant is certified.
//! * C7. A range of blocks from a peer continues the head or another block of the fork database. It enters the fork
//!   database if its headers chain up to its certificate and its bodies belong to its headers.
//! * C8. The applied branch is the best one by the rules K1 to K7 of [`forks`]. Whatever comes in, there is one way to go
//!   on: enter the fork database, take the plan to the best block, execute it on a [`staged`] view of the store, hand it
//!   out as one batch. Extending the head is a plan that takes nothing back. Only a commit is executed before it enters:
//!   until then nobody knows its id.
//! * C9. A certificate of a height where this chain has another block: if that block or one above it is certified, two
//!   quorums contradict each other, which is fatal and proved by both certificates. If the DAG of the certificate's own era
//!   made both blocks, this node's state is wrong: fatal. Otherwise the certificate counts for, or awaits, its block: so
//!   does that of a block which resumes the chain below our uncertified ones.
//! * C10. LIB moves the root of the fork database, and what does not stand on it is dropped. It never goes down by a switch,
//!   and no certified block is taken back.
//! * C11. Executing a block that others made must give exactly its header. If it does not, nothing of the switch is written,
//!   the branch is rejected from that block on and the next best one is looked at. If a quorum has certified it, this
//!   node's state is wrong: fatal.
//! * C12. Transactions of blocks that were taken back, and that are nowhere on the chain then, are given back.
//! * C13. Of the governance messages in committed vertices, a block takes the one with the lowest sequence number that the
//!   governors of its state have signed; of equal numbers the lowest id. No resume is among them.
//! * C14. A resume of governance makes the last block of its era, 1 ms after the block that it names, with the evidence that it
//!   carries ([`Chain::resume`]). Every node makes the same block or takes it from a peer. So do the votes of the validators that
//!   end a lockdown, with a block that carries nothing.
//! * C15. In an emergency blocks come of producers in their slots ([`Chain::produce`], [`Chain::offer`]), and no certificate
//!   proves them: the ledger says who may produce when, and whose signature that takes.
//! * C16. A certificate outranks emergency blocks that are not certified, LIB notwithstanding: they are taken back.
//! * C17. A branch that no certificate proves is fetched from the head on or from below it, and taken whole
//!   if it is better ([`branch`]).
//! * C18. A chain may begin with a snapshot instead of genesis, on the rules SN1 to SN5 of [`snapshot`].

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

pub mod branch;
pub mod certificates;
pub mod chain;
pub mod forks;
#[cfg(any(test, feature = "test-utils"))]
mod model;
pub mod serve;
pub mod snapshot;
pub mod staged;
pub mod store;
pub mod sync;

pub use branch::{Branch, BranchFetch, BranchStep};
pub use certificates::{CertificateCollector, Collected};
#[cfg(any(test, feature = "test-utils"))]
pub use chain::fixture;
pub use chain::{
    Chain, ChainError, EmergencyProposal, ExecutedBlock, ExecutedTransaction, OfferRefusal,
    Producers, ProductionRefusal, ProductionTurn, RejectedBranch, ResumeRefusal, Step,
    genesis_batch,
};
#[cfg(any(test, feature = "test-utils"))]
pub use model::ModelStore;
pub use staged::Staged;
pub use store::{AppliedBlock, ChainBatch, ChainStore};
pub use sync::{ProvenRange, RangeError, last_commits, verify_range};
