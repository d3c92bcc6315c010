//! The way to the best branch (rules C8 and C11).

use super::assembly::BlockMaker;
use super::position::Position;
use super::step::{ExecutedBlock, RejectedBranch, Step, Work, nonce_after};
use super::{Chain, ChainError, tie_break_of};
use crate::forks::{ForkEntry, ForkError, Inserted, SwitchPlan};
use crate::staged::Staged;
use crate::store::{AppliedBlock, ChainStore};
use crate::sync::ProvenRange;
use holdfast_ledger::account;
use holdfast_types::{Block, BlockId, Height, SignedTransaction};
use std::collections::BTreeSet;

/// Blocks that were executed on a common ancestor or on the head, and where they lead.
#[derive(Debug)]
pub(super) struct Extension {
    pub(super) position: Position,
    pub(super) applied: Vec<AppliedBlock>,
    pub(super) executed: Vec<ExecutedBlock>,
    /// Below it undo records may go.
    pub(super) horizon: Option<Height>,
}

/// What came of executing a plan.
enum Attempt {
    Done(Box<Extension>),
    /// This block does not execute, for this reason.
    Invalid(BlockId, ChainError),
}

impl Chain {
    /// Takes blocks of a proven range until one changes the chain, and says how. Call it until it gives none; each step is
    /// to be written before the next call.
    pub fn import<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        range: &mut ProvenRange,
    ) -> Result<Option<Step>, ChainError> {
        let mut work = Work::default();
        if !range.noted {
            self.note(store, range.certificate.clone(), &mut work)?;
            range.noted = true;
        }
        if self.outranking.is_some() {
            self.settle(store, &mut work)?;
            // What it stands on may be taken back with an emergency that the certificate outranks: then it comes again (U2).
            let stands = |(_, first): &(BlockId, Block)| {
                let height = first.header.height;
                height <= self.forks.root().0 || self.forks.contains(&first.header.parent)
            };
            if !range.blocks.front().is_some_and(stands) {
                range.blocks.clear();
            }
            return Ok(work.finish(&self.forks));
        }
        while let Some((id, block)) = range.blocks.pop_front() {
            if block.header.height <= self.forks.root().0 {
                // It is ours: the certificate says nothing else.
                continue;
            }
            self.insert_proven(id, block, &mut work)?;
            if !work.step.batch.certificates.is_empty() {
                self.check_contradiction(store, &work)?;
            }
            self.settle(store, &mut work)?;
            if !work.step.batch.apply.is_empty() {
                return Ok(work.finish(&self.forks));
            }
        }
        self.settle(store, &mut work)?;
        Ok(work.finish(&self.forks))
    }

    /// Goes to the best branch of those that are known, if the head is not on it. For after [`Chain::open`]: every other
    /// input goes there by itself.
    pub fn choose<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
    ) -> Result<Option<Step>, ChainError> {
        let mut work = Work::default();
        work.drop_forks(std::mem::take(&mut self.leftovers));
        if self.outranking.is_none() {
            self.resume_unwinding(store)?;
        }
        self.settle(store, &mut work)?;
        Ok(work.finish(&self.forks))
    }

    /// Switches to the best branch that executes. Every turn but the last takes a branch out of the choice.
    pub(super) fn settle<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        if let Some(outranking) = self.outranking.take() {
            return self.unwind(store, outranking, work);
        }
        let turns_max = self.forks.len();
        for _ in 0..=turns_max {
            let plan = match self.forks.switch_plan() {
                Ok(Some(plan)) => plan,
                Ok(None) => return Ok(()),
                Err(ForkError::ContradictoryCertificates { applied, other }) => {
                    return Err(self.contradiction(store, work, applied, other)?);
                }
                Err(error) => return Err(error.into()),
            };
            match self.attempt(store, &plan, work)? {
                Attempt::Done(extension) => {
                    work.step.returned = self.returned(store, &plan.pop, &extension.applied)?;
                    work.step.batch.pop = plan.pop;
                    return self.adopt(*extension, work);
                }
                Attempt::Invalid(block, cause) => self.reject(block, cause, work)?,
            }
        }
        Err(ChainError::NoProgress {
            head: self.position.head.0,
        })
    }

    /// Executes a plan on a view of the store. Nothing changes here or in the store.
    fn attempt<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        plan: &SwitchPlan,
        work: &Work,
    ) -> Result<Attempt, ChainError> {
        let mut staged = Staged::below(store, &plan.pop)?;
        let mut position = self.position.clone();
        if !plan.pop.is_empty() {
            position = position.back_on(&staged, &self.maker)?;
        }
        let mut extension = Extension {
            position,
            applied: Vec::with_capacity(plan.apply.len()),
            executed: Vec::with_capacity(plan.apply.len()),
            horizon: None,
        };
        for id in &plan.apply {
            if let (Some(last), Some(executed)) =
                (extension.applied.last(), extension.executed.last())
            {
                let era = executed.next_era.as_deref().cloned();
                staged.apply(last.clone(), era)?;
            }
            let stored;
            let block = match work.fresh.get(id) {
                Some(block) => block,
                None => {
                    stored = store.block(id)?.ok_or_else(|| {
                        ChainError::incomplete(format!("block {id} of the fork database"))
                    })?;
                    &stored
                }
            };
            match extend(&self.maker, &staged, &mut extension, block) {
                Ok(()) => {}
                Err(error) if error.is_of_block() => return Ok(Attempt::Invalid(*id, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(Attempt::Done(Box::new(extension)))
    }

    /// Takes a branch that does not execute out of the choice, from this block on. If a quorum has executed it, it is this
    /// node that is wrong.
    fn reject(
        &mut self,
        block: BlockId,
        cause: ChainError,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        let known = self.forks.len();
        match self.forks.mark_invalid(block) {
            Ok(dropped) => work.drop_forks(dropped),
            Err(ForkError::InvalidIsCertified { .. }) => return Err(cause),
            Err(error) => return Err(error.into()),
        }
        if self.forks.len() >= known {
            return Err(ChainError::NoProgress {
                head: self.position.head.0,
            });
        }
        work.step.rejected.push(RejectedBranch {
            block,
            reason: cause.to_string(),
        });
        Ok(())
    }

    /// Transactions of the blocks to pop, highest first, that still can execute after the switch: their nonce is unused. A
    /// place on the chain that stays says nothing: they may have come too early there.
    pub(super) fn returned<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        pop: &[(Height, BlockId)],
        applied: &[AppliedBlock],
    ) -> Result<Vec<SignedTransaction>, ChainError> {
        if pop.is_empty() {
            return Ok(Vec::new());
        }
        self.returned_to(&Staged::below(store, pop)?, store, pop, applied)
    }

    /// The same, where the view of the store without these blocks is at hand.
    pub(super) fn returned_to<S: ChainStore + ?Sized>(
        &self,
        below: &Staged<'_, S>,
        store: &S,
        pop: &[(Height, BlockId)],
        applied: &[AppliedBlock],
    ) -> Result<Vec<SignedTransaction>, ChainError> {
        let mut seen = BTreeSet::new();
        let mut returned = Vec::new();
        for (_, id) in pop.iter().rev() {
            let block = store
                .block(id)?
                .ok_or_else(|| ChainError::incomplete(format!("the applied block {id}")))?;
            for transaction in block.body.transactions {
                let sender = &transaction.body.sender;
                let mut executed = applied.iter().rev();
                let nonce = executed.find_map(|applied| nonce_after(&applied.changes, sender));
                let nonce = match nonce {
                    Some(nonce) => Some(nonce),
                    None => account(below, sender)?.map(|account| account.nonce),
                };
                let is_unused = nonce.is_none_or(|nonce| nonce <= transaction.body.nonce);
                if is_unused && seen.insert(transaction.body.id(&self.maker.chain)) {
                    returned.push(transaction);
                }
            }
        }
        Ok(returned)
    }

    /// Makes executed blocks of the fork database the end of the applied branch.
    pub(super) fn adopt(
        &mut self,
        extension: Extension,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        let Extension {
            position,
            applied,
            executed,
            horizon,
        } = extension;
        let head = position.head.1;
        self.forks.set_head(head)?;
        self.forks.set_tie_break(tie_break_of(&position));
        self.position = position;
        if let Some((height, id)) = self.forks.highest_certified()
            && self.forks.ancestor_at(&head, height) == Some(id)
        {
            self.position.certified = self.position.certified.max(height);
        }
        let batch = &mut work.step.batch;
        batch.apply = applied;
        batch.prune_undo_below = horizon;
        let eras = executed
            .iter()
            .filter_map(|block| block.next_era.as_deref());
        batch.start_eras = eras.cloned().collect();
        work.step.executed = executed;
        self.advance_root(work)
    }

    /// The fork database begins at the last irreversible block.
    fn advance_root(&mut self, work: &mut Work) -> Result<(), ChainError> {
        let irreversible = self.position.irreversible;
        if irreversible <= self.forks.root().0 {
            return Ok(());
        }
        let (height, head) = self.position.head;
        let id = self
            .forks
            .ancestor_at(&head, irreversible)
            .ok_or(ForkError::BrokenBranch { id: head, height })?;
        let pruned = self.forks.advance_root(id)?;
        self.awaiting.forget_up_to(irreversible);
        work.drop_forks(pruned);
        work.step.batch.irreversible = Some(irreversible);
        Ok(())
    }

    /// Puts a block that this node has just executed on its head into the fork database.
    pub(super) fn insert_own(
        &mut self,
        applied: &AppliedBlock,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        let id = applied.id;
        let header = &applied.block.header;
        // It may have left the tree in this very step.
        let removed = &mut work.step.batch.remove_forks;
        removed.retain(|(_, removed)| *removed != id);
        match self.forks.insert(ForkEntry::of(id, header)) {
            Inserted::Rejected { .. } => Err(ChainError::NotDeterministic {
                height: header.height,
                block: id,
            }),
            inserted => self.inserted(id, &applied.block, inserted, work),
        }
    }

    /// Puts a block that a certificate proves into the fork database.
    fn insert_proven(
        &mut self,
        id: BlockId,
        block: Block,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        let inserted = self.forks.insert(ForkEntry::of(id, &block.header));
        if inserted == Inserted::Known {
            return Ok(());
        }
        self.inserted(id, &block, inserted, work)?;
        work.keep_fork(id, block);
        Ok(())
    }

    pub(super) fn inserted(
        &mut self,
        id: BlockId,
        block: &Block,
        inserted: Inserted,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        let height = block.header.height;
        match inserted {
            Inserted::Linked { dropped, .. } => {
                work.drop_forks(dropped);
                self.take_awaited(height, &id, work);
                Ok(())
            }
            Inserted::Known => Ok(()),
            Inserted::Rejected { .. } => Err(ChainError::CertifiedRejected { height, block: id }),
            Inserted::Full => Err(ChainError::ForkDatabaseFull {
                height,
                irreversible: self.position.irreversible,
            }),
            // Who calls has made sure that the parent is here.
            Inserted::BelowRoot | Inserted::Unlinked { .. } | Inserted::TooFar { .. } => {
                let id = block.header.parent;
                Err(ForkError::UnknownBlock { id }.into())
            }
        }
    }
}

/// Executes the next block of a branch.
pub(super) fn extend<S: ChainStore + ?Sized>(
    maker: &BlockMaker,
    staged: &Staged<'_, S>,
    extension: &mut Extension,
    block: &Block,
) -> Result<(), ChainError> {
    let (applied, lib) = maker.replay(staged, &extension.position, block)?;
    let (executed, horizon) = extension.position.advance(&applied, lib, &maker.parameters);
    extension.horizon = horizon.or(extension.horizon);
    extension.applied.push(applied);
    extension.executed.push(executed);
    Ok(())
}
