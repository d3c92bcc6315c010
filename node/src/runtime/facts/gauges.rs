//! Metrics from facts and from the board.

use crate::clock;
use crate::runtime::board::{Board, Standing};
use holdfast_chain::ProductionRefusal;
use holdfast_halt::{Mode, StallChange};
use holdfast_network::{
    NetworkCounters, NetworkHandle, PeerCounts, Penalty, RequestProtocol, Topic,
};
use holdfast_replica::Fact;
use holdfast_rpc::Metrics;
use holdfast_rpc::metrics::raise;
use holdfast_storage::Storage;
use holdfast_types::Round;
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
            count_skipped(metrics, *leader_round);
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
        Fact::Produced { .. } => metrics.emergency.blocks_produced.inc(),
        Fact::ProducerOverdue { .. }
        | Fact::LockdownLasts { .. }
        | Fact::Certified { .. }
        | Fact::EraEnded { .. }
        | Fact::EraStarted { .. }
        | Fact::Behind { .. }
        | Fact::PastUnknown { .. }
        | Fact::Listened
        | Fact::VertexParked { .. }
        | Fact::VertexDropped { .. }
        | Fact::HaltEnded { .. }
        | Fact::HaltVoid { .. }
        | Fact::YieldsToLockdown { .. }
        | Fact::Stall(_)
        | Fact::GovernanceAccepted { .. }
        | Fact::Readiness(_) => {}
    }
}

/// Rounds between two committed leaders of an era.
fn count_skipped(metrics: &Metrics, leader_round: Round) {
    let last = u64::try_from(metrics.consensus.committed_round.get()).unwrap_or_default();
    // A lower round is one of the next era.
    if leader_round.0 > last {
        let skipped = leader_round.0 - last - 1;
        metrics.consensus.leaders_skipped.inc_by(skipped);
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
    set_emergency(metrics, &standing);
    set_mempool(metrics, &standing);
    set_storage(metrics, storage);
    let counters = network.counters();
    set_network(metrics, &counters);
    set_peers(metrics, counters.peers);
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
        .blocks_per_second
        .set(standing.sync_blocks_per_second);
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
        .vertices_pending
        .set(gauge(standing.vertices_pending as u64));
    metrics
        .consensus
        .clock_skew_seconds
        .set(standing.clock_skew_seconds);
}

/// What this node does as a producer, and when it can come to that.
fn set_emergency(metrics: &Metrics, standing: &Standing) {
    let production = &standing.production;
    for refusal in ProductionRefusal::ALL {
        let holds = production.refusal() == Some(refusal);
        let series = metrics.emergency.refusal.with(refusal.name());
        series.set(i64::from(holds));
    }
    let overdue = i64::from(production.is_overdue());
    metrics.emergency.producer_overdue.set(overdue);
    let clock = production.clock();
    let wait_ms = match clock.slot_zero {
        Some(at) if !clock.is_active => at.since(clock::wall()),
        _ => 0,
    };
    let wait = Duration::from_millis(wait_ms);
    metrics
        .emergency
        .seconds_to_activation
        .set(wait.as_secs_f64());
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

/// Requests of the DAG and of halts.
const FETCH: &[RequestProtocol] = &[
    RequestProtocol::Vertices,
    RequestProtocol::MissingVertices,
    RequestProtocol::LastVertices,
    RequestProtocol::HaltStatus,
];
/// Requests of who catches up.
const SYNC: &[RequestProtocol] = &[
    RequestProtocol::Blocks,
    RequestProtocol::Certificates,
    RequestProtocol::Status,
    RequestProtocol::Snapshot,
];

fn set_network(metrics: &Metrics, counters: &NetworkCounters) {
    let network = &metrics.network;
    let direction = |name: &str, direction, messages, bytes| {
        raise(network.messages.with(name, direction), messages);
        raise(network.bytes.with(name, direction), bytes);
    };
    for topic in Topic::ALL {
        let count = counters.topic(topic);
        let name = topic.name().replace('-', "_");
        direction(&name, "in", count.received_messages, count.received_bytes);
        direction(
            &name,
            "out",
            count.published_messages,
            count.published_bytes,
        );
    }
    for (name, protocols) in [("fetch", FETCH), ("sync", SYNC)] {
        let counts = || protocols.iter().map(|protocol| counters.request(*protocol));
        let answered = counts().map(|count| count.answered).sum();
        let served = counts().map(|count| count.served).sum();
        direction(
            name,
            "in",
            answered,
            counts().map(|count| count.answer_bytes).sum(),
        );
        direction(
            name,
            "out",
            served,
            counts().map(|count| count.served_bytes).sum(),
        );
    }
    for penalty in Penalty::ALL {
        raise(
            network.peer_faults.with(penalty.name()),
            counters.penalty(penalty),
        );
    }
    raise(&network.disconnects, counters.links.closed);
    raise(&network.bans, counters.links.bans);
}

fn set_peers(metrics: &Metrics, peers: PeerCounts) {
    for (name, count) in [
        ("committee", peers.committee),
        ("configured", peers.known),
        ("other", peers.other),
    ] {
        metrics.network.peers.with(name).set(gauge(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::start::BUILD;

    #[test]
    fn metrics_follow_the_counters_of_the_network_however_often_they_are_set() {
        let metrics = Metrics::new(BUILD);
        let mut counters = NetworkCounters::default();
        for total in [3, 3, 8] {
            counters.links.closed = total;
            counters.links.bans = total - 1;
            for topic in &mut counters.topics {
                topic.received_messages = total;
            }
            for requests in &mut counters.requests {
                requests.answered = total;
            }
            counters.penalties = [total; Penalty::ALL.len()];
            set_network(&metrics, &counters);
        }
        let network = &metrics.network;
        assert_eq!(network.disconnects.get(), 8);
        assert_eq!(network.bans.get(), 7);
        for topic in Topic::ALL {
            let name = topic.name().replace('-', "_");
            assert_eq!(network.messages.with(&name, "in").get(), 8, "{name}");
        }
        for name in ["fetch", "sync"] {
            assert_eq!(network.messages.with(name, "in").get(), 4 * 8, "{name}");
        }
        // A name that the metrics do not know is counted as another.
        assert_eq!(network.messages.with("other", "in").get(), 0);
        for penalty in Penalty::ALL {
            let faults = network.peer_faults.with(penalty.name());
            assert_eq!(faults.get(), 8, "{penalty:?}");
        }
        assert_eq!(network.peer_faults.with("other").get(), 0);
    }
}
