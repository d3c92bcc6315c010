//! From committed leaders to ordered sub-DAGs (rule D9).

use crate::vertices::{Versions, VertexStore, version_mut};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{
    AuthorityIndex, BlockId, ChainId, CommitDigest, CommitRecord, CommittedVertex, Era, EraContext,
    Round, TimestampMs, VerifiedVertex, VertexDigest, VertexRef,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The garbage-collection round after a commit: vertices at or below it that are not committed never will be.
#[must_use]
pub const fn gc_round(leader_round: Round, gc_depth: u64) -> Round {
    leader_round.minus(gc_depth)
}

/// A committed leader with the vertices that it orders.
#[derive(Clone, Debug)]
pub struct SubDag {
    /// The block on which the era of this DAG stands. After a switch of branches an era of the same number may stand on
    /// another, and a commit is of one of them only.
    pub anchor: BlockId,
    pub record: CommitRecord,
    pub digest: CommitDigest,
    /// What executes, in its order: of every slot the first vertex in commit order.
    pub vertices: Vec<Arc<VerifiedVertex>>,
    /// What was ordered but does not execute: later vertices of slots that an earlier one took.
    pub equivocations: Vec<Arc<VerifiedVertex>>,
}

/// What has been committed in the era, above the garbage-collection round.
#[derive(Clone, Debug)]
pub struct Linearizer {
    chain: ChainId,
    era: Era,
    anchor: BlockId,
    anchor_timestamp: TimestampMs,
    gc_depth: u64,
    last_index: u64,
    last_digest: CommitDigest,
    last_leader_round: Round,
    committed: BTreeMap<Round, CommittedRound>,
}

/// What has been committed of one round.
#[derive(Clone, Debug, Default)]
struct CommittedRound {
    /// By author: the first vertex in commit order, side by side, as most questions are about these.
    first: Vec<Option<(VertexDigest, TimestampMs)>>,
    /// Further vertices of the same slots.
    others: BTreeMap<(AuthorityIndex, VertexDigest), TimestampMs>,
}

impl CommittedRound {
    fn timestamp(&self, author: AuthorityIndex, digest: &VertexDigest) -> Option<TimestampMs> {
        let (first, timestamp) = self.first.get(author.as_usize())?.as_ref()?;
        if first == digest {
            return Some(*timestamp);
        }
        self.others.get(&(author, *digest)).copied()
    }

    /// True if the vertex is the first of its slot.
    fn mark(&mut self, vertex: &CommittedVertex) -> bool {
        let reference = vertex.reference;
        let author = reference.author.as_usize();
        if self.first.len() <= author {
            self.first.resize(author.saturating_add(1), None);
        }
        match self.first.get_mut(author) {
            Some(first) if first.is_none() => {
                *first = Some((reference.digest, vertex.timestamp));
                true
            }
            _ => {
                let place = (reference.author, reference.digest);
                self.others.insert(place, vertex.timestamp);
                false
            }
        }
    }
}

impl Linearizer {
    #[must_use]
    pub fn new(chain: ChainId, context: &EraContext, gc_depth: u64) -> Self {
        Self {
            chain,
            era: context.era,
            anchor: context.anchor,
            anchor_timestamp: context.anchor_timestamp,
            gc_depth,
            last_index: 0,
            last_digest: CommitDigest::default(),
            last_leader_round: Round::ZERO,
            committed: BTreeMap::new(),
        }
    }

    /// Takes over a commit that was made before a restart or by others.
    pub fn restore(&mut self, record: &CommitRecord) {
        self.last_index = record.index;
        self.last_digest = record.digest(&self.chain);
        self.last_leader_round = record.leader.round;
        for vertex in &record.vertices {
            self.mark(vertex);
        }
        self.collect_garbage();
    }

    fn mark(&mut self, vertex: &CommittedVertex) -> bool {
        let round = self.committed.entry(vertex.reference.round).or_default();
        round.mark(vertex)
    }

    fn timestamp(&self, reference: &VertexRef) -> Option<TimestampMs> {
        let round = self.committed.get(&reference.round)?;
        round.timestamp(reference.author, &reference.digest)
    }

    #[must_use]
    pub fn is_committed(&self, reference: &VertexRef) -> bool {
        self.timestamp(reference).is_some()
    }

    #[must_use]
    pub const fn gc_round(&self) -> Round {
        gc_round(self.last_leader_round, self.gc_depth)
    }

    #[must_use]
    pub const fn last_leader_round(&self) -> Round {
        self.last_leader_round
    }

    #[must_use]
    pub const fn last_index(&self) -> u64 {
        self.last_index
    }

    /// Orders the history of `leader`, which the commit rule has just decided to commit.
    pub fn commit(&mut self, leader: &Arc<VerifiedVertex>, vertices: &VertexStore) -> SubDag {
        let floor = if mutant::is_on(Mutant::GarbageBoundOfTheMoment) {
            gc_round(vertices.highest_round(), self.gc_depth)
        } else {
            gc_round(leader.round(), self.gc_depth)
        };
        let mut ordered = self.uncommitted_history(leader, vertices, floor);
        if mutant::is_on(Mutant::SortedByRoundOnly) && vertices.highest_round().0 % 2 == 1 {
            ordered.reverse();
            ordered.sort_by_key(|vertex| vertex.round());
        }
        let record = CommitRecord {
            era: self.era,
            index: self.last_index.saturating_add(1),
            leader: leader.reference(),
            previous: self.last_digest,
            timestamp: self.median_timestamp(leader, vertices),
            vertices: ordered
                .iter()
                .map(|vertex| CommittedVertex {
                    reference: vertex.reference(),
                    timestamp: vertex.header().timestamp,
                })
                .collect(),
        };
        let mut executing = Vec::with_capacity(ordered.len());
        let mut equivocations = Vec::new();
        for (vertex, committed) in ordered.into_iter().zip(&record.vertices) {
            if self.mark(committed) || mutant::is_on(Mutant::BothVersionsExecute) {
                executing.push(vertex);
            } else {
                equivocations.push(vertex);
            }
        }
        let digest = record.digest(&self.chain);
        self.last_index = record.index;
        self.last_digest = digest;
        self.last_leader_round = leader.round();
        self.collect_garbage();
        SubDag {
            anchor: self.anchor,
            record,
            digest,
            vertices: executing,
            equivocations,
        }
    }

    /// The uncommitted vertices above `floor` in the history of `leader`, itself included, in the total order.
    fn uncommitted_history(
        &self,
        leader: &Arc<VerifiedVertex>,
        vertices: &VertexStore,
        floor: Round,
    ) -> Vec<Arc<VerifiedVertex>> {
        let mut seen: BTreeMap<Round, Versions> = BTreeMap::new();
        let mut history = Vec::new();
        let mut open = vec![Arc::clone(leader)];
        while let Some(vertex) = open.pop() {
            for parent in vertex.parents() {
                // Membership is tested before the vertex is looked up: what is committed may be gone.
                if parent.round <= floor || self.is_committed(parent) {
                    continue;
                }
                let version = vertices.version(parent);
                assert!(
                    version.is_some(),
                    "rule D1: accepted vertex {} lacks its ancestor {parent}",
                    vertex.reference()
                );
                let seen = seen.entry(parent.round).or_default();
                if version
                    .and_then(|version| version_mut(seen, version))
                    .is_some_and(|authors| authors.insert(parent.author))
                {
                    open.extend(vertices.get(parent).cloned());
                }
            }
            history.push(vertex);
        }
        history.sort_unstable_by_key(|vertex| vertex.reference());
        history
    }

    /// Median of the timestamps of the leader's parents of the previous round: at least q of them, so it lies between
    /// two honest ones.
    fn median_timestamp(&self, leader: &VerifiedVertex, vertices: &VertexStore) -> TimestampMs {
        let previous = leader.round().previous();
        if previous == Round::ZERO {
            return self.anchor_timestamp;
        }
        let mut timestamps: Vec<TimestampMs> = leader
            .parents()
            .iter()
            .filter(|parent| parent.round == previous)
            .filter_map(|parent| {
                let accepted = vertices.get(parent).map(|vertex| vertex.header().timestamp);
                let known = accepted.or_else(|| self.timestamp(parent));
                // A missing timestamp would give another block time than other nodes compute.
                assert!(
                    known.is_some(),
                    "rule D1: the timestamp of {parent} is unknown at the commit of {}",
                    leader.reference()
                );
                known
            })
            .collect();
        timestamps.sort_unstable();
        if mutant::is_on(Mutant::TimestampByMaximum) {
            timestamps = timestamps.split_off(timestamps.len().saturating_sub(1));
        }
        timestamps
            .get(timestamps.len() / 2)
            .copied()
            .unwrap_or(self.anchor_timestamp)
    }

    fn collect_garbage(&mut self) {
        self.committed = self.committed.split_off(&self.gc_round().next());
    }
}
