//! Transactions of clients: to the verification pool and the mempool, and the answer back.

use super::NodeBackend;
use crate::runtime::verification::{Job, Submit, SubmitError, Urgency};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use holdfast_replica::MempoolReject;
use holdfast_rpc::BackendError;
use holdfast_rpc::dto::Hash;
use holdfast_types::TransactionError;
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
                    Ok(Ok(id)) => Ok(Hash::new(*id.as_bytes())),
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

fn reason(error: &BackendError) -> &str {
    match error {
        BackendError::TransactionRejected { reason, .. } => reason,
        BackendError::MempoolFull { .. } => "full",
        _ => "internal",
    }
}
