//! Votes for the end of an emergency, before anybody attests it (rule R22).

use super::Replica;
use crate::io::Output;
use holdfast_types::{AttestationBody, AuthorityIndex, EndVote};
use std::collections::BTreeSet;

/// Who has voted for the block that ends the emergency here.
#[derive(Debug, Default)]
pub(super) struct Ballot {
    own: Option<EndVote>,
    voters: BTreeSet<AuthorityIndex>,
}

impl Ballot {
    /// The vote of this validator, to be said again.
    pub(super) const fn own(&self) -> Option<EndVote> {
        self.own
    }
}

impl Replica {
    /// Takes a verified vote of a member of the committee that takes over.
    pub(super) fn on_end_vote(&mut self, vote: &EndVote) {
        let head = self.halts.head.body;
        if let Some(pending) = &mut self.pending_era
            && self.ends_emergency
            && head == Some(vote.body)
            && vote.body.block == pending.context.anchor
        {
            pending.ballot.voters.insert(vote.author);
        }
    }

    /// Whether a quorum has voted for the end of the emergency.
    pub(super) fn has_quorum_of_votes(&self) -> bool {
        let quorum = self.context.committee.quorum();
        let pending = self.pending_era.as_ref();
        pending.is_some_and(|pending| pending.ballot.voters.len() >= quorum)
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
        let allowed = guard.allow_end_vote(end, |before| {
            before.height <= self.certified || self.open_ends.contains(&before.block)
        });
        if let Err(refusal) = allowed {
            self.tell_refused(&refusal, out);
            return;
        }
        out.persist.push(guard.to_record());
        self.guard = Some(guard);
        out.hold = Some(end.block);
        if let Some(pending) = &mut self.pending_era {
            pending.ballot.own = Some(end.vote(me, &self.config.chain, signer.as_ref()));
            pending.ballot.voters.insert(me);
            // It is sent with what is said again.
            pending.repeat_at_ms = 0;
        }
    }
}
