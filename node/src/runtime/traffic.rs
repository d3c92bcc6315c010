//! Between the network and the rest: events in, messages out.

use super::cluster::Cluster;
use super::core_thread::Reverify;
use super::peers::Peers;
use super::verification::{Asked, Job, JobQueue, Urgency};
use crate::failure::Failure;
use crate::recorder::{Entry, Moment, Recorder};
use bytes::Bytes;
use holdfast_dag::{AskRequest, FetchRequest};
use holdfast_network::{
    NetworkEvent, NetworkEvents, NetworkHandle, PublishError, RequestProtocol, Topic, Verdict,
};
use holdfast_replica::Message;
use holdfast_replica::asking::whose_turn;
use holdfast_types::limits::CERTIFICATE_BYTES_MAX;
use holdfast_types::wire::{
    CertificateRequest, CertificateResponse, LastVertexRequest, MissingVerticesRequest,
    TransactionBatch, VerticesRequest,
};
use holdfast_types::{
    AuthorityIndex, ChainId, EraContext, HaltGossip, Height, SignatureScheme, codec,
};
use libp2p::PeerId;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// What both directions share.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub chain: ChainId,
    pub scheme: Arc<dyn SignatureScheme>,
    pub network: NetworkHandle,
    pub peers: Peers,
    pub jobs: Arc<JobQueue<Job>>,
    pub era: Arc<RwLock<Arc<EraContext>>>,
    pub stopping: CancellationToken,
    /// Wakes the sync task when a peer comes.
    pub peer_arrived: Arc<tokio::sync::Notify>,
    pub recorder: Recorder,
    pub cluster: Cluster,
    /// Origin of the monotonic clock.
    pub started: Instant,
}

/// How long to wait for a place among the jobs of consensus before looking again.
const FULL_PAUSE: Duration = Duration::from_millis(2);
/// Peers that are asked for a certificate at once.
const CERTIFICATE_PEERS: usize = 2;

impl Traffic {
    /// Hands events to the verification pool until the node stops.
    pub async fn inbound(self, mut events: NetworkEvents) -> Result<(), Failure> {
        // Until the network has stopped, so that it never waits for somebody who is gone.
        while let Some(event) = events.next().await {
            if !self.stopping.is_cancelled() {
                self.on_event(event).await;
            }
        }
        // The network's own task says why it ended.
        self.stopping.cancelled().await;
        Ok(())
    }

    async fn on_event(&self, event: NetworkEvent) {
        match event {
            NetworkEvent::Gossip {
                peer,
                topic,
                message_id,
                data,
            } => {
                let job = Job::Gossip {
                    peer,
                    topic,
                    message_id,
                    data,
                };
                if topic == Topic::Transactions {
                    if self.jobs.offer(Urgency::Transactions, job).is_err() {
                        self.network.verdict(message_id, peer, Verdict::Ignore);
                    }
                } else {
                    self.offer_waiting(job).await;
                }
            }
            NetworkEvent::Request {
                peer,
                protocol,
                data,
                responder,
            } => {
                let job = Job::Serve {
                    peer,
                    protocol,
                    data,
                    responder,
                };
                if let Err(Job::Serve { responder, .. }) = self.jobs.offer(Urgency::Serving, job) {
                    let _gone = responder.respond_busy();
                }
            }
            NetworkEvent::PeerConnected { peer, info } => {
                let key =
                    self.peers
                        .connected(peer, &info.claim, &self.chain, self.scheme.as_ref());
                let era = self.era();
                let validator = key
                    .and_then(|key| era.committee.authority_of_key(&key))
                    .and_then(|authority| era.committee.member(authority))
                    .map(|member| member.account.to_string());
                tracing::info!(%peer, address = %info.address, validator, "peer connected");
                self.peers.classify(&self.network, &era);
                self.peer_arrived.notify_one();
            }
            NetworkEvent::PeerDisconnected { peer, reason } => {
                self.peers.disconnected(&peer);
                tracing::info!(%peer, ?reason, "peer disconnected");
            }
            NetworkEvent::HandshakeRefused {
                peer,
                address,
                refusal,
                ..
            } => tracing::warn!(%peer, %address, "peer refused: {refusal}"),
        }
    }

    /// Consensus is never dropped here: the network's own bounded queues fill up behind this.
    async fn offer_waiting(&self, mut job: Job) {
        while let Err(refused) = self.jobs.offer(Urgency::Consensus, job) {
            job = refused;
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(FULL_PAUSE) => {}
            }
        }
    }

    fn era(&self) -> Arc<EraContext> {
        Arc::clone(&self.era.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends what the core thread lets out, until the node stops.
    pub async fn outbound(self, mut messages: UnboundedReceiver<Message>) -> Result<(), Failure> {
        loop {
            let message = tokio::select! {
                () = self.stopping.cancelled() => return Ok(()),
                message = messages.recv() => message,
            };
            let Some(message) = message else {
                return Ok(());
            };
            let entry = Entry::of_message(Moment::now(self.started), &message);
            let bytes = self.send(message);
            self.recorder.record(entry.bytes(bytes));
        }
    }

    /// Sends a message to whom it concerns; gives the bytes of what is gossiped.
    fn send(&self, message: Message) -> usize {
        match message {
            Message::Vertex(vertex) => {
                return self.publish(Topic::Vertices, codec::encode(vertex.vertex()));
            }
            Message::Statement(statement) => {
                return self.publish(Topic::Attestations, codec::encode(&statement));
            }
            Message::Evidence(evidence) => {
                return self.publish(Topic::Evidence, codec::encode(&evidence));
            }
            Message::HaltProof { proof, repetition } => {
                let gossip = HaltGossip::Proof { proof, repetition };
                return self.publish(Topic::Halt, codec::encode(&gossip));
            }
            Message::HaltStatus(status) => {
                let gossip = HaltGossip::Status(status);
                return self.publish(Topic::Halt, codec::encode(&gossip));
            }
            Message::Governance(message) => {
                return self.publish(Topic::Governance, codec::encode(&message));
            }
            Message::EmergencyBlock(block) => {
                return self.publish(Topic::EmergencyBlocks, codec::encode(block.as_ref()));
            }
            Message::Transactions(transactions) => {
                let batch = TransactionBatch { transactions };
                return self.publish(Topic::Transactions, codec::encode(&batch));
            }
            Message::Lockdown {
                message,
                repetition,
            } => {
                if let Some(tagged) = self.cluster.tag(&self.chain, message, repetition) {
                    return self.publish(Topic::Lockdown, codec::encode(&tagged));
                }
            }
            Message::AskHalts { era, to } => self.ask_halts(&era, to),
            Message::Fetch { era, request } => self.fetch(&era, request),
            Message::Ask { era, request } => self.ask(&era, request),
            Message::AskLastVertices { era, author, to } => {
                self.ask_last_vertices(LastVertexRequest { era, author }, to);
            }
            Message::FetchCertificate { height, turn } => self.fetch_certificate(height, turn),
        }
        0
    }

    fn publish(&self, topic: Topic, data: Vec<u8>) -> usize {
        let bytes = data.len();
        match self.network.publish(topic, Bytes::from(data)) {
            Ok(()) | Err(PublishError::Stopped) => {}
            Err(error) => tracing::warn!(%error, "a message was not published"),
        }
        bytes
    }

    fn fetch(&self, context: &EraContext, request: FetchRequest) {
        let asked = Asked::References(request.references.iter().copied().collect());
        let data = codec::encode(&VerticesRequest {
            era: context.era,
            references: request.references,
        });
        let from = self.member_or_any(context, request.from);
        self.request_vertices(from, RequestProtocol::Vertices, data, asked);
    }

    fn ask(&self, context: &EraContext, request: AskRequest) {
        let wanted = MissingVerticesRequest {
            era: context.era,
            from: request.from,
            held: request.held,
        };
        let data = codec::encode(&wanted);
        let asked = Asked::Missing(wanted);
        let from = self.member_or_any(context, request.to);
        self.request_vertices(from, RequestProtocol::MissingVertices, data, asked);
    }

    /// A member of an era, or somebody else if there is no connection to it.
    fn member_or_any(&self, context: &EraContext, member: AuthorityIndex) -> Option<PeerId> {
        let known = context.committee.member(member);
        known
            .and_then(|known| self.peers.of_key(&known.signing_key))
            .or_else(|| self.any_peer(usize::from(member.0)))
    }

    fn request_vertices(
        &self,
        from: Option<PeerId>,
        protocol: RequestProtocol,
        data: Vec<u8>,
        asked: Asked,
    ) {
        let Some(peer) = from else { return };
        let this = self.clone();
        tokio::spawn(async move {
            let answer = this
                .network
                .request(peer, protocol, Bytes::from(data))
                .await;
            match answer {
                Ok(data) => {
                    this.offer_waiting(Job::FetchedVertices { peer, asked, data })
                        .await;
                }
                // The DAG asks somebody else when it is time.
                Err(error) => tracing::debug!(%peer, %error, "fetching vertices failed"),
            }
        });
    }

    /// Asks a member itself; if there is no connection to it, the replica asks again when it is time.
    fn ask_last_vertices(&self, request: LastVertexRequest, to: AuthorityIndex) {
        let context = self.era();
        let peer = context
            .committee
            .member(to)
            .and_then(|member| self.peers.of_key(&member.signing_key));
        let Some(peer) = peer else { return };
        let this = self.clone();
        tokio::spawn(async move {
            let data = Bytes::from(codec::encode(&request));
            let protocol = RequestProtocol::LastVertices;
            match this.network.request(peer, protocol, data).await {
                Ok(data) => {
                    this.offer_waiting(Job::LastVertices {
                        peer,
                        request,
                        from: to,
                        data,
                    })
                    .await;
                }
                Err(error) => tracing::debug!(%peer, %error, "asking for last vertices failed"),
            }
        });
    }

    /// Asks a member for the halts that it is in.
    fn ask_halts(&self, context: &EraContext, to: AuthorityIndex) {
        let peer = context
            .committee
            .member(to)
            .and_then(|member| self.peers.of_key(&member.signing_key));
        let Some(peer) = peer else { return };
        let this = self.clone();
        tokio::spawn(async move {
            let protocol = RequestProtocol::HaltStatus;
            match this.network.request(peer, protocol, Bytes::new()).await {
                Ok(data) => this.offer_waiting(Job::Halts { peer, data }).await,
                Err(error) => tracing::debug!(%peer, %error, "asking for halts failed"),
            }
        });
    }

    fn any_peer(&self, turn: usize) -> Option<PeerId> {
        let peers = self.peers.all();
        let position = turn.checked_rem(peers.len())?;
        peers.get(position).copied()
    }

    fn fetch_certificate(&self, height: Height, turn: usize) {
        for peer in whose_turn(&self.peers.all(), turn, CERTIFICATE_PEERS) {
            let this = self.clone();
            let data = codec::encode(&CertificateRequest { height });
            tokio::spawn(async move {
                let answer = this
                    .network
                    .request(peer, RequestProtocol::Certificates, Bytes::from(data))
                    .await;
                let Ok(data) = answer else { return };
                let decoded: Result<CertificateResponse, _> =
                    codec::decode("a certificate", &data, CERTIFICATE_BYTES_MAX);
                if let Ok(CertificateResponse {
                    certificate: Some(certificate),
                }) = decoded
                {
                    let certificate = Box::new(certificate);
                    this.offer_waiting(Job::FetchedCertificate { peer, certificate })
                        .await;
                }
            });
        }
    }
}

/// Takes what the core thread wants verified again to the pool. Runs on a thread of its own until the core ends.
pub fn reverify(
    requests: &Receiver<Reverify>,
    jobs: &JobQueue<Job>,
    stopping: &CancellationToken,
) -> Result<(), Failure> {
    while !stopping.is_cancelled() {
        let Ok(request) = requests.recv_timeout(Duration::from_millis(250)) else {
            continue;
        };
        let mut job = Job::Again(request);
        while let Err(refused) = jobs.offer(Urgency::Consensus, job) {
            job = refused;
            if stopping.is_cancelled() {
                return Ok(());
            }
            std::thread::sleep(FULL_PAUSE);
        }
    }
    Ok(())
}
