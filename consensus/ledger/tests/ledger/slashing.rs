//! Evidence and what it costs.

use crate::world::{BLOCK_MS, MIN_STAKE, World, name};
use holdfast_types::test_util::{CHAIN, era_context, genesis_refs, key_pair, vertex};
use holdfast_types::{
    AccountName, Action, AttestationBody, AuthorityIndex, BlockId, CommitDigest, Era, Event,
    Evidence, Height, Round, StateRoot, TimestampMs, VertexPayload,
};

/// Two vertices of one slot. The ledger trusts that they were verified.
pub(crate) fn equivocation(era: Era, author: u16, round: u64) -> Evidence {
    let mut context = era_context(4);
    context.era = era;
    let parents = genesis_refs(&context);
    let signed = |shift: u64| {
        let mut shifted = context.clone();
        shifted.anchor_timestamp = shifted.anchor_timestamp.plus(shift);
        vertex(
            &shifted,
            AuthorityIndex(author % 4),
            Round(round),
            parents.clone(),
            VertexPayload::default(),
        )
        .vertex()
        .signed
        .clone()
    };
    Evidence::Equivocation {
        first: signed(0),
        second: signed(1),
    }
}

fn contradiction(era: Era, commits: [u8; 2]) -> Evidence {
    let [first, second] = commits.map(|commit| {
        AttestationBody {
            era,
            height: Height(3),
            block: BlockId::new([1; 32]),
            commit: CommitDigest::new([commit; 32]),
            state_root: StateRoot::new([commit; 32]),
        }
        .sign(AuthorityIndex(0), &CHAIN, &key_pair(0))
    });
    Evidence::ContradictoryAttestations { first, second }
}

fn punish(world: &mut World, evidence: &[(Evidence, AccountName)]) -> Vec<Event> {
    world.execute(BLOCK_MS, &[], &[], evidence).events
}

const STAKE: u64 = 2 * MIN_STAKE;

#[test]
fn equivocation_takes_its_share_once_per_slot() {
    let mut world = World::new(4);
    let supply = world.properties().total_supply;
    let treasury = world.properties().treasury;
    let evidence = [(equivocation(Era(1), 0, 5), name("validator-0"))];
    let events = punish(&mut world, &evidence);
    let taken = STAKE / 10;
    let until = world.now.plus(world.parameters.slashing.jail_first_ms);
    assert_eq!(
        events,
        [
            Event::Slashed {
                validator: name("validator-0"),
                era: Era(1),
                amount: taken,
                burned: taken / 2
            },
            Event::Jailed {
                validator: name("validator-0"),
                until
            }
        ]
    );
    assert_eq!(world.validator("validator-0").bonded.amount, STAKE - taken);
    assert_eq!(world.properties().total_supply, supply - taken / 2);
    assert_eq!(world.properties().treasury, treasury + taken / 2);
    assert_eq!(punish(&mut world, &evidence), []);
    let twice = [evidence[0].clone(), evidence[0].clone()];
    assert_eq!(punish(&mut world, &twice), []);
}

#[test]
fn offences_of_one_era_take_no_more_than_the_maximum() {
    let mut world = World::new(4);
    let evidence: Vec<_> = (1..=10)
        .map(|round| (equivocation(Era(1), 0, round), name("validator-0")))
        .collect();
    let events = punish(&mut world, &evidence);
    // 10 %, 10 % and 5 % of what was left each time, and no second jail.
    let left = STAKE * 9 / 10 * 9 / 10 * 95 / 100;
    assert_eq!(world.validator("validator-0").bonded.amount, left);
    assert_eq!(world.validator("validator-0").offence_eras, 1);
    let jails = events
        .iter()
        .filter(|event| matches!(event, Event::Jailed { .. }));
    assert_eq!(jails.count(), 1);
}

#[test]
fn offences_in_three_eras_jail_for_good() {
    let mut world = World::new(4);
    for era in 1..=3 {
        let evidence = [(equivocation(Era(era), 0, 1), name("validator-0"))];
        punish(&mut world, &evidence);
    }
    assert_eq!(
        world.validator("validator-0").jailed_until,
        TimestampMs::MAX
    );
}

#[test]
fn stake_that_is_unbonding_and_stake_of_others_answer_too() {
    let mut world = World::new(4);
    let validator = name("validator-0");
    let amount = 1_000;
    world.must("alice", Action::Stake { validator, amount });
    world.must("bob", Action::Stake { validator, amount });
    world.must("alice", Action::Unstake { validator, amount });
    punish(&mut world, &[(equivocation(Era(1), 0, 1), validator)]);
    assert_eq!(world.stake_of("bob", "validator-0"), 900);
    let balance = world.account("alice").balance;
    world.execute(crate::world::UNBONDING_MS, &[], &[], &[]);
    assert_eq!(world.account("alice").balance, balance + 900);
}

#[test]
fn contradictory_results_of_one_commit_are_a_bad_root() {
    let mut world = World::new(4);
    let validator = name("validator-0");
    punish(&mut world, &[(contradiction(Era(1), [4, 4]), validator)]);
    assert_eq!(
        world.validator("validator-0").bonded.amount,
        STAKE * 95 / 100
    );
    let mut world = World::new(4);
    punish(&mut world, &[(contradiction(Era(1), [4, 5]), validator)]);
    assert_eq!(world.validator("validator-0").bonded.amount, STAKE * 9 / 10);
}

/// An attestation of another root than the chain has at height 3.
fn bad_root(era: Era) -> Evidence {
    let Evidence::ContradictoryAttestations { first, .. } = contradiction(era, [4, 5]) else {
        unreachable!("two attestations contradict each other");
    };
    Evidence::BadStateRoot { attestation: first }
}

#[test]
fn another_root_than_that_of_the_chain_costs_once_whatever_proves_it() {
    let mut world = World::new(4);
    let validator = name("validator-0");
    punish(&mut world, &[(bad_root(Era(1)), validator)]);
    let left = STAKE * 95 / 100;
    assert_eq!(world.validator("validator-0").bonded.amount, left);
    let again = [(contradiction(Era(1), [4, 5]), validator)];
    assert_eq!(punish(&mut world, &again), []);
    assert_eq!(world.validator("validator-0").bonded.amount, left);
}

#[test]
fn evidence_against_an_account_that_is_no_validator_is_ignored() {
    let mut world = World::new(4);
    let evidence = [
        (equivocation(Era(1), 0, 1), name("alice")),
        (equivocation(Era(1), 0, 1), name("nobody")),
    ];
    assert_eq!(punish(&mut world, &evidence), []);
}

#[test]
fn a_jailed_validator_is_in_no_committee_until_its_time_is_over() {
    let mut world = World::new(4);
    punish(
        &mut world,
        &[(equivocation(Era(1), 0, 1), name("validator-0"))],
    );
    let members = |world: &mut World| world.end_epoch().era_end.expect("an end").committee.size();
    assert_eq!(members(&mut world), 3);
    assert_eq!(members(&mut world), 4);
}

#[test]
fn all_stake_can_be_lost_and_new_stake_counts_from_nothing() {
    let mut state = crate::world::genesis_state(4);
    state.parameters.slashing.equivocation_basis_points = 10_000;
    state.parameters.slashing.equivocation_max_basis_points = 10_000;
    let mut world = World::from_genesis(&state);
    let validator = name("validator-0");
    world.must(
        "alice",
        Action::Stake {
            validator,
            amount: 7,
        },
    );
    world.must(
        "alice",
        Action::Unstake {
            validator,
            amount: 3,
        },
    );
    punish(&mut world, &[(equivocation(Era(1), 0, 1), validator)]);
    assert_eq!(world.stake_of("alice", "validator-0"), 0);
    assert_eq!(world.stake_of("validator-0", "validator-0"), 0);
    world.must(
        "bob",
        Action::Stake {
            validator,
            amount: 50,
        },
    );
    world.must(
        "alice",
        Action::Stake {
            validator,
            amount: 20,
        },
    );
    assert_eq!(world.stake_of("bob", "validator-0"), 50);
    assert_eq!(world.stake_of("alice", "validator-0"), 20);
    assert_eq!(world.stake_of("validator-0", "validator-0"), 0);
    world.must(
        "alice",
        Action::Unstake {
            validator,
            amount: 20,
        },
    );
    world.execute(crate::world::UNBONDING_MS, &[], &[], &[]);
    assert_eq!(world.account("alice").unbondings, 0);
}

#[test]
fn evidence_comes_before_releases_of_the_same_block() {
    let mut world = World::new(4);
    let validator = name("validator-0");
    let amount = 1_000;
    world.must("alice", Action::Stake { validator, amount });
    world.must("alice", Action::Unstake { validator, amount });
    let balance = world.account("alice").balance;
    let evidence = [(equivocation(Era(1), 0, 1), validator)];
    world.execute(crate::world::UNBONDING_MS, &[], &[], &evidence);
    assert_eq!(world.account("alice").balance, balance + 900);
}
