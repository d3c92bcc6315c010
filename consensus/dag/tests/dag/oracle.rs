//! The commit rule and the linearizer once more, slowly, from the definitions of the Mysticeti paper (arXiv 2310.14821,
//! algorithms 1 to 3) and rules D5, D9 and D10, over the complete DAG. It shares the formats with the core and no logic.

use crate::harness::Said;
use crate::oracle_agrees::Reached;
use holdfast_dag::DagConfig;
use holdfast_types::hash::Purpose;
use holdfast_types::test_util::CHAIN;
use holdfast_types::{
    AuthorityIndex, CommitDigest, CommitRecord, CommittedVertex, EraContext, Round, TimestampMs,
    VerifiedVertex, VertexDigest, VertexRef,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Status {
    Undecided,
    Skip,
    Commit(VertexRef),
}

type Slot = (Round, usize);

pub(crate) struct Oracle {
    context: Arc<EraContext>,
    config: DagConfig,
    vertices: BTreeMap<VertexRef, Arc<VerifiedVertex>>,
}

impl Oracle {
    pub(crate) fn new(
        context: &Arc<EraContext>,
        config: &DagConfig,
        vertices: &[Arc<VerifiedVertex>],
    ) -> Self {
        Self {
            context: Arc::clone(context),
            config: config.clone(),
            vertices: vertices
                .iter()
                .map(|vertex| (vertex.reference(), Arc::clone(vertex)))
                .collect(),
        }
    }

    /// Everything that is ever committed of this DAG.
    pub(crate) fn commits(&self) -> Vec<Said> {
        let mut records: Vec<CommitRecord> = Vec::new();
        let mut said = Vec::new();
        let mut taken: BTreeSet<(Round, AuthorityIndex)> = BTreeSet::new();
        let mut statuses = self.statuses(&records);
        let mut next: Slot = (Round(1), 0);
        loop {
            let leaders = self.leaders(next.0, &records);
            if next.1 >= leaders.len() {
                next = (next.0.next(), 0);
                continue;
            }
            match statuses.get(&next) {
                None | Some(Status::Undecided) => return said,
                Some(Status::Skip) => {}
                Some(Status::Commit(leader)) => {
                    let record = self.record(leader, &records);
                    let executed = record
                        .vertices
                        .iter()
                        .map(|committed| committed.reference)
                        .filter(|reference| taken.insert((reference.round, reference.author)))
                        .collect();
                    said.push(Said {
                        index: record.index,
                        leader: record.leader,
                        timestamp: record.timestamp,
                        ordered: record.vertices.iter().map(|v| v.reference).collect(),
                        executed,
                        digest: record.digest(&CHAIN),
                    });
                    records.push(record);
                    if (records.len() as u64).is_multiple_of(self.config.reputation_window) {
                        // Reputation may have changed the leaders of later rounds.
                        statuses = self.statuses(&records);
                    }
                }
            }
            next = (next.0, next.1 + 1);
        }
    }

    /// TryDecide for every slot, the highest first.
    fn statuses(&self, commits: &[CommitRecord]) -> BTreeMap<Slot, Status> {
        let mut statuses: BTreeMap<Slot, Status> = BTreeMap::new();
        let highest = self.vertices.keys().map(|r| r.round).max();
        let mut round = highest.unwrap_or_default();
        while round > Round::ZERO {
            let leaders = self.leaders(round, commits);
            for (position, leader) in leaders.into_iter().enumerate().rev() {
                let mut status = self.direct(round, leader);
                if status == Status::Undecided {
                    status = self.indirect(round, leader, &statuses);
                }
                statuses.insert((round, position), status);
            }
            round = round.previous();
        }
        statuses
    }

    /// True if the last slot of the first schedule before an undecided one is skipped.
    pub(crate) fn ends_in_skip(&self) -> bool {
        let statuses = self.statuses(&[]);
        let decided = statuses.values().take_while(|s| **s != Status::Undecided);
        decided.last() == Some(&Status::Skip)
    }

    /// How the slots of the first schedule are decided, for a tally of what a set of DAGs reaches.
    pub(crate) fn decision_kinds(&self) -> Reached {
        let mut reached = Reached::default();
        for ((round, position), status) in self.statuses(&[]) {
            let leader = self.leaders(round, &[])[position];
            let direct = self.direct(round, leader) != Status::Undecided;
            match (status, direct) {
                (Status::Commit(_), true) => reached.direct_commits += 1,
                (Status::Skip, true) => reached.direct_skips += 1,
                (Status::Commit(_), false) => reached.indirect_commits += 1,
                (Status::Skip, false) => reached.indirect_skips += 1,
                (Status::Undecided, _) => {}
            }
        }
        reached
    }

    /// TryDirectDecide.
    fn direct(&self, round: Round, leader: AuthorityIndex) -> Status {
        let quorum = self.context.committee.quorum();
        let skipping: BTreeSet<AuthorityIndex> = self
            .round(round.next())
            .filter(|vertex| self.voted(vertex, round, leader).is_none())
            .map(|vertex| vertex.author())
            .collect();
        if skipping.len() >= quorum {
            return Status::Skip;
        }
        for candidate in self.slot(round, leader) {
            let certifying: BTreeSet<AuthorityIndex> = self
                .round(round.plus(2))
                .filter(|vertex| self.is_certificate(vertex, &candidate))
                .map(|vertex| vertex.author())
                .collect();
            if certifying.len() >= quorum {
                return Status::Commit(candidate);
            }
        }
        Status::Undecided
    }

    /// TryIndirectDecide: the anchor is the first slot above the decision round that is not skipped.
    fn indirect(
        &self,
        round: Round,
        leader: AuthorityIndex,
        statuses: &BTreeMap<Slot, Status>,
    ) -> Status {
        let anchor = statuses
            .iter()
            .find(|((later, _), status)| *later > round.plus(2) && **status != Status::Skip);
        let Some((_, Status::Commit(anchor))) = anchor else {
            return Status::Undecided;
        };
        let history = self.history(anchor);
        for candidate in self.slot(round, leader) {
            let certified = self
                .round(round.plus(2))
                .filter(|vertex| history.contains(&vertex.reference()))
                .any(|vertex| self.is_certificate(vertex, &candidate));
            if certified {
                return Status::Commit(candidate);
            }
        }
        Status::Skip
    }

    /// VotedBlock: the first vertex of the slot that a depth-first search from `vertex` meets.
    fn voted(
        &self,
        vertex: &VerifiedVertex,
        round: Round,
        leader: AuthorityIndex,
    ) -> Option<VertexRef> {
        for parent in vertex.parents() {
            if (parent.round, parent.author) == (round, leader) {
                return Some(*parent);
            }
            if parent.round > round
                && let Some(voted) = self.voted(&self.vertices[parent], round, leader)
            {
                return Some(voted);
            }
        }
        None
    }

    /// IsCert.
    fn is_certificate(&self, vertex: &VerifiedVertex, leader: &VertexRef) -> bool {
        let voters: BTreeSet<AuthorityIndex> = vertex
            .parents()
            .iter()
            .filter(|parent| parent.round == leader.round.next())
            .filter(|parent| {
                self.voted(&self.vertices[parent], leader.round, leader.author) == Some(*leader)
            })
            .map(|parent| parent.author)
            .collect();
        voters.len() >= self.context.committee.quorum()
    }

    /// Everything that a path leads to from `from`, itself included.
    fn history(&self, from: &VertexRef) -> BTreeSet<VertexRef> {
        let mut reached = BTreeSet::from([*from]);
        let mut open = vec![*from];
        while let Some(reference) = open.pop() {
            for parent in self.vertices[&reference].parents() {
                if self.vertices.contains_key(parent) && reached.insert(*parent) {
                    open.push(*parent);
                }
            }
        }
        reached
    }

    /// LinearizeSubDag with garbage collection (rule D9).
    fn record(&self, leader: &VertexRef, commits: &[CommitRecord]) -> CommitRecord {
        let floor = leader.round.0.saturating_sub(self.config.gc_depth);
        let committed: BTreeSet<VertexRef> = commits
            .iter()
            .flat_map(|commit| &commit.vertices)
            .map(|committed| committed.reference)
            .collect();
        let vertices = self
            .history(leader)
            .difference(&committed)
            .filter(|reference| reference.round.0 > floor)
            .map(|reference| CommittedVertex {
                reference: *reference,
                timestamp: self.vertices[reference].header().timestamp,
            })
            .collect();
        CommitRecord {
            era: self.context.era,
            index: commits.len() as u64 + 1,
            leader: *leader,
            previous: commits
                .last()
                .map_or_else(CommitDigest::default, |last| last.digest(&CHAIN)),
            timestamp: self.median(leader),
            vertices,
        }
    }

    fn median(&self, leader: &VertexRef) -> TimestampMs {
        let mut timestamps: Vec<TimestampMs> = self.vertices[leader]
            .parents()
            .iter()
            .filter(|parent| parent.round.0 + 1 == leader.round.0)
            .filter_map(|parent| self.vertices.get(parent))
            .map(|parent| parent.header().timestamp)
            .collect();
        timestamps.sort_unstable();
        if timestamps.is_empty() {
            return self.context.anchor_timestamp;
        }
        timestamps[timestamps.len() / 2]
    }

    /// Rules D5 and D10. The weights that a window of commits gives hold above its last leader's round.
    pub(crate) fn leaders(&self, round: Round, commits: &[CommitRecord]) -> Vec<AuthorityIndex> {
        let window = usize::try_from(self.config.reputation_window).expect("a small number");
        let full = commits
            .chunks_exact(window)
            .rfind(|window| window.last().is_some_and(|last| last.leader.round < round));
        let mut candidates: Vec<AuthorityIndex> = self.context.committee.authorities().collect();
        if let Some(window) = full {
            let excluded = self.excluded(window);
            candidates.retain(|authority| !excluded.contains(authority));
        }
        let mut hasher = Purpose::LEADER.hasher();
        hasher.update(&self.context.seed(&CHAIN));
        hasher.update(&round.0.to_le_bytes());
        let mut bits = hasher.finalize_xof();
        let mut leaders = Vec::new();
        while leaders.len() < usize::from(self.config.leaders_per_round) && !candidates.is_empty() {
            let mut bytes = [0; 8];
            bits.fill(&mut bytes);
            let draw = u128::from(u64::from_le_bytes(bytes)) * candidates.len() as u128;
            leaders.push(candidates.remove(usize::try_from(draw >> 64).expect("an index")));
        }
        leaders
    }

    fn excluded(&self, window: &[CommitRecord]) -> Vec<AuthorityIndex> {
        let score = |authority: AuthorityIndex| {
            window
                .iter()
                .flat_map(|commit| &commit.vertices)
                .filter(|committed| committed.reference.author == authority)
                .count()
        };
        let committee = &self.context.committee;
        let mut scores: Vec<(usize, AuthorityIndex)> = committee
            .authorities()
            .map(|authority| (score(authority), authority))
            .collect();
        scores.sort_unstable();
        let median = scores[committee.size() / 2].0;
        scores
            .into_iter()
            .take(committee.max_faulty())
            .filter(|(score, _)| *score < median / 2)
            .map(|(_, authority)| authority)
            .collect()
    }

    fn round(&self, round: Round) -> impl Iterator<Item = &Arc<VerifiedVertex>> {
        self.vertices
            .range(first_of(round)..first_of(round.next()))
            .map(|(_, vertex)| vertex)
    }

    fn slot(&self, round: Round, author: AuthorityIndex) -> Vec<VertexRef> {
        self.round(round)
            .map(|vertex| vertex.reference())
            .filter(|reference| reference.author == author)
            .collect()
    }
}

fn first_of(round: Round) -> VertexRef {
    VertexRef {
        round,
        author: AuthorityIndex::ZERO,
        digest: VertexDigest::default(),
    }
}
