//! What is verified, and where it goes.

use super::submissions::Submit;
use crate::clock;
use crate::runtime::board::era_of;
use crate::runtime::cluster::Cluster;
use crate::runtime::core_thread::{CoreCommand, CoreHandle, Reverify};
use crate::runtime::serve;
use bytes::Bytes;
use holdfast_network::{
    MessageId, NetworkHandle, Penalty, RequestProtocol, Responder, Topic, Verdict,
};
use holdfast_replica::Input;
use holdfast_replica::admission::{
    Judgement, VertexPlace, emergency_block, last_vertices, vertex_place,
};
use holdfast_storage::Storage;
use holdfast_types::limits::{CERTIFICATE_BYTES_MAX, VERTEX_BYTES_MAX};
use holdfast_types::wire::{
    GossipedStatement, LastVertexRequest, LastVertexResponse, MissingVerticesRequest,
    TransactionBatch, VerticesResponse,
};
use holdfast_types::{
    AuthorityIndex, Block, Certificate, ChainId, EraContext, Parameters, SignatureScheme,
    VerifiedTransaction, VerifiedVertex, Vertex, VertexRef, codec,
};
use libp2p::PeerId;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// One piece of work.
#[derive(Debug)]
pub enum Job {
    Gossip {
        peer: PeerId,
        topic: Topic,
        message_id: MessageId,
        data: Bytes,
    },
    /// The answer of a peer to a request for vertices.
    FetchedVertices {
        peer: PeerId,
        asked: Asked,
        data: Bytes,
    },
    /// A certificate that a peer sent.
    FetchedCertificate {
        peer: PeerId,
        certificate: Box<Certificate>,
    },
    /// A member's answer on what it and this node have signed last.
    LastVertices {
        peer: PeerId,
        request: LastVertexRequest,
        from: AuthorityIndex,
        data: Bytes,
    },
    /// A member's answer on the halts that it is in.
    Halts {
        peer: PeerId,
        data: Bytes,
    },
    Again(Reverify),
    /// A peer asks.
    Serve {
        peer: PeerId,
        protocol: RequestProtocol,
        data: Bytes,
        responder: Responder,
    },
    /// A client sends a transaction.
    Submit(Submit),
}

/// What a peer was asked for: all that it may answer with.
#[derive(Debug)]
pub enum Asked {
    References(BTreeSet<VertexRef>),
    Missing(MissingVerticesRequest),
}

impl Asked {
    fn covers(&self, reference: &VertexRef) -> bool {
        match self {
            Self::References(references) => references.contains(reference),
            Self::Missing(request) => request.wants(reference.round, reference.author),
        }
    }
}

/// Everything that verification needs.
#[derive(Debug)]
pub struct Verifier {
    pub chain: ChainId,
    pub parameters: Arc<Parameters>,
    pub scheme: Arc<dyn SignatureScheme>,
    pub era: Arc<RwLock<Arc<EraContext>>>,
    pub core: CoreHandle,
    pub network: NetworkHandle,
    pub storage: Arc<Storage>,
    pub server: serve::Server,
    pub cluster: Cluster,
}

impl Verifier {
    /// Does the jobs that were taken together: transactions of clients in one batch.
    pub(super) fn work(&self, jobs: Vec<Job>) {
        let mut submits = Vec::new();
        for job in jobs {
            match job {
                Job::Submit(submit) => submits.push(submit),
                job => self.work_on(job),
            }
        }
        if !submits.is_empty() {
            self.submit(submits);
        }
    }

    fn work_on(&self, job: Job) {
        match job {
            Job::Gossip {
                peer,
                topic,
                message_id,
                data,
            } => {
                let verdict = self.gossip(topic, &data);
                self.network.verdict(message_id, peer, verdict);
            }
            Job::FetchedVertices { peer, asked, data } => self.fetched(peer, &asked, &data),
            Job::FetchedCertificate { peer, certificate } => {
                if !self.certificate(*certificate) {
                    self.network.penalize(peer, Penalty::InvalidResponse);
                }
            }
            Job::LastVertices {
                peer,
                request,
                from,
                data,
            } => {
                if !self.last_vertices(&request, from, &data) {
                    self.network.penalize(peer, Penalty::InvalidResponse);
                }
            }
            Job::Halts { peer, data } => {
                if !self.notice_came(&data) {
                    self.network.penalize(peer, Penalty::InvalidResponse);
                }
            }
            Job::Again(Reverify::Vertices(vertices)) => {
                let era = self.era();
                let verified = vertices
                    .into_iter()
                    .filter_map(|vertex| self.verify_vertex(vertex, &era).ok())
                    .collect();
                self.core.input(Input::Vertices(verified));
            }
            Job::Again(Reverify::Certificates(certificates)) => {
                for certificate in certificates {
                    self.certificate(certificate);
                }
            }
            Job::Serve {
                peer,
                protocol,
                data,
                responder,
            } => self
                .server
                .answer(&self.network, peer, protocol, &data, responder),
            Job::Submit(submit) => self.submit(vec![submit]),
        }
    }

    pub(in crate::runtime) fn era(&self) -> Arc<EraContext> {
        Arc::clone(&self.era.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn gossip(&self, topic: Topic, data: &[u8]) -> Verdict {
        match topic {
            Topic::Vertices => self.gossiped_vertex(data),
            Topic::Attestations => self.gossiped_statement(data),
            Topic::Evidence => self.gossiped_evidence(data),
            Topic::Transactions => self.gossiped_transactions(data),
            Topic::Halt => self.gossiped_halt(data),
            Topic::Governance => self.gossiped_governance(data),
            Topic::EmergencyBlocks => self.gossiped_emergency_block(data),
            Topic::Lockdown => self.gossiped_lockdown(data),
        }
    }

    fn gossiped_vertex(&self, data: &[u8]) -> Verdict {
        let Ok(vertex) = codec::decode::<Vertex>("a vertex", data, VERTEX_BYTES_MAX) else {
            return Verdict::Reject;
        };
        let era = match self.place_of(&vertex) {
            VertexPlace::Verifiable(era) => era,
            VertexPlace::NextEra => {
                self.core.input(Input::EarlyVertex(Box::new(vertex)));
                return Verdict::Ignore;
            }
            VertexPlace::OtherEra => return Verdict::Ignore,
        };
        match self.verify_vertex(vertex, &era) {
            Ok(vertex) => {
                self.core.input(Input::Vertices(vec![vertex]));
                Verdict::Accept
            }
            Err(reject) => {
                tracing::warn!(%reject, "a peer sent an invalid vertex");
                Verdict::Reject
            }
        }
    }

    fn place_of(&self, vertex: &Vertex) -> VertexPlace {
        // A store that does not read stops the node elsewhere.
        vertex_place(self.storage.as_ref(), vertex, &self.era()).unwrap_or(VertexPlace::OtherEra)
    }

    fn verify_vertex(
        &self,
        vertex: Vertex,
        era: &EraContext,
    ) -> Result<Arc<VerifiedVertex>, holdfast_types::VertexReject> {
        VerifiedVertex::verify(vertex, &self.chain, era, self.scheme.as_ref()).map(Arc::new)
    }

    fn gossiped_statement(&self, data: &[u8]) -> Verdict {
        let Ok(GossipedStatement { statement, .. }) =
            codec::decode("a statement", data, CERTIFICATE_BYTES_MAX)
        else {
            return Verdict::Reject;
        };
        let era = self.era();
        if statement.body().era != era.era {
            return Verdict::Ignore;
        }
        let Some(committee) = era.certifiers() else {
            return Verdict::Ignore;
        };
        let valid = statement
            .signature_check(&self.chain, committee)
            .is_some_and(|check| self.scheme.verify(&check));
        if !valid {
            return Verdict::Reject;
        }
        self.core.input(statement.into());
        Verdict::Accept
    }

    fn gossiped_emergency_block(&self, data: &[u8]) -> Verdict {
        let limit = Topic::EmergencyBlocks.message_bytes_max();
        let Ok(block) = codec::decode::<Block>("an emergency block", data, limit) else {
            return Verdict::Reject;
        };
        let judged = emergency_block(
            self.storage.as_ref(),
            &block,
            &self.chain,
            &self.parameters.emergency,
            self.scheme.as_ref(),
            clock::wall().plus(self.parameters.dag.max_clock_drift_ms),
        );
        match judged {
            Ok(Judgement::Accept) => {
                self.core.input(Input::EmergencyBlock(Box::new(block)));
                Verdict::Accept
            }
            Ok(Judgement::Reject) => Verdict::Reject,
            // A store that does not read stops the node elsewhere.
            Ok(Judgement::Ignore) | Err(_) => Verdict::Ignore,
        }
    }

    fn gossiped_transactions(&self, data: &[u8]) -> Verdict {
        let limit = Topic::Transactions.message_bytes_max();
        let Ok(batch) = codec::decode::<TransactionBatch>("transactions", data, limit) else {
            return Verdict::Reject;
        };
        let verified =
            VerifiedTransaction::verify_many(batch.transactions, &self.chain, self.scheme.as_ref());
        let mut verdict = Verdict::Accept;
        let mut submissions = Vec::with_capacity(verified.len());
        for result in verified {
            match result {
                // Where a client's node does not propose, each validator waits its turn before it proposes in its place.
                Ok(transaction) => submissions.extend(self.submission(transaction, true).ok()),
                Err(_) => verdict = Verdict::Reject,
            }
        }
        if !submissions.is_empty() {
            // Transactions are the first to go when the node is busy; their senders have other validators.
            let _dropped_when_busy = self
                .core
                .try_command(CoreCommand::Input(Input::Transactions(submissions)));
        }
        verdict
    }

    pub(in crate::runtime) fn context_of(
        &self,
        era: holdfast_types::Era,
    ) -> Option<Arc<EraContext>> {
        era_of(&self.era(), &self.storage, era)
    }

    /// False if the answer is not what a member may say.
    fn last_vertices(
        &self,
        request: &LastVertexRequest,
        from: AuthorityIndex,
        data: &[u8],
    ) -> bool {
        let limit = RequestProtocol::LastVertices.response_bytes_max();
        let Ok(answer) = codec::decode::<LastVertexResponse>("last vertices", data, limit) else {
            return false;
        };
        let era = self.era();
        // Between request and answer the era may have changed: nobody's fault.
        if request.era != era.era {
            return true;
        }
        let scheme = self.scheme.as_ref();
        let heard = last_vertices(request, from, &answer, &self.chain, &era, scheme);
        if let Some(heard) = heard {
            // What halts the others is learned before anything is signed.
            self.take_notice(answer.halts);
            self.core.input(Input::LastVertices(heard));
        }
        heard.is_some()
    }

    fn fetched(&self, peer: PeerId, asked: &Asked, data: &[u8]) {
        let limit = RequestProtocol::Vertices.response_bytes_max();
        let Ok(response) = codec::decode::<VerticesResponse>("vertices", data, limit) else {
            self.network.penalize(peer, Penalty::InvalidResponse);
            return;
        };
        let mut verified = Vec::new();
        for vertex in response.vertices {
            let VertexPlace::Verifiable(era) = self.place_of(&vertex) else {
                // Between request and answer the era may have changed: nobody's fault.
                return;
            };
            match self.verify_vertex(vertex, &era) {
                Ok(vertex) if asked.covers(&vertex.reference()) => verified.push(vertex),
                Ok(_) | Err(_) => {
                    self.network.penalize(peer, Penalty::InvalidResponse);
                    break;
                }
            }
        }
        verified.sort_by_key(|vertex| vertex.reference());
        self.core.input(Input::Vertices(verified));
    }

    /// False if the certificate does not verify.
    fn certificate(&self, certificate: Certificate) -> bool {
        let Some(context) = self.context_of(certificate.body.era) else {
            return true;
        };
        // Of an emergency whose end is not here nothing can be said.
        let Some(committee) = context.certifiers() else {
            return true;
        };
        let scheme = self.scheme.as_ref();
        let valid = certificate.verify(&self.chain, committee, scheme).is_ok();
        if valid {
            self.core.input(Input::Certificate(certificate));
        }
        valid
    }
}
