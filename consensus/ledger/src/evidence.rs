//! Punishment of proven offences.
//!
//! * P1. A slot (offence, era, offender, round or height) is punished once, whatever evidence of it comes later.
//! * P2. What an offence takes is a share of all stake with the validator, what is unbonding included. All offences of
//!   one era together take no more than the maximum of their kind.
//! * P3. An offender is jailed by the number of eras in which it has offended: `jail_first`, `jail_second`, for good.
//! * P4. Of what was taken, the treasury keeps its share and that of the reporter; the rest is burned.
//! * P5. A state root that is not the one of the chain and two roots of one commit are the same offence, in the same slot.

use crate::block::{BlockContext, LedgerError};
use crate::keys::PunishedSlotKey;
use crate::objects::{PunishedSlot, Validator};
use crate::overlay::Overlay;
use crate::state::StateStore;
use crate::validator::store_validator;
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::parameters::SlashingParameters;
use holdfast_types::{Amount, Era, Event, Evidence, TimestampMs};

/// Punishes the offenders that the block's evidence names.
pub(crate) fn punish<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    for (evidence, offender) in context.input.evidence {
        // Emergency rule E8: several nodes may hold the emergency key.
        if *offender == context.parameters.emergency.validator_account {
            continue;
        }
        let key = PunishedSlotKey(evidence.slot_key());
        if overlay.contains(&key)? && !mutant::is_on(Mutant::PunishedPerEvidence) {
            continue;
        }
        let Some(validator) = overlay.validator(*offender)? else {
            continue;
        };
        overlay.set(
            &key,
            PunishedSlot {
                validator: *offender,
                height: overlay.height,
            },
        )?;
        slash(overlay, context, validator, evidence, events)?;
    }
    Ok(())
}

/// Share of the stake that an offence costs, and the most for all of its kind in one era, in basis points.
fn penalty(evidence: &Evidence, slashing: &SlashingParameters) -> (u16, u16) {
    let bad_root = (
        slashing.bad_root_basis_points,
        slashing.bad_root_max_basis_points,
    );
    match evidence {
        // Two results of the same commit: one of them is a bad state root.
        Evidence::ContradictoryAttestations { first, second }
            if first.body.commit == second.body.commit =>
        {
            bad_root
        }
        Evidence::BadStateRoot { .. } => bad_root,
        Evidence::Equivocation { .. } | Evidence::ContradictoryAttestations { .. } => (
            slashing.equivocation_basis_points,
            slashing.equivocation_max_basis_points,
        ),
    }
}

fn slash<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    mut validator: Validator,
    evidence: &Evidence,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    let slashing = &context.parameters.slashing;
    let era = evidence.era();
    let name = validator.owner;
    let jailed = note_offence(&mut validator, era, slashing, context.live_time);
    let (points, points_max) = penalty(evidence, slashing);
    let points = points.min(points_max.saturating_sub(validator.offence_basis_points));
    validator.offence_basis_points = validator.offence_basis_points.saturating_add(points);
    let (bonded, from_bonded) = validator.bonded.slash(points);
    let (unbonding, from_unbonding) = validator.unbonding.slash(points);
    validator.bonded = bonded;
    validator.unbonding = unbonding;
    let until = validator.jailed_until;
    store_validator(overlay, context.parameters, validator)?;
    let amount = from_bonded
        .checked_add(from_unbonding)
        .ok_or_else(|| overlay.broken("stakes are below the total supply"))?;
    if amount > 0 {
        let burned = distribute(overlay, slashing, amount)?;
        events.push(Event::Slashed {
            validator: name,
            era,
            amount,
            burned,
        });
    }
    if jailed {
        events.push(Event::Jailed {
            validator: name,
            until,
        });
    }
    Ok(())
}

/// Counts the era of an offence; the first of an era jails (P3). Whether it did.
fn note_offence(
    validator: &mut Validator,
    era: Era,
    slashing: &SlashingParameters,
    live_time: TimestampMs,
) -> bool {
    if validator.offence_eras > 0 && validator.offence_era == era {
        return false;
    }
    validator.offence_era = era;
    validator.offence_basis_points = 0;
    validator.offence_eras = validator.offence_eras.saturating_add(1);
    let until = match validator.offence_eras {
        1 => live_time.plus(slashing.jail_first_ms),
        2 => live_time.plus(slashing.jail_second_ms),
        _ => TimestampMs::MAX,
    };
    validator.jailed_until = validator.jailed_until.max(until);
    true
}

/// Divides what was taken between treasury and burning; gives what was burned.
fn distribute<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    slashing: &SlashingParameters,
    amount: Amount,
) -> Result<Amount, LedgerError> {
    let kept_points = u128::from(slashing.treasury_basis_points)
        .saturating_add(u128::from(slashing.reporter_basis_points))
        .min(10_000);
    let kept = u128::from(amount)
        .saturating_mul(kept_points)
        .checked_div(10_000)
        .and_then(|kept| u64::try_from(kept).ok())
        .unwrap_or(0);
    let burned = amount.saturating_sub(kept);
    overlay.properties.treasury = overlay
        .properties
        .treasury
        .checked_add(kept)
        .ok_or_else(|| overlay.broken("the treasury is below the total supply"))?;
    if mutant::is_on(Mutant::BurnedIsStillThere) {
        return Ok(burned);
    }
    overlay.properties.total_supply = overlay
        .properties
        .total_supply
        .checked_sub(burned)
        .ok_or_else(|| overlay.broken("what is burned is part of the supply"))?;
    Ok(burned)
}
