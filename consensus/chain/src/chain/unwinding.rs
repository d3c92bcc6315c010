//! A certificate against the blocks of an emergency (rule C16).
//!
//! * U1. Emergency blocks, and what stands on them, are irreversible only provisionally: until something above them is
//!   certified, a certificate that excludes them outranks them, however many they are and wherever LIB is (DESIGN §5).
//! * U2. Then everything from the first block of the emergency on is taken back, in steps of at most [`UNWOUND_MAX`] blocks
//!   until it is done, also over a restart. What is below came of the DAG that the certificate came of, too, unless governance
//!   has resumed the chain below it: then the fork choice takes the rest back. Undo records are kept as far back. The blocks of
//!   the certified branch come by block sync.
//!   While the certified block is missing here, no emergency block is made or taken: it would only be taken back.
//! * U3. What of the unwound transactions can still execute is given back.
//! * U4. Two parts of a network that were in an emergency without each other have two branches, each irreversible there. The
//!   longer one wins, of equally long ones the one with the lower id, if it forks off above what is certified and at most
//!   `fork_db_max` blocks below the head. All of it is shown and executed before anything is taken back.
//! * U5. The last blocks of a DAG that stopped may be executed by some nodes only and certified by nobody. They come with the
//!   branch whose emergency begins on them: whoever holds the emergency key has signed for all that is below. Of such blocks
//!   alone nothing is taken: no quorum stands for them.
//! * U6. The last block of an emergency is certified by the committee that it names. With this certificate a branch is better
//!   than one without, whatever its length. Without it a branch that has ended its emergency is still better than one that goes
//!   on in the same: those who have given their keys back have made its last blocks, and may have attested the end.
//!   A validator that has voted for an end leaves it for a certificate or a later era only, not for a longer branch or a lower id.
//! * U7. While a certified block is missing (U2), a branch that holds it, or that has ended with a certificate, is taken, whatever its
//!   length, and no other.
//! * U8. A commit of this node's own DAG outranks emergency blocks that leave it out, as a certificate does: its block may have
//!   been attested, by this validator or by one that sleeps, and all who see the vertices come to the same commits. So a branch
//!   whose emergency begins on fewer commits than this DAG has made is neither taken nor kept, unless it has ended with a
//!   certificate.

use super::assembly::BlockMaker;
use super::position::{Position, last_commit_of};
use super::step::{Step, Work, nonce_after};
use super::switching::{Extension, extend};
use super::{Chain, ChainError, OfferRefusal, UNLINKED_MAX, tie_break_of};
use crate::chain::certificates::Awaiting;
use crate::forks::{ForkDatabase, ForkEntry};
use crate::serve::provisional_from;
use crate::staged::Staged;
use crate::store::ChainStore;
use holdfast_dag::SubDag;
use holdfast_types::{
    Block, BlockHeader, BlockId, BlockOrigin, Certificate, CommitRecord, Era, EraContext, EraKind,
    Height,
};

/// What a branch of an emergency leaves out, which is being taken back because of it.
#[derive(Clone, Debug)]
pub(super) enum Outranking {
    /// The block of this certificate (U2).
    Certificate(Certificate),
    /// A commit of this node's own DAG (U8).
    Commit,
}

/// How far this node's own DAG has committed (U8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommittedUpTo {
    era: Era,
    index: u64,
}

impl CommittedUpTo {
    pub(super) const fn of(record: &CommitRecord) -> Self {
        Self {
            era: record.era,
            index: record.index,
        }
    }

    /// What a block stands for on which an emergency begins: all commits up to it, of the era that follows it. What an older
    /// era has committed beyond its end is void. None for a block that comes of no commit and ends no era.
    const fn of_block(header: &BlockHeader) -> Option<Self> {
        if header.next_committee.is_some() {
            return Some(Self {
                era: header.era.next(),
                index: 0,
            });
        }
        match header.origin {
            BlockOrigin::Dag { commit_index, .. } => Some(Self {
                era: header.era,
                index: commit_index,
            }),
            BlockOrigin::Genesis | BlockOrigin::Resumed { .. } | BlockOrigin::Emergency { .. } => {
                None
            }
        }
    }
}

/// Most blocks in one step: what has to fit into one batch.
const UNWOUND_MAX: u64 = if cfg!(test) { 64 } else { 4_096 };

impl Chain {
    /// The lowest block of an emergency that stands on the applied branch and that nobody has certified: from there on all is
    /// provisional.
    pub fn provisional_from<S: ChainStore + ?Sized>(
        &self,
        store: &S,
    ) -> Result<Option<Height>, ChainError> {
        let era = EraContext::clone(&self.position.era);
        Ok(provisional_from(store, era, self.position.certified)?)
    }

    /// True while blocks are being taken back in steps: [`Chain::choose`] goes on with it (U2).
    #[must_use]
    pub const fn is_unwinding(&self) -> bool {
        self.outranking.is_some()
    }

    /// Whether a verified certificate excludes blocks that the fork database cannot take back any more, because an emergency has
    /// made them irreversible (U1).
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
        let Some(start) = self.provisional_from(store)? else {
            return Ok(false);
        };
        let body = &certificate.body;
        // On our branch the era of the certificate ended with the block that began the emergency.
        let is_of_other_branch = body.height <= position.head.0 || body.era < position.era.era;
        if body.height <= position.certified || ours == Some(body.block) || !is_of_other_branch {
            return Ok(false);
        }
        Ok(body.height >= start || !self.is_of_our_dag(store, certificate)?)
    }

    /// Goes on with what a restart has interrupted (U2): the certificate is stored with the first step.
    pub(super) fn resume_unwinding<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
    ) -> Result<(), ChainError> {
        for certificate in store.certificates_above(self.position.certified)? {
            let ours = store.block_id_at(certificate.body.height)?;
            if self.is_outranked(store, ours, &certificate)? {
                self.outranking = Some(Outranking::Certificate(certificate));
            }
        }
        Ok(())
    }

    /// Whether a commit of the own DAG goes on where the emergency on the applied branch began (U8).
    pub(super) fn is_overtaken<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        sub_dag: &SubDag,
    ) -> Result<bool, ChainError> {
        let Some(start) = self.provisional_from(store)? else {
            return Ok(false);
        };
        let (record, base) = (&sub_dag.record, start.previous());
        let (Some(era), Some(block)) = (store.era(record.era)?, store.block_at(base)?) else {
            return Ok(false);
        };
        let is_of_era = block.header.era == record.era || era.anchor_height == base;
        let (index, digest) = last_commit_of(&block, record.era, &self.maker.chain);
        Ok(is_of_era
            && era.anchor == sub_dag.anchor
            && record.index == index.saturating_add(1)
            && record.previous == digest)
    }

    /// Whether a branch that forks off at the applied block `ancestor` leaves out a commit of the own DAG (U8). `first` are the
    /// headers of the branch, lowest first.
    pub(super) fn leaves_out<'a, S: ChainStore + ?Sized>(
        &self,
        store: &S,
        ancestor: Height,
        mut branch: impl Iterator<Item = &'a BlockHeader>,
    ) -> Result<bool, ChainError> {
        let Some(committed) = self.committed else {
            return Ok(false);
        };
        let Some(below) = store.block_at(ancestor)? else {
            return Ok(false);
        };
        let is_emergency = matches!(below.header.origin, BlockOrigin::Emergency { .. });
        let end = below.body.era_end.as_ref();
        let begins_dag = end.is_some_and(|end| end.next_kind == EraKind::Dag);
        if is_emergency && !begins_dag {
            // It goes on in the emergency of the own branch, which stands where ours stands.
            return Ok(false);
        }
        let mut stands_on = CommittedUpTo::of_block(&below.header);
        let mut begins = false;
        for header in branch.by_ref() {
            if header.origin.producer().is_some() {
                begins = true;
                break;
            }
            stands_on = CommittedUpTo::of_block(header);
        }
        let none = CommittedUpTo {
            era: below.header.era,
            index: 0,
        };
        Ok(begins && stands_on.unwrap_or(none) < committed)
    }

    /// Takes the blocks of the emergency back, or as many as one step may (U2, U8).
    pub(super) fn unwind<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        outranking: Outranking,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        let (head, _) = self.position.head;
        let start = self.provisional_from(store)?;
        let base = match &outranking {
            Outranking::Commit => start,
            Outranking::Certificate(certificate) => {
                start.map(|start| start.min(certificate.body.height))
            }
        };
        let base = base.map_or(self.position.certified, Height::previous);
        let target = base.max(head.minus(UNWOUND_MAX));
        let pop = self.above(store, target)?;
        let staged = Staged::unwound(store, &pop)?;
        let position = self.back_at(&staged, target)?;
        work.step.returned = self.returned_to(&staged, store, &pop, &[])?;
        let tree = self.replant(&staged, &position)?;
        self.let_go(tree, position, pop, work);
        if let Outranking::Certificate(certificate) = &outranking {
            let (height, id) = (certificate.body.height, certificate.body.block);
            self.forks.certify(height, id);
            // It may be there from the step before.
            work.step.batch.certificates.push(certificate.clone());
            self.awaiting.insert(certificate.clone());
        }
        if self.position.head.0 > base {
            self.outranking = Some(outranking);
        }
        Ok(())
    }

    /// Takes a branch of emergency blocks of a peer instead of the own one, if it is better (U4 to U6). The `certificate` is
    /// that of the last block, if the emergency ends with it.
    pub fn offer_branch<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        mut blocks: Vec<Block>,
        certificate: Option<&Certificate>,
    ) -> Result<Result<Option<Step>, OfferRefusal>, ChainError> {
        // What the tree has room for; the rest comes block by block.
        blocks.truncate(self.forks.config().blocks_max);
        let ancestor = match self.judge_branch(store, &blocks, certificate)? {
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
        if let Err(refusal) = self.execute_branch(&mut staged, &mut extension, &blocks)? {
            return Ok(Err(refusal));
        }
        let headers = blocks.iter().map(|block| &block.header);
        let reached = |position: &Position| (position.era.era, position.head.0);
        let is_no_better = reached(&extension.position) <= reached(&self.position)
            || self.forks.awaits_certified()
            || self.leaves_out(store, ancestor, headers)?;
        let is_open = is_no_better && !self.holds_awaited(&blocks);
        let certifies = |certificate: &&Certificate| {
            self.maker.certifies_end(&position, &extension, certificate)
        };
        let end = certificate.filter(certifies).cloned();
        if is_open && certificate.is_some() && end.is_none() {
            return Ok(Err(OfferRefusal::NotBetter));
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
        if let Some(end) = end {
            self.forks.certify(end.body.height, end.body.block);
            work.step.batch.certificates.push(end);
        }
        self.adopt(extension, &mut work)?;
        Ok(Ok(work.finish(&self.forks)))
    }

    /// Executes a branch on a view of the store in which it is applied.
    fn execute_branch<S: ChainStore + ?Sized>(
        &self,
        staged: &mut Staged<'_, S>,
        extension: &mut Extension,
        blocks: &[Block],
    ) -> Result<Result<(), OfferRefusal>, ChainError> {
        for block in blocks {
            // The producer's signature comes with the execution: its key is in the state of the branch.
            if let Err(refusal) = self.maker.check_contents(block) {
                return Ok(Err(refusal));
            }
            match extend(&self.maker, staged, extension, block) {
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
        Ok(Ok(()))
    }

    /// Where a better branch forks off.
    fn judge_branch<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        blocks: &[Block],
        certificate: Option<&Certificate>,
    ) -> Result<Result<Height, OfferRefusal>, ChainError> {
        let head = self.position.head;
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
        let leaves_out =
            self.leaves_out(store, ancestor, blocks.iter().map(|block| &block.header))?;
        let (tip, producers) = match self.linked(blocks, (ancestor, parent)) {
            Ok(linked) => linked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let is_awaited = self.holds_awaited(blocks);
        if producers == 0 {
            return Ok(Err(OfferRefusal::NotEmergency));
        }
        if tip == head {
            return Ok(Err(OfferRefusal::Known));
        }
        let is_certified = certificate.is_some_and(|certificate| {
            let body = &certificate.body;
            (body.height, body.block) == tip
        });
        let is_outranked = leaves_out || self.forks.awaits_certified();
        if is_outranked && !is_certified && !is_awaited {
            return Ok(Err(OfferRefusal::Outranked));
        }
        let is_better = self.is_better(blocks, tip);
        if !is_better && !is_certified && !is_awaited {
            return Ok(Err(OfferRefusal::NotBetter));
        }
        // Before anything costs much: all that the committee account has produced, and the first block in any case.
        let committee = self.maker.parameters.emergency.validator_account;
        let produced = blocks.iter().skip(blocks.len().saturating_sub(producers));
        for (place, block) in produced.enumerate() {
            let is_committee = block.header.origin.producer() == Some(committee);
            if (place == 0 || is_committee)
                && let Err(refusal) = self.judge_producer(store, &block.header)?
            {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(ancestor))
    }

    /// Whether a branch that ends with the block `tip` has ended more emergencies than the own one, or is longer, or has the
    /// lower id (U4, U6).
    fn is_better(&self, branch: &[Block], tip: (Height, BlockId)) -> bool {
        let (head, era) = (self.position.head, self.position.era.era);
        let theirs = branch.last().map_or(era, Block::next_era);
        if self.has_ended(theirs) {
            return false;
        }
        let is_lower = self.position.is_emergency_head && tip.1 < head.1;
        (theirs, tip.0) > (era, head.0) || (theirs, tip.0) == (era, head.0) && is_lower
    }

    /// Whether the own branch has ended an emergency in which another branch, on which the era `theirs` would follow, still is; or has
    /// this validator's vote for the end, and the other branch is as far (U6).
    pub(super) fn has_ended(&self, theirs: Era) -> bool {
        let ours = self.position.era.era;
        let is_held = self.held == Some(self.position.head.1);
        theirs < ours || is_held && theirs == ours
    }

    /// This validator has voted for the block that ends an emergency (U6).
    pub const fn hold(&mut self, end: BlockId) {
        self.held = Some(end);
    }

    /// The last block of a branch, and how many of its blocks are of an emergency, if each stands on the one before it.
    fn linked(
        &self,
        blocks: &[Block],
        ancestor: (Height, BlockId),
    ) -> Result<((Height, BlockId), usize), OfferRefusal> {
        let mut tip = ancestor;
        let mut producers = 0_usize;
        for block in blocks {
            let header = &block.header;
            match header.origin {
                BlockOrigin::Emergency { .. } => producers = producers.saturating_add(1),
                // Where the DAG stopped (U5).
                BlockOrigin::Dag { .. } if producers == 0 => {}
                BlockOrigin::Dag { .. } | BlockOrigin::Resumed { .. } | BlockOrigin::Genesis => {
                    return Err(OfferRefusal::NotEmergency);
                }
            }
            if (header.height, header.parent) != (tip.0.next(), tip.1) {
                let parent = header.parent;
                return Err(OfferRefusal::Unlinked { parent });
            }
            tip = (header.height, header.id(&self.maker.chain));
        }
        Ok((tip, producers))
    }

    /// Whether a certified block that is missing here is among these.
    fn holds_awaited(&self, blocks: &[Block]) -> bool {
        let mut ids = blocks.iter().map(|block| {
            let header = &block.header;
            (header.height, header.id(&self.maker.chain))
        });
        self.forks.awaits_certified() && ids.any(|id| self.forks.awaits(id))
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
        let mut position = self.position.back_on(staged, &self.maker)?;
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

impl BlockMaker {
    /// Whether the certificate is one of the committee that takes over with the last block of a branch (U6). `start` is where
    /// the branch begins.
    fn certifies_end(
        &self,
        start: &Position,
        branch: &Extension,
        certificate: &Certificate,
    ) -> bool {
        let mut running = &start.era;
        let mut eras = branch
            .executed
            .iter()
            .filter_map(|block| block.next_era.as_ref());
        let Some(next) = eras.next_back() else {
            return false;
        };
        if let Some(before) = eras.next_back() {
            running = before;
        }
        let body = &certificate.body;
        let ends_here = (next.anchor_height, next.anchor) == branch.position.head;
        ends_here
            && running.kind == EraKind::Emergency
            && next.kind == EraKind::Dag
            && body.era == running.era
            && (body.height, body.block) == branch.position.head
            && certificate
                .verify(&self.chain, &next.committee, self.scheme.as_ref())
                .is_ok()
    }
}
