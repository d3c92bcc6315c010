//! The network side of a node: gossip, questions and answers.

use super::{Event, World};
use crate::message::{Asked, Envelope, Gossip, NodeId, Packet, Request, Response};
use crate::network::Delivery;
use crate::node::{Pending, Purpose};
use crate::oracle::Rule;
use holdfast_chain::ChainStore;
use holdfast_chain::serve::{blocks_asked, servable_prefix};
use holdfast_dag::{AskRequest, FetchRequest};
use holdfast_replica::admission::{self, VertexPlace, submission, turn_ms, vertex_place};
use holdfast_replica::asking::whose_turn;
use holdfast_replica::serve::{last_vertices, missing_vertices, vertices};
use holdfast_replica::{Input, Origin, RecordStore};
use holdfast_types::wire::{
    CertificateRequest, CertificateResponse, LastVertexRequest, MissingVerticesRequest, PeerStatus,
    VerticesRequest,
};
use holdfast_types::{
    AuthorityIndex, Certificate, EndStatement, Era, EraContext, Height, SignatureScheme,
    SignedTransaction, VerifiedTransaction, VerifiedVertex, Vertex,
};
use std::rc::Rc;
use std::sync::Arc;

/// An answer that has not come by then does not come, in ms.
const REQUEST_TIMEOUT_MS: u64 = 5_000;
/// Peers that are asked for a certificate at once.
const CERTIFICATE_PEERS: usize = 2;
/// Bytes of vertices in one answer.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

impl World {
    /// Puts a packet on the link from one node to another.
    pub(super) fn put(&mut self, from: NodeId, to: NodeId, packet: &Packet) {
        if self.nodes[from].running.is_none() {
            let what = format!("fail-stop: node {from} sends after its end");
            self.oracle.violated(Rule::Durability, what);
        }
        if self.nodes[to].running.is_none() {
            return;
        }
        let Some(wait_ms) = self.wait_for_uplink(from, packet) else {
            return;
        };
        for mut copy in self.network.copies(from, to) {
            copy.after_ms += wait_ms;
            self.put_copy(from, to, packet, copy);
        }
    }

    fn put_copy(&mut self, from: NodeId, to: NodeId, packet: &Packet, copy: Delivery) {
        let incarnation = self.nodes[to].incarnation;
        let packet = if copy.is_corrupted {
            self.count("messages corrupted");
            packet.corrupted(|bytes| self.network.corrupt(bytes))
        } else {
            packet.clone()
        };
        if let Packet::Gossip(envelope) = &packet {
            if !envelope.is_first(to, incarnation, self.now_ms + copy.after_ms) {
                return;
            }
            self.stopwatch.sends(from, envelope.bytes);
        }
        self.take_uplink(from, &packet);
        self.schedule(
            copy.after_ms,
            Event::Arrive {
                from,
                to,
                incarnation,
                packet,
            },
        );
    }

    /// Gossips an own message. The network takes the same content once only.
    pub(super) fn publish(&mut self, node: NodeId, envelope: Envelope) {
        let now_ms = self.now_ms;
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        if !running.remember(now_ms, envelope.id, envelope.remembered_ms()) {
            self.count("duplicates not published");
            return;
        }
        self.flood(node, None, &Rc::new(envelope));
    }

    fn flood(&mut self, node: NodeId, except: Option<NodeId>, envelope: &Rc<Envelope>) {
        for to in 0..self.nodes.len() {
            if to != node && Some(to) != except {
                self.put(node, to, &Packet::Gossip(Rc::clone(envelope)));
            }
        }
    }

    pub(super) fn arrive(&mut self, from: NodeId, node: NodeId, packet: Packet) {
        match packet {
            Packet::Gossip(envelope) => {
                let now_ms = self.now_ms;
                let is_new = self.nodes[node].running.as_mut().is_some_and(|running| {
                    running.remember(now_ms, envelope.id, envelope.remembered_ms())
                });
                let passed_on = is_new && self.take_gossip(node, &envelope.gossip);
                // It may have died of it.
                if passed_on && self.nodes[node].running.is_some() {
                    self.flood(node, Some(from), &envelope);
                }
            }
            Packet::Request { ticket, request } => {
                let honest = self.answer(node, &request);
                self.check_answer(node, from, &request, honest.as_ref());
                let said = match &mut self.nodes[node].behaviour {
                    Some(behaviour) => honest.and_then(|honest| behaviour.answer(honest)),
                    None => honest,
                };
                if let Some(response) = said {
                    let response = Arc::new(response);
                    self.put(node, from, &Packet::Response { ticket, response });
                }
            }
            Packet::Response { ticket, response } => self.answered(node, ticket, &response),
            Packet::Corrupted(corrupted) => self.arrive_corrupted(node, &corrupted),
        }
    }

    pub(super) fn era_of(&self, node: NodeId) -> Option<Arc<EraContext>> {
        let running = self.nodes[node].running.as_ref()?;
        Some(Arc::clone(&running.era))
    }

    /// True if the message is to be passed on.
    fn take_gossip(&mut self, node: NodeId, gossip: &Gossip) -> bool {
        match gossip {
            Gossip::Vertex(vertex) => self.take_vertex(node, vertex),
            Gossip::Statement(gossiped) => self.take_statement(node, &gossiped.statement),
            Gossip::Evidence(evidence) => self.take_evidence(node, evidence),
            Gossip::Halt(gossip) => self.take_halt(node, gossip),
            Gossip::Governance(gossiped) => self.take_governance(node, &gossiped.message),
            Gossip::Transactions(transactions) => self.take_transactions(node, transactions),
            Gossip::EmergencyBlock(block) => self.take_emergency_block(node, block),
            Gossip::Lockdown(gossiped) => self.take_lockdown(node, gossiped),
        }
    }

    fn take_vertex(&mut self, node: NodeId, vertex: &Arc<VerifiedVertex>) -> bool {
        let Some(era) = self.verifiable_in(node, vertex.vertex()) else {
            return false;
        };
        let valid = self.is_valid(vertex, &era);
        if valid {
            self.step(node, Input::Vertices(vec![Arc::clone(vertex)]));
        }
        valid
    }

    /// The era in which a node can verify a vertex now; one of the next era is put aside.
    pub(super) fn verifiable_in(
        &mut self,
        node: NodeId,
        vertex: &Vertex,
    ) -> Option<Arc<EraContext>> {
        match self.place_of(node, vertex)? {
            VertexPlace::Verifiable(era) => return Some(era),
            VertexPlace::NextEra => {
                self.count("early vertices");
                self.step(node, Input::EarlyVertex(Box::new(vertex.clone())));
            }
            VertexPlace::OtherEra => self.count("vertices of another era"),
        }
        None
    }

    /// None if the node is down.
    pub(super) fn place_of(&self, node: NodeId, vertex: &Vertex) -> Option<VertexPlace> {
        let era = self.era_of(node)?;
        vertex_place(self.nodes[node].disk.now(), vertex, &era).ok()
    }

    /// Whether a vertex verifies in an era. It does or does not for everybody, so it is computed once.
    fn is_valid(&mut self, vertex: &Arc<VerifiedVertex>, era: &EraContext) -> bool {
        let key = (era.anchor, vertex.reference().digest);
        if let Some(valid) = self.verdicts.get(&key) {
            return *valid;
        }
        let verified = VerifiedVertex::verify(
            vertex.vertex().clone(),
            &self.chain.id,
            era,
            &self.chain.scheme,
        );
        let valid = match verified {
            Ok(_) => true,
            Err(reject) => {
                if !self.sends_invalid(vertex, era) {
                    let author = vertex.author();
                    let what = format!("a vertex of {author} does not verify: {reject}");
                    self.oracle.violated(Rule::Soundness, what);
                }
                self.count("invalid vertices refused");
                false
            }
        };
        self.verdicts.insert(key, valid);
        valid
    }

    /// Whether the author of a vertex is one that breaks rules.
    fn sends_invalid(&self, vertex: &VerifiedVertex, era: &EraContext) -> bool {
        let member = era.committee.member(vertex.author());
        let key = member.map(|member| member.signing_key);
        self.nodes
            .iter()
            .any(|node| !node.is_honest() && node.public_key() == key)
    }

    pub(super) fn verify_vertex(
        &self,
        node: NodeId,
        vertex: Vertex,
    ) -> Option<Arc<VerifiedVertex>> {
        let Some(VertexPlace::Verifiable(era)) = self.place_of(node, &vertex) else {
            return None;
        };
        VerifiedVertex::verify(vertex, &self.chain.id, &era, &self.chain.scheme)
            .ok()
            .map(Arc::new)
    }

    pub(super) fn take_statement(&mut self, node: NodeId, statement: &EndStatement) -> bool {
        let Some(era) = self
            .era_of(node)
            .filter(|era| era.era == statement.body().era)
        else {
            return false;
        };
        let committee = era.certifiers();
        let check =
            committee.and_then(|committee| statement.signature_check(&self.chain.id, committee));
        if !check.is_some_and(|check| self.chain.scheme.verify(&check)) {
            return false;
        }
        self.step(node, (*statement).into());
        true
    }

    pub(super) fn context_of(&self, node: NodeId, era: Era) -> Option<Arc<EraContext>> {
        let running = self.era_of(node)?;
        admission::context_of_era(self.nodes[node].disk.now(), &running, era).ok()?
    }

    pub(super) fn take_transactions(
        &mut self,
        node: NodeId,
        transactions: &[SignedTransaction],
    ) -> bool {
        let Some(era) = self.era_of(node) else {
            return false;
        };
        let now = self.nodes[node].now(self.now_ms);
        let key = self.nodes[node].public_key();
        let tables = self.nodes[node].disk.now();
        let mut submissions = Vec::new();
        let mut all_valid = true;
        for transaction in transactions {
            let verified = VerifiedTransaction::verify(
                transaction.clone(),
                &self.chain.id,
                &self.chain.scheme,
            );
            let Ok(transaction) = verified else {
                all_valid = false;
                continue;
            };
            let eligible_at_ms = turn_ms(now.monotonic_ms, &transaction.id(), &era, key.as_ref());
            let origin = Origin::Foreign { eligible_at_ms };
            submissions.extend(submission(tables, transaction, now.wall, origin));
        }
        self.count("transactions handed on");
        if !submissions.is_empty() {
            self.admit_later(node, submissions, None);
        }
        all_valid
    }

    pub(super) fn is_certificate(&self, node: NodeId, certificate: &Certificate) -> bool {
        let context = self.context_of(node, certificate.body.era);
        let committee = context.as_deref().and_then(EraContext::certifiers);
        committee.is_some_and(|committee| {
            let verified = certificate.verify(&self.chain.id, committee, &self.chain.scheme);
            verified.is_ok()
        })
    }

    pub(super) fn take_certificate(&mut self, node: NodeId, certificate: Certificate) {
        if self.is_certificate(node, &certificate) {
            self.step(node, Input::Certificate(certificate));
        }
    }

    /// Asks a peer; the answer or its absence comes back for `purpose`.
    pub(super) fn request(&mut self, node: NodeId, to: NodeId, request: Request, purpose: Purpose) {
        let incarnation = self.nodes[node].incarnation;
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        self.tickets += 1;
        let ticket = self.tickets;
        running.pending.insert(ticket, Pending { to, purpose });
        let request = Arc::new(request);
        self.put(node, to, &Packet::Request { ticket, request });
        self.schedule(
            REQUEST_TIMEOUT_MS,
            Event::Expire {
                node,
                incarnation,
                ticket,
            },
        );
    }

    pub(super) fn fetch(&mut self, node: NodeId, era: &EraContext, request: FetchRequest) {
        self.count("vertices fetched");
        let asked = Asked::References(request.references.iter().copied().collect());
        let wanted = VerticesRequest {
            era: era.era,
            references: request.references,
        };
        let from = (era, request.from);
        self.request_vertices(node, from, Request::Vertices(wanted), asked);
    }

    pub(super) fn ask(&mut self, node: NodeId, era: &EraContext, request: AskRequest) {
        self.count("members asked what they have");
        let wanted = MissingVerticesRequest {
            era: era.era,
            from: request.from,
            held: request.held,
        };
        let asked = Asked::Missing(wanted.clone());
        let from = (era, request.to);
        self.request_vertices(node, from, Request::Missing(wanted), asked);
    }

    fn request_vertices(
        &mut self,
        node: NodeId,
        (era, from): (&EraContext, AuthorityIndex),
        request: Request,
        asked: Asked,
    ) {
        let author = self.up_member(node, era, from);
        let up = self.up_peers(node);
        let any = || up.get(usize::from(from.0) % up.len().max(1)).copied();
        if let Some(peer) = author.or_else(any) {
            self.request(node, peer, request, Purpose::Vertices(asked));
        }
    }

    pub(super) fn ask_last_vertices(
        &mut self,
        node: NodeId,
        request: LastVertexRequest,
        to: AuthorityIndex,
    ) {
        let Some(peer) = self.up_peer_of(node, to) else {
            return;
        };
        let purpose = Purpose::LastVertices { request, from: to };
        self.request(node, peer, Request::LastVertices(request), purpose);
    }

    /// The peer that is this member of the committee, if there is a connection to it.
    pub(super) fn up_peer_of(&self, node: NodeId, member: AuthorityIndex) -> Option<NodeId> {
        let era = self.era_of(node)?;
        self.up_member(node, &era, member)
    }

    pub(super) fn up_member(
        &self,
        node: NodeId,
        era: &EraContext,
        member: AuthorityIndex,
    ) -> Option<NodeId> {
        let key = era.committee.member(member)?.signing_key;
        self.up_peers(node)
            .into_iter()
            .find(|peer| self.nodes[*peer].public_key() == Some(key))
    }

    /// Peers to which there is a connection.
    pub(super) fn up_peers(&self, node: NodeId) -> Vec<NodeId> {
        let peers = self.nodes[node].peers.iter().copied();
        peers
            .filter(|peer| self.nodes[*peer].running.is_some())
            .collect()
    }

    pub(super) fn fetch_certificate(&mut self, node: NodeId, height: Height, turn: usize) {
        self.count("certificates fetched");
        for peer in whose_turn(&self.up_peers(node), turn, CERTIFICATE_PEERS) {
            let request = Request::Certificate(CertificateRequest { height });
            self.request(node, peer, request, Purpose::Certificate);
        }
    }

    fn answer(&self, node: NodeId, request: &Request) -> Option<Response> {
        let tables = self.nodes[node].disk.now();
        Some(match request {
            Request::Vertices(request) => {
                Response::Vertices(vertices(tables, request, ANSWER_BYTES_MAX).ok()?)
            }
            Request::Missing(request) => {
                Response::Vertices(missing_vertices(tables, request, ANSWER_BYTES_MAX).ok()?)
            }
            Request::LastVertices(request) => {
                let running = self.nodes[node].running.as_ref()?;
                let era = running.replica.context().era;
                let era = (!running.replica.is_between_eras()).then_some(era);
                Response::LastVertices(Box::new(last_vertices(tables, request, era).ok()?))
            }
            Request::Blocks(request) => {
                let blocks = tables
                    .blocks_from(request.from, blocks_asked(request))
                    .ok()?;
                Response::Blocks(servable_prefix(tables, blocks).ok()?)
            }
            Request::Certificate(request) => Response::Certificate(CertificateResponse {
                certificate: tables.certificate_at_or_above(request.height).ok()?,
            }),
            Request::Halts => Response::Halts(tables.halt_state().ok()?.notice()),
            Request::Status => Response::Status(self.status(node)?),
        })
    }

    fn status(&self, node: NodeId) -> Option<PeerStatus> {
        let running = self.nodes[node].running.as_ref()?;
        let (head, head_id) = running.chain.head();
        let dag = running.replica.dag();
        Some(PeerStatus {
            head,
            head_id,
            certified: running.chain.certified(),
            is_provisional: self.is_provisional(node),
            lowest_block: Height::ZERO,
            rank: self.rank(node),
            round: dag.map(holdfast_dag::DagCore::round).unwrap_or_default(),
            timestamp_ms: self.nodes[node].now(self.now_ms).wall.0,
        })
    }

    pub(super) fn answered(&mut self, node: NodeId, ticket: u64, response: &Response) {
        let pending = self.nodes[node]
            .running
            .as_mut()
            .and_then(|running| running.pending.remove(&ticket));
        let Some(Pending { to, purpose }) = pending else {
            return;
        };
        match (purpose, response) {
            (Purpose::Vertices(asked), Response::Vertices(response)) => {
                let vertices = response.vertices.iter().cloned();
                let mut verified: Vec<_> = vertices
                    .filter_map(|vertex| self.verify_vertex(node, vertex))
                    .filter(|vertex| asked.covers(&vertex.reference()))
                    .collect();
                verified.sort_by_key(|vertex| vertex.reference());
                self.step(node, Input::Vertices(verified));
            }
            (Purpose::LastVertices { request, from }, Response::LastVertices(answer)) => {
                let heard = self.era_of(node).and_then(|era| {
                    admission::last_vertices(
                        &request,
                        from,
                        answer,
                        &self.chain.id,
                        &era,
                        &self.chain.scheme,
                    )
                });
                // What halts the others is learned before anything is signed.
                if heard.is_some() {
                    self.take_notice(node, &answer.halts);
                }
                if let Some(heard) = heard {
                    self.step(node, Input::LastVertices(heard));
                }
            }
            (Purpose::Certificate, Response::Certificate(response)) => {
                if let Some(certificate) = response.certificate.clone() {
                    self.take_certificate(node, certificate);
                }
            }
            (Purpose::Halts, Response::Halts(notice)) => self.take_notice(node, notice),
            (Purpose::Status(poll), Response::Status(status)) => {
                self.status_came(node, poll, Some((to, *status)));
            }
            (Purpose::Blocks, Response::Blocks(response)) => {
                self.blocks_came(node, to, response.clone());
            }
            (purpose, response) => {
                let what = format!("{response:?} is no answer for {purpose:?}");
                self.oracle.violated(Rule::Soundness, what);
            }
        }
    }

    pub(super) fn expire(&mut self, node: NodeId, ticket: u64) {
        let pending = self.nodes[node]
            .running
            .as_mut()
            .and_then(|running| running.pending.remove(&ticket));
        match pending {
            Some(Pending {
                purpose: Purpose::Status(poll),
                ..
            }) => self.status_came(node, poll, None),
            Some(Pending {
                to,
                purpose: Purpose::Blocks,
            }) => self.synced(node, to, false),
            // The replica asks somebody else when it is time.
            Some(_) | None => {}
        }
    }
}
