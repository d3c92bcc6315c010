//! Nodes to test with.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use holdfast_network::{
    DisconnectReason, MessageId, Multiaddr, Network, NetworkConfig, NetworkEvent, NetworkEvents,
    NetworkHandle, PeerHandshake, PeerId, Priority, Responder, Topic,
};
use libp2p::multiaddr::Protocol;

pub(crate) const CHAIN: [u8; 32] = [0xc4; 32];
pub(crate) const PARAMETERS: [u8; 32] = [0x9a; 32];

/// The guard against hanging. Generous: the machine may be busy.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(90), future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A running node.
pub(crate) struct Node {
    pub(crate) handle: NetworkHandle,
    pub(crate) events: NetworkEvents,
    /// What was passed over while waiting for something else.
    passed: Vec<NetworkEvent>,
}

/// A gossip message as the node sees it.
pub(crate) struct Heard {
    pub(crate) peer: PeerId,
    pub(crate) topic: Topic,
    pub(crate) id: MessageId,
    pub(crate) data: Bytes,
}

/// A node's configuration: loopback, a free TCP port, an identity made of one byte.
pub(crate) fn config(identity: u8) -> NetworkConfig {
    let mut config = NetworkConfig::new(
        CHAIN,
        PARAMETERS,
        format!("holdfast/test-{identity}"),
        [identity; 32],
    );
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.allow_private_addresses = true;
    config
}

/// The same without telling or learning of others: connections are exactly those configured.
pub(crate) fn isolated(identity: u8) -> NetworkConfig {
    NetworkConfig {
        peer_exchange: false,
        ..config(identity)
    }
}

/// The configuration with `node` as a configured peer.
pub(crate) fn dialling(mut config: NetworkConfig, node: &Node) -> NetworkConfig {
    config.peers.push(node.address());
    config
}

impl Node {
    pub(crate) async fn start(config: NetworkConfig) -> Self {
        // For whoever looks into a failure: RUST_LOG=holdfast_network=debug. An error means that
        // another test was first.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let (handle, events) = Network::start(config).await.unwrap();
        Self {
            handle,
            events,
            passed: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.handle.local_peer_id()
    }

    /// Where it listens first, with its peer id.
    pub(crate) fn address(&self) -> Multiaddr {
        self.handle.listen_addresses()[0]
            .clone()
            .with(Protocol::P2p(self.id()))
    }

    /// Waits for the first event, old or new, that `pick` takes.
    pub(crate) async fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&NetworkEvent) -> Option<T>,
    ) -> (NetworkEvent, T) {
        let old = self.passed.iter().position(|event| pick(event).is_some());
        if let Some(position) = old {
            let event = self.passed.remove(position);
            let picked = pick(&event).unwrap();
            return (event, picked);
        }
        within(what, async {
            loop {
                let event = self.events.next().await.expect("the network runs");
                if let Some(picked) = pick(&event) {
                    return (event, picked);
                }
                self.passed.push(event);
            }
        })
        .await
    }

    pub(crate) async fn connected_to(&mut self, other: PeerId) -> PeerHandshake {
        let found = |event: &NetworkEvent| match event {
            NetworkEvent::PeerConnected { peer, info } if *peer == other => Some((**info).clone()),
            _ => None,
        };
        self.wait("a peer connects", found).await.1
    }

    pub(crate) async fn disconnected_from(&mut self, other: PeerId) -> DisconnectReason {
        let found = |event: &NetworkEvent| match event {
            NetworkEvent::PeerDisconnected { peer, reason } if *peer == other => Some(*reason),
            _ => None,
        };
        self.wait("a peer disconnects", found).await.1
    }

    /// The next gossip message.
    pub(crate) async fn heard(&mut self) -> Heard {
        let gossip = |event: &NetworkEvent| match event {
            NetworkEvent::Gossip {
                peer,
                topic,
                message_id,
                data,
            } => Some(Heard {
                peer: *peer,
                topic: *topic,
                id: *message_id,
                data: data.clone(),
            }),
            _ => None,
        };
        self.wait("a message arrives", gossip).await.1
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> (PeerId, Bytes, Responder) {
        let request =
            |event: &NetworkEvent| matches!(event, NetworkEvent::Request { .. }).then_some(());
        match self.wait("a request arrives", request).await.0 {
            NetworkEvent::Request {
                peer,
                data,
                responder,
                ..
            } => (peer, data, responder),
            other => panic!("{other:?} is no request"),
        }
    }

    /// Whether no gossip has come so far, waiting or passed over.
    pub(crate) fn has_heard_nothing(&mut self) -> bool {
        while let Some(event) = self.events.consensus.try_recv() {
            self.passed.push(event);
        }
        !self
            .passed
            .iter()
            .any(|event| event.priority() == Priority::Consensus)
    }
}

/// Two connected nodes; the second dialled the first.
pub(crate) async fn pair() -> (Node, Node) {
    let mut first = Node::start(isolated(1)).await;
    let mut second = Node::start(dialling(isolated(2), &first)).await;
    second.connected_to(first.id()).await;
    first.connected_to(second.id()).await;
    (first, second)
}

/// Three nodes in a row: the first and third know only the second.
pub(crate) async fn row() -> (Node, Node, Node) {
    let mut middle = Node::start(isolated(2)).await;
    let mut first = Node::start(dialling(isolated(1), &middle)).await;
    let mut last = Node::start(dialling(isolated(3), &middle)).await;
    first.connected_to(middle.id()).await;
    last.connected_to(middle.id()).await;
    middle.connected_to(first.id()).await;
    middle.connected_to(last.id()).await;
    (first, middle, last)
}
