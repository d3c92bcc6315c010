//! The core thread of a node: steps of the replica, and what becomes of their outputs.

use super::node_disk::NodeDisk;
use super::{Event, World, told};
use crate::disk::Loss;
use crate::message::{Envelope, Gossip, NodeId};
use crate::node::{CrashPoint, Execution};
use crate::oracle::Rule;
use holdfast_chain::ProductionRefusal;
use holdfast_halt::StallChange;
use holdfast_replica::durable::make_durable;
use holdfast_replica::{Fact, Input, Message, Output, Replica, SubmissionResult};
use holdfast_types::wire::LastVertexRequest;
use holdfast_types::{
    Attestation, Certificate, EndStatement, HaltGossip, HaltId, VerifiedVertex, Vertex,
};
use std::sync::Arc;

/// Wake-ups in a row that may leave something to be done at once.
const WAKES_AT_ONCE_MAX: u32 = 3;

impl World {
    /// Starts a node from its disk.
    pub fn start(&mut self, node: NodeId) {
        if self.nodes[node].running.is_some() {
            return;
        }
        if self.nodes[node].disk.is_full() {
            self.count("starts on a full disk");
        }
        match self.nodes[node].start(self.now_ms, &self.chain) {
            Ok(first) => {
                self.note_start(node);
                let pause_ms = self.random.between((1, 1000));
                let incarnation = self.nodes[node].incarnation;
                self.carry_out(node, first);
                self.schedule(pause_ms, Event::Poll { node, incarnation });
                self.set_alarm(node);
            }
            Err(error) => self.does_not_start(node, &error),
        }
    }

    fn note_start(&mut self, node: NodeId) {
        let Self { nodes, trace, .. } = self;
        let node = &nodes[node];
        let number = u64::from(node.incarnation);
        trace.add(self.now_ms, node.id, number, || {
            let head = node.running.as_ref().map(|running| running.chain.head().0);
            let head = head.unwrap_or_default();
            let guard = told::guard(node.disk.guard());
            format!("starts from its disk: head is block {head}, sign guard: {guard}")
        });
    }

    /// Ends the process of a node.
    pub fn crash(&mut self, node: NodeId, loss: Loss) {
        let was_halted = self.is_halted(node);
        if self.nodes[node].running.take().is_none() {
            return;
        }
        self.count("crashes");
        if was_halted {
            self.count("crashes in a halt");
        }
        self.trace.add(self.now_ms, node, loss as u64, || {
            told::loses(loss).to_owned()
        });
        let Self { nodes, random, .. } = self;
        nodes[node].disk.crash(loss, random);
        self.schedule_restart(node);
    }

    /// The node dies when its writing comes to `point` next.
    pub fn crash_at(&mut self, node: NodeId, point: CrashPoint, loss: Loss) {
        if let Some(running) = &mut self.nodes[node].running {
            running.crash_at = Some((point, loss));
        }
    }

    /// True if the node died here.
    pub(super) fn dies_at(&mut self, node: NodeId, point: CrashPoint) -> bool {
        let running = self.nodes[node].running.as_ref();
        let Some((at, loss)) = running.and_then(|running| running.crash_at) else {
            return false;
        };
        if at != point {
            return false;
        }
        let what = match point {
            CrashPoint::BeforeWrite => "crashes before a write",
            CrashPoint::BeforeSync => "crashes before a sync",
            CrashPoint::BeforeGuard => "crashes before the guard",
            CrashPoint::BeforeSend => "crashes before sending",
            CrashPoint::AfterBlock => "crashes after a block",
            CrashPoint::BeforeCall(_) => "crashes before a call to the disk",
            CrashPoint::AfterCall(_) => "crashes after a call to the disk",
        };
        self.count(what);
        let number = crate::message::hash(what.as_bytes());
        self.trace
            .add(self.now_ms, node, number, || what.to_owned());
        self.crash(node, loss);
        true
    }

    /// One step of the replica, whose output is carried out. None if the node is down or died of it.
    pub(super) fn step(&mut self, node: NodeId, mut input: Input) -> Option<Vec<SubmissionResult>> {
        if let Input::Vertices(vertices) = &mut input
            && self.nodes[node].behaviour.is_some()
        {
            self.leave_out_own(node, vertices);
        }
        let now = self.nodes[node].now(self.now_ms);
        let running = self.nodes[node].running.as_mut()?;
        let before = orders(&running.replica);
        let output = running.replica.step(now, input);
        let after = orders(&running.replica);
        running.halted_throughout =
            before.1 && after.1 || before.0.iter().any(|halt| after.0.contains(halt));
        self.check_no_emergency(node, &output);
        let answers = self.carry_out(node, output);
        self.set_alarm(node);
        answers
    }

    /// Time has come to a deadline of the replica.
    pub(super) fn wake(&mut self, node: NodeId) {
        let running = self.nodes[node].running.as_mut();
        let due = running.is_some_and(|running| {
            let due = running.wake_at_ms == Some(self.now_ms);
            if due {
                running.wake_at_ms = None;
            }
            due
        });
        if due {
            self.step(node, Input::Tick);
            self.check_rests(node);
        }
    }

    /// A replica that asks to be woken at once again and again takes a processor for nothing (rule O7).
    fn check_rests(&mut self, node: NodeId) {
        let now = self.nodes[node].now(self.now_ms);
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        let deadline_ms = running.replica.next_wake_ms(now);
        if deadline_ms.is_none_or(|at_ms| at_ms > now.monotonic_ms) {
            running.wakes_at_once = 0;
            return;
        }
        running.wakes_at_once += 1;
        if running.wakes_at_once > WAKES_AT_ONCE_MAX {
            let what = format!("node {node} does not rest: its deadline is always over");
            self.oracle.violated(Rule::Bounds, what);
        }
    }

    fn set_alarm(&mut self, node: NodeId) {
        let now = self.nodes[node].now(self.now_ms);
        let incarnation = self.nodes[node].incarnation;
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        let Some(deadline_ms) = running.replica.next_wake_ms(now) else {
            return;
        };
        // The node's shell looks at the clock again at once; here at least a millisecond passes.
        let wait_ms = deadline_ms.saturating_sub(now.monotonic_ms).max(1);
        let at_ms = self.now_ms + wait_ms;
        if running.wake_at_ms.is_none_or(|other| at_ms < other) {
            running.wake_at_ms = Some(at_ms);
            self.schedule(wait_ms, Event::Wake { node, incarnation });
        }
    }

    /// Makes an output durable, then lets it out (rule R1 of the replica). None if the node died in between.
    pub(super) fn carry_out(
        &mut self,
        node: NodeId,
        output: Output,
    ) -> Option<Vec<SubmissionResult>> {
        if self.nodes[node].is_honest() {
            self.check_authority(node, &output.persist);
        }
        make_durable(&output.persist, &mut NodeDisk { world: self, node }).ok()?;
        if !output.send.is_empty() && self.dies_at(node, CrashPoint::BeforeSend) {
            return None;
        }
        self.let_out(node, output)
    }

    fn let_out(&mut self, node: NodeId, output: Output) -> Option<Vec<SubmissionResult>> {
        let running = self.nodes[node].running.as_mut()?;
        if let Some(context) = output.era_started {
            running.era = context;
        }
        for fact in output.facts {
            self.note(node, &fact);
        }
        for message in output.send {
            self.send(node, message);
        }
        for sub_dag in output.execute {
            let record = &sub_dag.record;
            let leader = record.leader;
            let digest = crate::message::hash(leader.digest.as_bytes());
            self.trace
                .add(self.now_ms, node, digest, || told::commits(&sub_dag));
            self.stopwatch
                .committed(record.era, leader.round, leader.author, self.now_ms);
            if self.nodes[node].is_honest() {
                self.oracle.committed(node, &sub_dag);
                if !self.is_resuming(node) {
                    self.oracle.committed_freely(node, &sub_dag, self.now_ms);
                }
            }
            self.queue_execution(node, Execution::Commit(sub_dag));
        }
        if let Some(era) = output.yield_to_lockdown {
            self.queue_execution(node, Execution::YieldToLockdown(era));
        }
        for certificate in output.certificates {
            self.trace
                .add(self.now_ms, node, certificate.body.height.0, || {
                    told::certified(&certificate)
                });
            if self.nodes[node].is_honest() {
                let is_valid = self.is_certificate(node, &certificate);
                self.oracle.certified(&certificate, is_valid);
            }
            self.queue_execution(node, Execution::Certificate(certificate));
        }
        if let Some(request) = output.resume {
            self.queue_execution(node, Execution::Resume(request));
        }
        if let Some(hold) = output.hold {
            self.queue_execution(node, Execution::Hold(hold));
        }
        if let Some(votes) = output.end_votes {
            self.count("quorums of votes for an end");
            self.queue_execution(node, Execution::EndVotes(votes));
        }
        for block in output.offer {
            self.queue_execution(node, Execution::Offer(Box::new(block)));
        }
        if let Some(turn) = output.produce {
            self.queue_execution(node, Execution::Produce(*turn));
        }
        self.verify_again(node, output.verify, output.verify_certificates);
        Some(output.submissions)
    }

    /// The node's verification pool takes these again; they come back to the replica as inputs.
    fn verify_again(
        &mut self,
        node: NodeId,
        vertices: Vec<Vertex>,
        certificates: Vec<Certificate>,
    ) {
        let verified: Vec<_> = vertices
            .into_iter()
            .filter_map(|vertex| self.verify_vertex(node, vertex))
            .collect();
        if !verified.is_empty() {
            self.step(node, Input::Vertices(verified));
        }
        for certificate in certificates {
            self.take_certificate(node, certificate);
        }
    }

    fn note(&mut self, node: NodeId, fact: &Fact) {
        let what = match fact {
            Fact::Proposed { .. } => "proposals",
            Fact::LockdownLasts { .. } => "alerts of a lockdown",
            Fact::Committed { .. } => "commits",
            Fact::Certified { .. } => "certificates",
            Fact::EraEnded { .. } => "era ends",
            Fact::EraStarted { .. } => "era starts",
            Fact::Equivocation { .. } => "equivocations seen",
            Fact::ContradictoryAttestations { .. } => "contradictory attestations",
            Fact::Behind { .. } => "behind",
            Fact::SignRefused { .. } => "refusals of the guard",
            Fact::Doppelganger { .. } => "doppelgangers",
            Fact::PastUnknown { .. } => "guards found too old",
            Fact::Listened => "processes that begin to sign",
            Fact::VertexParked { .. } => "vertices parked",
            Fact::VertexDropped { .. } => "vertices dropped",
            Fact::HaltBegan { .. } if self.is_in_emergency(node) => "halts in an emergency",
            Fact::HaltBegan { .. } => "halts",
            Fact::HaltEnded { .. } => "halts ended",
            Fact::HaltVoid { .. } => "halts not followed",
            Fact::YieldsToLockdown { .. } => "emergencies left for a lockdown",
            Fact::Stall(StallChange::Began { .. }) => "stalls",
            Fact::Stall(StallChange::Ended { .. }) => "stalls ended",
            Fact::Stall(StallChange::Escalated) => "stalls escalated",
            Fact::GovernanceAccepted { .. } => "governance messages",
            Fact::Readiness(_) => "changes of readiness",
            Fact::Produced { .. } => "emergency blocks made",
            Fact::ProducerOverdue { .. } => "producers overdue",
        };
        self.count(what);
        if let Fact::Certified { height } = fact {
            self.stopwatch.certified(node, *height, self.now_ms);
        }
        let number = what.len() as u64;
        self.trace
            .add_if_told(self.now_ms, node, number, || told::fact(fact));
        if matches!(fact, Fact::Doppelganger { .. }) && self.nodes[node].is_honest() {
            let what = format!("node {node} takes itself for another: {fact:?}");
            self.oracle.violated(Rule::Soundness, what);
        }
    }

    fn send(&mut self, node: NodeId, message: Message) {
        self.trace
            .add_if_told(self.now_ms, node, 0, || told::message(&message));
        match message {
            Message::Vertex(vertex) => self.send_vertex(node, &vertex),
            Message::Statement(gossiped) => {
                // To say again what was signed before is to sign nothing.
                if gossiped.repetition == 0
                    && let EndStatement::Attestation(attestation) = &gossiped.statement
                {
                    self.check_attestation(node, attestation);
                }
                let gossip = Gossip::Statement(Box::new(gossiped));
                self.publish(node, Envelope::new(gossip));
            }
            Message::Evidence(evidence) => {
                self.publish(node, Envelope::new(Gossip::Evidence(Box::new(evidence))));
            }
            Message::HaltProof { proof, repetition } => {
                let gossip = Gossip::Halt(Box::new(HaltGossip::Proof { proof, repetition }));
                self.publish(node, Envelope::new(gossip));
            }
            Message::HaltStatus(status) => {
                let gossip = Gossip::Halt(Box::new(HaltGossip::Status(status)));
                self.publish(node, Envelope::new(gossip));
            }
            Message::Governance(message) => {
                self.publish(node, Envelope::new(Gossip::Governance(Box::new(message))));
            }
            Message::EmergencyBlock(block) => {
                self.send_block(node, block);
            }
            Message::Lockdown {
                message,
                repetition,
            } => self.send_lockdown(node, message, repetition),
            Message::AskHalts { era, to } => self.ask_halts(node, &era, to),
            Message::Transactions(transactions) => {
                let gossip = Gossip::Transactions(transactions.into());
                self.publish(node, Envelope::new(gossip));
            }
            Message::Fetch { era, request } => self.fetch(node, &era, request),
            Message::Ask { era, request } => self.ask(node, &era, request),
            Message::AskLastVertices { era, author, to } => {
                self.ask_last_vertices(node, LastVertexRequest { era, author }, to);
            }
            Message::FetchCertificate { height, turn } => {
                self.fetch_certificate(node, height, turn);
            }
        }
    }

    fn send_vertex(&mut self, node: NodeId, vertex: &Arc<VerifiedVertex>) {
        let header = vertex.header();
        self.stopwatch
            .sent(header.era, header.round, header.author, self.now_ms);
        if self.nodes[node].behaviour.is_none() {
            if self.nodes[node].is_honest() {
                self.check_vertex(node, vertex);
            } else {
                self.check_vertex_of_twin(node, vertex);
            }
            self.note_sent(node, vertex, None);
            self.publish(node, Envelope::new(Gossip::Vertex(Arc::clone(vertex))));
        } else {
            self.misbehave(node, vertex);
        }
    }

    pub(super) fn note_sent(
        &mut self,
        node: NodeId,
        vertex: &VerifiedVertex,
        to: Option<&[NodeId]>,
    ) {
        let digest = crate::message::hash(vertex.reference().digest.as_bytes());
        self.trace
            .add(self.now_ms, node, digest, || told::sends(vertex, to));
    }

    /// Whom one order stops from the beginning of a step to its end takes no part in an emergency (rule O10).
    fn check_no_emergency(&mut self, node: NodeId, output: &Output) {
        let Some(running) = &self.nodes[node].running else {
            return;
        };
        if !running.halted_throughout || !self.nodes[node].is_honest() {
            return;
        }
        let refusal = running.replica.production().refusal();
        if output.produce.is_some() || !output.offer.is_empty() {
            let what = format!("the halted node {node} makes or takes an emergency block");
            self.oracle.violated(Rule::Halts, what);
        } else if refusal == Some(ProductionRefusal::Halted) {
            self.count("turns not taken in a halt");
        }
    }

    /// What leaves is durable, and no contradiction to what left before.
    fn check_vertex(&mut self, node: NodeId, vertex: &VerifiedVertex) {
        let Some(key) = self.nodes[node].public_key() else {
            let what = format!("node {node} signs without a key");
            self.oracle.violated(Rule::Soundness, what);
            return;
        };
        self.check_may_sign(node, "a vertex");
        let header = vertex.header();
        let disk = &self.nodes[node].disk;
        let is_stored = disk.keeps_vertex(header.era, vertex.reference());
        let is_guarded = disk
            .guard()
            .is_some_and(|guard| Some((header.era, header.round)) <= guard.vertex);
        if !is_stored || !is_guarded {
            self.oracle.violated(
                Rule::Durability,
                format!(
                    "node {node} sends {} (stored {is_stored}, guarded {is_guarded})",
                    vertex.reference()
                ),
            );
        }
        if let Err(wrong) = self.oracle.wire.vertex(key, vertex) {
            self.oracle.violated(Rule::Wire, wrong);
        }
        for attestation in &vertex.payload().attestations {
            self.check_attestation(node, attestation);
        }
    }

    /// A process whose key runs twice may not know it. Once its DAG holds what the other has signed in a slot of its own, it
    /// does.
    fn check_vertex_of_twin(&mut self, node: NodeId, vertex: &VerifiedVertex) {
        let key = self.nodes[node].public_key();
        if let Some(key) = key {
            self.oracle.wire.vertex_of_twin(key, vertex);
        }
        let running = self.nodes[node].running.as_ref();
        let dag = running.and_then(|running| running.replica.dag());
        let author = vertex.author();
        let knows = dag.is_some_and(|dag| {
            let highest = dag.vertices().highest_round();
            let rounds = std::iter::successors(Some(highest), |round| Some(round.previous()));
            let mut kept = rounds.take_while(|round| *round > dag.gc_round());
            kept.any(|round| dag.vertices().slot(round, author).len() > 1)
        });
        if knows {
            let round = vertex.round();
            let what = format!("node {node} signs round {round} and knows that its key runs twice");
            self.oracle.violated(Rule::Wire, what);
        }
    }

    /// Whom one order stops from the beginning of a step to its end has signed nothing in it (rule O10). Between two orders
    /// it may: the end of a halt lets it sign, and what it signs may prove another one.
    fn check_may_sign(&mut self, node: NodeId, what: &str) {
        let running = self.nodes[node].running.as_ref();
        if running.is_some_and(|running| running.halted_throughout) {
            let what = format!("the halted node {node} signs {what}");
            self.oracle.violated(Rule::Halts, what);
        }
    }

    fn check_attestation(&mut self, node: NodeId, attestation: &Attestation) {
        let (Some(key), true) = (self.nodes[node].public_key(), self.nodes[node].is_honest())
        else {
            return;
        };
        let body = &attestation.body;
        if !body.has_no_commit() && !self.is_named(node, body.block) {
            self.check_may_sign(node, "an attestation");
        }
        let disk = &self.nodes[node].disk;
        let is_stored = disk.keeps_block(body.height, body.block);
        let guard = disk.guard();
        let is_guarded = guard.is_some_and(|guard| guard.covers_attestation(body));
        if !is_stored || !is_guarded {
            self.oracle.violated(
                Rule::Durability,
                format!(
                    "node {node} attests height {} (stored {is_stored}, guarded {is_guarded})",
                    body.height
                ),
            );
        }
        if let Err(wrong) = self.oracle.wire.attestation(key, attestation) {
            self.oracle.violated(Rule::Wire, wrong);
        }
    }
}

/// What orders a replica to stop: halts, and whether its era is to end for a resume.
fn orders(replica: &Replica) -> (Vec<HaltId>, bool) {
    let manager = replica.halts().manager();
    (manager.halts(), manager.state().resume.is_some())
}
