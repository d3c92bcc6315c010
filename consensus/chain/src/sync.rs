//! Blocks from peers: whom to ask, and what a range must show before it enters the fork database (rule C7).
//!
//! A peer's claim decides only whom to ask; what it sends is believed because of its certificate.

#[cfg(test)]
mod tests;

use crate::store::ChainStore;
use holdfast_ledger::StateError;
use holdfast_types::block::transactions_root;
use holdfast_types::wire::{BlocksRequest, BlocksResponse, BranchRank, PeerStatus};
use holdfast_types::{
    Block, BlockId, BlockOrigin, Certificate, CertificateError, ChainId, CommitRecord, EraContext,
    GovernanceAction, Height, SignatureScheme,
};
use std::cmp::{Ordering, Reverse};
use std::collections::VecDeque;

/// A node that is behind by less and whose head has not moved for this long is synced, too, in ms.
const STUCK_MS: u64 = 2_000;
/// How far below the own head another branch of an emergency is asked for first: forks at the head are short.
pub(crate) const BACK_BLOCKS: u64 = 8;
/// Blocks asked for at once.
const RANGE_BLOCKS: u64 = 256;
/// Peers that are asked at once where they stand.
const POLLED_PEERS_MAX: usize = 8;
/// How long all polled peers are waited for, in ms; after that, for the first that answers. A peer that says nothing would
/// otherwise hold up each poll, and a node that is behind comes nearer only while it polls faster than blocks are made.
pub const ANSWERS_WAIT_MS: u64 = 1_000;

/// Whom of all peers to ask in a poll where they stand: the next ones each time, so that everybody's turn comes though nothing else
/// changes. Who is behind with a whole neighbourhood would otherwise ask the same neighbours for ever.
#[must_use]
pub fn polled<P>(mut peers: Vec<P>, poll: u64) -> Vec<P> {
    if peers.len() > POLLED_PEERS_MAX {
        let first = poll.wrapping_mul(POLLED_PEERS_MAX as u64);
        let turn = first.checked_rem(peers.len() as u64).unwrap_or_default();
        peers.rotate_left(usize::try_from(turn).unwrap_or_default());
        peers.truncate(POLLED_PEERS_MAX);
    }
    peers
}

/// Where a node stands that may have to catch up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncNeed {
    pub head: Height,
    pub head_id: BlockId,
    pub certified: Height,
    pub rank: BranchRank,
    /// The head stands on emergency blocks that nobody has certified.
    pub is_provisional: bool,
    /// An emergency block came that stands on none that is here: others are on another branch.
    pub is_forked: bool,
    /// Whether emergency blocks may be fetched: see `HaltState::fetches_emergency_blocks`.
    pub fetches_emergency: bool,
    /// Whether those may be that governance or a quorum of votes has chosen: see `HaltState::fetches_ordered_blocks`.
    pub fetches_ordered: bool,
    /// How long the head has not moved, in ms.
    pub unmoved_ms: u64,
    /// See [`holdfast_dag::DagConfig::far`].
    pub far_blocks: u64,
}

/// The peer that is furthest ahead and up to which height, if its blocks are needed.
///
/// By certificates: it is `far_blocks` ahead of the head, or it has certified more while the head is stuck. Being near is
/// left to the DAG, which gets there by itself. A stuck head that is as high may be void: its branch was left by a resume.
///
/// In an emergency: it has certified more than this node, or its head is better and does not come by gossip. A head that is
/// better by a block that is under way is left to gossip: two masters would otherwise make everybody ask everybody (V9). A
/// head in a later era is better than any other; if it is not above the own one, it is of another branch. So is a head on the end
/// of a later emergency for which a quorum has voted, or on which governance has resumed; they count first ([`BranchRank`]).
pub fn sync_source<P: Copy>(
    answers: impl IntoIterator<Item = (P, PeerStatus)>,
    need: SyncNeed,
) -> Option<(P, Height)> {
    let answers: Vec<_> = answers
        .into_iter()
        .filter(|(_, status)| status.lowest_block <= need.head.next())
        .collect();
    let (peer, best) = answers
        .iter()
        .max_by_key(|(_, status)| status.certified)
        .copied()?;
    let is_stuck = need.unmoved_ms >= STUCK_MS;
    if need.is_provisional && best.certified > need.certified {
        return Some((peer, best.head.max(best.certified)));
    }
    let behind = best.certified.since(need.head);
    let is_far = behind > 0 && behind >= need.far_blocks;
    if is_far || is_stuck && best.certified > need.certified {
        return Some((peer, best.certified));
    }
    let is_better = |status: &PeerStatus| {
        let ahead = status.head.since(need.head);
        let is_lower =
            need.is_provisional && status.head == need.head && status.head_id < need.head_id;
        let is_due = is_stuck || need.is_forked;
        let is_far = ahead > 0 && ahead >= need.far_blocks;
        match status.rank.cmp(&need.rank) {
            Ordering::Less => false,
            Ordering::Equal => is_far || is_due && (ahead > 0 || is_lower),
            Ordering::Greater => {
                // One that has the same head has only heard the votes earlier.
                let is_other = status.head_id != need.head_id;
                let is_obeyed =
                    (status.rank.resumed, status.rank.voted) > (need.rank.resumed, need.rank.voted);
                let is_elsewhere = is_other && (ahead == 0 || is_obeyed);
                is_far || is_due || need.is_provisional && is_elsewhere
            }
        }
    };
    let provisional = answers
        .iter()
        .filter(|(_, status)| status.is_provisional && is_better(status))
        .max_by_key(|(_, status)| {
            let lower = Reverse(status.head_id);
            (status.rank, status.head, lower)
        });
    let is_fetched = |status: &PeerStatus| {
        let claims = |rank: &BranchRank| (rank.resumed, rank.voted);
        let is_ordered = claims(&status.rank) > claims(&need.rank);
        need.fetches_emergency || need.fetches_ordered && is_ordered
    };
    let (peer, status) = provisional.filter(|(_, status)| is_fetched(status))?;
    Some((*peer, status.head))
}

/// The first block to ask for on the way to `target`: above the head, or above what is certified here if the target is not above the
/// head. In an emergency that may be far below, and other branches fork off near the head (rule BF1).
#[must_use]
pub fn first_needed(need: &SyncNeed, target: Height) -> Height {
    let lowest = need.certified.next();
    if target > need.head {
        need.head.next()
    } else if need.is_provisional {
        lowest.max(target.next().minus(BACK_BLOCKS))
    } else {
        lowest
    }
}

/// The blocks to ask for next, from `from` on: also those that the peer has had certified since it said where it stands.
#[must_use]
pub const fn next_range(from: Height) -> BlocksRequest {
    BlocksRequest {
        from,
        to: from.plus(RANGE_BLOCKS).previous(),
    }
}

/// The last commits of an era, in order, at most `count`.
pub fn last_commits<S: ChainStore + ?Sized>(
    store: &S,
    context: &EraContext,
    up_to: Height,
    count: u64,
) -> Result<Vec<CommitRecord>, StateError> {
    let mut commits = Vec::new();
    let mut height = context.anchor_height.next().max(up_to.minus(count).next());
    while height <= up_to {
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

/// Why a range of blocks is refused. All of these are the sender's fault but one: that it does not link to what is here
/// may be ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("the range is empty")]
    Empty,
    #[error("the range carries no certificate")]
    NoCertificate,
    #[error("nobody certifies blocks of an emergency")]
    Emergency,
    #[error("block {height} stands on a block that is not in the fork database")]
    Unlinked { height: Height },
    #[error("block {height} does not follow the block before it")]
    NotLinked { height: Height },
    #[error("block {height} is not of era {expected}")]
    WrongEra { height: Height, expected: u64 },
    /// The header is what is certified; a body that does not belong to it is made up.
    #[error("the body of block {height} is not that of its header: the {part} differs")]
    WrongBody { height: Height, part: &'static str },
    #[error("the certificate is not for the last block of the range")]
    OtherBlock,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Blocks that a certificate proves, in order. The chain takes them out one by one.
#[derive(Clone, Debug)]
pub struct ProvenRange {
    pub(crate) blocks: VecDeque<(BlockId, Block)>,
    pub(crate) certificate: Certificate,
    /// The chain knows the certificate.
    pub(crate) noted: bool,
}

impl ProvenRange {
    /// The certificate of the last block.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// Checks that `response` continues the block `start` within the era `context`, and that its certificate proves it.
pub fn verify_range(
    response: BlocksResponse,
    start: (Height, BlockId),
    chain: &ChainId,
    context: &EraContext,
    scheme: &dyn SignatureScheme,
) -> Result<ProvenRange, RangeError> {
    let certificate = response.certificate.ok_or(RangeError::NoCertificate)?;
    let committee = context.certifiers().ok_or(RangeError::Emergency)?;
    let (mut height, mut parent) = start;
    let mut blocks = VecDeque::with_capacity(response.blocks.len());
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
        check_body(&block, chain).map_err(|part| RangeError::WrongBody { height, part })?;
        parent = block.header.id(chain);
        blocks.push_back((parent, block));
    }
    let Some((last, _)) = blocks.back() else {
        return Err(RangeError::Empty);
    };
    let body = &certificate.body;
    if body.block != *last || body.height != height || body.era != context.era {
        return Err(RangeError::OtherBlock);
    }
    certificate.verify(chain, committee, scheme)?;
    Ok(ProvenRange {
        blocks,
        certificate,
        noted: false,
    })
}

/// What of a body does not belong to its header. Blocks are kept before they are executed, and a body that was made up
/// must not pass for a block that does not execute.
pub fn check_body(block: &Block, chain: &ChainId) -> Result<(), &'static str> {
    let Block { header, body } = block;
    let ids = body.transactions.iter().map(|one| one.body.id(chain));
    let ids: Vec<_> = ids.collect();
    if transactions_root(ids.iter().zip(&body.transactions)) != header.transactions_root {
        return Err("list of transactions");
    }
    if body.system_root() != header.system_root {
        return Err("system part");
    }
    let next_committee = body.era_end.as_ref().map(|end| end.committee.hash());
    if next_committee != header.next_committee {
        return Err("next committee");
    }
    check_origin(block, chain)
}

/// A block comes of a commit, of the resume message that it carries, of a producer in an emergency, or of a lockdown that is over.
fn check_origin(block: &Block, chain: &ChainId) -> Result<(), &'static str> {
    let Block { header, body } = block;
    let resume = body.governance.as_ref().filter(|message| {
        let action = &message.body.action;
        matches!(action, GovernanceAction::Resume { .. })
    });
    let (origin, part) = match (&body.commit, resume) {
        (Some(_), Some(_)) => return Err("governance message"),
        (Some(commit), None) => {
            let origin = BlockOrigin::Dag {
                commit: commit.digest(chain),
                commit_index: commit.index,
                leader_round: commit.leader.round,
                leader: commit.leader.author,
            };
            (origin, "commit")
        }
        (None, Some(message)) => {
            let message = message.body.id(chain);
            (BlockOrigin::Resumed { message }, "governance message")
        }
        (None, None) if matches!(header.origin, BlockOrigin::Emergency { .. }) => {
            // The producer supports what it builds on; nobody else is there to say anything.
            return if body.supports.is_empty() {
                Ok(())
            } else {
                Err("supports")
            };
        }
        (None, None) if header.origin == BlockOrigin::Recovered => {
            return if body.carries_nothing() {
                Ok(())
            } else {
                Err("contents")
            };
        }
        (None, None) => return Err("commit"),
    };
    if origin != header.origin {
        return Err(part);
    }
    Ok(())
}
