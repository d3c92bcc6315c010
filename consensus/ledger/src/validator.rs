//! Registering, changing and voting as a validator.
//!
//! * V1. A validator is never removed: a null signing key disables it.
//! * V2. A signing key belongs to one validator at a time, and the emergency key to none.
//! * V3. The index of candidates holds exactly the validators with a signing key and at least the minimum stake, so
//!   that the next committee is found without reading all that were ever registered. Genesis bounds the total supply
//!   against the minimum stake, and so the length of this index.

use crate::block::{BlockContext, LedgerError};
use crate::keys::{CandidateIndexKey, SigningKeyKey, ValidatorIndexKey, ValidatorKey};
use crate::objects::{Validator, ValidatorName};
use crate::overlay::Overlay;
use crate::pool::Pool;
use crate::state::StateStore;
use crate::transaction::{Effect, Stop};
use holdfast_types::limits::{TRANSACTION_BYTES_MAX, URL_BYTES_MAX};
use holdfast_types::{
    AccountName, ChainProperties, Era, Event, FailureCode, Parameters, PublicKey, TimestampMs,
};

/// Whether chain properties are within bounds: no fee, not even of the longest transaction, is above the minimum
/// stake of a validator. So votes cannot price everybody out for good.
#[must_use]
pub fn properties_in_range(properties: &ChainProperties, parameters: &Parameters) -> bool {
    let limit = parameters.staking.min_validator_stake;
    let longest = u64::try_from(TRANSACTION_BYTES_MAX).unwrap_or(u64::MAX);
    properties.transaction_fee <= limit
        && properties.account_creation_fee <= limit
        && properties
            .byte_fee
            .checked_mul(longest)
            .is_some_and(|fee| fee <= limit)
}

/// Whether a validator URL can be shown: UTF-8 without control characters, within its length.
#[must_use]
pub fn url_in_range(url: &[u8]) -> bool {
    url.len() <= URL_BYTES_MAX
        && std::str::from_utf8(url).is_ok_and(|url| !url.chars().any(char::is_control))
}

/// A validator as it is registered, without stake.
pub(crate) const fn new_validator(
    owner: AccountName,
    signing_key: Option<PublicKey>,
    url: Vec<u8>,
    registered_at: TimestampMs,
    index: u32,
) -> Validator {
    Validator {
        owner,
        signing_key,
        url,
        registered_at,
        jailed_until: TimestampMs::ZERO,
        offence_eras: 0,
        offence_era: Era::ZERO,
        offence_basis_points: 0,
        penalty_percent: 0,
        property_vote: None,
        hardfork_vote: None,
        bonded: Pool {
            amount: 0,
            shares: 0,
            generation: 0,
        },
        unbonding: Pool {
            amount: 0,
            shares: 0,
            generation: 0,
        },
        index,
        candidate_index: None,
    }
}

pub(crate) fn register<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    sender: AccountName,
    signing_key: Option<PublicKey>,
    url: &[u8],
) -> Effect {
    if overlay.validator(sender)?.is_some() {
        return Err(FailureCode::AlreadyAValidator.into());
    }
    check_url_and_key(overlay, context, sender, signing_key, url)?;
    let index = overlay.properties.validators;
    overlay.properties.validators = index.checked_add(1).ok_or(FailureCode::ValueOutOfRange)?;
    overlay.set(&ValidatorIndexKey(index), ValidatorName { name: sender })?;
    if let Some(key) = signing_key {
        overlay.set(&SigningKeyKey(key), ValidatorName { name: sender })?;
    }
    let registered_at = context.input.timestamp;
    let validator = new_validator(sender, signing_key, url.to_vec(), registered_at, index);
    store_validator(overlay, context.parameters, validator)?;
    Ok(vec![Event::ValidatorRegistered { account: sender }])
}

pub(crate) fn update<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    sender: AccountName,
    signing_key: Option<PublicKey>,
    url: &[u8],
) -> Effect {
    let mut validator = overlay
        .validator(sender)?
        .ok_or(FailureCode::NotAValidator)?;
    check_url_and_key(overlay, context, sender, signing_key, url)?;
    if validator.signing_key != signing_key {
        if let Some(key) = validator.signing_key {
            overlay.remove(&SigningKeyKey(key))?;
        }
        if let Some(key) = signing_key {
            overlay.set(&SigningKeyKey(key), ValidatorName { name: sender })?;
        }
    }
    validator.signing_key = signing_key;
    validator.url = url.to_vec();
    store_validator(overlay, context.parameters, validator)?;
    Ok(vec![Event::ValidatorUpdated {
        account: sender,
        signing_key,
    }])
}

pub(crate) fn vote_properties<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    sender: AccountName,
    properties: ChainProperties,
) -> Effect {
    let mut validator = overlay
        .validator(sender)?
        .ok_or(FailureCode::NotAValidator)?;
    if !properties_in_range(&properties, context.parameters) {
        return Err(FailureCode::ValueOutOfRange.into());
    }
    validator.property_vote = Some(properties);
    overlay.set_validator(sender, validator)?;
    Ok(Vec::new())
}

pub(crate) fn vote_hardfork<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    sender: AccountName,
    version: u32,
) -> Effect {
    let mut validator = overlay
        .validator(sender)?
        .ok_or(FailureCode::NotAValidator)?;
    validator.hardfork_vote = Some(version);
    overlay.set_validator(sender, validator)?;
    Ok(Vec::new())
}

fn check_url_and_key<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    sender: AccountName,
    signing_key: Option<PublicKey>,
    url: &[u8],
) -> Result<(), Stop> {
    if !url_in_range(url) {
        return Err(FailureCode::ValueOutOfRange.into());
    }
    let Some(key) = signing_key else {
        return Ok(());
    };
    let user = overlay.get(&SigningKeyKey(key))?;
    if user.is_some_and(|user| user.name != sender)
        || key == context.parameters.emergency.validator_public_key
    {
        return Err(FailureCode::SigningKeyInUse.into());
    }
    Ok(())
}

/// Writes a validator back and keeps the index of candidates in step with it (V3).
pub(crate) fn store_validator<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    parameters: &Parameters,
    mut validator: Validator,
) -> Result<(), LedgerError> {
    let name = validator.owner;
    // Emergency rule E8.
    let is_candidate = name != parameters.emergency.validator_account
        && validator.signing_key.is_some()
        && validator.bonded.amount >= parameters.staking.min_validator_stake;
    match (is_candidate, validator.candidate_index) {
        (true, None) => {
            let index = overlay.properties.candidates;
            overlay.properties.candidates = index
                .checked_add(1)
                .ok_or_else(|| overlay.broken("candidates are fewer than 2^32"))?;
            overlay.set(&CandidateIndexKey(index), ValidatorName { name })?;
            validator.candidate_index = Some(index);
        }
        (false, Some(index)) => {
            remove_candidate(overlay, index)?;
            validator.candidate_index = None;
        }
        (true, Some(_)) | (false, None) => {}
    }
    Ok(overlay.set_validator(name, validator)?)
}

/// The validators with a signing key and enough stake, in the order of their index, which means nothing. They are read ahead;
/// what is done to one may move another in the index, so each is to be taken from the state when it is its turn.
pub(crate) fn candidates<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
) -> Result<Vec<AccountName>, LedgerError> {
    let count = overlay.properties.candidates;
    overlay.prefetch((0..count).map(CandidateIndexKey).collect())?;
    let mut names = Vec::new();
    for index in 0..count {
        names.push(overlay.existing(&CandidateIndexKey(index))?.name);
    }
    overlay.prefetch(names.iter().copied().map(ValidatorKey).collect())?;
    Ok(names)
}

/// Takes an entry out of the index of candidates; the last one takes its place.
fn remove_candidate<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    index: u32,
) -> Result<(), LedgerError> {
    let last = overlay
        .properties
        .candidates
        .checked_sub(1)
        .ok_or_else(|| overlay.broken("a candidate is counted"))?;
    overlay.properties.candidates = last;
    if last != index {
        let moved = overlay.existing(&CandidateIndexKey(last))?;
        let mut validator = overlay.existing(&ValidatorKey(moved.name))?;
        validator.candidate_index = Some(index);
        overlay.set_validator(moved.name, validator)?;
        overlay.set(&CandidateIndexKey(index), moved)?;
    }
    Ok(overlay.remove(&CandidateIndexKey(last))?)
}
