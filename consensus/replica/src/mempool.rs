//! The mempool: transactions that this node has accepted and that are not executed yet.
//!
//! Rules of this module:
//!
//! * M1. A function of its inputs: time, state and block times are told, nothing is read.
//! * M2. One transaction per (sender, nonce): the first that is admitted keeps the place.
//! * M3. A transaction is taken only when every lower nonce of its sender, from the account's on, is in flight. What lies
//!   above a missing nonce is *gapped*: it waits.
//! * M4. Senders are served in turn, one transaction each, in the order in which their turn came: a sender with a long
//!   queue delays others by one transaction. A transaction that comes back from flight has the place that it had.
//! * M5. A transaction of [`Origin::Foreign`] is left to the node that it came from until its time is up.
//! * M6. What was admitted leaves when it was executed, when its nonce was used by another, when it expired, or when it
//!   was gapped for `gap_lifetime_blocks` blocks without its gap having moved. There is no other way out. What was
//!   ordered too early, before a lower nonce, was not executed: it waits again.
//! * M7. Everything is bounded: transactions and bytes in all, transactions per sender, and gapped ones to half of
//!   each. So a missing nonce always finds room, and what cannot run never keeps out what can.
//!
//! No operation looks at more than it changes; only [`Mempool::requeue_all`] visits every sender.

mod reject;
mod schedule;
mod sender;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use holdfast_chain::ExecutedTransaction;
pub use reject::MempoolReject;

use holdfast_types::{AccountName, TimestampMs, TransactionId, VerifiedTransaction};
use schedule::Schedule;
use sender::{Entry, Load, SenderQueue, Tally};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many senders a [`Mempool::take`] passes over because their next transaction does not fit into what is left.
/// They keep their places.
const PASSED_OVER_MAX: usize = 32;

/// Limits of the mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MempoolConfig {
    /// Most transactions, those in flight included.
    pub transactions_max: usize,
    /// Most bytes of encoded transactions, those in flight included.
    pub bytes_max: usize,
    /// Most transactions of one sender, those in flight included.
    pub per_sender_max: usize,
    /// How far the nonce of an admitted transaction may lie above the next one that the sender can use.
    pub nonce_gap_max: u64,
    /// How many blocks a transaction waits for a missing nonce of its sender. Counted in blocks, so that nothing
    /// leaves while the chain stands still.
    pub gap_lifetime_blocks: u64,
    /// How long a transaction from another node is left to that node, in ms.
    pub foreign_delay_ms: u64,
}

/// Where a transaction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this node: taken as soon as it is its turn.
    Local,
    /// Another node, which may propose it itself: not taken before this time. [`Mempool::foreign`] makes it.
    Foreign { eligible_at_ms: u64 },
    /// It was admitted before: from the store after a restart, or from a block that was taken back. Only its nonce
    /// and its expiry can refuse it, not the limits or the gap; the caller brings back no more than it has.
    Returning,
}

/// What became of a transaction that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// It is here already.
    AlreadyKnown,
}

/// The queue of transactions of this node.
#[derive(Clone, Debug)]
pub struct Mempool {
    config: MempoolConfig,
    /// Only senders that have a transaction here.
    senders: BTreeMap<AccountName, SenderQueue>,
    places: BTreeMap<TransactionId, (AccountName, u64)>,
    schedule: Schedule,
    arrivals: BTreeMap<u64, TransactionId>,
    arrivals_next: u64,
    expiries: BTreeSet<(TimestampMs, TransactionId)>,
    /// Senders with gapped transactions by the block at which these leave.
    gap_deadlines: BTreeSet<(u64, AccountName)>,
    blocks: u64,
    block_timestamp: TimestampMs,
    tally: Tally,
}

impl Mempool {
    #[must_use]
    pub fn new(config: MempoolConfig) -> Self {
        Self {
            config,
            senders: BTreeMap::new(),
            places: BTreeMap::new(),
            schedule: Schedule::default(),
            arrivals: BTreeMap::new(),
            arrivals_next: 0,
            expiries: BTreeSet::new(),
            gap_deadlines: BTreeSet::new(),
            blocks: 0,
            block_timestamp: TimestampMs::ZERO,
            tally: Tally::default(),
        }
    }

    /// The origin of a transaction that another node sent at `now_ms`.
    #[must_use]
    pub const fn foreign(&self, now_ms: u64) -> Origin {
        Origin::Foreign {
            eligible_at_ms: now_ms.saturating_add(self.config.foreign_delay_ms),
        }
    }

    /// Admits a transaction.
    ///
    /// `account_nonce` is the nonce of the sender in the state, at least as new as the last block that
    /// [`Self::executed`] told of: with an older one the transaction would wait for a nonce that was used already.
    ///
    /// A known transaction that comes again, from somewhere that waits less, waits less from then on.
    pub fn insert(
        &mut self,
        transaction: Arc<VerifiedTransaction>,
        account_nonce: u64,
        origin: Origin,
    ) -> Result<Admission, MempoolReject> {
        let eligible_at_ms = match origin {
            Origin::Foreign { eligible_at_ms } => eligible_at_ms,
            Origin::Local | Origin::Returning => 0,
        };
        let id = transaction.id();
        if let Some((sender, nonce)) = self.places.get(&id).copied() {
            self.update(sender, |queue| {
                if let Some(entry) = queue.entry_mut(nonce) {
                    entry.eligible_at_ms = entry.eligible_at_ms.min(eligible_at_ms);
                }
            });
            return Ok(Admission::AlreadyKnown);
        }
        self.check(&transaction, account_nonce, origin)?;
        let body = transaction.body();
        let (sender, nonce) = (body.sender, body.nonce);
        if let Some(expires_at) = body.expires_at {
            self.expiries.insert((expires_at, id));
        }
        let arrival = self.arrivals_next;
        self.arrivals_next = arrival.saturating_add(1);
        self.arrivals.insert(arrival, id);
        self.places.insert(id, (sender, nonce));
        self.senders
            .entry(sender)
            .or_insert_with(|| SenderQueue::new(account_nonce));
        self.update(sender, |queue| {
            queue.insert(
                nonce,
                Entry {
                    transaction,
                    arrival,
                    eligible_at_ms,
                    ticket: None,
                },
            );
        });
        Ok(Admission::Admitted)
    }

    fn check(
        &self,
        transaction: &VerifiedTransaction,
        account_nonce: u64,
        origin: Origin,
    ) -> Result<(), MempoolReject> {
        let body = transaction.body();
        let nonce = body.nonce;
        let queue = self.senders.get(&body.sender);
        let lowest = queue.map_or(account_nonce, |queue| {
            queue.account_nonce().max(account_nonce)
        });
        let expected = queue.map_or(account_nonce, |queue| queue.next_nonce().max(account_nonce));
        if nonce < lowest {
            return Err(MempoolReject::NonceTooLow { nonce, expected });
        }
        if queue.is_some_and(|queue| queue.entry(nonce).is_some()) {
            return Err(MempoolReject::NonceTaken { nonce });
        }
        if let Some(expires_at) = body.expires_at
            && expires_at < self.block_timestamp
        {
            return Err(MempoolReject::Expired {
                expires_at,
                block_timestamp: self.block_timestamp,
            });
        }
        let gap = nonce.saturating_sub(expected);
        // The ledger has no next nonce after the last one, so it never executes that.
        if nonce == u64::MAX || (gap > self.config.nonce_gap_max && origin != Origin::Returning) {
            return Err(MempoolReject::NonceTooHigh {
                nonce,
                expected,
                gap_max: self.config.nonce_gap_max,
            });
        }
        if origin == Origin::Returning {
            return Ok(());
        }
        let here = queue.map_or_else(Tally::default, SenderQueue::tally);
        self.check_room(transaction, here, gap > 0, expected)
    }

    fn check_room(
        &self,
        transaction: &VerifiedTransaction,
        sender: Tally,
        gapped: bool,
        expected: u64,
    ) -> Result<(), MempoolReject> {
        let config = &self.config;
        if sender.total.transactions >= config.per_sender_max {
            return Err(MempoolReject::SenderFull {
                transactions: sender.total.transactions,
                transactions_max: config.per_sender_max,
            });
        }
        let load = Load::of(transaction);
        let total = self.tally.total.plus(load);
        if total.transactions > config.transactions_max || total.bytes > config.bytes_max {
            return Err(MempoolReject::Full {
                transactions: self.tally.total.transactions,
                transactions_max: config.transactions_max,
                bytes: self.tally.total.bytes,
                bytes_max: config.bytes_max,
            });
        }
        let of_all = self.tally.gapped.plus(load);
        let of_sender = sender.gapped.plus(load);
        if gapped
            && (of_all.transactions > config.transactions_max / 2
                || of_all.bytes > config.bytes_max / 2
                || of_sender.transactions > config.per_sender_max / 2)
        {
            return Err(MempoolReject::GapFull {
                nonce: transaction.body().nonce,
                expected,
            });
        }
        Ok(())
    }

    /// The next transactions for a vertex, in their order: at most `transactions_max`, together at most `bytes_max`
    /// encoded bytes. They are in flight until they are executed or put back.
    pub fn take(
        &mut self,
        now_ms: u64,
        transactions_max: usize,
        bytes_max: usize,
    ) -> Vec<Arc<VerifiedTransaction>> {
        self.schedule.advance_clock(now_ms);
        while let Some(name) = self.schedule.pop_due() {
            self.update(name, |_| ());
        }
        let mut taken = Vec::new();
        let mut room = bytes_max;
        let mut from_ticket = 0;
        let mut passed_over = 0_usize;
        let mut oversize = Vec::new();
        while taken.len() < transactions_max && passed_over < PASSED_OVER_MAX {
            let Some((ticket, name)) = self.schedule.first_from(from_ticket) else {
                break;
            };
            let bytes = self
                .senders
                .get(&name)
                .and_then(SenderQueue::next)
                .map_or(usize::MAX, |entry| entry.transaction.encoded_bytes());
            if bytes > room {
                from_ticket = ticket.saturating_add(1);
                passed_over = passed_over.saturating_add(1);
                if bytes > bytes_max {
                    oversize.push(name);
                }
                continue;
            }
            room = room.saturating_sub(bytes);
            taken.extend(self.update(name, SenderQueue::take_next).flatten());
        }
        // What no vertex of this size can hold must not stand before what fits.
        for name in oversize {
            if let Some(queue) = self.senders.get_mut(&name) {
                self.schedule.send_back(name, queue);
            }
        }
        taken
    }

    /// Whether [`Self::take`] at `now_ms` would find a transaction.
    #[must_use]
    pub fn has_ready(&self, now_ms: u64) -> bool {
        self.schedule.has_ready(now_ms)
    }

    /// When the next transaction that is left to another node may be taken here.
    #[must_use]
    pub fn next_eligible_ms(&self) -> Option<u64> {
        self.schedule.next_eligible_ms()
    }

    /// Puts transactions in flight back: their vertex will never be committed. Others and unknown ones are passed over.
    pub fn requeue(&mut self, ids: &[TransactionId]) {
        for id in ids {
            if let Some((sender, nonce)) = self.places.get(id).copied() {
                self.update(sender, |queue| queue.requeue(nonce));
            }
        }
    }

    /// Notes that an own vertex carries these transactions already: after a restart. Unknown ones are passed over.
    pub fn in_flight(&mut self, ids: &[TransactionId]) {
        for id in ids {
            if let Some((sender, nonce)) = self.places.get(id).copied() {
                self.update(sender, |queue| queue.put_in_flight(nonce));
            }
        }
    }

    /// The local transactions that have been here the longest, together at most `bytes_max` encoded bytes.
    pub fn oldest_local(&self, bytes_max: usize) -> Vec<&Arc<VerifiedTransaction>> {
        let mut room = bytes_max;
        let mut oldest = Vec::new();
        for id in self.arrivals.values() {
            let Some(entry) = self.entry(id).filter(|entry| entry.eligible_at_ms == 0) else {
                continue;
            };
            let Some(left) = room.checked_sub(entry.transaction.encoded_bytes()) else {
                break;
            };
            room = left;
            oldest.push(&entry.transaction);
        }
        oldest
    }

    /// Puts everything in flight back: the era ended.
    pub fn requeue_all(&mut self) {
        let in_flight: Vec<AccountName> = self
            .senders
            .iter()
            .filter(|(_, queue)| queue.tally().in_flight > 0)
            .map(|(name, _)| *name)
            .collect();
        for name in in_flight {
            self.update(name, SenderQueue::requeue_all);
        }
    }

    /// A block was executed: all its transactions in their order, whoever proposed them. Returns the ids that left
    /// the mempool: executed, dead because their nonce was used, expired, or gapped for too long.
    pub fn executed(
        &mut self,
        transactions: &[ExecutedTransaction],
        block_timestamp: TimestampMs,
    ) -> Vec<TransactionId> {
        let mut left = Vec::new();
        for transaction in transactions {
            if transaction.nonce_consumed {
                let account_nonce = transaction.nonce.saturating_add(1);
                let passed = self.update(transaction.sender, |queue| queue.advance(account_nonce));
                self.depart(passed.unwrap_or_default(), &mut left);
            } else if self.is_above_account(transaction) {
                // It was ordered before lower nonces, whose vertex was left behind: it can still run after them.
                self.requeue(&[transaction.id]);
            } else {
                self.remove(&transaction.id, &mut left);
            }
        }
        self.block_timestamp = block_timestamp;
        self.blocks = self.blocks.saturating_add(1);
        self.expire(&mut left);
        self.lapse_gaps(&mut left);
        left
    }

    fn is_above_account(&self, transaction: &ExecutedTransaction) -> bool {
        let queue = self.senders.get(&transaction.sender);
        queue.is_some_and(|queue| transaction.nonce > queue.account_nonce())
    }

    fn expire(&mut self, left: &mut Vec<TransactionId>) {
        while let Some((expires_at, id)) = self.expiries.first().copied() {
            if expires_at >= self.block_timestamp {
                break;
            }
            self.expiries.pop_first();
            self.remove(&id, left);
        }
    }

    fn lapse_gaps(&mut self, left: &mut Vec<TransactionId>) {
        while let Some((deadline, name)) = self.gap_deadlines.first().copied() {
            if deadline > self.blocks {
                break;
            }
            self.gap_deadlines.pop_first();
            let lapsed = self.update(name, |queue| {
                queue.gap_deadline = None;
                queue.remove_gapped()
            });
            self.depart(lapsed.unwrap_or_default(), left);
        }
    }

    /// The nonce of an account changed in another way than by executing a block: a block was taken back, or a
    /// snapshot replaced the state. Returns the ids that left because their nonce is used.
    pub fn account_nonce_changed(
        &mut self,
        sender: &AccountName,
        account_nonce: u64,
    ) -> Vec<TransactionId> {
        let mut left = Vec::new();
        let passed = self.update(*sender, |queue| queue.set_account_nonce(account_nonce));
        self.depart(passed.unwrap_or_default(), &mut left);
        left
    }

    /// Ids of all that waits, rising.
    pub fn ids(&self) -> impl Iterator<Item = &TransactionId> {
        self.places.keys()
    }

    #[must_use]
    pub fn contains(&self, id: &TransactionId) -> bool {
        self.places.contains_key(id)
    }

    #[must_use]
    pub fn get(&self, id: &TransactionId) -> Option<&Arc<VerifiedTransaction>> {
        self.entry(id).map(|entry| &entry.transaction)
    }

    fn entry(&self, id: &TransactionId) -> Option<&Entry> {
        let (sender, nonce) = self.places.get(id)?;
        self.senders.get(sender)?.entry(*nonce)
    }

    /// Number of transactions, those in flight included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tally.total.transactions
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encoded size of all transactions, those in flight included.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.tally.total.bytes
    }

    /// Number of transactions in flight.
    #[must_use]
    pub const fn in_flight_len(&self) -> usize {
        self.tally.in_flight
    }

    /// Number of transactions that cannot run before a missing nonce of their sender arrives.
    #[must_use]
    pub const fn gapped_len(&self) -> usize {
        self.tally.gapped.transactions
    }

    /// The transaction that has been here the longest.
    #[must_use]
    pub fn oldest(&self) -> Option<&Arc<VerifiedTransaction>> {
        let (_, id) = self.arrivals.first_key_value()?;
        self.get(id)
    }

    /// The nonce that a client should use next for this sender: the first that is neither used nor here. None if the
    /// sender has nothing here; then it is the nonce of the account.
    #[must_use]
    pub fn next_nonce(&self, sender: &AccountName) -> Option<u64> {
        self.senders.get(sender).map(SenderQueue::next_nonce)
    }

    fn remove(&mut self, id: &TransactionId, left: &mut Vec<TransactionId>) {
        if let Some((sender, nonce)) = self.places.get(id).copied() {
            let removed = self.update(sender, |queue| queue.remove(nonce)).flatten();
            self.depart(removed, left);
        }
    }

    /// Forgets entries that left their sender's queue.
    fn depart(&mut self, entries: impl IntoIterator<Item = Entry>, left: &mut Vec<TransactionId>) {
        for entry in entries {
            let id = entry.transaction.id();
            self.places.remove(&id);
            self.arrivals.remove(&entry.arrival);
            if let Some(expires_at) = entry.transaction.body().expires_at {
                self.expiries.remove(&(expires_at, id));
            }
            left.push(id);
        }
    }

    /// Changes the queue of a sender, and with it everything that is derived from it.
    fn update<R>(
        &mut self,
        name: AccountName,
        change: impl FnOnce(&mut SenderQueue) -> R,
    ) -> Option<R> {
        let queue = self.senders.get_mut(&name)?;
        let tally = queue.tally();
        let next_nonce = queue.next_nonce();
        let result = change(queue);
        self.tally = self.tally.minus(tally).plus(queue.tally());
        self.schedule.place(name, queue);
        let moved = queue.next_nonce() != next_nonce;
        let gapped = queue.tally().gapped.transactions > 0;
        if let Some(deadline) = queue.gap_deadline
            && (moved || !gapped)
        {
            self.gap_deadlines.remove(&(deadline, name));
            queue.gap_deadline = None;
        }
        if gapped && queue.gap_deadline.is_none() {
            let lifetime = self.config.gap_lifetime_blocks.max(1);
            let deadline = self.blocks.saturating_add(lifetime);
            self.gap_deadlines.insert((deadline, name));
            queue.gap_deadline = Some(deadline);
        }
        if queue.is_empty() {
            self.senders.remove(&name);
        }
        Some(result)
    }
}
