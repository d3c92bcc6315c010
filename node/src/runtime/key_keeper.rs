//! The validator guard at work: looks at the chain now and then, and hands its transaction in as a client would.

use super::board::Board;
use super::core_thread;
use super::verification::{Job, JobQueue, Submit, Urgency};
use crate::failure::Failure;
use crate::runtime::failures;
use holdfast_ledger::keys::EmergencyKey;
use holdfast_ledger::query::object;
use holdfast_ledger::{StateError, account, dynamic_properties, validator};
use holdfast_replica::validator_guard::{
    GuardConfig, GuardRest, GuardView, GuardedValidator, ValidatorGuard,
};
use holdfast_storage::Storage;
use holdfast_types::{AccountName, ChainId, EraKind, KeyPair, Parameters, PublicKey, codec};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How often the guard looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long its transaction may be under way, in ms.
const IN_FLIGHT_MS: u64 = 20_000;

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
    /// What the guard is built with on a chain with these parameters.
    #[must_use]
    pub(super) fn config(
        chain: ChainId,
        account: AccountName,
        signing_key: PublicKey,
        parameters: &Parameters,
    ) -> GuardConfig {
        let emergency = &parameters.emergency;
        GuardConfig {
            chain,
            account,
            signing_key,
            in_flight_ms: IN_FLIGHT_MS,
            lib_age_max_ms: emergency.timeout_ms,
            own_blocks_max: usize::try_from(emergency.exit_normal_blocks).unwrap_or(usize::MAX),
            // A key that stays away costs more than any fee.
            fee_max: u64::MAX,
        }
    }

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
        let config = self.guard.config();
        let store = self.storage.as_ref();
        let found = validator(store, &config.account)?;
        let properties = dynamic_properties(store)?.ok_or_else(|| StateError {
            reason: "the dynamic properties are missing".to_owned(),
        })?;
        let record = object(store, &EmergencyKey())?;
        let recent = record.map_or_else(Vec::new, |record| record.recent);
        let own = recent.iter().rev();
        let own_blocks = own.take_while(|producer| **producer == config.account);
        let standing = self.board.read();
        Ok(GuardView {
            validator: found.map(|found| GuardedValidator {
                signing_key: found.signing_key,
                url: found.url,
            }),
            nonce: account(store, &config.account)?.map_or(0, |account| account.nonce),
            is_behind: standing.sync_target.is_some(),
            in_emergency: standing.context.kind == EraKind::Emergency,
            lib_age_ms: crate::clock::wall().since(properties.lib_timestamp),
            own_blocks: own_blocks.count(),
        })
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
