//! The parts of a running node stop together or not at all.
//!
//! Each long-running part, thread or task, is spawned here under a name. A part that panics, fails, or ends though
//! nobody asked it to, stops the node with that as the recorded reason: there is no node that half runs. The first
//! reason counts; what follows from it does not overwrite it.
//!
//! Waiting happens on an ordinary thread and a condition variable, so it works even when every thread of the async
//! runtime is stuck.

use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::panic_hook;
use futures::FutureExt as _;
use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The node ends this long after it was asked to, whatever its parts do.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Why a node stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked it to.
    Asked {
        /// Who: "SIGTERM", "the admin listener".
        by: String,
    },
    /// It cannot or must not go on.
    Failed(Failure),
}

/// A handle to the supervisor; clones are the same supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
    stopping: CancellationToken,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reason: Option<StopReason>,
    running: BTreeMap<u64, String>,
    next_part: u64,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            shared: Arc::default(),
            stopping: CancellationToken::new(),
        }
    }
}

/// A part that fails lets go of its channels before it says why, and parts that live on these then end in peace. For so
/// long they wait for the reason, so that it is the first one recorded.
const REASON_GRACE: Duration = Duration::from_secs(1);

impl Supervisor {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled once the node stops: each part watches it and ends soon after.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Asks all parts to end. Only the first reason is kept.
    pub fn stop(&self, reason: StopReason) {
        let mut state = self.lock();
        if state.reason.is_none() {
            match &reason {
                StopReason::Asked { by } => tracing::info!(by, "stopping"),
                StopReason::Failed(failure) => {
                    tracing::error!(
                        exit_code = failure.code.number(),
                        why = failure.why,
                        next_step = failure.next_step,
                        "stopping: {}",
                        failure.what
                    );
                }
            }
            state.reason = Some(reason);
        }
        drop(state);
        self.stopping.cancel();
        self.shared.changed.notify_all();
    }

    /// Runs `body` on a thread of its own.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn spawn_thread<F>(&self, name: &str, body: F) -> io::Result<()>
    where
        F: FnOnce() -> Result<(), Failure> + Send + 'static,
    {
        let part = self.enter(name);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = std::panic::catch_unwind(AssertUnwindSafe(body));
                if matches!(result, Ok(Ok(()))) {
                    // Whether it stops decides below.
                    let _stops = part.supervisor.stops_within(REASON_GRACE);
                }
                part.ended(result);
            })
            .map(drop)
    }

    /// Runs `future` as a task of the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_task<F>(&self, name: &str, future: F)
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let part = self.enter(name);
        tokio::spawn(async move {
            let result = AssertUnwindSafe(future).catch_unwind().await;
            if matches!(result, Ok(Ok(()))) {
                // Whether it stops decides below.
                let stopping = part.supervisor.stopping();
                let _stops = tokio::time::timeout(REASON_GRACE, stopping.cancelled()).await;
            }
            part.ended(result);
        });
    }

    /// Blocks until somebody or something stops the node. Not for async code.
    #[must_use]
    pub fn wait(&self) -> StopReason {
        let mut state = self.lock();
        loop {
            if let Some(reason) = &state.reason {
                return reason.clone();
            }
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks until the node stops, at most `limit`; says whether it stops. Not for async code.
    #[must_use]
    pub fn stops_within(&self, limit: Duration) -> bool {
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(self.lock(), limit, |state| state.reason.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.reason.is_some()
    }

    /// Blocks until every part has ended, at most `limit`; returns the names of those that have not. Not for async
    /// code.
    #[must_use]
    pub fn drain(&self, limit: Duration) -> Vec<String> {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while !state.running.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.running.values().cloned().collect()
    }

    /// Waits for the stop, drains for at most [`DRAIN_LIMIT`], and says how the process ends. Not for async code.
    ///
    /// # Errors
    /// The failure that stopped the node. Parts that do not end in time are logged; they do not change the outcome,
    /// since everything that must last is on disk before it is acted upon.
    pub fn run_to_end(&self) -> Result<(), Failure> {
        let reason = self.wait();
        let started = Instant::now();
        let left = self.drain(DRAIN_LIMIT);
        if left.is_empty() {
            tracing::info!(elapsed_ms = started.elapsed().as_millis() as u64, "stopped");
        } else {
            tracing::error!(
                parts = left.join(", "),
                "stopped without waiting for parts that hang"
            );
        }
        match reason {
            StopReason::Asked { .. } => Ok(()),
            StopReason::Failed(failure) => Err(failure),
        }
    }

    fn enter(&self, name: &str) -> Part {
        let mut state = self.lock();
        let id = state.next_part;
        state.next_part += 1;
        state.running.insert(id, name.to_owned());
        Part {
            supervisor: self.clone(),
            id,
            name: name.to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock; if one ever does, the state is still good.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One running part; leaves the list when dropped, however it ends.
struct Part {
    supervisor: Supervisor,
    id: u64,
    name: String,
}

impl Part {
    fn ended(&self, result: Result<Result<(), Failure>, Box<dyn Any + Send>>) {
        let stopping = self.supervisor.stopping.is_cancelled();
        let failure = match result {
            Ok(Ok(())) if stopping => return,
            Ok(Ok(())) => self.internal(format!(
                "{} ended though the node was not stopping",
                self.name
            )),
            Ok(Err(failure)) => failure,
            Err(payload) => {
                let said = panic_hook::take_last().unwrap_or_else(|| message_of(payload.as_ref()));
                self.internal(format!("{} panicked: {said}", self.name))
            }
        };
        self.supervisor.stop(StopReason::Failed(failure));
    }

    fn internal(&self, why: String) -> Failure {
        Failure::new(
            ExitCode::Internal,
            "a part of the node broke down, so the node stopped itself",
            why,
            format!(
                "look at the log and at {} in the home folder; restarting is safe; report this as a bug",
                panic_hook::FILE_NAME
            ),
        )
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.supervisor.lock().running.remove(&self.id);
        // A task whose runtime goes away is dropped without having ended: that, too, ends the node.
        if !self.supervisor.stopping.is_cancelled() {
            let why = format!("{} was dropped though the node was not stopping", self.name);
            self.supervisor.stop(StopReason::Failed(self.internal(why)));
        }
        self.supervisor.shared.changed.notify_all();
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a value that is not text")
        .to_owned()
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
