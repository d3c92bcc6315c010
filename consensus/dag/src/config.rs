//! What a DAG core is built with.

use holdfast_types::Parameters;

/// So many rounds, or blocks, behind the others a node counts as far away, if gossip reaches as far: the DAG gets there by
/// itself, but blocks are faster.
const FAR: u64 = 20;

/// Times in ms of the caller's monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagConfig {
    pub min_round_interval_ms: u64,
    pub idle_round_interval_ms: u64,
    pub leader_timeout_ms: u64,
    pub leaders_per_round: u16,
    pub gc_depth: u64,
    /// Commits between two computations of reputation.
    pub reputation_window: u64,
    /// A vertex this many rounds above the clock is not kept: its author or we are far away.
    pub rounds_ahead_max: u64,
    /// Most suspended vertices of one author.
    pub suspended_per_author_max: usize,
    /// A missing vertex is asked for again after this long, in ms.
    pub refetch_interval_ms: u64,
    /// While the round does not move, others are asked what they have each time after this long, in ms.
    pub ask_interval_ms: u64,
    /// Rounds after the last vertex with a payload in which the DAG keeps its full pace: enough to commit, attest,
    /// certify and move LIB.
    pub busy_rounds: u64,
}

impl DagConfig {
    #[must_use]
    pub fn from_parameters(parameters: &Parameters) -> Self {
        let dag = &parameters.dag;
        Self {
            min_round_interval_ms: dag.min_round_interval_ms,
            idle_round_interval_ms: dag.idle_round_interval_ms,
            leader_timeout_ms: dag.leader_timeout_ms,
            leaders_per_round: dag.leaders_per_round,
            gc_depth: dag.gc_depth,
            reputation_window: 32,
            rounds_ahead_max: dag.gc_depth,
            suspended_per_author_max: usize::try_from(dag.gc_depth.saturating_mul(2))
                .unwrap_or(usize::MAX),
            refetch_interval_ms: 300,
            ask_interval_ms: dag.leader_timeout_ms.saturating_mul(2),
            busy_rounds: 10,
        }
    }

    /// From so many rounds, or blocks, behind on a node is helped by blocks. Never more than gossip reaches: in between it
    /// would neither take vertices nor ask for blocks.
    #[must_use]
    pub fn far(&self) -> u64 {
        FAR.min(self.rounds_ahead_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::test_util::parameters::parameters;

    #[test]
    fn between_what_gossip_reaches_and_what_blocks_are_for_is_nothing() {
        for gc_depth in [1, 3, 6, 20, 60] {
            let mut parameters = parameters();
            parameters.dag.gc_depth = gc_depth;
            let config = DagConfig::from_parameters(&parameters);
            assert!(config.far() <= config.rounds_ahead_max);
            assert!(config.far() <= FAR);
        }
    }
}
