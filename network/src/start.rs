//! Starting the network, and what becomes of it when its task ends.

use std::{
    any::Any,
    collections::HashSet,
    future::Future,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    panic::AssertUnwindSafe,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use libp2p::{
    Multiaddr, Swarm,
    multiaddr::Protocol,
    swarm::{self, SwarmEvent},
};
use tokio::sync::{mpsc, watch};

use crate::{
    address::ip_of,
    behaviour::{NodeBehaviour, NodeBehaviourEvent},
    book::AddressBook,
    config::NetworkConfig,
    counters::Counters,
    error::{NetworkError, StopReason},
    gossip::TopicTable,
    handle::{NetworkHandle, ORDERS_MAX, OrderSenders, Shared, URGENT_ORDERS_MAX, VERDICTS_MAX},
    handshake::{HandshakeContext, RefusedHandshake},
    penalty::PeerClass,
    queue::{NetworkEvents, event_queues},
    service::{OrderReceivers, Service, ServiceParts, ServiceSettings},
    transport,
};

/// A listener that has no address after this long does not work.
const LISTEN_WAIT: Duration = Duration::from_secs(5);

/// Refused handshakes that may wait to be reported.
const REFUSED_MAX: usize = 256;

/// Substreams of one connection that a peer may be negotiating at once.
const NEGOTIATING_MAX: usize = 64;

/// Connections stay open although nothing happens on them.
const IDLE_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The network.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Starts the network on the current tokio runtime and returns once it listens everywhere.
    pub async fn start(
        config: NetworkConfig,
    ) -> Result<(NetworkHandle, NetworkEvents), NetworkError> {
        config.validate()?;
        let keypair = config.keypair();
        let local_peer_id = keypair.public().to_peer_id();
        let configured = config.configured_peers()?;
        for address in &config.listen {
            probe(address)?;
        }

        let counters = Arc::new(Counters::default());
        let (refused_sender, refused) = mpsc::channel(REFUSED_MAX);
        let handshakes = Arc::new(HandshakeContext::new(
            config.chain_id,
            config.parameters_hash,
            config.agent_version.clone(),
            config.claim.clone(),
            refused_sender,
        ));
        let topics = TopicTable::new(&config.chain_id);
        let transport = transport::build(
            &keypair,
            config.allow_private_addresses,
            config.needs_resolver(),
            &handshakes,
            &counters,
        )?;
        let mut behaviour = NodeBehaviour::new(&config, &keypair, &topics, &counters);
        for (peer, _) in &configured {
            behaviour.gate.set_class(*peer, PeerClass::Known);
        }
        let swarm_config = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(IDLE_MAX)
            .with_max_negotiating_inbound_streams(NEGOTIATING_MAX);
        let mut swarm = Swarm::new(transport, behaviour, local_peer_id, swarm_config);
        let Listening { addresses, early } = listen(&mut swarm, &config.listen).await?;

        let book = AddressBook::new(
            local_peer_id,
            config.allow_private_addresses,
            configured,
            Instant::now(),
        );
        let listen_addresses = RwLock::new(addresses);
        let shared = Arc::new(Shared {
            local_peer_id,
            counters,
            handshakes,
            listen_addresses,
        });
        let settings = ServiceSettings {
            peers_target: config.peers_target,
            peer_exchange: config.peer_exchange,
            allow_private: config.allow_private_addresses,
            external: config.external,
        };
        Ok(launch(Launch {
            swarm,
            settings,
            topics,
            shared,
            book,
            early,
            refused,
        }))
    }
}

/// What a service is launched with.
struct Launch {
    swarm: Swarm<NodeBehaviour>,
    settings: ServiceSettings,
    topics: TopicTable,
    shared: Arc<Shared>,
    book: AddressBook,
    early: Vec<SwarmEvent<NodeBehaviourEvent>>,
    refused: mpsc::Receiver<RefusedHandshake>,
}

/// Connects the queues and sets the task going.
fn launch(parts: Launch) -> (NetworkHandle, NetworkEvents) {
    let Launch {
        swarm,
        settings,
        topics,
        shared,
        book,
        early,
        refused,
    } = parts;
    let (urgent_sender, urgent) = mpsc::channel(URGENT_ORDERS_MAX);
    let (verdicts_sender, verdicts) = mpsc::channel(VERDICTS_MAX);
    let (orders_sender, orders) = mpsc::channel(ORDERS_MAX);
    let (stop_sender, stop) = watch::channel(false);
    let (stopped_sender, stopped) = watch::channel(None);
    let (event_sender, events) = event_queues();
    let receivers = OrderReceivers {
        urgent,
        verdicts,
        orders,
        refused,
        stop,
        orders_sender: orders_sender.downgrade(),
    };
    let service = Service::new(ServiceParts {
        swarm,
        settings,
        topics,
        shared: Arc::clone(&shared),
        events: event_sender,
        receivers,
        book,
        early,
    });
    tokio::spawn(supervise(service.run(), stopped_sender));
    let senders = OrderSenders {
        urgent: urgent_sender,
        verdicts: verdicts_sender,
        orders: orders_sender,
    };
    (
        NetworkHandle {
            senders,
            shared,
            stop: stop_sender,
            stopped,
        },
        events,
    )
}

/// Runs the task and tells everybody how it ended. A panic must not look like silence.
async fn supervise(task: impl Future<Output = ()>, stopped: watch::Sender<Option<StopReason>>) {
    let reason = match AssertUnwindSafe(task).catch_unwind().await {
        Ok(()) => StopReason::Shutdown,
        Err(panic) => StopReason::Panicked(panic_message(&*panic)),
    };
    match &reason {
        StopReason::Shutdown => tracing::info!("the network has stopped"),
        StopReason::Panicked(_) => tracing::error!(%reason, "the network has stopped"),
    }
    stopped.send_replace(Some(reason));
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Finds out whether a port is taken. The transport would not: it lets several sockets listen on one
/// port, and two nodes of one operator would share it, each with half of the peers.
fn probe(address: &Multiaddr) -> Result<(), NetworkError> {
    let ip = match ip_of(address) {
        // A wildcard IPv6 socket of the standard library would claim the IPv4 port as well.
        Some(IpAddr::V6(ip)) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        Some(ip) => ip,
        None => return Ok(()),
    };
    let attempt = match address.iter().nth(1) {
        Some(Protocol::Tcp(port)) if port != 0 => {
            TcpListener::bind(SocketAddr::new(ip, port)).map(drop)
        }
        Some(Protocol::Udp(port)) if port != 0 => {
            UdpSocket::bind(SocketAddr::new(ip, port)).map(drop)
        }
        _ => return Ok(()),
    };
    match attempt {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(NetworkError::AddressInUse {
            address: address.clone(),
        }),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(NetworkError::Listen {
                address: address.clone(),
                source,
            })
        }
        // Whatever else is wrong, listening itself will say.
        _ => Ok(()),
    }
}

struct Listening {
    addresses: Vec<Multiaddr>,
    early: Vec<SwarmEvent<NodeBehaviourEvent>>,
}

/// Listens on all addresses and waits until each has its port. A peer may connect meanwhile; what
/// happens is kept for the service.
async fn listen(
    swarm: &mut Swarm<NodeBehaviour>,
    addresses: &[Multiaddr],
) -> Result<Listening, NetworkError> {
    let mut waiting = HashSet::new();
    for address in addresses {
        let listener = swarm.listen_on(address.clone()).map_err(|error| {
            let source = match error {
                libp2p::TransportError::Other(source) => source,
                unsupported => io::Error::other(unsupported.to_string()),
            };
            NetworkError::Listen {
                address: address.clone(),
                source,
            }
        })?;
        waiting.insert(listener);
    }
    let failed = |source| {
        let address = addresses.first().cloned().unwrap_or_else(Multiaddr::empty);
        Err(NetworkError::Listen { address, source })
    };
    let (mut listening, mut early) = (Vec::new(), Vec::new());
    let deadline = tokio::time::Instant::now() + LISTEN_WAIT;
    while !waiting.is_empty() {
        match tokio::time::timeout_at(deadline, swarm.select_next_some()).await {
            Ok(SwarmEvent::NewListenAddr {
                listener_id,
                address,
            }) => {
                waiting.remove(&listener_id);
                listening.push(address);
            }
            Ok(SwarmEvent::ListenerClosed {
                reason: Err(source),
                ..
            }) => return failed(source),
            Ok(event) => early.push(event),
            Err(_) => {
                return failed(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no address after 5 s; is the network interface up?",
                ));
            }
        }
    }
    for address in &listening {
        tracing::info!(%address, "listening");
    }
    Ok(Listening {
        addresses: listening,
        early,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_the_task_is_told() {
        let (sender, mut receiver) = watch::channel(None);
        supervise(async { panic!("{} went wrong", "something") }, sender).await;
        let reason = receiver.wait_for(Option::is_some).await.unwrap().clone();
        assert_eq!(
            reason,
            Some(StopReason::Panicked("something went wrong".into()))
        );
    }

    #[tokio::test]
    async fn an_orderly_end_is_told() {
        let (sender, mut receiver) = watch::channel(None);
        supervise(async {}, sender).await;
        let reason = receiver.wait_for(Option::is_some).await.unwrap().clone();
        assert_eq!(reason, Some(StopReason::Shutdown));
    }

    #[test]
    fn a_port_that_another_socket_listens_on_is_found() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        let error = probe(&address).unwrap_err().to_string();
        assert!(
            error.contains(&port.to_string()) && error.contains("in use"),
            "{error}"
        );
        drop(taken);
        probe(&address).unwrap();

        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let address = format!("/ip4/127.0.0.1/udp/{port}/quic-v1")
            .parse()
            .unwrap();
        assert!(matches!(
            probe(&address),
            Err(NetworkError::AddressInUse { .. })
        ));
    }
}
