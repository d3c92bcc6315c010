//! Transactions by sender and nonce.

use super::MempoolConfig;
use holdfast_types::test_util::CHAIN;
use holdfast_types::{
    AccountName, Action, PublicKey, Signature, SignedTransaction, TimestampMs, TransactionBody,
    TransactionId, VerifiedTransaction,
};
use std::sync::Arc;

pub(super) const CONFIG: MempoolConfig = MempoolConfig {
    transactions_max: 1_000,
    bytes_max: 1_000_000,
    per_sender_max: 64,
    nonce_gap_max: 16,
    gap_lifetime_blocks: 10,
    foreign_delay_ms: 500,
};

/// The parts of a transaction that the mempool looks at. The signature is not one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    pub(super) sender: &'static str,
    pub(super) nonce: u64,
    pub(super) memo_bytes: usize,
    pub(super) expires_at: Option<u64>,
    /// Tells apart transactions that are otherwise equal.
    pub(super) variant: u64,
}

impl Draft {
    pub(super) fn make(&self) -> Arc<VerifiedTransaction> {
        let body = TransactionBody {
            sender: account(self.sender),
            public_key: PublicKey::new([1; 32]),
            nonce: self.nonce,
            fee_max: self.variant,
            expires_at: self.expires_at.map(TimestampMs),
            action: Action::Transfer {
                to: account("recipient"),
                amount: 1,
                memo: vec![0; self.memo_bytes],
            },
        };
        let id = body.id(&CHAIN);
        let signature = Signature::new([0; 64]);
        Arc::new(VerifiedTransaction::trust(
            id,
            SignedTransaction { body, signature },
        ))
    }
}

pub(super) fn account(name: &str) -> AccountName {
    AccountName::new(name).expect("test names obey the rule")
}

pub(super) fn transaction(sender: &'static str, nonce: u64) -> Arc<VerifiedTransaction> {
    Draft {
        sender,
        nonce,
        memo_bytes: 0,
        expires_at: None,
        variant: 0,
    }
    .make()
}

/// "alice0 bob3": sender and nonce of each, in order.
pub(super) fn names(transactions: &[Arc<VerifiedTransaction>]) -> String {
    let names: Vec<String> = transactions
        .iter()
        .map(|transaction| {
            let body = transaction.body();
            format!("{}{}", body.sender, body.nonce)
        })
        .collect();
    names.join(" ")
}

pub(super) fn ids(transactions: &[Arc<VerifiedTransaction>]) -> Vec<TransactionId> {
    transactions.iter().map(|one| one.id()).collect()
}
