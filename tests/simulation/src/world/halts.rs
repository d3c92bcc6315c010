//! Halts, evidence and governance: what comes to a node of them.

use super::World;
use crate::message::{NodeId, Request};
use crate::node::Purpose;
use holdfast_chain::ChainError;
use holdfast_halt::HaltState;
use holdfast_replica::admission::{self, Judgement};
use holdfast_replica::{Input, ResumeRequest};
use holdfast_types::{
    AuthorityIndex, EraContext, Evidence, GovernanceMessage, HaltGossip, HaltNotice,
};

impl World {
    pub(super) fn take_evidence(&mut self, node: NodeId, evidence: &Evidence) -> bool {
        let context = self.context_of(node, evidence.era());
        let tables = self.nodes[node].disk.now();
        let (chain, scheme) = (&self.chain.id, &self.chain.scheme);
        let judged = admission::evidence(tables, evidence, chain, context.as_deref(), scheme);
        if judged != Ok(Ok(())) {
            return false;
        }
        self.step(node, Input::Evidence(vec![evidence.clone()]));
        true
    }

    pub(super) fn take_halt(&mut self, node: NodeId, gossip: &HaltGossip) -> bool {
        let Some(era) = self.era_of(node) else {
            return false;
        };
        let halts = self.halt_state_of(node);
        if let HaltGossip::Proof { proof, .. } = gossip
            && halts.is_some_and(|halts| halts.holds_proof(proof))
        {
            return false;
        }
        let (chain, scheme) = (&self.chain.id, &self.chain.scheme);
        let parameters = &self.chain.parameters.halt;
        let (judged, input) = match gossip {
            HaltGossip::Proof { proof, .. } => (
                admission::halt_proof(proof, chain, &era, parameters, scheme),
                Input::HaltProof(Box::new(proof.clone())),
            ),
            HaltGossip::Status(status) => (
                admission::halt_status(self.nodes[node].disk.now(), status, chain, &era, scheme)
                    .unwrap_or(Judgement::Ignore),
                Input::HaltStatus(Box::new(status.clone())),
            ),
        };
        if judged == Judgement::Accept {
            self.step(node, input);
        }
        judged == Judgement::Accept
    }

    fn halt_state_of(&self, node: NodeId) -> Option<&HaltState> {
        let running = self.nodes[node].running.as_ref()?;
        Some(running.replica.halts().manager().state())
    }

    pub(super) fn take_governance(&mut self, node: NodeId, message: &GovernanceMessage) -> bool {
        let halts = self.halt_state_of(node);
        if halts.is_some_and(|halts| halts.holds_message(message)) {
            return false;
        }
        let tables = self.nodes[node].disk.now();
        let judged = admission::governance(tables, message, &self.chain.id, &self.chain.scheme);
        if !matches!(judged, Ok(Ok(()))) {
            return false;
        }
        self.step(node, Input::Governance(Box::new(message.clone())));
        true
    }

    /// What a peer says of the halts that it is in.
    pub(super) fn take_notice(&mut self, node: NodeId, notice: &HaltNotice) {
        let Some(era) = self.era_of(node).filter(|_| !notice.is_empty()) else {
            return;
        };
        let inputs = admission::halt_notice(
            self.nodes[node].disk.now(),
            notice.clone(),
            &self.chain.id,
            &era,
            &self.chain.parameters,
            &self.chain.scheme,
        );
        for input in inputs.unwrap_or_default() {
            self.step(node, input);
        }
    }

    pub(super) fn ask_halts(&mut self, node: NodeId, era: &EraContext, to: AuthorityIndex) {
        let Some(peer) = self.up_member(node, era, to) else {
            return;
        };
        self.count("members asked for their halts");
        self.request(node, peer, Request::Halts, Purpose::Halts);
    }

    /// Makes the block that a resume message orders, or looks whether it can still be made.
    pub(super) fn resume(
        &mut self,
        node: NodeId,
        request: &ResumeRequest,
    ) -> Result<(), ChainError> {
        let order = &request.order;
        if !request.is_ready {
            let excluded = self.with_chain(node, |chain, tables| {
                chain
                    .excludes(tables, order)
                    .map(|refusal| refusal.map_or(Ok(()), Err))
            })?;
            if let Some(Err(refusal)) = excluded {
                self.step(node, admission::resume_refused(order, &refusal));
            }
            return Ok(());
        }
        let made = self.with_chain(node, |chain, tables| chain.resume(tables, order))?;
        match made {
            None | Some(Ok(None)) => {}
            Some(Ok(Some(step))) => self.apply(node, step),
            Some(Err(refusal)) => {
                self.trace.add(self.now_ms, node, 0, || {
                    format!("does not resume: {refusal}")
                });
                self.step(node, admission::resume_refused(order, &refusal));
            }
        }
        Ok(())
    }
}
