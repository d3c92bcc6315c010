//! Stake, unbonding and release.

use crate::validators::update;
use crate::world::{BALANCE, BLOCK_MS, FEE, MIN_STAKE, UNBONDING_MS, World, name, verified};
use holdfast_ledger::staking::RELEASES_PER_BLOCK_MAX;
use holdfast_types::{Action, Event, FailureCode};

fn stake(validator: &str, amount: u64) -> Action {
    Action::Stake {
        validator: name(validator),
        amount,
    }
}

fn unstake(validator: &str, amount: u64) -> Action {
    Action::Unstake {
        validator: name(validator),
        amount,
    }
}

#[test]
fn stake_comes_back_after_unbonding() {
    let mut world = World::new(4);
    world.must("alice", stake("validator-0", 5_000));
    assert_eq!(world.stake_of("alice", "validator-0"), 5_000);
    assert_eq!(
        world.validator("validator-0").bonded.amount,
        2 * MIN_STAKE + 5_000
    );
    world.must("alice", unstake("validator-0", 2_000));
    assert_eq!(world.stake_of("alice", "validator-0"), 3_000);
    assert_eq!(world.account("alice").unbondings, 1);
    let waiting = world.account("alice").balance;
    let outcome = world.execute(UNBONDING_MS - 1, &[], &[], &[]);
    assert!(
        !outcome
            .events
            .iter()
            .any(|event| matches!(event, Event::UnbondingCompleted { .. }))
    );
    let outcome = world.execute(1, &[], &[], &[]);
    assert!(outcome.events.contains(&Event::UnbondingCompleted {
        account: name("alice"),
        amount: 2_000
    }));
    assert_eq!(world.account("alice").balance, waiting + 2_000);
    assert_eq!(world.account("alice").unbondings, 0);
    assert_eq!(world.validator("validator-0").unbonding.amount, 0);
}

#[test]
fn all_of_a_stake_leaves_no_position() {
    let mut world = World::new(4);
    let before = world.state.values_sorted().count();
    world.must("alice", stake("validator-0", 5_000));
    assert_eq!(world.state.values_sorted().count(), before + 1);
    world.must("alice", unstake("validator-0", 5_000));
    world.execute(UNBONDING_MS, &[], &[], &[]);
    assert_eq!(world.state.values_sorted().count(), before);
    assert_eq!(world.account("alice").balance, BALANCE - 2 * FEE);
}

#[test]
fn stakes_that_cannot_be_made_or_taken_cost_the_fee() {
    let mut world = World::new(4);
    world.must("alice", stake("validator-0", 5_000));
    let cases = [
        (stake("validator-0", 0), FailureCode::AmountZero),
        (stake("bob", 1), FailureCode::UnknownValidator),
        (stake("nobody", 1), FailureCode::UnknownValidator),
        (
            stake("validator-0", u64::MAX),
            FailureCode::InsufficientBalance,
        ),
        (unstake("validator-0", 0), FailureCode::AmountZero),
        (unstake("bob", 1), FailureCode::UnknownValidator),
        (
            unstake("validator-0", 5_001),
            FailureCode::InsufficientStake,
        ),
        (
            unstake("validator-0", u64::MAX),
            FailureCode::InsufficientStake,
        ),
        (unstake("validator-1", 1), FailureCode::InsufficientStake),
    ];
    for (action, code) in cases {
        world.must_fail("alice", action, code);
    }
}

#[test]
fn unbondings_of_an_account_are_bounded() {
    let mut world = World::new(4);
    world.must("alice", stake("validator-0", 5_000));
    for _ in 0..world.parameters.staking.unbondings_max {
        world.must("alice", unstake("validator-0", 1));
    }
    world.must_fail(
        "alice",
        unstake("validator-0", 1),
        FailureCode::TooManyUnbondings,
    );
    world.execute(UNBONDING_MS, &[], &[], &[]);
    world.must("alice", unstake("validator-0", 1));
}

#[test]
fn the_owner_of_an_enabled_validator_keeps_the_minimum_others_leave_at_will() {
    let mut world = World::new(4);
    world.must("alice", stake("validator-0", MIN_STAKE));
    world.must("validator-0", unstake("validator-0", 2 * MIN_STAKE));
    world.must("validator-0", stake("validator-0", 5));
    world.must("alice", unstake("validator-0", MIN_STAKE));
    assert_eq!(world.validator("validator-0").candidate_index, None);
    world.must_fail(
        "validator-1",
        unstake("validator-1", MIN_STAKE + 1),
        FailureCode::StakeBelowMinimum,
    );
    world.must("validator-1", unstake("validator-1", MIN_STAKE));
    world.must("validator-1", update(None));
    world.must("validator-1", unstake("validator-1", MIN_STAKE));
}

#[test]
fn releases_are_spread_over_blocks() {
    let mut state = crate::world::genesis_state(4);
    state.parameters.staking.unbondings_max = u16::MAX;
    let mut world = World::from_genesis(&state);
    world.must("alice", stake("validator-0", 5_000));
    let count = RELEASES_PER_BLOCK_MAX + 10;
    let base = world.body("alice", unstake("validator-0", 1));
    let transactions: Vec<_> = (0..count)
        .map(|number| {
            let mut body = base.clone();
            body.nonce += u64::from(number);
            verified(body)
        })
        .collect();
    world.block(&transactions);
    let released = |world: &mut World, step| {
        let outcome = world.execute(step, &[], &[], &[]);
        outcome
            .events
            .iter()
            .filter(|event| matches!(event, Event::UnbondingCompleted { .. }))
            .count()
    };
    assert_eq!(
        released(&mut world, UNBONDING_MS),
        RELEASES_PER_BLOCK_MAX as usize
    );
    assert_eq!(released(&mut world, BLOCK_MS), 10);
    assert_eq!(released(&mut world, BLOCK_MS), 0);
}
