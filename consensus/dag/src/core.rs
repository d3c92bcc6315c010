//! The DAG of one era as a state machine: vertices in; accepted vertices, sub-DAGs, plans and fetches out.

mod acceptance;
mod asking;
mod proposing;

use crate::clock::ThresholdClock;
use crate::commit::{Committer, Decision};
use crate::config::DagConfig;
use crate::leaders::LeaderSchedule;
use crate::linearizer::{Linearizer, SubDag};
use crate::suspended::Suspended;
use crate::vertices::VertexStore;
use holdfast_types::{
    AuthorityIndex, ChainId, CommitRecord, EraContext, Evidence, Round, VerifiedVertex, VertexRef,
};
use std::collections::BTreeSet;
use std::sync::Arc;

pub use asking::AskRequest;

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
/// a vertex here waits for it, or in place of one whose ancestors nobody has, else one author could fill the memory with
/// versions that nobody names.
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
    asked: asking::Asked,
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
            vertices: VertexStore::new(size, committee.certified_threshold()),
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
            asked: asking::Asked::new(now_ms),
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

    /// Own vertices in the DAG that are not committed yet.
    pub fn own_uncommitted(&self) -> impl Iterator<Item = &Arc<VerifiedVertex>> {
        self.vertices
            .of_author(self.me)
            .filter(|vertex| !self.linearizer.is_committed(&vertex.reference()))
    }

    /// Own vertices that will never be committed: their transactions belong back into the mempool.
    pub fn take_dropped_own(&mut self) -> Vec<Arc<VerifiedVertex>> {
        std::mem::take(&mut self.dropped_own)
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
        self.vertices.certified(round)
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

    /// Suspended vertices of the author who has most: a gauge.
    #[must_use]
    pub fn waiting_of_one(&self) -> usize {
        self.suspended.len_of_one()
    }
}
