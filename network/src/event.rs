//! What the network tells the node.

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};

use crate::{
    handle::Responder,
    penalty::Penalty,
    protocol::RequestProtocol,
    topic::{Priority, Topic},
};

/// Identity of a gossip message: BLAKE3 over its topic and payload. Equal on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId {
    pub(crate) topic: Topic,
    pub(crate) hash: [u8; 32],
}

/// Something that happened on the network.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A gossip message, once per message. It is passed on to other peers only after
    /// [`crate::NetworkHandle::verdict`] says [`Verdict::Accept`], within about 3 s.
    Gossip {
        /// Who sent it to us. Not necessarily who wrote it.
        peer: PeerId,
        /// Topic.
        topic: Topic,
        /// To name it in the verdict.
        message_id: MessageId,
        /// Payload, at most [`Topic::message_bytes_max`] bytes.
        data: Bytes,
    },
    /// A peer asks. Dropping the responder tells the peer that there is no answer.
    Request {
        /// Who asks.
        peer: PeerId,
        /// What kind of thing.
        protocol: RequestProtocol,
        /// Payload, at most [`RequestProtocol::request_bytes_max`] bytes.
        data: Bytes,
        /// To answer with.
        responder: Responder,
    },
    /// A peer passed the handshake and takes our gossip: from now on what is published reaches it.
    /// (A peer that does not take the vertices within 5 s is announced all the same.)
    PeerConnected {
        /// The peer.
        peer: PeerId,
        /// What it said of itself.
        info: Box<PeerHandshake>,
    },
    /// The last connection to a peer is gone. Follows a `PeerConnected` of the same peer.
    PeerDisconnected {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: DisconnectReason,
    },
    /// A connection was refused in the handshake. It never counted as connected.
    HandshakeRefused {
        /// The peer's network identity (proved).
        peer: PeerId,
        /// Its address.
        address: Multiaddr,
        /// Who dialled.
        direction: Direction,
        /// Why, with both sides' values. Its `Display` says what to do.
        refusal: HandshakeRefusal,
    },
}

/// What a peer said in its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerHandshake {
    /// Version of the network protocol.
    pub protocol_version: u32,
    /// Software name and version, at most 64 bytes, printable ASCII. Not verified.
    pub software_version: String,
    /// The peer's claim to be a validator, at most 1 KiB: for the node to verify. Empty if none.
    pub claim: Bytes,
    /// Remote address of the connection.
    pub address: Multiaddr,
    /// Who dialled.
    pub direction: Direction,
}

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// We did.
    Outbound,
}

/// The node's judgement of a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Valid: pass it on.
    Accept,
    /// Not to be passed on, and nobody's fault. A peer is penalised only when more of its control
    /// messages are ignored than an honest peer can pass on.
    Ignore,
    /// Invalid by its sender's fault: not passed on, the sender is penalised.
    Reject,
}

/// Why a peer is no longer connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The peer closed the connection or it broke.
    Lost,
    /// The peer did not answer pings.
    PingTimeout,
    /// The peer opened a new connection as if the old one did not exist: the old one is dead, and
    /// everything starts afresh.
    Stale,
    /// It was banned for a while; the penalty that was one too many.
    Banned(Penalty),
    /// It made room for others.
    Evicted,
    /// This node stops.
    Shutdown,
}

/// Why a handshake was refused: their value against ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeRefusal {
    /// The peer is on another chain.
    #[error(
        "the peer is on another chain: our chain id is {ours}, theirs is {theirs}; compare the \
         genesis files of both nodes, or remove the peer from the configured peers"
    )]
    ChainId {
        /// Our chain id, hex.
        ours: String,
        /// Their chain id, hex.
        theirs: String,
    },
    /// The peer has other parameters for the same chain.
    #[error(
        "the peer runs this chain with other parameters: the hash of ours is {ours}, of theirs \
         {theirs}; compare the genesis files of both nodes and use the one that was published"
    )]
    Parameters {
        /// Hash of our parameters, hex.
        ours: String,
        /// Hash of their parameters, hex.
        theirs: String,
    },
    /// The peer speaks another version of the network protocol.
    #[error(
        "the peer speaks version {theirs} of the network protocol, we speak {ours} (its software: \
         {software}); upgrade the older node"
    )]
    ProtocolVersion {
        /// Our version.
        ours: u32,
        /// Their version.
        theirs: u32,
        /// Their software.
        software: String,
    },
    /// The bytes were no handshake, or not in time.
    #[error("the peer did not complete the handshake: {reason}; it may be no Holdfast node")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

impl MessageId {
    /// The topic of the message.
    pub const fn topic(&self) -> Topic {
        self.topic
    }

    /// The hash.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl NetworkEvent {
    /// The class in which the event is delivered.
    pub const fn priority(&self) -> Priority {
        match self {
            Self::Gossip { topic, .. } => topic.priority(),
            Self::Request { .. } => Priority::Sync,
            Self::PeerConnected { .. }
            | Self::PeerDisconnected { .. }
            | Self::HandshakeRefused { .. } => Priority::Lifecycle,
        }
    }

    pub(crate) const fn peer(&self) -> &PeerId {
        match self {
            Self::Gossip { peer, .. }
            | Self::Request { peer, .. }
            | Self::PeerConnected { peer, .. }
            | Self::PeerDisconnected { peer, .. }
            | Self::HandshakeRefused { peer, .. } => peer,
        }
    }

    /// Bytes that the event keeps waiting, apart from its own size.
    pub(crate) const fn bytes(&self) -> usize {
        match self {
            Self::Gossip { data, .. } | Self::Request { data, .. } => data.len(),
            Self::PeerConnected { .. }
            | Self::PeerDisconnected { .. }
            | Self::HandshakeRefused { .. } => 0,
        }
    }
}

impl Direction {
    /// Stable name for logs and RPC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl HandshakeRefusal {
    /// Stable names for metric labels, in the order of the indices in [`crate::NetworkCounters`].
    pub const NAMES: [&'static str; 4] =
        ["chain_id", "parameters", "protocol_version", "malformed"];

    /// Stable name for logs and metric labels.
    pub const fn name(&self) -> &'static str {
        Self::NAMES[self.index()]
    }

    pub(crate) const fn index(&self) -> usize {
        match self {
            Self::ChainId { .. } => 0,
            Self::Parameters { .. } => 1,
            Self::ProtocolVersion { .. } => 2,
            Self::Malformed { .. } => 3,
        }
    }
}

impl DisconnectReason {
    /// Stable name for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::PingTimeout => "ping_timeout",
            Self::Stale => "stale",
            Self::Banned(_) => "banned",
            Self::Evicted => "evicted",
            Self::Shutdown => "shutdown",
        }
    }
}
