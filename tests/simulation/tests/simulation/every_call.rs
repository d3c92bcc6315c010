//! A node dies before and after every call to its disk (FAULTS F1, F12, F13). The calls are numbered, and what happens up
//! to one of them is the same each time, so that none is left out.

use crate::scenarios::{plan, sound};
use holdfast_dag::DagCore;
use holdfast_ledger::dynamic_properties;
use holdfast_simulation::chain::{EmergencyPlan, validator_key};
use holdfast_simulation::disk::Loss;
use holdfast_simulation::keys::Scheme;
use holdfast_simulation::node::CrashPoint;
use holdfast_simulation::{Plan, World};
use holdfast_types::{Era, Round, Signer};
use std::ops::Range;

const NODE: usize = 0;
const SEED: u64 = 7;

fn loaded(validators: usize, epoch_ms: u64) -> World {
    let mut plan = plan(validators, 0);
    plan.chain.epoch_ms = epoch_ms;
    World::new(
        &Plan {
            client_pause_ms: Some((20, 60)),
            ..plan
        },
        SEED,
    )
}

fn calls(world: &World) -> u64 {
    world.node(NODE).calls
}

/// Calls from when `begins` until `ends`.
fn calls_while(
    mut world: World,
    begins: impl Fn(&World) -> bool,
    ends: impl Fn(&World) -> bool,
) -> Range<u64> {
    let mut reach = |done: &dyn Fn(&World) -> bool| {
        while !done(&world) {
            world.run(1);
            assert!(world.now_ms() < 20_000, "it never comes to that");
        }
        calls(&world)
    };
    reach(&begins)..reach(&ends)
}

fn dag(world: &World) -> &DagCore {
    let running = world.node(NODE).running.as_ref().expect("it is up");
    running.replica.dag().expect("an era runs")
}

fn dies_and_comes_back(mut world: World, number: u64, point: CrashPoint, loss: Loss) {
    world.crash_at(NODE, point, loss);
    let is_down = |world: &World| world.node(NODE).running.is_none();
    assert!(world.run_until_done(20_000, is_down), "{point:?} is missed");
    assert_eq!(calls(&world), number + 1, "{point:?} {loss:?}");
    world.run(200);
    world.heal();
    let goal = world.certified_by_any().plus(5);
    assert!(
        world.run_until_done(60_000, |world| world.is_settled_at(goal)),
        "{point:?} {loss:?}: {:?} {:?}",
        world.standing(NODE),
        world.standing(1)
    );
    sound(&world);
}

/// Dies at each of these calls; at least so many ways to die are meant to be among them.
fn dies_at_each(calls: Range<u64>, ways_min: usize, world: impl Fn() -> World) {
    let mut ways = 0;
    for number in calls.clone() {
        for point in [
            CrashPoint::BeforeCall(number),
            CrashPoint::AfterCall(number),
        ] {
            for loss in Loss::ALL {
                dies_and_comes_back(world(), number, point, loss);
                ways += 1;
            }
        }
    }
    assert!(ways >= ways_min, "{ways} ways to die at {calls:?}");
}

#[test]
fn every_call_under_load() {
    let world = || loaded(4, 3_600_000);
    let calls = calls_while(world(), |w| w.now_ms() >= 2_500, |w| w.now_ms() >= 2_800);
    dies_at_each(calls, 200, world);
}

#[test]
fn every_call_around_the_end_of_an_era() {
    let world = || loaded(4, 1_000);
    let standing = |world: &World| world.standing(NODE).expect("it is up");
    let ends = |world: &World| standing(world).is_between_eras;
    let begins =
        |world: &World| standing(world).era > Era::default() && standing(world).round > Round(2);
    let calls = calls_while(world(), ends, begins);
    // From before the last commit of the era, which ends it.
    dies_at_each(calls.start - 15..calls.end, 200, world);
}

#[test]
fn every_call_around_a_change_of_the_leader_schedule() {
    const WINDOW: u64 = 32;
    // One of them is down: it loses its slots when the window ends.
    let missing = validator_key(Scheme::Fast, 4).public_key();
    let world = || {
        let mut world = loaded(5, 3_600_000);
        world.crash(4, Loss::Nothing);
        world
    };
    let leads = |world: &World| {
        let dag = dag(world);
        let missing = dag.context().committee.authority_of_key(&missing);
        let rounds = dag.round().0..dag.round().0 + 50;
        let mut leaders = rounds.flat_map(|round| dag.schedule().leaders(Round(round)));
        leaders.any(|leader| Some(leader) == missing)
    };
    let commits = |world: &World| dag(world).last_commit_index();
    let before = |world: &World| {
        let is_near = commits(world) >= WINDOW - 3;
        assert!(!is_near || leads(world));
        is_near
    };
    let after = |world: &World| {
        let is_over = commits(world) >= WINDOW + 3;
        assert!(!is_over || !leads(world));
        is_over
    };
    let calls = calls_while(world(), before, after);
    dies_at_each(calls, 200, world);
}

/// Two of four validators are down, and the others hold the emergency key.
fn stalled() -> World {
    let mut plan = plan(4, 0);
    plan.masters = 4;
    plan.chain.emergency = Some(EmergencyPlan {
        timeout_ms: 4_000,
        interval_ms: 500,
    });
    let mut world = World::new(
        &Plan {
            client_pause_ms: Some((100, 300)),
            ..plan
        },
        SEED,
    );
    world.run(1_500);
    world.crash(2, Loss::Nothing);
    world.crash(3, Loss::Nothing);
    world
}

fn is_emergency(world: &World) -> bool {
    let properties = dynamic_properties(world.node(NODE).disk.now()).expect("it reads");
    properties.expect("it began").emergency_consensus_active
}

/// Around the block that begins an emergency (V7).
#[test]
fn every_call_around_the_beginning_of_an_emergency() {
    let head = |world: &World| world.standing(NODE).expect("it is up").head;
    let mut world = stalled();
    world.run(2_000);
    let stopped_at = head(&world);
    let goes_on = |world: &World| head(world) > stopped_at.next().next();
    let calls = calls_while(stalled(), is_emergency, goes_on);
    dies_at_each(calls.start - 6..calls.end, 50, stalled);
}

/// Around the block that ends one, and the first vertices of the era after it (V7).
#[test]
fn every_call_around_the_end_of_an_emergency() {
    let returned = || {
        let mut world = stalled();
        assert!(world.run_until_done(20_000, is_emergency));
        world.start(2);
        world.start(3);
        world
    };
    let goes_on = |world: &World| {
        let standing = world.standing(NODE).expect("it is up");
        !is_emergency(world) && !standing.is_between_eras && standing.round > Round(2)
    };
    let calls = calls_while(returned(), |world| !is_emergency(world), goes_on);
    dies_at_each(calls.start - 6..calls.end, 100, returned);
}
