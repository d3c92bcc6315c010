//! Measures the ledger on a state in memory: `ledger_bench [accounts] [transfers per block] [blocks]`.
//!
//! Prints one line per figure: execution without the state tree in transfers per second, and the state tree in
//! microseconds per changed key. Reads of the store are not counted.

// A measurement reads the clock and prints: it is no part of the state machine.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use holdfast_ledger::{
    BlockInput, GenesisAccount, GenesisState, GenesisValidator, MemoryState, StateError,
    StateStore, execute_block, genesis, tree,
};
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, key_pair};
use holdfast_types::{
    AccountName, Action, Era, Height, PublicKey, Signature, SignedTransaction, Signer, TimestampMs,
    TransactionBody, TransactionId, VerifiedTransaction,
};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// A store that says how long its reads took: they are not the ledger's.
struct Timed<'a> {
    state: &'a MemoryState,
    reads: Cell<Duration>,
}

impl<'a> Timed<'a> {
    const fn new(state: &'a MemoryState) -> Self {
        Self {
            state,
            reads: Cell::new(Duration::ZERO),
        }
    }

    fn time<T>(&self, read: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = read();
        self.reads.set(self.reads.get() + start.elapsed());
        value
    }
}

impl StateStore for Timed<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.time(|| self.state.value(key))
    }

    fn values(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        self.time(|| self.state.values(keys))
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.time(|| self.state.tree_node(key))
    }
}

/// Shortest of three runs, without the reads of the store: other load on the machine only ever adds.
fn shortest<T>(store: &MemoryState, mut run: impl FnMut(&Timed<'_>) -> T) -> (Duration, T) {
    let mut once = || {
        let timed = Timed::new(store);
        let start = Instant::now();
        let result = run(&timed);
        (start.elapsed().saturating_sub(timed.reads.get()), result)
    };
    let (first, result) = once();
    (first.min(once().0).min(once().0), result)
}

/// A small generator: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn account_name(number: u64) -> AccountName {
    AccountName::new(&format!("account-{number}")).expect("a valid name")
}

fn key_of(number: u64) -> PublicKey {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    PublicKey::new(key)
}

fn genesis_state(accounts: u64) -> GenesisState {
    GenesisState {
        chain: CHAIN,
        timestamp: TimestampMs(1),
        parameters: parameters(),
        accounts: (0..accounts)
            .map(|number| GenesisAccount {
                name: account_name(number),
                key: key_of(number),
                balance: 1_000_000_000,
            })
            .collect(),
        validators: vec![GenesisValidator {
            account: account_name(0),
            signing_key: Some(key_pair(0).public_key()),
            stake: 10_000_000,
            url: Vec::new(),
        }],
        treasury: 0,
    }
}

fn transfers(numbers: &mut Numbers, nonces: &mut [u64], count: u64) -> Vec<VerifiedTransaction> {
    let accounts = nonces.len() as u64;
    (0..count)
        .map(|_| {
            let (from, to) = (numbers.below(accounts), numbers.below(accounts));
            let nonce = &mut nonces[usize::try_from(from).expect("it fits")];
            let body = TransactionBody {
                sender: account_name(from),
                public_key: key_of(from),
                nonce: *nonce,
                fee_max: u64::MAX,
                expires_at: None,
                action: Action::Transfer {
                    to: account_name(to),
                    amount: 1,
                    memo: Vec::new(),
                },
            };
            *nonce += 1;
            let mut id = [0; 32];
            id[..8].copy_from_slice(&numbers.below(u64::MAX).to_be_bytes());
            let transaction = SignedTransaction {
                body,
                signature: Signature::new([0; 64]),
            };
            VerifiedTransaction::trust(TransactionId::new(id), transaction)
        })
        .collect()
}

fn argument(position: usize, default: u64) -> u64 {
    std::env::args()
        .nth(position)
        .map_or(default, |text| text.parse().expect("arguments are numbers"))
}

fn main() {
    let (accounts, per_block, blocks) = (argument(1, 10_000), argument(2, 1_000), argument(3, 50));
    let state = genesis_state(accounts);
    let start = Instant::now();
    let outcome = genesis(&state).expect("a valid genesis");
    println!("genesis of {accounts} accounts: {:?}", start.elapsed());
    let committee = outcome.committee.clone();
    let mut store = MemoryState::from_genesis(&outcome.changes);
    let mut numbers = Numbers(7);
    let mut nonces = vec![0; usize::try_from(accounts).expect("it fits")];
    let (mut total, mut in_tree) = (Duration::ZERO, Duration::ZERO);
    let (mut keys, mut nodes, mut node_bytes, mut failed) = (0usize, 0usize, 0usize, 0usize);
    for height in 1..=blocks {
        let transactions = transfers(&mut numbers, &mut nonces, per_block);
        let input = BlockInput {
            chain: CHAIN,
            height: Height(height),
            era: Era(1),
            timestamp: TimestampMs(1 + height),
            committee: &committee,
            transactions: &transactions,
            supports: &[],
            evidence: &[],
            governance: None,
        };
        let (elapsed, outcome) = shortest(&store, |store| {
            execute_block(store, &state.parameters, &input).expect("it executes")
        });
        total += elapsed;
        let (elapsed, update) = shortest(&store, |store| {
            tree::update(store, &outcome.changes.values).expect("it updates")
        });
        in_tree += elapsed;
        keys += outcome.changes.values.len();
        nodes += update.nodes.len();
        node_bytes += update
            .nodes
            .iter()
            .map(|(key, page)| key.len() + page.as_ref().map_or(0, Vec::len))
            .sum::<usize>();
        failed += outcome
            .receipts
            .iter()
            .filter(|receipt| receipt.fee == 0)
            .count();
        store.apply(&outcome.changes);
    }
    let execution = total.saturating_sub(in_tree);
    let count = per_block * blocks;
    println!("{accounts} accounts, {blocks} blocks of {per_block} transfers, {failed} failed");
    println!(
        "execution without tree: {:.0} transfers/s ({:.2} us each)",
        count as f64 / execution.as_secs_f64(),
        execution.as_secs_f64() * 1e6 / count as f64
    );
    println!(
        "state tree: {:.2} us per changed key, {} keys, {:.1} pages and {:.0} bytes per key",
        in_tree.as_secs_f64() * 1e6 / keys as f64,
        keys / usize::try_from(blocks).expect("it fits"),
        nodes as f64 / keys as f64,
        node_bytes as f64 / keys as f64
    );
    println!(
        "both: {:.0} transfers/s",
        count as f64 / total.as_secs_f64()
    );
}
