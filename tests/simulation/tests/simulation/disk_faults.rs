//! Disks that fail, are full, or do not read what was written (FAULTS F2, F4, C2).

use crate::scenarios::{plan, sound, submit};
use holdfast_simulation::disk::{Call, Failure, Kind, Loss, Stored};
use holdfast_simulation::{Plan, World};
use holdfast_types::{Height, TransactionId};

const NODE: usize = 3;

fn reached(world: &World, what: &str) -> u64 {
    world.reached().get(what).copied().unwrap_or_default()
}

fn is_down(world: &World) -> bool {
    world.node(NODE).running.is_none()
}

fn loaded() -> World {
    let plan = Plan {
        client_pause_ms: Some((20, 60)),
        ..plan(4, 0)
    };
    World::new(&plan, 7)
}

fn settles(world: &mut World) {
    let goal = world.certified_by_any().plus(10);
    assert!(
        world.run_until_done(60_000, |world| world.is_settled_at(goal)),
        "{:?} {:?}",
        world.standing(NODE),
        world.standing(0)
    );
    sound(world);
}

#[test]
fn a_node_ends_when_a_call_to_its_disk_fails_whichever_it_is() {
    for call in Call::ALL {
        for after in 0..5 {
            for is_done in [false, true] {
                let mut world = loaded();
                world.run(2_000);
                let failure = Failure {
                    call,
                    after,
                    is_done,
                };
                world.fail_disk(NODE, failure);
                assert!(world.run_until_done(5_000, is_down), "{failure:?}");
                assert_eq!(reached(&world, "crashes"), 1);
                world.run(300);
                // The oracle has seen that nothing was written or sent after it.
                world.heal();
                settles(&mut world);
            }
        }
    }
}

fn executed(world: &World, ids: &[TransactionId]) -> bool {
    let certified = world.certified_by_all();
    let executed = |id: &TransactionId| world.oracle().executed_at(id);
    ids.iter()
        .all(|id| executed(id).is_some_and(|height| height <= certified))
}

#[test]
fn a_full_disk_stops_the_node_each_time_and_loses_nothing() {
    let mut world = World::new(&plan(4, 0), 7);
    world.run(2_000);
    let ids = submit(&mut world, NODE, 5);
    // They are verified, queued and acknowledged.
    world.run(10);
    assert!(ids.iter().all(|id| world.node(NODE).disk.now().queues(id)));
    world.set_disk_full(NODE, true);
    for stops in 1..4 {
        assert!(world.run_until_done(5_000, is_down));
        assert_eq!(reached(&world, "stops on a full disk"), stops);
        world.start(NODE);
    }
    world.set_disk_full(NODE, false);
    world.start(NODE);
    assert!(world.run_until_done(30_000, |world| executed(world, &ids)));
    settles(&mut world);
}

#[test]
fn a_node_that_cannot_read_the_state_stops_and_syncs_again() {
    let mut world = World::new(&plan(4, 0), 7);
    world.run(2_500);
    let values = world.node(NODE).disk.now().state();
    let keys: Vec<_> = values.map(|(key, _)| key.clone()).collect();
    for key in keys {
        world.damage_record(NODE, &Stored::Value(key));
    }
    submit(&mut world, 0, 3);
    assert!(world.run_until_done(5_000, is_down));
    assert_eq!(reached(&world, "stops on damage"), 1);
    // Starting reads the state too: who the governors are, where the chain stands.
    world.start(NODE);
    assert!(is_down(&world));
    assert_eq!(reached(&world, "starts refused for damage"), 1);
    world.replace_data(NODE);
    world.start(NODE);
    settles(&mut world);
}

#[test]
fn a_node_that_cannot_read_its_vertices_does_not_start_with_fewer() {
    let mut world = loaded();
    world.run(2_500);
    for _ in 0..40 {
        world.flip_bit(NODE, Kind::Vertex);
    }
    world.run(10);
    assert!(!is_down(&world), "it has them in memory");
    world.crash(NODE, Loss::Nothing);
    world.start(NODE);
    assert!(is_down(&world));
    assert_eq!(reached(&world, "starts refused for damage"), 1);
    // The operator has given it a new folder; with it all is well again.
    world.heal();
    settles(&mut world);
}

#[test]
fn a_damaged_block_is_not_served() {
    let mut world = World::new(&plan(4, 1), 7);
    world.run(2_000);
    world.crash(4, Loss::Nothing);
    let has_blocks = |world: &World| world.certified_by_any() >= Height(10);
    assert!(world.run_until_done(60_000, has_blocks));
    let below = world.certified_by_any();
    // All but one have damaged blocks that the follower needs; what it has in the end is what the others applied.
    for node in 1..4 {
        for height in 1..=below.0 {
            world.damage_record(node, &Stored::Block(Height(height)));
        }
    }
    world.start(4);
    let caught_up = |world: &World| world.standing(4).is_some_and(|it| it.certified > below);
    assert!(world.run_until_done(120_000, caught_up));
    sound(&world);
}
