//! Stake and its way back.
//!
//! * K1. Anybody stakes with any registered validator and holds shares of its bonded pool.
//! * K2. Unstaking moves the money into the validator's unbonding pool, where it goes on answering for offences, and
//!   queues its release after `unbonding_ms` of live time.
//! * K3. Releases come due in the order of their start, because that time is the same for all: a block looks at the
//!   head of the queue only, and at no more than [`RELEASES_PER_BLOCK_MAX`].
//! * K4. The owner of an enabled validator does not take its stake below the minimum; it disables it first, so that
//!   nobody leaves the committee by accident. Others are never held back.

use crate::block::{BlockContext, LedgerError};
use crate::keys::{AccountKey, StakePositionKey, UnbondingKey, ValidatorKey};
use crate::objects::{StakePosition, Unbonding};
use crate::overlay::Overlay;
use crate::pool::Pool;
use crate::state::StateStore;
use crate::transaction::Effect;
use crate::validator::store_validator;
use holdfast_types::{AccountName, Amount, Event, FailureCode};
use std::cmp::Ordering;

/// Most unbondings released in one block.
pub const RELEASES_PER_BLOCK_MAX: u32 = 256;

pub(crate) fn stake<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    sender: AccountName,
    validator_name: AccountName,
    amount: Amount,
) -> Effect {
    if amount == 0 {
        return Err(FailureCode::AmountZero.into());
    }
    // Emergency rule E8.
    if validator_name == context.parameters.emergency.validator_account {
        return Err(FailureCode::ReservedAccount.into());
    }
    let mut validator = overlay
        .validator(validator_name)?
        .ok_or(FailureCode::UnknownValidator)?;
    let mut account = overlay.existing(&AccountKey(sender))?;
    account.balance = account
        .balance
        .checked_sub(amount)
        .ok_or(FailureCode::InsufficientBalance)?;
    let (pool, shares) = validator
        .bonded
        .put_in(amount)
        .ok_or(FailureCode::ValueOutOfRange)?;
    let key = StakePositionKey(sender, validator_name);
    // Shares of a pool that was lost whole are worth nothing: they make way.
    let held = overlay
        .get(&key)?
        .filter(|position| position.generation == pool.generation)
        .map_or(0, |position| position.shares);
    let position = StakePosition {
        shares: held
            .checked_add(shares)
            .ok_or(FailureCode::AmountOverflow)?,
        generation: pool.generation,
    };
    validator.bonded = pool;
    overlay.set_account(sender, account)?;
    overlay.set(&key, position)?;
    store_validator(overlay, context.parameters, validator)?;
    Ok(vec![Event::Staked {
        account: sender,
        validator: validator_name,
        amount,
    }])
}

pub(crate) fn unstake<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    sender: AccountName,
    validator_name: AccountName,
    amount: Amount,
) -> Effect {
    let staking = &context.parameters.staking;
    if amount == 0 {
        return Err(FailureCode::AmountZero.into());
    }
    let mut validator = overlay
        .validator(validator_name)?
        .ok_or(FailureCode::UnknownValidator)?;
    let key = StakePositionKey(sender, validator_name);
    let mut position = overlay.get(&key)?.ok_or(FailureCode::InsufficientStake)?;
    let (bonded, shares) = take_from_position(&validator.bonded, &position, amount)
        .ok_or(FailureCode::InsufficientStake)?;
    if sender == validator_name
        && validator.signing_key.is_some()
        && bonded.amount < staking.min_validator_stake
    {
        return Err(FailureCode::StakeBelowMinimum.into());
    }
    let mut account = overlay.existing(&AccountKey(sender))?;
    if account.unbondings >= staking.unbondings_max {
        return Err(FailureCode::TooManyUnbondings.into());
    }
    account.unbondings = account.unbondings.saturating_add(1);
    let (unbonding, unbonding_shares) = validator
        .unbonding
        .put_in(amount)
        .ok_or(FailureCode::ValueOutOfRange)?;
    position.shares = position
        .shares
        .checked_sub(shares)
        .ok_or(FailureCode::InsufficientStake)?;
    let number = overlay.properties.unbonding_next;
    overlay.properties.unbonding_next =
        number.checked_add(1).ok_or(FailureCode::ValueOutOfRange)?;
    validator.bonded = bonded;
    validator.unbonding = unbonding;
    overlay.set_account(sender, account)?;
    if position.shares == 0 {
        overlay.remove(&key)?;
    } else {
        overlay.set(&key, position)?;
    }
    overlay.set(
        &UnbondingKey(number),
        Unbonding {
            account: sender,
            validator: validator_name,
            shares: unbonding_shares,
            generation: unbonding.generation,
            completes_at: context.live_time.plus(staking.unbonding_ms),
        },
    )?;
    store_validator(overlay, context.parameters, validator)?;
    Ok(vec![Event::UnbondingStarted {
        account: sender,
        validator: validator_name,
        amount,
    }])
}

/// The pool without `amount`, and the shares that the position gives up for it; none if the position is worth less.
fn take_from_position(
    pool: &Pool,
    position: &StakePosition,
    amount: Amount,
) -> Option<(Pool, u64)> {
    let worth = pool.worth(position.shares, position.generation);
    // Who takes all gives up all shares, the fraction below one unit included.
    let shares = match amount.cmp(&worth) {
        Ordering::Greater => return None,
        Ordering::Equal => position.shares,
        Ordering::Less => pool.shares_for(amount)?,
    };
    Some((pool.take_out(amount, shares)?, shares))
}

/// Gives back what is due (K3).
pub(crate) fn release_due<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    for _ in 0..RELEASES_PER_BLOCK_MAX {
        let number = overlay.properties.unbonding_first;
        if number >= overlay.properties.unbonding_next {
            break;
        }
        let unbonding = overlay.existing(&UnbondingKey(number))?;
        if unbonding.completes_at > context.live_time {
            break;
        }
        let mut validator = overlay.existing(&ValidatorKey(unbonding.validator))?;
        let pool = validator.unbonding;
        let amount = pool.worth(unbonding.shares, unbonding.generation);
        if unbonding.generation == pool.generation {
            validator.unbonding = pool
                .take_out(amount, unbonding.shares)
                .ok_or_else(|| overlay.broken("an unbonding pool covers its shares"))?;
            overlay.set_validator(unbonding.validator, validator)?;
        }
        let mut account = overlay.existing(&AccountKey(unbonding.account))?;
        account.balance = account
            .balance
            .checked_add(amount)
            .ok_or_else(|| overlay.broken("a balance is below the total supply"))?;
        account.unbondings = account
            .unbondings
            .checked_sub(1)
            .ok_or_else(|| overlay.broken("an account counts its unbondings"))?;
        overlay.set_account(unbonding.account, account)?;
        overlay.remove(&UnbondingKey(number))?;
        overlay.properties.unbonding_first = number.saturating_add(1);
        events.push(Event::UnbondingCompleted {
            account: unbonding.account,
            amount,
        });
    }
    Ok(())
}
