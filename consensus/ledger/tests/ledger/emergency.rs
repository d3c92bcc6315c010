//! Emergency consensus in the state (`src/emergency.rs`, document 002): how it begins and who produces, rules E1 to E6.

use crate::slashing::equivocation;
use crate::validators::update;
use crate::world::{MIN_STAKE, START, World, genesis_state, name, verified};
use holdfast_ledger::keys::{EmergencyKey, PropertiesKey, StateKey};
use holdfast_ledger::objects::{EmergencyRecord, StateObject};
use holdfast_ledger::{
    BlockOutcome, DynamicProperties, EmergencyPlace, EmergencyRefusal, LedgerError, UndoRecord,
    judge_emergency_block, repaired_slots,
};
use holdfast_types::test_util::{CHAIN, key_pair};
use holdfast_types::{
    AccountName, Action, ChainProperties, Era, EraKind, Event, Height, Signer, TimestampMs,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const COMMITTEE: &str = "committee";
pub(crate) const TIMEOUT_MS: u64 = 3_600_000;
pub(crate) const SLOT_MS: u64 = 3_000;
/// `max_validators` of the fixture.
pub(crate) const SLOTS: u64 = 7;

/// Seven validators that have made a block, and nothing since.
pub(crate) fn stalled() -> World {
    let mut world = World::new(7);
    let supports = world.supports(Height(1));
    world.execute(1_000, &[], &supports, &[]);
    world.execute(1_000, &[], &supports, &[]);
    assert_eq!(world.properties().lib, Height(1));
    world
}

/// When the emergency of [`stalled`] can begin: LIB is block 1.
fn slot_zero() -> TimestampMs {
    START.plus(1_000 + TIMEOUT_MS)
}

pub(crate) fn slot(number: u64) -> TimestampMs {
    slot_zero().plus(number * SLOT_MS)
}

pub(crate) fn active() -> World {
    let mut world = stalled();
    produce(&mut world, 0, COMMITTEE);
    world
}

pub(crate) fn produce(world: &mut World, number: u64, producer: &str) -> BlockOutcome {
    world
        .try_emergency(slot(number), producer, &[], &[])
        .unwrap_or_else(|error| panic!("slot {number} of {producer}: {error}"))
}

pub(crate) fn judge(
    world: &World,
    at: TimestampMs,
    producer: &str,
) -> Result<EmergencyPlace, EmergencyRefusal> {
    judge_emergency_block(&world.state, &world.parameters, &CHAIN, name(producer), at)
        .expect("the state reads")
}

pub(crate) fn record(world: &World) -> EmergencyRecord {
    let bytes = EmergencyKey().bytes();
    let mut values = world.state.values_sorted();
    let (_, value) = values
        .find(|(key, _)| **key == bytes)
        .expect("it is active");
    EmergencyRecord::decode(value).expect("it decodes")
}

/// Changes the state as no block would.
pub(crate) fn tamper(world: &mut World, change: impl FnOnce(&mut DynamicProperties)) {
    let mut properties = world.properties();
    change(&mut properties);
    write(world, PropertiesKey().bytes(), properties.encode());
}

pub(crate) fn write(world: &mut World, key: Vec<u8>, value: Vec<u8>) {
    let values = vec![(key, Some(value))];
    let changes = UndoRecord { values }.changes(&world.state);
    world.state.apply(&changes.expect("the state reads"));
}

pub(crate) fn key_of(number: u16) -> Action {
    update(Some(key_pair(number).public_key()))
}

/// When the slot after that of the last block begins.
fn next_start(world: &World) -> TimestampMs {
    let record = record(world);
    record.slot_zero.plus((record.last_slot + 1) * SLOT_MS)
}

/// An emergency that begins as soon as it can, or some slots later.
pub(crate) fn activate(world: &mut World, slots_later: u64) {
    let clock = world.properties().stall_clock.expect("it is known");
    let at = clock.plus(TIMEOUT_MS + slots_later * SLOT_MS);
    world
        .try_emergency(at, COMMITTEE, &[], &[])
        .expect("an hour is over");
}

/// The committee produces the next slot with the transactions by which these validators restore their keys.
pub(crate) fn restore(world: &mut World, validators: impl IntoIterator<Item = u16>) {
    let transactions: Vec<_> = validators
        .into_iter()
        .map(|number| verified(world.body(&format!("validator-{number}"), key_of(number))))
        .collect();
    let at = next_start(world);
    let outcome = world
        .try_emergency(at, COMMITTEE, &transactions, &[])
        .expect("the committee may produce");
    assert!(outcome.receipts.iter().all(|receipt| receipt.fee > 0));
    for receipt in &outcome.receipts {
        assert!(
            matches!(receipt.events[..], [Event::ValidatorUpdated { .. }]),
            "{receipt:?}"
        );
    }
}

/// The next slot, by whoever has it if that is one of `alive`, otherwise by the committee.
pub(crate) fn next_slot(world: &mut World, alive: &BTreeSet<AccountName>) -> BlockOutcome {
    let at = next_start(world);
    let place = judge(world, at, COMMITTEE).expect("the committee may produce in every slot");
    let producer = if alive.contains(&place.scheduled) {
        place.scheduled
    } else {
        name(COMMITTEE)
    };
    world
        .try_emergency(at, producer.as_str(), &[], &[])
        .expect("it may produce")
}

pub(crate) fn validators(numbers: impl IntoIterator<Item = u16>) -> BTreeSet<AccountName> {
    let names = numbers
        .into_iter()
        .map(|number| name(&format!("validator-{number}")));
    names.collect()
}

#[test]
fn e1_it_begins_when_a_block_is_an_hour_past_the_stall_clock_and_not_a_moment_earlier() {
    let world = stalled();
    for missing_ms in [1_000, 1] {
        let early = TimestampMs(slot_zero().0 - missing_ms);
        let refused = Err(EmergencyRefusal::TooEarly { missing_ms });
        assert_eq!(judge(&world, early, COMMITTEE), refused);
    }
    let place = judge(&world, slot_zero(), COMMITTEE).expect("an hour is over");
    assert!(place.activates);
    assert_eq!((place.slot, place.slot_zero), (0, slot_zero()));
    assert_eq!(place.signing_key, key_pair(999).public_key());
    // Later, only in a slot.
    let between = EmergencyRefusal::NoSlot {
        timestamp: slot(0).plus(1_000),
        late_ms: 1_000,
    };
    assert_eq!(judge(&world, slot(0).plus(1_000), COMMITTEE), Err(between));
    assert_eq!(
        judge(&world, slot(1), COMMITTEE).map(|place| place.slot),
        Ok(1)
    );
}

#[test]
fn e1_a_block_that_comes_of_a_commit_never_activates() {
    let mut world = stalled();
    let outcome = world.execute(2 * TIMEOUT_MS, &[], &[], &[]);
    assert!(!world.properties().emergency_consensus_active);
    let activated = |event: &Event| matches!(event, Event::EmergencyActivated { .. });
    assert!(!outcome.events.iter().any(activated));
}

#[test]
fn e1_a_late_commit_ends_the_slots_that_began_before_it() {
    let mut world = stalled();
    let late_ms = slot(1).since(world.now) + 500;
    world.execute(late_ms, &[], &[], &[]);
    let head = slot(1).plus(500);
    assert_eq!(
        judge(&world, slot(1), COMMITTEE),
        Err(EmergencyRefusal::NotAfterHead { head })
    );
    produce(&mut world, 2, COMMITTEE);
}

#[test]
fn e1_in_an_emergency_nothing_comes_of_a_commit() {
    let mut world = active();
    world.now = slot(1);
    let properties = world.properties();
    let input = world.empty_block(&properties);
    assert!(matches!(
        holdfast_ledger::execute_block(&world.state, &world.parameters, &input),
        Err(LedgerError::WrongBlock {
            field: "origin",
            ..
        })
    ));
}

#[test]
fn e1_without_the_hardfork_or_a_stall_clock_it_does_not_begin() {
    let mut world = stalled();
    tamper(&mut world, |properties| properties.hardfork_version = 11);
    let refused = Err(EmergencyRefusal::NoHardfork { in_force: 11 });
    assert_eq!(judge(&world, slot(0), COMMITTEE), refused);
    tamper(&mut world, |properties| {
        properties.hardfork_version = 12;
        properties.stall_clock = None;
    });
    let refused = Err(EmergencyRefusal::NoStallClock);
    assert_eq!(judge(&world, slot(0), COMMITTEE), refused);
    // The first block that moves LIB sets it.
    let supports = world.supports(Height(2));
    world.execute(1_000, &[], &supports, &[]);
    let properties = world.properties();
    assert_eq!(properties.lib, Height(2));
    assert_eq!(properties.stall_clock, Some(properties.lib_timestamp));
}

#[test]
fn e1_nobody_but_the_committee_begins_it_and_the_ledger_refuses_what_the_judge_refuses() {
    let mut world = stalled();
    assert!(matches!(
        judge(&world, slot(0), "validator-1"),
        Err(EmergencyRefusal::NotScheduled { .. })
    ));
    let early = TimestampMs(slot_zero().0 - 1);
    for (at, producer) in [(slot(0), "validator-1"), (early, COMMITTEE)] {
        let refused = world.try_emergency(at, producer, &[], &[]);
        assert!(matches!(
            refused,
            Err(LedgerError::WrongBlock {
                field: "emergency slot",
                ..
            })
        ));
    }
}

#[test]
fn e3_activation_does_what_the_document_says_in_one_block() {
    let mut world = stalled();
    let votes = ChainProperties {
        transaction_fee: 77,
        ..world.properties().properties
    };
    world.must("validator-3", Action::VoteProperties { properties: votes });
    let before = world.properties();
    let at = before.stall_clock.expect("it is known").plus(TIMEOUT_MS);
    let outcome = world
        .try_emergency(at, COMMITTEE, &[], &[])
        .expect("an hour is over");
    let activated = Event::EmergencyActivated {
        slot: 0,
        stalled_ms: TIMEOUT_MS,
    };
    assert!(outcome.events.contains(&activated));
    let properties = world.properties();
    assert!(properties.emergency_consensus_active);
    assert_eq!(
        properties.emergency_consensus_start_block,
        properties.height
    );
    for number in 0..7 {
        let validator = world.validator(&format!("validator-{number}"));
        assert_eq!(validator.signing_key, None);
        assert_eq!(validator.bonded.amount, 2 * MIN_STAKE);
    }
    assert_eq!(properties.candidates, 0);
    let committee = world.validator(COMMITTEE);
    assert_eq!(committee.signing_key, Some(key_pair(999).public_key()));
    assert_eq!(committee.property_vote, Some(before.properties));
    assert_eq!(committee.hardfork_vote, Some(before.hardfork_version));
    assert_eq!(committee.candidate_index, None);
    let record = record(&world);
    assert_eq!(record.schedule, vec![name(COMMITTEE); 7]);
    let end = outcome.era_end.expect("the era ends");
    assert_eq!(end.next_kind, EraKind::Emergency);
    let [member] = end.committee.members() else {
        panic!("one member");
    };
    assert_eq!(member.account, name(COMMITTEE));
    assert_eq!(member.signing_key, key_pair(999).public_key());
}

#[test]
fn e4_slots_only_rise_and_a_pause_of_any_length_is_none_of_their_business() {
    let mut world = active();
    let head = slot(0);
    assert_eq!(
        judge(&world, slot(0), COMMITTEE),
        Err(EmergencyRefusal::NotAfterHead { head })
    );
    for number in [1, 2, 9, 1_000_000, 1_000_001] {
        produce(&mut world, number, COMMITTEE);
        assert_eq!(record(&world).last_slot, number);
    }
    // The last two have blocks, the 126 before have none.
    assert_eq!(record(&world).filled, 0b11);
    // A block of governance stands between, later than the next slot begins.
    let resume = crate::emergency_exit::resume(&world);
    world
        .try_resume(SLOT_MS + 1, &resume, &[])
        .expect("it resumes");
    let head = slot(1_000_002).plus(1);
    assert_eq!(
        judge(&world, slot(1_000_002), COMMITTEE),
        Err(EmergencyRefusal::NotAfterHead { head })
    );
    produce(&mut world, 1_000_003, COMMITTEE);
}

#[test]
fn e4_participation_has_a_bit_for_each_of_the_last_slots() {
    let mut world = active();
    for number in [1, 3, 4, 7] {
        produce(&mut world, number, COMMITTEE);
    }
    assert_eq!(record(&world).filled, 0b1101_1001);
    for number in 8..200 {
        produce(&mut world, number, COMMITTEE);
    }
    assert_eq!(record(&world).filled, u128::MAX);
}

#[test]
fn e5_each_returned_validator_has_one_slot_of_a_round_and_the_committee_all_others() {
    for returned in 0..=7u16 {
        let mut world = active();
        restore(&mut world, 0..returned);
        assert_eq!(
            record(&world).schedule,
            vec![name(COMMITTEE); 7],
            "the round goes on"
        );
        produce(&mut world, SLOTS, COMMITTEE);
        let schedule = record(&world).schedule;
        assert_eq!(schedule.len(), 7, "no slot is empty");
        let mut held: BTreeMap<AccountName, usize> = BTreeMap::new();
        for account in schedule {
            *held.entry(account).or_default() += 1;
        }
        let committee = held.remove(&name(COMMITTEE)).unwrap_or_default();
        assert_eq!(committee, 7 - usize::from(returned));
        assert_eq!(
            held.keys().copied().collect::<BTreeSet<_>>(),
            validators(0..returned)
        );
        assert!(held.values().all(|count| *count == 1));
    }
}

#[test]
fn e5_who_is_jailed_or_has_too_little_stake_has_no_slot() {
    let mut state = genesis_state(7);
    // An hour of stall is no live time, and jail lasts for live time.
    state.parameters.stall.timeout_ms = 1;
    let mut world = World::from_genesis(&state);
    let supports = world.supports(Height(1));
    world.execute(1_000, &[], &supports, &[]);
    let evidence = [(equivocation(Era(1), 1, 9), name("validator-1"))];
    world.execute(1_000, &[], &supports, &evidence);
    produce(&mut world, 0, COMMITTEE);
    restore(&mut world, 0..3);
    produce(&mut world, SLOTS, COMMITTEE);
    let holders: BTreeSet<_> = record(&world).schedule.into_iter().collect();
    assert!(!holders.contains(&name("validator-1")), "jail stays");
    assert!(holders.contains(&name("validator-2")));
}

#[test]
fn e5_rounds_are_shuffled_and_the_same_for_all() {
    let run = || {
        let mut world = active();
        restore(&mut world, 0..4);
        let alive = validators(0..4);
        let mut schedules = Vec::new();
        for _ in 0..8 * SLOTS {
            next_slot(&mut world, &alive);
            schedules.push(record(&world).schedule);
        }
        schedules
    };
    let schedules = run();
    assert_eq!(schedules, run());
    let distinct: BTreeSet<_> = schedules.into_iter().collect();
    assert!(distinct.len() > 6, "{} orders in 8 rounds", distinct.len());
}

#[test]
fn e6_the_committee_may_produce_in_every_slot_and_a_validator_in_its_own() {
    let mut world = active();
    restore(&mut world, 0..2);
    produce(&mut world, SLOTS, COMMITTEE);
    let mut own = 0;
    for number in SLOTS + 1..2 * SLOTS {
        let place = judge(&world, slot(number), COMMITTEE).expect("the committee may");
        for producer in ["validator-0", "validator-1"] {
            let judged = judge(&world, slot(number), producer);
            if place.scheduled == name(producer) {
                own += 1;
                let number = u16::from(producer == "validator-1");
                let key = key_pair(number).public_key();
                assert_eq!(judged.map(|place| place.signing_key), Ok(key));
            } else {
                assert!(matches!(judged, Err(EmergencyRefusal::NotScheduled { .. })));
            }
        }
    }
    assert!(own > 0);
}

#[test]
fn e6_who_has_taken_its_key_away_produces_nothing_even_in_its_own_slot() {
    let mut world = active();
    restore(&mut world, 0..7);
    produce(&mut world, SLOTS, COMMITTEE);
    let away = |number: u16| {
        let body = world.body(&format!("validator-{number}"), update(None));
        verified(body)
    };
    let transactions: Vec<_> = (0..7).map(away).collect();
    let at = slot(SLOTS + 1);
    world
        .try_emergency(at, COMMITTEE, &transactions, &[])
        .expect("the committee may");
    let place = judge(&world, slot(SLOTS + 2), COMMITTEE).expect("the committee may");
    let refused = judge(&world, slot(SLOTS + 2), place.scheduled.as_str());
    let producer = place.scheduled;
    assert_eq!(refused, Err(EmergencyRefusal::NoKey { producer }));
    assert!(matches!(
        judge(&world, slot(SLOTS + 2), "alice"),
        Err(EmergencyRefusal::NotScheduled { .. })
    ));
}

/// Guard 11 of document 002 and V7: a schedule that lost slots leaves no dead one, and every node mends it alike.
#[test]
fn e12_a_schedule_that_lacks_slots_is_all_the_committees() {
    let in_round_one = || {
        let mut world = active();
        restore(&mut world, 0..3);
        produce(&mut world, SLOTS, COMMITTEE);
        world
    };
    let whole = in_round_one();
    let before = record(&whole);
    let holds = |record: &EmergencyRecord| {
        let validators = record.schedule.iter();
        validators
            .filter(|holder| **holder != name(COMMITTEE))
            .count()
    };
    assert_eq!(holds(&before), 3);
    assert_eq!(repaired_slots(&whole.state, &whole.parameters), Ok(None));
    for kept in [0, 1, 6] {
        let mut torn = before.clone();
        torn.schedule.truncate(kept);
        let [mut one, mut other] = [in_round_one(), in_round_one()];
        for world in [&mut one, &mut other] {
            write(world, EmergencyKey().bytes(), torn.encode());
            let slots = repaired_slots(&world.state, &world.parameters);
            assert_eq!(slots, Ok(Some(SLOTS as usize)));
            for number in SLOTS + 1..2 * SLOTS {
                let place = judge(world, slot(number), COMMITTEE).expect("no slot is dead");
                assert_eq!(place.scheduled, name(COMMITTEE));
            }
            produce(world, SLOTS + 1, COMMITTEE);
            assert_eq!(
                record(world).schedule,
                vec![name(COMMITTEE); SLOTS as usize]
            );
            assert_eq!(repaired_slots(&world.state, &world.parameters), Ok(None));
            // With the next round those that have keys are there again.
            produce(world, 2 * SLOTS, COMMITTEE);
            assert_eq!(holds(&record(world)), 3);
        }
        assert_eq!(one.state, other.state);
    }
}
