//! Emergency consensus for tests: seven slots, and two of three validators have come back.

use super::samples::name;
use crate::dto::{
    BlockRef, EmergencyExit, EmergencyPhase, EmergencyRole, EmergencyRound, EmergencySlot,
    EmergencyStatus, Number, ReturnState, ReturningValidator,
};

const SLOT_ZERO_MS: u64 = 1_767_225_700_000;
const TIMEOUT_MS: u64 = 3_600_000;
const INTERVAL_MS: u64 = 3_000;
const COMMITTEE: &str = "committee";

/// The first slot of the round that is shown.
const FIRST_SLOT: u64 = 14;
const HOLDERS: [&str; 7] = [
    COMMITTEE,
    "validator-1",
    COMMITTEE,
    COMMITTEE,
    "validator-0",
    COMMITTEE,
    COMMITTEE,
];

fn round() -> EmergencyRound {
    let slot = |(slot, holder): (u64, &str)| EmergencySlot {
        slot: Number(slot),
        begins_ms: Number(SLOT_ZERO_MS + slot * INTERVAL_MS),
        holder: name(holder),
        is_validator: holder != COMMITTEE,
    };
    EmergencyRound {
        number: Number(2),
        slot: Number(FIRST_SLOT + 3),
        last_block_slot: Number(FIRST_SLOT + 2),
        slots: (FIRST_SLOT..).zip(HOLDERS).map(slot).collect(),
    }
}

fn validators() -> Vec<ReturningValidator> {
    let states = [
        ReturnState::Producing,
        ReturnState::Silent,
        ReturnState::NoKey,
    ];
    let validator = |(number, state)| ReturningValidator {
        account: name(&format!("validator-{number}")),
        state,
        is_this_node: number == 0,
    };
    (0..).zip(states).map(validator).collect()
}

/// That of a chain with these blocks.
pub(super) fn status(
    is_active: bool,
    head: BlockRef,
    lib: BlockRef,
    certified: BlockRef,
) -> EmergencyStatus {
    let next_command = if is_active {
        "bring back validator-2 (no_key) and validator-1 (silent): holdfast status on their machines"
    } else {
        "nothing to do"
    };
    EmergencyStatus {
        phase: if is_active {
            EmergencyPhase::Active
        } else {
            EmergencyPhase::Idle
        },
        role: EmergencyRole::Master,
        stall_clock_ms: Some(Number(SLOT_ZERO_MS - TIMEOUT_MS)),
        stalled_seconds: Some(if is_active { 3_651.5 } else { 0.5 }),
        timeout_ms: Number(TIMEOUT_MS),
        seconds_to_activation: (!is_active).then_some(3_599.5),
        start_block: is_active.then_some(certified.height),
        block_interval_ms: Number(INTERVAL_MS),
        round: is_active.then(round),
        exit: is_active.then(|| EmergencyExit {
            slots_held: 2,
            slots_needed: 5,
            producing: vec![name("validator-0")],
            producing_needed: 5,
            blocks: 7,
        }),
        validators: if is_active { validators() } else { Vec::new() },
        refusal: is_active.then(|| "not_scheduled".to_owned()),
        producer_overdue: false,
        head,
        lib,
        certified,
        is_provisional: is_active,
        fork_blocks: 2,
        next_command: next_command.to_owned(),
        runbook: "docs/runbooks/emergency-consensus.md".to_owned(),
    }
}
