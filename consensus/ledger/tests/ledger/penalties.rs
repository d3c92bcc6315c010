//! Penalties for absence (`src/penalty.rs`), rules A1 to A4.

use crate::emergency::activate;
use crate::emergency_exit::resume;
use crate::epochs::three_more_candidates;
use crate::validators::update;
use crate::world::{BLOCK_MS, EPOCH_MS, MIN_STAKE, World, name};
use holdfast_ledger::penalty::{ABSENCE_EPOCHS, ABSENCE_PERCENT};

/// So many blocks of an era, and who has supported none of them is absent: LIB is one block behind, and the limit is 60.
const ENOUGH: u64 = 62;

/// Blocks that all members but these support.
fn blocks_without(world: &mut World, count: u64, absent: &[&str]) {
    for _ in 0..count {
        let mut supports = world.supports(world.properties().height);
        for account in absent {
            let authority = world.authority(account);
            supports.retain(|support| support.authority != authority);
        }
        world.execute(1, &[], &supports, &[]);
    }
}

/// An epoch in which these are absent.
fn absent_for_an_epoch(world: &mut World, absent: &[&str]) {
    blocks_without(world, ENOUGH, absent);
    world.end_epoch();
}

fn penalty(world: &World, number: u16) -> u8 {
    world
        .validator(&format!("validator-{number}"))
        .penalty_percent
}

#[test]
fn a1_who_supports_nothing_of_the_last_60_blocks_of_an_epoch_is_absent() {
    for (count, expected) in [(ENOUGH - 1, 0), (ENOUGH, ABSENCE_PERCENT)] {
        let mut world = World::new(7);
        blocks_without(&mut world, count, &["validator-2", "validator-5"]);
        world.end_epoch();
        for number in 0..7 {
            let is_absent = number == 2 || number == 5;
            let expected = if is_absent { expected } else { 0 };
            assert_eq!(penalty(&world, number), expected, "validator {number}");
        }
    }
    // One who went away within the last 60 blocks is not.
    let mut world = World::new(7);
    blocks_without(&mut world, 40, &[]);
    blocks_without(&mut world, 40, &["validator-2"]);
    world.end_epoch();
    assert_eq!(penalty(&world, 2), 0);
    // Without a quorum LIB stands still, and nobody is blamed.
    let mut world = World::new(7);
    let absent = ["validator-0", "validator-1", "validator-2"];
    absent_for_an_epoch(&mut world, &absent);
    assert_eq!(world.properties().penalty_next, 0);
}

#[test]
fn a2_penalties_add_up_and_each_is_gone_after_eight_epochs() {
    let mut world = World::new(7);
    absent_for_an_epoch(&mut world, &["validator-2"]);
    let first = world.now;
    absent_for_an_epoch(&mut world, &["validator-2"]);
    let second = world.now;
    assert_eq!(penalty(&world, 2), 2 * ABSENCE_PERCENT);
    let stake = world.validator("validator-2").bonded;
    assert_eq!(stake.amount, 2 * MIN_STAKE, "it takes no stake");
    for (since, left) in [(first, 1), (second, 0)] {
        let over = since.plus(ABSENCE_EPOCHS * EPOCH_MS);
        let before_ms = over.since(world.now) - 1;
        world.execute(before_ms, &[], &[], &[]);
        assert_eq!(penalty(&world, 2), (left + 1) * ABSENCE_PERCENT);
        world.execute(1, &[], &[], &[]);
        assert_eq!(penalty(&world, 2), left * ABSENCE_PERCENT);
    }
}

#[test]
fn a2_of_more_candidates_than_slots_the_penalised_come_last() {
    let mut world = World::new(7);
    absent_for_an_epoch(&mut world, &["validator-2", "validator-5"]);
    let over = world.now.plus(ABSENCE_EPOCHS * EPOCH_MS);
    three_more_candidates(&mut world);
    let penalised = [name("validator-2"), name("validator-5")];
    let mut returned = 0;
    for _ in 0..4 * ABSENCE_EPOCHS {
        let committee = world.end_epoch().era_end.expect("an end").committee;
        assert_eq!(committee.size(), 7);
        let is_penalised = |account| committee.authority_of_account(account).is_some();
        let found = penalised.iter().filter(|one| is_penalised(one)).count();
        if world.now < over {
            assert_eq!(found, 0, "eight others are there for seven slots");
        }
        returned += found;
    }
    assert!(returned > 0, "a penalty is no exclusion for ever");
}

#[test]
fn a3_an_era_that_ends_with_a_halt_penalises_nobody() {
    let mut world = World::new(7);
    blocks_without(&mut world, 2 * ENOUGH, &["validator-2"]);
    let message = resume(&world);
    world
        .try_resume(EPOCH_MS, &message, &[])
        .expect("it resumes");
    assert_eq!(world.properties().epoch, 2, "the epoch was over, too");
    assert_eq!(world.properties().penalty_next, 0);
}

#[test]
fn a4_an_emergency_begins_with_a_clean_slate() {
    let mut world = World::new(7);
    absent_for_an_epoch(&mut world, &["validator-2", "validator-5"]);
    // No candidate any more, so activation takes no key from it.
    world.must("validator-5", update(None));
    world.execute(BLOCK_MS, &[], &[], &[]);
    assert_eq!(penalty(&world, 5), ABSENCE_PERCENT);
    activate(&mut world, 0);
    for number in 0..7 {
        assert_eq!(penalty(&world, number), 0);
    }
    let properties = world.properties();
    assert_eq!(properties.penalty_first, 2);
    assert_eq!(properties.penalty_next, 2, "nothing is left to expire");
}
