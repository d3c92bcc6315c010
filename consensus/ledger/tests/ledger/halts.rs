//! Governance, live time, and the block that resumes a halted chain.

use crate::slashing::equivocation;
use crate::validators::update;
use crate::world::{BLOCK_MS, EPOCH_MS, START, UNBONDING_MS, World, genesis_state, name};
use holdfast_ledger::LedgerError;
use holdfast_types::test_util::CHAIN;
use holdfast_types::test_util::parameters::{
    GOVERNANCE_THRESHOLD, GOVERNOR_KEY, governed, governor_keys,
};
use holdfast_types::{
    Action, BlockId, ChainProperties, Era, Event, GovernanceAction, GovernanceMessage, Governors,
    HaltId, Height, SoftwareVersion, StateRoot, TimestampMs,
};
use proptest::prelude::*;

fn governors(world: &World) -> Governors {
    let governors = holdfast_ledger::governors(&world.state).expect("the state reads");
    governors.expect("genesis is applied")
}

fn message(sequence: u64, action: GovernanceAction) -> GovernanceMessage {
    governed(GOVERNOR_KEY, sequence, action)
}

fn halt(sequence: u64, until: TimestampMs) -> GovernanceMessage {
    let action = GovernanceAction::Halt {
        reason: b"a drill".to_vec(),
        until,
        after_height: None,
    };
    message(sequence, action)
}

fn resume(sequence: u64, halts: &[HaltId]) -> GovernanceMessage {
    let action = GovernanceAction::Resume {
        reason: Vec::new(),
        era: Era(1),
        height: Height(1),
        block: BlockId::default(),
        state_root: StateRoot::default(),
        minimum_version: SoftwareVersion {
            major: 0,
            minor: 0,
            patch: 0,
        },
        halts: halts.to_vec(),
        evidence: Vec::new(),
    };
    message(sequence, action)
}

fn executed(message: &GovernanceMessage) -> Event {
    Event::GovernanceExecuted {
        sequence: message.body.sequence,
        message: message.body.id(&CHAIN),
    }
}

#[test]
fn the_governors_begin_as_the_parameters_name_them_and_a_rotation_replaces_them() {
    let mut world = World::new(4);
    let first = Governors::at_genesis(&governor_keys(GOVERNOR_KEY), GOVERNANCE_THRESHOLD);
    assert_eq!(governors(&world), first);
    let keys = governor_keys(950);
    let rotation = message(
        4,
        GovernanceAction::RotateKeys {
            keys: keys.clone(),
            threshold: 3,
        },
    );
    assert_eq!(world.govern(&rotation).events, [executed(&rotation)]);
    let rotated = Governors {
        keys,
        threshold: 3,
        sequence: 4,
    };
    assert_eq!(governors(&world), rotated);
    // Its number was used, and so was every lower one.
    for used in [rotation, halt(3, TimestampMs::MAX)] {
        assert_eq!(world.govern(&used).events, []);
        assert_eq!(governors(&world), rotated);
    }
}

#[test]
fn a_halt_is_recorded_and_so_is_that_it_ended_by_itself() {
    let mut world = World::new(4);
    world.block(&[]);
    let open = halt(1, TimestampMs::MAX);
    let halted = |message: &GovernanceMessage, height| Event::ChainHalted {
        halt: HaltId::of_message(message.body.id(&CHAIN)),
        height: Height(height),
    };
    assert_eq!(
        world.govern(&open).events,
        [halted(&open, 1), executed(&open)]
    );
    assert_eq!(governors(&world).sequence, 1);
    // The end comes with the block of that time, not before.
    let at = world.now.plus(BLOCK_MS);
    let ended = halt(2, at);
    let resumed = Event::ChainResumed {
        message: ended.body.id(&CHAIN),
        era: Era(1),
    };
    assert_eq!(
        world.govern(&ended).events,
        [halted(&ended, 2), resumed, executed(&ended)]
    );
    let later = halt(3, world.now.plus(BLOCK_MS + 1));
    assert_eq!(
        world.govern(&later).events,
        [halted(&later, 3), executed(&later)]
    );
    assert_eq!(world.properties().era, Era(1));
}

#[test]
fn a_resume_that_an_ordinary_block_carries_does_nothing() {
    let mut world = World::new(4);
    let outcome = world.govern(&resume(1, &[]));
    assert_eq!((outcome.events, outcome.era_end), (Vec::new(), None));
    assert_eq!(governors(&world).sequence, 0);
}

#[test]
fn evidence_comes_before_governance_and_governance_before_releases() {
    let mut world = World::new(4);
    let message = resume(1, &[]);
    let evidence = [(equivocation(Era(1), 0, 5), name("validator-0"))];
    let outcome = world
        .try_resume(1, &message, &evidence)
        .expect("it executes");
    assert!(matches!(outcome.events[0], Event::Slashed { .. }));
    assert!(matches!(outcome.events[2], Event::ChainResumed { .. }));
    let mut world = World::new(4);
    let validator = name("validator-0");
    for action in [
        Action::Stake {
            validator,
            amount: 1_000,
        },
        Action::Unstake {
            validator,
            amount: 1_000,
        },
    ] {
        world.must("alice", action);
    }
    let outcome = world
        .try_resume(UNBONDING_MS, &message, &[])
        .expect("it executes");
    assert!(matches!(outcome.events[0], Event::ChainResumed { .. }));
    assert!(matches!(
        outcome.events[2],
        Event::UnbondingCompleted { .. }
    ));
}

#[test]
fn a_resume_ends_the_era_without_the_offenders_and_leaves_the_epoch_alone() {
    let mut world = World::new(4);
    let vote = ChainProperties {
        transaction_fee: 20,
        byte_fee: 0,
        account_creation_fee: 3,
    };
    for number in 0..4 {
        let action = Action::VoteProperties { properties: vote };
        world.must(&format!("validator-{number}"), action);
    }
    let before = world.properties();
    let halts = [HaltId::new([1; 32]), HaltId::new([2; 32])];
    let message = resume(7, &halts);
    let evidence = [(equivocation(Era(1), 2, 5), name("validator-2"))];
    let outcome = world
        .try_resume(1, &message, &evidence)
        .expect("it executes");
    let halted = halts.map(|halt| Event::ChainHalted {
        halt,
        height: Height(4),
    });
    let resumed = Event::ChainResumed {
        message: message.body.id(&CHAIN),
        era: Era(2),
    };
    let ended = Event::EraEnded {
        era: Era(1),
        next_era: Era(2),
    };
    let [halted_first, halted_second] = halted;
    assert_eq!(
        outcome.events[2..],
        [
            halted_first,
            halted_second,
            resumed,
            executed(&message),
            ended
        ]
    );
    let committee = outcome.era_end.expect("the era ends").committee;
    let members: Vec<_> = committee.members().iter().map(|one| one.account).collect();
    assert_eq!(
        members,
        ["validator-0", "validator-1", "validator-3"].map(name)
    );
    let after = world.properties();
    assert_eq!(after.era, Era(2));
    assert_eq!(
        (after.epoch, after.epoch_start),
        (before.epoch, before.epoch_start)
    );
    assert_eq!(after.properties, before.properties);
    assert_eq!(governors(&world).sequence, 7);
    // The epoch ends when it would have ended, with the vote.
    let outcome = world.end_epoch();
    assert!(
        outcome
            .events
            .contains(&Event::PropertiesChanged { properties: vote })
    );
    assert_eq!(world.now, START.plus(EPOCH_MS));
    assert_eq!(
        (world.properties().era, world.properties().epoch),
        (Era(3), 2)
    );
}

#[test]
fn a_resume_ends_the_epoch_whose_time_is_over() {
    let mut world = World::new(4);
    let outcome = world
        .try_resume(EPOCH_MS, &resume(1, &[]), &[])
        .expect("it executes");
    assert!(outcome.era_end.is_some());
    let properties = world.properties();
    assert_eq!((properties.era, properties.epoch), (Era(2), 2));
    assert_eq!(properties.epoch_start, world.now);
}

#[test]
fn a_resume_that_jails_all_candidates_keeps_the_committee() {
    let mut world = World::new(2);
    world.must("validator-0", update(None));
    let before = world.committee.clone();
    let evidence = [(equivocation(Era(1), 1, 1), name("validator-1"))];
    let outcome = world
        .try_resume(1, &resume(1, &[]), &evidence)
        .expect("it executes");
    assert_eq!(outcome.era_end.map(|end| end.committee), Some(before));
}

#[test]
fn a_resume_supports_nothing_and_the_next_era_supports_it() {
    let mut world = World::new(4);
    for _ in 0..3 {
        world.block(&[]);
    }
    let outcome = world
        .try_resume(1, &resume(1, &[]), &[])
        .expect("it executes");
    assert_eq!(outcome.lib, Height(0));
    assert_eq!(world.block(&[]).lib, Height(4));
}

#[test]
fn what_is_no_resume_or_was_used_makes_no_resume_block() {
    let mut world = World::new(4);
    let used = halt(5, TimestampMs::MAX);
    world.govern(&used);
    for message in [halt(6, TimestampMs::MAX), resume(5, &[]), resume(4, &[])] {
        let error = world
            .try_resume(1, &message, &[])
            .expect_err("a mistake of the caller");
        assert!(matches!(
            error,
            LedgerError::WrongBlock {
                field: "governance message",
                ..
            }
        ));
    }
    world
        .try_resume(1, &resume(6, &[]), &[])
        .expect("it executes");
}

/// A world in which more than five seconds without a block are no live time.
fn world_that_stalls() -> World {
    let mut state = genesis_state(4);
    state.parameters.stall.timeout_ms = 5_000;
    World::from_genesis(&state)
}

fn live_time(world: &World) -> TimestampMs {
    let properties = world.properties();
    properties.live_time(properties.timestamp)
}

#[test]
fn time_without_blocks_is_live_up_to_the_timeout_of_a_stall() {
    let mut world = world_that_stalls();
    // The first block after genesis is no exception.
    for (step_ms, live_ms) in [
        (60_000, 5_000),
        (5_000, 10_000),
        (5_001, 15_000),
        (1, 15_001),
    ] {
        world.execute(step_ms, &[], &[], &[]);
        assert_eq!(live_time(&world), START.plus(live_ms));
    }
    assert_eq!(world.properties().halted_ms, 55_001);
}

#[test]
fn unbonding_and_jail_stand_still_while_the_chain_is_stopped() {
    let mut world = world_that_stalls();
    let validator = name("validator-0");
    let amount = 1_000;
    world.must("alice", Action::Stake { validator, amount });
    world.must("alice", Action::Unstake { validator, amount });
    let evidence = [(equivocation(Era(1), 1, 1), name("validator-1"))];
    world.execute(BLOCK_MS, &[], &[], &evidence);
    let jailed_until = world.validator("validator-1").jailed_until;
    // A long halt ends with its resume, which alone would have released both.
    let days = 3 * 86_400_000;
    world
        .try_resume(days, &resume(1, &[]), &[])
        .expect("it executes");
    assert_eq!(world.account("alice").unbondings, 1);
    assert_eq!(world.committee.size(), 3);
    let mut blocks = 0;
    while world.account("alice").unbondings > 0 {
        world.block(&[]);
        blocks += 1;
    }
    // One block before the halt and five seconds of it are live.
    assert_eq!(blocks, (UNBONDING_MS - BLOCK_MS - 5_000) / BLOCK_MS);
    while live_time(&world) < jailed_until {
        world.execute(5_000, &[], &[], &[]);
    }
    world.end_epoch();
    assert_eq!(world.committee.size(), 4);
}

proptest! {
    #[test]
    fn live_time_never_falls_never_outruns_block_time_and_a_stop_adds_the_timeout_at_most(
        steps in proptest::collection::vec(
            prop_oneof![1u64..5_002, 1u64..10 * EPOCH_MS, Just(u64::MAX / 1_000)],
            1..40,
        ),
    ) {
        let mut world = world_that_stalls();
        for step_ms in steps {
            let before = live_time(&world);
            world.execute(step_ms, &[], &[], &[]);
            let passed = live_time(&world).0.checked_sub(before.0);
            prop_assert_eq!(passed, Some(step_ms.min(5_000)));
        }
    }
}
