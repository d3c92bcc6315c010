//! The event feed: what the node announces, kept for a while in a ring, read by subscribers at their own pace.
//!
//! Publishing never waits for a reader: a reader that falls behind the ring learns of the gap. Subscribers pull, so a
//! slow client holds nothing but its position.

mod waiters;

use crate::dto::{
    BlockSummary, Cursor, FinalityNotification, HaltNotification, Hash, LockdownStatus,
    SubscriptionKind,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::watch;
pub(crate) use waiters::CommitWaiter;
use waiters::Waiters;

/// Something that happened on the chain. Publish it after the queries of the backend can see it.
#[derive(Clone, Debug)]
pub enum ChainEvent {
    /// A block was executed.
    Block(Box<BlockSummary>),
    /// The receipts of that block can be read. Published once per block, after its [`Self::Block`], also when the
    /// block has no transactions.
    Receipts {
        /// Height of the block.
        height: u64,
        /// Id of the block.
        block_id: Hash,
        /// Its transactions in order; their receipts are asked of the backend when somebody wants them.
        transaction_ids: Vec<Hash>,
    },
    /// The certified block or LIB has advanced.
    Finality(FinalityNotification),
    /// What is known of halts has changed.
    Halts(Box<HaltNotification>),
    /// What is known of the lockdown has changed.
    Lockdown(Box<LockdownStatus>),
}

/// How much the feed keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    /// Most events.
    pub events_max: usize,
    /// Most transaction ids in all [`ChainEvent::Receipts`] together, at 32 bytes each.
    pub transaction_ids_max: usize,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self {
            events_max: 4096,
            transaction_ids_max: 200_000,
        }
    }
}

/// The event feed. Clones share it.
#[derive(Clone, Debug)]
pub struct Feed {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    run: u64,
    limits: FeedLimits,
    ring: Mutex<Ring>,
    /// Sequence of the newest event; readers wait for it to change.
    newest: watch::Sender<u64>,
    /// Height of the newest certified block.
    certified_height: watch::Sender<u64>,
    /// Height up to which blocks are irreversible, if need be provisionally.
    provisional_height: watch::Sender<u64>,
    waiters: Waiters,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Arc<Entry>>,
    /// Sequence of the newest event ever published; 0 before the first.
    newest: u64,
    transaction_ids: usize,
    /// Sequence of the newest event of each kind that was evicted.
    evicted_through: [u64; SubscriptionKind::NAMES.len()],
}

/// An event in the ring.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) event: ChainEvent,
    /// The event as JSON, made when the first subscriber needs it.
    json: OnceLock<Box<str>>,
}

/// What a reader of one kind of events gets: all events from its position on, after those that it lost.
#[derive(Debug)]
pub(crate) struct FeedRead {
    /// Sequence of the last event that is gone, if any of the reader's kind is among those lost.
    pub(crate) lost_through: Option<u64>,
    /// Height of the oldest block that the ring still tells the reader about.
    pub(crate) first_height: Option<u64>,
    pub(crate) entries: Vec<Arc<Entry>>,
}

impl Feed {
    /// An empty feed. `run` tells this run of this node from every other, so that a cursor of another one is
    /// recognised: the start time in microseconds xor a random number will do.
    #[must_use]
    pub fn new(run: u64, limits: FeedLimits) -> Self {
        Self {
            inner: Arc::new(Inner {
                run,
                limits,
                ring: Mutex::default(),
                newest: watch::Sender::new(0),
                certified_height: watch::Sender::new(0),
                provisional_height: watch::Sender::new(0),
                waiters: Waiters::default(),
            }),
        }
    }

    /// Appends an event and wakes the readers. Never blocks on them.
    pub fn publish(&self, event: ChainEvent) {
        let inner = &*self.inner;
        match &event {
            ChainEvent::Finality(finality) => {
                let height = finality.certified.height.get();
                let provisional = finality.is_provisional.then(|| finality.lib.height.get());
                // It falls when a certificate takes an emergency back.
                let provisional_height = provisional.unwrap_or_default().max(height);
                inner.provisional_height.send_replace(provisional_height);
                inner.certified_height.send_if_modified(|current| {
                    let advances = height > *current;
                    *current = height.max(*current);
                    advances
                });
            }
            ChainEvent::Receipts {
                height,
                transaction_ids,
                ..
            } => {
                inner.waiters.announce(transaction_ids, *height);
            }
            ChainEvent::Block(_) | ChainEvent::Halts(_) | ChainEvent::Lockdown(_) => {}
        }
        let mut ring = inner.ring.lock().expect("no holder of the ring panics");
        let newest = ring.push(event, inner.limits);
        // Under the lock, so that two publishers cannot announce their sequences in the wrong order.
        inner.newest.send_replace(newest);
    }

    /// Tells the feed which block is certified when the node starts, before anything is published.
    pub fn set_certified_height(&self, height: u64) {
        self.inner.provisional_height.send_replace(height);
        self.inner.certified_height.send_replace(height);
    }

    pub(crate) fn cursor(&self, sequence: u64) -> Cursor {
        Cursor {
            run: self.inner.run,
            sequence,
        }
    }

    /// Sequence of the newest event; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        *self.inner.newest.borrow()
    }

    pub(crate) fn watch_newest(&self) -> watch::Receiver<u64> {
        self.inner.newest.subscribe()
    }

    pub(crate) fn certified_height(&self) -> u64 {
        *self.inner.certified_height.borrow()
    }

    /// Height up to which blocks are irreversible, if need be provisionally.
    pub(crate) fn provisional_height(&self) -> u64 {
        *self.inner.provisional_height.borrow()
    }

    /// Ready when the block at `height` is irreversible, if need be provisionally.
    pub(crate) async fn irreversible(&self, height: u64) {
        let mut receiver = self.inner.provisional_height.subscribe();
        let result = receiver.wait_for(|reached| *reached >= height).await;
        result.expect("the feed outlives its callers, so the sender is alive");
    }

    /// Watches for a block that executes this transaction. Blocks published before are not seen.
    pub(crate) fn watch_transaction(&self, id: Hash) -> CommitWaiter {
        let receiver = self.inner.waiters.register(id);
        CommitWaiter::new(self.clone(), id, receiver)
    }

    /// At most `entries_max` events after `position`, for a reader that wants events of one kind.
    pub(crate) fn read_after(
        &self,
        position: u64,
        kind: SubscriptionKind,
        entries_max: usize,
    ) -> FeedRead {
        let ring = self
            .inner
            .ring
            .lock()
            .expect("no holder of the ring panics");
        let first_kept = ring
            .entries
            .front()
            .map_or(ring.newest + 1, |entry| entry.sequence);
        let lost = position < ring.evicted_through[kind as usize];
        let skip = usize::try_from((position + 1).saturating_sub(first_kept)).unwrap_or(usize::MAX);
        FeedRead {
            lost_through: lost.then(|| first_kept - 1),
            first_height: ring.first_height(kind),
            entries: ring
                .entries
                .iter()
                .skip(skip)
                .take(entries_max)
                .cloned()
                .collect(),
        }
    }
}

impl Ring {
    fn push(&mut self, event: ChainEvent, limits: FeedLimits) -> u64 {
        self.newest += 1;
        self.transaction_ids += event.transaction_count();
        self.entries.push_back(Arc::new(Entry {
            sequence: self.newest,
            event,
            json: OnceLock::new(),
        }));
        // The newest event stays, whatever its size.
        while self.entries.len() > 1
            && (self.entries.len() > limits.events_max
                || self.transaction_ids > limits.transaction_ids_max)
        {
            let evicted = self
                .entries
                .pop_front()
                .expect("the loop runs while entries are left");
            self.transaction_ids -= evicted.event.transaction_count();
            self.evicted_through[evicted.event.kind() as usize] = evicted.sequence;
        }
        self.newest
    }

    fn first_height(&self, kind: SubscriptionKind) -> Option<u64> {
        self.entries
            .iter()
            .find_map(|entry| match (&entry.event, kind) {
                (ChainEvent::Receipts { height, .. }, SubscriptionKind::Receipts) => Some(*height),
                (
                    ChainEvent::Block(block),
                    SubscriptionKind::Blocks
                    | SubscriptionKind::Finality
                    | SubscriptionKind::Halts
                    | SubscriptionKind::Lockdown,
                ) => Some(block.header.height.get()),
                _ => None,
            })
    }
}

impl ChainEvent {
    const fn kind(&self) -> SubscriptionKind {
        match self {
            Self::Block(_) => SubscriptionKind::Blocks,
            Self::Receipts { .. } => SubscriptionKind::Receipts,
            Self::Finality(_) => SubscriptionKind::Finality,
            Self::Halts(_) => SubscriptionKind::Halts,
            Self::Lockdown(_) => SubscriptionKind::Lockdown,
        }
    }

    fn transaction_count(&self) -> usize {
        match self {
            Self::Receipts {
                transaction_ids, ..
            } => transaction_ids.len(),
            Self::Block(_) | Self::Finality(_) | Self::Halts(_) | Self::Lockdown(_) => 0,
        }
    }
}

impl Entry {
    /// `"block":{…}`, `"finality":{…}`, `"halts":{…}` or `"lockdown":{…}`; made once for all subscribers.
    pub(crate) fn json(&self) -> Option<&str> {
        let make = |name: &str, json: serde_json::Result<String>| {
            format!(
                "\"{name}\":{}",
                json.expect("these shapes always serialize")
            )
            .into_boxed_str()
        };
        match &self.event {
            ChainEvent::Block(block) => Some(
                self.json
                    .get_or_init(|| make("block", serde_json::to_string(block))),
            ),
            ChainEvent::Finality(finality) => Some(
                self.json
                    .get_or_init(|| make("finality", serde_json::to_string(finality))),
            ),
            ChainEvent::Halts(halts) => Some(
                self.json
                    .get_or_init(|| make("halts", serde_json::to_string(halts))),
            ),
            ChainEvent::Lockdown(lockdown) => Some(
                self.json
                    .get_or_init(|| make("lockdown", serde_json::to_string(lockdown))),
            ),
            ChainEvent::Receipts { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dto::{BlockRef, Number};

    fn receipts(height: u64, transactions: usize) -> ChainEvent {
        let transaction_ids = (0..transactions)
            .map(|n| Hash::new([n as u8; 32]))
            .collect();
        ChainEvent::Receipts {
            height,
            block_id: Hash::new([0; 32]),
            transaction_ids,
        }
    }

    fn finality(height: u64) -> ChainEvent {
        let block = BlockRef {
            height: Number(height),
            id: Hash::new([0; 32]),
        };
        ChainEvent::Finality(FinalityNotification {
            certified: block,
            lib: block,
            is_provisional: false,
        })
    }

    fn sequences(read: &FeedRead) -> Vec<u64> {
        read.entries.iter().map(|entry| entry.sequence).collect()
    }

    #[test]
    fn a_reader_that_keeps_up_loses_nothing() {
        let feed = Feed::new(1, FeedLimits::default());
        assert_eq!(feed.newest(), 0);
        let read = feed.read_after(0, SubscriptionKind::Receipts, 10);
        assert_eq!((read.lost_through, sequences(&read)), (None, vec![]));
        for height in 1..=3 {
            feed.publish(receipts(height, 1));
        }
        let read = feed.read_after(0, SubscriptionKind::Receipts, 2);
        assert_eq!((read.lost_through, sequences(&read)), (None, vec![1, 2]));
        let read = feed.read_after(2, SubscriptionKind::Receipts, 2);
        assert_eq!((read.lost_through, sequences(&read)), (None, vec![3]));
    }

    #[test]
    fn the_ring_is_bounded_by_events_and_by_transactions() {
        let feed = Feed::new(
            1,
            FeedLimits {
                events_max: 3,
                transaction_ids_max: 10,
            },
        );
        for height in 1..=5 {
            feed.publish(receipts(height, 1));
        }
        let read = feed.read_after(1, SubscriptionKind::Receipts, 10);
        assert_eq!(
            (read.lost_through, sequences(&read)),
            (Some(2), vec![3, 4, 5])
        );
        assert_eq!(read.first_height, Some(3));
        let read = feed.read_after(1, SubscriptionKind::Blocks, 10);
        assert_eq!(
            (read.lost_through, read.first_height),
            (None, None),
            "no block was lost"
        );
        feed.publish(receipts(6, 9));
        let read = feed.read_after(5, SubscriptionKind::Receipts, 10);
        assert_eq!((read.lost_through, sequences(&read)), (None, vec![6]));
        assert_eq!(
            feed.read_after(3, SubscriptionKind::Receipts, 10)
                .lost_through,
            Some(4)
        );
        feed.publish(receipts(7, 100));
        let read = feed.read_after(0, SubscriptionKind::Receipts, 10);
        assert_eq!((read.lost_through, sequences(&read)), (Some(6), vec![7]));
    }

    #[tokio::test]
    async fn waiters_learn_of_commit_and_certificate() {
        let feed = Feed::new(1, FeedLimits::default());
        let mut waiter = feed.watch_transaction(Hash::new([0; 32]));
        let mut twin = feed.watch_transaction(Hash::new([0; 32]));
        feed.publish(receipts(4, 0));
        feed.publish(receipts(5, 1));
        assert_eq!((waiter.committed().await, twin.committed().await), (5, 5));
        drop((waiter, twin));
        assert!(feed.inner.waiters.is_empty());
        let irreversible = feed.irreversible(5);
        tokio::pin!(irreversible);
        assert!(futures::poll!(&mut irreversible).is_pending());
        feed.publish(finality(4));
        assert!(futures::poll!(&mut irreversible).is_pending());
        feed.publish(finality(9));
        irreversible.await;
        feed.publish(finality(8));
        assert_eq!(feed.certified_height(), 9);
        let ChainEvent::Finality(mut provisional) = finality(9) else {
            unreachable!("that is what it makes");
        };
        provisional.lib.height = Number(12);
        provisional.is_provisional = true;
        feed.publish(ChainEvent::Finality(provisional));
        feed.irreversible(12).await;
    }
}
