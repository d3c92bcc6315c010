//! Metrics from facts and from the board.

use super::traffic;
use crate::runtime::board::{Board, Standing};
use holdfast_halt::{Mode, StallChange};
use holdfast_network::NetworkHandle;
use holdfast_replica::Fact;
use holdfast_rpc::Metrics;
use holdfast_storage::Storage;
use std::time::Duration;

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn count(metrics: &Metrics, fact: &Fact) {
    match fact {
        Fact::Proposed { .. } => {
            metrics.signing.signatures.with("vertex").inc();
        }
        Fact::Committed {
            leader_round,
            vertices,
            ..
        } => {
            metrics.consensus.commits.inc();
            metrics.consensus.committed_round.set(gauge(leader_round.0));
            metrics
                .consensus
                .vertices
                .inc_by(u64::try_from(*vertices).unwrap_or(u64::MAX));
        }
        Fact::Equivocation { .. } => metrics.consensus.evidence.with("equivocation").inc(),
        Fact::ContradictoryAttestations { .. } => {
            metrics
                .consensus
                .evidence
                .with("contradictory_attestations")
                .inc();
        }
        Fact::SignRefused { .. } => metrics.signing.refused.with("guard").inc(),
        Fact::Doppelganger { .. } => metrics.signing.refused.with("doppelganger").inc(),
        Fact::HaltBegan { mode, .. } => metrics.halt.entered.with(mode.kind()).inc(),
        Fact::Stall(StallChange::Began { .. }) => {
            metrics.halt.entered.with(Mode::SoftStall.kind()).inc();
        }
        Fact::Certified { .. }
        | Fact::EraEnded { .. }
        | Fact::EraStarted { .. }
        | Fact::Behind { .. }
        | Fact::PastUnknown { .. }
        | Fact::Listened
        | Fact::VertexParked { .. }
        | Fact::VertexDropped { .. }
        | Fact::HaltEnded { .. }
        | Fact::Stall(_)
        | Fact::GovernanceAccepted { .. }
        | Fact::Readiness(_) => {}
    }
}

/// Adds the time since the last look, if the chain is stalled.
pub(super) fn count_stall(metrics: &Metrics, board: &Board, since: Duration) {
    if board.halts().modes.contains(Mode::SoftStall) {
        metrics.halt.stall_seconds.inc_by(since.as_secs_f64());
    }
}

pub(super) fn set(metrics: &Metrics, board: &Board, storage: &Storage, network: &NetworkHandle) {
    let standing = board.read();
    set_chain(metrics, &standing);
    set_consensus(metrics, &standing);
    set_halt(metrics, &standing);
    set_mempool(metrics, &standing);
    set_storage(metrics, storage);
    traffic::set(metrics, &network.counters());
}

/// How far the chain is, and how far it has to catch up.
fn set_chain(metrics: &Metrics, standing: &Standing) {
    metrics.chain.head_height.set(gauge(standing.head.0));
    metrics.chain.lib_height.set(gauge(standing.lib.0));
    metrics
        .chain
        .certified_height
        .set(gauge(standing.certified.0));
    metrics
        .chain
        .fork_blocks
        .set(gauge(standing.fork_blocks as u64));
    metrics.chain.era.set(gauge(standing.context.era.0));
    metrics
        .sync
        .target_height
        .set(gauge(standing.sync_target.map_or(0, |target| target.0)));
}

fn set_consensus(metrics: &Metrics, standing: &Standing) {
    let committee = &standing.context.committee;
    metrics.consensus.round.set(gauge(standing.round.0));
    metrics
        .consensus
        .committee_size
        .set(gauge(committee.size() as u64));
    metrics
        .consensus
        .quorum
        .set(gauge(committee.quorum() as u64));
    metrics
        .consensus
        .clock_skew_seconds
        .set(standing.clock_skew_seconds);
}

/// What tells early that the chain is about to stand still.
fn set_halt(metrics: &Metrics, standing: &Standing) {
    for mode in Mode::ALL {
        let holds = standing.halts.modes.contains(mode);
        metrics.halt.active.with(mode.kind()).set(i64::from(holds));
    }
    metrics
        .halt
        .governance_sequence
        .set(gauge(standing.halts.state.sequence));
    metrics
        .consensus
        .evidence_pending
        .set(gauge(standing.halts.evidence.len() as u64));
    metrics
        .halt
        .active_committee
        .set(gauge(standing.active_committee as u64));
    metrics
        .halt
        .certified_vertices
        .set(gauge(standing.certified_vertices as u64));
    metrics
        .halt
        .seconds_since_commit
        .set(standing.head_changed_at.elapsed().as_secs_f64());
    metrics
        .halt
        .seconds_since_lib
        .set(standing.lib_changed_at.elapsed().as_secs_f64());
}

fn set_mempool(metrics: &Metrics, standing: &Standing) {
    metrics
        .mempool
        .transactions
        .set(gauge(standing.mempool_transactions as u64));
    metrics
        .mempool
        .bytes
        .set(gauge(standing.mempool_bytes as u64));
}

fn set_storage(metrics: &Metrics, storage: &Storage) {
    if let Ok(space) = storage.disk_space() {
        metrics.storage.disk_free_bytes.set(gauge(space.available));
    }
    if let Ok(figures) = storage.metrics() {
        for family in &figures.families {
            metrics
                .storage
                .column_bytes
                .with(family.name)
                .set(gauge(family.files_bytes + family.memtables_bytes));
        }
        let memory =
            figures.block_cache_bytes + figures.table_readers_bytes + figures.state_cache_bytes;
        metrics.storage.memory_bytes.set(gauge(memory));
    }
}
