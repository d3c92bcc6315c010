//! Errors, split by what the caller must do.

use libp2p::{Multiaddr, PeerId};

use crate::{protocol::RequestProtocol, topic::Topic};

/// The network could not start. All of these want the operator; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Another process listens there.
    #[error(
        "cannot listen on {address}: the port is in use by another process; stop that process or \
         choose another port"
    )]
    AddressInUse {
        /// The configured listen address.
        address: Multiaddr,
    },
    /// The system does not let us listen there.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The configured listen address.
        address: Multiaddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration contradicts itself.
    #[error("network configuration: `{field}` = `{value}`: {rule}")]
    Config {
        /// The field of [`crate::NetworkConfig`].
        field: &'static str,
        /// Its value.
        value: String,
        /// The rule it breaks and what to do.
        rule: &'static str,
    },
    /// A peer is named by a host name and the system's resolver cannot be used.
    #[error(
        "cannot resolve host names of peers: {source}; name peers by IP or repair the resolver"
    )]
    Resolver {
        /// What the system said.
        source: std::io::Error,
    },
}

/// A message was not taken for publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The caller broke the limit of the topic.
    #[error("a message of {bytes} bytes is larger than the {bytes_max} that topic {topic} allows")]
    TooLarge {
        /// The topic.
        topic: Topic,
        /// Size of the message.
        bytes: usize,
        /// Limit of the topic.
        bytes_max: usize,
    },
    /// Too much waits to be sent. Try later or drop it.
    #[error("the queue of outgoing messages is full; topic {topic}")]
    QueueFull {
        /// The topic.
        topic: Topic,
    },
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// A request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The caller broke the limit of the protocol.
    #[error("a request of {bytes} bytes is larger than the {bytes_max} that {protocol} allows")]
    TooLarge {
        /// The protocol.
        protocol: RequestProtocol,
        /// Size of the request.
        bytes: usize,
        /// Limit of the protocol.
        bytes_max: usize,
    },
    /// Ask another peer.
    #[error("peer {peer} is not connected")]
    NotConnected {
        /// The peer.
        peer: PeerId,
    },
    /// Too many requests in flight here; ask later or ask another peer.
    #[error("too many requests are in flight")]
    TooManyInFlight,
    /// The peer wants fewer requests; ask it later.
    #[error("peer {peer} is busy")]
    Busy {
        /// The peer.
        peer: PeerId,
    },
    /// The peer cannot answer this request; ask another peer.
    #[error("peer {peer} has no answer to {protocol}")]
    Unavailable {
        /// The peer.
        peer: PeerId,
        /// The protocol.
        protocol: RequestProtocol,
    },
    /// The peer does not know this kind of request; do not ask it again.
    #[error("peer {peer} does not support {protocol}")]
    Unsupported {
        /// The peer.
        peer: PeerId,
        /// The protocol.
        protocol: RequestProtocol,
    },
    /// No answer in time; ask another peer.
    #[error("peer {peer} did not answer {protocol} in time")]
    TimedOut {
        /// The peer.
        peer: PeerId,
        /// The protocol.
        protocol: RequestProtocol,
    },
    /// The connection was lost; ask another peer.
    #[error("the connection to peer {peer} was lost")]
    Disconnected {
        /// The peer.
        peer: PeerId,
    },
    /// The answer broke the protocol. The peer has been penalised; ask another peer.
    #[error("peer {peer} answered {protocol} with bytes that break the protocol: {reason}")]
    InvalidAnswer {
        /// The peer.
        peer: PeerId,
        /// The protocol.
        protocol: RequestProtocol,
        /// What is wrong.
        reason: String,
    },
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// An answer could not be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// The caller broke the limit of the protocol; the peer is told that there is no answer.
    #[error("an answer of {bytes} bytes is larger than the {bytes_max} that {protocol} allows")]
    TooLarge {
        /// The protocol.
        protocol: RequestProtocol,
        /// Size of the answer.
        bytes: usize,
        /// Limit of the protocol.
        bytes_max: usize,
    },
    /// Too much waits to be sent; the peer sees no answer.
    #[error("the queue of outgoing answers is full")]
    QueueFull,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// Why the network no longer runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It was asked to, or nobody holds a handle to it any more.
    #[error("shut down")]
    Shutdown,
    /// A bug: the node must stop too.
    #[error("the network task panicked: {0}")]
    Panicked(String),
}
