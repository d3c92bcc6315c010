//! Gossip between honest nodes.

use bytes::Bytes;
use holdfast_network::{
    DisconnectReason, NetworkConfig, NetworkEvent, Penalty, PublishError, Topic, Verdict,
};

use crate::support::{Node, config, dialling, isolated, pair, row, within};

#[tokio::test]
async fn a_message_goes_on_only_after_it_is_accepted() {
    let (first, mut middle, mut last) = row().await;
    let (held, marker) = (
        Bytes::from_static(b"held back"),
        Bytes::from_static(b"marker"),
    );
    first.handle.publish(Topic::Vertices, held.clone()).unwrap();
    let message = middle.heard().await;
    assert_eq!((message.topic, &message.data), (Topic::Vertices, &held));
    assert_eq!(message.peer, first.id());

    // Streams keep their order: had the middle node passed the message on, the last one would have
    // it before the marker.
    middle
        .handle
        .publish(Topic::Vertices, marker.clone())
        .unwrap();
    assert_eq!(last.heard().await.data, marker);
    assert!(last.has_heard_nothing());

    middle
        .handle
        .verdict(message.id, message.peer, Verdict::Accept);
    let relayed = last.heard().await;
    assert_eq!(relayed.data, held);
    assert_eq!(
        relayed.id, message.id,
        "the identity is the same on every node"
    );
    assert_eq!(relayed.peer, middle.id());
}

#[tokio::test]
async fn a_rejected_message_goes_no_further_and_its_sender_pays() {
    let (mut first, mut middle, mut last) = row().await;
    for number in 0..4u8 {
        first
            .handle
            .publish(Topic::Vertices, Bytes::from(vec![0xbad_u16 as u8, number]))
            .unwrap();
        let message = middle.heard().await;
        middle
            .handle
            .verdict(message.id, message.peer, Verdict::Reject);
    }
    assert_eq!(
        middle.disconnected_from(first.id()).await,
        DisconnectReason::Banned(Penalty::InvalidMessage)
    );
    first.disconnected_from(middle.id()).await;

    let marker = Bytes::from_static(b"marker");
    middle
        .handle
        .publish(Topic::Vertices, marker.clone())
        .unwrap();
    assert_eq!(last.heard().await.data, marker);
    assert!(last.has_heard_nothing());
    let counters = middle.handle.counters();
    assert_eq!(counters.topic(Topic::Vertices).rejected_messages, 4);
    assert_eq!(counters.penalty(Penalty::InvalidMessage), 4);
    assert_eq!(middle.handle.peers().await.len(), 1, "the last node stays");
}

#[tokio::test]
async fn an_offence_is_paid_for_once_however_late_the_verdicts_are() {
    let (first, mut middle, _last) = row().await;
    let mut heard = Vec::new();
    for number in 0..40u8 {
        let data = Bytes::from(vec![0xbad_u16 as u8, number]);
        first.handle.publish(Topic::Vertices, data).unwrap();
        heard.push(middle.heard().await);
    }
    for message in heard {
        middle
            .handle
            .verdict(message.id, message.peer, Verdict::Reject);
    }
    assert_eq!(
        middle.disconnected_from(first.id()).await,
        DisconnectReason::Banned(Penalty::InvalidMessage)
    );
    let judged = async {
        while middle
            .handle
            .counters()
            .topic(Topic::Vertices)
            .rejected_messages
            < 40
        {
            middle.handle.peers().await;
        }
    };
    within("all verdicts are counted", judged).await;
    let counters = middle.handle.counters();
    assert_eq!(counters.penalty(Penalty::InvalidMessage), 40);
    assert_eq!(counters.links.bans, 1);
}

#[tokio::test]
async fn an_ignored_message_goes_no_further_and_nobody_pays() {
    let (first, mut middle, mut last) = row().await;
    first
        .handle
        .publish(Topic::Vertices, Bytes::from_static(b"old news"))
        .unwrap();
    let message = middle.heard().await;
    middle
        .handle
        .verdict(message.id, message.peer, Verdict::Ignore);
    middle
        .handle
        .publish(Topic::Vertices, Bytes::from_static(b"marker"))
        .unwrap();
    assert_eq!(last.heard().await.data, "marker");
    assert!(last.has_heard_nothing());
    assert!(
        middle
            .handle
            .peers()
            .await
            .iter()
            .all(|peer| peer.score > -1.0)
    );
}

#[tokio::test]
async fn a_peer_that_sends_nothing_but_what_is_of_no_use_is_banned_within_its_rate() {
    let (first, mut second) = pair().await;
    for number in 0..400u16 {
        let data = Bytes::from(number.to_le_bytes().to_vec());
        // The network may have closed the connection already.
        let _ = first.handle.publish(Topic::Governance, data);
    }
    let judging = async {
        loop {
            match second.events.next().await.expect("the network runs") {
                NetworkEvent::Gossip {
                    peer, message_id, ..
                } => second.handle.verdict(message_id, peer, Verdict::Ignore),
                NetworkEvent::PeerDisconnected { peer, reason } => break (peer, reason),
                _ => {}
            }
        }
    };
    let dropped = within("the peer is dropped", judging).await;
    let reason = DisconnectReason::Banned(Penalty::UselessMessage);
    assert_eq!(dropped, (first.id(), reason));
    let counters = second.handle.counters();
    let governance = counters.topic(Topic::Governance);
    assert_eq!(governance.rate_limited_messages, 0);
    assert!(governance.ignored_messages > 256, "{governance:?}");
    assert_eq!(counters.links.bans, 1);
}

#[tokio::test]
async fn every_topic_carries_its_largest_message() {
    let (first, mut second) = pair().await;
    for topic in Topic::ALL {
        let largest = Bytes::from(vec![0x5a; topic.message_bytes_max()]);
        first.handle.publish(topic, largest.clone()).unwrap();
        let message = second.heard().await;
        assert_eq!(message.topic, topic);
        assert_eq!(message.data, largest);
        second
            .handle
            .verdict(message.id, message.peer, Verdict::Accept);
        assert_eq!(
            first
                .handle
                .publish(topic, Bytes::from(vec![0; topic.message_bytes_max() + 1])),
            Err(PublishError::TooLarge {
                topic,
                bytes: topic.message_bytes_max() + 1,
                bytes_max: topic.message_bytes_max(),
            })
        );
    }
    let counters = second.handle.counters();
    assert_eq!(counters.penalties.iter().sum::<u64>(), 0);
    assert_eq!(counters.topic(Topic::Vertices).received_bytes, 2 << 20);
}

#[tokio::test]
async fn large_messages_in_a_row_do_not_break_the_stream() {
    // The library limits what it has buffered of a stream, which may reach into the next message.
    let (first, mut second) = pair().await;
    for number in 0..20u8 {
        let data = Bytes::from(vec![number; Topic::Vertices.message_bytes_max()]);
        first.handle.publish(Topic::Vertices, data).unwrap();
    }
    for number in 0..20u8 {
        let message = second.heard().await;
        assert_eq!((message.data.len(), message.data[0]), (2 << 20, number));
        second
            .handle
            .verdict(message.id, message.peer, Verdict::Accept);
    }
}

#[tokio::test]
async fn four_nodes_hear_each_message_once() {
    let mut nodes = vec![Node::start(config(1)).await];
    for identity in 2..=4 {
        let mut config = config(identity);
        for node in &nodes {
            config = dialling(config, node);
        }
        nodes.push(Node::start(config).await);
    }
    let ids: Vec<_> = nodes.iter().map(Node::id).collect();
    for node in &mut nodes {
        let own = node.id();
        for other in ids.iter().filter(|id| **id != own) {
            node.connected_to(*other).await;
        }
    }
    for round in 0..10u8 {
        for (number, node) in nodes.iter().enumerate() {
            let data = Bytes::from(vec![round, number as u8]);
            node.handle.publish(Topic::Vertices, data).unwrap();
        }
        for (number, node) in nodes.iter_mut().enumerate() {
            let mut heard = Vec::new();
            for _ in 0..3 {
                let message = node.heard().await;
                node.handle
                    .verdict(message.id, message.peer, Verdict::Accept);
                assert_eq!(message.data[0], round);
                heard.push(usize::from(message.data[1]));
            }
            heard.sort_unstable();
            let expected: Vec<_> = (0..4).filter(|other| *other != number).collect();
            assert_eq!(heard, expected);
        }
    }
    for node in &nodes {
        let counters = node.handle.counters();
        assert_eq!(counters.topic(Topic::Vertices).delivered_messages, 30);
        assert_eq!(counters.topic(Topic::Vertices).published_messages, 10);
        assert_eq!(counters.penalties.iter().sum::<u64>(), 0);
    }
}

#[tokio::test]
async fn a_restarted_peer_hears_again() {
    let mut first = Node::start(isolated(1)).await;
    let listen = first.handle.listen_addresses();
    let mut second = Node::start(dialling(isolated(2), &first)).await;
    second.connected_to(first.id()).await;
    first.handle.shutdown().await;
    second.disconnected_from(first.id()).await;
    first = Node::start(NetworkConfig {
        listen,
        ..isolated(1)
    })
    .await;
    second.connected_to(first.id()).await;
    second
        .handle
        .publish(Topic::Vertices, Bytes::from_static(b"welcome back"))
        .unwrap();
    assert_eq!(first.heard().await.data, "welcome back");
}

#[tokio::test]
async fn transactions_and_control_messages_are_heard_as_well() {
    let (first, mut middle, mut last) = row().await;
    for topic in [
        Topic::Transactions,
        Topic::Evidence,
        Topic::Lockdown,
        Topic::Governance,
    ] {
        let data = Bytes::from(topic.name());
        first.handle.publish(topic, data.clone()).unwrap();
        let message = middle.heard().await;
        assert_eq!((message.topic, &message.data), (topic, &data));
        middle
            .handle
            .verdict(message.id, message.peer, Verdict::Accept);
        let relayed = last.heard().await;
        assert_eq!((relayed.topic, &relayed.data), (topic, &data));
        last.handle
            .verdict(relayed.id, relayed.peer, Verdict::Accept);
    }
}

#[tokio::test]
async fn without_peers_a_message_is_counted_as_unheard() {
    let node = Node::start(isolated(1)).await;
    node.handle
        .publish(Topic::Vertices, Bytes::from_static(b"hello?"))
        .unwrap();
    // Publications are carried out before the order that comes after them is answered, or soon after.
    let unheard = async {
        while node
            .handle
            .counters()
            .topic(Topic::Vertices)
            .unheard_messages
            == 0
        {
            node.handle.peers().await;
        }
    };
    crate::support::within("the message is counted", unheard).await;
    node.handle.shutdown().await;
    assert_eq!(
        node.handle.publish(Topic::Vertices, Bytes::new()),
        Err(PublishError::Stopped)
    );
}
