//! A certificate against the blocks of an emergency (rule C16).
//!
//! * U1. Emergency blocks, and what stands on them, are irreversible only provisionally: until something above them is
//!   certified, a certificate that excludes them outranks them, however many they are and wherever LIB is (DESIGN §5).
//! * U2. Then everything above the last certified block is taken back, in steps of at most [`UNWOUND_MAX`] blocks. Each step
//!   gets lower, and undo records are kept as far back. The blocks of the certified branch come by block sync.
//!   While the certified block is missing here, no emergency block is made or taken: it would only be taken back.
//! * U3. What of the unwound transactions can still execute is given back.
//! * U4. Two parts of a network that were in an emergency without each other have two branches, each irreversible there. The
//!   longer one wins, of equally long ones the one with the lower id, if it forks off above what is certified and at most
//!   `fork_db_max` blocks below the head. All of it is shown and executed before anything is taken back.
//!
//! Open, and to be solved before a node makes emergency blocks:
//!
//! * A step takes at most [`UNWOUND_MAX`] blocks back, and the next one waits for another certificate.
//! * [`Chain::verify_range`] starts in the fork database, so block sync alone does not bring the certificate to a node whose
//!   emergency went past it.
//! * The last blocks of a DAG that stopped may be executed by some nodes only and certified by nobody: a branch that begins
//!   an emergency on them can be followed by nobody else.
//! * After a second emergency whose predecessor was never certified, a certificate against the first one is a contradiction.

use super::position::Position;
use super::step::{Step, Work, nonce_after};
use super::switching::{Extension, extend};
use super::{Chain, ChainError, OfferRefusal, UNLINKED_MAX, tie_break_of};
use crate::chain::certificates::Awaiting;
use crate::forks::{ForkDatabase, ForkEntry};
use crate::staged::Staged;
use crate::store::ChainStore;
use holdfast_types::{Block, BlockId, BlockOrigin, Certificate, Height};

/// Most blocks in one step: what has to fit into one batch.
const UNWOUND_MAX: u64 = 4_096;

impl Chain {
    /// Whether a verified certificate excludes emergency blocks that the fork database cannot take back any more (U1).
    pub(super) fn is_outranked<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        ours: Option<BlockId>,
        certificate: &Certificate,
    ) -> Result<bool, ChainError> {
        let position = &self.position;
        if position.irreversible <= position.certified {
            return Ok(false);
        }
        let properties = holdfast_ledger::dynamic_properties(store)?
            .ok_or_else(|| ChainError::incomplete("the dynamic properties"))?;
        let start = properties.emergency_consensus_start_block;
        let body = &certificate.body;
        let is_provisional = start > position.certified;
        // On our branch the era of the certificate ended with the block that began the emergency.
        let is_of_other_branch = body.height <= position.head.0 || body.era < position.era.era;
        Ok(
            is_provisional
                && body.height >= start
                && ours != Some(body.block)
                && is_of_other_branch,
        )
    }

    /// Takes blocks back down to the last certified one, or as many as one step may (U2).
    pub(super) fn unwind<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        let (head, _) = self.position.head;
        let target = self.position.certified.max(head.minus(UNWOUND_MAX));
        let pop = self.above(store, target)?;
        let staged = Staged::unwound(store, &pop)?;
        let position = self.back_at(&staged, target)?;
        work.step.returned = self.returned_to(&staged, store, &pop, &[])?;
        let tree = self.replant(&staged, &position)?;
        self.let_go(tree, position, pop, work);
        Ok(())
    }

    /// Takes a branch of emergency blocks of a peer instead of the own one, if it is better (U4).
    pub fn offer_branch<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        mut blocks: Vec<Block>,
    ) -> Result<Result<Option<Step>, OfferRefusal>, ChainError> {
        // What the tree has room for; the rest comes block by block.
        blocks.truncate(self.forks.config().blocks_max);
        let ancestor = match self.judge_branch(store, &blocks)? {
            Ok(ancestor) => ancestor,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let pop = self.above(store, ancestor)?;
        let mut staged = Staged::unwound(store, &pop)?;
        let position = self.back_at(&staged, ancestor)?;
        let tree = self.replant(&staged, &position)?;
        let mut returned = self.returned_to(&staged, store, &pop, &[])?;
        let mut extension = Extension {
            position: position.clone(),
            applied: Vec::with_capacity(blocks.len()),
            executed: Vec::with_capacity(blocks.len()),
            horizon: None,
        };
        for block in &blocks {
            // The producer's signature comes with the execution: its key is in the state of the branch.
            if let Err(refusal) = self.maker.check_contents(block) {
                return Ok(Err(refusal));
            }
            match extend(&self.maker, &staged, &mut extension, block) {
                Ok(()) => {}
                Err(error) if error.is_of_block() => {
                    let (height, reason) = (block.header.height, error.to_string());
                    return Ok(Err(OfferRefusal::Invalid { height, reason }));
                }
                Err(error) => return Err(error),
            }
            if let (Some(last), Some(executed)) =
                (extension.applied.last(), extension.executed.last())
            {
                staged.apply(last.clone(), executed.next_era.as_deref().cloned())?;
            }
        }
        returned.retain(|transaction| {
            let body = &transaction.body;
            let mut applied = extension.applied.iter().rev();
            let nonce = applied.find_map(|applied| nonce_after(&applied.changes, &body.sender));
            nonce.is_none_or(|nonce| nonce <= body.nonce)
        });
        let mut work = Work::default();
        work.step.returned = returned;
        self.let_go(tree, position, pop, &mut work);
        for applied in &extension.applied {
            self.insert_own(applied, &mut work)?;
        }
        self.adopt(extension, &mut work)?;
        Ok(Ok(work.finish(&self.forks)))
    }

    /// Where a better branch forks off.
    fn judge_branch<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        blocks: &[Block],
    ) -> Result<Result<Height, OfferRefusal>, ChainError> {
        let (chain, head) = (&self.maker.chain, self.position.head);
        if self.forks.awaits_certified() {
            return Ok(Err(OfferRefusal::Outranked));
        }
        let Some(first) = blocks.first() else {
            return Ok(Err(OfferRefusal::NotBetter));
        };
        let (ancestor, parent) = (first.header.height.previous(), first.header.parent);
        let is_deep = head.0.since(ancestor) > u64::from(self.maker.parameters.fork_db_max);
        if ancestor < self.position.certified || is_deep {
            return Ok(Err(OfferRefusal::TooDeep { ancestor }));
        }
        if ancestor > head.0 || store.block_id_at(ancestor)? != Some(parent) {
            return Ok(Err(OfferRefusal::Unlinked { parent }));
        }
        let mut tip = (ancestor, parent);
        for block in blocks {
            let header = &block.header;
            if !matches!(header.origin, BlockOrigin::Emergency { .. }) {
                return Ok(Err(OfferRefusal::NotEmergency));
            }
            if (header.height, header.parent) != (tip.0.next(), tip.1) {
                let parent = header.parent;
                return Ok(Err(OfferRefusal::Unlinked { parent }));
            }
            tip = (header.height, header.id(chain));
        }
        let is_better = tip.0 > head.0 || (tip.0 == head.0 && tip.1 < head.1);
        if !is_better {
            return Ok(Err(OfferRefusal::NotBetter));
        }
        // Before anything costs much: all that the committee account has produced, and the first block in any case.
        let committee = self.maker.parameters.emergency.validator_account;
        for (place, block) in blocks.iter().enumerate() {
            let is_committee = block.header.origin.producer() == Some(committee);
            if (place == 0 || is_committee)
                && let Err(refusal) = self.judge_producer(store, &block.header)?
            {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(ancestor))
    }

    /// The applied blocks above `height`, highest first.
    fn above<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        height: Height,
    ) -> Result<Vec<(Height, BlockId)>, ChainError> {
        let mut above = Vec::new();
        let mut at = self.position.head.0;
        while at > height {
            let id = store
                .block_id_at(at)?
                .ok_or_else(|| ChainError::incomplete(format!("block {at}")))?;
            above.push((at, id));
            at = at.previous();
        }
        Ok(above)
    }

    /// The position of a view in which everything above `height` is taken back.
    fn back_at<S: ChainStore + ?Sized>(
        &self,
        staged: &S,
        height: Height,
    ) -> Result<Position, ChainError> {
        let mut position = self.position.back_on(staged, &self.maker.chain)?;
        position.irreversible = position.irreversible.min(height);
        Ok(position)
    }

    /// Stands at `position` with this tree, and lets go of all that is not on the way there: the old tree, and what is taken back, which
    /// comes into the fork database with this step.
    fn let_go(
        &mut self,
        tree: ForkDatabase,
        position: Position,
        pop: Vec<(Height, BlockId)>,
        work: &mut Work,
    ) {
        let mut gone = self.forks.blocks();
        gone.extend(&pop);
        self.forks = tree;
        gone.retain(|(_, id)| !self.forks.contains(id));
        work.step.batch.remove_forks.extend(gone);
        work.step.batch.pop = pop;
        self.position = position;
        self.awaiting = Awaiting::new(UNLINKED_MAX);
    }

    /// The tree of the applied branch above what is irreversible.
    fn replant<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
    ) -> Result<ForkDatabase, ChainError> {
        let entry = |height: Height| -> Result<ForkEntry, ChainError> {
            let found = store.block_id_at(height)?.zip(store.block_at(height)?);
            let (id, block) =
                found.ok_or_else(|| ChainError::incomplete(format!("block {height}")))?;
            Ok(ForkEntry::of(id, &block.header))
        };
        let root = entry(position.irreversible)?;
        let mut forks = ForkDatabase::new(root, self.forks.config(), tie_break_of(position));
        let mut height = position.irreversible;
        while height < position.head.0 {
            height = height.next();
            forks.insert(entry(height)?);
        }
        forks.set_head(position.head.1)?;
        for certificate in store.certificates_above(position.irreversible)? {
            let body = &certificate.body;
            if forks.contains(&body.block) {
                forks.certify(body.height, body.block);
            }
        }
        Ok(forks)
    }
}
