//! Networks that are cut, and links that change or delay what they carry.

use crate::scenarios::{plan, sound};
use holdfast_simulation::network::{Bandwidth, Topology};
use holdfast_simulation::{Plan, World};
use holdfast_types::Height;

/// With clients, so that the network does not idle.
fn busy(validators: usize, followers: usize) -> Plan {
    Plan {
        client_pause_ms: Some((20, 100)),
        ..plan(validators, followers)
    }
}

fn world_of_seven() -> World {
    let mut world = World::new(&busy(7, 0), 7);
    world.run(2_000);
    world
}

fn certified(world: &World, node: usize) -> Height {
    world.standing(node).expect("it is up").certified
}

fn reaches(world: &mut World, goal: Height) -> bool {
    world.run_until_done(30_000, |world| world.certified_by_all() >= goal)
}

fn reached(world: &World, what: &str) -> u64 {
    world.reached().get(what).copied().unwrap_or_default()
}

#[test]
fn the_side_with_a_quorum_goes_on_and_the_other_waits() {
    let mut world = world_of_seven();
    world.cut(&Topology::Groups(vec![0, 0, 0, 0, 0, 1, 1]));
    // What was under way may end.
    world.run(1_000);
    let (minority, majority) = (certified(&world, 6), certified(&world, 0));
    world.run(10_000);
    assert_eq!(certified(&world, 5), certified(&world, 6));
    assert_eq!(certified(&world, 6), minority);
    assert!(certified(&world, 0) >= majority.plus(20));
    world.mend();
    let goal = certified(&world, 0).plus(20);
    assert!(reaches(&mut world, goal), "{:?}", world.standing(6));
    sound(&world);
}

#[test]
fn without_a_quorum_on_any_side_nothing_is_certified_until_they_meet_again() {
    for groups in [vec![0, 0, 0, 0, 1, 1, 1], vec![0, 0, 0, 1, 1, 2, 2]] {
        let mut world = world_of_seven();
        world.cut(&Topology::Groups(groups.clone()));
        world.run(1_000);
        let (height, certified) = (world.oracle().height(), world.certified_by_any());
        assert!(certified > Height::ZERO);
        world.run(20_000);
        assert_eq!(world.oracle().height(), height, "{groups:?}");
        assert_eq!(world.certified_by_any(), certified, "{groups:?}");
        world.mend();
        assert!(reaches(&mut world, certified.plus(20)), "{groups:?}");
        sound(&world);
    }
}

/// What a node hears it passes on, so all hear all, only later.
#[test]
fn a_ring_and_two_groups_with_a_bridge_go_on() {
    let groups = vec![0, 0, 0, 0, 1, 1, 1];
    for topology in [
        Topology::Ring((0..7).collect()),
        Topology::Bridge { groups, bridge: 0 },
    ] {
        let mut world = world_of_seven();
        world.cut(&topology);
        let goal = world.certified_by_any().plus(50);
        assert!(reaches(&mut world, goal), "{topology:?}");
        sound(&world);
    }
}

fn goes_on_with(plan: &Plan) -> World {
    let mut world = World::new(plan, 7);
    let went_on = reaches(&mut world, Height(50));
    sound(&world);
    assert!(went_on, "{:?}", plan.links);
    world
}

#[test]
fn what_is_changed_on_its_way_is_refused_and_harms_nobody() {
    let mut plan = busy(7, 1);
    plan.links.corrupt_per_mille = 200;
    let world = goes_on_with(&plan);
    let refused = reached(&world, "corrupted messages refused");
    assert!(refused > 1_000, "{refused}");
    // The others had lost a length or a tag.
    assert!(reached(&world, "corrupted vertices verified") > 1_000);
    assert_eq!(reached(&world, "invalid vertices refused"), 0);
}

#[test]
fn slow_uplinks_of_f_validators_do_not_stop_the_others() {
    let mut plan = busy(7, 0);
    plan.links.slow_uplinks = Some(Bandwidth { bytes_per_s: 5_000 });
    let world = goes_on_with(&plan);
    assert!(reached(&world, "messages that waited for bandwidth") > 0);
    assert!(reached(&world, "messages dropped at slow uplinks") > 0);
}
