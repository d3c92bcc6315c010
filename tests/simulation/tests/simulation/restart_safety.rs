//! Keys whose past is lost, and keys that run twice (rule R12 of the replica; FAULTS F5 to F8).

use crate::scenarios::{plan, sound};
use holdfast_replica::SigningState;
use holdfast_simulation::world::DiskFault;
use holdfast_simulation::{Plan, World};

const NODE: usize = 3;

fn world(validators: usize) -> World {
    World::new(&plan(validators, 0), 7)
}

fn signing(world: &World, node: usize) -> SigningState {
    world.standing(node).expect("the node is up").signing
}

/// Whether the node's own vertices are in the DAG again.
fn takes_part(world: &World, node: usize) -> bool {
    world.node(node).running.as_ref().is_some_and(|running| {
        let replica = &running.replica;
        let own = replica.dag().and_then(holdfast_dag::DagCore::own_last);
        let round = replica.dag().map(holdfast_dag::DagCore::round);
        let is_near =
            |own: holdfast_types::VertexRef| round.is_some_and(|r| r.since(own.round) < 5);
        !replica.listens() && own.is_some_and(is_near)
    })
}

fn comes_back_after(fault: DiskFault) {
    for size in [4, 7] {
        let mut world = world(size);
        world.run(3_000);
        world.copy_disk(NODE);
        world.run(3_000);
        world.damage(NODE, fault);
        world.run(1_000);
        world.start(NODE);
        assert!(
            world.run_until_done(60_000, |world| takes_part(world, NODE)),
            "n{size}: {:?}",
            world.standing(NODE)
        );
        let goal = world.certified_by_any().plus(20);
        assert!(world.run_until_done(30_000, |world| world.is_settled_at(goal)));
        // The oracle has seen no slot signed twice.
        sound(&world);
    }
}

#[test]
fn who_lost_the_data_takes_part_again() {
    comes_back_after(DiskFault::DataLost);
}

#[test]
fn who_lost_data_and_guard_takes_part_again() {
    comes_back_after(DiskFault::AllLost);
}

#[test]
fn who_was_set_back_to_a_copy_takes_part_again() {
    comes_back_after(DiskFault::SetBack);
    comes_back_after(DiskFault::DataSetBack);
}

#[test]
fn more_than_f_lost_guards_wait_for_people() {
    let mut world = world(4);
    world.run(3_000);
    for node in [2, NODE] {
        world.damage(node, DiskFault::AllLost);
        world.start(node);
    }
    let certified = world.certified_by_any();
    world.run(60_000);
    // What was under way may end. Nothing is signed twice, and so nothing goes on.
    assert!(world.certified_by_any() <= certified.plus(5));
    sound(&world);
}

fn twins(seed: u64) -> World {
    let plan = Plan {
        twins: 1,
        ..plan(4, 0)
    };
    World::new(&plan, seed)
}

fn goes_on(world: &mut World) {
    let goal = world.certified_by_any().plus(20);
    assert!(world.run_until_done(30_000, |world| world.certified_by_any() >= goal));
    sound(world);
}

#[test]
fn a_second_process_of_a_living_key_stops_before_it_signs() {
    for (seed, copied) in (0..24).flat_map(|seed| [(seed, true), (seed, false)]) {
        let mut world = twins(seed);
        world.run(3_000 + 170 * seed);
        world.start_twin(0, 4, copied);
        assert!(
            world.run_until_done(60_000, |world| {
                matches!(signing(world, 4), SigningState::Stopped(_))
            }),
            "{:?}",
            world.standing(4)
        );
        assert_eq!(signing(&world, 0), SigningState::Active);
        assert_eq!(world.reached().get("equivocations seen"), None);
        assert_eq!(world.oracle().wire.twice(), 0);
        goes_on(&mut world);
    }
}

/// Neither can hear the other before it signs. So one slot is signed twice, and then both know.
#[test]
fn two_processes_on_copies_of_a_guard_that_start_together_stop() {
    let mut conflicts = 0;
    for seed in 0..48 {
        let mut world = twins(seed);
        world.run(3_000 + 170 * seed);
        world.start_twins_together(0, 4);
        let is_over = |world: &World| {
            let states = [0, 4].map(|node| signing(world, node));
            states.iter().any(|state| *state != SigningState::Active)
        };
        assert!(world.run_until_done(60_000, is_over), "seed {seed}");
        goes_on(&mut world);
        let active = [0, 4].map(|node| signing(&world, node) == SigningState::Active);
        let twice = world.oracle().wire.twice();
        assert!(twice <= 1, "seed {seed}: {twice} slots were signed twice");
        assert!(
            active != [true, true] && (twice == 0 || active == [false, false]),
            "seed {seed}: {active:?}, {twice} slots were signed twice"
        );
        conflicts += twice;
    }
    assert!(conflicts > 0, "no seed has tried it");
}
