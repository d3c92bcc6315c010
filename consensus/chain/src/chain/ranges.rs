//! Where a range of blocks from a peer stands.

use super::position::era_after;
use super::{Chain, ChainError};
use crate::forks::ForkEntry;
use crate::store::ChainStore;
use crate::sync::{ProvenRange, RangeError, verify_range};
use holdfast_types::wire::BlocksResponse;
use holdfast_types::{BlockId, EraContext, Height};

impl Chain {
    /// Checks that `response` continues the head, another block of the fork database or an applied one that nobody has
    /// certified more than, within the era that holds there, and that its certificate proves it. A refusal is the sender's
    /// fault, or the blocks do not link to what is here.
    pub fn verify_range<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        response: BlocksResponse,
    ) -> Result<Result<ProvenRange, RangeError>, ChainError> {
        let Some(first) = response.blocks.first() else {
            return Ok(Err(RangeError::Empty));
        };
        let (height, parent) = (first.header.height, first.header.parent);
        let start = match self.forks.get(&parent) {
            Some(start) => *start,
            None => match self.applied_entry(store, height.previous(), parent)? {
                Some(start) => start,
                None => return Ok(Err(RangeError::Unlinked { height })),
            },
        };
        let context = self.era_on(store, &start)?;
        Ok(verify_range(
            response,
            (start.height, start.id),
            &self.maker.chain,
            &context,
            self.maker.scheme.as_ref(),
        ))
    }

    /// An applied block at or above the last certified one, where LIB of an emergency has passed it (rule C16).
    fn applied_entry<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        height: Height,
        id: BlockId,
    ) -> Result<Option<ForkEntry>, ChainError> {
        if height < self.position.certified || store.block_id_at(height)? != Some(id) {
            return Ok(None);
        }
        let block = store.block_at(height)?;
        Ok(block.map(|block| ForkEntry::of(id, &block.header)))
    }

    /// The era of the blocks on a block of the fork database or of the applied branch.
    pub(super) fn era_on<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        start: &ForkEntry,
    ) -> Result<EraContext, ChainError> {
        if start.id == self.position.head.1 {
            return Ok(EraContext::clone(&self.position.era));
        }
        let anchor = self.forks.era_anchor(&start.id);
        for id in [Some(start.id), anchor].into_iter().flatten() {
            let block = store.block(&id)?.ok_or_else(|| {
                ChainError::incomplete(format!("block {id} of the fork database"))
            })?;
            if let Some(context) = era_after(&id, &block) {
                return Ok(context);
            }
        }
        // The era began at or below the root: it is the one of the applied branch.
        store
            .era(start.era)?
            .ok_or_else(|| ChainError::incomplete(format!("the context of era {}", start.era)))
    }
}
