//! The validator guard at work: looks at the chain now and then, and hands its transaction in as a client would.

use super::board::Board;
use super::core_thread;
use super::verification::{Job, JobQueue, Submit, Urgency};
use crate::clock;
use crate::failure::Failure;
use crate::runtime::failures;
use holdfast_ledger::StateError;
use holdfast_replica::validator_guard::{GuardRest, GuardView, ValidatorGuard};
use holdfast_storage::Storage;
use holdfast_types::{KeyPair, codec};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How often the guard looks.
const LOOK: Duration = Duration::from_secs(1);

/// The parts of the guard's task.
#[derive(Debug)]
pub(super) struct KeyKeeper {
    pub guard: ValidatorGuard,
    /// The key of the account.
    pub owner: Arc<KeyPair>,
    pub storage: Arc<Storage>,
    pub board: Board,
    pub jobs: Arc<JobQueue<Job>>,
    pub stopping: CancellationToken,
    /// Origin of the monotonic clock.
    pub started: Instant,
}

impl KeyKeeper {
    /// Runs until the node stops.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut last = None;
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            let view = self.view().map_err(|error| failures::of_state(&error))?;
            let now = core_thread::now(self.started);
            let looked = self
                .guard
                .look(now.monotonic_ms, now.wall, &view, self.owner.as_ref());
            let rest = match looked {
                Ok(transaction) => {
                    self.hand_in(codec::encode(&transaction)).await;
                    None
                }
                Err(rest) => Some(rest),
            };
            if rest != last {
                tell(rest);
                last = rest;
            }
        }
    }

    fn view(&self) -> Result<GuardView, StateError> {
        let is_behind = self.board.read().sync_target.is_some();
        let account = self.guard.config().account;
        GuardView::of(
            self.storage.as_ref(),
            &account,
            clock::wall(),
            is_behind,
            None,
        )
    }

    async fn hand_in(&self, encoded: Vec<u8>) {
        let (reply, answer) = oneshot::channel();
        let job = Job::Submit(Submit { encoded, reply });
        if self.jobs.offer(Urgency::Transactions, job).is_err() {
            return;
        }
        match answer.await {
            Ok(Ok(id)) => tracing::warn!(
                transaction = %id,
                "VALIDATOR GUARD: the chain has no signing key of this validator; a transaction gives it back"
            ),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the validator guard's transaction was refused")
            }
            Err(_) => {}
        }
    }
}

fn tell(rest: Option<GuardRest>) {
    match rest {
        Some(GuardRest::KeyIsThere) => {
            tracing::info!("the validator's signing key is on the chain");
        }
        Some(
            rest @ (GuardRest::NotRegistered
            | GuardRest::Behind
            | GuardRest::LongFork
            | GuardRest::OwnBlocksOnly),
        ) => {
            tracing::warn!(
                reason = rest.name(),
                "the chain has no signing key of this validator, and the guard waits"
            );
        }
        Some(GuardRest::InFlight) | None => {}
    }
}
