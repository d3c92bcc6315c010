//! The validator guard at work: looks at the chain now and then, and hands its transaction in as a client would.

use super::board::Board;
use super::core_thread;
use super::verification::{Job, JobQueue, Submit, SubmitError, Urgency};
use crate::clock;
use crate::failure::Failure;
use crate::runtime::failures;
use holdfast_ledger::StateError;
use holdfast_replica::validator_guard::{FAREWELL_MS, GuardRest, GuardView, ValidatorGuard};
use holdfast_storage::Storage;
use holdfast_types::{KeyPair, TransactionId, codec};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How often the guard looks: not less often than a slot of an emergency comes.
const LOOK: Duration = Duration::from_secs(1);
/// How often a farewell looks whether a block has executed it.
const FAREWELL_LOOK: Duration = Duration::from_millis(50);

/// Asks the guard to take the key off the chain.
#[derive(Debug)]
pub struct Farewell(oneshot::Sender<Done>);

/// Dropped when the guard has done it, or has given up.
type Done = oneshot::Sender<()>;

impl Farewell {
    /// With where the guard hears of it. Nothing is asked by dropping it.
    pub(super) fn new() -> (Self, oneshot::Receiver<Done>) {
        let (ask, asked) = oneshot::channel();
        (Self(ask), asked)
    }

    /// Returns when the key is off the chain, or the guard has waited long enough.
    pub async fn say(self) {
        let (done, is_done) = oneshot::channel();
        if self.0.send(done).is_ok() {
            // Its end is the answer.
            let _dropped = is_done.await;
        }
    }
}

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
    /// Where a [`Farewell`] arrives.
    pub farewells: oneshot::Receiver<Done>,
}

impl KeyKeeper {
    /// Runs until the node stops.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut last = None;
        let stopping = self.stopping.clone();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                Ok(done) = &mut self.farewells, if !self.farewells.is_terminated() => {
                    self.leave().await?;
                    drop(done);
                    stopping.cancelled().await;
                    return Ok(());
                }
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

    /// Takes the key off the chain, and waits until a block has done so, for a while (VG7).
    async fn leave(&self) -> Result<(), Failure> {
        let view = self.view().map_err(|error| failures::of_state(&error))?;
        let wall = clock::wall();
        let Some(transaction) = self.guard.farewell(wall, &view, self.owner.as_ref()) else {
            tracing::info!("there is no signing key of this validator to take off the chain");
            return Ok(());
        };
        tracing::info!("taking the signing key of this validator off the chain before stopping");
        if let Err(error) = self.submit(codec::encode(&transaction)).await {
            tracing::warn!(%error, "the signing key of this validator stays on the chain");
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_millis(FAREWELL_MS);
        while Instant::now() < deadline {
            let view = self.view().map_err(|error| failures::of_state(&error))?;
            if view.validator.is_none_or(|one| one.signing_key.is_none()) {
                tracing::info!("the signing key of this validator is off the chain");
                return Ok(());
            }
            tokio::time::sleep(FAREWELL_LOOK).await;
        }
        tracing::warn!(
            "no block has taken the signing key of this validator off the chain in time"
        );
        Ok(())
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
        match self.submit(encoded).await {
            Ok(id) => tracing::warn!(
                transaction = %id,
                "VALIDATOR GUARD: the chain has no signing key of this validator; a transaction gives it back"
            ),
            Err(SubmitError::Stopping) => {}
            Err(error) => tracing::warn!(%error, "the validator guard's transaction was refused"),
        }
    }

    async fn submit(&self, encoded: Vec<u8>) -> Result<TransactionId, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Submit(Submit { encoded, reply });
        if self.jobs.offer(Urgency::Transactions, job).is_err() {
            return Err(SubmitError::Stopping);
        }
        answer.await.unwrap_or(Err(SubmitError::Stopping))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::fixture::genesis;

    #[test]
    fn the_guard_looks_in_every_slot() {
        // The shortest slots are those of a devnet.
        let interval = genesis().parameters().emergency.block_interval_ms;
        assert!(LOOK <= Duration::from_millis(interval));
    }

    #[tokio::test]
    async fn a_farewell_ends_when_it_is_done_or_nobody_hears_it() {
        let (farewell, mut heard) = Farewell::new();
        let said = tokio::spawn(farewell.say());
        let done = (&mut heard).await.unwrap();
        assert!(!said.is_finished());
        drop(done);
        said.await.unwrap();
        let (farewell, heard) = Farewell::new();
        drop(heard);
        farewell.say().await;
    }
}
