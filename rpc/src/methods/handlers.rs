//! Methods that do more than ask the backend one question.

use super::params::SendParams;
use super::table;
use crate::backend::BackendError;
use crate::codes::{ErrorCode, Fault};
use crate::dto::{Finality, Hash, Receipt, SendOptions, Sent, WaitFor};
use crate::state::ServerState;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks at a receipt that does not show what the chain has announced.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

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
        table::json(Ok::<_, BackendError>(sent))
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
    let feed = state.backend.feed();
    let mut receipt = receipt_of(state, id).await?;
    while !is_settled(receipt.as_ref(), wanted) {
        let known_height = receipt.as_ref().map(|receipt| receipt.height.get());
        let waiting = async {
            let height = match known_height {
                Some(height) => height,
                None => waiter.committed().await,
            };
            if wanted == Finality::Irreversible {
                feed.irreversible(height).await;
            }
        };
        let ran_out = timeout_at(deadline, waiting).await.is_err();
        receipt = receipt_of(state, id).await?;
        if ran_out {
            break;
        }
        // What was waited for is gone again if a better branch took the block back.
        if !is_settled(receipt.as_ref(), wanted) {
            sleep(LOOK_AGAIN).await;
        }
    }
    match receipt {
        Some(receipt) if receipt.finality == Finality::Emergency && receipt.finality < wanted => {
            Err(provisional(&receipt))
        }
        receipt => Ok(Sent {
            transaction_id: id,
            finality: receipt
                .as_ref()
                .map_or(Finality::Accepted, |receipt| receipt.finality),
            timed_out: receipt
                .as_ref()
                .is_none_or(|receipt| receipt.finality < wanted),
            receipt,
            chain_state: state.backend.chain_state(),
        }),
    }
}

/// True if there is nothing more to wait for: the finality is there, or an emergency keeps it away.
fn is_settled(receipt: Option<&Receipt>, wanted: Finality) -> bool {
    receipt.is_some_and(|receipt| receipt.finality >= wanted.min(Finality::Emergency))
}

/// What is irreversible for emergency consensus alone.
fn provisional(receipt: &Receipt) -> Fault {
    let height = receipt.height;
    let message = format!(
        "block {height} has executed the transaction in an emergency: no certificate covers it, and one can take it back"
    );
    Fault::new(ErrorCode::EmergencyProvisional, message)
        .detail("transaction_id", json!(receipt.transaction_id))
        .detail("finality", receipt.finality.as_str())
        .detail("status", json!(receipt.status))
        .detail("height", json!(height))
        .detail("block_id", json!(receipt.block_id))
}

async fn receipt_of(state: &Arc<ServerState>, id: Hash) -> Result<Option<Receipt>, Fault> {
    state
        .query(move |backend| backend.receipt(&id).map_err(Fault::from))
        .await
}
