//! What Byzantine nodes do in the place of their replicas, and what their questions cost others.

use super::World;
use super::traffic::ANSWER_BYTES_MAX;
use crate::byzantine::{Behaviour, Situation};
use crate::message::{Envelope, Gossip, NodeId, Packet, Request, Response};
use crate::oracle::Rule;
use holdfast_chain::{Producers, ProductionTurn};
use holdfast_types::{Block, VerifiedVertex, codec};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// Questions of Byzantine nodes have numbers of their own: nobody waits for the answers.
const NO_TICKET: u64 = 0;

impl World {
    fn with_behaviour<T>(
        &mut self,
        node: NodeId,
        act: impl FnOnce(&mut dyn Behaviour, Situation<'_>) -> T,
    ) -> Option<T> {
        let Self {
            nodes,
            random,
            chain,
            now_ms,
            ..
        } = self;
        let mut behaviour = nodes[node].behaviour.take()?;
        let one = &nodes[node];
        let able = one.running.as_ref().zip(one.key.as_ref());
        let done = able.map(|(running, key)| {
            let situation = Situation {
                chain: &chain.id,
                key,
                peers: &one.peers,
                replica: &running.replica,
                cluster: &chain.cluster,
                wall: one.now(*now_ms).wall,
                random,
            };
            act(behaviour.as_mut(), situation)
        });
        nodes[node].behaviour = Some(behaviour);
        done
    }

    /// A Byzantine node sends something else than its replica wants.
    pub(super) fn misbehave(&mut self, node: NodeId, vertex: &Arc<VerifiedVertex>) {
        let shown = self.with_behaviour(node, |behaviour, situation| {
            behaviour.send(situation, vertex)
        });
        self.count("vertices of Byzantine nodes");
        for shown in shown.unwrap_or_default() {
            if shown.to.is_empty() {
                continue;
            }
            let is_shown_to_all = shown.to.len() == self.nodes[node].peers.len();
            let to = (!is_shown_to_all).then_some(shown.to.as_slice());
            self.note_sent(node, &shown.vertex, to);
            let envelope = Rc::new(Envelope::new(Gossip::Vertex(shown.vertex)));
            for to in shown.to {
                self.put(node, to, &Packet::Gossip(Rc::clone(&envelope)));
            }
        }
    }

    /// What a Byzantine node signed for rounds to come does not come back to it: it would take the places of what its replica
    /// is going to sign there.
    pub(super) fn leave_out_own(&self, node: NodeId, vertices: &mut Vec<Arc<VerifiedVertex>>) {
        let running = self.nodes[node].running.as_ref();
        let dag = running.and_then(|running| running.replica.dag());
        let Some(me) = dag.and_then(holdfast_dag::DagCore::authority) else {
            return;
        };
        let signed = self.nodes[node].disk.guard().and_then(|guard| guard.vertex);
        vertices.retain(|vertex| {
            let slot = (vertex.header().era, vertex.round());
            vertex.author() != me || Some(slot) <= signed
        });
    }

    /// A Byzantine node asks for what its replica does not need.
    pub(super) fn ask_without_need(&mut self, node: NodeId) {
        let asked = self.with_behaviour(node, |behaviour, situation| behaviour.ask(situation));
        for (to, request) in asked.unwrap_or_default() {
            self.count("vertices asked for without need");
            let request = Arc::new(request);
            let ticket = NO_TICKET;
            self.put(node, to, &Packet::Request { ticket, request });
        }
    }

    /// A Byzantine node tells its peers what is not so.
    pub(super) fn forge(&mut self, node: NodeId) {
        let told = self.with_behaviour(node, |behaviour, situation| behaviour.gossip(situation));
        let peers = self.nodes[node].peers.clone();
        for gossip in told.unwrap_or_default() {
            match gossip {
                Gossip::Statement(_) => {}
                Gossip::Lockdown(_) => self.count("lies in lockdowns"),
                _ => self.count("forged orders and proofs"),
            }
            let envelope = Rc::new(Envelope::new(gossip));
            for to in &peers {
                self.put(node, *to, &Packet::Gossip(Rc::clone(&envelope)));
            }
        }
    }

    /// A Byzantine node sees a block, and may sign more than it may.
    pub(super) fn show_block(&mut self, node: NodeId, block: &Block) {
        let contradicts = self.with_behaviour(node, |behaviour, situation| {
            behaviour.sees_block(situation, block)
        });
        if contradicts == Some(true) {
            self.count("two ends of an emergency attested");
        }
    }

    /// A Byzantine node makes another block beside the one that it is about to make: one without transactions.
    pub(super) fn make_second_block(
        &mut self,
        node: NodeId,
        producers: Producers<'_>,
        turn: &ProductionTurn,
    ) {
        let one = &self.nodes[node];
        let makes_two = one.behaviour.as_ref().is_some_and(|b| b.makes_two_blocks());
        let Some(running) = one.running.as_ref().filter(|_| makes_two) else {
            return;
        };
        let turn = ProductionTurn {
            transactions: Vec::new(),
            ..turn.clone()
        };
        let mut chain = running.chain.clone();
        let made = chain.produce_in_turn(one.disk.now(), producers, turn);
        if let Ok(Ok(step)) = made {
            let second = step.batch.apply.last().map(|made| made.block.clone());
            self.nodes[node].second_block = second.map(Box::new);
        }
    }

    /// Sends an own block of an emergency; if there are two, each to one half of the peers.
    pub(super) fn send_block(&mut self, node: NodeId, block: Box<Block>) {
        let second = self.nodes[node].second_block.take();
        let Some(second) = second.filter(|second| *second != block) else {
            self.publish(node, Envelope::new(Gossip::EmergencyBlock(block)));
            return;
        };
        self.count("second blocks of a slot made");
        let number = second.header.height.0;
        self.trace.add(self.now_ms, node, number, || {
            format!("sends two blocks {number}, each to one half")
        });
        let both = [block, second];
        let both = both.map(|block| Rc::new(Envelope::new(Gossip::EmergencyBlock(block))));
        for to in self.nodes[node].peers.clone() {
            let shown = self.random.position(both.len());
            self.put(node, to, &Packet::Gossip(Rc::clone(&both[shown])));
        }
    }

    /// An honest node answers with what was asked for only, each vertex once, and no more than fits (rule O7).
    pub(super) fn check_answer(
        &mut self,
        node: NodeId,
        asker: NodeId,
        request: &Request,
        answer: Option<&Response>,
    ) {
        if !self.nodes[node].is_honest() {
            return;
        }
        let Some(Response::Vertices(answer)) = answer else {
            if answer.is_none() && self.nodes[asker].behaviour.is_some() {
                self.count("questions of Byzantine nodes refused");
            }
            return;
        };
        let given: Vec<_> = answer
            .vertices
            .iter()
            .map(|vertex| VerifiedVertex::trust(vertex.clone(), &self.chain.id).reference())
            .collect();
        let bytes = answer.vertices.iter().map(codec::encoded_len);
        let bytes: usize = bytes.sum();
        let once: BTreeSet<_> = given.iter().collect();
        let is_asked = given.iter().all(|reference| match request {
            Request::Vertices(request) => request.references.contains(reference),
            Request::Missing(request) => request.wants(reference.round, reference.author),
            _ => false,
        });
        if bytes > ANSWER_BYTES_MAX || once.len() < given.len() || !is_asked {
            let what = format!(
                "node {node} answers {asker} with {bytes} bytes, {} vertices, {} of them different, all asked for: {is_asked}",
                given.len(),
                once.len()
            );
            self.oracle.violated(Rule::Bounds, what);
        }
    }
}
