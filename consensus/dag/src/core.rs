//! The DAG of one era as a state machine: vertices in; accepted vertices, sub-DAGs, plans and fetches out.

use crate::clock::ThresholdClock;
use crate::commit::{Committer, Decision};
use crate::config::DagConfig;
use crate::leaders::LeaderSchedule;
use crate::linearizer::{Linearizer, SubDag};
use crate::proposer::{PaceInput, earliest_ms};
use crate::suspended::{FetchRules, Suspended};
use crate::vertices::VertexStore;
use holdfast_types::limits::{FETCH_REFERENCES_MAX, PARENTS_PER_MEMBER_MAX};
use holdfast_types::{
    AuthorityIndex, ChainId, CommitRecord, EraContext, Evidence, Round, VerifiedVertex, VertexRef,
};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

pub use crate::proposer::{Pace, ProposalPlan};
pub use crate::suspended::FetchRequest;

/// What became of a vertex that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddOutcome {
    /// In the DAG, perhaps with others that waited for it.
    Accepted,
    /// Waits for ancestors.
    Suspended,
    /// Was here before.
    Known,
    /// At or below the garbage-collection round.
    TooOld,
    /// Too far above the clock: this node is behind, or the author is lying.
    TooFarAhead,
    /// The author's places for suspended vertices are taken, or it has signed several vertices for the slot and nobody
    /// here waits for this one.
    NoPlace,
    /// A parent in round 0 is not the implied vertex of its author: the author's fault.
    WrongGenesis,
}

/// Result of [`DagCore::add`].
#[derive(Clone, Debug)]
pub struct Added {
    pub outcome: AddOutcome,
    /// Vertices that entered the DAG now, ancestors first.
    pub accepted: Vec<Arc<VerifiedVertex>>,
    /// The offered vertex and another of its slot, whatever became of it; once per slot.
    pub evidence: Vec<Evidence>,
}

impl Added {
    const fn without_effect(outcome: AddOutcome) -> Self {
        Self {
            outcome,
            accepted: Vec::new(),
            evidence: Vec::new(),
        }
    }
}

/// Vertices of one slot that are kept unasked: any two are the proof of an equivocation. A further one is kept only while
/// a vertex here waits for it, else one author could fill the memory with versions that nobody names.
const VERSIONS_UNASKED_MAX: usize = 2;

/// The DAG of one era.
#[derive(Clone, Debug)]
pub struct DagCore {
    chain: ChainId,
    context: Arc<EraContext>,
    config: DagConfig,
    me: Option<AuthorityIndex>,
    genesis: Vec<VertexRef>,
    vertices: VertexStore,
    suspended: Suspended,
    clock: ThresholdClock,
    schedule: LeaderSchedule,
    linearizer: Linearizer,
    committer: Committer,
    /// Last decided leader slot.
    cursor: Option<(Round, usize)>,
    /// Vertices that no own vertex has in its history.
    frontier: BTreeSet<VertexRef>,
    /// The own vertex of the highest round that is known.
    own_last: Option<VertexRef>,
    proposed_at_ms: Option<u64>,
    /// When the own last vertex was sent last, in ms.
    own_sent_at_ms: u64,
    /// Own proposals below this round are forbidden (restart safety).
    proposal_floor: Round,
    /// Highest round with a vertex that carries transactions or evidence.
    last_payload_round: Option<Round>,
    /// By authority, the highest round of which a verified vertex was seen, accepted or not.
    highest_seen: Vec<Round>,
    /// Slots whose equivocation was reported.
    equivocated: BTreeSet<(Round, AuthorityIndex)>,
    /// Own vertices that were garbage-collected uncommitted since the last [`Self::take_dropped_own`].
    dropped_own: Vec<Arc<VerifiedVertex>>,
}

impl DagCore {
    /// The DAG at the start of its era.
    #[must_use]
    pub fn new(
        chain: ChainId,
        context: Arc<EraContext>,
        config: DagConfig,
        me: Option<AuthorityIndex>,
        now_ms: u64,
    ) -> Self {
        let committee = &context.committee;
        let size = committee.size();
        let genesis = committee
            .authorities()
            .map(|author| VertexRef::genesis(&chain, &context, author))
            .collect();
        Self {
            chain,
            me,
            genesis,
            vertices: VertexStore::new(size),
            suspended: Suspended::new(
                u16::try_from(size).unwrap_or(u16::MAX),
                config.suspended_per_author_max,
            ),
            clock: ThresholdClock::new(committee.quorum(), now_ms),
            schedule: LeaderSchedule::new(
                context.seed(&chain),
                size,
                committee.max_faulty(),
                config.leaders_per_round,
                config.reputation_window,
            ),
            linearizer: Linearizer::new(chain, &context, config.gc_depth),
            committer: Committer::new(committee.quorum()),
            cursor: None,
            frontier: BTreeSet::new(),
            own_last: None,
            proposed_at_ms: None,
            own_sent_at_ms: now_ms,
            proposal_floor: Round::ZERO,
            last_payload_round: None,
            highest_seen: vec![Round::ZERO; size],
            equivocated: BTreeSet::new(),
            dropped_own: Vec::new(),
            context,
            config,
        }
    }

    /// The DAG in the middle of its era. `commits` are the last ones, in order: at least
    /// [`Self::commits_needed`] of them or all of the era. Vertices are added afterwards.
    ///
    /// # Panics
    /// If the last commit's leader had no slot: then `commits` are not what the caller promised.
    #[must_use]
    pub fn restore(
        chain: ChainId,
        context: Arc<EraContext>,
        config: DagConfig,
        me: Option<AuthorityIndex>,
        commits: &[CommitRecord],
        now_ms: u64,
    ) -> Self {
        let mut core = Self::new(chain, context, config, me, now_ms);
        for commit in commits {
            core.schedule.observe(commit);
            core.linearizer.restore(commit);
        }
        if let Some(last) = commits.last() {
            let position = core
                .schedule
                .leaders(last.leader.round)
                .into_iter()
                .position(|leader| leader == last.leader.author);
            // With another schedule this node would commit something else than all others from here on.
            assert!(
                position.is_some(),
                "commit {} is led by {}, which has no leader slot: the records are not the last ones of this era",
                last.index,
                last.leader
            );
            core.cursor = position.map(|position| (last.leader.round, position));
            core.clock.advance_to(last.leader.round, now_ms);
        }
        core
    }

    /// How many of the last commits [`Self::restore`] needs. Each commit has a leader of its own slot, so commits within
    /// the garbage-collection depth are at most depth × leaders.
    #[must_use]
    pub fn commits_needed(config: &DagConfig) -> u64 {
        let within_gc = config
            .gc_depth
            .saturating_add(1)
            .saturating_mul(u64::from(config.leaders_per_round));
        LeaderSchedule::commits_needed(config.reputation_window, config.leaders_per_round)
            .max(within_gc)
    }

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
        let missing: BTreeSet<VertexRef> = vertex
            .parents()
            .iter()
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

    fn has_place_in_slot(&self, reference: &VertexRef) -> bool {
        let (round, author) = reference.slot();
        let accepted = self.vertices.slot(round, author).len();
        let suspended = self.suspended.slot(round, author).count();
        accepted.saturating_add(suspended) < VERSIONS_UNASKED_MAX
            || self.suspended.is_waited_for(reference)
    }

    /// True if a parent reference needs nothing any more (rule D1).
    fn is_settled(&self, parent: &VertexRef) -> bool {
        parent.round <= self.gc_round()
            || self.linearizer.is_committed(parent)
            || self.vertices.contains(parent)
    }

    /// Takes in vertices whose parents are settled, and all that waited for them alone; returns them, ancestors first.
    fn accept_all(
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
                self.own_sent_at_ms = now_ms;
                self.set_own_last(&vertex);
            }
            if !vertex.payload().is_empty() {
                self.last_payload_round = self.last_payload_round.max(Some(reference.round));
            }
            self.clock.observe(&self.vertices, reference.round, now_ms);
            ready.extend(self.suspended.resolve(&reference));
            accepted.push(vertex);
        }
        accepted
    }

    /// Commits what the rule decides now. Vertices that garbage collection freed from waiting are in the second part.
    pub fn try_commit(&mut self, now_ms: u64) -> (Vec<SubDag>, Vec<Arc<VerifiedVertex>>) {
        let mut committed = Vec::new();
        let mut freed = Vec::new();
        loop {
            let decided = self
                .committer
                .decide(&self.vertices, &self.schedule, self.cursor);
            if decided.is_empty() {
                return (committed, freed);
            }
            for (slot, decision) in decided {
                self.cursor = Some((slot.round, slot.position));
                let Decision::Commit(leader) = decision else {
                    continue;
                };
                let sub_dag = self.linearizer.commit(&leader, &self.vertices);
                let schedule_changed = self.schedule.observe(&sub_dag.record);
                committed.push(sub_dag);
                freed.extend(self.collect_garbage(now_ms));
                if schedule_changed {
                    // Decisions on later rounds were made with the old leaders: decide again.
                    self.committer.schedule_changed();
                    break;
                }
            }
        }
    }

    fn collect_garbage(&mut self, now_ms: u64) -> Vec<Arc<VerifiedVertex>> {
        let gc_round = self.gc_round();
        for vertex in self.vertices.remove_up_to(gc_round) {
            let reference = vertex.reference();
            self.frontier.remove(&reference);
            if Some(reference.author) == self.me && !self.linearizer.is_committed(&reference) {
                self.dropped_own.push(vertex);
            }
        }
        let first_kept = (gc_round.next(), AuthorityIndex::ZERO);
        self.equivocated = self.equivocated.split_off(&first_kept);
        let ready = self.suspended.collect_garbage(gc_round);
        self.accept_all(ready.into(), now_ms)
    }

    /// Own vertices that will never be committed: their transactions belong back into the mempool.
    pub fn take_dropped_own(&mut self) -> Vec<Arc<VerifiedVertex>> {
        std::mem::take(&mut self.dropped_own)
    }

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

    /// The own last vertex, if it is time to send it again (rule D11).
    pub fn repeat(&mut self, now_ms: u64) -> Option<Arc<VerifiedVertex>> {
        if self.next_repeat_ms()? > now_ms {
            return None;
        }
        self.own_sent_at_ms = now_ms;
        self.vertices.get(&self.own_last?).cloned()
    }

    /// When [`Self::repeat`] has something next, in ms; none while the round moves.
    #[must_use]
    pub fn next_repeat_ms(&self) -> Option<u64> {
        let own = self.own_last?;
        let is_stuck = own.round >= self.clock.round() && self.vertices.contains(&own);
        is_stuck.then(|| {
            self.own_sent_at_ms
                .saturating_add(self.config.repeat_interval_ms)
        })
    }

    /// Forbids own vertices below `round` (DESIGN §3, restart safety).
    pub fn raise_proposal_floor(&mut self, round: Round) {
        self.proposal_floor = self.proposal_floor.max(round);
    }

    /// Requests for missing vertices that are due.
    pub fn fetches(&mut self, now_ms: u64) -> Vec<FetchRequest> {
        let rules = FetchRules {
            again_after_ms: self.config.refetch_interval_ms,
            references_max: FETCH_REFERENCES_MAX,
            me: self.me,
        };
        self.suspended.fetches(now_ms, &rules)
    }

    /// When the next fetch is due, in ms.
    #[must_use]
    pub fn next_fetch_ms(&self) -> Option<u64> {
        self.suspended.next_due_ms()
    }

    /// A round that at least one honest validator has reached: the (f + 1)-th highest seen.
    #[must_use]
    pub fn network_round(&self) -> Round {
        let mut seen = self.highest_seen.clone();
        seen.sort_unstable_by(|a, b| b.cmp(a));
        seen.get(self.context.committee.max_faulty())
            .copied()
            .unwrap_or_default()
    }

    /// Vertices of `round` that vertices of at least 2f + 1 authors of the next round name: what the stall detector counts.
    #[must_use]
    pub fn certified_vertices(&self, round: Round) -> usize {
        let threshold = self.context.committee.certified_threshold();
        self.vertices
            .round(round)
            .filter(|vertex| self.vertices.supporters(&vertex.reference()) >= threshold)
            .count()
    }

    #[must_use]
    pub const fn round(&self) -> Round {
        self.clock.round()
    }

    #[must_use]
    pub const fn gc_round(&self) -> Round {
        self.linearizer.gc_round()
    }

    #[must_use]
    pub const fn last_leader_round(&self) -> Round {
        self.linearizer.last_leader_round()
    }

    #[must_use]
    pub const fn last_commit_index(&self) -> u64 {
        self.linearizer.last_index()
    }

    #[must_use]
    pub fn context(&self) -> &Arc<EraContext> {
        &self.context
    }

    #[must_use]
    pub const fn authority(&self) -> Option<AuthorityIndex> {
        self.me
    }

    #[must_use]
    pub const fn own_last(&self) -> Option<VertexRef> {
        self.own_last
    }

    #[must_use]
    pub const fn vertices(&self) -> &VertexStore {
        &self.vertices
    }

    #[must_use]
    pub const fn schedule(&self) -> &LeaderSchedule {
        &self.schedule
    }

    #[must_use]
    pub const fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// Suspended vertices and missing references: gauges.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.suspended.len(), self.suspended.missing_len())
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
