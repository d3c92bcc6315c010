//! Emergency consensus in the state: LIB, the neutral committee, and the end, rules E7 to E11.

use crate::emergency::{
    COMMITTEE, SLOT_MS, SLOTS, TIMEOUT_MS, activate, active, judge, next_slot, produce, record,
    restore, slot, stalled, validators,
};
use crate::slashing::equivocation;
use crate::world::{EPOCH_MS, MIN_STAKE, World, failed, genesis_state, name, verified};
use holdfast_ledger::EmergencyRefusal;
use holdfast_types::test_util::parameters::{GOVERNOR_KEY, governed};
use holdfast_types::{
    Action, ChainProperties, Era, EraKind, Event, FailureCode, GovernanceAction, GovernanceMessage,
    Height, SoftwareVersion, TimestampMs,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// 75 % of the slots of the fixture.
const EXIT_SLOTS: usize = 5;

/// The order to resume on the head.
pub(crate) fn resume(world: &World) -> GovernanceMessage {
    let properties = world.properties();
    let action = GovernanceAction::Resume {
        reason: b"go on".to_vec(),
        era: properties.era,
        height: properties.height,
        block: Default::default(),
        state_root: Default::default(),
        minimum_version: SoftwareVersion::default(),
        halts: Vec::new(),
        evidence: Vec::new(),
    };
    governed(GOVERNOR_KEY, 1, action)
}

#[test]
fn e7_after_three_blocks_in_a_row_lib_follows_one_block_behind_for_ever() {
    let mut world = active();
    assert_eq!(world.properties().lib, Height(1));
    produce(&mut world, 1, COMMITTEE);
    assert_eq!(world.properties().lib, Height(1), "two are too few");
    for number in 2..3_000 {
        // The committee's slots that pass cost it nothing.
        produce(&mut world, number * 3, COMMITTEE);
        let properties = world.properties();
        assert_eq!(properties.lib, properties.height.previous());
    }
}

#[test]
fn e7_validators_that_are_registered_and_dead_do_not_hold_lib_back() {
    let mut world = active();
    restore(&mut world, 0..7);
    let nobody = BTreeSet::new();
    for _ in 0..5 * SLOTS {
        next_slot(&mut world, &nobody);
    }
    let properties = world.properties();
    assert!(
        properties.emergency_consensus_active,
        "keys alone end nothing"
    );
    assert_eq!(properties.lib, properties.height.previous());
}

#[test]
fn e7_validators_that_produce_are_waited_for() {
    let mut world = active();
    restore(&mut world, 0..4);
    let alive = validators(0..4);
    for _ in 0..6 * SLOTS {
        next_slot(&mut world, &alive);
    }
    let properties = world.properties();
    let behind = properties.height.since(properties.lib);
    assert!((1..=2 * SLOTS).contains(&behind), "{behind} blocks");
    let record = record(&world);
    let runs = record
        .producers
        .iter()
        .filter(|producer| alive.contains(&producer.account));
    assert!(runs.clone().count() == 4 && runs.clone().all(|producer| producer.run >= 3));
}

#[test]
fn e7_a_committee_that_falls_silent_does_not_hold_lib_back() {
    let mut world = active();
    restore(&mut world, 0..5);
    let alive = validators(0..4);
    for _ in 0..4 * SLOTS {
        next_slot(&mut world, &alive);
    }
    // From here on nobody has the emergency key: the slots of the committee and of the fifth stay empty.
    let mut number = record(&world).last_slot;
    for _ in 0..12 * SLOTS {
        number += 1;
        let place = judge(&world, slot(number), COMMITTEE).expect("the committee may");
        if alive.contains(&place.scheduled) {
            produce(&mut world, number, place.scheduled.as_str());
        }
    }
    let properties = world.properties();
    let behind = properties.height.since(properties.lib);
    assert!(
        (1..=8).contains(&behind),
        "{behind} blocks with four producers"
    );
}

#[test]
fn e7_a_slot_that_passes_at_the_beginning_of_a_round_is_that_of_its_owner() {
    for missed in 1..SLOTS {
        let mut world = active();
        restore(&mut world, 0..5);
        let alive = validators(0..4);
        while record(&world).last_slot < 5 * SLOTS - 1 {
            next_slot(&mut world, &alive);
        }
        let owners: BTreeSet<_> = (0..missed)
            .map(|place| judge(&world, slot(5 * SLOTS + place), COMMITTEE).expect("it may"))
            .map(|place| place.scheduled)
            .collect();
        produce(&mut world, 5 * SLOTS + missed, COMMITTEE);
        let last = judge(&world, slot(5 * SLOTS + missed + 1), COMMITTEE);
        assert!(last.is_ok() || missed + 1 == SLOTS);
        let record = record(&world);
        let own = record.schedule[missed as usize];
        for producer in &record.producers {
            let has_missed = owners.contains(&producer.account) || own == producer.account;
            if alive.contains(&producer.account) {
                assert_eq!(producer.run == 0, has_missed, "{producer:?} after {missed}");
            }
        }
    }
}

#[test]
fn e8_the_committee_holds_no_stake_and_is_never_punished() {
    let mut world = active();
    let stake = Action::Stake {
        validator: name(COMMITTEE),
        amount: MIN_STAKE,
    };
    let transaction = verified(world.body("alice", stake));
    let evidence = [(equivocation(Era(2), 0, 9), name(COMMITTEE))];
    let outcome = world
        .try_emergency(slot(1), COMMITTEE, &[transaction], &evidence)
        .expect("the committee may");
    assert_eq!(failed(&outcome.receipts[0]), FailureCode::ReservedAccount);
    let committee = world.validator(COMMITTEE);
    assert_eq!(committee.jailed_until, TimestampMs::ZERO);
    assert_eq!(committee.offence_eras, 0);
}

#[test]
fn e9_keys_that_are_registered_and_not_alive_end_nothing() {
    for alive in 0..EXIT_SLOTS as u16 {
        let mut world = active();
        restore(&mut world, 0..7);
        let alive = validators(0..alive);
        for _ in 0..6 * SLOTS {
            next_slot(&mut world, &alive);
        }
        assert!(world.properties().emergency_consensus_active, "{alive:?}");
    }
}

#[test]
fn e9_five_of_seven_that_produce_end_it_within_two_rounds() {
    let mut world = active();
    restore(&mut world, 1..6);
    let alive = validators(1..6);
    let restored = record(&world).last_slot;
    let outcome = loop {
        let outcome = next_slot(&mut world, &alive);
        if outcome.era_end.is_some() {
            break outcome;
        }
        assert!(record(&world).last_slot < restored + 3 * SLOTS);
    };
    let end = outcome.era_end.expect("the era ends");
    assert_eq!(end.next_kind, EraKind::Dag);
    let members = end.committee.members().iter().map(|member| member.account);
    assert_eq!(members.collect::<BTreeSet<_>>(), alive);
    let deactivated = Event::EmergencyDeactivated { validators: 5 };
    assert!(outcome.events.contains(&deactivated));
    let properties = world.properties();
    assert!(!properties.emergency_consensus_active);
    assert_eq!(properties.emergency_consensus_start_block, Height(3));
    assert_eq!(world.validator(COMMITTEE).signing_key, None);
    // The keys came in round 0, the slots with round 1, and the first block of round 2 ends it.
    assert_eq!(properties.timestamp, slot(2 * SLOTS));
}

#[test]
fn e9_more_candidates_than_slots_end_it_and_who_has_a_slot_keeps_it() {
    let mut state = genesis_state(12);
    state.parameters.max_validators = 7;
    let mut world = World::from_genesis(&state);
    activate(&mut world, 0);
    restore(&mut world, 0..12);
    let alive = validators(0..12);
    let mut holders = BTreeSet::new();
    while world.properties().emergency_consensus_active {
        let record = record(&world);
        assert!(record.last_slot < 3 * SLOTS, "all are alive");
        if record.round > 0 {
            let now: BTreeSet<_> = record.schedule.into_iter().collect();
            assert!(holders.is_empty() || holders == now);
            holders = now;
        }
        next_slot(&mut world, &alive);
    }
    let members = world
        .committee
        .members()
        .iter()
        .map(|member| member.account);
    assert_eq!(members.collect::<BTreeSet<_>>(), holders);
    assert_eq!(holders.len(), 7);
}

#[test]
fn e9_who_is_jailed_in_the_last_block_of_the_round_does_not_count() {
    let mut world = active();
    restore(&mut world, 0..5);
    let alive = validators(0..5);
    while record(&world).last_slot < 2 * SLOTS - 1 {
        next_slot(&mut world, &alive);
    }
    let at = slot(2 * SLOTS);
    let place = judge(&world, at, COMMITTEE).expect("the committee may");
    let evidence = [(equivocation(Era(1), 1, 9), name("validator-1"))];
    let outcome = world
        .try_emergency(at, place.scheduled.as_str(), &[], &evidence)
        .expect("its turn");
    assert_eq!(outcome.era_end, None, "four are left of five");
}

#[test]
fn e9_after_the_exit_the_stall_counts_anew() {
    let mut world = active();
    restore(&mut world, 0..7);
    let alive = validators(0..7);
    while world.properties().emergency_consensus_active {
        next_slot(&mut world, &alive);
    }
    let ended = world.properties().timestamp;
    // LIB lies far behind, and that starts nothing.
    let refused = Err(EmergencyRefusal::TooEarly {
        missing_ms: TIMEOUT_MS - SLOT_MS,
    });
    assert_eq!(judge(&world, ended.plus(SLOT_MS), COMMITTEE), refused);
    assert!(judge(&world, ended.plus(TIMEOUT_MS), COMMITTEE).is_ok());
}

#[test]
fn a_hundred_cycles_of_stall_and_exit() {
    let mut world = World::new(7);
    let alive = validators(0..7);
    for cycle in 0..100u64 {
        activate(&mut world, cycle % 3);
        restore(&mut world, 0..7);
        let mut slots = 0;
        while world.properties().emergency_consensus_active {
            next_slot(&mut world, &alive);
            slots += 1;
            assert!(slots <= 3 * SLOTS, "cycle {cycle}");
        }
        assert_eq!(world.committee.size(), 7);
        assert_eq!(world.block(&[]).era_end, None, "the DAG runs");
    }
    assert_eq!(world.properties().era, Era(201));
}

#[test]
fn e10_no_epoch_ends_in_an_emergency_and_nothing_is_voted() {
    let mut world = active();
    let before = world.properties();
    let votes = ChainProperties {
        transaction_fee: 5_000,
        ..before.properties
    };
    let transaction =
        verified(world.body("validator-2", Action::VoteProperties { properties: votes }));
    world
        .try_emergency(slot(1), COMMITTEE, &[transaction], &[])
        .expect("the committee may");
    let epochs = EPOCH_MS.div_ceil(SLOT_MS);
    for number in 2..2 + 3 * epochs {
        produce(&mut world, number, COMMITTEE);
    }
    let properties = world.properties();
    assert_eq!(properties.epoch, before.epoch);
    assert_eq!(properties.properties, before.properties);
    assert_eq!(properties.era, Era(2));
    restore(&mut world, 0..7);
    let alive = validators(0..7);
    while world.properties().emergency_consensus_active {
        next_slot(&mut world, &alive);
    }
    assert_eq!(
        world.properties().epoch,
        before.epoch + 1,
        "the exit ends it"
    );
}

#[test]
fn e11_a_resume_in_an_emergency_starts_another_emergency_era() {
    let mut world = active();
    produce(&mut world, 1, COMMITTEE);
    let before = record(&world);
    let resume = resume(&world);
    let outcome = world.try_resume(1, &resume, &[]).expect("it resumes");
    let end = outcome.era_end.expect("the era ends");
    assert_eq!(end.next_kind, EraKind::Emergency);
    assert_eq!(end.committee.size(), 1);
    assert_eq!(record(&world), before);
    produce(&mut world, 2, COMMITTEE);
    assert_eq!(world.properties().era, Era(3));
}

#[test]
fn a_resume_sets_the_stall_clock() {
    let mut world = stalled();
    let resume = resume(&world);
    world
        .try_resume(TIMEOUT_MS * 3, &resume, &[])
        .expect("it resumes");
    let resumed = world.properties().timestamp;
    assert_eq!(world.properties().stall_clock, Some(resumed));
    let refused = EmergencyRefusal::TooEarly {
        missing_ms: TIMEOUT_MS - 1,
    };
    assert_eq!(judge(&world, resumed.plus(1), COMMITTEE), Err(refused));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever is there and whatever slots pass: no slot is empty, LIB stays below the head (the audit looks), only producers
    /// end it, and every block can be taken back.
    #[test]
    fn with_any_mix_of_the_living_and_the_dead(
        returned in prop::collection::btree_set(0u16..7, 0..7),
        steps in prop::collection::vec((1u64..5, prop::collection::btree_set(0u16..7, 0..7)), 1..80),
    ) {
        let mut world = active();
        restore(&mut world, returned.iter().copied());
        for (pause, alive) in steps {
            let at = slot(record(&world).last_slot + pause);
            let place = judge(&world, at, COMMITTEE).expect("the committee may");
            let is_alive = validators(alive).contains(&place.scheduled);
            let producer = if is_alive { place.scheduled } else { name(COMMITTEE) };
            // What counts are the 21 blocks before the last one.
            let recent = record(&world).recent;
            let outcome = world.try_emergency(at, producer.as_str(), &[], &[]).expect("it may");
            if outcome.era_end.is_some() {
                let first = recent.len().saturating_sub(21);
                let real: BTreeSet<_> = recent[first..].iter().filter(|account| **account != name(COMMITTEE)).collect();
                prop_assert!(real.len() >= EXIT_SLOTS && returned.len() >= EXIT_SLOTS);
                return Ok(());
            }
        }
    }
}

#[test]
fn with_21_slots_it_takes_15_validators() {
    let mut state = genesis_state(21);
    state.parameters.max_validators = 21;
    for (alive, ends) in [(14, false), (15, true)] {
        let mut world = World::from_genesis(&state);
        activate(&mut world, 0);
        restore(&mut world, 0..21);
        let alive = validators(0..alive);
        while world.properties().emergency_consensus_active && record(&world).last_slot < 4 * 21 {
            next_slot(&mut world, &alive);
        }
        assert_eq!(!world.properties().emergency_consensus_active, ends);
    }
}
