//! What may come before the replica: decisions that need the state or the running era, and no I/O.

use crate::io::{LastVertices, Submission};
use crate::mempool::Origin;
use holdfast_chain::ChainStore;
use holdfast_ledger::{StateError, account, check_transaction};
use holdfast_types::wire::{LastVertexRequest, LastVertexResponse};
use holdfast_types::{
    AuthorityIndex, ChainId, EraContext, FailureCode, Height, PublicKey, SignatureScheme,
    SignedVertexHeader, TimestampMs, TransactionId, VerifiedTransaction, Vertex, VertexRef,
};
use std::sync::Arc;

/// How long each validator waits for the one before it to propose a transaction that came by gossip, in ms.
const TURN_MS: u64 = 2_000;

/// Where a vertex of a peer belongs, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VertexPlace {
    /// Verify it, step the replica with it, hand it on to other peers.
    Running,
    /// Step the replica with it as an early one. It cannot be verified yet, so it is not handed on.
    NextEra,
    /// Of an era that does not run here: nobody is to blame.
    OtherEra,
}

/// Sorts a vertex by its era.
#[must_use]
pub fn vertex_place(vertex: &Vertex, running: &EraContext) -> VertexPlace {
    let era = vertex.signed.header.era;
    if era == running.era {
        VertexPlace::Running
    } else if era == running.era.next() {
        VertexPlace::NextEra
    } else {
        VertexPlace::OtherEra
    }
}

/// What a member's answer on last vertices says (rule R12 of the replica), if it is about `asked` and all its signatures
/// are good; none otherwise.
#[must_use]
pub fn last_vertices(
    asked: &LastVertexRequest,
    from: AuthorityIndex,
    answer: &LastVertexResponse,
    chain: &ChainId,
    era: &EraContext,
    scheme: &dyn SignatureScheme,
) -> Option<LastVertices> {
    let reference = |signed: &Option<SignedVertexHeader>, author| {
        let Some(signed) = signed else {
            return Some(None);
        };
        let header = &signed.header;
        let check = signed.signature_check(chain, &era.committee)?;
        let good = header.author == author && header.era == asked.era && scheme.verify(&check);
        good.then(|| {
            Some(VertexRef {
                round: header.round,
                author,
                digest: header.digest(chain),
            })
        })
    };
    if asked.era != era.era {
        return None;
    }
    Some(LastVertices {
        from,
        era: asked.era,
        running: answer.running,
        own: reference(&answer.own, from)?,
        of_asker: reference(&answer.of_author, asked.author)?,
    })
}

/// Why a verified transaction does not come before the mempool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSubmitted {
    /// It would fail as the state is now.
    #[error("{0}")]
    Failing(FailureCode),
    #[error("the transaction was executed already")]
    Executed(TransactionId),
    #[error(transparent)]
    Store(#[from] StateError),
}

/// The transaction as the mempool wants it, or why it cannot be executed as the state is now.
pub fn submission<S: ChainStore + ?Sized>(
    store: &S,
    transaction: VerifiedTransaction,
    wall: TimestampMs,
    origin: Origin,
) -> Result<Submission, NotSubmitted> {
    // Read first: the nonce is at least as new.
    let as_of = store.head()?.map_or(Height::ZERO, |(height, _)| height);
    match check_transaction(store, &transaction, wall)? {
        // Earlier nonces may be on their way; the mempool knows how long to wait.
        Ok(_) | Err(FailureCode::NonceTooHigh) => {}
        Err(code) => {
            let id = transaction.id();
            return Err(if store.transaction_place(&id)?.is_some() {
                NotSubmitted::Executed(id)
            } else {
                NotSubmitted::Failing(code)
            });
        }
    }
    let sender = account(store, &transaction.body().sender)?;
    Ok(Submission {
        transaction: Arc::new(transaction),
        account_nonce: sender.map_or(0, |sender| sender.nonce),
        as_of,
        origin,
    })
}

/// When it is the turn of the validator with `key` to propose a transaction that came by gossip, in ms of its monotonic
/// clock: the validators take turns in an order that starts at a place given by its id.
#[must_use]
pub fn turn_ms(now_ms: u64, id: &TransactionId, era: &EraContext, key: Option<&PublicKey>) -> u64 {
    let size = era.committee.size();
    let position = key
        .and_then(|key| era.committee.authority_of_key(key))
        .map_or(0, |authority| authority.as_usize());
    let [a, b, c, d, ..] = *id.as_bytes();
    let start = usize::try_from(u32::from_le_bytes([a, b, c, d]))
        .unwrap_or_default()
        .checked_rem(size)
        .unwrap_or_default();
    let turns = position
        .saturating_add(size)
        .saturating_sub(start)
        .checked_rem(size)
        .unwrap_or_default();
    let turns = u64::try_from(turns).unwrap_or_default();
    now_ms.saturating_add(TURN_MS.saturating_mul(turns))
}
