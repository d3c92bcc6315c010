//! The gossip routers: one for consensus and control traffic, one for transactions.
//!
//! Vertices go straight from their author to every connected peer (flood publish), so that a full
//! committee needs one hop and the mesh only serves peers that are not connected to the author. It is
//! thin for that reason: four links reach a committee of 128 in four hops, and each further link
//! costs everybody another copy. IDONTWANT, sent before a message is judged, keeps most copies away;
//! it is cheaper than checking the signature of a copy even for small messages. Transactions are
//! gossiped along the mesh alone: there, bandwidth counts more than a hop.

pub(crate) mod guard;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::{
    gossipsub::{
        self, MaxCountSubscriptionFilter, MessageAuthenticity, PeerScoreParams,
        PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode,
        WhitelistSubscriptionFilter,
    },
    identity::Keypair,
};

use crate::{
    event::MessageId,
    gossip::guard::InboundGuard,
    topic::{GOSSIP_BYTES_MAX, Plane, Topic},
};

/// Below this gossip score a peer is ignored by the router, and we disconnect and ban it.
pub(crate) const GRAYLIST_SCORE: f64 = -80.0;

/// Room for the envelope of a message: author, sequence number, topic, signature.
const ENVELOPE_BYTES_MAX: usize = 512;

/// The library compares the limit with everything it has buffered of a stream, which may already
/// include the beginning of the next message.
const BUFFER_SLACK_BYTES: usize = 64 * 1024;

/// Heartbeats that a message is kept for the verdict and for peers that ask for it. Memory is this
/// many seconds of traffic.
const HISTORY_HEARTBEATS: usize = 3;

/// Protocol prefix of the plane for transactions; the consensus plane uses the standard names, which
/// is what makes the library offer the newer versions of the protocol with IDONTWANT.
const BULK_PREFIX: &str = "/holdfast/bulk";

pub(crate) type Subscriptions = MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>;
pub(crate) type Router = gossipsub::Behaviour<InboundGuard, Subscriptions>;

/// The topics of one chain by their name on the wire.
#[derive(Debug, Clone)]
pub(crate) struct TopicTable {
    hashes: [TopicHash; Topic::ALL.len()],
    topics: HashMap<TopicHash, Topic>,
}

impl TopicTable {
    pub(crate) fn new(chain_id: &[u8; 32]) -> Self {
        let hashes = Topic::ALL.map(|topic| TopicHash::from_raw(topic.path(chain_id)));
        let topics = hashes.iter().cloned().zip(Topic::ALL).collect();
        Self { hashes, topics }
    }

    pub(crate) fn hash(&self, topic: Topic) -> &TopicHash {
        &self.hashes[topic.index()]
    }

    pub(crate) fn topic(&self, hash: &TopicHash) -> Option<Topic> {
        self.topics.get(hash).copied()
    }
}

/// The identity of a message: BLAKE3 over topic and payload, whoever signed the envelope. Two
/// envelopes of one payload are one message, so re-signing does not multiply it.
pub(crate) fn message_hash(topic: &TopicHash, data: &[u8]) -> [u8; 32] {
    let name = topic.as_str().as_bytes();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name);
    hasher.update(data);
    *hasher.finalize().as_bytes()
}

impl MessageId {
    pub(crate) fn from_router(topic: Topic, id: &gossipsub::MessageId) -> Option<Self> {
        Some(Self {
            topic,
            hash: id.0.as_slice().try_into().ok()?,
        })
    }

    pub(crate) fn to_router(self) -> gossipsub::MessageId {
        gossipsub::MessageId::new(&self.hash)
    }
}

/// What a router is built from.
#[derive(Debug)]
pub(crate) struct RouterParts<'a> {
    pub(crate) keypair: &'a Keypair,
    pub(crate) topics: &'a TopicTable,
    pub(crate) guard: InboundGuard,
    pub(crate) queue_messages: usize,
    /// Many peers may share an address: do not score by it.
    pub(crate) shared_addresses: bool,
}

/// Builds the router of a plane, subscribed to its topics.
pub(crate) fn router(plane: Plane, parts: RouterParts<'_>) -> Router {
    let topics: Vec<Topic> = Topic::ALL
        .into_iter()
        .filter(|topic| topic.plane() == plane)
        .collect();
    let hashes: HashSet<TopicHash> = topics
        .iter()
        .map(|topic| parts.topics.hash(*topic).clone())
        .collect();
    let filter = MaxCountSubscriptionFilter {
        max_subscribed_topics: hashes.len(),
        max_subscriptions_per_request: 2 * hashes.len(),
        filter: WhitelistSubscriptionFilter(hashes),
    };
    let mut router = gossipsub::Behaviour::new_with_subscription_filter_and_transform(
        MessageAuthenticity::Signed(parts.keypair.clone()),
        router_config(plane, &topics, &parts),
        filter,
        parts.guard,
    )
    .expect("signed messages and strict validation go together");
    // The score keeps a record of every message for two minutes, which at ten thousand
    // transactions/s would be hundreds of megabytes. On the bulk plane the ledger of penalties alone
    // judges peers: verdicts, rate limits and floods all end there.
    if plane == Plane::Consensus {
        router
            .with_peer_score(
                score_params(&topics, parts.topics, parts.shared_addresses),
                thresholds(),
            )
            .expect("the score parameters are constants that satisfy the library's rules");
    }
    for topic in &topics {
        router
            .subscribe(&gossipsub::IdentTopic::new(
                parts.topics.hash(*topic).as_str(),
            ))
            .expect("the filter allows the plane's own topics");
    }
    router
}

fn router_config(plane: Plane, topics: &[Topic], parts: &RouterParts<'_>) -> gossipsub::Config {
    let largest = topics.iter().map(|topic| topic.message_bytes_max()).max();
    let largest = largest.unwrap_or(GOSSIP_BYTES_MAX);
    let mut builder = gossipsub::ConfigBuilder::default();
    builder
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(|message: &gossipsub::Message| {
            gossipsub::MessageId::new(&message_hash(&message.topic, &message.data))
        })
        // A message signed by our own key that comes from elsewhere is the sign of a second node
        // with our keys; the node must see it to stop signing.
        .allow_self_origin(true)
        .max_transmit_size(largest + ENVELOPE_BYTES_MAX + BUFFER_SLACK_BYTES)
        .max_publish_messages(64)
        .max_control_messages_sent(2_000)
        .max_control_message_size(96 * 1024)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(Duration::from_secs(1))
        .history_length(HISTORY_HEARTBEATS)
        .history_gossip(HISTORY_HEARTBEATS - 1)
        .connection_handler_queue_len(parts.queue_messages)
        .publish_queue_duration(Duration::from_secs(5))
        .forward_queue_duration(Duration::from_secs(2));
    for topic in topics {
        let bytes_max = topic.message_bytes_max() + ENVELOPE_BYTES_MAX;
        builder.max_transmit_size_for_topic(bytes_max, parts.topics.hash(*topic).clone());
    }
    match plane {
        Plane::Consensus => {
            builder
                .flood_publish(true)
                .mesh_outbound_min(1)
                .mesh_n_low(3)
                .mesh_n(4)
                .mesh_n_high(8)
                .duplicate_cache_time(Duration::from_secs(60))
                .idontwant_message_size_threshold(256);
        }
        Plane::Bulk => {
            builder
                .protocol_id_prefix(BULK_PREFIX)
                .flood_publish(false)
                .mesh_outbound_min(2)
                .mesh_n_low(5)
                .mesh_n(6)
                .mesh_n_high(10)
                .duplicate_cache_time(Duration::from_secs(20));
        }
    }
    builder
        .build()
        .expect("the gossip parameters are constants that satisfy the library's rules")
}

/// A peer's score decides who is in the mesh and whom we gossip with; bans are the ledger's affair.
///
/// Good: up to 6 points for ten minutes in a mesh and up to 5 for being first, so that proven
/// peers are preferred; capped at 20, so that no reputation buys a flood. Bad: rejected and refused
/// messages count squared (P4: 5 within a minute are 25 points, 9 are graylisted), penalty points
/// count half (P5), and so do protocol offences beyond an allowance of 6 (P7: re-grafting during
/// back-off, promises of messages that never come).
///
/// Not scored: missing deliveries in the mesh (P3), since under flood publish an honest mesh peer is
/// rarely first; and slow peers, since ignoring what a slow validator says helps nobody.
fn score_params(topics: &[Topic], table: &TopicTable, shared_addresses: bool) -> PeerScoreParams {
    let minute = Duration::from_secs(60);
    let topic_params = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 600.0,
        first_message_deliveries_weight: 0.05,
        first_message_deliveries_decay: gossipsub::score_parameter_decay(minute),
        first_message_deliveries_cap: 100.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(minute),
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: topics
            .iter()
            .map(|topic| (table.hash(*topic).clone(), topic_params.clone()))
            .collect(),
        topic_score_cap: 20.0,
        app_specific_weight: 0.5,
        ip_colocation_factor_weight: if shared_addresses { 0.0 } else { -5.0 },
        ip_colocation_factor_threshold: 10.0,
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: gossipsub::score_parameter_decay(minute),
        slow_peer_weight: 0.0,
        decay_to_zero: 0.01,
        // The library does not decay the score of a peer that is gone. Kept longer than the
        // shortest ban it would ban the peer again when it returns, and so for ever.
        retain_score: Duration::from_secs(5),
        ..PeerScoreParams::default()
    }
}

/// In score points. With the weights above, four rejected messages (100 penalty points, a ban) come
/// to -66: a peer still gets our vertices until it is banned.
fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -30.0,
        publish_threshold: -70.0,
        graylist_threshold: GRAYLIST_SCORE,
        accept_px_threshold: 0.0,
        opportunistic_graft_threshold: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;

    #[test]
    fn both_routers_can_be_built_and_take_their_topics() {
        let keypair = Keypair::generate_ed25519();
        let topics = TopicTable::new(&[1; 32]);
        for plane in [Plane::Consensus, Plane::Bulk] {
            let guard = InboundGuard::new(topics.clone(), std::sync::Arc::new(Counters::default()));
            let router = router(
                plane,
                RouterParts {
                    keypair: &keypair,
                    topics: &topics,
                    guard,
                    queue_messages: 64,
                    shared_addresses: false,
                },
            );
            let taken: HashSet<_> = router
                .topics()
                .filter_map(|hash| topics.topic(hash))
                .collect();
            let expected: HashSet<_> = Topic::ALL
                .into_iter()
                .filter(|topic| topic.plane() == plane)
                .collect();
            assert_eq!(taken, expected);
        }
    }

    #[test]
    fn the_message_id_separates_topics_and_payloads() {
        let topics = TopicTable::new(&[1; 32]);
        let hash = |topic, data: &[u8]| message_hash(topics.hash(topic), data);
        assert_eq!(hash(Topic::Halt, b"a"), hash(Topic::Halt, b"a"));
        assert_ne!(hash(Topic::Halt, b"a"), hash(Topic::Halt, b"b"));
        assert_ne!(hash(Topic::Halt, b"a"), hash(Topic::Evidence, b"a"));
        let (short, long) = (TopicHash::from_raw("x"), TopicHash::from_raw("xy"));
        assert_ne!(message_hash(&short, b"yz"), message_hash(&long, b"z"));
    }
}
