//! Floods: the flooder is stopped, the others are heard.

use bytes::Bytes;
use futures::AsyncWriteExt;
use holdfast_network::{DisconnectReason, Penalty, Topic, Verdict};

use crate::{
    raw::{RawPeer, packet, unless_closed},
    support::{CHAIN, Node, dialling, isolated, row, within},
};

#[tokio::test]
async fn a_flood_is_limited_while_the_vertices_of_others_arrive() {
    let mut node = Node::start(isolated(1)).await;
    let mut honest = Node::start(dialling(isolated(2), &node)).await;
    honest.connected_to(node.id()).await;
    let mut peer = RawPeer::admitted(&node, 100).await;
    let flooder = peer.id();
    let mut stream = peer.open(packet::CONSENSUS).await.unwrap();
    let keypair = peer.keypair.clone();
    let flood = async move {
        let subscription = packet::subscribe(&Topic::Vertices.path(&CHAIN));
        stream.write_all(&packet::framed(&subscription)).await?;
        for number in 0..u64::MAX {
            let message = packet::message(&keypair, Topic::Evidence, number, &number.to_le_bytes());
            stream.write_all(&packet::framed(&message)).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let flooding = tokio::spawn(async move { unless_closed(&mut peer, flood).await });

    for number in 0..50u8 {
        honest
            .handle
            .publish(Topic::Vertices, Bytes::from(vec![number]))
            .unwrap();
        loop {
            let message = node.heard().await;
            node.handle
                .verdict(message.id, message.peer, Verdict::Accept);
            if message.topic == Topic::Vertices {
                assert_eq!((message.peer, message.data[0]), (honest.id(), number));
                break;
            }
            assert_eq!(message.peer, flooder);
        }
    }
    let reason = node.disconnected_from(flooder).await;
    assert!(
        matches!(
            reason,
            DisconnectReason::Banned(Penalty::RateExceeded | Penalty::GossipScore)
        ),
        "{reason:?}"
    );
    within("the flooder is cut off", flooding).await.unwrap();
    let counters = node.handle.counters();
    let evidence = counters.topic(Topic::Evidence);
    assert!(evidence.rate_limited_messages > 0);
    // The burst, and what the rate allows in the time that it took, but not the flood.
    assert!(evidence.delivered_messages < 512 + 64 * 90, "{evidence:?}");
    assert_eq!(node.handle.peers().await.len(), 1, "the honest node stays");
}

#[tokio::test]
async fn a_flooder_cannot_hide_what_others_say() {
    // The flooder uses up its rate and then relays a vertex first. It is refused from the flooder, and
    // must still be taken from somebody else.
    let mut node = Node::start(isolated(1)).await;
    let author = isolated(9);
    let author = libp2p::identity::Keypair::ed25519_from_bytes(author.identity).unwrap();
    let victim = packet::message(&author, Topic::Governance, 7, b"what matters");
    let flooder = RawPeer::admitted(&node, 100).await;
    let mut stream = flooder.open(packet::CONSENSUS).await.unwrap();
    let subscription = packet::subscribe(&Topic::Vertices.path(&CHAIN));
    stream
        .write_all(&packet::framed(&subscription))
        .await
        .unwrap();
    node.connected_to(flooder.id()).await;
    let rubbish = vec![0x55; Topic::Governance.message_bytes_max() - 8];
    // 8 MiB of burst at 1 MiB/s; a little more, so that the bucket is empty when the vertex comes.
    for number in 0..200u64 {
        let data = [&number.to_le_bytes()[..], &rubbish].concat();
        let message = packet::message(&flooder.keypair, Topic::Governance, number, &data);
        if stream.write_all(&packet::framed(&message)).await.is_err() {
            break;
        }
    }
    let _ = stream.write_all(&packet::framed(&victim)).await;
    let _ = stream.flush().await;
    let limited = async {
        while node
            .handle
            .counters()
            .topic(Topic::Governance)
            .rate_limited_messages
            == 0
        {
            node.handle.peers().await;
        }
    };
    within("the flood is limited", limited).await;

    let honest = RawPeer::admitted(&node, 101).await;
    let mut stream = honest.open(packet::CONSENSUS).await.unwrap();
    stream
        .write_all(&packet::framed(&subscription))
        .await
        .unwrap();
    stream.write_all(&packet::framed(&victim)).await.unwrap();
    stream.flush().await.unwrap();
    loop {
        let message = node.heard().await;
        if message.data == "what matters" {
            break;
        }
    }
}

#[tokio::test]
async fn transactions_do_not_stand_in_front_of_vertices() {
    let (first, mut middle, _last) = row().await;
    let transaction = vec![0x11; 100 * 1024];
    for number in 0..100u32 {
        let data = [&number.to_le_bytes()[..], &transaction].concat();
        first
            .handle
            .publish(Topic::Transactions, Bytes::from(data))
            .unwrap();
    }
    first
        .handle
        .publish(Topic::Vertices, Bytes::from_static(b"urgent"))
        .unwrap();
    // All transactions were queued first, 10 MB of them; the vertex overtakes most of them.
    let mut before = 0;
    loop {
        let message = middle.heard().await;
        if message.topic == Topic::Vertices {
            break;
        }
        before += 1;
    }
    assert!(before < 100, "{before} transactions came first");
}
