//! Root, proofs and pruning of the state tree.

use crate::world::{World, name, transfer, verified};
use holdfast_ledger::keys::{AccountKey, StateKey};
use holdfast_ledger::objects::{Account, StateObject};
use holdfast_ledger::{ProofError, prove, prove_account, state_root, verify_proof};
use holdfast_types::{Height, StateRoot};

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
