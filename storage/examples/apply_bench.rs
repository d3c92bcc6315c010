//! What a block costs the store: blocks of 1,000 transfers over 10,000 accounts, shaped like those of the ledger.
//!
//! `cargo run --release -p holdfast-storage --example apply_bench [-- blocks [transfers [accounts]]]`
//!
//! Prints milliseconds per apply and per reading of the 2,000 values that a block needs, what a synced own vertex and
//! a guard raise take beside it, processor time per block, memory, and what a restart takes afterwards.

use holdfast_chain::{AppliedBlock, ChainBatch, ChainStore};
use holdfast_ledger::{MemoryState, StateChanges, StateStore, UndoRecord, tree};
use holdfast_replica::{Record, SignGuardRecord};
use holdfast_storage::{CreateMode, RecordWriter, SignGuardFile, Storage, StorageOptions};
use holdfast_types::test_util::{CHAIN, Sampler, era_context, genesis_refs, key_pair, vertex};
use holdfast_types::{
    AccountName, Action, AuthorityIndex, Block, BlockBody, BlockHeader, BlockId, BlockOrigin,
    CommitDigest, Era, Event, Height, Receipt, ReceiptStatus, Round, Signature, SignedTransaction,
    Signer, StateRoot, TimestampMs, TransactionBody, TransactionId, VertexPayload,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Blocks between a block and its irreversibility.
const LIB_LAG: u64 = 10;
/// Blocks whose undo records are kept.
const UNDO_BLOCKS: u64 = 200;

/// Accounts with the ledger's tree over them.
struct World {
    accounts: u32,
    transfers: u32,
    head: Option<(Height, BlockId)>,
    state: MemoryState,
    sampler: Sampler,
}

impl World {
    fn new(accounts: u32, transfers: u32) -> Self {
        Self {
            accounts,
            transfers,
            head: None,
            state: MemoryState::default(),
            sampler: Sampler::new("apply bench", 0),
        }
    }

    fn account_key(number: u32) -> Vec<u8> {
        let mut key = vec![0x10];
        key.extend_from_slice(format!("account-{number:06}").as_bytes());
        key
    }

    fn touch(&mut self, accounts: &[u32]) -> (StateChanges, UndoRecord) {
        let mut values = Vec::with_capacity(accounts.len());
        let mut undo = UndoRecord::default();
        for &number in accounts {
            let key = Self::account_key(number);
            let before = self.state.value(&key).expect("memory reads");
            undo.values.push((key.clone(), before));
            values.push((key, Some(self.sampler.bytes::<72>().to_vec())));
        }
        let update = tree::update(&self.state, &values).expect("memory reads");
        let changes = StateChanges {
            values,
            tree_nodes: update.nodes,
        };
        self.state.apply(&changes);
        (changes, undo)
    }

    fn touched(&mut self) -> Vec<u32> {
        let mut touched: Vec<u32> = (0..self.transfers * 2)
            .map(|_| self.sampler.below(self.accounts))
            .collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    fn transactions(&mut self) -> Vec<SignedTransaction> {
        let public_key = key_pair(1).public_key();
        let name = |text: &str| AccountName::new(text).expect("the name obeys the rule");
        (0..self.transfers)
            .map(|number| SignedTransaction {
                body: TransactionBody {
                    sender: name("account-000001"),
                    public_key,
                    nonce: u64::from(number),
                    fee_max: 100,
                    expires_at: None,
                    action: Action::Transfer {
                        to: name("account-000002"),
                        amount: 1,
                        memo: Vec::new(),
                    },
                },
                signature: Signature::new(self.sampler.bytes()),
            })
            .collect()
    }

    fn block(&mut self, touched: &[u32], transactions: Vec<SignedTransaction>) -> AppliedBlock {
        let height = self.head.map_or(Height::ZERO, |(height, _)| height.next());
        let (changes, undo) = self.touch(touched);
        let origin = match height {
            Height::ZERO => BlockOrigin::Genesis,
            _ => BlockOrigin::Dag {
                commit: CommitDigest::new(self.sampler.bytes()),
                commit_index: height.0,
                leader_round: Round(height.0),
                leader: AuthorityIndex(0),
            },
        };
        let header = BlockHeader {
            height,
            parent: self.head.map_or_else(BlockId::default, |(_, id)| id),
            era: Era(1),
            timestamp: TimestampMs(height.0 * 100),
            origin,
            transactions_root: self.sampler.bytes(),
            events_root: self.sampler.bytes(),
            system_root: self.sampler.bytes(),
            state_root: StateRoot::new(self.sampler.bytes()),
            next_committee: None,
        };
        let id = header.id(&CHAIN);
        self.head = Some((height, id));
        let ids: Vec<_> = transactions
            .iter()
            .map(|_| TransactionId::new(self.sampler.bytes()))
            .collect();
        let receipts = ids
            .iter()
            .zip(&transactions)
            .map(|(id, transaction)| Receipt {
                transaction: *id,
                status: ReceiptStatus::Success,
                fee: 3,
                events: vec![Event::Transferred {
                    from: transaction.body.sender,
                    to: transaction.body.sender,
                    amount: 1,
                }],
            });
        AppliedBlock {
            id,
            receipts: receipts.collect(),
            transaction_ids: ids,
            block: Block {
                header,
                body: BlockBody {
                    transactions,
                    ..BlockBody::default()
                },
            },
            events: Vec::new(),
            changes,
            undo,
        }
    }
}

fn main() {
    let argument = |position: usize, default: u32| {
        let text = std::env::args().nth(position);
        text.map_or(default, |text| text.parse().expect("arguments are numbers"))
    };
    let (blocks, transfers, accounts) = (argument(1, 300), argument(2, 1_000), argument(3, 10_000));
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("data");
    let options = StorageOptions {
        create: CreateMode::IfMissing,
        ..StorageOptions::default()
    };
    let storage = Storage::open(&path, options, CHAIN).expect("a new store opens");
    let storage = Arc::new(storage);
    let guard_path = directory.path().join("guard");
    let guard = SignGuardFile::create(&guard_path, key_pair(0).public_key());
    let guard = guard.expect("a new guard can be made");
    let mut writer = RecordWriter::new(Arc::clone(&storage), None);
    let mut world = World::new(accounts, transfers);
    let all: Vec<u32> = (0..accounts).collect();
    let genesis = world.block(&all, Vec::new());
    storage.apply(batch(genesis)).expect("genesis applies");

    let mut times = Times::default();
    let per_block = apply_blocks(blocks, &mut world, &storage, &mut writer, &mut times);
    raise(guard, &mut times);
    times.print();
    println!(
        "processor time per block      {:8.2} ms",
        milliseconds(per_block)
    );
    println!(
        "memory, highest               {:8} MB",
        highest_memory_kb() / 1024
    );
    let metrics = storage.metrics().expect("figures can be read");
    let files: u64 = metrics
        .families
        .iter()
        .map(|family| family.files_bytes)
        .sum();
    println!("table files                   {:8} MB", files >> 20);
    // The folder can be opened again only when nobody has it open.
    drop(writer);
    drop(storage);
    let opening = time(|| {
        let storage = Storage::open(&path, options, CHAIN).expect("the store opens again");
        assert_eq!(storage.head().expect("it reads"), world.head);
    });
    println!(
        "restart                       {:8.2} ms",
        milliseconds(opening)
    );
}

/// Applies blocks as a validator does; returns the processor time per block, without that for making the blocks.
fn apply_blocks(
    blocks: u32,
    world: &mut World,
    storage: &Storage,
    writer: &mut RecordWriter,
    times: &mut Times,
) -> Duration {
    let before = processor_time();
    let mut building = Duration::ZERO;
    for number in 1..=u64::from(blocks) {
        let started = processor_time();
        let touched = world.touched();
        let keys: Vec<_> = touched.iter().map(|n| World::account_key(*n)).collect();
        let transactions = world.transactions();
        let own = own_vertex(number, &transactions);
        let block = world.block(&touched, transactions);
        building += processor_time() - started;
        times.values.push(time(|| {
            let values = storage.values(&keys).expect("values can be read");
            assert!(values.iter().all(Option::is_some));
        }));
        let batch = batch(block);
        times
            .apply
            .push(time(|| storage.apply(batch).expect("the block applies")));
        times.own_vertex.push(time(|| {
            writer.commit(&[own]).expect("the vertex is durable");
        }));
    }
    (processor_time() - before - building) / blocks
}

fn batch(block: AppliedBlock) -> ChainBatch {
    let height = block.block.header.height;
    ChainBatch {
        apply: vec![block],
        irreversible: Some(height.minus(LIB_LAG)),
        prune_undo_below: Some(height.minus(UNDO_BLOCKS)),
        ..ChainBatch::default()
    }
}

/// A vertex with a quarter of the block's transactions, as one of four validators signs it.
fn own_vertex(round: u64, transactions: &[SignedTransaction]) -> Record {
    let context = era_context(4);
    let payload = VertexPayload {
        transactions: transactions[..transactions.len() / 4].to_vec(),
        ..VertexPayload::default()
    };
    let parents = genesis_refs(&context);
    Record::OwnVertex(Arc::new(vertex(
        &context,
        AuthorityIndex(0),
        Round(round),
        parents,
        payload,
    )))
}

fn raise(mut guard: SignGuardFile, times: &mut Times) {
    for round in 1..=300 {
        let record = SignGuardRecord {
            vertex: Some((Era(1), Round(round))),
            ..guard.record().clone()
        };
        times
            .guard
            .push(time(|| guard.raise(&record).expect("the guard is raised")));
    }
}

#[derive(Default)]
struct Times {
    apply: Vec<Duration>,
    values: Vec<Duration>,
    own_vertex: Vec<Duration>,
    guard: Vec<Duration>,
}

impl Times {
    fn print(&mut self) {
        for (what, times) in [
            ("apply", &mut self.apply),
            ("values() of one block", &mut self.values),
            ("own vertex, synced", &mut self.own_vertex),
            ("guard raise", &mut self.guard),
        ] {
            times.sort_unstable();
            let at = |percent: usize| milliseconds(times[(times.len() - 1) * percent / 100]);
            let mean = milliseconds(times.iter().sum::<Duration>()) / times.len() as f64;
            println!(
                "{what:<28}  mean {mean:7.3}  p50 {:7.3}  p99 {:7.3}  max {:7.3} ms",
                at(50),
                at(99),
                at(100)
            );
        }
    }
}

fn time(action: impl FnOnce()) -> Duration {
    let started = Instant::now();
    action();
    started.elapsed()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Processor time of the process, all threads.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let own = text
        .split_whitespace()
        .next()
        .and_then(|text| text.parse().ok());
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let all: u64 = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(all.max(own.unwrap_or(0)))
}

fn highest_memory_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
