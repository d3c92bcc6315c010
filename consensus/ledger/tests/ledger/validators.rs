//! Registration, signing keys and votes of validators.

use crate::world::{MIN_STAKE, World, name};
use holdfast_types::test_util::key_pair;
use holdfast_types::{Action, ChainProperties, FailureCode, PublicKey, Signer};

pub(crate) fn register(key: Option<PublicKey>) -> Action {
    Action::RegisterValidator {
        signing_key: key,
        url: b"https://new.example".to_vec(),
    }
}

pub(crate) fn update(key: Option<PublicKey>) -> Action {
    Action::UpdateValidator {
        signing_key: key,
        url: Vec::new(),
    }
}

#[test]
fn a_signing_key_is_used_by_one_validator_only() {
    let mut world = World::new(4);
    let taken = key_pair(0).public_key();
    let free = key_pair(40).public_key();
    let emergency = world.parameters.emergency.validator_public_key;
    world.must_fail("alice", register(Some(taken)), FailureCode::SigningKeyInUse);
    world.must_fail(
        "alice",
        register(Some(emergency)),
        FailureCode::SigningKeyInUse,
    );
    world.must("alice", register(Some(free)));
    world.must_fail("alice", register(None), FailureCode::AlreadyAValidator);
    world.must_fail("bob", update(None), FailureCode::NotAValidator);
    world.must_fail(
        "validator-0",
        update(Some(free)),
        FailureCode::SigningKeyInUse,
    );
    // A key that was given up is free again.
    world.must("validator-0", update(None));
    world.must("alice", update(Some(taken)));
    world.must_fail(
        "validator-0",
        update(Some(taken)),
        FailureCode::SigningKeyInUse,
    );
    world.must("validator-0", update(Some(free)));
    // One's own key again is no conflict.
    world.must("validator-0", update(Some(free)));
}

#[test]
fn a_url_is_text_without_control_characters() {
    let mut world = World::new(4);
    for url in [vec![0xff, 0xfe], b"line\nbreak".to_vec(), vec![b'a'; 257]] {
        let action = Action::RegisterValidator {
            signing_key: None,
            url,
        };
        world.must_fail("alice", action, FailureCode::ValueOutOfRange);
    }
}

#[test]
fn candidates_have_a_key_and_enough_stake() {
    let mut world = World::new(4);
    let stake = |amount| Action::Stake {
        validator: name("alice"),
        amount,
    };
    world.must("alice", register(None));
    world.must("alice", stake(MIN_STAKE - 1));
    assert_eq!(world.properties().candidates, 4);
    world.must("bob", stake(1));
    assert_eq!(world.properties().candidates, 4);
    world.must("alice", update(Some(key_pair(40).public_key())));
    assert_eq!(world.properties().candidates, 5);
    // Leaving from the middle of the index moves the last one.
    world.must("validator-1", update(None));
    assert_eq!(world.properties().candidates, 4);
    assert_eq!(world.validator("alice").candidate_index, Some(1));
}

#[test]
fn validators_are_listed_in_the_order_of_registration() {
    let mut world = World::new(2);
    world.must("bob", register(None));
    world.must("alice", register(None));
    let list = |start, limit| -> Vec<String> {
        holdfast_ledger::validators(&world.state, start, limit)
            .expect("the state reads")
            .into_iter()
            .map(|validator| validator.owner.to_string())
            .collect()
    };
    assert_eq!(list(0, 3), ["validator-0", "validator-1", "bob"]);
    assert_eq!(list(3, u32::MAX), ["alice"]);
    assert_eq!(list(4, 1), Vec::<String>::new());
}

#[test]
fn votes_are_stored_and_bounded() {
    let mut world = World::new(4);
    let vote = |transaction_fee, byte_fee| Action::VoteProperties {
        properties: ChainProperties {
            transaction_fee,
            byte_fee,
            account_creation_fee: 0,
        },
    };
    world.must_fail("alice", vote(1, 0), FailureCode::NotAValidator);
    let version = Action::VoteHardfork { version: 3 };
    world.must_fail("alice", version.clone(), FailureCode::NotAValidator);
    world.must_fail(
        "validator-0",
        vote(MIN_STAKE + 1, 0),
        FailureCode::ValueOutOfRange,
    );
    world.must_fail(
        "validator-0",
        vote(0, MIN_STAKE),
        FailureCode::ValueOutOfRange,
    );
    world.must_fail(
        "validator-0",
        vote(0, u64::MAX),
        FailureCode::ValueOutOfRange,
    );
    world.must("validator-0", vote(MIN_STAKE, 1));
    world.must("validator-0", version);
    let validator = world.validator("validator-0");
    assert_eq!(validator.hardfork_vote, Some(3));
    assert_eq!(
        validator.property_vote.expect("a vote").transaction_fee,
        MIN_STAKE
    );
}
