//! A caller that breaks the contract, and a store that breaks.

use crate::world::{World, transfer, verified};
use holdfast_ledger::keys::{AccountKey, PropertiesKey, StateKey};
use holdfast_ledger::objects::StateObject;
use holdfast_ledger::{
    BlockInput, LedgerError, MemoryState, StateChanges, StateError, StateStore, execute_block,
};
use holdfast_types::test_util::{CHAIN, committee};
use holdfast_types::{Era, Height, TimestampMs};

fn input(world: &World) -> BlockInput<'_> {
    BlockInput {
        chain: CHAIN,
        height: Height(1),
        era: Era(1),
        timestamp: world.now.plus(1),
        committee: &world.committee,
        transactions: &[],
        supports: &[],
        evidence: &[],
        governance: None,
    }
}

#[test]
fn a_block_that_does_not_continue_the_state_is_refused() {
    let world = World::new(4);
    let good = input(&world);
    assert!(execute_block(&world.state, &world.parameters, &good).is_ok());
    let other = committee(4);
    let cases = [
        (
            BlockInput {
                height: Height(2),
                ..good
            },
            "height",
        ),
        (
            BlockInput {
                height: Height(0),
                ..good
            },
            "height",
        ),
        (
            BlockInput {
                era: Era(2),
                ..good
            },
            "era",
        ),
        (
            BlockInput {
                timestamp: world.now,
                ..good
            },
            "timestamp",
        ),
        (
            BlockInput {
                timestamp: TimestampMs(0),
                ..good
            },
            "timestamp",
        ),
        (
            BlockInput {
                committee: &other,
                ..good
            },
            "committee hash",
        ),
    ];
    for (bad, wrong) in cases {
        match execute_block(&world.state, &world.parameters, &bad) {
            Err(LedgerError::WrongBlock { field, .. }) => assert_eq!(field, wrong),
            outcome => panic!("{wrong}: {outcome:?}"),
        }
    }
}

#[test]
fn an_empty_store_is_an_error() {
    let world = World::new(4);
    let outcome = execute_block(&MemoryState::default(), &world.parameters, &input(&world));
    assert!(matches!(outcome, Err(LedgerError::Store(_))));
}

/// The state with one value replaced behind the ledger's back.
fn tampered(world: &World, key: Vec<u8>, value: Option<Vec<u8>>) -> MemoryState {
    let mut state = world.state.clone();
    state.apply(&StateChanges {
        values: vec![(key, value)],
        ..StateChanges::default()
    });
    state
}

#[test]
fn a_damaged_object_is_an_error() {
    let world = World::new(4);
    let transactions = [verified(world.body("alice", transfer("bob", 1)))];
    let block = BlockInput {
        transactions: &transactions,
        ..input(&world)
    };
    let key = AccountKey(crate::world::name("alice")).bytes();
    let state = tampered(&world, key, Some(vec![1, 2, 3]));
    let outcome = execute_block(&state, &world.parameters, &block);
    assert!(matches!(outcome, Err(LedgerError::Store(_))));
}

#[test]
fn a_treasury_that_overflows_is_a_broken_invariant() {
    let world = World::new(4);
    let mut properties = world.properties();
    properties.treasury = u64::MAX;
    let state = tampered(&world, PropertiesKey().bytes(), Some(properties.encode()));
    let transactions = [verified(world.body("alice", transfer("bob", 1)))];
    let block = BlockInput {
        transactions: &transactions,
        ..input(&world)
    };
    let outcome = execute_block(&state, &world.parameters, &block);
    assert!(matches!(outcome, Err(LedgerError::BrokenInvariant { .. })));
}

/// A store whose n-th read fails.
struct Failing<'a> {
    state: &'a MemoryState,
    reads_left: std::cell::Cell<u32>,
}

impl Failing<'_> {
    fn count(&self) -> Result<(), StateError> {
        let left = self.reads_left.get();
        if left == 0 {
            return Err(StateError {
                reason: "the disk is gone".to_owned(),
            });
        }
        self.reads_left.set(left - 1);
        Ok(())
    }
}

impl StateStore for Failing<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.count()?;
        self.state.value(key)
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.count()?;
        self.state.tree_node(key)
    }
}

#[test]
fn every_failing_read_is_reported() {
    let world = World::new(4);
    let transactions = [verified(world.body("alice", transfer("bob", 1)))];
    let block = BlockInput {
        transactions: &transactions,
        ..input(&world)
    };
    let mut reads = 0;
    loop {
        let store = Failing {
            state: &world.state,
            reads_left: std::cell::Cell::new(reads),
        };
        match execute_block(&store, &world.parameters, &block) {
            Ok(_) => break,
            Err(LedgerError::Store(error)) => {
                assert!(error.reason.contains("the disk is gone"), "{error}");
            }
            Err(error) => panic!("read {reads}: {error}"),
        }
        reads += 1;
    }
    assert!(reads > 5);
}
