//! Halts at the edge of the node: what comes of them from peers, what is wrong with this node, what others see.

use super::verification::Verifier;
use holdfast_halt::{HaltState, Mode, ModeSet, Stall};
use holdfast_network::{Topic, Verdict};
use holdfast_replica::admission::{self, Judgement};
use holdfast_replica::{Input, Now, Replica};
use holdfast_types::limits::{HALT_PROOF_BYTES_MAX, RESPONSE_BYTES_MAX};
use holdfast_types::wire::GossipedGovernance;
use holdfast_types::{
    AuthorityIndex, Evidence, HaltGossip, HaltNotice, HaltStatus, SignedHaltStatus, codec,
};
use std::collections::BTreeSet;
use std::sync::Arc;

#[cfg(test)]
pub(crate) mod fixture;

/// What a node shows of its halts: one picture, made by the core thread.
#[derive(Clone, Debug)]
pub struct HaltPicture {
    pub state: Arc<HaltState>,
    /// Everything that holds, a soft stall included.
    pub modes: ModeSet,
    pub stall: Option<Stall>,
    /// The time of the monotonic clock for [`Stall::since_ms`], in ms.
    pub now_ms: u64,
    /// What this node says of itself.
    pub own: HaltStatus,
    /// What halted members say of themselves, this node included.
    pub statuses: Vec<SignedHaltStatus>,
    /// When each member was heard last, by a vertex or a statement, by the same clock as [`Self::now_ms`].
    pub heard_ms: Vec<u64>,
    /// Members with a vertex in the newest round. Without a quorum all rounds end there: who has none is missing.
    pub in_newest_round: BTreeSet<AuthorityIndex>,
    /// Evidence that waits to be executed.
    pub evidence: Arc<[Evidence]>,
}

impl HaltPicture {
    /// `last` is the picture before, if nothing that is stored of halts and evidence has changed since: that may be much.
    #[must_use]
    pub fn of(replica: &Replica, now: Now, last: Option<&Self>) -> Self {
        let halts = replica.halts();
        let (state, evidence) = match last {
            // Of a lockdown not all that is shown is stored.
            Some(last) if halts.modes().contains(Mode::Lockdown) => (
                Arc::new(halts.manager().state().clone()),
                Arc::clone(&last.evidence),
            ),
            Some(last) => (Arc::clone(&last.state), Arc::clone(&last.evidence)),
            None => (
                Arc::new(halts.manager().state().clone()),
                replica.evidence().cloned().collect(),
            ),
        };
        let newest = replica.dag().into_iter().flat_map(|dag| {
            let vertices = dag.vertices();
            vertices.round(vertices.highest_round())
        });
        Self {
            state,
            modes: halts.modes(),
            stall: halts.stall().copied(),
            now_ms: now.monotonic_ms,
            own: replica.status(now),
            statuses: halts.statuses().cloned().collect(),
            heard_ms: halts.heard_ms().to_vec(),
            in_newest_round: newest.map(|vertex| vertex.author()).collect(),
            evidence,
        }
    }
}

impl Verifier {
    pub(super) fn gossiped_evidence(&self, data: &[u8]) -> Verdict {
        let limit = Topic::Evidence.message_bytes_max();
        let Ok(evidence) = codec::decode::<Evidence>("evidence", data, limit) else {
            return Verdict::Reject;
        };
        let context = self.context_of(evidence.era());
        let judged = admission::evidence(
            self.storage.as_ref(),
            &evidence,
            &self.chain,
            context.as_deref(),
            self.scheme.as_ref(),
        );
        // A store that does not read stops the node elsewhere.
        let judged = match judged {
            Ok(Ok(())) => Judgement::Accept,
            Ok(Err(refusal)) => refusal.judgement(),
            Err(_) => Judgement::Ignore,
        };
        self.accept(judged, Input::Evidence(vec![evidence]))
    }

    pub(super) fn gossiped_halt(&self, data: &[u8]) -> Verdict {
        let Ok(gossip) = codec::decode::<HaltGossip>("a halt", data, HALT_PROOF_BYTES_MAX) else {
            return Verdict::Reject;
        };
        let era = self.era();
        let scheme = self.scheme.as_ref();
        match gossip {
            HaltGossip::Proof { proof, .. } => {
                if self.halts_here().holds_proof(&proof) {
                    return Verdict::Ignore;
                }
                let parameters = &self.parameters.halt;
                let judged = admission::halt_proof(&proof, &self.chain, &era, parameters, scheme);
                self.accept(judged, Input::HaltProof(Box::new(proof)))
            }
            HaltGossip::Status(status) => {
                let store = self.storage.as_ref();
                let judged = admission::halt_status(store, &status, &self.chain, &era, scheme);
                // A store that does not read stops the node elsewhere.
                let judged = judged.unwrap_or(Judgement::Ignore);
                self.accept(judged, Input::HaltStatus(Box::new(status)))
            }
        }
    }

    pub(super) fn gossiped_governance(&self, data: &[u8]) -> Verdict {
        let limit = Topic::Governance.message_bytes_max();
        let Ok(GossipedGovernance { message, .. }) =
            codec::decode("a governance message", data, limit)
        else {
            return Verdict::Reject;
        };
        // Who tells it again may be wrong about who knows it; to pass on every repetition would be to let anybody flood.
        if self.halts_here().holds_message(&message) {
            return Verdict::Ignore;
        }
        let judged = admission::governance(
            self.storage.as_ref(),
            &message,
            &self.chain,
            self.scheme.as_ref(),
        );
        let judged = match judged {
            Ok(Ok(())) => Judgement::Accept,
            Ok(Err(error)) => admission::judgement_of(&error),
            Err(_) => Judgement::Ignore,
        };
        self.accept(judged, Input::Governance(Box::new(message)))
    }

    /// The answer of a peer that was asked for the halts that it is in. False if it is no answer.
    pub(super) fn notice_came(&self, data: &[u8]) -> bool {
        let Ok(notice) = codec::decode::<HaltNotice>("a notice of halts", data, RESPONSE_BYTES_MAX)
        else {
            return false;
        };
        self.take_notice(notice);
        true
    }

    /// What a peer says of the halts that it is in: what holds here too is stepped.
    pub(super) fn take_notice(&self, notice: HaltNotice) {
        if notice.is_empty() {
            return;
        }
        let inputs = admission::halt_notice(
            self.storage.as_ref(),
            notice,
            &self.chain,
            &self.era(),
            &self.parameters,
            self.scheme.as_ref(),
        );
        for input in inputs.unwrap_or_default() {
            self.core.input(input);
        }
    }

    fn halts_here(&self) -> Arc<HaltState> {
        Arc::clone(&self.server.board().halts().state)
    }

    fn accept(&self, judged: Judgement, input: Input) -> Verdict {
        match judged {
            Judgement::Accept => {
                self.core.input(input);
                Verdict::Accept
            }
            Judgement::Ignore => Verdict::Ignore,
            Judgement::Reject => Verdict::Reject,
        }
    }
}
