//! Emergency consensus in the state: what it leaves alone. Nobody is penalised for being away, the committee account weighs
//! nothing, nothing is left of the emergency before, and nothing grows.

use crate::emergency::{
    COMMITTEE, SLOT_MS, SLOTS, activate, active, judge, next_slot, produce, record, restore, slot,
    stalled, tamper, validators,
};
use crate::world::{EPOCH_MS, World, genesis_state, name, verified};
use holdfast_ledger::keys::{CandidateIndexKey, StateKey, ValidatorKey};
use holdfast_ledger::objects::{StateObject, ValidatorName};
use holdfast_ledger::{UndoRecord, Validator, execute_block};
use holdfast_types::test_util::key_pair;
use holdfast_types::{AccountName, Action, ChainProperties, Event, Signer};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn all_validators(world: &World) -> Vec<Validator> {
    let all = (0..7).map(|number| world.validator(&format!("validator-{number}")));
    all.collect()
}

/// Changes the validator of the committee account as no block would.
fn tamper_committee(world: &mut World, change: impl FnOnce(&mut Validator)) {
    let mut committee = world.validator(COMMITTEE);
    change(&mut committee);
    let values = vec![(
        ValidatorKey(name(COMMITTEE)).bytes(),
        Some(committee.encode()),
    )];
    write(world, values);
}

fn write(world: &mut World, values: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
    let changes = UndoRecord { values }.changes(&world.state);
    world.state.apply(&changes.expect("the state reads"));
}

fn fee_vote(transaction_fee: u64) -> ChainProperties {
    ChainProperties {
        transaction_fee,
        byte_fee: 0,
        account_creation_fee: 0,
    }
}

/// Validators vote for these fees, in the first blocks of the epoch.
fn vote(world: &mut World, fees: &[u64]) {
    for (number, fee) in fees.iter().enumerate() {
        let properties = fee_vote(*fee);
        world.must(
            &format!("validator-{number}"),
            Action::VoteProperties { properties },
        );
    }
}

/// An emergency of which all validators come back, up to its end.
fn emergency(world: &mut World) {
    activate(world, 0);
    restore(world, 0..7);
    let alive = validators(0..7);
    while world.properties().emergency_consensus_active {
        next_slot(world, &alive);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// V4: whoever is away for however long, and whoever comes back and goes away again.
    #[test]
    fn nobody_is_penalised_for_being_away_in_an_emergency(
        returned in prop::collection::btree_set(0u16..7, 0..7),
        steps in prop::collection::vec((1u64..2_000, prop::collection::btree_set(0u16..7, 0..7)), 1..60),
    ) {
        let mut world = stalled();
        let before = all_validators(&world);
        produce(&mut world, 0, COMMITTEE);
        restore(&mut world, returned.iter().copied());
        let mut events = Vec::new();
        for (pause, alive) in steps {
            let at = slot(record(&world).last_slot + pause);
            let scheduled = judge(&world, at, COMMITTEE).expect("the committee may").scheduled;
            let is_alive = validators(alive).contains(&scheduled);
            let producer = if is_alive { scheduled } else { name(COMMITTEE) };
            let outcome = world.try_emergency(at, producer.as_str(), &[], &[]).expect("it may");
            events.extend(outcome.events);
            if outcome.era_end.is_some() {
                break;
            }
        }
        let is_penalty = |event: &Event| matches!(event, Event::Slashed { .. } | Event::Jailed { .. });
        prop_assert!(!events.iter().any(is_penalty));
        prop_assert_eq!(world.properties().penalty_next, 0);
        for (number, (before, after)) in (0..).zip(before.iter().zip(all_validators(&world))) {
            let kept = Validator {
                signing_key: before.signing_key,
                candidate_index: before.candidate_index,
                url: before.url.clone(),
                ..after.clone()
            };
            prop_assert_eq!(&kept, before);
            let key = before.signing_key.filter(|_| returned.contains(&number));
            prop_assert_eq!(after.signing_key, key);
        }
    }

    /// V2, V3: whatever stands under its name, the fees are the lower median of the validators' votes, and the hardfork is
    /// the one in force.
    #[test]
    fn the_committee_weighs_nothing_in_medians_and_tallies_whatever_it_votes(
        fees in prop::collection::vec(1u64..1_000, 7),
        committee_fee in prop_oneof![Just(0u64), Just(1_000_000), 1u64..1_000],
        committee_hardfork in prop_oneof![Just(0u32), Just(13), Just(u32::MAX)],
    ) {
        let mut world = stalled();
        vote(&mut world, &fees);
        activate(&mut world, 0);
        tamper_committee(&mut world, |committee| {
            committee.property_vote = Some(fee_vote(committee_fee));
            committee.hardfork_vote = Some(committee_hardfork);
        });
        let before = world.properties();
        restore(&mut world, 0..7);
        let alive = validators(0..7);
        while world.properties().emergency_consensus_active {
            prop_assert_eq!(world.properties().properties, before.properties);
            next_slot(&mut world, &alive);
        }
        let mut sorted = fees;
        sorted.sort_unstable();
        let properties = world.properties();
        prop_assert_eq!(properties.epoch, before.epoch + 1);
        prop_assert_eq!(properties.properties.transaction_fee, sorted[3]);
        prop_assert_eq!(properties.hardfork_version, before.hardfork_version);
    }
}

#[test]
fn even_if_it_were_in_the_committee_of_an_era_its_votes_would_not_count() {
    let mut world = stalled();
    vote(&mut world, &[11, 12, 13, 14, 15, 16, 17]);
    emergency(&mut world);
    assert_eq!(world.properties().properties.transaction_fee, 14);
    for number in 0..5 {
        let vote = Action::VoteHardfork { version: 13 };
        world.must(&format!("validator-{number}"), vote);
    }
    // A state that no block gives: it is a candidate. With its vote the lower median of eight would be 13, and six of eight,
    // a quorum, would vote for a hardfork that this software does not know.
    tamper_committee(&mut world, |committee| {
        committee.signing_key = Some(key_pair(999).public_key());
        committee.candidate_index = Some(7);
        committee.property_vote = Some(fee_vote(1));
        committee.hardfork_vote = Some(13);
    });
    let index = ValidatorName {
        name: name(COMMITTEE),
    };
    write(
        &mut world,
        vec![(CandidateIndexKey(7).bytes(), Some(index.encode()))],
    );
    tamper(&mut world, |properties| properties.candidates = 8);
    world.parameters.max_validators = 8;
    world.now = world.now.plus(EPOCH_MS);
    let properties = world.properties();
    let input = world.empty_block(&properties);
    let outcome = execute_block(&world.state, &world.parameters, &input);
    let outcome = outcome.expect("hardfork 13 has five votes of six");
    let committee = outcome.era_end.expect("the epoch is over").committee;
    assert_eq!(committee.size(), 8, "it is in it");
    let changed = |event: &Event| matches!(event, Event::PropertiesChanged { .. });
    assert!(!outcome.events.iter().any(changed), "{:?}", outcome.events);
}

#[test]
fn what_was_known_of_producers_is_gone_with_the_next_activation() {
    let mut world = stalled();
    emergency(&mut world);
    let started = world.properties().emergency_consensus_start_block;
    world.block(&[]);
    activate(&mut world, 5);
    let properties = world.properties();
    assert!(properties.emergency_consensus_start_block > started);
    let record = record(&world);
    let runs = record
        .producers
        .iter()
        .map(|entry| (entry.account, entry.run));
    assert_eq!(runs.collect::<Vec<_>>(), [(name(COMMITTEE), 1)]);
    assert_eq!(record.recent, [name(COMMITTEE)]);
    assert_eq!(record.filled, 1);
    assert_eq!(record.last_slot, 5);
}

#[test]
fn one_identity_holds_all_slots_of_a_schedule_of_any_length() {
    for slots in [1u16, 4, 7, 21, 128] {
        let mut state = genesis_state(slots.min(21));
        state.parameters.max_validators = slots;
        let mut world = World::from_genesis(&state);
        activate(&mut world, 0);
        for number in 1..2 * u64::from(slots) + 3 {
            let at = record(&world).slot_zero.plus(number * SLOT_MS);
            world
                .try_emergency(at, COMMITTEE, &[], &[])
                .expect("the committee may");
            let properties = world.properties();
            let schedule = record(&world).schedule;
            assert_eq!(schedule, vec![name(COMMITTEE); usize::from(slots)]);
            if number >= 2 {
                assert_eq!(properties.lib, properties.height.previous());
            }
        }
    }
}

#[test]
fn thirty_days_of_emergency_leave_a_state_as_large_as_an_hour_does() {
    let size = |world: &World| {
        let values = world.state.values_sorted();
        let bytes: Vec<_> = values.map(|(key, value)| key.len() + value.len()).collect();
        (bytes.len(), bytes.into_iter().sum::<usize>())
    };
    let mut world = active();
    for number in 1..3_600_000 / SLOT_MS {
        produce(&mut world, number, COMMITTEE);
    }
    let hour = size(&world);
    let days = 30 * 86_400_000 / SLOT_MS;
    for number in (3_600_000 / SLOT_MS..days).step_by(997) {
        produce(&mut world, number, COMMITTEE);
        produce(&mut world, number + 1, COMMITTEE);
    }
    assert_eq!(size(&world), hour);
    let alive: BTreeSet<AccountName> = validators(0..7);
    restore(&mut world, 0..7);
    for _ in 0..3 * SLOTS {
        if !world.properties().emergency_consensus_active {
            return;
        }
        next_slot(&mut world, &alive);
    }
    panic!("it ends as any other");
}

#[test]
fn transactions_of_all_kinds_are_carried_in_an_emergency() {
    let mut world = active();
    let bodies = [
        ("alice", crate::world::transfer("bob", 5)),
        (
            "bob",
            Action::Stake {
                validator: name("validator-1"),
                amount: 7,
            },
        ),
        ("validator-3", Action::VoteHardfork { version: 12 }),
    ];
    let transactions: Vec<_> = bodies
        .into_iter()
        .map(|(sender, action)| verified(world.body(sender, action)))
        .collect();
    let outcome = world
        .try_emergency(slot(1), COMMITTEE, &transactions, &[])
        .expect("the committee may");
    for receipt in &outcome.receipts {
        assert_eq!(receipt.status, holdfast_types::ReceiptStatus::Success);
    }
    assert_eq!(world.stake_of("bob", "validator-1"), 7);
}
