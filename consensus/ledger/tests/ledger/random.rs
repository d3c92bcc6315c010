//! Random histories: nothing panics, the audit of every block holds, and the incremental state tree is the tree built
//! from scratch.

use crate::slashing::equivocation;
use crate::world::{BLOCK_MS, EPOCH_MS, MIN_STAKE, UNBONDING_MS, World, name, verified};
use holdfast_ledger::MemoryState;
use holdfast_ledger::tree::update;
use holdfast_types::test_util::key_pair;
use holdfast_types::{
    AccountName, Action, AuthorityIndex, ChainProperties, Era, Evidence, Height, PublicKey, Signer,
    Support, TransactionBody, VerifiedTransaction,
};
use proptest::prelude::*;

const NAMES: [&str; 9] = [
    "alice",
    "bob",
    "carol",
    "validator-0",
    "validator-1",
    "dave",
    "erin",
    "treasury",
    "nobody",
];

fn names() -> impl Strategy<Value = AccountName> {
    (0..NAMES.len()).prop_map(|position| name(NAMES[position]))
}

fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => Just(0),
        2 => Just(1),
        1 => Just(u64::MAX),
        8 => 1u64..MIN_STAKE,
        8 => MIN_STAKE..3 * MIN_STAKE,
        1 => any::<u64>(),
    ]
}

fn signing_keys() -> impl Strategy<Value = Option<PublicKey>> {
    proptest::option::of((0u16..8).prop_map(|number| key_pair(number).public_key()))
}

fn actions() -> impl Strategy<Value = Action> {
    let url = proptest::collection::vec(any::<u8>(), 0..4);
    prop_oneof![
        3 => (names(), amounts())
            .prop_map(|(to, amount)| Action::Transfer { to, amount, memo: Vec::new() }),
        2 => (names(), amounts()).prop_map(|(name, balance)| {
            let key = crate::world::account_key(name).public_key();
            Action::CreateAccount { name, key, balance }
        }),
        1 => (0u16..4).prop_map(|number| Action::UpdateKey {
            key: key_pair(100 + number).public_key(),
        }),
        2 => (signing_keys(), url.clone())
            .prop_map(|(signing_key, url)| Action::RegisterValidator { signing_key, url }),
        2 => (signing_keys(), url)
            .prop_map(|(signing_key, url)| Action::UpdateValidator { signing_key, url }),
        5 => (names(), amounts())
            .prop_map(|(validator, amount)| Action::Stake { validator, amount }),
        5 => (names(), amounts())
            .prop_map(|(validator, amount)| Action::Unstake { validator, amount }),
        1 => (0u64..100, 0u64..3, amounts()).prop_map(|(fee, byte_fee, creation)| {
            Action::VoteProperties {
                properties: ChainProperties {
                    transaction_fee: fee,
                    byte_fee,
                    account_creation_fee: creation,
                },
            }
        }),
        1 => any::<u32>().prop_map(|version| Action::VoteHardfork { version }),
    ]
}

#[derive(Clone, Debug)]
struct Step {
    step_ms: u64,
    /// Sender, distance of the nonce from the right one, action.
    transactions: Vec<(AccountName, u64, Action)>,
    supports: Vec<(u16, u64)>,
    evidence: Vec<(u64, u16, u64, AccountName)>,
}

fn steps() -> impl Strategy<Value = Step> {
    let step_ms = prop_oneof![
        6 => Just(BLOCK_MS),
        2 => Just(UNBONDING_MS),
        2 => Just(EPOCH_MS),
        1 => 1u64..10 * EPOCH_MS,
    ];
    let nonce_shift = prop_oneof![12 => Just(0u64), 1 => any::<u64>()];
    let evidence = (1u64..4, 0u16..5, 0u64..6, names());
    (
        step_ms,
        proptest::collection::vec((names(), nonce_shift, actions()), 0..10),
        proptest::collection::vec((0u16..6, 0u64..40), 0..5),
        proptest::collection::vec(evidence, 0..2),
    )
        .prop_map(|(step_ms, transactions, supports, evidence)| Step {
            step_ms,
            transactions,
            supports,
            evidence,
        })
}

fn transactions(world: &World, step: &Step) -> Vec<VerifiedTransaction> {
    let mut sent = std::collections::BTreeMap::<AccountName, u64>::new();
    step.transactions
        .iter()
        .map(|(sender, shift, action)| {
            let body = world.body(sender.as_str(), action.clone());
            let before = sent.entry(*sender).or_default();
            let nonce = body.nonce.wrapping_add(*before).wrapping_add(*shift);
            *before += 1;
            verified(TransactionBody { nonce, ..body })
        })
        .collect()
}

fn run(world: &mut World, step: &Step) {
    let transactions = transactions(world, step);
    let supports: Vec<_> = step
        .supports
        .iter()
        .map(|(authority, height)| Support {
            authority: AuthorityIndex(*authority),
            height: Height(*height),
        })
        .collect();
    let evidence: Vec<(Evidence, AccountName)> = step
        .evidence
        .iter()
        .map(|(era, author, round, offender)| (equivocation(Era(*era), *author, *round), *offender))
        .collect();
    let lib = world.properties().lib;
    let outcome = world.execute(step.step_ms, &transactions, &supports, &evidence);
    assert!(outcome.lib >= lib);
    let all: Vec<_> = world
        .state
        .values_sorted()
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .collect();
    let scratch = update(&MemoryState::default(), &all).expect("memory reads");
    assert_eq!(outcome.state_root, scratch.root);
    // What is stored is the tree and nothing else.
    let stored = world.state.tree_nodes_sorted();
    let stored: Vec<_> = stored
        .map(|(key, page)| (key.clone(), Some(page.clone())))
        .collect();
    assert_eq!(stored, scratch.nodes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_histories_keep_every_invariant(
        history in proptest::collection::vec(steps(), 1..12),
    ) {
        let mut world = World::new(4);
        for step in &history {
            run(&mut world, step);
        }
    }

    #[test]
    fn taking_back_a_whole_history_gives_the_genesis_state(
        history in proptest::collection::vec(steps(), 1..8),
    ) {
        let mut world = World::new(4);
        let genesis = world.state.clone();
        let mut undos = Vec::new();
        for step in &history {
            let transactions = transactions(&world, step);
            undos.push(world.execute(step.step_ms, &transactions, &[], &[]).undo);
        }
        for undo in undos.iter().rev() {
            world.state.undo(undo).expect("memory reads");
        }
        prop_assert_eq!(world.state, genesis);
    }
}
