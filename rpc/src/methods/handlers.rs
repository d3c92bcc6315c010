//! Methods that do more than ask the backend one question.

use super::params::SendParams;
use super::table::json;
use crate::backend::BackendError;
use crate::codes::Fault;
use crate::dto::{Finality, Hash, Receipt, SendOptions, Sent, WaitFor};
use crate::state::ServerState;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// `chain_sendTransaction`.
pub(super) fn send_transaction(
    state: Arc<ServerState>,
    params: SendParams,
) -> BoxFuture<'static, Result<String, Fault>> {
    let options = params.options.unwrap_or_default();
    let submitted = state.backend.submit(params.transaction.0.0);
    async move {
        let id = submitted.await?;
        let sent = match options.wait {
            WaitFor::Accepted => Sent {
                transaction_id: id,
                finality: Finality::Accepted,
                timed_out: false,
                receipt: None,
                chain_state: state.backend.chain_state(),
            },
            WaitFor::Committed => wait_for(&state, id, Finality::Committed, options).await?,
            WaitFor::Irreversible => wait_for(&state, id, Finality::Irreversible, options).await?,
        };
        json(Ok::<_, BackendError>(sent))
    }
    .boxed()
}

async fn wait_for(
    state: &Arc<ServerState>,
    id: Hash,
    wanted: Finality,
    options: SendOptions,
) -> Result<Sent, Fault> {
    let limit = state.config.send_wait_max_ms;
    let wait = Duration::from_millis(
        options
            .timeout_ms
            .map_or(limit, |wait| wait.min(limit))
            .into(),
    );
    let deadline = Instant::now() + wait;
    // Watching starts before the first look, so that no commit falls in between.
    let mut waiter = state.backend.feed().watch_transaction(id);
    let reached = |receipt: &Option<Receipt>| {
        receipt
            .as_ref()
            .is_some_and(|receipt| receipt.finality >= wanted)
    };
    let mut receipt = receipt_of(state, id).await?;
    if !reached(&receipt) {
        let known_height = receipt.as_ref().map(|receipt| receipt.height.get());
        let waiting = async {
            let height = match known_height {
                Some(height) => height,
                None => waiter.committed().await,
            };
            if wanted == Finality::Irreversible {
                state.backend.feed().certified(height).await;
            }
        };
        // Whether the wait ran out does not matter here: the receipt says how far the transaction has come.
        let _: Result<(), _> = timeout_at(deadline, waiting).await;
        receipt = receipt_of(state, id).await?;
    }
    let timed_out = !reached(&receipt);
    let finality = receipt
        .as_ref()
        .map_or(Finality::Accepted, |receipt| receipt.finality);
    Ok(Sent {
        transaction_id: id,
        finality,
        timed_out,
        receipt,
        chain_state: state.backend.chain_state(),
    })
}

async fn receipt_of(state: &Arc<ServerState>, id: Hash) -> Result<Option<Receipt>, Fault> {
    state
        .query(move |backend| backend.receipt(&id).map_err(Fault::from))
        .await
}
