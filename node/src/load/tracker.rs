//! From submission to finality.

use super::latency_counts::LatencyCounts;
use super::patience::WhenDown;
use holdfast_rpc::dto::{BlockDetail, BlockSelector, Hash, NotificationBody, SubscriptionKind};
use holdfast_rpc::methods::{BlockParams, GetBlock, GetStatus, NoParams, SubscribeParams};
use holdfast_rpc::{Client, ClientConfig, ClientError, EventStream};
use std::collections::HashMap;
use std::fmt::Display;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Submitted transactions until they are irreversible. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    inner: Arc<Mutex<Inner>>,
    /// Told whenever fewer transactions are pending.
    fewer_pending: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    pending: HashMap<[u8; 32], Instant>,
    /// Sent, and the node has not said yet whether it takes them.
    unanswered: u64,
    submitted: u64,
    rejected: u64,
    frozen: u64,
    last_refusal: Option<String>,
    irreversible: u64,
    latencies: LatencyCounts,
    irreversible_ids: Vec<[u8; 32]>,
    first_irreversible: Option<Instant>,
    last_irreversible: Option<Instant>,
}

/// Finality in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    pub p50_ms: u64,
    pub p99_ms: u64,
    pub max_ms: u64,
}

/// What the tracker has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub submitted: u64,
    pub rejected: u64,
    /// Refused as the chain was frozen.
    pub frozen: u64,
    pub irreversible: u64,
    pub pending: u64,
}

impl Tracker {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction is about to be sent.
    pub fn sending(&self, id: [u8; 32], at: Instant) {
        let mut inner = self.lock();
        inner.pending.insert(id, at);
        inner.unanswered += 1;
    }

    /// The node has queued it.
    pub fn accepted(&self) {
        let mut inner = self.lock();
        inner.submitted += 1;
        inner.unanswered = inner.unanswered.saturating_sub(1);
        let is_last = inner.unanswered == 0;
        drop(inner);
        if is_last {
            self.fewer_pending.notify_waiters();
        }
    }

    /// The node has refused it.
    pub fn refused(&self, id: &[u8; 32], why: &impl Display) {
        let mut inner = self.lock();
        inner.pending.remove(id);
        inner.unanswered = inner.unanswered.saturating_sub(1);
        inner.rejected += 1;
        inner.last_refusal = Some(why.to_string());
        drop(inner);
        self.fewer_pending.notify_waiters();
    }

    /// The node has refused it, as the chain is frozen: it is sent again.
    pub fn frozen(&self, id: &[u8; 32]) {
        let mut inner = self.lock();
        inner.pending.remove(id);
        inner.unanswered = inner.unanswered.saturating_sub(1);
        inner.frozen += 1;
        drop(inner);
        self.fewer_pending.notify_waiters();
    }

    fn irreversible(&self, ids: &[Hash], at: Instant) {
        let mut inner = self.lock();
        for id in ids {
            if let Some(sent) = inner.pending.remove(id.as_bytes()) {
                inner.irreversible += 1;
                inner.irreversible_ids.push(*id.as_bytes());
                inner.latencies.add(at.saturating_duration_since(sent));
                inner.first_irreversible.get_or_insert(at);
                inner.last_irreversible = Some(at);
            }
        }
        drop(inner);
        self.fewer_pending.notify_waiters();
    }

    /// Waits until fewer than `limit` transactions are on their way.
    pub async fn fewer_pending_than(&self, limit: usize) {
        self.holds(|inner| inner.pending.len() < limit).await;
    }

    /// Waits until everything that was sent has its answer, and everything that was accepted is irreversible.
    pub async fn settled(&self) {
        self.holds(|inner| inner.pending.is_empty() && inner.unanswered == 0)
            .await;
    }

    async fn holds(&self, condition: impl Fn(&Inner) -> bool) {
        loop {
            let mut fewer = pin!(self.fewer_pending.notified());
            // From here on a notice is not missed, so the counts may be looked at.
            fewer.as_mut().enable();
            if condition(&self.lock()) {
                return;
            }
            fewer.await;
        }
    }

    /// Forgets the latencies and the span so far: what comes now is measured.
    pub fn start_measuring(&self) {
        let mut inner = self.lock();
        inner.latencies = LatencyCounts::default();
        inner.first_irreversible = None;
        inner.last_irreversible = None;
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        let inner = self.lock();
        Counts {
            submitted: inner.submitted,
            rejected: inner.rejected,
            frozen: inner.frozen,
            irreversible: inner.irreversible,
            pending: inner.pending.len() as u64,
        }
    }

    /// Why a transaction was refused, the last time that one was.
    #[must_use]
    pub fn last_refusal(&self) -> Option<String> {
        self.lock().last_refusal.clone()
    }

    /// Some of the transactions that are on their way.
    #[must_use]
    pub fn some_pending(&self, count: usize) -> Vec<[u8; 32]> {
        self.lock().pending.keys().take(count).copied().collect()
    }

    /// Ids of the transactions that became irreversible, in that order.
    #[must_use]
    pub fn irreversible_ids(&self) -> Vec<[u8; 32]> {
        self.lock().irreversible_ids.clone()
    }

    /// Time from the first to the last transaction that became irreversible.
    #[must_use]
    pub fn span(&self) -> Duration {
        let inner = self.lock();
        match (inner.first_irreversible, inner.last_irreversible) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        }
    }

    /// Latencies of all transactions since the measurement began.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        let inner = self.lock();
        Latencies {
            p50_ms: inner.latencies.percentile_ms(0.5),
            p99_ms: inner.latencies.percentile_ms(0.99),
            max_ms: inner.latencies.max_ms(),
        }
    }

    /// Follows the certified blocks of the node at `url` until cancelled: a block's transactions are irreversible when
    /// the node says that it is certified.
    pub async fn follow(
        self,
        url: String,
        when_down: WhenDown,
        stopping: CancellationToken,
    ) -> Result<(), ClientError> {
        let mut next_height = 1;
        loop {
            let ended = tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                ended = self.follow_stream(&url, &mut next_height) => ended,
            };
            if !when_down.reopens().await {
                return ended;
            }
        }
    }

    /// Follows from `next_height` on, until the stream ends.
    async fn follow_stream(&self, url: &str, next_height: &mut u64) -> Result<(), ClientError> {
        let config = ClientConfig::default();
        let client = Client::new(url, config.clone())?;
        let subscription = SubscribeParams {
            kind: SubscriptionKind::Finality,
            from: None,
            finality: None,
            account: None,
            transaction_id: None,
        };
        let mut stream = EventStream::open(url, subscription, config).await?;
        // What was certified before the stream began is not told by it.
        let status = client.call::<GetStatus>(NoParams {}).await?;
        let mut certified = status.certified.height.get();
        loop {
            let at = Instant::now();
            while *next_height <= certified {
                let block = client
                    .call::<GetBlock>(BlockParams {
                        block: BlockSelector::Height(*next_height),
                        detail: Some(BlockDetail::Ids),
                    })
                    .await?;
                if let Some(block) = block {
                    self.irreversible(&block.transaction_ids, at);
                }
                *next_height += 1;
            }
            let Some(notification) = stream.next().await else {
                return Ok(());
            };
            if let NotificationBody::Finality(finality) = notification?.body {
                certified = finality.certified.height.get();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let tracker = Tracker::default();
        let start = Instant::now();
        for number in 1..=100u8 {
            tracker.sending([number; 32], start);
            tracker.accepted();
            let at = start + Duration::from_millis(u64::from(number));
            tracker.irreversible(&[Hash::new([number; 32])], at);
        }
        assert_eq!(
            tracker.latencies(),
            Latencies {
                p50_ms: 50,
                p99_ms: 99,
                max_ms: 100
            }
        );
        assert_eq!(tracker.counts().pending, 0);
        assert_eq!(tracker.span(), Duration::from_millis(99));
    }

    #[test]
    fn a_measurement_starts_from_nothing() {
        let tracker = Tracker::default();
        let start = Instant::now();
        tracker.sending([1; 32], start);
        tracker.irreversible(&[Hash::new([1; 32])], start + Duration::from_secs(9));
        tracker.start_measuring();
        assert_eq!(tracker.latencies(), Latencies::default());
        assert_eq!(tracker.span(), Duration::ZERO);
        assert_eq!(tracker.counts().irreversible, 1);
    }

    #[tokio::test]
    async fn who_waits_for_room_goes_on_when_there_is_some() {
        let tracker = Tracker::default();
        for number in 1..=3 {
            tracker.sending([number; 32], Instant::now());
        }
        tracker.fewer_pending_than(4).await;
        let waiting = tokio::spawn({
            let tracker = tracker.clone();
            async move { tracker.fewer_pending_than(2).await }
        });
        tracker.refused(&[1; 32], &"full");
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        tracker.irreversible(&[Hash::new([2; 32])], Instant::now());
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_irreversible_before_its_answer_comes_is_not_settled() {
        let tracker = Tracker::default();
        tracker.sending([1; 32], Instant::now());
        tracker.irreversible(&[Hash::new([1; 32])], Instant::now());
        assert_eq!(tracker.counts().pending, 0);
        let settled = tracker.settled();
        tokio::pin!(settled);
        assert!(futures::poll!(&mut settled).is_pending());
        tracker.accepted();
        settled.await;
    }

    #[test]
    fn a_refused_transaction_is_not_waited_for() {
        let tracker = Tracker::default();
        tracker.sending([1; 32], Instant::now());
        tracker.refused(&[1; 32], &"full");
        assert_eq!(
            tracker.counts(),
            Counts {
                rejected: 1,
                ..Counts::default()
            }
        );
        assert_eq!(tracker.last_refusal().as_deref(), Some("full"));
        tracker.sending([2; 32], Instant::now());
        tracker.frozen(&[2; 32]);
        let counts = tracker.counts();
        assert_eq!((counts.rejected, counts.frozen, counts.pending), (1, 1, 0));
    }
}
