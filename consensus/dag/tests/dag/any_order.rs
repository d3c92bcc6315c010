//! Any order of delivery gives the same commits (FAULTS F14), however often and however late a commit is tried (F19).

use crate::harness::{Random, Said, Vertices, core, feed, feed_with, said};
use crate::oracle::Oracle;
use crate::random_dag::{RandomDag, Shape, tight_config};
use holdfast_dag::{DagConfig, DagCore, gc_round};
use holdfast_types::{Round, VerifiedVertex, VertexRef};
use std::collections::BTreeSet;
use std::sync::Arc;

/// When a commit is tried.
#[derive(Clone, Copy, Debug)]
enum Tries {
    AfterEach,
    Twice,
    Sometimes { percent: usize },
    AtTheEnd,
}

fn deliver(
    dag: &RandomDag,
    config: &DagConfig,
    tries: Tries,
    window: usize,
    random: &mut Random,
) -> Vec<Said> {
    // A window as long as the DAG is a full shuffle; a short one is a network with bounded delay.
    let mut positions: Vec<(usize, u64, usize)> = (0..dag.vertices.len())
        .map(|at| (at + random.below(window), random.next(), at))
        .collect();
    positions.sort_unstable();
    let order: Vertices = positions
        .into_iter()
        .map(|(_, _, at)| Arc::clone(&dag.vertices[at]))
        .collect();
    let mut core = core(&dag.context, config);
    let try_commit = |core: &mut DagCore| match tries {
        Tries::AfterEach => core.try_commit(0).0,
        Tries::Twice => {
            let committed = core.try_commit(0).0;
            let again = core.try_commit(0).0;
            assert!(again.is_empty(), "a second try finds nothing");
            committed
        }
        Tries::Sometimes { percent } if random.percent(percent) => core.try_commit(0).0,
        Tries::Sometimes { .. } | Tries::AtTheEnd => Vec::new(),
    };
    let mut committed = feed_with(&mut core, &order, try_commit);
    // What lost its place to a lower round comes again, as from a peer that is asked.
    committed.extend(feed(&mut core, &dag.vertices));
    assert!(core.try_commit(0).0.is_empty(), "nothing is left to commit");
    assert_eq!(core.waiting(), (0, 0), "nothing is left suspended");
    assert_eq!(core.next_fetch_ms(), None, "nothing is left to fetch");
    said(&committed)
}

/// Delivers a DAG in so many orders, whose commits are those of the drawn order.
fn every_order_agrees(dag: &RandomDag, config: &DagConfig, orders: usize, random: &mut Random) {
    let mut config = config.clone();
    let expected = said(&feed(&mut core(&dag.context, &config), &dag.vertices));
    for order in 0..orders {
        let tries = match order % 4 {
            0 => Tries::AfterEach,
            1 => Tries::Twice,
            2 => Tries::Sometimes { percent: 10 },
            _ => Tries::AtTheEnd,
        };
        let window = [3, 30, dag.vertices.len()][random.below(3)];
        if random.percent(30) {
            // Little room: most of what comes early is refused and offered again.
            config.rounds_ahead_max = random.between(2, 6) as u64;
            config.suspended_per_author_max = random.between(1, 4);
        } else {
            config.rounds_ahead_max = 60;
            config.suspended_per_author_max = 120;
        }
        let committed = deliver(dag, &config, tries, window, random);
        assert_eq!(
            committed, expected,
            "order {order}, {tries:?}, window {window}: {config:?}"
        );
    }
}

/// What makes the orders of a DAG differ.
#[derive(Debug)]
struct Contents {
    skipped: usize,
    weak_links: usize,
    equivocations: usize,
    /// Vertices that garbage collection dropped uncommitted.
    dropped: usize,
    commits: usize,
}

impl Contents {
    fn of(dag: &RandomDag, config: &DagConfig) -> Self {
        let oracle = Oracle::new(&dag.context, config, &dag.vertices);
        let (kinds, commits) = (oracle.decision_kinds(), oracle.commits());
        let is_one_slot = |pair: &&[Arc<VerifiedVertex>]| {
            pair[0].reference().slot() == pair[1].reference().slot()
        };
        let last = commits.last().map_or(Round::ZERO, |last| last.leader.round);
        let ordered: BTreeSet<&VertexRef> = commits.iter().flat_map(|c| &c.ordered).collect();
        let is_dropped = |reference: &VertexRef| {
            reference.round <= gc_round(last, config.gc_depth) && !ordered.contains(reference)
        };
        let references = dag.vertices.iter().map(|vertex| vertex.reference());
        Self {
            skipped: kinds.direct_skips + kinds.indirect_skips,
            weak_links: dag.vertices.iter().flat_map(|v| weak_links(v)).count(),
            equivocations: dag.vertices.windows(2).filter(is_one_slot).count(),
            dropped: references.filter(is_dropped).count(),
            commits: commits.len(),
        }
    }

    const fn has_all(&self) -> bool {
        self.skipped > 0
            && self.weak_links > 0
            && self.equivocations > 0
            && self.dropped > 0
            && self.commits > 5
    }
}

/// Parents of others than the author, older than the round before.
fn weak_links(vertex: &VerifiedVertex) -> impl Iterator<Item = &VertexRef> {
    vertex.parents().iter().filter(|parent| {
        parent.author != vertex.author() && parent.round < vertex.round().previous()
    })
}

const ORDERS: usize = 1_000;
const DAGS_PER_TEST: usize = 3;
const SEEDS_MAX: u64 = 1_000;

/// Only of DAGs in which there is everything: else equal commits say little.
fn a_thousand_orders_of_dags_with(gc_depth: u64) {
    let mut dags = 0;
    for seed in 0..SEEDS_MAX {
        let mut random = Random::new(seed + SEEDS_MAX * gc_depth);
        let mut shape = Shape::of(&mut random);
        shape.equivocators = 1;
        shape.silent = 0;
        let mut config = tight_config(&mut random);
        config.gc_depth = gc_depth;
        let dag = RandomDag::new(&shape, &mut random);
        if !Contents::of(&dag, &config).has_all() {
            continue;
        }
        every_order_agrees(&dag, &config, ORDERS, &mut random);
        dags += 1;
        if dags == DAGS_PER_TEST {
            return;
        }
    }
    panic!("{dags} of {SEEDS_MAX} DAGs have everything");
}

#[test]
fn a_thousand_orders_agree_with_garbage_collected_after_three_rounds() {
    a_thousand_orders_of_dags_with(3);
}

#[test]
fn a_thousand_orders_agree_with_garbage_collected_after_four_rounds() {
    a_thousand_orders_of_dags_with(4);
}

#[test]
fn a_thousand_orders_agree_with_garbage_collected_after_five_rounds() {
    a_thousand_orders_of_dags_with(5);
}

#[test]
fn a_thousand_orders_agree_with_garbage_collected_after_six_rounds() {
    a_thousand_orders_of_dags_with(6);
}

#[test]
fn some_orders_of_many_dags_agree() {
    for seed in 10_000..10_200 {
        let mut random = Random::new(seed);
        let shape = Shape::of(&mut random);
        let config = tight_config(&mut random);
        let dag = RandomDag::new(&shape, &mut random);
        every_order_agrees(&dag, &config, 8, &mut random);
    }
}

/// One late try over all rounds so far often ends with slots that are skipped. Another at once finds nothing, and one
/// behind the rest of the DAG goes on from there.
#[test]
fn a_late_try_that_ends_in_skipped_slots_is_gone_on_from() {
    let mut ends_in_skip = 0;
    for seed in 30_000..30_020 {
        let mut random = Random::new(seed);
        let mut shape = Shape::of(&mut random);
        shape.avoid_leader_percent = 60;
        let config = tight_config(&mut random);
        let dag = RandomDag::new(&shape, &mut random);
        let expected = Oracle::new(&dag.context, &config, &dag.vertices).commits();
        for cut in 1..shape.rounds {
            let below = dag.vertices.partition_point(|v| v.round() <= Round(cut));
            let (below, above) = dag.vertices.split_at(below);
            let oracle = Oracle::new(&dag.context, &config, below);
            ends_in_skip += usize::from(oracle.ends_in_skip());
            let mut core = core(&dag.context, &config);
            let mut committed = feed_with(&mut core, below, |_| Vec::new());
            assert_eq!(said(&committed), oracle.commits(), "seed {seed}, cut {cut}");
            assert!(
                core.try_commit(0).0.is_empty(),
                "a second try finds nothing"
            );
            committed.extend(feed_with(&mut core, above, |_| Vec::new()));
            assert_eq!(said(&committed), expected, "seed {seed}, cut {cut}");
        }
    }
    assert!(ends_in_skip > 50, "{ends_in_skip}");
}

/// Of more than two versions of a slot a node keeps those that it needs, so at its upper end the DAG may differ from
/// node to node. What is committed does not.
#[test]
fn every_order_of_many_versions_agrees_as_far_as_it_goes() {
    let mut lengths = 0;
    for seed in 20_000..20_150 {
        let mut random = Random::new(seed);
        let mut shape = Shape::of(&mut random);
        shape.equivocators = (shape.size - 1) / 3;
        shape.silent = 0;
        shape.versions_max = 6;
        let config = tight_config(&mut random);
        let dag = RandomDag::new(&shape, &mut random);
        let expected = Oracle::new(&dag.context, &config, &dag.vertices).commits();
        for window in [3, 30, dag.vertices.len()] {
            let committed = deliver(&dag, &config, Tries::AfterEach, window, &mut random);
            assert_eq!(
                committed,
                expected[..committed.len().min(expected.len())],
                "seed {seed}, window {window}: {shape:?} {config:?}"
            );
            lengths += committed.len();
        }
    }
    assert!(lengths > 2_000, "they commit: {lengths}");
}
