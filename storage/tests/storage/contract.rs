//! The contract of a store, kept by RocksDB.

use crate::harness::RocksHarness;
use holdfast_store_contract::contract_tests;

contract_tests!(RocksHarness =>
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
    undo_records_are_pruned,
    blocks_are_pruned,
    batches_that_do_not_fit_are_refused,
    vertices_come_back,
    the_mempool_keeps_its_order,
    what_is_taken_back_waits_again,
    what_was_executed_before_it_was_taken_back_stays,
    halts_and_evidence_survive_restarts,
);
