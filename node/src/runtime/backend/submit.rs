//! Transactions of clients: to the verification pool and the mempool, and the answer back.

use super::{NodeBackend, halts};
use crate::runtime::verification::{Job, Submit, SubmitError, Urgency};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use holdfast_replica::MempoolReject;
use holdfast_rpc::BackendError;
use holdfast_rpc::dto::Hash;
use holdfast_types::TransactionError;
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;

/// When a full node may be asked again, in seconds.
const RETRY_SECONDS: u32 = 1;

impl NodeBackend {
    pub(super) fn submit_encoded(
        &self,
        encoded: Vec<u8>,
    ) -> BoxFuture<'static, Result<Hash, BackendError>> {
        let (reply, answer) = oneshot::channel();
        let metrics = self.parts.metrics.clone();
        let board = self.parts.board.clone();
        let stopwatches = Arc::clone(&self.stopwatches);
        let offered = self.parts.jobs.offer(
            Urgency::Transactions,
            Job::Submit(Submit { encoded, reply }),
        );
        async move {
            let result = match offered {
                Err(_) => Err(BackendError::MempoolFull {
                    retry_after_seconds: RETRY_SECONDS,
                }),
                Ok(()) => match answer.await {
                    Ok(Ok(id)) => {
                        let mut stopwatches =
                            stopwatches.lock().unwrap_or_else(PoisonError::into_inner);
                        stopwatches.accepted(id);
                        Ok(Hash::new(*id.as_bytes()))
                    }
                    Ok(Err(SubmitError::Refused(MempoolReject::Halted))) => {
                        Err(halts::rejected(&board.halts()))
                    }
                    Ok(Err(error)) => Err(refusal(&error)),
                    Err(_) => Err(BackendError::Internal {
                        cause: "the node is stopping".to_owned(),
                    }),
                },
            };
            match &result {
                Ok(_) => metrics.mempool.accepted.inc(),
                Err(error) => metrics.mempool.rejected.with(reason(error)).inc(),
            }
            result
        }
        .boxed()
    }
}

fn refusal(error: &SubmitError) -> BackendError {
    let rejected = |reason: &str| BackendError::TransactionRejected {
        reason: reason.to_owned(),
        message: error.to_string(),
    };
    match error {
        SubmitError::Invalid(TransactionError::BadSignature) => rejected("bad_signature"),
        SubmitError::Invalid(_) => rejected("malformed"),
        SubmitError::Failing(code) => rejected(code.name()),
        SubmitError::Refused(MempoolReject::Full { .. } | MempoolReject::Outdated) => {
            BackendError::MempoolFull {
                retry_after_seconds: RETRY_SECONDS,
            }
        }
        SubmitError::Refused(reject) => rejected(reject.name()),
        SubmitError::Executed(_) | SubmitError::Stopping => BackendError::Internal {
            cause: error.to_string(),
        },
    }
}

/// The metric label of a refusal: few of them, where the reply names the rule.
fn reason(error: &BackendError) -> &'static str {
    let reason = match error {
        BackendError::TransactionRejected { reason, .. } => reason.as_str(),
        BackendError::MempoolFull { .. } => return "full",
        BackendError::ChainHalted { .. } | BackendError::Lockdown => return "halted",
        _ => return "other",
    };
    match reason {
        "bad_signature" | "wrong_key" | "unknown_sender" => "bad_signature",
        "malformed" => "malformed",
        "nonce_too_low" | "nonce_too_high" | "gap_full" => "nonce",
        "nonce_taken" => "duplicate",
        "sender_full" => "full",
        "expired" => "expired",
        "fee_above_maximum" => "fee",
        "insufficient_balance" | "insufficient_stake" => "balance",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::{FailureCode, TimestampMs};

    #[test]
    fn refusals_are_counted_by_their_kind() {
        let rejects = [
            (MempoolReject::NonceTaken { nonce: 1 }, "duplicate"),
            (MempoolReject::Outdated, "full"),
            (
                MempoolReject::SenderFull {
                    transactions: 1,
                    transactions_max: 1,
                },
                "full",
            ),
            (
                MempoolReject::GapFull {
                    nonce: 2,
                    expected: 1,
                },
                "nonce",
            ),
            (
                MempoolReject::Expired {
                    expires_at: TimestampMs(1),
                    block_timestamp: TimestampMs(2),
                },
                "expired",
            ),
        ];
        for (reject, label) in rejects {
            assert_eq!(reason(&refusal(&SubmitError::Refused(reject))), label);
        }
        for (code, label) in [
            (FailureCode::NonceTooLow, "nonce"),
            (FailureCode::InsufficientBalance, "balance"),
            (FailureCode::FeeAboveMaximum, "fee"),
            (FailureCode::UnknownRecipient, "other"),
        ] {
            assert_eq!(reason(&refusal(&SubmitError::Failing(code))), label);
        }
    }
}
