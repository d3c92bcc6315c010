//! What travels between simulated nodes.

use holdfast_types::limits::RESPONSE_BYTES_MAX;
use holdfast_types::lockdown::GossipedLockdown;
use holdfast_types::wire::{
    BlocksRequest, BlocksResponse, CertificateRequest, CertificateResponse, GossipedGovernance,
    GossipedStatement, LastVertexRequest, LastVertexResponse, MissingVerticesRequest, PeerStatus,
    VerticesRequest, VerticesResponse,
};
use holdfast_types::{
    Block, Evidence, HaltGossip, HaltNotice, SignedTransaction, VerifiedVertex, VertexRef, codec,
};
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
    Statement(Box<GossipedStatement>),
    Evidence(Box<Evidence>),
    Halt(Box<HaltGossip>),
    Governance(Box<GossipedGovernance>),
    Transactions(Arc<[SignedTransaction]>),
    EmergencyBlock(Box<Block>),
    Lockdown(Box<GossipedLockdown>),
}

impl Gossip {
    /// As it is on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Vertex(vertex) => codec::encode(vertex.vertex()),
            Self::Statement(statement) => codec::encode(statement.as_ref()),
            Self::Evidence(evidence) => codec::encode(evidence.as_ref()),
            Self::Halt(gossip) => codec::encode(gossip.as_ref()),
            Self::Governance(message) => codec::encode(message.as_ref()),
            // A batch is nothing but the list.
            Self::Transactions(transactions) => codec::encode(transactions.as_ref()),
            Self::EmergencyBlock(block) => codec::encode(block.as_ref()),
            Self::Lockdown(message) => codec::encode(message.as_ref()),
        }
    }
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
        let (id, length) = if let Gossip::Vertex(vertex) = &gossip {
            (
                hash(vertex.reference().digest.as_bytes()),
                codec::encoded_len(vertex.vertex()),
            )
        } else {
            let bytes = gossip.encode();
            (hash(&bytes), bytes.len())
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
            Gossip::Vertex(_)
            | Gossip::Statement(_)
            | Gossip::Evidence(_)
            | Gossip::Halt(_)
            | Gossip::EmergencyBlock(_)
            | Gossip::Lockdown(_)
            | Gossip::Governance(_) => 60_000,
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
    Halts,
    Status,
}

impl Request {
    fn encoded_len(&self) -> usize {
        match self {
            Self::Vertices(request) => codec::encoded_len(request),
            Self::Missing(request) => codec::encoded_len(request),
            Self::LastVertices(request) => codec::encoded_len(request),
            Self::Blocks(request) => codec::encoded_len(request),
            Self::Certificate(request) => codec::encoded_len(request),
            Self::Halts | Self::Status => 0,
        }
    }
}

/// Its answer.
#[derive(Clone, Debug)]
pub enum Response {
    Vertices(VerticesResponse),
    LastVertices(Box<LastVertexResponse>),
    Blocks(BlocksResponse),
    Certificate(CertificateResponse),
    Halts(HaltNotice),
    Status(PeerStatus),
}

impl Response {
    /// As it is on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Vertices(response) => codec::encode(response),
            Self::LastVertices(response) => codec::encode(response.as_ref()),
            Self::Blocks(response) => codec::encode(response),
            Self::Certificate(response) => codec::encode(response),
            Self::Halts(notice) => codec::encode(notice),
            Self::Status(status) => codec::encode(status),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Vertices(response) => codec::encoded_len(response),
            Self::LastVertices(response) => codec::encoded_len(response.as_ref()),
            Self::Blocks(response) => codec::encoded_len(response),
            Self::Certificate(response) => codec::encoded_len(response),
            Self::Halts(notice) => codec::encoded_len(notice),
            Self::Status(status) => codec::encoded_len(status),
        }
    }

    /// What one who waits for an answer of this kind reads in `bytes`, if they are one.
    #[must_use]
    pub fn decode_as_this(&self, bytes: &[u8]) -> Option<Self> {
        const MAX: usize = RESPONSE_BYTES_MAX;
        match self {
            Self::Vertices(_) => codec::decode("vertices", bytes, MAX).map(Self::Vertices),
            Self::LastVertices(_) => codec::decode("last vertices", bytes, MAX)
                .map(|response| Self::LastVertices(Box::new(response))),
            Self::Blocks(_) => codec::decode("blocks", bytes, MAX).map(Self::Blocks),
            Self::Certificate(_) => {
                codec::decode("a certificate", bytes, MAX).map(Self::Certificate)
            }
            Self::Halts(_) => codec::decode("a notice of halts", bytes, MAX).map(Self::Halts),
            Self::Status(_) => codec::decode("a peer status", bytes, MAX).map(Self::Status),
        }
        .ok()
    }
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
    Corrupted(Box<Corrupted>),
}

/// A message that comes other than it was sent.
#[derive(Clone, Debug)]
pub enum Corrupted {
    Gossip {
        bytes: Vec<u8>,
        sent: Rc<Envelope>,
    },
    Response {
        bytes: Vec<u8>,
        ticket: u64,
        sent: Arc<Response>,
    },
}

impl Packet {
    /// The packet with its bytes changed. A question is left alone: garbage would harm nobody but the one who asks.
    #[must_use]
    pub fn corrupted(&self, change: impl FnOnce(&mut [u8])) -> Self {
        let changed = |mut bytes: Vec<u8>| {
            change(&mut bytes);
            bytes
        };
        let corrupted = match self {
            Self::Gossip(sent) => Corrupted::Gossip {
                bytes: changed(sent.gossip.encode()),
                sent: Rc::clone(sent),
            },
            Self::Response { ticket, response } => Corrupted::Response {
                bytes: changed(response.encode()),
                ticket: *ticket,
                sent: Arc::clone(response),
            },
            Self::Request { .. } | Self::Corrupted(_) => return self.clone(),
        };
        Self::Corrupted(Box::new(corrupted))
    }

    /// Length on the wire.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let length = match self {
            Self::Gossip(envelope) => return envelope.bytes,
            Self::Request { request, .. } => request.encoded_len(),
            Self::Response { response, .. } => response.encoded_len(),
            Self::Corrupted(corrupted) => match corrupted.as_ref() {
                Corrupted::Gossip { bytes, .. } | Corrupted::Response { bytes, .. } => bytes.len(),
            },
        };
        length as u64
    }

    /// True for what a busy sender drops first.
    #[must_use]
    pub fn is_transactions(&self) -> bool {
        matches!(self, Self::Gossip(envelope) if matches!(envelope.gossip, Gossip::Transactions(_)))
    }
}
