//! Twins (FAULTS F15): one validator of four runs twice, and the network is divided in every way that there is.
//!
//! A script gives for each of its rounds a partition of the five processes into groups, one of 52. All scripts of two rounds
//! run always, of three rounds a sample; with `HOLDFAST_TWINS=exhaustive` in the environment all of three rounds, 140,608
//! for each validator that may be the one.

use crate::harness::{Random, config};
use crate::lockstep::{Lockstep, Tally, Telling};
use holdfast_types::AuthorityIndex;
use holdfast_types::hash::Hash32;
use std::collections::BTreeMap;

/// Scripts of three rounds for each twin that always run.
const SAMPLED_SCRIPTS: usize = 800;

/// True if the long runs of twins are asked for.
pub(crate) fn is_exhaustive() -> bool {
    std::env::var_os("HOLDFAST_TWINS").is_some_and(|value| value == "exhaustive")
}

/// All partitions of so many processes: each as the group of every process, groups numbered as they first occur.
fn partitions(processes: usize) -> Vec<Vec<usize>> {
    let mut partitions = vec![Vec::new()];
    for _ in 0..processes {
        partitions = partitions
            .into_iter()
            .flat_map(|partition: Vec<usize>| {
                let groups = partition.iter().max().map_or(0, |last| last + 1);
                (0..=groups).map(move |group| [partition.as_slice(), &[group]].concat())
            })
            .collect();
    }
    partitions
}

#[test]
fn partitions_are_counted_by_bell_numbers() {
    let counts: Vec<usize> = (1..=6).map(|n| partitions(n).len()).collect();
    assert_eq!(counts, [1, 2, 5, 15, 52, 203]);
}

fn world(twin: u16, leaders: u16) -> Lockstep {
    Lockstep::new(4, &[AuthorityIndex(twin)], &config(leaders))
}

/// Runs of all scripts that go on for `rounds` from a state. Most scripts come to a state that others came to before, and
/// what follows from it is run once.
struct Scripts {
    partitions: Vec<Vec<usize>>,
    telling: Telling,
    known: BTreeMap<(usize, Hash32), Tally>,
}

impl Scripts {
    fn new(telling: Telling) -> Self {
        Self {
            partitions: partitions(5),
            telling,
            known: BTreeMap::new(),
        }
    }

    fn run(&mut self, world: Lockstep, rounds: usize) -> Tally {
        let state = (rounds, world.state());
        if let Some(tally) = self.known.get(&state) {
            return *tally;
        }
        let tally = if rounds == 0 {
            world.heal()
        } else {
            self.go_on(&world, rounds)
        };
        self.known.insert(state, tally);
        tally
    }

    fn go_on(&mut self, world: &Lockstep, rounds: usize) -> Tally {
        let mut tally = Tally::default();
        for at in 0..self.partitions.len() {
            let mut next = world.clone();
            next.step(&self.partitions[at], self.telling);
            tally.add(&self.run(next, rounds - 1));
        }
        tally
    }
}

/// How the scripts are run: with all validators leading each round, twins always do.
const VARIANTS: [(Telling, u16); 2] = [(Telling::New, 1), (Telling::All, 4)];

fn every_script(twin: u16, rounds: usize) {
    for (telling, leaders) in VARIANTS {
        let mut scripts = Scripts::new(telling);
        let tally = scripts.run(world(twin, leaders), rounds);
        assert_eq!(
            tally.runs,
            scripts
                .partitions
                .len()
                .pow(u32::try_from(rounds).expect("few"))
        );
        assert!(tally.divided > tally.runs / 5, "{tally:?}");
        assert!(tally.ordered_twice > tally.runs, "{tally:?}");
        assert!(tally.healed_rounds < 8 * tally.runs, "{tally:?}");
        let leads = tally.doubled_leaders > tally.runs;
        assert!(leads || leaders == 1, "{tally:?}");
    }
}

#[test]
fn every_script_of_two_rounds_with_twin_0() {
    every_script(0, 2);
}

#[test]
fn every_script_of_two_rounds_with_twin_1() {
    every_script(1, 2);
}

#[test]
fn every_script_of_two_rounds_with_twin_2() {
    every_script(2, 2);
}

#[test]
fn every_script_of_two_rounds_with_twin_3() {
    every_script(3, 2);
}

/// All scripts of three rounds if asked for, else a sample.
fn scripts_of_three_rounds(twin: u16) {
    if is_exhaustive() {
        every_script(twin, 3);
        return;
    }
    let partitions = partitions(5);
    let mut random = Random::new(u64::from(twin));
    let mut tally = Tally::default();
    for at in 0..SAMPLED_SCRIPTS {
        let (telling, leaders) = VARIANTS[at % VARIANTS.len()];
        let mut world = world(twin, leaders);
        for _ in 0..3 {
            world.step(&partitions[random.below(partitions.len())], telling);
        }
        tally.add(&world.heal());
    }
    assert!(tally.divided > tally.runs / 5, "{tally:?}");
    assert!(tally.committed_early > 0, "{tally:?}");
}

#[test]
fn scripts_of_three_rounds_with_twin_0() {
    scripts_of_three_rounds(0);
}

#[test]
fn scripts_of_three_rounds_with_twin_1() {
    scripts_of_three_rounds(1);
}

#[test]
fn scripts_of_three_rounds_with_twin_2() {
    scripts_of_three_rounds(2);
}

#[test]
fn scripts_of_three_rounds_with_twin_3() {
    scripts_of_three_rounds(3);
}
