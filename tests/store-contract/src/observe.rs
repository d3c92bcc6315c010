//! All that a reader can ask, asked of the store and of the model.

use super::builder::key_of;
use super::{ContractStore, transaction};
use holdfast_chain::{ChainStore, ModelStore};
use holdfast_ledger::StateStore;
use holdfast_types::{Era, Height};

/// Transaction numbers that scenarios use.
const TRANSACTIONS: u64 = 40;
const ERAS: u64 = 8;
const KEYS: u32 = 48;

/// Asserts that the store answers every question as the model does. A pruning store may lag behind in pruning, so
/// what the model holds prunable is not compared.
///
/// # Panics
/// If it does not.
pub fn assert_same<S: ContractStore>(store: &S, model: &ModelStore, context: &str) {
    macro_rules! same {
        ($($method:ident($($argument:expr),*)),* $(,)?) => {
            $(assert_eq!(
                store.$method($($argument),*),
                model.$method($($argument),*),
                "{}({:?}) {context}",
                stringify!($method),
                ($($argument,)*)
            );)*
        };
    }
    same!(
        head(),
        irreversible_height(),
        certified_height(),
        end_votes(),
        latest_era()
    );
    let head = model.head().expect("the model reads from memory");
    let head = head.map_or(Height::ZERO, |(head, _)| head);
    let mut height = model.prunable_below();
    while height <= head.plus(2) {
        same!(
            block_at(height),
            block_id_at(height),
            undo(height),
            certificate(height),
            certificate_at_or_above(height),
            certificates_above(height),
            commit_digest_at(height),
            receipts_at(height),
        );
        if let Some(id) = model
            .block_id_at(height)
            .expect("the model reads from memory")
        {
            same!(block(&id));
        }
        height = height.next();
    }
    for number in 0..TRANSACTIONS {
        same!(transaction_place(&transaction(number).id()));
    }
    for era in 0..ERAS {
        same!(era(Era(era)));
    }
    assert_same_forks(store, model, context);
    assert_same_state(store, model, context);
}

fn assert_same_forks<S: ContractStore>(store: &S, model: &ModelStore, context: &str) {
    let mut stored = store.fork_blocks().expect("the store reads");
    let mut expected = model.fork_blocks().expect("the model reads from memory");
    stored.sort_by_key(|(id, _)| *id);
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(stored, expected, "fork_blocks() {context}");
    for (id, _) in &expected {
        assert_eq!(store.block(id), model.block(id), "block({id}) {context}");
    }
}

fn assert_same_state<S: ContractStore>(store: &S, model: &ModelStore, context: &str) {
    let keys: Vec<Vec<u8>> = (0..KEYS).map(key_of).collect();
    let values = store.values(&keys).expect("the store reads");
    for (key, value) in keys.iter().zip(values) {
        let expected = model.value(key).expect("the model reads from memory");
        assert_eq!(value, expected, "values of {key:?} {context}");
        assert_eq!(store.value(key), Ok(expected), "value of {key:?} {context}");
    }
    for (key, content) in model.live_nodes() {
        assert_eq!(
            store.tree_node(&key),
            Ok(Some(content)),
            "tree node {key:?} {context}"
        );
    }
    assert_eq!(store.tree_node(b"no such node"), Ok(None), "{context}");
}
