//! Answers to peers that ask for blocks.

use crate::store::ChainStore;
use holdfast_ledger::StateError;
use holdfast_types::wire::{BlocksRequest, BlocksResponse, BranchRank};
use holdfast_types::{Block, BlockId, EndVotes, Era, EraContext, EraKind, Height};

/// Most blocks in one response.
const BLOCKS_MAX: usize = 512;

/// How many blocks to read for a request.
#[must_use]
pub fn blocks_asked(request: &BlocksRequest) -> usize {
    usize::try_from(request.to.since(request.from))
        .unwrap_or(usize::MAX)
        .saturating_add(1)
        .min(BLOCKS_MAX)
}

/// What may be sent of consecutive blocks: those of the first era, since who verifies the next one first has to execute the
/// end of this one; and of these the longest prefix whose last block is certified. If none is, but a certificate further up
/// covers them, or an emergency stands on them or is among them, all of them: they may be a part of a branch that is better
/// than that of whoever asks.
pub fn servable_prefix<S: ChainStore + ?Sized>(
    store: &S,
    mut blocks: Vec<Block>,
) -> Result<BlocksResponse, StateError> {
    if let Some(era) = blocks.first().map(|block| block.header.era) {
        let of_era = blocks.iter().take_while(|block| block.header.era == era);
        blocks.truncate(of_era.count());
    }
    for count in (1..=blocks.len()).rev() {
        let Some(last) = blocks.get(count.saturating_sub(1)) else {
            continue;
        };
        let certificate = store.certificate(last.header.height)?;
        if certificate.is_some() {
            blocks.truncate(count);
            return Ok(BlocksResponse {
                blocks,
                certificate,
                end_votes: None,
            });
        }
    }
    let certified = store.certified_height()?;
    let provisional = match store.latest_era()? {
        Some(era) => provisional_from(store, era, certified)?,
        None => None,
    };
    // What a certificate further up covers is good for everybody, though none of its own is here.
    let is_covered = |block: &Block| block.header.height <= certified;
    if provisional.is_none() && !blocks.first().is_some_and(is_covered) {
        blocks.clear();
    }
    Ok(BlocksResponse {
        blocks,
        certificate: None,
        end_votes: open_end_votes(store)?,
    })
}

/// The votes of a quorum for an end of an emergency on the applied branch that no certificate covers.
pub fn open_end_votes<S: ChainStore + ?Sized>(store: &S) -> Result<Option<EndVotes>, StateError> {
    let Some(votes) = store.end_votes()? else {
        return Ok(None);
    };
    let body = &votes.body;
    let is_open = body.height > store.certified_height()?
        && store.block_id_at(body.height)? == Some(body.block);
    Ok(is_open.then_some(votes))
}

/// A block of an emergency with which governance has resumed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenResume {
    pub height: Height,
    pub block: BlockId,
    /// Of the message.
    pub sequence: u64,
}

/// The last resume within an emergency on the applied branch that no certificate covers.
pub fn open_resume<S: ChainStore + ?Sized>(store: &S) -> Result<Option<OpenResume>, StateError> {
    let Some(mut era) = store.latest_era()? else {
        return Ok(None);
    };
    let certified = store.certified_height()?;
    while era.anchor_height > certified {
        let before = era_before(store, &era)?;
        // Of one emergency another one follows by a resume only (rule E11 of the ledger).
        if (before.kind, era.kind) == (EraKind::Emergency, EraKind::Emergency) {
            let block = store.block_at(era.anchor_height)?;
            let message = block.and_then(|block| block.body.governance);
            return Ok(message.map(|message| OpenResume {
                height: era.anchor_height,
                block: era.anchor,
                sequence: message.body.sequence,
            }));
        }
        era = before;
    }
    Ok(None)
}

/// What counts of the applied branch before its length.
pub fn branch_rank<S: ChainStore + ?Sized>(store: &S) -> Result<BranchRank, StateError> {
    Ok(BranchRank {
        resumed: open_resume(store)?.map_or(0, |resume| resume.sequence),
        voted: open_end_votes(store)?.map(|votes| votes.body.era),
        era: store.latest_era()?.map_or(Era::ZERO, |era| era.era),
    })
}

/// The era whose DAG stopped before the lowest emergency on the applied branch that no certificate covers; none if there is no
/// such emergency.
pub fn era_below_emergency<S: ChainStore + ?Sized>(
    store: &S,
) -> Result<Option<EraContext>, StateError> {
    let Some(mut era) = store.latest_era()? else {
        return Ok(None);
    };
    let start = provisional_from(store, era.clone(), store.certified_height()?)?;
    let Some(start) = start else { return Ok(None) };
    while era.anchor_height >= start {
        era = era_before(store, &era)?;
    }
    Ok(Some(era))
}

fn era_before<S: ChainStore + ?Sized>(
    store: &S,
    era: &EraContext,
) -> Result<EraContext, StateError> {
    let before = era.era.previous();
    store.era(before)?.ok_or_else(|| StateError {
        reason: format!("the store lacks the context of era {before}"),
    })
}

/// The blocks above `certified` that end an emergency of the applied branch, whose last era is `era`; highest first.
pub(crate) fn uncertified_ends<S: ChainStore + ?Sized>(
    store: &S,
    mut era: EraContext,
    certified: Height,
) -> Result<Vec<(Height, BlockId)>, StateError> {
    let mut ends = Vec::new();
    while era.anchor_height > certified {
        let before = era_before(store, &era)?;
        if era.kind == EraKind::Dag && before.kind == EraKind::Emergency {
            ends.push((era.anchor_height, era.anchor));
        }
        era = before;
    }
    Ok(ends)
}

/// The lowest block of an emergency that stands on the applied branch, whose last era is `era`, above `certified`.
pub(crate) fn provisional_from<S: ChainStore + ?Sized>(
    store: &S,
    mut era: EraContext,
    certified: Height,
) -> Result<Option<Height>, StateError> {
    let mut lowest = None;
    while era.anchor_height > certified {
        if era.kind == EraKind::Emergency {
            lowest = Some(era.anchor_height);
        }
        era = era_before(store, &era)?;
    }
    Ok(lowest)
}
