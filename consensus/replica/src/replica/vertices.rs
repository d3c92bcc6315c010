//! Vertices, attestations and commits (rules R3, R6).

use super::{COLLECTOR_HEIGHTS_KEPT, Replica};
use crate::io::{Fact, Now, Output};
use crate::record::Record;
use holdfast_chain::Collected;
use holdfast_dag::{AddOutcome, Added, SubDag, gc_round};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{Attestation, Evidence, Round, VerifiedVertex, VertexRef};
use std::sync::Arc;

/// Rounds between two orders to the store to prune.
const PRUNE_ROUNDS: u64 = 16;

impl Replica {
    pub(super) fn on_vertices(
        &mut self,
        now: Now,
        vertices: Vec<Arc<VerifiedVertex>>,
        out: &mut Output,
    ) {
        for vertex in vertices {
            if self.is_of_tail(vertex.header().era) {
                self.add_to_tail(now, &vertex, out);
                continue;
            }
            if vertex.header().era != self.context.era || self.dag.is_none() {
                continue;
            }
            let timestamp = vertex.header().timestamp;
            let ahead_ms = timestamp.since(now.wall);
            if ahead_ms > self.config.max_clock_drift_ms {
                let author = vertex.author();
                out.facts.push(if self.future.park(vertex) {
                    Fact::VertexParked { author, ahead_ms }
                } else {
                    Fact::VertexDropped {
                        author,
                        reason: "dated_ahead",
                    }
                });
                continue;
            }
            self.add_vertex(now, vertex, out);
        }
    }

    pub(super) fn release_future(&mut self, now: Now, out: &mut Output) {
        let limit = now.wall.plus(self.config.max_clock_drift_ms);
        for vertex in self.future.release(limit) {
            self.add_vertex(now, vertex, out);
        }
    }

    fn add_vertex(&mut self, now: Now, vertex: Arc<VerifiedVertex>, out: &mut Output) {
        let Some(dag) = &mut self.dag else { return };
        let author = vertex.author();
        let mine = dag.authority() == Some(author);
        let added = dag.add(Arc::clone(&vertex), now.monotonic_ms);
        self.halts.heard(author, now);
        self.watch_alone(now, author, vertex.header().timestamp, out);
        match added.outcome {
            AddOutcome::Accepted
            | AddOutcome::Suspended
            | AddOutcome::Known
            | AddOutcome::TooOld
            | AddOutcome::TooFarAhead => {}
            AddOutcome::NoPlace => out.facts.push(Fact::VertexDropped {
                author,
                reason: "no_place",
            }),
            AddOutcome::WrongGenesis => out.facts.push(Fact::VertexDropped {
                author,
                reason: "wrong_genesis",
            }),
        }
        if mine && added.outcome != AddOutcome::Known {
            self.own_vertex_from_outside(&vertex, &added, out);
        }
        self.accepted(now, &added.accepted, out);
        for evidence in added.evidence {
            self.equivocation(now, evidence, out);
        }
    }

    /// Rule R6. It counts whatever became of it: it may be too far ahead for this DAG, but it was signed.
    fn own_vertex_from_outside(
        &mut self,
        vertex: &Arc<VerifiedVertex>,
        added: &Added,
        out: &mut Output,
    ) {
        let era = vertex.header().era;
        let round = vertex.round();
        if added.evidence.is_empty() || mutant::is_on(Mutant::SecondIsLost) {
            self.own_vertex_seen(era, &vertex.reference(), out);
        } else {
            self.own_key_elsewhere(era, round, out);
        }
        if matches!(added.outcome, AddOutcome::Accepted | AddOutcome::Suspended)
            && let Some(dag) = &mut self.dag
            && dag.own_last().is_none_or(|last| last.round < round)
        {
            dag.set_own_last(vertex);
        }
    }

    /// Effects of vertices that entered the DAG.
    pub(super) fn accepted(
        &mut self,
        now: Now,
        vertices: &[Arc<VerifiedVertex>],
        out: &mut Output,
    ) {
        let me = self.dag.as_ref().and_then(holdfast_dag::DagCore::authority);
        for vertex in vertices {
            if Some(vertex.author()) != me {
                out.persist.push(Record::PeerVertex(Arc::clone(vertex)));
            }
            for attestation in &vertex.payload().attestations {
                self.on_attestation(now, attestation, out);
            }
        }
    }

    /// Counts a verified attestation of the collector's era.
    pub(super) fn on_attestation(&mut self, now: Now, attestation: &Attestation, out: &mut Output) {
        match self.collector.add(attestation) {
            Collected::Counted => {}
            Collected::Certificate(certificate) => self.on_certificate(certificate, out),
            Collected::Contradiction(evidence) => {
                out.facts.push(Fact::ContradictoryAttestations {
                    author: attestation.author,
                    height: attestation.body.height,
                });
                self.on_evidence(now, *evidence, out);
            }
        }
        self.watch_attestation(now, attestation, out);
    }

    /// Others may have both vertices of a slot before this node has the foreign one.
    pub(super) fn own_key_in_evidence(&mut self, evidence: &Evidence, out: &mut Output) {
        let Evidence::Equivocation { first, second } = evidence else {
            return;
        };
        let me = self.authority();
        for header in [&first.header, &second.header] {
            if header.era == self.context.era && Some(header.author) == me {
                let reference = VertexRef {
                    round: header.round,
                    author: header.author,
                    digest: header.digest(&self.config.chain),
                };
                self.own_vertex_seen(header.era, &reference, out);
            }
        }
    }

    fn equivocation(&mut self, now: Now, evidence: Evidence, out: &mut Output) {
        if let Evidence::Equivocation { first, .. } = &evidence {
            out.facts.push(Fact::Equivocation {
                author: first.header.author,
                round: first.header.round,
            });
        }
        self.on_evidence(now, evidence, out);
    }

    pub(super) fn commit(&mut self, now: Now, out: &mut Output) {
        let allowed = self.commits_allowed();
        let Some(dag) = self.dag.as_mut().filter(|_| allowed > 0) else {
            return;
        };
        let (sub_dags, freed) = dag.try_commit(now.monotonic_ms);
        let dropped = dag.take_dropped_own();
        // What lies above the block that a resume message names is void, unless a later message names a higher one.
        let sub_dags = self.commits.take(sub_dags, allowed);
        if !sub_dags.is_empty() {
            self.halts.committed();
        }
        Self::tell_commits(&sub_dags, out);
        out.execute.extend(sub_dags);
        self.accepted(now, &freed, out);
        for vertex in dropped {
            self.mempool.requeue(vertex.transaction_ids());
        }
        self.prune(out);
    }

    pub(super) fn tell_commits(sub_dags: &[SubDag], out: &mut Output) {
        for sub_dag in sub_dags {
            out.facts.push(Fact::Committed {
                leader_round: sub_dag.record.leader.round,
                index: sub_dag.record.index,
                vertices: sub_dag.vertices.len(),
                transactions: sub_dag
                    .vertices
                    .iter()
                    .map(|vertex| vertex.transaction_ids().len())
                    .fold(0, usize::saturating_add),
            });
        }
    }

    /// Vertices are kept until the blocks that they led to are executed here and certified, as no peer can have these blocks
    /// from elsewhere before; and for another garbage-collection depth, for peers that are behind.
    fn prune(&mut self, out: &mut Output) {
        while let Some((_, round)) = self
            .uncertified
            .pop_front_if(|(height, _)| *height <= self.certified)
        {
            self.settled = round;
        }
        let gc_depth = self.config.dag.gc_depth;
        let up_to = gc_round(self.settled, gc_depth).minus(gc_depth);
        if up_to.since(self.pruned) < PRUNE_ROUNDS {
            return;
        }
        let era = self.context.era;
        if self.pruned == Round::ZERO {
            // This era has come so far that nobody needs the DAG of the one before it, or of the one on which an emergency
            // between them stood.
            for era in [era.previous().previous(), era.previous()] {
                let up_to = Round::MAX;
                out.persist.push(Record::PruneVertices { era, up_to });
            }
        }
        self.pruned = up_to;
        out.persist.push(Record::PruneVertices { era, up_to });
    }

    /// A certificate became known: from attestations or from a peer.
    pub(super) fn on_certificate(
        &mut self,
        certificate: holdfast_types::Certificate,
        out: &mut Output,
    ) {
        let height = certificate.body.height;
        if height > self.certified {
            self.certified = height;
            self.collector.forget_below(height, COLLECTOR_HEIGHTS_KEPT);
            out.facts.push(Fact::Certified { height });
        }
        if let Some(pending) = &mut self.pending_era
            && certificate.body.block == pending.context.anchor
        {
            pending.certificate = Some(certificate.clone());
        }
        out.certificates.push(certificate);
    }
}
