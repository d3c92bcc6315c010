//! What the store knows of consensus.

use crate::failure::Failure;
use crate::runtime::execution::last_commits;
use crate::runtime::failures;
use holdfast_chain::{Chain, ChainStore};
use holdfast_dag::{DagConfig, DagCore, gc_round};
use holdfast_ledger::{StateError, account};
use holdfast_replica::{Restored, SignGuardRecord};
use holdfast_storage::Storage;
use holdfast_types::limits::VERTEX_ATTESTATIONS_MAX;
use holdfast_types::{
    AttestationBody, BlockOrigin, CommitDigest, EraContext, Height, Round, Signer,
    VerifiedTransaction,
};
use std::sync::Arc;

pub(super) fn restored(
    storage: &Storage,
    chain: &Chain,
    dag: &DagConfig,
    signer: Option<(Arc<dyn Signer>, SignGuardRecord)>,
) -> Result<Restored, Failure> {
    let state = |error: StateError| failures::of_state(&error);
    let context = Arc::clone(chain.era());
    let at_anchor = chain.head().0 == context.anchor_height && context.anchor_height > Height::ZERO;
    let anchor_certificate = storage.certificate(context.anchor_height).map_err(state)?;
    let ended = if at_anchor && anchor_certificate.is_none() {
        storage
            .era(context.era.previous())
            .map_err(state)?
            .map(Arc::new)
    } else {
        None
    };
    let commits = last_commits(storage, &context, DagCore::commits_needed(dag)).map_err(state)?;
    let floor = commits.last().map_or(Round::ZERO, |commit| {
        gc_round(commit.leader.round, dag.gc_depth)
    });
    let vertices = storage
        .vertices_above(context.era, floor)
        .map_err(|error| failures::of_storage(&error))?
        .into_iter()
        .map(Arc::new)
        .collect();
    let own_last = storage
        .last_own_vertex(context.era)
        .map_err(|error| failures::of_storage(&error))?
        .map(Arc::new);
    Ok(Restored {
        recent: recent_attestations(storage, chain, ended.as_deref()).map_err(state)?,
        context,
        ended,
        commits,
        vertices,
        own_last,
        anchor_certificate,
        certified: chain.certified(),
        signer,
        mempool: mempool(storage)?,
    })
}

/// The last blocks as this validator would attest them: of the running era, or the last of the era that ended.
fn recent_attestations(
    storage: &Storage,
    chain: &Chain,
    ended: Option<&EraContext>,
) -> Result<Vec<AttestationBody>, StateError> {
    let head = chain.head().0;
    let reach = u64::try_from(VERTEX_ATTESTATIONS_MAX).unwrap_or(u64::MAX);
    let first = if ended.is_some() {
        head
    } else {
        chain
            .era()
            .anchor_height
            .next()
            .max(head.minus(reach).next())
    };
    let mut bodies = Vec::new();
    let mut height = first;
    while height <= head && height > Height::ZERO {
        if let (Some(block), Some(id)) = (storage.block_at(height)?, storage.block_id_at(height)?) {
            bodies.push(AttestationBody {
                era: block.header.era,
                height,
                block: id,
                commit: match block.header.origin {
                    BlockOrigin::Dag { commit, .. } => commit,
                    BlockOrigin::Genesis => CommitDigest::default(),
                },
                state_root: block.header.state_root,
            });
        }
        height = height.next();
    }
    Ok(bodies)
}

fn mempool(storage: &Storage) -> Result<Vec<(Arc<VerifiedTransaction>, u64)>, Failure> {
    let stored = storage
        .mempool()
        .map_err(|error| failures::of_storage(&error))?;
    let mut queued = Vec::with_capacity(stored.len());
    for transaction in stored {
        let sender = account(storage, &transaction.body().sender)
            .map_err(|error| failures::of_state(&error))?;
        // Without its account the transaction can only fail; the mempool is not the place to say so.
        if let Some(sender) = sender {
            queued.push((Arc::new(transaction), sender.nonce));
        }
    }
    Ok(queued)
}
