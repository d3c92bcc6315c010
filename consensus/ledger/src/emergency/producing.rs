//! Who produces in an emergency, and what follows from it (E4 to E7, E9).

use super::schedule::{self, of_round, round_of, scheduled};
use super::{EMERGENCY_HARDFORK, EmergencyRefusal};
use crate::block::{BlockContext, LedgerError};
use crate::epoch::qualified;
use crate::keys::EmergencyKey;
use crate::objects::{EmergencyProducer, EmergencyRecord};
use crate::overlay::Overlay;
use crate::state::StateStore;
use holdfast_types::{AccountName, ChainId, Committee, Height, Parameters, PublicKey, TimestampMs};
use std::collections::BTreeSet;

/// Who has produced nothing for so many rounds supports nothing, and does not hold LIB back (E7).
const SILENT_ROUNDS: u64 = 2;

/// An emergency block's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmergencyPlace {
    pub slot: u64,
    /// Whose slot it is; the committee account may have produced it for them.
    pub scheduled: AccountName,
    /// What the producer signs with.
    pub signing_key: PublicKey,
    /// It is the block that activates the emergency.
    pub activates: bool,
    /// It is the first one of its round.
    pub begins_round: bool,
    pub slot_zero: TimestampMs,
}

/// Where a block stands, if it may follow the state.
pub(crate) fn place<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
    chain: &ChainId,
    producer: AccountName,
    timestamp: TimestampMs,
) -> Result<Result<EmergencyPlace, EmergencyRefusal>, LedgerError> {
    let emergency = &parameters.emergency;
    let active = if overlay.properties.emergency_consensus_active {
        Some(schedule::record(overlay, parameters)?)
    } else {
        None
    };
    let slot_zero = match slot_zero(overlay, parameters, active.as_ref(), timestamp) {
        Ok(slot_zero) => slot_zero,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let head = overlay.properties.timestamp;
    if timestamp <= head {
        return Ok(Err(EmergencyRefusal::NotAfterHead { head }));
    }
    let slot = match slot_at(slot_zero, emergency.block_interval_ms, timestamp) {
        Ok(slot) => slot,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let committee = emergency.validator_account;
    let Some(record) = active else {
        if producer != committee {
            return Ok(Err(EmergencyRefusal::NotScheduled {
                slot,
                scheduled: committee,
                producer,
            }));
        }
        return Ok(Ok(EmergencyPlace {
            slot,
            scheduled: committee,
            signing_key: emergency.validator_public_key,
            activates: true,
            begins_round: true,
            slot_zero,
        }));
    };
    let round = round_of(slot, parameters);
    let schedule = of_round(overlay, parameters, chain, &record, round)?;
    let scheduled =
        scheduled(&schedule, slot).ok_or_else(|| overlay.broken("a schedule has a slot"))?;
    if producer != scheduled && producer != committee {
        return Ok(Err(EmergencyRefusal::NotScheduled {
            slot,
            scheduled,
            producer,
        }));
    }
    let validator = overlay.validator(producer)?;
    let Some(signing_key) = validator.and_then(|validator| validator.signing_key) else {
        return Ok(Err(EmergencyRefusal::NoKey { producer }));
    };
    Ok(Ok(EmergencyPlace {
        slot,
        scheduled,
        signing_key,
        activates: false,
        begins_round: round != record.round,
        slot_zero,
    }))
}

/// Time of slot 0 (E1, E2, E4).
fn slot_zero<S: StateStore + ?Sized>(
    overlay: &Overlay<'_, S>,
    parameters: &Parameters,
    active: Option<&EmergencyRecord>,
    timestamp: TimestampMs,
) -> Result<TimestampMs, EmergencyRefusal> {
    let properties = &overlay.properties;
    if let Some(record) = active {
        return Ok(record.slot_zero);
    }
    let in_force = properties.hardfork_version;
    if in_force < EMERGENCY_HARDFORK {
        return Err(EmergencyRefusal::NoHardfork { in_force });
    }
    let stall_clock = properties
        .stall_clock
        .ok_or(EmergencyRefusal::NoStallClock)?;
    let slot_zero = stall_clock.plus(parameters.emergency.timeout_ms);
    if timestamp < slot_zero {
        let missing_ms = slot_zero.since(timestamp);
        return Err(EmergencyRefusal::TooEarly { missing_ms });
    }
    Ok(slot_zero)
}

/// The slot that begins at a time (E4).
fn slot_at(
    slot_zero: TimestampMs,
    interval_ms: u64,
    timestamp: TimestampMs,
) -> Result<u64, EmergencyRefusal> {
    let passed_ms = timestamp.since(slot_zero);
    let late_ms = passed_ms.checked_rem(interval_ms).unwrap_or_default();
    if late_ms != 0 || timestamp < slot_zero {
        return Err(EmergencyRefusal::NoSlot { timestamp, late_ms });
    }
    Ok(passed_ms.checked_div(interval_ms).unwrap_or_default())
}

/// Notes who has produced, and gives LIB (E7).
pub(crate) fn note_and_support<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    place: EmergencyPlace,
    producer: AccountName,
) -> Result<Vec<Height>, LedgerError> {
    let parameters = context.parameters;
    let mut record = schedule::record(overlay, parameters)?;
    let round = round_of(place.slot, parameters);
    // The state before this block is what the schedule is drawn from; it is in the store still.
    let mut before = Overlay::next(overlay.store())?;
    let chain = &context.input.chain;
    let schedule = of_round(&mut before, parameters, chain, &record, round)?;
    lose_runs(&mut record, (&schedule, round), place, producer, parameters);
    if place.begins_round && !place.activates {
        record.schedule = schedule;
        record.round = round;
        let kept: BTreeSet<_> = record.schedule.iter().copied().collect();
        let committee = parameters.emergency.validator_account;
        record
            .producers
            .retain(|producer| producer.account == committee || kept.contains(&producer.account));
    }
    let passed = place.slot.saturating_sub(record.last_slot);
    let passed = u32::try_from(passed).unwrap_or(u32::MAX);
    record.filled = record.filled.checked_shl(passed).unwrap_or_default() | 1;
    record.last_slot = place.slot;
    note_block(&mut record, producer, context);
    let kept = usize::try_from(parameters.emergency.exit_normal_blocks).unwrap_or(usize::MAX);
    let excess = record.recent.len().saturating_sub(kept);
    record.recent.drain(..excess);
    record.recent.push(producer);
    let supports = supports(&record, parameters);
    overlay.set(&EmergencyKey(), record)?;
    Ok(supports)
}

/// A validator whose slot passed without a block of its own begins its run anew. `running` is the schedule of the block's
/// round, and its number. In a pause of more than a round everybody has had a slot.
fn lose_runs(
    record: &mut EmergencyRecord,
    running: (&[AccountName], u64),
    place: EmergencyPlace,
    producer: AccountName,
    parameters: &Parameters,
) {
    let committee = parameters.emergency.validator_account;
    let (schedule, round) = running;
    let first = record.last_slot.saturating_add(1);
    let is_short = place.slot.saturating_sub(first) <= u64::from(parameters.max_validators);
    let owner = |slot: u64| {
        let of_running = round_of(slot, parameters) == round;
        scheduled(
            if of_running {
                schedule
            } else {
                &record.schedule
            },
            slot,
        )
    };
    let mut missed: BTreeSet<AccountName> = if is_short {
        (first..place.slot).filter_map(owner).collect()
    } else {
        record.producers.iter().map(|entry| entry.account).collect()
    };
    missed.insert(place.scheduled);
    missed.remove(&producer);
    missed.remove(&committee);
    for entry in &mut record.producers {
        if missed.contains(&entry.account) {
            entry.run = 0;
        }
    }
}

fn note_block(record: &mut EmergencyRecord, account: AccountName, context: &BlockContext<'_>) {
    let producers = &mut record.producers;
    let known = producers.iter().position(|known| known.account == account);
    let mut entry = known.map_or(
        EmergencyProducer {
            account,
            run: 0,
            last_slot: record.last_slot,
            last_supported: Height::ZERO,
        },
        |position| producers.swap_remove(position),
    );
    entry.run = entry.run.saturating_add(1);
    entry.last_slot = record.last_slot;
    if entry.run >= context.parameters.emergency.irreversible_support_min_run {
        entry.last_supported = context.input.height;
    }
    producers.push(entry);
    producers.sort_unstable_by_key(|known| known.account);
}

/// What each slot of the schedule supports (E7).
fn supports(record: &EmergencyRecord, parameters: &Parameters) -> Vec<Height> {
    let emergency = &parameters.emergency;
    let rounds = u64::from(parameters.max_validators).saturating_mul(SILENT_ROUNDS);
    let of = |account: &AccountName| {
        let found = record
            .producers
            .iter()
            .find(|producer| producer.account == *account)?;
        let has_run = found.run >= emergency.irreversible_support_min_run;
        let is_heard = record.last_slot.saturating_sub(found.last_slot) <= rounds;
        (has_run && is_heard).then_some(found.last_supported)
    };
    let committee = of(&emergency.validator_account);
    let slots = record.schedule.iter();
    slots
        .filter_map(|account| of(account).or(committee))
        .collect()
}

/// How far real validators have come on the way out (E9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitProgress {
    /// Validators that hold slots and could be in a committee.
    pub slots_held: usize,
    pub slots_needed: usize,
    /// Those of them that have produced among the last blocks, by account.
    pub producing: Vec<AccountName>,
    /// As many as slots are needed, and a quorum of the next committee.
    pub producing_needed: usize,
}

impl ExitProgress {
    /// The exit condition holds.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.slots_held >= self.slots_needed && self.producing.len() >= self.producing_needed
    }
}

/// The committee that takes over, if the exit condition holds (E9).
pub(super) fn returning_committee<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
) -> Result<Option<Committee>, LedgerError> {
    let parameters = context.parameters;
    let record = schedule::record(overlay, parameters)?;
    let committee_account = parameters.emergency.validator_account;
    // The round that is over, not the one that begins with this block: everybody has had a slot in it.
    let (_, before) = record
        .recent
        .split_last()
        .unwrap_or((&committee_account, &[]));
    // What this block did to the holders counts: one may have been jailed or have taken its key away.
    let live_time = context.live_time;
    let (committee, progress) =
        exit_progress(overlay, parameters, live_time, &record.schedule, before)?;
    Ok(committee.filter(|_| progress.is_met()))
}

/// Those who would take over from this schedule, if they are enough, and how far they are; `blocks` are the producers of the
/// last ones.
pub(super) fn exit_progress<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
    live_time: TimestampMs,
    schedule: &[AccountName],
    blocks: &[AccountName],
) -> Result<(Option<Committee>, ExitProgress), LedgerError> {
    let needed = exit_slots(parameters);
    let committee_account = parameters.emergency.validator_account;
    let holders = schedule.iter().copied();
    let holders: BTreeSet<_> = holders
        .filter(|account| *account != committee_account)
        .collect();
    let recent: BTreeSet<_> = blocks.iter().copied().collect();
    let mut members = qualified(overlay, live_time)?;
    members.retain(|member| holders.contains(&member.account));
    members.sort_by_key(|member| member.account);
    let accounts = members.iter().map(|member| member.account);
    let mut progress = ExitProgress {
        slots_held: members.len(),
        slots_needed: needed,
        producing: accounts
            .filter(|account| recent.contains(account))
            .collect(),
        producing_needed: needed,
    };
    if members.len() < needed {
        return Ok((None, progress));
    }
    let committee = Committee::new(members)
        .map_err(|error| overlay.broken(format!("holders of slots form a committee: {error}")))?;
    progress.producing_needed = needed.max(committee.quorum());
    Ok((Some(committee), progress))
}

/// Slots that real validators must hold (E9).
fn exit_slots(parameters: &Parameters) -> usize {
    let percent = usize::from(parameters.emergency.exit_threshold_percent);
    let slots = usize::from(parameters.max_validators).saturating_mul(percent);
    slots.checked_div(100).unwrap_or_default().max(1)
}
