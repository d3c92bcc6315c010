//! How the node talks to the network.

use std::{
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId, request_response::ResponseChannel};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    codec::WireResponse,
    counters::{Counters, NetworkCounters},
    error::{PublishError, RequestError, RespondError, StopReason},
    event::{Direction, MessageId, Verdict},
    handshake::{CLAIM_BYTES_MAX, HandshakeContext},
    penalty::{PeerClass, Penalty},
    protocol::{REQUEST_TIMEOUT, RequestProtocol},
    topic::{Plane, Topic},
};

/// Orders that may wait for the network task.
pub(crate) const URGENT_ORDERS_MAX: usize = 4096;
pub(crate) const ORDERS_MAX: usize = 2048;
pub(crate) const VERDICTS_MAX: usize = 32_768;

/// A request ends by itself; this ends the wait for it even so.
const REQUEST_WAIT_MAX: Duration = REQUEST_TIMEOUT.saturating_add(Duration::from_secs(2));

/// Messages of the consensus plane, ahead of everything else.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) topic: Topic,
    pub(crate) data: Bytes,
}

/// The node's judgement of a message.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) message_id: MessageId,
    pub(crate) peer: PeerId,
    pub(crate) verdict: Verdict,
}

/// Everything else that the network task is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    Publish(Publication),
    Request(RequestOrder),
    Respond(ResponseOrder),
    Penalize {
        peer: PeerId,
        penalty: Penalty,
    },
    SetClass {
        peer: PeerId,
        class: PeerClass,
    },
    Peers {
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
}

#[derive(Debug)]
pub(crate) struct ResponseOrder {
    pub(crate) peer: PeerId,
    pub(crate) protocol: RequestProtocol,
    pub(crate) channel: ResponseChannel<WireResponse>,
    pub(crate) response: WireResponse,
}

#[derive(Debug)]
pub(crate) struct RequestOrder {
    pub(crate) peer: PeerId,
    pub(crate) protocol: RequestProtocol,
    pub(crate) data: Bytes,
    pub(crate) answer_bytes_max: usize,
    pub(crate) reply: oneshot::Sender<Result<Bytes, RequestError>>,
}

/// The sending ends of the queues towards the network task.
#[derive(Debug, Clone)]
pub(crate) struct OrderSenders {
    pub(crate) urgent: mpsc::Sender<Publication>,
    pub(crate) verdicts: mpsc::Sender<Judgement>,
    pub(crate) orders: mpsc::Sender<Order>,
}

/// What the handle and the network task share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) local_peer_id: PeerId,
    pub(crate) counters: Arc<Counters>,
    pub(crate) handshakes: Arc<HandshakeContext>,
    pub(crate) listen_addresses: RwLock<Vec<Multiaddr>>,
}

/// A connected peer.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Its network identity.
    pub peer_id: PeerId,
    /// Remote address of its first connection.
    pub address: Multiaddr,
    /// Who dialled.
    pub direction: Direction,
    /// Its software, as it says.
    pub agent: String,
    /// Round trip time, smoothed, milliseconds. `None` before the first ping.
    pub latency_ms: Option<f64>,
    /// Gossip score less penalty points. Below -80 the peer is about to be banned.
    pub score: f64,
    /// How the node regards it.
    pub class: PeerClass,
    /// When it connected.
    pub connected_since: SystemTime,
    /// Bytes received from it on its present connections.
    pub bytes_received: u64,
    /// Bytes sent to it on its present connections.
    pub bytes_sent: u64,
    /// Its claim to be a validator, as it gave it in the handshake.
    pub claim: Bytes,
}

/// A handle to the running network. Cheap to clone; the network stops when the last one is dropped.
#[derive(Debug, Clone)]
pub struct NetworkHandle {
    pub(crate) senders: OrderSenders,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) stopped: watch::Receiver<Option<StopReason>>,
}

impl NetworkHandle {
    /// Publishes a message to all peers that take the topic. Returns at once; whether anybody heard
    /// it shows in the counters. A message that was published or seen before is not sent again.
    pub fn publish(&self, topic: Topic, data: Bytes) -> Result<(), PublishError> {
        let bytes_max = topic.message_bytes_max();
        if data.len() > bytes_max {
            return Err(PublishError::TooLarge {
                topic,
                bytes: data.len(),
                bytes_max,
            });
        }
        let publication = Publication { topic, data };
        match topic.plane() {
            Plane::Consensus => self
                .senders
                .urgent
                .try_send(publication)
                .map_err(|error| full(&error, topic)),
            Plane::Bulk => self
                .senders
                .orders
                .try_send(Order::Publish(publication))
                .map_err(|error| full(&error, topic)),
        }
    }

    /// Judges a gossip message: once per message, within about 2 s. A verdict that finds the network
    /// overloaded is lost, and the message is not passed on.
    pub fn verdict(&self, message_id: MessageId, peer: PeerId, verdict: Verdict) {
        let judgement = Judgement {
            message_id,
            peer,
            verdict,
        };
        if self.senders.verdicts.try_send(judgement).is_err() {
            self.shared
                .counters
                .topic(message_id.topic)
                .late_verdicts
                .increment();
        }
    }

    /// Asks a peer. The answer has at most [`RequestProtocol::response_bytes_max`] bytes and comes
    /// within [`crate::REQUEST_TIMEOUT`] or not at all.
    pub async fn request(
        &self,
        peer: PeerId,
        protocol: RequestProtocol,
        data: Bytes,
    ) -> Result<Bytes, RequestError> {
        self.request_at_most(peer, protocol, data, protocol.response_bytes_max())
            .await
    }

    /// Asks a peer for an answer of at most `answer_bytes_max` bytes, as the caller knows what it
    /// asked for. A longer answer is refused unread and costs the peer.
    pub async fn request_at_most(
        &self,
        peer: PeerId,
        protocol: RequestProtocol,
        data: Bytes,
        answer_bytes_max: usize,
    ) -> Result<Bytes, RequestError> {
        let bytes_max = protocol.request_bytes_max();
        if data.len() > bytes_max {
            return Err(RequestError::TooLarge {
                protocol,
                bytes: data.len(),
                bytes_max,
            });
        }
        let answer_bytes_max = answer_bytes_max.min(protocol.response_bytes_max());
        let (reply, answer) = oneshot::channel();
        let order = Order::Request(RequestOrder {
            peer,
            protocol,
            data,
            answer_bytes_max,
            reply,
        });
        self.senders
            .orders
            .try_send(order)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => RequestError::TooManyInFlight,
                mpsc::error::TrySendError::Closed(_) => RequestError::Stopped,
            })?;
        match tokio::time::timeout(REQUEST_WAIT_MAX, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(RequestError::Stopped),
            Err(_) => Err(RequestError::TimedOut { peer, protocol }),
        }
    }

    /// Gives a peer penalty points; see [`Penalty::points`].
    pub fn penalize(&self, peer: PeerId, penalty: Penalty) {
        self.order(Order::Penalize { peer, penalty }, "penalize");
    }

    /// Sets how a peer is regarded, connected or not. Configured peers begin as
    /// [`PeerClass::Known`], all others as [`PeerClass::Other`].
    pub fn set_peer_class(&self, peer: PeerId, class: PeerClass) {
        self.order(Order::SetClass { peer, class }, "set_peer_class");
    }

    /// The connected peers. Empty if the network has stopped.
    pub async fn peers(&self) -> Vec<PeerInfo> {
        let (reply, peers) = oneshot::channel();
        if self
            .senders
            .orders
            .send(Order::Peers { reply })
            .await
            .is_err()
        {
            return Vec::new();
        }
        peers.await.unwrap_or_default()
    }

    /// Replaces the claim told in handshakes from now on. False, and nothing changes, if it is
    /// longer than 1 KiB.
    #[must_use]
    pub fn set_claim(&self, claim: Vec<u8>) -> bool {
        let fits = claim.len() <= CLAIM_BYTES_MAX;
        if fits {
            self.shared.handshakes.set_claim(claim);
        }
        fits
    }

    /// This node's network identity.
    pub fn local_peer_id(&self) -> PeerId {
        self.shared.local_peer_id
    }

    /// The addresses on which this node listens, with the ports that it got.
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.shared
            .listen_addresses
            .read()
            .expect("no code panics while it holds this lock")
            .clone()
    }

    /// What happened so far.
    pub fn counters(&self) -> NetworkCounters {
        self.shared.counters.snapshot()
    }

    /// Stops the network and waits until it has: peers are told, the ports are free.
    pub async fn shutdown(&self) -> StopReason {
        self.stop.send_replace(true);
        self.stopped().await
    }

    /// Waits until the network has stopped, for whatever reason. A panic in it is one: the node must
    /// then stop as well.
    pub async fn stopped(&self) -> StopReason {
        let mut stopped = self.stopped.clone();
        let reason = stopped.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or(StopReason::Shutdown)
    }

    fn order(&self, order: Order, what: &'static str) {
        if self.senders.orders.try_send(order).is_err() {
            tracing::warn!(
                what,
                "the network is overloaded or has stopped; an order to it was lost"
            );
        }
    }
}

fn full<T>(error: &mpsc::error::TrySendError<T>, topic: Topic) -> PublishError {
    match error {
        mpsc::error::TrySendError::Full(_) => PublishError::QueueFull { topic },
        mpsc::error::TrySendError::Closed(_) => PublishError::Stopped,
    }
}

/// Answers one request. Dropped without an answer, it tells the peer that there is none.
#[derive(Debug)]
pub struct Responder {
    peer: PeerId,
    protocol: RequestProtocol,
    channel: Option<ResponseChannel<WireResponse>>,
    orders: mpsc::WeakSender<Order>,
}

impl Responder {
    pub(crate) fn new(
        peer: PeerId,
        protocol: RequestProtocol,
        channel: ResponseChannel<WireResponse>,
        orders: mpsc::WeakSender<Order>,
    ) -> Self {
        Self {
            peer,
            protocol,
            channel: Some(channel),
            orders,
        }
    }

    /// Answers with at most [`RequestProtocol::response_bytes_max`] bytes.
    pub fn respond(mut self, data: Bytes) -> Result<(), RespondError> {
        let (protocol, bytes_max) = (self.protocol, self.protocol.response_bytes_max());
        if data.len() > bytes_max {
            return Err(RespondError::TooLarge {
                protocol,
                bytes: data.len(),
                bytes_max,
            });
        }
        self.send(WireResponse::Data(data))
    }

    /// Tells the peer to ask again later.
    pub fn respond_busy(mut self) -> Result<(), RespondError> {
        self.send(WireResponse::Busy)
    }

    fn send(&mut self, response: WireResponse) -> Result<(), RespondError> {
        let Some(channel) = self.channel.take() else {
            return Ok(());
        };
        let orders = self.orders.upgrade().ok_or(RespondError::Stopped)?;
        let (peer, protocol) = (self.peer, self.protocol);
        let order = Order::Respond(ResponseOrder {
            peer,
            protocol,
            channel,
            response,
        });
        orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RespondError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => RespondError::Stopped,
        })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.channel.is_some() {
            // If even this does not get through, the peer sees the stream end without an answer.
            let _ = self.send(WireResponse::Unavailable);
        }
    }
}
