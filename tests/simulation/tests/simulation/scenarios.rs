//! Scenarios by name, on small networks.

use holdfast_replica::RecordStore;
use holdfast_replica::serve::vertices;
use holdfast_simulation::chain::{ChainPlan, client_account};
use holdfast_simulation::client::Client;
use holdfast_simulation::disk::Loss;
use holdfast_simulation::keys::Scheme;
use holdfast_simulation::network::{Distance, Latency, Links};
use holdfast_simulation::node::CrashPoint;
use holdfast_simulation::random::Random;
use holdfast_simulation::{LOOK_MS, Plan, Profile, World};
use holdfast_types::wire::VerticesRequest;
use holdfast_types::{Height, Round, TransactionId};

pub(crate) fn plan(validators: usize, followers: usize) -> Plan {
    Plan {
        chain: ChainPlan {
            validators,
            standby: 0,
            clients: 2,
            epoch_ms: 3_600_000,
            gc_depth: 20,
            leader_timeout_ms: 250,
            one_dissenter_halts: false,
            emergency: None,
            vote_age_ms: None,
            idle_ms: None,
            signatures: Scheme::Fast,
        },
        followers,
        twins: 0,
        masters: 0,
        links: Links {
            latency: Latency::Uniform(2, 12),
            distance: Distance::Random(0),
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            corrupt_per_mille: 0,
            slow_uplinks: None,
        },
        verification_ms: (0, 3),
        execution_ms: (1, 5),
        client_pause_ms: None,
        look_ms: LOOK_MS,
    }
}

fn world(validators: usize, followers: usize) -> World {
    World::new(&plan(validators, followers), 7)
}

/// Nothing was broken so far.
pub(crate) fn sound(world: &World) {
    assert_eq!(world.oracle().violation(), None);
}

/// How often a transaction stands in the blocks of a node.
fn ordered(world: &World, node: usize, id: &TransactionId) -> usize {
    let tables = world.node(node).disk.now();
    let blocks = tables.blocks_from(Height(1), 10_000).unwrap();
    let chain = world.chain_id();
    let transactions = blocks.iter().flat_map(|block| &block.body.transactions);
    transactions
        .filter(|transaction| transaction.body.id(&chain) == *id)
        .count()
}

/// A client's transfers through a node: their ids.
pub(crate) fn submit(world: &mut World, node: usize, count: usize) -> Vec<TransactionId> {
    let chain = world.chain_id();
    let mut client = Client::new(0, node, Scheme::Fast);
    (0..count)
        .map(|_| {
            let open = client.transfer(&chain, client_account(1), 5).clone();
            world.submit(node, open.transaction);
            open.id
        })
        .collect()
}

#[test]
fn no_quorum_no_progress_n4_and_back() {
    let mut world = world(4, 1);
    world.run(2_000);
    world.crash(2, Loss::Nothing);
    world.crash(3, Loss::Everything);
    // What was under way may end; after that nothing is certified and no block is applied.
    world.run(1_000);
    let (height, certified) = (world.oracle().height(), world.certified_by_any());
    world.run(60_000);
    assert_eq!(world.oracle().height(), height);
    assert_eq!(world.certified_by_any(), certified);
    world.start(3);
    let goal = certified.plus(20);
    assert!(
        // At idle, with a leader in four away.
        world.run_until_done(60_000, |world| world.certified_by_any() >= goal),
        "three of four are a quorum"
    );
    sound(&world);
}

#[test]
fn one_of_four_down_costs_no_progress() {
    let mut world = world(4, 0);
    world.run(2_500);
    world.crash(1, Loss::Everything);
    let goal = world.certified_by_any().plus(20);
    assert!(world.run_until_done(30_000, |world| world.certified_by_any() >= goal));
    sound(&world);
}

#[test]
fn all_restart_together_at_every_point_of_writing() {
    for size in [4, 7] {
        for point in CrashPoint::ALL {
            for loss in Loss::ALL {
                let mut world = world(size, 1);
                world.run(3_000);
                for node in 0..world.size() {
                    world.crash_at(node, point, loss);
                }
                world.run(2_000);
                let certified = world.certified_by_any();
                for node in 0..world.size() {
                    world.crash(node, loss);
                }
                world.run(500);
                for node in 0..world.size() {
                    world.start(node);
                }
                let goal = certified.plus(20);
                assert!(
                    world.run_until_done(60_000, |world| world.is_settled_at(goal)),
                    "n{size} {point:?} {loss:?}: {:?}",
                    world.standing(0)
                );
                sound(&world);
            }
        }
    }
}

#[test]
fn a_follower_hands_transactions_on() {
    let mut world = world(4, 2);
    world.run(2_000);
    let ids = submit(&mut world, 5, 10);
    let done = |world: &World| {
        let certified = world.certified_by_all();
        let executed = |id: &TransactionId| world.oracle().executed_at(id);
        ids.iter()
            .all(|id| executed(id).is_some_and(|height| height <= certified))
    };
    assert!(world.run_until_done(30_000, done));
    sound(&world);
}

#[test]
fn a_follower_hands_on_what_it_kept_over_its_own_restart() {
    let mut world = world(4, 1);
    world.run(2_000);
    for validator in 0..4 {
        world.crash(validator, Loss::Nothing);
    }
    let ids = submit(&mut world, 4, 3);
    // It has verified and stored them.
    world.run(20);
    world.crash(4, Loss::Everything);
    for node in 0..5 {
        world.start(node);
    }
    let done = |world: &World| {
        ids.iter()
            .all(|id| world.oracle().executed_at(id).is_some())
    };
    assert!(world.run_until_done(60_000, done));
    sound(&world);
}

#[test]
fn a_restart_does_not_order_own_transactions_in_flight_twice() {
    let mut world = world(4, 0);
    world.run(2_500);
    let ids = submit(&mut world, 0, 5);
    // Its next vertex carries them; before it is committed the node dies and comes back.
    let sent = world.standing(0).map(|standing| standing.round);
    world.run_until_done(1_000, |world| {
        world.standing(0).map(|standing| standing.round) > sent.map(holdfast_types::Round::next)
    });
    world.crash(0, Loss::Everything);
    world.run(20);
    world.start(0);
    world.run(15_000);
    for id in &ids {
        assert_eq!(ordered(&world, 1, id), 1, "{id:?}");
    }
    sound(&world);
}

#[test]
fn a_node_that_was_away_for_long_catches_up_by_blocks() {
    let mut world = world(4, 1);
    world.run(2_500);
    world.crash(3, Loss::Everything);
    world.crash(4, Loss::Suffix);
    let goal = world.certified_by_any().plus(120);
    assert!(world.run_until_done(200_000, |world| world.certified_by_any() >= goal));
    world.start(3);
    world.start(4);
    assert!(world.run_until_done(30_000, |world| world.is_settled_at(goal)));
    assert!(
        world
            .reached()
            .get("ranges synced")
            .is_some_and(|count| *count > 0)
    );
    sound(&world);
}

#[test]
fn no_commit_with_43_of_128_down() {
    let profile = Profile::named("committee128").expect("the profile exists");
    let mut world = World::new(&profile.plan(&mut Random::new(0)), 7);
    for node in 0..43 {
        world.crash(3 * node % 128, Loss::Nothing);
    }
    world.run(20_000);
    assert_eq!(world.reached().get("commits"), None);
    assert_eq!(world.oracle().height(), Height::ZERO);
    // With 42 it goes on.
    world.start(0);
    assert!(world.run_until_done(20_000, |world| world.certified_by_any() > Height::ZERO));
    sound(&world);
}

#[test]
fn a_vertex_asked_for_twice_is_answered_once() {
    let mut world = world(4, 0);
    world.run(3_000);
    let tables = world.node(0).disk.now();
    let era = world.standing(0).expect("the node is up").era;
    let mut held = tables
        .vertex_references(era, Round::ZERO..Round::MAX)
        .expect("the store reads");
    held.truncate(4);
    let request = VerticesRequest {
        era,
        references: held.repeat(10),
    };
    let answer = vertices(tables, &request, usize::MAX).expect("a good request");
    assert_eq!((held.len(), answer.vertices.len()), (4, 4));
}
