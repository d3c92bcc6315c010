//! Twins (FAULTS F15): one validator of four runs twice, and the network is divided in every way that there is.
//!
//! A script gives for each of its rounds a partition of the five processes into groups, one of 52. All scripts of two rounds
//! run always, of three rounds a sample; with `HOLDFAST_TWINS=exhaustive` in the environment all of three rounds, 140,608
//! for each validator that may be the one.

use crate::harness::{Random, config};
use crate::lockstep::{Lockstep, Tally, Telling};
use holdfast_types::AuthorityIndex;

/// Enough for the slots of all scripted rounds to be decided, and for some leaders behind them.
const HEALED_ROUNDS: usize = 9;
const SAMPLES_PER_TEST: usize = 1_000;

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

fn world(twin: u16) -> Lockstep {
    Lockstep::new(4, &[AuthorityIndex(twin)], &config(1))
}

/// Runs all scripts that begin as `world` did and have `rounds` more.
fn every_script(
    world: Lockstep,
    rounds: usize,
    partitions: &[Vec<usize>],
    telling: Telling,
    tally: &mut Tally,
) {
    if rounds == 0 {
        tally.add(&world.heal(HEALED_ROUNDS));
        return;
    }
    for partition in partitions {
        let mut next = world.clone();
        next.step(partition, telling);
        every_script(next, rounds - 1, partitions, telling, tally);
    }
}

fn every_script_of_two_rounds(twin: u16) {
    for telling in [Telling::New, Telling::All] {
        let mut tally = Tally::default();
        every_script(world(twin), 2, &partitions(5), telling, &mut tally);
        assert_eq!(tally.runs, 52 * 52);
        assert!(tally.doubled > 1_000, "{tally:?}");
        std::eprintln!("{twin} {telling:?} {tally:?}");
    }
}

#[test]
fn every_script_of_two_rounds_with_twin_0() {
    every_script_of_two_rounds(0);
}

#[test]
fn every_script_of_two_rounds_with_twin_1() {
    every_script_of_two_rounds(1);
}

#[test]
fn every_script_of_two_rounds_with_twin_2() {
    every_script_of_two_rounds(2);
}

#[test]
fn every_script_of_two_rounds_with_twin_3() {
    every_script_of_two_rounds(3);
}

fn scripts_of_three_rounds(twin: u16, telling: Telling) {
    let partitions = partitions(5);
    let mut tally = Tally::default();
    if is_exhaustive() {
        every_script(world(twin), 3, &partitions, telling, &mut tally);
        assert_eq!(tally.runs, 52 * 52 * 52);
    } else {
        let mut random = Random::new(u64::from(twin));
        for _ in 0..SAMPLES_PER_TEST {
            let mut world = world(twin);
            for _ in 0..3 {
                world.step(&partitions[random.below(52)], telling);
            }
            tally.add(&world.heal(HEALED_ROUNDS));
        }
    }
    std::eprintln!("{twin} {telling:?} {tally:?}");
}

#[test]
fn scripts_of_three_rounds_that_share_what_is_new() {
    for twin in 0..4 {
        scripts_of_three_rounds(twin, Telling::New);
    }
}

#[test]
fn scripts_of_three_rounds_that_share_all() {
    for twin in 0..4 {
        scripts_of_three_rounds(twin, Telling::All);
    }
}
