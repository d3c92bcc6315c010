//! Connections: handshake, transports, restarts, exchange, bans.

use std::net::UdpSocket;

use bytes::Bytes;
use holdfast_network::{
    Direction, DisconnectReason, HandshakeRefusal, Network, NetworkConfig, NetworkError,
    NetworkEvent, PeerClass, Penalty, RequestProtocol, StopReason, Topic,
};
use libp2p::multiaddr::Protocol;

use crate::support::{Node, config, dialling, isolated, pair, within};

async fn refusal(node: &mut Node, of: holdfast_network::PeerId) -> HandshakeRefusal {
    let refused = |event: &NetworkEvent| match event {
        NetworkEvent::HandshakeRefused { peer, refusal, .. } if *peer == of => {
            Some(refusal.clone())
        }
        _ => None,
    };
    node.wait("a handshake is refused", refused).await.1
}

#[tokio::test]
async fn two_nodes_tell_each_other_who_they_are() {
    let mut first = Node::start(NetworkConfig {
        claim: b"i am v1".into(),
        ..isolated(1)
    })
    .await;
    let mut second = Node::start(dialling(isolated(2), &first)).await;
    let info = second.connected_to(first.id()).await;
    assert_eq!(&info.claim[..], b"i am v1");
    assert_eq!(info.software_version, "holdfast/test-1");
    assert_eq!(info.direction, Direction::Outbound);
    let info = first.connected_to(second.id()).await;
    assert!(info.claim.is_empty());
    assert_eq!(info.direction, Direction::Inbound);

    let peers = second.handle.peers().await;
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].peer_id, first.id());
    assert_eq!(peers[0].agent, "holdfast/test-1");
    assert_eq!(peers[0].class, PeerClass::Known);
    assert!(peers[0].bytes_received > 0 && peers[0].bytes_sent > 0);
    assert_eq!(first.handle.peers().await[0].class, PeerClass::Other);
    assert_eq!(first.handle.counters().peers.inbound, 1);
    assert_eq!(second.handle.counters().peers.known, 1);
}

fn quic(identity: u8) -> NetworkConfig {
    NetworkConfig {
        listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()],
        ..isolated(identity)
    }
}

#[tokio::test]
async fn over_quic_everything_works_as_well() {
    let mut first = Node::start(quic(1)).await;
    let mut second = Node::start(dialling(quic(2), &first)).await;
    let info = second.connected_to(first.id()).await;
    assert!(info.address.to_string().contains("/quic-v1"));
    first.connected_to(second.id()).await;

    let vertex = Bytes::from(vec![7; Topic::Vertices.message_bytes_max()]);
    first
        .handle
        .publish(Topic::Vertices, vertex.clone())
        .unwrap();
    assert_eq!(second.heard().await.data, vertex);
    let blocks = Bytes::from(vec![8; RequestProtocol::Blocks.response_bytes_max()]);
    let asking = second
        .handle
        .request(first.id(), RequestProtocol::Blocks, Bytes::new());
    let answering = async { first.asked().await.2.respond(blocks.clone()).unwrap() };
    let (answer, ()) = within("the answer comes", async {
        tokio::join!(asking, answering)
    })
    .await;
    assert_eq!(answer.unwrap(), blocks);

    first.handle.shutdown().await;
    second.disconnected_from(first.id()).await;
}

#[tokio::test]
async fn rubbish_in_datagrams_harms_nobody() {
    let mut first = Node::start(quic(1)).await;
    let port = match first.handle.listen_addresses()[0].iter().nth(1) {
        Some(Protocol::Udp(port)) => port,
        other => panic!("{other:?} is no UDP port"),
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..1200usize {
        let datagram: Vec<u8> = (0..length).map(|byte| (byte * length / 7) as u8).collect();
        socket.send_to(&datagram, ("127.0.0.1", port)).unwrap();
    }
    let mut second = Node::start(dialling(quic(2), &first)).await;
    second.connected_to(first.id()).await;
    first.connected_to(second.id()).await;
}

#[tokio::test]
async fn one_node_listens_on_both_transports() {
    let both = NetworkConfig {
        listen: vec![
            "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
            "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap(),
        ],
        ..isolated(1)
    };
    let mut node = Node::start(both).await;
    let addresses = node.handle.listen_addresses();
    assert_eq!(addresses.len(), 2);
    for (identity, address) in (2..).zip(addresses) {
        let full = address.clone().with(Protocol::P2p(node.id()));
        let mut other = Node::start(NetworkConfig {
            peers: vec![full],
            ..isolated(identity)
        })
        .await;
        let info = other.connected_to(node.id()).await;
        assert!(info.address.to_string().starts_with(&address.to_string()));
        node.connected_to(other.id()).await;
    }
}

#[tokio::test]
async fn another_chain_is_refused_on_both_sides() {
    let mut ours = Node::start(isolated(1)).await;
    let other = NetworkConfig {
        chain_id: [0xee; 32],
        ..isolated(2)
    };
    let mut theirs = Node::start(dialling(other, &ours)).await;
    let (at_ours, at_theirs) = (
        refusal(&mut ours, theirs.id()).await,
        refusal(&mut theirs, ours.id()).await,
    );
    let HandshakeRefusal::ChainId {
        ours: mine,
        theirs: yours,
    } = &at_ours
    else {
        panic!("{at_ours:?}")
    };
    assert_eq!(
        (mine.as_str(), yours.as_str()),
        (&*"c4".repeat(32), &*"ee".repeat(32))
    );
    assert_eq!(
        at_theirs,
        HandshakeRefusal::ChainId {
            ours: yours.clone(),
            theirs: mine.clone()
        },
        "the dialler sees both values as well"
    );
    assert!(ours.handle.peers().await.is_empty());
    assert_eq!(ours.handle.counters().handshakes_refused[0], 1);
    assert_eq!(ours.handle.counters().links.established, 0);
}

#[tokio::test]
async fn other_parameters_are_refused() {
    let mut ours = Node::start(isolated(1)).await;
    let other = NetworkConfig {
        parameters_hash: [0xee; 32],
        ..isolated(2)
    };
    let mut theirs = Node::start(dialling(other, &ours)).await;
    assert_eq!(refusal(&mut ours, theirs.id()).await.name(), "parameters");
    assert_eq!(refusal(&mut theirs, ours.id()).await.name(), "parameters");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = Node::start(isolated(1)).await;
    let taken = first.handle.listen_addresses()[0].clone();
    let second = NetworkConfig {
        listen: vec![taken.clone()],
        ..isolated(2)
    };
    let error = Network::start(second).await.unwrap_err();
    assert!(matches!(&error, NetworkError::AddressInUse { address } if *address == taken));
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[tokio::test]
async fn a_stopped_network_frees_its_port_and_says_so() {
    let mut node = Node::start(isolated(1)).await;
    let taken = node.handle.listen_addresses()[0].clone();
    assert_eq!(
        within("it stops", node.handle.shutdown()).await,
        StopReason::Shutdown
    );
    assert!(within("the events end", node.events.next()).await.is_none());
    assert!(node.handle.peers().await.is_empty());
    Node::start(NetworkConfig {
        listen: vec![taken],
        ..isolated(2)
    })
    .await;
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_network() {
    let Node {
        handle, mut events, ..
    } = Node::start(isolated(1)).await;
    let other = handle.clone();
    drop(handle);
    drop(other);
    assert!(within("the events end", events.next()).await.is_none());
}

#[tokio::test]
async fn a_restarted_peer_is_found_again() {
    let mut first = Node::start(isolated(1)).await;
    let listen = first.handle.listen_addresses();
    let mut second = Node::start(dialling(isolated(2), &first)).await;
    second.connected_to(first.id()).await;
    for _ in 0..2 {
        first.handle.shutdown().await;
        second.disconnected_from(first.id()).await;
        first = Node::start(NetworkConfig {
            listen: listen.clone(),
            ..isolated(1)
        })
        .await;
        first.connected_to(second.id()).await;
        second.connected_to(first.id()).await;
    }
}

#[tokio::test]
async fn a_newcomer_meets_the_peers_of_its_peer() {
    let mut common = Node::start(config(1)).await;
    let mut first = Node::start(dialling(config(2), &common)).await;
    common.connected_to(first.id()).await;
    let mut second = Node::start(dialling(config(3), &common)).await;
    first.connected_to(second.id()).await;
    second.connected_to(first.id()).await;
}

#[tokio::test]
async fn newcomers_of_the_same_moment_meet() {
    // Neither is in the handshake that the other gets from their common peer.
    let common = Node::start(config(1)).await;
    let (first, second) = tokio::join!(
        Node::start(dialling(config(2), &common)),
        Node::start(dialling(config(3), &common))
    );
    let (mut first, mut second) = (first, second);
    let (first_id, second_id) = (first.id(), second.id());
    tokio::join!(first.connected_to(second_id), second.connected_to(first_id));
}

#[tokio::test]
async fn nodes_that_dial_each_other_end_up_connected() {
    // Each needs the other's port in its configuration, so both ports are chosen beforehand.
    let ports: Vec<u16> = [1, 2]
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect();
    let with = |identity: u8, own: u16, other: u16| {
        let peer = isolated(3 - identity).peer_id();
        NetworkConfig {
            listen: vec![format!("/ip4/127.0.0.1/tcp/{own}").parse().unwrap()],
            peers: vec![
                format!("/ip4/127.0.0.1/tcp/{other}/p2p/{peer}")
                    .parse()
                    .unwrap(),
            ],
            ..isolated(identity)
        }
    };
    let (first, second) = tokio::join!(
        Node::start(with(1, ports[0], ports[1])),
        Node::start(with(2, ports[1], ports[0]))
    );
    let (mut first, mut second) = (first, second);
    let (first_id, second_id) = (first.id(), second.id());
    tokio::join!(first.connected_to(second_id), second.connected_to(first_id));
    assert_eq!(first.handle.peers().await.len(), 1);
    assert_eq!(second.handle.peers().await.len(), 1);
}

#[tokio::test]
async fn proven_misbehaviour_bans_at_once() {
    let (mut first, mut second) = pair().await;
    first.handle.penalize(second.id(), Penalty::Proven);
    assert_eq!(
        first.disconnected_from(second.id()).await,
        DisconnectReason::Banned(Penalty::Proven)
    );
    assert_eq!(
        second.disconnected_from(first.id()).await,
        DisconnectReason::Lost
    );
    let counters = first.handle.counters();
    assert_eq!(counters.links.bans, 1);
    assert_eq!(counters.penalty(Penalty::Proven), 1);

    // The second dials again and is turned away: a third node, admitted later, proves that time
    // has passed without the second being let in.
    let denied = async {
        while first.handle.counters().links.denied == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the banned peer is turned away", denied).await;
    assert!(first.handle.peers().await.is_empty());
}

#[tokio::test]
async fn a_private_peer_is_refused_at_the_start_on_a_public_chain() {
    let peer = isolated(2).peer_id();
    let mut public = isolated(1);
    public.allow_private_addresses = false;
    public.peers = vec![
        format!("/ip4/192.168.1.1/tcp/9/p2p/{peer}")
            .parse()
            .unwrap(),
    ];
    let error = Network::start(public).await.unwrap_err().to_string();
    assert!(
        error.contains("192.168.1.1") && error.contains("allow_private_addresses"),
        "{error}"
    );
}

#[tokio::test]
async fn a_public_node_tells_nobody_its_private_addresses() {
    // It listens on loopback only, so it has nothing to tell; its peer, which may use private
    // addresses, must learn none of it. A third node would otherwise find the first through it.
    let public = NetworkConfig {
        allow_private_addresses: false,
        ..config(1)
    };
    let mut public = Node::start(public).await;
    let mut common = Node::start(dialling(config(2), &public)).await;
    common.connected_to(public.id()).await;
    public.connected_to(common.id()).await;
    assert_eq!(public.handle.counters().links.dials, 0);
    // The common peer told its loopback address in the handshake: refused.
    assert!(public.handle.counters().links.addresses_refused >= 1);
}

#[tokio::test]
async fn a_class_set_by_the_node_is_shown() {
    let (first, second) = pair().await;
    first
        .handle
        .set_peer_class(second.id(), PeerClass::Committee);
    // Orders are carried out in turn, so the answer already shows it.
    assert_eq!(first.handle.peers().await[0].class, PeerClass::Committee);
    assert_eq!(first.handle.counters().peers.committee, 1);
}
