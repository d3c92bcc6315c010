//! Blocks from peers: whom to ask, and what a range must show before it is executed (rule C7).
//!
//! A peer's claim decides only whom to ask; what it sends is believed because of its certificate.

use crate::store::ChainStore;
use holdfast_ledger::StateError;
use holdfast_types::wire::{BlocksRequest, BlocksResponse, PeerStatus};
use holdfast_types::{
    Block, BlockId, Certificate, CertificateError, ChainId, CommitRecord, EraContext, Height,
    SignatureScheme,
};

/// A peer that is this many certified blocks ahead is synced from at once.
const FAR_BLOCKS: u64 = 20;
/// A node that is behind by less and whose head has not moved for this long is synced, too, in ms.
const STUCK_MS: u64 = 2_000;
/// Blocks asked for at once.
const RANGE_BLOCKS: u64 = 256;

/// The peer that is furthest ahead and its certified height, if it is far enough ahead of a head that has not moved for
/// `unmoved_ms`. Being near is left to the DAG, which gets there by itself.
pub fn sync_source<P>(
    answers: impl IntoIterator<Item = (P, PeerStatus)>,
    head: Height,
    unmoved_ms: u64,
) -> Option<(P, Height)> {
    let (peer, best) = answers
        .into_iter()
        .filter(|(_, status)| status.lowest_block <= head.next())
        .max_by_key(|(_, status)| status.certified)?;
    let behind = best.certified.since(head);
    let stuck = behind > 0 && unmoved_ms >= STUCK_MS;
    (behind >= FAR_BLOCKS || stuck).then_some((peer, best.certified))
}

/// The next blocks to ask for on the way from `head` to `target`.
#[must_use]
pub fn next_range(head: Height, target: Height) -> BlocksRequest {
    BlocksRequest {
        from: head.next(),
        to: target.min(head.plus(RANGE_BLOCKS)),
    }
}

/// The last commits of an era, in order, at most `count`.
pub fn last_commits<S: ChainStore + ?Sized>(
    store: &S,
    context: &EraContext,
    count: u64,
) -> Result<Vec<CommitRecord>, StateError> {
    let Some((head, _)) = store.head()? else {
        return Ok(Vec::new());
    };
    let mut commits = Vec::new();
    let mut height = context.anchor_height.next().max(head.minus(count).next());
    while height <= head {
        if let Some(commit) = store
            .block_at(height)?
            .and_then(|block| block.body.commit)
            .filter(|commit| commit.era == context.era)
        {
            commits.push(commit);
        }
        height = height.next();
    }
    Ok(commits)
}

/// Why a range of blocks is refused. All of these are the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("the range is empty")]
    Empty,
    #[error("the range carries no certificate")]
    NoCertificate,
    #[error("block {height} does not follow the block before it")]
    NotLinked { height: Height },
    #[error("block {height} is not of era {expected}")]
    WrongEra { height: Height, expected: u64 },
    #[error("the certificate is not for the last block of the range")]
    OtherBlock,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Blocks that a certificate proves, in order.
#[derive(Clone, Debug)]
pub struct ProvenRange {
    pub blocks: Vec<(BlockId, Block)>,
    pub certificate: Certificate,
}

/// Checks that `response` continues `head` within the era `context`, and that its certificate proves it.
pub fn verify_range(
    response: BlocksResponse,
    head: (Height, BlockId),
    chain: &ChainId,
    context: &EraContext,
    scheme: &dyn SignatureScheme,
) -> Result<ProvenRange, RangeError> {
    let certificate = response.certificate.ok_or(RangeError::NoCertificate)?;
    let (mut height, mut parent) = head;
    let mut blocks = Vec::with_capacity(response.blocks.len());
    for block in response.blocks {
        height = height.next();
        if block.header.height != height || block.header.parent != parent {
            return Err(RangeError::NotLinked { height });
        }
        if block.header.era != context.era {
            return Err(RangeError::WrongEra {
                height,
                expected: context.era.0,
            });
        }
        parent = block.header.id(chain);
        blocks.push((parent, block));
    }
    let Some((last, _)) = blocks.last() else {
        return Err(RangeError::Empty);
    };
    let body = &certificate.body;
    if body.block != *last || body.height != height || body.era != context.era {
        return Err(RangeError::OtherBlock);
    }
    certificate.verify(chain, &context.committee, scheme)?;
    Ok(ProvenRange {
        blocks,
        certificate,
    })
}
