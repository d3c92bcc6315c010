use holdfast_dag::drawing::Drawing;
use holdfast_dag::{DagConfig, DagCore};
use holdfast_types::test_util::CHAIN;
use std::sync::Arc;

#[test]
fn a_full_dag_commits_every_leader() {
    let config = DagConfig {
        min_round_interval_ms: 50,
        idle_round_interval_ms: 1000,
        leader_timeout_ms: 250,
        leaders_per_round: 1,
        gc_depth: 60,
        reputation_window: 32,
        rounds_ahead_max: 60,
        suspended_per_author_max: 120,
        refetch_interval_ms: 300,
        busy_rounds: 10,
    };
    let drawing = Drawing::new(4, "@1..12: *");
    let mut core = DagCore::new(CHAIN, Arc::clone(&drawing.context), config, None, 0);
    let mut leaders = Vec::new();
    for vertex in &drawing.vertices {
        core.add(Arc::clone(vertex), 0);
        for sub_dag in core.try_commit(0).0 {
            leaders.push(sub_dag.record.leader.round.0);
        }
    }
    assert_eq!(leaders, (1..=10).collect::<Vec<_>>());
}
