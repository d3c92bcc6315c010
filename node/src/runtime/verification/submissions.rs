//! Transactions of clients, and those that peers hand on: what may enter the mempool.

use super::jobs::Verifier;
use crate::runtime::core_thread::CoreCommand;
use holdfast_chain::ChainStore as _;
use holdfast_replica::admission::{NotSubmitted, submission};
use holdfast_replica::{Admission, MempoolReject, Origin, Submission, SubmissionResult};
use holdfast_types::{
    FailureCode, SignedTransaction, TransactionError, TransactionId, VerifiedTransaction,
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// An encoded transaction of a client, and who waits for the answer.
#[derive(Debug)]
pub struct Submit {
    pub encoded: Vec<u8>,
    pub reply: oneshot::Sender<Result<TransactionId, SubmitError>>,
}

/// Id of a transaction that was admitted, or was known already.
pub(super) type SubmitAnswer = Result<TransactionId, SubmitError>;

/// Why a transaction of a client was not queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Invalid(#[from] TransactionError),
    /// It would fail as the state is now.
    #[error("{0}")]
    Failing(FailureCode),
    /// It was executed before: the client may ask for the receipt.
    #[error("the transaction was executed already")]
    Executed(TransactionId),
    #[error(transparent)]
    Refused(#[from] MempoolReject),
    #[error("the node is stopping or its store failed")]
    Stopping,
}

/// A transaction that waits for the mempool's word.
struct Offered {
    id: TransactionId,
    reply: oneshot::Sender<SubmitAnswer>,
}

impl Verifier {
    /// Verifies transactions of clients together, offers what is good to the mempool together, and answers each.
    pub(super) fn submit(&self, submits: Vec<Submit>) {
        let mut decoded = Vec::with_capacity(submits.len());
        let mut replies = Vec::with_capacity(submits.len());
        for Submit { encoded, reply } in submits {
            match SignedTransaction::decode(&encoded) {
                Ok(transaction) => {
                    decoded.push(transaction);
                    replies.push(reply);
                }
                Err(error) => answer(reply, Err(error.into())),
            }
        }
        let verified = VerifiedTransaction::verify_many(decoded, &self.chain, self.scheme.as_ref());
        let mut submissions = Vec::with_capacity(verified.len());
        let mut offered = Vec::with_capacity(verified.len());
        for (result, reply) in verified.into_iter().zip(replies) {
            let submission = result
                .map_err(SubmitError::from)
                .and_then(|transaction| self.submission(transaction, false));
            match submission {
                Ok(submission) => {
                    let id = submission.transaction.id();
                    offered.push(Offered { id, reply });
                    submissions.push(submission);
                }
                Err(SubmitError::Executed(id)) => answer(reply, Ok(id)),
                Err(error) => answer(reply, Err(error)),
            }
        }
        if !submissions.is_empty() {
            self.offer(submissions, offered);
        }
    }

    /// Offers transactions to the mempool; the answers come when the admitted ones are durable.
    fn offer(&self, submissions: Vec<Submission>, offered: Vec<Offered>) {
        let (reply, answered) = oneshot::channel();
        self.core
            .command(CoreCommand::Submit { submissions, reply });
        let storage = Arc::clone(&self.storage);
        self.server.runtime().spawn(async move {
            let mut results = answered.await.unwrap_or_default().into_iter();
            for Offered { id, reply } in offered {
                let result = match results.next() {
                    // Sent twice, and executed while it was looked at.
                    Some(Err(MempoolReject::NonceTooLow { .. }))
                        if storage
                            .transaction_place(&id)
                            .is_ok_and(|place| place.is_some()) =>
                    {
                        Ok(id)
                    }
                    result => admitted(result, id),
                };
                answer(reply, result);
            }
        });
    }

    /// The transaction as the mempool wants it, or why it cannot be executed as the state is now.
    pub(super) fn submission(
        &self,
        transaction: VerifiedTransaction,
        foreign: bool,
    ) -> Result<Submission, SubmitError> {
        let origin = if foreign {
            Origin::Foreign {
                eligible_at_ms: self.server.turn_ms(&transaction.id(), &self.era()),
            }
        } else {
            Origin::Local
        };
        let store = self.storage.as_ref();
        submission(store, transaction, crate::clock::wall(), origin).map_err(|error| match error {
            NotSubmitted::Failing(code) => SubmitError::Failing(code),
            NotSubmitted::Executed(id) => SubmitError::Executed(id),
            NotSubmitted::Store(_) => SubmitError::Stopping,
        })
    }
}

fn answer(reply: oneshot::Sender<SubmitAnswer>, result: SubmitAnswer) {
    // Who asked may have gone away.
    let _gone = reply.send(result);
}

fn admitted(result: Option<SubmissionResult>, id: TransactionId) -> SubmitAnswer {
    match result {
        Some(Ok(Admission::Admitted | Admission::AlreadyKnown)) => Ok(id),
        Some(Err(reject)) => Err(reject.into()),
        None => Err(SubmitError::Stopping),
    }
}
