//! What all connections share.

use crate::backend::Backend;
use crate::codes::{ErrorCode, Fault};
use crate::config::RpcConfig;
use crate::feed::Feed;
use crate::methods::MethodTable;
use crate::metrics::Metrics;
use crate::server::{MemoryBudget, RateLimiter};
use crate::subscriptions::ReceiptCache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// What all connections share.
pub(crate) struct ServerState {
    pub(crate) config: RpcConfig,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) metrics: Metrics,
    pub(crate) methods: MethodTable,
    pub(crate) receipts: ReceiptCache,
    pub(crate) memory: MemoryBudget,
    pub(crate) rate_limiter: Option<RateLimiter>,
    /// One permit per call in flight.
    pub(crate) calls: Semaphore,
    /// One permit per query on a blocking thread.
    queries: Arc<Semaphore>,
    last_subscription: AtomicU64,
}

impl ServerState {
    pub(crate) fn new(config: RpcConfig, backend: Arc<dyn Backend>, metrics: Metrics) -> Self {
        Self {
            memory: MemoryBudget::new(config.buffers_max_bytes),
            rate_limiter: config.rate_limit.map(RateLimiter::new),
            calls: Semaphore::new(config.calls_in_flight_max.min(Semaphore::MAX_PERMITS)),
            queries: Arc::new(Semaphore::new(
                config.query_threads_max.min(Semaphore::MAX_PERMITS),
            )),
            methods: MethodTable::new().0,
            receipts: ReceiptCache::default(),
            last_subscription: AtomicU64::new(0),
            config,
            backend,
            metrics,
        }
    }

    pub(crate) fn feed(&self) -> &Feed {
        self.backend.feed()
    }

    /// Runs a query that may read the disk. Only a few run at once, so that clients cannot take the disk and the
    /// processors away from consensus; the rest wait here.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Backend) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let permit = Arc::clone(&self.queries)
            .acquire_owned()
            .await
            .expect("this semaphore is never closed");
        let backend = Arc::clone(&self.backend);
        let task = tokio::task::spawn_blocking(move || {
            let answer = ask(&*backend);
            // Held by the query itself: it runs on when its caller has gone.
            drop(permit);
            answer
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a query panicked");
            Err(Fault::new(
                ErrorCode::InternalError,
                "the node failed to answer; see its log",
            ))
        })
    }

    /// An id for a subscription, unique in this run.
    pub(crate) fn next_subscription_id(&self) -> String {
        (self.last_subscription.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    }
}

impl std::fmt::Debug for ServerState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ServerState")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
