//! The end of an era, and of the epoch.
//!
//! * B1. The first block whose timestamp lies `epoch_duration` or more after the start of the epoch ends it, and the era
//!   with it. The next epoch starts with the timestamp of that block.
//! * B2. The next committee: all candidates that are not jailed. If they are more than `max_validators`, those with
//!   the lowest penalty (`penalty`), of equal ones those with the lowest rank, where rank = BLAKE3(seed ‖ name) and seed = BLAKE3(chain ‖ next era ‖ height ‖ state root of the
//!   parent). The anchor's own id is not known inside the anchor; its parent's state is, and no transaction of the
//!   anchor can change it.
//! * B3. If there is no such candidate, the committee stays as it is: a chain without a committee could never get one
//!   again.
//! * B4. At the end of an epoch, each chain property becomes the lower median of the votes of the next committee. Who has not voted votes for
//!   what is in force. The emergency account does not vote.
//! * B5. All members of the next committee are taken to support the last block of this era: it is the anchor on which
//!   their era is built.
//! * B6. A block that resumes the chain ends the era whatever the time is, and the epoch only if its time is over. In an
//!   emergency another emergency era follows (rule E11 there).
//! * B7. At the end of an epoch, the hardfork version becomes the highest that a quorum of the next committee vote for, or
//!   for a higher one, if it is above the one in force. Software that does not know it stops there.

use crate::block::{BlockContext, BlockKind, HARDFORK_KNOWN, LedgerError};
use crate::keys::{SupportsKey, ValidatorKey};
use crate::objects::Supports;
use crate::overlay::Overlay;
use crate::penalty;
use crate::state::StateStore;
use crate::tree;
use crate::validator::candidates;
use holdfast_types::hash::{Hash32, Purpose};
use holdfast_types::{
    AccountName, Amount, ChainId, ChainProperties, Committee, Era, EraEnd, EraKind, Event, Height,
    Member, Parameters, StateRoot, TimestampMs,
};

/// Ends the era if it is over, and the epoch if that is over.
pub(crate) fn end_era_if_due<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    events: &mut Vec<Event>,
) -> Result<Option<EraEnd>, LedgerError> {
    let BlockContext {
        parameters, input, ..
    } = *context;
    if !epoch_is_over(overlay, context) && context.kind == BlockKind::Ordinary {
        return Ok(None);
    }
    if overlay.properties.emergency_consensus_active {
        let committee = input.committee.clone();
        return end_era(overlay, context, EraKind::Emergency, committee, events).map(Some);
    }
    if context.kind == BlockKind::Ordinary {
        penalty::penalise_absent(overlay, context)?;
    }
    let sample = SampleOf {
        chain: input.chain,
        era: input.era.next(),
        height: input.height,
    };
    let committee = next_committee(overlay, parameters, context.live_time, sample)?
        .unwrap_or_else(|| input.committee.clone());
    end_epoch_if_over(overlay, context, &committee, events)?;
    end_era(overlay, context, EraKind::Dag, committee, events).map(Some)
}

/// Ends the running era with this block; `committee` is that of the next one.
pub(crate) fn end_era<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    next_kind: EraKind,
    committee: Committee,
    events: &mut Vec<Event>,
) -> Result<EraEnd, LedgerError> {
    let era = context.input.era;
    let next_era = era.next();
    begin_era(overlay, next_era, &committee)?;
    events.push(Event::EraEnded { era, next_era });
    Ok(EraEnd {
        next_kind,
        committee,
    })
}

fn epoch_is_over<S: StateStore + ?Sized>(
    overlay: &Overlay<'_, S>,
    context: &BlockContext<'_>,
) -> bool {
    let start = overlay.properties.epoch_start;
    context.input.timestamp >= start.plus(context.parameters.epoch_duration_ms)
}

/// Begins the next epoch if it is time; its first committee is `committee`.
pub(crate) fn end_epoch_if_over<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    committee: &Committee,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    if !epoch_is_over(overlay, context) {
        return Ok(());
    }
    let properties = median_properties(overlay, context.parameters, committee)?;
    if properties != overlay.properties.properties {
        overlay.properties.properties = properties;
        events.push(Event::PropertiesChanged { properties });
    }
    apply_hardfork(overlay, context.parameters, committee, events)?;
    overlay.properties.epoch = overlay.properties.epoch.saturating_add(1);
    overlay.properties.epoch_start = context.input.timestamp;
    Ok(())
}

/// Makes the next block one of `era`, anchored at this block.
pub(crate) fn begin_era<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    era: Era,
    committee: &Committee,
) -> Result<(), LedgerError> {
    overlay.properties.era = era;
    overlay.properties.committee = committee.hash();
    let heights = vec![overlay.height; committee.size()];
    Ok(overlay.set(&SupportsKey(), Supports { heights })?)
}

/// What a sample of candidates depends on, besides the state before the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleOf {
    pub(crate) chain: ChainId,
    pub(crate) era: Era,
    pub(crate) height: Height,
}

/// The committee that the state asks for (B2); none if nobody qualifies.
pub(crate) fn next_committee<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
    live_time: TimestampMs,
    sample: SampleOf,
) -> Result<Option<Committee>, LedgerError> {
    let mut members = qualified(overlay, live_time)?;
    if members.is_empty() {
        return Ok(None);
    }
    let size = usize::from(parameters.max_validators);
    if members.len() > size {
        let seed = sample_seed(overlay, sample)?;
        let mut ranked = Vec::with_capacity(members.len());
        for member in members {
            let validator = overlay.existing(&ValidatorKey(member.account))?;
            let rank = (validator.penalty_percent, rank(&seed, &member.account));
            ranked.push((rank, member));
        }
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        members = ranked.into_iter().map(|(_, member)| member).collect();
        members.truncate(size);
    }
    members.sort_by_key(|member| member.account);
    let committee = Committee::new(members)
        .map_err(|error| overlay.broken(format!("candidates form a committee: {error}")))?;
    Ok(Some(committee))
}

/// All candidates that are not jailed.
pub(crate) fn qualified<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    live_time: TimestampMs,
) -> Result<Vec<Member>, LedgerError> {
    let mut members = Vec::new();
    for name in candidates(overlay)? {
        let validator = overlay.existing(&ValidatorKey(name))?;
        let signing_key = validator
            .signing_key
            .ok_or_else(|| overlay.broken("a candidate has a signing key"))?;
        if validator.jailed_until <= live_time {
            members.push(Member {
                account: name,
                signing_key,
            });
        }
    }
    Ok(members)
}

fn sample_seed<S: StateStore + ?Sized>(
    overlay: &Overlay<'_, S>,
    sample: SampleOf,
) -> Result<Hash32, LedgerError> {
    let parent_root = match sample.height {
        Height::ZERO => StateRoot::default(),
        _ => tree::state_root(overlay.store())?
            .ok_or_else(|| overlay.broken("the parent's state root is stored"))?,
    };
    Ok(Purpose::COMMITTEE_SAMPLE
        .hash_on_chain(&sample.chain, &(sample.era, sample.height, parent_root)))
}

fn rank(seed: &Hash32, name: &AccountName) -> Hash32 {
    Purpose::COMMITTEE_SAMPLE.hash_encoded(&(seed, name))
}

/// The chain properties that the votes of `committee` ask for (B4).
fn median_properties<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
    committee: &Committee,
) -> Result<ChainProperties, LedgerError> {
    let in_force = overlay.properties.properties;
    let mut votes = Vec::with_capacity(committee.size());
    for member in committee.members() {
        if member.account == parameters.emergency.validator_account {
            continue;
        }
        let vote = overlay
            .validator(member.account)?
            .and_then(|validator| validator.property_vote);
        votes.push(vote.unwrap_or(in_force));
    }
    let median = |field: fn(&ChainProperties) -> Amount, otherwise| {
        lower_median(votes.iter().map(field).collect()).unwrap_or(otherwise)
    };
    Ok(ChainProperties {
        transaction_fee: median(|vote| vote.transaction_fee, in_force.transaction_fee),
        byte_fee: median(|vote| vote.byte_fee, in_force.byte_fee),
        account_creation_fee: median(
            |vote| vote.account_creation_fee,
            in_force.account_creation_fee,
        ),
    })
}

/// Goes over to the hardfork that a quorum of `committee` vote for (B7).
fn apply_hardfork<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
    committee: &Committee,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    let in_force = overlay.properties.hardfork_version;
    let mut votes = Vec::with_capacity(committee.size());
    for member in committee.members() {
        if member.account == parameters.emergency.validator_account {
            continue;
        }
        let validator = overlay.validator(member.account)?;
        let vote = validator.and_then(|validator| validator.hardfork_vote);
        votes.push(vote.unwrap_or(in_force));
    }
    votes.sort_unstable_by(|one, other| other.cmp(one));
    // The lowest of the q highest: so many vote for it or for more.
    let last = committee.quorum().checked_sub(1);
    let version = last.and_then(|last| votes.get(last)).copied();
    let Some(version) = version.filter(|version| *version > in_force) else {
        return Ok(());
    };
    if version > HARDFORK_KNOWN {
        return Err(LedgerError::UnknownHardfork {
            height: overlay.height,
            version,
        });
    }
    overlay.properties.hardfork_version = version;
    events.push(Event::HardforkApplied { version });
    Ok(())
}

/// The middle value, the lower one of two; none of nothing.
fn lower_median(mut values: Vec<Amount>) -> Option<Amount> {
    values.sort_unstable();
    let middle = values.len().checked_sub(1)? / 2;
    values.get(middle).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_middle_values_the_lower_is_the_median() {
        assert_eq!(lower_median(vec![]), None);
        assert_eq!(lower_median(vec![7]), Some(7));
        assert_eq!(lower_median(vec![9, 1]), Some(1));
        assert_eq!(lower_median(vec![9, 1, 5]), Some(5));
        assert_eq!(lower_median(vec![4, 3, 2, 1]), Some(2));
    }
}
