//! The blocks of an emergency above the base: executed as those of a peer are (rule SN5).

use super::SnapshotChain;
use crate::snapshot::error::SnapshotError;
use crate::storage::Storage;
use holdfast_chain::{Branch, Chain, Step};
use holdfast_types::{Block, BlockId, BlockOrigin, Height, ResumeOrder};
use std::sync::Arc;

/// Blocks executed at once: bounds what is held in memory.
const BRANCH_BLOCKS: usize = 256;

/// A chain that goes on from the base.
pub(super) struct Following<'a> {
    storage: &'a Storage,
    chain: Chain,
    /// Blocks that wait to be executed together.
    branch: Vec<Block>,
}

impl<'a> Following<'a> {
    pub(super) fn begin(storage: &'a Storage, of: &SnapshotChain) -> Result<Self, SnapshotError> {
        let chain = Chain::open(
            storage,
            of.id,
            Arc::clone(&of.parameters),
            Arc::clone(&of.scheme),
        )?;
        Ok(Self {
            storage,
            chain,
            branch: Vec::new(),
        })
    }

    pub(super) fn take(&mut self, block: Block) -> Result<(), SnapshotError> {
        let is_emergency = match block.header.origin {
            BlockOrigin::Resumed { .. } => return self.resume(&block),
            BlockOrigin::Emergency { .. } => true,
            // What ends a lockdown is of no emergency: a certificate stands for it.
            BlockOrigin::Dag { .. } | BlockOrigin::Recovered | BlockOrigin::Genesis => false,
        };
        self.branch.push(block);
        // Blocks of the DAG that nobody certified are taken with an emergency that stands on them.
        if is_emergency && self.branch.len() >= BRANCH_BLOCKS {
            return self.execute();
        }
        Ok(())
    }

    /// Executes what is left; then the head must be `top`.
    pub(super) fn finish(mut self, top: (Height, BlockId)) -> Result<(), SnapshotError> {
        self.execute()?;
        let head = self.chain.head();
        if head != top {
            return Err(SnapshotError::WrongTop {
                expected: top.0,
                actual: head.0,
            });
        }
        Ok(())
    }

    fn execute(&mut self) -> Result<(), SnapshotError> {
        let branch = std::mem::take(&mut self.branch);
        let Some(from) = branch.first().map(|block| block.header.height) else {
            return Ok(());
        };
        let branch = Branch {
            blocks: branch,
            ..Branch::default()
        };
        let step = self.chain.offer_branch(self.storage, branch)?;
        let step = step.map_err(|refusal| SnapshotError::BlocksRefused { from, refusal })?;
        self.apply(step)
    }

    /// A resume within an emergency is a block that every node makes of the message.
    fn resume(&mut self, block: &Block) -> Result<(), SnapshotError> {
        self.execute()?;
        let Some(message) = &block.body.governance else {
            return Ok(());
        };
        let height = block.header.height;
        let order = ResumeOrder::Governance(message.clone());
        let step = self.chain.resume(self.storage, &order)?;
        let step = step.map_err(|refusal| SnapshotError::ResumeRefused { height, refusal })?;
        self.apply(step)
    }

    fn apply(&self, step: Option<Step>) -> Result<(), SnapshotError> {
        if let Some(step) = step {
            self.storage.apply(step.batch)?;
        }
        Ok(())
    }
}
