//! Own vertices (rules R1, R2).

use super::{EXECUTION_LAG_MAX, LAGGING_TRANSACTIONS_MAX, Replica, SigningState};
use crate::io::{Fact, Message, Now, Output};
use crate::record::Record;
use holdfast_dag::{DagCore, Pace, ProposalPlan};
use holdfast_halt::matrix::Activity;
use holdfast_types::limits::{VERTEX_ATTESTATIONS_MAX, VERTEX_EVIDENCE_MAX, VERTEX_GOVERNANCE_MAX};
use holdfast_types::{
    Attestation, AuthorityIndex, SignedTransaction, Signer, VertexDraft, VertexPayload,
};
use std::sync::Arc;

impl Replica {
    pub(super) fn pace(&self, dag: &DagCore, now: Now) -> Pace {
        let pending = self.mempool.has_ready(now.monotonic_ms)
            || self.evidence.has_ready()
            || self.halts.has_messages_to_carry();
        dag.pace(now.monotonic_ms, pending)
    }

    /// Signs and sends an own vertex if it is time.
    pub(super) fn propose(&mut self, now: Now, out: &mut Output) {
        if self.signing != SigningState::Active
            || self.listening.is_some()
            || !self.allows(Activity::VertexProduction)
        {
            return;
        }
        let (Some(dag), Some(signer)) = (&self.dag, self.signer.clone()) else {
            return;
        };
        let Some(me) = dag.authority() else { return };
        let Pace::Propose(plan) = self.pace(dag, now) else {
            return;
        };
        let Some(guard) = &mut self.guard else { return };
        if let Err(refusal) = guard.allow_vertex(self.context.era, plan.round) {
            // The round is taken: only a higher one can be signed.
            let floor = guard
                .last_round(self.context.era)
                .map_or(plan.round, holdfast_types::Round::next);
            if let Some(dag) = &mut self.dag {
                dag.raise_proposal_floor(floor);
            }
            out.facts.push(Fact::SignRefused {
                reason: refusal.to_string(),
            });
            return;
        }
        self.sign_and_send(now, plan, me, signer.as_ref(), out);
    }

    fn sign_and_send(
        &mut self,
        now: Now,
        plan: ProposalPlan,
        me: AuthorityIndex,
        signer: &dyn Signer,
        out: &mut Output,
    ) {
        let payload = self.payload(now, me, signer, out);
        let transactions = payload.transactions.len();
        let round = plan.round;
        let vertex = Arc::new(
            VertexDraft {
                era: self.context.era,
                round,
                author: me,
                timestamp: now.wall,
                parents: plan.parents,
                payload,
            }
            .sign(&self.config.chain, signer),
        );
        self.signed_here.note(self.context.era, &vertex.reference());
        if let Some(guard) = &self.guard {
            out.persist.push(guard.to_record());
        }
        out.persist.push(Record::OwnVertex(Arc::clone(&vertex)));
        out.send.push(Message::Vertex(Arc::clone(&vertex)));
        out.facts.push(Fact::Proposed {
            round,
            transactions,
        });
        let Some(dag) = &mut self.dag else { return };
        let added = dag.add(Arc::clone(&vertex), now.monotonic_ms);
        assert!(
            added.outcome == holdfast_dag::AddOutcome::Accepted,
            "rule D3: an own vertex is built on accepted parents, yet round {round} was {:?}",
            added.outcome
        );
        dag.proposed(&vertex, now.monotonic_ms);
        self.halts.heard(me, now);
        self.accepted(now, &added.accepted, out);
        self.commit(now, out);
    }

    fn payload(
        &mut self,
        now: Now,
        me: AuthorityIndex,
        signer: &dyn Signer,
        out: &mut Output,
    ) -> VertexPayload {
        let transactions = self.transactions(now);
        let first = self
            .dag
            .as_ref()
            .is_some_and(|dag| dag.own_last().is_none());
        VertexPayload {
            transactions,
            attestations: self.attestations(me, signer, out),
            evidence: self.evidence.take(VERTEX_EVIDENCE_MAX),
            governance: self.halts.messages_to_carry(VERTEX_GOVERNANCE_MAX),
            anchor_certificate: if first {
                self.anchor_certificate.clone()
            } else {
                None
            },
        }
    }

    /// What the mempool gives for an own vertex (rule R9).
    fn transactions(&mut self, now: Now) -> Vec<SignedTransaction> {
        let committed = self
            .dag
            .as_ref()
            .map_or(0, holdfast_dag::DagCore::last_commit_index);
        let lags = committed.saturating_sub(self.commits.executed) > EXECUTION_LAG_MAX;
        let transactions_max = if lags {
            LAGGING_TRANSACTIONS_MAX.min(self.config.vertex_transactions_max)
        } else {
            self.config.vertex_transactions_max
        };
        let taken = self.mempool.take(
            now.monotonic_ms,
            transactions_max,
            self.config.vertex_bytes_max,
        );
        let signed = taken.iter().map(|taken| taken.transaction().clone());
        signed.collect()
    }

    /// Attests the executed blocks that wait for it. Of too many only the newest: each covers its ancestors.
    fn attestations(
        &mut self,
        me: AuthorityIndex,
        signer: &dyn Signer,
        out: &mut Output,
    ) -> Vec<Attestation> {
        let surplus = self.to_attest.len().saturating_sub(VERTEX_ATTESTATIONS_MAX);
        self.to_attest.drain(..surplus);
        let mut attestations = Vec::with_capacity(self.to_attest.len());
        for body in std::mem::take(&mut self.to_attest) {
            let Some(guard) = &mut self.guard else { break };
            match guard.allow_attestation(&body) {
                Ok(()) => attestations.push(body.sign(me, &self.config.chain, signer)),
                Err(refusal) => out.facts.push(Fact::SignRefused {
                    reason: refusal.to_string(),
                }),
            }
        }
        attestations
    }
}
