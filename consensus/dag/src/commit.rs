//! The commit rule (rules D6 to D8). Stateless over the DAG: the same vertices and the same cursor give the same
//! decisions, so it may be asked at any time.

use crate::clock::AuthoritySet;
use crate::leaders::LeaderSchedule;
use crate::vertices::VertexStore;
use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexRef};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A place in the sequence of leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaderSlot {
    pub round: Round,
    pub position: usize,
    pub authority: AuthorityIndex,
}

/// What is known of a leader slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Undecided,
    Skip,
    Commit(Arc<VerifiedVertex>),
}

/// Rounds from a leader to the vertices that certify it.
const CERTIFY_DISTANCE: u64 = 2;
/// Rounds from a leader to the first possible anchor.
const WAVE_LENGTH: u64 = CERTIFY_DISTANCE + 1;

/// The commit rule over one DAG.
#[derive(Clone, Copy, Debug)]
pub struct Committer<'a> {
    pub vertices: &'a VertexStore,
    pub schedule: &'a LeaderSchedule,
    pub quorum: usize,
    pub committee_size: usize,
}

impl Committer<'_> {
    /// The decided slots after `cursor`, in order, up to the first undecided one.
    #[must_use]
    pub fn decide(&self, cursor: Option<(Round, usize)>) -> Vec<(LeaderSlot, Decision)> {
        let mut decisions = self.decide_all(cursor);
        let decided = decisions
            .iter()
            .position(|(_, decision)| *decision == Decision::Undecided)
            .unwrap_or(decisions.len());
        decisions.truncate(decided);
        decisions.into()
    }

    /// Every slot after `cursor` that has a decision or could get one, in order.
    fn decide_all(&self, cursor: Option<(Round, usize)>) -> VecDeque<(LeaderSlot, Decision)> {
        let first_round = cursor.map_or(Round(1), |(round, _)| round);
        let mut decisions: VecDeque<(LeaderSlot, Decision)> = VecDeque::new();
        let mut round = self.vertices.highest_round().previous();
        while round >= first_round && round > Round::ZERO {
            let leaders = self.schedule.leaders(round);
            for (position, authority) in leaders.into_iter().enumerate().rev() {
                if cursor.is_some_and(|cursor| (round, position) <= cursor) {
                    continue;
                }
                let slot = LeaderSlot {
                    round,
                    position,
                    authority,
                };
                let decision = match self.decide_directly(slot) {
                    Decision::Undecided => self.decide_by_anchor(slot, &decisions),
                    decided => decided,
                };
                decisions.push_front((slot, decision));
            }
            round = round.previous();
        }
        decisions
    }

    /// Rule D7.
    fn decide_directly(&self, slot: LeaderSlot) -> Decision {
        let certify_round = slot.round.plus(CERTIFY_DISTANCE);
        if self.vertices.authors(certify_round) >= self.quorum {
            for candidate in self.vertices.slot(slot.round, slot.authority) {
                if self.certifiers(candidate, certify_round) >= self.quorum {
                    return Decision::Commit(Arc::clone(candidate));
                }
            }
        }
        let vote_round = slot.round.next();
        if self.vertices.authors(vote_round) >= self.quorum
            && self.blamers(slot, vote_round) >= self.quorum
        {
            return Decision::Skip;
        }
        Decision::Undecided
    }

    /// Rule D8.
    fn decide_by_anchor(
        &self,
        slot: LeaderSlot,
        later: &VecDeque<(LeaderSlot, Decision)>,
    ) -> Decision {
        let anchor = later
            .iter()
            .filter(|(later, _)| later.round >= slot.round.plus(WAVE_LENGTH))
            .find(|(_, decision)| *decision != Decision::Skip);
        let Some((_, Decision::Commit(anchor))) = anchor else {
            return Decision::Undecided;
        };
        let certify_round = slot.round.plus(CERTIFY_DISTANCE);
        let history = self.history_at(anchor, certify_round);
        for candidate in self.vertices.slot(slot.round, slot.authority) {
            if history
                .iter()
                .any(|vertex| self.certifies(vertex, &candidate.reference()))
            {
                return Decision::Commit(Arc::clone(candidate));
            }
        }
        Decision::Skip
    }

    /// Authors with a vertex in `round` that certifies the leader vertex.
    fn certifiers(&self, leader: &VerifiedVertex, round: Round) -> usize {
        let reference = leader.reference();
        let mut authors = AuthoritySet::new(self.committee_size);
        for vertex in self.vertices.round(round) {
            if self.certifies(vertex, &reference) {
                authors.insert(vertex.author());
            }
        }
        authors.count()
    }

    /// Authors with a vertex in `round` that votes for no vertex of the slot.
    fn blamers(&self, slot: LeaderSlot, round: Round) -> usize {
        let mut authors = AuthoritySet::new(self.committee_size);
        for vertex in self.vertices.round(round) {
            let votes = vertex
                .parents()
                .iter()
                .any(|parent| parent.slot() == (slot.round, slot.authority));
            if !votes {
                authors.insert(vertex.author());
            }
        }
        authors.count()
    }

    /// Rule D6. A vertex has one parent per slot, so its parents of one round are of distinct authors.
    fn certifies(&self, vertex: &VerifiedVertex, leader: &VertexRef) -> bool {
        let vote_round = leader.round.next();
        let votes = vertex
            .parents()
            .iter()
            .filter(|parent| parent.round == vote_round)
            .filter_map(|parent| self.vertices.get(parent))
            .filter(|voter| voter.parents().contains(leader))
            .count();
        votes >= self.quorum
    }

    /// Vertices of `round` in the history of `from`.
    fn history_at(&self, from: &Arc<VerifiedVertex>, round: Round) -> Vec<&Arc<VerifiedVertex>> {
        let mut seen: BTreeSet<VertexRef> = BTreeSet::new();
        let mut open: BTreeSet<VertexRef> = from.parents().iter().copied().collect();
        let mut found = Vec::new();
        // Highest first: every vertex is opened once, and nothing below `round` is.
        while let Some(reference) = open.pop_last() {
            if reference.round < round {
                break;
            }
            if !seen.insert(reference) {
                continue;
            }
            let Some(vertex) = self.vertices.get(&reference) else {
                continue;
            };
            if reference.round == round {
                found.push(vertex);
            } else {
                open.extend(vertex.parents());
            }
        }
        found
    }
}
