//! Any order of delivery gives the same commits (FAULTS F14), however often and however late a commit is tried (F19).

use crate::harness::{Random, Said, Vertices, core, feed, feed_with, said};
use crate::oracle::Oracle;
use crate::random_dag::{RandomDag, Shape, tight_config};
use holdfast_dag::{DagConfig, DagCore};
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

fn every_order_agrees(first_seed: u64, dags: u64, orders: usize) {
    for seed in first_seed..first_seed + dags {
        let mut random = Random::new(seed);
        let shape = Shape::of(&mut random);
        let mut config = tight_config(&mut random);
        let dag = RandomDag::new(&shape, &mut random);
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
            let committed = deliver(&dag, &config, tries, window, &mut random);
            assert_eq!(
                committed, expected,
                "seed {seed}, order {order}, {tries:?}, window {window}: {shape:?} {config:?}"
            );
        }
    }
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

#[test]
fn every_order_gives_the_same_commits_seeds_0() {
    every_order_agrees(0, 10, 200);
}

#[test]
fn every_order_gives_the_same_commits_seeds_1() {
    every_order_agrees(1_000, 10, 200);
}

#[test]
fn every_order_of_many_dags_gives_the_same_commits() {
    every_order_agrees(10_000, 200, 8);
}
