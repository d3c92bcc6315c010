//! Two real stores, and where they part.

use super::*;
use crate::incident::fixture::{enrich_bob, extend, genesis, store, transfer};
use holdfast_genesis::Genesis;
use tempfile::TempDir;

struct Stores {
    folder: TempDir,
    genesis: Genesis,
    left: Storage,
    right: Storage,
}

impl Stores {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let genesis = genesis();
        Self {
            left: store(&folder.path().join("left"), &genesis),
            right: store(&folder.path().join("right"), &genesis),
            folder,
            genesis,
        }
    }

    /// The same block on both.
    fn both(&self, nonce: u64) {
        let transactions = [transfer(&self.genesis, nonce, 500 + nonce)];
        extend(&self.left, &self.genesis, &transactions, |_, _| {});
        extend(&self.right, &self.genesis, &transactions, |_, _| {});
    }

    fn compare(&self) -> Comparison {
        compare(("L", &self.left), ("R", &self.right)).unwrap()
    }
}

fn difference(comparison: &Comparison) -> &Difference {
    match &comparison.finding {
        Finding::Differs(difference) => difference,
        finding => panic!("{finding:?}"),
    }
}

#[test]
fn stores_of_the_same_chain_do_not_differ_up_to_the_lower_head() {
    let pair = Stores::new();
    for nonce in 0..5 {
        pair.both(nonce);
    }
    let more = [transfer(&pair.genesis, 5, 1)];
    extend(&pair.left, &pair.genesis, &more, |_, _| {});
    let comparison = pair.compare();
    assert_eq!(comparison.finding, Finding::Same { up_to: 5 });
    assert_eq!((comparison.left.head, comparison.right.head), (6, 5));
    assert_eq!(comparison.notes, Vec::<String>::new());
}

#[test]
fn one_transaction_that_went_another_way_is_found_with_the_key_that_it_changed() {
    let pair = Stores::new();
    for nonce in 0..4 {
        pair.both(nonce);
    }
    let transactions = [
        transfer(&pair.genesis, 4, 10),
        transfer(&pair.genesis, 5, 20),
    ];
    extend(&pair.left, &pair.genesis, &transactions, |_, _| {});
    extend(
        &pair.right,
        &pair.genesis,
        &transactions,
        |storage, outcome| {
            enrich_bob(storage, outcome);
            outcome.receipts[1].fee += 1;
        },
    );
    // Later blocks hide it: the state of today is of no help.
    for nonce in 6..20 {
        pair.both(nonce);
    }
    let comparison = pair.compare();
    let found = difference(&comparison);
    assert_eq!(found.height, 5);
    assert_ne!(found.left_id, found.right_id);
    let fields: Vec<_> = found
        .fields
        .iter()
        .map(|field| field.what.as_str())
        .collect();
    assert_eq!(fields, ["receipts and events", "state root"]);
    assert_eq!(found.transaction, None);
    let receipt = found.receipt.as_ref().unwrap();
    assert_eq!(receipt.index, 1);
    assert_eq!(receipt.transaction, transactions[1].id().to_string());
    assert_eq!(receipt.differences[0].what, "fee");
    assert_eq!(found.keys_total, 1);
    let key = &found.keys[0];
    assert_eq!(key.name, "account bob");
    assert!(!key.differed_before);
    assert_eq!(key.fields.len(), 1);
    assert_eq!(key.fields[0].what, "balance");
    let number = |text: &str| text.parse::<u64>().unwrap();
    assert_eq!(
        number(&key.fields[0].left) + 1,
        number(&key.fields[0].right)
    );
    assert_eq!(comparison.notes, Vec::<String>::new());
}

#[test]
fn a_state_that_was_damaged_before_is_told_from_a_block_that_was_executed_wrongly() {
    let pair = Stores::new();
    pair.both(0);
    let transactions = [transfer(&pair.genesis, 1, 10)];
    extend(&pair.left, &pair.genesis, &transactions, |_, _| {});
    // The block is the same on both, what is stored is not.
    extend(
        &pair.right,
        &pair.genesis,
        &transactions,
        |storage, outcome| {
            let root = outcome.state_root;
            enrich_bob(storage, outcome);
            outcome.state_root = root;
        },
    );
    let comparison = pair.compare();
    assert_eq!(comparison.finding, Finding::Same { up_to: 2 });
    assert!(
        comparison.notes[0].starts_with("R: the root of its state is "),
        "{:?}",
        comparison.notes
    );
    pair.both(2);
    pair.both(3);
    let comparison = pair.compare();
    let found = difference(&comparison);
    assert_eq!(found.height, 3);
    assert_eq!(found.keys.len(), 1);
    assert_eq!(found.keys[0].name, "account bob");
    assert!(found.keys[0].differed_before);
}

#[test]
fn other_transactions_are_found_by_their_place() {
    let pair = Stores::new();
    pair.both(0);
    let one = [
        transfer(&pair.genesis, 1, 10),
        transfer(&pair.genesis, 2, 10),
    ];
    let other = [transfer(&pair.genesis, 1, 10)];
    extend(&pair.left, &pair.genesis, &one, |_, _| {});
    extend(&pair.right, &pair.genesis, &other, |_, _| {});
    let comparison = pair.compare();
    let found = difference(&comparison);
    assert_eq!(found.height, 2);
    assert_eq!(
        found.transaction,
        Some(TransactionPair {
            index: 1,
            left: Some(one[1].id().to_string()),
            right: None,
        })
    );
    assert_eq!(found.receipt, None);
    let names: Vec<_> = found.keys.iter().map(|key| key.name.as_str()).collect();
    assert!(
        names.contains(&"account alice") && names.contains(&"account bob"),
        "{names:?}"
    );
}

#[test]
fn checkpoints_are_compared_as_copies() {
    let pair = Stores::new();
    pair.both(0);
    let checkpoint = pair.folder.path().join("checkpoint");
    pair.left.checkpoint(&checkpoint).unwrap();
    pair.both(1);
    let scratch = tempfile::tempdir().unwrap();
    let copy = Storage::open_copy(&checkpoint, scratch.path()).unwrap();
    let comparison = compare(("copy", &copy), ("R", &pair.right)).unwrap();
    assert_eq!(comparison.finding, Finding::Same { up_to: 1 });
}
