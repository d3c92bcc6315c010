//! How vertices enter the DAG (rule D1).

use super::{AddOutcome, Added, DagCore, VERSIONS_UNASKED_MAX};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{Evidence, Round, VerifiedVertex, VertexRef};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

impl DagCore {
    /// Offers a verified vertex of this era.
    pub fn add(&mut self, vertex: Arc<VerifiedVertex>, now_ms: u64) -> Added {
        let reference = vertex.reference();
        if let Some(highest) = self.highest_seen.get_mut(reference.author.as_usize()) {
            *highest = (*highest).max(reference.round);
        }
        if reference.round <= self.gc_round() {
            return Added::without_effect(AddOutcome::TooOld);
        }
        if self.vertices.contains(&reference)
            || self.suspended.contains(&reference)
            || self.linearizer.is_committed(&reference)
        {
            return Added::without_effect(AddOutcome::Known);
        }
        if reference.round > self.clock.round().plus(self.config.rounds_ahead_max) {
            return Added::without_effect(AddOutcome::TooFarAhead);
        }
        let wrong_genesis = vertex
            .parents()
            .iter()
            .any(|parent| parent.round == Round::ZERO && !self.genesis.contains(parent));
        if wrong_genesis {
            return Added::without_effect(AddOutcome::WrongGenesis);
        }
        let evidence = self.equivocation(&vertex);
        let mut added = if self.has_place_in_slot(&reference) {
            self.accept_or_suspend(vertex, now_ms)
        } else {
            Added::without_effect(AddOutcome::NoPlace)
        };
        added.evidence.extend(evidence);
        added
    }

    fn accept_or_suspend(&mut self, vertex: Arc<VerifiedVertex>, now_ms: u64) -> Added {
        let missing: BTreeSet<VertexRef> = self
            .vertices
            .not_held(vertex.parents())
            .filter(|parent| !self.is_settled(parent))
            .copied()
            .collect();
        if missing.is_empty() {
            return Added {
                outcome: AddOutcome::Accepted,
                accepted: self.accept_all(VecDeque::from([vertex]), now_ms),
                evidence: Vec::new(),
            };
        }
        // What is missing is probably on its way; one round interval is the patience. Unless whole rounds are missing: then
        // this node is behind, and what it missed is not sent to it any more.
        let is_behind = vertex.round() > self.clock.round().next();
        let patience_ms = if is_behind {
            0
        } else {
            self.config.min_round_interval_ms
        };
        let due_ms = now_ms.saturating_add(patience_ms);
        Added::without_effect(if self.suspended.insert(vertex, missing, due_ms) {
            AddOutcome::Suspended
        } else {
            AddOutcome::NoPlace
        })
    }

    /// The vertex and another of its slot, if this is the first time that two are seen.
    fn equivocation(&mut self, vertex: &VerifiedVertex) -> Option<Evidence> {
        let (round, author) = vertex.reference().slot();
        let accepted = self.vertices.slot(round, author).first();
        let other = accepted.or_else(|| self.suspended.slot(round, author).next())?;
        let evidence = equivocation(other, vertex);
        self.equivocated.insert((round, author)).then_some(evidence)
    }

    /// Whether there is room for another version of a slot. What nobody delivers the ancestors of makes room for it: else two
    /// versions that stand on nothing would keep out for good the one that the others have.
    fn has_place_in_slot(&mut self, reference: &VertexRef) -> bool {
        let (round, author) = reference.slot();
        let accepted = self.vertices.slot(round, author).len();
        let suspended = self.suspended.slot(round, author).count();
        accepted.saturating_add(suspended) < VERSIONS_UNASKED_MAX
            || mutant::is_on(Mutant::SuspendedUnbounded)
            || self.suspended.is_waited_for(reference)
            || self.suspended.give_up_one_of(round, author)
    }

    /// True if a parent reference needs nothing any more (rule D1).
    pub(super) fn is_settled(&self, parent: &VertexRef) -> bool {
        parent.round <= self.gc_round()
            || self.vertices.contains(parent)
            || self.linearizer.is_committed(parent)
            || mutant::is_on(Mutant::GarbageBoundOffByOne) && parent.round <= self.gc_round().next()
    }

    /// Takes in vertices whose parents are settled, and all that waited for them alone; returns them, ancestors first.
    pub(super) fn accept_all(
        &mut self,
        mut ready: VecDeque<Arc<VerifiedVertex>>,
        now_ms: u64,
    ) -> Vec<Arc<VerifiedVertex>> {
        let mut accepted = Vec::new();
        while let Some(vertex) = ready.pop_front() {
            let reference = vertex.reference();
            self.vertices.insert(Arc::clone(&vertex));
            self.committer
                .observe(&self.vertices, &self.schedule, reference.round);
            self.frontier.insert(reference);
            if Some(reference.author) == self.me {
                self.set_own_last(&vertex);
            }
            if !vertex.payload().is_empty() {
                self.last_payload_round = self.last_payload_round.max(Some(reference.round));
            }
            if mutant::is_on(Mutant::ReputationByArrival) {
                self.schedule.count(reference.author);
            }
            self.clock.observe(&self.vertices, reference.round, now_ms);
            ready.extend(self.suspended.resolve(&reference));
            accepted.push(vertex);
        }
        accepted
    }
}

fn equivocation(first: &VerifiedVertex, second: &VerifiedVertex) -> Evidence {
    let (low, high) = if first.reference().digest < second.reference().digest {
        (first, second)
    } else {
        (second, first)
    };
    Evidence::Equivocation {
        first: low.vertex().signed.clone(),
        second: high.vertex().signed.clone(),
    }
}
