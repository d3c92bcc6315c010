//! The network task: owns the swarm, carries out the node's orders, turns what happens into events.

mod asking;
mod gossiping;
mod links;
mod peer;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    request_response::{InboundRequestId, OutboundRequestId},
    swarm::SwarmEvent,
};
use tokio::sync::{mpsc, watch};

use std::sync::Arc;

use crate::{
    behaviour::{NodeBehaviour, NodeBehaviourEvent},
    book::AddressBook,
    bucket::{Rate, TokenBucket},
    event::{DisconnectReason, NetworkEvent},
    gossip::{TopicTable, guard::GuardedEvent},
    handle::{Judgement, Order, PeerInfo, Publication, Shared},
    handshake::RefusedHandshake,
    penalty::{Ledger, Penalty},
    queue::EventSender,
    service::{asking::PendingRequest, peer::Peer},
    topic::{Plane, Priority},
};

/// Housekeeping: dials, evictions, scores, bans that end.
const TICK: Duration = Duration::from_millis(250);

/// Orders of one kind carried out before the swarm gets its turn again.
const BATCH: usize = 64;

/// Connections get this long to be closed in order when the network stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// Refused handshakes are logged as warnings at this rate, then only counted.
const REFUSAL_LOGS: Rate = Rate {
    per_second: 1,
    burst: 20,
};

/// The receiving ends of the node's orders.
#[derive(Debug)]
pub(crate) struct OrderReceivers {
    pub(crate) urgent: mpsc::Receiver<Publication>,
    pub(crate) verdicts: mpsc::Receiver<Judgement>,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) refused: mpsc::Receiver<RefusedHandshake>,
    pub(crate) stop: watch::Receiver<bool>,
    /// To answer requests with; weak, so that it does not keep the network alive.
    pub(crate) orders_sender: mpsc::WeakSender<Order>,
}

/// Settings that matter after the start.
#[derive(Debug)]
pub(crate) struct ServiceSettings {
    pub(crate) peers_target: usize,
    pub(crate) peer_exchange: bool,
    pub(crate) allow_private: bool,
    pub(crate) external: Vec<Multiaddr>,
}

/// Everything that the task owns.
pub(crate) struct Service {
    swarm: Swarm<NodeBehaviour>,
    settings: ServiceSettings,
    topics: TopicTable,
    shared: Arc<Shared>,
    events: EventSender,
    receivers: OrderReceivers,
    peers: HashMap<PeerId, Peer>,
    book: AddressBook,
    ledger: Ledger,
    outbound: HashMap<OutboundRequestId, PendingRequest>,
    outbound_by_peer: HashMap<PeerId, usize>,
    inbound: HashMap<InboundRequestId, PeerId>,
    inbound_by_peer: HashMap<PeerId, usize>,
    refusal_logs: TokenBucket,
    early: Vec<SwarmEvent<NodeBehaviourEvent>>,
    ticks: u64,
    ticked: Instant,
}

/// What the task is built from.
pub(crate) struct ServiceParts {
    pub(crate) swarm: Swarm<NodeBehaviour>,
    pub(crate) settings: ServiceSettings,
    pub(crate) topics: TopicTable,
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: EventSender,
    pub(crate) receivers: OrderReceivers,
    pub(crate) book: AddressBook,
    /// What happened while the listeners were set up: a peer may have been very quick.
    pub(crate) early: Vec<SwarmEvent<NodeBehaviourEvent>>,
}

impl Service {
    pub(crate) fn new(parts: ServiceParts) -> Self {
        Self {
            swarm: parts.swarm,
            settings: parts.settings,
            topics: parts.topics,
            shared: parts.shared,
            events: parts.events,
            receivers: parts.receivers,
            peers: HashMap::new(),
            book: parts.book,
            ledger: Ledger::default(),
            outbound: HashMap::new(),
            outbound_by_peer: HashMap::new(),
            inbound: HashMap::new(),
            inbound_by_peer: HashMap::new(),
            refusal_logs: TokenBucket::new(REFUSAL_LOGS, Instant::now()),
            early: parts.early,
            ticks: 0,
            ticked: Instant::now(),
        }
    }

    /// Runs until it is told to stop or nobody holds a handle any more.
    ///
    /// The branches are tried in random order, so that no kind of work, not even a flood of packets,
    /// keeps another from its turn.
    pub(crate) async fn run(mut self) {
        self.tell_addresses();
        for event in std::mem::take(&mut self.early) {
            self.on_swarm_event(event);
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = until_stopped(&mut self.receivers.stop) => break,
                Some(publication) = self.receivers.urgent.recv() => {
                    self.publish(publication);
                    for _ in 1..BATCH {
                        let Ok(publication) = self.receivers.urgent.try_recv() else { break };
                        self.publish(publication);
                    }
                }
                Some(judgement) = self.receivers.verdicts.recv() => {
                    self.judge(judgement);
                    for _ in 1..BATCH {
                        let Ok(judgement) = self.receivers.verdicts.try_recv() else { break };
                        self.judge(judgement);
                    }
                }
                Some(order) = self.receivers.orders.recv() => self.carry_out(order),
                Some(refused) = self.receivers.refused.recv() => self.on_refused(refused),
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                _ = tick.tick() => self.on_tick(Instant::now()),
            }
        }
        self.close().await;
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Publish(publication) => self.publish(publication),
            Order::Request(request) => self.ask(request),
            Order::Respond(response) => self.answer(response),
            Order::Penalize { peer, penalty } => self.penalize(peer, penalty, 1),
            Order::SetClass { peer, class } => self.set_class(peer, class),
            Order::Peers { reply } => {
                let peers = self.peer_infos();
                // Whoever asked may have gone.
                let _ = reply.send(peers);
            }
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<NodeBehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.on_closed(peer_id, connection_id, num_established);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                self.on_dial_failed(peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => {
                tracing::debug!(address = %send_back_addr, %error, "inbound connection failed");
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_not_listening(&address),
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                for address in &addresses {
                    self.on_not_listening(address);
                }
                tracing::error!(
                    ?addresses,
                    ?reason,
                    "a listener has closed; peers cannot reach us there"
                );
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener reports an error");
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: NodeBehaviourEvent) {
        match event {
            NodeBehaviourEvent::Gate(never) => match never {},
            NodeBehaviourEvent::Consensus(event) => self.on_gossip(Plane::Consensus, event),
            NodeBehaviourEvent::Bulk(event) => self.on_gossip(Plane::Bulk, event),
            NodeBehaviourEvent::Requests(event) => self.on_exchange(event),
            NodeBehaviourEvent::Identify(event) => self.on_identify(event),
            NodeBehaviourEvent::Ping(event) => self.on_ping(event),
        }
    }

    fn on_gossip(&mut self, plane: Plane, event: GuardedEvent) {
        match event {
            GuardedEvent::Router(event) => self.on_router_event(plane, event),
            GuardedEvent::Offence {
                peer,
                penalty,
                count,
            } => self.penalize(peer, penalty, count),
        }
    }

    /// Gives penalty points, and bans when there are too many. What comes to light of a banned peer
    /// it did before, mostly in the same moment: the ban is for that, too.
    fn penalize(&mut self, peer: PeerId, penalty: Penalty, count: u32) {
        let now = Instant::now();
        self.shared.counters.penalty(penalty).add(count as usize);
        let gate = &mut self.swarm.behaviour_mut().gate;
        if gate.is_banned(&peer, now) {
            return;
        }
        let class = gate.class(&peer);
        let Some(ban) = self.ledger.penalize(peer, penalty, count, class, now) else {
            tracing::debug!(%peer, penalty = penalty.name(), count, "peer penalised");
            return;
        };
        gate.ban(peer, ban.until);
        self.shared.counters.links.bans.increment();
        tracing::warn!(
            %peer,
            class = class.name(),
            penalty = penalty.name(),
            seconds = ban.duration.as_secs(),
            "peer banned for a while",
        );
        self.disconnect(peer, DisconnectReason::Banned(penalty));
    }

    /// Hands an event to the node and deals with what had to go for it.
    fn deliver(&mut self, event: NetworkEvent) {
        for dropped in self.events.send(event) {
            let priority = dropped.priority();
            self.shared.counters.dropped(priority).increment();
            match dropped {
                NetworkEvent::Gossip {
                    peer,
                    topic,
                    message_id,
                    ..
                } => {
                    self.shared
                        .counters
                        .topic(topic)
                        .overflowed_messages
                        .increment();
                    self.discard(message_id, &peer);
                }
                // The responder tells the peer when it is dropped.
                NetworkEvent::Request { protocol, .. } => {
                    self.shared.counters.request(protocol).unserved.increment();
                }
                event => {
                    let (peer, class) = (event.peer(), Priority::Lifecycle.name());
                    tracing::warn!(%peer, class, "event lost: the node does not keep up");
                }
            }
        }
    }

    fn peer_infos(&self) -> Vec<PeerInfo> {
        let (behaviour, now) = (self.swarm.behaviour(), Instant::now());
        let (router, gate) = (&behaviour.consensus.router, &behaviour.gate);
        let info = |(peer, record): (&PeerId, &Peer)| {
            let score = router.peer_score(peer).unwrap_or(0.0) - self.ledger.points(peer, now);
            record.info(*peer, gate.class(peer), score)
        };
        self.peers
            .iter()
            .filter(|(_, record)| record.announced)
            .map(info)
            .collect()
    }

    /// Closes all connections in order, as far as a second allows.
    async fn close(&mut self) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.disconnect(peer, DisconnectReason::Shutdown);
        }
        let farewell = async {
            while !self.peers.is_empty() {
                let event = self.swarm.select_next_some().await;
                self.on_swarm_event(event);
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!(
                peers = self.peers.len(),
                "connections did not close in time"
            );
        }
    }
}

/// Waits until the node wants the network to stop or no longer holds a handle to it.
async fn until_stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the last handle is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}
