//! The state of block 0.

use crate::state::StateChanges;
use holdfast_types::{
    AccountName, Amount, ChainId, Committee, Parameters, PublicKey, StateRoot, TimestampMs,
};

/// An account that exists from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisAccount {
    pub name: AccountName,
    pub key: PublicKey,
    pub balance: Amount,
}

/// A validator that is registered from the beginning; its account is among the accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisValidator {
    pub account: AccountName,
    /// None: registered but disabled.
    pub signing_key: Option<PublicKey>,
    /// Stake of the account with its own validator, on top of its balance.
    pub stake: Amount,
    pub url: Vec<u8>,
}

/// All that block 0 is made of. The `genesis` crate makes it from a document that it has validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisState {
    pub chain: ChainId,
    pub timestamp: TimestampMs,
    pub parameters: Parameters,
    pub accounts: Vec<GenesisAccount>,
    pub validators: Vec<GenesisValidator>,
    pub treasury: Amount,
}

/// The state of block 0 and the committee of era 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisOutcome {
    pub changes: StateChanges,
    pub state_root: StateRoot,
    pub committee: Committee,
    pub total_supply: Amount,
}

/// Why a genesis state cannot begin a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("genesis {field}: {rule}, got {actual}")]
pub struct GenesisStateError {
    pub field: String,
    pub rule: String,
    pub actual: String,
}

/// The state of block 0.
pub fn genesis(_state: &GenesisState) -> Result<GenesisOutcome, GenesisStateError> {
    unimplemented!("bodies follow the signatures")
}
