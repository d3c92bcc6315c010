//! Halts on small networks: detected, held, proved, resumed.

use crate::scenarios::{plan, sound, submit};
use holdfast_chain::ChainStore as _;
use holdfast_halt::Mode;
use holdfast_ledger::validator;
use holdfast_simulation::byzantine::Fault;
use holdfast_simulation::chain::validator_account;
use holdfast_simulation::disk::Loss;
use holdfast_simulation::network::Topology;
use holdfast_simulation::{Plan, World};
use holdfast_types::{GovernanceAction, Height, Readiness};

/// A chain that one dissenter halts, as the document has it.
fn strict(validators: usize) -> Plan {
    let mut plan = plan(validators, 1);
    plan.chain.one_dissenter_halts = true;
    plan
}

fn world(validators: usize, seed: u64) -> World {
    World::new(&strict(validators), seed)
}

fn all_halted(world: &World) -> bool {
    (0..world.size()).all(|node| world.is_halted(node))
}

fn nobody_halted(world: &World) -> bool {
    (0..world.size()).all(|node| !world.is_halted(node))
}

/// Rounds of all nodes: none of them signs while these stay.
fn rounds(world: &World) -> Vec<u64> {
    let standings = (0..world.size()).filter_map(|node| world.standing(node));
    standings.map(|standing| standing.round.0).collect()
}

/// Lets a halted network stand still for `for_ms`: no vertex and no block comes of it.
fn stands_still(world: &mut World, for_ms: u64) {
    // What was under way may arrive.
    world.run(1_000);
    let (rounds_before, height) = (rounds(world), world.oracle().height());
    world.run(for_ms);
    assert_eq!(rounds(world), rounds_before);
    assert_eq!(world.oracle().height(), height);
}

fn goes_on(world: &mut World) {
    let goal = world.certified_by_any().plus(20);
    let done = world.run_until_done(60_000, |world| world.certified_by_all() >= goal);
    assert!(
        done,
        "{:?}",
        (0..world.size())
            .map(|node| world.standing(node))
            .collect::<Vec<_>>()
    );
    sound(world);
}

/// Governance resumes: every node is in the next era soon.
fn resume(world: &mut World) {
    let order = world.order_resume().expect("a quorum agrees on a block");
    assert!(world.hand_in(0, &order));
    assert!(
        world.run_until_done(20_000, nobody_halted),
        "{:?}",
        (0..world.size())
            .map(|node| (world.readiness(node), world.standing(node)))
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_halt_of_governance_holds_everywhere_and_ends_by_itself() {
    let mut world = world(4, 1);
    world.run(3_000);
    let order = world.order_halt(60_000, None);
    assert!(world.hand_in(2, &order));
    assert!(world.run_until_done(500, all_halted), "within a round");
    assert!(!world.hand_in(2, &order), "a replay does nothing");
    let queued = submit(&mut world, 1, 5);
    stands_still(&mut world, 50_000);
    assert_eq!(world.standing(1).unwrap().mempool, queued.len());
    assert!(
        world.run_until_done(10_000, nobody_halted),
        "it ends at its time"
    );
    goes_on(&mut world);
    assert!(
        world.is_settled_at(Height::ZERO),
        "what was queued is executed"
    );
}

#[test]
fn governance_resumes_before_the_end_of_its_halt() {
    let mut world = world(4, 2);
    world.run(3_000);
    let era = world.standing(0).unwrap().era;
    let order = world.order_halt(3_600_000, None);
    assert!(world.hand_in(0, &order));
    world.run(1_000);
    submit(&mut world, 3, 5);
    stands_still(&mut world, 10_000);
    resume(&mut world);
    assert_eq!(world.standing(0).unwrap().era, era.next());
    goes_on(&mut world);
    assert!(
        world.is_settled_at(Height::ZERO),
        "what was queued is executed"
    );
    assert_eq!(world.slashed_though_honest(), None);
}

#[test]
fn who_resumed_alone_comes_back_to_those_who_waited_for_the_end_of_the_halt() {
    let mut world = world(4, 3);
    world.run(3_000);
    let order = world.order_halt(20_000, None);
    assert!(world.hand_in(0, &order));
    world.run(1_000);
    world.cut(&Topology::Groups(vec![0, 0, 0, 1, 0]));
    let order = world.order_resume().expect("a quorum agrees on a block");
    assert!(world.hand_in(3, &order));
    world.run(1_000);
    assert_eq!(world.readiness(3), Some(Readiness::Ready));
    let era = world.standing(0).unwrap().era;
    world.run(20_000);
    assert!(!world.is_halted(0), "the halt is over");
    assert!(world.certified_by_any() > world.standing(3).unwrap().head);
    world.mend();
    goes_on(&mut world);
    assert_eq!(world.standing(3).unwrap().era, era);
    assert!(nobody_halted(&world));
}

#[test]
fn a_halt_with_a_height_stops_there() {
    let mut world = world(4, 3);
    world.run(3_000);
    let height = world.standing(0).unwrap().head.plus(15);
    let order = world.order_halt(3_600_000, Some(height));
    assert!(world.hand_in(0, &order));
    assert!(world.run_until_done(30_000, all_halted));
    for node in 0..world.size() {
        assert!(world.standing(node).unwrap().head >= height);
    }
    stands_still(&mut world, 5_000);
    resume(&mut world);
    goes_on(&mut world);
}

#[test]
fn a_contradictory_root_halts_all_and_its_signer_is_slashed_and_out() {
    for seed in 0..8 {
        let mut world = world(4, seed);
        world.make_byzantine(3, Fault::WrongRoot);
        assert!(
            world.run_until_done(10_000, |world| (0..3).all(|node| world.is_halted(node))),
            "seed {seed}"
        );
        let modes: Vec<Mode> = world.modes(0).unwrap().iter().collect();
        assert_eq!(modes, [Mode::HardHalt]);
        world.run(5_000);
        resume(&mut world);
        let goal = world.certified_by_any().plus(20);
        assert!(
            world.run_until_done(60_000, |world| world.certified_by_all() >= goal),
            "seed {seed}"
        );
        let tables = world.node(0).disk.now();
        let offender = validator(tables, &validator_account(3)).unwrap().unwrap();
        assert!(
            offender.offence_eras > 0,
            "seed {seed}: slashed all the same"
        );
        assert_eq!(
            tables.latest_era().unwrap().unwrap().committee.size(),
            3,
            "seed {seed}: the offender is not in the committee after the halt"
        );
        assert_eq!(world.slashed_though_honest(), None);
        sound(&world);
    }
}

#[test]
fn as_many_equivocators_as_a_fault_cannot_explain_halt_the_chain() {
    let mut world = world(7, 4);
    // f = 2: two are borne, the third makes f + 1.
    for node in [4, 5] {
        world.make_byzantine(node, Fault::Equivocator);
    }
    world.run(10_000);
    assert!(
        (0..4).all(|node| !world.is_halted(node)),
        "at threshold - 1"
    );
    world.make_byzantine(6, Fault::Equivocator);
    assert!(world.run_until_done(10_000, |world| (0..4).all(|node| world.is_halted(node))));
}

#[test]
fn a_halt_survives_the_death_of_every_node() {
    for loss in Loss::ALL {
        let mut world = world(4, 5);
        world.run(3_000);
        let order = world.order_halt(3_600_000, None);
        assert!(world.hand_in(0, &order));
        assert!(world.run_until_done(1_000, all_halted));
        let halts = world.halts_of(1);
        for node in 0..world.size() {
            world.crash(node, loss);
        }
        world.run(1_000);
        for node in 0..world.size() {
            world.start(node);
            assert_eq!(world.halts_of(node), halts, "{loss:?}");
        }
        stands_still(&mut world, 5_000);
        resume(&mut world);
        goes_on(&mut world);
    }
}

#[test]
fn who_returns_during_a_halt_learns_of_it_before_it_signs() {
    let mut world = world(4, 6);
    world.run(3_000);
    world.crash(2, Loss::Everything);
    world.run(1_000);
    let order = world.order_halt(3_600_000, None);
    assert!(world.hand_in(0, &order));
    world.run(1_000);
    let height = world.oracle().height();
    world.start(2);
    assert!(world.run_until_done(5_000, |world| world.is_halted(2)));
    stands_still(&mut world, 5_000);
    assert_eq!(world.oracle().height(), height);
    resume(&mut world);
    goes_on(&mut world);
}

#[test]
fn the_quorum_resumes_without_those_that_are_away() {
    let mut world = world(4, 7);
    world.run(3_000);
    let order = world.order_halt(3_600_000, None);
    assert!(world.hand_in(0, &order));
    world.run(2_000);
    world.crash(3, Loss::Everything);
    let order = world.order_resume().expect("three agree");
    assert!(world.hand_in(0, &order));
    let three_run = |world: &World| (0..3).all(|node| !world.is_halted(node));
    assert!(world.run_until_done(20_000, three_run));
    world.run(5_000);
    world.start(3);
    goes_on(&mut world);
    assert!(nobody_halted(&world));
}

#[test]
fn who_asks_for_newer_software_than_a_validator_has_leaves_it_out() {
    let mut world = world(4, 8);
    world.run(3_000);
    let order = world.order_halt(3_600_000, None);
    assert!(world.hand_in(0, &order));
    world.run(2_000);
    let mut order = world.order_resume().expect("all agree");
    if let GovernanceAction::Resume {
        minimum_version, ..
    } = &mut order.body.action
    {
        minimum_version.major = 9;
    }
    let order = world.message(order.body.action);
    assert!(world.hand_in(0, &order));
    world.run(10_000);
    for node in 0..4 {
        assert_eq!(world.readiness(node), Some(Readiness::OldVersion));
    }
    assert!(all_halted(&world));
    // Governance thinks again.
    resume(&mut world);
    goes_on(&mut world);
}

#[test]
fn f_plus_one_down_are_a_soft_stall_that_ends_by_itself() {
    let mut world = world(4, 9);
    world.run(3_000);
    let stalled = |world: &World, node: usize| {
        world
            .modes(node)
            .is_some_and(|modes| modes.contains(Mode::SoftStall))
    };
    world.crash(2, Loss::Nothing);
    world.run(20_000);
    assert!(!stalled(&world, 0), "a quorum is there");
    world.crash(3, Loss::Nothing);
    assert!(
        world.run_until_done(6_000, |world| stalled(world, 0) && stalled(world, 1)),
        "within 6 s"
    );
    submit(&mut world, 0, 3);
    world.run(30_000);
    assert!(!world.is_halted(0), "a soft stall orders nothing");
    world.start(3);
    assert!(
        world.run_until_done(4_000, |world| !stalled(world, 0) && !stalled(world, 1)),
        "it ends with the next commit"
    );
    world.start(2);
    goes_on(&mut world);
    assert!(world.is_settled_at(Height::ZERO));
}

#[test]
fn of_128_the_43rd_offline_is_a_soft_stall_and_its_return_ends_it() {
    let mut world = world(128, 11);
    let stalled = |world: &World, node: usize| {
        let modes = world.modes(node);
        modes.is_some_and(|modes| modes.contains(Mode::SoftStall))
    };
    let offline = |count: usize| {
        let group = |node: usize| usize::from(node < count) * (1 + node);
        Topology::Groups((0..129).map(group).collect())
    };
    world.cut(&offline(42));
    // The first leaders may all be among those that are offline.
    assert!(world.run_until_done(15_000, |world| world.certified_by_any() > Height::ZERO));
    world.cut(&offline(43));
    let all_stall = |world: &World| (43..128).all(|node| stalled(world, node));
    assert!(world.run_until_done(6_000, all_stall), "within 6 s");
    world.cut(&offline(42));
    let none_stalls = |world: &World| (42..128).all(|node| !stalled(world, node));
    assert!(
        world.run_until_done(2_000, none_stalls),
        "within 2 s of the return"
    );
    sound(&world);
}

#[test]
fn ten_equivocators_of_128_in_an_epoch_halt_all_honest_validators() {
    let mut world = world(128, 12);
    for node in 100..109 {
        world.make_byzantine(node, Fault::Equivocator);
    }
    world.run(3_000);
    let halted = |world: &World| (0..100).filter(|node| world.is_halted(*node)).count();
    assert_eq!(halted(&world), 0, "nine do not");
    assert!(world.certified_by_any() > Height::ZERO);
    world.make_byzantine(109, Fault::Equivocator);
    assert!(
        world.run_until_done(3_000, |world| halted(world) == 100),
        "{} of 100 have halted",
        halted(&world)
    );
}

#[test]
fn no_stall_is_seen_at_idle_under_load_or_at_the_change_of_an_epoch() {
    for (pause_ms, epoch_ms) in [
        (None, 3_600_000),
        (Some((5, 20)), 3_600_000),
        (Some((5, 20)), 8_000),
    ] {
        let mut plan = strict(4);
        plan.client_pause_ms = pause_ms;
        plan.chain.epoch_ms = epoch_ms;
        let mut world = World::new(&plan, 10);
        world.run(120_000);
        assert_eq!(
            world.reached().get("stalls"),
            None,
            "{pause_ms:?} {epoch_ms}"
        );
        sound(&world);
    }
}
