//! Which emergency blocks are handed on, dropped, or blamed on who sent them (`admission::emergency_block`).

use crate::bench::emergency_block;
use holdfast_ledger::{GenesisAccount, GenesisState, GenesisValidator, MemoryState, genesis};
use holdfast_replica::admission::{self, Judgement};
use holdfast_types::block::transactions_root;
use holdfast_types::test_util::parameters::{MIN_STAKE, parameters};
use holdfast_types::test_util::{CHAIN, key_pair, validator_account};
use holdfast_types::{AccountName, Block, BlockOrigin, Ed25519, Signer, TimestampMs};

const LATEST: TimestampMs = TimestampMs(5_000_000);
const MASTER_KEY: u16 = 999;

/// Validators 0 to 2; the last one has no signing key.
fn state() -> MemoryState {
    let accounts = (0..3).map(|number| GenesisAccount {
        name: validator_account(number),
        key: key_pair(number).public_key(),
        balance: 1_000,
    });
    let validators = (0..3).map(|number| GenesisValidator {
        account: validator_account(number),
        signing_key: (number < 2).then(|| key_pair(number).public_key()),
        stake: 2 * MIN_STAKE,
        url: Vec::new(),
    });
    let outcome = genesis(&GenesisState {
        chain: CHAIN,
        timestamp: TimestampMs(1_000),
        parameters: parameters(),
        accounts: accounts.collect(),
        validators: validators.collect(),
        treasury: 0,
    });
    MemoryState::from_genesis(&outcome.expect("a valid genesis").changes)
}

fn committee() -> AccountName {
    parameters().emergency.validator_account
}

/// An empty block of `account`, signed with the key of this number.
fn block(account: AccountName, key: u16, timestamp: TimestampMs) -> Block {
    let mut block = *emergency_block(timestamp.0);
    block.body.commit = None;
    block.body.transactions.clear();
    block.body.supports.clear();
    block.body.evidence.clear();
    block.body.governance = None;
    block.body.era_end = None;
    block.header.next_committee = None;
    block.header.transactions_root = transactions_root([]);
    block.header.system_root = block.body.system_root();
    if let BlockOrigin::Emergency { producer, .. } = &mut block.header.origin {
        *producer = account;
    }
    block.header.sign_emergency(&CHAIN, &key_pair(key));
    block
}

fn judge(block: &Block) -> Judgement {
    let emergency = parameters().emergency;
    admission::emergency_block(&state(), block, &CHAIN, &emergency, &Ed25519, LATEST)
        .expect("the state reads")
}

#[test]
fn who_has_a_key_is_believed_and_a_signature_by_another_is_the_fault_of_who_sent_it() {
    let good = block(committee(), MASTER_KEY, LATEST);
    assert_eq!(judge(&good), Judgement::Accept);
    let own = block(validator_account(1), 1, LATEST);
    assert_eq!(judge(&own), Judgement::Accept);
    assert_eq!(judge(&block(committee(), 1, LATEST)), Judgement::Reject);
    let mut changed = good.clone();
    changed.header.timestamp = TimestampMs(LATEST.0 - 1);
    assert_eq!(judge(&changed), Judgement::Reject);
    let mut other_body = good;
    other_body.body.supports = vec![holdfast_types::Support {
        authority: holdfast_types::AuthorityIndex(0),
        height: holdfast_types::Height(2),
    }];
    assert_eq!(judge(&other_body), Judgement::Reject);
}

#[test]
fn a_null_an_unknown_and_another_key_are_dropped_and_nobody_is_blamed_for_them() {
    let unknown = AccountName::new("nobody").expect("a valid name");
    for (account, key) in [
        (validator_account(2), 2),
        (validator_account(1), 2),
        (unknown, 1),
    ] {
        let dropped = block(account, key, LATEST);
        for _ in 0..3 {
            assert_eq!(judge(&dropped), Judgement::Ignore, "{account}");
        }
    }
}

#[test]
fn what_is_dated_ahead_is_dropped_and_nobody_is_blamed_for_it() {
    let ahead = block(committee(), MASTER_KEY, LATEST.next());
    assert_eq!(judge(&ahead), Judgement::Ignore);
}
