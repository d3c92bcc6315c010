//! Ends of epochs, committees, medians and the last irreversible block.

use crate::slashing::equivocation;
use crate::validators::{register, update};
use crate::world::{
    BALANCE, BLOCK_MS, EPOCH_MS, FEE, MIN_STAKE, START, World, genesis_state, name,
};
use holdfast_types::test_util::key_pair;
use holdfast_types::{
    Action, ChainProperties, Era, EraKind, Event, Height, Signer, Support, TimestampMs,
};

#[test]
fn the_first_block_at_or_after_the_end_of_the_epoch_ends_the_era() {
    let mut world = World::new(4);
    let outcome = world.execute(EPOCH_MS - 1, &[], &[], &[]);
    assert_eq!(outcome.era_end, None);
    assert_eq!(world.properties().era, Era(1));
    let outcome = world.execute(5, &[], &[], &[]);
    let end = outcome.era_end.expect("the era ends");
    assert_eq!(end.next_kind, EraKind::Dag);
    assert_eq!(end.committee.size(), 4);
    let ended = Event::EraEnded {
        era: Era(1),
        next_era: Era(2),
    };
    assert!(outcome.events.contains(&ended));
    let properties = world.properties();
    assert_eq!((properties.era, properties.epoch), (Era(2), 2));
    assert_eq!(properties.epoch_start, START.plus(EPOCH_MS + 4));
    assert_eq!(world.block(&[]).era_end, None);
}

#[test]
fn a_validator_joins_at_the_boundary_and_leaves_at_the_next() {
    let mut world = World::new(4);
    let key = key_pair(40).public_key();
    world.must("alice", register(Some(key)));
    let stake = Action::Stake {
        validator: name("alice"),
        amount: MIN_STAKE,
    };
    world.must("alice", stake);
    let committee = world.end_epoch().era_end.expect("an end").committee;
    assert_eq!(committee.size(), 5);
    assert_eq!(committee.members()[0].account, name("alice"));
    assert_eq!(committee.members()[0].signing_key, key);
    world.must("alice", update(None));
    assert_eq!(world.committee.size(), 5);
    let committee = world.end_epoch().era_end.expect("an end").committee;
    assert_eq!(committee.size(), 4);
}

/// Accounts that register as validators and stake enough.
pub(crate) fn three_more_candidates(world: &mut World) {
    for (account, number) in [("alice", 40), ("bob", 41), ("carol", 42)] {
        world.must(account, register(Some(key_pair(number).public_key())));
        let stake = Action::Stake {
            validator: name(account),
            amount: MIN_STAKE,
        };
        world.must(account, stake);
    }
}

#[test]
fn more_candidates_than_slots_are_sampled() {
    let mut world = World::new(7);
    three_more_candidates(&mut world);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let committee = world.end_epoch().era_end.expect("an end").committee;
        assert_eq!(committee.size(), 7);
        seen.extend(committee.members().iter().map(|member| member.account));
    }
    assert_eq!(seen.len(), 10, "in twelve samples everybody has a turn");
}

#[test]
fn without_candidates_the_committee_stays() {
    let mut world = World::new(2);
    world.must("validator-0", update(None));
    let evidence = [(equivocation(Era(1), 1, 1), name("validator-1"))];
    world.execute(BLOCK_MS, &[], &[], &evidence);
    let before = world.committee.clone();
    let committee = world.end_epoch().era_end.expect("an end").committee;
    assert_eq!(committee, before);
    assert_eq!(world.properties().era, Era(2));
}

#[test]
fn the_median_vote_of_the_next_committee_is_in_force_from_the_boundary_on() {
    let mut world = World::new(4);
    let vote = |transaction_fee| Action::VoteProperties {
        properties: ChainProperties {
            transaction_fee,
            byte_fee: 0,
            account_creation_fee: 3,
        },
    };
    world.must("validator-0", vote(20));
    world.must("validator-1", vote(30));
    assert_eq!(world.must("validator-2", vote(40)).fee, FEE);
    let outcome = world.end_epoch();
    // Validator 3 did not vote and so votes for 10: the lower median of 10, 20, 30, 40.
    let properties = world.properties().properties;
    assert_eq!(properties.transaction_fee, 20);
    assert_eq!(properties.account_creation_fee, 3);
    assert!(
        outcome
            .events
            .contains(&Event::PropertiesChanged { properties })
    );
    assert_eq!(
        world.must("alice", crate::world::transfer("bob", 1)).fee,
        20
    );
    assert_eq!(world.account("alice").balance, BALANCE - 1 - 20);
}

#[test]
fn a_hardfork_begins_when_a_quorum_of_the_next_committee_want_it_or_a_later_one() {
    let mut state = genesis_state(4);
    state.parameters.max_validators = 4;
    let mut world = World::from_genesis(&state);
    let known = holdfast_ledger::HARDFORK_KNOWN;
    assert_eq!(world.properties().hardfork_version, known);
    let before = known - 2;
    crate::emergency::tamper(&mut world, |properties| {
        properties.hardfork_version = before;
    });
    let vote = |version| Action::VoteHardfork { version };
    world.must("validator-0", vote(known));
    world.must("validator-1", vote(known + 1));
    let outcome = world.end_epoch();
    let applied = |event: &Event| matches!(event, Event::HardforkApplied { .. });
    assert!(!outcome.events.iter().any(applied), "two of four");
    world.must("validator-2", vote(known - 1));
    let outcome = world.end_epoch();
    let version = known - 1;
    assert!(outcome.events.contains(&Event::HardforkApplied { version }));
    assert_eq!(world.properties().hardfork_version, version);
    world.must("validator-3", vote(known));
    world.end_epoch();
    assert_eq!(world.properties().hardfork_version, known);
    // A lower vote takes nothing back, and who does not vote wants what is in force.
    world.must("validator-3", vote(1));
    world.end_epoch();
    assert_eq!(world.properties().hardfork_version, known);
}

#[test]
fn software_that_does_not_know_the_hardfork_stops_before_it() {
    let mut world = World::new(4);
    let version = holdfast_ledger::HARDFORK_KNOWN + 1;
    for validator in ["validator-0", "validator-1", "validator-2"] {
        world.must(validator, Action::VoteHardfork { version });
    }
    let properties = world.properties();
    world.now = properties.epoch_start.plus(EPOCH_MS);
    let input = world.empty_block(&properties);
    let stopped = holdfast_ledger::execute_block(&world.state, &world.parameters, &input);
    let height = properties.height.next();
    let unknown = holdfast_ledger::LedgerError::UnknownHardfork { height, version };
    assert_eq!(stopped, Err(unknown));
}

#[test]
fn lib_follows_the_quorum_and_stays_below_the_head() {
    let mut world = World::new(4);
    for _ in 0..4 {
        world.block(&[]);
    }
    let three: Vec<Support> = world.supports(Height(3)).into_iter().take(2).collect();
    let outcome = world.execute(BLOCK_MS, &[], &three, &[]);
    assert_eq!(outcome.lib, Height(0), "two of four are no quorum");
    let third = [Support {
        authority: world.authority("validator-2"),
        height: Height(4),
    }];
    let outcome = world.execute(BLOCK_MS, &[], &third, &[]);
    assert_eq!(outcome.lib, Height(3));
    assert!(
        outcome
            .events
            .contains(&Event::IrreversibleAdvanced { height: Height(3) })
    );
    let properties = world.properties();
    assert_eq!(properties.lib, Height(3));
    assert_eq!(properties.lib_timestamp, START.plus(3 * BLOCK_MS));
    // Support of the head itself, and of a height beyond, does not lift LIB above the head's parent.
    let head = world.supports(Height(7));
    assert_eq!(world.execute(BLOCK_MS, &[], &head, &[]).lib, Height(6));
    let beyond = world.supports(Height(u64::MAX));
    assert_eq!(world.execute(BLOCK_MS, &[], &beyond, &[]).lib, Height(7));
    let lower = world.supports(Height(1));
    assert_eq!(world.execute(BLOCK_MS, &[], &lower, &[]).lib, Height(7));
    let supports = holdfast_ledger::supports(&world.state).expect("the state reads");
    assert_eq!(supports, [Height(7); 4], "supports only rise");
    assert_eq!(world.properties().lib_timestamp, START.plus(7 * BLOCK_MS));
}

#[test]
fn supports_of_strangers_are_ignored_and_a_new_era_starts_from_its_anchor() {
    let mut world = World::new(4);
    world.block(&[]);
    let strangers: Vec<_> = (4..9)
        .map(|number| Support {
            authority: holdfast_types::AuthorityIndex(number),
            height: Height(1),
        })
        .collect();
    assert_eq!(world.execute(BLOCK_MS, &[], &strangers, &[]).lib, Height(0));
    world.end_epoch();
    let supports = holdfast_ledger::supports(&world.state).expect("the state reads");
    assert_eq!(supports, [Height(3); 4]);
    assert_eq!(world.block(&[]).lib, Height(3));
}

#[test]
fn timestamps_of_reversible_blocks_are_bounded() {
    let mut state = genesis_state(4);
    state.parameters.fork_db_max = 5;
    let mut world = World::from_genesis(&state);
    for _ in 0..20 {
        world.block(&[]);
    }
    let two = world.supports(Height(2));
    world.execute(BLOCK_MS, &[], &two, &[]);
    // Block 2 is forgotten: the oldest of the five that are kept stands for it.
    assert_eq!(world.properties().lib, Height(2));
    assert_eq!(world.properties().lib_timestamp, START.plus(17 * BLOCK_MS));
    let all = world.supports(Height(20));
    world.execute(BLOCK_MS, &[], &all, &[]);
    assert_eq!(
        world.properties().lib_timestamp,
        TimestampMs(START.0 + 20 * BLOCK_MS)
    );
}
