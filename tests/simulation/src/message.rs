//! What travels between simulated nodes.

use holdfast_types::wire::{
    BlocksRequest, BlocksResponse, CertificateRequest, CertificateResponse, GossipedAttestation,
    LastVertexRequest, LastVertexResponse, MissingVerticesRequest, PeerStatus, VerticesRequest,
    VerticesResponse,
};
use holdfast_types::{Evidence, SignedTransaction, VerifiedVertex, VertexRef, codec};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// Position of a node in its world.
pub type NodeId = usize;

/// A gossiped message.
#[derive(Clone, Debug)]
pub enum Gossip {
    Vertex(Arc<VerifiedVertex>),
    Attestation(Box<GossipedAttestation>),
    Evidence(Box<Evidence>),
    Transactions(Arc<[SignedTransaction]>),
}

/// A gossiped message with the hash of its content, by which it is passed on once only.
#[derive(Debug)]
pub struct Envelope {
    pub id: u64,
    pub gossip: Gossip,
    pub bytes: u64,
    /// By node: the process that gets it and when, as far as that is decided. A copy that comes later has no effect, so it
    /// is not sent.
    earliest: RefCell<Vec<Option<(u32, u64)>>>,
}

impl Envelope {
    #[must_use]
    pub fn new(gossip: Gossip) -> Self {
        let of_bytes = |bytes: Vec<u8>| (hash(&bytes), bytes.len());
        let (id, length) = match &gossip {
            Gossip::Vertex(vertex) => (
                hash(vertex.reference().digest.as_bytes()),
                codec::encoded_len(vertex.vertex()),
            ),
            Gossip::Attestation(attestation) => of_bytes(codec::encode(attestation.as_ref())),
            Gossip::Evidence(evidence) => of_bytes(codec::encode(evidence.as_ref())),
            Gossip::Transactions(transactions) => of_bytes(codec::encode(transactions.as_ref())),
        };
        let bytes = length as u64;
        Self {
            id,
            gossip,
            bytes,
            earliest: RefCell::default(),
        }
    }

    /// True if a copy that arrives at `at_ms` is the first for this process of the node, as far as is decided.
    pub fn is_first(&self, node: NodeId, incarnation: u32, at_ms: u64) -> bool {
        let mut earliest = self.earliest.borrow_mut();
        if earliest.len() <= node {
            earliest.resize(node + 1, None);
        }
        let first =
            earliest[node].is_none_or(|(of, known_ms)| of != incarnation || at_ms < known_ms);
        if first {
            earliest[node] = Some((incarnation, at_ms));
        }
        first
    }

    /// How long the network of a node remembers the message, in ms of its duplicate cache.
    #[must_use]
    pub const fn remembered_ms(&self) -> u64 {
        match self.gossip {
            Gossip::Vertex(_) | Gossip::Attestation(_) | Gossip::Evidence(_) => 60_000,
            Gossip::Transactions(_) => 20_000,
        }
    }
}

/// FNV-1a: not against an adversary, but the same on every machine.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A question to one peer.
#[derive(Clone, Debug)]
pub enum Request {
    Vertices(VerticesRequest),
    Missing(MissingVerticesRequest),
    LastVertices(LastVertexRequest),
    Blocks(BlocksRequest),
    Certificate(CertificateRequest),
    Status,
}

/// Its answer.
#[derive(Clone, Debug)]
pub enum Response {
    Vertices(VerticesResponse),
    LastVertices(LastVertexResponse),
    Blocks(BlocksResponse),
    Certificate(CertificateResponse),
    Status(PeerStatus),
}

/// What an answer with vertices may hold.
#[derive(Clone, Debug)]
pub enum Asked {
    References(BTreeSet<VertexRef>),
    Missing(MissingVerticesRequest),
}

impl Asked {
    #[must_use]
    pub fn covers(&self, reference: &VertexRef) -> bool {
        match self {
            Self::References(references) => references.contains(reference),
            Self::Missing(request) => request.wants(reference.round, reference.author),
        }
    }
}

/// What one link carries.
#[derive(Clone, Debug)]
pub enum Packet {
    Gossip(Rc<Envelope>),
    Request {
        ticket: u64,
        request: Arc<Request>,
    },
    Response {
        ticket: u64,
        response: Arc<Response>,
    },
}
