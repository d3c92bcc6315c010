//! Messages that come other than they were sent.
//!
//! The links of the product let none through, but a peer may pass on and answer what it likes. So whoever gets such a
//! message reads and verifies it as if the peer had meant it, and must not believe what nobody has signed.

use super::World;
use crate::message::{Corrupted, Gossip, NodeId, Response};
use crate::oracle::Rule;
use holdfast_replica::admission::Judgement;
use holdfast_types::limits::{
    CERTIFICATE_BYTES_MAX, GOVERNANCE_BYTES_MAX, HALT_PROOF_BYTES_MAX, LOCKDOWN_MESSAGE_BYTES_MAX,
    RESPONSE_BYTES_MAX, VERTEX_BYTES_MAX,
};
use holdfast_types::wire::{
    BlocksResponse, CertificateResponse, GossipedGovernance, GossipedStatement, LastVertexResponse,
    TransactionBatch, VerticesResponse,
};
use holdfast_types::{
    Block, Evidence, HaltGossip, SignatureScheme, SignedTransaction, SignedVertexHeader,
    VerifiedTransaction, Vertex, codec,
};

/// What became of a corrupted message.
enum Outcome {
    Refused,
    /// What has changed is only a claim, or not part of what was signed: it is taken as it is.
    Harmless,
    /// The node takes for signed what was not.
    Believed,
}

impl World {
    pub(super) fn arrive_corrupted(&mut self, node: NodeId, corrupted: &Corrupted) {
        let outcome = match corrupted {
            Corrupted::Gossip { bytes, sent } => {
                self.take_corrupted_gossip(node, bytes, &sent.gossip)
            }
            Corrupted::Response {
                bytes,
                ticket,
                sent,
            } => self.corrupted_answer(node, *ticket, bytes, sent),
        };
        match outcome {
            Outcome::Refused => self.count("corrupted messages refused"),
            Outcome::Harmless => self.count("corrupted messages without harm"),
            Outcome::Believed => self.oracle.violated(
                Rule::Soundness,
                format!(
                    "node {node} believes a message that was changed on its way: {corrupted:?}"
                ),
            ),
        }
    }

    /// It is not remembered and not passed on: the network knows messages by their content, and this is another one.
    fn take_corrupted_gossip(&mut self, node: NodeId, bytes: &[u8], sent: &Gossip) -> Outcome {
        match sent {
            Gossip::Vertex(_) => self.take_corrupted_vertex(node, bytes),
            Gossip::Statement(sent) => {
                let decoded = codec::decode("a statement", bytes, CERTIFICATE_BYTES_MAX);
                let Ok(GossipedStatement { statement, .. }) = decoded else {
                    return Outcome::Refused;
                };
                let taken = self.take_statement(node, &statement);
                harmless_if(taken, statement == sent.statement)
            }
            Gossip::Evidence(_) => {
                let decoded = codec::decode::<Evidence>("evidence", bytes, CERTIFICATE_BYTES_MAX);
                let taken = decoded.is_ok_and(|evidence| self.take_evidence(node, &evidence));
                believed_if(taken)
            }
            Gossip::Halt(sent) => {
                let decoded = codec::decode("a halt", bytes, HALT_PROOF_BYTES_MAX);
                let Ok(gossip) = decoded else {
                    return Outcome::Refused;
                };
                let taken = self.take_halt(node, &gossip);
                harmless_if(taken, says_the_same(&gossip, sent))
            }
            Gossip::Governance(sent) => {
                let decoded = codec::decode("a message", bytes, GOVERNANCE_BYTES_MAX);
                let Ok(GossipedGovernance { message, .. }) = decoded else {
                    return Outcome::Refused;
                };
                let taken = self.take_governance(node, &message);
                harmless_if(taken, message == sent.message)
            }
            Gossip::Lockdown(sent) => {
                let decoded = codec::decode("a vote", bytes, LOCKDOWN_MESSAGE_BYTES_MAX);
                let Ok(gossiped) = decoded else {
                    return Outcome::Refused;
                };
                let taken = self.take_lockdown(node, &gossiped);
                harmless_if(taken, gossiped == **sent)
            }
            Gossip::EmergencyBlock(sent) => {
                let Ok(block) = codec::decode::<Block>("a block", bytes, RESPONSE_BYTES_MAX) else {
                    return Outcome::Refused;
                };
                let taken = self.judge_emergency_block(node, &block) == Judgement::Accept;
                harmless_if(taken, block == **sent)
            }
            Gossip::Transactions(sent) => self.take_corrupted_transactions(node, bytes, sent),
        }
    }

    /// The verdicts on vertices are kept by digest, which does not cover the signature: this one is verified by itself.
    fn take_corrupted_vertex(&mut self, node: NodeId, bytes: &[u8]) -> Outcome {
        let Ok(vertex) = codec::decode::<Vertex>("a vertex", bytes, VERTEX_BYTES_MAX) else {
            return Outcome::Refused;
        };
        self.count("corrupted vertices verified");
        if self.verifiable_in(node, &vertex).is_none() {
            return Outcome::Refused;
        }
        believed_if(self.verify_vertex(node, vertex).is_some())
    }

    fn take_corrupted_transactions(
        &mut self,
        node: NodeId,
        bytes: &[u8],
        sent: &[SignedTransaction],
    ) -> Outcome {
        let decoded = codec::decode("transactions", bytes, RESPONSE_BYTES_MAX);
        let Ok(TransactionBatch { transactions }) = decoded else {
            return Outcome::Refused;
        };
        self.take_transactions(node, &transactions);
        let verifies = |one: &SignedTransaction| {
            VerifiedTransaction::verify(one.clone(), &self.chain.id, &self.chain.scheme).is_ok()
        };
        let mut changed = transactions.iter().filter(|one| !sent.contains(one));
        believed_if(changed.any(verifies))
    }

    fn corrupted_answer(
        &mut self,
        node: NodeId,
        ticket: u64,
        bytes: &[u8],
        sent: &Response,
    ) -> Outcome {
        let Some(changed) = sent.decode_as_this(bytes) else {
            self.expire(node, ticket);
            return Outcome::Refused;
        };
        self.count("corrupted answers verified");
        let outcome = match (&changed, sent) {
            (Response::Vertices(changed), Response::Vertices(sent)) => {
                self.judge_vertices(node, changed, sent)
            }
            (Response::LastVertices(changed), Response::LastVertices(sent)) => {
                self.judge_last_vertices(node, changed, sent)
            }
            (Response::Blocks(changed), Response::Blocks(sent)) => {
                self.judge_blocks(node, changed, sent)
            }
            (Response::Certificate(changed), _) => self.judge_certificate(node, changed),
            // Where a peer stands is a claim that decides whom to ask.
            _ => Outcome::Harmless,
        };
        self.answered(node, ticket, &changed);
        outcome
    }

    fn judge_vertices(
        &self,
        node: NodeId,
        changed: &VerticesResponse,
        sent: &VerticesResponse,
    ) -> Outcome {
        let vertices = changed.vertices.iter();
        let mut changed = vertices.filter(|vertex| !sent.vertices.contains(vertex));
        believed_if(changed.any(|vertex| self.verify_vertex(node, vertex.clone()).is_some()))
    }

    fn judge_last_vertices(
        &self,
        node: NodeId,
        changed: &LastVertexResponse,
        sent: &LastVertexResponse,
    ) -> Outcome {
        // Which era runs at a peer is its own word.
        if (&changed.own, &changed.of_author) == (&sent.own, &sent.of_author) {
            return Outcome::Harmless;
        }
        let Some(era) = self.era_of(node) else {
            return Outcome::Refused;
        };
        let verifies = |signed: &SignedVertexHeader| {
            let check = signed.signature_check(&self.chain.id, &era.committee);
            check.is_some_and(|check| self.chain.scheme.verify(&check))
        };
        let pairs = [
            (&changed.own, &sent.own),
            (&changed.of_author, &sent.of_author),
        ];
        let mut differing = pairs.iter().filter(|(changed, sent)| changed != sent);
        believed_if(differing.any(|(changed, _)| changed.as_ref().is_some_and(verifies)))
    }

    fn judge_blocks(
        &self,
        node: NodeId,
        changed: &BlocksResponse,
        sent: &BlocksResponse,
    ) -> Outcome {
        let Some(running) = &self.nodes[node].running else {
            return Outcome::Refused;
        };
        let tables = self.nodes[node].disk.now();
        let verified = running.chain.verify_range(tables, changed.clone());
        if !verified.is_ok_and(|verified| verified.is_ok()) {
            return Outcome::Refused;
        }
        // The certificate proves every byte of the blocks.
        believed_if(changed.blocks != sent.blocks)
    }

    fn judge_certificate(&self, node: NodeId, changed: &CertificateResponse) -> Outcome {
        let verified = changed.certificate.as_ref().is_some_and(|certificate| {
            self.context_of(node, certificate.body.era)
                .is_some_and(|context| {
                    let chain = &self.chain.id;
                    let verified =
                        certificate.verify(chain, &context.committee, &self.chain.scheme);
                    verified.is_ok()
                })
        });
        believed_if(verified)
    }
}

/// How often something was said before is not signed: it is the same to believe.
const fn harmless_if(taken: bool, is_the_same: bool) -> Outcome {
    match (taken, is_the_same) {
        (false, _) => Outcome::Refused,
        (true, true) => Outcome::Harmless,
        (true, false) => Outcome::Believed,
    }
}

fn says_the_same(one: &HaltGossip, other: &HaltGossip) -> bool {
    match (one, other) {
        (HaltGossip::Proof { proof: one, .. }, HaltGossip::Proof { proof: other, .. }) => {
            one == other
        }
        _ => one == other,
    }
}

const fn believed_if(believed: bool) -> Outcome {
    if believed {
        Outcome::Believed
    } else {
        Outcome::Refused
    }
}
