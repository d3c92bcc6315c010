//! What is shown of emergency consensus (`src/emergency/standing.rs`) agrees with what the rules do.

use crate::emergency::{
    COMMITTEE, SLOT_MS, SLOTS, TIMEOUT_MS, active, judge, next_slot, record, restore, slot,
    stalled, tamper, validators, write,
};
use crate::world::{World, name};
use holdfast_ledger::keys::{EmergencyKey, StateKey};
use holdfast_ledger::objects::StateObject;
use holdfast_ledger::{
    EmergencyPhase, EmergencyRound, EmergencyStanding, EmergencyView, emergency_standing,
};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{Height, TimestampMs};

fn standing(world: &World, at: TimestampMs) -> EmergencyStanding {
    emergency_standing(&world.state, &world.parameters, &CHAIN, at).expect("the state reads")
}

fn view(at: TimestampMs) -> EmergencyView {
    EmergencyView {
        at,
        is_forbidden: false,
        is_provisional: false,
    }
}

fn phase(world: &World, view: EmergencyView) -> EmergencyPhase {
    standing(world, view.at).phase(view, &world.parameters)
}

fn round(world: &World, at: TimestampMs) -> EmergencyRound {
    standing(world, at).round.expect("an emergency is active")
}

#[test]
fn it_is_armed_at_three_quarters_of_the_timeout_and_due_at_its_end() {
    let world = stalled();
    let armed = slot(0).minus(TIMEOUT_MS / 4);
    for (at, expected) in [
        (armed.minus(1), EmergencyPhase::Idle),
        (armed, EmergencyPhase::Armed),
        (slot(0).minus(1), EmergencyPhase::Armed),
        (slot(0), EmergencyPhase::Due),
        (slot(99), EmergencyPhase::Due),
    ] {
        assert_eq!(phase(&world, view(at)), expected, "{at}");
        let halted = EmergencyView {
            is_forbidden: true,
            ..view(at)
        };
        assert_eq!(phase(&world, halted), EmergencyPhase::Blocked);
    }
    let shown = standing(&world, armed);
    assert_eq!(shown.stall_clock, Some(slot(0).minus(TIMEOUT_MS)));
    assert_eq!((shown.start_block, shown.round), (Height::ZERO, None));
}

#[test]
fn a_state_without_a_stall_clock_can_begin_none() {
    let mut world = stalled();
    tamper(&mut world, |properties| properties.stall_clock = None);
    assert_eq!(phase(&world, view(slot(5))), EmergencyPhase::Unavailable);
}

#[test]
fn the_schedule_that_is_shown_is_the_one_that_is_judged_by() {
    let mut world = active();
    restore(&mut world, 0..4);
    // In the running round, and in the next one, which has no block yet.
    for number in [3, SLOTS + 2] {
        let shown = round(&world, slot(number).plus(SLOT_MS - 1));
        assert_eq!((shown.number, shown.slot), (number / SLOTS, number));
        assert_eq!(shown.last_slot, 1);
        assert_eq!(shown.schedule.len() as u64, SLOTS);
        let place = judge(&world, slot(number), COMMITTEE).expect("the committee may");
        let position = (number % SLOTS) as usize;
        assert_eq!(shown.schedule[position], place.scheduled);
    }
    assert_eq!(round(&world, slot(1)).exit.slots_held, 0);
    assert_eq!(round(&world, slot(SLOTS)).exit.slots_held, 4);
    // A clock that is behind sees no slot before the last block.
    assert_eq!(round(&world, TimestampMs::ZERO).slot, 1);
}

/// What is shown is what counts (rule E12).
#[test]
fn a_schedule_that_lacks_slots_is_shown_as_all_the_committees() {
    let mut world = active();
    restore(&mut world, 0..3);
    next_slot(&mut world, &validators(0..0));
    let mut torn = record(&world);
    let at = slot(torn.last_slot);
    torn.schedule.truncate(2);
    write(&mut world, EmergencyKey().bytes(), torn.encode());
    let shown = round(&world, at);
    assert_eq!(shown.schedule, vec![name(COMMITTEE); SLOTS as usize]);
    assert_eq!(shown.exit.slots_held, 0);
}

#[test]
fn keys_alone_are_no_progress_towards_the_exit() {
    let mut world = active();
    restore(&mut world, 0..7);
    for _ in 0..2 * SLOTS {
        next_slot(&mut world, &validators(0..2));
    }
    let exit = round(&world, slot(record(&world).last_slot)).exit;
    assert_eq!((exit.slots_held, exit.slots_needed), (7, 5));
    assert_eq!(exit.producing, Vec::from_iter(validators(0..2)));
    assert_eq!(exit.producing_needed, 5);
    assert!(!exit.is_met());
}

#[test]
fn the_exit_is_pending_when_the_next_round_ends_it_and_the_end_waits_for_its_certificate() {
    let mut world = active();
    restore(&mut world, 1..6);
    let alive = validators(1..6);
    while record(&world).last_slot < 2 * SLOTS - 1 {
        let at = slot(record(&world).last_slot);
        assert_eq!(phase(&world, view(at)), EmergencyPhase::Active);
        next_slot(&mut world, &alive);
    }
    let at = slot(2 * SLOTS - 1);
    assert_eq!(phase(&world, view(at)), EmergencyPhase::ExitPending);
    assert_eq!(
        round(&world, at).exit.producing,
        Vec::from_iter(alive.clone())
    );
    assert!(next_slot(&mut world, &alive).era_end.is_some());
    let uncertified = EmergencyView {
        is_provisional: true,
        ..view(slot(2 * SLOTS))
    };
    assert_eq!(phase(&world, uncertified), EmergencyPhase::Certifying);
    assert_eq!(phase(&world, view(slot(2 * SLOTS))), EmergencyPhase::Idle);
    assert_eq!(standing(&world, at).start_block, Height(3));
}
