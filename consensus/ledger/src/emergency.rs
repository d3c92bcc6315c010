//! Emergency consensus in the state (document 002, DESIGN §7): when it begins, who produces, and how it ends.
//!
//! * E1. *Activation.* On a state in which no emergency is active, an emergency block activates it if hardfork
//!   [`EMERGENCY_HARDFORK`] is in force, the stall clock is known, and the block's own timestamp lies `timeout` or more
//!   after it. Nothing else is looked at, so every node and every replay decides alike. A block that comes of a commit
//!   never activates: it shows that a quorum is there.
//! * E2. *Stall clock.* The latest of the timestamp of the last irreversible block, the end of the last emergency and the
//!   last resume. A state that was imported without one has none until LIB moves: what is missing cannot be long ago.
//! * E3. *What activation does*, in this order: the emergency is active, from this block on; the committee account is a
//!   validator with the emergency key that votes for what is in force; every validator that could be in a committee loses
//!   its signing key; all penalties are lifted, and those that would expire removed; nobody has a run; all slots are the
//!   committee's; the era ends. Jail stays: it is the punishment of an offence, not of absence.
//! * E4. *Slots.* Slot n begins n intervals after stall clock + `timeout`, as the clock stood at activation, and the block
//!   of a slot has just this timestamp. A slot has one block at most, and slots only rise.
//! * E5. *Schedule.* Each round of `max_validators` slots is shared out and shuffled anew, from the state before its first
//!   block: one slot to each validator with a key, enough stake and no jail, all others to the committee. No slot is empty.
//!   If they are more than the slots, who had one keeps it, and the others are drawn.
//! * E6. *Relaxed mapping.* The committee may produce in every slot, a validator in its own only. Whoever produces signs
//!   with the key that the state has for it; without one it produces nothing.
//! * E7. *LIB.* A producer supports its last block once it has produced `irreversible_support_min_run` slots of its own
//!   in a row; the committee loses its run by no slot that passes. Each slot counts for its validator if that has such a
//!   run, otherwise for the committee; who was silent for two rounds counts for nothing, nor does its slot. LIB is the
//!   height that a quorum of the slots that count support, and at most HEAD − 1.
//! * E8. *The committee is neutral*: it can hold no stake, is in no other committee, weighs nothing in a median and is never
//!   punished.
//! * E9. *Exit*, looked at with each new round: real validators hold `exit_threshold_percent` of the slots, rounded down;
//!   as many of them, and a quorum of the next committee, have produced among the `exit_normal_blocks` blocks before.
//!   Then the era ends, and those that hold slots are the next committee. The committee account loses its key.
//! * E10. Epochs do not end in an emergency, so no median moves; the block that ends it ends the epoch too, if that is over.
//! * E11. A resume in an emergency starts another emergency era: slots and runs go on.
//! * E12. *Repair.* A schedule that does not have all slots counts as one in which all are the committee's: a slot without a
//!   producer would be dead. No block leaves such a state; one that was damaged or made by other hands may be one. What
//!   counts follows from the state, so all nodes agree, and the next block writes the whole schedule.

mod producing;
mod schedule;
mod standing;

pub(crate) use producing::note_and_support;
pub use producing::{EmergencyPlace, ExitProgress};
pub use standing::{
    EmergencyPhase, EmergencyRound, EmergencyStanding, EmergencyView, emergency_standing,
};

use crate::block::{BlockContext, LedgerError};
use crate::epoch;
use crate::keys::{EmergencyKey, SigningKeyKey, ValidatorIndexKey, ValidatorKey};
use crate::objects::{
    DynamicProperties, EmergencyProducer, EmergencyRecord, Validator, ValidatorName,
};
use crate::overlay::Overlay;
use crate::penalty;
use crate::state::{StateError, StateStore};
use crate::validator::{candidates, new_validator, store_validator};
use holdfast_types::{
    AccountName, ChainId, Committee, EraEnd, EraKind, Event, Member, Parameters, TimestampMs,
};

/// The hardfork that brings emergency consensus. A new chain begins with it.
pub const EMERGENCY_HARDFORK: u32 = 12;

/// Why an emergency block does not follow a state. It is the fault of who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmergencyRefusal {
    #[error("hardfork {EMERGENCY_HARDFORK} is not in force, but hardfork {in_force}")]
    NoHardfork { in_force: u32 },
    #[error("this state was imported and knows of no stall yet")]
    NoStallClock,
    #[error("the chain has not stalled for long enough: {missing_ms} ms are missing")]
    TooEarly { missing_ms: u64 },
    #[error("no slot begins at {timestamp}: the nearest one before it is {late_ms} ms earlier")]
    NoSlot {
        timestamp: TimestampMs,
        late_ms: u64,
    },
    #[error("the head is of {head}, and the slot began no later")]
    NotAfterHead { head: TimestampMs },
    #[error("{producer} has no signing key")]
    NoKey { producer: AccountName },
    #[error("slot {slot} is that of {scheduled}, not of {producer}")]
    NotScheduled {
        slot: u64,
        scheduled: AccountName,
        producer: AccountName,
    },
}

/// Where a block of `producer` at `timestamp` stands, if it may follow the state in `store` (E1, E4 to E6).
pub fn judge_emergency_block<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
    chain: &ChainId,
    producer: AccountName,
    timestamp: TimestampMs,
) -> Result<Result<EmergencyPlace, EmergencyRefusal>, LedgerError> {
    let mut overlay = Overlay::next(store)?;
    producing::place(&mut overlay, parameters, chain, producer, timestamp)
}

/// From when on the slots of an emergency are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmergencyClock {
    /// Slot 0 begins then; none: no emergency can begin on this state.
    pub slot_zero: Option<TimestampMs>,
    pub is_active: bool,
}

impl EmergencyClock {
    /// By these properties, and by the emergency if one is active; none if it is active and not at hand.
    #[must_use]
    pub fn of(
        properties: &DynamicProperties,
        emergency: Option<&EmergencyRecord>,
        parameters: &Parameters,
    ) -> Option<Self> {
        if properties.emergency_consensus_active {
            return emergency.map(|record| Self {
                slot_zero: Some(record.slot_zero),
                is_active: true,
            });
        }
        let can_begin = properties.hardfork_version >= EMERGENCY_HARDFORK;
        let clock = properties.stall_clock.filter(|_| can_begin);
        Some(Self {
            slot_zero: clock.map(|clock| clock.plus(parameters.emergency.timeout_ms)),
            is_active: false,
        })
    }
}

/// From when on slots are counted on the state in `store` (E1, E4).
pub fn emergency_clock<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
) -> Result<EmergencyClock, StateError> {
    let missing = |what: &str| StateError {
        reason: format!("{what} are missing"),
    };
    let properties = crate::query::dynamic_properties(store)?;
    let properties = properties.ok_or_else(|| missing("the dynamic properties"))?;
    let record = crate::query::object(store, &EmergencyKey())?;
    EmergencyClock::of(&properties, record.as_ref(), parameters)
        .ok_or_else(|| missing("the slots of the active emergency"))
}

/// How many slots the schedule of the active emergency has, if it was repaired (E12).
pub fn repaired_slots<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
) -> Result<Option<usize>, StateError> {
    let record = crate::query::object(store, &EmergencyKey())?;
    Ok(record.and_then(|mut record| {
        schedule::repair(&mut record, parameters).then_some(record.schedule.len())
    }))
}

/// The beginning of an emergency block: activates if none is active (E3). The place of the block.
pub(crate) fn begin_block<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    place: EmergencyPlace,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    if !place.activates {
        return Ok(());
    }
    let parameters = context.parameters;
    let committee = parameters.emergency.validator_account;
    let clock = overlay.properties.stall_clock.unwrap_or_default();
    let stalled_ms = context.input.timestamp.since(clock);
    overlay.properties.emergency_consensus_active = true;
    overlay.properties.emergency_consensus_start_block = context.input.height;
    enable_committee(overlay, context)?;
    disable_candidates(overlay, parameters)?;
    penalty::lift_all(overlay)?;
    let slots = usize::from(parameters.max_validators);
    let record = EmergencyRecord {
        slot_zero: place.slot_zero,
        last_slot: place.slot,
        round: schedule::round_of(place.slot, parameters),
        schedule: vec![committee; slots],
        producers: vec![EmergencyProducer {
            account: committee,
            run: 0,
            last_slot: place.slot,
            last_supported: overlay.properties.lib,
        }],
        recent: Vec::new(),
        filled: 0,
    };
    overlay.set(&EmergencyKey(), record)?;
    events.push(Event::EmergencyActivated {
        slot: place.slot,
        stalled_ms,
    });
    Ok(())
}

/// Creates or updates the validator of the committee account: a neutral voter with the emergency key.
fn enable_committee<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
) -> Result<(), LedgerError> {
    let emergency = &context.parameters.emergency;
    let (name, key) = (emergency.validator_account, emergency.validator_public_key);
    let known = overlay.validator(name)?;
    let mut validator = match known {
        Some(validator) => validator,
        None => {
            let index = overlay.properties.validators;
            overlay.properties.validators = index
                .checked_add(1)
                .ok_or_else(|| overlay.broken("validators are fewer than 2^32"))?;
            overlay.set(&ValidatorIndexKey(index), ValidatorName { name })?;
            new_validator(name, None, Vec::new(), context.input.timestamp, index)
        }
    };
    validator.signing_key = Some(key);
    validator.property_vote = Some(overlay.properties.properties);
    validator.hardfork_vote = Some(overlay.properties.hardfork_version);
    overlay.set(&SigningKeyKey(key), ValidatorName { name })?;
    store_validator(overlay, context.parameters, validator)
}

/// Takes the signing key of every validator that could hold a slot. Those without the stake for one keep theirs: how many
/// they are nothing bounds, and their keys do nothing.
fn disable_candidates<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
) -> Result<(), LedgerError> {
    for name in candidates(overlay)? {
        let validator = overlay.existing(&ValidatorKey(name))?;
        disable(overlay, parameters, validator)?;
    }
    Ok(())
}

fn disable<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
    mut validator: Validator,
) -> Result<(), LedgerError> {
    if let Some(key) = validator.signing_key.take() {
        overlay.remove(&SigningKeyKey(key))?;
    }
    store_validator(overlay, parameters, validator)
}

/// The end of an emergency block: notes its producer, draws the schedule of a new round, and ends the era with the
/// activation and with the exit (E3, E9).
pub(crate) fn end_block<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    place: EmergencyPlace,
    events: &mut Vec<Event>,
) -> Result<Option<EraEnd>, LedgerError> {
    if place.activates {
        let emergency = &context.parameters.emergency;
        let member = Member {
            account: emergency.validator_account,
            signing_key: emergency.validator_public_key,
        };
        let committee = Committee::new(vec![member])
            .map_err(|error| overlay.broken(format!("one member is a committee: {error}")))?;
        return epoch::end_era(overlay, context, EraKind::Emergency, committee, events).map(Some);
    }
    if !place.begins_round {
        return Ok(None);
    }
    let Some(committee) = producing::returning_committee(overlay, context)? else {
        return Ok(None);
    };
    leave(overlay, context, &committee, events)?;
    epoch::end_era(overlay, context, EraKind::Dag, committee, events).map(Some)
}

/// Exit (E9).
fn leave<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    committee: &Committee,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    let account = context.parameters.emergency.validator_account;
    let validator = overlay.existing(&ValidatorKey(account))?;
    disable(overlay, context.parameters, validator)?;
    overlay.remove(&EmergencyKey())?;
    overlay.properties.emergency_consensus_active = false;
    overlay
        .properties
        .advance_stall_clock(context.input.timestamp);
    let validators = u32::try_from(committee.size()).unwrap_or(u32::MAX);
    events.push(Event::EmergencyDeactivated { validators });
    epoch::end_epoch_if_over(overlay, context, committee, events)
}
