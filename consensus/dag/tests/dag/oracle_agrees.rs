//! The core commits what the definitions say (STYLE E16): thousands of random DAGs with skipped leaders, weak links and up
//! to f equivocators, one to three leaders a round, garbage collection and schedule changes every few rounds.

use crate::harness::{Random, core, feed, said};
use crate::oracle::Oracle;
use crate::random_dag::{RandomDag, Shape, tight_config};
use holdfast_dag::VertexStore;
use holdfast_types::{Committee, Round, VerifiedVertex};
use std::collections::BTreeSet;
use std::sync::Arc;

const SEEDS_PER_TEST: u64 = 500;

fn agrees_for_seeds(first: u64) {
    for seed in first..first + SEEDS_PER_TEST {
        let mut random = Random::new(seed);
        let shape = Shape::of(&mut random);
        let config = tight_config(&mut random);
        let dag = RandomDag::new(&shape, &mut random);
        let mut core = core(&dag.context, &config);
        let committed = said(&feed(&mut core, &dag.vertices));
        let expected = Oracle::new(&dag.context, &config, &dag.vertices).commits();
        assert_eq!(committed, expected, "seed {seed}: {shape:?} {config:?}");
        for round in core.gc_round().0..=core.vertices().highest_round().0 {
            let round = Round(round);
            let certified = certified(core.vertices(), round, &dag.context.committee);
            assert_eq!(
                core.certified_vertices(round),
                certified,
                "seed {seed}: {round:?}"
            );
        }
    }
}

/// Vertices of the round that vertices of at least 2f + 1 authors of the next round name, by the definition.
fn certified(held: &VertexStore, round: Round, committee: &Committee) -> usize {
    let is_certified = |vertex: &&Arc<VerifiedVertex>| {
        let above = held.round(round.next());
        let naming = above.filter(|above| above.parents().contains(&vertex.reference()));
        let authors: BTreeSet<_> = naming.map(|above| above.author()).collect();
        authors.len() > 2 * committee.max_faulty()
    };
    held.round(round).filter(is_certified).count()
}

#[test]
fn commits_are_those_of_the_oracle_seeds_0() {
    agrees_for_seeds(0);
}

#[test]
fn commits_are_those_of_the_oracle_seeds_1() {
    agrees_for_seeds(1_000_000);
}

#[test]
fn commits_are_those_of_the_oracle_seeds_2() {
    agrees_for_seeds(2_000_000);
}

#[test]
fn commits_are_those_of_the_oracle_seeds_3() {
    agrees_for_seeds(3_000_000);
}

/// The shapes reach what they are meant to reach: otherwise agreement says little.
#[test]
fn the_random_dags_reach_every_kind_of_decision() {
    let mut reached = Reached::default();
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let shape = Shape::of(&mut random);
        let config = tight_config(&mut random);
        let dag = RandomDag::new(&shape, &mut random);
        let oracle = Oracle::new(&dag.context, &config, &dag.vertices);
        let commits = oracle.commits();
        let tally = oracle.decision_kinds();
        reached.direct_commits += tally.direct_commits;
        reached.direct_skips += tally.direct_skips;
        reached.indirect_commits += tally.indirect_commits;
        reached.indirect_skips += tally.indirect_skips;
        reached.dropped += dag.vertices.len();
        for commit in &commits {
            reached.dropped -= commit.ordered.len();
            reached.equivocations += commit.ordered.len() - commit.executed.len();
        }
        let mut core = core(&dag.context, &config);
        feed(&mut core, &dag.vertices);
        let above = core.last_leader_round().next();
        let everybody = oracle.leaders(above, &[]);
        reached.schedules_changed += usize::from(core.schedule().leaders(above) != everybody);
    }
    assert!(reached.direct_commits > 500, "{reached:?}");
    assert!(reached.direct_skips > 200, "{reached:?}");
    assert!(reached.indirect_commits > 50, "{reached:?}");
    assert!(reached.indirect_skips > 50, "{reached:?}");
    assert!(reached.equivocations > 20, "{reached:?}");
    assert!(reached.dropped > 500, "{reached:?}");
    assert!(reached.schedules_changed > 20, "{reached:?}");
}

#[derive(Debug, Default)]
pub(crate) struct Reached {
    pub(crate) direct_commits: usize,
    pub(crate) direct_skips: usize,
    pub(crate) indirect_commits: usize,
    pub(crate) indirect_skips: usize,
    equivocations: usize,
    dropped: usize,
    schedules_changed: usize,
}
