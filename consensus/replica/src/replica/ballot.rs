//! Votes for the end of an emergency, before anybody attests it (rule R22).

use super::Replica;
use crate::guard::{GuardRefusal, SignGuard};
use crate::io::{HoldRequest, Output};
use holdfast_types::{AttestationBody, AuthorityIndex, BlockId, EndVote, EndVotes, Signature};
use std::collections::BTreeMap;

/// Who has voted for the block that ends the emergency here.
#[derive(Debug, Default)]
pub(super) struct Ballot {
    own: Option<EndVote>,
    votes: BTreeMap<AuthorityIndex, Signature>,
    /// The chain was told that they are a quorum.
    is_told: bool,
    hold: Hold,
}

/// Whether the chain holds the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    NotAsked,
    /// By this request. It answers if it does. If it does not, it has left the block, and tells of that.
    Asked(HoldRequest),
    Held,
}

impl Ballot {
    /// The chain was asked to hold the block, or was not.
    pub(super) fn new(asked: Option<HoldRequest>) -> Self {
        Self {
            hold: asked.map_or(Hold::NotAsked, Hold::Asked),
            ..Self::default()
        }
    }

    /// The vote of this validator, to be said again.
    pub(super) const fn own(&self) -> Option<EndVote> {
        self.own
    }

    /// The chain was asked to hold the block, and has not answered.
    pub(super) fn awaits_hold(&self) -> bool {
        matches!(self.hold, Hold::Asked(_))
    }

    /// The chain is given what it may leave the block for.
    pub(super) fn release(&mut self) {
        self.hold = Hold::NotAsked;
    }
}

impl Replica {
    /// Takes a verified vote of a member of the committee that takes over.
    pub(super) fn on_end_vote(&mut self, vote: &EndVote, out: &mut Output) {
        let head = self.halts.head.body;
        if let Some(pending) = &mut self.pending_era
            && self.ending.is_some()
            && head == Some(vote.body)
            && vote.body.block == pending.context.anchor
        {
            pending.ballot.votes.insert(vote.author, vote.signature);
            self.tell_votes(vote.body, out);
        }
    }

    /// Votes of a quorum that came with the chain.
    pub(super) fn on_end_votes(&mut self, votes: Option<&EndVotes>, out: &mut Output) {
        for vote in votes.into_iter().flat_map(EndVotes::votes) {
            self.on_end_vote(&vote, out);
        }
    }

    /// The chain prefers a branch for whose end a quorum has voted (rule U9 of the chain).
    fn tell_votes(&mut self, body: AttestationBody, out: &mut Output) {
        let has_quorum = self.has_quorum_of_votes();
        if let Some(pending) = &mut self.pending_era
            && has_quorum
            && !std::mem::replace(&mut pending.ballot.is_told, true)
        {
            let signatures = pending.ballot.votes.iter();
            let signatures = signatures.map(|(author, signature)| (*author, *signature));
            out.end_votes = Some(EndVotes {
                body,
                signatures: signatures.collect(),
            });
        }
    }

    /// Whether a quorum has voted for the end of the emergency.
    pub(super) fn has_quorum_of_votes(&self) -> bool {
        let quorum = self.context.committee.quorum();
        let pending = self.pending_era.as_ref();
        pending.is_some_and(|pending| pending.ballot.votes.len() >= quorum)
    }

    /// Whether the chain holds this end. It may be about to take another one that is as far: who signed first, and was then taken
    /// there, would keep all others from ending the emergency with that one.
    pub(super) fn is_held(&mut self, end: &AttestationBody, out: &mut Output) -> bool {
        let hold = self.pending_era.as_ref().map(|pending| pending.ballot.hold);
        if hold == Some(Hold::NotAsked) {
            let asked = self.ask_to_hold(end.block, out);
            if let Some(pending) = &mut self.pending_era {
                pending.ballot.hold = Hold::Asked(asked);
            }
        }
        hold == Some(Hold::Held)
    }

    pub(super) fn ask_to_hold(&mut self, end: BlockId, out: &mut Output) -> HoldRequest {
        self.holds_asked = self.holds_asked.saturating_add(1);
        let number = self.holds_asked;
        *out.hold.insert(HoldRequest { end, number })
    }

    /// The chain holds a block.
    pub(super) fn on_held(&mut self, held: HoldRequest) {
        if let Some(pending) = &mut self.pending_era
            && pending.ballot.hold == Hold::Asked(held)
        {
            pending.ballot.hold = Hold::Held;
        }
    }

    /// Whether this validator may still vote for this end, or a quorum of others has.
    pub(super) fn may_vote(&mut self, end: &AttestationBody, out: &mut Output) -> bool {
        let Some((_, _, mut guard)) = self.signs_anchor(end) else {
            return false;
        };
        match self.guard_vote(&mut guard, end) {
            Ok(()) => true,
            Err(refusal) => {
                self.tell_refused(&refusal, out);
                self.has_quorum_of_votes()
            }
        }
    }

    fn guard_vote(&self, guard: &mut SignGuard, end: &AttestationBody) -> Result<(), GuardRefusal> {
        guard.allow_end_vote(end, |before| {
            before.height <= self.certified || self.open_ends.contains(&before.block)
        })
    }

    /// Votes for the end of the emergency, once.
    pub(super) fn vote(&mut self, end: &AttestationBody, out: &mut Output) {
        let pending = self.pending_era.as_ref();
        if pending.is_some_and(|pending| pending.ballot.own.is_some()) {
            return;
        }
        let Some((me, signer, mut guard)) = self.signs_anchor(end) else {
            return;
        };
        if self.guard_vote(&mut guard, end).is_err() {
            return;
        }
        out.persist.push(guard.to_record());
        self.guard = Some(guard);
        if let Some(pending) = &mut self.pending_era {
            let vote = end.vote(me, &self.config.chain, signer.as_ref());
            pending.ballot.own = Some(vote);
            pending.ballot.votes.insert(me, vote.signature);
            // It is sent with what is said again.
            pending.repeat_at_ms = 0;
        }
        self.tell_votes(*end, out);
    }
}
