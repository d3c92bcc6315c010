//! The state of block 0.

use crate::block::{HARDFORK_KNOWN, LedgerError};
use crate::epoch::{self, SampleOf};
use crate::keys::{
    GovernorsKey, ReversibleTimestampsKey, SigningKeyKey, StakePositionKey, ValidatorIndexKey,
};
use crate::objects::{
    Account, DynamicProperties, ReversibleTimestamps, StakePosition, ValidatorName,
};
use crate::overlay::Overlay;
use crate::state::{StateChanges, StateError, StateStore};
use crate::transaction::is_reserved;
use crate::tree;
use crate::validator::{new_validator, store_validator, url_in_range};
use holdfast_types::{
    AccountName, Amount, ChainId, Committee, Era, Governors, Height, Parameters, PublicKey,
    StateRoot, TimestampMs,
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
#[error("{field}: {rule}; got {actual}")]
pub struct GenesisStateError {
    /// Path of the field, like `accounts[3].name`.
    pub field: String,
    pub rule: String,
    pub actual: String,
}

/// The store before block 0.
#[derive(Clone, Copy, Debug)]
struct NothingStored;

impl StateStore for NothingStored {
    fn value(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(None)
    }

    fn tree_node(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(None)
    }
}

type Empty<'a> = Overlay<'a, NothingStored>;

/// The state of block 0.
pub fn genesis(state: &GenesisState) -> Result<GenesisOutcome, GenesisStateError> {
    let (overlay, committee) = build(state)?;
    finish(overlay, &committee, &state.parameters).map_err(impossible)
}

/// The checks of [`genesis`], without the state tree: the committee of era 1.
pub fn check_genesis(state: &GenesisState) -> Result<Committee, GenesisStateError> {
    build(state).map(|(_, committee)| committee)
}

fn build(state: &GenesisState) -> Result<(Empty<'static>, Committee), GenesisStateError> {
    let total_supply = total_supply(state)?;
    let mut overlay = Overlay::empty(&NothingStored, first_properties(state, total_supply));
    for (position, account) in state.accounts.iter().enumerate() {
        add_account(&mut overlay, &state.parameters, position, account)?;
    }
    for (position, validator) in state.validators.iter().enumerate() {
        add_validator(&mut overlay, state, position, validator)?;
    }
    let sample = SampleOf {
        chain: state.chain,
        era: Era(1),
        height: Height::ZERO,
    };
    let committee = epoch::next_committee(&mut overlay, &state.parameters, state.timestamp, sample)
        .map_err(impossible)?
        .ok_or_else(|| GenesisStateError {
            field: "validators".to_owned(),
            rule: format!(
                "at least one has a signing key and a stake of {} or more",
                state.parameters.staking.min_validator_stake
            ),
            actual: format!("none such among {}", state.validators.len()),
        })?;
    Ok((overlay, committee))
}

/// Begins era 1 and closes the state.
fn finish(
    mut overlay: Empty<'_>,
    committee: &Committee,
    parameters: &Parameters,
) -> Result<GenesisOutcome, LedgerError> {
    epoch::begin_era(&mut overlay, Era(1), committee)?;
    let governance = &parameters.governance;
    overlay.set(
        &GovernorsKey(),
        Governors::at_genesis(&governance.keys, governance.threshold),
    )?;
    overlay.set(
        &ReversibleTimestampsKey(),
        ReversibleTimestamps {
            first: Height(1),
            timestamps: Vec::new(),
        },
    )?;
    let total_supply = overlay.properties.total_supply;
    let (values, _) = overlay.close()?;
    let update = tree::update(&NothingStored, &values)?;
    Ok(GenesisOutcome {
        changes: StateChanges {
            values,
            tree_nodes: update.nodes,
        },
        state_root: update.root,
        committee: committee.clone(),
        total_supply,
    })
}

/// With an empty store only a bug of ours fails; it is reported, because genesis is a command of an operator.
fn impossible(error: impl std::fmt::Display) -> GenesisStateError {
    GenesisStateError {
        field: "state".to_owned(),
        rule: "it can be built".to_owned(),
        actual: error.to_string(),
    }
}

fn refuse(
    list: &str,
    position: usize,
    field: &str,
    rule: &str,
    actual: impl std::fmt::Display,
) -> GenesisStateError {
    GenesisStateError {
        field: format!("{list}[{position}].{field}"),
        rule: rule.to_owned(),
        actual: actual.to_string(),
    }
}

fn total_supply(state: &GenesisState) -> Result<Amount, GenesisStateError> {
    let balances = state.accounts.iter().map(|account| account.balance);
    let stakes = state.validators.iter().map(|validator| validator.stake);
    balances
        .chain(stakes)
        .try_fold(state.treasury, Amount::checked_add)
        .ok_or_else(|| GenesisStateError {
            field: "accounts, validators, treasury".to_owned(),
            rule: format!("balances, stakes and treasury sum to at most {}", u64::MAX),
            actual: "more".to_owned(),
        })
}

fn first_properties(state: &GenesisState, total_supply: Amount) -> DynamicProperties {
    DynamicProperties {
        height: Height::ZERO,
        timestamp: state.timestamp,
        era: Era(1),
        committee: [0; 32],
        epoch: 1,
        epoch_start: state.timestamp,
        lib: Height::ZERO,
        lib_timestamp: state.timestamp,
        stall_clock: Some(state.timestamp),
        emergency_consensus_active: false,
        emergency_consensus_start_block: Height::ZERO,
        halted_ms: 0,
        total_supply,
        treasury: state.treasury,
        properties: state.parameters.properties,
        hardfork_version: HARDFORK_KNOWN,
        validators: 0,
        candidates: 0,
        unbonding_first: 0,
        unbonding_next: 0,
        penalty_first: 0,
        penalty_next: 0,
    }
}

fn add_account(
    overlay: &mut Empty<'_>,
    parameters: &Parameters,
    position: usize,
    account: &GenesisAccount,
) -> Result<(), GenesisStateError> {
    let refuse = |rule| refuse("accounts", position, "name", rule, account.name);
    if is_reserved(&account.name, parameters) {
        return Err(refuse("the name is not reserved for the protocol"));
    }
    if overlay.account(account.name).map_err(impossible)?.is_some() {
        return Err(refuse("every account is named once"));
    }
    let added = Account {
        public_key: account.key,
        balance: account.balance,
        nonce: 0,
        unbondings: 0,
    };
    overlay.set_account(account.name, added).map_err(impossible)
}

fn add_validator(
    overlay: &mut Empty<'_>,
    state: &GenesisState,
    position: usize,
    validator: &GenesisValidator,
) -> Result<(), GenesisStateError> {
    let name = validator.account;
    let refuse = |field, rule, actual: String| refuse("validators", position, field, rule, actual);
    if overlay.account(name).map_err(impossible)?.is_none() {
        let rule = "the account is listed under accounts";
        return Err(refuse("account", rule, name.to_string()));
    }
    if overlay.validator(name).map_err(impossible)?.is_some() {
        let rule = "every validator is named once";
        return Err(refuse("account", rule, name.to_string()));
    }
    if !url_in_range(&validator.url) {
        let rule = "at most 256 bytes of text without control characters";
        let url = String::from_utf8_lossy(&validator.url).into_owned();
        return Err(refuse("url", rule, format!("{url:?}")));
    }
    if let Some(key) = validator.signing_key {
        let in_use = overlay.contains(&SigningKeyKey(key)).map_err(impossible)?;
        if in_use || key == state.parameters.emergency.validator_public_key {
            let rule = "a signing key belongs to one validator and is not the emergency key";
            return Err(refuse("signing_key", rule, key.to_string()));
        }
    }
    insert_validator(overlay, state, validator).map_err(impossible)
}

fn insert_validator(
    overlay: &mut Empty<'_>,
    state: &GenesisState,
    validator: &GenesisValidator,
) -> Result<(), LedgerError> {
    let name = validator.account;
    let index = overlay.properties.validators;
    overlay.properties.validators = index.saturating_add(1);
    overlay.set(&ValidatorIndexKey(index), ValidatorName { name })?;
    if let Some(key) = validator.signing_key {
        overlay.set(&SigningKeyKey(key), ValidatorName { name })?;
    }
    let url = validator.url.clone();
    let mut added = new_validator(name, validator.signing_key, url, state.timestamp, index);
    if let Some((pool, shares)) = added.bonded.put_in(validator.stake) {
        added.bonded = pool;
        let position = StakePosition {
            shares,
            generation: pool.generation,
        };
        overlay.set(&StakePositionKey(name, name), position)?;
    }
    store_validator(overlay, &state.parameters, added)
}
