//! The objects of the state.

use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::hash::Hash32;
use holdfast_types::{AccountName, Amount, ChainProperties, Era, Height, PublicKey, TimestampMs};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Account {
    pub public_key: PublicKey,
    pub balance: Amount,
    /// Number of transactions executed for this account: the nonce of its next one.
    pub nonce: u64,
    /// Unbondings of this account in progress.
    pub unbondings: u16,
}

/// A registered validator. Its owner is the account of the same name.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    pub owner: AccountName,
    /// None: disabled.
    pub signing_key: Option<PublicKey>,
    pub url: Vec<u8>,
    pub registered_at: TimestampMs,
    /// Not in a committee before this live time.
    pub jailed_until: TimestampMs,
    /// Times it was slashed.
    pub slashes: u32,
    pub property_vote: Option<ChainProperties>,
    pub hardfork_vote: Option<u32>,
    /// Stake at work.
    pub bonded: Pool,
    /// Stake on its way out, still answering for offences.
    pub unbonding: Pool,
    /// Position in the index of all validators.
    pub index: u32,
    /// Position in the index of candidates, if it has a signing key and enough stake.
    pub candidate_index: Option<u32>,
}

/// Money held in common: owners hold shares, a slash lowers the amount and so what every share is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Pool {
    pub amount: Amount,
    pub shares: u128,
    /// Number of times that the pool was lost whole; shares of an earlier generation are worth nothing.
    pub generation: u32,
}

/// What changes about the chain as a whole with every block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DynamicProperties {
    pub height: Height,
    pub timestamp: TimestampMs,
    /// Era of the next block.
    pub era: Era,
    /// Number of the running epoch, from 1.
    pub epoch: u64,
    pub epoch_start: TimestampMs,
    pub lib: Height,
    pub lib_timestamp: TimestampMs,
    /// Time that the chain has been halted, in ms: live time is block time less this.
    pub halted_ms: u64,
    /// Hash of the committee of `era`.
    pub committee: Hash32,
    pub total_supply: Amount,
    pub treasury: Amount,
    /// Chain properties in force.
    pub properties: ChainProperties,
    pub hardfork_version: u32,
    pub validators: u32,
    pub candidates: u32,
    /// Numbers of the first waiting unbonding and of the next to come.
    pub unbonding_first: u64,
    pub unbonding_next: u64,
}
