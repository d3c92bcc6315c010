//! What execution says of a transaction and of a block.

use crate::account::{AccountName, Amount};
use crate::crypto::PublicKey;
use crate::hash::{Hash32, Purpose};
use crate::ids::{Era, HaltId, Height, TimestampMs, TransactionId};
use crate::transaction::ChainProperties;
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

/// Why a transaction failed. The position in this list is the tag byte: new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum FailureCode {
    UnknownSender,
    WrongKey,
    NonceTooLow,
    NonceTooHigh,
    Expired,
    FeeAboveMaximum,
    InsufficientBalance,
    UnknownRecipient,
    AccountExists,
    NotAValidator,
    AlreadyAValidator,
    UnknownValidator,
    SigningKeyInUse,
    StakeBelowMinimum,
    InsufficientStake,
    AmountZero,
    AmountOverflow,
    TooManyUnbondings,
    ReservedAccount,
    ValueOutOfRange,
}

impl FailureCode {
    /// Stable name for RPC, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownSender => "unknown_sender",
            Self::WrongKey => "wrong_key",
            Self::NonceTooLow => "nonce_too_low",
            Self::NonceTooHigh => "nonce_too_high",
            Self::Expired => "expired",
            Self::FeeAboveMaximum => "fee_above_maximum",
            Self::InsufficientBalance => "insufficient_balance",
            Self::UnknownRecipient => "unknown_recipient",
            Self::AccountExists => "account_exists",
            Self::NotAValidator => "not_a_validator",
            Self::AlreadyAValidator => "already_a_validator",
            Self::UnknownValidator => "unknown_validator",
            Self::SigningKeyInUse => "signing_key_in_use",
            Self::StakeBelowMinimum => "stake_below_minimum",
            Self::InsufficientStake => "insufficient_stake",
            Self::AmountZero => "amount_zero",
            Self::AmountOverflow => "amount_overflow",
            Self::TooManyUnbondings => "too_many_unbondings",
            Self::ReservedAccount => "reserved_account",
            Self::ValueOutOfRange => "value_out_of_range",
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownSender => "the sender account does not exist",
            Self::WrongKey => "public_key is not the key of the sender account",
            Self::NonceTooLow => "the nonce was already used",
            Self::NonceTooHigh => "an earlier nonce of the sender is missing",
            Self::Expired => "expires_at lies before the block time",
            Self::FeeAboveMaximum => "the fee is above fee_max",
            Self::InsufficientBalance => "the balance does not cover amount and fee",
            Self::UnknownRecipient => "the recipient account does not exist",
            Self::AccountExists => "an account of this name exists already",
            Self::NotAValidator => "the sender is not registered as a validator",
            Self::AlreadyAValidator => "the sender is registered as a validator already",
            Self::UnknownValidator => "no validator of this name is registered",
            Self::SigningKeyInUse => "another validator uses this signing key",
            Self::StakeBelowMinimum => "the stake would fall below the minimum",
            Self::InsufficientStake => "the stake does not cover the amount",
            Self::AmountZero => "the amount is zero",
            Self::AmountOverflow => "the amount overflows a balance",
            Self::TooManyUnbondings => "too many unbondings of this account are in progress",
            Self::ReservedAccount => "this account name is reserved",
            Self::ValueOutOfRange => "a value lies outside its allowed range",
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

/// Whether a transaction took effect. A failed one paid its fee if its sender, key, nonce and balance allowed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ReceiptStatus {
    Success,
    Failed(FailureCode),
}

/// What happened in the ledger. The position in this list is the tag byte: new ones are appended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    Transferred {
        from: AccountName,
        to: AccountName,
        amount: Amount,
    },
    AccountCreated {
        name: AccountName,
        creator: AccountName,
    },
    KeyUpdated {
        account: AccountName,
    },
    ValidatorRegistered {
        account: AccountName,
    },
    ValidatorUpdated {
        account: AccountName,
        signing_key: Option<PublicKey>,
    },
    Staked {
        account: AccountName,
        validator: AccountName,
        amount: Amount,
    },
    UnbondingStarted {
        account: AccountName,
        validator: AccountName,
        amount: Amount,
    },
    UnbondingCompleted {
        account: AccountName,
        amount: Amount,
    },
    EraEnded {
        era: Era,
        next_era: Era,
    },
    IrreversibleAdvanced {
        height: Height,
    },
    /// Stake was taken for an offence in `era`; `burned` of `amount` left the supply.
    Slashed {
        validator: AccountName,
        era: Era,
        amount: Amount,
        burned: Amount,
    },
    /// The validator is in no committee before this live time.
    Jailed {
        validator: AccountName,
        until: TimestampMs,
    },
    /// The median of the votes changed the chain properties.
    PropertiesChanged {
        properties: ChainProperties,
    },
    /// A governance message took effect.
    GovernanceExecuted {
        sequence: u64,
        message: Hash32,
    },
    /// The chain was halted after the block of this height.
    ChainHalted {
        halt: HaltId,
        height: Height,
    },
    /// The chain goes on, in this era.
    ChainResumed {
        message: Hash32,
        era: Era,
    },
    /// Emergency consensus begins with this block, so long after the stall clock.
    EmergencyActivated {
        slot: u64,
        stalled_ms: u64,
    },
    /// Emergency consensus ends with this block; so many validators take over.
    EmergencyDeactivated {
        validators: u32,
    },
    /// The rules of a later hardfork hold from the next block on.
    HardforkApplied {
        version: u32,
    },
}

/// Result of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Receipt {
    pub transaction: TransactionId,
    pub status: ReceiptStatus,
    pub fee: Amount,
    pub events: Vec<Event>,
}

impl Receipt {
    /// Leaf of the events root.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        Purpose::RECEIPT.hash_encoded(self)
    }

    /// Whether the block of this receipt decides what becomes of the transaction. One that came before an earlier nonce of its
    /// sender still waits for its turn, wherever it stands: it has no place on the chain yet.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.status != ReceiptStatus::Failed(FailureCode::NonceTooHigh)
    }
}
