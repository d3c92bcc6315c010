//! This node and its peers.

use super::{AccountName, Hash, Number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether this node signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SigningState {
    /// It signs.
    Active,
    /// It is not configured to.
    Disabled,
    /// It would, but something forbids it: see the reason.
    Refused,
}

/// Whether this node signs, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SigningStatus {
    /// Whether this node signs.
    pub state: SigningState,
    /// Why it does not; null when it does.
    pub reason: Option<String>,
}

/// What this node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeInfo {
    /// Version of the software.
    pub version: String,
    /// Id of the chain.
    pub chain_id: Hash,
    /// Hash of the genesis document.
    pub genesis_hash: Hash,
    /// Hash of the consensus parameters.
    pub parameters_hash: Hash,
    /// libp2p peer id.
    pub peer_id: String,
    /// Multiaddresses on which the node listens for peers.
    pub listen_addresses: Vec<String>,
    /// Account of the validator whose key the node holds.
    pub validator: Option<AccountName>,
    /// Position of that validator in the running committee.
    pub authority: Option<u16>,
    /// Whether the node takes part in consensus now.
    pub is_validating: bool,
    /// Whether the node signs, and why not.
    pub signing: SigningStatus,
    /// Time since the node started, in seconds.
    pub uptime_seconds: Number,
    /// Start of the node, in milliseconds since 1970-01-01 UTC.
    pub started_at_ms: Number,
    /// Version of the format of the data directory.
    pub data_format_version: u32,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerDirection {
    /// The peer did.
    Inbound,
    /// This node did.
    Outbound,
}

/// What a peer is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerClass {
    /// A member of the running committee, with a reserved slot.
    Committee,
    /// Named in the configuration.
    Configured,
    /// Any other.
    Other,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// libp2p peer id.
    pub peer_id: String,
    /// Multiaddress of the connection.
    pub address: String,
    /// Who opened the connection.
    pub direction: PeerDirection,
    /// Software of the peer, as it says itself.
    pub agent: String,
    /// Validator that the peer has proved to be.
    pub validator: Option<AccountName>,
    /// Round-trip time of the last ping, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Score: 0 is neutral, negative is bad.
    pub score: f64,
    /// What the peer is to this node.
    pub class: PeerClass,
    /// Age of the connection, in seconds.
    pub connected_seconds: Number,
}
