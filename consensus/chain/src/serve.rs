//! Answers to peers that ask for blocks.

use crate::store::ChainStore;
use holdfast_ledger::StateError;
use holdfast_types::Block;
use holdfast_types::wire::{BlocksRequest, BlocksResponse};

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
/// end of this one; and of these the longest prefix whose last block is certified.
pub fn provable_prefix<S: ChainStore + ?Sized>(
    store: &S,
    mut blocks: Vec<Block>,
) -> Result<BlocksResponse, StateError> {
    if let Some(era) = blocks.first().map(|block| block.header.era) {
        let of_era = blocks.iter().take_while(|block| block.header.era == era);
        blocks.truncate(of_era.count());
    }
    while let Some(last) = blocks.last() {
        let certificate = store.certificate(last.header.height)?;
        if certificate.is_some() {
            return Ok(BlocksResponse {
                blocks,
                certificate,
            });
        }
        blocks.pop();
    }
    Ok(BlocksResponse {
        blocks,
        certificate: None,
    })
}
