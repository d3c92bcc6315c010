//! When this validator proposes, and on what (rules D3, D4).

use super::DagCore;
use crate::proposer::{Pace, PaceInput, ProposalPlan, earliest_ms};
use holdfast_types::limits::PARENTS_PER_MEMBER_MAX;
use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexRef};
use std::collections::BTreeSet;

impl DagCore {
    /// Whether to propose now. `pending` says that this validator has something to order.
    #[must_use]
    pub fn pace(&self, now_ms: u64, pending: bool) -> Pace {
        let round = self.clock.round();
        let (Some(me), true) = (self.me, self.may_propose_in(round)) else {
            return Pace::Blocked;
        };
        let previous = round.previous();
        let leaders_present = previous == Round::ZERO
            || self
                .schedule
                .leaders(previous)
                .into_iter()
                .all(|leader| !self.vertices.slot(previous, leader).is_empty());
        let earliest = earliest_ms(
            &PaceInput {
                now_ms,
                proposed_at_ms: self.proposed_at_ms,
                round_entered_at_ms: self.clock.entered_at_ms(),
                leaders_present,
                busy: pending || self.is_busy() || self.vertices.authors(round) > 0,
            },
            &self.config,
        );
        if earliest > now_ms {
            return Pace::Until(earliest);
        }
        match self.parents(me, round) {
            Some(parents) => Pace::Propose(ProposalPlan { round, parents }),
            None => Pace::Blocked,
        }
    }

    fn may_propose_in(&self, round: Round) -> bool {
        round >= self.proposal_floor && self.own_last.is_none_or(|last| last.round < round)
    }

    /// Something that others should hear of is on its way through the DAG.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.last_payload_round
            .is_some_and(|round| self.clock.round() <= round.plus(self.config.busy_rounds))
    }

    /// Parents of an own vertex in `round` (rule D3); none if the previous round is not complete here.
    fn parents(&self, me: AuthorityIndex, round: Round) -> Option<Vec<VertexRef>> {
        let own = self
            .own_last
            .or_else(|| self.genesis.get(me.as_usize()).copied())?;
        // On top of an own vertex that waits for its ancestors, the new one would wait too.
        if !self.is_settled(&own) {
            return None;
        }
        let previous = round.previous();
        let mut parents: Vec<VertexRef> = if previous == Round::ZERO {
            self.genesis.clone()
        } else {
            let authorities = self.context.committee.authorities();
            authorities
                .filter_map(|author| self.vertices.slot(previous, author).first())
                .map(|vertex| vertex.reference())
                .collect()
        };
        parents.retain(|parent| parent.author != me);
        let of_previous_round = parents
            .len()
            .saturating_add(usize::from(own.round == previous));
        if of_previous_round < self.context.committee.quorum() {
            return None;
        }
        let places = self
            .context
            .committee
            .size()
            .saturating_mul(PARENTS_PER_MEMBER_MAX.saturating_sub(1));
        let mut slots = BTreeSet::new();
        let stragglers = self
            .frontier
            .iter()
            .take_while(|reference| reference.round < previous)
            .filter(|reference| !self.linearizer.is_committed(reference))
            .filter(|reference| slots.insert(reference.slot()))
            .take(places.saturating_sub(1));
        parents.extend(stragglers.filter(|reference| reference.author != me));
        parents.sort_unstable();
        parents.insert(0, own);
        Some(parents)
    }

    /// Records an own vertex that was signed, after [`Self::add`] accepted it.
    pub fn proposed(&mut self, vertex: &VerifiedVertex, now_ms: u64) {
        self.proposed_at_ms = Some(now_ms);
        self.set_own_last(vertex);
    }

    /// Tells of an own vertex; the one of the highest round counts. Accepted ones are known without.
    pub fn set_own_last(&mut self, vertex: &VerifiedVertex) {
        let reference = vertex.reference();
        if self
            .own_last
            .is_some_and(|last| last.round > reference.round)
        {
            return;
        }
        self.own_last = Some(reference);
        // What is not in the frontier is in own history already, and so is all below it.
        let mut open = vec![reference];
        open.extend(vertex.parents());
        while let Some(reference) = open.pop() {
            if self.frontier.remove(&reference)
                && let Some(vertex) = self.vertices.get(&reference)
            {
                open.extend(vertex.parents());
            }
        }
    }

    /// Forbids own vertices below `round` (DESIGN §3, restart safety).
    pub fn raise_proposal_floor(&mut self, round: Round) {
        self.proposal_floor = self.proposal_floor.max(round);
    }
}
