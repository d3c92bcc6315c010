//! Recounts the whole state: what must hold after every block.

use crate::world::{MIN_STAKE, World};
use holdfast_ledger::keys::{AccountKey, StateKey, ValidatorKey};
use holdfast_ledger::objects::{
    Account, EmergencyRecord, Penalty, StakePosition, StateObject, Supports, Unbonding, Validator,
    ValidatorName,
};
use holdfast_types::AccountName;
use std::collections::BTreeMap;

/// All objects of one kind under the rest of their keys.
fn all<T: StateObject>(world: &World, prefix: u8) -> BTreeMap<Vec<u8>, T> {
    world
        .state
        .values_sorted()
        .filter(|(key, _)| key[0] == prefix)
        .map(|(key, value)| (key[1..].to_vec(), T::decode(value).expect("it decodes")))
        .collect()
}

pub(crate) fn audit(world: &World) {
    let accounts: BTreeMap<_, Account> = all(world, 0x10);
    let validators: BTreeMap<_, Validator> = all(world, 0x11);
    money_is_conserved(world, &accounts, &validators);
    shares_are_accounted_for(world, &accounts, &validators);
    indexes_agree(world, &validators);
    penalties_add_up(world, &validators);
    let properties = world.properties();
    assert!(properties.lib < properties.height || properties.height.0 == 0);
    assert!(properties.lib_timestamp <= properties.timestamp);
    assert_eq!(properties.committee, world.committee.hash());
    let emergency: BTreeMap<_, EmergencyRecord> = all(world, 0x05);
    let active = properties.emergency_consensus_active;
    assert_eq!(emergency.len(), usize::from(active));
    for record in emergency.values() {
        let slots = usize::from(world.parameters.max_validators);
        assert_eq!(record.schedule.len(), slots);
        assert!(record.producers.len() <= slots + 1);
        assert!(record.recent.len() <= world.parameters.emergency.exit_normal_blocks as usize + 1);
    }
    let supports: BTreeMap<_, Supports> = all(world, 0x02);
    assert_eq!(supports[&Vec::new()].heights.len(), world.committee.size());
}

fn money_is_conserved(
    world: &World,
    accounts: &BTreeMap<Vec<u8>, Account>,
    validators: &BTreeMap<Vec<u8>, Validator>,
) {
    let properties = world.properties();
    let balances: u64 = accounts.values().map(|account| account.balance).sum();
    let stakes: u64 = validators
        .values()
        .map(|validator| validator.bonded.amount + validator.unbonding.amount)
        .sum();
    assert_eq!(
        balances + stakes + properties.treasury,
        properties.total_supply
    );
}

fn shares_are_accounted_for(
    world: &World,
    accounts: &BTreeMap<Vec<u8>, Account>,
    validators: &BTreeMap<Vec<u8>, Validator>,
) {
    let positions: BTreeMap<_, StakePosition> = all(world, 0x15);
    let unbondings: BTreeMap<_, Unbonding> = all(world, 0x16);
    let mut unbonding_counts: BTreeMap<AccountName, u16> = BTreeMap::new();
    for unbonding in unbondings.values() {
        *unbonding_counts.entry(unbonding.account).or_default() += 1;
    }
    for (key, account) in accounts {
        let name = AccountName::new(std::str::from_utf8(key).expect("a name")).expect("a name");
        assert_eq!(
            account.unbondings,
            unbonding_counts.get(&name).copied().unwrap_or(0)
        );
    }
    for validator in validators.values() {
        let name = validator.owner.as_bytes();
        let bonded: u64 = positions
            .iter()
            .filter(|(key, _)| key[1 + usize::from(key[0])..] == *name)
            .filter(|(_, position)| position.generation == validator.bonded.generation)
            .map(|(_, position)| position.shares)
            .sum();
        assert_eq!(bonded, validator.bonded.shares, "of {}", validator.owner);
        let unbonding: u64 = unbondings
            .values()
            .filter(|unbonding| unbonding.validator == validator.owner)
            .filter(|unbonding| unbonding.generation == validator.unbonding.generation)
            .map(|unbonding| unbonding.shares)
            .sum();
        assert_eq!(unbonding, validator.unbonding.shares);
    }
    let properties = world.properties();
    let waiting = properties.unbonding_next - properties.unbonding_first;
    assert_eq!(waiting, unbondings.len() as u64);
}

fn penalties_add_up(world: &World, validators: &BTreeMap<Vec<u8>, Validator>) {
    let penalties: BTreeMap<_, Penalty> = all(world, 0x18);
    for validator in validators.values() {
        let own = penalties
            .values()
            .filter(|penalty| penalty.validator == validator.owner);
        let percent: u8 = own.map(|penalty| penalty.percent).sum();
        assert_eq!(percent, validator.penalty_percent, "of {}", validator.owner);
    }
    let properties = world.properties();
    let waiting = properties.penalty_next - properties.penalty_first;
    assert_eq!(waiting, penalties.len() as u64);
}

fn indexes_agree(world: &World, validators: &BTreeMap<Vec<u8>, Validator>) {
    let properties = world.properties();
    let committee = world.parameters.emergency.validator_account;
    let by_index: BTreeMap<_, ValidatorName> = all(world, 0x12);
    let candidates: BTreeMap<_, ValidatorName> = all(world, 0x13);
    let signing_keys: BTreeMap<_, ValidatorName> = all(world, 0x14);
    assert_eq!(by_index.len(), properties.validators as usize);
    assert_eq!(by_index.len(), validators.len());
    assert_eq!(candidates.len(), properties.candidates as usize);
    let mut with_key = 0;
    for validator in validators.values() {
        let index = validator.index.to_be_bytes().to_vec();
        assert_eq!(by_index[&index].name, validator.owner);
        if let Some(key) = validator.signing_key {
            assert_eq!(signing_keys[&key.as_bytes().to_vec()].name, validator.owner);
            with_key += 1;
        }
        let is_candidate = validator.signing_key.is_some()
            && validator.bonded.amount >= MIN_STAKE
            && validator.owner != committee;
        assert_eq!(validator.candidate_index.is_some(), is_candidate);
        if let Some(index) = validator.candidate_index {
            let index = index.to_be_bytes().to_vec();
            assert_eq!(candidates[&index].name, validator.owner);
        }
        let account = AccountKey(validator.owner).bytes();
        let has_account = world.state.values_sorted().any(|(key, _)| *key == account);
        // Nobody owns the committee account.
        assert_eq!(has_account, validator.owner != committee);
        let key = ValidatorKey(validator.owner).bytes();
        assert_eq!(&key[1..], validator.owner.as_bytes());
    }
    assert_eq!(signing_keys.len(), with_key);
}
