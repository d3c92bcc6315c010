//! The branch of a peer that no certificate proves: whether it is better than the own one (rules U4 to U7, U9 and U10 of
//! [`super::unwinding`]).

use super::assembly::BlockMaker;
use super::step::{Step, Work, nonce_after};
use super::switching::{Extension, extend};
use super::{Chain, ChainError, OfferRefusal};
use crate::branch::Branch;
use crate::serve::{OpenResume, open_end_votes, open_resume};
use crate::staged::Staged;
use crate::store::ChainStore;
use holdfast_types::{
    AttestationBody, Block, BlockId, BlockOrigin, Certificate, Committee, EndVotes, Era, EraKind,
    Height,
};
use std::cmp::Ordering;

/// What quorums and governance say of emergencies on the own branch and on that of a peer.
struct Ends {
    /// Of the last block of the peer's branch.
    certificate: Option<Certificate>,
    /// For a block of the peer's branch.
    end_votes: Option<EndVotes>,
    /// Sequence number of the last message with which governance resumes an emergency on the peer's branch; 0 if there is none.
    resumed: u64,
    /// For what a quorum has voted on the own branch.
    voted_here: Option<AttestationBody>,
    resumed_here: Option<OpenResume>,
}

/// What a branch is made of.
struct Linked {
    /// Its last block.
    tip: (Height, BlockId),
    /// How many of its blocks are of an emergency.
    producers: usize,
    /// See [`Ends::resumed`].
    resumed: u64,
}

/// What governance and quorums of votes say of a branch (U9, U10), in this order.
type Claim = (u64, Option<Era>);

impl Ends {
    fn here(&self) -> Claim {
        let resumed = self.resumed_here.map_or(0, |resume| resume.sequence);
        (resumed, self.voted_here.map(|end| end.era))
    }

    /// The same of the peer's branch, which forks off at a height.
    fn there(&self, ancestor: Height) -> Claim {
        let shared = self.voted_here.filter(|end| end.height <= ancestor);
        let own = self.end_votes.as_ref().map(|votes| votes.body.era);
        let resumed = self.resumed_here;
        let resumed = resumed.filter(|resume| resume.height <= ancestor);
        let resumed = resumed.map_or(0, |resume| resume.sequence);
        (
            self.resumed.max(resumed),
            own.max(shared.map(|end| end.era)),
        )
    }
}

/// Sequence number of the message with which governance resumes an emergency on this block, if it does: another emergency follows it
/// (rule E11 of the ledger).
fn resumed_by(block: &Block) -> Option<u64> {
    let is_resume = matches!(block.header.origin, BlockOrigin::Resumed { .. });
    let goes_on = matches!(&block.body.era_end, Some(end) if end.next_kind == EraKind::Emergency);
    let message = block.body.governance.as_ref();
    message
        .filter(|_| is_resume && goes_on)
        .map(|message| message.body.sequence)
}

impl Chain {
    /// A quorum has voted for the end of an emergency, as this node has heard (U9). Nothing changes if the block is not of the
    /// applied branch, or if a certificate or later votes have come meanwhile.
    pub fn hear_votes<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        votes: EndVotes,
    ) -> Result<Option<Step>, ChainError> {
        let body = &votes.body;
        let is_newest = open_end_votes(store)?.is_none_or(|known| known.body.era < body.era);
        let is_open = body.height > self.position.certified
            && store.block_id_at(body.height)? == Some(body.block);
        let mut work = Work::default();
        work.step.batch.end_votes = (is_newest && is_open).then_some(votes);
        Ok(work.finish(&self.forks))
    }

    /// Takes a branch of emergency blocks of a peer instead of the own one, if it is better (U4 to U7, U9, U10).
    pub fn offer_branch<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        branch: Branch,
    ) -> Result<Result<Option<Step>, OfferRefusal>, ChainError> {
        let Branch {
            mut blocks,
            certificate,
            end_votes,
        } = branch;
        let mut ends = Ends {
            certificate,
            end_votes,
            resumed: 0,
            resumed_here: open_resume(store)?,
            voted_here: open_end_votes(store)?.map(|votes| votes.body),
        };
        // What both branches share need not be executed once more.
        let shared = self.shared(store, &blocks)?;
        if shared > 0 && shared == blocks.len() {
            return self.hear_of_own(store, &blocks, ends);
        }
        blocks.drain(..shared);
        // What the tree has room for; the rest comes block by block.
        blocks.truncate(self.forks.config().blocks_max);
        let ancestor = match self.judge_branch(store, &blocks, &mut ends)? {
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
        if let Some(end) = ends.certificate {
            self.forks.certify(end.body.height, end.body.block);
            work.step.batch.certificates.push(end);
        }
        work.step.batch.end_votes = ends.end_votes;
        self.adopt(extension, &mut work)?;
        Ok(Ok(work.finish(&self.forks)))
    }

    /// How many of these blocks, from the first on, are applied here.
    fn shared<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        blocks: &[Block],
    ) -> Result<usize, ChainError> {
        for (count, block) in blocks.iter().enumerate() {
            let id = block.header.id(&self.maker.chain);
            if store.block_id_at(block.header.height)? != Some(id) {
                return Ok(count);
            }
        }
        Ok(blocks.len())
    }

    /// The branch is a part of the own one: what quorums say of its ends may be news.
    fn hear_of_own<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        blocks: &[Block],
        mut ends: Ends,
    ) -> Result<Result<Option<Step>, OfferRefusal>, ChainError> {
        if let Err(refusal) = self.maker.judge_ends(blocks, &mut ends) {
            return Ok(Err(refusal));
        }
        let mut step = None;
        if let Some(certificate) = ends.certificate {
            step = self.certify(store, certificate)?;
        } else if let Some(votes) = ends.end_votes {
            step = self.hear_votes(store, votes)?;
        }
        let last = blocks.last().map(|block| block.header.height);
        Ok(match step {
            Some(step) => Ok(Some(step)),
            None if last == Some(self.position.head.0) => Err(OfferRefusal::Known),
            None => Err(OfferRefusal::NotBetter),
        })
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
        ends: &mut Ends,
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
        let Linked {
            tip,
            producers,
            resumed,
        } = match self.linked(blocks, (ancestor, parent)) {
            Ok(linked) => linked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = self.maker.judge_ends(blocks, ends) {
            return Ok(Err(refusal));
        }
        ends.resumed = resumed;
        let is_awaited = self.holds_awaited(blocks);
        if producers == 0 {
            return Ok(Err(OfferRefusal::NotEmergency));
        }
        if tip == head {
            return Ok(Err(OfferRefusal::Known));
        }
        let is_certified = ends.certificate.is_some();
        let order = ends.there(ancestor).cmp(&ends.here());
        let is_outranked = leaves_out && order.is_le() || self.forks.awaits_certified();
        if is_outranked && !is_certified && !is_awaited {
            return Ok(Err(OfferRefusal::Outranked));
        }
        let is_better = match order {
            Ordering::Less => false,
            Ordering::Equal => self.is_better(blocks, tip),
            Ordering::Greater => true,
        };
        if !is_better && !is_certified && !is_awaited {
            return Ok(Err(OfferRefusal::NotBetter));
        }
        // Before anything costs much: all that the committee account has produced. Keys of validators are those of the state below their
        // blocks, and for each block the execution looks at the signature first, also at that of governance.
        let committee = self.maker.parameters.emergency.validator_account;
        for block in blocks {
            if block.header.origin.producer() == Some(committee)
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

    /// This validator is about to vote for the block that ends an emergency (U6). False: the head is another one by now.
    pub fn hold(&mut self, end: BlockId) -> bool {
        let is_head = self.position.head.1 == end;
        if is_head {
            self.held = Some(end);
        }
        is_head
    }

    /// What a branch is made of, if each of its blocks stands on the one before it.
    fn linked(
        &self,
        blocks: &[Block],
        ancestor: (Height, BlockId),
    ) -> Result<Linked, OfferRefusal> {
        let mut tip = ancestor;
        let (mut producers, mut resumed) = (0_usize, 0);
        for block in blocks {
            let header = &block.header;
            match header.origin {
                BlockOrigin::Emergency { .. } => producers = producers.saturating_add(1),
                // Governance has signed it; the execution asks for that.
                BlockOrigin::Resumed { .. } if let Some(sequence) = resumed_by(block) => {
                    producers = producers.saturating_add(1);
                    resumed = resumed.max(sequence);
                }
                // Where the DAG stopped (U5), also if governance was about to resume it.
                BlockOrigin::Dag { .. } | BlockOrigin::Resumed { .. } if producers == 0 => {}
                BlockOrigin::Dag { .. }
                | BlockOrigin::Resumed { .. }
                | BlockOrigin::Recovered
                | BlockOrigin::Genesis => {
                    return Err(OfferRefusal::NotEmergency);
                }
            }
            if (header.height, header.parent) != (tip.0.next(), tip.1) {
                let parent = header.parent;
                return Err(OfferRefusal::Unlinked { parent });
            }
            tip = (header.height, header.id(&self.maker.chain));
        }
        Ok(Linked {
            tip,
            producers,
            resumed,
        })
    }

    /// Whether a certified block that is missing here is among these.
    fn holds_awaited(&self, blocks: &[Block]) -> bool {
        let mut ids = blocks.iter().map(|block| {
            let header = &block.header;
            (header.height, header.id(&self.maker.chain))
        });
        self.forks.awaits_certified() && ids.any(|id| self.forks.awaits(id))
    }
}

impl BlockMaker {
    /// The committee that takes over with a block, if it is one of these and ends an emergency, and if it is what `end` says.
    fn committee_after<'b>(
        &self,
        blocks: &'b [Block],
        end: &AttestationBody,
    ) -> Option<&'b Committee> {
        let block = blocks
            .iter()
            .find(|block| block.header.height == end.height)?;
        let header = &block.header;
        let is_it = AttestationBody::of_block(header.id(&self.chain), header) == *end;
        let after = block.body.era_end.as_ref()?;
        let takes_over = after.next_kind == EraKind::Dag
            && header.origin.producer().is_some()
            && header.next_committee == Some(after.committee.hash());
        (is_it && takes_over).then_some(&after.committee)
    }

    /// Forgets a certificate that is not of the last block, and votes that are for none of these blocks; what is for one of them and does
    /// not verify is refused (U6, U9). The execution shows that the committee is the right one.
    fn judge_ends(&self, blocks: &[Block], ends: &mut Ends) -> Result<(), OfferRefusal> {
        let scheme = self.scheme.as_ref();
        if let Some(certificate) = ends.certificate.take()
            && let Some(last) = blocks.last()
            && last.header.height == certificate.body.height
            && let Some(committee) = self.committee_after(blocks, &certificate.body)
        {
            let verified = certificate.verify(&self.chain, committee, scheme);
            verified.map_err(|_| OfferRefusal::BadSignature)?;
            ends.certificate = Some(certificate);
        }
        if let Some(votes) = ends.end_votes.take()
            && let Some(committee) = self.committee_after(blocks, &votes.body)
        {
            let verified = votes.verify(&self.chain, committee, scheme);
            verified.map_err(|_| OfferRefusal::BadSignature)?;
            ends.end_votes = Some(votes);
        }
        Ok(())
    }
}
