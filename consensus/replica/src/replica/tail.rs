//! The DAG on which an emergency stands (rules R21 and R24).

use super::eras::collector;
use super::locked_below::LockBelow;
use super::{Replica, ask_around};
use crate::io::{DagStanding, Now, Output};
use crate::record::Record;
use holdfast_chain::{CertificateCollector, Collected};
use holdfast_dag::{DagCore, SubDag};
use holdfast_halt::matrix::Activity;
use holdfast_types::{Attestation, AttestationBody, Era, EraContext, Height, VerifiedVertex};
use std::collections::VecDeque;
use std::sync::Arc;

/// The DAG of the era before an emergency: it is listened to, and nothing is proposed in it.
#[derive(Debug)]
pub(super) struct Tail {
    dag: DagCore,
    /// What its members have attested may make a certificate yet.
    collector: CertificateCollector,
    /// What it had decided, and must not be executed before the emergency began.
    kept_back: VecDeque<SubDag>,
    /// What its members say of a lockdown.
    pub(super) lock: LockBelow,
}

impl Tail {
    fn new(dag: DagCore, certified: Height, kept_back: VecDeque<SubDag>) -> Self {
        let collector = collector(dag.context(), certified);
        Self {
            dag,
            collector,
            kept_back,
            lock: LockBelow::default(),
        }
    }

    pub(super) fn context(&self) -> &Arc<EraContext> {
        self.dag.context()
    }

    /// Whether it is what `standing` describes, and has committed nothing above it.
    pub(super) fn stands_at(&self, standing: &DagStanding) -> bool {
        let (ours, theirs) = (self.dag.context(), &standing.context);
        (ours.era, ours.anchor) == (theirs.era, theirs.anchor)
            && self.dag.last_commit_index() == standing.last_commit_index()
    }

    pub(super) fn next_wake_ms(&self) -> u64 {
        let ask_ms = self.dag.next_ask_ms();
        let fetch_ms = self.dag.next_fetch_ms().unwrap_or(ask_ms);
        let yield_ms = self.lock.next_ms().unwrap_or(ask_ms);
        ask_ms.min(fetch_ms).min(yield_ms)
    }
}

impl Replica {
    /// The era on which the running emergency stands, if its DAG is listened to here.
    #[must_use]
    pub fn tail(&self) -> Option<&Arc<EraContext>> {
        self.tail.as_ref().map(|tail| tail.dag.context())
    }

    /// The DAG as the store has it.
    pub(super) fn restore_tail(&mut self, now: Now, standing: DagStanding, out: &mut Output) {
        let DagStanding {
            context,
            commits,
            vertices,
        } = standing;
        let dag = self.stored_dag(now, &context, &commits, &vertices);
        self.listen_to_tail(now, dag, VecDeque::new(), out);
    }

    /// From now on this DAG is listened to.
    pub(super) fn listen_to_tail(
        &mut self,
        now: Now,
        dag: DagCore,
        kept_back: VecDeque<SubDag>,
        out: &mut Output,
    ) {
        let vertices = dag.vertices();
        let mut round = dag.gc_round().next();
        let mut attestations = Vec::new();
        while round <= vertices.highest_round() {
            let of_round = vertices.round(round);
            attestations.extend(of_round.flat_map(|vertex| vertex.payload().attestations.clone()));
            round = round.next();
        }
        self.tail = Some(Tail::new(dag, self.certified, kept_back));
        for attestation in &attestations {
            self.count_of_tail(now, attestation, out);
        }
    }

    pub(super) fn is_of_tail(&self, era: Era) -> bool {
        self.tail().is_some_and(|context| context.era == era)
    }

    pub(super) fn add_to_tail(&mut self, now: Now, vertex: &Arc<VerifiedVertex>, out: &mut Output) {
        let Some(tail) = &mut self.tail else { return };
        let ahead_ms = vertex.header().timestamp.since(now.wall);
        if ahead_ms > self.config.max_clock_drift_ms {
            return;
        }
        let added = tail.dag.add(Arc::clone(vertex), now.monotonic_ms);
        self.accepted_in_tail(now, &added.accepted, out);
        for evidence in added.evidence {
            self.on_evidence(now, evidence, out);
        }
    }

    fn accepted_in_tail(&mut self, now: Now, vertices: &[Arc<VerifiedVertex>], out: &mut Output) {
        for vertex in vertices {
            out.persist.push(Record::PeerVertex(Arc::clone(vertex)));
            for attestation in &vertex.payload().attestations {
                self.count_of_tail(now, attestation, out);
            }
        }
    }

    fn count_of_tail(&mut self, now: Now, attestation: &Attestation, out: &mut Output) {
        let Some(tail) = &mut self.tail else { return };
        match tail.collector.add(attestation) {
            Collected::Counted => {}
            Collected::Certificate(certificate) => self.on_certificate(certificate, out),
            Collected::Contradiction(evidence) => self.on_evidence(now, *evidence, out),
        }
    }

    /// Commits what the DAG decides, and asks others for what they have of it (rule R21).
    pub(super) fn follow_tail(&mut self, now: Now, out: &mut Output) {
        let holds_to_end = self.holds_to_end(now);
        let is_allowed = self.allows(Activity::EmergencyBlocks);
        self.yield_to_lockdown(now, holds_to_end, out);
        let Some(tail) = &mut self.tail else { return };
        ask_around(now, &mut tail.dag, out);
        if holds_to_end || !is_allowed {
            return;
        }
        let (decided, freed) = tail.dag.try_commit(now.monotonic_ms);
        let kept_back = std::mem::take(&mut tail.kept_back);
        let sub_dags: Vec<_> = kept_back.into_iter().chain(decided).collect();
        if let Some(pending) = &mut self.pending_era
            && !sub_dags.is_empty()
        {
            pending.ballot.release();
        }
        Self::tell_commits(&sub_dags, out);
        out.execute.extend(sub_dags);
        self.accepted_in_tail(now, &freed, out);
    }

    /// Whether this validator has attested the end of an emergency on this DAG: from then on only a certificate takes it back here,
    /// as this one may be certified, too. It holds to a vote as long as the end may be certified before the chain stalls again, so that all who
    /// have voted come to attest it once a quorum has. As long as the chain was asked to hold the end it gets no commit that would cross its
    /// answer.
    fn holds_to_end(&self, now: Now) -> bool {
        let pending = self.pending_era.as_ref();
        if pending.is_some_and(|pending| pending.ballot.awaits_hold()) {
            return true;
        }
        // There may be no master on this side that says so by a block.
        let next = self.production.clock().slot_zero;
        let is_stalled = next.is_some_and(|next| now.wall >= next);
        let (Some(guard), Some(tail)) = (&self.guard, self.tail()) else {
            return false;
        };
        // Also one from before a restart.
        let vote = guard.record().end_vote;
        let is_of = |vote: AttestationBody| {
            pending.is_some_and(|pending| pending.context.anchor == vote.block)
        };
        let end = guard.record().emergency_end;
        vote.is_some_and(is_of) && !is_stalled || end.is_some_and(|end| end.era > tail.era)
    }
}
