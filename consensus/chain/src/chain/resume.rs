//! Starting again after a halt (rule C14).
//!
//! An order is a resume message of governance, or what the votes of the validators say after a lockdown (document 000).
//!
//! * R1. A resume names the block to build on, its state, and the era that ends with the block that it makes. That era is the
//!   one of the blocks on the named block.
//! * R2. The named block is applied here, in an emergency possibly below LIB, which is provisional then, and no certified block is
//!   above or beside it, here or elsewhere as far as known.
//! * R3. The governors of the state after the named block have signed the message. Who votes for a recovery was verified outside:
//!   the block that it makes holds none of the votes, so it is the same whoever has counted them.
//! * R4. The resume block is the child of the named block. All that does not lead to it leaves: the blocks above the named
//!   one, and other branches. None of it is certified, so it can only come back with a certificate, which outranks a resume
//!   block that has none.
//! * R5. One resume for an era: after it the era is over, so another message that ends it is settled.
//! * R6. A block that ends an era, by its epoch or by a resume, is certified before it is resumed on: so certificates chain
//!   from one committee to the next for everybody who comes later.

use super::assembly::{BlockMaker, Draft, Source};
use super::error::ResumeRefusal;
use super::judging::governors;
use super::position::Position;
use super::step::{Step, Work};
use super::switching::Extension;
use super::{Chain, ChainError};
use crate::forks::ForkDatabase;
use crate::staged::Staged;
use crate::store::ChainStore;
use holdfast_types::{
    Block, BlockId, BlockOrigin, BlockPoint, Era, EraKind, GovernanceAction, Height, ResumeOrder,
    ResumePoint,
};

/// Blocks to take back, highest first.
type Pop = Vec<(Height, BlockId)>;

impl Chain {
    /// Builds the block with which a halted chain goes on. None: it is applied already.
    pub fn resume<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        order: &ResumeOrder,
    ) -> Result<Result<Option<Step>, ResumeRefusal>, ChainError> {
        let Some(named) = order.point() else {
            return Ok(Err(ResumeRefusal::NotResume));
        };
        if self.is_resumed(store, &named, order)? {
            return Ok(Ok(None));
        }
        let pop = match self.way_back(store, &named)? {
            Ok(pop) => pop,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let is_deep = named.height < self.forks.root().0;
        let staged = if is_deep {
            Staged::unwound(store, &pop)?
        } else {
            Staged::below(store, &pop)?
        };
        let mut position = self.position.clone();
        if is_deep {
            position = self.back_at(&staged, named.height)?;
        } else if !pop.is_empty() {
            position = position.back_on(&staged, &self.maker)?;
        }
        if let Err(refusal) = self.maker.check_resume(&staged, &position, order)? {
            return Ok(Err(refusal));
        }
        let draft = self.maker.resume_draft(&staged, &position, order.clone())?;
        let (applied, lib) = self.maker.execute(&staged, &position, draft)?;
        let ResumePoint { era, height, .. } = named;
        if let Some(certified) = self.awaiting.other_above(height, era, &applied.id) {
            return Ok(Err(ResumeRefusal::BelowCertified { certified }));
        }
        let tree = is_deep
            .then(|| self.replant(&staged, &position))
            .transpose()?;
        let tree = tree.map(|tree| (tree, position.clone()));
        let (executed, horizon) = position.advance(&applied, lib, &self.maker.parameters);
        let extension = Extension {
            position,
            applied: vec![applied],
            executed: vec![executed],
            horizon,
        };
        self.start_again(store, named.block, (pop, tree), extension)
            .map(Ok)
    }

    /// The certified block that excludes what is ordered, if there is one (R2). Nothing is made.
    pub fn excludes<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        order: &ResumeOrder,
    ) -> Result<Option<ResumeRefusal>, ChainError> {
        let Some(named) = order.point() else {
            return Ok(None);
        };
        if self.is_resumed(store, &named, order)? {
            return Ok(None);
        }
        let refusal = self.way_back(store, &named)?.err();
        Ok(refusal.filter(|refusal| matches!(refusal, ResumeRefusal::BelowCertified { .. })))
    }

    /// Makes the resume block the head and lets go of what does not lead to it.
    fn start_again<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        named: BlockId,
        (pop, tree): (Pop, Option<(ForkDatabase, Position)>),
        extension: Extension,
    ) -> Result<Option<Step>, ChainError> {
        let mut work = Work::default();
        if let Some((tree, position)) = tree {
            let below = Staged::unwound(store, &pop)?;
            work.step.returned = self.returned_to(&below, store, &pop, &extension.applied)?;
            self.let_go(tree, position, pop, &mut work);
        } else {
            work.step.returned = self.returned(store, &pop, &extension.applied)?;
            work.step.batch.pop = pop;
            work.drop_forks(self.forks.cut_back(named)?);
        }
        for applied in &extension.applied {
            self.insert_own(applied, &mut work)?;
        }
        self.adopt(extension, &mut work)?;
        Ok(work.finish(&self.forks))
    }

    /// Whether the block of this order is on the applied branch.
    fn is_resumed<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        named: &ResumePoint,
        order: &ResumeOrder,
    ) -> Result<bool, ChainError> {
        let block = store.block_at(named.height.next())?;
        let origin = order.origin(&self.maker.chain);
        let is_it = |block: Block| {
            // A recovery has no other name than its place.
            let stands = (block.header.era, block.header.parent) == (named.era, named.block);
            block.header.origin == origin && (stands || order.message().is_some())
        };
        Ok(block.is_some_and(is_it))
    }

    /// The blocks above the named one (R1, R2 and R5).
    fn way_back<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        named: &ResumePoint,
    ) -> Result<Result<Pop, ResumeRefusal>, ChainError> {
        let running = self.position.era.era;
        let wrong_era = |expected| {
            Err(ResumeRefusal::WrongEra {
                expected,
                actual: named.era,
            })
        };
        let Some((pop, era)) = self.blocks_to_leave(store, named)? else {
            let is_ahead = named.era >= running && named.height > self.position.head.0;
            if named.era != running && !is_ahead {
                return Ok(wrong_era(running));
            }
            return self.not_applied(store, named).map(Err);
        };
        // Nobody certifies the block with which an emergency begins.
        let block = store.block(&named.block)?;
        let end = block.and_then(|block| block.body.era_end);
        let ends_era = end.is_some_and(|end| end.next_kind == EraKind::Dag);
        if ends_era && named.height > self.position.certified {
            let height = named.height;
            return Ok(Err(ResumeRefusal::Uncertified { height }));
        }
        if named.era != era {
            return Ok(wrong_era(era));
        }
        for (_, id) in &pop {
            let block = store
                .block(id)?
                .ok_or_else(|| ChainError::incomplete(format!("the applied block {id}")))?;
            let origin = &block.header.origin;
            if matches!(origin, BlockOrigin::Resumed { .. } | BlockOrigin::Recovered) {
                return Ok(wrong_era(running));
            }
        }
        if let Some((certified, id)) = self.forks.highest_certified()
            && certified > self.position.certified.min(named.height)
            && self.forks.ancestor_at(&named.block, certified) != Some(id)
        {
            return Ok(Err(ResumeRefusal::BelowCertified { certified }));
        }
        Ok(Ok(pop))
    }

    /// The applied blocks above the named one, and the era that follows it, if it is applied and may be taken as the head. In an emergency
    /// that is so down to what is certified: LIB is provisional.
    fn blocks_to_leave<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        named: &ResumePoint,
    ) -> Result<Option<(Pop, Era)>, ChainError> {
        let applied = self.forks.blocks_above(&named.block);
        if let Some((pop, entry)) = applied.zip(self.forks.get(&named.block)) {
            return Ok(Some((pop, self.era_on(store, entry)?.era)));
        }
        let is_below_root = named.height < self.forks.root().0
            && named.height >= self.position.certified
            && store.block_id_at(named.height)? == Some(named.block)
            && self.is_provisional(store)?;
        let block = store.block_at(named.height)?;
        let Some(block) = block.filter(|_| is_below_root) else {
            return Ok(None);
        };
        Ok(Some((self.above(store, named.height)?, block.next_era())))
    }

    /// Why the named block is not one of those that can be taken as the head.
    fn not_applied<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        named: &ResumePoint,
    ) -> Result<ResumeRefusal, ChainError> {
        let height = named.height;
        if height > self.position.head.0 {
            return Ok(ResumeRefusal::Behind { height });
        }
        let ours = store.block_id_at(height)?.zip(store.block_at(height)?);
        let is_open = height > self.position.certified;
        Ok(match ours {
            Some((ours, block)) if ours != named.block && is_open => ResumeRefusal::Differs {
                height,
                ours,
                state_root: block.header.state_root,
            },
            // A quorum has certified another one, or it is ours, but below the root, or pruned.
            Some(_) | None => ResumeRefusal::BelowCertified {
                certified: self.position.certified.max(self.position.irreversible),
            },
        })
    }
}

impl BlockMaker {
    /// Whether an order lets the chain go on from the head of a branch (R1 and R3).
    pub(super) fn check_resume<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        order: &ResumeOrder,
    ) -> Result<Result<(), ResumeRefusal>, ChainError> {
        let Some(named) = order.point() else {
            return Ok(Err(ResumeRefusal::NotResume));
        };
        let expected = position.era.era;
        if named.era != expected {
            let actual = named.era;
            return Ok(Err(ResumeRefusal::WrongEra { expected, actual }));
        }
        let (height, ours) = position.head;
        let head = store
            .block_at(height)?
            .ok_or_else(|| ChainError::incomplete(format!("its head block {height}")))?;
        let state_root = head.header.state_root;
        if (named.height, named.block, named.state_root) != (height, ours, state_root) {
            return Ok(Err(ResumeRefusal::Differs {
                height,
                ours,
                state_root,
            }));
        }
        let Some(message) = order.message() else {
            // Whoever has the quorum is in no emergency.
            let is_dag = position.era.kind == EraKind::Dag;
            return Ok(is_dag.then_some(()).ok_or(ResumeRefusal::InEmergency));
        };
        let scheme = self.scheme.as_ref();
        let verified = message.verify(&self.chain, &governors(store)?, scheme);
        Ok(verified.map_err(ResumeRefusal::Governance))
    }

    /// The recovery from the head of a branch.
    pub(super) fn recovery_on<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
    ) -> Result<ResumeOrder, ChainError> {
        let (height, block) = position.head;
        let head = store
            .block_at(height)?
            .ok_or_else(|| ChainError::incomplete(format!("its head block {height}")))?;
        Ok(ResumeOrder::Recovery {
            era: position.era.era,
            point: BlockPoint {
                height,
                block,
                state_root: head.header.state_root,
            },
        })
    }

    /// What the order brings to execution. Evidence that does not hold is left out, as everywhere.
    pub(super) fn resume_draft<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        order: ResumeOrder,
    ) -> Result<Draft, ChainError> {
        let evidence = match order.message().map(|message| &message.body.action) {
            Some(GovernanceAction::Resume { evidence, .. }) => evidence.clone(),
            _ => Vec::new(),
        };
        Ok(Draft {
            source: Source::Resume(order),
            transactions: Vec::new(),
            supports: Vec::new(),
            evidence: self.valid_evidence(store, position, evidence)?,
        })
    }
}
