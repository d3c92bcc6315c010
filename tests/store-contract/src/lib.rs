//! What every store of the chain must do, as a suite that runs against any of them.
//!
//! The store under test is driven together with a model that keeps the whole state of every block and so undoes
//! nothing; after each step all that a reader can ask must be the same in both. A double in a simulator that passes
//! promises what the product's store promises.
//!
//! Run a scenario with a [`Harness`] of the store; each is a function of its own, so that a test can be named after it.

mod builder;
mod halts;
mod mempool;
mod observe;
mod random;
mod scenarios;

pub use builder::{Builder, key_of, transaction};
pub use halts::halts_and_evidence_survive_restarts;
pub use holdfast_chain::ModelStore;
pub use mempool::{
    the_mempool_keeps_its_order, what_is_taken_back_waits_again,
    what_was_executed_before_it_was_taken_back_stays,
};
pub use observe::assert_same;
pub use random::random_walk;
pub use scenarios::*;

use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_halt::{HaltState, JournalEntry};
use holdfast_replica::Record;
use holdfast_types::{
    Era, Evidence, Round, SignedVertexHeader, VerifiedTransaction, VerifiedVertex, VertexRef,
};
use std::ops::Range;

/// A test of each scenario with a harness: `contract_tests!(MyHarness => growth_survives_restarts, …);`
#[macro_export]
macro_rules! contract_tests {
    ($harness:expr => $($scenario:ident),* $(,)?) => {
        $(#[test]
        fn $scenario() {
            $crate::$scenario(&$harness);
        })*

        #[test]
        fn random_walks() {
            for seed in 0..8 {
                $crate::random_walk(&$harness, seed, 100);
            }
        }
    };
}

/// A store under test.
pub trait ContractStore: ChainStore {
    /// Applies one step, all of it or nothing.
    fn apply(&mut self, batch: ChainBatch) -> Result<(), String>;

    /// Makes records durable.
    fn commit_records(&mut self, records: &[Record]) -> Result<(), String>;

    fn vertices_above(&self, era: Era, round: Round) -> Vec<VerifiedVertex>;

    fn vertex_references(&self, era: Era, rounds: Range<Round>) -> Vec<VertexRef>;

    fn vertex(&self, era: Era, reference: &VertexRef) -> Option<VerifiedVertex>;

    fn last_own_vertex(&self, era: Era) -> Option<VerifiedVertex>;

    fn last_own_header(&self, era: Era) -> Option<SignedVertexHeader>;

    fn mempool(&self) -> Vec<VerifiedTransaction>;

    fn halt_state(&self) -> HaltState;

    fn halt_journal(&self, first: u64, limit: usize) -> Vec<JournalEntry>;

    fn evidence(&self) -> Vec<Evidence>;
}

/// Makes stores.
pub trait Harness {
    type Store: ContractStore;

    /// A new, empty store that keeps `prune_blocks` irreversible blocks, or all.
    fn create(&self, prune_blocks: Option<u64>) -> Self::Store;

    /// What a restart makes of the store.
    fn restart(&self, store: Self::Store) -> Self::Store;
}
