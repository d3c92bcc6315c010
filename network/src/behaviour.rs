//! The behaviours of a node, composed.

use libp2p::{
    StreamProtocol, identify, identity::Keypair, ping, request_response, swarm::NetworkBehaviour,
};

use std::{sync::Arc, time::Duration};

use crate::{
    codec::FrameCodec,
    config::NetworkConfig,
    counters::Counters,
    gate::{Gate, GateLimits},
    gossip::{
        RouterParts, TopicTable,
        guard::{GuardedRouter, InboundGuard},
        router,
    },
    protocol::{IN_FLIGHT_PER_PEER_MAX, REQUEST_TIMEOUT, RequestProtocol},
    topic::Plane,
};

/// A connection that answers no ping for 20 s is closed.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The gate comes first: what it denies, no other behaviour ever sees.
#[derive(NetworkBehaviour)]
pub(crate) struct NodeBehaviour {
    pub(crate) gate: Gate,
    pub(crate) consensus: GuardedRouter,
    pub(crate) bulk: GuardedRouter,
    pub(crate) requests: request_response::Behaviour<FrameCodec>,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
}

impl NodeBehaviour {
    pub(crate) fn new(
        config: &NetworkConfig,
        keypair: &Keypair,
        topics: &TopicTable,
        counters: &Arc<Counters>,
    ) -> Self {
        let per_ip = config.connections_per_ip_max;
        let gate = Gate::new(
            GateLimits {
                peers_max: config.peers_max,
                committee_slots: config.committee_slots,
                connections_per_ip_max: (!config.allow_private_addresses).then_some(per_ip),
            },
            Arc::clone(counters),
        );
        let guarded = |plane| {
            let guard = InboundGuard::new(topics.clone(), Arc::clone(counters));
            let parts = RouterParts {
                keypair,
                topics,
                guard: guard.clone(),
                queue_messages: config.gossip_queue_messages,
                shared_addresses: config.allow_private_addresses,
            };
            GuardedRouter::new(router(plane, parts), guard)
        };
        let protocol =
            StreamProtocol::try_from_owned(RequestProtocol::stream_protocol(&config.chain_id))
                .expect("the protocol name begins with a slash");
        let requests = request_response::Behaviour::new(
            [(protocol, request_response::ProtocolSupport::Full)],
            request_response::Config::default()
                .with_request_timeout(REQUEST_TIMEOUT)
                .with_max_concurrent_streams(2 * IN_FLIGHT_PER_PEER_MAX),
        );
        let identify = identify::Config::new("/holdfast/1".to_owned(), keypair.public())
            .with_agent_version(config.agent_version.clone())
            .with_push_listen_addr_updates(true)
            .with_cache_size(0)
            // Addresses of private interfaces are nobody's business; what may be told is confirmed
            // as an external address.
            .with_hide_listen_addrs(true);
        let ping = ping::Config::new()
            .with_interval(PING_INTERVAL)
            .with_timeout(PING_TIMEOUT);
        Self {
            gate,
            consensus: guarded(Plane::Consensus),
            bulk: guarded(Plane::Bulk),
            requests,
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
        }
    }

    pub(crate) fn plane(&mut self, plane: Plane) -> &mut GuardedRouter {
        match plane {
            Plane::Consensus => &mut self.consensus,
            Plane::Bulk => &mut self.bulk,
        }
    }
}
