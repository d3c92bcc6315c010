//! When to propose, and on what (rules D3 and D4).

use crate::config::DagConfig;
use holdfast_types::{Round, VertexRef};

/// A vertex that may be signed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalPlan {
    pub round: Round,
    /// Own previous vertex first, then sorted by slot.
    pub parents: Vec<VertexRef>,
}

/// Whether to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    Propose(ProposalPlan),
    /// Not before this time, in ms of the caller's monotonic clock, unless something arrives.
    Until(u64),
    /// Not before something arrives.
    Blocked,
}

/// What pacing looks at. Times in ms of the caller's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaceInput {
    pub(crate) now_ms: u64,
    /// When this validator proposed last; none if never in this run.
    pub(crate) proposed_at_ms: Option<u64>,
    /// When the threshold clock came to the present round.
    pub(crate) round_entered_at_ms: u64,
    /// All leaders of the previous round have a vertex here.
    pub(crate) leaders_present: bool,
    /// Something waits to be ordered, attested or certified, or another validator has begun the round.
    pub(crate) busy: bool,
}

/// The earliest time at which rule D4 allows a proposal.
pub(crate) fn earliest_ms(input: &PaceInput, config: &DagConfig) -> u64 {
    let interval = if input.busy {
        config.min_round_interval_ms
    } else {
        config.idle_round_interval_ms
    };
    let after_last = input
        .proposed_at_ms
        .map_or(input.now_ms, |at| at.saturating_add(interval));
    if input.leaders_present {
        return after_last;
    }
    let after_leader = input
        .round_entered_at_ms
        .saturating_add(config.leader_timeout_ms);
    after_last.max(after_leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DagConfig {
        DagConfig {
            min_round_interval_ms: 50,
            idle_round_interval_ms: 1000,
            leader_timeout_ms: 250,
            leaders_per_round: 1,
            gc_depth: 60,
            reputation_window: 32,
            rounds_ahead_max: 60,
            suspended_per_author_max: 120,
            refetch_interval_ms: 300,
            ask_interval_ms: 500,
            busy_rounds: 10,
        }
    }

    #[test]
    fn each_rule_delays_by_its_own_time() {
        let quick = PaceInput {
            now_ms: 1000,
            proposed_at_ms: Some(1000),
            round_entered_at_ms: 1010,
            leaders_present: true,
            busy: true,
        };
        assert_eq!(earliest_ms(&quick, &config()), 1050);
        let idle = PaceInput {
            busy: false,
            ..quick
        };
        assert_eq!(earliest_ms(&idle, &config()), 2000);
        let leaderless = PaceInput {
            leaders_present: false,
            ..quick
        };
        assert_eq!(earliest_ms(&leaderless, &config()), 1260);
        let first = PaceInput {
            proposed_at_ms: None,
            ..idle
        };
        assert_eq!(earliest_ms(&first, &config()), 1000);
    }
}
