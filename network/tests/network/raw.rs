//! A peer that says whatever a test wants, written against the wire format and not with the crate.

use std::{
    future::{Future, poll_fn},
    io,
    task::Poll,
};

use futures::{AsyncReadExt, AsyncWriteExt};
use holdfast_network::{Multiaddr, PeerId};
use libp2p::{
    Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{DialOpts, PortUse},
        upgrade::Version,
    },
    identity::Keypair,
    noise, tcp, yamux,
};
use multistream_select::{Negotiated, dialer_select_proto, listener_select_proto};
use tokio::sync::{mpsc, oneshot};

use crate::support::{CHAIN, Node, PARAMETERS};

pub(crate) type Stream = Negotiated<SubstreamBox>;

/// A connection after encryption. Its muxer is driven by a task of its own.
pub(crate) struct RawPeer {
    pub(crate) keypair: Keypair,
    opens: mpsc::Sender<oneshot::Sender<SubstreamBox>>,
    pub(crate) inbound: mpsc::Receiver<SubstreamBox>,
    /// Ends when the other side closes the connection.
    pub(crate) closed: oneshot::Receiver<()>,
}

impl RawPeer {
    /// Connects without a handshake.
    pub(crate) async fn connect(node: &Node, identity: u8) -> Self {
        let keypair = Keypair::ed25519_from_bytes([identity; 32]).unwrap();
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(&keypair).unwrap())
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed();
        let address: Multiaddr = node.handle.listen_addresses()[0].clone();
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let (peer, muxer) = transport.dial(address, options).unwrap().await.unwrap();
        assert_eq!(peer, node.id());
        let (opens, open_requests) = mpsc::channel(64);
        let (inbound_sender, inbound) = mpsc::channel(64);
        let (closed_sender, closed) = oneshot::channel();
        tokio::spawn(async move {
            let _ = drive(muxer, open_requests, inbound_sender).await;
            let _ = closed_sender.send(());
        });
        Self {
            keypair,
            opens,
            inbound,
            closed,
        }
    }

    /// Connects and passes the handshake.
    pub(crate) async fn admitted(node: &Node, identity: u8) -> Self {
        Self::admitted_as(node, identity, 7).await
    }

    /// Connects and passes the handshake as a process of its own number.
    pub(crate) async fn admitted_as(node: &Node, identity: u8, instance: u64) -> Self {
        let peer = Self::connect(node, identity).await;
        let mut stream = peer.open("/holdfast/handshake/1").await.unwrap();
        stream
            .write_all(&handshake_frame(&CHAIN, &PARAMETERS, instance))
            .await
            .unwrap();
        stream.flush().await.unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).await.unwrap();
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[4..36], CHAIN);
        peer
    }

    pub(crate) fn id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// Opens a stream and agrees on a protocol. An error if the other side does not have it.
    pub(crate) async fn open(&self, protocol: &str) -> io::Result<Stream> {
        let stream = self.open_bare().await?;
        let negotiated = dialer_select_proto(stream, [protocol.to_owned()], Version::V1).await;
        negotiated
            .map(|(_, stream)| stream)
            .map_err(|error| io::Error::other(error.to_string()))
    }

    /// Opens a stream without agreeing on anything.
    pub(crate) async fn open_bare(&self) -> io::Result<SubstreamBox> {
        let (reply, stream) = oneshot::channel();
        let gone = |_| io::Error::other("the connection is closed");
        self.opens
            .send(reply)
            .await
            .map_err(|_| io::Error::other("the connection is closed"))?;
        stream.await.map_err(gone)
    }

    /// Takes streams from the other side until one is for `protocol`; refuses the others.
    pub(crate) async fn accept(&mut self, protocol: &str) -> Option<Stream> {
        loop {
            let stream = self.inbound.recv().await?;
            if let Ok((_, stream)) = listener_select_proto(stream, [protocol.to_owned()]).await {
                return Some(stream);
            }
        }
    }
}

/// Moves the connection along and opens streams on demand, until the connection ends.
async fn drive(
    mut muxer: StreamMuxerBox,
    mut opens: mpsc::Receiver<oneshot::Sender<SubstreamBox>>,
    inbound: mpsc::Sender<SubstreamBox>,
) -> io::Result<()> {
    let mut wanted: Option<oneshot::Sender<SubstreamBox>> = None;
    poll_fn(|context| {
        loop {
            if wanted.is_none()
                && let Poll::Ready(request) = opens.poll_recv(context)
            {
                match request {
                    Some(request) => wanted = Some(request),
                    None => return Poll::Ready(Ok(())),
                }
            }
            if wanted.is_some()
                && let Poll::Ready(stream) = muxer.poll_outbound_unpin(context)?
            {
                let _ = wanted.take().unwrap().send(stream);
                continue;
            }
            if let Poll::Ready(stream) = muxer.poll_inbound_unpin(context)? {
                let _ = inbound.try_send(stream);
                continue;
            }
            if muxer.poll_unpin(context)?.is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// The handshake as documented: length, then the fields in borsh.
pub(crate) fn handshake_frame(
    chain_id: &[u8; 32],
    parameters_hash: &[u8; 32],
    instance: u64,
) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&1u32.to_le_bytes());
    body.extend_from_slice(chain_id);
    body.extend_from_slice(parameters_hash);
    body.extend_from_slice(&5u32.to_le_bytes());
    body.extend_from_slice(b"raw/1");
    body.extend_from_slice(&instance.to_le_bytes());
    for _ in ["claim", "own addresses", "known peers"] {
        body.extend_from_slice(&0u32.to_le_bytes());
    }
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

/// The gossip protocol in protobuf, as far as the tests need it.
pub(crate) mod packet {
    use holdfast_network::Topic;
    use libp2p::identity::Keypair;

    use crate::support::CHAIN;

    pub(crate) const CONSENSUS: &str = "/meshsub/1.2.0";
    pub(crate) const BULK: &str = "/holdfast/bulk/1.1.0";

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    /// A length-delimited field.
    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        [
            varint(number << 3 | 2),
            varint(content.len() as u64),
            content.to_vec(),
        ]
        .concat()
    }

    /// A packet with its length in front.
    pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
        [varint(content.len() as u64), content.to_vec()].concat()
    }

    pub(crate) fn subscribe(topic: &str) -> Vec<u8> {
        field(
            1,
            &[varint(1 << 3), varint(1), field(2, topic.as_bytes())].concat(),
        )
    }

    /// A message signed as the library wants it.
    pub(crate) fn message(keypair: &Keypair, topic: Topic, number: u64, data: &[u8]) -> Vec<u8> {
        let unsigned = [
            field(1, &keypair.public().to_peer_id().to_bytes()),
            field(2, data),
            field(3, &number.to_be_bytes()),
            field(4, topic.path(&CHAIN).as_bytes()),
        ]
        .concat();
        let signed = [b"libp2p-pubsub:".as_slice(), &unsigned].concat();
        let signature = keypair.sign(&signed).unwrap();
        field(2, &[unsigned, field(5, &signature)].concat())
    }

    pub(crate) fn ihave(topic: &str, ids: &[Vec<u8>]) -> Vec<u8> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| field(2, id)).collect();
        field(3, &field(1, &[field(1, topic.as_bytes()), ids].concat()))
    }

    pub(crate) fn iwant(ids: &[Vec<u8>]) -> Vec<u8> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| field(1, id)).collect();
        field(3, &field(2, &ids))
    }

    pub(crate) fn graft(topic: &str) -> Vec<u8> {
        field(3, &field(3, &field(1, topic.as_bytes())))
    }

    pub(crate) fn prune(topic: &str, backoff: u64) -> Vec<u8> {
        let backoff = [varint(3 << 3), varint(backoff)].concat();
        field(
            3,
            &field(4, &[field(1, topic.as_bytes()), backoff].concat()),
        )
    }

    pub(crate) fn idontwant(ids: &[Vec<u8>]) -> Vec<u8> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| field(1, id)).collect();
        field(3, &field(5, &ids))
    }
}

/// Polls a future once a connection may also end: `None` if it did.
pub(crate) async fn unless_closed<F: Future>(peer: &mut RawPeer, future: F) -> Option<F::Output> {
    tokio::select! {
        output = future => Some(output),
        _ = &mut peer.closed => None,
    }
}
