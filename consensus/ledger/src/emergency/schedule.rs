//! Whose slot it is (E4, E5).

use crate::block::LedgerError;
use crate::epoch::qualified;
use crate::keys::EmergencyKey;
use crate::objects::EmergencyRecord;
use crate::overlay::Overlay;
use crate::state::StateStore;
use crate::tree;
use holdfast_types::hash::Purpose;
use holdfast_types::{AccountName, ChainId, Parameters};
use std::collections::BTreeSet;

/// The round of a slot.
pub(super) fn round_of(slot: u64, parameters: &Parameters) -> u64 {
    slot.checked_div(u64::from(parameters.max_validators))
        .unwrap_or(slot)
}

/// Whose slot this is in the schedule of its round.
pub(super) fn scheduled(schedule: &[AccountName], slot: u64) -> Option<AccountName> {
    let position = slot.checked_rem(schedule.len() as u64)?;
    schedule.get(usize::try_from(position).ok()?).copied()
}

/// The active emergency, with the schedule that counts (E12).
pub(super) fn record<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
) -> Result<EmergencyRecord, LedgerError> {
    let mut record = overlay.existing(&EmergencyKey())?;
    repair(&mut record, parameters);
    Ok(record)
}

/// Gives all slots to the committee if some are missing; true if they were (E12).
pub(super) fn repair(record: &mut EmergencyRecord, parameters: &Parameters) -> bool {
    let slots = usize::from(parameters.max_validators);
    if record.schedule.len() == slots {
        return false;
    }
    record.schedule = vec![parameters.emergency.validator_account; slots];
    true
}

/// The schedule for a slot of `round`: the one in force, or a new one.
pub(super) fn of_round<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
    chain: &ChainId,
    record: &EmergencyRecord,
    round: u64,
) -> Result<Vec<AccountName>, LedgerError> {
    if round == record.round {
        return Ok(record.schedule.clone());
    }
    let era = overlay.properties.era;
    let live_time = overlay.properties.live_time(overlay.properties.timestamp);
    let returned = qualified(overlay, live_time)?;
    let mut slots: Vec<AccountName> = returned.iter().map(|member| member.account).collect();
    let root = tree::state_root(overlay.store())?;
    let seed = Purpose::EMERGENCY_SCHEDULE.hash_on_chain(chain, &(era, round, root));
    let held: BTreeSet<_> = record.schedule.iter().copied().collect();
    slots.sort_by_cached_key(|account| {
        let rank = Purpose::EMERGENCY_SCHEDULE.hash_encoded(&(&seed, account));
        (!held.contains(account), rank)
    });
    slots.resize(
        usize::from(parameters.max_validators),
        parameters.emergency.validator_account,
    );
    let mut places: Vec<_> = slots.into_iter().enumerate().collect();
    places.sort_by_cached_key(|(place, account)| {
        Purpose::EMERGENCY_SCHEDULE.hash_encoded(&(&seed, *place as u64, account))
    });
    Ok(places.into_iter().map(|(_, account)| account).collect())
}
