//! What an honest node holds for others has caps, whatever others send (rule O7).
//!
//! The caps are those of the product where it has one. Two are not: nothing bounds how far rounds run ahead of commits,
//! nor how many commits wait to be executed, so for these a cap stands here that no run should come near.

use crate::chain::ChainPlan;
use crate::node::{MEMPOOL_BYTES_MAX, MEMPOOL_TRANSACTIONS_MAX, Running};
use holdfast_replica::{EARLY_PER_AUTHOR_MAX, EVIDENCE_WAITING_MAX, FUTURE_PER_AUTHOR_MAX};
use holdfast_types::limits::COMMITTEE_MEMBERS_MAX;

/// Rounds that may go by without a commit.
const UNCOMMITTED_ROUNDS_MAX: usize = 200;
/// Commits, certificates and ranges that may wait to be executed.
const EXECUTION_MAX: usize = 1_000;
/// Vertices of one slot, more than the two that are kept unasked: others may wait for one each.
const VERSIONS_MAX: usize = 4;

/// One thing that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    pub what: &'static str,
    pub held: usize,
    pub most: usize,
}

/// All that is bounded in a process.
#[must_use]
pub fn gauges(plan: &ChainPlan, running: &Running) -> Vec<Gauge> {
    let members = plan.validators + plan.standby;
    let gauge = |what, held, most| Gauge { what, held, most };
    let replica = &running.replica;
    let (future, early) = replica.parked();
    let mempool = replica.mempool();
    let mut gauges = vec![
        gauge(
            "vertices dated ahead",
            future,
            members * FUTURE_PER_AUTHOR_MAX,
        ),
        gauge(
            "vertices of the next era",
            early,
            // They are not verified: a corrupted one may claim any author.
            COMMITTEE_MEMBERS_MAX * EARLY_PER_AUTHOR_MAX,
        ),
        gauge(
            "offences to be ordered",
            replica.evidence_waiting(),
            EVIDENCE_WAITING_MAX,
        ),
        gauge(
            "transactions in the mempool",
            mempool.len(),
            MEMPOOL_TRANSACTIONS_MAX,
        ),
        gauge("bytes in the mempool", mempool.bytes(), MEMPOOL_BYTES_MAX),
        gauge(
            "commits to be executed",
            running.execution.len(),
            EXECUTION_MAX,
        ),
    ];
    if let Some(dag) = replica.dag() {
        let count = |number: u64| usize::try_from(number).expect("a simulation is short");
        let gc_depth = count(plan.gc_depth);
        let rounds = gc_depth + UNCOMMITTED_ROUNDS_MAX;
        let (suspended, missing) = dag.waiting();
        // The places of an author are twice the depth.
        let suspended_max = 2 * gc_depth;
        gauges.extend([
            gauge(
                "rounds in the DAG",
                count(dag.round().since(dag.gc_round())),
                rounds,
            ),
            gauge(
                "vertices in the DAG",
                dag.vertices().len(),
                rounds * members * VERSIONS_MAX,
            ),
            gauge("suspended vertices", suspended, suspended_max * members),
            gauge(
                "suspended vertices of one author",
                dag.waiting_of_one(),
                suspended_max,
            ),
            gauge(
                "missing vertices",
                missing,
                suspended_max * members * members,
            ),
        ]);
    }
    gauges
}
