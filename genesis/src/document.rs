//! The genesis document as it is written.

use crate::annotate::annotated;
use crate::time::GenesisTime;
use holdfast_ledger::{GenesisAccount, GenesisState, GenesisValidator};
use holdfast_types::hash::{Hash32, Purpose};
use holdfast_types::{AccountName, Amount, ChainId, Parameters, PublicKey};
use serde::{Deserialize, Serialize};

/// Format of the document that this software reads and writes.
pub const FORMAT: u32 = 1;

/// A genesis document. It may be invalid: [`crate::Genesis`] is one that is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisDocument {
    pub format: u32,
    /// Name for people; the chain id is what counts.
    pub chain_name: String,
    /// Timestamp of block 0.
    pub genesis_time: GenesisTime,
    /// Free text, part of the chain id.
    #[serde(default)]
    pub notes: String,
    /// First balance of the treasury, in base units.
    pub treasury: Amount,
    pub parameters: Parameters,
    pub accounts: Vec<AccountEntry>,
    pub validators: Vec<ValidatorEntry>,
}

/// An account that exists from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountEntry {
    pub name: AccountName,
    pub key: PublicKey,
    /// In base units.
    pub balance: Amount,
}

/// A validator that is registered from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorEntry {
    /// One of the accounts.
    pub account: AccountName,
    /// None: registered but disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<PublicKey>,
    /// Staked by the account, on top of its balance, in base units.
    pub stake: Amount,
    #[serde(default)]
    pub url: String,
}

impl GenesisDocument {
    /// The document as text, with a comment for every parameter.
    ///
    /// # Errors
    /// If a number is above 2^63 − 1, which TOML cannot write.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self).map(|text| annotated(&text))
    }

    /// The document with accounts and validators in the order of their names.
    pub(crate) fn sorted(mut self) -> Self {
        self.accounts.sort_by_key(|account| account.name);
        self.validators.sort_by_key(|validator| validator.account);
        self
    }

    /// Hash of the meaning of the document; of a sorted one.
    pub(crate) fn chain_id(&self) -> ChainId {
        let accounts: Vec<_> = self
            .accounts
            .iter()
            .map(|account| (account.name, account.key, account.balance))
            .collect();
        let validators: Vec<_> = self
            .validators
            .iter()
            .map(|validator| {
                (
                    validator.account,
                    validator.signing_key,
                    validator.stake,
                    &validator.url,
                )
            })
            .collect();
        ChainId::new(Purpose::GENESIS.hash_encoded(&(
            self.format,
            &self.chain_name,
            self.genesis_time.0,
            &self.notes,
            self.treasury,
            &self.parameters,
            accounts,
            validators,
        )))
    }

    pub(crate) fn parameters_hash(&self) -> Hash32 {
        Purpose::PARAMETERS.hash_encoded(&self.parameters)
    }

    /// What the ledger makes block 0 of.
    pub(crate) fn state(&self, chain: ChainId) -> GenesisState {
        GenesisState {
            chain,
            timestamp: self.genesis_time.0,
            parameters: self.parameters.clone(),
            accounts: self
                .accounts
                .iter()
                .map(|account| GenesisAccount {
                    name: account.name,
                    key: account.key,
                    balance: account.balance,
                })
                .collect(),
            validators: self
                .validators
                .iter()
                .map(|validator| GenesisValidator {
                    account: validator.account,
                    signing_key: validator.signing_key,
                    stake: validator.stake,
                    url: validator.url.clone().into_bytes(),
                })
                .collect(),
            treasury: self.treasury,
        }
    }
}
