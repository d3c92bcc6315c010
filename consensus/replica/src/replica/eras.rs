//! From one era to the next (rules R4, R5).

use super::ballot::Ballot;
use super::halts::ExecutedHead;
use super::{COLLECTOR_HEIGHTS_MAX, Commits, Replica, SigningState};
use crate::guard::{GuardRefusal, SignGuard};
use crate::io::{ChainStanding, Fact, Message, Now, Output};
use crate::record::Record;
use holdfast_chain::{CertificateCollector, ExecutedBlock};
use holdfast_dag::DagCore;
use holdfast_halt::HaltInput;
use holdfast_halt::matrix::Activity;
use holdfast_types::wire::GossipedStatement;
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, Certificate, CommitRecord, EndStatement, Era,
    EraContext, EraKind, Height, Readiness, Round, Signer, VerifiedVertex, Vertex,
};
use std::sync::Arc;

/// An era whose anchor is executed and not known to be certified.
#[derive(Debug)]
pub(super) struct PendingEra {
    pub(super) context: Arc<EraContext>,
    pub(super) certificate: Option<Certificate>,
    /// Own attestation of the anchor, if we are a member of the era that ends.
    pub(super) attestation: Option<Attestation>,
    /// When to say it again.
    pub(super) repeat_at_ms: u64,
    /// How often peers were asked for the certificate.
    pub(super) asked: usize,
    /// Whether a resume message ended the era before.
    pub(super) is_resume: bool,
    /// Before, this node does not speak of the anchor, in ms.
    pub(super) attest_from_ms: u64,
    /// Votes for the anchor, if it ends an emergency.
    pub(super) ballot: Ballot,
    /// The guard does not allow to attest it, and this node has said so.
    pub(super) is_refused: bool,
}

impl Replica {
    pub(super) fn on_executed(&mut self, now: Now, block: ExecutedBlock, out: &mut Output) {
        let consumed = block.transactions.iter().filter(|t| t.nonce_consumed);
        self.recent_nonces.executed(
            block.attestation.height,
            consumed.map(|transaction| (transaction.sender, transaction.nonce)),
        );
        let left = self.mempool.executed(&block.transactions, block.timestamp);
        if !left.is_empty() {
            out.persist.push(Record::MempoolExecuted(left));
        }
        self.evidence_executed(&block.evidence, out);
        self.production.executed(block.emergency, block.timestamp);
        if block.commit.is_some() {
            self.production.dag_moved(now);
        }
        if self.context.kind == EraKind::Emergency {
            // A block is what shows that the chain lives.
            self.halts.heard(AuthorityIndex(0), now);
            self.halts.committed();
        }
        self.halts.head = ExecutedHead {
            body: Some(block.attestation),
            live_time: block.live_time,
            governance_sequence: block
                .governance_sequence
                .unwrap_or(self.halts.head.governance_sequence),
        };
        if self.is_off_chain(&block.attestation) {
            return;
        }
        if let Some(commit) = block.commit.filter(|commit| commit.era == self.context.era) {
            self.commits.executed = commit.index;
            let height = block.attestation.height;
            self.uncertified.push_back((height, commit.leader.round));
        }
        match block.next_era {
            Some(next) => {
                self.open_ends = block.open_ends;
                self.end_era(now, next, block.attestation, out);
            }
            // In an emergency nobody attests: its blocks are not certified.
            None if self.context.kind == EraKind::Emergency => {}
            None if block.attestation.era == self.context.era => {
                self.to_attest.push_back(block.attestation);
            }
            None => {}
        }
    }

    /// The block on which the running era stands, if it is known to be certified.
    pub(super) fn certified_anchor(&self) -> Option<AttestationBody> {
        let certificate = self.anchor_certificate.as_ref();
        let certified = certificate.filter(|known| known.body.block == self.context.anchor);
        certified.map(|certified| certified.body)
    }

    /// Whether the executed block leads away from the certified anchor of the running era, or back to it (rule R8).
    fn is_off_chain(&mut self, executed: &AttestationBody) -> bool {
        let was_elsewhere = self.chain_is_elsewhere;
        if executed.block == self.context.anchor {
            self.chain_is_elsewhere = false;
        }
        was_elsewhere
    }

    /// The block that ends the running era is executed.
    fn end_era(
        &mut self,
        now: Now,
        next: Arc<EraContext>,
        anchor: AttestationBody,
        out: &mut Output,
    ) {
        out.facts.push(Fact::EraEnded {
            era: anchor.era,
            anchor_height: next.anchor_height,
        });
        // The last block of an emergency comes of no commit either, and resumes nothing.
        let begins_dag = next.kind == EraKind::Dag;
        let is_end = self.context.kind == EraKind::Emergency && begins_dag;
        let resumes = !is_end && self.is_resume(&anchor);
        if resumes {
            // By what was to be attested, which ends with the era.
            self.accuse_dissenters(now, out);
        }
        let kept_back = std::mem::take(&mut self.commits.kept_back);
        let dag = self.stop_dag();
        if next.kind == EraKind::Emergency {
            if let Some(dag) = dag {
                self.listen_to_tail(now, dag, kept_back, out);
            }
            self.begin_emergency_era(now, next, anchor.era, out);
            return;
        }
        self.certify_by(now, &next, out);
        if resumes
            && self.context.era < anchor.era
            && let Some(pending) = self.pending_era.take()
        {
            // The halt came between two eras: the one that was to begin is over before it began.
            self.enter_context(now, Arc::clone(&pending.context));
            out.era_started = Some(pending.context);
        }
        let attest_from_ms = self.attest_from_ms(now);
        let attestation = if now.monotonic_ms >= attest_from_ms {
            self.attest_anchor(&anchor, out)
        } else {
            None
        };
        if resumes {
            self.halt_note(now, HaltInput::ResumeBuilt(anchor.era), out);
            if attestation.is_some() {
                self.set_readiness(now, Readiness::Ready, out);
            } else if self.authority().is_some() && self.may_be_ready() {
                self.set_readiness(now, Readiness::AttestedAbove, out);
            }
        }
        self.pending_era = Some(PendingEra {
            context: next,
            certificate: None,
            attestation,
            repeat_at_ms: now.monotonic_ms,
            asked: 0,
            is_resume: resumes,
            attest_from_ms,
            ballot: Ballot::default(),
            is_refused: false,
        });
        if let Some(attestation) = attestation {
            self.on_attestation(now, &attestation, out);
        }
    }

    fn stop_dag(&mut self) -> Option<DagCore> {
        self.to_attest.clear();
        self.future.clear();
        self.evidence.era_ended();
        self.mempool.requeue_all();
        self.commits.kept_back.clear();
        self.dag.take()
    }

    /// Whether the last block of the running era is one that resumes: the last one of an emergency comes of no commit either.
    pub(super) fn is_resume(&self, anchor: &AttestationBody) -> bool {
        anchor.has_no_commit() && !self.ends_emergency()
    }

    /// Rule R18: its first block is executed, and nobody is there to certify it.
    fn begin_emergency_era(
        &mut self,
        now: Now,
        context: Arc<EraContext>,
        ended: Era,
        out: &mut Output,
    ) {
        self.pending_era = None;
        self.halt_note(now, HaltInput::ResumeBuilt(ended), out);
        self.enter_context(now, context);
        self.halts_of_era_settled(now, out);
        self.anchor_certificate = None;
        self.tell_of_era(out);
    }

    /// Rule R18: the last block of an emergency is certified by those who take over.
    fn certify_by(&mut self, now: Now, next: &EraContext, out: &mut Output) {
        if self.context.kind == EraKind::Emergency {
            let emergency = Arc::clone(&self.context);
            let certifying = Arc::new(certifying(&emergency, next));
            self.enter_context(now, Arc::clone(&certifying));
            self.halts.nobody_votes();
            self.ending = Some(emergency);
            out.era_started = Some(certifying);
        }
    }

    /// The last block of the emergency was taken back: it goes on, or another block ends it and names others.
    pub(super) fn reopen_emergency(&mut self, now: Now, out: &mut Output) {
        if let Some(emergency) = self.ending.take() {
            self.enter_context(now, Arc::clone(&emergency));
            out.era_started = Some(emergency);
        }
    }

    /// Whether the last block of an emergency is executed and the era after it has not begun.
    pub(super) const fn ends_emergency(&self) -> bool {
        self.ending.is_some()
    }

    /// The era's last block is attested outside of vertices: there are no more of this era.
    pub(super) fn attest_anchor(
        &mut self,
        anchor: &AttestationBody,
        out: &mut Output,
    ) -> Option<Attestation> {
        let (me, signer, mut guard) = self.signs_anchor(anchor)?;
        if let Err(refusal) = self.raise(&mut guard, anchor) {
            out.facts.push(Fact::SignRefused {
                reason: refusal.to_string(),
            });
            return None;
        }
        out.persist.push(guard.to_record());
        self.guard = Some(guard);
        Some(anchor.sign(me, &self.config.chain, signer.as_ref()))
    }

    /// As whom and with what this node signs a statement on the last block of an era, if it may.
    pub(super) fn signs_anchor(
        &self,
        anchor: &AttestationBody,
    ) -> Option<(AuthorityIndex, Arc<dyn Signer>, SignGuard)> {
        let me = self.authority_in(&self.context)?;
        let signer = self.signer.clone()?;
        let may_sign = if self.is_resume(anchor) {
            let governed = self.halts.head.governance_sequence;
            let state = self.halts.manager().state();
            self.may_be_ready() && state.lets_resume(anchor.height, governed)
        } else {
            self.allows(Activity::VertexProduction) || self.is_named(anchor)
        };
        let guard = self.guard.clone()?;
        // The others are enough; nothing is signed in a halt, or that may contradict what was signed before.
        (may_sign && !guard.record().past_unknown).then_some((me, signer, guard))
    }

    /// From when on this node speaks of the last block of the running era, in ms: of that of an emergency a slot later, as another master may
    /// have made one in the same slot, and of the two the one with the lower id stays (rule K4 of the chain).
    pub(super) fn attest_from_ms(&self, now: Now) -> u64 {
        if self.ends_emergency() {
            now.monotonic_ms.saturating_add(self.config.slot_ms)
        } else {
            now.monotonic_ms
        }
    }

    /// Raises a guard to the last block of the running era.
    pub(super) fn raise(
        &self,
        guard: &mut SignGuard,
        anchor: &AttestationBody,
    ) -> Result<(), GuardRefusal> {
        if self.ends_emergency() {
            guard.allow_emergency_end(anchor)
        } else {
            guard.allow_attestation(anchor)
        }
    }

    /// Starts the pending era if its anchor is certified; says the own attestation again otherwise.
    pub(super) fn advance_era(&mut self, now: Now, out: &mut Output) {
        self.attest_pending(now, out);
        let Some(pending) = &mut self.pending_era else {
            return;
        };
        if pending.certificate.is_none() {
            if now.monotonic_ms >= pending.repeat_at_ms {
                pending.repeat_at_ms = now
                    .monotonic_ms
                    .saturating_add(self.config.repeat_interval_ms);
                let height = pending.context.anchor_height;
                let turn = pending.asked;
                pending.asked = turn.wrapping_add(1);
                let repetition = u32::try_from(turn).unwrap_or(u32::MAX);
                let vote = pending.ballot.own().map(EndStatement::Vote);
                let attestation = pending.attestation.map(EndStatement::Attestation);
                let statements = vote.into_iter().chain(attestation);
                out.send.extend(statements.map(|statement| {
                    Message::Statement(GossipedStatement {
                        statement,
                        repetition,
                    })
                }));
                out.send.push(Message::FetchCertificate { height, turn });
            }
            return;
        }
        if !self.may_start_era() {
            return;
        }
        if let Some(pending) = self.pending_era.take() {
            self.start_era(now, pending.context, pending.certificate, out);
        }
    }

    pub(super) fn start_era(
        &mut self,
        now: Now,
        context: Arc<EraContext>,
        certificate: Option<Certificate>,
        out: &mut Output,
    ) {
        self.enter_context(now, Arc::clone(&context));
        self.halts_of_era_settled(now, out);
        self.listen_anew(now);
        self.anchor_certificate = certificate;
        self.tail = None;
        self.dag = Some(self.new_dag(now, &context, &[]));
        out.verify = self.early.take();
        self.tell_of_era(out);
    }

    /// The era that runs is another one.
    fn tell_of_era(&self, out: &mut Output) {
        let context = &self.context;
        out.facts.push(Fact::EraStarted {
            era: context.era,
            committee_size: context.committee.size(),
            authority: self.authority_in(context),
        });
        out.era_started = Some(Arc::clone(context));
    }

    pub(super) fn enter_context(&mut self, now: Now, context: Arc<EraContext>) {
        self.halts.enter(&self.config.halts, &context, now);
        self.collector = collector(&context, context.anchor_height);
        self.context = context;
        self.ending = None;
        self.commits = Commits::default();
        self.to_attest.clear();
        self.future.clear();
        self.uncertified.clear();
        self.settled = Round::ZERO;
        self.pruned = Round::ZERO;
        self.behind_reported = Round::ZERO;
    }

    /// A DAG of `context` after `commits`; own vertices only above what the guard has signed.
    pub(super) fn new_dag(
        &self,
        now: Now,
        context: &Arc<EraContext>,
        commits: &[CommitRecord],
    ) -> DagCore {
        let me = if self.signing == SigningState::Active {
            self.authority_in(context)
        } else {
            None
        };
        let mut dag = DagCore::restore(
            self.config.chain,
            Arc::clone(context),
            self.config.dag.clone(),
            me,
            commits,
            now.monotonic_ms,
        );
        if let Some(last) = self
            .guard
            .as_ref()
            .and_then(|guard| guard.last_round(context.era))
        {
            dag.raise_proposal_floor(last.next());
        }
        dag
    }

    /// Rule R5.
    pub(super) fn on_synced(&mut self, now: Now, standing: ChainStanding, out: &mut Output) {
        let ChainStanding {
            context,
            commits,
            vertices,
            head,
            head_timestamp,
            emergency,
            tail,
            end_votes,
        } = standing;
        self.halts.head = head;
        self.on_end_votes(end_votes.as_deref(), out);
        self.production.executed(emergency, head_timestamp);
        if self.chain_is_elsewhere {
            return;
        }
        if let Some(tail) = tail
            && !self.tail.as_ref().is_some_and(|own| own.stands_at(&tail))
        {
            self.restore_tail(now, tail, out);
        }
        if context.kind == EraKind::Emergency {
            self.stands_in_emergency(now, context, out);
            return;
        }
        // After a switch an era of the same number may stand on another anchor.
        let same_era = context.era == self.context.era && context.anchor == self.context.anchor;
        let fresh = commits.is_empty() && context.era > self.context.era;
        if fresh {
            // The last synced block ended its era: `on_executed` has made the next one pending, and its certificate, which
            // proved the block, comes as an input of its own.
            return;
        }
        let old = self.dag.take();
        let locked = self.tail.take().and_then(|tail| tail.lock.into_notice());
        if !same_era {
            self.enter_context(now, Arc::clone(&context));
            self.halt_note(now, HaltInput::EraTakenBack(context.era), out);
            self.halts_of_era_settled(now, out);
            self.listen_anew(now);
            self.mempool.requeue_all();
            self.pending_era = None;
            self.anchor_certificate = None;
            out.verify = self.early.take();
            self.tell_of_era(out);
        }
        self.commits = Commits::standing_at(commits.last().map_or(0, |commit| commit.index));
        let mut dag = self.stored_dag(now, &context, &commits, &vertices);
        if let Some(old) = old.filter(|_| same_era) {
            self.carry_over(now, &old, &mut dag);
        }
        self.dag = Some(dag);
        self.behind_reported = Round::ZERO;
        if let Some(notice) = locked {
            // Another era may run now: then it says nothing.
            drop(self.take_lockdown_notice(now, notice, out));
        }
    }

    /// What the DAG of this era had, for the one that takes its place.
    fn carry_over(&mut self, now: Now, old: &DagCore, dag: &mut DagCore) {
        let mut round = dag.gc_round().next();
        let last = old.vertices().highest_round();
        while round <= last {
            for vertex in old.vertices().round(round) {
                // They were accepted and stored before; only their place in the DAG is new.
                drop(dag.add(Arc::clone(vertex), now.monotonic_ms));
            }
            round = round.next();
        }
        if let Some(own) = old.own_last()
            && let Some(vertex) = old.vertices().get(&own)
        {
            dag.set_own_last(vertex);
        }
        self.requeue_lost(old, dag);
    }

    /// A DAG of `context` after `commits` with stored vertices.
    pub(super) fn stored_dag(
        &self,
        now: Now,
        context: &Arc<EraContext>,
        commits: &[CommitRecord],
        vertices: &[Arc<VerifiedVertex>],
    ) -> DagCore {
        let mut dag = self.new_dag(now, context, commits);
        for vertex in vertices {
            // They were accepted before; those that are too old now are left out.
            drop(dag.add(Arc::clone(vertex), now.monotonic_ms));
        }
        let own = vertices
            .iter()
            .filter(|own| Some(own.author()) == dag.authority());
        if let Some(own) = own.max_by_key(|own| own.round()) {
            dag.set_own_last(own);
        }
        dag
    }

    /// The chain stands in an emergency: there is no DAG, and what was pending is not any more.
    fn stands_in_emergency(&mut self, now: Now, context: Arc<EraContext>, out: &mut Output) {
        if *self.context == *context || self.pending_era.is_some() {
            return;
        }
        drop(self.stop_dag());
        self.begin_emergency_era(now, context, self.context.era, out);
    }

    /// Own vertices that the rebuilt DAG has left behind will not be committed; what they carried and was not executed is
    /// proposed again.
    fn requeue_lost(&mut self, old: &DagCore, rebuilt: &DagCore) {
        let Some(me) = old.authority() else { return };
        let mut round = old.gc_round().next();
        while round <= old.vertices().highest_round() {
            for vertex in old.vertices().slot(round, me) {
                if !rebuilt.vertices().contains(&vertex.reference()) {
                    self.mempool.requeue(vertex.transaction_ids());
                }
            }
            round = round.next();
        }
    }

    pub(super) fn on_early_vertex(&mut self, vertex: Vertex, out: &mut Output) {
        if vertex.signed.header.era != self.context.era.next() {
            return;
        }
        if let Some(pending) = &self.pending_era
            && pending.certificate.is_none()
            && let Some(certificate) = &vertex.payload.anchor_certificate
            && certificate.body.block == pending.context.anchor
        {
            out.verify_certificates.push(certificate.clone());
        }
        self.early.park(vertex);
    }

    /// Highest block that this validator may still have to attest, after a restart.
    pub(super) fn attest_after_restart(&mut self, bodies: Vec<AttestationBody>) {
        let attested = self
            .guard
            .as_ref()
            .and_then(|guard| guard.record().attestation)
            .map_or((holdfast_types::Era::ZERO, Height::ZERO), |last| {
                (last.era, last.height)
            });
        self.to_attest = bodies
            .into_iter()
            .filter(|body| (body.era, body.height) > attested)
            .collect();
    }
}

/// Collects what the committee of an era attests of blocks above `floor`.
pub(super) fn collector(context: &EraContext, floor: Height) -> CertificateCollector {
    let floor = floor.max(context.anchor_height);
    CertificateCollector::new(&context.committee, floor, COLLECTOR_HEIGHTS_MAX)
}

/// The era of an emergency as its last block is certified: by the committee that this block names, as blocks of the DAG are.
pub(crate) fn certifying(emergency: &EraContext, next: &EraContext) -> EraContext {
    EraContext {
        kind: EraKind::Dag,
        committee: next.committee.clone(),
        ..emergency.clone()
    }
}
