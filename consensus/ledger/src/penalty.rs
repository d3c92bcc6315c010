//! Penalties for absence, and when they expire (document 002: `penalty_percent`, `witness_penalty_expire`).
//!
//! * A1. A member of the committee is absent if, when an epoch of the DAG ends, the highest block that it supports lies more
//!   than `gc_depth` blocks below LIB: it has been out of the DAG for so long that nothing of it could be ordered any more.
//! * A2. Each time it is, it has [`ABSENCE_PERCENT`] more, for [`ABSENCE_EPOCHS`] epochs of live time. A penalty takes no stake and no
//!   right away: of more candidates than slots, those with the lower penalty come first (rule B2 of `epoch`).
//! * A3. Nothing is counted at the end of an era that is not the end of an epoch of the DAG: in a halt and in an emergency absence
//!   is nobody's fault.
//! * A4. An emergency begins with a clean slate: activation lifts all penalties and removes all that would expire.

use crate::block::{BlockContext, LedgerError};
use crate::keys::{PenaltyKey, SupportsKey, ValidatorKey};
use crate::objects::Penalty;
use crate::overlay::Overlay;
use crate::state::StateStore;

/// What one absence adds to the penalty of a validator.
pub const ABSENCE_PERCENT: u8 = 1;
/// After how many epochs of live time it is gone: a day, with epochs of three hours.
pub const ABSENCE_EPOCHS: u64 = 8;

/// Penalises the absent at the end of an epoch (A1, A2).
pub(crate) fn penalise_absent<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
) -> Result<(), LedgerError> {
    let parameters = context.parameters;
    let lasts_ms = parameters.epoch_duration_ms.saturating_mul(ABSENCE_EPOCHS);
    let expires_at = context.live_time.plus(lasts_ms);
    let lib = overlay.properties.lib;
    let supports = overlay.existing(&SupportsKey())?;
    let members = context.input.committee.members().iter();
    for (member, supported) in members.zip(supports.heights) {
        if lib.since(supported) <= parameters.dag.gc_depth {
            continue;
        }
        let mut validator = overlay.existing(&ValidatorKey(member.account))?;
        validator.penalty_percent = validator.penalty_percent.saturating_add(ABSENCE_PERCENT);
        overlay.set_validator(member.account, validator)?;
        let number = overlay.properties.penalty_next;
        overlay.properties.penalty_next = number.saturating_add(1);
        let penalty = Penalty {
            validator: member.account,
            percent: ABSENCE_PERCENT,
            expires_at,
        };
        overlay.set(&PenaltyKey(number), penalty)?;
    }
    Ok(())
}

/// Lifts the penalties that have expired. All last equally long, so the oldest one expires first.
pub(crate) fn expire<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
) -> Result<(), LedgerError> {
    while let Some((number, penalty)) = oldest(overlay)? {
        if penalty.expires_at > context.live_time {
            break;
        }
        lift(overlay, number, &penalty)?;
    }
    Ok(())
}

/// Lifts all penalties (A4).
pub(crate) fn lift_all<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
) -> Result<(), LedgerError> {
    while let Some((number, penalty)) = oldest(overlay)? {
        lift(overlay, number, &penalty)?;
    }
    Ok(())
}

fn oldest<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
) -> Result<Option<(u64, Penalty)>, LedgerError> {
    let number = overlay.properties.penalty_first;
    if number >= overlay.properties.penalty_next {
        return Ok(None);
    }
    Ok(Some((number, overlay.existing(&PenaltyKey(number))?)))
}

fn lift<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    number: u64,
    penalty: &Penalty,
) -> Result<(), LedgerError> {
    let mut validator = overlay.existing(&ValidatorKey(penalty.validator))?;
    validator.penalty_percent = validator
        .penalty_percent
        .checked_sub(penalty.percent)
        .ok_or_else(|| overlay.broken("a validator's penalty is the sum of those that expire"))?;
    overlay.set_validator(penalty.validator, validator)?;
    overlay.remove(&PenaltyKey(number))?;
    overlay.properties.penalty_first = number.saturating_add(1);
    Ok(())
}
