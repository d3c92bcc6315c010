//! A chain of real blocks in real stores, executed by the ledger, in which one block can be made to go wrong.

use holdfast_chain::{AppliedBlock, ChainBatch, ChainStore as _, genesis_batch};
use holdfast_genesis::templates::COIN;
use holdfast_genesis::{
    AccountEntry, Genesis, GenesisTime, NewChain, Template, ValidatorEntry, genesis_block,
};
use holdfast_ledger::keys::{AccountKey, StateKey as _};
use holdfast_ledger::objects::{Account, StateObject as _};
use holdfast_ledger::{BlockInput, BlockOutcome, execute_block, tree};
use holdfast_storage::{CreateMode, Storage, StorageOptions};
use holdfast_types::block::transactions_root;
use holdfast_types::merkle::merkle_root;
use holdfast_types::{
    AccountName, Action, AuthorityIndex, Block, BlockBody, BlockHeader, BlockOrigin, CommitDigest,
    KeyPair, Round, Signer as _, TimestampMs, TransactionBody, VerifiedTransaction,
};
use std::path::Path;

pub(crate) fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

pub(crate) fn key(number: u8) -> KeyPair {
    KeyPair::from_secret(&[number; 32])
}

/// A chain with three accounts and four validators.
pub(crate) fn genesis() -> Genesis {
    let accounts = ["alice", "bob", "carol"].into_iter().zip(1..);
    let validators = ["val-a", "val-b", "val-c", "val-d"].into_iter().zip(11..);
    let mut entries: Vec<_> = accounts
        .chain(validators.clone())
        .map(|(account, number)| AccountEntry {
            name: name(account),
            key: key(number).public_key(),
            balance: 1_000 * COIN,
        })
        .collect();
    entries.sort_by_key(|entry| entry.name);
    let document = Template::Devnet.document(NewChain {
        chain_name: "incident".to_owned(),
        genesis_time: GenesisTime(TimestampMs(1_798_761_600_000)),
        notes: String::new(),
        emergency_key: key(99).public_key(),
        governance_keys: (100..112).map(|number| key(number).public_key()).collect(),
        governance_threshold: None,
        accounts: entries,
        validators: validators
            .map(|(account, number)| ValidatorEntry {
                account: name(account),
                signing_key: Some(key(number + 20).public_key()),
                stake: 100_000 * COIN,
                url: String::new(),
            })
            .collect(),
        treasury: 0,
    });
    Genesis::check(document).unwrap()
}

/// A store that holds block 0.
pub(crate) fn store(path: &Path, genesis: &Genesis) -> Storage {
    let options = StorageOptions {
        create: CreateMode::New,
        cache_bytes: 1 << 20,
        ..StorageOptions::default()
    };
    let storage = Storage::open(path, options, genesis.chain_id()).unwrap();
    let first = genesis_block(genesis);
    let batch = genesis_batch(first.id, first.block, first.changes, first.era);
    storage.apply(batch).unwrap();
    storage
}

pub(crate) fn transfer(genesis: &Genesis, nonce: u64, amount: u64) -> VerifiedTransaction {
    let signer = key(1);
    let body = TransactionBody {
        sender: name("alice"),
        public_key: signer.public_key(),
        nonce,
        fee_max: COIN,
        expires_at: None,
        action: Action::Transfer {
            to: name("bob"),
            amount,
            memo: Vec::new(),
        },
    };
    let chain = genesis.chain_id();
    let id = body.id(&chain);
    VerifiedTransaction::trust(id, body.sign(&chain, &signer))
}

/// Executes the next block and applies what came of it, after `tamper` had its hand in it.
pub(crate) fn extend(
    storage: &Storage,
    genesis: &Genesis,
    transactions: &[VerifiedTransaction],
    tamper: impl FnOnce(&Storage, &mut BlockOutcome),
) {
    let chain = genesis.chain_id();
    let (head, parent) = storage.head().unwrap().unwrap();
    let context = storage.latest_era().unwrap().unwrap();
    let height = head.next();
    let timestamp = TimestampMs(1_798_761_600_000 + height.0 * 100);
    let input = BlockInput {
        chain,
        height,
        era: context.era,
        timestamp,
        committee: &context.committee,
        transactions,
        supports: &[],
        evidence: &[],
        governance: None,
    };
    let mut outcome = execute_block(storage, genesis.parameters(), &input).unwrap();
    tamper(storage, &mut outcome);
    let ids: Vec<_> = transactions.iter().map(VerifiedTransaction::id).collect();
    let body = BlockBody {
        transactions: transactions
            .iter()
            .map(|one| one.transaction().clone())
            .collect(),
        ..BlockBody::default()
    };
    let receipts: Vec<_> = outcome
        .receipts
        .iter()
        .map(holdfast_types::Receipt::hash)
        .collect();
    let header = BlockHeader {
        height,
        parent,
        era: context.era,
        timestamp,
        origin: BlockOrigin::Dag {
            commit: CommitDigest::new([1; 32]),
            commit_index: height.0,
            leader_round: Round(height.0 * 2),
            leader: AuthorityIndex(0),
        },
        transactions_root: transactions_root(ids.iter().zip(&body.transactions)),
        events_root: merkle_root(receipts.iter()),
        system_root: body.system_root(),
        state_root: outcome.state_root,
        next_committee: None,
    };
    let applied = AppliedBlock {
        id: header.id(&chain),
        block: Block { header, body },
        transaction_ids: ids,
        receipts: outcome.receipts,
        events: outcome.events,
        changes: outcome.changes,
        undo: outcome.undo,
    };
    let batch = ChainBatch {
        apply: vec![applied],
        ..ChainBatch::default()
    };
    storage.apply(batch).unwrap();
}

/// Gives bob one more than he has after the block, in state and tree.
pub(crate) fn enrich_bob(storage: &Storage, outcome: &mut BlockOutcome) {
    let bob = AccountKey(name("bob")).bytes();
    let values = &mut outcome.changes.values;
    let value = values.iter_mut().find(|(key, _)| *key == bob).unwrap();
    let mut account = Account::decode(value.1.as_ref().unwrap()).unwrap();
    account.balance += 1;
    value.1 = Some(account.encode());
    let update = tree::update(storage, &outcome.changes.values).unwrap();
    outcome.changes.tree_nodes = update.nodes;
    outcome.state_root = update.root;
}
