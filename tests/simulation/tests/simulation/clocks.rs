//! Wall clocks that are wrong (FAULTS F28, F29).

use crate::scenarios::{plan, sound};
use holdfast_simulation::World;
use holdfast_simulation::chain::START;
use holdfast_types::Height;

const HOUR_MS: u64 = 3_600_000;
const MAX_DRIFT_MS: u64 = 1_000;

fn world() -> World {
    let mut world = World::new(&plan(4, 0), 7);
    world.run(2_000);
    world
}

/// Sets the clocks of the last validators.
fn set(world: &mut World, count: usize, ahead_ms: i64) {
    for node in 4 - count..4 {
        world.set_clock(node, ahead_ms);
    }
}

fn goes_on(world: &mut World, for_ms: u64) -> bool {
    let goal = world.certified_by_any().plus(20);
    world.run_until_done(for_ms, |world| world.certified_by_any() >= goal)
}

/// How far the last block is ahead of the true time.
fn last_block_ahead_ms(world: &World) -> u64 {
    let tables = world.node(0).disk.now();
    let blocks = tables.blocks_from(Height(1), 10_000).unwrap();
    let last = blocks.last().expect("there are blocks");
    last.header.timestamp.since(START.plus(world.now_ms()))
}

#[test]
fn one_of_four_clocks_may_be_wrong_in_any_way() {
    let upsets: [fn(&mut World); 5] = [
        |world| set(world, 1, HOUR_MS.cast_signed()),
        |world| set(world, 1, -HOUR_MS.cast_signed()),
        |world| world.freeze_clock(3),
        |world| world.let_clock_drift(3, 200_000),
        |world| world.let_clock_drift(3, -200_000),
    ];
    for upset in upsets {
        let mut world = world();
        upset(&mut world);
        assert!(goes_on(&mut world, 30_000));
        world.run(20_000);
        assert!(last_block_ahead_ms(&world) <= MAX_DRIFT_MS);
        assert!(goes_on(&mut world, 30_000));
        sound(&world);
    }
}

#[test]
fn with_more_than_f_clocks_behind_nothing_goes_on_until_they_are_right() {
    let mut world = world();
    set(&mut world, 2, -HOUR_MS.cast_signed());
    // What was under way may end.
    world.run(2_000);
    assert!(!goes_on(&mut world, 60_000));
    set(&mut world, 2, 0);
    assert!(goes_on(&mut world, 30_000));
    sound(&world);
}

#[test]
fn with_more_than_f_clocks_ahead_nothing_goes_on_until_what_they_dated_has_come() {
    let mut world = world();
    set(&mut world, 2, HOUR_MS.cast_signed());
    world.run(2_000);
    assert!(!goes_on(&mut world, 60_000));
    set(&mut world, 2, 0);
    // They have signed the round with the wrong time, and sign it once only.
    assert!(!goes_on(&mut world, 600_000));
    assert!(goes_on(&mut world, HOUR_MS));
    sound(&world);
}

#[test]
fn all_clocks_may_jump_together() {
    for ahead_ms in [HOUR_MS.cast_signed(), -HOUR_MS.cast_signed()] {
        let mut world = world();
        set(&mut world, 4, ahead_ms);
        assert!(goes_on(&mut world, 30_000));
        sound(&world);
    }
}
