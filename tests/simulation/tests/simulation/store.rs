//! The simulated disk keeps the contract of the node's store: what a restart makes of it is what it made durable.

use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_halt::{HaltState, JournalEntry};
use holdfast_ledger::{StateError, StateStore, UndoRecord};
use holdfast_replica::{Record, RecordStore};
use holdfast_simulation::disk::{Disk, Loss, Write};
use holdfast_simulation::random::Random;
use holdfast_store_contract::{ContractStore, Harness, contract_tests};
use holdfast_types::{
    Block, BlockId, Certificate, CommitDigest, EndVotes, Era, EraContext, Evidence, Height,
    Receipt, Round, SignedVertexHeader, TransactionId, VerifiedTransaction, VerifiedVertex,
    VertexRef,
};
use std::ops::Range;
use std::sync::Arc;

struct SimulatedHarness;

struct SimulatedStore(Disk);

impl Harness for SimulatedHarness {
    type Store = SimulatedStore;

    /// The double never prunes.
    fn create(&self, _: Option<u64>) -> SimulatedStore {
        SimulatedStore(Disk::empty())
    }

    fn restart(&self, mut store: SimulatedStore) -> SimulatedStore {
        store.0.sync().expect("the disk does not fail");
        store.0.crash(Loss::Everything, &mut Random::new(0));
        store.0.rebuild();
        store
    }
}

impl ContractStore for SimulatedStore {
    fn apply(&mut self, batch: ChainBatch) -> Result<(), String> {
        let written = self.0.write(Write::Chain(Arc::new(batch)));
        written.map_err(|error| format!("{error:?}"))
    }

    fn commit_records(&mut self, records: &[Record]) -> Result<(), String> {
        let written = self.0.write(Write::Records(records.into()));
        written.map_err(|error| format!("{error:?}"))
    }

    fn vertex_references(&self, era: Era, rounds: Range<Round>) -> Vec<VertexRef> {
        self.0.now().vertex_references(era, rounds).unwrap()
    }

    fn vertices_above(&self, era: Era, round: Round) -> Vec<VerifiedVertex> {
        self.0.now().vertices_above(era, round).unwrap()
    }

    fn vertex(&self, era: Era, reference: &VertexRef) -> Option<VerifiedVertex> {
        self.0.now().vertex(era, reference).unwrap()
    }

    fn last_own_vertex(&self, era: Era) -> Option<VerifiedVertex> {
        self.0.now().last_own_vertex(era).unwrap()
    }

    fn last_own_header(&self, era: Era) -> Option<SignedVertexHeader> {
        self.0.now().last_own_header(era).unwrap()
    }

    fn mempool(&self) -> Vec<VerifiedTransaction> {
        self.0.now().mempool().unwrap()
    }

    fn halt_state(&self) -> HaltState {
        self.0.now().halt_state().unwrap()
    }

    fn halt_journal(&self, first: u64, limit: usize) -> Vec<JournalEntry> {
        self.0.now().halt_journal(first, limit).unwrap()
    }

    fn evidence(&self) -> Vec<Evidence> {
        self.0.now().evidence().unwrap()
    }
}

macro_rules! delegate {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $method(&self, $($argument: $type),*) -> Result<$result, StateError> {
            self.0.now().$method($($argument),*)
        })*
    };
}

impl StateStore for SimulatedStore {
    delegate! {
        value(key: &[u8]) -> Option<Vec<u8>>;
        values(keys: &[Vec<u8>]) -> Vec<Option<Vec<u8>>>;
        tree_node(key: &[u8]) -> Option<Vec<u8>>;
    }
}

impl ChainStore for SimulatedStore {
    delegate! {
        head() -> Option<(Height, BlockId)>;
        irreversible_height() -> Height;
        certified_height() -> Height;
        block_at(height: Height) -> Option<Block>;
        block_id_at(height: Height) -> Option<BlockId>;
        block(id: &BlockId) -> Option<Block>;
        fork_blocks() -> Vec<(BlockId, Block)>;
        undo(height: Height) -> Option<UndoRecord>;
        certificate(height: Height) -> Option<Certificate>;
        certificate_at_or_above(height: Height) -> Option<Certificate>;
        certificates_above(height: Height) -> Vec<Certificate>;
        end_votes() -> Option<EndVotes>;
        era(era: Era) -> Option<EraContext>;
        latest_era() -> Option<EraContext>;
        commit_digest_at(height: Height) -> Option<CommitDigest>;
        transaction_place(id: &TransactionId) -> Option<(Height, u32)>;
        receipts_at(height: Height) -> Option<Vec<Receipt>>;
    }
}

// Not those on pruned blocks, which the double keeps, and on batches that it cannot apply, which end a simulation.
contract_tests!(SimulatedHarness =>
    growth_survives_restarts,
    many_blocks_in_one_step,
    undo_restores_every_step,
    branch_switch_is_one_step,
    irreversible_blocks_move_to_the_log,
    rollback_below_the_last_irreversible_block,
    certificates_follow_the_branch,
    end_votes_stay_until_there_are_others,
    eras_follow_their_anchor,
    the_first_inclusion_counts,
    vertices_come_back,
    the_mempool_keeps_its_order,
    what_is_taken_back_waits_again,
    what_was_executed_before_it_was_taken_back_stays,
    halts_and_evidence_survive_restarts,
);
