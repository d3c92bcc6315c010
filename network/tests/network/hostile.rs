//! Peers that break the rules.

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt};
use holdfast_network::{
    DisconnectReason, HandshakeRefusal, NetworkEvent, Penalty, RequestError, RequestProtocol,
    Topic, Verdict,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    raw::{RawPeer, handshake_frame, packet, unless_closed},
    support::{CHAIN, Node, PARAMETERS, dialling, isolated, pair, within},
};

/// Reproducible rubbish.
fn rubbish(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn request_protocol() -> String {
    format!("/holdfast/{}/request/1", "c4".repeat(8))
}

/// The two nodes still understand each other.
async fn assert_alive(first: &mut Node, second: &Node) {
    let sign = Bytes::from_static(b"sign of life");
    second
        .handle
        .publish(Topic::Vertices, sign.clone())
        .unwrap();
    loop {
        let message = first.heard().await;
        if message.data == sign {
            first
                .handle
                .verdict(message.id, message.peer, Verdict::Accept);
            break;
        }
    }
    let asking = second
        .handle
        .request(first.id(), RequestProtocol::Status, sign.clone());
    let answering = async {
        loop {
            let (_, data, responder) = first.asked().await;
            if data == sign {
                return responder.respond(data).unwrap();
            }
        }
    };
    let (answer, ()) = within("the answer comes", async {
        tokio::join!(asking, answering)
    })
    .await;
    assert_eq!(answer.unwrap(), sign);
}

#[tokio::test]
async fn rubbish_on_every_protocol_harms_nobody() {
    let (mut first, second) = pair().await;
    let requests = request_protocol();
    let protocols = [
        packet::CONSENSUS,
        "/meshsub/1.0.0",
        packet::BULK,
        &requests,
        "/ipfs/id/1.0.0",
        "/ipfs/id/push/1.0.0",
        "/ipfs/ping/1.0.0",
    ];
    for (number, protocol) in protocols.into_iter().enumerate() {
        for round in 0..8u64 {
            // A new identity each time: the last one may be banned by now.
            let identity = 100 + (number * 8) as u8 + round as u8;
            let mut peer = RawPeer::admitted(&first, identity).await;
            let mut bytes = rubbish(u64::from(identity), 40_000);
            if round % 2 == 0 {
                // Past the length, into the message.
                let length = packet::framed(&bytes[..5000]);
                bytes.splice(..5000, length);
            }
            let stream = peer.open(protocol).await;
            let mut stream = stream.unwrap_or_else(|error| panic!("{protocol}: {error}"));
            let written = async {
                // The other side may hang up on us at any byte.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.close().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            };
            within("the node has seen it", unless_closed(&mut peer, written)).await;
        }
    }
    assert_alive(&mut first, &second).await;
}

#[tokio::test]
async fn rubbish_instead_of_encryption_harms_nobody() {
    let (mut first, second) = pair().await;
    let address = first.handle.listen_addresses()[0].to_string();
    let port: u16 = address.rsplit('/').next().unwrap().parse().unwrap();
    for round in 0..20 {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .unwrap();
        let _ = socket.write_all(&rubbish(round, 10_000)).await;
        let _ = socket.shutdown().await;
        let mut rest = Vec::new();
        let _ = within("the node hangs up", socket.read_to_end(&mut rest)).await;
    }
    assert_alive(&mut first, &second).await;
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let mut node = Node::start(isolated(1)).await;
    let address = node.handle.listen_addresses()[0].to_string();
    let port: u16 = address.rsplit('/').next().unwrap().parse().unwrap();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .unwrap(),
        );
    }
    let mut raw = Vec::new();
    for identity in 100..120 {
        raw.push(RawPeer::connect(&node, identity).await);
    }
    let mut honest = Node::start(dialling(isolated(2), &node)).await;
    honest.connected_to(node.id()).await;
    node.connected_to(honest.id()).await;
    // Whoever encrypts but says nothing is turned away.
    for peer in raw {
        within("the silent are turned away", peer.closed)
            .await
            .unwrap();
    }
    assert_eq!(node.handle.peers().await.len(), 1);
    drop(silent);
}

#[tokio::test]
async fn bad_handshakes_are_refused_with_a_reason() {
    let mut node = Node::start(isolated(1)).await;
    let mut truncated = handshake_frame(&CHAIN, &PARAMETERS, 7);
    truncated.truncate(60);
    let mut trailing = handshake_frame(&CHAIN, &PARAMETERS, 7);
    trailing.push(0);
    let body = trailing.len() as u32 - 4;
    trailing[..4].copy_from_slice(&body.to_le_bytes());
    let cases = [
        (handshake_frame(&[1; 32], &PARAMETERS, 7), "chain_id"),
        (handshake_frame(&CHAIN, &[1; 32], 7), "parameters"),
        (u32::MAX.to_le_bytes().to_vec(), "malformed"),
        (truncated, "malformed"),
        (trailing, "malformed"),
        (rubbish(5, 3000), "malformed"),
    ];
    for (number, (frame, expected)) in cases.into_iter().enumerate() {
        let peer = RawPeer::connect(&node, 100 + number as u8).await;
        let id = peer.id();
        let mut stream = peer.open("/holdfast/handshake/1").await.unwrap();
        let _ = stream.write_all(&frame).await;
        let _ = stream.close().await;
        let refused = |event: &NetworkEvent| match event {
            NetworkEvent::HandshakeRefused { peer, refusal, .. } if *peer == id => {
                Some(refusal.clone())
            }
            _ => None,
        };
        let refusal: HandshakeRefusal = node.wait("it is refused", refused).await.1;
        assert_eq!(refusal.name(), expected, "{refusal}");
        within("the connection ends", peer.closed).await.unwrap();
    }
    let counters = node.handle.counters();
    assert_eq!(counters.links.established, 0);
    assert_eq!(counters.handshakes_refused, [1, 1, 0, 4]);
}

#[tokio::test]
async fn nothing_is_served_before_the_handshake() {
    let node = Node::start(isolated(1)).await;
    for protocol in [
        packet::CONSENSUS,
        packet::BULK,
        "/ipfs/ping/1.0.0",
        &request_protocol(),
    ] {
        let peer = RawPeer::connect(&node, 100).await;
        assert!(
            peer.open(protocol).await.is_err(),
            "{protocol} is not offered"
        );
    }
    assert_eq!(node.handle.counters().links.established, 0);
}

/// A request frame as on the wire.
fn request_frame(tag: u8, length: u32, payload: &[u8]) -> Vec<u8> {
    [&[tag], &length.to_le_bytes()[..], payload].concat()
}

#[tokio::test]
async fn an_oversized_request_is_refused_unread_and_costs() {
    let mut node = Node::start(isolated(1)).await;
    let mut peer = RawPeer::admitted(&node, 100).await;
    node.connected_to(peer.id()).await;
    for attempt in 0..3 {
        // Only the header: if the node waited for the payload it would wait for ever.
        let Ok(mut stream) = peer.open(&request_protocol()).await else {
            break;
        };
        let frame = request_frame(2, 16_385, &[]);
        stream.write_all(&frame).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        within("the stream ends", unless_closed(&mut peer, read)).await;
        assert!(answer.is_empty(), "attempt {attempt} got {answer:?}");
    }
    let reason = node.disconnected_from(peer.id()).await;
    assert_eq!(reason, DisconnectReason::Banned(Penalty::Oversized));
}

#[tokio::test]
async fn an_unknown_kind_of_request_is_told_so_and_costs_nothing() {
    let node = Node::start(isolated(1)).await;
    let peer = RawPeer::admitted(&node, 100).await;
    let mut stream = peer.open(&request_protocol()).await.unwrap();
    stream
        .write_all(&request_frame(200, 3, b"abc"))
        .await
        .unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    within("the answer comes", stream.read_to_end(&mut answer))
        .await
        .unwrap();
    assert_eq!(answer, [3, 0, 0, 0, 0]);
    assert_eq!(node.handle.counters().penalties.iter().sum::<u64>(), 0);
}

#[tokio::test]
async fn an_oversized_answer_is_refused_unread_and_costs() {
    let mut node = Node::start(isolated(1)).await;
    let mut peer = RawPeer::admitted(&node, 100).await;
    let id = peer.id();
    node.connected_to(id).await;
    let protocol = RequestProtocol::Status;
    let handle = node.handle.clone();
    let asking = handle.request(id, protocol, Bytes::from_static(b"how are you"));
    let lying = async {
        let mut stream = peer.accept(&request_protocol()).await.unwrap();
        let mut question = [0; 16];
        stream.read_exact(&mut question).await.unwrap();
        assert_eq!(question[5..], *b"how are you");
        // The header of a gigabyte, and nothing more.
        stream
            .write_all(&request_frame(0, 1 << 30, &[]))
            .await
            .unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (asked, _stream) = within("it ends", async { tokio::join!(asking, lying) }).await;
    let Err(RequestError::InvalidAnswer { reason, .. }) = asked else {
        panic!("{asked:?}")
    };
    assert!(
        reason.contains("1073741824 bytes, more than 65536"),
        "{reason}"
    );
    node.handle.peers().await;
    assert_eq!(node.handle.counters().penalty(Penalty::InvalidResponse), 1);
}

#[tokio::test]
async fn control_messages_at_their_extremes_harm_nobody() {
    let (mut first, second) = pair().await;
    let topic = Topic::Vertices.path(&CHAIN);
    let id = |number: u32| number.to_le_bytes().to_vec();
    let ids: Vec<_> = (0..400).map(id).collect();
    let packets = [
        // GHSA-gc42-3jg7-rxr2 and GHSA-xqmp-fxgv-xvq5: a back-off that overflows the clock.
        packet::prune(&topic, u64::MAX),
        packet::prune(&topic, i64::MAX as u64),
        packet::prune("/unknown", u64::MAX),
        packet::graft(&topic),
        packet::graft("/unknown"),
        packet::ihave(&topic, &ids),
        packet::ihave(&topic, &[vec![7; 10_000]]),
        packet::iwant(&ids),
        packet::idontwant(&ids),
        packet::subscribe("/unknown"),
        packet::subscribe(&topic),
        Vec::new(),
    ];
    for protocol in [packet::CONSENSUS, packet::BULK] {
        let mut peer = RawPeer::admitted(&first, 100 + u8::from(protocol == packet::BULK)).await;
        let mut stream = peer.open(protocol).await.unwrap();
        let mut wire = packet::framed(&packet::subscribe(&topic));
        for _ in 0..50 {
            for packet in &packets {
                wire.extend(packet::framed(packet));
            }
        }
        let sending = async {
            let _ = stream.write_all(&wire).await;
            let _ = stream.close().await;
        };
        within("it is sent", unless_closed(&mut peer, sending)).await;
    }
    assert_alive(&mut first, &second).await;
}

#[tokio::test]
async fn forged_and_oversized_messages_are_not_delivered() {
    let mut node = Node::start(isolated(1)).await;
    let peer = RawPeer::admitted(&node, 100).await;
    let mut stream = peer.open(packet::CONSENSUS).await.unwrap();
    let mut forged = packet::message(&peer.keypair, Topic::Vertices, 1, b"forged");
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let attestation = vec![1; Topic::Attestations.message_bytes_max() + 1];
    let oversized = packet::message(&peer.keypair, Topic::Attestations, 2, &attestation);
    let bulk = packet::message(&peer.keypair, Topic::Transactions, 3, b"wrong plane");
    let honest = packet::message(&peer.keypair, Topic::Vertices, 4, b"honest");
    let subscription = packet::subscribe(&Topic::Vertices.path(&CHAIN));
    for packet in [&subscription, &forged, &oversized, &bulk, &honest] {
        stream.write_all(&packet::framed(packet)).await.unwrap();
    }
    stream.flush().await.unwrap();
    let message = node.heard().await;
    assert_eq!(
        message.data, "honest",
        "the stream goes on, and only this one arrives"
    );
    assert_eq!(
        node.handle
            .counters()
            .topic(Topic::Vertices)
            .received_messages,
        1
    );
    assert_eq!(
        node.handle
            .counters()
            .topic(Topic::Attestations)
            .delivered_messages,
        0
    );
    assert_eq!(
        node.handle
            .counters()
            .topic(Topic::Attestations)
            .oversized_messages,
        1
    );
}

#[tokio::test]
async fn a_peer_that_restarted_unnoticed_begins_afresh() {
    // It lost power, so its old connection looks alive. Kept beside the new one, the routers would
    // never greet the new process, and it would hear nothing.
    let mut node = Node::start(isolated(1)).await;
    let old = RawPeer::admitted_as(&node, 100, 1).await;
    let mut stream = old.open(packet::CONSENSUS).await.unwrap();
    let subscription = packet::framed(&packet::subscribe(&Topic::Vertices.path(&CHAIN)));
    stream.write_all(&subscription).await.unwrap();
    stream.flush().await.unwrap();
    node.connected_to(old.id()).await;
    let new = RawPeer::admitted_as(&node, 100, 2).await;
    assert_eq!(
        node.disconnected_from(new.id()).await,
        DisconnectReason::Stale
    );
    within("the old connection ends", old.closed).await.unwrap();
    within("the new connection ends", new.closed).await.unwrap();

    let mut again = RawPeer::admitted_as(&node, 100, 2).await;
    let mut greeting = again.accept(packet::CONSENSUS).await.unwrap();
    let mut bytes = [0; 1];
    within("it is greeted", greeting.read_exact(&mut bytes))
        .await
        .unwrap();
}

#[tokio::test]
async fn two_connections_of_one_process_are_both_kept() {
    let mut node = Node::start(isolated(1)).await;
    let first = RawPeer::admitted(&node, 100).await;
    let second = RawPeer::admitted(&node, 100).await;
    node.connected_to(first.id()).await;
    assert_eq!(node.handle.peers().await.len(), 1);
    for peer in [&first, &second] {
        assert!(peer.open("/ipfs/ping/1.0.0").await.is_ok());
    }
}

#[tokio::test]
async fn a_peer_that_never_answers_is_given_up() {
    let mut node = Node::start(isolated(1)).await;
    let mut peer = RawPeer::admitted(&node, 100).await;
    let id = peer.id();
    node.connected_to(id).await;
    let protocol = RequestProtocol::Blocks;
    let handle = node.handle.clone();
    let asking = handle.request(id, protocol, Bytes::from_static(b"well?"));
    let dripping = async {
        let mut stream = peer.accept(&request_protocol()).await.unwrap();
        // The beginning of an answer, and never the rest.
        stream
            .write_all(&request_frame(0, 1000, b"soon"))
            .await
            .unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (asked, _stream) = within("it ends", async { tokio::join!(asking, dripping) }).await;
    assert_eq!(asked, Err(RequestError::TimedOut { peer: id, protocol }));
    assert_eq!(node.handle.counters().request(protocol).timed_out, 1);
}

#[tokio::test]
async fn a_peer_that_answers_no_pings_is_disconnected() {
    let mut node = Node::start(isolated(1)).await;
    // Its streams are accepted and never looked at.
    let peer = RawPeer::admitted(&node, 100).await;
    node.connected_to(peer.id()).await;
    assert_eq!(
        node.disconnected_from(peer.id()).await,
        DisconnectReason::PingTimeout
    );
    within("the connection ends", peer.closed).await.unwrap();
    assert!(node.handle.counters().links.ping_timeouts >= 1);
}
