//! Agreement and liveness of a small network, and no progress where none may be.

use crate::harness::config;
use crate::network::Network;
use holdfast_types::Round;

const SIZES: [u16; 3] = [4, 7, 10];

fn max_faulty(size: u16) -> usize {
    usize::from((size - 1) / 3)
}

fn least(commits: &[usize]) -> usize {
    *commits.iter().min().expect("there are nodes")
}

#[test]
fn all_alive() {
    for (size, seed) in SIZES
        .into_iter()
        .flat_map(|size| (0..10).map(move |s| (size, s)))
    {
        let mut network = Network::new(size, &config(1), seed);
        network.run(10_000);
        let commits = network.agreed();
        assert!(
            least(&commits) > 100,
            "n = {size}, seed {seed}: {commits:?}"
        );
    }
}

#[test]
fn all_alive_with_two_leaders() {
    for seed in 0..5 {
        let mut network = Network::new(7, &config(2), seed);
        network.run(10_000);
        let commits = network.agreed();
        assert!(least(&commits) > 200, "seed {seed}: {commits:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut network = Network::new(4, &config(1), seed);
        network.links.loss_percent = 10;
        network.run(5_000);
        let commits = network.commits(0);
        commits
            .into_iter()
            .map(|said| said.digest)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// Exactly a quorum is alive. Until the silent ones are recognised their slots cost the leader timeout; after a window of
/// commits the pace is that of a healthy committee.
#[test]
fn f_are_silent() {
    for (size, seed) in SIZES
        .into_iter()
        .flat_map(|size| (0..5).map(move |s| (size, s)))
    {
        let mut network = Network::new(size, &config(1), seed);
        let alive = usize::from(size) - max_faulty(size);
        for node in alive..usize::from(size) {
            network.crash(node);
        }
        network.run(30_000);
        let commits = network.agreed();
        assert!(
            least(&commits[..alive]) > 250,
            "n = {size}, seed {seed}: {commits:?}"
        );
        let times = network.commit_times(0);
        let slowest = times
            .windows(2)
            .skip(100)
            .map(|pair| pair[1] - pair[0])
            .max();
        assert!(
            slowest < Some(250),
            "n = {size}, seed {seed}: {slowest:?} ms between commits"
        );
    }
}

#[test]
fn one_leader_falls_silent_and_comes_back() {
    for (size, seed) in SIZES
        .into_iter()
        .flat_map(|size| (0..5).map(move |s| (size, s)))
    {
        let mut network = Network::new(size, &config(1), seed);
        network.run(3_000);
        network.crash(1);
        network.run(3_000);
        network.start(1);
        let before = network.agreed();
        network.run(5_000);
        let after = network.agreed();
        assert!(
            least(&after) > before[0] + 20,
            "n = {size}, seed {seed}: {before:?} {after:?}"
        );
        assert!(after[1] + 5 > after[0], "it has caught up: {after:?}");
    }
}

#[test]
fn with_f_plus_one_crashed_nothing_is_committed_until_one_is_back() {
    for (size, seed) in SIZES
        .into_iter()
        .flat_map(|size| (0..5).map(move |s| (size, s)))
    {
        let mut network = Network::new(size, &config(1), seed);
        network.run(2_000);
        for node in 0..=max_faulty(size) {
            network.crash(node);
        }
        // What is on the way arrives.
        network.run(1_000);
        let stopped = network.agreed();
        let round = network.core(usize::from(size) - 1).round();
        network.run(60_000);
        assert_eq!(network.agreed(), stopped, "n = {size}, seed {seed}");
        assert_eq!(network.core(usize::from(size) - 1).round(), round);
        network.start(0);
        network.run(5_000);
        let resumed = network.agreed();
        let alive = max_faulty(size) + 1;
        assert!(
            least(&resumed[alive..]) > stopped[alive] + 10,
            "n = {size}, seed {seed}"
        );
        assert!(
            resumed[0] > stopped[alive],
            "n = {size}, seed {seed}: {resumed:?}"
        );
    }
}

#[test]
fn a_third_of_all_messages_is_lost() {
    for (size, seed) in SIZES
        .into_iter()
        .flat_map(|size| (0..5).map(move |s| (size, s)))
    {
        let mut network = Network::new(size, &config(1), seed);
        network.links.loss_percent = 30;
        network.run(30_000);
        let commits = network.agreed();
        assert!(least(&commits) > 20, "n = {size}, seed {seed}: {commits:?}");
    }
}

#[test]
fn a_partition_heals() {
    for (size, seed) in SIZES
        .into_iter()
        .flat_map(|size| (0..5).map(move |s| (size, s)))
    {
        let mut network = Network::new(size, &config(1), seed);
        network.run(1_000);
        network.links.groups = Some((0..usize::from(size)).map(|node| node % 2).collect());
        network.run(1_000);
        let stopped = network.agreed();
        network.run(10_000);
        assert_eq!(
            network.agreed(),
            stopped,
            "n = {size}, seed {seed}: no half is a quorum"
        );
        network.links.groups = None;
        network.run(5_000);
        let commits = network.agreed();
        assert!(
            least(&commits) > stopped[0] + 20,
            "n = {size}, seed {seed}: {commits:?}"
        );
    }
}

#[test]
fn all_crash_at_once_and_come_back() {
    for (size, seed) in SIZES
        .into_iter()
        .flat_map(|size| (0..10).map(move |s| (size, s)))
    {
        let mut network = Network::new(size, &config(1), seed);
        network.run(1_500 + 7 * seed);
        let before = network.agreed();
        for node in 0..usize::from(size) {
            network.crash(node);
        }
        network.run(100);
        for node in 0..usize::from(size) {
            network.start(node);
        }
        network.run(5_000);
        let after = network.agreed();
        assert!(
            least(&after) > before[0] + 20,
            "n = {size}, seed {seed}: {after:?}"
        );
    }
}

/// Nothing here has blocks to give: f members may order and never attest, and then no block is certified while as many honest
/// ones are away. They come back by the DAG, however far it went, and at gc depths at which one slow answer is a gap.
#[test]
fn f_that_missed_many_rounds_get_back_by_the_dag_alone() {
    for (size, gc_depth) in SIZES.into_iter().flat_map(|size| [(size, 3), (size, 60)]) {
        let mut config = config(1);
        config.gc_depth = gc_depth;
        config.rounds_ahead_max = gc_depth;
        let mut network = Network::new(size, &config, 7);
        network.run(2_000);
        let away = max_faulty(size);
        let groups = (0..usize::from(size)).map(|node| usize::from(node < away));
        network.links.groups = Some(groups.collect());
        network.run(30_000);
        let missed = network.agreed();
        assert!(
            missed[away] > missed[0] + 250,
            "n = {size}, gc depth {gc_depth}: {missed:?}"
        );
        network.links.groups = None;
        network.run(3_000);
        let back = network.agreed();
        assert!(
            least(&back) > missed[away] + 20,
            "n = {size}, gc depth {gc_depth}: {missed:?} {back:?}"
        );
    }
}

#[test]
fn f_equivocators_divide_nobody() {
    for (size, seed) in SIZES
        .into_iter()
        .flat_map(|size| (0..5).map(move |s| (size, s)))
    {
        let mut network = Network::new(size, &config(1), seed);
        network.equivocators = max_faulty(size);
        network.run(20_000);
        let commits = network.agreed();
        assert!(least(&commits) > 50, "n = {size}, seed {seed}: {commits:?}");
    }
}

#[test]
fn an_idle_network_rests_and_wakes_on_a_transaction() {
    for seed in 0..10 {
        let mut network = Network::new(4, &config(1), seed);
        network.busy = false;
        network.run(20_000);
        let idle_rounds = network.core(0).round();
        assert!(idle_rounds > Round(15), "it goes on: {idle_rounds}");
        assert!(idle_rounds < Round(25), "once a second: {idle_rounds}");
        // At any time within the interval.
        network.run(100 * seed);
        let submitted_ms = network.now_ms;
        network.submit(2);
        network.run(1_000);
        for node in 0..4 {
            let commits = network.commits(node);
            let times = network.commit_times(node);
            let with_payload = commits
                .iter()
                .zip(times)
                .filter(|(_, at)| *at > submitted_ms);
            assert!(
                with_payload.count() > 5,
                "seed {seed}, node {node}: a burst of rounds"
            );
        }
        network.run(20_000);
        let rested = network.core(0).round();
        assert!(
            rested < Round(idle_rounds.0 + 45),
            "and rests again: {rested}"
        );
        network.agreed();
    }
}
