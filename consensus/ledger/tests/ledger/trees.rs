//! Root, proofs and pruning of the state tree.

use crate::world::{World, name, transfer, verified};
use holdfast_ledger::keys::{AccountKey, StateKey};
use holdfast_ledger::objects::{Account, StateObject};
use holdfast_ledger::tree::update;
use holdfast_ledger::{MemoryState, StateChanges};
use holdfast_ledger::{ProofError, prove, prove_account, state_root, verify_proof};
use holdfast_types::{Height, StateRoot};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn root(world: &World) -> StateRoot {
    state_root(&world.state, world.properties().height)
        .expect("it reads")
        .expect("it is stored")
}

#[test]
fn an_account_is_proved_under_the_root() {
    let mut world = World::new(4);
    world.must("alice", transfer("bob", 5));
    let root = root(&world);
    let (value, proof) = prove_account(&world.state, &name("bob"), Height(1)).expect("a proof");
    let value = value.expect("the account exists");
    assert_eq!(Account::decode(&value), Ok(world.account("bob")));
    let key = AccountKey(name("bob")).bytes();
    assert_eq!(verify_proof(&root, &key, Some(&value), &proof), Ok(()));
    let mut forged = world.account("bob");
    forged.balance += 1;
    let wrong = [
        verify_proof(&root, &key, Some(&forged.encode()), &proof),
        verify_proof(&root, &key, None, &proof),
        verify_proof(&StateRoot::new([1; 32]), &key, Some(&value), &proof),
        verify_proof(
            &root,
            &AccountKey(name("carol")).bytes(),
            Some(&value),
            &proof,
        ),
        verify_proof(&root, &key, Some(&value), &proof[1..]),
        verify_proof(&root, &key, Some(&value), &[]),
        verify_proof(&root, &key, Some(&value), &vec![0; 1 << 20]),
    ];
    for verdict in wrong {
        assert!(matches!(verdict, Err(ProofError::Invalid { .. })));
    }
}

#[test]
fn absence_is_proved_too() {
    let world = World::new(4);
    let root = root(&world);
    for text in ["nobody", "zoe", "mallory", "x", "y", "z"] {
        let (value, proof) = prove_account(&world.state, &name(text), Height(0)).expect("a proof");
        assert_eq!(value, None);
        let key = AccountKey(name(text)).bytes();
        assert_eq!(verify_proof(&root, &key, None, &proof), Ok(()));
        assert!(verify_proof(&root, &key, Some(b"value"), &proof).is_err());
    }
}

#[test]
fn only_the_latest_state_is_proved() {
    let mut world = World::new(4);
    world.block(&[]);
    assert_eq!(
        prove(&world.state, b"key", Height(0)),
        Err(ProofError::NotLatest {
            asked: Height(0),
            latest: Height(1)
        })
    );
}

#[test]
fn random_bytes_are_no_proof() {
    let root = StateRoot::new([1; 32]);
    let mut bytes = Vec::new();
    for number in 0..2_000u32 {
        bytes.extend_from_slice(&number.wrapping_mul(2_654_435_761).to_le_bytes());
        assert!(verify_proof(&root, b"key", Some(b"value"), &bytes).is_err());
        assert!(verify_proof(&root, b"key", None, &bytes).is_err());
    }
}

#[test]
fn a_pruned_tree_goes_on_as_the_full_one() {
    let mut world = World::new(4);
    let mut pruned = world.state.clone();
    for amount in 1..20 {
        let transaction = verified(world.body("alice", transfer("bob", amount)));
        let outcome = world.block(&[transaction]);
        pruned.apply_and_prune(&outcome);
        assert_eq!(
            state_root(&pruned, world.properties().height).expect("it reads"),
            Some(outcome.state_root)
        );
    }
    assert!(pruned.tree_node_count() < world.state.tree_node_count());
    assert_eq!(state_root(&pruned, Height(3)), Ok(None));
}

/// The verifier that the documentation of [`holdfast_ledger::tree`] describes, in a few lines.
fn verify_as_documented(root: &StateRoot, key: &[u8], value: Option<&[u8]>, proof: &[u8]) -> bool {
    type Pair = ([u8; 32], [u8; 32]);
    #[derive(borsh::BorshDeserialize)]
    enum Sibling {
        Empty,
        Inner([u8; 32], [u8; 32]),
        Leaf([u8; 32], [u8; 32]),
    }
    let hash = |parts: &[&[u8]]| blake3::derive_key("holdfast state tree v1", &parts.concat());
    let leaf = |key: &[u8; 32], value: &[u8; 32]| hash(&[b"JMT::LeafNode", key, value]);
    let inner = |left: &[u8; 32], right: &[u8; 32]| hash(&[b"JMT::IntrnalNode", left, right]);
    let empty = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
    let (found, siblings): (Option<Pair>, Vec<Sibling>) =
        borsh::from_slice(proof).expect("the documented encoding");
    let place = blake3::derive_key("holdfast state key v1", key);
    let bit = |place: &[u8; 32], level: usize| place[level / 8] >> (7 - level % 8) & 1;
    let claim_fits = match (found, value) {
        (Some((key, committed)), Some(value)) => key == place && committed == hash(&[value]),
        (Some((key, _)), None) => {
            key != place && (0..siblings.len()).all(|level| bit(&key, level) == bit(&place, level))
        }
        (None, None) => true,
        (None, Some(_)) => false,
    };
    let mut current = found.map_or(empty, |(key, value)| leaf(&key, &value));
    for (level, sibling) in (0..siblings.len()).rev().zip(&siblings) {
        let sibling = match sibling {
            Sibling::Empty => empty,
            Sibling::Inner(left, right) => inner(left, right),
            Sibling::Leaf(key, value) => leaf(key, value),
        };
        current = match bit(&place, level) {
            0 => inner(&current, &sibling),
            _ => inner(&sibling, &current),
        };
    }
    claim_fits && current == *root.as_bytes()
}

#[test]
fn proofs_verify_as_documented() {
    let mut world = World::new(4);
    world.must("alice", transfer("bob", 5));
    let root = root(&world);
    for text in ["alice", "bob", "validator-2", "nobody", "zoe", "dave"] {
        let (value, proof) = prove_account(&world.state, &name(text), Height(1)).expect("a proof");
        let key = AccountKey(name(text)).bytes();
        assert!(
            verify_as_documented(&root, &key, value.as_deref(), &proof),
            "{text}"
        );
        let other = value.is_none().then_some([1].as_slice());
        assert!(!verify_as_documented(&root, &key, other, &proof), "{text}");
    }
}

type Version = BTreeMap<u8, Option<u8>>;

fn apply(
    state: &mut MemoryState,
    height: u64,
    values: Vec<(Vec<u8>, Option<Vec<u8>>)>,
) -> StateRoot {
    let update = update(state, Height(height), &values).expect("memory reads");
    state.apply(&StateChanges {
        values,
        tree_nodes: update.nodes,
        stale_tree_nodes: update.stale,
    });
    state.prune();
    update.root
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Insertions, changes and removals in any mixture, down to the empty tree and up again.
    #[test]
    fn a_tree_of_many_versions_is_the_tree_from_scratch(
        versions in proptest::collection::vec(
            prop_oneof![
                8 => proptest::collection::btree_map(0u8..80, any::<Option<u8>>(), 0..60),
                1 => Just((0u8..80).map(|key| (key, None)).collect::<Version>()),
            ],
            1..12,
        ),
    ) {
        let mut state = MemoryState::default();
        let mut model = BTreeMap::new();
        for (height, changes) in (0..).zip(versions) {
            let changes: Vec<_> = changes
                .into_iter()
                .filter(|(key, value)| value.is_some() || model.contains_key(key))
                .collect();
            for (key, value) in &changes {
                match value {
                    Some(value) => model.insert(*key, *value),
                    None => model.remove(key),
                };
            }
            let encode = |(key, value): (u8, Option<u8>)| (vec![key], value.map(|value| vec![value]));
            let root = apply(&mut state, height, changes.into_iter().map(encode).collect());
            let all = model.iter().map(|(key, value)| encode((*key, Some(*value)))).collect();
            let mut scratch = MemoryState::default();
            prop_assert_eq!(root, apply(&mut scratch, 0, all));
            prop_assert_eq!(state.tree_node_count(), scratch.tree_node_count());
        }
    }
}
