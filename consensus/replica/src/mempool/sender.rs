//! The transactions of one sender (rules M2 and M3).

use super::schedule::Turn;
use holdfast_types::VerifiedTransaction;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A transaction in the mempool, queued or in flight.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) transaction: Arc<VerifiedTransaction>,
    /// Number of its admission.
    pub(super) arrival: u64,
    /// It is not taken before this time.
    pub(super) eligible_at_ms: u64,
    /// Its place in the order of service: given when it is first its sender's turn, kept until it leaves. So what
    /// is put back is served in the order in which it was served before.
    pub(super) ticket: Option<u64>,
}

/// A number of transactions and their encoded size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) transactions: usize,
    pub(super) bytes: usize,
}

impl Load {
    pub(super) fn of(transaction: &VerifiedTransaction) -> Self {
        Self {
            transactions: 1,
            bytes: transaction.encoded_bytes(),
        }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            transactions: self.transactions.saturating_add(other.transactions),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    pub(super) const fn minus(self, other: Self) -> Self {
        Self {
            transactions: self.transactions.saturating_sub(other.transactions),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// What a sender, or all of them, have in the mempool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) total: Load,
    /// The part that cannot run before a missing nonce arrives.
    pub(super) gapped: Load,
    pub(super) in_flight: usize,
}

impl Tally {
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            total: self.total.plus(other.total),
            gapped: self.gapped.plus(other.gapped),
            in_flight: self.in_flight.saturating_add(other.in_flight),
        }
    }

    pub(super) const fn minus(self, other: Self) -> Self {
        Self {
            total: self.total.minus(other.total),
            gapped: self.gapped.minus(other.gapped),
            in_flight: self.in_flight.saturating_sub(other.in_flight),
        }
    }
}

/// The transactions of one sender by nonce.
///
/// Every nonce from `account_nonce` to below `next_nonce` has an entry, `next_nonce` has none, and no entry is below
/// `account_nonce`.
#[derive(Clone, Debug)]
pub(super) struct SenderQueue {
    account_nonce: u64,
    next_nonce: u64,
    entries: BTreeMap<u64, Entry>,
    /// Nonces of the entries that are not in flight.
    queued: BTreeSet<u64>,
    total: Load,
    /// The entries below `next_nonce`.
    runnable: Load,
    /// Where the schedule has this sender.
    pub(super) turn: Turn,
    /// Number of the block at which gapped entries leave.
    pub(super) gap_deadline: Option<u64>,
}

impl SenderQueue {
    pub(super) const fn new(account_nonce: u64) -> Self {
        Self {
            account_nonce,
            next_nonce: account_nonce,
            entries: BTreeMap::new(),
            queued: BTreeSet::new(),
            total: Load {
                transactions: 0,
                bytes: 0,
            },
            runnable: Load {
                transactions: 0,
                bytes: 0,
            },
            turn: Turn::None,
            gap_deadline: None,
        }
    }

    pub(super) const fn account_nonce(&self) -> u64 {
        self.account_nonce
    }

    /// The first nonce, from the account's on, that has no entry.
    pub(super) const fn next_nonce(&self) -> u64 {
        self.next_nonce
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entry(&self, nonce: u64) -> Option<&Entry> {
        self.entries.get(&nonce)
    }

    pub(super) fn entry_mut(&mut self, nonce: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&nonce)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            total: self.total,
            gapped: self.total.minus(self.runnable),
            in_flight: self.entries.len().saturating_sub(self.queued.len()),
        }
    }

    /// Adds a queued entry at a nonce that is free and not below the account's.
    pub(super) fn insert(&mut self, nonce: u64, entry: Entry) {
        self.total = self.total.plus(Load::of(&entry.transaction));
        self.entries.insert(nonce, entry);
        self.queued.insert(nonce);
        self.extend();
    }

    /// Moves `next_nonce` over the entries that follow it.
    fn extend(&mut self) {
        for (nonce, entry) in self.entries.range(self.next_nonce..) {
            if *nonce != self.next_nonce {
                break;
            }
            self.next_nonce = self.next_nonce.saturating_add(1);
            self.runnable = self.runnable.plus(Load::of(&entry.transaction));
        }
    }

    fn next_queued_nonce(&self) -> Option<u64> {
        self.queued
            .first()
            .copied()
            .filter(|nonce| *nonce < self.next_nonce)
    }

    /// The entry whose turn it is: the lowest that is not in flight, if no nonce below is missing.
    pub(super) fn next(&self) -> Option<&Entry> {
        self.entries.get(&self.next_queued_nonce()?)
    }

    pub(super) fn next_mut(&mut self) -> Option<&mut Entry> {
        self.entries.get_mut(&self.next_queued_nonce()?)
    }

    /// Puts the entry whose turn it is in flight.
    pub(super) fn take_next(&mut self) -> Option<Arc<VerifiedTransaction>> {
        let nonce = self.next_queued_nonce()?;
        self.queued.remove(&nonce);
        self.entries
            .get(&nonce)
            .map(|entry| Arc::clone(&entry.transaction))
    }

    /// Puts one entry in flight, whatever lies below it.
    pub(super) fn put_in_flight(&mut self, nonce: u64) {
        self.queued.remove(&nonce);
    }

    /// Takes an entry out of flight.
    pub(super) fn requeue(&mut self, nonce: u64) {
        if self.entries.contains_key(&nonce) {
            self.queued.insert(nonce);
        }
    }

    /// Takes all entries out of flight.
    pub(super) fn requeue_all(&mut self) {
        self.queued.extend(self.entries.keys().copied());
    }

    /// Removes one entry. What lies above it cannot run any more.
    pub(super) fn remove(&mut self, nonce: u64) -> Option<Entry> {
        if nonce < self.next_nonce && self.entries.contains_key(&nonce) {
            for (_, entry) in self.entries.range(nonce..self.next_nonce) {
                self.runnable = self.runnable.minus(Load::of(&entry.transaction));
            }
            self.next_nonce = nonce;
        }
        let entry = self.entries.remove(&nonce)?;
        self.queued.remove(&nonce);
        self.total = self.total.minus(Load::of(&entry.transaction));
        Some(entry)
    }

    /// Raises the nonce of the account, if it is below `account_nonce`; returns the entries that this passes.
    pub(super) fn advance(&mut self, account_nonce: u64) -> Vec<Entry> {
        let mut passed = Vec::new();
        while let Some(first) = self.entries.first_entry() {
            let nonce = *first.key();
            if nonce >= account_nonce {
                break;
            }
            let entry = first.remove();
            let load = Load::of(&entry.transaction);
            self.queued.remove(&nonce);
            self.total = self.total.minus(load);
            if nonce < self.next_nonce {
                self.runnable = self.runnable.minus(load);
            }
            passed.push(entry);
        }
        self.account_nonce = self.account_nonce.max(account_nonce);
        self.next_nonce = self.next_nonce.max(account_nonce);
        self.extend();
        passed
    }

    /// The account's nonce is this now, higher or lower; returns the entries below it.
    pub(super) fn set_account_nonce(&mut self, account_nonce: u64) -> Vec<Entry> {
        if account_nonce < self.account_nonce {
            self.account_nonce = account_nonce;
            self.next_nonce = account_nonce;
            self.runnable = Load::default();
        }
        self.advance(account_nonce)
    }

    /// Removes the entries that are neither in flight nor able to run.
    pub(super) fn remove_gapped(&mut self) -> Vec<Entry> {
        let gapped: Vec<u64> = self.queued.range(self.next_nonce..).copied().collect();
        gapped
            .into_iter()
            .filter_map(|nonce| self.remove(nonce))
            .collect()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &Entry, bool)> {
        self.entries
            .iter()
            .map(|(nonce, entry)| (*nonce, entry, !self.queued.contains(nonce)))
    }
}
