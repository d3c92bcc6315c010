//! Fees, nonces, transfers and accounts.

use crate::world::{BALANCE, CREATION_FEE, FEE, World, failed, name, transfer, verified};
use holdfast_types::test_util::key_pair;
use holdfast_types::{Action, Event, FailureCode, ReceiptStatus, Signer};

#[test]
fn a_transfer_moves_the_amount_and_pays_the_treasury() {
    let mut world = World::new(4);
    let treasury = world.properties().treasury;
    let receipt = world.must("alice", transfer("bob", 5_000));
    assert_eq!(receipt.fee, FEE);
    assert_eq!(
        receipt.events,
        [Event::Transferred {
            from: name("alice"),
            to: name("bob"),
            amount: 5_000
        }]
    );
    assert_eq!(world.account("alice").balance, BALANCE - 5_000 - FEE);
    assert_eq!(world.account("alice").nonce, 1);
    assert_eq!(world.account("bob").balance, BALANCE + 5_000);
    assert_eq!(world.properties().treasury, treasury + FEE);
}

#[test]
fn a_transfer_to_oneself_costs_the_fee_only() {
    let mut world = World::new(4);
    world.must("alice", transfer("alice", BALANCE - FEE));
    assert_eq!(world.account("alice").balance, BALANCE - FEE);
    world.must_fail(
        "alice",
        transfer("alice", BALANCE),
        FailureCode::InsufficientBalance,
    );
}

#[test]
fn failed_checks_before_the_fee_change_nothing() {
    let mut world = World::new(4);
    world.must("alice", transfer("bob", 1));
    let valid = world.body("alice", transfer("bob", 1));
    let mut unknown = world.body("nobody", transfer("bob", 1));
    unknown.nonce = 0;
    let mut wrong_key = valid.clone();
    wrong_key.public_key = key_pair(77).public_key();
    let mut used = valid.clone();
    used.nonce = 0;
    let mut early = valid.clone();
    early.nonce = 2;
    let mut expired = valid.clone();
    expired.expires_at = Some(world.now);
    let mut cheap = valid;
    cheap.fee_max = FEE - 1;
    let cases = [
        (unknown, FailureCode::UnknownSender),
        (wrong_key, FailureCode::WrongKey),
        (used, FailureCode::NonceTooLow),
        (early, FailureCode::NonceTooHigh),
        (expired, FailureCode::Expired),
        (cheap, FailureCode::FeeAboveMaximum),
    ];
    for (body, code) in cases {
        let before = world.account("alice");
        let treasury = world.properties().treasury;
        let receipt = world.block(&[verified(body)]).receipts.remove(0);
        assert_eq!(failed(&receipt), code);
        assert_eq!(receipt.fee, 0);
        assert_eq!(world.account("alice"), before);
        assert_eq!(world.properties().treasury, treasury);
    }
}

#[test]
fn a_fee_that_the_balance_does_not_cover_changes_nothing() {
    let mut world = World::new(4);
    let key = world.account("bob").public_key;
    let create = Action::CreateAccount {
        name: name("dave"),
        key,
        balance: FEE - 1,
    };
    world.must("alice", create);
    let receipt = world.act("dave", transfer("bob", 1));
    assert_eq!(failed(&receipt), FailureCode::InsufficientBalance);
    assert_eq!((receipt.fee, world.account("dave").nonce), (0, 0));
}

#[test]
fn a_transaction_is_valid_up_to_its_expiry() {
    let mut world = World::new(4);
    let mut body = world.body("alice", transfer("bob", 1));
    body.expires_at = Some(world.now.plus(crate::world::BLOCK_MS));
    let outcome = world.block(&[verified(body)]);
    assert_eq!(outcome.receipts[0].status, ReceiptStatus::Success);
}

#[test]
fn the_same_transaction_twice_executes_once() {
    let mut world = World::new(4);
    let transaction = verified(world.body("alice", transfer("bob", 7)));
    let outcome = world.block(&[transaction.clone(), transaction.clone()]);
    assert_eq!(outcome.receipts[0].status, ReceiptStatus::Success);
    assert_eq!(failed(&outcome.receipts[1]), FailureCode::NonceTooLow);
    let outcome = world.block(&[transaction]);
    assert_eq!(failed(&outcome.receipts[0]), FailureCode::NonceTooLow);
    assert_eq!(world.account("bob").balance, BALANCE + 7);
}

#[test]
fn money_received_in_a_block_can_be_spent_in_it() {
    let mut world = World::new(4);
    let first = verified(world.body("alice", transfer("bob", BALANCE - FEE)));
    let second = verified(world.body("bob", transfer("carol", BALANCE + 1)));
    let outcome = world.block(&[first, second]);
    assert_eq!(outcome.receipts[1].status, ReceiptStatus::Success);
    assert_eq!(world.account("carol").balance, 2 * BALANCE + 1);
    assert_eq!(world.account("alice").balance, 0);
}

#[test]
fn transfers_that_cannot_be_made_cost_the_fee() {
    let mut world = World::new(4);
    let cases = [
        (transfer("bob", 0), FailureCode::AmountZero),
        (transfer("nobody", 1), FailureCode::UnknownRecipient),
        (transfer("bob", u64::MAX), FailureCode::InsufficientBalance),
        (transfer("bob", BALANCE), FailureCode::InsufficientBalance),
        (transfer("null", 1), FailureCode::ReservedAccount),
        (transfer("treasury", 1), FailureCode::ReservedAccount),
        (transfer("committee", 1), FailureCode::ReservedAccount),
    ];
    for (action, code) in cases {
        world.must_fail("alice", action, code);
    }
}

#[test]
fn accounts_are_created_once_and_not_under_reserved_names() {
    let mut world = World::new(4);
    let key = key_pair(50).public_key();
    let create = |text: &str, balance| Action::CreateAccount {
        name: name(text),
        key,
        balance,
    };
    let receipt = world.must("alice", create("dave", 100));
    assert_eq!(receipt.fee, FEE + CREATION_FEE);
    assert_eq!(receipt.events.len(), 2);
    assert_eq!(world.account("dave").public_key, key);
    assert_eq!(world.account("dave").balance, 100);
    assert_eq!(world.must("alice", create("erin", 0)).events.len(), 1);
    world.must_fail("bob", create("dave", 1), FailureCode::AccountExists);
    world.must_fail("bob", create("bob", 1), FailureCode::AccountExists);
    world.must_fail(
        "bob",
        create("frank", u64::MAX),
        FailureCode::InsufficientBalance,
    );
    for reserved in ["committee", "treasury", "null"] {
        world.must_fail("bob", create(reserved, 1), FailureCode::ReservedAccount);
    }
}

#[test]
fn after_a_key_update_the_old_key_is_refused() {
    let mut world = World::new(4);
    let old = world.body("alice", transfer("bob", 1));
    let key = key_pair(60).public_key();
    world.must("alice", Action::UpdateKey { key });
    let mut with_old_key = old;
    with_old_key.nonce = 1;
    let outcome = world.block(&[verified(with_old_key)]);
    assert_eq!(failed(&outcome.receipts[0]), FailureCode::WrongKey);
    world.must("alice", transfer("bob", 1));
}

#[test]
fn the_byte_fee_counts_the_encoded_transaction() {
    let mut state = crate::world::genesis_state(4);
    state.parameters.properties.byte_fee = 3;
    let mut world = World::from_genesis(&state);
    let transaction = verified(world.body("alice", transfer("bob", 1)));
    let bytes = transaction.encoded_bytes() as u64;
    let outcome = world.block(&[transaction]);
    assert_eq!(outcome.receipts[0].fee, FEE + 3 * bytes);
}

#[test]
fn admission_predicts_execution() {
    let mut world = World::new(4);
    let next = verified(world.body("alice", transfer("bob", 1)));
    let check = |world: &World, transaction| {
        holdfast_ledger::check_transaction(&world.state, transaction, world.now)
            .expect("the state reads")
    };
    assert_eq!(check(&world, &next), Ok(FEE));
    world.block(std::slice::from_ref(&next));
    assert_eq!(check(&world, &next), Err(FailureCode::NonceTooLow));
}

#[test]
fn a_fee_of_exactly_fee_max_and_of_the_whole_balance_is_paid() {
    let mut world = World::new(4);
    let create = Action::CreateAccount {
        name: name("dave"),
        key: crate::world::account_key(name("dave")).public_key(),
        balance: FEE,
    };
    world.must("alice", create);
    let mut body = world.body("dave", transfer("bob", 1));
    body.fee_max = FEE;
    let receipt = world.block(&[verified(body)]).receipts.remove(0);
    assert_eq!(failed(&receipt), FailureCode::InsufficientBalance);
    assert_eq!(receipt.fee, FEE);
    assert_eq!(
        (world.account("dave").balance, world.account("dave").nonce),
        (0, 1)
    );
}
