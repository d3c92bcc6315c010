//! The network edge of a Holdfast node: libp2p over TCP+Noise+Yamux and QUIC.
//!
//! This crate moves bounded, opaque bytes on named gossip [`Topic`]s and [`RequestProtocol`]s, and
//! decides who may connect. It knows nothing of consensus: the node wires it, judges every gossip
//! message ([`NetworkHandle::verdict`]) and answers every request ([`Responder`]).
//!
//! ```text
//!            NetworkHandle                                  NetworkEvents
//!  publish, verdict, request, penalize        lifecycle > consensus > control > sync > transactions
//!          │ bounded orders                               ▲ bounded, fair between peers
//!          ▼                                              │
//!  ┌─ service: one task, owns the swarm ──────────────────┴──────────────────────────────┐
//!  │ gate (bans, slots)   two gossip routers behind guards   requests   identify   ping  │
//!  └─────────────────────────────────────────────────────────────────────────────────────┘
//!          ▲ only connections whose peer passed the handshake
//!  transport: address filter ── encryption ── multiplexing ── handshake ── byte counts
//! ```
//!
//! What holds at every moment:
//!
//! * No byte of gossip or request is read from a peer before its handshake passed: the handshake is
//!   the last step of setting up a connection.
//! * A gossip message is passed on only after the node accepted it, and limits on size and rate apply
//!   before it is remembered as seen, so that a flood cannot hide what others say.
//! * Everything that waits is bounded in number and bytes, per peer and in all.
//! * Every ban ends by itself.
//! * The task never waits for the node, and a panic in it is told by [`NetworkHandle::stopped`].

mod address;
mod behaviour;
mod book;
mod bucket;
mod codec;
mod config;
mod counters;
mod error;
mod event;
mod gate;
mod gossip;
mod handle;
mod handshake;
mod penalty;
mod protocol;
mod queue;
mod service;
mod start;
mod topic;
mod transport;

pub use config::{CONFIGURED_PEERS_MAX, NetworkConfig};
pub use counters::{LinkCounters, NetworkCounters, PeerCounts, RequestCounters, TopicCounters};
pub use error::{NetworkError, PublishError, RequestError, RespondError, StopReason};
pub use event::{
    Direction, DisconnectReason, HandshakeRefusal, MessageId, NetworkEvent, PeerHandshake, Verdict,
};
pub use handle::{NetworkHandle, PeerInfo, Responder};
pub use handshake::{CLAIM_BYTES_MAX, PROTOCOL_VERSION};
pub use libp2p::{Multiaddr, PeerId};
pub use penalty::{POINTS_MAX, PeerClass, Penalty};
pub use protocol::{REQUEST_BYTES_MAX, REQUEST_TIMEOUT, RequestProtocol};
pub use queue::{EventReceiver, NetworkEvents};
pub use start::Network;
pub use topic::{Priority, Topic};
