//! A certificate against the blocks of an emergency (rule C16).
//!
//! * U1. Emergency blocks, and what stands on them, are irreversible only provisionally: until something above them is
//!   certified, a certificate that excludes them outranks them, however many they are and wherever LIB is (DESIGN §5).
//! * U2. Then everything from the first block of the emergency on, or from the height of the certificate on if that is lower, is
//!   taken back, in steps of at most [`UNWOUND_MAX`] blocks until it is done, also over a restart. What is below came of the DAG that
//!   the certificate came of, too, unless governance has resumed the chain below it: then the fork choice takes the rest back. Undo
//!   records are kept as far back. The blocks of the certified branch come by block sync.
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
//!   A validator that has voted for an end leaves it for a certificate or a later era only, not for a longer branch or a lower id. A
//!   commit of its own DAG (U8) it does not get as long as its vote holds (rules R21 and R22 of the replica).
//! * U7. While a certified block is missing (U2), a branch that holds it, or that has ended with a certificate, is taken, whatever its
//!   length, and no other.
//! * U8. A commit of this node's own DAG outranks emergency blocks that leave it out, as a certificate does: its block may have
//!   been attested, by this validator or by one that sleeps, and all who see the vertices come to the same commits. So a branch
//!   whose emergency begins on fewer commits than this DAG has made is neither taken nor kept, unless it has ended with a
//!   certificate, or by U9 and U10.
//! * U9. A quorum of votes for the end of an emergency outranks all branches without it, however far they are and how many
//!   emergencies they have ended, and a commit of the own DAG (U8): this end may have been attested by so many that no other can be
//!   certified without them, and they do not let go of it. Votes for the end of a later emergency outrank those for an earlier one: they
//!   show that it was not certified. A certificate outranks both.
//! * U10. A block with which governance resumes an emergency outranks all branches without it, votes and the commits of the own DAG
//!   included (DESIGN §5, rule 0), and a later resume an earlier one. It is named in a halt, when nobody attests, and what is certified
//!   excludes it (rule R2 of [`super::resume`]).
//! * U11. A lockdown of the era on whose DAG an emergency stands takes the emergency back as a commit of that DAG does (U8), unless U9 or
//!   U10 holds: its votes show that two thirds of the members were in touch, and those who know of it neither make nor take emergency
//!   blocks (DESIGN §6). Both sides would wait for each other: the one has too few votes to go on, the other too few producers.
//!   Afterwards a branch whose emergency begins in that era is neither taken nor kept but with a certificate, or by U9 and U10.

use super::position::{Position, last_commit_of};
use super::step::{Step, Work};
use super::{Chain, ChainError, UNLINKED_MAX, tie_break_of};
use crate::chain::certificates::Awaiting;
use crate::forks::{ForkDatabase, ForkEntry};
use crate::serve::{era_below_emergency, open_end_votes, open_resume, provisional_from};
use crate::staged::Staged;
use crate::store::ChainStore;
use holdfast_dag::SubDag;
use holdfast_types::{
    BlockHeader, BlockId, BlockOrigin, Certificate, CommitRecord, Era, EraContext, EraKind, Height,
};

/// What a branch of an emergency leaves out, which is being taken back because of it.
#[derive(Clone, Debug)]
pub(super) enum Outranking {
    /// The block of this certificate (U2).
    Certificate(Certificate),
    /// A commit of this node's own DAG (U8).
    Commit,
    /// A lockdown (U11).
    Lockdown,
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
            BlockOrigin::Genesis
            | BlockOrigin::Resumed { .. }
            | BlockOrigin::Recovered
            | BlockOrigin::Emergency { .. } => None,
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
        let Some(start) = self.open_emergency(store)? else {
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

    /// Where the emergency on the applied branch began, if what its DAG has (U8, U11) takes it back: neither U9 nor U10 holds.
    fn open_emergency<S: ChainStore + ?Sized>(
        &self,
        store: &S,
    ) -> Result<Option<Height>, ChainError> {
        let Some(start) = self.provisional_from(store)? else {
            return Ok(None);
        };
        let voted = open_end_votes(store)?.map(|votes| votes.body.height);
        let resumed = open_resume(store)?.map(|resume| resume.height);
        Ok((voted.max(resumed) < Some(start)).then_some(start))
    }

    /// Takes the emergency on the applied branch back if it stands on the DAG of the era `locked`, whose members have frozen the
    /// chain (U11). Call it until it gives none; each step is to be written before the next call. It is remembered until the process ends.
    pub fn yield_to_lockdown<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        locked: Era,
    ) -> Result<Option<Step>, ChainError> {
        self.locked = Some(locked);
        if self.outranking.is_none() && self.open_emergency(store)?.is_some() {
            let below = era_below_emergency(store)?.filter(|below| below.era == locked);
            self.outranking = below.map(|_| Outranking::Lockdown);
        }
        let mut work = Work::default();
        if self.outranking.is_some() {
            self.settle(store, &mut work)?;
        }
        Ok(work.finish(&self.forks))
    }

    /// Whether a branch that forks off at the applied block `ancestor` leaves out a commit of the own DAG (U8) or begins an emergency
    /// where the chain is frozen (U11). `branch` are the
    /// headers of the branch, lowest first.
    pub(super) fn leaves_out<'a, S: ChainStore + ?Sized>(
        &self,
        store: &S,
        ancestor: Height,
        mut branch: impl Iterator<Item = &'a BlockHeader>,
    ) -> Result<bool, ChainError> {
        if self.committed.is_none() && self.locked.is_none() {
            return Ok(false);
        }
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
        let mut begins_in = None;
        for header in branch.by_ref() {
            if header.origin.producer().is_some() {
                begins_in = Some(header.era);
                break;
            }
            // Whoever has attested a commit above the block that governance names keeps out until a quorum has resumed.
            if !matches!(header.origin, BlockOrigin::Resumed { .. }) {
                stands_on = CommittedUpTo::of_block(header);
            }
        }
        let none = CommittedUpTo {
            era: below.header.era,
            index: 0,
        };
        let is_behind = Some(stands_on.unwrap_or(none)) < self.committed;
        Ok(begins_in.is_some() && (is_behind || begins_in == self.locked))
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
            Outranking::Commit | Outranking::Lockdown => start,
            Outranking::Certificate(certificate) => {
                start.map(|start| start.min(certificate.body.height))
            }
        };
        let base = base.map_or(self.position.certified, Height::previous);
        // What is below the emergency is taken back in one step with its beginning: after it nothing tells any more that this goes on.
        let step = head.minus(UNWOUND_MAX);
        let target = if start.is_some_and(|start| step >= start) {
            step
        } else {
            base
        };
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

    /// The applied blocks above `height`, highest first.
    pub(super) fn above<S: ChainStore + ?Sized>(
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
    pub(super) fn back_at<S: ChainStore + ?Sized>(
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
    pub(super) fn let_go(
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
    pub(super) fn replant<S: ChainStore + ?Sized>(
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
