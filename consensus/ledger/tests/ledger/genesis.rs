//! The state of block 0.

use crate::world::{BALANCE, MIN_STAKE, World, genesis_state, name};
use holdfast_ledger::{GenesisState, GenesisValidator, genesis, state_root};
use holdfast_types::Signer;
use holdfast_types::test_util::key_pair;

#[test]
fn genesis_makes_accounts_validators_and_the_first_committee() {
    let state = genesis_state(4);
    let outcome = genesis(&state).expect("valid");
    assert_eq!(outcome.committee.size(), 4);
    assert_eq!(
        outcome.total_supply,
        7 * BALANCE + 4 * 2 * MIN_STAKE + 1_000
    );
    let world = World::from_genesis(&state);
    assert_eq!(world.account("alice").balance, BALANCE);
    assert_eq!(world.stake_of("validator-3", "validator-3"), 2 * MIN_STAKE);
    assert_eq!(
        state_root(&world.state).expect("it reads"),
        Some(outcome.state_root)
    );
}

#[test]
fn the_order_of_accounts_does_not_matter() {
    let state = genesis_state(4);
    let mut reversed = state.clone();
    reversed.accounts.reverse();
    assert_eq!(genesis(&state), genesis(&reversed));
}

fn refused(change: impl FnOnce(&mut GenesisState)) -> String {
    let mut state = genesis_state(4);
    change(&mut state);
    genesis(&state).expect_err("refused").to_string()
}

#[test]
fn what_cannot_begin_a_chain_is_refused_with_field_rule_and_value() {
    let cases = [
        (
            refused(|state| state.accounts[1].name = name("treasury")),
            "accounts[1].name: the name is not reserved for the protocol; got treasury",
        ),
        (
            refused(|state| state.accounts[1].name = name("alice")),
            "accounts[1].name: every account is named once; got alice",
        ),
        (
            refused(|state| state.validators[2].account = name("stranger")),
            "validators[2].account: the account is listed under accounts; got stranger",
        ),
        (
            refused(|state| state.validators[2].account = name("validator-0")),
            "validators[2].account: every validator is named once; got validator-0",
        ),
        (
            refused(|state| state.accounts[0].balance = u64::MAX),
            "accounts, validators, treasury: balances, stakes and treasury sum to at most 18446744073709551615; got more",
        ),
        (
            refused(|state| state.validators.clear()),
            "validators: at least one has a signing key and a stake of 1000000 or more; got none such among 0",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
    let key = key_pair(0).public_key();
    let message = refused(|state| state.validators[1].signing_key = Some(key));
    assert!(message.starts_with("validators[1].signing_key: a signing key belongs to one"));
    let message = refused(|state| state.validators[1].url = vec![0]);
    assert!(message.starts_with("validators[1].url: at most 256 bytes"));
}

#[test]
fn validators_without_key_or_stake_are_registered_but_not_in_the_committee() {
    let mut state = genesis_state(4);
    state.validators[0].signing_key = None;
    state.validators[1] = GenesisValidator {
        stake: 0,
        ..state.validators[1].clone()
    };
    let world = World::from_genesis(&state);
    assert_eq!(world.committee.size(), 2);
    assert_eq!(world.properties().validators, 4);
    assert_eq!(world.properties().candidates, 2);
}
