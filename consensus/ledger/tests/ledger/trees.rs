//! Root and proofs of the state tree.

use crate::world::{World, name, transfer};
use holdfast_ledger::keys::{AccountKey, StateKey};
use holdfast_ledger::objects::{Account, StateObject};
use holdfast_ledger::tree::update;
use holdfast_ledger::{MemoryState, StateChanges, UndoRecord};
use holdfast_ledger::{ProofError, prove, prove_account, state_root, verify_proof};
use holdfast_types::{Height, StateRoot};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn root(world: &World) -> StateRoot {
    state_root(&world.state)
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

/// The verifier that the documentation of [`holdfast_ledger::tree`] describes, in a few lines.
fn verify_as_documented(root: &StateRoot, key: &[u8], value: Option<&[u8]>, proof: &[u8]) -> bool {
    type Pair = ([u8; 32], [u8; 32]);
    let leaf =
        |(key, value): Pair| blake3::derive_key("holdfast state leaf v1", &[key, value].concat());
    let inner = |left: [u8; 32], right: [u8; 32]| {
        blake3::derive_key("holdfast state inner node v1", &[left, right].concat())
    };
    let (found, siblings): (Option<Pair>, Vec<[u8; 32]>) =
        borsh::from_slice(proof).expect("the documented encoding");
    let place = blake3::derive_key("holdfast state key v1", key);
    let bit = |place: &[u8; 32], level: usize| place[level / 8] >> (7 - level % 8) & 1;
    let claim_fits = match (found, value) {
        (Some((key, committed)), Some(value)) => {
            key == place && committed == blake3::derive_key("holdfast state value v1", value)
        }
        (Some((key, _)), None) => {
            key != place && (0..siblings.len()).all(|level| bit(&key, level) == bit(&place, level))
        }
        (None, None) => true,
        (None, Some(_)) => false,
    };
    let mut current = found.map_or([0; 32], leaf);
    for (level, sibling) in (0..siblings.len()).rev().zip(siblings.iter().copied()) {
        current = match bit(&place, level) {
            0 => inner(current, sibling),
            _ => inner(sibling, current),
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
type Values = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn apply(state: &mut MemoryState, values: Values) -> StateRoot {
    let update = update(state, &values).expect("memory reads");
    state.apply(&StateChanges {
        values,
        tree_nodes: update.nodes,
    });
    update.root
}

/// The hashes of the tree, in the form in which `jmt` asks for them.
struct OracleHasher {
    context: &'static str,
    bytes: Vec<u8>,
}

impl jmt::SimpleHasher for OracleHasher {
    fn new() -> Self {
        Self {
            context: "holdfast state value v1",
            bytes: Vec::new(),
        }
    }

    fn update(&mut self, data: &[u8]) {
        match data {
            b"JMT::LeafNode" => self.context = "holdfast state leaf v1",
            b"JMT::IntrnalNode" => self.context = "holdfast state inner node v1",
            // Its hash of an empty subtree.
            b"SPARSE_MERKLE_PLACEHOLDER_HASH__" => self.bytes.extend([0; 32]),
            data => self.bytes.extend(data),
        }
    }

    fn finalize(self) -> [u8; 32] {
        blake3::derive_key(self.context, &self.bytes)
    }
}

/// The root that `jmt` gives to a state.
fn oracle_root(state: &BTreeMap<u8, u8>) -> StateRoot {
    if state.is_empty() {
        return StateRoot::new([0; 32]);
    }
    let store = jmt::mock::MockTreeStore::default();
    let tree = jmt::JellyfishMerkleTree::<_, OracleHasher>::new(&store);
    let values = state.iter().map(|(key, value)| {
        let place = blake3::derive_key("holdfast state key v1", &[*key]);
        (jmt::KeyHash(place), Some(vec![*value]))
    });
    let (root, _) = tree.put_value_set(values, 0).expect("memory reads");
    StateRoot::new(root.0)
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
        let encode = |(key, value): (u8, Option<u8>)| (vec![key], value.map(|value| vec![value]));
        let mut state = MemoryState::default();
        let mut model = BTreeMap::new();
        for changes in versions {
            let before = (state.clone(), model.clone());
            for (key, value) in &changes {
                match value {
                    Some(value) => model.insert(*key, *value),
                    None => model.remove(key),
                };
            }
            let root = apply(&mut state, changes.iter().map(|(k, v)| encode((*k, *v))).collect());
            prop_assert_eq!(root, oracle_root(&model));
            prop_assert_eq!(state_root(&state), Ok(Some(root)));
            let all = model.iter().map(|(key, value)| encode((*key, Some(*value)))).collect();
            let mut scratch = MemoryState::default();
            prop_assert_eq!(root, apply(&mut scratch, all));
            // The tree has no history: not in its root, and in no page.
            prop_assert_eq!(&state, &scratch);
            let old = changes.keys().map(|key| encode((*key, before.1.get(key).copied())));
            let undo = UndoRecord { values: old.collect() };
            scratch.undo(&undo).expect("memory reads");
            if !before.1.is_empty() {
                prop_assert_eq!(scratch, before.0);
            }
        }
    }

    #[test]
    fn every_key_and_every_absence_is_proved(
        keys in proptest::collection::btree_set(any::<u16>(), 0..200),
        absent in any::<u16>(),
    ) {
        let mut state = MemoryState::default();
        let encode = |key: &u16| (key.to_be_bytes().to_vec(), Some(vec![7]));
        let root = apply(&mut state, keys.iter().map(encode).collect());
        for key in keys.iter().take(8).chain([&absent]) {
            let bytes = key.to_be_bytes();
            let expected = keys.contains(key).then_some([7].as_slice());
            // Without properties the state counts as that of block 0.
            let (value, proof) = prove(&state, &bytes, Height(0)).expect("a proof");
            prop_assert_eq!(value.as_deref(), expected);
            prop_assert_eq!(verify_proof(&root, &bytes, expected, &proof), Ok(()));
            let other = if expected.is_some() { None } else { Some([7].as_slice()) };
            prop_assert!(verify_proof(&root, &bytes, other, &proof).is_err());
        }
    }
}
