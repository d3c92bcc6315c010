//! How the network is set up.

use libp2p::{Multiaddr, PeerId, identity::Keypair};

use crate::{
    address::{is_dialable, is_plain_transport, split_peer},
    error::NetworkError,
    handshake::{CLAIM_BYTES_MAX, SOFTWARE_BYTES_MAX},
};

/// Peers that may be configured.
pub const CONFIGURED_PEERS_MAX: usize = 1024;

/// Configuration of the network. Build it with [`NetworkConfig::new`] and change what differs.
#[derive(Clone)]
pub struct NetworkConfig {
    /// Hash of the genesis document: peers with another one are refused.
    pub chain_id: [u8; 32],
    /// Hash of the consensus parameters: peers with other ones are refused.
    pub parameters_hash: [u8; 32],
    /// Name and version of this software as told to peers: printable ASCII, at most 64 bytes.
    pub agent_version: String,
    /// Secret seed of the network key (Ed25519). Not the validator key.
    pub identity: [u8; 32],
    /// Claim to be a validator, told in every handshake; at most 1 KiB, empty for none. It can be
    /// replaced with [`crate::NetworkHandle::set_claim`].
    pub claim: Vec<u8>,
    /// Where to listen: `/ip4/…/tcp/…` and `/ip4/…/udp/…/quic-v1` (or `ip6`). Port 0 picks a free one.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which others reach this node, if they differ from those it listens on
    /// (address translation, a load balancer).
    pub external: Vec<Multiaddr>,
    /// Peers to keep connections to, `/…/p2p/<peer id>`; host names are allowed. Dialled for ever.
    pub peers: Vec<Multiaddr>,
    /// Dial and pass on private, loopback and carrier-grade NAT addresses. For devnets and closed
    /// networks; hosting providers cut off servers that dial such addresses.
    pub allow_private_addresses: bool,
    /// Tell peers of other peers and learn from them. Off for a validator behind sentries.
    pub peer_exchange: bool,
    /// Connected peers, all classes together. Configured and committee peers are always admitted.
    pub peers_max: usize,
    /// Of `peers_max`, kept free for committee peers.
    pub committee_slots: usize,
    /// Learned peers are dialled while fewer peers than this are connected.
    pub peers_target: usize,
    /// Connections of peers of class Other from one IP address (IPv6: from one /64). Not applied
    /// when private addresses are allowed, since a devnet shares one address.
    pub connections_per_ip_max: usize,
    /// Gossip messages that may wait for one slow peer, on each of the two planes.
    pub gossip_queue_messages: usize,
}

impl NetworkConfig {
    /// Defaults for a public chain: no listener and no peers yet.
    pub fn new(
        chain_id: [u8; 32],
        parameters_hash: [u8; 32],
        agent_version: impl Into<String>,
        identity: [u8; 32],
    ) -> Self {
        Self {
            chain_id,
            parameters_hash,
            agent_version: agent_version.into(),
            identity,
            claim: Vec::new(),
            listen: Vec::new(),
            external: Vec::new(),
            peers: Vec::new(),
            allow_private_addresses: false,
            peer_exchange: true,
            peers_max: 192,
            committee_slots: 128,
            peers_target: 160,
            connections_per_ip_max: 8,
            gossip_queue_messages: 1024,
        }
    }

    /// The network identity that belongs to the secret.
    pub fn peer_id(&self) -> PeerId {
        self.keypair().public().to_peer_id()
    }

    pub(crate) fn keypair(&self) -> Keypair {
        Keypair::ed25519_from_bytes(self.identity).expect("any 32 bytes are an Ed25519 seed")
    }

    /// Checks everything that can be checked without touching the system.
    pub(crate) fn validate(&self) -> Result<(), NetworkError> {
        let refuse = |field, value: String, rule| Err(NetworkError::Config { field, value, rule });
        let agent = &self.agent_version;
        if agent.is_empty()
            || agent.len() > SOFTWARE_BYTES_MAX
            || !agent.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        {
            return refuse(
                "agent_version",
                agent.clone(),
                "1 to 64 bytes of printable ASCII",
            );
        }
        if self.claim.len() > CLAIM_BYTES_MAX {
            return refuse(
                "claim",
                format!("{} bytes", self.claim.len()),
                "at most 1024 bytes",
            );
        }
        if self.peers_max == 0 || self.peers_max > 4096 {
            return refuse("peers_max", self.peers_max.to_string(), "1 to 4096");
        }
        if self.committee_slots > self.peers_max {
            let value = self.committee_slots.to_string();
            return refuse("committee_slots", value, "at most peers_max");
        }
        if self.peers_target > self.peers_max {
            return refuse(
                "peers_target",
                self.peers_target.to_string(),
                "at most peers_max",
            );
        }
        if self.connections_per_ip_max == 0 {
            return refuse("connections_per_ip_max", "0".to_owned(), "at least 1");
        }
        if !(16..=65_536).contains(&self.gossip_queue_messages) {
            let value = self.gossip_queue_messages.to_string();
            return refuse("gossip_queue_messages", value, "16 to 65536");
        }
        for address in &self.listen {
            if !is_listen_address(address) {
                let rule = "an IP address with /tcp/<port> or /udp/<port>/quic-v1";
                return refuse("listen", address.to_string(), rule);
            }
        }
        self.configured_peers().map(|_| ())
    }

    /// The configured peers, apart from this node itself: a devnet gives all nodes the same list.
    pub(crate) fn configured_peers(&self) -> Result<Vec<(PeerId, Multiaddr)>, NetworkError> {
        let refuse = |address: &Multiaddr, rule| {
            Err(NetworkError::Config {
                field: "peers",
                value: address.to_string(),
                rule,
            })
        };
        if self.peers.len() > CONFIGURED_PEERS_MAX {
            let value = format!("{} peers", self.peers.len());
            return Err(NetworkError::Config {
                field: "peers",
                value,
                rule: "at most 1024",
            });
        }
        let own = self.peer_id();
        let mut peers = Vec::with_capacity(self.peers.len());
        for address in &self.peers {
            let Some((peer, plain)) = split_peer(address) else {
                return refuse(address, "must end in /p2p/<peer id>");
            };
            if !is_plain_transport(&plain) && !is_named_transport(&plain) {
                let rule = "an IP address or host name with /tcp/<port> or /udp/<port>/quic-v1";
                return refuse(address, rule);
            }
            if !is_dialable(&plain, self.allow_private_addresses) {
                let rule = "is a private address, which is not dialled on a public chain; set \
                            allow_private_addresses = true if it is meant";
                return refuse(address, rule);
            }
            if peer != own {
                peers.push((peer, plain));
            }
        }
        Ok(peers)
    }

    /// Whether a peer is named by host name.
    pub(crate) fn needs_resolver(&self) -> bool {
        self.peers
            .iter()
            .filter_map(split_peer)
            .any(|(_, address)| is_named_transport(&address))
    }
}

impl std::fmt::Debug for NetworkConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret stays out of logs.
        formatter
            .debug_struct("NetworkConfig")
            .field("chain_id", &hex::encode(self.chain_id))
            .field("peer_id", &self.peer_id())
            .field("listen", &self.listen)
            .field("external", &self.external)
            .field("peers", &self.peers)
            .field("allow_private_addresses", &self.allow_private_addresses)
            .field("peers_max", &self.peers_max)
            .finish_non_exhaustive()
    }
}

fn is_listen_address(address: &Multiaddr) -> bool {
    use libp2p::multiaddr::Protocol;
    let with_port: Multiaddr = address
        .iter()
        .map(|part| match part {
            Protocol::Tcp(0) => Protocol::Tcp(1),
            Protocol::Udp(0) => Protocol::Udp(1),
            other => other,
        })
        .collect();
    is_plain_transport(&with_port)
}

fn is_named_transport(address: &Multiaddr) -> bool {
    use libp2p::multiaddr::Protocol;
    let mut parts = address.iter();
    if !matches!(
        parts.next(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    ) {
        return false;
    }
    let as_ip: Multiaddr = std::iter::once(Protocol::Ip4(std::net::Ipv4Addr::new(1, 1, 1, 1)))
        .chain(parts)
        .collect();
    is_plain_transport(&as_ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> NetworkConfig {
        NetworkConfig::new([1; 32], [2; 32], "holdfast/0.1.0", [3; 32])
    }

    fn with_peer(address: String) -> NetworkConfig {
        NetworkConfig {
            peers: vec![address.parse().unwrap()],
            ..config()
        }
    }

    #[test]
    fn defaults_are_valid() {
        config().validate().unwrap();
    }

    #[test]
    fn a_refused_value_is_named_with_its_rule() {
        let peer = PeerId::random();
        let cases = [
            (
                NetworkConfig {
                    agent_version: "a\nb".into(),
                    ..config()
                },
                "agent_version",
            ),
            (
                NetworkConfig {
                    claim: vec![0; 1025],
                    ..config()
                },
                "claim",
            ),
            (
                NetworkConfig {
                    peers_max: 0,
                    ..config()
                },
                "peers_max",
            ),
            (
                NetworkConfig {
                    committee_slots: 1000,
                    ..config()
                },
                "committee_slots",
            ),
            (
                NetworkConfig {
                    peers_target: 1000,
                    ..config()
                },
                "peers_target",
            ),
            (
                NetworkConfig {
                    gossip_queue_messages: 1,
                    ..config()
                },
                "gossip_queue_messages",
            ),
            (
                NetworkConfig {
                    listen: vec!["/ip4/1.2.3.4".parse().unwrap()],
                    ..config()
                },
                "listen",
            ),
            (with_peer("/ip4/1.2.3.4/tcp/5".into()), "must end in /p2p/"),
            (
                with_peer(format!("/ip4/10.0.0.1/tcp/5/p2p/{peer}")),
                "allow_private_addresses",
            ),
            (
                with_peer(format!("/ip4/1.2.3.4/tcp/5/ws/p2p/{peer}")),
                "host name",
            ),
        ];
        for (config, expected) in cases {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(expected), "{error} names {expected}");
        }
    }

    #[test]
    fn host_names_and_own_address_among_peers() {
        let own = config().peer_id();
        let other = PeerId::random();
        let mut config = with_peer(format!("/dns4/example.org/udp/5/quic-v1/p2p/{other}"));
        config
            .peers
            .push(format!("/ip4/1.2.3.4/tcp/5/p2p/{own}").parse().unwrap());
        assert!(config.needs_resolver());
        let peers = config.configured_peers().unwrap();
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0].0, other);
    }

    #[test]
    fn the_secret_is_not_printed() {
        let config = NetworkConfig {
            identity: [0xee; 32],
            ..config()
        };
        let text = format!("{config:?}");
        assert!(!text.contains("238") && !text.contains("eeee"), "{text}");
    }
}
