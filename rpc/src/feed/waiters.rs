//! Callers that wait until a block executes their transaction: found by id, so that a block costs one look-up per
//! transaction, whatever the number of waiters.

use super::Feed;
use crate::dto::Hash;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;
use tokio::sync::watch;

/// Height of the block that executed the transaction, once there is one.
type CommitHeight = Option<u64>;

#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_transaction: Mutex<HashMap<Hash, Awaited>>,
}

#[derive(Debug, Default)]
struct Awaited {
    waiter_count: usize,
    height: watch::Sender<CommitHeight>,
}

impl Waiters {
    pub(super) fn register(&self, id: Hash) -> watch::Receiver<CommitHeight> {
        let mut waiters = self
            .by_transaction
            .lock()
            .expect("no holder of the waiters panics");
        let awaited = waiters.entry(id).or_default();
        awaited.waiter_count += 1;
        awaited.height.subscribe()
    }

    pub(super) fn announce(&self, transaction_ids: &[Hash], height: u64) {
        let waiters = self
            .by_transaction
            .lock()
            .expect("no holder of the waiters panics");
        if waiters.is_empty() {
            return;
        }
        for awaited in transaction_ids.iter().filter_map(|id| waiters.get(id)) {
            awaited.height.send_replace(Some(height));
        }
    }

    fn unregister(&self, id: Hash) {
        let mut waiters = self
            .by_transaction
            .lock()
            .expect("no holder of the waiters panics");
        if let Entry::Occupied(mut entry) = waiters.entry(id) {
            entry.get_mut().waiter_count -= 1;
            if entry.get().waiter_count == 0 {
                entry.remove();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_transaction
            .lock()
            .expect("no holder of the waiters panics")
            .is_empty()
    }
}

/// Waits for one transaction; forgotten when dropped.
#[derive(Debug)]
pub(crate) struct CommitWaiter {
    feed: Feed,
    id: Hash,
    receiver: watch::Receiver<CommitHeight>,
}

impl CommitWaiter {
    pub(super) const fn new(feed: Feed, id: Hash, receiver: watch::Receiver<CommitHeight>) -> Self {
        Self { feed, id, receiver }
    }

    /// Height of the block that executed the transaction.
    pub(crate) async fn committed(&mut self) -> u64 {
        let height = self.receiver.wait_for(Option::is_some).await;
        height
            .expect("the sender is removed by the last waiter only")
            .expect("the wait ends when there is a height")
    }
}

impl Drop for CommitWaiter {
    fn drop(&mut self) {
        self.feed.inner.waiters.unregister(self.id);
    }
}
