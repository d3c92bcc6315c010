//! Answers to peers that ask for blocks.

use crate::store::ChainStore;
use holdfast_ledger::StateError;
use holdfast_types::wire::{BlocksRequest, BlocksResponse};
use holdfast_types::{Block, BlockOrigin};

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
/// end of this one; and of these the longest prefix whose last block is certified. If none is, and an emergency is among
/// them, the prefix that ends with its last block.
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
            });
        }
    }
    let of_emergency = |block: &Block| matches!(block.header.origin, BlockOrigin::Emergency { .. });
    let provisional = blocks.iter().rposition(of_emergency);
    blocks.truncate(provisional.map_or(0, |last| last.saturating_add(1)));
    Ok(BlocksResponse {
        blocks,
        certificate: None,
    })
}
