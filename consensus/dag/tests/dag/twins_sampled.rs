//! Twins (FAULTS F16 to F18): f validators run twice, and the network is divided at random in each of eight rounds. Garbage
//! is collected after few rounds, so that vertices of twins come on both sides of it.
//!
//! Some thousand runs always; twenty times as many with `HOLDFAST_TWINS=exhaustive` in the environment.

use crate::harness::{Random, config};
use crate::lockstep::{Lockstep, Tally, Telling};
use crate::twins::is_exhaustive;
use holdfast_types::AuthorityIndex;

const SCRIPTED_ROUNDS: usize = 8;
/// Runs of a test in the long run, for each one that it always has.
const LONG_RUN_FACTOR: u64 = 20;

fn run(size: u16, random: &mut Random) -> Tally {
    let mut config = config(u16::try_from(random.between(1, 3)).expect("small"));
    config.gc_depth = random.between(3, 6) as u64;
    config.reputation_window = random.between(2, 8) as u64;
    let mut authorities: Vec<AuthorityIndex> = (0..size).map(AuthorityIndex).collect();
    random.shuffle(&mut authorities);
    authorities.truncate(usize::from((size - 1) / 3));
    let mut world = Lockstep::new(size, &authorities, &config);
    let telling = [Telling::New, Telling::All][random.below(2)];
    for _ in 0..SCRIPTED_ROUNDS {
        let groups = partition(world.len(), random);
        world.step(&groups, telling);
    }
    world.heal()
}

/// One to three groups, the first of them often with a quorum.
fn partition(processes: usize, random: &mut Random) -> Vec<usize> {
    let groups = random.between(1, 3);
    (0..processes)
        .map(|_| {
            if random.percent(60) {
                0
            } else {
                random.below(groups)
            }
        })
        .collect()
}

fn runs(size: u16, samples: u64) {
    let mut tally = Tally::default();
    let factor = if is_exhaustive() { LONG_RUN_FACTOR } else { 1 };
    for seed in 0..samples * factor {
        tally.add(&run(size, &mut Random::new(seed)));
    }
    let runs = tally.runs;
    assert!(tally.divided > runs / 2, "{tally:?}");
    assert!(tally.committed_early > runs / 2, "{tally:?}");
    assert!(tally.uneven > runs / 20, "{tally:?}");
    assert!(tally.doubled_leaders > runs, "{tally:?}");
    assert!(tally.doubled_too_late > runs / 2, "{tally:?}");
    assert!(tally.ordered_twice > runs, "{tally:?}");
    assert!(tally.healed_rounds < 8 * runs, "{tally:?}");
}

#[test]
fn one_twin_of_four() {
    runs(4, 1_000);
}

#[test]
fn two_twins_of_seven() {
    runs(7, 1_000);
}

#[test]
fn three_twins_of_ten() {
    runs(10, 500);
}
