//! Execution of one transaction.
//!
//! * T1. Sender, key, nonce, expiry and fee are checked first. If one fails, the receipt says so and nothing changes.
//! * T2. Then the fee goes to the treasury and the nonce is used up, whatever the action does.
//! * T3. An action checks everything before it changes anything.
//!
//! A transaction that was executed before fails T1 by its nonce; its first receipt stands.

use crate::block::{BlockContext, LedgerError};
use crate::keys::AccountKey;
use crate::objects::Account;
use crate::overlay::Overlay;
use crate::state::{StateError, StateStore};
use crate::{staking, validator};
use holdfast_types::{
    AccountName, Action, Amount, ChainProperties, Event, FailureCode, Parameters, PublicKey,
    Receipt, ReceiptStatus, TimestampMs, VerifiedTransaction,
};

/// Account names that the protocol itself uses. Nobody creates or pays them.
pub const RESERVED_ACCOUNTS: [&str; 3] = ["committee", "null", "treasury"];

/// Whether the protocol uses this account name itself.
#[must_use]
pub fn is_reserved(name: &AccountName, parameters: &Parameters) -> bool {
    RESERVED_ACCOUNTS.contains(&name.as_str()) || *name == parameters.emergency.validator_account
}

/// Why an action stops: it failed, or the node must.
pub(crate) enum Stop {
    Failed(FailureCode),
    Fatal(LedgerError),
}

impl From<FailureCode> for Stop {
    fn from(code: FailureCode) -> Self {
        Self::Failed(code)
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Fatal(error)
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::Fatal(error.into())
    }
}

/// Events of an action, or why there are none.
pub(crate) type Effect = Result<Vec<Event>, Stop>;

/// Fee of a transaction under the chain properties in force; none if it overflows.
#[must_use]
pub fn fee(properties: &ChainProperties, transaction: &VerifiedTransaction) -> Option<Amount> {
    let bytes = u64::try_from(transaction.encoded_bytes()).ok()?;
    let fee = properties
        .byte_fee
        .checked_mul(bytes)?
        .checked_add(properties.transaction_fee)?;
    match transaction.body().action {
        Action::CreateAccount { .. } => fee.checked_add(properties.account_creation_fee),
        Action::Transfer { .. }
        | Action::UpdateKey { .. }
        | Action::RegisterValidator { .. }
        | Action::UpdateValidator { .. }
        | Action::Stake { .. }
        | Action::Unstake { .. }
        | Action::VoteProperties { .. }
        | Action::VoteHardfork { .. } => Some(fee),
    }
}

/// The checks of T1: the fee, if the transaction may be executed for `sender` at the block time `now`.
pub fn admit(
    sender: Option<&Account>,
    properties: &ChainProperties,
    transaction: &VerifiedTransaction,
    now: TimestampMs,
) -> Result<Amount, FailureCode> {
    let body = transaction.body();
    let sender = sender.ok_or(FailureCode::UnknownSender)?;
    if body.public_key != sender.public_key {
        return Err(FailureCode::WrongKey);
    }
    if body.nonce < sender.nonce {
        return Err(FailureCode::NonceTooLow);
    }
    if body.nonce > sender.nonce {
        return Err(FailureCode::NonceTooHigh);
    }
    if sender.nonce == u64::MAX {
        return Err(FailureCode::ValueOutOfRange);
    }
    if body.expires_at.is_some_and(|expiry| expiry < now) {
        return Err(FailureCode::Expired);
    }
    let fee = fee(properties, transaction)
        .filter(|fee| *fee <= body.fee_max)
        .ok_or(FailureCode::FeeAboveMaximum)?;
    if fee > sender.balance {
        return Err(FailureCode::InsufficientBalance);
    }
    Ok(fee)
}

/// Executes one transaction: always gives a receipt, unless the node must stop.
pub(crate) fn execute<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    transaction: &VerifiedTransaction,
) -> Result<Receipt, LedgerError> {
    let body = transaction.body();
    let receipt = |status, fee, events| Receipt {
        transaction: transaction.id(),
        status,
        fee,
        events,
    };
    let sender = overlay.account(body.sender)?;
    let fee = match admit(
        sender.as_ref(),
        &overlay.properties.properties,
        transaction,
        context.input.timestamp,
    ) {
        Ok(fee) => fee,
        Err(code) => return Ok(receipt(ReceiptStatus::Failed(code), 0, Vec::new())),
    };
    let mut sender = sender.ok_or_else(|| overlay.broken("an admitted sender exists"))?;
    sender.balance = sender.balance.saturating_sub(fee);
    sender.nonce = sender.nonce.saturating_add(1);
    overlay.set_account(body.sender, sender)?;
    overlay.properties.treasury = overlay
        .properties
        .treasury
        .checked_add(fee)
        .ok_or_else(|| overlay.broken("the treasury is below the total supply"))?;
    match act(overlay, context, body.sender, &body.action) {
        Ok(events) => Ok(receipt(ReceiptStatus::Success, fee, events)),
        Err(Stop::Failed(code)) => Ok(receipt(ReceiptStatus::Failed(code), fee, Vec::new())),
        Err(Stop::Fatal(error)) => Err(error),
    }
}

fn act<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    sender: AccountName,
    action: &Action,
) -> Effect {
    match action {
        Action::Transfer { to, amount, .. } => transfer(overlay, context, sender, *to, *amount),
        Action::CreateAccount { name, key, balance } => {
            create_account(overlay, context, sender, *name, *key, *balance)
        }
        Action::UpdateKey { key } => {
            let mut account = overlay.existing(&AccountKey(sender))?;
            account.public_key = *key;
            overlay.set_account(sender, account)?;
            Ok(vec![Event::KeyUpdated { account: sender }])
        }
        Action::RegisterValidator { signing_key, url } => {
            validator::register(overlay, context, sender, *signing_key, url)
        }
        Action::UpdateValidator { signing_key, url } => {
            validator::update(overlay, context, sender, *signing_key, url)
        }
        Action::Stake { validator, amount } => {
            staking::stake(overlay, context, sender, *validator, *amount)
        }
        Action::Unstake { validator, amount } => {
            staking::unstake(overlay, context, sender, *validator, *amount)
        }
        Action::VoteProperties { properties } => {
            validator::vote_properties(overlay, context, sender, *properties)
        }
        Action::VoteHardfork { version } => validator::vote_hardfork(overlay, sender, *version),
    }
}

fn transfer<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    from: AccountName,
    to: AccountName,
    amount: Amount,
) -> Effect {
    if amount == 0 {
        return Err(FailureCode::AmountZero.into());
    }
    if is_reserved(&to, context.parameters) {
        return Err(FailureCode::ReservedAccount.into());
    }
    let mut sender = overlay.existing(&AccountKey(from))?;
    sender.balance = sender
        .balance
        .checked_sub(amount)
        .ok_or(FailureCode::InsufficientBalance)?;
    if from != to {
        let mut recipient = overlay.account(to)?.ok_or(FailureCode::UnknownRecipient)?;
        recipient.balance = recipient
            .balance
            .checked_add(amount)
            .ok_or(FailureCode::AmountOverflow)?;
        overlay.set_account(from, sender)?;
        overlay.set_account(to, recipient)?;
    }
    Ok(vec![Event::Transferred { from, to, amount }])
}

fn create_account<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    creator: AccountName,
    name: AccountName,
    key: PublicKey,
    balance: Amount,
) -> Effect {
    if is_reserved(&name, context.parameters) {
        return Err(FailureCode::ReservedAccount.into());
    }
    if overlay.account(name)?.is_some() {
        return Err(FailureCode::AccountExists.into());
    }
    let mut sender = overlay.existing(&AccountKey(creator))?;
    sender.balance = sender
        .balance
        .checked_sub(balance)
        .ok_or(FailureCode::InsufficientBalance)?;
    overlay.set_account(creator, sender)?;
    overlay.set_account(
        name,
        Account {
            public_key: key,
            balance,
            nonce: 0,
            unbondings: 0,
        },
    )?;
    let mut events = vec![Event::AccountCreated { name, creator }];
    if balance > 0 {
        events.push(Event::Transferred {
            from: creator,
            to: name,
            amount: balance,
        });
    }
    Ok(events)
}
